"""The numbers of series, and how those of several sources become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from .catalogue import Child, LabelSet, family

__all__ = ["Row", "Sums", "add_rows", "is_gauge", "joined", "width"]

#: The numbers of one series: one, or a histogram's buckets (not cumulated), what is above them
#: all, and the sum. Of a gauge whose latest value counts: the value, and the Unix time of it.
Row: TypeAlias = list[float]

#: The numbers of many series, by family and label values. A family whose numbers did not change
#: is the same object at the next reading; so neither it nor its rows are ever changed.
Sums: TypeAlias = dict[str, Mapping[LabelSet, Row]]


def width(child: Child) -> int:
    """How many numbers a series that is counted has."""
    described = family(child[0])
    return len(described.buckets) + 2 if described.kind == "histogram" else 1


def is_gauge(child: Child) -> bool:
    """Whether a series is a gauge, which goes with whoever it tells of."""
    return family(child[0]).kind == "gauge"


def joined(name: str, known: Row | None, row: Row) -> Row:
    """The numbers of a series of the family ``name``, from those of two sources."""
    if known is None:
        return row
    merge = family(name).merge
    if merge == "sum":
        return [a + b for a, b in zip(known, row, strict=True)]
    if merge == "max":
        return max(known, row)
    # Of equal moments the lower value: one that does not answer is what matters.
    return max(known, row, key=lambda each: (each[1], -each[0]))


def add_rows(sums: Sums, others: Sums) -> None:
    """Put the numbers of one more source to ``sums``."""
    for name, rows in others.items():
        known = sums.get(name)
        if not known:
            sums[name] = rows
            continue
        both = {labels: joined(name, known.get(labels), row) for labels, row in rows.items()}
        sums[name] = {**known, **both}
