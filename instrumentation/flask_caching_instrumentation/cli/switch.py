"""``flask cache off`` and ``on``: the switch for all workers."""

from __future__ import annotations

from typing import Any, Final

import click

from flask_caching.backends.base import normalize_timeout

from .printing import write
from .running import Chosen, Refused, Task, as_json, command, each, named

__all__ = ["COMMANDS"]

#: Seconds by the unit that a duration ends with.
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_ANYWAY: Final = "While its server is down, decorated functions run uncached anyway."


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


@command("off")
@named
@click.option(
    "--for", "seconds", callback=_seconds, metavar="TIME", help="Only for 90s, 15m, 2h, 1d ..."
)
@as_json
def off(name: str | None, seconds: float, as_json: bool) -> None:
    """Let decorated functions run uncached, in every worker, within a second."""
    until = f" for {seconds:g} seconds" if seconds else ", until `flask cache on`"

    def turn_off(chosen: Chosen) -> dict[str, Any]:
        state = chosen.state
        if not state.config.enabled:
            return _now(False, 0, f"{chosen.title} is off: CACHE_ENABLED is False.")
        if not state.shared:
            raise Refused(
                f"{chosen.title} keeps its entries inside each worker, where this command cannot "
                "reach them. Set CACHE_ENABLED = False and restart the workers, or use a shared "
                "store (FileSystemCache, RedisCache, MemcachedCache)."
            )
        chosen.cache.disable(seconds)
        return _now(False, seconds, f"{chosen.title} is off{until}.")

    each(Task("off", turn_off, _show, advice=_ANYWAY), name, as_json)


@command("on")
@named
@as_json
def on(name: str | None, as_json: bool) -> None:
    """Use the cache again, in every worker, within a second."""

    def turn_on(chosen: Chosen) -> dict[str, Any]:
        chosen.cache.enable()
        return _now(True, 0, f"{chosen.title} is on.")

    each(Task("on", turn_on, _show, advice=_ANYWAY), name, as_json)


def _now(enabled: bool, seconds: float, message: str) -> dict[str, Any]:
    return {"enabled": enabled, "seconds": seconds, "message": message}


def _show(chosen: Chosen, now: dict[str, Any]) -> None:
    write(now["message"])


COMMANDS: Final = {"off": off, "on": on}
