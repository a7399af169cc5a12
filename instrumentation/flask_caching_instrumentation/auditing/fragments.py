"""Template fragments: what was read while one was rendered, and is not in its key.

A fragment's key is its name and the expressions behind it, which only a running template knows the
values of. So what is checked is what the templates say: a fragment without expressions has one key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask
from jinja2 import nodes

from flask_caching.jinja2ext import CacheExtension
from flask_caching.utils import make_template_fragment_key

from ..recording import Readings
from .asking import Answer, MadeUp
from .checking import Audit
from .clues import Clues
from .inputs import described, variations
from .readings import inputs_read
from .templates import parsed, template_names
from .written import Where, relative

__all__ = ["check_fragments"]


@dataclass(frozen=True)
class _Fragment:
    """A ``{% cache %}`` tag.

    Attributes:
        where: Its template and line.
        key: Its key, where that is always the same; else ``None``.
        words: Names and texts in the expressions that its key is made of.
    """

    where: Where
    key: str | None
    words: frozenset[str]


def check_fragments(audit: Audit, readings: Readings) -> None:
    """Find inputs that a fragment was seen to read and that are not in its key."""
    read = {
        label: inputs_read(audit.place.app, reading, "GET", None)
        for (source, label), reading in readings.items()
        if source == "template"
    }
    if not any(read.values()):
        return
    known: dict[str, list[_Fragment]] = {}
    for label, fragment in _fragments_of(audit.place.app):
        known.setdefault(label, []).append(fragment)
    for label, inputs in read.items():
        for name in inputs:
            _check(audit, label, name, known.get(label, []))


def _check(audit: Audit, label: str, name: str, fragments: Sequence[_Fragment]) -> None:
    detail = name.partition(":")[2] or name
    lacking = [each for each in fragments if each.key is not None or detail not in each.words]
    if fragments and not lacking:
        return
    # Of several with one name it is not known which was seen.
    known = bool(fragments) and all(each.key is not None for each in fragments)
    fragment = lacking[0] if lacking else None
    message = f"the fragment {label!r} was seen to read {described(name)}"
    audit.find(
        "read-input" if known else "not-in-key",
        label,
        None,
        f"{message}, which does not change its key"
        if known
        else f"{message}; whether that is in its key cannot be told from the template",
        answers=_demonstrated(fragment, name) if fragment is not None and known else None,
        about=name,
        place=fragment.where if fragment else None,
        remedy=f"{{% cache timeout, {label!r}, {_expression(name)} %}}",
    )


def _demonstrated(fragment: _Fragment, name: str) -> tuple[Answer, Answer] | None:
    requests = variations(name, MadeUp("/"), Clues())
    if len(requests) < 2:
        return None
    first, second, *_ = requests[1:] if len(requests) > 2 else requests
    call = f"the fragment at {fragment.where.file}:{fragment.where.line}"
    one, other = (Answer(asked, "key", fragment.key, call=call) for asked in (first, second))
    return one, other


def _expression(name: str) -> str:
    """An input as one writes it in a template."""
    kind, _, detail = name.partition(":")
    written = {
        "session": f"session.get({detail!r})" if detail else "session",
        "g": f"g.{detail}",
        "query": f"request.args.get({detail!r})" if detail else "request.query_string",
        "header": f"request.headers.get({detail!r})",
        "cookie": f"request.cookies.get({detail!r})",
        "host": "request.host",
        "method": "request.method",
        "remote_addr": "request.remote_addr",
    }
    return written.get(kind, described(name))


# What the templates say.


def _fragments_of(app: Flask) -> Iterator[tuple[str, _Fragment]]:
    """The fragments in an application's templates, by the label that they are counted under."""
    for name in template_names(app):
        found = parsed(app, name, "cache")
        if found is not None:
            tree, filename = found
            for call in tree.find_all(nodes.CallBlock):
                yield from _fragment(call, filename)


def _fragment(block: Any, filename: str) -> Iterator[tuple[str, _Fragment]]:
    called = block.call.node
    identifier = CacheExtension.identifier
    if not (isinstance(called, nodes.ExtensionAttribute) and called.identifier == identifier):
        return
    _, name, vary, _, _, label = block.call.args
    computed = [name, *vary.items]
    constant = all(isinstance(part, nodes.Const) for part in computed)
    key = None
    if constant:
        parts = [part.value for part in vary.items]
        key = make_template_fragment_key(name.value, parts)
    place = Where(relative(filename), block.lineno)
    yield str(label.value), _Fragment(place, key, frozenset(_words(computed)))


def _words(expressions: list[Any]) -> Iterator[str]:
    for expression in expressions:
        for node in [expression, *expression.find_all(nodes.Node)]:
            for value in (
                getattr(node, "name", None),
                getattr(node, "attr", None),
                getattr(node, "value", None),
            ):
                if isinstance(value, str):
                    yield value
