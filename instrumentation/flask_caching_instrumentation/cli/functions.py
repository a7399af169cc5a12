"""``flask cache functions``: what is cached, where and how."""

from __future__ import annotations

from typing import Final

import click

from ..inspection.inspector import Inspector
from ..inspection.model import FunctionRow
from ..inspection.text import lifetime
from .printing import Column, Shown, Table, headline, note, write, write_warning
from .running import Chosen, Task, as_json, command, each, named

__all__ = ["COMMANDS"]

_COLUMNS: Final = (
    Column("FUNCTION"),
    Column("IS A"),
    Column("RULES", shrinks=True),
    Column("TIMEOUT", right=True),
    Column("KEY", shrinks=True),
    Column("WHERE", shrinks=True),
)


@command("functions")
@named
@click.option("--match", default="", metavar="TEXT", help="Only those with this in their name.")
@as_json
def functions(name: str | None, match: str, as_json: bool) -> None:
    """What is cached: views, helpers and memoized functions, and how their keys are made.

    How often they were asked for is in `flask cache stats`.
    """

    def look(chosen: Chosen) -> list[FunctionRow]:
        rows = Inspector(chosen.cache, chosen.state.app()).functions()
        return [row for row in rows if match in row.name or match in " ".join(row.endpoints)]

    each(Task("functions", look, _show), name, as_json)


def _show(chosen: Chosen, rows: list[FunctionRow]) -> None:
    headline(chosen.title)
    if not rows:
        note("  no function is cached by it")
        return
    Table(_COLUMNS, indent="  ").write([_row(row) for row in rows])
    warned = [(row, warning) for row in rows for warning in row.warnings]
    if warned:
        write()
    for row, warning in warned:
        write_warning(f"{row.name}: {warning}")


def _row(row: FunctionRow) -> list[str | Shown]:
    where = f"{row.file}:{row.line}" if row.line is not None else row.file
    how = ", ".join([row.key, *row.options])
    return [
        Shown(row.name, {"fg": "yellow"} if row.warnings else {}),
        row.kind,
        " ".join(row.rules) or "-",
        lifetime(row.timeout_seconds),
        how,
        where,
    ]


COMMANDS: Final = {"functions": functions}
