"""RedisCache, RedisSentinelCache and RedisClusterCache: entries in Redis, or in Valkey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from flask import Flask

from .redisaddresses import addresses, cluster_nodes
from .redisclients import (
    check_cluster_options,
    check_ready,
    make_client,
    make_cluster,
    make_sentinel,
    require_redis,
    retries_itself,
    warn_unused,
    where,
)
from .redisops import RedisBackend
from .redisserver import ManyServers, OneServer
from .redissettings import Settings

__all__ = ["RedisCache", "RedisClusterCache", "RedisSentinelCache"]

_PORT = 6379
_SENTINEL_PORT = 26379


class RedisCache(OneServer):
    """Entries in one Redis server.

    Every operation is one round trip (``clear``, ``keys`` and ``release_lock`` are a few).
    Connections come from redis-py's pool and are safe between threads and over a fork. A server
    that does not answer costs 0.3 s to connect and 0.5 s to read at most, and after a few
    failures nothing, see :mod:`flask_caching.breaker`.

    Args:
        host: The server's name or address, or a client that is ready to be used (a
            :class:`redis.Redis`), which is left as it is: its time-outs, its retries.
        port: Its port.
        password: Its password.
        db: Which of its databases.
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        key_prefix: What comes before each key, or a callable that returns it.
        ignore_delete_many_errors: Taken for uniformity; one server deletes all keys or none.
        allow_flush: Whether ``clear`` may remove everything where ``key_prefix`` is empty.
        breaker_threshold: Failures in a row after which the server is left alone for a while;
            0 to ask it however often it fails.
        breaker_cooldown: For how long at first, seconds.
        options: Further options of :class:`redis.Redis`: ``username``, ``ssl``,
            ``unix_socket_path``, ``max_connections``, ``socket_timeout``, ...

    Raises:
        BackendImportError: If redis-py is missing.
        ConfigurationError: If the options, or the client, cannot be used.
    """

    def __init__(
        self,
        host: Any = "localhost",
        port: int = _PORT,
        password: str | None = None,
        db: int = 0,
        default_timeout: float = 300,
        key_prefix: str | Callable[[], str] | None = None,
        ignore_delete_many_errors: bool = False,
        *,
        allow_flush: bool = False,
        breaker_threshold: int = 3,
        breaker_cooldown: float = 1.0,
        **options: Any,
    ) -> None:
        redis = require_redis(type(self).__name__)
        super().__init__(
            default_timeout,
            key_prefix,
            ignore_delete_many_errors,
            allow_flush,
            breaker_threshold,
            breaker_cooldown,
        )
        given = {"port": port, "password": password or None, "db": db, **options}
        if isinstance(host, str):
            client = make_client(redis, {"host": host, **given})
        else:
            client = check_ready(host, type(self).__name__)
            warn_unused(given, {"port": _PORT, "password": None, "db": 0})
        # What redis-py was told to retry, it retries itself.
        again = isinstance(host, str) and not retries_itself(options)
        self._use(client, client, where(client), again)

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application.

        ``CACHE_OPTIONS`` wins over every other key, and ``CACHE_REDIS_URL`` over
        ``CACHE_REDIS_HOST`` and the like, which are used for what it does not say.
        """
        require_redis(cls.__name__)
        positional = ("host", "port", "password", "db", "default_timeout", "key_prefix")
        settings = Settings(config, args, kwargs, positional)
        settings.add_url(settings.take_url())
        for name in ("host", "port", "username", "password", "db"):
            settings.add(name, f"CACHE_REDIS_{name.upper()}")
        return cls(*args, **settings.checked())

    def __repr__(self) -> str:
        prefix = "callable" if callable(self.key_prefix) else repr(self.key_prefix)
        return f"<{type(self).__name__} {self._place} prefix={prefix}>"


class RedisSentinelCache(RedisCache):
    """Entries in the Redis server that Sentinels call the master.

    After a failover the next calls find the new master; until there is one they fail. Everything
    is read from the master, since a replica that lags behind would bring back for a moment what
    was deleted.

    Args:
        sentinels: Where the Sentinels are: ``"host:port,host:port"``, or pairs;
            ``127.0.0.1:26379`` by default.
        master: What they call the master.
        password: The servers' password.
        db: Which of their databases.
        default_timeout: As in :class:`RedisCache`.
        key_prefix: As in :class:`RedisCache`.
        ignore_delete_many_errors: As in :class:`RedisCache`.
        read_from_replicas: Whether to read from replicas all the same, where there are some.
        allow_flush: As in :class:`RedisCache`.
        breaker_threshold: As in :class:`RedisCache`.
        breaker_cooldown: As in :class:`RedisCache`.
        options: Further options of the connections to the servers; those that begin with
            ``sentinel_`` are for the connections to the Sentinels: ``sentinel_password``,
            ``sentinel_ssl``, ...

    Raises:
        BackendImportError: If redis-py is missing.
        ConfigurationError: If the options cannot be used.
    """

    def __init__(
        self,
        sentinels: Any = None,
        master: str = "mymaster",
        password: str | None = None,
        db: int = 0,
        default_timeout: float = 300,
        key_prefix: str | Callable[[], str] | None = "",
        ignore_delete_many_errors: bool = False,
        *,
        read_from_replicas: bool = False,
        allow_flush: bool = False,
        breaker_threshold: int = 3,
        breaker_cooldown: float = 1.0,
        **options: Any,
    ) -> None:
        redis = require_redis(type(self).__name__)
        default = [("127.0.0.1", _SENTINEL_PORT)]
        found = addresses(sentinels or default, "CACHE_REDIS_SENTINELS", _SENTINEL_PORT)
        of_sentinels = dict(options.pop("sentinel_kwargs", None) or {})
        for option in [name for name in options if name.startswith("sentinel_")]:
            of_sentinels[option.removeprefix("sentinel_")] = options.pop(option)
        manager = make_sentinel(
            redis, found, {"password": password or None, "db": db, **options}, of_sentinels
        )
        writer = manager.master_for(master)
        super().__init__(
            writer,
            default_timeout=default_timeout,
            key_prefix=key_prefix,
            ignore_delete_many_errors=ignore_delete_many_errors,
            allow_flush=allow_flush,
            breaker_threshold=breaker_threshold,
            breaker_cooldown=breaker_cooldown,
        )
        reader = manager.slave_for(master) if read_from_replicas else writer
        places = ", ".join(f"{host}:{port}" for host, port in found)
        place = f"{master} of the Sentinels {places}"
        self._use(writer, reader, place, not retries_itself(options))

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application. ``CACHE_OPTIONS`` wins over every other key."""
        require_redis(cls.__name__)
        positional = ("sentinels", "master", "password", "db", "default_timeout", "key_prefix")
        settings = Settings(config, args, kwargs, positional)
        settings.add("sentinels", "CACHE_REDIS_SENTINELS")
        settings.add("master", "CACHE_REDIS_SENTINEL_MASTER")
        for name in ("username", "password", "db", "sentinel_username", "sentinel_password"):
            settings.add(name, f"CACHE_REDIS_{name.upper()}")
        settings.warn_unread("CACHE_REDIS_URL", "CACHE_REDIS_HOST", "CACHE_REDIS_PORT")
        return cls(*args, **settings.checked())


class RedisClusterCache(ManyServers, RedisCache):
    """Entries in a Redis Cluster, each key on the node that has its slot.

    Operations on several keys take one round trip to each node concerned, all at once. Each node
    has a breaker of its own: while one is down calls for its keys fail, and others go on. The
    cluster is connected to when it is needed first.

    Args:
        cluster: Some of its nodes, ``"host:port,host:port"`` or pairs, from which the others are
            learnt; or a client that is ready to be used (a :class:`redis.RedisCluster`).
        password: The nodes' password.
        default_timeout: As in :class:`RedisCache`.
        key_prefix: As in :class:`RedisCache`.
        ignore_delete_many_errors: Whether ``delete_many`` returns what it could delete where
            a node is down, instead of raising.
        redis_url: The URL of a node, instead of ``cluster``.
        allow_flush: As in :class:`RedisCache`.
        breaker_threshold: As in :class:`RedisCache`.
        breaker_cooldown: As in :class:`RedisCache`.
        options: Further options of :class:`redis.RedisCluster`: ``username``, ``ssl``,
            ``read_from_replicas``, ``address_remap``, ...

    Raises:
        BackendImportError: If redis-py is missing.
        ConfigurationError: If the options, or the client, cannot be used.
    """

    def __init__(
        self,
        cluster: Any = "",
        password: str | None = "",
        default_timeout: float = 300,
        key_prefix: str | Callable[[], str] | None = "",
        ignore_delete_many_errors: bool = False,
        *,
        redis_url: str | None = None,
        allow_flush: bool = False,
        breaker_threshold: int = 3,
        breaker_cooldown: float = 1.0,
        **options: Any,
    ) -> None:
        redis = require_redis(type(self).__name__)
        # Not that of RedisCache, which makes the client of one server.
        RedisBackend.__init__(
            self,
            default_timeout,
            key_prefix,
            ignore_delete_many_errors,
            allow_flush,
            breaker_threshold,
            breaker_cooldown,
        )
        from .redisnodes import Nodes

        given = {"password": password or None, **options}
        if hasattr(cluster, "get_primaries"):
            client: Any = check_ready(cluster, type(self).__name__)
            warn_unused({"redis_url": redis_url, **given}, {"redis_url": None, "password": None})
            connect, self._place = lambda: client, "client"
        else:
            nodes, given = cluster_nodes(cluster, redis_url, given)
            check_cluster_options(redis, given)
            self._place = ", ".join(f"{host}:{port}" for host, port in nodes)
            connect = partial(make_cluster, redis, nodes, given)
        breaker = self._new_breaker(f"the Redis Cluster {self._place}")
        self._nodes = Nodes(connect, breaker, self._new_breaker)
        self.breakers = self._nodes.breakers

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application.

        ``CACHE_OPTIONS`` wins over every other key, and ``CACHE_REDIS_URL`` over
        ``CACHE_REDIS_CLUSTER`` and the like.
        """
        require_redis(cls.__name__)
        positional = ("cluster", "password", "default_timeout", "key_prefix")
        settings = Settings(config, args, kwargs, positional)
        settings.add_cluster_url(settings.take_url("redis_url"))
        settings.add("cluster", "CACHE_REDIS_CLUSTER")
        for name in ("username", "password"):
            settings.add(name, f"CACHE_REDIS_{name.upper()}")
        settings.warn_unread("CACHE_REDIS_HOST", "CACHE_REDIS_PORT", "CACHE_REDIS_DB")
        return cls(*args, **settings.checked())
