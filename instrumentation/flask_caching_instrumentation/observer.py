"""Instrumentation: what watches one application's cache.

The core names it in ``CACHE_INSTRUMENTATION``, makes one for each application, and tells it
what happens (:class:`flask_caching.observer.Observer`).
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import prometheus_client
from flask import Flask
from prometheus_client.registry import CollectorRegistry

from flask_caching.backends.base import SupportsDistinct, SupportsSize
from flask_caching.observer import Bypass, Collision, Load, Lookup, Target, Wait
from flask_caching.parsing import warn_user

from .distinct.cardinality import ServerSketches
from .exposition import mount, remember
from .metrics.counting import Counting
from .metrics.summary import summarize
from .metrics.watched import WatchedBackend, WatchedStore
from .tracing.brackets import NoTracing, tracing_for
from .workers.files import open_collector
from .wrapper.backend import InstrumentedBackend

if TYPE_CHECKING:
    from flask_caching.config import CacheConfig

__all__ = ["Instrumentation"]

BackendT = TypeVar("BackendT")

#: ``backend`` label by class name, for the classes in ``flask_caching.backends``.
_BACKENDS: Final[Mapping[str, str]] = {
    "FileSystemCache": "filesystem",
    "MemcachedCache": "memcached",
    "NullCache": "null",
    "RedisCache": "redis",
    "RedisClusterCache": "redis_cluster",
    "RedisSentinelCache": "redis_sentinel",
    "SASLMemcachedCache": "memcached",
    "SimpleCache": "simple",
    "SpreadSASLMemcachedCache": "memcached",
}


def backend_label(backend: object) -> str:
    """The ``backend`` label of a backend: the kind of ours that it is, else ``custom``."""
    for kind in type(backend).__mro__:
        if kind.__module__.partition(".backends.")[0] == "flask_caching":
            known = _BACKENDS.get(kind.__name__)
            if known:
                return known
    return "custom"


class Instrumentation(Counting):
    """Watches one application's cache: counts what it does.

    Args:
        app: The application; not kept alive.
        config: Its cache configuration.

    Attributes:
        registry: Where the metrics are registered.

    Raises:
        ConfigurationError: If the metrics cannot be registered, or their files not be written.
    """

    def __init__(self, app: Flask, config: CacheConfig) -> None:
        self.registry: CollectorRegistry = config.metrics_registry or prometheus_client.REGISTRY
        self._config = config
        self._collector = open_collector(self.registry, config.metrics_namespace)
        super().__init__(self._collector.open(), self._collector.open_keys(), config)
        self._wrapper: weakref.ref[InstrumentedBackend] | None = None
        self._secret = app.secret_key
        self._tracing = NoTracing()
        if config.otel_metrics:
            from .metrics.meters import register

            register(self._collector, config.meter_provider)
        remember(app, self)
        if config.metrics_path:
            mount(app, config.metrics_path, self.registry)
        if config.debug_ui:
            from .debug.mounting import mount as mount_pages

            mount_pages(app, config)

    def wrap(self, backend: BackendT) -> BackendT:
        """Return a wrapper that times each call to ``backend``; a wrapper stays as it is."""
        if issubclass(type(backend), InstrumentedBackend):
            return backend
        self._label(backend_label(backend))
        self._begin_at_zero()
        self._watch(backend)
        tracing = self._tracing = tracing_for(self._config, backend, self._secret)
        if type(self).lookup_started is Instrumentation.lookup_started:
            # Every hit comes by there, so it goes straight to what would be called.
            object.__setattr__(self, "lookup_started", tracing.lookup_started)
        wrapper = InstrumentedBackend(
            backend,
            self.operations(),
            tracing=tracing,
            sizes=self.sizes(),
            exemplar=self.exemplify_operation,
            times=self.times,
        )
        self._wrapper = weakref.ref(wrapper)
        return cast("BackendT", wrapper)

    def wraps(self, backend: object) -> bool:
        """Whether ``backend`` is the wrapper that this made."""
        return self._wrapper is not None and self._wrapper() is backend

    # Spans first: they never raise, and are ended whatever counting does.

    def lookup_started(self, lookup: Lookup) -> None:
        self._tracing.lookup_started(lookup)

    def end_span(self, lookup: Lookup) -> None:
        self._tracing.lookup_finished(lookup)

    def load_started(self, load: Load) -> None:
        self._tracing.load_started(load)
        super().load_started(load)

    def load_finished(self, load: Load) -> None:
        self._tracing.load_finished(load)
        super().load_finished(load)
        exemplar = self._tracing.exemplar_of(load)
        if exemplar is not None:
            self.exemplify_load(load, exemplar)

    def wait_started(self, wait: Wait) -> None:
        self._tracing.wait_started(wait)

    def wait_finished(self, wait: Wait) -> None:
        self._tracing.wait_finished(wait)
        super().wait_finished(wait)

    def bypass_started(self, bypass: Bypass) -> None:
        self._tracing.bypass_started(bypass)

    def bypass_finished(self, bypass: Bypass) -> None:
        self._tracing.bypass_finished(bypass)

    def collided(self, target: Target, collision: Collision) -> None:
        super().collided(target, collision)
        exemplar = self._tracing.exemplar_here(collision.key)
        if exemplar is not None:
            self.exemplify_collision(target, collision, exemplar)

    def stats(self) -> Mapping[str, Any]:
        """What was counted since this was made, as plain data.

        See :func:`~flask_caching_instrumentation.metrics.summary.summarize` for its shape. Under
        several worker processes it tells this process's numbers, but for the distinct keys, which
        are those of all.
        """
        cache, backend = self._common
        numbers = self._recorder.read()
        numbers["distinct_keys"] = {
            labels: row[0]
            for labels, row in self._collector.distinct_keys().items()
            if self._recorder.asks(labels[:-1])
        }
        return {"cache": cache, "backend": backend, **summarize(numbers)}

    def _watch(self, backend: Any) -> None:
        serializer = self._config.serializer
        word = serializer if isinstance(serializer, str) else "custom"
        self._recorder.watch(WatchedBackend(self._common, backend, word))
        if isinstance(backend, SupportsSize):
            self._recorder.watch(WatchedStore(self._common, backend))
        if self._config.metrics_shared_keys:
            self._distinct.server = _server_of_keys(backend)


def _server_of_keys(backend: Any) -> ServerSketches | None:
    """What counts distinct keys for all machines; warns if the backend cannot."""
    why = ""
    if not isinstance(backend, SupportsDistinct):
        why = f"{type(backend).__name__} cannot count them: it takes Redis"
    elif callable(getattr(backend, "key_prefix", "")):
        why = "CACHE_KEY_PREFIX is a function, and there is no request to ask it for"
    if not why:
        return ServerSketches(backend)
    warn_user(
        f"CACHE_METRICS_SHARED_KEYS is True, but {why}. Distinct keys are counted for each machine "
        "on its own."
    )
    return None
