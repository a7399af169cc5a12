"""Faults that alerts are for: each is made, seen by Prometheus, and ended.

A patient is one cache of ``dashboards_app.py``, or the demo. All fall ill at the same time, which
takes no longer than one of them; since each has its own labels it is still seen whom an alert is
about.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from proxies import LyingProxy
from servers import RedisServer, Server, wait_until
from web_servers import GunicornServer, PrometheusServer

__all__ = ["Labels", "Patient", "Ward", "Watch", "patients", "repeating", "treat"]

#: The labels of an alert, ``alertname`` and ``severity`` among them, sorted.
Labels: TypeAlias = tuple[tuple[str, str], ...]

#: Seconds for which an alert may be waited for, or its end. The slowest takes half a minute.
PATIENCE = 150.0


def nothing() -> None:
    """What a patient does whose illness is in its requests alone."""


@dataclass(frozen=True)
class Ward:
    """The servers that patients share.

    Attributes:
        ward: ``dashboards_app.py`` under gunicorn.
        demo: The demo under gunicorn.
        gone: Another one, to be stopped.
        mortal: The Redis of the cache ``down``.
        replica: The Redis of the cache ``readonly``.
        proxy: Before the Redis of the cache ``slow``.
        packages: Paths of pages of two packages in the demo.
    """

    ward: GunicornServer
    demo: GunicornServer
    gone: Server
    mortal: RedisServer
    replica: RedisServer
    proxy: LyingProxy
    packages: Sequence[str]


@dataclass(frozen=True)
class Patient:
    """One fault.

    Attributes:
        name: For messages.
        alerts: The labels of the alerts that must fire, and of no others.
        well: One round of requests while nothing is wrong.
        ill: One round while something is; as before, if only the server is ill.
        better: One round afterwards; as before, if nothing else is said.
        fall_ill: Begins what is not in the requests.
        recover: Ends it.
        callers: How many send requests at once while it is ill.
        pause: Seconds between two rounds.
    """

    name: str
    alerts: Sequence[Labels]
    well: Callable[[], object]
    ill: Callable[[], object] | None = None
    better: Callable[[], object] | None = None
    fall_ill: Callable[[], object] = nothing
    recover: Callable[[], object] = nothing
    callers: int = 1
    pause: float = 0.5


def labels(alertname: str, severity: str, **others: str) -> Labels:
    """The labels of an alert."""
    return tuple(sorted({"alertname": alertname, "severity": severity, **others}.items()))


def patients(ward: Ward) -> list[Patient]:
    """One or more for each alert."""
    return [*_of_servers(ward), *_of_requests(ward), *_collisions(ward)]


def _of_servers(ward: Ward) -> Iterator[Patient]:
    """Those whose server is ill. Their requests are few: busy machines are slow as well."""
    ask, numbers = ward.ward.read, itertools.count(1000)
    backend = {"job": "ward", "backend": "redis"}
    yield Patient(
        "Redis is stopped",
        [
            labels("FlaskCachingBackendDown", "page", cache="down", **backend),
            labels("FlaskCachingFailingOpen", "page", cache="down", job="ward"),
        ],
        well=lambda: ask("/down/1"),
        fall_ill=ward.mortal.kill,
        recover=ward.mortal.restart,
        pause=1.25,
    )
    yield Patient(
        "Redis answers late",
        [labels("FlaskCachingSlowBackend", "ticket", cache="slow", **backend)],
        well=lambda: ask("/slow/1"),
        ill=lambda: [ask("/slow/1") for _ in range(5)],
        fall_ill=lambda: ward.proxy.delay(0.12),
        recover=ward.proxy.behave,
        pause=1.25,
    )
    yield Patient(
        "Redis has become a replica",
        [
            labels(
                "FlaskCachingErrors", "ticket", cache="readonly", error_type="readonly", **backend
            )
        ],
        well=lambda: ask("/readonly/1"),
        ill=lambda: ask(f"/readonly/{next(numbers)}"),
        # Of nobody: what matters is that it takes no writes.
        fall_ill=lambda: ward.replica.cli("REPLICAOF", ward.replica.host, "1"),
        recover=lambda: ward.replica.cli("REPLICAOF", "NO", "ONE"),
        pause=1.25,
    )
    yield Patient(
        "an application is stopped",
        [labels("FlaskCachingMetricsAbsent", "ticket", job="gone")],
        well=nothing,
        fall_ill=ward.gone.kill,
        recover=ward.gone.restart,
    )


def _of_requests(ward: Ward) -> Iterator[Patient]:
    """Those that get requests which their cache is no good for."""
    ask = ward.ward.read
    others, users = itertools.count(1000, 10), itertools.count(1000, 200)
    yield Patient(
        "other things are asked for than a week ago",
        [labels("FlaskCachingHitRatioDropped", "ticket", job="ward", cache="ratio")],
        well=lambda: ask("/ratio?first=0&count=10"),
        # Below a thousand keys, which would be an explosion.
        ill=lambda: ask(f"/ratio?first={next(others)}&count=10"),
        # More readers than there were: half a minute on the whole is soon a good one again.
        better=lambda: ask("/ratio?first=0&count=200"),
    )
    # Ten times as many as there is room for, in turn: the next one has always just gone.
    crowd = itertools.cycle(range(0, 500, 20))
    yield Patient(
        "more is asked for than there is room for",
        [
            labels(
                "FlaskCachingEvictionThrash", "ticket", job="ward", cache="small", backend="simple"
            )
        ],
        well=lambda: ask("/small?first=0&count=10"),
        ill=lambda: ask(f"/small?first={next(crowd)}&count=20"),
    )
    target = {"source": "memoize", "target": "dashboards_app.greeting"}
    yield Patient(
        "a user is in the key",
        [labels("FlaskCachingKeyExplosion", "ticket", job="ward", cache="users", **target)],
        # Hits before would be part of the last hour, which is a minute here.
        well=nothing,
        ill=lambda: ask(f"/users?first={next(users)}&count=200"),
        better=lambda: ask("/users?first=0&count=1"),
    )
    yield Patient(
        "a receiver of signals has a mistake",
        [
            labels(
                "FlaskCachingTelemetryErrors",
                "ticket",
                job="ward",
                where="receiver watch of cache-memoize-hit",
                error_type="ZeroDivisionError",
            )
        ],
        well=lambda: ask("/watched"),
        ill=lambda: ask("/watched?mistake=1"),
    )
    for name, how, seconds, callers in (
        ("stampede", "callers of one process do not wait for each other", 0.5, 6),
        ("herd", "one caller in each of four processes", 1.0, 12),
    ):
        yield Patient(
            f"everybody computes the same: {how}",
            [labels("FlaskCachingStampede", "ticket", job="ward", cache=name, source="memoize")],
            well=partial(ask, f"/dear/{name}"),
            ill=partial(ask, f"/dear/{name}?seconds={seconds}"),
            callers=callers,
            pause=0.1,
        )


def _collisions(ward: Ward) -> Iterator[Patient]:
    """Those whose readers get, or would get, each other's pages."""
    first, second = (f"{path}/requires" for path in ward.packages)
    kinds = {"source": "view", "kind": "arguments"}
    shared = {"job": "demo", "cache": "cache", "target": "browser.requires", **kinds}
    yield Patient(
        "two packages of the demo are told the same",
        [labels("FlaskCachingCollision", "page", **shared)],
        well=lambda: ward.demo.read(first),
        ill=lambda: ward.demo.read(second),
        pause=1.25,
    )
    shared = {"job": "ward", "cache": "refusing", "target": "mistaken", **kinds}
    numbers = itertools.cycle((1, 2))
    yield Patient(
        "two requests have one key, and none gets the other's page",
        [labels("FlaskCachingCollision", "ticket", **shared)],
        well=lambda: ward.ward.read("/refusing/1"),
        ill=lambda: ward.ward.read(f"/refusing/{next(numbers)}"),
        pause=1.25,
    )


class Watch:
    """Looks at the alerts of a Prometheus twice a second, for whoever waits for one.

    Args:
        prometheus: Whom to ask.
        told: What the Alertmanager's receivers have been told is firing. An alert that ends within
            the second for which the Alertmanager collects is none to it.

    Attributes:
        firing: The labels of the alerts that fire now.
        annotations: Of each alert that was ever seen firing.
    """

    def __init__(
        self, prometheus: PrometheusServer, told: Callable[[], Collection[Labels]]
    ) -> None:
        self.told = told
        self.firing: frozenset[Labels] = frozenset()
        self.annotations: dict[Labels, dict[str, str]] = {}
        self._prometheus = prometheus

    def look(self) -> None:
        """Look once."""
        firing = [each for each in self._prometheus.alerts() if each["state"] == "firing"]
        found = {tuple(sorted(each["labels"].items())): each["annotations"] for each in firing}
        self.annotations.update(found)
        self.firing = frozenset(found)


def treat(patient: Patient, watch: Watch, outbreak: threading.Event) -> None:
    """A patient's story: well, ill until its alerts have fired, and better until they do not.

    Args:
        patient: Whose.
        watch: Who is looking at the alerts.
        outbreak: When it falls ill.

    Raises:
        TimeoutError: If they did not fire, or did not end.
    """
    wanted = frozenset(patient.alerts)
    with repeating(patient.well, patient.pause):
        outbreak.wait()
    patient.fall_ill()
    try:
        with repeating(patient.ill or patient.well, patient.pause, patient.callers) as goes_on:
            wait_until(
                lambda: goes_on() and wanted <= watch.firing,
                f"{patient.name}: {[dict(each) for each in patient.alerts]}",
                PATIENCE,
            )
            wait_until(
                lambda: goes_on() and wanted <= set(watch.told()), f"{patient.name}: a page", 60
            )
    finally:
        patient.recover()
    with repeating(patient.better or patient.well, patient.pause) as goes_on:
        wait_until(
            lambda: goes_on() and not wanted & watch.firing, f"the end of {patient.name}", PATIENCE
        )


@contextmanager
def repeating(
    work: Callable[[], object], pause: float, callers: int = 1
) -> Iterator[Callable[[], bool]]:
    """Do ``work`` again and again while the block runs.

    Yields:
        What answers true, or raises what ``work`` has raised.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause):
            work()

    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(repeat) for _ in range(callers)]

        def goes_on() -> bool:
            for future in futures:
                if future.done():
                    future.result()
            return True

        try:
            yield goes_on
        finally:
            over.set()
        for future in futures:
            future.result()
