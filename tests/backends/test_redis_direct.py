"""Connections that are kept between two reads: how many there are, and when they are left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from servers import RedisServer

from flask_caching.backends.rediscache import RedisCache


def cache_of(server: RedisServer, **options: Any) -> RedisCache:
    return RedisCache(server.host, server.port, key_prefix="direct/", **options)


def clients(server: RedisServer) -> int:
    """How many are connected, but for the one that asks."""
    return int(server.info("clients")["connected_clients"]) - 1


def all_at_once(cache: RedisCache, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What threads read of one key, each over a connection of its own."""
    together = threading.Barrier(number)
    kind = cache._read_client.connection_pool.connection_class
    send = kind.send_packed_command

    def send_together(connection: Any, *args: Any, **options: Any) -> Any:
        together.wait()
        return send(connection, *args, **options)

    with monkeypatch.context() as patched, ThreadPoolExecutor(number) as threads:
        patched.setattr(kind, "send_packed_command", send_together)
        return list(threads.map(cache.get, ["k"] * number))


def connected(cache: RedisCache, number: int) -> None:
    """Have a pool with connections that are open, so that opening them is not waited for."""
    pool = cache._read_client.connection_pool
    lent = [pool.get_connection() for _ in range(number)]
    for connection in lent:
        pool.release(connection)


@pytest.mark.skipif(
    tuple(map(int, redis.__version__.split(".")[:2])) < (5, 3), reason="get_connection has a name"
)
class TestSeveral:
    def test_one_lost_connection_is_reason_to_leave_all(
        self, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the server closed them the first read that finds out asks once more, and has it."""
        cache = cache_of(own_redis)
        cache.set("k", 1)
        connected(cache, 4)
        assert all_at_once(cache, 4, monkeypatch) == [1] * 4
        assert clients(own_redis) == 4
        own_redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert [cache.get("k") for _ in range(4)] == [1] * 4
        assert clients(own_redis) == 1
        assert cache.breakers[0].up

    def test_a_refusal_to_write_is_reason_to_leave_all(
        self, own_redis: RedisServer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """READONLY: what the name leads to may have moved, also for those who read."""
        cache = cache_of(own_redis)
        cache.set("k", 1)
        connected(cache, 3)
        assert all_at_once(cache, 3, monkeypatch) == [1] * 3
        own_redis.cli("REPLICAOF", redis_server.host, "1")
        with pytest.raises(redis.ResponseError):
            cache.set("k", 2)
        assert clients(own_redis) == 0


def test_there_are_no_more_connections_than_threads(own_redis: RedisServer) -> None:
    """Whatever a thread does in turn, it does over one connection."""
    cache = cache_of(own_redis)
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("k"),
        lambda: cache.set("k", 1),
        lambda: cache.get_many("k", "l"),
        lambda: cache.set_many({"k": 1, "l": 2}),
        lambda: cache.has("k"),
        lambda: cache.ttl("k"),
        lambda: cache.inc("n"),
        lambda: cache.delete_many("k", "l"),
        lambda: cache.clear(),
    ]
    for call in calls:
        cache.get("k")
        call()
        assert clients(own_redis) == 1


def test_a_pool_of_one_is_enough(redis_server: RedisServer) -> None:
    """What is kept is lent to whoever wants to write."""
    cache = cache_of(redis_server, max_connections=1)
    for number in range(3):
        assert cache.set("k", number)
        assert cache.get("k") == cache.get("k") == number


def test_a_key_that_holds_no_string_costs_no_connection(own_redis: RedisServer) -> None:
    """An error that the server answers with was read to its end."""
    cache = cache_of(own_redis)
    own_redis.cli("LPUSH", "direct/list", "1")
    cache.set("k", 1)
    made = int(own_redis.info("stats")["total_connections_received"])
    for _ in range(3):
        with pytest.raises(Exception, match="not a string"):
            cache.get("list")
        assert cache.get("k") == 1
    # Each question of this test's is one.
    assert int(own_redis.info("stats")["total_connections_received"]) == made + 1


def test_a_child_does_not_read_what_its_parent_asked_for(redis_server: RedisServer) -> None:
    """It is forked between two reads, and both go on reading at the same time."""
    cache = cache_of(redis_server)
    cache.set_many({"parent": "parent", "child": "child"})
    assert cache.get("parent") == "parent"
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if all(cache.get("child") == "child" for _ in range(300)) else 2
        finally:
            os._exit(code)
    assert all(cache.get("parent") == "parent" for _ in range(300))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_time_out_leaves_no_reply_for_the_next(own_redis: RedisServer) -> None:
    """The connection is closed: what arrives late is nobody's."""
    cache = cache_of(own_redis, socket_timeout=0.2, breaker_threshold=0)
    cache.set_many({"a": "a", "b": "b"})
    assert cache.get("a") == "a"
    own_redis.cli("CLIENT", "PAUSE", "600", "ALL")
    with pytest.raises(redis.TimeoutError):
        cache.get("a")
    own_redis.cli("CLIENT", "UNPAUSE")
    assert cache.get("b") == "b"


def test_a_client_of_the_application_s_own_gets_its_connection_back(
    redis_server: RedisServer,
) -> None:
    """Its pool is nobody else's to keep from."""
    client = redis.Redis(redis_server.host, redis_server.port)
    cache = RedisCache(client, key_prefix="direct/")
    cache.set("k", 1)
    assert cache.get("k") == 1
    pool = client.connection_pool
    assert (len(pool._available_connections), len(pool._in_use_connections)) == (1, 0)


def test_a_password_that_changes_is_seen_to_between_two_reads(
    start_server: Callable[..., Any],
) -> None:
    """redis-py logs in anew where a connection comes back to its pool, so it does after each."""
    server = start_server(RedisServer, password="secret")
    provider = redis.UsernamePasswordCredentialProvider(password="secret")
    cache = cache_of(server, credential_provider=provider)
    cache.set("k", 1)
    assert cache.get("k") == 1
    pool = cache._read_client.connection_pool
    assert (len(pool._available_connections), len(pool._in_use_connections)) == (1, 0)
