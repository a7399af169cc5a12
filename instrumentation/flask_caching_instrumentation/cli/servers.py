"""``flask cache ping``: whether each cache server answers, and how quickly.

A server is asked as the decorators ask it, through its connections, time-outs and breaker, for a
key that nobody has. Which server that was, its breaker knows; so each of a ring of memcached
servers, or of the nodes of a cluster, is found by asking for a few such keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from flask_caching.backends.base import RESERVED
from flask_caching.breaker import Breaker
from flask_caching.parsing import hide_credentials

from ..inspection.places import place_of
from ..inspection.text import duration
from .printing import Column, Shown, Table, headline
from .running import BACKEND, Chosen, Task, as_json, command, each, named

__all__ = ["COMMANDS"]

#: Keys that are asked for to find every server, for each that is known so far. With so many, one
#: server in a hundred million is not among those that have them.
_KEYS_A_SERVER: Final = 20

#: Seconds after which no more keys are asked for.
_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class _Answer:
    """How one server answered.

    Attributes:
        server: What it is, and where.
        ok: Whether it answered.
        first_seconds: The first answer, connecting included.
        seconds: The quickest of the others; ``None`` if there was none.
        error: Why it did not answer.
    """

    server: str
    ok: bool
    first_seconds: float
    seconds: float | None = None
    error: str = ""


@command("ping")
@named
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="How often to ask each server once more.",
)
@as_json
def ping(name: str | None, count: int, as_json: bool) -> None:
    """Ask each cache server for a key, and say how long that took."""

    def look(chosen: Chosen) -> dict[str, Any]:
        answers = _ping(chosen, count)
        return {"ok": all(answer.ok for answer in answers), "servers": answers}

    each(Task("ping", look, _show, lambda seen: 0 if seen["ok"] else BACKEND), name, as_json)


def _show(chosen: Chosen, seen: dict[str, Any]) -> None:
    answers: Sequence[_Answer] = seen["servers"]
    headline(chosen.title)
    columns = [
        Column("SERVER"),
        Column("ANSWERS"),
        Column("ROUND TRIP", right=True),
        Column("WITH CONNECTING", right=True),
        Column(""),
    ]
    Table(columns, indent="  ").write([_row(answer) for answer in answers])


def _row(answer: _Answer) -> list[str | Shown]:
    colour = {"fg": "green"} if answer.ok else {"fg": "red", "bold": True}
    return [
        answer.server,
        Shown("yes" if answer.ok else "no", colour),
        "-" if answer.seconds is None else duration(answer.seconds),
        duration(answer.first_seconds),
        answer.error,
    ]


def _ping(chosen: Chosen, count: int) -> list[_Answer]:
    """Ask each server of a cache, once and then so many times."""
    place = place_of(chosen.cache, chosen.state.app())
    probe = _Probe(place.entries().get_entry, getattr(place.backend, "breakers", None) or ())
    if not probe.breakers:
        return [probe.ask_store(type(place.backend).__name__, count)]
    until = time.monotonic() + _PATIENCE
    while not probe.done(count) and time.monotonic() < until:
        probe.ask()
    if len(probe.breakers) > 1 and not probe.all_asked():
        # What is only written to: a primary that is read from its replicas.
        probe.ask(place.backend.delete)
    return probe.answers()


class _Probe:
    """Asks for keys that nobody has, and keeps who answered.

    Args:
        read: Asks for a key.
        breakers: Those of the servers; there may be more once a cluster was asked.
    """

    def __init__(self, read: Callable[[str], object], breakers: Sequence[Breaker]) -> None:
        self.breakers = breakers
        self._read = read
        self._asked = 0
        self._times: dict[Breaker, list[float]] = {}
        self._errors: dict[Breaker, str] = {}

    def ask(self, call: Callable[[str], object] | None = None) -> None:
        """Ask for one key; ``call`` asks otherwise than by reading."""
        before = {each: each.asked_at for each in self.breakers}
        seconds, error = _timed(call or self._read, self._key())
        asked = [each for each in self.breakers if each.asked_at != before.get(each, 0.0)]
        if not asked:
            if error is not None and not self._errors:
                # It did not come as far as a server.
                raise error
            return
        # Connecting to a cluster asks that, and then a node.
        server = max(asked, key=lambda each: each.asked_at)
        self._times.setdefault(server, []).append(seconds)
        if error is not None:
            self._errors[server] = hide_credentials(f"{type(error).__name__}: {error}")

    def ask_store(self, name: str, count: int) -> _Answer:
        """What a store without breakers answers."""
        seconds: list[float] = []
        for _ in range(count + 1):
            took, error = _timed(self._read, self._key())
            if error is not None:
                raise error
            seconds.append(took)
        return _Answer(name, True, seconds[0], min(seconds[1:]))

    def done(self, count: int) -> bool:
        """Whether every server is known, and was asked often enough."""
        if len(self.breakers) > 1 and self._asked < _KEYS_A_SERVER * len(self.breakers):
            return False
        return all(
            len(times) > count or server in self._errors for server, times in self._times.items()
        ) and bool(self._times)

    def all_asked(self) -> bool:
        """Whether no server is left that nobody asked."""
        return all(each.asked_at for each in self.breakers)

    def answers(self) -> list[_Answer]:
        """How each server answered, in the order of the breakers."""
        return [
            _Answer(
                each.name,
                each not in self._errors,
                self._times[each][0],
                min(self._times[each][1:], default=None),
                self._errors.get(each, ""),
            )
            for each in self.breakers
            if each in self._times
        ]

    def _key(self) -> str:
        self._asked += 1
        return f"{RESERVED}ping/{self._asked}"


def _timed(call: Callable[[str], object], key: str) -> tuple[float, Exception | None]:
    """How long a call took, and what it raised."""
    began = time.perf_counter()
    try:
        call(key)
    except Exception as error:
        return time.perf_counter() - began, error
    return time.perf_counter() - began, None


COMMANDS: Final = {"ping": ping}
