"""The ``{% cache %}`` tag: template fragments that are cached.

::

    {% cache 300, "sidebar", section %} ... {% endcache %}

The first expression is the timeout in seconds (``None``: the default, ``0``: never expires,
``"del"``: delete the fragment and render it), the second the fragment's name (left out: the
template's name and the line), the rest what else tells fragments of that name apart.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flask import Flask
from jinja2 import Undefined, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from .arguments import witness_arguments
from .driving import Pending
from .entry import Witness
from .errors import UncacheableArgument
from .lookup import ReadThrough, warn_once
from .observer import Lookup, Target
from .query import Query
from .responses import Admission
from .state import AppState
from .utils import make_template_fragment_key, normalize_timeout
from .values import delete_if_possible

if TYPE_CHECKING:
    from .options import StateProvider

__all__ = ["JINJA_CACHE_ATTR_NAME", "CacheExtension", "install"]

#: Where a Jinja environment keeps the cache of its tags.
JINJA_CACHE_ATTR_NAME = "_template_fragment_cache"

#: The text of the template that is being parsed.
_source: ContextVar[str] = ContextVar("flask_caching_source", default="")


def install(app: Flask, cache: Any) -> None:
    """Give an application's templates the tag; the cache set up last is the one it uses."""
    setattr(app.jinja_env, JINJA_CACHE_ATTR_NAME, cache)
    app.jinja_env.add_extension(CacheExtension)


class CacheExtension(Extension):
    """Parses ``{% cache timeout, name, vary... %} ... {% endcache %}``."""

    tags = {"cache"}  # noqa: RUF012 - jinja2 declares it as a set of the instance

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        _source.set(source)
        return source

    def parse(self, parser: Parser) -> nodes.Node:
        lineno = next(parser.stream).lineno
        timeout = parser.parse_expression()
        named = parser.stream.skip_if("comma")
        name = parser.parse_expression() if named else nodes.Const(_place(parser, lineno))
        vary: list[nodes.Expr] = []
        while parser.stream.skip_if("comma"):
            vary.append(parser.parse_expression())
        body = parser.parse_statements(("name:endcache",), drop_needle=True)
        # Tells one fragment from another that has the same name (or line) by what it renders. A
        # template made from a string has no name, so that all of it counts.
        text = repr(body) + (_source.get() if parser.filename is None and not named else "")
        content = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        # A name that is computed may hold anything, a user perhaps, and be any number of names.
        label = name.value if isinstance(name, nodes.Const) else _place(parser, lineno)
        call = self.call_method(
            "_cache",
            [
                timeout,
                name,
                nodes.List(vary),
                nodes.Const(content),
                nodes.Const(not named),
                nodes.Const(str(label)),
            ],
        )
        return nodes.CallBlock(call, [], [], body).set_lineno(lineno)

    def _cache(
        self,
        timeout: Any,
        name: str,
        vary: list[Any],
        content: str,
        unnamed: bool,
        label: str,
        caller: Callable[[], str],
    ) -> str:
        cache: Any = getattr(self.environment, JINJA_CACHE_ATTR_NAME)
        # What is not defined counts as the text it renders to, or is the template's error.
        vary = [str(part) if isinstance(part, Undefined) else part for part in vary]
        try:
            key = make_template_fragment_key(name, vary)
        except UncacheableArgument as error:
            warn_once(f"the template fragment {name!r} is not cached: {error}")
            return caller()
        if timeout == "del":
            delete_if_possible(cache, key)
            return caller()
        witness = Witness((name, content), witness_arguments(tuple(vary), {}), "", "", "")
        fragment = Fragment(cache, label, caller, normalize_timeout(timeout), unnamed)
        return fragment.render(key, witness)


def _place(parser: Parser, lineno: int) -> str:
    """The name of a fragment that was given none: its template and line.

    A second fragment without a name on one line is told from the first by a number.
    """
    places: dict[str, int] = parser.__dict__.setdefault("_flask_caching_places", {})
    place = f"{parser.filename}{lineno}"
    places[place] = number = places.get(place, 0) + 1
    return place if number == 1 else f"{place}.{number}"


class Fragment(ReadThrough):
    """One rendering of a ``{% cache %}`` block.

    Args:
        cache: Finds the application's cache.
        label: What it is counted under: its name, or its place if the name is computed.
        caller: Renders the block.
        timeout: Seconds to keep it.
        unnamed: Whether the name is only the template and the line, which two blocks may
            share; another block's text is refused then, whatever ``CACHE_COLLISIONS`` says.
    """

    def __init__(
        self,
        cache: StateProvider,
        label: str,
        caller: Callable[[], str],
        timeout: float | None,
        unnamed: bool,
    ) -> None:
        super().__init__(caller, _target(label), collisions="refuse" if unnamed else None)
        self._cache = cache
        self._timeout = timeout
        self._query = Query("", None, (), {})

    def render(self, key: str, witness: Witness) -> str:
        """The block's text, cached or new."""
        self._query = Query(key, witness, (), {})
        return str(self.call((), {}))

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Pending:
        state = self._cache.state_for_call()
        if state is None:
            return self.bypass(None, "no_application")
        if state.off():
            return self.bypass(state, "disabled")
        return self.look(state, self._query, Lookup(state.observer, self.target))

    def timeout(self) -> float | None:
        return self._timeout

    def loads(self) -> str:
        return self.target.name

    def admit(self, state: AppState, query: Query, value: Any) -> Admission:
        # Markup or not is for the surrounding template to say; the text is what is kept.
        return Admission(str(value))


@functools.lru_cache(maxsize=1024)
def _target(name: str) -> Target:
    return Target("template", name)
