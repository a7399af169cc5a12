"""The suites: what is measured of whom, on which stores, in which unit, and how often at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.workers.subjects import STORES, SUBJECTS

__all__ = ["SUITES", "UNDER_LOAD", "Suite", "Unit"]


@dataclass(frozen=True)
class Unit:
    """What the numbers of a suite are.

    Attributes:
        name: As it is shown.
        factor: What a number is multiplied with to be shown.
        digits: After the point.
        more_is_better: Calls a second, not seconds.
    """

    name: str
    factor: float = 1.0
    digits: int = 2
    more_is_better: bool = False


MICROSECONDS = Unit("microseconds a call", 1e6)
CALLS = Unit("thousand calls a second, all threads together", 1e-3, 1, more_is_better=True)
BYTES = Unit("bytes an entry, key and value among them", 1.0, 0)
MILLISECONDS = Unit("milliseconds", 1e3)
REQUESTS = Unit("requests a second", 1.0, 0, more_is_better=True)
PROCESSOR = Unit("microseconds a request", 1e6, 1)


@dataclass(frozen=True)
class Suite:
    """One kind of work.

    Attributes:
        title: What it is about, in a few words.
        unit: What its numbers are.
        subjects: Who does it, by store.
        most_turns: Fewer than the others where one turn takes long.
        times: More turns than the others have, where it is a matter of a few per cent.
        full: How large the full caches are, by store.
        one_core: Whether the worker and the server share a core (``running.one_core``).
    """

    title: str
    unit: Unit
    subjects: Mapping[str, tuple[str, ...]]
    most_turns: int | None = None
    times: int = 1
    full: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    one_core: bool = True


def _all_of(store: str) -> tuple[str, ...]:
    return tuple(name for name, subject in SUBJECTS.items() if store in subject.stores)


_FLASK = ("ours", "bare", "released")
_SERVED = {"memory": (*_FLASK, "floor"), "redis": (*_FLASK, "floor")}

#: What is measured of gunicorn's workers, all at once (``load.py``).
UNDER_LOAD = ("load", "processor")

SUITES: dict[str, Suite] = {
    "hits": Suite(
        "hits, misses and values",
        MICROSECONDS,
        {store: _all_of(store) for store in STORES},
    ),
    "load": Suite("two gunicorn workers under wrk", REQUESTS, _SERVED, times=4),
    "processor": Suite(
        "processor time of two gunicorn workers under wrk", PROCESSOR, _SERVED, times=4
    ),
    "full": Suite(
        "writes of new keys into full caches",
        MICROSECONDS,
        {
            "memory": (*_FLASK, "cachetools", "cashews", "Django"),
            "files": (*_FLASK, "diskcache", "Django"),
        },
        most_turns=2,
        full={"memory": (500, 5_000, 50_000), "files": (500, 5_000, 50_000)},
    ),
    "threads": Suite(
        "hits from several threads",
        CALLS,
        {
            "memory": (*_FLASK, "dogpile.cache", "cachetools", "Django"),
            "redis": (*_FLASK, "dogpile.cache", "Django"),
        },
        most_turns=3,
        one_core=False,
    ),
    "growth": Suite(
        "values of 1 kB, 100 kB and 5 MB",
        MICROSECONDS,
        {
            "memory": (*_FLASK, "dogpile.cache", "Django", "floor"),
            "files": (*_FLASK, "diskcache", "Django", "floor"),
            "redis": (*_FLASK, "dogpile.cache", "Django", "floor"),
        },
        most_turns=2,
    ),
    "million": Suite(
        "a thousand keys, and a million",
        MICROSECONDS,
        {
            "memory": (*_FLASK, "dogpile.cache", "cachetools", "Django"),
            "redis": (*_FLASK, "dogpile.cache", "Django"),
        },
        most_turns=1,
    ),
    "entry": Suite(
        "memory of an entry of about 100 characters",
        BYTES,
        {"memory": (*_FLASK, "dogpile.cache", "cachetools", "Django")},
        most_turns=1,
    ),
    "scrape": Suite(
        "a scrape of a busy application",
        MILLISECONDS,
        {"memory": ("ours",)},
    ),
}
