"""The benchmark's own logic: what it promises, how it judges, what it refuses to time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from benchmarks import promises, request_profile, whole_requests
from benchmarks.load import ALL, PAGES, read_report
from benchmarks.machine import undisturbed
from benchmarks.promises import PROMISES, Promise, judge
from benchmarks.report import promises_table, suite_tables
from benchmarks.results import Results, Series, Spread
from benchmarks.running import (
    QUICKLY_FULL,
    WORKERS,
    Choice,
    interpreter_of,
    one_core,
    roots_of,
)
from benchmarks.suites import SUITES, UNDER_LOAD
from benchmarks.workers.subjects import FLOORS, STORES, SUBJECTS, WORKS, floors_of

OURS = Series("hits", "memory", "ours", "get")
RELEASED = OURS._replace(subject="released")


def measured(**turns: list[float]) -> Results:
    """Results of ``get`` in memory."""
    results = Results()
    for subject, numbers in turns.items():
        for number in numbers:
            results.add("hits", "memory", subject, {"get": number})
    return results


def run_worker(script: str, subject: str, *suites: str) -> subprocess.CompletedProcess[str]:
    """A worker in this environment, in memory, which only sees that its works do what they say."""
    command = [sys.executable, script, "--quick", "--full", str(QUICKLY_FULL)]
    command += ["--store", "memory", "--subject", subject, "--suites", *suites]
    environment = {**os.environ, "PYTHONPATH": roots_of("ours")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_ratio_is_taken_within_each_turn() -> None:
    """A turn in which the machine was slow changes nothing, as long as both were in it."""
    results = measured(ours=[1.0, 10.0, 3.0], released=[2.0, 20.0, 6.0])
    assert Promise(OURS, RELEASED, at_most=0.5).turns(results) == [0.5, 0.5, 0.5]


def test_a_difference_is_in_its_own_unit() -> None:
    """What telemetry adds is promised in microseconds, and measured in seconds."""
    results = measured(ours=[5e-6], bare=[4.25e-6])
    promise = Promise(OURS, OURS._replace(subject="bare"), less=True, unit=("us", 1e-6))
    assert promise.turns(results) == [pytest.approx(0.75)]


@pytest.mark.parametrize(
    ("limits", "number", "kept"),
    [
        ({"at_most": 0.5}, 0.5, True),
        ({"at_most": 0.5}, 0.51, False),
        ({"at_least": 1.2}, 1.2, True),
        ({"at_least": 1.2}, 1.19, False),
    ],
)
def test_a_limit_is_kept_up_to_itself(limits: dict[str, float], number: float, kept: bool) -> None:
    """The limit itself is allowed, what is beyond is not."""
    assert Promise(OURS, **limits).kept_by(number) is kept


def test_what_was_not_measured_is_neither_kept_nor_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promise of which one side is missing says so, and fails nobody."""
    monkeypatch.setattr(promises, "PROMISES", (Promise(OURS, RELEASED, at_most=0.5),))
    (verdict,) = judge(measured(ours=[1.0]))
    assert verdict.kept is None
    assert "not measured" in promises_table([verdict])
    (verdict,) = judge(measured(ours=[1.0], released=[1.0]))
    assert verdict.kept is False
    assert "MISSED" in promises_table([verdict])


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"{promise.of} {promise.by}")
def test_a_promise_is_of_what_is_measured(promise: Promise) -> None:
    """Every promise names series that a whole run has: a name that is wrong would never fail."""
    for series in filter(None, (promise.of, promise.by)):
        assert series.subject in SUITES[series.suite].subjects[series.store]
        if series.suite == "hits":
            assert series.work in SUBJECTS[series.subject].stores[series.store]
        elif series.suite == "full":
            sizes = SUITES["full"].full[series.store]
            assert series.work in [f"set, full of {size:,}" for size in sizes]
        elif series.suite in UNDER_LOAD:
            assert series.work in (*PAGES, ALL)
        else:
            assert (series.suite, series.work) == ("scrape", "scrape, 200 targets")


def test_every_promise_has_one_limit() -> None:
    """None is empty, which would be kept by anything."""
    for promise in PROMISES:
        assert (promise.at_most is None) is not (promise.at_least is None)


def test_the_tables_speak_of_the_same_things() -> None:
    """What a subject can do, and what stands on which floor, are works that there are."""
    for name, subject in SUBJECTS.items():
        assert (WORKERS / subject.worker).is_file()
        assert set(subject.stores) <= set(STORES)
        if name != "floor":
            assert all(set(works) <= set(WORKS) for works in subject.stores.values())
    for work, stores in FLOORS.items():
        assert work in WORKS
        for store, floors in stores.items():
            assert set(floors) <= set(SUBJECTS["floor"].stores[store])


def test_a_floor_of_a_size_is_that_of_the_same_size() -> None:
    """Reading 5 MB stands on reading 5 MB."""
    assert floors_of("files", "get, 5 MB") == ("open and read, 5 MB",)
    assert floors_of("memory", "get") == ("dict get",)
    assert floors_of("memory", "miss") == ()


def test_the_spread_of_few_turns_is_all_of_it() -> None:
    """Quartiles mean something from four numbers on."""
    assert Spread.of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)


def test_the_table_has_each_work_with_its_floor() -> None:
    """A row has a number for each subject, a dash where there is none, and what it stands on."""
    results = measured(ours=[2e-6], released=[4e-6])
    results.add("hits", "memory", "floor", {"dict get": 3e-8})
    results.add("hits", "memory", "ours", {"miss": 4e-5})
    title, _, get, miss = suite_tables(results, ["hits"]).splitlines()
    assert title.startswith("memory: ")
    assert get.split() == ["get", "2.00", "±0%", "4.00", "±0%", "floor:", "dict", "get", "0.03"]
    assert miss.split() == ["miss", "40.00", "±0%", "-"]


def test_a_report_of_wrk_with_errors_is_no_rate() -> None:
    """Requests that were answered with an error are no requests a second."""
    report = (
        "Running 2s test\n  6512 requests in 2.01s, 1.2MB read\n"
        "Requests/sec:   3241.55\nTransfer/sec:    600.0KB\n"
    )
    assert read_report(report) == (6512, 3241.55)
    for trouble in ("  Non-2xx or 3xx responses: 3\n", "  Socket errors: timeout 2\n"):
        with pytest.raises(RuntimeError, match="not all of it was answered"):
            read_report(trouble + report)


@pytest.mark.parametrize(
    ("subject", "script"), [("ours", "run_flask.py"), ("bare", "run_flask.py")]
)
def test_ours_does_each_work_that_it_says(subject: str, script: str) -> None:
    """In memory, every work of the table is done, and seen to do what its name says."""
    script = str(WORKERS / "run_flask.py")
    done = run_worker(script, subject, "hits", "full")
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)["values"]
    assert tuple(values["hits"]) == SUBJECTS[subject].stores["memory"]
    assert tuple(values["full"]) == (f"set, full of {QUICKLY_FULL}",)
    assert all(seconds > 0 for found in values.values() for seconds in found.values())


def test_a_hit_that_is_a_miss_is_not_timed(tmp_path: Path) -> None:
    """A cache that stores nothing would be the fastest of all: the worker fails instead."""
    script = tmp_path / "run_nothing.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(WORKERS)!r})\n"
        "from contract import Adapter\n"
        "from worker import main\n"
        "class Nothing(Adapter):\n"
        "    def memoize(self, function): return function\n"
        "    def get(self, key): return None\n"
        "    def set(self, key, value): pass\n"
        "    def get_many(self, keys): return []\n"
        "main(Nothing, ())\n"
    )
    done = run_worker(str(script), "dogpile.cache", "hits")
    assert done.returncode == 1
    assert "AssertionError: memoize: 1 loads, not 0" in done.stderr


def test_quick_runs_have_one_process_for_each_subject() -> None:
    """The suites take turns in a real run, and share a process where only is seen if they work."""
    suites = ["hits", "load", "full", "processor"]
    real = Choice(suites, STORES, {}, 5, False, print)
    assert real.rounds() == [["hits"], ["full"], ["load", "processor"]]
    assert (real.turns_of("hits"), real.turns_of("full")) == (5, SUITES["full"].most_turns)
    quick = Choice(suites, STORES, {}, 1, True, print)
    assert quick.rounds() == [["hits", "full"], ["load", "processor"]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system decides")
def test_what_is_measured_on_one_core_gives_the_others_back() -> None:
    """What is started within has one core, what comes afterwards as many as before."""
    before = os.sched_getaffinity(0)
    with one_core():
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before


def test_what_the_hypervisor_disturbed_is_measured_again() -> None:
    """The least disturbed run counts, and the first that was left alone ends the search."""
    # Each run takes ten seconds; of the second least is taken away.
    clocks = iter([(0, 0), (10, 5), (10, 5), (20, 7), (20, 7), (30, 10)])
    runs = iter(["worst", "best", "middle"])
    assert undisturbed(lambda: next(runs), lambda: next(clocks)) == ("best", 0.2)
    clocks = iter([(0, 0), (10, 0)])
    assert undisturbed(lambda: "at once", lambda: next(clocks)) == ("at once", 0.0)


def test_an_environment_that_is_missing_is_no_interpreter(tmp_path: Path) -> None:
    """Ours is always there; the released library's may be anywhere."""
    assert interpreter_of("ours", None) == Path(sys.executable)
    assert interpreter_of("released", tmp_path / "python") == tmp_path / "python"


def test_the_plots_are_drawn_again_the_same(tmp_path: Path) -> None:
    """The figures have text that stays text, and the same numbers give the same file."""
    pytest.importorskip("matplotlib")
    from benchmarks.plot import draw

    results = measured(ours=[2e-6], released=[4e-6], floor=[3e-8])
    results.add("full", "memory", "ours", {"set, full of 500": 4e-6, "set, full of 5,000": 4e-6})
    results.add("load", "redis", "ours", {"page": 3000.0})
    first = draw(results, tmp_path / "first")
    second = draw(results, tmp_path / "second")
    assert [path.name for path in first] == ["benchmark-calls.svg", "benchmark-growth.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert ">ours</text>" in one.read_text()


@pytest.mark.parametrize("config", whole_requests.CONFIG.values(), ids=whole_requests.CONFIG)
def test_a_whole_request_is_a_hit(config: dict[str, object]) -> None:
    """It says so itself, or what it takes would be that of something else."""
    registry = CollectorRegistry()
    request = whole_requests.requester("memory", "", 0, **config, CACHE_METRICS_REGISTRY=registry)
    assert whole_requests.time_of(request) > 0
    hits = sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "flask_caching_lookups_total" and sample.labels["result"] == "hit"
    )
    requests = 199 + whole_requests.THREADS * whole_requests.REQUESTS
    assert hits == (0 if "CACHE_INSTRUMENTATION" in config else requests)


@pytest.mark.parametrize("name", request_profile.VIEWS)
def test_the_profiled_views_give_the_same_page(name: str) -> None:
    """So that a request differs in nothing but where its page comes from."""
    requester = request_profile.Requester(name, timed=True)
    assert {requester.request() for _ in range(3)} == {b"a page" * 20}
    assert requester.within > 0


def test_a_report_of_cachegrind_is_read_or_refused() -> None:
    """A number that is not there is no zero."""
    report = """
==1== I   refs:      367,384
==1== I1  misses:     10,243
==1== D1  misses:      7,651  (  5,000 rd   +   2,651 wr)
==1== Mispredicts:    11,092  (  9,000 cond +   2,092 ind)
"""
    assert list(request_profile.counts_in(report).values()) == [367384, 10243, 7651, 11092]
    with pytest.raises(RuntimeError, match="how many mispredicted"):
        request_profile.counts_in(report.partition("==1== Mispredicts")[0])
