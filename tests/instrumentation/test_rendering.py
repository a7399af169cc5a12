"""The page is what ``prometheus_client`` writes, byte for byte, at every scrape."""

from __future__ import annotations

import gc
import math
import random
import threading
from functools import partial
from types import SimpleNamespace

import pytest
from flask import Flask
from prometheus_client import Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily

from flask_caching.backends.simplecache import SimpleCache
from flask_caching.observer import Collision, Load, Target
from flask_caching_instrumentation.metrics.catalogue import family
from flask_caching_instrumentation.metrics.collector import collector_for
from flask_caching_instrumentation.metrics.rendering import OwnFamily, Texts, render

ACCEPTS = [
    "",
    "text/plain; version=1.0.0; escaping=allow-utf-8",
    "application/openmetrics-text",
    "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8",
    "application/openmetrics-text; version=1.0.0; escaping=dots",
]

UGLY = [
    'a "quoted"\nreason\\',
    "100 % %s %(name)s {0} {name}",
    "line\r\x0b\x0c\x1c\x85\u2028separators",
    "ключ 鍵 🔑",
    '"} 0.0',
    " # {} 1",
    "",
]


def assert_same(registry, accept: str) -> bytes:
    """The page is the encoder's; the numbers stand still between the two."""
    encode, content_type = choose_encoder(accept)
    page = render(registry, encode, content_type)
    assert page == encode(registry)
    return page


def count_something(observer, look_up, rng: random.Random) -> None:
    """Some more of everything, with numbers of all sizes."""
    for target in [Target("view", ugly) for ugly in UGLY]:
        collision = Collision("k", "host", "refused", 1, 2)
        saved = rng.choice([0.1, 7.0, 1e6, 1e17])
        look_up(observer, target, outcome="hit", saved_seconds=saved, collision=collision)
        look_up(observer, target, outcome="miss")
        observer.bypassed(target, rng.choice(UGLY))
        with Load(observer, target, "index"):
            pass
    recorder = observer._recorder
    for exponent in range(-9, 12):
        labels = ("main", "simple", rng.choice(["get", "set"]), f"10^{exponent}")
        seconds = rng.random() * 10.0**exponent
        recorder.histogram("operation_duration_seconds", *labels)(seconds)
        recorder.counter("saved_seconds_total", "main", "simple", "view", labels[-1])(seconds)
        recorder.gauge("loads_in_flight", "main", "simple", labels[-1])(-seconds)
        if rng.random() < 0.7:
            example = {"trace_id": rng.choice(UGLY), "span_id": f"{rng.random()}"}
            recorder.exemplify("operation_duration_seconds", labels, seconds, example, 1.5)


def look_up_all(busy) -> None:
    """One more lookup for each cache."""
    for observer in busy.observers:
        observer.stored(Target("view", UGLY[0]), "stored", "")


def bare(page: bytes) -> list[bytes]:
    """Its lines without exemplars, but for those of the process."""
    return [
        line.split(b" # {")[0]
        for line in page.split(b"\n")
        if b"flask_caching_" in line or b"elsewhere_" in line
    ]


@pytest.fixture
def busy(make, app, registry, look_up):
    """Three caches of two applications that count into one registry, and what is not ours."""
    Counter("before", 'Of the "application".\nAnd\\more.', ["label"], registry=registry).labels(
        UGLY[0]
    ).inc()
    observers = [
        make(CACHE_METRICS_PATH="/metrics"),
        make(CACHE_NAME="second"),
        make(app=Flask("other"), CACHE_NAME="main"),
        make(app=Flask("elsewhere"), CACHE_METRICS_NAMESPACE="elsewhere"),
    ]
    stores = [observer.wrap(SimpleCache()) for observer in observers]
    after = Histogram("after", "Of the application.", registry=registry)
    rng = random.Random(7)

    def work() -> None:
        after.observe(rng.random())
        for observer, store in zip(observers, stores, strict=True):
            store.set(str(rng.random()), 1)
            count_something(observer, look_up, rng)

    work()
    return SimpleNamespace(registry=registry, work=work, observers=observers, stores=stores)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_busy_page_is_the_encoders_byte_for_byte(busy, accept):
    """At the first scrape, and at all that follow, whether the numbers changed or not."""
    pages = []
    for _ in range(4):
        pages.append(assert_same(busy.registry, accept))
        assert assert_same(busy.registry, accept) == pages[-1]
        busy.work()
    assert len(set(pages)) == 4
    assert all(page.count(b"\n") > 2_000 for page in pages)
    assert (b" # {span_id=" in pages[0]) == ("openmetrics" in accept)


def test_formats_take_turns(busy):
    """What was kept for one format is not shown in another."""
    for _ in range(2):
        for accept in ACCEPTS:
            assert_same(busy.registry, accept)
        busy.work()


def test_the_endpoint_serves_that_page(app, busy):
    """In either format, and with the samples restricted to those named."""
    for accept in ACCEPTS:
        encode, _ = choose_encoder(accept)
        answer = app.test_client().get("/metrics", headers={"Accept": accept})
        assert answer.data == encode(busy.registry)
        names = ["flask_caching_lookups_total", "flask_caching_load_duration_seconds_bucket"]
        answer = app.test_client().get(
            "/metrics", query_string={"name[]": names}, headers={"Accept": accept}
        )
        assert answer.data == encode(busy.registry.restricted_registry(names))
        assert b"lookups" in answer.data


def test_our_families_are_not_written_anew(busy, look_up):
    """After the first scrape the encoder sees none of our families, and all that are not ours."""
    seen: list[str] = []
    encode, content_type = choose_encoder("")

    def spy(registry) -> bytes:
        for each in registry.collect():
            seen.extend([each.name, *(sample.name for sample in each.samples)])
        return encode(registry)

    render(busy.registry, spy, content_type)
    assert "flask_caching_lookups_total" in seen
    seen.clear()
    look_up(busy.observers[0], Target("view", UGLY[0]), outcome="hit")
    render(busy.registry, spy, content_type)
    assert not [name for name in seen if name.startswith(("flask_caching_", "elsewhere_"))]
    assert {"before_total", "after_bucket", "after_sum"} <= set(seen)


@pytest.mark.parametrize("accept", ACCEPTS[:4])
def test_series_go_with_their_application(busy, accept):
    """Of the page, and of what is kept for it; their exemplars as well."""
    texts = collector_for(busy.registry, "elsewhere")._texts
    assert b"elsewhere_lookups_total{" in assert_same(busy.registry, accept)
    assert any(kept["elsewhere_lookups"].texts for kept in texts.values())
    busy.observers.pop()
    busy.stores.pop()
    gc.collect()
    assert b"elsewhere_lookups_total{" not in assert_same(busy.registry, accept)
    assert not any(kept["elsewhere_lookups"].texts for kept in texts.values())


@pytest.mark.parametrize("accept", ACCEPTS[::2])
def test_any_number_is_written_as_the_encoder_does(accept):
    """In each place of a series, and one after another in the same series."""
    numbers = [0, 1, True, 12.0, 0.1, 1e-7, 1e-300, 999_999.0, 999_999.9999999, 1e6, 1234567.5]
    numbers += [2.0**53, 1e16, 1e17, 1e300, -0.0, -1.0, -1e7, math.inf, -math.inf, math.nan]
    texts: Texts = {}
    label, buckets = ("main", "simple"), len(family("load_duration_seconds").buckets) + 1

    def families(number: float) -> list[OwnFamily]:
        return [
            OwnFamily("t", family(name), {(*label, *more): row}, {}, texts)
            for name, more, row in [
                ("entries", (), [number]),
                ("evictions_total", ("full",), [number]),
                ("load_duration_seconds", ("view", "sum", "ok"), [1.0] * buckets + [number]),
                ("load_duration_seconds", ("view", "all", "ok"), [number] * (buckets + 1)),
            ]
        ]

    for number in numbers:
        assert_same(SimpleNamespace(collect=partial(families, number)), accept)


def test_scrapes_that_meet_are_whole(busy, eager_threads):
    """Each shows every series, in the format that it asked for, while numbers change."""
    pages: list[tuple[str, bytes]] = []

    def scrape(accept: str) -> None:
        encode, content_type = choose_encoder(accept)
        pages.extend((accept, render(busy.registry, encode, content_type)) for _ in range(6))

    threads = [threading.Thread(target=scrape, args=(accept,)) for accept in ACCEPTS[:3] * 2]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        look_up_all(busy)
    assert len(pages) == 36
    for accept, page in pages:
        final = assert_same(busy.registry, accept)
        assert [line.rsplit(b" ", 1)[0] for line in bare(page)] == [
            line.rsplit(b" ", 1)[0] for line in bare(final)
        ]


def test_what_is_kept_is_bounded(busy):
    """A scraper may write any version into its Accept header."""
    collector = collector_for(busy.registry, "flask_caching")
    encode, content_type = choose_encoder(ACCEPTS[2])
    for number in range(10):
        page = render(busy.registry, encode, f"{content_type}; version={number}")
        assert page == encode(busy.registry)
    assert 0 < len(collector._texts) <= 3


def test_samples_that_somebody_changed_are_shown(busy):
    """A registry of somebody's own may add a label to each sample, as federations do."""

    class Labelling:
        def collect(self):
            for metric in busy.registry.collect():
                metric.samples = [
                    sample._replace(labels={**sample.labels, "region": "north"})
                    for sample in metric.samples
                ]
                yield metric

    page = assert_same(Labelling(), "")
    assert b'region="north"' in page
    assert b"region" not in assert_same(busy.registry, "")


@pytest.mark.parametrize("form", ["0", "0.0 # ours"])
def test_an_encoder_that_writes_differently_is_left_to_it(busy, form):
    """Nothing is guessed of a format that is not known."""

    def encode(registry) -> bytes:
        return b"".join(
            f"{sample.name} {sorted(sample.labels.items())} {sample.value:g} {form}\n".encode()
            for metric in registry.collect()
            for sample in metric.samples
        )

    for _ in range(2):
        assert render(busy.registry, encode, "text/else") == encode(busy.registry)
        busy.work()


def test_other_readers_see_usual_families(busy):
    """Equal to themselves, with their samples, and nothing that a family does not have."""
    families = {metric.name: metric for metric in busy.registry.collect()}
    again = {metric.name: metric for metric in busy.registry.collect()}
    lookups = families["flask_caching_lookups"]
    assert isinstance(lookups, OwnFamily)
    assert lookups == again["flask_caching_lookups"]
    assert lookups != GaugeMetricFamily("flask_caching_lookups", "No.")
    assert len(lookups.samples) > len(UGLY)
    assert not hasattr(lookups, "rows")
