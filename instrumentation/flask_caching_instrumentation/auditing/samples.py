"""Values for a route's arguments, built to meet: pairs that a careless key takes for one.

A value begins as the text that a URL would have; its converter says whether it takes that, and what
it makes of it. So converters of an application's own are served like those of Werkzeug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from werkzeug.routing import Rule

from .patterns import matching_texts

__all__ = ["Sample", "converters_of", "same_value", "sample_of", "samples_for"]

#: Values of one argument, at most.
LIMIT: Final = 40

#: Enough values to do without those made from the converter's expression.
_ENOUGH: Final = 12

_LONG: Final = "x" * 300

#: For buckets, remainders, limits, and digits that are cut off at either end.
_INTEGERS: Final = (
    *("1", "2", "3", "5", "7", "10", "11", "12", "19", "23", "99", "100", "101", "110", "123"),
    *("200", "257", "1000", "1001", "1025", "1000001", "2000001"),
    *("1000000000000000001", "1000000000000000002", "9000000000000000001"),
    *("0", "-1", "-5", "-12"),
)

_FLOATS: Final = (
    *("1.0", "1.2", "1.4", "1.49", "1.5", "1.51", "2.0", "1.001", "1.0001", "10.25", "10.75"),
    *("100.5", "123.456", "3.14159", "3.14160", "-1.5", "-1.25"),
)

#: In pairs: case, padding, accents, both normal forms, a common beginning or end, separators.
_TEXTS: Final = (
    *("alpha", "Alpha", "ALPHA", "beta", " alpha", "alpha "),
    *("a-b", "a_b", "a b", "a.b", "a:b", "a+b", "a,b", "ab"),
    *("caf\u00e9", "cafe\u0301", "cafe"),
    *("1", "01", "2", "10", "101"),
    *("product-1", "product-2", "1-product", "2-product"),
    *("a-name-in-two-variants-1", "a-name-in-two-variants-2"),
    *("1-a-name-in-two-variants", "2-a-name-in-two-variants"),
    *(f"{_LONG}1", f"{_LONG}2", f"1{_LONG}", f"2{_LONG}"),
    *("a/b", "b", "a/c", "x/b"),
)

#: What routes often take, for converters that accept no less.
_COMMON: Final = (
    *("en", "de", "fr", "EN", "en-US", "en-GB", "de-DE", "DE", "US", "usd", "EUR"),
    *("2023-12-24", "2024-01-31", "2024-02-29", "2024-12-31", "20240131", "2024", "2023"),
    *("v1", "v2", "1.2.3", "1.2.4", "a@example.org", "b@example.org", "12:30", "12:45"),
    *("asc", "desc", "yes", "no", "true", "false", "small", "large", "red", "blue"),
)

_IDENTIFIERS: Final = (
    *("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"),
    *("10000000-0000-4000-8000-000000000001", "00000000-0001-4000-8000-000000000001"),
    *("00000000-0000-4000-9000-000000000001", "a0000000-0000-4000-8000-00000000000f"),
)


class Sample(NamedTuple):
    """One value of an argument.

    Attributes:
        text: As a URL has it, unquoted.
        value: As the view gets it.
    """

    text: str
    value: Any


def converters_of(rule: Rule) -> dict[str, Any]:
    """The converters of a rule's arguments, by name."""
    # Werkzeug has no public name for them; it has had this one since before 2.0.
    return dict(getattr(rule, "_converters", {}))


def samples_for(converter: Any, extra: Iterable[str] = ()) -> list[Sample]:
    """Different values that a converter takes.

    Args:
        converter: The converter.
        extra: Texts to try as well: constants of the code that makes the key, say.
    """
    expression: str = getattr(converter, "regex", "[^/]+")
    try:
        pattern = re.compile(expression)
    except re.error:
        return []
    found = _accepted(converter, pattern, _known_texts(pattern))
    if len(found) < _ENOUGH:
        more = [*_COMMON, *_IDENTIFIERS, *_near_limits(converter), *matching_texts(expression)]
        more += [text.swapcase() for text in more]
        found = _accepted(converter, pattern, more, found)
    return _accepted(converter, pattern, list(extra)[:LIMIT], found[:LIMIT])


def sample_of(converter: Any, text: str) -> Sample | None:
    """The value that a text stands for, exactly; ``None`` if the converter does not take it."""
    try:
        pattern = re.compile(getattr(converter, "regex", "[^/]+"))
    except re.error:
        return None
    found = _accepted(converter, pattern, [text])
    return found[0] if found and found[0].text == text else None


def _known_texts(pattern: re.Pattern[str]) -> Sequence[str]:
    """The list that is meant for what an expression matches."""
    if pattern.fullmatch("alpha") or pattern.fullmatch("ab"):
        return _TEXTS
    if pattern.fullmatch("1.5"):
        return _FLOATS
    if pattern.fullmatch("1") or pattern.fullmatch("12"):
        return _INTEGERS
    return ()


def _near_limits(converter: Any) -> list[str]:
    """Numbers at the limits of a converter that has some, and padded as it wants them."""
    low, high = getattr(converter, "min", None), getattr(converter, "max", None)
    digits = getattr(converter, "fixed_digits", 0) or 0
    numbers: list[Any] = []
    if isinstance(low, int | float):
        numbers += [low, low + 1, low + 2, low + 9, low + 10, low + 100]
    if isinstance(high, int | float):
        numbers += [high, high - 1, high - 2, high - 10]
    if isinstance(low, int | float) and isinstance(high, int | float):
        step = (high - low) / 7
        numbers += [type(low)(low + step * part) for part in range(1, 7)]
    texts = [str(number) for number in numbers] + (list(_INTEGERS) if digits else [])
    if isinstance(low, float) or isinstance(high, float):
        texts += [f"{number:.2f}" for number in numbers]
    return [text.zfill(digits) for text in texts]


def _accepted(
    converter: Any, pattern: re.Pattern[str], texts: Iterable[str], found: Sequence[Sample] = ()
) -> list[Sample]:
    """``found``, and those of the texts that the converter takes for other values."""
    accepted = list(found)
    for text in texts:
        if not pattern.fullmatch(text):
            continue
        try:
            value = converter.to_python(text)
            again = unquote(converter.to_url(value))
        except Exception:
            # It refuses this text (a date that does not exist, say), by whatever exception.
            continue
        if pattern.fullmatch(again) and not any(
            again == known.text or same_value(value, known.value) for known in accepted
        ):
            accepted.append(Sample(again, value))
    return accepted


def same_value(one: Any, other: Any) -> bool:
    """Whether two arguments are equal, and of one type."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        return bool(one == other)
    except Exception:
        # An object that cannot be compared is not equal to another.
        return False
