"""What the decorators are told, and where a decorated call finds its cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .keys import SAFE_METHODS
from .state import AppState
from .typing import CollisionPolicy, HashMethod

__all__ = ["CachedOptions", "MemoizeOptions", "StateProvider"]


class StateProvider(Protocol):
    """Where a decorated call finds the cache of the current application."""

    def state_for_call(self) -> AppState | None:
        """The current application's cache; ``None`` if which one is meant cannot be known."""
        ...

    def state(self) -> AppState:
        """The current application's cache; raises if which one is meant cannot be known."""
        ...


@dataclass(frozen=True)
class CachedOptions:
    """The arguments of ``@cached``, but for ``timeout``; documented at ``Cache.cached``."""

    key_prefix: str | Callable[[], str] = "view/%s"
    unless: Callable[..., Any] | None = None
    forced_update: Callable[..., Any] | None = None
    is_stale: Callable[..., Any] | None = None
    response_filter: Callable[[Any], Any] | None = None
    query_string: bool | tuple[str, ...] = False
    ignore_query: tuple[str, ...] = ()
    hash_method: HashMethod | None = None
    cache_none: bool = False
    make_cache_key: Callable[..., str] | None = None
    source_check: bool | None = None
    response_hit_indication: bool = False
    methods: frozenset[str] = SAFE_METHODS
    vary: tuple[str | Callable[[], Any], ...] = ()
    store_cookies: bool = False
    collisions: CollisionPolicy | None = None


@dataclass(frozen=True)
class MemoizeOptions:
    """The arguments of ``@memoize``, but for ``timeout``; documented at ``Cache.memoize``."""

    make_name: Callable[[str], str] | None = None
    unless: Callable[..., Any] | None = None
    forced_update: Callable[..., Any] | None = None
    is_stale: Callable[..., Any] | None = None
    response_filter: Callable[[Any], Any] | None = None
    hash_method: HashMethod | None = None
    cache_none: bool = False
    source_check: bool | None = None
    args_to_ignore: tuple[str, ...] = ()
    store_cookies: bool = False
