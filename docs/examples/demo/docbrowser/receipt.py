"""The receipt at the foot of each page: how this very response came about.

A cached page cannot contain it, since it would say what was true when the page was stored. So
the template leaves a mark, and the receipt takes its place on the way out, hit or miss.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, Response, g, has_request_context, render_template, request
from markupsafe import Markup

__all__ = ["MARK", "init_app", "outcome", "wants_fresh"]

#: What the template leaves. Escaped text never contains it.
MARK = Markup("<!-- receipt -->")

#: RFC 9211, section 2.2: why a cache did not answer, as the reader of a page needs it.
_OUTCOMES = {
    "miss": "miss",
    "uri-miss": "miss",
    "vary-miss": "miss",
    "stale": "stale",
    "request": "fresh",
}

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def init_app(app: Flask) -> None:
    """Time each request of ``app`` and put the receipt where a page left its mark."""
    app.before_request(_start)
    app.after_request(_finish)
    names: dict[str, Any] = app.jinja_env.globals
    names["receipt_mark"] = MARK


def wants_fresh() -> bool:
    """Whether the reader asked for ``?fresh=1``: compute the page again, and store it.

    Used as ``forced_update``. Whoever may open the page may ask for it, which is right on
    one's own machine; in public, ask for a login or a token here as well.
    """
    return has_request_context() and request.args.get("fresh") == "1"


def outcome(cache_status: str | None) -> str | None:
    """What a ``Cache-Status`` header (RFC 9211) says.

    Args:
        cache_status: The header's value.

    Returns:
        ``"hit"``, ``"miss"``, ``"stale"``, ``"fresh"`` (the reader asked for a new one),
        ``"bypass"`` (the cache did not look, at a POST for example), or ``None`` if no cache was
        involved.
    """
    if not cache_status:
        return None
    # The cache nearest to the reader comes last (section 2).
    _name, *parameters = (part.strip() for part in cache_status.rsplit(",", 1)[-1].split(";"))
    if "hit" in parameters:
        return "hit"
    reasons = [part.removeprefix("fwd=") for part in parameters if part.startswith("fwd=")]
    return _OUTCOMES.get(reasons[0], "bypass") if reasons else None


def _start() -> None:
    g.started = time.perf_counter()


def _finish(response: Response) -> Response:
    milliseconds = (time.perf_counter() - g.started) * 1000
    result = outcome(response.headers.get("Cache-Status"))
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # The browser's own tools show this one, in the timing tab of the request.
    response.headers["Server-Timing"] = (
        f'cache;desc="{result or "none"}", app;dur={milliseconds:.2f}'
    )
    if response.mimetype == "text/html" and not response.is_streamed:
        _fill_in(response, result, milliseconds)
    return response


def _fill_in(response: Response, result: str | None, milliseconds: float) -> None:
    page = response.get_data()
    mark = MARK.encode()
    if mark in page:
        receipt = render_template(
            "_receipt.html", outcome=result, milliseconds=milliseconds, fresh_url=_fresh_url()
        )
        response.set_data(page.replace(mark, receipt.encode(), 1))


def _fresh_url() -> str | None:
    """The address of the same page with ``fresh=1``, or ``None`` where there is no page."""
    if request.endpoint is None:
        return None
    # Not by ``url_for(**request.args)``: a reader's ``?_scheme=...`` is not an option of ours.
    query = {**request.args.to_dict(flat=False), "fresh": ["1"]}
    return f"{request.script_root}{quote(request.path)}?{urlencode(query, doseq=True)}"
