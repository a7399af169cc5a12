"""From what an application writes to a client of redis-py: addresses, URLs, options, defaults.

Imports redis-py when a client is made, and not before.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from ..errors import BackendImportError, ConfigurationError
from ..parsing import describe, warn_user

__all__ = [
    "Address",
    "addresses",
    "check_cluster_options",
    "check_ready",
    "cluster_nodes",
    "make_client",
    "make_cluster",
    "make_sentinel",
    "options_of_url",
    "require_redis",
    "warn_unused",
    "where",
]

Address: TypeAlias = tuple[str, int]

_OLDEST = (4, 5, 5)
#: Seconds. A cache that does not answer by then is of no use.
_CONNECT_TIMEOUT = 0.3
_TIMEOUT = 0.5

#: Schemes of URLs, and what redis-py calls them.
_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}

#: Options of redis.sentinel.Sentinel and its pool, beside those of a connection.
_SENTINEL_OPTIONS = ("check_connection", "force_master_ip", "max_connections", "ssl")


def require_redis(name: str) -> Any:
    """The module ``redis``.

    Args:
        name: The class that needs it.

    Raises:
        BackendImportError: If it is missing, or too old.
    """
    advice = "needs redis-py 4.5.5 or newer: pip install 'Flask-Caching[redis]'"
    try:
        redis: Any = importlib.import_module("redis")
    except ImportError as error:
        raise BackendImportError(f"{name} {advice}", name="redis") from error
    if redis.VERSION < _OLDEST:
        raise BackendImportError(f"{name} {advice} (this is {redis.__version__})", name="redis")
    return redis


# Reading what was written.


def options_of_url(url: str, key: str) -> dict[str, Any]:
    """The options of :class:`redis.Redis` that a URL stands for.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; ``valkey://`` and ``valkeys://``
            are the same as the first two.
        key: What it is the value of, for messages.

    Raises:
        ConfigurationError: If it is no such URL.
    """
    connection: Any = importlib.import_module("redis.connection")
    for theirs, known in _SCHEMES.items():
        if url.startswith(theirs):
            url = known + url.removeprefix(theirs)
    try:
        parsed: dict[str, Any] = connection.parse_url(url)
    except ValueError:
        # Without the reason, which may quote a part of the password.
        raise ConfigurationError(
            f"{key} is {describe(url)}, which is not the URL of a Redis server. Write "
            "redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path/to/socket; "
            "special characters of a password are percent-encoded."
        ) from None
    kind = parsed.pop("connection_class", None)
    if "path" in parsed:
        parsed["unix_socket_path"] = parsed.pop("path")
    elif kind is not None:
        parsed["ssl"] = True
    return parsed


def addresses(value: Any, key: str, port: int) -> list[Address]:
    """Several addresses, written as text or as pairs.

    Args:
        value: ``"host:port,host:port"``, or a list of pairs or of such texts.
        key: What it is the value of, for messages.
        port: That of an address without one.

    Raises:
        ConfigurationError: If it is something else, or empty.
    """
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        raise _no_addresses(value, key)
    found = [_address(item, value, key, port) for item in cast("Iterable[Any]", given)]
    if not found:
        raise _no_addresses(value, key)
    return found


def _address(item: Any, value: Any, key: str, port: int) -> Address:
    if isinstance(item, str):
        host, colon, number = item.strip().rpartition(":")
        if not colon or item.strip().endswith("]"):
            host, number = item.strip(), str(port)
        # The brackets of an IPv6 address.
        host = host.removeprefix("[").removesuffix("]")
        item = (host, number)
    try:
        host, number = item
        made = str(host), int(number)
    except (TypeError, ValueError):
        raise _no_addresses(value, key) from None
    if not made[0] or "/" in made[0]:
        raise _no_addresses(value, key)
    return made


def _no_addresses(value: Any, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"{key} is {describe(value)}, which cannot be used. It accepts "
        '"host:port,host:port", or a list of (host, port) pairs.'
    )


def cluster_nodes(
    cluster: Any, url: str | None, options: Mapping[str, Any], key: str = "redis_url"
) -> tuple[list[Address], dict[str, Any]]:
    """Where nodes of a cluster are, and the options for its client.

    Args:
        cluster: Addresses, see :func:`addresses`.
        url: The URL of a node, instead.
        options: Options that win over those in the URL; ``None`` is none.
        key: What the URL is the value of, for messages.

    Raises:
        ConfigurationError: If they say nothing, or what a cluster does not have.
    """
    merged: dict[str, Any] = {}
    if url:
        merged = options_of_url(url, key)
        if "unix_socket_path" in merged or merged.pop("db", 0):
            raise ConfigurationError(
                f"{key} is {describe(url)}, but the nodes of a Redis Cluster have neither a socket "
                "nor another database than 0. Write redis://user:password@host:6379."
            )
        nodes = [(merged.pop("host", "localhost"), merged.pop("port", 6379))]
    elif cluster:
        nodes = addresses(cluster, "CACHE_REDIS_CLUSTER", 6379)
    else:
        raise ConfigurationError(
            "RedisClusterCache needs to know a node of the cluster. Set CACHE_REDIS_CLUSTER = "
            '"host:port,host:port", or CACHE_REDIS_URL.'
        )
    merged.update((name, value) for name, value in options.items() if value is not None)
    if str(merged.pop("db", 0)) != "0":
        raise ConfigurationError("a Redis Cluster has no other database than 0. Remove 'db'.")
    if "skip_full_coverage_check" in merged:
        # The name of old.
        merged["require_full_coverage"] = not merged.pop("skip_full_coverage_check")
    return nodes, merged


def where(client: Any) -> str:
    """The address of a client's server, for people; without credentials."""
    options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def warn_unused(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Warn about options that mean nothing since a client was given that is ready."""
    unused = [
        name for name, value in given.items() if name not in defaults or value != defaults[name]
    ]
    if unused:
        warn_user(
            f"{', '.join(sorted(unused))} cannot be applied to a Redis client that is ready to be "
            "used. Make the client with them."
        )


# Making clients.


def make_client(redis: Any, options: Mapping[str, Any]) -> Any:
    """A client of one server, by default without retries and with short time-outs."""
    _check(options, _parameters(redis.Redis), "redis.Redis")
    if "://" in options["host"]:
        raise ConfigurationError(
            f"the host {describe(options['host'])} is a URL. Set CACHE_REDIS_URL to it, or give "
            "its parts."
        )
    # Checked like one from outside, since it may have been given a pool.
    return check_ready(redis.Redis(**_with_defaults(redis, options)), "RedisCache")


def make_sentinel(
    redis: Any,
    sentinels: Sequence[Address],
    options: Mapping[str, Any],
    sentinel_options: Mapping[str, Any],
) -> Any:
    """What asks Sentinels for the servers, see :class:`redis.sentinel.Sentinel`.

    Args:
        redis: The module.
        sentinels: Where the Sentinels are.
        options: For the connections to the servers.
        sentinel_options: For those to the Sentinels.
    """
    own = {*_parameters(redis.sentinel.Sentinel), *_SENTINEL_OPTIONS}
    _check(options, own | _connection_parameters(redis), "redis.sentinel.Sentinel")
    _check(sentinel_options, _parameters(redis.Redis), "redis.Redis (for the Sentinels)")
    merged = _with_defaults(redis, options)
    ssl = bool(merged.pop("ssl", False))
    merged.setdefault("connection_class", _sentinel_connection(redis, ssl))
    return redis.sentinel.Sentinel(
        list(sentinels), sentinel_kwargs=_with_defaults(redis, sentinel_options), **merged
    )


def make_cluster(redis: Any, nodes: Sequence[Address], options: Mapping[str, Any]) -> Any:
    """A client of a cluster. Connects.

    Args:
        redis: The module.
        nodes: Some nodes of it, from which the others are learnt.
        options: For the client, and for the connections.
    """
    cluster = redis.cluster
    merged = {"require_full_coverage": False, **_with_defaults(redis, options)}
    if redis.VERSION < (6,):
        merged.setdefault("cluster_error_retry_attempts", 0)
    if hasattr(cluster, "LoadBalancingStrategy") and merged.pop("read_from_replicas", False):
        # What it is called since redis-py 5.3.
        merged.setdefault("load_balancing_strategy", cluster.LoadBalancingStrategy.ROUND_ROBIN)
    return cluster.RedisCluster(
        startup_nodes=[cluster.ClusterNode(host, port) for host, port in nodes], **merged
    )


def check_cluster_options(redis: Any, options: Mapping[str, Any]) -> None:
    """Refuse options that a cluster's client does not take; it would drop them silently."""
    accepted = {*_parameters(redis.cluster.RedisCluster), *redis.cluster.REDIS_ALLOWED_KEYS}
    _check(options, accepted - {"host", "port", "url"}, "redis.cluster.RedisCluster")


def check_ready(client: Any, name: str) -> Any:
    """A client that the application made, if it can be used.

    Args:
        client: The client.
        name: The class that is to use it.

    Raises:
        ConfigurationError: If it decodes replies, or has to be awaited.
    """
    if type(client).__module__.startswith("redis.asyncio"):
        raise ConfigurationError(
            f"{name} was given a client of redis.asyncio, whose replies have to be awaited. Give "
            "it a redis.Redis; coroutine functions are cached with it as well."
        )
    for command in ("get", "mget", "execute_command", "pipeline"):
        if not callable(getattr(client, command, None)):
            raise ConfigurationError(
                f"{name} was given {describe(client)} as its host, which is neither the name of a "
                f"host nor a client of redis-py, since it has no {command} method."
            )
    encoder = client.get_encoder() if hasattr(client, "get_encoder") else None
    if getattr(encoder, "decode_responses", False):
        raise _decoding(name)
    return client


def _decoding(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} cannot use decode_responses=True: entries are bytes, and would be damaged by "
        "decoding. Leave the option out, or make a second client without it for the cache."
    )


def _check(options: Mapping[str, Any], accepted: Iterable[str], taker: str) -> None:
    known = sorted(accepted)
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            raise ConfigurationError(
                f"the option {option!r} is neither one of Flask-Caching's nor of {taker}"
                + (f"; did you mean {close[0]!r}?" if close else ". Remove it.")
            )
    if options.get("decode_responses"):
        raise _decoding(taker)
    tls = [option for option in options if option.startswith("ssl_")]
    if tls and not options.get("ssl"):
        warn_user(f"{', '.join(tls)} without ssl=True has no effect: the connection is plain.")


def _with_defaults(redis: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with short time-outs and no retries, where nothing else is said.

    One retry is the backend's own, and the breaker's cooldown comes instead of a back-off.
    """
    defaults: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_TIMEOUT,
        "socket_timeout": _TIMEOUT,
    }
    if "protocol" in _parameters(redis.Redis):
        # No faster with version 3, and one round trip less to connect.
        defaults["protocol"] = 2
    if "retry" not in options:
        retries = 1 if options.get("retry_on_timeout") or options.get("retry_on_error") else 0
        defaults["retry"] = redis.retry.Retry(redis.backoff.NoBackoff(), retries)
    return {**defaults, **options}


def _parameters(function: Callable[..., Any]) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in kinds
    }


def _connection_parameters(redis: Any) -> set[str]:
    kinds = redis.connection.SSLConnection.__mro__
    return {
        name for kind in kinds if "__init__" in vars(kind) for name in _parameters(kind.__init__)
    } - {"self"}


def _sentinel_connection(redis: Any, ssl: bool) -> Any:
    """The class of connections to servers that Sentinels name."""
    sentinel = redis.sentinel
    base: Any = sentinel.SentinelManagedSSLConnection if ssl else sentinel.SentinelManagedConnection

    class Connection(base):  # type: ignore[misc]
        """Dropped whenever a reply could not be read to its end; that of redis-py 8 is kept."""

        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return base.read_response(self, *args, **options)
            except redis.ResponseError:
                raise
            except BaseException:
                self.disconnect()
                raise

    return Connection
