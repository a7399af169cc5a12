"""Search over what is installed: an index that is dear to build, and a memoized search in it."""

from __future__ import annotations

import re
import tokenize
from typing import NamedTuple

from .catalogue import modules, packages
from .extensions import cache
from .receipt import wants_fresh

__all__ = ["KINDS", "LONGEST_QUERY", "Entry", "Results", "index", "normalised", "search"]

#: What can be searched for, and how the form calls it.
KINDS = {
    "all": "Everything",
    "module": "Modules",
    "name": "Functions and classes",
    "package": "Packages",
}

#: Characters; more is no search but a mistake or an attack.
LONGEST_QUERY = 100

#: Results shown at most.
_LIMIT = 60

_DEFINITION = re.compile(r"^(?:async +)?(def|class) +([A-Za-z]\w*)", re.MULTILINE)


class Entry(NamedTuple):
    """Something that can be found.

    Attributes:
        kind: ``module``, ``name`` (a function or class) or ``package``.
        title: What is looked for.
        summary: One line about it.
        where: The module it is in; for a package, its version.
        anchor: Where it is on the module's page, as pydoc marks functions and classes.
    """

    kind: str
    title: str
    summary: str
    where: str
    anchor: str | None = None


class Results(NamedTuple):
    """What a search found: the best of it, and how much there was."""

    entries: list[Entry]
    total: int


@cache.memoize(timeout=3600)
def index(kind: str) -> list[Entry]:
    """All that can be found of one kind. Reads every source file for ``name``: slow, memoized."""
    if kind == "module":
        return [Entry(kind, m.name, m.summary, m.name) for m in modules().values()]
    if kind == "package":
        return [Entry(kind, p.name, p.summary, p.version) for p in packages()]
    return [
        Entry(kind, name, f"a {sort} in {module.name}", module.name, anchor)
        for module in modules().values()
        for name, sort, anchor in _definitions(module.source)
    ]


@cache.memoize(forced_update=wants_fresh)
def search(query: str, kind: str) -> Results:
    """Find what is called like ``query``, or says so in its summary.

    Args:
        query: Normalised text (see :func:`normalised`), so that ``JSON`` and ``json`` are one
            entry of the cache.
        kind: One of :data:`KINDS`.
    """
    kinds = [kind] if kind != "all" else [known for known in KINDS if known != "all"]
    ranked = [
        (rank, len(entry.title), entry.title.casefold(), entry)
        for known in kinds
        for entry in index(known)
        if (rank := _rank(entry, query)) is not None
    ]
    ranked.sort(key=lambda item: item[:3])
    return Results([entry for *_, entry in ranked[:_LIMIT]], len(ranked))


def normalised(query: str) -> str:
    """A query as it is compared: lower case, single spaces, no space around it."""
    return " ".join(query.split()).casefold()


def _rank(entry: Entry, query: str) -> int | None:
    """How well an entry fits, 0 best; ``None`` if it does not."""
    title = entry.title.casefold()
    if title == query:
        return 0
    if title.startswith(query):
        return 1
    if query in title:
        return 2
    return 3 if query in entry.summary.casefold() else None


def _definitions(path: str) -> list[tuple[str, str, str]]:
    """Name, sort and anchor of the public functions and classes at a file's top level."""
    if not path:
        return []
    try:
        with tokenize.open(path) as source:
            found = sorted(set(_DEFINITION.findall(source.read())))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return []
    return [
        (name, "class", name) if keyword == "class" else (name, "function", f"-{name}")
        for keyword, name in found
    ]
