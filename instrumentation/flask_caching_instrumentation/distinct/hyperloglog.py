"""HyperLogLog: how many different keys there were, from 16 KiB whatever their number.

A key is hashed to 64 bits. 14 of them choose a register, and the register keeps the highest
*rank* it was given: one more than the zeros that the other 50 bits begin with. So a sketch is
16,384 small numbers, a key that comes again changes nothing, and what several workers saw
together is, register by register, the maximum of what each of them saw.

The estimate's standard error is 1.04 / sqrt(16384), 0.81 %. Small sets are counted much better
than that, since hardly any two of their keys share a register.

Pure functions, no state.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

__all__ = [
    "HIGHEST_RANK",
    "PRECISION",
    "REGISTERS",
    "Place",
    "count_ranks",
    "digest",
    "estimate",
    "estimate_of",
    "locate",
    "place",
    "union",
    "union_all",
]

#: What a key changes: a register, and the rank that it is to have at least.
Place: TypeAlias = tuple[int, int]

#: Bits of a hash that choose the register.
PRECISION: Final = 14

#: Registers of a sketch, one byte each.
REGISTERS: Final = 1 << PRECISION

_HASH_BYTES: Final = 8
_RANKED_BITS: Final = 8 * _HASH_BYTES - PRECISION

#: The rank of a hash whose other bits are all zero.
HIGHEST_RANK: Final = _RANKED_BITS + 1

_LOW: Final = REGISTERS - 1
#: The top bit of every register, which no rank reaches.
_TOPS: Final = int.from_bytes(b"\x80" * REGISTERS, "little")

#: The limit of the bias-correcting constant of HyperLogLog for many registers.
_ALPHA: Final = 0.5 / math.log(2)


def digest(key: str) -> bytes:
    """The 8 bytes that stand for a key, the same in every process and on every machine."""
    # Keys may be made of request paths, with anything in them.
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()


def place(hashed: bytes) -> Place:
    """The register and the rank of a :func:`digest`."""
    number = int.from_bytes(hashed, "little")
    return number & _LOW, HIGHEST_RANK - (number >> PRECISION).bit_length()


def locate(key: str) -> Place:
    """The register and the rank of a key."""
    return place(digest(key))


def union(first: bytes, second: bytes) -> bytes:
    """The sketch of everything that either of two sketches has seen."""
    return union_all((first, second))


def union_all(sketches: Iterable[bytes | bytearray]) -> bytes:
    """The sketch of everything that any of the sketches has seen; empty registers for none.

    All registers are compared at once, as the bytes of one large number: with its top bit set a
    byte of the first minus that of the second keeps the bit exactly where the first is not the
    smaller one, and no byte borrows from the next.
    """
    merged = 0
    for sketch in sketches:
        other = int.from_bytes(sketch, "little")
        if not merged:
            merged = other
            continue
        not_smaller = ((merged | _TOPS) - other) & _TOPS
        # 0x80 becomes 0x7f, all the bits that a rank can have; 0 stays 0.
        mask = not_smaller - (not_smaller >> 7)
        merged = other ^ ((merged ^ other) & mask)
    return merged.to_bytes(REGISTERS, "little")


def estimate(sketch: bytes | bytearray | Mapping[int, int]) -> float:
    """About how many different keys a sketch has seen; ``sketch`` is as for :func:`count_ranks`."""
    return estimate_of(count_ranks(sketch))


def count_ranks(sketch: bytes | bytearray | Mapping[int, int]) -> list[int]:
    """How many registers have each rank.

    Args:
        sketch: All registers, or those above zero with their ranks.
    """
    ranks = [0] * (HIGHEST_RANK + 1)
    if isinstance(sketch, Mapping):
        left = REGISTERS - len(sketch)
        for rank in sketch.values():
            ranks[rank] += 1
    else:
        left = len(sketch)
        for rank in range(HIGHEST_RANK + 1):
            ranks[rank] = count = sketch.count(rank)
            left -= count
            if not left:
                break
    # What is no rank comes from a damaged file, and tells nothing.
    ranks[0] += left
    return ranks


def estimate_of(ranks: Sequence[int]) -> float:
    """About how many different keys a sketch has seen with so many registers of each rank.

    The improved estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
    sketches" (arXiv:1702.01284, 2017), algorithm 6: it is unbiased from none to the end of what
    64 bits can tell, without tables and without a change of method on the way.
    """
    total = REGISTERS * _tau(1 - ranks[HIGHEST_RANK] / REGISTERS)
    for number in ranks[_RANKED_BITS:0:-1]:
        total = 0.5 * (total + number)
    total += REGISTERS * _sigma(ranks[0] / REGISTERS)
    # All registers full: more keys than there are hashes.
    return _ALPHA * REGISTERS**2 / total if total else math.ldexp(1.0, 8 * _HASH_BYTES)


# There is a share for each number of registers, and most targets have few keys: a scrape asks for
# the same few again and again.


@lru_cache(maxsize=1024)
def _sigma(share: float) -> float:
    """Corrects for the registers that are still zero."""
    if share == 1:
        return math.inf
    power, total, before = 1.0, share, -1.0
    while total != before:
        share *= share
        before = total
        total += share * power
        power += power
    return total


@lru_cache(maxsize=1024)
def _tau(share: float) -> float:
    """Corrects for the registers that can rise no more."""
    if share in (0, 1):
        return 0.0
    power, total, before = 1.0, 1 - share, -1.0
    while total != before:
        share = math.sqrt(share)
        before = total
        power *= 0.5
        total -= (1 - share) ** 2 * power
    return total / 3
