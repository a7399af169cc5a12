"""breaker_state: how many of a worker's circuit breakers are not closed."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest

from flask_caching import BackendError, Cache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.breaker import Breaker
from flask_caching.entry import Entry


class Gone(ConnectionError):
    """The server is."""


class Ticker:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class OnServers(SimpleCache):
    """A store behind two servers, of which the first can be stopped.

    Attributes:
        down: Whether it is.
    """

    down = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ticker = Ticker()
        self.breakers = (
            Breaker((Gone,), "one:1", clock=self.ticker),
            Breaker((Gone,), "two:2", clock=self.ticker),
        )

    def get_entry(self, key: str) -> Entry | None:
        entry: Entry | None = self.breakers[0].call(self._ask, key)
        return entry

    def _ask(self, key: str) -> Entry | None:
        if self.down:
            raise Gone("one:1 is gone")
        return super().get_entry(key)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def cache(app: Flask, registry: CollectorRegistry) -> Cache:
    return Cache(app, config={"CACHE_TYPE": OnServers, "CACHE_METRICS_REGISTRY": registry})


def states(registry: CollectorRegistry) -> dict[str, float]:
    """The series by their ``state``."""
    found = {}
    for line in generate_latest(registry).decode().splitlines():
        if line.startswith("flask_caching_breaker_state{"):
            labels, _, value = line.rpartition(" ")
            found[labels.partition('state="')[2].partition('"')[0]] = float(value)
    return found


def test_it_follows_the_breaker(cache: Cache, registry: CollectorRegistry) -> None:
    """Zero from the start, one while it is open, half open during a probe, and zero again."""
    backend = cache.cache
    assert states(registry) == {"open": 0, "half_open": 0}
    backend.wrapped.down = True
    for _ in range(5):
        with pytest.raises(BackendError):
            cache.get("key")
    assert states(registry) == {"open": 1, "half_open": 0}
    assert cache.stats()["breakers"] == {"open": 1, "half_open": 0}
    backend.ticker.now += 1.5
    with pytest.raises(BackendError):
        cache.get("key")
    assert states(registry) == {"open": 1, "half_open": 0}
    backend.wrapped.down = False
    backend.ticker.now += 2.5
    assert cache.get("key") is None
    assert states(registry) == {"open": 0, "half_open": 0}


def test_the_calls_it_refuses_are_failures_of_the_same_kind(cache: Cache) -> None:
    """Whoever counts lost connections sees all of them, those that were spared included."""
    cache.cache.wrapped.down = True
    for _ in range(7):
        with pytest.raises(Gone):
            cache.get("key")
    stats = cache.stats()
    assert stats["errors"]["get"]["connection"] == {"handled": 0, "raised": 7}
    assert stats["lookups"]["error"] == 7


def test_opening_and_closing_are_logged_once_each(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each probe, and not each call."""
    backend = cache.cache
    backend.wrapped.down = True
    for _ in range(10):
        with pytest.raises(BackendError):
            cache.get("key")
    backend.ticker.now += 1.5
    with pytest.raises(BackendError):
        cache.get("key")
    backend.wrapped.down = False
    backend.ticker.now += 2.5
    cache.get("key")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "cache 'cache': its server failed 3 times in a row and is left alone for now; decorated "
        "functions run without it",
        "cache 'cache': its server answers again",
    ]


def test_a_store_without_servers_has_no_such_series(registry: CollectorRegistry) -> None:
    """What a backend does not have is absent, never a false 0."""
    cache = Cache(
        Flask("other"), config={"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry}
    )
    assert states(registry) == {}
    assert "breakers" not in cache.stats()
