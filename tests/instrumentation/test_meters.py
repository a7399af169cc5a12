"""OpenTelemetry metrics: the same numbers, asked for by the SDK's reader."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry

pytest.importorskip("opentelemetry.sdk.metrics", reason="the oldest sets have no SDK")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from flask_caching import Cache
from flask_caching.errors import ConfigurationError
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE, family
from flask_caching_instrumentation.metrics.meters import instrument_name


class Reading:
    """A meter provider, and what it was told."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader])

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str, *labels: str) -> dict[tuple[Any, ...], float]:
        points = self.metrics()[name].data.data_points
        return {tuple(each.attributes[label] for label in labels): each.value for each in points}


@pytest.fixture
def reading() -> Reading:
    return Reading()


def build(reading: Reading, **config: Any) -> Cache:
    app = Flask("metered")
    config.setdefault("CACHE_METRICS_REGISTRY", CollectorRegistry())
    config.setdefault("CACHE_OTEL_METRICS", True)
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_METER_PROVIDER=reading.provider, **config)
    return Cache(app)


def test_counters_gauges_and_histograms(reading: Reading) -> None:
    """Of a histogram the count and the sum; units and descriptions are said."""
    cache = build(reading)
    cache.set("a", 0)
    cache.get_many("a", "a", "b")
    lookups = reading.values("flask_caching.lookups", "source", "result")
    assert lookups == {("direct", "hit"): 2, ("direct", "miss"): 1}
    assert reading.values("flask_caching.entries", "backend") == {("simple",): 1}
    counts = reading.values("flask_caching.operation_duration.count", "operation", "outcome")
    assert counts["set", "stored"] == 1
    assert counts["get_many", "partial"] == 1
    assert reading.values("flask_caching.distinct_keys", "window") == {("5m",): 2, ("1h",): 2}
    metrics = reading.metrics()
    duration = metrics["flask_caching.operation_duration.sum"]
    assert (duration.unit, metrics["flask_caching.lookups"].unit) == ("s", "1")
    assert duration.description == family("operation_duration_seconds").help


def test_they_are_opt_in(reading: Reading) -> None:
    """Nothing is registered unless asked for."""
    build(reading, CACHE_OTEL_METRICS=False).get("a")
    assert reading.metrics() == {}


def test_applications_of_one_registry_are_told_once(reading: Reading) -> None:
    """And no series of one that is gone."""
    registry = CollectorRegistry()
    first = build(reading, CACHE_METRICS_REGISTRY=registry, CACHE_NAME="first")
    second = build(reading, CACHE_METRICS_REGISTRY=registry, CACHE_NAME="second")
    for cache in (first, second):
        cache.get("a")
    names = reading.values("flask_caching.lookups", "cache", "result")
    assert names["first", "miss"] == names["second", "miss"] == 1
    del first, cache
    gc.collect()
    names = reading.values("flask_caching.lookups", "cache", "result")
    assert {cache for cache, _ in names} == {"second"}


def test_a_registry_that_is_gone_tells_nothing(reading: Reading) -> None:
    """The meter keeps its instruments; they have nothing to say."""
    cache = build(reading)
    cache.get("a")
    assert reading.metrics()
    del cache
    gc.collect()
    assert reading.metrics() == {}


def test_a_provider_that_raises_changes_nothing() -> None:
    """It is counted as a fault of telemetry."""
    from flask_caching.observer import faults

    class Broken:
        def get_meter(self, *args: Any, **options: Any) -> Any:
            raise RuntimeError("no meters today")

    app = Flask("metered")
    app.config.update(
        CACHE_TYPE="SimpleCache", CACHE_OTEL_METRICS=True, CACHE_METER_PROVIDER=Broken()
    )
    cache = Cache(app)
    cache.set("a", 1)
    assert cache.get("a") == 1
    assert faults == {"metrics.meter: RuntimeError": 1}
    faults.clear()


def test_the_global_provider_gets_its_own_after_another_one_has_gone() -> None:
    """One that is gone is not taken for the global one."""
    from opentelemetry import metrics

    registry = CollectorRegistry()
    first = build(Reading(), CACHE_METRICS_REGISTRY=registry)
    first.get("a")
    del first
    gc.collect()
    reading = Reading()
    before = metrics._internal._METER_PROVIDER
    metrics._internal._METER_PROVIDER = reading.provider
    try:
        app = Flask("metered")
        config = {"CACHE_TYPE": "SimpleCache", "CACHE_OTEL_METRICS": True}
        cache = Cache(app, config={**config, "CACHE_METRICS_REGISTRY": registry})
        cache.get("a")
        assert reading.metrics()
    finally:
        metrics._internal._METER_PROVIDER = before


def test_what_is_no_provider_is_a_clear_error() -> None:
    """It names what is missing."""
    with pytest.raises(ConfigurationError, match=r"METER_PROVIDER is 3, .* it has no get_meter"):
        Cache(Flask("x"), config={"CACHE_METER_PROVIDER": 3})


@pytest.mark.parametrize("described", CATALOGUE, ids=lambda each: each.name)
def test_names_are_dotted_and_without_units(described: Any) -> None:
    """As OpenTelemetry writes them: the unit is a field of its own."""
    name, unit = instrument_name("flask_caching", described)
    assert name.startswith("flask_caching.")
    assert not name.endswith(("_total", "_seconds", "_bytes"))
    assert unit == (
        "s" if "seconds" in described.name else "By" if "bytes" in described.name else "1"
    )
