"""What the decorators return, as type checkers see it: the function, with handles on its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .typing import Timeout

__all__ = ["CachedFunction", "MemoizedFunction"]

P = ParamSpec("P")
P2 = ParamSpec("P2")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class BoundCachedFunction(Protocol[P, R_co]):
    """A cached method, read from an instance."""

    cache_timeout: Timeout
    make_cache_key: Callable[..., str]
    uncached: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class CachedFunction(Protocol[P, R_co]):
    """What ``@cached`` makes of a function: the same to call, with handles on its cache.

    Attributes:
        uncached: The function itself.
        cache_timeout: Seconds, a ``timedelta``, or ``None`` for the default; may be assigned.
        make_cache_key: The key of a call or a request; may be assigned.
    """

    __name__: str
    cache_timeout: Timeout
    make_cache_key: Callable[..., str]

    @property
    def uncached(self) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[T, P2], R], instance: T, owner: type | None = None, /
    ) -> BoundCachedFunction[P2, R]: ...


class BoundMemoizedFunction(Protocol[P, R_co]):
    """A memoized method, read from an instance."""

    cache_timeout: Timeout
    make_cache_key: Callable[..., str]
    delete_memoized: Callable[[], None]
    uncached: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class MemoizedFunction(Protocol[P, R_co]):
    """What ``@memoize`` makes of a function: the same to call, with handles on its cache.

    Attributes:
        uncached: The function itself.
        cache_timeout: Seconds, a ``timedelta``, or ``None`` for the default; may be assigned.
        make_cache_key: The key of a call, given the function and the call's arguments; may be
            assigned.
        delete_memoized: Forgets all values of the function.
    """

    __name__: str
    cache_timeout: Timeout
    make_cache_key: Callable[..., str]
    delete_memoized: Callable[[], None]

    @property
    def uncached(self) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(
        self, instance: None, owner: type | None = None, /
    ) -> MemoizedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: MemoizedFunction[Concatenate[T, P2], R], instance: T, owner: type | None = None, /
    ) -> BoundMemoizedFunction[P2, R]: ...
