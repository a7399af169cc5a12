"""Inputs of every kind: those that a function was seen to read, told from those in its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask, abort, g, request, session
from jinja2 import DictLoader

from flask_caching import Cache
from flask_caching_instrumentation.auditing import AuditReport, Finding, audit
from flask_caching_instrumentation.recording import Reading

MakeApp = Callable[..., tuple[Flask, Cache]]


def reading(*inputs: str, varied: frozenset[str] = frozenset()) -> Reading:
    return Reading(dict.fromkeys(inputs, 1), 1, varied)


def read_past(report: AuditReport) -> set[tuple[str, str]]:
    """What was read and is in no key, by target and input."""
    return {(each.target, each.input) for each in report.errors if each.rule == "read-input"}


def shown(finding: Finding) -> set[str]:
    """All that a demonstration's two halves say that differs in them."""
    assert finding.demonstration is not None
    halves = finding.demonstration.first, finding.demonstration.second
    texts = [
        {half.setting, *map(str, half.request.headers), half.request.url, half.request.method}
        | {str(half.request.cookies), half.request.body}
        for half in halves
        if half.request is not None
    ]
    return texts[0] ^ texts[1] if len(texts) == 2 else set()


#: An input, and what makes it part of a key.
INPUTS: dict[str, Callable[[], Any]] = {
    "query:page": lambda: request.args.get("page"),
    "query": lambda: request.query_string,
    "query_order:tag": lambda: request.args.getlist("tag"),
    "header:Accept": lambda: request.headers.get("Accept"),
    "header:Accept-Language": lambda: request.accept_languages.best_match(["de", "fr"]),
    "header:User-Agent": lambda: "Mobile" in request.user_agent.string,
    "header:X-Tenant": lambda: request.headers.get("X-Tenant"),
    "headers": lambda: sorted(request.headers.items()),
    "cookie:theme": lambda: request.cookies.get("theme"),
    "cookies": lambda: dict(request.cookies),
    "session:cart": lambda: len(session.get("cart", ())),
    "session": lambda: dict(session),
    "host": lambda: request.host,
    "remote_addr": lambda: request.remote_addr,
    "remote_user": lambda: request.remote_user,
    "g:user": lambda: getattr(g.get("user"), "id", None),
    "environ:SSL_CLIENT_S_DN": lambda: request.environ.get("SSL_CLIENT_S_DN"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_is_read_must_be_in_the_key(make_app: MakeApp, name: str) -> None:
    """Found where it is not, with two requests that differ in it alone; else not."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/without", "without", cache.cached()(lambda: "x"))
    app.add_url_rule("/with", "with", cache.cached(vary=[INPUTS[name]])(lambda: "x"))
    known = {("view", target): reading(name) for target in ("with", "without")}
    report = audit(cache, readings=known)
    assert read_past(report) == {("without", name)}
    (error,) = report.errors
    assert shown(error)


@pytest.mark.parametrize("name", ["form:colour", "form", "body", "files", "method"])
def test_what_is_sent_counts_where_a_body_is(make_app: MakeApp, name: str) -> None:
    """In the key that the decorator makes of a POST, and not in one of the application's own."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    own = cache.cached(make_cache_key=lambda: "own")(lambda: "x")
    made = cache.cached(methods=["POST", "PUT"])(lambda: "x")
    app.add_url_rule("/own", "own", own, methods=["POST", "PUT"])
    app.add_url_rule("/made", "made", made, methods=["POST", "PUT"])
    known = {("view", target): reading(name) for target in ("own", "made")}
    assert read_past(audit(cache, readings=known)) == {("own", name)}


@pytest.mark.parametrize(
    "name",
    [
        *("scheme", "root", "header:If-None-Match", "header:Range", "header:Traceparent"),
        *("header:Content-Type", "g:db", "request:logger", "environ:paste.throw_errors", "form:a"),
    ],
)
def test_what_makes_no_difference_may_be_read(make_app: MakeApp, name: str) -> None:
    """Links, conditional requests, numbers of traces, connections: no error on a GET."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/page", "page", cache.cached()(lambda: "x"))
    assert audit(cache, readings={("view", "page"): reading(name)}).errors == ()


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("header:Accept", "accept"),
        ("cookie:theme", "cookie"),
        ("session:user", "cookie"),
        ("header:Authorization", "authorization"),
        ("query:page", "*"),
    ],
)
def test_what_the_response_varies_on_is_kept_apart_already(
    make_app: MakeApp, name: str, header: str
) -> None:
    """By ``Vary``, which the cache heeds; or the response is not stored at all."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/page", "page", cache.cached()(lambda: "x"))
    varied = {("view", "page"): reading(name, varied=frozenset([header]))}
    assert audit(cache, readings=varied).errors == ()
    assert read_past(audit(cache, readings={("view", "page"): reading(name)})) == {("page", name)}


def test_what_before_request_sets_on_the_request_is_known_for_plain_keys(make_app: MakeApp) -> None:
    """A key maker that looks at it cannot be asked, so that nothing is said of that."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/plain", "plain", cache.cached()(lambda: "x"))
    made = cache.cached(vary=[lambda: getattr(request, "tenant", None)])
    app.add_url_rule("/made", "made", made(lambda: "x"))
    known = {("view", target): reading("request:tenant") for target in ("plain", "made")}
    report = audit(cache, readings=known)
    assert read_past(report) == {("plain", "request:tenant")}
    assert shown(report.errors[0]) == {"request.tenant = person 1", "request.tenant = person 2"}


def test_what_is_in_the_key_by_way_of_g_is_in_the_key(make_app: MakeApp) -> None:
    """A ``before_request`` function makes the language of a cookie; another cookie it knows not."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)

    @app.before_request
    def choose() -> None:
        g.language = request.cookies.get("language", "en")

    view = cache.cached(vary=[lambda: g.get("language", "en")])(lambda: "x")
    app.add_url_rule("/page", "page", view)
    known = {("view", "page"): reading("cookie:language", "cookie:theme", "g:language")}
    assert read_past(audit(cache, readings=known)) == {("page", "cookie:theme")}


def test_a_load_that_was_never_recorded_says_nothing(make_app: MakeApp) -> None:
    """Then it is not known what is read, and the report says so."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/page", "page", cache.cached()(lambda: "x"))
    report = audit(cache, readings={("view", "page"): Reading({}, 0)})
    (finding,) = report.findings
    assert finding.message.endswith("what it reads is not known")
    report = audit(cache, readings={("view", "page"): Reading({}, 3)})
    assert report.findings[0].message.endswith("none of which was seen to be read")


# Helpers and memoized functions.


@dataclass
class Kept:
    """Functions that a test keeps alive."""

    functions: tuple[Any, ...]


def test_helpers_that_vary_are_told_from_those_that_do_not(make_app: MakeApp) -> None:
    """By their keys inside two requests, also where a key maker wants something of ``g``."""
    _, cache = make_app(CACHE_INSTRUMENTATION=None)

    @cache.cached(key_prefix="plain")
    def plain() -> str:
        return "x"

    @cache.cached(key_prefix="varied", query_string=["page"])
    def varied() -> str:
        return "x"

    @cache.cached(key_prefix="by_tenant", vary=[lambda: g.tenant.id])
    def by_tenant() -> str:
        return "x"

    @cache.cached(key_prefix=lambda: abort(403))
    def failing() -> str:
        return "x"

    @cache.memoize()
    def memoized(number: int, *, unit: str) -> str:
        return "x"

    @cache.memoize(make_name=lambda name: f"{name}.{request.args.get('page')}")
    def by_name(number: int) -> str:
        return "x"

    kept = Kept((plain, varied, by_tenant, failing, memoized, by_name))
    sources = ["view"] * 4 + ["memoize"] * 2
    known = {
        (source, f"{__name__}.{function.__qualname__}"): reading("query:page", "request:tenant")
        for source, function in zip(sources, kept.functions, strict=True)
    }
    report = audit(cache, readings=known)
    found = {(target.rpartition(".")[2], about) for target, about in read_past(report)}
    assert found == {
        ("plain", "query:page"),
        ("plain", "request:tenant"),
        ("varied", "request:tenant"),
        ("by_tenant", "query:page"),
        ("memoized", "query:page"),
        ("memoized", "request:tenant"),
    }
    raised = [each.target for each in report.findings if each.rule == "key-maker-raised"]
    assert [target.rpartition(".")[2] for target in raised] == ["failing"]
    told = [each for each in report.errors if each.input == "query:page"]
    (memo,) = [each for each in told if each.target.endswith(".memoized")]
    assert memo.demonstration is not None
    assert memo.demonstration.first.call.endswith(".memoized(1, unit=1)")


def test_a_helper_with_a_views_key_is_told_of(make_app: MakeApp) -> None:
    """Whoever comes first fills the entry of both."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)

    @app.route("/page")
    @cache.cached(key_prefix="page")
    def page() -> str:
        return "a page"

    @cache.cached(key_prefix="page")
    def helper() -> str:
        return "a part"

    kept = Kept((helper,))
    (error,) = audit(cache).errors
    assert (error.rule, error.target) == ("shared-key", f"{__name__}.{helper.__qualname__}")
    assert "endpoint 'page'" in error.message
    assert error.demonstration is not None
    with app.test_client() as client:
        assert client.get("/page").text == "a page"
    with app.app_context():
        assert kept.functions[0]() == "a page"


# Fragments.


def test_fragments_are_told_apart_by_what_their_tags_say(make_app: MakeApp) -> None:
    """A constant key is one for all; one that names the input has it; any other is unknown."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.jinja_loader = DictLoader(
        {
            "page.html": (
                '{% cache 60, "constant" %}{% endcache %}'
                '{% cache 60, "letters", "a" %}{% endcache %}'
                '{% cache 60, "named", session.get("user") %}{% endcache %}'
                '{% cache 60, "other", page %}{% endcache %}'
                '{% cache 60, "twice" %}{% endcache %}'
                '{% cache 60, "twice", session.user %}{% endcache %}'
                '{% cache 60, "not " ~ "constant" %}{% endcache %}'
                "{% cache 60 %}{% endcache %}"
            ),
            "broken.html": "{% cache %",
            "other.html": "no tags",
        }
    )
    # Those without a name, or with one that is computed, have that of their template and line.
    labels = ("constant", "letters", "named", "other", "twice", "None1", "None1.2", "nowhere")
    known = {("template", label): reading("session:user") for label in labels}
    report = audit(cache, readings=known)
    assert {target for target, _ in read_past(report)} == {"constant", "letters", "None1.2"}
    unknown = [each.target for each in report.information if "cannot be told" in each.message]
    assert set(unknown) == {"other", "twice", "None1", "nowhere"}


def test_a_loader_that_does_not_say_what_it_has_leaves_fragments_unknown(make_app: MakeApp) -> None:
    """So does an application without templates."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.jinja_env.loader = None
    report = audit(cache, readings={("template", "menu"): reading("query:page")})
    assert report.errors == ()
    assert [each.target for each in report.information] == ["menu"]


# Who asks.


@pytest.mark.parametrize(
    "make",
    [
        lambda: session["account"]["id"] if "account" in session else None,
        lambda: session.get("member_number"),
        lambda: request.cookies.get("access"),
        lambda: request.headers.get("X-Member"),
        lambda: getattr(g.get("customer"), "name", None),
        lambda: g.member["id"],
    ],
)
def test_a_check_below_a_key_that_says_who_asks_is_right(
    make_app: MakeApp, make: Callable[[], Any]
) -> None:
    """Wherever the application keeps that: its names are in the code of the key maker."""

    def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return wrapper

    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    app.add_url_rule("/a", "by_user", cache.cached(vary=[make])(login_required(lambda: "x")))
    app.add_url_rule("/b", "for_all", cache.cached()(login_required(lambda: "x")))
    app.add_url_rule("/c", "strangers", cache.cached(unless=make)(login_required(lambda: "x")))
    found = {each.target for each in audit(cache).errors if each.rule == "above-auth"}
    assert found == {"for_all"}
