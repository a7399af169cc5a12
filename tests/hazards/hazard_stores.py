"""The stores that several processes share: how a cache is configured for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redis_groups import SentinelSet
from servers import SaslMemcachedServer

__all__ = ["FIXTURES", "NETWORK", "SHARED", "Address", "config_at", "config_of"]

Address = tuple[str, int]

#: The fixture with the server of each backend; none for files.
FIXTURES = {
    "FileSystemCache": "",
    "RedisCache": "redis_server",
    "RedisSentinelCache": "sentinel_set",
    "RedisClusterCache": "redis_cluster_nodes",
    "MemcachedCache": "memcached_server",
    "MemcachedCacheOfThree": "memcached_servers",
    "SASLMemcachedCache": "sasl_memcached",
    "SpreadSASLMemcachedCache": "sasl_memcached",
}
SHARED = tuple(FIXTURES)
#: One of each kind of client that talks to a server.
NETWORK = (
    "RedisCache",
    "RedisSentinelCache",
    "RedisClusterCache",
    "MemcachedCache",
    "SASLMemcachedCache",
)


def config_of(store: str, server: Any, folder: Path) -> dict[str, Any]:
    """The configuration for a store of :data:`SHARED`.

    Args:
        store: Its name.
        server: What its fixture gave.
        folder: For files.
    """
    if store == "FileSystemCache":
        return {"CACHE_TYPE": store, "CACHE_DIR": str(folder / "cache")}
    if isinstance(server, SentinelSet):
        return config_at(store, *server.sentinels)
    servers = server if isinstance(server, list) else [server]
    return config_at(store, *[each.address for each in servers])


def config_at(store: str, *addresses: Address) -> dict[str, Any]:
    """The configuration for servers that are at these addresses, or seem to be."""
    texts = [f"{host}:{port}" for host, port in addresses]
    if store == "RedisCache":
        ((host, port),) = addresses
        return {"CACHE_TYPE": store, "CACHE_REDIS_HOST": host, "CACHE_REDIS_PORT": port}
    if store == "RedisSentinelCache":
        return {
            "CACHE_TYPE": store,
            "CACHE_REDIS_SENTINELS": list(addresses),
            "CACHE_REDIS_SENTINEL_MASTER": SentinelSet.master_name,
        }
    if store == "RedisClusterCache":
        return {"CACHE_TYPE": store, "CACHE_REDIS_CLUSTER": ",".join(texts)}
    config: dict[str, Any] = {
        "CACHE_TYPE": store.removesuffix("OfThree"),
        "CACHE_MEMCACHED_SERVERS": texts,
    }
    if "SASL" in store:
        config["CACHE_MEMCACHED_USERNAME"] = SaslMemcachedServer.username
        config["CACHE_MEMCACHED_PASSWORD"] = SaslMemcachedServer.password
    return config
