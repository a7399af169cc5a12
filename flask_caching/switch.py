"""The switch: whether decorated functions use the cache at all.

``CACHE_ENABLED = False`` turns it off for good. :meth:`Switchable.disable` (``flask cache off``)
does so while the workers run: it leaves a note in the store, which every worker of a shared store
reads at most once a second, along with a value that it reads anyway, so that looking for the note
costs no round trip.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .backends.base import RESERVED
from .entry import Entry, Form
from .errors import BackendError, CacheError, backend_error
from .typing import Timeout
from .utils import normalize_timeout

if TYPE_CHECKING:
    from .state import AppState

__all__ = ["SWITCH_KEY", "Switch", "Switchable"]

T = TypeVar("T")

logger = logging.getLogger("flask_caching")

#: Where the note is.
SWITCH_KEY = RESERVED + "switch"

#: Seconds between two looks for the note.
_INTERVAL = 1.0


class Switch:
    """What one application's cache knows of its switch.

    Args:
        enabled: Whether the configuration lets the cache be used.
        shared: Whether other processes may leave the note.
        clock: Monotonic seconds, for tests.

    Attributes:
        off: Whether decorated functions are to run as if undecorated.
        shared: Whether there may be a note to look for.
    """

    __slots__ = ("_clock", "_due", "_enabled", "_until", "off", "shared")

    def __init__(
        self, enabled: bool, shared: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.off = not enabled
        self._enabled = enabled
        self.shared = shared and enabled
        self._clock = clock
        self._due = 0.0
        self._until = 0.0

    def due(self) -> bool:
        """Whether it is time to look for the note; true for one caller a second."""
        if not self.shared:
            return False
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + _INTERVAL
        return True

    def see(self, note: Entry | None) -> None:
        """Take notice of the note, or that there is none."""
        off = not self._enabled or note is not None
        self._until = 0.0 if note is None else note.expires_at
        if off != self.off:
            self.off = off
            logger.warning("caching was turned %s for decorated functions", "off" if off else "on")

    def still_off(self, read: Callable[[], Entry | None]) -> bool:
        """Whether the cache is off, for a caller that found it so.

        Args:
            read: Reads the note from a shared store; called at most once a second. While it
                raises, the cache stays off.
        """
        if self.due():
            self.see(read())
        elif not self.shared and self._enabled and self._until and self._until <= time.time():
            self.see(None)
        return self.off


class Switchable:
    """Turning decorated caching off and on. A base of :class:`flask_caching.Cache`."""

    def state(self) -> AppState:
        """The current application's cache."""
        raise NotImplementedError

    @property
    def enabled(self) -> bool:
        """Whether decorated functions of the current application use the cache.

        Asks a shared store, whatever this process knew before.

        Raises:
            BackendError: If the store fails.
        """
        state = self.state()
        if state.shared:
            state.switch.see(_asked(state, "get", state.read_note))
        return not state.off()

    def disable(self, timeout: Timeout = 0) -> None:
        """Let decorated functions and template fragments run as if undecorated.

        In this process at once; in every other one on the same store within a second of its
        next call. A store that is not shared (SimpleCache) has no others. ``get``, ``set`` and
        deletion work on, and what is stored stays.

        Args:
            timeout: Seconds after which the cache is used again; ``0`` leaves it off until
                :meth:`enable`, or for as long as the store keeps the note.

        Raises:
            BackendError: If the store fails. Set ``CACHE_ENABLED = False`` then.
        """
        state = self.state()
        now = time.time()
        seconds = normalize_timeout(timeout)
        note = Entry(
            Form.PLAIN, "off", created_at=now, expires_at=now + seconds if seconds else 0.0
        )
        if state.shared and not _asked(
            state, "set", lambda: state.store.set_entry(SWITCH_KEY, note)
        ):
            raise BackendError("the store did not take the note that turns the cache off")
        state.switch.see(note)

    def enable(self) -> None:
        """Undo :meth:`disable`, likewise for every process.

        Raises:
            BackendError: If the store fails.
            CacheError: If it is the configuration that keeps the cache off.
        """
        state = self.state()
        if state.shared:
            _asked(state, "delete", lambda: state.backend.delete(SWITCH_KEY))
        if not state.config.enabled:
            raise CacheError(
                "CACHE_ENABLED is False, so the cache stays off. Remove it from the "
                "configuration and start the application anew."
            )
        state.switch.see(None)


def _asked(state: AppState, operation: str, call: Callable[[], T]) -> T:
    """Call the store for the application; what it raises is counted, and a BackendError.

    Also under ``CACHE_IGNORE_ERRORS``: whoever turns a cache off must know whether it is.
    """
    try:
        return call()
    except Exception as error:
        state.failed(operation, error, handled=False)
        if isinstance(error, CacheError):
            raise
        raise backend_error(operation, error) from error
