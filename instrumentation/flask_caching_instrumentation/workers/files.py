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
from ..metrics.rows import Row, Sums, add_rows
from ..ticker import ticker
from .slots import MODE, PREFIX, Slot, directory, in_files
from .valuefile import ValueFile, value_key

__all__ = ["WorkerFiles", "files_of", "open_collector"]

#: A series of a namespace.
_Key: TypeAlias = tuple[str, Child]

#: The numbers of each series, by namespace.
_Numbers: TypeAlias = dict[str, Sums]

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


def _kind(name: str) -> str:
    """Which file the series of a family are in."""
    described = family(name)
    return _GAUGE_FILES[described.merge] if described.kind == "gauge" else described.kind


def _has(numbers: _Numbers, key: _Key) -> bool:
    """Whether a series is among those."""
    namespace, (name, labels) = key
    return labels in numbers.get(namespace, {}).get(name, {})


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
        self._inherited: dict[_Key, Row] = {}
        #: What was gathered when all of it was written.
        self._read: _Numbers = {}
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
            gone = any(
                not _has(numbers, key)
                for kind in _GAUGE_FILES.values()
                for key in self._written.get(kind, ())
            )
            if not gone and not self._news(numbers):
                return False
            self._be_there()
            if gone:
                self._renew_gauges()
            for key, row in self._news(numbers).items():
                self._write(key, row)
            self._read = numbers
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
        inherited = {
            key: row
            for kind, rows in self._written.items()
            if kind not in _GAUGE_FILES.values()
            for key, row in rows.items()
        }
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
        numbers: _Numbers = {}
        for collector in self._collectors:
            add_rows(numbers.setdefault(collector.namespace, {}), collector.counted())
        for sums in numbers.values():
            sums.update(process_numbers())
        for (namespace, (name, labels)), before in self._inherited.items():
            rows = numbers.get(namespace, {}).get(name, {})
            if labels in rows:
                pairs = zip(rows[labels], before, strict=True)
                own = [number - other for number, other in pairs]
                numbers[namespace][name] = {**rows, labels: own}
        return numbers

    def _news(self, numbers: _Numbers) -> dict[_Key, Row]:
        """What is not in the files yet.

        It takes as long as it has changed, since what has not is the same object as the last time.
        """
        news: dict[_Key, Row] = {}
        for namespace, sums in numbers.items():
            read = self._read.get(namespace, {})
            for name, rows in sums.items():
                before = read.get(name, {})
                if rows is before:
                    continue
                written = self._written.get(_kind(name), {})
                for labels, row in rows.items():
                    if before.get(labels) is row:
                        continue
                    key = namespace, (name, labels)
                    if written.get(key) != row:
                        news[key] = row
        return news

    def _forget(self) -> None:
        for each in getattr(self, "_files", {}).values():
            each.close()
        self._files: dict[str, ValueFile] = {}
        self._places: dict[tuple[_Key, float | None], str] = {}
        #: What they hold, by kind of file.
        self._written: dict[str, dict[_Key, Row]] = {}
        self._read = {}

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
        self._written.pop(kind, None)
        self._read = {}

    def _file(self, kind: str) -> ValueFile:
        file = self._files.get(kind)
        if file is None:
            if self._slot is None:
                raise RuntimeError("there is no slot to write to")
            file = self._files[kind] = ValueFile(self._slot.file(kind))
        return file

    def _write(self, key: _Key, row: Row) -> None:
        name = key[1][0]
        described = family(name)
        kind = _kind(name)
        written = self._written.setdefault(kind, {})
        if described.kind == "histogram":
            old = written.get(key)
            for place, bound in enumerate((*described.buckets, _ABOVE)):
                if old is None or row[place] != old[place]:
                    self._put(kind, key, row[place], bound)
            self._put(kind, key, row[-1])
        elif described.kind == "counter":
            self._put(kind, key, row[0])
        else:
            self._file(kind).write(self._place(key, None), row[0], row[1] if len(row) == 2 else 0.0)
        written[key] = row

    def _put(self, kind: str, key: _Key, number: float, le: float | None = None) -> None:
        """Write a number that goes on from where the slot's last owner left it."""
        file, place = self._file(kind), self._place(key, le)
        file.write(place, file.values.get(place, 0.0) + number)

    def _place(self, key: _Key, le: float | None) -> str:
        """What a series, or a bucket of it, is called in its file."""
        place = self._places.get((key, le))
        if place is None:
            place = self._places[key, le] = _place(key, le)
        return place


def _place(key: _Key, le: float | None) -> str:
    namespace, (name, labels) = key
    described = family(name)
    exported = full_name(namespace, described.name.removesuffix("_total"))
    if le is not None:
        names, values = (*described.labels, "le"), (*labels, go_string(le))
        return value_key(exported, f"{exported}_bucket", names, values, described.help)
    suffix = {"counter": "_total", "histogram": "_sum"}.get(described.kind, "")
    return value_key(exported, exported + suffix, described.labels, labels, described.help)


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
