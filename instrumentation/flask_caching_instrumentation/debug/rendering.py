"""Pages, out of templates of our own: nothing of the application's environment is in them."""

from __future__ import annotations

import os
from functools import cache
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from .markup import FILTERS, ratio_label, spread
from .site import Site
from .specs import comparable

__all__ = ["file_of", "render", "static_file"]

#: The static files, and what they are.
STATIC: Final = {
    "debug.css": "text/css",
    "debug.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def file_of(*parts: str) -> str:
    """The text of a file of this package."""
    found = resources.files(__package__ or "")
    for part in parts:
        found = found / part
    return found.read_text(encoding="utf-8")


@cache
def static_file(name: str) -> tuple[str, str] | None:
    """The text and the type of a static file; ``None`` if there is no such one."""
    return (file_of("static", name), STATIC[name]) if name in STATIC else None


@cache
def _environment() -> Any:
    """The environment. An application's may escape nothing, or know other names."""
    environment: Any = Environment(
        loader=FunctionLoader(lambda name: file_of("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(comparable=comparable, ratio_label=ratio_label, spread=spread)
    return environment


def render(template: str, site: Site, **shown: Any) -> str:
    """A page.

    Args:
        template: The file's name.
        site: The request's view of the pages.
        shown: What the template shows.
    """
    style = static_file("debug.css")
    page: str = (
        _environment()
        .get_template(template)
        .render(
            site=site,
            url=site.url,
            pid=os.getpid(),
            # For pages of people to whom not even the style sheet is given.
            inline_style=Markup(style[0]) if style else "",
            **shown,
        )
    )
    return page
