"""Walking through the keys of a cache, page by page, for listing, counting and deleting."""

from __future__ import annotations

from collections.abc import Iterator

from flask_caching.backends.base import RESERVED, KeyInfo, KeyPage, SupportsKeys

from ..inspection.places import Place, place_of
from .running import Chosen, Refused, ask

__all__ = ["infos_of", "pages_of", "place_for", "reach"]

#: Keys of a page, about.
_PAGE = 500


def place_for(chosen: Chosen) -> Place:
    """Where to look at a cache."""
    return place_of(chosen.cache, chosen.state.app())


def reach(place: Place) -> None:
    """Ask the store for a key that nobody has.

    What shows a cache does not fail where the store does; a command has to.

    Raises:
        BackendError: If it fails.
    """
    with ask("get"):
        place.entries().get_entry(f"{RESERVED}ping")


def pages_of(
    place: Place, match: str = "", cursor: str = "", limit: int = _PAGE
) -> Iterator[KeyPage]:
    """Pages of a store's keys, to the end.

    Raises:
        Refused: If the store cannot list its keys, or the cursor is none of its.
        BackendError: If it fails.
    """
    backend = place.backend
    if not isinstance(backend, SupportsKeys):
        raise Refused(
            f"{type(backend).__name__} cannot list its keys. SimpleCache, FileSystemCache, "
            "RedisCache, RedisSentinelCache, RedisClusterCache and MemcachedCache can. A key whose "
            "name is known can be shown and deleted all the same."
        )
    while True:
        try:
            with ask("keys"):
                page = backend.keys(cursor, limit, match)
        except ValueError as error:
            if not cursor:
                raise
            raise Refused(f"{cursor!r} is no cursor of this cache: {error}") from error
        yield page
        cursor = page.cursor
        if not cursor:
            return


def infos_of(place: Place, match: str = "") -> Iterator[KeyInfo]:
    """All keys of a store."""
    for page in pages_of(place, match):
        yield from page.keys
