"""Servers that speak the binary protocol and want a login.

Imports python-binary-memcached, so it is imported when a backend is made and not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..breaker import Breaker
from .memcachebinary import FAILURES, BinaryConnection, Login
from .memcachegenerations import GenerationServers
from .memcachelink import Link, Pool, label
from .memcachering import Ring

__all__ = ["SASLServers", "make_client"]


class SASLServers(GenerationServers):
    """Servers that speak the binary protocol.

    Args:
        links: How to connect to each.
        login: Who logs in.
        new_breaker: Makes the breaker of a server, of its name and what counts as a failure.
        limit: Connections to each at most; 0 for no limit.
        wait: Whether to wait for one of them, as long as for a reply.
    """

    def __init__(
        self,
        links: Sequence[Link],
        login: Login,
        new_breaker: Callable[[str, tuple[type[Exception], ...]], Breaker],
        limit: int = 0,
        wait: bool = True,
    ) -> None:
        labels = [label(link.address) for link in links]
        pools = [
            Pool(
                partial(BinaryConnection, link, login),
                new_breaker(f"memcached at {name}", FAILURES),
                limit,
                link.timeout if wait else 0.0,
            )
            for link, name in zip(links, labels, strict=True)
        ]
        super().__init__(pools, labels)

    def item_limit(self, name: bytes) -> int | None:
        told = self.pool(name).lend(BinaryConnection.stats, True, b"settings")
        limit = told.get(b"item_size_max", b"")
        return int(limit) if limit.isdigit() else None


def make_client(links: Sequence[Link], login: Login) -> Any:
    """A client of python-binary-memcached's for the same servers, with connections of its own.

    Args:
        links: How to connect to each.
        login: Who logs in.
    """
    bmemcached: Any = importlib.import_module("bmemcached")
    labels = [label(link.address) for link in links]
    options = {"socket_timeout": links[0].timeout, "tls_context": links[0].tls_context}
    who = (login.username or None, login.password or None)
    if len(labels) == 1:
        return bmemcached.Client(labels, *who, **options)
    ring = Ring(labels)

    class Client(bmemcached.DistributedClient):  # type: ignore[misc]
        """One that spreads names as this package does."""

        def _get_server(self, key: str | bytes) -> Any:
            name = key.encode() if isinstance(key, str) else key
            return list(self.servers)[ring.index(name)]

    return Client(labels, *who, **options)
