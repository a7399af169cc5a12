"""The key tester: what would become of a request, and why; without running a view."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort, g, make_response, request
from flask.views import MethodView
from servers import RedisServer

from flask_caching import Cache
from flask_caching.backends.base import EntryBackend
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.keyids import key_of
from flask_caching_instrumentation.inspection.model import Explanation, RequestSpec, plain
from flask_caching_instrumentation.timeline import start_timeline

MakeApp = Callable[..., tuple[Flask, Cache]]


def explain(cache: Cache, url: str, method: str = "GET", **fields: Any) -> Explanation:
    return Inspector(cache).explain(RequestSpec(url, method, **fields))


def add(app: Flask, cache: Cache, rule: str, view: Any = None, **options: Any) -> Any:
    """A cached view that says what it was asked for; its endpoint is ``view``."""
    methods = options.pop("route_methods", None)
    cached = cache.cached(**options)(view or (lambda **arguments: f"{arguments}"))
    app.add_url_rule(rule, "view", cached, methods=methods)
    return cached


# Hit and miss.


def test_a_miss_then_a_hit(make_app: MakeApp, store: dict[str, Any]) -> None:
    """By looking into the store, whose key it names, on every store."""
    app, cache = make_app(**store)
    add(app, cache, "/page/<int:number>", timeout=100)
    before = explain(cache, "/page/1")
    assert (before.verdict, before.exists, before.expires_in_seconds) == ("miss", False, None)
    assert "the view would run" in before.why
    app.test_client().get("/page/1")
    after = explain(cache, "/page/1")
    assert (after.verdict, after.exists) == ("hit", True)
    assert after.expires_in_seconds == pytest.approx(100, abs=5)
    assert (after.endpoint, after.rule) == ("view", "/page/<int:number>")
    assert after.arguments == {"number": "1"}
    assert key_of(after.key_id) == after.key
    assert [row.key for row in Inspector(cache).keys().rows] == [after.key]


def test_the_verdict_is_what_happens(make_app: MakeApp, store: dict[str, Any]) -> None:
    """For each of several requests in turn, whatever came before."""
    app, cache = make_app(**store)
    ran: list[str] = []

    def view(number: int) -> Any:
        ran.append(request.url)
        response = make_response(str(number))
        response.headers["Vary"] = "Accept"
        return response

    add(app, cache, "/page/<int:number>", view, query_string=["page"])
    client = app.test_client()
    for url, method, headers in (
        ("/page/1", "GET", []),
        ("/page/1", "GET", []),
        ("/page/1?page=2", "GET", []),
        ("/page/1?other=2", "GET", []),
        ("/page/1", "GET", [("Accept", "text/html")]),
        ("/page/1", "GET", [("Accept", "text/html")]),
        ("/page/1", "GET", []),
        ("/page/1", "HEAD", []),
        ("/page/3", "HEAD", []),
        ("/page/3", "GET", []),
    ):
        told = explain(cache, url, method, headers=headers)
        ran.clear()
        client.open(url, method=method, headers=headers)
        assert told.verdict == ("miss" if ran else "hit"), (url, method, headers)


def test_nothing_is_stored_after_head(make_app: MakeApp) -> None:
    """The miss says so; an entry of GET answers it."""
    app, cache = make_app()
    add(app, cache, "/x")
    assert "not be stored" in explain(cache, "/x", "HEAD").why
    app.test_client().get("/x")
    assert explain(cache, "/x", "HEAD").verdict == "hit"


def test_a_never_ending_entry(make_app: MakeApp, store: dict[str, Any]) -> None:
    """0 never expires."""
    app, cache = make_app(**store)
    add(app, cache, "/x", timeout=0)
    app.test_client().get("/x")
    told = explain(cache, "/x")
    assert (told.verdict, told.expires_in_seconds) == ("hit", 0.0)
    assert "never expires" in told.why


def test_the_entry_of_another_variant_is_a_miss(make_app: MakeApp, store: dict[str, Any]) -> None:
    """And it is said which header differs."""
    app, cache = make_app(**store)

    def view() -> Any:
        response = make_response("x")
        response.headers["Vary"] = "Accept-Language"
        return response

    add(app, cache, "/x", view)
    app.test_client().get("/x", headers={"Accept-Language": "de"})
    told = explain(cache, "/x", headers=[("Accept-Language", "fr")])
    assert (told.verdict, told.exists) == ("miss", True)
    assert "varies on accept-language" in told.why
    assert explain(cache, "/x", headers=[("Accept-Language", "de")]).verdict == "hit"


def test_a_stale_check_is_not_asked(make_app: MakeApp) -> None:
    """It would be given the value, which may have to be unpickled."""
    app, cache = make_app()
    asked: list[Any] = []
    add(app, cache, "/x", is_stale=lambda value: bool(asked.append(value)))
    app.test_client().get("/x")
    told = explain(cache, "/x")
    assert (told.verdict, asked) == ("hit", [])
    assert "is_stale()" in told.why


def test_an_entry_that_cannot_be_read_is_a_miss(
    make_app: MakeApp, redis_server: RedisServer
) -> None:
    """As it is for the view; and why."""
    redis = pytest.importorskip("redis")
    app, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=redis_server.host,
        CACHE_REDIS_PORT=redis_server.port,
        CACHE_KEY_PREFIX="unreadable:",
    )
    add(app, cache, "/x")
    client = redis.Redis(redis_server.host, redis_server.port)
    client.set("unreadable:view//x", b"nonsense")
    told = explain(cache, "/x")
    assert (told.verdict, told.exists) == ("miss", True)
    assert "cannot be read" in told.why
    client.set("unreadable:view//x", b"42")
    assert "not written by a decorator" in explain(cache, "/x").why
    client.close()


def test_a_pickle_is_no_hit_under_another_serializer(make_app: MakeApp, tmp_path: Path) -> None:
    """The entry of the release before, which used another."""
    config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "cache")}
    app, cache = make_app(**config)
    add(app, cache, "/x", lambda: {"a": 1})
    app.test_client().get("/x")
    assert explain(cache, "/x").verdict == "hit"
    app, cache = make_app(CACHE_SERIALIZER="json", CACHE_NAME="later", **config)
    add(app, cache, "/x", lambda: {"a": 1})
    assert explain(cache, "/x").verdict == "miss"
    assert "CACHE_SERIALIZER" in explain(cache, "/x").why


def test_a_stored_none(make_app: MakeApp) -> None:
    """It is a value where the decorator says so, and a miss elsewhere."""
    app, cache = make_app()
    cached = add(app, cache, "/x", lambda: "x")
    app.test_client().get("/x")
    state = cache.state()
    entry: Any = state.store.get_entry("view//x")
    state.store.set_entry("view//x", entry.replaced(entry.form, None, entry.expires_at))
    assert explain(cache, "/x").verdict == "miss"
    assert "cache_none" in explain(cache, "/x").why
    del cached


def test_a_server_that_is_down(make_app: MakeApp, own_redis: RedisServer) -> None:
    """The view would run without the cache; the key is known all the same."""
    app, cache = make_app(
        CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=own_redis.host, CACHE_REDIS_PORT=own_redis.port
    )
    add(app, cache, "/x")
    own_redis.kill()
    told = explain(cache, "/x")
    assert (told.key, told.verdict, told.exists) == ("view//x", "miss", None)
    assert "The store failed" in told.why


def test_a_memoized_view(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Its entry counts only until its values are deleted."""
    app, cache = make_app(**store)

    @app.route("/m/<int:number>")
    @cache.memoize()
    def memoized(number: int) -> str:
        return str(number)

    app.test_client().get("/m/1")
    assert explain(cache, "/m/1").verdict == "hit"
    assert explain(cache, "/m/2").verdict == "miss"
    with app.app_context():
        cache.delete_memoized(memoized)
    told = explain(cache, "/m/1")
    assert (told.verdict, told.exists) == ("miss", True)
    assert "before the function's values were deleted" in told.why


def test_a_cache_that_overrides_get_is_not_asked(make_app: MakeApp) -> None:
    """What it does with a key is its own."""

    class Mine(Cache):
        def get(self, key: str) -> Any:
            raise AssertionError("asked")

    app = Flask("mine")
    cache = Mine(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
    add(app, cache, "/x")
    told = explain(cache, "/x")
    assert (told.verdict, told.exists) == ("miss", None)
    assert "Mine overrides get() or set()" in told.why


def test_a_backend_of_others_is_asked_only_whether(make_app: MakeApp, tmp_path: Path) -> None:
    """Reading a value may unpickle it."""
    cachelib = pytest.importorskip("cachelib")
    app, cache = make_app(CACHE_TYPE=lambda *_: cachelib.SimpleCache())
    add(app, cache, "/x")
    assert explain(cache, "/x").verdict == "miss"
    app.test_client().get("/x")
    told = explain(cache, "/x")
    assert (told.verdict, told.exists) == ("hit", True)
    assert any("unpickle" in note for note in told.notes)


def test_a_key_prefix_of_the_request(make_app: MakeApp, tmp_path: Path) -> None:
    """The store is asked under the prefix that the request would have."""
    app, cache = make_app(
        CACHE_TYPE="FileSystemCache",
        CACHE_DIR=str(tmp_path / "cache"),
        CACHE_KEY_PREFIX=lambda: f"{request.host}:",
    )
    add(app, cache, "/x")
    app.test_client().get("/x", base_url="http://one.example")
    assert explain(cache, "/x", host="one.example").verdict == "hit"
    assert explain(cache, "/x", host="two.example").verdict == "miss"
    with app.test_request_context("/", base_url="http://one.example"):
        assert explain(cache, "/x", host="two.example").verdict == "miss"
        assert [row.key for row in Inspector(cache).keys().rows] == ["view//x"]


# Collisions.


@pytest.mark.parametrize(
    ("policy", "verdict"), [("report", "hit"), ("refuse", "refused"), ("allow", "hit")]
)
def test_the_entry_of_another_request(
    policy: str, verdict: str, make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Served or refused, as is configured; recognised also where the store has only hashes."""
    app, cache = make_app(CACHE_COLLISIONS=policy, **store)
    add(app, cache, "/product/<int:number>", key_prefix="product")
    app.test_client().get("/product/1")
    assert explain(cache, "/product/1").verdict == "hit"
    assert "another request" not in explain(cache, "/product/1").why
    told = explain(cache, "/product/2")
    assert told.verdict == verdict
    assert ("arguments" in told.why) == (policy != "allow")


def test_the_decorators_own_policy_counts(make_app: MakeApp) -> None:
    """More than the configuration."""
    app, cache = make_app(CACHE_COLLISIONS="refuse")
    add(app, cache, "/product/<int:number>", key_prefix="product", collisions="report")
    app.test_client().get("/product/1")
    assert explain(cache, "/product/2").verdict == "hit"


def test_an_entry_of_another_host_is_refused(make_app: MakeApp) -> None:
    """If the view looked at the host, whatever the configuration says."""
    app, cache = make_app()
    add(app, cache, "/x", lambda: request.host)
    app.test_client().get("/x", base_url="http://one.example")
    told = explain(cache, "/x", host="two.example")
    assert told.verdict == "refused"
    assert "host" in told.why
    assert explain(cache, "/x", host="one.example").verdict == "hit"
    assert explain(cache, "http://one.example/x").verdict == "hit"


def test_an_entry_of_another_query_is_a_collision_if_it_was_read(make_app: MakeApp) -> None:
    """As the view would find out."""
    app, cache = make_app(CACHE_COLLISIONS="refuse")
    add(app, cache, "/x", lambda: request.args.get("page", "1"))
    app.test_client().get("/x?page=1")
    assert explain(cache, "/x?page=2").verdict == "refused"
    assert explain(cache, "/x?page=1").verdict == "hit"


# Bypasses.


def test_a_method_that_is_not_cached(make_app: MakeApp) -> None:
    """Neither read nor stored."""
    app, cache = make_app()
    add(app, cache, "/x", route_methods=["GET", "POST"])
    told = explain(cache, "/x", "POST")
    assert (told.verdict, told.key) == ("bypass", None)
    assert "methods=" in told.why


def test_unless_and_forced_update(make_app: MakeApp) -> None:
    """Both are asked inside of the request that is asked about."""
    app, cache = make_app()
    add(
        app,
        cache,
        "/x",
        unless=lambda: request.args.get("fresh"),
        forced_update=lambda: request.headers.get("X-Update"),
    )
    app.test_client().get("/x")
    assert explain(cache, "/x").verdict == "hit"
    told = explain(cache, "/x?fresh=1")
    assert (told.verdict, told.key, told.exists) == ("bypass", "view//x", True)
    assert "unless=" in told.why
    assert told.notes == []
    told = explain(cache, "/x", headers=[("X-Update", "1")])
    assert told.verdict == "bypass"
    assert "forced_update=" in told.why


def test_a_cache_that_is_off(make_app: MakeApp, store: dict[str, Any]) -> None:
    """By configuration, or by whoever turned it off in another process."""
    app, cache = make_app(CACHE_ENABLED=False, **store)
    add(app, cache, "/x")
    assert explain(cache, "/x").verdict == "bypass"
    app, cache = make_app(CACHE_NAME="other", **store)
    add(app, cache, "/x")
    assert explain(cache, "/x").verdict == "miss"
    _, third = make_app(app, CACHE_NAME="third", **store)
    del third
    _, elsewhere = make_app(CACHE_NAME="elsewhere", **store)
    elsewhere.disable()
    off = store["CACHE_TYPE"] != "SimpleCache"
    assert (explain(cache, "/x").verdict == "bypass") == off
    elsewhere.enable()


# Errors in what the application brought.


def test_a_key_maker_that_raises(make_app: MakeApp) -> None:
    """Its error is shown; so is that the request would fail alike."""
    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=lambda: 1 / 0)
    told = explain(cache, "/x")
    assert (told.verdict, told.key) == ("no_key", None)
    assert "ZeroDivisionError: division by zero" in told.why
    assert "would fail like this" in told.why


@pytest.mark.parametrize(
    "options",
    [
        {"make_cache_key": lambda: abort(403)},
        {"unless": lambda: abort(403)},
        {"forced_update": lambda: abort(403)},
        {"key_prefix": lambda: abort(403)},
        {"vary": [lambda: abort(403)]},
        {"unless": lambda: {}["missing"]},
        {"make_cache_key": lambda: g.user},
    ],
)
def test_errors_are_shown_and_not_raised(options: dict[str, Any], make_app: MakeApp) -> None:
    """Of whatever the decorator was given."""
    app, cache = make_app()
    add(app, cache, "/x", **options)
    told = explain(cache, "/x")
    assert (told.verdict, told.key) == ("no_key", None)
    assert told.why


def test_an_error_whose_words_cannot_be_had(make_app: MakeApp) -> None:
    """It is an error of the application's own class."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def fail() -> None:
        raise Odd

    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=fail)
    assert explain(cache, "/x").verdict == "no_key"


def test_an_interruption_is_not_swallowed(make_app: MakeApp) -> None:
    """It is for the process."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=interrupt)
    with pytest.raises(KeyboardInterrupt):
        explain(cache, "/x")


def test_a_key_maker_that_wants_no_key(make_app: MakeApp) -> None:
    """The view would run uncached, which is no error."""
    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=lambda: None)
    told = explain(cache, "/x")
    assert (told.verdict, told.key) == ("no_key", None)
    assert "make_cache_key returned None" in told.why
    assert "without the cache" in told.why


# Requests that reach no cached view.


@pytest.mark.parametrize(
    ("url", "method", "status", "why"),
    [
        ("/nowhere", "GET", 404, "no route matches"),
        ("/x", "DELETE", 405, "does not accept"),
        ("/folder", "GET", 308, "redirects to"),
    ],
)
def test_what_routing_says(url: str, method: str, status: int, why: str, make_app: MakeApp) -> None:
    """Instead of a view."""
    app, cache = make_app()
    add(app, cache, "/x")
    app.add_url_rule("/folder/", "folder", lambda: "")
    told = explain(cache, url, method)
    assert (told.verdict, told.status, told.key, told.endpoint) == ("uncached", status, None, None)
    assert why in told.why
    assert (told.decorators, told.missing) == ((), ())


def test_a_view_without_a_cache(make_app: MakeApp) -> None:
    """It is said that it has none, and what else is on it."""
    app, cache = make_app()

    @app.route("/x")
    @checked
    def x() -> str:
        return "x"

    told = explain(cache, "/x")
    assert (told.verdict, told.endpoint, told.function) == ("uncached", "x", None)
    assert "not cached" in told.why
    assert [each.name.rpartition(".")[2] for each in told.decorators] == ["checked"]


def test_a_view_of_another_cache(make_app: MakeApp) -> None:
    """It is not this one's to explain."""
    app, one = make_app(CACHE_NAME="one")
    _, two = make_app(app, CACHE_NAME="two")
    add(app, one, "/x")
    assert explain(one, "/x").verdict == "miss"
    assert explain(two, "/x").verdict == "uncached"


# What is no request.


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": ""}, "not a URL"),
        ({"url": "page/1"}, "not a URL"),
        ({"url": "ftp://example/x"}, "not a URL"),
        ({"url": "javascript:alert(1)"}, "not a URL"),
        ({"url": "//example/x"}, "two slashes"),
        ({"url": "http://["}, "not a URL"),
        ({"url": "http://example:port/x"}, "not a URL"),
        ({"url": "/x\r\nHost: evil"}, "control characters"),
        ({"url": "/" + "x" * 1_000_000}, "1,000,001 characters"),
        ({"url": "/x", "method": "GE T"}, "not a request method"),
        ({"url": "/x", "method": ""}, "not a request method"),
        ({"url": "/x", "method": "X" * 100}, "not a request method"),
        ({"url": "/x", "method": "GET\n"}, None),
        ({"url": "/x", "host": "a b"}, "not a host"),
        ({"url": "/x", "host": "x\r\ny"}, "not a host"),
        ({"url": "/x", "headers": [("a b", "c")]}, "not the name of a header"),
        ({"url": "/x", "headers": [("", "c")]}, "not the name of a header"),
        ({"url": "/x", "headers": [("a", "b\r\nc: d")]}, "control characters"),
        ({"url": "/x", "headers": [("a", "x" * 100_000)]}, "longer than"),
        ({"url": "/x", "headers": [("a", "b")] * 1000}, "more than 100"),
        ({"url": "/x", "cookies": [("a;b", "c")]}, "not the name of a cookie"),
        ({"url": "/x", "cookies": [("ü", "c")]}, "not the name of a cookie"),
        ({"url": "/x", "cookies": [("a", "\x00")]}, "control characters"),
        ({"url": "/x", "body": "x" * 2_000_000}, "more than is looked at"),
        ({"url": "/x", "content_type": "a\nb"}, "control characters"),
    ],
)
def test_what_cannot_be_asked_about_is_told(
    fields: dict[str, Any], why: str | None, make_app: MakeApp
) -> None:
    """It is no error of the application's, and nothing is raised."""
    app, cache = make_app()
    add(app, cache, "/x")
    told = Inspector(cache).explain(RequestSpec(**fields))
    if why is None:
        assert told.verdict == "miss"
        return
    assert (told.verdict, told.key, told.endpoint) == ("uncached", None, None)
    assert why in told.why
    assert len(told.why) < 300
    assert len(told.request.url) < 20_000


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "/x?\x80\u202e\ud800=<script>"},
        {"url": "/x?%zz=%&=&&"},
        {"url": "/x#fragment?a=b"},
        {"url": "/x", "headers": [("X-Ü", "1")]},
        {"url": "/x", "headers": [("X-A", "ü \ud800")], "cookies": [("b", 'ü; b=c "\\')]},
        {"url": "/x", "headers": [("Cookie", "a=b"), ("cookie", "c")], "cookies": [("d", "e")]},
        {"url": "/x", "headers": [("Host", "two.example"), ("Content-Length", "-1")]},
        {"url": "/x", "headers": [("Transfer-Encoding", "chunked"), ("Content-Type", "\xff")]},
        {"url": "/x", "body": "\ud800", "content_type": "multipart/form-data; boundary="},
        {"url": "http://user:pass@example.com:80/x"},
        {"url": "/x", "method": "options"},
    ],
)
def test_odd_requests_do_no_harm(fields: dict[str, Any], make_app: MakeApp) -> None:
    """Each has an answer that is plain data."""
    app, cache = make_app()
    add(app, cache, "/x", query_string=True, vary=["X-A", "cookie:d"])
    told = Inspector(cache).explain(RequestSpec(**fields))
    assert told.why
    plain(told)


def test_headers_and_cookies_arrive_as_sent(make_app: MakeApp) -> None:
    """In the bytes that a server would have got, repeated ones as WSGI has them."""
    app, cache = make_app()
    seen: list[tuple[Any, ...]] = []

    def key() -> str:
        seen.append(
            (
                request.method,
                request.url,
                request.headers.get("X-Name"),
                request.headers.get("X-Twice"),
                dict(request.cookies),
                request.get_data(),
                request.content_type,
            )
        )
        return "key"

    add(app, cache, "/x", make_cache_key=key, route_methods=["PUT"])
    told = explain(
        cache,
        "/x?a=ü",
        "put",
        host="shop.example:8080",
        headers=[("X-Name", "ü"), ("X-Twice", "1"), ("x-twice", "2"), ("Cookie", "a=b")],
        cookies=[("theme", 'ü; "dark"')],
        body="text",
        content_type="text/plain",
    )
    assert told.key == "key"
    assert seen[0] == (
        "PUT",
        "http://shop.example:8080/x?a=ü" if "ü" in seen[0][1] else seen[0][1],
        "Ã¼",
        "1, 2",
        {"a": "b", "theme": 'ü; "dark"'},
        b"text",
        "text/plain",
    )
    assert seen[0][1].startswith("http://shop.example:8080/x?a=")


# What is not in the key.


def test_what_a_request_has_and_its_key_lacks(make_app: MakeApp) -> None:
    """Each by its name; what the key depends on is not among it."""
    app, cache = make_app()
    add(app, cache, "/x/<int:number>", query_string=["page"], vary=["Accept", "cookie:theme"])
    told = explain(
        cache,
        "/x/1?page=2&sort=up&sort=down",
        headers=[("Accept", "text/html"), ("accept-language", "de"), ("Authorization", "x y")],
        cookies=[("theme", "dark"), ("id", "7")],
    )
    assert sorted(told.missing) == [
        "cookie id",
        "header Accept-Language",
        "header Authorization",
        "host",
        "query sort",
    ]


def test_the_key_of_ones_own_is_tried_not_read(make_app: MakeApp) -> None:
    """It lowers, truncates, buckets and forgets: only asking again shows what it depends on."""

    def key(number: int, token: uuid.UUID, name: str) -> str:
        language = request.headers.get("Accept-Language", "")[:2]
        mobile = "Mobile" in request.headers.get("User-Agent", "")
        return f"{number} {name.lower()} {language} {mobile} {request.args.get('page')}"

    app, cache = make_app()
    add(app, cache, "/<int:number>/<uuid:token>/<name>", make_cache_key=key)
    told = explain(
        cache,
        f"/7/{uuid.UUID(int=1)}/Ada?page=1&q=2",
        headers=[("Accept-Language", "de-CH"), ("User-Agent", "x"), ("X-Other", "1")],
    )
    assert sorted(told.missing) == ["argument token", "header X-Other", "host", "query q"]


def test_a_constant_key_lacks_the_argument(make_app: MakeApp) -> None:
    """The mistake that everybody makes once."""
    app, cache = make_app()
    add(app, cache, "/product/<int:number>", key_prefix="product")
    assert "argument number" in explain(cache, "/product/1").missing


def test_nothing_is_said_of_what_cannot_be_tried(make_app: MakeApp) -> None:
    """An argument that has no other value, or a key maker that takes no other."""

    def key(kind: str) -> str:
        if request.args["page"] != "1":
            raise ValueError("no such page")
        return "key"

    app, cache = make_app()
    add(app, cache, "/<any(one):kind>", make_cache_key=key)
    told = explain(cache, "/one?page=1")
    assert told.key == "key"
    assert list(told.missing) == ["host"]


def test_hosts_that_routes_match_are_not_missing(make_app: MakeApp) -> None:
    """An entry made under one is never served under another."""
    app, cache = make_app(flask={"host_matching": True, "static_host": "x"})
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "view", view, host="shop.example")
    assert explain(cache, "/x", host="shop.example").missing == []


def test_a_key_under_the_strict_strategy_lacks_little(make_app: MakeApp) -> None:
    """Method, host, path and query are in it."""
    app, cache = make_app(CACHE_KEY_STRATEGY="strict")
    add(app, cache, "/x")
    assert explain(cache, "/x?a=1", cookies=[("id", "7")]).missing == ["cookie id"]


def test_asking_ends(make_app: MakeApp) -> None:
    """However slow a key maker is, and however much a request has."""

    def key() -> str:
        time.sleep(0.02)
        return "key"

    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=key)
    query = "&".join(f"p{number}=1" for number in range(90))
    begun = time.perf_counter()
    told = explain(cache, f"/x?{query}")
    assert time.perf_counter() - begun < 2
    assert told.key == "key"


# Decorators.


def checked(view: Any) -> Any:
    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def role(name: str) -> Any:
    def decorate(view: Any) -> Any:
        def inner(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        inner.__name__ = view.__name__
        return inner

    return decorate


class Counted:
    """A decorator that is a class."""

    def __init__(self, view: Any) -> None:
        functools.update_wrapper(self, view)
        self.view = view

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.view(*args, **kwargs)


def shown_decorators(told: Explanation) -> list[tuple[str, str]]:
    return [(each.name.rpartition(".")[2], each.role) for each in told.decorators]


def test_decorators_above_and_below(make_app: MakeApp) -> None:
    """By their own names, also under functools.wraps, and where they are written."""
    app, cache = make_app()

    @app.route("/x")
    @checked
    @Counted
    @cache.cached()
    @role("admin")
    @checked
    def x() -> str:
        return "x"

    told = explain(cache, "/x")
    assert shown_decorators(told) == [
        ("checked", "above"),
        ("Counted", "above"),
        ("cached", "cache"),
        ("role", "below"),
        ("checked", "below"),
    ]
    line = checked.__code__.co_firstlineno + 1
    assert told.decorators[0].where.endswith(f"test_inspector_tester.py:{line}")


def test_decorators_of_a_class(make_app: MakeApp) -> None:
    """Those of its list, and those of the member for the method."""
    app, cache = make_app()

    class Page(MethodView):
        decorators = [checked]  # noqa: RUF012

        @cache.cached()
        def get(self) -> str:
            return "got"

        @role("admin")
        def post(self) -> str:
            return "posted"

    app.add_url_rule("/x", view_func=Page.as_view("page"))
    assert shown_decorators(explain(cache, "/x")) == [("checked", "above"), ("cached", "cache")]
    assert explain(cache, "/x", "POST").verdict == "uncached"


def test_two_caches_on_one_view(make_app: MakeApp) -> None:
    """The outer one decides; the key of the inner one is told as well."""
    app, cache = make_app()

    @app.route("/x/<int:number>")
    @cache.cached(timeout=1)
    @cache.memoize(100)
    def x(number: int) -> str:
        return str(number)

    told = explain(cache, "/x/1")
    assert told.key == "view//x/1"
    assert shown_decorators(told) == [("cached", "cache"), ("memoize", "cache")]
    assert any("memo/" in note for note in told.notes)


def test_a_view_that_calls_itself(make_app: MakeApp) -> None:
    """Its closure leads back to it."""
    app, cache = make_app()

    def make() -> Any:
        def again(*args: Any, **kwargs: Any) -> str:
            return again() if args else "x"

        return again

    app.add_url_rule("/plain", "plain", make())
    app.add_url_rule("/x", "x", cache.cached()(make()))
    assert explain(cache, "/plain").decorators == []
    assert shown_decorators(explain(cache, "/x")) == [("cached", "cache")]


def test_a_plain_view_has_its_cache_only(make_app: MakeApp) -> None:
    """Whose place is that of the function."""
    app, cache = make_app()
    cached = add(app, cache, "/x")
    told = explain(cache, "/x")
    assert shown_decorators(told) == [("cached", "cache")]
    line = cached.uncached.__code__.co_firstlineno
    assert told.decorators[0].where.endswith(f":{line}")


# What is left alone.


def test_no_view_runs_and_nothing_is_counted(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Neither a view, nor its hooks, nor the metrics, nor the list of requests."""
    app, cache = make_app(**store)
    ran: list[str] = []
    app.before_request(lambda: ran.append("before"))

    def view() -> str:
        ran.append("view")
        return "x"

    add(app, cache, "/x", view, make_cache_key=lambda: str(cache.get("direct")))
    start_timeline(cache.state())
    app.test_client().get("/x")
    inspector = Inspector(cache)
    ran.clear()
    before = inspector.requests().latest
    told = inspector.explain(RequestSpec("/x?a=1&b=2"))
    assert (told.verdict, ran) == ("hit", [])
    assert inspector.requests().latest == before


def test_an_entry_that_leaves_soon_still_does(make_app: MakeApp) -> None:
    """Asking about a request is no use of its entry, where the store can be read like that."""
    app, cache = make_app(CACHE_THRESHOLD=2)
    add(app, cache, "/x/<int:number>")
    client = app.test_client()
    client.get("/x/1")
    client.get("/x/2")
    assert explain(cache, "/x/1").verdict == "hit"
    client.get("/x/3")
    assert explain(cache, "/x/1").verdict == "miss"


def test_secrets_are_hidden(make_app: MakeApp) -> None:
    """Parts of the key and arguments of the view whose names say so."""
    app, cache = make_app()
    add(app, cache, "/reset/<token>", vary=["Authorization", "cookie:session"])
    told = explain(
        cache,
        "/reset/hush",
        headers=[("Authorization", "Bearer hush")],
        cookies=[("session", "hush")],
    )
    assert told.arguments == {"token": "(hidden)"}
    values = {part.name: part.value for part in told.parts}
    assert values["header:Authorization"] == values["cookie:session"] == "(hidden)"


def test_an_argument_that_cannot_print_itself(make_app: MakeApp) -> None:
    """It is an object that a converter of the application's own made."""
    from werkzeug.routing import BaseConverter

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("not here")

    class ShyConverter(BaseConverter):
        def to_python(self, value: str) -> Any:
            return Shy()

    app, cache = make_app()
    app.url_map.converters["shy"] = ShyConverter
    add(app, cache, "/x/<shy:thing>")
    told = explain(cache, "/x/1")
    if told.key is None:
        # Werkzeug 2.0 prints the arguments itself.
        assert "RuntimeError" in told.why
        return
    assert told.key == "view//x/1"
    assert "RuntimeError" in told.arguments["thing"]


def test_inside_of_a_request_its_context_stays(make_app: MakeApp) -> None:
    """The debug page's own request, and what it keeps, are as before."""
    app, cache = make_app()
    add(app, cache, "/x")
    with app.test_request_context("/pages?q=1"):
        g.mine = "kept"
        assert explain(cache, "/x").verdict == "miss"
        assert (request.path, request.args["q"], g.mine) == ("/pages", "1", "kept")


def test_a_backend_that_fails_oddly(make_app: MakeApp) -> None:
    """Whatever it raises is what one wants to know."""

    class Odd(EntryBackend):
        def get_entry(self, key: str) -> Any:
            raise LookupError("odd")

    app, cache = make_app(CACHE_TYPE=lambda *_: Odd())
    add(app, cache, "/x")
    told = explain(cache, "/x")
    assert told.verdict == "miss"
    assert "LookupError: odd" in told.why
