"""Threads that meet at points a test chooses, so that no test sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from flask_caching import Cache

#: Seconds that a test waits for another thread before it fails.
PATIENCE = 10.0


class Meeting:
    """Stops a thread at a point of its work until the test lets it go on."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()

    def stop(self) -> None:
        """Called by the thread that is to be stopped."""
        self.arrived.set()
        assert self.released.wait(PATIENCE), "nobody released the thread"

    def await_arrival(self) -> None:
        assert self.arrived.wait(PATIENCE), "the thread never arrived"

    def release(self) -> None:
        self.released.set()


class Worker(threading.Thread):
    """A thread whose function's result, or error, the test gets from :meth:`result`."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._args = args
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._function(*self._args)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "the thread did not end"
        if self._error is not None:
            raise self._error
        return self._value


def wait_until(condition: Callable[[], bool]) -> None:
    """Give way to other threads until something is true that no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0)


def waiters(cache: Cache, key: str) -> int:
    """How many callers wait for the load of ``key`` that is under way."""
    flights = cache.state().flights._flights.get(key, [])
    return sum(
        len(flight.landed._condition._waiters)  # type: ignore[attr-defined]
        + len(flight.landed._done_callbacks)  # type: ignore[attr-defined]
        for flight in flights
    )
