"""Hazard 17 and its kind: the cache's server is slow, gone, or lying, and the site goes on."""

from __future__ import annotations

import itertools
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import render_template_string
from hazard_processes import flask_cache
from hazard_site import WAYS, Site, Traffic, close_sites, handled, raised
from hazard_stores import FIXTURES, NETWORK, config_at, config_of
from hazard_threads import PATIENCE, Worker
from proxies import LyingProxy
from redis_groups import ClusterNode, SentinelSet, start_cluster
from servers import (
    HOST,
    MemcachedServer,
    RedisServer,
    SaslMemcachedServer,
    Server,
    free_port,
    wait_until,
)

from flask_caching import BackendError, Cache
from flask_caching.observer import faults

Start = Callable[..., Any]
MakeProxy = Callable[[Server], LyingProxy]

#: Seconds. A breaker's, where a test waits for it to end.
COOLDOWN = 0.3
#: Seconds that a request to a server that never answers may take: time-outs to connect and to
#: read once, and for a cluster those of asking another node which nodes there are, 1.3 together,
#: on a machine that does other things. The released library's retries take longer.
BOUND = 3.0

#: What listens on one address, and so can be behind a proxy.
SINGLE = {
    "RedisCache": RedisServer,
    "MemcachedCache": MemcachedServer,
    "SASLMemcachedCache": SaslMemcachedServer,
}
#: Options that make a client give up soon, so that a test of many time-outs is a short one.
IMPATIENT = {
    "RedisCache": {"socket_timeout": 0.1},
    "MemcachedCache": {"timeout": 0.1},
    "SASLMemcachedCache": {"socket_timeout": 0.1},
}
PASSWORD = "a-secret-that-nobody-reads"

#: Every direct call, of a key that is not there.
DIRECT: dict[str, Callable[[Cache], Any]] = {
    "get": lambda cache: cache.get("k"),
    "get_many": lambda cache: cache.get_many("k", "l"),
    "get_dict": lambda cache: cache.get_dict("k", "l"),
    "has": lambda cache: cache.has("k"),
    "set": lambda cache: cache.set("k", "v"),
    "set_many": lambda cache: cache.set_many({"k": "v", "l": "w"}),
    "add": lambda cache: cache.add("k", "v"),
    "inc": lambda cache: cache.inc("k"),
    "dec": lambda cache: cache.dec("k"),
    "touch": lambda cache: cache.touch("k"),
    "ttl": lambda cache: cache.ttl("k"),
    "delete": lambda cache: cache.delete("k"),
    "delete_many": lambda cache: cache.delete_many("k", "l"),
    "unlink": lambda cache: cache.unlink("k", "l"),
    "clear": lambda cache: cache.clear(),
}
#: Calls that make others forget, or not look.
MANAGING: dict[str, Callable[[Site], Any]] = {
    "delete_memoized": lambda site: site.cache.delete_memoized(site.price),
    "delete_memoized of a call": lambda site: site.cache.delete_memoized(site.price, 1),
    "delete_memoized_verhash": lambda site: site.cache.delete_memoized_verhash(site.price),
    "delete_cached": lambda site: site.cache.delete_cached(site.page, number=1),
    "disable": lambda site: site.cache.disable(),
    "enable": lambda site: site.cache.enable(),
    "enabled": lambda site: site.cache.enabled,
}
WRITES = ("set", "set_many", "add", "inc")


def own_kind(store: str) -> tuple[type[Exception], ...]:
    """What a store's own client raises, and applications may have caught."""
    if store == "RedisClusterCache":
        from redis.exceptions import RedisClusterException, RedisError

        return RedisError, RedisClusterException
    if store.startswith("Redis"):
        from redis.exceptions import RedisError

        return (RedisError,)
    if store == "SASLMemcachedCache":
        return (OSError,)
    from pymemcache.exceptions import MemcacheError

    return OSError, MemcacheError


def refused_site(store: str, **config: Any) -> Site:
    """A site whose cache server is not there."""
    return Site(**config_at(store, (HOST, free_port())), **config)


def proxied_site(store: str, proxy: LyingProxy, **config: Any) -> Site:
    """A site whose cache server is behind a proxy."""
    return Site(
        **config_at(store, proxy.address),
        **{"CACHE_BREAKER_COOLDOWN": COOLDOWN, "CACHE_KEY_PREFIX": proxy.prefix, **config},
    )


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_sites()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterNode]]:
    """A Cluster to stop and kill nodes of; whoever does so brings them back."""
    with ExitStack() as ending:
        nodes = start_cluster(tmp_path_factory.mktemp("own-cluster"))
        for node in nodes:
            ending.callback(node.stop)
        yield nodes


@pytest.fixture(params=list(SINGLE))
def store(request: pytest.FixtureRequest) -> str:
    """A backend whose server can be behind a proxy."""
    return str(request.param)


@pytest.fixture
def proxy(store: str, request: pytest.FixtureRequest, proxy_to: MakeProxy) -> LyingProxy:
    """A proxy to that server."""
    fixtures = {"RedisCache": "redis_server", "MemcachedCache": "memcached_server"}
    return proxy_to(request.getfixturevalue(fixtures.get(store, "sasl_memcached")))


def logged(caplog: pytest.LogCaptureFixture) -> Counter[str]:
    """How often each kind of thing was logged; a failure is known by operation and error."""
    kinds: Counter[str] = Counter()
    for record in caplog.records:
        if record.name == "flask_caching":
            failure = record.exc_info and isinstance(record.args, tuple)
            kinds[str(record.args[1:3]) if failure else record.getMessage()] += 1
    return kinds


# Nobody listens.


@pytest.mark.parametrize("store", NETWORK)
def test_17_ten_requests_on_a_refused_port_take_under_two_seconds(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All are answered and counted, the breaker opens, and the log has one line of each kind."""
    site = refused_site(store)
    caplog.clear()
    begun = time.monotonic()
    for number in range(10):
        site.ask_right("view", number)
    assert time.monotonic() - begun < 2.0
    assert site.ran["view"] == 10
    stats = site.stats()
    assert (stats["lookups"]["error"], stats["lookups"]["miss"]) == (10, 0)
    assert stats["stores"] == {"stored": 0, "refused": 0, "error": 10}
    assert (handled(site, "connection"), handled(site), raised(site)) == (10, 10, 0)
    assert site.open_breakers() == 1
    kinds = logged(caplog)
    assert len(kinds) == 3
    assert set(kinds.values()) == {1}


@pytest.mark.parametrize("store", NETWORK)
@pytest.mark.parametrize("way", WAYS)
def test_17_every_way_to_read_through_goes_on_without_the_server(store: str, way: str) -> None:
    """The function runs once for each call, in microseconds once the breaker is open."""
    site = refused_site(store)
    for number in range(5):
        site.ask_right(way, number)
        assert site.ran[way] == number + 1
    assert raised(site) == 0
    begun = time.monotonic()
    for number in range(50):
        site.ask_right(way, number)
    assert time.monotonic() - begun < 1.0


@pytest.mark.parametrize("store", NETWORK)
@pytest.mark.parametrize("threshold", [3, 0], ids=["left alone", "asked each time"])
def test_17_a_direct_call_to_a_server_that_is_gone_raises_the_documented_error(
    store: str, threshold: int
) -> None:
    """A ``BackendError`` that is also of the client's own kind, whether it was asked or not."""
    site = refused_site(store, CACHE_BREAKER_THRESHOLD=threshold)
    with site.app.app_context():
        for name, call in DIRECT.items():
            with pytest.raises(BackendError) as caught:
                call(site.cache)
            assert isinstance(caught.value, own_kind(store)), name
            assert repr(caught.value)
    stats = site.stats()
    assert stats["lookups"]["miss"] == 0
    assert raised(site) >= len(DIRECT)
    assert handled(site) == 0


@pytest.mark.parametrize("store", NETWORK)
@pytest.mark.parametrize("name", list(MANAGING))
def test_17_so_does_a_call_that_deletes_or_switches(store: str, name: str) -> None:
    """What an application believes to have been forgotten would come back with the server."""
    site = refused_site(store)
    with site.app.app_context():
        for _ in range(4):
            with pytest.raises(BackendError) as caught:
                MANAGING[name](site)
            assert isinstance(caught.value, own_kind(store))
    assert raised(site) > 0
    assert handled(site) == 0


@pytest.mark.parametrize("store", NETWORK)
def test_17_or_is_a_counted_miss_where_errors_are_ignored(store: str) -> None:
    """Under ``CACHE_IGNORE_ERRORS`` nothing is raised, and no error is counted as a miss."""
    site = refused_site(store, CACHE_IGNORE_ERRORS=True)
    with site.app.app_context():
        site.cache.delete_memoized(site.price)
        site.cache.delete_memoized(site.price, 1)
        site.cache.delete_memoized_verhash(site.price)
        assert site.cache.delete_cached(site.page, number=1) is False
        answers = {name: call(site.cache) for name, call in DIRECT.items()}
    nothing = {
        "get_many": [None, None],
        "get_dict": {"k": None, "l": None},
        **dict.fromkeys(("get", "inc", "dec", "ttl")),
        **dict.fromkeys(("has", "set", "add", "touch", "delete", "clear"), False),
        "set_many": [],
        "delete_many": [],
        "unlink": [],
    }
    assert answers == nothing
    stats = site.stats()
    assert (stats["lookups"]["error"], stats["lookups"]["miss"]) == (5, 0)
    assert raised(site) == 0
    assert handled(site) >= len(DIRECT)


@pytest.mark.parametrize("store", NETWORK)
def test_17_what_the_application_raises_is_its_own_while_the_server_is_gone(store: str) -> None:
    """It reaches the caller, and the function ran once."""
    site = refused_site(store)

    def fail(way: str, number: int) -> None:
        raise ZeroDivisionError(way)

    site.during = fail
    for way in WAYS:
        with pytest.raises(ZeroDivisionError, match=way):
            site.ask(way)
        assert site.ran[way] == 1


@pytest.mark.parametrize("store", NETWORK)
def test_17_nobody_waits_for_a_lock_that_cannot_be_taken(store: str) -> None:
    """One loader among processes needs the server; without it each loads at once."""
    site = refused_site(store, CACHE_SINGLE_FLIGHT="distributed")
    begun = time.monotonic()
    for way in WAYS:
        for turn in range(4):
            site.ask_right(way)
            assert site.ran[way] == turn + 1
    assert time.monotonic() - begun < 2.0


def test_17_a_fragment_is_rendered_where_it_cannot_be_deleted() -> None:
    """``{% cache "del" %}`` is a decorated call, too."""
    site = refused_site("RedisCache")
    with site.app.test_request_context():
        text = render_template_string("{% cache 'del', 'part' %}text{% endcache %}")
    assert text == "text"
    assert (handled(site, "connection"), raised(site)) == (1, 0)


# It accepts, and never answers.


def check_silence(site: Site, fall_silent: Callable[[], None], speak: Callable[[], None]) -> None:
    """Requests are bounded, then fast; once the server answers, the cache is used again."""
    site.ask_right("view", 1)
    assert site.is_hit("view", 1)
    fall_silent()
    try:
        for number in range(3):
            begun = time.monotonic()
            site.ask_right("view", 10 + number)
            assert time.monotonic() - begun < BOUND
        assert site.open_breakers() == 1
        begun = time.monotonic()
        for number in range(20):
            site.ask_right("view", 10 + number)
        assert time.monotonic() - begun < COOLDOWN + BOUND  # a probe may be among them
    finally:
        speak()
    wait_until(partial(site.is_hit, "view", 1), "a hit", seconds=2 * COOLDOWN + 1.0)
    assert site.open_breakers() == 0
    assert raised(site) == 0


def test_17_a_server_that_accepts_and_never_answers(store: str, proxy: LyingProxy) -> None:
    """Each request is bounded; after a few the server is left alone until it answers."""
    check_silence(proxied_site(store, proxy), proxy.fall_silent, proxy.behave)


def test_17_a_server_that_was_stopped(own_redis: RedisServer) -> None:
    """The same where the process itself is stopped (SIGSTOP)."""
    site = Site(**config_at("RedisCache", own_redis.address), CACHE_BREAKER_COOLDOWN=COOLDOWN)
    check_silence(site, own_redis.pause, own_redis.resume)


def test_17_a_silent_server_holds_up_one_thread_at_a_time(store: str, proxy: LyingProxy) -> None:
    """While it is tried again, all others go on without it."""
    site = proxied_site(store, proxy, CACHE_OPTIONS=IMPATIENT[store])
    with Traffic.of_pages(site) as traffic:
        wait_for_hits(site)
        proxy.fall_silent()
        wait_until(lambda: site.open_breakers() == 1, "an open breaker")
        asked = traffic.asked
        time.sleep(0.5)
        assert traffic.asked > asked + 50
        proxy.behave()
        wait_for_hits(site)
    assert traffic.longest_seconds < 2 * BOUND


@pytest.mark.parametrize("store", NETWORK)
def test_17_a_host_that_swallows_packets(store: str) -> None:
    """What is sent to it gets no answer of any kind: connecting is bounded, too."""
    with ExitStack() as ending:
        # Who has no room for more connections lets them wait.
        full = ending.enter_context(socket.create_server((HOST, 0), backlog=0))
        for _ in range(4):
            filler = ending.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        site = Site(**config_at(store, full.getsockname()))
        for number in range(3):
            begun = time.monotonic()
            site.ask_right("view", number)
            assert time.monotonic() - begun < BOUND
        assert site.open_breakers() == 1
        begun = time.monotonic()
        for number in range(10):
            site.ask_right("view", number)
        assert time.monotonic() - begun < BOUND


def test_17_a_server_that_goes_silent_while_its_lock_is_waited_for(
    store: str, proxy: LyingProxy
) -> None:
    """Who waits for another process's load does not go on waiting."""
    config = {"CACHE_SINGLE_FLIGHT": "distributed", "CACHE_OPTIONS": IMPATIENT[store]}
    loading, waiting = (proxied_site(store, proxy, **config) for _ in range(2))
    begun, over = threading.Event(), threading.Event()

    def load(way: str, number: int) -> None:
        begun.set()
        over.wait(PATIENCE)

    loading.during = load
    first = Worker(loading.ask_right, "view", 1)
    assert begun.wait(PATIENCE)
    second = Worker(waiting.ask_right, "view", 1)
    time.sleep(0.2)
    assert waiting.ran["view"] == 0
    proxy.fall_silent()
    silent = time.monotonic()
    second.result()
    assert time.monotonic() - silent < 2 * BOUND
    assert waiting.ran["view"] == 1
    over.set()
    first.result()


def test_17_a_server_that_is_silent_from_the_beginning(store: str, proxy: LyingProxy) -> None:
    """The application starts all the same, and its first requests are bounded."""
    proxy.fall_silent()
    begun = time.monotonic()
    site = proxied_site(store, proxy)
    assert time.monotonic() - begun < BOUND
    begun = time.monotonic()
    site.ask_right("view", 1)
    site.ask_right("memoize", 1)
    assert time.monotonic() - begun < 2 * BOUND
    proxy.behave()
    wait_until(site.is_hit, "a hit", seconds=2 * COOLDOWN + 1.0)


def test_17_a_stopped_cluster_node_costs_its_own_keys_only(
    cluster: list[ClusterNode],
) -> None:
    """Requests for its keys are bounded, then fast; those of the other nodes stay hits."""
    site = Site(
        **config_of("RedisClusterCache", cluster, None),
        CACHE_BREAKER_COOLDOWN=COOLDOWN,
        CACHE_KEY_PREFIX=f"{time.monotonic_ns()}/",
    )
    pages = range(24)
    for number in pages:
        site.ask_right("view", number)
    assert all(site.is_hit("view", number) for number in pages)
    stopped = cluster[0]
    stopped.pause()
    try:
        hits = 0
        for number in pages:
            begun = time.monotonic()
            hits += site.is_hit("view", number)
            assert time.monotonic() - begun < BOUND
        assert 0 < hits < len(pages)
        assert site.open_breakers() == 1
        begun = time.monotonic()
        for number in pages:
            site.ask_right("view", number)
        assert time.monotonic() - begun < COOLDOWN + BOUND
    finally:
        stopped.resume()
    wait_until(
        lambda: sum(site.is_hit("view", number) for number in pages) == len(pages),
        "hits on all nodes",
        seconds=4 * COOLDOWN + 2.0,
    )


def test_17_a_cluster_that_is_stopped_as_a_whole(cluster: list[ClusterNode]) -> None:
    """Requests are bounded, and fast once every node has been given up; then all is well."""
    site = Site(
        **config_of("RedisClusterCache", cluster, None),
        CACHE_BREAKER_COOLDOWN=5.0,
        CACHE_KEY_PREFIX=f"{time.monotonic_ns()}/",
        CACHE_OPTIONS={"socket_timeout": 0.2},
    )
    for number in range(12):
        site.ask_right("view", number)
    for node in cluster:
        node.pause()
    try:
        slowest = 0.0
        for _ in range(3):
            for number in range(12):
                begun = time.monotonic()
                site.ask_right("view", number)
                slowest = max(slowest, time.monotonic() - begun)
        # One of them also asks the others where the keys are by now.
        assert slowest < 2 * BOUND
        begun = time.monotonic()
        for number in range(12):
            site.ask_right("view", number)
        assert time.monotonic() - begun < 1.0
    finally:
        for node in cluster:
            node.resume()


# It goes and comes back.


@pytest.mark.parametrize("store", list(SINGLE))
def test_17_a_server_killed_and_restarted_in_the_middle_of_traffic(
    store: str, start_server: Start
) -> None:
    """Nobody gets an error or another page's body, and hits come back by themselves."""
    server = start_server(SINGLE[store])
    site = Site(**config_at(store, server.address), CACHE_BREAKER_COOLDOWN=COOLDOWN)
    with Traffic.of_pages(site) as traffic:
        for _ in range(2):
            wait_for_hits(site)
            server.kill()
            errors = handled(site)
            wait_until(lambda: handled(site) > errors + 20, "errors")  # noqa: B023
            server.restart()
            wait_for_hits(site, seconds=4 * COOLDOWN + 2.0)
    assert traffic.longest_seconds < 2 * BOUND
    assert raised(site) == 0


def test_17_a_sentinel_master_killed_in_the_middle_of_traffic(
    own_sentinel_set: SentinelSet,
) -> None:
    """Requests go on while the Sentinels choose another one, which is used then."""
    site = Site(
        **config_of("RedisSentinelCache", own_sentinel_set, None), CACHE_BREAKER_COOLDOWN=COOLDOWN
    )
    old = own_sentinel_set.master
    with Traffic.of_pages(site) as traffic:
        wait_for_hits(site)
        old.kill()
        new = own_sentinel_set.wait_for_failover(old)
        wait_for_hits(site)
        old.restart()
        wait_for_hits(site)
    assert traffic.longest_seconds < 2 * BOUND
    assert new.cli("--raw", "DBSIZE") != "0"


def test_17_a_sentinel_master_that_stops_is_replaced(own_sentinel_set: SentinelSet) -> None:
    """Each request is bounded meanwhile, and nobody notices when the old one wakes up."""
    site = Site(
        **config_of("RedisSentinelCache", own_sentinel_set, None), CACHE_BREAKER_COOLDOWN=COOLDOWN
    )
    old = own_sentinel_set.master
    with Traffic.of_pages(site) as traffic:
        wait_for_hits(site)
        old.pause()
        own_sentinel_set.wait_for_failover(old)
        wait_for_hits(site)
        old.resume()
        wait_for_hits(site)
    assert traffic.longest_seconds < 2 * BOUND
    assert raised(site) == 0


def test_17_a_cluster_node_killed_and_restarted_in_the_middle_of_traffic(
    cluster: list[ClusterNode],
) -> None:
    """The other nodes' pages stay hits; the lost one's come back with it."""
    site = Site(
        **config_of("RedisClusterCache", cluster, None),
        CACHE_BREAKER_COOLDOWN=COOLDOWN,
        CACHE_KEY_PREFIX=f"{time.monotonic_ns()}/",
    )
    lost = cluster[1]
    with Traffic.of_pages(site) as traffic:
        wait_for_hits(site)
        lost.kill()
        errors = handled(site)
        wait_until(lambda: handled(site) > errors + 20, "errors")
        wait_for_hits(site)
        lost.restart()
        wait_until(lambda: lost.cli("DBSIZE") != "0", "a page on the node that returned")
    assert traffic.longest_seconds < 2 * BOUND
    wait_until(lambda: sum(site.is_hit("view", number) for number in range(40)) == 40, "hits")


@pytest.mark.parametrize("how", ["delete", "set", "delete_memoized", "clear"])
def test_17_what_was_changed_while_one_of_several_was_away_does_not_come_back(
    memcached_servers: list[MemcachedServer], proxy_to: MakeProxy, how: str
) -> None:
    """If the change cannot reach the server that has the key, the caller is told."""
    proxy = proxy_to(memcached_servers[0])
    addresses = [proxy.address, *(server.address for server in memcached_servers[1:])]
    config = config_at("MemcachedCacheOfThree", *addresses)
    site = Site(**config, CACHE_BREAKER_COOLDOWN=COOLDOWN, CACHE_KEY_PREFIX=proxy.prefix)
    cache = site.cache
    keys = [f"key {number}" for number in range(30)]
    assert cache.set_many(dict.fromkeys(keys, "old")) == keys
    # A version for each function, so that some are on the server that goes.
    functions = [named(cache, f"function_{number}") for number in range(30)]
    answers = [function() for function in functions]
    changes: dict[str, Callable[[int], object]] = {
        "delete": lambda number: cache.delete(keys[number]),
        "set": lambda number: cache.set(keys[number], "new"),
        "delete_memoized": lambda number: cache.delete_memoized(functions[number]),
        "clear": lambda number: cache.clear(),
    }
    proxy.refuse()
    told = set()
    for number in range(30):
        try:
            changes[how](number)
        except BackendError:
            told.add(number)
    assert 0 < len(told) < 30 or how == "clear"
    proxy.behave()
    wait_until(lambda: answers_for(cache, keys), "the server", seconds=2 * COOLDOWN + 1.0)
    for number in set(range(30)) - told:
        if how == "delete_memoized":
            assert functions[number]() != answers[number]
        else:
            assert cache.get(keys[number]) in (None, "new")


def answers_for(cache: Cache, keys: list[str]) -> bool:
    """Whether all servers that have these keys can be asked."""
    try:
        cache.get_many(*keys)
    except BackendError:
        return False
    return True


def named(cache: Cache, name: str) -> Any:
    """A memoized function of that name, which never returns the same twice."""

    def function() -> int:
        return next(_turns)

    function.__name__ = function.__qualname__ = name
    return cache.memoize()(function)


_turns = itertools.count()


def test_17_one_of_several_memcached_that_is_gone_costs_its_own_keys_only(
    memcached_servers: list[MemcachedServer], start_server: Start
) -> None:
    """The others' pages stay hits, and its own come back with it."""
    own = start_server(MemcachedServer)
    addresses = [own.address, *(server.address for server in memcached_servers[1:])]
    config = config_at("MemcachedCacheOfThree", *addresses)
    prefix = f"{time.monotonic_ns()}/"
    site = Site(**config, CACHE_BREAKER_COOLDOWN=COOLDOWN, CACHE_KEY_PREFIX=prefix)
    with Traffic.of_pages(site) as traffic:
        wait_for_hits(site)
        own.kill()
        errors = handled(site)
        wait_until(lambda: handled(site) > errors + 20, "errors")
        wait_for_hits(site)
        own.restart()
        wait_until(lambda: own.stats()["curr_items"] != "0", "a page on the one that returned")
    assert traffic.longest_seconds < 2 * BOUND
    assert raised(site) == 0


def wait_for_hits(site: Site, seconds: float = 10.0) -> None:
    """Wait until the cache has answered some more requests."""
    before = site.hits()
    wait_until(lambda: site.hits() > before + 50, "hits", seconds)


def test_17_connections_are_used_again_and_none_is_left_open(store: str, proxy: LyingProxy) -> None:
    """Many requests share a few, and many failures leave none behind."""
    site = proxied_site(store, proxy, CACHE_BREAKER_THRESHOLD=0, CACHE_OPTIONS=IMPATIENT[store])
    for number in range(100):
        site.ask_right("view", number)
    assert proxy.accepted < 10
    before = open_files()
    for fault in (proxy.refuse, partial(proxy.cut_after, 3), proxy.babble, proxy.refuse):
        fault()
        for number in range(20):
            site.ask_right("view", number)
        proxy.behave()
    wait_until(site.is_hit, "a hit")
    wait_until(lambda: open_files() <= before + 6, "connections to be closed")


def test_17_a_connection_lost_while_nobody_used_it_is_replaced_unnoticed(
    store: str, proxy: LyingProxy
) -> None:
    """A firewall or a restart closed it: the next call is no error, also one that counts."""
    site = proxied_site(store, proxy)
    site.ask_right("view")
    site.ask_right("memoize")
    assert site.cache.set("number", 1)
    for expected in (2, 3):
        proxy.reset()
        assert site.is_hit("view")
        proxy.reset()
        assert site.is_hit("memoize")
        proxy.reset()
        assert site.cache.inc("number") == expected
        proxy.reset()
        assert site.cache.get_many("number") == [expected]
    assert handled(site) == raised(site) == 0


def open_files() -> int:
    """How many this process has open, its half of the proxies' connections included."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("there is no /proc to count open files in")
    return len(list(folder.iterdir()))


# Files can fail, too.


def test_17_a_directory_removed_in_the_middle_of_traffic(tmp_path: Path) -> None:
    """It is made anew, and nobody notices."""
    folder = tmp_path / "cache"
    site = Site(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(folder))
    with Traffic.of_pages(site):
        for _ in range(3):
            wait_for_hits(site)
            shutil.rmtree(folder, ignore_errors=True)
        wait_for_hits(site)
    assert raised(site) == 0


def test_17_a_directory_that_is_none_any_more(tmp_path: Path) -> None:
    """Decorated calls go on; direct ones raise an ``OSError`` that is a ``BackendError``."""
    folder = tmp_path / "cache"
    config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(folder)}
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    shutil.rmtree(folder)
    folder.write_text("a file")
    for way in WAYS:
        for turn in range(2):
            site.ask_right(way)
            assert site.ran[way] == turn + 1
    assert handled(site) > 0
    for name in ("set", "add", "inc"):
        with site.app.app_context(), pytest.raises(BackendError) as caught:
            DIRECT[name](site.cache)
        assert isinstance(caught.value, OSError)
        with quiet.app.app_context():
            assert not DIRECT[name](quiet.cache)
    # How many entries there are cannot be told either, which is logged.
    assert set(faults) == {"metrics.entries: NotADirectoryError"}
    faults.clear()
    folder.unlink()
    site.ask_right("view")
    assert site.is_hit()


# It lies.

LIES: dict[str, Callable[[LyingProxy], None]] = {
    "cut at once": lambda proxy: proxy.cut_after(0),
    "cut in the middle": lambda proxy: proxy.cut_after(7),
    "garbage": lambda proxy: proxy.babble(),
    "nothing there": lambda proxy: proxy.babble(b"$-1\r\nEND\r\n"),
    "too many replies": lambda proxy: proxy.babble(b"+OK\r\n:7\r\n$1\r\n7\r\n*0\r\n"),
    "errors": lambda proxy: proxy.babble(b"-ERR no\r\nSERVER_ERROR no\r\n"),
    "late": lambda proxy: proxy.delay(0.12),
    "reset": lambda proxy: proxy.reset(),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_17_a_lying_connection_never_gives_another_keys_value(
    store: str, proxy: LyingProxy, lie: str
) -> None:
    """Not a text, not a bare number, not a memoized value; afterwards the client works."""
    site = lied_to_site(store, proxy)

    def ask(number: int) -> tuple[Any, ...]:
        site.ask_right("memoize", number)
        text, count = f"text/{number}", f"number/{number}"
        return site.cache.get(text), site.cache.get(count), *site.cache.get_many(text, count)

    def expected(number: int) -> tuple[Any, ...]:
        return (f"text {number}", 1000 + number) * 2

    check_lies(site, proxy, lie, ask, expected)
    for number in range(20):
        wait_until(partial(site.is_hit, "memoize", number), "a hit", seconds=1.0)


@pytest.mark.parametrize("lie", ["cut in the middle", "late", "nothing there", "too many replies"])
@pytest.mark.parametrize("asked", ["inc", "ttl"])
def test_17_a_lying_connection_never_gives_another_keys_number(
    store: str, proxy: LyingProxy, asked: str, lie: str
) -> None:
    """The reply to a count, or to a look at the time, does not say what it is a reply to."""
    site = lied_to_site(store, proxy)

    def ask(number: int) -> Any:
        if asked == "inc":
            return site.cache.inc(f"number/{number}", 0)
        left = site.cache.ttl(f"text/{number}")
        return left and round(left, -3)

    def expected(number: int) -> Any:
        return 1000 + number if asked == "inc" else 1000 * (number + 1)

    check_lies(site, proxy, lie, ask, expected)


def lied_to_site(store: str, proxy: LyingProxy) -> Site:
    """A site that asks however often it is lied to, and has texts and numbers by now."""
    site = proxied_site(
        store,
        proxy,
        CACHE_BREAKER_THRESHOLD=0,
        CACHE_IGNORE_ERRORS=True,
        CACHE_OPTIONS=IMPATIENT[store],
    )
    values = [(f"number/{number}", 1000 + number, None) for number in range(20)]
    values += [(f"text/{number}", f"text {number}", 1000 * (number + 1)) for number in range(20)]
    for key, value, timeout in values:
        # It gives up soon, and the machine may be busy with other things.
        wait_until(partial(site.cache.set, key, value, timeout), f"{key} to be stored")
    for number in range(20):
        site.ask_right("memoize", number)
        wait_until(partial(site.is_hit, "memoize", number), "a hit")
    return site


def check_lies(
    site: Site,
    proxy: LyingProxy,
    lie: str,
    ask: Callable[[int], Any],
    expected: Callable[[int], Any],
) -> None:
    """Several threads get what is right, or nothing, while they are lied to; and all of it then."""

    def right(number: int, answer: Any) -> bool:
        there = expected(number)
        if not isinstance(answer, tuple):
            return answer in (None, there)
        return all(got in (None, one) for got, one in zip(answer, there, strict=True))

    with Traffic(ask, right, numbers=20):
        LIES[lie](proxy)
        time.sleep(0.15)
        proxy.behave()
        time.sleep(0.05)
    assert raised(site) == 0
    # A connection that was lost is replaced without anybody noticing.
    assert handled(site) > 0 or lie in ("nothing there", "reset")
    for number in range(20):
        wait_until(lambda: ask(number) == expected(number), "the right answer")  # noqa: B023


def test_17_a_reply_that_belongs_to_another_key_is_a_counted_miss(
    own_redis: RedisServer, proxy_to: MakeProxy
) -> None:
    """An entry says which key it is for, so that not even a whole one is mistaken."""
    proxy = proxy_to(own_redis)
    site = proxied_site("RedisCache", proxy)
    site.ask_right("view", 1)
    site.ask_right("view", 2)
    import redis

    with redis.Redis(port=own_redis.port) as client:
        other = client.get(f"{proxy.prefix}view//page/2")
    assert other
    proxy.babble(b"$%d\r\n%s\r\n" % (len(other), other))
    site.ask_right("view", 1)
    assert handled(site, "serialization") == 1
    assert site.ran["view"] == 3


# It fails while the function runs.


@pytest.mark.parametrize("way", WAYS)
def test_17_the_function_runs_once_whenever_the_server_fails(
    store: str, proxy: LyingProxy, way: str
) -> None:
    """Before the call, before its value is written, in the middle of writing, and after."""
    site = proxied_site(store, proxy, CACHE_BREAKER_THRESHOLD=0, CACHE_OPTIONS=IMPATIENT[store])
    faults: list[Callable[[], None]] = [
        proxy.refuse,
        proxy.reset,
        partial(proxy.cut_after, 0),
        partial(proxy.cut_after, 3),
        proxy.babble,
        proxy.fall_silent,
    ]
    for number, fault in enumerate(faults):
        site.during = lambda way, number: fault()  # noqa: B023
        site.ask_right(way, number)
        assert site.ran[way] == 2 * number + 1, fault
        site.during = lambda way, number: None
        site.ask_right(way, 100 + number)
        assert site.ran[way] == 2 * number + 2, fault
        proxy.behave()
        wait_until(partial(site.is_hit, way, 200), "a hit", seconds=3.0)
        site.ran[way] = 2 * number + 2
    assert raised(site) == 0


def test_17_what_is_raised_after_the_server_failed_is_the_applications(
    store: str, proxy: LyingProxy
) -> None:
    """A function that fails while the server goes away: its error, once."""
    site = proxied_site(store, proxy)

    def fail(way: str, number: int) -> None:
        proxy.refuse()
        raise ZeroDivisionError(way)

    site.during = fail
    for way in WAYS:
        proxy.behave()
        with pytest.raises(ZeroDivisionError, match=way):
            site.ask(way)
        assert site.ran[way] == 1


# It answers, and refuses.


def check_refusals(site: Site, quiet: Site, store: str, calls: tuple[str, ...]) -> None:
    """Decorated calls go on; direct ones raise the documented error, or are ignored."""
    for way in WAYS:
        for number in range(2):
            site.ask_right(way, number)
        assert site.ran[way] == 2
    assert raised(site) == 0
    assert handled(site) > 0
    with site.app.app_context():
        for name in calls:
            with pytest.raises(BackendError) as caught:
                DIRECT[name](site.cache)
            assert isinstance(caught.value, own_kind(store)), name
            assert PASSWORD not in str(caught.value)
    with quiet.app.app_context():
        for name in calls:
            assert not DIRECT[name](quiet.cache)
    assert handled(quiet) >= len(calls)
    assert raised(quiet) == 0


@pytest.mark.parametrize("loud", [True, False], ids=["asked each time", "with a breaker"])
def test_17_a_wrong_password(
    start_server: Start, caplog: pytest.LogCaptureFixture, loud: bool
) -> None:
    """Counted as one, and never written anywhere."""
    server = start_server(RedisServer, password="another")
    config = {
        **config_at("RedisCache", server.address),
        "CACHE_REDIS_PASSWORD": PASSWORD,
        "CACHE_BREAKER_THRESHOLD": 0 if loud else 3,
    }
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    check_refusals(site, quiet, "RedisCache", ("get", "set", "inc", "delete", "clear"))
    assert handled(site, "auth") > 0
    assert PASSWORD not in caplog.text


def test_17_a_wrong_password_for_memcached(
    sasl_memcached: SaslMemcachedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The same with SASL."""
    config = {
        **config_at("SASLMemcachedCache", sasl_memcached.address),
        "CACHE_MEMCACHED_PASSWORD": PASSWORD,
    }
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    for way in WAYS:
        site.ask_right(way)
    with site.app.app_context():
        for name in ("get", "set", "inc", "delete"):
            with pytest.raises(BackendError) as caught:
                DIRECT[name](site.cache)
            assert PASSWORD not in str(caught.value)
    with quiet.app.app_context():
        for name in ("get", "set", "inc", "delete"):
            assert not DIRECT[name](quiet.cache)
    assert raised(quiet) == 0
    assert PASSWORD not in caplog.text


def test_17_a_password_is_in_no_log_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Neither that of a server nor of a Sentinel, in a URL or on its own."""
    port = free_port()
    configs: list[dict[str, Any]] = [
        {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": f"redis://me:{PASSWORD}@{HOST}:{port}/0"},
        {
            **config_at("RedisSentinelCache", (HOST, port)),
            "CACHE_REDIS_PASSWORD": PASSWORD,
            "CACHE_REDIS_SENTINEL_PASSWORD": PASSWORD,
        },
        {
            "CACHE_TYPE": "RedisClusterCache",
            "CACHE_REDIS_URL": f"redis://me:{PASSWORD}@{HOST}:{port}",
        },
        {
            **config_at("SASLMemcachedCache", (HOST, port)),
            "CACHE_MEMCACHED_PASSWORD": PASSWORD,
        },
    ]
    for config in configs:
        site = Site(**config)
        for way in WAYS:
            site.ask_right(way)
        with site.app.app_context(), pytest.raises(BackendError) as caught:
            site.cache.get("k")
        for error in (caught.value, caught.value.__cause__):
            assert PASSWORD not in f"{error!r} {error}"
            assert "password=" not in str(error)
        assert PASSWORD not in repr(site.cache.cache)
    assert caplog.text
    assert PASSWORD not in caplog.text
    # Nor what shows it with some versions of a client library: the client, with its options.
    assert "password=" not in caplog.text


def test_17_a_read_only_replica(own_redis: RedisServer, start_server: Start) -> None:
    """It is read from; writes are refused, and a promoted one is written to at once."""
    own_redis.cli("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = start_server(RedisServer, "--replicaof", f"{HOST} {own_redis.port}")
    master = Site(**config_at("RedisCache", own_redis.address))
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", "a replica")
    config = config_at("RedisCache", replica.address)
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    check_refusals(site, quiet, "RedisCache", WRITES)
    assert handled(site, "readonly") > 0
    assert site.open_breakers() == 0  # an answer is an answer
    master.ask_right("view", 7)
    wait_until(partial(site.is_hit, "view", 7), "the master's page")
    replica.cli("REPLICAOF", "NO", "ONE")
    site.ask_right("view", 8)
    assert site.is_hit("view", 8)


def test_17_a_redis_without_memory(start_server: Start) -> None:
    """``OOM``: nothing is written, all else goes on, and is well again with more memory."""
    server = start_server(RedisServer, "--maxmemory", "100kb", "--maxmemory-policy", "noeviction")
    config = config_at("RedisCache", server.address)
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    check_refusals(site, quiet, "RedisCache", WRITES)
    assert site.open_breakers() == 0
    assert site.stats()["lookups"]["miss"] > 0
    server.cli("CONFIG", "SET", "maxmemory", "0")
    for way in WAYS:
        site.ask_right(way)
        assert site.is_hit(way)


def test_17_a_redis_that_has_too_many_clients(own_redis: RedisServer) -> None:
    """It closes the connection with an error: left alone for a while, and used when it can be."""
    own_redis.cli("CONFIG", "SET", "maxclients", "1")
    config = {**config_at("RedisCache", own_redis.address), "CACHE_BREAKER_COOLDOWN": COOLDOWN}
    with socket.create_connection(own_redis.address) as only:
        only.sendall(b"PING\r\n")
        assert only.recv(100)
        site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
        check_refusals(site, quiet, "RedisCache", ("get", "set", "inc", "delete", "clear"))
        assert site.open_breakers() == 1
    wait_until(site.is_hit, "a hit", seconds=6.0)


def test_17_a_redis_user_who_may_not_write(own_redis: RedisServer) -> None:
    """``NOPERM`` is an answer: counted for what it is, and reading goes on."""
    own_redis.cli("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+@read", "+@connection")
    config = {
        **config_at("RedisCache", own_redis.address),
        "CACHE_REDIS_USERNAME": "reader",
        "CACHE_REDIS_PASSWORD": PASSWORD,
    }
    writer = Site(**config_at("RedisCache", own_redis.address))
    site, quiet = Site(**config), Site(**config, CACHE_IGNORE_ERRORS=True)
    check_refusals(site, quiet, "RedisCache", WRITES)
    assert handled(site, "auth") > 0
    assert site.open_breakers() == 0
    writer.ask_right("view", 7)
    assert site.is_hit("view", 7)


def test_17_a_memcached_without_memory(start_server: Start) -> None:
    """A server that may not evict refuses; a value it has no room for is no error page."""
    server = start_server(MemcachedServer, "-M", "-m", "1", "-I", "512k")
    site = Site(**config_at("MemcachedCache", server.address))
    for number in range(40):
        site.cache.cached(key_prefix=f"large/{number}")(lambda: "x" * 100_000)()
    for way in WAYS:
        site.ask_right(way)
    assert raised(site) == 0
    assert site.stats()["stores"]["stored"] < 45


def test_17_a_redis_that_is_still_loading(own_redis: RedisServer, proxy_to: MakeProxy) -> None:
    """``LOADING`` is no answer: it is counted, and the server is tried again later."""
    proxy = proxy_to(own_redis)
    site = proxied_site("RedisCache", proxy)
    proxy.babble(b"-LOADING Redis is loading the dataset in memory\r\n")
    for way in WAYS:
        site.ask_right(way)
    assert handled(site, "connection") > 0
    assert site.open_breakers() == 1
    proxy.behave()
    wait_until(site.is_hit, "a hit", seconds=2 * COOLDOWN + 1.0)


# The switch.


@pytest.mark.parametrize("store", ["FileSystemCache", "RedisCache", "MemcachedCache"])
def test_17_flask_cache_off_reaches_the_workers_within_a_second_or_so(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """From another process; what is stored stays, and clearing does not turn it on again."""
    server = request.getfixturevalue(FIXTURES[store]) if FIXTURES[store] else None
    config = {**config_of(store, server, tmp_path), "CACHE_KEY_PREFIX": f"switch-{tmp_path.name}/"}
    site = Site(**config)
    for way in WAYS:
        site.ask_right(way)
        assert site.is_hit(way)
    assert flask_cache(config, "off") == f"cache ({store}) is off, until `flask cache on`.\n"
    wait_until(lambda: not site.is_hit(), "uncached pages", seconds=2.0)
    for way in WAYS:
        ran = site.ran[way]
        site.ask_right(way)
        site.ask_right(way)
        assert site.ran[way] == ran + 2
    assert site.stats()["bypasses"]["disabled"] >= 2 * len(WAYS)
    site.cache.set("direct", "works on")
    assert site.cache.get("direct") == "works on"
    assert site.cache.clear()
    time.sleep(1.1)
    assert not site.is_hit()
    assert not site.is_hit()
    assert not site.cache.enabled
    assert flask_cache(config, "on") == f"cache ({store}) is on.\n"
    wait_until(site.is_hit, "a hit", seconds=2.0)
    for way in WAYS:
        site.ask_right(way)
        assert site.is_hit(way)


def test_17_off_for_a_while_ends_by_itself(
    redis_server: RedisServer, memcached_server: MemcachedServer, tmp_path: Path
) -> None:
    """On every kind of store, for whoever turned it off and for all others."""
    stores: dict[str, Any] = {
        "FileSystemCache": None,
        "RedisCache": redis_server,
        "MemcachedCache": memcached_server,
    }
    pairs: list[tuple[Site, Site]] = []
    for store, server in stores.items():
        config = config_of(store, server, tmp_path)
        config["CACHE_KEY_PREFIX"] = f"while-{tmp_path.name}/"
        pairs.append((Site(**config), Site(**config)))
    for own, other in pairs:
        own.ask_right("view")
        assert other.is_hit()
        own.cache.disable(timeout=2)
        assert not own.is_hit()
        assert not other.cache.enabled
    for own, other in pairs:
        # memcached counts whole seconds, and each looks once a second.
        wait_until(own.is_hit, "a hit", seconds=5.0)
        wait_until(other.is_hit, "a hit", seconds=5.0)


def test_17_flask_cache_off_says_that_the_server_is_gone() -> None:
    """With the exit code for that, and that nothing needs to be done."""
    config = {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": f"redis://:{PASSWORD}@{HOST}:{free_port()}/0",
    }
    said = flask_cache(config, "off", code=3)
    assert "run uncached anyway" in said
    assert PASSWORD not in said


@pytest.mark.parametrize("store", ["FileSystemCache", *NETWORK])
def test_17_cache_enabled_false_never_asks_the_store(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The switch in the configuration works with a dead server, too."""
    if store == "FileSystemCache":
        config = config_of(store, None, tmp_path)
    else:
        config = config_at(store, (HOST, free_port()))
    site = Site(**config, CACHE_ENABLED=False)
    for way in WAYS:
        for turn in range(3):
            site.ask_right(way)
            assert site.ran[way] == turn + 1
    operations = site.stats()["operations"].values()
    assert sum(each["count"] for outcomes in operations for each in outcomes.values()) == 0
    assert handled(site) == 0
    assert site.cache.enabled is False if store == "FileSystemCache" else True


def test_17_a_cache_that_is_off_stays_off_while_its_server_is_gone(own_redis: RedisServer) -> None:
    """Whoever turned it off at three in the morning meant it; it costs next to nothing."""
    site = Site(**config_at("RedisCache", own_redis.address))
    site.cache.disable()
    own_redis.kill()
    begun = time.monotonic()
    while time.monotonic() < begun + 1.2:
        site.ask_right("view")
        time.sleep(0.05)
    assert site.stats()["lookups"]["error"] == 0
    own_redis.restart()  # with nothing in it, so not with the note either
    wait_until(site.is_hit, "a hit", seconds=4.0)
