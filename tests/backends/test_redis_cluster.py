"""RedisClusterCache: keys on several nodes, asked at once; one of them lost, and found again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from proxies import LyingProxy
from redis.connection import AbstractConnection
from redis_groups import ClusterNode, start_cluster
from servers import HOST, RedisServer, wait_until

from flask_caching import Cache
from flask_caching.backends.base import RESERVED, iter_keys
from flask_caching.backends.rediscache import RedisCache, RedisClusterCache
from flask_caching.errors import BackendUnavailable

numbers = itertools.count()
KEYS = [f"key {number}" for number in range(60)]


def text_of(nodes: list[Any]) -> str:
    return ",".join(f"{node.host}:{node.port}" for node in nodes)


def cache_of(nodes: list[Any], **options: Any) -> RedisClusterCache:
    """A cache under a prefix that no other test has."""
    options.setdefault("key_prefix", f"test-{next(numbers)}/")
    return RedisClusterCache(text_of(nodes), **options)


@pytest.fixture(scope="module")
def fragile_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterNode]]:
    """A Cluster to do harm to; whoever does puts it in order again."""
    nodes = start_cluster(tmp_path_factory.mktemp("fragile"))
    yield nodes
    for node in nodes:
        node.stop()


def repair(nodes: list[ClusterNode]) -> None:
    """Start the nodes that were killed, and wait until all know it."""
    for node in nodes:
        if not node.running:
            node.restart()
    for node in nodes:
        wait_until(node.is_joined, f"{node!r}'s view of the cluster")


@pytest.fixture
def cache(redis_cluster_nodes: list[ClusterNode]) -> RedisClusterCache:
    return cache_of(redis_cluster_nodes)


def node_of(cache: RedisClusterCache, key: str) -> int:
    """The port of the node that has a key."""
    name = cache.key_prefix + key
    port: int = cache._write_client.get_node_from_key(name).port
    return port


def keys_of(cache: RedisClusterCache, node: Any) -> list[str]:
    return [key for key in KEYS if node_of(cache, key) == node.port]


def ran(node: RedisServer) -> dict[str, int]:
    stats = node.info("commandstats")
    found = {name.removeprefix("cmdstat_"): line for name, line in stats.items()}
    return {name: int(line.split("=")[1].split(",")[0]) for name, line in found.items()}


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The number of times that something is written to a node during a call."""
    number = 0
    send = AbstractConnection.send_packed_command

    def counted(connection: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal number
        number += 1
        send(connection, *args, **kwargs)

    def of(function: Callable[..., Any], *args: Any) -> int:
        before = number
        function(*args)
        return number - before

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    return of


class Proxied:
    """A cluster whose nodes are reached through proxies that can be told to lie."""

    def __init__(self, nodes: list[ClusterNode], proxy_to: Callable[..., LyingProxy]) -> None:
        self.nodes = nodes
        self.proxies = [proxy_to(node) for node in nodes]
        self._places = {
            node.port: proxy.address for node, proxy in zip(nodes, self.proxies, strict=True)
        }

    def cache(self, **options: Any) -> RedisClusterCache:
        return cache_of(
            self.proxies, address_remap=lambda place: self._places.get(place[1], place), **options
        )

    def behave(self) -> None:
        for proxy in self.proxies:
            proxy.behave()


@pytest.fixture
def proxied(redis_cluster_nodes: list[ClusterNode], proxy_to: Callable[..., LyingProxy]) -> Proxied:
    return Proxied(redis_cluster_nodes, proxy_to)


# What is asked of the nodes.


def test_several_keys_cost_one_trip_to_each_node(
    cache: RedisClusterCache,
    redis_cluster_nodes: list[ClusterNode],
    trips: Callable[..., int],
) -> None:
    """However many keys and slots, for whatever is done with them."""
    cache.set_many(dict.fromkeys(KEYS, "x"))
    assert {node_of(cache, key) for key in KEYS} == {node.port for node in redis_cluster_nodes}
    for node in redis_cluster_nodes:
        node.cli("CONFIG", "RESETSTAT")
    assert trips(cache.get_many, *KEYS) == 3
    assert cache.get_many(*KEYS) == ["x"] * len(KEYS)
    for node in redis_cluster_nodes:
        assert set(ran(node)) <= {"get", "auth", "config|resetstat", "info", "ping"}
    entry = cache.new_entry("y", 100)
    assert trips(cache.set_entry, KEYS[0], entry, KEYS[1:]) == 3
    assert trips(cache.get_entries, KEYS, dict.fromkeys(["new", *KEYS], entry)) == 3
    assert trips(cache.set_many, dict.fromkeys(KEYS, 1)) == 3
    assert trips(cache.delete_many, *KEYS) == 3
    assert trips(cache.get, KEYS[0]) == 1


def test_nodes_are_asked_at_once(proxied: Proxied) -> None:
    """Three nodes that take a while take it together."""
    cache = proxied.cache()
    cache.set_many(dict.fromkeys(KEYS, "x"))
    for proxy in proxied.proxies:
        proxy.delay(0.2)
    begun = time.monotonic()
    assert cache.get_many(*KEYS) == ["x"] * len(KEYS)
    assert 0.2 < time.monotonic() - begun < 0.5


def test_a_memoized_call_is_one_trip_to_each_node(
    redis_cluster_nodes: list[ClusterNode], trips: Callable[..., int]
) -> None:
    """A hit asks the nodes of the versions and of the value once each."""
    app = Flask("tests")
    config = {
        "CACHE_TYPE": "RedisClusterCache",
        "CACHE_REDIS_CLUSTER": text_of(redis_cluster_nodes),
        "CACHE_KEY_PREFIX": f"test-{next(numbers)}/",
        "CACHE_INSTRUMENTATION": None,
    }
    cache = Cache(app, config=config)

    @cache.memoize(60)
    def double(number: int) -> int:
        return 2 * number

    with app.app_context():
        for number in range(10):
            double(number)
        for number in range(10):
            assert trips(double, number) <= 2
        cache.delete_memoized(double)
        assert trips(double, 1) <= 4


def test_one_strange_key_costs_no_other(cache: RedisClusterCache) -> None:
    """A list among the keys is missing, and the others are there."""
    cache.set_many({"a": 1, "b": 2})
    cache._write_client.rpush(cache.key_prefix + "list", "x")
    assert cache.get_many("a", "list", "b") == [1, None, 2]


def test_it_is_a_redis_cache_and_its_client_is_reachable(cache: RedisClusterCache) -> None:
    """Applications ask for both."""
    assert isinstance(cache, RedisCache)
    assert cache._write_client is cache._read_client
    assert isinstance(cache._write_client, redis.RedisCluster)
    cache.set("k", 5)
    assert cache._write_client.get(cache.key_prefix + "k") == b"5"
    ready = RedisClusterCache(cache._write_client, key_prefix=cache.key_prefix)
    assert ready.get("k") == 5
    assert ready._write_client is cache._write_client


# Clearing and listing.


def test_all_nodes_are_cleared(
    cache: RedisClusterCache, redis_cluster_nodes: list[ClusterNode]
) -> None:
    """Of this cache's own keys, and of nothing else."""
    other = cache_of(redis_cluster_nodes)
    keep = {RESERVED + str(number): 1 for number in range(9)}
    cache.set_many({**dict.fromkeys(KEYS, 1), **keep})
    other.set_many(dict.fromkeys(KEYS, 1))
    assert cache.clear() is True
    assert cache.get_many(*KEYS) == [None] * len(KEYS)
    assert cache.get_many(*keep) == [1] * len(keep)
    assert other.get_many(*KEYS) == [1] * len(KEYS)


def test_keys_are_listed_node_by_node(cache: RedisClusterCache) -> None:
    """Each once, with where to go on; also where the node that was being listed has left."""
    cache.set_many(dict.fromkeys(KEYS, 1), timeout=100)
    infos = list(iter_keys(cache, page=7))
    assert sorted(info.key for info in infos) == sorted(KEYS)
    assert all(info.expires_at is not None and info.expires_at > time.time() for info in infos)
    names = sorted(node.name for node in cache._write_client.get_primaries())
    gone = names[0] + ".gone"
    listed: list[str] = []
    cursor = f"17@{gone}"
    while cursor:
        page = cache.keys(cursor, 10)
        listed += [info.key for info in page.keys]
        cursor = page.cursor
    first = int(names[0].rpartition(":")[2])
    assert sorted(listed) == sorted(key for key in KEYS if node_of(cache, key) != first)


# When keys move.


def free_slot_key(cache: RedisClusterCache, nodes: list[ClusterNode]) -> tuple[str, int]:
    """A key of the first node, and its slot."""
    key = keys_of(cache, nodes[0])[0]
    return key, cache._write_client.keyslot(cache.key_prefix + key)


def test_a_key_that_has_moved_is_followed(fragile_cluster: list[ClusterNode]) -> None:
    """MOVED leads to the other node, for one key and for one of many."""
    cache = cache_of(fragile_cluster)
    cache.set_many(dict.fromkeys(KEYS, 1))
    key, slot = free_slot_key(cache, fragile_cluster)
    target = fragile_cluster[1]
    identity = target.cli("CLUSTER", "MYID")
    cache.delete(key)
    for node in fragile_cluster:
        node.cli("CLUSTER", "SETSLOT", str(slot), "NODE", identity)
    assert cache.set_many({"another": 1, key: 2}) == ["another", key]
    assert target.cli("EXISTS", cache.key_prefix + key) == "1"
    assert cache.get_many(*KEYS) == [2 if other == key else 1 for other in KEYS]
    assert cache.inc(key) == 3
    assert cache.touch(key, 50)
    assert cache.ttl(key) == pytest.approx(50, abs=2)
    entry = cache.new_entry("x", 100)
    assert cache.set_entry("other", entry, [key])
    assert cache.ttl(key) == pytest.approx(100, abs=2)
    assert all(breaker.state == "closed" for breaker in cache.breakers)


def test_a_key_that_is_moving_is_asked_for_there(fragile_cluster: list[ClusterNode]) -> None:
    """ASK is followed, too, for the moment."""
    cache = cache_of(fragile_cluster)
    key, slot = free_slot_key(cache, fragile_cluster)
    source, target = fragile_cluster[:2]
    target.cli("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source.cli("CLUSTER", "MYID"))
    source.cli("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target.cli("CLUSTER", "MYID"))
    assert cache.set(key, 1)
    assert cache.get_many(key, *KEYS[:3])[0] == 1
    assert target.cli("CLUSTER", "COUNTKEYSINSLOT", str(slot)) == "1"
    assert cache.delete(key) is True
    for node in (source, target):
        node.cli("CLUSTER", "SETSLOT", str(slot), "STABLE")


# When nodes fail.


def test_a_lost_node_costs_its_own_keys(fragile_cluster: list[ClusterNode]) -> None:
    """Calls for them fail at once, others go on, and all is well when it is back."""
    cache = cache_of(fragile_cluster, breaker_cooldown=0.1)
    lost = fragile_cluster[1]
    cache.set_many(dict.fromkeys(KEYS, 1))
    theirs = keys_of(cache, lost)
    others = [key for key in KEYS if key not in theirs]
    lost.kill()
    begun = time.monotonic()
    for _ in range(5):
        for key in theirs[:2]:
            with pytest.raises(redis.ConnectionError):
                cache.get(key)
        assert cache.get_many(*others) == [1] * len(others)
        assert all(cache.set(key, 1) for key in others[:5])
    assert time.monotonic() - begun < 5
    states = {breaker.name: breaker.state for breaker in cache.breakers}
    assert sorted(states.values()) == ["closed", "closed", "closed", "open"]
    assert next(name for name in states if str(lost.port) in name)
    with pytest.raises(redis.ConnectionError):
        cache.get_many(*KEYS)
    with pytest.raises(redis.RedisError):
        cache.delete_many(*KEYS)
    assert cache.get_many(*others) == [None] * len(others)
    repair(fragile_cluster)
    wait_until(lambda: _works(cache, theirs[0]), "the node is found again")
    assert cache.set_many(dict.fromkeys(KEYS, 2)) == KEYS
    assert cache.get_many(*KEYS) == [2] * len(KEYS)


def _works(cache: RedisClusterCache, key: str) -> bool:
    try:
        return cache.set(key, "x")
    except (redis.RedisError, BackendUnavailable):
        return False


def test_what_could_be_deleted_is_told_where_that_is_wished(
    fragile_cluster: list[ClusterNode],
) -> None:
    """With ignore_delete_many_errors a lost node's keys are left out; clear clears the others."""
    cache = cache_of(fragile_cluster, ignore_delete_many_errors=True)
    cache.set_many(dict.fromkeys(KEYS, 1))
    lost = fragile_cluster[2]
    theirs = keys_of(cache, lost)
    others = [key for key in KEYS if key not in theirs]
    lost.kill()
    assert cache.delete_many(*KEYS) == cache.unlink(*KEYS) == others
    cache.set_many(dict.fromkeys(others, 1))
    with pytest.raises(redis.RedisError):
        cache.clear()
    assert cache.get_many(*others) == [None] * len(others)
    repair(fragile_cluster)


def test_a_silent_node_costs_a_bounded_time(proxied: Proxied) -> None:
    """And then nothing, while others answer as ever."""
    cache = proxied.cache()
    cache.set_many(dict.fromkeys(KEYS, 1))
    silent = proxied.proxies[0]
    theirs = keys_of(cache, silent)
    others = [key for key in KEYS if key not in theirs]
    silent.fall_silent()
    begun = time.monotonic()
    for _ in range(10):
        with pytest.raises((redis.TimeoutError, BackendUnavailable)):
            cache.get(theirs[0])
    assert time.monotonic() - begun < 4
    begun = time.monotonic()
    assert cache.get_many(*others) == [1] * len(others)
    assert time.monotonic() - begun < 0.4
    proxied.behave()


def test_a_replica_is_read_from_and_takes_over(
    own_redis_cluster: list[ClusterNode], tmp_path: Path
) -> None:
    """Read from where redis-py's option says so; asked for everything when its primary is gone."""
    first, *others = own_redis_cluster
    with replica_of(first, others, tmp_path) as replica:
        cache = cache_of(own_redis_cluster, breaker_cooldown=0.2)
        reading = cache_of(own_redis_cluster, read_from_replicas=True, key_prefix=cache.key_prefix)
        cache.set_many(dict.fromkeys(KEYS, 1))
        first.cli("WAIT", "1", "5000")
        replica.cli("CONFIG", "RESETSTAT")
        assert cache.get_many(*KEYS) == [1] * len(KEYS)
        assert "get" not in ran(replica)
        for _ in range(2):
            assert reading.get_many(*KEYS) == [1] * len(KEYS)
            assert [reading.get(key) for key in KEYS] == [1] * len(KEYS)
        assert ran(replica)["get"] > 0
        assert "set" not in ran(replica)
        replica.pause()  # so that it lags behind for certain
        reading.breakers[0].threshold = 0
        lock = {RESERVED + key: reading.new_entry("mine", 10) for key in keys_of(cache, first)}
        assert None not in reading.get_entries(list(lock), lock)
        assert all(reading.release_lock(key, "mine") for key in lock)
        replica.resume()

        key = keys_of(cache, first)[0]
        identity = first.cli("CLUSTER", "MYID")
        first.kill()
        with pytest.raises(redis.RedisError):
            cache.get(key)
        wait_until(lambda: _works(cache, key), "the replica is asked")
        assert cache.get_many(*KEYS) == ["x" if other == key else 1 for other in KEYS]
        assert node_of(cache, key) == replica.port
        for node in (replica, *others):
            node.cli("CLUSTER", "FORGET", identity)
        cache._nodes._refresh_at = 0.0
        cache._nodes._refresh("")
        assert not [breaker for breaker in cache.breakers[1:] if str(first.port) in breaker.name]


@contextmanager
def replica_of(node: ClusterNode, others: list[ClusterNode], folder: Path) -> Iterator[ClusterNode]:
    """A replica of a node, joined to its cluster and known to all."""
    replica = ClusterNode(folder / "replica")
    try:
        identity = node.cli("CLUSTER", "MYID")
        # They tell one another of themselves within half of this.
        for member in (replica, node, *others):
            settings = ("cluster-node-timeout", "1000", "repl-diskless-sync-delay", "0")
            member.cli("CONFIG", "SET", *settings)
        for other in (node, *others):
            replica.cli("CLUSTER", "MEET", HOST, str(other.port))

        def follows() -> bool:
            try:
                replica.cli("CLUSTER", "REPLICATE", identity)
            except RuntimeError:
                return False  # it does not know yet that the node is a primary
            return True

        wait_until(follows, "they have met")
        info = replica.info
        wait_until(lambda: info("replication").get("master_link_status") == "up", "it is in step")
        # One that has replicated nothing is not listed; this key is the first node's.
        node.cli("SET", "b", "1")
        for other in (node, *others):
            wait_until(
                lambda ask=other.cli: str(replica.port) in ask("CLUSTER", "SLOTS").split(),
                f"{other!r} knows it",
            )
        yield replica
    finally:
        replica.stop()


def test_a_cluster_may_come_later_than_the_application(proxied: Proxied) -> None:
    """Making the cache connects to nothing; calls fail until there is a cluster."""
    for proxy in proxied.proxies:
        proxy.refuse()
    cache = proxied.cache(breaker_cooldown=0.1)
    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises((redis.exceptions.RedisClusterException, BackendUnavailable)):
            cache.get("k")
    assert time.monotonic() - begun < 3
    proxied.behave()
    time.sleep(0.15)
    threads = [threading.Thread(target=cache.set, args=(key, 1)) for key in KEYS[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # While one was let through to try, others may have been refused.
    assert cache.set_many(dict.fromkeys(KEYS, 1)) == KEYS
    assert cache.get_many(*KEYS) == [1] * len(KEYS)


def test_a_server_that_is_no_cluster_is_named(
    redis_server: RedisServer, start_server: Callable[..., Any]
) -> None:
    """A single server was meant for RedisCache; a node that was reset has no slots."""
    for server in (redis_server, start_server(ClusterNode)):
        cache = cache_of([server])
        with pytest.raises(redis.exceptions.RedisClusterException, match=r"[Cc]luster"):
            cache.get("k")


def test_a_count_whose_reply_is_lost_is_not_repeated(proxied: Proxied) -> None:
    """redis-py's pipeline for clusters would count again."""
    cache = proxied.cache(breaker_threshold=0)
    cache.set_many(dict.fromkeys(KEYS, 5))
    for proxy in proxied.proxies:
        proxy.cut_after(1)
    for key in KEYS[:10]:
        with pytest.raises(redis.RedisError):
            cache.inc(key)
    proxied.behave()
    assert set(cache.get_many(*KEYS[:10])) <= {5, 6}


def test_no_call_gets_the_reply_of_another(proxied: Proxied) -> None:
    """Late, cut, or garbage: the connection is dropped, and the next call has its own."""
    cache = proxied.cache(breaker_threshold=0, socket_timeout=0.2)
    cache.set_many({key: f"value of {key}" for key in KEYS})
    values = [f"value of {key}" for key in KEYS]
    liar = proxied.proxies[1]
    misdeeds: list[Callable[[], None]] = [
        lambda: liar.babble(b"\x00\xff\r\n"),
        lambda: liar.delay(0.3),
        *(lambda length=length: liar.cut_after(length) for length in (1, 6, 250, 400)),
    ]
    for misdeed in misdeeds:
        assert cache.get_many(*KEYS) == values
        misdeed()
        with pytest.raises(redis.RedisError):
            cache.get_many(*KEYS)
        liar.behave()
        assert cache.get_many(*reversed(KEYS)) == values[::-1]
        assert [cache.get(key) for key in KEYS] == values


def test_an_interrupted_call_leaves_nothing_for_the_next(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever node's reply was being read, none is left in a connection, or on its way to one."""
    cache = proxied.cache()
    cache.set_many({key: f"value of {key}" for key in KEYS})
    some = [keys_of(cache, proxy)[-1] for proxy in proxied.proxies]
    for proxy in proxied.proxies:
        proxy.delay(0.05)
    read = AbstractConnection.read_response
    for after in (0, 1, 25, 45):
        left = after

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return read(*args, **kwargs)

        assert None not in cache.get_many(*some)  # connected
        monkeypatch.setattr(AbstractConnection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.get_many(*KEYS)
        monkeypatch.setattr(AbstractConnection, "read_response", read)
        assert [cache.get(key) for key in some] == [f"value of {key}" for key in some]
