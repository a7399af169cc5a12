"""Leave a dead server alone: the circuit breaker around every call to one.

*Closed*, it lets everything pass. After a number of failures in a row it is *open*: a call fails
at once, in microseconds, instead of waiting for a time-out. When the cooldown is over it is *half
open*: one call is let through as a probe. If that succeeds the breaker is closed again; if it
fails the breaker stays open for twice as long as before, up to a limit.

What counts is that the server could not be talked to. An answer that is an error (out of memory,
read only) is an answer.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from .errors import unavailable_error

__all__ = ["Breaker", "BreakerState"]

BreakerState: TypeAlias = Literal["closed", "half_open", "open"]

#: Seconds that a breaker stays open at most before it lets a probe through.
_LONGEST_COOLDOWN = 30.0


class Breaker:
    """The breaker of one server, or of one group of servers that is asked as a whole.

    Safe between threads. A forked child goes on with a copy.

    Args:
        failures: The exceptions that count.
        name: The server, for messages; without credentials.
        threshold: Failures in a row that open it; 0 never opens it.
        cooldown: Seconds it stays open at first.
        clock: Monotonic seconds, for tests.

    Attributes:
        state: ``"closed"``, ``"half_open"`` or ``"open"``.
        listener: Called with the state before and the state after each change, by whichever
            thread brought it about, outside of all locks. It must not raise.
        last_error: The last failure in words, while it is not closed; else empty.
        asked_at: Unix time at which the server last answered or failed to; 0 before it was asked.
    """

    def __init__(
        self,
        failures: tuple[type[Exception], ...] = (OSError,),
        name: str = "the cache server",
        threshold: int = 3,
        cooldown: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = failures
        self.name = name
        self.threshold = threshold
        self.cooldown = cooldown
        self.state: BreakerState = "closed"
        self.listener: Callable[[BreakerState, BreakerState], None] | None = None
        self.last_error = ""
        self.asked_at = 0.0
        # Not the exception, whose traceback would keep alive everything that it passed through.
        self._last_kind: type[Exception] = OSError
        self._clock = clock
        # Reentrant: a signal handler or a destructor may use the cache while it is held.
        self._lock = threading.RLock()
        _all.add(self)
        self._in_a_row = 0
        self._retry_at = 0.0
        self._current_cooldown = cooldown

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``function``, unless the breaker is open.

        Raises:
            BackendUnavailable: If it is open; also of the kind of the failure that opened it.
        """
        if self.state != "closed":
            self._admit()
        try:
            answer = function(*args, **kwargs)
        except BaseException as error:
            self._ended(error)
            raise
        self.asked_at = time.time()
        if self._in_a_row:
            self._answered()
        return answer

    @property
    def up(self) -> bool:
        """Whether the server answered when it was last asked."""
        return not self._in_a_row

    def _admit(self) -> None:
        """Let the caller through as the probe, or refuse it."""
        with self._lock:
            if self.state == "closed":
                return
            left = self._retry_at - self._clock()
            if left > 0:
                raise unavailable_error(
                    self._last_kind,
                    f"{self.name} is left alone for another {left:.1f} s, since it failed "
                    f"{self._in_a_row} times in a row, last with {self.last_error}",
                )
            before, self.state = self.state, "half_open"
            # A probe that never returns is not waited for longer than a failed one.
            self._retry_at = self._clock() + self._current_cooldown
        self._tell(before)

    def _ended(self, error: BaseException) -> None:
        if isinstance(error, self.failures):
            self._failed(error)
        elif isinstance(error, Exception):
            self.asked_at = time.time()
            self._answered()
        # Anything else (a cancelled greenlet) says nothing about the server: if it was the
        # probe, the next one is let through after another cooldown.

    def _failed(self, error: Exception) -> None:
        self.asked_at = time.time()
        with self._lock:
            before = self.state
            self._in_a_row += 1
            if not self.threshold or (before == "closed" and self._in_a_row < self.threshold):
                return
            if before == "open":
                # A call from before it opened; it is known by now.
                return
            if before == "half_open":
                self._current_cooldown = min(2 * self._current_cooldown, _LONGEST_COOLDOWN)
            self.state = "open"
            self.last_error, self._last_kind = f"{type(error).__name__}: {error}", type(error)
            self._retry_at = self._clock() + self._current_cooldown
        self._tell(before)

    def _answered(self) -> None:
        with self._lock:
            before = self.state
            if before == "open":
                # An answer to a call from before it opened: slow, and no proof of health.
                return
            self._in_a_row = 0
            self._current_cooldown = self.cooldown
            self.state = "closed"
            self.last_error = ""
        self._tell(before)

    def _tell(self, before: BreakerState) -> None:
        if self.listener is not None and before != self.state:
            self.listener(before, self.state)

    def after_fork(self) -> None:
        """Begin with a free lock: the parent's may have been held by another thread."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[Breaker] = weakref.WeakSet()


def _after_fork() -> None:
    for breaker in list(_all):
        breaker.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
