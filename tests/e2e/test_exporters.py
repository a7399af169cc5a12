"""Exporters that an application has already: they show what its caches count as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_flask_exporter import PrometheusMetrics
from servers import HOST, RedisServer, wait_until
from web_servers import GunicornServer

from flask_caching import Cache


def hits(text: str, parse: Callable = parse_text) -> float:
    return sum(
        sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == "flask_caching_lookups_total" and sample.labels["result"] == "hit"
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def cache(app: Flask, registry: CollectorRegistry) -> Cache:
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry})
    cache.set("a", 0)
    cache.get_many("a", "a", "b")
    return cache


def test_the_client_s_own_server(cache: Cache, registry: CollectorRegistry) -> None:
    """``start_http_server``: both formats, and everything of one process."""
    server, thread = start_http_server(0, addr=HOST, registry=registry)
    try:
        url = f"http://{HOST}:{server.server_port}/metrics"
        text = urlopen(url, timeout=10).read().decode()
        assert hits(text) == 2
        assert 'flask_caching_distinct_keys{backend="simple"' in text
        assert 'flask_caching_entries{backend="simple",cache="cache"} 1.0' in text
        wanted = Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert hits(urlopen(wanted, timeout=10).read().decode(), parse_openmetrics) == 2
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_prometheus_flask_exporter(cache: Cache, app: Flask, registry: CollectorRegistry) -> None:
    """In one process it serves the registry that it shares with the cache."""
    PrometheusMetrics(app, registry=registry, path="/exported")
    text = app.test_client().get("/exported").get_data(as_text=True)
    assert hits(text) == 2
    assert "flask_exporter_info" in text


def test_prometheus_flask_exporter_under_gunicorn(tmp_path: Path, own_redis: RedisServer) -> None:
    """It adds our files up like the client's own; sizes and keys are on our endpoint only."""
    variables = {"COUNTED_REDIS": own_redis.url, "COUNTED_EXPORTER": "1"}
    server = GunicornServer(
        tmp_path / "web", "counted:app", "--workers", "2", "--threads", "2", environment=variables
    )
    try:
        for _ in range(21):
            server.get("/page/1")
        wait_until(lambda: hits(server.get("/exported")[0]) == 20, "twenty hits", 5)
        exported, ours = server.get("/exported")[0], server.get("/metrics")[0]
        assert 'flask_http_request_total{method="GET",status="200"}' in ours
        assert "flask_caching_operation_duration_seconds_bucket" in exported
        assert 'flask_caching_backend_up{backend="redis",cache="cache"} 1.0' in exported
        assert "flask_caching_distinct_keys{" in ours
        assert "flask_caching_distinct_keys{" not in exported
    finally:
        server.stop()
