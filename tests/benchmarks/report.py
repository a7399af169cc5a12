"""What the terminal shows: a table of each suite on each store, and the promises."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.promises import Verdict
from benchmarks.results import Results, Series, Spread
from benchmarks.suites import SUITES, UNDER_LOAD, Unit
from benchmarks.workers.subjects import SUBJECTS, floors_of

__all__ = ["promises_table", "suite_tables", "versions_lines"]

#: Of a cell: a median and how far the turns lie apart.
WIDTH = 14


def suite_tables(results: Results, suites: Sequence[str]) -> str:
    """All that was measured of some suites."""
    return "\n".join(
        _table(results, suite, store)
        for suite in suites
        for store in SUITES[suite].subjects
        if results.works(suite, store)
    )


def _table(results: Results, suite: str, store: str) -> str:
    """One suite on one store: a row for each work, a column for each subject, and the floors."""
    works = results.works(suite, store)
    subjects = [
        name
        for name in SUBJECTS
        if name != "floor" and any(name in done for done in works.values())
    ]
    unit = SUITES[suite].unit
    lines = [f"{store}: {SUITES[suite].title}, {unit.name}"]
    lines.append(f"{'':30}" + "".join(f"{each:>{WIDTH}}" for each in subjects))
    for work, done in works.items():
        if done == ["floor"] and suite not in UNDER_LOAD:
            continue  # beside what stands on it
        spreads = [results.spread(Series(suite, store, each, work)) for each in subjects]
        row = f"{work:30}" + "".join(f"{_cell(spread, unit):>{WIDTH}}" for spread in spreads)
        names = (work,) if suite in UNDER_LOAD else floors_of(store, work)
        floors = [(name, results.spread(Series(suite, store, "floor", name))) for name in names]
        shown = [f"{name} {_plain(spread, unit)}" for name, spread in floors if spread]
        lines.append(row + ("   floor: " + ", ".join(shown) if shown else ""))
    return "\n".join(lines) + "\n"


def _cell(spread: Spread | None, unit: Unit) -> str:
    if spread is None:
        return "-"
    apart = (spread.high - spread.low) / 2 / spread.median if spread.median else 0.0
    return f"{_plain(spread, unit)} ±{apart:.0%}"


def _plain(spread: Spread, unit: Unit) -> str:
    number = spread.median * unit.factor
    digits = max(0, unit.digits - (number >= 100) - (number >= 1000))
    return f"{number:,.{digits}f}"


def promises_table(verdicts: Sequence[Verdict]) -> str:
    """Each promise beside what was measured."""
    lines = [f"{'ours':32}{'against':22}{'promised':>11}{'measured':>10}   quartiles"]
    for verdict in verdicts:
        promise, spread = verdict.promise, verdict.measured
        row = f"{promise.claim:32}{promise.against:22}{promise.limit:>11}"
        if spread is None:
            lines.append(f"{row}{'-':>10}   not measured")
            continue
        apart = f"{spread.low:.3g} to {spread.high:.3g}"
        word = "kept" if verdict.kept else "MISSED"
        lines.append(f"{row}{spread.median:>10.3g}   {apart:17}{word}")
    return "\n".join(lines) + "\n"


def versions_lines(results: Results) -> str:
    """Who was measured, in which versions, and what must be known of each."""
    lines = ["median of the turns ± half of what lies between its quartiles", ""]
    for name, versions in results.versions.items():
        packages = ", ".join(f"{package} {version}" for package, version in versions.items())
        lines.append(f"{name}: {SUBJECTS[name].note}\n    {packages}")
    lines += [f"{name}: {words}" for name, words in results.facts.items()]
    lines += [f"not measured: {reason}" for reason in results.skipped]
    return "\n".join(lines) + "\n"
