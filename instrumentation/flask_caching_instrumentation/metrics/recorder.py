"""What one application's cache has counted, and what adds to it."""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping
from itertools import compress, groupby
from typing import Any, NamedTuple

from prometheus_client.samples import Exemplar

from ..ticker import Ticker
from .batches import Batch, count_hits, count_times
from .catalogue import Add, Child, LabelSet, Numbers, Observe, Timing, family
from .cells import Cells, Local, adder, lock, observer
from .rows import Row, Sums, add_rows, is_gauge, width
from .watched import Watched

__all__ = ["Book", "Recorder"]


class _Series(NamedTuple):
    """One series, and its places: the first, and the one behind the last."""

    name: str
    labels: LabelSet
    first: int
    end: int


class Book:
    """One application's numbers: where each series' places are, and what is watched."""

    def __init__(self) -> None:
        self.cells = Cells()
        self._asked: set[LabelSet] = set()
        self._places: dict[Child, int] = {}
        #: Whose each place is.
        self._series: list[_Series] = []
        #: The places as they were read last, and what was made of them. Replaced, not changed:
        #: several threads may read at once.
        self._last: tuple[Row, Sums] = ([], {})
        self._batches: dict[Child, Batch] = {}
        self._watched: list[Watched] = []
        #: When counting began, Unix time.
        self.since = time.time()

    def place(self, child: Child) -> int:
        """The first of a series' places; the series exists from now on, at zero."""
        with lock:
            place = self._places.get(child)
            if place is None:
                wide = width(child)
                place = self._places[child] = self.cells.allocate(wide)
                self._series.extend([_Series(*child, place, place + wide)] * wide)
            return place

    def hits(self, asker: LabelSet) -> Batch:
        """Where the hits of an asker wait, each the seconds that it saved; always the same."""
        with lock:
            child = ("lookups_total", (*asker, "hit"))
            batch = self._batches.get(child)
            if batch is None:
                places = self.place(child), self.place(("saved_seconds_total", asker))
                batch = self._batches[child] = Batch(count_hits(self.cells, *places))
            return batch

    def times(self, child: Child) -> Batch:
        """Where observations of a histogram wait; always the same."""
        with lock:
            batch = self._batches.get(child)
            if batch is None:
                bounds = family(child[0]).buckets
                batch = Batch(count_times(self.cells, self.place(child), bounds))
                self._batches[child] = batch
            return batch

    @property
    def asked(self) -> set[LabelSet]:
        """The label sets whose distinct keys are counted."""
        return self._asked.copy()

    def ask(self, labels: LabelSet) -> None:
        """Count the distinct keys of ``labels``."""
        self._asked.add(labels)

    def asks(self, labels: LabelSet) -> bool:
        """Whether the distinct keys of ``labels`` are counted."""
        return labels in self._asked

    def watch(self, watched: Watched) -> None:
        """Ask this one as well, from now on."""
        with lock:
            self._watched.append(watched)

    def has(self, child: Child) -> bool:
        """Whether there is such a series."""
        return child in self._places

    def watched(self) -> list[Watched]:
        """What is asked for its numbers."""
        with lock:
            return list(self._watched)

    def read(self, *, shared: bool = True) -> Sums:
        """Every series' numbers now.

        Args:
            shared: Whether gauges are wanted that all workers of the machine know alike.
        """
        numbers = self._counted()
        for each in self.watched():
            if shared or not each.shared:
                add_rows(numbers, each.gauges())
        return numbers

    def left(self) -> Sums:
        """What stays when the application is gone: counters and histograms."""
        return {
            name: rows for name, rows in self._counted().items() if family(name).kind != "gauge"
        }

    def begin_anew(self) -> None:
        """Forget what was counted: this is a forked child now."""
        for batch in self._batches.values():
            batch.clear()
        self.cells.zero()
        self.since = time.time()
        for each in self.watched():
            each.begin_anew()

    def _counted(self) -> Sums:
        # A copy: a destructor that runs in here may count something new.
        for batch in list(self._batches.values()):
            if batch:
                batch.settle()
        totals = self.cells.totals()
        # It may also be making a series: what has a place and no name yet is for the next time.
        del totals[len(self._series) :]
        numbers = self._renewed(totals)
        for each in self.watched():
            add_rows(numbers, each.counters())
        return numbers

    def _renewed(self, totals: Row) -> Sums:
        """The series with these numbers. Those that did not change since the last time stay."""
        before, known = self._last
        changed: dict[str, dict[LabelSet, Row]] = {}
        new = [None] * (len(totals) - len(before))
        differs = map(operator.ne, totals, before + new if new else before)
        for (name, labels, first, end), _ in groupby(compress(self._series, differs)):
            row = totals[first:end]
            if row[0] < 0 and is_gauge((name, labels)):
                # A load that the parent of a forked child began.
                row = [0.0]
            changed.setdefault(name, {})[labels] = row
        sums = known | {name: {**known.get(name, {}), **rows} for name, rows in changed.items()}
        self._last = totals, sums
        return sums.copy()


class Recorder:
    """Counts what one application's cache does.

    Making a series is slow; what is returned for it is kept, and called on the hot path. Asking
    for a series makes it exist at zero.

    Args:
        book: Where its numbers are.
        local: The calling thread's row in it.
        exemplars: Where exemplars are kept.
        carrier: Takes the counts to other workers, and is woken by each; ``None`` where there
            are none.
    """

    def __init__(
        self,
        book: Book,
        local: Local,
        exemplars: dict[tuple[Child, float], Exemplar],
        carrier: Ticker | None = None,
    ) -> None:
        self._book = book
        self._local = local
        self._exemplars = exemplars
        self._carrier = carrier

    def counter(self, name: str, *labels: str) -> Add:
        """What adds to a counter."""
        add: Add = self._telling(adder(self._local, self._book.place((name, labels))))
        return add

    def gauge(self, name: str, *labels: str) -> Add:
        """What moves a gauge."""
        return self.counter(name, *labels)

    def histogram(self, name: str, *labels: str) -> Observe:
        """What observes into a histogram."""
        place = self._book.place((name, labels))
        observe: Observe = self._telling(observer(self._local, place, family(name).buckets))
        return observe

    def hits(self, *asker: str) -> Batch:
        """Where hits wait, each the seconds that it saved, of ``cache, backend, source, target``.

        For the hot path; the same as two counters.
        """
        return self._book.hits(asker)

    def times(self, name: str, *labels: str) -> Batch:
        """Where observations wait, for the hot path; the same as :meth:`histogram`."""
        return self._book.times((name, labels))

    def exemplify(
        self, name: str, labels: LabelSet, number: float, exemplar: Mapping[str, str], when: float
    ) -> None:
        """Keep an example of what was counted: the last one of each bucket, or of a counter.

        Args:
            name: The family.
            labels: Its label values.
            number: What was observed, or added.
            exemplar: Says where to look: a trace.
            when: Unix time.
        """
        bounds = family(name).buckets
        bound = next((each for each in bounds if number <= each), float("inf"))
        example = Exemplar(dict(exemplar), number, when)
        self._exemplars[(name, labels), bound] = example

    def watch(self, watched: Watched) -> None:
        """Ask ``watched`` for its numbers whenever somebody reads."""
        self._book.watch(watched)

    def ask(self, labels: LabelSet) -> None:
        """Show the distinct keys of ``labels`` for as long as this exists."""
        self._book.ask(labels)

    def asks(self, labels: LabelSet) -> bool:
        """Whether the distinct keys of ``labels`` are this application's."""
        return self._book.asks(labels)

    @property
    def since(self) -> float:
        """When counting began in this process, Unix time."""
        return self._book.since

    def rows(self, name: str) -> Mapping[LabelSet, Row]:
        """The numbers of every series of a counter or a histogram, in this process."""
        return self._book.left().get(name, {})

    def read(self) -> Numbers:
        """What was counted since this was made, in this process."""
        numbers: Numbers = {}
        for name, rows in self._book.read().items():
            timed = family(name).kind == "histogram"
            numbers[name] = {
                labels: Timing(int(sum(row[:-1])), row[-1]) if timed else row[0]
                for labels, row in rows.items()
            }
        return numbers

    def _telling(self, count: Any) -> Any:
        """``count``, or what wakes the carrier as well; a counter's has a default."""
        carrier = self._carrier
        if carrier is None:
            return count

        def count_and_wake(number: float = 1, /) -> None:
            count(number)
            if not carrier.awake:
                carrier.wake()

        return count_and_wake
