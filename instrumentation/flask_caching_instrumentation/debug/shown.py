"""Which caches of an application a set of debug pages shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import Flask

from flask_caching import Cache
from flask_caching.errors import CacheError
from flask_caching.state import AppState

from ..inspection.inspector import caches_of
from ..inspection.places import place_of
from ..recording import start_recording
from ..timeline import start_timeline, timeline_of

__all__ = ["AmbiguousToken", "ShownCache", "start", "start_missing", "these", "token_of"]

#: Of an application, the caches whose pages they are.
Which = Callable[[Flask], "list[ShownCache]"]


class AmbiguousToken(CacheError):
    """Caches that share pages have different tokens."""


@dataclass(frozen=True)
class ShownCache:
    """A cache on an application.

    Attributes:
        name: Names it on the pages: its ``CACHE_NAME``, with a number if others have that too.
        cache: The cache.
        state: What it is made of there.
    """

    name: str
    cache: Cache
    state: AppState


def these(app: Flask, cache: Cache | None = None, path: str | None = None) -> list[ShownCache]:
    """The caches of an application whose pages they are.

    Args:
        app: The application.
        cache: The only one to show; ``None`` for all.
        path: Those that asked for their pages there (``CACHE_DEBUG_UI``); ``None`` for all.
    """
    found: list[ShownCache] = []
    taken: set[str] = set()
    for each in caches_of(app):
        state = place_of(each, app).state
        if (cache is None or each is cache) and (path is None or state.config.debug_ui == path):
            name, number = state.config.name, 1
            while name in taken:
                number += 1
                name = f"{state.config.name}-{number}"
            taken.add(name)
            found.append(ShownCache(name, each, state))
    return found


def token_of(caches: list[ShownCache]) -> str | None:
    """The token of caches that share pages; ``None`` if no one of them has one.

    Raises:
        AmbiguousToken: If they have several. Who knows one of them must not see the cache of
            another.
    """
    tokens = {each.state.config.debug_token for each in caches} - {None}
    if len(tokens) > 1:
        raise AmbiguousToken(
            f"The caches {', '.join(each.name for each in caches)} have different values of "
            "CACHE_DEBUG_TOKEN. Give each pages of its own, with debug_blueprint(cache) or another "
            "path in CACHE_DEBUG_UI."
        )
    return tokens.pop() if tokens else None


def start(app: Flask, caches: Iterable[ShownCache]) -> None:
    """Watch what the caches do, for the pages.

    Where that was begun before it goes on, but ``app.debug`` may have changed what is recorded.
    """
    for each in caches:
        start_timeline(each.state)
        share = each.state.config.debug_record
        if share is None:
            share = 1.0 if app.debug else 0.1
        if share:
            start_recording(each.state, share)


def start_missing(app: Flask, caches: Iterable[ShownCache]) -> None:
    """:func:`start` for caches that are not watched yet: set up late, or set up anew."""
    start(app, [each for each in caches if timeline_of(each.state) is None])
