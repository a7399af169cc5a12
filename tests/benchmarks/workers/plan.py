"""What one worker does, and how it measures one work.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from contract import Adapter, Place, Work, checked
from timing import Effort, seconds_of

__all__ = ["Plan", "measured"]


@dataclass(frozen=True)
class Plan:
    """What one worker does.

    Attributes:
        adapter: Opens the subject on a place.
        place: Where.
        works: What the subject can do there (``subjects.SUBJECTS``).
        quick: Whether to see only that it works.
        full: How large the full caches are.
        facts: What a suite has to say beside its numbers.
    """

    adapter: Callable[[Place], Adapter]
    place: Place
    works: tuple[str, ...]
    quick: bool = False
    full: tuple[int, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def effort(self) -> Effort:
        """How long to measure."""
        return Effort.quick() if self.quick else Effort()

    def can(self, *works: str) -> list[str]:
        """Which of these the subject can do."""
        return [work for work in works if work in self.works]

    def open(self, capacity: int | None = None, folder: str = "", database: int = 0) -> Adapter:
        """The subject, with room for so many entries.

        Args:
            capacity: How many; as many as it likes if ``None``.
            folder: Within the directory, if the store has one.
            database: Which, if the store is Redis.
        """
        place = self.place
        if capacity is not None:
            place = replace(place, capacity=capacity)
        if folder and place.store == "files":
            place = replace(place, at=f"{place.at}/{folder}")
        if place.store == "redis":
            place = replace(place, at=f"{place.at}/{database}")
        return self.adapter(place)


def measured(adapter: Adapter, work: Work, effort: Effort, where: str) -> float:
    """Seconds of one call, of a work that is seen to do what it says, before and after.

    Raises:
        AssertionError: If it does not: a hit that is a miss is not timed.
    """
    with work.around():
        adapter.driver.value(work.prepare())
        checked(work, adapter.driver, where)
        loads = work.loads.number
        seconds = seconds_of(work.call, adapter.driver, effort, mean=work.mean)
        if not work.each and work.loads.number != loads:
            raise AssertionError(f"{where}: a timed hit was a miss")
        checked(work, adapter.driver, where)
    return seconds
