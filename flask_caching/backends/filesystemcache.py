"""FileSystemCache: entries in the files of one machine, shared by its processes."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from flask import Flask

from ..entry import Entry, Form
from ..errors import UnreadableEntry
from ..typing import HashMethod
from . import files
from .base import (
    NOTHING,
    KeyPage,
    SupportsKeys,
    SupportsLocks,
    SupportsPeek,
    SupportsSize,
    SupportsTouch,
    SupportsTTL,
)
from .filedecoded import Decoded
from .filefolder import Folder, Place
from .filelisting import list_keys
from .fileroom import Room
from .filesettings import find_directory, find_hash_method, not_a_directory
from .wire import WireBackend

__all__ = ["FileSystemCache"]

#: Keys whose hashes are remembered.
_MOST_NAMES = 1024
#: Prefixes whose folders are remembered; a callable may give any number.
_MOST_ROOMS = 1000

_DIGEST = re.compile(r"[0-9a-f]{8,200}")


class FileSystemCache(
    WireBackend,
    SupportsTTL,
    SupportsTouch,
    SupportsKeys,
    SupportsPeek,
    SupportsSize,
    SupportsLocks,
):
    """Entries in the files of one machine, the least recently used leaving first.

    Any number of processes and threads may use one directory. A reader takes no lock and finds
    either the old entry or the new one; what is written for one key is written by one process
    after the other, so that no count is lost and ``add`` has one winner. (On Windows only the
    threads of one process exclude one another.) Each key prefix has a directory of its own;
    ``clear`` empties that, and whatever else is in ``cache_dir`` is left alone.

    What an operation costs does not depend on how much is held. A full cache makes room by
    looking at a sample and dropping what was not used for longest. A hit counts as a use once
    for every eighth of ``threshold`` that is added. With several processes the limit may be
    exceeded by a few entries for a moment.

    Made for a local disk: over a network the locks and the order of use are as good as the file
    system's.

    Args:
        cache_dir: The directory, made if it is not there.
        threshold: Entries at most under one key prefix; ``0`` for no limit.
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        mode: Permissions of the files, whatever the umask is; their owner may read and write
            them in any case. Whoever may read a file may enter its directory.
        hash_method: Makes a file's name of a key; another one finds nothing of what is there.
        ignore_delete_many_errors: Whether ``delete_many`` goes on after a file that could not
            be deleted instead of raising.
        ignore_errors: The old name of ``ignore_delete_many_errors``; warns.
        key_prefix: What the directory inside ``cache_dir`` is named after; or a function that
            gives it, asked for each operation.
        clock: Gives the Unix time, for tests; ``time.time``, looked up at each call, by default.

    Raises:
        ValueError: If ``threshold`` is negative, or ``hash_method`` makes no hexadecimal hash.
        OSError: If the directory cannot be made.
    """

    def __init__(
        self,
        cache_dir: str | os.PathLike[str],
        threshold: int = 500,
        default_timeout: float = 300,
        mode: int | None = None,
        hash_method: HashMethod = hashlib.sha256,
        ignore_delete_many_errors: bool = False,
        ignore_errors: bool | None = None,
        key_prefix: str | Callable[[], str] = "",
        clock: Callable[[], float] | None = None,
    ) -> None:
        if ignore_errors is not None:
            warnings.warn(
                "FileSystemCache(ignore_errors=...) is called ignore_delete_many_errors now.",
                DeprecationWarning,
                stacklevel=2,
            )
            ignore_delete_many_errors = ignore_errors
        if threshold < 0:
            raise ValueError(f"threshold is {threshold}; it is a number of entries, 0 for no limit")
        if not _DIGEST.fullmatch(hash_method(b"").hexdigest()):
            raise ValueError("hash_method makes no hexadecimal hash of 8 to 200 digits")
        super().__init__(default_timeout, ignore_delete_many_errors, clock)
        self.cache_dir = os.path.abspath(os.fsdecode(cache_dir))
        self.threshold = threshold
        self.evictions = {"expired": 0, "lru": 0}
        self.key_prefix = key_prefix
        self._mode = (0o600 if mode is None else mode) | 0o600
        self._name_of = functools.lru_cache(_MOST_NAMES)(functools.partial(_name_of, hash_method))
        self._rooms: dict[str, Room] = {}
        self._decoded = Decoded()
        os.makedirs(self.cache_dir, files.directory_mode(self._mode), exist_ok=True)

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application.

        ``CACHE_DIR``, ``CACHE_THRESHOLD``, ``CACHE_FILE_HASH_METHOD`` and ``CACHE_KEY_PREFIX``,
        unless the options say otherwise. ``CACHE_ARGS`` are what comes after the directory.

        Raises:
            ConfigurationError: If there is no directory, or it cannot be one.
        """
        options = dict(kwargs)
        directory = find_directory(config.get("CACHE_DIR"), options.pop("cache_dir", None))
        settings = {
            "threshold": config.get("CACHE_THRESHOLD"),
            "hash_method": find_hash_method(config.get("CACHE_FILE_HASH_METHOD")),
            "key_prefix": config.get("CACHE_KEY_PREFIX"),
        }
        by_position = list(inspect.signature(cls).parameters)[: len(args) + 1]
        for name, value in settings.items():
            if value is not None and name not in by_position:
                options.setdefault(name, value)
        try:
            return cls(directory, *args, **options)
        except (FileExistsError, NotADirectoryError) as error:
            raise not_a_directory(directory, error) from error

    def __repr__(self) -> str:
        return f"FileSystemCache({self.cache_dir!r}, threshold={self.threshold})"

    # The entry level.

    def get_entry(self, key: str) -> Entry | None:
        room = self._room()
        raw, name = self._name_of(key)
        path = room.folder.path_of(key, name)
        found = files.read(path, raw, self.codec)
        if found is None:
            return None
        expires_at, used, payload, body = found
        if expires_at and expires_at <= self._clock():
            room.discard(room.folder.place(key))
            return None
        entry = self._decoded.find(path, payload, body, self.codec)
        if entry is None or entry.expires_at != expires_at:
            entry = self._entry_in(found, key)
            self._decoded.keep(path, payload, body, self.codec, entry)
        room.hit(path, used, self.threshold)
        return entry

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        for key, entry in create.items():
            self.add_entry(key, entry)
        return [self._get_or_miss(key) for key in keys]

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        parts = self._pack_parts(key, entry)
        room, place = self._at(key)
        for other in touch:
            self._keep_until(other, entry.expires_at)
        if room.expired(entry.expires_at):
            room.remove(place)
        else:
            room.put(place, lambda: (parts, entry.expires_at), self.threshold)
        return True

    def add_entry(self, key: str, entry: Entry) -> bool:
        parts = self._pack_parts(key, entry)
        room, place = self._at(key)
        added = room.live(place) is None

        def make() -> tuple[Sequence[bytes], float] | None:
            nonlocal added
            added = room.live(place) is None
            return (parts, entry.expires_at) if added else None

        if added and not room.expired(entry.expires_at):
            room.put(place, make, self.threshold)
        return added

    # What the value level does better with one file at a time.

    def has(self, key: str) -> bool:
        room, place = self._at(key)
        return room.live(place) is not None

    def delete(self, key: str) -> bool:
        room, place = self._at(key)
        return room.remove(place)

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys. Returns those that are gone, or were not there.

        Raises:
            OSError: If a file cannot be removed, unless such errors are ignored.
        """
        gone: list[str] = []
        for key in keys:
            try:
                self.delete(key)
                gone.append(key)
            except OSError:
                if not self.ignore_delete_many_errors:
                    raise
        return gone

    def clear(self) -> bool:
        """Remove the entries of this key prefix; what is this package's own stays."""
        self._room().folder.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add ``delta`` to an integer, atomically also between processes; its expiry stays.

        Args:
            key: Where. A key that is not there counts as 0, with the default timeout.
            delta: A whole number.

        Returns:
            The new value.

        Raises:
            TypeError: If the key holds something else than an integer, or ``delta`` is none.
        """
        if type(delta) is not int:
            raise TypeError(f"delta is a whole number, not {type(delta).__qualname__}")
        room, place = self._at(key)
        value = 0

        def make() -> tuple[Sequence[bytes], float]:
            nonlocal value
            before = self._count(key, room, place)
            if before is None:
                value, entry = delta, self.new_entry(delta, None)
            else:
                number: Any = before.payload
                value = number + delta
                entry = before.replaced(Form.PLAIN, value, before.expires_at)
            return self._pack_parts(key, entry), entry.expires_at

        room.put(place, make, self.threshold)
        return value

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract ``delta`` from an integer; all else as in :meth:`inc`."""
        return self.inc(key, -delta)

    # What this store can do beyond the protocol.

    def ttl(self, key: str) -> float | None:
        room, place = self._at(key)
        header = room.live(place)
        if header is None:
            return None
        return header.expires_at - self._clock() if header.expires_at else 0.0

    def peek(self, key: str) -> Entry | None:
        room, place = self._at(key)
        found = files.read(place.path, place.key, self.codec)
        if found is None or room.expired(found.expires_at):
            return None
        return self._entry_in(found, key)

    def touch(self, key: str, timeout: float | None = None) -> bool:
        room, place = self._at(key)
        expires_at = self.expiry(timeout)
        if room.expired(expires_at):
            return room.remove(place)
        return room.move_expiry(place, lambda _: expires_at)

    def release_lock(self, key: str, token: str) -> bool:
        room, place = self._at(key)

        def is_held() -> bool:
            found = files.read(place.path, place.key)
            entry = self._unpack_or_miss(key, None if found is None else found.payload)
            return entry is not None and entry.payload == token

        return room.remove(place, is_held)

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        """A page of the live keys that contain ``match``, without touching their age.

        The order is arbitrary. Keys may come and go between two pages: one that was there
        throughout is listed exactly once, one that was not may be listed or missed. A page can
        be short, or empty, before the end, since one call looks at a bounded number of files.

        Args:
            cursor: Where the page before ended; empty for the first.
            limit: Keys at most.
            match: Text that a key must contain, taken literally.

        Returns:
            The page. Sizes are those of the files.

        Raises:
            ValueError: If the cursor is not one that this method returned.
        """
        room = self._room()
        return list_keys(room.folder, room.expired, cursor, limit, match)

    def size(self) -> int:
        folder = self._room().folder
        numbers = folder.counts.load()
        return numbers.total + sum(len(folder.names(shard)) for shard in numbers.unknown)

    # Where things are, and what is there.

    def _room(self) -> Room:
        """The room of the key prefix, which may be another one for each operation."""
        prefix = self.key_prefix if isinstance(self.key_prefix, str) else self.key_prefix()
        room = self._rooms.get(prefix)
        if room is None:
            if len(self._rooms) >= _MOST_ROOMS:
                self._rooms.clear()
            folder = Folder(self.cache_dir, prefix, self._mode, self._name_of, self._clock)
            room = self._rooms[prefix] = Room(folder, self._clock, self.evictions)
        return room

    def _at(self, key: str) -> tuple[Room, Place]:
        room = self._room()
        return room, room.folder.place(key)

    def _entry_in(self, found: files.Found, key: str) -> Entry:
        """The entry that was found under ``key``.

        Raises:
            UnreadableEntry: If it is none.
        """
        if found.body:
            entry = self.codec.loads(found.payload, key, found.body)
        else:
            entry = self._unpack(key, found.payload)
        # What counts is when the file expires, which may have been moved since.
        entry.expires_at = found.expires_at
        return entry

    def _get_or_miss(self, key: str) -> Entry | None:
        """:meth:`get_entry` for one of several: what cannot be read is reported and missing."""
        try:
            return self.get_entry(key)
        except UnreadableEntry as error:
            self._report(error)
            return None

    def _report(self, error: UnreadableEntry) -> None:
        if self.on_unreadable is not None:
            self.on_unreadable(error)

    def _count(self, key: str, room: Room, place: Place) -> Entry | None:
        """The live entry of a count.

        Raises:
            TypeError: If it is something else than an integer.
        """
        try:
            found = files.read(place.path, place.key)
            if found is None or room.expired(found.expires_at):
                return None
            entry = self._entry_in(found, key)
        except UnreadableEntry as error:
            self._report(error)
            return None
        if entry.form is not Form.PLAIN or type(entry.payload) is not int:
            raise TypeError(
                f"the key {key!r} holds something else than an integer, so it cannot be "
                "counted up or down; set it to an integer first, or count under another key"
            )
        return entry

    def _keep_until(self, key: str, expires_at: float) -> None:
        """Let ``key`` live at least until then, and count it as used."""
        room, place = self._at(key)
        header = room.live(place)
        if header is None:
            return
        if _later(header.expires_at, expires_at) == header.expires_at:
            room.hit(place.path, header.used, self.threshold)
        else:
            room.move_expiry(place, lambda before: _later(before, expires_at))


def _later(one: float, other: float) -> float:
    """The later of two expiries; 0.0 is later than any time."""
    return max(one, other) if one and other else 0.0


def _name_of(hash_method: HashMethod, key: str) -> tuple[bytes, str]:
    """A key as bytes, and its hash."""
    try:
        raw = key.encode("utf-8", "surrogatepass")
    except AttributeError:
        raise TypeError(f"a key is text, not {type(key).__qualname__}") from None
    return raw, hash_method(raw).hexdigest()
