"""The files of workers: whose they are, what they hold, and what goes wrong with them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from flask_caching_instrumentation.metrics.collector import Collector
from flask_caching_instrumentation.workers.files import WorkerFiles
from flask_caching_instrumentation.workers.slots import Slot, dead_slots
from flask_caching_instrumentation.workers.valuefile import ValueFile, value_key

HIT = ("cache", "simple", "view", "index", "hit")
OPERATION = ("cache", "simple", "get", "hit")
SOURCE = ("cache", "simple", "view")


def held(path: str | Path) -> dict[str, float]:
    """What prometheus_client reads of a file."""
    return {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(path))}


def total(path: Path) -> dict[str, float]:
    """What an exporter of others shows of a directory, one line a sample."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(path))
    lines = generate_latest(registry).decode().splitlines()
    return {
        name: float(number)
        for name, _, number in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def in_another_process(code: str, *arguments: object, check: bool = True) -> str:
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


# One file.


def test_prometheus_client_reads_what_is_written(tmp_path: Path) -> None:
    """Keys of any length and alphabet, in its own form."""
    path = tmp_path / "counter_1.db"
    file = ValueFile(str(path))
    keys = [f"{'k' * length}ü" for length in range(20)]
    for number, key in enumerate(keys):
        file.write(key, number)
    file.write(keys[3], 99.5)
    file.close()
    assert held(path) == {key: 99.5 if n == 3 else n for n, key in enumerate(keys)}


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    """Also one that prometheus_client itself wrote; what was there is known."""
    path = str(tmp_path / "counter_1.db")
    theirs = MmapedDict(path)
    timed = (0.0,) if isinstance(theirs.read_value("a"), tuple) else ()
    theirs.write_value("a", 5.0, *timed)
    theirs.close()
    file = ValueFile(path)
    assert file.values == {"a": 5.0}
    file.write("b", 1.0)
    file.write("a", 6.0)
    file.close()
    again = ValueFile(path)
    assert again.values == {"a": 6.0, "b": 1.0}
    again.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"abc", b"\xff" * 40, b"\x40\0\0\0\0\0\0\0\xff\xff\0\0", b"\x10" * 5000],
    ids=["empty", "short", "nonsense", "torn", "long nonsense"],
)
def test_what_cannot_be_read_is_thrown_away(tmp_path: Path, data: bytes) -> None:
    """A machine that crashed may leave anything."""
    path = tmp_path / "counter_1.db"
    path.write_bytes(data)
    file = ValueFile(str(path))
    file.write("a", 1.0)
    file.close()
    assert held(path) == {"a": 1.0}


def test_keys_are_those_of_the_client() -> None:
    """So that equal series of two files are one."""
    ours = value_key("m", "m_total", ("b", "a"), ("1", "2"), "help")
    try:
        theirs = mmap_key("m", "m_total", ("b", "a"), ("1", "2"), "help")
    except TypeError:  # Before prometheus_client 0.16.
        theirs = mmap_key("m", "m_total", ("b", "a"), ("1", "2"))
    assert ours == theirs


# Slots.


HOLD = """
import sys
from flask_caching_instrumentation.workers.slots import Slot
slot = Slot(sys.argv[1])
print(slot.number, flush=True)
sys.stdin.readline()
"""


def test_living_workers_have_slots_of_their_own_and_dead_ones_leave_theirs(tmp_path: Path) -> None:
    """The lowest that is free, so that there are never more than lived at once."""
    path = os.pathsep.join(each for each in sys.path if each)
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(3)
    ]
    try:
        numbers = []
        for holder in holders:
            assert holder.stdout is not None
            numbers.append(int(holder.stdout.readline()))
        assert sorted(numbers) == [0, 1, 2]
        assert dead_slots(str(tmp_path), None) == set()
        holders[0].kill()
        holders[0].wait(20)
        assert dead_slots(str(tmp_path), None) == {numbers[0]}
        mine = Slot(str(tmp_path))
        assert mine.number == numbers[0]
        assert dead_slots(str(tmp_path), mine.number) == set()
        mine.give_up()
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_a_forked_child_leaves_the_slot_to_its_parent(tmp_path: Path) -> None:
    """And the parent's end is seen although a child of it lives on."""
    out = in_another_process(
        """
import os, sys, time
from flask_caching_instrumentation.metrics.collector import Collector
from flask_caching_instrumentation.workers import files as workers
files = workers.files_of(sys.argv[1])
collector = Collector("t")
files.add(collector)
add = collector.open().counter("lookups_total", "cache", "simple", "view", "index", "hit")
add(3)
files.push()
parent = files.slot
process = os.getpid()
if not os.fork():
    while os.getppid() == process:
        time.sleep(0.01)
    from flask_caching_instrumentation.workers.slots import dead_slots
    dead = dead_slots(sys.argv[1], None)
    add(4)
    files.push()
    print(parent, dead, files.slot, flush=True)
    os._exit(0)
""",
        tmp_path,
    )
    assert out.split() == ["0", "{0}", "0"]
    (number,) = held(tmp_path / "counter_flaskcaching-0.db").values()
    assert number == 7


# What a worker writes.


@pytest.fixture
def collector() -> Collector:
    return Collector("t")


@pytest.fixture
def files(tmp_path: Path, collector: Collector) -> Iterable[WorkerFiles]:
    files = WorkerFiles(str(tmp_path))
    files.add(collector)
    yield files
    files.after_fork()


def test_an_exporter_of_others_reads_what_was_counted(
    files: WorkerFiles, collector: Collector, tmp_path: Path
) -> None:
    """Counters, histograms and gauges, in the client's own terms."""
    recorder = collector.open()
    recorder.counter("lookups_total", *HIT)(2)
    observe = recorder.histogram("operation_duration_seconds", *OPERATION)
    for seconds in (0.000001, 0.3, 9.0):
        observe(seconds)
    recorder.gauge("loads_in_flight", *SOURCE)(1)
    assert files.push() is True
    found = total(tmp_path)
    labels = 'backend="simple",cache="cache"'
    assert found[f't_lookups_total{{{labels},result="hit",source="view",target="index"}}'] == 2
    shown = {
        le: number
        for le in ("1e-05", "0.25", "0.5", "2.5", "+Inf")
        for name, number in found.items()
        if name.startswith("t_operation_duration_seconds_bucket") and f'le="{le}"' in name
    }
    assert shown == {"1e-05": 1, "0.25": 1, "0.5": 2, "2.5": 2, "+Inf": 3}
    assert found[f't_loads_in_flight{{{labels},source="view"}}'] == 1


def test_nothing_is_written_when_nothing_has_changed(
    files: WorkerFiles, collector: Collector
) -> None:
    """So that the thread that does it can end."""
    add = collector.open().counter("lookups_total", *HIT)
    add()
    assert files.push() is True
    assert files.push() is False
    add()
    assert files.push() is True


def test_what_has_not_changed_is_not_looked_at(files: WorkerFiles, collector: Collector) -> None:
    """A turn takes as long as something has changed, however many functions are cached."""
    recorder = collector.open()
    adding = [
        recorder.counter("lookups_total", *HIT[:3], f"view{number}", "hit") for number in range(50)
    ]
    for add in adding:
        add()
    files.push()
    asked = []

    class Asked(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    files._written["counter"] = Asked(files._written["counter"])
    adding[7]()
    assert files.push() is True
    assert {key for _, (_, key) in asked} == {(*HIT[:3], "view7", "hit")}


def test_gauges_go_with_their_application_and_counters_stay(
    files: WorkerFiles, collector: Collector, tmp_path: Path
) -> None:
    """In a process that lives on."""
    recorder = collector.open()
    recorder.counter("lookups_total", *HIT)(2)
    recorder.gauge("loads_in_flight", *SOURCE)(1)
    files.push()
    del recorder
    files.push()
    names = [name.partition("{")[0] for name in total(tmp_path)]
    assert "t_lookups_total" in names
    assert "t_loads_in_flight" not in names


def test_a_full_disk_is_an_error_and_not_the_process_s_end(tmp_path: Path) -> None:
    """The client's own files would end it with a signal; what was not written is tried again."""
    if not hasattr(resource, "RLIMIT_FSIZE"):
        pytest.skip("needs a limit to the size of files")
    out = in_another_process(
        """
import resource, signal, sys
from flask_caching_instrumentation.metrics.collector import Collector
from flask_caching_instrumentation.workers.files import WorkerFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
files, collector = WorkerFiles(sys.argv[1]), Collector("t")
files.add(collector)
recorder = collector.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
for number in range(100):
    recorder.counter("bypasses_total", "cache", "simple", "view", f"view-{number}", "unless")()
try:
    files.push()
except OSError as error:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(files.push())
""",
        tmp_path,
    )
    assert out.split() == ["full", "True"]
    assert sum(number for name, number in total(tmp_path).items() if "bypasses" in name) == 100


def test_a_directory_that_was_emptied_is_filled_again(
    files: WorkerFiles, collector: Collector, tmp_path: Path
) -> None:
    """With all that this worker has counted since it began."""
    add = collector.open().counter("lookups_total", *HIT)
    add(5)
    files.push()
    for path in tmp_path.iterdir():
        path.unlink()
    add(1)
    files.push()
    (number,) = held(tmp_path / "counter_flaskcaching-0.db").values()
    assert number == 6


@pytest.mark.parametrize("pattern", ["*.db", "*"])
def test_files_that_were_removed_are_written_again(
    files: WorkerFiles, collector: Collector, tmp_path: Path, pattern: str
) -> None:
    """As people clean the directory when they reload; also if the locks stay."""
    recorder = collector.open()
    add = recorder.counter("lookups_total", *HIT)
    observe = recorder.histogram("operation_duration_seconds", *OPERATION)
    for _ in range(3):
        add(5)
        observe(0.25)
        files.push()
        for path in tmp_path.glob(pattern):
            path.unlink()
    add(1)
    files.push()
    found = {name.partition("{")[0]: number for name, number in total(tmp_path).items()}
    assert found["t_lookups_total"] == 16
    assert found["t_operation_duration_seconds_count"] == 3


def test_locks_that_were_removed_are_taken_again(
    files: WorkerFiles, collector: Collector, tmp_path: Path
) -> None:
    """And nothing is counted twice."""
    add = collector.open().counter("lookups_total", *HIT)
    add(10)
    files.push()
    for path in tmp_path.glob("*.lock"):
        path.unlink()
    add(10)
    files.push()
    assert list(held(tmp_path / "counter_flaskcaching-0.db").values()) == [20]
    assert files.slot == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_s_files_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell of root's must not blind the workers; they read what it counted."""
    code = """
import os, sys
from flask import Flask
from flask_caching import Cache
from flask_caching.observer import faults
import encodings.idna, flask.testing, flask_caching_instrumentation.observer
os.umask(0o022)
if sys.argv[1] != "0":
    os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
app = Flask("x")
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_PATH": "/metrics"})
with app.app_context():
    cache.get("a")
answer = app.test_client().get("/metrics")
text = answer.get_data(as_text=True)
misses = [line.rpartition(" ")[2] for line in text.splitlines()
          if line.startswith("flask_caching_lookups_total") and 'result="miss"' in line]
print(answer.status_code, *misses, *faults)
"""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", directory)
        assert in_another_process(code, 0).split() == ["200", "1.0"]
        assert in_another_process(code, 65534).split() == ["200", "2.0"]


def test_a_process_forked_without_hooks_has_files_of_its_own(tmp_path: Path) -> None:
    """As some servers fork: it is noticed by the number of the process."""
    out = in_another_process(
        """
import ctypes, os, sys
from flask_caching_instrumentation.workers import files as workers
from flask_caching_instrumentation.metrics.collector import Collector
from flask_caching_instrumentation.ticker import ticker
files, collector = workers.files_of(sys.argv[1]), Collector("t")
files.add(collector)
add = collector.open().counter("lookups_total", "cache", "simple", "view", "index", "hit")
add(1)
files.push()
child = ctypes.PyDLL(None).fork()
if not child:
    add(100)
    ticker.tick()
    os._exit(0)
os.waitpid(child, 0)
add(1)
files.push()
print("done")
""",
        tmp_path,
    )
    assert out == "done\n"
    assert sum(total(tmp_path).values()) - 1 == 102  # One is that of build_info.


def test_whoever_reads_meets_no_file_without_a_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole before it has its name, and nothing else is left beside it."""
    path = tmp_path / "counter_1.db"
    real, moments = os.replace, []

    def replace(source: str, target: str) -> None:
        moments.append((path.exists(), held(source)))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    ValueFile(str(path)).close()
    ValueFile(str(path)).close()
    assert moments == [(False, {})]
    assert [each.name for each in tmp_path.iterdir()] == ["counter_1.db"]


def test_a_write_that_was_interrupted_is_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may raise at any moment; then the file is read again."""
    path = tmp_path / "counter_1.db"
    file = ValueFile(str(path))
    file.write("a", 1.0)
    real, calls = os.pwrite, []

    def interrupted(*args: int) -> int:
        calls.append(args)
        written = real(*args)
        if len(calls) == 2:
            raise SystemExit
        return written

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(SystemExit):
        file.write("b", 2.0)
    monkeypatch.undo()
    file.write("b", 3.0)
    file.close()
    assert [key for key, *_ in MmapedDict.read_all_values_from_file(str(path))] == ["a", "b"]
    assert held(path) == {"a": 1.0, "b": 3.0}
