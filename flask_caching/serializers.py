"""Codecs: between a value and an entry's snapshot, and between an entry and bytes.

Two steps, because a store in memory needs only the first:

- :meth:`Codec.freeze` turns a value into a snapshot that shares nothing mutable with it, and
  :meth:`Codec.thaw` makes a fresh value of a snapshot, one for each reader;
- :meth:`~flask_caching.byteform.ByteForm.dumps` and ``loads`` turn an entry into bytes and back.

Text, bytes, numbers, ``None``, tuples of them, and responses never touch :mod:`pickle`,
whichever serializer is chosen. An object that the application brings as serializer is given
everything but ``None`` and whole numbers, since it may be there to encrypt: a response as the bytes
of its byte form, or as text if it takes no bytes. One of cachelib's own, which pickle whatever
they are given, gets only what the others would pickle.
"""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, cast

import werkzeug.exceptions
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .byteform import ByteForm
from .entry import (
    Entry,
    Form,
    StoredError,
    StoredItems,
    StoredResponse,
)
from .errors import SerializationError, UnreadableEntry
from .payloads import dump_response, load_response
from .typing import is_tuple

__all__ = ["Codec", "Serializer", "is_immutable"]

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


class Codec(ByteForm):
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
    """

    def __init__(
        self,
        serializer: str | Serializer = "pickle",
        secret: bytes = b"",
        response_class: Callable[..., WerkzeugResponse] = WerkzeugResponse,
        compression: str | None = None,
        compression_threshold: int = 1024,
    ) -> None:
        super().__init__(secret, serializer == "signed", compression, compression_threshold)
        self.serializer = serializer
        self.response_class = response_class
        self._pickles = serializer in ("pickle", "signed")
        #: Whether the serializer object is given text, bytes and responses too.
        self._takes_all = not isinstance(serializer, str) and not _is_cachelibs(serializer)

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
        data = b"".join(dump_response(store_response(value)))
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
                data: bytes = base64.b64decode(value) if type(value) is str else value
                return load_response(data, 0, len(data))
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
