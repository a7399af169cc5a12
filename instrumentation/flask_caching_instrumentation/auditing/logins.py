"""Flask-Login, whose ``current_user`` reads much of a request to find out one thing: the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flask import Flask
from jinja2 import meta

from .clues import clues_of
from .templates import parsed, template_names

__all__ = ["USER", "without_login"]

#: The input that stands for the user, wherever Flask-Login has it from.
USER: Final = "g:_login_user"

#: What Flask-Login reads on its way to a user, whatever the application does with that user.
_ON_THE_WAY: Final = frozenset(
    (
        *("session", "session:_user_id", "session:_fresh", "session:_id", "session:_remember"),
        *("session:_remember_seconds", "remote_addr", "header:User-Agent", "header:Authorization"),
        *("header:X-Forwarded-For",),
    )
)

#: What code says that wants to know the user.
_NAMES: Final = ("current_user", "login_required", "fresh_login_required", "_get_user")


def without_login(app: Flask, inputs: Mapping[str, int], function: object) -> dict[str, int]:
    """Inputs, with one for the user in the place of all that Flask-Login read to find it.

    The user is none of them where only templates were given one, as they always are, and did not
    use it.

    Args:
        app: The application.
        inputs: Input names, and how often each was read.
        function: What read them; ``None`` if that is not known.
    """
    found = dict(inputs)
    manager = getattr(app, "login_manager", None)
    times = found.pop(USER, 0) or found.get("session:_user_id", 0)
    if manager is None or not times:
        return dict(inputs)
    config: dict[str, Any] = dict(app.config)
    cookie = config.get("REMEMBER_COOKIE_NAME", "remember_token")
    left = {
        name: number
        for name, number in found.items()
        if name not in _ON_THE_WAY and name != f"cookie:{cookie}"
    }
    if function is not None and _only_given(app, function):
        return left
    return {USER: times, **left}


def _only_given(app: Flask, function: object) -> bool:
    """Whether a function has a user only because each of its templates gets one."""
    processors = app.template_context_processors.get(None, ())
    if not any(str(each.__module__).startswith("flask_login") for each in processors):
        return False
    clues = clues_of([function])
    if any(map(clues.mentions, _NAMES)):
        return False
    known = set(template_names(app))
    named = [text for text in clues.texts if text in known] or sorted(known)
    return not any("current_user" in _variables(app, name, set()) for name in named)


def _variables(app: Flask, name: str, seen: set[str]) -> set[str]:
    """What a template, and those that it includes, uses and does not define."""
    if name in seen:
        return set()
    seen.add(name)
    template = parsed(app, name)
    if template is None:
        return set()
    tree = template[0]
    found = set(meta.find_undeclared_variables(tree))
    for other in _referenced(tree):
        found |= _variables(app, other, seen)
    return found


def _referenced(tree: Any) -> Iterator[str]:
    yield from (name for name in meta.find_referenced_templates(tree) if name is not None)
