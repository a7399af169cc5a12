"""What the policies behind ``@cached`` and ``@memoize`` have in common."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .conditions import stale_check, with_call
from .lookup import ReadThrough
from .observer import Target
from .options import CachedOptions, MemoizeOptions, StateProvider
from .typing import CollisionPolicy, Timeout
from .utils import normalize_timeout

__all__ = ["DecoratorPolicy"]


class DecoratorPolicy(ReadThrough):
    """The policy behind one decorated function, and the handles on the function it became.

    Args:
        cache: Finds the application's cache at each call.
        function: The function.
        target: What its calls are counted under.
        options: The decorator's arguments.
        collisions: See :class:`~flask_caching.lookup.ReadThrough`.

    Attributes:
        name: The function's name, in messages and explanations.
        unless: The decorator's condition, ready to be called with the call's arguments.
        forced: ``forced_update``, likewise.
    """

    name: str

    def __init__(
        self,
        cache: StateProvider,
        function: Callable[..., Any],
        target: Target,
        options: CachedOptions | MemoizeOptions,
        collisions: CollisionPolicy | None = None,
    ) -> None:
        super().__init__(
            function,
            target,
            is_stale=stale_check(options.is_stale),
            cache_none=options.cache_none,
            collisions=collisions,
        )
        self.cache = cache
        self.unless = with_call(options.unless, function)
        self.forced = with_call(options.forced_update)
        self._default_make = self.make_cache_key
        self._decorated: weakref.ref[Any]

    def decorate(self, timeout: Timeout) -> Any:
        """The function that takes the place of the decorated one; it keeps this alive.

        Args:
            timeout: What ``cache_timeout`` starts with.
        """
        decorated = self.wrapper()
        decorated.uncached = self.function
        decorated.cache_timeout = timeout
        decorated.make_cache_key = self._default_make
        self._decorated = weakref.ref(decorated)
        return decorated

    def decorated(self) -> Any:
        """What :meth:`decorate` returned, or ``None`` if the application dropped it."""
        return self._decorated()

    def timeout(self) -> float | None:
        decorated = self._decorated()
        return None if decorated is None else normalize_timeout(decorated.cache_timeout)

    def assigned_key(self) -> Callable[..., Any] | None:
        """A key maker that the application assigned to the decorated function."""
        decorated = self._decorated()
        assigned = self._default_make if decorated is None else decorated.make_cache_key
        return None if assigned is self._default_make else assigned

    def make_cache_key(self, *args: Any, **kwargs: Any) -> str:
        """The key of a call."""
        raise NotImplementedError
