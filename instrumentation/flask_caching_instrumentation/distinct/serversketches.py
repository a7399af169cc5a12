"""Distinct keys of all machines together, counted by the Redis that the cache uses anyway.

Each machine sends the hashes of the keys that it met (never a key) to sketches in the server, one
for each slot of each window, and asks now and then how many different ones there were. The server
hashes what it is sent once more, into sketches of its own kind with the same precision.

Every round trip is made by :meth:`ServerSketches.exchange`, which a thread calls that nobody waits
for. One worker's answer serves all workers of its machine, through the store of sketches.

In a Redis Cluster the sketches of one window of one target are on one node, since their names
have the target in braces. It takes a key prefix that is the same for all, and that does not
contain ``{}``, which would switch that off.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import quote

from flask_caching.backends.base import RESERVED, SupportsDistinct
from flask_caching.observer import report_fault

from ..forksafe import ForkSafeLock
from ..metrics.catalogue import LabelSet
from .sketches import RINGS, Ring, SketchStore

__all__ = ["ServerSketches"]

#: Seconds between two times that hashes are sent, that the counts of a label set are asked for,
#: and to leave a server alone that failed.
SEND_INTERVAL: Final = 5.0
ASK_INTERVAL: Final = 20.0
RETRY_INTERVAL: Final = 30.0

#: Seconds after which an exchange leaves the rest to the next one.
_LONGEST: Final = 0.5

#: Hashes in one command.
_AT_ONCE: Final = 1000

#: Hashes that wait at most, while the server is away; the oldest are dropped, and the server
#: will count too few until their windows are over.
_WAITING_LIMIT: Final = 65_536


class ServerSketches:
    """Sends hashes to a server, and asks it for the counts.

    Args:
        backend: The server, behind its breaker.
    """

    def __init__(self, backend: SupportsDistinct) -> None:
        self._backend = backend
        self._lock = ForkSafeLock()
        #: What is to be sent, by label set and number of the shortest slot; oldest first.
        self._waiting: dict[tuple[LabelSet, int], set[bytes]] = {}
        self._number = 0
        self._due = 0.0

    @property
    def waiting(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self._waiting)

    def add(self, labels: LabelSet, hashes: Sequence[bytes], now: float) -> None:
        """Have hashes sent by the next :meth:`exchange`. No round trip.

        Args:
            labels: Cache, backend, source, target.
            hashes: Of the keys that were looked up, by :func:`~.hyperloglog.digest`.
            now: Unix time.
        """
        with self._lock:
            waiting = self._waiting.setdefault((labels, RINGS[0].slot(now)), set())
            before = len(waiting)
            waiting.update(hashes)
            self._number += len(waiting) - before
            while self._number > _WAITING_LIMIT:
                self._take(*next(iter(self._waiting)))

    def exchange(self, store: SketchStore, own: Collection[tuple[str, ...]], now: float) -> None:
        """Send what waits, and tell ``store`` what the server has counted; not too often.

        Args:
            store: Knows the label sets, those of other workers included.
            own: Cache and backend of the label sets that are this application's.
            now: Unix time.
        """
        # A clock that was put back does not keep it waiting.
        if 0 < self._due - now <= RETRY_INTERVAL:
            return
        self._due = now + SEND_INTERVAL
        end = time.monotonic() + _LONGEST
        try:
            self._send_all(end)
            for labels in store.unlearnt(now, ASK_INTERVAL):
                if time.monotonic() > end:
                    break
                if labels[:2] in own:
                    store.learn(labels, self.fetch(labels, now), now)
        except Exception as fault:
            self._due = now + RETRY_INTERVAL
            report_fault("distinct_keys.exchange", fault)

    def push(self, labels: LabelSet, hashes: Sequence[bytes], now: float) -> None:
        """Add hashes to the current sketch of each window, on the server.

        Raises:
            Exception: If the server fails, or its breaker is open.
        """
        for ring in RINGS:
            key = _key(labels, ring, ring.slot(now))
            # Until the slot has left its window.
            timeout = ring.seconds * (ring.length + 1)
            for first in range(0, len(hashes), _AT_ONCE):
                self._backend.add_distinct(key, hashes[first : first + _AT_ONCE], timeout)

    def fetch(self, labels: LabelSet, now: float) -> list[float]:
        """Ask the server for the different keys in each window.

        Raises:
            Exception: If the server fails, or its breaker is open.
        """
        return [
            float(
                self._backend.count_distinct(
                    *[_key(labels, ring, slot) for slot in ring.slots(now)]
                )
            )
            for ring in RINGS
        ]

    def _send_all(self, end: float) -> None:
        """Send what waits, until the monotonic clock says ``end``."""
        for labels, slot in list(self._waiting):
            if time.monotonic() > end:
                break
            hashes = self._take(labels, slot)
            begun = slot * RINGS[0].seconds
            try:
                self.push(labels, hashes, begun)
            except BaseException:
                # They wait on; sending them twice changes nothing.
                self.add(labels, hashes, begun)
                raise

    def _take(self, labels: LabelSet, slot: int) -> list[bytes]:
        with self._lock:
            hashes = self._waiting.pop((labels, slot), set[bytes]())
            self._number -= len(hashes)
        return list(hashes)


def _key(labels: LabelSet, ring: Ring, slot: int) -> str:
    """What a slot's sketch is called.

    The kind of the backend is left out: a name for it is no part of what it holds.
    """
    cache, _, source, target = labels
    asked = "/".join(
        quote(each, safe=":.<>", errors="surrogatepass") for each in (cache, source, target)
    )
    return f"{RESERVED}distinct/{{{asked}/{ring.window}}}/{slot}"
