"""Where a cached function is written, and what a person calls it."""

from __future__ import annotations

import inspect
import os.path
from types import FunctionType
from typing import Any, NamedTuple

from flask_caching.identity import type_of
from flask_caching.registry import Policy
from flask_caching.utils import dotted_name
from flask_caching.views import inside
from flask_caching.ways import class_of_view, made_by_as_view

__all__ = ["Where", "name_of", "relative", "view_class_of", "where"]


class Where(NamedTuple):
    """Where a function is written.

    Attributes:
        file: Its file: relative to the working directory if it is below that, else absolute; empty
            where there is none.
        line: Its first line.
    """

    file: str = ""
    line: int | None = None


def name_of(policy: Policy) -> str:
    """Module and qualified name of what a cache decorates, other decorators aside."""
    found = _deepest(policy.function)
    view_class = view_class_of(found)
    return dotted_name(found if view_class is None else view_class)


def where(function: Any) -> Where:
    """Where a function is written, other decorators aside; of a class's view its first member."""
    found: Any = _deepest(function)
    view_class = view_class_of(found)
    if view_class is not None:
        found = _deepest(_member(view_class))
    found = getattr(found, "__func__", found)
    if type_of(found) is not FunctionType:
        found = inspect.getattr_static(type_of(found), "__call__", None)
    code = getattr(found, "__code__", None)
    if code is None:
        return Where()
    return Where(relative(code.co_filename), code.co_firstlineno)


def view_class_of(function: Any) -> type[Any] | None:
    """The class of a function that ``View.as_view`` made; ``None`` for any other.

    Flask gives the class to what is left when all decorators are on; the function inside knows it
    by its closure.
    """
    found: type[Any] | None = getattr(function, "__dict__", {}).get("view_class")
    if found is None and made_by_as_view(function):
        return class_of_view(function)
    return found


def _member(view_class: type[Any]) -> Any:
    """The method of a view class that is the application's own, of those that Flask calls."""
    names = [
        "dispatch_request",
        *(name.lower() for name in getattr(view_class, "methods", ()) or ()),
    ]
    for cls in view_class.__mro__[:-1]:
        if not cls.__module__.startswith("flask."):
            for name in names:
                if name in vars(cls):
                    return vars(cls)[name]
    return view_class


def _deepest(function: Any) -> Any:
    """What is left of a function without decorators, those included that hide what they wrap."""
    seen: set[int] = set()
    while id(function) not in seen and not made_by_as_view(function):
        seen.add(id(function))
        function = next(iter(inside(function)), function)
    return function


def relative(path: str) -> str:
    """A path relative to the working directory, if it is below that."""
    try:
        found = os.path.relpath(path)
    except ValueError:
        # Another drive.
        return path
    return path if found.startswith(os.pardir) else found
