"""Telling others what the observer is told: the debug pages, and what records reads.

An application's cache has one observer. :func:`follow` puts a relay in its place, which tells the
observer first and then those who follow; where nobody does there is no relay, and no cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from flask_caching.observer import (
    Bypass,
    Collision,
    Load,
    Lookup,
    NullObserver,
    Observer,
    Target,
    Wait,
    report_fault,
)
from flask_caching.state import AppState

from .forksafe import ForkSafeLock

__all__ = ["Relay", "follow", "observer_of", "unfollow"]

BackendT = TypeVar("BackendT")

_lock = ForkSafeLock()


class Relay(NullObserver):
    """An observer, and those who are told the same.

    Args:
        observer: The application's own. What it raises goes on, for the core to report.
        followers: Told before it when something ends and after it when something begins, so that
            what it keeps for the time between (a span) is there. What they raise is reported here.
    """

    def __init__(self, observer: Observer, followers: Sequence[NullObserver]) -> None:
        self.observer = observer
        self.followers = tuple(followers)

    def wrap(self, backend: BackendT) -> BackendT:
        return self.observer.wrap(backend)

    def views_known(self, targets: Sequence[Target]) -> None:
        self._begin("views_known", targets)

    def lookup_started(self, lookup: Lookup) -> None:
        self._begin("lookup_started", lookup)

    def lookup_finished(self, lookup: Lookup) -> None:
        self._end("lookup_finished", lookup)

    def load_started(self, load: Load) -> None:
        self._begin("load_started", load)

    def load_finished(self, load: Load) -> None:
        self._end("load_finished", load)

    def wait_started(self, wait: Wait) -> None:
        self._begin("wait_started", wait)

    def wait_finished(self, wait: Wait) -> None:
        self._end("wait_finished", wait)

    def bypassed(self, target: Target, reason: str) -> None:
        self._begin("bypassed", target, reason)

    def bypass_started(self, bypass: Bypass) -> None:
        self._begin("bypass_started", bypass)

    def bypass_finished(self, bypass: Bypass) -> None:
        self._end("bypass_finished", bypass)

    def collided(self, target: Target, collision: Collision) -> None:
        self._begin("collided", target, collision)

    def stored(self, target: Target, result: str, reason: str) -> None:
        self._begin("stored", target, result, reason)

    def failed(self, operation: str, error: BaseException, handled: bool) -> None:
        self._begin("failed", operation, error, handled)

    def breaker_changed(self, before: str, after: str) -> None:
        self._begin("breaker_changed", before, after)

    def stats(self) -> Mapping[str, Any]:
        return self.observer.stats()

    def _begin(self, method: str, *facts: object) -> None:
        try:
            self._tell_observer(method, facts)
        finally:
            self._tell_followers(method, facts)

    def _end(self, method: str, *facts: object) -> None:
        self._tell_followers(method, facts)
        self._tell_observer(method, facts)

    def _tell_observer(self, method: str, facts: tuple[object, ...]) -> None:
        # Observers of others may be older than a method is.
        tell = getattr(self.observer, method, None)
        if tell is not None:
            tell(*facts)

    def _tell_followers(self, method: str, facts: tuple[object, ...]) -> None:
        for follower in self.followers:
            try:
                getattr(follower, method)(*facts)
            except Exception as fault:
                report_fault(f"{type(follower).__name__}.{method}", fault)


def follow(state: AppState, follower: NullObserver) -> None:
    """Tell ``follower`` whatever one application's observer is told from now on."""
    with _lock:
        relay = state.observer
        if not isinstance(relay, Relay):
            state.observer = Relay(relay, [follower])
        elif follower not in relay.followers:
            state.observer = Relay(relay.observer, [*relay.followers, follower])


def unfollow(state: AppState, follower: NullObserver) -> None:
    """Undo :func:`follow`; without followers the observer is alone again."""
    with _lock:
        relay = state.observer
        if isinstance(relay, Relay):
            left = [each for each in relay.followers if each is not follower]
            state.observer = Relay(relay.observer, left) if left else relay.observer


def observer_of(state: AppState) -> Observer:
    """The application's own observer, whoever follows."""
    observer = state.observer
    return observer.observer if isinstance(observer, Relay) else observer
