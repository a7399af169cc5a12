"""Where a cache is looked at: which application, which state, and the store without its wrapper."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask, current_app, has_app_context

from flask_caching import Cache
from flask_caching.backends.base import EntryBackend
from flask_caching.backends.foreign import ForeignEntries
from flask_caching.errors import CacheError
from flask_caching.registry import Registry
from flask_caching.state import AppState, EntryStore

from ..wrapper.backend import InstrumentedBackend

__all__ = ["Place", "caches_of", "place_of"]

#: Where an application keeps the states of its caches; see ``flask_caching.cache``.
_EXTENSION = "flask_caching"

#: Bytes that a compressed entry may turn out to be: more is not unpacked for somebody who looks.
_LARGEST = 16 << 20


def caches_of(app: Flask) -> list[Cache]:
    """Every cache that is set up on an application, in the order of their setting up."""
    return list(app.extensions.get(_EXTENSION, {}))


class Place:
    """One cache on one application.

    Args:
        cache: The cache.
        app: The application.

    Attributes:
        cache: As given.
        app: As given.
        state: What the application's cache is made of.
        registry: The functions that the cache decorated.
        backend: The store, without the wrapper that counts.

    Raises:
        CacheError: If the cache is not set up for the application.
    """

    def __init__(self, cache: Cache, app: Flask) -> None:
        states: dict[Cache, AppState] = app.extensions.get(_EXTENSION, {})
        if cache not in states:
            raise CacheError(
                f"this cache is not set up for the application {app.name!r}; call "
                "cache.init_app(app)"
            )
        self.cache = cache
        self.app = app
        self.state = states[cache]
        self.registry: Registry = cache._registry  # pyright: ignore[reportPrivateUsage]
        wrapped = issubclass(type(self.state.backend), InstrumentedBackend)
        self.backend: Any = self.state.backend.wrapped if wrapped else self.state.backend

    def setting(self, name: str) -> str:
        """A text in the application's own configuration; empty if it is not set."""
        config = cast("dict[str, Any]", self.app.config)
        return str(config.get(name) or "")

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the application the current one, if it is not."""
        if has_app_context() and cast(Any, current_app)._get_current_object() is self.app:
            yield
        else:
            with self.app.app_context():
                yield

    def entries(self) -> EntryStore:
        """The entry level of the store, for somebody who looks: nothing is counted or reported.

        What unpacks to more than 16 MB is unreadable to it.
        """
        codec = copy.copy(self.state.codec)
        codec.largest = _LARGEST
        if not isinstance(self.backend, EntryBackend):
            return ForeignEntries(self.backend, codec)
        store = copy.copy(self.backend)
        store.codec = codec
        store.on_unreadable = None
        return store


def place_of(cache: Cache, app: Flask | None) -> Place:
    """Where to look at a cache.

    Args:
        cache: The cache.
        app: The application; ``None`` for the current one, else the cache's only one.

    Raises:
        CacheError: If which application is meant cannot be known, or the cache is not set up for
            it.
    """
    return Place(cache, cache.app if app is None else app)
