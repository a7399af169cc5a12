"""One loader per key, and loads that an invalidation overtakes.

Every load is registered under its key for as long as it runs. That serves two ends:

- other callers of the key wait for it, bounded, instead of loading as well;
- an explicit write or delete of the key marks the load as superseded, so that a value computed
  before an invalidation is never written after it.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from concurrent.futures import Future
from contextvars import ContextVar
from enum import Enum
from typing import TypeAlias, TypeVar

from .entry import Entry
from .observer import Load

__all__ = ["Flight", "Landing", "Result", "SingleFlight"]

T = TypeVar("T")

#: Keys remembered as stored lately, and as not worth waiting for (their loads were not stored).
_KEYS_REMEMBERED = 1024


class Landing(Enum):
    """How a load ended when it left no entry to share."""

    #: The function ran, but its value may not be stored: every waiter has to load.
    REFUSED = "refused"
    #: The function raised, or the value was overtaken: one waiter tries again for the rest.
    FAILED = "failed"


Result: TypeAlias = Entry | Landing


class Flight:
    """One load of one key.

    Attributes:
        key: What is loaded.
        versions: The versions that the value is made under; of no use to callers under others.
        shared: Whether others may wait for it; not for a load that is known to store nothing.
        alone: Whether it runs whatever others do, in other processes as well.
        duplicate: Whether it was begun while another load of the same was under way.
        load: What the observer is told of it; ``None`` until the function runs.
        mark: Stands for the flight in the context of whoever leads it. That may live long, copied
            into a task, and must not keep alive what the load has to do with.
        landed: Resolves to the load's :data:`Result`; awaitable through ``asyncio.wrap_future``.
        thread: The thread it was begun in.
        number: Grows from one flight to the next.
        superseded: Whether the key was written or deleted after the load began.
        lock: Held while the loaded value is written, and while the flight is superseded, so
            that one comes wholly before the other.
    """

    __slots__ = (
        "alone",
        "duplicate",
        "key",
        "landed",
        "load",
        "lock",
        "mark",
        "number",
        "shared",
        "superseded",
        "thread",
        "versions",
    )

    def __init__(
        self, key: str, versions: tuple[str | None, ...] = (), shared: bool = True
    ) -> None:
        self.key = key
        self.versions = versions
        self.shared = shared
        self.alone = False
        self.duplicate = False
        self.load: Load | None = None
        self.mark = object()
        self.thread = threading.get_ident()
        self.number = 0
        self.landed: Future[Result] = Future()
        # Running, so that a waiter's cancellation cannot cancel it for everybody.
        self.landed.set_running_or_notify_cancel()
        self.superseded = False
        self.lock = threading.RLock()


#: The marks of the flights that the current thread, task or greenlet leads: a load never waits
#: for itself.
_led: ContextVar[tuple[object, ...]] = ContextVar("flask_caching_led", default=())


class SingleFlight:
    """The loads under way for one application's cache in this process.

    Args:
        coalesce: Whether callers wait for a load that is under way.
        timeout: Seconds a caller waits before it loads the value itself.
    """

    def __init__(self, coalesce: bool = True, timeout: float = 10.0) -> None:
        self.coalesce = coalesce
        self.timeout = timeout
        #: Whether :meth:`invalidated` is asked, of loads in other processes.
        self.remembers = False
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """Forget every load: they are those of a process this one was forked from."""
        # Reentrant: the garbage collector may run a finalizer that deletes a key, in here.
        self._lock = threading.RLock()
        self._begun = 0
        self._flights: dict[str, list[Flight]] = {}
        self._invalidated: OrderedDict[str, float] = OrderedDict()
        self._cleared = 0.0
        self._unshared: OrderedDict[str, None] = OrderedDict()
        #: Loads that stored a value, and which of them was the last of a key.
        self.stored = 0
        self._stored_at: OrderedDict[str, int] = OrderedDict()

    def begin(
        self,
        key: str,
        versions: tuple[str | None, ...] = (),
        *,
        since: int | None = None,
        alone: bool = False,
        shared: bool = True,
    ) -> tuple[Flight, bool] | None:
        """Join the load of ``key`` that is under way, or start one.

        Args:
            key: What is to be loaded.
            versions: The versions that it must be made under.
            since: What :attr:`stored` was when the caller last looked into the store.
            alone: Start a load in any case.
            shared: Whether others may join it.

        Returns:
            The flight, and whether the caller leads it; a leader must call :meth:`land`.
            ``None`` if another load stored the key since the caller looked.
        """
        led = _led.get()
        flight = Flight(key, versions, shared)
        with self._lock:
            alone = alone or not self.coalesce or key in self._unshared
            if not alone and since is not None and self._stored_at.get(key, 0) > since:
                return None
            others = self._flights.get(key, ())
            # A function that calls itself waits neither here nor in another process.
            nested = any(other.mark in led for other in others)
            same = [other for other in others if other.versions == versions]
            flight.alone = alone or nested
            if not flight.alone:
                for other in same:
                    if other.shared:
                        return other, False
            flight.duplicate = bool(same) and not nested
            self._begun += 1
            flight.number = self._begun
            self._flights.setdefault(key, []).append(flight)
        _led.set((*led, flight.mark))
        return flight, True

    def land(self, flight: Flight, result: Result) -> None:
        """End a flight that the caller led, and release those who wait for it."""
        _led.set(tuple(mark for mark in _led.get() if mark is not flight.mark))
        with self._lock:
            self._forget(flight)
            if isinstance(result, Entry):
                self._unshared.pop(flight.key, None)
                self.stored += 1
                _remember(self._stored_at, flight.key, self.stored)
            elif result is Landing.REFUSED and flight.shared:
                _remember(self._unshared, flight.key, None)
        flight.landed.set_result(result)

    def invalidated(self, key: str) -> float:
        """Unix time at which ``key`` was last superseded in this process, if that is remembered."""
        return max(self._invalidated.get(key, 0.0), self._cleared)

    @property
    def heeds(self) -> bool:
        """Whether it matters to anything here that a key is written or deleted now."""
        return self.remembers or bool(self._flights)

    def supersede(self, *keys: str) -> None:
        """Make the loads of ``keys`` that are under way worthless: nothing of them is stored."""
        if self.remembers:
            for key in keys:
                _remember(self._invalidated, key, time.time())
        with self._lock:
            overtaken = [flight for key in keys for flight in self._flights.pop(key, ())]
        self._mark(overtaken)

    def supersede_all(self) -> None:
        """:meth:`supersede` for every key."""
        self._cleared = time.time()
        with self._lock:
            overtaken = [flight for flights in self._flights.values() for flight in flights]
            self._flights.clear()
        self._mark(overtaken)

    def overtake(self, flight: Flight) -> None:
        """Supersede the loads of a key that began before ``flight``, whose value is newer.

        Not those that wait for it to return: a function that calls itself ends last.
        """
        led = _led.get()
        with self._lock:
            flights = self._flights.get(flight.key, [])
            older = [
                other for other in flights if other.number < flight.number and other.mark not in led
            ]
            for other in older:
                self._forget(other)
        self._mark(older)

    def _mark(self, flights: list[Flight]) -> None:
        for flight in flights:
            flight.superseded = True
            # A write that is under way comes first. Bounded, for a finalizer that runs while its
            # thread holds a lock which that write waits for.
            if flight.lock.acquire(timeout=1.0):
                flight.lock.release()

    def _forget(self, flight: Flight) -> None:
        flights = self._flights.get(flight.key)
        if flights and flight in flights:
            flights.remove(flight)
            if not flights:
                del self._flights[flight.key]


def _remember(keys: OrderedDict[str, T], key: str, what: T) -> None:
    keys[key] = what
    keys.move_to_end(key)
    if len(keys) > _KEYS_REMEMBERED:
        keys.popitem(last=False)


_all: weakref.WeakSet[SingleFlight] = weakref.WeakSet()


def _after_fork() -> None:
    # The loaders were threads of the parent: nobody would ever land their flights here.
    for registry in list(_all):
        registry.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
