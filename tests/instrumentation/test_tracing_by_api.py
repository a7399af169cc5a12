"""Tracing by the OpenTelemetry API alone, so in its oldest version as well: no SDK is needed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from flask_caching import Cache


class Noted(trace.Span):
    """A span that notes what it is told."""

    numbers = itertools.count(1)

    def __init__(self, name: str, parent: trace.Span, links: Sequence[trace.Link], **facts: Any):
        above = parent.get_span_context()
        number = next(self.numbers)
        trace_id = above.trace_id if above.is_valid else number
        self.context = trace.SpanContext(trace_id, number, False, trace.TraceFlags(1))
        self.name = name
        self.parent = parent if isinstance(parent, Noted) else None
        self.links = list(links)
        self.kind = facts["kind"]
        self.attributes = dict(facts["attributes"] or {})
        self.events: list[tuple[str, Any]] = []
        self.status: Any = None
        self.ended = 0

    def get_span_context(self) -> trace.SpanContext:
        return self.context

    def set_attributes(self, attributes: Any) -> None:
        self.attributes.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None:
        self.events.append((name, attributes))

    def update_name(self, name: str) -> None:
        self.name = name

    def is_recording(self) -> bool:
        return not self.ended

    def set_status(self, status: Any, description: Any = None) -> None:
        self.status = status

    def record_exception(self, exception: Any, *args: Any, **options: Any) -> None:
        raise AssertionError("its message may hold a key")

    def end(self, end_time: Any = None) -> None:
        self.ended += 1


class Provider:
    """A tracer provider, and its own tracer."""

    def __init__(self) -> None:
        self.spans: list[Noted] = []

    def get_tracer(self, *args: Any, **options: Any) -> Any:
        return self

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: Any = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = (),
    ) -> Noted:
        parent = trace.get_current_span(context)
        span = Noted(name, parent, links or (), kind=kind, attributes=attributes)
        self.spans.append(span)
        return span

    def root(self, name: str = "request") -> Any:
        return trace.use_span(self.start_span(name), end_on_exit=True)

    def tree(self) -> list[str]:
        def depth(span: Noted) -> int:
            return 1 + depth(span.parent) if span.parent else 0

        return ["  " * depth(span) + span.name.split()[0] for span in self.spans]


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def traced(app: Flask, provider: Provider, registry: CollectorRegistry) -> Callable[..., Cache]:
    def build(**config: Any) -> Cache:
        app.secret_key = "secret"
        config = {"CACHE_METRICS_REGISTRY": registry, "CACHE_TRACER_PROVIDER": provider, **config}
        return Cache(app, config=config)

    return build


def test_lookups_loads_and_operations(app, traced, provider, tmp_path):
    """Nested, ended once, and with the context as it was."""
    cache = traced(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))

    @app.get("/")
    @cache.cached()
    def index() -> str:
        return "page"

    with provider.root():
        app.test_client().get("/")
        app.test_client().get("/")
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert provider.tree() == [
        "request",
        "  cache.view",
        "    cache.get",
        "    cache.load",
        "    cache.put",
        "  cache.view",
        "    cache.get",
    ]
    assert {span.ended for span in provider.spans} == {1}


def test_errors_have_a_status_and_no_message(app, traced, provider):
    """The status is set by an object, as all versions take it."""
    cache = traced(CACHE_TYPE="SimpleCache")

    @cache.memoize()
    def fail() -> None:
        raise KeyError("of a secret")

    with app.app_context(), provider.root(), pytest.raises(KeyError):
        fail()
    load = provider.spans[-1]
    assert load.status.status_code is trace.StatusCode.ERROR
    assert load.events == [("exception", {"exception.type": "KeyError"})]


def test_waiters_link_to_the_loader(app, traced, provider):
    """By a link that is there when the span begins."""
    cache = traced(CACHE_TYPE="SimpleCache")
    begun, go = threading.Event(), threading.Event()

    @cache.memoize()
    def slow() -> str:
        begun.set()
        assert go.wait(10)
        return "value"

    def call() -> None:
        with app.app_context(), provider.root():
            slow()

    first, second = threading.Thread(target=call), threading.Thread(target=call)
    first.start()
    assert begun.wait(10)
    second.start()
    while not any(span.name.startswith("cache.lock") for span in provider.spans):
        assert second.is_alive()
    go.set()
    first.join(10)
    second.join(10)
    (load,) = [span for span in provider.spans if span.name.startswith("cache.load")]
    (lock,) = [span for span in provider.spans if span.name.startswith("cache.lock")]
    assert [link.context for link in lock.links] == [load.context]
    assert lock.attributes["flask_caching.outcome"] == "served"
