"""The pages of the manual, read once, and what is done with the blocks of each language."""

from __future__ import annotations

from manual_blocks import Block, Page, all_pages

__all__ = [
    "BLOCKS",
    "LANGUAGES",
    "PAGES",
    "blocks_in",
    "ids",
    "is_commands",
    "page_at",
    "pages_with",
]

#: What is done with a block, by its language.
LANGUAGES = {
    "python": "runs, one program a page",
    "pycon": "runs as a doctest after the page's program",
    "console": "runs, in one shell a page",
    "shell": "the same",
    "sh": "the same",
    "jinja": "is rendered by the application of the page",
    "html": "the same",
    "yaml": "is read; rules and configurations of Prometheus are checked by promtool",
    "json": "is read",
    "toml": "is read",
    "ini": "is read",
    "conf": "is a file that a command of the page uses",
    "promql": "is read by promtool",
    "text": "is compared, or says why not",
    "indented": "runs if it is commands; else the same as text",
    "{confval}": "test_reference_pages.py compares it",
    "{eval-rst}": "Sphinx runs it",
    "{figure}": "Sphinx runs it",
    "{toctree}": "Sphinx runs it",
    "{note}": "prose",
    "{warning}": "prose",
}

#: The first words of indented blocks that are commands.
_COMMANDS = ("make ", "python ", "flask ", "promtool ", "pip ", "FLASK_APP=", "docker ", "pytest ")

PAGES = all_pages()
BLOCKS = [block for page in PAGES for block in page.blocks]


def ids(value: Page | Block) -> str:
    """A page or block by its place, for the names of tests."""
    return value.path if isinstance(value, Page) else value.place


def pages_with(*languages: str) -> list[Page]:
    """Pages that have a block in one of these languages."""
    return [page for page in PAGES if page.of(*languages)]


def blocks_in(*languages: str) -> list[Block]:
    """Blocks in one of these languages."""
    return [block for block in BLOCKS if block.language in languages]


def page_at(path: str) -> Page:
    """The page of that path."""
    return next(page for page in PAGES if page.path == path)


def is_commands(block: Block) -> bool:
    """Whether a block is something to type."""
    if block.language == "indented":
        return block.text.startswith(_COMMANDS)
    return block.language in ("console", "shell", "sh")
