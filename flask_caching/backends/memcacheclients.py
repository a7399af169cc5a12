"""Servers that speak the text protocol, from links or from a ready client of pymemcache's.

Imports pymemcache, so it is imported when a backend is made and not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

from ..breaker import Breaker
from ..errors import ConfigurationError
from ..parsing import describe
from .memcachedump import Crawler
from .memcachekeys import Space
from .memcachelink import Link, Pool, label
from .memcacheops import Fetch, Store
from .memcachering import Ring
from .memcacheservers import NamedOp, Servers
from .memcachetext import TextConnection

__all__ = ["Ready", "TextServers", "look_into", "make_client"]

_base: Any = importlib.import_module("pymemcache.client.base")
_hash: Any = importlib.import_module("pymemcache.client.hash")
_exceptions: Any = importlib.import_module("pymemcache.exceptions")

#: What pymemcache has for no limit.
_NO_LIMIT = 2**31


class TextServers(Servers):
    """Servers that speak the text protocol.

    Args:
        links: How to connect to each.
        new_breaker: Makes the breaker of a server, of its name.
        limit: Connections to each at most; 0 for no limit.
        wait: Whether to wait for one of them, as long as for a reply.
        place: Which server has a name, if not the one that consistent hashing says.

    Attributes:
        crawlers: Those of the servers.
    """

    def __init__(
        self,
        links: Sequence[Link],
        new_breaker: Callable[[str], Breaker],
        limit: int = 0,
        wait: bool = True,
        place: Callable[[bytes], int] | None = None,
    ) -> None:
        labels = [label(link.address) for link in links]
        pools = [
            Pool(
                partial(TextConnection, link),
                new_breaker(f"memcached at {name}"),
                limit,
                link.timeout if wait else 0.0,
            )
            for link, name in zip(links, labels, strict=True)
        ]
        super().__init__(pools, labels, place)
        self.crawlers = [Crawler(pool, link) for pool, link in zip(pools, links, strict=True)]

    def fetch(self, space: Space, name: bytes) -> bytes | None:
        data: bytes | None = self.pool(name).lend(TextConnection.fetch, True, name)
        return data

    def ask(self, space: Space, op: NamedOp, again: bool = True) -> Any:
        return self.pool(op.name).lend(TextConnection.ask, again, op)

    def add_and_fetch(
        self, space: Space, additions: Sequence[Store], names: Sequence[bytes]
    ) -> list[bytes | None]:
        if additions or not names or len(self.pools) > 1:
            return super().add_and_fetch(space, additions, names)
        found: list[bytes | None] = self.pools[0].lend(TextConnection.ask, True, Fetch(names))
        return found

    def item_limit(self, name: bytes) -> int | None:
        try:
            told = self.pool(name).lend(TextConnection.stats, True, b"settings")
        except _exceptions.MemcacheClientError:
            # A proxy, perhaps. It will see what it does with the value.
            return None
        limit = told.get(b"item_size_max", b"")
        return int(limit) if limit.isdigit() else None


class Ready(NamedTuple):
    """What a ready client says of the servers.

    Attributes:
        links: How to connect to each.
        limit: Connections to each at most; 0 for no limit.
        place: Which of them has a name, if the client has an opinion.
    """

    links: list[Link]
    limit: int
    place: Callable[[bytes], int] | None


def look_into(client: Any, name: str) -> Ready:
    """Find out what a client is connected to, and how.

    Its settings are what is used of it, its time-outs for example. Its connections are left to
    whoever made it, since not all kinds of clients can share them between threads.

    Args:
        client: What the application gave instead of addresses.
        name: The backend's class, for messages.

    Raises:
        ConfigurationError: If it is no client of pymemcache's, or one that cannot be used.
    """
    if isinstance(client, _hash.HashClient):
        nodes = list(client.clients)
        if not nodes:
            raise ConfigurationError(f"{name} was given a HashClient without servers.")
        found = [look_into(client.clients[node], name) for node in nodes]
        links = [link for ready in found for link in ready.links]
        # A copy: the client would give the names of a server that fails to others.
        return Ready(links, found[0].limit, partial(_place, deepcopy(client.hasher), nodes))
    if not isinstance(client, (_base.Client, _base.PooledClient)):
        raise ConfigurationError(
            f"{name} was given {describe(client)}, which is neither addresses nor a client of "
            'pymemcache. Give CACHE_MEMCACHED_SERVERS a list of "host:port", or a '
            "pymemcache.PooledClient or pymemcache.HashClient."
        )
    if client.key_prefix:
        raise ConfigurationError(
            f"{name} was given a pymemcache client with a key_prefix of its own; leave it out and "
            "set CACHE_KEY_PREFIX."
        )
    settings = {
        item.name: getattr(client, item.name) for item in fields(Link) if item.name != "address"
    }
    pool = getattr(client, "client_pool", None)
    limit = pool.max_size if pool is not None else 0
    return Ready([Link(client.server, **settings)], limit if limit < _NO_LIMIT else 0, None)


def _place(hasher: Any, nodes: Sequence[str], name: bytes) -> int:
    # As the client would be asked by an application: in text.
    return nodes.index(hasher.get_node(name.decode("ascii")))


def make_client(links: Sequence[Link]) -> Any:
    """A client of pymemcache's for the same servers, with connections of its own.

    Args:
        links: How to connect to each.
    """
    options = {
        item.name: getattr(links[0], item.name) for item in fields(Link) if item.name != "address"
    }
    if options["socket_keepalive"] is True:
        options["socket_keepalive"] = _base.KeepaliveOpts()
    if len(links) == 1:
        return _base.PooledClient(links[0].address, **options)
    servers = [link.address for link in links]
    return _hash.HashClient(servers, hasher=_Hasher, use_pooling=True, **options)


class _Hasher:
    """Our way of spreading names, for a ``HashClient``. A server that fails keeps its names."""

    def __init__(self) -> None:
        self._nodes: list[str] = []
        self._ring: Ring | None = None

    def add_node(self, node: str) -> None:
        if node not in self._nodes:
            self._nodes.append(node)
            self._ring = Ring([label(_base.normalize_server_spec(node)) for node in self._nodes])

    def remove_node(self, node: str) -> None:
        """Leave it where it is."""

    def get_node(self, key: str | bytes) -> str | None:
        name = key.encode() if isinstance(key, str) else key
        return self._nodes[self._ring.index(name)] if self._ring is not None else None
