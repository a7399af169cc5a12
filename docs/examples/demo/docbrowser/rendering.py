"""pydoc's HTML, made fit to stand inside a page of ours.

Two steps: a formatter that writes sections and lists where pydoc writes tables of layout, and
a sanitiser that lets through a short list of elements, since docstrings are other people's
text. Values of module data are not shown, beyond plain constants: pydoc would print
``os.environ``.
"""

from __future__ import annotations

import importlib
import os
import pydoc
from collections.abc import Callable, Collection
from html import escape
from html.parser import HTMLParser
from typing import Any, NamedTuple

from flask import url_for
from markupsafe import Markup

__all__ = ["Documentation", "DocumentationError", "document", "sanitise"]


class DocumentationError(Exception):
    """A module that is installed and cannot be imported, or trips pydoc."""


class Documentation(NamedTuple):
    """A module's page.

    Attributes:
        body: Safe HTML.
        reference: The address of the manual's page, for the standard library; else empty.
    """

    body: Markup
    reference: str


def document(name: str, known: Collection[str]) -> Documentation:
    """Import a module and render its documentation.

    Args:
        name: A name from the catalogue. It is imported: never pass one from a URL unchecked.
        known: The modules that have a page, and so may be linked to.

    Raises:
        DocumentationError: If the module cannot be imported or rendered.
    """
    try:
        module = importlib.import_module(name)
        formatter = _Formatter()
        body = formatter.docmodule(module)
        reference = formatter.getdocloc(module) or ""
    # Importing runs a stranger's code, and some of it calls ``sys.exit``.
    except (Exception, SystemExit) as error:
        raise DocumentationError(f"{type(error).__name__}: {error}") from error
    return Documentation(sanitise(body, known), reference if _is_web(reference) else "")


def sanitise(html: str, known: Collection[str]) -> Markup:
    """Keep the elements that documentation needs, and point its links at our pages.

    Args:
        html: What pydoc wrote.
        known: The modules that have a page; links to others become plain text.
    """
    sanitiser = _Sanitiser(known)
    sanitiser.feed(html)
    sanitiser.close()
    return sanitiser.result()


class _Formatter(pydoc.HTMLDoc):
    """pydoc's HTML with headings, sections and lists."""

    def heading(self, title: str, extras: str = "") -> str:
        # The page has its own, and ``extras`` tells where on the disk the module is.
        return ""

    def section(
        self,
        title: str,
        cls: str,
        contents: str,
        width: int = 6,
        prelude: str = "",
        marginalia: str | None = None,
        gap: str = "",
    ) -> str:
        level = 3 if cls == "title" else 2
        return f"<section><h{level}>{title}</h{level}>{prelude}{contents}</section>\n"

    def bigsection(self, title: str, *args: Any) -> str:
        return self.section(title, *args)

    def preformat(self, text: str) -> str:
        # Shown with ``white-space: pre-wrap``; pydoc writes a &nbsp; for each space instead.
        return str(self.escape(text.expandtabs()))

    def multicolumn(self, list: list[Any], format: Callable[[Any], str]) -> str:
        return f"<ul>{''.join(f'<li>{format(item)}</li>' for item in list)}</ul>"

    def docother(self, object: Any, name: str | None = None, mod: Any = None, *_: Any) -> str:
        plain = _is_plain_constant(object)
        shown = f" = {object!r}" if plain else f": {type(object).__name__}"
        return f"<strong>{escape(name or '')}</strong>{escape(shown)}"


def _is_plain_constant(value: object) -> bool:
    """Whether a value says nothing about this machine or its owner."""
    if isinstance(value, str):
        return len(value) <= 60 and os.sep not in value[1:]
    return value is None or isinstance(value, bool | int | float | complex)


class _Sanitiser(HTMLParser):
    """Writes what it is fed anew: known elements, no attributes but rewritten links and names."""

    _ELEMENTS = frozenset(
        (
            *("section", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "hr", "br"),
            *("a", "code", "em", "span", "strong"),
        )
    )
    _EMPTY = frozenset(("br", "hr"))
    _CLASSES = frozenset(("code", "grey"))
    #: What is inside these is not text for readers.
    _DROPPED = frozenset(("script", "style"))

    def __init__(self, known: Collection[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._known = known
        self._out: list[str] = []
        self._open: list[str] = []
        self._dropping = 0

    def result(self) -> Markup:
        """What was written, with everything closed that was left open."""
        while self._open:
            self._out.append(f"</{self._open.pop()}>")
        return Markup("".join(self._out))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._DROPPED:
            self._dropping += 1
        if tag not in self._ELEMENTS:
            return
        self._out.append(f"<{tag}{self._attributes(tag, dict(attrs))}>")
        if tag not in self._EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._DROPPED and self._dropping:
            self._dropping -= 1
        if tag not in self._open:
            return
        # pydoc leaves some elements open; a stray end must not close the page's own.
        while (closed := self._open.pop()) != tag:
            self._out.append(f"</{closed}>")
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._out.append(escape(data, quote=False))

    def _attributes(self, tag: str, attrs: dict[str, str | None]) -> str:
        written = ""
        if tag == "a":
            if anchor := attrs.get("name"):
                written += f' id="{escape(anchor)}"'
            if address := self._address(attrs.get("href") or ""):
                written += f' href="{escape(address)}"'
                written += ' rel="noopener noreferrer"' if _is_web(address) else ""
        elif (name := attrs.get("class")) in self._CLASSES:
            written += f' class="{name}"'
        return written

    def _address(self, href: str) -> str:
        """Where a link of pydoc's goes here: an anchor, a known module, the web; or nowhere."""
        if href.startswith("#") or _is_web(href):
            return href
        module, _dot_html, anchor = href.partition(".html")
        if module not in self._known:
            return ""
        return url_for("browser.module", name=module) + anchor


def _is_web(address: str) -> bool:
    return address.startswith(("https://", "http://"))
