"""FileSystemCache: one directory for many processes, and nothing in it but its own is touched."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pickle
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cachelib
import freezegun
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flask_caching import Cache
from flask_caching.backends import FileSystemCache, files, filespare, fileswap
from flask_caching.backends.base import RESERVED, iter_keys
from flask_caching.config import CacheConfig
from flask_caching.entry import Entry, Form
from flask_caching.errors import ConfigurationError, SerializationError, UnreadableEntry
from flask_caching.serializers import Codec


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> FileSystemCache:
    return FileSystemCache(tmp_path, threshold=3, default_timeout=60, clock=clock)


def listed(cache: FileSystemCache) -> list[str]:
    return sorted(info.key for info in iter_keys(cache))


def paths(cache: FileSystemCache, pattern: str = "*.entry") -> list[Path]:
    return sorted(Path(cache.cache_dir).rglob(pattern))


def held(cache: FileSystemCache) -> set[str]:
    """The keys of all files, expired or not."""
    headers = [files.peek(str(path)) for path in paths(cache)]
    return {header.key.decode() for header in headers if header is not None}


def path_of(cache: FileSystemCache, key: str) -> Path:
    return Path(cache._room().folder.place(key).path)


def litter(cache: FileSystemCache) -> list[Path]:
    """Files under temporary names, but for those that this process keeps to write into."""
    kept = {spare.path for spare in filespare._spares.values()}
    return [path for path in paths(cache, "*.temp") if str(path) not in kept]


def patrol(cache: FileSystemCache) -> None:
    """What 4,000 writes do beside writing: look after each shard once."""
    folder = cache._room().folder
    for _ in range(257):
        folder._changes = 16
        folder.patrol()


def entry(clock: Clock, seconds: float, payload: object = "v") -> Entry:
    expires = clock.now + seconds if seconds else 0.0
    return Entry(Form.PLAIN, payload, created_at=clock.now, expires_at=expires)


# Keys and values.


def test_what_is_set_is_got(cache: FileSystemCache) -> None:
    """A value comes back, also one that is false."""
    for value in ("text", b"bytes", 0, -7, None, False, [], {"a": [1]}, "x" * 300_000, 2**70):
        assert cache.set("k", value) is True
        assert cache.get("k") == value
        assert cache.has("k")


@pytest.mark.parametrize("size", range(65_400, 65_540, 7))
def test_any_size_is_read_whole(cache: FileSystemCache, size: int) -> None:
    """Also about what is read at once."""
    cache.set("k", b"x" * size)
    assert cache.get("k") == b"x" * size


def test_a_large_value_may_come_in_pieces(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read may give less than was asked for, a write take less."""
    read, write = os.read, os.write
    monkeypatch.setattr(os, "read", lambda file, size: read(file, min(size, 70_000)))
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:70_000]))
    cache.set("k", os.urandom(1000) * 300)
    assert cache.get("k") == cache.get_entry("k").payload  # type: ignore[union-attr]
    assert path_of(cache, "k").stat().st_size > 300_000


def test_a_long_key_may_have_a_large_value(cache: FileSystemCache) -> None:
    """Both longer than what is read at once."""
    key, value = "k" * 100_000, b"x" * 100_000
    cache.set(key, value)
    assert cache.get(key) == value
    assert listed(cache) == [key]


ODD_KEYS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "",
    "a\0b",
    "a\nb",
    "k" * 10_000,
    "schlüssel/日本",
    "\ud800 alone",
    "CON",
    "a*[b]?",
]


@pytest.mark.parametrize("key", ODD_KEYS, ids=repr)
def test_any_text_is_a_key(cache: FileSystemCache, tmp_path: Path, key: str) -> None:
    """Hazard 35: what is in a key gets nowhere but into the file, and is listed as it is."""
    assert cache.set(key, "v")
    assert cache.get(key) == "v"
    assert cache.inc("other") == 1
    assert listed(cache) == sorted([key, "other"])
    assert all(path.is_relative_to(tmp_path) for path in paths(cache))
    assert cache.touch(key, 5)
    assert cache.ttl(key) == 5
    assert cache.delete(key)
    assert cache.get(key) is None


@pytest.mark.parametrize("key", [b"k", 1, None])
def test_only_text_is_a_key(cache: FileSystemCache, key: Any) -> None:
    """Anything else would be another key than the application thinks."""
    with pytest.raises(TypeError, match="a key is text"):
        cache.set(key, 1)


def test_two_keys_with_one_hash_do_not_see_each_other(tmp_path: Path) -> None:
    """The key is in the file: another one's entry is a miss, and is not deleted."""
    cache = FileSystemCache(tmp_path, hash_method=lambda data: hashlib.sha256(data[:1]))
    cache.set("a1", "one")
    assert cache.get("a2") is None
    assert not cache.has("a2")
    assert cache.delete("a2") is False
    assert cache.touch("a2", 5) is False
    assert cache.set("a2", "gone", timeout=-1)
    assert cache.get("a1") == "one"
    assert cache.add("a2", "two")
    assert (cache.get("a1"), cache.get("a2"), cache.size()) == (None, "two", 1)


def test_a_read_value_is_never_aliased(cache: FileSystemCache) -> None:
    """Hazard 16, also for what is remembered as read before."""
    cache.set("k", {"a": [1]})
    cache.get("k")["a"].append(2)
    assert cache.get("k") == {"a": [1]}


def test_what_is_remembered_is_never_out_of_date(tmp_path: Path) -> None:
    """Another process's write, its touch and another serializer are seen at once."""
    one, other = FileSystemCache(tmp_path), FileSystemCache(tmp_path)
    one.set("k", [1])
    assert other.get("k") == [1]
    one.set("k", [2])
    assert other.get("k") == [2]
    before = other.get_entry("k")
    one.touch("k", 1000)
    after = other.get_entry("k")
    assert before is not None
    assert after is not None
    assert after.expires_at > before.expires_at + 500
    other.codec = Codec("json")
    with pytest.raises(UnreadableEntry):
        other.get("k")


def test_an_unpicklable_value_leaves_nothing_behind(cache: FileSystemCache) -> None:
    """Hazard 22: the old value stays, and no file is begun."""
    cache.set("k", 1)
    with pytest.raises(SerializationError):
        cache.set("k", lambda: None)
    assert cache.get("k") == 1
    assert litter(cache) == []


# Expiry.


def test_an_entry_expires_at_its_moment(cache: FileSystemCache, clock: Clock) -> None:
    """It is there until just before, and its file goes when it is met."""
    cache.set("k", "v", timeout=10.25)
    clock.now += 10.2
    assert cache.get("k") == "v"
    clock.now += 0.1
    assert not cache.has("k")
    assert (cache.size(), listed(cache)) == (1, [])
    assert cache.get("k") is None
    assert (cache.size(), paths(cache)) == (0, [])


def test_zero_never_expires_and_none_is_the_default(cache: FileSystemCache, clock: Clock) -> None:
    """0 is for ever, None is default_timeout."""
    cache.set("ever", 1, timeout=0)
    cache.set("default", 1)
    assert (cache.ttl("ever"), cache.ttl("default"), cache.ttl("none")) == (0.0, 60.0, None)
    clock.now += 10**9
    assert (cache.get("ever"), cache.ttl("default")) == (1, None)


def test_a_value_that_has_expired_already_removes_the_old_one(cache: FileSystemCache) -> None:
    """A negative timeout is in the past, and takes no one's place."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    assert cache.set("a", "new", timeout=-1)
    assert cache.set("d", "new", timeout=-1)
    assert cache.touch("b", -1)
    assert cache.add("e", 1, timeout=-1)
    assert cache.get_many("a", "b", "c", "d", "e") == [None, None, 3, None, None]
    assert cache.size() == 1
    assert cache.evictions == {"expired": 0, "lru": 0}


def test_expiry_follows_a_frozen_clock(tmp_path: Path) -> None:
    """Applications freeze time.time in their tests."""
    cache = FileSystemCache(tmp_path)
    with freezegun.freeze_time("2030-01-01") as frozen:
        cache.set("k", 1, timeout=60)
        frozen.tick(59)
        assert cache.get("k") == 1
        frozen.tick(1)
        assert cache.get("k") is None


def test_touch_moves_only_the_expiry(cache: FileSystemCache, clock: Clock) -> None:
    """The file stays the same one, whatever is in it."""
    cache.set("k", [1], timeout=50)
    before = path_of(cache, "k").stat().st_ino
    for timeout, left in ((10, 10), (0, 0.0), (None, 60)):
        assert cache.touch("k", timeout) is True
        assert cache.ttl("k") == left
    assert cache.get("k") == [1]
    assert path_of(cache, "k").stat().st_ino == before
    assert cache.touch("none", 10) is False
    clock.now += 60
    assert cache.touch("k", 10) is False


@pytest.mark.parametrize(
    ("before", "touched", "after"), [(10, 50, 50), (50, 10, 50), (10, 0, 0), (0, 10, 0), (0, 0, 0)]
)
def test_storing_an_entry_moves_its_versions_only_on(
    cache: FileSystemCache, clock: Clock, before: float, touched: float, after: float
) -> None:
    """A version lives at least as long as what was made under it; never is the latest."""
    cache.set("version", "1", timeout=before)
    cache.set_entry("k", entry(clock, touched), touch=["version", "missing"])
    assert cache.ttl("version") == after
    assert not cache.has("missing")


# Counting, adding, locks.


def test_counting_keeps_the_expiry(cache: FileSystemCache, clock: Clock) -> None:
    """A window of a rate limit ends when it was to end, also if touch moved that."""
    assert cache.inc("n") == 1
    assert cache.ttl("n") == 60
    cache.touch("n", 10)
    clock.now += 4
    assert (cache.inc("n", 4), cache.dec("n", 12), cache.ttl("n")) == (5, -7, 6)
    clock.now += 6
    assert cache.inc("n") == 1


@pytest.mark.parametrize("value", ["5", 1.5, True, None, [1], b"1"])
def test_only_whole_numbers_are_counted(cache: FileSystemCache, value: Any) -> None:
    """The error says what to do, and the value stays."""
    cache.set("k", value)
    with pytest.raises(TypeError, match=r"'k' holds something else than an integer.*set it"):
        cache.inc("k")
    assert cache.get("k") == value
    assert litter(cache) == []


@pytest.mark.parametrize("delta", [1.5, "1", True, None])
def test_only_whole_numbers_are_added(cache: FileSystemCache, delta: Any) -> None:
    """A delta that is not a whole number would make the key uncountable."""
    with pytest.raises(TypeError, match="delta is a whole number"):
        cache.inc("k", delta)


def test_add_takes_the_place_of_what_is_of_no_use(cache: FileSystemCache, clock: Clock) -> None:
    """An expired or damaged entry is not there."""
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    clock.now += 60
    assert cache.add("k", 3) is True
    path_of(cache, "k").write_bytes(b"damaged")
    assert cache.add("k", 4) is True
    assert (cache.get("k"), cache.size()) == (4, 1)


def test_locks_are_not_counted_listed_cleared_or_evicted(
    cache: FileSystemCache, clock: Clock
) -> None:
    """What is this package's own stays until it expires or is given back."""
    lock = RESERVED + "lock"
    cache.get_entries([], create={lock: entry(clock, 10, "mine")})
    cache.set_many({str(number): number for number in range(10)})
    assert (cache.size(), lock in listed(cache)) == (3, False)
    cache.clear()
    assert cache.release_lock(lock, "other's") is False
    assert cache.get(lock) == "mine"
    assert cache.release_lock(lock, "mine") is True
    assert cache.release_lock(lock, "mine") is False


def test_locks_that_nobody_gave_back_are_swept(tmp_path: Path, clock: Clock) -> None:
    """Their directory does not grow for ever."""
    cache = FileSystemCache(tmp_path, clock=clock)
    for number in range(20):
        cache.add_entry(f"{RESERVED}{number}", entry(clock, 10))
    cache.add_entry(f"{RESERVED}held", entry(clock, 1000))
    clock.now += 11
    patrol(cache)
    assert [path.parent.name for path in paths(cache)].count("own") == 1
    assert cache.has(f"{RESERVED}held")


# Eviction.


@pytest.mark.parametrize("threshold", [1, 3, 10, 50])
def test_a_full_cache_holds_its_threshold_exactly(tmp_path: Path, threshold: int) -> None:
    """However small it is; and size() says so without looking."""
    cache = FileSystemCache(tmp_path, threshold=threshold)
    for number in range(2 * threshold + 20):
        cache.set(str(number), number)
        assert cache.size() == min(number + 1, threshold)
        assert cache.get(str(number)) == number
    assert len(paths(cache)) == threshold
    assert cache.evictions == {"expired": 0, "lru": threshold + 20}


def test_the_least_recently_used_leaves_first(cache: FileSystemCache) -> None:
    """A read and a write are uses; a listing and a look at the expiry are none."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    cache.get("a")
    cache.set("b", 4)
    cache.keys()
    cache.ttl("c")
    cache.has("c")
    cache.set("d", 5)
    assert listed(cache) == ["a", "b", "d"]
    assert cache.evictions == {"expired": 0, "lru": 1}


def test_versions_are_used_by_the_entries_that_touch_them(
    cache: FileSystemCache, clock: Clock
) -> None:
    """A version does not leave before the entries made under it."""
    cache.set("version", "1", timeout=0)
    cache.set_many({"a": 1, "b": 2})
    cache.set_entry("c", entry(clock, 10), touch=["version"])
    assert listed(cache) == ["b", "c", "version"]


@pytest.mark.parametrize("threshold", [3, 50])
def test_hot_and_immortal_entries_survive(tmp_path: Path, threshold: int) -> None:
    """Hazard 20: what never expires is not the first to leave, nor what is read all the time.

    However fast others come: it does not take seconds for a read to count.
    """
    cache = FileSystemCache(tmp_path, threshold=threshold)
    other = FileSystemCache(tmp_path, threshold=threshold)
    cache.set("hot", 1, timeout=0)
    for number in range(5 * threshold):
        assert other.get("hot") == 1
        cache.set(str(number), number)
    assert cache.size() == threshold


def test_what_has_expired_leaves_before_what_has_not(tmp_path: Path, clock: Clock) -> None:
    """And is counted apart: it is no sign of a cache that is too small."""
    cache = FileSystemCache(tmp_path, threshold=3, clock=clock)
    cache.set_many({"old": 1, "older": 2})
    cache.set("dead", 3, timeout=5)
    clock.now += 10
    cache.set("new", 4)
    assert listed(cache) == ["new", "old", "older"]
    assert cache.evictions == {"expired": 1, "lru": 0}


def test_what_cannot_be_read_leaves_first(cache: FileSystemCache) -> None:
    """A damaged entry takes nobody's place for long."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    path_of(cache, "c").write_bytes(b"")
    cache.set("d", 4)
    assert listed(cache) == ["a", "b", "d"]
    assert cache.evictions == {"expired": 1, "lru": 0}


def test_what_was_chosen_to_go_and_is_used_again_stays(tmp_path: Path) -> None:
    """Candidates are kept between writes, and looked at again."""
    cache = FileSystemCache(tmp_path, threshold=10)
    for number in range(11):
        cache.set(str(number), number)
    assert cache._room()._evictor._candidates
    for number in (1, 2):
        assert cache.get(str(number)) == number
    cache.set("new", 1)
    assert {"1", "2"} <= held(cache)
    assert "3" not in held(cache)


def test_no_threshold_means_no_limit(tmp_path: Path) -> None:
    """0 keeps everything."""
    cache = FileSystemCache(tmp_path, threshold=0)
    for number in range(300):
        cache.set(str(number), number)
    assert (cache.size(), cache.evictions["lru"]) == (300, 0)


def test_a_lower_threshold_holds_from_the_next_write(cache: FileSystemCache) -> None:
    """The limit may be changed while the cache is used."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    cache.threshold = 1
    cache.set("d", 4)
    assert listed(cache) == ["d"]


class Watch:
    """Counts what is done to the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self.listed: list[str] = []
        opened, listdir = os.open, os.listdir

        def count_open(*args: Any, **kwargs: Any) -> int:
            self.opened += 1
            return opened(*args, **kwargs)

        def count_listdir(path: str) -> list[str]:
            names = listdir(path)
            self.listed += names
            return names

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("a walk over the directory")

        monkeypatch.setattr(os, "open", count_open)
        monkeypatch.setattr(os, "listdir", count_listdir)
        monkeypatch.setattr(os, "scandir", refuse)

    def during(self, call: Callable[[], object]) -> tuple[int, int]:
        """Files opened and names listed."""
        opened, names = self.opened, len(self.listed)
        call()
        return self.opened - opened, len(self.listed) - names


@pytest.mark.parametrize("threshold", [100, 1000])
def test_the_work_of_a_write_does_not_grow_with_what_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    """Hazard 20: a write into a full directory reads a bounded sample, and mostly not even that."""
    cache = FileSystemCache(tmp_path, threshold=threshold)
    for number in range(threshold):
        cache.set(str(number), number)
    watch = Watch(monkeypatch)
    work = [
        watch.during(lambda number=number: cache.set(f"n{number}", 1))  # type: ignore[misc]
        for number in range(100)
    ]
    opened, names = zip(*work, strict=True)
    assert cache.evictions["lru"] == 100
    assert max(opened) < 120
    assert sum(opened) < 100 * 40
    assert sum(names) < 100 * 40


def test_a_write_into_a_cache_with_room_lists_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shard is looked after now and then; a read opens one file."""
    cache = FileSystemCache(tmp_path, threshold=10_000)
    for number in range(1000):
        cache.set(str(number), number)
    watch = Watch(monkeypatch)
    work = [watch.during(lambda: cache.set(f"n{len(watch.listed)}", 1)) for _ in range(64)]
    assert sum(bool(names) for _, names in work) <= 5
    assert max(opened for opened, _ in work) <= 8
    assert watch.during(lambda: cache.get("7"))[1] == 0


def test_hits_do_not_write_while_nothing_is_added(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of use is written once for so many new entries, not at each hit."""
    cache.set_many({"a": 1, "b": 2})
    writes: list[str] = []
    monkeypatch.setattr(files, "restamp", lambda path, *args: writes.append(path))
    cache.set("c", 3)
    for _ in range(50):
        cache.get("c")
    assert writes == []


class Model(RuleBasedStateMachine):
    """FileSystemCache against a dictionary: values, expiries, and how many keys came before a use.

    With a limit below eight the order of use is exact but for keys that were all used between one
    new key and the next.
    """

    LIMIT = 4
    keys = st.sampled_from("abcdefg")
    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        directory = self.root / str(next(_directories))
        self.cache = FileSystemCache(directory, self.LIMIT, default_timeout=0, clock=self.clock)
        self.model: dict[str, tuple[int, float]] = {}
        self.used: dict[str, int] = {}
        self.added = 0

    def live(self, key: str) -> bool:
        return key in self.model and (not self.model[key][1] or self.model[key][1] > self.clock.now)

    @rule(key=keys, value=st.integers(), timeout=st.sampled_from([0, 5, 50]))
    def set(self, key: str, value: int, timeout: int) -> None:
        self.cache.set(key, value, timeout)
        self.added += key not in self.model
        self.used[key] = self.added
        self.model[key] = (value, self.clock.now + timeout if timeout else 0.0)
        if len(self.model) > self.LIMIT:
            (gone,) = set(self.model) - held(self.cache)
            first = min(self.used[key] for key in self.model if self.live(key))
            assert not self.live(gone) or self.used[gone] == first
            del self.model[gone]

    @rule(key=keys)
    def get(self, key: str) -> None:
        value = self.cache.get(key)
        if self.live(key):
            self.used[key] = self.added
            assert value == self.model[key][0]
        else:
            self.model.pop(key, None)
            assert value is None

    @rule(key=keys)
    def delete(self, key: str) -> None:
        assert self.cache.delete(key) == self.live(key)
        self.model.pop(key, None)

    @rule(key=keys, timeout=st.sampled_from([0, 5, 50]))
    def touch(self, key: str, timeout: int) -> None:
        live = self.live(key)
        assert self.cache.touch(key, timeout) == live
        if live:
            expires_at = self.clock.now + timeout if timeout else 0.0
            self.model[key] = (self.model[key][0], expires_at)
            self.used[key] = self.added

    @rule(seconds=st.sampled_from([1, 7, 60]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.model)
    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @invariant()
    def same(self) -> None:
        assert self.cache.size() == len(self.model) <= self.LIMIT
        assert held(self.cache) == set(self.model)


_directories = iter(range(1_000_000))


def test_it_behaves_like_a_dictionary_with_an_order_of_use(tmp_path: Path) -> None:
    """Any sequence of operations leaves what a model of it says."""
    Model.root = tmp_path
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Model, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )


# Files that are written again.


def numbers_of(cache: FileSystemCache, key: str, times: int) -> list[int]:
    """The numbers of the files that a key was in after so many writes, of growing values."""
    found = []
    for number in range(times):
        cache.set(key, "v" * number)
        assert cache.get(key) == "v" * number
        found.append(path_of(cache, key).stat().st_ino)
    return found


@pytest.fixture
def reuse(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where the system cannot."""
    cache = FileSystemCache(tmp_path_factory.mktemp("probe"))
    if len(set(numbers_of(cache, "k", 9))) != 2:
        pytest.skip("no leases here, or files cannot change places")


@pytest.mark.usefixtures("reuse")
def test_a_key_that_is_overwritten_has_two_files_by_turns(cache: FileSystemCache) -> None:
    """No file is made for a new value, be it longer or shorter than the one before."""
    numbers = numbers_of(cache, "k", 20)
    assert numbers == numbers[:2] * 10
    for size in (60_000, 0, 300, 7):
        cache.set("k", b"x" * size)
        assert cache.get("k") == b"x" * size
    assert cache.size() == 1
    assert litter(cache) == []


@pytest.mark.usefixtures("reuse")
def test_a_file_that_is_being_read_is_not_written_again(cache: FileSystemCache) -> None:
    """However long a reader takes, it reads what it has opened."""
    cache.set("k", "first")
    before = path_of(cache, "k").read_bytes()
    with path_of(cache, "k").open("rb") as reader:
        for number in range(5):
            cache.set("k", f"other {number}")
        assert reader.read() == before
    assert cache.get("k") == "other 4"
    assert litter(cache) == []


@pytest.mark.usefixtures("reuse")
def test_only_young_files_are_written_again(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may have been sent to the disk would be there again after a power cut."""
    seconds = time.monotonic()

    class Time:
        @staticmethod
        def monotonic() -> float:
            return seconds

    monkeypatch.setattr(filespare, "time", Time)
    cache.set("k", 0)
    held = path_of(cache, "k").open("rb")
    with held:
        cache.set("k", 1)
        seconds += 4.9
        assert litter(cache) == []
        assert len(paths(cache, "*.temp")) == 1
        seconds += 0.2
        cache.set("k", 2)
        assert os.fstat(held.fileno()).st_nlink == 0
    assert paths(cache, "*.temp") == []
    assert cache.get("k") == 2


@pytest.mark.usefixtures("reuse")
def test_files_of_others_are_not_written_again(cache: FileSystemCache, tmp_path: Path) -> None:
    """Neither one of which there is a link elsewhere, nor of other permissions, nor a large one."""
    cache.set("k", "linked")
    content = path_of(cache, "k").read_bytes()
    os.link(path_of(cache, "k"), tmp_path / "backup")
    numbers_of(cache, "k", 4)
    assert (tmp_path / "backup").read_bytes() == content
    public = FileSystemCache(cache.cache_dir, mode=0o644)
    for mode, writer in ((0o644, public), (0o600, cache), (0o644, public)):
        writer.set("k", "v")
        assert stat.S_IMODE(path_of(cache, "k").stat().st_mode) == mode
    for _ in range(3):
        cache.set("k", b"x" * 100_000)
    assert paths(cache, "*.temp") == []


@pytest.mark.usefixtures("reuse")
def test_a_child_does_not_write_into_its_parents_files(cache: FileSystemCache) -> None:
    """Both go on with files of their own."""
    numbers_of(cache, "k", 4)
    (kept,) = paths(cache, "*.temp")
    content = kept.read_bytes()
    assert forked(lambda: all(cache.set("k", "child's") for _ in range(5))) == 0
    assert cache.get("k") == "child's"
    assert kept.read_bytes() == content
    numbers_of(cache, "k", 4)


def test_without_leases_files_are_made_anew(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over a network, or where a system has them turned off."""

    def refuse(*args: Any) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    numbers_of(cache, "k", 5)
    assert (cache.size(), litter(cache)) == (1, [])


def test_what_became_another_keys_while_it_was_opened_is_opened_again(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who is late by two writes finds its own key nevertheless, whatever it asks."""
    cache.set("k", "mine", timeout=0)
    cache.set("other", "its")
    mine, other = str(path_of(cache, "k")), str(path_of(cache, "other"))
    opened = os.open
    late: list[bool] = []

    def open_late(path: str, *args: Any) -> int:
        if path == mine and late:
            late.pop()
            path = other
        return opened(path, *args)

    monkeypatch.setattr(os, "open", open_late)
    asked: list[tuple[Callable[[], object], object]] = [
        (lambda: cache.get("k"), "mine"),
        (lambda: cache.has("k"), True),
        (lambda: cache.ttl("k"), 0.0),
        (lambda: cache.add("k", 1), False),
        (lambda: listed(cache), ["k", "other"]),
    ]
    for ask, answer in asked:
        late.append(True)
        assert ask() == answer
        assert late == []


# Whose files these are.


def test_foreign_files_are_never_touched(tmp_path: Path, clock: Clock) -> None:
    """Neither by a full cache, nor by clear(): wherever they lie, whatever they hold."""
    released = cachelib.FileSystemCache(str(tmp_path), threshold=0)
    released.set("k", "theirs")
    cache = FileSystemCache(tmp_path, threshold=3, clock=clock)
    cache.set("k", "ours")
    shard = path_of(cache, "k").parent
    foreign = {
        tmp_path / "notes.txt": "notes",
        tmp_path / "ab" / "file": "in a directory like a shard",
        shard / "notes.txt": "in a shard",
        shard / "notes.entry": "named nearly like ours",
        shard.parent / "more" / "x.entry": "in a folder of ours",
    }
    for path, content in foreign.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    for number in range(300):
        cache.set(str(number), number)
    assert cache.size() == 3
    cache.clear()
    assert (cache.size(), listed(cache)) == (0, [])
    assert {path: path.read_text() for path in foreign} == foreign
    assert released.get("k") == "theirs"


def test_a_prefix_has_a_directory_of_its_own(tmp_path: Path) -> None:
    """Whatever is in it, and however much two of them look alike; none is needed to clear."""
    prefixes = ["", "a", "A", "a/b", "a_b", "a*", "../a", "a" * 300, "ä", "\ud800", "a\n"]
    caches = [FileSystemCache(tmp_path, key_prefix=prefix) for prefix in prefixes]
    for number, cache in enumerate(caches):
        cache.set("k", number)
    assert [cache.get("k") for cache in caches] == list(range(len(prefixes)))
    assert caches[0].clear() is True
    assert [cache.get("k") for cache in caches] == [None, *range(1, len(prefixes))]
    assert len(list(tmp_path.iterdir())) == len(prefixes)
    assert {path.parent for path in tmp_path.iterdir()} == {tmp_path}
    assert sum(path.name.startswith("a-") for path in tmp_path.iterdir()) == 1


def test_a_prefix_may_change_with_each_operation(tmp_path: Path) -> None:
    """A callable is asked each time, and the attribute may be set."""
    tenant = ["one"]
    cache = FileSystemCache(tmp_path, threshold=2, key_prefix=lambda: tenant[0])
    cache.set_many({"a": 1, "b": 1, "c": 1})
    tenant[0] = "two"
    assert (cache.size(), cache.get("c")) == (0, None)
    cache.set("c", 2)
    cache.key_prefix = "one"
    assert (cache.size(), cache.get("c")) == (2, 1)
    cache.clear()
    cache.key_prefix = "two"
    assert cache.get("c") == 2


def test_symbolic_links_are_replaced_not_followed(cache: FileSystemCache, tmp_path: Path) -> None:
    """A link in the place of an entry does not make us write elsewhere."""
    victim = tmp_path / "victim"
    cache.set("k", 1)
    content = path_of(cache, "k").read_bytes()
    victim.write_bytes(content)
    path_of(cache, "k").unlink()
    path_of(cache, "k").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        cache.touch("k", 5)
    cache.set("k", 2)
    assert victim.read_bytes() == content
    assert not path_of(cache, "k").is_symlink()


def test_an_overwritten_file_changes_places_with_the_new_one(
    cache: FileSystemCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system can: os.replace would have ext4 write the new one to the disk at once."""
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    if fileswap._exchange(str(tmp_path / "one"), str(tmp_path / "other")):
        pytest.skip("files cannot change places here")
    cache.set("k", 1)
    monkeypatch.setattr(os, "replace", None)
    cache.set("k", 2)
    assert cache.inc("k") == 3
    assert (cache.size(), len(paths(cache)), litter(cache)) == (1, 1, [])


@pytest.mark.parametrize("problem", [errno.ENOSYS, errno.EINVAL, errno.EPERM])
def test_where_files_cannot_change_places_they_are_replaced(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    """An old C library, a file system over a network, a container that forbids the call."""
    monkeypatch.setattr(fileswap, "_exchange", lambda one, other: problem)
    for number in range(3):
        cache.set("k", number)
        cache.set(f"k{number}", number)
        assert cache.get("k") == number
    assert (cache.size(), len(paths(cache)), litter(cache)) == (3, 3, [])


def test_a_swept_old_file_is_no_reason_to_write_again(
    cache: FileSystemCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Having changed places it looks like what a crash left; a count is not made twice for that."""
    cache.inc("n")
    exchange = fileswap._exchange

    def sweep(one: str, other: str) -> int:
        problem = exchange(one, other)
        if problem == 0:
            os.unlink(one)
        return problem

    monkeypatch.setattr(fileswap, "_exchange", sweep)
    assert cache.inc("n") == 2
    assert (cache.get("n"), cache.size()) == (2, 1)


def test_a_directory_in_the_place_of_an_entry_stays(cache: FileSystemCache) -> None:
    """It is somebody else's: the error says so, each time."""
    cache.set("k", 1)
    path = path_of(cache, "k")
    path.unlink()
    path.mkdir()
    (path / "file").write_text("theirs")
    for _ in range(2):
        with pytest.raises(OSError, match="directory"):
            cache.set("k", 2)
        assert (path / "file").read_text() == "theirs"
        assert litter(cache) == []


@pytest.mark.parametrize(
    ("mode", "file_mode", "directory_mode"),
    [(None, 0o600, 0o700), (0o640, 0o640, 0o750), (0o664, 0o664, 0o775), (0o400, 0o600, 0o700)],
)
def test_permissions(tmp_path: Path, mode: int | None, file_mode: int, directory_mode: int) -> None:
    """Files are of the mode asked for whatever the umask is, directories let their readers in."""
    before = os.umask(0o077)
    try:
        cache = FileSystemCache(tmp_path / "new", mode=mode)
        cache.set("k", 1)
        cache.set("k", 2)
        cache.inc("n")
    finally:
        os.umask(before)
    folder = path_of(cache, "k").parent.parent
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths(cache)} == {file_mode}
    for name in ("counts", f"{path_of(cache, 'k').parent.name}/lock"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == file_mode
    for directory in (folder, path_of(cache, "k").parent):
        assert stat.S_IMODE(directory.stat().st_mode) == directory_mode


def test_files_of_a_group_stay_the_group_s(tmp_path: Path) -> None:
    """A directory that hands its group on to what is in it goes on doing so inside of ours."""
    tmp_path.chmod(0o2770)
    cache = FileSystemCache(tmp_path, mode=0o660)
    cache.set("k", 1)
    for directory in list(path_of(cache, "k").parents)[:2]:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o2770


# Damage.


def unreadable(cache: FileSystemCache, key: str) -> str:
    """Why an entry cannot be read, having found that nothing else minds."""
    reported: list[UnreadableEntry] = []
    cache.on_unreadable = reported.append
    assert cache.get_entries([key, "none"]) == [None, None]
    assert not cache.has(key)
    assert cache.ttl(key) is None
    assert cache.touch(key, 5) is False
    assert key not in listed(cache)
    with pytest.raises(UnreadableEntry) as caught:
        cache.get(key)
    assert [error.reason for error in reported] == [caught.value.reason]
    assert cache.release_lock(key, "token") is False
    return caught.value.reason


def test_a_truncated_entry_is_a_miss_that_is_reported(cache: FileSystemCache) -> None:
    """Hazard 22, at every length, for a value and for a bare number."""
    for value in ({"a": 1}, 123456):
        cache.set("k", value)
        whole = path_of(cache, "k").read_bytes()
        for length in range(len(whole)):
            path_of(cache, "k").parent.mkdir(exist_ok=True)
            path_of(cache, "k").write_bytes(whole[:length])
            with pytest.raises(UnreadableEntry):
                cache.get("k")
        assert unreadable(cache, "k") == "truncated"


@pytest.mark.parametrize("length", [0, 99_999, 200_000, 2**40, 2**64 - 1])
def test_a_large_entry_of_a_wrong_length_is_a_miss_that_is_reported(
    cache: FileSystemCache, length: int
) -> None:
    """Whatever the header says, no more is read than there is."""
    cache.set("k", b"x" * 100_000)
    path = path_of(cache, "k")
    content = bytearray(path.read_bytes())
    content[36:44] = struct.pack("<Q", length)
    path.write_bytes(content)
    assert unreadable(cache, "k") == "truncated"


@pytest.mark.parametrize("value", ["some text", 123456])
def test_no_flipped_bit_gives_another_value(cache: FileSystemCache, value: Any) -> None:
    """A file that was changed anywhere is a miss, or still the right value."""
    cache.set("k", value, timeout=0)
    whole = path_of(cache, "k").read_bytes()
    results: set[Any] = set()
    for position in range(len(whole)):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[position] ^= bit
            path_of(cache, "k").write_bytes(changed)
            try:
                results.add(cache.get("k"))
            except UnreadableEntry:
                results.add("unreadable")
            path_of(cache, "k").parent.mkdir(exist_ok=True)
    assert results <= {value, None, "unreadable"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"\0" * 500, "foreign"),
        (struct.pack("I", 0) + pickle.dumps("x" * 500), "foreign"),
        (b"\xfcFCf\x02" + b"\0" * 500, "version"),
        (b"\xfcFCf\x01" + b"\xff" * 500, "truncated"),
    ],
)
def test_foreign_content_is_a_miss_that_is_reported(
    cache: FileSystemCache, content: bytes, reason: str
) -> None:
    """Nothing of it is executed, whatever it is; the next write replaces it."""
    cache.set("k", 1)
    for repair in (lambda: cache.set("k", 2), lambda: cache.inc("k", 2)):
        path_of(cache, "k").write_bytes(content)
        assert unreadable(cache, "k") == reason
        path_of(cache, "k").write_bytes(content)
        repair()
        assert cache.get("k") == 2
    path_of(cache, "k").write_bytes(content)
    assert cache.delete("k") is False
    assert cache.size() == 0


class Forged:
    """Whoever loads a pickle of it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("serializer", "secret"), [("pickle", b"secret"), ("pickle", b"guess"), ("signed", b"guess")]
)
def test_a_forged_pickle_is_not_loaded_under_signed(
    cache: FileSystemCache, tmp_path: Path, serializer: str, secret: bytes
) -> None:
    """Hazard 34: who can write into the directory cannot have code run."""
    forger = FileSystemCache(cache.cache_dir)
    forger.codec = Codec(serializer, secret)
    forger.set("k", Forged(tmp_path / "executed"), timeout=0)
    cache.codec = Codec("signed", b"secret")
    with pytest.raises(UnreadableEntry):
        cache.get("k")
    assert not (tmp_path / "executed").exists()
    cache.codec = Codec(serializer, secret)
    cache.get("k")
    assert (tmp_path / "executed").exists()


def test_a_directory_that_vanishes_is_made_again(cache: FileSystemCache, tmp_path: Path) -> None:
    """A miss to who reads, and no matter to who writes."""
    operations: list[Callable[[], object]] = [
        lambda: cache.set("k", 1),
        lambda: cache.add("k", 1),
        lambda: cache.inc("k"),
    ]
    for operation in operations:
        for depth in (tmp_path, path_of(cache, "k").parent.parent, path_of(cache, "k").parent):
            cache.set("k", 1)
            shutil.rmtree(depth)
            assert (cache.get("k"), cache.has("k"), cache.ttl("k")) == (None, False, None)
            assert (cache.delete("k"), cache.touch("k"), listed(cache)) == (False, False, [])
            assert cache.clear()
            operation()
            assert cache.get("k") == 1
    assert cache.size() == 1


def test_a_lost_or_damaged_counter_heals(tmp_path: Path) -> None:
    """The limit holds again after a few writes, and no process is harmed by what is in there."""
    cache = FileSystemCache(tmp_path, threshold=20)
    other = FileSystemCache(tmp_path, threshold=20)
    counts = path_of(cache, "k").parent.parent / "counts"
    for number in range(30):
        cache.set(str(number), number)
    whole = counts.read_bytes()
    for content in (None, b"", b"x" * len(whole), whole[:100], whole + b"x"):
        counts.unlink()
        if content is not None:
            counts.write_bytes(content)
        assert cache.size() == len(paths(cache)) == 20
        for number in range(20):
            (cache if number % 2 else other).set(f"{content!r}{number}", number)
        assert other.size() == len(paths(cache)) == 20


@pytest.mark.parametrize("number", [0, 5, 3_000_000_000])
def test_wrong_numbers_are_corrected(tmp_path: Path, number: int) -> None:
    """What was miscounted is found out while the cache is used, little by little."""
    cache = FileSystemCache(tmp_path, threshold=20)
    for name in range(20):
        cache.set(str(name), name)
    counts = path_of(cache, "k").parent.parent / "counts"
    counts.write_bytes(counts.read_bytes()[:16] + struct.pack("=I", number) * 256)
    for name in range(50):
        cache.set(f"new{name}", name)
    assert len(paths(cache)) >= min(number, 1) * 15
    patrol(cache)
    cache.set("last", 1)
    assert cache.size() == len(paths(cache)) <= 20


def test_a_full_disk_leaves_no_litter(cache: FileSystemCache) -> None:
    """The error comes out, the old value stays, and the next write works."""
    cache.set("k", "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        for key in ("k", "new"):
            with pytest.raises(OSError, match="File too large"):
                cache.set(key, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (cache.get("k"), cache.get("new"), cache.size()) == ("old", None, 1)
    assert litter(cache) == []
    assert cache.set("k", b"x" * 100_000)


def test_a_read_only_disk_serves_hits_and_says_so_of_writes(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a hit's use nor an expired file can be written down, which is no reason to fail."""
    FileSystemCache(tmp_path, threshold=3, clock=clock).set_many({"old": 1, "newer": 2})
    cache = FileSystemCache(tmp_path, threshold=3, clock=clock)
    opened = os.open

    def read_only(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    assert (cache.get("old"), cache.size(), len(listed(cache))) == (1, 2, 2)
    for write in (cache.set, cache.inc):
        with pytest.raises(OSError, match="Read-only"):
            write("new", 1)
    for remove in (cache.delete, cache.delete_many, cache.touch):
        with pytest.raises(OSError, match="Read-only"):
            remove("old")
    cache.ignore_delete_many_errors = True
    assert cache.delete_many("old", "none") == ["none"]
    clock.now += 1000
    assert cache.get("old") is None


def test_what_a_crash_left_is_swept_later(tmp_path: Path, clock: Clock) -> None:
    """Not at once, since it may be being written; and only what is named as ours."""
    clock.now = time.time()
    cache = FileSystemCache(tmp_path, clock=clock)
    cache.set("k", 1)
    shard = path_of(cache, "k").parent
    left = [shard / "0123456789ab-1.temp", shard.parent / "0123456789ab-2.temp"]
    foreign = [shard / "other.temp", shard.parent / "upload-1.temp"]
    for path in (*left, *foreign):
        path.write_bytes(b"half of an ent")
    cache.clear()
    assert [path.exists() for path in left] == [True, True]
    clock.now += 601
    patrol(cache)
    assert [path.exists() for path in left] == [False, False]
    assert [path.exists() for path in foreign] == [True, True]


# Listing.


def test_listing_goes_page_by_page(tmp_path: Path) -> None:
    """Every key is listed once, and the last page says so."""
    cache = FileSystemCache(tmp_path, threshold=0)
    for number in range(250):
        cache.set(f"k{number}", number)
    pages = [cache.keys(limit=100)]
    while pages[-1].cursor:
        pages.append(cache.keys(pages[-1].cursor, limit=100))
    assert [len(page.keys) for page in pages] == [100, 100, 50]
    names = [info.key for page in pages for info in page.keys]
    assert sorted(names) == sorted(f"k{number}" for number in range(250))


def test_a_listing_tells_expiry_and_size(cache: FileSystemCache, clock: Clock) -> None:
    """As the file has them; a filter is literal."""
    cache.set("a*b", "1234", timeout=0)
    cache.set("axb", "12345")
    cache.touch("axb", 9)
    infos = {info.key: info for info in cache.keys().keys}
    assert infos["a*b"] == ("a*b", 0.0, path_of(cache, "a*b").stat().st_size)
    assert infos["axb"] == ("axb", clock.now + 9, path_of(cache, "axb").stat().st_size)
    assert [info.key for info in cache.keys(match="a*").keys] == ["a*b"]


def test_looking_changes_no_file(tmp_path: Path, clock: Clock) -> None:
    """Neither its age, nor whether it is there, though it has expired."""
    cache = FileSystemCache(tmp_path, threshold=3, clock=clock)
    cache.set_many({"a": 1, "b": 2, "c": 3}, timeout=10)
    content = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths(cache)}
    for seconds in (0, 20):
        clock.now += seconds
        cache.keys()
        cache.ttl("a")
        cache.has("a")
        cache.size()
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in paths(cache)} == content


def test_a_page_opens_a_bounded_number_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that nothing matches does not read a large cache at once."""
    cache = FileSystemCache(tmp_path, threshold=0)
    for number in range(1100):
        cache.set(str(number), number)
    watch = Watch(monkeypatch)
    assert watch.during(lambda: cache.keys(match="nothing"))[0] <= 1000
    assert cache.keys(match="nothing").cursor
    assert list(iter_keys(cache, match="nothing")) == []


@pytest.mark.parametrize("cursor", ["x", "-1", "100/ab", "00/../..", "0a"])
def test_a_foreign_cursor_is_refused(cache: FileSystemCache, cursor: str) -> None:
    """A cursor is what keys() returned; others are a mistake, not an empty page."""
    with pytest.raises(ValueError, match="not a cursor"):
        cache.keys(cursor)


def test_entries_of_another_hash_method_are_not_listed(tmp_path: Path) -> None:
    """What cannot be found by its key is not shown as if it could."""
    FileSystemCache(tmp_path, hash_method=hashlib.md5).set("k", 1)
    cache = FileSystemCache(tmp_path)
    assert (cache.get("k"), listed(cache)) == (None, [])


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_key_that_stays_is_listed_exactly_once(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is written and deleted between two pages."""
    cache = FileSystemCache(tmp_path / str(next(_directories)), threshold=0)
    stays = [f"stay{number}" for number in range(data.draw(st.integers(1, 12)))]
    for number, key in enumerate(stays):
        cache.set(key, 1)
        cache.set(f"goes{number}", 1)
    seen: list[str] = []
    cursor = ""
    while True:
        page = cache.keys(cursor, limit=data.draw(st.integers(1, 5)))
        seen += [info.key for info in page.keys if info.key.startswith("stay")]
        cursor = page.cursor
        if not cursor:
            break
        number = data.draw(st.integers(0, 15))
        data.draw(st.sampled_from([cache.delete, cache.inc]))(f"goes{number}")
        cache.set(data.draw(st.sampled_from(stays)), 2)
    assert sorted(seen) == sorted(stays)


# Threads and forks.


def test_counting_is_atomic_between_threads(tmp_path: Path) -> None:
    """No count is lost, and one thread wins."""
    cache = FileSystemCache(tmp_path)

    def work(number: int) -> bool:
        for _ in range(50):
            cache.inc("n")
        return cache.add("who", number)

    with ThreadPoolExecutor(8) as pool:
        winners = list(pool.map(work, range(8)))
    assert (cache.get("n"), winners.count(True), cache.size()) == (400, 1, 2)


def test_threads_leave_it_consistent(tmp_path: Path) -> None:
    """What is read is a value that was stored under that key, or none; the limit is kept."""
    cache = FileSystemCache(tmp_path, threshold=20)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        for number in range(300):
            key = f"k{(number * (seed + 3)) % 40}"
            if number % 3 == 0:
                cache.set(key, key, timeout=number % 2 and 0.001)
            elif number % 7 == 0:
                cache.delete(key)
            elif cache.get(key) not in (None, key):
                wrong.append(key)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert wrong == []
    cache.set("last", 1)
    assert cache.size() == len(paths(cache)) <= 20
    assert litter(cache) == []


def test_a_finalizer_that_uses_the_cache_does_not_deadlock(cache: FileSystemCache) -> None:
    """The garbage collector may run anyone's code while a shard is locked."""
    done = threading.Event()

    def reenter() -> None:
        cache.set("k", 1)
        with cache._room().folder.lock(str(path_of(cache, "k").parent)):
            cache.inc("k")
            cache.delete("other")
            done.set()

    threading.Thread(target=reenter, daemon=True).start()
    assert done.wait(5)
    assert cache.get("k") == 2


def test_a_lock_that_is_never_released_delays_only_its_shard(cache: FileSystemCache) -> None:
    """A process that was stopped while it wrote: readers go on, writers wait, but not for ever."""
    cache.set("k", 1)
    other = next(
        key
        for key in map(str, range(99))
        if path_of(cache, key).parent != path_of(cache, "k").parent
    )
    with open(path_of(cache, "k").parent / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cache.get("k") == 1
        assert cache.set(other, 2)
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="was locked"):
            cache.set("k", 2)
        assert time.monotonic() - begun < 10
    assert cache.set("k", 2)


def test_an_expired_entry_whose_shard_is_locked_is_a_miss_at_once(
    cache: FileSystemCache, clock: Clock
) -> None:
    """Nobody who reads waits for a file to be removed."""
    cache.set("k", 1)
    clock.now += 60
    with open(path_of(cache, "k").parent / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cache.get("k") is None
        assert cache.size() == 1
    assert cache.get("k") is None
    assert cache.size() == 0


def test_no_file_stays_open(cache: FileSystemCache) -> None:
    """However it is used, also where operations fail."""
    before = set(os.listdir("/proc/self/fd"))
    cache.set("k", "text")
    for _ in range(3):
        cache.get("k")
        cache.touch("k", 5)
        with pytest.raises(TypeError):
            cache.inc("k")
    path_of(cache, "k").write_bytes(b"x")
    with pytest.raises(UnreadableEntry):
        cache.get("k")
    cache.clear()
    assert set(os.listdir("/proc/self/fd")) == before


def forked(call: Callable[[], bool]) -> int:
    """What a forked child exits with: 0 if the call returned true."""
    with warnings.catch_warnings():
        # Python 3.12 warns of any fork in a process with threads, which is the point here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        try:
            os._exit(0 if call() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_while_another_thread_writes_leaves_the_child_working(tmp_path: Path) -> None:
    """The child waits for no lock that nobody will release, and no count is lost."""
    cache = FileSystemCache(tmp_path, threshold=50)
    stop = threading.Event()
    made = 0

    def write() -> None:
        nonlocal made
        while not stop.is_set():
            made = cache.inc("n", 1) and made + 1
            cache.set(f"k{made % 200}", made)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        codes = [forked(lambda: bool(cache.inc("n") and cache.set("mine", 1))) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    assert codes == [0] * 20
    assert cache.get("n") == made + 20


def test_a_child_does_not_keep_what_another_thread_had_locked(cache: FileSystemCache) -> None:
    """The lock ends with the parent's thread, though the child was forked while it was held."""
    cache.set("k", 1)
    held_now, done = threading.Event(), threading.Event()

    def hold() -> None:
        with cache._room().folder.lock(str(path_of(cache, "k").parent)):
            held_now.set()
            done.wait()

    def use() -> bool:
        os.write(ready, b"x")
        return cache.set("k", 2)

    thread = threading.Thread(target=hold)
    thread.start()
    held_now.wait()
    begun, ready = os.pipe()
    release = threading.Thread(target=lambda: (os.read(begun, 1), done.set()))
    release.start()
    try:
        assert forked(use) == 0
    finally:
        done.set()
        thread.join()
        release.join()
        os.close(begun)
        os.close(ready)
    assert cache.get("k") == 2


# Processes.

WORKER = """
import json, sys
from flask_caching.backends import FileSystemCache
cache = FileSystemCache(sys.argv[1], threshold=int(sys.argv[2]), default_timeout=0)
me = int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
{work}
print(json.dumps(result), flush=True)
"""


@pytest.fixture
def workers() -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """Starts processes that each run some lines, with ``cache`` and ``me``, at the same time."""
    running: list[subprocess.Popen[str]] = []

    def start(
        directory: Path, work: str, number: int = 4, threshold: int = 500
    ) -> list[subprocess.Popen[str]]:
        script = WORKER.format(work=work)
        command = [sys.executable, "-c", script, str(directory), str(threshold)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        for me in range(number):
            running.append(
                subprocess.Popen(
                    [*command, str(me)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return running

    yield start
    for process in running:
        process.kill()
        process.communicate()


def results(processes: list[subprocess.Popen[str]]) -> list[Any]:
    found = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        found.append(json.loads(out))
    return found


def test_several_processes_lose_no_update(
    tmp_path: Path, workers: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    """Every count counts, one process wins each add, and nobody gets a number twice."""
    work = """
seen = [cache.inc("n") for _ in range(500)]
won = [number for number in range(100) if cache.add(f"add{number}", me)]
for number in range(100):
    cache.dec(f"shared{number % 7}", 2)
result = [seen, won]
"""
    seen, won = zip(*results(workers(tmp_path, work)), strict=True)
    cache = FileSystemCache(tmp_path)
    assert cache.get("n") == 2000
    assert sorted(number for numbers in seen for number in numbers) == list(range(1, 2001))
    assert sorted(number for numbers in won for number in numbers) == list(range(100))
    assert sum(cache.get(f"shared{number}") for number in range(7)) == -2 * 4 * 100
    assert cache.size() == len(paths(cache)) == 108
    assert litter(cache) == []


def test_no_torn_read_while_processes_write_large_values(
    tmp_path: Path, workers: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    """A reader, who takes no lock, finds a whole value at any time, and its expiry."""
    work = """
for number in range(150):
    cache.set("k", bytes([65 + me]) * (200_000 + me * 70_000))
    cache.touch("k", 1000 + number)
result = 0
"""
    cache = FileSystemCache(tmp_path)
    cache.set("k", b"A" * 200_000, timeout=0)
    processes = workers(tmp_path, work, number=2)
    kinds: set[int] = set()
    while any(process.poll() is None for process in processes):
        value = cache.get("k")
        assert value in (b"A" * 200_000, b"B" * 270_000)
        kinds.add(value[0])
        ttl = cache.ttl("k")
        assert ttl is not None
        assert ttl == 0 or 900 < ttl < 1500
    assert results(processes) == [0, 0]
    assert kinds == {65, 66}


def test_keys_of_one_shard_are_always_found_while_processes_write_them(
    tmp_path: Path, workers: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    """Their files are written again and again, now for the one key and now for another."""
    cache = FileSystemCache(tmp_path)
    shard = path_of(cache, "0").parent
    keys = [key for key in map(str, range(3000)) if path_of(cache, key).parent == shard][:4]
    for key in keys:
        cache.set(key, key * 50)
    work = f"""
for number in range(3000):
    key = {keys!r}[number % 4]
    cache.set(key, key * (50 + number % 90))
result = 0
"""
    processes = workers(tmp_path, work, number=2)
    while any(process.poll() is None for process in processes):
        for key in keys:
            value = cache.get(key)
            assert value is not None
            assert value == key * (len(value) // len(key))
            assert cache.has(key)
    assert results(processes) == [0, 0]
    assert (cache.size(), litter(cache)) == (4, [])


def test_several_processes_keep_the_threshold(
    tmp_path: Path, workers: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    """They agree on how many there are, and none drops what the others use."""
    work = """
worst = lost = 0
for number in range(150):
    cache.set(f"{me}-{number}", number)
    worst = max(worst, cache.size())
    lost += cache.get("hot") is None
result = [worst, lost]
"""
    cache = FileSystemCache(tmp_path, threshold=50, default_timeout=0)
    cache.set("hot", 1)
    found = results(workers(tmp_path, work, threshold=50))
    assert [lost for _, lost in found] == [0] * 4
    assert max(worst for worst, _ in found) <= 54
    cache.set("last", 1)
    assert cache.size() == len(paths(cache)) == 50


def test_a_writer_that_is_killed_damages_nothing(tmp_path: Path) -> None:
    """kill -9 at any moment: what is there can be read, is counted, and the litter is swept."""
    clock = Clock()
    clock.now = time.time()
    cache = FileSystemCache(tmp_path, threshold=30, default_timeout=0, clock=clock)

    def write() -> None:
        for number in range(10**9):
            key = f"k{number % 60}"
            cache.set(key, key * (1 + number % 5000))
            cache.inc("n")
            cache.touch(key, 0)
            if number % 5 == 0:
                cache.delete(f"k{(number + 7) % 60}")

    for attempt in range(25):
        child = os.fork()
        if child == 0:
            try:
                write()
            finally:
                os._exit(1)
        time.sleep(0.02 + attempt * 0.003)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in paths(cache):
            header = files.peek(str(path))
            assert header is not files.DAMAGED
        for info in iter_keys(cache):
            value = cache.get(info.key)
            assert value is not None
            assert info.key == "n" or value == info.key * (len(value) // len(info.key))
        assert cache.inc("n") > attempt
    clock.now += 10_000
    patrol(cache)
    for number in range(60):
        cache.set(f"k{number}", number)
    assert litter(cache) == []
    assert cache.size() == len(paths(cache)) == 30


# Making one.


def factory(app: Flask, *args: Any, options: Any = None, **config: Any) -> FileSystemCache:
    mapping = CacheConfig.load(config).as_mapping()
    return FileSystemCache.factory(
        app, mapping, list(args), {"default_timeout": 5, **(options or {})}
    )


def test_the_settings_of_an_application(app: Flask, tmp_path: Path) -> None:
    """CACHE_OPTIONS wins over each of the keys."""
    cache = factory(
        app,
        CACHE_DIR=str(tmp_path),
        CACHE_THRESHOLD=7,
        CACHE_FILE_HASH_METHOD=hashlib.md5,
        CACHE_KEY_PREFIX="shop_",
    )
    cache.set("k", 1)
    name = hashlib.md5(b"k").hexdigest()
    assert (cache.threshold, cache.default_timeout, cache.key_prefix) == (7, 5, "shop_")
    assert [path.stem for path in paths(cache)] == [name]
    assert [path.name[:6] for path in tmp_path.iterdir()] == ["shop_-"]
    options = {"threshold": 9, "key_prefix": "", "mode": 0o640}
    cache = factory(app, CACHE_DIR=tmp_path, CACHE_THRESHOLD=7, options=options)
    assert (cache.threshold, cache.key_prefix, cache.cache_dir) == (9, "", str(tmp_path))


def test_arguments_come_after_the_directory(app: Flask, tmp_path: Path) -> None:
    """As the released library takes CACHE_ARGS."""
    cache = factory(app, 11, CACHE_DIR=str(tmp_path), CACHE_THRESHOLD=7)
    assert (cache.threshold, cache.default_timeout) == (11, 5)


def test_two_directories_are_one_too_many(app: Flask, tmp_path: Path) -> None:
    """Which one is used is said."""
    options = {"cache_dir": str(tmp_path / "b")}
    assert factory(app, options=options).cache_dir == str(tmp_path / "b")
    with pytest.warns(UserWarning, match="the latter is used"):
        cache = factory(app, CACHE_DIR=str(tmp_path / "a"), options=options)
    assert cache.cache_dir == str(tmp_path / "b")


@pytest.mark.parametrize("directory", [None, "", 7, ["a"]])
def test_a_missing_directory_is_asked_for(app: Flask, directory: Any) -> None:
    """The message says what to set."""
    with pytest.raises(ConfigurationError, match=r"needs a directory.*Set CACHE_DIR"):
        factory(app, CACHE_DIR=directory)


def test_a_file_is_no_directory(app: Flask, tmp_path: Path) -> None:
    """Nor can a directory be made in one."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ConfigurationError, match=r"cannot be a directory: .*Name a directory"):
            factory(app, CACHE_DIR=path)


@pytest.mark.parametrize("method", ["md5", lambda data: None, hashlib.shake_128])
def test_a_hash_method_that_makes_no_hash_is_refused(
    app: Flask, tmp_path: Path, method: Any
) -> None:
    """By the name of its key."""
    with pytest.raises(ConfigurationError, match=r"CACHE_FILE_HASH_METHOD is .*hashlib"):
        factory(app, CACHE_DIR=tmp_path, CACHE_FILE_HASH_METHOD=method)


def test_an_application_uses_it(tmp_path: Path) -> None:
    """Views and functions are cached in the files, for whoever else has the same directory."""

    def make() -> tuple[Flask, Cache, list[int]]:
        app = Flask(__name__)
        calls: list[int] = []
        app.config.update(SECRET_KEY="s", CACHE_TYPE="FileSystemCache", CACHE_DIR=tmp_path)
        cache = Cache(app)

        @app.route("/")
        @cache.cached()
        def index() -> str:
            calls.append(1)
            return "page"

        return app, cache, calls

    first, cache, calls = make()
    second, _, more = make()
    for app in (first, first, second):
        assert app.test_client().get("/").text == "page"
    assert (calls, more) == ([1], [])
    with first.app_context():
        assert cache.delete("view//") is True
    second.test_client().get("/")
    assert more == [1]


def test_the_old_name_of_an_argument_warns(tmp_path: Path) -> None:
    """ignore_errors still works, also by its old position."""
    with pytest.warns(DeprecationWarning, match="ignore_delete_many_errors") as caught:
        cache = FileSystemCache(tmp_path, ignore_errors=True)
    assert cache.ignore_delete_many_errors is True
    assert caught[0].filename == __file__
    cache = FileSystemCache(tmp_path, 7, 8, 0o644, hashlib.md5, True)
    assert (cache.threshold, cache.default_timeout) == (7, 8)


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    """At once, not at the first write."""
    with pytest.raises(ValueError, match="threshold is -1"):
        FileSystemCache(tmp_path, threshold=-1)

    class Named:
        def update(self, data: bytes) -> None: ...

        def hexdigest(self) -> str:
            return "../../x"

    with pytest.raises(ValueError, match="no hexadecimal hash"):
        FileSystemCache(tmp_path, hash_method=lambda data: Named())


def test_a_relative_directory_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes the working directory later finds the same entries."""
    monkeypatch.chdir(tmp_path)
    cache = FileSystemCache("cache")
    cache.set("k", 1)
    monkeypatch.chdir("/")
    assert cache.get("k") == 1
    assert repr(cache) == f"FileSystemCache({str(tmp_path / 'cache')!r}, threshold=500)"
