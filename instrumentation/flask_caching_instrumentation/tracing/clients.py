"""Whether an OpenTelemetry instrumentation of a client library sees what goes through a function.

Such an instrumentation puts a wrapper (of the package ``wrapt``) in the place of a function of the
library's classes, or of one client's. So it is the function itself that tells, whenever it is
asked: whether the instrumentation came before the cache or after it, for all clients or for one,
and whether it is gone again. Wrappers of others do not count: they make no spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

__all__ = ["are_traced", "is_traced"]

_INSTRUMENTATIONS: Final = "opentelemetry.instrumentation."

#: Wrappers around wrappers, at most: an object may claim to wrap itself.
_DEPTH: Final = 16


def is_traced(function: Any) -> bool:
    """Whether a wrapper of an OpenTelemetry instrumentation is around ``function``."""
    for _ in range(_DEPTH):
        if function is None:
            return False
        wrapper = getattr(function, "_self_wrapper", None)
        if str(getattr(wrapper, "__module__", "")).startswith(_INSTRUMENTATIONS):
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def are_traced(functions: Iterable[Any]) -> bool:
    """Whether one of the functions that a call goes through is traced."""
    return any(map(is_traced, functions))
