"""Ratios between this library, instrumentation on, and the released Flask-Caching.

Both are timed on one machine, in turn, each in its own virtual environment; a ratio is the
median over the turns. Exits 1 if one is above what the project promises (``docs/performance.md``).

    make bench ARGS="--turns 5 --json ratios.json --stores memory redis"

Redis and memcached are started for it, on free ports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from tests.servers import MemcachedServer, RedisServer

#: The most that one operation may take of the released library's time, instrumentation on.
PROMISED = {
    "memory": {"cached view hit": 0.5, "memoize hit": 0.25},
    "files": {"cached view hit": 1.0, "memoize hit": 1.0},
    "redis": {"cached view hit": 1.0, "memoize hit": 0.67},
    "memcached": {"cached view hit": 1.0, "memoize hit": 0.67},
}

#: The most that a write into a large full cache may take of one into a small one, and both sizes.
PROMISED_GROWTH = 1.5
FULL = {"memory": (500, 50_000), "files": (500, 5_000)}

HERE = Path(__file__).resolve().parent
WORKLOADS = HERE / "workloads.py"
ROOTS = os.pathsep.join((str(HERE.parent.parent), str(HERE.parent.parent / "instrumentation")))


def measure(python: str | Path, roots: str, options: tuple[str, ...]) -> dict[str, Any]:
    """Run the workloads with one interpreter; ``roots`` is where it finds the library."""
    done = subprocess.run(
        [python, "-P", WORKLOADS, *options],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": roots},
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


@contextmanager
def running(store: str) -> Iterator[Callable[[], str]]:
    """Start what a store needs. Gives where it is, a new place each time for files."""
    with TemporaryDirectory() as directory:
        if store in ("memory", "files"):
            yield lambda: mkdtemp(dir=directory)
            return
        kind = RedisServer if store == "redis" else MemcachedServer
        server = kind(Path(directory))
        try:
            yield lambda: f"{server.host}:{server.port}"
        finally:
            server.stop()


def compare(peer: Path, store: str, turns: int) -> dict[str, Any]:
    """Time the three variants in turn; ``peer`` is the interpreter with the released library."""
    variants: dict[str, tuple[str | Path, str, tuple[str, ...]]] = {
        # What is installed there, whatever is on the path here.
        "released": (peer, "", ()),
        "instrumented": (sys.executable, ROOTS, ()),
        "bare": (sys.executable, ROOTS, ("--bare",)),
    }
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    with running(store) as place:
        for _ in range(turns):
            for name, (python, roots, options) in variants.items():
                at = ("--store", store, "--at", place())
                taken[name].append(measure(python, roots, (*options, *at)))
    table = {}
    for workload in taken["released"][0]["seconds"]:
        seconds = {name: [turn["seconds"][workload] for turn in taken[name]] for name in variants}
        ratios = [a / b for a, b in zip(seconds["instrumented"], seconds["released"], strict=True)]
        table[workload] = {
            "microseconds": {
                name: round(statistics.median(values) * 1e6, 2) for name, values in seconds.items()
            },
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
        }
    return {
        "table": table,
        "versions": {name: taken[name][0]["versions"] for name in ("released", "instrumented")},
    }


def missed(store: str, table: dict[str, Any]) -> list[str]:
    """The promises that the measurements do not keep."""
    found = [
        f"{store}, {name}: {table[name]['ratio']} of the released library's time, promised {most}"
        for name, most in PROMISED[store].items()
        if table[name]["ratio"] > most
    ]
    if store in FULL:
        small, large = (
            table[f"write into a full cache of {size}"]["microseconds"]["instrumented"]
            for size in FULL[store]
        )
        if large > small * PROMISED_GROWTH:
            found.append(
                f"{store}: a write into a full cache of {FULL[store][1]} takes {large} us, of "
                f"{FULL[store][0]} {small} us"
            )
    return found


def show(store: str, table: dict[str, Any]) -> None:
    """Print one store's table."""
    title = f"{store}: microseconds a call"
    print(f"{title:34}{'released':>10}{'ours':>10}{'bare':>10}{'ratio':>8}")
    for name, row in table.items():
        released, ours, bare = (
            row["microseconds"][variant] for variant in ("released", "instrumented", "bare")
        )
        print(f"{name:34}{released:10.2f}{ours:10.2f}{bare:10.2f}{row['ratio']:8.2f}")
    print(flush=True)


def main() -> int:
    """Measure, print the tables, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="its Python interpreter")
    parser.add_argument("--stores", nargs="+", choices=PROMISED, default=list(PROMISED))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write everything measured to a file")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    failures: list[str] = []
    for store in arguments.stores:
        results[store] = compare(arguments.peer.absolute(), store, arguments.turns)
        show(store, results[store]["table"])
        failures += missed(store, results[store]["table"])
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    print(f"versions: {json.dumps(results[arguments.stores[0]]['versions'])}")
    print(f"machine:  {machine}; median of {arguments.turns} turns; bare: without instrumentation")
    if arguments.json:
        everything = {"stores": results, "machine": machine, "turns": arguments.turns}
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")
    for failure in failures:
        print(f"promise not kept: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
