"""Answers: pages, JSON, files, and what is said to those who get none of these."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from flask import Response

from .access import Refusal

__all__ = ["Sent", "Stop", "data", "page", "problem", "redirect"]


class Stop(Exception):
    """There is no page for a request, and this is why.

    Args:
        refusal: Why.
        headers: What the response has beside the usual headers.
    """

    def __init__(self, refusal: Refusal, **headers: str) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Sent(Exception):
    """The application's ``auth`` has answered the request itself."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.response = response


def page(html: str, status: int = 200) -> Response:
    """A page. What no encoding can hold was made visible before; nothing fails for a slip."""
    text = html.encode("utf-8", "backslashreplace")
    return Response(text, status, mimetype="text/html")


def data(shown: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    """Plain data as JSON, in ASCII: halves of characters stay what they are."""
    try:
        text = json.dumps(shown, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(shown), allow_nan=False)
    return Response(f"{text}\n", status, mimetype=mimetype)


def problem(refusal: Refusal) -> Response:
    """Why there is no data (RFC 9457)."""
    said = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    return data(said, refusal.status, "application/problem+json")


def redirect(url: str) -> Response:
    """Go and GET another address, made by us."""
    response = Response(f"{url}\n", 303, mimetype="text/plain")
    response.headers["Location"] = url
    return response


def _finite(shown: Any) -> Any:
    """JSON has no word for what is not a number."""
    if isinstance(shown, float):
        return shown if math.isfinite(shown) else None
    if isinstance(shown, Mapping):
        return {str(name): _finite(value) for name, value in shown.items()}  # pyright: ignore
    if isinstance(shown, (list, tuple)):
        return [_finite(value) for value in shown]  # pyright: ignore
    return shown
