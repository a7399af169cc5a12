"""SimpleCache: bounded, least recently used, safe between threads and over a fork."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import freezegun
import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flask_caching.backends import SimpleCache
from flask_caching.backends.base import iter_keys
from flask_caching.config import CacheConfig
from flask_caching.entry import Entry, Form, StoredResponse
from flask_caching.serializers import Codec


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> SimpleCache:
    return SimpleCache(threshold=3, default_timeout=60, clock=clock)


def listed(cache: SimpleCache) -> list[str]:
    return sorted(info.key for info in iter_keys(cache))


# Values.


def test_what_is_set_is_got(cache: SimpleCache) -> None:
    """A value comes back, also one that is false."""
    for value in ("text", b"bytes", 0, None, False, [], {"a": [1]}):
        assert cache.set("k", value) is True
        assert cache.get("k") == value
        assert cache.has("k")


def test_a_stored_value_is_never_aliased(cache: SimpleCache) -> None:
    """Hazard 16: neither the writer nor a reader can change what the next reader gets."""
    value = {"a": [1]}
    cache.set("k", value)
    value["a"].append(2)
    first = cache.get("k")
    first["a"].append(3)
    assert cache.get("k") == {"a": [1]}


def test_add_stores_only_what_is_not_there(cache: SimpleCache, clock: Clock) -> None:
    """An expired entry is not there."""
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    assert cache.get("k") == 1
    clock.now += 60
    assert cache.add("k", 3) is True
    assert cache.get("k") == 3


def test_several_values_at_once(cache: SimpleCache) -> None:
    """Many keys are read in their order, None where there is nothing."""
    assert cache.set_many({"a": 1, "b": 2}) == ["a", "b"]
    assert cache.get_many("b", "x", "a") == [2, None, 1]
    assert cache.get_dict("a", "x") == {"a": 1, "x": None}


def test_delete_says_whether_the_key_existed(cache: SimpleCache, clock: Clock) -> None:
    """An expired entry did not exist."""
    cache.set("k", 1)
    assert cache.delete("k") is True
    assert cache.delete("k") is False
    cache.set("k", 1)
    clock.now += 60
    assert cache.delete("k") is False


def test_delete_many_returns_what_is_gone(cache: SimpleCache) -> None:
    """Keys that were not there count as deleted."""
    cache.set("a", 1)
    assert cache.delete_many("a", "b") == ["a", "b"]
    assert cache.get("a") is None


def test_clear_removes_all(cache: SimpleCache) -> None:
    """Nothing is left, and the cache goes on working."""
    cache.set_many({"a": 1, "b": 2})
    assert cache.clear() is True
    assert (cache.size(), listed(cache)) == (0, [])
    cache.set("a", 3)
    assert (cache.get("a"), listed(cache)) == (3, ["a"])


# Expiry.


def test_an_entry_expires_at_its_moment(cache: SimpleCache, clock: Clock) -> None:
    """It is there until just before, and leaves the memory when it is met."""
    cache.set("k", "v", timeout=10)
    clock.now += 9.999
    assert cache.get("k") == "v"
    clock.now += 0.001
    assert cache.size() == 1
    assert cache.get("k") is None
    assert cache.size() == 0
    assert listed(cache) == []


def test_zero_never_expires_and_none_is_the_default(cache: SimpleCache, clock: Clock) -> None:
    """0 is for ever, None is default_timeout."""
    cache.set("ever", 1, timeout=0)
    cache.set("default", 1)
    assert (cache.ttl("ever"), cache.ttl("default"), cache.ttl("none")) == (0.0, 60.0, None)
    clock.now += 60
    assert (cache.ttl("ever"), cache.ttl("default")) == (0.0, None)
    clock.now += 10**9
    assert cache.get("ever") == 1


def test_a_value_that_has_expired_already_removes_the_old_one(cache: SimpleCache) -> None:
    """A negative timeout is in the past, and takes no one's place."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    cache.set("a", "new", timeout=-1)
    cache.set("d", "new", timeout=-1)
    assert cache.get_many("a", "b", "c", "d") == [None, 2, 3, None]
    assert cache.evictions == {"expired": 0, "lru": 0}


def test_parts_of_a_second_count(cache: SimpleCache, clock: Clock) -> None:
    """A timeout below a second is neither rounded up nor down to never."""
    cache.set("k", 1, timeout=0.25)
    clock.now += 0.2
    assert cache.has("k")
    clock.now += 0.1
    assert not cache.has("k")


def test_expiry_follows_a_frozen_clock() -> None:
    """Applications freeze time.time in their tests, with either tool."""
    cache = SimpleCache()
    with freezegun.freeze_time("2030-01-01") as frozen:
        cache.set("k", 1, timeout=60)
        frozen.tick(59)
        assert cache.get("k") == 1
        frozen.tick(1)
        assert cache.get("k") is None
    with time_machine.travel("2031-01-01", tick=False) as traveller:
        cache.set("k", 1, timeout=60)
        traveller.shift(60)
        assert cache.get("k") is None


def test_touch_sets_a_new_expiry_exactly(cache: SimpleCache, clock: Clock) -> None:
    """It may be earlier or later; the value stays."""
    cache.set("k", [1], timeout=50)
    assert cache.touch("k", 10) is True
    assert cache.ttl("k") == 10
    assert cache.touch("k", 0) is True
    assert cache.ttl("k") == 0.0
    assert cache.touch("k") is True
    assert cache.ttl("k") == 60
    assert cache.get("k") == [1]
    assert cache.touch("none", 10) is False
    clock.now += 60
    assert cache.touch("k", 10) is False


def entry(clock: Clock, seconds: float, payload: object = "v") -> Entry:
    expires = clock.now + seconds if seconds else 0.0
    return Entry(Form.PLAIN, payload, created_at=clock.now, expires_at=expires)


@pytest.mark.parametrize(
    ("before", "touched", "after"), [(10, 50, 50), (50, 10, 50), (10, 0, 0), (0, 10, 0), (0, 0, 0)]
)
def test_storing_an_entry_moves_its_versions_only_on(
    cache: SimpleCache, clock: Clock, before: float, touched: float, after: float
) -> None:
    """A version lives at least as long as what was made under it; never is the latest."""
    cache.set("version", "1", timeout=before)
    cache.set_entry("k", entry(clock, touched), touch=["version", "missing"])
    assert cache.ttl("version") == after
    assert not cache.has("missing")


# Eviction.


def test_the_least_recently_used_leaves_first(cache: SimpleCache) -> None:
    """A read and a write are uses; a listing and a look at the expiry are none."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    cache.get("a")
    cache.set("b", 4)
    cache.keys()
    cache.ttl("c")
    cache.set("d", 5)
    assert listed(cache) == ["a", "b", "d"]
    assert cache.evictions == {"expired": 0, "lru": 1}


def test_versions_are_used_by_the_entries_that_touch_them(cache: SimpleCache, clock: Clock) -> None:
    """A version does not leave before the entries made under it."""
    cache.set("version", "1", timeout=0)
    cache.set_many({"a": 1, "b": 2})
    cache.set_entry("c", entry(clock, 10), touch=["version"])
    assert listed(cache) == ["b", "c", "version"]


def test_hot_and_immortal_entries_survive(cache: SimpleCache) -> None:
    """Hazard 20: what never expires is not the first to leave, nor what is read all the time."""
    cache.set("hot", 1, timeout=0)
    for number in range(20):
        cache.get("hot")
        cache.set(str(number), number)
    assert cache.get("hot") == 1
    assert cache.size() == 3


def test_an_expired_entry_at_the_end_is_counted_apart(cache: SimpleCache, clock: Clock) -> None:
    """Room made from what was dead is no sign of a cache that is too small."""
    cache.set("a", 1, timeout=5)
    cache.set_many({"b": 2, "c": 3})
    clock.now += 10
    cache.set("d", 4)
    assert cache.evictions == {"expired": 1, "lru": 0}


def test_no_threshold_means_no_limit(clock: Clock) -> None:
    """0 keeps everything."""
    cache = SimpleCache(threshold=0, clock=clock)
    for number in range(1000):
        cache.set(str(number), number)
    assert (cache.size(), cache.evictions["lru"]) == (1000, 0)


def test_a_lower_threshold_holds_from_the_next_write(cache: SimpleCache) -> None:
    """The limit may be changed while the cache is used."""
    cache.set_many({"a": 1, "b": 2, "c": 3})
    cache.threshold = 1
    cache.set("d", 4)
    assert listed(cache) == ["d"]


class Counting(OrderedDict[str, Entry]):
    """A store that counts the steps of every walk over it."""

    steps = 0

    def __iter__(self) -> Iterator[str]:
        for key in super().__iter__():
            Counting.steps += 1
            yield key


def test_a_write_into_a_full_cache_scans_nothing(clock: Clock) -> None:
    """Hazard 20: making room does not walk over what is held."""
    cache = SimpleCache(threshold=1000, clock=clock)
    for number in range(1000):
        cache.set(str(number), number)
    cache._cache = Counting(cache._cache)
    Counting.steps = 0
    for number in range(1000):
        cache.set(f"new{number}", number)
    assert Counting.steps == 0
    assert cache.evictions["lru"] == 1000


# Counting.


def test_counting_up_and_down(cache: SimpleCache) -> None:
    """A key that is not there counts as 0 and gets the default timeout."""
    assert cache.inc("n") == 1
    assert cache.inc("n", 4) == 5
    assert cache.dec("n", 2) == 3
    assert cache.dec("m") == -1
    assert cache.get("n") == 3
    assert cache.ttl("n") == 60


def test_counting_keeps_the_expiry(cache: SimpleCache, clock: Clock) -> None:
    """A window of a rate limit ends when it was to end."""
    cache.set("n", 1, timeout=10)
    clock.now += 4
    cache.inc("n")
    assert cache.ttl("n") == 6
    clock.now += 6
    assert cache.inc("n") == 1


@pytest.mark.parametrize("value", ["5", 1.5, True, None, [1], b"1"])
def test_only_whole_numbers_are_counted(cache: SimpleCache, value: Any) -> None:
    """The error says what to do, and the value stays."""
    cache.set("k", value)
    with pytest.raises(TypeError, match=r"'k' holds something else than an integer.*set it"):
        cache.inc("k")
    assert cache.get("k") == value


@pytest.mark.parametrize("delta", [1.5, "1", True, None])
def test_only_whole_numbers_are_added(cache: SimpleCache, delta: Any) -> None:
    """A delta that is not a whole number would make the key uncountable."""
    with pytest.raises(TypeError, match="delta is a whole number"):
        cache.inc("k", delta)


def test_counting_is_atomic() -> None:
    """No count is lost between threads."""
    cache = SimpleCache()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: [cache.inc("n") for _ in range(500)], range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert cache.get("n") == 4000


def test_counters_work_under_a_serializer_of_the_application() -> None:
    """Whole numbers are countable whatever serializer is chosen."""
    cache = SimpleCache()
    cache.codec = Codec("json")
    cache.set("n", 41)
    assert cache.inc("n") == 42


# Listing.


def test_listing_goes_page_by_page(clock: Clock) -> None:
    """Every key is listed once, and the last page says so."""
    cache = SimpleCache(threshold=0, clock=clock)
    for number in range(25):
        cache.set(f"k{number}", number)
    pages = [cache.keys(limit=10)]
    while pages[-1].cursor:
        pages.append(cache.keys(pages[-1].cursor, limit=10))
    assert [len(page.keys) for page in pages] == [10, 10, 5]
    names = [info.key for page in pages for info in page.keys]
    assert sorted(names) == sorted(f"k{number}" for number in range(25))


def test_a_listing_tells_expiry_and_size(cache: SimpleCache, clock: Clock) -> None:
    """Size is that of the payload, in bytes or thereabouts."""
    response = StoredResponse("200 OK", (("A", "b"),), b"body")
    cache.set("text", "1234", timeout=0)
    cache.set_entry(
        "page", Entry(Form.RESPONSE, response, created_at=0.0, expires_at=clock.now + 9)
    )
    cache.set("pair", ("12", b"345"))
    infos = {info.key: info for info in cache.keys().keys}
    assert infos["text"] == ("text", 0.0, 4)
    assert infos["page"] == ("page", clock.now + 9, 12)
    assert infos["pair"].size == 5


def test_a_filter_is_literal(clock: Clock) -> None:
    """A star is a star."""
    cache = SimpleCache(clock=clock)
    cache.set_many({"a*b": 1, "axb": 2, "[a]": 3})
    assert [info.key for info in cache.keys(match="a*").keys] == ["a*b"]
    assert [info.key for info in cache.keys(match="[").keys] == ["[a]"]


def test_expired_entries_are_not_listed(cache: SimpleCache, clock: Clock) -> None:
    """They count as held until somebody meets them."""
    cache.set("k", 1)
    clock.now += 60
    assert cache.keys() == ([], "")
    assert cache.size() == 1


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5"])
def test_a_foreign_cursor_is_refused(cache: SimpleCache, cursor: str) -> None:
    """A cursor is what keys() returned; others are a mistake, not an empty page."""
    with pytest.raises(ValueError, match="not a cursor"):
        cache.keys(cursor)


def test_a_page_looks_at_a_bounded_number_of_keys(clock: Clock) -> None:
    """A filter that nothing matches does not hold up the writers of a large cache."""
    cache = SimpleCache(threshold=0, clock=clock)
    for number in range(25_000):
        cache.set_entry(str(number), entry(clock, 0))
    page = cache.keys(match="nothing")
    assert (page.keys, page.cursor) == ([], "10000")
    assert list(iter_keys(cache, match="nothing")) == []


@given(st.data())
def test_a_key_that_stays_is_listed_exactly_once(data: st.DataObject) -> None:
    """Whatever is written and deleted between two pages."""
    cache = SimpleCache(threshold=0)
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
        for _ in range(data.draw(st.integers(0, 3))):
            number = data.draw(st.integers(0, 15))
            data.draw(st.sampled_from([cache.delete, lambda key: cache.set(key, 2)]))(
                f"goes{number}"
            )
            cache.get(data.draw(st.sampled_from(stays)))
    assert sorted(seen) == sorted(stays)


class Model(RuleBasedStateMachine):
    """SimpleCache against a dictionary and a list of keys from oldest to newest."""

    LIMIT = 4
    keys = st.sampled_from("abcdefg")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.cache = SimpleCache(threshold=self.LIMIT, default_timeout=0, clock=self.clock)
        self.model: dict[str, tuple[int, float]] = {}

    def live(self, key: str) -> bool:
        return key in self.model and (not self.model[key][1] or self.model[key][1] > self.clock.now)

    @rule(key=keys, value=st.integers(), timeout=st.sampled_from([0, 5, 50]))
    def set(self, key: str, value: int, timeout: int) -> None:
        self.cache.set(key, value, timeout)
        self.model.pop(key, None)
        self.model[key] = (value, self.clock.now + timeout if timeout else 0.0)
        if len(self.model) > self.LIMIT:
            del self.model[next(iter(self.model))]

    @rule(key=keys)
    def get(self, key: str) -> None:
        value = self.cache.get(key)
        if self.live(key):
            self.model[key] = self.model.pop(key)
            assert value == self.model[key][0]
        else:
            self.model.pop(key, None)
            assert value is None

    @rule(key=keys)
    def delete(self, key: str) -> None:
        assert self.cache.delete(key) == self.live(key)
        self.model.pop(key, None)

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
        assert listed(self.cache) == sorted(key for key in self.model if self.live(key))


TestModel = Model.TestCase


# Threads and processes.


def test_threads_leave_it_consistent() -> None:
    """Readers take no lock; what they see is a value that was stored under that key, or none."""
    cache = SimpleCache(threshold=20)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        for number in range(2000):
            key = f"k{(number * (seed + 3)) % 40}"
            if number % 3 == 0:
                cache.set(key, key, timeout=number % 2 and 0.0001)
            elif number % 7 == 0:
                cache.delete(key)
            elif cache.get(key) not in (None, key):
                wrong.append(key)
            if number % 50 == 0:
                cache.keys()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert cache.size() <= 20
    assert set(cache._slot_of) == set(cache._cache)
    assert sorted(filter(None, cache._slots)) == sorted(cache._cache)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_another_thread_writes_leaves_the_child_working() -> None:
    """The child neither waits for a lock that nobody will release, nor finds half a write."""
    cache = SimpleCache(threshold=50)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"k{number % 200}", number)

    # Python 3.12 warns of any fork in a process with threads, which is the point here.
    script = threading.Thread(target=write)
    script.start()
    try:
        codes = [_forked(cache) for _ in range(20)]
    finally:
        stop.set()
        script.join()
    assert codes == [0] * 20
    cache.set("after", 1)
    assert cache.get("after") == 1


def _forked(cache: SimpleCache) -> int:
    """Use the cache in a forked child; its exit code, or minus the signal that ended it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        sound = set(cache._slot_of) == set(cache._cache)
        cache.set("mine", 1)
        os._exit(0 if sound and cache.get("mine") == 1 and listed(cache) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_lock_held_by_another_thread_for_long_does_not_lock_the_child() -> None:
    """Whatever holds the lock, the child gets its own."""
    script = (
        "import os, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from flask_caching.backends import SimpleCache\n"
        "cache = SimpleCache(); cache.set('k', 1); held = threading.Event()\n"
        "done = threading.Event()\n"
        "def hold():\n"
        "    with cache.lock:\n"
        "        held.set(); done.wait()\n"
        "threading.Thread(target=hold).start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    cache.set('k', 2); os._exit(cache.get('k'))\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]); done.set()\n"
        "print(status)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout.strip() == "2"


def test_a_cache_that_is_gone_is_forgotten() -> None:
    """Keeping the lock right over a fork does not keep the cache alive."""
    from flask_caching.backends import simplecache

    cache = SimpleCache()
    identity = id(cache)
    assert identity in simplecache._instances
    del cache
    gc.collect()
    assert identity not in simplecache._instances


def test_a_finalizer_that_uses_the_cache_does_not_deadlock(cache: SimpleCache) -> None:
    """The garbage collector may run anyone's code while the lock is held."""
    done = threading.Event()

    def reenter() -> None:
        with cache.lock:
            cache.set("k", 1)
            done.set()

    thread = threading.Thread(target=reenter, daemon=True)
    thread.start()
    assert done.wait(5)
    assert cache.get("k") == 1


# Making one.


def test_the_old_name_of_an_argument_warns() -> None:
    """ignore_errors still works."""
    with pytest.warns(DeprecationWarning, match="ignore_delete_many_errors") as caught:
        cache = SimpleCache(ignore_errors=True)
    assert cache.ignore_delete_many_errors is True
    assert caught[0].filename == __file__


def test_a_negative_threshold_is_refused() -> None:
    """It would hold nothing; that is what NullCache is for."""
    with pytest.raises(ValueError, match="threshold is -1"):
        SimpleCache(threshold=-1)


@pytest.mark.parametrize(
    ("settings", "args", "options", "threshold"),
    [
        ({}, [], {}, 500),
        ({"CACHE_THRESHOLD": 7}, [], {}, 7),
        ({"CACHE_THRESHOLD": 7}, [], {"threshold": 9}, 9),
        ({"CACHE_THRESHOLD": 7}, [11], {}, 11),
    ],
)
def test_the_threshold_of_an_application(
    app: Flask, settings: dict[str, Any], args: list[Any], options: dict[str, Any], threshold: int
) -> None:
    """CACHE_THRESHOLD, unless CACHE_OPTIONS or CACHE_ARGS say otherwise."""
    config = CacheConfig.load(settings).as_mapping()
    cache = SimpleCache.factory(app, config, args, {"default_timeout": 5, **options})
    assert cache.threshold == threshold
    assert cache.default_timeout == 5


def test_a_hit_is_quick() -> None:
    """A lookup of an entry costs no more than ten dictionary reads through a function."""
    cache = SimpleCache()
    cache.set("k", "v")
    store = {"k": "v"}

    def read(key: str) -> str | None:
        return store.get(key)

    assert _cost(cache.get_entry) < 10 * _cost(read)


def _cost(call: Any) -> float:
    best = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(5000):
            call("k")
        best = min(best, time.perf_counter() - begun)
    return best
