"""RedisSentinelCache: the server that Sentinels call the master, whichever that is by now."""

from __future__ import annotations

import itertools
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import redis
from proxies import LyingProxy
from redis.connection import AbstractConnection
from redis_groups import SentinelServer, SentinelSet
from servers import HOST, RedisServer, free_port, wait_until

from flask_caching.backends.rediscache import RedisCache, RedisSentinelCache
from flask_caching.errors import BackendUnavailable

numbers = itertools.count()


def cache_of(group: Any, **options: Any) -> RedisSentinelCache:
    """A cache under a prefix that no other test has."""
    options.setdefault("key_prefix", f"test-{next(numbers)}/")
    return RedisSentinelCache(group.sentinels, group.master_name, **options)


def ran(server: RedisServer, command: str) -> bool:
    return f"cmdstat_{command}" in server.info("commandstats")


class Group:
    """Stands in for Sentinels: they name whichever server they are told to."""

    master_name = "named"

    def __init__(self, server: Any) -> None:
        self.sentinels = [(HOST, 1)]
        self.named = server

    def cache(self, **options: Any) -> RedisSentinelCache:
        """A cache that asks this object for its master."""
        cache = cache_of(self, **options)
        manager = cache._write_client.connection_pool.sentinel_manager
        manager.discover_master = lambda name: (self.named.host, self.named.port)
        manager.discover_slaves = lambda name: []
        return cache


def test_everything_goes_to_the_master(sentinel_set: SentinelSet) -> None:
    """A replica that lags would bring back what was deleted, so nothing is read from one."""
    cache = cache_of(sentinel_set)
    for node in sentinel_set.nodes:
        node.cli("CONFIG", "RESETSTAT")
    cache.set("k", 1)
    assert cache.get("k") == 1
    assert cache.get_many("k", "l") == [1, None]
    assert [ran(node, "get") for node in sentinel_set.replicas] == [False, False]
    assert ran(sentinel_set.master, "get")
    assert cache._read_client is cache._write_client
    assert isinstance(cache, RedisCache)
    assert sentinel_set.master_name in cache.breakers[0].name


def test_replicas_are_read_where_that_is_asked_for(sentinel_set: SentinelSet) -> None:
    """Writing and counting stay with the master, and so does creating."""
    cache = cache_of(sentinel_set, read_from_replicas=True)
    assert len(cache.breakers) == 2
    for node in sentinel_set.nodes:
        node.cli("CONFIG", "RESETSTAT")
    cache.set("k", 1)
    wait_until(lambda: cache.get("k") == 1, "the replica has it")
    assert cache.get_many("k", "l") == [1, None]
    assert not ran(sentinel_set.master, "get")
    assert any(ran(node, "get") for node in sentinel_set.replicas)
    assert cache.inc("n") == 1
    (created,) = cache.get_entries(["new"], {"new": cache.new_entry("x", 10)})
    assert created is not None
    assert ran(sentinel_set.master, "mget")


def test_addresses_may_be_text(sentinel_set: SentinelSet) -> None:
    """``host:port,host:port``, as an environment variable has them; one that is dead is skipped."""
    places = [(HOST, free_port()), *sentinel_set.sentinels]
    text = " , ".join(f"{host}:{port}" for host, port in places)
    cache = RedisSentinelCache(text, sentinel_set.master_name, key_prefix="text/")
    assert cache.set("k", 1)


def test_after_a_failover_calls_find_the_new_master(own_sentinel_set: SentinelSet) -> None:
    """An orderly one costs a call at most; after a crash each fails in bounded time until then."""
    group, old = own_sentinel_set, own_sentinel_set.master
    cache = cache_of(group, breaker_cooldown=0.2)
    cache.set("k", 1)
    group.sentinel_servers[0].cli("SENTINEL", "FAILOVER", group.master_name)
    new = group.wait_for_failover(old)
    ask = ("SENTINEL", "MASTER", group.master_name)
    for sentinel in group.sentinel_servers:
        wait_until(lambda said=sentinel.cli: str(new.port) in said(*ask).split(), "it is known")
    # The Sentinels do this themselves, up to ten seconds later.
    old.cli("REPLICAOF", new.host, str(new.port))
    failed = 0
    for number in range(5):
        try:
            assert cache.set("k", number)
            assert cache.get("k") == number
        except redis.RedisError:
            failed += 1
    assert failed <= 1
    assert new.cli("EXISTS", f"{cache.key_prefix}k") == "1"

    new.cli("WAIT", "1", "5000")
    new.kill()
    begun = time.monotonic()
    with pytest.raises(redis.ConnectionError):
        cache.get("k")
    assert time.monotonic() - begun < 3
    group.wait_for_failover(new)

    def works() -> bool:
        try:
            return cache.set("k", "after")
        except redis.RedisError:
            return False

    wait_until(works, "the newest master is found", 10)
    assert cache.get("k") == "after"
    assert cache.inc("n") == 1


def test_a_demoted_master_is_left_at_its_first_refusal(
    own_redis: RedisServer, redis_server: RedisServer
) -> None:
    """READONLY drops the connection: what can be repeated is, at the new master at once."""
    group = Group(own_redis)
    calls: list[Callable[[RedisSentinelCache], Any]] = [
        lambda cache: cache.set("k", 1),
        lambda cache: cache.set_entry("k", cache.new_entry("x", 9), ["v"]),
        lambda cache: cache.delete("k"),
        lambda cache: cache.clear(),
    ]
    for call in calls:
        own_redis.cli("REPLICAOF", "NO", "ONE")
        group.named = own_redis
        cache = group.cache()
        cache.set("k", 0)
        own_redis.cli("REPLICAOF", HOST, "1")
        group.named = redis_server
        call(cache)
        assert cache.set("k", 1)
    own_redis.cli("REPLICAOF", "NO", "ONE")
    group.named = own_redis
    cache = group.cache()
    cache.inc("n")
    own_redis.cli("REPLICAOF", HOST, "1")
    group.named = redis_server
    with pytest.raises(redis.RedisError):
        cache.inc("n")
    assert cache.inc("n") == 1
    assert cache.breakers[0].state == "closed"


def test_no_sentinel_is_a_failure_like_any_other() -> None:
    """Bounded, counted by the breaker, and named without a credential."""
    places = [(HOST, free_port()), (HOST, free_port())]
    cache = RedisSentinelCache(places, "nobody", "server-secret", sentinel_password="my-secret")
    begun = time.monotonic()
    for attempt in range(5):
        with pytest.raises(redis.ConnectionError) as caught:
            cache.get("k")
        assert isinstance(caught.value, BackendUnavailable) == (attempt >= 3)
        assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert time.monotonic() - begun < 2
    assert "secret" not in repr(cache) + cache.breakers[0].name


def test_sentinels_and_servers_have_passwords_of_their_own(
    start_server: Callable[..., Any],
) -> None:
    """And user names."""
    master = start_server(RedisServer, password="of-server")
    master.cli("ACL", "SETUSER", "app", "on", ">of-app", "~*", "+@all")
    options = ("--requirepass", "of-sentinel")
    sentinel = start_server(SentinelServer, *options, password="of-sentinel")
    sentinel.cli("SENTINEL", "MONITOR", "guarded", HOST, str(master.port), "1")
    sentinel.cli("SENTINEL", "SET", "guarded", "auth-pass", "of-server")
    sentinel.cli("ACL", "SETUSER", "guest", "on", ">of-guest", "~*", "+@all", "allchannels")
    place = [sentinel.address]
    for password, extra in (
        ("of-server", {"sentinel_password": "of-sentinel"}),
        ("of-app", {"username": "app", "sentinel_kwargs": {"password": "of-sentinel"}}),
        (
            "of-app",
            {"username": "app", "sentinel_username": "guest", "sentinel_password": "of-guest"},
        ),
    ):
        cache = RedisSentinelCache(place, "guarded", password, db=1, **extra)
        assert cache.set("k", password)
        assert cache.get("k") == password
    for password, extra in (
        ("wrong", {"sentinel_password": "of-sentinel"}),
        ("of-server", {"sentinel_password": "wrong"}),
        ("of-server", {}),
    ):
        cache = RedisSentinelCache(place, "guarded", password, **extra)
        with pytest.raises(redis.ConnectionError) as caught:
            cache.get("k")
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")


def test_no_call_gets_the_reply_of_another(
    redis_server: RedisServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """After garbage, a time-out or an interruption a connection is dropped here, too."""
    proxy = proxy_to(redis_server)
    cache = Group(proxy).cache(breaker_threshold=0, socket_timeout=0.2)
    cache.set_many({"a": "value of a", "b": "value of b"})
    misdeeds: list[Callable[[], None]] = [
        lambda: proxy.babble(b"\x00\xff"),
        lambda: proxy.babble(b":5\r\n"),
        lambda: proxy.babble(b"*1\r\n$1\r\na\r\n"),
        lambda: proxy.delay(0.3),
        lambda: proxy.cut_after(7),
    ]
    calls: list[Callable[[], Any]] = [lambda: cache.get("a"), lambda: cache.get_many("a", "c")]
    for misdeed, call in itertools.product(misdeeds, calls):
        cache.has("a")
        misdeed()
        with pytest.raises((redis.RedisError, UnicodeError)):
            call()
        proxy.behave()
        assert cache.get("b") == "value of b"
        assert cache.get_many("b", "a") == ["value of b", "value of a"]


def test_an_unread_reply_is_dropped_with_its_connection(
    redis_server: RedisServer,
    proxy_to: Callable[..., LyingProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception in the middle of reading: redis-py 8 would keep the connection."""
    proxy = proxy_to(redis_server)
    cache = Group(proxy).cache()
    cache.set_many({"a": 1, "b": 2})
    read = AbstractConnection.read_response

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    proxy.delay(0.1)
    monkeypatch.setattr(AbstractConnection, "read_response", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.get("a")
    monkeypatch.setattr(AbstractConnection, "read_response", read)
    assert cache.get("b") == 2


def test_a_connection_with_garbage_in_it_is_closed_at_once(
    redis_server: RedisServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """Before another thread can take it from the pool."""
    proxy = proxy_to(redis_server)
    pool = Group(proxy).cache()._write_client.connection_pool
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        connection = pool.get_connection("GET")
    proxy.babble()
    connection.send_command("GET", "k")
    with pytest.raises(redis.RedisError):
        connection.read_response()
    assert connection._sock is None
    pool.release(connection)
