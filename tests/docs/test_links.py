"""Every link of the README and of the manual to another file or heading leads there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from manual_blocks import ROOT, Page, parsed
from manual_pages import PAGES, ids

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_DOCUMENT = re.compile(r"\{doc\}`(?:[^`<]*<)?([\w./-]+)>?`")


def without_code(text: str) -> str:
    """A page's text without its blocks and quoted code."""
    text = re.sub(r"^( *)(`{3,}|~{3,}).*?^\1\2`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!\})(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def anchor_of(heading: str) -> str:
    """What a forge, and MyST, make of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings: one that is met again gets a number."""
    fenced = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    counted: Counter[str] = Counter()
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", fenced, re.MULTILINE):
        anchor = anchor_of(heading)
        found.add(f"{anchor}-{counted[anchor]}" if counted[anchor] else anchor)
        counted[anchor] += 1
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def targets(page: Page) -> list[str]:
    """Where a page's links lead, those to other places of the web aside."""
    text = without_code(page.text)
    links = _LINK.findall(text) + _REFERENCE.findall(text)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    return local + [f"{name}.md" for name in _DOCUMENT.findall(page.text)]


def broken(page: Page) -> list[str]:
    """Links of a page that lead nowhere."""
    here = ROOT / page.path
    found: list[str] = []
    for link in targets(page):
        path, _, anchor = link.partition("#")
        there = (here.parent / path).resolve() if path else here
        if not there.exists():
            there = there.with_suffix(".md")
        if not there.exists() or not there.is_relative_to(ROOT):
            found.append(link)
        elif anchor and there.suffix == ".md":
            text = page.text if there == here else there.read_text(encoding="utf-8")
            found += [] if anchor in anchors(text) else [link]
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Page) -> None:
    """Each file that is linked is there, and has the heading."""
    assert broken(page) == []


def test_there_are_links() -> None:
    """The README alone has more than ten."""
    [readme] = [page for page in PAGES if page.path == "README.md"]
    assert len(targets(readme)) > 10


@pytest.mark.parametrize(
    "text",
    [
        "[there](docs/nothing.md)",
        "[there](docs/keys.md#nothing)",
        "![picture](docs/images/nothing.png)",
        "{doc}`docs/nothing`",
        "[there](#nothing)",
        "[ref]: docs/nothing.md",
    ],
)
def test_a_broken_link_is_found(text: str) -> None:
    """So that the test above can fail."""
    assert broken(parsed("README.md", f"# Title\n\n{text}\n")) != []


def test_links_in_code_are_none() -> None:
    """What is only shown is not followed."""
    text = "# Title\n\n[here](#title) and `[a](b.md)`\n\n```text\n[a](b.md)\n```\n"
    assert targets(parsed("README.md", text)) == ["#title"]
    assert broken(parsed("README.md", text)) == []


#: How a message, a comment or an alert names a page.
_PAGE = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")


def documents_in_code() -> list[tuple[Path, str]]:
    """Pages that messages, comments and alerts name, with who names them."""
    return [
        (path, link)
        for folder in ("flask_caching", "instrumentation", "dashboards")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".yml", ".json", ".html")
        for link in _PAGE.findall(path.read_text(encoding="utf-8"))
    ]


def test_pages_that_the_code_names_exist() -> None:
    """Runbooks of alerts, above all."""
    named = documents_in_code()
    assert named
    for path, link in named:
        page, _, anchor = link.partition("#")
        assert (ROOT / page).exists(), f"{path} names {link}"
        if anchor:
            assert anchor in anchors((ROOT / page).read_text("utf-8")), f"{path} names {link}"
