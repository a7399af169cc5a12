"""What a function's code gives away: the names and constants in it.

A key maker that says ``request.cookies.get("theme")`` has ``cookies`` and ``"theme"`` in its code.
An audit that tries such names meets inputs that it could not guess. It reads code; it runs nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, cast

from flask_caching.identity import type_of

__all__ = ["Clues", "clues_of"]

#: How many calls deep functions of the application are followed.
_DEPTH: Final = 3

#: Functions that are read, and constants that are kept, at most.
_FUNCTIONS: Final = 60
_CONSTANTS: Final = 40

#: Longer constants are texts for people: docstrings, messages.
_LONGEST: Final = 40


@dataclass(frozen=True)
class Clues:
    """Names and constants in some functions' code.

    Attributes:
        names: Attributes and globals that it uses.
        texts: Its short texts, in order.
        numbers: Its integers, in order.
    """

    names: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def mentions(self, word: str) -> bool:
        """Whether ``word`` is a name or a text in the code."""
        return word in self.names or word in self.texts


def clues_of(functions: Iterable[Any]) -> Clues:
    """What is in the code of functions, and of those of the application that they call."""
    names: set[str] = set()
    texts: dict[str, None] = {}
    numbers: dict[int, None] = {}
    for code in _codes(functions):
        names.update(code.co_names)
        for constant in _constants(code.co_consts):
            if isinstance(constant, str):
                texts.setdefault(constant)
            else:
                numbers.setdefault(constant)
    return Clues(frozenset(names), tuple(texts)[:_CONSTANTS], tuple(numbers)[:_CONSTANTS])


def _codes(functions: Iterable[Any]) -> Iterator[CodeType]:
    pending = [(function, 0) for function in functions if function is not None]
    seen: set[int] = set()
    while pending and len(seen) < _FUNCTIONS:
        function, depth = pending.pop(0)
        if id(function) in seen:
            continue
        seen.add(id(function))
        found = _function(function)
        if found is None:
            continue
        yield from _nested(found.__code__)
        if depth < _DEPTH:
            pending += [(called, depth + 1) for called in _called(found)]


def _function(candidate: Any) -> FunctionType | None:
    """The Python function behind a callable, if there is one."""
    # ``type``, not ``isinstance``: a proxy passes for what it stands for.
    kind = type_of(candidate)
    if kind is FunctionType:
        function: FunctionType = candidate
        return function
    if kind is MethodType or kind in (staticmethod, classmethod):
        return _function(candidate.__func__)
    if functools.partial in kind.__mro__:
        return _function(candidate.func)
    call = inspect.getattr_static(kind, "__call__", None)
    return call if type(call) is FunctionType else None


def _called(function: FunctionType) -> Iterator[Any]:
    """Functions that another one refers to: in its closure, and in its own package."""
    package = str(function.__module__).partition(".")[0]
    for cell in function.__closure__ or ():
        try:
            content: Any = cell.cell_contents
        except ValueError:
            # Not assigned yet.
            continue
        if type(content) in (FunctionType, MethodType):
            yield content
    for name in function.__code__.co_names:
        found: Any = function.__globals__.get(name)
        if type(found) is FunctionType and str(found.__module__).partition(".")[0] == package:
            yield found


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _constants(values: Iterable[Any]) -> Iterator[str | int]:
    for value in values:
        if isinstance(value, tuple | frozenset):
            yield from _constants(cast("Iterable[Any]", value))
        elif (isinstance(value, str) and 0 < len(value) <= _LONGEST) or type(value) is int:
            yield value
