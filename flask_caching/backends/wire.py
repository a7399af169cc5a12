"""What the stores that hold bytes have in common: entries as the codec writes them, numbers bare.

A whole number that the application set or added itself is stored as its decimal digits, so that
the server can count with it. All else is the codec's byte form, in which the key is part of the
checksum: a reply that belongs to another key is not taken for an entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..byteform import MAGIC
from ..entry import Entry, Form
from ..errors import UnreadableEntry
from .base import EntryBackend

__all__ = ["WireBackend", "bare_number"]

#: Digits of a 64-bit number, and its sign.
_LONGEST_NUMBER = 20


def bare_number(entry: Entry) -> int | None:
    """The number in an entry that a store may keep bare: one of the application's own, 64 bits."""
    number = entry.payload
    if entry.form is not Form.PLAIN or type(number) is not int:
        return None
    if entry.witness is not None or entry.versions or entry.load_seconds:
        return None
    return number if -(2**63) <= number < 2**63 else None


class WireBackend(EntryBackend):
    """Base of the backends whose store holds bytes and is shared between processes.

    The expiry that counts is the store's own, which :meth:`touch` may have moved; the one in
    the entry's bytes says only what it was when the entry was written.
    """

    shared = True

    def _pack(self, key: str, entry: Entry) -> bytes:
        """The bytes to store under ``key``.

        Raises:
            SerializationError: If the entry cannot be written.
        """
        return b"".join(self._pack_parts(key, entry))

    def _pack_parts(self, key: str, entry: Entry) -> Sequence[bytes]:
        """:meth:`_pack` in parts, of which a large one is not copied."""
        number = bare_number(entry)
        if number is None:
            return self.codec.dump_parts(entry, key)
        digits = b"%d" % number
        entry.size = len(digits)
        return (digits,)

    def _unpack(self, key: str, data: bytes) -> Entry:
        """The entry in the bytes found under ``key``; a bare number has no ``created_at``.

        Raises:
            UnreadableEntry: If it is neither.
        """
        if not data.startswith(MAGIC) and len(data) <= _LONGEST_NUMBER:
            # memcached pads a number that became shorter with spaces.
            digits = data.rstrip(b" ")
            if digits.removeprefix(b"-").isdigit():
                entry = Entry(Form.PLAIN, int(digits), created_at=0.0)
                entry.size = len(data)
                return entry
        return self.codec.loads(data, key)

    def _unpack_or_miss(self, key: str, data: bytes | None) -> Entry | None:
        """:meth:`_unpack` for one of several: what cannot be read is reported and missing."""
        if data is None:
            return None
        try:
            return self._unpack(key, data)
        except UnreadableEntry as error:
            error.key = key
            if self.on_unreadable is not None:
                self.on_unreadable(error)
            return None

    def _seconds_left(self, entry: Entry) -> float | None:
        """Seconds until the entry expires; 0 never; ``None`` if it has expired."""
        if not entry.expires_at:
            return 0.0
        left = entry.expires_at - self._clock()
        return left if left > 0 else None
