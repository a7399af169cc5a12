"""What the pages show, and their JSON is: one function for both."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from flask import request

from ..auditing import AuditReport, audit
from ..inspection.keyids import key_of
from ..inspection.model import (
    CacheOverview,
    Comparison,
    Explanation,
    FunctionRow,
    KeyDetail,
    KeyKind,
    KeyListing,
    RequestLog,
    RequestSpec,
)
from .access import Refusal
from .answers import Stop
from .site import Site

__all__ = [
    "Cleared",
    "Deleted",
    "Functions",
    "Overview",
    "audited",
    "cleared",
    "compared",
    "deleted",
    "explained",
    "functions",
    "key_detail",
    "keys",
    "overview",
    "requests",
    "sent_data",
]

#: Rows of a listing.
_MOST_ROWS = 500

#: Characters of what a parameter may hold: a cursor, a text to look for.
_LONGEST = 4000

_MOST_KEYS = 500


@dataclass(frozen=True)
class Overview:
    """Every cache that is shown."""

    caches: Sequence[CacheOverview]


@dataclass(frozen=True)
class Functions:
    """The functions that a cache decorates."""

    cache: str
    functions: Sequence[FunctionRow]


@dataclass(frozen=True)
class Deleted:
    """The keys that were deleted."""

    deleted: Sequence[str]


@dataclass(frozen=True)
class Cleared:
    """Whether the cache was cleared."""

    cleared: bool


def overview(site: Site) -> Overview:
    """All caches at a glance, or the chosen one."""
    return Overview([site.inspector_of(each).overview() for each in site.narrowed])


def keys(site: Site) -> KeyListing:
    """A page of keys: ``cursor``, ``match``, ``kind`` and ``limit`` are parameters."""
    kind = _text("kind")
    if kind and kind not in get_args(KeyKind):
        raise _bad(f"kind is one of {', '.join(get_args(KeyKind))}")
    try:
        return site.inspector.keys(
            _text("cursor"), _text("match"), kind, _whole("limit", 50, 1, _MOST_ROWS)
        )
    except ValueError as error:
        raise _bad(str(error)) from error


def key_detail(site: Site, key_id: str) -> KeyDetail:
    """One key; its value too with ``reveal=1``."""
    try:
        found = site.inspector.key(key_id, reveal=_text("reveal") in ("1", "true"))
    except ValueError:
        found = None
    if found is None:
        raise Stop(
            Refusal(404, "There is no such key", "The address names no key. Look in the list.")
        )
    return found


def functions(site: Site) -> Functions:
    """What the cache decorates."""
    return Functions(site.chosen.name, site.inspector.functions())


def requests(site: Site) -> RequestLog:
    """The latest requests: ``after`` a number of the process ``pid``, at most ``limit``."""
    after, limit = _whole("after", 0, 0, 2**53), _whole("limit", 50, 1, _MOST_ROWS)
    if _whole("pid", os.getpid(), 0, 2**53) != os.getpid():
        # Each worker process has numbers of its own.
        after = 0
    return site.inspector.requests(after, limit)


def explained(site: Site, spec: RequestSpec) -> Explanation:
    """What would become of a request."""
    return site.inspector.explain(spec)


def compared(site: Site, specs: Sequence[RequestSpec]) -> Comparison:
    """Requests side by side."""
    try:
        return site.inspector.compare(specs)
    except ValueError as error:
        raise _bad(str(error)) from error


def audited(site: Site) -> AuditReport:
    """What the audit finds without running any view."""
    return audit(site.chosen.cache, app=site.app)


def deleted(site: Site, names: Sequence[str], ids: Sequence[str] = ()) -> Deleted:
    """Delete keys, by themselves or by their ids."""
    site.check_may_write()
    try:
        wanted = [*names, *map(key_of, ids)]
    except ValueError as error:
        raise _bad(str(error)) from error
    if not 1 <= len(wanted) <= _MOST_KEYS:
        raise _bad(f"name 1 to {_MOST_KEYS} keys")
    return Deleted(site.inspector.delete(wanted))


def cleared(site: Site) -> Cleared:
    """Delete everything in the cache."""
    site.check_may_write()
    return Cleared(site.inspector.clear())


def sent_data() -> Any:
    """The JSON in the request's body.

    Raises:
        Stop: If there is none.
    """
    if request.mimetype != "application/json":
        raise Stop(
            Refusal(415, "Not JSON", "Send the body as JSON, with Content-Type: application/json.")
        )
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise _bad("the body is not JSON, or is nested too deeply") from error


def _text(name: str) -> str:
    value = request.args.get(name, "")
    if len(value) > _LONGEST:
        raise _bad(f"{name} is longer than {_LONGEST:,} characters")
    return value


def _whole(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise _bad(f"{name} is a whole number from {least} to {most}")


def _bad(detail: str) -> Stop:
    return Stop(Refusal(400, "That cannot be asked", f"{detail[:1].upper()}{detail[1:]}."))
