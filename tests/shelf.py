"""Shelf: a backend that does all there is, over a dictionary, to try the conformance suite on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flask_caching.backends.base import (
    NOTHING,
    RESERVED,
    KeyInfo,
    KeyPage,
    SupportsKeys,
    SupportsLocks,
    SupportsPeek,
    SupportsSize,
    SupportsTouch,
    SupportsTTL,
)
from flask_caching.backends.wire import WireBackend
from flask_caching.entry import Entry
from flask_caching.errors import ConfigurationError, RefusedEntry, UnreadableEntry

__all__ = ["Shelf", "Store"]


class Store:
    """What would be a server: names, their bytes, and when they expire.

    Attributes:
        items: By name, in the order of their last use: bytes, and Unix time of expiry (0: never).
        now: Unix time, seconds, which stands still.
    """

    def __init__(self) -> None:
        self.items: dict[str, tuple[bytes, float]] = {}
        self.lock = threading.RLock()
        self.now = time.time()

    def clock(self) -> float:
        return self.now


class Shelf(
    WireBackend,
    SupportsTTL,
    SupportsTouch,
    SupportsKeys,
    SupportsPeek,
    SupportsLocks,
    SupportsSize,
):
    """Entries in a :class:`Store`, which several shelves may share.

    Args:
        store: Where.
        key_prefix: What comes before each key, or a function that returns it.
        threshold: Entries at most; 0 for no limit.
    """

    largest = 200_000

    def __init__(
        self,
        store: Store,
        key_prefix: str | Callable[[], str] = "shelf/",
        threshold: int = 0,
    ) -> None:
        super().__init__(300, clock=store.clock)
        self.store = store
        self.key_prefix = key_prefix
        self.threshold = threshold
        self.evictions = {"lru": 0}

    # The entry level.

    def get_entry(self, key: str) -> Entry | None:
        data = self._read(self._name(key))
        return None if data is None else self._unpack(key, data)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        for key, entry in create.items():
            self.add_entry(key, entry)
        return [self._unpack_or_miss(key, self._read(self._name(key))) for key in keys]

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        for other in touch:
            self._keep_until(other, entry.expires_at)
        self._write(self._name(key), self._pack(key, entry), entry.expires_at)
        return True

    def add_entry(self, key: str, entry: Entry) -> bool:
        with self.store.lock:
            if self._read(self._name(key)) is not None:
                return False
            self._write(self._name(key), self._pack(key, entry), entry.expires_at)
            return True

    # The value level.

    def has(self, key: str) -> bool:
        return self._read(self._name(key)) is not None

    def delete(self, key: str) -> bool:
        with self.store.lock:
            there = self._read(self._name(key)) is not None
            self.store.items.pop(self._name(key), None)
            return there

    def delete_many(self, *keys: str) -> list[Any]:
        for key in keys:
            self.delete(key)
        return list(keys)

    def clear(self) -> bool:
        prefix = self._name("")
        if not prefix:
            raise ConfigurationError("the prefix is empty: set CACHE_ALLOW_FLUSH to clear all")
        with self.store.lock:
            for name in self._own():
                if not name.startswith(prefix + RESERVED):
                    del self.store.items[name]
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        if type(delta) is not int:
            raise TypeError(f"a step is a whole number, not {type(delta).__name__}")
        with self.store.lock:
            try:
                entry = self.get_entry(key)
            except UnreadableEntry as error:
                raise TypeError(f"{key!r} holds something else than a number") from error
            if entry is None:
                self.set(key, delta)
                return delta
            number = entry.payload
            if type(number) is not int:
                raise TypeError(f"{key!r} holds {number!r}; count under another key")
            value = number + delta
            if not -(2**63) <= value < 2**63:
                raise OverflowError(f"{key!r} would have more than 64 bits")
            self._write(self._name(key), b"%d" % value, self._expires_at(key))
            return value

    def dec(self, key: str, delta: int = 1) -> int:
        return self.inc(key, -delta if type(delta) is int else delta)

    # The capabilities.

    def ttl(self, key: str) -> float | None:
        if not self.has(key):
            return None
        expires_at = self._expires_at(key)
        return expires_at - self._clock() if expires_at else 0.0

    def touch(self, key: str, timeout: float | None = None) -> bool:
        with self.store.lock:
            data = self._read(self._name(key))
            if data is None:
                return False
            self._write(self._name(key), data, self.expiry(timeout))
            return True

    def peek(self, key: str) -> Entry | None:
        return self.get_entry(key)

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        if cursor and not cursor.startswith("after "):
            raise ValueError(f"{cursor!r} is no cursor")
        after = cursor.removeprefix("after ")
        infos = sorted(info for info in self._infos(match) if not cursor or info.key > after)
        page, rest = infos[:limit], infos[limit:]
        return KeyPage(page, f"after {page[-1].key}" if rest else "")

    def release_lock(self, key: str, token: str) -> bool:
        with self.store.lock:
            return self.get(key) == token and self.delete(key)

    def size(self) -> int:
        return len(self._own())

    # The store.

    def _name(self, key: str) -> str:
        prefix = self.key_prefix() if callable(self.key_prefix) else self.key_prefix
        return prefix + key

    def _read(self, name: str) -> bytes | None:
        data, expires_at = self.store.items.get(name, (None, 0.0))
        return None if expires_at and expires_at <= self._clock() else data

    def _write(self, name: str, data: bytes, expires_at: float) -> None:
        if len(data) > self.largest:
            raise RefusedEntry(f"{len(data)} bytes are too many", "too_large")
        with self.store.lock:
            self.store.items.pop(name, None)
            if expires_at and expires_at <= self._clock():
                return
            while self.threshold and len(self.store.items) >= self.threshold:
                del self.store.items[next(iter(self.store.items))]
                self.evictions["lru"] += 1
            self.store.items[name] = (data, expires_at)

    def _expires_at(self, key: str) -> float:
        return self.store.items[self._name(key)][1]

    def _keep_until(self, key: str, expires_at: float) -> None:
        data, before = self.store.items.get(self._name(key), (None, 0.0))
        if data is not None and before and (not expires_at or expires_at > before):
            self._write(self._name(key), data, expires_at)

    def _own(self) -> list[str]:
        return [name for name in list(self.store.items) if name.startswith(self._name(""))]

    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for name in self._own():
            key = name.removeprefix(self._name(""))
            data, expires_at = self.store.items[name]
            live = self._read(name) is not None and not key.startswith(RESERVED)
            if live and match in key:
                yield KeyInfo(key, expires_at, len(data))
