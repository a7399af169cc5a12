"""Codecs: between a value and an entry's snapshot, and between an entry and bytes.

Two steps, because a store in memory needs only the first:

- :meth:`Codec.freeze` turns a value into a snapshot that shares nothing mutable with it, and
  :meth:`Codec.thaw` makes a fresh value of a snapshot, one for each reader;
- :meth:`Codec.dumps` and :meth:`Codec.loads` turn an entry into bytes and back.

Text, bytes, numbers, ``None``, tuples of them, and responses never touch :mod:`pickle`,
whichever serializer is chosen. An object that the application brings as serializer is the
exception: it is given everything but ``None`` and whole numbers, since it may be there to encrypt.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, cast

import werkzeug.exceptions
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .entry import Entry, Form, StoredError, StoredItems, StoredResponse, Witness
from .errors import SerializationError, UnreadableEntry
from .typing import is_tuple

__all__ = ["MAGIC", "Codec", "Serializer", "is_immutable"]

MAGIC = b"\xfcFC"
_VERSION = 1
#: magic, version, form, fingerprint of the secret, length of the metadata, CRC of all the rest
_HEADER = struct.Struct(">3sBB4sII")
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
        serializer: ``"pickle"``, ``"signed"`` (pickle under a MAC), ``"json"``, or an object
            with ``dumps`` and ``loads``.
        secret: The application's secret: the key of witnesses and MACs.
        response_class: Makes the responses that are read back; called with body, status and
            headers.
    """

    def __init__(
        self,
        serializer: str | Serializer = "pickle",
        secret: bytes = b"",
        response_class: Callable[..., WerkzeugResponse] = WerkzeugResponse,
    ) -> None:
        self.serializer = serializer
        self.response_class = response_class
        self._key = hashlib.blake2b(secret, person=b"flask-caching").digest()
        self._fingerprint = self._digest(b"fingerprint", 4)

    # Value and snapshot.

    def freeze(self, value: Any) -> tuple[Form, Any]:
        """Take a snapshot of ``value``.

        Raises:
            SerializationError: If the serializer cannot hold the value.
        """
        kind = type(cast("object", value))
        if not isinstance(self.serializer, str) and kind is not int and value is not None:
            return Form.CUSTOM, self._dump(self.serializer.dumps, portable(value))
        if kind in _IMMUTABLE or is_immutable(value):
            return Form.PLAIN, value
        if isinstance(value, WerkzeugResponse):
            return Form.RESPONSE, store_response(value)
        if self.serializer == "json":
            return Form.JSON, self._dump(_dump_json, value)
        data = self._dump(_dump_pickle, portable(value))
        if self.serializer == "signed":
            return Form.SIGNED, self._mac(data) + data
        return Form.PICKLE, data

    def thaw(self, entry: Entry) -> Any:
        """A fresh value of an entry's snapshot.

        Raises:
            UnreadableEntry: If the snapshot cannot be turned into a value.
        """
        form = entry.form
        if form is Form.PLAIN:
            return entry.payload
        if form is Form.RESPONSE:
            return self._response(entry.payload)
        return self._load(form, entry.payload)

    def _load(self, form: Form, payload: Any) -> Any:
        try:
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
        if form is Form.PICKLE and self.serializer == "pickle":
            return pickle.loads(payload)
        if form is Form.SIGNED and self.serializer in ("pickle", "signed"):
            data = payload[_MAC_SIZE:]
            if not hmac.compare_digest(payload[:_MAC_SIZE], self._mac(data)):
                raise UnreadableEntry("the entry's signature does not match", "signature")
            return pickle.loads(data)
        if form is Form.JSON:
            return json.loads(payload)
        if form is Form.CUSTOM and not isinstance(self.serializer, str):
            value = self.serializer.loads(payload)
            if value is None:
                # ``None`` was never given to it; cachelib's return it for what they cannot read.
                raise UnreadableEntry("the serializer found nothing in the entry", "value")
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

    def dumps(self, entry: Entry) -> bytes:
        """The byte form of an entry: a header, the metadata as JSON, the payload.

        Raises:
            SerializationError: If the metadata or the payload cannot be written.
        """
        try:
            metadata, payload = self._dump_metadata(entry), self._dump_payload(entry)
        except Exception as error:
            raise SerializationError(f"the entry cannot be written: {error!r}") from error
        body = metadata + payload
        fields = (MAGIC, _VERSION, entry.form, self._fingerprint, len(metadata))
        header = _HEADER.pack(*fields, 0)
        return _HEADER.pack(*fields, _checksum(header, body)) + body

    def _dump_metadata(self, entry: Entry) -> bytes:
        witness = entry.witness
        if witness is not None and not entry.sealed:
            witness = self.seal(witness)
        return json.dumps(
            {
                "created": entry.created_at,
                "expires": entry.expires_at,
                "load": entry.load_seconds,
                "witness": witness,
                "versions": entry.versions,
                "vary": entry.vary,
                "reads": sorted(entry.reads),
            },
            separators=(",", ":"),
        ).encode()

    def loads(self, data: bytes) -> Entry:
        """The entry in ``data``.

        Raises:
            UnreadableEntry: If it is not one that this application wrote, or is cut off.
        """
        if len(data) < _HEADER.size or not data.startswith(MAGIC):
            raise UnreadableEntry("not an entry of Flask-Caching 3", "foreign")
        _, version, form, fingerprint, length, checksum = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise UnreadableEntry(f"an entry of format {version}, not {_VERSION}", "version")
        if fingerprint != self._fingerprint:
            raise UnreadableEntry("an entry made under another SECRET_KEY", "secret")
        if _checksum(data, memoryview(data)[_HEADER.size :]) != checksum:
            raise UnreadableEntry("the entry is cut off or damaged", "truncated")
        end = _HEADER.size + length
        try:
            fields = json.loads(data[_HEADER.size : end])
            tag = Form(form)
            witness = fields["witness"]
            return Entry(
                tag,
                _load_payload(tag, data[end:]),
                created_at=fields["created"],
                expires_at=fields["expires"],
                load_seconds=fields["load"],
                witness=None if witness is None else Witness(*witness),
                sealed=witness is not None,
                versions=tuple(fields["versions"]),
                vary=tuple((name, value) for name, value in fields["vary"]),
                reads=frozenset(fields["reads"]),
            )
        except UnreadableEntry:
            raise
        except Exception as error:
            raise UnreadableEntry(f"the entry cannot be read: {error!r}", "truncated") from error

    def seal(self, witness: Witness) -> Witness:
        """A witness as keyed hashes (blake2b, 8 bytes, hex), equal for equal identities."""
        return Witness(*(self._digest(repr(part).encode(), 8).hex() for part in witness))

    def _dump_payload(self, entry: Entry) -> bytes:
        payload = entry.payload
        if entry.form is Form.PLAIN:
            return _dump_plain(payload)
        if entry.form is Form.RESPONSE:
            stored = cast(StoredResponse, payload)
            head = json.dumps([stored.status, stored.headers], separators=(",", ":")).encode()
            return struct.pack(">I", len(head)) + head + stored.body
        return cast(bytes, payload)

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")

    def _digest(self, data: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=size).digest()


def _checksum(header: bytes, body: bytes | memoryview) -> int:
    """The CRC of a header, without its own CRC at the end, and of what follows it."""
    return zlib.crc32(body, zlib.crc32(memoryview(header)[: _HEADER.size - 4]))


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


# The byte form of PLAIN payloads: a letter for the type, then the value.


def _dump_plain(value: Any) -> bytes:
    if type(value) is str:
        return b"s" + value.encode("utf-8", "surrogatepass")
    if type(value) is bytes:
        return b"b" + value
    return b"j" + json.dumps(_tag_plain(value), separators=(",", ":")).encode()


def _tag_plain(value: Any) -> Any:
    """A JSON form of an immutable value that keeps its types apart."""
    kind = type(cast("object", value))
    if kind is int and not -(2**63) <= value < 2**63:
        # In hexadecimal: how long a decimal number may be is limited.
        return {"int": hex(value)}
    if kind in (int, bool, type(None)):
        return value
    if kind is float or kind is complex:
        return {kind.__name__: repr(value)}
    if kind is str:
        return {"str": value}
    if kind is bytes:
        return {"bytes": value.hex()}
    return {kind.__name__: [_tag_plain(item) for item in value]}


def _untag_plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = cast("dict[str, Any]", value).items()
    if kind == "str":
        return content
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "int":
        return int(content, 16)
    if kind in ("float", "complex"):
        return {"float": float, "complex": complex}[kind](content)
    return {"tuple": tuple, "frozenset": frozenset}[kind](map(_untag_plain, content))


def _load_payload(form: Form, data: bytes) -> Any:
    if form is Form.PLAIN:
        if data[:1] == b"s":
            return data[1:].decode("utf-8", "surrogatepass")
        if data[:1] == b"b":
            return data[1:]
        return _untag_plain(json.loads(data[1:]))
    if form is Form.RESPONSE:
        (length,) = struct.unpack_from(">I", data)
        status, headers = json.loads(data[4 : 4 + length])
        return StoredResponse(
            status, tuple((name, value) for name, value in headers), data[4 + length :]
        )
    return data
