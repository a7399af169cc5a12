"""The audit on applications that are odd: it neither fails nor says what is not so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import Flask, abort, g, request, session
from flask.sessions import SessionInterface, SessionMixin
from flask.views import MethodView, View
from tester_ways import WAYS, Way
from werkzeug.datastructures import CallbackDict
from werkzeug.routing import BaseConverter, Rule

from flask_caching import Cache
from flask_caching_instrumentation.auditing import AuditReport, audit
from flask_caching_instrumentation.recording import Reading


def new_app(config: dict[str, Any] | None = None, **flask: Any) -> tuple[Flask, Cache]:
    app = Flask("odd", **flask)
    app.secret_key = "not a secret"
    app.config.update(config or {})
    return app, Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})


def _answer(text: str) -> str:
    return text


def found(report: AuditReport) -> set[tuple[str, str, str]]:
    """What was found, but for the list of what each key does not depend on."""
    return {
        (each.rule, each.target, each.input)
        for each in report.findings
        if each.rule != "not-in-key"
    }


#: One request to each small application of the tester, which are all the ways to cache a view.
_BUILDERS = {way.build: way for way in WAYS.values()}


@pytest.mark.parametrize("way", _BUILDERS.values(), ids=lambda way: way.build.__name__)
def test_whatever_way_a_view_is_cached_it_is_audited_and_nothing_is_made_up(
    way: Way, make_app: Callable[..., tuple[Flask, Cache]]
) -> None:
    """Each error is so by the cache's own word: two URLs, other arguments, one key."""
    site = way.site(make_app, CACHE_INSTRUMENTATION=None)
    report = audit(site.cache, execute=True)
    assert report.routes > 0
    for error in report.errors:
        assert error.rule in ("constant-key", "forgotten-argument")
        assert error.demonstration is not None
        halves = (error.demonstration.first.request, error.demonstration.second.request)
        known = [site.cache.explain(half.url, half.method) for half in halves if half is not None]
        assert [each.key for each in known] == [error.demonstration.key] * 2
        assert known[0].arguments != known[1].arguments


def test_a_constant_prefix_with_something_else_in_the_key_names_what_is_lost() -> None:
    """The language counts, by ``vary``; the number does not."""
    app, cache = new_app()

    def language() -> Any:
        return (request.view_args or {})["language"]

    view = cache.cached(key_prefix="page", vary=[language])(lambda language, number: "x")
    app.add_url_rule("/<language>/<int:number>", "page", view)
    report = audit(cache)
    assert found(report) == {("constant-key", "page", "number")}
    assert "that differ in 'number' have one key" in report.errors[0].message


def test_an_application_without_routes_has_no_findings() -> None:
    """Nor one request."""
    _, cache = new_app(static_folder=None)
    report = audit(cache)
    assert (report.findings, report.routes, report.requests) == ((), 0, 0)


def test_a_cache_that_turns_on_later_is_audited_all_the_same() -> None:
    """Also one that keeps nothing."""
    app = Flask("odd")
    cache = Cache(
        app,
        config={
            "CACHE_TYPE": "NullCache",
            "CACHE_NO_NULL_WARNING": True,
            "CACHE_ENABLED": False,
            "CACHE_INSTRUMENTATION": None,
        },
    )
    app.add_url_rule("/<int:number>", "page", cache.cached(key_prefix="page")(lambda number: "x"))
    assert found(audit(cache)) == {("constant-key", "page", "number")}


# Views.


def test_views_as_flask_restful_makes_them() -> None:
    """A class's own dispatch, decorators put on at each request, and a wrapper around it all."""
    app, cache = new_app()

    class Resource(MethodView):
        def dispatch_request(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(self, request.method.lower())(*args, **kwargs)

    class Item(Resource):
        @cache.cached()
        def get(self, number: int) -> str:
            return "x"

        @cache.cached(make_cache_key=lambda self, number: "post")
        def post(self, number: int) -> str:
            return "x"

    def output(resource: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(resource)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return resource(*args, **kwargs)

        return wrapper

    app.add_url_rule("/<int:number>", view_func=output(Item.as_view("item")))
    report = audit(cache)
    assert found(report) == {("forgotten-argument", "item", "number")}
    (error,) = report.errors
    assert error.demonstration is not None
    assert error.demonstration.first.request is not None
    assert error.demonstration.first.request.method == "POST"
    assert report.routes == 2


def test_a_memoized_method_of_a_view_is_one_of_a_new_object_each_time() -> None:
    """So nothing is ever found again."""
    app, cache = new_app()

    class Item(MethodView):
        @cache.memoize()
        def get(self, number: int) -> str:
            return "x"

    app.add_url_rule("/<int:number>", view_func=Item.as_view("item"))
    rules = {rule for rule, *_ in found(audit(cache))}
    assert rules == {"address-identity", "unstable-key"}


def test_views_that_are_no_plain_functions() -> None:
    """Partials, bound methods, callable objects, coroutines."""
    app, cache = new_app()

    class Called:
        def __init__(self, function: Callable[..., Any]) -> None:
            self.function = function

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.function(*args, **kwargs)

    class Holder:
        @cache.cached()
        def page(self, number: int) -> str:
            return "x"

    async def coroutine(number: int) -> str:
        return "x"

    views: dict[str, Any] = {
        "called": Called(cache.cached()(lambda number: "x")),
        "partial": functools.partial(cache.memoize()(lambda first, number: "x"), 5),
        "bound": Holder().page,
        "coroutine": cache.cached()(coroutine),
    }
    for name, view in views.items():
        app.add_url_rule(f"/{name}/<int:number>", name, view)
    report = audit(cache)
    assert found(report) == set()
    assert report.routes == 4


def test_arguments_that_a_decorator_renames_cannot_be_asked_about() -> None:
    """The key maker gets others than the route has: said, not guessed."""
    app, cache = new_app()

    def load(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def wrapper(number: int) -> Any:
            return view(item=number)

        return wrapper

    view = cache.cached(make_cache_key=lambda item: f"item:{item}")(lambda item: "x")
    app.add_url_rule("/<int:number>", "renamed", load(view))
    assert found(audit(cache)) == {("key-maker-raised", "renamed", "")}


def test_stacked_caches_are_both_audited() -> None:
    """The outer one knows the argument; the inner one forgets it."""
    app, cache = new_app()

    @app.route("/<int:number>")
    @cache.cached()
    @cache.memoize(args_to_ignore=["number"])
    def page(number: int) -> str:
        return "x"

    report = audit(cache)
    assert found(report) == {("forgotten-argument", "page", "number")}
    (error,) = report.errors
    assert error.demonstration is not None
    assert error.demonstration.key.startswith("memo/")


@pytest.mark.parametrize("decorated", ["get", "dispatch_request"])
def test_a_check_inside_of_a_cached_view_class_is_found(decorated: str) -> None:
    """Of the method that the request is for; not of another one."""
    app, cache = new_app()

    def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return wrapper

    def answer(self: Any) -> str:
        return "x"

    class Own(MethodView if decorated == "get" else View):  # type: ignore[misc]
        decorators: ClassVar[list[Any]] = [cache.cached()]

    class Other(MethodView):
        decorators: ClassVar[list[Any]] = [cache.cached()]

        def get(self) -> str:
            return "x"

        @login_required
        def post(self) -> str:
            return "x"

    inside = type("Inside", (Own,), {decorated: login_required(answer)})
    app.add_url_rule("/inside", view_func=inside.as_view("inside"))
    app.add_url_rule("/other", view_func=Other.as_view("other"))
    assert {(rule, target) for rule, target, _ in found(audit(cache))} == {("above-auth", "inside")}


# Routes.


def test_rules_that_no_request_matches_are_left_out() -> None:
    """For building only, for websockets, redirects, aliases; an endpoint without a view."""
    app, cache = new_app()
    app.add_url_rule("/page/<int:number>/", "page", cache.cached()(lambda number: "x"))
    for path, options in (
        ("/build", {"build_only": True}),
        ("/socket", {"websocket": True}),
        ("/old", {"redirect_to": "/page/<number>/"}),
        ("/alias", {"alias": True}),
    ):
        app.url_map.add(Rule(f"{path}/<int:number>", endpoint="page", **options))
    app.url_map.add(Rule("/nowhere/<int:number>", endpoint="nowhere"))
    report = audit(cache, execute=True)
    assert (found(report), report.routes) == (set(), 1)


def test_defaults_that_redirect_are_no_collision() -> None:
    """``/list`` is ``/list/1``, and both lead to one page."""
    app, cache = new_app()

    @app.route("/list", defaults={"page": 1})
    @app.route("/list/<int:page>")
    @cache.cached(make_cache_key=lambda page: f"list:{page}")
    def listing(page: int) -> str:
        return "x"

    @app.route("/names/")
    @app.route("/names/<name>")
    @cache.cached(key_prefix="names/%s")
    def names(name: str | None = None) -> str:
        return "x"

    report = audit(cache)
    assert (found(report), report.routes) == (set(), 4)


def test_one_view_under_two_rules_and_two_endpoints() -> None:
    """With one key for the same arguments it shows the same page, which is only to be known."""
    app, cache = new_app()
    view = cache.cached(make_cache_key=lambda number: f"page:{number}")(lambda number: "x")
    app.add_url_rule("/a/<int:number>", "one", view)
    app.add_url_rule("/b/<int:number>", "one", view)
    app.add_url_rule("/c/<int:number>", "other", view)
    report = audit(cache)
    assert found(report) == {("aliased-view", "other", "")}
    assert report.errors == ()


def test_methods_of_one_url_may_be_views_of_their_own() -> None:
    """GET and POST keep apart by the decorator's own key; a key maker that does not, is found."""
    app, cache = new_app()
    app.add_url_rule("/a", "get", cache.cached(key_prefix="a")(lambda: "x"), methods=["GET"])
    app.add_url_rule(
        "/a", "post", cache.cached(key_prefix="a", methods=["POST"])(lambda: "x"), methods=["POST"]
    )
    app.add_url_rule("/b", "uncached", cache.cached()(lambda: "x"), methods=["POST"])
    assert found(audit(cache)) == set()
    for method in ("GET", "POST"):
        view = cache.cached(make_cache_key=lambda: "c")(functools.partial(_answer, method))
        app.add_url_rule("/c", f"c_{method.lower()}", view, methods=[method])
    assert found(audit(cache)) == {("shared-key", "c_post", "")}


def test_arguments_that_a_preprocessor_takes_away_count() -> None:
    """The view has its language from ``g``: whoever forgets that in the key mixes languages."""
    app, cache = new_app()

    @app.url_value_preprocessor
    def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.lang = (values or {}).pop("lang", None)

    def add(name: str, make: Callable[..., Any] | None) -> None:
        view = cache.cached(make_cache_key=make)(lambda **arguments: "x")
        app.add_url_rule(f"/<lang>/{name}/<int:number>", name, view)

    add("by_path", None)
    add("by_g", lambda number: repr(("by_g", g.lang, number)))
    add("forgets", lambda number: repr(("forgets", number)))
    assert found(audit(cache)) == {("forgotten-argument", "forgets", "lang")}


def test_a_preprocessor_that_makes_two_values_one_makes_one_page() -> None:
    """What the view gets is what counts."""
    app, cache = new_app()

    @app.url_value_preprocessor
    def lower(endpoint: str | None, values: dict[str, Any] | None) -> None:
        for name, value in (values or {}).items():
            values[name] = value.lower()  # type: ignore[index]

    view = cache.cached(make_cache_key=lambda name: f"tag:{name.lower()}")(lambda name: "x")
    app.add_url_rule("/<name>", "tag", view)
    assert found(audit(cache)) == set()


def test_subdomains_are_part_of_the_route() -> None:
    """A key of the path alone is one for all tenants; the core refuses, and the report says so."""
    app, cache = new_app({"SERVER_NAME": "example.test"}, subdomain_matching=True)
    app.add_url_rule("/", "good", cache.cached(vary=["Host"])(lambda **a: "x"), subdomain="<who>")
    app.add_url_rule("/bad", "bad", cache.cached()(lambda **a: "x"), subdomain="<who>")
    app.add_url_rule("/page", "own", cache.cached()(lambda: "x"))
    report = audit(cache)
    assert found(report) == {("forgotten-argument", "bad", "who")}
    (error,) = report.errors
    assert "refused" in error.message
    assert error.advice.startswith('vary=["Host"]')
    assert error.demonstration is not None
    assert error.demonstration.command.startswith("flask cache compare http://")


def test_a_server_name_and_a_root_of_the_application() -> None:
    """Requests go where the application says that it is."""
    app, cache = new_app({"SERVER_NAME": "example.test:8080", "APPLICATION_ROOT": "/below"})
    app.add_url_rule("/page/<int:number>", "page", cache.cached()(lambda number: "x"))
    report = audit(cache, execute=True)
    assert (found(report), report.routes, report.notes) == (set(), 1, ())


def test_converters_of_ones_own() -> None:
    """Values are made of their expressions; what takes none is said not to be checked."""
    app, cache = new_app()

    class Code(BaseConverter):
        regex = r"[a-z]{3}\d{2,4}"

        def to_python(self, value: str) -> dict[str, str]:
            return {"code": value}

        def to_url(self, value: dict[str, str]) -> str:
            return value["code"]

    class Broken(BaseConverter):
        def to_python(self, value: str) -> Any:
            raise RuntimeError("the database is down")

    app.url_map.converters.update(code=Code, broken=Broken)
    app.add_url_rule("/a/<code:code>", "code", cache.cached(key_prefix="a")(lambda code: "x"))
    app.add_url_rule("/b/<broken:row>", "broken", cache.cached(key_prefix="b")(lambda row: "x"))
    report = audit(cache, execute=True)
    assert found(report) == {("constant-key", "code", "code")}
    assert any("/b/<broken:row> was not checked" in note for note in report.notes)


# Key makers.


def test_what_before_request_would_have_set_is_made_up() -> None:
    """The key is audited all the same; the report says with what."""
    app, cache = new_app()

    @app.before_request
    def set_tenant() -> None:
        g.tenant = {"id": 7}

    def cached(make: Callable[..., Any]) -> Any:
        return cache.cached(make_cache_key=make)

    def add(name: str, make: Callable[..., Any]) -> None:
        app.add_url_rule(f"/{name}/<int:number>", name, cached(make)(lambda number: "x"))

    add("knows", lambda number: repr((g.tenant["id"], number)))
    add("forgets", lambda number: repr(("forgets", g.tenant["id"])))
    report = audit(cache)
    assert found(report) == {("forgotten-argument", "forgets", "number")}
    assert any("made-up g.tenant" in note for note in report.notes)


def test_what_a_key_maker_takes_from_the_request_by_name_is_made_up() -> None:
    """Parameters, cookies, headers, the session, a body in JSON: all by the names in its code."""
    app, cache = new_app()
    makers: dict[str, Callable[..., Any]] = {
        "query": lambda: f"query:{request.args['page']}",
        "cookie": lambda: f"cookie:{request.cookies['theme']}",
        "header": lambda: f"header:{request.headers['X-Tenant']}",
        "session": lambda: f"session:{session['user_id']}",
        "json": lambda: f"json:{(request.get_json() or {})['id']}",
    }
    for name, make in makers.items():
        method = "POST" if name == "json" else "GET"
        view = cache.cached(make_cache_key=make)(lambda: "x")
        app.add_url_rule(f"/{name}", name, view, methods=[method])
    readings = {
        ("view", "query"): Reading({"query:page": 1}, 1),
        ("view", "cookie"): Reading({"cookie:theme": 1}, 1),
        ("view", "header"): Reading({"header:X-Tenant": 1}, 1),
        ("view", "session"): Reading({"session:user_id": 1, "session:other": 1}, 1),
    }
    report = audit(cache, readings=readings)
    assert found(report) == {("read-input", "session", "session:other")}
    assert len(report.notes) == 1 + len(makers)


def test_a_key_maker_that_always_raises_is_told_of() -> None:
    """``abort()`` in it, a mistake in it, a condition that fails."""
    app, cache = new_app()
    decorators = {
        "aborts": cache.cached(make_cache_key=lambda: abort(403)),
        "fails": cache.cached(key_prefix=lambda: 1 // 0),
        "condition": cache.cached(unless=lambda: 1 // 0),
    }
    for name, decorator in decorators.items():
        app.add_url_rule(f"/{name}", name, decorator(lambda: "x"))
    assert found(audit(cache)) == {("key-maker-raised", name, "") for name in decorators}


def test_a_key_maker_with_side_effects_may_have_them() -> None:
    """What it leaves in ``g`` and in the session does not come to another request."""
    app, cache = new_app()
    left: set[str] = set()

    def make(number: int) -> str:
        left.update(g.get("count", ()), session.get("count", ()))
        g.count = session["count"] = ["left"]
        return f"page:{number}"

    view = cache.cached(make_cache_key=make)(lambda number: "x")
    app.add_url_rule("/<int:number>", "page", view)
    assert found(audit(cache)) == set()
    assert left == set()


def test_a_key_that_is_none_is_no_key_to_share() -> None:
    """Such a request runs uncached."""
    app, cache = new_app()
    view = cache.cached(make_cache_key=lambda number: None if number > 5 else f"page:{number}")
    app.add_url_rule("/<int:number>", "page", view(lambda number: "x"))
    assert found(audit(cache)) == set()


def test_requests_that_go_past_the_cache_share_nothing() -> None:
    """``unless=`` keeps away who would get another one's page."""
    app, cache = new_app()
    view = cache.cached(
        make_cache_key=lambda number: "first pages",
        unless=lambda function, number: number != 1,
    )
    app.add_url_rule("/<int:number>", "page", view(lambda number: "x"))
    assert found(audit(cache)) == set()


# Sessions, contexts.


class Kept(CallbackDict, SessionMixin):  # type: ignore[misc, type-arg]
    """A session that the server keeps."""


class ServerSide(SessionInterface):
    """Sessions that only have a number in their cookie."""

    def open_session(self, app: Flask, request: Any) -> Any:
        return Kept()

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        """Keep nothing."""


def test_sessions_that_the_server_keeps() -> None:
    """Two cookies show that a key does not look at them; whether another one does is not known."""
    app, cache = new_app()
    app.session_interface = ServerSide()
    app.add_url_rule("/a", "plain", cache.cached()(lambda: "x"))
    varied = cache.cached(vary=[lambda: session.get("user")])
    app.add_url_rule("/b", "varied", varied(lambda: "x"))
    reading = Reading({"session:user": 1}, 1)
    report = audit(cache, readings={("view", "plain"): reading, ("view", "varied"): reading})
    assert found(report) == {("read-input", "plain", "session:user")}
    (error,) = report.errors
    assert error.demonstration is not None
    first, second = error.demonstration.first.setting, error.demonstration.second.setting
    assert "session['user']" in first
    assert first != second


def test_an_application_without_a_secret_key_has_no_sessions() -> None:
    """An auth check is shown by a header then."""
    app, cache = new_app()
    app.secret_key = None

    def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs) if session.get("user") else abort(401)

        return wrapper

    app.add_url_rule("/a", "page", cache.cached()(login_required(lambda: "x")))
    report = audit(cache)
    assert {rule for rule, *_ in found(report)} == {"above-auth"}
    (error,) = report.errors
    assert error.demonstration is not None
    assert "Authorization" in error.demonstration.command


def test_a_class_of_g_with_slots_and_a_teardown_that_raises() -> None:
    """The findings are told, and that something was wrong at the end."""
    app, cache = new_app()

    class Slotted:
        __slots__ = ("user",)

        def __contains__(self, name: str) -> bool:
            return hasattr(self, name)

    app.app_ctx_globals_class = Slotted  # type: ignore[assignment]

    @app.teardown_appcontext
    def fail(error: BaseException | None) -> None:
        raise RuntimeError("no")

    view = cache.cached(make_cache_key=lambda number: f"{g.user}:{number}")
    app.add_url_rule("/<int:number>", "page", view(lambda number: "x"))
    report = audit(cache)
    assert found(report) == {("key-maker-raised", "page", "")}
    assert "a teardown function of the application raised RuntimeError: no" in report.notes


def test_each_cache_of_an_application_is_audited_by_itself() -> None:
    """Two caches may have one key for two things."""
    app, cache = new_app()
    other = Cache(
        app,
        config={
            "CACHE_TYPE": "SimpleCache",
            "CACHE_NAME": "other",
            "CACHE_INSTRUMENTATION": None,
        },
    )
    app.add_url_rule("/a", "a", cache.cached(key_prefix="one")(lambda: "x"))
    app.add_url_rule("/b", "b", other.cached(key_prefix="one")(lambda: "y"))
    reports = [audit(each) for each in (cache, other)]
    assert [found(report) for report in reports] == [set(), set()]
    assert [report.cache for report in reports] == ["cache", "other"]
    assert [report.routes for report in reports] == [1, 1]
