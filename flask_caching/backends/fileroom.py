"""The entries of one prefix: which are alive, when they were used, and how many there may be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from . import files
from .filecounts import Numbers
from .fileeviction import Evictor
from .filefolder import Folder, Place

__all__ = ["Room"]

#: A hit counts as a use again when this part of the limit was added since the last one.
_PARTS = 8
#: Hits between two looks at how far other processes have come, at most.
_HITS_UNASKED = 16
#: Shards of an unknown number of files that are counted when an entry is added, at most.
_EXPLORED = 32


class Room:
    """A folder, what lives in it, and what keeps it within its limit.

    The order of use is that of stamps. Writing one at each hit would make a hit dear, so there is
    a *mark*, a stamp that moves on whenever an eighth of the limit was added; only what was last
    used before the mark gets a new stamp when it is hit. What is hit often is never behind by more
    than that, however fast others are added.

    Args:
        folder: The folder.
        clock: Gives the Unix time.
        evictions: Where the entries are counted that make room for others.
    """

    __slots__ = ("_added", "_clock", "_evictor", "_mark", "_stamp", "_unasked", "folder")

    def __init__(
        self, folder: Folder, clock: Callable[[], float], evictions: dict[str, int]
    ) -> None:
        self.folder = folder
        self._evictor = Evictor(folder, clock, evictions)
        self._clock = clock
        self._added = 0
        self._mark = 0
        self._stamp = 0
        self._unasked = 0

    def expired(self, expires_at: float) -> bool:
        """Whether that moment has come; 0.0 never does."""
        return expires_at != 0.0 and expires_at <= self._clock()

    def live(self, place: Place) -> files.Header | None:
        """What is known of a key that can be read and has not expired."""
        header = files.peek(place.path)
        if header is not None and header.key != place.key:
            # It may have become another key's while it was being opened (filespare).
            header = files.peek(place.path)
        if header is None or header.key != place.key or self.expired(header.expires_at):
            return None
        return header

    # Use.

    def stamp(self) -> int:
        """A stamp of now: nanoseconds, and later than the one before."""
        self._stamp = max(int(self._clock() * 1e9), self._stamp + 1)
        return self._stamp

    def hit(self, path: str, used: int, threshold: int) -> None:
        """A file was hit that had last been used at the stamp ``used``."""
        if not threshold:
            return
        if self._unasked <= 0:
            self._unasked = min(_HITS_UNASKED, threshold // _PARTS)
            self._mark = self.folder.counts.load().mark
        self._unasked -= 1
        if used < self._mark:
            # A hit is a hit where nothing can be written, too.
            with contextlib.suppress(OSError):
                files.restamp(path, self.stamp())

    # Changes.

    def put(
        self,
        place: Place,
        make: Callable[[], tuple[Sequence[bytes], float] | None],
        threshold: int,
    ) -> None:
        """Put a new file in place, alone on its shard, and stay within the limit.

        Args:
            place: Where.
            make: Called under the lock, perhaps more than once: gives the parts of the
                payload and the expiry, or ``None`` to leave all as it is.
            threshold: Files at most; 0 for no limit.

        Raises:
            OSError: If it cannot be written, or its shard was locked all the time.
        """

        def content() -> Sequence[bytes] | None:
            made = make()
            return made and files.pack(place.key, *made, self.stamp())

        numbers = self.folder.change(place, content)
        # If somebody removes the directory now, all that is to be kept in order goes with it.
        with contextlib.suppress(FileNotFoundError):
            if numbers is not None:
                self._grown(numbers, threshold, place.path)
            self.folder.patrol()

    def _grown(self, numbers: Numbers, threshold: int, path: str) -> None:
        if unknown := numbers.unknown:
            self.folder.explore(unknown[:_EXPLORED])
            numbers = self.folder.counts.load()
        if not threshold:
            return
        self._added += 1
        if self._added * _PARTS >= threshold:
            self._added = 0
            self._mark = self._stamp
            self.folder.counts.move_mark(self._mark)
        if numbers.total > threshold:
            self._evictor.make_room(threshold, path)

    def remove(self, place: Place, condition: Callable[[], bool] | None = None) -> bool:
        """Remove a key's file, alone on its shard. Returns whether there was a live entry.

        Args:
            place: Where.
            condition: Whether a live entry is to be removed; asked under the lock.
        """
        if not os.path.lexists(place.path):
            return False
        with contextlib.suppress(FileNotFoundError), self.folder.lock(place.directory):
            live = self.live(place) is not None
            if live:
                if condition is not None and not condition():
                    return False
                self.folder.remove(place.shard, place.path)
                return True
            self._bury(place)
        return False

    def discard(self, place: Place) -> None:
        """Remove what has expired, unless it was replaced, or it is not to be had at once."""
        # Whoever wanted to read does not wait for that, nor fail where nothing can be removed.
        with contextlib.suppress(OSError), self.folder.lock(place.directory, wait=0.0):
            self._bury(place)

    def _bury(self, place: Place) -> None:
        """Remove a file that is of no use to anybody; under the lock."""
        header = files.peek(place.path)
        if header is not None and self.expired(header.expires_at):
            self.folder.remove(place.shard, place.path)

    def move_expiry(self, place: Place, choose: Callable[[float], float]) -> bool:
        """Change when a live entry expires, and count it as used. Returns whether there is one.

        Args:
            place: Where.
            choose: Makes the new Unix time of the old one.
        """
        if self.live(place) is None:
            return False
        with contextlib.suppress(FileNotFoundError), self.folder.lock(place.directory):
            header = self.live(place)
            if header is not None:
                files.restamp(place.path, self.stamp(), choose(header.expires_at))
                return True
        return False
