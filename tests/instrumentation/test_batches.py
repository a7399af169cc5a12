"""Batches: noted now and counted later, and not one is lost or counted twice."""

from __future__ import annotations

import threading

import pytest

from flask_caching_instrumentation.metrics.batches import BATCH, Batch
from flask_caching_instrumentation.metrics.collector import Collector

ASKER = ("cache", "simple", "view", "index")
OPERATION = ("cache", "simple", "get", "hit")


def note(batch: Batch, number: float) -> None:
    """As a hit does."""
    batch.append(number)
    if len(batch) > BATCH:
        batch.settle()


def test_threads_that_note_and_others_that_read(eager_threads: None) -> None:
    """Exact at the end, and never going back."""
    recorder = Collector("t").open()
    hits = recorder.hits(*ASKER)
    times = recorder.times("operation_duration_seconds", *OPERATION)

    def work() -> None:
        for _ in range(10_000):
            note(hits, 0.5)
            note(times, 0.25)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    seen = []
    while any(thread.is_alive() for thread in threads):
        numbers = recorder.read()
        seen.append(numbers["lookups_total"][*ASKER, "hit"])
    numbers = recorder.read()
    assert numbers["lookups_total"][*ASKER, "hit"] == 80_000
    assert numbers["saved_seconds_total"][ASKER] == 40_000.0
    assert numbers["operation_duration_seconds"][OPERATION] == (80_000, 20_000.0)
    assert seen == sorted(seen)


def test_no_more_wait_than_the_limit() -> None:
    """Nobody may come and read."""
    hits = Collector("t").open().hits(*ASKER)
    longest = 0
    for _ in range(10 * BATCH):
        note(hits, 0.0)
        longest = max(longest, len(hits))
    assert longest <= BATCH


def test_times_fall_into_the_buckets_that_one_by_one_they_would() -> None:
    """Bounds are inclusive; what is above them all is counted too."""
    numbers = [0.0, 1e-5, 1.1e-5, 2.5e-5, 0.3, 0.5, 2.5, 2.6, 100.0] * 3
    rows = []
    for at_once in (True, False):
        collector = Collector("t")
        recorder = collector.open()
        if at_once:
            times = recorder.times("operation_duration_seconds", *OPERATION)
            for number in numbers:
                times.append(number)
        else:
            observe = recorder.histogram("operation_duration_seconds", *OPERATION)
            for number in numbers:
                observe(number)
        rows.append(collector.counted()["operation_duration_seconds"][OPERATION])
    assert rows[0] == pytest.approx(rows[1])


def test_the_same_series_is_one_batch() -> None:
    """An application that decorates on every request asks for it again and again."""
    recorder = Collector("t").open()
    assert recorder.hits(*ASKER) is recorder.hits(*ASKER)
    name = "operation_duration_seconds"
    assert recorder.times(name, *OPERATION) is recorder.times(name, *OPERATION)


def test_what_waits_when_the_application_goes_is_counted() -> None:
    """Its counters go on where it left them."""
    collector = Collector("t")
    recorder = collector.open()
    hits = recorder.hits(*ASKER)
    hits.append(1.0)
    del recorder
    again = collector.open()
    again.hits(*ASKER).append(2.0)
    assert collector.counted()["saved_seconds_total"][ASKER] == [3.0]
