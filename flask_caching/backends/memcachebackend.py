"""The backend protocol in requests to memcached, whichever of its protocols they go out in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from ..byteform import MAGIC
from ..entry import Entry, Form
from ..errors import BackendError, RefusedEntry, UnreadableEntry
from .base import NOTHING, SupportsLocks, SupportsTouch, normalize_timeout
from .memcachecounting import count, fits, from_digits, to_digits
from .memcachekeys import Space
from .memcachelink import Link
from .memcacheops import (
    LARGEST_VALUE,
    UNKNOWN,
    Exists,
    FetchOne,
    Found,
    Left,
    Remove,
    Store,
    Touch,
    exptime,
    too_large,
)
from .memcacheservers import AT_ONCE, NamedOp, Servers
from .peers import Call, Peer
from .wire import WireBackend, bare_number

__all__ = ["MemcachedBackend"]

#: How often a count is tried again where its key comes and goes.
_TRIES = 10

#: Bytes of a value from which on the server is asked first what it takes: below it never is.
_LARGE = 1 << 20


class MemcachedBackend(WireBackend, SupportsTouch, SupportsLocks):
    """Entries in memcached. Base of the classes that know how to talk to its servers.

    Args:
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        key_prefix: What comes before each key in the store, or a callable that returns it,
            called for each operation.
        ignore_delete_many_errors: Whether ``delete_many`` returns what it could delete where
            some of several servers failed, instead of raising.

    Attributes:
        key_prefix: As given; it may be changed.
    """

    _links: Sequence[Link]

    #: What the servers are asked by each method, in the text protocol's words.
    _COMMANDS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "add": "add",
            "add_entry": "add",
            "dec": "incr",
            "delete": "delete",
            "delete_many": "delete",
            "get": "get",
            "get_dict": "get",
            "get_entries": "get",
            "get_entry": "get",
            "get_many": "get",
            "has": "mg",
            "inc": "incr",
            "release_lock": "cas",
            "set": "set",
            "set_entry": "set",
            "set_many": "set",
            "touch": "touch",
            "ttl": "mg",
            # Walks through everything that the servers hold.
            "clear": "lru_crawler",
            "keys": "lru_crawler",
        }
    )

    def __init__(
        self,
        default_timeout: float,
        key_prefix: str | Callable[[], str] | None,
        ignore_delete_many_errors: bool,
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        self.key_prefix = key_prefix or ""
        self._space = Space("")

    @property
    def peer(self) -> Peer:
        if len(self._links) != 1:
            return Peer("memcached")
        address = self._links[0].address
        if isinstance(address, str):
            return Peer("memcached", address)
        return Peer("memcached", address[0], address[1])

    def call_of(self, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Call:
        # No client library is asked, only connections.
        return Call(self._COMMANDS.get(method, ""))

    def _use(self, servers: Servers) -> None:
        self._servers = servers
        self._space = Space("", servers.reserved)
        self.breakers = [pool.breaker for pool in servers.pools]

    def _current(self) -> Space:
        """The names of the prefix as it is at this moment."""
        prefix = self.key_prefix
        if callable(prefix):
            prefix = prefix()
        space = self._space
        if space.prefix != prefix:
            space = self._space = Space(prefix, self._servers.reserved)
        return space

    # The entry level.

    def get_entry(self, key: str) -> Entry | None:
        space = self._current()
        data = self._servers.fetch(space, space.name(key))
        return None if data is None else self._unpack(key, data)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        space = self._current()
        stores = [self._store(space, key, entry, "add") for key, entry in create.items()]
        additions = [store for store in stores if store is not None]
        entries: list[Entry | None] = []
        for first in range(0, len(keys) or 1, AT_ONCE):
            portion = keys[first : first + AT_ONCE]
            names = [space.name(key) for key in portion]
            found = self._servers.add_and_fetch(space, additions, names)
            entries += map(self._unpack_or_miss, portion, found)
            additions = []
        return entries

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        space = self._current()
        store = self._store(space, key, entry, "set")
        if store is None:
            self._servers.ask(space, Remove(space.name(key)))
            return True
        if not touch:
            return self._settled(space, store, self._servers.ask(space, store))
        names = {other: space.name(other) for other in touch}
        looks = map(self._look, names.values())
        reply, *seen = self._servers.ask_each(space, [store, *looks])
        stored = self._settled(space, store, reply)
        self._lengthen(space, names, seen, entry.expires_at)
        return stored

    def add_entry(self, key: str, entry: Entry) -> bool:
        space = self._current()
        store = self._store(space, key, entry, "add")
        if store is None:
            return not self.has(key)
        return self._settled(space, store, self._servers.ask(space, store, again=False))

    # What the value level does better here.

    def set_many(self, mapping: Mapping[str, Any], timeout: float | None = None) -> list[Any]:
        """Store several values at once. Returns the keys that were stored.

        One that is refused, for its size, is not among them; what it held before is gone.
        """
        space = self._current()
        ops: dict[str, NamedOp] = {}
        for key, value in mapping.items():
            try:
                store = self._store(space, key, self.new_entry(value, timeout), "set")
            except RefusedEntry:
                continue
            ops[key] = store or Remove(space.name(key))
        stored: list[str] = []
        failed: Exception | None = None
        replies = self._servers.ask_each(space, list(ops.values()))
        for (key, op), reply in zip(ops.items(), replies, strict=True):
            try:
                self._settled(space, op, reply)
                stored.append(key)
            except RefusedEntry:
                continue
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return stored

    def has(self, key: str) -> bool:
        space = self._current()
        name = space.name(key)
        pool = self._servers.pool(name)
        if "meta" not in pool.lacks:
            answer = self._servers.ask(space, Exists(name))
            if answer is not UNKNOWN:
                return bool(answer)
            pool.lacks.add("meta")
        return self._servers.fetch(space, name) is not None

    def delete(self, key: str) -> bool:
        space = self._current()
        return bool(self._servers.ask(space, Remove(space.name(key))))

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys at once. Returns those that were removed, or were not there."""
        space = self._current()
        replies = self._servers.ask_each(space, [Remove(space.name(key)) for key in keys])
        gone: list[str] = []
        for key, reply in zip(keys, replies, strict=True):
            if not isinstance(reply, Exception):
                gone.append(key)
            elif not self.ignore_delete_many_errors:
                raise reply
        return gone

    def inc(self, key: str, delta: int = 1) -> int:
        """Add ``delta`` to an integer, on the server; its expiry stays.

        Args:
            key: Where. A key that is not there counts as 0, with the default timeout.
            delta: A whole number.

        Returns:
            The new value.

        Raises:
            TypeError: If the key holds something else than an integer, if ``delta`` is none, or
                if the result would not fit into 62 bits.
        """
        if type(delta) is not int:
            raise TypeError(f"delta is a whole number, not {type(delta).__qualname__}")
        space = self._current()
        name = space.name(key)
        for _ in range(_TRIES):
            try:
                value = count(self._servers, space, name, delta)
            except ValueError:
                raise TypeError(
                    f"the key {key!r} holds something else than an integer of at most 62 bits, so "
                    "it cannot be counted up or down; set it to one first, or count under another "
                    "key"
                ) from None
            except OverflowError:
                raise TypeError(
                    f"the key {key!r} would no longer fit into a 62-bit integer, which is what "
                    "there is to count with in memcached; keep larger numbers as values of your own"
                ) from None
            if value is not None:
                return value
            if self.add_entry(key, self.new_entry(delta, None)):
                return delta
        raise BackendError(f"the key {key!r} came and went each time that it was to be counted")

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract ``delta`` from an integer; all else as in :meth:`inc`."""
        return self.inc(key, -delta)

    # What this store can do beyond the protocol.

    def touch(self, key: str, timeout: float | None = None) -> bool:
        space = self._current()
        name = space.name(key)
        seconds = normalize_timeout(self.default_timeout if timeout is None else timeout) or 0
        op = Remove(name) if seconds < 0 else Touch(name, exptime(seconds, self._clock()))
        return bool(self._servers.ask(space, op))

    def release_lock(self, key: str, token: str) -> bool:
        space = self._current()
        name = space.name(key)
        found = self._servers.ask(space, FetchOne(name))
        if found is None:
            return False
        try:
            held = self.codec.thaw(self._unpack(key, found.data))
        except UnreadableEntry:
            return False
        # Only unless it has changed: by now it may have expired, and be another's.
        return held == token and bool(
            self._servers.ask(space, Remove(name, found.cas), again=False)
        )

    # Inside.

    def _pack(self, key: str, entry: Entry) -> bytes:
        number = bare_number(entry)
        if number is None or not fits(number):
            return self.codec.dumps(entry, key)
        digits = to_digits(number)
        entry.size = len(digits)
        return digits

    def _unpack(self, key: str, data: bytes) -> Entry:
        number = None if data.startswith(MAGIC) else from_digits(data)
        if number is None:
            return self.codec.loads(data, key)
        entry = Entry(Form.PLAIN, number, created_at=0.0)
        entry.size = len(data)
        return entry

    def _store(self, space: Space, key: str, entry: Entry, how: Any) -> Store | None:
        """The request to store an entry; ``None`` if it has expired.

        Raises:
            RefusedEntry: If it is larger than the server takes; what it was to replace is gone.
        """
        seconds = self._seconds_left(entry)
        if seconds is None:
            return None
        data = self._pack(key, entry)
        store = Store(space.name(key), data, exptime(seconds, self._clock()), how)
        # Not sent where it would be refused, which may take longer than a time-out.
        if len(data) > _LARGE and len(data) > self._largest(store.name):
            self._settled(space, store, too_large(len(data)))
        return store

    def _largest(self, name: bytes) -> int:
        """Bytes that can be sent for a name, to be stored or refused."""
        return self._servers.item_limit(name) or LARGEST_VALUE

    def _settled(self, space: Space, op: NamedOp, reply: Any) -> bool:
        """What became of a request to store or remove.

        Raises:
            Exception: If the server refused. What is there is out of date then, and removed.
        """
        if isinstance(reply, Exception):
            said = not isinstance(reply, (OSError, BackendError))
            if said and isinstance(op, Store) and op.how == "set":
                self._servers.ask(space, Remove(op.name))
            raise reply
        return bool(reply)

    # Versions must live as long as what is made under them.

    def _look(self, name: bytes) -> NamedOp:
        """How to find out how long a key has left."""
        if self._servers.tell_time and "meta" not in self._servers.pool(name).lacks:
            return Left(name)
        return FetchOne(name)

    def _lengthen(
        self,
        space: Space,
        names: Mapping[str, bytes],
        seen: Sequence[Any],
        expires_at: float,
    ) -> None:
        """Let keys that were looked at live until then at least; 0.0 is for ever."""
        ops: list[NamedOp] = []
        unknown: dict[str, bytes] = {}
        for (key, name), reply in zip(names.items(), seen, strict=True):
            if isinstance(reply, Exception):
                raise reply
            if reply is UNKNOWN:
                self._servers.pool(name).lacks.add("meta")
                unknown[key] = name
                continue
            op = self._longer(key, name, reply, expires_at)
            if op is not None:
                ops.append(op)
        for reply in self._servers.ask_each(space, ops):
            if isinstance(reply, Exception):
                raise reply
        if unknown:
            looks = [self._look(name) for name in unknown.values()]
            seen = self._servers.ask_each(space, looks)
            self._lengthen(space, unknown, seen, expires_at)

    def _longer(self, key: str, name: bytes, reply: Any, expires_at: float) -> NamedOp | None:
        """What lets a key live until ``expires_at``, unless it does so already."""
        now = self._clock()
        expires = exptime(max(expires_at - now, 1.0), now) if expires_at else 0
        if not isinstance(reply, Found):
            shorter = bool(reply) and (not expires_at or reply < expires_at - now)
            return Touch(name, expires) if shorter else None
        # What the entry says of itself is all there is to know, so it is kept true.
        entry = self._unpack_or_miss(key, reply.data)
        if entry is None or not entry.expires_at or 0 < expires_at <= entry.expires_at:
            return None
        data = self._pack(key, entry.replaced(entry.form, entry.payload, expires_at))
        return Store(name, data, expires, "cas", reply.cas)
