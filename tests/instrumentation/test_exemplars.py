"""Exemplars: the trace to look at beside what was counted, for who asks for OpenMetrics."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from servers import RedisServer

pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flask_caching import Cache
from flask_caching.keyhash import KeyHash

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


class Traced:
    """An application whose requests are traced, and its scrapes."""

    def __init__(self, **config: Any) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("tests")
        self.app = Flask("traced")
        self.app.config.update(
            SECRET_KEY="secret",
            CACHE_METRICS_PATH="/metrics",
            CACHE_METRICS_REGISTRY=CollectorRegistry(),
            CACHE_TRACER_PROVIDER=provider,
            **config,
        )
        self.cache = cache = Cache(self.app)

        @self.app.get("/page/<int:number>")
        @cache.cached(key_prefix="one-key")
        def page(number: int) -> str:
            return f"page {number}"

    def get(self, path: str) -> str:
        """A page, inside of a span; the trace's id is kept."""
        with self.tracer.start_as_current_span("request") as span:
            self.trace_id = f"{span.get_span_context().trace_id:032x}"
            return self.app.test_client().get(path).get_data(as_text=True)

    def exemplars(self, sample: str, **labels: str) -> list[dict[str, str]]:
        text = self.app.test_client().get("/metrics", headers=OPENMETRICS).get_data(as_text=True)
        return [
            dict(each.exemplar.labels)
            for family in parse_openmetrics(text)
            for each in family.samples
            if each.name == f"flask_caching_{sample}"
            and labels.items() <= each.labels.items()
            and each.exemplar
        ]

    def span_ids(self, name: str) -> set[str]:
        found = self.exporter.get_finished_spans()
        return {f"{each.context.span_id:016x}" for each in found if each.name.startswith(name)}


def test_the_calls_to_a_server_and_the_loads_have_them(redis_server: RedisServer) -> None:
    """Of the backend's call with its own span and the key's hash; of the load with its span."""
    traced = Traced(
        CACHE_TYPE="RedisCache", CACHE_REDIS_URL=redis_server.url, CACHE_KEY_PREFIX="exemplars/"
    )
    assert traced.get("/page/1") == "page 1"
    hashed = KeyHash(b"secret")("one-key")
    (write,) = traced.exemplars("operation_duration_seconds_bucket", operation="set")
    assert write["trace_id"] == traced.trace_id
    assert write["span_id"] in traced.span_ids("cache.put")
    assert write["key"] == hashed
    (load,) = traced.exemplars("load_duration_seconds_bucket")
    assert load == {
        "trace_id": traced.trace_id,
        "span_id": load["span_id"],
    }
    assert load["span_id"] in traced.span_ids("cache.load")
    with traced.app.app_context():
        traced.cache.clear()


def test_a_collision_has_one() -> None:
    """The trace of the request that was served another one's page."""
    traced = Traced(CACHE_TYPE="SimpleCache")
    traced.get("/page/1")
    assert traced.exemplars("key_collisions_total") == []
    assert traced.get("/page/2") == "page 1"
    (collision,) = traced.exemplars("key_collisions_total", kind="arguments")
    assert collision["trace_id"] == traced.trace_id
    assert collision["key"] == KeyHash(b"secret")("one-key")


def test_the_last_one_of_a_bucket_is_shown_and_fits(redis_server: RedisServer) -> None:
    """At most 128 characters, as OpenMetrics has it; one for each bucket and no more."""
    traced = Traced(CACHE_TYPE="SimpleCache")
    with traced.app.app_context():
        for number in range(50):
            with traced.tracer.start_as_current_span("request") as span:
                traced.cache.get(f"key-{number}")
                last = f"{span.get_span_context().trace_id:032x}"
    found = traced.exemplars("operation_duration_seconds_bucket", operation="get", outcome="miss")
    assert 1 <= len(found) <= 18
    assert last in {each["trace_id"] for each in found}
    for each in found:
        assert sum(len(name) + len(value) for name, value in each.items()) <= 128


def test_without_a_trace_there_are_none_and_nothing_else_changes() -> None:
    """Nor in the classic format, which has no place for them."""
    traced = Traced(CACHE_TYPE="SimpleCache")
    traced.app.test_client().get("/page/1")
    assert traced.exemplars("operation_duration_seconds_bucket") == []
    traced.get("/page/1")
    assert traced.exemplars("operation_duration_seconds_bucket")
    classic = traced.app.test_client().get("/metrics").get_data(as_text=True)
    assert "trace_id" not in classic


def test_keys_are_left_out_where_spans_leave_them_out() -> None:
    """``CACHE_TRACE_KEYS = "off"``."""
    traced = Traced(CACHE_TYPE="SimpleCache", CACHE_TRACE_KEYS="off")
    traced.get("/page/1")
    traced.get("/page/2")
    for each in traced.exemplars("operation_duration_seconds_bucket"):
        assert each.keys() == {"trace_id", "span_id"}
    (collision,) = traced.exemplars("key_collisions_total")
    assert collision.keys() == {"trace_id", "span_id"}
