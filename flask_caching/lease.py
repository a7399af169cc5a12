"""One loader among processes: a lock in the store that expires, and that its holder gives back.

Taking the lock and looking for the value is one round trip
(:meth:`~flask_caching.backends.base.EntryBackend.get_entries` with ``create``), so that whoever
gets the lock knows that the value was not there a moment ago.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Iterator
from typing import Any

from .backends.base import RESERVED
from .driving import Step
from .entry import Entry, Form
from .finding import Finding
from .observer import Lookup, Wait
from .query import Query, version_values
from .state import AppState
from .typing import MISS, Miss

__all__ = ["Lease", "Leasing", "pauses"]

#: Seconds by which it may be mistaken when another process's load began.
_INEXACT = 0.1
_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class Lease:
    """The right to load one key, which one caller of all processes has.

    Args:
        key: What is to be loaded.
        seconds: After which the lock expires if its holder does not give it back.

    Attributes:
        key: The lock's own key.
        token: What the lock holds if it is this caller's.
        held: Whether it is, as far as is known: it may be, if an answer was lost.
        over: Whether there is nothing more to wait for: it is held, or the one that was waited
            for went without storing a value.
    """

    def __init__(self, key: str, seconds: float) -> None:
        self.key = f"{RESERVED}lock/{key}"
        self.token = uuid.uuid4().hex
        self.held = False
        self.over = False
        self._seconds = seconds
        self._other: str | None = None

    def create(self) -> dict[str, Entry]:
        """The lock, to be added where there is none."""
        now = time.time()
        lock = Entry(Form.PLAIN, self.token, created_at=now, expires_at=now + self._seconds)
        return {self.key: lock}

    def see(self, lock: Entry | None) -> None:
        """Take notice of who holds the lock."""
        holder = None if lock is None else lock.payload
        self.held = holder == self.token
        if self._other is None and not self.held:
            self._other = str(holder)
        self.over = self.held or str(holder) != self._other


def pauses() -> Iterator[float]:
    """Seconds between two looks at a lock that another one holds: more and more, up to a limit."""
    pause = _SHORTEST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


class Leasing(Finding):
    """A decorated thing whose value one process loads for all."""

    def lease(self, state: AppState, query: Query, lookup: Lookup) -> Lease | None:
        """The lock to take before a load that other processes may be making as well."""
        if not state.distributed or lookup.degraded or query.refusal:
            return None
        return Lease(query.key, state.flights.timeout)

    def take_lease(
        self, state: AppState, query: Query, lookup: Lookup, lease: Lease, deadline: float
    ) -> Generator[Step, Any, Any]:
        """Take the lock, or wait for what its holder stores. Returns the value if it is there.

        A holder that goes without storing anything is not waited for a second time: its load
        failed, or its value may not be stored.
        """
        value = self._try_lease(state, query, lookup, lease)
        if value is not MISS or lease.over:
            return value
        with Wait(state.observer, lookup.target) as wait:
            for pause in pauses():
                left = deadline - time.monotonic()
                if left <= 0 or lease.over:
                    break
                yield min(pause, left)
                value = self._try_lease(state, query, lookup, lease)
                if value is not MISS:
                    wait.served = True
                    break
        return value

    def _try_lease(self, state: AppState, query: Query, lookup: Lookup, lease: Lease) -> Any | Miss:
        """One round trip: take the lock if it is free, and look whether the value is there."""
        keys = (*query.version_keys, query.key, lease.key)
        # Until it is known: giving back what is another's does nothing.
        lease.held = True
        try:
            *versions, entry, lock = state.store.get_entries(keys, lease.create())
        except Exception as error:
            state.failed("add", error, handled=True, keys=keys)
            lookup.degraded = lease.over = True
            return MISS
        lease.see(lock)
        query.versions = version_values(versions)
        if entry is None or entry.versions != query.versions:
            return MISS
        begun = entry.created_at - entry.load_seconds - _INEXACT
        if begun < state.flights.invalidated(state.flight_key(query.key)):
            # Another process was loading it when this one deleted it.
            return MISS
        return self.judge(state, query, lookup, entry)

    def give_back(self, state: AppState, lease: Lease) -> None:
        if lease.held:
            try:
                state.backend.release_lock(lease.key, lease.token)
            except Exception as error:
                # It expires by itself.
                state.failed("delete", error, handled=True, keys=(lease.key,))
