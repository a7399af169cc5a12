"""Inputs of a request, and requests that differ in one of them.

An input has the name that the recorder gives it: ``query:page``, ``header:Accept``,
``session:user``, ``host``, ... Several values are tried of each: a key maker may know only two
languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from .asking import MadeUp
from .clues import Clues
from .logins import USER
from .persons import ASKERS, Person

__all__ = ["described", "is_input", "variations"]

#: A name that no application has, for "whatever it is called".
UNKNOWN: Final = "audit"

#: Values of one input, at most.
_LIMIT: Final = 16

_VALUES: Final = ("1", "2", "57", "a", "b", "true", "en", "de", "dark")

#: Values of headers that key makers look into.
_HEADERS: Final[dict[str, Sequence[str]]] = {
    "accept": ("text/html", "application/json", "application/xml", "text/plain", "text/csv"),
    "accept-language": ("en", "de", "fr", "es", "it", "pt", "ja", "zh", "nl", "pl"),
    "accept-encoding": ("gzip", "br", "identity"),
    "user-agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1)",
        "curl/8.0",
    ),
    "authorization": ("Bearer 1", "Bearer 2", "Basic YTph", "Basic Yjpi"),
    "x-requested-with": ("XMLHttpRequest", "fetch"),
    "x-forwarded-for": ("192.0.2.1", "198.51.100.1"),
    "x-forwarded-proto": ("http", "https"),
    "referer": ("http://localhost/a", "http://example.org/b"),
    "origin": ("http://localhost", "http://example.org"),
}

#: Headers that say how to answer, not what: for conditional and partial responses, for caches on
#: the way, and the numbers under which a request is traced.
_NO_INPUTS: Final = frozenset(
    (
        *("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"),
        *("range", "cache-control", "pragma", "connection", "content-length", "te", "upgrade"),
        *("traceparent", "tracestate", "baggage", "b3", "x-request-id", "x-correlation-id"),
        *("x-amzn-trace-id", "x-cloud-trace-context"),
    )
)

_SAFE: Final = ("GET", "HEAD")


def is_input(name: str, method: str) -> bool:
    """Whether an input that was read can make a difference to the answer of a request.

    Args:
        name: The input.
        method: The request's method.
    """
    kind, _, detail = name.partition(":")
    if kind in ("scheme", "root"):
        # Of links, mostly; who serves below several roots has a prefix for each.
        return False
    if kind == "header":
        if detail.lower() == "content-type":
            return method not in _SAFE
        return detail.lower() not in _NO_INPUTS
    if kind in ("form", "files", "body"):
        return method not in _SAFE
    if kind in ("g", "request"):
        return detail in ASKERS
    if kind == "environ":
        return detail.startswith("SSL_CLIENT")
    return True


def variations(name: str, base: MadeUp, clues: Clues, methods: Iterable[str] = ()) -> list[MadeUp]:
    """Requests that differ in one input only; the first has the base's value of it.

    Args:
        name: The input.
        base: The request to vary.
        clues: Of the code that makes the key, for values that it knows.
        methods: Request methods that the view is served for.

    Returns:
        At least two; none for an input that is not known.
    """
    kind, _, detail = name.partition(":")
    values = _values(clues)
    if kind == "header":
        return _headers(detail, base, clues)
    if kind == "query":
        named = detail or UNKNOWN
        return [base, *(base.with_query((named, value)) for value in values)]
    if kind == "query_order":
        orders = [("1", "2"), ("2", "1")]
        return [base.with_query(*((detail, value) for value in order)) for order in orders]
    if kind in ("cookie", "cookies"):
        tokens = filter(_is_token, values)
        return [base, *(base.with_cookies((detail or UNKNOWN, value)) for value in tokens)]
    if kind == "session":
        objects = _objects(values)
        return [base, *(base.with_session((detail or UNKNOWN, value)) for value in objects)]
    if kind == "g":
        people: list[Any] = [Person(1), Person(2), *([] if name == USER else values)]
        return [base, *(base.with_globals((detail, value)) for value in people)]
    return _others(kind, detail, base, methods, values)


def _others(
    kind: str, detail: str, base: MadeUp, methods: Iterable[str], values: Sequence[str]
) -> list[MadeUp]:
    """Requests that differ in where they go, by which method, from whom, or with what body."""
    if kind == "headers":
        return [base, *(base.with_headers(("X-Audit", value)) for value in ("1", "2"))]
    if kind == "method":
        others = [method for method in methods if method not in (base.method, *_SAFE)]
        return [base, *(replace(base, method=method) for method in others)] if others else []
    if kind == "host":
        if not base.url.startswith("/"):
            # The route is for one host.
            return []
        hosts = ("one.example", "two.example")
        return [base, *(replace(base, url=f"http://{host}{base.url}") for host in hosts)]
    if kind == "root":
        return [base, replace(base, root="/below")]
    if kind == "remote_addr":
        peers = ("192.0.2.1", "198.51.100.1")
        return [base, *(_with_environ(base, "REMOTE_ADDR", peer) for peer in peers)]
    if kind in ("remote_user", "environ"):
        variable = detail or "REMOTE_USER"
        return [base, *(_with_environ(base, variable, value) for value in ("one", "two"))]
    if kind == "request":
        people = ((detail, Person(number)) for number in (1, 2))
        return [replace(base, attributes=(*base.attributes, person)) for person in people]
    if kind == "form":
        fields = [(detail or UNKNOWN, value) for value in values]
        return [base, *(replace(base, fields=(*base.fields, field)) for field in fields)]
    if kind in ("body", "files"):
        bodies = ("one", "two", '{"a": 1}')
        return [replace(base, body=body, content_type="text/plain") for body in bodies]
    return []


def _values(clues: Clues) -> list[str]:
    """Values to try: some that are common, and the constants of the code."""
    known = [text for text in clues.texts if text.isprintable()]
    known += [str(number) for number in clues.numbers]
    return list(dict.fromkeys([*_VALUES[:3], *known, *_VALUES[3:]]))[:_LIMIT]


def _objects(values: Sequence[str]) -> list[Any]:
    """What a session may hold: texts, numbers, dictionaries, lists."""
    several = ({"id": 1, "name": "a"}, {"id": 2, "name": "b"}, ["a"], ["b"])
    return [*values[:6], 1, 2, True, *several]


def _headers(name: str, base: MadeUp, clues: Clues) -> list[MadeUp]:
    values = [*_HEADERS.get(name.lower(), ()), *_values(clues)]
    sent = [value for value in dict.fromkeys(values) if value.isascii()]
    return [base, *(base.with_headers((name, value)) for value in sent[:_LIMIT])]


def _with_environ(base: MadeUp, name: str, value: str) -> MadeUp:
    return replace(base, environ=(*base.environ, (name, value)))


def _is_token(value: str) -> bool:
    """Whether a text can be a cookie's value as it is."""
    return value.isascii() and all(letter.isalnum() or letter in "_-." for letter in value)


_KINDS: Final = {
    "query": "the query parameter {!r}",
    "query_order": "the order of the query parameters {!r}",
    "header": "the header {}",
    "cookie": "the cookie {!r}",
    "session": "session[{!r}]",
    "g": "g.{}",
    "request": "request.{}",
    "environ": "the WSGI environment's {}",
    "form": "the form field {!r}",
}

_WHOLE: Final = {
    "query": "the query string",
    "query_order": "the order of repeated query parameters",
    "headers": "all headers",
    "cookies": "cookies",
    "session": "the session",
    "form": "the form",
    "files": "uploaded files",
    "body": "the body",
    "method": "the method",
    "host": "the host",
    "root": "the script root",
    "remote_addr": "the peer's address",
    "remote_user": "the user that the server has authenticated",
    "scheme": "the scheme",
}


def described(name: str) -> str:
    """An input in words."""
    kind, _, detail = name.partition(":")
    if name == USER:
        return "current_user"
    if detail:
        return _KINDS.get(kind, "{}").format(detail)
    return _WHOLE.get(kind, name)
