"""RedisCache: what it asks of a server, on real ones, and what it does when they fail.

That it answers the protocol is for ``test_conformance.py`` to say.
"""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask
from proxies import LyingProxy
from redis.connection import AbstractConnection
from servers import RedisServer, free_port

from flask_caching import Cache
from flask_caching.backends.base import RESERVED, iter_keys
from flask_caching.backends.rediscache import RedisCache
from flask_caching.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    RefusedEntry,
    UnreadableEntry,
)

numbers = itertools.count()


def cache_of(server: Any, **options: Any) -> RedisCache:
    """A cache under a prefix that no other test has."""
    options.setdefault("key_prefix", f"test-{next(numbers)}/")
    return RedisCache(server.host, server.port, **options)


@pytest.fixture(params=["redis_server", "redis62_server"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    """The newest Redis there is, and the oldest that is supported."""
    found: RedisServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def cache(server: RedisServer) -> RedisCache:
    return cache_of(server)


def application(**config: Any) -> tuple[Flask, Cache]:
    app = Flask("tests")
    app.testing = True
    config = {"CACHE_TYPE": "RedisCache", "CACHE_KEY_PREFIX": f"test-{next(numbers)}/", **config}
    return app, Cache(app, config={"CACHE_INSTRUMENTATION": None, **config})


def located(server: Any) -> dict[str, Any]:
    return {"CACHE_REDIS_HOST": server.host, "CACHE_REDIS_PORT": server.port}


class Trips:
    """Round trips: how often something was written to a server, and what it counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        send = AbstractConnection.send_packed_command

        def counted(connection: Any, *args: Any, **kwargs: Any) -> None:
            self.number += 1
            send(connection, *args, **kwargs)

        monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)

    def of(self, function: Callable[..., Any], *args: Any) -> int:
        """The round trips of one call."""
        before = self.number
        function(*args)
        return self.number - before


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Trips:
    return Trips(monkeypatch)


def commands(server: RedisServer, function: Callable[..., Any], *args: Any) -> dict[str, int]:
    """How often the server ran which command during a call."""
    server.cli("CONFIG", "RESETSTAT")
    function(*args)
    stats = server.info("commandstats")
    stats = {name.removeprefix("cmdstat_"): line for name, line in stats.items()}
    return {
        name.partition("|")[0]: int(line.split("=")[1].split(",")[0])
        for name, line in stats.items()
        if name.partition("|")[0] not in ("auth", "config", "info")
    }


# What is asked of the server.


def test_each_operation_is_one_round_trip(cache: RedisCache, trips: Trips) -> None:
    """Whatever it takes: several keys, a counter's expiry, versions that must live longer."""
    cache.set("k", "v")
    cache.set_entry("k", cache.new_entry("v", 60), ["k"])  # learns what the server can do
    entry = cache.new_entry("v", 60)
    calls: dict[str, tuple[Any, ...]] = {
        "get": ("k",),
        "get_many": ("k", "none", "k2"),
        "set": ("k", "v"),
        "set_many": ({"k": 1, "k2": 2},),
        "add": ("new", "v"),
        "has": ("k",),
        "ttl": ("k",),
        "touch": ("k", 60),
        "inc": ("number",),
        "dec": ("number", 3),
        "delete": ("k",),
        "delete_many": ("k", "k2", "none"),
        "unlink": ("k", "k2"),
        "get_entry": ("k",),
        "get_entries": (["k", "k2"], {"k": entry, "k2": entry}),
        "set_entry": ("k", entry, ["k", "k2", "number"]),
        "add_entry": ("k3", entry),
    }
    taken = {name: trips.of(getattr(cache, name), *args) for name, args in calls.items()}
    assert taken == dict.fromkeys(calls, 1)
    assert trips.of(cache.touch, "k", 0) == 1
    assert trips.of(cache.get_entries, []) == trips.of(cache.delete_many) == 0


def test_a_hit_is_one_command(server: RedisServer, cache: RedisCache) -> None:
    """A GET for one key, an MGET for several, and nothing around them."""
    cache.set("a", "x")
    assert commands(server, cache.get, "a") == {"get": 1}
    assert commands(server, cache.get_many, "a", "b", "c") == {"mget": 1}
    assert commands(server, cache.delete_many, "a", "b", "c") == {"del": 1}
    assert commands(server, cache.unlink, "a", "b") == {"unlink": 1}


def test_a_memoized_call_is_one_round_trip_and_a_cold_one_two(
    redis_server: RedisServer, trips: Trips
) -> None:
    """A hit is one MGET of versions and value; a miss reads once and stores once."""
    app, cache = application(**located(redis_server))

    @cache.memoize(60)
    def double(number: int) -> int:
        return 2 * number

    with app.app_context():
        double(1)
        assert trips.of(double, 2) <= 2
        assert trips.of(double, 2) == 1
        assert commands(redis_server, double, 2) == {"mget": 1}
        cache.delete_memoized(double)
        assert trips.of(double, 2) <= 2
        assert trips.of(double, 2) == 1


def test_a_cached_view_is_one_round_trip(redis_server: RedisServer, trips: Trips) -> None:
    """A hit is one GET, a miss one GET and one SET."""
    app, cache = application(**located(redis_server))
    app.add_url_rule("/", "view", cache.cached(60)(lambda: "page"))
    client = app.test_client()
    cold = trips.of(client.get, "/")  # connects, too
    assert cold <= 6
    assert trips.of(client.get, "/") == 1
    assert commands(redis_server, client.get, "/") == {"get": 1}


def test_nothing_is_flushed_and_no_keys_command_is_sent(
    server: RedisServer, cache: RedisCache
) -> None:
    """Hazard 19: clearing and listing go by SCAN, what goes by UNLINK."""
    cache.set_many({f"key {number}": number for number in range(50)})

    def all_of_it() -> None:
        list(iter_keys(cache))
        cache.clear()

    ran = commands(server, all_of_it)
    assert set(ran) == {"scan", "pttl", "memory", "unlink"}


def test_versions_are_only_ever_made_to_live_longer(cache: RedisCache) -> None:
    """A key that must live as long as an entry is moved on, never back; for ever stays."""
    cache.set("version", "v", timeout=100)
    cache.set("eternal", "v", timeout=0)
    for timeout, at_least, at_most in ((50, 99, 100), (200, 199, 200), (150, 198, 200)):
        assert cache.set_entry("k", cache.new_entry("x", timeout), ["version", "eternal", "none"])
        left = cache.ttl("version")
        assert left is not None
        assert at_least < left <= at_most
    assert cache.ttl("eternal") == 0
    assert cache.set_entry("k", cache.new_entry("x", 0), ["version"])
    assert cache.ttl("version") == 0
    assert not cache.has("none")


def test_what_a_server_cannot_do_is_asked_once(redis62_server: RedisServer, trips: Trips) -> None:
    """Redis 6.2 has no PEXPIRE with GT: one question, then a script in the same round trip."""
    cache = cache_of(redis62_server)
    cache.set("version", "v", timeout=100)
    entry = cache.new_entry("x", 200)
    assert trips.of(cache.set_entry, "k", entry, ["version"]) == 2
    assert cache.ttl("version") == pytest.approx(200, abs=2)
    assert trips.of(cache.set_entry, "k", entry, ["version"]) == 1
    ran = commands(redis62_server, cache.set_entry, "k", entry, ["version"])
    assert ran["eval"] == ran["set"] == 1


def test_numbers_are_the_servers_own(redis_server: RedisServer) -> None:
    """Other programs can count with them, and read what this one counted."""
    cache = cache_of(redis_server, key_prefix="shared:")
    cache.set("visits", 5)
    redis_server.cli("INCRBY", "shared:visits", "2")
    assert cache.inc("visits", 3) == 10
    assert redis_server.cli("GET", "shared:visits") == "10"
    assert cache.get("visits") == 10
    assert cache.dec("visits", 11) == cache.get("visits") == -1
    cache.set("large", 2**62)
    assert cache.inc("large") == cache.get("large") == 2**62 + 1


def test_a_counter_keeps_its_expiry_and_a_new_one_gets_the_default(cache: RedisCache) -> None:
    """Counting moves no expiry, and a counter that never expires stays so."""
    cache.default_timeout = 60
    assert cache.inc("new") == 1
    assert cache.ttl("new") == pytest.approx(60, abs=2)
    cache.set("old", 1, timeout=1000)
    cache.set("eternal", 1, timeout=0)
    assert (cache.inc("old"), cache.inc("eternal")) == (2, 2)
    assert cache.ttl("old") == pytest.approx(1000, abs=2)
    assert cache.ttl("eternal") == 0
    cache.default_timeout = 0
    assert cache.inc("for ever") == 1
    assert cache.ttl("for ever") == 0


def test_a_counter_that_keeps_expiring_is_never_left_for_ever(cache: RedisCache) -> None:
    """Creating it and giving it an expiry is one step, however close its end is."""
    cache.default_timeout = 0.002
    for _ in range(300):
        cache.inc("n")
    time.sleep(0.05)
    assert not cache.has("n")


def test_what_cannot_be_counted_is_a_type_error(cache: RedisCache) -> None:
    """Text, an overflow, a list of another program, a step that is no whole number."""
    cache.set("text", "x")
    cache.set("digits", "12")
    cache.set("edge", 2**63 - 1)
    cache._write_client.rpush(cache.key_prefix + "list", "x")
    for key, words in (
        ("text", "something else than an integer"),
        ("digits", "something else"),
        ("list", "something else"),
        ("edge", "64-bit"),
    ):
        for timeout in (60, 0):
            cache.default_timeout = timeout
            with pytest.raises(TypeError, match=words):
                cache.inc(key)
    with pytest.raises(TypeError, match="64-bit"):
        cache.inc("n", 2**64)
    for delta in (1.5, "1", True, None):
        with pytest.raises(TypeError, match="delta"):
            cache.inc("n", delta)  # type: ignore[arg-type]
    assert cache.get("edge") == 2**63 - 1
    assert cache.breakers[0].state == "closed"


def test_no_count_and_no_add_is_lost_between_threads(cache: RedisCache) -> None:
    """Ten threads count to a thousand, and one of them adds each key."""

    def work(_: int) -> int:
        added = 0
        for number in range(100):
            cache.inc("n")
            added += cache.add(f"key {number}", 1)
        return added

    with ThreadPoolExecutor(10) as pool:
        added = list(pool.map(work, range(10)))
    assert cache.get("n") == 1000
    assert sum(added) == 100


def test_no_count_is_lost_between_processes(redis_server: RedisServer) -> None:
    """Several processes hammer one server: every count arrives, no read is torn."""
    program = """
import sys
from flask_caching.backends.rediscache import RedisCache
cache = RedisCache(sys.argv[1], int(sys.argv[2]), key_prefix="hammered/")
for number in range(300):
    cache.inc("n")
    cache.set("text", sys.argv[3] * 3000)
    text = cache.get("text")
    assert len(text) == 3000 and len(set(text)) == 1, text
"""
    address = [redis_server.host, str(redis_server.port)]
    processes = [
        subprocess.Popen([sys.executable, "-c", program, *address, letter]) for letter in "abc"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert cache_of(redis_server, key_prefix="hammered/").get("n") == 900


def test_parts_of_a_second_count(cache: RedisCache) -> None:
    """Expiry is by the server's clock, to the millisecond."""
    cache.set("short", 1, timeout=0.05)
    cache.set("rather", 1, timeout=0.5)
    assert cache.ttl("short") <= 0.05
    time.sleep(0.06)
    assert cache.get_many("short", "rather") == [None, 1]


def test_any_timeout_is_taken(cache: RedisCache) -> None:
    """Ages of the universe are as good as for ever; the smallest part of a second is some."""
    cache.set("k", 1, timeout=1e17)
    assert cache.ttl("k") > 1e11
    assert cache.touch("k", 1e17)
    assert cache.inc("k") == 2
    cache.default_timeout = 1e17
    assert cache.inc("n") == 1
    assert cache.set("tiny", 1, timeout=1e-9)


def test_touch_moves_removes_and_undoes_an_expiry(cache: RedisCache) -> None:
    """0 is for ever, a negative one is in the past, and what is not there is not touched."""
    cache.set("k", 1, timeout=10)
    assert cache.touch("k", 100)
    assert cache.ttl("k") == pytest.approx(100, abs=2)
    assert cache.touch("k", 0)
    assert cache.ttl("k") == 0
    assert cache.touch("k", 0)
    assert cache.touch("k")
    assert cache.ttl("k") == pytest.approx(300, abs=2)
    assert cache.touch("k", -1)
    assert not cache.has("k")
    assert [cache.touch("k", timeout) for timeout in (0, 10, -1)] == [False] * 3


def test_what_is_no_entry_is_unreadable(redis_server: RedisServer) -> None:
    """Another program's list, its text, the released library's pickle: misses with a reason."""
    cache = cache_of(redis_server, key_prefix="p/")
    cache._write_client.rpush("p/list", "x")
    cache._write_client.set("p/pickle", b"!" + pickle.dumps({"a": 1}))
    cache._write_client.set("p/text", b"\xff\x00")
    for key in ("list", "pickle", "text"):
        with pytest.raises(UnreadableEntry) as caught:
            cache.get(key)
        assert caught.value.reason == "foreign"
    unreadable: list[UnreadableEntry] = []
    cache.on_unreadable = unreadable.append
    cache.set("good", 1)
    assert cache.get_many("list", "pickle", "good", "text") == [None, None, 1, None]
    assert len(unreadable) == 2  # a list is nothing to MGET


def test_an_entry_under_another_key_is_not_taken(cache: RedisCache) -> None:
    """Its bytes say which key they are for."""
    cache.set("a", "secret of a")
    name = cache.key_prefix + "a"
    cache._write_client.set(cache.key_prefix + "b", cache._write_client.get(name))
    with pytest.raises(UnreadableEntry):
        cache.get("b")
    assert cache.get("a") == "secret of a"


def test_what_is_too_large_for_redis_is_refused(
    cache: RedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reason, before it is sent: the server would hang up."""
    monkeypatch.setattr("flask_caching.backends.redisops._LARGEST", 1000)
    with pytest.raises(RefusedEntry) as caught:
        cache.set("k", "x" * 2000)
    assert caught.value.reason == "too_large"
    assert cache.set("k", "x")


def test_keys_may_be_anything(cache: RedisCache) -> None:
    """Also text that is no valid Unicode, as a request may bring it."""
    keys = ["", " ", "a\r\nSET b 1", "\x00", "\ud800", "é", "x" * 100_000]
    cache.set_many({key: number for number, key in enumerate(keys)})
    assert cache.get_many(*keys) == list(range(len(keys)))
    assert sorted(info.key for info in iter_keys(cache)) == sorted(keys)


def test_the_prefix_may_be_made_for_each_operation(redis_server: RedisServer) -> None:
    """A callable is asked each time, and an attribute may be changed."""
    tenant = "tenant-one/"
    cache = cache_of(redis_server, key_prefix=lambda: tenant)
    cache.set("k", 1)
    tenant = "tenant-two/"
    assert cache.get("k") is None
    cache.set("k", 2)
    assert {info.key for info in iter_keys(cache)} == {"k"}  # SCAN may tell one twice
    cache.clear()
    cache.key_prefix = "tenant-one/"
    assert cache.get("k") == 1
    cache.clear()


# Clearing.


def test_clear_takes_its_own_keys_and_no_other(own_redis: RedisServer) -> None:
    """However many, however the prefix looks, and whoever shares the database."""
    names = ["a[b]*?\\", "a[b]*", "ab", "a", "axyz", "other", ""]
    caches = [cache_of(own_redis, key_prefix=name + "/") for name in names]
    for cache in caches:
        cache.set_many({str(number): number for number in range(1500)})
    own_redis.cli("SET", "foreign", "1")
    for position, cache in enumerate(caches):
        assert cache.clear() is True
        assert cache.get("7") is None
        assert int(own_redis.cli("DBSIZE")) == 1500 * (len(caches) - position - 1) + 1
    assert own_redis.cli("GET", "foreign") == "1"


def test_clear_leaves_what_is_reserved(cache: RedisCache) -> None:
    """Locks and the switch survive, and are not listed."""
    cache.set_many({RESERVED + "lock": "token", "k": 1})
    assert [info.key for info in iter_keys(cache)] == ["k"]
    cache.clear()
    assert cache.get_many(RESERVED + "lock", "k") == ["token", None]


def test_without_a_prefix_clear_wants_to_be_told(own_redis: RedisServer) -> None:
    """It would remove everyone's keys; if it may, it removes them without a flush."""
    own_redis.cli("SET", "foreign", "1")
    cache = cache_of(own_redis, key_prefix="")
    cache.set_many({"k": 1, RESERVED + "off": 1})
    with pytest.raises(ConfigurationError, match="CACHE_ALLOW_FLUSH"):
        cache.clear()
    assert own_redis.cli("DBSIZE") == "3"
    allowed = cache_of(own_redis, key_prefix=None, allow_flush=True)
    assert set(commands(own_redis, allowed.clear)) == {"scan", "unlink"}
    assert allowed.get_many("k", RESERVED + "off") == [None, 1]


# Listing.


def test_looking_at_keys_does_not_refresh_them(start_server: Callable[..., Any]) -> None:
    """Neither their expiry nor the age by which the server evicts."""
    options = ["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0", "--maxmemory", "50mb"]
    server = start_server(RedisServer, *options)
    cache = cache_of(server, key_prefix="p/")
    cache.set("k", "v", timeout=100)
    before = server.cli("OBJECT", "FREQ", "p/k")
    for _ in range(20):
        (info,) = iter_keys(cache)
        cache.ttl("k")
    assert server.cli("OBJECT", "FREQ", "p/k") == before
    assert info.expires_at == pytest.approx(time.time() + 100, abs=5)
    assert info.size is not None
    assert info.size > 50
    for _ in range(20):
        cache.get("k")
    assert server.cli("OBJECT", "FREQ", "p/k") != before


def test_a_page_among_many_keys_of_others_is_bounded(own_redis: RedisServer, trips: Trips) -> None:
    """A few round trips a page, an empty page if need be, and all of them in the end."""
    fill = "for i = 1, 60000 do redis.call('SET', 'foreign:' .. i, 1) end"
    own_redis.cli("EVAL", fill, "0")
    cache = cache_of(own_redis, key_prefix="own/")
    keys = {f"key {number}": number for number in range(20)}
    cache.set_many(keys)
    listed: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        before = trips.number
        page = cache.keys(cursor, 100)
        assert trips.number - before <= 9
        listed += [info.key for info in page.keys]
        cursor, pages = page.cursor, pages + 1
    assert sorted(listed) == sorted(keys)
    assert 5 < pages < 40


def test_a_listing_says_what_it_may(own_redis: RedisServer) -> None:
    """A user who may not ask for sizes, or expiries, gets keys without."""
    for command, field in (("memory", "size"), ("pttl", "expires_at")):
        own_redis.cli("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", f"-{command}")
        cache = cache_of(own_redis, username="app", password="secret", key_prefix="p/")
        cache.set("k", 1)
        (info,) = iter_keys(cache)
        assert info.key == "k"
        assert getattr(info, field) is None


def test_a_cursor_of_somebody_else_is_an_error(cache: RedisCache) -> None:
    """A cursor comes from a URL: nonsense is named, and reaches no server."""
    for cursor in ("x", "-1", "1.5", str(2**64), "1; FLUSHALL", "²"):
        with pytest.raises(ValueError, match="cursor"):
            cache.keys(cursor)


# Locks.


def test_a_lock_is_released_by_its_holder_alone(cache: RedisCache) -> None:
    """Not by one whose lock has expired and is another's by now."""
    key = RESERVED + "lock/k"
    mine, theirs = cache.new_entry("mine", 10), cache.new_entry("theirs", 10)
    for entry in (mine, theirs):
        (held,) = cache.get_entries([key], {key: entry})
        assert held is not None
        assert held.payload == "mine"
    assert cache.release_lock(key, "theirs") is False
    assert cache.release_lock(key, "mine") is True
    assert cache.release_lock(key, "mine") is False
    cache._write_client.set(cache.key_prefix + key, b"garbage")
    assert cache.release_lock(key, "mine") is False


def test_a_lock_taken_over_meanwhile_is_left_alone(
    cache: RedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and removing it may expire: the server compares."""
    cache.set("lock", "mine")
    do = cache._do

    def slowly(*command: Any, **options: Any) -> Any:
        answer = do(*command, **options)
        if command[0] == "GETRANGE":
            cache.set("lock", "theirs")
        return answer

    monkeypatch.setattr(cache, "_do", slowly)
    assert cache.release_lock("lock", "mine") is False
    monkeypatch.undo()
    assert cache.get("lock") == "theirs"


# When the server fails.


def fails(function: Callable[..., Any], *args: Any) -> Exception:
    """What a call raises."""
    with pytest.raises((redis.RedisError, OSError, BackendUnavailable)) as caught:
        function(*args)
    return caught.value


@pytest.fixture
def proxy(redis_server: RedisServer, proxy_to: Callable[..., LyingProxy]) -> LyingProxy:
    return proxy_to(redis_server)


@pytest.fixture
def steady(proxy: LyingProxy) -> RedisCache:
    """A cache behind the proxy that is not patient, and whose breaker never opens."""
    cache = cache_of(proxy, breaker_threshold=0, socket_timeout=0.2)
    cache.set_many({"a": "value of a", "b": "value of b", "n": 5})
    return cache


def test_a_refused_port_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hazard 17: ten calls together take less than one used to, and try it three times."""
    cache = RedisCache("127.0.0.1", free_port())
    connect, tries = redis.Connection._connect, 0

    def counted(connection: Any) -> Any:
        nonlocal tries
        tries += 1
        return connect(connection)

    monkeypatch.setattr(redis.Connection, "_connect", counted)
    begun = time.monotonic()
    errors = [fails(cache.get, "k") for _ in range(10)]
    assert time.monotonic() - begun < 2
    assert all(isinstance(error, redis.ConnectionError) for error in errors)
    assert [isinstance(error, BackendUnavailable) for error in errors] == [False] * 3 + [True] * 7
    assert cache.breakers[0].state == "open"
    assert tries == 3


def test_a_view_goes_on_without_its_server() -> None:
    """Ten requests on a refused port take under two seconds in all, and all are answered."""
    port = free_port()
    app, cache = application(CACHE_REDIS_HOST="127.0.0.1", CACHE_REDIS_PORT=port)
    app.add_url_rule("/", "view", cache.cached(60)(lambda: "page"))
    client = app.test_client()
    begun = time.monotonic()
    assert [client.get("/").data for _ in range(10)] == [b"page"] * 10
    assert time.monotonic() - begun < 2
    with app.app_context(), pytest.raises(redis.ConnectionError) as caught:
        cache.get("k")
    assert isinstance(caught.value, BackendError)


def test_a_server_that_never_answers_costs_a_bounded_time(proxy: LyingProxy) -> None:
    """Also for what is retried otherwise: waiting twice helps nobody."""
    cache = cache_of(proxy, breaker_threshold=0)
    cache.set("a", 1)
    proxy.fall_silent()
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("a"),
        lambda: cache.set_entry("c", cache.new_entry(1, 10), ["d"]),
        lambda: cache.inc("n"),
    ]
    for call in calls:
        begun = time.monotonic()
        assert isinstance(fails(call), redis.TimeoutError)
        assert 0.4 < time.monotonic() - begun < 1.5
    proxy.behave()
    assert cache.get("a") == 1


def test_the_breaker_opens_and_closes_again(own_redis: RedisServer) -> None:
    """A paused server is left alone after a few calls, and found again when it goes on."""
    cache = cache_of(own_redis, breaker_cooldown=0.1, socket_timeout=0.1)
    cache.set("k", 1)
    states: list[str] = []
    cache.breakers[0].listener = lambda before, after: states.append(after)
    own_redis.pause()
    for _ in range(3):
        fails(cache.get, "k")
    begun = time.monotonic()
    assert isinstance(fails(cache.get, "k"), BackendUnavailable)
    assert time.monotonic() - begun < 0.09
    own_redis.resume()
    time.sleep(0.15)
    assert cache.get("k") == 1
    assert states == ["open", "half_open", "closed"]
    assert str(own_redis.port) in cache.breakers[0].name


def test_a_restart_goes_unnoticed(own_redis: RedisServer) -> None:
    """Connections that are lost meanwhile are made anew, by any kind of call."""
    cache = cache_of(own_redis)
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("k"),
        lambda: cache.get_many("k", "l"),
        lambda: cache.set("k", 1),
        lambda: cache.inc("n"),
        lambda: cache.add("k", 1),
        lambda: cache.delete_many("k", "l"),
        lambda: cache.set_entry("k", cache.new_entry(1, 10), ["l"]),
    ]
    for call in calls:
        cache.has("k")
        own_redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        call()
    own_redis.kill()
    fails(cache.get, "k")
    own_redis.restart()
    assert cache.set("k", 1)
    assert cache.get("k") == 1


def test_a_connection_lost_under_way_is_tried_once_more(
    steady: RedisCache, proxy: LyingProxy, redis_server: RedisServer
) -> None:
    """What can be repeated is; what cannot is counted once and raised."""

    def lost_once(function: Callable[..., Any], *args: Any) -> Any:
        proxy.cut_after(1)
        accepted = proxy.accepted
        behave = threading.Thread(target=behave_after_next, args=(accepted,))
        behave.start()
        try:
            return function(*args)
        finally:
            behave.join()

    def behave_after_next(accepted: int) -> None:
        deadline = time.monotonic() + 5
        while proxy.accepted == accepted and time.monotonic() < deadline:
            time.sleep(0.0005)
        proxy.behave()

    # The second try may be cut as well, before the proxy is told; some of these get through.
    answers = []
    for _ in range(8):
        try:
            answers.append(lost_once(steady.get, "a"))
        except redis.ConnectionError:
            answers.append(None)
    assert set(answers) <= {"value of a", None}
    proxy.cut_after(1)
    before = proxy.accepted
    for call, tries in (
        (lambda: steady.get("a"), 2),
        (lambda: steady.get_many("a", "b"), 2),
        (lambda: steady.set("c", 1), 2),
        (lambda: steady.delete("c"), 2),
        (lambda: steady.inc("n"), 1),
        (lambda: steady.add("d", 1), 1),
    ):
        connections = proxy.accepted
        steady._write_client.connection_pool.disconnect()
        fails(call)
        assert proxy.accepted - connections == tries
    assert before < proxy.accepted
    proxy.behave()
    assert steady.get("n") in (5, 6)


def test_a_count_whose_reply_is_lost_is_not_repeated(steady: RedisCache, proxy: LyingProxy) -> None:
    """The server counted it once; asking again would count it twice."""
    steady.has("n")
    proxy.cut_after(1)
    fails(steady.inc, "n")
    proxy.behave()
    assert steady.get("n") == 6


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_a_reply_cut_anywhere_is_never_taken_for_another(
    steady: RedisCache, proxy: LyingProxy, length: int
) -> None:
    """The call fails, or gets its own answer; so does the next one."""
    proxy.cut_after(length)
    failed = 0
    calls: list[tuple[Callable[[], Any], Any]] = [
        (lambda: steady.get("a"), "value of a"),
        (lambda: steady.get("b"), "value of b"),
        (lambda: steady.get_many("b", "n"), ["value of b", 5]),
        (lambda: steady.has("n"), True),
    ]
    for call, wanted in calls:
        try:
            assert call() == wanted
        except redis.RedisError:
            failed += 1
    assert failed > 2
    proxy.behave()
    assert steady.get_many("b", "a") == ["value of b", "value of a"]
    assert (steady.get("a"), steady.get("n")) == ("value of a", 5)


def test_a_late_reply_is_nobody_elses(steady: RedisCache, proxy: LyingProxy) -> None:
    """What comes after the time-out goes to no later call."""
    for call in (
        lambda: steady.get("a"),
        lambda: steady.inc("other"),
        lambda: steady.get_entries(["a"], {"c": steady.new_entry("c", 10)}),
    ):
        proxy.delay(0.3)
        assert isinstance(fails(call), redis.TimeoutError)
        proxy.behave()
        assert steady.get("b") == "value of b"
        assert steady.get("n") == 5
        time.sleep(0.12)
        assert steady.get("b") == "value of b"


@pytest.mark.parametrize("garbage", [b"\x00\xffgarbage\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_garbage_is_a_failure_of_the_server(
    steady: RedisCache, proxy: LyingProxy, garbage: bytes
) -> None:
    """Whatever listens there is no Redis; the connection is not used again."""
    proxy.babble(garbage)
    failures = steady.breakers[0].failures
    for call in (lambda: steady.get("a"), lambda: steady.get_many("a", "b")):
        assert isinstance(fails(call), failures)
    proxy.behave()
    assert steady.get_many("a", "b") == ["value of a", "value of b"]


class Interruption(BaseException):
    """What a signal handler raises in the middle of a call."""


# One that is interrupted while redis-py opens it is closed by the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_call_leaves_nothing_for_the_next(redis_server: RedisServer) -> None:
    """Wherever it is interrupted, between sending and reading too: no call gets its reply."""
    cache = cache_of(redis_server, breaker_threshold=0)
    cache.set_many({"a": 1, "b": 2})

    def interrupt(*_: Any) -> None:
        raise Interruption

    calls: list[tuple[Callable[[], Any], Any]] = [
        (lambda: cache.get("a"), 1),
        (lambda: cache.get("b"), 2),
        (lambda: cache.get_many("b", "a"), [2, 1]),
    ]
    interrupted = 0
    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(600):
            call, wanted = calls[turn % len(calls)]
            # Connects, if the call before was interrupted.
            assert cache.has("a")
            try:
                signal.setitimer(signal.ITIMER_REAL, (turn % 150 + 1) * 2e-6)
                got = call()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interruption:
                interrupted += 1
            else:
                assert got == wanted
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupted > 50
    assert cache.get_many("a", "b") == [1, 2]
    gc.collect()


def test_an_unread_reply_is_dropped_with_its_connection(
    steady: RedisCache, proxy: LyingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it arrives after the next call looked whether there is one."""
    proxy.delay(0.1)
    read = AbstractConnection.read_response

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        raise Interruption

    for interruption in (Interruption, ValueError):
        monkeypatch.setattr(AbstractConnection, "read_response", interrupted)
        interrupted.__globals__["Interruption"] = interruption
        with pytest.raises(interruption):
            steady.has("a")
        monkeypatch.setattr(AbstractConnection, "read_response", read)
        assert steady.ttl("b") == pytest.approx(300, abs=5)
        assert steady.inc("n", 0) == 5


def test_a_full_server_refuses_writes_and_goes_on_reading(own_redis: RedisServer) -> None:
    """OOM is an answer: it is raised, opens no breaker, and decorated calls go on."""
    app, cache = application(**located(own_redis))
    calls = []

    @cache.memoize()
    def load(key: str) -> str:
        calls.append(key)
        return key * 10

    with app.app_context():
        backend = cache.cache
        backend.set_many({"small": "x", "n": 1})
        load("before")
        own_redis.cli("CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction")
        fill = "for i = 1, 100000 do redis.call('SETRANGE', 'filler' .. i, 10000, 'x') end"
        with pytest.raises(RuntimeError, match="OOM"):
            own_redis.cli("EVAL", fill, "0")
        assert [load(key) for key in ("before", "x", "x")] == ["before" * 10, "x" * 10, "x" * 10]
        assert calls == ["before", "x", "x"]
        assert backend.get_many("small", "n") == ["x", 1]
        entry = backend.new_entry("x", 9)
        writes: list[Callable[[], Any]] = [
            lambda: backend.set("k", "x"),
            lambda: backend.add("k", "x"),
            lambda: backend.inc("n"),
            lambda: backend.set_many({"k": 1, "l": 2}),
            lambda: backend.set_entry("k", entry, ["small"]),
            lambda: backend.get_entries(["k", "small"], {"k": entry}),
        ]
        for write in writes:
            with pytest.raises(redis.ResponseError, match="maxmemory"):
                write()
        # Nothing is lost if the key to be created is there already.
        (found,) = backend.get_entries(["small"], {"small": entry})
        assert found.payload == "x"
        assert backend.breakers[0].state == "closed"
        backend.clear()
        own_redis.cli("CONFIG", "SET", "maxmemory", "0")
        assert backend.set("small", 2)


def test_a_wrong_password_is_a_failure_and_stays_secret(start_server: Callable[..., Any]) -> None:
    """The breaker opens, and no message says what was tried."""
    server = start_server(RedisServer, password="right")
    cache = cache_of(server, password="not-the-right-one")
    errors = [fails(cache.get, "k") for _ in range(5)]
    assert all(isinstance(error, redis.AuthenticationError) for error in errors)
    assert isinstance(errors[-1], BackendUnavailable)
    for text in (*map(str, errors), repr(cache), cache.breakers[0].name):
        assert "not-the-right-one" not in text
    assert isinstance(fails(cache_of(server).get, "k"), redis.AuthenticationError)
    assert cache_of(server, password="right").set("k", 1)


def test_a_read_only_replica_is_read_and_left_when_it_refuses(
    own_redis: RedisServer, redis_server: RedisServer
) -> None:
    """READONLY is an answer; the connection is dropped, so that a name that moved is asked anew."""
    cache = cache_of(own_redis)
    cache.set("k", 1)
    own_redis.cli("REPLICAOF", redis_server.host, "1")
    pool = cache._write_client.connection_pool
    for write in (
        lambda: cache.set("k", 2),
        lambda: cache.inc("n"),
        lambda: cache.set_entry("k", cache.new_entry(2, 10), ["v"]),
        lambda: cache.get_entries(["k", "new"], {"new": cache.new_entry(2, 10)}),
    ):
        assert cache.get("k") == 1
        with pytest.raises(redis.ResponseError):
            write()
        assert all(connection._sock is None for connection in pool._available_connections)
    assert cache.breakers[0].state == "closed"
    own_redis.cli("REPLICAOF", "NO", "ONE")
    assert cache.set("k", 2)


def test_a_child_goes_on_with_its_own_connections(redis_server: RedisServer) -> None:
    """After a fork parent and child use the cache at the same time."""
    cache = cache_of(redis_server)
    cache.set_many({"parent": "parent", "child": "child"})
    child = os.fork()
    if not child:
        try:
            right = all(cache.get("child") == "child" for _ in range(200))
            cache.set("result", right)
        finally:
            os._exit(0)
    assert all(cache.get("parent") == "parent" for _ in range(200))
    os.waitpid(child, 0)
    assert cache.get("result") is True


@pytest.fixture(autouse=True)
def _no_alarm() -> Iterator[None]:
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
