"""The switch that makes every decorated function run uncached, in one process or in all."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask, render_template_string
from shared_store import SharedStore, cache_on

from flask_caching import BackendError, Cache, CacheError
from flask_caching.switch import SWITCH_KEY, Switch


class Calls:
    """A view, a memoized function, a fragment and a ``get_or_set``, and how often each ran."""

    def __init__(self, app: Flask, cache: Cache) -> None:
        self.app, self.cache = app, cache
        self.ran = dict.fromkeys(("view", "memoize", "template", "direct"), 0)

        @app.route("/")
        @cache.cached()
        def view() -> str:
            return str(self._run("view"))

        @cache.memoize()
        def memoized() -> int:
            return self._run("memoize")

        self.memoized = memoized

    def _run(self, name: str) -> int:
        self.ran[name] += 1
        return self.ran[name]

    def once(self) -> dict[str, int]:
        """Call everything once; how often each has run by now."""
        with self.app.test_request_context():
            self.app.test_client().get("/")
            self.memoized()
            template = "{% cache 600, 'name' %}{{ run('template') }}{% endcache %}"
            render_template_string(template, run=self._run)
            self.cache.get_or_set("key", lambda: self._run("direct"))
        return dict(self.ran)


def everything(times: int) -> dict[str, int]:
    return dict.fromkeys(("view", "memoize", "template", "direct"), times)


class Ticker:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def slow_switch(cache: Cache, ticker: Ticker) -> None:
    """Give a cache's switch a clock of its own."""
    state = cache.state()
    state.switch = Switch(state.config.enabled, state.shared, ticker)


def test_cache_enabled_false_runs_everything_uncached(app: Flask) -> None:
    """The cache is not even asked; direct values work on, and so does deletion."""
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_ENABLED": "no"})
    calls = Calls(app, cache)
    assert [calls.once() for _ in range(3)][-1] == everything(3)
    assert cache.enabled is False
    cache.set("number", 5)
    assert cache.get("number") == 5
    cache.delete_memoized(calls.memoized)
    stats = cache.stats()
    assert stats["bypasses"] == {"disabled": 12}
    assert stats["targets"]["view"]["view"]["lookups"]["miss"] == 0


def test_cache_enabled_false_cannot_be_undone_while_running(app: Flask) -> None:
    """The configuration has the last word, and says so."""
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_ENABLED": False})
    with pytest.raises(CacheError, match="CACHE_ENABLED is False"):
        cache.enable()
    assert cache.enabled is False


def test_a_cache_in_the_process_is_turned_off_and_on_at_once(app: Flask, clock: Any) -> None:
    """What was stored before is there again afterwards."""
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": 1000})
    calls = Calls(app, cache)
    assert calls.once() == calls.once() == everything(1)
    cache.disable()
    cache.clear()
    assert (calls.once(), calls.once()) == (everything(2), everything(3))
    cache.enable()
    assert calls.once() == calls.once() == everything(4)
    cache.disable(timeout=60)
    assert calls.once() == everything(5)
    assert cache.enabled is False
    clock.advance(61)
    assert calls.once() == everything(5)
    assert cache.enabled is True


def test_every_worker_of_a_shared_store_follows_within_a_second() -> None:
    """One worker turns it off; another one does the same at its next look, a second later."""
    store, ticker = SharedStore(), Ticker()
    here = Calls(*cache_on(store))
    there = Calls(*cache_on(store))
    slow_switch(there.cache, ticker)
    here.once()
    ran = there.once()
    assert there.once() == ran
    here.cache.disable()
    assert here.once() == everything(2)
    ticker.now += 0.9
    assert there.once() == ran  # it does not look yet
    ticker.now += 0.2
    before = sum(ran.values())
    assert sum(there.once().values()) == before + 4
    assert sum(there.once().values()) == before + 8
    assert there.cache.enabled is False
    here.cache.enable()
    ticker.now += 1.1
    assert sum(there.once().values()) == before + 8
    assert there.cache.enabled is True


def test_looking_for_the_note_costs_no_round_trip() -> None:
    """It is asked for along with the value, at most once a second."""
    store, ticker = SharedStore(), Ticker()
    calls = Calls(*cache_on(store))
    slow_switch(calls.cache, ticker)
    calls.once()
    store.trips.clear()
    calls.once()
    assert len(store.trips) == 4
    assert not any(SWITCH_KEY in keys for keys in store.trips)
    ticker.now += 1.5
    store.trips.clear()
    calls.once()
    assert len(store.trips) == 4
    assert [SWITCH_KEY in keys for keys in store.trips] == [True, False, False, False]


def test_nothing_is_stored_by_the_call_that_finds_the_note() -> None:
    """It was under way when the cache was turned off: its value is not kept."""
    store = SharedStore()
    here, there = Calls(*cache_on(store)), Calls(*cache_on(store))
    here.cache.disable()
    there.once()
    assert [key for key in store._cache if not key.startswith("_flask_caching/")] == [
        key for key in store._cache if key.endswith("_memver")
    ]


def test_a_store_that_fails_leaves_the_cache_off() -> None:
    """Whoever turned it off meant it; asking is not worth an error."""
    store, ticker = SharedStore(), Ticker()
    calls = Calls(*cache_on(store))
    slow_switch(calls.cache, ticker)
    calls.cache.disable()
    store.broken = ConnectionError("gone")
    ticker.now += 5
    assert calls.once() == everything(1)
    with pytest.raises(BackendError, match="gone"):
        assert calls.cache.enabled
    with pytest.raises(BackendError, match="gone"):
        calls.cache.disable()


def test_threads_that_look_at_the_same_time_ask_once() -> None:
    """One of them reads the note for all."""
    ticker = Ticker()
    switch = Switch(enabled=True, shared=True, clock=ticker)
    looked = []
    threads = [threading.Thread(target=lambda: looked.append(switch.due())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= sum(looked) <= 2
    assert not switch.due()


def test_turning_it_off_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each worker says that it runs uncached from now on."""
    store = SharedStore()
    calls = Calls(*cache_on(store))
    calls.cache.disable()
    calls.cache.disable()
    calls.cache.enable()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "caching was turned off for decorated functions",
        "caching was turned on for decorated functions",
    ]
