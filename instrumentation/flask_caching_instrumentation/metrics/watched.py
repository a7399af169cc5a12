"""What is not counted but asked for when somebody reads: stores, servers, versions."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from flask_caching.backends.base import SupportsSize
from flask_caching.breaker import Breaker
from flask_caching.observer import report_fault

from .catalogue import LabelSet, installed_version
from .rows import Row, Sums

__all__ = ["Watched", "WatchedBackend", "WatchedStore"]

#: Backend labels of stores that all workers of a machine see alike.
_SHARED_STORES: Final = frozenset({"filesystem"})

#: Which distribution the client of a kind of server is.
_CLIENTS: Final = {
    "redis": "redis",
    "redis_cluster": "redis",
    "redis_sentinel": "redis",
    "memcached": "pymemcache",
}


class Watched(Protocol):
    """Something that is asked for its numbers.

    Attributes:
        shared: Whether all workers of a machine would answer alike, so that one answer is enough.
    """

    @property
    def shared(self) -> bool: ...

    @property
    def identity(self) -> object:
        """Equal for those that tell of the same store."""
        ...

    def gauges(self) -> Sums:
        """What it says of itself now; empty when it is gone, or does not know."""
        ...

    def counters(self) -> Sums:
        """What it has counted in this process."""
        ...

    def begin_anew(self) -> None:
        """Count from zero: this is a forked child now."""
        ...


class WatchedStore:
    """A store in this process or on this machine: its size, its limit and its evictions.

    Held weakly; what it counted outlives it.

    Args:
        labels: The common labels.
        store: The store.
    """

    def __init__(self, labels: LabelSet, store: SupportsSize) -> None:
        self.labels = labels
        self._store = weakref.ref(store)
        self._evictions = store.evictions
        self._before: dict[str, int] = {}

    @property
    def shared(self) -> bool:
        return self.labels[-1] in _SHARED_STORES

    @property
    def identity(self) -> object:
        store = self._store()
        place = getattr(store, "cache_dir", id(self))
        return self.labels, place, str(getattr(store, "key_prefix", ""))

    def gauges(self) -> Sums:
        store = self._store()
        if store is None:
            return {}
        try:
            sizes: Sums = {"entries": {self.labels: [store.size()]}}
            if store.threshold:
                sizes["entries_limit"] = {self.labels: [store.threshold]}
        except Exception as fault:
            # A scrape must not fail with a store.
            report_fault("metrics.entries", fault)
            return {}
        return sizes

    def counters(self) -> Sums:
        store = self._store()
        if store is not None:
            self._evictions = store.evictions
        evictions: dict[LabelSet, Row] = {
            (*self.labels, reason): [count - self._before.get(reason, 0)]
            for reason, count in dict(self._evictions).items()
        }
        return {"evictions_total": evictions}

    def begin_anew(self) -> None:
        self._before = dict(self._evictions)


class WatchedBackend:
    """Which backend it is, and whether its servers answer. No server is asked for it.

    Held weakly where that can be.

    Args:
        labels: The common labels.
        backend: The backend, without a wrapper.
        serializer: What turns its values into bytes, in a word.
    """

    shared = False

    @property
    def identity(self) -> object:
        return id(self)

    def __init__(self, labels: LabelSet, backend: Any, serializer: str) -> None:
        self.labels = labels
        kind = f"{type(backend).__module__}.{type(backend).__qualname__}"
        client = _client_of(labels[-1])
        self._info: LabelSet = (*labels, kind, client, serializer)
        self._backend: Callable[[], Any]
        try:
            self._backend = weakref.ref(backend)
        except TypeError:
            # It cannot be referenced weakly.
            self._backend = lambda: backend

    def gauges(self) -> Sums:
        backend = self._backend()
        if backend is None:
            return {}
        gauges: Sums = {"backend_info": {self._info: [1]}}
        breakers: Sequence[Breaker] = tuple(getattr(backend, "breakers", ()))
        if breakers:
            gauges["breaker_state"] = {
                (*self.labels, state): [sum(each.state == state for each in breakers)]
                for state in ("open", "half_open")
            }
        asked = [each for each in breakers if each.asked_at]
        if asked:
            up = all(each.up for each in asked)
            gauges["backend_up"] = {self.labels: [up, max(each.asked_at for each in asked)]}
        return gauges

    def counters(self) -> Sums:
        return {}

    def begin_anew(self) -> None:
        return None


def _client_of(backend: str) -> str:
    """The client library of a kind of backend and its version; empty where there is none."""
    name = _CLIENTS.get(backend, "")
    if name == "pymemcache" and name not in sys.modules:
        name = "python-binary-memcached"
    return f"{name} {installed_version(name)}" if name else ""
