"""Several processes on one store: nothing is lost, torn, mixed up or loaded twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hazard_processes import Processes
from hazard_site import Site, Traffic, close_sites
from hazard_stores import FIXTURES, SHARED, config_of

#: Those with a client of their own kind each.
STORES = ("FileSystemCache", "RedisCache", "MemcachedCache")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Other processes, for tasks of ``hazard_worker``."""
    processes = Processes()
    yield processes
    processes.kill()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_sites()


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The configuration of a store that only this test's processes use."""
    store = request.param
    server = request.getfixturevalue(FIXTURES[store]) if FIXTURES[store] else None
    config = config_of(store, server, tmp_path)
    config["CACHE_KEY_PREFIX"] = f"processes-{time.monotonic_ns()}/"
    if server is not None:
        # Six processes on a busy machine: what is late is not lost.
        option = "socket_timeout" if "Redis" in store or "SASL" in store else "timeout"
        config["CACHE_OPTIONS"] = {option: 5}
    return config


on_shared_stores = pytest.mark.parametrize("config", STORES, indirect=True)
on_every_store = pytest.mark.parametrize("config", SHARED, indirect=True)


@on_shared_stores
def test_no_count_of_four_processes_is_lost(config: dict[str, Any], processes: Processes) -> None:
    """``inc`` and ``dec`` are the store's own: the sum is exact."""
    counted = processes.run(config, 4, "count", key="visits", times=100)
    assert Site(**config).cache.get("visits") == sum(counted) == 800


@on_shared_stores
def test_one_of_four_processes_is_the_first_to_add(
    config: dict[str, Any], processes: Processes
) -> None:
    """``add`` has one winner for each key, whose value is there."""
    won = processes.run(config, 4, "add", keys=100)
    assert sorted(number for each in won for number in each) == list(range(100))


@on_shared_stores
def test_18_six_processes_load_a_slow_function_once(
    config: dict[str, Any], processes: Processes
) -> None:
    """``CACHE_SINGLE_FLIGHT = "distributed"``: one loads, and the others get what it made."""
    config["CACHE_SINGLE_FLIGHT"] = "distributed"
    ways = ["memoize", "view", "get_or_set"]
    results = processes.run(config, 6, "load", ways=ways, seconds=0.4)
    for way in ways:
        assert sum(ran.get(way, 0) for _, ran, _ in results) == 1
    assert all(answers == [f"{way} 1" for way in ways] for answers, _, _ in results)


@on_shared_stores
def test_18_a_process_killed_while_it_loads_does_not_block_the_others(
    config: dict[str, Any], processes: Processes
) -> None:
    """Its lock expires: another one loads then, and nobody waits for longer than that."""
    config["CACHE_SINGLE_FLIGHT"] = "distributed"
    config["CACHE_SINGLE_FLIGHT_TIMEOUT"] = 1
    (victim,) = processes.start(config, 1, "load", ways=["memoize"], seconds=60)
    try:
        victim.await_line("loading memoize")
    finally:
        victim.kill()
    results = processes.run(config, 3, "load", ways=["memoize"], seconds=0.1)
    assert all(answers == ["memoize 1"] for answers, _, _ in results)
    assert max(seconds for _, _, seconds in results) < 3.0
    assert Site(**config).is_hit("memoize", 1)


@on_shared_stores
def test_no_value_is_torn_while_four_processes_write_it(
    config: dict[str, Any], processes: Processes
) -> None:
    """A reader finds the old value or the new one, whole."""
    results = processes.run(config, 4, "write_and_read", keys=4, seconds=1.0)
    assert sum(read for read, _ in results) > 100
    assert sum(torn for _, torn in results) == 0


@on_shared_stores
def test_14_what_another_process_invalidated_is_not_served(
    config: dict[str, Any], processes: Processes, tmp_path: Path
) -> None:
    """Neither what was stored before, nor what was being made meanwhile."""
    for name in ("truth", "said"):
        (tmp_path / name).write_text("0")
    site = Site(**config)

    def made(way: str, number: int) -> str:
        truth = (tmp_path / "truth").read_text()
        time.sleep(0.001)
        return truth

    site.answer = made

    def ask(number: int) -> tuple[int, int]:
        said = int((tmp_path / "said").read_text())
        return said, int(site.price(number))

    with Traffic(ask, lambda number, answer: answer[0] <= answer[1], numbers=3) as traffic:
        assert processes.run(config, 1, "invalidate", times=150, folder=str(tmp_path)) == [150]
    assert site.hits() > 0
    assert traffic.asked > site.ran["memoize"] > 3
    assert ask(1) == (150, 150)


@on_every_store
@pytest.mark.parametrize("threads", [0, 3])
def test_a_forked_process_has_replies_of_its_own(
    config: dict[str, Any], processes: Processes, threads: int
) -> None:
    """A fork after use, also while threads use the client: no reply is anybody else's."""
    assert processes.run(config, 1, "fork", threads=threads, times=60) == [[]]
