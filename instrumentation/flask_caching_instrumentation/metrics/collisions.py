"""The last keys that stood for different requests, for whoever looks into it.

Counters say how often; this keeps which, of this process, bounded. Keys and witnesses are what a
person needs to find the mistake, and nothing to be logged or exported.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from flask_caching.observer import Collision, Target

from ..forksafe import ForkSafeLock

__all__ = ["Offender", "Offenders"]

#: Offenders that are remembered.
LIMIT: Final = 100


class Offender(NamedTuple):
    """One key that different requests of one target met in.

    Attributes:
        source: ``view`` or ``template``.
        target: The endpoint, function or fragment that asked.
        kind: What differs: ``endpoint``, ``arguments``, ``method``, ``host`` or ``query``.
        action: What was done the last time: ``reported`` or ``refused``.
        key: The key.
        stored: Who the entry was made for (a witness), the last time; keyed hashes of it where
            the store keeps bytes.
        asked: Who asked, the last time.
        times: How often.
        first_seen: Unix time.
        last_seen: Unix time.
    """

    source: str
    target: str
    kind: str
    action: str
    key: str
    stored: object
    asked: object
    times: int
    first_seen: float
    last_seen: float


_Identity: TypeAlias = tuple[str, str, str, str]


class Offenders:
    """The offenders that were seen last, each once; those not seen for longest go first.

    Args:
        limit: How many.
        clock: Unix time.
    """

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._seen: OrderedDict[_Identity, Offender] = OrderedDict()
        self._lock = ForkSafeLock()

    def note(self, target: Target, collision: Collision) -> None:
        """Remember a collision."""
        now = self._clock()
        identity = (target.source, target.name, collision.kind, collision.key)
        with self._lock:
            known = self._seen.pop(identity, None)
            self._seen[identity] = Offender(
                source=target.source,
                target=target.name,
                kind=collision.kind,
                action=collision.action,
                key=collision.key,
                stored=collision.stored,
                asked=collision.asked,
                times=known.times + 1 if known else 1,
                first_seen=known.first_seen if known else now,
                last_seen=now,
            )
            if len(self._seen) > self._limit:
                self._seen.popitem(last=False)

    def latest(self) -> list[Offender]:
        """Those that are remembered, the latest first."""
        with self._lock:
            return list(reversed(self._seen.values()))
