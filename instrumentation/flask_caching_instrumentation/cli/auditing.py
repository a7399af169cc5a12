"""``flask cache audit``: requests that wrongly share a key, for a terminal and for a build."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import click

from ..auditing import FORMATS, AuditReport, audit
from ..inspection.text import visible
from .printing import as_json_text, note, write
from .running import FINDINGS, USAGE, Chosen, Refused, ask, command, every, fail, named
from .waiting import Bar

__all__ = ["COMMANDS"]

#: What fails, by the word for it.
_LEVELS: Final = {"error": ("error",), "information": ("error", "information"), "never": ()}


@dataclass(frozen=True)
class _Wanted:
    """How to audit.

    Attributes:
        execute: Whether views run.
        ignore: What not to report.
    """

    execute: bool
    ignore: tuple[str, ...]


@command("audit")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(sorted(FORMATS)),
    help="How to write the report; text if not said.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", metavar="FILE", help="Write the report there instead of stdout.")
@click.option(
    "--execute",
    is_flag=True,
    help="Also send GET and HEAD to every route, uncached, to see what the views read. This runs "
    "the application's own code.",
)
@click.option(
    "--fail-on",
    type=click.Choice(list(_LEVELS)),
    default="error",
    show_default=True,
    help="Exit with 1 if there are errors; or also if there is information; or never.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="RULE[:ENDPOINT]",
    help="What not to report, with * for any; can be repeated.",
)
@named
def audit_command(
    format_name: str | None,
    as_json: bool,
    output: str | None,
    execute: bool,
    fail_on: str,
    ignore: tuple[str, ...],
    name: str | None,
) -> None:
    """Find requests that wrongly share a key.

    For each cached route it makes up requests that differ in one thing and asks for their keys. No
    view runs without --execute, and nothing is read from or written to the store.
    """
    if as_json and format_name not in (None, "json"):
        fail(f"--json and --format {format_name} are two formats; choose one", USAGE)
    wanted = _Wanted(execute, ignore)
    reports = [_audited(chosen, wanted) for chosen in every(name)]
    format_name = "json" if as_json else format_name or "text"
    _deliver(_MERGED[format_name](reports, name is not None), format_name, output)
    levels = _LEVELS[fail_on]
    found = [finding for _, report in reports for finding in report.findings]
    if output:
        failing = sum(finding.level in levels for finding in found)
        note(f"{len(found)} findings, {failing} of which fail, are in {output}")
    if any(finding.level in levels for finding in found):
        raise SystemExit(FINDINGS)


def _audited(chosen: Chosen, wanted: _Wanted) -> tuple[str, AuditReport]:
    """The report on one cache, with the cache's name."""
    with ask("audit"), Bar(f"Auditing {chosen.name}") as bar:
        try:
            report = audit(
                chosen.cache,
                app=chosen.state.app(),
                execute=wanted.execute,
                ignore=wanted.ignore,
                progress=bar.move,
            )
        except ValueError as error:
            if "names no rule" not in str(error):
                raise
            raise Refused(f"--ignore: {error}") from error
    return chosen.name, report


def _deliver(text: str, format_name: str, output: str | None) -> None:
    if output and output != "-":
        try:
            with open(output, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Refused(f"the report cannot be written: {error}") from error
    elif format_name == "text":
        for line in text.rstrip("\n").split("\n"):
            write(_coloured(line))
    else:
        write(text, newline=not text.endswith("\n"))


def _coloured(line: str) -> str:
    """A line of the text format as a terminal shows it."""
    if line.startswith("Errors ("):
        return click.style(line, fg="red", bold=True)
    if line.startswith("Information ("):
        return click.style(line, fg="yellow", bold=True)
    indent = len(line) - len(line.lstrip())
    if line and indent == 2:
        return click.style(line, bold=True)
    return click.style(line, fg="green") if line.lstrip().startswith("> ") else line


# Several reports in one document.

_Reports = Sequence[tuple[str, AuditReport]]


def _as_text(reports: _Reports, was_named: bool) -> str:
    parts: list[str] = []
    for name, report in reports:
        title = f"Cache {visible(name)}\n\n" if len(reports) > 1 else ""
        parts.append(title + FORMATS["text"](report))
    return "\n".join(parts)


def _as_json(reports: _Reports, was_named: bool) -> str:
    """By the caches' names; of one that was named the report alone."""
    documents = {name: json.loads(FORMATS["json"](report)) for name, report in reports}
    alone = was_named and len(documents) == 1
    shown = documents.popitem()[1] if alone else documents
    return as_json_text(shown, indent=2) + "\n"


def _as_sarif(reports: _Reports, was_named: bool) -> str:
    """One log, a run for each cache."""
    logs = [json.loads(FORMATS["sarif"](report)) for _, report in reports]
    merged = {**logs[0], "runs": [run for log in logs for run in log["runs"]]}
    return as_json_text(merged, indent=2) + "\n"


def _as_junit(reports: _Reports, was_named: bool) -> str:
    """One document, a suite for each cache."""
    texts = [FORMATS["junit"](report) for _, report in reports]
    if len(texts) == 1:
        return texts[0]
    roots = [ElementTree.fromstring(text.encode()) for text in texts]
    whole = roots[0]
    for other in roots[1:]:
        for number in ("tests", "failures", "errors", "skipped"):
            whole.set(number, str(int(whole.get(number, "0")) + int(other.get(number, "0"))))
        whole.set("time", f"{float(whole.get('time', '0')) + float(other.get('time', '0')):.3f}")
        whole.extend(list(other))
    text = ElementTree.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


_MERGED: Final[dict[str, Callable[[_Reports, bool], str]]] = {
    "json": _as_json,
    "junit": _as_junit,
    "sarif": _as_sarif,
    "text": _as_text,
}

COMMANDS: Final = {"audit": audit_command}
