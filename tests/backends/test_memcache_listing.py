"""MemcachedCache: listing keys and clearing, which both walk through all that a server holds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from proxies import LyingProxy
from pymemcache.client.base import Client
from servers import MemcachedServer
from test_memcache import Sockets, as_old, make, make_hasty

from flask_caching.backends import memcachedump, memcachelisting
from flask_caching.backends.base import RESERVED, iter_keys
from flask_caching.backends.memcache import MemcachedCache
from flask_caching.errors import BackendError, ConfigurationError


def listed(backend: MemcachedCache, match: str = "", page: int = 1000) -> list[str]:
    return [info.key for info in iter_keys(backend, match, page)]


def told(server: MemcachedServer) -> list[str]:
    """What the crawler says of the names that a server holds, in no order."""
    with socket.create_connection(server.address, timeout=5) as connection:
        connection.sendall(b"lru_crawler metadump hash\r\n")
        said = b""
        while not said.endswith(b"END\r\n"):
            said += connection.recv(65536)
    return sorted(line for line in said.decode().splitlines() if line.startswith("key="))


# Listing.


def test_a_page_of_many(own_memcached: MemcachedServer) -> None:
    """One look gives the first page and those after it; every key is on exactly one."""
    sockets = Sockets()
    backend = make(own_memcached, socket_module=sockets)
    keys = [f"view//page/{number}" for number in range(25_000)]
    backend.set_many(dict.fromkeys(keys, "value"))
    make(own_memcached).set_many({f"other {number}": 1 for number in range(100)})
    before = sockets.opened
    pages = [backend.keys(limit=4000)]
    while pages[-1].cursor:
        pages.append(backend.keys(pages[-1].cursor, limit=4000))
    found = [info.key for page in pages for info in page.keys]
    assert (len(found), set(found)) == (25_000, set(keys))
    assert [len(page.keys) for page in pages[:6]] == [4000] * 6
    assert sockets.opened - before == 2, "20,000 names are remembered"


def test_a_cursor_means_the_same_elsewhere(memcached_servers: list[MemcachedServer]) -> None:
    """Each page may be asked of another process."""
    backend = make(memcached_servers)
    keys = {f"key {number}" for number in range(200)}
    backend.set_many(dict.fromkeys(keys, 1))
    found: list[str] = []
    cursor, turn = "", 0
    while cursor or not turn:
        other = make(memcached_servers, key_prefix=backend.key_prefix)
        page = other.keys(cursor, 7)
        found += [info.key for info in page.keys]
        cursor, turn = page.cursor, turn + 1
    assert len(found) == 200
    assert set(found) == keys


def test_what_a_listing_says(own_memcached: MemcachedServer) -> None:
    """The key without its prefix, when it expires, and how large it is."""
    backend = make(own_memcached)
    backend.set("with spaces, Grüße & 100%", "x", 1000)
    backend.set("for ever", "x" * 10_000, 0)
    infos = {info.key: info for info in iter_keys(backend)}
    assert set(infos) == {"with spaces, Grüße & 100%", "for ever"}
    assert infos["with spaces, Grüße & 100%"].expires_at == pytest.approx(time.time() + 1000, abs=5)
    assert infos["for ever"].expires_at == 0.0
    assert (infos["for ever"].size or 0) > 10_000


def test_a_hashed_key_is_listed_by_its_beginning(memcached_server: MemcachedServer) -> None:
    """And found by what can be read of it."""
    backend = make(memcached_server)
    backend.set("the beginning " + "x" * 400 + " the end", 1)
    for match in ("", "the beginning", "xxx", "%~"):
        [key] = listed(backend, match)
        assert key.startswith("the beginning xxx")
        assert "%~" in key
    assert listed(backend, "the end") == []


@pytest.mark.parametrize("match", ["/", "page/1", " ", "%", "ü", "\\", "A", "~", "=1 ", "\n"])
def test_a_match_is_what_the_key_contains(match: str, memcached_server: MemcachedServer) -> None:
    """However the key is written on the server."""
    keys = ["view//page/1", "a b", "100%", "100%25", "Grüße", "back\\slash", "A", "a", "~", "=1 2"]
    keys += ["line\nbreak"]
    backend = make(memcached_server)
    backend.set_many(dict.fromkeys(keys, 1))
    assert sorted(listed(backend, match)) == sorted(key for key in keys if match in key)


def test_looking_refreshes_nothing(own_memcached: MemcachedServer) -> None:
    """What is listed is neither fetched nor bumped nor touched."""
    backend = make(own_memcached)
    backend.set_many({f"key {number}": 1 for number in range(10)}, 1000)
    before = told(own_memcached)
    commands = own_memcached.stats()
    time.sleep(1.1)
    assert len(listed(backend)) == len(listed(backend, "key")) == 10
    assert told(own_memcached) == before
    after = own_memcached.stats()
    for name in ("cmd_get", "cmd_touch", "get_hits", "cmd_meta"):
        assert after[name] == commands[name]


def test_a_remembered_page_leaves_out_what_has_expired(memcached_server: MemcachedServer) -> None:
    """The names are a few seconds old, what is shown of them is not."""
    backend = make(memcached_server)
    backend.set_many(dict.fromkeys(map(str, range(20)), 1), 1)
    backend.set_many({f"stays {number}": 1 for number in range(20)}, 1000)
    first = backend.keys(limit=1)
    while backend.has("0"):
        time.sleep(0.05)
    time.sleep(1)
    left = [info.key for info in backend.keys(first.cursor, 100).keys]
    assert left
    assert all(key.startswith("stays") for key in left)


def test_a_clear_is_seen_on_the_next_page(memcached_server: MemcachedServer) -> None:
    """What this cache removed itself is not listed from memory."""
    backend = make(memcached_server)
    backend.set_many(dict.fromkeys(map(str, range(20)), 1))
    first = backend.keys(limit=5)
    backend.clear()
    assert backend.keys(first.cursor, 100).keys == []


@pytest.mark.parametrize("cursor", ["x", "0", "0-", "0-xyz", "-1-", "0-123456789", "٣-", "0-\n"])
def test_a_cursor_that_is_none(cursor: str, memcached_server: MemcachedServer) -> None:
    """It comes from a URL: nonsense is a ValueError, and a place beyond the end is the end."""
    backend = make(memcached_server)
    if cursor == "0-":
        assert backend.keys(cursor).cursor == ""
    else:
        with pytest.raises(ValueError, match="not a cursor"):
            backend.keys(cursor)
    assert backend.keys("99-").keys == []


# When the crawler cannot, or not now.


def saying_busy(times: int) -> Callable[[bytes], bytes]:
    """What a crawler that works for somebody else says, so many times."""
    left = times

    def instead(data: bytes) -> bytes:
        nonlocal left
        if not data.startswith(b"lru_crawler") or left == 0:
            return b""
        left -= 1
        return b"BUSY currently processing crawler request\r\n"

    return instead


def test_a_crawler_that_is_busy_for_a_moment(memcached_server: MemcachedServer) -> None:
    """Somebody else's listing is waited for."""
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    backend.set_many({"a": 1, "b": 1})
    sockets.instead = saying_busy(3)
    assert sorted(listed(backend)) == ["a", "b"]


def test_a_crawler_that_is_busy_for_long(
    memcached_server: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not for ever, and it is no reason to leave the server alone."""
    monkeypatch.setattr(memcachedump, "_PATIENCE", 0.1)
    monkeypatch.setattr(memcachelisting, "_PATIENCE", 0.1)
    sockets = Sockets()
    backend = make(memcached_server, breaker_threshold=1, socket_module=sockets)
    backend.set("key", 1)
    sockets.instead = saying_busy(-1)
    for ask in (backend.keys, backend.clear):
        with pytest.raises(BackendError, match="busy"):
            ask()
    assert backend.breakers[0].state == "closed"
    sockets.instead = saying_busy(0)
    assert listed(backend) == ["key"], "its turn was given back"


def test_one_process_lists_at_a_time(
    memcached_server: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two crawls at once would make a thread of the server wait, with all whom it serves."""
    monkeypatch.setattr(memcachelisting, "_PATIENCE", 0.3)
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    backend.set("key", 1)
    other = make(memcached_server, key_prefix="")
    other.set(f"{RESERVED}listing", "another process", 60)
    crawls: list[bytes] = []

    def listen(data: bytes) -> bytes:
        if b"crawler" in data:
            crawls.append(data)
        return b""

    sockets.instead = listen
    with pytest.raises(BackendError, match="busy"):
        backend.keys()
    assert crawls == []
    threading.Timer(0.1, other.delete, [f"{RESERVED}listing"]).start()
    assert listed(backend) == ["key"]
    assert other.has(f"{RESERVED}listing") is False


def test_listings_at_the_same_time(own_memcached: MemcachedServer) -> None:
    """Threads that list and clear wait for one another."""
    backend = make(own_memcached)
    backend.set_many({f"key {number}": 1 for number in range(3000)})
    found: list[int] = []

    def look() -> None:
        for _ in range(3):
            found.append(len(backend.keys(limit=5000).keys))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3000] * 12


def test_a_server_without_a_crawler(start_server: Callable[..., Any]) -> None:
    """The message says how to start memcached; nothing is flushed instead."""
    server = start_server(MemcachedServer, "-o", "no_lru_crawler")
    backend = make(server, breaker_threshold=1)
    backend.set("key", 1)
    for ask in (backend.keys, backend.clear):
        with pytest.raises(BackendError, match="no_lru_crawler"):
            ask()
    assert backend.get("key") == 1


def test_a_crawler_of_old(memcached_server: MemcachedServer) -> None:
    """Before memcached 1.6.9 it is asked in other words."""
    sockets = Sockets()
    sockets.rewrite = as_old
    backend = make(memcached_server, socket_module=sockets)
    keys = {f"key {number}" for number in range(50)}
    backend.set_many(dict.fromkeys(keys, 1))
    assert set(listed(backend)) == keys
    assert backend.clear() is True
    assert listed(backend) == []


def test_a_listing_that_is_cut_or_garbled(
    memcached_server: MemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """An error, never half a listing that looks like a whole one."""
    proxy = proxy_to(memcached_server)
    backend = make_hasty(proxy)
    backend.set_many({f"key {number}": 1 for number in range(500)})
    for lie in (b"\x00\xffgarbage\r\n", b"STAT time x\r\nEND\r\n", b"END\r\n"):
        proxy.babble(lie)
        for ask in (backend.keys, backend.clear):
            with pytest.raises(OSError):  # noqa: PT011
                ask()
    proxy.behave()
    turns = make(memcached_server, key_prefix="")
    length = len("".join(told(memcached_server)))
    for count in (5, length // 2):
        proxy.cut_after(count)
        with pytest.raises(OSError):  # noqa: PT011
            backend.keys()
        # It could not give back its turn, which the next one would wait for.
        turns.delete(f"{RESERVED}listing")
    proxy.fall_silent()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        backend.keys()
    assert time.monotonic() - began < 2
    proxy.behave()
    turns.delete(f"{RESERVED}listing")
    assert len(listed(backend)) == 500
    assert turns.has(f"{RESERVED}listing") is False


def test_a_listing_that_takes_too_long(
    memcached_server: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that says so, instead of a page that nobody waits for."""
    monkeypatch.setattr(memcachelisting, "_LONGEST_LOOK", -1.0)
    backend = make(memcached_server)
    with pytest.raises(BackendError, match="holds so much"):
        backend.keys()


# Clearing.


def test_clear_removes_its_own_and_nothing_else(own_memcached: MemcachedServer) -> None:
    """HAZARD 19: key by key, no flush, whatever the prefix looks like."""
    prefix = "[ab]*?{x}.%s \\ü"
    own = make(own_memcached, key_prefix=prefix)
    others = [
        make(own_memcached, key_prefix=name) for name in ("a", "[ab]", prefix[:-1], "x" * 300)
    ]
    keys = ["key", "*", "k" * 300, "sp ace", "ü" * 100, ""]
    for backend in (own, *others):
        backend.set_many(dict.fromkeys(keys, 1), 0)
    lock = f"{RESERVED}lock/key"
    own.set(lock, "token")
    assert own.clear() is True
    assert own.get_many(*keys) == [None] * len(keys)
    assert own.get(lock) == "token"
    for backend in others[:2] + others[3:]:
        assert backend.get_many(*keys) == [1] * len(keys)
    # What begins like the own prefix cannot be told apart the other way round.
    assert others[2].clear() is True
    assert own.get(lock) is None
    assert others[3].clear() is True
    assert others[3].get_many(*keys) == [None] * len(keys)
    assert own_memcached.stats()["cmd_flush"] == "0"


def test_clear_of_very_many(
    own_memcached: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions, so that memory is bounded; until a look finds none."""
    monkeypatch.setattr(memcachedump, "_AT_ONCE", 3000)
    backend = make(own_memcached)
    backend.set_many({f"key {number}": 1 for number in range(10_000)})
    bystander = make(own_memcached)
    bystander.set_many({f"key {number}": 1 for number in range(100)})
    assert backend.clear() is True
    assert own_memcached.stats()["curr_items"] == "100"


def test_clear_while_others_write(own_memcached: MemcachedServer) -> None:
    """It comes to an end, and all that was there when it began is gone."""
    backend = make(own_memcached)
    backend.set_many({f"old {number}": 1 for number in range(2000)})
    over = threading.Event()

    def write() -> None:
        for number in range(1_000_000):
            backend.set(f"new {number}", 1)
            if over.is_set():
                return

    thread = threading.Thread(target=write)
    thread.start()
    assert backend.clear() is True
    over.set()
    thread.join()
    assert listed(backend, "old") == []


def test_clear_where_a_server_is_down(start_server: Callable[..., Any]) -> None:
    """An error; and what can be cleared is cleared."""
    servers = [start_server(MemcachedServer) for _ in range(3)]
    backend = make(servers)
    backend.set_many({f"key {number}": 1 for number in range(100)})
    servers[0].kill()
    with pytest.raises(ConnectionRefusedError):
        backend.clear()
    assert [server.stats()["curr_items"] for server in servers[1:]] == ["0", "0"]


def test_a_turn_that_was_never_given_back(memcached_server: MemcachedServer) -> None:
    """Who died while listing holds others up for a few seconds, and no longer."""
    backend = make(memcached_server)
    backend.set("key", 1)
    make(memcached_server, key_prefix="").set(f"{RESERVED}listing", "", 1)
    assert backend.clear() is True


def test_clear_as_the_probe_of_a_breaker(own_memcached: MemcachedServer) -> None:
    """What is let through after a cooldown may be a clear: all of it is let through."""
    backend = make(own_memcached, breaker_cooldown=0.05)
    backend.set_many({f"key {number}": 1 for number in range(10)})
    breaker = backend.breakers[0]
    for _ in range(3):
        with pytest.raises(OSError, match="made up"):
            breaker.call(_fail)
    assert breaker.state == "open"
    time.sleep(0.06)
    assert backend.clear() is True
    assert breaker.state == "closed"
    assert listed(backend) == []


def _fail() -> None:
    raise OSError("made up")


def test_clear_without_a_prefix(own_memcached: MemcachedServer) -> None:
    """Only where everything may go; and what cannot be said in the protocol stays unsaid."""
    make(own_memcached, key_prefix="other/").set("key", 1)
    backend = make(own_memcached, key_prefix="")
    backend.set_many({"key": 1, "": 2, "sp ace": 3})
    with pytest.raises(ConfigurationError, match="CACHE_ALLOW_FLUSH"):
        backend.clear()
    assert backend.get_many("key", "", "sp ace") == [1, 2, 3]
    raw = Client(own_memcached.address)
    # "a b\r\nflush_all", which other protocols can write.
    assert raw.raw_command("ms YSBiDQpmbHVzaF9hbGw= 1 b\r\nx") == b"HD"
    raw.close()
    allowed = make(own_memcached, key_prefix="", allow_flush=True)
    assert allowed.clear() is True
    stats = own_memcached.stats()
    assert (stats["curr_items"], stats["cmd_flush"]) == ("1", "0")
