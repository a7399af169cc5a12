"""The current request: who asks, and how the response says it was come by."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import after_this_request

from .arguments import witness_arguments
from .contexts import current_request
from .entry import Witness
from .keys import request_for
from .observer import Lookup
from .query import Query

__all__ = [
    "NO_REQUEST",
    "RUNNING",
    "cache_status",
    "indicate",
    "is_call_of",
    "request_witness",
]

#: Stands for the request where a key needs none.
NO_REQUEST = request_for("")

_new_tuple: Any = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

#: Where a request keeps the policies whose view is running for it.
RUNNING = "_flask_caching_running"


def request_witness(request: Any, endpoint: str) -> Witness:
    """Who a view's entry is made for."""
    method = request.method
    environ = request.environ
    view_args = request.view_args
    # Past the constructor, which takes as long as all the rest of this.
    made: Witness = _new_tuple(
        Witness,
        (
            endpoint,
            witness_arguments((), view_args) if view_args else (),
            "GET" if method == "HEAD" else method,
            environ.get("HTTP_HOST", ""),
            environ.get("QUERY_STRING", ""),
            environ.get("SCRIPT_NAME", ""),
            environ.get("wsgi.url_scheme", ""),
        ),
    )
    return made


def is_call_of(request: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether arguments are those that the request calls its view with, or are left out."""
    # A method's first argument is its view object.
    return len(args) <= 1 and (dict(kwargs) == (request.view_args or {}) or not (args or kwargs))


def cache_status(query: Query, lookup: Lookup) -> str:
    """How a response was come by, as RFC 9211 writes it."""
    if lookup.outcome == "hit":
        entry = query.entry
        if entry is None or not entry.expires_at:
            return "flask-caching; hit"
        return f"flask-caching; hit; ttl={max(0, round(entry.expires_at - time.time()))}"
    reasons = {"stale": "stale", "error": "bypass"}
    forward = reasons.get(lookup.outcome, "uri-miss")
    if lookup.reason == "forced_update":
        forward = "request"
    stored = "; stored" if lookup.stored == "stored" else ""
    return f"flask-caching; fwd={forward}{stored}"


def indicate(status: str, hit: bool) -> None:
    """Put ``Cache-Status`` (RFC 9211), and on a hit ``hit_cache``, on the current response."""
    if current_request() is None:
        return

    @after_this_request
    def _indicate(response: Any) -> Any:
        response.headers.add("Cache-Status", status)
        if hit:
            response.headers["hit_cache"] = "True"
        return response
