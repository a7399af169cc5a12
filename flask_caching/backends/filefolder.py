"""The directory of one key prefix: where each key's file is, and how files come and go in it.

::

    CACHE_DIR/<prefix, readable>-<hash of the prefix>.fc1/
        00/ ... ff/     the shards, by the beginning of the hash of a key: its entries, its lock
        own/            the keys of this package itself: not counted, not listed, not cleared
        counts          how many files each shard holds
        lock            of who makes room

All that is named otherwise is somebody else's, and never touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import files, filespare
from .base import RESERVED
from .filecounts import SHARDS, UNKNOWN, Counts, Numbers
from .filelocks import WAIT, Locked
from .fileswap import overwrite

__all__ = ["Folder", "Place"]

#: The shard of what is not counted.
_OWN = -1
#: Times that a change is tried while somebody removes the directory.
_ATTEMPTS = 3
#: One shard is looked after at every so many changes: counted, and rid of what a crash left.
_PATROL = 16
#: Seconds after which what is still being written never will be.
_ABANDONED = 600.0
#: Seconds to wait for a lock where it is not important.
_BRIEFLY = 0.05
#: Own keys looked at in one patrol.
_OWN_SCAN = 64


class Place(NamedTuple):
    """Where a key's file is.

    Attributes:
        key: The key, as bytes.
        shard: The number of its shard; -1 for what is not counted.
        directory: The path of its shard.
        path: The path of its file.
    """

    key: bytes
    shard: int
    directory: str
    path: str


class Folder:
    """The directory of one key prefix. It is made by the first write.

    Args:
        cache_dir: The directory that it is in.
        prefix: The key prefix.
        mode: Permissions of the files.
        name_of: Gives a key as bytes, and the name of its file without its ending.
        clock: Gives the Unix time.

    Attributes:
        path: Its path.
        counts: How many files are in each shard.
    """

    def __init__(
        self,
        cache_dir: str,
        prefix: str,
        mode: int,
        name_of: Callable[[str], tuple[bytes, str]],
        clock: Callable[[], float],
    ) -> None:
        self.path = f"{cache_dir}/{_folder_name(prefix)}"
        self.counts = Counts(self.path, mode)
        self._mode = mode
        self._name_of = name_of
        self._clock = clock
        self._changes = 0
        # Every process begins somewhere else.
        self._patrolled = random.randrange(SHARDS)

    # Where things are.

    def place(self, key: str) -> Place:
        """Where a key's file is."""
        raw, name = self._name_of(key)
        shard = _OWN if key.startswith(RESERVED) else int(name[:2], 16)
        directory = self.shard(shard)
        return Place(raw, shard, directory, f"{directory}/{name}{files.ENTRY}")

    def path_of(self, key: str, name: str) -> str:
        """The path of a key's file, whose name is known."""
        shard = "own" if key.startswith(RESERVED) else name[:2]
        return f"{self.path}/{shard}/{name}{files.ENTRY}"

    def shard(self, shard: int) -> str:
        """The path of a shard."""
        return f"{self.path}/own" if shard == _OWN else f"{self.path}/{shard:02x}"

    def names(self, shard: int) -> list[str]:
        """The names of the entries in a shard, in no order."""
        try:
            return _entries(os.listdir(self.shard(shard)), shard)
        except FileNotFoundError:
            return []

    def lock(self, directory: str, wait: float = WAIT) -> Locked:
        """The lock of the shard at a path; of the folder itself, for who makes room in it."""
        return Locked(f"{directory}/lock", self._mode, wait)

    # How files come and go.

    def change(self, place: Place, make: Callable[[], Sequence[bytes] | None]) -> Numbers | None:
        """Put a new file in place, alone on its shard.

        Args:
            place: Where.
            make: Called under the lock, perhaps more than once: gives the parts of the file, or
                ``None`` to leave all as it is.

        Returns:
            How many files there are, if there is one more now.

        Raises:
            TimeoutError: If the shard was locked all the time.
            OSError: If the file cannot be written; nothing is left of it then.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._change(place, make)
            except FileNotFoundError:
                self._make(place.shard)
        return self._change(place, make)

    def _change(self, place: Place, make: Callable[[], Sequence[bytes] | None]) -> Numbers | None:
        with self.lock(place.directory):
            content = make()
            return None if content is None else self._land(place, content)

    def _land(self, place: Place, content: Sequence[bytes]) -> Numbers | None:
        temporary = filespare.write(place.directory, content, self._mode)
        numbers: Numbers | None = None
        try:
            if not overwrite(temporary, place.path):
                if place.shard != _OWN:
                    # Counted first: a crash in between makes it one too many, never one too few.
                    numbers = self.counts.add(place.shard, 1)
                os.replace(temporary, place.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if numbers is not None:
                with contextlib.suppress(OSError):
                    self.counts.add(place.shard, -1)
            raise
        self._changes += 1
        if numbers is not None and numbers.shards[place.shard] == UNKNOWN:
            numbers.shards[place.shard] = self._count(place.shard)
        return numbers

    def remove(self, shard: int, path: str) -> None:
        """Remove a file of a shard whose lock is held."""
        os.unlink(path)
        if shard != _OWN:
            self.counts.add(shard, -1)

    def clear(self) -> None:
        """Remove every entry, but not what is this package's own."""
        for shard in range(SHARDS):
            directory = self.shard(shard)
            if not os.path.isdir(directory):
                continue
            with contextlib.suppress(FileNotFoundError), self.lock(directory):
                for name in self.names(shard):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{directory}/{name}")
                self._count(shard)
        self._sweep(self.path)

    def _make(self, shard: int) -> None:
        """Make the directory of a shard, and those it is in."""
        directory = self.shard(shard)
        mode = files.directory_mode(self._mode)
        os.makedirs(os.path.dirname(self.path), mode, exist_ok=True)
        files.make_directory(self.path, mode)
        if files.make_directory(directory, mode) and shard != _OWN:
            # The number may be that of one which was removed.
            self.counts.put({shard: UNKNOWN})

    # Keeping the numbers right, and what a crash left behind away.

    def explore(self, shards: list[int]) -> None:
        """Find out how many files are in shards whose number is not known."""
        missing = {shard: 0 for shard in shards if not os.path.isdir(self.shard(shard))}
        self.counts.put(missing)
        for shard in shards:
            # Also if it was made just now, when somebody may have counted already.
            if shard not in missing or os.path.isdir(self.shard(shard)):
                self.audit(shard)

    def audit(self, shard: int) -> bool:
        """Count the files of a shard anew, unless somebody else is busy there.

        Returns:
            Whether the number was wrong.
        """
        directory = self.shard(shard)
        if not os.path.isdir(directory) and self.counts.load().shards[shard]:
            self.counts.put({shard: 0})
            if not os.path.isdir(directory):
                return True
        try:
            with self.lock(directory, _BRIEFLY):
                before = self.counts.load().shards[shard]
                return self._count(shard, before) != before
        except (FileNotFoundError, TimeoutError):
            return False

    def patrol(self) -> None:
        """Audit one shard after the other, one in a number of changes."""
        if self._changes < _PATROL:
            return
        self._changes = 0
        self._patrolled = (self._patrolled + 1) % (SHARDS + 1)
        if self._patrolled < SHARDS:
            self.audit(self._patrolled)
        else:
            self._sweep(self.path)
            self._sweep(self.shard(_OWN))
            self._expire_own()

    def _count(self, shard: int, before: int = UNKNOWN) -> int:
        """Count the files of a shard whose lock is held, and of which there were so many."""
        names = self._sweep(self.shard(shard))
        number = len(_entries(names, shard))
        if number != before:
            self.counts.put({shard: number})
        return number

    def _sweep(self, directory: str) -> list[str]:
        """Remove what a crash left in a directory. Returns the names of what is there."""
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return []
        for name in names:
            if files.TEMPORARY.fullmatch(name):
                path = f"{directory}/{name}"
                # Another user's is not ours to remove.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    if os.stat(path).st_mtime < self._clock() - _ABANDONED:
                        os.unlink(path)
        return names

    def _expire_own(self) -> None:
        """Remove locks of this package that nobody gave back."""
        names = self.names(_OWN)
        for name in random.sample(names, min(len(names), _OWN_SCAN)):
            path = f"{self.shard(_OWN)}/{name}"
            with (
                contextlib.suppress(FileNotFoundError, TimeoutError),
                self.lock(self.shard(_OWN), _BRIEFLY),
            ):
                if self._is_dead(path):
                    os.unlink(path)

    def _is_dead(self, path: str) -> bool:
        header = files.peek(path)
        return header is not None and 0.0 != header.expires_at <= self._clock()


def _entries(names: list[str], shard: int) -> list[str]:
    """The names of entries among those that were found in a shard."""
    beginning = "" if shard == _OWN else f"{shard:02x}"
    return [name for name in names if name.endswith(files.ENTRY) and name.startswith(beginning)]


def _folder_name(prefix: str) -> str:
    """The name of a prefix's directory: readable, and another for each prefix."""
    # A file system may take A and a for the same, and some characters for what they are not.
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", prefix)[:40] or "no-prefix"
    digest = hashlib.blake2b(prefix.encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{readable}-{digest.hexdigest()}.fc1"
