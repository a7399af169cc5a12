"""Latencies of operations, read from the buckets of a histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from ..metrics.catalogue import family
from ..metrics.rows import Row
from .model import Latency

__all__ = ["latencies_of", "percentile"]

_BOUNDS: Final = family("operation_duration_seconds").buckets


def latencies_of(durations: Mapping[tuple[str, str], Row]) -> list[Latency]:
    """How long the calls of each operation took, the most frequent first.

    Args:
        durations: By operation and outcome, see :meth:`.counting.Counting.durations`.
    """
    sums: dict[str, Row] = {}
    errors: dict[str, int] = {}
    for (operation, outcome), row in durations.items():
        known = sums.get(operation, [0.0] * len(row))
        sums[operation] = [a + b for a, b in zip(known, row, strict=True)]
        if outcome == "error":
            errors[operation] = errors.get(operation, 0) + int(sum(row[:-1]))
    latencies = [
        Latency(
            operation,
            int(sum(row[:-1])),
            errors.get(operation, 0),
            *(percentile(row[:-1], _BOUNDS, share) for share in (0.5, 0.95, 0.99)),
        )
        for operation, row in sums.items()
        if sum(row[:-1])
    ]
    return sorted(latencies, key=lambda each: (-each.calls, each.operation))


def percentile(counts: Sequence[float], bounds: Sequence[float], share: float) -> float | None:
    """The number that a share of all observations is not above, linear within its bucket.

    Args:
        counts: Of each bucket, and of what is above them all; not cumulated.
        bounds: The buckets' upper bounds.
        share: From 0 to 1.

    Returns:
        The number; the highest bound for what is above that, ``None`` for no observations.
    """
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    lower = 0.0
    for bound, count, upto in zip(bounds, counts, accumulate(counts), strict=False):
        if upto >= rank and count:
            return lower + (bound - lower) * (rank - (upto - count)) / count
        lower = bound
    return bounds[-1]
