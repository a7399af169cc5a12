"""Flask-Caching: this one, with telemetry and without, and the released one.

Written against the interface that both have; which is measured is the environment's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import flask
from contract import SECRET_KEY, TIMEOUT, Adapter, Place, View
from plan import Plan
from worker import main

from flask_caching import Cache

PACKAGES = ("Flask-Caching", "Flask", "Werkzeug", "blinker", "cachelib", "hiredis", "redis")
PACKAGES += ("prometheus_client", "opentelemetry-api", "opentelemetry-sdk", "pylibmc", "pymemcache")

#: What both libraries are told of a store, of ``at``: a directory, or host and port.
CONFIGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "memory": lambda at: {"CACHE_TYPE": "SimpleCache"},
    "files": lambda at: {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": at},
    "redis": lambda at: {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": f"redis://{at}"},
    "memcached": lambda at: {"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [at]},
}


def config_of(place: Place) -> dict[str, Any]:
    """The application's configuration."""
    config = {
        "SECRET_KEY": SECRET_KEY,
        "CACHE_DEFAULT_TIMEOUT": TIMEOUT,
        "CACHE_THRESHOLD": place.capacity,
        **CONFIGS[place.store](place.at),
    }
    if place.options.get("CACHE_INSTRUMENTATION") == "off":
        config["CACHE_INSTRUMENTATION"] = None
    return config


class FlaskCaching(Adapter):
    """Either library."""

    def __init__(self, place: Place, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(place)
        self.app = flask.Flask("benchmark")
        self.app.config.update(config_of(place), **(config or {}))
        self.cache = Cache(self.app)
        # The methods themselves: no frame of this adapter is measured.
        self.get = self.cache.get
        self.set = self.cache.set

    def around(self) -> AbstractContextManager[Any]:
        return self.app.test_request_context("/values")

    def get_many(self, keys: list[str]) -> Any:
        return self.cache.get_many(*keys)

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.cache.memoize()(function)

    def view(self, rule: str, function: Callable[..., str | bytes], query: str = "") -> View:
        cached = self.cache.cached(query_string=bool(query))(function)
        self.app.add_url_rule(rule, endpoint=rule, view_func=cached)
        url = f"{rule}?{query}" if query else rule
        return View(self.app.wsgi_app, cached, partial(self.app.test_request_context, url))

    def text(self, result: Any) -> bytes:
        body: bytes = self.app.make_response(result).get_data()
        return body

    def fill(self, number: int) -> None:
        with self.around():
            super().fill(number)


def scrape(plan: Plan) -> dict[str, float]:
    """How long a scrape takes: of this library only."""
    import scraping  # imports what the released library's environment lacks

    return scraping.scrape(plan)


if __name__ == "__main__":
    main(FlaskCaching, PACKAGES, {"scrape": scrape})
