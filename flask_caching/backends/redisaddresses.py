"""What an application writes to say where Redis is: addresses, URLs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError
from ..parsing import describe

__all__ = ["Address", "addresses", "cluster_nodes", "options_of_url"]

Address: TypeAlias = tuple[str, int]

#: Schemes of URLs, and what redis-py calls them.
_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}


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
