"""The entry level over a backend that knows only values.

Any third-party subclass of :class:`~flask_caching.backends.base.BaseCache`, any ``cachelib``
cache, any client with ``get``, ``set`` and ``delete`` can serve the decorators: an entry goes
into it as bytes (:meth:`flask_caching.serializers.Codec.dumps`), so that its metadata travels
with the value and nothing in the store needs to understand it.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from ..byteform import MAGIC
from ..entry import Entry, Form
from ..errors import SerializationError, UnreadableEntry
from ..serializers import Codec, is_immutable
from .base import NOTHING, SupportsTouch, SupportsTTL, wall_clock
from .wire import bare_number

__all__ = ["ForeignEntries", "ValueBackend", "install_serializer"]

#: Begins what an application wrote through ``cache.cache`` itself, see :func:`install_serializer`.
_VALUE = b"\xfcFV"


class ValueBackend(Protocol):
    """What a store must answer at the least. Arguments are passed by position."""

    def get(self, key: str, /) -> Any: ...

    def set(self, key: str, value: Any, timeout: Any, /) -> Any: ...

    def delete(self, key: str, /) -> Any: ...


class ForeignEntries:
    """Entries in and out of a backend that knows only values.

    What the application wrote into the backend itself comes out as a *bare* entry: no witness,
    no versions, no expiry, and 0.0 as ``created_at``, since the store does not tell.

    Args:
        backend: The store, which may be inside an observer's wrapper.
        codec: Makes bytes of entries.
        clock: Gives the Unix time; ``time.time``, looked up at each call, by default.
    """

    def __init__(
        self, backend: ValueBackend, codec: Codec, clock: Callable[[], float] | None = None
    ) -> None:
        self.backend = backend
        self.codec = codec
        self._clock = clock or wall_clock
        #: Told of each entry that :meth:`get_entries` takes for missing because it is unreadable.
        self.on_unreadable: Callable[[UnreadableEntry], None] | None = None
        self._many = _get_many(backend)

    def get_entry(self, key: str) -> Entry | None:
        """The live entry under ``key``.

        Raises:
            UnreadableEntry: If it looks like an entry and is not one that can be read.
        """
        return self._entry(key, self.backend.get(key))

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """The live entries of ``keys`` in their order, in one call where the backend has one.

        Args:
            keys: What to read.
            create: Entries to add first, where their keys do not exist.
        """
        for key, entry in create.items():
            self.add_entry(key, entry)
        if self._many is None:
            return [self._readable(key, self.backend.get(key)) for key in keys]
        return [
            self._readable(key, value) for key, value in zip(keys, self._many(*keys), strict=True)
        ]

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """Store ``entry`` until it expires; one that has expired removes what is there.

        Args:
            key: Where.
            entry: What.
            touch: Keys that must live at least as long. Left as they are where the backend
                cannot tell how long they have, or cannot change it.
        """
        for other in touch:
            self._keep_until(other, entry.expires_at)
        seconds = self._seconds_left(entry)
        if seconds is None:
            self.backend.delete(key)
            return True
        return _done(self.backend.set(key, self._value(key, entry), seconds))

    def add_entry(self, key: str, entry: Entry) -> bool:
        """Store ``entry`` unless the key exists; as atomically as the backend's own ``add``."""
        seconds = self._seconds_left(entry)
        add = _own_add(self.backend)
        if add is not None and seconds is not None:
            return _done(add(key, self._value(key, entry), seconds))
        if self._readable(key, self.backend.get(key)) is not None:
            return False
        return self.set_entry(key, entry)

    def _entry(self, key: str, value: Any) -> Entry | None:
        if value is None:
            return None
        if type(value) is bytes and value.startswith(MAGIC):
            entry = self.codec.loads(value, key)
            expired = entry.expires_at != 0.0 and entry.expires_at <= self._clock()
            return None if expired else entry
        if is_immutable(value):
            return Entry(Form.PLAIN, value, created_at=0.0)
        try:
            form, payload = self.codec.freeze(value)
        except SerializationError:
            # The backend holds objects as they are; so it hands them out, here as there.
            form, payload = Form.PLAIN, value
        return Entry(form, payload, created_at=0.0)

    def _readable(self, key: str, value: Any) -> Entry | None:
        try:
            return self._entry(key, value)
        except UnreadableEntry as error:
            if self.on_unreadable is not None:
                self.on_unreadable(error)
            return None

    def _value(self, key: str, entry: Entry) -> Any:
        """The bytes of an entry; a plain number the application counts with stays bare."""
        number = bare_number(entry)
        return self.codec.dumps(entry, key) if number is None else number

    def _seconds_left(self, entry: Entry) -> int | None:
        """Whole seconds until the entry expires, rounded up; 0 never; None if it has."""
        if not entry.expires_at:
            return 0
        # The millisecond is what is left of a subtraction of two large floats.
        left = math.ceil(round(entry.expires_at - self._clock(), 3))
        return left if left > 0 else None

    def _keep_until(self, key: str, expires_at: float) -> None:
        backend: object = self.backend
        if not (isinstance(backend, SupportsTouch) and isinstance(backend, SupportsTTL)):
            return
        left = backend.ttl(key)
        wanted = math.ceil(expires_at - self._clock()) if expires_at else 0
        if left and (not wanted or wanted > left):
            backend.touch(key, wanted)


def _done(result: object) -> bool:
    """Whether a write was done; ``None`` is what many backends return for yes."""
    return result is None or bool(result)


def _own_add(backend: object) -> Callable[..., Any] | None:
    """The backend's ``add``, unless it is that of cachelib's base class, which stores nothing."""
    cachelib = sys.modules.get("cachelib")
    # Asked of ``__class__``, which an observer's wrapper answers for what it wraps.
    if cachelib is not None and getattr(backend.__class__, "add", None) is cachelib.BaseCache.add:
        return None
    return getattr(backend, "add", None)


def _get_many(backend: object) -> Callable[..., Sequence[Any]] | None:
    """The backend's ``get_many``, if it takes keys and not, say, a list of them."""
    method = getattr(backend, "get_many", None)
    if method is None:
        return None
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(item.kind is item.VAR_POSITIONAL for item in parameters):
        return cast("Callable[..., Sequence[Any]]", method)
    return None


class _EntrySerializer:
    """Stands in for the serializer of a ``cachelib`` cache, so that it does no unpickling.

    Entries, already bytes, pass; whole numbers stay what the server can count; what the
    application writes into the cache itself goes through this application's codec.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def dumps(self, value: Any, *args: Any) -> bytes:
        if type(value) is bytes and value.startswith(MAGIC):
            return value
        if type(value) is int:
            return str(value).encode()
        form, payload = self._codec.freeze(value)
        return _VALUE + self._codec.dumps(Entry(form, payload, created_at=0.0))

    def loads(self, data: Any) -> Any:
        """The value in ``data``; ``None``, a miss, for bytes that nobody here wrote."""
        if data is None:
            return None
        data = bytes(data)
        if data.startswith(MAGIC):
            return data
        try:
            if data.startswith(_VALUE):
                return self._codec.thaw(self._codec.loads(data[len(_VALUE) :]))
            return int(data)
        except ValueError:
            return None

    def dump(self, value: Any, file: Any, *args: Any) -> None:
        file.write(self.dumps(value))

    def load(self, file: Any) -> Any:
        return self.loads(file.read())


def install_serializer(backend: object, codec: Codec) -> None:
    """Keep a ``cachelib`` cache from unpickling what is in its store.

    Its own serializer would run :func:`pickle.loads` on whatever it finds before
    :class:`ForeignEntries` could check it, which is what another ``CACHE_SERIALIZER`` than
    ``"pickle"`` was chosen to prevent. Anything but a ``cachelib`` cache is left alone.

    Args:
        backend: The backend itself, not a wrapper around it.
        codec: The application's codec.
    """
    serializers = sys.modules.get("cachelib.serializers")
    if serializers is None or codec.serializer == "pickle":
        return
    if isinstance(getattr(backend, "serializer", None), serializers.BaseSerializer):
        cast(Any, backend).serializer = _EntrySerializer(codec)
