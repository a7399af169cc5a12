"""Sliding windows over sketches: where what was looked up is kept, and how it is added up.

A window is cut into slots, and each slot has a sketch of its own; the slots form a ring, in which
a new one takes the place of the oldest. An estimate is of the union of the slots that belong to
the window: the current one, which has only begun, and as many whole ones as the window is long.
So it looks back over the window at least, and over one slot more at most: 5 to 6 minutes, and 60
to 65.

What stores of sketches have in common; :mod:`.memorysketches` keeps them in one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from ..metrics.catalogue import LabelSet
from .hyperloglog import REGISTERS, Place, estimate, union_all

__all__ = [
    "FRESH",
    "NEVER_LEARNT",
    "RINGS",
    "SPARSE_LIMIT",
    "WINDOWS",
    "Estimates",
    "Learnt",
    "Ring",
    "Sketch",
    "SketchStore",
    "absorb",
    "estimate_union",
    "merge",
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


def merge(sketches: Iterable[Sketch]) -> Sketch:
    """A new sketch of everything that any of the sketches has seen."""
    few: dict[int, int] = {}
    full: list[bytearray] = []
    for sketch in sketches:
        if isinstance(sketch, dict):
            _raise_few(few, sketch.items())
        else:
            full.append(sketch)
    if not full:
        return few
    merged = bytearray(union_all(full))
    _raise_full(merged, few.items())
    return merged


def estimate_union(sketches: Iterable[Sketch]) -> float:
    """About how many different keys the sketches have seen together, a whole number."""
    return float(round(estimate(merge(sketches))))


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


def show(labels: LabelSet, counts: Iterable[float]) -> Estimates:
    """The estimates of one label set, from those in the order of :data:`RINGS`."""
    return {(*labels, ring.window): count for ring, count in zip(RINGS, counts, strict=True)}
