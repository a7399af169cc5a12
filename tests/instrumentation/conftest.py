"""An instrumentation for each test, in a registry of its own."""

from __future__ import annotations

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
