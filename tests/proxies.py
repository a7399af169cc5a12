"""LyingProxy: stands between a client and a server, and does what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import uuid
from dataclasses import dataclass

from servers import HOST, free_port

__all__ = ["LyingProxy"]


@dataclass(frozen=True)
class _Conduct:
    """How replies are treated.

    Attributes:
        held: Whether they wait until this changes.
        delay_seconds: How long each piece waits.
        cut_after: Bytes of a connection's replies that pass before it is cut; None for all.
        instead: What is sent in place of each piece; None for the piece itself.
    """

    held: bool = False
    delay_seconds: float = 0.0
    cut_after: int | None = None
    instead: bytes | None = None


class LyingProxy:
    """A TCP proxy on a free port of 127.0.0.1, honest until it is told otherwise.

    What it is told holds from then on for connections that are open and for new ones. It may be
    told from any thread.

    Args:
        target: Host and port of the server.

    Attributes:
        host: Where to connect to.
        port: Where to connect to; it stays the same. A later proxy may get it again.
        prefix: For keys; no other proxy ever has it.
        accepted: How many connections there have been.
    """

    host = HOST

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        # No other connection takes it while this one refuses.
        self.port = free_port()
        self.prefix = f"{uuid.uuid4().hex}/"
        self.accepted = 0
        self._changed = threading.Condition()
        self._conduct = _Conduct()
        self._closed = False
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._listen()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    # What it can be told.

    def behave(self) -> None:
        """Pass everything on; replies that were held come now."""
        self._set(_Conduct())
        if self._listener is None:
            self._listen()

    def refuse(self) -> None:
        """Refuse new connections, and reset those that are open."""
        self._stop_listening()
        self.reset()

    def fall_silent(self) -> None:
        """Accept and never answer: replies are held back, also those of new connections."""
        self._set(_Conduct(held=True))

    def delay(self, seconds: float) -> None:
        """Pass each piece of a reply on later."""
        self._set(_Conduct(delay_seconds=seconds))

    def cut_after(self, count: int) -> None:
        """Reset each connection once ``count`` more bytes of its replies have passed."""
        self._set(_Conduct(cut_after=count))

    def babble(self, instead: bytes = b"\x00\xffgarbage\r\n") -> None:
        """Send this in place of each piece of a reply."""
        self._set(_Conduct(instead=instead))

    def reset(self) -> None:
        """Reset the connections that are open; new ones are welcome."""
        with self._changed:
            connections, self._open = self._open, set()
        for connection in connections:
            _reset(connection)

    def close(self) -> None:
        """Stop; nothing listens afterwards, and its threads end."""
        self._closed = True
        self.refuse()
        self._set(_Conduct())

    # How it does it.

    def _set(self, conduct: _Conduct) -> None:
        with self._changed:
            self._conduct = conduct
            self._changed.notify_all()

    def _listen(self) -> None:
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would leave a thread in accept(), and the port open with it.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._changed:
            self._open |= {client, server}
        forward = threading.Thread(target=self._forward, args=(client, server), daemon=True)
        forward.start()
        try:
            self._reply(server, client)
        finally:
            _reset(client)
            _reset(server)
            forward.join()
            with self._changed:
                self._open -= {client, server}

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _reply(self, server: socket.socket, client: socket.socket) -> None:
        """Pass replies on, as far as the conduct of the moment lets them."""
        conduct, passed = self._conduct, 0
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or not self._conduct.held)
                    if self._conduct.delay_seconds:
                        self._changed.wait(self._conduct.delay_seconds)
                    if conduct is not self._conduct:
                        conduct, passed = self._conduct, 0
                if conduct.instead is not None:
                    data = conduct.instead
                if conduct.cut_after is not None and passed + len(data) >= conduct.cut_after:
                    client.sendall(data[: conduct.cut_after - passed])
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
                passed += len(data)


def _reset(connection: socket.socket) -> None:
    """Close a connection so that the other side sees a reset, and readers here wake up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
