"""dogpile.cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract import TIMEOUT, Adapter, Place
from dogpile.cache import make_region
from dogpile.cache.util import kwarg_function_key_generator, sha1_mangle_key
from worker import main

PACKAGES = ("dogpile.cache", "hiredis", "pymemcache", "redis")

#: The backend of a store and what it is told.
BACKENDS: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "memory": lambda at: ("dogpile.cache.memory", {}),
    "redis": lambda at: (
        "dogpile.cache.redis",
        {"url": f"redis://{at}", "redis_expiration_time": TIMEOUT},
    ),
    "memcached": lambda at: (
        "dogpile.cache.pymemcache",
        {"url": [at], "memcached_expire_time": TIMEOUT},
    ),
}


class Dogpile(Adapter):
    """A region; the key generator that takes keywords is its own."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        backend, arguments = BACKENDS[place.store](place.at)
        self.region = make_region(
            function_key_generator=kwarg_function_key_generator,
            # A key of memcached has no spaces; its manual says to hash them.
            key_mangler=sha1_mangle_key if place.store == "memcached" else None,
        )
        self.region.configure(backend, expiration_time=TIMEOUT, arguments=arguments)
        self.set = self.region.set
        self.get_many = self.region.get_multi

    def get(self, key: str) -> Any:
        # Its own words for a miss: NO_VALUE, which is false.
        return self.region.get(key) or None

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        cached: Callable[..., Any] = self.region.cache_on_arguments()(function)
        return cached


if __name__ == "__main__":
    main(Dogpile, PACKAGES)
