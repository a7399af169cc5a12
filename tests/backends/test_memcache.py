"""MemcachedCache: keys, numbers, several servers, and what happens when they fail.

What every backend does is in ``test_conformance.py``; listing and clearing are in
``test_memcache_listing.py``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from proxies import LyingProxy
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError, MemcacheServerError
from servers import HOST, MemcachedServer, free_port

from flask_caching.backends.loading import load_backend
from flask_caching.backends.memcache import MemcachedCache
from flask_caching.backends.memcachecounting import fits, from_digits, to_digits
from flask_caching.backends.memcachekeys import Space
from flask_caching.backends.memcachelink import label
from flask_caching.backends.memcacheops import Exists, Store, exptime
from flask_caching.backends.memcachering import Ring
from flask_caching.backends.memcachesettings import addresses
from flask_caching.config import CacheConfig
from flask_caching.entry import Entry, Form
from flask_caching.errors import (
    BackendError,
    BackendImportError,
    BackendUnavailable,
    ConfigurationError,
    RefusedEntry,
    UnreadableEntry,
)

_numbers = itertools.count()


def make(server: Any, **options: Any) -> MemcachedCache:
    """A backend of that server, or of those, under a prefix that nobody else uses."""
    options.setdefault("key_prefix", f"test-{next(_numbers)}/")
    servers = server if isinstance(server, list) else [server]
    return MemcachedCache([each.address for each in servers], **options)


def make_hasty(server: Any, **options: Any) -> MemcachedCache:
    """The same, with a time-out that is soon over."""
    return make(server, **{"timeout": 0.1, "breaker_threshold": 0, **options})


class Sockets:
    """A module ``socket`` for tests, which tells what goes over its sockets.

    Attributes:
        opened: How many there have been.
        said: Port and what happened: ``send`` or ``recv``, in that order.
        rewrite: From what is sent to what arrives.
        instead: From what is sent to what is answered to it without sending it, if anything.
        before_recv: Called before each reading.
        at_once: Bytes that arrive at once, at most.
    """

    AF_UNIX = socket.AF_UNIX
    SOCK_STREAM = socket.SOCK_STREAM

    def __init__(self) -> None:
        self.opened = 0
        self.said: list[tuple[int, str]] = []
        self.rewrite: Callable[[bytes], bytes] = bytes
        self.instead: Callable[[bytes], bytes] = lambda data: b""
        self.before_recv: Callable[[], object] = bool
        self.at_once = 1 << 20

    def create_connection(self, address: tuple[str, int], timeout: float | None) -> Any:
        self.opened += 1
        return _Socket(self, socket.create_connection(address, timeout), address[1])


class _Socket:
    def __init__(self, module: Sockets, real: socket.socket, port: int) -> None:
        self._module = module
        self._real = real
        self._port = port
        self._answer = b""

    def sendall(self, data: bytes) -> None:
        self._module.said.append((self._port, "send"))
        self._answer = self._module.instead(data)
        if not self._answer:
            self._real.sendall(self._module.rewrite(data))

    def recv(self, size: int) -> bytes:
        self._module.said.append((self._port, "recv"))
        self._module.before_recv()
        answer, self._answer = self._answer, b""
        return answer or self._real.recv(min(size, self._module.at_once))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def as_old(data: bytes) -> bytes:
    """What is sent, in words that a server before memcached 1.6 does not know."""
    data = re.sub(rb"^mg [^\r]*", b"unheard of", data, flags=re.MULTILINE)
    return data.replace(b"metadump hash", b"metadump unheard-of")


# Names.


def legal(name: bytes) -> bool:
    return 0 < len(name) <= 250 and all(0x20 < byte < 0x7F for byte in name)


@pytest.mark.parametrize("key", ["view//users/42?page=1&sort=a,b", "!", "~", "a" * 238])
def test_a_key_that_needs_nothing_keeps_its_text(key: str) -> None:
    """Applications delete keys by hand, with other tools too: a plain key is prefix and key."""
    assert Space("flask_cache_").name(key) == b"flask_cache_" + key.encode()


@given(st.tuples(st.text(max_size=8), st.text()), st.tuples(st.text(max_size=8), st.text()))
@example(("", "a b"), ("", "a%20b"))
@example(("", "\x00"), ("", "%00"))
@example(("", ""), ("", "%"))
@example(("p", "x" * 249 + "y"), ("p", "x" * 249 + "z"))
@example(("x", "x" * 300), ("xx", "x" * 300))
@example(("x" * 160, "y"), ("x" * 161, "y"))
def test_two_keys_never_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    """HAZARD 35, 21: any text makes a legal name, and different texts make different ones."""
    names = [Space(prefix).name(key) for prefix, key in (one, other)]
    assert all(map(legal, names))
    assert (names[0] == names[1]) == ("".join(one) == "".join(other))


@given(st.text(max_size=20), st.text(max_size=60))
def test_a_name_is_told_back_as_its_key(prefix: str, key: str) -> None:
    """A listing shows the application's own key, unless it is too long to be kept."""
    space = Space(prefix)
    name = space.name(key)
    assert name.startswith(space.start)
    told = space.key(name)
    assert told == key or re.fullmatch(r"(?s).*%~[0-9a-f]{40}", told)


def test_a_long_key_keeps_its_beginning() -> None:
    """It can be read, and found by its prefix; one end of it is told from another."""
    space = Space("flask_cache_")
    names = [space.name("view//page/" + "ü" * 200 + end) for end in ("a", "b")]
    assert names[0] != names[1]
    for name in names:
        assert name.startswith(b"flask_cache_view//page/%C3%BC")
        assert re.fullmatch(r"view//page/ü+%~[0-9a-f]{40}", space.key(name))


def test_a_long_prefix_is_one_beginning() -> None:
    """All names under it begin alike, so that clear() finds them, and no other's do."""
    one, other = Space("x" * 200), Space("x" * 201)
    assert one.start != other.start
    for key in ("", "key", "k" * 300):
        assert legal(one.name(key))
        assert one.name(key).startswith(one.start)
        assert not one.name(key).startswith(other.start)


def test_a_key_is_no_command(memcached_server: MemcachedServer) -> None:
    """HAZARD 35: what looks like the protocol in a key is only a key."""
    backend = make(memcached_server)
    key = "x 0 0 1\r\na\r\nflush_all\r\nset injected 0 0 1\r\nb"
    before = memcached_server.stats()["cmd_flush"]
    assert backend.set(key, "value") is True
    assert backend.get_many(key, "injected") == ["value", None]
    assert backend.inc("count\r\nincr other 1") == 1
    assert backend.delete(key) is True
    assert memcached_server.stats()["cmd_flush"] == before


def test_the_entry_of_another_key_is_not_taken_for_this_one(
    memcached_server: MemcachedServer,
) -> None:
    """Were two keys ever to meet, nobody gets the other's value."""
    backend = make(memcached_server)
    backend.set("one", "of one")
    raw = Client(memcached_server.address)
    prefix = str(backend.key_prefix)
    raw.set(f"{prefix}other", raw.get(f"{prefix}one"), noreply=False)
    raw.close()
    with pytest.raises(UnreadableEntry):
        backend.get("other")


# Expiry and numbers.


def test_expiry_in_the_words_of_memcached() -> None:
    """Whole seconds, rounded up; dates from a month on; never beyond what it takes for a date."""
    now, month = 1_800_000_000.7, 30 * 86400
    assert [exptime(seconds, now) for seconds in (0, 0.01, 1, 1.01, month)] == [
        0,
        1,
        1,
        2,
        month,
    ]
    assert exptime(300.0000001, now) == 300
    assert exptime(month + 1, now) == pytest.approx(now + month, abs=2)
    assert exptime(50 * 365 * 86400, now) == 0


def test_a_timeout_of_decades_is_no_past_date(memcached_server: MemcachedServer) -> None:
    """After 2038 memcached's dates begin anew; such an entry is kept, not lost at once."""
    backend = make(memcached_server)
    assert backend.set("key", "value", 50 * 365 * 86400) is True
    assert backend.get("key") == "value"
    assert backend.touch("key", 60 * 365 * 86400) is True
    assert backend.get("key") == "value"


@given(st.integers(-(2**63), 2**63))
def test_numbers_are_digits_and_back(number: int) -> None:
    """What fits comes back; a plain one is what everybody else would write."""
    if fits(number):
        digits = to_digits(number)
        assert from_digits(digits) == from_digits(digits + b"   ") == number
        assert number < 0 or digits == b"%d" % number


def test_numbers_of_others(memcached_server: MemcachedServer) -> None:
    """What another program counts with, or the released library wrote."""
    backend = make(memcached_server)
    raw = Client(memcached_server.address)
    for text, number in ((b"5", 5), (b"5  ", 5), (b"-5", -5)):
        raw.set(f"{backend.key_prefix}n", text, noreply=False)
        assert backend.get("n") == number
    with pytest.raises(TypeError, match="set it to one first"):
        backend.inc("n")
    raw.set(f"{backend.key_prefix}n", b"5", noreply=False)
    assert backend.inc("n") == 6
    assert raw.incr(f"{backend.key_prefix}n", 2) == 8
    assert backend.get("n") == 8
    raw.close()


def test_a_number_that_memcached_does_not_recognise(own_memcached: MemcachedServer) -> None:
    """Some versions look for a minus sign in the memory behind a number; they are helped.

    This one is: the memory is filled with such signs first.
    """
    backend = make(own_memcached, key_prefix="p/")
    raw = Client(own_memcached.address)
    numbers = range(50)
    for number in numbers:
        raw.set(f"x{number:04}", b"-" * 30, noreply=False)
    for number in numbers:
        raw.delete(f"x{number:04}", noreply=False)
    for number in numbers:
        # What two, less five, is for the server.
        raw.set(f"p/n{number:03}", b"%d" % (2**64 - 3), 1000, noreply=False)
    raw.close()
    for number in numbers:
        key = f"n{number:03}"
        steps = [backend.get(key), backend.inc(key), backend.dec(key, 5), backend.inc(key, 9)]
        assert [*steps, backend.get(key)] == [-3, -2, -7, 2, 2]
        assert 990 < (backend.ttl(key) or 0) <= 1000


def test_counting_is_one_request(memcached_server: MemcachedServer) -> None:
    """Up or down, and above or below zero, it is the server that counts."""
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    backend.set("n", 10)
    steps = ((5, 15), (-20, -5)), ((-1, -6), (9, 3)), ((-4, -1), (-7, -8)), ((3, -5), (7, 2))
    requests: list[int] = []
    for pair in steps:
        sockets.said.clear()
        assert [backend.inc("n", step) for step, _ in pair] == [value for _, value in pair]
        requests.append(sum(what == "send" for _, what in sockets.said))
    # The first time that a number goes below zero takes a few more.
    assert requests[1:] == [2, 2, 2]


def test_counting_keeps_within_its_bits(memcached_server: MemcachedServer) -> None:
    """Beyond them is an error that changes nothing."""
    backend = make(memcached_server)
    for start, step in ((2**61 - 1, 1), (-(2**61), -1), (5, 2**61), (5, 2**80)):
        backend.set("n", start)
        with pytest.raises(TypeError, match="62-bit"):
            backend.inc("n", step)
        assert backend.get("n") == start


# Values that are refused.


def test_a_value_over_the_limit(own_memcached: MemcachedServer) -> None:
    """HAZARD 21: refused with its reason; the old value is gone, the connection is not."""
    sockets = Sockets()
    backend = make(own_memcached, socket_module=sockets)
    backend.set("key", "old")
    for write in (backend.set, backend.add):
        with pytest.raises(RefusedEntry) as refused:
            write("key", os.urandom(1_100_000))
        assert refused.value.reason == "too_large"
        assert backend.get("key") is None
    backend.set("large", "old")
    assert backend.set_many({"small": 1, "large": os.urandom(1_100_000)}) == ["small"]
    assert backend.get_many("small", "large") == [1, None]
    assert backend.set("key", os.urandom(1_040_000)) is True, "there is room for nearly 1 MiB"
    assert sockets.opened == 1


def test_a_value_far_over_the_limit_is_not_sent(own_memcached: MemcachedServer) -> None:
    """It would take longer than the time-out on many a network."""
    backend = make(own_memcached)
    backend.set("key", "old")
    with pytest.raises(RefusedEntry):
        backend.set("key", bytes(50_000_000))
    assert backend.get("key") is None
    assert int(own_memcached.stats()["bytes_read"]) < 1_000_000


@pytest.mark.parametrize(("limit", "size"), [("512k", 400_000), ("4m", 3_000_000)])
def test_another_item_limit(limit: str, size: int, start_server: Callable[..., Any]) -> None:
    """``-I`` makes it smaller or larger: what the server says counts."""
    server = start_server(MemcachedServer, "-I", limit)
    backend = make(server)
    assert backend.set("key", os.urandom(size)) is True
    with pytest.raises(RefusedEntry, match="-I"):
        backend.set("key", os.urandom(2 * size))
    assert backend.get("key") is None
    assert backend.set("key", "new") is True


def test_a_full_memory(start_server: Callable[..., Any]) -> None:
    """A server that may not evict (``-M``) has no room: an error, and no stale value."""
    server = start_server(MemcachedServer, "-M", "-m", "2")
    backend = make(server, breaker_threshold=1)
    backend.set("key", "old")
    with contextlib.suppress(MemcacheServerError):
        for number in itertools.count():
            backend.set(f"filler {number}", os.urandom(10_000), 0)
    with pytest.raises(MemcacheServerError, match="memory"):
        backend.set("key", os.urandom(10_000))
    assert backend.get("key") is None
    assert backend.breakers[0].state == "closed", "it answers, so it is not left alone"
    backend.delete("filler 0")
    assert backend.set("key", "new") is True


# Round trips.


def test_one_round_trip(memcached_servers: list[MemcachedServer]) -> None:
    """Reading several with additions, writing several, deleting several: one trip each."""
    sockets = Sockets()
    backend = make(memcached_servers[0], socket_module=sockets)
    now = time.time()
    version = Entry(Form.PLAIN, "v", created_at=now, expires_at=now + 1000)
    keys = [f"key {number}" for number in range(100)]
    backend.get("warm")
    for ask in (
        lambda: backend.get("key"),
        lambda: backend.has("key"),
        lambda: backend.get_many(*keys),
        lambda: backend.get_entries([*keys, "version"], {"version": version, "lock": version}),
        lambda: backend.set_many(dict.fromkeys(keys, 1)),
        lambda: backend.set_entry("key", version),
        lambda: backend.set_entry("key", version, touch=["version"]),
        lambda: backend.touch("key"),
        lambda: backend.ttl("key"),
        lambda: backend.delete_many(*keys),
        lambda: backend.add("counter", 1),
        lambda: backend.inc("counter"),
    ):
        sockets.said.clear()
        ask()
        assert [what for _, what in sockets.said].count("send") == 1


def test_several_servers_are_asked_at_once(memcached_servers: list[MemcachedServer]) -> None:
    """All requests are out before the first reply is waited for."""
    sockets = Sockets()
    backend = make(memcached_servers, socket_module=sockets)
    mapping = {f"key {number}": number for number in range(50)}
    backend.set_many(mapping)
    for ask in (
        lambda: backend.get_dict(*mapping),
        lambda: backend.set_many(mapping),
        lambda: backend.delete_many(*mapping),
    ):
        sockets.said.clear()
        ask()
        said = [what for _, what in sockets.said]
        assert said[:3] == ["send"] * 3
        assert set(said[3:]) == {"recv"}


def test_a_long_list_of_keys(memcached_servers: list[MemcachedServer]) -> None:
    """Thousands at once neither fill the buffers nor get lost."""
    backend = make(memcached_servers)
    mapping = {f"key {number}": "x" * 500 for number in range(5000)}
    assert len(backend.set_many(mapping)) == 5000
    assert backend.get_dict(*mapping) == mapping
    assert len(backend.delete_many(*mapping)) == 5000
    assert backend.get_many(*mapping) == [None] * 5000


# Several servers.


def test_the_ring_moves_few_keys() -> None:
    """A server more takes its share of the keys, and no other key moves."""
    servers = [f"10.0.0.{number}:11211" for number in range(4)]
    names = [b"flask_cache_view//page/%d" % number for number in range(4000)]
    before, after = Ring(servers[:3]), Ring(servers)
    moved = [name for name in names if before.index(name) != after.index(name)]
    assert all(after.index(name) == 3 for name in moved)
    assert 0.15 < len(moved) / len(names) < 0.35
    shares = [sum(after.index(name) == server for name in names) for server in range(4)]
    assert min(shares) > 700, f"{shares} of 4000 names"


def test_the_ring_does_not_depend_on_the_order() -> None:
    """Two processes that name the servers in another order look in the same places."""
    servers = ["a:1", "b:2", "unix:/c"]
    one, other = Ring(servers), Ring(servers[::-1])
    names = [b"name %d" % number for number in range(200)]
    assert [servers[one.index(name)] for name in names] == [
        servers[::-1][other.index(name)] for name in names
    ]


def test_a_dead_server_keeps_its_keys(start_server: Callable[..., Any]) -> None:
    """Others do not take them over, so that nothing old comes back with it."""
    servers = [start_server(MemcachedServer) for _ in range(3)]
    backend = make(servers, ignore_delete_many_errors=True)
    keys = [f"key {number}" for number in range(60)]
    backend.set_many(dict.fromkeys(keys, "old"))
    servers[1].kill()
    alive: list[str] = []
    for key in keys:
        try:
            assert backend.get(key) == "old"
            alive.append(key)
        except OSError:
            continue
    dead = set(keys) - set(alive)
    assert 5 < len(dead) < 40
    assert [breaker.state for breaker in backend.breakers] == ["closed", "open", "closed"]
    with pytest.raises(OSError):  # noqa: PT011
        backend.get_many(*keys)
    assert sorted(backend.delete_many(*keys)) == sorted(alive), "what could be deleted"
    assert backend.get_many(*alive) == [None] * len(alive)
    with pytest.raises(BackendUnavailable, match=f":{servers[1].port} is left alone"):
        backend.set(min(dead), "new")


def test_a_server_that_is_back_is_asked_again(start_server: Callable[..., Any]) -> None:
    """After the cooldown the keys of a server that was gone are stored and found again."""
    servers = [start_server(MemcachedServer) for _ in range(2)]
    backend = make(servers, breaker_cooldown=0.05)
    keys = [f"key {number}" for number in range(20)]
    backend.set_many(dict.fromkeys(keys, 1))
    servers[0].kill()
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011
            backend.get_many(*keys)
    servers[0].restart()
    time.sleep(0.06)
    assert None in backend.get_many(*keys), "it came back with nothing"
    assert sorted(backend.set_many(dict.fromkeys(keys, 2))) == sorted(keys)
    assert backend.get_many(*keys) == [2] * 20


# When the server is slow, gone or lying.


def test_a_refused_port_costs_little() -> None:
    """HAZARD 17: ten calls to nobody take under two seconds in all, and say what is wrong."""
    backend = MemcachedCache([(HOST, free_port())], breaker_cooldown=60)
    began = time.monotonic()
    for attempt in range(10):
        with pytest.raises(ConnectionRefusedError) as error:
            backend.get("key")
        assert isinstance(error.value, BackendUnavailable) == (attempt >= 3)
    assert time.monotonic() - began < 2


def test_a_silent_server_is_bounded(own_memcached: MemcachedServer) -> None:
    """HAZARD 17: one that accepts and never answers costs a time-out, then nothing."""
    backend = make(own_memcached, timeout=0.2, breaker_cooldown=60)
    backend.set("key", 1)
    own_memcached.pause()
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(TimeoutError):
            backend.get("key")
    assert time.monotonic() - began < 2
    own_memcached.resume()


def test_a_trickling_server_is_bounded() -> None:
    """One that sends a byte now and then does not hold a caller for ever."""
    stop = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(b"VALUE key 0 1000\r\n")
            while not stop.wait(0.01):
                connection.sendall(b"x")

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        backend = MemcachedCache([listener.getsockname()[:2]], key_prefix="", timeout=0.05)
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="too long"):
            backend.get("key")
        assert time.monotonic() - began < 5
        stop.set()
        thread.join()


def test_a_restart_is_not_noticed(own_memcached: MemcachedServer) -> None:
    """The connections of before are replaced, also by what may not be asked twice."""
    backend = make(own_memcached)
    for ask in (
        lambda: backend.get("key") is None,
        lambda: backend.set("key", 1),
        lambda: backend.add("new", 1),
        lambda: backend.inc("counter") == 1,
        lambda: backend.get_many("key") == [None],
        lambda: backend.delete_many("key") == ["key"],
    ):
        together(4, lambda _: backend.has("key"))  # several connections
        own_memcached.restart()
        assert ask() is True


def together(count: int, run: Callable[[int], object]) -> None:
    barrier = threading.Barrier(count)

    def begin(number: int) -> None:
        barrier.wait(30)
        run(number)

    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            begin(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_reply_that_is_cut_anywhere(
    memcached_server: MemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """Whatever of it arrives: an error or the right value, and right again afterwards."""
    proxy = proxy_to(memcached_server)
    backend = make_hasty(proxy)
    honest = make(memcached_server, key_prefix=backend.key_prefix)
    backend.set_many({"one": "first " * 5, "two": "second " * 5})
    for count in range(0, 190, 7):
        for ask, right in (
            (lambda: backend.get("one"), "first " * 5),
            (lambda: backend.get_many("two", "one"), ["second " * 5, "first " * 5]),
        ):
            proxy.behave()
            assert ask() == right
            proxy.cut_after(count)
            with contextlib.suppress(OSError):
                assert ask() == right
            proxy.behave()
            assert ask() == right
    honest.set("n", 0)
    for _ in range(5):
        proxy.behave()
        backend.has("n")
        before = honest.get("n")
        proxy.cut_after(0)
        with pytest.raises(OSError):  # noqa: PT011
            backend.inc("n")
        assert honest.get("n") == before + 1, "a count is not sent twice"


def test_a_reply_in_pieces(memcached_server: MemcachedServer) -> None:
    """However it arrives, and whatever looks like protocol in the values: they are right."""
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    values = {
        "one": "\r\nEND\r\n",
        "two": "VALUE two 0 3\r\none\r\nEND\r\n" * 3,
        "three": "",
        "four": "\r",
    }
    backend.set_many(values)
    backend.inc("five", 5)
    for sockets.at_once in range(1, 200):
        assert [backend.get(key) for key in values] == list(values.values())
        assert backend.get_many(*values, "none", "five") == [*values.values(), None, 5]
        assert backend.touch("five") is True
        assert backend.set("six", 6) is True
    assert sockets.opened == 1


def copies(call: Callable[[], object], size: int) -> float:
    """How often a value of so many bytes is held at the same time, at most, during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / size
    finally:
        tracemalloc.stop()


def test_a_large_value_is_copied_once(memcached_server: MemcachedServer) -> None:
    """To be sent, and to be put together of what arrived: no copy beyond these."""
    servers, space = make(memcached_server)._servers, Space("")
    data = b"x" * 1_000_000
    store = Store(b"large", data, 100)
    for write in (
        lambda: servers.ask(space, store),
        lambda: servers.ask_each(space, [store, Exists(b"large")]),
    ):
        assert copies(write, len(data)) < 1.2
    for read in (
        lambda: servers.fetch(space, b"large"),
        lambda: servers.add_and_fetch(space, (), [b"large", b"none"]),
    ):
        assert copies(read, len(data)) < 2.2
    assert servers.fetch(space, b"large") == data


def test_a_late_reply_is_nobodys(
    memcached_server: MemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """After a time-out the connection is closed: the next request does not get that reply."""
    proxy = proxy_to(memcached_server)
    backend = make_hasty(proxy)
    backend.set_many({"a": "of a", "b": "of b", "c": 3})
    for _ in range(3):
        proxy.fall_silent()
        for ask in (
            lambda: backend.get("a"),
            lambda: backend.get_many("b"),
            lambda: backend.set("a", "of a"),
        ):
            with pytest.raises(TimeoutError):
                ask()
        proxy.behave()
        assert backend.get("b") == "of b"
        assert backend.get_many("a", "c") == ["of a", 3]
        assert backend.has("missing") is False


@pytest.mark.parametrize(
    "lie",
    [
        b"\x00\xffgarbage\r\n",
        b"VALUE other 0 5\r\nwrong\r\nEND\r\n",
        b"VALUE KEY 0 99999999999\r\n",
        b"VALUE KEY 0 2\r\nlonger than that\r\nEND\r\n",
        b"END\r\nEND\r\n",
        b"STORED\r\nEND\r\n",
        b"SERVER_ERROR out of memory writing get response\r\n",
        b"CLIENT_ERROR line too long\r\n",
        b"ERROR\r\n",
        b"x" * 20_000,
        b"HD\r\nHD\r\n",
        b"7\r\nSTORED\r\n",
    ],
)
def test_a_lying_server(
    lie: bytes, memcached_server: MemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """No nonsense is taken for a value, and none of it is left for the next request."""
    proxy = proxy_to(memcached_server)
    backend = make_hasty(proxy)
    backend.set_many({"key": "right", "n": 1})
    lie = lie.replace(b"KEY", f"{backend.key_prefix}key".encode())
    for ask in (
        lambda: backend.get("key"),
        lambda: backend.get_many("key", "n"),
        lambda: backend.set("x", 1),
        lambda: backend.add("x", 1),
        lambda: backend.inc("n"),
        lambda: backend.touch("key"),
        lambda: backend.ttl("key"),
        lambda: backend.delete("x"),
        lambda: backend.release_lock("key", "right"),
    ):
        proxy.babble(lie)
        # Never a ValueError or a TypeError, which would be the caller's own mistake.
        with pytest.raises((OSError, MemcacheError)):
            ask()
        proxy.behave()
        assert backend.get("key") == "right"


def test_an_interruption_leaves_no_reply_behind(memcached_server: MemcachedServer) -> None:
    """Ctrl-C, a killed greenlet: what was asked for then is not what the next one gets."""
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    backend.set_many({"a": "of a", "b": "of b", "n": 5})

    def interrupt() -> None:
        time.sleep(0.01)  # the reply is there by now
        raise KeyboardInterrupt

    for ask in (
        lambda: backend.get("a"),
        lambda: backend.get_many("a", "n"),
        lambda: backend.set("x", 1),
        lambda: backend.inc("n"),
    ):
        sockets.before_recv = interrupt
        with pytest.raises(KeyboardInterrupt):
            ask()
        sockets.before_recv = bool
        assert backend.get("b") == "of b"
        assert backend.get_many("b") == ["of b"]


def test_threads_and_a_server_that_comes_and_goes(own_memcached: MemcachedServer) -> None:
    """Whatever fails, no thread ever gets another key's value."""
    backend = make(own_memcached, breaker_cooldown=0.01, timeout=0.2)
    over = threading.Event()
    wrong: list[object] = []

    def work(number: int) -> None:
        turn = 0
        while not over.is_set():
            key = f"{number} {turn % 5}"
            turn += 1
            try:
                backend.set(key, key * 50)
                for got, name in ((backend.get(key), key), (backend.get_many(key)[0], key)):
                    if got not in (None, name * 50):
                        wrong.append(got)
            except OSError:
                time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.1)
        own_memcached.restart()
    own_memcached.pause()
    time.sleep(0.3)
    own_memcached.resume()
    time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_child_has_its_own_connections(memcached_server: MemcachedServer) -> None:
    """Parent and children that go on at the same time read their own replies."""
    backend = make(memcached_server, pool_size=2)
    for number in range(4):
        backend.set(f"key {number}", f"value {number}")
    together(2, lambda number: backend.get(f"key {number}"))

    def all_right(number: int) -> bool:
        return all(backend.get(f"key {number}") == f"value {number}" for _ in range(300))

    children: list[int] = []
    for number in range(1, 4):
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if all_right(number) else 2
            finally:
                os._exit(status)
        children.append(child)
    assert all_right(0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_a_limit_of_connections(memcached_server: MemcachedServer) -> None:
    """``pool_size`` is kept: others wait for a connection, or are told that there is none."""
    sockets = Sockets()
    backend = make(memcached_server, pool_size=2, socket_module=sockets)
    backend.set("key", 1)
    together(8, lambda _: [backend.get("key") for _ in range(20)])
    assert len(backend._servers.pools[0]._idle) <= 2

    inside, leave = threading.Event(), threading.Event()

    def dawdle() -> None:
        inside.set()
        leave.wait(10)

    blocked = make(memcached_server, pool_size=1, pool_blocking=False, socket_module=sockets)
    sockets.before_recv = dawdle
    thread = threading.Thread(target=blocked.get, args=("key",))
    thread.start()
    inside.wait(10)
    with pytest.raises(BackendError, match="pool_size"):
        blocked.get("key")
    leave.set()
    thread.join()
    sockets.before_recv = bool
    assert blocked.get("key") is None


# Servers before memcached 1.6.


def test_a_limit_of_connections_to_several_servers(
    memcached_servers: list[MemcachedServer],
) -> None:
    """Threads that want the same connections in another order do not wait for one another."""
    backend = make(memcached_servers, pool_size=1)
    keys = [f"key {number}" for number in range(12)]
    backend.set_many(dict.fromkeys(keys, 1))

    def ask(number: int) -> None:
        for _ in range(30):
            assert backend.get_many(*(keys if number % 2 else keys[::-1])) == [1] * 12

    together(6, ask)


def test_an_old_server(memcached_server: MemcachedServer) -> None:
    """Without its meta commands: asked once, then done otherwise."""
    sockets = Sockets()
    sockets.rewrite = as_old
    backend = make(memcached_server, socket_module=sockets)
    new = make(memcached_server, key_prefix=backend.key_prefix)
    assert backend.has("key") is False
    backend.set("key", "value", 500)
    assert backend.has("key") is True
    left = backend.ttl("key")
    assert left is not None
    assert 490 < left <= 500
    assert backend.ttl("missing") is None
    backend.set("for ever", "value", 0)
    assert backend.ttl("for ever") == 0
    backend.set("number", 5)
    with pytest.raises(BackendError, match=r"older than memcached 1\.6"):
        backend.ttl("number")
    sockets.said.clear()
    backend.has("key")
    assert [what for _, what in sockets.said] == ["send", "recv"]

    fresh = make(memcached_server, socket_module=sockets, key_prefix=backend.key_prefix)
    now = time.time()
    entry = Entry(Form.PLAIN, "x", created_at=now, expires_at=now + 1000)
    fresh.set("short", "v", 10)
    fresh.set("long", "v", 5000)
    assert fresh.set_entry("new", entry, touch=["short", "long", "for ever", "number", "none"])
    lefts = [new.ttl(key) for key in ("short", "long", "for ever", "none")]
    assert 990 < (lefts[0] or 0) <= 1001
    assert 4990 < (lefts[1] or 0) <= 5001
    assert lefts[2:] == [0, None]
    assert fresh.ttl("short") == pytest.approx(1000, abs=10), "what it says of itself is kept true"


# Configuration.


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        (None, ["127.0.0.1:11211"]),
        ([], ["127.0.0.1:11211"]),
        ("", ["127.0.0.1:11211"]),
        ("one", ["one:11211"]),
        ("one:1, two:2,", ["one:1", "two:2"]),
        (["one:1", ("two", 2), ["three", "3"]], ["one:1", "two:2", "three:3"]),
        (("one", 1), ["one:1"]),
        (["one:1", "one:1"], ["one:1"]),
        (["unix:/a", "unix:///b", "/c"], ["/a", "/b", "/c"]),
        (["[::1]:5", "[::1]", "::1"], ["[::1]:5", "[::1]:11211"]),
    ],
)
def test_addresses(servers: Any, expected: list[str]) -> None:
    """As text or pairs, in a list or with commas, each once."""
    assert [label(address) for address in addresses(servers, "KEY")] == expected


@pytest.mark.parametrize(
    "servers",
    [
        *(5, ["one:x"], ["one:70000"], [("one", 0)], ["a:1:b"], [("one:1", 3)], [None], {"one": 1}),
        *("redis://user:secret@one/0", "user:secret@one", ["one two:1"]),
    ],
)
def test_what_is_no_address(servers: Any) -> None:
    """The message names the key and never a password."""
    with pytest.raises(ConfigurationError, match=r"^KEY ") as error:
        addresses(servers, "KEY")
    assert "secret" not in str(error.value)


def load(**config: Any) -> Any:
    app = Flask("tests")
    return load_backend(CacheConfig.load({"CACHE_TYPE": "MemcachedCache", **config}), app)


def test_it_is_made_from_a_configuration(memcached_server: MemcachedServer) -> None:
    """Servers, prefix, options and the breaker's settings come from ``CACHE_*`` keys."""
    backend = load(
        CACHE_MEMCACHED_SERVERS=f"{HOST}:{memcached_server.port}",
        CACHE_KEY_PREFIX="configured/",
        CACHE_DEFAULT_TIMEOUT=50,
        CACHE_BREAKER_THRESHOLD=7,
        CACHE_OPTIONS={"timeout": "0.25", "pool_size": 3},
    )
    assert backend.set("key", "value") is True
    assert 45 < backend.ttl("key") <= 50
    raw = Client(memcached_server.address)
    assert raw.get("configured/key") is not None
    raw.close()
    assert backend.breakers[0].threshold == 7
    assert backend._links[0].timeout == 0.25
    assert repr(backend) == (
        f"<MemcachedCache {HOST}:{memcached_server.port} prefix='configured/'>"
    )


def test_options_win_and_a_conflict_is_named() -> None:
    """HAZARD 29: what loses is not dropped without a word."""
    with pytest.warns(UserWarning, match="CACHE_OPTIONS and CACHE_MEMCACHED_SERVERS differ"):
        backend = load(
            CACHE_MEMCACHED_SERVERS="one:1", CACHE_OPTIONS={"servers": "two:2", "key_prefix": "x"}
        )
    assert repr(backend) == "<MemcachedCache two:2 prefix='x'>"
    with pytest.warns(UserWarning, match=r"CACHE_MEMCACHED_PASSWORD .*SASLMemcachedCache"):
        load(CACHE_MEMCACHED_PASSWORD="secret")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"conect_timeout": 1}, "did you mean connect_timeout"),
        ({"serde": object()}, "CACHE_SERIALIZER"),
        ({"ignore_exc": True}, "CACHE_IGNORE_ERRORS"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"pool_size": "many"}, "pool_size"),
    ],
)
def test_an_option_that_does_not_exist(options: dict[str, Any], said: str) -> None:
    """The message says what there is instead."""
    with pytest.raises(ConfigurationError, match=said):
        load(CACHE_OPTIONS=options)


def test_a_unix_socket_and_a_name(
    start_server: Callable[..., Any], memcached_server: MemcachedServer
) -> None:
    """Both are connected to; a name by any of the addresses that it stands for."""
    backend = MemcachedCache(f"localhost:{memcached_server.port}", key_prefix="name/")
    assert backend.set("key", 1) is True
    folder = Path(f"/tmp/fc-{os.getpid()}-{next(_numbers)}")
    folder.mkdir()
    command = ["memcached", "-s", str(folder / "s"), *(["-u", "root"] if not os.geteuid() else [])]
    process = subprocess.Popen(command)
    try:
        backend = MemcachedCache(f"unix:{folder}/s", key_prefix="unix/", breaker_threshold=0)
        for _ in range(500):
            try:
                assert backend.set("key", "over a path") is True
                break
            except OSError:
                time.sleep(0.01)
        assert backend.get("key") == "over a path"
        assert f"{folder}/s" in repr(backend)
        assert backend._client.get("unix/key") is not None
        backend._client.close()
    finally:
        process.terminate()
        process.wait(10)
        (folder / "s").unlink(missing_ok=True)
        folder.rmdir()


def test_tls_is_asked_for(memcached_server: MemcachedServer) -> None:
    """A ``tls_context`` wraps the connection before anything is sent."""
    wrapped: list[str] = []

    def wrap(plain: socket.socket, server_hostname: str) -> socket.socket:
        wrapped.append(server_hostname)
        return plain

    backend = make(memcached_server, tls_context=SimpleNamespace(wrap_socket=wrap))
    assert backend.set("key", 1) is True
    assert wrapped == [HOST]


@pytest.mark.parametrize("kind", [Client, PooledClient])
def test_a_ready_client(kind: Any, memcached_server: MemcachedServer) -> None:
    """Its settings are used, and it stays as it is: safe for threads here whatever its kind."""
    client = kind(memcached_server.address, connect_timeout=0.7, timeout=0.9)
    backend = MemcachedCache(client, key_prefix=f"ready-{next(_numbers)}/")
    assert backend._client is client
    assert (backend._links[0].connect_timeout, backend._links[0].timeout) == (0.7, 0.9)
    together(4, lambda number: backend.set(f"key {number}", number))
    assert backend.get_many(*(f"key {number}" for number in range(4))) == [0, 1, 2, 3]
    client.close()


def test_a_ready_hash_client_finds_the_same_keys(
    memcached_servers: list[MemcachedServer],
) -> None:
    """Its own way of spreading keys is kept, so that both look in the same place."""
    client = HashClient([server.address for server in memcached_servers], use_pooling=True)
    prefix = f"hash-{next(_numbers)}/"
    backend = MemcachedCache(client, key_prefix=prefix)
    backend.set_many({f"key{number}": number for number in range(40)})
    for number in range(40):
        assert client.get(f"{prefix}key{number}") == b"%d" % number
    client.close()


def test_a_client_that_is_none_of_ours() -> None:
    """What is no client of pymemcache's is refused, and so is a prefix beside ours."""
    for client, said in (
        (SimpleNamespace(get=1, set=2), "neither addresses nor a client of pymemcache"),
        (Client("one:1", key_prefix="p"), "CACHE_KEY_PREFIX"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            MemcachedCache(client)
    with pytest.warns(UserWarning, match="have no effect: timeout"):
        MemcachedCache(PooledClient("one:1"), timeout=1)


def test_the_client_that_applications_reach_for(
    memcached_servers: list[MemcachedServer],
) -> None:
    """``cache.cache._client`` is one of pymemcache's, for the same servers and keys."""
    single = make(memcached_servers[0])
    single.set("key", 5)
    assert isinstance(single._client, PooledClient)
    assert single._client.get(f"{single.key_prefix}key") == b"5"
    single._client.close()
    several = make(memcached_servers)
    several.set_many({f"key{number}": number for number in range(40)})
    for number in range(40):
        assert several._client.get(f"{several.key_prefix}key{number}") == b"%d" % number
    several._client.close()


_WITHOUT_CLIENT = """
import sys
import flask_caching, flask_caching.backends.memcache
assert not [name for name in sys.modules if name.partition(".")[0] in {clients}]
for name in {clients}:
    sys.modules[name] = None
try:
    flask_caching.backends.memcache.{backend}()
except ImportError as error:
    print(error)
"""


def without_client(backend: str, *clients: str) -> str:
    """What is said where these libraries are missing."""
    code = _WITHOUT_CLIENT.format(backend=backend, clients=clients)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return answer.stdout


def test_the_library_is_imported_when_it_is_needed() -> None:
    """Not by importing the package; and if it is missing, the message says what to install."""
    said = without_client("MemcachedCache", "pymemcache", "bmemcached")
    assert said == (
        "MemcachedCache needs pymemcache 4.0 or newer: pip install 'Flask-Caching[memcached]'\n"
    )
    with pytest.raises(BackendImportError):
        raise BackendImportError(said, name="pymemcache")


def test_nothing_is_left_open(memcached_server: MemcachedServer) -> None:
    """A backend that is no longer used closes its connections (a warning would be an error)."""
    before = int(memcached_server.stats()["curr_connections"])
    backends = [make(memcached_server)]
    together(4, lambda _: backends[0].get("key"))
    backends.clear()
    deadline = time.monotonic() + 10
    while int(memcached_server.stats()["curr_connections"]) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_signal_handler_may_use_the_cache(memcached_server: MemcachedServer) -> None:
    """Within a call, between sending and reading: another connection is used for it."""
    sockets = Sockets()
    backend = make(memcached_server, socket_module=sockets)
    backend.set_many({"a": "of a", "b": "of b"})
    got: list[object] = []

    def handle(*_: object) -> None:
        got.append(backend.get("b"))

    def interrupt() -> None:
        sockets.before_recv = bool
        signal.raise_signal(signal.SIGUSR1)

    old = signal.signal(signal.SIGUSR1, handle)
    try:
        sockets.before_recv = interrupt
        assert backend.get("a") == "of a"
        assert got == ["of b"]
    finally:
        signal.signal(signal.SIGUSR1, old)
