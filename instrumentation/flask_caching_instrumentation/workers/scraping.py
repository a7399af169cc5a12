"""A scrape: what the files of all workers add up to, and what the scraped worker adds.

Two things are not in the files: what all workers of a machine know alike (the size of a directory
of entries), and the distinct keys, whose union is more than a sum. And exemplars, of which the
scraped worker shows its own.
"""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Exemplar, Sample

from flask_caching.observer import report_fault

from ..metrics.catalogue import LabelSet, family, full_name
from ..metrics.collector import Collector, export, read_shared
from ..ticker import ticker
from .files import WorkerFiles, files_of
from .slots import PREFIX, dead_slots, directory

__all__ = ["scrape_registry"]

#: prometheus_client has no types for it.
_merge = cast(
    "Callable[[list[str]], Iterable[Metric]]",
    MultiProcessCollector.merge,  # pyright: ignore[reportUnknownMemberType]
)


class _AllWorkers:
    """The sum of all workers' files, and what the scraped worker adds.

    Gauge files of workers that do not exist any more are left out: nobody may have called
    ``mark_process_dead`` for them. Their counters stay, as they must.

    Args:
        files: This process's part.
        names: The samples to show; empty for all. A registry restricts only collectors that
            can say their families' names beforehand.
    """

    def __init__(self, files: WorkerFiles, names: Collection[str]) -> None:
        self._files = files
        self._names = frozenset(names)

    def collect(self) -> Iterator[Metric]:
        merged = {metric.name: metric for metric in _merge_all(self._paths())}
        by_namespace: dict[str, list[Collector]] = {}
        for collector in self._files.collectors:
            by_namespace.setdefault(collector.namespace, []).append(collector)
        for namespace, collectors in by_namespace.items():
            _add_own(merged, namespace, collectors)
        for metric in merged.values():
            if self._names:
                metric.samples = [each for each in metric.samples if each.name in self._names]
            # OpenMetrics wants a histogram's samples side by side; old versions mix them.
            metric.samples.sort(key=_series)
            if metric.samples:
                yield metric

    def _paths(self) -> list[str]:
        path = self._files.path
        paths = glob.glob(os.path.join(glob.escape(path), "*.db"))
        dead: set[int] = set()
        try:
            dead = dead_slots(path, self._files.slot)
        except OSError as fault:
            report_fault("metrics.slots", fault)
        # Where others' files carry something else, it does not say which process is gone.
        by_process = any(each.endswith(f"_{os.getpid()}.db") for each in paths)
        return [each for each in paths if not _is_past(os.path.basename(each), dead, by_process)]


def _add_own(merged: dict[str, Metric], namespace: str, collectors: Sequence[Collector]) -> None:
    """What is not in the files: what all workers know alike, distinct keys, exemplars."""
    sums = read_shared(each for collector in collectors for each in collector.watched())
    # Of a file that they share.
    sums["distinct_keys"] = {
        labels: row for collector in collectors for labels, row in collector.distinct_keys().items()
    }
    for metric in export(namespace, sums, {}):
        if metric.samples:
            first = merged.setdefault(metric.name, metric)
            if first is not metric:
                first.samples.extend(metric.samples)
    examples = {
        (full_name(namespace, name), _labels_of(name, labels), bound): exemplar
        for collector in collectors
        for ((name, labels), bound), exemplar in list(collector.exemplars.items())
    }
    for name in {each[0].removesuffix("_total") for each in examples}:
        known = merged.get(name)
        if known is not None:
            known.samples = [_exemplified(each, examples) for each in known.samples]


#: Whose exemplar it is: the family's exported name, label values by label name, and the bucket.
_Example: TypeAlias = tuple[str, LabelSet, float]


def _labels_of(name: str, labels: LabelSet) -> LabelSet:
    """Label values by the alphabetical order of the labels' names."""
    return tuple(value for _, value in sorted(zip(family(name).labels, labels, strict=True)))


def _exemplified(sample: Sample, examples: Mapping[_Example, Exemplar]) -> Sample:
    """A sample with this worker's last example of it, if there is one."""
    if not sample.name.endswith(("_bucket", "_total")):
        return sample
    bound = float(sample.labels.get("le", "inf"))
    labels = tuple(value for label, value in sorted(sample.labels.items()) if label != "le")
    found = examples.get((sample.name.removesuffix("_bucket"), labels, bound))
    return sample if found is None else sample._replace(exemplar=found)


def _merge_all(paths: list[str]) -> list[Metric]:
    """The sum of files; one that cannot be read is counted and left out, not the scrape's end."""
    try:
        return list(_merge(paths))
    except (OSError, RuntimeError, ValueError, LookupError, struct.error):
        readable = [each for each in paths if _is_readable(each)]
        return list(_merge(readable))


def _is_readable(path: str) -> bool:
    try:
        list(_merge([path]))
    except (OSError, RuntimeError, ValueError, LookupError, struct.error) as fault:
        report_fault("metrics.file", fault)
        return False
    return True


def _series(sample: Sample) -> list[tuple[str, str]]:
    return sorted(label for label in sample.labels.items() if label[0] != "le")


def _is_past(name: str, dead: set[int], by_process: bool) -> bool:
    """Whether a file holds the live gauges of a process that is gone.

    Args:
        name: The file's.
        dead: The slots that nobody has.
        by_process: Whether the names of others' files end in numbers of processes.
    """
    kind, _, rest = name.partition("_")
    mode, _, owner = rest.removesuffix(".db").partition("_")
    if kind != "gauge":
        return False
    slot = owner.removeprefix(PREFIX)
    if slot != owner:
        return slot.isdigit() and int(slot) in dead
    return by_process and mode.startswith("live") and not _runs(owner)


def _runs(number: str) -> bool:
    """Whether a process of this number exists; of one that is no number, who knows."""
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
    files = files_of(directory())
    ticker.tick()
    registry = CollectorRegistry()
    registry.register(_AllWorkers(files, names))
    return registry
