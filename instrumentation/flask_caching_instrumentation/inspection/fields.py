"""A described request taken apart, so that two can be compared and one thing in it be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from .model import RequestSpec

__all__ = ["Fields", "fields_of"]

Pairs = tuple[tuple[str, str], ...]

#: Headers that say where a request goes and how its body is sent; the others say who asks.
_ON_THE_WAY: Final = frozenset({"connection", "content-length", "cookie", "transfer-encoding"})


@dataclass(frozen=True)
class Fields:
    """A request in its parts.

    Attributes:
        method: In upper case.
        scheme: Empty where the URL has none.
        host: Empty where neither URL nor header has one.
        path: As it is in the URL.
        query: Name and value pairs in their order.
        headers: Name and value pairs; no cookies, no host.
        cookies: Name and value pairs.
        body: As text.
        content_type: Of the body.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: Pairs
    headers: Pairs
    cookies: Pairs
    body: str
    content_type: str

    def spec(self) -> RequestSpec:
        """The same as a description."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        url, host = f"{self.path}{query}", self.host
        if self.scheme:
            url, host = f"{self.scheme}://{self.host}{url}", ""
        return RequestSpec(
            url, self.method, host, self.headers, self.cookies, self.body, self.content_type
        )

    def named(self) -> dict[str, str]:
        """Each part by its name, repeated ones as one text: ``path``, ``query:page``, ..."""
        parts = {"method": self.method, "scheme": self.scheme, "host": self.host}
        parts["path"] = self.path
        for kind, pairs in (
            ("query", self.query),
            ("header", self.headers),
            ("cookie", self.cookies),
        ):
            for name, value in pairs:
                full = f"{kind}:{name if kind != 'header' else name.title()}"
                parts[full] = f"{parts[full]}, {value}" if full in parts else value
        parts["body"], parts["content_type"] = self.body, self.content_type
        return {name: value for name, value in parts.items() if value or ":" in name}

    def with_part(self, name: str, other: Fields) -> Fields:
        """This request with one part as another request has it, or without it if that has none.

        Args:
            name: One of the names of :meth:`named`, of this or of the other.
            other: The other request.
        """
        kind, _, rest = name.partition(":")
        if kind == "query":
            return replace(self, query=_exchanged(self.query, other.query, rest))
        if kind == "cookie":
            return replace(self, cookies=_exchanged(self.cookies, other.cookies, rest))
        if kind == "header":
            return replace(self, headers=_exchanged(self.headers, other.headers, rest))
        if name == "scheme" and not (self.scheme and other.scheme):
            # Only an absolute URL has one.
            return replace(self, scheme=other.scheme, host=self.host or other.host or "localhost")
        return replace(self, **{name: getattr(other, name)})

    def with_query(self, name: str, value: str | None) -> Fields:
        """With another value of a parameter; ``None`` leaves it out."""
        return replace(self, query=_changed(self.query, name, value))

    def with_cookie(self, name: str, value: str | None) -> Fields:
        """With another value of a cookie; ``None`` leaves it out."""
        return replace(self, cookies=_changed(self.cookies, name, value))

    def with_header(self, name: str, value: str | None) -> Fields:
        """With another value of a header; ``None`` leaves it out."""
        return replace(self, headers=_changed(self.headers, name, value))


def _changed(pairs: Pairs, name: str, value: str | None) -> Pairs:
    """``pairs`` with one value for a name, at its first place; without it for ``None``."""
    kept = [pair for pair in pairs if pair[0] != name]
    if value is None:
        return tuple(kept)
    first = next(place for place, pair in enumerate(pairs) if pair[0] == name)
    before = sum(pair[0] != name for pair in pairs[:first])
    return (*kept[:before], (name, value), *kept[before:])


def _exchanged(mine: Pairs, theirs: Pairs, name: str) -> Pairs:
    """``mine`` with the values that ``theirs`` has for a name, case aside."""
    wanted = name.lower()
    found = [pair for pair in theirs if pair[0].lower() == wanted]
    place = next((at for at, pair in enumerate(mine) if pair[0].lower() == wanted), len(mine))
    kept = [pair for pair in mine if pair[0].lower() != wanted]
    before = sum(pair[0].lower() != wanted for pair in mine[:place])
    return (*kept[:before], *found, *kept[before:])


def fields_of(request: RequestSpec) -> Fields:
    """A described request taken apart; one that cannot be used as far as it goes."""
    url = request.url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    headers: list[tuple[str, str]] = []
    cookies = [(name, value) for name, value in request.cookies]
    host = request.host or parts.netloc
    content_type = request.content_type
    for name, value in request.headers:
        lower = name.lower()
        if lower == "cookie":
            cookies += _cookies(value)
        elif lower == "host":
            host = request.host or value
        elif lower == "content-type":
            content_type = content_type or value
        elif lower not in _ON_THE_WAY:
            headers.append((name, value))
    return Fields(
        method=request.method.strip().upper(),
        scheme=parts.scheme if parts.netloc else "",
        host=host,
        path=parts.path,
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
        headers=tuple(headers),
        cookies=tuple(cookies),
        body=request.body,
        content_type=content_type,
    )


def _cookies(header: str) -> Sequence[tuple[str, str]]:
    pairs = [part.strip().partition("=") for part in header.split(";")]
    return [(name, value) for name, equals, value in pairs if equals]
