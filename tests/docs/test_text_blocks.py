"""Every block of text is what something prints, or another test compares it with what there is."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from manual_blocks import ROOT, Block
from manual_pages import blocks_in, ids, is_commands, page_at
from manual_programs import run_page, surroundings
from manual_shell import difference

TEXTS = [each for each in blocks_in("text", "indented") if not is_commands(each)]

#: Blocks of pages in plain Markdown that others keep, by how they begin: what compares them with
#: what there is, or why nothing does.
_KNOWN_TEXTS = {
    ("README.md", "flask_caching_lookups_total{"): "test_the_readme_shows_what_the_library_prints",
    ("README.md", "flask_caching/ "): "test_folders_that_are_listed_exist",
    ("docs/design.md", "flask_caching/\n"): "test_modules_that_are_listed_exist",
    ("docs/design.md", "base.py"): "test_modules_that_are_listed_exist",
}


@pytest.mark.parametrize("block", TEXTS, ids=ids)
def test_texts_are_compared(
    block: Block, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of text is what something prints; or it names its test, or why there is none."""
    known = [
        test
        for (page, begin), test in _KNOWN_TEXTS.items()
        if page == block.page and block.text.startswith(begin)
    ]
    if known:
        assert known[0] in globals()
    elif "shows" in block.notes:
        page = page_at(block.page)
        with surroundings(page, tmp_path, request, monkeypatch) as around:
            namespace = run_page(page, around)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(block.notes["shows"], namespace)
        assert not difference(block.text, printed.getvalue())
    elif "checked by" in block.notes:
        file, _, test = block.notes["checked by"].partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source
        assert Path(block.page).name in source, f"{file} does not read the page"
    else:
        reason = block.notes.get("not run", "")
        assert len(reason.split()) > 2, (
            f"{block.place}: say above it what it is, in a comment: <!-- shows: print(...) --> "
            "what prints it, <!-- checked by: tests/x.py::test_y --> what compares it, or "
            "<!-- not run: why nothing can -->. If it is code, name its language."
        )


def listed_paths(text: str) -> list[str]:
    """The paths in a listing of modules: names in columns, an indented one in the folder above."""
    found: list[str] = []
    folders: list[tuple[int, str]] = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent > 20:
            continue
        names = re.match(r"\s*((?:[\w/.*]+(?:\.py|/)(?:  ?|$))+)", line)
        if names is None:
            continue
        while folders and folders[-1][0] >= indent:
            folders.pop()
        parent = "".join(folder for _, folder in folders)
        words = names[1].split()
        found += [parent + word for word in words]
        if words[0].endswith("/"):
            folders.append((indent, words[0]))
    return found


@pytest.mark.parametrize(
    ("page", "base", "least"),
    [
        ("README.md", "", 5),
        ("docs/design.md", "", 100),
    ],
)
def test_folders_that_are_listed_exist(page: str, base: str, least: int) -> None:
    """What a listing of folders and modules names is there."""
    blocks = [each for each in page_at(page).of("indented") if not is_commands(each)]
    paths: list[str] = []
    for block in blocks:
        inside = "flask_caching/backends/" if block.text.startswith("base.py") else base
        paths += [inside + path for path in listed_paths(block.text)]
    assert len(paths) >= least
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_modules_that_are_listed_exist() -> None:
    """Every module of both packages is in the design, but for those of a listed folder."""
    text = page_at("docs/design.md").text
    missing = [
        path.relative_to(ROOT).as_posix()
        for package in ("flask_caching", "instrumentation/flask_caching_instrumentation")
        for path in sorted((ROOT / package).glob("*.py"))
        if path.name != "__init__.py" and path.name not in text
    ]
    assert missing == []


def test_the_readme_shows_what_the_library_prints() -> None:
    """The metrics and the explanation in the README are those that its example makes."""
    page = page_at("README.md")
    namespace = run_page(page)
    client = namespace["app"].test_client()

    assert [client.get("/reports/2026").status_code for _ in range(2)] == [200, 200]
    scraped = client.get("/metrics").get_data(as_text=True)
    shown = re.findall(r"^    (flask_caching_\S+\{.*?\}) 1\.0$", page.text, re.MULTILINE)
    assert len(shown) == 2
    for series in shown:
        assert f"{series} " in scraped

    explained = str(namespace["cache"].explain("/reports/2026?page=2"))
    assert explained in page.text
