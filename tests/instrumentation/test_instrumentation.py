"""Instrumentation: each family exact against known traffic through the seam."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import pytest
from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest

from flask_caching import Cache
from flask_caching.backends.base import BaseCache, EntryBackend
from flask_caching.backends.nullcache import NullCache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.errors import ConfigurationError, UnreadableEntry
from flask_caching.observer import Collision, Load, Target, Wait, faults, report_fault
from flask_caching_instrumentation import Instrumentation, InstrumentedBackend
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE
from flask_caching_instrumentation.observer import backend_label

INDEX = Target("view", "index")
SLOW = Target("memoize", "tests.slow")


@pytest.fixture
def observer(make) -> Instrumentation:
    """An instrumentation around a SimpleCache of three entries."""
    observer = make()
    observer.backend = observer.wrap(SimpleCache(threshold=3))
    return observer


def test_lookups_are_counted_by_target_and_result(observer, look_up, numbers):
    """One for each key; hit and miss of a known target exist at zero."""
    look_up(observer, INDEX)
    look_up(observer, INDEX, outcome="hit")
    look_up(observer, INDEX, outcome="hit")
    look_up(observer, SLOW, outcome="stale")
    look_up(observer, SLOW, outcome="error", degraded=True)
    look_up(observer, Target("direct", "direct"), counts={"hit": 3, "miss": 4})
    assert numbers("lookups_total", "source", "target", "result") == {
        ("view", "index", "hit"): 2,
        ("view", "index", "miss"): 1,
        ("memoize", "tests.slow", "hit"): 0,
        ("memoize", "tests.slow", "miss"): 0,
        ("memoize", "tests.slow", "stale"): 1,
        ("memoize", "tests.slow", "error"): 1,
        ("direct", "direct", "hit"): 3,
        ("direct", "direct", "miss"): 4,
    }
    assert set(numbers("lookups_total", "cache", "backend")) == {("cache", "simple")}


def test_saved_seconds_add_up_over_hits_only(observer, look_up, numbers):
    """A call served by another's load found an entry, but saved nothing by caching."""
    look_up(observer, INDEX, outcome="hit", saved_seconds=0.5)
    look_up(observer, INDEX, outcome="hit", saved_seconds=0.25)
    look_up(observer, INDEX, outcome="miss", saved_seconds=64.0)
    look_up(observer, INDEX, outcome="hit", saved_seconds=-8.0)
    look_up(observer, INDEX, counts={"hit": 2}, saved_seconds=2.0)
    assert numbers("saved_seconds_total", "target")["index",] == 2.75


def test_stores_are_counted_with_the_reason_of_a_refusal(observer, look_up, numbers):
    """After a load, and when the application writes itself."""
    look_up(observer, INDEX, stored="stored")
    look_up(observer, INDEX, stored="refused", reason="set_cookie")
    look_up(observer, INDEX, outcome="error", stored="error", reason="unavailable")
    look_up(observer, INDEX, outcome="hit")
    observer.stored(Target("direct", "direct"), "stored", "")
    assert numbers("stores_total", "source", "result", "reason") == {
        ("view", "stored", ""): 1,
        ("view", "refused", "set_cookie"): 1,
        ("view", "error", "unavailable"): 1,
        ("direct", "stored", ""): 1,
    }


def test_bypasses_are_counted_by_reason(observer, numbers):
    """Calls that did not look are no lookups."""
    observer.bypassed(INDEX, "unless")
    observer.bypassed(INDEX, "unless")
    observer.bypassed(SLOW, "forced_update")
    assert numbers("bypasses_total", "target", "reason") == {
        ("index", "unless"): 2,
        ("tests.slow", "forced_update"): 1,
    }
    assert sum(numbers("lookups_total").values()) == 0


def test_collisions_are_counted_by_kind_and_action(observer, look_up, numbers):
    """Served (a hit) or refused (a miss), a collision is counted beside its lookup."""
    served = Collision("k", "arguments", "reported", None, None)
    refused = Collision("k", "host", "refused", None, None)
    look_up(observer, INDEX, outcome="hit", collision=served)
    look_up(observer, INDEX, collision=refused)
    counted = numbers("key_collisions_total", "target", "kind", "action")
    assert {labels: number for labels, number in counted.items() if number} == {
        ("index", "arguments", "reported"): 1,
        ("index", "host", "refused"): 1,
    }


@pytest.mark.parametrize(
    ("policy", "action"), [("report", "reported"), ("refuse", "refused"), ("allow", None)]
)
def test_collisions_exist_at_zero_so_that_the_first_is_an_increase(
    make, look_up, numbers, policy, action
):
    """Of a view every kind, with what would be done; another host is always refused."""
    observer = make(CACHE_COLLISIONS=policy)
    observer.wrap(SimpleCache())
    look_up(observer, INDEX)
    look_up(observer, SLOW)
    expected = {
        ("index", kind, "refused" if kind == "host" else action): 0
        for kind in ("endpoint", "arguments", "method", "host", "query")
    }
    counted = numbers("key_collisions_total", "target", "kind", "action")
    assert counted == (expected if action else {})


def test_loads_are_timed_and_counted_while_they_run(observer, numbers):
    """In flight while it runs, whatever thread ends it; then one observation by outcome."""
    load = Load(observer, INDEX, "index")
    load.__enter__()
    assert numbers("loads_in_flight", "source")["view",] == 1
    ending = threading.Thread(target=load.__exit__, args=(None, None, None))
    ending.start()
    ending.join()
    with pytest.raises(ZeroDivisionError), Load(observer, INDEX, "index"):
        _ = 1 / 0
    assert numbers("loads_in_flight", "source")["view",] == 0
    assert numbers("load_duration_seconds_count", "target", "outcome") == {
        ("index", "ok"): 1,
        ("index", "error"): 1,
    }
    sums = numbers("load_duration_seconds_sum", "target", "outcome")
    assert sums["index", "ok"] == pytest.approx(load.duration)


def test_waits_that_were_served_are_counted_as_coalesced(observer, numbers):
    """A wait that was not in the end has spared nothing."""
    for served in (True, True, False):
        with Wait(observer, SLOW) as wait:
            wait.served = served
    assert numbers("coalesced_loads_total", "source")["memoize",] == 2


def test_loads_beside_another_one_are_counted_as_duplicates(observer, numbers):
    """By the load itself, whatever made it begin."""
    for duplicate in (True, False):
        load = Load(observer, SLOW, "slow")
        load.duplicate = duplicate
        with load:
            pass
    assert numbers("duplicate_loads_total", "source")["memoize",] == 1


def test_errors_are_counted_by_what_the_core_says(observer, numbers):
    """By operation and kind, and whether the application saw it."""
    observer.failed("get", UnreadableEntry("no", "foreign"), True)
    observer.failed("set", TimeoutError(), True)
    observer.failed("set", TimeoutError(), False)
    assert numbers("errors_total", "operation", "error_type", "handled") == {
        ("get", "serialization", "true"): 1,
        ("set", "timeout", "true"): 1,
        ("set", "timeout", "false"): 1,
    }


def test_an_operation_that_raises_is_no_error_until_the_core_says_so(
    observer, numbers, monkeypatch
):
    """The wrapper does not know whether the application saw it: its histogram has the outcome."""

    def fail(key: str) -> None:
        raise TimeoutError

    monkeypatch.setattr(observer.backend, "delete", fail)
    with pytest.raises(TimeoutError):
        observer.backend.delete("a")
    counts = numbers("operation_duration_seconds_count", "operation", "outcome")
    assert counts["delete", "error"] == 1
    assert sum(numbers("errors_total").values()) == 0


def test_operations_of_the_backend_are_timed(observer, numbers):
    """Each call is one observation under its operation and outcome."""
    observer.backend.set("a", 1)
    observer.backend.get("a")
    observer.backend.get_entry("a")
    observer.backend.get_entry("b")
    assert numbers("operation_duration_seconds_count", "operation", "outcome") == {
        ("set", "stored"): 1,
        ("get", "hit"): 2,
        ("get", "miss"): 1,
        ("get_many", "hit"): 0,
    }


def test_a_store_in_this_process_tells_its_size_limit_and_evictions(observer, numbers):
    """Read when scraped, as long as the store exists; evictions outlive it."""
    for key in "abcde":
        observer.backend.set(key, 1)
    assert numbers("entries", "cache", "backend") == {("cache", "simple"): 3}
    assert numbers("entries_limit") == {(): 3}
    assert numbers("evictions_total", "reason") == {("lru",): 2, ("expired",): 0}
    del observer.backend
    gc.collect()
    assert numbers("entries") == {}
    assert numbers("evictions_total", "reason")["lru",] == 2


def test_a_store_without_a_limit_or_a_size_has_no_such_series(make, numbers):
    """What a store does not know, or does not have, is absent instead of 0."""
    observer = make()
    null = observer.wrap(NullCache())
    assert null.set("a", 1)
    assert numbers("entries") == {}
    assert "entries" not in observer.stats()
    unlimited = observer.wrap(SimpleCache(threshold=0))
    assert unlimited.size() == 0
    assert numbers("entries", "backend") == {("simple",): 0}
    assert numbers("entries_limit") == {}


def test_a_store_that_fails_does_not_fail_the_scrape(observer, numbers, monkeypatch):
    """Its gauges are missing, and the fault is counted."""

    def fail() -> int:
        raise OSError("directory is gone")

    monkeypatch.setattr(observer.backend, "size", fail)
    assert numbers("entries") == {}
    assert numbers("lookups_total")
    assert faults == {"metrics.entries: OSError": 2}
    assert numbers("telemetry_errors_total", "where", "error_type") == {
        ("metrics.entries", "OSError"): 3
    }
    faults.clear()


def test_targets_beyond_the_limit_share_a_label(make, look_up, numbers):
    """The first so many keep their names for good; the direct target needs no place."""
    observer = make(CACHE_METRICS_TARGETS=2)
    observer.wrap(SimpleCache())
    for name in ("a", "b", "c", "d", "a", "c"):
        look_up(observer, Target("view", name), outcome="hit")
    look_up(observer, Target("memoize", "a"), outcome="hit")
    hits = numbers("lookups_total", "source", "target", "result")
    assert {labels: n for labels, n in hits.items() if n} == {
        ("view", "a", "hit"): 2,
        ("view", "b", "hit"): 1,
        ("view", "_other", "hit"): 3,
        ("memoize", "_other", "hit"): 1,
    }
    # Counted when a target is met: ``c`` twice, since it came as two objects.
    assert numbers("dropped_labels_total", "label")["target",] == 4


def test_an_application_that_decorates_on_every_request_does_not_leak(make, look_up, numbers):
    """Targets that are made anew are counted under one name and not kept for ever."""
    observer = make()
    observer.wrap(SimpleCache())
    first = Target("memoize", "inner")
    reference = weakref.ref(first)
    look_up(observer, first, outcome="hit")
    del first
    for _ in range(3_000):
        look_up(observer, Target("memoize", "inner"), outcome="hit")
    assert reference() is None
    assert numbers("lookups_total", "target", "result")["inner", "hit"] == 3_001


def test_reasons_are_bounded_too(observer, numbers):
    """Words that come from code are few; if they are not, the rest share a label."""
    for number in range(150):
        observer.bypassed(INDEX, f"reason {number}")
    counts = numbers("bypasses_total", "reason")
    assert len(counts) == 101
    assert counts["_other",] == 50
    assert numbers("dropped_labels_total", "label")["reason",] == 50


def test_counting_is_exact_under_threads(observer, look_up, numbers):
    """Eight threads that look up, load and end lose nothing."""

    def work() -> None:
        for _ in range(2_000):
            look_up(observer, INDEX, outcome="hit", saved_seconds=0.5)
            observer.backend.get_entry("nothing")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers("lookups_total", "target", "result")["index", "hit"] == 16_000
    assert numbers("saved_seconds_total", "target")["index",] == 8_000.0
    counts = numbers("operation_duration_seconds_count", "operation", "outcome")
    assert counts["get", "miss"] == 16_000


def test_every_family_has_the_labels_of_the_catalogue(observer, look_up, registry):
    """All families are exported, under the namespace, with the labels that they promise."""
    look_up(observer, INDEX, collision=Collision("k", "query", "reported", None, None))
    observer.bypassed(INDEX, "unless")
    exported = {metric.name: metric for metric in registry.collect()}
    assert set(exported) == {
        f"flask_caching_{each.name.removesuffix('_total')}" for each in CATALOGUE
    }
    for each in CATALOGUE:
        metric = exported[f"flask_caching_{each.name.removesuffix('_total')}"]
        assert metric.type == each.kind
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == set(each.labels)


def test_no_label_holds_a_key(observer, look_up, registry):
    """The key of a lookup or a collision is nowhere in what is exported."""
    look_up(
        observer,
        INDEX,
        key="view/secret-user",
        collision=Collision("view/secret-user", "query", "reported", "secret-user", "other"),
    )
    observer.backend.set("view/secret-user", 1)
    values = {
        value
        for metric in registry.collect()
        for sample in metric.samples
        for value in sample.labels.values()
    }
    assert not [value for value in values if "secret" in value]


def test_faults_of_observers_are_exported(observer, numbers):
    """By where they happened and what they were."""
    report_fault("observer.lookup_finished", KeyError("x"))
    report_fault("observer.lookup_finished", KeyError("x"))
    assert numbers("telemetry_errors_total", "where", "error_type") == {
        ("observer.lookup_finished", "KeyError"): 2
    }
    faults.clear()


def test_the_versions_in_use_are_exported(observer, numbers):
    """One series of value 1."""
    assert list(numbers("build_info", "python_version").values()) == [1]


# Applications.


def test_applications_made_again_share_the_registry(make, look_up, numbers):
    """A test suite that makes its application for each test sees no duplicate-timeseries error."""
    for _ in range(20):
        observer = make(app=Flask("again"))
        observer.wrap(SimpleCache())
        look_up(observer, INDEX, outcome="hit")
        assert observer.stats()["lookups"]["hit"] == 1
    assert numbers("lookups_total", "target", "result")["index", "hit"] == 20


def test_two_applications_with_one_cache_name_add_up(make, numbers):
    """Their entries are summed; the gauge of the one that is gone goes with it."""
    first, second = make(app=Flask("one")), make(app=Flask("two"))
    backends = [each.wrap(SimpleCache()) for each in (first, second)]
    for number, backend in enumerate(backends, start=1):
        for key in range(number):
            backend.set(str(key), 1)
    assert numbers("entries", "cache") == {("cache",): 3}
    del first, backend, backends[0]
    gc.collect()
    assert numbers("entries", "cache") == {("cache",): 2}


def test_two_caches_of_one_application_are_told_apart(make, look_up, numbers):
    """By the cache's name."""
    pages, users = make(CACHE_NAME="pages"), make(CACHE_NAME="users")
    pages.wrap(SimpleCache())
    users.wrap(NullCache())
    look_up(pages, INDEX, outcome="hit")
    look_up(users, INDEX)
    hits = numbers("lookups_total", "cache", "backend", "result")
    assert hits["pages", "simple", "hit"] == 1
    assert hits["users", "null", "miss"] == 1
    assert hits["users", "null", "hit"] == 0


def test_the_default_registry_is_prometheus_client_s(app, make):
    """So that an exporter that the application has already shows our metrics too."""
    observer = make(CACHE_METRICS_REGISTRY=None, CACHE_METRICS_NAMESPACE="test_default")
    observer.wrap(SimpleCache())
    observer.bypassed(INDEX, "unless")
    assert observer.registry is REGISTRY
    labels = {
        "cache": "cache",
        "backend": "simple",
        "source": "view",
        "target": "index",
        "reason": "unless",
    }
    assert REGISTRY.get_sample_value("test_default_bypasses_total", labels) == 1


def test_namespaces_and_registries_are_kept_apart(make, look_up):
    """Each registry and namespace shows what was counted for it, and nothing else."""
    one, two = CollectorRegistry(), CollectorRegistry()
    observers = []
    for registry, namespace, hits in ((one, "a", 1), (one, "b", 2), (two, "a", 3)):
        observer = make(CACHE_METRICS_REGISTRY=registry, CACHE_METRICS_NAMESPACE=namespace)
        observer.wrap(SimpleCache())
        look_up(observer, INDEX, counts={"hit": hits})
        observers.append(observer)
    labels = {
        "cache": "cache",
        "backend": "simple",
        "source": "view",
        "target": "index",
        "result": "hit",
    }
    assert one.get_sample_value("a_lookups_total", labels) == 1
    assert one.get_sample_value("b_lookups_total", labels) == 2
    assert two.get_sample_value("a_lookups_total", labels) == 3
    assert two.get_sample_value("b_lookups_total", labels) is None


def test_an_application_is_not_kept_alive(registry):
    """Dropping the application and its instrumentation leaves nothing behind but counters."""
    from flask_caching.config import CacheConfig

    app = Flask("short-lived")
    config = CacheConfig.load(
        {"CACHE_METRICS_REGISTRY": registry, "CACHE_METRICS_PATH": "/metrics"}
    )
    observer = Instrumentation(app, config)
    backend = observer.wrap(SimpleCache())
    references = [weakref.ref(each) for each in (app, observer, backend.wrapped, backend)]
    del app, observer, backend
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


# The wrapper, and what the backend is called.


def test_a_backend_is_wrapped_once(observer):
    """A wrapper that is given again stays as it is."""
    assert observer.wrap(observer.backend) is observer.backend
    assert type(observer.backend.wrapped) is SimpleCache
    assert observer.wraps(observer.backend)
    assert not observer.wraps(observer.backend.wrapped)
    assert isinstance(observer.backend, InstrumentedBackend)


class MyCache(SimpleCache):
    """A subclass of ours is of our kind."""


Foreign = type("RedisCache", (BaseCache,), {"__module__": "somebody.backends.rediscache"})
Ours = type("RedisCache", (EntryBackend,), {"__module__": "flask_caching.backends.rediscache"})


@pytest.mark.parametrize(
    ("backend", "label"),
    [
        (SimpleCache(), "simple"),
        (NullCache(), "null"),
        (MyCache(), "simple"),
        (Ours(), "redis"),
        (Foreign(), "custom"),
        (object(), "custom"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_backend_s_label_is_its_kind(backend, label):
    """Ours by their class, subclasses included; others are custom."""
    assert backend_label(backend) == label


def test_a_network_backend_s_failures_exist_at_zero(make, numbers):
    """So that the first is an increase that an alert can see."""
    observer = make()
    observer.wrap(Ours())
    assert numbers("errors_total", "operation", "error_type", "handled") == {
        ("get", "serialization", "true"): 0,
        ("get", "connection", "true"): 0,
        ("get", "timeout", "true"): 0,
        ("set", "connection", "true"): 0,
        ("set", "timeout", "true"): 0,
    }


# What stats() answers.


def test_stats_tell_the_same_numbers_as_plain_data(observer, look_up):
    """Counts by kind, for the cache and for each target."""
    look_up(observer, INDEX, stored="refused", reason="status")
    look_up(observer, INDEX, outcome="hit", saved_seconds=0.5)
    look_up(observer, SLOW, collision=Collision("k", "query", "refused", None, None))
    observer.bypassed(INDEX, "unless")
    observer.failed("get", TimeoutError(), False)
    with Wait(observer, SLOW) as wait:
        wait.served = True
    observer.load_started(Load(observer, INDEX, "index"))
    for key in "abcd":
        observer.backend.set(key, 1)
    stats = dict(observer.stats())
    operations = stats.pop("operations")
    assert {
        name: {k: v["count"] for k, v in each.items()} for name, each in operations.items()
    } == {
        "get": {"hit": 0, "miss": 0},
        "get_many": {"hit": 0},
        "set": {"stored": 4},
    }
    assert operations["set"]["stored"]["seconds"] > 0
    targets = stats.pop("targets")
    loads = {"ok": {"count": 0, "seconds": 0.0}, "error": {"count": 0, "seconds": 0.0}}
    assert targets["view"]["index"] == {
        "lookups": {"hit": 1, "miss": 1, "stale": 0, "error": 0},
        "bypasses": {"unless": 1},
        "stores": {"stored": 0, "refused": 1, "error": 0},
        "refusals": {"status": 1},
        "saved_seconds": 0.5,
        "loads": loads,
        "collisions": {},
        "distinct_keys": {"5m": 1, "1h": 1},
    }
    assert targets["memoize"]["tests.slow"]["collisions"] == {
        "query": {"reported": 0, "refused": 1}
    }
    assert stats == {
        "cache": "cache",
        "backend": "simple",
        "lookups": {"hit": 1, "miss": 2, "stale": 0, "error": 0},
        "bypasses": {"unless": 1},
        "stores": {"stored": 0, "refused": 1, "error": 0},
        "refusals": {"status": 1},
        "saved_seconds": 0.5,
        "loads": loads,
        "collisions": {"query": {"reported": 0, "refused": 1}},
        "loads_in_flight": 1,
        "coalesced_loads": 1,
        "duplicate_loads": 0,
        "errors": {
            "get": {
                "serialization": {"handled": 0, "raised": 0},
                "timeout": {"handled": 0, "raised": 1},
            }
        },
        "dropped_labels": {},
        "entries": 3,
        "entries_limit": 3,
        "evictions": {"lru": 1, "expired": 0},
    }


def test_the_series_of_a_view_exist_when_the_first_request_begins(registry):
    """So that the first miss, or the first collision, is an increase; whatever is asked for."""
    app = Flask("tests")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry})
    app.add_url_rule("/a/<int:n>", "first", cache.cached()(lambda n: "a"))
    app.add_url_rule("/b", "second", cache.memoize()(lambda: "b"))
    app.add_url_rule("/c", "third", lambda: "c")
    assert app.test_client().get("/c").data == b"c"
    labels = {"cache": "cache", "backend": "simple", "source": "view", "target": "first"}
    for result in ("hit", "miss"):
        name = "flask_caching_lookups_total"
        assert registry.get_sample_value(name, {**labels, "result": result}) == 0
    collision = {**labels, "kind": "arguments", "action": "reported"}
    assert registry.get_sample_value("flask_caching_key_collisions_total", collision) == 0


def test_an_application_of_many_views_leaves_labels_for_its_functions(registry):
    """More than half of the limit are met one by one."""
    app = Flask("tests")
    config = {"CACHE_METRICS_TARGETS": 9, "CACHE_METRICS_REGISTRY": registry}
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", **config})
    for number in range(5):
        app.add_url_rule(f"/{number}", f"view-{number}", cache.cached()(lambda: "page"))
    app.test_client().get("/0")
    metrics = {metric.name: metric for metric in registry.collect()}
    targets = {each.labels["target"] for each in metrics["flask_caching_lookups"].samples}
    assert targets == {"direct", "view-0"}


@pytest.mark.parametrize("key", [b"bytes", 5, ("a", 1), None, "half \udcff"], ids=repr)
def test_keys_of_any_kind_are_counted_and_fail_no_scrape(registry, key):
    """A store in this process takes them, so an application may have some."""
    app = Flask("tests")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry})
    with app.app_context():
        for _ in range(3):
            cache.set(key, 1)
            assert cache.get(key) == 1
    labels = {"cache": "cache", "backend": "simple", "source": "direct", "target": "direct"}
    distinct = {**labels, "window": "5m"}
    assert registry.get_sample_value("flask_caching_distinct_keys", distinct) == 1


def test_label_values_are_text_that_can_be_written_down(make, look_up, registry):
    """Half a character, of an undecodable name, would be the end of every scrape."""
    observer = make(CACHE_NAME="bad \udcff name")
    observer.wrap(SimpleCache())
    look_up(observer, Target("view", "endpoint \udcff"), outcome="hit")
    text = generate_latest(registry).decode()
    assert 'cache="bad ? name"' in text
    assert 'target="endpoint ?"' in text


def test_scrapes_while_targets_come_and_applications_go(registry):
    """No scrape fails, and no counter goes back."""
    config = {"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry}
    made: list[int] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(40):
                app = Flask("tests")
                cache = Cache(app, config=config)
                with app.app_context():
                    for step in range(20):
                        cache.memoize()(lambda: 1)()
                        cache.get(f"key-{number}-{step}")
                made.append(number)
                del app, cache
                gc.collect()
        except BaseException as error:
            failures.append(error)

    keeper = Flask("keeper")
    cache = Cache(keeper, config=config)
    with keeper.app_context():
        cache.get("a")
    labels = {"cache": "cache", "backend": "simple", "source": "direct", "target": "direct"}
    name, labels = "flask_caching_lookups_total", {**labels, "result": "miss"}
    seen = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        while thread.is_alive():
            seen.append(registry.get_sample_value(name, labels))
    finally:
        thread.join()
        sys.setswitchinterval(before)
    assert failures == []
    assert len(made) == 40
    assert seen == sorted(seen)
    gc.collect()
    assert registry.get_sample_value(name, labels) == 801


def test_two_applications_on_one_directory_tell_its_entries_once(registry, tmp_path):
    """What a directory holds is the same for both."""
    apps = []
    for _ in range(2):
        app = Flask("tests")
        config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path)}
        apps.append((app, Cache(app, config={**config, "CACHE_METRICS_REGISTRY": registry})))
    with apps[0][0].app_context():
        for number in range(10):
            apps[0][1].set(str(number), 1)
    labels = {"cache": "cache", "backend": "filesystem"}
    assert registry.get_sample_value("flask_caching_entries", labels) == 10


def test_a_registry_that_was_cleared_and_filled_by_others_is_a_clear_error(make, registry):
    """Not silence: nothing would be exported."""
    make()
    collector = next(iter(registry._collector_to_names))
    registry.unregister(collector)
    Counter("flask_caching_lookups", "Somebody else's.", registry=registry)
    with pytest.raises(ConfigurationError, match="CACHE_METRICS_NAMESPACE"):
        make()
