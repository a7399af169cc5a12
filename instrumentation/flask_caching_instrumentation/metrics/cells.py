"""Counting in memory without a lock: a cell for each thread, summed when somebody asks.

``Counter.inc`` of prometheus_client takes a lock on every call. Here each thread has a row of
numbers that only it writes, and a scrape adds the rows up: exact, and several times cheaper. A
thread that ends leaves its row, which is folded into a common one.

Under gevent a greenlet is no thread: those of one thread share its row, since none of them is
interrupted between reading a number and writing it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from bisect import bisect_left
from collections import deque
from itertools import compress
from typing import TYPE_CHECKING

from ..forksafe import ForkSafeLock
from .catalogue import Add, Observe
from .rows import Row

__all__ = ["Cells", "Local", "adder", "lock", "observer"]

#: Of all that is counted: one, since who holds it may run a destructor that counts.
lock = ForkSafeLock()


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
        with lock:
            first = self.size
            # In this order: no row is ever longer than the common one.
            self._folded.extend([0.0] * count)
            self.size = first + count
            return first

    def open_row(self, owner: _Owner) -> Row:
        """A row for the calling thread, folded after ``owner``, which it holds, is gone."""
        row: Row = []
        number = id(row)
        ended = self._ended

        def end(_: object) -> None:
            # May run in the middle of anything: must not take the lock.
            ended.append(number)

        with lock:
            self._fold()
            self._rows[number] = row, weakref.ref(owner, end)
        return row

    def add(self, place: int, amount: float) -> None:
        """Add to a place, for what is counted in batches; called with the lock."""
        self._folded[place] += amount

    def totals(self) -> Row:
        """The sum of all rows, as long as the places handed out."""
        with lock:
            self._fold()
            # A copy in one step each, while the row's own thread goes on writing.
            sums = self._folded[:]
            rows = [row[:] for row, _ in self._rows.values()]
        # Nobody waits for the sums. There may be many threads and thousands of places; but most
        # are zero, since what is frequent is counted in batches.
        for row in rows:
            for place in compress(range(len(row)), row):
                sums[place] += row[place]
        return sums

    def zero(self) -> None:
        """Begin anew, in a forked child that has no other threads: the counts are the parent's."""
        with lock:
            self._fold()
            for row in (self._folded, *(row for row, _ in self._rows.values())):
                row[:] = [0.0] * len(row)

    def _fold(self) -> None:
        while self._ended:
            row, _ = self._rows.pop(self._ended.popleft())
            for place, number in enumerate(row):
                self._folded[place] += number


class _Owner:
    """Lives as long as its thread, or as the cells."""

    __slots__ = ("__weakref__",)


def _threads_own() -> type[threading.local]:
    """What keeps data for each thread of the system, also where gevent has replaced that."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return threading.local
    original: type[threading.local] = monkey.get_original("threading", "local")
    return original


if TYPE_CHECKING:
    _ThreadLocal = threading.local
else:
    _ThreadLocal = _threads_own()


class Local(_ThreadLocal):
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


def adder(local: Local, place: int) -> Add:
    """What adds to one place."""

    def add(amount: float = 1, /) -> None:
        try:
            local.row[place] += amount
        except IndexError:
            local.grow()[place] += amount

    return add


def observer(local: Local, first: int, bounds: tuple[float, ...]) -> Observe:
    """What counts its argument in the bucket that it falls into, and adds it to the sum."""
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
