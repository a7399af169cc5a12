"""A file of numbers in the form that prometheus_client keeps for each worker process.

So that whatever reads its directory (``MultiProcessCollector``, an exporter that the application
has already) adds these numbers to the others. The client maps its files into memory, and a write
into one on a disk that is full ends the process; here a full disk is an exception.
"""

from __future__ import annotations

import inspect
import os
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from prometheus_client import mmap_dict

from .slots import is_at

__all__ = ["ValueFile", "value_key"]

_NUMBER_OF_BYTES: Final = struct.Struct("i")

#: prometheus_client has no types for them.
_theirs = cast("Any", mmap_dict)
_read_all = cast(
    "Callable[[str], Iterable[tuple[Any, ...]]]", _theirs.MmapedDict.read_all_values_from_file
)
_make_key = cast("Callable[..., str]", _theirs.mmap_key)

#: Behind each value stands the time of it, in files of prometheus_client 0.18 and newer.
_TIMED: Final = "timestamp" in inspect.signature(_theirs.MmapedDict.write_value).parameters
_VALUE: Final = struct.Struct("dd" if _TIMED else "d")

#: Each key begins with the help text of its family, in files of 0.16 and newer.
_WITH_HELP: Final = "help_text" in inspect.signature(_make_key).parameters


def value_key(
    metric: str, sample: str, names: tuple[str, ...], values: tuple[str, ...], about: str
) -> str:
    """What a sample is called in a file.

    Args:
        metric: The metric's name.
        sample: The sample's own name, ``<metric>_bucket`` perhaps.
        names: Label names.
        values: Label values.
        about: The metric's help text.
    """
    about_too = (about,) if _WITH_HELP else ()
    return _make_key(metric, sample, names, values, *about_too)


class ValueFile:
    """One file, written by one process at a time.

    Args:
        path: Where it is; made if it is not there. What cannot be read is thrown away.

    Attributes:
        values: What the file held when it was opened.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.values: dict[str, float] = {}
        self._path = path
        self._places: dict[str, int] = {}
        self._used = 0
        self._torn = False
        if not os.path.exists(path):
            _create(path)
        self._file = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def exists(self) -> bool:
        """Whether it is still there: not if somebody removed it."""
        return is_at(self._file, self._path)

    def write(self, key: str, value: float, when: float = 0.0) -> None:
        """Put a number under a key; ``when`` is the Unix time of it, where that matters."""
        if self._torn:
            self._read()
        data = _VALUE.pack(value, when) if _TIMED else _VALUE.pack(value)
        place = self._places.get(key)
        if place is None:
            self._append(key, data)
        else:
            os.pwrite(self._file, data, place)

    def remove(self) -> None:
        """Remove it, if it is still there."""
        if self.exists:
            os.unlink(self._path)

    def close(self) -> None:
        """Give the file back to the system."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, key: str, data: bytes) -> None:
        name = key.encode()
        length = len(name)
        # Up to where a number may stand.
        name += b" " * (8 - (length + 4) % 8)
        entry = _NUMBER_OF_BYTES.pack(length) + name + data
        # If this is not done to its end, what is in the file has to be found out again.
        self._torn = True
        _write_all(self._file, entry, self._used)
        used = self._used + len(entry)
        # Last, so that nobody reads half an entry.
        _write_all(self._file, _NUMBER_OF_BYTES.pack(used), 0)
        self._used = used
        self._places[key] = used - len(data)
        self._torn = False

    def _read(self) -> None:
        """Find out what is in the file; what cannot be read is thrown away."""
        size = os.fstat(self._file).st_size
        found: dict[str, float] = {}
        places: dict[str, int] = {}
        try:
            (used,) = _NUMBER_OF_BYTES.unpack(os.pread(self._file, 4, 0))
            if not 8 <= used <= size:
                raise ValueError("it is cut off")
            for key, value, *_, place in _read_all(self._path):
                found[key], places[key] = value, place
        except (RuntimeError, ValueError, struct.error):
            # Torn by a crash of the machine, or not one of these files.
            found, places, used = {}, {}, len(_EMPTY)
            os.ftruncate(self._file, 0)
            _write_all(self._file, _EMPTY, 0)
        if not self._places:
            self.values = found
        self._places, self._used = places, used
        self._torn = False


#: The beginning of a file, of which so many bytes are used.
_EMPTY: Final = _NUMBER_OF_BYTES.pack(8) + bytes(4)


def _create(path: str) -> None:
    """Make an empty file at once, so that nobody reads one without a beginning."""
    new = f"{path}.new"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        _write_all(file, _EMPTY, 0)
    finally:
        os.close(file)
    os.replace(new, path)


def _write_all(file: int, data: bytes, place: int) -> None:
    """Write all of it, or raise: a disk may take a part before it is full."""
    while data:
        written = os.pwrite(file, data, place)
        data, place = data[written:], place + written
