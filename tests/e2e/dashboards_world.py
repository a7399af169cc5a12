"""What dashboards and alerts are tried on: the demo and ``dashboards_app.py`` under gunicorn."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from servers import RedisServer, Server, find_binary, wait_until
from web_servers import GunicornServer, PrometheusServer

__all__ = [
    "DEMO",
    "HOUR",
    "WEEK",
    "Past",
    "Start",
    "backfill",
    "scraping",
    "start_demo",
    "start_ward",
    "starting",
]

DEMO = Path(__file__).parents[2] / "docs" / "examples" / "demo"

HOUR = 3600
WEEK = 7 * 24 * HOUR

#: Starts a server in a folder of that name: ``start(RedisServer, "redis")``.
Start = Callable[..., Any]

ServerT = TypeVar("ServerT", bound=Server)


class Past(NamedTuple):
    """A series that a Prometheus has from long ago.

    Attributes:
        name: Its name.
        labels: Its labels.
        value: What it was all the while.
        ago: Seconds.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    ago: int


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Yields what starts servers, all of which end with the block."""
    with ExitStack() as ending:

        def start(kind: Callable[..., ServerT], name: str, *args: Any, **options: Any) -> ServerT:
            server = kind(folder / name, *args, **options)
            ending.callback(server.stop)
            return server

        yield start


def start_demo(
    start: Start, redis: RedisServer, name: str = "demo", workers: int = 2, **settings: str
) -> Any:
    """Start the demo as its README says.

    Args:
        start: Starts servers.
        redis: Where its entries are.
        name: Its folder's, and the beginning of its keys.
        workers: How many processes.
        settings: Further settings.
    """
    environment = {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": redis.url,
        "CACHE_KEY_PREFIX": f"{name}:",
        **settings,
    }
    return start(
        GunicornServer,
        name,
        "wsgi:app",
        *("--workers", str(workers), "--threads", "8"),
        environment=environment,
        folder=DEMO,
        ready="/metrics",
    )


def start_ward(start: Start, redis: RedisServer, workers: int = 2, **others: str) -> Any:
    """Start ``dashboards_app.py``.

    Args:
        start: Starts servers.
        redis: What its caches use.
        workers: How many processes.
        others: What some use instead: a URL by the cache's name.
    """
    environment = {f"WARD_REDIS_{name.upper()}": url for name, url in others.items()}
    return start(
        GunicornServer,
        "ward",
        "dashboards_app:app",
        *("--workers", str(workers), "--threads", "16"),
        environment={"WARD_REDIS": redis.url, **environment},
        ready="/ready",
    )


@contextmanager
def scraping(
    folder: Path,
    jobs: Mapping[str, Server],
    rules: Sequence[Path],
    history: Sequence[Past] = (),
    alertmanager: str | None = None,
    interval_seconds: int = 1,
) -> Iterator[PrometheusServer]:
    """A Prometheus that has seen each of ``jobs``.

    Args:
        folder: For its data.
        jobs: What it scrapes.
        rules: Files of rules.
        history: What it knows from before.
        alertmanager: ``host:port``.
        interval_seconds: How often it looks.
    """
    if history:
        backfill(folder / "prometheus" / "data", folder / "history.txt", history)
    with starting(folder) as start:
        server: PrometheusServer = start(
            PrometheusServer,
            "prometheus",
            {job: [f"{each.host}:{each.port}"] for job, each in jobs.items()},
            rules=rules,
            alertmanager=alertmanager,
            interval_seconds=interval_seconds,
        )

        # It takes five seconds before it looks for the first time.
        def seen() -> bool:
            up = server.query("up")
            return len(up) == len(jobs) and all(up.values())

        wait_until(seen, f"a scrape of each of {sorted(jobs)}", 60)
        yield server


def backfill(data: Path, text: Path, history: Sequence[Past]) -> None:
    """Give a Prometheus a past, in OpenMetrics."""
    now, lines = int(time.time()), []
    for name, labels, value, ago in history:
        shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"# TYPE {name} gauge")
        # From two minutes before, for the half hour that tests take at the very most.
        moments = range(now - ago - 120, now - ago + 1800, 15)
        lines += [f"{name}{{{shown}}} {value} {moment}" for moment in moments]
    text.write_text("\n".join([*lines, "# EOF\n"]))
    data.mkdir(parents=True)
    subprocess.run(
        [find_binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", text, data],
        check=True,
        capture_output=True,
    )
