"""An application's caches on stores of their own for a while, so that the real ones see nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, cast

from flask import Flask

from flask_caching import Cache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.cache import assemble
from flask_caching.observer import NullObserver, Observer
from flask_caching.state import AppState

from ..forksafe import ForkSafeLock

__all__ = ["Isolated"]

#: One application at a time: to restore what another one has replaced would be wrong.
_lock = ForkSafeLock()


class Isolated:
    """Every cache of an application on an empty store in memory, while inside.

    What other threads of the process do with them meanwhile, they do with those stores too: this
    is for a process that serves nobody. What a subclass of ``Cache`` writes elsewhere by itself
    (overriding ``set`` without calling ``super().set()``) it goes on writing.

    Args:
        app: The application.
        observers: Who watches which of its caches; nobody watches the others.
    """

    def __init__(self, app: Flask, observers: Mapping[Cache, Observer]) -> None:
        self._app = app
        self._observers = observers
        self._states: dict[Cache, AppState] = {}
        self._backends: dict[Any, Any] = {}

    def __enter__(self) -> Isolated:
        _lock.__enter__()
        self._states = dict(self._extension("flask_caching"))
        self._backends = dict(self._extension("cache"))
        for state in self._states.values():
            if state.route_check is not None:
                # The real observer is told of the views, which happens once.
                state.route_check(self._app)
        self.renew()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._extension("flask_caching").update(self._states)
            self._extension("cache").update(self._backends)
        finally:
            _lock.__exit__(kind, error, trace)

    def renew(self) -> None:
        """Forget what was stored so far."""
        for cache, state in self._states.items():
            observer = self._observers.get(cache) or NullObserver()
            private = _private(cache, self._app, state, observer)
            self._extension("flask_caching")[cache] = private
            self._extension("cache")[cache] = private.backend

    def _extension(self, name: str) -> dict[Any, Any]:
        return cast("dict[Any, Any]", self._app.extensions[name])


def _private(cache: Cache, app: Flask, state: AppState, observer: Observer) -> AppState:
    """A cache like an application's own, on an empty store that only it has."""
    config = replace(
        state.config,
        type="SimpleCache",
        args=(),
        options=MappingProxyType({}),
        threshold=0,
        # Also where it is turned off: what would be read is asked.
        enabled=True,
        enable_signals=False,
        single_flight="off",
    )
    backend = SimpleCache(threshold=0, default_timeout=config.default_timeout)
    backend.codec = state.codec
    return assemble(cache, app, config, backend, state.codec, observer)
