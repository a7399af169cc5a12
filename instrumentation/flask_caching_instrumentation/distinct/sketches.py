"""Sliding windows over sketches: where what was looked up is kept, and how it is added up.

A window is cut into slots, and each slot has a sketch of its own; the slots form a ring, in which
a new one takes the place of the oldest. An estimate is of the union of the slots that belong to
the window: the current one, which has only begun, and as many whole ones as the window is long.
So it looks back over the window at least, and over one slot more at most: 5 to 6 minutes, and 60
to 65.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from ..forksafe import ForkSafeLock
from ..metrics.catalogue import LabelSet
from .hyperloglog import REGISTERS, Place, estimate, estimate_sparse, union_all

__all__ = [
    "FRESH",
    "NEVER_LEARNT",
    "RINGS",
    "SPARSE_LIMIT",
    "WINDOWS",
    "Estimates",
    "Learnt",
    "MemorySketches",
    "Ring",
    "Sketch",
    "SketchStore",
    "absorb",
    "estimate_union",
    "oldest_first",
    "show",
]

#: Different keys by label values (cache, backend, source, target) and window.
Estimates: TypeAlias = dict[tuple[str, ...], float]

#: The ``window`` label and its seconds.
WINDOWS: Final[Mapping[str, int]] = {"5m": 300, "1h": 3600}

#: Registers above zero up to which a sketch is kept as those alone.
SPARSE_LIMIT: Final = 128

#: Seconds that an estimate over several machines is used before our own counts again.
FRESH: Final = 60.0


class Ring(NamedTuple):
    """How a window is cut.

    Attributes:
        window: The label.
        seconds: How long a slot is.
        length: Slots that belong to the window.
    """

    window: str
    seconds: int
    length: int

    def slot(self, now: float) -> int:
        """The number of the slot at ``now``, Unix time; it stands at ``number % length``."""
        return int(now // self.seconds)

    def slots(self, now: float) -> range:
        """The numbers of the slots that belong to the window at ``now``."""
        current = self.slot(now)
        return range(current - self.length + 1, current + 1)


#: The shortest slots come first; the longer ones end where one of them ends.
RINGS: Final = (Ring("5m", 60, 6), Ring("1h", 300, 13))

#: The registers above zero and their ranks, or all registers, a byte each.
Sketch: TypeAlias = dict[int, int] | bytearray


def absorb(sketch: Sketch, places: Iterable[Place]) -> Sketch:
    """Put places into a sketch, which is changed; returns it, or what it has grown into."""
    if isinstance(sketch, bytearray):
        _raise_full(sketch, places)
        return sketch
    _raise_few(sketch, places)
    if len(sketch) <= SPARSE_LIMIT:
        return sketch
    full = bytearray(REGISTERS)
    _raise_full(full, sketch.items())
    return full


def _raise_few(sketch: dict[int, int], places: Iterable[Place]) -> None:
    for register, rank in places:
        if rank > sketch.get(register, 0):
            sketch[register] = rank


def _raise_full(sketch: bytearray, places: Iterable[Place]) -> None:
    for register, rank in places:
        if rank > sketch[register]:
            sketch[register] = rank


def estimate_union(sketches: Iterable[Sketch]) -> float:
    """About how many different keys the sketches have seen together, a whole number."""
    few: dict[int, int] = {}
    full: list[bytearray] = []
    for sketch in sketches:
        if isinstance(sketch, dict):
            _raise_few(few, sketch.items())
        else:
            full.append(sketch)
    if not full:
        return float(round(estimate_sparse(few)))
    merged = bytearray(union_all(full))
    _raise_full(merged, few.items())
    return float(round(estimate(merged)))


class SketchStore(Protocol):
    """Keeps the sketches of label sets. No method raises for want of a file or a lock."""

    def record(self, labels: LabelSet, places: Sequence[Place], now: float) -> None:
        """Count keys that were looked up.

        Args:
            labels: Cache, backend, source, target. With no places they are known from now on.
            places: The keys, by :func:`~.hyperloglog.locate`.
            now: Unix time.
        """
        ...

    def estimates(self, now: float) -> Estimates:
        """Different keys in each window of each label set that is known; 0 where none was.

        What :meth:`learn` was told counts instead for :data:`FRESH` seconds.
        """
        ...

    def learn(self, labels: LabelSet, counts: Sequence[float], now: float) -> None:
        """Take over what was counted on all machines together.

        Args:
            labels: A known label set.
            counts: Different keys in each window, in the order of :data:`RINGS`.
            now: Unix time at which it was so.
        """
        ...

    def unlearnt(self, now: float, seconds: float) -> list[LabelSet]:
        """The known label sets of which nothing was learnt in the last ``seconds``.

        That of which it is longest ago comes first.
        """
        ...


class Learnt(NamedTuple):
    """What was counted on all machines together.

    Attributes:
        at: Unix time; 0.0 for never.
        counts: Different keys in each window, in the order of :data:`RINGS`.
    """

    at: float
    counts: Sequence[float]

    def is_younger(self, seconds: float, now: float) -> bool:
        """Whether it is from the last ``seconds``; not if it is from a future that was none."""
        return self.at > 0 and abs(now - self.at) < seconds


def oldest_first(
    learnt: Iterable[tuple[LabelSet, Learnt]], now: float, seconds: float
) -> list[LabelSet]:
    """What :meth:`SketchStore.unlearnt` answers, from all that was learnt."""
    old = [(each.at, labels) for labels, each in learnt if not each.is_younger(seconds, now)]
    return [labels for _, labels in sorted(old)]


NEVER_LEARNT: Final = Learnt(0.0, ())


class _Kept:
    """What is kept of one label set: for each ring, slot number and sketch by position."""

    __slots__ = ("learnt", "rings")

    def __init__(self) -> None:
        self.learnt = NEVER_LEARNT
        self.rings: list[dict[int, tuple[int, Sketch]]] = [{} for _ in RINGS]

    def add(self, places: Sequence[Place], now: float) -> None:
        for ring, kept in zip(RINGS, self.rings, strict=True):
            slot = ring.slot(now)
            before, sketch = kept.get(slot % ring.length, (slot, {}))
            # Any other number is of a slot that is over, or was never there.
            kept[slot % ring.length] = slot, absorb(sketch if before == slot else {}, places)

    def drop_old(self, now: float) -> None:
        """Give back the memory of slots that have left their window."""
        for ring, kept in zip(RINGS, self.rings, strict=True):
            first = ring.slots(now).start
            for position in [each for each, (slot, _) in kept.items() if slot < first]:
                del kept[position]

    def sketches(self, now: float) -> list[list[Sketch]]:
        """Copies of those in each window."""
        found: list[list[Sketch]] = []
        for ring, kept in zip(RINGS, self.rings, strict=True):
            slots = ring.slots(now)
            found.append([sketch.copy() for slot, sketch in kept.values() if slot in slots])
        return found


class MemorySketches:
    """The sketches of one process (see :class:`SketchStore`).

    A label set takes up to 311 KiB, and a few where fewer than 128 keys are looked up in a slot.
    A forked child goes on with a copy.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._kept: dict[LabelSet, _Kept] = {}

    def record(self, labels: LabelSet, places: Sequence[Place], now: float) -> None:
        with self._lock:
            kept = self._kept.get(labels)
            if kept is None:
                kept = self._kept[labels] = _Kept()
            kept.drop_old(now)
            if places:
                kept.add(places, now)

    def estimates(self, now: float) -> Estimates:
        found: Estimates = {}
        # The lock is held for one label set at a time: adding up takes longer than counting.
        for labels, kept in list(self._kept.items()):
            with self._lock:
                learnt, windows = kept.learnt, kept.sketches(now)
            for labelled, number in show(labels, learnt, windows, now):
                found[labelled] = number
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


def show(
    labels: LabelSet, learnt: Learnt, windows: Iterable[Iterable[Sketch]], now: float
) -> Iterator[tuple[tuple[str, ...], float]]:
    """The estimates of one label set, window by window.

    Args:
        labels: Whose.
        learnt: What was counted on all machines together.
        windows: The sketches in each window, in the order of :data:`RINGS`.
        now: Unix time.
    """
    fresh = learnt.is_younger(FRESH, now)
    for number, (ring, sketches) in enumerate(zip(RINGS, windows, strict=True)):
        count = learnt.counts[number] if fresh else estimate_union(sketches)
        yield (*labels, ring.window), count
