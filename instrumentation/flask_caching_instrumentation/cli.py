"""``flask cache ...``: what an operator does from a terminal.

Exit codes: 0 done, 2 wrong usage, 3 the cache's store failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn, cast

import click
from flask import current_app
from flask.cli import AppGroup

from flask_caching import BackendError, Cache, CacheError
from flask_caching.backends.base import normalize_timeout
from flask_caching.state import AppState

__all__ = ["cache"]

_USAGE: Final = 2
_BACKEND: Final = 3

#: Seconds by the unit that a duration ends with.
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

cache = AppGroup("cache", help="Turn this application's caches off and on.")

_named = click.option(
    "--name", metavar="NAME", help="Only the cache with this CACHE_NAME; otherwise all of them."
)


def _seconds(context: click.Context, option: click.Parameter, text: str | None) -> float:
    """Seconds of a number with or without a unit; 0 for none."""
    if text is None:
        return 0
    word = text.strip().lower()
    unit = _UNITS.get(word[-1:], 0)
    try:
        seconds = (normalize_timeout(word[:-1] if unit else word) or 0) * (unit or 1)
    except ValueError:
        seconds = 0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no duration; write 90, 90s, 15m, 2h or 1d")
    return seconds


@cache.command("off")
@_named
@click.option(
    "--for", "seconds", callback=_seconds, metavar="TIME", help="Only for 90s, 15m, 2h, 1d ..."
)
def off(name: str | None, seconds: float) -> None:
    """Let decorated functions run uncached, in every worker, within a second."""
    for each, state in _caches(name):
        if not state.shared and state.config.enabled:
            _fail(
                f"{_title(state)} keeps its entries inside each worker, where this command cannot "
                "reach them. Set CACHE_ENABLED = False and restart the workers, or use a shared "
                "store (FileSystemCache, RedisCache, MemcachedCache).",
                _USAGE,
            )
        _ask(state, partial(each.disable, seconds))
        until = f" for {seconds:g} seconds" if seconds else ", until `flask cache on`"
        click.echo(f"{_title(state)} is off{until}.")


@cache.command("on")
@_named
def on(name: str | None) -> None:
    """Use the cache again, in every worker, within a second."""
    for each, state in _caches(name):
        _ask(state, each.enable)
        click.echo(f"{_title(state)} is on.")


def _caches(name: str | None) -> list[tuple[Cache, AppState]]:
    """The current application's caches, or the one called ``name``."""
    states = cast("dict[Cache, AppState]", current_app.extensions.get("flask_caching", {}))
    chosen = [(each, state) for each, state in states.items() if name in (None, state.config.name)]
    if not chosen:
        names = ", ".join(sorted(state.config.name for state in states.values()))
        _fail(
            f"this application has no cache called {name!r}; it has {names}"
            if names
            else "this application has no cache; call cache.init_app(app)",
            _USAGE,
        )
    return chosen


def _title(state: AppState) -> str:
    # ``__class__`` is the backend's own, also inside a wrapper.
    return f"{state.config.name} ({state.backend.__class__.__name__})"


def _ask(state: AppState, call: Callable[[], object]) -> None:
    try:
        call()
    except BackendError as error:
        _fail(
            f"{_title(state)} cannot be reached: {error}. While its server is down, decorated "
            "functions run uncached anyway.",
            _BACKEND,
        )
    except CacheError as error:
        _fail(f"{_title(state)}: {error}", _USAGE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
