"""Canonical bytes for any value, so that a key can be made of it.

Different values give different bytes and equal values the same ones, in every process:
``1``, ``True``, ``1.0`` and ``"1"`` differ, the order of a set or a dictionary does not count.
The exceptions are marked by findings: an object known only by its ``repr``, and one known only
by its address, which gets a random token for as long as it lives. A container of a class of its
own is one of the latter, told from what it was before by its ``repr``.

The form: scalars, and flat tuples and lists of them, are what :mod:`marshal` writes in its
version 2, the last without references, so that it depends on nothing but the value. All else
is a *node*: ``@``, a label and a count, and as many encoded items. Both forms tell their own
length, so no encoding begins another one and they can be joined without separators.
"""

from __future__ import annotations

import functools
import hashlib
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from marshal import dumps
from reprlib import Repr
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias, get_args, get_origin

from flask import Flask
from werkzeug.local import LocalProxy
from werkzeug.sansio.request import Request
from werkzeug.sansio.response import Response

from .errors import UncacheableArgument
from .identity import (
    SCALARS,
    PerObject,
    class_name,
    code_parts,
    extra_state,
    field_values,
    function_parts,
    has_fields,
    has_own_repr,
    is_container,
    is_findable,
    may_be_text,
    printed,
    qualified_name,
    repr_identity,
    text_of,
    token,
    type_of,
)
from .parts import PARTS, Parts, foreign_parts, is_foreign

__all__ = ["Encoding", "Finding", "Writer", "encode", "encode_named"]

#: A step from a value to one inside it: text as it is, or the key of a subscript in a 1-tuple.
_Step = str | tuple[object]

_printer = Repr()
_printer.maxstring = _printer.maxother = 76
_printer.maxlevel = 3


class Finding(NamedTuple):
    """Something about an argument's identity that an audit should know.

    Attributes:
        path: Where the value sits in the call, for example ``"options['db']"``.
        kind: ``"repr"``: its ``repr`` is its identity. ``"address"``: it has none but being
            this object, so it got a random token and its key is of use in this process only.
        type_name: Qualified name of its type.
    """

    path: str
    kind: str
    type_name: str


class Encoding(NamedTuple):
    """Canonical bytes, and what to know about them.

    Attributes:
        data: Different for different values; no encoding is the beginning of another.
        findings: Normally empty.
    """

    data: bytes
    findings: tuple[Finding, ...]


def encode(value: object, *, strict: bool = False) -> Encoding:
    """Encode any value.

    Args:
        value: What to encode. It is never changed.
        strict: Whether to refuse an object that has only its ``repr`` for an identity.

    Raises:
        UncacheableArgument: If the value, or something in it, has no identity.
    """
    writer = Writer(strict=strict)
    data = writer.named(value, "")
    return Encoding(data, tuple(writer.findings))


def encode_named(
    named: Iterable[tuple[str, object]],
    *,
    strict: bool = False,
    defaults: Mapping[int, str] | None = None,
) -> Encoding:
    """Encode values that have names in a call, as the tuple of them.

    Args:
        named: Names, for messages and findings only, and values.
        strict: As for :func:`encode`.
        defaults: Names of a function's default values by their ``id``; see :class:`Writer`.

    Raises:
        UncacheableArgument: If one of the values, or something in it, has no identity.
    """
    writer = Writer(strict=strict, defaults=defaults)
    items = [writer.named(value, name) for name, value in named]
    return Encoding(_node("tuple", items), tuple(writer.findings))


def _is_flat(values: Iterable[object]) -> bool:
    for value in values:  # noqa: SIM110 - all() of a generator takes twice the time
        if type(value) not in SCALARS:
            return False
    return True


def _place(path: str) -> str:
    return f"argument {path}" if path else "the value"


@functools.lru_cache(maxsize=1024)
def _code_digest(code: CodeType) -> bytes:
    return hashlib.sha256(Writer().value(code_parts(code), "")).digest()


def _node(label: str, items: list[bytes]) -> bytes:
    return b"@" + dumps((label, len(items)), 2) + b"".join(items)


class Writer:
    """Encodes values that belong to one call; remembers where it is and what it found.

    Args:
        strict: Refuse an identity that is only a ``repr``.
        placeholders: Write the type alone for what has only an address, and refuse nothing.
        functions_in_part: Put a function's free variables that cannot count into ``left_out``;
            otherwise such a function gets a token, since its namesakes may do something else.
        defaults: Names, by ``id``, of objects that live as long as the function that is called.
            A sentinel such as ``object()`` is known by that name, where it has nothing else.
    """

    __slots__ = (
        "_defaults",
        "_functions_in_part",
        "_opened",
        "_placeholders",
        "_strict",
        "findings",
        "left_out",
    )

    def __init__(
        self,
        strict: bool = False,
        placeholders: bool = False,
        functions_in_part: bool = False,
        defaults: Mapping[int, str] | None = None,
    ) -> None:
        self._strict = strict
        self._placeholders = placeholders
        self._functions_in_part = functions_in_part
        self._defaults = defaults
        #: The objects being written, from the outermost in, and the step that led to each.
        self._opened: dict[int, _Step] = {}
        self.findings: list[Finding] = []
        self.left_out: list[str] = []

    def value(self, value: Any, step: _Step = "") -> bytes:
        """The encoding of ``value``, which is ``step`` away from the one being written."""
        kind = type_of(value)
        if kind in SCALARS or ((kind is tuple or kind is list) and _is_flat(value)):
            return dumps(value, 2)
        opened, key = self._opened, id(value)
        if key in opened:
            return self._refuse(kind, "contains itself", step)
        opened[key] = step
        write = _WRITERS.get(kind) or _chosen.get(kind)
        data = write(self, kind, value)
        # After an error the path stays as it is: it says where.
        del opened[key]
        return data

    def named(self, value: object, name: str) -> bytes:
        """:meth:`value` for the value called ``name``, refusing one that is nested too deeply."""
        try:
            return self.value(value, name)
        except RecursionError:
            raise UncacheableArgument(
                f"{_place(name)} is nested too deeply to make a cache key of. Pass a flatter "
                "value, or name the argument in args_to_ignore.",
                name,
            ) from None

    def sequence(self, kind: type, value: Any) -> bytes:
        """A tuple or a list."""
        items = [self.value(item, (index,)) for index, item in enumerate(value)]
        return _node(kind.__name__, items)

    def mapping(self, _: type, value: Any) -> bytes:
        """A dictionary, its order left out."""
        return _node(
            "dict",
            sorted(
                [
                    (dumps(key, 2) if type(key) is str else self.value(key, "(key)"))
                    + self.value(item, (key,))
                    for key, item in value.items()
                ]
            ),
        )

    def collection(self, kind: type, value: Any) -> bytes:
        """A set."""
        return _node(kind.__name__, sorted([self.value(item, "(item)") for item in value]))

    def code(self, _: type, value: CodeType) -> bytes:
        """A code object, by a hash."""
        return _node("code", [dumps(_code_digest(value), 2)])

    def function(self, _: type, value: FunctionType) -> bytes:
        """A function, by its code and closure, and by a token where these do not suffice."""
        parts, left_out = function_parts(value)
        items = [self.value(parts)]
        if left_out and self._functions_in_part:
            self.left_out.extend(left_out)
        elif left_out and not self._placeholders:
            self._find("address", qualified_name(value))
            items.append(dumps(token(value), 2))
        return _node("function", items)

    def cls(self, _: type, value: type) -> bytes:
        """A class, by its name, and by a token where another class could have the name."""
        name = class_name(value)
        if is_findable(value) or self._placeholders:
            return _node("class", [dumps(name, 2)])
        self._find("address", name)
        return _node("class", [dumps(name, 2), dumps(token(value), 2)])

    def proxied(self, kind: type, value: Any) -> bytes:
        """What a proxy stands for at this moment."""
        try:
            current = value._get_current_object()
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            return self._refuse(kind, f"stands for nothing here ({why})")
        return self.value(current)

    def caching_id(self, kind: type, value: Any) -> bytes:
        """An object that says itself what it is."""
        identity = self.value(value.__caching_id__(), ".__caching_id__()")
        return _node("id", [self.cls(kind, kind), identity])

    def enum(self, kind: type, value: Any) -> bytes:
        """An enumeration's member; a combination of flags may have no name, only a value."""
        named = value._name_ if value._name_ is not None else value._value_
        return _node("enum", [self.cls(kind, kind), self.value(named)])

    def module(self, _: type, value: ModuleType) -> bytes:
        """A module, by its name, whatever its class."""
        return _node("module", [dumps(value.__name__, 2)])

    def known(self, kind: type, value: Any, base: type, parts: Parts) -> bytes:
        """An object of a known type, or of one derived from it."""
        items = [dumps(class_name(base), 2), *[self.value(part) for part in parts(value)]]
        if kind is base:
            return _node("known", items)
        state = self.value(extra_state(value, base))
        return _node("derived", [self.cls(kind, kind), state, *items])

    def foreign(self, kind: type, value: Any, parts: Parts) -> bytes:
        """An object of NumPy and its like, which have no two classes of one name."""
        name = dumps(class_name(kind), 2) if is_foreign(kind) else self.cls(kind, kind)
        return _node("foreign", [name, self.value(parts(value))])

    def fields(self, kind: type, value: Any) -> bytes:
        """A dataclass object or one like it."""
        fields = field_values(value)
        items = [dumps(name, 2) + self.value(fields[name], f".{name}") for name in sorted(fields)]
        return _node("fields", [self.cls(kind, kind), *items])

    def generic(self, kind: type, value: Any) -> bytes:
        """A type expression such as ``Optional[int]``, or something else of :mod:`typing`."""
        name: object = getattr(value, "_name", None)
        if isinstance(name, str) and vars(typing).get(name) is value:
            return _node("typing", [dumps(name, 2)])
        origin = get_origin(value)
        if origin is None:
            return self.printable(kind, value)
        return _node("generic", [self.value(origin), self.value(get_args(value))])

    def printable(self, kind: type, value: Any) -> bytes:
        """An object whose ``repr`` may tell it from others."""
        text = repr_identity(value)
        if text is None:
            return self.opaque(kind, value)
        if self._strict:
            return self._refuse(kind, "is known only by its repr(), which strict keys refuse")
        self._find("repr", class_name(kind))
        return _node("repr", [self.cls(kind, kind), dumps(text, 2)])

    def text(self, kind: type, value: Any) -> bytes:
        """An object that passes for text, such as a lazy translation: by what it is just now."""
        text = text_of(value)
        if text is None:
            return self.container(kind, value)
        # The repr may tell more than the text does, a markup for example.
        return _node("text", [self.cls(kind, kind), dumps((text, printed(value)), 2)])

    def container(self, kind: type, value: Any) -> bytes:
        """A container: its ``repr`` tells it from what it was before, but not from others."""
        return self.opaque(kind, value, printed(value))

    def opaque(self, kind: type, value: Any, shown: str | None = None) -> bytes:
        """An object that only its address tells from others; ``shown`` is its ``repr``."""
        if self._placeholders:
            return _node("object", [self.cls(kind, kind)])
        try:
            name = token(value)
        except TypeError:
            default = self._defaults.get(id(value)) if self._defaults else None
            if default is not None:
                return _node("default", [dumps((default, shown), 2)])
            return self._refuse(kind, "has no identity and cannot be weakly referenced")
        self._find("address", class_name(kind))
        return _node("object", [self.cls(kind, kind), dumps((name, shown), 2)])

    def _find(self, kind: str, type_name: str) -> None:
        self.findings.append(Finding(self._where(), kind, type_name))

    def _refuse(self, kind: type, why: str, step: _Step = "") -> bytes:
        if self._placeholders:
            return _node("object", [self.cls(kind, kind)])
        path = self._where() + _text(step)
        raise UncacheableArgument(
            f"{_place(path)} (a {class_name(kind)}) {why}, so no cache key can be made of it. Give "
            "its class a __caching_id__() method that returns what tells it from others, or name "
            "the argument in args_to_ignore.",
            path,
        )

    def _where(self) -> str:
        return "".join(map(_text, self._opened.values()))


def _text(step: _Step) -> str:
    return step if isinstance(step, str) else f"[{_printer.repr(step[0])}]"


#: Writes an object of a type; called with the writer, the type and the object.
_Write: TypeAlias = Callable[[Writer, type, Any], bytes]

_WRITERS: dict[type, _Write] = {
    tuple: Writer.sequence,
    list: Writer.sequence,
    dict: Writer.mapping,
    set: Writer.collection,
    frozenset: Writer.collection,
    CodeType: Writer.code,
    FunctionType: Writer.function,
    type: Writer.cls,
}


def _choose(kind: type[Any]) -> _Write:
    """The way to write objects of a type that is not in the table above."""
    if issubclass(kind, LocalProxy):
        return Writer.proxied
    if hasattr(kind, "__caching_id__"):
        return Writer.caching_id
    if issubclass(kind, type):
        return Writer.cls
    if issubclass(kind, Enum):
        return Writer.enum
    if issubclass(kind, ModuleType):
        return Writer.module
    for base in kind.__mro__:
        parts = PARTS.get(base)
        if parts is not None:
            return _known(base, parts)
        parts = foreign_parts(base)
        if parts is not None:
            return _foreign(parts)
    if has_fields(kind):
        return Writer.fields
    if kind.__module__ == "typing":
        return Writer.generic
    if may_be_text(kind):
        return Writer.text
    # Two requests for one URL have one repr; what a function reads of them differs.
    # What ``flask.g`` is prints differently outside its context.
    if issubclass(kind, Request | Response | Flask.app_ctx_globals_class):
        return Writer.opaque
    if is_container(kind):
        return Writer.container
    return Writer.printable if has_own_repr(kind) else Writer.opaque


def _known(base: type, parts: Parts) -> _Write:
    return lambda writer, kind, value: writer.known(kind, value, base, parts)


def _foreign(parts: Parts) -> _Write:
    return lambda writer, kind, value: writer.foreign(kind, value, parts)


#: The ways chosen so far.
_chosen: PerObject[type, _Write] = PerObject(_choose)
