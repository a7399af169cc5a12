"""Fixtures that tests of every part share."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from flask import Flask
from hypothesis import settings
from proxies import LyingProxy
from redis_groups import ClusterNode, SentinelSet, start_cluster
from servers import (
    MemcachedServer,
    RedisServer,
    SaslMemcachedServer,
    Server,
    find_redis62,
)
from werkzeug.test import TestResponse

from flask_caching.lookup import warn_once
from flask_caching.observer import faults

# Its assertions are those of tests.
pytest.register_assert_rewrite("flask_caching.testing")

# A shared machine may be slow at any moment; under CI=true hypothesis is repeatable by itself.
settings.register_profile("tests", settings(deadline=None))
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Leave what is there before the first test to itself.

    It is half a million objects, which every collection would go through, and every forked child
    would copy.
    """
    gc.collect()
    gc.freeze()


if not hasattr(TestResponse, "text"):  # before Werkzeug 2.1
    TestResponse.text = property(lambda response: response.get_data(as_text=True))


class Running(Protocol):
    """What is running until it is stopped."""

    def stop(self) -> None: ...


RunningT = TypeVar("RunningT", bound=Running)


class Clock:
    """A stand-in for ``time.time``: it begins at a round moment and moves when it is told to.

    Attributes:
        now: Unix time, seconds. Set it to any moment, the past included.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def app() -> Flask:
    """An application without views, under test."""
    app = Flask("tests")
    app.testing = True
    return app


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The wall clock of this test, for expiry: ``clock.advance(61)`` instead of sleeping.

    Only ``time.time`` is replaced. Monotonic clocks go on, so that a wait with a deadline still
    ends; to freeze ``datetime`` as well, as applications do, use ``time_machine`` or ``freezegun``.
    """
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def nothing_hidden() -> Iterator[None]:
    """What observers and receivers raise is hidden from calls, but not from tests with this.

    A test of such faults clears them. Warnings given once are given again in each test.
    """
    warn_once.cache_clear()
    faults.clear()
    yield
    left = dict(faults)
    faults.clear()
    assert not left


# Servers. Those of a session are shared by its tests, which must not harm them; a test that
# pauses or kills takes one of its own.


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The newest Redis that is installed."""
    yield from _running(RedisServer(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def redis62_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The oldest Redis that is supported."""
    binary = find_redis62()
    yield from _running(RedisServer(tmp_path_factory.mktemp("redis62"), binary=binary))


@pytest.fixture(scope="session")
def sentinel_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    """Three Sentinels, a master and two replicas; patient, so that a busy machine is no fault."""
    yield from _running(SentinelSet(tmp_path_factory.mktemp("sentinel"), 3000))


@pytest.fixture(scope="session")
def redis_cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterNode]]:
    """A Cluster of three masters."""
    yield from _all_running(start_cluster(tmp_path_factory.mktemp("cluster")))


@pytest.fixture(scope="session")
def memcached_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemcachedServer]:
    """One memcached."""
    yield from _running(MemcachedServer(tmp_path_factory.mktemp("memcached")))


@pytest.fixture(scope="session")
def memcached_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[MemcachedServer]]:
    """Three of memcached."""
    folder = tmp_path_factory.mktemp("memcached-three")
    yield from _all_running([MemcachedServer(folder / str(number)) for number in range(3)])


@pytest.fixture(scope="session")
def sasl_memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaslMemcachedServer]:
    """A memcached that wants a user name and a password."""
    yield from _running(SaslMemcachedServer(tmp_path_factory.mktemp("memcached-sasl")))


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a server of this test's own: ``start_server(RedisServer, "--maxmemory", "2mb")``."""
    with ExitStack() as ending:
        number = itertools.count()

        def start(kind: Callable[..., Any], *args: Any, **options: Any) -> Any:
            server = kind(tmp_path / f"server-{next(number)}", *args, **options)
            ending.callback(server.stop)
            return server

        yield start


@pytest.fixture
def own_redis(start_server: Callable[..., Any]) -> RedisServer:
    """A Redis to pause, kill and restart."""
    server: RedisServer = start_server(RedisServer)
    return server


@pytest.fixture
def own_memcached(start_server: Callable[..., Any]) -> MemcachedServer:
    """A memcached to pause, kill and restart."""
    server: MemcachedServer = start_server(MemcachedServer)
    return server


@pytest.fixture
def own_sentinel_set(start_server: Callable[..., Any]) -> SentinelSet:
    """A Sentinel set to kill the master of; it fails over after half a second of silence."""
    group: SentinelSet = start_server(SentinelSet)
    return group


@pytest.fixture
def own_redis_cluster(tmp_path: Path) -> Iterator[list[ClusterNode]]:
    """A Cluster to kill nodes of."""
    yield from _all_running(start_cluster(tmp_path / "cluster"))


@pytest.fixture
def proxy_to() -> Iterator[Callable[[Server], LyingProxy]]:
    """Makes a proxy to a server: ``proxy_to(redis_server).fall_silent()``."""
    with ExitStack() as ending:

        def make(server: Server) -> LyingProxy:
            proxy = LyingProxy(server.address)
            ending.callback(proxy.close)
            return proxy

        yield make


def _running(server: RunningT) -> Iterator[RunningT]:
    try:
        yield server
    finally:
        server.stop()


def _all_running(group: list[RunningT]) -> Iterator[list[RunningT]]:
    with ExitStack() as ending:
        for server in group:
            ending.callback(server.stop)
        yield group
