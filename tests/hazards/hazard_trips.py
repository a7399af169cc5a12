"""How often a client and its server take turns, and which commands a Redis server was given."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from servers import HOST, RedisServer

__all__ = ["TripCounter", "commands"]


class TripCounter:
    """A proxy that counts round trips: how often a client begins to speak after its server did.

    Attributes:
        address: Where to connect to.
        trips: How many there were so far.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.trips = 0
        self._target = target
        self._speaks: dict[socket.socket, bool] = {}
        self._others: dict[socket.socket, socket.socket] = {}
        self._listener = socket.create_server((HOST, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over, self._wake = socket.socketpair()
        self._selector.register(self._over, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._wake.send(b".")
        self._thread.join(5)
        for each in (self._listener, self._over, self._wake, *self._others):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._over:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._target)
        self._others |= {client: server, server: client}
        self._speaks[client] = False
        for each in (client, server):
            self._selector.register(each, selectors.EVENT_READ)

    def _pass_on(self, source: Any) -> None:
        other = self._others[source]
        data = source.recv(65536)
        if not data:
            for each in (source, other):
                self._selector.unregister(each)
                self._others.pop(each)
                self._speaks.pop(each, None)
                each.close()
            return
        if source in self._speaks:
            self.trips += not self._speaks[source]
            self._speaks[source] = True
        else:
            self._speaks[other] = False
        other.sendall(data)


@contextmanager
def commands(server: RedisServer) -> Iterator[list[str]]:
    """The commands that a server is given meanwhile, in order, with their arguments (MONITOR)."""
    given: list[str] = []
    with socket.create_connection(server.address, timeout=5) as monitor:
        stream = monitor.makefile("rb")
        monitor.sendall(b"MONITOR\r\n")
        assert stream.readline() == b"+OK\r\n"
        yield given
        with socket.create_connection(server.address, timeout=5) as last:
            last.sendall(b"ECHO that-is-all\r\n")
            for line in stream:
                # +1700000000.123456 [0 127.0.0.1:4242] "GET" "key"
                text = line.decode("utf-8", "replace").split("] ", 1)[1].strip()
                if text == '"ECHO" "that-is-all"':
                    return
                given.append(text)
