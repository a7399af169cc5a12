"""The entries that a process made of files lately.

Decoding an entry costs more than reading its file, and what is read often is mostly the same
as before. Whether it is, is told by its bytes: nothing in here can be out of date.
"""

from __future__ import annotations

from ..entry import Entry
from ..serializers import Codec

__all__ = ["Decoded"]

#: Bytes that are remembered at most, and of one entry; and what one takes beside its payload.
_MOST = 4_000_000
_LARGEST = 250_000
_BESIDE = 1000


class Decoded:
    """Entries by the paths of their files."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[bytes, bytes, Codec, Entry]] = {}
        self._size = 0

    def find(self, path: str, payload: bytes, body: bytes, codec: Codec) -> Entry | None:
        """The entry that the codec made of these very bytes when they were read there last."""
        known = self._entries.get(path)
        if known is None or known[0] != payload or known[1] != body or known[2] is not codec:
            return None
        return known[3]

    def keep(self, path: str, payload: bytes, body: bytes, codec: Codec, entry: Entry) -> None:
        """Remember an entry, which is not changed from now on."""
        if entry.size > _LARGEST:
            return
        # All at once, which is simple and seldom. Other threads may do the same meanwhile; a
        # size that is not quite right does no harm.
        if self._size > _MOST:
            self._entries.clear()
            self._size = 0
        self._size += entry.size + _BESIDE
        self._entries[path] = payload, body, codec, entry
