"""The arithmetic of distinct keys: how near an estimate comes, and what a union is."""

from __future__ import annotations

import random
import subprocess
import sys
import uuid
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_caching_instrumentation.distinct.hyperloglog import (
    HIGHEST_RANK,
    PRECISION,
    REGISTERS,
    digest,
    estimate,
    locate,
    place,
    union,
    union_all,
)

EMPTY = bytes(REGISTERS)
SHAPES = {
    "paths": lambda number: f"view//product/{number}",
    "memo": lambda number: f"memo/shop.prices.price/{number * 2654435761 % 2**32:032x}",
    "uuids": lambda number: f"user/{uuid.UUID(int=number << 64)}",
    "numbers": str,
    "surrogates": lambda number: f"view//\udc80\udcff{number}",
}

ranks = st.integers(0, HIGHEST_RANK)


@st.composite
def sketches(draw: st.DrawFn) -> bytes:
    """All registers: some drawn, the others of a random sketch, or of one that is empty or full."""
    pattern = draw(st.lists(ranks, min_size=1, max_size=64))
    registers = bytearray(pattern * (REGISTERS // len(pattern) + 1))[:REGISTERS]
    for register, rank in draw(
        st.dictionaries(st.integers(0, REGISTERS - 1), ranks, max_size=20)
    ).items():
        registers[register] = rank
    return bytes(registers)


def sketch_of(keys: Iterable[str]) -> bytes:
    registers = bytearray(REGISTERS)
    for key in keys:
        register, rank = locate(key)
        registers[register] = max(rank, registers[register])
    return bytes(registers)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [0, 1, 200, 1_000, 100_000])
def test_an_estimate_is_within_three_percent(shape: str, number: int) -> None:
    """Whatever the keys look like."""
    found = estimate(sketch_of(map(SHAPES[shape], range(number))))
    assert found == pytest.approx(number, rel=0.03)


def test_a_million_keys_are_within_three_percent() -> None:
    """The most that it is meant for."""
    found = estimate(sketch_of(map(SHAPES["paths"], range(1_000_000))))
    assert found == pytest.approx(1_000_000, rel=0.03)


@pytest.mark.parametrize("number", [1, 2, 3, 10, 50])
def test_a_few_keys_are_counted_exactly(number: int) -> None:
    """Up to some dozens, rounded."""
    keys = [f"view//about/{each}" for each in range(number)]
    assert round(estimate(sketch_of(keys))) == number
    assert round(estimate(dict(map(locate, keys)))) == number


def test_nothing_leans_to_one_side() -> None:
    """The errors of many sets cancel out, also where other estimators change their method."""
    chance = random.Random(7)
    for number in (5_000, 20_000, 45_000, 80_000):
        errors: list[float] = []
        for _ in range(12):
            registers = bytearray(REGISTERS)
            for _ in range(number):
                register, rank = place(chance.getrandbits(64).to_bytes(8, "little"))
                if rank > registers[register]:
                    registers[register] = rank
            errors.append(estimate(registers) / number - 1)
        # Three standard errors of a mean of twelve.
        assert abs(sum(errors) / len(errors)) < 3 * 0.0081 / 12**0.5


def test_a_register_and_a_rank_are_parts_of_the_hash() -> None:
    """Fourteen bits choose a register; the rank is of the rest, and never 0."""
    assert place(bytes(8)) == (0, HIGHEST_RANK)
    assert place(b"\xff" * 8) == (REGISTERS - 1, 1)
    assert place((1 << PRECISION).to_bytes(8, "little")) == (0, HIGHEST_RANK - 1)
    assert locate("a key") == place(digest("a key"))
    assert digest("a key") != digest("a kez")


def test_a_key_is_hashed_alike_in_every_process() -> None:
    """Python's own hash would not be."""
    module = "flask_caching_instrumentation.distinct.hyperloglog"
    code = f"from {module} import locate; print(locate('k\\udc80'))"
    paths = {"PYTHONPATH": ":".join(each for each in sys.path if each)}
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**paths, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert answers == {str(locate("k\udc80"))}


@given(sketches(), sketches())
def test_a_union_is_the_maximum_of_each_register(first: bytes, second: bytes) -> None:
    """Byte by byte, whatever the neighbours are."""
    assert union(first, second) == bytes(map(max, first, second))


@given(st.lists(sketches(), max_size=4))
def test_a_union_of_many_is_one_after_the_other(several: list[bytes]) -> None:
    """In any order, and of none it is empty."""
    expected = EMPTY
    for each in several:
        expected = union(expected, each)
    assert union_all(several) == union_all(several[::-1]) == expected
    assert union_all([*several, *several]) == expected


@given(st.binary(min_size=1, max_size=300))
def test_damage_is_no_error(pattern: bytes) -> None:
    """Bytes that are no ranks give some number, not an exception."""
    registers = (pattern * REGISTERS)[:REGISTERS]
    assert estimate(union(registers, EMPTY)) >= 0
    assert 0 <= estimate(union(EMPTY, registers)) <= 2.0**64
    assert estimate(union(registers, registers[::-1])) >= 0


def test_a_full_sketch_is_more_than_can_be_told() -> None:
    """No division by zero, and nothing infinite."""
    assert estimate(bytes([HIGHEST_RANK]) * REGISTERS) == 2.0**64
    assert estimate(EMPTY) == estimate({}) == 0
