"""``flask cache config``: every setting, its value, and where that is from.

Credentials are never shown: neither the values of keys that may hold some, nor those in a URL.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import click
from flask import current_app

from flask_caching import CacheConfig
from flask_caching.config import PASS_THROUGH
from flask_caching.parsing import REDACTED, describe, hide_credentials

from .printing import Column, Shown, Table, headline, is_listing, is_mapping, write
from .running import Chosen, Task, as_json, command, each, named

__all__ = ["COMMANDS"]

_HIDDEN: Final = "***"

#: Names of settings, and of parameters in URLs, whose values are never shown.
_CREDENTIALS: Final = (*REDACTED, "*username*")

_DEFAULT: Final = "default"


@command("config")
@named
@click.option("--all/--set", "everything", default=True, help="All settings, or only those set.")
@as_json
def config(name: str | None, everything: bool, as_json: bool) -> None:
    """Every setting with its value, and where that is from.

    What may hold credentials is shown as ***.
    """

    def look(chosen: Chosen) -> dict[str, dict[str, Any]]:
        settings = _settings(chosen)
        return {
            key: {"value": value, "from": origin}
            for key, (value, origin) in settings.items()
            if everything or origin != _DEFAULT
        }

    each(Task("config", look, _show), name, as_json)


def _show(chosen: Chosen, settings: dict[str, dict[str, Any]]) -> None:
    headline(chosen.title)
    table = Table([Column("KEY"), Column("FROM"), Column("VALUE", shrinks=True)], indent="  ")
    table.write(
        [_row(key, setting["from"], setting["value"]) for key, setting in sorted(settings.items())]
    )
    if not settings:
        write("  nothing is set")


def _row(key: str, origin: str, value: Any) -> list[str | Shown]:
    # What stands for an object is not quoted.
    bare = isinstance(value, str) and (value == _HIDDEN or value.startswith("<"))
    text = value if bare else repr(value)
    style = {"dim": True} if origin == _DEFAULT else {}
    return [Shown(key, style), Shown(origin, style), Shown(text, style)]


def _settings(chosen: Chosen) -> dict[str, tuple[Any, str]]:
    """Each key's value as it can be shown, and where it is from."""
    parsed = chosen.state.config
    given = parsed.as_mapping()
    found: dict[str, tuple[Any, str]] = {}
    defaults = CacheConfig()
    for item in fields(CacheConfig):
        if "key" not in item.metadata:
            continue
        key: str = item.metadata["key"]
        value = getattr(parsed, item.name)
        changed = value != getattr(defaults, item.name)
        shown = _without_values(value) if item.metadata["secret"] else _plain(key, value)
        found[key] = (shown, _origin(chosen, key, changed))
    for key in PASS_THROUGH:
        value = given.get(key)
        if key in parsed.pass_through():
            found[key] = (_plain(key, value), _origin(chosen, key, True))
    return found


def _origin(chosen: Chosen, key: str, changed: bool) -> str:
    """Who set a key: what was passed to ``Cache`` wins over the application's configuration."""
    if (chosen.cache.config or {}).get(key) is not None:
        return "Cache(config)"
    settings = cast("Mapping[str, Any]", current_app.config)
    if settings.get(key) is not None:
        return "app.config"
    return "init_app(config)" if changed else _DEFAULT


def _without_values(value: Any) -> Any:
    """What may hold credentials: the names of options, and nothing else."""
    if is_mapping(value):
        return {str(name): _HIDDEN for name in value}
    if is_listing(value):
        return [_HIDDEN for _ in value]
    return value if value is None else _HIDDEN


def _plain(key: str, value: Any) -> Any:
    """A value as data that can be shown."""
    if _is_credential(key):
        return None if value is None else _HIDDEN
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _without_credentials(value)
    if is_mapping(value):
        return {str(name): _plain(str(name), each) for name, each in value.items()}
    if is_listing(value):
        return [_plain("", each) for each in value]
    return describe(value)


def _is_credential(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in _CREDENTIALS)


def _without_credentials(text: str) -> str:
    """Text, which may be one URL or several, without the credentials of those."""
    return ",".join(_one_without_credentials(part) for part in text.split(","))


def _one_without_credentials(text: str) -> str:
    hidden = hide_credentials(text)
    if "?" not in hidden or "://" not in hidden:
        return hidden
    # A server's client may read more than its address there.
    parts = urlsplit(hidden)
    query = "&".join(
        f"{quote(name)}={_HIDDEN if _is_credential(name) else quote(value)}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit(parts._replace(query=query))


COMMANDS: Final = {"config": config}
