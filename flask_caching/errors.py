"""What can go wrong, as one small tree.

::

    CacheError (RuntimeError)
    ├── ConfigurationError (ValueError)      a CACHE_* value that cannot be used
    │   └── BackendImportError (ImportError) CACHE_TYPE names nothing importable
    ├── BackendError                         the store failed or refused
    │   └── BackendUnavailable               it failed before, and is left alone for a while
    ├── RefusedEntry (ValueError)            a value the store does not take, though it works
    ├── SerializationError (TypeError, pickle.PicklingError)
    │                                        a value that cannot be turned into bytes
    ├── UnreadableEntry (ValueError)         bytes in the store that are not an entry of ours
    └── UncacheableArgument (TypeError)      an argument without any identity to make a key of

Each class is also the built-in kind that callers of Flask-Caching 2.x caught in the same
place, so an existing ``except ValueError`` goes on working.
"""

from __future__ import annotations

import pickle
from typing import Any, TypeVar, cast

__all__ = [
    "BackendError",
    "BackendImportError",
    "BackendUnavailable",
    "CacheError",
    "ConfigurationError",
    "RefusedEntry",
    "SerializationError",
    "UncacheableArgument",
    "UnreadableEntry",
    "backend_error",
    "unavailable_error",
]

_Error = TypeVar("_Error", bound="BackendError")


class CacheError(RuntimeError):
    """Base of every error this package raises on its own account."""


class ConfigurationError(CacheError, ValueError):
    """A configuration value cannot be used.

    The message names the key, the value, what is accepted and what to do.
    """


class BackendImportError(ConfigurationError, ImportError):
    """``CACHE_TYPE`` (or another dotted path) names nothing that can be imported.

    Attributes:
        name: The name that was looked for, as :class:`ImportError` has it.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class BackendError(CacheError):
    """A backend failed, or refused, an operation the application asked for directly."""


class BackendUnavailable(BackendError):
    """A backend was not asked, because it failed several times in a row.

    Raised by :class:`flask_caching.breaker.Breaker`, in microseconds.
    """


class RefusedEntry(CacheError, ValueError):
    """A working store does not take this value.

    Decorators and ``Cache.set`` count it as refused; it never reaches the application.

    Attributes:
        reason: One word for a counter, for example ``too_large``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def backend_error(operation: str, error: Exception) -> BackendError:
    """What a direct call raises for a store's failure: a ``BackendError``, and of its own kind too.

    So ``except redis.RedisError`` around ``cache.get`` goes on working. Where no class can be
    both, it is a plain ``BackendError``.

    Args:
        operation: What the application asked for.
        error: What the store raised.
    """
    message = f"the cache's {operation} failed: {type(error).__name__}: {error}"
    return _also(BackendError, type(error), message)


def unavailable_error(kind: type[Exception], message: str) -> BackendUnavailable:
    """A ``BackendUnavailable`` that is also of the kind of the failure that led to it.

    Args:
        kind: What the store raised last.
        message: What to say.
    """
    return _also(BackendUnavailable, kind, message)


def _also(base: type[_Error], kind: type[Exception], message: str) -> _Error:
    """An error that is both a ``base`` and a ``kind``; only a ``base`` if it cannot be both."""
    bases: tuple[Any, ...] = kind.__mro__
    original = next(each for each in bases if not issubclass(each, CacheError))
    try:
        both = _kinds.get((base, original))
        if both is None:
            # Its words are those of a plain error: the other class's may need more than a message.
            words = {"__str__": base.__str__, "__repr__": base.__repr__}
            both = _kinds[base, original] = type(base.__name__, (base, original), words)
        # Past the constructor, which may want other arguments than a message.
        made = original.__new__(both, message)
        made.args = (message,)
    except TypeError:
        made = base(message)
    return cast(_Error, made)


_kinds: dict[tuple[type, type], Any] = {}


class SerializationError(CacheError, TypeError, pickle.PicklingError):
    """A value cannot be turned into the bytes (or the snapshot) that a store keeps."""


class UnreadableEntry(CacheError, ValueError):
    """What a store returned is not an entry this application can read.

    Lookups treat it as a miss and count it; it never reaches the application.

    Attributes:
        reason: One word for a counter: ``foreign``, ``version``, ``secret``, ``signature``,
            ``truncated``, ``value``, or ``too_large`` where somebody said what is
            (``flask_caching.serializers.Codec.largest``).
        key: The key it was found under, where that is known; never part of the message.
    """

    def __init__(self, message: str, reason: str, key: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.key = key


class UncacheableArgument(CacheError, TypeError):
    """A call's argument has no identity that a key could be made of.

    Attributes:
        path: Where the value sits in the call, for example ``"options['db']"``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
