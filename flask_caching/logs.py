"""Log lines about what matters: one for each kind of event and interval, and never with a key.

A line is a sentence for people; the same facts are attributes of the log record for programs
(``extra``): ``event``, ``cache``, and what the event has beside them, such as ``key_hash``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from .keyhash import KeyHash

__all__ = ["EventLog"]

logger = logging.getLogger("flask_caching")

#: Seconds between two lines about events of one kind.
_INTERVAL = 60.0

#: Kinds whose last line is remembered, at most.
_KINDS_REMEMBERED = 1000


class EventLog:
    """The log of one application's cache.

    Args:
        cache: The cache's name.
        key_hash: What stands for a key.
        clock: Monotonic seconds.
    """

    def __init__(
        self, cache: str, key_hash: KeyHash, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache = cache
        self._key_hash = key_hash
        self._clock = clock
        self._last: dict[str, float] = {}

    def write(
        self,
        event: str,
        message: str,
        *args: object,
        kind: str | None = None,
        key: str = "",
        level: int = logging.WARNING,
        error: BaseException | None = None,
        **facts: Any,
    ) -> None:
        """Log an event.

        Args:
            event: What happened, in words with dots between them: ``cache.cleared``.
            message: The sentence that goes on after the cache's name, for the ``%`` operator.
            args: What fills it.
            kind: Events of one kind share a line a minute; ``None`` for one that always has its
                own.
            key: The key it is about, of which only the hash is shown.
            level: Of :mod:`logging`.
            error: The exception whose traceback is shown.
            facts: Further attributes of the log record.
        """
        if kind is not None and not self._due(f"{event} {kind}"):
            return
        if key:
            facts["key_hash"] = self._key_hash(key)
            message += " (key hash %s)"
            args = (*args, facts["key_hash"])
        logger.log(
            level,
            f"cache %r: {message}",
            self._cache,
            *args,
            exc_info=error,
            extra={"event": event, "cache": self._cache, **facts},
        )

    def hide(self, key: str, text: str) -> str:
        """``text`` with the hash of ``key`` in its place; servers' errors may quote a key."""
        return text.replace(key, f"<key {self._key_hash(key)}>") if key else text

    def _due(self, kind: str) -> bool:
        now = self._clock()
        last = self._last.get(kind)
        if last is not None and now - last < _INTERVAL:
            return False
        if len(self._last) >= _KINDS_REMEMBERED:
            self._last.clear()
        self._last[kind] = now
        return True
