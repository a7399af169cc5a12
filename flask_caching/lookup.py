"""The one read-through path that views, functions and fragments share.

A decorated call goes like this::

    policy.start(...)    what is asked for, or why the cache is not asked
    policy.find(...)     one read of the store; a hit ends here
    policy.load(...)     else: wait for another caller's load, or load and store

:meth:`ReadThrough.load` is a generator; :mod:`flask_caching.driving` runs it.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Generator
from typing import Any

from .driving import Pending, Step, call_only, drive, drive_async
from .entry import Entry
from .errors import RefusedEntry, SerializationError
from .lease import Leasing
from .observer import Bypass, Load, Lookup, Target, Wait
from .parsing import warn_user
from .query import Query, variant_of
from .responses import Admission
from .singleflight import Flight, Landing, Result
from .state import AppState
from .typing import MISS, Miss

__all__ = ["ReadThrough", "warn_once"]


class ReadThrough(Leasing):
    """A decorated thing: how its value is looked up, and how it is loaded and stored."""

    def admit(self, state: AppState, query: Query, value: Any) -> Admission:
        """Whether a loaded value may be stored."""
        return Admission(value)

    # Loading.

    def load(
        self, state: AppState, query: Query, lookup: Lookup, *, forced: bool = False
    ) -> Generator[Step, Any, Any]:
        """Make the value: wait for another caller's load of it, or run the function.

        Args:
            state: The application's cache.
            query: What is asked for.
            lookup: The bracket around the call.
            forced: Run the function whatever others do.
        """
        deadline = time.monotonic() + state.flights.timeout
        outcome = lookup.outcome
        flight, versions, value = yield from self._join(state, query, lookup, forced, deadline)
        if flight is None:
            # It looked and found nothing it could use, though another one paid for it.
            lookup.outcome, lookup.saved_seconds = outcome, 0.0
            return value
        landing: Result = Landing.FAILED
        lease = None if flight.alone else self.lease(state, query, lookup)
        try:
            if lease is not None:
                value = yield from self.take_lease(state, query, lookup, lease, deadline)
                if value is not MISS:
                    landing = query.entry or Landing.FAILED
                    lookup.outcome, lookup.saved_seconds = outcome, 0.0
                    return value
                versions = self.current_versions(state, query, lookup)
            load = flight.load = Load(state.observer, lookup.target, self.loads())
            load.duplicate = flight.duplicate
            with load:
                value = yield from self.run_function(query, load)
            value, landing = self._settle(state, query, lookup, flight, value, load, versions)
        finally:
            state.flights.land(flight, landing)
            if lease is not None:
                self.give_back(state, lease)
        return value

    def _join(
        self, state: AppState, query: Query, lookup: Lookup, forced: bool, deadline: float
    ) -> Generator[Step, Any, tuple[Flight | None, tuple[str, ...], Any]]:
        """Wait for another caller's load, or begin one.

        Returns:
            The load that this caller leads and the versions to make the value under; or
            ``None`` and the value that another one's load had for it.
        """
        own, failures = forced, 0
        while True:
            versions = self.current_versions(state, query, lookup)
            begun = state.flights.begin(
                state.flight_key(state.stored_key(query.key)),
                versions,
                since=query.looked,
                alone=own or lookup.degraded or bool(query.refusal),
                shared=not query.refusal,
            )
            if begun is None:
                value = self.find(state, query, lookup)
            elif begun[1]:
                return begun[0], versions, MISS
            else:
                flight, wait = begun[0], Wait(state.observer, lookup.target)
                wait.load = flight.load
                with wait:
                    result: Result | None = yield flight, deadline - time.monotonic()
                    wait.load = flight.load
                    value = self._landed(state, query, lookup, result)
                    wait.served = value is not MISS
                # One of those who waited for a load that failed leads the next one. If that
                # fails too, all run: a function that fails is not to be queued for.
                failures += result is Landing.FAILED
                own = result is not Landing.FAILED or failures > 1 or time.monotonic() >= deadline
            if value is not MISS:
                return None, versions, value

    def _landed(
        self, state: AppState, query: Query, lookup: Lookup, result: Result | None
    ) -> Any | Miss:
        """What another caller's load has for this one."""
        if not isinstance(result, Entry):
            return MISS
        if state.entries is state.store:
            return self.judge(state, query, lookup, result)
        # Overriding methods may keep another value for each caller under one key.
        return self.find(state, query, lookup)

    def _settle(
        self,
        state: AppState,
        query: Query,
        lookup: Lookup,
        flight: Flight,
        value: Any,
        load: Load,
        versions: tuple[str, ...],
    ) -> tuple[Any, Result]:
        """Store a loaded value if it may be. Returns it, and what the waiters get."""
        admission = self.admit(state, query, value)
        value = admission.value
        snapshot = value if admission.snapshot is None else admission.snapshot
        reason = admission.reason
        if value is None and not self.cache_none:
            reason = reason or "none"
        reason = reason or query.refusal or ("" if state.keeps else "null_cache")
        if reason:
            lookup.stored, lookup.reason = "refused", reason
            return value, Landing.REFUSED
        if lookup.degraded:
            lookup.stored, lookup.reason = "error", "unavailable"
            return value, Landing.REFUSED
        try:
            form, payload = state.codec.freeze(snapshot)
        except SerializationError as error:
            state.failed("set", error, handled=True, keys=(query.key,))
            lookup.stored, lookup.reason = "error", "serialization"
            return value, Landing.REFUSED
        timeout = self.timeout() if admission.timeout is None else admission.timeout
        entry = Entry(
            form,
            payload,
            created_at=time.time(),
            expires_at=state.expiry(timeout),
            load_seconds=load.duration,
            witness=query.witness,
            versions=versions,
            vary=variant_of(admission.vary, query.request),
            reads=query.reads,
        )
        return value, self._store(state, query, lookup, flight, entry)

    def _store(
        self, state: AppState, query: Query, lookup: Lookup, flight: Flight, entry: Entry
    ) -> Result:
        """Write an entry, unless its key was written or deleted while it was being made."""
        with flight.lock:
            if flight.superseded:
                lookup.stored, lookup.reason = "refused", "superseded"
                return Landing.FAILED
            state.flights.overtake(flight)
            try:
                stored = state.entries.set_entry(query.key, entry, query.version_keys)
            except RefusedEntry as error:
                lookup.stored, lookup.reason = "refused", error.reason
                return Landing.REFUSED
            except Exception as error:
                state.failed("set", error, handled=True, keys=(query.key,))
                lookup.stored, lookup.reason = "error", "backend"
                lookup.degraded = True
                return Landing.REFUSED
        if not stored:
            lookup.stored, lookup.reason = "refused", "backend"
            return Landing.REFUSED
        lookup.stored = "stored"
        query.entry = entry
        return entry

    def loads(self) -> str:
        """What runs when it loads, for whoever watches."""
        function = self.function
        return getattr(function, "__qualname__", None) or type(function).__qualname__

    def run_function(self, query: Query, load: Load) -> Generator[Step, Any, Any]:
        """Have the function run, inside of ``load``; returns its value."""
        return (yield "call")

    # Calling. ``start`` is the decorator's own; the rest drives what it leaves to do.

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Pending:
        """Begin a decorated call. Returns its value on a hit, else what is left to do."""
        raise NotImplementedError

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A decorated call."""
        value = self.start(args, kwargs)
        return self.go_on(value, args, kwargs) if type(value) is Pending else value

    def go_on(self, pending: Pending, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what :meth:`start` left to do."""
        return drive(pending.steps, lambda: self.function(*args, **kwargs))

    async def call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A decorated call of a coroutine function; the same in a running event loop."""
        value = self.start(args, kwargs)
        if type(value) is not Pending:
            return value
        return await drive_async(value.steps, lambda: self.function(*args, **kwargs))

    def look(self, state: AppState, query: Query, lookup: Lookup) -> Any | Pending:
        """Look for the value; load it if it is not there."""
        lookup.__enter__()
        try:
            value = self.find(state, query, lookup)
            if state.config.enable_signals:
                self.signal(query, lookup)
        except BaseException as error:
            lookup.close(error)
            raise
        if value is MISS:
            return Pending(self._load_and_finish(state, query, lookup))
        lookup.close()
        return self.finished(state, query, lookup, value)

    def _load_and_finish(
        self, state: AppState, query: Query, lookup: Lookup
    ) -> Generator[Step, Any, Any]:
        try:
            value = yield from self.load(state, query, lookup)
        except BaseException as error:
            lookup.close(error)
            raise
        lookup.close()
        return self.finished(state, query, lookup, value)

    def force(self, state: AppState, query: Query, lookup: Lookup) -> Generator[Step, Any, Any]:
        """Load without looking, as ``forced_update`` asks. Not a lookup, so not counted as one."""
        state.observe(state.observer.bypassed, lookup.target, "forced_update")
        with Bypass(state.observer, lookup.target, "forced_update") as bypass:
            lookup.key, bypass.lookup = query.key, lookup
            if state.config.enable_signals:
                self.signal(query, lookup)
            value = yield from self.load(state, query, lookup, forced=True)
        state.observe(state.observer.stored, lookup.target, lookup.stored, lookup.reason)
        lookup.reason = "forced_update"
        return self.finished(state, query, lookup, value)

    def signal(self, query: Query, lookup: Lookup) -> None:
        """Send the hit or miss signal, where signals are enabled."""

    def finished(self, state: AppState, query: Query, lookup: Lookup, value: Any) -> Any:
        """What the caller gets of a value that was found or made."""
        return value

    def bypass(self, state: AppState | None, reason: str, target: Target | None = None) -> Pending:
        """Run the function without asking the store."""
        if state is None:
            return Pending(call_only())
        target = target or self.target
        state.observe(state.observer.bypassed, target, reason)
        return Pending(_call_inside(Bypass(state.observer, target, reason)))

    def wrapper(self) -> Any:
        """A function to put in the decorated one's place; async if that is."""
        function = self.function
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                return await self.call_async(args, kwargs)

            return call_async

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            # As ``call`` does, which would be one more call on every hit.
            value = self.start(args, kwargs)
            return self.go_on(value, args, kwargs) if type(value) is Pending else value

        return call


def _call_inside(bypass: Bypass) -> Generator[Step, Any, Any]:
    with bypass:
        return (yield "call")


@functools.lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Warn about something in the application's code, once for each message."""
    warn_user(message)
