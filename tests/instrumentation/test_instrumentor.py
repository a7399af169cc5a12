"""FlaskCachingInstrumentor: how OpenTelemetry's own tools find the package, and use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from flask_caching_instrumentation.tracing.providers import source

pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")
pytest.importorskip("opentelemetry.instrumentation.instrumentor")

ROOT = Path(__file__).parents[2]

#: A program that knows nothing of tracing, but for the span that its server would have.
PROGRAM = """
    from flask import Flask
    from flask_caching import Cache

    app = Flask("program")
    app.config.update(CACHE_TYPE="SimpleCache", SECRET_KEY="secret")
    cache = Cache(app)

    @app.get("/")
    @cache.cached(timeout=60)
    def index():
        return "page"

    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["page"] * 2
"""


@pytest.fixture(autouse=True)
def instrumentor() -> Iterator[Any]:
    """The instrumentor; afterwards everything is as if it had never been used."""
    from flask_caching_instrumentation.instrumentor import FlaskCachingInstrumentor

    made = FlaskCachingInstrumentor()
    yield made
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()
    source.use(None)


def call(app: Any, cache: Any, spans: Any) -> None:
    with app.app_context(), spans.root():
        cache.get_or_set("k", lambda: 1)
        cache.delete("k")


def test_it_chooses_the_provider_of_caches_made_before_and_after(
    app, traced, spans, instrumentor, tmp_path
):
    """Until it is used the global provider makes the spans, and that makes none here."""
    options = {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": str(tmp_path),
        "CACHE_TRACER_PROVIDER": None,
    }
    before = traced(**options)
    call(app, before, spans)
    assert spans.tree() == ["request"]
    spans.clear()
    instrumentor.instrument(tracer_provider=spans.provider)
    after = traced(**options)
    for cache in (before, after):
        call(app, cache, spans)
        assert [name.split()[0] for name in spans.tree()] == [
            "request",
            "cache.get",
            "cache.load",
            "cache.put",
            "cache.remove",
        ]
        spans.clear()


def test_uninstrument_stops_the_spans(app, traced, spans, instrumentor):
    """Until it instruments again; events as well."""
    cache = traced(CACHE_TRACER_PROVIDER=None)
    instrumentor.instrument(tracer_provider=spans.provider)
    instrumentor.uninstrument()
    call(app, cache, spans)
    assert spans.tree() == ["request"]
    assert not spans.one("request").events
    spans.clear()
    instrumentor.instrument(tracer_provider=spans.provider)
    call(app, cache, spans)
    assert spans.named("cache.load")


def test_a_provider_in_the_configuration_wins(app, traced, spans, instrumentor):
    """What the application chose itself is not touched, nor stopped."""
    trace = pytest.importorskip("opentelemetry.trace")
    cache = traced()
    instrumentor.instrument(tracer_provider=trace.NoOpTracerProvider())
    call(app, cache, spans)
    assert len(spans.named("cache.load")) == 1
    instrumentor.uninstrument()
    call(app, cache, spans)
    assert len(spans.named("cache.load")) == 2


def test_it_needs_nothing_but_this_distribution(instrumentor):
    """So ``instrument()`` finds no conflict."""
    assert list(instrumentor.instrumentation_dependencies()) == []
    instrumentor.instrument()
    assert instrumentor.is_instrumented_by_opentelemetry


def test_nothing_else_imports_it():
    """Without opentelemetry-instrumentation the package works."""
    program = """
        import sys
        sys.modules["opentelemetry.instrumentation"] = None
        import flask_caching_instrumentation
        assert "flask_caching_instrumentation.instrumentor" not in sys.modules
    """
    run(sys.executable, "-c", dedent(program))


def test_opentelemetry_instrument_finds_it(tmp_path):
    """A program that says nothing of tracing has spans of its views and its cache."""
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    if not command.exists():
        pytest.skip("opentelemetry-distro is not installed")
    # An installation from before the entry point was there has to be made anew.
    found = metadata.entry_points(group="opentelemetry_instrumentor", name="flask_caching")
    assert found, "install the package again: pip install --no-deps --editable ."
    script = tmp_path / "program.py"
    script.write_text(dedent(PROGRAM))
    output = run(
        command,
        sys.executable,
        script,
        OTEL_TRACES_EXPORTER="console",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    seen = spans_in(output)
    names = [span["name"] for span in seen]
    assert names.count("cache.view index") == 2
    assert names.count("cache.load index") == 1
    servers = {
        span["context"]["span_id"]: span for span in seen if span["kind"] == "SpanKind.SERVER"
    }
    assert len(servers) == 2
    for span in seen:
        if span["name"] == "cache.view index":
            assert f"0x{span['parent_id'].removeprefix('0x')}" in servers


def spans_in(output: str) -> list[dict[str, Any]]:
    """What the console exporter wrote: one JSON object behind the other."""
    decoder, found, place = json.JSONDecoder(), list[dict[str, Any]](), 0
    while (place := output.find("{", place)) >= 0:
        span, place = decoder.raw_decode(output, place)
        found.append(span)
    return found


def run(*command: Any, **environment: str) -> str:
    """What a program of this source tree prints."""
    finished = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "instrumentation")]),
            **environment,
        },
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
