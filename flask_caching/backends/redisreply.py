"""What Redis replies to a GET, read from the socket of a connection of redis-py's.

Only what nearly every GET is answered with, a value or nothing, in both of its protocols. What else
comes is left to redis-py, which knows all of it: an error, or what a server says unasked.
"""

from __future__ import annotations

import socket

from .replyreader import CHUNK, Garbled, Reader

__all__ = ["Refused", "fetch"]

#: Nothing, in the second version of the protocol and in the third.
_NOTHING = (b"$-1\r\n", b"_\r\n")


class Refused(Exception):
    """The reply is an error, which was read to its end."""


def fetch(opened: socket.socket, name: bytes) -> bytes | None:
    """Ask what a key holds.

    Raises:
        Refused: If the reply is an error.
        Garbled: If it is no reply to that.
        OSError: If the connection is lost, or the reply does not come in time.
    """
    opened.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name))
    data = opened.recv(CHUNK)
    begin = data.find(b"\n") + 1
    value = data[begin:-2]
    # Nearly always all of it is there.
    if data[:begin] == b"$%d\r\n" % len(value) and data.endswith(b"\r\n"):
        return value
    if data in _NOTHING:
        return None
    return _read(Reader(opened, data, opened.gettimeout()))


def _read(reader: Reader) -> bytes | None:
    """The reply in pieces, or one that is no value."""
    line = reader.line()
    value = None
    if line.startswith(b"$") and line[1:].isdigit():
        value = reader.block(int(line[1:]))
    elif line + b"\r\n" not in _NOTHING and not line.startswith(b"-"):
        raise Garbled(f"the server's reply to GET begins with {line[:20]!r}")
    reader.end()
    if line.startswith(b"-"):
        raise Refused
    return value
