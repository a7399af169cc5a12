"""The manual is built without a warning, and has every public name."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from manual_blocks import ROOT

sphinx = pytest.importorskip("sphinx")
pytest.importorskip("furo")
pytest.importorskip("myst_parser")

#: Modules whose public names are all in the reference.
PUBLIC = (
    "flask_caching",
    "flask_caching.backends",
    "flask_caching.errors",
    "flask_caching.observer",
    "flask_caching.signals",
    "flask_caching.testing",
    "flask_caching.utils",
    "flask_caching_instrumentation",
    "flask_caching_instrumentation.instrumentor",
    "flask_caching_instrumentation.pytest_plugin",
)

NAMES = [(module, name) for module in PUBLIC for name in importlib.import_module(module).__all__]


class Built(NamedTuple):
    """The manual as HTML.

    Attributes:
        pages: The folder.
        warnings: What Sphinx has said.
    """

    pages: Path
    warnings: str

    def described(self) -> set[str]:
        """Every Python name that the reference describes."""
        from sphinx.util.inventory import InventoryFile

        with (self.pages / "objects.inv").open("rb") as file:
            inventory = InventoryFile.load(file, "", lambda base, target: target)
        kinds = {"class", "function", "exception", "data", "attribute", "method"}
        return {name for kind in kinds for name in inventory.get(f"py:{kind}", {})}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The manual, as ``make docs`` builds it but for the end that a warning makes of that."""
    folder = tmp_path_factory.mktemp("manual")
    arguments = ["-q", "-b", "html", "-d", str(folder / "trees")]
    ran = subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments, str(ROOT / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Built(folder / "html", ran.stderr)


def test_it_is_built_without_a_warning(built: Built) -> None:
    """References to what is not there, pages in no list, pictures that are missing: none."""
    assert built.warnings == ""


def homes(module: ModuleType, name: str) -> set[str]:
    """The names under which a public object may be described."""
    thing: Any = getattr(module, name)
    found = {f"{module.__name__}.{name}"}
    own = getattr(thing, "__qualname__", None)
    if own:
        found.add(f"{thing.__module__}.{own}")
    for other in PUBLIC:
        imported = importlib.import_module(other)
        found |= {
            f"{other}.{name}" for name in imported.__all__ if getattr(imported, name) is thing
        }
    return found


def test_every_public_name_is_in_the_reference(built: Built) -> None:
    """Under one of the names that it has."""
    described = built.described()
    missing = [
        f"{module}.{name}"
        for module, name in NAMES
        if not homes(importlib.import_module(module), name) & described
    ]
    assert missing == []


def test_there_are_public_names() -> None:
    """So that the test above is not one of nothing."""
    assert len(NAMES) > 60


def test_no_page_is_forgotten(built: Built) -> None:
    """The front page leads to every page, under one of four captions."""
    front = (built.pages / "index.html").read_text(encoding="utf-8")
    captions = re.findall(r'<span class="caption-text">([^<]+)</span>', front)
    assert list(dict.fromkeys(captions)) == ["Start", "How to", "Reference", "Explanation"]
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if not {"_build", "examples"} & set(path.relative_to(ROOT / "docs").parts)
    }
    linked = set(re.findall(r'href="([\w/.-]+\.html)"', front))
    assert pages - {"index.html"} <= linked


def test_nothing_of_the_source_shows(built: Built) -> None:
    """No braces of a substitution, no role that was not understood."""
    for page in built.pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "{{ " not in re.sub(r"<pre>.*?</pre>|<code.*?</code>", "", text, flags=re.DOTALL), (
            page
        )
        assert "{doc}" not in text, page
