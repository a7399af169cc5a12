"""Texts that match a regular expression: values for a route's argument whose converter has one.

Reads what :mod:`re` has parsed. Of each choice the first few possibilities are taken, so the texts
are short and few; what cannot be made (a lookahead that nothing satisfies, say) is left out by
whoever checks them against the expression.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

__all__ = ["matching_texts"]

#: The parser behind ``re``, which has no public name.
_parser: Any = importlib.import_module("re._parser")

#: Texts that are kept of each part of an expression.
_WIDTH: Final = 12

#: What stands for a character that may be nearly anything.
_LETTERS: Final = "abz019AZ-_.x"

_CATEGORIES: Final = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": "abz-",
    "CATEGORY_WORD": "abz019AZ_",
    "CATEGORY_NOT_WORD": "-. ",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": _LETTERS,
}


def matching_texts(expression: str, limit: int = 24) -> list[str]:
    """A few different texts that match all of an expression; none if that is beyond this.

    Args:
        expression: A regular expression, as a converter's ``regex``.
        limit: At most so many.
    """
    try:
        compiled = re.compile(expression)
        texts = _sequence(_parser.parse(expression))
    except (re.error, NotImplementedError, RecursionError, OverflowError):
        return []
    matching = (text for text in dict.fromkeys(texts) if compiled.fullmatch(text))
    return list(itertools.islice(matching, limit))


def _sequence(parts: Iterable[tuple[Any, Any]]) -> list[str]:
    """Texts for one part after the other; not all combinations, but each part's every text."""
    texts = [""]
    for operation, argument in parts:
        texts = _joined(texts, _part(str(operation), argument))
    return texts


def _joined(left: Sequence[str], right: Sequence[str]) -> list[str]:
    if not (left and right):
        return []
    count = max(len(left), len(right))
    paired = [left[at % len(left)] + right[at % len(right)] for at in range(count)]
    crossed = [one + other for one in left[:3] for other in right[:3]]
    return list(dict.fromkeys([*paired, *crossed]))[: 2 * _WIDTH]


def _part(operation: str, argument: Any) -> list[str]:
    if operation == "LITERAL":
        return [chr(argument)]
    if operation in ("ANY", "NOT_LITERAL"):
        return [letter for letter in _LETTERS if operation == "ANY" or ord(letter) != argument]
    if operation == "IN":
        return _characters(argument)
    if operation == "CATEGORY":
        return list(_CATEGORIES.get(str(argument), ""))
    if operation == "BRANCH":
        branches = [_sequence(branch) for branch in argument[1]]
        # The first of each before the second of any.
        rows = itertools.zip_longest(*branches)
        return [text for row in rows for text in row if text is not None][: 3 * _WIDTH]
    if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeated(*argument)
    if operation == "SUBPATTERN":
        return _sequence(argument[-1])
    if operation == "ATOMIC_GROUP":
        return _sequence(argument)
    if operation in ("AT", "ASSERT", "ASSERT_NOT"):
        # They take no characters; whether they hold is found out by matching.
        return [""]
    raise NotImplementedError(operation)


def _characters(members: Sequence[tuple[Any, Any]]) -> list[str]:
    """What a character class stands for."""
    if str(members[0][0]) == "NEGATE":
        excluded = "".join(_characters(members[1:])) if len(members) > 1 else ""
        ranges = [argument for operation, argument in members if str(operation) == "RANGE"]
        return [
            letter
            for letter in _LETTERS
            if letter not in excluded
            and not any(low <= ord(letter) <= high for low, high in ranges)
        ]
    found: list[str] = []
    for operation, argument in members:
        if str(operation) == "RANGE":
            low, high = argument
            # Both ends, and some that are neither.
            codes = dict.fromkeys([low, high, *range(low, min(high, low + 9) + 1)])
            found.extend(map(chr, codes))
        else:
            found.extend(_part(str(operation), argument))
    # One of each kind first, so that the few that are kept are of all kinds.
    found.sort(key=_rank)
    return list(dict.fromkeys(found))[: 2 * _WIDTH]


def _rank(letter: str) -> int:
    """How soon a character is wanted: first and last of each alphabet before those between."""
    return 0 if letter in "azAZ09-_" else 1


def _repeated(least: int, most: int, inside: Any) -> list[str]:
    """Texts of a part that is repeated: the shortest, and some that are longer."""
    texts = _sequence(inside)
    counts = {least, min(most, least + 1), min(most, least + 2), min(most, max(least, 8))}
    made: list[str] = []
    for count in sorted(counts):
        if count == 0:
            made.append("")
        elif count * max(map(len, texts), default=1) > 2000:
            raise OverflowError("too long to be an argument")
        else:
            made.extend(_runs(texts, count))
    return list(dict.fromkeys(made))[: 4 * _WIDTH]


def _runs(texts: Sequence[str], count: int) -> list[str]:
    """``count`` of the texts in a row: all the same, and one that differs at either end."""
    runs: list[str] = []
    for text in texts[:_WIDTH]:
        runs.append(text * count)
    if len(texts) > 1:
        first, other = texts[0], texts[1]
        runs += [first * (count - 1) + text for text in texts[1:6]]
        runs += [text + first * (count - 1) for text in texts[1:6]]
        runs.append((first + other) * (count // 2) + first * (count % 2))
    return runs
