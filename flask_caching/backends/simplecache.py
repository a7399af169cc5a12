"""SimpleCache: entries in the memory of one process."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

from flask import Flask

from ..entry import Entry, Form, StoredResponse
from .base import (
    NOTHING,
    EntryBackend,
    KeyInfo,
    KeyPage,
    SupportsKeys,
    SupportsPeek,
    SupportsSize,
    SupportsTouch,
    SupportsTTL,
    wall_clock,
)

__all__ = ["SimpleCache", "payload_size"]

#: Slots that one call of ``keys`` looks at, at most: what bounds the time it holds the lock.
_SCAN = 10_000


class SimpleCache(
    EntryBackend, SupportsTTL, SupportsTouch, SupportsKeys, SupportsPeek, SupportsSize
):
    """Entries in the memory of one process, the least recently used leaving first.

    Every operation is safe between threads and costs the same however much is held: a full
    cache makes room by dropping from one end, and nothing is ever scanned. An expired entry goes
    when it is met. What is read is a fresh value each time (see
    :meth:`flask_caching.serializers.Codec.thaw`). Several processes do not see one another's
    entries; a forked child goes on with a copy.

    Args:
        threshold: Entries at most; ``0`` for no limit.
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        ignore_delete_many_errors: Taken for uniformity; deleting cannot fail here.
        ignore_errors: The old name of ``ignore_delete_many_errors``; warns.
        clock: Gives the Unix time, for tests; ``time.time``, looked up at each call, by default.

    Raises:
        ValueError: If ``threshold`` is negative.
    """

    def __init__(
        self,
        threshold: int = 500,
        default_timeout: float = 300,
        ignore_delete_many_errors: bool = False,
        ignore_errors: bool | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if ignore_errors is not None:
            warnings.warn(
                "SimpleCache(ignore_errors=...) is called ignore_delete_many_errors now.",
                DeprecationWarning,
                stacklevel=2,
            )
            ignore_delete_many_errors = ignore_errors
        if threshold < 0:
            raise ValueError(f"threshold is {threshold}; it is a number of entries, 0 for no limit")
        super().__init__(default_timeout, ignore_delete_many_errors, clock)
        self.threshold = threshold
        self.evictions = {"expired": 0, "lru": 0}
        # Applications list the keys of the released library's attribute of this name.
        self._cache: OrderedDict[str, Entry] = OrderedDict()
        # A key keeps its slot for as long as it is held: where ``keys`` goes on is a number.
        self._slots: list[str | None] = []
        self._slot_of: dict[str, int] = {}
        self._free: list[int] = []
        # Reentrant: the garbage collector may run a finalizer that uses the cache, in here.
        self.lock = threading.RLock()
        _instances[id(self)] = weakref.ref(self, _forget(id(self)))

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application: ``CACHE_THRESHOLD``, unless the options have one."""
        options = dict(kwargs)
        if not args and config.get("CACHE_THRESHOLD") is not None:
            options.setdefault("threshold", config["CACHE_THRESHOLD"])
        return cls(*args, **options)

    # The entry level.

    # Reading takes no lock, which would cost more than all the rest: each line that touches the
    # store is one operation of a C type, and what other threads do in between is allowed for.

    def get_entry(self, key: str) -> Entry | None:
        try:
            entry = self._cache[key]
            if entry.expires_at:
                clock = self._clock
                now = time.time() if clock is wall_clock else clock()
                if entry.expires_at <= now:
                    self._discard(key, entry)
                    return None
            self._cache.move_to_end(key)
            return entry
        except KeyError:
            # Not there, or removed since the first line; a miss as good as any.
            return None

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        if create:
            for key, entry in create.items():
                self.add_entry(key, entry)
        return list(map(self.get_entry, keys))

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        with self.lock:
            for other in touch:
                self._keep_until(other, entry.expires_at)
            self._put(key, entry)
            return True

    def add_entry(self, key: str, entry: Entry) -> bool:
        with self.lock:
            if self.get_entry(key) is not None:
                return False
            self._put(key, entry)
            return True

    # What the value level does better under the lock.

    def delete(self, key: str) -> bool:
        with self.lock:
            entry = self._cache.get(key)
            if entry is None:
                return False
            self._remove(key)
            return not self._expired(entry)

    def delete_many(self, *keys: str) -> list[Any]:
        with self.lock:
            for key in keys:
                self.delete(key)
        return list(keys)

    def clear(self) -> bool:
        with self.lock:
            self._cache.clear()
            self._slots.clear()
            self._slot_of.clear()
            self._free.clear()
            return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add ``delta`` to an integer, atomically; its expiry stays.

        Args:
            key: Where. A key that is not there counts as 0, with the default timeout.
            delta: A whole number.

        Returns:
            The new value.

        Raises:
            TypeError: If the key holds something else than an integer, or ``delta`` is none.
        """
        if type(delta) is not int:
            raise TypeError(f"delta is a whole number, not {type(delta).__qualname__}")
        with self.lock:
            entry = self.get_entry(key)
            if entry is None:
                self._put(key, self.new_entry(delta, None))
                return delta
            if entry.form is not Form.PLAIN or type(entry.payload) is not int:
                raise TypeError(
                    f"the key {key!r} holds something else than an integer, so it cannot be "
                    "counted up or down; set it to an integer first, or count under another key"
                )
            value = entry.payload + delta
            self._put(key, entry.replaced(Form.PLAIN, value, entry.expires_at))
            return value

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract ``delta`` from an integer; all else as in :meth:`inc`."""
        return self.inc(key, -delta)

    # What this store can do beyond the protocol.

    def ttl(self, key: str) -> float | None:
        entry = self._cache.get(key)
        if entry is None or self._expired(entry):
            return None
        return entry.expires_at - self._clock() if entry.expires_at else 0.0

    def peek(self, key: str) -> Entry | None:
        entry = self._cache.get(key)
        return None if entry is None or self._expired(entry) else entry

    def touch(self, key: str, timeout: float | None = None) -> bool:
        with self.lock:
            entry = self.get_entry(key)
            if entry is None:
                return False
            self._put(key, entry.replaced(entry.form, entry.payload, self.expiry(timeout)))
            return True

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        """A page of the live keys that contain ``match``, without touching their age.

        The order is arbitrary. Keys may come and go between two pages: one that was there
        throughout is listed exactly once, one that was not may be listed or missed. A page can
        be short, or empty, before the end, since one call looks at a bounded number of keys.

        Args:
            cursor: Where the page before ended; empty for the first.
            limit: Keys at most.
            match: Text that a key must contain, taken literally.

        Returns:
            The page. Sizes are those of the payloads and approximate.

        Raises:
            ValueError: If the cursor is not one that this method returned.
        """
        if cursor and not cursor.isdecimal():
            raise ValueError(f"{cursor!r} is not a cursor of SimpleCache.keys")
        found: list[KeyInfo] = []
        with self.lock:
            slot = int(cursor or 0)
            end = min(len(self._slots), slot + _SCAN)
            while slot < end and len(found) < limit:
                key = self._slots[slot]
                slot += 1
                if key is not None and match in key:
                    entry = self._cache.get(key)
                    if entry is not None and not self._expired(entry):
                        found.append(KeyInfo(key, entry.expires_at, payload_size(entry.payload)))
            return KeyPage(found, str(slot) if slot < len(self._slots) else "")

    def size(self) -> int:
        return len(self._cache)

    def _discard(self, key: str, entry: Entry) -> None:
        """Remove an expired entry, unless the key holds another one by now."""
        with self.lock:
            if self._cache.get(key) is entry:
                self._remove(key)

    def _expired(self, entry: Entry) -> bool:
        return entry.expires_at != 0.0 and entry.expires_at <= self._clock()

    # Inside the lock.

    def _put(self, key: str, entry: Entry) -> None:
        if self._expired(entry):
            if key in self._cache:
                self._remove(key)
            return
        if key not in self._slot_of:
            # Room first: readers, who take no lock, never see more than the threshold.
            while self.threshold and len(self._cache) >= self.threshold:
                self._evict()
            self._take_slot(key)
        self._cache[key] = entry
        self._cache.move_to_end(key)

    def _take_slot(self, key: str) -> None:
        if self._free:
            slot = self._free.pop()
            self._slots[slot] = key
        else:
            slot = len(self._slots)
            self._slots.append(key)
        self._slot_of[key] = slot

    def _remove(self, key: str) -> None:
        del self._cache[key]
        self._free_slot(key)

    def _free_slot(self, key: str) -> None:
        slot = self._slot_of.pop(key)
        self._slots[slot] = None
        self._free.append(slot)

    def _evict(self) -> None:
        # One operation, since readers reorder the store meanwhile.
        key, entry = self._cache.popitem(last=False)
        self.evictions["expired" if self._expired(entry) else "lru"] += 1
        self._free_slot(key)

    def _keep_until(self, key: str, expires_at: float) -> None:
        """Let ``key`` live at least until then; 0.0 is later than any time."""
        entry = self.get_entry(key)
        if entry is None or not entry.expires_at:
            return
        if not expires_at or expires_at > entry.expires_at:
            self._put(key, entry.replaced(entry.form, entry.payload, expires_at))


def payload_size(payload: object) -> int:
    """About how many bytes a payload is."""
    if isinstance(payload, (bytes, str)):
        return len(payload)
    if isinstance(payload, StoredResponse):
        headers = sum(len(name) + len(value) for name, value in payload.headers)
        return len(payload.status) + headers + len(payload.body)
    if isinstance(payload, (tuple, frozenset)):
        return sum(map(payload_size, cast("tuple[object, ...]", payload)))
    return sys.getsizeof(payload)


# A fork copies the memory of a process but only one of its threads. A lock that another thread
# held at that moment would stay locked in the child for ever, around a store that was being
# changed; so the forking thread takes the locks first, and the child gets new ones.

_instances: dict[int, weakref.ref[SimpleCache]] = {}


class _Held(threading.local):
    """The locks that the forking thread took."""

    def __init__(self) -> None:
        self.locks: list[threading.RLock] = []


_held = _Held()


def _forget(identity: int) -> Callable[[object], None]:
    def forget(_: object) -> None:
        _instances.pop(identity, None)

    return forget


def _living() -> list[SimpleCache]:
    return [cache for ref in list(_instances.values()) if (cache := ref()) is not None]


def _before_fork() -> None:
    for cache in _living():
        # Bounded: forking without it is better than not forking.
        if cache.lock.acquire(timeout=1.0):
            _held.locks.append(cache.lock)


def _after_fork_in_parent() -> None:
    while _held.locks:
        _held.locks.pop().release()


def _after_fork_in_child() -> None:
    _held.locks.clear()
    for cache in _living():
        cache.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
