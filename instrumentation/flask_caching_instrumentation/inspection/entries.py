"""One key: what is known of its entry, who made it, who asks for it, and its value if wanted."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

from flask_caching.backends.base import (
    RESERVED,
    EntryBackend,
    KeyInfo,
    SupportsPeek,
    SupportsTTL,
)
from flask_caching.backends.simplecache import payload_size
from flask_caching.entry import Entry
from flask_caching.errors import UnreadableEntry

from ..metrics.counting import Counting
from ..relay import observer_of
from ..timeline import Timeline, stored_as
from .failing import reason_of
from .listing import Rows
from .live import asked_of
from .model import KeyDetail, Preview
from .places import Place
from .previews import hidden, nothing, preview
from .redacting import Redactor
from .witnesses import collision_of, writer_of

__all__ = ["Found", "detail_of", "find_entry"]

#: Requests that are listed as sharing a key.
_SHARED = 20

_READ = "Looking at it counted as a use of it: this store has no other way to look."
_FOREIGN = (
    "This backend is not one of Flask-Caching's own: to read an entry it may have to unpickle what "
    "it keeps, so it was only asked whether there is one."
)
_GONE = "There is no entry under this key now."


class Found(NamedTuple):
    """What somebody who looks finds under a key.

    Attributes:
        entry: The entry; ``None`` if there is none, or it cannot be read.
        left: Seconds that it has left: ``0.0`` never expires, ``None`` if it is not known.
        exists: Whether there is something under the key, readable or not; ``None`` if the store
            failed.
        note: What a reader should know.
        unreadable: Whether there is something that cannot be read.
    """

    entry: Entry | None
    left: float | None
    exists: bool | None
    note: str = ""
    unreadable: bool = False


def find_entry(place: Place, key: str) -> Found:
    """Look for an entry, without counting it as a use where the store can do that.

    Nothing is counted in metrics either, and nothing is raised: a store that fails is what
    somebody who looks wants to know.
    """
    try:
        return _find(place, key)
    except Exception as error:
        return Found(None, None, None, f"The store failed: {reason_of(error)}")


def _find(place: Place, key: str) -> Found:
    left: float | None = None
    if not isinstance(place.backend, EntryBackend):
        exists = bool(place.backend.has(key))
        return Found(None, None, exists, _FOREIGN if exists else _GONE)
    if isinstance(place.backend, SupportsTTL):
        left = place.backend.ttl(key)
        if left is None:
            return Found(None, None, False, _GONE)
    store = place.entries()
    peeks = isinstance(store, SupportsPeek)
    try:
        entry = store.peek(key) if isinstance(store, SupportsPeek) else store.get_entry(key)
    except UnreadableEntry as error:
        note = f"What is there cannot be read: {error}. The cache takes it for a miss."
        return Found(None, left, True, note, unreadable=True)
    if entry is None:
        return Found(None, None, False, _GONE)
    if left is None and entry.created_at:
        left = max(entry.expires_at - time.time(), 0.001) if entry.expires_at else 0.0
    return Found(entry, left, True, "" if peeks else _READ)


def detail_of(
    place: Place, timeline: Timeline | None, key: str, *, reveal: bool
) -> KeyDetail | None:
    """What is known of a key; see :meth:`.inspector.Inspector.key`."""
    if key.startswith(RESERVED):
        return None
    redactor = Redactor(place.state.config.debug_redact)
    found = find_entry(place, key)
    entry = found.entry
    now = time.time()
    expires_at = None if found.left is None else now + found.left if found.left else 0.0
    size = None if entry is None else entry.size or payload_size(entry.payload)
    rows = Rows(place, timeline)
    row = rows.row(KeyInfo(key, expires_at, size))
    if entry is not None:
        age = max(now - entry.created_at, 0.0) if entry.created_at else None
        row = replace(row, age_seconds=age, serializer=stored_as(entry))
    detail = KeyDetail(
        row=row,
        exists=bool(found.exists),
        expires_at=expires_at,
        shared_by=asked_of(timeline, key, redactor, _SHARED),
        collision=_collision(place, key, redactor),
        preview=_preview(place, key, found, redactor) if reveal else None,
        note=found.note,
    )
    if entry is None:
        return detail
    return replace(
        detail,
        created_at=entry.created_at or None,
        load_seconds=entry.load_seconds or None,
        written_by=writer_of(place, rows.names, key, entry, redactor),
        reads=sorted(entry.reads),
        vary=redactor.pairs(entry.vary),
        versions=len(entry.versions),
    )


def _preview(place: Place, key: str, found: Found, redactor: Redactor) -> Preview:
    if found.entry is None:
        return nothing(found.note or _GONE)
    if redactor.hides(key):
        return hidden(found.entry.size or payload_size(found.entry.payload))
    try:
        return preview(found.entry, redactor)
    except Exception as error:
        # A payload of an entry that somebody made by hand.
        return nothing(f"It cannot be shown: {reason_of(error)}")


def _collision(place: Place, key: str, redactor: Redactor) -> str:
    observer = observer_of(place.state)
    if not isinstance(observer, Counting):
        return ""
    for offender in observer.offenders.latest():
        if offender.key == key:
            return collision_of(offender, redactor)
    return ""
