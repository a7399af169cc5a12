"""``flask cache ...``: what an operator does from a terminal.

Exit codes: 0 done, 2 wrong usage, 3 the cache's store failed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

import click
from flask import current_app
from flask.cli import AppGroup, ScriptInfo

from flask_caching import BackendError, Cache, CacheError
from flask_caching.backends.base import normalize_timeout
from flask_caching.state import AppState

__all__ = ["cache"]

logger = logging.getLogger("flask_caching")

_USAGE: Final = 2
_BACKEND: Final = 3

#: Seconds by the unit that a duration ends with.
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _CacheGroup(AppGroup):
    """Our commands, and those of a group called ``cache`` that the application has itself.

    Flask looks for commands of packages first, so that the application's would be hidden.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = _own_group(ctx)
        return sorted({*super().list_commands(ctx), *(own.list_commands(ctx) if own else ())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = _own_group(ctx)
        command = own.get_command(ctx, cmd_name) if own else None
        return command or super().get_command(ctx, cmd_name)


def _own_group(ctx: click.Context) -> Any:
    """The application's own group called ``cache``, if it can be loaded and has one."""
    try:
        group = ctx.ensure_object(ScriptInfo).load_app().cli.commands.get("cache")
    except Exception:
        # Whoever runs a command will be told what is wrong with the application.
        logger.debug("the application cannot be loaded", exc_info=True)
        return None
    return group if hasattr(group, "list_commands") and group is not cache else None


cache = _CacheGroup("cache", help="Turn this application's caches off and on.")

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
    until = f" for {seconds:g} seconds" if seconds else ", until `flask cache on`"

    def turn_off(each: Cache, state: AppState) -> str:
        if not state.config.enabled:
            return f"{_title(state)} is off: CACHE_ENABLED is False."
        if not state.shared:
            raise _Refused(
                f"{_title(state)} keeps its entries inside each worker, where this command cannot "
                "reach them. Set CACHE_ENABLED = False and restart the workers, or use a shared "
                "store (FileSystemCache, RedisCache, MemcachedCache)."
            )
        each.disable(seconds)
        return f"{_title(state)} is off{until}."

    _each(name, turn_off)


@cache.command("on")
@_named
def on(name: str | None) -> None:
    """Use the cache again, in every worker, within a second."""

    def turn_on(each: Cache, state: AppState) -> str:
        each.enable()
        return f"{_title(state)} is on."

    _each(name, turn_on)


class _Refused(Exception):
    """What cannot be done with a cache, and what to do instead."""


def _each(name: str | None, turn: Callable[[Cache, AppState], str]) -> None:
    """Do something with every cache, also if it fails with one; exits with the worst code."""
    worst = 0
    for each, state in _caches(name):
        try:
            click.echo(turn(each, state))
            continue
        except BackendError as error:
            message, code = (
                f"{_title(state)} cannot be reached: {error}. While its server is down, decorated "
                "functions run uncached anyway.",
                _BACKEND,
            )
        except _Refused as error:
            message, code = str(error), _USAGE
        except CacheError as error:
            message, code = f"{_title(state)}: {error}", _USAGE
        click.echo(message, err=True)
        worst = max(worst, code)
    if worst:
        sys.exit(worst)


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


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
