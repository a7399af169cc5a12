"""An instrumentation for each test, in a registry of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry

from flask_caching.config import CacheConfig
from flask_caching.observer import Lookup, Target, faults
from flask_caching_instrumentation import Instrumentation

Numbers = Callable[..., dict[tuple[str, ...], float]]


@pytest.fixture
def registry() -> CollectorRegistry:
    """A metrics registry that only this test uses."""
    return CollectorRegistry()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def make(app: Flask, registry: CollectorRegistry) -> Callable[..., Instrumentation]:
    """Builds an instrumentation: ``make(app=other, CACHE_NAME="second")``."""

    def build(app: Flask = app, **config: Any) -> Instrumentation:
        config.setdefault("CACHE_METRICS_REGISTRY", registry)
        return Instrumentation(app, CacheConfig.load(config))

    return build


@pytest.fixture
def numbers(registry: CollectorRegistry) -> Numbers:
    """Reads samples by some of their labels: ``numbers("lookups_total", "target", "result")``."""

    def read(name: str, *labels: str) -> dict[tuple[str, ...], float]:
        sums: dict[tuple[str, ...], float] = {}
        for metric in registry.collect():
            for sample in metric.samples:
                if sample.name == f"flask_caching_{name}":
                    values = tuple(sample.labels[label] for label in labels)
                    sums[values] = sums.get(values, 0) + sample.value
        return sums

    return read


@pytest.fixture
def look_up() -> Callable[..., Lookup]:
    """Does one lookup: ``look_up(observer, target, outcome="hit", saved_seconds=0.5)``."""

    def run(observer: Instrumentation, target: Target, **facts: Any) -> Lookup:
        with Lookup(observer, target) as lookup:
            for name, value in facts.items():
                setattr(lookup, name, value)
            if lookup.collision is not None:
                observer.collided(target, lookup.collision)
        return lookup

    return run


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """The observer must not raise; the seam would hide it. A test of faults clears them."""
    faults.clear()
    yield
    left = dict(faults)
    faults.clear()
    assert not left


class Spans:
    """What was traced, as the SDK's exporter in memory has it; for a test that asks for it.

    Attributes:
        provider: For ``CACHE_TRACER_PROVIDER``.
    """

    def __init__(self) -> None:
        sdk = pytest.importorskip("opentelemetry.sdk.trace")
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider = sdk.TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def root(self, name: str = "request") -> Any:
        """A span of the application's: ``with spans.root(): ...``."""
        return self.provider.get_tracer("tests").start_as_current_span(name)

    def all(self) -> list[Any]:
        """The spans that ended, in the order in which they began; ours are checked."""
        found = sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time)
        for span in found:
            if span.name.startswith("cache."):
                check_against_catalogue(span)
        return found

    def named(self, beginning: str) -> list[Any]:
        """Those whose names begin like this."""
        return [span for span in self.all() if span.name.startswith(beginning)]

    def one(self, beginning: str) -> Any:
        """The only one whose name begins like this."""
        (span,) = self.named(beginning)
        return span

    def tree(self) -> list[str]:
        """Their names, each with two spaces more than its parent's; functions by their own."""
        spans = {span.context.span_id: span for span in self.all()}

        def depth(span: Any) -> int:
            parent = spans.get(span.parent.span_id) if span.parent else None
            return 1 + depth(parent) if parent else 0

        return [
            "  " * depth(span) + re.sub(r"\S*<locals>\.", "", span.name) for span in spans.values()
        ]

    def clear(self) -> None:
        self._exporter.clear()


def check_against_catalogue(span: Any) -> None:
    """A span of ours, and its events, have no attribute that the catalogue does not list."""
    from flask_caching_instrumentation.tracing.spans import CATALOGUE

    (doc,) = (doc for doc in CATALOGUE if doc.name.split()[0] == span.name.split()[0])
    assert set(span.attributes) <= set(doc.attributes), span.name
    assert span.kind.name in doc.kind
    assert span.attributes["cache.name"]
    assert (span.kind.name == "CLIENT") == ("db.system.name" in span.attributes)


@pytest.fixture
def spans() -> Spans:
    """A tracer provider of this test's own, and what it recorded."""
    return Spans()


@pytest.fixture
def traced(app: Flask, spans: Spans, registry: CollectorRegistry) -> Callable[..., Any]:
    """Sets up a cache that is traced: ``traced(CACHE_TYPE="SimpleCache")``."""
    from flask_caching import Cache

    def build(app: Flask = app, **config: Any) -> Any:
        app.secret_key = "secret"
        config = {
            "CACHE_TYPE": "SimpleCache",
            "CACHE_METRICS_REGISTRY": registry,
            "CACHE_TRACER_PROVIDER": spans.provider,
            **config,
        }
        return Cache(app, config=config)

    return build
