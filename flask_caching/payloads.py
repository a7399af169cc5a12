"""The bytes of an entry's payload: plain values and responses, without :mod:`pickle`."""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from .entry import Form, StoredResponse

__all__ = ["dump_payload", "dump_response", "load_payload", "load_response"]

#: What a plain value's bytes begin with: UTF-8, bytes, decimal digits, else JSON.
_TEXT, _BYTES, _NUMBER = b"sbi"
#: Bytes from which on a copy takes longer than not making it.
_LARGE = 8192
#: Before the head of a response: its length.
_LENGTH = struct.Struct(">I")


def dump_payload(form: Form, payload: object) -> tuple[bytes, ...]:
    """The bytes of a payload, in parts, so that a large one is not copied to be put together."""
    if form is Form.PLAIN:
        return _dump_plain(payload)
    if form is Form.RESPONSE:
        return dump_response(cast(StoredResponse, payload))
    return (cast(bytes, payload),)


def _dump_plain(value: Any) -> tuple[bytes, ...]:
    """A letter for the type, and the value."""
    kind = type(cast("object", value))
    if kind is str:
        return b"s", value.encode("utf-8", "surrogatepass")
    if kind is bytes:
        return b"b", value
    if kind is int and -(2**63) <= value < 2**63:
        return (b"i%d" % value,)
    return b"j", json.dumps(_tag_plain(value), separators=(",", ":")).encode()


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


def load_payload(form: Form, data: bytes, begin: int, end: int) -> Any:
    """The payload that :func:`dump_payload` made of it, found between two places in ``data``.

    Raises:
        Exception: Of whatever kind, if it is something else.
    """
    if form is Form.PLAIN:
        kind, begin = data[begin], begin + 1
        if kind == _TEXT:
            # A view saves the copy of a large text, and takes longer for a small one.
            text = data[begin:end] if len(data) < _LARGE else memoryview(data)[begin:end]
            return str(text, "utf-8", "surrogatepass")
        if kind == _BYTES:
            return data[begin:end]
        if kind == _NUMBER:
            return int(data[begin:end])
        return _untag_plain(json.loads(data[begin:end]))
    if form is Form.RESPONSE:
        return load_response(data, begin, end)
    return data[begin:end]


def dump_response(stored: StoredResponse) -> tuple[bytes, ...]:
    """A response as bytes, in parts: the length of its head, the head, the body as it is.

    The head is the status, and names and values in turn, each on a line. One that has such a
    line's end in it is JSON.
    """
    lines = [stored.status]
    for header in stored.headers:
        lines += header
    head = "\n".join(lines)
    if head.count("\n") >= len(lines) or head.startswith("["):
        head = json.dumps([stored.status, stored.headers], separators=(",", ":"))
    data = head.encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(data)), data, stored.body


def load_response(data: bytes, begin: int, end: int) -> StoredResponse:
    """The response that :func:`dump_response` made of it, between two places in ``data``."""
    (length,) = _LENGTH.unpack_from(data, begin)
    begin += _LENGTH.size
    middle = begin + length
    head = data[begin:middle].decode("utf-8", "surrogatepass")
    body = data[middle:end]
    if head.startswith("["):
        status, headers = json.loads(head)
        return StoredResponse(status, tuple((name, value) for name, value in headers), body)
    status, *lines = head.split("\n")
    return StoredResponse(status, tuple(zip(lines[::2], lines[1::2], strict=True)), body)
