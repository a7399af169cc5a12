"""``flask cache off`` and ``on``: the switch for all workers, from a terminal."""

from __future__ import annotations

import click
import pytest
from flask import Flask
from flask.cli import AppGroup
from shared_store import SharedStore, cache_on

from flask_caching import Cache
from flask_caching_instrumentation.cli import cache as command


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    """Run ``flask cache ...``; its exit code, and all it printed."""
    result = app.test_cli_runner().invoke(command, arguments)
    return result.exit_code, result.output


@pytest.fixture
def store() -> SharedStore:
    return SharedStore()


def test_off_and_on(store: SharedStore) -> None:
    """Another process on the same store runs uncached, and cached again."""
    app, _ = cache_on(store)
    _, worker = cache_on(store)
    assert worker.enabled
    assert run(app, "off") == (0, "cache (SharedStore) is off, until `flask cache on`.\n")
    assert not worker.enabled
    assert run(app, "on") == (0, "cache (SharedStore) is on.\n")
    assert worker.enabled


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)]
)
def test_off_for_a_while(store: SharedStore, clock, text: str, seconds: int) -> None:
    """It comes back by itself, so nobody has to remember."""
    app, _ = cache_on(store)
    _, worker = cache_on(store)
    code, printed = run(app, "off", "--for", text)
    assert (code, printed) == (0, f"cache (SharedStore) is off for {seconds} seconds.\n")
    clock.advance(seconds - 1)
    assert not worker.enabled
    clock.advance(2)
    assert worker.enabled


@pytest.mark.parametrize("text", ["soon", "-5", "0", "m", ""])
def test_what_is_no_duration(store: SharedStore, text: str) -> None:
    """The message says what can be written, and nothing is turned off."""
    app, cache = cache_on(store)
    code, printed = run(app, "off", "--for", text)
    assert code == 2
    assert "write 90, 90s, 15m, 2h or 1d" in printed
    assert cache.enabled


def test_one_of_several_caches(store: SharedStore) -> None:
    """All of them, or the one that is named."""
    app, first = cache_on(store, CACHE_NAME="pages")
    other = SharedStore()
    second = Cache(
        app,
        config={
            "CACHE_TYPE": lambda *_: other,
            "CACHE_NAME": "data",
            "CACHE_INSTRUMENTATION": None,
        },
    )
    with app.app_context():
        assert run(app, "off", "--name", "data") == (
            0,
            "data (SharedStore) is off, until `flask cache on`.\n",
        )
        assert (first.enabled, second.enabled) == (True, False)
        code, printed = run(app, "off", "--name", "date")
        assert (code, printed) == (
            2,
            "this application has no cache called 'date'; it has data, pages\n",
        )
        assert run(app, "off")[0] == 0
        assert (first.enabled, second.enabled) == (False, False)


def test_a_cache_that_lives_in_the_workers_cannot_be_reached(app: Flask) -> None:
    """It says so, and what to do instead."""
    Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    code, printed = run(app, "off")
    assert code == 2
    assert "inside each worker" in printed
    assert "CACHE_ENABLED = False" in printed


def test_an_application_without_a_cache(app: Flask) -> None:
    """Nothing to turn off is a mistake of whoever asked."""
    assert run(app, "on") == (2, "this application has no cache; call cache.init_app(app)\n")


def test_a_store_that_is_down(store: SharedStore) -> None:
    """Exit code 3, and what that means for the application."""
    app, _ = cache_on(store)
    store.broken = ConnectionError("gone")
    code, printed = run(app, "off")
    assert code == 3
    assert "gone" in printed
    assert "run uncached anyway" in printed


def test_on_says_that_the_configuration_keeps_it_off(store: SharedStore) -> None:
    """``flask cache on`` cannot undo CACHE_ENABLED = False."""
    app, _ = cache_on(store, CACHE_ENABLED=False)
    code, printed = run(app, "on")
    assert code == 2
    assert "CACHE_ENABLED is False" in printed


def test_one_cache_that_fails_leaves_none_of_the_others_on(store: SharedStore) -> None:
    """All are turned off that can be; the exit code is that of the worst."""
    app, last = cache_on(store, CACHE_NAME="last")
    states = app.extensions["flask_caching"]
    shared = states.pop(last)
    Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_NAME": "first"})
    broken = SharedStore()
    broken.broken = ConnectionError("gone")
    Cache(
        app,
        config={
            "CACHE_TYPE": lambda *_: broken,
            "CACHE_NAME": "broken",
            "CACHE_INSTRUMENTATION": None,
        },
    )
    states[last] = shared
    code, printed = run(app, "off")
    assert code == 3
    assert "last (SharedStore) is off" in printed
    with app.app_context():
        assert not last.enabled


def test_a_cache_that_the_configuration_keeps_off_says_so(store: SharedStore) -> None:
    """Not that ``flask cache on`` would turn it on."""
    app, _ = cache_on(store, CACHE_ENABLED=False)
    assert run(app, "off") == (0, "cache (SharedStore) is off: CACHE_ENABLED is False.\n")


def test_the_applications_own_group_is_not_hidden(store: SharedStore) -> None:
    """``flask cache clear`` of an application goes on working, and is listed beside ours."""
    app, _ = cache_on(store)
    group = AppGroup("cache")

    @group.command("clear")
    def clear() -> None:
        """Forget everything."""
        click.echo("cleared")

    app.cli.add_command(group)
    assert run(app, "clear") == (0, "cleared\n")
    assert run(app, "off")[0] == 0
    assert all(name in run(app, "--help")[1] for name in ("clear", "off", "on"))
