"""The bytes of an entry's payload: plain values and responses, without :mod:`pickle`.

They are a head and a body. The body is what may be large, as it is: the application's own bytes,
or what they are decoded or unpickled of.
"""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from .entry import Form, StoredResponse

__all__ = [
    "dump_payload",
    "dump_response",
    "head_size",
    "load_payload",
    "load_response",
]

#: What a plain value's bytes begin with: UTF-8, bytes, decimal digits, else JSON.
_TEXT, _BYTES, _NUMBER = b"sbi"
#: Bytes from which on a copy takes longer than not making it.
_LARGE = 8192
#: Before the head of a response: its length.
_LENGTH = struct.Struct(">I")


def dump_payload(form: Form, payload: object) -> tuple[bytes, bytes]:
    """The head and the body of a payload."""
    if form is Form.PLAIN:
        return _dump_plain(payload)
    if form is Form.RESPONSE:
        return dump_response(cast(StoredResponse, payload))
    return b"", cast(bytes, payload)


def _dump_plain(value: Any) -> tuple[bytes, bytes]:
    """A letter for the type, and the value."""
    kind = type(cast("object", value))
    if kind is str:
        return b"s", value.encode("utf-8", "surrogatepass")
    if kind is bytes:
        return b"b", value
    if kind is int and -(2**63) <= value < 2**63:
        return b"i%d" % value, b""
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


def load_payload(form: Form, data: bytes, begin: int, end: int, body: bytes = b"") -> Any:
    """The payload that :func:`dump_payload` made of it.

    Args:
        form: Its form.
        data: Where it is, between other things.
        begin: The place in ``data`` where it begins.
        end: The place where it ends.
        body: Its body, if there is only the head in ``data``. It is not copied any more.

    Raises:
        Exception: Of whatever kind, if it is something else.
    """
    if form is Form.PLAIN:
        kind, begin = data[begin], begin + 1
        if kind == _TEXT:
            # A view saves the copy of a large text, and takes longer for a small one.
            text = data[begin:end] if len(data) < _LARGE else memoryview(data)[begin:end]
            return str(body or text, "utf-8", "surrogatepass")
        if kind == _BYTES:
            return body or data[begin:end]
        if kind == _NUMBER:
            return int(data[begin:end])
        return _untag_plain(json.loads(body or data[begin:end]))
    if form is Form.RESPONSE:
        return load_response(data, begin, end, body)
    return body or data[begin:end]


def head_size(form: Form, data: bytes, begin: int) -> int:
    """Bytes of the head of a payload that begins at a place in ``data``.

    Raises:
        struct.error: If ``data`` is not enough to tell.
    """
    if form is Form.PLAIN:
        return 1
    if form is Form.RESPONSE:
        (length,) = _LENGTH.unpack_from(data, begin)
        return _LENGTH.size + int(length)
    return 0


def dump_response(stored: StoredResponse) -> tuple[bytes, bytes]:
    """A response as bytes: its head, and behind it the body as it is.

    The head is a length, and of that length the status, and names and values in turn, each on a
    line. One that has such a line's end in it is JSON.
    """
    lines = [stored.status]
    for header in stored.headers:
        lines += header
    head = "\n".join(lines)
    if head.count("\n") >= len(lines) or head.startswith("["):
        head = json.dumps([stored.status, stored.headers], separators=(",", ":"))
    data = head.encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(data)) + data, stored.body


def load_response(data: bytes, begin: int, end: int, body: bytes = b"") -> StoredResponse:
    """The response that :func:`dump_response` made of it; as :func:`load_payload`."""
    (length,) = _LENGTH.unpack_from(data, begin)
    begin += _LENGTH.size
    middle = begin + length
    head = data[begin:middle].decode("utf-8", "surrogatepass")
    body = body or data[middle:end]
    if head.startswith("["):
        status, headers = json.loads(head)
        return StoredResponse(status, tuple((name, value) for name, value in headers), body)
    status, *lines = head.split("\n")
    return StoredResponse(status, tuple(zip(lines[::2], lines[1::2], strict=True)), body)
