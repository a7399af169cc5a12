"""CACHE_SINGLE_FLIGHT = "distributed": one loader among processes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response
from shared_store import SharedStore, cache_on

from flask_caching import Cache
from flask_caching.backends.base import RESERVED, BaseCache
from flask_caching.lease import Lease, pauses


def workers(
    store: SharedStore, number: int, load: Callable[[int], Any], **config: Any
) -> list[Callable[[], Any]]:
    """The same memoized function in several applications, each a process of its own."""
    config = {"CACHE_SINGLE_FLIGHT": "distributed", **config}

    def worker(index: int) -> Callable[[], Any]:
        app, cache = cache_on(store, **config)

        # What a function closes over tells it from others, if it is plain.
        who = [index]

        def function() -> Any:
            return load(who[0])

        memoized = cache.memoize()(function)

        def call() -> Any:
            with app.app_context():
                return memoized()

        call.cache = cache
        return call

    return [worker(index) for index in range(number)]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Call all of them at the same time; what each returned or raised."""
    answers: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index: int) -> None:
        start.wait(10)
        try:
            answers[index] = calls[index]()
        except Exception as error:
            answers[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def locks(store: SharedStore) -> list[str]:
    return [key for key in store._cache if key.startswith(RESERVED)]


def test_ten_processes_load_once() -> None:
    """Hazard 18: nine of them wait for the tenth, and all have its value."""
    store, ran = SharedStore(), []

    def load(index: int) -> int:
        ran.append(index)
        time.sleep(0.05)
        return index

    answers = at_once(workers(store, 10, load))
    assert len(ran) == 1
    assert answers == ran * 10
    assert locks(store) == []


def test_a_loader_that_raises_releases_the_rest() -> None:
    """One of those that waited tries again; a function that fails is not queued for."""
    store, ran = SharedStore(), []

    def load(index: int) -> int:
        ran.append(index)
        time.sleep(0.05)
        raise KeyError(index)

    begun = time.perf_counter()
    answers = at_once(workers(store, 6, load, CACHE_SINGLE_FLIGHT_TIMEOUT=20))
    assert all(isinstance(answer, KeyError) for answer in answers)
    assert sorted(ran) == list(range(6))
    assert time.perf_counter() - begun < 10
    assert locks(store) == []


def test_a_value_that_is_not_stored_is_waited_for_once() -> None:
    """After that each process knows, and loads without asking for the lock."""
    store, ran = SharedStore(), []

    def load(index: int) -> Response:
        ran.append(index)
        return Response("busy", 503)

    calls = workers(store, 3, load)
    at_once(calls)
    store.trips.clear()
    calls[0]()
    assert not any(RESERVED in key for keys in store.trips for key in keys if "lock" in key)
    assert len(ran) == 4


def test_waiting_is_bounded() -> None:
    """A holder that died without giving the lock back is waited for until the time is up."""
    store = SharedStore()
    (call,) = workers(store, 1, lambda index: "value", CACHE_SINGLE_FLIGHT_TIMEOUT=0.3)
    call()
    (key,) = [key for key in store._cache if key.startswith("memo/")]
    store.delete(key)
    dead = Lease(key, 60)
    store.get_entries([dead.key], dead.create())
    begun = time.perf_counter()
    assert call() == "value"
    assert time.perf_counter() - begun >= 0.3
    # It is not this process's to give back.
    assert locks(store) == [dead.key]
    assert call() == "value"


def test_a_lock_expires(clock: Any) -> None:
    """Nobody waits for a process that died longer than CACHE_SINGLE_FLIGHT_TIMEOUT."""
    store = SharedStore()
    lease = Lease("key", 10)
    (lock,) = store.get_entries([lease.key], lease.create())
    lease.see(lock)
    assert lease.held
    clock.advance(11)
    other = Lease("key", 10)
    (lock,) = store.get_entries([other.key], other.create())
    other.see(lock)
    assert other.held
    assert not store.release_lock(lease.key, lease.token)
    assert store.release_lock(other.key, other.token)


def test_a_hit_takes_no_lock_and_a_load_two_trips_more() -> None:
    """The lock is taken along with a second look at the value."""
    store = SharedStore()
    (call,) = workers(store, 1, lambda index: "value")
    call()
    lookup, take, write = store.trips
    assert [len(keys) for keys in (lookup, take, write)] == [3, 3, 1]  # the first asks for the note
    assert take[-1] == f"{RESERVED}lock/{write[0]}"
    store.trips.clear()
    call()
    assert len(store.trips) == 1


def test_the_invalidation_during_a_wait_is_heeded() -> None:
    """Versions are read again with the lock, so that nothing is stored under an old one."""
    store = SharedStore()
    entered, go_on = threading.Event(), threading.Event()
    ran: list[int] = []

    def load(index: int) -> int:
        ran.append(index)
        if len(ran) == 1:
            entered.set()
            go_on.wait(10)
        return len(ran)

    first, second = workers(store, 2, load)
    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert entered.wait(10)
    answers: list[int] = []
    threads.append(threading.Thread(target=lambda: answers.append(second())))
    threads[1].start()
    with second.cache.app.app_context():
        version = next(key for key in store._cache if key.endswith("_memver"))
        store.delete(version)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert answers == [2]
    assert second() == 2


def test_coroutines_wait_without_blocking_their_loop() -> None:
    """Another task of the loop goes on while one waits for another process."""
    store = SharedStore()
    app, cache = cache_on(store, CACHE_SINGLE_FLIGHT="distributed", CACHE_SINGLE_FLIGHT_TIMEOUT=0.5)
    ticks: list[int] = []

    @cache.memoize()
    async def function() -> str:
        return "value"

    async def main() -> str:
        async def tick() -> None:
            while True:
                ticks.append(1)
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        value = await function()
        ticking.cancel()
        return value

    with app.app_context():
        lease = Lease(function.make_cache_key(function), 60)
        store.get_entries([lease.key], lease.create())
        assert asyncio.run(main()) == "value"
    assert len(ticks) > 5


def test_a_store_that_fails_while_the_lock_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function runs; nothing is stored, and nothing raised."""
    store = SharedStore()
    (call,) = workers(store, 1, lambda index: "value")
    monkeypatch.setattr(Lease, "create", lambda self: 1 / 0)
    assert call() == "value"
    assert [key for key in store._cache if key.startswith("memo/")] == []


class Plain(BaseCache):
    """A third-party backend without locks."""


def test_a_store_without_locks_says_so(app: Flask) -> None:
    """One loader per process is all that it can have; a store in the process needs no more."""
    with pytest.warns(UserWarning, match=r"\"distributed\".*Plain.*works as \"process\""):
        Cache(app, config={"CACHE_TYPE": Plain, "CACHE_SINGLE_FLIGHT": "distributed"})
    cache = Cache(
        Flask("other"), config={"CACHE_TYPE": "SimpleCache", "CACHE_SINGLE_FLIGHT": "distributed"}
    )
    assert cache.state().flights.coalesce


def test_pauses_grow_up_to_a_limit() -> None:
    """Ten milliseconds at first, a quarter of a second at last."""
    found = [pause for pause, _ in zip(pauses(), range(8), strict=False)]
    assert found == [0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25]


def test_a_function_that_calls_itself_does_not_wait_for_its_own_lock() -> None:
    """Its key is the same if the argument that differs is ignored."""
    store = SharedStore()
    app, cache = cache_on(store, CACHE_SINGLE_FLIGHT="distributed")

    @cache.memoize(args_to_ignore=["depth"])
    def down(depth: int) -> int:
        return depth if depth == 0 else down(depth - 1) + 1

    begun = time.perf_counter()
    with app.app_context():
        assert down(3) == 3
    assert time.perf_counter() - begun < 5
    assert locks(store) == []


def test_a_lock_whose_taking_was_not_answered_is_given_back() -> None:
    """It may be held although the answer was lost; the next process is not to wait for it."""
    store = SharedStore()
    (call,) = workers(store, 1, lambda index: "value")
    call()
    store.clear()
    take = store.get_entries

    def lose_the_answer(keys: Any, create: Any = ()) -> Any:
        found = take(keys, create)
        if any(RESERVED in key for key in keys) and create:
            raise ConnectionError("timed out")
        return found

    store.get_entries = lose_the_answer  # type: ignore[method-assign]
    assert call() == "value"
    assert locks(store) == []


def test_what_was_deleted_here_is_not_taken_from_a_load_that_began_before() -> None:
    """Whoever deletes a value and asks again gets a new one, whatever other processes load."""
    store, source = SharedStore(), ["old"]
    entered, go_on = threading.Event(), threading.Event()

    def load(index: int) -> str:
        value = source[0]
        if index == 0:
            entered.set()
            go_on.wait(10)
        return value

    first, second = workers(store, 2, load)
    slow = threading.Thread(target=first)
    slow.start()
    assert entered.wait(10)
    source[0] = "new"
    (lock,) = locks(store)
    with second.cache.app.app_context():
        second.cache.delete(lock.removeprefix(f"{RESERVED}lock/"))
    threading.Timer(0.2, go_on.set).start()
    assert second() == "new"
    slow.join(10)
    assert second() == "new"
