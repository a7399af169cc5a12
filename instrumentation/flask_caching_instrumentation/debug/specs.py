"""Requests to ask about, as they come in: from JSON, from a form, from lines of text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from ..auditing.model import Demonstration
from ..inspection.model import RequestSpec
from ..inspection.redacting import Redactor

__all__ = [
    "as_lines",
    "comparable",
    "fields_of",
    "from_data",
    "from_form",
    "from_lines",
    "items_of",
    "many_from_data",
    "pairs_from_lines",
    "secrets_of",
    "several_from_lines",
]

#: Characters of the longest address, and headers or cookies of one request.
_LONGEST_URL: Final = 8000
_MOST_PAIRS: Final = 100

#: What a method and the name of a header are made of (RFC 9110, 5.6.2).
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Fields of a request that are text.
_TEXTS: Final = ("url", "method", "host", "body", "content_type")

#: The first line of a request: a method, if there is one, and the address.
_FIRST_LINE: Final = re.compile(r"(?:(?P<method>[A-Za-z]+)\s+)?(?P<url>\S.*)")


def fields_of(sent: Any) -> dict[str, Any] | None:
    """A JSON object; ``None`` for anything else."""
    return cast("dict[str, Any]", sent) if isinstance(sent, dict) else None


def items_of(sent: Any) -> Sequence[Any] | None:
    """A JSON array; ``None`` for anything else."""
    return cast("Sequence[Any]", sent) if isinstance(sent, list) else None


def from_data(sent: Any) -> RequestSpec:
    """A request out of a JSON object with the fields of :class:`RequestSpec`.

    Headers and cookies may be an object, or an array of name and value pairs.

    Raises:
        ValueError: If it is not such an object; says why.
    """
    asked = fields_of(sent)
    if asked is None:
        raise ValueError("a request is an object with a url")
    unknown = sorted(set(asked) - {"headers", "cookies", *_TEXTS})
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is no field of a request")
    texts: dict[str, Any] = {"url": ""}
    texts.update({name: asked[name] for name in _TEXTS if name in asked})
    for name, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{name} is not text")
    headers = _pairs("headers", asked.get("headers", []))
    return _checked(
        RequestSpec(headers=headers, cookies=_pairs("cookies", asked.get("cookies", [])), **texts)
    )


def many_from_data(sent: Any) -> list[RequestSpec]:
    """The requests of ``{"requests": [...]}``.

    Raises:
        ValueError: If there are no such things.
    """
    requests = items_of((fields_of(sent) or {}).get("requests"))
    if requests is None:
        raise ValueError("requests is an array of requests, each an object with a url")
    return [from_data(each) for each in requests]


def from_form(sent: Mapping[str, str]) -> RequestSpec:
    """A request out of the fields of the key tester's form.

    Raises:
        ValueError: If something in it cannot be sent; says what.
    """
    return _checked(
        RequestSpec(
            url=sent.get("url", "").strip(),
            method=sent.get("method", "").strip().upper() or "GET",
            host=sent.get("host", "").strip(),
            headers=pairs_from_lines(sent.get("headers", ""), ":", "a header"),
            cookies=pairs_from_lines(sent.get("cookies", ""), "=", "a cookie"),
            body=sent.get("body", ""),
            content_type=sent.get("content_type", "").strip(),
        )
    )


def pairs_from_lines(text: str, between: str, what: str) -> list[tuple[str, str]]:
    """One ``name: value``, or ``name=value``, a line.

    Raises:
        ValueError: If a line is not one.
    """
    pairs: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, found, value = line.partition(between)
        if not found:
            raise ValueError(f"{line[:60]!r} is not {what}: write name{between} value")
        pairs.append((name.strip(), value.strip()))
    return pairs


def several_from_lines(text: str) -> list[RequestSpec]:
    """Requests one a line: an address, or a method and an address.

    Lines that begin with a space are headers of the request above them.

    Raises:
        ValueError: If a line is neither.
    """
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        if line[0].isspace():
            if not blocks:
                raise ValueError("the first line is indented: a header needs a request above it")
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return [from_lines("\n".join(block)) for block in blocks]


def from_lines(text: str) -> RequestSpec:
    """One request of :func:`several_from_lines`.

    Raises:
        ValueError: If it is none.
    """
    first, _, rest = text.strip().partition("\n")
    found = _FIRST_LINE.fullmatch(first.strip())
    method, url = (found["method"], found["url"]) if found else (None, "")
    headers = pairs_from_lines(rest, ":", "a header")
    host = [value for name, value in headers if name.lower() == "host"]
    return _checked(
        RequestSpec(
            url=url,
            method=(method or "GET").upper(),
            host=host[-1] if host else "",
            headers=[pair for pair in headers if pair[0].lower() != "host"],
        )
    )


def as_lines(spec: RequestSpec) -> str:
    """A request as :func:`from_lines` reads it, if it has no body."""
    first = spec.url if spec.method == "GET" else f"{spec.method} {spec.url}"
    pairs = list(spec.headers)
    if spec.host:
        pairs.insert(0, ("Host", spec.host))
    if spec.cookies:
        pairs.append(("Cookie", "; ".join(f"{name}={value}" for name, value in spec.cookies)))
    return "\n".join([first, *(f"  {name}: {value}" for name, value in pairs)])


def comparable(proof: Demonstration) -> list[str]:
    """The two requests of a demonstration for the address of a comparison.

    Nothing if they cannot be written there, or what they differ in is not said by a request.
    """
    first, second = proof.first, proof.second
    if first.request is None or second.request is None or first.setting or second.setting:
        return []
    if first.request.body or second.request.body:
        return []
    return [as_lines(first.request), as_lines(second.request)]


def secrets_of(spec: RequestSpec, patterns: Sequence[str]) -> list[str]:
    """What of a request does not belong in an address, in words; nothing if all of it may.

    Args:
        spec: The request.
        patterns: ``CACHE_DEBUG_REDACT``.
    """
    hides = Redactor(patterns).hides
    found = [f"header {name}" for name, _ in spec.headers if hides(name)]
    found += [f"cookie {name}" for name, _ in spec.cookies]
    try:
        query = parse_qsl(urlsplit(spec.url).query, keep_blank_values=True)
    except ValueError:
        query = []
    found += [f"parameter {name}" for name, _ in query if hides(name)]
    return found + (["body"] if spec.body else [])


def _pairs(field: str, sent: Any) -> list[tuple[str, str]]:
    """The pairs of an object, or of an array of them."""
    named = fields_of(sent)
    listed = items_of(sent) if named is None else list(map(list, named.items()))
    if listed is None:
        raise ValueError(f"{field} is an object, or an array of name and value pairs")
    pairs: list[tuple[str, str]] = []
    for pair in listed:
        parts = items_of(pair) or ()
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"{field} has something that is not a name and a value, both text")
        pairs.append((parts[0], parts[1]))
    return pairs


def _checked(spec: RequestSpec) -> RequestSpec:
    """``spec``, if a client could send it."""
    if not spec.url:
        raise ValueError("there is no url: write a path such as /product/1")
    if len(spec.url) > _LONGEST_URL:
        raise ValueError(f"the url is longer than {_LONGEST_URL:,} characters")
    if not _TOKEN.fullmatch(spec.method):
        raise ValueError(f"{spec.method[:40]!r} is no request method")
    for kind, pairs in (("headers", spec.headers), ("cookies", spec.cookies)):
        if len(pairs) > _MOST_PAIRS:
            raise ValueError(f"there are more than {_MOST_PAIRS} {kind}")
        for name, value in pairs:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name[:40]!r} is no name for one of the {kind}")
            if not value.isprintable() and value:
                raise ValueError(f"the value of {name} has characters that cannot be sent")
    if not (spec.host + spec.content_type).isprintable():
        raise ValueError("host or content_type has characters that cannot be sent")
    return spec
