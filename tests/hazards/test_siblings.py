"""Siblings of the hazards: the same mistakes in other places."""

from __future__ import annotations

import asyncio
import functools
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import flask
import freezegun
import pytest
import time_machine
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template_string,
    request,
    stream_with_context,
    url_for,
)
from flask.views import MethodView, View
from hazard_threads import Meeting, Worker, wait_until, waiters
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Request

from flask_caching import Cache, make_template_fragment_key
from flask_caching.backends.base import BaseCache
from flask_caching.keys import KeySpec, view_key

MakeCache = Callable[..., Cache]


# A view is a view however it is decorated (1, 2, 11).


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def bare(function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def with_options(function: Any) -> Any:
    def decorator(inner: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return inner(*args, **kwargs)

        return wrapper

    return decorator(function)


class Decorator:
    """A decorator written as a class, without ``update_wrapper``."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


DECORATORS: dict[str, Callable[[Any], Any]] = {
    "none": lambda function: function,
    "wraps": wrapped,
    "bare": bare,
    "nested": with_options,
    "three": lambda function: wrapped(bare(with_options(function))),
    "partial": functools.partial,
    "class": Decorator,
}


@pytest.mark.parametrize("name", DECORATORS)
def test_a_decorated_view_is_a_view(app: Flask, make_cache: MakeCache, name: str) -> None:
    """The method rule, the request's identity and HEAD hold behind any decorator."""
    cache = make_cache(CACHE_COLLISIONS="refuse")

    @cache.cached(key_prefix="constant")
    def view(id: int) -> str:
        return f"{request.method} {id}"

    app.add_url_rule("/<int:id>", "view", DECORATORS[name](view), methods=["GET", "POST"])
    client = app.test_client()
    assert client.post("/1").text == "POST 1"
    assert client.head("/1").status_code == 200
    assert client.get("/1").text == "GET 1"
    assert client.get("/2").text == "GET 2"
    assert cache.stats()["targets"]["view"].keys() == {"view"}


@pytest.mark.parametrize("name", DECORATORS)
def test_the_cache_of_a_decorated_view_is_found_by_its_url(
    app: Flask, cache: Cache, name: str
) -> None:
    """``explain`` and ``delete_cached`` see through what stands above the cache."""
    view = cache.cached()(lambda id: f"page {id}")
    app.add_url_rule("/<int:id>", "view", DECORATORS[name](view))
    app.test_client().get("/1")
    assert cache.explain("/1").key == "view//1"
    with app.app_context():
        assert cache.delete_cached(view, id=1)


def test_a_decorator_below_the_cache_is_part_of_the_view(app: Flask, cache: Cache) -> None:
    """It runs on a miss only; one above the cache runs each time."""
    ran: list[str] = []

    def noting(name: str) -> Any:
        def decorator(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                ran.append(name)
                return function(*args, **kwargs)

            return wrapper

        return decorator

    @app.route("/")
    @noting("above")
    @cache.cached()
    @noting("below")
    def index() -> str:
        return "page"

    client = app.test_client()
    client.get("/")
    client.get("/")
    assert ran == ["above", "below", "above"]


def test_methods_of_a_view_class_keep_their_own_entries(app: Flask, cache: Cache) -> None:
    """``get`` is cached, ``post`` beside it runs; another class has other entries."""
    calls = itertools.count()

    class Item(MethodView):
        def __init__(self, label: str) -> None:
            self.label = label

        @cache.cached()
        def get(self, id: int) -> str:
            return f"{self.label} {id} {next(calls)}"

        @cache.cached()
        def post(self, id: int) -> str:
            return f"posted {id} {next(calls)}"

    app.add_url_rule("/one/<int:id>", view_func=Item.as_view("one", label="one"))
    app.add_url_rule("/two/<int:id>", view_func=Item.as_view("two", label="two"))
    client = app.test_client()
    for _ in range(2):
        assert client.get("/one/1").text == "one 1 0"
    assert [client.post("/one/1").text for _ in range(2)] == ["posted 1 1", "posted 1 2"]
    assert client.get("/two/1").text == "two 1 3"
    assert client.get("/one/1").text == "one 1 0"
    assert client.head("/one/1").status_code == 200


def test_a_view_class_with_the_cache_in_its_decorators(app: Flask, cache: Cache) -> None:
    """``dispatch_request`` and ``decorators``, a class initialised once or each time."""
    calls = itertools.count()

    class Page(View):
        decorators = [cache.cached(), bare]  # noqa: RUF012
        init_every_request = False
        methods = ["GET", "POST"]  # noqa: RUF012

        def dispatch_request(self, id: int) -> str:
            return f"{request.method} {id} {next(calls)}"

    app.add_url_rule("/<int:id>", view_func=Page.as_view("page"), endpoint="page")
    client = app.test_client()
    assert [client.get("/1").text for _ in range(2)] == ["GET 1 0"] * 2
    assert client.post("/1").text == "POST 1 1"
    assert client.get("/2").text == "GET 2 2"


def test_one_function_under_two_rules(app: Flask, cache: Cache) -> None:
    """Two paths are two pages, though one function makes them."""

    @cache.cached()
    def view(name: str = "none") -> str:
        return f"{request.path} {name}"

    app.add_url_rule("/a", "a", view)
    app.add_url_rule("/b", "b", view)
    app.add_url_rule("/b/<name>", "b", view)
    client = app.test_client()
    for _ in range(2):
        assert [client.get(path).text for path in ("/a", "/b", "/b/x")] == [
            "/a none",
            "/b none",
            "/b/x x",
        ]
    assert cache.stats()["collisions"] == {}


def test_one_constant_key_under_two_endpoints_collides(app: Flask, make_cache: MakeCache) -> None:
    """For a view, the endpoint is part of who asks."""
    cache = make_cache(CACHE_COLLISIONS="refuse")
    view = cache.cached(key_prefix="same")(lambda: request.path)
    app.add_url_rule("/a", "a", view)
    app.add_url_rule("/b", "b", view)
    client = app.test_client()
    assert [client.get(path).text for path in ("/a", "/b")] == ["/a", "/b"]
    assert cache.stats()["collisions"] == {"endpoint": {"reported": 0, "refused": 1}}


def test_a_blueprint_registered_twice(app: Flask, cache: Cache) -> None:
    """One view under two prefixes, with a value that the prefix gives."""
    blueprint = Blueprint("bp", __name__)

    @blueprint.route("/page")
    @cache.cached()
    def page(lang: str) -> str:
        return lang

    app.register_blueprint(blueprint, url_prefix="/<lang>", name="localized")
    app.register_blueprint(blueprint, url_prefix="/plain", name="plain", url_defaults={"lang": "x"})
    client = app.test_client()
    for _ in range(2):
        assert [client.get(f"/{p}/page").text for p in ("en", "de", "plain")] == ["en", "de", "x"]


def test_a_value_that_a_preprocessor_takes_out_of_the_url(
    app: Flask, make_cache: MakeCache
) -> None:
    """``url_value_preprocessor`` moves it to ``g``; the path still tells the pages apart."""
    cache = make_cache(CACHE_COLLISIONS="refuse")
    app.url_value_preprocessor(lambda endpoint, values: setattr(g, "lang", values.pop("lang")))

    @app.route("/<lang>/")
    @cache.cached()
    def index() -> str:
        return str(g.lang)

    client = app.test_client()
    for _ in range(2):
        assert [client.get(f"/{lang}/").text for lang in ("en", "de")] == ["en", "de"]
    assert cache.stats()["lookups"]["hit"] == 2


def test_a_cached_view_called_by_another_view_is_a_helper(app: Flask, cache: Cache) -> None:
    """It is not what the request matched, so the request is not its identity."""

    @app.route("/inner", methods=["GET", "POST"])
    @cache.cached(key_prefix="inner")
    def inner() -> str:
        return "inner"

    @app.route("/outer", methods=["GET", "POST"])
    @cache.cached()
    def outer() -> str:
        return f"{request.method} {inner()}"

    client = app.test_client()
    assert client.get("/outer").text == "GET inner"
    assert client.post("/outer").text == "POST inner"
    assert client.get("/outer").text == "GET inner"


# Answers of all kinds (3, 4, 6, 22).


ANSWERS: dict[str, Callable[[], Any]] = {
    "text": lambda: "body",
    "bytes": lambda: b"body",
    "dict": lambda: {"a": 1},
    "tuple": lambda: ("body", 201),
    "status text": lambda: ("body", "202 Right"),
    "headers": lambda: ("body", {"X-One": "1"}),
    "pairs": lambda: ("body", 200, [("X-One", "1"), ("X-Two", "2")]),
    "dict in tuple": lambda: ({"a": 1}, 201, {"X-One": "1"}),
    "response": lambda: Response("body", 203, {"X-One": "1"}),
    "response in tuple": lambda: (Response("body"), 201, {"X-One": "1"}),
    "redirect": lambda: redirect("/elsewhere", 302),
    "not found": lambda: ("gone", 404),
    "empty": lambda: ("", 204),
    "binary": lambda: Response(bytes(range(256)), mimetype="application/octet-stream"),
    "own type": lambda: Response("body", content_type="text/x-own; charset=utf-8"),
    "no type": lambda: Response("body", headers={"Content-Type": ""}),
    "two headers of one name": lambda: Response("body", headers=[("Link", "<a>"), ("Link", "<b>")]),
    "etag": lambda: etagged(),
    "returned error": lambda: NotFound("returned"),
}
if hasattr(flask, "stream_template"):
    # Flask 2.2 began to take lists.
    ANSWERS["list"] = lambda: [1, 2]


def etagged() -> Response:
    response = Response("body")
    response.set_etag("tag")
    response.last_modified = datetime(2024, 1, 1)
    response.cache_control.max_age = 60
    return response


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_cached_answer_is_the_answer_of_the_view(app: Flask, cache: Cache, kind: str) -> None:
    """Status, headers and body, on the miss and on the hit, as without a cache."""
    app.register_error_handler(404, lambda error: ("handled", 404))
    app.add_url_rule("/plain", "plain", lambda: ANSWERS[kind]())
    calls: list[int] = []

    @app.route("/cached")
    @cache.cached()
    def cached() -> Any:
        calls.append(1)
        return ANSWERS[kind]()

    client = app.test_client()
    plain, miss, hit = (client.get(path) for path in ("/plain", "/cached", "/cached"))
    for response in (miss, hit):
        assert (response.status, response.data) == (plain.status, plain.data)
        assert list(response.headers) == list(plain.headers)
    assert calls == [1]


@pytest.mark.parametrize("handled", [False, True])
def test_an_aborted_page_goes_through_its_error_handler_each_time(
    app: Flask, cache: Cache, handled: bool
) -> None:
    """The exception is stored, not what the handler made of it for one visitor."""
    visitors = itertools.count()
    if handled:
        app.register_error_handler(404, lambda error: (f"sorry {next(visitors)}", 404))

    @app.route("/")
    @cache.cached()
    def index() -> str:
        abort(404)

    client = app.test_client()
    pages = [client.get("/") for _ in range(2)]
    assert [page.status_code for page in pages] == [404, 404]
    if handled:
        assert [page.text for page in pages] == ["sorry 0", "sorry 1"]
    assert cache.stats()["lookups"]["hit"] == 1


def test_a_helper_that_returns_an_error_returns_it(cache: Cache, in_app: Flask) -> None:
    """Only what was raised is raised."""
    helper = cache.cached(key_prefix="k")(lambda: NotFound("mine"))
    memoized = cache.memoize()(lambda: NotFound("mine"))
    for function in (helper, memoized):
        for _ in range(3):
            found = function()
            assert isinstance(found, NotFound)
            assert found.description == "mine"


def test_a_helper_that_aborts_aborts_each_time(app: Flask, cache: Cache) -> None:
    """From the cache too, for the page that calls it."""
    calls: list[int] = []

    @cache.cached(key_prefix="k")
    def helper() -> str:
        calls.append(1)
        abort(404)

    @app.route("/<name>")
    def page(name: str) -> str:
        return helper()

    client = app.test_client()
    assert [client.get(f"/{name}").status_code for name in "abc"] == [404] * 3
    assert calls == [1]


def test_a_conditional_request_is_answered_right(app: Flask, cache: Cache) -> None:
    """A 304 made by the view or by ``after_request`` never reaches one who has no copy."""

    @app.after_request
    def conditional(response: Response) -> Any:
        return response.make_conditional(request)

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        response = make_response("page")
        response.add_etag()
        return response

    client = app.test_client()
    etag = client.get("/").headers["ETag"]
    for _ in range(2):
        assert client.get("/", headers={"If-None-Match": etag}).status_code == 304
        assert client.get("/").text == "page"
        assert client.head("/", headers={"If-None-Match": etag}).status_code == 304
        assert client.get("/", headers={"If-None-Match": '"other"'}).text == "page"


# What depends on the host and the place (5).


def test_a_streamed_body_that_reads_the_host_is_not_served_under_another(
    app: Flask, cache: Cache
) -> None:
    """The body is made after the view has returned, and may read the request as well."""

    @app.route("/<how>")
    @cache.cached()
    def index(how: str) -> Any:
        def body() -> Iterator[str]:
            yield "host "
            yield request.host

        return Response(stream_with_context(body())) if how == "response" else body()

    client = app.test_client()
    for how in ("response", "generator"):
        for host in ("a.example", "b.example"):
            assert client.get(f"/{how}", base_url=f"http://{host}").text == f"host {host}"


def test_a_page_with_absolute_links_is_not_served_under_another_host(
    app: Flask, cache: Cache
) -> None:
    """``url_for(_external=True)`` puts the host into the page without reading it of the request."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return url_for("index", _external=True)

    @app.route("/template")
    @cache.cached()
    def template() -> str:
        return render_template_string("{{ url_for('index', _external=True) }}")

    client = app.test_client()
    for path in ("/", "/template"):
        for host in ("a.example", "b.example"):
            assert client.get(path, base_url=f"http://{host}").text == f"http://{host}/"


def test_a_page_with_relative_links_is_shared_between_hosts(app: Flask, cache: Cache) -> None:
    """Links without a host are right under every host."""
    calls: list[int] = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(1)
        return url_for("index")

    client = app.test_client()
    for host in ("a.example", "b.example"):
        assert client.get("/", base_url=f"http://{host}").text == "/"
    assert calls == [1]


@pytest.mark.parametrize(
    "read",
    [
        lambda: url_for("index"),
        lambda: request.script_root,
        lambda: request.root_path,
        lambda: request.url_root,
    ],
    ids=["url_for", "script_root", "root_path", "url_root"],
)
def test_a_mounted_application_keeps_its_places_apart(
    app: Flask, cache: Cache, read: Callable[[], str]
) -> None:
    """One application under two script roots: links of the one are wrong under the other."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return read()

    client = Client(DispatcherMiddleware(NotFound(), {"/one": app, "/two": app}))
    for _ in range(2):
        assert "/one" in client.get("/one/").text
        assert "/two" in client.get("/two/").text


def test_a_redirect_to_https_is_not_served_over_https(app: Flask, cache: Cache) -> None:
    """It would lead back to itself for ever."""

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        if not request.is_secure:
            return redirect("https://a.example/")
        return "secure"

    client = app.test_client()
    for _ in range(2):
        assert client.get("/", base_url="http://a.example").status_code == 302
        assert client.get("/", base_url="https://a.example").text == "secure"


@pytest.mark.parametrize(
    "read",
    [
        lambda: request.scheme,
        lambda: request.url,
        lambda: request.url_root,
        lambda: url_for("index", _external=True),
    ],
    ids=["scheme", "url", "url_root", "url_for"],
)
def test_a_page_that_shows_its_scheme_is_not_served_under_another(
    app: Flask, cache: Cache, read: Callable[[], str]
) -> None:
    """Links to http are not put into a page that was asked for over https."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return read()

    client = app.test_client()
    for scheme in ("http", "https", "http"):
        page = client.get("/", base_url=f"{scheme}://a.example")
        assert page.text.partition(":")[0] == scheme


def test_a_page_that_does_not_show_its_scheme_is_shared(app: Flask, cache: Cache) -> None:
    """One entry for both, links without a host included."""
    calls: list[int] = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(1)
        return url_for("index")

    client = app.test_client()
    for scheme in ("http", "https"):
        client.get("/", base_url=f"{scheme}://a.example")
    assert calls == [1]


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_view_behind_two_caches_that_reads_the_host(
    app: Flask, make_cache: MakeCache, inner_first: bool
) -> None:
    """What the inner cache knows of its page, the outer one knows too."""
    outer, inner = make_cache(CACHE_NAME="outer"), make_cache(CACHE_NAME="inner")

    @app.route("/")
    @outer.cached()
    @inner.cached()
    def index() -> str:
        return request.host

    client = app.test_client()
    for host in ("a.example", "b.example", "a.example"):
        assert client.get("/", base_url=f"http://{host}").text == host
        if inner_first:
            outer.clear()
        else:
            inner.clear()
    assert client.get("/", base_url="http://a.example").text == "a.example"
    assert client.get("/", base_url="http://b.example").text == "b.example"


def test_a_hit_of_the_inner_cache_makes_the_outer_entry_depend_on_the_host(
    app: Flask, make_cache: MakeCache
) -> None:
    """The view did not run, but what is stored was made by reading the host."""
    outer, inner = make_cache(CACHE_NAME="outer"), make_cache(CACHE_NAME="inner")

    @app.route("/")
    @outer.cached()
    @inner.cached()
    def index() -> str:
        return request.host

    client = app.test_client()
    assert client.get("/", base_url="http://a.example").text == "a.example"
    outer.clear()
    assert client.get("/", base_url="http://a.example").text == "a.example"
    assert client.get("/", base_url="http://b.example").text == "b.example"


def test_the_request_is_itself_again_after_a_cached_view(app: Flask, cache: Cache) -> None:
    """Watching what a view reads leaves no trace on the request, errors included."""
    kinds: list[Any] = []

    @app.before_request
    def before() -> None:
        g.kind, g.headers = type(request._get_current_object()), request.headers  # type: ignore[attr-defined]

    @app.after_request
    def after(response: Any) -> Any:
        current = request._get_current_object()  # type: ignore[attr-defined]
        kinds.append((type(current) is g.kind, current.headers is g.headers))
        return response

    app.register_error_handler(ZeroDivisionError, lambda error: "failed")

    @app.route("/<int:number>")
    @cache.cached()
    def index(number: int) -> str:
        assert isinstance(request._get_current_object(), app.request_class)  # type: ignore[attr-defined]
        return f"{1 // number} {request.host} {request.args} {request.url}"

    client = app.test_client()
    client.get("/1")
    client.get("/0")
    assert kinds == [(True, True), (True, True)]


# POST and its body (1, 11).


@pytest.fixture
def search(app: Flask, cache: Cache) -> Any:
    """A view that caches POST by its body; answers with what it was sent and a number."""
    calls = itertools.count()

    @app.route("/search", methods=["GET", "POST", "PUT"])
    @cache.cached(methods=["POST"])
    def search() -> str:
        kind = request.mimetype
        sent = request.get_json() if kind == "application/json" else request.form.to_dict()
        files = {name: file.read() for name, file in request.files.items()}
        return f"{request.method} {kind} {sent} {files} {next(calls)}"

    return app.test_client()


def test_a_body_is_part_of_the_key(search: Any) -> None:
    """The same body hits, another one does not; the view can still read it."""
    assert search.post("/search", json={"q": 1}).text.endswith("{'q': 1} {} 0")
    assert search.post("/search", json={"q": 1}).text.endswith("{'q': 1} {} 0")
    assert search.post("/search", json={"q": 2}).text.endswith("{'q': 2} {} 1")
    assert search.post("/search", data={"q": "1"}).text.endswith("{'q': '1'} {} 2")
    assert search.post("/search", data={"q": "1"}).text.endswith("{'q': '1'} {} 2")


def test_methods_with_equal_bodies_do_not_share(search: Any) -> None:
    """A method that was not listed runs; GET is not cached because POST is."""
    assert search.post("/search", data={"q": "1"}).text.endswith("0")
    assert search.put("/search", data={"q": "1"}).text.endswith("1")
    assert [search.get("/search").text[-1] for _ in range(2)] == ["2", "3"]


def test_one_body_as_two_types_is_two_requests(search: Any) -> None:
    """The same bytes mean something else under another content type, or another boundary."""
    as_form = search.post("/search", data="a=1", content_type="application/x-www-form-urlencoded")
    as_text = search.post("/search", data="a=1", content_type="text/plain")
    assert "{'a': '1'}" in as_form.text
    assert "{'a': '1'}" not in as_text.text


@pytest.mark.parametrize("how", ["form", "multipart", "file", "two files"])
def test_a_form_that_was_parsed_before_still_counts(app: Flask, search: Any, how: str) -> None:
    """CSRF protection and the like read the form in ``before_request``; its bytes are gone then."""

    @app.before_request
    def csrf() -> None:
        request.form.get("token")

    def post(value: str) -> str:
        data: dict[str, Any] = {"q": value}
        if how == "multipart":
            return str(search.post("/search", data=data, content_type="multipart/form-data").text)
        if how == "file":
            data = {"q": "1", "f": (io.BytesIO(value.encode()), "name.txt")}
        if how == "two files":
            data = {
                "one": (io.BytesIO(value.encode()), "name.txt"),
                "two": (io.BytesIO(b"same"), "name.txt"),
            }
        return str(search.post("/search", data=data).text)

    first, second, again = post("one"), post("two"), post("one")
    assert "one" in first
    assert "two" in second
    assert first != second
    # A browser chooses a new boundary for each form; the fields are what counts.
    assert again[:-1] == first[:-1]
    if how == "form":
        assert again == first


def test_a_query_is_not_part_of_a_posts_key_unless_asked(app: Flask, cache: Cache) -> None:
    """As for GET; reading it is a collision."""

    @app.route("/", methods=["POST"])
    @cache.cached(methods=["POST"], collisions="refuse")
    def index() -> str:
        return request.args["q"]

    client = app.test_client()
    assert [client.post(f"/?q={q}").text for q in "121"] == ["1", "2", "1"]


# Queries (11, 27).


def test_a_query_counts_sorted_by_name_with_its_values_in_order(app: Flask, cache: Cache) -> None:
    """``a=1&b=2`` and ``b=2&a=1`` are one page; ``a=1&a=2`` and ``a=2&a=1`` are two."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(query_string=True)
    def index() -> str:
        return str(next(calls))

    client = app.test_client()
    same = [client.get(f"/?{query}").text for query in ("a=1&b=2", "b=2&a=1", "b=2&a=1&")]
    assert same == ["0"] * 3
    queries = [
        "",
        "a",
        "b",
        "a=1",
        "a=2",
        "a=1&a=2",
        "a=2&a=1",
        "a=1%26a=2",
        "a=1&b=",
        "a=12",
        "A=1",
    ]
    numbers = [client.get(f"/?{query}").text for query in queries]
    assert len(set(numbers)) == len(queries)
    assert client.get("/").text == client.get("/?").text


def test_an_allow_list_counts_only_what_it_names(app: Flask, cache: Cache) -> None:
    """Everything else in the query is noise, on purpose: no collision."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(query_string=["page", "tag"])
    def index() -> str:
        return f"{request.args.get('page')} {request.args.get('other')} {next(calls)}"

    client = app.test_client()
    assert client.get("/?page=1&other=x").text == "1 x 0"
    assert client.get("/?other=y&page=1").text == "1 x 0"
    assert client.get("/?page=2").text == "2 None 1"
    assert client.get("/?tag=1&tag=2&page=2").text != client.get("/?tag=2&tag=1&page=2").text
    assert cache.stats()["collisions"] == {}


def test_an_ignore_list_counts_all_but_what_it_names(app: Flask, cache: Cache) -> None:
    """It implies that the query counts."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(ignore_query=["utm_source"])
    def index() -> str:
        return str(next(calls))

    client = app.test_client()
    assert [client.get(f"/?{q}").text for q in ("a=1", "a=1&utm_source=x", "utm_source=y&a=1")] == [
        "0"
    ] * 3
    assert [client.get(f"/?{q}").text for q in ("a=2", "", "utm_source=x")] == ["1", "2", "2"]


# vary= (3).


def test_vary_by_header_cookie_and_function(app: Flask, cache: Cache) -> None:
    """Each of them alone makes another entry, and all of them are cached."""
    user = {"id": 1}
    calls = itertools.count()

    @app.route("/")
    @cache.cached(vary=["Accept-Language", "cookie:theme", lambda: user["id"]])
    def index() -> str:
        return str(next(calls))

    def get(language: str | None, theme: str | None) -> str:
        headers = {} if language is None else {"Accept-Language": language}
        if theme is not None:
            headers["Cookie"] = f"theme={theme}"
        return app.test_client(use_cookies=False).get("/", headers=headers).text

    combinations = list(itertools.product([None, "", "de", "en"], [None, "", "dark", "de"]))
    numbers = [get(*combination) for combination in combinations]
    assert [get(*combination) for combination in combinations] == numbers
    assert len(set(numbers)) == len(combinations)
    user["id"] = 2
    assert get("de", "dark") not in numbers


@pytest.mark.parametrize(
    "values", [(1, "1"), (True, 1), (None, "None"), (["a"], ["b"]), ("", None)]
)
def test_vary_by_a_functions_value_is_typed(app: Flask, cache: Cache, values: Any) -> None:
    """User 1 and user "1" are different users."""
    current: list[Any] = [values[0]]

    @app.route("/")
    @cache.cached(vary=[lambda: current[0]])
    def index() -> str:
        return repr(current[0])

    client = app.test_client()
    assert client.get("/").text == repr(values[0])
    current[0] = values[1]
    assert client.get("/").text == repr(values[1])


# CACHE_KEY_STRATEGY = "strict" (5, 11).


def test_strict_keys_keep_everything_apart_and_cached(app: Flask, make_cache: MakeCache) -> None:
    """Hosts, script roots, queries and paths have entries of their own, each of them hit."""
    cache = make_cache(CACHE_KEY_STRATEGY="strict")
    calls = itertools.count()

    @app.route("/<path:path>")
    @cache.cached()
    def page(path: str) -> str:
        return str(next(calls))

    mounted = Client(DispatcherMiddleware(app, {"/mounted": app}))
    urls = [
        ("/a/b", "http://one.example"),
        ("/a/b", "http://two.example"),
        ("/a/b", "http://two.example:8080"),
        ("/mounted/a/b", "http://one.example"),
        ("/a/b?q=1", "http://one.example"),
        ("/a/b?q=2", "http://one.example"),
        ("/a", "http://one.example"),
    ]
    numbers = [mounted.get(path, base_url=base).text for path, base in urls]
    assert len(set(numbers)) == len(urls)
    assert [mounted.get(path, base_url=base).text for path, base in urls] == numbers
    assert cache.stats()["collisions"] == {}


def test_strict_keys_make_a_constant_prefix_harmless(app: Flask, make_cache: MakeCache) -> None:
    """A constant ``key_prefix`` on a dynamic route is no collision any more."""
    cache = make_cache(CACHE_KEY_STRATEGY="strict")

    @app.route("/p/<int:id>")
    @cache.cached(key_prefix="product")
    def product(id: int) -> str:
        return f"product {id}"

    client = app.test_client()
    for _ in range(2):
        assert [client.get(f"/p/{id}").text for id in (1, 2)] == ["product 1", "product 2"]
    assert cache.stats()["collisions"] == {}


def test_strict_keys_leave_helpers_alone(make_cache: MakeCache, app: Flask) -> None:
    """A helper's constant key is as constant as ever, in and out of requests."""
    cache = make_cache(CACHE_KEY_STRATEGY="strict")
    calls = itertools.count()
    helper = cache.cached(key_prefix="k")(lambda: next(calls))
    with app.test_request_context("/a"):
        assert helper() == 0
    with app.app_context():
        assert helper() == 0
    assert cache.has("k")


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cs"]))
SMALL = st.text("ab/=&#:%1", max_size=4)
NAMES = st.sampled_from(["", "a", "b", "page", "a=1", "é"])
DESCRIPTIONS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
        "host": st.sampled_from(["a.example", "b.example", "a.example:81", "ab.example"]),
        "root": st.sampled_from(["", "/a", "/a/b", "/b"]),
        "path": st.one_of(SMALL, TEXT).map(lambda text: "/" + text.lstrip("/")),
        "query": st.lists(st.tuples(NAMES, SMALL), max_size=3),
        "header": st.none() | SMALL.map(str.strip),
        "cookie": st.none() | st.text("abc1", max_size=3),
        "body": st.sampled_from([b"", b"a", b"ab"]),
    }
)


def description_request(description: dict[str, Any]) -> Request:
    headers = {}
    if description["header"] is not None:
        headers["X-Vary"] = description["header"]
    if description["cookie"] is not None:
        headers["Cookie"] = f"c={description['cookie']}"
    builder = EnvironBuilder(
        method=description["method"],
        base_url=f"http://{description['host']}{description['root']}/",
        query_string=MultiDict(description["query"]),
        headers=headers,
        data=description["body"],
    )
    environ = builder.get_environ()
    environ["PATH_INFO"] = description["path"].encode().decode("latin-1")
    return Request(environ)


def what_counts(description: dict[str, Any]) -> Any:
    """What strict keys must tell apart, in a form that compares."""
    method = "GET" if description["method"] == "HEAD" else description["method"]
    return (
        method,
        description["host"],
        description["root"],
        description["path"],
        sorted(description["query"], key=lambda pair: pair[0]),
        description["header"],
        description["cookie"],
        b"" if method == "GET" else description["body"],
    )


STRICT = KeySpec(strategy="strict", vary=("X-Vary", "cookie:c"))
BASE: dict[str, Any] = {
    "method": "GET",
    "host": "a.example",
    "root": "",
    "path": "/a/b",
    "query": [],
    "header": None,
    "cookie": None,
    "body": b"",
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DESCRIPTIONS, DESCRIPTIONS)
@example(BASE, {**BASE, "root": "/a", "path": "/b"})
@example(BASE, {**BASE, "path": "/a", "query": [("b", "")]})
@example({**BASE, "header": ""}, BASE)
@example({**BASE, "cookie": ""}, BASE)
@example({**BASE, "query": [("a", "1"), ("a", "2")]}, {**BASE, "query": [("a", "2"), ("a", "1")]})
@example({**BASE, "query": [("a", "1&b=2")]}, {**BASE, "query": [("a", "1"), ("b", "2")]})
@example({**BASE, "query": [("a", "1"), ("b", "2")]}, {**BASE, "query": [("b", "2"), ("a", "1")]})
@example({**BASE, "path": "/a#b"}, BASE)
@example({**BASE, "method": "HEAD"}, BASE)
@example({**BASE, "method": "POST"}, BASE)
def test_strict_keys_are_equal_exactly_when_the_requests_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Whatever differs makes another key, and nothing else does."""
    keys = [view_key(STRICT, description_request(description)) for description in (one, other)]
    assert (keys[0] == keys[1]) is (what_counts(one) == what_counts(other))


# Subclasses of Cache (8, 14, 16, 18).


class TenantCache(Cache):
    """Puts the current tenant before each key, as applications do."""

    tenant = staticmethod(lambda: str(getattr(g, "tenant", "none")))

    def get(self, key: str) -> Any:
        return super().get(f"{self.tenant()}:{key}")

    def set(self, key: str, value: Any, timeout: Any = None) -> bool | None:
        return super().set(f"{self.tenant()}:{key}", value, timeout)

    def delete(self, key: str) -> bool:
        return super().delete(f"{self.tenant()}:{key}")


def as_tenant(app: Flask, tenant: str, call: Callable[[], Any]) -> Any:
    with app.test_request_context("/"):
        g.tenant = tenant
        return call()


def tenant_calls(app: Flask, cache: Cache, load: Callable[[], str]) -> dict[str, Callable[[], str]]:
    def fragment() -> str:
        template = "{% cache 60, 'part' %}{{ load() }}{% endcache %}"
        return render_template_string(template, load=load)

    return {
        "memoize": cache.memoize()(lambda: load()),
        "helper": cache.cached(key_prefix="k")(lambda: load()),
        "fragment": fragment,
        "get_or_set": lambda: cache.get_or_set("key", load),
    }


TENANT_CALLS = ["memoize", "helper", "fragment", "get_or_set"]


@pytest.mark.parametrize("way", TENANT_CALLS)
def test_tenants_of_an_overriding_cache_never_mix(
    app: Flask, make_cache: MakeCache, way: str
) -> None:
    """Each tenant has its own values, and each is cached."""
    cache = make_cache(cls=TenantCache)
    calls: list[str] = []

    def load() -> str:
        calls.append(g.tenant)
        return f"of {g.tenant}"

    call = tenant_calls(app, cache, load)[way]
    for _ in range(2):
        for tenant in ("one", "two"):
            assert as_tenant(app, tenant, call) == f"of {tenant}"
    assert calls == ["one", "two"]


@pytest.mark.parametrize("way", TENANT_CALLS)
def test_tenants_that_load_at_once_never_mix(
    app: Flask, make_cache: MakeCache, meeting: Meeting, way: str
) -> None:
    """A tenant who comes while another's value is being loaded gets its own."""
    cache = make_cache(cls=TenantCache)

    def load() -> str:
        if g.tenant == "one":
            meeting.stop()
        return f"of {g.tenant}"

    call = tenant_calls(app, cache, load)[way]
    one = Worker(as_tenant, app, "one", call)
    meeting.await_arrival()
    others = [Worker(as_tenant, app, "two", call) for _ in range(3)]
    again = Worker(as_tenant, app, "one", call)
    meeting.release()
    assert [worker.result() for worker in others] == ["of two"] * 3
    assert (one.result(), again.result()) == ("of one", "of one")


def test_views_of_tenants_never_mix(app: Flask, make_cache: MakeCache) -> None:
    """The page of one tenant under one path is not the other's."""
    cache = make_cache(cls=TenantCache)
    calls: list[str] = []

    @app.before_request
    def find_tenant() -> None:
        g.tenant = request.headers["X-Tenant"]

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(g.tenant)
        return f"of {g.tenant}"

    client = app.test_client()
    for _ in range(2):
        for tenant in ("one", "two"):
            assert client.get("/", headers={"X-Tenant": tenant}).text == f"of {tenant}"
    assert calls == ["one", "two"]


@pytest.mark.parametrize("way", TENANT_CALLS)
def test_an_overriding_cache_does_not_undo_an_invalidation(
    app: Flask, make_cache: MakeCache, meeting: Meeting, way: str
) -> None:
    """The subclass's ``delete`` names the key as the store has it; the load knows its own name."""
    cache = make_cache(cls=TenantCache)
    source = {"value": "old"}

    def load() -> str:
        value = source["value"]
        if value == "old":
            meeting.stop()
        return value

    call = tenant_calls(app, cache, load)[way]
    keys = {
        "helper": "k",
        "fragment": make_template_fragment_key("part"),
        "get_or_set": "key",
    }
    loading = Worker(as_tenant, app, "one", call)
    meeting.await_arrival()
    source["value"] = "new"
    if way == "memoize":
        as_tenant(app, "one", lambda: cache.delete_memoized(call))
    else:
        as_tenant(app, "one", lambda: cache.delete(keys[way]))
    meeting.release()
    assert loading.result() == "old"
    assert as_tenant(app, "one", call) == "new"


def test_an_overriding_cache_that_changes_values_gives_them_back(
    app: Flask, make_cache: MakeCache
) -> None:
    """One that encrypts: what the store holds is not what the function returned."""

    class Reversing(Cache):
        def get(self, key: str) -> Any:
            value = super().get(key)
            return value[::-1] if isinstance(value, str) else value

        def set(self, key: str, value: Any, timeout: Any = None) -> bool | None:
            return super().set(key, value[::-1] if isinstance(value, str) else value, timeout)

    cache = make_cache(cls=Reversing)
    calls: list[int] = []

    @cache.memoize()
    def read(x: int) -> str:
        calls.append(x)
        return f"value {x}"

    for _ in range(3):
        assert read(1) == "value 1"
    cache.set("key", "abc")
    assert (cache.get("key"), cache.cache.get("key")) == ("abc", "cba")
    assert calls == [1]


# Entries as bytes, in a store of someone else's (5, 11, 22).


class Dictionary(BaseCache):
    """A third-party backend over a dictionary that several applications may share."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__()
        self.data = data

    def get(self, key: str) -> Any:
        return self.data.get(key)

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self.data[key] = value
        return True

    def delete(self, key: str) -> bool:
        return self.data.pop(key, None) is not None

    def has(self, key: str) -> bool:
        return key in self.data


def app_over(data: dict[str, Any], secret: str, calls: list[Any], **config: Any) -> Flask:
    """An application with a constant key on a dynamic route, over a shared dictionary."""
    app = Flask("shared")
    app.secret_key = secret
    cache = Cache(app, config={"CACHE_TYPE": lambda *_: Dictionary(data), **config})

    @app.route("/p/<int:id>")
    @cache.cached(key_prefix="product")
    def product(id: int) -> str:
        calls.append(id)
        return f"product {id} {request.host}"

    @app.route("/same")
    @cache.cached()
    def same() -> str:
        calls.append("same")
        return "same"

    app.extensions["own"] = cache
    return app


@pytest.mark.parametrize("policy", ["report", "refuse"])
def test_a_collision_is_found_in_another_processes_entry(policy: str) -> None:
    """The witness travels with the bytes, as keyed hashes that tell nothing."""
    data: dict[str, Any] = {}
    calls: list[Any] = []
    one = app_over(data, "secret", calls, CACHE_COLLISIONS=policy)
    two = app_over(data, "secret", calls, CACHE_COLLISIONS=policy)
    assert one.test_client().get("/p/1").text == "product 1 localhost"
    assert b"localhost" not in data["product"].replace(b"product 1 localhost", b"")
    assert two.test_client().get("/p/1").text == "product 1 localhost"
    page = two.test_client().get("/p/2").text
    assert page == ("product 2 localhost" if policy == "refuse" else "product 1 localhost")
    counts = {"reported": int(policy == "report"), "refused": int(policy == "refuse")}
    assert two.extensions["own"].stats()["collisions"] == {"arguments": counts}
    other = two.test_client().get("/p/2", base_url="http://other.example").text
    assert other == "product 2 other.example"


def test_an_entry_made_under_another_secret_is_a_miss(app: Flask) -> None:
    """Not a collision, and not an error."""
    data: dict[str, Any] = {}
    calls: list[Any] = []
    one, two = app_over(data, "one", calls), app_over(data, "two", calls)
    assert [app.test_client().get("/same").text for app in (one, two, two)] == ["same"] * 3
    assert calls == ["same", "same"]
    assert two.extensions["own"].stats()["collisions"] == {}


# Fragments (12, 32).


def test_two_unnamed_fragments_on_one_line_keep_their_texts(app: Flask, cache: Cache) -> None:
    """Their names are equal, their contents are not."""
    template = "{% cache 60 %}one{% endcache %} {% cache 60 %}two{% endcache %}"
    with app.test_request_context():
        for _ in range(3):
            assert render_template_string(template) == "one two"


def test_two_unnamed_fragments_on_one_line_are_both_cached(app: Flask, cache: Cache) -> None:
    """They do not take turns in throwing each other out."""
    calls = itertools.count()
    one, two = (f"{{% cache 60 %}}{n} {{{{ count() }}}}{{% endcache %}}" for n in ("one", "two"))
    template = f"{one} {two}"
    with app.test_request_context():
        pages = {render_template_string(template, count=lambda: next(calls)) for _ in range(3)}
    assert pages == {"one 0 two 1"}


def test_unnamed_fragments_of_two_template_strings_keep_their_texts(
    app: Flask, cache: Cache
) -> None:
    """Neither has a file name; the line is the same, and so is the text of the block."""
    template = "{% macro m() %}NAME{% endmacro %}{% cache 60 %}{{ m() }}{% endcache %}"
    with app.test_request_context():
        for _ in range(2):
            for name in ("one", "two"):
                assert render_template_string(template.replace("NAME", name)) == name


def test_fragments_of_one_name_in_two_templates_collide(app: Flask, make_cache: MakeCache) -> None:
    """Counted as kind "endpoint"; refused on request."""
    cache = make_cache(CACHE_COLLISIONS="refuse")
    with app.test_request_context():
        for text in ("one", "two"):
            template = f"{{% cache 60, 'same' %}}{text}{{% endcache %}}"
            assert render_template_string(template) == text
    assert cache.stats()["collisions"] == {"endpoint": {"reported": 0, "refused": 1}}


def test_a_fragment_is_escaped_once(app: Flask, cache: Cache) -> None:
    """Markup stays markup and text stays escaped, on the miss and on the hit."""
    template = "{% cache 60, 'part' %}<b>{{ value }}</b>{% endcache %}"
    with app.test_request_context():
        for _ in range(2):
            rendered = render_template_string(template, value="<&>")
            assert rendered == "<b>&lt;&amp;&gt;</b>"


def test_a_nested_fragment_is_cached_on_its_own(app: Flask, cache: Cache) -> None:
    """Deleting the outer one keeps the inner one."""
    calls = itertools.count()
    template = (
        "{% cache 60, 'outer' %}{{ count() }} "
        "{% cache 60, 'inner' %}{{ count() }}{% endcache %}{% endcache %}"
    )
    with app.test_request_context():
        assert render_template_string(template, count=lambda: next(calls)) == "0 1"
        cache.delete(make_template_fragment_key("outer"))
        assert render_template_string(template, count=lambda: next(calls)) == "2 1"


def test_a_fragment_in_a_loop_varies_by_its_parts(app: Flask, cache: Cache) -> None:
    """One tag, one entry for each item."""
    template = "{% for x in items %}{% cache 60, 'item', x %}{{ x }},{% endcache %}{% endfor %}"
    with app.test_request_context():
        for items in ([1, 2], [2, 1, "1"]):
            expected = "".join(f"{item}," for item in items)
            assert render_template_string(template, items=items) == expected
    assert cache.stats()["lookups"]["hit"] == 2


def test_a_fragment_with_an_undefined_part_is_cached(app: Flask, cache: Cache) -> None:
    """An optional variable that is not there counts as nothing."""
    calls = itertools.count()
    template = "{% cache 60, 'part', user %}{{ count() }}{% endcache %}"
    with app.test_request_context():
        assert [render_template_string(template, count=lambda: next(calls)) for _ in range(2)] == [
            "0",
            "0",
        ]
        assert render_template_string(template, user="x", count=lambda: next(calls)) == "1"


# Time (frozen clocks of applications' tests).


def freeze(how: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Callable[[float], Any]]:
    """A frozen clock: a context manager, and what moves it by so many seconds."""
    if how == "time_machine":
        traveller = time_machine.travel(1_800_000_000, tick=False)

        class Frozen:
            def __enter__(self) -> None:
                self.clock = traveller.start()

            def __exit__(self, *error: object) -> None:
                traveller.stop()

        frozen = Frozen()
        return frozen, lambda seconds: frozen.clock.shift(seconds)
    if how == "freezegun":
        freezer = freezegun.freeze_time("2027-01-15")

        class Freezer:
            def __enter__(self) -> None:
                self.clock = freezer.start()

            def __exit__(self, *error: object) -> None:
                freezer.stop()

        holder = Freezer()
        return holder, lambda seconds: holder.clock.tick(seconds)
    import contextlib

    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return contextlib.nullcontext(), advance


@pytest.mark.parametrize("how", ["time_machine", "freezegun", "monkeypatch"])
def test_expiry_follows_the_clock_that_a_test_froze(
    app: Flask, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Views, functions, fragments and keys expire when the test says that time has passed."""
    frozen, advance = freeze(how, monkeypatch)
    with frozen:
        cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 60})
        calls = itertools.count()

        @app.route("/")
        @cache.cached()
        def index() -> str:
            return str(next(calls))

        @cache.memoize(timeout=120)
        def read() -> int:
            return next(calls)

        client = app.test_client()
        cache.set("key", "value", timeout=30)
        assert (client.get("/").text, read(), cache.get("key")) == ("0", 1, "value")
        advance(29)
        assert (cache.ttl("key"), cache.get("key")) == (pytest.approx(1), "value")
        advance(1)
        assert cache.get("key") is None
        assert client.get("/").text == "0"
        advance(30)
        assert client.get("/").text == "2"
        assert read() == 1
        advance(60)
        assert read() == 3


def test_waiting_ends_under_a_frozen_clock(
    app: Flask, make_cache: MakeCache, meeting: Meeting
) -> None:
    """A caller that waits for another's load is not frozen with the clock."""
    cache = make_cache(CACHE_SINGLE_FLIGHT_TIMEOUT=0.05)
    first = iter([True])

    def load() -> str:
        if next(first, False):
            meeting.stop()
            return "late"
        return "mine"

    with freezegun.freeze_time("2027-01-15"):
        leader = Worker(lambda: cache.get_or_set("key", load))
        meeting.arrived.wait()
        assert cache.get_or_set("key", load) == "mine"
        meeting.release()
        assert leader.result() == "late"


# Loads at once, once more (14, 18).


def test_a_fast_load_is_not_repeated_by_those_who_missed_just_before(
    app: Flask, cache: Cache
) -> None:
    """Between a caller's look and its load another load may end: it looks again."""
    calls: list[int] = []

    def load() -> str:
        calls.append(1)
        return "value"

    state = cache.state()
    begin = state.flights.begin
    meeting = Meeting()

    def slow_begin(*args: Any, **options: Any) -> Any:
        meeting.stop()
        return begin(*args, **options)

    state.flights.begin = slow_begin  # type: ignore[method-assign]
    late = Worker(lambda: cache.get_or_set("key", load))
    meeting.await_arrival()
    state.flights.begin = begin  # type: ignore[method-assign]
    assert cache.get_or_set("key", load) == "value"
    meeting.release()
    assert late.result() == "value"
    assert calls == [1]


def test_a_value_deleted_between_look_and_load_is_loaded(app: Flask, cache: Cache) -> None:
    """Looking again does not bring a deleted value back."""
    numbers = itertools.count()
    state = cache.state()
    begin = state.flights.begin
    meeting = Meeting()

    def slow_begin(*args: Any, **options: Any) -> Any:
        meeting.stop()
        return begin(*args, **options)

    state.flights.begin = slow_begin  # type: ignore[method-assign]
    late = Worker(lambda: cache.get_or_set("key", lambda: next(numbers)))
    meeting.await_arrival()
    state.flights.begin = begin  # type: ignore[method-assign]
    assert cache.get_or_set("key", lambda: next(numbers)) == 0
    cache.delete("key")
    meeting.release()
    assert late.result() == 1


def test_variants_of_one_page_load_side_by_side(app: Flask, cache: Cache, meeting: Meeting) -> None:
    """A visitor who needs another variant is not given the one that was loaded meanwhile."""

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        language = request.headers["Accept-Language"]
        if language == "de":
            meeting.stop()
        return language, {"Vary": "Accept-Language"}

    def get(language: str) -> str:
        return app.test_client().get("/", headers={"Accept-Language": language}).text

    german = [Worker(get, "de")]
    meeting.await_arrival()
    german += [Worker(get, "de") for _ in range(2)]
    english = [Worker(get, "en") for _ in range(2)]
    wait_until(lambda: waiters(cache, "view//") == 4)
    meeting.release()
    assert [worker.result() for worker in german] == ["de"] * 3
    assert [worker.result() for worker in english] == ["en"] * 2


def test_threads_and_coroutines_share_one_load(cache: Cache, meeting: Meeting) -> None:
    """A coroutine waits for a thread's load without blocking its loop."""
    calls: list[str] = []

    @cache.memoize(make_name=lambda name: "shared")
    def read() -> str:
        calls.append("thread")
        meeting.stop()
        return "value"

    @cache.memoize(make_name=lambda name: "shared")
    async def read_async() -> str:
        calls.append("coroutine")
        return "own"

    async def main() -> str:
        task = asyncio.create_task(read_async())
        for _ in range(3):
            await asyncio.sleep(0)
        meeting.release()
        return await task

    worker = Worker(read)
    meeting.await_arrival()
    assert asyncio.run(main()) in ("value", "own")
    assert worker.result() == "value"


# Explaining changes nothing (27).


def test_explaining_runs_no_view_and_stores_nothing(app: Flask, cache: Cache) -> None:
    """Neither the view nor a hook of the application."""
    ran: list[str] = []
    app.before_request(lambda: ran.append("before"))

    @app.route("/<int:id>")
    @cache.cached()
    def page(id: int) -> str:
        ran.append("view")
        return "page"

    @cache.memoize()
    def read(x: int) -> int:
        ran.append("read")
        return x

    assert cache.explain("/1").key == "view//1"
    assert cache.explain("/missing").key is None
    assert cache.explain_call(read, 1).key
    assert ran == []
    assert cache.stats()["entries"] == 0


# NullCache.


def test_18_where_caching_is_off_nobody_shares_a_load(app: Flask, make_cache: MakeCache) -> None:
    """Two visitors at once get a page each, as they would without a cache."""
    cache = make_cache(CACHE_TYPE="NullCache", CACHE_NO_NULL_WARNING=True)
    calls = itertools.count()
    both = threading.Barrier(2, timeout=10)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        both.wait()
        return f"page {next(calls)}"

    def visit() -> str:
        return app.test_client().get("/").text

    with ThreadPoolExecutor(2) as pool:
        pages = [future.result(10) for future in [pool.submit(visit) for _ in range(2)]]
    assert sorted(pages) == ["page 0", "page 1"]
    assert cache.stats()["refusals"] == {"null_cache": 2}


# 1, 5, 6: the view by another way, and what only looks like the view.


def test_a_view_behind_a_plain_function_keeps_the_rules_of_a_view(app: Flask, cache: Cache) -> None:
    """Its key is the path, so it is the request's, whoever calls it."""
    calls = itertools.count()

    @cache.cached()
    def page(id: int) -> Any:
        return f"{request.method} {next(calls)}", 503 if id == 9 else 200

    app.add_url_rule("/q/<int:id>", "q", lambda id: page(id), methods=["GET", "POST"])
    client = app.test_client()
    assert client.post("/q/1").text == "POST 0"
    assert [client.get("/q/1").text for _ in range(2)] == ["GET 1"] * 2
    assert [client.get("/q/9").text for _ in range(2)] == ["GET 2", "GET 3"]


def test_the_view_called_for_another_page_is_not_the_request(app: Flask, cache: Cache) -> None:
    """By ``before_request`` or an error handler: the path of the request is not its key."""
    calls = itertools.count()

    @app.route("/page/<name>")
    @cache.cached()
    def page(name: str) -> str:
        if name == "gone":
            abort(404)
        return f"{name} {next(calls)}"

    @app.before_request
    def look_ahead() -> None:
        if request.view_args == {"name": "three"}:
            page(name="four")

    @app.errorhandler(404)
    def instead(error: Any) -> Any:
        return page(name="index"), 404

    client = app.test_client()
    assert client.get("/page/three").text == "three 1"
    assert client.get("/page/three").text == "three 1"
    assert client.get("/page/gone").text.startswith("index")
    assert client.get("/page/gone").text.startswith("index")


def test_arguments_that_a_decorator_replaced_are_the_requests(app: Flask, cache: Cache) -> None:
    """A number by its object, under the same name or another."""
    calls = itertools.count()

    def with_object(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(id: int) -> Any:
            return function(id={"number": id})

        return wrapper

    @app.route("/<int:id>")
    @with_object
    @cache.cached()
    def page(id: Any) -> str:
        return f"{id['number']} {next(calls)}"

    client = app.test_client()
    assert [client.get(f"/{id}").text for id in (1, 1, 2)] == ["1 0", "1 0", "2 1"]


def test_a_cached_helper_of_a_view_class_is_a_helper(app: Flask, cache: Cache) -> None:
    """Only what Flask dispatches to is the view: no method rule, no collisions for the others."""
    calls = itertools.count()

    class Shop(MethodView):
        @cache.cached(key_prefix="nav")
        def nav(self) -> str:
            return f"nav {next(calls)}"

        def get(self, id: int) -> str:
            return self.nav()

        def post(self, id: int) -> str:
            return self.nav()

    app.add_url_rule("/w/<int:id>", view_func=Shop.as_view("shop"))
    client = app.test_client()
    assert [client.get("/w/1").text, client.get("/w/2").text] == ["nav 0"] * 2
    assert client.post("/w/1").text == "nav 0"
    assert cache.stats()["collisions"] == {}


def test_a_helper_that_a_decorator_uses_is_a_helper(app: Flask, cache: Cache) -> None:
    """The decorator says what it wraps; the rest of its closure is what it uses."""
    calls = itertools.count()

    @cache.cached(key_prefix="menu")
    def menu() -> str:
        return f"menu {next(calls)}"

    def with_menu(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return f"{menu()} {function(*args, **kwargs)}"

        return wrapper

    @app.route("/w/<int:id>", methods=["GET", "POST"])
    @with_menu
    def page(id: int) -> str:
        return str(id)

    client = app.test_client()
    assert [client.get("/w/1").text, client.post("/w/2").text] == ["menu 0 1", "menu 0 2"]
    assert cache.stats()["collisions"] == {}


def test_a_memoized_response_that_varies_is_not_stored(app: Flask, cache: Cache) -> None:
    """No request belongs to its entry, whose headers could select it."""
    calls = itertools.count()

    @app.route("/")
    @cache.memoize()
    def negotiated() -> Response:
        kind = request.headers["Accept"]
        return Response(f"{kind} {next(calls)}", headers={"Vary": "Accept"})

    client = app.test_client()
    pages = [client.get("/", headers={"Accept": kind}).text for kind in ("a", "b")]
    assert pages == ["a 0", "b 1"]
    assert cache.stats()["refusals"] == {"vary": 2}


def test_an_overriding_set_may_choose_the_timeout(app: Flask, make_cache: MakeCache) -> None:
    """The decorator's timeout is an offer, as any argument of ``set``."""

    class Short(Cache):
        def set(self, key: str, value: Any, timeout: Any = None) -> bool | None:
            return super().set(key, value, timeout=5)

    cache = make_cache(cls=Short)

    @cache.cached(100, key_prefix="short")
    def helper() -> str:
        return "value"

    helper()
    assert 4 < (cache.ttl("short") or 0) <= 5


# Containers and lazy texts that change (9).


def test_09_a_container_that_changes_loses_its_memoized_values(cache: Cache) -> None:
    """An object with items and a ``repr`` of its own; another one of that ``repr`` shares none."""

    class Cart:
        def __init__(self) -> None:
            self.items: list[int] = []

        def __len__(self) -> int:
            return len(self.items)

        def __iter__(self) -> Iterator[int]:
            return iter(self.items)

        def __repr__(self) -> str:
            return f"Cart({self.items})"

    calls: list[object] = []

    @cache.memoize()
    def total(cart: Cart) -> int:
        calls.append(cart)
        return sum(cart)

    cart, other = Cart(), Cart()
    assert (total(cart), total(cart), len(calls)) == (0, 0, 1)
    cart.items.append(5)
    assert (total(cart), total(cart), len(calls)) == (5, 5, 2)
    assert (total(other), len(calls)) == (0, 3)


class LazyTranslation:
    """What flask_babel's ``lazy_gettext`` makes."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def __str__(self) -> str:
        return self._read()

    def __repr__(self) -> str:
        return f"l'{self}'"

    def __len__(self) -> int:
        return len(str(self))

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __getitem__(self, index: Any) -> str:
        return str(self)[index]

    def __contains__(self, item: str) -> bool:
        return item in str(self)

    def __eq__(self, other: object) -> bool:
        return str(self) == other

    def __hash__(self) -> int:
        return hash(str(self))


def test_09_a_lazy_translation_counts_in_the_language_of_the_request(
    app: Flask, cache: Cache
) -> None:
    """As an argument of a memoized function and as what a ``vary=`` function returns."""
    greeting = LazyTranslation(lambda: {"en": "Hello", "fr": "Bonjour"}[request.args["lang"]])

    @cache.memoize()
    def shout(text: object) -> str:
        return str(text).upper()

    @app.route("/argument")
    def argument() -> str:
        return shout(greeting)

    @app.route("/vary")
    @cache.cached(vary=[lambda: greeting], query_string=False)
    def page() -> str:
        return str(greeting).upper()

    client = app.test_client()
    for path in ("/argument", "/vary"):
        pages = [client.get(f"{path}?lang={lang}").text for lang in ("en", "fr", "en")]
        assert pages == ["HELLO", "BONJOUR", "HELLO"]
