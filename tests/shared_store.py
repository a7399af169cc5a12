"""A store in memory that several applications share, as if each were a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask

from flask_caching import Cache
from flask_caching.backends.base import NOTHING, SupportsLocks
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.entry import Entry


class SharedStore(SimpleCache, SupportsLocks):
    """Shared memory that counts its round trips.

    Attributes:
        trips: What was asked for, a tuple of keys for each call.
        broken: Raised by each call, if set.
    """

    shared = True

    def __init__(self) -> None:
        super().__init__(threshold=0)
        self.trips: list[tuple[str, ...]] = []
        self.broken: Exception | None = None

    def get_entry(self, key: str) -> Entry | None:
        self._asked(key)
        return super().get_entry(key)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        self._asked(*keys)
        with self.lock:
            for key, entry in create.items():
                if SimpleCache.get_entry(self, key) is None:
                    SimpleCache.set_entry(self, key, entry)
            return [SimpleCache.get_entry(self, key) for key in keys]

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        self._asked(key)
        return super().set_entry(key, entry)

    def release_lock(self, key: str, token: str) -> bool:
        with self.lock:
            entry = SimpleCache.get_entry(self, key)
            return entry is not None and entry.payload == token and self.delete(key)

    def _asked(self, *keys: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.trips.append(keys)


def cache_on(store: SharedStore, **config: Any) -> tuple[Flask, Cache]:
    """Another application with a cache of its own on ``store``."""
    app = Flask("worker")

    def factory(*_: Any) -> SharedStore:
        return store

    settings = {"CACHE_TYPE": factory, "CACHE_INSTRUMENTATION": None, **config}
    return app, Cache(app, config=settings)
