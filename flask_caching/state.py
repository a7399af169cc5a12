"""What one application's cache is made of.

One :class:`~flask_caching.Cache` may serve several applications; each has its own
configuration, backend, codec and observer, held here and nowhere else.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from flask import Flask

from .backends.base import NOTHING, SupportsLocks, SupportsTouch, normalize_timeout
from .backends.nullcache import NullCache
from .breaker import BreakerState
from .config import CacheConfig
from .entry import Entry, Form
from .errors import UnreadableEntry
from .keyhash import KeyHash
from .logs import EventLog
from .observer import Collision, Observer, Target, report_fault
from .serializers import Codec
from .singleflight import SingleFlight
from .switch import SWITCH_KEY, Switch

__all__ = ["AppState", "EntryStore", "secret_of"]

#: Timeouts that a version lives in a store that cannot move its expiry.
_VERSION_LIVES = 10

#: Seconds that a version lives at least.
_VERSION_LEAST = 3600.0

#: Version keys that are known to exist, at most.
_VERSIONS_REMEMBERED = 10_000


class EntryStore(Protocol):
    """Where the decorators read and write entries: a backend of ours, or what adapts another."""

    def get_entry(self, key: str) -> Entry | None: ...

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]: ...

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool: ...

    def add_entry(self, key: str, entry: Entry) -> bool: ...


def secret_of(app: Flask) -> bytes:
    """An application's secret key; empty if it has none."""
    secret = app.secret_key or b""
    return secret.encode() if isinstance(secret, str) else secret


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
        log: Where what matters is written down.
        flights: The loads under way.
        keeps: Whether the backend keeps anything at all.
        shared: Whether other processes see what this one stores.
        switch: Whether decorated functions use the cache.
        versions_seen: Keys of versions that the store had when they were last read.
        app: The application, weakly.
        route_check: What waits for the application's first request, see ``checks``.
        refuses_other_hosts: Whether the application matches hosts or subdomains, so that an
            entry made under one host is never served under another.
    """

    __slots__ = (
        "__weakref__",
        "app",
        "backend",
        "codec",
        "config",
        "entries",
        "flights",
        "keeps",
        "log",
        "observer",
        "refuses_other_hosts",
        "route_check",
        "shared",
        "store",
        "stored_key",
        "switch",
        "versions_seen",
        "view_functions",
    )

    def __init__(
        self, app: Flask, config: CacheConfig, backend: Any, codec: Codec, observer: Observer
    ) -> None:
        self.app = weakref.ref(app)
        self.config = config
        self.backend = backend
        # A wrapper may have the entry level by itself, which is quicker.
        by_itself = hasattr(type(cast("object", backend)), "entry_level")
        self.store: EntryStore = backend.entry_level if by_itself else backend
        self.entries: EntryStore = self.store
        self.stored_key: Callable[[str], str] = _unchanged
        self.codec = codec
        self.observer = observer
        self.log = EventLog(config.name, KeyHash(secret_of(app)))
        self.keeps = not isinstance(backend, NullCache)
        # Where caching is off nobody may get what was made for another one, not even at once.
        coalesce = config.single_flight != "off" and self.keeps
        self.flights = SingleFlight(coalesce, config.single_flight_timeout)
        self.flights.remembers = config.single_flight == "distributed"
        self.shared = bool(getattr(backend, "shared", False))
        self.switch = Switch(config.enabled, self.shared)
        self.versions_seen: set[str] = set()
        self.view_functions = app.view_functions
        # Flask 2.0 and 2.1 have neither attribute on every kind of application object.
        self.refuses_other_hosts = bool(
            getattr(app.url_map, "host_matching", False)
            or getattr(app, "subdomain_matching", False)
        )
        self.route_check: Callable[..., None] | None = None

    @property
    def distributed(self) -> bool:
        """Whether callers in several processes wait for one of them to load a key."""
        return (
            self.config.single_flight == "distributed"
            and isinstance(self.backend, SupportsLocks)
            and self.entries is self.store
        )

    def off(self) -> bool:
        """Whether decorated functions are to run as if undecorated."""
        return self.switch.off and self.switch.still_off(self._read_note)

    def read_note(self) -> Entry | None:
        """The note in a shared store that turns the cache off; one that is unreadable is none."""
        try:
            return self.store.get_entry(SWITCH_KEY)
        except UnreadableEntry as error:
            self.failed("get", error, handled=True)
            return None

    def _read_note(self) -> Entry | None:
        try:
            return self.read_note()
        except Exception as error:
            self.failed("get", error, handled=True)
            # Off before, off now: whoever turned it off meant it.
            return Entry(Form.PLAIN, "off", created_at=time.time())

    def flight_key(self, key: str) -> str:
        """What a load of ``key`` is registered under: no other tenant's, if prefixes are made."""
        prefix = getattr(self.backend, "key_prefix", None)
        return f"{prefix()}{key}" if callable(prefix) else key

    def supersede(self, *keys: str) -> None:
        """Make the loads of ``keys`` that are under way worthless."""
        if self.flights.heeds:
            self.flights.supersede(*map(self.flight_key, keys))

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
        if not expires_at:
            return expires_at
        now = time.time()
        moves = self.entries is self.store and isinstance(self.backend, SupportsTouch)
        lives = (expires_at - now) * (1 if moves else _VERSION_LIVES)
        # However long the function takes, its version must be there when it is done.
        return now + max(lives, _VERSION_LEAST)

    def saw_versions(self, keys: Sequence[str], versions: Sequence[str | None]) -> None:
        """Remember which versions exist, so that a read need not offer to create them."""
        if len(self.versions_seen) > _VERSIONS_REMEMBERED:
            self.versions_seen.clear()
        for key, version in zip(keys, versions, strict=True):
            if version is None:
                self.versions_seen.discard(key)
            else:
                self.versions_seen.add(key)

    def new_entry(self, value: Any, timeout: float | None) -> Entry:
        """An entry around a snapshot of ``value``, for any asker."""
        form, payload = self.codec.freeze(value)
        return Entry(form, payload, created_at=time.time(), expires_at=self.expiry(timeout))

    def failed(
        self, operation: str, error: Exception, *, handled: bool, keys: Sequence[object] = ()
    ) -> None:
        """Count a failure of the store or a codec, and log it at a limited rate.

        Args:
            operation: The backend operation that failed.
            error: What it raised.
            handled: Whether the application goes on without noticing.
            keys: The keys it was about, where they are known.
        """
        try:
            self.observer.failed(operation, error, handled)
        except Exception as fault:
            report_fault("observer.failed", fault)
        if not handled:
            return
        unreadable = isinstance(error, UnreadableEntry)
        reason: str = getattr(error, "reason", "")
        self.log.write(
            "cache.entry_unreadable" if unreadable else "cache.failed",
            "%s failed, going on without it",
            operation,
            kind=f"{operation} {type(error).__name__} {reason}",
            keys=keys,
            error=error,
            operation=operation,
            error_type=type(error).__name__,
            reason=reason,
        )

    def unreadable(self, error: UnreadableEntry) -> None:
        """Count one of several entries that could not be read and was taken for missing."""
        self.failed("get_many", error, handled=True, keys=(error.key,) if error.key else ())

    def breaker_changed(self, before: BreakerState, after: BreakerState) -> None:
        """Tell, and log, that a cache server is left alone from now on, or asked again."""
        # Observers of others may be older than breakers are.
        tell = getattr(self.observer, "breaker_changed", None)
        if tell is not None:
            self.observe(tell, before, after)
        if (before, after) == ("closed", "open"):
            self.log.write(
                "cache.breaker_opened",
                "its server failed %d times in a row and is left alone for now; decorated "
                "functions run without it",
                self.config.breaker_threshold,
                failures=self.config.breaker_threshold,
            )
        elif after == "closed":
            self.log.write("cache.breaker_closed", "its server answers again")

    def collided(self, target: Target, collision: Collision) -> None:
        """Tell of a collision; log it when it is first seen on a target, and now and then after."""
        # Observers of others may be older than this is.
        tell = getattr(self.observer, "collided", None)
        if tell is not None:
            self.observe(tell, target, collision)
        self.log.write(
            "cache.collision",
            "one key for different requests: %s %r found an entry that differs in its %s, which "
            "was %s",
            target.source,
            target.name,
            collision.kind,
            "refused" if collision.action == "refused" else "served",
            kind=f"{target.source} {target.name} {collision.kind}",
            keys=(collision.key,),
            source=target.source,
            target=target.name,
            collision=collision.kind,
            action=collision.action,
        )

    def observe(self, tell: Callable[..., None], *facts: object) -> None:
        """Tell the observer something; what it raises is its own fault."""
        try:
            tell(*facts)
        except Exception as fault:
            report_fault(f"observer.{getattr(tell, '__name__', 'method')}", fault)
