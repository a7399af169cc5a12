"""``Timeline``: writes down what one application's cache is seen to do."""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections import deque
from contextvars import ContextVar
from functools import partial
from time import perf_counter
from typing import Any, Final

from flask import Flask, request_finished, request_started, request_tearing_down

from flask_caching.backends.base import RESERVED
from flask_caching.backends.foreign import ForeignEntries
from flask_caching.contexts import current_request
from flask_caching.errors import CacheError
from flask_caching.observer import Bypass, Load, Lookup, NullObserver, Target, Wait
from flask_caching.state import AppState

from ..forksafe import ForkSafeLock
from ..metrics.counting import Counting
from ..relay import Relay, follow, observer_of, unfollow
from ..wrapper.backend import follow_calls
from .history import Counted, History, sampler
from .memory import Hushed, KeyMemory, WatchedEntries, hushed, written
from .records import Operation, Record, current_trace

__all__ = ["DEBUG", "Timeline", "start_timeline", "stop_timeline", "timeline_of"]

#: What the debug pages put into the environ of their own requests, which are not written down.
DEBUG: Final = "flask_caching.debug"

#: Requests that are kept.
_MOST: Final = 200

_DIRECT: Final = Target("direct", "direct")

#: Calls of the wrapper that are not the application's own.
_INTERNAL: Final = frozenset(
    {"add_entry", "get_entries", "get_entry", "keys", "release_lock", "set_entry"}
)

#: Calls whose arguments are all keys.
_OF_SEVERAL: Final = frozenset({"delete_many", "get_dict", "get_many", "unlink"})

#: Calls after which an entry is not what it was.
_REMOVES: Final = frozenset({"delete", "delete_many", "unlink"})

#: Why a value of the application's own did not even get as far as to the store.
_UNWRITTEN: Final = frozenset({"null_cache", "serialization"})

_numbers = itertools.count()

#: Where a request keeps when it began.
_BEGUN: Final = "_flask_caching_begun"


class Timeline(NullObserver):
    """The latest requests to one application, and what they did with its cache.

    What belongs to a request is kept on the request until it ends, whichever threads or greenlets
    work on it; then among the latest. Outside of requests each lookup is kept by itself, with
    those that its function does.

    Args:
        app: The application; not kept alive.
        history: How lookups ended.
        most: Requests that are kept.

    Attributes:
        memory: The keys that were used last.
        history: As given.
    """

    def __init__(self, app: Flask, history: History, most: int = _MOST) -> None:
        self.memory = KeyMemory()
        self.history = history
        self._lock = ForkSafeLock()
        # Two caches of one application, each with a timeline: both write on one request.
        self._slot = f"_flask_caching_record_{next(_numbers)}"
        self._outside: ContextVar[Record | None] = ContextVar(self._slot, default=None)
        self._most = most
        self._begin()
        # Weakly: they end with this.
        request_started.connect(self._request_started, app)
        request_finished.connect(self._request_finished, app)
        request_tearing_down.connect(self._request_ended, app)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._latest = 0
        self._records: deque[Record] = deque(maxlen=self._most)

    # What is asked of it.

    @property
    def latest(self) -> int:
        """The highest number of a record."""
        self._look_for_fork()
        return self._latest

    def records(self, after: int = 0) -> list[Record]:
        """The requests that ended, with a higher number than ``after``, the latest first."""
        self._look_for_fork()
        return [record for record in reversed(list(self._records)) if record.number > after]

    def uses_of(self, key: str) -> list[tuple[Record, Operation]]:
        """Who used a key lately, the latest first."""
        return [
            (record, operation)
            for record in self.records()
            for operation in reversed(record.operations)
            if operation.key == key
        ]

    # What the relay tells.

    def lookup_started(self, lookup: Lookup) -> None:
        operation = Operation(lookup.target, "lookup", perf_counter())
        record = self._record()
        record.add(operation)
        vars(lookup)[self._slot] = record, operation

    def lookup_finished(self, lookup: Lookup) -> None:
        held = vars(lookup).pop(self._slot, None)
        if held is None:
            # It began before anyone followed.
            return
        record, operation = held
        operation.end_lookup(lookup)
        self._used(lookup.target, operation)
        self._settle(record, operation)

    def bypass_started(self, bypass: Bypass) -> None:
        operation = Operation(bypass.target, "bypass", perf_counter())
        record = self._record()
        record.add(operation)
        vars(bypass)[self._slot] = record, operation

    def bypass_finished(self, bypass: Bypass) -> None:
        held = vars(bypass).pop(self._slot, None)
        if held is None:
            return
        record, operation = held
        if bypass.lookup is not None:
            operation.end_lookup(bypass.lookup)
            self._used(bypass.target, operation)
        elif operation.load_seconds is None:
            operation.load_seconds = bypass.duration
        operation.end(bypass.reason)
        self._settle(record, operation)

    def load_finished(self, load: Load) -> None:
        operation = self._open(load.target)
        if operation is not None:
            operation.load_seconds = load.duration

    def wait_finished(self, wait: Wait) -> None:
        operation = self._open(wait.target)
        if operation is not None:
            operation.waited = True

    def stored(self, target: Target, result: str, reason: str) -> None:
        write = None if reason in _UNWRITTEN else written.get()
        if target.source != "direct":
            # What forced_update stored: its bypass tells.
            return
        operation = Operation(target, "set", perf_counter())
        if write is not None:
            operation.name, operation.key, operation.size, operation.seconds = write
            self.memory.of(write.key).target = target
        operation.outcome, operation.stored, operation.reason = result, result, reason
        self._add(operation)

    # What the wrapper tells.

    def called(self, method: str, args: tuple[Any, ...], outcome: str, seconds: float) -> None:
        """A call to the backend ended, if it is one of the application's own.

        Args:
            method: The backend's method.
            args: Its positional arguments.
            outcome: As in the metrics.
            seconds: How long it took.
        """
        if method in _INTERNAL or hushed.get():
            return
        keys = [key for key in _keys_of(method, args) if not key.startswith(RESERVED)]
        if not keys and args:
            return
        operation = Operation(_DIRECT, method, perf_counter() - seconds)
        operation.outcome, operation.seconds = outcome, seconds
        operation.key, operation.keys = keys[0] if keys else "", len(keys)
        if method in _REMOVES:
            self.memory.forget(keys)
        elif method == "clear":
            self.memory.clear()
        self._add(operation)

    def renewed(self, key: str, seconds: float) -> None:
        """All values of a memoized function, or of an instance, were deleted."""
        operation = Operation(_DIRECT, "delete_memoized", perf_counter() - seconds)
        operation.outcome, operation.seconds, operation.key = "ok", seconds, key
        self._add(operation)

    # Inside.

    def _used(self, target: Target, operation: Operation) -> None:
        if operation.key and operation.keys == 1:
            seen = self.memory.of(operation.key)
            seen.target = target
            operation.size = seen.size

    def _add(self, operation: Operation) -> None:
        """Put down something that is over already."""
        record = self._record()
        record.add(operation)
        self._settle(record, operation)

    def _open(self, target: Target) -> Operation | None:
        record = self._of_current() or self._outside.get()
        return None if record is None else record.open_lookup(target)

    def _record(self) -> Record:
        """What is done now belongs to."""
        request = current_request()
        if request is None:
            record = self._outside.get()
            # One that has ended is of a task or thread that goes on after it.
            if record is None or record.number:
                record = Record(time.time(), perf_counter(), trace_id=current_trace())
                self._outside.set(record)
            return record
        attributes = _attributes(request)
        found: Record | None = attributes.get(self._slot)
        if found is None:
            found = attributes[self._slot] = _record_of(attributes)
        return found

    def _settle(self, record: Record, operation: Operation) -> None:
        """Keep what was done outside of requests, once the outermost of it is over."""
        if not record.in_request and record.operations[0] is operation:
            self._outside.set(None)
            record.seconds = operation.seconds
            self._keep(record)

    def _keep(self, record: Record) -> None:
        self._look_for_fork()
        with self._lock:
            self._latest += 1
            record.number = self._latest
            self._records.append(record)
        if not sampler.awake:
            sampler.wake()

    def _look_for_fork(self) -> None:
        if self._pid != os.getpid():
            # The parent's requests are not this process's.
            self._begin()

    # What Flask tells.

    def _request_started(self, sender: Flask, **extra: Any) -> None:
        request = current_request()
        if request is not None:
            _attributes(request)[_BEGUN] = time.time(), perf_counter()

    def _request_finished(self, sender: Flask, response: Any = None, **extra: Any) -> None:
        record = self._of_current()
        if record is not None:
            record.status = getattr(response, "status_code", None)
            self._end(record)

    def _request_ended(self, sender: Flask, **extra: Any) -> None:
        # An exception that nobody handled, or what teardown functions did.
        record = self._of_current()
        if record is not None:
            self._end(record)

    def _of_current(self) -> Record | None:
        request = current_request()
        return None if request is None else _attributes(request).get(self._slot)

    def _end(self, record: Record) -> None:
        attributes = _attributes(current_request())
        if record.number or attributes["environ"].get(DEBUG):
            return
        rule = attributes.get("url_rule")
        record.endpoint = "" if rule is None else rule.endpoint
        record.seconds = perf_counter() - record.begun
        self._keep(record)


def _attributes(request: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = request.__dict__
    return attributes


def _record_of(attributes: dict[str, Any]) -> Record:
    """A record of a request.

    Of its attributes, since reading those the usual way may be watched. Not with its environ, which
    would keep alive all that belongs to it.
    """
    at, begun = attributes.get(_BEGUN) or (time.time(), perf_counter())
    environ = attributes["environ"]
    return Record(
        at,
        begun,
        in_request=True,
        method=environ.get("REQUEST_METHOD", ""),
        path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        trace_id=current_trace(),
    )


def _keys_of(method: str, args: tuple[Any, ...]) -> list[str]:
    """The keys among the arguments of a method of a backend."""
    found: list[Any] = [*args] if method in _OF_SEVERAL else [*args[:1]]
    if method == "set_many" and found:
        found = list(found[0])
    return [key for key in found if isinstance(key, str)]


#: One start at a time.
_lock = ForkSafeLock()


def start_timeline(state: AppState) -> Timeline:
    """Have one application's cache written down; its timeline, if it is already.

    Args:
        state: The application's cache.

    Raises:
        CacheError: If the application is gone.
    """
    with _lock:
        running = timeline_of(state)
        if running is not None:
            return running
        app = state.app()
        if app is None:
            raise CacheError("the application of this cache does not exist any more")
        timeline = Timeline(app, History(partial(_lookups_of, weakref.ref(state))))
        follow(state, timeline)
        store = state.store
        plain = Hushed(store) if isinstance(store, ForeignEntries) else store
        state.store = WatchedEntries(plain, timeline.memory, timeline.renewed, store)
        if state.entries is store:
            state.entries = state.store
        follow_calls(state.backend, timeline.called)
        return timeline


def stop_timeline(state: AppState) -> None:
    """Undo :func:`start_timeline`."""
    with _lock:
        timeline = timeline_of(state)
        if timeline is None:
            return
        follow_calls(state.backend, None)
        watched = state.store
        if isinstance(watched, WatchedEntries):
            state.store = watched.around
            if state.entries is watched:
                state.entries = watched.around
        unfollow(state, timeline)


def timeline_of(state: AppState) -> Timeline | None:
    """What writes down an application's cache; ``None`` if nobody does."""
    relay = state.observer
    if isinstance(relay, Relay):
        for follower in relay.followers:
            if isinstance(follower, Timeline):
                return follower
    return None


def _lookups_of(reference: weakref.ref[AppState]) -> Counted | None:
    """What was counted of an application's cache; ``None`` if it is gone, or nobody counts."""
    state = reference()
    observer = None if state is None else observer_of(state)
    return Counted.of(observer.lookups()) if isinstance(observer, Counting) else None
