"""Distinct keys: how many different keys were looked up, by target, in a sliding window.

A key is looked up far more often than it is met for the first time. So each target remembers the
keys that it has met (:class:`SeenKeys`), and a key that is among them costs one look-up in a
dictionary. A new one waits in a queue until it is hashed and counted, which a thread does that
runs a few times a second, or a scrape (:meth:`DistinctKeys.drain`). What is remembered is
forgotten once a minute, when the shortest slot of a window ends, so that a key that is asked for
all the time is counted in the next slot as well.

Where the counts are kept: :mod:`.memorysketches` for one process, :mod:`.sketchfile` for the
workers of a machine; :mod:`.serversketches` adds the other machines.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from flask_caching.observer import report_fault

from ..metrics.catalogue import LabelSet
from .hyperloglog import digest, place
from .memorysketches import MemorySketches
from .serversketches import ServerSketches
from .sketches import RINGS, WINDOWS, SketchStore
from .sketchfile import FileSketches

__all__ = [
    "LIMIT",
    "WINDOWS",
    "DistinctKeys",
    "FileSketches",
    "MemorySketches",
    "SeenKeys",
    "ServerSketches",
    "SketchStore",
]

#: Keys that a target remembers, and keys that wait to be hashed, at most.
LIMIT: Final = 4096

#: Keys that all targets of an application remember together after each turn.
_LIMIT_OF_ALL: Final = 16 * LIMIT

#: Characters of a key that is remembered; longer ones are hashed each time.
_LONGEST: Final = 1024

#: Keys that are hashed at once where too many wait.
_AT_ONCE: Final = 64


class SeenKeys(dict[str, None]):
    """The keys that one target has met since the current slot began.

    ``seen[key]`` says that a key was looked up. It raises nothing.

    Each step on what threads share is atomic, and a key is remembered before it is queued: if
    all is forgotten in between it is queued once more at worst. Lost are the keys that wait when
    a process is killed. Two threads that hash at once, where more keys wait than :data:`LIMIT`,
    may lose a key that has the register of another one.

    Args:
        wake: Called for each new key, without arguments.
    """

    __slots__ = ("_fresh", "_hashed", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._fresh: deque[str] = deque()
        #: By register, the hash with the highest rank: all that counts of any number of keys.
        self._hashed: dict[int, bytes] = {}
        self._wake = wake

    def __missing__(self, key: str) -> None:
        try:
            # Some applications have other keys; a dictionary takes them.
            text = key if type(key) is str else repr(key)
            if len(text) > _LONGEST:
                self._hash(text)
            else:
                self._note(key, text)
            self._wake()
        except Exception as fault:
            report_fault("distinct_keys.seen", fault)

    @property
    def waiting(self) -> bool:
        """Whether there is something for :meth:`take`."""
        return bool(self._fresh or self._hashed)

    def take(self) -> list[bytes]:
        """The hashes of the keys that were met since this was called last."""
        hashes: list[bytes] = []
        # No more than there are now: a request may bring new ones all the time.
        for _ in range(len(self._fresh)):
            try:
                hashes.append(digest(self._fresh.popleft()))
            except IndexError:
                break  # Another thread takes as well.
        while self._hashed:
            try:
                hashes.append(self._hashed.popitem()[1])
            except KeyError:
                break
        return hashes

    def _note(self, key: str, text: str) -> None:
        if len(self) >= LIMIT:
            self.clear()
        self[key] = None
        self._fresh.append(text)
        if len(self._fresh) > LIMIT:
            # Nobody takes them, or not fast enough: then it is for whoever brings them.
            for _ in range(_AT_ONCE):
                try:
                    self._hash(self._fresh.popleft())
                except IndexError:
                    break

    def _hash(self, key: str) -> None:
        hashed = digest(key)
        register, rank = place(hashed)
        known = self._hashed.get(register)
        if known is None or place(known)[1] < rank:
            self._hashed[register] = hashed


class DistinctKeys:
    """The distinct keys of one application's cache.

    It takes no lock of its own: a key is taken from its queue by one thread only.

    Args:
        store: Where they are counted.
        wake: Called for each new key, by requests: must be quick, and see to it that
            :meth:`drain` is called soon.
        server: Counts them on all machines together as well; ``None`` where it is not wanted.

    Attributes:
        server: As given; it may be set later.
    """

    def __init__(
        self, store: SketchStore, wake: Callable[[], None], server: ServerSketches | None = None
    ) -> None:
        self._store = store
        self._wake = wake
        self.server = server
        self._targets: dict[LabelSet, SeenKeys] = {}
        #: The slot in which a label set was recorded last.
        self._recorded: dict[LabelSet, int] = {}
        self._slot: int | None = None
        _all.add(self)

    def seen(self, labels: LabelSet) -> SeenKeys:
        """Where the lookups of a label set are noted: cache, backend, source, target.

        Always the same object. The label set is known to the store from the next
        :meth:`drain` on.
        """
        seen = self._targets.get(labels)
        if seen is None:
            seen = self._targets.setdefault(labels, SeenKeys(self._wake))
        return seen

    def drain(self, now: float) -> bool:
        """Count the keys that were met, and forget those that are remembered if a slot ended.

        Args:
            now: Unix time.

        Returns:
            Whether there is something to come back for, if no new key is met: keys to forget.
        """
        slot = RINGS[0].slot(now)
        ended, self._slot = slot != self._slot, slot
        targets = list(self._targets.items())
        for labels, seen in targets:
            if ended:
                seen.clear()
            # Once in each slot even without a key: a file that was removed knows of nobody.
            if not seen.waiting and self._recorded.get(labels) == slot:
                continue
            try:
                self._count(labels, seen.take(), slot, now)
            except Exception as fault:
                # One target's trouble is not the others'.
                report_fault("distinct_keys.drain", fault)
        if sum(len(seen) for _, seen in targets) > _LIMIT_OF_ALL:
            for _, seen in targets:
                seen.clear()
        return any(seen or seen.waiting for _, seen in targets)

    def exchange(self, now: float) -> bool:
        """Talk to the server that other machines count in, if it is time to.

        It takes round trips, so this is for a thread that nobody waits for. A server that fails
        is left alone for a while, and what was counted on this machine is shown.

        Args:
            now: Unix time.

        Returns:
            Whether there is something left to send.
        """
        if self.server is not None:
            # A copy: a scrape may drain at this moment.
            own = {labels[:2] for labels in list(self._recorded)}
            self.server.exchange(self._store, own, now)
        return self._is_sending()

    def _count(self, labels: LabelSet, hashes: list[bytes], slot: int, now: float) -> None:
        self._store.record(labels, [place(hashed) for hashed in hashes], now)
        self._recorded[labels] = slot
        if self.server is not None and hashes:
            self.server.add(labels, hashes, now)

    def _is_sending(self) -> bool:
        return self.server is not None and self.server.waiting

    def after_fork(self) -> None:
        """Remember nothing: the thread that would forget in time is the parent's."""
        for seen in self._targets.values():
            seen.clear()


_all: weakref.WeakSet[DistinctKeys] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
