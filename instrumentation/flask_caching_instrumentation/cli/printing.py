"""Printing: data on stdout, notes on stderr, and nothing that a terminal would take for a command.

Whatever is printed as text went through :func:`~..inspection.text.visible`; JSON is escaped down
to ASCII.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeGuard

import click

from ..inspection.model import plain
from ..inspection.text import visible

__all__ = [
    "Column",
    "Shown",
    "Table",
    "as_json_text",
    "headline",
    "is_listing",
    "is_mapping",
    "note",
    "on_terminal",
    "write",
    "write_document",
    "write_facts",
    "write_warning",
]

#: Between two columns.
_GAP: Final = "  "

#: What a column may shrink to, in places of a terminal.
_LEAST: Final = 12


class Shown(NamedTuple):
    """A text and how it is shown on a terminal: arguments of :func:`click.style`."""

    text: str
    style: Mapping[str, Any]


def on_terminal() -> bool:
    """Whether what is written is read by a person."""
    return sys.stdout.isatty()


def write(text: str = "", *, newline: bool = True) -> None:
    """Write a line of data. Its control characters must be gone by now, those of style excepted.

    A reader that is not there any more (``| head``) ends the command, without a word.
    """
    try:
        click.echo(_encodable(text, sys.stdout), nl=newline)
    except BrokenPipeError:
        _hang_up()


def note(text: str) -> None:
    """Write something about the data, or about what is going on, to stderr."""
    click.echo(_encodable(visible(text, lines=True), sys.stderr), err=True)


def headline(text: str) -> None:
    """Write what the lines below it are about."""
    write(click.style(visible(text), bold=True))


def _encodable(text: str, stream: Any) -> str:
    """``text``, where the terminal's encoding lacks a character with its number instead."""
    encoding: str = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _hang_up() -> NoReturn:
    """End as a command does that writes into a closed pipe."""
    try:
        # What is buffered goes nowhere, or Python would complain about it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        # Not a file.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    raise SystemExit(128 + getattr(signal, "SIGPIPE", 13))


# JSON.


def write_document(value: Any) -> None:
    """Write the one JSON document of a command."""
    write(as_json_text(value, indent=2))


def as_json_text(value: Any, indent: int | None = None) -> str:
    """Dataclasses and plain data as JSON, in ASCII."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries; what is no number to JSON as ``null``."""
    if is_dataclass(value):
        return _plain(plain(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_mapping(value):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_listing(value):
        return [_plain(each) for each in value]
    return value


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether something is a mapping, of whatever."""
    return isinstance(value, Mapping)


def is_listing(value: object) -> TypeGuard[Collection[Any]]:
    """Whether something is a list, tuple or set, of whatever."""
    return isinstance(value, (list, tuple, set, frozenset))


# Text.


def write_warning(text: str) -> None:
    """Write what looks wrong, a paragraph of its own."""
    write(click.style("! ", fg="yellow", bold=True) + visible(text))


def write_facts(facts: Iterable[tuple[str, str | Shown]], indent: str = "  ") -> None:
    """Write names and what they stand for, one below the other; without what is empty."""
    shown = [(name, _shown(value)) for name, value in facts]
    kept = [(name, value) for name, value in shown if value.text]
    width = max((_width(name) for name, _ in kept), default=0)
    for name, value in kept:
        write(f"{indent}{_padded(name, width)}{_GAP}{_styled(value, value.text)}")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        right: Whether its texts end below one another, as numbers do.
        shrinks: Whether its texts are cut where the terminal is too narrow.
    """

    title: str
    right: bool = False
    shrinks: bool = False


@dataclass
class Table:
    """A table that is written a few rows at a time, so that the first ones are there at once.

    On a terminal it fits in; elsewhere nothing is cut.

    Args:
        columns: Its columns.
        indent: What stands before each line.
    """

    columns: Sequence[Column]
    indent: str = ""
    _widths: list[int] = field(default_factory=list[int])

    def write(self, rows: Iterable[Sequence[str | Shown]]) -> None:
        """Write rows, below the headings if they are the first."""
        shown = [[_shown(cell) for cell in row] for row in rows]
        if not shown:
            return
        first = not self._widths
        known = self._widths or [_width(column.title) for column in self.columns]
        cells = zip(*shown, strict=True)
        self._widths = [
            max(width, *(_width(cell.text) for cell in column))
            for width, column in zip(known, cells, strict=True)
        ]
        widths = self._fitting()
        if first:
            shown.insert(0, [Shown(column.title, {"dim": True}) for column in self.columns])
        # At once: each write goes out by itself.
        write("\n".join(self._line(row, widths) for row in shown))

    def _fitting(self) -> list[int]:
        """The columns' widths, those that can shrink less until a line fits into the terminal."""
        if not on_terminal():
            return list(self._widths)
        room = shutil.get_terminal_size().columns - len(self.indent)
        widths = [
            min(width, room) if column.shrinks else width
            for width, column in zip(self._widths, self.columns, strict=True)
        ]
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
        able = [place for place, column in enumerate(self.columns) if column.shrinks]
        for _ in range(excess):
            widest = max(able, key=lambda place: widths[place], default=None)
            if widest is None or widths[widest] <= _LEAST:
                break
            widths[widest] -= 1
        return widths

    def _line(self, cells: Sequence[Shown], widths: Sequence[int]) -> str:
        parts: list[str] = []
        for cell, column, width in zip(cells, self.columns, widths, strict=True):
            text = _cut(cell.text, width)
            blank = " " * (width - _width(text))
            styled = _styled(cell, text)
            parts.append(blank + styled if column.right else styled + blank)
        # Blanks at the end of a line are of no use, whatever style they stand behind.
        return (self.indent + _GAP.join(parts)).rstrip()


def _shown(cell: str | Shown) -> Shown:
    if isinstance(cell, Shown):
        return Shown(visible(cell.text), cell.style)
    return Shown(visible(cell), {})


def _styled(shown: Shown, text: str) -> str:
    return click.style(text, **shown.style) if text and shown.style else text


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Places that a text takes in a terminal: none for a mark on a letter, two for wide ones."""
    if text.isascii():
        return len(text)
    return sum(map(_places, text))


def _places(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("F", "W") else 1


def _cut(text: str, width: int) -> str:
    """``text``, or its beginning and a mark that it goes on, in at most so many places."""
    if _width(text) <= width:
        return text
    kept, room = 0, width - 1
    for character in text:
        room -= _places(character)
        if room < 0:
            break
        kept += 1
    return f"{text[:kept]}…"
