"""The work that is timed, written against the interface that both libraries have.

Runs as a script inside one virtual environment, prints one JSON object: seconds for one
operation by workload, the best of several rounds, and the versions of what ran.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import timeit
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import flask

from flask_caching import Cache

ROUNDS = 20

#: Stores: hits in a round, and the sizes at which a full cache is written to.
STORES: dict[str, tuple[int, tuple[int, ...]]] = {
    "memory": (2000, (500, 50_000)),
    "files": (500, (500, 5_000)),
    "redis": (400, ()),
    "memcached": (400, ()),
}

PACKAGES = (
    "Flask-Caching",
    "Flask",
    "Werkzeug",
    "cachelib",
    "hiredis",
    "prometheus_client",
    "pylibmc",
    "pymemcache",
    "redis",
)


def store_config(store: str, at: str) -> dict[str, Any]:
    """What both libraries are told of a store: ``at`` is its directory, or its host and port."""
    if store == "files":
        return {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": at}
    if store == "redis":
        return {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": f"redis://{at}/0"}
    if store == "memcached":
        return {"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [at]}
    return {"CACHE_TYPE": "SimpleCache"}


def make_cache(**config: Any) -> tuple[flask.Flask, Any]:
    """An application with a cache."""
    app = flask.Flask("benchmark")
    app.config.update(CACHE_DEFAULT_TIMEOUT=3600, **config)
    return app, Cache(app)


def seconds_of(work: Callable[[], Any], number: int) -> float:
    """Seconds for one call of ``work``, the best of several rounds."""
    work()
    return min(timeit.repeat(work, number=number, repeat=ROUNDS)) / number


def hits(config: dict[str, Any], number: int) -> dict[str, float]:
    """Hits in the decorators and in ``get``, ``number`` of each in a round."""
    app, cache = make_cache(**config)

    @app.route("/page")
    @cache.cached()
    def page() -> str:
        return "a page" * 20

    @app.route("/search")
    @cache.cached(query_string=True)
    def search() -> str:
        return "a page" * 20

    @cache.memoize()
    def total(count: int, name: str = "x", *, exact: bool = False) -> str:
        return f"{count} {name} {exact}" * 10

    measured: dict[str, float] = {}
    with app.test_request_context("/page"):
        measured["cached view hit"] = seconds_of(page, number)
        measured["memoize hit"] = seconds_of(lambda: total(7, "seven", exact=True), number // 2)
        cache.set("key", "value")
        measured["get hit"] = seconds_of(lambda: cache.get("key"), number)
    with app.test_request_context("/search?page=2&order=name"):
        measured["query string hit"] = seconds_of(search, number // 2)
    return measured


def full_writes(config: dict[str, Any], sizes: tuple[int, ...]) -> dict[str, float]:
    """Writes of new keys into a cache that is full, for several sizes."""
    measured: dict[str, float] = {}
    for size in sizes:
        app, cache = make_cache(CACHE_THRESHOLD=size, **config)
        with app.app_context():
            for number in range(size):
                cache.set(f"filler {number}", "value")
            fresh = iter(range(10**9))
            # Few, where the released library takes milliseconds for each.
            number = 500 if size <= 500 and config["CACHE_TYPE"] == "SimpleCache" else 10
            measured[f"write into a full cache of {size}"] = seconds_of(
                lambda cache=cache, fresh=fresh: cache.set(f"new {next(fresh)}", "value"), number
            )
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", action="store_true", help="without instrumentation")
    parser.add_argument("--store", default="memory", choices=STORES)
    parser.add_argument("--at", default="", help="its directory, or its host and port")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    config = store_config(arguments.store, arguments.at)
    # Its own keys: what another variant left on the server is not what is measured.
    config["CACHE_KEY_PREFIX"] = f"{zlib.crc32(sys.executable.encode())}-{arguments.bare}:"
    if arguments.bare:
        config["CACHE_INSTRUMENTATION"] = None
    number, sizes = STORES[arguments.store]
    measured = {**hits(config, number), **full_writes(config, sizes)}
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    print(json.dumps({"seconds": measured, "versions": versions}))


if __name__ == "__main__":
    main()
