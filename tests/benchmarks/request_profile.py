"""Where the time of a request for a cached page goes, on memory: ``make profile``.

Four views are requested in turn, in one process: one that returns a constant, one that returns what
a dictionary holds under the request's path, a cached one without telemetry, and a cached one. Each
has a row: microseconds of a request, as a ratio to the constant's, and how many of them are spent
within the view.

Where valgrind is installed the last columns are of a simulated processor, which no other program
disturbs: instructions of a request, misses of its first caches, and mispredicted branches.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

# Modules of the tests find one another in this folder, see ``__main__.py``.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.workers.requesting import request_to

__all__ = ["main"]

VIEWS: Final = ("constant", "dictionary", "cached, no telemetry", "cached")
TURNS, REQUESTS = 60, 200

#: What cachegrind counts, by its own names.
EVENTS: Final = {
    "instructions": r"I\s+refs",
    "I1 misses": r"I1\s+misses",
    "D1 misses": r"D1\s+misses",
    "mispredicted": r"Mispredicts",
}

View = Callable[[], str]


class Requester:
    """An application with one of the views.

    Args:
        name: Which, of :data:`VIEWS`.
        timed: Whether the view is timed.

    Attributes:
        within: Seconds that were spent within the view.
        request: Requests the page; its body.
    """

    def __init__(self, name: str, *, timed: bool = False) -> None:
        from flask import Flask

        self.within = 0.0
        app = Flask("profile")
        view = _view(name, app)
        app.add_url_rule("/page", "page", self._timing(view) if timed else view)
        self.request = partial(request_to(app.wsgi_app), "/page", "")

    def _timing(self, view: View) -> View:
        @wraps(view)
        def timed() -> str:
            begun = time.perf_counter()
            page = view()
            self.within += time.perf_counter() - begun
            return page

        return timed


def _view(name: str, app: Any) -> View:
    from flask import request

    from flask_caching import Cache

    page = "a page" * 20

    def constant() -> str:
        return page

    if name == "constant":
        return constant
    if name == "dictionary":
        pages = {"/page": (page, time.time() + 3600)}

        def dictionary() -> str:
            found, expires_at = pages[request.path]
            return found if time.time() < expires_at else ""

        return dictionary
    config = {"CACHE_TYPE": "SimpleCache"}
    off = {} if name == "cached" else {"CACHE_INSTRUMENTATION": None}
    view: View = Cache(app, config={**config, **off}).cached()(constant)
    return view


class Times(NamedTuple):
    """Microseconds: of requests, one number for each turn, and of the view within one."""

    requests: list[float]
    within: float


def times() -> dict[str, Times]:
    """What a request of each view takes."""
    plain = {name: Requester(name) for name in VIEWS}
    timed = {name: Requester(name, timed=True) for name in VIEWS}
    taken: dict[str, list[float]] = {name: [] for name in VIEWS}
    within: dict[str, list[float]] = {name: [] for name in VIEWS}
    for turn in range(TURNS + 1):
        for name in VIEWS:
            seconds = _seconds(plain[name])
            timed[name].within = 0.0
            _seconds(timed[name])
            if turn:  # The first one is to get warm.
                taken[name].append(seconds / REQUESTS * 1e6)
                within[name].append(timed[name].within / REQUESTS * 1e6)
    return {name: Times(taken[name], median(within[name])) for name in VIEWS}


def _seconds(requester: Requester) -> float:
    begun = time.perf_counter()
    for _ in range(REQUESTS):
        requester.request()
    return time.perf_counter() - begun


def events(name: str) -> dict[str, int]:
    """What a simulated processor counts of a request; what happens once is left out."""
    few, many = _count(name, 500), _count(name, 1500)
    return {event: round((many[event] - few[event]) / 1000) for event in EVENTS}


def _count(name: str, requests: int) -> dict[str, int]:
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", "--branch-sim=yes"]
    command += ["--cachegrind-out-file=/dev/null", sys.executable, "-m", "tests.benchmarks"]
    command[-1] += f".{Path(__file__).stem}"
    # The same sets in the same order each time.
    done = subprocess.run(
        ["env", "PYTHONHASHSEED=0", *command, "--child", name, "--requests", str(requests)],
        check=True,
        capture_output=True,
        text=True,
    )
    return counts_in(done.stderr)


def counts_in(report: str) -> dict[str, int]:
    """The numbers of a report of cachegrind's.

    Raises:
        RuntimeError: If one is missing.
    """
    counts: dict[str, int] = {}
    for event, pattern in EVENTS.items():
        found = re.search(rf"{pattern}:\s+([\d,]+)", report)
        if found is None:
            raise RuntimeError(f"cachegrind does not say how many {event}:\n{report}")
        counts[event] = int(found[1].replace(",", ""))
    return counts


def child(name: str, requests: int) -> None:
    """What is counted: so many requests, and no garbage collection at some moment of them."""
    import gc

    requester = Requester(name)
    gc.disable()
    for _ in range(requests):
        requester.request()


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.requests)
        return 0
    simulated = shutil.which("valgrind") is not None
    columns = ["us", "ratio", "in the view", *(EVENTS if simulated else ())]
    print(f"{'':22}" + "".join(f"{each:>14}" for each in columns))
    measured = times()
    for name, (requests, within) in measured.items():
        constant = measured["constant"].requests
        ratio = median(a / b for a, b in zip(requests, constant, strict=True))
        cells = [f"{median(requests):.1f}", f"{ratio:.3f}", f"{within:.1f}"]
        cells += [f"{count:,}" for count in events(name).values()] if simulated else []
        print(f"{name:22}" + "".join(f"{each:>14}" for each in cells), flush=True)
    if not simulated:
        print("valgrind is not installed (on Debian: apt-get install valgrind)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
