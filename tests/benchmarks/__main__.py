"""This library beside the others, instrumentation on: what each takes for the same work.

Each is timed in its own virtual environment (``.venv-NAME``, of ``requirements/NAME.txt``), in
turn, in one run; Redis, memcached and gunicorn are started for it on free ports of this machine. A
ratio is the median over the turns. Exits 1 if a number is not what is promised (``promises.py``).

    make bench ARGS="--suites hits --stores memory redis --turns 5"
    make bench ARGS="--json results.json --plot docs/images"
    make bench ARGS="--quick"

With ``--quick`` nothing is promised: it sees that every work of every subject does what it says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

# Modules of the tests find one another in this folder, however this program was started. What is
# called `tests` is never imported: the suite names applications so, whose root Flask then misses.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import measure_load
from benchmarks.machine import describe, load_average
from benchmarks.promises import Verdict, judge
from benchmarks.report import promises_table, suite_tables, versions_lines
from benchmarks.results import Results
from benchmarks.running import Choice, interpreter_of, measure
from benchmarks.suites import SUITES, UNDER_LOAD
from benchmarks.workers.subjects import STORES, SUBJECTS


def main() -> int:
    """Measure, print the tables, and say whether the promises hold."""
    arguments = parse()
    results = Results()
    choice = Choice(
        arguments.suites,
        arguments.stores,
        find_interpreters(arguments, results),
        arguments.turns,
        arguments.quick,
        say,
    )
    machine = {**describe(), "turns": str(choice.turns_of("hits"))}
    begun = time.monotonic()
    interrupted = False
    try:
        run(choice, results)
    except KeyboardInterrupt:
        interrupted = True
        results.skip("the rest: interrupted")
    machine["load after"] = load_average()
    machine["stolen"] = f"{max(results.stolen, default=0):.1%} of a core in the worst run"
    machine["minutes"] = f"{(time.monotonic() - begun) / 60:.1f}"
    print(versions_lines(results))
    print("\n".join(f"{name}: {words}" for name, words in machine.items()) + "\n")
    if choice.quick:
        print(f"{len(results.turns)} works did what they say")
        return 130 if interrupted else 0
    verdicts = judge(results)
    print(promises_table(verdicts))
    write(arguments, results, machine, verdicts)
    if interrupted:
        return 130
    return 1 if any(verdict.kept is False for verdict in verdicts) else 0


def run(choice: Choice, results: Results) -> None:
    """Measure, and print the table of each suite as soon as there is one."""
    for suites in choice.rounds():
        if suites[0] in UNDER_LOAD:
            measure_load(choice, results)
        else:
            measure(suites, choice, results)
        say("")
        if not choice.quick:
            print(suite_tables(results, suites), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, help="all that are installed")
    parser.add_argument("--turns", type=int, default=5, help="some suites have fewer")
    parser.add_argument("--peer", type=Path, help="the Python that has the released library")
    parser.add_argument("--json", type=Path, help="write everything measured to a file")
    parser.add_argument("--plot", type=Path, help="draw it into a folder")
    parser.add_argument("--quick", action="store_true", help="see only that everything works")
    return parser.parse_args()


def find_interpreters(arguments: argparse.Namespace, results: Results) -> dict[str, Path]:
    """The Pythons of the subjects; exits if one that was asked for is not installed."""
    found = {}
    for subject in arguments.subjects or SUBJECTS:
        python = interpreter_of(subject, arguments.peer)
        if python is not None:
            found[subject] = python
            continue
        name = SUBJECTS[subject].environment
        reason = f"{subject}: .venv-{name} is not there (make .venv-{name}/.installed)"
        if arguments.subjects:
            sys.exit(reason)
        results.skip(reason)
    return found


def write(
    arguments: argparse.Namespace,
    results: Results,
    machine: dict[str, str],
    verdicts: list[Verdict],
) -> None:
    """The files that were asked for."""
    if arguments.json:
        everything = {
            "machine": machine,
            "versions": results.versions,
            "facts": results.facts,
            "skipped": results.skipped,
            "promises": [verdict.as_json() for verdict in verdicts],
            "series": list(results.as_json()),
        }
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n")
    if arguments.plot:
        from benchmarks.plot import draw

        for path in draw(results, arguments.plot):
            print(f"drawn: {path}")


def say(what: str) -> None:
    """Show what is done at the moment, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
