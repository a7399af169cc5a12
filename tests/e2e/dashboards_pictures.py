"""The traffic of the manual's pictures: two of the demo, many readers, and a Redis that dies.

It lasts some minutes, and is not part of the suite.
"""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dashboards_drawing import Answers
from dashboards_looks import COLOURS, Event, Line, Span, legend_of
from dashboards_queries import RULES, Expression, Variables, ask, expressions_of_dashboard, shorten
from dashboards_traffic import fetch, plan
from dashboards_world import WEEK, Past, scraping, start_demo, starting
from drive import Call
from servers import RedisServer
from web_servers import GunicornServer, PrometheusServer

__all__ = ["NOTE", "answers_to", "busy_day"]

#: How much shorter minutes are in the rules: an outage of half a minute is one of ten.
FACTOR = 20

#: Seconds of the pictures, those between which the Redis is gone, and those in which somebody
#: opens the pages that have one key.
LONG = 240
GONE = (130, 160)
MISTAKEN = (25, 45)

#: Every kind of page, and requests that are not answered from the cache.
ALL = ("module", "search", "package", "requires", "lists", "overview", "missing", "HEAD")
UNUSUAL = (
    Call("", "GET", "/modules/json?fresh=1"),
    Call("", "POST", "/search", "q=json&kind=module"),
)

#: What the foot of the pictures says besides.
NOTE = f"Four minutes of the demo; the rules' minutes are {60 // FACTOR} seconds there."

#: Seconds from one scrape to the next: an application without its cache is busy.
INTERVAL = 2

#: What the data source would be told of that, so that rates are those of twenty seconds.
VARIABLES = Variables(scrape_seconds=5, step_seconds=INTERVAL, range_seconds=LONG)


@contextmanager
def busy_day(folder: Path) -> Iterator[tuple[PrometheusServer, float, float]]:
    """A Prometheus that has seen it, and from when to when (Unix time)."""
    rules = []
    for name in ("recording.yml", "alerts.yml"):
        rules.append(folder / name)
        shortened = shorten(yaml.safe_load((RULES / name).read_text()), FACTOR)
        rules[-1].write_text(yaml.safe_dump(shortened))
    before = "job_cache:flask_caching_answered_lookups:hit_ratio_rate30m"
    history = [Past(before, {"job": "docs", "cache": "pages"}, 0.8, WEEK)]
    with starting(folder) as start:
        redis = start(RedisServer, "redis")
        docs = start_demo(start, redis, "docs", CACHE_NAME="pages", CACHE_DEFAULT_TIMEOUT="40")
        preview = start_demo(
            start,
            redis,
            "preview",
            CACHE_NAME="local",
            CACHE_TYPE="SimpleCache",
            CACHE_THRESHOLD="25",
        )
        jobs = {"docs": docs, "preview": preview}
        with scraping(folder, jobs, rules, history, interval_seconds=INTERVAL) as prometheus:
            begun = time.time()
            _read_all_day(docs, preview, redis)
            yield prometheus, begun, begun + LONG


def _read_all_day(docs: GunicornServer, preview: GunicornServer, redis: RedisServer) -> None:
    over, begun = threading.Event(), time.monotonic()
    of_docs, of_preview = Reader(docs, ALL, 4), Reader(preview, ("module", "search"), 2.5)
    readers = [
        threading.Thread(target=reader.read, args=(seed, over))
        for reader, seeds in ((of_docs, range(5)), (of_preview, range(5, 7)))
        for seed in seeds
    ]
    for reader in readers:
        reader.start()
    try:
        for moment, act in ((GONE[0], redis.kill), (GONE[1], redis.restart), (LONG, over.set)):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            act()
    finally:
        over.set()
        for reader in readers:
            reader.join()
    # The last of it is scraped a moment later.
    time.sleep(2 * INTERVAL)


@dataclass(frozen=True)
class Reader:
    """Somebody who is in a hurry at some times more than at others.

    Attributes:
        demo: What is read.
        kinds: Which pages, as the driver calls them.
        often: Requests a second, on the whole.
    """

    demo: GunicornServer
    kinds: Collection[str]
    often: float

    def read(self, seed: int, over: threading.Event) -> None:
        """Read until it is over."""
        chance, begun = random.Random(seed), time.monotonic()
        page, _ = fetch(self.demo, Call("", "GET", "/packages/"))
        packages = re.findall(r'href="(/packages/[^"]+)"', page)
        for call in plan(packages, 100_000, chance):
            now = time.monotonic() - begun
            wave = 0.6 + 0.4 * math.sin(now / LONG * 4 * math.pi)
            if call.kind == "requires" and not MISTAKEN[0] < now < MISTAKEN[1]:
                continue
            if call.kind not in self.kinds:
                continue
            if over.wait(chance.expovariate(self.often * wave)):
                return
            fetch(self.demo, chance.choice(UNUSUAL) if chance.random() < 0.04 else call)


def answers_to(
    dashboard: Mapping[str, Any],
    prometheus: PrometheusServer,
    start: float,
    end: float,
    variables: Variables = VARIABLES,
    note: str = "",
) -> Answers:
    """What Prometheus says to a dashboard, ready to be drawn."""
    lines: dict[int, list[Line]] = {panel["id"]: [] for panel in dashboard["panels"]}
    events = []
    for expression in expressions_of_dashboard("", dashboard):
        found = ask(prometheus, expression, variables, start, end)
        if expression.kind == "annotation":
            seconds = sorted({when - start for points in found.values() for when, _ in points})
            events.append(Event(seconds, COLOURS[expression.colour]))
        else:
            lines[expression.panel] += _lines(expression, found, start)
    span = Span(round(end - start), variables.step_seconds)
    return Answers(span, lines, events, note)


def _lines(expression: Expression, found: Mapping[Any, Any], start: float) -> list[Line]:
    return [
        Line(
            legend_of(expression.legend, series),
            expression.ref,
            dict(series),
            [(when - start, value) for when, value in points],
        )
        for series, points in found.items()
    ]
