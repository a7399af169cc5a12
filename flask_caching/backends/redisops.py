"""The backend protocol in commands of Redis, whatever number of servers they go to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..breaker import Breaker
from ..entry import Entry
from ..errors import ConfigurationError, RefusedEntry, UnreadableEntry
from .base import (
    NOTHING,
    KeyPage,
    SupportsDistinct,
    SupportsKeys,
    SupportsLocks,
    SupportsTouch,
    SupportsTTL,
    normalize_timeout,
)
from .redisscan import Command, Server, clear, page
from .wire import WireBackend

__all__ = ["RedisBackend"]

#: Adds to a counter and returns it as text: a number of Lua has 53 bits. What is not there is
#: created with an expiry; all at one moment, so that no counter is ever left without one.
_COUNT = """\
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], 0, 'PX', ARGV[2]) end
redis.call('INCRBY', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])"""

#: ``PEXPIRE ... GT``, for servers before Redis 7.
_LATER = """\
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 0"""

_DELETE_EQUAL = """\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0"""

#: Milliseconds that a key can be told to live; beyond it a number of Lua is not exact.
_LONGEST = 2**52

#: Bytes that a string of Redis holds.
_LARGEST = 512 * 1024 * 1024


class RedisBackend(
    WireBackend, SupportsTTL, SupportsTouch, SupportsKeys, SupportsLocks, SupportsDistinct
):
    """Entries in Redis. Base of the classes that know which servers to ask, and how.

    Args:
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        key_prefix: What comes before each key in the store, or a callable that returns it,
            called for each operation.
        ignore_delete_many_errors: Whether ``delete_many`` returns what it could delete where
            some of several servers failed, instead of raising.
        allow_flush: Whether ``clear`` may remove everything where the prefix is empty.
        breaker_threshold: Failures in a row after which a server is left alone for a while.
        breaker_cooldown: For how long at first, seconds.

    Attributes:
        key_prefix: As given; it may be changed.
    """

    def __init__(
        self,
        default_timeout: float,
        key_prefix: str | Callable[[], str] | None,
        ignore_delete_many_errors: bool,
        allow_flush: bool,
        breaker_threshold: int,
        breaker_cooldown: float,
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        self.key_prefix = key_prefix or ""
        self.allow_flush = allow_flush
        self._breaker_threshold = breaker_threshold
        self._breaker_cooldown = breaker_cooldown
        #: Whether the server is known to lack ``PEXPIRE ... GT``; asked once.
        self._lacks_gt = False

    # How the servers are asked. Each command's key decides where it goes; ``again`` says whether
    # it may be sent once more if the connection is lost.

    def _fetch(self, name: bytes) -> bytes | None:
        """What a key holds."""
        raise NotImplementedError

    def _read(self, command: str, name: bytes) -> int:
        """The number that ``exists`` or ``pttl`` gives for a key."""
        raise NotImplementedError

    def _fetch_all(self, names: Sequence[bytes]) -> list[bytes | None]:
        """What several keys hold; ``None`` for what is not there, or is no string."""
        raise NotImplementedError

    def _do(self, *command: Any, again: bool = True) -> Any:
        """The reply to a command."""
        raise NotImplementedError

    def _do_all(self, commands: Sequence[Command], again: bool = True) -> list[Any]:
        """The replies to several commands, errors among them, in one round trip."""
        raise NotImplementedError

    def _add_and_fetch_all(
        self, additions: Sequence[Command], names: Sequence[bytes]
    ) -> tuple[list[Any], list[bytes | None]]:
        """Replies to ``additions``, and what ``names`` hold after them, in one round trip."""
        raise NotImplementedError

    def _delete_all(self, command: str, names: Sequence[bytes]) -> list[Any]:
        """For each name the reply of the removal it was part of."""
        raise NotImplementedError

    def _servers(self) -> Sequence[Server]:
        """The servers that hold keys, to walk through."""
        raise NotImplementedError

    # The entry level.

    def get_entry(self, key: str) -> Entry | None:
        try:
            data = self._fetch(self._name(key))
        except Exception as error:
            from .redisfaults import holds_no_string

            if holds_no_string(error):
                raise UnreadableEntry(
                    "the key holds a list, a hash or the like, not a string", "foreign"
                ) from error
            raise
        return None if data is None else self._unpack(key, data)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        names = self._names(keys)
        additions: dict[str, Command] = {}
        if create:
            additions = {
                key: command
                for key, entry in create.items()
                if (command := self._write(key, entry, "NX")) is not None
            }
        if not additions:
            found = self._fetch_all(names) if names else []
        else:
            replies, found = self._add_and_fetch_all(list(additions.values()), names)
            there = {key for key, data in zip(keys, found, strict=True) if data is not None}
            for key, reply in zip(additions, replies, strict=True):
                # It does not matter what became of it if the key is there.
                if isinstance(reply, Exception) and key not in there:
                    raise reply
        return list(map(self._unpack_or_miss, keys, found))

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        command = self._write(key, entry)
        if command is None:
            self._do("DEL", self._name(key))
            return True
        if not touch:
            return bool(self._do(*command))
        names = self._names(touch)
        seconds = self._seconds_left(entry) or 0.0
        stored, *kept = self._do_all([command, *self._keep(names, seconds)])
        stored = _settled(stored)
        if self._learns_from(kept):
            kept = self._do_all(self._keep(names, seconds))
        for reply in kept:
            _settled(reply)
        return bool(stored)

    def add_entry(self, key: str, entry: Entry) -> bool:
        command = self._write(key, entry, "NX")
        if command is None:
            return not self.has(key)
        return bool(self._do(*command, again=False))

    # What the value level does better here.

    def set_many(self, mapping: Mapping[str, Any], timeout: float | None = None) -> list[Any]:
        entries = {key: self.new_entry(value, timeout) for key, value in mapping.items()}
        commands = [
            self._write(key, entry) or ("DEL", self._name(key)) for key, entry in entries.items()
        ]
        for reply in self._do_all(commands) if commands else ():
            _settled(reply)
        return list(entries)

    def has(self, key: str) -> bool:
        return bool(self._read("exists", self._name(key)))

    def delete(self, key: str) -> bool:
        return bool(self._do("DEL", self._name(key)))

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys in one round trip. Returns those that were removed, or not there."""
        return self._remove("DEL", keys)

    def unlink(self, *keys: str) -> list[Any]:
        """:meth:`delete_many`, with the memory freed in the background."""
        return self._remove("UNLINK", keys)

    def clear(self) -> bool:
        """Remove every key under this cache's own prefix, a step at a time.

        Raises:
            ConfigurationError: If the prefix is empty, so that every key of the database would
                go, and that is not allowed.
        """
        prefix = self._name("")
        if not prefix and not self.allow_flush:
            raise ConfigurationError(
                "clear() would remove every key of the Redis database, since this cache has no key "
                "prefix. Set CACHE_KEY_PREFIX, or CACHE_ALLOW_FLUSH = True if the database is this "
                "cache's alone."
            )
        failed: Exception | None = None
        servers = self._servers()
        for server in servers:
            try:
                clear(server, prefix, one_by_one=bool(server.name))
            except Exception as error:
                # The others' keys go all the same.
                failed = failed or error
        if failed is not None:
            raise failed
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add ``delta`` to an integer, on the server; its expiry stays.

        Args:
            key: Where. A key that is not there counts as 0, with the default timeout.
            delta: A whole number.

        Returns:
            The new value.

        Raises:
            TypeError: If the key holds something else than an integer, if ``delta`` is none, or
                if the result would not fit into 64 bits.
        """
        if type(delta) is not int:
            raise TypeError(f"delta is a whole number, not {type(delta).__qualname__}")
        name = self._name(key)
        seconds = normalize_timeout(self.default_timeout) or 0
        try:
            if not seconds:
                return int(self._do("INCRBY", name, delta, again=False))
            return int(
                self._do("EVAL", _COUNT, 1, name, delta, _milliseconds(seconds), again=False)
            )
        except Exception as error:
            from .redisfaults import why_not_counted

            refused = why_not_counted(key, error)
            if refused is None:
                raise
            raise TypeError(refused) from error

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract ``delta`` from an integer; all else as in :meth:`inc`."""
        return self.inc(key, -delta)

    # What this store can do beyond the protocol.

    def ttl(self, key: str) -> float | None:
        left = self._read("pttl", self._name(key))
        if left < 0:
            return None if left == -2 else 0.0
        # 0 is for what never expires.
        return max(left, 1) / 1000

    def touch(self, key: str, timeout: float | None = None) -> bool:
        seconds = normalize_timeout(self.default_timeout if timeout is None else timeout) or 0
        name = self._name(key)
        if seconds < 0:
            return bool(self._do("DEL", name))
        if seconds:
            return bool(self._do("PEXPIRE", name, _milliseconds(seconds)))
        # PERSIST says no as well where there is nothing to be undone.
        _, exists = map(_settled, self._do_all([("PERSIST", name), ("EXISTS", name)]))
        return bool(exists)

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        """A page of the keys that contain ``match``, without touching their age.

        The order is arbitrary. One that was there throughout is listed, perhaps twice on two
        pages; one that was not may be listed or missed. A page can be short, or empty, before
        the end, and a little longer than ``limit``. It is of one server where there are several.

        Args:
            cursor: Where the page before ended; empty for the first.
            limit: About how many keys.
            match: Text that a key must contain, taken literally.

        Returns:
            The page. Sizes are what the server accounts for a key, its overhead included;
            ``None`` where one may not ask for it.

        Raises:
            ValueError: If the cursor is not one that this method returned.
        """
        return page(self._servers(), self._name(""), cursor, limit, match, self._clock())

    def release_lock(self, key: str, token: str) -> bool:
        name = self._name(key)
        # Not GET, which may be sent to a replica that does not know of the lock yet.
        data: bytes = self._do("GETRANGE", name, 0, -1)
        if not data:
            return False
        try:
            held = self.codec.thaw(self._unpack(key, data))
        except UnreadableEntry:
            return False
        # These very bytes: by now it may have expired, and be another's.
        return held == token and bool(self._do("EVAL", _DELETE_EQUAL, 1, name, data, again=False))

    def add_distinct(self, key: str, members: Sequence[bytes], timeout: float) -> None:
        if not members:
            return
        name = self._name(key)
        commands = [("PFADD", name, *members), ("PEXPIRE", name, _milliseconds(timeout))]
        for reply in self._do_all(commands):
            _settled(reply)

    def count_distinct(self, *keys: str) -> int:
        """About how many different members were added to any of ``keys``; 0.81 % standard error.

        In a cluster their names must have the same text in braces, and the prefix no ``{}``.
        """
        return int(self._do("PFCOUNT", *map(self._name, keys))) if keys else 0

    # Inside.

    def _name(self, key: str) -> bytes:
        """What a key is called on the server."""
        prefix = self.key_prefix
        if callable(prefix):
            prefix = prefix()
        # Keys may be made of request paths, with anything in them.
        return (prefix + key).encode("utf-8", "surrogatepass")

    def _names(self, keys: Sequence[str]) -> list[bytes]:
        """What several keys are called; a prefix that is made is made once."""
        prefix = self.key_prefix
        if callable(prefix):
            prefix = prefix()
        return [(prefix + key).encode("utf-8", "surrogatepass") for key in keys]

    def _write(self, key: str, entry: Entry, *flags: str) -> Command | None:
        """The SET of an entry; ``None`` if it has expired.

        Raises:
            RefusedEntry: If it is larger than Redis takes.
        """
        seconds = self._seconds_left(entry)
        if seconds is None:
            return None
        data = self._pack(key, entry)
        if len(data) > _LARGEST:
            raise RefusedEntry(
                f"the entry has {len(data)} bytes; Redis holds at most {_LARGEST} in a key",
                "too_large",
            )
        expiry = ("PX", _milliseconds(seconds)) if seconds else ()
        return ("SET", self._name(key), data, *expiry, *flags)

    def _keep(self, names: Sequence[bytes], seconds: float) -> list[Command]:
        """What lets keys live for ``seconds`` at least; 0 is for ever."""
        if not seconds:
            return [("PERSIST", name) for name in names]
        wanted = _milliseconds(seconds)
        if self._lacks_gt:
            return [("EVAL", _LATER, 1, name, wanted) for name in names]
        return [("PEXPIRE", name, wanted, "GT") for name in names]

    def _learns_from(self, replies: Sequence[Any]) -> bool:
        """Whether one of them says that the server cannot do what others can."""
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if not errors:
            return False
        from .redisfaults import lacks_option

        self._lacks_gt = self._lacks_gt or any(map(lacks_option, errors))
        return self._lacks_gt

    def _remove(self, command: str, keys: Sequence[str]) -> list[str]:
        if not keys:
            return []
        replies = self._delete_all(command, self._names(keys))
        if not self.ignore_delete_many_errors:
            for reply in replies:
                _settled(reply)
        return [
            key
            for key, reply in zip(keys, replies, strict=True)
            if not isinstance(reply, Exception)
        ]

    def _new_breaker(self, name: str) -> Breaker:
        from .redisfaults import FAILURES

        return Breaker(FAILURES, name, self._breaker_threshold, self._breaker_cooldown)


def _milliseconds(seconds: float) -> int:
    return min(max(math.ceil(seconds * 1000), 1), _LONGEST)


def _settled(reply: Any) -> Any:
    """A reply of several, raised if it is an error."""
    if isinstance(reply, Exception):
        raise reply
    return reply
