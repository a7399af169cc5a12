"""Per-thread cells: exact under threads that run, end and are forked."""

from __future__ import annotations

import gc
import itertools
import os
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter

from flask_caching.errors import ConfigurationError
from flask_caching_instrumentation.metrics.collector import Collector, collector_for
from flask_caching_instrumentation.metrics.recorder import Recorder

HIT = ("cache", "simple", "view", "index", "hit")
OPERATION = ("cache", "simple", "get", "hit")


def run_threads(count: int, work) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lookups(recorder: Recorder) -> float:
    return recorder.read()["lookups_total"][HIT]


def test_increments_of_eight_threads_are_all_counted():
    """No increment is lost between threads, nor when they end."""
    recorder = Collector("t").open()
    add = recorder.counter("lookups_total", *HIT)
    observe = recorder.histogram("operation_duration_seconds", *OPERATION)

    def work() -> None:
        for _ in range(20_000):
            add()
            observe(0.25)

    run_threads(8, work)
    assert lookups(recorder) == 160_000
    assert recorder.read()["operation_duration_seconds"][OPERATION] == (160_000, 40_000.0)


def test_a_scrape_during_writes_never_goes_backwards():
    """Sums read while threads count and end grow steadily up to the exact total."""
    recorder = Collector("t").open()
    add = recorder.counter("lookups_total", *HIT)
    seen = [0.0]

    def work() -> None:
        for _ in range(2_000):
            add()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
        seen.append(lookups(recorder))
    for thread in threads:
        thread.join()
        seen.append(lookups(recorder))
    assert seen == sorted(seen)
    assert seen[-1] == 40_000


def test_readers_at_once_each_see_sums_of_one_moment(eager_threads):
    """Whoever else reads, counts, or makes series meanwhile."""
    collector = Collector("t")
    recorder = collector.open()
    seen: list[list[float]] = [[] for _ in range(3)]

    def read(sums: list[float]) -> None:
        while not sums or sums[-1] < 3 * 500:
            rows = collector.counted().get("lookups_total", {})
            sums.append(sum(row[0] for row in rows.values()))

    def write(number: int) -> None:
        for each in range(500):
            recorder.counter("lookups_total", *HIT[:3], f"{number}/{each % 50}", "hit")()

    threads = [threading.Thread(target=read, args=(sums,)) for sums in seen]
    threads += [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for sums in seen:
        assert sums == sorted(sums)
        assert sums[-1] == 3 * 500


def test_a_family_that_did_not_change_is_the_same_object_at_the_next_reading():
    """One that did is another, and what was read before stays as it was."""
    recorder = Collector("t").open()
    add = recorder.counter("lookups_total", *HIT)
    recorder.counter("bypasses_total", *HIT[:4], "unless")
    before = recorder._book.read()
    add()
    after = recorder._book.read()
    assert after["bypasses_total"] is before["bypasses_total"]
    assert (before["lookups_total"], after["lookups_total"]) == ({HIT: [0]}, {HIT: [1]})


def test_a_reading_in_the_middle_of_making_a_series_does_not_hide_it():
    """A destructor may read between a series' place and its name."""
    recorder = Collector("t").open()
    book = recorder._book
    allocate = book.cells.allocate

    def allocate_and_read(count: int) -> int:
        place = allocate(count)
        assert HIT not in book.read().get("lookups_total", {})
        return place

    book.cells.allocate = allocate_and_read
    recorder.counter("lookups_total", *HIT)
    assert lookups(recorder) == 0


def test_nobody_waits_while_rows_are_added_up(monkeypatch):
    """The lock is free again when the sums begin: there may be many threads."""
    from flask_caching_instrumentation.metrics import cells

    recorder = Collector("t").open()
    recorder.counter("lookups_total", *HIT)()
    summed = []

    def compress(*arguments):
        taker = threading.Thread(target=recorder.counter, args=("lookups_total", *HIT), daemon=True)
        taker.start()
        taker.join(10)
        summed.append(not taker.is_alive())
        return itertools.compress(*arguments)

    monkeypatch.setattr(cells, "compress", compress)
    assert lookups(recorder) == 1
    assert summed == [True]


def test_rows_of_ended_threads_are_folded():
    """A thousand short threads leave one row behind, and all that they counted."""
    collector = Collector("t")
    recorder = collector.open()
    add = recorder.counter("lookups_total", *HIT)
    for _ in range(50):
        run_threads(4, add)
    assert lookups(recorder) == 200
    (book, _) = next(iter(collector._books.values()))
    assert len(book.cells._rows) == 1


def test_a_child_made_after_a_thread_began_is_counted_by_it():
    """A row that is too short for a new child grows, for counters, pairs and histograms."""
    recorder = Collector("t").open()
    recorder.counter("lookups_total", *HIT)()
    observe = recorder.histogram("operation_duration_seconds", *OPERATION)
    observe(99.0)
    hit = recorder.hits("cache", "simple", "view", "late").append
    hit(0.5)
    hit(0.25)
    numbers = recorder.read()
    assert numbers["operation_duration_seconds"][OPERATION] == (1, 99.0)
    assert numbers["lookups_total"]["cache", "simple", "view", "late", "hit"] == 2
    assert numbers["saved_seconds_total"]["cache", "simple", "view", "late"] == 0.75


def test_the_same_child_asked_for_twice_is_one():
    """Equal labels share one series."""
    recorder = Collector("t").open()
    recorder.counter("lookups_total", *HIT)()
    recorder.counter("lookups_total", *HIT)(2)
    assert recorder.read()["lookups_total"] == {HIT: 3}


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, "1e-05"), (0.00001, "1e-05"), (0.000011, "2.5e-05"), (2.5, "2.5"), (2.6, "+Inf")],
)
def test_an_observation_falls_in_the_bucket_whose_bound_it_does_not_exceed(seconds, bound):
    """Bounds are inclusive, as Prometheus' ``le`` says."""
    registry = CollectorRegistry()
    recorder = collector_for(registry, "t").open()
    recorder.histogram("operation_duration_seconds", *OPERATION)(seconds)
    buckets = {
        sample.labels["le"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "t_operation_duration_seconds_bucket"
    }
    assert next(le for le, count in buckets.items() if count) == bound
    assert buckets["+Inf"] == 1


def test_no_series_is_shown_of_an_application_that_is_gone_and_counters_go_on():
    """When nothing can count any more its series end; an application like it continues them."""
    registry = CollectorRegistry()
    collector = collector_for(registry, "t")
    recorder = collector.open()
    add = recorder.counter("lookups_total", *HIT)
    add(5)
    recorder.gauge("loads_in_flight", "cache", "simple", "view")(1)
    del recorder
    gc.collect()
    add(2)  # What still can count, still counts.
    labels = dict(zip(("cache", "backend", "source", "target", "result"), HIT, strict=True))
    assert registry.get_sample_value("t_lookups_total", labels) == 7
    del add
    gc.collect()
    assert registry.get_sample_value("t_lookups_total", labels) is None
    assert not collector._books
    in_flight = {"cache": "cache", "backend": "simple", "source": "view"}
    assert registry.get_sample_value("t_loads_in_flight", in_flight) is None
    again = collector.open()
    again.counter("lookups_total", *HIT)()
    assert registry.get_sample_value("t_lookups_total", labels) == 8


def test_what_applications_leave_is_bounded(monkeypatch):
    """A test suite may make any number of them, each with a name of its own."""
    from flask_caching_instrumentation.metrics import collector as module

    monkeypatch.setattr(module, "_LEFT_LIMIT", 50)
    collector = Collector("t")
    for number in range(200):
        collector.open().counter("lookups_total", f"cache-{number}", *HIT[1:])()
    collector.counted()
    assert 0 < len(collector._left) <= 51
    assert ("lookups_total", ("cache-199", *HIT[1:])) in collector._left


def test_two_applications_with_equal_labels_add_up_but_read_their_own():
    """The registry shows the sum; a recorder reads only what it counted."""
    registry = CollectorRegistry()
    first, second = (collector_for(registry, "t").open() for _ in range(2))
    first.counter("lookups_total", *HIT)(3)
    second.counter("lookups_total", *HIT)(4)
    labels = dict(zip(("cache", "backend", "source", "target", "result"), HIT, strict=True))
    assert registry.get_sample_value("t_lookups_total", labels) == 7
    assert (lookups(first), lookups(second)) == (3, 4)


def test_a_collector_is_shared_and_survives_a_registry_that_was_emptied():
    """Asked for again it is registered again, without a duplicate-timeseries error."""
    registry = CollectorRegistry()
    collector = collector_for(registry, "t")
    assert collector_for(registry, "t") is collector
    registry.unregister(collector)
    assert collector_for(registry, "t") is collector
    assert registry.get_sample_value("t_telemetry_errors_total") is None
    assert "t_lookups" in [metric.name for metric in registry.collect()]


def test_names_taken_by_others_are_a_clear_error():
    """Another metric of our name says which settings help."""
    registry = CollectorRegistry()
    Counter("t_lookups", "Somebody else's.", registry=registry)
    with pytest.raises(ConfigurationError, match="CACHE_METRICS_NAMESPACE is 't'"):
        collector_for(registry, "t")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_counts_although_the_lock_was_held():
    """A fork while another thread holds the lock leaves a child that can count and scrape."""
    from flask_caching_instrumentation.metrics import cells

    recorder = Collector("t").open()
    add = recorder.counter("lookups_total", *HIT)
    add()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with cells.lock:
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    child = os.fork()
    if not child:
        add()
        recorder.counter("bypasses_total", "cache", "simple", "view", "index", "unless")()
        os._exit(0 if lookups(recorder) == 2 else 1)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lookups(recorder) == 1
