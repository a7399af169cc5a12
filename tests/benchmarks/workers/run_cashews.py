"""cashews: coroutines, measured inside a running loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cashews import Cache
from contract import TIMEOUT, Adapter, Place
from worker import main

PACKAGES = ("cashews", "diskcache", "hiredis", "redis")

URLS = {"memory": "mem://", "files": "disk://", "redis": "redis://{at}"}


class Cashews(Adapter):
    """One cache; its methods are coroutine functions."""

    coroutines = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.cache = Cache()
        options: dict[str, Any] = {}
        if place.store == "memory":
            options = {"size": place.capacity}
        elif place.store == "files":
            options = {"directory": place.at, "shards": 0}
        self.driver.value(self._set_up(URLS[place.store].format(at=place.at), options))
        self.get = self.cache.get
        self.set = partial(self.cache.set, expire=TIMEOUT)

    async def _set_up(self, url: str, options: dict[str, Any]) -> None:
        await self.cache.setup(url, **options).init()

    def get_many(self, keys: list[str]) -> Any:
        return self.cache.get_many(*keys)

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        cached: Callable[..., Any] = self.cache(ttl=TIMEOUT)(function)
        return cached


if __name__ == "__main__":
    main(Cashews, PACKAGES)
