"""What one application's cache is made of.

One :class:`~flask_caching.Cache` may serve several applications; each has its own
configuration, backend, codec and observer, held here and nowhere else.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flask import Flask

from .backends.base import SupportsTouch, normalize_timeout
from .backends.nullcache import NullCache
from .config import CacheConfig
from .entry import Entry
from .errors import UnreadableEntry
from .observer import Observer, report_fault
from .serializers import Codec
from .singleflight import SingleFlight

__all__ = ["AppState", "EntryStore"]

logger = logging.getLogger("flask_caching")

#: Timeouts that a version lives in a store that cannot move its expiry.
_VERSION_LIVES = 10

#: Seconds between two log lines about the same kind of failure.
_LOG_INTERVAL = 60.0


class EntryStore(Protocol):
    """Where the decorators read and write entries: a backend of ours, or what adapts another."""

    def get_entry(self, key: str) -> Entry | None: ...

    def get_entries(self, keys: Sequence[str]) -> list[Entry | None]: ...

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool: ...

    def add_entry(self, key: str, entry: Entry) -> bool: ...


def _unchanged(key: str) -> str:
    return key


class AppState:
    """One application's cache.

    Attributes:
        config: Its configuration.
        backend: What ``cache.cache`` is: the backend inside the observer's wrapper.
        store: The entry level of the backend.
        entries: Where the decorators read and write: ``store``, or the overriding methods of a
            subclass of ``Cache`` in front of it.
        stored_key: From a decorator's key to the one that the store has.
        codec: Between values and snapshots.
        observer: Who watches.
        flights: The loads under way.
        keeps: Whether the backend keeps anything at all.
        app: The application, weakly.
        route_check: What waits for the application's first request, see ``checks``.
        refuses_other_hosts: Whether the application matches hosts or subdomains, so that an
            entry made under one host is never served under another.
    """

    __slots__ = (
        "__weakref__",
        "_logged",
        "app",
        "backend",
        "codec",
        "config",
        "entries",
        "flights",
        "keeps",
        "observer",
        "refuses_other_hosts",
        "route_check",
        "store",
        "stored_key",
        "view_functions",
    )

    def __init__(
        self, app: Flask, config: CacheConfig, backend: Any, codec: Codec, observer: Observer
    ) -> None:
        self.app = weakref.ref(app)
        self.config = config
        self.backend = backend
        self.store: EntryStore = backend
        self.entries: EntryStore = backend
        self.stored_key: Callable[[str], str] = _unchanged
        self.codec = codec
        self.observer = observer
        self.keeps = not isinstance(backend, NullCache)
        # Where caching is off nobody may get what was made for another one, not even at once.
        coalesce = config.single_flight != "off" and self.keeps
        self.flights = SingleFlight(coalesce, config.single_flight_timeout)
        self.view_functions = app.view_functions
        # Flask 2.0 and 2.1 have neither attribute on every kind of application object.
        self.refuses_other_hosts = bool(
            getattr(app.url_map, "host_matching", False)
            or getattr(app, "subdomain_matching", False)
        )
        self.route_check: Callable[..., None] | None = None
        self._logged: dict[str, float] = {}

    def expiry(self, timeout: float | None) -> float:
        """Unix time at which something written now expires; ``0.0`` for never."""
        if timeout is None:
            # The backend's own: a factory, or the application at run time, may have set another.
            timeout = normalize_timeout(getattr(self.backend, "default_timeout", None))
        seconds = self.config.default_timeout if timeout is None else timeout
        return time.time() + seconds if seconds else 0.0

    def version_expiry(self, timeout: float | None) -> float:
        """When a version written now expires: not before the values that are made under it.

        A store that can move an expiry does so whenever a value is stored. In any other a
        version lives for several timeouts; all values of its function go with it.
        """
        expires_at = self.expiry(timeout)
        moves = self.entries is self.store and isinstance(self.backend, SupportsTouch)
        if not expires_at or moves:
            return expires_at
        now = time.time()
        return now + (expires_at - now) * _VERSION_LIVES

    def new_entry(self, value: Any, timeout: float | None) -> Entry:
        """An entry around a snapshot of ``value``, for any asker."""
        form, payload = self.codec.freeze(value)
        return Entry(form, payload, created_at=time.time(), expires_at=self.expiry(timeout))

    def failed(self, operation: str, error: Exception, *, handled: bool) -> None:
        """Count a failure of the store or a codec, and log it at a limited rate.

        Args:
            operation: The backend operation that failed.
            error: What it raised.
            handled: Whether the application goes on without noticing.
        """
        try:
            self.observer.failed(operation, error, handled)
        except Exception as fault:
            report_fault("observer.failed", fault)
        kind = f"{operation} {type(error).__name__} {getattr(error, 'reason', '')}".strip()
        now = time.monotonic()
        if handled and now - self._logged.get(kind, -_LOG_INTERVAL) >= _LOG_INTERVAL:
            self._logged[kind] = now
            unreadable = isinstance(error, UnreadableEntry)
            logger.warning(
                "cache %r: %s failed, going on without it: %s: %s",
                self.config.name,
                operation,
                type(error).__name__,
                error,
                exc_info=None if unreadable else error,
            )

    def observe(self, tell: Callable[..., None], *facts: object) -> None:
        """Tell the observer something; what it raises is its own fault."""
        try:
            tell(*facts)
        except Exception as fault:
            report_fault(f"observer.{getattr(tell, '__name__', 'method')}", fault)
