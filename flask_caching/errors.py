"""What can go wrong, as one small tree.

::

    CacheError (RuntimeError)
    ├── ConfigurationError (ValueError)      a CACHE_* value that cannot be used
    │   └── BackendImportError (ImportError) CACHE_TYPE names nothing importable
    ├── BackendError                         the store failed or refused
    ├── SerializationError (TypeError, pickle.PicklingError)
    │                                        a value that cannot be turned into bytes
    ├── UnreadableEntry (ValueError)         bytes in the store that are not an entry of ours
    └── UncacheableArgument (TypeError)      an argument without any identity to make a key of

Each class is also the built-in kind that callers of Flask-Caching 2.x caught in the same
place, so an existing ``except ValueError`` goes on working.
"""

from __future__ import annotations

import pickle

__all__ = [
    "BackendError",
    "BackendImportError",
    "CacheError",
    "ConfigurationError",
    "SerializationError",
    "UncacheableArgument",
    "UnreadableEntry",
    "backend_error",
]


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


def backend_error(operation: str, error: Exception) -> BackendError:
    """What a direct call raises for a store's failure: a ``BackendError``, and of its own kind too.

    So ``except redis.RedisError`` around ``cache.get`` goes on working. Where no class can be
    both, it is a plain ``BackendError``.

    Args:
        operation: What the application asked for.
        error: What the store raised.
    """
    message = f"the cache's {operation} failed: {type(error).__name__}: {error}"
    original = type(error)
    try:
        kind = _kinds.get(original)
        if kind is None:
            kind = _kinds[original] = type("BackendError", (BackendError, original), {})
        # Past the constructor, which may want other arguments than a message.
        made: BackendError = original.__new__(kind, message)
        made.args = (message,)
    except TypeError:
        made = BackendError(message)
    return made


_kinds: dict[type[Exception], type[BackendError]] = {}


class SerializationError(CacheError, TypeError, pickle.PicklingError):
    """A value cannot be turned into the bytes (or the snapshot) that a store keeps."""


class UnreadableEntry(CacheError, ValueError):
    """What a store returned is not an entry this application can read.

    Lookups treat it as a miss and count it; it never reaches the application.

    Attributes:
        reason: One word for a counter: ``foreign``, ``version``, ``secret``, ``signature``,
            ``truncated`` or ``value``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UncacheableArgument(CacheError, TypeError):
    """A call's argument has no identity that a key could be made of.

    Attributes:
        path: Where the value sits in the call, for example ``"options['db']"``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
