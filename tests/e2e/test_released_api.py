"""Applications written for the released Flask-Caching run unchanged.

The applications are in ``apps``. Everything but the last part also passes with Flask-Caching 2.5.1
in the place of this package: it is what their authors expect.
"""

from __future__ import annotations

import datetime
import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cachelib
import pytest
import time_machine
from apps import blog as blog_module
from apps import library as library_module
from apps import shop, tenants
from flask import Flask, render_template_string
from flask.testing import FlaskClient
from freezegun import freeze_time

from flask_caching import (
    Cache,
    cache_memoize_hit,
    cache_memoize_miss,
    cache_view_hit,
    cache_view_miss,
    function_namespace,
    make_template_fragment_key,
)
from flask_caching.backends import NullCache, SimpleCache

NOON = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)


def text(client: FlaskClient, url: str, **options: Any) -> str:
    return client.get(url, **options).get_data(as_text=True)


# A blog in one module.


@pytest.fixture
def database() -> blog_module.Database:
    return blog_module.Database({"flask-one": "hello world", "python-two": "goodbye world"})


@pytest.fixture
def blog(database: blog_module.Database) -> Flask:
    return blog_module.create_app(database)


def test_blog_pages_are_cached_until_they_are_deleted_by_hand(
    blog: Flask, database: blog_module.Database
) -> None:
    """Publishing a post shows everywhere at once, by keys written out in the application."""
    client = blog.test_client()
    before = text(client, "/")
    assert "flask-one:hello" in before
    assert "<nav>flask,python</nav>" in before
    assert text(client, "/") == before
    assert text(client, "/post/flask-one") == text(client, "/post/flask-one")
    assert Counter(database.queries) == {"index": 1, "excerpt": 2, "tags": 1, "post flask-one": 1}

    client.post("/admin/flask-one", data="changed")
    client.post("/admin/sql-three", data="new")
    assert "<main>changed</main>" in text(client, "/post/flask-one")
    assert "flask-one:chang" in text(client, "/")
    assert "<nav>flask,python,sql</nav>" in text(client, "/")


def test_blog_posts_that_do_not_exist_are_cached_as_404(
    blog: Flask, database: blog_module.Database
) -> None:
    """``abort(404)`` in a cached view is cached and raised again."""
    client = blog.test_client()
    assert [client.get("/post/nothing").status_code for _ in range(3)] == [404] * 3
    assert database.queries == ["post nothing"]


def test_blog_search_is_cached_by_its_query_string(
    blog: Flask, database: blog_module.Database
) -> None:
    """The order of parameters does not matter, their values do; one search can be deleted."""
    client = blog.test_client()
    search = blog.extensions["blog"]["search"]
    assert text(client, "/search?q=hello&page=1") == "flask-one"
    assert text(client, "/search?page=1&q=hello") == "flask-one"
    assert text(client, "/search?q=world") == "flask-one python-two"
    assert database.queries == ["search"] * 2
    with blog.app_context():
        assert blog_module.cache.delete_cached(search, "/search", {"q": "hello", "page": 1})
        assert not blog_module.cache.delete_cached(search, "/search", "page=1&q=hello")
        key = search.make_cache_key(path="/search", query_args=[("q", "world")])
        assert key.startswith("view//search")
        assert blog_module.cache.get(key) == "flask-one python-two"
    text(client, "/search?q=hello&page=1")
    assert len(database.queries) == 3


def test_blog_users_who_are_logged_in_bypass_the_cache(
    blog: Flask, database: blog_module.Database
) -> None:
    """``unless`` runs the view and leaves what is cached alone."""
    visitor, author = blog.test_client(), blog.test_client()
    author.post("/login/ada")
    text(visitor, "/")
    text(author, "/")
    text(author, "/")
    text(visitor, "/")
    assert database.queries.count("index") == 3


def test_blog_feed_lives_as_long_as_its_response_says(
    blog: Flask, database: blog_module.Database
) -> None:
    """``CachedResponse`` overrides the decorator's timeout; a callable prefix is the key."""
    client = blog.test_client()
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(2):
            response = client.get("/feed.xml?format=atom")
            assert response.data == b"<atom/>"
            assert response.content_type == "application/xml"
        assert text(client, "/feed.xml") == "<rss/>"
        assert database.queries == ["feed"] * 2
        clock.shift(11)
        text(client, "/feed.xml?format=atom")
        assert database.queries == ["feed"] * 3


def test_blog_keeps_out_what_its_filter_refuses(
    blog: Flask, database: blog_module.Database
) -> None:
    """``response_filter`` decides what is stored."""
    client = blog.test_client()
    posts, database.posts = database.posts, {}
    assert text(client, "/random") == "empty"
    database.posts = posts
    assert text(client, "/random") == "hello world"
    database.posts = {}
    assert text(client, "/random") == "hello world"


def test_blog_none_is_not_cached(blog: Flask, database: blog_module.Database) -> None:
    """A memoized ``None`` is computed again, without ``cache_none``."""
    excerpt = blog.extensions["blog"]["excerpt"]
    with blog.app_context():
        assert excerpt("later") is None
        database.posts["later"] = "now it is there"
        assert excerpt("later") == "now i"
        assert excerpt(slug="later", length=5) == "now i"
        assert database.queries == ["excerpt"] * 2


def test_blog_fragments_vary(blog: Flask) -> None:
    """A fragment's vary parts tell its variants apart, and ``'del'`` deletes one."""
    source = "{% cache timeout, 'box', user, 'v1' %}{{ next(counter) }}{% endcache %}"
    counter = iter(range(100))

    def render(user: str, timeout: object = 60) -> str:
        return render_template_string(
            source, user=user, timeout=timeout, counter=counter, next=next
        )

    with blog.test_request_context():
        assert [render("ada"), render("bob"), render("ada")] == ["0", "1", "0"]
        render("ada", "del")
        assert [render("ada"), render("bob")] == ["3", "1"]
        assert blog_module.cache.delete(make_template_fragment_key("box", ["bob", "v1"]))
        assert render("bob") == "4"


# An API from a factory, with nested blueprints and services.


@pytest.fixture(params=["SimpleCache", "apps.shop.DictCache", "apps.shop.dict_cache"])
def shop_app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    app = shop.create_app(CACHE_TYPE=request.param, CACHE_ARGS=[])
    shop.calls.clear()
    with app.app_context():
        yield app


def test_shop_pages_and_services_are_cached(shop_app: Flask) -> None:
    """A view in a nested blueprint, and the memoized calls behind it, run once."""
    client = shop_app.test_client()
    answers = [client.get("/v1/products/2").get_json() for _ in range(3)]
    assert answers == [{"number": 2, "price": 2.0, "similar": [3, 4]}] * 3
    assert client.get("/v1/products/2/net").get_json() == {"net": 1.6}
    assert client.get("/v1/products/2/net").get_json() == {"net": 1.6}
    assert shop.calls == {"show": 1, "price": 2, "similar": 1, "net": 1}
    assert shop.cache.get("net//v1/products/2/net") == {"net": 1.6}
    assert shop.cache.delete("view//v1/products/2")
    client.get("/v1/products/2")
    assert shop.calls == {"show": 2, "price": 2, "similar": 1, "net": 1}


def test_shop_client_errors_are_cached(shop_app: Flask) -> None:
    """A returned 422 and an aborted 404 come from the cache, status and all."""
    client = shop_app.test_client()
    assert [client.get("/v1/products/13").status_code for _ in range(2)] == [422, 422]
    assert [client.get("/v1/products/404").status_code for _ in range(2)] == [404, 404]
    assert shop.calls["show"] == 2


def test_shop_posts_are_cached_under_a_key_of_their_own(shop_app: Flask) -> None:
    """With ``make_cache_key`` a POST is cached by whatever the application makes the key of."""
    client = shop_app.test_client()

    def quote(*items: int) -> tuple[int, Any, str | None]:
        response = client.post("/v1/quote", json={"items": items})
        return response.status_code, response.get_json(), response.headers.get("X-Shop")

    assert [quote(1, 2), quote(1, 2), quote(3)] == [
        (201, {"sum": 3}, "shop"),
        (201, {"sum": 3}, "shop"),
        (201, {"sum": 3}, "shop"),
    ]
    assert shop.calls["quote"] == 2


def test_shop_memoized_methods_are_known_by_their_object(shop_app: Flask) -> None:
    """Objects of one ``repr`` share values; defaults and names of arguments do not matter."""
    assert shop.Product(3).price() == shop.Product(3).price("EUR") == 3.0
    assert shop.Product(3).price(currency="EUR") == 3.0
    assert shop.Product(3).price("USD") == 4.5
    assert shop.Product(4).price() == 4.0
    assert shop.calls["price"] == 3
    assert [shop.Product.count(), shop.Product.count()] == [1, 1]
    assert [shop.Product.tax("DE"), shop.Product(1).tax("DE")] == [0.19, 0.19]
    assert [shop.Product(1).stock, shop.Product(1).stock] == [7, 7]
    assert shop.calls == {"price": 3, "count": 1, "tax": 1, "stock": 1}


def test_shop_arguments_to_ignore_are_not_part_of_the_key(shop_app: Flask) -> None:
    """A call that differs in an ignored argument is the same call."""
    assert shop.similar(1, "a") == shop.similar(1, trace="b") == [2, 3]
    shop.cache.delete_memoized(shop.similar, 1, "whatever")
    shop.similar(1, "c")
    assert shop.calls["similar"] == 2


def test_shop_none_is_cached_where_asked_for(shop_app: Flask) -> None:
    """``cache_none=True`` stores a ``None``."""
    assert [shop.Product(1).discount() for _ in range(3)] == [None] * 3
    assert shop.calls["discount"] == 1


DELETIONS = {
    "one function": (lambda: shop.cache.delete_memoized(shop.similar), {"similar"}),
    "its attribute": (lambda: shop.similar.delete_memoized(), {"similar"}),
    "one call": (lambda: shop.cache.delete_memoized(shop.similar, 1, trace=""), {"similar"}),
    "another call": (lambda: shop.cache.delete_memoized(shop.similar, 2, ""), set()),
    "method of an object": (
        lambda: shop.cache.delete_memoized(shop.Product(1).price),
        {"price 1", "price 1 USD"},
    ),
    "call of an object": (
        lambda: shop.cache.delete_memoized(shop.Product(1).price, "USD"),
        {"price 1 USD"},
    ),
    "call with the object": (
        lambda: shop.cache.delete_memoized(shop.Product.price, shop.Product(1), "USD"),
        {"price 1 USD"},
    ),
    "method of the class": (
        lambda: shop.cache.delete_memoized(shop.Product.price),
        {"price 1", "price 1 USD", "price 2"},
    ),
    "class method": (lambda: shop.cache.delete_memoized(shop.Product.count), {"count"}),
    "call of a class method": (
        lambda: shop.cache.delete_memoized(shop.Product.count, shop.Product),
        {"count"},
    ),
    "static method": (lambda: shop.cache.delete_memoized(shop.Product.tax, "DE"), {"tax"}),
    "property": (lambda: shop.cache.delete_memoized(shop.Product.stock.fget), {"stock"}),
    "version": (lambda: shop.cache.delete_memoized_verhash(shop.similar), {"similar"}),
    "version key by hand": (
        lambda: shop.cache.delete(function_namespace(shop.similar)[0] + "_memver"),
        {"similar"},
    ),
    "key by hand": (
        lambda: shop.cache.delete(
            shop.Product.price.make_cache_key(
                shop.Product.price.uncached, shop.Product(1), currency="USD"
            )
        ),
        {"price 1 USD"},
    ),
}


@pytest.mark.parametrize("form", DELETIONS)
def test_shop_deletes_what_it_names(shop_app: Flask, form: str) -> None:
    """Every form of deletion makes exactly the calls it names run again."""
    calls = {
        "similar": lambda: shop.similar(1, ""),
        "price 1": lambda: shop.Product(1).price(),
        "price 1 USD": lambda: shop.Product(1).price("USD"),
        "price 2": lambda: shop.Product(2).price(),
        "count": lambda: shop.Product.count(),
        "tax": lambda: shop.Product.tax("DE"),
        "stock": lambda: shop.Product(1).stock,
    }
    for call in calls.values():
        call()
    delete, expected = DELETIONS[form]
    delete()
    ran = set()
    for name, call in calls.items():
        before = shop.calls.total()
        call()
        if shop.calls.total() > before:
            ran.add(name)
    assert ran == expected


def test_shop_deletions_that_miss_their_receiver_say_so(shop_app: Flask) -> None:
    """The errors that applications catch around a deletion are of the same kind."""
    with pytest.raises(ValueError, match="class"):
        shop.cache.delete_memoized(shop.Product.count, 1)
    with pytest.raises(ValueError, match="argument"):
        shop.cache.delete_memoized(shop.Product.price, currency="USD")
    with pytest.raises(TypeError, match="function"):
        shop.cache.delete_memoized("similar")


def test_shop_two_applications_share_the_extension_and_no_values() -> None:
    """One ``Cache`` on two applications keeps two caches."""
    first, second = shop.create_app("first"), shop.create_app("second")
    with first.app_context():
        shop.cache.set("who", "first", timeout=0)
        assert shop.cache.cache is first.extensions["cache"][shop.cache]
    with second.app_context():
        assert shop.cache.get("who") is None
        assert shop.cache.app is second
        shop.cache.set("who", "second", timeout=datetime.timedelta(minutes=1))
    with first.app_context():
        assert shop.cache.get_many("who", "nobody") == ["first", None]


# Class-based views.


def test_library_views_of_classes_are_cached() -> None:
    """``decorators``, a decorated method and a memoized method all cache."""
    loans: Counter[str] = Counter({"dune": 2, "emma": 1})
    app = library_module.create_app(Cache(), loans)
    runs = app.extensions["runs"]
    client = app.test_client()
    assert [text(client, "/") for _ in range(2)] == ["shelf 1"] * 2
    assert [client.get("/books/dune").get_json()["loans"] for _ in range(2)] == [2, 2]
    assert client.get("/report").get_json() == {"titles": ["dune", "emma"]}
    assert client.get("/report?count=1").get_json() == {"titles": ["dune"]}
    client.get("/report")
    assert runs == {"shelf": 1, "book": 1, "report": 2}


def test_library_writes_invalidate() -> None:
    """``delete_cached`` with a path, and ``delete_memoized`` of a view's method."""
    loans: Counter[str] = Counter({"dune": 2, "emma": 1})
    client = library_module.create_app(Cache(), loans).test_client()
    assert client.get("/books/emma").get_json()["loans"] == 1
    assert client.get("/report").get_json()["titles"] == ["dune", "emma"]
    for _ in range(2):
        assert client.post("/books/emma").status_code == 204
    assert client.get("/books/emma").get_json()["loans"] == 3
    assert client.get("/report").get_json()["titles"] == ["dune", "emma"]
    client.delete("/report")
    assert client.get("/report").get_json()["titles"] == ["emma", "dune"]


# Subclasses of Cache.


def test_tenants_never_see_each_other() -> None:
    """Keys changed by an overridden ``get`` and ``set`` hold for every decorator and deletion."""
    cache = tenants.TenantCache()
    app = tenants.create_app(cache)
    client = app.test_client()
    for _ in range(2):
        for tenant in ("red", "blue"):
            assert text(client, "/", headers={"X-Tenant": tenant}) == f"{tenant}: {tenant} says en"
    assert app.extensions["runs"] == {"home": 2, "greeting": 2}
    client.delete("/", headers={"X-Tenant": "red"})
    for tenant in ("red", "blue"):
        text(client, "/", headers={"X-Tenant": tenant})
    assert app.extensions["runs"] == {"home": 3, "greeting": 3}
    with app.app_context():
        assert all(key.startswith(("red:", "blue:")) for key in cache.cache._cache)
        assert sorted(cache.set_many({"a": 1, "b": 2})) == ["public:a", "public:b"]
        assert cache.get_many("a", "b", "c") == [1, 2, None]
        assert cache.delete_many("a", "b") == ["public:a", "public:b"]
        assert cache.get("a") is None


def test_recording_subclass_sees_what_the_decorators_do() -> None:
    """The decorators read and write through overridden methods."""
    cache = tenants.RecordingCache()
    client = tenants.create_app(cache).test_client()
    text(client, "/")
    assert cache.calls["set"] >= 2
    before = cache.calls["set"]
    reads = cache.calls["get"]
    text(client, "/")
    assert cache.calls["set"] == before
    assert cache.calls["get"] == reads + 1


def test_sealing_subclass_changes_what_is_stored() -> None:
    """What ``set`` makes of a value is stored, and what ``get`` makes of it is handed out."""
    cache = tenants.SealingCache()
    app = tenants.create_app(cache)
    client = app.test_client()
    assert text(client, "/") == text(client, "/") == "public: public says en"
    assert app.extensions["runs"] == {"home": 1, "greeting": 1}
    with app.app_context():
        assert cache.cache.get("view//") == {"sealed": "public: public says en"}


# Reaching into the backend, and other habits.


@pytest.fixture
def cache(app: Flask) -> Cache:
    app.config["CACHE_TYPE"] = "SimpleCache"
    return Cache(app)


def test_backend_is_reached_through_the_extension(app: Flask, cache: Cache) -> None:
    """Applications find the backend, know it by its class, and use its own methods."""
    with app.app_context():
        assert isinstance(cache.cache, SimpleCache)
        assert app.extensions["cache"][cache] is cache.cache
        assert cache.cache.default_timeout == 300
        cache.cache.set("key", {"a": 1})
        assert cache.get("key") == {"a": 1}
        cache.set("other", [1])
        assert cache.cache.get("other") == [1]
        assert [cache.cache.inc("hits"), cache.cache.inc("hits", 4), cache.get("hits")] == [1, 5, 5]
        assert cache.cache.get_dict("key", "none") == {"key": {"a": 1}, "none": None}


def test_keys_are_listed_and_deleted_by_their_beginning(app: Flask, cache: Cache) -> None:
    """``cache.cache._cache`` holds the keys as applications write them."""

    @app.route("/<name>")
    @cache.cached()
    def view(name: str) -> str:
        return name

    for name in ("a", "b"):
        app.test_client().get(f"/{name}")
    with app.app_context():
        cache.set("kept", 1)
        keys = [key for key in cache.cache._cache if key.startswith("view/")]
        assert sorted(keys) == ["view//a", "view//b"]
        assert cache.delete_many(*keys)
        assert list(cache.cache._cache) == ["kept"]
        cache.cache._cache.clear()
        assert cache.get("kept") is None


def test_value_operations_answer_as_ever(app: Flask, cache: Cache) -> None:
    """What the value methods return."""
    with app.app_context():
        assert cache.set("a", 1) is True
        assert cache.add("a", 2) is False
        assert cache.add("b", 2) is True
        assert cache.has("a") is True
        assert cache.set_many({"x": 1, "y": None}, timeout=5) == ["x", "y"]
        assert cache.get_many("x", "y", "z") == [1, None, None]
        assert cache.has("y") is True
        assert cache.get_dict("x", "z") == {"x": 1, "z": None}
        assert cache.delete("a") is True
        assert cache.delete("a") is False
        assert cache.delete_many("x", "unknown") == ["x", "unknown"]
        assert cache.unlink("y") == ["y"]
        assert cache.clear() is True
        assert cache.get("b") is None


def test_decorated_functions_have_their_attributes(app: Flask, cache: Cache) -> None:
    """``uncached``, ``cache_timeout`` and ``make_cache_key`` can be read, two of them assigned."""

    @app.route("/<name>")
    @cache.cached(timeout=50)
    def view(name: str) -> str:
        """Say it."""
        return name

    assert (view.__name__, view.__doc__, view.cache_timeout) == ("view", "Say it.", 50)
    assert view.uncached("x") == "x"
    with app.test_request_context():
        assert view.make_cache_key(name="x") == "view//x"
    view.make_cache_key = lambda *args, **kwargs: f"mine/{kwargs['name']}"
    view.cache_timeout = 5
    with time_machine.travel(NOON, tick=False) as clock, app.app_context():
        app.test_client().get("/x")
        assert cache.get("mine/x") == "x"
        clock.shift(6)
        assert cache.get("mine/x") is None


def test_hits_are_counted_with_signals(app: Flask) -> None:
    """The four signals arrive with the payload that receivers take apart."""
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_ENABLE_SIGNALS=True)
    cache = Cache(app)
    seen: list[tuple[str, Any, Any, Any]] = []

    def receive(name: str) -> Any:
        def receiver(sender: object, **payload: Any) -> None:
            assert payload["cache"] is cache
            called = payload.get("f")
            seen.append((name, called and called.__name__, payload["args"], payload["kwargs"]))

        return receiver

    signals = {
        "view hit": cache_view_hit,
        "view miss": cache_view_miss,
        "memoize hit": cache_memoize_hit,
        "memoize miss": cache_memoize_miss,
    }
    receivers = {name: receive(name) for name in signals}
    for name, signal in signals.items():
        signal.connect(receivers[name])

    @cache.memoize()
    def double(number: int) -> int:
        return 2 * number

    @app.route("/<int:number>")
    @cache.cached()
    def view(number: int) -> str:
        return str(double(number))

    client = app.test_client()
    client.get("/2")
    client.get("/2")
    with app.app_context():
        double(number=2)
    assert seen == [
        ("view miss", None, (), {"number": 2}),
        ("memoize miss", "double", (2,), {}),
        ("view hit", None, (), {"number": 2}),
        ("memoize hit", "double", (), {"number": 2}),
    ]


def test_suites_that_turn_caching_off(app: Flask) -> None:
    """With NullCache everything runs every time, and nothing fails."""
    app.config.update(CACHE_TYPE="NullCache", CACHE_NO_NULL_WARNING=True)
    cache = Cache(app)
    runs: list[int] = []

    @app.route("/")
    @cache.cached()
    def view() -> str:
        runs.append(1)
        return str(len(runs))

    client = app.test_client()
    assert [text(client, "/") for _ in range(2)] == ["1", "2"]
    with app.app_context():
        assert isinstance(cache.cache, NullCache)
        assert cache.set("a", 1)
        assert cache.get("a") is None
        assert not cache.has("a")
        assert cache.delete("a")
        assert cache.clear()


@pytest.mark.parametrize("tool", ["time_machine", "freezegun"])
def test_suites_that_freeze_time(app: Flask, cache: Cache, tool: str) -> None:
    """Entries expire by the frozen clock, whichever tool froze it."""
    runs: list[int] = []

    @cache.memoize(timeout=60)
    def answer() -> int:
        runs.append(1)
        return len(runs)

    @app.route("/")
    @cache.cached(timeout=datetime.timedelta(minutes=2))
    def view() -> str:
        return str(answer())

    def at(minutes: int) -> Any:
        moment = NOON + datetime.timedelta(minutes=minutes)
        if tool == "time_machine":
            return time_machine.travel(moment, tick=False)
        return freeze_time(moment)

    client = app.test_client()
    with at(0):
        cache.set("for ever", 1, timeout=0)
        cache.set("gone", 1, timeout=-1)
        assert (text(client, "/"), answer(), cache.get("gone")) == ("1", 1, None)
    with at(1), app.app_context():
        assert (text(client, "/"), answer()) == ("1", 2)
    with at(3):
        assert (text(client, "/"), answer()) == ("3", 3)
    with at(60 * 24 * 365):
        assert cache.get("for ever") == 1


def test_configuration_of_the_extension_wins(app: Flask) -> None:
    """``Cache(config=...)`` wins over ``app.config``, and ``init_app(config=...)`` over both."""
    app.config.update(CACHE_TYPE="NullCache", CACHE_DEFAULT_TIMEOUT=1)
    cache = Cache(config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 2})
    cache.init_app(app, {"CACHE_DEFAULT_TIMEOUT": 3})
    with app.app_context():
        assert isinstance(cache.cache, SimpleCache)
        assert cache.cache.default_timeout == 3
    with pytest.raises(ValueError, match="config"):
        Cache(app, config="SimpleCache")  # type: ignore[arg-type]


def test_names_made_anew_at_each_call(app: Flask, cache: Cache) -> None:
    """``make_name`` puts the user into the key, and each user gets their own value."""
    user = "ada"
    runs: list[str] = []

    @cache.memoize(make_name=lambda name: f"{name}/{user}")
    def inbox(folder: str) -> str:
        runs.append(user)
        return f"{user}'s {folder}"

    with app.app_context():
        for _ in range(2):
            for user in ("ada", "bob"):
                assert inbox("mail") == f"{user}'s mail"
        assert runs == ["ada", "bob"]
        cache.delete_memoized(inbox)
        assert inbox("mail") == "bob's mail"
        assert len(runs) == 3


def test_names_that_two_functions_are_given(app: Flask, cache: Cache) -> None:
    """Functions with one ``make_name`` are cached side by side."""
    runs: list[str] = []

    @cache.memoize(make_name=lambda name: "shared")
    def first() -> str:
        runs.append("first")
        return "first"

    @cache.memoize(make_name=lambda name: "shared")
    def second() -> str:
        runs.append("second")
        return "second"

    with app.app_context():
        for _ in range(2):
            assert (first(), second()) == ("first", "second")
        assert runs == ["first", "second"]


class OneMinute(SimpleCache):
    """A backend with a default timeout of its own."""

    @classmethod
    def factory(cls, app: Flask, config: Any, args: Any, kwargs: Any) -> OneMinute:
        return cls(default_timeout=60)


def test_backends_have_their_own_default_timeout(app: Flask) -> None:
    """Where nothing else says how long, the backend does, and it can be told otherwise."""
    app.config["CACHE_TYPE"] = f"{__name__}.OneMinute"
    cache = Cache(app)
    with app.app_context(), time_machine.travel(NOON, tick=False) as clock:
        cache.set("a", 1)
        clock.shift(61)
        assert cache.get("a") is None
        cache.cache.default_timeout = 600
        cache.set("a", 1)
        clock.shift(599)
        assert cache.get("a") == 1


class AnyKey(Cache):
    """Overrides the operations on several keys only."""

    def get_many(self, *keys: str) -> list[Any]:
        return super().get_many(*[f"x{key}" for key in keys])

    def get_dict(self, *keys: str) -> dict[str, Any]:
        return super().get_dict(*[f"x{key}" for key in keys])

    def delete_many(self, *keys: str) -> list[str]:
        return super().delete_many(*[f"x{key}" for key in keys])


def test_overridden_operations_are_gone_through_once(app: Flask) -> None:
    """No operation of the base goes through another one that the subclass overrides."""
    app.config["CACHE_TYPE"] = "SimpleCache"
    cache = AnyKey(app)
    with app.app_context():
        cache.set("xa", 1)
        assert cache.get_many("a") == [1]
        assert cache.get_dict("a") == {"xa": 1}
        assert cache.unlink("a") == ["xa"]
        assert cache.get("xa") is None


def test_views_with_an_argument_called_path(app: Flask, cache: Cache) -> None:
    """A path given to ``make_cache_key`` and ``delete_cached`` is the request's."""

    @app.route("/files/<path:path>")
    @cache.cached()
    def files(path: str) -> str:
        return path

    app.test_client().get("/files/a/b")
    with app.app_context():
        assert files.make_cache_key(path="/files/a/b") == "view//files/a/b"
        assert cache.delete_cached(files, path="/files/a/b")


def test_functions_without_source_text_run(app: Flask, cache: Cache) -> None:
    """``source_check`` on code that comes without its source is no error."""
    run = cache.memoize(source_check=True)(eval("lambda: 'ran'"))
    view = cache.cached(key_prefix="view", source_check=True)(eval("lambda: 'ran'"))
    with app.test_request_context():
        assert [run(), run(), view(), view()] == ["ran"] * 4


def test_cachelib_classes_are_backends(app: Flask, tmp_path: Any) -> None:
    """A dotted path to a cachelib class works, with ``CACHE_ARGS`` and ``CACHE_OPTIONS``."""
    app.config.update(
        CACHE_TYPE="cachelib.FileSystemCache",
        CACHE_ARGS=[str(tmp_path)],
        CACHE_OPTIONS={"threshold": 10},
    )
    cache = Cache(app)
    runs: list[int] = []

    @cache.memoize()
    def answer(number: int) -> list[int]:
        runs.append(number)
        return [number]

    with app.app_context():
        assert answer(1) == answer(1) == [1]
        cache.delete_memoized(answer)
        assert answer(1) == [1]
        assert len(runs) == 2
        cache.set("key", {"a": (1, 2)})
        assert cache.get("key") == {"a": (1, 2)}


# What the released 2.5.1 does another way, so that only our side is asserted.


@pytest.mark.parametrize(
    "argument", ["unless", "forced_update", "is_stale", "response_filter", "hash_method"]
)
@pytest.mark.parametrize("decorator", ["cached", "memoize"])
def test_arguments_that_cannot_be_called_are_refused(
    cache: Cache, decorator: str, argument: str
) -> None:
    """The error comes at decoration and names the argument."""
    with pytest.raises(TypeError, match=f"{argument} is 'x'"):
        getattr(cache, decorator)(**{argument: "x"})


@pytest.mark.parametrize("argument", ["key_prefix", "make_cache_key"])
def test_key_makers_that_cannot_be_called_are_refused(cache: Cache, argument: str) -> None:
    """So does the one about a key."""
    with pytest.raises(TypeError, match=f"{argument} is 5"):
        cache.cached(**{argument: 5})


def test_subclass_that_keeps_values_itself_is_told(app: Flask) -> None:
    """Past ``super().get`` nobody knows whether a memoized value is current: it is not served."""

    class Direct(Cache):
        def get(self, key: str) -> Any:
            return self.cache.get(f"mine:{key}")

        def set(self, key: str, value: Any, timeout: Any = None) -> Any:
            return self.cache.set(f"mine:{key}", value, timeout)

    app.config["CACHE_TYPE"] = "SimpleCache"
    cache = Direct(app)
    runs: list[int] = []

    @cache.memoize()
    def answer() -> int:
        runs.append(1)
        return len(runs)

    @app.route("/")
    @cache.cached()
    def view() -> str:
        runs.append(1)
        return str(len(runs))

    with app.app_context():
        assert answer() == 1
        with pytest.warns(UserWarning, match=r"Direct keeps values itself .* run every time"):
            assert answer() == 2
        assert [text(app.test_client(), "/") for _ in range(2)] == ["3", "3"]


def test_subclass_that_overrides_the_backend_is_told(app: Flask) -> None:
    """Nothing goes through an overridden ``cache`` property, and that is said at the start."""

    class Elsewhere(Cache):
        @property
        def cache(self) -> Any:
            return {}

    app.config["CACHE_TYPE"] = "SimpleCache"
    with pytest.warns(UserWarning, match=r"Elsewhere overrides the property cache"):
        Elsewhere(app)


@pytest.mark.parametrize("kind", ["partial", "object"])
def test_callable_objects_are_memoized(app: Flask, cache: Cache, kind: str) -> None:
    """A partial and an object with ``__call__`` are functions like any other."""
    runs: list[int] = []

    class Doubler:
        def __call__(self, number: int) -> int:
            runs.append(number)
            return 2 * number

    made = functools.partial(Doubler()) if kind == "partial" else Doubler()
    double = cache.memoize()(made)
    with app.app_context():
        assert [double(2), double(2), double(3)] == [4, 4, 6]
        assert runs == [2, 3]


def test_backend_that_inherits_add_from_cachelib(app: Flask) -> None:
    """``add`` of cachelib's base class stores nothing, and is not relied on."""
    app.config["CACHE_TYPE"] = make_least
    cache = Cache(app)
    runs: list[int] = []

    @cache.memoize()
    def answer() -> int:
        runs.append(1)
        return 42

    with app.app_context():
        assert [answer(), answer(), cache.add("a", 1), cache.add("a", 2)] == [42, 42, True, False]
        assert (len(runs), cache.get("a")) == (1, 1)


class Least(cachelib.BaseCache):
    """What a cachelib cache has to define at the least."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        self.values[key] = value
        return True

    def delete(self, key: str) -> bool:
        return self.values.pop(key, None) is not None


def make_least(app: Flask, config: Any, args: Any, kwargs: Any) -> Least:
    return Least()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("simple", SimpleCache), ("null", NullCache), ("flask_caching.backends.simple", SimpleCache)],
)
def test_lower_case_types_of_old(app: Flask, name: str, expected: type) -> None:
    """The names of the 1.x releases work, and say what to write instead."""
    app.config.update(CACHE_TYPE=name, CACHE_NO_NULL_WARNING=True)
    with pytest.warns(UserWarning, match=f'write CACHE_TYPE = "{expected.__name__}"'):
        cache = Cache(app)
    with app.app_context():
        assert isinstance(cache.cache, expected)
