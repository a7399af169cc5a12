"""What telemetry adds to a whole request, of four threads that share the interpreter's lock.

Two processes of one application differ by more than that, so here are three applications in one
process: with telemetry, without, and once more without, which shows how far two that are alike lie
apart. They take turns within a tenth of a second, and each turn's difference is one number. Part of
``make cost``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.running import one_core, roots_of, store_running
from benchmarks.workers.requesting import request_to

__all__ = ["run_apart"]

THREADS = 4
TURNS = 200
#: Of each thread in a turn.
REQUESTS = 40

CONFIG: dict[str, dict[str, object]] = {
    "telemetry": {},
    "none": {"CACHE_INSTRUMENTATION": None},
    "none again": {"CACHE_INSTRUMENTATION": None},
}


def requester(store: str, at: str, database: int, **config: object) -> Callable[[], None]:
    """What requests a cached page of an application of its own, past any server of the web."""
    from flask import Flask

    from flask_caching import Cache

    app = Flask("requests")
    if store == "redis":
        config["CACHE_REDIS_URL"] = f"redis://{at}/{database}"
    backend = {"memory": "SimpleCache", "redis": "RedisCache"}[store]
    cache = Cache(app, config={"CACHE_TYPE": backend, **config})
    made: list[None] = []

    @app.get("/page")
    @cache.cached()
    def page() -> str:
        made.append(None)
        return "a page" * 20

    send = request_to(app.wsgi_app)

    def request() -> None:
        send("/page", "")
        assert len(made) == 1, "not only hits"

    for _ in range(200):
        request()
    return request


def time_of(request: Callable[[], None]) -> float:
    """Microseconds of the processor's time for each request."""

    def run() -> None:
        for _ in range(REQUESTS):
            request()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    begun = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - begun) / (THREADS * REQUESTS) * 1e6


def measure(store: str, at: str) -> dict[str, float]:
    """Microseconds: a request without telemetry, what telemetry adds, and the spread of that."""
    requests = {
        name: requester(store, at, database, **config)
        for database, (name, config) in enumerate(CONFIG.items())
    }
    names = list(requests)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(TURNS):
        for name in names[turn % 3 :] + names[: turn % 3]:
            taken[name].append(time_of(requests[name]))
    added = [a - b for a, b in zip(taken["telemetry"], taken["none"], strict=True)]
    alike = [a - b for a, b in zip(taken["none again"], taken["none"], strict=True)]
    low, middle, high = quantiles(added, n=4)
    return {
        "bare": median(taken["none"]),
        "telemetry": middle,
        "quartile 1": low,
        "quartile 3": high,
        "none again": median(alike),
    }


def run_apart(store: str) -> dict[str, float] | None:
    """:func:`measure` in a process of its own; ``None`` if there is no such server here.

    What is counted goes into shared files, as that of several workers does.
    """
    with store_running(store) as place, TemporaryDirectory() as directory, one_core():
        if place is None:
            return None
        done = subprocess.run(
            [sys.executable, "-m", __name__, store, place()],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PROMETHEUS_MULTIPROC_DIR": directory,
                "PYTHONPATH": os.pathsep.join([*sys.path, roots_of("ours")]),
            },
        )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
