"""The command line of every worker: measure suites of one subject, print one JSON object.

    python run_flask.py --subject ours --suites hits --store memory

Standard library only.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import warnings
from collections.abc import Callable, Mapping

from calls import full, hits, threads
from contract import Adapter, Place
from plan import Plan
from sizes import entry, growth, million
from subjects import STORES, SUBJECTS

__all__ = ["main", "versions_of"]

Suite = Callable[[Plan], Mapping[str, float]]

SUITES: dict[str, Suite] = {
    "hits": hits,
    "full": full,
    "threads": threads,
    "growth": growth,
    "million": million,
    "entry": entry,
}


def versions_of(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main(
    adapter: Callable[[Place], Adapter],
    packages: tuple[str, ...],
    suites: Mapping[str, Suite] | None = None,
) -> None:
    """Measure and print.

    Args:
        adapter: Opens the subject on a place.
        packages: Whose versions to report.
        suites: The subject's own instead of those above, which some subjects have.
    """
    suites = {**SUITES, **(suites or {})}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", required=True, choices=SUBJECTS)
    parser.add_argument("--suites", required=True, nargs="+", choices=suites)
    parser.add_argument("--store", required=True, choices=STORES)
    parser.add_argument("--at", default="", help="its directory, or its host and port")
    parser.add_argument("--full", nargs="*", type=int, default=[], help="sizes of full caches")
    parser.add_argument("--quick", action="store_true", help="see only that it works")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    subject = SUBJECTS[arguments.subject]
    plan = Plan(
        adapter,
        Place(arguments.store, arguments.at, options=dict(subject.options)),
        subject.stores[arguments.store],
        arguments.quick,
        tuple(arguments.full),
    )
    values = {suite: dict(suites[suite](plan)) for suite in arguments.suites}
    report = {"values": values, "versions": versions_of(packages), "facts": plan.facts}
    print(json.dumps(report))
