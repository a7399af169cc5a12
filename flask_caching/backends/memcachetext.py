"""memcached's text protocol, on a connection.

The methods of pymemcache's clients send one command and wait for its reply. Here several go out
together and all replies are read, each to its last byte, which is what makes one round trip of
"add this unless it is there, and read those". What is left of pymemcache are its options and its
exceptions. It is imported when a backend is made and not before.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Sequence
from typing import Any

from .memcachelink import Link
from .memcacheops import (
    LARGEST_VALUE,
    NOT_A_NUMBER,
    UNKNOWN,
    Append,
    Count,
    Exists,
    Fetch,
    FetchOne,
    Found,
    Left,
    Op,
    Remove,
    Store,
    Touch,
    client_flags,
    too_large,
)
from .replyreader import CHUNK, Garbled, Reader

__all__ = ["TextConnection"]

_exceptions: Any = importlib.import_module("pymemcache.exceptions")

#: Before what is marked as an entry (see ``client_flags``), and behind the only value.
_ENTRY = b"VALUE %b 1 %d\r\n"
_END = b"\r\nEND\r\n"


class TextConnection:
    """A connection to one server.

    Args:
        link: How it is opened.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """The socket, opened if it was not."""
        if self._socket is None:
            self._socket = self._link.open()
        return self._socket

    def send(self, ops: Sequence[Op]) -> None:
        """Send requests, connecting first where that has not been done."""
        self.open().sendall(b"".join([part for op in ops for part in _REQUESTS[type(op)](op)]))

    def receive(self, ops: Sequence[Op]) -> list[Any]:
        """The replies to all of them."""
        reader = Reader(self.open(), b"", self._link.timeout)
        replies = [_READERS[type(op)](op, reader) for op in ops]
        reader.end()
        return replies

    def ask(self, op: Op) -> Any:
        """The reply to one request, without the detours of several."""
        opened = self._socket or self.open()
        opened.sendall(b"".join(_REQUESTS[type(op)](op)))
        reader = Reader(opened, b"", self._link.timeout)
        reply = _READERS[type(op)](op, reader)
        reader.end()
        return reply

    def fetch(self, name: bytes) -> bytes | None:
        """What one name holds: the most frequent request, without detours."""
        opened = self._socket or self.open()
        opened.sendall(b"get %b\r\n" % name)
        data = opened.recv(CHUNK)
        if data == b"END\r\n":
            return None
        begin = data.find(b"\r\n") + 2
        value = data[begin : -len(_END)]
        if data[:begin] == _ENTRY % (name, len(value)) and data.endswith(_END):
            return value
        reader = Reader(opened, data, self._link.timeout)
        found = _fetched(Fetch((name,)), reader)[0]
        reader.end()
        return found

    def stats(self, *arguments: bytes) -> dict[bytes, bytes]:
        """What the server tells of itself."""
        opened = self.open()
        opened.sendall(b" ".join((b"stats", *arguments)) + b"\r\n")
        reader, told = Reader(opened, b"", self._link.timeout), dict[bytes, bytes]()
        while (line := reader.line()) != b"END":
            words = line.split(b" ", 2)
            if len(words) != 3 or words[0] != b"STAT":
                raise _strange(line)
            told[words[1]] = words[2]
        reader.end()
        return told

    def fileno(self) -> int:
        """The socket's number; -1 if it is not open."""
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        """Close the socket. Nothing if there is none."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def __del__(self) -> None:
        self.close()


# What each request is in the protocol's words: in parts, so that a large value is copied once,
# when all of them are joined.


def _store(op: Store) -> tuple[bytes, ...]:
    name, data, expires, how, cas = op
    fields = (name, client_flags(data), expires, len(data))
    if how == "cas":
        return (b"cas %b %d %d %d %d\r\n" % (*fields, cas), data, b"\r\n")
    return (_STORES[how] % fields, data, b"\r\n")


_STORES = {how: b"%b %%b %%d %%d %%d\r\n" % how.encode() for how in ("set", "add")}


def _remove(op: Remove) -> tuple[bytes, ...]:
    if op.cas:
        # In place of it something that has expired already.
        return (b"cas %b 0 -1 0 %d\r\n\r\n" % op,)
    return (b"delete %b\r\n" % op.name,)


_REQUESTS: dict[type[Any], Callable[[Any], tuple[bytes, ...]]] = {
    Fetch: lambda op: (b"get %b\r\n" % b" ".join(op.names),),
    FetchOne: lambda op: (b"gets %b\r\n" % op,),
    Exists: lambda op: (b"mg %b\r\n" % op,),
    Left: lambda op: (b"mg %b t\r\n" % op,),
    Store: _store,
    Remove: _remove,
    Append: lambda op: (b"append %b 0 0 %d\r\n%b\r\n" % (op.name, len(op.data), op.data),),
    Count: lambda op: (b"incr %b %d\r\n" % op,),
    Touch: lambda op: (b"touch %b %d\r\n" % op,),
}


# How the reply to each is read.


def _fetched(op: Fetch, reader: Reader) -> list[bytes | None]:
    found: dict[bytes, bytes] = {}
    while (line := reader.line()) != b"END":
        words = line.split(b" ")
        if len(words) != 4 or words[0] != b"VALUE":
            raise _strange(line)
        found[words[1]] = reader.block(_size(words[3], line))
    if not found.keys() <= set(op.names):
        raise Garbled("memcached's reply has names that it was not asked for")
    return [found.get(name) for name in op.names]


def _fetched_one(op: FetchOne, reader: Reader) -> Found | None:
    line = reader.line()
    if line == b"END":
        return None
    words = line.split(b" ")
    if len(words) != 5 or words[0] != b"VALUE" or words[1] != op.name:
        raise _strange(line)
    found = Found(reader.block(_size(words[3], line)), _number(words[4], line))
    if reader.line() != b"END":
        raise Garbled("memcached's reply has names that it was not asked for")
    return found


def _exists(op: Exists, reader: Reader) -> Any:
    return _meta(reader.line(), lambda flags: True, False)


def _left(op: Left, reader: Reader) -> Any:
    line = reader.line()

    def seconds(flags: list[bytes]) -> int:
        if flags == [b"t-1"]:
            return 0
        if len(flags) != 1 or not flags[0].startswith(b"t"):
            raise _strange(line)
        return max(_number(flags[0][1:], line), 1)

    return _meta(line, seconds, None)


def _meta(line: bytes, there: Callable[[list[bytes]], Any], missing: Any) -> Any:
    """What the reply to a meta command says."""
    if line == b"EN":
        return missing
    if line == b"ERROR":
        # Before memcached 1.6.
        return UNKNOWN
    status, *flags = line.split(b" ")
    if status in (b"HD", b"OK"):
        return there(flags)
    raise _strange(line)


def _stored(op: Store, reader: Reader) -> bool | Exception:
    line = reader.line()
    if line == b"STORED":
        return True
    if line in (b"NOT_STORED", b"EXISTS", b"NOT_FOUND"):
        return False
    if line.startswith(b"SERVER_ERROR"):
        # It has read the value to its end, and goes on with the next request.
        return too_large(len(op.data)) if b"too large" in line else _strange(line)
    raise _strange(line)


def _appended(op: Append, reader: Reader) -> bool:
    return _one_of(reader.line(), b"STORED", b"NOT_STORED")


def _removed(op: Remove, reader: Reader) -> bool:
    line = reader.line()
    if op.cas:
        return line != b"NOT_FOUND" and _one_of(line, b"STORED", b"EXISTS")
    return _one_of(line, b"DELETED", b"NOT_FOUND")


def _counted(op: Count, reader: Reader) -> Any:
    line = reader.line()
    if line.isdigit():
        return _number(line, line)
    if line == b"NOT_FOUND":
        return None
    if line.startswith(b"CLIENT_ERROR") and b"non-numeric" in line:
        return NOT_A_NUMBER
    raise _strange(line)


def _touched(op: Touch, reader: Reader) -> bool:
    return _one_of(reader.line(), b"TOUCHED", b"NOT_FOUND")


_READERS: dict[type[Any], Callable[[Any, Reader], Any]] = {
    Fetch: _fetched,
    FetchOne: _fetched_one,
    Exists: _exists,
    Left: _left,
    Store: _stored,
    Remove: _removed,
    Append: _appended,
    Count: _counted,
    Touch: _touched,
}


def _one_of(line: bytes, yes: bytes, no: bytes) -> bool:
    if line == yes:
        return True
    if line == no:
        return False
    raise _strange(line)


def _number(digits: bytes, line: bytes) -> int:
    if digits.isdigit() and len(digits) <= 20:
        return int(digits)
    raise _strange(line)


def _size(digits: bytes, line: bytes) -> int:
    """Bytes of the value that follows a line."""
    size = int(digits) if digits.isdigit() and len(digits) <= 20 else LARGEST_VALUE + 1
    if size > LARGEST_VALUE:
        raise _strange(line)
    return size


def _strange(line: bytes) -> Exception:
    """What to make of a line that is no reply to the request."""
    word, _, said = line.partition(b" ")
    text = said.decode("ascii", "backslashreplace")[:200]
    error: Exception = Garbled(f"memcached's reply makes no sense: it begins with {word[:20]!r}")
    if word == b"SERVER_ERROR":
        error = _exceptions.MemcacheServerError(text)
    elif word == b"CLIENT_ERROR":
        error = _exceptions.MemcacheClientError(text)
    elif line == b"ERROR":
        error = _exceptions.MemcacheUnknownCommandError("memcached does not know the command")
    return error
