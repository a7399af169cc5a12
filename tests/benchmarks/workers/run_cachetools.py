"""cachetools, in memory, under the lock that threads need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cachetools import TTLCache, cached
from contract import TIMEOUT, Adapter, Place
from worker import main

PACKAGES = ("cachetools",)


class CacheTools(Adapter):
    """A cache with a time to live and a limit: the least recently used go."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.cache: TTLCache[str, Any] = TTLCache(place.capacity, ttl=TIMEOUT)
        self.lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self.lock:
            return self.cache.get(key)

    def set(self, key: str, value: Any) -> Any:
        with self.lock:
            self.cache[key] = value

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        own: TTLCache[Any, Any] = TTLCache(self.place.capacity, ttl=TIMEOUT)
        decorated: Callable[..., Any] = cached(own, lock=threading.Lock())(function)
        return decorated


if __name__ == "__main__":
    main(CacheTools, PACKAGES)
