"""Classes that note what is asked of their objects, and else are what they were.

An object is given such a class while it is watched, and its own one back afterwards: whoever holds
it never notices. What is made of it meanwhile (a copy, a pickle) is of its own class at once.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, cast

from .inputs import HEADERS, SESSION, Group
from .loads import notebook_of, unnoted

__all__ = ["noting_globals", "noting_headers", "noting_mapping"]

P = ParamSpec("P")

#: Methods that read the key they are given.
_ONE = ("__contains__", "__getitem__", "get", "pop", "setdefault")

#: Those that read the values of a key in their order.
_ORDERED = ("getlist", "poplist", "setlistdefault")

#: Those that read everything.
_ALL = (
    "__copy__",
    "__deepcopy__",
    "__eq__",
    "__iter__",
    "__len__",
    "__ne__",
    "__or__",
    "__repr__",
    "__reversed__",
    "__ror__",
    "copy",
    "deepcopy",
    "items",
    "keys",
    "lists",
    "listvalues",
    "popitem",
    "popitemlist",
    "to_dict",
    "values",
)

#: Those that set the key they are given, or remove it.
_SETTING = ("__delitem__", "__setitem__", "pop", "setdefault")

#: What else of a session says whose it is, where it has that.
_OF_SESSIONS = frozenset({"new", "sid"})


def _made_once(make: Callable[P, type[Any]]) -> Callable[P, type[Any]]:
    # Typed as what it wraps, which a cache is not. Applications have a few of each.
    return cast("Callable[P, type[Any]]", lru_cache(maxsize=64)(make))


@_made_once
def noting_mapping(kind: type[Any], group: Group) -> type[Any]:
    """A class of mappings that note what is asked of them.

    Args:
        kind: The class of those that are to note it.
        group: What the inputs are called.

    Raises:
        TypeError: If the class cannot be subclassed; one of the application's may raise anything.
    """
    members: dict[str, Any] = {}
    for name in _ONE:
        _add(members, kind, name, lambda method: _reads_one(method, group))
    for name in _ORDERED:
        _add(members, kind, name, lambda method: _reads_one(method, group, order=True))
    for name in _ALL:
        _add(members, kind, name, lambda method: _reads_all(method, group, kind))
    for name in _SETTING:
        _add(members, kind, name, lambda method: _sets_one(method, group))
    _add(members, kind, "update", lambda method: _updates(method, group))
    _add(members, kind, "__hash__", lambda method: _reads_all(method, group, kind))
    members["__reduce_ex__"] = _reducing(kind, group)
    if group is SESSION:
        # Some have their methods from the object that they are only in front of.
        others = {*_ONE, *_ALL} - members.keys()
        members["__getattribute__"] = _identifying(kind, _OF_SESSIONS | others)
    return _subclass(kind, members)


def _add(members: dict[str, Any], kind: type[Any], name: str, wrap: Callable[[Any], Any]) -> None:
    """Put a wrapper around a method, if the class has it."""
    method = members.get(name) or getattr(kind, name, None)
    if method is not None:
        members[name] = wrap(method)
    elif name == "__hash__":
        # To define equality takes it away.
        members[name] = None


def _subclass(kind: type[Any], members: dict[str, Any]) -> type[Any]:
    # With the layout of its base, or no object could be given it.
    members["__slots__"] = ()
    members["__module__"], members["__qualname__"] = kind.__module__, kind.__qualname__
    return types.new_class(kind.__name__, (kind,), {}, lambda space: space.update(members))


def _reads_one(method: Any, group: Group, *, order: bool = False) -> Any:
    @wraps(method)
    def call(self: Any, key: Any, *args: Any, **options: Any) -> Any:
        notebook = notebook_of(self)
        if notebook is not None:
            notebook.note_key(group, key, order=order)
        return method(self, key, *args, **options)

    return call


def _reads_all(method: Any, group: Group, kind: type[Any]) -> Any:
    @wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        notebook = notebook_of(self)
        if notebook is not None:
            notebook.note(group.whole)
        made = method(self, *args, **options)
        if type(made) is type(self) and made is not self:
            object.__setattr__(made, "__class__", kind)
        return made

    return call


def _sets_one(method: Any, group: Group) -> Any:
    @wraps(method)
    def call(self: Any, key: Any, *args: Any, **options: Any) -> Any:
        made = method(self, key, *args, **options)
        notebook = notebook_of(self)
        if notebook is not None:
            notebook.note_set(group.prefix, key)
        return made

    return call


def _updates(method: Any, group: Group) -> Any:
    @wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        made = method(self, *args, **options)
        notebook = notebook_of(self)
        if notebook is not None:
            given: Any = args[0] if args else ()
            for key in (*(given if hasattr(given, "keys") else ()), *options):
                notebook.note_set(group.prefix, key)
        return made

    return call


def _reducing(kind: type[Any], group: Group) -> Any:
    def reduce(self: Any, protocol: Any) -> Any:
        notebook = notebook_of(self)
        if notebook is not None:
            notebook.note(group.whole)
        # ``(function, arguments, ...)``, either of which may be or have the class.
        own: type[Any] = type(cast("object", self))
        function, arguments, *rest = cast(Any, kind).__reduce_ex__(self, protocol)
        arguments = tuple(kind if item is own else item for item in arguments)
        return (kind if function is own else function, arguments, *rest)

    return reduce


def _identifying(kind: type[Any], names: frozenset[str]) -> Any:
    def get(self: Any, name: str) -> Any:
        if name in names:
            notebook = notebook_of(self)
            if notebook is not None:
                notebook.note(SESSION.whole)
        return cast(Any, kind).__getattribute__(self, name)

    return get


# Headers.


@_made_once
def noting_headers(kind: type[Any]) -> type[Any]:
    """A class of request headers that note which are asked for."""
    members: dict[str, Any] = {}
    for name in ("__contains__", "__getitem__", "_get_key", "get", "getlist", "get_all"):
        _add(members, kind, name, _reads_header)
    for name in ("__eq__", "__iter__", "__len__", "__ne__", "__repr__", "__str__"):
        _add(members, kind, name, lambda method: _reads_all(method, HEADERS, kind))
    for name in ("items", "keys", "to_wsgi_list", "values"):
        _add(members, kind, name, lambda method: _reads_all(method, HEADERS, kind))
    _add(members, kind, "__hash__", lambda method: method)
    return _subclass(kind, members)


def _reads_header(method: Any) -> Any:
    @wraps(method)
    def call(self: Any, key: Any, *args: Any, **options: Any) -> Any:
        notebook = notebook_of(self)
        if notebook is None:
            return method(self, key, *args, **options)
        notebook.note_key(HEADERS, key)
        with unnoted():
            # Some go through all headers to find one.
            return method(self, key, *args, **options)

    return call


# flask.g.


@_made_once
def noting_globals(kind: type[Any]) -> type[Any]:
    """A class of :data:`flask.g` that notes which of its names are asked for."""

    def asks(method: Any) -> Any:
        @wraps(method)
        def call(self: Any, name: str, *args: Any) -> Any:
            _note_global(self, kind, name)
            return method(self, name, *args)

        return call

    def sets(method: Any) -> Any:
        @wraps(method)
        def call(self: Any, name: str, *args: Any) -> Any:
            made = method(self, name, *args)
            notebook = notebook_of(self)
            if notebook is not None:
                notebook.note_set("g", name)
            return made

        return call

    def each(self: Any) -> Any:
        for name in list(object.__getattribute__(self, "__dict__")):
            _note_global(self, kind, name)
        return cast(Any, kind).__iter__(self)

    members: dict[str, Any] = {}
    for name in ("__contains__", "__getattribute__", "get", "pop", "setdefault"):
        _add(members, kind, name, asks)
    for name in ("__delattr__", "__setattr__", "pop", "setdefault"):
        _add(members, kind, name, sets)
    _add(members, kind, "__iter__", lambda method: each)
    return _subclass(kind, members)


def _note_global(own: Any, kind: type[Any], name: object) -> None:
    if not isinstance(name, str) or hasattr(kind, name):
        # A method, or what Python itself asks for.
        return
    notebook = notebook_of(own)
    if notebook is not None:
        notebook.note_given("g", name, name in object.__getattribute__(own, "__dict__"))
