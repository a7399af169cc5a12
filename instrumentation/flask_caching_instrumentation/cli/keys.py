"""``flask cache keys`` and ``get``: what a cache holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import click

from ..inspection.inspector import Inspector
from ..inspection.listing import Rows
from ..inspection.model import KeyDetail, KeyKind, KeyRow, Preview, Writer
from ..inspection.places import Place
from ..inspection.text import duration, lifetime, moment, size, visible
from .printing import (
    Column,
    Shown,
    Table,
    as_json_text,
    headline,
    note,
    on_terminal,
    write,
    write_document,
    write_facts,
)
from .running import (
    FINDINGS,
    Chosen,
    as_json,
    command,
    fail,
    named,
    note_if_apart,
    only,
)
from .walking import pages_of, place_for, reach

__all__ = ["COMMANDS"]

_KINDS: Final = get_args(KeyKind)

_COLUMNS: Final = (
    Column("EXPIRES", right=True),
    Column("SIZE", right=True),
    Column("KIND"),
    Column("TARGET", shrinks=True),
    Column("KEY", shrinks=True),
)


@dataclass(frozen=True)
class _Wanted:
    """Which keys to list.

    Attributes:
        match: Text that they contain.
        kind: Their kind; empty for any.
        cursor: Where to begin.
        limit: How many, about; ``None`` for all.
    """

    match: str
    kind: str
    cursor: str
    limit: int | None


@command("keys")
@click.option("--match", default="", metavar="TEXT", help="Only keys that contain this text.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only keys of this kind.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="About how many keys to list.",
)
@click.option("--all", "everything", is_flag=True, help="List all keys.")
@click.option("--cursor", default="", metavar="CURSOR", help="Go on where a list ended.")
@click.option("-0", "--null", is_flag=True, help="Only the keys, each ended by NUL, for xargs -0.")
@named
@as_json
def keys(
    match: str,
    kind: str | None,
    limit: int,
    everything: bool,
    cursor: str,
    null: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """List the keys that a cache holds: when they expire, their size, kind and target.

    Control characters are shown by their numbers, and on a terminal long keys are cut. Nothing is
    read that would count as a use of an entry.
    """
    chosen = only(name)
    place = place_for(chosen)
    pages = _rows(place, _Wanted(match, kind or "", cursor, None if everything else limit))
    if as_json:
        _write_json(chosen, pages)
        return
    table = Table(_COLUMNS)
    listed, left = 0, ""
    for rows, cursor_of_rest in pages:
        listed, left = listed + len(rows), cursor_of_rest
        if null:
            _write_null(rows)
        else:
            table.write([_row(row) for row in rows])
    if not listed and not left:
        note(f"{chosen.title} has no {_words(match, kind or '')}")
    if not listed:
        note_if_apart(chosen)
    if left:
        note(f"There may be more: --cursor {left} goes on, --all lists all.")


def _words(match: str, kind: str) -> str:
    return f"{f'{kind} ' if kind else ''}keys" + (f" that contain {match!r}" if match else "")


def _rows(place: Place, wanted: _Wanted) -> Iterator[tuple[list[KeyRow], str]]:
    """Pages of rows, and where each ends."""
    left = wanted.limit
    page_size = 500 if left is None or wanted.kind else min(left, 500)
    for page in pages_of(place, wanted.match, wanted.cursor, page_size):
        # Anew for each page: it remembers every path that it saw.
        rows = Rows(place, None)
        shown = [rows.row(info) for info in page.keys]
        found = [row for row in shown if wanted.kind in ("", row.kind)]
        yield found, page.cursor
        if left is not None:
            left -= len(found)
            if left <= 0:
                return


def _row(row: KeyRow) -> list[str | Shown]:
    return [
        lifetime(row.expires_in_seconds),
        size(row.size_bytes),
        row.kind,
        row.target or "-",
        Shown(row.key, {"bold": True}),
    ]


def _write_null(rows: Sequence[KeyRow]) -> None:
    for row in rows:
        # As they are, but for a terminal, which would do what they say.
        if on_terminal():
            write(visible(row.key))
        else:
            write(f"{row.key}\0", newline=False)


def _write_json(chosen: Chosen, pages: Iterator[tuple[list[KeyRow], str]]) -> None:
    """One object; a row on each line, as they come."""
    rows, cursor = next(pages)
    write(f'{{"cache": {as_json_text(chosen.name)}, "rows": [')
    comma = ""
    while True:
        if rows:
            write(comma + ",\n".join(f"  {as_json_text(row)}" for row in rows), newline=False)
            comma = ",\n"
        try:
            rows, cursor = next(pages)
        except StopIteration:
            break
    end = "\n" if comma else ""
    write(f'{end}], "cursor": {as_json_text(cursor)}}}')


@command("get")
@click.argument("key")
@click.option("--meta", is_flag=True, help="Show what is known of the entry, not its value.")
@named
@as_json
def get(key: str, meta: bool, name: str | None, as_json: bool) -> None:
    """Show what is stored under a key.

    A value is shown as far as it is text, JSON or bytes; a pickle is never loaded. Values that
    CACHE_DEBUG_REDACT names are hidden. Exits with 1 if there is no such key.
    """
    chosen = only(name)
    place = place_for(chosen)
    reach(place)
    detail = Inspector(chosen.cache, place.app).key_named(key, reveal=not meta)
    if detail is None:
        fail(f"{key!r} is a key of Flask-Caching's own, which is not shown.", FINDINGS)
    if as_json:
        write_document(detail)
    elif detail.exists:
        if meta or detail.preview is None:
            _write_meta(detail)
        else:
            _write_preview(detail.preview)
    if not detail.exists:
        if not as_json:
            note(f"{chosen.title} has no key {key!r}")
            note_if_apart(chosen)
        raise SystemExit(FINDINGS)


def _write_preview(preview: Preview) -> None:
    for name, value in preview.headers:
        write(click.style(f"{visible(name)}: ", dim=True) + visible(value))
    if preview.headers:
        write()
    if preview.text:
        write(visible(preview.text, lines=True), newline=not preview.text.endswith("\n"))
    if preview.note:
        note(preview.note)


def _write_meta(detail: KeyDetail) -> None:
    row = detail.row
    headline(row.key)
    now = time.time()
    written, expires = detail.created_at, detail.expires_at
    if expires is None:
        ends = "-"
    else:
        ends = f"{moment(expires)}  (in {duration(expires - now)})" if expires else "never"
    write_facts(
        [
            ("kind", row.kind),
            ("target", row.target),
            ("written", f"{moment(written)}  ({duration(now - written)} ago)" if written else ""),
            ("expires", ends),
            ("size", size(row.size_bytes)),
            ("stored as", row.serializer),
            ("took", duration(detail.load_seconds) if detail.load_seconds else ""),
            ("made for", _made_for(detail.written_by)),
            ("which read", ", ".join(detail.reads)),
            ("varies with", ", ".join(f"{name}: {value}" for name, value in detail.vary)),
            ("versions", str(detail.versions) if detail.versions else ""),
            ("collision", Shown(detail.collision, {"fg": "red"})),
        ]
    )
    if detail.note:
        note(detail.note)


def _made_for(writer: Writer | None) -> str:
    if writer is None:
        return ""
    arguments = "" if writer.arguments is None else f"({writer.arguments})"
    query = f"?{writer.query}" if writer.query else ""
    parts = (f"{writer.function}{arguments}", writer.method, writer.host, query)
    return " ".join(part for part in parts if part)


COMMANDS: Final = {"get": get, "keys": keys}
