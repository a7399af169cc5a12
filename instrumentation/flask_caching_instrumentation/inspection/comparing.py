"""Requests side by side: which share a key, in what they differ, and whether that is a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Literal

from .fields import Fields, fields_of
from .missing import Asking
from .model import Comparison, Difference, RequestSpec
from .places import Place
from .redacting import Redactor
from .tester import Tested, tested

__all__ = ["LEAST", "MOST", "compare"]

#: Requests that can be compared.
LEAST: Final = 2
MOST: Final = 20

#: Seconds in which it is found out what the keys do not depend on, and then what they do.
_LONGEST: Final = 1.0

#: Pairs of requests that are tried for one difference.
_TRIED: Final = 3


def compare(place: Place, requests: Sequence[RequestSpec]) -> Comparison:
    """Several requests side by side; see :meth:`.inspector.Inspector.compare`."""
    if not LEAST <= len(requests) <= MOST:
        raise ValueError(f"{len(requests)} requests were given; {LEAST} to {MOST} can be compared")
    asking = Asking(place, _LONGEST)
    asked = [tested(place, request, asking) for request in requests]
    keys = [each.known.key for each in asked]
    groups = [
        [number for number, key in enumerate(keys) if key == wanted]
        for wanted in dict.fromkeys(key for key in keys if key is not None)
    ]
    colliding = [group for group in groups if _collides([asked[number] for number in group])]
    differences = _differences(place, requests, asked)
    return Comparison(
        explanations=[each.shown for each in asked],
        groups=groups,
        differences=differences,
        verdict=_verdict(keys, groups),
        collision=bool(colliding),
        why=" ".join(_why(asked, groups, colliding, differences)),
    )


def _collides(asked: Sequence[Tested]) -> bool:
    """Whether requests that share a key are for different things."""
    return any(_identity(one) != _identity(other) for one, other in pairwise(asked))


def _identity(asked: Tested) -> tuple[object, object]:
    return asked.known.endpoint, asked.known.arguments


def _verdict(
    keys: Sequence[str | None], groups: Sequence[Sequence[int]]
) -> Literal["distinct", "same", "mixed", "incomparable"]:
    if None in keys:
        return "incomparable"
    if len(groups) == 1:
        return "same"
    return "distinct" if len(groups) == len(keys) else "mixed"


# In what they differ.


def _differences(
    place: Place, requests: Sequence[RequestSpec], asked: Sequence[Tested]
) -> list[Difference]:
    every = [fields_of(request) for request in requests]
    named = [fields.named() for fields in every]
    redactor = Redactor(place.state.config.debug_redact)
    asking = Asking(place, _LONGEST)
    found: list[Difference] = []
    for name in dict.fromkeys(name for each in named for name in each):
        values = [each.get(name) for each in named]
        if len(set(values)) == 1:
            continue
        hides = redactor.hides(name.rpartition(":")[2])
        shown = (
            [
                None if value is None else redactor.value(name.rpartition(":")[2], value)
                for value in values
            ]
            if hides
            else values
        )
        found.append(Difference(name, shown, _is_in_key(asking, name, every, values, asked)))
    return found


def _is_in_key(
    asking: Asking,
    name: str,
    every: Sequence[Fields],
    values: Sequence[str | None],
    asked: Sequence[Tested],
) -> bool:
    """Whether the keys depend on one part: the same request is asked about with the other value."""
    told = False
    for one, other in _pairs(values, asked):
        changed = asking.about(every[one].with_part(name, every[other]))
        if changed is not None:
            told = True
            if changed.key != asked[one].known.key:
                return True
    if told:
        return False
    # Nobody could be asked: what the keys are said to be made of.
    wanted = name.lower()
    return any(
        part.name.lower() == wanted or (wanted == "body" and part.origin == "request.form")
        for each in asked
        for part in each.known.parts
    )


def _pairs(values: Sequence[str | None], asked: Sequence[Tested]) -> Iterator[tuple[int, int]]:
    """Some pairs of requests that differ in a part, the first of which has a key."""
    count = 0
    for one, each in enumerate(asked):
        if each.known.key is None:
            continue
        for other, value in enumerate(values):
            if value != values[one]:
                yield one, other
                count += 1
                if count == _TRIED:
                    return
                break


# The verdict in words.


def _why(
    asked: Sequence[Tested],
    groups: Sequence[Sequence[int]],
    colliding: Sequence[Sequence[int]],
    differences: Sequence[Difference],
) -> Iterator[str]:
    for group in colliding:
        calls = dict.fromkeys(_call(asked[number]) for number in group)
        yield (
            f"{_numbers(group)} are for different things ({', '.join(calls)}) and share the key "
            f"{asked[group[0]].known.key!r}: each may be answered with the page of another."
        )
    lacking = [number for number, each in enumerate(asked) if each.known.key is None]
    if lacking:
        have = "have" if len(lacking) > 1 else "has"
        yield f"{_numbers(lacking)} {have} no key. {asked[lacking[0]].shown.why}"
    if colliding:
        return
    if len(groups) == len(asked):
        yield "Each has a key of its own."
        return
    for group in groups:
        if len(group) > 1:
            yield f"{_numbers(group)} share one key: one entry answers them all."
    ignored = [each.name for each in differences if not each.in_key]
    if ignored:
        yield f"No key depends on {_listed(ignored)}."


def _call(asked: Tested) -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in asked.shown.arguments.items())
    return f"{asked.known.endpoint}({arguments})"


def _numbers(group: Sequence[int]) -> str:
    """Requests by their numbers as people count."""
    numbers = [str(number + 1) for number in group]
    return f"Request{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
