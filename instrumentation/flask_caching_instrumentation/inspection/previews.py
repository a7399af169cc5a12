"""Values made visible, without running anything of them.

Nothing here calls :mod:`pickle` or a serializer of the application's own: who can write to the
store could have chosen what they run. Text, numbers, JSON and responses are data.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final, cast

from werkzeug.http import parse_options_header

from flask_caching.entry import Entry, Form, StoredResponse

from .model import Preview
from .redacting import Redactor

__all__ = ["hidden", "nothing", "preview"]

#: Bytes, or characters, of a value that are shown.
_SHOWN: Final = 64 * 1024

#: Bytes of JSON that are read, to be shown with its fields in lines, and some of them hidden.
_PARSED: Final = 2 << 20

#: Content types, besides ``text/*``, whose bodies are text.
_TEXTUAL: Final = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/xml",
        "image/svg+xml",
    }
)

#: Character sets that are decoded: another name in a header may stand for any codec.
_CHARSETS: Final = frozenset({"ascii", "iso-8859-1", "latin-1", "us-ascii", "utf-8", "utf8"})

#: Bytes in a line of a hexadecimal dump.
_ROW: Final = 16

#: Tuples within tuples that are shown.
_DEEPEST: Final = 50

_UNPICKLED: Final = (
    "A pickle is a program: it is not run to be shown. Whoever needs to read it can do so in a "
    "shell, with cache.get()."
)
_CUSTOM: Final = (
    "It is stored by a serializer of the application's own, which is not asked to read it for a "
    "page."
)


def preview(entry: Entry, redactor: Redactor) -> Preview:
    """What there is to see of an entry's value."""
    if entry.form is Form.PLAIN:
        return _plain(entry.payload)
    if entry.form is Form.RESPONSE and isinstance(entry.payload, StoredResponse):
        return _response(entry.payload, redactor)
    data = entry.payload if isinstance(entry.payload, bytes) else b""
    if entry.form is Form.JSON:
        return _json(data, redactor)
    note = _UNPICKLED if entry.form is Form.PICKLE else _CUSTOM
    return Preview("pickle", "", len(data), 0, note=note)


def hidden(size: int) -> Preview:
    """The preview of a value that is not to be seen."""
    note = "CACHE_DEBUG_REDACT hides the values of keys like this one."
    return Preview("hidden", "", size, 0, note=note)


def nothing(note: str) -> Preview:
    """The preview of what cannot be seen."""
    return Preview("none", "", 0, 0, note=note)


def _plain(value: object) -> Preview:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return _bytes(value)
    return _text(_Bounded().write(value))


class _Bounded:
    """Writes a number, or a tuple of such, as Python does, until it is enough."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = _SHOWN

    def write(self, value: object) -> str:
        """The text, or the beginning of it."""
        self._add(value, _DEEPEST)
        return "".join(self._parts)

    def _put(self, text: str) -> None:
        self._parts.append(text[: max(self._left, 0)])
        self._left -= len(text)

    def _add(self, value: object, depth: int) -> None:
        if self._left <= 0:
            return
        if isinstance(value, tuple | frozenset):
            items = cast("Collection[object]", value)
            ends = "()" if isinstance(value, tuple) else "{}"
            self._put(ends[0])
            self._add_items(items, depth - 1)
            self._put("," + ends[1] if ends == "()" and len(items) == 1 else ends[1])
        elif isinstance(value, str | bytes):
            self._put(repr(value[: self._left]))
        elif isinstance(value, int) and abs(value) >= 1 << 4096:
            # Writing it in decimal takes the square of its length.
            self._put(f"<a number of {value.bit_length()} bits>")
        else:
            self._put(repr(value))

    def _add_items(self, items: Collection[object], depth: int) -> None:
        if not depth:
            self._put("...")
            return
        for number, item in enumerate(items):
            if self._left <= 0:
                return
            self._put(", " if number else "")
            self._add(item, depth)


def _text(text: str, size: int | None = None, note: str = "") -> Preview:
    whole = len(text.encode("utf-8", "surrogatepass")) if size is None else size
    shown = text[:_SHOWN]
    if len(shown) == len(text) and not note:
        return Preview("text", shown, whole, whole)
    part = len(shown.encode("utf-8", "surrogatepass"))
    return Preview("text", shown, whole, min(part, whole), note=note or _beginning(part))


def _beginning(shown: int) -> str:
    return f"Only the first {shown:,} bytes are shown."


def _bytes(data: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Preview:
    """A hexadecimal dump: offset, bytes, and what of them is printable."""
    # A byte takes four characters and a half.
    part = data[: _SHOWN // 4]
    lines: list[str] = []
    for start in range(0, len(part), _ROW):
        row = part[start : start + _ROW]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _ROW - 1}}  {text}")
    note = "" if len(part) == len(data) else _beginning(len(part))
    return Preview("bytes", "\n".join(lines), len(data), len(part), headers, note)


def _json(data: bytes, redactor: Redactor, headers: tuple[tuple[str, str], ...] = ()) -> Preview:
    """JSON with its fields in lines; not shown if it cannot be seen what has to be hidden."""
    why = "It is too large to be taken apart"
    if len(data) <= _PARSED:
        try:
            shown = json.dumps(redactor.tree(json.loads(data)), indent=2, ensure_ascii=False)
        except RecursionError:
            why = "It is nested too deep to be taken apart"
        except ValueError:
            why = "It cannot be read as JSON"
        else:
            return _lines(shown, len(data), headers)
    if not redactor.hides_nothing:
        note = f"{why}, so that fields could not be hidden (CACHE_DEBUG_REDACT)."
        return Preview("none", "", len(data), 0, headers, note)
    part = data[:_SHOWN]
    note = f"{why}. " + (_beginning(len(part)) if len(part) < len(data) else "")
    text = part.decode("utf-8", "replace")
    return Preview("text", text, len(data), len(part), headers, note.strip())


def _lines(shown: str, size: int, headers: tuple[tuple[str, str], ...]) -> Preview:
    """JSON that was put into lines, or the beginning of it."""
    if len(shown) <= _SHOWN:
        return Preview("json", shown, size, size, headers)
    part = shown[:_SHOWN]
    seen = min(len(part.encode("utf-8", "replace")), size)
    note = f"Only the first {len(part):,} characters are shown."
    return Preview("json", part, size, seen, headers, note)


def _response(stored: StoredResponse, redactor: Redactor) -> Preview:
    names = {name.lower(): value for name, value in stored.headers}
    headers = (("Status", stored.status), *redactor.pairs(stored.headers))
    kind, options = parse_options_header(names.get("content-type", ""))
    kind = kind.strip().lower()
    encoded = names.get("content-encoding", "identity").strip().lower() != "identity"
    is_json = kind == "application/json" or kind.endswith("+json")
    if encoded or not (is_json or _is_textual(kind)):
        return _bytes(stored.body, headers)
    if is_json:
        return _json(stored.body, redactor, headers)
    charset = options.get("charset", "utf-8").lower()
    part = stored.body[:_SHOWN]
    text = part.decode(charset if charset in _CHARSETS else "utf-8", "replace")
    note = "" if len(part) == len(stored.body) else _beginning(len(part))
    return Preview("text", text, len(stored.body), len(part), headers, note)


def _is_textual(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXTUAL or kind.endswith("+xml")
