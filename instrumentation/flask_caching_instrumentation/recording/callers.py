"""On whose behalf the request is read right now: the stack says so.

While a function runs because its value was not found, the request is read by others too: by the
key makers of the cached functions that it calls, by a store whose key prefix is the tenant, by
Flask itself. What counts is what the function reads, and whatever it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from types import CodeType, FrameType, MappingProxyType
from typing import Any, NamedTuple

import flask
import flask.helpers
from flask import Flask

from flask_caching import cached, driving, jinja2ext, lookup, responses

from .templates import Processor

__all__ = ["Caller", "Reader", "caller", "in_copied_context"]


class Reader(Enum):
    """Who reads."""

    #: The function that is loaded, or what it calls.
    FUNCTION = "function"
    #: The cache, or what it calls (a key maker, a condition, a store), or Flask for itself.
    LIBRARY = "library"
    #: Nobody that the cache called: another thread, or a task of its own.
    OTHER = "other"


class Caller(NamedTuple):
    """What the stack says.

    Attributes:
        reader: Who reads.
        own: Inputs that the code which reads uses for itself alone.
        processor: The context processor that it is, or that has called it.
    """

    reader: Reader
    own: frozenset[str]
    processor: Processor | None = None


def _inside(function: Any) -> Iterator[CodeType]:
    """The code of the functions that are defined in a function."""
    yield from (item for item in _code(function).co_consts if isinstance(item, CodeType))


def _code(function: Any) -> CodeType:
    """A function's code; that of what is inside if somebody has wrapped it."""
    code: CodeType = inspect.unwrap(function).__code__
    return code


#: Where the cache lets the application's functions, and the generators they return, run.
_RUNS = frozenset(
    {
        driving.drive.__code__,
        driving.drive_async.__code__,
        responses.buffer_iterator.__code__,
        # An ``HTTPException`` renders its body there.
        cached.CachedPolicy.run_function.__code__,
        # A fragment that is not to be cached.
        jinja2ext.CacheExtension._cache.__code__,  # pyright: ignore[reportPrivateUsage]
        *_inside(lookup.ReadThrough.go_on),
        *_inside(lookup.ReadThrough.call_async),
    }
)

#: Where Flask reads a request for itself: to add a message to those that are in the session, to
#: copy the request's context for another thread.
_FLASKS_OWN = frozenset({_code(flask.helpers.flash), _code(Flask.create_url_adapter)})

#: Modules of Flask that look at an input to do their own work, which says nothing of the result:
#: a view class for the method to call, a response for whether it may be conditional.
_OWN_OF_MODULES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "flask.views": frozenset({"method"}),
        "werkzeug.http": frozenset({"method"}),
        "werkzeug.wrappers.response": frozenset({"method"}),
    }
)

_NOTHING: frozenset[str] = frozenset()

#: Where Flask calls context processors, one after the other.
_PROCESSING = _code(Flask.update_template_context)

#: What :func:`flask.copy_current_request_context` makes.
_COPIES = frozenset(_inside(flask.copy_current_request_context))

_PACKAGES = ("flask_caching.", "flask_caching_instrumentation.")

#: Modules that stand between whoever reads and what notes it.
_BETWEEN = frozenset({"flask_caching.reads", "werkzeug.local"})
_OURS = __name__.rpartition(".")[0]


def caller() -> Caller:
    """Who reads the request right now."""
    frame = inspect.currentframe()
    own: frozenset[str] | None = None
    processor: Processor | None = None
    while frame is not None:
        module = _module(frame)
        if not (module in _BETWEEN or module.startswith(_OURS)):
            if own is None:
                own = _OWN_OF_MODULES.get(module, _NOTHING)
            if frame.f_code in _FLASKS_OWN:
                return Caller(Reader.LIBRARY, own)
            if frame.f_code is _PROCESSING:
                processor = _processor(frame.f_locals)
            if module.startswith(_PACKAGES):
                reader = Reader.FUNCTION if frame.f_code in _RUNS else Reader.LIBRARY
                return Caller(reader, own, processor)
        frame = frame.f_back
    return Caller(Reader.OTHER, own or _NOTHING, processor)


def in_copied_context() -> bool:
    """Whether this runs in a copy of the request's context: in another thread, most likely."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in _COPIES:
            return True
        frame = frame.f_back
    return False


def _processor(variables: Mapping[str, Any]) -> Processor | None:
    """The context processor that :meth:`flask.Flask.update_template_context` is calling."""
    function, context = variables.get("func"), variables.get("context")
    passed = variables.get("orig_ctx")
    if function is None or context is None or passed is None:
        return None
    return Processor(function, context, frozenset(passed))


def _module(frame: FrameType) -> str:
    # Templates have their own globals, without a name.
    name: str = frame.f_globals.get("__name__", "")
    return name
