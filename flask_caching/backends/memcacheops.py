"""What a memcached server can be asked, in either of its protocols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from ..byteform import MAGIC
from ..errors import RefusedEntry

__all__ = [
    "LARGEST_VALUE",
    "NOT_A_NUMBER",
    "UNKNOWN",
    "Append",
    "Count",
    "Exists",
    "Fetch",
    "FetchOne",
    "Found",
    "Left",
    "Op",
    "Remove",
    "Sign",
    "Store",
    "Touch",
    "client_flags",
    "exptime",
    "too_large",
]

#: Bytes that no memcached takes; more it might mistake for something else than a value.
LARGEST_VALUE = 2**30

#: Seconds by which the difference of two large floats may be wrong.
_ROUNDING = 0.0005
#: Seconds from which on memcached takes a number for a date.
_MONTH = 60 * 60 * 24 * 30
#: The last date that it takes for one.
_LAST_DATE = 2**31 - 1


class Fetch(NamedTuple):
    """Reply: for each name what it holds, or ``None``."""

    names: Sequence[bytes]


class Found(NamedTuple):
    """What a name holds, and the number by which memcached knows whether it was changed."""

    data: bytes
    cas: int


class FetchOne(NamedTuple):
    """Reply: a :class:`Found`, or ``None``."""

    name: bytes


class Exists(NamedTuple):
    """Reply: whether the name exists."""

    name: bytes


class Store(NamedTuple):
    """Reply: whether it was stored, or the exception that says why the server refuses it.

    Attributes:
        name: Where.
        data: What.
        expires: When it expires, see :func:`exptime`.
        how: Whatever is there, only where nothing is, or only in place of ``cas``.
        cas: Of a :class:`Found`.
    """

    name: bytes
    data: bytes
    expires: int
    how: Literal["set", "add", "cas"] = "set"
    cas: int = 0


class Remove(NamedTuple):
    """Reply: whether the name existed. With ``cas``, it is removed only if unchanged since."""

    name: bytes
    cas: int = 0


class Append(NamedTuple):
    """Reply: whether the name existed, and ends in ``data`` now; its expiry stays."""

    name: bytes
    data: bytes


class Count(NamedTuple):
    """Reply: the new number, of 64 bits without a sign; ``None`` if the name does not exist.

    ``NOT_A_NUMBER`` where it holds something else.
    """

    name: bytes
    delta: int


class Touch(NamedTuple):
    """Reply: whether the name existed."""

    name: bytes
    expires: int


class Left(NamedTuple):
    """Reply: seconds left; 0 never expires; ``None`` if the name does not exist.

    ``UNKNOWN`` where the server cannot tell.
    """

    name: bytes


Op: TypeAlias = Fetch | FetchOne | Exists | Store | Remove | Append | Count | Touch | Left


class Sign:
    """A reply that stands for itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NOT_A_NUMBER = Sign("NOT_A_NUMBER")
UNKNOWN = Sign("UNKNOWN")


def exptime(seconds: float, now: float) -> int:
    """A timeout as memcached takes it.

    Args:
        seconds: Until it expires, not negative; 0 never expires. Parts of a second are rounded
            up.
        now: Unix time.

    Returns:
        Seconds; or, over thirty days, the Unix time at which it expires; 0 for never, and for
        a date after 2038, which memcached would take for one long past.
    """
    whole = math.ceil(seconds - _ROUNDING)
    if whole <= _MONTH:
        return max(whole, 1) if seconds else 0
    # memcached's own clock is late, by up to three seconds.
    date = int(now + seconds) - 1
    return date if date <= _LAST_DATE else 0


def too_large(size: int) -> RefusedEntry:
    """What to raise for an entry of so many bytes."""
    return RefusedEntry(
        f"the entry has {size} bytes, which is more than this memcached takes: 1 MB in all unless "
        "it was started with another -I",
        "too_large",
    )


def client_flags(data: bytes) -> int:
    """What other clients are told of a value: 1 a pickle, 2 a whole number, 0 bytes.

    The released library's clients believe it. So an entry is a broken pickle to them, which their
    decorators take for no value, and never a page to be sent as it is.
    """
    if data.startswith(MAGIC):
        return 1
    return 2 if data.removeprefix(b"-").isdigit() else 0
