"""``Inspector``: everything that pages, JSON and the command line show of one cache."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask

from flask_caching import Cache

from ..timeline import Timeline, timeline_of
from .comparing import compare
from .entries import detail_of
from .functions import functions_of
from .keyids import key_of
from .listing import list_keys
from .live import log_of
from .model import (
    CacheOverview,
    Comparison,
    Explanation,
    FunctionRow,
    KeyDetail,
    KeyListing,
    RequestLog,
    RequestSpec,
)
from .overview import overview_of
from .places import Place, caches_of, place_of
from .redacting import Redactor
from .tester import explain

__all__ = ["Inspector", "caches_of"]


class Inspector:
    """Looks at one cache of one application.

    It asks the store itself, past the wrapper that counts, and does not refresh an entry's age
    where the store can be read without that. What fails is shown, not raised.

    Args:
        cache: The cache.
        app: The application; ``None`` for the current one, else the cache's only one.

    Attributes:
        cache: As given.
        app: The application.

    Raises:
        CacheError: If which application is meant cannot be known, or the cache is not set up for
            it.
    """

    def __init__(self, cache: Cache, app: Flask | None = None) -> None:
        self.cache = cache
        self.app = place_of(cache, app).app

    @property
    def _place(self) -> Place:
        # Anew each time: a cache may be set up again.
        return Place(self.cache, self.app)

    @property
    def _timeline(self) -> Timeline | None:
        return timeline_of(self._place.state)

    def overview(self) -> CacheOverview:
        """The cache at a glance."""
        place = self._place
        with place.current():
            return overview_of(place, self._timeline)

    def keys(
        self, cursor: str = "", match: str = "", kind: str = "", limit: int = 50
    ) -> KeyListing:
        """A page of the keys that the store holds.

        It takes some 50 ms at most, however much that is; it can be short, or empty, before the
        end.

        Args:
            cursor: Where the page before ended; empty for the first.
            match: Text that a key contains, taken literally.
            kind: Only keys of this kind; empty for all.
            limit: Rows at most, about; not more than 500.

        Raises:
            ValueError: If the cursor is not one of this store's, or there is no such kind.
        """
        place = self._place
        with place.current():
            return list_keys(place, self._timeline, cursor, match, kind, limit)

    def key(self, key_id: str, *, reveal: bool = False) -> KeyDetail | None:
        """One key.

        Args:
            key_id: What names it in an address; see :func:`.keyids.key_id`.
            reveal: Whether to show its value.

        Returns:
            What is known of it, whether there is an entry or not; ``None`` if the id is none, or
            that of a key of this package's own.
        """
        try:
            key = key_of(key_id)
        except ValueError:
            return None
        return self.key_named(key, reveal=reveal)

    def key_named(self, key: str, *, reveal: bool = False) -> KeyDetail | None:
        """One key by its own name, however long; see :meth:`key`."""
        place = self._place
        with place.current():
            return detail_of(place, self._timeline, key, reveal=reveal)

    def functions(self) -> list[FunctionRow]:
        """Every decorated function, by name."""
        place = self._place
        with place.current():
            return functions_of(place)

    def explain(self, request: RequestSpec) -> Explanation:
        """What would become of a request, and why. No view is run, and nothing is sent."""
        place = self._place
        with place.current():
            return explain(place, request)

    def compare(self, requests: Sequence[RequestSpec]) -> Comparison:
        """Several requests side by side.

        Raises:
            ValueError: If there are fewer than two, or more than twenty.
        """
        place = self._place
        with place.current():
            return compare(place, requests)

    def requests(self, after: int = 0, limit: int = 50) -> RequestLog:
        """The latest requests of this process that used the cache, the latest first.

        Args:
            after: Only those with a higher number.
            limit: How many at most.
        """
        place = self._place
        redactor = Redactor(place.state.config.debug_redact)
        return log_of(self._timeline, redactor, after, limit)

    def delete(self, keys: Sequence[str]) -> list[str]:
        """Delete keys as the application would: loads that are under way are worthless then.

        Returns:
            The keys that are gone.

        Raises:
            BackendError: If the store fails.
        """
        with self._place.current():
            return self.cache.delete_many(*keys) if keys else []

    def clear(self) -> bool:
        """Delete all keys of the cache. Returns whether that was done.

        Raises:
            BackendError: If the store fails.
            ConfigurationError: If that would clear more than this cache's own.
        """
        with self._place.current():
            return self.cache.clear()
