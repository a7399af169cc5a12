"""The server behind a backend, and how an operation reaches it: for whoever watches."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Call", "Peer"]


class Peer(NamedTuple):
    """The server that a backend asks; never with credentials.

    Attributes:
        system: What it is: ``redis`` or ``memcached``.
        address: Its name or address, or the path of its socket; ``None`` where there are several,
            or where it is not known before it is asked for (a master of Sentinels).
        port: ``None`` likewise, and for a socket.
        namespace: The number of the database; ``None`` where there are none.
    """

    system: str
    address: str | None = None
    port: int | None = None
    namespace: str | None = None


class Call(NamedTuple):
    """How an operation reaches the server.

    Attributes:
        command: What the server is asked, in its own words: ``GET``, ``PIPELINE SET``. Of
            several the one that matters most.
        through: The functions of the client library that it goes through; empty where it goes
            over a connection, past all of them.
        may_turn: Whether, going past them, it may yet go through them for a part of the way: a
            key may have moved to another node.
    """

    command: str
    through: tuple[Any, ...] = ()
    may_turn: bool = False
