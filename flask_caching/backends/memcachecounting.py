"""Counting in memcached, below zero as well.

memcached's numbers have 64 bits and no sign: ``decr`` stops at 0, and ``incr`` begins anew beyond
the last one. So a number is kept modulo 2**62: 5 is ``5``, -3 is ``4611686018427387901``, and
counting down by 3 is counting up by 2**64 - 3, which the server does by itself, at one moment, and
without touching the expiry. The two bits above mean nothing.

Some versions of memcached (1.6.18 is one) look for a minus sign behind a number whose highest bit
is set, in whatever stood in their memory before, and may not take it for a number then. A number
that has come to that by crossing zero is moved away from there at once.
"""

from __future__ import annotations

from .memcachekeys import Space
from .memcacheops import NOT_A_NUMBER, Append, Count, FetchOne
from .memcacheservers import Servers

__all__ = ["count", "fits", "from_digits", "to_digits"]

_MODULUS = 2**62
_LIMIT = _MODULUS // 2
_SERVER_MODULUS = 2**64
_HIGHEST_BIT = 2**63

#: Digits of a 64-bit number, or a sign and nineteen.
_LONGEST = 20
_BEGINNINGS = frozenset(bytes([byte]) for byte in b"-0123456789")
#: What ends the server's search for a minus sign. Both may also be what it fills up with.
_END = b" \0"
_TRIES = 10


def fits(number: int) -> bool:
    """Whether memcached can count with a number."""
    return -_LIMIT <= number < _LIMIT


def to_digits(number: int) -> bytes:
    """A number that fits, as it is stored."""
    return b"%d" % (number % _MODULUS)


def from_digits(data: bytes) -> int | None:
    """The number that is stored as ``data``; ``None`` if it is none."""
    if data[:1] not in _BEGINNINGS:
        return None
    digits = data.rstrip(_END)
    if not digits.removeprefix(b"-").isdigit() or len(digits) > _LONGEST:
        return None
    # Nobody counts with one that others wrote with a sign, but it can be read.
    return int(digits) if digits.startswith(b"-") else _meaning(int(digits))


def _meaning(stored: int) -> int:
    number = stored % _MODULUS
    return number - _MODULUS if number >= _LIMIT else number


def count(servers: Servers, space: Space, name: bytes, delta: int) -> int | None:
    """Add ``delta`` to a number.

    Returns:
        The new one; ``None`` if there is none.

    Raises:
        ValueError: If the name holds something else.
        OverflowError: If the number, or its new value, would not fit.
    """
    if not fits(delta):
        raise OverflowError
    stored = _add(servers, space, name, delta)
    if stored is None:
        return None
    number = _meaning(stored)
    if number != _meaning(stored - delta) + delta:
        _add(servers, space, name, -delta)
        raise OverflowError
    if stored >= _HIGHEST_BIT:
        # Whoever else does the same changes nothing but bits that mean nothing.
        _add(servers, space, name, _MODULUS)
    return number


def _add(servers: Servers, space: Space, name: bytes, delta: int) -> int | None:
    """Add to what is stored, modulo the server's 64 bits."""
    op = Count(name, delta % _SERVER_MODULUS)
    for _ in range(_TRIES):
        stored = servers.ask(space, op, again=False)
        if stored is not NOT_A_NUMBER:
            return None if stored is None else int(stored)
        found = servers.ask(space, FetchOne(name))
        if found is not None and (from_digits(found.data) is None or found.data[:1] == b"-"):
            break
        # It is one, and the server does not recognise it; or it is gone by now.
        servers.ask(space, Append(name, _END), again=False)
    raise ValueError("not a number")
