"""What the cache has done so far, arranged for the overview's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "Summary", "summarise"]


@dataclass(frozen=True)
class Row:
    """The numbers of one target: a view, a memoized function, a fragment.

    Attributes:
        source: ``view``, ``memoize``, ``template`` or ``direct``.
        target: Endpoint, qualified name or fragment name.
        hits: Lookups answered from the cache.
        misses: Lookups that were not: nothing found, too old, or the store failed.
        loads: How often the value was computed.
        load_seconds: How long that took, all together.
        saved_seconds: How long the hits would have taken.
    """

    source: str
    target: str
    hits: int = 0
    misses: int = 0
    loads: int = 0
    load_seconds: float = 0.0
    saved_seconds: float = 0.0

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def ratio(self) -> float | None:
        """Hits among lookups, 0 to 1; ``None`` before the first lookup."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def mean_load_seconds(self) -> float | None:
        """What a miss costs; ``None`` before the first."""
        return self.load_seconds / self.loads if self.loads else None


@dataclass(frozen=True)
class Summary:
    """Every target, busiest first, and their sum; no rows where nothing is measured."""

    rows: list[Row]
    total: Row


def summarise(stats: Mapping[str, Any]) -> Summary:
    """Arrange what ``cache.stats()`` answers, which is nothing where nothing is measured."""
    rows = [row for row in _rows(stats) if row.lookups or row.loads]
    rows.sort(key=lambda row: (-row.lookups, row.target))
    return Summary(rows, _row("", "all", stats) if stats else Row("", "all"))


def _rows(stats: Mapping[str, Any]) -> Iterator[Row]:
    for source, targets in stats.get("targets", {}).items():
        for target, counted in targets.items():
            yield _row(source, target, counted)


def _row(source: str, target: str, counted: Mapping[str, Any]) -> Row:
    lookups, loads = counted["lookups"], counted["loads"].values()
    return Row(
        source,
        target,
        hits=lookups["hit"],
        misses=sum(lookups.values()) - lookups["hit"],
        loads=sum(load["count"] for load in loads),
        load_seconds=sum(load["seconds"] for load in loads),
        saved_seconds=counted["saved_seconds"],
    )
