"""Several worker processes: each writes what it has counted into files that all can read.

It counts in memory as a single process does. A few times a second what has changed is written, in
the form of prometheus_client (:mod:`.valuefile`), so that whoever reads that directory sees it;
:mod:`.scraping` does.
"""

from __future__ import annotations

import os
from typing import Final, TypeAlias

from prometheus_client import Gauge
from prometheus_client.registry import CollectorRegistry

from ..distinct.cardinality import FileSketches
from ..forksafe import ForkSafeLock
from ..metrics.catalogue import Child, family, full_name, go_string
from ..metrics.collector import Collector, collector_for, forget_faults, process_numbers
from ..metrics.rows import Row, Sums, add_rows, is_gauge
from ..ticker import ticker
from .slots import MODE, PREFIX, Slot, directory, in_files
from .valuefile import ValueFile, value_key

__all__ = ["WorkerFiles", "files_of", "open_collector"]

#: The numbers of each series, by namespace and series.
_Numbers: TypeAlias = dict[tuple[str, Child], Row]

_MODES: Final[frozenset[str]] = frozenset(getattr(Gauge, "_MULTIPROC_MODES", ()))


def _mode(*wanted: str) -> str:
    """The first way of adding gauges up that the installed prometheus_client knows."""
    return next((each for each in wanted if each in _MODES), wanted[-1])


#: The kind of file by how gauges are merged.
_GAUGE_FILES: Final = {
    "sum": f"gauge_{_mode('livesum')}",
    "max": f"gauge_{_mode('livemax', 'max')}",
    "latest": f"gauge_{_mode('livemostrecent', 'min')}",
}


def _kind(child: Child) -> str:
    """Which file a series is in."""
    described = family(child[0])
    return _GAUGE_FILES[described.merge] if described.kind == "gauge" else described.kind


class WorkerFiles:
    """This process's part of the directory.

    Args:
        path: The directory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = ForkSafeLock()
        self._collectors: list[Collector] = []
        self._slot: Slot | None = None
        self._pid = os.getpid()
        #: What the parent had told of when this process was forked, and tells of itself.
        self._inherited: _Numbers = {}
        self._forget()

    def add(self, collector: Collector) -> None:
        """Write what ``collector`` has as well; it is kept alive, since its counts have to stay."""
        with self.lock:
            if collector not in self._collectors:
                self._collectors.append(collector)

    @property
    def collectors(self) -> list[Collector]:
        """Those whose numbers are written."""
        return list(self._collectors)

    @property
    def slot(self) -> int | None:
        """The number of this process's slot, if it has written anything."""
        return None if self._slot is None else self._slot.number

    def push(self) -> bool:
        """Write what has changed since the last time. Returns whether something had.

        Raises:
            OSError: If the directory is gone, or full. What was not written is tried again.
        """
        if self._pid != os.getpid():
            self._notice_fork()
        with self.lock:
            numbers = self._gather()
            news = {key: row for key, row in numbers.items() if self._written.get(key) != row}
            gone = [key for key in self._written.keys() - numbers.keys() if is_gauge(key[1])]
            if not news and not gone:
                return False
            self._be_there()
            if gone:
                self._renew_gauges()
            news = {key: row for key, row in numbers.items() if self._written.get(key) != row}
            for key, row in news.items():
                self._write(key, row)
                self._written[key] = row
            return True

    def after_fork(self) -> None:
        """Let the parent's files go, and count from zero into others."""
        self._leave_to_parent()
        for collector in self._collectors:
            collector.begin_anew()
        forget_faults()

    def _notice_fork(self) -> None:
        """:meth:`after_fork`, noticed late: who forked did not run Python's hooks (uWSGI).

        By now this process has counted something itself. What the parent told of is known.
        """
        inherited = {key: row for key, row in self._written.items() if not is_gauge(key[1])}
        self._leave_to_parent()
        self._inherited = inherited

    def _leave_to_parent(self) -> None:
        self._pid = os.getpid()
        self._inherited = {}
        if self._slot is not None:
            self._slot.give_up()
            self._slot = None
        self._forget()

    def _gather(self) -> _Numbers:
        """What this process has counted, whatever registry it was counted for."""
        sums: dict[str, Sums] = {}
        for collector in self._collectors:
            add_rows(sums.setdefault(collector.namespace, {}), collector.counted())
        numbers = {
            (namespace, (name, labels)): row
            for namespace, of_namespace in sums.items()
            for name, rows in {**of_namespace, **process_numbers()}.items()
            for labels, row in rows.items()
        }
        for key, before in self._inherited.items():
            if key in numbers:
                pairs = zip(numbers[key], before, strict=True)
                numbers[key] = [number - other for number, other in pairs]
        return numbers

    def _forget(self) -> None:
        for each in getattr(self, "_files", {}).values():
            each.close()
        self._files: dict[str, ValueFile] = {}
        self._written: _Numbers = {}

    def _be_there(self) -> None:
        """Have a slot and files; new ones for those that were removed, as at a restart."""
        if self._slot is not None and not self._slot.retake():
            self._slot.give_up()
            self._slot = None
            self._forget()
        if self._slot is None:
            self._slot = Slot(self.path)
        for kind in [kind for kind, file in self._files.items() if not file.exists]:
            self._drop(kind)

    def _renew_gauges(self) -> None:
        """Begin the gauges' files anew, without those of applications that are gone."""
        for kind in _GAUGE_FILES.values():
            file = self._files.get(kind)
            if file is not None:
                file.remove()
                self._drop(kind)

    def _drop(self, kind: str) -> None:
        """Forget a file that is gone, so that all it held is written into another one."""
        self._files.pop(kind).close()
        self._written = {key: row for key, row in self._written.items() if _kind(key[1]) != kind}

    def _file(self, kind: str) -> ValueFile:
        file = self._files.get(kind)
        if file is None:
            if self._slot is None:
                raise RuntimeError("there is no slot to write to")
            file = self._files[kind] = ValueFile(self._slot.file(kind))
        return file

    def _write(self, key: tuple[str, Child], row: Row) -> None:
        namespace, (name, labels) = key
        described = family(name)
        exported = full_name(namespace, described.name.removesuffix("_total"))

        def put(kind: str, sample: str, number: float, le: float | None = None) -> None:
            names, values = described.labels, labels
            if le is not None:
                names, values = (*names, "le"), (*values, go_string(le))
            file = self._file(kind)
            place = value_key(exported, sample, names, values, described.help)
            # A counter goes on from where the slot's last owner left it.
            before = 0.0 if described.kind == "gauge" else file.values.get(place, 0.0)
            file.write(place, before + number, row[1] if len(row) == 2 else 0.0)

        if described.kind == "gauge":
            put(_GAUGE_FILES[described.merge], exported, row[0])
        elif described.kind == "counter":
            put("counter", f"{exported}_total", row[0])
        else:
            old = self._written.get(key)
            for place, bound in enumerate((*described.buckets, _ABOVE)):
                if old is None or row[place] != old[place]:
                    put("histogram", f"{exported}_bucket", row[place], bound)
            put("histogram", f"{exported}_sum", row[-1])


_ABOVE: Final = float("inf")

_files: dict[str, WorkerFiles] = {}
_lock = ForkSafeLock()


def files_of(path: str) -> WorkerFiles:
    """This process's part of a directory."""
    with _lock:
        files = _files.get(path)
        if files is None:
            files = _files[path] = WorkerFiles(path)
            ticker.add("metrics.push", files.push)
        return files


def open_collector(registry: CollectorRegistry, namespace: str) -> Collector:
    """The collector of a registry and namespace, which counts in memory or for all workers.

    Raises:
        ConfigurationError: If the metrics cannot be registered, or the directory for their
            files does not exist.
    """
    if not in_files():
        return collector_for(registry, namespace)
    files = files_of(directory())
    known = {each.namespace: each.sketches for each in files.collectors}
    sketches = known.get(namespace) or FileSketches(
        os.path.join(files.path, f"{PREFIX}{namespace}.keys"), MODE
    )
    # The keys go first, so that a turn of the ticker writes what it has.
    collector = collector_for(registry, namespace, sketches, ticker)
    files.add(collector)
    return collector


def _before_fork() -> None:
    # Not while one of them takes a slot: the child would have the lock, and keep it.
    for files in _files.values():
        files.lock.__enter__()


def _after_fork_in_parent() -> None:
    for files in _files.values():
        files.lock.__exit__(None, None, None)


def _after_fork() -> None:
    for files in _files.values():
        files.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork,
    )
