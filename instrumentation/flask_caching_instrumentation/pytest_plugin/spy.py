"""``cache_spy``: what happened to the caches while a test ran."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask_caching.observer import Bypass, Lookup, NullObserver

__all__ = ["CacheSpy", "SpiedBypass", "SpiedCollision", "SpiedLookup"]

#: Lookups that the representation of a spy shows.
_SHOWN = 8


@dataclass(frozen=True)
class SpiedCollision:
    """An entry that was found under a key, and had been made for another request.

    Attributes:
        key: The key.
        kind: What differs: ``endpoint``, ``arguments``, ``method``, ``host`` or ``query``.
        action: ``reported`` (the entry was served) or ``refused`` (it was not).
    """

    key: str
    kind: str
    action: str


@dataclass(frozen=True)
class SpiedLookup:
    """A decorated call, a template fragment, or a value that was read.

    Attributes:
        source: Who asked: ``view``, ``memoize``, ``template``, or ``direct`` (``cache.get``).
        target: The endpoint, function or fragment; ``direct`` for a direct call.
        key: The key; of a read of several the first.
        outcome: ``hit``, ``miss``, ``stale`` or ``error``; of a read of several ``hit`` if all
            were there.
        stored: What became of the value that was loaded: ``stored``, ``refused`` or ``error``;
            empty if nothing was loaded.
        reason: Why it was not stored.
        collision: Set if the entry was another request's.
        keys: All keys of a read of several; else empty.
        found: How many of the keys were there.
    """

    source: str
    target: str
    key: str
    outcome: str
    stored: str = ""
    reason: str = ""
    collision: SpiedCollision | None = None
    keys: Sequence[str] = ()
    found: int = 0


@dataclass(frozen=True)
class SpiedBypass:
    """A decorated call that ran its function without having looked.

    Attributes:
        source: Who asked, as in :class:`SpiedLookup`.
        target: The endpoint, function or fragment.
        reason: ``unless``, ``forced_update``, ``method``, ``disabled``, ...
        key: Where ``forced_update`` stored a value; else empty.
        stored: What became of that value, as in :class:`SpiedLookup`.
    """

    source: str
    target: str
    reason: str
    key: str = ""
    stored: str = ""


class CacheSpy:
    """Records the lookups of every cache in this process; safe between threads.

    Attributes:
        observer: What has to be told of them, see :func:`flask_caching.overhearing.overhear`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._seen: list[SpiedLookup | SpiedBypass] = []
        self.observer: NullObserver = _Observer(self._record)

    # What a test asks.

    @property
    def lookups(self) -> list[SpiedLookup]:
        """Every lookup, in the order in which they ended."""
        with self._lock:
            return [each for each in self._seen if isinstance(each, SpiedLookup)]

    @property
    def bypasses(self) -> list[SpiedBypass]:
        """Every decorated call that did not look, in the order in which they ended."""
        with self._lock:
            return [each for each in self._seen if isinstance(each, SpiedBypass)]

    @property
    def hits(self) -> int:
        """Keys that were there; each one of a read of several counts."""
        return sum(each.found for each in self.lookups)

    @property
    def misses(self) -> int:
        """Keys that were not there; ``stale`` ones and failures of the store are none."""
        return sum(
            max(len(each.keys), 1) - each.found
            for each in self.lookups
            if each.outcome in ("hit", "miss")
        )

    @property
    def stored(self) -> int:
        """Values that were loaded and stored; what ``cache.set`` writes is not counted."""
        with self._lock:
            return sum(each.stored == "stored" for each in self._seen)

    @property
    def keys(self) -> list[str]:
        """The keys that were asked for, or stored anew, in their order and each once."""
        with self._lock:
            found = [
                key
                for each in self._seen
                for key in (getattr(each, "keys", ()) or (each.key,))
                if key
            ]
        return list(dict.fromkeys(found))

    @property
    def collisions(self) -> list[SpiedCollision]:
        """Entries that were found and were other requests'."""
        return [each.collision for each in self.lookups if each.collision is not None]

    def reset(self) -> None:
        """Forget what was seen so far."""
        with self._lock:
            self._seen.clear()

    def __repr__(self) -> str:
        with self._lock:
            seen = list(self._seen)
        shown = "; ".join(_described(each) for each in seen[-_SHOWN:])
        more = f"{len(seen) - _SHOWN} earlier; " if len(seen) > _SHOWN else ""
        return f"<cache_spy {more}{shown}>" if seen else "<cache_spy: no lookups>"

    def _record(self, seen: SpiedLookup | SpiedBypass) -> None:
        with self._lock:
            self._seen.append(seen)


class _Observer(NullObserver):
    """Hears of lookups and bypasses, and keeps what they were rather than them."""

    def __init__(self, record: Callable[[SpiedLookup | SpiedBypass], None]) -> None:
        self._record = record

    def lookup_finished(self, lookup: Lookup) -> None:
        collision = lookup.collision
        spied = None
        if collision is not None:
            spied = SpiedCollision(collision.key, collision.kind, collision.action)
        keys = tuple(lookup.keys)
        outcome, found = str(lookup.outcome), int(lookup.outcome == "hit")
        if lookup.counts is not None:
            found = lookup.counts.get("hit", 0)
            outcome = "hit" if found == len(keys) else "miss"
            if lookup.counts.get("error"):
                outcome = "error"
        self._record(
            SpiedLookup(
                source=lookup.target.source,
                target=lookup.target.name,
                key=lookup.key or (keys[0] if keys else ""),
                outcome=outcome,
                stored=lookup.stored or "",
                reason=lookup.reason,
                collision=spied,
                keys=keys,
                found=found,
            )
        )

    def bypass_finished(self, bypass: Bypass) -> None:
        forced = bypass.lookup
        self._record(
            SpiedBypass(
                source=bypass.target.source,
                target=bypass.target.name,
                reason=bypass.reason,
                key="" if forced is None else forced.key,
                stored="" if forced is None else forced.stored or "",
            )
        )


def _described(each: SpiedLookup | SpiedBypass) -> str:
    outcome = each.outcome if isinstance(each, SpiedLookup) else f"bypass ({each.reason})"
    key = f" {each.key!r}" if each.key else ""
    return f"{each.source} {each.target} {outcome}{key}"
