"""The application's own conditions (``unless`` and the like), called as they want to be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .utils import wants_args, wants_extra_args

__all__ = ["stale_check", "with_call"]


def with_call(
    condition: Callable[..., Any] | None, *leading: Any
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any] | None:
    """A condition that may or may not want the call's arguments, as one that takes them.

    Args:
        condition: ``unless`` or ``forced_update``.
        leading: What precedes the call's arguments where the condition wants them.
    """
    if condition is None:
        return None
    if wants_args(condition):
        return lambda args, kwargs: condition(*leading, *args, **kwargs)
    return lambda args, kwargs: condition()


def stale_check(is_stale: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """``is_stale`` as one that takes the value and the call's arguments."""
    if is_stale is None or wants_extra_args(is_stale):
        return is_stale

    def of_value(value: Any, *args: Any, **kwargs: Any) -> Any:
        return is_stale(value)

    return of_value
