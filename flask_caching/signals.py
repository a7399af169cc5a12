"""Signals of hits and misses, sent where ``CACHE_ENABLE_SIGNALS`` is set.

A receiver is called as ``receiver(sender, **payload)``; ``sender`` is ``None``. It only watches:
what it raises is reported (:data:`flask_caching.observer.faults`) and changes nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

from blinker import Namespace, Signal

from .observer import report_fault

__all__ = [
    "cache_memoize_hit",
    "cache_memoize_miss",
    "cache_view_hit",
    "cache_view_miss",
    "send",
]

_signals = Namespace()

#: A ``@cached`` function was answered from the cache. Payload: ``cache`` (the Cache),
#: ``cache_key``, and the call's ``args`` and ``kwargs``.
cache_view_hit: Signal = _signals.signal("cache-view-hit")

#: A ``@cached`` function was not found in the cache and runs. The same payload.
cache_view_miss: Signal = _signals.signal("cache-view-miss")

#: A ``@memoize`` function was answered from the cache. The same payload, and ``f``, the
#: function without its decorator.
cache_memoize_hit: Signal = _signals.signal("cache-memoize-hit")

#: A ``@memoize`` function was not found in the cache and runs. The same payload, with ``f``.
cache_memoize_miss: Signal = _signals.signal("cache-memoize-miss")


def send(signal: Signal, **payload: Any) -> None:
    """Call each receiver of ``signal``; what one raises does not reach the others or the caller.

    Args:
        signal: One of this module's.
        payload: What the receivers are told.
    """
    # blinker gives the mute switch another name below 1.6, and has none below 1.5.
    if not signal.receivers or getattr(signal, "is_muted", getattr(signal, "_is_muted", False)):
        return
    for receiver in signal.receivers_for(None):
        try:
            if inspect.iscoroutinefunction(receiver):
                raise TypeError("a receiver of these signals is a plain function, not a coroutine")
            receiver(None, **payload)
        except Exception as error:
            name = getattr(receiver, "__qualname__", type(receiver).__qualname__)
            report_fault(f"receiver {name} of {getattr(signal, 'name', 'a signal')}", error)
