"""Work that is done a few times a second, by a thread that lives while there is some.

What a worker counts has to reach the other workers' files, and the keys that it looked up have to
be hashed; neither is to be done by a request. The thread begins with the first count after a
silence and ends when nothing was left to do for a while, so that an idle process has none. A
forked child begins its own.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Final

from flask_caching.observer import report_fault

from .forksafe import ForkSafeLock

__all__ = ["INTERVAL", "Ticker", "courier", "ticker"]

#: Seconds between two turns.
INTERVAL: Final = 0.2

#: Turns without work after which the thread ends.
_IDLE_TURNS: Final = 10


class Ticker:
    """The thread, and what it does.

    Args:
        interval: Seconds between two turns.
        at_exit: Whether there is a last turn when the process ends.

    Attributes:
        awake: Whether the thread runs, so that whoever has work need not call :meth:`wake`.
    """

    def __init__(self, interval: float = INTERVAL, *, at_exit: bool = True) -> None:
        self.awake = False
        self._at_exit = at_exit
        self._interval = interval
        self._lock = ForkSafeLock()
        self._tasks: list[tuple[str, weakref.WeakMethod[Callable[[], bool]]]] = []
        self._begin()

    def add(self, name: str, task: Callable[[], bool]) -> None:
        """Have ``task`` done each turn, for as long as the object exists whose method it is.

        Args:
            name: Where a fault of it is counted.
            task: Returns whether there was something to do.
        """
        living = [each for each in self._tasks if each[1]() is not None]
        self._tasks = [*living, (name, weakref.WeakMethod(task))]

    def wake(self) -> None:
        """Have a turn soon. Whoever has work calls this when ``awake`` is false."""
        if self.awake:
            return
        with self._lock:
            if self.awake:
                return
            self.awake = True
        try:
            self._finish_in_child()
            thread = threading.Thread(target=self._run, name="flask-caching-metrics", daemon=True)
            thread.start()
        except Exception as fault:
            # No more threads are to be had, or the interpreter is about to end. It stays
            # ``awake``, or each count would try again; a scrape does the work itself.
            report_fault("metrics.ticker", fault)

    def tick(self) -> bool:
        """One turn: do what there is to do. Returns whether there was something."""
        if self._pid != os.getpid():
            # Forked by something that does not run Python's hooks.
            self._begin()
        busy = False
        for name, reference in self._tasks:
            task = reference()
            if task is None:
                continue
            try:
                busy = task() or busy
            except Exception as fault:
                report_fault(name, fault)
        return busy

    def _begin(self) -> None:
        """Begin without a thread: as in a forked child, which has not got the parent's."""
        self._pid = os.getpid()
        # Not ``time.sleep``, which applications replace in their tests.
        self._pause = threading.Event()
        self._finishes = False
        self.awake = False

    def after_fork(self) -> None:
        """Begin again: this is a forked child now."""
        self._begin()

    def _run(self) -> None:
        try:
            self._turn_until_idle()
        except BaseException:
            self.awake = False
            raise

    def _turn_until_idle(self) -> None:
        idle = 0
        while True:
            self._pause.wait(self._interval)
            idle = 0 if self.tick() else idle + 1
            if idle < _IDLE_TURNS:
                continue
            with self._lock:
                self.awake = False
            # Whoever counted before that saw a thread and did not wake one.
            if not self.tick():
                return
            with self._lock:
                if self.awake:
                    return  # Another one has begun.
                self.awake = True
            idle = 0

    def _finish_in_child(self) -> None:
        """Have a last turn in a child of multiprocessing, which ends without ``atexit``."""
        processes = sys.modules.get("multiprocessing.util")
        if self._finishes or not self._at_exit or processes is None:
            return
        self._finishes = True
        processes.Finalize(None, self.tick, exitpriority=0)


#: The thread of this process.
ticker: Final = Ticker()

#: Another one, for what takes round trips to a server, which counts must not wait for.
courier: Final = Ticker(1.0, at_exit=False)

# Before those that the application registers, and so after them: they may count something.
atexit.register(ticker.tick)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ticker.after_fork)
    os.register_at_fork(after_in_child=courier.after_fork)
