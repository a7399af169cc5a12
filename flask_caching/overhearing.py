"""Listening in: what happens to every cache of the process, for tests.

Also to a cache that nobody watches (``CACHE_INSTRUMENTATION = None``), or that is not there yet.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from .observer import Bypass, Lookup, NullObserver, report_fault

__all__ = ["overhear"]

_listeners: tuple[NullObserver, ...] = ()
_listening = threading.RLock()
_close = Lookup.close
_leave = Bypass.__exit__


@contextmanager
def overhear(listener: NullObserver) -> Generator[None, None, None]:
    """Tell ``listener`` of the end of each lookup and bypass in this process, while inside.

    It is told ``lookup_finished`` and ``bypass_finished``, after the cache's own observer, by the
    thread that looked. The methods of :class:`~flask_caching.observer.Lookup` and
    :class:`~flask_caching.observer.Bypass` are others meanwhile, so that nothing is paid while
    nobody listens; which is why this is for tests.
    """
    global _listeners
    with _listening:
        _listeners = (*_listeners, listener)
        Lookup.close = _close_overheard  # type: ignore[method-assign]
        Bypass.__exit__ = _leave_overheard  # type: ignore[method-assign]
    try:
        yield
    finally:
        with _listening:
            _listeners = tuple(each for each in _listeners if each is not listener)
            if not _listeners:
                Lookup.close = _close  # type: ignore[method-assign]
                Bypass.__exit__ = _leave  # type: ignore[method-assign]


def _close_overheard(self: Lookup, error: BaseException | None = None) -> None:
    _close(self, error)
    for listener in _listeners:
        try:
            listener.lookup_finished(self)
        except Exception as fault:
            report_fault(f"{type(listener).__name__}.lookup_finished", fault)


def _leave_overheard(
    self: Any,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    _leave(self, kind, error, trace)
    for listener in _listeners:
        try:
            listener.bypass_finished(self)
        except Exception as fault:
            report_fault(f"{type(listener).__name__}.bypass_finished", fault)
