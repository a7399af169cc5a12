"""The application of ``test_workers.py``: a view, a function and direct calls, to be counted."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask, Response, request
from opentelemetry import trace
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics

from flask_caching import Cache

app = Flask("counted")
app.config.update(
    SECRET_KEY="not-a-secret",
    CACHE_TYPE=os.environ.get("COUNTED_TYPE", "RedisCache"),
    CACHE_REDIS_URL=os.environ.get("COUNTED_REDIS"),
    CACHE_METRICS_PATH="/metrics",
    CACHE_DEFAULT_TIMEOUT=600,
)
cache = Cache(app)

if os.environ.get("COUNTED_EXPORTER"):
    # An exporter that the application has for metrics of its own.
    GunicornInternalPrometheusMetrics(app, path="/exported")


@app.after_request
def name_worker(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    return response


@app.get("/master")
def master() -> str:
    return str(os.getppid())


@app.get("/page/<int:number>")
@cache.cached()
def page(number: int) -> str:
    return f"page {number}"


@cache.memoize()
def square(number: int) -> int:
    return number * number


@app.get("/square/<int:number>")
def show_square(number: int) -> str:
    return str(square(number))


@cache.memoize()
def slow(number: int) -> int:
    time.sleep(0.3)
    return number


@app.get("/slow/<int:number>")
def show_slow(number: int) -> str:
    return str(slow(number))


@app.get("/zero")
def zero() -> str:
    """A direct hit: a cached 0 is one."""
    return repr(cache.get("zero"))


@app.get("/zero/set")
def set_zero() -> str:
    cache.set("zero", 0)
    return "set"


@app.get("/shared")
@cache.cached(key_prefix="one-key-for-all")
def shared() -> str:
    return request.args.get("who", "")


@app.get("/traced/<int:number>")
def traced(number: int) -> str:
    """A request that is traced, by a provider that this worker makes when it is asked first."""
    from opentelemetry.sdk.trace import TracerProvider

    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    with trace.get_tracer("counted").start_as_current_span("request") as span:
        square(number)
        return f"{span.get_span_context().trace_id:032x}"


@app.get("/stats")
def stats() -> dict[str, Any]:
    return dict(cache.stats())
