"""How many files each shard of a FileSystemCache holds, in a small file that processes share.

A number is changed under the lock of its shard. One that is not known (the file was lost, or
damaged) is found out by listing that shard. The file is opened anew for each use: it may be
removed at any time, and nothing has to be looked after over a fork.
"""

from __future__ import annotations

import contextlib
import os
import struct
from array import array
from collections.abc import Mapping

from . import files

__all__ = ["SHARDS", "UNKNOWN", "Counts", "Numbers"]

SHARDS = 256
#: In place of the number of files in a shard that has to be listed to know it.
UNKNOWN = 0xFFFFFFFF

_MAGIC = b"FCcount1"
_MARK = struct.Struct("=Q")
_MARK_AT = 8
_NUMBER = struct.Struct("=I")
_NUMBERS_AT = 16
_SIZE = _NUMBERS_AT + _NUMBER.size * SHARDS

_READ: int = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_CHANGE: int = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Numbers:
    """What the file said at one moment.

    Args:
        data: Its content.

    Attributes:
        shards: The number of files in each shard, or :data:`UNKNOWN`.
    """

    __slots__ = ("_data", "shards")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.shards = array("I", data[_NUMBERS_AT:])

    @property
    def mark(self) -> int:
        """A stamp; what was last used before it gets a new one when it is used."""
        mark: int = _MARK.unpack_from(self._data, _MARK_AT)[0]
        return mark

    @property
    def total(self) -> int:
        """Files in all shards whose number is known."""
        total = sum(self.shards)
        # One unknown number is more than all known ones together.
        return total if total < UNKNOWN else total - UNKNOWN * self.shards.count(UNKNOWN)

    @property
    def unknown(self) -> list[int]:
        """Shards that have to be listed."""
        if UNKNOWN not in self.shards:
            return []
        return [shard for shard, number in enumerate(self.shards) if number == UNKNOWN]


class Counts:
    """The numbers of one folder.

    Args:
        folder: The directory that the file is in.
        mode: Permissions of the file.
    """

    def __init__(self, folder: str, mode: int) -> None:
        self._folder = folder
        self._path = f"{folder}/counts"
        self._mode = mode

    def load(self) -> Numbers:
        """What the file says; nothing is known if it is not there or damaged."""
        try:
            file = os.open(self._path, _READ)
        except FileNotFoundError:
            return Numbers(_NOTHING_KNOWN)
        try:
            return _parse(os.read(file, _SIZE + 1)) or Numbers(_NOTHING_KNOWN)
        finally:
            os.close(file)

    def add(self, shard: int, delta: int) -> Numbers:
        """Change the number of a shard whose lock is held, unless it is unknown.

        Returns:
            What the file says now.

        Raises:
            FileNotFoundError: If the folder is not there.
        """
        file, numbers = self._open()
        try:
            number = numbers.shards[shard]
            if number != UNKNOWN:
                # Below zero it was wrong before.
                number = number + delta if number + delta >= 0 else UNKNOWN
                numbers.shards[shard] = number
                _store(file, shard, number)
        finally:
            os.close(file)
        return numbers

    def put(self, numbers: Mapping[int, int]) -> None:
        """Set the numbers of shards whose locks are held, or which are not there."""
        file, _ = self._open()
        try:
            for shard, number in numbers.items():
                _store(file, shard, number)
        finally:
            os.close(file)

    def move_mark(self, mark: int) -> None:
        """Set the mark."""
        file, _ = self._open()
        try:
            os.lseek(file, _MARK_AT, os.SEEK_SET)
            os.write(file, _MARK.pack(mark))
        finally:
            os.close(file)

    def _open(self) -> tuple[int, Numbers]:
        """The open file, whole, and what it says."""
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                file = os.open(self._path, _CHANGE)
                try:
                    numbers = _parse(os.read(file, _SIZE + 1))
                except BaseException:
                    os.close(file)
                    raise
                if numbers is not None:
                    return file, numbers
                os.close(file)
            self._replace()
        raise FileNotFoundError(f"{self._path} was removed again and again")

    def _replace(self) -> None:
        """A new file that knows nothing."""
        temporary = files.write(self._folder, [_NOTHING_KNOWN], self._mode)
        try:
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise


_NOTHING_KNOWN = _MAGIC + _MARK.pack(0) + _NUMBER.pack(UNKNOWN) * SHARDS


def _parse(data: bytes) -> Numbers | None:
    return Numbers(data) if len(data) == _SIZE and data.startswith(_MAGIC) else None


def _store(file: int, shard: int, number: int) -> None:
    os.lseek(file, _NUMBERS_AT + _NUMBER.size * shard, os.SEEK_SET)
    os.write(file, _NUMBER.pack(number))
