"""The work that is timed, written against the interface that both libraries have.

Runs as a script inside one virtual environment, prints one JSON object: seconds for one
operation by workload, the best of several rounds, and the versions of what ran.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import timeit
import warnings
from collections.abc import Callable
from typing import Any

import flask

from flask_caching import Cache

ROUNDS = 20


def make_cache(**config: Any) -> tuple[flask.Flask, Any]:
    """An application with a cache in memory."""
    app = flask.Flask("benchmark")
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_DEFAULT_TIMEOUT=3600, **config)
    return app, Cache(app)


def seconds_of(work: Callable[[], Any], number: int) -> float:
    """Seconds for one call of ``work``, the best of several rounds."""
    work()
    return min(timeit.repeat(work, number=number, repeat=ROUNDS)) / number


def hits(config: dict[str, Any]) -> dict[str, float]:
    """Hits in the decorators and in ``get``."""
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
        measured["cached view hit"] = seconds_of(page, 2000)
        measured["memoize hit"] = seconds_of(lambda: total(7, "seven", exact=True), 1000)
        cache.set("key", "value")
        measured["get hit"] = seconds_of(lambda: cache.get("key"), 2000)
    with app.test_request_context("/search?page=2&order=name"):
        measured["query string hit"] = seconds_of(search, 1000)
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
            number = 500 if size <= 500 else 10
            measured[f"write into a full cache of {size}"] = seconds_of(
                lambda cache=cache, fresh=fresh: cache.set(f"new {next(fresh)}", "value"), number
            )
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", action="store_true", help="without instrumentation")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    config: dict[str, Any] = {"CACHE_INSTRUMENTATION": None} if arguments.bare else {}
    measured = {**hits(config), **full_writes(config, (500, 50_000))}
    packages = ("Flask-Caching", "Flask", "Werkzeug", "cachelib", "prometheus_client")
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    print(json.dumps({"seconds": measured, "versions": versions}))


if __name__ == "__main__":
    main()
