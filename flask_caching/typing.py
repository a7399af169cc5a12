"""Types and sentinels shared by the modules of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeGuard

__all__ = [
    "MISS",
    "CollisionPolicy",
    "HashMethod",
    "KeyStrategy",
    "Miss",
    "QueryArgs",
    "Source",
    "Timeout",
    "is_iterator",
    "is_tuple",
]

#: Seconds (``0``: never expires), a ``timedelta``, or ``None`` for the cache's default.
Timeout: TypeAlias = float | timedelta | None

#: Query arguments as ``delete_cached`` and ``make_cache_key`` take them.
QueryArgs: TypeAlias = str | Mapping[str, Any] | Iterable[tuple[str, Any]]

#: Who asked: a cached view or helper, a memoized function, a template fragment, the application.
Source: TypeAlias = Literal["view", "memoize", "template", "direct"]

#: What a request gets when its key holds another request's entry.
CollisionPolicy: TypeAlias = Literal["report", "refuse", "allow"]

KeyStrategy: TypeAlias = Literal["compatible", "strict"]


class Hash(Protocol):
    """The part of a ``hashlib`` object that key making uses."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


#: A hash constructor such as ``hashlib.sha256``.
HashMethod: TypeAlias = Callable[..., Hash]


class Miss(Enum):
    """The type of :data:`MISS`, so that type checkers can narrow on it."""

    MISS = "miss"

    def __repr__(self) -> str:
        return "MISS"

    def __bool__(self) -> bool:
        return False


#: Nothing was found. Distinct from ``None``, which is a value like any other.
MISS: Final = Miss.MISS


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether ``value`` is a tuple, and one of anything to type checkers."""
    return isinstance(value, tuple)


def is_iterator(value: object) -> TypeGuard[Iterator[Any]]:
    """Whether ``value`` is an iterator, and one of anything to type checkers."""
    return isinstance(value, Iterator)
