"""``flask cache stats``, ``functions``, ``ping`` and ``config``: what can be told of each cache."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Program, run
from flask import Flask
from shared_store import SharedStore, cache_on

from flask_caching import Cache
from flask_caching.config import describe_keys

Made = tuple[Flask, Cache]


def facts(out: str) -> dict[str, str]:
    """The facts below the headline, by name."""
    lines = [line for line in out.splitlines()[1:] if line.startswith("  ")]
    return dict(line.strip().split("  ", 1) for line in lines if "  " in line.strip())


# stats.


def test_what_a_store_on_this_machine_holds(make_app: Callable[..., Made], tmp_path: Path) -> None:
    """Entries, their limit, where they are, and how the cache is set up."""
    app, cache = make_app(
        CACHE_TYPE="FileSystemCache",
        CACHE_DIR=str(tmp_path / "cache"),
        CACHE_THRESHOLD=1000,
        CACHE_DEFAULT_TIMEOUT=90,
    )
    with app.app_context():
        cache.set("one", 1)
    ran = run(app, "stats")
    assert ran.code == 0
    shown = {name: value.strip() for name, value in facts(ran.out).items()}
    assert ran.out.startswith("cache (FileSystemCache)\n")
    assert shown["caching"] == "on"
    assert shown["server"] == str(tmp_path / "cache")
    assert shown["timeout"] == "1m 30s"
    assert shown["entries"] == "1 of at most 1,000"
    assert "hit ratio" not in shown
    assert "in their metrics" in ran.err


def test_counting_the_keys_of_a_server(make_app: Any, store: dict[str, Any]) -> None:
    """``--count`` walks through them, by kind; a server says nothing of it otherwise."""
    app, cache = make_app(**store)

    @cache.memoize(timeout=60)
    def double(number: int) -> int:
        return 2 * number

    with app.app_context():
        cache.set("own", "value")
        double(1)
        double(2)
    document = run(app, "stats", "--json", "--name", "cache").document
    assert document["workers"] is None
    if store["CACHE_TYPE"] in ("RedisCache", "MemcachedCache"):
        assert document["entries"] is None
    document = run(app, "stats", "--count", "--json", "--name", "cache").document
    assert {kind: held["keys"] for kind, held in document["kinds"].items()} == {
        "other": 1,
        "memoize": 2,
        "version": 1,
    }
    assert document["entries"] == 4
    assert document["bytes"] == sum(held["bytes"] for held in document["kinds"].values()) > 0
    rows = [line.split()[:2] for line in run(app, "stats", "--count").out.splitlines()]
    assert ["memoize", "2"] in rows


def test_a_cache_that_is_off(make_app: Any, tmp_path: Path) -> None:
    """Also if another process turned it off."""
    app, cache = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"))
    with app.app_context():
        cache.disable()
    assert facts(run(app, "stats").out)["caching"].strip() == "off"
    assert run(app, "stats", "--json", "--name", "cache").document["enabled"] is False


def test_where_the_workers_numbers_are(make_app: Any) -> None:
    """The note names the endpoint that there is; and says where nothing is counted."""
    app, _ = make_app(CACHE_METRICS_PATH="/our-metrics")
    assert "is in their metrics at /our-metrics" in run(app, "stats").err
    bare, _ = make_app(CACHE_INSTRUMENTATION=None)
    assert "counts nothing, since CACHE_INSTRUMENTATION is None" in run(bare, "stats").err


SHOP = """
import os
app = Flask("shop")
cache = Cache(app, config={
    "CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "entries", "CACHE_NAME": "pages",
})

@app.route("/p/<int:id>")
@cache.cached()
def product(id):
    return f"product {id}"

@app.route("/bad/<int:id>")
@cache.cached(key_prefix="bad")
def bad(id):
    return f"bad {id}"
"""


def test_the_workers_numbers(tmp_path: Path) -> None:
    """Where workers keep them in files they are summed, targets and distinct keys too."""
    program = Program.of(tmp_path, SHOP)
    (tmp_path / "files").mkdir()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "files")}
    serve = (
        "from shop import app\n"
        "client = app.test_client()\n"
        "for id in (1, 2, 1, 1): client.get(f'/p/{id}')\n"
        "for id in (1, 2): client.get(f'/bad/{id}')\n"
    )
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", serve],
            cwd=tmp_path,
            env=program.environment(env),
            check=True,
            timeout=60,
        )
    ran = program.run("cache", "stats", "--json", env=env)
    assert ran.code == 0
    workers = ran.document["pages"]["workers"]
    assert workers["lookups"] == {"hit": 9, "miss": 3, "stale": 0, "error": 0}
    assert workers["targets"]["view"]["product"]["lookups"]["hit"] == 6
    assert workers["targets"]["view"]["product"]["distinct_keys"]["1h"] == 2
    assert workers["collisions"]["arguments"]["reported"] == 2
    assert workers["loads"]["ok"]["count"] == 3
    ran = program.run("cache", "stats", env=env)
    shown = {name: value.strip() for name, value in facts(ran.out).items()}
    assert ran.err == ""
    assert shown["hit ratio"] == "75.0 %"
    assert shown["lookups"] == "9 hit, 3 miss"
    assert shown["met another's"] == "2 arguments"
    assert shown["workers"] == "0"
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["product", "view", "8", "75.0", "%", "2"] in [row[:6] for row in rows]


def test_looking_is_not_counted(tmp_path: Path) -> None:
    """What the command itself asks does not end up in the workers' files."""
    program = Program.of(tmp_path, SHOP)
    (tmp_path / "files").mkdir()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "files")}
    for arguments in (["ping"], ["keys"], ["get", "x"], ["explain", "/p/1"], ["audit"]):
        program.run("cache", *arguments, env=env)
    workers = program.run("cache", "stats", "--json", env=env).document["pages"]["workers"]
    assert set(workers["lookups"].values()) == {0}
    counted = {
        operation: outcomes
        for operation, outcomes in workers["operations"].items()
        if any(each["count"] for each in outcomes.values())
    }
    assert counted == {}


# A store that is down.


@pytest.fixture
def dead(make_app: Any) -> Flask:
    """An application whose Redis refuses connections."""
    app, cache = make_app(CACHE_TYPE="RedisCache", CACHE_REDIS_PORT=1, CACHE_KEY_PREFIX="x:")

    @app.route("/p/<int:id>")
    @cache.cached()
    def product(id: int) -> str:
        return f"product {id}"

    return app


@pytest.mark.parametrize(
    "arguments",
    [
        "stats",
        "stats --count",
        "ping",
        "keys",
        "keys --all --json",
        "get key",
        "delete key",
        "delete --match k --yes",
        "delete --target product --yes",
        "clear --yes",
        "clear --dry-run",
        "off",
        "on",
    ],
)
def test_a_server_that_is_down(dead: Flask, arguments: str) -> None:
    """Exit code 3 in a second or two, with what went wrong and where."""
    begun = time.monotonic()
    ran = run(dead, *arguments.split())
    assert time.monotonic() - begun < 3
    assert ran.code == 3
    assert "127.0.0.1:1" in ran.err + ran.out or "localhost:1" in ran.err + ran.out
    assert "Traceback" not in ran.err


def test_a_server_that_is_down_does_not_keep_keys_from_being_explained(dead: Flask) -> None:
    """What a key is made of can be told without it; so can what is cached, and the settings."""
    for arguments in ("explain /p/1", "compare /p/1 /p/2", "functions", "config", "audit"):
        assert run(dead, *arguments.split()).code == 0
    assert "The store failed" in run(dead, "explain", "/p/1").out


def test_one_of_two_servers_is_down(dead: Flask, make_app: Any, tmp_path: Path) -> None:
    """The other cache is shown all the same; the exit code is the worst, the document has both."""
    make_app(
        app=dead,
        CACHE_NAME="files",
        CACHE_TYPE="FileSystemCache",
        CACHE_DIR=str(tmp_path / "cache"),
        CACHE_REDIS_PORT=None,
    )
    ran = run(dead, "stats", "--json")
    assert ran.code == 3
    assert "cannot be reached" in ran.document["cache"]["error"]
    assert ran.document["files"]["backend"] == "FileSystemCache"


class ClientError(Exception):
    """What a client library of somebody's raises."""


@pytest.mark.parametrize("error", [ClientError("no route"), OSError("no route")])
def test_any_clients_error_is_a_failing_store(error: Exception) -> None:
    """Whoever wrote the backend; what went wrong is told without credentials."""
    store = SharedStore()
    app, _ = cache_on(store)
    store.broken = type(error)(f"{error} to redis://user:hunter2@db")
    for arguments in ("stats", "ping", "get key", "off"):
        ran = run(app, *arguments.split())
        assert ran.code == 3
        assert "no route to redis://***@db" in ran.err + ran.out


def test_a_mistake_is_not_taken_for_a_failing_store() -> None:
    """It is shown as what it is, with its traceback."""
    store = SharedStore()
    app, _ = cache_on(store)
    store.broken = KeyError("a bug")
    with pytest.raises(KeyError, match="a bug"):
        run(app, "stats")


# ping.


def test_each_server_is_asked(make_app: Any, memcached_servers: list[Any]) -> None:
    """Of a ring of servers every one, through the connections that the decorators use."""
    addresses = [f"{each.host}:{each.port}" for each in memcached_servers]
    app, _ = make_app(CACHE_TYPE="MemcachedCache", CACHE_MEMCACHED_SERVERS=addresses)
    ran = run(app, "ping", "--json", "--name", "cache")
    assert (ran.code, ran.document["ok"]) == (0, True)
    assert {each["server"] for each in ran.document["servers"]} == {
        f"memcached at {address}" for address in addresses
    }
    for each in ran.document["servers"]:
        assert 0 < each["seconds"] <= each["first_seconds"] < 1
    shown = run(app, "ping").out
    assert [line.split()[3] for line in shown.splitlines()[2:]] == ["yes"] * 3


def test_the_server_that_does_not_answer_is_named(make_app: Any, memcached_server: Any) -> None:
    """Exit code 3; the others' answers are shown as well."""
    up = f"{memcached_server.host}:{memcached_server.port}"
    app, _ = make_app(CACHE_TYPE="MemcachedCache", CACHE_MEMCACHED_SERVERS=[up, "127.0.0.1:1"])
    ran = run(app, "ping", "--json", "--name", "cache")
    assert (ran.code, ran.document["ok"]) == (3, False)
    answers = {each["server"]: each for each in ran.document["servers"]}
    assert answers[f"memcached at {up}"]["ok"] is True
    assert answers["memcached at 127.0.0.1:1"]["ok"] is False
    assert "refused" in answers["memcached at 127.0.0.1:1"]["error"]


def test_the_nodes_of_a_cluster(make_app: Any, redis_cluster_nodes: list[Any]) -> None:
    """Each node that has keys is found and asked."""
    address = f"{redis_cluster_nodes[0].host}:{redis_cluster_nodes[0].port}"
    app, _ = make_app(CACHE_TYPE="RedisClusterCache", CACHE_REDIS_CLUSTER=address)
    ran = run(app, "ping", "--json", "--name", "cache")
    assert ran.code == 0
    ports = {each["server"].rpartition(":")[2] for each in ran.document["servers"]}
    assert ports == {str(each.port) for each in redis_cluster_nodes}


@pytest.mark.parametrize("kind", ["SimpleCache", "cachelib.SimpleCache"])
def test_a_store_without_a_server_answers_too(make_app: Any, kind: str) -> None:
    """Any store can be asked."""
    app, _ = make_app(CACHE_TYPE=kind)
    ran = run(app, "ping")
    assert ran.code == 0
    assert "SimpleCache  yes" in ran.out


# functions.


def test_what_is_cached(make_app: Any) -> None:
    """Views, helpers and memoized functions, with their routes, keys and what looks wrong."""
    app, cache = make_app()

    @app.route("/bad/<int:id>")
    @cache.cached(timeout=60, key_prefix="bad")
    def bad(id: int) -> str:
        return f"bad {id}"

    @cache.memoize(timeout=0)
    def double(number: int) -> int:
        return 2 * number

    app.extensions["kept"] = double
    ran = run(app, "functions")
    assert ran.code == 0
    view, memoized = sorted(ran.out.splitlines()[2:4], key=lambda line: "memoize" in line)
    assert "/bad/<int:id>" in view
    assert "1m" in view
    assert "key_prefix='bad'" in view
    assert "test_cli_stats.py:" in view
    assert "never" in memoized
    assert "! " in ran.out
    document = run(app, "functions", "--json").document
    kinds = {row["name"].rpartition(".")[2]: row["kind"] for row in document["cache"]}
    assert kinds == {"bad": "view", "double": "memoize"}
    assert "double" not in run(app, "functions", "--match", "bad").out


def test_nothing_is_cached(make_app: Any) -> None:
    """It is said, and no failure."""
    app, _ = make_app()
    ran = run(app, "functions")
    assert (ran.code, ran.out) == (0, "cache (SimpleCache)\n")
    assert "no function is cached by it" in ran.err
    assert run(app, "functions", "--json").document == {"cache": []}


# config.


def test_every_setting_and_where_it_is_from(make_app: Any, app: Flask) -> None:
    """What nobody set, what the application set, and what was passed to Cache."""
    app.config["CACHE_DEFAULT_TIMEOUT"] = 60
    make_app(app=app, CACHE_NAME="pages")
    settings = run(app, "config", "--json", "--name", "pages").document
    assert settings["CACHE_DEFAULT_TIMEOUT"] == {"value": 60, "from": "app.config"}
    assert settings["CACHE_NAME"] == {"value": "pages", "from": "Cache(config)"}
    assert settings["CACHE_THRESHOLD"] == {"value": 500, "from": "default"}
    assert {each.key for each in describe_keys()} <= set(settings)
    only_set = run(app, "config", "--set", "--json", "--name", "pages").document
    assert "CACHE_THRESHOLD" not in only_set
    assert "CACHE_NAME" in only_set


def test_a_setting_given_to_init_app(app: Flask) -> None:
    """Neither in app.config nor in Cache(): there is one place left."""
    Cache().init_app(app, {"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
    settings = run(app, "config", "--json", "--name", "cache").document
    assert settings["CACHE_TYPE"] == {"value": "SimpleCache", "from": "init_app(config)"}
    assert settings["CACHE_INSTRUMENTATION"] == {"value": None, "from": "init_app(config)"}


SECRETS = {
    "CACHE_MEMCACHED_USERNAME": "hunter2-a",
    "CACHE_REDIS_SENTINEL_PASSWORD": "hunter2-b",
    "CACHE_REDIS_URL": "redis://hunter2-c:hunter2-d@127.0.0.1:1/0?password=hunter2-e&db=3",
    "CACHE_OPTIONS": {"socket_timeout": 0.25, "client_name": "hunter2-f"},
    "CACHE_DEBUG_TOKEN": "hunter2-g hunter2-g hunter2-g",
}


@pytest.mark.parametrize("arguments", ["config", "config --json", "stats", "ping", "keys"])
def test_credentials_are_never_shown(make_app: Any, arguments: str) -> None:
    """Neither those of keys that may hold some, nor those in a URL; an option's name is."""
    app, _ = make_app(CACHE_TYPE="RedisCache", CACHE_KEY_PREFIX="x:", **SECRETS)
    ran = run(app, *arguments.split())
    assert "hunter2" not in ran.out + ran.err
    if arguments == "config":
        assert "redis://***@127.0.0.1:1/0?password=***&db=3" in ran.out
        assert "{'socket_timeout': '***', 'client_name': '***'}" in ran.out


def test_settings_that_are_no_data(make_app: Any) -> None:
    """A function, an object, a timedelta: named or counted, never their representation."""
    app, _ = make_app(
        CACHE_KEY_PREFIX=lambda: "tenant:", CACHE_DEFAULT_TIMEOUT=timedelta(minutes=2)
    )
    ran = run(app, "config")
    assert ran.code == 0
    assert "<lambda>" in ran.out
    document = run(app, "config", "--json", "--name", "cache").document
    assert document["CACHE_DEFAULT_TIMEOUT"]["value"] == 120
    assert document["CACHE_METRICS_REGISTRY"]["value"] == "<CollectorRegistry object>"
    assert json.dumps(document)


def test_off_and_on_as_json(make_app: Any, tmp_path: Path) -> None:
    """What the switch is now, for how long, and the sentence that a person gets."""
    app, _ = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"))
    assert run(app, "off", "--for", "15m", "--json").document["cache"] == {
        "enabled": False,
        "seconds": 900,
        "message": "cache (FileSystemCache) is off for 900 seconds.",
    }
    assert run(app, "on", "--json", "--name", "cache").document["enabled"] is True
