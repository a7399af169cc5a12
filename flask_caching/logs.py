"""Log lines about what matters: one for each kind of event and interval, and never with a key.

A line is a sentence for people; the same facts are attributes of the log record for programs
(``extra``). Their names begin with ``cache_``, so that they meet nobody else's: ``cache_event``,
``cache_name``, and what the event has beside them, such as ``cache_key_hash``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from .keyhash import KeyHash
from .observer import report_fault

__all__ = ["EventLog"]

logger = logging.getLogger("flask_caching")

#: Seconds between two lines about events of one kind.
_INTERVAL = 60.0

#: Kinds whose last line is remembered, at most.
_KINDS_REMEMBERED = 1000

#: Characters of the shortest key that is looked for in messages: a shorter one is in any.
_SHORTEST = 4

#: Stands for a message that may not be shown.
_HIDDEN = "(its message names the key)"


class EventLog:
    """The log of one application's cache. Writing to it raises nothing.

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
        keys: Sequence[object] = (),
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
            keys: The keys it is about. Of one that is alone the hash is shown, of others none.
            level: Of :mod:`logging`.
            error: The exception whose class, message and traceback are shown; the last two not
                if a message there names a key.
            facts: Further attributes of the log record.
        """
        try:
            if kind is not None and not self._due(f"{event} {kind}"):
                return
            if error is not None:
                names_key = _names_any(error, [str(key) for key in keys])
                message += ": %s: %s"
                text = _HIDDEN if names_key else str(error)
                args = (*args, type(error).__name__, text)
                error = None if names_key else error
            if len(keys) == 1:
                facts["key_hash"] = self._key_hash(str(keys[0]))
                message += " (key hash %s)"
                args = (*args, facts["key_hash"])
            self._log(level, message, args, error, {"event": event, "name": self._cache, **facts})
        except Exception as fault:
            report_fault("log", fault)

    def _log(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        error: BaseException | None,
        facts: dict[str, Any],
    ) -> None:
        extra = {f"cache_{name}": fact for name, fact in facts.items()}
        logger.log(level, f"cache %r: {message}", self._cache, *args, exc_info=error, extra=extra)

    def _due(self, kind: str) -> bool:
        now = self._clock()
        last = self._last.get(kind)
        if last is not None and now - last < _INTERVAL:
            return False
        if len(self._last) >= _KINDS_REMEMBERED:
            self._last.clear()
        self._last[kind] = now
        return True


def _names_any(error: BaseException, keys: Sequence[str]) -> bool:
    """Whether a message of an exception, or of one that led to it, names a key in some form."""
    forms = {
        form
        for key in keys
        if len(key) >= _SHORTEST
        for form in (key, repr(key)[1:-1], quote(key, errors="replace"))
    }
    return any(form in str(each) for each in _chain(error) for form in forms)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that a traceback shows before it."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            yield found
            pending += [found.__cause__, found.__context__]
