"""Writing a new file into one that was replaced a moment ago, instead of making another.

Making a file and removing one is most of a small write where the file system has to look for a
free place in its table: an ext4 without a journal passes by every file that was removed in the
last minutes. So what has left its place to a newer file is kept for a few seconds, and gets the
content of the next one that goes to the same directory. Two things make that safe:

- Nobody has it open. The kernel says so: it gives a write lease for such a file only. Whoever opens
  it while it is being written waits until the lease is given back, which takes microseconds, and
  finds a whole file, though it may be that of another key.
- This process made it seconds ago. Nothing of it has been sent to the disk by then, so that a power
  cut leaves a damaged file, and not what was in there before.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import stat
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from . import files

__all__ = ["retire", "write"]

#: Seconds that a file may be written again after it was made. Systems wait about 30 before they
#: write to the disk what is new.
_YOUNG = 5.0
#: Bytes of the largest file that is kept, and how many are.
_LARGEST = 65536
_MOST = 256
#: Files that are known to be young; all are forgotten when there are so many.
_MOST_MADE = 4096


class _Spare(NamedTuple):
    """A file that is of no use any more.

    Attributes:
        path: Where it is.
        mode: Its permissions.
        size: Bytes.
        made: When, as the process counts seconds.
    """

    path: str
    mode: int
    size: int
    made: float


#: By the directory. A file in here has a name that nobody else knows.
_spares: dict[str, _Spare] = {}
#: When this process made a file, by its device and its number there.
_made: dict[tuple[int, int], float] = {}


def write(directory: str, content: Sequence[bytes], mode: int) -> str:
    """:func:`files.write`, into a file that is kept if there is one."""
    spare = _spares.pop(directory, None)
    if spare is not None:
        if spare.mode == mode and _is_young(spare.made) and _rewrite(spare, content):
            return spare.path
        _remove(spare.path)
    path = files.write(directory, content, mode)
    found = os.stat(path)
    if len(_made) >= _MOST_MADE:
        _made.clear()
    _made[found.st_dev, found.st_ino] = time.monotonic()
    return path


def retire(path: str) -> None:
    """Keep a file under a temporary name that another one has taken the place of, or remove it.

    Raises:
        OSError: If it is not there, or cannot be removed.
    """
    found = os.lstat(path)
    made = _made.get((found.st_dev, found.st_ino))
    fit = found.st_size <= _LARGEST and found.st_nlink == 1
    if made is None or not fit or not _is_young(made):
        os.unlink(path)
        return
    directory = os.path.dirname(path)
    if len(_spares) >= _MOST:
        _forget()
    before = _spares.pop(directory, None)
    _spares[directory] = _Spare(path, stat.S_IMODE(found.st_mode), found.st_size, made)
    if before is not None:
        _remove(before.path)


def _is_young(made: float) -> bool:
    return time.monotonic() - made < _YOUNG


if sys.platform == "linux":
    import fcntl
    import signal

    # Not to wait for another's lease.
    _OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK

    def _rewrite(spare: _Spare, content: Sequence[bytes]) -> bool:
        """Put other content into a file. Returns whether it has it: nobody has it open."""
        try:
            file = os.open(spare.path, _OPEN)
        except OSError:
            return False
        try:
            # Who opens the file meanwhile makes the kernel send a signal: one that is ignored,
            # and not SIGIO, which ends a process.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            try:
                size = files.write_all(file, content)
                if size < spare.size:
                    os.ftruncate(file, size)
            finally:
                # Said, because closing it does not give it back while a forked child has it too.
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError:
            # It is being read; or there are no leases here, or there is no room.
            return False
        finally:
            os.close(file)
        return True

else:

    def _rewrite(spare: _Spare, content: Sequence[bytes]) -> bool:
        return False


def _remove(path: str) -> None:
    # It is swept later if it cannot be removed.
    with contextlib.suppress(OSError):
        os.unlink(path)


def _forget() -> None:
    """Remove all that is kept."""
    while _spares:
        with contextlib.suppress(KeyError):
            _remove(_spares.popitem()[1].path)


atexit.register(_forget)
if hasattr(os, "register_at_fork"):
    # They are the parent's.
    os.register_at_fork(after_in_child=_spares.clear)
