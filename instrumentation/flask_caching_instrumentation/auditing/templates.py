"""An application's templates, parsed: what they use, and which fragments are in them."""

from __future__ import annotations

from typing import Any

from flask import Flask
from jinja2 import TemplateError, nodes

__all__ = ["parsed", "template_names"]


def template_names(app: Flask) -> list[str]:
    """The names of all templates; none where the loader cannot say what it has."""
    environment: Any = app.jinja_env
    try:
        return list(environment.list_templates()) if environment.loader else []
    except TypeError:
        return []


def parsed(app: Flask, name: str, containing: str = "") -> tuple[nodes.Template, str] | None:
    """A template's tree and the file that it is in; ``None`` if it cannot be read.

    Args:
        app: The application.
        name: The template.
        containing: What its text must have in it to be of interest.
    """
    environment: Any = app.jinja_env
    try:
        source, filename, _ = environment.loader.get_source(environment, name)
        if containing not in source:
            return None
        return environment.parse(source, name, filename), filename or name
    except (TemplateError, UnicodeDecodeError):
        # Not a template (a picture, say), or one that is broken, which is not for us to tell.
        return None
