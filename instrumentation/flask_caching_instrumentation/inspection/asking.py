"""From a request that somebody describes to the key that it has: nothing is sent."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from werkzeug.http import dump_cookie

from flask_caching.explanation import KeyExplanation

from ..timeline import DEBUG
from .failing import reason_of
from .model import RequestSpec
from .places import Place

__all__ = ["Prepared", "UnusableRequest", "ask", "context_of", "prepare"]

#: What a request may have at most: more than any server takes, less than would be work.
_LONGEST_URL: Final = 16 * 1024
_LONGEST_FIELD: Final = 16 * 1024
_LARGEST_BODY: Final = 1 << 20
_MOST_FIELDS: Final = 100

#: RFC 9110 section 5.6.2.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST: Final = re.compile(r"[0-9A-Za-z._:\[\]-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_COOKIE_NAME: Final = _TOKEN


class UnusableRequest(ValueError):
    """A description that is no request; the message says why, in a sentence."""


class Prepared(NamedTuple):
    """A request in the form in which :meth:`flask_caching.Cache.explain` takes it.

    Attributes:
        url: A path with an optional query string, or an absolute URL.
        method: In upper case.
        headers: Name and value pairs, cookies included.
        environ: Further arguments of :class:`werkzeug.test.EnvironBuilder`.
    """

    url: str
    method: str
    headers: list[tuple[str, str]]
    environ: dict[str, Any]


def prepare(place: Place, request: RequestSpec) -> Prepared:
    """A described request, checked.

    Raises:
        UnusableRequest: If it could not be sent like this.
    """
    method = request.method.strip().upper()
    if not _TOKEN.fullmatch(method) or len(method) > 32:
        raise UnusableRequest(f"{_short(request.method)} is not a request method.")
    url, parts = _url(request.url)
    environ: dict[str, Any] = {"environ_overrides": {DEBUG: True}}
    host = request.host.strip()
    if host:
        if not _HOST.fullmatch(host) or len(host) > 255:
            raise UnusableRequest(f"{_short(host)} is not a host.")
        if parts.netloc:
            url = parts._replace(netloc=host).geturl()
        else:
            scheme = place.setting("PREFERRED_URL_SCHEME") or "http"
            environ["base_url"] = f"{scheme}://{host}{place.setting('APPLICATION_ROOT') or '/'}"
    if request.body:
        environ["data"] = _body(request.body)
    if request.content_type:
        environ["content_type"] = _field("content type", request.content_type)
    return Prepared(url, method, _headers(request), environ)


def _url(url: str) -> tuple[str, SplitResult]:
    url = url.strip()
    if len(url) > _LONGEST_URL:
        raise UnusableRequest(f"The URL has {len(url):,} characters, more than any server takes.")
    if _CONTROL.search(url):
        raise UnusableRequest("The URL has control characters in it.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UnusableRequest(f"It is not a URL: {error}.") from None
    if parts.scheme in ("http", "https") and parts.netloc:
        return parts._replace(fragment="").geturl(), parts
    if not url.startswith("/"):
        raise UnusableRequest(
            f"{_short(url)} is not a URL: write a path that begins with a slash, or http://..."
        )
    if parts.netloc:
        raise UnusableRequest(f"{_short(url)} begins with two slashes: write http:// before it.")
    return url.partition("#")[0], parts


def _headers(request: RequestSpec) -> list[tuple[str, str]]:
    if len(request.headers) + len(request.cookies) > _MOST_FIELDS:
        raise UnusableRequest(f"It has more than {_MOST_FIELDS} headers and cookies.")
    headers: dict[str, tuple[str, str]] = {}
    cookies: list[str] = []
    for name, value in request.headers:
        name = name.strip()
        if not _TOKEN.fullmatch(name) or len(name) > 255:
            raise UnusableRequest(f"{_short(name)} is not the name of a header.")
        text = _field(f"header {name}", value)
        if name.lower() == "cookie":
            cookies.append(text)
        elif name.lower() in headers:
            # WSGI has them as one.
            headers[name.lower()] = (name, f"{headers[name.lower()][1]}, {text}")
        else:
            headers[name.lower()] = (name, text)
    for name, value in request.cookies:
        if not _COOKIE_NAME.fullmatch(name):
            raise UnusableRequest(f"{_short(name)} is not the name of a cookie.")
        _field(f"cookie {name}", value)
        # Quoted as Werkzeug quotes what it sets, so that it is read as it is written here.
        written = dump_cookie(name, value, path=None, max_size=0)
        cookies.append(written.partition("; ")[0])
    if cookies:
        headers["cookie"] = ("Cookie", "; ".join(cookies))
    return list(headers.values())


def _field(what: str, value: str) -> str:
    """The value of a header, as WSGI has it."""
    value = value.strip()
    if _CONTROL.search(value.replace("\t", " ")):
        raise UnusableRequest(f"The {what} has control characters in it.")
    if len(value) > _LONGEST_FIELD:
        raise UnusableRequest(f"The {what} is longer than any server takes.")
    return _wsgi(value)


def _wsgi(text: str) -> str:
    """Text as bytes, which are text again, a character each."""
    return text.encode("utf-8", "replace").decode("latin-1")


def _body(body: str) -> bytes:
    data = body.encode("utf-8", "surrogatepass")
    if len(data) > _LARGEST_BODY:
        raise UnusableRequest(f"The body has {len(data):,} bytes, more than is looked at here.")
    return data


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def ask(place: Place, prepared: Prepared) -> KeyExplanation:
    """The key of a request, or why there is none; what goes wrong is the reason."""
    try:
        return place.cache.explain(
            prepared.url, prepared.method, prepared.headers, **prepared.environ
        )
    except Exception as error:
        # Of the application's own code, or a URL that Werkzeug cannot take apart.
        return KeyExplanation(None, reason=reason_of(error))


def context_of(place: Place, prepared: Prepared) -> Any:
    """The request's context, to be made the current one."""
    return place.app.test_request_context(
        prepared.url, method=prepared.method, headers=prepared.headers, **prepared.environ
    )
