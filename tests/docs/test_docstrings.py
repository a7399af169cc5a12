"""Examples in docstrings of both packages do what they show."""

from __future__ import annotations

import doctest
import importlib
import io

import pytest
from manual_blocks import ROOT

#: Modules that have an example, by their source: no other is imported for this.
MODULES = [
    ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
    for base, package in (
        (ROOT, "flask_caching"),
        (ROOT / "instrumentation", "flask_caching_instrumentation"),
    )
    for path in sorted((base / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def test_there_are_examples() -> None:
    """So that the test below is not one of nothing."""
    assert "flask_caching.utils" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    """Each, in a namespace of its own."""
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=report.write)
    assert runner.tries > 0
    assert not runner.failures, report.getvalue()
