"""Instrumentation: counts what one application's cache does.

The core names it in ``CACHE_INSTRUMENTATION``, makes one for each application, and tells it
what happens (:class:`flask_caching.observer.Observer`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import prometheus_client
from flask import Flask
from prometheus_client.registry import CollectorRegistry

from flask_caching.backends.base import SupportsSize
from flask_caching.observer import Load, Lookup, NullObserver, Target, Wait

from .backend import WRITES, InstrumentedBackend, Operations
from .cells import collector_for
from .exposition import mount, remember
from .failures import error_type
from .metrics import OTHER, Add, Children, LabelSet, Observe, Recorder
from .multiprocess import FileRecorder, in_files, shared_files
from .summary import summarize

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

_NETWORK: Final = frozenset({"memcached", "redis", "redis_cluster", "redis_sentinel"})

#: Targets whose children are kept at hand. More than labels: an application that decorates on
#: every request makes a new one each time.
_TARGETS_KEPT: Final = 2048

#: Words for one reason, operation or the like, at most; they come from code, not from requests.
_WORDS_LIMIT: Final = 100


def recorder_for(registry: CollectorRegistry, namespace: str) -> Recorder:
    """Where an application counts: in memory, or in files that the workers share."""
    if in_files():
        return FileRecorder(shared_files(registry, namespace))
    return collector_for(registry, namespace).open()


def backend_label(backend: object) -> str:
    """The ``backend`` label of a backend: the kind of ours that it is, else ``custom``."""
    for kind in type(backend).__mro__:
        if kind.__module__.partition(".backends.")[0] == "flask_caching":
            known = _BACKENDS.get(kind.__name__)
            if known:
                return known
    return "custom"


class _Series:
    """The children of one target, each made when it is first needed."""

    __slots__ = ("bypasses", "collisions", "hit", "loads", "lookups", "saved", "stores")

    def __init__(self, recorder: Recorder, asker: LabelSet) -> None:
        def labelled(name: str, *labels: str) -> Add:
            return recorder.counter(name, *asker, *labels)

        def load(outcome: str) -> Observe:
            return recorder.histogram("load_duration_seconds", *asker, outcome)

        self.lookups: Children[str, Add] = Children(partial(labelled, "lookups_total"))
        self.bypasses: Children[str, Add] = Children(partial(labelled, "bypasses_total"))
        self.stores: Children[tuple[str, str], Add] = Children(
            lambda labels: labelled("stores_total", *labels)
        )
        self.collisions: Children[tuple[str, str], Add] = Children(
            lambda labels: labelled("key_collisions_total", *labels)
        )
        self.loads: Children[str, Observe] = Children(load)
        self.hit = recorder.hits(*asker)
        self.saved = labelled("saved_seconds_total")
        # At zero from the start, so that the first of each is seen as an increase.
        _ = self.lookups["miss"], self.stores["stored", ""]


class _Limit:
    """Lets the first so many label values pass; the rest become one, and are counted."""

    __slots__ = ("_dropped", "_known", "_limit")

    def __init__(self, limit: int, dropped: Callable[[], Add]) -> None:
        self._limit = limit
        self._dropped = dropped
        self._known: set[tuple[str, ...]] = set()

    def admit(self, *value: str) -> str:
        """The last part of ``value``, or ``_other`` if it is one too many."""
        if value not in self._known:
            if len(self._known) >= self._limit:
                self._dropped()()
                return OTHER
            self._known.add(value)
        return value[-1]


class Instrumentation(NullObserver):
    """Counts what one application's cache does.

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
        self._name = config.name
        self._recorder = recorder_for(self.registry, config.metrics_namespace)
        self._targets_limit = config.metrics_targets
        self._wrapper: weakref.ref[InstrumentedBackend] | None = None
        self._label("custom")
        remember(app, self)
        if config.metrics_path:
            mount(app, config.metrics_path, self.registry)

    def wrap(self, backend: BackendT) -> BackendT:
        """Return a wrapper that times each call to ``backend``; a wrapper stays as it is."""
        if issubclass(type(backend), InstrumentedBackend):
            return backend
        self._label(backend_label(backend))
        self._begin_at_zero()
        if getattr(backend, "breakers", ()):
            # At zero: a worker that is forked from this one begins there as well.
            _ = self._breakers["open"], self._breakers["half_open"]
        sized = isinstance(backend, SupportsSize)
        if isinstance(backend, SupportsSize):
            self._recorder.watch(self._common, backend)
        wrapper = InstrumentedBackend(backend, _operations(self._recorder, self._common, sized))
        self._wrapper = weakref.ref(wrapper)
        return cast("BackendT", wrapper)

    def wraps(self, backend: object) -> bool:
        """Whether ``backend`` is the wrapper that this made."""
        return self._wrapper is not None and self._wrapper() is backend

    # What the core tells.

    def lookup_finished(self, lookup: Lookup) -> None:
        try:
            series = self._series[lookup.target]
        except KeyError:
            series = self._open(lookup.target)
        if lookup.counts is not None:
            self._count_many(series, lookup.counts, lookup.saved_seconds)
        elif lookup.outcome == "hit":
            saved = lookup.saved_seconds
            # Read from the store, so it may be anything; ``max`` would cost a fifth of the whole.
            series.hit(saved if saved > 0 else 0.0)
        else:
            # What a caller saved who waited for another's load is no hit's.
            series.lookups[lookup.outcome]()
            if lookup.stored is not None:
                series.stores[lookup.stored, self._reasons.admit(lookup.reason)]()
        if lookup.collision is not None:
            series.collisions[lookup.collision.kind, lookup.collision.action]()

    def _count_many(self, series: _Series, counts: Mapping[str, int], saved: float) -> None:
        for outcome, number in counts.items():
            series.lookups[outcome](number)
        if saved > 0:
            series.saved(saved)

    def load_started(self, load: Load) -> None:
        self._in_flight[load.target.source](1)

    def load_finished(self, load: Load) -> None:
        self._in_flight[load.target.source](-1)
        outcome = "ok" if load.error is None else "error"
        self._of(load.target).loads[outcome](load.duration)

    def wait_finished(self, wait: Wait) -> None:
        waited = self._coalesced if wait.served else self._duplicated
        waited[wait.target.source]()

    def bypassed(self, target: Target, reason: str) -> None:
        self._of(target).bypasses[self._reasons.admit(reason)]()

    def stored(self, target: Target, result: str, reason: str) -> None:
        self._of(target).stores[result, self._reasons.admit(reason)]()

    def failed(self, operation: str, error: BaseException, handled: bool) -> None:
        operation = self._operation_names.admit(operation)
        self._errors[operation, error_type(error), "true" if handled else "false"]()

    def breaker_changed(self, before: str, after: str) -> None:
        for state, change in ((before, -1), (after, 1)):
            if state != "closed":
                self._breakers[state](change)

    def stats(self) -> Mapping[str, Any]:
        """What was counted since this was made, as plain data.

        See :func:`.summary.summarize` for its shape. Under several worker processes it tells
        this process's numbers.
        """
        cache, backend = self._common
        return {"cache": cache, "backend": backend, **summarize(self._recorder.read())}

    # Children.

    def _label(self, backend: str) -> None:
        """Bind everything that carries the common labels."""
        common = self._common = (self._name, backend)
        counter = self._recorder.counter
        self._series: dict[Target, _Series] = {}
        self._in_flight = Children(partial(self._recorder.gauge, "loads_in_flight", *common))
        self._breakers = Children(partial(self._recorder.gauge, "breaker_state", *common))
        self._coalesced = Children(partial(counter, "coalesced_loads_total", *common))
        self._duplicated = Children(partial(counter, "duplicate_loads_total", *common))
        self._errors: Children[tuple[str, str, str], Add] = Children(
            lambda labels: counter("errors_total", *common, *labels)
        )

        def limit(label: str, number: int) -> _Limit:
            # Not made to exist at zero: most applications never drop one.
            return _Limit(number, lambda: counter("dropped_labels_total", *common, label))

        self._targets = limit("target", self._targets_limit)
        self._reasons = limit("reason", _WORDS_LIMIT)
        self._operation_names = limit("operation", _WORDS_LIMIT)

    def _begin_at_zero(self) -> None:
        """Make exist what an alert or a first increase is measured from."""
        self._of(Target("direct", "direct"))
        self._errors["get", "serialization", "true"]
        if self._common[-1] in _NETWORK:
            for operation in ("get", "set"):
                for kind in ("connection", "timeout"):
                    self._errors[operation, kind, "true"]

    def _of(self, target: Target) -> _Series:
        return self._series.get(target) or self._open(target)

    def _open(self, target: Target) -> _Series:
        """The children of a target that is met for the first time, or again after long."""
        name = target.name
        if target.source != "direct":
            name = self._targets.admit(target.source, name)
        series = _Series(self._recorder, (*self._common, target.source, name))
        for children in (self._in_flight, self._coalesced, self._duplicated):
            children[target.source]
        if len(self._series) >= _TARGETS_KEPT:
            self._series = {}
        self._series[target] = series
        return series


def _operations(recorder: Recorder, common: LabelSet, sized: bool) -> Operations:
    """What observes the calls to a backend; tells the recorder where a write changed a size."""
    changed = recorder.changed if sized else None

    def make(labels: tuple[str, str]) -> Observe:
        observe = recorder.histogram("operation_duration_seconds", *common, *labels)
        if changed is None or labels[0] not in WRITES:
            return observe
        return _then(observe, changed)

    return Children(make)


def _then(observe: Observe, changed: Callable[[], None]) -> Observe:
    def observe_write(seconds: float, /) -> None:
        observe(seconds)
        changed()

    return observe_write
