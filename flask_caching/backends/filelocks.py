"""Locks on files: between the threads of this process, and between processes of this machine.

The lock between processes is ``flock``. It belongs to an open file, and goes with the process
that holds it, however that ends. Where there is none (Windows), only threads exclude one another.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from types import TracebackType

__all__ = ["WAIT", "Locked"]

#: Seconds that a lock is waited for: a process that was stopped may hold it for ever.
WAIT = 2.0

#: Seconds between two attempts to lock a file, at first and at most.
_SHORTEST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.01
#: Locks between threads, each for many files: there may be any number of those.
_STRIPES = 64

_OPEN: int = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)


if sys.platform == "win32":

    def _try_lock(file: int) -> bool:
        return True

    def _unlock(file: int) -> None:
        pass

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class _Stripe:
    """One lock between threads, and the files that its holder has locked."""

    __slots__ = ("held", "lock")

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finalizer that uses the cache, in here.
        self.lock = threading.RLock()
        self.held: dict[str, int] = {}


class Locked:
    """``with Locked(path, mode):`` only one thread of all processes at a time.

    Reentrant. The file is made if it is not there, and stays: removing it would let two hold
    the lock at once, each on a file of its own.

    Args:
        path: The file to lock; nothing is ever written to it.
        mode: Permissions of the file if it is made.
        wait: Seconds to wait for the lock; 0 not at all.

    Raises:
        TimeoutError: On entering, if the lock was held all the time.
        FileNotFoundError: On entering, if the directory is not there.
    """

    __slots__ = ("_file", "_mode", "_path", "_stripe", "_wait")

    def __init__(self, path: str, mode: int, wait: float = WAIT) -> None:
        self._path = path
        self._mode = mode
        self._wait = wait
        self._file = -1

    def __enter__(self) -> None:
        path = self._path
        self._stripe = stripe = _stripes[hash(path) % _STRIPES]
        if not stripe.lock.acquire(timeout=self._wait):
            raise self._timed_out()
        try:
            if path not in stripe.held:
                self._file = stripe.held[path] = _open(path, self._mode)
                if not _try_lock(self._file):
                    self._queue()
        except BaseException:
            self._release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def _queue(self) -> None:
        # Not a blocking flock, which nothing can end. What is counted is the time slept, since
        # tests stop clocks.
        pause, waited = _SHORTEST_PAUSE, 0.0
        while waited < self._wait:
            nap = pause * random.uniform(0.5, 1.0)
            time.sleep(nap)
            if _try_lock(self._file):
                return
            waited += nap
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise self._timed_out()

    def _release(self) -> None:
        if self._file >= 0:
            del self._stripe.held[self._path]
            try:
                # Said, because closing it does not unlock it while a forked child has it too.
                _unlock(self._file)
            finally:
                os.close(self._file)
                self._file = -1
        self._stripe.lock.release()

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(
            f"{self._path} was locked by another process or thread for {self._wait} s"
        )


def _open(path: str, mode: int) -> int:
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        file = os.open(path, _OPEN | os.O_CREAT, mode)
    if mode & 0o077:
        # Whatever the umask is: those who share the files share the lock. It may be another's
        # by now, who has done the same.
        with contextlib.suppress(PermissionError):
            os.fchmod(file, mode)
    return file


_stripes = [_Stripe() for _ in range(_STRIPES)]


def _after_fork() -> None:
    # The other threads, and what they had locked, are the parent's. Their files must not stay
    # open here, or they would stay locked if the parent dies.
    for stripe in _stripes:
        for file in stripe.held.values():
            os.close(file)
    _stripes[:] = [_Stripe() for _ in range(_STRIPES)]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
