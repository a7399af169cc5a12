"""The JSON below ``api/v1``: what the pages show, for programs. ``openapi.json`` describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response

from ..inspection.model import plain
from . import answers, content, specs
from .access import Refusal
from .rendering import file_of
from .site import Site

__all__ = [
    "audit",
    "clear",
    "compare",
    "delete",
    "explain",
    "functions",
    "key",
    "keys",
    "openapi",
    "overview",
    "requests",
]

ReadT = TypeVar("ReadT")


def overview(site: Site) -> Response:
    """All caches at a glance."""
    return answers.data(plain(content.overview(site)))


def keys(site: Site) -> Response:
    """A page of keys."""
    return answers.data(plain(content.keys(site)))


def key(site: Site, key_id: str) -> Response:
    """One key."""
    return answers.data(plain(content.key_detail(site, key_id)))


def functions(site: Site) -> Response:
    """The decorated functions."""
    return answers.data(plain(content.functions(site)))


def requests(site: Site) -> Response:
    """The latest requests."""
    return answers.data(plain(content.requests(site)))


def audit(site: Site) -> Response:
    """What the audit finds."""
    return answers.data(plain(content.audited(site)))


def explain(site: Site) -> Response:
    """What would become of the request that is described in the body."""
    spec = _read(specs.from_data)
    return answers.data(plain(content.explained(site, spec)))


def compare(site: Site) -> Response:
    """The requests that are described in the body, side by side."""
    described = _read(specs.many_from_data)
    return answers.data(plain(content.compared(site, described)))


def delete(site: Site) -> Response:
    """Delete the keys that are named in the body."""
    site.check_may_write()
    names, ids = _read(_keys_and_ids)
    return answers.data(plain(content.deleted(site, names, ids)))


def clear(site: Site) -> Response:
    """Clear the cache."""
    return answers.data(plain(content.cleared(site)))


def openapi(site: Site) -> Response:
    """The description of all this."""
    return Response(file_of("openapi.json"), mimetype="application/json")


def _read(reader: Callable[[Any], ReadT]) -> ReadT:
    try:
        return reader(content.sent_data())
    except ValueError as error:
        message = str(error)
        raise answers.Stop(
            Refusal(400, "That cannot be asked", f"{message[:1].upper()}{message[1:]}.")
        ) from error


def _keys_and_ids(sent: Any) -> tuple[list[str], list[str]]:
    asked = specs.fields_of(sent)
    if asked is None or not set(asked) <= {"keys", "ids"}:
        raise ValueError("the body is an object with keys, or ids, or both")
    return _texts(asked.get("keys", [])), _texts(asked.get("ids", []))


def _texts(sent: Any) -> list[str]:
    listed = specs.items_of(sent)
    if listed is None or not all(isinstance(each, str) for each in listed):
        raise ValueError("keys and ids are arrays of text")
    return list(listed)
