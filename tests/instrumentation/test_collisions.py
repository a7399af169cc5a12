"""Collisions: the last offenders, the log line, and that ``refuse`` serves nobody else's entry."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from servers import RedisServer

from flask_caching import Cache
from flask_caching.observer import Collision, Target
from flask_caching_instrumentation.exposition import instrumentation_of
from flask_caching_instrumentation.metrics.collisions import Offenders

PAGE = Target("view", "page")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def collide(offenders: Offenders, key: str, kind: str = "arguments", target: Target = PAGE) -> None:
    offenders.note(target, Collision(key, kind, "reported", ("stored", key), ("asked", key)))


def test_an_offender_is_kept_once_and_counted() -> None:
    """The latest first, with the first and the last moment it was seen at."""
    clock = Clock()
    offenders = Offenders(clock=clock)
    collide(offenders, "a")
    clock.now += 5
    collide(offenders, "b")
    clock.now += 5
    collide(offenders, "a")
    first, second = offenders.latest()
    assert (first.key, first.times, first.first_seen, first.last_seen) == ("a", 2, 1000.0, 1010.0)
    assert (second.key, second.times, second.stored) == ("b", 1, ("stored", "b"))


def test_other_kinds_and_targets_are_other_offenders() -> None:
    """One key may be wrong in several ways."""
    offenders = Offenders()
    collide(offenders, "a")
    collide(offenders, "a", kind="host")
    collide(offenders, "a", target=Target("view", "other"))
    assert len(offenders.latest()) == 3


def test_those_not_seen_for_longest_are_forgotten() -> None:
    """Bounded, whatever the number of keys."""
    offenders = Offenders(limit=3)
    for key in ("a", "b", "c", "a", "d"):
        collide(offenders, key)
    assert [each.key for each in offenders.latest()] == ["d", "a", "c"]


@pytest.fixture(params=["SimpleCache", "RedisCache"])
def store(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where entries are: identities as they are, or hashes of them."""
    config: dict[str, Any] = {"CACHE_TYPE": request.param, "SECRET_KEY": "not-a-secret"}
    if request.param == "RedisCache":
        server: RedisServer = request.getfixturevalue("redis_server")
        config |= {
            "CACHE_REDIS_URL": server.url,
            "CACHE_KEY_PREFIX": f"{request.node.name}/",
        }
    return config


def build(store: dict[str, Any], policy: str) -> tuple[Flask, Cache, CollectorRegistry]:
    app, registry = Flask("colliding"), CollectorRegistry()
    app.config.update(
        store,
        CACHE_COLLISIONS=policy,
        CACHE_METRICS_REGISTRY=registry,
        CACHE_SINGLE_FLIGHT="process",
    )
    cache = Cache(app)

    @app.get("/product/<int:number>")
    @cache.cached(key_prefix="one-key")
    def product(number: int) -> str:
        return f"product {number}"

    return app, cache


def test_a_view_with_one_key_for_all_is_found(
    store: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, kept with what it takes to find the mistake, and logged once without the key."""
    app, cache = build(store, "report")
    client = app.test_client()
    pages = [client.get(f"/product/{number}").text for number in (1, 2, 3, 1)]
    assert pages == ["product 1"] * 4
    assert collisions(app, cache) == {"arguments": {"reported": 2, "refused": 0}}
    with app.app_context():
        observer = instrumentation_of(cache)
    assert observer is not None
    (offender,) = observer.offenders.latest()
    assert (offender.target, offender.kind, offender.key) == ("product", "arguments", "one-key")
    assert offender.times == 2
    assert "3" in repr(offender.asked.arguments)
    lines = [
        each for each in caplog.records if getattr(each, "cache_event", "") == "cache.collision"
    ]
    assert [line.levelno for line in lines] == [logging.WARNING]
    assert "differs in its arguments, which was served" in lines[0].getMessage()
    assert lines[0].cache_target == "product"
    assert len(lines[0].cache_key_hash) == 16
    assert "one-key" not in caplog.text


def collisions(app: Flask, cache: Cache) -> dict[str, Any]:
    with app.app_context():
        counted: dict[str, Any] = cache.stats()["collisions"]
        return counted


def test_refuse_never_serves_another_request_s_entry(store: dict[str, Any]) -> None:
    """Eight threads ask for sixteen pages of one key: each gets its own, every time."""
    app, cache = build(store, "refuse")
    wrong: list[tuple[int, str]] = []
    served: Counter[int] = Counter()

    def work(first: int) -> None:
        client = app.test_client()
        for step in range(150):
            number = (first + step * 7) % 16
            text = client.get(f"/product/{number}").text
            served[number] += 1
            if text != f"product {number}":
                wrong.append((number, text))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(served) == 16
    counted = collisions(app, cache)
    assert counted["arguments"]["refused"] > 100
    assert counted["arguments"]["reported"] == 0
