"""The pages about metrics and traces name what there is; their tables are the catalogues."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from manual_shell import difference
from servers import RedisServer

from flask_caching import Cache
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE
from flask_caching_instrumentation.tracing import spans

ROOT = Path(__file__).resolve().parents[2]
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
TRACING = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")


def quoted(text: str) -> set[str]:
    """What stands between single back quotes, code blocks aside."""
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return set(re.findall(r"`([^`]+)`", without_blocks))


def test_the_tables_come_from_the_catalogues() -> None:
    """A family or span that is added is on its page without anybody writing it there."""
    assert "{{ metrics_table }}" in METRICS
    assert {"{{ spans_table }}", "{{ span_attributes_table }}"} <= set(
        re.findall(r"\{\{ \w+ \}\}", TRACING)
    )


def test_families_that_are_written_about_exist() -> None:
    """Words of the page that look like one of ours are one."""
    families = {each.name for each in CATALOGUE}
    looks_like_one = re.compile(r"[a-z]+(_[a-z]+)*_(total|seconds|bytes|keys|up|info|state|flight)")
    found = {word for word in quoted(METRICS) if looks_like_one.fullmatch(word)}
    assert {"distinct_keys", "item_size_bytes", "saved_seconds_total"} <= found
    assert found <= families


def test_log_events_of_the_page_are_those_of_the_code() -> None:
    """All of them, and no others."""
    written = set()
    for path in (ROOT / "flask_caching").rglob("*.py"):
        if path.name != "logs.py":
            written |= set(re.findall(r'"(cache\.[a-z_]+)"', path.read_text(encoding="utf-8")))
    in_table = {word for word in quoted(METRICS) if re.fullmatch(r"cache\.[a-z_]+", word)}
    assert written == in_table - {"cache.get"}


@pytest.mark.parametrize("word", sorted(quoted(TRACING)))
def test_spans_and_attributes_that_are_written_about_exist(word: str) -> None:
    """With the names of the catalogue."""
    name, _, _ = word.partition("=")
    if not re.fullmatch(r"(cache|flask_caching)\.[a-z._]+", name):
        return
    calls = {"cache.get", "cache.set"}
    known = {span.name.split()[0] for span in spans.CATALOGUE} | spans.ATTRIBUTES.keys()
    assert name in known | calls


def drawn(spans_made: list[Any]) -> str:
    """Spans as the page on traces draws them."""
    lines: list[str] = []

    def draw(span: Any, indent: str, branch: str) -> None:
        said = span.attributes or {}
        server = ["CLIENT", said["db.operation.name"]] if "db.operation.name" in said else []
        facts = [
            f"{shown}={str(said[name]).lower()}"
            for name, shown in SHOWN.items()
            if name in said and not (name == "cache.hit" and not server)
        ]
        lines.append(" ".join([indent + branch + span.name, *server, *facts]))
        of_span = [each for each in spans_made if parent_of(each) == span.context.span_id]
        children = sorted(of_span, key=lambda each: each.start_time)
        below = "" if not branch else indent + ("    " if branch.startswith("└") else "│   ")
        for child in children:
            draw(child, below, "└── " if child is children[-1] else "├── ")

    [root] = [each for each in spans_made if each.parent is None]
    draw(root, "", "")
    return "\n".join(lines)


#: Attributes that the drawing has, and what it calls them.
SHOWN = {
    "flask_caching.outcome": "outcome",
    "cache.write": "write",
    "cache.hit": "hit",
    "cache.ttl": "ttl",
}


def parent_of(span: Any) -> int | None:
    """The number of the span that a span is in."""
    return span.parent.span_id if span.parent else None


def test_the_trace_that_is_shown_is_made(redis_server: RedisServer) -> None:
    """A page on Redis that is not cached, with a memoized function in it that is."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    app = Flask("shop")
    app.config.update(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=redis_server.url,
        CACHE_KEY_PREFIX="trace-of-the-manual/",
        CACHE_TRACER_PROVIDER=provider,
    )
    cache = Cache(app)

    def totals(year: int) -> int:
        return year

    def report(year: int) -> str:
        return f"{totals(year)}"

    for function in (totals, report):
        function.__module__, function.__qualname__ = "shop", function.__name__
    totals = cache.memoize()(totals)
    app.get("/reports/<int:year>")(cache.cached(timeout=60)(report))
    totals(2026)
    with provider.get_tracer("flask").start_as_current_span("GET /reports/<int:year>"):
        app.test_client().get("/reports/2026")
    [shown] = re.findall(r"^```text\n(GET .*?)^```", TRACING, re.MULTILINE | re.DOTALL)
    differs = difference(shown, drawn(list(exporter.get_finished_spans())))
    assert not differs, differs
