"""What telemetry costs: an in-process hit with and without it, in nanoseconds.

    make cost ARGS="--turns 15"

Three places are measured (a cached view, a memoized function, ``cache.get``) in these variants:

- ``bare``: ``CACHE_INSTRUMENTATION = None``;
- ``metrics``: as installed, with no OpenTelemetry SDK;
- ``unsampled``: an SDK is there, and the current span does not record;
- ``recording``: the current span records.

The first two also in a process whose metrics are shared between workers
(``PROMETHEUS_MULTIPROC_DIR``), from one thread and from four. Beside them what prometheus_client's
own children would cost for the two numbers of a hit: a counter and a histogram. Another table is
of calls in requests of their own, with telemetry (``bare`` there), and what debug pages add; the
last one of whole requests (``whole_requests.py``).

Each variant runs in a process of its own, as it would: in one process they would spoil one another
what the interpreter learns of the code. They take turns; a cost is the median over the turns of the
difference to ``bare``. Exits 1 if it is above what the project promises (``docs/performance.md``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

#: Nanoseconds that telemetry may add to an in-process hit.
PROMISED = {"one thread": 700, "shared, four threads": 2500}

CALLS = 4000

#: Times that a process measures each call; the median is its figure.
ROUNDS = 9


def application(**config: Any) -> tuple[Flask, dict[str, Callable[[], object]]]:
    """An application with a warm cache, and the calls to measure."""
    from flask import Flask
    from prometheus_client import CollectorRegistry

    from flask_caching import Cache

    app = Flask("cost")
    config |= {"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": CollectorRegistry()}
    cache = Cache(app, config=config)

    @app.get("/page")
    @cache.cached()
    def page() -> str:
        return "page"

    @cache.memoize()
    def square(number: int) -> int:
        return number * number

    app.test_client().get("/page")
    cache.set("key", "value")
    square(7)
    return app, {
        "cached view": page,
        "memoized function": lambda: square(7),
        "cache.get": lambda: cache.get("key"),
    }


def make(instrumented: bool) -> dict[str, Callable[[], object]]:
    """Runs of the calls, all of a run in one request."""
    app, calls = application(**({} if instrumented else {"CACHE_INSTRUMENTATION": None}))

    def ready(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with app.test_request_context("/page"):
                for _ in range(CALLS):
                    call()

        return run

    return {name: ready(call) for name, call in calls.items()}


def stock_children() -> Callable[[], object]:
    """The two numbers of a hit with prometheus_client's own children, bound once."""
    from prometheus_client import Counter, Histogram

    counter = Counter("cost_stock", "Hits.", ["target"], registry=None).labels("page")
    histogram = Histogram("cost_stock_seconds", "Calls.", ["target"], registry=None).labels("page")

    def run() -> None:
        for _ in range(CALLS):
            counter.inc()
            histogram.observe(0.000002)

    return run


def measure_requests(pages: bool) -> dict[str, float]:
    """Nanoseconds of each call, each in a request of its own, which is not measured."""
    from flask import request_started

    mounted = (
        {"CACHE_DEBUG_UI": True, "CACHE_DEBUG_TOKEN": "only for this measurement"} if pages else {}
    )
    app, calls = application(**mounted)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(CALLS):
        for name, call in calls.items():
            with app.test_request_context("/page"):
                request_started.send(app)
                begun = time.perf_counter_ns()
                call()
                taken[name].append(time.perf_counter_ns() - begun)
    return {name: statistics.median(times) for name, times in taken.items()}


def time_of(run: Callable[[], object], threads: int) -> float:
    """Nanoseconds of one call, run by so many threads at once, which take turns on one lock."""
    if threads == 1:
        begun = time.perf_counter_ns()
        run()
        return (time.perf_counter_ns() - begun) / CALLS
    start = threading.Barrier(threads + 1)

    def work() -> None:
        start.wait()
        run()

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    begun = time.perf_counter_ns()
    for thread in running:
        thread.join()
    return (time.perf_counter_ns() - begun) / (CALLS * threads)


@contextmanager
def tracing(variant: str) -> Iterator[None]:
    """What is around the calls: a span of the variant's kind."""
    if variant not in ("unsampled", "recording"):
        yield
        return
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    sampler = ALWAYS_OFF if variant == "unsampled" else ALWAYS_ON
    with TracerProvider(sampler=sampler).get_tracer("cost").start_as_current_span("request"):
        yield


def measure(variant: str, threads: int) -> dict[str, float]:
    """Nanoseconds of each call in one variant, in this process."""
    if variant in ("unmounted", "pages"):
        return measure_requests(variant == "pages")
    stock = variant == "stock"
    runs = {"stock children": stock_children()} if stock else make(variant != "bare")
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            with tracing(variant):
                taken[name].append(time_of(run, threads))
    return {name: statistics.median(times) for name, times in taken.items()}


def run_apart(variant: str, threads: int, shared: bool, turn: int) -> dict[str, float]:
    """:func:`measure` in a process of its own; those of a turn have their sets in one order."""
    command = [sys.executable, "-m", "tests.benchmarks.telemetry", "--child", variant]
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "PYTHONHASHSEED": str(turn)}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        if shared:
            environment["PROMETHEUS_MULTIPROC_DIR"] = directory
        done = subprocess.run(
            [*command, "--threads", str(threads)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def compare(turns: int, threads: int, shared: bool) -> dict[str, dict[str, float]]:
    """The time of each call without telemetry, and what each variant adds to it."""
    # Threads begin with a context of their own, so spans are for one.
    traced = ("unsampled", "recording") if threads == 1 and not shared else ()
    variants = ("bare", "metrics", *traced, "stock")
    taken: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for turn in range(turns):
        for variant in variants:
            taken[variant].append(run_apart(variant, threads, shared, turn))
    table: dict[str, dict[str, float]] = {}
    for name in taken["bare"][0]:
        bare = [times[name] for times in taken["bare"]]
        table[name] = {"bare": statistics.median(bare)}
        for variant in ("metrics", *traced):
            pairs = zip(taken[variant], bare, strict=True)
            table[name][variant] = statistics.median(times[name] - base for times, base in pairs)
    stock = [times["stock children"] for times in taken["stock"]]
    table["stock children"] = {"metrics": statistics.median(stock)}
    return table


def compare_pages(turns: int) -> dict[str, dict[str, float]]:
    """The time of each call with telemetry, and what the debug pages add to it."""
    taken = [
        (run_apart("unmounted", 1, False, turn), run_apart("pages", 1, False, turn))
        for turn in range(turns)
    ]
    return {
        name: {
            "bare": statistics.median(unmounted[name] for unmounted, _ in taken),
            "pages": statistics.median(pages[name] - unmounted[name] for unmounted, pages in taken),
        }
        for name in taken[0][0]
    }


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Print one table."""
    variants = list(next(iter(table.values())))
    print(
        f"{title:28}"
        + "".join(f"{each if each == 'bare' else '+ ' + each:>13}" for each in variants)
    )
    for name, row in table.items():
        cells = (f"{row[each]:13.0f}" if each in row else " " * 13 for each in variants)
        print(f"{name:28}{''.join(cells)}")
    print(flush=True)


def show_whole_requests() -> None:
    """Print what telemetry adds to whole requests."""
    # Modules of the tests find one another in this folder, see ``__main__.py``.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.whole_requests import run_apart

    for store in ("memory", "redis"):
        measured = run_apart(store)
        if measured is None:
            print(f"whole requests on {store}: there is no such server here")
            continue
        words = (f"{name} {number:.1f}" for name, number in measured.items())
        print(f"whole requests on {store}, four threads: us: {', '.join(words)}")


def main() -> int:
    """Measure, print the tables, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.threads)))
        return 0
    failures: list[str] = []
    for title, threads, shared in (
        ("one thread", 1, False),
        ("four threads", 4, False),
        ("shared, one thread", 1, True),
        ("shared, four threads", 4, True),
    ):
        table = compare(arguments.turns, threads, shared)
        show(f"{title}: ns", table)
        most = PROMISED.get(title)
        for name, row in table.items():
            for variant in ("metrics", "unsampled"):
                cost = row.get(variant, 0.0)
                if most is not None and "bare" in row and cost > most:
                    failures.append(f"{title}, {name}, {variant}: {cost:.0f} ns, promised {most}")
    show("debug pages: ns", compare_pages(arguments.turns))
    show_whole_requests()
    print(f"{platform.machine()}, Python {platform.python_version()}; medians of the differences")
    for failure in failures:
        print(f"promise not kept: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
