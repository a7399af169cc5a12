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
import threading
import time
from collections.abc import Generator
from typing import Final

from prometheus_client import values

from flask_caching.errors import ConfigurationError

__all__ = ["MODE", "PREFIX", "Slot", "dead_slots", "directory", "in_files", "is_at"]

_ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"

#: What stands in the names of our files. No underscore: prometheus_client splits names there.
PREFIX: Final = "flaskcaching-"

_LOCK_FILES: Final = f"{PREFIX}*.lock"
#: Workers may be of several users, as the directory allows.
MODE: Final = 0o666

#: Seconds to wait for others who take a slot.
_WAIT: Final = 0.25

#: Not ``time.sleep``, which applications replace in their tests.
_pause: Final = threading.Event()

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
            self.number, self._file = _take(path)
            self._drop_gauges()

    def file(self, kind: str) -> str:
        """The path of the file for a kind of metrics (``counter``, ``gauge_livesum``)."""
        return os.path.join(self.path, f"{kind}_{PREFIX}{self.number}.db")

    def retake(self) -> bool:
        """Lock the slot anew if somebody removed its lock. Returns whether it is this process's."""
        name = _lock_path(self.path, self.number)
        if is_at(self._file, name):
            return True
        with _one_at_a_time(self.path):
            file = _open(name)
            if _taken(file):
                os.close(file)
                return False
            os.close(self._file)
            self._file = file
            return True

    def give_up(self) -> None:
        """Close the slot's lock. In a forked child it stays with the parent."""
        os.close(self._file)

    def _drop_gauges(self) -> None:
        """Remove what the slot's last owner said of itself."""
        name = f"gauge_*_{PREFIX}{self.number}.db"
        for path in glob.glob(os.path.join(glob.escape(self.path), name)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def is_at(file: int, path: str) -> bool:
    """Whether an open file is what stands at ``path``."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def dead_slots(path: str, own: int | None) -> set[int]:
    """The slots of a directory that no living process has, as far as one can know.

    Args:
        path: The directory.
        own: This process's slot.
    """
    dead: set[int] = set()
    with _one_at_a_time(path):
        for name in glob.glob(os.path.join(glob.escape(path), _LOCK_FILES)):
            text = os.path.basename(name).removeprefix(PREFIX).removesuffix(".lock")
            if not text.isdigit() or int(text) == own:
                continue
            try:
                file = _open(name)
            except OSError:
                continue  # Another user's, or gone by now: taken for one that lives.
            try:
                if not _taken(file, shared=True):
                    dead.add(int(text))
            finally:
                os.close(file)
    return dead


def _take(path: str) -> tuple[int, int]:
    """The lowest slot that can be had, and its lock, which is held from now on."""
    for number in itertools.count():
        name = _lock_path(path, number)
        try:
            file = _open(name)
        except PermissionError:
            if not os.path.exists(name):
                raise  # It is the directory that may not be written to.
            continue  # Another user's.
        try:
            # A file of the slot that may not be written to makes it another user's as well.
            mine = all(
                os.access(each, os.W_OK)
                for each in glob.glob(os.path.join(glob.escape(path), f"*_{PREFIX}{number}.db"))
            )
            if mine and not _taken(file):
                return number, file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise AssertionError("there is no end to numbers")


@contextlib.contextmanager
def _one_at_a_time(path: str) -> Generator[None]:
    """Keep other processes from taking slots, so that a look at one is not taken for its owner.

    Not for long: who holds the lock may have been stopped. At worst a slot is left empty then.
    """
    file = _open(os.path.join(path, f"{PREFIX.rstrip('-')}.lock"))
    try:
        deadline = time.monotonic() + _WAIT
        while _taken(file) and time.monotonic() < deadline:
            _pause.wait(0.005)
        yield
    finally:
        os.close(file)


def _lock_path(path: str, number: int) -> str:
    return os.path.join(path, f"{PREFIX}{number}.lock")


def _open(path: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    # Past the umask: another user's worker has to be able to lock it.
    with contextlib.suppress(PermissionError):
        if os.fstat(file).st_mode & 0o777 != MODE:
            os.fchmod(file, MODE)
    return file
