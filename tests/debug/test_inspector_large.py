"""Large stores: a page costs a bounded time and a bounded number of commands.

Times are asserted three times as generously as they are promised, since a machine may be busy;
what a server is asked is asserted as it is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from large_redis import MANY, PREFIX, filled_redis
from servers import MemcachedServer, RedisServer

from flask_caching import Cache
from flask_caching.entry import Entry, Form
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.model import KeyListing

MakeApp = Callable[..., tuple[Flask, Cache]]

#: Seconds that a page takes at most, as promised, and how much longer it may take here.
_PROMISED = 0.05
_GENEROUSLY = 3


class Asked(NamedTuple):
    """A page, and what it cost."""

    listing: KeyListing
    seconds: float
    scans: int
    commands: set[str]


@pytest.fixture(scope="module")
def large_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with a million keys of ours among two million."""
    with filled_redis(tmp_path_factory.mktemp("large-redis")) as server:
        yield server


@pytest.fixture
def ask(make_app: MakeApp, large_redis: RedisServer) -> Iterator[Callable[..., Asked]]:
    """Asks for a page: ``ask(match="needle")``."""
    import redis

    app, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=large_redis.host,
        CACHE_REDIS_PORT=large_redis.port,
        CACHE_KEY_PREFIX=PREFIX,
    )
    view = cache.cached()(lambda page: page)
    app.add_url_rule("/page/<path:page>", "page", view)
    inspector = Inspector(cache)
    client = redis.Redis(large_redis.host, large_redis.port)

    def ask(**options: Any) -> Asked:
        client.config_resetstat()
        begun = time.perf_counter()
        listing = inspector.keys(**options)
        seconds = time.perf_counter() - begun
        calls = client.info("commandstats")
        commands = {name.removeprefix("cmdstat_").replace(" ", "|") for name in calls}
        # What this function itself asks, and what a new connection says of itself.
        commands -= {"config", "config|resetstat", "info", "hello", "client", "client|setinfo"}
        return Asked(listing, seconds, calls["cmdstat_scan"]["calls"], commands)

    # The routes are put in order when a path is matched first.
    ask(limit=1)
    yield ask
    client.close()


def test_the_first_page_of_two_million_keys(ask: Callable[..., Asked]) -> None:
    """It is full after a few SCANs, and asks nothing that blocks or counts as a use."""
    asked = ask()
    assert len(asked.listing.rows) >= 50
    assert asked.listing.cursor
    assert asked.scans <= 4
    assert asked.seconds < _GENEROUSLY * _PROMISED
    assert asked.commands <= {"scan", "pttl", "memory", "memory|usage"}
    assert {row.target for row in asked.listing.rows} == {"page"}


def test_a_filter_that_one_key_of_a_thousand_passes(ask: Callable[..., Asked]) -> None:
    """A page looks at a part of the store, says so, and the next one goes on."""
    first = ask(match="needle")
    assert 0 < len(first.listing.rows) < 50
    assert "a part of the store" in first.listing.note
    assert first.scans <= 32
    assert first.seconds < _GENEROUSLY * _PROMISED
    second = ask(match="needle", cursor=first.listing.cursor)
    assert not {row.key for row in first.listing.rows} & {row.key for row in second.listing.rows}


def test_a_filter_that_nothing_passes(ask: Callable[..., Asked]) -> None:
    """An empty page with a cursor: bounded, and not the end."""
    asked = ask(match="nowhere to be found")
    assert asked.listing.rows == []
    assert asked.listing.cursor
    assert "a part of the store" in asked.listing.note
    assert asked.scans <= 32
    assert asked.seconds < _GENEROUSLY * _PROMISED
    assert ask(kind="memoize").scans <= 32


def test_a_filter_finds_everything_in_the_end(ask: Callable[..., Asked]) -> None:
    """Page by page through two million keys."""
    found: set[str] = set()
    cursor, pages = "", 0
    while cursor or not pages:
        asked = ask(match="needle", cursor=cursor)
        found.update(row.key for row in asked.listing.rows)
        cursor, pages = asked.listing.cursor, pages + 1
    assert len(found) == MANY // 1000
    # The first looks at 32 parts, all others at ten times as many.
    assert pages < 200


def test_whoever_looks_further_is_soon_at_the_end(ask: Callable[..., Asked]) -> None:
    """Pages after the first look ten times as far, in steps as small."""
    cursor, scans = ask(match="nowhere to be found").listing.cursor, list[int]()
    while cursor:
        asked = ask(match="nowhere to be found", cursor=cursor)
        cursor = asked.listing.cursor
        scans.append(asked.scans)
    assert max(scans) <= 320
    assert len(scans) < 60


def test_the_server_is_never_blocked_and_no_age_refreshed(
    ask: Callable[..., Asked], large_redis: RedisServer
) -> None:
    """No command took it 10 ms, and what was listed is as idle as before."""
    import redis

    asked = ask(limit=500)
    client = redis.Redis(large_redis.host, large_redis.port)
    # Idle times are in whole seconds, by a clock that ticks once a second.
    time.sleep(2.1)
    assert len(ask(limit=500).listing.rows) >= 500
    for row in asked.listing.rows[:50]:
        assert client.object("idletime", f"mine:{row.key}") >= 1
    # A busy machine can hold up any command; a step that is too large would be so each time.
    ask(match="nowhere to be found")
    assert client.info("commandstats")["cmdstat_scan"]["usec_per_call"] < 10_000
    slow = [each for each in client.slowlog_get(128) if b"SCAN" not in each["command"]]
    assert slow == []
    client.close()


def test_two_hundred_thousand_keys_on_memcached(
    make_app: MakeApp, own_memcached: MemcachedServer
) -> None:
    """The server writes them down in less than a second, and nothing is fetched or bumped."""
    _store_in(own_memcached, 200_000)
    before = own_memcached.stats()
    _, cache = make_app(
        CACHE_TYPE="MemcachedCache",
        CACHE_MEMCACHED_SERVERS=[f"{own_memcached.host}:{own_memcached.port}"],
        CACHE_KEY_PREFIX=PREFIX,
    )
    inspector = Inspector(cache)
    begun = time.perf_counter()
    listing = inspector.keys()
    assert time.perf_counter() - begun < _GENEROUSLY * 1.0
    assert len(listing.rows) >= 50
    assert listing.cursor
    begun = time.perf_counter()
    assert inspector.keys(match="nowhere to be found").rows == []
    assert time.perf_counter() - begun < _GENEROUSLY * 1.0
    after = own_memcached.stats()
    for name in ("cmd_get", "cmd_touch", "get_hits"):
        assert after[name] == before[name]
    assert _was_used(own_memcached, listing.rows[0].key) is False


def _store_in(server: MemcachedServer, count: int) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        for start in range(0, count, 10_000):
            numbers = range(start, start + 10_000)
            lines = (b"set mine:view//page/%d 0 0 1 noreply\r\nx\r\n" % each for each in numbers)
            connection.sendall(b"".join(lines))
        # Answered once all of these are stored.
        connection.sendall(b"version\r\n")
        assert connection.recv(100).startswith(b"VERSION")
    assert int(server.stats()["curr_items"]) == count


def _was_used(server: MemcachedServer, key: str) -> bool:
    """Whether a key was fetched since it was stored, as ``mg`` with its flag ``h`` tells."""
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(f"mg mine:{key} h\r\n".encode())
        answer = connection.recv(100).decode()
    return {"HD h0\r\n": False, "HD h1\r\n": True}[answer]


@pytest.fixture(scope="module")
def million() -> dict[str, Entry]:
    """A million entries by their keys; every thousandth has a needle in it."""
    entry = Entry(Form.PLAIN, "x", created_at=time.time())
    return {
        f"view//page/{'needle/' if number % 1000 == 0 else ''}{number}": entry
        for number in range(MANY)
    }


def test_a_million_entries_in_memory(make_app: MakeApp, million: dict[str, Entry]) -> None:
    """A page is as quick with a filter as without, and looks as far as its time allows."""
    app, cache = make_app(CACHE_THRESHOLD=0)
    view = cache.cached()(lambda page: page)
    app.add_url_rule("/page/<path:page>", "page", view)
    store: Any = cache.cache
    for key, entry in million.items():
        store.wrapped.set_entry(key, entry)
    inspector = Inspector(cache)
    inspector.keys(limit=1)
    for options in ({}, {"match": "needle"}, {"match": "nowhere to be found"}):
        begun = time.perf_counter()
        listing = inspector.keys(**options)
        assert time.perf_counter() - begun < _GENEROUSLY * _PROMISED, options
        assert listing.cursor
        assert len(listing.rows) <= 50
    assert len(inspector.keys().rows) == 50


def test_large_files_are_looked_into_for_a_bounded_time(make_app: MakeApp, tmp_path: Path) -> None:
    """The age of an entry is in its file, which is read whole: after a while no more are."""
    _, cache = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))
    for number in range(60):
        cache.set(f"key {number}", b"x" * 2_000_000)
    begun = time.perf_counter()
    listing = Inspector(cache).keys(limit=60)
    assert time.perf_counter() - begun < _GENEROUSLY * _PROMISED
    assert len(listing.rows) == 60 or listing.cursor
    assert all((row.size_bytes or 0) > 2_000_000 for row in listing.rows)
