"""A cache at a glance: what was counted, what its store says, and how long calls take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from servers import MemcachedServer, RedisServer

from flask_caching import Cache
from flask_caching.errors import CacheError
from flask_caching_instrumentation.inspection.inspector import Inspector, caches_of
from flask_caching_instrumentation.inspection.model import CacheOverview, plain
from flask_caching_instrumentation.inspection.percentiles import latencies_of, percentile
from flask_caching_instrumentation.timeline import start_timeline

MakeApp = Callable[..., tuple[Flask, Cache]]


def overview(cache: Cache) -> CacheOverview:
    return Inspector(cache).overview()


def test_what_a_new_cache_shows(make_app: MakeApp) -> None:
    """Zeros, no ratio, and how it is configured."""
    _, cache = make_app(CACHE_NAME="pages", CACHE_DEFAULT_TIMEOUT=60, CACHE_THRESHOLD=100)
    shown = overview(cache)
    assert (shown.name, shown.backend, shown.server) == ("pages", "SimpleCache", "")
    assert (shown.default_timeout_seconds, shown.key_strategy) == (60, "compatible")
    assert (shown.collisions_policy, shown.enabled, shown.counted) == ("report", True, True)
    assert (shown.pid, shown.workers) == (os.getpid(), None)
    assert shown.since == pytest.approx(time.time(), abs=60)
    assert shown.totals.hit_ratio is None
    assert (shown.entries, shown.entries_limit) == (0, 100)
    assert (shown.intervals, shown.history, shown.latencies) == ((), (), [])


def test_what_was_counted(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Hits in batches that wait are counted too, on every store."""
    app, cache = make_app(**store)

    @app.route("/x/<int:number>")
    @cache.cached(key_prefix="x")
    def x(number: int) -> str:
        time.sleep(0.001)
        return "x"

    client = app.test_client()
    for number in range(4):
        client.get(f"/x/{number}")
    client.post("/x/1")
    shown = overview(cache)
    assert (shown.totals.hits, shown.totals.misses) == (3, 1)
    assert shown.totals.hit_ratio == 0.75
    assert shown.collisions == {"arguments": 3}
    assert shown.saved_seconds >= 0.003
    assert shown.loads_in_flight == 0
    latencies = {each.operation: each for each in shown.latencies}
    # A shared store is asked for the note that turns the cache off once in a while as well.
    reads = [each for name, each in latencies.items() if name in ("get", "get_many")]
    assert sum(each.calls for each in reads) == 4
    assert latencies["set"].calls == 1
    for each in latencies.values():
        assert each.errors == 0
        assert 0 < (each.p50_seconds or 0) <= (each.p95_seconds or 0) <= (each.p99_seconds or 0)


def test_the_most_frequent_operation_is_the_first(make_app: MakeApp) -> None:
    """What takes most of the calls is what matters."""
    _, cache = make_app()
    cache.set("key", 1)
    for _ in range(5):
        cache.get("key")
    assert [each.operation for each in overview(cache).latencies] == ["get", "set"]


def test_bypasses_and_loads_in_flight(make_app: MakeApp) -> None:
    """Also while they run."""
    app, cache = make_app()
    during: list[int] = []

    @app.route("/x")
    @cache.cached(unless=lambda: bool(during))
    def x() -> str:
        during.append(overview(cache).loads_in_flight)
        return "x"

    app.test_client().get("/x")
    app.test_client().get("/x")
    assert during == [1, 0]
    assert overview(cache).bypasses == {"unless": 1}


# The store.


def test_where_a_server_is(
    make_app: MakeApp, redis_server: RedisServer, memcached_server: MemcachedServer
) -> None:
    """Its address, without the password; the prefix of its keys; its breaker."""
    _, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=f"redis://user:hush@{redis_server.host}:{redis_server.port}/0",
        CACHE_KEY_PREFIX="shop:",
    )
    shown = overview(cache)
    assert shown.server == f"{redis_server.host}:{redis_server.port}"
    assert (shown.prefix, shown.entries, shown.breakers) == ("shop:", None, {"closed": 1})
    assert "hush" not in repr(shown)
    _, cache = make_app(
        CACHE_NAME="two",
        CACHE_TYPE="MemcachedCache",
        CACHE_MEMCACHED_SERVERS=[f"{memcached_server.host}:{memcached_server.port}"] * 2,
        CACHE_KEY_PREFIX=lambda: "made:",
    )
    assert overview(cache).prefix is None
    assert str(memcached_server.port) in overview(cache).server


def test_a_server_that_is_down(make_app: MakeApp, own_redis: RedisServer) -> None:
    """Its errors and its open breaker are what one looks for."""
    _, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=own_redis.host,
        CACHE_REDIS_PORT=own_redis.port,
        CACHE_IGNORE_ERRORS=True,
        CACHE_BREAKER_COOLDOWN=60,
    )
    own_redis.kill()
    for _ in range(5):
        cache.get("key")
    shown = overview(cache)
    assert shown.breakers == {"open": 1}
    assert shown.failures["get connection"] >= 3
    assert shown.totals.errors == 5
    assert {each.operation: each.errors for each in shown.latencies} == {"get": 5}


def test_how_much_a_store_holds(make_app: MakeApp, tmp_path: Path) -> None:
    """Of those in this process or on this machine; what left them to make room."""
    _, cache = make_app(CACHE_THRESHOLD=3)
    for number in range(5):
        cache.set(f"key {number}", number)
    shown = overview(cache)
    assert (shown.entries, shown.entries_limit, shown.evictions["lru"]) == (3, 3, 2)
    _, files = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_NAME="files")
    files.set("key", 1)
    shown = overview(files)
    assert (shown.entries, shown.server) == (1, str(tmp_path))


def test_whether_the_cache_is_used(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Asked of a shared store, since another process may have turned it off."""
    app, cache = make_app(**store)
    assert overview(cache).enabled
    with app.app_context():
        cache.disable()
    assert not overview(cache).enabled
    if store["CACHE_TYPE"] != "SimpleCache":
        _, other = make_app(CACHE_NAME="other", **store)
        assert not overview(other).enabled
        assert overview(other).latencies == [], "it was asked without being counted"
        other.enable()
        assert overview(cache).enabled
    _, never = make_app(CACHE_ENABLED=False, CACHE_NAME="never")
    assert not overview(never).enabled


def test_without_instrumentation_nothing_is_counted(make_app: MakeApp) -> None:
    """Which is said, so that zeros are not taken for silence."""
    _, cache = make_app(CACHE_INSTRUMENTATION=None)
    start_timeline(cache.state())
    cache.set("key", 1)
    cache.get("key")
    shown = overview(cache)
    assert not shown.counted
    assert (shown.since, shown.workers, shown.intervals, shown.latencies) == (None, None, (), ())
    assert shown.totals.hits == 0
    assert (shown.entries, shown.enabled) == (1, True)


def test_it_is_plain_data(make_app: MakeApp) -> None:
    """For JSON, as everything here."""
    import json

    _, cache = make_app()
    start_timeline(cache.state())
    assert json.loads(json.dumps(plain(overview(cache))))["name"] == "cache"


def test_how_many_workers_count_together(tmp_path: Path) -> None:
    """Where they share files; those that have ended are not among them."""
    program = """
import os, sys
from flask import Flask
from flask_caching import Cache
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.ticker import ticker
app = Flask("worker")
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
seen = [Inspector(cache).overview().workers]
cache.set("key", 1)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if not child:
    cache.get("key")
    ticker.tick()
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
os.read(ready[0], 1)
seen.append(Inspector(cache).overview().workers)
os.write(go[1], b"x")
os.waitpid(child, 0)
seen.append(Inspector(cache).overview().workers)
print(seen)
"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    ran = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == "[1, 2, 1]", ran.stderr


# Which application is meant.


def test_one_application_needs_no_context(make_app: MakeApp) -> None:
    """A shell, or a command, has none."""
    app, cache = make_app()
    assert Inspector(cache).app is app


def test_of_several_applications_one_has_to_be_named(make_app: MakeApp) -> None:
    """By an argument or by the context; each has numbers and keys of its own."""
    one, cache = make_app()
    two = Flask("two")
    cache.init_app(two, config={"CACHE_TYPE": "SimpleCache", "CACHE_NAME": "second"})
    with pytest.raises(CacheError, match="2 applications"):
        Inspector(cache)
    with two.app_context():
        cache.set("key", 1)
        assert Inspector(cache).app is two
    assert len(Inspector(cache, two).keys().rows) == 1
    assert len(Inspector(cache, one).keys().rows) == 0
    with one.app_context():
        assert Inspector(cache, two).overview().name == "second"
        assert Inspector(cache, two).delete(["key"]) == ["key"]
    assert Inspector(cache, two).keys().rows == []


def test_a_cache_that_was_not_set_up_is_told(make_app: MakeApp) -> None:
    """For the application, or at all."""
    _, cache = make_app()
    other = Flask("other")
    with pytest.raises(CacheError, match="not set up for the application 'other'"):
        Inspector(cache, other)
    with pytest.raises(CacheError, match="no application yet"):
        Inspector(Cache())


def test_all_caches_of_an_application(make_app: MakeApp) -> None:
    """In the order of their setting up; none is no error."""
    app, first = make_app(CACHE_NAME="first")
    _, second = make_app(app, CACHE_NAME="second")
    assert caches_of(app) == [first, second]
    assert caches_of(Flask("none")) == []
    second.set("key", 1)
    assert [len(Inspector(cache, app).keys().rows) for cache in caches_of(app)] == [0, 1]


def test_a_cache_that_is_set_up_again_is_looked_at_anew(make_app: MakeApp) -> None:
    """The inspector may be older than that."""
    app, cache = make_app()
    inspector = Inspector(cache)
    cache.set("key", 1)
    assert len(inspector.keys().rows) == 1
    cache.init_app(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_NAME": "anew"})
    assert len(inspector.keys().rows) == 0
    assert inspector.overview().name == "anew"


# Percentiles.


def test_percentiles_are_linear_within_a_bucket() -> None:
    """Half of ten calls between 1 and 2 is 1.5."""
    bounds = (1.0, 2.0, 4.0)
    assert percentile([0, 10, 0, 0], bounds, 0.5) == pytest.approx(1.5)
    assert percentile([10, 0, 0, 0], bounds, 0.5) == pytest.approx(0.5)
    assert percentile([5, 5, 0, 0], bounds, 0.95) == pytest.approx(1.9)
    assert percentile([0, 0, 0, 3], bounds, 0.5) == 4.0
    assert percentile([0, 0, 0, 0], bounds, 0.5) is None


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5), st.floats(0.01, 1.0))
def test_a_percentile_is_in_its_bucket(counts: list[int], share: float) -> None:
    """And grows with its share."""
    bounds = (0.1, 0.5, 1.0, 10.0)
    found = percentile(counts, bounds, share)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    assert 0 <= found <= 10.0
    more = percentile(counts, bounds, min(share * 1.5, 1.0))
    assert more is not None
    assert more >= found - 1e-9


def test_latencies_of_an_operation_are_of_all_its_outcomes() -> None:
    """Those that failed took time as well, and are counted apart."""
    quick = [2.0] + [0.0] * 17 + [0.00001]
    slow = [0.0] * 17 + [1.0, 5.0]
    (latency,) = latencies_of({("get", "hit"): quick, ("get", "error"): slow})
    assert (latency.operation, latency.calls, latency.errors) == ("get", 3, 1)
    assert (latency.p50_seconds or 1) < 0.0001
    assert latency.p99_seconds == 2.5


def test_times_by_the_wall_clock_may_be_frozen(make_app: MakeApp, clock: Any) -> None:
    """Applications freeze it in their tests."""
    _, cache = make_app()
    cache.set("key", 1, 100)
    clock.advance(60)
    (row,) = Inspector(cache).keys().rows
    assert (row.age_seconds, row.expires_in_seconds) == (60, 40)
