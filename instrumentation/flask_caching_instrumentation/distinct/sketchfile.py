"""The sketches of all worker processes of a machine, in one file that they share.

A record for each label set; registers are only ever raised, so the file is the union of what the
workers saw, those that have ended included. What is changed is read, raised and written under a
lock between processes (:class:`flask_caching.backends.filelocks.Locked`, on a file beside this
one): the kernel gives it back when its holder is killed. Where there is no such lock (Windows)
two workers that write at one moment may lose each other's last keys.

Reading takes no lock. Content is written before the table that makes it count, so whoever reads,
or is killed while it writes, finds an earlier state at worst.

The file is not mapped into memory: a write to a mapped file on a full disk, or one that somebody
cut short, would end the process. It is opened anew for each use, so it may be removed at any
time, and nothing has to be looked after over a fork.

Layout, little-endian: a page that begins with magic and version, then records. A record is a
page (table of slots, what was learnt, the label set as JSON), the few registers of each slot that
has few, and all registers of each slot that has many. What is never written stays a hole.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import accumulate
from typing import Final, NamedTuple, cast

from flask_caching.backends.filelocks import Locked
from flask_caching.observer import report_fault

from ..metrics.catalogue import LabelSet
from .hyperloglog import HIGHEST_RANK, REGISTERS, Place
from .sketches import (
    FRESH,
    RINGS,
    SPARSE_LIMIT,
    Estimates,
    Learnt,
    Ring,
    Sketch,
    absorb,
    estimate_union,
    oldest_first,
    show,
)

__all__ = ["RECORDS_LIMIT", "FileSketches"]

#: Label sets that the file has room for.
RECORDS_LIMIT: Final = 4096

_PAGE: Final = 4096
_HEADER: Final = struct.pack("<8sII", b"FCkeys\r\n", 1, REGISTERS)
_STAMP_SIZE: Final = 8

#: Positions of all rings, and where those of each begin.
_POSITIONS: Final = sum(ring.length for ring in RINGS)
_FIRST: Final = dict(
    zip(RINGS, accumulate((ring.length for ring in RINGS), initial=0), strict=False)
)

#: The number of a slot, and how many registers of it are listed; :data:`_FULL` for all of them.
_SLOT: Final = struct.Struct("<qi")
_FULL: Final = -1
_LEARNT: Final = struct.Struct(f"<d{len(RINGS)}d")
_LEARNT_AT: Final = 256
_LABELS: Final = struct.Struct("<H")
_LABELS_AT: Final = 512
_LABELS_NUMBER: Final = 4
_LABELS_LIMIT: Final = _PAGE - _LABELS_AT - _LABELS.size

#: One register of a slot that has few: the register, and its rank in the lowest byte.
_FEW: Final = struct.Struct("<I")
_FEW_SIZE: Final = _FEW.size * SPARSE_LIMIT
_FEW_AT: Final = _PAGE
_FULL_AT: Final = _FEW_AT + -(-_FEW_SIZE * _POSITIONS // _PAGE) * _PAGE
_RECORD: Final = _FULL_AT + REGISTERS * _POSITIONS

#: Seconds to wait for the lock, and not to wait again after it was not to be had: a process that
#: was stopped may hold it.
_WAIT: Final = 0.5
_NO_WAIT_FOR: Final = 5.0

_OPEN: Final[int] = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _File:
    """The open file, a place to read from and write to.

    Args:
        path: Where it is.

    Attributes:
        stamp: Differs between this file and any other that was at the same place.

    Raises:
        FileNotFoundError: If it is not there, or is none of ours.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, _OPEN)
        head = self.read(0, len(_HEADER) + _STAMP_SIZE)
        self.stamp = head[len(_HEADER) :]
        if not head.startswith(_HEADER):
            self.close()
            raise FileNotFoundError(errno.ENOENT, "not a file of sketches", path)

    def close(self) -> None:
        os.close(self._file)

    def read(self, place: int, size: int) -> bytes:
        """What stands there; zeros where the file ends before."""
        os.lseek(self._file, place, os.SEEK_SET)
        return os.read(self._file, size).ljust(size, b"\0")

    def write(self, place: int, data: bytes | bytearray) -> None:
        """Write all of it, or raise: a disk may take a part before it is full."""
        os.lseek(self._file, place, os.SEEK_SET)
        while data:
            data = data[os.write(self._file, data) :]

    def records(self) -> int:
        """How many records there are; one that was begun and not finished is none."""
        whole = (os.fstat(self._file).st_size - _PAGE) // _RECORD
        return min(max(whole, 0), RECORDS_LIMIT)

    def resize(self, records: int) -> None:
        """Make the file end behind so many records."""
        os.ftruncate(self._file, _PAGE + _RECORD * records)


class _Slot(NamedTuple):
    """One entry of a record's table."""

    number: int
    registers: int


class _Record:
    """One record of the open file.

    Args:
        file: The file.
        number: Which record of it, from 0.
    """

    def __init__(self, file: _File, number: int) -> None:
        self._file = file
        self._at = _PAGE + _RECORD * number
        self._head = file.read(self._at, _PAGE)

    @property
    def name(self) -> bytes:
        """The label set as it is written down."""
        (size,) = _LABELS.unpack_from(self._head, _LABELS_AT)
        begin = _LABELS_AT + _LABELS.size
        return self._head[begin : begin + size]

    @name.setter
    def name(self, name: bytes) -> None:
        self._file.write(self._at + _LABELS_AT, _LABELS.pack(len(name)) + name)

    @property
    def labels(self) -> LabelSet | None:
        """The label set; ``None`` if what stands there is none."""
        try:
            labels: object = json.loads(self.name)
        except (ValueError, RecursionError):
            return None
        if not isinstance(labels, list):
            return None
        found = tuple(each for each in cast("list[object]", labels) if isinstance(each, str))
        return found if len(found) == _LABELS_NUMBER else None

    @property
    def learnt(self) -> Learnt:
        at, *counts = _LEARNT.unpack_from(self._head, _LEARNT_AT)
        return Learnt(at, counts)

    @learnt.setter
    def learnt(self, learnt: Learnt) -> None:
        self._file.write(self._at + _LEARNT_AT, _LEARNT.pack(learnt.at, *learnt.counts))

    def add(self, places: Sequence[Place], now: float) -> None:
        """Count keys, in the current slot of each window."""
        for ring in RINGS:
            number = ring.slot(now)
            position = _FIRST[ring] + number % ring.length
            slot = self._slot(position)
            # Any other number is of a slot that is over, or was never there.
            sketch = self._sketch(position, slot) if slot.number == number else {}
            self._keep(position, number, absorb(sketch, places))

    def estimates(self, now: float) -> list[float]:
        """Different keys in each window."""
        return [estimate_union(self._window(ring, now)) for ring in RINGS]

    def _window(self, ring: Ring, now: float) -> Iterator[Sketch]:
        for number in ring.slots(now):
            position = _FIRST[ring] + number % ring.length
            slot = self._slot(position)
            if slot.number == number and slot.registers:
                yield self._sketch(position, slot)

    def _slot(self, position: int) -> _Slot:
        return _Slot(*_SLOT.unpack_from(self._head, _SLOT.size * position))

    def _sketch(self, position: int, slot: _Slot) -> Sketch:
        if slot.registers == _FULL:
            return bytearray(self._file.read(self._full_at(position), REGISTERS))
        if not 0 < slot.registers <= SPARSE_LIMIT:
            return {}
        data = self._file.read(self._few_at(position), _FEW.size * slot.registers)
        few: dict[int, int] = {}
        for (number,) in _FEW.iter_unpack(data):
            register, rank = number >> 8, number & 0xFF
            # Anything else is damage.
            if register < REGISTERS and rank <= HIGHEST_RANK:
                few[register] = rank
        return few

    def _keep(self, position: int, number: int, sketch: Sketch) -> None:
        if isinstance(sketch, bytearray):
            self._file.write(self._full_at(position), sketch)
            registers = _FULL
        else:
            data = b"".join(_FEW.pack(register << 8 | rank) for register, rank in sketch.items())
            self._file.write(self._few_at(position), data)
            registers = len(sketch)
        # Last: from here on it counts.
        if self._slot(position) != (number, registers):
            self._file.write(self._at + _SLOT.size * position, _SLOT.pack(number, registers))

    def _few_at(self, position: int) -> int:
        return self._at + _FEW_AT + _FEW_SIZE * position

    def _full_at(self, position: int) -> int:
        return self._at + _FULL_AT + REGISTERS * position


class FileSketches:
    """The sketches of all workers of a machine (see :class:`~.sketches.SketchStore`).

    Safe between threads and processes, and over a fork. A file that is missing, or is none of
    ours, is made anew. A label set takes a few KiB, up to 324 where many keys are looked up in
    every slot. What goes wrong is counted in :data:`flask_caching.observer.faults`; what was to
    be recorded is lost then.

    Args:
        path: The file, in a directory that is there; another one, ``<path>.lock``, is beside it.
        mode: Permissions of both.
    """

    def __init__(self, path: str | os.PathLike[str], mode: int = 0o600) -> None:
        self._path = os.fspath(path)
        self._mode = mode
        self._no_wait_until = 0.0
        #: Which record a label set has, among those of the file with this stamp that were looked
        #: at. Used with the lock.
        self._numbers: dict[bytes, int] = {}
        self._looked_at = 0
        self._stamp = b""
        self._refused = False

    def record(self, labels: LabelSet, places: Sequence[Place], now: float) -> None:
        try:
            with self._locked() as file:
                record = self._find(file, labels) or self._append(file, labels)
                if record is not None and places:
                    record.add(places, now)
        except OSError as fault:
            report_fault("distinct_keys.record", fault)

    def estimates(self, now: float) -> Estimates:
        found: Estimates = {}
        try:
            with closing(_File(self._path)) as file:
                for record in _all_records(file):
                    labels, learnt = record.labels, record.learnt
                    if labels is not None:
                        fresh = learnt.is_younger(FRESH, now)
                        found |= show(labels, learnt.counts if fresh else record.estimates(now))
        except FileNotFoundError:
            return found
        except OSError as fault:
            report_fault("distinct_keys.estimates", fault)
        return found

    def learn(self, labels: LabelSet, counts: Sequence[float], now: float) -> None:
        try:
            with self._locked() as file:
                record = self._find(file, labels)
                if record is not None:
                    record.learnt = Learnt(now, counts)
        except OSError as fault:
            report_fault("distinct_keys.learn", fault)

    def unlearnt(self, now: float, seconds: float) -> list[LabelSet]:
        try:
            with closing(_File(self._path)) as file:
                learnt = (
                    (labels, record.learnt)
                    for record in _all_records(file)
                    if (labels := record.labels) is not None
                )
                return oldest_first(learnt, now, seconds)
        except FileNotFoundError:
            return []
        except OSError as fault:
            report_fault("distinct_keys.learn", fault)
            return []

    def _find(self, file: _File, labels: LabelSet) -> _Record | None:
        """The record of a label set."""
        records = file.records()
        if (stamp := file.stamp) != self._stamp or records < self._looked_at:
            self._stamp, self._looked_at, self._numbers = stamp, 0, {}
        name = _name(labels)
        if name not in self._numbers and self._looked_at < records:
            # Other workers made these.
            for number in range(self._looked_at, records):
                self._numbers[_Record(file, number).name] = number
            self._looked_at = records
        number = self._numbers.get(name, -1)
        return _Record(file, number) if number >= 0 else None

    def _append(self, file: _File, labels: LabelSet) -> _Record | None:
        """A new record; ``None`` if it cannot be had."""
        name = _name(labels)
        number = file.records()
        if len(name) > _LABELS_LIMIT or number >= RECORDS_LIMIT:
            self._refuse(
                f"the keys of {labels[-1][:100]!r} are not counted: a file has room for "
                f"{RECORDS_LIMIT} label sets of at most {_LABELS_LIMIT} bytes each"
            )
            return None
        # Away with what a file that was cut short has behind its last whole record.
        file.resize(number)
        _Record(file, number).name = name
        # A record counts when it is whole.
        file.resize(number + 1)
        return self._find(file, labels)

    def _refuse(self, message: str) -> None:
        # Once: the same label sets come again and again.
        if not self._refused:
            self._refused = True
            report_fault("distinct_keys.record", ValueError(message))

    @contextmanager
    def _locked(self) -> Generator[_File]:
        """The file, to be written to by nobody else; made if it is not there, or not ours."""
        wait = _WAIT if time.monotonic() >= self._no_wait_until else 0.0
        try:
            with Locked(f"{self._path}.lock", self._mode, wait), closing(self._open()) as file:
                yield file
        except TimeoutError:
            self._no_wait_until = time.monotonic() + _NO_WAIT_FOR
            raise

    def _open(self) -> _File:
        try:
            return _File(self._path)
        except FileNotFoundError:
            self._make()
            return _File(self._path)

    def _make(self) -> None:
        """Put an empty file where there is none, or another's."""
        temporary = f"{self._path}.new"
        number = os.open(temporary, _OPEN | os.O_CREAT | os.O_TRUNC, self._mode)
        try:
            os.write(number, (_HEADER + os.urandom(_STAMP_SIZE)).ljust(_PAGE, b"\0"))
        finally:
            os.close(number)
        if self._mode & 0o077:
            # Whatever the umask is: those who share the lock share the file.
            os.chmod(temporary, self._mode)
        os.replace(temporary, self._path)


def _all_records(file: _File) -> Iterator[_Record]:
    return (_Record(file, number) for number in range(file.records()))


def _name(labels: LabelSet) -> bytes:
    # In ASCII, so that anything that text can hold comes back as it was.
    return json.dumps(labels).encode()
