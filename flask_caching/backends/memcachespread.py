"""Values that are larger than what memcached holds under one name: cut up into pieces.

Under the key's own name is a *manifest*: how many pieces there are, how long they are together,
their checksum, and the random token that is in their names. So the pieces of two writes never
meet, whatever the order in which they arrive, and whoever finds one missing finds nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, NamedTuple

from ..entry import Entry
from ..errors import BackendError, RefusedEntry
from .base import normalize_timeout
from .memcachebackend import MemcachedBackend
from .memcachekeys import Space
from .memcacheops import LARGEST_VALUE, FetchOne, Found, Remove, Store, Touch, exptime
from .memcacheservers import AT_ONCE, NamedOp

__all__ = ["MOST_PIECES", "Manifest", "SpreadBackend"]

#: Pieces of a value at most: the names that are read at once.
MOST_PIECES = AT_ONCE

#: Values that are held at once, to see whether they are in pieces.
_LOOKED_AT = 16

#: What a manifest begins with, and no entry.
_MAGIC = b"!\xfcFP"
#: Magic, token, number of pieces, bytes in all, checksum.
_FORM = Struct("!4s16sIQ16s")
_TOKEN_BYTES = 8
_DIGEST_BYTES = 16
#: Begins the part of a piece's name that stands for the key; no key's name has it.
_PIECE = b"%+"


class Manifest(NamedTuple):
    """What is known of a value that is in pieces.

    Attributes:
        token: In the names of the pieces.
        pieces: How many there are.
        size: Bytes in all.
        digest: Their checksum.
    """

    token: bytes
    pieces: int
    size: int
    digest: bytes

    @classmethod
    def of(cls, data: bytes, piece_size: int) -> Manifest:
        """That of a value that is about to be written."""
        token = secrets.token_hex(_TOKEN_BYTES).encode()
        return cls(token, -(-len(data) // piece_size), len(data), _digest(data))

    @classmethod
    def read(cls, data: bytes) -> Manifest | None:
        """The manifest in these bytes; ``None`` if they are something else."""
        if len(data) != _FORM.size or not data.startswith(_MAGIC):
            return None
        _, token, pieces, size, digest = _FORM.unpack(data)
        return cls(token, pieces, size, digest) if pieces <= MOST_PIECES else None

    def to_bytes(self) -> bytes:
        """What is stored under the key's own name."""
        return _FORM.pack(_MAGIC, *self)

    def names(self, space: Space) -> list[bytes]:
        """The names of the pieces, in their order."""
        start = space.start + _PIECE + self.token
        return [b"%b.%d" % (start, number) for number in range(self.pieces)]

    def joined(self, pieces: Iterable[bytes | None]) -> bytes | None:
        """The value of which these are the pieces; ``None`` if one is missing or another's."""
        there = [piece for piece in pieces if piece is not None]
        if len(there) != self.pieces or sum(map(len, there)) != self.size:
            return None
        data = b"".join(there)
        return data if _digest(data) == self.digest else None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


class SpreadBackend(MemcachedBackend):
    """Entries of which a large one is kept in pieces.

    Attributes:
        chunksize: Bytes of a piece.
        maxchunk: Pieces of an entry at most.
    """

    chunksize: int
    maxchunk: int

    # Reading.

    def get_entry(self, key: str) -> Entry | None:
        space = self._current()
        data = self._whole(space, self._servers.fetch(space, space.name(key)))
        return None if data is None else self._unpack(key, data)

    def _unpack_or_miss(self, key: str, data: bytes | None) -> Entry | None:
        return super()._unpack_or_miss(key, self._whole(self._current(), data))

    def _whole(self, space: Space, data: bytes | None) -> bytes | None:
        """What was found under a name; if it is a manifest, the value that it is of."""
        manifest = data and Manifest.read(data)
        if not manifest:
            return data
        names = manifest.names(space)
        return manifest.joined(self._servers.add_and_fetch(space, (), names))

    # Writing.

    def _store(self, space: Space, key: str, entry: Entry, how: Any) -> Store | None:
        """The request to store an entry, whose pieces are stored already if it is large."""
        store = super()._store(space, key, entry, how)
        if store is None or len(store.data) <= self.chunksize:
            return store
        manifest = Manifest.of(store.data, self.chunksize)
        if manifest.pieces > self.maxchunk:
            self._settled(space, store, self._too_large(len(store.data)))
        starts = range(0, len(store.data), self.chunksize)
        ops: list[NamedOp] = [
            Store(name, store.data[start : start + self.chunksize], store.expires)
            for name, start in zip(manifest.names(space), starts, strict=True)
        ]
        if how == "set":
            ops += self._removals(space, self._servers.fetch(space, store.name))
        for reply in self._servers.ask_each(space, ops):
            if isinstance(reply, Exception):
                self._discard(space, manifest.to_bytes(), reply)
                self._settled(space, store, reply)
        return store._replace(data=manifest.to_bytes())

    def _largest(self, name: bytes) -> int:
        return LARGEST_VALUE

    def _too_large(self, size: int) -> RefusedEntry:
        return RefusedEntry(
            f"the entry has {size} bytes, which is more than {self.maxchunk} pieces of "
            f"{self.chunksize} bytes; raise the option maxchunk",
            "too_large",
        )

    def _settled(self, space: Space, op: NamedOp, reply: Any) -> bool:
        if isinstance(op, Store) and reply is not True:
            self._discard(space, op.data, reply)
        return super()._settled(space, op, reply)

    def _discard(self, space: Space, data: bytes, reply: Any) -> None:
        """Remove the pieces of what was not stored, if the server works."""
        if not isinstance(reply, (OSError, BackendError)):
            self._servers.ask_each(space, self._removals(space, data))

    # Removing.

    def delete(self, key: str) -> bool:
        space = self._current()
        name = space.name(key)
        found, existed = self._servers.ask_each(space, [FetchOne(name), Remove(name)])
        if isinstance(existed, Exception):
            raise existed
        self._remove_pieces(space, [found])
        return bool(existed)

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys at once. Returns those that were removed, or were not there."""
        space = self._current()
        gone: list[str] = []
        for first in range(0, len(keys), _LOOKED_AT):
            portion = keys[first : first + _LOOKED_AT]
            found = self._servers.ask_each(space, [FetchOne(space.name(key)) for key in portion])
            gone += super().delete_many(*portion)
            self._remove_pieces(space, found)
        return gone

    def touch(self, key: str, timeout: float | None = None) -> bool:
        space = self._current()
        data = self._servers.fetch(space, space.name(key))
        removals = self._removals(space, data)
        seconds = normalize_timeout(self.default_timeout if timeout is None else timeout) or 0
        if seconds < 0:
            return self.delete(key)
        expires = exptime(seconds, self._clock())
        for reply in self._servers.ask_each(space, [Touch(op.name, expires) for op in removals]):
            if isinstance(reply, Exception):
                raise reply
        return super().touch(key, timeout)

    def _remove_pieces(self, space: Space, found: Sequence[Any]) -> None:
        """Remove the pieces of what was found; those that cannot be expire."""
        datas = [each.data for each in found if isinstance(each, Found)]
        self._servers.ask_each(space, [op for data in datas for op in self._removals(space, data)])

    @staticmethod
    def _removals(space: Space, data: bytes | None) -> list[Remove]:
        """What removes the pieces of what was found under a name."""
        manifest = data and Manifest.read(data)
        return [Remove(name) for name in manifest.names(space)] if manifest else []
