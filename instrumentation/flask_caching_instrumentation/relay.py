"""Telling others what the observer is told: the debug pages, and what records reads.

An application's cache has one observer. :func:`follow` puts a relay in its place, which tells the
observer first and then those who follow; where nobody does there is no relay, and no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from flask_caching.observer import NullObserver, Observer, report_fault
from flask_caching.state import AppState

from .forksafe import ForkSafeLock

__all__ = ["Relay", "follow", "observer_of", "unfollow"]

BackendT = TypeVar("BackendT")

_lock = ForkSafeLock()


#: What begins, and is told to the observer first; and what ends.
_BEGINNINGS: Final = (
    *("views_known", "lookup_started", "load_started", "wait_started", "bypassed"),
    *("bypass_started", "collided", "stored", "failed", "breaker_changed"),
)
_ENDS: Final = ("lookup_finished", "load_finished", "wait_finished", "bypass_finished")

#: Tells somebody some facts.
Tell: TypeAlias = Callable[..., None]


class Relay(NullObserver):
    """An observer, and those who are told the same.

    Who tells whom is bound once: every hit comes by here.

    Args:
        observer: The application's own. What it raises goes on, for the core to report.
        followers: Told before it when something ends and after it when something begins, so that
            what it keeps for the time between (a span) is there. What they raise is reported here.
    """

    def __init__(self, observer: Observer, followers: Sequence[NullObserver]) -> None:
        self.observer = observer
        self.followers = tuple(followers)
        for method in (*_BEGINNINGS, *_ENDS):
            own = _told(observer, method)
            others = [
                (f"{type(follower).__name__}.{method}", tell)
                for follower in followers
                if (tell := _told(follower, method)) is not None
            ]
            if others:
                join = _beginning if method in _BEGINNINGS else _ending
                self.__dict__[method] = join(own, others)
            elif own is not None:
                self.__dict__[method] = own

    def wrap(self, backend: BackendT) -> BackendT:
        return self.observer.wrap(backend)

    def stats(self) -> Mapping[str, Any]:
        return self.observer.stats()


def _told(watcher: object, method: str) -> Tell | None:
    """A watcher's method; ``None`` if it does nothing, or if the watcher is older than it is."""
    tell: Tell | None = getattr(watcher, method, None)
    if getattr(tell, "__func__", None) is getattr(NullObserver, method):
        return None
    return tell


def _beginning(own: Tell | None, others: Sequence[tuple[str, Tell]]) -> Tell:
    def tell(*facts: object) -> None:
        try:
            if own is not None:
                own(*facts)
        finally:
            _tell(others, facts)

    return tell


def _ending(own: Tell | None, others: Sequence[tuple[str, Tell]]) -> Tell:
    def tell(*facts: object) -> None:
        _tell(others, facts)
        if own is not None:
            own(*facts)

    return tell


def _tell(others: Sequence[tuple[str, Tell]], facts: tuple[object, ...]) -> None:
    for name, tell in others:
        try:
            tell(*facts)
        except Exception as fault:
            report_fault(name, fault)


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
