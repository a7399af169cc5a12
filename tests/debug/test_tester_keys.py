"""The key that is explained is the key in the store, for every way a view can be cached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, g, request, session
from hypothesis import given, settings
from hypothesis import strategies as st
from tester_ways import DECORATORS, UNANSWERED, WAYS, Site, Way

from flask_caching import Cache, KeyExplanation
from flask_caching.backends.base import iter_keys

MakeApp = Callable[..., tuple[Flask, Cache]]

#: Ends what keys of versions are called.
_VERSION = "_memver"


def keys_of(cache: Cache) -> list[str]:
    """The keys in the store, versions left out, sorted."""
    backend: Any = cache.cache
    return sorted(info.key for info in iter_keys(backend) if not info.key.endswith(_VERSION))


def explain(site: Site, way: Way) -> KeyExplanation:
    """The explanation of a way's request."""
    return site.cache.explain(way.url, way.method, **way.sent())


def client_of(app: Flask) -> Any:
    """A client that sends no cookies and no headers of its own."""
    client = app.test_client(use_cookies=False)
    client.environ_base = {"REMOTE_ADDR": "127.0.0.1"}
    return client


def send(site: Site, way: Way) -> Any:
    """Send a way's request."""
    client = client_of(site.app)
    return client.open(way.url, method=way.method, **way.sent())


def all_keys(explained: KeyExplanation) -> list[str]:
    """The keys that a request was explained to have, sorted."""
    return sorted(str(each.key) for each in (explained, *explained.inner))


@pytest.mark.parametrize("strategy", ["compatible", "strict"])
@pytest.mark.parametrize("name", WAYS)
def test_the_explained_key_is_the_key_in_the_store(
    make_app: MakeApp, name: str, strategy: str
) -> None:
    """It alone, with those of the caches inside; and the view did not run to find out."""
    way = WAYS[name]
    site = way.site(make_app, CACHE_KEY_STRATEGY=strategy)
    explained = explain(site, way)
    assert explained.reason == ""
    assert site.ran == []
    with site.app.app_context():
        assert keys_of(site.cache) == []
    response = send(site, way)
    assert (response.status_code, site.ran) == (200, ["view"])
    with site.app.app_context():
        assert keys_of(site.cache) == all_keys(explained)
    assert send(site, way).data == response.data
    assert site.ran == ["view"]
    assert explain(site, way).key == explained.key


@pytest.mark.parametrize("name", UNANSWERED)
def test_what_has_no_key_has_a_reason(make_app: MakeApp, name: str) -> None:
    """And leaves nothing in the store, if it is sent."""
    way = UNANSWERED[name]
    site = way.site(make_app)
    explained = explain(site, way)
    assert explained.key is None
    assert way.reason in explained.reason
    assert (explained.bypass, explained.status) == (way.bypass, way.status)
    assert site.ran == []
    if way.sends:
        response = send(site, way)
        if way.status is not None:
            assert response.status_code == way.status
    with site.app.app_context():
        assert [key for key in keys_of(site.cache) if key != "helper"] == []


#: Requests that are told apart by something else each.
_ON_STORES = [
    "plain GET '/page/1'",
    "path_with_newlines GET '/a%0D%0AX-Injected:%201'",
    "any_path GET '/%C3%BC/\\xe4 b'",
    "vary_on_a_function GET '/page/1'",
    "bodies POST '/page/1'",
    "method_view POST '/page/1'",
    "memoized_above_cached GET '/page/1'",
]


@pytest.mark.parametrize("name", _ON_STORES)
def test_it_is_the_key_in_every_store(make_app: MakeApp, store: dict[str, Any], name: str) -> None:
    """The store's own prefix, and what it does to keys that it cannot have, are not part of it."""
    way = WAYS[name]
    site = way.site(make_app, **store)
    explained = explain(site, way)
    send(site, way)
    with site.app.app_context():
        for key in all_keys(explained):
            assert site.cache.has(key)
            assert site.cache.delete(key)
    send(site, way)
    assert site.ran == ["view", "view"]


@pytest.mark.parametrize("name", [name for name in WAYS if " GET " in name])
def test_head_has_the_key_of_get(make_app: MakeApp, name: str) -> None:
    """Unless the application's own code looks at the method; and it stores nothing."""
    way = WAYS[name]
    site = way.site(make_app)
    explained = explain(site, way)
    head = site.cache.explain(way.url, "HEAD", **way.sent())
    assert head.method == "HEAD"
    if "make_cache_key" not in [part.name for part in explained.parts]:
        assert head.key == explained.key
    assert site.ran == []


#: Views of objects, classes and partials, each with a key maker of its own.
_BY_ARGUMENTS = [
    f"{builder} GET '/page/1'{more}"
    for builder, more in [
        ("bound_method", ""),
        ("inherited_member", ""),
        ("key_maker_replaced_on_a_member", ""),
        ("member_called_by_super", ""),
        ("members_of_the_class", ""),
        ("members_without_an_object", ""),
        *(("method_of_the_view_object", "'" * number) for number in range(4)),
        ("partial_of_a_bound_method", ""),
        ("partial_view", ""),
    ]
]


@pytest.mark.parametrize("name", _BY_ARGUMENTS)
def test_deletion_and_calls_have_the_same_key(make_app: MakeApp, name: str) -> None:
    """By the view's arguments, without the object that the key maker is given."""
    site = WAYS[name].site(make_app)
    send(site, WAYS[name])
    explained = explain(site, WAYS[name])
    (policy,) = site.cache._registry.policies()
    assert site.cache.explain_call(policy.decorated(), id=1).key == explained.key
    with site.app.app_context():
        assert policy.make_cache_key(id=1) == explained.key
        assert site.cache.delete_cached(policy.decorated(), id=1)
        assert keys_of(site.cache) == []


# Any request to any view.

_NAMES = st.sampled_from(["a", "b", "ab", "ü", "a b", "", "%", "[]"])
_TEXT = st.text(st.sampled_from("ab1 /%+=&;?#.ü\u202e\0"), max_size=6)
_SEGMENT = st.text(st.sampled_from("ab1 %+=&;?#.ü\u202e\0:"), min_size=1, max_size=6)
_QUERY = st.text(st.sampled_from("ab1%+=&;?/.ü[]"), max_size=15)

#: Converters, each with values that it takes.
_CONVERTERS = {
    "<{}>": _SEGMENT,
    "<int:{}>": st.integers(0, 10**20).map(str),
    "<float:{}>": st.floats(0, 1e6).map(lambda number: f"{number:.3f}"),
    "<path:{}>": st.lists(_SEGMENT, min_size=1, max_size=3).map("/".join),
    "<uuid:{}>": st.uuids().map(str),
    "<any(a, 'b c', ü):{}>": st.sampled_from(["a", "b c", "ü"]),
    "<string(length=2):{}>": _SEGMENT,
    "-static-": st.just("-static-"),
}


def _of_request(**kwargs: Any) -> str:
    return (
        f"{request.method} {request.url} {kwargs} {sorted(request.headers)} {request.remote_addr}"
    )


def _of_g(**kwargs: Any) -> str:
    return f"{g.taken} {kwargs} {dict(session)}"


_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "key_prefix": st.sampled_from(
            ["view/%s", "%s", "constant", "%d%s", "%%%s", "", _of_request, lambda: g.taken]
        ),
        "query_string": st.one_of(st.booleans(), st.lists(_NAMES, max_size=2)),
        "ignore_query": st.lists(_NAMES, max_size=2),
        "vary": st.lists(
            st.sampled_from(
                ["Accept", "x-any", "cookie:a", "Host", "Cookie", _of_request, lambda: g.taken]
            ),
            max_size=3,
        ),
        "methods": st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=3),
        "make_cache_key": st.sampled_from([None, _of_request, _of_g, lambda **kwargs: None]),
        "source_check": st.booleans(),
    },
)

_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Accept", "X-Any", "Cookie", "Accept-Language"]),
        st.text(st.sampled_from('ab=;, "/ü'), max_size=8).map(str.strip),
    ),
    max_size=3,
)

_BODIES = st.sampled_from(
    [{}, {"data": "a=1"}, {"data": {"a": ["1", "2"]}}, {"json": [1]}, {"data": b"\0\xff"}]
)


@st.composite
def _urls(draw: Any) -> tuple[str, str]:
    """A rule, and a URL that may match it."""
    kinds = draw(st.lists(st.sampled_from(sorted(_CONVERTERS)), min_size=1, max_size=3))
    rule = "".join(f"/{kind.format(f'arg{number}')}" for number, kind in enumerate(kinds))
    values = [draw(_CONVERTERS[kind]) for kind in kinds]
    path = "".join(f"/{quote(value, safe='/')}" for value in values)
    ends = [("", ""), ("", ""), ("/", "/"), ("/", ""), ("", "/")]
    end, asked = draw(st.sampled_from(ends))
    return rule + end, path + asked


@settings(max_examples=300)
@given(
    urls=_urls(),
    query=_QUERY,
    host=st.sampled_from(["", "http://x.example", "https://[::1]:8080", "http://ü.example:1"]),
    root=st.sampled_from(["/", "/root"]),
    method=st.sampled_from(["GET", "GET", "POST", "PUT"]),
    headers=_HEADERS,
    body=_BODIES,
    options=_OPTIONS,
    strategy=st.sampled_from(["compatible", "strict"]),
    above=st.sampled_from([None, *DECORATORS]),
    assigned=st.booleans(),
)
def test_any_request_has_the_key_that_was_explained(
    urls: tuple[str, str],
    query: str,
    host: str,
    root: str,
    method: str,
    headers: list[tuple[str, str]],
    body: dict[str, Any],
    options: dict[str, Any],
    strategy: str,
    above: str | None,
    assigned: bool,
) -> None:
    """Whatever the rule, the URL, the headers, the body, and whatever the decorator is told."""
    app = Flask("any")
    app.testing, app.secret_key = True, "not a secret"
    app.config["APPLICATION_ROOT"] = root
    app.url_value_preprocessor(lambda endpoint, values: setattr(g, "taken", str(values)))
    cache = Cache(
        app,
        config={
            "CACHE_TYPE": "SimpleCache",
            "CACHE_KEY_STRATEGY": strategy,
            "CACHE_INSTRUMENTATION": None,
        },
    )
    ran: list[str] = []
    maker = options.get("make_cache_key")
    if assigned:
        options = {**options, "make_cache_key": None}
    cached = cache.cached(**options)(lambda **kwargs: ran.append("view") or "page")
    if assigned and maker is not None:
        cached.make_cache_key = maker
    view = cached if above is None else DECORATORS[above](cached)
    app.add_url_rule(urls[0], "view", view, methods=["GET", "POST", "PUT"])
    url = f"{host}{urls[1]}?{query}"
    sent = {"headers": headers, **(body if method != "GET" else {})}

    explained = cache.explain(url, method, **sent)
    assert ran == []
    with app.test_request_context("/elsewhere?x=1", headers={"Cookie": "a=elsewhere"}):
        assert cache.explain(url, method, **sent) == explained
    response = client_of(app).open(url, method=method, **sent)
    with app.app_context():
        stored = keys_of(cache)
    assert stored == ([] if explained.key is None else [explained.key])
    assert (explained.key is None) == bool(explained.reason)
    assert ran == (["view"] if explained.status is None else [])
    assert response.status_code == (explained.status or 200)


_ANY_TEXT = st.one_of(
    st.text(max_size=30),
    st.text(st.sampled_from("/:@[]?#%.a1\\ \r\n\t\0\ud800\u202e"), max_size=20),
    st.text(st.sampled_from("/:@[]?#%.a1"), max_size=12).map(lambda text: f"http://{text}"),
)


@settings(max_examples=500)
@given(url=_ANY_TEXT, method=_ANY_TEXT, name=_ANY_TEXT, value=_ANY_TEXT)
def test_any_text_is_answered(url: str, method: str, name: str, value: str) -> None:
    """Whatever is typed in: an explanation never raises, and prints on lines of its own."""
    app = Flask("text")
    config = {"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None}
    cache = Cache(app, config={**config, "CACHE_KEY_STRATEGY": "strict"})
    app.add_url_rule("/<path:rest>", "view", cache.cached()(lambda rest: "page"))
    for known in (
        cache.explain(url),
        cache.explain("/page", method),
        cache.explain("/page", headers={name: value}),
    ):
        assert (known.key is None) == bool(known.reason)
        lines = str(known).split("\n")
        assert all(line.isprintable() for line in lines)
        assert [line[:2] for line in lines[1:]] == ["  "] * (len(lines) - 1)
