"""Which responses may be stored, and why not; ``CachedResponse``.

By default a response is refused when another visitor must not, or should not, get it again:
it sets a cookie, says ``no-store`` or ``private``, varies on everything, carries a status that
speaks of this one request or of a passing condition, or streams more than the limit.
A ``response_filter`` decides in place of these rules, cookies excepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from flask import Response
from werkzeug.datastructures import Headers, ResponseCacheControl
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_cache_control_header, parse_set_header
from werkzeug.wrappers import Response as WerkzeugResponse

from .entry import StoredItems
from .typing import Timeout, is_iterator, is_tuple
from .utils import normalize_timeout

__all__ = ["Admission", "CachedResponse", "admit", "admit_value"]

#: Statuses not stored: about the one who asks (401, 403, 407), about what the request's own
#: conditions or range were (206, 304, 412, 416), or about a passing state (408, 425, 429).
#: Every 1xx and 5xx is refused as well.
REFUSED_STATUSES = frozenset({206, 304, 401, 403, 407, 408, 412, 416, 425, 429})

#: Streams without an end that a reader waits for: never buffered.
ENDLESS_TYPES = frozenset({"text/event-stream", "multipart/x-mixed-replace"})

#: Items of a generator that are gathered before it is given up as too large.
ITEM_LIMIT = 100_000


class CachedResponse(Response):
    """A response that says itself how long it may be cached.

    Args:
        response: The response to send. Its state is taken over, not copied.
        timeout: Seconds or a ``timedelta``; ``0`` never expires, ``None`` leaves it to the
            decorator.
    """

    timeout: float | None = None

    def __init__(self, response: Response, timeout: Timeout) -> None:
        # Not Response.__init__: it would encode and wrap the body anew.
        self.__dict__ = response.__dict__
        self.timeout = normalize_timeout(timeout)


class Admission(NamedTuple):
    """Whether a value may be stored.

    Attributes:
        value: The value to go on with; a stream that was read to look at it is replaced.
        reason: Why it is refused, one word for a counter; empty if it may be stored.
        vary: Request headers that the response says it varies on.
        timeout: The response's own timeout, or ``None``.
        snapshot: What to store where that is not the value itself; else ``None``.
    """

    value: Any
    reason: str = ""
    vary: tuple[str, ...] = ()
    timeout: float | None = None
    snapshot: Any = None


class _Facts(NamedTuple):
    status: int
    headers: Headers
    response: WerkzeugResponse | None


def admit(
    value: Any,
    *,
    response_filter: Callable[[Any], Any] | None = None,
    store_cookies: bool = False,
    stream_limit: int = 1 << 20,
) -> Admission:
    """Decide whether what a view returned (or raised) may be stored.

    Args:
        value: A return value in any form Flask takes, or an ``HTTPException``.
        response_filter: The application's own decision, given the value; for an exception,
            its response.
        store_cookies: Whether a response with Set-Cookie may be stored.
        stream_limit: Bytes up to which a streamed body is buffered.
    """
    facts = _facts_of(value)
    reason = _cookie_reason(facts, store_cookies)
    if response_filter is None:
        reason = reason or _refusal(facts)
    # What is refused is not buffered, which gives up sending the body while it is being made.
    if not reason:
        value, reason = _without_generator(value, facts, stream_limit)
    if response_filter is not None:
        shown = facts.response if isinstance(value, HTTPException) else value
        if not response_filter(shown):
            reason = reason or "filter"
    if facts.response is not None and not reason:
        reason = buffer_response(facts.response, _mimetype(facts), stream_limit)
    vary = tuple(sorted(parse_set_header(", ".join(facts.headers.getlist("Vary"))).as_set()))
    timeout = value.timeout if isinstance(value, CachedResponse) else None
    if timeout is None and isinstance(facts.response, CachedResponse):
        timeout = facts.response.timeout
    return Admission(value, reason, vary, timeout)


def admit_value(
    value: Any,
    *,
    response_filter: Callable[[Any], Any] | None = None,
    store_cookies: bool = False,
    stream_limit: int = 1 << 20,
) -> Admission:
    """:func:`admit` for a function that is not a view: whatever it returns, but for responses.

    A generator is gathered and stored as its items; every caller gets an iterator of its own.
    """
    if inspect.isgenerator(value):
        items, rest = buffer_iterator(value, stream_limit)
        if rest is not None:
            return Admission(rest, "too_large")
        refused = response_filter is not None and not response_filter(list(items))
        return Admission(iter(items), "filter" if refused else "", snapshot=StoredItems(items))
    if isinstance(_body_of(value), WerkzeugResponse | HTTPException):
        admission = admit(
            value,
            response_filter=response_filter,
            store_cookies=store_cookies,
            stream_limit=stream_limit,
        )
        # No request belongs to the entry, whose headers could select it.
        varies = bool(admission.vary) and not admission.reason
        return admission._replace(reason="vary") if varies else admission
    refused = response_filter is not None and not response_filter(value)
    return Admission(value, "filter" if refused else "")


def _facts_of(value: Any) -> _Facts:
    """Status and headers of a view's return value, without building its response."""
    if isinstance(value, HTTPException):
        response = value.get_response()
        return _Facts(response.status_code, response.headers, response)
    if isinstance(value, WerkzeugResponse):
        return _Facts(value.status_code, value.headers, value)
    items = _items_of(value)
    if len(items) not in (2, 3):
        return _Facts(200, Headers(), None)
    status, headers = 200, Headers()
    wrapped = items[0] if isinstance(items[0], WerkzeugResponse) else None
    if wrapped is not None:
        status, headers = wrapped.status_code, Headers(wrapped.headers)
    for item in items[1:]:
        if isinstance(item, int):
            status = int(item)
        elif isinstance(item, str):
            status = _leading_number(item)
        elif item is not None:
            headers.update(item)
    return _Facts(status, headers, wrapped)


def _leading_number(status: str) -> int:
    code = status.split(None, 1)[0] if status.strip() else ""
    return int(code) if code.isdigit() else 0


def _cookie_reason(facts: _Facts, store_cookies: bool) -> str:
    return "set_cookie" if "Set-Cookie" in facts.headers and not store_cookies else ""


def _refusal(facts: _Facts) -> str:
    """Why the default rules refuse a response; empty if they do not."""
    status, headers = facts.status, facts.headers
    if status in REFUSED_STATUSES or status < 200 or status >= 500:
        return "status"
    # In lower case: names of directives have no case (RFC 9111 section 5.2).
    control = parse_cache_control_header(
        ", ".join(headers.getlist("Cache-Control")).lower(), cls=ResponseCacheControl
    )
    if "no-store" in control:
        return "no_store"
    if "private" in control:
        return "private"
    if any("*" in line for line in headers.getlist("Vary")):
        return "vary_any"
    return ""


def _mimetype(facts: _Facts) -> str:
    return facts.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _without_generator(value: Any, facts: _Facts, limit: int) -> tuple[Any, str]:
    """A view's return value with a generator joined, and why that was given up if it was."""
    body = _body_of(value)
    if not is_iterator(body):
        return value, ""
    if _mimetype(facts) in ENDLESS_TYPES:
        return value, "streamed"
    joined, reason = _join(*buffer_iterator(body, limit))
    return (joined, *_items_of(value)[1:]) if body is not value else joined, reason


def _items_of(value: Any) -> tuple[Any, ...]:
    """A view's ``(body, status, headers)``; nothing for any other value."""
    return value if is_tuple(value) else ()


def _body_of(value: Any) -> Any:
    """The body of what a view returned, alone or in a tuple."""
    items = _items_of(value)
    return items[0] if items else value


def buffer_response(response: Any, mimetype: str, limit: int) -> str:
    """Read a streamed response into memory. Returns why that was not done; empty if it was."""
    if not response.is_streamed and not response.direct_passthrough:
        return ""
    if mimetype in ENDLESS_TYPES:
        return "streamed"
    if (response.content_length or 0) > limit:
        return "too_large"
    source = response.response
    chunks, rest = buffer_iterator(iter(source), limit)
    if rest is not None:
        response.response = rest
        if hasattr(source, "close"):
            response.call_on_close(source.close)
        return "too_large"
    body = b"".join(chunk.encode() if isinstance(chunk, str) else chunk for chunk in chunks)
    response.direct_passthrough = False
    response.set_data(body)
    if hasattr(source, "close"):
        source.close()
    return ""


def buffer_iterator(iterator: Iterator[Any], limit: int) -> tuple[list[Any], Iterator[Any] | None]:
    """Gather an iterator's items.

    Args:
        iterator: What to read.
        limit: Bytes (characters of text) to read at most; other items count one each, up to
            :data:`ITEM_LIMIT`.

    Returns:
        The items, and ``None`` if that was all of them; else an iterator over everything,
        the items read so far included.
    """
    items: list[Any] = []
    size = 0
    for item in iterator:
        items.append(item)
        size += len(item) if isinstance(item, str | bytes) else 0
        if size > limit or len(items) > ITEM_LIMIT:
            return items, _rejoined(items, iterator)
    return items, None


def _rejoined(items: Iterable[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Everything a half-read iterator gives; closes it when it is closed itself."""
    try:
        yield from chain(items, rest)
    finally:
        close = getattr(rest, "close", None)
        if close is not None:
            close()


def _join(items: list[Any], rest: Iterator[Any] | None) -> tuple[Any, str]:
    """The body that Flask would send for a streaming view's generator."""
    if rest is not None:
        return rest, "too_large"
    if all(isinstance(item, str) for item in items):
        return "".join(items), ""
    return b"".join(item.encode() if isinstance(item, str) else item for item in items), ""
