"""From options to a client of redis-py: which are taken, and what holds where nothing is said.

Imports redis-py when a client is made, and not before.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import BackendImportError, ConfigurationError
from ..parsing import describe, warn_user
from .redisaddresses import Address

__all__ = [
    "check_cluster_options",
    "check_ready",
    "make_client",
    "make_cluster",
    "make_sentinel",
    "require_redis",
    "retries_itself",
    "warn_unused",
    "where",
]

_OLDEST = (4, 5, 5)
#: Seconds. A cache that does not answer by then is of no use.
_CONNECT_TIMEOUT = 0.3
_TIMEOUT = 0.5

#: Options that say when redis-py is to send something again.
_RETRY_OPTIONS = ("retry", "retry_on_timeout", "retry_on_error")

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


def where(client: Any) -> str:
    """The address of a client's server, for people; without credentials."""
    pool = getattr(client, "connection_pool", None)
    options = getattr(pool, "connection_kwargs", {})
    if "path" in options:
        return str(options["path"])
    if "host" in options:
        return f"{options['host']}:{options.get('port', 6379)}"
    # A master that Sentinels name, or something else that redis-py knows nothing of.
    return str(getattr(pool, "service_name", type(client).__qualname__))


def retries_itself(options: Mapping[str, Any]) -> bool:
    """Whether redis-py was told when to send something again."""
    return any(options.get(option) for option in _RETRY_OPTIONS)


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
    return _quiet_sentinel(redis)(
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
    try:
        return cluster.RedisCluster(
            startup_nodes=[cluster.ClusterNode(host, port) for host, port in nodes], **merged
        )
    except LookupError as error:
        raise redis.exceptions.RedisClusterException(
            "the nodes that answer have no slots: this is no Redis Cluster yet, or no longer"
        ) from error


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
    if not options.get("retry"):
        # What is to be retried on is of no use without a retry.
        retries = int(retries_itself(options))
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


def _quiet_sentinel(redis: Any) -> Any:
    """What asks the Sentinels."""
    base: Any = redis.sentinel.Sentinel

    class Sentinel(base):  # type: ignore[misc]
        """Its errors do not show its passwords, as those of redis-py 6 and 7 do."""

        def discover_master(self, service_name: str) -> Any:
            try:
                return base.discover_master(self, service_name)
            except redis.sentinel.MasterNotFoundError:
                pass
            # Not from in there, where the other error would come along.
            raise redis.sentinel.MasterNotFoundError(
                f"none of the {len(self.sentinels)} Sentinels names a master {service_name!r} "
                "that is well"
            )

    return Sentinel
