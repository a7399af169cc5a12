"""memcached's binary protocol, on a connection that was logged in with SASL.

python-binary-memcached logs in. Its client is not used for more: it takes a server that is gone
for one that holds nothing, unpickles whatever it finds, keeps a connection for every thread there
ever was, and asks one thing at a time. It is imported when a backend is made and not before.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, NamedTuple

from .memcachelink import Link
from .memcacheops import (
    LARGEST_VALUE,
    NOT_A_NUMBER,
    Append,
    Count,
    Exists,
    Fetch,
    FetchOne,
    Found,
    Op,
    Remove,
    Store,
    Touch,
    client_flags,
    too_large,
)
from .replyreader import Garbled, Reader

__all__ = ["FAILURES", "BinaryConnection", "Login"]

_protocol: Any = importlib.import_module("bmemcached.protocol")
_exceptions: Any = importlib.import_module("bmemcached.exceptions")

#: The server could not be talked to: what counts for a breaker. All else is an answer.
FAILURES: tuple[type[Exception], ...] = (
    OSError,
    _exceptions.InvalidCredentials,
    _exceptions.AuthenticationNotSupported,
)

#: Magic, operation, bytes of the key and of the extras, type, status, bytes of all that follows,
#: a number that the reply repeats, and the number that changes with the value.
_HEADER = Struct("!BBHBBHIIQ")
_EXPIRY = Struct("!I")
_FLAGS_AND_EXPIRY = Struct("!II")
_DELTA = Struct("!QQI")
_NUMBER = Struct("!Q")

_REQUEST = 0x80
_REPLY = 0x81

_GET = 0x00
_SET = 0x01
_ADD = 0x02
_DELETE = 0x04
_INCREMENT = 0x05
_GET_QUIETLY = 0x09
_APPEND = 0x0E
_STAT = 0x10
_TOUCH = 0x1C

_OK = 0x00
_NOT_FOUND = 0x01
_EXISTS = 0x02
_TOO_LARGE = 0x03
_NOT_STORED = 0x05
_NOT_NUMERIC = 0x06
_LOGIN_WANTED = (0x20, 0x21)

#: Instead of an expiry: do not create what is to be counted.
_DO_NOT_CREATE = 2**32 - 1


class Login(NamedTuple):
    """Who logs in. No user name: nobody."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Login(...)"


class _Reply(NamedTuple):
    operation: int
    status: int
    opaque: int
    cas: int
    key: bytes
    value: bytes


class BinaryConnection:
    """A connection to one server.

    Args:
        link: How it is opened.
        login: Who logs in.
    """

    def __init__(self, link: Link, login: Login) -> None:
        self._link = link
        self._login = login
        self._socket: socket.socket | None = None

    def send(self, ops: Sequence[Op]) -> None:
        """Send requests, connecting first where that has not been done."""
        opened = self._socket or self._open()
        opened.sendall(b"".join([part for op in ops for part in _REQUESTS[type(op)](op)]))

    def receive(self, ops: Sequence[Op]) -> list[Any]:
        """The replies to all of them."""
        reader = Reader(self._socket or self._open(), b"", self._link.timeout)
        replies = [_READERS[type(op)](op, reader) for op in ops]
        reader.end()
        return replies

    def stats(self, about: bytes) -> dict[bytes, bytes]:
        """What the server tells of itself."""
        opened = self._socket or self._open()
        opened.sendall(b"".join(_request(_STAT, about)))
        reader, told = Reader(opened, b"", self._link.timeout), dict[bytes, bytes]()
        while (reply := _reply(reader, _STAT)).key:
            told[reply.key] = reply.value
        reader.end()
        return told

    def _open(self) -> socket.socket:
        opened = self._link.open()
        try:
            if self._login.username:
                _log_in(opened, self._login)
        except BaseException:
            opened.close()
            raise
        self._socket = opened
        return opened

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


def _log_in(opened: socket.socket, login: Login) -> None:
    """Say on a new connection who is there.

    Raises:
        OSError: If the server does not answer.
        bmemcached.exceptions.MemcachedException: If it does not let one in.
    """
    # What it would connect to by itself if this connection were lost: nothing. It sees that a
    # path is no host, and is not looked up.
    protocol = _protocol.Protocol("/", login.username, login.password)
    protocol.connection = opened
    try:
        known: bool = protocol._send_authentication()
    except OSError:
        raise
    except _exceptions.AuthenticationNotSupported as error:
        raise _not_let_in(_exceptions.AuthenticationNotSupported, error) from None
    except _exceptions.MemcachedException as error:
        raise _not_let_in(_exceptions.InvalidCredentials, error) from None
    except Exception as error:
        raise Garbled("memcached's reply to the login makes no sense") from error
    finally:
        protocol.connection = None
    if not known:
        raise ConnectionError("memcached did not answer the login")


def _not_let_in(kind: Any, error: Any) -> Exception:
    made: Exception = kind(f"memcached refuses the login: {error}", getattr(error, "code", None))
    return made


# What each request is in the protocol's words: in parts, so that a large value is copied once,
# when all of them are joined.


def _request(
    operation: int,
    name: bytes,
    extras: bytes = b"",
    value: bytes = b"",
    cas: int = 0,
    opaque: int = 0,
) -> tuple[bytes, ...]:
    size = len(extras) + len(name) + len(value)
    header = _HEADER.pack(_REQUEST, operation, len(name), len(extras), 0, 0, size, opaque, cas)
    return header, extras, name, value


def _fetch(op: Fetch) -> tuple[bytes, ...]:
    # What is not there is passed over, but for the last.
    last = len(op.names) - 1
    return tuple(
        part
        for place, name in enumerate(op.names)
        for part in _request(_GET if place == last else _GET_QUIETLY, name, opaque=place)
    )


def _store(op: Store) -> tuple[bytes, ...]:
    extras = _FLAGS_AND_EXPIRY.pack(client_flags(op.data), op.expires)
    return _request(_ADD if op.how == "add" else _SET, op.name, extras, op.data, op.cas)


_REQUESTS: dict[type[Any], Callable[[Any], tuple[bytes, ...]]] = {
    Fetch: _fetch,
    FetchOne: lambda op: _request(_GET, op.name),
    Exists: lambda op: _request(_GET, op.name),
    Store: _store,
    Remove: lambda op: _request(_DELETE, op.name, cas=op.cas),
    Append: lambda op: _request(_APPEND, op.name, value=op.data),
    Count: lambda op: _request(_INCREMENT, op.name, _DELTA.pack(op.delta, 0, _DO_NOT_CREATE)),
    Touch: lambda op: _request(_TOUCH, op.name, _EXPIRY.pack(op.expires)),
}


# How the reply to each is read.


def _fetched(op: Fetch, reader: Reader) -> list[bytes | None]:
    values: list[bytes | None] = [None] * len(op.names)
    last, place = len(op.names) - 1, -1
    while place != last:
        reply = _reply(reader, _GET, _GET_QUIETLY)
        if not place < reply.opaque <= last:
            raise Garbled("memcached's reply is to something that it was not asked")
        place = reply.opaque
        values[place] = _found(reply)
    return values


def _found(reply: _Reply) -> bytes | None:
    if reply.status == _OK:
        return reply.value
    if reply.status == _NOT_FOUND:
        return None
    raise _strange(reply)


def _fetched_one(op: FetchOne, reader: Reader) -> Found | None:
    reply = _reply(reader, _GET)
    value = _found(reply)
    return None if value is None else Found(value, reply.cas)


def _exists(op: Exists, reader: Reader) -> bool:
    return _found(_reply(reader, _GET)) is not None


def _stored(op: Store, reader: Reader) -> bool | Exception:
    reply = _reply(reader, _ADD if op.how == "add" else _SET)
    if reply.status == _OK:
        return True
    if reply.status in (_EXISTS, _NOT_FOUND, _NOT_STORED):
        return False
    # It has read the value to its end, and goes on with the next request.
    return too_large(len(op.data)) if reply.status == _TOO_LARGE else _strange(reply)


def _removed(op: Remove, reader: Reader) -> bool:
    return _yes_or_no(_reply(reader, _DELETE), _NOT_FOUND, _EXISTS)


def _appended(op: Append, reader: Reader) -> bool:
    return _yes_or_no(_reply(reader, _APPEND), _NOT_FOUND, _NOT_STORED)


def _counted(op: Count, reader: Reader) -> Any:
    reply = _reply(reader, _INCREMENT)
    if reply.status == _OK and len(reply.value) == _NUMBER.size:
        return _NUMBER.unpack(reply.value)[0]
    if reply.status in (_NOT_FOUND, _NOT_STORED):
        return None
    if reply.status == _NOT_NUMERIC:
        return NOT_A_NUMBER
    raise _strange(reply)


def _touched(op: Touch, reader: Reader) -> bool:
    return _yes_or_no(_reply(reader, _TOUCH), _NOT_FOUND)


_READERS: dict[type[Any], Callable[[Any, Reader], Any]] = {
    Fetch: _fetched,
    FetchOne: _fetched_one,
    Exists: _exists,
    Store: _stored,
    Remove: _removed,
    Append: _appended,
    Count: _counted,
    Touch: _touched,
}


def _reply(reader: Reader, *operations: int) -> _Reply:
    """The next reply, which is to one of these operations.

    Raises:
        Garbled: If it is not.
        bmemcached.exceptions.InvalidCredentials: If nobody has logged in.
    """
    magic, operation, key, extras, _, status, size, opaque, cas = _HEADER.unpack(
        reader.take(_HEADER.size)
    )
    if magic != _REPLY or operation not in operations or key + extras > size:
        raise Garbled("memcached's reply makes no sense")
    if size > LARGEST_VALUE:
        raise Garbled("memcached's reply has no end")
    # One after the other, so that a large value is not copied out of all three.
    reader.take(extras)
    name, value = reader.take(key), reader.take(size - extras - key)
    if status in _LOGIN_WANTED:
        error: Exception = _exceptions.InvalidCredentials(
            "memcached wants a user name and a password, or other ones", status
        )
        raise error
    return _Reply(operation, status, opaque, cas, name, value)


def _yes_or_no(reply: _Reply, *no: int) -> bool:
    if reply.status == _OK:
        return True
    if reply.status in no:
        return False
    raise _strange(reply)


def _strange(reply: _Reply) -> Exception:
    """What to make of a status that is not expected."""
    text = reply.value.decode("ascii", "backslashreplace")[:200]
    error: Exception = _exceptions.MemcachedException(
        text or f"memcached's status is {reply.status:#x}", reply.status
    )
    return error
