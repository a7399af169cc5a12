"""Every code block of the README and of the manual is run, or compared with what there is.

:mod:`manual_blocks` says what a page can note in comments, ``LANGUAGES`` in :mod:`manual_pages`
what is done with each language. This module has what is written in Python; commands, texts and
data have modules of their own beside it.
"""

from __future__ import annotations

import ast
import doctest
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from manual_blocks import Block, Page
from manual_pages import BLOCKS, LANGUAGES, blocks_in, ids, page_at, pages_with
from manual_programs import program_of, run_alone, run_page, surroundings

from flask_caching.config import CacheConfig


def test_pages_with_code_are_found() -> None:
    """The README, the quickstart and the demo's page are among them."""
    found = {page.path for page in pages_with("python", "console", "indented")}
    assert {"README.md", "docs/quickstart.md", "docs/examples/demo/README.md"} <= found


@pytest.mark.parametrize("block", BLOCKS, ids=ids)
def test_the_language_of_a_block_is_known(block: Block) -> None:
    """There is something that is done with each block."""
    assert block.language in LANGUAGES, (
        f"{block.place}: nothing is known about blocks in {block.language!r}. Use one of "
        f"{', '.join(LANGUAGES)}; or teach tests/docs/test_code_blocks.py what to do with it."
    )


@pytest.mark.parametrize("page", pages_with("python"), ids=ids)
def test_the_blocks_of_a_page_run(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who types in a page's blocks, in order, gets neither an error nor a warning."""
    with surroundings(page, tmp_path, request, monkeypatch) as around:
        ran = run_alone(page, around)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def settings_in(block: Block) -> dict[str, Any] | None:
    """The ``CACHE_*`` keys that a block of nothing but literals sets."""
    found: dict[str, Any] = {}
    for statement in ast.parse(block.text).body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        [target] = statement.targets
        if not isinstance(target, ast.Name) or not target.id.startswith("CACHE_"):
            return None
        try:
            found[target.id] = ast.literal_eval(statement.value)
        except ValueError:
            return None
    return found


@pytest.mark.parametrize(
    "block", [each for each in blocks_in("python") if settings_in(each)], ids=ids
)
def test_settings_that_are_shown_are_taken(block: Block) -> None:
    """A block of settings names keys that there are, with values that they accept."""
    settings = settings_in(block)
    assert settings
    CacheConfig.load(settings, explicit=settings)


def has_tests(text: str) -> bool:
    """Whether a program has tests for pytest."""
    return bool(re.search(r"^(def test_|class Test)", text, re.MULTILINE))


TESTS = [
    page
    for page in pages_with("python")
    if has_tests("\n".join(block.text for block in page.of("python")))
]


@pytest.mark.parametrize("page", TESTS, ids=ids)
def test_tests_that_are_shown_pass(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that shows tests shows tests that pass, and they are more than none."""
    with surroundings(page, tmp_path, request, monkeypatch) as around:
        files = [file for file in around.write_files() if has_tests(file.read_text())]
        if has_tests(program_of(page)):
            files.append(tmp_path / "test_of_the_page.py")
            (tmp_path / "app.py").replace(files[-1])
        plugin = "flask_caching_instrumentation.pytest_plugin"
        options = ["-q", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning"]
        loaded = [] if request.config.pluginmanager.has_plugin("flask_caching") else ["-p", plugin]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *loaded, *map(str, files)],
            cwd=tmp_path,
            env=around.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\b[1-9]\d* passed", ran.stdout), ran.stdout


@pytest.mark.parametrize("page", pages_with("pycon"), ids=ids)
def test_what_a_session_shows_is_what_it_prints(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a page's program, its interactive sessions go as they are shown."""
    with surroundings(page, tmp_path, request, monkeypatch) as around:
        namespace = run_page(page, around)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        report = io.StringIO()
        for block in page.of("pycon"):
            text = around.text_of(block)
            parsed = doctest.DocTestParser().get_doctest(
                text, namespace, block.place, page.path, block.line - 1
            )
            assert parsed.examples, f"{block.place} has no >>>"
            runner.run(parsed, out=report.write, clear_globs=False)
            namespace.update(parsed.globs)
    assert not runner.failures, report.getvalue()


@pytest.mark.parametrize("block", blocks_in("jinja", "html"), ids=ids)
def test_templates_are_rendered(
    block: Block, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template of a page renders in the page's application, twice the same."""
    page = page_at(block.page)
    with surroundings(page, tmp_path, request, monkeypatch) as around:
        namespace = run_page(page, around)
        app = namespace["app"]
        with app.test_request_context("/"):
            template = app.jinja_env.from_string(block.text)
            shown = {name: namespace[name] for name in namespace if not name.startswith("__")}
            first = template.render(shown)
            assert first.strip()
            assert template.render(shown) == first
