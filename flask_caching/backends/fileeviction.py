"""Making room in a folder: near the least recently used, with the same work however much is held.

Some files of some shards are looked at. Those that have expired go first, then those that were
not used for longest; what was found is kept for the next times, and looked at again before it
goes.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import NamedTuple

from . import files
from .filecounts import SHARDS, UNKNOWN, Numbers
from .filefolder import Folder

__all__ = ["Evictor"]

#: With so few files all are looked at, and what goes is the least recently used indeed.
_FEW = 32
#: Otherwise so many shards at most, files of one shard, and files.
_SHARDS_SAMPLED = 16
_SAMPLE_OF_ONE = 16
_SAMPLE = 48
#: Of the live ones in a sample one in so many is kept to go, and so many at least.
_KEPT = 6
_LEAST_KEPT = 4
#: Files that one write removes at most, and samples that it takes; the next goes on.
_MOST = 64
_MOST_SAMPLES = 12
#: Seconds to wait for another one who is making room.
_WAIT = 0.05


class _Candidate(NamedTuple):
    """A file that may go.

    Attributes:
        used: The stamp of its last use; -1 if it cannot be read.
        expires_at: Unix time, seconds; ``0.0`` never, a negative one if it cannot be read.
        shard: The number of its shard.
        path: Its path.
    """

    used: int
    expires_at: float
    shard: int
    path: str


class Evictor:
    """Makes room in one folder.

    Args:
        folder: The folder.
        clock: Gives the Unix time.
        evictions: Where what goes is counted: as ``expired``, which nobody misses, or ``lru``.
    """

    def __init__(
        self, folder: Folder, clock: Callable[[], float], evictions: dict[str, int]
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._evictions = evictions
        #: What is to go, the first last.
        self._candidates: list[_Candidate] = []

    def make_room(self, threshold: int, spare: str) -> None:
        """Remove files until there are no more than ``threshold``.

        Args:
            threshold: Files at most.
            spare: The path of a file that stays: the one that was just written.
        """
        # One at a time, so that several do not remove one each for the same surplus. Whoever
        # waits for too long leaves it to the other.
        with (
            contextlib.suppress(TimeoutError, FileNotFoundError),
            self._folder.lock(self._folder.path, _WAIT),
        ):
            removed = samples = 0
            while removed < _MOST and samples < _MOST_SAMPLES:
                numbers = self._folder.counts.load()
                if numbers.total <= threshold:
                    return
                if not self._candidates:
                    self._sample(numbers)
                    samples += 1
                elif self._candidates[-1].path == spare:
                    self._candidates.pop()
                else:
                    removed += self._evict(self._candidates.pop())

    def _evict(self, candidate: _Candidate) -> bool:
        """Remove a candidate, unless it was used or replaced since."""
        directory = self._folder.shard(candidate.shard)
        with self._folder.lock(directory, _WAIT):
            found = _look(candidate.shard, candidate.path)
            if found is None or found.used != candidate.used:
                return False
            self._folder.remove(candidate.shard, candidate.path)
        self._evictions["expired" if self._is_dead(found) else "lru"] += 1
        return True

    def _sample(self, numbers: Numbers) -> None:
        """Look at some files, and keep those that may go; none if there were fewer than thought."""
        sample: list[_Candidate] = []
        wrong = False
        for shard in _choose(numbers):
            names = self._folder.names(shard)
            if len(names) != numbers.shards[shard]:
                wrong = self._folder.audit(shard) or wrong
            directory = self._folder.shard(shard)
            for name in random.sample(names, min(len(names), _SAMPLE_OF_ONE)):
                found = _look(shard, f"{directory}/{name}")
                if found is not None:
                    sample.append(found)
            if len(sample) >= _SAMPLE:
                break
        if not wrong:
            self._candidates = self._rank(sample)

    def _rank(self, sample: list[_Candidate]) -> list[_Candidate]:
        """What of a sample may go, the first last."""
        dead: list[_Candidate] = []
        live: list[_Candidate] = []
        for found in sample:
            (dead if self._is_dead(found) else live).append(found)
        live.sort()
        return [*reversed(live[: max(len(live) // _KEPT, _LEAST_KEPT)]), *dead]

    def _is_dead(self, found: _Candidate) -> bool:
        return found.expires_at != 0.0 and found.expires_at <= self._clock()


def _choose(numbers: Numbers) -> list[int]:
    """Shards to look into: all that hold something, or some of them by how much they hold."""
    weights = [0 if number == UNKNOWN else number for number in numbers.shards]
    if numbers.total <= _FEW:
        return [shard for shard, number in enumerate(weights) if number]
    return list(dict.fromkeys(random.choices(range(SHARDS), weights, k=_SHARDS_SAMPLED)))


def _look(shard: int, path: str) -> _Candidate | None:
    header = files.peek(path)
    return header and _Candidate(header.used, header.expires_at, shard, path)
