"""Counting in the files that several worker processes share (``PROMETHEUS_MULTIPROC_DIR``).

prometheus_client decides when it is imported whether its metrics live in memory or in mapped
files, one set for each process; a scrape of any worker adds the files up. Here its own
counters, histograms and gauges are used, their labels bound once.

A process writes a label set to one place in its file whatever the registry, so the metric
objects are made once for each namespace and process, and shared by its applications.

What a store holds is only known to the process that has it: it is pushed into the files
:data:`PUSH_DELAY` seconds after a write. A store that the workers share (a directory) is
not, or it would be counted once for each of them: the worker that is scraped reports it.
"""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, cast

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

from flask_caching.backends.base import SupportsSize
from flask_caching.errors import ConfigurationError
from flask_caching.observer import faults, report_fault

from .metrics import (
    CATALOGUE,
    Add,
    Child,
    LabelSet,
    Numbers,
    Observe,
    Timing,
    build_labels,
    family,
    full_name,
    telemetry_errors,
)
from .stores import Sums, WatchedStore, add_up

__all__ = ["FileRecorder", "in_files", "scrape_registry", "shared_files"]

#: Seconds after a write until what the store then holds is in the files.
PUSH_DELAY: Final = 0.2

#: Backend labels of stores that all workers of a machine see alike.
_SHARED_STORES: Final = frozenset({"filesystem"})

_ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"


def in_files() -> bool:
    """Whether prometheus_client keeps this process's metrics in shared files."""
    return values.ValueClass is not values.MutexValue


def directory() -> str:
    """Where those files are.

    Raises:
        ConfigurationError: If the environment variable names no directory.
    """
    # The lower-case name is what old versions of prometheus_client read.
    path = os.environ.get(_ENVIRONMENT) or os.environ.get(_ENVIRONMENT.lower(), "")
    if not os.path.isdir(path):
        raise ConfigurationError(
            f"{_ENVIRONMENT} is {path!r}, which is not a directory: create it (empty) before the "
            "workers start, or unset the variable before prometheus_client is imported."
        )
    return path


class SharedFiles:
    """The metric objects of one namespace in this process.

    Args:
        namespace: Prefix of every family's name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.counters: dict[str, Counter] = {}
        self.gauges: dict[str, Gauge] = {}
        self.histograms: dict[str, Histogram] = {}
        for name, kind, labels, text, buckets in CATALOGUE:
            exported = full_name(namespace, name)
            if kind == "counter":
                self.counters[name] = Counter(exported, text, labels, registry=None)
            elif kind == "histogram":
                self.histograms[name] = Histogram(
                    exported, text, labels, registry=None, buckets=buckets
                )
            else:
                # A worker that is gone holds nothing; the versions are the same in all.
                self.gauges[name] = Gauge(
                    exported,
                    text,
                    labels,
                    registry=None,
                    multiprocess_mode="max" if name == "build_info" else "livesum",
                )
        self._build = build_labels()
        self._stores: list[WatchedStore] = []
        self._pushed: Sums = {}
        self._told: dict[LabelSet, int] = {}
        self._timer: threading.Timer | None = None
        self.lock = threading.Lock()

    def register(self, registry: CollectorRegistry) -> None:
        """Let ``registry`` show this process's numbers as well."""
        for metric in (*self.counters.values(), *self.gauges.values(), *self.histograms.values()):
            try:
                registry.register(metric)
            except ValueError:
                continue  # It has them from an earlier application.

    def watch(self, labels: LabelSet, store: SupportsSize) -> None:
        """Push what ``store`` holds and has evicted, as long as it exists."""
        with self.lock:
            self._stores.append(WatchedStore(labels, store))
        self.push()

    def push_soon(self) -> None:
        """Push within :data:`PUSH_DELAY` seconds; called after each write."""
        timer = self._timer
        # After a fork the timer's thread does not exist any more.
        if timer is None or not timer.is_alive():
            self._timer = timer = threading.Timer(PUSH_DELAY, self._push_later)
            timer.daemon = True
            timer.start()

    def _push_later(self) -> None:
        # Forgotten before the push, so that a write during it starts another.
        self._timer = None
        try:
            self.push()
        except Exception as fault:
            report_fault("metrics.push", fault)

    def push(self) -> None:
        """Write what only this process knows into its files: sizes, evictions, our own errors."""
        with self.lock:
            self.gauges["build_info"].labels(*self._build).set(1)
            self._push_stores()
            for labels, count in telemetry_errors(faults).items():
                news = max(count - self._told.get(labels, 0), 0)
                self._told[labels] = count
                self.counters["telemetry_errors_total"].labels(*labels).inc(news)

    def _push_stores(self) -> None:
        sizes: Sums = {}
        for each in self._stores:
            for (name, labels), number in each.new_evictions().items():
                self.counters[name].labels(*labels).inc(number)
            if not _is_shared(each):
                add_up(sizes, each.sizes())
        # The last store of its labels may be gone: then they hold nothing.
        for name, labels in {*self._pushed, *sizes}:
            self.gauges[name].labels(*labels).set(sizes.get((name, labels), 0))
        self._pushed = sizes
        self._stores = [each for each in self._stores if not each.gone]

    def shared_sizes(self) -> Sums:
        """Gauges of the stores that all workers share; two caches on one are counted twice."""
        sizes: Sums = {}
        for each in list(self._stores):
            if _is_shared(each):
                add_up(sizes, each.sizes())
        return sizes

    def read(self) -> Numbers:
        """This process's numbers, those of all its applications."""
        numbers: Numbers = {}
        for name, metric in (*self.counters.items(), *self.gauges.items()):
            numbers[name] = {
                _values(name, sample.labels): sample.value
                for sample in _samples(metric)
                if not sample.name.endswith("_created")
            }
        for name, histogram in self.histograms.items():
            counts: dict[LabelSet, float] = {}
            sums: dict[LabelSet, float] = {}
            for sample in _samples(histogram):
                if sample.labels.get("le") == "+Inf":
                    counts[_values(name, sample.labels)] = sample.value
                elif sample.name.endswith("_sum"):
                    sums[_values(name, sample.labels)] = sample.value
            numbers[name] = {
                labels: Timing(int(count), sums.get(labels, 0.0))
                for labels, count in counts.items()
            }
        return numbers


def _is_shared(store: WatchedStore) -> bool:
    return store.labels[-1] in _SHARED_STORES


def _samples(metric: Collector) -> Iterator[Sample]:
    for described in metric.collect():
        yield from described.samples


def _values(name: str, labels: dict[str, str]) -> LabelSet:
    return tuple(labels[label] for label in family(name).labels)


class FileRecorder:
    """The recorder of one application (see :class:`.metrics.Recorder`).

    Applications of one process with caches of the same name share their numbers here, so
    :meth:`read` tells what this one's label sets gained since it was made.
    """

    def __init__(self, files: SharedFiles) -> None:
        self.changed = files.push_soon
        self._files = files
        self._mine: set[Child] = set()
        self._stores: list[WatchedStore] = []
        self._before = files.read()
        self._pid = os.getpid()

    def counter(self, name: str, *labels: str) -> Add:
        self._mine.add((name, labels))
        return self._files.counters[name].labels(*labels).inc

    def gauge(self, name: str, *labels: str) -> Add:
        self._mine.add((name, labels))
        return self._files.gauges[name].labels(*labels).inc

    def histogram(self, name: str, *labels: str) -> Observe:
        self._mine.add((name, labels))
        return self._files.histograms[name].labels(*labels).observe

    def hits(self, *asker: str) -> Observe:
        hit = self.counter("lookups_total", *asker, "hit")
        save = self.counter("saved_seconds_total", *asker)

        def add(seconds: float, /) -> None:
            hit()
            # Each write to a file takes the lock of them all.
            if seconds:
                save(seconds)

        return add

    def watch(self, labels: LabelSet, store: SupportsSize) -> None:
        self._files.watch(labels, store)
        self._stores.append(WatchedStore(labels, store))

    def read(self) -> Numbers:
        if self._pid != os.getpid():
            # A fork begins again at zero, in files of its own.
            self._pid, self._before = os.getpid(), {}
        now = self._files.read()
        numbers: Numbers = {}
        for name, labels in self._mine:
            value = now[name].get(labels)
            if value is not None:
                before = self._before.get(name, {}).get(labels)
                numbers.setdefault(name, {})[labels] = _gained(name, value, before)
        for store in self._stores:
            for (name, labels), number in {**store.sizes(), **store.evictions()}.items():
                numbers.setdefault(name, {})[labels] = number
        return numbers


def _gained(name: str, value: float | Timing, before: float | Timing | None) -> float | Timing:
    if before is None or family(name).kind == "gauge":
        return value
    if isinstance(value, Timing) and isinstance(before, Timing):
        return Timing(value.calls - before.calls, value.seconds - before.seconds)
    if isinstance(value, Timing) or isinstance(before, Timing):
        raise TypeError(f"{name} was read as a histogram and as a counter")
    return value - before


#: prometheus_client has no types for it.
_merge = cast(
    "Callable[[list[str]], Iterable[Metric]]",
    MultiProcessCollector.merge,  # pyright: ignore[reportUnknownMemberType]
)


class _FilesCollector:
    """The sum of all workers' files, and what the scraped worker adds.

    Gauge files of workers that do not exist any more are left out: nobody may have called
    ``mark_process_dead`` for them. Their counters stay, as they must.

    Args:
        path: The directory.
        names: The samples to show; empty for all. A registry restricts only collectors that
            can say their families' names beforehand.
    """

    def __init__(self, path: str, names: Collection[str]) -> None:
        self._path = path
        self._names = frozenset(names)

    def collect(self) -> Iterator[Metric]:
        paths = glob.glob(os.path.join(glob.escape(self._path), "*.db"))
        merged = {
            metric.name: metric for metric in _merge([each for each in paths if _counts(each)])
        }
        for files in list(_shared.values()):
            for (name, labels), number in files.shared_sizes().items():
                exported = full_name(files.namespace, name)
                described = family(name)
                metric = merged.setdefault(exported, Metric(exported, described.help, "gauge"))
                metric.add_sample(
                    exported, dict(zip(described.labels, labels, strict=True)), number
                )
        for metric in merged.values():
            if self._names:
                metric.samples = [each for each in metric.samples if each.name in self._names]
            # OpenMetrics wants a histogram's samples side by side; old versions mix them.
            metric.samples.sort(key=_series)
            if metric.samples:
                yield metric


def _series(sample: Sample) -> list[tuple[str, str]]:
    return sorted(label for label in sample.labels.items() if label[0] != "le")


def _counts(path: str) -> bool:
    """Whether a file is to be read: not if it holds live gauges of a process that is gone."""
    kind, _, rest = os.path.basename(path).partition("_")
    mode, _, number = rest.removesuffix(".db").partition("_")
    if os.name != "posix" or kind != "gauge" or not mode.startswith("live"):
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True  # Another user's process, or an identifier that is not a process number.
    return True


def scrape_registry(names: Collection[str] = ()) -> CollectorRegistry:
    """A registry that shows all workers' metrics, those of the application's own included.

    Args:
        names: The samples to show; empty for all.
    """
    for files in list(_shared.values()):
        files.push()
    registry = CollectorRegistry()
    registry.register(_FilesCollector(directory(), names))
    return registry


_shared: dict[str, SharedFiles] = {}
_shared_lock = threading.Lock()


def shared_files(registry: CollectorRegistry, namespace: str) -> SharedFiles:
    """The metric objects of ``namespace``, registered in ``registry``; made on first use.

    Raises:
        ConfigurationError: If the directory for the files does not exist.
    """
    directory()
    with _shared_lock:
        files = _shared.get(namespace)
        if files is None:
            files = _shared[namespace] = SharedFiles(namespace)
    files.register(registry)
    files.push()
    return files


def _renew_locks() -> None:
    # A thread that held one when the process forked does not exist in the child.
    global _shared_lock
    _shared_lock = threading.Lock()
    for files in _shared.values():
        files.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
