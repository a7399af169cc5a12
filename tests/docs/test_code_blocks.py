"""The Python blocks of the README and of the manual run, each page as one program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> str:
    """The Python blocks of a page, each on the lines where it stands in the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in _BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n")
        code = block.group(1).splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


WITH_CODE = [page for page in PAGES if _BLOCK.search(page.read_text(encoding="utf-8"))]


def run(page: Path) -> dict[str, Any]:
    """Run a page's blocks in one namespace."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(blocks_of(page), str(page), "exec"), namespace)
    return namespace


def test_pages_with_code_are_found() -> None:
    """The README and the quickstart are among the pages that run."""
    assert {"README.md", "quickstart.md"} <= {page.name for page in WITH_CODE}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path) -> None:
    """A reader who types in a page's blocks, in order, gets no error."""
    run(page)


def test_the_readme_shows_what_the_library_prints() -> None:
    """The metrics and the explanation in the README are those that its example makes."""
    namespace = run(ROOT / "README.md")
    client = namespace["app"].test_client()
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [client.get("/reports/2026").status_code for _ in range(2)] == [200, 200]
    scraped = client.get("/metrics").get_data(as_text=True)
    shown = re.findall(r"^    (flask_caching_\S+\{.*?\}) 1\.0$", text, re.MULTILINE)
    assert len(shown) == 2
    for series in shown:
        assert f"{series} " in scraped

    explained = str(namespace["cache"].explain("/reports/2026?page=2"))
    assert explained in text
