"""Codecs: between a value and an entry's snapshot, and between an entry and bytes.

Two steps, because a store in memory needs only the first:

- :meth:`Codec.freeze` turns a value into a snapshot that shares nothing mutable with it, and
  :meth:`Codec.thaw` makes a fresh value of a snapshot, one for each reader;
- :meth:`Codec.dumps` and :meth:`Codec.loads` turn an entry into bytes and back.

Text, bytes, numbers, ``None``, tuples of them, and responses never touch :mod:`pickle`,
whichever serializer is chosen. An object that the application brings as serializer is given
everything but ``None`` and whole numbers, since it may be there to encrypt: a response as the bytes
of its byte form, or as text if it takes no bytes. One of cachelib's own, which pickle whatever
they are given, gets only what the others would pickle.

The byte form of an entry begins with a header. Its checksum covers the key as well, so that what
was written under one key is never taken for another's, whoever mixed them up. Under
``CACHE_SERIALIZER = "signed"`` all of it has a MAC, which is checked before anything is parsed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, cast

import werkzeug.exceptions
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .compression import COMPRESSIONS
from .entry import (
    DIGEST_SIZE,
    SEALED_SIZE,
    Entry,
    Form,
    StoredError,
    StoredItems,
    StoredResponse,
    Witness,
)
from .errors import SerializationError, UnreadableEntry
from .payloads import dump_payload, dump_response, load_payload, load_response
from .typing import is_tuple

__all__ = ["MAGIC", "Codec", "Serializer", "is_immutable"]

#: The released library takes what begins like this for a pickle, finds that it is none, and has a
#: miss: so both can work on one store while an application is being upgraded.
MAGIC = b"!\xfcFC"
_VERSION = 2
#: magic, version, form, flags, reads, fingerprint of the secret, created, expires, load seconds,
#: lengths of versions and vary, length of the payload before it was compressed (else 0), CRC of
#: the key and of all the rest
_HEADER = struct.Struct(">4sBBBB4sdddHHII")
#: Flags: a MAC follows the header; a sealed witness does; the number of the compression.
_SIGNED = 0x80
_WITNESS = 0x40
_COMPRESSION = 0x0F
#: What a view may have been seen to read; as bits, in this order.
_READS = ("host", "query", "root", "scheme")
_READ_SETS: tuple[frozenset[str], ...] = tuple(
    frozenset[str](name for bit, name in enumerate(_READS) if number >> bit & 1)
    for number in range(16)
)
_FORMS = {int(form): form for form in Form}
_MAC_SIZE = 32

#: Types whose objects cannot change, so that the application may get the stored object itself.
_IMMUTABLE = frozenset({str, bytes, int, float, bool, complex, type(None)})


class Serializer(Protocol):
    """A serializer of the application's own, or one of cachelib's."""

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, data: Any, /) -> Any: ...


def is_immutable(value: object) -> bool:
    """Whether ``value`` can be handed out without a copy."""
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    if kind is not tuple and kind is not frozenset:
        return False
    try:
        return all(map(is_immutable, cast("tuple[object, ...]", value)))
    except RecursionError:
        # Nested too deep to tell, so it is left to the serializer.
        return False


class Codec:
    """The codec of one application.

    Args:
        serializer: ``"pickle"``, ``"signed"`` (pickle, and every entry under a MAC), ``"json"``, or
            an object with ``dumps`` and ``loads``.
        secret: The application's secret: the key of witnesses and MACs.
        response_class: Makes the responses that are read back; called with body, status and
            headers.
        compression: ``"zlib"``, ``"zstd"`` or ``None``, for the byte form. Whatever it is,
            entries compressed with another can be read.
        compression_threshold: Bytes from which on a payload is compressed.

    Attributes:
        largest: Bytes that a compressed payload may turn out to be; ``None`` for any number. For
            whoever looks at entries that are not needed.
    """

    largest: int | None = None

    def __init__(
        self,
        serializer: str | Serializer = "pickle",
        secret: bytes = b"",
        response_class: Callable[..., WerkzeugResponse] = WerkzeugResponse,
        compression: str | None = None,
        compression_threshold: int = 1024,
    ) -> None:
        self.serializer = serializer
        self.response_class = response_class
        self._compression = COMPRESSIONS[compression] if compression else None
        self._compression_threshold = compression_threshold
        self._flags = _SIGNED if serializer == "signed" else 0
        self._pickles = serializer in ("pickle", "signed")
        #: Whether the serializer object is given text, bytes and responses too.
        self._takes_all = not isinstance(serializer, str) and not _is_cachelibs(serializer)
        self._key = hashlib.blake2b(secret, person=b"flask-caching").digest()
        self._fingerprint = self._digest(b"fingerprint", 4)

    # Value and snapshot.

    def freeze(self, value: Any) -> tuple[Form, Any]:
        """Take a snapshot of ``value``.

        Raises:
            SerializationError: If the serializer cannot hold the value.
        """
        kind = type(cast("object", value))
        if self._takes_all and kind is not int and value is not None:
            return self._freeze_custom(value)
        if kind in _IMMUTABLE or is_immutable(value):
            return Form.PLAIN, value
        if isinstance(value, WerkzeugResponse):
            return Form.RESPONSE, store_response(value)
        if self._pickles:
            return Form.PICKLE, self._dump(_dump_pickle, portable(value))
        if isinstance(self.serializer, str):
            return Form.JSON, self._dump(_dump_json, value)
        return Form.CUSTOM, self._dump(self.serializer.dumps, portable(value))

    def _freeze_custom(self, value: Any) -> tuple[Form, bytes]:
        dumps = cast(Serializer, self.serializer).dumps
        if not isinstance(value, WerkzeugResponse):
            return Form.CUSTOM, self._dump(dumps, portable(value))
        data = dump_response(store_response(value))
        try:
            return Form.CUSTOM_RESPONSE, self._dump(dumps, data)
        except SerializationError:
            # JSON and its like take text, and no bytes.
            return Form.CUSTOM_RESPONSE, self._dump(dumps, base64.b64encode(data).decode())

    def thaw(self, entry: Entry) -> Any:
        """A fresh value of an entry's snapshot.

        Raises:
            UnreadableEntry: If the snapshot cannot be turned into a value.
        """
        form = entry.form
        if form is Form.PLAIN:
            return entry.payload
        return self._load(form, entry.payload)

    def _load(self, form: Form, payload: Any) -> Any:
        try:
            if form is Form.RESPONSE:
                return self._response(payload)
            return self._revive(self._decode(form, payload))
        except UnreadableEntry:
            raise
        except Exception as error:
            raise UnreadableEntry(
                f"the entry's {form.name.lower()} payload cannot be read: {error!r}", "value"
            ) from error

    def _decode(self, form: Form, payload: Any) -> Any:
        # How an entry is read is for the configuration to say, not for the entry: whoever
        # can write to the store could otherwise have a pickle loaded that was never asked for.
        if form is Form.PICKLE and self._pickles:
            return pickle.loads(payload)
        if form is Form.JSON:
            return json.loads(payload)
        if form in (Form.CUSTOM, Form.CUSTOM_RESPONSE) and not isinstance(self.serializer, str):
            value = self.serializer.loads(payload)
            if value is None:
                # ``None`` was never given to it; cachelib's return it for what they cannot read.
                raise UnreadableEntry("the serializer found nothing in the entry", "value")
            if form is Form.CUSTOM_RESPONSE:
                return load_response(base64.b64decode(value) if type(value) is str else value)
            return value
        raise UnreadableEntry(
            f"the entry was written with another serializer ({form.name.lower()})", "foreign"
        )

    def _dump(self, dumps: Callable[[Any], object], value: Any) -> bytes:
        try:
            data = dumps(value)
            if not isinstance(data, bytes):
                raise TypeError(f"dumps has to return bytes, not {type(data).__qualname__}")
            return data
        except Exception as error:
            # The name of an object's class: its repr may hold the key it encrypts with.
            serializer = self.serializer
            name = serializer if isinstance(serializer, str) else type(serializer).__qualname__
            raise SerializationError(
                f"{type(value).__qualname__} cannot be cached with the serializer {name!r}: "
                f"{error}. Return something it can hold, choose another CACHE_SERIALIZER, or keep "
                "the value out with response_filter."
            ) from error

    def _response(self, stored: Any) -> WerkzeugResponse:
        response = self.response_class(stored.body, stored.status)
        # The constructor adds a default Content-Type, so the headers are set as a whole.
        response.headers.clear()
        response.headers.extend(list(stored.headers))
        return response

    def _revive(self, value: Any) -> Any:
        """Undo :func:`portable`."""
        kind = type(cast("object", value))
        if kind is StoredResponse:
            return self._response(value)
        if kind is StoredItems:
            return iter(value.items)
        if kind is StoredError:
            cls = getattr(werkzeug.exceptions, value.name)
            error = cls.__new__(cls)
            attributes = dict(value.attributes)
            attributes["response"] = self._revive(attributes.get("response"))
            error.__dict__.update(attributes)
            return error
        if kind is tuple and any(type(item) is StoredResponse for item in value):
            return tuple(self._revive(item) for item in value)
        return value

    # Entry and bytes.

    def dumps(self, entry: Entry, key: str = "") -> bytes:
        """The byte form of an entry: a header, the rest of the metadata, the payload.

        Its length is noted in the entry's ``size``.

        Args:
            entry: The entry.
            key: What it will be stored under; :meth:`loads` has to be given the same.

        Raises:
            SerializationError: If the metadata or the payload cannot be written.
        """
        try:
            flags, metadata, fields = self._dump_metadata(entry)
            payload = dump_payload(entry.form, entry.payload)
        except Exception as error:
            raise SerializationError(f"the entry cannot be written: {error!r}") from error
        size = 0
        if self._compression is not None and len(payload) >= self._compression_threshold:
            smaller = self._compression.compress(payload)
            if len(smaller) < len(payload):
                flags, size, payload = flags | self._compression.number, len(payload), smaller
        body = metadata + payload
        bound = key.encode("utf-8", "surrogatepass")
        start = (MAGIC, _VERSION, entry.form, flags, *fields, size)
        header = _HEADER.pack(*start, 0)
        header = _HEADER.pack(*start, _checksum(bound, header, body))
        mac = self._mac(bound, header, body) if flags & _SIGNED else b""
        data = header + mac + body
        entry.size = len(data)
        return data

    def _dump_metadata(self, entry: Entry) -> tuple[int, bytes, tuple[Any, ...]]:
        """The flags, the metadata behind the header, and that in the header."""
        flags, sealed = self._flags, entry.sealed
        if entry.witness is not None:
            sealed = self.digest(entry.witness) + b"".join(self._seals(entry.witness))
        if sealed:
            flags |= _WITNESS
        versions = b"".join(
            len(data).to_bytes(1, "big") + data for data in map(str.encode, entry.versions)
        )
        vary = json.dumps(entry.vary).encode() if entry.vary else b""
        reads = _READ_SETS.index(entry.reads)
        times = (entry.created_at, entry.expires_at, entry.load_seconds)
        fields = (reads, self._fingerprint, *times, len(versions), len(vary))
        return flags, sealed + versions + vary, fields

    def loads(self, data: bytes, key: str = "") -> Entry:
        """The entry in ``data``, which was found under ``key``.

        Raises:
            UnreadableEntry: If it is not one that this application wrote under that key, or is
                cut off.
        """
        if len(data) < _HEADER.size or not data.startswith(MAGIC):
            raise UnreadableEntry("not an entry of Flask-Caching 3", "foreign")
        header = _HEADER.unpack_from(data)
        _, version, form, flags, _, fingerprint, *_, checksum = header
        if version != _VERSION:
            raise UnreadableEntry(f"an entry of format {version}, not {_VERSION}", "version")
        if fingerprint != self._fingerprint:
            raise UnreadableEntry("an entry made under another SECRET_KEY", "secret")
        begin = _HEADER.size + (_MAC_SIZE if flags & _SIGNED else 0)
        body = memoryview(data)[begin:]
        bound = key.encode("utf-8", "surrogatepass")
        if flags & _SIGNED:
            mac = self._mac(bound, data[: _HEADER.size], body)
            if not hmac.compare_digest(data[_HEADER.size : begin], mac):
                raise UnreadableEntry("the entry's signature does not match", "signature")
        elif self._flags & _SIGNED:
            raise UnreadableEntry("the entry is not signed", "signature")
        if _checksum(bound, data, body) != checksum:
            raise UnreadableEntry("the entry is damaged, cut off, or of another key", "truncated")
        if flags & _COMPRESSION and self.largest is not None and header[-2] > self.largest:
            raise UnreadableEntry(f"the entry is {header[-2]} bytes when unpacked", "too_large")
        try:
            entry = _entry(_FORMS[form], header, data[begin:])
        except Exception as error:
            raise UnreadableEntry(f"the entry cannot be read: {error!r}", "truncated") from error
        entry.size = len(data)
        return entry

    def seal(self, witness: Witness) -> Witness:
        """A witness as keyed hashes (blake2b, 8 bytes), equal for equal identities."""
        return Witness(*self._seals(witness))

    def _seals(self, witness: Witness) -> list[bytes]:
        return [self._digest(repr(part).encode(), DIGEST_SIZE) for part in witness]

    def digest(self, witness: Witness) -> bytes:
        """One keyed hash of a whole witness, to find out at little cost that it is the same."""
        return self._digest(repr(tuple(witness)).encode(), DIGEST_SIZE)

    def _mac(self, bound: bytes, header: bytes, body: bytes | memoryview) -> bytes:
        """The MAC of an entry; the length of its key first, so that nothing moves in between."""
        mac = hashlib.blake2b(key=self._key, digest_size=_MAC_SIZE, person=b"entry")
        for part in (len(bound).to_bytes(4, "big"), bound, header, body):
            mac.update(part)
        return mac.digest()

    def _digest(self, data: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=size).digest()


def _checksum(bound: bytes, header: bytes, body: bytes | memoryview) -> int:
    """The CRC of a key, of a header without its own CRC at the end, and of the rest."""
    return zlib.crc32(body, zlib.crc32(memoryview(header)[: _HEADER.size - 4], zlib.crc32(bound)))


def _entry(form: Form, header: tuple[Any, ...], body: bytes) -> Entry:
    """An entry of its unpacked header and of what follows that."""
    flags, reads, _, created_at, expires_at, load_seconds, versions, vary, size, _ = header[3:]
    if not math.isfinite(created_at + expires_at + load_seconds):
        raise ValueError("its times are no numbers")
    begin = SEALED_SIZE if flags & _WITNESS else 0
    middle = begin + versions
    end = middle + vary
    return Entry(
        form,
        load_payload(form, _decompress(flags & _COMPRESSION, body[end:], size)),
        created_at=created_at,
        expires_at=expires_at,
        load_seconds=load_seconds,
        sealed=body[:begin],
        versions=_load_versions(body[begin:middle]) if versions else (),
        vary=tuple((name, value) for name, value in json.loads(body[middle:end])) if vary else (),
        reads=_READ_SETS[int(reads)],
    )


def _load_versions(data: bytes) -> tuple[str, ...]:
    """Texts, each behind a byte with its length."""
    found: list[str] = []
    place = 0
    while place < len(data):
        end = place + 1 + data[place]
        found.append(data[place + 1 : end].decode())
        place = end
    return tuple(found)


def _decompress(number: int, payload: bytes, size: int) -> bytes:
    if not number:
        return payload
    for compression in COMPRESSIONS.values():
        if compression.number == number:
            whole = compression.decompress(payload, size)
            if len(whole) != size:
                raise ValueError(f"it holds {len(whole)} bytes instead of {size}")
            return whole
    raise ValueError(f"there is no compression number {number}")


def _is_cachelibs(serializer: object) -> bool:
    """Whether a serializer is one of cachelib's own classes, all of which use pickle."""
    return type(serializer).__module__.partition(".")[0] == "cachelib"


def store_response(response: WerkzeugResponse) -> StoredResponse:
    """Status, headers and body of a response whose body has been buffered."""
    return StoredResponse(response.status, tuple(response.headers.items()), response.get_data())


def portable(value: Any) -> Any:
    """``value`` without what pickles badly: responses (alone or in a view's tuple), errors."""
    if isinstance(value, WerkzeugResponse):
        return store_response(value)
    if isinstance(value, HTTPException) and _is_standard(value):
        attributes = {name: portable(item) for name, item in vars(value).items()}
        return StoredError(type(value).__name__, attributes)
    if (
        is_tuple(value)
        and type(value) is tuple
        and any(isinstance(item, WerkzeugResponse) for item in value)
    ):
        return tuple(map(portable, value))
    return cast(Any, value)


def _is_standard(error: HTTPException) -> bool:
    return getattr(werkzeug.exceptions, type(error).__name__, None) is type(error)


def _dump_pickle(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _dump_json(value: Any) -> bytes:
    _refuse_lossy(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def _refuse_lossy(value: Any) -> None:
    """Raise for what JSON would turn into something else (a tuple, an integer as a key)."""
    kind = type(cast("object", value))
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                _refuse(f"a dictionary key of type {type(key).__qualname__}")
            _refuse_lossy(item)
    elif kind is list:
        for item in value:
            _refuse_lossy(item)
    elif kind not in (str, int, float, bool, type(None)):
        _refuse(kind.__qualname__)


def _refuse(what: str) -> NoReturn:
    raise TypeError(f"JSON cannot hold {what} and give it back unchanged")
