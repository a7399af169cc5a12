"""How a key loses an argument: seen from values and the keys that they led to.

Nothing is asked here; it is given what was asked, and names what a person would look for.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, takewhile
from typing import Any, Final, TypeAlias

from .samples import Sample

__all__ = ["Loss", "loss_of"]

#: A value of the argument, and the key it led to.
Asked: TypeAlias = tuple[Sample, str]

_Pairs: TypeAlias = Sequence[tuple[Sample, Sample]]


@dataclass(frozen=True)
class Loss:
    """What a key does to an argument.

    Attributes:
        rule: The rule of the catalogue; ``constant`` if no value changes the key.
        how: The rest of "it ...": a verb and what it does.
        first: A value.
        second: Another value with the same key; the two are the shortest such.
    """

    rule: str
    how: str
    first: Sample
    second: Sample


def loss_of(asked: Sequence[Asked]) -> Loss | None:
    """What is lost on the way from values to keys; ``None`` if each value has a key of its own.

    Args:
        asked: Different values with their keys.
    """
    keys = [key for _, key in asked]
    if len(set(keys)) == len(keys):
        return None
    pairs = list(combinations(asked, 2))
    met = [(one, other) for (one, key), (other, its) in pairs if key == its]
    apart = [(one, other) for (one, key), (other, its) in pairs if key != its]
    rule, how = _way(asked, met, apart)
    first, second = min(met, key=lambda pair: len(pair[0].text) + len(pair[1].text))
    return Loss(rule, how, first, second)


def _way(asked: Sequence[Asked], met: _Pairs, apart: _Pairs) -> tuple[str, str]:
    if not apart:
        return "constant", "is the same for every value"
    whole = all(type(sample.value) is int for sample, _ in asked)
    found = (
        _folded(met)
        # The last digits of a long number are cut off; they are not a range of values.
        or (_truncated(met, apart) if whole else None)
        or _numeric(asked, met)
        or _truncated(met, apart)
    )
    return found or ("collapsed-argument", "is the same for different values")


# Texts.


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _alphanumeric(text: str) -> str:
    return "".join(filter(str.isalnum, _letters(text)))


#: From what takes away little to what takes away much: the first that explains all is named.
_FOLDS: Final[Sequence[tuple[str, str, Callable[[str], str]]]] = (
    ("case-folded", "takes capital and small letters for the same", str.casefold),
    ("collapsed-argument", "takes no account of spaces around the value", str.strip),
    (
        "collapsed-argument",
        "takes different Unicode forms of one text for the same",
        lambda text: unicodedata.normalize("NFKC", text),
    ),
    ("collapsed-argument", "takes letters with and without accents for the same", _letters),
    (
        "collapsed-argument",
        "takes some separators for the same",
        lambda text: "".join(letter if letter.isalnum() else "-" for letter in text),
    ),
    ("collapsed-argument", "keeps only letters and digits", _alphanumeric),
    (
        "case-folded",
        "takes capital and small letters, and spaces around the value, for the same",
        lambda text: unicodedata.normalize("NFKC", text.strip()).casefold(),
    ),
    (
        "case-folded",
        "keeps only letters and digits, in one case",
        lambda text: _alphanumeric(text).casefold(),
    ),
)


def _folded(met: _Pairs) -> tuple[str, str] | None:
    """Whether all that met differs only in what a fold takes away."""
    for rule, how, fold in _FOLDS:
        if all(fold(one.text) == fold(other.text) for one, other in met):
            return rule, how
    return None


def _truncated(met: _Pairs, apart: _Pairs) -> tuple[str, str] | None:
    """Whether those meet that begin, or end, alike."""
    for end, where in ((False, "beginning"), (True, "end")):
        shared = min(_common(one.text, other.text, end) for one, other in met)
        needed = max(_common(one.text, other.text, end) for one, other in apart)
        if shared and needed < shared:
            kept = f"{needed + 1}" if needed + 1 == shared else f"{needed + 1} to {shared}"
            unit = "character" if kept == "1" else "characters"
            return "truncated", f"keeps only the {where} of the value ({kept} {unit})"
    return None


def _common(one: str, other: str, end: bool) -> int:
    """How many characters two texts have in common at the beginning, or at the end."""
    if end:
        one, other = one[::-1], other[::-1]
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


# Numbers.


def _numeric(asked: Sequence[Asked], met: _Pairs) -> tuple[str, str] | None:
    """Whether numbers meet that are next to each other."""
    values: list[Any] = [sample.value for sample, _ in asked]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        return None
    in_order = [key for _, key in sorted(asked, key=lambda one: one[0].value)]
    ranges = [key for key, _ in groupby(in_order)]
    if len(ranges) > len(set(ranges)):
        # Others, with another key, lie between some that met.
        return None
    if max(abs(one.value - other.value) for one, other in met) < 1:
        return "rounded", "is made of a rounded value"
    return "bucketed", "is the same for a whole range of values"
