"""What is promised, as data, and what the measurements say of it.

They are those of ``docs/performance.md``. A ratio is taken within each turn, and the median of the
turns counts: what slows the machine down for a while slows both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.results import Results, Series, Spread

__all__ = ["PROMISES", "Promise", "Verdict", "judge"]


@dataclass(frozen=True)
class Promise:
    """One number that is promised.

    Attributes:
        of: What is measured of ours.
        by: What it is held against: a ratio; ``None``: nothing, it is a number by itself.
        at_most: The most that is promised.
        at_least: The least that is promised.
        less: The difference is promised, not the ratio: ``of`` less ``by``.
        unit: Of a number that is not a ratio: what the limits are in, and its size in the suite's
            plain unit.
    """

    of: Series
    by: Series | None = None
    at_most: float | None = None
    at_least: float | None = None
    less: bool = False
    unit: tuple[str, float] = ("", 1.0)

    @property
    def claim(self) -> str:
        """What is measured, in words."""
        what = f"{self.of.store}, {self.of.work}"
        return f"{what}, processor" if self.of.suite == "processor" else what

    @property
    def against(self) -> str:
        """What it is held against, in words."""
        if self.by is None:
            return ""
        own_name = self.by.subject == "floor" or self.by.subject == self.of.subject
        name = self.by.work if own_name else self.by.subject
        return f"{'less' if self.less else 'of'} {name}"

    @property
    def limit(self) -> str:
        """In words."""
        if self.at_most is not None:
            return f"<= {self.at_most:g} {self.unit[0]}".rstrip()
        return f">= {self.at_least:g} {self.unit[0]}".rstrip()

    def turns(self, results: Results) -> list[float]:
        """Its number in each turn; empty if something of it was not measured."""
        ours = results.turns.get(self.of, [])
        if self.by is None:
            return [number / self.unit[1] for number in ours]
        theirs = results.turns.get(self.by, [])
        if self.less:
            return [(a - b) / self.unit[1] for a, b in zip(ours, theirs, strict=False)]
        return [a / b for a, b in zip(ours, theirs, strict=False)]

    def kept_by(self, number: float) -> bool:
        """Whether a number keeps the promise."""
        if self.at_most is not None and number > self.at_most:
            return False
        return self.at_least is None or number >= self.at_least


@dataclass(frozen=True)
class Verdict:
    """A promise beside what was measured; no spread if nothing was."""

    promise: Promise
    measured: Spread | None

    @property
    def kept(self) -> bool | None:
        """Whether it is kept; ``None`` if it was not measured."""
        return self.promise.kept_by(self.measured.median) if self.measured else None

    def as_json(self) -> dict[str, Any]:
        """As an object."""
        promise, measured = self.promise, self.measured
        return {
            "claim": f"{promise.claim} {promise.against}".strip(),
            "at_most": promise.at_most,
            "at_least": promise.at_least,
            "unit": promise.unit[0] or "ratio",
            "measured": measured and measured._asdict(),
            "kept": self.kept,
        }


def judge(results: Results) -> list[Verdict]:
    """Every promise beside what was measured."""
    verdicts = []
    for promise in PROMISES:
        numbers = promise.turns(results)
        verdicts.append(Verdict(promise, Spread.of(numbers) if numbers else None))
    return verdicts


def _against(subject: str, store: str, work: str, at_most: float) -> Promise:
    ours = Series("hits", store, "ours", work)
    return Promise(ours, ours._replace(subject=subject), at_most=at_most)


def _floor(store: str, work: str, floor: str, at_most: float) -> Promise:
    ours = Series("hits", store, "ours", work)
    return Promise(ours, Series("hits", store, "floor", floor), at_most=at_most)


def _telemetry(work: str) -> Promise:
    ours = Series("hits", "memory", "ours", work)
    bare = ours._replace(subject="bare")
    return Promise(ours, bare, at_most=0.7, less=True, unit=("us", 1e-6))


def _constant(store: str, size: str) -> Promise:
    ours = Series("full", store, "ours", f"set, full of {size}")
    return Promise(ours, ours._replace(work="set, full of 500"), at_most=1.5)


def _load(store: str, page: str, subject: str, at_least: float) -> Promise:
    ours = Series("load", store, "ours", page)
    return Promise(ours, ours._replace(subject=subject), at_least=at_least)


def _processor(store: str, at_most: float) -> Promise:
    ours = Series("processor", store, "ours", "all pages")
    return Promise(ours, ours._replace(subject="bare"), at_most=at_most)


#: Of the released library's time: the hit of a page in the decorator, with and without a query
#: string; of a function, of one argument and with keywords; ``get``.
_MEMOIZED = ("memoize", "memoize, keywords")
_RELEASED: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("memory", ("view", "view, query string"), 0.35),
    ("memory", _MEMOIZED, 0.15),
    ("memory", ("get",), 0.8),
    ("files", ("view",), 0.7),
    ("files", _MEMOIZED, 0.3),
    ("files", ("set",), 0.5),
    ("redis", ("view",), 0.95),
    ("redis", _MEMOIZED, 0.5),
    ("memcached", ("view",), 0.95),
    ("memcached", _MEMOIZED, 0.5),
)

PROMISES: tuple[Promise, ...] = (
    *(
        _against("released", store, work, at_most)
        for store, works, at_most in _RELEASED
        for work in works
    ),
    _floor("memory", "request", "bare view", 1.15),
    *(_floor("redis", work, "redis-py GET", 1.15) for work in _MEMOIZED),
    *(
        _against(subject, "memory", work, 1.0)
        for subject, work in product(("dogpile.cache", "cashews"), _MEMOIZED)
    ),
    *(_telemetry(work) for work in ("view", "memoize", "get")),
    Promise(
        Series("scrape", "memory", "ours", "scrape, 200 targets"), at_most=5.0, unit=("ms", 1e-3)
    ),
    *(_constant(*each) for each in product(("memory", "files"), ("5,000", "50,000"))),
    # Of all pages together, since of one it cannot be told from the spread.
    *(_load(store, "all pages", "bare", 0.97) for store in ("memory", "redis")),
    *(_processor(store, 1.03) for store in ("memory", "redis")),
    *(_load("redis", page, "released", 1.2) for page in ("page", "search", "total")),
)
