"""SASLMemcachedCache and SpreadSASLMemcachedCache: logging in, generations, values in pieces."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import bmemcached
import pytest
from bmemcached.exceptions import InvalidCredentials, MemcachedException
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from proxies import LyingProxy
from servers import HOST, MemcachedServer, SaslMemcachedServer, free_port
from test_memcache import Sockets, copies, together, without_client

from flask_caching import Cache
from flask_caching.backends.base import RESERVED
from flask_caching.backends.loading import load_backend
from flask_caching.backends.memcache import SASLMemcachedCache, SpreadSASLMemcachedCache
from flask_caching.backends.memcachegenerations import GenerationServers
from flask_caching.backends.memcacheops import Store
from flask_caching.backends.memcachespread import Manifest
from flask_caching.config import CacheConfig
from flask_caching.entry import Entry, Form
from flask_caching.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    RefusedEntry,
    UnreadableEntry,
)

_numbers = itertools.count()


def make(server: Any, kind: Any = SASLMemcachedCache, **options: Any) -> Any:
    """A backend of that server, or of those, under a prefix that nobody else uses."""
    servers = server if isinstance(server, list) else [server]
    given = {
        "key_prefix": f"test-{next(_numbers)}/",
        "username": SaslMemcachedServer.username,
        "password": SaslMemcachedServer.password,
        **options,
    }
    return kind([each.address for each in servers], **given)


def make_spread(server: Any, **options: Any) -> Any:
    """One with small pieces, so that values need not be large."""
    return make(server, SpreadSASLMemcachedCache, **{"chunksize": 1000, **options})


@pytest.fixture
def raw(sasl_memcached: SaslMemcachedServer) -> Any:
    """A client that is not ours."""
    client = bmemcached.Client(
        [f"{HOST}:{sasl_memcached.port}"], sasl_memcached.username, sasl_memcached.password
    )
    yield client
    client.disconnect_all()


def token_name(backend: Any) -> str:
    return f"{backend.key_prefix}{RESERVED}generation"


# Logging in.


def test_a_wrong_password_is_said_and_never_shown(sasl_memcached: SaslMemcachedServer) -> None:
    """An error of the client library's kind, quick, without the password; then the breaker."""
    backend = make(sasl_memcached, password="letmein-wrong", breaker_cooldown=60)
    began = time.monotonic()
    for attempt in range(10):
        with pytest.raises(InvalidCredentials) as error:
            backend.get("key")
        assert "letmein" not in str(error.value)
        assert isinstance(error.value, BackendUnavailable) == (attempt >= 3)
    assert time.monotonic() - began < 2
    assert "letmein" not in repr(backend) + repr(backend._login) + repr(backend.breakers[0].name)


def test_no_login_where_one_is_wanted(sasl_memcached: SaslMemcachedServer) -> None:
    """Without a user name the server refuses, and so is the call."""
    backend = make(sasl_memcached, username=None, password=None)
    for _ in range(2):
        with pytest.raises(InvalidCredentials, match="wants a user name"):
            backend.get("key")


def test_a_server_that_wants_no_login(memcached_server: MemcachedServer) -> None:
    """The binary protocol is spoken by others too."""
    backend = make(memcached_server, username="", password="")
    assert backend.set("key", [1]) is True
    assert backend.get("key") == [1]
    with_name = make(memcached_server, key_prefix=backend.key_prefix)
    assert with_name.get("key") == [1]


def test_a_direct_call_raises_the_library_s_kind(sasl_memcached: SaslMemcachedServer) -> None:
    """``cache.get`` raises a BackendError that is also what bmemcached would have raised."""
    app = Flask("tests")
    config = {
        "CACHE_TYPE": "SASLMemcachedCache",
        "CACHE_MEMCACHED_SERVERS": f"{HOST}:{sasl_memcached.port}",
        "CACHE_MEMCACHED_USERNAME": "nobody",
        "CACHE_MEMCACHED_PASSWORD": "letmein-wrong",
        "CACHE_INSTRUMENTATION": None,
    }
    cache = Cache(app, config=config)
    with app.app_context():
        with pytest.raises(BackendError) as error:
            cache.get("key")
        assert isinstance(error.value, InvalidCredentials)
        assert "letmein" not in str(error.value)

        @cache.memoize()
        def double(number: int) -> int:
            return 2 * number

        assert double(4) == 8, "a decorated call goes on without the cache"


def test_it_is_made_from_a_configuration(sasl_memcached: SaslMemcachedServer) -> None:
    """``CACHE_OPTIONS`` wins, and a password that loses is named without being shown."""
    config = {
        "CACHE_TYPE": "SpreadSASLMemcachedCache",
        "CACHE_MEMCACHED_SERVERS": [f"{HOST}:{sasl_memcached.port}"],
        "CACHE_MEMCACHED_USERNAME": sasl_memcached.username,
        "CACHE_MEMCACHED_PASSWORD": "letmein-other",
        "CACHE_KEY_PREFIX": "configured/",
        "CACHE_OPTIONS": {"password": sasl_memcached.password, "chunksize": 5000},
    }
    with pytest.warns(UserWarning, match="CACHE_MEMCACHED_PASSWORD differ") as warned:
        backend = load_backend(CacheConfig.load(config), Flask("tests"))
    assert "letmein" not in str(warned[0].message)
    assert backend.set("key", "value") is True
    assert backend.chunksize == 5000
    assert repr(backend) == (
        f"<SpreadSASLMemcachedCache {HOST}:{sasl_memcached.port} prefix='configured/'>"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pickler": object()}, "CACHE_SERIALIZER"),
        ({"socket_timeuot": 1}, "no option 'socket_timeuot'"),
        ({"chunksize": 0}, "chunksize"),
        ({"maxchunk": 10**9}, "maxchunk"),
    ],
)
def test_an_option_that_does_not_exist(options: dict[str, Any], said: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ConfigurationError, match=said):
        SpreadSASLMemcachedCache("one:1", **options)


def test_the_library_is_imported_when_it_is_needed() -> None:
    """If it is missing, the message says what to install."""
    for name in ("SASLMemcachedCache", "SpreadSASLMemcachedCache"):
        assert without_client(name, "bmemcached", "pymemcache") == (
            f"{name} needs python-binary-memcached 0.31.2 or newer: "
            "pip install 'Flask-Caching[sasl]'\n"
        )


def test_the_client_that_applications_reach_for(sasl_memcached: SaslMemcachedServer) -> None:
    """``cache.cache._client`` is one of bmemcached's, logged in."""
    backend = make(sasl_memcached)
    assert backend._client.set("outside", "value") is True
    assert backend._client.get("outside") == "value"
    backend._client.disconnect_all()
    several = make([sasl_memcached, sasl_memcached])
    assert len(several.breakers) == 1, "each server once"


def test_several_servers_share_the_keys(start_server: Callable[..., Any]) -> None:
    """By the same consistent hashing, for the ready client too; a dead one keeps its keys."""
    servers = [start_server(SaslMemcachedServer) for _ in range(2)]
    backend = make(servers)
    mapping = {f"key {number}": number for number in range(40)}
    assert sorted(backend.set_many(mapping)) == sorted(mapping)
    assert backend.get_dict(*mapping) == mapping
    for number in range(20):
        key = f"{RESERVED}{number}"
        backend.set(key, number)
        name = f"{backend.key_prefix}{key}"
        assert backend._client.get(name) is not None, "reserved names have no generation"
    backend._client.disconnect_all()
    assert backend.clear() is True
    assert backend.get_many(*mapping) == [None] * 40
    backend.set_many(mapping)
    servers[0].kill()
    with pytest.raises(OSError):  # noqa: PT011
        backend.clear()
    found = 0
    for key in mapping:
        with contextlib.suppress(OSError):
            assert backend.get(key) is None, "it is cleared where it could be"
            found += 1
    assert 5 < found < 35


# What is found in the store.


def test_nothing_is_unpickled_by_the_protocol(
    sasl_memcached: SaslMemcachedServer, raw: Any
) -> None:
    """HAZARD 34: what another client stored as an object is bytes here, and no entry."""
    backend = make(sasl_memcached)
    backend.set("key", 1)
    name = f"{backend.key_prefix}{_token(backend)}/key"

    class Evil:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    raw.set(name, Evil(), compress_level=0)
    with pytest.raises(UnreadableEntry):
        backend.get("key")
    assert backend.get_many("key") == [None]


def _token(backend: Any) -> str:
    [token] = backend._generations._tokens.values()
    return str(token.decode())


def test_counting_below_zero(sasl_memcached: SaslMemcachedServer) -> None:
    """The number is the server's, one request for each step, whatever it did before."""
    sockets = Sockets()
    backend = make(sasl_memcached, socket_module=sockets)
    backend.set("n", 2)
    backend.dec("n", 5)
    sockets.said.clear()
    assert [backend.inc("n", step) for step in (1, -4, 10, -9)] == [-2, -6, 4, -5]
    assert [what for _, what in sockets.said].count("send") == 4
    with pytest.raises(TypeError, match="62-bit"):
        backend.inc("n", 2**61)


def test_a_version_lives_as_long_as_what_needs_it(sasl_memcached: SaslMemcachedServer) -> None:
    """The protocol tells no time left, so the entry's own account of it is kept true."""
    backend = make(sasl_memcached)
    now = time.time()
    entry = Entry(Form.PLAIN, "x", created_at=now, expires_at=now + 1000)
    backend.set("short", "v", 10)
    backend.set("long", "v", 5000)
    assert backend.set_entry("key", entry, touch=["short", "long", "missing"]) is True
    lefts = [backend.get_entry(key).expires_at - now for key in ("short", "long")]
    assert lefts == [pytest.approx(1000, abs=5), pytest.approx(5000, abs=5)]
    assert backend.get("missing") is None


# Generations.


def test_one_round_trip(sasl_memcached: SaslMemcachedServer) -> None:
    """The generation is read together with whatever is asked."""
    sockets = Sockets()
    backend = make(sasl_memcached, socket_module=sockets)
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
        lambda: backend.delete_many(*keys),
        lambda: backend.add("counter", 1),
        lambda: backend.inc("counter"),
        backend.clear,
    ):
        sockets.said.clear()
        ask()
        assert [what for _, what in sockets.said].count("send") == 1
    assert sockets.opened == 1


def test_a_clear_holds_everywhere_at_once(sasl_memcached: SaslMemcachedServer) -> None:
    """Others, who do not know of it, find nothing of before, and what they write is found."""
    one = make(sasl_memcached)
    others = [make(sasl_memcached, key_prefix=one.key_prefix) for _ in range(6)]
    for backend in (one, *others):
        backend.set("key", "old")
        backend.set("n", 5)
    checks: list[Callable[[Any], Any]] = [
        lambda backend: backend.get("key") is None,
        lambda backend: backend.get_many("key", "n") == [None, None],
        lambda backend: backend.has("key") is False and backend.delete("key") is False,
        lambda backend: backend.add("added", 1) and one.get("added") == 1,
        lambda backend: backend.inc("counted", 3) == 3 and one.get("counted") == 3,
        lambda backend: backend.set("set", "new") and one.get("set") == "new",
    ]
    for backend, check in zip(others, checks, strict=True):
        assert one.clear() is True
        assert check(backend) is True
        assert one.get("key") is None


def test_a_write_under_an_old_generation_is_never_seen(
    sasl_memcached: SaslMemcachedServer, raw: Any
) -> None:
    """Not even if the generation is lost afterwards, or was begun many times since."""
    backend = make(sasl_memcached)
    backend.set("key", "old")
    old = _token(backend)
    backend.clear()
    # As one that was held up would write now.
    raw.set(f"{backend.key_prefix}{old}/key", "written late")
    for _ in range(5):
        assert backend.get("key") is None
        raw.delete(token_name(backend))
        assert backend.get("key") is None
        assert _token(backend) != old
        backend.clear()


def test_a_lost_generation_is_a_miss(sasl_memcached: SaslMemcachedServer, raw: Any) -> None:
    """A token that was evicted takes everything with it, for all, and is replaced."""
    one = make(sasl_memcached)
    other = make(sasl_memcached, key_prefix=one.key_prefix)
    one.set("key", "old")
    assert other.get("key") == "old"
    for loss in (raw.delete, lambda name: raw.set(name, "what is this"), raw.delete):
        loss(token_name(one))
        assert one.get("key") is None
        assert other.get("key") is None
        one.set("key", "new")
        assert other.get("key") == "new"


def test_only_this_prefix_is_cleared(sasl_memcached: SaslMemcachedServer) -> None:
    """HAZARD 19: others keep theirs, one that begins alike and the empty one included."""
    prefix = f"test-{next(_numbers)}"
    names = (prefix, f"{prefix}/", f"{prefix}*", "", "x" * 300)
    backends = [make(sasl_memcached, key_prefix=name) for name in names]
    for backend in backends:
        backend.set_many({"key": 1, "k" * 300: 2, f"{RESERVED}lock": 3}, 60)
    for number, backend in enumerate(backends):
        assert backend.clear() is True
        assert backend.get_many("key", "k" * 300, f"{RESERVED}lock") == [None, None, 3]
        for other in backends[number + 1 :]:
            assert other.get_many("key", "k" * 300) == [1, 2]


def test_threads_that_read_while_one_clears(sasl_memcached: SaslMemcachedServer) -> None:
    """Nobody sees what was written before the last clear that was over when he asked."""
    backend = make(sasl_memcached)
    twin = make(sasl_memcached, key_prefix=backend.key_prefix)
    cleared = 0
    over = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not over.is_set():
            least = cleared
            got = twin.get("key")
            if got is not None and got < least:
                wrong.append((got, least))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 100):
        backend.clear()
        cleared = number
        backend.set("key", number)
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_clearing_without_end_is_an_error(
    sasl_memcached: SaslMemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every token that is read is another one, somebody says so in the end."""
    backend = make(sasl_memcached)
    monkeypatch.setattr(GenerationServers, "_settled", lambda *_: False)
    with pytest.raises(BackendError, match="cleared all the time"):
        backend.get("key")


# When the server is slow, gone or lying.


def test_a_dead_server_is_no_miss(own_sasl: SaslMemcachedServer) -> None:
    """HAZARD 17: unlike in the client library, a server that is gone is an error, quickly."""
    nobody = SASLMemcachedCache([(HOST, free_port())], username="a", password="b")
    own_sasl.pause()
    silent = make(own_sasl, timeout=0.1)
    for backend, kind in ((nobody, ConnectionRefusedError), (silent, OSError)):
        began = time.monotonic()
        for attempt in range(10):
            for ask in (backend.get, backend.delete, backend.inc):
                with pytest.raises(kind) as error:
                    ask("key")
            assert attempt < 2 or isinstance(error.value, BackendUnavailable)
        assert time.monotonic() - began < 2
    own_sasl.resume()


@pytest.fixture
def own_sasl(start_server: Callable[..., Any]) -> SaslMemcachedServer:
    """A server to pause, kill and restart."""
    server: SaslMemcachedServer = start_server(SaslMemcachedServer)
    return server


def test_a_restart_loses_everything_and_nothing_else(own_sasl: SaslMemcachedServer) -> None:
    """Connections are made anew and logged in, and the generation is another one."""
    backend = make(own_sasl)
    for ask in (
        lambda: backend.get("key") is None,
        lambda: backend.set("key", 1),
        lambda: backend.inc("n") == 1,
        lambda: backend.add("added", 1),
    ):
        backend.set("key", "old")
        together(3, lambda _: backend.get("key"))
        own_sasl.restart()
        assert ask() is True
        assert backend.get("key") in (None, 1)


def test_a_reply_that_is_cut_anywhere(
    sasl_memcached: SaslMemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """While logging in or later: an error or the right value, and right again afterwards."""
    proxy = proxy_to(sasl_memcached)
    backend = make(proxy, timeout=0.1, breaker_threshold=0)
    backend.set_many({"one": "first " * 5, "two": "second " * 5})
    for count in range(0, 260, 9):
        for fresh in (False, True):
            if fresh:
                proxy.reset()
            proxy.cut_after(count)
            with contextlib.suppress(OSError, MemcachedException):
                assert backend.get_many("two", "one") == ["second " * 5, "first " * 5]
            proxy.behave()
            assert backend.get("one") == "first " * 5


def test_a_late_reply_is_nobodys(
    sasl_memcached: SaslMemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """After a time-out the connection is closed."""
    proxy = proxy_to(sasl_memcached)
    backend = make(proxy, timeout=0.1, breaker_threshold=0)
    backend.set_many({"a": "of a", "b": "of b"})
    proxy.fall_silent()
    for ask in (lambda: backend.get("a"), lambda: backend.inc("n"), backend.clear):
        with pytest.raises(OSError):  # noqa: PT011
            ask()
    proxy.behave()
    assert backend.get("b") in ("of b", None), "the clear may have arrived"
    backend.set("c", 3)
    assert backend.get_many("c", "d") == [3, None]


_HEADER = struct.Struct("!BBHBBHIIQ")


@pytest.mark.parametrize(
    "lie",
    [
        b"\x00\xffgarbage\r\n" * 3,
        _HEADER.pack(0x80, 0, 0, 0, 0, 0, 0, 0, 0),
        _HEADER.pack(0x81, 0, 0, 0, 0, 0, 2**32 - 1, 0, 0),
        _HEADER.pack(0x81, 0, 50, 4, 0, 0, 4, 0, 0),
        _HEADER.pack(0x81, 0, 0, 4, 0, 0, 9, 7, 0) + b"\0\0\0\0wrong",
        _HEADER.pack(0x81, 0, 0, 0, 0, 1, 0, 0, 0) * 9,
        _HEADER.pack(0x81, 0, 0, 0, 0, 0x82, 0, 0, 0),
    ],
)
def test_a_lying_server(
    lie: bytes, sasl_memcached: SaslMemcachedServer, proxy_to: Callable[..., LyingProxy]
) -> None:
    """No nonsense is taken for a value, in the login neither, and none is left for the next."""
    proxy = proxy_to(sasl_memcached)
    backend = make(proxy, timeout=0.1, breaker_threshold=0)
    backend.set("key", "right")
    for fresh in (False, True):
        for ask in (
            lambda: backend.get("key"),
            lambda: backend.set("x", 1),
            lambda: backend.inc("n"),
            lambda: backend.touch("key"),
            lambda: backend.delete("x"),
        ):
            if fresh:
                proxy.reset()
            proxy.babble(lie)
            with pytest.raises((OSError, MemcachedException)):
                ask()
            proxy.behave()
            assert backend.get("key") == "right"


def test_an_interruption_leaves_no_reply_behind(sasl_memcached: SaslMemcachedServer) -> None:
    """Ctrl-C, a killed greenlet: what was asked for then is not what the next one gets."""
    sockets = Sockets()
    backend = make(sasl_memcached, socket_module=sockets)
    backend.set_many({"a": "of a", "b": "of b"})

    def interrupt() -> None:
        time.sleep(0.01)
        raise KeyboardInterrupt

    for _ in range(2):
        sockets.before_recv = interrupt
        with pytest.raises(KeyboardInterrupt):
            backend.get("a")
        sockets.before_recv = bool
        assert backend.get("b") == "of b"


def test_a_forked_child_has_its_own_connections(sasl_memcached: SaslMemcachedServer) -> None:
    """Parent and child that go on at the same time read their own replies."""
    backend = make(sasl_memcached)
    backend.set_many({"parent": "of the parent", "child": "of the child"})
    child = os.fork()
    name = "parent" if child else "child"
    right = all(backend.get(name) == f"of the {name}" for _ in range(300))
    if not child:
        os._exit(0 if right else 2)
    assert right
    assert os.waitpid(child, 0)[1] == 0


def test_a_value_over_the_limit(sasl_memcached: SaslMemcachedServer) -> None:
    """HAZARD 21: refused with its reason; the old value is gone, the connection is not."""
    sockets = Sockets()
    backend = make(sasl_memcached, socket_module=sockets)
    for size in (1_048_570, 2_000_000, 50_000_000):
        backend.set("key", "old")
        with pytest.raises(RefusedEntry) as refused:
            backend.set("key", os.urandom(size))
        assert refused.value.reason == "too_large"
        assert backend.get("key") is None
    assert sockets.opened == 1


def test_a_large_value_is_copied_once(sasl_memcached: SaslMemcachedServer) -> None:
    """To be sent, and to be put together of what arrived: no copy beyond these."""
    backend = make(sasl_memcached)
    servers, space = backend._servers, backend._current()
    name, data = space.name("large"), b"x" * 1_000_000
    assert copies(lambda: servers.ask(space, Store(name, data, 100)), len(data)) < 1.2
    assert copies(lambda: servers.fetch(space, name), len(data)) < 2.2
    assert servers.fetch(space, name) == data


# Values in pieces.


@given(st.binary(max_size=300), st.integers(1, 50))
def test_pieces_make_the_whole(data: bytes, size: int) -> None:
    """In their order and all of them; anything else is nothing."""
    manifest = Manifest.of(data, size)
    assert Manifest.read(manifest.to_bytes()) == manifest
    pieces: list[bytes | None] = [data[at : at + size] for at in range(0, len(data), size)]
    assert manifest.joined(pieces) == data
    if pieces:
        assert manifest.joined(pieces[1:]) is None
        assert manifest.joined([None, *pieces[1:]]) is None
        assert manifest.joined([b"\xff" * len(pieces[0] or b""), *pieces[1:]]) in (None, data)


@pytest.mark.parametrize("size", [0, 900, 1000, 1001, 5000, 30_000])
def test_a_value_of_any_size(size: int, sasl_memcached: SaslMemcachedServer) -> None:
    """By whatever way it is written and read."""
    backend = make_spread(sasl_memcached)
    value = os.urandom(size)
    now = time.time()
    entry = Entry(Form.PLAIN, value, created_at=now, expires_at=now + 1000)
    assert backend.set("set", value) is True
    assert backend.add("added", value) is True
    assert backend.add("added", b"other") is False
    assert backend.set_many({"many": value}) == ["many"]
    assert backend.set_entry("entry", entry) is True
    assert backend.get_entries([], {"created": entry}) == []
    keys = ("set", "added", "many", "entry", "created")
    assert backend.get_many(*keys) == [value] * 5
    assert [backend.get(key) for key in keys] == [value] * 5
    assert all(map(backend.has, keys))
    assert backend.touch("set", 500) is True
    assert backend.get("set") == value
    if size:
        with pytest.raises(TypeError):
            backend.inc("set")


def test_megabytes(sasl_memcached: SaslMemcachedServer) -> None:
    """With the pieces that are the default; beyond the last of them it is refused."""
    backend = make(sasl_memcached, SpreadSASLMemcachedCache, maxchunk=5)
    value = os.urandom(5_000_000)
    assert backend.set("key " + "x" * 300, value) is True
    assert backend.get("key " + "x" * 300) == value
    with pytest.raises(RefusedEntry, match="maxchunk") as refused:
        backend.set("key " + "x" * 300, os.urandom(6_000_000))
    assert refused.value.reason == "too_large"
    assert backend.get("key " + "x" * 300) is None


def names_of_pieces(backend: Any, key: str) -> list[str]:
    """What the pieces of a value are called on the server."""
    space = backend._current()
    data = backend._servers.fetch(space, space.name(key))
    manifest = Manifest.read(data)
    assert manifest is not None
    start, token = space.start.decode(), _token(backend)
    return [f"{start}{token}/{name.decode()[len(start) :]}" for name in manifest.names(space)]


def test_a_lost_piece_is_a_miss(sasl_memcached: SaslMemcachedServer, raw: Any) -> None:
    """Not an error, and not a report of something unreadable: servers make room."""
    backend = make_spread(sasl_memcached)
    told: list[Any] = []
    backend.on_unreadable = told.append
    for number in range(4):
        backend.set("key", os.urandom(3500))
        raw.delete(names_of_pieces(backend, "key")[number])
        assert backend.get("key") is None
        assert backend.get_many("key") == [None]
        assert backend.set("key", "again") is True
        assert backend.get("key") == "again"
    assert told == []


def test_a_changed_piece_is_a_miss(sasl_memcached: SaslMemcachedServer, raw: Any) -> None:
    """One of another write, or one that is shorter or longer."""
    backend = make_spread(sasl_memcached)
    changes: list[Callable[[list[str]], object]] = [
        lambda names: raw.set(names[1], os.urandom(1000), compress_level=0),
        lambda names: raw.set(names[-1], b"", compress_level=0),
        lambda names: raw.set(names[0], b"x" * 1001, compress_level=0),
    ]
    for change in changes:
        backend.set("key", os.urandom(3500))
        change(names_of_pieces(backend, "key"))
        assert backend.get("key") is None


def test_writers_at_the_same_time(sasl_memcached: SaslMemcachedServer) -> None:
    """A reader gets one of the values whole, or none."""
    backend = make_spread(sasl_memcached)
    values = [bytes([number]) * (2000 + 700 * number) for number in range(4)]
    over = threading.Event()
    seen: list[Any] = []

    def write(number: int) -> None:
        for _ in range(25):
            backend.set("key", values[number])

    def read() -> None:
        while not over.is_set():
            seen.append(backend.get("key"))

    reader = threading.Thread(target=read)
    reader.start()
    together(4, write)
    over.set()
    reader.join()
    assert all(got is None or got in values for got in seen)
    assert backend.get("key") in [*values, None]


def test_what_is_replaced_or_deleted_leaves_no_pieces(own_sasl: SaslMemcachedServer) -> None:
    """As far as it can be seen to; the rest expires."""
    backend = make_spread(own_sasl)
    value = os.urandom(4500)

    def items() -> int:
        return int(backend._servers.pools[0].lend(_stats, True)[b"curr_items"])

    backend.get("warm")
    empty = items()
    assert backend.set("key", value) is True
    full = items()
    assert full == empty + 6
    assert backend.set("key", os.urandom(4500)) is True
    assert items() == full, "replaced"
    assert backend.add("key", value) is False
    assert items() == full, "not added"
    assert backend.touch("key", -1) is True
    assert items() == empty, "ended"
    for remove in (
        lambda: backend.delete("key") is True,
        lambda: backend.delete_many("key", "missing") == ["key", "missing"],
    ):
        backend.set("key", value)
        assert remove() is True
        assert items() == empty, "deleted"
        assert backend.get("key") is None
    assert backend.delete("key") is False


def _stats(connection: Any) -> Any:
    return connection.stats(b"")


def test_pieces_that_the_server_does_not_take(start_server: Callable[..., Any]) -> None:
    """Too large a ``chunksize`` for its ``-I`` is a refusal, and leaves nothing."""
    server = start_server(SaslMemcachedServer, "-I", "512k")
    backend = make(server, SpreadSASLMemcachedCache)
    backend.set("key", "old")
    with pytest.raises(RefusedEntry):
        backend.set("key", os.urandom(3_000_000))
    assert backend.get("key") is None
    small = make(server, SpreadSASLMemcachedCache, chunksize=400_000)
    value = os.urandom(3_000_000)
    assert small.set("key", value) is True
    assert small.get("key") == value


def test_pieces_and_a_clear(sasl_memcached: SaslMemcachedServer) -> None:
    """They go with their generation."""
    backend = make_spread(sasl_memcached)
    backend.set("key", os.urandom(5000))
    backend.clear()
    assert backend.get("key") is None


def test_pieces_on_several_servers(start_server: Callable[..., Any]) -> None:
    """They are spread; while one of their servers is down the value cannot be had."""
    servers = [start_server(SaslMemcachedServer) for _ in range(3)]
    backend = make_spread(servers)
    values = {f"key {number}": os.urandom(6000) for number in range(5)}
    backend.set_many(values)
    assert backend.get_dict(*values) == values
    servers[1].kill()
    failed = 0
    for key, value in values.items():
        try:
            assert backend.get(key) == value, "one that has no piece there is whole"
        except OSError:
            failed += 1
    assert failed
