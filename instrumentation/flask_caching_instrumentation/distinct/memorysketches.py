"""The sketches of one process, in memory, with their estimates at hand.

A scrape asks for the estimates of all targets, and since the last one most of them met no new
key. So an estimate is kept until something is added. And where something is, it is made from the
union of the window's slots, which grows with the slots, and from how many registers have each
rank: the registers are looked at only when a slot ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..forksafe import ForkSafeLock
from ..metrics.catalogue import LabelSet
from .hyperloglog import Place, count_ranks, estimate_of
from .sketches import (
    FRESH,
    NEVER_LEARNT,
    RINGS,
    Estimates,
    Learnt,
    Ring,
    Sketch,
    absorb,
    merge,
    oldest_first,
    show,
)

__all__ = ["MemorySketches"]


class _Union:
    """A sketch of others that goes on growing, and is asked for its estimate now and then."""

    __slots__ = ("_ranks", "_sketch")

    def __init__(self, sketches: Iterable[Sketch]) -> None:
        self._sketch = merge(sketches)
        self._ranks = count_ranks(self._sketch)

    def add(self, places: Iterable[Place]) -> None:
        """Count keys."""
        sketch, ranks = self._sketch, self._ranks
        known: Callable[[int], int | None]
        known = sketch.get if isinstance(sketch, dict) else sketch.__getitem__
        for register, rank in places:
            before = known(register) or 0
            if rank > before:
                sketch[register] = rank
                ranks[before] -= 1
                ranks[rank] += 1
        # It may have become too many to be kept alone.
        self._sketch = absorb(sketch, ())

    def estimate(self) -> float:
        """About how many different keys it has seen, a whole number."""
        return float(round(estimate_of(self._ranks)))


class _Window:
    """What is kept of one label set for one ring.

    Attributes:
        slots: By position, the slot's number and sketch.
    """

    __slots__ = ("_ring", "_slot", "_union", "slots")

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.slots: dict[int, tuple[int, Sketch]] = {}
        #: Of the slots of the window that ends with this one.
        self._union, self._slot = _Union(()), 0

    def add(self, places: Sequence[Place], now: float) -> None:
        """Count keys, in the current slot."""
        slot = self._ring.slot(now)
        position = slot % self._ring.length
        before, sketch = self.slots.get(position, (slot, {}))
        # Any other number is of a slot that is over, or was never there.
        self.slots[position] = slot, absorb(sketch if before == slot else {}, places)
        self._united(now).add(places)

    def drop_old(self, now: float) -> None:
        """Give back the memory of slots that have left the window."""
        first = self._ring.slots(now).start
        for position in [each for each, (slot, _) in self.slots.items() if slot < first]:
            del self.slots[position]

    def estimate(self, now: float) -> float:
        """Different keys in the window."""
        return self._united(now).estimate()

    def _united(self, now: float) -> _Union:
        slot = self._ring.slot(now)
        if slot != self._slot:
            slots = self._ring.slots(now)
            sketches = (sketch for number, sketch in self.slots.values() if number in slots)
            self._union, self._slot = _Union(sketches), slot
        return self._union


class _Kept:
    """What is kept of one label set.

    Attributes:
        learnt: What was counted on all machines together.
        windows: One for each of :data:`~.sketches.RINGS`.
    """

    __slots__ = ("_labels", "_recorded", "_shown", "_slot", "learnt", "windows")

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self.learnt = NEVER_LEARNT
        self.windows = [_Window(ring) for ring in RINGS]
        #: The slot in which something was recorded last.
        self._recorded = 0
        #: The estimates that were made last, if nothing was added since, and in which slot.
        self._shown: Estimates = {}
        self._slot = 0

    def record(self, places: Sequence[Place], now: float) -> None:
        """Count keys, if there are any."""
        slot = RINGS[0].slot(now)
        if slot != self._recorded:
            self._recorded = slot
            for window in self.windows:
                window.drop_old(now)
        if places:
            self._shown = {}
            for window in self.windows:
                window.add(places, now)

    def estimates(self, now: float) -> Estimates:
        """Different keys in each window; not to be changed."""
        if self.learnt.is_younger(FRESH, now):
            return show(self._labels, self.learnt.counts)
        slot = RINGS[0].slot(now)
        if not self._shown or slot != self._slot:
            counts = [window.estimate(now) for window in self.windows]
            self._shown, self._slot = show(self._labels, counts), slot
        return self._shown


class MemorySketches:
    """The sketches of one process (see :class:`~.sketches.SketchStore`).

    A label set takes up to 343 KiB, and a few where fewer than 128 keys are looked up in a slot.
    A forked child goes on with a copy.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._kept: dict[LabelSet, _Kept] = {}

    def record(self, labels: LabelSet, places: Sequence[Place], now: float) -> None:
        with self._lock:
            kept = self._kept.get(labels)
            if kept is None:
                kept = self._kept[labels] = _Kept(labels)
            kept.record(places, now)

    def estimates(self, now: float) -> Estimates:
        found: Estimates = {}
        # The lock is held for one label set at a time: whoever counts need not wait for all.
        for kept in list(self._kept.values()):
            with self._lock:
                found |= kept.estimates(now)
        return found

    def learn(self, labels: LabelSet, counts: Sequence[float], now: float) -> None:
        with self._lock:
            kept = self._kept.get(labels)
            if kept is not None:
                kept.learnt = Learnt(now, tuple(counts))

    def unlearnt(self, now: float, seconds: float) -> list[LabelSet]:
        learnt = ((labels, kept.learnt) for labels, kept in list(self._kept.items()))
        return oldest_first(learnt, now, seconds)

    def forget(self, labels: LabelSet) -> None:
        """Give back the memory of a label set that nobody asks for any more."""
        with self._lock:
            self._kept.pop(labels, None)
