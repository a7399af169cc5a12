"""Every way a view can be cached: small applications, each with one request to ask about.

A builder decorated with :func:`way` puts a view on a :class:`Site`; the decorator's arguments are
the request. The tests send that request, and look what key the store has then.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar

from flask import Blueprint, Flask, abort, g, request, session
from flask.views import MethodView, View
from werkzeug.routing import BaseConverter, Rule, ValidationError

from flask_caching import Cache

__all__ = ["UNANSWERED", "WAYS", "Site", "Way"]


class Site:
    """An application with a cache, which notes what it ran.

    Attributes:
        app: The application.
        cache: Its cache.
        ran: What ran, in order: ``view`` and whatever a builder adds.
    """

    def __init__(self, app: Flask, cache: Cache) -> None:
        self.app = app
        self.cache = cache
        self.ran: list[str] = []

    def page(self, *args: Any, **kwargs: Any) -> str:
        """A view's body: says that it ran."""
        self.ran.append("view")
        return f"page {args} {kwargs}"

    def view(self, rule: str, **options: Any) -> Any:
        """Route a view that ``@cached`` decorates, and return it."""
        cached = self.cache.cached(**options)(self.function())
        self.app.add_url_rule(rule, "view", cached)
        return cached

    def function(self) -> Any:
        """A view function, not decorated."""

        def view(**kwargs: Any) -> str:
            return self.page(**kwargs)

        return view


@dataclass(frozen=True)
class Way:
    """A cached view, and a request to it.

    Attributes:
        build: Puts the view on a site.
        url: The URL to ask for.
        method: The request method.
        config: Of the cache.
        flask: Arguments of ``Flask``.
        settings: Of the application.
        sent: Makes further arguments of a test client's request; anew each time, since a file is
            read once.
        reason: For a request that has no key: what the explanation's reason contains.
        bypass: And the word for it.
        status: And the status that routing answers with.
        sends: Whether the request can be sent.
    """

    build: Callable[[Site], None]
    url: str
    method: str = "GET"
    config: dict[str, Any] = field(default_factory=dict)
    flask: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    sent: Callable[[], dict[str, Any]] = dict
    reason: str = ""
    bypass: str = ""
    status: int | None = None
    sends: bool = True

    def site(self, make_app: Callable[..., tuple[Flask, Cache]], **config: Any) -> Site:
        """The application, built."""
        app = Flask("tester", **self.flask)
        app.testing, app.secret_key = True, "not a secret"
        app.config.update(self.settings)
        site = Site(*make_app(app=app, **{**config, **self.config}))
        self.build(site)
        return site


#: Requests that have a key, by name.
WAYS: dict[str, Way] = {}

#: Requests that have none, by name.
UNANSWERED: dict[str, Way] = {}


def way(url: str, **options: Any) -> Callable[[Callable[[Site], None]], Callable[[Site], None]]:
    """Add a request to the view of the builder it decorates; several may."""

    def decorator(build: Callable[[Site], None]) -> Callable[[Site], None]:
        ways = UNANSWERED if "reason" in options else WAYS
        name = f"{build.__name__} {options.get('method', 'GET')} {url[:60]!a}"
        while name in ways:
            name += "'"
        ways[name] = Way(build, url, **options)
        return build

    return decorator


# Plain keys.


@way("/page/1")
@way("/page/1?a=1&b=2")
@way("/page/1", config={"CACHE_KEY_PREFIX": "store prefix:"})
@way("/page/1", config={"CACHE_SOURCE_CHECK": True})
@way("/page/1", config={"CACHE_HASH_METHOD": hashlib.md5, "CACHE_KEY_STRATEGY": "strict"})
@way("http://localhost/page/1")
@way("http://localhost/page/1#fragment")
@way("/page/1", sent=lambda: {"headers": {"Accept": "text/plain", "Cookie": "theme=dark"}})
@way("/missing", reason="404: no route matches", status=404)
@way("/page/x", reason="404", status=404)
@way("/page/1", method="POST", reason="405: the URL does not accept this method", status=405)
@way("/page/1", method="MAGIC", reason="405", status=405)
@way("/page/1", method="GET\r\nX-Injected: 1", reason="405", status=405)
@way("/page/1", method="OPTIONS", reason="Flask answers OPTIONS by itself")
@way("/static/style.css", reason="not cached")
@way("", reason="404", status=404)
def plain(site: Site) -> None:
    site.view("/page/<int:id>")


@way("/page/1")
def prefix_with_the_path_inside(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="before %s after")


@way("/page/1")
def prefix_with_an_escaped_percent_sign(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="100%%/%s")


@way("/page/1")
def prefix_that_no_format_is(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="50% off %s")


@way("/page/1")
def prefix_with_the_path_twice(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="%s and %s")


@way("/page/1")
@way("/page/2")
def constant_prefix(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="constant")


@way("/page/1")
def empty_prefix(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix="")


@way("/page/1?a=1")
def prefix_function(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix=lambda: f"made of {request.full_path}")


@way("/page/1?a=1")
def prefix_function_that_returns_a_number(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix=lambda: 17)


@way("/page/1")
def source_check(site: Site) -> None:
    site.view("/page/<int:id>", source_check=True)


@way("/page/1?a=1")
def own_hash(site: Site) -> None:
    site.view("/page/<int:id>", query_string=True, hash_method=hashlib.sha512)


# Paths that are hard.


@way("/%C3%BC/ä b")
@way("/with%20space")
@way("/with space")
@way("/%25")
@way("/100%")
@way("/%zz")
@way("/%ff")
@way("/a%00b")
@way("/a%0Ab", reason="404", status=404)  # a path converter takes no newline
@way("/a%3Fb%23c")
@way("/;a=1")
@way("/" + "long" * 3000)
@way("/\N{RIGHT-TO-LEFT OVERRIDE}txt")
@way("/<script>")
@way("/a/b/c.d/")
@way("//a", reason="404", status=404)
@way("///a/b")
def any_path(site: Site) -> None:
    site.view("/<path:rest>")


@way("/a%0Ab")
@way("/a\nb")
@way("/a%0D%0AX-Injected:%201")
def path_with_newlines(site: Site) -> None:
    site.app.url_map.converters["all"] = AllConverter
    site.view("/<all:rest>")


@way("/a")
@way("/a/")
def without_strict_slashes(site: Site) -> None:
    site.app.url_map.strict_slashes = False
    site.view("/a/")


@way("/a/")
@way("/a", reason="308: the URL redirects to http://localhost/a/", status=308)
@way("/a?x=1", reason="redirects to http://localhost/a/?x=1", status=308)
def trailing_slash(site: Site) -> None:
    site.view("/a/")


@way("/a//b")
def without_merging_slashes(site: Site) -> None:
    site.app.url_map.merge_slashes = False
    site.view("/a//b")


# Queries.

_QUERIES = [
    "",
    "?",
    "?a=1",
    "?b=2&a=1&a=3&c=4",
    "?a=&b",
    "?%C3%BC=%C3%9F",
    "?ü=ß",
    "?a=1+1&b=1%202",
    "?a=%zz&b=%ff&%",
    "?a=1;b=2",
    "?a=b=c&&d=?",
    "?utm_source=mail&a=1",
]


def _queried(**options: Any) -> Callable[[Site], None]:
    def query(site: Site) -> None:
        site.view("/page/<int:id>", **options)

    return query


for _options in (
    {"query_string": True},
    {"query_string": ["a", "ü"]},
    {"query_string": []},
    {"query_string": ["a", "b"], "ignore_query": ["b"]},
    {"ignore_query": ["utm_source", "b"]},
    {"ignore_query": ["%", "d"]},
):
    for _query in _QUERIES:
        way(f"/page/1{_query}")(_queried(**_options))


# Vary.


@way("/page/1")
@way("/page/1", sent=lambda: {"headers": {"Accept-Language": "de", "X-Any": ""}})
@way("/page/1", sent=lambda: {"headers": [("X-Any", "1"), ("X-Any", "2")]})
@way("/page/1", sent=lambda: {"headers": {"accept-language": "ü"}})
def vary_on_headers(site: Site) -> None:
    site.view("/page/<int:id>", vary=["Accept-Language", "X-Any"])


@way("/page/1")
@way("/page/1", sent=lambda: {"headers": {"Cookie": "theme=dark; other=1"}})
@way("/page/1", sent=lambda: {"headers": {"Cookie": 'theme="a b"; theme=light'}})
@way("/page/1", sent=lambda: {"headers": {"Cookie": "theme="}})
def vary_on_a_cookie(site: Site) -> None:
    site.view("/page/<int:id>", vary=["cookie:theme"])


@way("/page/1")
@way("/page/1", sent=lambda: {"headers": {"Accept-Language": "de-AT,en;q=0.5"}})
def vary_on_a_function(site: Site) -> None:
    site.view(
        "/page/<int:id>",
        vary=[lambda: request.accept_languages.best_match(["en", "de"]), lambda: request.view_args],
    )


def session_cookie(app: Flask, **values: Any) -> str:
    """A session as a browser would send it."""
    serializer: Any = app.session_interface
    return f"session={serializer.get_signing_serializer(app).dumps(values)}"


def _signed() -> dict[str, Any]:
    app = Flask("tester")
    app.secret_key = "not a secret"
    return {"headers": {"Cookie": session_cookie(app, user="ann")}}


@way("/page/1")
@way("/page/1", sent=_signed)
def vary_on_the_session(site: Site) -> None:
    site.view("/page/<int:id>", vary=[lambda: session.get("user")])


@way("/de/1")
def vary_on_what_a_preprocessor_put_aside(site: Site) -> None:
    @site.app.url_value_preprocessor
    def take_language(endpoint: Any, values: Any) -> None:
        g.language = values.pop("language")

    site.view("/<language>/<int:id>", vary=[lambda: g.language], key_prefix="page")


@way("/page/1", sent=lambda: {"headers": {"Host": "b.example:8080"}})
@way("http://b.example:8080/page/1")
@way("/page/1", sent=lambda: {"base_url": "https://c.example/root"})
def vary_on_the_host(site: Site) -> None:
    site.view("/page/<int:id>", vary=["Host"])


# Key makers.


class Maker:
    """Key makers that are no plain functions."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, **kwargs: Any) -> str:
        return f"object {self.name} {kwargs}"

    def method(self, id: int) -> str:
        return f"method {self.name} {id}"

    @staticmethod
    def static(id: int) -> str:
        return f"static {id}"

    @classmethod
    def of_class(cls, id: int) -> str:
        return f"class {cls.__name__} {id}"


def _of_request(id: int) -> str:
    return f"{request.method} {request.full_path} {request.endpoint} {request.host} {id}"


MAKERS: dict[str, Callable[..., Any]] = {
    "function": _of_request,
    "lambda": lambda id: f"lambda {id}",
    "partial": functools.partial(lambda before, id: f"{before} {id}", "partial"),
    "object": Maker("x"),
    "method": Maker("x").method,
    "static": Maker.static,
    "class method": Maker.of_class,
    "number": lambda id: id,
    "empty": lambda id: "",
    "odd text": lambda id: f"key\n\0 ü {id}",
    "body": lambda id: f"{id} {request.get_data(as_text=True)} {request.args.get('a')}",
}


def _made(maker: Any, assigned: bool) -> Callable[[Site], None]:
    def key_maker(site: Site) -> None:
        cached = site.cache.cached(make_cache_key=None if assigned else maker)(site.function())
        site.app.add_url_rule("/page/<int:id>", "view", cached, methods=["GET", "POST"])
        if assigned:
            cached.make_cache_key = maker

    return key_maker


for _maker in MAKERS.values():
    for _assigned in (False, True):
        way("/page/1?a=b")(_made(_maker, _assigned))
        way("/page/1", method="POST", sent=lambda: {"data": "body"})(_made(_maker, _assigned))


@way("/page/1?lang=de")
def key_maker_replaced_by_another(site: Site) -> None:
    view = site.view("/page/<int:id>", make_cache_key=lambda id: "never")
    view.make_cache_key = lambda id: f"{id} {request.args['lang']}"


@way("/shop/page/1")
def key_maker_replaced_on_the_view_of_a_blueprint(site: Site) -> None:
    shop = Blueprint("shop", "shop")
    view = site.cache.cached()(site.function())
    shop.add_url_rule("/page/<int:id>", "view", view)
    site.app.register_blueprint(shop, url_prefix="/shop")
    site.app.view_functions["shop.view"].make_cache_key = lambda id: f"{request.blueprint} {id}"


@way("/page/1")
def key_maker_gets_no_default_that_the_view_has(site: Site) -> None:
    @site.app.route("/page/<int:id>", defaults={"page": 3})
    @site.cache.cached(make_cache_key=lambda **kwargs: str(sorted(kwargs.items())))
    def view(id: int, page: int, more: int = 5) -> str:
        return site.page()


# Methods and bodies.


@way("/page/1?a=1")
@way("/page/1", method="POST")
@way("/page/1", method="post")
@way("/page/1", method="POST", sent=lambda: {"data": {"a": "1", "b": ["2", "ü"]}})
@way("/page/1", method="POST", sent=lambda: {"json": {"a": [1, "ü"]}})
@way("/page/1", method="POST", sent=lambda: {"data": b"\0\xff", "content_type": "image/png"})
@way("/page/1", method="POST", sent=lambda: {"data": "a=1", "content_type": "text/plain; b=c"})
@way(
    "/page/1",
    method="POST",
    sent=lambda: {"data": {"a": "1", "file": (BytesIO(b"content"), "name.txt", "text/x")}},
)
@way("/page/1", method="PUT", sent=lambda: {"data": "text"})
@way("/page/1", method="DELETE", reason="DELETE runs the view: @cached serves GET", bypass="method")
@way("/page/1", method="OPTIONS", reason="OPTIONS runs the view", bypass="method")
def bodies(site: Site) -> None:
    cached = site.cache.cached(methods=["GET", "POST", "PUT"])(site.function())
    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    site.app.add_url_rule(
        "/page/<int:id>", "view", cached, methods=methods, provide_automatic_options=False
    )


@way(
    "/page/1", method="POST", reason="POST runs the view: @cached serves GET, HEAD", bypass="method"
)
def safe_methods(site: Site) -> None:
    cached = site.cache.cached()(site.function())
    site.app.add_url_rule("/page/<int:id>", "view", cached, methods=["GET", "POST"])


# Blueprints.


@way("/outer/inner/de/1")
@way("/outer/inner/xx/1", reason="NotFound: 404", status=404)
def nested_blueprints(site: Site) -> None:
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")

    @outer.url_value_preprocessor
    def take_language(endpoint: Any, values: Any) -> None:
        g.language = values.pop("language")
        if g.language == "xx":
            abort(404)

    @outer.url_defaults
    def put_language(endpoint: Any, values: Any) -> None:
        values.setdefault("language", g.language)

    inner.add_url_rule(
        "/<language>/<int:id>",
        "view",
        site.cache.cached(make_cache_key=lambda **kwargs: f"{g.language} {kwargs}")(
            site.function()
        ),
    )
    outer.register_blueprint(inner, url_prefix="/inner")
    site.app.register_blueprint(outer, url_prefix="/outer")


_SUBDOMAINS = {"flask": {"subdomain_matching": True}, "settings": {"SERVER_NAME": "example.org"}}


@way("http://api.example.org/page/1", **_SUBDOMAINS)
@way("/page/1", sent=lambda: {"headers": {"Host": "api.example.org"}}, **_SUBDOMAINS)
@way("/page/1", sent=lambda: {"subdomain": "api"}, **_SUBDOMAINS)
@way("/page/1", reason="404", status=404, **_SUBDOMAINS)
def blueprint_of_a_subdomain(site: Site) -> None:
    api = Blueprint("api", "api", subdomain="api")
    api.add_url_rule("/page/<int:id>", "view", site.cache.cached()(site.function()))
    site.app.register_blueprint(api)


# Hosts and roots.

_HOSTS = {"flask": {"host_matching": True, "static_host": "static.example"}}


@way("http://a.example/page/1", **_HOSTS)
@way("http://b.example/page/1", **_HOSTS)
@way("http://static.example/page/1", reason="404", status=404, **_HOSTS)
@way("/page/1", sent=lambda: {"headers": {"Host": "a.example"}}, **_HOSTS)
@way("/page/1", sent=lambda: {"base_url": "https://b.example"}, **_HOSTS)
def hosts(site: Site) -> None:
    for name in ("a", "b"):
        cached = site.cache.cached(key_prefix=f"{name} %s")(site.function())
        site.app.add_url_rule("/page/<int:id>", name, cached, host=f"{name}.example")


@way("http://red.example/page/1", **_HOSTS)
@way("http://red.example:80/page/1", **_HOSTS)
@way("http://red.example:8080/page/1", reason="404", status=404, **_HOSTS)
def host_with_an_argument(site: Site) -> None:
    cached = site.cache.cached(make_cache_key=lambda shop, id: f"{shop} {id}")(site.function())
    site.app.add_url_rule("/page/<int:id>", "view", cached, host="<shop>.example")


@way("http://red.example.org/page/1", **_SUBDOMAINS)
@way("http://example.org/page/1", reason="404", status=404, **_SUBDOMAINS)
def subdomain_with_an_argument(site: Site) -> None:
    cached = site.cache.cached(make_cache_key=lambda shop, id: f"{shop} {id}")(site.function())
    site.app.add_url_rule("/page/<int:id>", "view", cached, subdomain="<shop>")


@way("/old/1")
@way("/page/1/3")
@way("/page/1")
@way("/page/1/2", reason="308: the URL redirects to http://localhost/page/1", status=308)
def several_rules(site: Site) -> None:
    view = site.cache.cached(make_cache_key=lambda **kwargs: str(sorted(kwargs.items())))
    cached = view(site.function())
    site.app.add_url_rule("/page/<int:id>", "view", cached, defaults={"number": 2})
    site.app.add_url_rule("/page/<int:id>/<int:number>", "view", cached)
    site.app.add_url_rule("/old/<int:id>", "old", cached)


@way("http://localhost:8080/page/1")
@way("http://bücher.example/page/1")
@way("http://xn--bcher-kva.example/page/1")
@way("http://[::1]/page/1")
@way("http://[::1]:8080/page/1")
@way("HTTPS://LOCALHOST/page/1")
@way("//other.example/page/1")
@way("/page/1", sent=lambda: {"headers": {"Host": "other.example"}})
@way("/page/1", sent=lambda: {"base_url": "https://other.example:8443/root"})
@way("/page/1", settings={"APPLICATION_ROOT": "/root"})
@way("/page/1", settings={"APPLICATION_ROOT": "/root", "PREFERRED_URL_SCHEME": "https"})
@way("/page/1", settings={"SERVER_NAME": "shop.example:8080"})
@way("/page/1", sent=lambda: {"environ_overrides": {"SCRIPT_NAME": "/mount", "HTTP_HOST": "m"}})
def strict_host(site: Site) -> None:
    site.view("/page/<int:id>", vary=["Host"], key_prefix="%s")


# Converters.


class Item:
    """What a converter makes of a number."""

    def __init__(self, id: int) -> None:
        self.id = id


class ItemConverter(BaseConverter):
    """Makes an object, and refuses some numbers."""

    def to_python(self, value: str) -> Any:
        if value == "13":
            raise ValidationError
        if value == "666":
            raise LookupError("the database is away")
        return Item(int(value))

    def to_url(self, value: Any) -> str:
        return str(value.id)


class AllConverter(BaseConverter):
    """Takes everything."""

    part_isolating = False
    regex = r"(?s:.+)"


class TailConverter(BaseConverter):
    """Takes slashes."""

    part_isolating = False
    regex = r"[^?]*?\.html"


@way("/item/7")
@way("/item/13", reason="404", status=404)
@way("/item/666", reason="LookupError: the database is away", sends=False)
def converter_to_an_object(site: Site) -> None:
    site.app.url_map.converters["item"] = ItemConverter
    site.view("/item/<item:item>", make_cache_key=lambda item: f"item {item.id}")


@way("/files/a/b/c.html")
@way("/files/a/b/c.txt", reason="404", status=404)
def converter_that_takes_slashes(site: Site) -> None:
    site.app.url_map.converters["tail"] = TailConverter
    site.view("/files/<tail:name>", make_cache_key=lambda name: f"file {name}")


@way("/1.5/12345678-1234-5678-1234-567812345678/red")
def other_converters(site: Site) -> None:
    site.view(
        "/<float:number>/<uuid:id>/<any(red, green):colour>",
        make_cache_key=lambda **kwargs: repr(sorted(kwargs.items())),
    )


# Classes.


@way("/page/1")
def view_class(site: Site) -> None:
    class Show(View):
        @site.cache.cached()
        def dispatch_request(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
@way("/page/1", method="POST")
@way("/page/1", method="PUT", reason="the view is not cached")
@way("/page/1", method="DELETE", reason="DELETE runs the view", bypass="method")
def method_view(site: Site) -> None:
    class Show(MethodView):
        @site.cache.cached()
        def get(self, id: int) -> str:
            return site.page(id)

        @site.cache.cached(key_prefix="posted %s", methods=["POST"])
        def post(self, id: int) -> str:
            return site.page(id)

        def put(self, id: int) -> str:
            return site.page(id)

        @site.cache.cached(key_prefix="deleted %s")
        def delete(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
@way("/page/1", method="POST", reason="POST runs the view", bypass="method")
def class_decorator(site: Site) -> None:
    class Show(MethodView):
        decorators: ClassVar[list[Any]] = [site.cache.cached(key_prefix="class %s"), bare]

        def get(self, id: int) -> str:
            return site.page(id)

        def post(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def class_decorator_with_a_key_maker(site: Site) -> None:
    class Show(MethodView):
        decorators: ClassVar[list[Any]] = [
            site.cache.cached(make_cache_key=lambda **kwargs: f"class {kwargs}")
        ]

        def get(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


def _with_object(**attributes: Any) -> Callable[[Site], None]:
    """A class whose key maker is a method, and reads what the constructor set."""

    def method_of_the_view_object(site: Site) -> None:
        class Show(MethodView):
            vars().update(attributes)

            def __init__(self, name: str = "default", *, number: int = 0) -> None:
                self.name, self.number = name, number

            def key(this, id: int) -> str:
                return f"{this.name} {this.number} {id}"

            @site.cache.cached(make_cache_key=key)
            def get(this, id: int) -> str:
                return site.page(id)

        view = Show.as_view("show", "given", number=3)
        site.app.add_url_rule("/page/<int:id>", view_func=view)

    return method_of_the_view_object


way("/page/1")(_with_object())
way("/page/1")(_with_object(init_every_request=False))
way("/page/1")(_with_object(decorators=[lambda function: wrapped(function)]))
way("/page/1")(_with_object(decorators=[lambda function: bare(function)]))


@way("/page/1")
def key_maker_replaced_on_a_member(site: Site) -> None:
    class Show(MethodView):
        def __init__(self) -> None:
            self.name = "show"

        @site.cache.cached()
        def get(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))
    member: Any = Show.get
    member.make_cache_key = lambda self, id: f"{self.name} {id}"


@way("/page/1")
def members_without_an_object(site: Site) -> None:
    class Show(MethodView):
        @staticmethod
        @site.cache.cached(make_cache_key=lambda id: f"static {id}")
        def get(id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def members_of_the_class(site: Site) -> None:
    class Show(MethodView):
        @classmethod
        @site.cache.cached(make_cache_key=lambda cls, id: f"{cls.__name__} {id}")
        def get(cls, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def inherited_member(site: Site) -> None:
    class Base(MethodView):
        @site.cache.cached(make_cache_key=lambda self, id: f"{type(self).__name__} {id}")
        def get(self, id: int) -> str:
            return site.page(id)

    class Show(Base):
        pass

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def member_called_by_super(site: Site) -> None:
    class Base(MethodView):
        @site.cache.cached(make_cache_key=lambda self, id: f"{type(self).__name__} {id}")
        def get(self, id: int) -> str:
            return site.page(id)

    class Show(Base):
        def get(self, id: int) -> str:
            return f"more of {super().get(id=id)}"

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1", reason="the view is not cached")
def overridden_member(site: Site) -> None:
    class Base(MethodView):
        @site.cache.cached()
        def get(self, id: int) -> str:
            return site.page(id)

    class Show(Base):
        def get(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def replaced_view_class(site: Site) -> None:
    class Show(MethodView):
        @site.cache.cached(key_prefix="one %s")
        def get(self, id: int) -> str:
            return site.page(id)

    class Other(MethodView):
        @site.cache.cached(make_cache_key=lambda self, id: f"{type(self).__name__} {id}")
        def get(self, id: int) -> str:
            return site.page(id)

    view: Any = Show.as_view("show")
    view.view_class = Other
    site.app.add_url_rule("/page/<int:id>", view_func=view)


class Controller:
    """An object whose bound methods are views."""

    def __init__(self, site: Site, name: str) -> None:
        self.site, self.name = site, name

    def key(self, *args: Any, **kwargs: Any) -> str:
        return f"{self.name} {args} {kwargs}"


@way("/page/1")
def bound_method(site: Site) -> None:
    class Shop(Controller):
        @site.cache.cached(make_cache_key=Controller.key)
        def show(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", "show", Shop(site, "shop").show)


@way("/page/1")
def partial_view(site: Site) -> None:
    @site.cache.cached(make_cache_key=lambda *args, **kwargs: f"{args} {sorted(kwargs.items())}")
    def show(kind: str, id: int, more: int = 0) -> str:
        return site.page(kind, id, more)

    view = functools.partial(functools.partial(show, more=1), "book", more=2)
    site.app.add_url_rule("/page/<int:id>", "show", view)


@way("/page/1")
def partial_of_a_bound_method(site: Site) -> None:
    class Shop(Controller):
        @site.cache.cached(make_cache_key=Controller.key)
        def show(self, kind: str, id: int) -> str:
            return site.page(kind, id)

    view = functools.partial(Shop(site, "shop").show, "book")
    site.app.add_url_rule("/page/<int:id>", "show", view)


# Decorators above and below.


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def bare(function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def limit(number: int) -> Any:
    def decorator(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        wrapper.number = number  # type: ignore[attr-defined]
        return wrapper

    return decorator


class Wrapping:
    """A decorator that is a class."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


DECORATORS: dict[str, Any] = {
    "wrapped": wrapped,
    "bare": bare,
    "limit": limit(3),
    "Wrapping": Wrapping,
}


def _decorated(above: Any, below: Any, **options: Any) -> Callable[[Site], None]:
    def decorated(site: Site) -> None:
        cached = site.cache.cached(**options)(below(site.function()))
        site.app.add_url_rule("/page/<int:id>", "view", above(cached))

    return decorated


for _decorator in DECORATORS.values():
    for _options in ({}, {"make_cache_key": lambda id: f"own {id}"}):
        way("/page/1")(_decorated(_decorator, lambda function: function, **_options))
        way("/page/1")(_decorated(lambda function: function, _decorator, **_options))
        way("/page/1")(_decorated(_decorator, _decorator, **_options))


@way("/page/1")
def decorators_above_each_other(site: Site) -> None:
    cached = site.cache.cached(make_cache_key=lambda id: f"own {id}")(site.function())
    view = wrapped(bare(limit(3)(Wrapping(cached))))
    site.app.add_url_rule("/page/<int:id>", "view", view)


# Several caches.


@way("/page/1")
def memoized_view(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.memoize()
    def show(id: int) -> str:
        return site.page(id)


@way("/page/1")
def memoized_view_with_an_assigned_key(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.memoize()
    def show(id: int) -> str:
        return site.page(id)

    show.make_cache_key = lambda function, id: f"{function.__name__} {id}"


@way("/page/1")
def memoized_view_with_a_made_name(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.memoize(make_name=lambda name: f"a/b {request.endpoint}", source_check=True)
    def show(id: int, more: int = 0) -> str:
        return site.page(id)


@way("/page/1")
def memoized_member_without_its_object(site: Site) -> None:
    class Show(MethodView):
        @site.cache.memoize(args_to_ignore=["self"])
        def get(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show"))


@way("/page/1")
def memoized_member_of_an_object_with_an_identity(site: Site) -> None:
    class Show(MethodView):
        def __init__(self, name: str) -> None:
            self.name = name

        def __caching_id__(self) -> str:
            return self.name

        @site.cache.memoize()
        def get(self, id: int) -> str:
            return site.page(id)

    site.app.add_url_rule("/page/<int:id>", view_func=Show.as_view("show", "name"))


@way("/page/1")
def cached_above_memoized(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.cached()
    @site.cache.memoize()
    def show(id: int) -> str:
        return site.page(id)


@way("/page/1")
def memoized_above_cached(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.memoize()
    @wrapped
    @site.cache.cached(key_prefix="inner %s")
    def show(id: int) -> str:
        return site.page(id)


@way("/page/1")
def three_caches(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.cached(key_prefix="outer %s")
    @site.cache.cached(make_cache_key=lambda id: f"middle {id}")
    @site.cache.cached(key_prefix="inner %s")
    def show(id: int) -> str:
        return site.page(id)


# Asynchronous views.


@way("/page/1")
@way("/page/1?a=1", config={"CACHE_KEY_STRATEGY": "strict"})
def asynchronous(site: Site) -> None:
    @site.app.route("/page/<int:id>")
    @site.cache.cached(query_string=True)
    async def show(id: int) -> str:
        return site.page(id)


@way("/page/1", sent=lambda: {"headers": {"Accept": "application/json"}})
@way("/page/x", reason="404", status=404)
@way("/other/1", reason="404", status=404)
def error_handlers(site: Site) -> None:
    site.app.register_error_handler(404, lambda error: (site.ran.append("handler") or "none", 404))
    site.view("/page/<int:id>")


# Requests that no view gets, or that the cache is not asked for.


@way("/page/1", reason="the endpoint has no view function", sends=False)
def rule_without_a_view(site: Site) -> None:
    site.app.add_url_rule("/page/<int:id>", "nothing")


@way("/chat", reason="400: the URL's rule is for a websocket request", status=400)
def websocket(site: Site) -> None:
    site.app.url_map.add(Rule("/chat", endpoint="chat", websocket=True))
    site.app.view_functions["chat"] = site.cache.cached()(site.function())


@way("/old/1", reason="redirects to http://localhost/page/1", status=308)
def redirecting_rule(site: Site) -> None:
    site.view("/page/<int:id>")
    site.app.add_url_rule("/old/<int:id>", "old", redirect_to="/page/<id>")


@way("/page/1", reason="not cached")
def uncached_view_with_a_cached_helper(site: Site) -> None:
    @site.cache.cached(key_prefix="helper")
    def helper() -> str:
        return "helped"

    @site.app.route("/page/<int:id>")
    def show(id: int) -> str:
        return site.page(helper())


@way("/page/1", reason="ZeroDivisionError: ", sends=False)
def key_maker_that_raises(site: Site) -> None:
    site.view("/page/<int:id>", make_cache_key=lambda id: str(1 // 0))


@way("/page/1", reason="Forbidden: 403", sends=False)
def key_maker_that_aborts(site: Site) -> None:
    site.view("/page/<int:id>", make_cache_key=lambda id: abort(403))


@way("/page/1", reason="KeyError: 'tenant'", sends=False)
def vary_function_that_raises(site: Site) -> None:
    site.view("/page/<int:id>", vary=[lambda: {}["tenant"]])


@way("/page/1", reason="make_cache_key returned None", bypass="no_key")
def key_maker_without_a_key(site: Site) -> None:
    site.view("/page/<int:id>", make_cache_key=lambda id: None)


@way("/page/1", reason="key_prefix returned None", bypass="no_key")
def prefix_function_without_a_key(site: Site) -> None:
    site.view("/page/<int:id>", key_prefix=lambda: None)


@way("/page/1", reason="UncacheableArgument", bypass="uncacheable_argument", sends=False)
def vary_on_what_has_no_identity(site: Site) -> None:
    site.view("/page/<int:id>", vary=[object])


@way("http://[::1", reason="not a URL that can be requested", sends=False)
@way("http://[x/", reason="not a URL that can be requested", sends=False)
@way("/\ud800", reason="not a URL that can be requested", sends=False)
@way(
    "/page/1",
    sent=lambda: {"headers": {"X-Any": "1\r\nX-Injected: 2"}},
    reason="not headers that can be sent",
    sends=False,
)
def what_cannot_be_sent(site: Site) -> None:
    site.view("/page/<int:id>")
