"""The value operations of ``Cache``: what an application does with keys of its own."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from .backends.base import NOTHING, SupportsTouch, SupportsTTL
from .driving import Pending
from .entry import Entry, Form
from .errors import (
    BackendError,
    CacheError,
    RefusedEntry,
    SerializationError,
    UnreadableEntry,
    backend_error,
)
from .lookup import ReadThrough, warn_once
from .observer import Lookup, Target
from .query import Query
from .state import AppState
from .typing import MISS, Miss, Timeout, is_tuple
from .utils import normalize_timeout

__all__ = [
    "OverriddenEntries",
    "ValueOperations",
    "attempt",
    "delete_if_possible",
    "overrides_values",
]

T = TypeVar("T")

_DIRECT = Target("direct", "direct")

#: A payload that is the value.
_PLAIN = Form.PLAIN


class ValueOperations:
    """Reading and writing values by key. Base of :class:`flask_caching.Cache`.

    Timeouts are seconds or a ``timedelta``; ``None`` is the cache's default, ``0`` never
    expires, a negative one has expired already. A failing store raises
    :class:`~flask_caching.errors.BackendError`, or with ``CACHE_IGNORE_ERRORS`` is counted and
    looks like a store without the key.
    """

    def state(self) -> AppState:
        """The current application's cache."""
        raise NotImplementedError

    # Reading.

    def get(self, key: str) -> Any:
        """The value under ``key``, or ``None``."""
        state = self.state()
        capture = _capture.get()
        if capture is not None:
            return capture.read(state, key)
        lookup = Lookup(state.observer, _DIRECT)
        lookup.key = key
        with lookup:
            value = self._read(state, lookup, key)
        return None if value is MISS else value

    def has(self, key: str) -> bool:
        """Whether ``key`` is there; true for a cached ``None``."""
        state = self.state()
        return bool(attempt(state, "has", False, state.backend.has, key))

    def get_many(self, *keys: str) -> list[Any]:
        """The values of ``keys`` in their order, ``None`` for those that are not there."""
        state = self.state()
        with Lookup(state.observer, _DIRECT) as lookup:
            lookup.keys, lookup.counts = keys, {"error": len(keys)}
            entries = attempt(state, "get_many", None, state.store.get_entries, keys, lookup=lookup)
            if entries is None:
                return [None] * len(keys)
            values = [
                MISS if entry is None else thawed(state, entry, key)
                for key, entry in zip(keys, entries, strict=True)
            ]
            found = [
                entry
                for entry, value in zip(entries, values, strict=True)
                if entry is not None and value is not MISS
            ]
            lookup.counts = {"hit": len(found), "miss": len(keys) - len(found)}
            lookup.saved_seconds = sum(entry.load_seconds for entry in found)
        return [None if value is MISS else value for value in values]

    def get_dict(self, *keys: str) -> dict[str, Any]:
        """The values of ``keys`` by key, ``None`` for those that are not there."""
        # Not what a subclass may have made of get_many: it may have changed the keys already.
        return dict(zip(keys, ValueOperations.get_many(self, *keys), strict=True))

    def get_or_set(self, key: str, default: Callable[[], T] | T, timeout: Timeout = None) -> T:
        """The value under ``key``; stored first if it is not there.

        Args:
            key: Where.
            default: The value, or a function that makes it. The function runs once for all
                threads that ask at the same time.
            timeout: Seconds to keep it.
        """
        loader = _GetOrSet(self, key, default, normalize_timeout(timeout))
        return cast(T, loader.call((), {}))

    def ttl(self, key: str) -> float | None:
        """Seconds that ``key`` has left; ``0`` never expires; ``None`` if it is not there."""
        state = self.state()
        if isinstance(state.backend, SupportsTTL):
            return cast("float | None", attempt(state, "ttl", None, state.backend.ttl, key))
        entry = attempt(state, "ttl", None, state.store.get_entry, key)
        if entry is None:
            return None
        return max(0.0, entry.expires_at - time.time()) if entry.expires_at else 0.0

    # Writing.

    def set(self, key: str, value: Any, timeout: Timeout = None) -> bool | None:
        """Store ``value`` under ``key``. Returns whether it was stored.

        Raises:
            SerializationError: If the serializer cannot hold the value.
        """
        state = self.state()
        pending = _pending.get()
        if pending is not None:
            return state.store.set_entry(key, pending.around(state, value, timeout))
        # Before, for the loads that are under way; after, for one that began in between.
        state.supersede(key)
        stored = _store(state, "set", state.store.set_entry, key, value, timeout)
        state.supersede(key)
        return stored

    def add(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Store ``value`` unless ``key`` exists. Returns whether it was stored."""
        state = self.state()
        stored = _store(state, "add", state.store.add_entry, key, value, timeout)
        if stored:
            state.supersede(key)
        return stored

    def set_many(self, mapping: Mapping[str, Any], timeout: Timeout = None) -> list[str]:
        """Store several values. Returns the keys that were stored."""
        write = ValueOperations.set
        return [key for key, value in mapping.items() if write(self, key, value, timeout)]

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add ``delta`` to an integer; a missing one counts as 0. Returns the new value."""
        return cast("int | None", self._change("inc", None, key, delta, supersedes=(key,)))

    def dec(self, key: str, delta: int = 1) -> int | None:
        """Subtract ``delta`` from an integer; a missing one counts as 0."""
        return cast("int | None", self._change("dec", None, key, delta, supersedes=(key,)))

    def touch(self, key: str, timeout: Timeout = None) -> bool:
        """Let ``key`` expire ``timeout`` from now. Returns whether it was there."""
        state = self.state()
        seconds = normalize_timeout(timeout)
        if isinstance(state.backend, SupportsTouch):
            return bool(attempt(state, "touch", False, state.backend.touch, key, seconds))
        entry = attempt(state, "touch", None, state.store.get_entry, key)
        if entry is None:
            return False
        moved = entry.replaced(entry.form, entry.payload, state.expiry(seconds))
        return bool(attempt(state, "touch", False, state.store.set_entry, key, moved))

    # Deleting.

    def delete(self, key: str) -> bool:
        """Remove ``key``. Returns whether it was there."""
        return bool(self._change("delete", False, key, supersedes=(key,)))

    def delete_many(self, *keys: str) -> list[str]:
        """Remove several keys. Returns those that were removed, or were not there."""
        return list(self._change("delete_many", (), *keys, supersedes=keys))

    def unlink(self, *keys: str) -> list[str]:
        """:meth:`delete_many`, in the background where the store can do that (Redis)."""
        if not hasattr(self.state().backend, "unlink"):
            return self.delete_many(*keys)
        return list(self._change("unlink", (), *keys, supersedes=keys))

    def clear(self) -> bool:
        """Remove everything that is this cache's own. Returns whether it did."""
        state = self.state()
        state.flights.supersede_all()
        state.versions_seen.clear()
        cleared = bool(attempt(state, "clear", False, state.backend.clear))
        if cleared:
            state.log.write("cache.cleared", "it was cleared", level=logging.INFO)
        return cleared

    def _read(self, state: AppState, lookup: Lookup, key: str) -> Any | Miss:
        """The value under ``key``, counted in ``lookup``."""
        try:
            try:
                # As attempt() does, which would be one more call on every hit.
                entry = state.store.get_entry(key)
            except Exception as error:
                entry = _failed(state, "get", None, error, (key,), lookup)
        except UnreadableEntry as error:
            state.failed("get", error, handled=True, keys=(key,))
            return MISS
        if entry is None:
            return MISS
        value = entry.payload if entry.form is _PLAIN else thawed(state, entry, key)
        if value is not MISS:
            lookup.outcome = "hit"
            lookup.saved_seconds = entry.load_seconds
        return value

    def _change(self, operation: str, nothing: Any, *args: Any, supersedes: Any) -> Any:
        """Call a backend operation after which loads of these keys are out of date."""
        state = self.state()
        state.supersede(*supersedes)
        return attempt(state, operation, nothing, getattr(state.backend, operation), *args)


def attempt(
    state: AppState,
    operation: str,
    nothing: Any,
    call: Callable[..., Any],
    *args: Any,
    lookup: Lookup | None = None,
) -> Any:
    """Call the store for the application.

    Args:
        state: The application's cache.
        operation: Its name in counters and messages.
        nothing: What the application gets if the store fails under ``CACHE_IGNORE_ERRORS``.
        call: The operation.
        args: Its arguments.
        lookup: The bracket around a read, which then ends as an error.
    """
    try:
        return call(*args)
    except Exception as error:
        return _failed(state, operation, nothing, error, args, lookup)


def _failed(
    state: AppState,
    operation: str,
    nothing: Any,
    error: Exception,
    args: tuple[Any, ...],
    lookup: Lookup | None,
) -> Any:
    """What the application gets of a call that raised; see :func:`attempt`."""
    tolerant = _tolerant.get()
    failed = isinstance(error, BackendError) or not isinstance(
        error, CacheError | TypeError | ValueError
    )
    if not failed and not tolerant:
        # A wrong argument, not a failing store: the caller's to see.
        raise error
    ignored = tolerant or state.config.ignore_errors
    state.failed(operation, error, handled=ignored, keys=_keys_of(args))
    if lookup is not None:
        lookup.outcome = "error"
        lookup.degraded = True
    if ignored:
        return nothing
    if isinstance(error, BackendError):
        raise error
    raise backend_error(operation, error) from error


def _keys_of(args: tuple[Any, ...]) -> list[str]:
    """The keys among the arguments of an operation: alone, one after another, or in a tuple."""
    flat: list[Any] = []
    for each in args:
        if is_tuple(each):
            flat.extend(each)
        else:
            flat.append(each)
    return [each for each in flat if isinstance(each, str)]


def _store(
    state: AppState,
    operation: str,
    write: Callable[[str, Entry], bool],
    key: str,
    value: Any,
    timeout: Timeout,
) -> bool:
    """Write a value of the application's own, counted."""
    if not state.keeps:
        # Any value will do for NullCache, also one that could not be stored.
        state.observe(state.observer.stored, _DIRECT, "refused", "null_cache")
        return True
    result, reason = "error", "backend"
    try:
        try:
            entry = state.new_entry(value, normalize_timeout(timeout))
        except SerializationError as error:
            reason = "serialization"
            state.failed(operation, error, handled=state.config.ignore_errors, keys=(key,))
            if state.config.ignore_errors:
                return False
            raise
        try:
            done = attempt(state, operation, None, write, key, entry)
        except RefusedEntry as error:
            result, reason = "refused", error.reason
            return False
        if done is not None:
            result, reason = ("stored", "") if done else ("refused", _REFUSED[operation])
        return bool(done)
    finally:
        state.observe(state.observer.stored, _DIRECT, result, reason)


_REFUSED = {"set": "backend", "add": "exists"}


def thawed(state: AppState, entry: Entry, key: str) -> Any | Miss:
    """The value of an entry under ``key``; what cannot be read is a miss, and counted."""
    try:
        return state.codec.thaw(entry)
    except UnreadableEntry as error:
        state.failed("get", error, handled=True, keys=(key,))
        return MISS


class _GetOrSet(ReadThrough):
    """One ``get_or_set``: a read-through whose key and function are given."""

    takes_bare = True

    def __init__(
        self, values: ValueOperations, key: str, default: Any, timeout: float | None
    ) -> None:
        function = default if callable(default) else lambda: default
        super().__init__(function, _DIRECT, cache_none=True)
        self._values = values
        self._key = key
        self._timeout = timeout
        self._computes = callable(default)

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Pending:
        state = self._values.state()
        if state.off():
            return self.bypass(state, "disabled")
        query = Query(self._key, None, args, kwargs)
        return self.look(state, query, Lookup(state.observer, self.target))

    def timeout(self) -> float | None:
        return self._timeout

    def loads(self) -> str:
        return super().loads() if self._computes else "get_or_set"


# Applications subclass ``Cache`` and override ``get`` and ``set``: to put a tenant before each
# key, to encrypt, to count. The decorators go through those methods then. The methods see keys
# and values, as ever; an entry's metadata travels beside them.


class _Capture:
    """What the base ``get`` found while an overriding one ran."""

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.value: Any = None
        self.key: str | None = None

    def read(self, state: AppState, key: str) -> Any:
        self.key = key
        self.entry = state.store.get_entry(key)
        self.value = None if self.entry is None else state.codec.thaw(self.entry)
        return self.value


class _Offer:
    """The entry that a decorator stores while an overriding ``set`` runs."""

    def __init__(self, entry: Entry, value: Any, seconds: float) -> None:
        self.entry = entry
        self.value = value
        self.seconds = seconds

    def around(self, state: AppState, value: Any, timeout: Timeout) -> Entry:
        """The entry, around the value and with the timeout that the overriding ``set`` chose."""
        entry = self.entry
        if timeout != self.seconds:
            expires_at = state.expiry(normalize_timeout(timeout))
            entry = entry.replaced(entry.form, entry.payload, expires_at)
        if value is self.value:
            return entry
        return entry.replaced(*state.codec.freeze(value), entry.expires_at)


#: Whether a failing store is to be a store without the key, as under ``CACHE_IGNORE_ERRORS``.
_tolerant: ContextVar[bool] = ContextVar("flask_caching_tolerant", default=False)


def delete_if_possible(values: ValueOperations, key: str) -> None:
    """``values.delete(key)``, whoever overrides it; a store that fails is only counted."""
    token = _tolerant.set(True)
    try:
        values.delete(key)
    finally:
        _tolerant.reset(token)


_capture: ContextVar[_Capture | None] = ContextVar("flask_caching_capture", default=None)
_pending: ContextVar[_Offer | None] = ContextVar("flask_caching_pending", default=None)


def overrides_values(cls: type[ValueOperations]) -> bool:
    """Whether a subclass of ``Cache`` has a ``get`` or ``set`` of its own."""
    return cls.get is not ValueOperations.get or cls.set is not ValueOperations.set


class OverriddenEntries:
    """The entry level through the ``get`` and ``set`` of a subclass of ``Cache``."""

    def __init__(self, values: ValueOperations, state: AppState) -> None:
        self._values = values
        self._codec = state.codec
        #: The key that this context asked for last, and what the methods made of it.
        self._asked: ContextVar[tuple[str, str]] = ContextVar("flask_caching_asked")

    def stored_key(self, key: str) -> str:
        """What the methods made of ``key`` when it was last looked for; else ``key``."""
        asked, stored = self._asked.get((key, key))
        return stored if asked == key else key

    def get_entry(self, key: str) -> Entry | None:
        capture = _Capture()
        token = _capture.set(capture)
        try:
            value = self._values.get(key)
        finally:
            _capture.reset(token)
        self._asked.set((key, key if capture.key is None else capture.key))
        entry = capture.entry
        if entry is not None and value is capture.value:
            return entry
        if value is None:
            return None
        form, payload = self._codec.freeze(value)
        if entry is not None:
            return entry.replaced(form, payload, entry.expires_at)
        if key.startswith("memo/"):
            # Without its versions it cannot be known to be current, so it is not a hit.
            warn_once(
                f"{type(self._values).__qualname__} keeps values itself instead of calling "
                "super().get() and super().set(), so memoized functions run every time"
            )
        return Entry(form, payload, created_at=time.time())

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        for key, entry in create.items():
            self.add_entry(key, entry)
        return [self.get_entry(key) for key in keys]

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        value = self._codec.thaw(entry)
        seconds = math.ceil(entry.expires_at - time.time()) if entry.expires_at else 0
        token = _pending.set(_Offer(entry, value, seconds))
        try:
            return self._values.set(key, value, timeout=seconds) is not False
        finally:
            _pending.reset(token)

    def add_entry(self, key: str, entry: Entry) -> bool:
        # Not ``add``, which the subclass may not have overridden alike.
        return self.get_entry(key) is None and self.set_entry(key, entry)
