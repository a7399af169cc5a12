"""Deleting and explaining: which entries, and nothing of the running request disturbed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import (
    Blueprint,
    Flask,
    appcontext_popped,
    appcontext_tearing_down,
    g,
    request,
    request_tearing_down,
)
from flask.views import MethodView

from flask_caching import Cache, CacheError

MakeCache = Callable[..., Cache]


def counted(*prefix: str) -> Callable[..., str]:
    """A view's body, which returns another text each time it runs."""
    calls = itertools.count()
    return lambda: "".join(prefix) + str(next(calls))


def current(proxy: Any) -> Any:
    """What a proxy of Flask's stands for now."""
    return proxy._get_current_object()


# Host and script root.


def test_a_strict_key_is_deleted_for_the_host_of_the_current_request(
    app: Flask, make_cache: MakeCache
) -> None:
    """Host and script root of the asker are part of the key."""
    cache, body = make_cache(CACHE_KEY_STRATEGY="strict"), counted()

    @app.route("/item/<int:id>")
    @cache.cached()
    def item(id: int) -> str:
        return body()

    @app.route("/purge")
    def purge() -> str:
        return str(cache.delete_cached(item, id=1))

    client, site = app.test_client(), "https://shop.example/böx/"
    assert [client.get("/item/1", base_url=site).text for _ in "ab"] == ["0", "0"]
    assert client.get("/purge").text == "False"
    assert client.get("/purge", base_url=site).text == "True"
    assert client.get("/item/1", base_url=site).text == "1"


def test_a_strict_key_is_deleted_for_the_configured_host(app: Flask, make_cache: MakeCache) -> None:
    """Outside a request the application's configuration says where it is."""
    app.config.update(SERVER_NAME="shop.example", APPLICATION_ROOT="/box")
    cache, body = make_cache(CACHE_KEY_STRATEGY="strict"), counted()

    @app.route("/item/<int:id>")
    @cache.cached()
    def item(id: int) -> str:
        return body()

    client = app.test_client()
    assert client.get("/item/1").text == "0"
    assert cache.delete_cached(item, id=1)
    assert client.get("/item/1").text == "1"


def test_a_strict_key_is_deleted_for_the_subdomain_of_the_rule(make_cache: MakeCache) -> None:
    """The rule says which subdomain, whatever the current request's is."""
    app = Flask("subdomains", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.example"
    cache, body = make_cache(app=app, CACHE_KEY_STRATEGY="strict"), counted()

    @app.route("/", subdomain="<user>")
    @cache.cached()
    def home(user: str) -> str:
        return body()

    client = app.test_client()
    assert client.get("/", base_url="http://ann.shop.example").text == "0"
    with app.test_request_context("/"):
        assert not cache.delete_cached(home, user="bob")
        assert cache.delete_cached(home, user="ann")


# Every URL.


def test_every_rule_that_leads_to_the_view_is_deleted(app: Flask, cache: Cache) -> None:
    """Also the one without the slash that ``strict_slashes=False`` allows."""
    body = counted()

    @app.route("/a/<int:id>")
    @app.route("/b/<int:id>/", strict_slashes=False)
    @cache.cached()
    def item(id: int) -> str:
        return body()

    client, paths = app.test_client(), ["/a/1", "/b/1/", "/b/1"]
    assert [client.get(path).text for path in paths] == ["0", "1", "2"]
    with app.app_context():
        assert cache.delete_cached(item, id=1)
        assert not cache.delete_cached(item, id=1)
    assert [client.get(path).text for path in paths] == ["3", "4", "5"]


def test_every_registration_of_a_blueprint_is_deleted(app: Flask, cache: Cache) -> None:
    """Each has an endpoint and a path of its own."""
    part, body = Blueprint("part", "part"), counted()

    @part.route("/<int:id>")
    @cache.cached()
    def item(id: int) -> str:
        return body()

    app.register_blueprint(part, url_prefix="/a")
    app.register_blueprint(part, url_prefix="/z", name="again")
    client = app.test_client()
    assert [client.get(path).text for path in ("/a/1", "/z/1", "/z/2")] == ["0", "1", "2"]
    with app.app_context():
        assert cache.delete_cached(item, id=1)
    assert [client.get(path).text for path in ("/a/1", "/z/1", "/z/2")] == ["3", "4", "2"]


def test_the_entry_of_another_page_stays(app: Flask, cache: Cache) -> None:
    """A rule without the argument is the page without it; an unknown one is the query's."""
    body = counted()

    @app.route("/")
    @app.route("/page/<int:page>")
    @cache.cached(query_string=True)
    def index(page: int = 1) -> str:
        return body()

    client = app.test_client()
    urls = ["/", "/?page=2", "/page/2", "/page/2?sort=up"]
    assert [client.get(url).text for url in urls] == ["0", "1", "2", "3"]
    with app.app_context():
        assert cache.delete_cached(index, page=2)
        assert cache.delete_cached(index, page=2, sort="up")
    assert [client.get(url).text for url in urls] == ["0", "1", "4", "5"]


def test_a_view_deletes_what_it_answers_to_get_while_it_answers_post(
    app: Flask, cache: Cache
) -> None:
    """The running request's own key is that of a POST."""
    body = counted()

    @app.route("/a/<int:id>", methods=["GET", "POST"])
    @app.route("/b/<int:id>", methods=["GET", "POST"])
    @cache.cached()
    def item(id: int) -> str:
        if request.method == "POST":
            return str(cache.delete_cached(item, id=id))
        return body()

    client = app.test_client()
    assert [client.get("/a/1").text, client.get("/b/1").text] == ["0", "1"]
    assert [client.post("/a/1").text, client.post("/a/1").text] == ["True", "False"]
    assert [client.get("/a/1").text, client.get("/b/1").text] == ["2", "3"]


# Headers.


@pytest.mark.parametrize("vary", ["Accept-Language", "cookie:lang", "callable"])
def test_vary_takes_headers_from_the_current_request_or_the_call(
    app: Flask, cache: Cache, vary: str
) -> None:
    """So an entry that varies can be deleted, inside a request and outside."""
    body = counted()
    inputs: Any = vary if vary != "callable" else lambda: request.headers.get("Accept-Language")
    headers = {"Cookie": "lang=de"} if vary == "cookie:lang" else {"Accept-Language": "de"}

    @app.route("/item/<int:id>")
    @cache.cached(vary=[inputs])
    def item(id: int) -> str:
        return body()

    # With cookies of its own the client would drop the header.
    client = app.test_client(use_cookies=False)
    assert client.get("/item/1", headers=headers).text == "0"
    with app.test_request_context("/", method="POST", data={"a": "b"}):
        assert not cache.delete_cached(item, id=1)
    with app.test_request_context("/", method="POST", data={"a": "b"}, headers=headers):
        assert cache.delete_cached(item, id=1)
    assert client.get("/item/1", headers=headers).text == "1"
    assert not cache.delete_cached(item, id=1, headers={"Accept-Language": "fr"})
    assert cache.delete_cached(item, id=1, headers=headers)


def test_a_vary_function_without_its_request_is_an_error_that_teaches(
    app: Flask, cache: Cache
) -> None:
    """It says what to pass; an error of another kind is the application's own."""

    @app.route("/")
    @cache.cached(vary=[lambda: request.headers.get("Accept-Language")])
    def index() -> str:
        return "page"

    def fail() -> str:
        raise RuntimeError("mine")

    @app.route("/broken")
    @cache.cached(vary=[fail])
    def broken() -> str:
        return "page"

    with app.app_context():
        with pytest.raises(CacheError, match="headers="):
            cache.delete_cached(index)
        with pytest.raises(RuntimeError, match="mine") as caught:
            cache.delete_cached(broken)
    assert not isinstance(caught.value, CacheError)


def test_an_argument_called_headers_is_the_views(app: Flask, cache: Cache) -> None:
    """As with ``path``, the view's own argument goes first."""

    @app.route("/tables/<headers>")
    @cache.cached()
    def table(headers: str) -> str:
        return headers

    app.test_client().get("/tables/top")
    with app.app_context():
        assert cache.delete_cached(table, headers="top")  # type: ignore[arg-type]


# Both decorators on one function.


@pytest.mark.parametrize("outer", ["cached", "memoize"])
def test_each_decorator_of_a_function_with_both_is_found(
    app: Flask, cache: Cache, outer: str
) -> None:
    """``delete_memoized`` and ``delete_cached`` each find theirs, whichever is on top."""
    body = counted()

    def plain(id: int) -> str:
        return body()

    view: Any = plain
    decorators: list[Any] = [cache.memoize(), cache.cached()]
    for decorator in decorators if outer == "cached" else reversed(decorators):
        view = decorator(view)
    app.add_url_rule("/<int:id>", "view", view)
    client = app.test_client()
    assert client.get("/1").text == "0"
    with app.app_context():
        assert cache.delete_cached(view, id=1)
    assert client.get("/1").text == "0"
    with app.app_context():
        cache.delete_memoized(view, 1)
        cache.delete_cached(view, id=1)
    assert client.get("/1").text == "1"


# The running request.


@pytest.fixture
def ended(app: Flask) -> Any:
    """What the application, or a signal, has been told of the end of a context."""
    told: list[str] = []
    app.teardown_request(lambda error: told.append("teardown_request"))
    app.teardown_appcontext(lambda error: told.append("teardown_appcontext"))
    signals = [request_tearing_down, appcontext_tearing_down, appcontext_popped]

    def receive(sender: Any, **extra: Any) -> None:
        told.append("signal")

    for signal in signals:
        signal.connect(receive, app)
    yield told
    for signal in signals:
        signal.disconnect(receive, app)


@pytest.mark.parametrize("call", ["delete_path", "delete_arguments", "make_cache_key", "explain"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_made_up_request_leaves_the_running_one_alone(
    app: Flask, cache: Cache, ended: list[str], call: str, fails: bool
) -> None:
    """No teardown function runs, ``g`` is as before, and the request is current again."""

    @app.url_value_preprocessor
    def remember(endpoint: Any, values: Any) -> None:
        g.last, g.new = endpoint, "new"

    def make_key(id: int) -> str:
        assert g.user == "ann"
        if fails:
            raise ZeroDivisionError
        return f"item {id} {request.path}"

    @app.route("/item/<int:id>")
    @cache.cached(make_cache_key=make_key)
    def item(id: int) -> str:
        return "page"

    calls: dict[str, Callable[[], Any]] = {
        "delete_path": lambda: cache.delete_cached(item, path="/item/1"),
        "delete_arguments": lambda: cache.delete_cached(item, id=1),
        "make_cache_key": lambda: item.make_cache_key(id=1),
        "explain": lambda: cache.explain("/item/1").key,
    }
    answers: dict[str, Any] = {
        "delete_path": True,
        "delete_arguments": True,
        "make_cache_key": "item 1 /item/1",
        "explain": "item 1 /item/1",
    }
    cache.set("item 1 /item/1", "page")
    with app.test_request_context("/running"):
        g.user, g.last = "ann", "running"
        ran = current(request)
        if fails and call != "explain":
            with pytest.raises(ZeroDivisionError):
                calls[call]()
        else:
            assert calls[call]() == (None if fails else answers[call])
        assert ended == []
        assert vars(current(g)) == {"user": "ann", "last": "running"}
        assert current(request) is ran
    assert sorted(set(ended)) == ["signal", "teardown_appcontext", "teardown_request"]


def test_a_made_up_request_outside_any_context_ends_like_any_other(
    app: Flask, cache: Cache, ended: list[str]
) -> None:
    """What its key maker opened is closed; nothing else would do it."""

    @app.route("/")
    @cache.cached(make_cache_key=lambda: request.path)
    def index() -> str:
        return "page"

    assert cache.explain("/").key == "/"
    assert sorted(set(ended)) == ["signal", "teardown_appcontext", "teardown_request"]


# Explanations.


def test_a_class_is_explained_by_the_member_for_the_method(app: Flask, cache: Cache) -> None:
    """``get`` for HEAD; a member that is not cached has no key."""

    class Item(MethodView):
        @cache.cached(key_prefix="got %s")
        def get(self, id: int) -> str:
            return "got"

        @cache.cached(key_prefix="posted", methods=["POST"])
        def post(self, id: int) -> str:
            return "posted"

        def put(self, id: int) -> str:
            return "put"

        @cache.cached(key_prefix="another")
        def zzz(self) -> str:
            return "no view"

    app.add_url_rule("/<int:id>", view_func=Item.as_view("item"))
    assert cache.explain("/1").key == "got /1"
    assert cache.explain("/1", "HEAD").key == "got /1"
    assert str(cache.explain("/1", "POST").key).startswith("posted#")
    assert cache.explain("/1", "PUT").key is None
    assert cache.explain("/1", "PUT").reason == "the view is not cached"


def test_a_class_is_explained_by_what_is_outermost(app: Flask, cache: Cache) -> None:
    """The view's decorators, then ``dispatch_request``, then the member."""

    class Inner(MethodView):
        @cache.cached(key_prefix="dispatched")
        def dispatch_request(self, **kwargs: Any) -> Any:
            return super().dispatch_request(**kwargs)

        @cache.cached(key_prefix="got")
        def get(self) -> str:
            return "got"

    class Outer(Inner):
        decorators: ClassVar[list[Any]] = [cache.cached(key_prefix="decorated")]

    app.add_url_rule("/inner", view_func=Inner.as_view("inner"))
    app.add_url_rule("/outer", view_func=Outer.as_view("outer"))
    assert cache.explain("/inner").key == "dispatched"
    assert cache.explain("/outer").key == "decorated"


def test_a_url_that_cannot_be_requested_is_a_reason(app: Flask, cache: Cache) -> None:
    """An explanation answers; it does not raise."""
    known = cache.explain("http://[x/")
    assert known.key is None
    assert "not a URL" in known.reason
    assert known.url == "http://[x/"


# A prefix that is none.


@pytest.mark.parametrize("options", [{}, {"query_string": True}, {"vary": ["Accept"]}])
def test_a_prefix_of_none_runs_the_view_uncached(
    app: Flask, cache: Cache, options: dict[str, Any]
) -> None:
    """Whatever else would be part of the key: views would share it."""
    body = counted()

    def no_key() -> Any:
        return None

    @app.route("/")
    @cache.cached(key_prefix=no_key, **options)
    def index() -> str:
        return body()

    client = app.test_client()
    assert [client.get("/").text for _ in "ab"] == ["0", "1"]
    known = cache.explain("/")
    assert (known.key, known.reason) == (None, "key_prefix returned None")
    with app.test_request_context("/"):
        assert not cache.delete_cached(index)


def test_a_prefix_function_is_called_once_for_a_key(app: Flask, make_cache: MakeCache) -> None:
    """Also where the path is a part of the key of its own."""
    cache, body = make_cache(CACHE_KEY_STRATEGY="strict"), counted("prefix ")

    @app.route("/")
    @cache.cached(key_prefix=body)
    def index() -> str:
        return "page"

    assert str(cache.explain("/").key).startswith("prefix 0#")
    assert str(cache.explain("/").key).startswith("prefix 1#")
