"""One application twice: with one of each mistake that the audit is for, and written well.

What a view returns shows what it read, so that whoever gets another one's page can be told.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    make_response,
    render_template,
    request,
    session,
)
from flask.views import MethodView, View
from jinja2 import DictLoader
from werkzeug.routing import BaseConverter

from flask_caching import Cache

__all__ = ["bad_app", "good_app"]


class Slug(BaseConverter):
    """``a-slug-like-this``."""

    regex = "[a-z0-9]+(?:-[a-z0-9]+)*"


@dataclass(frozen=True)
class Isbn:
    """The number of a book."""

    number: str


class IsbnConverter(BaseConverter):
    """Makes an object of a book's number."""

    regex = r"97[89]-\d{3}"

    def to_python(self, value: str) -> Isbn:
        return Isbn(value)

    def to_url(self, value: Isbn) -> str:
        return value.number


def new_app(hello: str, flask: dict[str, Any], config: dict[str, Any]) -> tuple[Flask, Cache]:
    """An application with the converters and a template, and a cache."""
    app = Flask("shop", **flask)
    app.secret_key = "not a secret"
    app.url_map.converters.update(slug=Slug, isbn=IsbnConverter)
    app.jinja_loader = DictLoader({"hello.html": hello})
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", **config})
    return app, cache


BAD_HELLO = 'Hello {% cache 300, "greeting" %}{{ session.get("name") }}{% endcache %}'
GOOD_HELLO = BAD_HELLO.replace('"greeting"', '"greeting", session.get("name")')


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """A check as applications write it themselves."""

    @functools.wraps(view)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        if request.authorization is None and "_user_id" not in session:
            abort(401)
        return view(*args, **kwargs)

    return decorated


class require_role:
    """The same as a class with arguments."""

    def __init__(self, role: str) -> None:
        self.role = role

    def __call__(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if session.get("role") != self.role:
                abort(403)
            return view(*args, **kwargs)

        return wrapper


def timed(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides what it wraps, and has nothing to do with who asks."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        response = make_response(view(*args, **kwargs))
        response.headers["X-Seconds"] = f"{time.perf_counter() - begun:.3f}"
        return response

    return wrapper


class Basket:
    """Says nothing of itself."""


class Order:
    """Says what tells it from others."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __caching_id__(self) -> int:
        return self.number


# The mistakes.


def bad_app(**config: Any) -> tuple[Flask, Cache]:
    """An application with one of each mistake; the endpoint says which."""
    app, cache = new_app(BAD_HELLO, {}, config)
    _bad_arguments(app, cache)
    _bad_inputs(app, cache)
    _bad_places(app, cache)
    _bad_functions(app, cache)
    return app, cache


def _bad_arguments(app: Flask, cache: Cache) -> None:
    @app.route("/product/<int:number>")
    @cache.cached(key_prefix="product")
    def constant(number: int) -> str:
        return f"product {number}"

    @app.route("/price/<int:number>/<currency>")
    @cache.cached(make_cache_key=lambda number, currency: f"price:{number}")
    def forgotten(number: int, currency: str) -> str:
        return f"price of {number} in {currency}"

    @app.route("/tag/<name>")
    @cache.cached(make_cache_key=lambda name: f"tag:{name.lower()}")
    def folded(name: str) -> str:
        return f"tag {name}"

    @app.route("/article/<slug:name>")
    @cache.cached(make_cache_key=lambda name: f"article:{name[:8]}")
    def cut(name: str) -> str:
        return f"article {name}"

    @app.route("/near/<float(signed=True):latitude>")
    @cache.cached(make_cache_key=lambda latitude: f"near:{latitude:.1f}")
    def rounded(latitude: float) -> str:
        return f"near {latitude}"

    @app.route("/page/<int:number>")
    @cache.cached(make_cache_key=lambda number: f"page:{number // 10}")
    def bucketed(number: int) -> str:
        return f"page {number}"

    @app.route("/file/<path:name>")
    @cache.cached(make_cache_key=lambda name: f"file:{name.rpartition('/')[2]}")
    def collapsed(name: str) -> str:
        return f"file {name}"

    @app.route("/wiki/<space>/<title>")
    @cache.cached(make_cache_key=lambda space, title: f"wiki:{space}-{title}")
    def joined(space: str, title: str) -> str:
        return f"{title} of {space}"

    @app.route("/book/<isbn:isbn>")
    @cache.memoize(args_to_ignore=["isbn"])
    def memoized(isbn: Isbn) -> str:
        return f"book {isbn.number}"

    def item_key(number: int) -> str:
        return f"item:{number}"

    @app.route("/user/<int:number>")
    @cache.cached(make_cache_key=item_key)
    def user(number: int) -> str:
        return f"user {number}"

    @app.route("/order/<int:number>")
    @cache.cached(make_cache_key=item_key)
    def order(number: int) -> str:
        return f"order {number}"

    def listing(sort: str) -> str:
        return f"sorted by {sort}"

    listed = cache.cached(make_cache_key=lambda sort: "listing")(listing)
    for sort in ("name", "price"):
        app.add_url_rule(f"/by-{sort}", "listing", listed, defaults={"sort": sort})


def _bad_inputs(app: Flask, cache: Cache) -> None:
    def wanted_order() -> str:
        return request.args.get("order", "name")

    @app.route("/search")
    @cache.cached()
    def query() -> str:
        return f"results for {request.args.get('q')}"

    @app.route("/sorted")
    @cache.cached()
    def query_in_function() -> str:
        return f"sorted by {wanted_order()}"

    @app.route("/greeting")
    @cache.cached()
    def header() -> str:
        return f"language {request.headers.get('Accept-Language')}"

    @app.route("/themed")
    @cache.cached()
    def cookie() -> str:
        return f"theme {request.cookies.get('theme')}"

    @app.route("/basket")
    @cache.cached()
    def from_session() -> str:
        return f"basket of {session.get('user_id')}"

    @app.route("/where")
    @cache.cached()
    def host() -> str:
        return f"at {request.host}"

    @app.route("/country")
    @cache.cached()
    def address() -> str:
        return f"from {request.remote_addr}"

    @app.before_request
    def find_user() -> None:
        g.user = request.headers.get("X-User", "nobody")

    @app.route("/mine")
    @cache.cached()
    def who_asks() -> str:
        return f"of {g.user}"

    @app.route("/form", methods=["GET", "POST"])
    @cache.cached(make_cache_key=lambda: "form")
    def method() -> str:
        return f"{request.method} {request.form.get('colour')}"

    @cache.cached(key_prefix="rates")
    def rates() -> str:
        return f"rates in {request.args.get('currency')}"

    @app.route("/rates")
    def show_rates() -> str:
        return rates()

    @cache.memoize()
    def discount(price: int) -> str:
        return f"{price} for {session.get('customer')}"

    @app.route("/discount")
    def show_discount() -> str:
        return discount(7)

    @app.route("/hello")
    def fragment() -> str:
        return render_template("hello.html")


def _bad_places(app: Flask, cache: Cache) -> None:
    @app.route("/account")
    @cache.cached()
    @login_required
    def account() -> str:
        return "the account"

    @app.route("/reports")
    @cache.cached()
    @timed
    @require_role("admin")
    def reports() -> str:
        return "the reports"

    class Invoices(MethodView):
        decorators: ClassVar[list[Any]] = [login_required, cache.cached()]

        def get(self) -> str:
            return "the invoices"

    app.add_url_rule("/invoices", view_func=Invoices.as_view("invoices"))

    class Payments(MethodView):
        @cache.cached()
        @login_required
        def get(self) -> str:
            return "the payments"

        @login_required
        def post(self) -> str:
            return "paid"

    app.add_url_rule("/payments", view_func=Payments.as_view("payments"))

    @cache.cached()
    @app.route("/routed")
    def above_route() -> str:
        return "never cached"

    app.extensions["above_route"] = above_route


def _bad_functions(app: Flask, cache: Cache) -> None:
    class Prices:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @cache.memoize()
        def of(self, number: int) -> int:
            return self.factor * number

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def __repr__(self) -> str:
            return f"<Named {self.name}>"

        @cache.memoize()
        def greeting(self) -> str:
            return f"hello {self.name}"

    @cache.memoize()
    def total(basket: Basket) -> int:
        return 1

    def converter(rates: dict[str, int]) -> Callable[[str, int], int]:
        @cache.memoize()
        def convert(currency: str, amount: int) -> int:
            return rates[currency] * amount

        return convert

    def counter(start: int) -> Callable[[], int]:
        @cache.memoize()
        def count() -> int:
            return start + 1

        return count

    @cache.memoize(make_name=lambda name: "shop")
    def first() -> int:
        return 1

    @cache.memoize(make_name=lambda name: "shop")
    def second() -> int:
        return 2

    @cache.cached(key_prefix="weather")
    def weather(city: str) -> str:
        return f"the weather in {city}"

    @cache.cached(key_prefix="news")
    def news() -> str:
        return "the news"

    @cache.cached(key_prefix="news")
    def headlines() -> str:
        return "the headlines"

    @app.route("/cookies")
    @cache.cached(store_cookies=True)
    def stores_cookies() -> Response:
        response = make_response("a page")
        response.set_cookie("seen", "1")
        return response

    @app.route("/now")
    @cache.cached(key_prefix=lambda: f"now:{time.perf_counter_ns()}")
    def unstable() -> str:
        return "now"

    app.extensions["kept"] = [
        *(Prices, Named, total, first, second, weather, news, headlines),
        *(converter({"EUR": 2}), converter({"EUR": 3}), counter(1), counter(2)),
    ]


# The same, well.


def whose(number: int, *, kind: str) -> str:
    return f"{kind}:{number}"


def good_app(host_matching: bool = False, **config: Any) -> tuple[Flask, Cache]:
    """The same application written well."""
    if host_matching:
        flask = {"host_matching": True, "static_host": "static.example"}
        app, cache = new_app(GOOD_HELLO, flask, config)
        _hosted(app, cache)
        return app, cache
    app, cache = new_app(GOOD_HELLO, {}, config)
    _good_arguments(app, cache)
    _good_inputs(app, cache)
    _good_places(app, cache)
    _good_functions(app, cache)
    _good_blueprints(app, cache)
    return app, cache


def _hosted(app: Flask, cache: Cache) -> None:
    for name in ("one", "two"):

        def home(*, name: str = name) -> str:
            return f"home of {name}"

        cached = cache.cached(vary=["Host"])(home)
        app.add_url_rule("/", f"{name}_home", cached, host=f"{name}.example")

    @app.route("/", host="<tenant>.shop.example")
    @cache.cached(vary=["Host"])
    def tenant_home(tenant: str) -> str:
        return f"home of {tenant}"

    @app.route("/<int:number>", host="<tenant>.shop.example")
    @cache.cached(make_cache_key=lambda **arguments: repr(("item", sorted(arguments.items()))))
    def tenant_item(tenant: str, number: int) -> str:
        return f"{number} of {tenant}"


def _good_arguments(app: Flask, cache: Cache) -> None:
    @app.route("/product/<int:number>")
    @cache.cached(key_prefix="product/%s")
    def constant(number: int) -> str:
        return f"product {number}"

    @app.route("/price/<int:number>/<currency>")
    @cache.cached(make_cache_key=lambda number, currency: json.dumps(["price", number, currency]))
    def forgotten(number: int, currency: str) -> str:
        return f"price of {number} in {currency}"

    @app.route("/tag/<name>")
    @cache.cached(make_cache_key=lambda name: f"tag:{name}")
    def folded(name: str) -> str:
        return f"tag {name}"

    def article_key(name: str) -> str:
        return f"article:{hashlib.sha256(name.encode()).hexdigest()}"

    @app.route("/article/<slug:name>")
    @cache.cached(make_cache_key=article_key)
    def cut(name: str) -> str:
        return f"article {name}"

    @app.route("/near/<float(signed=True):latitude>")
    @cache.cached()
    def rounded(latitude: float) -> str:
        return f"near {latitude}"

    @app.route("/page/<int:number>")
    @cache.cached()
    def bucketed(number: int) -> str:
        return f"page {number}"

    @app.route("/file/<path:name>")
    @cache.cached(make_cache_key=lambda name: f"file:{name}")
    def collapsed(name: str) -> str:
        return f"file {name}"

    @app.route("/wiki/<space>/<title>")
    @cache.cached(make_cache_key=lambda space, title: repr(("wiki", space, title)))
    def joined(space: str, title: str) -> str:
        return f"{title} of {space}"

    @app.route("/book/<isbn:isbn>")
    @cache.memoize()
    def memoized(isbn: Isbn) -> str:
        return f"book {isbn.number}"

    @app.route("/user/<int:number>")
    @cache.cached(make_cache_key=functools.partial(whose, kind="user"))
    def user(number: int) -> str:
        return f"user {number}"

    @app.route("/order/<int:number>")
    @cache.cached(make_cache_key=functools.partial(whose, kind="order"))
    def order(number: int) -> str:
        return f"order {number}"

    def listing(sort: str) -> str:
        return f"sorted by {sort}"

    listed = cache.cached(make_cache_key=lambda sort: f"listing:{sort}")(listing)
    for sort in ("name", "price"):
        app.add_url_rule(f"/by-{sort}", "listing", listed, defaults={"sort": sort})


def _good_inputs(app: Flask, cache: Cache) -> None:
    def wanted_order() -> str:
        return request.args.get("order", "name")

    @app.route("/search")
    @cache.cached(query_string=["q"])
    def query() -> str:
        return f"results for {request.args.get('q')}"

    @app.route("/sorted")
    @cache.cached(query_string=True)
    def query_in_function() -> str:
        return f"sorted by {wanted_order()}"

    @app.route("/greeting")
    @cache.cached(vary=["Accept-Language"])
    def header() -> str:
        return f"language {request.headers.get('Accept-Language')}"

    @app.route("/negotiated")
    @cache.cached()
    def varied() -> Response:
        response = make_response(f"type {request.headers.get('Accept')}")
        response.vary.add("Accept")
        return response

    @app.route("/themed")
    @cache.cached(vary=["cookie:theme"])
    def cookie() -> str:
        return f"theme {request.cookies.get('theme')}"

    @app.route("/basket")
    @cache.cached(vary=[lambda: session.get("user_id")])
    def from_session() -> str:
        return f"basket of {session.get('user_id')}"

    @app.route("/drafts")
    @cache.cached(unless=lambda: "user_id" in session)
    def for_strangers() -> str:
        return f"drafts of {session.get('user_id')}"

    @app.route("/where")
    @cache.cached(vary=["Host"])
    def host() -> str:
        return f"at {request.host}"

    @app.route("/country")
    @cache.cached(vary=[lambda: request.remote_addr])
    def address() -> str:
        return f"from {request.remote_addr}"

    @app.before_request
    def find_user() -> None:
        g.user = request.headers.get("X-User", "nobody")

    @app.route("/mine")
    @cache.cached(vary=[lambda: g.user])
    def who_asks() -> str:
        return f"of {g.user} {request.headers.get('X-User')}"

    @app.route("/form", methods=["GET", "POST"])
    @cache.cached(methods=["GET", "POST"])
    def method() -> str:
        return f"{request.method} {request.form.get('colour')}"

    @cache.cached(key_prefix="rates", query_string=["currency"])
    def rates() -> str:
        return f"rates in {request.args.get('currency')}"

    @app.route("/rates")
    def show_rates() -> str:
        return rates()

    @app.route("/rates/again")
    def show_rates_again() -> str:
        return rates()

    @cache.memoize()
    def discount(price: int, customer: str | None) -> str:
        return f"{price} for {customer}"

    @app.route("/discount")
    def show_discount() -> str:
        return discount(7, session.get("customer"))

    @app.route("/hello")
    def fragment() -> str:
        return render_template("hello.html")


def _good_places(app: Flask, cache: Cache) -> None:
    @app.route("/account")
    @login_required
    @cache.cached()
    def account() -> str:
        return "the account"

    @app.route("/dashboard")
    @cache.cached(vary=[lambda: session.get("_user_id"), "Authorization"])
    @login_required
    def dashboard() -> str:
        return "the dashboard"

    @app.route("/reports")
    @require_role("admin")
    @cache.cached()
    @timed
    def reports() -> str:
        return "the reports"

    class Invoices(MethodView):
        decorators: ClassVar[list[Any]] = [cache.cached(), login_required]

        def get(self) -> str:
            return "the invoices"

    app.add_url_rule("/invoices", view_func=Invoices.as_view("invoices"))

    class Payments(MethodView):
        @login_required
        @cache.cached()
        def get(self) -> str:
            return "the payments"

        @login_required
        def post(self) -> str:
            return "paid"

    app.add_url_rule("/payments", view_func=Payments.as_view("payments"))

    class Page(View):
        @cache.cached()
        def dispatch_request(self, number: int) -> str:
            return f"page {number}"

    app.add_url_rule("/pages/<int:number>", view_func=Page.as_view("class_page"))

    @app.route("/routed")
    @cache.cached()
    def above_route() -> str:
        return "cached"


def _good_functions(app: Flask, cache: Cache) -> None:
    class Prices:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __caching_id__(self) -> int:
            return self.factor

        @cache.memoize()
        def of(self, number: int) -> int:
            return self.factor * number

    @dataclass
    class Named:
        name: str

        @cache.memoize()
        def greeting(self) -> str:
            return f"hello {self.name}"

    @cache.memoize()
    def total(basket: Order) -> int:
        return 1

    @cache.memoize()
    def convert(currency: str, amount: int) -> int:
        return amount

    @cache.memoize(make_name=lambda name: f"shop.{name}")
    def first() -> int:
        return 1

    @cache.memoize(make_name=lambda name: f"shop.{name}")
    def second() -> int:
        return 2

    @cache.memoize()
    def weather(city: str) -> str:
        return f"the weather in {city}"

    @cache.cached(key_prefix="news")
    def news() -> str:
        return "the news"

    @cache.cached(key_prefix="headlines")
    def headlines() -> str:
        return "the headlines"

    @app.route("/cookies")
    def sets_cookies() -> Response:
        response = make_response(news())
        response.set_cookie("seen", "1")
        return response

    @app.route("/tenant")
    @cache.cached(vary=[lambda: g.get("tenant")])
    def tenant() -> str:
        return "tenant"

    app.extensions["kept"] = [
        *(Prices, Named, total, convert, first, second, weather, news, headlines)
    ]


def _good_blueprints(app: Flask, cache: Cache) -> None:
    """Nested blueprints, and one that takes the language away from its views."""
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    localised = Blueprint("localised", "localised", url_prefix="/<lang>")

    @inner.route("/item/<int:number>")
    @cache.cached()
    def item(number: int) -> str:
        return f"nested {number}"

    @localised.url_value_preprocessor
    def take_language(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.language = (values or {}).pop("lang")

    @localised.route("/start")
    @cache.cached()
    def start() -> str:
        return f"start in {g.language}"

    @localised.route("/offers/<int:number>")
    @cache.cached(make_cache_key=lambda number: repr(("offers", g.language, number)))
    def offers(number: int) -> str:
        return f"offers {number} in {g.language}"

    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")
    app.register_blueprint(localised)
