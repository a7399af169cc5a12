"""Connections to one memcached server: how they are opened, lent and thrown away.

Whatever is spoken on them. A connection is lent for one exchange, a batch of requests and all of
their replies, and is used again only if every byte of the replies was read and made sense. After
anything else (a time-out, a cut reply, a killed greenlet) it is closed, so that no one ever reads
the reply to another one's request.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..breaker import Breaker
from ..errors import BackendError

__all__ = ["LOST", "Address", "Connection", "Link", "Part", "Pool", "ask_all", "label"]

#: Host and port, or the path of a UNIX socket.
Address: TypeAlias = tuple[str, int] | str

#: What breaks a connection that was open, as opposed to one that could not be opened.
LOST = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def label(address: Address) -> str:
    """An address as text."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, repr=False)
class Link:
    """How a server is connected to. The names are those of pymemcache's options.

    Attributes:
        address: Where it is.
        connect_timeout: Seconds to connect, to each address that a host's name stands for;
            ``None`` for as long as the system waits.
        timeout: Seconds to send, and to wait for more of a reply; ``None`` for ever.
        no_delay: Whether small packets are sent at once.
        socket_keepalive: ``True``, or a ``pymemcache.KeepaliveOpts``.
        tls_context: Encrypts the connection.
        socket_module: ``gevent.socket``, say.
    """

    address: Address
    connect_timeout: float | None = 0.3
    timeout: float | None = 0.5
    no_delay: bool = True
    socket_keepalive: Any = None
    tls_context: Any = None
    socket_module: Any = socket

    def open(self) -> socket.socket:
        """A new connection.

        Raises:
            OSError: If there is none to be had.
        """
        module = self.socket_module
        if isinstance(self.address, str):
            opened = module.socket(module.AF_UNIX, module.SOCK_STREAM)
        else:
            # Of pymemcache's own only the first address of a name is tried.
            opened = module.create_connection(self.address, self.connect_timeout)
        try:
            if isinstance(self.address, str):
                opened.settimeout(self.connect_timeout)
                opened.connect(self.address)
            else:
                self._tune(opened)
                if self.tls_context is not None:
                    opened = self.tls_context.wrap_socket(opened, server_hostname=self.address[0])
            opened.settimeout(self.timeout)
        except BaseException:
            opened.close()
            raise
        made: socket.socket = opened
        return made

    def _tune(self, opened: socket.socket) -> None:
        if self.no_delay:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.socket_keepalive:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name in ("idle", "intvl", "cnt"):
                value = getattr(self.socket_keepalive, name, None)
                option = getattr(socket, f"TCP_KEEP{name.upper()}", None)
                if value is not None and option is not None:
                    opened.setsockopt(socket.IPPROTO_TCP, option, value)


class Connection(Protocol):
    """A connection that speaks memcached's text or binary protocol."""

    def send(self, ops: Sequence[Any]) -> None:
        """Send requests, connecting first where that has not been done."""
        ...

    def receive(self, ops: Sequence[Any]) -> list[Any]:
        """The replies to all of them; a refusal is an exception among them."""
        ...

    def fileno(self) -> int:
        """The socket's number; -1 if it is not open."""
        ...

    def close(self) -> None:
        """Close the socket. Nothing if there is none."""
        ...


class Pool:
    """The connections to one server that nobody uses at this moment, behind its breaker.

    Args:
        make: Makes a connection, without connecting.
        breaker: Around every exchange.
        limit: Connections at most; 0 for as many as there are threads that ask.
        patience: Seconds to wait for one where all are in use; ``None`` for ever.

    Attributes:
        breaker: As given.
        lacks: What the server is known not to understand.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        breaker: Breaker,
        limit: int = 0,
        patience: float | None = 0.0,
    ) -> None:
        self.breaker = breaker
        self.lacks: set[str] = set()
        self._make = make
        self._limit = limit
        self._patience = patience
        # The one that was used last is used first, so that those of a busy moment grow old.
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(limit) if limit else None
        _all.add(self)

    def ask(
        self, ops: Sequence[Any], again: bool = True, meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        """Send a batch of requests, and read the replies.

        Args:
            ops: What to ask.
            again: Whether to ask once more if the connection turns out to be lost.
            meanwhile: Called after sending, before reading. Must not raise.

        Raises:
            OSError: If the server cannot be talked to.
            BackendUnavailable: If it could not be a moment ago.
        """
        replies: list[Any] = self.lend(_exchange, again, ops, meanwhile)
        return replies

    def lend(self, exchange: Callable[..., Any], again: bool, *args: Any) -> Any:
        """Lend ``exchange(connection, *args)`` a connection.

        Args:
            exchange: Sends, and reads the replies to their end.
            again: Whether it may be called once more if the connection turns out to be lost.
            args: Its further arguments.
        """
        free = self._free
        if free is None:
            return self.breaker.call(self._run, exchange, again, args)
        if not free.acquire(timeout=self._patience):
            raise BackendError(
                f"all {self._limit} connections to {self.breaker.name} are in use; raise the "
                "option pool_size, or leave it out for as many as are needed"
            )
        try:
            return self.breaker.call(self._run, exchange, again, args)
        finally:
            free.release()

    def _run(self, exchange: Callable[..., Any], again: bool, args: tuple[Any, ...]) -> Any:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._make()
        if not again:
            connection = self._quiet(connection)
        try:
            answer = exchange(connection, *args)
        except BaseException as error:
            connection.close()
            if not (again and isinstance(error, LOST)):
                raise
        else:
            self._idle.append(connection)
            return answer
        # The others are as old, if the server was started anew.
        self.close()
        return self._run(exchange, False, args)

    def _quiet(self, connection: Connection) -> Connection:
        """A connection that is not known to be gone, for what may not be asked twice."""
        while _has_news(connection):
            connection.close()
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._make()
        return connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close()

    def after_fork(self) -> None:
        """Begin with no connections: those that are there are the parent's.

        Closing them here closes nothing there.
        """
        self.close()
        if self._limit:
            self._free = threading.BoundedSemaphore(self._limit)


def _exchange(
    connection: Connection, ops: Sequence[Any], meanwhile: Callable[[], None] | None
) -> list[Any]:
    connection.send(ops)
    if meanwhile is not None:
        meanwhile()
    return connection.receive(ops)


def _has_news(connection: Connection) -> bool:
    """Whether there is something to be read where nothing was asked: the end, mostly."""
    number = connection.fileno()
    if number < 0:
        return False
    if not hasattr(select, "poll"):
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


class Part:
    """What one of several servers is asked.

    Args:
        pool: The server's.
        ops: What to ask it.
        again: As in :meth:`Pool.ask`.

    Attributes:
        replies: What it said, once it was asked.
        error: Why it said nothing.
    """

    __slots__ = ("again", "error", "ops", "pool", "replies")

    def __init__(self, pool: Pool, ops: Sequence[Any], again: bool = True) -> None:
        self.pool = pool
        self.ops = ops
        self.again = again
        self.replies: list[Any] = []
        self.error: Exception | None = None


def ask_all(parts: Sequence[Part]) -> None:
    """Ask several servers at once: all requests are sent before the first reply is read."""
    if len(parts) == 1:
        _ask(parts[0])
        return
    # In the same order by all threads: who holds a connection to one server may have to wait for
    # one to the next.
    waiting = sorted(parts, key=lambda part: id(part.pool))

    def ask_next() -> None:
        while waiting:
            part = waiting.pop()
            # The others are asked within, unless this one fails before.
            _ask(part, ask_next if waiting else None)

    ask_next()


def _ask(part: Part, meanwhile: Callable[[], None] | None = None) -> None:
    try:
        part.replies = part.pool.ask(part.ops, part.again, meanwhile)
    except Exception as error:
        part.error = error


# A forked child must not write to the sockets of its parent.

_all: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_all):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
