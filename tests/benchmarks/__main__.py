"""Ratios between this library, instrumentation on, and the released Flask-Caching.

Both are timed on one machine, in turn, each in its own virtual environment; a ratio is the
median over the turns. Exits 1 if one is above what the project promises (``docs/performance.md``).

    make bench ARGS="--turns 5 --json ratios.json"
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

#: The most that one operation may take of the released library's time, instrumentation on.
PROMISED = {"cached view hit": 0.5, "memoize hit": 0.25}

#: The most that a write into a full cache of 50,000 may take of one into a cache of 500.
PROMISED_GROWTH = 1.5

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


def compare(peer: Path, turns: int) -> dict[str, Any]:
    """Time the three variants in turn; ``peer`` is the interpreter with the released library."""
    variants: dict[str, tuple[str | Path, str, tuple[str, ...]]] = {
        # What is installed there, whatever is on the path here.
        "released": (peer, "", ()),
        "instrumented": (sys.executable, ROOTS, ()),
        "bare": (sys.executable, ROOTS, ("--bare",)),
    }
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, variant in variants.items():
            taken[name].append(measure(*variant))
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
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "turns": turns,
    }


def missed(table: dict[str, Any]) -> list[str]:
    """The promises that the measurements do not keep."""
    found = [
        f"{name}: {table[name]['ratio']} of the released library's time, promised {most}"
        for name, most in PROMISED.items()
        if table[name]["ratio"] > most
    ]
    small, large = (
        table[f"write into a full cache of {size}"]["microseconds"]["instrumented"]
        for size in (500, 50_000)
    )
    if large > small * PROMISED_GROWTH:
        found.append(f"a write into a full cache of 50,000 takes {large} us, of 500 {small} us")
    return found


def main() -> int:
    """Measure, print the table, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="its Python interpreter")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write everything measured to a file")
    arguments = parser.parse_args()
    result = compare(arguments.peer.absolute(), arguments.turns)
    print(
        f"{'microseconds, in the decorator':34}{'released':>10}{'ours':>10}{'bare':>10}{'ratio':>8}"
    )
    for name, row in result["table"].items():
        released, ours, bare = (
            row["microseconds"][variant] for variant in ("released", "instrumented", "bare")
        )
        print(f"{name:34}{released:10.2f}{ours:10.2f}{bare:10.2f}{row['ratio']:8.2f}")
    print(f"versions: {json.dumps(result['versions'])}")
    print(f"machine:  {result['machine']}; median of {result['turns']} turns")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    failures = missed(result["table"])
    for failure in failures:
        print(f"promise not kept: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
