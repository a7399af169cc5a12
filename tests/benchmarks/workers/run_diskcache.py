"""diskcache, in files: an SQLite database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from contract import TIMEOUT, Adapter, Place
from diskcache import Cache
from worker import main

PACKAGES = ("diskcache",)


class DiskCache(Adapter):
    """One cache in one folder."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.cache = Cache(place.at)
        self.get = self.cache.get
        self.set = partial(self.cache.set, expire=TIMEOUT)

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        cached: Callable[..., Any] = self.cache.memoize(expire=TIMEOUT)(function)
        return cached

    def fill(self, number: int) -> None:
        super().fill(number)
        # It counts bytes, not entries: what it has now is all that it may have.
        self.cache.reset("size_limit", self.cache.volume())


if __name__ == "__main__":
    main(DiskCache, PACKAGES)
