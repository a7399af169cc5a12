"""The page about OTLP: what its application sends to an endpoint, and what it does without one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from manual_blocks import ROOT, page_of
from servers import HOST, RedisServer, free_port

from flask_caching.keyhash import KeyHash

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
pytest.importorskip("opentelemetry.instrumentation.flask")

PAGE = page_of(ROOT / "docs" / "howto" / "otlp.md")

SECRET = "of-this-test"

#: Two requests of one page, and how long they took, in a process that ends in order.
VISIT = """
import time
from shop import app
client = app.test_client()
begun = time.monotonic()
for _ in range(2):
    assert client.get("/reports/2026").status_code == 200
print(time.monotonic() - begun)
"""


class Receiver:
    """An OTLP endpoint: keeps the spans that it was sent, and what they were sent as."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}"

    @property
    def resources(self) -> list[Any]:
        """What was sent, decoded: spans by who sent them."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        return [
            resource
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    @property
    def spans(self) -> list[Any]:
        """All spans, in the order in which they began."""
        found = [
            span
            for resource in self.resources
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


@pytest.fixture
def visit(tmp_path: Path, own_redis: RedisServer) -> Any:
    """Asks the page's application twice, in a process of its own; how long that took, seconds."""
    [block] = [block for block in PAGE.blocks if block.file == "shop.py"]
    (tmp_path / "shop.py").write_text(block.text)

    def run(endpoint: str, **more: str) -> float:
        path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "instrumentation")])
        ran = subprocess.run(
            [sys.executable, "-c", VISIT],
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": path,
                "SECRET_KEY": SECRET,
                "CACHE_REDIS_URL": own_redis.url,
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                **more,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return float(ran.stdout)

    return run


def test_the_cache_is_in_the_traces_that_arrive(visit: Any) -> None:
    """A request, its lookup, what it loaded and each call of the store, one inside of another."""
    with receiving() as receiver:
        visit(receiver.url)

    spans = receiver.spans
    by_id = {span.span_id: span for span in spans}
    shown = [
        (span.name, by_id[span.parent_span_id].name if span.parent_span_id else "")
        for span in spans
    ]
    request, view, memoize = (
        "GET /reports/<int:year>",
        "cache.view report",
        "cache.memoize shop.total",
    )
    assert shown == [
        (request, ""),
        (view, request),
        ("cache.get cache", view),
        ("cache.load report", view),
        (memoize, "cache.load report"),
        ("cache.get cache", memoize),
        ("cache.load total", memoize),
        ("cache.put cache", memoize),
        ("cache.put cache", view),
        (request, ""),
        (view, request),
        ("cache.get cache", view),
    ]
    outcomes = [attributes(span).get("flask_caching.outcome") for span in spans]
    assert [each for each in outcomes if each] == ["miss", "miss", "hit"]
    assert len({span.trace_id for span in spans}) == 2
    [service] = {
        each.value.string_value
        for resource in receiver.resources
        for each in resource.resource.attributes
        if each.key == "service.name"
    }
    assert service == "shop"


def test_keys_arrive_as_the_hash_that_the_page_computes(visit: Any) -> None:
    """No byte of what was sent is a key, unless ``CACHE_TRACE_KEYS`` asks for it."""
    key = "view//reports/2026"
    with receiving() as receiver:
        visit(receiver.url)

    assert receiver.bodies
    assert not any(key.encode() in body for body in receiver.bodies)
    hashes = {attributes(span).get("cache.key") for span in receiver.spans}
    assert KeyHash(SECRET.encode())(key) in hashes


def test_the_sampler_decides_for_the_cache(visit: Any) -> None:
    """A request that is not sampled sends nothing; a span of ours never goes without its parent."""
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
    with receiving() as receiver:
        visit(receiver.url, **sampler, OTEL_TRACES_SAMPLER_ARG="0")
        assert receiver.spans == []
        visit(receiver.url, **sampler, OTEL_TRACES_SAMPLER_ARG="1")
        assert len(receiver.spans) == 6  # two hits: the page is in the cache by now


def test_an_endpoint_that_is_gone_costs_no_request_anything(visit: Any) -> None:
    """Exporting is another thread's work, which goes on trying for four seconds here."""
    assert visit(f"http://{HOST}:{free_port()}", OTEL_EXPORTER_OTLP_TIMEOUT="4") < 2
