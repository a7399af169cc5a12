"""What a key is called on a memcached server, and back.

memcached takes names of 250 bytes at most, without spaces and control characters. A key that is
so already keeps its text. In any other, and for the sign's sake in one with a ``%``, what cannot
stay is percent-encoded; one that is too long then keeps its beginning and ends in ``%~`` and a
hash. ``%`` and what is no hexadecimal digit never come of encoding, so that no two keys meet.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .base import RESERVED

__all__ = ["Space", "encoded"]

#: Bytes of a name at most.
_LONGEST = 250
#: Bytes of an encoded prefix at most, so that there is room for a readable key; and how many of
#: a longer one stay.
_LONGEST_PREFIX = 150
_PREFIX_HEAD = 100
_HASH_BYTES = 20

#: Before the hash of a key that is too long.
_HASHED = b"%~"
#: Before the hash of a prefix that is too long.
_HASHED_PREFIX = b"%="
#: The name of the empty key where there is no prefix either.
_NOTHING = b"%"

_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_CUT_ESCAPE = re.compile(rb"%.?\Z")
_HAS_HASH = re.compile(rb"%~[0-9a-f]{40}\Z")


class Space:
    """The names of one prefix: each is :attr:`start` and what stands for the key.

    Args:
        prefix: The cache's key prefix.
        reserved: Bytes that whoever uses the names puts after the start.

    Attributes:
        prefix: As given.
        start: What all names begin with.
        own: What those of this package's own keys begin with.
    """

    __slots__ = ("_empty", "_room", "own", "prefix", "start")

    def __init__(self, prefix: str, reserved: int = 0) -> None:
        self.prefix = prefix
        self.start = encoded(prefix)
        if len(self.start) > _LONGEST_PREFIX:
            head = _CUT_ESCAPE.sub(b"", self.start[:_PREFIX_HEAD])
            self.start = head + _HASHED_PREFIX + _hash(prefix)
        self.own = self.start + RESERVED.encode()
        self._room = _LONGEST - len(self.start) - reserved
        self._empty = b"" if self.start or reserved else _NOTHING

    def name(self, key: str) -> bytes:
        """What ``key`` is called, without what is put between start and tail."""
        # Nearly every key: the checks cost a tenth of a microsecond.
        if (
            0 < len(key) <= self._room
            and key.isascii()
            and key.isprintable()
            and "%" not in key
            and " " not in key
        ):
            return self.start + key.encode()
        return self.start + (self._tail(key) if key else self._empty)

    def _tail(self, key: str) -> bytes:
        """What stands for a key that cannot stay as it is."""
        text = encoded(key)
        if len(text) <= self._room:
            return text
        ending = _HASHED + _hash(self.prefix + key)
        return _CUT_ESCAPE.sub(b"", text[: self._room - len(ending)]) + ending

    def key(self, name: bytes) -> str:
        """The key of that name; of one that was hashed the beginning, ``%~`` and the hash."""
        tail = name[len(self.start) :]
        if tail == self._empty:
            return ""
        if _HAS_HASH.search(tail):
            head, _, digits = tail.rpartition(_HASHED)
            # It may have been cut off within a character.
            beginning = unquote_to_bytes(head).decode("utf-8", "ignore")
            return beginning + (_HASHED + digits).decode()
        text = unquote_to_bytes(tail)
        try:
            return text.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            # Not written by this package, under its prefix.
            return text.decode("utf-8", "backslashreplace")


def encoded(text: str) -> bytes:
    """A text as it is in names that are not too long."""
    return quote_from_bytes(_bytes(text), _SAFE).encode()


def _hash(text: str) -> bytes:
    return hashlib.blake2b(_bytes(text), digest_size=_HASH_BYTES).hexdigest().encode()


def _bytes(text: str) -> bytes:
    # Keys may be made of request paths, with anything in them.
    return text.encode("utf-8", "surrogatepass")
