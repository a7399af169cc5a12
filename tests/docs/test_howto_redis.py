"""The page about Redis in production: its user may do what the cache does, and nothing else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template_string
from prometheus_client import CollectorRegistry
from servers import RedisServer, find_redis62, wait_until

from flask_caching import BackendError, Cache
from flask_caching.backends.base import iter_keys
from flask_caching_instrumentation.cli import cache as commands

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "redis-in-production.md").read_text(encoding="utf-8")

#: What a user needs beside the page's line, by the setting that needs it.
MORE = {"CACHE_METRICS_SHARED_KEYS": {"pfadd", "pfcount"}, "another database": {"select"}}


def configuration() -> dict[str, str]:
    """The directives of ``redis.conf`` on the page; of two users the last."""
    [block] = re.findall(r"^```conf\n# redis\.conf\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" ") for line in block.splitlines() if line]
    return {name: value for name, _, value in lines}


def rules() -> list[str]:
    """The rules of the user ``shop``."""
    name, *rules = configuration()["user"].split()
    assert name == "shop"
    return rules


def allowed() -> set[str]:
    """The commands that the user may send."""
    return {rule[1:] for rule in rules() if rule.startswith("+")}


def in_table() -> set[str]:
    """The commands in the page's table."""
    rows = re.findall(r"^\| ((?:`[a-z\\|]+` ?)+) \| ", PAGE, re.MULTILINE)
    return {word.replace("\\", "") for row in rows for word in re.findall(r"`([^`]+)`", row)}


def login(server: RedisServer, *more: str) -> str:
    """The address of a server whose user is the page's, and nobody else; counts from here."""
    server.cli("ACL", "SETUSER", "shop", *rules(), *more)
    server.cli("CONFIG", "RESETSTAT")
    server.cli("ACL", "LOG", "RESET")
    return f"redis://shop:change-me@{server.host}:{server.port}/0"


def sent_to(server: RedisServer) -> set[str]:
    """The commands that were run, scripts' own included."""
    stats = server.info("commandstats")
    sent = {
        name.removeprefix("cmdstat_") for name in stats if not stats[name].startswith("calls=0,")
    }
    # Redis 6.2 does not tell subcommands apart.
    return sent - {"memory"} | {"memory|usage"} if "memory" in sent else sent


def make(url: str, **config: Any) -> tuple[Flask, Cache]:
    app = Flask("shop")
    app.config.update(
        SECRET_KEY="the same in all workers",
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=url,
        CACHE_KEY_PREFIX="shop/",
        CACHE_SERIALIZER="signed",
        CACHE_SINGLE_FLIGHT="distributed",
        CACHE_METRICS_PATH="/metrics",
        # Counts of applications before this one would go on.
        CACHE_METRICS_REGISTRY=CollectorRegistry(),
    )
    app.config.update(config)
    return app, Cache(app)


def use_decorators(app: Flask, cache: Cache) -> None:
    """Views, functions and fragments: loads, hits, locks and deletions."""

    @app.get("/article/<int:number>")
    @cache.cached(timeout=60)
    def article(number: int) -> Any:
        # The second is not stored, so that its lock has to be given back.
        return f"article {number}", 200 if number == 1 else 500

    @cache.memoize(timeout=60)
    def total(year: int) -> dict[str, int]:
        time.sleep(0.02)
        return {"year": year}

    @cache.memoize(timeout=0)
    def for_ever(year: int) -> int:
        return year

    client = app.test_client()
    for number in (1, 1, 2, 2):
        client.get(f"/article/{number}")
    with app.app_context():
        for year in (1, 1, 2):
            assert (total(year), for_ever(year)) == ({"year": year}, year)
        at_once(app, lambda: total(3))
        cache.delete_memoized(total, 1)
        cache.delete_memoized(total)
        cache.delete_memoized_verhash(for_ever)
        assert total(1) == {"year": 1}
        assert cache.delete_cached(article, number=1) is True
        for _ in range(2):
            assert render_template_string("{% cache 60, 'x' %}y{% endcache %}") == "y"
    client.get("/article/1")


def at_once(app: Flask, call: Callable[[], object]) -> None:
    """Call it from several threads."""

    def work() -> None:
        with app.app_context():
            call()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def use_values(cache: Cache) -> None:
    """Every operation on values, the switch, listings, clearing."""
    assert cache.set("a", 1) is True
    assert cache.set("b", {"x": 1}, timeout=0) is True
    assert cache.add("c", 1) is True
    assert (cache.get("a"), cache.has("a")) == (1, True)
    assert cache.get_many("a", "b") == [1, {"x": 1}]
    assert cache.get_dict("a", "c") == {"a": 1, "c": 1}
    assert cache.set_many({"m": 1, "n": "x"}) == ["m", "n"]
    assert (cache.inc("number"), cache.dec("number")) == (1, 0)
    assert cache.get_or_set("made", lambda: 3) == 3
    assert 0 < (cache.ttl("a") or 0) <= 300
    assert [cache.touch("a", seconds) for seconds in (5, 0, -1)] == [True, True, True]
    assert cache.delete("c") is True
    assert cache.delete_many("m", "b") == ["m", "b"]
    assert cache.unlink("n") == ["n"]
    cache.disable(30)
    assert cache.enabled is False
    cache.enable()
    assert "number" in {info.key for info in iter_keys(cache.cache)}
    assert all(info.size for info in iter_keys(cache.cache))
    assert cache.clear() is True


def use_commands(app: Flask) -> None:
    """Whatever the command line asks a store."""
    runner = app.test_cli_runner()
    app.test_client().get("/article/1")
    for line in (
        *(
            "ping",
            "keys --all",
            "get view//article/1 --meta",
            "stats --count",
            "off --for 1m",
            "on",
        ),
        *("delete view//article/1", "delete --match memo --yes", "delete --target article --yes"),
        *("explain /article/1", "functions", "config", "audit", "clear --yes"),
    ):
        result = runner.invoke(commands, line.split())
        assert result.exit_code == 0, f"flask cache {line}: {result.output}"


@pytest.fixture(params=["newest", "6.2"])
def server(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> RedisServer:
    """A Redis of this test's own, of the newest and of the oldest version."""
    binary = find_redis62() if request.param == "6.2" else None
    started: RedisServer = start_server(RedisServer, binary=binary)
    return started


def refused(server: RedisServer) -> set[str]:
    """Commands that the server did not permit; a client introduces itself where it may."""
    lines = server.cli("ACL", "LOG").splitlines()
    named = {after for line, after in pairwise(lines) if line == "object"}
    return named - {"client", "client|setinfo"}


def test_the_user_may_do_what_the_cache_does_and_nothing_else(server: RedisServer) -> None:
    """Each public operation works for the page's user, and sends all that is allowed."""
    app, cache = make(login(server))
    use_decorators(app, cache)
    with app.app_context():
        use_values(cache)
    use_commands(app)

    assert refused(server) == set()
    scraped = app.test_client().get("/metrics").text
    errors = re.findall(r"^flask_caching_errors_total\{.*\} (.*)$", scraped, re.MULTILINE)
    assert {float(number) for number in errors} == {0.0}
    assert allowed() - sent_to(server) == set()


@pytest.mark.parametrize("command", sorted(allowed()))
def test_what_lacks_a_command_shows_as_an_error_of_permission(
    own_redis: RedisServer, command: str
) -> None:
    """Without any one of them the server refuses something that the cache sends."""
    url = login(own_redis, f"-{command}")
    app, cache = make(url, CACHE_SINGLE_FLIGHT_TIMEOUT=0.2)
    use_what_is_left(app, cache)

    assert command in refused(own_redis)
    scraped = app.test_client().get("/metrics").text
    counted = re.findall(r'^flask_caching_errors_total.*"auth".* (.*)$', scraped, re.MULTILINE)
    # The size of a key is left out of a listing, and nothing fails.
    assert (sum(map(float, counted)) > 0) == (command != "memory|usage")


def use_what_is_left(app: Flask, cache: Cache) -> None:
    """All of the above with a server that refuses a part of it."""
    with suppress(AssertionError, BackendError):
        use_decorators(app, cache)
    with suppress(AssertionError):
        use_commands(app)
    with app.app_context():
        for call in (
            lambda: cache.set("a", 1),
            lambda: cache.get_many("a", "b"),
            lambda: cache.has("a"),
            lambda: cache.inc("number"),
            lambda: cache.ttl("a"),
            lambda: cache.touch("a", 5),
            lambda: cache.touch("a", 0),
            lambda: cache.delete("a"),
            lambda: cache.unlink("a"),
            lambda: cache.clear(),
        ):
            with suppress(BackendError):
                call()


def test_shared_keys_take_two_more_commands(own_redis: RedisServer) -> None:
    """``CACHE_METRICS_SHARED_KEYS`` sends those that the table names for it, and no others."""
    extra = MORE["CACHE_METRICS_SHARED_KEYS"]
    url = login(own_redis, *(f"+{command}" for command in extra))
    app, cache = make(url, CACHE_METRICS_SHARED_KEYS=True)
    use_decorators(app, cache)

    wait_until(lambda: extra <= sent_to(own_redis), "the server counts keys", 40)
    assert refused(own_redis) == set()


def test_another_database_takes_select(own_redis: RedisServer) -> None:
    """Without it the connection is refused, with it the cache works."""
    url = login(own_redis).removesuffix("0") + "1"
    app, cache = make(url)
    with app.app_context(), pytest.raises(Exception, match="select"):
        cache.set("a", 1)
    login(own_redis, *(f"+{command}" for command in MORE["another database"]))
    again, other = make(url)
    with again.app_context():
        assert other.set("a", 1) is True


def test_the_table_explains_every_command() -> None:
    """What the line allows and what two settings need beside it, and no more."""
    assert in_table() == allowed() | set().union(*MORE.values())


def test_a_full_server_that_does_not_evict_shows_as_the_page_says(
    start_server: Callable[..., Any],
) -> None:
    """Writes are refused and counted, reads go on, and the breaker stays closed."""
    full = start_server(RedisServer, "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    app, cache = make(full.url)

    @app.get("/big/<int:number>")
    @cache.cached(timeout=60)
    def big(number: int) -> str:
        return "x" * 20_000

    client = app.test_client()
    assert {client.get(f"/big/{number}").status_code for number in range(150)} == {200}
    client.get("/big/0")
    scraped = client.get("/metrics").text

    def value(name: str, **labels: str) -> float:
        for line in scraped.splitlines():
            if line.startswith(f"flask_caching_{name}{{") and all(
                f'{label}="{wanted}"' in line for label, wanted in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"{name} {labels} is not among the metrics")

    assert value("errors_total", operation="set", error_type="other") > 0
    assert value("stores_total", target="big", result="error") > 0
    assert value("lookups_total", target="big", result="hit") == 1
    assert value("backend_up") == 1
    assert value("breaker_state", state="open") == 0
