"""Some realistic traffic for the demo, and a table of what came of it.

The driver knows the application only as a reader does, over HTTP: it finds its links on the
pages, and learns from the ``Cache-Status`` header how each answer came about.
"""

from __future__ import annotations

import html
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlencode

from docbrowser.receipt import outcome
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Call", "Report", "Tally", "drive", "is_consistent", "plan", "show"]

#: Read most first. All are in the standard library of every Python that this runs on.
# fmt: off
_MODULES = (
    "json", "os", "re", "typing", "collections", "pathlib", "datetime", "functools", "itertools",
    "logging", "dataclasses", "subprocess", "random", "string", "math", "time", "enum", "abc",
    "contextlib", "csv", "copy", "threading", "argparse", "collections.abc", "json.decoder",
    "html", "logging.handlers", "urllib.parse", "http.cookies", "heapq", "bisect", "textwrap",
    "shutil", "tempfile", "glob", "hashlib", "base64", "struct", "queue", "weakref",
)
# fmt: on

_SEARCHES = (
    *("json", "path", "http", "cache", "log"),
    *("flask", "thread", "date", "config", "nosuchthing"),
)

_KINDS = ("module", "name", "all", "package")

_MISSING = (
    "/modules/jsn",
    "/modules/antigravity",
    "/modules/../etc/passwd",
    "/packages/nosuchpackage/1.0",
    "/nothing/here",
)

#: What readers do, and how often in a hundred requests.
_HABITS = {
    "module": 60,
    "search": 17,
    "package": 8,
    "requires": 2,
    "lists": 5,
    "overview": 3,
    "missing": 3,
    "HEAD": 2,
}


class Counted(NamedTuple):
    """What ``/metrics`` says: hits of views, seconds saved by them, and by everything else."""

    hits: float
    saved_by_views: float
    saved_inside: float


class Call(NamedTuple):
    """One request: under which kind it is counted, and what is sent."""

    kind: str
    method: str
    target: str
    body: str | None = None


@dataclass
class Tally:
    """Milliseconds of the answers of one kind, by how they came about."""

    hits: list[float] = field(default_factory=list[float])
    misses: list[float] = field(default_factory=list[float])
    others: list[float] = field(default_factory=list[float])

    def add(self, result: str | None, milliseconds: float) -> None:
        if result == "hit":
            self.hits.append(milliseconds)
        elif result in ("miss", "stale"):
            self.misses.append(milliseconds)
        else:
            self.others.append(milliseconds)


@dataclass
class Report:
    """What came of a drive.

    Attributes:
        tallies: By kind of request.
        failures: Answers with a status of 500 and above.
        counted_hits: Hits of views according to ``/metrics``, those before the drive taken off.
        saved_by_views: Seconds that those hits would have taken.
        saved_inside: Seconds saved by hits of memoized functions and fragments, while pages
            were computed.
    """

    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])
    failures: int = 0
    counted_hits: float = 0
    saved_by_views: float = 0
    saved_inside: float = 0

    @property
    def total(self) -> Tally:
        every = self.tallies.values()
        return Tally(
            [value for tally in every for value in tally.hits],
            [value for tally in every for value in tally.misses],
            [value for tally in every for value in tally.others],
        )


def drive(
    host: str,
    port: int,
    requests: int,
    stopped: Callable[[], bool] = lambda: False,
    seed: int = 2,
) -> Report:
    """Send requests one after the other, as one reader after the other would.

    Args:
        host: Where the demo listens.
        port: Its port.
        requests: How many to send.
        stopped: Ends the drive early when it answers true.
        seed: The same seed sends the same requests to the same machine.
    """
    report = Report()
    connection = HTTPConnection(host, port, timeout=60)
    try:
        before = _scrape(connection)
        packages = _links(connection, "/packages/", report)
        for call in plan(packages, requests - 1, random.Random(seed)):
            if stopped():
                break
            _send(connection, call, report)
        after = _scrape(connection)
    finally:
        connection.close()
    report.counted_hits = after.hits - before.hits
    report.saved_by_views = after.saved_by_views - before.saved_by_views
    report.saved_inside = after.saved_inside - before.saved_inside
    return report


def plan(packages: Sequence[str], requests: int, chance: random.Random) -> Iterator[Call]:
    """Make up requests: a few modules are read by everyone, most by hardly anyone.

    Args:
        packages: Paths of package pages.
        requests: How many.
        chance: Where the dice are.
    """
    habits, weights = list(_HABITS), list(_HABITS.values())
    for number in range(requests):
        # In the midst of it one search comes by POST: it must not be answered from the cache.
        kind = "POST" if number == requests // 2 else chance.choices(habits, weights)[0]
        yield _call(kind, packages, chance)


def is_consistent(report: Report) -> bool:
    """Whether nothing failed, and ``/metrics`` counted the hits that the reader saw."""
    return report.failures == 0 and report.counted_hits == len(report.total.hits)


def show(report: Report) -> str:
    """The report as a table of text."""
    header = ("", "requests", "hits", "misses", "not cached", "hit ratio", "hit ms", "miss ms")
    rows = [_row(kind, tally) for kind, tally in sorted(report.tallies.items())]
    rows.append(_row("all", report.total))
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = "  ".join("-" * width for width in widths)
    lines = [_line(header, widths), rule, *(_line(row, widths) for row in rows[:-1]), rule]
    lines += [_line(rows[-1], widths), ""]
    lines.append("hit ms and miss ms are medians, seen by the reader.")
    lines.append(
        f"seconds saved: {report.saved_by_views:.1f} by pages that were hits; while the others "
        f"were computed, {report.saved_inside:.1f} by what is memoized."
    )
    lines.append(_verdict(report))
    return "\n".join(f"  {line}".rstrip() for line in lines) + "\n"


def _call(kind: str, packages: Sequence[str], chance: random.Random) -> Call:
    if kind == "module":
        return Call(kind, "GET", f"/modules/{_popular(_MODULES, chance)}")
    if kind == "search":
        return Call(kind, "GET", f"/search?{_query(chance)}")
    if kind == "POST":
        return Call(kind, "POST", "/search", "q=json&kind=module")
    if kind == "package" and packages:
        return Call(kind, "GET", _popular(packages[:40], chance))
    if kind == "requires" and packages:
        return Call(kind, "GET", f"{_popular(packages[:40], chance)}/requires")
    if kind == "HEAD":
        return Call(kind, "HEAD", f"/modules/{_popular(_MODULES[:8], chance)}")
    if kind == "overview":
        return Call(kind, "GET", "/")
    if kind == "missing":
        return Call(kind, "GET", chance.choice(_MISSING))
    return Call("lists", "GET", chance.choice(("/modules/", "/packages/")))


def _popular(choices: Sequence[str], chance: random.Random) -> str:
    """One of ``choices`` by Zipf's law: the n-th is chosen 1/n times as often as the first."""
    return chance.choices(choices, [1 / rank for rank in range(1, len(choices) + 1)])[0]


def _query(chance: random.Random) -> str:
    """A query string, its parameters in either order: for the cache that is one page."""
    parameters = [("q", _popular(_SEARCHES, chance)), ("kind", _popular(_KINDS, chance))]
    chance.shuffle(parameters)
    return urlencode(parameters)


def _send(connection: HTTPConnection, call: Call, report: Report) -> str:
    headers = {"Accept": "text/html"}
    if call.body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    started = time.perf_counter()
    connection.request(call.method, call.target, call.body, headers)
    response = connection.getresponse()
    body = response.read()
    milliseconds = (time.perf_counter() - started) * 1000
    result = outcome(response.getheader("Cache-Status"))
    report.tallies.setdefault(call.kind, Tally()).add(result, milliseconds)
    report.failures += response.status >= 500
    return body.decode()


def _links(connection: HTTPConnection, target: str, report: Report) -> list[str]:
    """The addresses below ``target`` that its page links to."""
    page = _send(connection, Call("lists", "GET", target), report)
    return [html.unescape(found) for found in re.findall(rf'href="({target}[^"]+)"', page)]


def _scrape(connection: HTTPConnection) -> Counted:
    connection.request("GET", "/metrics", headers={"Accept": "text/plain"})
    response = connection.getresponse()
    text = response.read().decode()
    families = text_string_to_metric_families(text) if response.status == 200 else ()
    hits = by_views = inside = 0.0
    for sample in (sample for family in families for sample in family.samples):
        is_view = sample.labels.get("source") == "view"
        if sample.name == "flask_caching_saved_seconds_total":
            by_views += sample.value if is_view else 0
            inside += sample.value if not is_view else 0
        elif sample.name == "flask_caching_lookups_total" and sample.labels["result"] == "hit":
            hits += sample.value if is_view else 0
    return Counted(hits, by_views, inside)


def _row(kind: str, tally: Tally) -> tuple[str, ...]:
    hits, misses, others = len(tally.hits), len(tally.misses), len(tally.others)
    return (
        kind,
        str(hits + misses + others),
        str(hits),
        str(misses),
        str(others),
        f"{hits / (hits + misses):.0%}" if hits + misses else "-",
        f"{statistics.median(tally.hits):.1f}" if hits else "-",
        f"{statistics.median(tally.misses):.1f}" if misses else "-",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers)])


def _verdict(report: Report) -> str:
    seen, counted = len(report.total.hits), f"{report.counted_hits:.0f}"
    if report.failures:
        return f"{report.failures} requests failed: see the log."
    if is_consistent(report):
        return f"/metrics counted the same {counted} hits."
    return f"/metrics counted {counted} hits, not {seen}: did someone else read along?"
