"""How long a scrape of a busy application takes, in a single process.

Beside it, what ``prometheus_client`` takes for as many series of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import prometheus_client
from contract import Adapter
from plan import Plan
from prometheus_client.parser import text_string_to_metric_families
from requesting import request_to

__all__ = ["registry", "scrape"]

#: Cached views and memoized functions, half of each: of a small application, and of a large one, as
#: many as have a label of their own (``CACHE_METRICS_TARGETS``).
TARGETS = (20, 200)
SCRAPES = 30


def registry() -> prometheus_client.CollectorRegistry:
    """A registry of its own, with what the default one has of the process."""
    made = prometheus_client.CollectorRegistry()
    for collector in (
        prometheus_client.ProcessCollector,
        prometheus_client.PlatformCollector,
        prometheus_client.GCCollector,
    ):
        collector(registry=made)
    return made


def scrape(plan: Plan) -> dict[str, float]:
    """Seconds of a scrape, the median of several, each after requests to all of the targets."""
    found = {}
    for targets in TARGETS:
        text, found[f"scrape, {targets} targets"] = _scraped(plan, targets)
        series = sum(not line.startswith("#") for line in text.splitlines())
        plan.facts[f"series of {targets} targets"] = f"{series:,}"
        found[f"stock, as many as of {targets}"] = _stock(series)
    return found


def _scraped(plan: Plan, targets: int) -> tuple[str, float]:
    """The last answer, and the seconds that an answer takes."""
    config = {"CACHE_METRICS_PATH": "/metrics", "CACHE_METRICS_REGISTRY": registry()}
    adapter: Any = plan.adapter(plan.place, config=config)
    send = request_to(adapter.app.wsgi_app)
    calls = [_page(adapter, number, send) for number in range(targets // 2)]
    calls += [_function(adapter, number) for number in range(targets // 2)]
    scrapes = 2 if plan.quick else SCRAPES
    times = []
    for _ in range(scrapes):
        with adapter.around():
            for call in calls:
                call()
                call()
        begun = time.perf_counter()
        text = send("/metrics", "").decode()
        times.append(time.perf_counter() - begun)
    _see_all(text, targets, 2 * targets * scrapes)
    return text, statistics.median(times)


def _page(adapter: Adapter, number: int, send: Callable[[str, str], bytes]) -> Callable[[], Any]:
    def page() -> str:
        return "page"

    path = f"/page/{number}"
    adapter.view(path, page)
    return lambda: send(path, "")


def _function(adapter: Adapter, number: int) -> Callable[[], Any]:
    def function() -> int:
        return number

    function.__qualname__ = function.__name__ = f"function_{number}"
    return adapter.memoize(function)


def _see_all(text: str, expected: int, calls: int) -> None:
    """See that each call is in the answer, and each target."""
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "flask_caching_lookups_total"
    ]
    counted = sum(sample.value for sample in samples)
    targets = {sample.labels["target"] for sample in samples if sample.value}
    if counted != calls or len(targets) != expected:
        raise AssertionError(f"{counted} lookups of {len(targets)} targets, not {calls}")


def _stock(series: int) -> float:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter("stock", "As many.", ["target"], registry=registry)
    for number in range(series // 2):  # each counter has a second series: when it was created
        counter.labels(f"target {number}").inc()
    times = []
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        prometheus_client.generate_latest(registry)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
