"""Entry: what goes into a store; a value's snapshot and what must be known about it.

An entry never holds the application's own object. Its ``payload`` is a snapshot in one of the
forms of :class:`Form`; :mod:`flask_caching.serializers` makes it and turns it back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

__all__ = [
    "DIGEST_SIZE",
    "SEALED_SIZE",
    "Entry",
    "Form",
    "StoredError",
    "StoredItems",
    "StoredResponse",
    "Witness",
]


class Form(IntEnum):
    """How an entry's payload stands for its value; also the tag byte of the byte form."""

    #: The value itself, which is immutable: str, bytes, numbers, None, tuples of them.
    PLAIN = 1
    #: A :class:`StoredResponse`.
    RESPONSE = 2
    #: Bytes of :mod:`pickle`.
    PICKLE = 3
    #: Bytes of :mod:`json`, UTF-8.
    JSON = 4
    # 5 was a pickle under a MAC of its own, in format 1.
    #: Bytes of a serializer object that the application brought.
    CUSTOM = 6
    #: The same, of a response's byte form.
    CUSTOM_RESPONSE = 7


class StoredResponse(NamedTuple):
    """An HTTP response without its object: what is kept, and what is rebuilt for each request.

    Attributes:
        status: The status line's text, for example ``"200 OK"``.
        headers: Name and value pairs in their order.
        body: The whole body.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StoredError(NamedTuple):
    """An ``HTTPException`` of Werkzeug's own, without its traceback.

    Attributes:
        name: The class's name in :mod:`werkzeug.exceptions`.
        attributes: Its attributes; a response among them as :class:`StoredResponse`.
    """

    name: str
    attributes: dict[str, Any]


class StoredItems(NamedTuple):
    """What a generator gave: read back as a fresh iterator for each reader."""

    items: list[Any]


class Witness(NamedTuple):
    """Who an entry was made for, to recognise another asker under the same key.

    In memory the fields hold the plain identities. In the byte form a witness is *sealed*: a
    keyed hash of the whole and one of each field, so that an asker's is hashed before it is
    compared (:meth:`flask_caching.serializers.Codec.digest` and ``seal``).

    Attributes:
        function: Endpoint of a view; qualified name of a helper; name and source of a fragment.
        arguments: View arguments, or a helper's call arguments.
        method: Request method with HEAD as GET; empty outside views.
        host: The host; empty outside views.
        query: The query string as it came; empty outside views.
        root: The script root, where the application is mounted; empty outside views.
        scheme: ``http`` or ``https``; empty outside views.
    """

    function: object
    arguments: object
    method: object
    host: object
    query: object
    root: object = ""
    scheme: object = ""


#: Bytes of one keyed hash, and of a sealed witness: its own hash, then that of each field.
DIGEST_SIZE = 8
SEALED_SIZE = DIGEST_SIZE * (1 + len(Witness._fields))


class Entry:
    """A stored value with its metadata.

    Attributes:
        form: How ``payload`` stands for the value.
        payload: The snapshot.
        created_at: Unix time of writing, seconds.
        expires_at: Unix time from which it is gone, seconds; ``0.0`` means never.
        load_seconds: How long the value took to compute; ``0.0`` if nobody measured it.
        witness: Who it was made for; ``None`` where any asker is right (direct values, memoize),
            and where it is sealed.
        sealed: The sealed witness, of an entry that was read from bytes; else empty.
        versions: The versions of the function and the instance, read before the load.
        vary: Names and values of the request headers that the response varies on.
        reads: What the view was seen to read while it made this: a subset of
            ``{"host", "query", "root", "scheme"}``.
        size: Bytes of the stored form, of an entry that was read from bytes or made into them;
            0 of any other. Set by :class:`flask_caching.serializers.Codec`, never copied.
    """

    __slots__ = (
        "created_at",
        "expires_at",
        "form",
        "load_seconds",
        "payload",
        "reads",
        "sealed",
        "size",
        "vary",
        "versions",
        "witness",
    )

    def __init__(
        self,
        form: Form,
        payload: object,
        created_at: float,
        expires_at: float = 0.0,
        load_seconds: float = 0.0,
        witness: Witness | None = None,
        sealed: bytes = b"",
        versions: tuple[str, ...] = (),
        vary: tuple[tuple[str, str], ...] = (),
        reads: frozenset[str] = frozenset(),
    ) -> None:
        self.form = form
        self.payload = payload
        self.created_at = created_at
        self.expires_at = expires_at
        self.load_seconds = load_seconds
        self.witness = witness
        self.sealed = sealed
        self.versions = versions
        self.vary = vary
        self.reads = reads
        self.size = 0

    @property
    def asker(self) -> Witness | None:
        """Who it was made for; the fields are keyed hashes if it is sealed."""
        if not self.sealed:
            return self.witness
        ends = range(2 * DIGEST_SIZE, SEALED_SIZE + 1, DIGEST_SIZE)
        return Witness(*(self.sealed[end - DIGEST_SIZE : end] for end in ends))

    def replaced(self, form: Form, payload: object, expires_at: float) -> Entry:
        """The same metadata around another snapshot (a counter's new value, say)."""
        return Entry(
            form,
            payload,
            created_at=self.created_at,
            expires_at=expires_at,
            load_seconds=self.load_seconds,
            witness=self.witness,
            sealed=self.sealed,
            versions=self.versions,
            vary=self.vary,
            reads=self.reads,
        )

    def __repr__(self) -> str:
        return (
            f"Entry({self.form.name}, created_at={self.created_at}, expires_at={self.expires_at})"
        )
