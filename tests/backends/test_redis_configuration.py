"""From configuration to the clients of the Redis backends."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from flask import Flask
from servers import HOST, RedisServer, free_port, missing

from flask_caching.backends.base import BaseCache
from flask_caching.backends.loading import load_backend
from flask_caching.backends.rediscache import RedisCache, RedisClusterCache, RedisSentinelCache
from flask_caching.config import CacheConfig
from flask_caching.errors import BackendImportError, ConfigurationError


def made(type_: str = "RedisCache", **config: Any) -> Any:
    """The backend of a configuration."""
    keys = {f"CACHE_{name}": value for name, value in config.items()}
    return load_backend(CacheConfig.load({"CACHE_TYPE": type_, **keys}), Flask("tests"))


def options_of(backend: Any) -> dict[str, Any]:
    """What its client connects with."""
    found: dict[str, Any] = backend._write_client.connection_pool.connection_kwargs
    return found


def some_of(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options.get(name) for name in names}


# redis-py.


def test_redis_is_imported_when_a_backend_is_made() -> None:
    """Neither by the package, nor by importing the classes, nor for another CACHE_TYPE."""
    program = """
import sys
import flask_caching.backends.rediscache
from flask_caching.backends import RedisCache, RedisClusterCache, RedisSentinelCache
from flask import Flask
flask_caching.Cache(Flask("x"), config={"CACHE_TYPE": "SimpleCache"})
assert "redis" not in sys.modules
RedisCache()
assert "redis" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("kind", [RedisCache, RedisSentinelCache, RedisClusterCache])
def test_a_missing_redis_is_named_with_its_extra(
    kind: type[BaseCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lowest version, and what to install; so is one that is too old."""
    monkeypatch.setitem(sys.modules, "redis", None)
    for make in (kind, lambda: made(kind.__name__)):
        with pytest.raises(BackendImportError, match=r"redis-py 4\.5\.5.*Flask-Caching\[redis\]"):
            make()
    monkeypatch.undo()
    monkeypatch.setattr(redis, "VERSION", (4, 5, 4))
    with pytest.raises(BackendImportError, match=kind.__name__):
        kind()


def test_the_constructors_are_those_of_the_released_library() -> None:
    """Names, order and defaults of what could be given by position."""
    released = {
        RedisCache: {
            "host": "localhost",
            "port": 6379,
            "password": None,
            "db": 0,
            "default_timeout": 300,
            "key_prefix": None,
            "ignore_delete_many_errors": False,
        },
        RedisSentinelCache: {
            "sentinels": None,
            "master": "mymaster",
            "password": None,
            "db": 0,
            "default_timeout": 300,
            "key_prefix": "",
            "ignore_delete_many_errors": False,
        },
        RedisClusterCache: {
            "cluster": "",
            "password": "",
            "default_timeout": 300,
            "key_prefix": "",
            "ignore_delete_many_errors": False,
        },
    }
    for kind, expected in released.items():
        parameters = inspect.signature(kind).parameters
        positional = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        assert positional == expected
        assert any(item.kind is item.VAR_KEYWORD for item in parameters.values())


# One server.


def test_a_client_is_impatient_by_default() -> None:
    """Short time-outs, no retries of redis-py's own, no health checks."""
    options = options_of(RedisCache())
    assert some_of(options, "socket_connect_timeout", "socket_timeout") == {
        "socket_connect_timeout": 0.3,
        "socket_timeout": 0.5,
    }
    assert options["retry"]._retries == 0
    assert not options.get("health_check_interval")
    if "protocol" in inspect.signature(redis.Redis.__init__).parameters:
        assert options["protocol"] == 2


def test_what_the_application_says_wins() -> None:
    """Every option is redis-py's, and goes there as it is."""
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 7)
    chosen = {"socket_timeout": 3, "client_name": "x", "retry": retry, "max_connections": 4}
    backend = made(OPTIONS=chosen)
    options = options_of(backend)
    assert some_of(options, "socket_timeout", "client_name") == {
        "socket_timeout": 3,
        "client_name": "x",
    }
    assert options["retry"]._retries == 7
    assert backend._write_client.connection_pool.max_connections == 4
    assert backend._again is False
    assert options_of(made(OPTIONS={"socket_timeout": None}))["socket_timeout"] is None
    retrying = RedisCache(retry_on_error=[redis.ConnectionError])
    assert options_of(retrying)["retry"]._retries == 1
    assert retrying._again is False
    assert RedisCache()._again is True


def test_the_keys_of_one_server() -> None:
    """As numbers or as text from the environment; empty text is nothing."""
    backend = made(
        REDIS_HOST="cache.example",
        REDIS_PORT="6380",
        REDIS_USERNAME="app",
        REDIS_PASSWORD="secret",
        REDIS_DB="3",
        KEY_PREFIX="shop/",
        DEFAULT_TIMEOUT=60,
    )
    wanted = {"host": "cache.example", "port": 6380, "username": "app", "password": "secret"}
    assert some_of(options_of(backend), *wanted, "db") == {**wanted, "db": 3}
    assert (backend.key_prefix, backend.default_timeout) == ("shop/", 60)
    plain = made(REDIS_HOST="", REDIS_PASSWORD="", REDIS_USERNAME=None, REDIS_URL="")
    assert some_of(options_of(plain), "host", "port", "password", "db") == {
        "host": "localhost",
        "port": 6379,
        "password": None,
        "db": 0,
    }
    assert plain.key_prefix == "flask_cache_"


@pytest.mark.parametrize("key", ["REDIS_PORT", "REDIS_DB"])
def test_a_number_that_is_none_is_named(key: str) -> None:
    """With the key that it is from."""
    with pytest.raises(ConfigurationError, match=f"CACHE_{key} is 'many'"):
        made(**{key: "many"})


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://", {"host": "localhost", "port": 6379, "db": 0}),
        ("redis://h:1/2", {"host": "h", "port": 1, "db": 2}),
        ("redis://h?db=4", {"host": "h", "db": 4}),
        ("valkey://u:p@h/1", {"host": "h", "username": "u", "password": "p", "db": 1}),
        ("redis://:p%40%2F@h", {"host": "h", "password": "p@/"}),
        ("redis://h?socket_timeout=2&client_name=x", {"socket_timeout": 2, "client_name": "x"}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("unix://u:p@/run/redis.sock", {"path": "/run/redis.sock", "username": "u"}),
        ("rediss://h", {"host": "h", "ssl_cert_reqs": "required"}),
        ("valkeys://h?ssl_cert_reqs=none", {"host": "h", "ssl_cert_reqs": "none"}),
    ],
)
def test_urls(url: str, wanted: dict[str, Any]) -> None:
    """Of Redis and of Valkey, with TLS and by socket."""
    backend = made(REDIS_URL=url)
    assert some_of(options_of(backend), *wanted) == wanted
    tls = backend._write_client.connection_pool.connection_class is redis.SSLConnection
    assert tls == ("s://" in url.replace("redis://", "").replace("unix://", ""))


def test_what_a_url_does_not_say_is_kept() -> None:
    """Hazard 29: password, user name, database and options that are set elsewhere."""
    backend = made(
        REDIS_URL="redis://h:1",
        REDIS_USERNAME="app",
        REDIS_PASSWORD="secret",
        REDIS_DB=3,
        OPTIONS={"socket_timeout": 2, "client_name": "x", "key_prefix": "own/"},
    )
    wanted = {
        "host": "h",
        "port": 1,
        "username": "app",
        "password": "secret",
        "db": 3,
        "socket_timeout": 2,
        "socket_connect_timeout": 0.3,
        "client_name": "x",
    }
    assert some_of(options_of(backend), *wanted) == wanted
    assert backend.key_prefix == "own/"


@pytest.mark.parametrize(
    ("config", "warning", "wanted"),
    [
        (
            {"REDIS_URL": "redis://h:1/2", "REDIS_HOST": "other"},
            "CACHE_REDIS_URL and CACHE_REDIS_HOST differ in what 'host' is; CACHE_REDIS_URL wins",
            {"host": "h"},
        ),
        (
            {"REDIS_URL": "redis://:one@h", "REDIS_PASSWORD": "two"},
            "CACHE_REDIS_URL and CACHE_REDIS_PASSWORD differ",
            {"password": "one"},
        ),
        (
            {"REDIS_URL": "redis://h/2", "OPTIONS": {"db": 4}},
            "CACHE_OPTIONS and CACHE_REDIS_URL differ in what 'db' is; CACHE_OPTIONS wins",
            {"db": 4},
        ),
        (
            {"REDIS_PORT": 1, "OPTIONS": {"port": 2}},
            "CACHE_OPTIONS and CACHE_REDIS_PORT differ",
            {"port": 2},
        ),
        (
            {"REDIS_HOST": "one", "ARGS": ["two"]},
            "CACHE_ARGS and CACHE_REDIS_HOST differ",
            {"host": "two"},
        ),
        (
            {"REDIS_URL": "unix:///run/redis.sock", "REDIS_HOST": "one"},
            "CACHE_REDIS_HOST has no effect on 'host'.*socket that CACHE_REDIS_URL",
            {"path": "/run/redis.sock"},
        ),
        (
            {"OPTIONS": {"ssl_ca_certs": "/ca.pem"}},
            "ssl_ca_certs without ssl=True",
            {"host": "localhost"},
        ),
    ],
)
def test_a_conflict_is_named(config: dict[str, Any], warning: str, wanted: dict[str, Any]) -> None:
    """With who wins; a password is not shown."""
    with pytest.warns(UserWarning, match=warning) as caught:
        backend = made(**config)
    assert some_of(options_of(backend), *wanted) == wanted
    assert len(caught) == 1
    assert not {"one", "two"} & set(str(caught[0].message).split()) or "PASSWORD" not in warning


def test_what_is_said_twice_alike_is_no_conflict() -> None:
    """A number and its text are alike."""
    backend = made(
        REDIS_URL="redis://h:1/2", REDIS_HOST="h", REDIS_PORT="1", REDIS_DB=2, OPTIONS={"db": 2}
    )
    assert options_of(backend)["db"] == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@h",
        "redis://:secret@h:port",
        "redis://:sec/ret@h:6379",
        "redis://:secret@h?db=x",
        "h:6379",
    ],
)
def test_a_url_that_cannot_be_used_is_named_without_its_password(url: str) -> None:
    """Not even a part of it, which redis-py's own message may quote."""
    with pytest.raises(ConfigurationError, match="CACHE_REDIS_URL") as caught:
        made(REDIS_URL=url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_as_host_is_named() -> None:
    """A slip that would otherwise look like a missing server."""
    with pytest.raises(ConfigurationError, match=r"redis://\*\*\*@h.*CACHE_REDIS_URL") as caught:
        made(REDIS_HOST="redis://:secret@h")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="not a string"):
        made(REDIS_URL=5)


def test_an_unknown_option_is_named() -> None:
    """And what was probably meant."""
    with pytest.raises(ConfigurationError, match=r"socket_timeot.*did you mean 'socket_timeout'"):
        made(OPTIONS={"socket_timeot": 1})
    with pytest.raises(ConfigurationError, match="socket_timeot"):
        made("RedisSentinelCache", OPTIONS={"socket_timeot": 1})
    with pytest.raises(ConfigurationError, match="socket_timeot"):
        made("RedisSentinelCache", OPTIONS={"sentinel_socket_timeot": 1})
    with pytest.raises(ConfigurationError, match="socket_timeot"):
        made("RedisClusterCache", REDIS_CLUSTER="h:1", OPTIONS={"socket_timeot": 1})


def test_our_own_options_are_taken_out() -> None:
    """They may be among the options as well, and are not redis-py's."""
    backend = made(
        OPTIONS={
            "key_prefix": "p/",
            "default_timeout": 5,
            "allow_flush": True,
            "breaker_threshold": 9,
            "breaker_cooldown": 4,
            "ignore_delete_many_errors": True,
        }
    )
    breaker = backend.breakers[0]
    assert (backend.key_prefix, backend.default_timeout) == ("p/", 5)
    assert (backend.allow_flush, backend.ignore_delete_many_errors) == (True, True)
    assert (breaker.threshold, breaker.cooldown) == (9, 4)
    configured = made(BREAKER_THRESHOLD=8, BREAKER_COOLDOWN=2, ALLOW_FLUSH=True)
    breaker = configured.breakers[0]
    assert (breaker.threshold, breaker.cooldown, configured.allow_flush) == (8, 2, True)


def test_arguments_by_position() -> None:
    """CACHE_ARGS are the constructor's."""
    backend = made(ARGS=["h", 1, "secret", 2, 30, "p/"])
    wanted = {"host": "h", "port": 1, "password": "secret", "db": 2}
    assert some_of(options_of(backend), *wanted) == wanted
    assert (backend.default_timeout, backend.key_prefix) == (30, "p/")


def test_a_prefix_may_be_a_callable() -> None:
    """Called when it is needed, not before."""
    backend = made(KEY_PREFIX=lambda: "made/")
    assert backend._name("k") == b"made/k"
    assert "callable" in repr(backend)


def test_no_credential_is_shown() -> None:
    """Neither by the backend, nor by its breakers."""
    for backend in (
        made(REDIS_URL="redis://user:secret@h:1/2"),
        made("RedisSentinelCache", REDIS_PASSWORD="secret", REDIS_SENTINEL_PASSWORD="secret"),
        made("RedisClusterCache", REDIS_URL="redis://user:secret@h:1"),
    ):
        shown = repr(backend) + "".join(breaker.name for breaker in backend.breakers)
        assert type(backend).__name__ in shown
        assert "secret" not in shown


# A client that is ready.


def test_a_ready_client_is_left_as_it_is(redis_server: RedisServer) -> None:
    """Its time-outs, its retries, its name; it is not even asked for anything."""
    client = redis.Redis(redis_server.host, redis_server.port, socket_timeout=7, db=1)
    before = dict(client.connection_pool.connection_kwargs)
    backend = RedisCache(client, key_prefix="ready/")
    assert backend._write_client is backend._read_client is client
    assert client.connection_pool.connection_kwargs == before
    assert backend.set("k", 1)
    assert client.get("ready/k") == b"1"
    assert str(redis_server.port) in backend.breakers[0].name
    named = redis.sentinel.Sentinel([("s", 1)]).master_for("the-master")
    assert "the-master" in RedisCache(named).breakers[0].name
    for config in ({"REDIS_HOST": client}, {"OPTIONS": {"host": client}}, {"ARGS": [client]}):
        assert made(KEY_PREFIX="ready/", **config).get("k") == 1


def test_what_cannot_be_applied_to_a_ready_client_is_named() -> None:
    """It would be lost silently otherwise."""
    with pytest.warns(UserWarning, match="password, socket_timeout cannot be applied"):
        RedisCache(redis.Redis(), password="secret", socket_timeout=2)
    with pytest.warns(UserWarning, match="db cannot be applied"):
        made(REDIS_HOST=redis.Redis(), REDIS_DB=2)


def test_a_client_that_decodes_is_refused() -> None:
    """Entries are bytes."""
    pool = redis.ConnectionPool(decode_responses=True)
    makers: list[Callable[[], Any]] = [
        lambda: RedisCache(redis.Redis(decode_responses=True)),
        lambda: made(OPTIONS={"decode_responses": True}),
        lambda: made(REDIS_URL="redis://h?decode_responses=True"),
        lambda: made(OPTIONS={"connection_pool": pool}),
        lambda: made("RedisSentinelCache", OPTIONS={"decode_responses": True}),
        lambda: made("RedisClusterCache", REDIS_CLUSTER="h:1", OPTIONS={"decode_responses": True}),
    ]
    for make in makers:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            make()


@pytest.mark.parametrize("host", [object(), 5, None, b"localhost"])
def test_what_is_no_client_is_refused(host: Any) -> None:
    """With what it was taken for."""
    with pytest.raises(ConfigurationError, match="neither the name of a host nor a client"):
        RedisCache(host)


def test_a_client_to_be_awaited_is_refused() -> None:
    """Its replies would be coroutines."""
    with pytest.raises(ConfigurationError, match="asyncio"):
        RedisCache(redis.asyncio.Redis())


def test_a_pool_of_the_application(redis_server: RedisServer) -> None:
    """A pool among the options is used."""
    pool = redis.ConnectionPool(host=redis_server.host, port=redis_server.port)
    backend = made(KEY_PREFIX="pool/", OPTIONS={"connection_pool": pool})
    assert backend.set("k", 1)
    assert backend._write_client.connection_pool is pool


# Ways to connect.


def test_a_unix_socket(start_server: Callable[..., Any], tmp_path: Path) -> None:
    """By URL, or by the option."""
    path = str(tmp_path / "s")
    start_server(RedisServer, "--unixsocket", path)
    assert made(REDIS_URL=f"unix://{path}").set("k", 1)
    backend = made(OPTIONS={"unix_socket_path": path})
    assert [backend.get("k") for _ in range(3)] == [1] * 3
    assert path in repr(backend)


def test_tls(start_server: Callable[..., Any], tmp_path: Path) -> None:
    """By URL, or by the options; the server's certificate is checked."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    openssl = shutil.which("openssl") or missing("openssl is not installed")
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    make += ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = str(free_port())
    options = ["--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key]
    start_server(RedisServer, *options, "--tls-auth-clients", "no")
    options = {"ssl_ca_certs": certificate}
    for scheme in ("rediss", "valkeys"):
        assert made(REDIS_URL=f"{scheme}://{HOST}:{port}", OPTIONS=options).set("k", scheme)
    backend = made(REDIS_HOST=HOST, REDIS_PORT=port, OPTIONS={"ssl": True, **options})
    # The first goes through redis-py, the others over the connection that it opened.
    assert [backend.get("k") for _ in range(3)] == ["valkeys"] * 3
    with pytest.raises(redis.ConnectionError):
        made(REDIS_URL=f"rediss://{HOST}:{port}").get("k")
    with pytest.raises(redis.RedisError):
        made(REDIS_HOST=HOST, REDIS_PORT=port).get("k")


def test_a_user_with_a_password(start_server: Callable[..., Any]) -> None:
    """By keys, by URL, or half by each."""
    server = start_server(RedisServer)
    server.cli("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    server.cli("ACL", "SETUSER", "default", "off")
    place = f"{server.host}:{server.port}"
    for config in (
        {"REDIS_HOST": server.host, "REDIS_PORT": server.port, "REDIS_USERNAME": "app"},
        {"REDIS_URL": f"redis://app@{place}"},
        {"REDIS_URL": f"redis://{place}", "REDIS_USERNAME": "app"},
    ):
        assert made(**config, REDIS_PASSWORD="secret").set("k", 1)
        with pytest.raises(redis.ConnectionError):
            made(**config, REDIS_PASSWORD="wrong").set("k", 1)


# Sentinels.


@pytest.mark.parametrize(
    "sentinels",
    [
        "one:1,two:2, three ",
        [("one", 1), ["two", "2"], ("three", 26379)],
        ["one:1", "two:2", "three"],
    ],
)
def test_addresses_of_sentinels(sentinels: Any) -> None:
    """As text, or as a list; the port may be left out."""
    backend = made("RedisSentinelCache", REDIS_SENTINELS=sentinels, REDIS_SENTINEL_MASTER="m")
    pool = backend._write_client.connection_pool
    asked = [
        (
            each.connection_pool.connection_kwargs["host"],
            each.connection_pool.connection_kwargs["port"],
        )
        for each in pool.sentinel_manager.sentinels
    ]
    assert asked == [("one", 1), ("two", 2), ("three", 26379)]
    assert pool.service_name == "m"


def test_an_address_of_version_six() -> None:
    """In brackets, with a port or without."""
    backend = made("RedisSentinelCache", REDIS_SENTINELS="[::1]:7,[::2]")
    assert "::1:7, ::2:26379" in repr(backend)


@pytest.mark.parametrize("sentinels", [5, [5], "h:port", "redis://h:1", [("h",)], [()], "a:1,"])
def test_addresses_that_are_none(sentinels: Any) -> None:
    """The key is named, and what it accepts."""
    with pytest.raises(ConfigurationError, match=r"CACHE_REDIS_SENTINELS.*host:port"):
        made("RedisSentinelCache", REDIS_SENTINELS=sentinels)


def test_sentinels_have_options_of_their_own() -> None:
    """Passwords, user names and time-outs do not get mixed up."""
    backend = made(
        "RedisSentinelCache",
        REDIS_SENTINELS="s:1",
        REDIS_USERNAME="app",
        REDIS_PASSWORD="of server",
        REDIS_DB="2",
        REDIS_SENTINEL_USERNAME="guest",
        REDIS_SENTINEL_PASSWORD="of sentinel",
        OPTIONS={"socket_timeout": 3, "sentinel_socket_timeout": 4, "min_other_sentinels": 1},
    )
    server = options_of(backend)
    manager = backend._write_client.connection_pool.sentinel_manager
    sentinel = manager.sentinels[0].connection_pool.connection_kwargs
    names = ("username", "password", "db", "socket_timeout", "socket_connect_timeout")
    assert list(some_of(server, *names).values()) == ["app", "of server", 2, 3, 0.3]
    assert list(some_of(sentinel, *names).values()) == ["guest", "of sentinel", 0, 4, 0.3]
    assert server["retry"]._retries == sentinel["retry"]._retries == 0
    assert manager.min_other_sentinels == 1


def test_tls_to_servers_and_to_sentinels() -> None:
    """Each is asked for by itself."""
    backend = RedisSentinelCache("s:1", ssl=True, ssl_cert_reqs="none", sentinel_ssl=True)
    pool = backend._write_client.connection_pool
    assert issubclass(pool.connection_class, redis.sentinel.SentinelManagedSSLConnection)
    sentinel = pool.sentinel_manager.sentinels[0].connection_pool
    assert sentinel.connection_class is redis.SSLConnection


def test_keys_that_sentinels_do_not_read_are_named() -> None:
    """A URL or a host is for RedisCache."""
    with pytest.warns(UserWarning, match="CACHE_REDIS_URL is set, but"):
        made("RedisSentinelCache", REDIS_URL="redis://h")


# A cluster.


def nodes_of(backend: RedisClusterCache) -> tuple[list[Any], dict[str, Any]]:
    """What it would connect to, and with which options."""
    connect: Any = backend._nodes._connect
    return connect.args[1], connect.args[2]


@pytest.mark.parametrize(
    "config",
    [
        {"REDIS_CLUSTER": "one:1"},
        {"REDIS_CLUSTER": [("one", 1)]},
        {"REDIS_URL": "redis://one:1"},
        {"REDIS_URL": "valkey://one:1/0"},
        {"OPTIONS": {"redis_url": "redis://one:1"}},
        {"ARGS": ["one:1"]},
    ],
)
def test_nodes_of_a_cluster(config: dict[str, Any]) -> None:
    """By their addresses or by a URL; what the URL does not say is kept."""
    backend = made("RedisClusterCache", REDIS_PASSWORD="secret", REDIS_USERNAME="app", **config)
    nodes, options = nodes_of(backend)
    assert list(nodes) == [("one", 1)]
    assert options == {"password": "secret", "username": "app"}


def test_a_cluster_by_url_with_tls() -> None:
    """The URL wins over the keys, the options over the URL."""
    with pytest.warns(UserWarning, match="differ in what 'password' is; CACHE_REDIS_URL wins"):
        backend = made(
            "RedisClusterCache",
            REDIS_URL="rediss://app:secret@one:1?ssl_cert_reqs=none",
            REDIS_PASSWORD="other",
            OPTIONS={"socket_timeout": 2, "skip_full_coverage_check": True},
        )
    _, options = nodes_of(backend)
    assert options == {
        "username": "app",
        "password": "secret",
        "ssl": True,
        "ssl_cert_reqs": "none",
        "socket_timeout": 2,
        "require_full_coverage": False,
    }


def test_conflicts_of_a_cluster_are_named() -> None:
    """Two ways to say where it is, and a database that it does not have."""
    with pytest.warns(UserWarning, match="CACHE_REDIS_URL and CACHE_REDIS_CLUSTER differ"):
        backend = made("RedisClusterCache", REDIS_URL="redis://one:1", REDIS_CLUSTER="two:2")
    assert list(nodes_of(backend)[0]) == [("one", 1)]
    with pytest.warns(UserWarning, match="CACHE_REDIS_DB is set, but"):
        made("RedisClusterCache", REDIS_CLUSTER="two:2", REDIS_DB=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made("RedisClusterCache", REDIS_CLUSTER="two:2", REDIS_DB=0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "CACHE_REDIS_CLUSTER ="),
        ({"REDIS_CLUSTER": "two"}, None),
        ({"REDIS_CLUSTER": "two:x"}, "CACHE_REDIS_CLUSTER is 'two:x'"),
        ({"REDIS_URL": "unix:///run/redis.sock"}, "CACHE_REDIS_URL.*neither a socket"),
        ({"REDIS_URL": "redis://:secret@h/3"}, "CACHE_REDIS_URL.*another database"),
        ({"REDIS_CLUSTER": "h:1", "OPTIONS": {"db": 1}}, "no other database"),
    ],
)
def test_what_a_cluster_cannot_use(config: dict[str, Any], words: str | None) -> None:
    """Is named when the application starts, though it connects later."""
    if words is None:
        assert list(nodes_of(made("RedisClusterCache", **config))[0]) == [("two", 6379)]
        return
    with pytest.raises(ConfigurationError, match=words) as caught:
        made("RedisClusterCache", **config)
    assert "secret" not in str(caught.value)
