"""What the calls to a backend are called, and how each answer counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from types import MappingProxyType
from typing import Any, Final

from flask_caching.backends.base import RESERVED

__all__ = [
    "MEASURED",
    "WRITES",
    "done",
    "exists",
    "found",
    "found_all",
    "found_own",
    "found_values",
    "own",
    "stored",
    "stored_of",
]

#: Method to ``operation`` label. The value level and the entry level are one operation.
MEASURED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "add": "add",
        "add_entry": "add",
        "clear": "clear",
        "dec": "dec",
        "delete": "delete",
        "delete_many": "delete_many",
        "get": "get",
        "get_dict": "get_many",
        "get_entries": "get_many",
        "get_entry": "get",
        "get_many": "get_many",
        "has": "has",
        "inc": "inc",
        "keys": "keys",
        "release_lock": "delete",
        "set": "set",
        "set_entry": "set",
        "set_many": "set_many",
        "touch": "touch",
        "ttl": "ttl",
        "unlink": "unlink",
    }
)

#: Operations that may change how much a store holds.
WRITES: Final = frozenset(
    {"add", "clear", "dec", "delete", "delete_many", "inc", "set", "set_many", "unlink"}
)


def found(value: object) -> str:
    """Of a read of one key."""
    return "miss" if value is None else "hit"


def found_all(values: Sequence[object]) -> str:
    """Of a read of several."""
    there = len(values) - sum(value is None for value in values)
    if there == len(values):
        return "hit"
    return "partial" if there else "miss"


def own(keys: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """The values of the application's keys; a lock or the switch may be read along with them."""
    return [value for key, value in zip(keys, values, strict=True) if not key.startswith(RESERVED)]


def found_own(keys: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    """Of a read of several, by the keys that it was of: as far as they are the application's."""
    return lambda values: found_all(own(keys, values))


def found_values(values: Mapping[str, object]) -> str:
    """The same, of values by key."""
    return found_all(list(values.values()))


def exists(answer: object) -> str:
    """Of what says whether a key was there."""
    return "hit" if answer else "miss"


def stored(answer: object) -> str:
    """Of a write. Backends of old return None for success."""
    return "stored" if answer is None or answer else "refused"


def stored_of(given: object) -> Callable[[Any], str]:
    """Of a write of several, by what was given; backends of old answer a flag."""

    def outcome(answer: Any) -> str:
        if not isinstance(answer, Sized) or not isinstance(given, Sized):
            return stored(answer)
        kept = len(answer)
        return "stored" if kept >= len(given) else "partial" if kept else "refused"

    return outcome


def done(answer: object) -> str:
    """Of what just has to be done."""
    return "ok"
