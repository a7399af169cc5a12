"""Which of the files in ``PROMETHEUS_MULTIPROC_DIR`` are this process's.

A worker takes a *slot*: a number, and the files that carry it, which nobody else writes to while
the worker lives. When it has ended the next worker takes its slot over and goes on where it left
off. So the counts of ended workers stay, and there are never more files than workers were alive at
once. The kernel knows who lives: a slot is a lock that goes with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import sys
from collections.abc import Generator
from typing import Final

from prometheus_client import values

from flask_caching.backends.filelocks import Locked
from flask_caching.errors import ConfigurationError
from flask_caching.observer import report_fault

__all__ = ["PREFIX", "Slot", "dead_slots", "directory", "in_files"]

_ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"

#: What stands in the names of our files. No underscore: prometheus_client splits names there.
PREFIX: Final = "flaskcaching-"

_LOCK_FILES: Final = f"{PREFIX}*.lock"
_MODE: Final = 0o666

if sys.platform == "win32":
    # No server runs several worker processes there.
    _HAS_LOCKS = False

    def _taken(file: int, *, shared: bool = False) -> bool:
        return False

else:
    import fcntl

    _HAS_LOCKS = True

    def _taken(file: int, *, shared: bool = False) -> bool:
        """Take a lock unless another process has it; whether one has."""
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def in_files() -> bool:
    """Whether prometheus_client keeps this process's metrics in shared files."""
    return values.ValueClass is not values.MutexValue


def directory() -> str:
    """Where those files are.

    Raises:
        ConfigurationError: If the environment variable names no directory, or this system has no
            file locks.
    """
    # The lower-case name is what old versions of prometheus_client read.
    path = os.environ.get(_ENVIRONMENT) or os.environ.get(_ENVIRONMENT.lower(), "")
    if not os.path.isdir(path):
        raise ConfigurationError(
            f"{_ENVIRONMENT} is {path!r}, which is not a directory: create it (empty) before the "
            "workers start, or unset the variable before prometheus_client is imported."
        )
    if not _HAS_LOCKS:
        raise ConfigurationError(
            f"{_ENVIRONMENT} is set, but this system has no file locks, so that workers cannot "
            "share files: unset it before prometheus_client is imported."
        )
    return path


class Slot:
    """A slot of the directory that this process has taken.

    Args:
        path: The directory.

    Attributes:
        path: As given.
        number: Which slot.

    Raises:
        OSError: If the directory is gone, or cannot be written to.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with _one_at_a_time(path):
            for number in itertools.count():
                file = _open(_lock_path(path, number))
                if _taken(file):
                    os.close(file)
                    continue
                self.number = number
                self._file = file
                break
            self._drop_gauges()

    def file(self, kind: str) -> str:
        """The path of the file for a kind of metrics (``counter``, ``gauge_livesum``)."""
        return os.path.join(self.path, f"{kind}_{PREFIX}{self.number}.db")

    def exists(self) -> bool:
        """Whether the slot's lock is still there: not if somebody emptied the directory."""
        try:
            found = os.stat(_lock_path(self.path, self.number))
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))

    def give_up(self) -> None:
        """Close the slot's lock. In a forked child it stays with the parent."""
        os.close(self._file)

    def _drop_gauges(self) -> None:
        """Remove what the slot's last owner said of itself."""
        name = f"gauge_*_{PREFIX}{self.number}.db"
        for path in glob.glob(os.path.join(glob.escape(self.path), name)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def dead_slots(path: str, own: int | None) -> set[int]:
    """The slots of a directory that no living process has.

    Args:
        path: The directory.
        own: This process's slot.
    """
    dead: set[int] = set()
    with _one_at_a_time(path):
        for lock in glob.glob(os.path.join(glob.escape(path), _LOCK_FILES)):
            text = os.path.basename(lock).removeprefix(PREFIX).removesuffix(".lock")
            if not text.isdigit() or int(text) == own:
                continue
            file = _open(lock)
            try:
                if not _taken(file, shared=True):
                    dead.add(int(text))
            finally:
                os.close(file)
    return dead


@contextlib.contextmanager
def _one_at_a_time(path: str) -> Generator[None]:
    """Keep other processes from taking slots, so that a look at one is not taken for its owner."""
    lock = Locked(os.path.join(path, f"{PREFIX.rstrip('-')}.lock"), _MODE)
    try:
        lock.__enter__()
    except TimeoutError as fault:
        # Somebody was stopped while he held it. At worst a slot is left empty.
        report_fault("metrics.slots", fault)
        yield
        return
    with contextlib.ExitStack() as leaving:
        leaving.push(lock)
        yield


def _lock_path(path: str, number: int) -> str:
    return os.path.join(path, f"{PREFIX}{number}.lock")


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
