"""Reasons and answers that the manual names and no other test meets."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask

from flask_caching import Cache
from flask_caching.backends import BaseCache

MakeCache = Callable[..., Cache]


class Forgetful(BaseCache):
    """A store that takes everything and finds nothing."""

    def has(self, key: str) -> bool:
        return False


def test_a_store_that_loses_versions_stores_no_memoized_value(
    app: Flask, make_cache: MakeCache
) -> None:
    """It would never be found, so it is not written: reason ``no_version``."""
    cache = make_cache(CACHE_TYPE=Forgetful)
    calls = itertools.count()

    @cache.memoize()
    def read() -> int:
        return next(calls)

    assert [read(), read()] == [0, 1]
    assert cache.stats()["refusals"] == {"no_version": 2}


def test_an_add_that_finds_the_key_is_refused(app: Flask, cache: Cache) -> None:
    """Reason ``exists``."""
    assert [cache.add("key", 1), cache.add("key", 2)] == [True, False]
    assert cache.get("key") == 1
    assert cache.stats()["refusals"] == {"exists": 1}


def test_a_view_that_calls_itself_for_another_page_bypasses(app: Flask, cache: Cache) -> None:
    """Reason ``nested``: the request's path is not the other page's key."""
    calls = itertools.count()

    @app.route("/page/<int:number>")
    @cache.cached()
    def page(number: int) -> str:
        rest = page(number=number - 1) if number else ""
        return f"{number}.{next(calls)} {rest}".strip()

    client = app.test_client()
    assert [client.get("/page/2").text for _ in range(2)] == ["2.2 1.1 0.0"] * 2
    assert client.get("/page/1").text == "1.4 0.3"
    assert cache.stats()["bypasses"] == {"nested": 3}


@pytest.mark.parametrize(
    ("policy", "second"), [("report", "b.example"), ("refuse", "b.example"), ("allow", "a.example")]
)
def test_another_host_is_served_only_where_collisions_are_allowed(
    app: Flask, cache: Cache, policy: Any, second: str
) -> None:
    """A page that looked at the host is right for that host, unless the application says so."""

    @app.route("/")
    @cache.cached(collisions=policy)
    def index() -> str:
        return str(flask.request.host)

    client = app.test_client()
    assert client.get("/", base_url="http://a.example").text == "a.example"
    assert client.get("/", base_url="http://b.example").text == second


def test_a_tenant_found_before_the_view_is_told_with_vary(app: Flask, cache: Cache) -> None:
    """What ``before_request`` read is not seen; the manual says what to write then."""

    @app.before_request
    def find_tenant() -> None:
        flask.g.tenant = flask.request.host

    @app.route("/")
    @cache.cached(vary=["Host"])
    def index() -> str:
        return str(flask.g.tenant)

    client = app.test_client()
    for _ in range(2):
        for host in ("a.example", "b.example"):
            assert client.get("/", base_url=f"http://{host}").text == host
    assert cache.stats()["lookups"]["hit"] == 2


def test_a_cache_keeps_the_application_it_was_made_with() -> None:
    """Nobody else may: it is there for as long as the cache is, as in the released library."""
    cache = Cache(Flask("nobody keeps this"), config={"CACHE_TYPE": "SimpleCache"})
    gc.collect()
    cache.set("key", "value")
    assert cache.get("key") == "value"


def test_a_cache_of_a_factory_keeps_one_application(make_cache: MakeCache) -> None:
    """The others go when their owners drop them, with all that was stored for them."""
    cache = Cache()
    made = []
    for number in range(3):
        app = Flask(f"made {number}")
        cache.init_app(app, config={"CACHE_TYPE": "SimpleCache"})
        made.append(weakref.ref(app))
        del app
    gc.collect()
    assert [reference() is not None for reference in made] == [False, False, True]


def test_a_strict_key_is_explained_without_repetition(make_cache: MakeCache, app: Flask) -> None:
    """Each ingredient once, the path among them."""
    cache = make_cache(CACHE_KEY_STRATEGY="strict")

    @app.route("/page")
    @cache.cached()
    def page() -> str:
        return "page"

    names = [part.name for part in cache.explain("/page?a=1").parts]
    assert names == ["key_prefix", "method", "host", "script_root", "path", "query", "query:a"]
