"""Distinct keys: windows that slide, workers that share a file, and what a lookup pays for it.

The arithmetic is in ``test_hyperloglog.py``, the union over machines in
``tests/backends/test_distinct.py``.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import timeit
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flask_caching.backends.filelocks import Locked
from flask_caching.observer import faults
from flask_caching_instrumentation.distinct import cardinality, memorysketches, sketchfile
from flask_caching_instrumentation.distinct.cardinality import (
    LIMIT,
    WINDOWS,
    DistinctKeys,
    FileSketches,
    MemorySketches,
    SeenKeys,
    SketchStore,
)
from flask_caching_instrumentation.distinct.hyperloglog import REGISTERS, estimate_of, locate, place
from flask_caching_instrumentation.distinct.sketches import FRESH, RINGS, SPARSE_LIMIT

#: A moment at which a slot of each ring begins.
NOW = 1_800_000_000.0
INDEX = ("cache", "simple", "view", "index")
ABOUT = ("cache", "simple", "view", "about")

posix = pytest.mark.skipif(os.name != "posix", reason="processes are forked and killed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flask_caching.keys"


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, path: Path) -> SketchStore:
    return MemorySketches() if request.param == "memory" else FileSketches(path)


class Woken:
    """Counts how often it was called."""

    times = 0

    def __call__(self) -> None:
        self.times += 1


def record(store: SketchStore, keys: Any, now: float = NOW, labels: Any = INDEX) -> None:
    store.record(labels, [locate(str(key)) for key in keys], now)


def of(store: SketchStore, now: float = NOW, labels: Any = INDEX) -> tuple[float, float]:
    """The estimates of the short and of the long window."""
    estimates = store.estimates(now)
    return estimates[(*labels, "5m")], estimates[(*labels, "1h")]


# Windows.


def test_the_windows_are_cut_into_slots() -> None:
    """Whole slots as long as the window, and the current one."""
    assert {ring.window: ring.seconds * (ring.length - 1) for ring in RINGS} == WINDOWS


def test_what_is_known_is_shown_from_zero_on(store: SketchStore) -> None:
    """Both windows of each label set, once it is known and for as long as it is."""
    assert store.estimates(NOW) == {}
    store.record(INDEX, [], NOW)
    assert of(store) == (0, 0)
    record(store, range(3))
    record(store, range(5), labels=ABOUT)
    assert of(store) == (3, 3)
    assert of(store, labels=ABOUT) == (5, 5)
    assert of(store, NOW + 86400) == (0, 0)


def test_a_key_that_comes_again_is_counted_once(store: SketchStore) -> None:
    """In one slot and in several."""
    for minute in range(5):
        record(store, range(100), NOW + 60 * minute)
        record(store, range(100), NOW + 60 * minute + 59)
    assert of(store, NOW + 299) == pytest.approx((100, 100), rel=0.03)


def test_windows_slide(store: SketchStore) -> None:
    """A key stays for the length of the window, and for one slot more at most."""
    record(store, ["early"], NOW)
    record(store, ["late"], NOW + 59)
    assert of(store, NOW + 359) == (2, 2)
    assert of(store, NOW + 360) == (0, 2)
    assert of(store, NOW + 3899) == (0, 2)
    assert of(store, NOW + 3900) == (0, 0)


def test_old_slots_make_room_for_new_ones(store: SketchStore) -> None:
    """Ten keys a minute for three hours: each window holds those of its own slots."""
    for minute in range(180):
        record(store, range(10 * minute, 10 * minute + 10), NOW + 60 * minute)
    assert of(store, NOW + 60 * 179) == pytest.approx((60, 650), rel=0.03)


def test_many_keys_and_few_add_up(store: SketchStore) -> None:
    """Slots with all their registers, slots with few, and slots with none in one window."""
    record(store, range(10_000), NOW)
    record(store, range(10_000, 10_100), NOW + 60)
    record(store, range(10_100, 10_100 + SPARSE_LIMIT + 1), NOW + 120)
    record(store, range(20_000), NOW + 240)
    assert of(store, NOW + 240) == pytest.approx((20_000, 20_000), rel=0.03)
    assert of(store, NOW + 360)[0] == pytest.approx(20_000, rel=0.03)


def test_a_slot_that_had_many_keys_begins_again_with_few(store: SketchStore) -> None:
    """What its place in the ring held before does not show through."""
    record(store, range(5000), NOW)
    record(store, ["one"], NOW + 360)
    assert of(store, NOW + 360)[0] == 1
    record(store, range(SPARSE_LIMIT + 50), NOW + 720)
    assert of(store, NOW + 720)[0] == pytest.approx(SPARSE_LIMIT + 50, rel=0.03)


def test_a_clock_that_goes_back_is_followed(store: SketchStore) -> None:
    """What is of a future that was none does not count, and its places are used again."""
    record(store, range(500), NOW)
    record(store, ["a", "b"], NOW - 7200)
    assert of(store, NOW - 7200) == (2, 2)
    for minute in range(8):
        record(store, ["x", "y"], NOW - 7200 + 60 * minute)
    assert of(store, NOW - 7200 + 60 * 7) == (2, 4)
    record(store, ["at the beginning"], 0.0)
    assert of(store, 0.0) == (1, 1)


def test_a_million_keys_in_an_hour(store: SketchStore) -> None:
    """Within three percent, spread over the slots."""
    for block in range(10):
        record(store, range(100_000 * block, 100_000 * (block + 1)), NOW + 300 * block)
    assert of(store, NOW + 2700)[1] == pytest.approx(1_000_000, rel=0.03)


def test_what_was_learnt_counts_while_it_is_fresh(store: SketchStore) -> None:
    """A minute long; a label set that nobody knows is not made by it."""
    record(store, range(7))
    store.learn(ABOUT, [1.0, 2.0], NOW)
    assert store.unlearnt(NOW, 20) == [INDEX]
    store.learn(INDEX, [70.0, 700.0], NOW)
    assert store.unlearnt(NOW + 19, 20) == []
    assert of(store, NOW + FRESH - 1) == (70, 700)
    assert store.unlearnt(NOW + 20, 20) == [INDEX]
    assert of(store, NOW + FRESH) == (7, 7)
    assert of(store, NOW - 3600) == (0, 0)
    store.record(ABOUT, [], NOW)
    assert store.unlearnt(NOW + 30, 20) == [ABOUT, INDEX]


def test_an_estimate_is_made_again_only_where_something_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key was recorded, or a slot ended."""
    made: list[Any] = []

    def counting(ranks: Any) -> float:
        made.append(ranks)
        return estimate_of(ranks)

    monkeypatch.setattr(memorysketches, "estimate_of", counting)
    store = MemorySketches()
    record(store, range(300), labels=INDEX)
    record(store, range(3), labels=ABOUT)
    of(store)
    assert len(made) == 4
    assert of(store, NOW + 59, ABOUT) == (3, 3)
    assert len(made) == 4
    record(store, range(4), NOW + 59, ABOUT)
    assert of(store, NOW + 59, ABOUT) == (4, 4)
    assert len(made) == 6
    of(store, NOW + 60)
    assert len(made) == 10


@pytest.mark.parametrize("seed", range(10))
def test_estimates_that_are_kept_are_those_that_would_be_made_anew(path: Path, seed: int) -> None:
    """Few keys and many, asked for or not in between, over slots that end."""
    chance = random.Random(seed)
    memory, file = MemorySketches(), FileSketches(path)
    now = NOW
    for _ in range(120):
        now += chance.choice([0, 1, 20, 61, 400])
        first = chance.randrange(1000)
        keys = range(first, first + chance.choice([0, 1, 3, 40, 400]))
        for store in (memory, file):
            record(store, keys, now)
        if chance.random() < 0.6:
            assert of(memory, now) == of(file, now)


def test_memory_is_given_back() -> None:
    """A label set can be forgotten; one that is not there as well."""
    store = MemorySketches()
    record(store, range(3))
    store.forget(INDEX)
    store.forget(INDEX)
    assert store.estimates(NOW) == {}


def test_slots_that_are_over_take_no_memory() -> None:
    """They go when something is recorded, be it that nothing was looked up."""
    store = MemorySketches()
    for minute in range(70):
        record(store, range(1000 * minute, 1000 * minute + 1000), NOW + 60 * minute)
    windows = store._kept[INDEX].windows
    assert [len(window.slots) for window in windows] == [ring.length for ring in RINGS]
    store.record(INDEX, [], NOW + 60 * 100)
    assert [len(window.slots) for window in windows] == [0, 6]
    assert of(store, NOW + 60 * 100)[1] == pytest.approx(30_000, rel=0.03)


# The hot path.


def test_a_new_key_wakes_and_one_that_was_seen_does_not() -> None:
    """Once for each key, until it is forgotten."""
    woken = Woken()
    keys = DistinctKeys(MemorySketches(), woken)
    seen = keys.seen(INDEX)
    assert keys.seen(INDEX) is seen
    assert keys.seen(ABOUT) is not seen
    before = woken.times
    for key in ("a", "b", "a", "b", "\udcff"):
        assert seen[key] is None
    assert woken.times == before + 3


def test_a_key_that_was_seen_costs_next_to_nothing() -> None:
    """A fifth of what hashing it would cost, at most, and no more than a few dictionary reads."""
    seen = DistinctKeys(MemorySketches(), Woken()).seen(INDEX)
    key = "view//product/123456"
    seen[key]
    plain = dict(seen)

    def seconds(statement: str, **names: Any) -> float:
        return min(timeit.repeat(statement, globals=names, number=20_000, repeat=9))

    hot = seconds("seen[key]", seen=seen, key=key)
    assert hot < seconds("locate(key)", locate=locate, key=key) / 5
    assert hot < seconds("plain[key]", plain=plain, key=key) * 4


def test_nothing_is_raised_where_telemetry_fails() -> None:
    """Not even by what is to wake the thread."""

    def fail() -> None:
        raise RuntimeError("no more threads")

    seen = SeenKeys(fail)
    assert seen["key"] is None
    assert len(seen.take()) == 1
    assert faults == {"distinct_keys.seen: RuntimeError": 1}
    faults.clear()


def test_memory_is_bounded_whoever_counts() -> None:
    """A hundred thousand keys that nobody takes: all are counted, and few of them are kept."""
    store = MemorySketches()
    keys = DistinctKeys(store, Woken())
    seen = keys.seen(INDEX)
    for number in range(100_000):
        seen[f"view//product/{number}"]
        assert len(seen) <= LIMIT
    assert len(seen._fresh) <= LIMIT
    assert len(seen._hashed) <= REGISTERS
    keys.drain(NOW)
    assert not seen.waiting
    assert of(store) == pytest.approx((100_000, 100_000), rel=0.03)


def test_long_keys_are_counted_and_not_kept() -> None:
    """A key may be as long as a request."""
    store = MemorySketches()
    keys = DistinctKeys(store, Woken())
    seen = keys.seen(INDEX)
    for number in range(50):
        seen["x" * 100_000 + str(number % 25)]
    assert not seen
    assert seen.waiting
    keys.drain(NOW)
    assert of(store) == (25, 25)


def test_all_targets_together_remember_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many targets there are."""
    monkeypatch.setattr(cardinality, "_LIMIT_OF_ALL", 100)
    keys = DistinctKeys(MemorySketches(), Woken())
    targets = [keys.seen((*INDEX[:3], f"target {number}")) for number in range(6)]
    for seen in targets:
        for number in range(20):
            seen[str(number)]
    keys.drain(NOW)
    assert not any(targets)


# Drains.


def test_a_hot_key_is_counted_in_every_slot() -> None:
    """It is remembered within a slot, and forgotten when that ends."""
    store = MemorySketches()
    keys = DistinctKeys(store, Woken())
    seen = keys.seen(INDEX)
    for second in range(0, 1200, 10):
        seen["hot"]
        keys.drain(NOW + second)
    assert of(store, NOW + 1199) == (1, 1)
    assert of(store, NOW + 1499)[0] == 1
    assert of(store, NOW + 1500)[0] == 0


def test_a_drain_says_whether_to_come_back() -> None:
    """As long as there are keys to be forgotten; then the thread may end."""
    keys = DistinctKeys(MemorySketches(), Woken())
    assert not keys.drain(NOW)
    seen = keys.seen(INDEX)
    assert not keys.drain(NOW)
    seen["key"]
    assert keys.drain(NOW + 1)
    assert keys.drain(NOW + 59)
    assert not keys.drain(NOW + 60)
    seen["key"]
    assert keys.drain(NOW + 61)
    # Whatever the clock does.
    assert not keys.drain(NOW - 600)


def test_a_target_without_lookups_is_shown(store: SketchStore) -> None:
    """From the first drain on, which wakes nobody, and again if the file was removed."""
    woken = Woken()
    keys = DistinctKeys(store, woken)
    keys.seen(INDEX)
    assert woken.times == 0
    keys.drain(NOW)
    assert of(store) == (0, 0)
    if isinstance(store, FileSketches):
        os.unlink(store._path)
        keys.drain(NOW + 60)
        assert of(store, NOW + 60) == (0, 0)


def test_threads_lose_no_key() -> None:
    """Requests look up while one thread drains, another scrapes, and slots end."""
    store = MemorySketches()
    keys = DistinctKeys(store, Woken())
    clock = iter(range(10**9))
    stop = threading.Event()
    failed: list[BaseException] = []

    def until_stopped(work: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            failed.append(error)

    def drain() -> None:
        keys.drain(NOW + next(clock) % 3 * 60)

    def look_up(thread: int) -> None:
        for number in range(5000):
            keys.seen(INDEX)[f"{thread}/{number}"]
            keys.seen((*INDEX[:3], f"target {number % 50}"))[f"{number % 7}"]

    others = [
        threading.Thread(target=until_stopped, args=(work,))
        for work in (drain, drain, lambda: store.estimates(NOW + 120))
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for each in others:
            each.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look_up, range(4)))
    finally:
        stop.set()
        for each in others:
            each.join()
        sys.setswitchinterval(interval)
    keys.drain(NOW + 120)
    assert not failed
    alone = MemorySketches()
    record(alone, [f"{thread}/{number}" for thread in range(4) for number in range(5000)])
    # But for what threads may lose that hash for want of somebody who does.
    assert of(store, NOW + 120) == pytest.approx(of(alone), rel=0.0005)
    for number in range(50):
        assert of(store, NOW + 120, (*INDEX[:3], f"target {number}"))[1] == 7


@posix
def test_a_forked_child_remembers_nothing() -> None:
    """Or the hot keys that its parent had met would never be counted by it again."""
    keys = DistinctKeys(MemorySketches(), Woken())
    seen = keys.seen(INDEX)
    seen["hot"]
    assert in_child(lambda: not seen)
    assert "hot" in seen


# The file.


def in_child(work: Callable[[], object]) -> bool:
    """Whether ``work`` returns something true in a forked child."""
    child = os.fork()
    if not child:
        answer = 1
        try:
            answer = 0 if work() else 1
        finally:
            os._exit(answer)
    return os.waitpid(child, 0)[1] == 0


WORKER = """
import os, signal, sys
from flask_caching_instrumentation.distinct.cardinality import DistinctKeys, FileSketches
path, first, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
keys = DistinctKeys(FileSketches(path), lambda: None)
seen = keys.seen(("cache", "simple", "view", "index"))
for number in range(first, end):
    seen[f"view//product/{number}"]
    if number % 500 == 0:
        keys.drain(1_800_000_000.0)
keys.drain(1_800_000_000.0)
print("done", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_workers_are_united_and_the_dead_count_on(path: Path) -> None:
    """Four processes that begin at once, make the file at once, and are killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, path, str(3000 * number), str(3000 * number + 6000)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    assert [worker.communicate("\n", timeout=60)[0] for worker in workers] == ["done\n"] * 4
    assert {worker.returncode for worker in workers} == {-signal.SIGKILL}
    store = FileSketches(path)
    assert of(store) == pytest.approx((15_000, 15_000), rel=0.03)
    assert len(store.estimates(NOW)) == 2
    assert of(store, NOW + 360)[0] == 0


@posix
def test_a_store_is_used_on_after_a_fork(path: Path) -> None:
    """By parent and children, also if another thread held the lock at that moment."""
    store = FileSketches(path)
    record(store, ["parent"])
    with Locked(f"{path}.lock", 0o600):
        pid = os.fork()
        if not pid:
            # The lock is the parent's; it is free before the child gives up.
            record(store, ["child"])
            os._exit(1 if faults else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert in_child(lambda: of(store) == (2, 2))
    record(store, ["parent again"])
    assert of(store) == (3, 3)


@posix
def test_a_worker_killed_with_the_lock_frees_it(path: Path) -> None:
    """The kernel does."""
    store = FileSketches(path)
    record(store, ["before"])
    code = (
        "import sys, time\nfrom flask_caching.backends.filelocks import Locked\n"
        "with Locked(sys.argv[1], 0o600):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    with subprocess.Popen(
        [sys.executable, "-c", code, f"{path}.lock"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
        record(store, ["not to be had"])
        assert faults == {"distinct_keys.record: TimeoutError": 1}
        # Those who read do not wait, and those who write do not wait again.
        assert of(store) == (1, 1)
        assert timeit.timeit(lambda: record(store, ["x"]), number=5) < sketchfile._WAIT
        worker.kill()
    record(store, ["after"])
    assert of(store) == (2, 2)
    faults.clear()


def test_two_stores_see_each_other(path: Path) -> None:
    """Label sets that the other one made, in any order, and what it learnt."""
    first, second = FileSketches(path), FileSketches(str(path))
    record(first, range(3), labels=INDEX)
    record(second, range(4), labels=ABOUT)
    record(second, range(2, 8), labels=INDEX)
    record(first, range(3, 9), labels=ABOUT)
    assert of(first) == of(second) == (8, 8)
    assert of(first, labels=ABOUT) == of(second, labels=ABOUT) == (9, 9)
    first.learn(INDEX, [100, 200], NOW)
    assert of(second) == (100, 200)
    assert second.unlearnt(NOW, 20) == [ABOUT]


HARM: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "another's": lambda path: path.write_bytes(b"not ours\n" * 1000),
    "another version": lambda path: path.write_bytes(b"FCkeys\r\n\xff\xff\xff\xff" + bytes(5000)),
    "cut in the header": lambda path: os.truncate(path, 10),
    "cut in a record": lambda path: os.truncate(path, 5000),
    "cut behind the header": lambda path: os.truncate(path, 4096),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_came_to_harm_is_made_anew(path: Path, harm: str) -> None:
    """While it is in use: it is as if nothing had been counted before."""
    store = FileSketches(path)
    record(store, range(300))
    record(store, range(3), labels=ABOUT)
    HARM[harm](path)
    assert store.estimates(NOW) == {}
    assert store.unlearnt(NOW, 20) == []
    store.learn(INDEX, [1, 2], NOW)
    record(store, range(2), labels=ABOUT)
    record(store, range(5))
    assert of(store) == (5, 5)
    assert of(store, labels=ABOUT) == (2, 2)


def test_another_file_in_its_place_is_noticed(path: Path) -> None:
    """One with as many label sets, and others: each still has its own."""
    store, other = FileSketches(path), FileSketches(f"{path}.other")
    for labels, number in ((INDEX, 3), (ABOUT, 4)):
        record(store, range(number), labels=labels)
    for labels, number in ((ABOUT, 5), (INDEX, 6)):
        record(other, range(number), labels=labels)
    os.replace(f"{path}.other", path)
    record(store, ["one more"])
    assert (of(store), of(store, labels=ABOUT)) == ((7, 7), (5, 5))
    assert len(store.estimates(NOW)) == 4


def test_a_record_that_was_cut_is_not_gone_on_with(path: Path) -> None:
    """Another label set in its place does not come by its keys."""
    store = FileSketches(path)
    record(store, range(100))
    store.learn(INDEX, [5, 6], NOW)
    os.truncate(path, 4096 + 300_000)
    record(store, range(3), labels=ABOUT)
    assert of(store, labels=ABOUT) == (3, 3)
    assert len(store.estimates(NOW)) == 2


@pytest.mark.parametrize("name", [b"[" * 3000, b"\xff", b"{}", b"[1, 2, 3, 4]", b'["a"]', b""])
def test_a_name_that_is_none_is_passed_over(path: Path, name: bytes) -> None:
    """Its record is lost, and the others are not."""
    store = FileSketches(path)
    record(store, range(3), labels=ABOUT)
    record(store, range(4))
    with path.open("r+b") as file:
        file.seek(4096 + 512)
        file.write(len(name).to_bytes(2, "little") + name)
    assert store.unlearnt(NOW, 20) == [INDEX]
    assert of(store) == (4, 4)
    record(FileSketches(path), range(5), labels=ABOUT)
    assert of(store, labels=ABOUT) == (5, 5)


@pytest.mark.parametrize("seed", range(20))
def test_damage_inside_is_survived(path: Path, seed: int) -> None:
    """Any bytes anywhere behind the header: numbers perhaps, an exception never."""
    chance = random.Random(seed)
    store = FileSketches(path)
    record(store, range(300))
    record(store, range(3), labels=ABOUT)
    with path.open("r+b") as file:
        for _ in range(40):
            file.seek(4096 + 327_680 * chance.randrange(2) + chance.randrange(20_000))
            file.write(chance.randbytes(chance.randrange(1, 200)))
    for _ in range(2):
        for number in store.estimates(NOW).values():
            assert number >= 0
        store.unlearnt(NOW, 20)
        record(FileSketches(path), range(200), NOW + 60)
        record(store, range(200), NOW + 60, ABOUT)


@pytest.mark.parametrize("target", ["\udc80 <locals> ü\n\0", 'a"b\\', "日本", ""])
def test_any_label_comes_back_as_it_was(path: Path, target: str) -> None:
    """Names are whatever the application's names are."""
    labels = ("cache", "redis", "memoize", target)
    record(FileSketches(path), range(3), labels=labels)
    assert of(FileSketches(path), labels=labels) == (3, 3)


def test_what_has_no_room_is_said_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More label sets than there may be, or labels that are too long; all others go on."""
    monkeypatch.setattr(sketchfile, "RECORDS_LIMIT", 2)
    store = FileSketches(path)
    record(store, range(4), labels=(*INDEX[:3], "x" * 10_000))
    for labels in (INDEX, ABOUT, (*INDEX[:3], "third"), (*INDEX[:3], "fourth"), INDEX):
        record(store, range(4), labels=labels)
    assert set(store.estimates(NOW)) == {
        (*labels, window) for labels in (INDEX, ABOUT) for window in WINDOWS
    }
    assert faults == {"distinct_keys.record: ValueError": 1}
    faults.clear()


def test_a_disk_that_is_full_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a part, then nothing: what was there before counts on."""
    store = FileSketches(path)
    record(store, range(1000))
    write, room = os.write, [8192]

    def full(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        part = data[: room[0]]
        room[0] -= len(part)
        return write(file, part)

    monkeypatch.setattr(os, "write", full)
    record(store, range(1000, 3000), NOW + 360)
    monkeypatch.undo()
    assert of(store, NOW + 360)[0] == 0
    assert of(store)[1] == pytest.approx(1000, rel=0.03)
    assert faults == {"distinct_keys.record: OSError": 1}
    faults.clear()


def test_a_directory_that_is_not_there_is_counted(tmp_path: Path) -> None:
    """The application notices nothing."""
    store = FileSketches(tmp_path / "none" / "keys")
    record(store, range(3))
    assert store.estimates(NOW) == {}
    assert faults == {"distinct_keys.record: FileNotFoundError": 1}
    faults.clear()


@posix
def test_what_is_not_written_takes_no_room(path: Path) -> None:
    """Few keys take a few pages; a slot that had few before has its registers nowhere."""
    store = FileSketches(path)
    for number in range(20):
        for minute in range(120):
            labels = (*INDEX[:3], f"target {number}")
            record(store, range(20), NOW + 60 * minute, labels)
    used = path.stat().st_blocks * 512
    assert used <= 4096 + 20 * 5 * 4096
    assert path.stat().st_size > 10 * used
    assert path.stat().st_mode & 0o777 == 0o600


@posix
def test_those_who_share_it_may_write_to_it(path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0o077)
    try:
        record(FileSketches(path, mode=0o660), range(3))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_threads_share_a_file(path: Path, threads: ThreadPoolExecutor) -> None:
    """None of them undoes what another one did, while others read."""
    store = FileSketches(path)

    def work(thread: int) -> None:
        for number in range(40):
            place_of = [locate(f"{thread}/{number}/{each}") for each in range(50)]
            store.record((*INDEX[:3], f"target {number % 3}"), place_of, NOW)
            store.record(INDEX, place_of, NOW)
            if number % 10 == 0:
                store.estimates(NOW)

    list(threads.map(work, range(4)))
    alone = MemorySketches()
    for thread in range(4):
        for number in range(40):
            record(alone, [f"{thread}/{number}/{each}" for each in range(50)])
    assert of(store) == of(alone)
    assert len(store.estimates(NOW)) == 8


def test_a_file_counts_as_memory_does(path: Path) -> None:
    """The same keys give the same numbers, to the last one."""
    file, memory = FileSketches(path), MemorySketches()
    for second in range(0, 5000, 37):
        keys = [f"{second % 900}/{number}" for number in range(second % 400)]
        for store in (file, memory):
            record(store, keys, NOW + second)
        if second % 5 == 0:
            assert file.estimates(NOW + second) == memory.estimates(NOW + second)


def test_a_rank_beyond_all_bounds_is_no_rank() -> None:
    """The hash of nothing but zeros is the highest there is."""
    store = MemorySketches()
    store.record(INDEX, [place(bytes(8))], NOW)
    assert of(store) == (1, 1)
