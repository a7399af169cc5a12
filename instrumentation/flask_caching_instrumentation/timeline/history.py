"""How lookups ended over the last hour, in steps of ten seconds, of this process."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..forksafe import ForkSafeLock
from ..ticker import Ticker

__all__ = ["STEP", "Counted", "History", "sampler"]

#: Seconds between two samples, and for how long they are kept.
STEP: Final = 10.0
_KEPT: Final = 3600.0

#: Its thread ends when nothing was looked up for a while, and costs nothing then.
sampler: Final = Ticker(STEP, at_exit=False)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=sampler.after_fork)


class Counted(NamedTuple):
    """How many lookups ended in which way."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    errors: int = 0

    @classmethod
    def of(cls, lookups: Mapping[str, float]) -> Counted:
        """From the numbers by outcome."""
        numbers = (lookups.get(name, 0) for name in ("hit", "miss", "stale", "error"))
        return cls(*map(int, numbers))

    def since(self, before: Counted) -> Counted:
        """What was counted after ``before``."""
        return Counted(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def hit_ratio(self) -> float | None:
        """Hits by all lookups; ``None`` if there were none."""
        return self.hits / sum(self) if sum(self) else None


class _Sample(NamedTuple):
    at: float
    counted: Counted


class History:
    """What was counted, remembered in steps.

    A sample is taken by :data:`sampler` while there is something to see, and by whoever reads. No
    sample for a while means that nothing was looked up.

    Args:
        read: What was counted so far; ``None`` where nothing is counted.
        clock: Monotonic seconds.
    """

    def __init__(
        self, read: Callable[[], Counted | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._lock = ForkSafeLock()
        self._begin(Counted())
        sampler.add("timeline.history", self.tick)

    def _begin(self, counted: Counted) -> None:
        self._pid = os.getpid()
        first = _Sample(self._clock(), counted)
        self._samples: deque[_Sample] = deque([first], maxlen=int(_KEPT / STEP) + 2)
        self._last = counted

    def tick(self) -> bool:
        """Take a sample, if it is time. Returns whether anything was looked up since the last."""
        before = self._samples[-1].counted
        return self.now() != before

    def now(self) -> Counted:
        """What was counted so far."""
        counted = self._read() or Counted()
        with self._lock:
            if self._pid != os.getpid() or any(number < 0 for number in counted.since(self._last)):
                # In a forked child counting begins anew.
                self._begin(Counted())
            self._last = counted
            if self._clock() - self._samples[-1].at >= STEP * 0.9:
                self._samples.append(_Sample(self._clock(), counted))
        return counted

    def within(self, seconds: float) -> Counted:
        """What was counted in the last so many seconds, to the step."""
        now = self.now()
        with self._lock:
            samples = list(self._samples)
        return now.since(_at(samples, self._clock() - seconds))

    def ratios(self, steps: int = int(_KEPT / STEP)) -> list[float | None]:
        """Hit ratios of the last steps, the oldest first; as many as there is history for."""
        now = self.now()
        with self._lock:
            samples = list(self._samples)
        end = self._clock()
        known = int((end - samples[0].at) / STEP) + 1
        marks = [_at(samples, end - STEP * back) for back in range(min(steps, known), 0, -1)]
        return [
            after.since(before).hit_ratio
            for before, after in zip(marks, [*marks[1:], now], strict=True)
        ]


def _at(samples: list[_Sample], moment: float) -> Counted:
    """What was counted at a moment: by the last sample before it, else by the first."""
    after = bisect_right(samples, moment, key=lambda sample: sample.at)
    return samples[max(after - 1, 0)].counted
