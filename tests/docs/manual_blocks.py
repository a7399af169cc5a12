"""The code blocks of the manual: where they are, in what language, and what is noted of them.

A note is an HTML comment, which neither Sphinx nor a forge shows. Before the first block of a page

    <!-- needs: redis -->            servers of tests/conftest.py, or modules that a page imports
    <!-- ports: 6390 8000 -->        numbers that stand for free ports, wherever the page has them
    <!-- application: shop -->       tests/docs/applications/shop.py, for its commands

and right above a block

    <!-- file: gunicorn.conf.py -->  the block is this file; so is one that begins with "# NAME.EXT"
    <!-- before: python visit.py --> a command that a reader does not see
    <!-- status: 1 -->              what the last command of the block exits with
    <!-- any order -->              the lines of its output may come in another order
    <!-- shows: print(x) -->        the block is what this prints, in the page's program
    <!-- checked by: tests/a.py::test_b -->
                                     another test compares the block with what there is
    <!-- not run: reason -->        neither of these: a picture made of text, say
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ROOT", "Block", "Page", "all_pages", "page_of"]

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_NOTE = re.compile(r" *<!-- *(?P<name>[a-z ]+?)(?:: *(?P<value>.*?))? *-->$")
_LIST_ITEM = re.compile(r" *([-*+]|\d+[.)]) ")
_FILE_NAME = re.compile(r"(?:#|//) ([\w.-]+(?:/[\w.-]+)*\.\w+)$")
_DIRECTIVE = re.compile(r"\{code(?:-block)?\} *(\w+)")

#: What a first line may name the file of a block in.
_HAVE_COMMENTS = {"python", "ini", "toml", "yaml", "conf"}


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        page: The page's path from the root.
        line: The number of its first line, from 1.
        language: What stands behind the fence; ``text`` where nothing does, ``indented`` for
            one without fences, and a directive's name in braces.
        text: Its lines, without their common indentation.
        notes: What comments right above it say.
    """

    page: str
    line: int
    language: str
    text: str
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where to look for it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file that it is; empty if it is none."""
        if "file" in self.notes:
            return self.notes["file"]
        if self.language not in _HAVE_COMMENTS:
            return ""
        named = _FILE_NAME.match(self.text.partition("\n")[0])
        return named[1] if named else ""


@dataclass(frozen=True)
class Page:
    """A page with its blocks.

    Attributes:
        path: Its path from the root.
        text: All of it.
        blocks: Its blocks, in order.
        notes: What comments say that stand above no block.
    """

    path: str
    text: str
    blocks: tuple[Block, ...]
    notes: Mapping[str, str]

    def of(self, *languages: str) -> list[Block]:
        """The blocks in one of these languages."""
        return [block for block in self.blocks if block.language in languages]

    def words(self, note: str) -> list[str]:
        """The words of a note."""
        return self.notes.get(note, "").replace(",", " ").split()


def all_pages() -> list[Page]:
    """Every page that a reader may be sent to."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGES.md")]
    manual = [
        path
        for folder in ("docs", "dashboards")
        for path in sorted((ROOT / folder).rglob("*.md"))
        if "_build" not in path.parts
    ]
    return [page_of(path) for path in [*top, *manual] if path.exists()]


def page_of(path: Path) -> Page:
    """Read a page."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return parsed(name, text)


def parsed(name: str, text: str) -> Page:
    """A page from its text."""
    lines = text.splitlines()
    taken: set[int] = set()
    blocks = [*_fenced(name, lines, taken), *_indented(name, lines, taken)]
    blocks.sort(key=lambda block: block.line)
    notes = {
        note["name"]: note["value"] or ""
        for number, line in enumerate(lines)
        if number not in taken and (note := _NOTE.match(line))
    }
    return Page(name, text, tuple(blocks), notes)


def _fenced(name: str, lines: list[str], taken: set[int]) -> Iterator[Block]:
    """Blocks between fences; ``taken`` gets the lines that are theirs."""
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        end = _closing(lines, number, opened["fence"])
        indent = len(opened["indent"])
        text = "".join(line[indent:] + "\n" for line in lines[number + 1 : end])
        notes = _notes_above(lines, number, taken)
        taken.update(range(number, end + 1))
        yield Block(name, number + 2, _language(opened["info"]), text, notes)
        number = end + 1


def _closing(lines: list[str], opened: int, fence: str) -> int:
    """The line of the fence that ends a block; the last one if there is none."""
    for number in range(opened + 1, len(lines)):
        line = lines[number].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            return number
    return len(lines) - 1


def _language(info: str) -> str:
    info = info.strip()
    directive = _DIRECTIVE.match(info)
    if directive:
        return directive[1]
    return info.split()[0] if info else "text"


def _indented(name: str, lines: list[str], taken: set[int]) -> Iterator[Block]:
    """Blocks that four spaces set off, which are not the text of a list."""
    number, in_list = 0, False
    while number < len(lines):
        line = lines[number]
        if number not in taken and line and not line.startswith(" "):
            in_list = bool(_LIST_ITEM.match(line))
        begins = line.startswith("    ") and (number == 0 or not lines[number - 1].strip())
        if number in taken or in_list or not begins:
            number += 1
            continue
        end = number
        while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
            end += 1
        text = "".join(each[4:] + "\n" for each in lines[number:end]).rstrip("\n") + "\n"
        notes = _notes_above(lines, number - 1, taken)
        taken.update(range(number, end))
        yield Block(name, number + 1, "indented", text, notes)
        number = end


def _notes_above(lines: list[str], number: int, taken: set[int]) -> dict[str, str]:
    """The notes on the lines right above one."""
    notes: dict[str, str] = {}
    while number > 0 and (note := _NOTE.match(lines[number - 1])):
        number -= 1
        taken.add(number)
        notes[note["name"]] = note["value"] or ""
    return notes
