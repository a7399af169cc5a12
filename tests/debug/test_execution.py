"""Sending requests to an application's own routes, to see what they read."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, abort, current_app, g, redirect, request, session
from servers import RedisServer

from flask_caching import Cache
from flask_caching_instrumentation import metrics_blueprint
from flask_caching_instrumentation.recording import (
    Executed,
    SentRequest,
    execute,
    plain_urls,
    recorder_of,
    start_recording,
)

Build = Callable[..., tuple[Flask, Cache]]


@pytest.fixture
def made(make_app: Build) -> tuple[Flask, Cache]:
    """An application and its cache."""
    return make_app()


@pytest.fixture
def app(made: tuple[Flask, Cache]) -> Flask:
    """The application under test."""
    return made[0]


@pytest.fixture
def cache(made: tuple[Flask, Cache]) -> Cache:
    """Its cache."""
    return made[1]


def state_of(app: Flask, cache: Cache) -> Any:
    """One application's cache."""
    return app.extensions["flask_caching"][cache]


def request_to(executed: Executed, endpoint: str, method: str = "GET") -> SentRequest:
    """The one request to an endpoint by a method."""
    (found,) = (
        each for each in executed.requests if (each.endpoint, each.method) == (endpoint, method)
    )
    return found


def test_every_route_is_sent_get_and_head(app: Flask, cache: Cache) -> None:
    """Cached or not, in the order of the routes; what is read is told by target."""

    @cache.memoize()
    def helper() -> str:
        return request.headers.get("X-Helper", "")

    @app.route("/cached")
    @cache.cached()
    def cached() -> str:
        return request.args.get("page", "") + helper()

    @app.route("/plain")
    def plain() -> str:
        return request.args.get("unseen", "") + helper()

    app.add_url_rule("/post", "post", lambda: "", methods=["POST"])
    progress: list[tuple[int, int]] = []
    executed = execute(cache, app, progress=lambda *done: progress.append(done))
    assert [(each.endpoint, each.method, each.status) for each in executed.requests] == [
        ("cached", "GET", 200),
        ("cached", "HEAD", 200),
        ("plain", "GET", 200),
        ("plain", "HEAD", 200),
    ]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    inner = ("memoize", f"{helper.__module__}.{helper.__qualname__}")
    for method in ("GET", "HEAD"):
        readings = request_to(executed, "cached", method).readings
        assert set(readings["view", "cached"].inputs) == {"query:page", "header:X-Helper"}
        assert set(readings) == {("view", "cached"), inner}
        assert set(request_to(executed, "plain", method).readings) == {inner}
    assert executed.readings["view", "cached"].loads == 2
    assert executed.readings[inner].inputs == {"header:X-Helper": 4}


def test_each_request_finds_the_caches_empty(make_app: Build) -> None:
    """All of an application: also what another of its caches has is loaded anew."""
    app, cache = make_app()
    _, other = make_app(app, CACHE_NAME="other")
    loads: list[str] = []

    @other.memoize()
    def helper() -> str:
        loads.append("helper")
        return request.args.get("helper", "")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        loads.append("index")
        return helper()

    app.test_client().get("/")
    loads.clear()
    executed = execute(cache, app)
    assert loads == ["index", "helper"] * 2
    # Only the cache that was asked about is recorded for, whatever the rest is made of.
    assert set(executed.readings) == {("view", "index")}
    assert executed.readings["view", "index"].inputs == {"query:helper": 2}


def test_the_real_store_is_neither_read_nor_written(
    make_app: Build, own_redis: RedisServer
) -> None:
    """The server is sent no command at all."""
    app, cache = make_app(
        CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=own_redis.host, CACHE_REDIS_PORT=own_redis.port
    )

    @app.route("/")
    @cache.cached()
    def index() -> str:
        cache.set("direct", 1)
        cache.delete_memoized(helper)
        return f"{cache.get('direct')} {helper()}"

    @cache.memoize()
    def helper() -> str:
        return "helper"

    assert app.test_client().get("/").text == "1 helper"

    def calls() -> dict[str, str]:
        return {
            command: numbers.partition(",")[0]
            for command, numbers in own_redis.info("commandstats").items()
            # Those are of the tool that asks.
            if command not in ("cmdstat_auth", "cmdstat_info")
        }

    assert "cmdstat_set" in (before := calls())
    executed = execute(cache, app)
    assert calls() == before
    assert executed.readings["view", "index"].loads == 2


def test_nothing_is_counted(app: Flask, cache: Cache) -> None:
    """Neither in the metrics nor by whoever records what real requests read."""
    recorder = start_recording(state_of(app, cache), 1.0)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("page", "")

    app.test_client().get("/")
    before = dict(cache.stats()), dict(recorder.readings())
    execute(cache, app)
    assert (dict(cache.stats()), dict(recorder.readings())) == before
    assert recorder_of(state_of(app, cache)) is recorder
    # And the application's observer was told of its views all the same.
    assert app.test_client().get("/").status_code == 200


class _Stop(BaseException):
    """What stops everything."""


@pytest.mark.parametrize("how", ["returns", "raises", "stops"])
def test_the_caches_are_themselves_again(app: Flask, cache: Cache, how: str) -> None:
    """Whatever a view raises; and a page that was stored is still there."""
    state, backend = state_of(app, cache), cache.cache

    @app.route("/stored")
    @cache.cached()
    def stored() -> str:
        return "stored"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        assert state_of(app, cache) is not state
        assert cache.cache is not backend
        if how == "stops":
            raise _Stop
        return str(1 // (how == "returns"))

    app.test_client().get("/stored")
    if how == "stops":
        with pytest.raises(_Stop):
            execute(cache, app)
    else:
        error = "" if how == "returns" else "ZeroDivisionError"
        assert request_to(execute(cache, app), "index").error == error
    assert state_of(app, cache) is state
    assert cache.cache is backend is app.extensions["cache"][cache]
    assert cache.has("view//stored")


@pytest.mark.parametrize("testing", [True, False])
def test_what_views_raise_is_told(
    app: Flask, cache: Cache, testing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """By its type, and what was read before it; ``app.testing`` stays what it is."""
    app.testing = testing
    caplog.set_level(logging.CRITICAL)

    @app.route("/fails")
    @cache.cached()
    def fails() -> str:
        raise LookupError(request.args.get("page"))

    @app.route("/exits")
    def exits() -> str:
        raise SystemExit(3)

    app.add_url_rule("/missing", "missing", lambda: abort(404))
    app.add_url_rule("/moved", "moved", lambda: redirect("/fails"))
    executed = execute(cache, app)
    found = {each.endpoint: (each.status, each.error) for each in executed.requests}
    assert found == {
        "fails": (500, "LookupError"),
        "exits": (500, "SystemExit"),
        "missing": (404, ""),
        "moved": (302, ""),
    }
    assert executed.readings["view", "fails"].inputs == {"query:page": 2}
    assert app.testing is testing


def test_what_is_not_the_applications_is_left_out(app: Flask, cache: Cache) -> None:
    """Static files, the metrics, the debug pages; also if the caller names them."""
    app.register_blueprint(metrics_blueprint(cache))
    for endpoint in ("flask_caching_debug.overview", "shop.static"):
        app.view_functions[endpoint] = abort
        app.url_map.add(app.url_rule_class(f"/{endpoint}", endpoint=endpoint))
    assert execute(cache, app).requests == ()
    urls = [("static", "/static/x"), ("flask_caching_debug.overview", "/")]
    assert execute(cache, app, urls=urls).requests == ()


def test_urls_of_the_callers_own(make_app: Build) -> None:
    """A path below the script root, or an absolute URL as a browser shows it; queries too."""
    app, cache = make_app(flask=None)
    app.config["APPLICATION_ROOT"] = "/shop"
    seen: list[str] = []

    @app.route("/<path:name>")
    @cache.cached()
    def page(name: str) -> str:
        seen.append(request.url)
        return request.args.get("page", "")

    execute(
        cache,
        app,
        urls=[
            ("page", "/a%20b?page=2"),
            ("page", "http://one.example/shop/c?page=3"),
            ("page", "https://two.example/d"),
        ],
    )
    assert seen[::2] == [
        "http://localhost/shop/a%20b?page=2",
        "http://one.example/shop/c?page=3",
        "https://two.example/shop/d",
    ]


def test_the_urls_of_routes_without_arguments(make_app: Build) -> None:
    """Below the script root, on the host of a subdomain, with the values of its defaults."""
    app, _ = make_app(flask={"subdomain_matching": True, "static_folder": None})
    app.config.update(SERVER_NAME="example.org", APPLICATION_ROOT="/shop")
    view = lambda **values: ""  # noqa: E731
    app.add_url_rule("/", "index", view)
    app.add_url_rule("/first", "page", view, defaults={"number": 1})
    app.add_url_rule("/page/<int:number>", "page", view)
    app.add_url_rule("/", "api", view, subdomain="api")
    app.add_url_rule("/only", "only", view, build_only=True)
    app.add_url_rule("/form", "form", view, methods=["POST"])
    assert sorted(plain_urls(app)) == [
        ("api", "http://api.example.org/shop/"),
        ("index", "http://example.org/shop/"),
        ("page", "http://example.org/shop/first"),
    ]


def test_no_request_leaves_anything_to_the_next(app: Flask, cache: Cache) -> None:
    """No cookie, no ``flask.g``, though the caller is inside of a context of its own."""
    ended: list[bool] = []

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        ended.append(hasattr(g, "count"))

    @app.route("/")
    @cache.cached()
    def index() -> Response:
        assert not hasattr(g, "count")
        assert "count" not in session
        g.count = session["count"] = 1
        return Response("", headers={"Set-Cookie": "seen=1"})

    @app.before_request
    def before() -> None:
        assert "seen" not in request.cookies
        assert request.headers["User-Agent"].startswith("Mozilla/5.0")

    with app.test_request_context("/", headers={"Cookie": "seen=1"}):
        g.count = 5
        executed = execute(cache, app)
        assert g.count == 5
        assert current_app.name == app.name
    assert [each.status for each in executed.requests] == [200, 200]
    assert ended == [True] * 3


def test_a_route_that_streams_for_ever(app: Flask, cache: Cache) -> None:
    """It is left after the beginning, and closed."""
    closed: list[bool] = []

    def events() -> Iterator[str]:
        while True:
            yield "data: x\n\n"

    @app.route("/")
    @cache.cached()
    def index() -> Response:
        response = Response(events(), mimetype="text/event-stream")
        response.call_on_close(lambda: closed.append(True))
        return response

    assert [each.status for each in execute(cache, app).requests] == [200, 200]
    assert closed == [True, True]


@pytest.mark.parametrize("config", [{"CACHE_ENABLED": False}, {"CACHE_TYPE": "NullCache"}])
def test_a_cache_that_is_off_is_looked_at_all_the_same(
    make_app: Build, config: dict[str, Any]
) -> None:
    """What its views read is what they will read when it is on."""
    app, cache = make_app(**config, CACHE_NO_NULL_WARNING=True)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("page", "")

    assert execute(cache, app).readings["view", "index"].inputs == {"query:page": 2}


def test_a_cache_that_overrides_get_and_set(app: Flask) -> None:
    """Its methods go on being called, on the private store."""
    calls: list[str] = []

    class Own(Cache):
        def get(self, key: str) -> Any:
            calls.append(f"get {key}")
            return super().get(f"own:{key}")

        def set(self, key: str, value: Any, timeout: Any = None) -> Any:
            calls.append(f"set {key}")
            return super().set(f"own:{key}", value, timeout)

    cache = Own(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("page", "")

    executed = execute(cache, app)
    assert executed.readings["view", "index"].loads == 2
    assert "set view//" in calls
    assert cache.get("view//") is None


def test_signals_are_not_sent(make_app: Build) -> None:
    """Whoever counts by them counts real requests."""
    from flask_caching.signals import cache_view_miss

    app, cache = make_app(CACHE_ENABLE_SIGNALS=True)
    sent: list[Any] = []

    def receive(sender: Any, **facts: Any) -> None:
        sent.append(facts)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return ""

    with cache_view_miss.connected_to(receive):
        execute(cache, app)
        assert sent == []
        contextvars.Context().run(app.test_client().get, "/")
        assert len(sent) == 1
