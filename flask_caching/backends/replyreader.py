"""Reading a server's reply from a socket, to its last byte and no further."""

from __future__ import annotations

import socket
import time

__all__ = ["CHUNK", "Garbled", "Reader"]

#: Bytes that are read at once. From 128 kB on, the allocator would get fresh memory from the system
#: and give it back each time, and a reply of 25 kB would take twice as long.
CHUNK = 1 << 16
#: Bytes of a line at most, beyond which it is none.
_LONGEST_LINE = 1 << 13
#: A reply that trickles in may take so many time-outs in all.
_TIMEOUTS = 10


class Garbled(ConnectionError):
    """What the server sent is no reply to what it was asked."""


class Reader:
    """Reads one reply, or several that belong together.

    Args:
        opened: The socket.
        data: What was read already.
        timeout: Seconds that the socket waits for more; ``None`` for ever.
    """

    def __init__(self, opened: socket.socket, data: bytes, timeout: float | None) -> None:
        self._socket = opened
        self._data = data
        self._at = 0
        self._timeout = timeout
        self._deadline = 0.0

    def line(self) -> bytes:
        """The next line, without its end.

        Raises:
            Garbled: If it has none.
        """
        while True:
            end = self._data.find(b"\r\n", self._at)
            if end >= 0:
                line = self._data[self._at : end]
                self._at = end + 2
                return line
            if len(self._data) - self._at > _LONGEST_LINE:
                raise Garbled("the server's reply has a line without end")
            self._data = self._data[self._at :] + self._more()
            self._at = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        if end <= len(self._data):
            taken = self._data[self._at : end]
            self._at = end
            return taken
        # Views: a large value is copied once, when its parts are joined.
        parts = [memoryview(self._data)[self._at :]]
        missing = size - len(parts[0])
        while missing > 0:
            data = self._more()
            parts.append(memoryview(data)[:missing])
            self._data, self._at = data, len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def block(self, size: int) -> bytes:
        """The next ``size`` bytes, which the end of a line has to follow.

        Raises:
            Garbled: If it does not.
        """
        end = self._at + size
        if self._data[end : end + 2] == b"\r\n":
            block = self._data[self._at : end]
            self._at = end + 2
            return block
        # Not all of it is here yet, or it is another size.
        block = self.take(size)
        if self.take(2) != b"\r\n":
            raise Garbled("a value in the server's reply is longer than it said")
        return block

    def end(self) -> None:
        """See that all was read.

        Raises:
            Garbled: If it was not.
        """
        if self._at != len(self._data):
            raise Garbled("the server sent more than a reply to what it was asked")

    def _more(self) -> bytes:
        if self._timeout is not None:
            now = time.monotonic()
            self._deadline = self._deadline or now + _TIMEOUTS * self._timeout
            if now > self._deadline:
                raise TimeoutError("the server's reply took too long to arrive")
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError("the server closed the connection before its reply ended")
        return data
