"""Tests in two halves, before and after something expires, which can wait together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from .hooks import Hooks

__all__ = ["waits"]

#: Seconds of ``Hooks.resolution`` from which on the tests of a class wait together.
_LONG = 0.5

#: How tests went: what each raised, or None.
_Outcomes = dict[str, BaseException | None]


def waits(halves: Callable[[Any], Iterator[None]]) -> Callable[[Any], None]:
    """Make a test of a generator: at its one ``yield`` what it wrote with ``soon`` expires.

    Where the store knows only whole seconds, the first of these tests to run runs all of its
    class, on one backend and with one wait; the others only tell how they went. So each uses keys
    that no other uses.
    """

    @wraps(halves)
    def test(self: Hooks) -> None:
        outcomes = _outcomes_of(self, halves.__name__)
        error = outcomes[halves.__name__]
        if error is not None:
            raise error

    setattr(test, "halves", halves)  # noqa: B010  # a function has no such attribute to checkers
    return test


def _outcomes_of(tests: Hooks, name: str) -> _Outcomes:
    kind = type(tests)
    if tests.resolution < _LONG:
        return _run(tests, {name: getattr(kind, name).halves})
    # Of this very class: a class derived from it has another backend.
    known: _Outcomes | None = vars(kind).get("_waited")
    if known is None:
        every = {
            other: getattr(kind, other).halves
            for other in dir(kind)
            if hasattr(getattr(kind, other), "halves") and other not in kind.exempt
        }
        known = _run(tests, every)
        setattr(kind, "_waited", known)  # noqa: B010  # as above
    return known


def _run(tests: Hooks, several: dict[str, Callable[[Any], Iterator[None]]]) -> _Outcomes:
    """Run the first halves, wait once, and run the second halves of those that got so far."""
    outcomes: _Outcomes = {}
    waiting: dict[str, Iterator[None]] = {}
    default_timeout = tests.backend.default_timeout
    for name, halves in several.items():
        steps = halves(tests)
        outcomes[name] = _step(steps)
        if outcomes[name] is None:
            waiting[name] = steps
        tests.backend.default_timeout = default_timeout
    slow: BaseException | None = None
    if waiting:
        try:
            tests.let_expire()
        except AssertionError as error:
            slow = error
    for name, steps in waiting.items():
        outcomes[name] = slow or _step(steps)
    return outcomes


def _step(steps: Iterator[None]) -> BaseException | None:
    """Run on to the next ``yield`` or the end; what was raised on the way, a skip included."""
    try:
        next(steps, None)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return error
    return None
