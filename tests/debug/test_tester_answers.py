"""What an explanation says beside the key, what it leaves alone, and how it looks as text."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import flask
import pytest
from flask import Blueprint, Flask, g, request, session
from flask.views import MethodView, View
from tester_ways import wrapped

from flask_caching import Cache, KeyExplanation
from flask_caching.backends.base import iter_keys

MakeApp = Callable[..., tuple[Flask, Cache]]


def keys_of(app: Flask, cache: Cache) -> list[str]:
    """The keys in an application's store, those of versions left out."""
    with app.app_context():
        keys = [info.key for info in iter_keys(cache.cache)]
    return sorted(key for key in keys if not key.endswith("_memver"))


def names_of(explained: KeyExplanation) -> list[str]:
    """The names of a key's parts."""
    return [part.name for part in explained.parts]


# What it leaves alone.


@pytest.fixture
def busy(make_app: MakeApp) -> tuple[Flask, Cache, list[str]]:
    """An application with a hook of every kind, and what they were heard to say."""
    app, cache = make_app()
    ran: list[str] = []
    app.before_request(lambda: ran.append("before_request"))
    app.after_request(lambda response: ran.append("after_request") or response)
    app.teardown_request(lambda error: ran.append("teardown_request"))
    app.teardown_appcontext(lambda error: ran.append("teardown_appcontext"))

    @app.route("/page/<int:id>")
    @cache.cached(
        make_cache_key=lambda id: f"{id} {request.args.get('a')} {session.get('user')}",
    )
    def page(id: int) -> str:
        ran.append("page")
        session["page"] = id
        return str(cache.explain(f"/page/{id + 1}?a=b").key)

    return app, cache, ran


def test_outside_of_a_context_it_ends_as_any_request_does(
    busy: tuple[Flask, Cache, list[str]],
) -> None:
    """What a key maker opened is closed; nothing else of the application runs."""
    _, cache, ran = busy
    assert cache.explain("/page/1?a=b").key == "1 b None"
    assert sorted(ran) == ["teardown_appcontext", "teardown_request"]
    assert not flask.has_app_context()
    assert not flask.has_request_context()


@pytest.mark.parametrize("url", ["/page/1?a=b", "/missing", "/page/1", "http://[x/", "/page/x"])
def test_it_says_the_same_wherever_it_is_asked(
    busy: tuple[Flask, Cache, list[str]], url: str
) -> None:
    """Outside, in an application context, in another request and in one to the same view."""
    app, cache, ran = busy
    outside = cache.explain(url)
    ran.clear()
    with app.app_context():
        assert cache.explain(url) == outside
        assert ran == []
    for running in ("/elsewhere", "/page/1?a=other"):
        ran.clear()
        with app.test_request_context(running, method="POST", base_url="http://x.example/y"):
            session["user"] = "ann"
            assert cache.explain(url) == outside
            assert ran == []


def test_a_running_request_is_left_as_it_was(busy: tuple[Flask, Cache, list[str]]) -> None:
    """``g``, ``request``, ``session`` and the response's functions are its own afterwards."""
    app, cache, _ = busy

    @app.url_value_preprocessor
    def remember(endpoint: Any, values: Any) -> None:
        g.user, g.more = endpoint, "more"

    with app.test_request_context("/page/7?a=1", headers={"Cookie": "a=b"}):
        g.user = "ann"
        session["user"] = "ann"
        own_g: Any = g._get_current_object()  # type: ignore[attr-defined]
        own: Any = request._get_current_object()  # type: ignore[attr-defined]
        for url in ("/page/1?a=b", "/missing", "/page/1"):
            cache.explain(url, headers={"Cookie": "a=other"})
        assert request._get_current_object() is own  # type: ignore[attr-defined]
        assert g._get_current_object() is own_g  # type: ignore[attr-defined]
        assert vars(own_g) == {"user": "ann"}
        assert (request.path, request.args["a"], request.cookies["a"]) == ("/page/7", "1", "b")
        assert dict(session) == {"user": "ann"}


def test_a_view_may_ask_while_it_runs(busy: tuple[Flask, Cache, list[str]]) -> None:
    """Its own hooks run once, and its session is saved with what it put there alone."""
    app, _, ran = busy
    client = app.test_client()
    assert client.get("/page/1").text == "2 b None"
    assert ran == [
        "before_request",
        "page",
        "after_request",
        "teardown_request",
        "teardown_appcontext",
    ]
    with client.session_transaction() as saved:
        assert dict(saved) == {"page": 1}


def test_threads_ask_while_requests_run(make_app: MakeApp) -> None:
    """Each gets its own answer, and so does each request."""
    app, cache = make_app()
    together = threading.Barrier(8, timeout=30)

    @app.route("/page/<int:id>")
    @cache.cached(make_cache_key=lambda id: f"{id} {request.args['a']} {request.path}")
    def page(id: int) -> str:
        together.wait()
        return str(id)

    wrong: list[Any] = []

    def ask(number: int) -> None:
        together.wait()
        for turn in range(100):
            known = cache.explain(f"/page/{turn}?a={number}")
            if known.key != f"{turn} {number} /page/{turn}":
                wrong.append(known)

    def send(number: int) -> None:
        response = app.test_client().get(f"/page/{number}?a=sent")
        if response.text != str(number):
            wrong.append(response)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert keys_of(app, cache) == [f"{number} sent /page/{number}" for number in range(4)]


def test_a_cache_of_several_applications_needs_a_context(make_app: MakeApp) -> None:
    """Which one is meant cannot be known; inside one of their contexts it is."""
    cache = Cache()
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        cache.init_app(app, config={"CACHE_TYPE": "SimpleCache"})
        app.add_url_rule("/", app.name, cache.cached(key_prefix=app.name)(lambda: "page"))
    with pytest.raises(RuntimeError, match="serves 2 applications"):
        cache.explain("/")
    for app in apps:
        with app.app_context():
            assert cache.explain("/").key == app.name


# What was not run.


def test_what_a_before_request_function_would_have_set_is_named(make_app: MakeApp) -> None:
    """The error of the key maker is shown, and why it is one."""
    app, cache = make_app()

    @app.before_request
    def load_user() -> None:
        g.user = "ann"

    @app.route("/")
    @cache.cached(make_cache_key=lambda: f"page of {g.user}")
    def index() -> str:
        return "page"

    known = cache.explain("/")
    assert (known.key, known.reason) == (None, "AttributeError: " + known.reason[16:])
    assert known.notes == (
        "before_request functions were not run (load_user); missing in flask.g: user",
    )
    assert "load_user" in str(known)


@pytest.mark.parametrize(
    "read", [lambda: g.get("user"), lambda: "user" in g, lambda: getattr(g, "user", None)]
)
def test_a_key_maker_that_bears_it_is_told_on_too(make_app: MakeApp, read: Any) -> None:
    """The key is another one than a request's: ``g`` was asked for what is not there."""
    app, cache = make_app()
    blueprint = Blueprint("shop", "shop")
    blueprint.before_request(lambda: setattr(g, "user", "ann"))
    index = cache.cached(vary=[read])(lambda: "page")
    blueprint.add_url_rule("/", "index", index)
    app.register_blueprint(blueprint)
    known = cache.explain("/")
    assert known.key is not None
    assert known.notes == (
        "before_request functions were not run (<lambda>); missing in flask.g: user",
    )


def test_nothing_is_said_of_what_is_set_on_the_way(make_app: MakeApp) -> None:
    """A key maker that looks something up once keeps it in ``g`` itself."""
    app, cache = make_app()
    app.before_request(lambda: None)

    def user() -> str:
        if "user" not in g:
            g.user = request.cookies.get("user", "nobody")
        return str(g.user)

    app.add_url_rule("/", "index", cache.cached(vary=[user])(lambda: "page"))
    assert cache.explain("/").notes == ()


def test_what_is_read_of_the_running_context_is_named(make_app: MakeApp) -> None:
    """It may be another user's than that of the request asked about."""
    app, cache = make_app()
    app.add_url_rule("/", "index", cache.cached(vary=[lambda: g.user])(lambda: "page"))
    with app.test_request_context("/debug"):
        g.user, g.other = "developer", 1
        known = cache.explain("/")
        assert known.key is not None
        assert known.notes == (
            "flask.g.user was read, and is that of the context in which this was asked",
        )


def test_decorators_above_the_cache_are_named(make_app: MakeApp) -> None:
    """They run on each request, and an explanation does not run them."""
    app, cache = make_app()

    def login_required(role: str) -> Any:
        def decorator(view: Any) -> Any:
            @functools.wraps(view)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return view(*args, **kwargs)

            return wrapper

        return decorator

    class Audited:
        def __init__(self, view: Any) -> None:
            self.view = view

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.view(*args, **kwargs)

    cached = cache.cached()(wrapped(lambda: "page"))
    app.add_url_rule("/", "index", login_required("admin")(Audited(cached)))
    (note,) = cache.explain("/").notes
    here = f"{__name__}.test_decorators_above_the_cache_are_named.<locals>"
    assert note == (
        f"above the cache and not run: {here}.login_required, {here}.Audited; it may answer by "
        "itself, or pass other arguments on"
    )


def test_middleware_around_the_application_is_named(make_app: MakeApp) -> None:
    """It may change host, scheme, path; tracing does not."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    app, cache = make_app()
    app.add_url_rule("/", "index", cache.cached()(lambda: "page"))
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert cache.explain("/").notes == (
        "WSGI middleware is around the application and was not run: ProxyFix",
    )
    traced = Flask.wsgi_app.__get__(app)

    def middleware(environ: Any, start_response: Any) -> Any:
        return traced(environ, start_response)

    middleware.__module__ = "opentelemetry.instrumentation.flask"
    app.wsgi_app = middleware  # type: ignore[method-assign]
    assert cache.explain("/").notes == ()


# What would keep it from being asked for.


def test_conditions_are_asked(make_app: MakeApp) -> None:
    """With the call's arguments, inside of the made-up request; the key is that of the rest."""
    app, cache = make_app()

    def unless(function: Any, *args: Any, **kwargs: Any) -> bool:
        return "uncached" in request.args

    def forced(id: int) -> bool:
        return id == 3

    @app.route("/page/<int:id>")
    @cache.cached(unless=unless, forced_update=forced)
    def page(id: int) -> str:
        return "page"

    assert (cache.explain("/page/1").bypass, cache.explain("/page/1").notes) == ("", ())
    known = cache.explain("/page/1?uncached")
    assert (known.key, known.bypass) == ("view//page/1", "unless")
    assert known.notes == ("unless= is true here, so that the view runs without the cache",)
    known = cache.explain("/page/3")
    assert (known.key, known.bypass) == ("view//page/3", "forced_update")
    cache.disable()
    known = cache.explain("/page/1")
    assert (known.key, known.bypass) == ("view//page/1", "disabled")
    assert "turned off" in known.notes[0]


def test_a_condition_that_raises_is_a_reason(make_app: MakeApp) -> None:
    """The request would fail as well."""
    app, cache = make_app()
    app.add_url_rule("/", "index", cache.cached(unless=lambda: 1 // 0)(lambda: "page"))
    known = cache.explain("/")
    assert known.key is None
    assert known.reason.startswith("ZeroDivisionError")
    assert known.notes == ("raised by unless= or forced_update=",)


# Errors of the application's own code.


def test_errors_before_the_key_maker_are_reasons(make_app: MakeApp) -> None:
    """Of the session's interface, of a preprocessor, of a teardown function."""

    class Away(flask.sessions.SecureCookieSessionInterface):
        def open_session(self, app: Any, request: Any) -> Any:
            raise ConnectionError("no sessions today")

    app, cache = make_app()
    app.add_url_rule("/", "index", cache.cached()(lambda: "page"))
    kept, app.session_interface = app.session_interface, Away()
    known = cache.explain("/")
    assert known.reason == "ConnectionError: no sessions today"
    assert known.notes == (
        "raised before the key was asked for: by a converter, or with the session, say",
    )
    with app.app_context():
        assert cache.explain("/").reason == known.reason
        assert not flask.has_request_context()
    app.session_interface = kept
    assert cache.explain("/").key == "view//"

    @app.teardown_request
    def close(error: Any) -> None:
        g.connection.close()

    known = cache.explain("/")
    assert known.key == "view//"
    assert known.notes[-1].startswith("a teardown function raised AttributeError: ")
    assert not flask.has_app_context()

    @app.url_value_preprocessor
    def fail(endpoint: Any, values: Any) -> None:
        raise LookupError("no such tenant")

    with app.app_context():
        known = cache.explain("/")
    assert (known.key, known.reason) == (None, "LookupError: no such tenant")
    assert known.notes == ("raised by a url_value_preprocessor function",)


def test_a_constructor_that_raises_is_a_reason(make_app: MakeApp) -> None:
    """It is called only for a key maker that is given the object."""
    app, cache = make_app()

    class Show(MethodView):
        def __init__(self, number: int) -> None:
            raise LookupError(f"no number {number}")

        @cache.cached(make_cache_key=lambda self: "key")
        def get(self) -> str:
            return "page"

        @cache.cached(methods=["POST"])
        def post(self) -> str:
            return "page"

        @cache.memoize()
        def put(self) -> str:
            return "page"

    app.add_url_rule("/", view_func=Show.as_view("show", 3))
    known = cache.explain("/")
    assert (known.key, known.reason) == (None, "LookupError: no number 3")
    assert known.notes == ("raised by the constructor of the view class",)
    assert cache.explain("/", "POST").key is not None
    assert cache.explain("/", "PUT").reason == "LookupError: no number 3"


def test_a_coroutine_is_no_key(make_app: MakeApp) -> None:
    """Its text is another one at each call, so that nothing would be found."""
    app, cache = make_app()

    async def make_key() -> str:
        return "key"

    app.add_url_rule("/", "index", cache.cached(make_cache_key=make_key)(lambda: "page"))
    known = cache.explain("/")
    assert known.key is None
    assert "returns a coroutine" in known.reason


def test_an_untrusted_host_is_a_reason(make_app: MakeApp) -> None:
    """What Flask 3.1 refuses before it matches anything."""
    app, cache = make_app()
    if "TRUSTED_HOSTS" not in app.config:
        pytest.skip("Flask has TRUSTED_HOSTS since 3.1")
    app.config["TRUSTED_HOSTS"] = ["shop.example"]
    app.add_url_rule("/", "index", cache.cached()(lambda: "page"))
    assert cache.explain("http://shop.example/").key == "view//"
    known = cache.explain("http://evil.example/")
    assert (known.key, known.status) == (None, 400)
    assert "evil.example" in known.reason


# View objects.


def test_the_view_object_is_the_one_that_flask_would_call(make_app: MakeApp) -> None:
    """Made anew for each request, or kept, as the class says; and made only where needed."""
    app, cache = make_app()
    made: list[str] = []

    class Show(View):
        def __init__(self, name: str) -> None:
            self.name = name
            made.append(name)

        @cache.cached(make_cache_key=lambda self: f"key {self.name} {len(made)}")
        def dispatch_request(self) -> str:
            return "page"

    class Kept(Show):
        init_every_request = False

    class Plain(Show):
        decorators: ClassVar[list[Any]] = [cache.cached()]

        def dispatch_request(self) -> str:
            return "page"

    app.add_url_rule("/show", view_func=Show.as_view("show", "one"))
    assert [cache.explain("/show").key for _ in "ab"] == ["key one 1", "key one 2"]
    made.clear()
    app.add_url_rule("/plain", view_func=Plain.as_view("plain", "two"))
    assert cache.explain("/plain").key == "view//plain"
    assert made == []
    if hasattr(View, "init_every_request"):
        app.add_url_rule("/kept", view_func=Kept.as_view("kept", "three"))
        assert [cache.explain("/kept").key for _ in "ab"] == ["key three 1"] * 2
        assert made == ["three"]


def test_an_object_that_cannot_be_made_is_told(make_app: MakeApp) -> None:
    """An ``as_view`` of the application's own keeps its arguments who knows where."""
    app, cache = make_app()

    class Show:
        def __init__(self, name: str) -> None:
            self.name = name

        @cache.cached(make_cache_key=lambda self: f"key {type(self).__name__}")
        def dispatch_request(self) -> str:
            return "page"

    def view() -> str:
        return str(Show("given").dispatch_request())

    view.view_class = Show  # type: ignore[attr-defined]
    app.add_url_rule("/", "show", view)
    known = cache.explain("/")
    assert known.key == "key Show"
    assert "could not be made" in known.notes[-1]
    assert app.test_client().get("/").text == "page"
    assert keys_of(app, cache) == ["key Show"]


def test_a_member_that_only_its_object_can_ask_for_is_told(make_app: MakeApp) -> None:
    """Each request has a view object of its own, so that no key is ever asked for again."""
    app, cache = make_app()

    class Show(MethodView):
        @cache.memoize()
        def get(self, id: int) -> str:
            return "page"

    app.add_url_rule("/<int:id>", view_func=Show.as_view("show"))
    known = cache.explain("/1")
    assert str(known.key).startswith("memo/")
    assert known.notes[-1] == (
        "each request has a view object of its own, so that no other has this key"
    )


# What the key lacks.


def test_what_the_request_has_and_the_key_lacks_is_listed(make_app: MakeApp) -> None:
    """Nothing of a key that the application's own code has a part in."""
    app, cache = make_app()

    def page(name: str, **options: Any) -> None:
        view = cache.cached(**options)(lambda id: "page")
        app.add_url_rule(f"/{name}/<int:id>", name, view)

    page("plain")
    page("constant", key_prefix="constant")
    page("some", query_string=["a"], vary=["cookie:theme", "Accept"])
    page("all", query_string=True, vary=["Cookie", "Host", "X-Any", "Accept"])
    page("own", make_cache_key=lambda id: "key")
    page("prefix", key_prefix=lambda: "key")
    page("vary", vary=[lambda: "key"])
    app.add_url_rule("/memo/<int:id>", "memo", cache.memoize()(lambda id: "page"))
    headers = {"Cookie": "theme=dark; user=ann", "Accept": "text/html", "X-Any": "1"}
    lacks = {
        name: cache.explain(f"http://x.example/{name}/1?a=1&b=2", headers=headers).missing
        for name in ("plain", "constant", "some", "all", "own", "prefix", "vary", "memo")
    }
    rest = ("cookie theme", "cookie user", "host", "header Accept", "header X-Any")
    assert lacks == {
        "plain": ("query a", "query b", *rest),
        "constant": ("argument id", "query a", "query b", *rest),
        "some": ("query b", "cookie user", "host", "header X-Any"),
        "all": (),
        "own": (),
        "prefix": (),
        "vary": (),
        "memo": ("query a", "query b", *rest),
    }
    assert cache.explain("/plain/1").missing == ()


# Text.


def test_an_explanation_reads_as_text(make_app: MakeApp) -> None:
    """What a person wants to know, one thing a line."""
    app, cache = make_app()

    @app.route("/reports/<int:year>")
    @cache.cached(vary=["Accept-Language"])
    @cache.memoize()
    def report(year: int) -> str:
        return "page"

    headers = {"Accept-Language": "de"}
    text = str(cache.explain("/reports/2026?page=2", headers=headers))
    name = f"{__name__}.test_an_explanation_reads_as_text.<locals>.report"
    lines = text.split("\n")
    assert lines[0] == "GET /reports/2026?page=2"
    assert lines[1].startswith("  key       view//reports/2026#")
    assert lines[2:8] == [
        "  lacks     query page",
        "  endpoint  report  /reports/<int:year>",
        "  arguments year=2026",
        f"  function  {name}",
        "  part      key_prefix              'view/%s'  (key_prefix)",
        "  part      path                    '/reports/2026'  (request.path)",
    ]
    assert lines[8] == (
        "  part      header:Accept-Language  'de'  (request.headers['Accept-Language'])"
    )
    assert lines[9].startswith("  inside    memo/")
    assert len(lines) == 10


def test_a_missing_page_reads_as_text(make_app: MakeApp) -> None:
    """With the rules that are nearest, so that a slip of the finger shows."""
    app, cache = make_app()
    app.add_url_rule("/articles/<int:id>", "article", cache.cached()(lambda id: "page"))
    app.add_url_rule("/articles/", "articles", cache.cached()(lambda: "page"))
    app.add_url_rule("/about", "about", lambda: "page")
    app.add_url_rule("/built/<x>", "built", lambda x: "page", build_only=True)
    assert str(cache.explain("/artikles/17")) == (
        "GET /artikles/17\n"
        "  no key    404: no route matches this URL\n"
        "  note      rules near it: /articles/<int:id> (endpoint article)"
    )
    assert cache.explain("/abuot").notes == ("rules near it: /about (endpoint about)",)
    assert (
        cache.explain("/articles/x")
        .notes[0]
        .startswith("rules near it: /articles/<int:id> (endpoint article)")
    )
    assert cache.explain("/nothing/like/it").notes == ()
    assert cache.explain("/built/1").notes == ()
    assert cache.explain("/" + "x" * 1_000_000).notes == ()


def test_another_host_is_named_as_the_reason(make_app: MakeApp) -> None:
    """The rules near the path say on which host they are."""
    app, cache = make_app(flask={"host_matching": True, "static_host": "static.example"})
    app.add_url_rule("/page", "page", lambda: "page", host="shop.example")
    known = cache.explain("http://other.example/page")
    assert known.notes == ("rules near it: /page (endpoint page, host shop.example)",)
    app, cache = make_app(flask={"subdomain_matching": True}, CACHE_NAME="second")
    app.config["SERVER_NAME"] = "shop.example"
    app.add_url_rule("/page", "page", lambda: "page", subdomain="api")
    known = cache.explain("http://www.shop.example/page")
    assert known.notes == ("rules near it: /page (endpoint page, subdomain api)",)


def test_a_host_that_is_not_the_servers_is_named(make_app: MakeApp) -> None:
    """Werkzeug warns of it; where warnings are errors, that is the reason."""
    app, cache = make_app(flask={"subdomain_matching": True})
    app.config["SERVER_NAME"] = "shop.example"
    app.add_url_rule("/page", "page", lambda: "page", subdomain="api")
    known = cache.explain("http://other.example/page")
    assert "doesn't match configured server name" in known.reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = cache.explain("http://other.example/page")
    assert known.status == 404
    assert (
        known.notes[0] == "the host other.example is not below SERVER_NAME, which is shop.example"
    )


def test_other_answers_of_routing_read_as_text(make_app: MakeApp) -> None:
    """The methods that are accepted, and where a redirect leads."""
    app, cache = make_app()
    app.add_url_rule("/page/", "page", lambda: "page", methods=["GET", "PUT"])
    assert str(cache.explain("/page/", "POST")) == (
        "POST /page/\n"
        "  no key    405: the URL does not accept this method; it accepts GET, HEAD, OPTIONS, PUT"
    )
    assert str(cache.explain("/page?x=1")) == (
        "GET /page?x=1\n  no key    308: the URL redirects to http://localhost/page/?x=1"
    )


def test_hostile_text_cannot_leave_its_line(make_app: MakeApp) -> None:
    """Control and bidirectional characters are shown as escapes, and long values cut."""

    class Rude:
        def __repr__(self) -> str:
            raise LookupError

    known = KeyExplanation(
        "key\n  key       forged\x1b[2J\u202e",
        parts=(),
        endpoint="x\r",
        arguments={"a": "\x00" + "long" * 100, "b": Rude()},
        url="/\x07" + "y" * 1000,
        method="GET",
        notes=("\u2028",),
    )
    text = str(known)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert len(text.split("\n")) == 5
    assert "key\\n  key       forged\\x1b[2J\\u202e" in text
    assert "LookupError in its repr" in text
    assert max(map(len, text.split("\n"))) < 600


# Calls.


@pytest.fixture
def in_request(make_app: MakeApp) -> Iterator[tuple[Flask, Cache]]:
    """An application in the middle of a request for ``/running?a=1``."""
    app, cache = make_app()
    app.add_url_rule("/running", "running", lambda: "page", methods=["GET", "POST"])
    with app.test_request_context("/running?a=1", headers={"Accept": "text/html"}):
        yield app, cache


def test_a_call_of_a_helper_has_all_its_parts(in_request: tuple[Flask, Cache]) -> None:
    """The key that the call stores, and what it is made of."""
    _, cache = in_request

    @cache.cached(key_prefix="helper", query_string=["a"], vary=["Accept", lambda: "x"])
    def helper() -> str:
        return "helped"

    known = cache.explain_call(helper)
    assert names_of(known)[:4] == ["key_prefix", "query", "query:a", "header:Accept"]
    helper()
    assert [info.key for info in iter_keys(cache.cache)] == [known.key]
    assert (known.url, known.endpoint) == ("", None)


@pytest.mark.parametrize("strategy", ["compatible", "strict"])
def test_a_helper_whose_key_is_the_path_follows_the_strategy(
    make_app: MakeApp, strategy: str
) -> None:
    """To store, to tell and to delete: hazard 27."""
    app, cache = make_app(CACHE_KEY_STRATEGY=strategy)
    told: list[Any] = []

    @cache.cached(key_prefix="helper %s")
    def helper() -> str:
        return "helped"

    @app.route("/page", methods=["GET", "POST"])
    def page() -> str:
        told.extend([cache.explain_call(helper).key, helper.make_cache_key()])
        helper()
        return "page"

    @app.route("/forget")
    def forget() -> str:
        return str(cache.delete_cached(helper, path="/page"))

    client = app.test_client()
    client.get("/page")
    assert keys_of(app, cache) == sorted(set(told))
    assert client.get("/forget").text == "True"
    client.get("/page")
    client.post("/page")
    assert len(set(told)) == 1
    with app.test_request_context("/page", method="POST"):
        assert cache.delete_cached(helper)
    assert keys_of(app, cache) == []


def test_a_helper_that_needs_a_request_has_no_key_outside(make_app: MakeApp) -> None:
    """It runs uncached there."""
    app, cache = make_app()
    ran: list[int] = []

    @cache.cached(key_prefix="helper", query_string=True)
    def helper() -> str:
        ran.append(1)
        return "helped"

    @cache.cached(key_prefix="other", vary=[lambda: request.path])
    def other() -> str:
        return "helped"

    known = cache.explain_call(helper)
    assert (known.key, known.bypass) == (None, "no_request")
    assert "outside" in known.reason
    with app.app_context():
        helper()
        helper()
    assert (len(ran), keys_of(app, cache)) == (2, [])
    assert cache.explain_call(other).reason.startswith("CacheError: ") is True


def test_a_call_of_a_view_is_its_first_url(make_app: MakeApp) -> None:
    """The key, the URL and the endpoint; with the arguments that the key maker gets."""
    app, cache = make_app()

    @app.route("/page/<int:id>")
    @cache.cached(make_cache_key=lambda id: f"{id} {request.path}")
    def page(id: int) -> str:
        return "page"

    @app.route("/plain/<int:id>")
    @cache.cached()
    def plain(id: int) -> str:
        return "page"

    known = cache.explain_call(page, 3)
    assert (known.key, known.url, known.endpoint) == ("3 /page/3", "/page/3", "page")
    assert known.arguments == {"id": 3}
    known = cache.explain_call(plain, id=3)
    assert (known.key, known.url) == ("view//plain/3", "/plain/3")
    assert names_of(known) == ["key_prefix", "path"]
    with app.test_request_context("/page/4"):
        assert cache.explain_call(page).key == "4 /page/4"
        assert cache.explain_call(page, id=5).key == "5 /page/5"
    known = cache.explain_call(page)
    assert (known.key, known.reason[:10]) == (None, "CacheError")


def test_calls_of_methods_bring_their_object(make_app: MakeApp) -> None:
    """Bound, of a class, of an instance passed by hand; partials bring their arguments."""
    app, cache = make_app()

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        def __caching_id__(self) -> str:
            return self.name

        @cache.memoize()
        def price(self, id: int, currency: str = "EUR") -> str:
            return self.name

        @classmethod
        @cache.memoize()
        def count(cls, id: int) -> str:
            return cls.__name__

        @staticmethod
        @cache.memoize()
        def tax(id: int) -> str:
            return "tax"

        @cache.cached(make_cache_key=lambda self, id: f"{self.name} {id}")
        def stock(self, id: int) -> str:
            return self.name

    shop = Shop("shop")
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (shop.price, (1,)),
        (Shop.price, (shop, 1, "USD")),
        (Shop.count, (1,)),
        (shop.count, (1,)),
        (Shop.tax, (1,)),
        (shop.tax, (1,)),
        (shop.stock, (1,)),
        (Shop.stock, (shop, 2)),
        (functools.partial(shop.price, 3), ()),
        (functools.partial(Shop.price, shop, currency="USD"), (4,)),
        (wrapped(shop.price), (5,)),
    ]
    for function, args in calls:
        known = cache.explain_call(function, *args)
        assert known.key is not None, known
        with app.app_context():
            cache.clear()
            function(*args)
        assert keys_of(app, cache) == [known.key]
    assert "does not fit" in cache.explain_call(Shop.price, 1).notes[0]
    known = cache.explain_call(Shop.price)
    assert known.key is None
    assert "pass the instance as the first argument" in known.reason
    known = cache.explain_call(shop.price, 1)
    assert (known.arguments["id"], names_of(known)) == (1, ["function", "self", "id", "currency"])


def test_a_call_tells_what_its_identity_is_worth(make_app: MakeApp) -> None:
    """An argument that is nothing but an address; a call that does not fit; a generator."""
    _, cache = make_app()

    class Connection:
        pass

    @cache.memoize()
    def read(connection: Any, x: int = 0) -> str:
        return "read"

    (note,) = cache.explain_call(read, Connection()).notes
    assert note.startswith("connection (")
    assert "no other process" in note
    known = cache.explain_call(read, 1, 2, 3)
    assert "does not fit" in known.notes[0]
    known = cache.explain_call(read, object())
    assert (known.key, known.bypass) == (None, "uncacheable_argument")
    assert names_of(known) == ["function", "connection", "x"]
    assert cache.explain_call(read, 1).notes == ()


def test_a_call_through_two_caches_has_two_keys(make_app: MakeApp) -> None:
    """The outer one's, and the inner one's in it."""
    app, cache = make_app()

    @cache.cached(key_prefix="outer")
    @cache.memoize()
    def read(x: int = 0) -> str:
        return "read"

    known = cache.explain_call(read)
    assert known.key == "outer"
    (inner,) = known.inner
    with app.app_context():
        read()
    assert keys_of(app, cache) == sorted(["outer", str(inner.key)])


def test_conditions_of_a_call_are_asked(make_app: MakeApp) -> None:
    """As those of a view are."""
    _, cache = make_app()

    @cache.memoize(unless=lambda function, x: x > 1)
    def read(x: int) -> str:
        return "read"

    assert cache.explain_call(read, 1).bypass == ""
    assert cache.explain_call(read, 2).bypass == "unless"
    assert cache.explain_call(read, "text").reason.startswith("TypeError")


def test_what_is_not_decorated_has_no_call(make_app: MakeApp) -> None:
    """A mistake of who asks, and so an error."""
    _, cache = make_app()
    with pytest.raises(TypeError, match="not decorated by this cache"):
        cache.explain_call(len, "abc")


# Other caches.


def test_two_caches_on_an_application_explain_their_own(make_app: MakeApp) -> None:
    """Each knows the functions that it decorated, whichever is outermost."""
    app, first = make_app()
    _, second = make_app(app=app, CACHE_NAME="second")

    @app.route("/")
    @first.cached(key_prefix="first")
    @second.cached(key_prefix="second")
    def index() -> str:
        return "page"

    assert [cache.explain("/").key for cache in (first, second)] == ["first", "second"]
    app.test_client().get("/")
    assert [keys_of(app, cache) for cache in (first, second)] == [["first"], ["second"]]


def test_the_key_is_what_overriding_methods_get(make_app: MakeApp) -> None:
    """A subclass may store under another one; the decorator asks for the explained one."""
    asked: list[str] = []

    class Prefixed(Cache):
        def get(self, key: str) -> Any:
            asked.append(key)
            return super().get(f"tenant {key}")

        def set(self, key: str, value: Any, timeout: Any = None) -> Any:
            return super().set(f"tenant {key}", value, timeout)

    app = Flask("overriding")
    cache = Prefixed(app, config={"CACHE_TYPE": "SimpleCache"})
    app.add_url_rule("/", "index", cache.cached()(lambda: "page"))
    assert app.test_client().get("/").text == "page"
    assert asked[0] == cache.explain("/").key
    assert keys_of(app, cache) == [f"tenant {cache.explain('/').key}"]


@pytest.mark.parametrize("root", ["/mounted", "/mounted/"])
def test_an_absolute_url_has_the_script_root_in_it(make_app: MakeApp, root: str) -> None:
    """As a browser shows it; a path alone is one below the root."""
    app, cache = make_app(CACHE_KEY_STRATEGY="strict")
    app.config["APPLICATION_ROOT"] = root
    app.add_url_rule("/page", "page", cache.cached()(lambda: "page"))
    below = cache.explain("/page")
    assert below.key is not None
    assert cache.explain("http://localhost/mounted/page").key == below.key
    assert cache.explain("http://localhost/page").key == below.key
    assert cache.explain("http://localhost/rooted/page").status == 404
    app.test_client().get("/page")
    assert keys_of(app, cache) == [below.key]
