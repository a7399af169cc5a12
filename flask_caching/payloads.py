"""The bytes of an entry's payload: plain values and responses, without :mod:`pickle`."""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from .entry import Form, StoredResponse

__all__ = ["dump_payload", "dump_response", "load_payload", "load_response"]


def dump_payload(form: Form, payload: object) -> bytes:
    """The bytes of a payload; one that is bytes already stays as it is."""
    if form is Form.PLAIN:
        return _dump_plain(payload)
    if form is Form.RESPONSE:
        return dump_response(cast(StoredResponse, payload))
    return cast(bytes, payload)


def _dump_plain(value: Any) -> bytes:
    """A letter for the type, then the value."""
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


def load_payload(form: Form, data: bytes) -> Any:
    """The payload that :func:`dump_payload` made ``data`` of.

    Raises:
        Exception: Of whatever kind, if ``data`` is something else.
    """
    if form is Form.PLAIN:
        if data[:1] == b"s":
            return data[1:].decode("utf-8", "surrogatepass")
        if data[:1] == b"b":
            return data[1:]
        return _untag_plain(json.loads(data[1:]))
    if form is Form.RESPONSE:
        return load_response(data)
    return data


def dump_response(stored: StoredResponse) -> bytes:
    """A response as bytes: the length of its head, the head as JSON, the body as it is."""
    head = json.dumps([stored.status, stored.headers], separators=(",", ":")).encode()
    return struct.pack(">I", len(head)) + head + stored.body


def load_response(data: bytes) -> StoredResponse:
    """The response that :func:`dump_response` made ``data`` of."""
    (length,) = struct.unpack_from(">I", data)
    status, headers = json.loads(data[4 : 4 + length])
    return StoredResponse(
        status, tuple((name, value) for name, value in headers), data[4 + length :]
    )
