"""Deleting what the decorators stored: by view and arguments, by function, instance or class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import BackendError
from .memoized import MemoizePolicy
from .registry import Registry
from .typing import QueryArgs
from .values import ValueOperations, attempt

__all__ = ["Deletion"]


class Deletion(ValueOperations):
    """``delete_cached`` and ``delete_memoized``. Base of :class:`flask_caching.Cache`."""

    _registry: Registry

    def delete_cached(
        self,
        f: Callable[..., Any],
        path: str | None = None,
        query_args: QueryArgs | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Delete what is stored of a cached view for its arguments, or of a cached helper.

        A view that has several URLs for these arguments loses the entries of all of them.
        Host, scheme and script root are those of the current request, or else of the
        application's ``SERVER_NAME``, ``PREFERRED_URL_SCHEME`` and ``APPLICATION_ROOT``.

        Args:
            f: What ``@cached`` decorated.
            path: The ``request.path`` it was stored for, and no other; ``None`` builds the
                paths from ``kwargs``.
            query_args: The query string it was stored for: text, a mapping or pairs.
            headers: The request headers it was stored for, cookies included; ``None`` takes
                those of the current request. A view's own argument of this name goes first.
            kwargs: The view's arguments.

        Returns:
            Whether there was an entry.

        Raises:
            TypeError: If ``f`` is not cached by this cache.
            CacheError: If no key can be made of this: no route leads to the path, or
                ``vary`` needs a request and there is none.
        """
        policy = self._registry.cached(f)
        keys = policy.keys_of(path, query_args, headers, kwargs)
        # All of them, not only up to the first that was there.
        deleted = [self.delete(key) for key in keys]
        return any(deleted)

    def delete_memoized(self, f: Any, *args: Any, **kwargs: Any) -> None:
        """Forget what a memoized function returned.

        Args:
            f: The function: all its values. A method of an instance: all values of that
                instance. A method of a class: those of every instance. A class: those of all
                its memoized methods.
            args: Only the value of the call with these arguments. The instance of a bound
                method may be left out; the class of a class method may not.
            kwargs: See ``args``.

        Raises:
            TypeError: If ``f`` is not memoized by this cache.
            ValueError: If the call lacks its instance or class.
        """
        if inspect.isclass(f):
            self._forget_class(f)
            return
        policy = self._registry.memoized(f)
        if not (args or kwargs):
            self._renew([(policy, self._own_version_key(policy, f))])
            return
        receiver = getattr(f, "__self__", None)
        bound = receiver is not None and not inspect.isclass(receiver)
        if bound and policy.binder.takes_self and not (args and args[0] is receiver):
            args = (receiver, *args)
        key_of = policy.assigned_key() or policy.make_cache_key
        self.delete(key_of(policy.function, *args, **kwargs))

    def delete_memoized_verhash(self, f: Any, *args: Any) -> None:
        """Delete a memoized function's version, so that the next call makes a new one.

        Args:
            f: A memoized function or method, as for :meth:`delete_memoized`.
            args: Accepted as ever; not used.
        """
        policy = self._registry.memoized(f)
        self.delete(self._own_version_key(policy, f))

    def _own_version_key(self, policy: MemoizePolicy, f: Any) -> str:
        """The version of the instance for a bound method, else that of the function."""
        receiver = getattr(f, "__self__", None)
        if receiver is None or inspect.isclass(receiver):
            return policy.version_keys(())[-1]
        return policy.version_keys((receiver,))[-1]

    def _forget_class(self, cls: type) -> None:
        found = {
            policy
            for base in cls.__mro__
            for member in vars(base).values()
            for policy in self._registry.behind(member)
            if isinstance(policy, MemoizePolicy)
        }
        if not found:
            raise TypeError(f"{cls.__qualname__} has no methods memoized by this cache")
        self._renew([(policy, policy.version_keys(())[0]) for policy in found])

    def _renew(self, versions: Iterable[tuple[MemoizePolicy, str]]) -> None:
        """Give functions or instances new versions; all of them, also if one cannot be written."""
        state = self.state()
        failed: Exception | None = None
        for policy, key in versions:
            try:
                attempt(state, "set", None, policy.renew, state, key)
            except BackendError as error:
                failed = failed or error
        if failed is not None:
            raise failed
