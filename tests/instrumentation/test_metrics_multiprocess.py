"""Several worker processes: any of them shows what all of them counted.

Each test runs interpreters of its own, since prometheus_client decides when it is imported
where its numbers are kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="mapped files are shared on POSIX only")

WORKER = """
import os, sys
from flask import Flask
from flask_caching_instrumentation import Instrumentation
from flask_caching_instrumentation.ticker import ticker
from prometheus_client import CollectorRegistry, REGISTRY
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.config import CacheConfig
from flask_caching.observer import Load, Lookup, Target, faults, report_fault

INDEX = Target("view", "index")

def build(threshold=3, registry=REGISTRY, kind=SimpleCache):
    app = Flask("worker")
    config = {"CACHE_METRICS_PATH": "/metrics", "CACHE_METRICS_REGISTRY": registry}
    observer = Instrumentation(app, CacheConfig.load(config))
    return app, observer, observer.wrap(kind(threshold=threshold))

def hit(observer, times, saved=0.5):
    for _ in range(times):
        with Lookup(observer, INDEX) as lookup:
            lookup.outcome, lookup.saved_seconds = "hit", saved

def pushed():
    ticker.tick()

def scrape(app, query="", **headers):
    return app.test_client().get("/metrics" + query, headers=headers).get_data(as_text=True)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    path = os.pathsep.join(each for each in sys.path if each)
    files = tmp_path / "files"
    files.mkdir()
    return {**os.environ, "PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": str(files)}


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WORKER + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(code: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER + code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def samples(text: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == f"flask_caching_{name}"
    }


LIVING = """
app, observer, backend = build()
hit(observer, 3)
for key in "abcde":
    backend.set(key, 1)
pushed()
load = Load(observer, INDEX, "index")
load.__enter__()
print("ready", flush=True)
sys.stdin.readline()
"""

ENDED = """
app, observer, backend = build()
hit(observer, 4)
backend.set("x", 1)
pushed()
observer.load_started(Load(observer, INDEX, "index"))
report_fault("observer.lookup_finished", KeyError())
pushed()
"""


def test_a_scrape_of_any_worker_shows_all_of_them(environment):
    """Counters of an ended worker stay; its gauges go, though nobody said that it died."""
    living = start(LIVING, environment)
    try:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        run(ENDED, environment)
        text = run("app, observer, backend = build()\nprint(scrape(app))", environment)
    finally:
        living.communicate("\n", timeout=20)
    assert samples(text, "lookups_total", "target", "result")["index", "hit"] == 7
    assert samples(text, "saved_seconds_total", "target")["index",] == 3.5
    operations = samples(text, "operation_duration_seconds_count", "operation", "outcome")
    assert operations["set", "stored"] == 6
    assert samples(text, "entries", "cache", "backend") == {("cache", "simple"): 3}
    assert samples(text, "entries_limit", "cache") == {("cache",): 6}
    assert samples(text, "evictions_total", "reason") == {("lru",): 2, ("expired",): 0}
    assert samples(text, "loads_in_flight", "source")["view",] == 1
    assert samples(text, "telemetry_errors_total", "error_type") == {("KeyError",): 1}
    assert set(samples(text, "build_info").values()) == {1}


def test_forked_workers_of_a_preloaded_application_add_up(environment):
    """Each child begins at zero in files of its own; what the parent counted is there once."""
    text = run(
        """
app, observer, backend = build(threshold=0)
hit(observer, 1)
backend.set("parent", 1)
for number in (2, 3):
    child = os.fork()
    if not child:
        hit(observer, number)
        for key in range(number):
            backend.set(str(key), 1)
        stats = observer.stats()
        assert stats["lookups"]["hit"] == number, stats
        assert stats["entries"] == number + 1, stats
        pushed()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert observer.stats()["lookups"]["hit"] == 1, observer.stats()
print(scrape(app))
""",
        environment,
    )
    assert samples(text, "lookups_total", "target", "result")["index", "hit"] == 6
    assert samples(text, "entries") == {(): 1}  # The children are gone, with their copies.


def test_formats_and_filters_are_as_in_one_process(environment):
    """OpenMetrics is negotiated, and ``name[]`` selects."""
    out = run(
        """
app, observer, backend = build()
hit(observer, 1)
print(scrape(app, Accept="application/openmetrics-text; version=1.0.0"))
print("----")
print(scrape(app, "?name[]=flask_caching_lookups_total"))
""",
        environment,
    )
    full, _, chosen = out.partition("\n----\n")
    families = {family.name: family for family in parse_openmetrics(full.strip() + "\n")}
    assert families["flask_caching_lookups"].type == "counter"
    assert [family.name for family in parse_text(chosen)] == ["flask_caching_lookups"]


def test_applications_made_again_and_other_registries_add_up(environment):
    """One set of metric objects for each namespace: no duplicates, and nothing overwritten."""
    text = run(
        """
for registry in (REGISTRY, REGISTRY, CollectorRegistry(), CollectorRegistry()):
    app, observer, backend = build(registry=registry)
    hit(observer, 2)
    stats = observer.stats()
    assert stats["lookups"]["hit"] == 2, stats
    assert stats["entries_limit"] == 3, stats
labels = dict(cache="cache", backend="simple", source="view", target="index", result="hit")
assert registry.get_sample_value("flask_caching_lookups_total", labels) == 2
print(scrape(app))
""",
        environment,
    )
    assert samples(text, "lookups_total", "target", "result")["index", "hit"] == 8


def test_a_store_that_workers_share_is_counted_once(environment):
    """A directory is the same for all: the scraped worker says what it holds."""
    shared = """
from flask_caching.backends import base
Directory = type("FileSystemCache", (SimpleCache,), {"__module__": "flask_caching.backends.fs"})
app, observer, backend = build(kind=Directory)
backend.set("a", 1)
pushed()
"""
    living = start(f"{shared}\nprint('ready', flush=True)\nsys.stdin.readline()", environment)
    try:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        text = run(f"{shared}\nprint(scrape(app))", environment)
    finally:
        living.communicate("\n", timeout=20)
    assert samples(text, "entries", "backend") == {("filesystem",): 1}
    assert samples(text, "entries_limit", "backend") == {("filesystem",): 3}


def test_a_store_that_is_gone_holds_nothing(environment):
    """In a process that lives on, its gauges fall to zero; its evictions stay."""
    text = run(
        """
import gc
app, observer, backend = build()
for key in "abcd":
    backend.set(key, 1)
pushed()
del app, observer, backend
gc.collect()
app, observer, backend = build(threshold=0)
print(scrape(app))
""",
        environment,
    )
    assert samples(text, "entries") == {(): 0}
    assert samples(text, "entries_limit") == {}
    assert samples(text, "evictions_total", "reason")["lru",] == 1


def test_a_directory_that_is_not_there_is_a_clear_error(environment, tmp_path):
    """Instead of a traceback out of the first metric."""
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "missing")
    out = run(
        """
try:
    build()
except ValueError as error:
    print(error)
""",
        environment,
    )
    assert "PROMETHEUS_MULTIPROC_DIR is" in out
    assert "create it (empty) before the workers start" in out


def test_registries_of_their_own_make_no_series_twice(environment):
    """Two applications with equal labels, each in its own registry: one series, their union."""
    text = run(
        """
applications = []
for number in (1, 2):
    app, observer, backend = build(registry=CollectorRegistry())
    hit(observer, number)
    applications.append((app, observer, backend))
print(scrape(app))
""",
        environment,
    )
    names = [line.rpartition(" ")[0] for line in text.splitlines() if line[:1] not in ("#", "")]
    assert len(names) == len(set(names))
    assert samples(text, "lookups_total", "target", "result")["index", "hit"] == 3


def test_without_its_directory_a_worker_shows_itself(environment, tmp_path):
    """Somebody removed it: the endpoint, which has the application's metrics too, goes on."""
    text = run(
        """
import shutil
app, observer, backend = build()
hit(observer, 2)
shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
print(scrape(app))
assert faults["metrics.scrape: ConfigurationError"] == 1, faults
""",
        environment,
    )
    assert samples(text, "lookups_total", "target", "result")["index", "hit"] == 2
