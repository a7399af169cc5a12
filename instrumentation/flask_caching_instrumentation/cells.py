"""Counting in memory without a lock: a cell for each thread, summed when somebody asks.

``Counter.inc`` of prometheus_client takes a lock on every call. Here each thread has a row of
numbers that only it writes, and a scrape adds the rows up: exact, and several times cheaper. A
thread that ends leaves its row, which is folded into a common one. An application that ends
leaves its counters, which are folded into those of its collector, and takes its gauges along.

One :class:`CellCollector` serves a registry and namespace; every application has a
:class:`CellRecorder` of its own in it, and equal label sets are added up.
"""

from __future__ import annotations

import os
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from flask_caching.backends.base import SupportsSize
from flask_caching.errors import ConfigurationError
from flask_caching.observer import faults

from .metrics import (
    CATALOGUE,
    Add,
    Child,
    Family,
    LabelSet,
    Numbers,
    Observe,
    Timing,
    build_labels,
    family,
    full_name,
    telemetry_errors,
)
from .stores import WatchedStore

__all__ = ["CellCollector", "CellRecorder", "collector_for"]

Row: TypeAlias = list[float]

# Reentrant: a destructor that the garbage collector runs while it is held may use a cache.
_lock = threading.RLock()


def _renew_lock() -> None:
    # A thread that held it when the process forked does not exist in the child.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Cells:
    """Numbered places that many threads add to.

    Attributes:
        size: Places handed out so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._rows: dict[int, tuple[Row, weakref.ref[_Owner]]] = {}
        self._folded: Row = []
        self._ended: deque[int] = deque()

    def allocate(self, count: int) -> int:
        """Hand out ``count`` places in a row that begin at zero; returns the first."""
        with _lock:
            first = self.size
            self.size += count
            return first

    def open_row(self, owner: _Owner) -> Row:
        """A row for the calling thread, folded after ``owner``, which it holds, is gone."""
        row: Row = []
        number = id(row)
        ended = self._ended

        def end(_: object) -> None:
            # May run in the middle of anything: must not take the lock.
            ended.append(number)

        with _lock:
            self._fold()
            self._rows[number] = row, weakref.ref(owner, end)
        return row

    def totals(self) -> Row:
        """The sum of all rows, as long as the places handed out."""
        with _lock:
            self._fold()
            sums = [0.0] * self.size
            for row in (self._folded, *(row for row, _ in self._rows.values())):
                # A copy in one step, while the row's own thread goes on writing.
                for place, number in enumerate(row[:]):
                    if number:
                        sums[place] += number
            return sums

    def _fold(self) -> None:
        while self._ended:
            row, _ = self._rows.pop(self._ended.popleft())
            self._folded.extend([0] * (len(row) - len(self._folded)))
            for place, number in enumerate(row):
                self._folded[place] += number


class _Owner:
    """Lives as long as its thread, or as the cells."""

    __slots__ = ("__weakref__",)


class _Local(threading.local):
    """The calling thread's row. Lives as long as anything that can still write to the cells."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.owner = _Owner()
        self.row = cells.open_row(self.owner)

    def grow(self) -> Row:
        """Lengthen the calling thread's row to all the places handed out."""
        self.row.extend([0] * (self.cells.size - len(self.row)))
        return self.row


# What the functions below return runs on every use of the cache. A row is as long as the places
# handed out when it last grew, so a histogram's places are all in it, or none is.


def _adder(local: _Local, place: int) -> Add:
    def add(amount: float = 1, /) -> None:
        try:
            local.row[place] += amount
        except IndexError:
            local.grow()[place] += amount

    return add


def _pair_adder(local: _Local, first: int, second: int) -> Observe:
    """Adds 1 in the first place and what it is given in the second, at one access to the row."""
    last = max(first, second)

    def add(amount: float, /) -> None:
        row = local.row
        if len(row) <= last:
            row = local.grow()
        row[first] += 1
        row[second] += amount

    return add


def _observer(local: _Local, first: int, bounds: tuple[float, ...]) -> Observe:
    # One place for each bucket, one for what is above them all, one for the sum.
    last = first + len(bounds) + 1
    lowest = bounds[0]

    def observe(seconds: float, /) -> None:
        row = local.row
        # A store in this process is nearly always in the first bucket.
        place = first if seconds <= lowest else first + bisect_left(bounds, seconds)
        try:
            row[place] += 1
        except IndexError:
            row = local.grow()
            row[place] += 1
        row[last] += seconds

    return observe


class _Book:
    """One application's numbers: where each child's places begin, and the stores it watches.

    A child's numbers are a list: of one, or of a histogram's buckets and sum.
    """

    def __init__(self) -> None:
        self.cells = Cells()
        self.places: dict[Child, int] = {}
        self.watched: list[WatchedStore] = []

    def read(self) -> dict[Child, Row]:
        """Every child's numbers now."""
        numbers = self._counted()
        for each in list(self.watched):
            for child, number in each.sizes().items():
                _add(numbers, child, [number])
        return numbers

    def left(self) -> dict[Child, Row]:
        """What stays when the application is gone: counters and histograms."""
        return {
            child: row for child, row in self._counted().items() if family(child[0]).kind != "gauge"
        }

    def _counted(self) -> dict[Child, Row]:
        with _lock:
            places = dict(self.places)
            totals = self.cells.totals()
        numbers = {child: totals[at : at + _width(child)] for child, at in places.items()}
        for each in list(self.watched):
            for child, number in each.evictions().items():
                _add(numbers, child, [number])
        return numbers


def _width(child: Child) -> int:
    described = family(child[0])
    return len(described.buckets) + 2 if described.kind == "histogram" else 1


def _add(sums: dict[Child, Row], child: Child, row: Row) -> None:
    known = sums.get(child)
    sums[child] = row if known is None else [a + b for a, b in zip(known, row, strict=True)]


class CellRecorder:
    """The recorder of one application (see :class:`.metrics.Recorder`)."""

    def __init__(self, book: _Book, local: _Local) -> None:
        self._book = book
        self._local = local

    def hits(self, *asker: str) -> Observe:
        first = self._place(("lookups_total", (*asker, "hit")))
        second = self._place(("saved_seconds_total", asker))
        return _pair_adder(self._local, first, second)

    @property
    def changed(self) -> None:
        """Nobody needs to be told: a scrape asks the stores."""
        return None

    def counter(self, name: str, *labels: str) -> Add:
        return _adder(self._local, self._place((name, labels)))

    gauge = counter

    def histogram(self, name: str, *labels: str) -> Observe:
        return _observer(self._local, self._place((name, labels)), family(name).buckets)

    def watch(self, labels: LabelSet, store: SupportsSize) -> None:
        with _lock:
            self._book.watched.append(WatchedStore(labels, store))

    def read(self) -> Numbers:
        numbers: Numbers = {}
        for (name, labels), row in self._book.read().items():
            timed = family(name).kind == "histogram"
            value = Timing(int(sum(row[:-1])), row[-1]) if timed else row[0]
            numbers.setdefault(name, {})[labels] = value
        return numbers

    def _place(self, child: Child) -> int:
        with _lock:
            place = self._book.places.get(child)
            if place is None:
                place = self._book.cells.allocate(_width(child))
                self._book.places[child] = place
            return place


class CellCollector:
    """What a registry asks for the families of one namespace.

    Args:
        namespace: Prefix of every family's name.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._books: dict[int, tuple[_Book, weakref.ref[_Local]]] = {}
        self._ended: deque[int] = deque()
        self._left: dict[Child, Row] = {}
        self._build = build_labels()

    def open(self) -> CellRecorder:
        """A recorder for one more application."""
        book = _Book()
        local = _Local(book.cells)
        ended = self._ended
        number = id(book)
        with _lock:
            self._fold()
            # Whatever can still count holds ``local``: when it goes, the numbers are final.
            self._books[number] = book, weakref.ref(local, lambda _: ended.append(number))
        return CellRecorder(book, local)

    def describe(self) -> Iterator[Metric]:
        """The families without their samples: what a registry checks for duplicates."""
        for each in CATALOGUE:
            yield self._export(each, {})

    def collect(self) -> Iterator[Metric]:
        """The families with the sums over all applications of this process."""
        by_family: dict[str, dict[LabelSet, Row]] = {}
        for (name, labels), row in self._sums().items():
            by_family.setdefault(name, {})[labels] = row
        for each in CATALOGUE:
            yield self._export(each, by_family.get(each.name, {}))

    def _sums(self) -> dict[Child, Row]:
        with _lock:
            self._fold()
            sums = dict(self._left)
            books = [book for book, _ in self._books.values()]
        for book in books:
            for child, row in book.read().items():
                _add(sums, child, row)
        for labels, count in telemetry_errors(faults).items():
            sums["telemetry_errors_total", labels] = [count]
        sums["build_info", self._build] = [1]
        return sums

    def _fold(self) -> None:
        while self._ended:
            book, _ = self._books.pop(self._ended.popleft())
            for child, row in book.left().items():
                _add(self._left, child, row)

    def _export(self, described: Family, children: dict[LabelSet, Row]) -> Metric:
        name = full_name(self._namespace, described.name)
        ordered = sorted(children.items())
        if described.kind == "histogram":
            histogram = HistogramMetricFamily(name, described.help, labels=described.labels)
            for labels, row in ordered:
                histogram.add_metric(labels, _buckets(described, row), row[-1])
            return histogram
        if described.kind == "gauge":
            gauge = GaugeMetricFamily(name, described.help, labels=described.labels)
            for labels, row in ordered:
                gauge.add_metric(labels, row[0])
            return gauge
        counter = CounterMetricFamily(name, described.help, labels=described.labels)
        for labels, row in ordered:
            counter.add_metric(labels, row[0])
        return counter


def _buckets(described: Family, row: Row) -> list[tuple[str, float]]:
    bounds = (*map(repr, described.buckets), "+Inf")
    below = 0.0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, row, strict=False):
        below += count
        buckets.append((bound, below))
    return buckets


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, CellCollector]]
_collectors = weakref.WeakKeyDictionary()


def collector_for(registry: CollectorRegistry, namespace: str) -> CellCollector:
    """The collector of a registry and namespace, registered; made on first use.

    Raises:
        ConfigurationError: If the registry has metrics of the same names from elsewhere.
    """
    with _lock:
        known = _collectors.setdefault(registry, {})
        collector = known.get(namespace)
        if collector is None:
            collector = CellCollector(namespace)
            _register(registry, collector, namespace)
            known[namespace] = collector
        else:
            _register_again(registry, collector)
        return collector


def _register(registry: CollectorRegistry, collector: CellCollector, namespace: str) -> None:
    try:
        registry.register(collector)
    except ValueError as error:
        raise ConfigurationError(
            f"CACHE_METRICS_NAMESPACE is {namespace!r}, but the metrics registry cannot take the "
            f"families of that name: {error}. Choose another namespace, or set "
            "CACHE_METRICS_REGISTRY to a prometheus_client.CollectorRegistry of their own."
        ) from error


def _register_again(registry: CollectorRegistry, collector: CellCollector) -> None:
    # Test suites empty the default registry between tests; a refusal says that it is still there.
    try:
        registry.register(collector)
    except ValueError:
        return
