"""Spans of the operations on each backend, with real servers: alive, and dead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cachelib
import pytest
from redis_groups import ClusterNode, SentinelSet
from servers import MemcachedServer, RedisServer, SaslMemcachedServer

from flask_caching.errors import BackendError
from flask_caching.keyhash import KeyHash
from flask_caching_instrumentation.tracing.spans import GROUPS
from flask_caching_instrumentation.wrapper.outcomes import MEASURED

pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")

HASH = KeyHash(b"secret")

#: Arguments of a call of each method of the wrapper.
CALLS: dict[str, Callable[[Any], Any]] = {
    "set": lambda backend: backend.set("a", "value", timeout=60),
    "set_entry": lambda backend: backend.set_entry("b", backend.new_entry("value", 60)),
    "add": lambda backend: backend.add("a", "other"),
    "add_entry": lambda backend: backend.add_entry("n", backend.new_entry(1, 60)),
    "set_many": lambda backend: backend.set_many({"c": 1, "d": 2}, timeout=60),
    "get": lambda backend: backend.get("a"),
    "get_entry": lambda backend: backend.get_entry("b"),
    "get_many": lambda backend: backend.get_many("a", "z"),
    "get_dict": lambda backend: backend.get_dict("a", "b"),
    "get_entries": lambda backend: backend.get_entries(["a", "z", "y"]),
    "has": lambda backend: backend.has("a"),
    "ttl": lambda backend: backend.ttl("a"),
    "touch": lambda backend: backend.touch("a", 90),
    "inc": lambda backend: backend.inc("n"),
    "dec": lambda backend: backend.dec("n"),
    "keys": lambda backend: backend.keys(),
    "release_lock": lambda backend: backend.release_lock("b", "value"),
    "delete": lambda backend: backend.delete("a"),
    "delete_many": lambda backend: backend.delete_many("c", "z"),
    "unlink": lambda backend: backend.unlink("d"),
    "clear": lambda backend: backend.clear(),
}


def redis_of(server: RedisServer, **options: Any) -> dict[str, Any]:
    return {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_HOST": server.host,
        "CACHE_REDIS_PORT": server.port,
        **options,
    }


def memcached_of(*servers: MemcachedServer) -> dict[str, Any]:
    return {
        "CACHE_TYPE": "MemcachedCache",
        "CACHE_MEMCACHED_SERVERS": [f"{server.host}:{server.port}" for server in servers],
    }


def call_all(cache: Any, spans: Any) -> dict[str, Any]:
    """Calls every method that the backend has, each inside of a root. Returns the one span of each.

    A method of which there is none leaves an event on its root instead.
    """
    seen: dict[str, Any] = {}
    backend = cache.cache
    for method, call in CALLS.items():
        if not hasattr(backend, method):
            continue
        spans.clear()
        with spans.root():
            call(backend)
        ours = spans.named("cache.")
        assert len(ours) <= 1, method
        seen[method] = ours[0] if ours else spans.one("request")
    return seen


def test_the_calls_here_are_all_there_are():
    """No method that the wrapper measures is forgotten by these tests, or has no span."""
    assert set(CALLS) == set(MEASURED)
    assert set(GROUPS) == set(MEASURED.values())


def test_redis_operations_are_client_spans(app, traced, spans, redis_server):
    """With server, database and command; key, hits and size where they are known."""
    cache = traced(**redis_of(redis_server, CACHE_REDIS_DB=3, CACHE_NAME="pages"))
    with app.app_context():
        seen = call_all(cache, spans)
    assert set(seen) == set(CALLS)
    for method, span in seen.items():
        assert span.name == f"{GROUPS[MEASURED[method]]} pages"
        assert span.kind.name == "CLIENT"
        assert span.status.status_code.name == "UNSET"
        assert span.attributes["db.system.name"] == "redis"
        assert span.attributes["db.namespace"] == "3"
        assert span.attributes["server.address"] == redis_server.host
        assert span.attributes["server.port"] == redis_server.port
    assert {method: span.attributes["db.operation.name"] for method, span in seen.items()} == {
        "set": "SET",
        "set_entry": "SET",
        "add": "SET",
        "add_entry": "SET",
        "set_many": "PIPELINE SET",
        "get": "GET",
        "get_entry": "GET",
        "get_many": "MGET",
        "get_dict": "MGET",
        "get_entries": "MGET",
        "has": "EXISTS",
        "ttl": "PTTL",
        "touch": "PEXPIRE",
        "inc": "EVAL",
        "dec": "EVAL",
        "keys": "SCAN",
        "release_lock": "EVAL",
        "delete": "DEL",
        "delete_many": "DEL",
        "unlink": "UNLINK",
        "clear": "PIPELINE",
    }
    said = {method: span.attributes for method, span in seen.items()}
    assert said["get_entry"]["cache.key"] == HASH("b")
    assert said["get_entry"]["cache.hit"] is True
    assert said["get_entry"]["cache.item_size"] == said["set_entry"]["cache.item_size"] > 50
    assert said["set"]["cache.ttl"] == 60.0
    assert said["set"]["cache.write"] is True
    assert said["add"]["cache.write"] is False
    assert said["touch"]["cache.ttl"] == 90.0
    assert said["get_entries"]["cache.key.count"] == 3
    assert said["get_entries"]["cache.hit.count"] == 1
    assert said["get_entries"]["cache.hit"] is False
    assert said["set_many"]["cache.key.count"] == 2
    assert "cache.key" not in said["delete_many"]
    assert said["keys"]["cache.key.count"] > 0


def test_commands_are_those_that_the_server_sees(app, traced, spans, own_redis):
    """The table of commands agrees with the server's own count of them."""
    cache = traced(**redis_of(own_redis))
    backend = cache.cache.wrapped
    extra: dict[str, Callable[[Any], Any]] = {
        "a counter for ever": lambda b: b.inc("m"),
        "for ever": lambda b: b.touch("b", 0),
        "gone": lambda b: b.touch("b", -1),
    }
    with app.app_context():
        for name, call in {**CALLS, **extra}.items():
            cache.cache.set("b", "value")
            backend.default_timeout = 0 if name in extra else 300
            spans.clear()
            own_redis.cli("CONFIG", "RESETSTAT")
            with spans.root():
                call(cache.cache)
            told = spans.one("cache.").attributes["db.operation.name"].removeprefix("PIPELINE ")
            ran = {name.removeprefix("cmdstat_").upper() for name in own_redis.info("commandstats")}
            ran -= {"CONFIG|RESETSTAT", "INFO"}
            if told == "PIPELINE":
                assert len(ran) > 1 or name == "clear", name
            else:
                assert told in ran, (name, ran)


def test_a_dead_redis_is_an_error_of_the_operation_alone(app, traced, spans, own_redis):
    """Its type and no message; the lookup is degraded, the load is not."""
    url = f"redis://:sesame@{own_redis.host}:{own_redis.port}/0"
    cache = traced(CACHE_TYPE="RedisCache", CACHE_REDIS_URL=url)
    own_redis.kill()

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        assert double(2) == 4
        with pytest.raises(BackendError):
            cache.get("k")
    read, direct = spans.named("cache.get")
    lookup = spans.one("cache.memoize")
    assert read.status.status_code.name == "ERROR"
    assert read.status.description is None
    assert read.attributes["error.type"] == "redis.exceptions.ConnectionError"
    assert [dict(event.attributes) for event in read.events] == [
        {"exception.type": "redis.exceptions.ConnectionError"}
    ]
    assert direct.status.status_code.name == "ERROR"
    assert lookup.status.status_code.name == "UNSET"
    assert lookup.attributes["cache.degraded"] is True
    assert lookup.attributes["cache.write"] is False
    assert spans.one("cache.load").status.status_code.name == "UNSET"
    assert "sesame" not in str([span.to_json() for span in spans.all()])


def test_a_unix_socket_is_an_address_without_a_port(app, traced, spans, tmp_path, start_server):
    """server.address is its path."""
    path = str(tmp_path / "redis.sock")
    start_server(RedisServer, "--unixsocket", path)
    cache = traced(CACHE_TYPE="RedisCache", CACHE_REDIS_URL=f"unix://{path}?db=1")
    with app.app_context(), spans.root():
        cache.set("k", 1)
    attributes = spans.one("cache.put").attributes
    assert attributes["server.address"] == path
    assert "server.port" not in attributes
    assert attributes["db.namespace"] == "1"


def test_a_sentinel_s_master_has_no_address(app, traced, spans, sentinel_set: SentinelSet):
    """It is not known before it is asked for, and may be another one the next time."""
    cache = traced(
        CACHE_TYPE="RedisSentinelCache",
        CACHE_REDIS_SENTINELS=sentinel_set.sentinels,
        CACHE_REDIS_SENTINEL_MASTER=sentinel_set.master_name,
        CACHE_REDIS_DB=2,
    )
    with app.app_context(), spans.root():
        cache.set("k", 1)
        cache.get("k")
    for span in spans.named("cache."):
        assert span.kind.name == "CLIENT"
        assert span.attributes["db.namespace"] == "2"
        assert "server.address" not in span.attributes


def test_a_cluster_has_no_address(app, traced, spans, redis_cluster_nodes: list[ClusterNode]):
    """One span for an operation, however many nodes it goes to."""
    cache = traced(
        CACHE_TYPE="RedisClusterCache",
        CACHE_REDIS_CLUSTER=",".join(f"{node.host}:{node.port}" for node in redis_cluster_nodes),
        CACHE_KEY_PREFIX="spans/",
    )
    with app.app_context():
        seen = call_all(cache, spans)
    for method, span in seen.items():
        assert span.kind.name == "CLIENT", method
        assert span.attributes["db.system.name"] == "redis"
        assert "server.address" not in span.attributes
    assert seen["get"].attributes["db.operation.name"] == "GET"
    assert seen["get_entries"].attributes["db.operation.name"] == "PIPELINE GET"
    assert seen["delete_many"].attributes["db.operation.name"] == "PIPELINE DEL"


def test_memcached_operations_are_client_spans(app, traced, spans, memcached_server):
    """With the server, and the command in the protocol's words."""
    cache = traced(**memcached_of(memcached_server))
    with app.app_context():
        seen = call_all(cache, spans)
    assert set(CALLS) - set(seen) == {"unlink"}
    for method, span in seen.items():
        assert span.name == f"{GROUPS[MEASURED[method]]} cache"
        assert span.kind.name == "CLIENT"
        assert span.attributes["db.system.name"] == "memcached"
        assert span.attributes["server.address"] == memcached_server.host
        assert span.attributes["server.port"] == memcached_server.port
        assert "db.namespace" not in span.attributes
    assert seen["get_entry"].attributes["db.operation.name"] == "get"
    assert seen["get_entry"].attributes["cache.item_size"] > 50
    assert seen["set"].attributes["db.operation.name"] == "set"
    assert seen["has"].attributes["db.operation.name"] == "mg"


def test_several_memcached_servers_have_no_address(app, traced, spans, memcached_servers):
    """Which of them has the key is not said."""
    cache = traced(**memcached_of(*memcached_servers))
    with app.app_context(), spans.root():
        cache.set("k", 1)
        cache.get_many("k", "l", "m")
    for span in spans.named("cache."):
        assert span.kind.name == "CLIENT"
        assert "server.address" not in span.attributes


def test_what_memcached_refuses_is_not_stored_and_no_error(app, traced, spans, own_memcached):
    """A value that is too large: cache.write is false, with the reason."""
    cache = traced(**memcached_of(own_memcached))

    @cache.memoize()
    def large() -> bytes:
        return b"x" * 2_000_000

    with app.app_context(), spans.root():
        large()
    put = spans.one("cache.put")
    assert put.status.status_code.name == "UNSET"
    assert put.attributes["cache.write"] is False
    assert put.attributes["flask_caching.reason"] == "too_large"
    assert spans.one("cache.memoize").attributes["flask_caching.reason"] == "too_large"


def test_a_dead_memcached_is_an_error_of_the_operation(app, traced, spans, own_memcached):
    """As with Redis."""
    cache = traced(**memcached_of(own_memcached))
    own_memcached.kill()

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        assert double(2) == 4
    assert spans.one("cache.get").attributes["error.type"] == "ConnectionRefusedError"
    assert spans.one("cache.memoize").attributes["cache.degraded"] is True


def test_sasl_memcached_shows_the_server_and_never_who_logs_in(
    app, traced, spans, sasl_memcached: SaslMemcachedServer
):
    """Neither user name nor password is anywhere."""
    cache = traced(
        CACHE_TYPE="SASLMemcachedCache",
        CACHE_MEMCACHED_SERVERS=[f"{sasl_memcached.host}:{sasl_memcached.port}"],
        CACHE_MEMCACHED_USERNAME=sasl_memcached.username,
        CACHE_MEMCACHED_PASSWORD=sasl_memcached.password,
    )
    with app.app_context():
        seen = call_all(cache, spans)
    for span in seen.values():
        assert span.kind.name == "CLIENT"
        assert span.attributes["server.port"] == sasl_memcached.port
        assert sasl_memcached.password not in span.to_json()
    assert seen["clear"].attributes["db.operation.name"] == "set"


@pytest.mark.parametrize("kind", ["FileSystemCache", "cachelib.SimpleCache"])
def test_what_is_no_server_and_not_ours_in_process_has_internal_spans(
    app, traced, spans, tmp_path: Path, kind
):
    """Files, and classes of others."""
    options = {"CACHE_DIR": str(tmp_path)} if kind == "FileSystemCache" else {}
    cache = traced(CACHE_TYPE=kind, **options)
    with app.app_context(), spans.root():
        cache.set("k", [1, 2])
        assert cache.get("k") == [1, 2]
        cache.delete("k")
    for span in spans.named("cache."):
        assert span.kind.name == "INTERNAL"
    assert spans.one("cache.get").attributes["cache.hit"] is True
    assert spans.one("cache.put").attributes["cache.write"] is True
    assert spans.named("cache.remove")


@pytest.mark.parametrize("kind", ["SimpleCache", "NullCache"])
def test_a_store_in_this_process_has_events(app, traced, spans, kind):
    """Each operation is one event on the enclosing span, and no span."""
    cache = traced(CACHE_TYPE=kind, CACHE_NO_NULL_WARNING=True)
    with app.app_context():
        seen = call_all(cache, spans)
    for method, span in seen.items():
        assert span.name == "request", method
        assert [event.name for event in span.events] == [GROUPS[MEASURED[method]]]


def test_an_operation_may_be_made_of_others_that_have_no_span(app, traced, spans):
    """A backend's calls to itself are not seen, whatever class it is of."""
    cache = traced(CACHE_TYPE=cachelib.SimpleCache)
    with app.app_context(), spans.root():
        cache.cache.get_many("a", "b", "c")
    assert spans.tree() == ["request", "  cache.get cache"]
    assert spans.one("cache.get").attributes["cache.key.count"] == 3
