"""Which kind of failure an exception is: one of eight words, whatever library raised it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

__all__ = ["ErrorType", "error_type"]

ErrorType: TypeAlias = Literal[
    "timeout",
    "connection",
    "serialization",
    "too_large",
    "invalid_key",
    "auth",
    "readonly",
    "other",
]

#: Class names, so that no client library is imported to ask. Looked up along the class's bases,
#: the most specific first: redis-py's AuthenticationError is a ConnectionError too.
_CLASSES: Final[dict[str, ErrorType]] = {
    # Python, and this package
    "TimeoutError": "timeout",
    "ConnectionError": "connection",
    "gaierror": "connection",
    "herror": "connection",
    "SSLError": "connection",
    "SerializationError": "serialization",
    "UnreadableEntry": "serialization",
    "PickleError": "serialization",
    "JSONDecodeError": "serialization",
    "UnicodeError": "serialization",
    # redis-py
    "AuthenticationError": "auth",
    "AuthorizationError": "auth",
    "NoPermissionError": "auth",
    "ReadOnlyError": "readonly",
    "BusyLoadingError": "connection",
    "ClusterError": "connection",
    "RedisClusterException": "connection",
    "MasterNotFoundError": "connection",
    "SlaveNotFoundError": "connection",
    "MaxConnectionsError": "connection",
    # pymemcache
    "MemcacheIllegalInputError": "invalid_key",
    "MemcacheUnexpectedCloseError": "connection",
}

_NUMBERS: Final[dict[int, ErrorType]] = {
    errno.EROFS: "readonly",
    errno.EACCES: "readonly",
    errno.EPERM: "readonly",
    errno.EFBIG: "too_large",
    errno.ENAMETOOLONG: "invalid_key",
    errno.ENETUNREACH: "connection",
    errno.EHOSTUNREACH: "connection",
    errno.ENOTCONN: "connection",
}

#: Servers tell some failures only in words; these begin or are part of the message.
_WORDS: Final[tuple[tuple[str, ErrorType], ...]] = (
    ("noauth", "auth"),
    ("wrongpass", "auth"),
    ("noperm", "auth"),
    ("the user executing the script can't run", "auth"),  # Redis 6.2 and 7.0, of a Lua script
    ("readonly", "readonly"),
    ("too large", "too_large"),
    ("too long", "invalid_key"),
    ("timed out", "timeout"),
    ("maximum allowed size", "too_large"),
)


def error_type(error: BaseException) -> ErrorType:
    """Classify a failure of a store or a codec.

    An exception that says nothing itself is judged by the one that caused it.
    """
    for each in _chain(error):
        found = _own_type(each)
        if found != "other":
            return found
    return "other"


def _own_type(error: BaseException) -> ErrorType:
    for kind in type(error).__mro__:
        if kind.__name__ in _CLASSES:
            return _CLASSES[kind.__name__]
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return _NUMBERS[error.errno]
    words = str(error).lower()
    for part, found in _WORDS:
        if part in words:
            return found
    return "other"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # Bounded: a chain of causes may be a circle.
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__
