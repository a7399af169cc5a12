"""What was measured: a number of each turn, for each work of each subject."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Results", "Series", "Spread"]


class Series(NamedTuple):
    """Which numbers.

    Attributes:
        suite: For example ``hits``.
        store: For example ``memory``.
        subject: For example ``ours``.
        work: For example ``memoize``.
    """

    suite: str
    store: str
    subject: str
    work: str


class Spread(NamedTuple):
    """The middle of some numbers, and how far they lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: list[float]) -> Spread:
        """Of at least one number; the quartiles from four on, else the least and the greatest."""
        if len(numbers) < 4:
            return cls(statistics.median(numbers), min(numbers), max(numbers))
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Results:
    """Everything that was measured.

    Attributes:
        turns: The numbers of a series, one of each turn, in the suite's plain unit (seconds,
            bytes, calls a second).
        versions: The packages of each subject.
        skipped: What was not measured, and why.
        facts: What suites have to say beside their numbers.
        stolen: Of each run, what part of a core's time the hypervisor took away.
    """

    turns: dict[Series, list[float]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    stolen: list[float] = field(default_factory=list)

    def add(self, suite: str, store: str, subject: str, values: Mapping[str, float]) -> None:
        """Take in what one turn of one subject gave."""
        for work, value in values.items():
            self.turns.setdefault(Series(suite, store, subject, work), []).append(value)

    def skip(self, reason: str) -> None:
        """Say what was not measured; once."""
        if reason not in self.skipped:
            self.skipped.append(reason)

    def spread(self, series: Series) -> Spread | None:
        """The median and the quartiles of a series; ``None`` if it was not measured."""
        numbers = self.turns.get(series)
        return Spread.of(numbers) if numbers else None

    def works(self, suite: str, store: str) -> dict[str, list[str]]:
        """The works of a suite on a store, in their order, with the subjects that did them."""
        found: dict[str, list[str]] = {}
        for series in self.turns:
            if series[:2] == (suite, store):
                found.setdefault(series.work, []).append(series.subject)
        return found

    def as_json(self) -> Iterator[dict[str, Any]]:
        """Each series as an object."""
        for series, numbers in self.turns.items():
            yield {**series._asdict(), **Spread.of(numbers)._asdict(), "turns": numbers}
