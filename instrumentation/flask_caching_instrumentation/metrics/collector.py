"""What a metrics registry asks: the numbers of all applications that count into it.

One :class:`Collector` serves a registry and namespace; every application has a
:class:`~.recorder.Recorder` of its own in it, and equal label sets are added up. An application
that ends leaves its counters, which go on if another one has the same series, and takes along
its gauges and what only it had.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from operator import methodcaller
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Exemplar

from flask_caching.errors import ConfigurationError
from flask_caching.observer import faults, report_fault

from ..distinct.cardinality import DistinctKeys, MemorySketches, SketchStore
from ..ticker import Ticker, courier, ticker
from ..tracing.scope import suppressed
from .catalogue import (
    CATALOGUE,
    Child,
    LabelSet,
    build_labels,
    telemetry_errors,
)
from .cells import Local, lock
from .recorder import Book, Recorder
from .rendering import OwnFamily, Texts, bare_metric
from .rows import Row, Sums, add_rows, joined
from .watched import Watched

__all__ = [
    "Collector",
    "collector_for",
    "export",
    "forget_faults",
    "process_numbers",
    "read_shared",
]


#: Series of applications that are gone whose numbers are kept, in one process.
_LEFT_LIMIT: Final = 10_000


class Collector:
    """What a registry asks for the families of one namespace.

    Args:
        namespace: Prefix of every family's name.
        sketches: Where the keys that were looked up are counted.
        carrier: Takes the counts to other workers; ``None`` where there are none.

    Attributes:
        exemplars: The last example of each bucket.
    """

    def __init__(
        self,
        namespace: str,
        sketches: SketchStore | None = None,
        carrier: Ticker | None = None,
    ) -> None:
        self.namespace = namespace
        self.sketches: SketchStore = MemorySketches() if sketches is None else sketches
        self.exemplars: dict[tuple[Child, float], Exemplar] = {}
        self._keys: weakref.WeakSet[DistinctKeys] = weakref.WeakSet()
        self._carrier = carrier
        self._books: dict[int, tuple[Book, weakref.ref[Local]]] = {}
        self._ended: deque[int] = deque()
        self._left: dict[Child, Row] = {}
        self._texts: Texts = {}

    def open(self) -> Recorder:
        """A recorder for one more application."""
        book = Book()
        local = Local(book.cells)
        ended = self._ended
        number = id(book)
        with lock:
            self._fold()
            # Whatever can still count holds ``local``: when it goes, the numbers are final.
            self._books[number] = book, weakref.ref(local, lambda _: ended.append(number))
        return Recorder(book, local, self.exemplars, self._carrier)

    def open_keys(self) -> DistinctKeys:
        """What takes the keys of one more application."""
        keys = DistinctKeys(self.sketches, ticker.wake)
        with lock:
            self._keys.add(keys)
        return keys

    def drain(self) -> bool:
        """Put the keys that were looked up into the sketches. Returns whether more will follow."""
        now = time.time()
        keys = self._all_keys()
        if any(each.server is not None and each.server.waiting for each in keys):
            courier.wake()
        # Every one of them, also behind one that has more to come.
        return max(map(methodcaller("drain", now), keys), default=False)

    def exchange(self) -> bool:
        """Talk to the servers that count for all machines. Returns whether more will follow."""
        with suppressed():
            return max(map(methodcaller("exchange", time.time()), self._all_keys()), default=False)

    def describe(self) -> Iterator[Metric]:
        """The families without their samples: what a registry checks for duplicates."""
        for each in CATALOGUE:
            yield bare_metric(self.namespace, each)

    def collect(self) -> Iterator[Metric]:
        """The families, with the sums over all applications of this process."""
        yield from export(self.namespace, self.numbers(), self.exemplars, self._texts)

    def numbers(self, *, distinct: bool = True) -> Sums:
        """The sums over the applications of this process that exist, and what is its own.

        Args:
            distinct: Whether distinct keys are wanted, whose estimates take longest.
        """
        sums = {**self._living(), **process_numbers()}
        if distinct:
            sums["distinct_keys"] = self.distinct_keys()
        return sums

    def counted(self) -> Sums:
        """All that was counted in this process, by ended applications too, and its own gauges."""
        books, left = self._snapshot()
        sums: Sums = {}
        for book in books:
            add_rows(sums, book.read(shared=False))
        add_rows(sums, left)
        return sums

    def watched(self) -> list[Watched]:
        """What is asked for the gauges that all workers of the machine know alike."""
        books, _ = self._snapshot()
        return [each for book in books for each in book.watched() if each.shared]

    def distinct_keys(self) -> dict[LabelSet, Row]:
        """Different keys by label set and window, of those that a living application asks for."""
        try:
            self.drain()
        except Exception as fault:
            # A scrape shows what was counted before.
            report_fault("metrics.keys", fault)
        asked: set[LabelSet] = set()
        for book in self._snapshot()[0]:
            asked |= book.asked
        estimates = self.sketches.estimates(time.time())
        return {labels: [number] for labels, number in estimates.items() if labels[:-1] in asked}

    def begin_anew(self) -> None:
        """Forget what was counted: this is a forked child now, and the parent tells of it."""
        with lock:
            self._fold()
            self._left.clear()
        for book in self._snapshot()[0]:
            book.begin_anew()

    def _all_keys(self) -> list[DistinctKeys]:
        with lock:
            return list(self._keys)

    def _snapshot(self) -> tuple[list[Book], Sums]:
        """The books of the applications that exist, and what the others left: of one moment."""
        with lock:
            self._fold()
            books, left = [book for book, _ in self._books.values()], self._left.copy()
        by_family: dict[str, dict[LabelSet, Row]] = {}
        for (name, labels), row in left.items():
            by_family.setdefault(name, {})[labels] = row
        return books, dict(by_family)

    def _living(self) -> Sums:
        """What applications that exist count; a series goes on where an ended one left it."""
        books, left = self._snapshot()
        sums: Sums = {}
        for book in books:
            add_rows(sums, book.read(shared=False))
        for name, rows in left.items():
            known = sums.get(name, {})
            add_rows(sums, {name: {each: row for each, row in rows.items() if each in known}})
        shared = [each for book in books for each in book.watched() if each.shared]
        add_rows(sums, read_shared(shared))
        return sums

    def _fold(self) -> None:
        while self._ended:
            book, _ = self._books.pop(self._ended.popleft())
            for name, rows in book.left().items():
                for labels, row in rows.items():
                    child = name, labels
                    self._left[child] = joined(name, self._left.get(child), row)
            living = {labels for other, _ in self._books.values() for labels in other.asked}
            if isinstance(self.sketches, MemorySketches):
                # What workers share is forgotten with its window.
                for labels in book.asked - living:
                    self.sketches.forget(labels)
            self._forget_examples()
            self._texts.clear()
        if self._carrier is None and len(self._left) > _LEFT_LIMIT:
            # Nobody shows them unless an application like theirs is made again.
            for child in list(self._left)[: len(self._left) // 2]:
                del self._left[child]

    def _forget_examples(self) -> None:
        """Drop the exemplars of series that only applications that are gone had."""
        for child, bound in list(self.exemplars):
            if not any(other.has(child) for other, _ in self._books.values()):
                self.exemplars.pop((child, bound), None)


_build: Final = build_labels()

#: The faults of the process that this one was forked from, which tells of them itself.
_faults_before: Counter[str] = Counter()


def process_numbers() -> Sums:
    """What belongs to this process and to none of its applications."""
    news = Counter(faults)
    news.subtract(_faults_before)
    errors: dict[LabelSet, Row] = {
        labels: [max(count, 0)] for labels, count in telemetry_errors(news).items()
    }
    return {"build_info": {_build: [1]}, "telemetry_errors_total": errors}


def forget_faults() -> None:
    """Begin at zero: this is a forked child now."""
    _faults_before.clear()
    _faults_before.update(faults)


def read_shared(watched: Iterable[Watched]) -> Sums:
    """The gauges of stores that several applications may share: of each store once."""
    sums: Sums = {}
    for each in {each.identity: each for each in watched}.values():
        add_rows(sums, each.gauges())
    return sums


def export(
    namespace: str,
    sums: Sums,
    exemplars: Mapping[tuple[Child, float], Exemplar],
    texts: Texts | None = None,
) -> Iterator[Metric]:
    """Series as what ``prometheus_client`` exposes, all families in the catalogue's order.

    Args:
        namespace: Prefix of every family's name.
        sums: The numbers.
        exemplars: The last example of each bucket.
        texts: Where :mod:`.rendering` keeps the series' texts until the next time.
    """
    examples: dict[str, dict[LabelSet, dict[float, Exemplar]]] = {}
    for ((name, labels), bound), exemplar in list(exemplars.items()):
        examples.setdefault(name, {}).setdefault(labels, {})[bound] = exemplar
    kept: Texts = {} if texts is None else texts
    for each in CATALOGUE:
        rows = sums.get(each.name, {})
        yield OwnFamily(namespace, each, rows, examples.get(each.name, {}), kept)


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, Collector]]
_collectors = weakref.WeakKeyDictionary()


def collector_for(
    registry: CollectorRegistry,
    namespace: str,
    sketches: SketchStore | None = None,
    carrier: Ticker | None = None,
) -> Collector:
    """The collector of a registry and namespace, registered; made on first use.

    Args:
        registry: Who asks it.
        namespace: Prefix of every family's name.
        sketches: As for :class:`Collector`, if one is made.
        carrier: Likewise.

    Raises:
        ConfigurationError: If the registry has metrics of the same names from elsewhere.
    """
    with lock:
        known = _collectors.setdefault(registry, {})
        collector = known.get(namespace)
        if collector is None:
            collector = Collector(namespace, sketches, carrier)
            ticker.add("metrics.keys", collector.drain)
            courier.add("metrics.exchange", collector.exchange)
            _register(registry, collector, namespace)
            known[namespace] = collector
        else:
            _register_again(registry, collector, namespace)
        return collector


def _register(registry: CollectorRegistry, collector: Collector, namespace: str) -> None:
    try:
        registry.register(collector)
    except ValueError as error:
        raise ConfigurationError(
            f"CACHE_METRICS_NAMESPACE is {namespace!r}, but the metrics registry cannot take the "
            f"families of that name: {error}. Choose another namespace, or set "
            "CACHE_METRICS_REGISTRY to a prometheus_client.CollectorRegistry of their own."
        ) from error


def _register_again(registry: CollectorRegistry, collector: Collector, namespace: str) -> None:
    """Register a collector if it is not: test suites empty the default registry between tests."""
    # Not taken out to be put in again: a scrape may come in between.
    known: Mapping[Any, Any] | None = getattr(registry, "_collector_to_names", None)
    if known is not None:
        if collector not in known:
            _register(registry, collector, namespace)
        return
    # A registry of somebody else's kind: a refusal says that it is still there.
    with contextlib.suppress(ValueError):
        registry.register(collector)
