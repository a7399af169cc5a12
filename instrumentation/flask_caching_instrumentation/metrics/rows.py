"""The numbers of one series, and how those of several sources become one."""

from __future__ import annotations

from typing import TypeAlias

from .catalogue import Child, family

__all__ = ["Row", "Sums", "add_row", "is_gauge", "width"]

#: The numbers of one series: one, or a histogram's buckets (not cumulated), what is above them
#: all, and the sum. Of a gauge whose latest value counts: the value, and the Unix time of it.
Row: TypeAlias = list[float]

Sums: TypeAlias = dict[Child, Row]


def width(child: Child) -> int:
    """How many numbers a series that is counted has."""
    described = family(child[0])
    return len(described.buckets) + 2 if described.kind == "histogram" else 1


def is_gauge(child: Child) -> bool:
    """Whether a series is a gauge, which goes with whoever it tells of."""
    return family(child[0]).kind == "gauge"


def add_row(sums: Sums, child: Child, row: Row) -> None:
    """Put the numbers of one more source to those that ``sums`` has of a series."""
    known = sums.get(child)
    if known is None:
        sums[child] = row
        return
    merge = family(child[0]).merge
    if merge == "sum":
        sums[child] = [a + b for a, b in zip(known, row, strict=True)]
    elif merge == "max":
        sums[child] = max(known, row)
    else:
        # Of equal moments the lower value: one that does not answer is what matters.
        sums[child] = max(known, row, key=lambda each: (each[1], -each[0]))
