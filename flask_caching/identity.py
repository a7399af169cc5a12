"""Who is who: what tells one class, function or object from another in a key.

Nothing here makes bytes. A value is taken apart into *parts*, plain objects that
:mod:`flask_caching.arguments` encodes; a function into a nested tuple with its code and those of
its free variables that cannot change; an object that is nothing but its address gets a random
token for as long as it lives.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import secrets
import sys
import threading
import weakref
from collections.abc import Callable
from enum import Enum
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, Generic, NamedTuple, TypeVar, cast

from .parts import FROZEN, LRU_WRAPPER

__all__ = [
    "SCALARS",
    "FunctionParts",
    "PerObject",
    "class_name",
    "code_parts",
    "extra_state",
    "field_values",
    "function_parts",
    "has_fields",
    "has_own_repr",
    "is_container",
    "is_findable",
    "may_be_text",
    "printed",
    "qualified_name",
    "repr_identity",
    "text_of",
    "token",
    "type_of",
]

_Object = TypeVar("_Object")
_Made = TypeVar("_Made")

#: ``type``, for type checkers: what it makes of ``Any`` is partly unknown to them.
type_of: Callable[[Any], type[Any]] = type

#: Exact types whose objects are plain, immutable and hold no others.
SCALARS = frozenset({str, bytes, int, float, bool, complex, NoneType, EllipsisType})

#: ``Py_TPFLAGS_HEAPTYPE`` of CPython's object.h: set for classes made at run time.
_HEAP_TYPE = 1 << 9
#: What an object has that holds others; its ``repr`` may show only some of them.
_CONTAINER_METHODS = ("__len__", "__iter__", "__getitem__", "__contains__", "__array__")
#: What a class must define for its objects to be asked whether they pass for text.
_TEXT_METHODS = ("__len__", "__getitem__")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


# Classes.


def class_name(cls: type) -> str:
    """``module.qualname`` of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def is_findable(cls: type) -> bool:
    """Whether its name leads to this class, so that no other class has the same name.

    Classes made inside functions, made at run time, or replaced by a reload are not.
    """
    if not cls.__flags__ & _HEAP_TYPE:
        return True
    if "<locals>" in cls.__qualname__:
        return False
    found: Any = sys.modules.get(cls.__module__)
    # Looked up in ``__dict__``: a module's ``__getattr__`` may import, warn or raise.
    for name in cls.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is cls


# Objects.


_FIELD_MARKS = (
    "__dataclass_fields__",
    "__attrs_attrs__",
    "__struct_fields__",
    "__pydantic_fields__",
)


def has_fields(cls: type) -> bool:
    """Whether it is a class of dataclasses, attrs, msgspec or pydantic."""
    return any(hasattr(cls, mark) for mark in _FIELD_MARKS)


def field_values(value: object) -> dict[str, object]:
    """The fields of an object whose class :func:`has_fields`.

    All fields count, those without ``repr`` or ``compare`` too: a function may read them.
    """
    kind = type_of(value)
    if hasattr(kind, "__dataclass_fields__"):
        names = [field.name for field in dataclasses.fields(kind)]
    elif hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
    elif hasattr(kind, "__struct_fields__"):
        names = list(kind.__struct_fields__)
    else:
        extra: dict[str, object] = getattr(value, "__pydantic_extra__", None) or {}
        private: dict[str, object] = getattr(value, "__pydantic_private__", None) or {}
        return {**vars(value), **extra, **private}
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def extra_state(value: object, base: type) -> dict[str, object]:
    """Attributes that an object of a class derived from ``base`` holds beside its content."""
    state: dict[str, object] = dict(getattr(value, "__dict__", {}))
    # Werkzeug's immutable types keep their hash, which differs between processes.
    state.pop("_hash_cache", None)
    for cls in type(value).__mro__:
        if cls is base:
            break
        slots: str | tuple[str, ...] = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                state[name] = getattr(value, name)
    return state


def has_own_repr(cls: Any) -> bool:
    """Whether its objects print themselves their own way."""
    return cls.__repr__ is not object.__repr__


def is_container(cls: type) -> bool:
    """Whether its objects hold others, so that their ``repr`` may show only a part of them."""
    return any(hasattr(cls, method) for method in _CONTAINER_METHODS)


def may_be_text(cls: Any) -> bool:
    """Whether its objects may pass for text: they print, compare and are indexed their own way.

    Their methods are only looked at here. :func:`text_of` puts the object itself to the test.
    """
    return (
        cls.__str__ is not object.__str__
        and cls.__eq__ is not object.__eq__
        and all(hasattr(cls, method) for method in _TEXT_METHODS)
    )


def text_of(value: Any) -> str | None:
    """The text that an object passes for at this moment, or ``None`` if it does not.

    It does if it equals its own ``str()``, is as long and is the same when sliced. Lazy
    translations do, whichever package makes them; a container that prints itself does not.
    """
    try:
        text = str(value)
        passes = (value == text) is True and len(value) == len(text) and value[:] == text
    except Exception:
        # Not text then, or not here (a translation outside a request, say): it gets a token.
        return None
    return text if passes is True else None


def printed(value: object) -> str | None:
    """The ``repr`` of an object, or ``None`` if that fails or holds an address."""
    try:
        text = repr(value)
    except Exception:
        # A repr that fails (a row detached from its session, say) identifies nothing; the
        # caller goes on to a token, so the call is still cached and never mixed up.
        return None
    if _ADDRESS.search(text) or str(id(value)) in text or f"{id(value):x}" in text.lower():
        return None
    return text


def repr_identity(value: object) -> str | None:
    """The ``repr`` of an object, or ``None`` if it is cut short too, and so no identity."""
    text = printed(value)
    if text is None or "..." in text or "\u2026" in text:
        return None
    return text


class PerObject(Generic[_Object, _Made]):
    """Something made once for each living object, whatever its ``__eq__`` and ``__hash__`` say.

    Objects are held weakly. One that comes to live at the address of another gets its own.

    Args:
        make: Makes it; called with the object.
    """

    def __init__(self, make: Callable[[_Object], _Made]) -> None:
        self._make = make
        self._known: dict[int, tuple[weakref.ref[_Object], _Made]] = {}
        # Re-entrant: collecting garbage may call ``_forget`` while this thread is in ``get``.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, value: _Object) -> _Made:
        """What belongs to ``value``.

        Raises:
            TypeError: If the object cannot be weakly referenced.
        """
        key = id(value)
        known = self._known.get(key)
        if known is not None and known[0]() is value:
            return known[1]
        made = self._make(value)
        reference = weakref.ref(value, functools.partial(self._forget, key))
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0]() is value:
                return known[1]
            self._known[key] = (reference, made)
            return made

    def _forget(self, key: int, reference: weakref.ref[_Object]) -> None:
        with self._lock:
            known = self._known.get(key)
            # Another object may live at this address by now, with something of its own.
            if known is not None and known[0] is reference:
                del self._known[key]

    def start_over(self) -> None:
        """Forget all, in a forked child: its objects go their own way from here on."""
        self._known = {}
        self._lock = threading.RLock()


def _random(_: object) -> str:
    return secrets.token_hex(16)


_tokens: PerObject[object, str] = PerObject(_random)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tokens.start_over)


def token(value: object) -> str:
    """A random text that belongs to ``value`` as long as it lives, and to nothing else ever.

    Raises:
        TypeError: If the object cannot be weakly referenced.
    """
    return _tokens.get(value)


# Functions.


class FunctionParts(NamedTuple):
    """A function taken apart.

    Attributes:
        parts: A nested tuple of names, code objects and values that cannot change.
        left_out: Free variables, by dotted name, that are not among the parts because they
            can change or have no identity.
    """

    parts: tuple[object, ...]
    left_out: tuple[str, ...]


def qualified_name(function: object) -> str:
    """``module.qualname`` of any callable: what a person knows it by."""
    if isinstance(function, functools.partial):
        return qualified_name(function.func)
    if isinstance(function, MethodType):
        return qualified_name(function.__func__)
    qualname = getattr(function, "__qualname__", None)
    if not isinstance(qualname, str):
        return class_name(type(function))
    module = getattr(function, "__module__", None)
    return f"{module}.{qualname}" if module else qualname


def code_parts(code: CodeType) -> tuple[object, ...]:
    """What a code object does, without where it was written (files and line numbers)."""
    return (
        code.co_name,
        code.co_code,
        code.co_exceptiontable,
        code.co_consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
    )


def function_parts(function: FunctionType, *, defaults: bool = True) -> FunctionParts:
    """Take a function apart.

    Args:
        function: A function or lambda; of a wrapper, the wrapper itself.
        defaults: Whether its default values count. Not for a memoized function, whose
            defaults are encoded with the arguments of each call.
    """
    reader = _FunctionReader()
    parts = reader.function(function, "", defaults)
    return FunctionParts(parts, tuple(dict.fromkeys(reader.left_out)))


class _FunctionReader:
    """Follows a function into its closure; each function is taken apart once and numbered."""

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self._seen: dict[int, int] = {}

    def function(self, function: FunctionType, path: str, defaults: bool) -> tuple[object, ...]:
        number = self._seen.get(id(function))
        if number is not None:
            return ("seen", number)
        self._seen[id(function)] = len(self._seen)
        wrapped = function.__dict__.get("__wrapped__")
        return (
            "function",
            qualified_name(function),
            function.__code__,
            self._cells(function, path),
            self._defaults(function, path) if defaults else (),
            () if wrapped is None else self._part(f"{path}__wrapped__", wrapped),
        )

    def _cells(self, function: FunctionType, path: str) -> tuple[object, ...]:
        parts: list[object] = []
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                # Still empty: at decoration, a function's own name and ``__class__`` always
                # are. Those two say nothing about which closure this is.
                if name not in (function.__name__, "__class__"):
                    self.left_out.append(path + name)
                parts.append(("empty",))
            else:
                parts.append(self._part(path + name, content))
        return tuple(parts)

    def _defaults(self, function: FunctionType, path: str) -> tuple[object, ...]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        values = function.__defaults__ or ()
        given = dict(zip(names[len(names) - len(values) :], values, strict=True))
        given.update(function.__kwdefaults__ or {})
        return tuple((name, self._part(path + name, given[name])) for name in sorted(given))

    def _part(self, path: str, value: Any) -> tuple[object, ...]:
        # ``type``, not ``isinstance``: a LocalProxy passes for what it stands for just now.
        kind = type_of(value)
        if kind is FunctionType:
            return self.function(value, f"{path}.", True)
        if issubclass(kind, functools.partial):
            return self._partial(path, value)
        if kind is MethodType or kind is BuiltinFunctionType:
            function = getattr(value, "__func__", qualified_name(value))
            return ("method", self._part(path, value.__self__), self._part(path, function))
        if kind in (staticmethod, classmethod, LRU_WRAPPER):
            return ("wrapper", class_name(kind), self._part(path, value.__wrapped__))
        if _is_frozen(value):
            return ("value", value)
        self.left_out.append(path)
        return ("left out",)

    def _partial(self, path: str, value: functools.partial[Any]) -> tuple[object, ...]:
        arguments = [self._part(path, argument) for argument in value.args]
        named = [(name, self._part(path, value.keywords[name])) for name in sorted(value.keywords)]
        return ("partial", self._part(path, value.func), tuple(arguments), tuple(named))


def _is_frozen(value: object) -> bool:
    """Whether a value can never change, all the way down, and is known by its content."""
    kind = type(value)
    if kind in SCALARS or issubclass(kind, Enum | type | ModuleType):
        return True
    if hasattr(kind, "__caching_id__"):
        return True
    if kind in FROZEN:
        return all(map(_is_frozen, FROZEN[kind](value)))
    if issubclass(kind, tuple | frozenset):
        return not extra_state(value, object) and all(map(_is_frozen, cast(Any, value)))
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return all(map(_is_frozen, field_values(value).values()))
    return False
