"""The decorated functions: how their keys are made, how they fare, what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from flask.views import MethodView

from flask_caching import Cache
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.model import FunctionRow

MakeApp = Callable[..., tuple[Flask, Cache]]


def row_of(cache: Cache, name: str) -> FunctionRow:
    """The only row whose function's name ends like this."""
    (row,) = (row for row in Inspector(cache).functions() if row.name.endswith(f".{name}"))
    return row


def product_key(number: int) -> str:
    return f"product {number}"


# What a row says.


def test_a_view(make_app: MakeApp) -> None:
    """Where it is written, what leads to it, how it fares."""
    app, cache = make_app()

    @app.route("/page/<int:number>")
    @app.route("/p/<int:number>")
    @cache.cached(timeout=100)
    def page(number: int) -> str:
        time.sleep(0.002)
        return str(number)

    client = app.test_client()
    for path in ("/page/1", "/page/1", "/p/2"):
        client.get(path)
    row = row_of(cache, "page")
    assert (row.kind, row.endpoints, sorted(row.rules)) == (
        "view",
        ["page"],
        ["/p/<int:number>", "/page/<int:number>"],
    )
    assert row.file.endswith("test_inspector_functions.py")
    assert row.line == page.uncached.__code__.co_firstlineno
    assert (row.methods, row.timeout_seconds) == (["GET", "HEAD"], 100)
    assert (row.counts.hits, row.counts.misses) == (1, 2)
    assert row.counts.hit_ratio == pytest.approx(1 / 3)
    assert (row.mean_load_seconds or 0) >= 0.002
    assert row.saved_seconds >= 0.002
    assert row.distinct_keys == {"5m": 2, "1h": 2}
    assert (row.key, row.options, row.warnings) == ("key_prefix='view/%s'", [], [])


def test_a_helper_and_a_memoized_function(make_app: MakeApp) -> None:
    """No routes, and no request methods."""
    app, cache = make_app(CACHE_DEFAULT_TIMEOUT=77)

    @cache.cached(key_prefix="helper")
    def helper() -> str:
        return "helped"

    @cache.memoize(args_to_ignore=["unused"])
    def memoized(one: int, *, two: int = 2, unused: Any = None) -> int:
        return one + two

    with app.app_context():
        helper()
        helper()
        memoized(1)
    row = row_of(cache, "helper")
    assert (row.kind, row.endpoints, row.rules, row.methods) == ("helper", [], [], [])
    assert (row.counts.hits, row.counts.misses, row.timeout_seconds) == (1, 1, 77)
    row = row_of(cache, "memoized")
    assert (row.kind, row.counts.misses) == ("memoize", 1)
    assert row.key == "its arguments (one, two), args_to_ignore=['unused']"
    assert row.options == []


def test_a_class_of_views(make_app: MakeApp) -> None:
    """Each of its decorated methods."""
    app, cache = make_app()

    class Pages(MethodView):
        @cache.cached(query_string=True)
        def get(self) -> str:
            return "got"

        @cache.cached(methods=["POST"])
        def post(self) -> str:
            return "posted"

    app.add_url_rule("/pages", view_func=Pages.as_view("pages"))
    row = row_of(cache, "get")
    assert (row.kind, row.endpoints) == ("view", ["pages"])
    assert row.key == "key_prefix='view/%s', query_string=True"
    assert row_of(cache, "post").methods == ["POST"]


@pytest.mark.parametrize(
    ("options", "key", "others"),
    [
        ({}, "key_prefix='view/%s'", []),
        ({"key_prefix": "v/%s"}, "key_prefix='v/%s'", []),
        (
            {"query_string": ("page", "sort"), "vary": ["Accept-Language", "cookie:theme"]},
            "key_prefix='view/%s', query_string=['page', 'sort'], "
            "vary=['Accept-Language', 'cookie:theme']",
            [],
        ),
        ({"ignore_query": ["utm"]}, "key_prefix='view/%s', ignore_query=['utm']", []),
        (
            {"make_cache_key": product_key, "timeout": 5},
            "make_cache_key=test_inspector_functions.product_key",
            [],
        ),
        ({"make_cache_key": lambda number: "x"}, "make_cache_key=lambda", []),
        (
            {"key_prefix": product_key, "unless": product_key, "cache_none": True},
            "key_prefix=test_inspector_functions.product_key",
            ["unless=test_inspector_functions.product_key", "cache_none=True"],
        ),
        (
            {"methods": ["GET", "POST"], "collisions": "refuse"},
            "key_prefix='view/%s'",
            ["methods=['GET', 'HEAD', 'POST']", "collisions='refuse'"],
        ),
    ],
)
def test_keys_and_options_as_one_would_write_them(
    options: dict[str, Any], key: str, others: list[str], make_app: MakeApp
) -> None:
    """Only what is not the default, the key apart from the rest."""
    app, cache = make_app()
    view = cache.cached(**options)(lambda number: str(number))
    app.add_url_rule("/x/<int:number>", "x", view)
    row = row_of(cache, "<lambda>")
    assert (row.key, row.options) == (key, others)


def test_a_key_maker_that_was_assigned_later(make_app: MakeApp) -> None:
    """It is what the key is made by, whatever the decorator says."""
    app, cache = make_app()

    @app.route("/page/<int:number>", methods=["GET", "POST"])
    @cache.cached(key_prefix="page/%s")
    def page(number: int) -> str:
        return str(number)

    page.make_cache_key = product_key
    row = row_of(cache, "page")
    assert row.key == "page.make_cache_key = test_inspector_functions.product_key"
    assert row.methods == ["GET", "HEAD", "POST"]


def test_the_strategy_is_part_of_how_a_key_is_made(make_app: MakeApp) -> None:
    """Under strict a key depends on more than the decorator says."""
    app, cache = make_app(CACHE_KEY_STRATEGY="strict")
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "x", view)
    assert row_of(cache, "<lambda>").key == "key_prefix='view/%s', CACHE_KEY_STRATEGY=\"strict\""


def test_what_is_no_python_function_has_no_line(make_app: MakeApp) -> None:
    """A builtin can be cached as well."""
    _, cache = make_app()
    cached = cache.memoize()(len)
    row = row_of(cache, "len")
    assert (row.file, row.line) == ("", None)
    del cached


def test_without_instrumentation_the_functions_are_listed(make_app: MakeApp) -> None:
    """Their counts are zero, and there is no ratio."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "x", view)
    app.test_client().get("/x")
    row = row_of(cache, "<lambda>")
    assert (row.counts.hits, row.counts.misses, row.counts.hit_ratio) == (0, 0, None)
    assert row.mean_load_seconds is None


def test_functions_of_several_caches_are_apart(make_app: MakeApp) -> None:
    """Each cache lists its own."""
    app, one = make_app(CACHE_NAME="one")
    _, two = make_app(app, CACHE_NAME="two")
    kept = [one.memoize()(product_key), two.cached()(row_of)]
    assert [row.kind for row in Inspector(one).functions()] == ["memoize"]
    assert [row.kind for row in Inspector(two).functions()] == ["helper"]
    del kept


# What is wrong.


def warnings(cache: Cache, name: str = "<lambda>") -> str:
    return " ".join(row_of(cache, name).warnings)


def test_a_constant_prefix_on_a_dynamic_rule(make_app: MakeApp) -> None:
    """Every product would get the first one's page; it is said how to write it."""
    app, cache = make_app()
    view = cache.cached(key_prefix="product")(lambda number: str(number))
    app.add_url_rule("/product/<int:number>", "product", view)
    assert "one key for every number of /product/<int:number>" in warnings(cache)
    assert "key_prefix='product/%s'" in warnings(cache)


@pytest.mark.parametrize(
    "options",
    [
        {"key_prefix": "product/%s"},
        {"key_prefix": lambda: "x"},
        {"key_prefix": "product", "make_cache_key": product_key},
    ],
)
def test_prefixes_that_are_not_constant(options: dict[str, Any], make_app: MakeApp) -> None:
    """Nothing is said about those, since they may be right."""
    app, cache = make_app()
    view = cache.cached(**options)(lambda number: str(number))
    app.add_url_rule("/product/<int:number>", "product", view)
    assert warnings(cache) == ""


def test_a_constant_prefix_under_the_strict_strategy(make_app: MakeApp) -> None:
    """The path is part of every key there."""
    app, cache = make_app(CACHE_KEY_STRATEGY="strict")
    view = cache.cached(key_prefix="product")(lambda number: str(number))
    app.add_url_rule("/product/<int:number>", "product", view)
    assert warnings(cache) == ""


def test_a_constant_prefix_of_two_pages(make_app: MakeApp) -> None:
    """They may be the same page; if not, it is said how to write it."""
    app, cache = make_app()
    view = cache.cached(key_prefix="page")(lambda: "x")
    app.add_url_rule("/one", "one", view)
    app.add_url_rule("/two", "two", view)
    assert "one key for /one and /two" in warnings(cache)


@pytest.mark.filterwarnings("ignore:.*put @cache.cached.*below:UserWarning")
def test_a_cache_above_its_route(make_app: MakeApp) -> None:
    """The route leads past it."""
    app, cache = make_app()

    @cache.cached()
    @app.route("/x")
    def above() -> str:
        return "x"

    assert "leads past its cache" in warnings(cache, "above")
    assert "below @app.route()" in warnings(cache, "above")


def test_a_cache_that_never_serves_its_routes_methods(make_app: MakeApp) -> None:
    """A view for POST alone, cached for GET alone."""
    app, cache = make_app()
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "x", view, methods=["POST"])
    assert "never cached" in warnings(cache)
    assert "methods=" in warnings(cache)


def test_a_helper_under_the_requests_path(make_app: MakeApp) -> None:
    """Two of them in one request would share a key."""
    app, cache = make_app()

    @cache.cached()
    def helper() -> str:
        return request.path

    app.add_url_rule("/plain", "plain", lambda: helper())
    assert "key_prefix='...'" in warnings(cache, "helper")
