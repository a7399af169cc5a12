"""What a backend is: the value protocol every store answers, and the entry protocol of ours.

Two levels, because applications reach into ``cache.cache``:

- :class:`BaseCache` is the *value* level: ``get`` returns what ``set`` was given. Old
  third-party backends subclass it, and it is all that they need.
- :class:`EntryBackend` adds the *entry* level that the decorators use: the same keys, but
  :class:`~flask_caching.entry.Entry` in and out, so that metadata travels with a value. A
  backend of this package implements the entry level; the value level is derived from it.

What a store can do beyond that is said by the capability classes (:class:`SupportsTTL`,
:class:`SupportsKeys`, ...), asked with ``isinstance``.

Timeouts: seconds; ``None`` is the backend's default, ``0`` never expires, a negative number
has expired already. Whoever calls a backend directly may give a ``timedelta`` or the text of a
number as well (:func:`flask_caching.utils.normalize_timeout`).
"""

from __future__ import annotations

import inspect
import math
import numbers
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

from flask import Flask

from ..breaker import Breaker
from ..entry import Entry
from ..errors import UnreadableEntry
from ..serializers import Codec
from .peers import Call, Peer

__all__ = [
    "NOTHING",
    "RESERVED",
    "BaseCache",
    "EntryBackend",
    "KeyInfo",
    "KeyPage",
    "SupportsDistinct",
    "SupportsKeys",
    "SupportsLocks",
    "SupportsPeek",
    "SupportsSize",
    "SupportsTTL",
    "SupportsTouch",
    "iter_keys",
    "normalize_timeout",
]

#: What this package's own keys begin with (a lock, the switch). They are not listed, and
#: ``clear`` leaves them alone.
RESERVED = "_flask_caching/"


def normalize_timeout(timeout: Any) -> float | None:
    """A timeout as seconds.

    Args:
        timeout: Seconds, the text of a number (from the environment, say), a ``timedelta``, or
            ``None`` for the default. ``0`` never expires.

    Returns:
        Seconds, an ``int`` where they are whole; parts of a second are kept. ``None`` for
        ``None``.

    Raises:
        TypeError: If it is something else; a boolean is.
        ValueError: If it is text that is no number, or not finite.
    """
    if timeout is None or type(timeout) is int:
        return timeout
    if isinstance(timeout, bool):
        raise TypeError("a timeout is seconds, a timedelta or None, not a boolean")
    if isinstance(timeout, timedelta):
        seconds = timeout.total_seconds()
    elif isinstance(timeout, str):
        try:
            seconds = float(timeout)
        except ValueError:
            raise ValueError(f"the timeout {timeout!r} is not a number of seconds") from None
    elif isinstance(timeout, numbers.Real):
        seconds = float(timeout)
    else:
        raise TypeError(
            f"a timeout is seconds, a timedelta or None, not {type(timeout).__qualname__}"
        )
    if not math.isfinite(seconds):
        raise ValueError(f"the timeout {timeout!r} is not finite (0 never expires)")
    return int(seconds) if seconds.is_integer() else seconds


class BaseCache:
    """Base of every cache backend; on its own, one that keeps nothing.

    Args:
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        ignore_delete_many_errors: Whether ``delete_many`` goes on after a key that could not
            be deleted instead of stopping there.
    """

    def __init__(
        self, default_timeout: float = 300, ignore_delete_many_errors: bool = False
    ) -> None:
        self.default_timeout = default_timeout
        self.ignore_delete_many_errors = ignore_delete_many_errors

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the backend for an application.

        Args:
            app: The application.
            config: Its configuration, the ``CACHE_*`` defaults filled in.
            args: ``CACHE_ARGS``.
            kwargs: ``default_timeout``, ``ignore_delete_many_errors`` and ``CACHE_OPTIONS``.
                The first two are left out if the constructor does not know them.
        """
        return cls(*args, **accepted_options(cls, kwargs))

    def get(self, key: str) -> Any:
        """The value under ``key``, or ``None``."""
        return None

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool | None:
        """Store ``value``, replacing what was there. Returns whether it was stored."""
        return True

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        """Store ``value`` unless the key exists. Returns whether it was stored."""
        # In terms of the others: a backend that defines only those must not lose what is added.
        return self.get(key) is None and self.set(key, value, timeout) is not False

    def delete(self, key: str) -> bool:
        """Remove ``key``. Returns whether it existed."""
        return True

    def has(self, key: str) -> bool:
        """Whether ``key`` exists and has not expired."""
        raise NotImplementedError(
            f"{type(self).__name__} does not implement has(); it is part of the backend protocol"
        )

    def get_many(self, *keys: str) -> list[Any]:
        """The values of ``keys`` in their order, ``None`` for those that are not there."""
        return [self.get(key) for key in keys]

    def get_dict(self, *keys: str) -> dict[str, Any]:
        """The values of ``keys`` by key, ``None`` for those that are not there."""
        return dict(zip(keys, self.get_many(*keys), strict=True))

    def set_many(self, mapping: Mapping[str, Any], timeout: float | None = None) -> list[Any]:
        """Store several values. Returns the keys that were stored."""
        return [key for key, value in mapping.items() if self.set(key, value, timeout)]

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys. Returns those that were removed, or were not there."""
        deleted: list[str] = []
        for key in keys:
            if self.delete(key) or not self.has(key):
                deleted.append(key)
            elif not self.ignore_delete_many_errors:
                break
        return deleted

    def clear(self) -> bool:
        """Remove every key that is this cache's own. Returns whether it did."""
        return True

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add ``delta`` to an integer (a missing one counts as 0). Returns the new value."""
        value = (self.get(key) or 0) + delta
        return value if self.set(key, value) else None

    def dec(self, key: str, delta: int = 1) -> int | None:
        """Subtract ``delta`` from an integer (a missing one counts as 0)."""
        value = (self.get(key) or 0) - delta
        return value if self.set(key, value) else None


#: No entries.
NOTHING: Mapping[str, Entry] = MappingProxyType({})


class KeyInfo(NamedTuple):
    """A key as a listing shows it, without touching its age.

    Attributes:
        key: The key as the application knows it (no store prefix).
        expires_at: Unix time, seconds; ``0.0`` never; ``None`` where the store cannot say.
        size: Bytes of the stored form; ``None`` where the store cannot say.
    """

    key: str
    expires_at: float | None
    size: int | None


class KeyPage(NamedTuple):
    """Some keys, and where to go on: an empty ``cursor`` is the end."""

    keys: list[KeyInfo]
    cursor: str


class SupportsTTL(ABC):
    """The store can tell how long a key has left."""

    @abstractmethod
    def ttl(self, key: str) -> float | None:
        """Seconds left; ``0`` never expires; ``None`` if there is no such key."""


class SupportsTouch(ABC):
    """The store can move a key's expiry without rewriting its value."""

    @abstractmethod
    def touch(self, key: str, timeout: float | None = None) -> bool:
        """Expire ``timeout`` seconds from now. Returns whether the key existed."""


class SupportsKeys(ABC):
    """The store can list its keys a page at a time, without blocking."""

    @abstractmethod
    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        """At most about ``limit`` keys after ``cursor`` that contain ``match`` literally."""


class SupportsPeek(ABC):
    """The store can show an entry to somebody who only looks."""

    @abstractmethod
    def peek(self, key: str) -> Entry | None:
        """The live entry under ``key``, read without counting as a use of it.

        Raises:
            UnreadableEntry: As ``EntryBackend.get_entry()`` does.
        """


class SupportsLocks(ABC):
    """Several processes share the store, and can keep a lock in it.

    A lock is a reserved key with a random text as value: taken with
    :meth:`EntryBackend.get_entries` and its ``create``, gone when it expires, and given back by
    its holder alone.
    """

    @abstractmethod
    def release_lock(self, key: str, token: str) -> bool:
        """Remove ``key`` if it holds the text ``token``, atomically. Returns whether it did."""


class SupportsDistinct(ABC):
    """The store can tell about how many different things several processes gave it."""

    @abstractmethod
    def add_distinct(self, key: str, members: Sequence[bytes], timeout: float) -> None:
        """Count ``members`` under a reserved key, which expires ``timeout`` seconds from now."""

    @abstractmethod
    def count_distinct(self, *keys: str) -> int:
        """About how many different members were added to any of ``keys``.

        In a cluster their names must have the same text in braces, so that one node has them all.
        """


class SupportsSize(ABC):
    """The store lives in this process, or on this machine, and knows how much it holds.

    Its objects can be referenced weakly, and the numbers in ``evictions`` only grow.
    """

    #: Entries at most; 0 for no limit.
    threshold: int
    #: Entries removed to make room, by reason, since the store was made.
    evictions: dict[str, int]

    @abstractmethod
    def size(self) -> int:
        """Entries held now, expired ones that nobody asked for included."""


class EntryBackend(BaseCache):
    """A backend of this package: entries in and out; the value level is made of them.

    Attributes:
        codec: Set by :meth:`flask_caching.Cache.init_app`; a backend used on its own has one of
            pickle without a secret.
        breakers: The breakers around its servers; none where there is no server.
        on_unreadable: Told of each entry that :meth:`get_entries` takes for missing because it
            cannot be read; set by :meth:`flask_caching.Cache.init_app`.
    """

    codec: Codec
    breakers: Sequence[Breaker] = ()
    #: Whether other processes see what this one stores.
    shared: ClassVar[bool] = False

    def __init__(
        self,
        default_timeout: float = 300,
        ignore_delete_many_errors: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        self.codec = Codec()
        self.on_unreadable: Callable[[UnreadableEntry], None] | None = None
        self._clock = clock or wall_clock

    # Where it is, for whoever watches.

    @property
    def peer(self) -> Peer | None:
        """The server that is asked; ``None`` where there is none."""
        return None

    def call_of(self, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Call:
        """How a call of a method of this backend reaches its server.

        Args:
            method: A method of the value level or of the entry level.
            args: The call's arguments; those of the entry level by position.
            options: Its keyword arguments.
        """
        return Call("")

    # The entry level, which a backend implements.

    def get_entry(self, key: str) -> Entry | None:
        """The live entry under ``key``.

        Raises:
            UnreadableEntry: If what is there is not an entry that this application can read.
        """
        raise NotImplementedError

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """The live entries of ``keys`` in their order, in one round trip; unreadable is None.

        Args:
            keys: What to read.
            create: Entries to add first, each atomically and only where its key does not exist;
                in the same round trip where the store can.
        """
        raise NotImplementedError

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """Store ``entry`` until its ``expires_at``; one that has expired removes what is there.

        Args:
            key: Where.
            entry: What.
            touch: Keys that must live at least as long as the entry (its versions), moved on
                in the same round trip and only ever to a later expiry.

        Raises:
            RefusedEntry: If the store works, and does not take this one.
        """
        raise NotImplementedError

    def add_entry(self, key: str, entry: Entry) -> bool:
        """Store ``entry`` unless the key exists, atomically. Returns whether it was stored."""
        raise NotImplementedError

    # The value level.

    def expiry(self, timeout: float | None) -> float:
        """Unix time at which something written now with ``timeout`` expires; 0.0 for never."""
        seconds = normalize_timeout(self.default_timeout if timeout is None else timeout)
        return self._clock() + seconds if seconds else 0.0

    def new_entry(self, value: Any, timeout: float | None) -> Entry:
        """An entry around a snapshot of ``value``, without a witness."""
        form, payload = self.codec.freeze(value)
        return Entry(form, payload, created_at=self._clock(), expires_at=self.expiry(timeout))

    def get(self, key: str) -> Any:
        entry = self.get_entry(key)
        return None if entry is None else self.codec.thaw(entry)

    def get_many(self, *keys: str) -> list[Any]:
        return [
            None if entry is None else self.codec.thaw(entry) for entry in self.get_entries(keys)
        ]

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return self.set_entry(key, self.new_entry(value, timeout))

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return self.add_entry(key, self.new_entry(value, timeout))

    def has(self, key: str) -> bool:
        return self.get_entry(key) is not None


def accepted_options(
    make: Callable[..., Any], options: Mapping[str, Any], strict: bool = False
) -> dict[str, Any]:
    """``options`` without the two that every backend is offered, where ``make`` refuses them.

    Classes written for older releases take neither. Anything else stays, so that a misspelt
    option is an error.

    Args:
        make: The class or function that is about to be called.
        options: Keyword arguments.
        strict: Whether ``**kwargs`` does not count as taking them, since it may hand them on to
            something else (a client library).
    """
    parameters = inspect.signature(make).parameters
    if not strict and any(item.kind is item.VAR_KEYWORD for item in parameters.values()):
        return dict(options)
    offered = ("default_timeout", "ignore_delete_many_errors")
    return {
        name: value for name, value in options.items() if name not in offered or name in parameters
    }


def wall_clock() -> float:
    # Looked up at each call: people freeze ``time.time`` in their tests.
    return time.time()


def iter_keys(backend: SupportsKeys, match: str = "", page: int = 1000) -> Iterator[KeyInfo]:
    """Every key of a backend that can list them, page by page."""
    cursor = ""
    while True:
        found = backend.keys(cursor, page, match)
        yield from found.keys
        cursor = found.cursor
        if not cursor:
            return
