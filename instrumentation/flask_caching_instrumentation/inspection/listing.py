"""Pages of keys: bounded in rows, in time, and in what the server has to do for them."""

from __future__ import annotations

import math
import re
import time
from typing import Final, get_args

from flask_caching.backends.base import KeyInfo, KeyPage, SupportsKeys, SupportsPeek
from flask_caching.entry import Entry
from flask_caching.errors import CacheError, UnreadableEntry

from ..timeline import Timeline, stored_as
from .failing import reason_of
from .keyids import key_id
from .model import KeyKind, KeyListing, KeyRow
from .naming import Belongs, Names
from .places import Place
from .writers import Writers

__all__ = ["MOST_ROWS", "Rows", "list_keys"]

#: Rows of a page, about, at most.
MOST_ROWS: Final = 500

#: Seconds after which a page that is not full yet goes as it is, and those for which entries are
#: looked into for their age.
_LOOKING: Final = 0.04
_PEEKING: Final = 0.02

#: Calls to a server for one page at most; each asks it for eight small steps.
_CALLS: Final = 4

#: How many times as much a page after the first may take: somebody goes on looking for something.
_PATIENCE: Final = 10

#: Seconds by which a server's word of an expiry may be off: memcached's clock ticks once a second,
#: it rounds, and a busy one ticks late.
_CLOCK: Final = 3.0

_KINDS: Final = frozenset(get_args(KeyKind))

#: What a key of a kind contains, where its text tells the kind.
_CONTAINED: Final = {
    "fragment": "_template_fragment_cache_",
    "memoize": "memo/",
    "version": "_memver",
}

#: Kinds by who asked.
_KIND_OF: Final[dict[str, KeyKind]] = {
    "view": "view",
    "memoize": "memoize",
    "template": "fragment",
}

#: The end of a name on memcached whose key was too long; see ``backends.memcachekeys``.
_CUT: Final = re.compile(r"%~[0-9a-f]{40}\Z")

_PART: Final = "Only a part of the store was looked at. Go on to see more."
_UNLISTED: Final = (
    "{backend} cannot list its keys. SimpleCache, FileSystemCache, RedisCache and MemcachedCache "
    "can; a backend of your own can if it implements "
    "flask_caching.backends.base.SupportsKeys. A key whose name is known can be looked at all "
    "the same."
)


class Rows:
    """Makes rows of keys, for one page.

    Args:
        place: The cache.
        timeline: What was seen lately in this process; ``None`` if nobody watches.

    Attributes:
        names: Tells what keys belong to.
    """

    def __init__(self, place: Place, timeline: Timeline | None) -> None:
        self.names = Names(place, self._seen)
        self._timeline = timeline
        self._writers = Writers(place)
        self._store = place.entries() if isinstance(place.backend, SupportsPeek) else None
        peer = getattr(place.backend, "peer", None)
        self._is_memcached = peer is not None and peer.system == "memcached"
        self._now = time.time()
        self._stop = time.perf_counter() + _PEEKING

    def _seen(self, key: str) -> Belongs | None:
        seen = None if self._timeline is None else self._timeline.memory.get(key)
        if seen is None or seen.target is None or seen.target.source not in _KIND_OF:
            return None
        return Belongs(_KIND_OF[seen.target.source], seen.target.name)

    def row(self, info: KeyInfo) -> KeyRow:
        """The row of a key that the store listed."""
        belongs = self.names.of(info.key)
        age, serializer, entry = self._looked(info)
        if entry is not None and not belongs.target:
            belongs = self._writers.of(entry) or belongs
        left = None
        if info.expires_at is not None:
            # Not 0.0, which would be never.
            left = max(info.expires_at - self._now, 0.001) if info.expires_at else 0.0
        return KeyRow(
            id="" if self._is_cut(info.key) else key_id(info.key),
            key=info.key,
            kind=belongs.kind,
            target=belongs.target,
            expires_in_seconds=left,
            age_seconds=age,
            size_bytes=info.size,
            serializer=serializer,
        )

    def _is_cut(self, key: str) -> bool:
        """Whether a key is only the beginning of one that was too long for memcached."""
        return self._is_memcached and _CUT.search(key) is not None

    def _looked(self, info: KeyInfo) -> tuple[float | None, str, Entry | None]:
        """The age of an entry, how it is stored, and itself; as far as that is no use of it."""
        if isinstance(self._store, SupportsPeek) and time.perf_counter() < self._stop:
            return self._peeked(self._store, info.key)
        return *self._remembered(info), None

    def _remembered(self, info: KeyInfo) -> tuple[float | None, str]:
        seen = None if self._timeline is None else self._timeline.memory.get(info.key)
        if seen is None or not seen.created_at:
            return None, ""
        # Another process may have written it anew since: then it expires at another time.
        if info.expires_at is None or abs(info.expires_at - seen.expires_at) > _CLOCK:
            return None, ""
        return max(self._now - seen.created_at, 0.0), seen.stored_as

    def _peeked(self, store: SupportsPeek, key: str) -> tuple[float | None, str, Entry | None]:
        try:
            entry = store.peek(key)
        except (UnreadableEntry, OSError):
            return None, "unreadable", None
        if entry is None:
            return None, "", None
        age = max(self._now - entry.created_at, 0.0) if entry.created_at else None
        return age, stored_as(entry), entry


def list_keys(
    place: Place, timeline: Timeline | None, cursor: str, match: str, kind: str, limit: int
) -> KeyListing:
    """A page of the keys that a cache holds; see :meth:`.inspector.Inspector.keys`."""
    if kind and kind not in _KINDS:
        raise ValueError(f"{kind!r} is no kind of key; there are {', '.join(sorted(_KINDS))}")
    name = place.state.config.name
    backend = place.backend
    if not isinstance(backend, SupportsKeys):
        note = _UNLISTED.format(backend=type(backend).__name__)
        return KeyListing(name, False, (), "", note)
    rows = Rows(place, timeline)
    found: list[KeyRow] = []
    limit = min(max(limit, 1), MOST_ROWS)
    patience = _PATIENCE if cursor else 1
    calls = patience * _CALLS if getattr(backend, "peer", None) is not None else math.inf
    stop = time.perf_counter() + patience * _LOOKING
    note = ""
    try:
        while True:
            page = backend.keys(cursor, limit - len(found), match or _CONTAINED.get(kind, ""))
            found += _of_kind(rows, page, kind)
            cursor, calls = page.cursor, calls - 1
            if not cursor or len(found) >= limit:
                break
            if not calls or time.perf_counter() > stop:
                note = _PART
                break
    except Exception as error:
        if cursor and isinstance(error, ValueError) and not isinstance(error, CacheError):
            # A cursor that the store did not return.
            raise
        # It is a page about a store that may be down.
        note = f"The store failed: {reason_of(error)}"
        return KeyListing(name, True, found, "", note, failed=True)
    return KeyListing(name, True, found, cursor, note)


def _of_kind(rows: Rows, page: KeyPage, kind: str) -> list[KeyRow]:
    if not kind:
        return [*map(rows.row, page.keys)]
    return [row for row in map(rows.row, page.keys) if row.kind == kind]
