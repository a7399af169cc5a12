"""The relay: others are told what an application's observer is told, and change nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from flask_caching import Cache
from flask_caching.observer import NullObserver, Observer, faults
from flask_caching_instrumentation.relay import Relay, follow, observer_of, unfollow

TOLD = sorted(
    name for name in vars(Observer) if not name.startswith("_") and name not in ("stats", "wrap")
)


class Noting(NullObserver):
    """Notes what it is told, under its own name, in a list that others share."""

    def __init__(self, name: str, heard: list[tuple[str, ...]]) -> None:
        def hear(method: str) -> Callable[..., None]:
            return lambda *facts: heard.append((name, method, *facts))

        self.__dict__.update({method: hear(method) for method in TOLD})


class Raising(NullObserver):
    """Fails at whatever begins."""

    def lookup_started(self, lookup: Any) -> None:
        raise ZeroDivisionError

    def lookup_finished(self, lookup: Any) -> None:
        raise ZeroDivisionError


def test_everything_that_an_observer_is_told_is_relayed() -> None:
    """Once to each: the observer first where something begins, last where it ends."""
    heard: list[tuple[str, ...]] = []
    both = Relay(Noting("observer", heard), [Noting("follower", heard)])
    for method in TOLD:
        heard.clear()
        getattr(both, method)("fact")
        order = ["observer", "follower"]
        if method.endswith("_finished"):
            order.reverse()
        assert heard == [(name, method, "fact") for name in order], method


def test_a_fault_of_a_follower_is_counted_and_hinders_nobody() -> None:
    """Neither the observer nor the next follower, nor the call."""
    heard: list[tuple[str, ...]] = []
    both = Relay(Noting("observer", heard), [Raising(), Noting("follower", heard)])
    both.lookup_started("fact")  # type: ignore[arg-type]
    both.lookup_finished("fact")  # type: ignore[arg-type]
    assert [name for name, *_ in heard] == ["observer", "follower", "follower", "observer"]
    # Taken away again: at the end of each test there must be none.
    assert faults.pop("Raising.lookup_started: ZeroDivisionError") == 1
    assert faults.pop("Raising.lookup_finished: ZeroDivisionError") == 1


def test_a_fault_of_the_observer_is_the_cores_to_report_and_followers_hear_all_the_same() -> None:
    """As it would be without followers."""
    heard: list[tuple[str, ...]] = []
    both = Relay(Raising(), [Noting("follower", heard)])
    for tell in (both.lookup_started, both.lookup_finished):
        with pytest.raises(ZeroDivisionError):
            tell("fact")  # type: ignore[arg-type]
    assert [name for name, *_ in heard] == ["follower", "follower"]


def test_what_a_follower_does_not_care_for_costs_nothing() -> None:
    """The observer's own method is called then, not one around it."""
    observer = Noting("observer", [])
    assert Relay(observer, [NullObserver()]).lookup_finished is observer.lookup_finished


def test_an_observer_older_than_a_method_is_not_asked_for_it() -> None:
    """Observers of others need not have what came later."""

    class Old:
        def lookup_started(self, lookup: Any) -> None: ...

    heard: list[tuple[str, ...]] = []
    both = Relay(Old(), [Noting("follower", heard)])  # type: ignore[arg-type]
    both.breaker_changed("closed", "open")
    assert heard == [("follower", "breaker_changed", "closed", "open")]
    assert Relay(Old(), []).breaker_changed("closed", "open") is None  # type: ignore[arg-type]


def test_following_ends_as_it_began() -> None:
    """Twice is once, and without followers the observer is alone again."""
    cache = Cache(Flask("x"), config={"CACHE_TYPE": "SimpleCache"})
    state = cache.state()
    alone, first, second = state.observer, NullObserver(), NullObserver()
    for follower in (first, second, first):
        follow(state, follower)
    assert observer_of(state) is alone
    assert isinstance(state.observer, Relay)
    assert state.observer.followers == (first, second)
    unfollow(state, first)
    assert state.observer.followers == (second,)
    unfollow(state, second)
    assert state.observer is alone
    assert observer_of(state) is alone
