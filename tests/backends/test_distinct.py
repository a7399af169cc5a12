"""Distinct keys of several machines together, on real servers of Redis."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import RedisServer

from flask_caching.backends.base import RESERVED, SupportsDistinct, iter_keys
from flask_caching.backends.rediscache import RedisCache, RedisClusterCache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.errors import BackendUnavailable
from flask_caching.observer import faults
from flask_caching_instrumentation.distinct import serversketches
from flask_caching_instrumentation.distinct.cardinality import (
    DistinctKeys,
    MemorySketches,
    SeenKeys,
    ServerSketches,
)
from flask_caching_instrumentation.distinct.hyperloglog import digest
from flask_caching_instrumentation.distinct.serversketches import RETRY_INTERVAL
from flask_caching_instrumentation.distinct.sketches import FRESH, RINGS

numbers = itertools.count()
NOW = 1_800_000_000.0
INDEX = ("cache", "redis", "view", "index")
HASHES = [digest(f"view//product/{number}") for number in range(3000)]


@pytest.fixture(params=["redis_server", "redis62_server", "redis_cluster_nodes"])
def connect(request: pytest.FixtureRequest) -> Callable[..., RedisCache]:
    """Makes caches under one prefix that no other test has, on each kind of server."""
    found: Any = request.getfixturevalue(request.param)
    prefix = f"test-{next(numbers)}/"

    def make(prefix: str = prefix, **options: Any) -> RedisCache:
        if isinstance(found, list):
            nodes = ",".join(f"{node.host}:{node.port}" for node in found)
            return RedisClusterCache(nodes, key_prefix=prefix, **options)
        return RedisCache(found.host, found.port, key_prefix=prefix, **options)

    return make


class Machine:
    """The distinct keys of one application on one machine."""

    def __init__(self, backend: SupportsDistinct) -> None:
        self.store = MemorySketches()
        self.server = ServerSketches(backend)
        self.keys = DistinctKeys(self.store, lambda: None, self.server)

    def look_up(self, *keys: Any, target: str = "index", now: float = NOW) -> None:
        seen: SeenKeys = self.keys.seen((*INDEX[:3], target))
        for key in keys:
            seen[f"view//product/{key}"]
        self.keys.drain(now)

    def counts(self, now: float = NOW, target: str = "index") -> tuple[float, float]:
        found = self.store.estimates(now)
        return found[(*INDEX[:3], target, "5m")], found[(*INDEX[:3], target, "1h")]


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """A test of faults clears them."""
    faults.clear()
    yield
    left = dict(faults)
    faults.clear()
    assert not left


# What the backends can do.


def test_members_are_counted_once(connect: Callable[..., RedisCache]) -> None:
    """Under one key and over several, added at once or one after the other."""
    cache = connect()
    names = [f"{RESERVED}distinct/{{target}}/{number}" for number in range(3)]
    assert isinstance(cache, SupportsDistinct)
    assert cache.count_distinct() == cache.count_distinct(*names) == 0
    cache.add_distinct(names[0], HASHES[:2000], 60)
    cache.add_distinct(names[1], HASHES[1000:], 60)
    cache.add_distinct(names[1], HASHES[1000:], 60)
    cache.add_distinct(names[2], [], 60)
    assert cache.count_distinct(names[0]) == pytest.approx(2000, rel=0.03)
    assert cache.count_distinct(*names) == pytest.approx(3000, rel=0.03)
    assert not cache.has(names[2])


def test_what_is_counted_expires(connect: Callable[..., RedisCache]) -> None:
    """Each addition sets the time anew."""
    cache = connect()
    name = f"{RESERVED}distinct/{{target}}/1"
    for seconds in (60, 0.5, 1000.5):
        cache.add_distinct(name, [b"x"], seconds)
        assert cache.ttl(name) == pytest.approx(seconds, abs=0.4)


def test_what_is_counted_is_neither_listed_nor_cleared(
    connect: Callable[..., RedisCache],
) -> None:
    """It is no entry of the application's."""
    cache = connect()
    machine = Machine(cache)
    machine.look_up("a", "b")
    machine.keys.exchange(NOW)
    cache.set("own", 1)
    assert [info.key for info in iter_keys(cache)] == ["own"]
    cache.clear()
    assert machine.server.fetch(INDEX, NOW) == [2, 2]


@pytest.mark.parametrize("prefix", ["", "{all}/", "a{b/", "a}b{/", "{", "}{"])
def test_a_prefix_may_have_braces(connect: Callable[..., RedisCache], prefix: str) -> None:
    """The slots of a window stay together all the same."""
    server = ServerSketches(connect(prefix))
    labels = (f"cache {{{next(numbers)}}}", "redis", "memoize", "shop.<locals>.ü}{\udc80/price")
    server.push(labels, HASHES[:10], NOW)
    server.push(labels, HASHES[5:15], NOW + 300)
    assert server.fetch(labels, NOW + 300) == [15, 15]


def test_a_prefix_that_scatters_is_an_error(redis_cluster_nodes: list[Any]) -> None:
    """Empty braces: the server refuses, and nothing is counted wrong."""
    nodes = ",".join(f"{node.host}:{node.port}" for node in redis_cluster_nodes)
    server = ServerSketches(RedisClusterCache(nodes, key_prefix=f"{{}}test-{next(numbers)}/"))
    server.push(INDEX, HASHES[:10], NOW)
    with pytest.raises(Exception, match=r"hash to the same slot|CROSSSLOT"):
        server.fetch(INDEX, NOW)


def test_other_stores_cannot() -> None:
    """It is a capability, as others are."""
    assert not isinstance(SimpleCache(), SupportsDistinct)


def test_another_kind_of_key_is_an_error(redis_server: RedisServer) -> None:
    """As the server says it."""
    cache = RedisCache(redis_server.host, redis_server.port, key_prefix=f"test-{next(numbers)}/")
    cache.set("text", "no sketch")
    with pytest.raises(Exception, match="WRONGTYPE"):
        cache.add_distinct("text", [b"x"], 60)
    with pytest.raises(Exception, match="WRONGTYPE"):
        cache.count_distinct("text")


# Several machines.


def test_machines_are_united(connect: Callable[..., RedisCache]) -> None:
    """What both have looked up is counted once, and each shows the same."""
    first, second = Machine(connect()), Machine(connect())
    first.look_up(*range(2000))
    second.look_up(*range(1000, 3000))
    second.look_up("only here", target="about")
    assert first.counts() == pytest.approx((2000, 2000), rel=0.03)
    for machine in (first, second):
        machine.keys.exchange(NOW)
    first.keys.exchange(NOW + 25)
    assert first.counts(NOW + 25) == pytest.approx((3000, 3000), rel=0.03)
    assert second.counts(NOW + 25) == first.counts(NOW + 25)
    assert second.counts(target="about") == (1, 1)
    # What it learnt is too old, and the network is out of reach for a while.
    assert first.counts(NOW + 25 + FRESH) == pytest.approx((2000, 2000), rel=0.03)


def test_windows_slide_on_the_server(connect: Callable[..., RedisCache]) -> None:
    """Slot by slot, as they do on a machine."""
    machine = Machine(connect())
    for minute in range(0, 70, 5):
        machine.look_up(*range(minute, minute + 10), now=NOW + 60 * minute)
        machine.keys.exchange(NOW + 60 * minute)
    assert machine.server.fetch(INDEX, NOW + 65 * 60) == pytest.approx([15, 70], rel=0.03)
    assert machine.server.fetch(INDEX, NOW + 71 * 60) == pytest.approx([0, 65], rel=0.03)
    assert machine.server.fetch(INDEX, NOW + 200 * 60) == [0, 0]


def test_keys_expire_when_their_window_is_over(redis_server: RedisServer) -> None:
    """And are named by what they count, with no key of the application's in them."""
    prefix = f"test-{next(numbers)}/"
    machine = Machine(RedisCache(redis_server.host, redis_server.port, key_prefix=prefix))
    machine.look_up("secret", target="shop.index")
    machine.keys.exchange(NOW)
    names = redis_server.cli("KEYS", f"{prefix}*").splitlines()
    start = f"{prefix}{RESERVED}distinct/{{cache/view/shop.index/"
    assert sorted(names) == [f"{start}1h}}/6000000", f"{start}5m}}/30000000"]
    for name, ring in zip(sorted(names), reversed(RINGS), strict=True):
        left = int(redis_server.cli("TTL", name))
        assert left == pytest.approx(ring.seconds * (ring.length + 1), abs=5)
        assert "secret" not in redis_server.cli("GET", name)


# When it is asked, and when not.


class Fake(SupportsDistinct):
    """Notes what it is asked, and fails when it is told to."""

    def __init__(self) -> None:
        self.added: dict[str, set[bytes]] = {}
        self.calls = 0
        self.largest = 0
        self.error: Exception | None = None
        self.thread = threading.get_ident()

    def _called(self) -> None:
        assert threading.get_ident() == self.thread
        self.calls += 1
        if self.error is not None:
            raise self.error

    def add_distinct(self, key: str, members: Any, timeout: float) -> None:
        self._called()
        self.largest = max(self.largest, len(members))
        assert {type(each) for each in members} == {bytes}
        assert {len(each) for each in members} == {8}
        self.added.setdefault(key, set()).update(members)

    def count_distinct(self, *keys: str) -> int:
        self._called()
        return len(set().union(*(self.added.get(key, ()) for key in keys)))


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def machine(fake: Fake) -> Machine:
    return Machine(fake)


def test_neither_a_lookup_nor_a_scrape_asks_the_server(fake: Fake, machine: Machine) -> None:
    """Only the exchange does."""
    machine.look_up(*range(3500))
    machine.counts()
    assert fake.calls == 0
    assert machine.keys.exchange(NOW) is False
    assert fake.largest <= 1000
    assert fake.calls == 2 * 4 + 2
    assert machine.counts() == (3500, 3500)


def test_an_exchange_is_seldom(fake: Fake, machine: Machine) -> None:
    """However often it is called: to send every five seconds, to ask every twenty."""
    for tenth in range(600):
        machine.look_up(tenth, now=NOW + tenth / 10)
        machine.keys.exchange(NOW + tenth / 10)
    assert fake.calls == 2 * 12 + 2 * 3
    # A clock that was put back does not stop it for as long.
    machine.look_up("x", now=NOW - 86400)
    machine.keys.exchange(NOW - 86400)
    assert fake.calls > 30


def test_there_is_something_to_come_back_for_until_it_is_sent(fake: Fake, machine: Machine) -> None:
    """It says so itself: a server that is left alone will be sent it later."""
    fake.error = BackendUnavailable("the server is left alone")
    machine.look_up("key")
    assert machine.keys.exchange(NOW) is True
    faults.clear()
    fake.error = None
    assert machine.keys.exchange(NOW + RETRY_INTERVAL) is False


def test_a_server_that_fails_is_left_alone(fake: Fake, machine: Machine) -> None:
    """One call, and none for a while; what this machine has counted is shown, and sent later."""
    fake.error = BackendUnavailable("the server is left alone")
    machine.look_up(*range(3))
    for second in range(int(RETRY_INTERVAL)):
        machine.keys.exchange(NOW + second)
    assert fake.calls == 1
    assert machine.counts() == (3, 3)
    assert faults == {"distinct_keys.exchange: BackendUnavailable": 1}
    faults.clear()
    fake.error = None
    machine.keys.exchange(NOW + RETRY_INTERVAL)
    assert machine.server.fetch(INDEX, NOW) == [3, 3]
    assert not machine.server.waiting


def test_what_waits_is_bounded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server is away: the oldest goes first."""
    monkeypatch.setattr(serversketches, "_WAITING_LIMIT", 1000)
    for minute in range(20):
        machine.look_up(*range(minute, minute + 300), now=NOW + 60 * minute)
    waiting = machine.server._waiting
    assert sum(map(len, waiting.values())) <= 1000
    assert [slot for _, slot in waiting] == [int(NOW // 60) + minute for minute in (17, 18, 19)]


def test_a_slow_server_does_not_keep_the_thread(
    fake: Fake, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is for the next time, and in the end everybody has had a turn."""
    monkeypatch.setattr(serversketches, "_LONGEST", 0.0)
    machine.look_up("key")
    machine.keys.exchange(NOW)
    assert fake.calls <= 4
    assert machine.server.waiting or machine.counts() == (1, 1)
    monkeypatch.setattr(serversketches, "_LONGEST", 60.0)
    machine.keys.exchange(NOW + 5)
    assert not machine.server.waiting


def test_only_its_own_cache_is_asked_for(fake: Fake, machine: Machine) -> None:
    """The store may be shared with caches whose servers are others; workers share a cache."""
    other, sibling = ("other", "redis", "view", "index"), (*INDEX[:3], "of another worker")
    machine.store.record(other, [], NOW)
    machine.store.record(sibling, [], NOW)
    machine.look_up("key")
    machine.keys.exchange(NOW)
    assert machine.store.unlearnt(NOW, 20) == [other]


def test_a_dead_server_costs_little(own_redis: RedisServer) -> None:
    """It goes through the breaker, and when the server is back all is sent."""
    cache = RedisCache(own_redis.host, own_redis.port, key_prefix="distinct/")
    machine = Machine(cache)
    machine.look_up(*range(50))
    machine.keys.exchange(NOW)
    own_redis.kill()
    machine.look_up(*range(50, 80))
    machine.keys.exchange(NOW + 20)
    assert faults
    assert machine.counts(NOW + 20) == (50, 50)
    assert machine.counts(NOW + FRESH) == (80, 80)
    own_redis.restart()
    for breaker in cache.breakers:
        breaker._retry_at = 0.0
    machine.keys.exchange(NOW + 120)
    assert machine.server.fetch(INDEX, NOW + 120) == pytest.approx([30, 30], abs=1)
    faults.clear()
