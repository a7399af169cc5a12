"""Which functions a cache has decorated, held weakly: some are decorated on every request."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, TypeAlias

from .cached import CachedPolicy
from .memoized import MemoizePolicy
from .observer import Target
from .utils import dotted_name
from .views import callables_behind

__all__ = ["Policy", "Registry"]

Policy: TypeAlias = CachedPolicy | MemoizePolicy


class Registry:
    """The policies of one cache, by the functions that took the decorated ones' place."""

    def __init__(self) -> None:
        self._policies: weakref.WeakKeyDictionary[Any, Policy] = weakref.WeakKeyDictionary()

    def add(self, decorated: Any, policy: Policy) -> None:
        """Remember a decorated function for as long as the application keeps it."""
        self._policies[decorated] = policy

    def policies(self) -> list[Policy]:
        """All policies of functions that still exist."""
        # Not by iterating: another thread may decorate at this moment.
        functions = [reference() for reference in self._policies.keyrefs()]
        found = [self._policies.get(function) for function in functions if function is not None]
        return [policy for policy in found if policy is not None]

    def at(self, part: Any) -> Policy | None:
        """The policy of a function that took a decorated one's place; ``None`` for all else."""
        try:
            return self._policies.get(part)
        except Exception:
            # Not hashable, or not to be referenced weakly: nothing that we made.
            return None

    def behind(self, function: Any) -> list[Policy]:
        """The policies that calling ``function`` goes through, outermost first."""
        found = [self.at(part) for part in callables_behind(function)]
        return [policy for policy in found if policy is not None]

    def targets(self, view_functions: Mapping[str, Any]) -> list[Target]:
        """What an application's cached and memoized views are counted under."""
        return [
            policy.target_at(endpoint) if isinstance(policy, CachedPolicy) else policy.target
            for endpoint, view in view_functions.items()
            for policy in self.behind(view)
        ]

    def of(self, function: Any, kind: type[Policy] | None = None) -> Policy:
        """The policy behind a decorated function, or behind its ``uncached``.

        Args:
            function: The function; both decorators may be on it.
            kind: The kind of policy wanted. The outermost one of another kind is the answer
                where there is none of it; ``None`` wants any.

        Raises:
            TypeError: If this cache did not decorate it.
        """
        if not callable(function):
            raise TypeError(
                f"expected a decorated function, got {function!r}; pass the function itself, not "
                "its name"
            )
        bare = getattr(function, "__func__", function)
        found = self.behind(function)
        found += [policy for policy in self.policies() if policy.function is bare]
        for policy in found:
            if kind is None or isinstance(policy, kind):
                return policy
        if found:
            return found[0]
        raise TypeError(f"{dotted_name(function)} is not decorated by this cache")

    def cached(self, function: Any) -> CachedPolicy:
        """:meth:`of` a function under ``@cached``."""
        policy = self.of(function, CachedPolicy)
        if isinstance(policy, MemoizePolicy):
            raise TypeError(f"{policy.name} is memoized; use delete_memoized")
        return policy

    def memoized(self, function: Any) -> MemoizePolicy:
        """:meth:`of` a function under ``@memoize``."""
        policy = self.of(function, MemoizePolicy)
        if isinstance(policy, CachedPolicy):
            raise TypeError(f"{policy.name} is decorated with @cached; use delete_cached")
        return policy
