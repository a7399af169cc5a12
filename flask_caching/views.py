"""Finding cached callables: behind decorators, in view classes, in an application's routes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any, cast

from flask.views import http_method_funcs

__all__ = ["callables_behind", "endpoints_of", "innermost", "inside", "is_behind"]

#: The methods that Flask calls of a view class.
_DISPATCHED = frozenset({"dispatch_request", *http_method_funcs})

#: A function with both is taken for a decorator's wrapper, whose closure holds what it wraps.
_WRAPPER_FLAGS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def callables_behind(function: Any) -> Iterator[Any]:
    """``function`` and whatever it leads to: what it wraps, its class's methods, its closure.

    Follows ``__wrapped__``, partials, bound methods, the methods that Flask calls of a
    ``view_class``, and the closure of a function that takes ``*args, **kwargs`` (a decorator
    written without ``functools.wraps``), or the attributes of an object that is called so. Not
    the closure of any other function, nor the other methods of a class: a view that uses a
    cached helper does not *contain* it.
    """
    pending = [function]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        pending.extend(_one_step(found))


def _one_step(found: Any) -> Iterator[Any]:
    members: dict[str, Any] = getattr(found, "__dict__", {})
    # The attributes of a static or class method are copies of those of the function inside.
    if "view_class" in members and type(found) not in (classmethod, staticmethod):
        view_class: type[Any] = members["view_class"]
        for cls in view_class.__mro__[:-1]:
            namespace: dict[str, Any] = dict(vars(cls))
            yield from (namespace[name] for name in _DISPATCHED & namespace.keys())
    yield from inside(found)


def inside(found: Any) -> Iterator[Any]:
    """What a callable is around, if it is a decorator's wrapper; see :func:`callables_behind`."""
    if type(found) in (classmethod, staticmethod):
        # Its own ``__wrapped__`` is a copy of what the function inside has.
        yield found.__func__
        return
    members: dict[str, Any] = getattr(found, "__dict__", {})
    if "__wrapped__" in members:
        yield members["__wrapped__"]
    if functools.partial in type(found).__mro__:
        yield found.func
    if type(found) is MethodType:
        yield found.__func__
    if type(found) is FunctionType:
        if found.__code__.co_flags & _WRAPPER_FLAGS != _WRAPPER_FLAGS:
            return
        for cell in found.__closure__ or ():
            try:
                content: Any = cell.cell_contents
            except ValueError:
                # A variable of the enclosing function that is not assigned yet.
                continue
            if not callable(content) or inspect.isclass(content):
                continue
            # Where the wrapper says what it wraps, only what leads there: the rest it just uses.
            if "__wrapped__" not in members or innermost(content) is innermost(found):
                yield content
    elif _is_wrapper_object(found):
        yield from (
            member
            for member in members.values()
            if callable(member) and not inspect.isclass(member)
        )


def innermost(function: Any) -> Any:
    """What is left of a function without its decorators."""
    seen: set[int] = set()
    while id(function) not in seen:
        seen.add(id(function))
        function = getattr(function, "__dict__", {}).get("__wrapped__", function)
    return function


def _is_wrapper_object(found: Any) -> bool:
    """Whether it is an object of a decorator's class, whose attributes hold what it wraps."""
    # Of the class: the object may stand in for something else, or answer to any name.
    kind = type(cast("object", found))
    code = getattr(inspect.getattr_static(kind, "__call__", None), "__code__", None)
    return code is not None and code.co_flags & _WRAPPER_FLAGS == _WRAPPER_FLAGS


def is_behind(view: Any, function: Any) -> bool:
    """Whether calling ``view`` is calling ``function``, decorators aside."""
    return any(found is function for found in callables_behind(view))


def endpoints_of(view_functions: dict[str, Any], function: Any) -> list[str]:
    """The endpoints whose view is ``function``, decorators aside."""
    return [endpoint for endpoint, view in view_functions.items() if is_behind(view, function)]
