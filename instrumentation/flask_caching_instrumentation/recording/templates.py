"""Context processors: what they read counts if the template uses what they give.

They run for every template, as Flask-Login's does, which gives ``current_user``. A page that does
not show the user does not depend on who it is. So what a processor reads is put aside until it is
known which template is rendered, and what that one mentions.
"""

from __future__ import annotations

import dis
import weakref
from collections.abc import Iterator, Set
from itertools import pairwise
from types import CodeType
from typing import Any, NamedTuple

from jinja2 import Template

__all__ = ["Processor", "depends"]


class Processor(NamedTuple):
    """A context processor that is running.

    Attributes:
        function: The function.
        context: What the template will be rendered with; it gets what the function returns.
        passed: What the view itself passes to the template.
    """

    function: Any
    context: dict[str, Any]
    passed: frozenset[str]


class _Insides(NamedTuple):
    """What a template is made of.

    Attributes:
        names: All the names it mentions, the variables among them.
        others: The templates it extends, includes or imports.
        is_open: Whether it finds out only when it is rendered which ones these are.
    """

    names: frozenset[str]
    others: tuple[Any, ...]
    is_open: bool


#: What compiled templates call with the names of others.
_LOADING = frozenset({"get_or_select_template", "get_template", "select_template"})

_known: weakref.WeakKeyDictionary[Template, _Insides] = weakref.WeakKeyDictionary()


def depends(template: Template, processor: Processor) -> bool:
    """Whether what a template renders depends on what a processor gave to it.

    In doubt it does: a template that includes others by a name that is computed may use anything.
    """
    given = frozenset(processor.context) - processor.passed
    code = getattr(processor.function, "__code__", None)
    # Others gave the rest: a processor is a function that returns a dictionary it has spelt out.
    mentioned = given & _names(code) if isinstance(code, CodeType) else given
    return bool(given) and _mentions(template, mentioned or given)


def _mentions(template: Template, names: Set[str]) -> bool:
    todo, seen = [template], {template}
    while todo:
        one = todo.pop()
        insides = _insides(one)
        if insides.is_open or not insides.names.isdisjoint(names):
            return True
        for name in insides.others:
            try:
                other = one.environment.get_or_select_template(name, one.name)
            except Exception:
                # It will fail as well when it is rendered.
                return True
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return False


def _insides(template: Template) -> _Insides:
    known = _known.get(template)
    if known is None:
        functions = (template.root_render_func, *template.blocks.values())
        # Not functions if somebody else has made the template.
        codes = [getattr(function, "__code__", None) for function in functions]
        known = _known[template] = _looked_into([code for code in codes if code is not None])
    return known


def _looked_into(codes: list[CodeType]) -> _Insides:
    names = frozenset[str]().union(*map(_names, codes))
    loaded = [name for code in codes for name in _loaded(code)]
    others = tuple(name for name in loaded if name is not None)
    return _Insides(names, others, is_open=not codes or None in loaded)


def _names(code: CodeType) -> frozenset[str]:
    """All strings among a code's constants, where compiled templates have their variables."""
    return frozenset(_strings(code.co_consts))


def _strings(constants: Any) -> Iterator[str]:
    for item in constants:
        if isinstance(item, str):
            yield item
        elif isinstance(item, CodeType):
            yield from _strings(item.co_consts)
        elif isinstance(item, tuple):
            yield from _strings(item)


def _loaded(code: CodeType) -> Iterator[Any]:
    """The names of templates that a code loads; ``None`` for one that it computes."""
    for instruction, following in pairwise(dis.get_instructions(code)):
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and instruction.argval in _LOADING:
            yield following.argval if following.opname == "LOAD_CONST" else None
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _loaded(item)
