"""Flask's contexts, the quickest way there is: every hit asks for both.

A proxy (``request``, ``current_app``) goes through a function of Python's for each look. The
variable behind it does not; where Flask has none of the name, the proxy is asked as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, cast

from flask import globals as flask_globals

__all__ = ["app_context", "current_request", "request_context"]


def _quickest(variable: str, *proxies: str, stack: str) -> Callable[[], Any]:
    names = vars(flask_globals)
    held: Any = names.get(variable)
    if isinstance(held, ContextVar):
        get: Callable[[], Any] = cast("Any", held).get
        return get
    for name in proxies:
        if name in names:
            asked: Callable[[], Any] = names[name]._get_current_object
            return asked
    # Below Flask 2.2 there is only the stack.
    return lambda: names[stack].top


#: The context of the current application: ``LookupError``, ``RuntimeError`` or ``None`` without.
app_context: Final = _quickest("_cv_app", "app_ctx", stack="_app_ctx_stack")

#: That of the current request, likewise. Flask may have one context for both.
request_context: Final = _quickest(
    "_cv_request", "request_ctx", "app_ctx", stack="_request_ctx_stack"
)


def current_request() -> Any:
    """The request object itself, or ``None`` outside a request."""
    try:
        return request_context().request
    except (LookupError, RuntimeError, AttributeError):
        return None
