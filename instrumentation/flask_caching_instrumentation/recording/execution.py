"""Sending requests to an application's own routes, to see what is read.

Views run, with whatever they do besides: only GET and HEAD are sent, which should do nothing. The
real caches are neither read nor written, and nothing is counted.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import urlsplit

from flask import Flask, got_request_exception
from werkzeug.routing import Rule

from flask_caching import Cache
from flask_caching.madeup import base_url

from .isolation import Isolated
from .recorder import Reading, Readings, Recorder, merged

__all__ = ["Executed", "SentRequest", "execute", "is_ours", "plain_urls"]

#: Told how many requests were sent, of how many.
Progress = Callable[[int, int], None]

#: What a browser sends with its first request to a site.
BROWSER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Encoding": "gzip, deflate, br",
        "Accept-Language": "en-US,en;q=0.9",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) flask-caching audit",
    }
)

#: What the parts of our own endpoints' names begin with.
_OURS = ("flask_caching_debug", "flask_caching_metrics")


@dataclass(frozen=True)
class SentRequest:
    """A request that was sent, and what came of it.

    Attributes:
        endpoint: The endpoint that it was meant for.
        url: Where it was sent to.
        method: ``GET`` or ``HEAD``.
        status: Of the response; 500 where there was none.
        error: The type of the exception that the view raised, if it raised one that is not an
            answer (as ``abort()`` is); else empty.
        readings: What was read while it was answered, by source and name of the target.
    """

    endpoint: str
    url: str
    method: str
    status: int
    error: str = ""
    readings: Readings = field(default_factory=dict[tuple[str, str], Reading])


@dataclass(frozen=True)
class Executed:
    """What came of all requests.

    Attributes:
        requests: Each of them, in the order in which they were sent.
    """

    requests: tuple[SentRequest, ...] = ()

    @property
    def readings(self) -> Readings:
        """What was read in all of them, by source and name of the target."""
        return merged(request.readings for request in self.requests)


def execute(
    cache: Cache,
    app: Flask,
    *,
    urls: Iterable[tuple[str, str]] | None = None,
    progress: Progress | None = None,
) -> Executed:
    """Send GET and HEAD to an application's routes, and record what is read.

    Each request finds every cache of the application empty, so that all it uses is loaded. Meant
    for a process that serves nobody: see :class:`Isolated`. A route that streams for ever is left
    after the first part of its response; one that never answers is waited for.

    Args:
        cache: The cache to record for.
        app: The application.
        urls: Where to send requests to, as endpoint and URL: a path below the script root, or an
            absolute URL. ``None`` for :func:`plain_urls`.
        progress: Called with the numbers of requests that were sent and that will be.
    """
    recorder = Recorder()
    asked = [
        (endpoint, url, method)
        for endpoint, url in (plain_urls(app) if urls is None else urls)
        if not is_ours(endpoint)
        for method in ("GET", "HEAD")
    ]
    sent: list[SentRequest] = []
    try:
        with Isolated(app, {cache: recorder}) as isolated:
            for endpoint, url, method in asked:
                isolated.renew()
                recorder.forget()
                # Apart from the caller's request and application context, and what is in them.
                status, error = contextvars.Context().run(_send, app, url, method)
                readings = recorder.readings()
                sent.append(SentRequest(endpoint, url, method, status, error, readings))
                if progress is not None:
                    progress(len(sent), len(asked))
    finally:
        recorder.stop()
    return Executed(tuple(sent))


def plain_urls(app: Flask) -> Iterator[tuple[str, str]]:
    """The URLs of an application's routes that need no arguments, with their endpoints."""
    for rule in app.url_map.iter_rules():
        if rule.build_only or rule.websocket or "GET" not in (rule.methods or {"GET"}):
            continue
        if _arguments(rule) - set(rule.defaults or ()):
            continue
        built = rule.build(dict(rule.defaults or {}))
        if built is not None:
            domain, path = built
            yield rule.endpoint, base_url(app, domain) + path.lstrip("/")


def is_ours(endpoint: str) -> bool:
    """Whether an endpoint is one that this package, or Flask for static files, has added."""
    *_, last = parts = endpoint.split(".")
    return last == "static" or any(part.startswith(_OURS) for part in parts)


def _arguments(rule: Rule) -> set[str]:
    # Werkzeug does not say of what the set is, where it is empty.
    return cast(Any, rule).arguments  # type: ignore[no-any-return]


def _send(app: Flask, url: str, method: str) -> tuple[int, str]:
    """Send a request. Returns its status, and the type of an exception that nobody expected."""
    path, base = _split(app, url)
    raised: list[BaseException] = []

    def remember(sender: Any, exception: BaseException, **extra: Any) -> None:
        raised.append(exception)

    with got_request_exception.connected_to(remember, app):
        try:
            # No cookies: what one view sets is not sent to the next.
            client = app.test_client(use_cookies=False)
            response = client.open(path, base_url=base, method=method, headers=dict(BROWSER))
            status = response.status_code
            response.close()
        except (Exception, SystemExit) as error:
            # Under ``app.testing`` and the like it is not answered but raised.
            return 500, type(error).__qualname__
    return status, type(raised[0]).__qualname__ if raised else ""


def _split(app: Flask, url: str) -> tuple[str, str]:
    """A URL's path below the script root, query included; and scheme, host and script root."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url, base_url(app)
    root = urlsplit(base_url(app)).path
    base = f"{parts.scheme or 'http'}://{parts.netloc}{root}"
    below = parts.path[len(root) - 1 :] if parts.path.startswith(root) else parts.path
    return (f"{below}?{parts.query}" if parts.query else below) or "/", base
