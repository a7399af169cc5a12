"""The class of a request that notes which of its attributes are read."""

from __future__ import annotations

import types
import weakref
from typing import Any, cast

import flask

from .inputs import ATTRIBUTES, COOKIES, ENVIRON, FORM, QUERY, Group
from .loads import notebook_of, unnoted

__all__ = ["MAPPINGS", "custom_attributes", "noting_request"]

#: Attributes that give out a mapping, whose keys are the inputs.
MAPPINGS: dict[str, Group] = {"args": QUERY, "cookies": COOKIES, "form": FORM}

#: Methods that read everything that was sent.
_BODY_METHODS = ("get_data", "get_json")

#: What every request object has in its dictionary from the beginning.
_OF_INSTANCES = frozenset(
    {
        "environ",
        "headers",
        "method",
        "path",
        "query_string",
        "remote_addr",
        "root_path",
        "scheme",
        "server",
        "shallow",
    }
)

#: Attributes that Flask and Werkzeug give a request.
_KNOWN = frozenset(dir(flask.Request)) | _OF_INSTANCES

_classes: weakref.WeakKeyDictionary[type[Any], type[Any]] = weakref.WeakKeyDictionary()


def custom_attributes(request: Any) -> frozenset[str]:
    """What the application has set on a request object."""
    return frozenset(name for name in request.__dict__ if _is_custom(name))


def _is_custom(name: str) -> bool:
    return not name.startswith("_") and name not in _KNOWN


def noting_request(kind: type[Any]) -> type[Any]:
    """The subclass of a request class that notes which attributes are read; made once.

    Args:
        kind: The class of a request that the core watches.
    """
    known = _classes.get(kind)
    if known is not None:
        return known
    members: dict[str, Any] = {
        name: _Noted(kind, name, inputs)
        for name, inputs in ATTRIBUTES.items()
        if hasattr(kind, name) or name in _OF_INSTANCES
    }
    for name, group in MAPPINGS.items():
        members[name] = _Giving(kind, name, group)
    members["values"] = _Values(kind, "values")
    members["environ"] = _Environ(kind, "environ")
    for name in _BODY_METHODS:
        members[name] = _reading_body(kind, name)
    members["__getattribute__"] = _noting_custom(kind)
    members["__module__"], members["__qualname__"] = kind.__module__, kind.__qualname__
    made = types.new_class(kind.__name__, (kind,), {}, lambda space: space.update(members))
    _classes[kind] = made
    return made


def _of_library(kind: type[Any], name: str) -> bool:
    """Whether an attribute is Flask's or Werkzeug's own: the application may have overridden it."""
    # The first of its bases is the application's request class.
    home = next((cls for cls in kind.__mro__[1:] if name in vars(cls)), flask.Request)
    return home.__module__.partition(".")[0] in ("flask", "werkzeug")


class _Noted:
    """An attribute whose inputs are noted whenever it is read.

    Args:
        kind: The class that has it.
        name: Its name.
        inputs: What reading it reads.
    """

    def __init__(self, kind: type[Any], name: str, inputs: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.name = name
        self.inputs = inputs
        self.of_library = _of_library(kind, name)
        found = [vars(cls)[name] for cls in kind.__mro__ if name in vars(cls)]
        self.inherited: Any = found[0] if found else None
        self.protocol: Any = type(cast("object", self.inherited))
        self.is_data = hasattr(self.protocol, "__set__")

    def __get__(self, request: Any, owner: Any = None) -> Any:
        if request is None:
            return self.inherited
        notebook = notebook_of(request)
        if notebook is None:
            return self._value(request)
        notebook.note(*self.inputs)
        return self._quiet_value(request)

    def __set__(self, request: Any, value: Any) -> None:
        if self.is_data:
            self.inherited.__set__(request, value)
        else:
            request.__dict__[self.name] = value

    def __delete__(self, request: Any) -> None:
        if hasattr(self.protocol, "__delete__"):
            self.inherited.__delete__(request)
        else:
            del request.__dict__[self.name]

    def _quiet_value(self, request: Any) -> Any:
        if not self.of_library:
            # What the application's own reads, it reads.
            return self._value(request)
        with unnoted():
            return self._value(request)

    def _value(self, request: Any) -> Any:
        """What the attribute is without this."""
        if self.is_data:
            return self.inherited.__get__(request, self.kind)
        if self.name in request.__dict__:
            return request.__dict__[self.name]
        if self.inherited is None:
            raise AttributeError(f"{self.kind.__name__!r} object has no attribute {self.name!r}")
        bind = getattr(self.protocol, "__get__", None)
        return self.inherited if bind is None else bind(self.inherited, request, self.kind)


class _Giving(_Noted):
    """An attribute that gives out a mapping, which notes what is asked of it."""

    def __init__(self, kind: type[Any], name: str, group: Group) -> None:
        super().__init__(kind, name)
        self.group = group

    def __get__(self, request: Any, owner: Any = None) -> Any:
        value = super().__get__(request, owner)
        notebook = notebook_of(request)
        if notebook is not None and not notebook.watch(value, self.group):
            notebook.note(self.group.whole)
        return value


class _Values(_Noted):
    """``request.values``: the query's parameters and then the form's, which note it both."""

    def __get__(self, request: Any, owner: Any = None) -> Any:
        value = super().__get__(request, owner)
        notebook = notebook_of(request)
        if notebook is not None:
            args, *forms = getattr(value, "dicts", None) or [None]
            watched = [notebook.watch(args, QUERY), *(notebook.watch(form, FORM) for form in forms)]
            if not all(watched):
                notebook.note(QUERY.whole, FORM.whole)
        return value


class _Environ(_Noted):
    """``request.environ``: what notes what is asked of it, in its place."""

    def __get__(self, request: Any, owner: Any = None) -> Any:
        value = super().__get__(request, owner)
        notebook = notebook_of(request)
        if notebook is None:
            return value
        if type(value) is dict:
            return notebook.stand_in(value, ENVIRON)
        notebook.watch(value, ENVIRON)
        return value


def _reading_body(kind: type[Any], name: str) -> Any:
    method = getattr(kind, name)
    of_library = _of_library(kind, name)

    def call(self: Any, *args: Any, **options: Any) -> Any:
        notebook = notebook_of(self)
        if notebook is not None:
            notebook.note("body")
        if notebook is None or not of_library:
            return method(self, *args, **options)
        with unnoted():
            return method(self, *args, **options)

    return call


def _noting_custom(kind: type[Any]) -> Any:
    def get(self: Any, name: str) -> Any:
        value = cast(Any, kind).__getattribute__(self, name)
        if _is_custom(name):
            notebook = notebook_of(self)
            if notebook is not None and name in self.__dict__:
                notebook.note_given("request", name, there=True)
        return value

    return get
