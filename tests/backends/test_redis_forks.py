"""A fork while another thread is inside of redis-py: the child finds no lock that is taken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from redis_groups import ClusterNode, SentinelSet
from servers import RedisServer

from flask_caching import Cache

#: Seconds that a child is waited for. It answers in milliseconds, or never.
PATIENCE = 20.0


@contextmanager
def held(locks: list[Any]) -> Iterator[None]:
    """Locks that another thread has taken."""
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        taken.set()
        over.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def exit_code_of(do: Callable[[], bool], locks: list[Any]) -> int | None:
    """What a child ends with that is forked while locks are held; ``None`` if it hangs."""
    with held(locks):
        child = os.fork()
        if not child:
            code = 2
            try:
                code = 0 if do() else 1
            finally:
                os._exit(code)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def locks_of(*owners: Any) -> list[Any]:
    """The locks among the attributes of objects, each once."""
    kinds = (type(threading.Lock()), type(threading.RLock()))
    every = [value for owner in owners for value in vars(owner).values()]
    return list({id(value): value for value in every if isinstance(value, kinds)}.values())


def answers(app: Flask, cache: Cache) -> bool:
    with app.app_context():
        return cache.get("key") == "value" and cache.set("other", 1) is True


def with_cache(**config: Any) -> tuple[Flask, Cache]:
    """A cache in use: its connections are open."""
    app = Flask("forked")
    cache = Cache(app, config={"CACHE_KEY_PREFIX": f"fork-{time.monotonic_ns()}/", **config})
    with app.app_context():
        cache.set("key", "value")
        assert cache.get("key") == "value"
    return app, cache


def test_of_one_server(redis_server: RedisServer) -> None:
    """The pool's locks, under which connections are taken and given back."""
    app, cache = with_cache(CACHE_TYPE="RedisCache", CACHE_REDIS_URL=redis_server.url)
    locks = locks_of(cache.state().backend._write_client.connection_pool)
    assert locks
    assert exit_code_of(lambda: answers(app, cache), locks) == 0


def test_of_a_sentinel_set(sentinel_set: SentinelSet) -> None:
    """Those of the master's pool, and of the clients that ask the Sentinels for the master."""
    app, cache = with_cache(
        CACHE_TYPE="RedisSentinelCache",
        CACHE_REDIS_SENTINELS=[server.address for server in sentinel_set.sentinel_servers],
        CACHE_REDIS_SENTINEL_MASTER=sentinel_set.master_name,
    )
    pool = cache.state().backend._write_client.connection_pool
    asked = [client.connection_pool for client in pool.sentinel_manager.sentinels]
    assert exit_code_of(lambda: answers(app, cache), locks_of(pool, *asked)) == 0


def test_of_a_cluster(redis_cluster_nodes: list[ClusterNode]) -> None:
    """Those of each node's pool, and of what knows the nodes; one that is shared stays shared."""
    nodes = ",".join(f"{host}:{port}" for host, port in (n.address for n in redis_cluster_nodes))
    app, cache = with_cache(CACHE_TYPE="RedisClusterCache", CACHE_REDIS_CLUSTER=nodes)
    client = cache.state().backend._write_client
    pools = [
        node.redis_connection.connection_pool
        for node in client.get_nodes()
        if node.redis_connection is not None
    ]
    locks = locks_of(client, client.nodes_manager, *pools)
    shared = vars(client).get("_lock") is vars(client.nodes_manager).get("_lock")

    def as_before() -> bool:
        same = vars(client).get("_lock") is vars(client.nodes_manager).get("_lock")
        return same is shared and answers(app, cache)

    assert exit_code_of(as_before, locks) == 0


def test_a_client_that_cannot_be_referenced_is_left_alone() -> None:
    """Something that only looks like a client of redis-py."""
    from flask_caching.backends.redisforks import keep_over_forks

    class Slotted:
        __slots__ = ()

    keep_over_forks(Slotted())


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_locks_of_others_stay_what_they_are(kind: Callable[[], Any]) -> None:
    """Only redis-py's objects are gone through."""
    from flask_caching.backends.redisforks import _renew_locks

    class Own:
        def __init__(self) -> None:
            self.lock = kind()

    own = Own()
    before = own.lock
    _renew_locks([own, {"a": [own]}])
    assert own.lock is before
