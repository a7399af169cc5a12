"""A span that is the current one for a while, wherever that while ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    Status,
    StatusCode,
    get_current_span,
    propagation,
    set_span_in_context,
)

from flask_caching.observer import report_fault

from .spans import ERROR_TYPE, EXCEPTION, EXCEPTION_TYPE

__all__ = [
    "NO_CONTEXT",
    "SPAN_KEY",
    "Scope",
    "current_context",
    "ids_of",
    "is_suppressed",
    "mark_failed",
    "suppressed",
    "type_name",
]

#: What ``suppress_instrumentation`` of opentelemetry-instrumentation sets, in all its versions.
_SUPPRESS: Final = "suppress_instrumentation"
#: What exporters set around their own work.
_SUPPRESS_ALL: Final[str] = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", _SUPPRESS)

#: Says, when it is set back, whether that is done where it was set.
_opened: ContextVar[bool] = ContextVar("flask_caching_span_opened", default=False)


#: Where OpenTelemetry's API keeps the current span in a context. A name of our own, if unknown.
SPAN_KEY: Final[str] = getattr(propagation, "_SPAN_KEY", "flask-caching-span")


#: The current context where there is none.
NO_CONTEXT: Final[Mapping[str, Any]] = Context()


def _quickest() -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """What gives the current context, the quickest way there is: every hit asks.

    That of the API goes through six functions; this one through none of Python's. Where the API
    keeps its context otherwise than it does now, it is asked for the span as usual.
    """

    def ordinary(nothing: Mapping[str, Any]) -> Mapping[str, Any]:
        return {SPAN_KEY: get_current_span()}

    # Old versions look for their context when they are asked first.
    context_api.get_current()
    runtime: Any = getattr(context_api, "_RUNTIME_CONTEXT", None)
    variable: Any = getattr(runtime, "_current_context", None)
    if not isinstance(variable, ContextVar):
        return ordinary
    quick: Callable[[Mapping[str, Any]], Mapping[str, Any]] = cast("Any", variable).get
    probe = NonRecordingSpan(INVALID_SPAN_CONTEXT)
    token: Any = context_api.attach(set_span_in_context(probe))
    try:
        return quick if quick(NO_CONTEXT).get(SPAN_KEY) is probe else ordinary
    except Exception:
        return ordinary
    finally:
        context_api.detach(token)


#: The current context, or what it is given where there is none. It has the current span under
#: ``SPAN_KEY``: nothing, or one that is not recorded, where there is none.
current_context: Final = _quickest()


class Scope:
    """A span that is the current one from now on, until it is closed.

    It may be closed in another context than it was opened in: by the garbage collector, which
    closes a coroutine that nobody finished. Then that context is left as it is. (OpenTelemetry's
    own ``detach`` would log an error.)

    Args:
        span: The span.
        quiet: Whether instrumentations of others are to make no spans inside.

    Attributes:
        span: As given.
        linked: Whether it has a link, for whoever may add it later.
    """

    __slots__ = ("_mark", "_token", "linked", "span")

    def __init__(self, span: Span, quiet: bool = False) -> None:
        self.span = span
        self.linked = False
        try:
            context = set_span_in_context(span)
            if quiet:
                context = context_api.set_value(_SUPPRESS, True, context)
            # The API's type of a token differs from version to version.
            self._token: Any = context_api.attach(context)
        except BaseException:
            # Nobody else will.
            span.end()
            raise
        self._mark = _opened.set(True)

    def close(self) -> None:
        """End the span, and make that current which was before. Never raises."""
        try:
            _opened.reset(self._mark)
        except (ValueError, RuntimeError):
            # In another context, or for the second time: there is nothing to go back to.
            pass
        else:
            context_api.detach(self._token)
        try:
            self.span.end()
        except Exception as fault:
            report_fault("tracing.end", fault)


def is_suppressed() -> bool:
    """Whether somebody wants no instrumentation to make spans here."""
    get = context_api.get_value
    return bool(get(_SUPPRESS) or get(_SUPPRESS_ALL))


@contextmanager
def suppressed() -> Generator[None]:
    """Let instrumentations of others make no spans inside: what happens there is nobody's call."""
    context = context_api.set_value(_SUPPRESS, True, context_api.set_value(_SUPPRESS_ALL, True))
    token: Any = context_api.attach(context)
    try:
        yield
    finally:
        context_api.detach(token)


def mark_failed(span: Span, error: BaseException) -> None:
    """Say of what kind a failure was; its message may hold a key or a password, and is left out."""
    name = type_name(error)
    span.set_attribute(ERROR_TYPE, name)
    span.add_event(EXCEPTION, {EXCEPTION_TYPE: name})
    span.set_status(Status(StatusCode.ERROR))


def type_name(error: BaseException) -> str:
    """The dotted name of an exception's class; of a builtin one, its name."""
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def ids_of(span: Span) -> dict[str, str] | None:
    """The ids of a sampled span's trace and of the span itself, in hexadecimal digits."""
    context = span.get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
