"""Stores that live in this process or on this machine, and what they say of themselves."""

from __future__ import annotations

import weakref
from typing import TypeAlias

from flask_caching.backends.base import SupportsSize
from flask_caching.observer import report_fault

from .metrics import Child, LabelSet

__all__ = ["Sums", "WatchedStore", "add_up"]

#: Numbers of gauges and counters, by series.
Sums: TypeAlias = dict[Child, float]


class WatchedStore:
    """A store whose size and evictions are reported. Held weakly; its counts outlive it.

    Args:
        labels: The common labels.
        store: The store.
    """

    def __init__(self, labels: LabelSet, store: SupportsSize) -> None:
        self.labels = labels
        self._store = weakref.ref(store)
        self._evictions = store.evictions
        self._told: Sums = {}

    @property
    def gone(self) -> bool:
        """Whether the store does not exist any more."""
        return self._store() is None

    def sizes(self) -> Sums:
        """What it holds, and its limit if it has one; empty when it is gone.

        A store that fails to answer has no size; a scrape must not fail with it.
        """
        store = self._store()
        if store is None:
            return {}
        try:
            sizes: Sums = {("entries", self.labels): store.size()}
            if store.threshold:
                sizes["entries_limit", self.labels] = store.threshold
        except Exception as fault:
            report_fault("metrics.entries", fault)
            return {}
        return sizes

    def evictions(self) -> Sums:
        """Its evictions since it was made."""
        store = self._store()
        if store is not None:
            self._evictions = store.evictions
        return {
            ("evictions_total", (*self.labels, reason)): count
            for reason, count in dict(self._evictions).items()
        }

    def new_evictions(self) -> Sums:
        """Its evictions since the last call of this method."""
        before, self._told = self._told, self.evictions()
        return {child: max(count - before.get(child, 0), 0) for child, count in self._told.items()}


def add_up(sums: Sums, more: Sums) -> None:
    """Add the numbers of ``more`` to those of ``sums``, in place."""
    for child, number in more.items():
        sums[child] = sums.get(child, 0) + number
