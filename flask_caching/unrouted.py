"""Requests that reach no view: what Flask answers instead, and which rules are near."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, NamedTuple, cast

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect, Rule, WebsocketMismatch

__all__ = ["Unrouted", "unrouted"]

#: Rules that are looked at, at most: comparing takes some 10 microseconds each.
_COMPARED = 2000

#: Near rules that are named, at most.
_NAMED = 3

#: How like what the path has a rule's parts must be, and all of them together; from 0 to 1.
_LIKE = 0.6

#: What a rule's variable counts for beside some part of a path: any fits, but says nothing.
_VARIABLE = 0.8

_PLACEHOLDER = re.compile(r"<[^>]*>")


class Unrouted(NamedTuple):
    """What becomes of a request that reaches no view.

    Attributes:
        status: Of the response.
        reason: What happens, and why.
        notes: What may help.
    """

    status: int | None
    reason: str
    notes: tuple[str, ...] = ()


def unrouted(app: Flask, request: Any) -> Unrouted:
    """What Flask answers where no rule matches a request, or only another method's."""
    error = cast(HTTPException, request.routing_exception)
    status = error.code
    if isinstance(error, RequestRedirect):
        return Unrouted(status, f"{status}: the URL redirects to {error.new_url}")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return Unrouted(
            status, f"{status}: the URL does not accept this method; it accepts {allowed}"
        )
    if isinstance(error, WebsocketMismatch):
        wanted = "a plain" if request.environ.get("HTTP_UPGRADE") else "a websocket"
        return Unrouted(status, f"{status}: the URL's rule is for {wanted} request")
    if status == 404:
        notes = (*_foreign_host(app, request), *_near(app, request.path))
        return Unrouted(status, "404: no route matches this URL", notes)
    return Unrouted(status, f"{status}: {error.description}")


def _foreign_host(app: Flask, request: Any) -> Iterator[str]:
    """Says so if the host keeps every rule from matching."""
    name = cast("dict[str, Any]", app.config).get("SERVER_NAME")
    if not (name and getattr(app, "subdomain_matching", False)):
        return
    host, wanted = (str(text).partition(":")[0].lower() for text in (request.host, name))
    if host != wanted and not host.endswith(f".{wanted}"):
        yield f"the host {request.host} is not below SERVER_NAME, which is {name}"


def _near(app: Flask, path: str) -> Iterator[str]:
    """Names the rules that are most like a path."""
    segments = path.strip("/").split("/")
    rules = (rule for rule in app.url_map.iter_rules() if not (rule.build_only or rule.websocket))
    likeness = [(_likeness(segments, rule), rule) for rule in islice(rules, _COMPARED)]
    likely = sorted((pair for pair in likeness if pair[0] >= _LIKE), key=lambda pair: -pair[0])
    if likely:
        yield "rules near it: " + ", ".join(_described(rule) for _, rule in likely[:_NAMED])


def _described(rule: Rule) -> str:
    where = rule.host or rule.subdomain
    kind = "host" if rule.host else "subdomain"
    at = f", {kind} {where}" if where else ""
    return f"{rule.rule} (endpoint {rule.endpoint}{at})"


def _likeness(segments: list[str], rule: Rule) -> float:
    """How like a rule is to a path that was split at its slashes, between 0 and 1."""
    parts = _PLACEHOLDER.sub("\0", rule.rule).strip("/").split("/")
    more = len(segments) - len(parts)
    if abs(more) > 1:
        return 0.0
    # One more is a prefix: a script root, a blueprint's.
    pairs = zip(segments[more == 1 :], parts[more == -1 :], strict=True)
    alike = [_alike(segment, part) for segment, part in pairs]
    return sum(alike) / (len(alike) + abs(more)) if min(alike) >= _LIKE else 0.0


def _alike(segment: str, part: str) -> float:
    if segment == part:
        return 1.0
    if "\0" in part:
        return _VARIABLE
    if 4 * min(len(segment), len(part)) < len(segment) + len(part):
        # Too different in length; and a megabyte is not to be compared.
        return 0.0
    return SequenceMatcher(None, segment, part, autojunk=False).ratio()
