"""``CACHE_METRICS_SHARED_KEYS``: distinct keys of all machines, through the cache's own Redis."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from servers import RedisServer

from flask_caching import Cache
from flask_caching.observer import faults
from flask_caching_instrumentation.metrics import collector
from flask_caching_instrumentation.ticker import Ticker

#: Those of the test that runs.
machines: list[Machine] = []


class Machine:
    """An application that shares nothing with another one but the server."""

    def __init__(self, server: RedisServer, prefix: str, **config: Any) -> None:
        self.app = Flask("machine")
        self.registry = CollectorRegistry()
        self.app.config.update(
            CACHE_TYPE="RedisCache",
            CACHE_REDIS_URL=server.url,
            CACHE_KEY_PREFIX=prefix,
            CACHE_METRICS_SHARED_KEYS=True,
            CACHE_METRICS_REGISTRY=self.registry,
            **config,
        )
        self.cache = Cache(self.app)
        machines.append(self)

    def stop(self) -> None:
        """Leave the server, and let go of its connections."""
        with self.app.app_context():
            # In old versions of the client ``close`` leaves the connections of its pool.
            self.cache.cache._write_client.connection_pool.disconnect()

    def look_up(self, first: int, last: int) -> None:
        with self.app.app_context():
            self.cache.get_many(*[f"key-{number}" for number in range(first, last)])

    def distinct(self) -> float:
        labels = {"cache": "cache", "backend": "redis", "source": "direct", "target": "direct"}
        name = "flask_caching_distinct_keys"
        value = self.registry.get_sample_value(name, {**labels, "window": "5m"})
        assert value is not None
        return value


@pytest.fixture(autouse=True)
def courier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticker]:
    """What talks to servers, without a thread: it must not do so while a test ends."""
    alone = Ticker(1.0, at_exit=False)
    alone.awake = True
    monkeypatch.setattr(collector, "courier", alone)
    yield alone
    for machine in machines:
        machine.stop()
    machines.clear()
    gc.collect()


def exchange(courier: Ticker, clock: Any, times: int = 2) -> None:
    """What the thread does every few seconds."""
    for _ in range(times):
        courier.tick()
        clock.advance(21)


def test_two_machines_count_their_keys_together(
    own_redis: RedisServer, courier: Ticker, clock: Any
) -> None:
    """Each shows the union, a little later; a scrape asks nobody."""
    one, other = Machine(own_redis, "shared/"), Machine(own_redis, "shared/")
    one.look_up(0, 300)
    other.look_up(200, 500)
    assert (one.distinct(), other.distinct()) == (
        pytest.approx(300, rel=0.03),
        pytest.approx(300, rel=0.03),
    )
    assert own_redis.info("commandstats").keys() & {"cmdstat_pfcount", "cmdstat_pfadd"} == set()
    exchange(courier, clock)
    for machine in (one, other):
        assert machine.distinct() == pytest.approx(500, rel=0.03)


def test_without_the_server_each_shows_its_own(
    own_redis: RedisServer, courier: Ticker, clock: Any
) -> None:
    """And the union again when it is back; nothing is raised, and one fault is counted."""
    one, other = Machine(own_redis, "dead/"), Machine(own_redis, "dead/")
    one.look_up(0, 100)
    other.look_up(50, 150)
    for machine in (one, other):
        assert machine.distinct() == pytest.approx(100, rel=0.03)
    own_redis.kill()
    exchange(courier, clock)
    assert one.distinct() == pytest.approx(100, rel=0.03)
    assert faults
    assert all(name.startswith("distinct_keys.exchange: ") for name in faults)
    faults.clear()
    own_redis.restart()
    clock.advance(60)
    for machine in (one, other):
        machine.look_up(0, 100)
    exchange(courier, clock, 4)
    faults.clear()  # Of the breaker, perhaps, which was still open.
    assert one.distinct() == pytest.approx(150, rel=0.05)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"CACHE_TYPE": "SimpleCache"}, "SimpleCache cannot count them: it takes Redis"),
        ({"CACHE_KEY_PREFIX": lambda: "tenant/"}, "CACHE_KEY_PREFIX is a function"),
    ],
)
def test_where_it_cannot_be_it_says_so(
    redis_server: RedisServer, config: dict[str, Any], why: str
) -> None:
    """A warning when the cache is set up; each machine counts on its own then."""
    app = Flask("machine")
    app.config.update(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=redis_server.url,
        CACHE_METRICS_SHARED_KEYS=True,
        CACHE_METRICS_REGISTRY=CollectorRegistry(),
    )
    app.config.update(config)
    with pytest.warns(UserWarning, match=why):
        Cache(app)
