"""The files of FileSystemCache: what one looks like, and how it is read and written.

A file holds one entry::

    magic, version    4 bytes, 1 byte (and 3 for nothing)
    expiry            Unix time, a double; 0.0 never; then the same once more
    used              the stamp of its last use: nanoseconds, growing
    lengths           of the key and of the payload
    check             CRC-32 of the key and the first bytes of the payload
    key               UTF-8, lone surrogates as they are
    payload           what the codec made, which has a checksum of its own

A file is not changed while it is an entry, but put in the place of another: whoever reads takes
no lock and finds the one or the other. The exceptions are expiry and use, which lie next to one
another and are overwritten where they are. That an expiry was being overwritten while it was read
shows, since both copies are compared.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from ..byteform import ByteForm
from ..errors import UnreadableEntry

__all__ = [
    "DAMAGED",
    "ENTRY",
    "TEMPORARY",
    "Found",
    "Header",
    "directory_mode",
    "make_directory",
    "pack",
    "peek",
    "read",
    "restamp",
    "write",
    "write_all",
]

#: How the names of entries end, and what the name of a file is like that is being written.
ENTRY = ".entry"
TEMPORARY = re.compile(r"[0-9a-f]{12}-[0-9a-f]+\.temp")

_MAGIC = b"\xfcFCf"
_VERSION = 1
#: magic, version, expiry, expiry, used, length of the key, length of the payload, check
_HEADER = struct.Struct("<4sB3xddQIQI")
_EXPIRY = struct.Struct("<ddQ")
_EXPIRY_AT = 8
_USED = struct.Struct("<Q")
_USED_AT = 24
#: Bytes of the payload that the check covers: all of a bare number, which has no other.
_CHECKED = 32
#: Bytes read at once: nearly always all, and of a file that is only looked at.
_FIRST = 65536
_GLANCE = 512
#: Times that a file is read when it is being changed just then.
_ATTEMPTS = 4

_BINARY: int = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _BINARY
# Only what we made ourselves is written to, not what a link points at.
_CHANGE: int = os.O_RDWR | _BINARY | getattr(os, "O_NOFOLLOW", 0)
_CREATE = _CHANGE | os.O_CREAT | os.O_EXCL


class Found(NamedTuple):
    """What a file holds for the key it was read for.

    Attributes:
        expires_at: Unix time, seconds; ``0.0`` never.
        used: The stamp of its last use.
        payload: The payload; without its body, if that is large and was to be read apart.
        body: Then the body; else empty.
    """

    expires_at: float
    used: int
    payload: bytes
    body: bytes = b""


class Header(NamedTuple):
    """What is known of a file without its payload.

    Attributes:
        expires_at: Unix time, seconds; ``0.0`` never.
        used: The stamp of its last use.
        key: The key, as bytes.
        size: Bytes of the whole file.
    """

    expires_at: float
    used: int
    key: bytes
    size: int


#: What is known of a file that cannot be read: that it is of no use, and never was.
DAMAGED = Header(expires_at=-1.0, used=-1, key=b"", size=0)


class _Torn(UnreadableEntry):
    """The two expiries differ: one is being written, or the file is damaged."""


class _OtherKey(Exception):
    """The file holds another key."""


def pack(key: bytes, payload: Sequence[bytes], expires_at: float, used: int) -> Sequence[bytes]:
    """The content of a file, in one part, or several: a large payload is not copied.

    Args:
        key: The key.
        payload: The parts of the payload; the first has all that the check covers.
        expires_at: Unix time, seconds; ``0.0`` never.
        used: A stamp of now.
    """
    check = zlib.crc32(payload[0][:_CHECKED], zlib.crc32(key))
    size = sum(map(len, payload))
    header = _HEADER.pack(_MAGIC, _VERSION, expires_at, expires_at, used, len(key), size, check)
    parts = (header + key, *payload)
    return parts if size >= _FIRST else (b"".join(parts),)


def read(path: str, key: bytes, codec: ByteForm | None = None) -> Found | None:
    """What the file holds for ``key``; ``None`` if there is none, or for another key.

    Args:
        path: The file.
        key: The key.
        codec: Says where the body of a large payload is, which is then read apart, into bytes
            that nobody has to copy.

    Raises:
        UnreadableEntry: If it is not a file of ours, or is cut off or damaged.
        OSError: If it cannot be read.
    """
    torn = False
    for _ in range(_ATTEMPTS):
        try:
            return _read(path, key, codec)
        except _Torn:
            torn = True
        except _OtherKey:
            torn = False
    if torn:
        raise _damaged()
    # Two keys with one hash: this one is not here.
    return None


def _read(path: str, key: bytes, codec: ByteForm | None) -> Found | None:
    try:
        # Not open(), which takes longer than all the rest.
        file = os.open(path, _READ)
    except FileNotFoundError:
        return None
    try:
        data = _read_head(file, _FIRST)
        expires_at, used, begin, length = _parse(data)
        if len(data) < _FIRST:
            payload, body = data[begin:], b""
        elif begin + length == os.fstat(file).st_size:
            payload, body = _read_large(file, data, begin, length, codec)
        else:
            raise _damaged()
    finally:
        os.close(file)
    if len(payload) + len(body) != length:
        raise _damaged()
    if data[_HEADER.size : begin] != key:
        # It was replaced while it was being opened, and became that key's (filespare); or it is.
        raise _OtherKey
    return Found(expires_at, used, payload, body)


def _read_large(
    file: int, data: bytes, begin: int, length: int, codec: ByteForm | None
) -> tuple[bytes, bytes]:
    """A payload without its body, and the body, of a file that begins with ``data``."""
    before, behind = (codec and codec.around(data, begin)) or (0, 0)
    middle = begin + before
    size = length - before - behind
    # The first bytes are read twice, so that those behind them are put nowhere else first.
    if not behind or middle > len(data) or size < 0:
        os.lseek(file, begin, os.SEEK_SET)
        return _read_all(file, length), b""
    os.lseek(file, middle, os.SEEK_SET)
    body = _read_all(file, size)
    return data[begin:middle] + os.read(file, behind), body


def _read_head(file: int, size: int) -> bytes:
    """The first bytes of a file: so many, and all that the check covers."""
    data = os.read(file, size)
    if len(data) == size:
        missing = _HEADER.size + _key_length(data) + _CHECKED - size
        data += os.read(file, missing) if missing > 0 else b""
    return data


def _read_all(file: int, length: int) -> bytes:
    """So many bytes, or what there is of them."""
    data = os.read(file, length)
    if len(data) == length:
        return data
    # One call gives two gigabytes at most.
    parts = [data]
    while parts[-1] and (missing := length - sum(map(len, parts))):
        parts.append(os.read(file, missing))
    return b"".join(parts)


def peek(path: str) -> Header | None:
    """What is known of a file, read without most of its payload.

    Returns:
        ``None`` if there is none; :data:`DAMAGED` if it cannot be read as one of ours.

    Raises:
        OSError: If it cannot be read at all.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _peek(path)
        except _Torn:
            pass
        except UnreadableEntry:
            break
    return DAMAGED


def _peek(path: str) -> Header | None:
    try:
        file = os.open(path, _READ)
    except FileNotFoundError:
        return None
    try:
        data = _read_head(file, _GLANCE)
        size = os.fstat(file).st_size
    finally:
        os.close(file)
    expires_at, used, begin, length = _parse(data)
    if begin + length != size:
        raise _damaged()
    return Header(expires_at, used, data[_HEADER.size : begin], size)


def _key_length(data: bytes) -> int:
    # Of a file that is not ours it may be anything; it has been told apart by then.
    return _HEADER.unpack_from(data)[5] if data.startswith(_MAGIC) else 0


def _parse(data: bytes) -> tuple[float, int, int, int]:
    """Expiry, use, where the payload begins and its length."""
    if len(data) < _HEADER.size:
        raise _damaged()
    magic, version, expires_at, again, used, key, length, check = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise UnreadableEntry("the file is not one of FileSystemCache", "foreign")
    if version != _VERSION:
        raise UnreadableEntry(f"the file has format {version}, not {_VERSION}", "version")
    begin = _HEADER.size + key
    if zlib.crc32(data[_HEADER.size : begin + _CHECKED]) != check:
        raise _damaged()
    if expires_at != again:
        raise _Torn("the file's expiry is damaged", "truncated")
    return expires_at, used, begin, length


def _damaged() -> UnreadableEntry:
    return UnreadableEntry("the file is cut off or damaged", "truncated")


def restamp(path: str, used: int, expires_at: float | None = None) -> None:
    """Overwrite when a file was last used, and with it when it expires.

    Args:
        path: The file. If another one takes its place meanwhile, that one may be meant.
        used: The stamp.
        expires_at: Unix time, 0.0 for never; ``None`` leaves it as it is, and needs no lock.

    Raises:
        OSError: If the file is not there or cannot be written.
    """
    if expires_at is None:
        where, data = _USED_AT, _USED.pack(used)
    else:
        where, data = _EXPIRY_AT, _EXPIRY.pack(expires_at, expires_at, used)
    file = os.open(path, _CHANGE)
    try:
        os.lseek(file, where, os.SEEK_SET)
        os.write(file, data)
    finally:
        os.close(file)


def write(directory: str, content: Sequence[bytes], mode: int) -> str:
    """Write a new file under a temporary name.

    Args:
        directory: Where.
        content: Its parts.
        mode: The file's permissions, whatever the umask is.

    Returns:
        Its path; whoever called moves it to where it belongs, or removes it.

    Raises:
        OSError: If it cannot be written; nothing is left of it then.
    """
    path = f"{directory}/{_process}-{next(_numbers):x}.temp"
    file = os.open(path, _CREATE, mode)
    try:
        try:
            if mode & 0o077:
                os.fchmod(file, mode)
            write_all(file, content)
        finally:
            os.close(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
    return path


def write_all(file: int, content: Sequence[bytes]) -> int:
    """Write all parts to an open file. Returns how many bytes they are."""
    size = 0
    for part in content:
        view = memoryview(part)
        size += len(view)
        while view:
            view = view[os.write(file, view) :]
    return size


def directory_mode(mode: int) -> int:
    """The permissions of a directory for files of ``mode``: who may read them may enter it."""
    return mode | (mode & 0o444) >> 2 | stat.S_IRWXU


def make_directory(path: str, mode: int) -> bool:
    """Make a directory of ``mode``, whatever the umask is. Returns whether it was not there."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    if mode & 0o077:
        # A directory whose files belong to its group may have handed that on.
        os.chmod(path, mode | os.stat(path).st_mode & stat.S_ISGID)
    return True


# Temporary names differ between processes (also those of containers, whose numbers are the same)
# and within one.
_process = os.urandom(6).hex()
_numbers = itertools.count()


def _after_fork() -> None:
    global _process
    _process = os.urandom(6).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
