"""The hazards that depend on the store, on every store that several processes share."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Response
from hazard_raw import Raw, raw_store
from hazard_site import WAYS, Site, close_sites, handled, raised
from hazard_stores import FIXTURES, SHARED, config_at, config_of
from hazard_threads import PATIENCE, Meeting, Worker
from hazard_trips import TripCounter, commands
from redis_groups import ClusterNode, SentinelSet
from servers import MemcachedServer, RedisServer, SaslMemcachedServer

from flask_caching import CacheError

_numbers = itertools.count()


@dataclass
class Store:
    """A store, part of which is this test's own.

    Attributes:
        name: That of its class, with ``OfThree`` where there are several servers.
        prefix: The key prefix.
        config: The configuration.
        server: What its fixture gave.
        raw: Its items, past the cache.
    """

    name: str
    prefix: str
    config: dict[str, Any]
    server: Any
    raw: Raw

    def site(self, **config: Any) -> Site:
        """A worker on it; several share its content."""
        return Site(**{**self.config, "CACHE_KEY_PREFIX": self.prefix, **config})

    def change(self, part: str, change: Callable[[bytes], bytes]) -> None:
        """Change the bytes of what was stored under a key with ``part`` in it."""
        assert self.raw.change(self.prefix, part, change) == 1

    def copy(self, part: str) -> bytes:
        """The bytes of that item."""
        found: list[bytes] = []

        def look(data: bytes) -> bytes:
            found.append(data)
            return data

        self.change(part, look)
        return found[0]


@pytest.fixture(params=SHARED)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn."""
    name = request.param
    if "SASL" in name:
        # One that writes down what it is asked, since it cannot be listed.
        server = request.getfixturevalue("start_server")(SaslMemcachedServer, "-vv")
    else:
        server = request.getfixturevalue(FIXTURES[name]) if FIXTURES[name] else None
    raw = raw_store(name, server, tmp_path)
    config = config_of(name, server, tmp_path)
    return Store(name, f"hazards-{os.getpid()}-{next(_numbers)}/", config, server, raw)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_sites()


# 10


def test_10_closures_share_with_their_like_in_another_worker_only(store: Store) -> None:
    """Two closures of one factory differ; the same one in two workers does not."""
    ran: list[int] = []

    def times(site: Site, factor: int) -> Callable[[int], int]:
        @site.cache.memoize()
        def multiply(number: int) -> int:
            ran.append(factor)
            return number * factor

        return multiply

    one, other = store.site(), store.site()
    assert [times(one, 2)(5), times(one, 3)(5), times(other, 2)(5)] == [10, 15, 10]
    assert ran == [2, 3]


def test_10_two_lambdas_of_one_line_do_not_share(store: Store) -> None:
    """Their names are the same; their code is not."""
    cache = store.site().cache
    functions = [cache.memoize()(lambda x: x + 1), cache.memoize()(lambda x: x - 1)]
    assert [function(5) for function in functions * 2] == [6, 4, 6, 4]


# 11


def dynamic_route(site: Site, **options: Any) -> list[int]:
    """A route whose pages all have one key; returns the ids for which the view ran."""
    ran: list[int] = []

    @site.app.route("/product/<int:number>")
    @site.cache.cached(key_prefix="product", **options)
    def product(number: int) -> str:
        ran.append(number)
        return f"product {number}"

    return ran


def test_11_a_constant_key_on_a_dynamic_route_is_found_across_workers(store: Store) -> None:
    """Another worker's page is recognised as another request's; reported, or refused."""
    one, other = store.site(), store.site()
    dynamic_route(one)
    dynamic_route(other)
    assert one.app.test_client().get("/product/1").text == "product 1"
    assert other.app.test_client().get("/product/2").text == "product 1"
    assert other.stats()["collisions"] == {"arguments": {"reported": 1, "refused": 0}}
    strict = store.site(CACHE_COLLISIONS="refuse")
    dynamic_route(strict)
    assert strict.app.test_client().get("/product/2").text == "product 2"
    assert strict.stats()["collisions"] == {"arguments": {"reported": 0, "refused": 1}}


def test_11_a_helper_called_from_everywhere_is_no_collision(store: Store) -> None:
    """One constant key, several workers and pages: one value."""
    one, other = store.site(), store.site()
    for site in (one, other):
        site.ask_right("helper", 1)
        with site.app.test_request_context(f"/{id(site)}"):
            site.ask_right("helper", 1)
    assert one.ran["helper"] + other.ran["helper"] == 1
    assert one.stats()["collisions"] == other.stats()["collisions"] == {}


def test_11_an_entry_made_under_another_secret_is_a_miss(store: Store) -> None:
    """Not a collision: its witness cannot be compared. It is counted."""
    one, other = store.site(), store.site(SECRET_KEY="another")
    one.ask_right("view", 1)
    other.ask_right("view", 1)
    assert other.ran["view"] == 1
    assert other.stats()["collisions"] == {}
    assert handled(other, "serialization") == 1
    assert other.is_hit("view", 1)


# 14


def test_14_another_workers_invalidation_during_a_load_is_not_undone(store: Store) -> None:
    """A memoized value that was made under the old version is stored, and not served."""
    one, other = store.site(), store.site()
    one.ask_right("memoize", 1)
    assert other.is_hit("memoize", 1)
    one.during = lambda way, number: other.cache.delete_memoized(other.price)
    one.cache.delete_memoized(one.price)
    one.ask_right("memoize", 1)
    one.during = lambda way, number: None
    assert not other.is_hit("memoize", 1)
    assert one.is_hit("memoize", 1)


@pytest.mark.parametrize("how", ["delete", "clear", "set", "delete_many"])
def test_14_a_workers_own_change_during_a_load_is_not_undone(store: Store, how: str) -> None:
    """What is deleted while a view runs is not there afterwards."""
    site = store.site()
    changes = {
        "delete": lambda: site.cache.delete("view//page/1"),
        "delete_many": lambda: site.cache.delete_many("view//page/1", "other"),
        "set": lambda: site.cache.set("view//page/1", "set meanwhile"),
        "clear": lambda: site.cache.clear(),
    }
    site.during = lambda way, number: changes[how]()
    site.ask_right("view", 1)
    site.during = lambda way, number: None
    with site.app.app_context():
        assert site.cache.get("view//page/1") == ("set meanwhile" if how == "set" else None)


def test_14_a_version_that_the_store_lost_brings_nothing_back(store: Store) -> None:
    """Forgotten by the server itself: what was made under it is loaded anew."""
    site = store.site()
    site.ask_right("memoize", 1)
    site.cache.delete_memoized_verhash(site.price)
    assert not site.is_hit("memoize", 1)
    assert site.is_hit("memoize", 1)


# 15, 16


def test_15_a_memoized_generator_gives_its_items_to_every_worker(store: Store) -> None:
    """Items, not characters, and each time all of them."""

    def numbers(site: Site) -> Any:
        @site.cache.memoize()
        def generate(count: int) -> Iterator[int]:
            yield from range(count)

        return generate

    one, other = numbers(store.site()), numbers(store.site())
    assert [list(one(3)), list(one(3)), list(other(3))] == [[0, 1, 2]] * 3


def test_16_a_value_changed_by_its_receiver_is_changed_for_nobody_else(store: Store) -> None:
    """Neither the one that was returned, nor the one that was given to ``set``."""
    site, other = store.site(), store.site()
    given = {"names": ["a"]}
    site.cache.set("value", given)
    given["names"].append("b")
    site.cache.get("value")["names"].append("c")
    site.cache.get_many("value")[0]["names"].append("d")
    memoized = site.cache.memoize()(lambda: {"names": ["a"]})
    for _ in range(3):
        memoized()["names"].append("e")
    assert site.cache.get("value") == other.cache.get("value") == {"names": ["a"]}
    assert memoized() == {"names": ["a"]}


def test_16_a_response_changed_by_one_request_is_not_changed_for_the_next(store: Store) -> None:
    """A cookie or header that is added to a hit stays with that visitor."""
    site = store.site()
    visitors = itertools.count()

    @site.app.after_request
    def greet(response: Response) -> Response:
        response.set_cookie("visitor", str(next(visitors)))
        response.headers.add("X-Visitor", "one")
        return response

    client = site.app.test_client(use_cookies=False)
    for number in range(3):
        response = client.get("/page/1")
        assert response.headers.getlist("X-Visitor") == ["one"]
        cookies = response.headers.getlist("Set-Cookie")
        assert [cookie.split(";")[0] for cookie in cookies] == [f"visitor={number}"]
    assert site.ran["view"] == 1


# 18


@pytest.mark.parametrize("way", WAYS)
def test_18_ten_threads_that_miss_one_key_load_it_once(store: Store, way: str) -> None:
    """One loads, the others get what it made."""
    site = store.site()
    start = threading.Barrier(10)
    site.during = lambda way, number: time.sleep(0.1)

    def ask() -> None:
        start.wait(PATIENCE)
        site.ask_right(way, 1)

    for worker in [Worker(ask) for _ in range(10)]:
        worker.result()
    assert site.ran[way] == 1


@pytest.mark.parametrize("way", WAYS)
def test_18_one_of_two_workers_loads_for_both(store: Store, way: str) -> None:
    """``CACHE_SINGLE_FLIGHT = "distributed"``: the other one waits for what it stores."""
    one, other = (store.site(CACHE_SINGLE_FLIGHT="distributed") for _ in range(2))
    meeting = Meeting()
    one.during = lambda way, number: meeting.stop()
    first = Worker(one.ask_right, way, 1)
    meeting.await_arrival()
    second = Worker(other.ask_right, way, 1)
    time.sleep(0.05)
    meeting.release()
    first.result()
    second.result()
    assert (one.ran[way], other.ran[way]) == (1, 0)
    assert not store.raw.change(store.prefix, "_flask_caching/lock", lambda data: data)


# 19


@pytest.mark.parametrize(
    ("prefix", "alike"),
    [
        ("app[1]/", "app1/"),
        ("app*/", "apple/"),
        ("app?/", "appX/"),
        ("app\\*/", "app*/"),
        ("app%20/", "app /"),
        ("app é\n/", "app e\n/"),
        ("app^$.|/", "appx/"),
    ],
)
def test_19_clear_removes_what_has_the_prefix_literally(
    store: Store, prefix: str, alike: str
) -> None:
    """No more, and no less; the switch stays as it is."""
    own = store.site(CACHE_KEY_PREFIX=store.prefix + prefix)
    other = store.site(CACHE_KEY_PREFIX=store.prefix + alike)
    for site in (own, other):
        for number in range(30):
            site.cache.set(f"key {number}", number)
    own.cache.disable()
    assert own.cache.clear()
    keys = [f"key {number}" for number in range(30)]
    assert own.cache.get_many(*keys) == [None] * 30
    assert other.cache.get_many(*keys) == list(range(30))
    assert not own.cache.enabled
    assert other.cache.enabled


FORBIDDEN = ("keys", "flushdb", "flushall", "swapdb")


def test_19_clear_uses_no_command_that_blocks_or_flushes(
    redis_server: RedisServer, redis_cluster_nodes: list[ClusterNode]
) -> None:
    """No ``KEYS``, no ``FLUSHDB``, in one server and in a cluster; also where all may go."""
    for store, servers in (
        ("RedisCache", [redis_server]),
        ("RedisClusterCache", redis_cluster_nodes),
    ):
        addresses = [server.address for server in servers]
        site = Site(**config_at(store, *addresses), CACHE_KEY_PREFIX="large/")
        other = Site(**config_at(store, *addresses), CACHE_KEY_PREFIX="other/")
        other.cache.set("key", "value")
        site.cache.cache.set_many({f"key {number}": number for number in range(3000)})
        before = [used(server) for server in servers]
        assert site.cache.clear()
        after = [used(server) for server in servers]
        assert after == before
        assert other.cache.get("key") == "value"
        assert not any(name.startswith(b"large/") for name in names(servers))


def used(server: RedisServer) -> dict[str, str]:
    """How often forbidden commands were used so far."""
    stats = server.info("commandstats")
    return {name: text for name in FORBIDDEN if (text := stats.get(f"cmdstat_{name}"))}


def test_19_no_dangerous_command_is_needed(own_redis: RedisServer) -> None:
    """Whoever may only read and write keys of the prefix can do all that the cache does."""
    own_redis.cli("ACL", "SETUSER", "shop", "on", ">word", "~shop/*", "+@all", "-@dangerous")
    site = Site(
        **config_at("RedisCache", own_redis.address),
        CACHE_KEY_PREFIX="shop/",
        CACHE_REDIS_USERNAME="shop",
        CACHE_REDIS_PASSWORD="word",
        CACHE_SINGLE_FLIGHT="distributed",
    )
    for way in WAYS:
        site.ask_right(way)
        assert site.is_hit(way)
    cache = site.cache
    assert cache.set_many({"a": 1, "b": "text"}) == ["a", "b"]
    assert (cache.inc("a"), cache.dec("a"), cache.get_many("a", "b")) == (2, 1, [1, "text"])
    assert cache.touch("a")
    assert cache.ttl("a")
    assert len(cache.cache.keys().keys) >= 2
    assert cache.unlink("a", "b") == ["a", "b"]
    cache.delete_memoized(site.price)
    cache.disable()
    cache.enable()
    assert cache.clear()
    assert not site.is_hit()
    assert handled(site) == raised(site) == 0


def names(servers: list[Any]) -> list[bytes]:
    return raw_store("RedisClusterCache", servers, Path()).names()


@pytest.mark.parametrize("store", ["MemcachedCache", "MemcachedCacheOfThree"], indirect=True)
def test_19_clear_never_flushes_memcached(store: Store) -> None:
    """What others keep there stays, and ``cmd_flush`` is not counted up."""
    servers = store.server if isinstance(store.server, list) else [store.server]
    site, other = store.site(), store.site(CACHE_KEY_PREFIX=f"{store.prefix}other/")
    for number in range(200):
        site.cache.set(f"key {number}", number)
        other.cache.set(f"key {number}", number)
    assert site.cache.clear()
    keys = [f"key {number}" for number in range(200)]
    assert site.cache.get_many(*keys) == [None] * 200
    site.cache.set("key 1", "new")
    assert site.cache.get("key 1") == "new"
    assert [server.stats()["cmd_flush"] for server in servers] == ["0"] * len(servers)
    # Its prefix begins the other one's, which cannot be told apart; so the other one clears.
    other.cache.set("key 1", "theirs")
    assert other.cache.clear()
    assert site.cache.get("key 1") == "new"


@pytest.mark.parametrize("store", ["SASLMemcachedCache"], indirect=True)
def test_19_what_was_cleared_stays_away_whatever_the_server_forgets(store: Store) -> None:
    """Where clearing begins a new generation of names, its number may be lost."""
    site, other = store.site(), store.site()
    for turn in range(3):
        site.cache.set("key", f"old {turn}")
        assert other.cache.get("key") == f"old {turn}"
        assert site.cache.clear()
        store.change("generation", lambda data: b"")
        for each in (site, other, store.site()):
            assert each.cache.get("key") is None
    site.cache.set("key", "new")
    assert other.cache.get("key") == "new"


def test_19_an_empty_prefix_clears_nothing_unless_it_is_allowed(
    own_redis: RedisServer, own_memcached: MemcachedServer
) -> None:
    """The message says what to set; allowed, everything goes, without flushing."""
    for store, server in (("RedisCache", own_redis), ("MemcachedCache", own_memcached)):
        config = {**config_at(store, server.address), "CACHE_KEY_PREFIX": ""}
        site = Site(**config)
        site.cache.set("key", "value")
        with pytest.raises(CacheError, match="CACHE_ALLOW_FLUSH"):
            site.cache.clear()
        assert site.cache.get("key") == "value"
        allowed = Site(**config, CACHE_ALLOW_FLUSH=True)
        assert allowed.cache.clear()
        assert allowed.cache.get("key") is None
    assert used(own_redis) == {}
    assert own_memcached.stats()["cmd_flush"] == "0"


def test_19_foreign_files_survive_clear(tmp_path: Path) -> None:
    """Whatever lies in ``CACHE_DIR`` that is not the cache's own."""
    site = Site(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_KEY_PREFIX="own/")
    foreign = [tmp_path / "notes.txt", tmp_path / "0123456789abcdef", tmp_path / "sub" / "a.entry"]
    (tmp_path / "sub").mkdir()
    for path in foreign:
        path.write_text("not the cache's")
    site.ask_right("view", 1)
    assert site.cache.clear()
    assert not site.is_hit("view", 1)
    assert [path.read_text() for path in foreign] == ["not the cache's"] * 3


# 20


def test_20_the_hottest_files_are_not_the_first_to_go(tmp_path: Path) -> None:
    """What is read all the time stays, with an expiry or without; the limit is kept."""
    site = Site(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_THRESHOLD=100)
    hot = [f"hot {number}" for number in range(10)]
    for number, key in enumerate(hot):
        site.cache.set(key, key, timeout=0 if number % 2 else 300)
    for number in range(500):
        site.cache.set(f"cold {number}", number)
        if not number % 5:
            site.cache.get_many(*hot)
    assert site.cache.get_many(*hot) == hot
    assert len(list(tmp_path.rglob("*.entry"))) <= 105
    assert site.stats()["evictions"]["lru"] >= 400


_watched: list[str] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _watched is not None and event in ("open", "os.listdir", "os.scandir", "os.rename"):
        _watched.append(event)


def test_20_a_write_into_a_full_directory_does_not_depend_on_its_size(tmp_path: Path) -> None:
    """No write lists the directory, or reads all of it."""
    global _watched
    sys.addaudithook(_audit)
    looks: list[float] = []
    for size in (200, 2000):
        folder = tmp_path / str(size)
        site = Site(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(folder), CACHE_THRESHOLD=size)
        for number in range(size):
            site.cache.set(f"old {number}", number)
        _watched = seen = []
        try:
            for number in range(100):
                site.cache.set(f"new {number}", number)
        finally:
            _watched = None
        looks.append(len(seen) / 100)
    assert looks[1] < 2 * looks[0] + 5, looks
    assert looks[1] < 60


# 21


@pytest.mark.parametrize("size", [1_000_000, 3_000_000])
def test_21_a_large_page_is_served_and_cached_or_counted(store: Store, size: int) -> None:
    """Over memcached's limit it is refused with a reason, and no error page."""
    site, large = store.site(), size > 1_000_000
    ran: list[int] = []

    @site.app.route("/large")
    @site.cache.cached()
    def large_page() -> str:
        ran.append(1)
        return "x" * size

    client = site.app.test_client()
    for _ in range(2):
        response = client.get("/large")
        assert (response.status_code, len(response.data)) == (200, size)
    stats = site.stats()
    if store.name in ("MemcachedCache", "MemcachedCacheOfThree", "SASLMemcachedCache") and large:
        assert len(ran) == 2
        assert stats["refusals"] == {"too_large": 2}
        assert site.cache.set("large", "x" * size) is False
    else:
        assert len(ran) == 1
        assert stats["refusals"] == {}
    assert raised(site) == 0
    assert site.open_breakers() == 0 if "breakers" in stats else store.name == "FileSystemCache"


def test_21_a_value_that_became_too_large_is_not_served_as_it_was(
    memcached_server: MemcachedServer,
) -> None:
    """A refused write leaves no older value behind."""
    config = config_at("MemcachedCache", memcached_server.address)
    site = Site(**config, CACHE_KEY_PREFIX="grown/")
    assert site.cache.set("key", "small")
    assert site.cache.set("key", "x" * 3_000_000) is False
    assert site.cache.get("key") is None


def test_21_many_values_go_together(store: Store) -> None:
    """More than fits into any buffer: nothing waits for itself, and nothing is lost."""
    backend = store.site(CACHE_THRESHOLD=0).cache.cache
    values = {f"key {number}": f"{number} " * 800 for number in range(1500)}
    assert backend.set_many(values) == list(values)
    assert backend.get_many(*values) == list(values.values())
    assert sorted(backend.delete_many(*values)) == sorted(values)
    assert backend.get_many(*values) == [None] * len(values)


def test_21_a_prefix_may_be_as_odd_as_a_key(store: Store) -> None:
    """Long, with spaces, not ASCII: two that begin alike are two."""
    prefixes = [f"{'long ' * 80}{end}/" for end in "ab"] + ["日本\r\n /", "日本\r\n  /"]
    sites = [store.site(CACHE_KEY_PREFIX=store.prefix + prefix) for prefix in prefixes]
    for number, site in enumerate(sites):
        assert site.cache.set("key", number)
        assert site.cache.set("k" * 300, f"{number}")
    for number, site in enumerate(sites):
        assert site.cache.get_many("key", "k" * 300) == [number, f"{number}"]
        assert site.cache.clear()
        assert site.cache.get_many("key", "k" * 300) == [None, None]


ODD = [
    "with spaces and\ttabs",
    "naïve/日本語/🍰",
    "a" * 300,
    "a" * 299 + "b",
    "ü" * 300,
    "\x00\x01\x7f\x1b[31m",
    "key\r\nset other 0 0 5\r\nvalue",
    "<script>alert(1)</script>",
    "%20%0d%0a",
    "100%",
    "{tag}{other}",
    "../../etc/passwd",
    "nul\x00in the middle",
    "\ud800 alone",
    "",
    " ",
    "*",
    "[a-z]?",
]


def test_21_and_35_any_key_is_a_key(store: Store) -> None:
    """Long, with spaces, in any script, with control characters: each has its own value."""
    site = store.site()
    for number, key in enumerate(ODD):
        assert site.cache.set(key, f"value {number}"), repr(key)
    other = store.site()
    for cache in (site.cache, other.cache):
        assert cache.get_many(*ODD) == [f"value {number}" for number in range(len(ODD))]
        for number, key in enumerate(ODD):
            assert cache.get(key) == f"value {number}", repr(key)
            assert cache.has(key)
    for key in ODD:
        assert site.cache.delete(key), repr(key)
        assert other.cache.get(key) is None
    for key in ODD:
        assert site.cache.inc(key, 2) == 2
        assert site.cache.dec(key) == 1
    assert sorted(site.cache.delete_many(*ODD)) == sorted(ODD)
    assert raised(site) == 0


def test_21_views_of_odd_paths_are_cached(store: Store) -> None:
    """Each path has a page of its own, made once."""
    site = store.site()
    ran: list[str] = []

    @site.app.route("/named/<path:name>")
    @site.cache.cached(query_string=True)
    def named(name: str) -> Response:
        ran.append(name)
        return Response(f"page of {name}", mimetype="text/plain")

    # What no URL can have, or the converter does not take.
    paths = [key for key in ODD if key.strip("/. ") and not re.search("\n|\\.\\.|\ud800", key)]
    client = site.app.test_client()
    for _ in range(2):
        for path in paths:
            quoted = "".join(f"%{byte:02X}" for byte in path.encode())
            assert client.get(f"/named/{quoted}").text == f"page of {path}"
    assert len(ran) == len(paths)


# 22


class Unpicklable(Exception):
    """An error that pickle writes, and cannot read: it calls it with too few arguments."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(one)


def test_22_a_value_that_cannot_be_stored_is_returned_each_time(store: Store) -> None:
    """A lock, and an error that cannot be read back: counted, and no error page."""
    site = store.site()
    for make in (threading.Lock, lambda: Unpicklable(1, 2), lambda: lambda: 1):
        memoized = site.cache.memoize()(make)
        assert type(memoized()) is type(memoized()) is type(make())
    assert handled(site) >= 3
    assert raised(site) == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "shorter": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "only its beginning": lambda data: data[:5],
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "one bit of the header": lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:],
    "longer": lambda data: data + b"!",
    "another version": lambda data: data[:4] + b"\xfe" + data[5:],
    "a pickle": lambda data: pickle.dumps("other"),
    "JSON": lambda data: b'{"value": "other"}',
    "text": lambda data: "ça".encode("latin-1"),
    "a number": lambda data: b"17",
    "of the released library": lambda data: b"!" + pickle.dumps("other"),
    "of the released library, a number": lambda data: b"5",
    "zeros": lambda data: bytes(len(data)),
}


#: A way to read, and a part of a key that it reads.
READS = (
    ("view", "view//page/1"),
    ("memoize", "memo/"),
    ("memoize", "_memver"),
    ("helper", "helper/1"),
    ("fragment", "_template_fragment_cache"),
    ("get_or_set", "own/1"),
)


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_22_a_damaged_or_foreign_entry_is_a_counted_miss(store: Store, damage: str) -> None:
    """The function runs, and what it returns takes its place; likewise for a version."""
    site = store.site()
    # A bare number may be the application's own.
    is_number = "number" in damage
    for way, part in READS:
        site.ask_right(way, 1)
        assert site.is_hit(way, 1)
        before, ran = handled(site), site.ran[way]
        store.change(part, DAMAGE[damage])
        if is_number and way == "get_or_set":
            assert site.ask(way, 1) in ("17", "5")
            continue
        site.ask_right(way, 1)
        assert site.ran[way] == ran + 1, (way, part)
        assert handled(site) > before or is_number, (way, part)
        assert site.is_hit(way, 1), (way, part)
        site.cache.delete_memoized(site.price)
    site.cache.set("direct", ["value"])
    store.change("direct", DAMAGE[damage])
    before = handled(site)
    got = [site.cache.get("direct"), *site.cache.get_many("direct")]
    if not is_number:
        assert got == [None, None]
        assert handled(site) == before + 2
    assert site.cache.set("direct", ["new"])
    assert site.cache.get("direct") == ["new"]
    assert raised(site) == 0


@pytest.mark.parametrize("store", ["RedisCache", "RedisClusterCache"], indirect=True)
def test_22_a_key_that_holds_a_list_is_a_counted_miss(store: Store) -> None:
    """Somebody else's list or hash under a key of the cache: it is replaced."""
    site = store.site()
    for way, part in READS:
        site.ask_right(way, 1)
        before, ran = handled(site), site.ran[way]
        make_lists(store, part)
        site.ask_right(way, 1)
        assert site.ran[way] == ran + 1, (way, part)
        assert handled(site) > before or way == "memoize", (way, part)
        assert site.is_hit(way, 1), (way, part)
        site.cache.delete_memoized(site.price)
    assert raised(site) == 0
    assert site.open_breakers() == 0


def make_lists(store: Store, part: str) -> None:
    """Put a list in place of each item of a Redis store with that in its name."""
    for server in store.server if isinstance(store.server, list) else [store.server]:
        with redis.Redis(host=server.host, port=server.port) as client:
            for name in client.scan_iter(count=1000):
                if store.prefix.encode() in name and part.encode() in name:
                    client.delete(name)
                    client.rpush(name, "one", "two")


# 27, 28


def test_27_what_another_worker_stored_is_found_to_be_deleted(store: Store) -> None:
    """``delete_cached`` and ``delete_memoized`` make the keys that the calls made."""
    one, other = store.site(), store.site()
    for number in (1, 2):
        one.ask_right("view", number)
        one.ask_right("memoize", number)
    with other.app.app_context():
        assert other.cache.delete_cached(other.page, number=1) is True
        assert other.cache.delete_cached(other.page, number=1) is False
        other.cache.delete_memoized(other.price, 1)
    for way in ("view", "memoize"):
        assert not one.is_hit(way, 1)
        assert one.is_hit(way, 2)
        assert other.is_hit(way, 2)
    other.cache.delete_memoized(other.price)
    assert not one.is_hit("memoize", 2)


def test_28_hits_and_misses_are_counted_for_each_key(store: Store) -> None:
    """By every way to read; what is falsy is there, and a miss is a miss."""
    site = store.site()
    values: dict[str, Any] = {"zero": 0, "text": "", "list": [], "no": False, "float": 0.0}
    assert site.cache.set_many(values) == list(values)
    for key, value in values.items():
        got = site.cache.get(key)
        assert (got, type(got)) == (value, type(value))
    assert site.cache.get("absent") is None
    assert site.cache.get_many(*values, "absent") == [*values.values(), None]
    assert site.cache.get_dict(*values, "absent") == {**values, "absent": None}
    lookups = site.stats()["lookups"]
    assert lookups == {"hit": 15, "miss": 3, "stale": 0, "error": 0}
    memoized = site.cache.memoize(cache_none=True)(lambda: None)
    assert memoized() is memoized() is None
    assert site.hits() == 16


def test_28_get_or_set_finds_the_applications_own_numbers(store: Store) -> None:
    """A counter is a value like any other."""
    site = store.site()
    site.cache.set("number", 5)
    assert site.cache.inc("counter") == 1
    assert site.cache.get_or_set("number", lambda: 6) == 5
    assert site.cache.get_or_set("counter", lambda: 7) == 1
    assert handled(site) == 0


# 29


@pytest.fixture
def redis_with_users(own_redis: RedisServer) -> RedisServer:
    """A Redis that lets nobody in but the user ``shop``."""
    own_redis.cli("ACL", "SETUSER", "shop", "on", ">pass word@1", "~*", "&*", "+@all")
    own_redis.cli("ACL", "SETUSER", "default", "off")
    return own_redis


def settings_of(site: Site) -> dict[str, Any]:
    """What the client of a Redis cache was made with."""
    options: dict[str, Any] = site.cache.cache._write_client.connection_pool.connection_kwargs
    return options


@pytest.mark.parametrize(
    "login",
    [
        {"CACHE_REDIS_URL": "redis://shop:pass%20word%401@{at}/3"},
        {
            "CACHE_REDIS_URL": "redis://{at}/3",
            "CACHE_REDIS_USERNAME": "shop",
            "CACHE_REDIS_PASSWORD": "pass word@1",
        },
        {"CACHE_REDIS_URL": "redis://shop@{at}/3", "CACHE_REDIS_PASSWORD": "pass word@1"},
        {
            "CACHE_REDIS_URL": "redis://{at}/3",
            "CACHE_OPTIONS": {"username": "shop", "password": "pass word@1"},
        },
        {
            "CACHE_REDIS_HOST": "{host}",
            "CACHE_REDIS_PORT": "{port}",
            "CACHE_REDIS_USERNAME": "shop",
            "CACHE_REDIS_PASSWORD": "pass word@1",
            "CACHE_REDIS_DB": "3",
        },
        {
            "CACHE_OPTIONS": {
                "host": "{host}",
                "port": "{port}",
                "username": "shop",
                "password": "pass word@1",
                "db": 3,
            }
        },
    ],
    ids=["URL", "URL and keys", "URL and password", "URL and options", "keys", "options"],
)
def test_29_no_credential_or_option_is_dropped(
    redis_with_users: RedisServer, login: dict[str, Any]
) -> None:
    """However they are given together: the server knows the user, the database, the name."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(item) for name, item in value.items()}
        if not isinstance(value, str):
            return value
        host, port = redis_with_users.address
        return value.format(at=f"{host}:{port}", host=host, port=port)

    config = fill(login)
    config["CACHE_OPTIONS"] = {
        **config.get("CACHE_OPTIONS", {}),
        "client_name": "the-cache",
        "socket_timeout": 2.5,
        "key_prefix": "from options/",
        "default_timeout": 77,
    }
    site = Site(CACHE_TYPE="RedisCache", CACHE_KEY_PREFIX="from key/", **config)
    site.ask_right("view", 1)
    assert site.is_hit("view", 1)
    client = site.cache.cache._write_client
    assert client.execute_command("ACL WHOAMI") in (b"shop", "shop")
    assert client.client_getname() == "the-cache"
    assert client.exists("from options/view//page/1")
    assert 70 < client.ttl("from options/view//page/1") <= 77
    assert settings_of(site)["db"] == 3
    assert settings_of(site)["socket_timeout"] == 2.5
    assert "pass word@1" not in repr(site.cache.cache)


def test_29_a_conflict_is_named(redis_server: RedisServer, recwarn: Any) -> None:
    """Two settings of one thing: the warning says which one wins, and shows no password."""
    with pytest.warns(UserWarning, match=r"CACHE_REDIS_URL.*CACHE_REDIS_PASSWORD") as caught:
        site = Site(
            CACHE_TYPE="RedisCache",
            CACHE_REDIS_URL=f"redis://:one-secret@{redis_server.host}:{redis_server.port}/0",
            CACHE_REDIS_PASSWORD="other-secret",
        )
    assert settings_of(site)["password"] == "one-secret"
    assert not any("secret" in str(warning.message) for warning in caught)


def test_29_a_cluster_gets_its_user_and_password(
    redis_cluster_nodes: list[ClusterNode],
) -> None:
    """With a URL, and on every node."""
    for node in redis_cluster_nodes:
        node.cli("ACL", "SETUSER", "shop", "on", ">word", "~*", "&*", "+@all")
    try:
        host, port = redis_cluster_nodes[0].address
        site = Site(
            CACHE_TYPE="RedisClusterCache",
            CACHE_REDIS_URL=f"redis://{host}:{port}",
            CACHE_REDIS_USERNAME="shop",
            CACHE_REDIS_PASSWORD="word",
        )
        for number in range(12):
            site.ask_right("view", number)
        for node in redis_cluster_nodes:
            assert "user=shop" in node.cli("CLIENT", "LIST")
    finally:
        close_sites()
        for node in redis_cluster_nodes:
            node.cli("ACL", "DELUSER", "shop")


def test_29_sentinels_and_servers_get_their_own_passwords(sentinel_set: SentinelSet) -> None:
    """Each client is made with its own user and password, and its options."""
    site = Site(
        **config_of("RedisSentinelCache", sentinel_set, Path()),
        CACHE_REDIS_USERNAME="shop",
        CACHE_REDIS_PASSWORD="word",
        CACHE_REDIS_DB=2,
        CACHE_REDIS_SENTINEL_USERNAME="watcher",
        CACHE_REDIS_SENTINEL_PASSWORD="other",
        CACHE_OPTIONS={"client_name": "the-cache"},
    )
    options = settings_of(site)
    assert (options["username"], options["password"], options["db"]) == ("shop", "word", 2)
    assert options["client_name"] == "the-cache"
    manager = site.cache.cache._write_client.connection_pool.sentinel_manager
    for sentinel in manager.sentinels:
        own = sentinel.connection_pool.connection_kwargs
        assert (own["username"], own["password"]) == ("watcher", "other")
        assert own.get("client_name") is None


def test_29_sasl_needs_its_user_and_password(sasl_memcached: SaslMemcachedServer) -> None:
    """They may come among the options as well."""
    host, port = sasl_memcached.address
    site = Site(
        CACHE_TYPE="SASLMemcachedCache",
        CACHE_OPTIONS={
            "servers": [f"{host}:{port}"],
            "username": sasl_memcached.username,
            "password": sasl_memcached.password,
        },
    )
    site.ask_right("view", 1)
    assert site.is_hit("view", 1)


# 34


class Bomb:
    """Says so if it is ever unpickled."""

    exploded = False

    @staticmethod
    def explode() -> str:
        Bomb.exploded = True
        return "forged"

    def __reduce__(self) -> Any:
        return Bomb.explode, ()


def unsigned_bomb(store: Store) -> bytes:
    """What a worker with the same secret that does not sign writes under the same key."""
    careless = store.site()

    @careless.cache.memoize(make_name=lambda name: "bomb")
    def bomb() -> Bomb:
        return Bomb()

    bomb()
    return store.copy("memo/bomb/")


@pytest.mark.parametrize(
    ("way", "part"), [("view", "view//page/1"), ("memoize", "memo/hazard_site")]
)
def test_34_a_forged_entry_is_never_unpickled(store: Store, way: str, part: str) -> None:
    """Under ``"signed"`` it is a counted miss, whatever it looks like."""
    Bomb.exploded = False
    bare, unsigned = pickle.dumps(Bomb()), unsigned_bomb(store)
    forgeries: dict[str, Callable[[bytes], bytes]] = {
        "a pickle": lambda data: bare,
        "as the released library does": lambda data: b"!" + bare,
        "in place of the payload": lambda data: data[: -len(bare)] + bare,
        "without a signature": lambda data: unsigned,
        "its payload behind a signature": lambda data: data[:80] + unsigned[48:],
        "the header of a signed one": lambda data: data[:48] + unsigned[48:],
    }
    site = store.site(CACHE_SERIALIZER="signed")
    for name, forge in forgeries.items():
        site.ask_right(way, 1)
        assert site.is_hit(way, 1)
        store.change(part, forge)
        before, ran = handled(site, "serialization"), site.ran[way]
        site.ask_right(way, 1)
        assert site.ran[way] == ran + 1, name
        assert handled(site, "serialization") == before + 1, name
        assert site.is_hit(way, 1), name
    assert not Bomb.exploded
    assert raised(site) == 0


def test_34_a_forged_value_is_never_unpickled_by_a_direct_call(store: Store) -> None:
    """``get``, ``get_many``, ``inc`` and a lock's release: none of them trusts the store."""
    Bomb.exploded = False
    site = store.site(CACHE_SERIALIZER="signed")
    careless = store.site()
    for forged in (lambda data: pickle.dumps(Bomb()), lambda data: b"!" + pickle.dumps(Bomb())):
        site.cache.set("key", ["value"])
        store.change("key", forged)
        assert site.cache.get("key") is None
        assert site.cache.get_many("key", "key") == [None, None]
        assert site.cache.get_dict("key") == {"key": None}
    careless.cache.set("key", Bomb())
    assert site.cache.get("key") is None
    assert site.cache.get_many("key") == [None]
    assert handled(site, "serialization") == 10
    assert not Bomb.exploded


def test_34_a_switch_that_nobody_signed_turns_nothing_off(store: Store) -> None:
    """Who can write to the store, and does not know the secret, cannot leave the note."""
    site = store.site(CACHE_SERIALIZER="signed")
    for careless in (store.site(), store.site(SECRET_KEY="another", CACHE_SERIALIZER="signed")):
        careless.cache.disable()
        assert site.cache.enabled
        site.ask_right("view", 1)
        assert site.is_hit("view", 1)


def test_34_a_signed_entry_is_not_valid_under_another_key(store: Store) -> None:
    """Who can copy items in the store cannot make one page another."""
    site = store.site(CACHE_SERIALIZER="signed")
    site.ask_right("view", 1)
    site.ask_right("view", 2)
    copied = store.copy("view//page/2")
    store.change("view//page/1", lambda data: copied)
    site.ask_right("view", 1)
    assert site.ran["view"] == 3
    assert handled(site, "serialization") == 1


# 35


def test_35_no_key_reaches_the_protocol(store: Store) -> None:
    """A key that is a command, or ends one, is a key; nothing else is written."""
    site = store.site()
    before = len(store.raw.names())
    inner = f"{store.prefix}inner"
    for key in (
        f"a\r\nset {inner} 0 0 1\r\nx",
        f"a 0 0 1\r\nx\r\nset {inner} 0 0 1\r\nx\r\n",
        f"a\n{inner}",
        f"a {inner}",
        f"*3\r\n$3\r\nSET\r\n${len(inner)}\r\n{inner}\r\n$1\r\nx\r\n",
        "flush_all\r\n",
        "a noreply",
        "a\x00b",
        "get a",
    ):
        for call in (site.cache.get, site.cache.has, site.cache.delete, site.cache.touch):
            assert not call(key)
        assert site.cache.add(key, key)
        assert site.cache.set(key, key, timeout=60)
        assert site.cache.get(key) == key
        assert site.cache.get_many("none", key) == [None, key]
        assert site.cache.ttl(key)
        assert site.cache.delete(key)
    assert site.cache.get("inner") is None
    assert not any(name.endswith(inner.encode()) for name in store.raw.names())
    assert len(store.raw.names()) <= before + 1
    assert raised(site) == handled(site) == 0


# The round trips that are promised.


@pytest.fixture
def trips(redis_server: RedisServer) -> Iterator[TripCounter]:
    counter = TripCounter(redis_server.address)
    yield counter
    close_sites()
    counter.close()


@pytest.mark.parametrize("watched", [True, False], ids=["instrumented", "bare"])
def test_one_round_trip_for_a_hit_and_two_for_the_first_call(
    redis_server: RedisServer, trips: TripCounter, watched: bool
) -> None:
    """A memoize hit is one MGET, a view's one GET; the very first memoized call is two trips."""
    config: dict[str, Any] = {
        **config_at("RedisCache", trips.address),
        "CACHE_KEY_PREFIX": f"trips-{watched}/",
    }
    site = Site(**config, **({} if watched else {"CACHE_INSTRUMENTATION": None}))
    site.cache.get("the connection")

    def asked(way: str, number: int) -> tuple[int, list[str]]:
        before = trips.trips
        with commands(redis_server) as given:
            site.ask_right(way, number)
        return trips.trips - before, [command.split()[0].strip('"') for command in given]

    first, _ = asked("memoize", 1)
    assert first <= 2
    assert asked("memoize", 1) == (1, ["MGET"])
    cold, _ = asked("memoize", 2)
    assert cold <= 2
    assert asked("memoize", 2) == (1, ["MGET"])
    assert asked("view", 1)[0] <= 2
    assert asked("view", 1) == (1, ["GET"])
    asked("fragment", 1)
    assert asked("fragment", 1) == (1, ["GET"])
    site.cache.delete_memoized(site.price)
    assert asked("memoize", 1)[0] <= 2
    assert asked("memoize", 1) == (1, ["MGET"])
    time.sleep(1.1)  # the switch is looked for again, with the value
    assert asked("view", 1) == (1, ["MGET"])
    assert site.ran == {"memoize": 3, "view": 1, "fragment": 1}


def test_one_round_trip_for_several_keys(redis_server: RedisServer, trips: TripCounter) -> None:
    """``get_many``, ``get_dict`` and ``delete_many``, however many keys."""
    site = Site(**config_at("RedisCache", trips.address), CACHE_KEY_PREFIX="many/")
    keys = [f"key {number}" for number in range(200)]
    site.cache.get("the connection")
    for call in (site.cache.get_many, site.cache.get_dict, site.cache.delete_many):
        before = trips.trips
        call(*keys)
        assert trips.trips == before + 1


# What the released library left in the store.


@pytest.mark.parametrize("version", [b"!" + pickle.dumps("a1b2c3"), pickle.dumps("a1b2c3"), b"x"])
def test_entries_of_the_released_library_are_counted_misses(store: Store, version: bytes) -> None:
    """Under the same keys: they are overwritten, versions included, and never served."""
    site = store.site()
    for way, part in (("view", "view//page/1"), ("memoize", "_memver")):
        site.ask_right(way, 1)
        store.change(part, lambda data: version)
        before = handled(site)
        assert not site.is_hit(way, 1)
        assert site.is_hit(way, 1)
        assert handled(site) > before
    site.cache.delete_memoized(site.price)
    assert not site.is_hit("memoize", 1)
    assert site.is_hit("memoize", 1)
    assert store.site().is_hit("memoize", 1)


def test_files_of_the_released_library_are_left_alone(tmp_path: Path) -> None:
    """Names and contents as cachelib has them: neither read nor removed."""
    old = tmp_path / "2029240f6d1128be89ddc32729463129"
    old.write_bytes(b"\x00" * 4 + pickle.dumps(("old", 0)))
    count = tmp_path / "1b6453892473a467d07372d45eb05abc"
    count.write_bytes(b"\x01\x00\x00\x00" + pickle.dumps(1))
    kept = {path: path.read_bytes() for path in (old, count)}
    site = Site(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_THRESHOLD=10)
    for number in range(50):
        site.ask_right("view", number)
    assert site.cache.clear()
    assert {path: path.read_bytes() for path in kept} == kept
