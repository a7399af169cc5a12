"""The runbooks name only what there is: queries, commands, settings, panels, and labels' values."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest
from promql import check_expressions, exposed, mistakes, selectors

from flask_caching import Cache
from flask_caching.config import PASS_THROUGH, describe_keys
from flask_caching_instrumentation.cli import cache as commands
from flask_caching_instrumentation.metrics.failures import ErrorType

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
#: Text that is broken between words reads as one line.
PROSE = re.sub(r"\s+", " ", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
QUERIES = [
    query.strip()
    for block in re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for query in re.split(r"\n\s*\n", block)
]


def table_of(section: str) -> list[str]:
    """The first cells of the lines of a section's table, without the head."""
    lines = re.findall(r"^ *\|(.*?)\|.*\|$", SECTIONS[section], re.MULTILINE)
    return [line.strip() for line in lines[2:]]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_says_all_that_somebody_needs_who_was_woken(name: str) -> None:
    """What it means, how to confirm it with a query and a panel, what to do, when to leave it."""
    said = re.findall(r"^\*\*([^*]+)\.\*\*", SECTIONS[name], re.MULTILINE)
    wanted = ["What it means", "Confirm", "Do", "Leave it, or tune it"]
    assert [each for each in said if each in wanted] == wanted
    assert "```promql" in SECTIONS[name]
    assert re.search(r"Dashboard\s+\*Flask-Caching", SECTIONS[name])


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_is_exported(query: str) -> None:
    """Families, labels and values of ours, and recorded series."""
    assert list(selectors(query))
    assert mistakes(query) == []


def test_prometheus_takes_the_queries(tmp_path: Path) -> None:
    """Each of them parses."""
    assert len(QUERIES) >= len(SECTIONS)
    check_expressions(QUERIES, tmp_path)


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`flask cache ([^`]+)`", PROSE))))
def test_a_command_exists(line: str) -> None:
    """With its options, and as many arguments as it takes."""
    name, *words = shlex.split(line)
    context = click.Context(commands)
    command = commands.get_command(context, name)
    assert command is not None, f"there is no `flask cache {name}`"
    command.make_context(name, words)


def test_a_command_that_does_not_exist_is_found() -> None:
    """Neither a wrong option nor a missing argument passes."""
    context = click.Context(commands)
    assert commands.get_command(context, "stat") is None
    ping = commands.get_command(context, "ping")
    assert ping is not None
    with pytest.raises(click.NoSuchOption):
        ping.make_context("ping", ["--often", "3"])


def test_settings_exist() -> None:
    """Every key, and every argument of a decorator."""
    known = {each.key for each in describe_keys()} | set(PASS_THROUGH)
    named = set(re.findall(r"\bCACHE_[A-Z_]+\b", PAGE))
    assert {"CACHE_SINGLE_FLIGHT_TIMEOUT", "CACHE_THRESHOLD"} <= named
    assert named <= known
    arguments = set(inspect.signature(Cache.cached).parameters)
    written = set(re.findall(r"`([a-z_]+)=(?![~\"]?(?:ok|error|reported|false|search)\b)", PROSE))
    written -= {"severity", "action", "handled", "outcome", "target"}
    assert {"vary", "ignore_query", "query_string", "collisions"} <= written
    assert written <= arguments


def test_panels_exist() -> None:
    """Each dashboard has the panels that are looked up in it."""
    titles: dict[str, set[str]] = {}
    for path in (ROOT / "dashboards" / "grafana").glob("*.json"):
        board = json.loads(path.read_text(encoding="utf-8"))
        rows = (row.get("panels") or [] for row in board["panels"])
        panels = [*board["panels"], *(each for row in rows for each in row)]
        titles[board["title"]] = {each["title"] for each in panels if each["type"] != "row"}
    named = re.findall(r"\*(Flask-Caching: \w+)\*:((?: \*[^*]+\*,?)+)", PROSE)
    assert len(named) >= len(SECTIONS)
    for board, listed in named:
        assert set(re.findall(r"\*([^*]+)\*", listed)) <= titles[board]


def test_kinds_of_errors_are_explained() -> None:
    """All but the two that are an outage."""
    explained = {re.findall(r"`(\w+)`", cell)[0] for cell in table_of("FlaskCachingErrors")}
    assert explained == set(get_args(ErrorType)) - {"connection", "timeout"}


def test_kinds_of_collisions_are_explained() -> None:
    """All that a view can have."""
    explained = {cell.strip("`") for cell in table_of("FlaskCachingCollision")}
    assert explained == exposed()["key_collisions_total", "kind"]


def test_places_of_faults_are_explained() -> None:
    """Each place of our code that reports one begins with one of those in the table."""
    explained = [
        prefix
        for cell in table_of("FlaskCachingTelemetryErrors")
        for prefix in re.findall(r"`([\w.]+)`", cell)
    ]
    reported: set[str] = set()
    for package in ("flask_caching", "instrumentation"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            reported |= set(re.findall(r"report_fault\(\s*f?\"([^\"]+)\"", text))
    # Whoever listens in on a test names itself.
    reported = {each for each in reported if not each.startswith("{")}
    assert len(reported) > 20
    assert [each for each in sorted(reported) if not each.startswith(tuple(explained))] == []
    for prefix in explained:
        assert any(each.startswith(prefix) for each in reported), f"nothing begins with {prefix}"
