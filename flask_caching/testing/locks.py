"""Locks between processes: taken once, given back by the holder, gone when they expire."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from ..backends.base import RESERVED, SupportsKeys, SupportsLocks, iter_keys
from ..entry import Entry, Form
from .hooks import Hooks
from .threads import together
from .waiting import waits

__all__ = ["LockChecks"]

_THREADS = 8


class LockChecks(Hooks):
    """What ``CACHE_SINGLE_FLIGHT = "distributed"`` relies on."""

    def test_a_lock_is_taken_once(self) -> None:
        """The first to ask holds it; the others see who does."""
        self.needs(SupportsLocks)
        key = self._key()
        assert self._take(key, "first") == "first", "create= must make the lock, and read it"
        assert self._take(key, "second") == "first", "a lock that is held must not be taken"
        assert self.backend.release_lock(key, "first") is True

    def test_only_the_holder_releases_a_lock(self) -> None:
        """Another token leaves it where it is; a lock that is not there is not released."""
        self.needs(SupportsLocks)
        key = self._key()
        self._take(key, "first")
        for wrong in ("second", "firs", "first ", ""):
            assert self.backend.release_lock(key, wrong) is False, (
                f"release_lock() with the token {wrong!r} released the lock of 'first'"
            )
        assert self._take(key, "second") == "first", "a wrong token must leave the lock"
        assert self.backend.release_lock(key, "first") is True, "the holder releases its lock"
        assert self.backend.release_lock(key, "first") is False, "once"
        assert self._take(key, "second") == "second", "a released lock can be taken"
        assert self.backend.release_lock(key, "first") is False, "it is another's by now"
        assert self.backend.release_lock(key, "second") is True

    @waits
    def test_a_lock_expires(self) -> Iterator[None]:
        """A holder that died does not keep it."""
        self.needs(SupportsLocks)
        key = self._key()
        self.before_it_expires(lambda: self._must_take(key, "first", self.soon))
        yield
        self.gone(key, "a lock expires")
        assert self.backend.release_lock(key, "first") is False, "an expired lock is nobody's"
        assert self._take(key, "second") == "second", "an expired lock can be taken"
        self.backend.release_lock(key, "second")

    def test_one_of_many_gets_the_lock(self) -> None:
        """Of threads that ask at the same time one is told its own token; only it gives it back."""
        self.needs(SupportsLocks)
        key = self._key()
        tokens = [uuid.uuid4().hex for _ in range(_THREADS)]
        seen = together(_THREADS, lambda number: self._take(key, tokens[number]))
        assert len(set(seen)) == 1, f"several threads took one lock: {seen}"
        holder = tokens.index(str(seen[0]))

        def release(number: int) -> bool:
            return number != holder and bool(self.backend.release_lock(key, tokens[number]))

        assert not any(together(_THREADS, release)), "release_lock() is for the holder's token only"
        assert self.backend.release_lock(key, tokens[holder]) is True, "the holder releases"

    def test_a_lock_is_held_against_other_instances(self) -> None:
        """Another process sees the lock, cannot take it and cannot release it."""
        self.needs(SupportsLocks)
        twin = self.twin()
        key = self._key()
        self._take(key, "mine")
        held = twin.get_entries([key], {key: self._lock("theirs", 60)})[0]
        assert held is not None, "another instance must see the lock"
        assert held.payload == "mine", "another instance took a lock that is held"
        assert twin.release_lock(key, "theirs") is False
        assert self.backend.release_lock(key, "mine") is True

    def test_locks_survive_a_clear_and_are_not_listed(self) -> None:
        """Clearing the cache lets nobody load twice; a listing shows values only."""
        self.needs(SupportsLocks)
        key = self._key()
        self._take(key, "mine")
        self.backend.clear()
        if self.can(SupportsKeys):
            listed = [info.key for info in iter_keys(self.backend)]
            assert listed == [], f"keys() must leave out locks: {listed}"
        assert self._take(key, "other") == "mine", "clear() must leave locks"
        assert self.backend.release_lock(key, "mine") is True

    def _must_take(self, key: str, token: str, seconds: float) -> None:
        assert self._take(key, token, seconds) == token, "create= must make the lock, and read it"

    def _key(self) -> str:
        return f"{RESERVED}lock/view//page {uuid.uuid4().hex}"

    def _lock(self, token: str, seconds: float) -> Entry:
        now = self.now()
        return Entry(Form.PLAIN, token, created_at=now, expires_at=now + seconds)

    def _take(self, key: str, token: str, seconds: float = 60) -> object:
        """Try to take the lock; returns the token of whoever holds it then."""
        entries = self.backend.get_entries(["missing", key], {key: self._lock(token, seconds)})
        assert entries[0] is None
        assert entries[1] is not None, "get_entries() must read what its create= has made"
        return entries[1].payload
