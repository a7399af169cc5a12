"""One request's view of the pages: who asks, about which cache, and where everything is."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, request, url_for

from ..inspection.inspector import Inspector
from ..inspection.model import RequestSpec
from .access import Refusal
from .answers import Stop
from .gate import Gate, Visitor
from .shown import ShownCache
from .specs import secrets_of

__all__ = ["NAME", "Site"]

#: What the blueprint is called.
NAME: Final = "flask_caching_debug"

#: Routes that are the same whichever cache is chosen.
_OF_NO_CACHE: Final = ("login", "logout", "static")


@dataclass(frozen=True)
class Site:
    """What a view is given.

    Attributes:
        app: The application.
        caches: The caches that these pages show.
        gate: Who let him in.
        visitor: Who asks.
        route: The name of the route.
        takes_token: Whether it is the token that opens these pages.
        around: Arguments of the rule that are the blueprint's prefix's, not the route's.
        nonce: What the page's script and style sheet carry.
    """

    app: Flask
    caches: Sequence[ShownCache]
    gate: Gate
    visitor: Visitor
    route: str
    takes_token: bool = False
    around: Mapping[str, Any] = field(default_factory=dict[str, Any])
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def chosen(self) -> ShownCache:
        """The cache asked about: ``?cache=NAME``, or else the first.

        Raises:
            Stop: If there is none, or none of that name.
        """
        name = request.args.get("cache")
        for each in self.caches:
            if name is None or each.name == name:
                return each
        if not self.caches:
            raise Stop(
                Refusal(
                    404,
                    "There is no cache here",
                    "No cache is set up on this application that these pages show. Call "
                    "cache.init_app(app).",
                )
            )
        names = ", ".join(each.name for each in self.caches)
        raise Stop(Refusal(404, "There is no such cache", f"These pages show {names}."))

    @property
    def narrowed(self) -> Sequence[ShownCache]:
        """The cache that ``?cache=`` names, or all."""
        return [self.chosen] if "cache" in request.args or not self.caches else self.caches

    @property
    def inspector(self) -> Inspector:
        """What looks at the chosen cache."""
        return self.inspector_of(self.chosen)

    def inspector_of(self, shown: ShownCache) -> Inspector:
        """What looks at a cache."""
        return Inspector(shown.cache, self.app)

    def url(self, route: str, **values: Any) -> str:
        """The address of a route, for the same cache; ``None`` leaves a parameter out."""
        if route not in _OF_NO_CACHE:
            values.setdefault("cache", self.chosen_name or None)
        sent = {name: _sendable(value) for name, value in values.items() if value is not None}
        blueprint = request.blueprint or NAME
        return url_for(f"{blueprint}.{route}", **{**self.around, **sent})

    @property
    def path(self) -> str:
        """Where the pages are, without a slash at the end: the path of their cookies."""
        return urlsplit(self.url("overview", cache=None)).path.rstrip("/") or "/"

    @property
    def chosen_name(self) -> str:
        """The name of the chosen cache, if there are others and it was chosen; else empty."""
        named = request.args.get("cache", "")
        names = [each.name for each in self.caches]
        return named if len(names) > 1 and named in names else ""

    def is_chosen(self, shown: ShownCache) -> bool:
        """Whether a cache is the one asked about."""
        return shown.name == (self.chosen_name or self.caches[0].name)

    def may_link(self, url: str) -> bool:
        """Whether a request's address may stand in one of these pages'."""
        return not secrets_of(RequestSpec(url), self.chosen.state.config.debug_redact)

    @property
    def may_write(self) -> bool:
        """Whether keys may be deleted here."""
        return self.chosen.state.config.debug_write

    def check_may_write(self) -> None:
        """Stop whoever wants to delete something, unless ``CACHE_DEBUG_WRITE`` allows it."""
        if not self.may_write:
            raise Stop(
                Refusal(
                    403,
                    "These pages are read-only",
                    "Nothing was deleted. Set CACHE_DEBUG_WRITE = True to delete keys and clear "
                    "the cache here.",
                )
            )


def _sendable(value: Any) -> Any:
    """A parameter that a URL can hold."""
    if isinstance(value, (list, tuple)):
        return [_sendable(each) for each in value]  # pyright: ignore
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
