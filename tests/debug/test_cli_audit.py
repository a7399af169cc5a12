"""``flask cache audit``: formats, exit codes, files, several caches."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import run
from flask import Flask

from flask_caching import Cache

Made = tuple[Flask, Cache]


def add_views(app: Flask, cache: Cache, name: str, **options: Any) -> None:
    """A cached view with an argument."""

    @app.route(f"/{name}/<int:id>", endpoint=name)
    @cache.cached(**options)
    def view(id: int) -> str:
        print("a view ran", flush=True)
        return f"{name} {id}"


@pytest.fixture
def bad(make_app: Callable[..., Made]) -> Flask:
    """An application with one mistake."""
    app, cache = make_app(CACHE_NAME="pages")
    add_views(app, cache, "bad", key_prefix="bad")
    add_views(app, cache, "good")
    return app


@pytest.fixture
def good(make_app: Callable[..., Made]) -> Flask:
    """An application without mistakes."""
    app, cache = make_app()
    add_views(app, cache, "good")
    return app


def test_a_mistake_fails_a_build(bad: Flask) -> None:
    """Exit code 1; the report shows the two requests and their key."""
    ran = run(bad, "audit")
    assert ran.code == 1
    assert ran.out.startswith("Errors (1)")
    assert "constant-key" in ran.out
    assert "$ flask cache compare /bad/1 /bad/2" in ran.out


def test_what_is_only_to_be_known_does_not(good: Flask) -> None:
    """Exit code 0, unless that is asked for."""
    ran = run(good, "audit")
    assert ran.code == 0
    assert "Information (" in ran.out
    assert run(good, "audit", "--fail-on", "information").code == 1


def test_failing_on_nothing(bad: Flask) -> None:
    """``--fail-on never`` reports, and exits with 0."""
    ran = run(bad, "audit", "--fail-on", "never")
    assert ran.code == 0
    assert "constant-key" in ran.out


def test_ignoring(bad: Flask) -> None:
    """By rule, and by rule and endpoint; what names no rule is wrong usage."""
    assert run(bad, "audit", "--ignore", "constant-key").code == 0
    assert run(bad, "audit", "--ignore", "constant-key:bad", "--ignore", "not-in-key").code == 0
    assert run(bad, "audit", "--ignore", "constant-key:good").code == 1
    ran = run(bad, "audit", "--ignore", "constant_key")
    assert ran.code == 2
    assert "names no rule" in ran.err


@pytest.mark.parametrize("arguments", [["--json"], ["--format", "json"]])
def test_json_is_by_the_caches_names(bad: Flask, arguments: list[str]) -> None:
    """Or the report alone, of a cache that is named."""
    ran = run(bad, "audit", *arguments)
    assert ran.code == 1
    assert ran.document["pages"]["findings"][0]["rule"] == "constant-key"
    alone = run(bad, "audit", *arguments, "--name", "pages").document
    assert alone["cache"] == "pages"
    assert alone["findings"][0]["target"] == "bad"


def test_two_formats_at_once(bad: Flask) -> None:
    """Only one document goes to stdout."""
    ran = run(bad, "audit", "--json", "--format", "sarif")
    assert (ran.code, ran.out) == (2, "")
    assert run(bad, "audit", "--format", "yaml").code == 2


def test_sarif(bad: Flask) -> None:
    """For code hosts: the error with its file and line."""
    log = run(bad, "audit", "--format", "sarif").document
    assert log["version"] == "2.1.0"
    (error,) = [each for each in log["runs"][0]["results"] if each["level"] == "error"]
    place = error["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("tests/debug/test_cli_audit.py")


def test_junit(bad: Flask) -> None:
    """For build servers: the error is a failure."""
    root = ElementTree.fromstring(run(bad, "audit", "--format", "junit").out.encode())
    assert root.get("failures") == "1"
    assert [each.get("type") for each in root.iter("failure")] == ["constant-key"]


def test_several_caches_in_one_document(make_app: Callable[..., Made]) -> None:
    """Each format keeps them apart; one mistake in any of them fails."""
    app, first = make_app(CACHE_NAME="first")
    _, second = make_app(app=app, CACHE_NAME="second")
    add_views(app, first, "one")
    add_views(app, second, "two", key_prefix="two")
    ran = run(app, "audit")
    assert ran.code == 1
    assert ran.out.index("Cache first") < ran.out.index("Cache second")
    documents = run(app, "audit", "--json").document
    assert [documents[name]["errors"] for name in ("first", "second")] == [0, 1]
    log = run(app, "audit", "--format", "sarif").document
    assert [each["properties"]["cache"] for each in log["runs"]] == ["first", "second"]
    root = ElementTree.fromstring(run(app, "audit", "--format", "junit").out.encode())
    assert [suite.get("name") for suite in root] == ["first", "second"]
    assert root.get("failures") == "1"
    assert int(root.get("tests", "")) == len(list(root.iter("testcase")))
    assert run(app, "audit", "--name", "first").code == 0


def test_a_report_in_a_file(bad: Flask, tmp_path: Path) -> None:
    """stdout stays empty, stderr says where it is; the exit code is the same."""
    file = tmp_path / "audit.sarif"
    ran = run(bad, "audit", "--format", "sarif", "--output", str(file))
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(file.read_text())["version"] == "2.1.0"
    assert f"1 of which fail, are in {file}" in ran.err
    ran = run(bad, "audit", "--output", str(tmp_path / "nowhere" / "audit.txt"))
    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_running_the_views(bad: Flask) -> None:
    """``--execute`` runs them; what they print is not part of the report."""
    ran = run(bad, "audit", "--json", "--name", "pages")
    assert ran.document["executed"] is False
    assert "a view ran" not in ran.err
    ran = run(bad, "audit", "--execute", "--json", "--name", "pages")
    assert ran.document["executed"] is True
    assert "a view ran" in ran.err
