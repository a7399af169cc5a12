"""Requests side by side: which share a key, in what they differ, and whether it is a mistake."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request

from flask_caching import Cache
from flask_caching_instrumentation.inspection.fields import fields_of
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.model import Comparison, RequestSpec, plain

MakeApp = Callable[..., tuple[Flask, Cache]]


def compare(cache: Cache, *requests: RequestSpec | str) -> Comparison:
    specs = [RequestSpec(each) if isinstance(each, str) else each for each in requests]
    return Inspector(cache).compare(specs)


def add(app: Flask, cache: Cache, rule: str, endpoint: str = "view", **options: Any) -> None:
    view = cache.cached(**options)(lambda **arguments: f"{arguments}")
    app.add_url_rule(rule, endpoint, view, methods=["GET", "POST"])


def differences(comparison: Comparison) -> dict[str, tuple[list[str | None], bool]]:
    return {each.name: (list(each.values), each.in_key) for each in comparison.differences}


# The verdict.


def test_distinct_keys(make_app: MakeApp) -> None:
    """Each has its own, by what they differ in."""
    app, cache = make_app()
    add(app, cache, "/page/<int:number>")
    found = compare(cache, "/page/1", "/page/2", "/page/3")
    assert (found.verdict, found.collision) == ("distinct", False)
    assert found.groups == [[0], [1], [2]]
    assert differences(found) == {"path": (["/page/1", "/page/2", "/page/3"], True)}
    assert found.why == "Each has a key of its own."


def test_one_key_for_what_is_the_same(make_app: MakeApp) -> None:
    """No mistake: the same page, asked for in two ways."""
    app, cache = make_app()
    add(app, cache, "/page/<int:number>")
    found = compare(cache, "/page/1", "/page/1?utm=x")
    assert (found.verdict, found.collision) == ("same", False)
    assert found.groups == [[0, 1]]
    assert differences(found) == {"query:utm": ([None, "x"], False)}
    assert "one entry answers them all" in found.why
    assert "No key depends on query:utm" in found.why


def test_one_key_for_different_arguments_is_a_collision(make_app: MakeApp) -> None:
    """Whose page is whose is told."""
    app, cache = make_app()
    add(app, cache, "/product/<int:number>", key_prefix="product")
    found = compare(cache, "/product/1", "/product/2")
    assert (found.verdict, found.collision) == ("same", True)
    assert "view(number=1), view(number=2)" in found.why
    assert "'product'" in found.why


def test_one_key_for_different_endpoints_is_a_collision(make_app: MakeApp) -> None:
    """Even without arguments."""
    app, cache = make_app()
    add(app, cache, "/one", "one", key_prefix="page")
    add(app, cache, "/two", "two", key_prefix="page")
    found = compare(cache, "/one", "/two")
    assert found.collision
    assert "one(), two()" in found.why


def test_arguments_whose_values_are_hidden_are_told_apart(make_app: MakeApp) -> None:
    """What is not shown is compared all the same."""
    app, cache = make_app()
    add(app, cache, "/reset/<token>", key_prefix="reset")
    found = compare(cache, "/reset/a", "/reset/b")
    assert found.collision
    assert "token=(hidden)" in found.why


def test_long_arguments_are_told_apart(make_app: MakeApp) -> None:
    """Also where only their beginning is shown."""
    app, cache = make_app()
    add(app, cache, "/page/<name>", make_cache_key=lambda name: name[:100])
    found = compare(cache, f"/page/{'x' * 500}1", f"/page/{'x' * 500}2")
    assert found.collision


def test_some_share_a_key(make_app: MakeApp) -> None:
    """Groups are numbered from 0, requests in words from 1."""
    app, cache = make_app()
    add(app, cache, "/page/<int:number>", query_string=["sort"])
    found = compare(cache, "/page/1?sort=a", "/page/1?sort=b", "/page/1?sort=a&x=1")
    assert (found.verdict, found.collision) == ("mixed", False)
    assert found.groups == [[0, 2], [1]]
    assert "Requests 1 and 3 share one key" in found.why
    assert differences(found) == {
        "query:sort": (["a", "b", "a"], True),
        "query:x": ([None, None, "1"], False),
    }


def test_a_request_without_a_key_cannot_be_compared(make_app: MakeApp) -> None:
    """Why it has none is told; the others are compared."""
    app, cache = make_app()
    add(app, cache, "/x")
    found = compare(cache, "/x", "/nowhere", RequestSpec("/x", "POST"))
    assert (found.verdict, found.groups, found.collision) == ("incomparable", [[0]], False)
    assert "Requests 2 and 3 have no key. 404" in found.why
    assert len(found.explanations) == 3


def test_all_without_a_key(make_app: MakeApp) -> None:
    """There is nothing to share."""
    _, cache = make_app()
    found = compare(cache, "/a", "not a URL")
    assert (found.verdict, found.groups, found.collision) == ("incomparable", [], False)


@pytest.mark.parametrize("count", [0, 1, 21, 1000])
def test_two_to_twenty_can_be_compared(count: int, make_app: MakeApp) -> None:
    """Others are an error of whoever asks."""
    _, cache = make_app()
    with pytest.raises(ValueError, match="2 to 20"):
        compare(cache, *["/x"] * count)


# In what they differ.


def test_every_part_of_a_request_can_differ(make_app: MakeApp) -> None:
    """And each is tried by itself."""
    app, cache = make_app()
    add(app, cache, "/x", vary=["Accept-Language", "cookie:theme"], methods=["GET", "POST"])
    found = compare(
        cache,
        RequestSpec(
            "/x",
            "POST",
            host="one.example",
            headers=[("Accept-Language", "de"), ("Accept", "text/html")],
            cookies=[("theme", "dark"), ("id", "1")],
            body="a=1",
            content_type="application/x-www-form-urlencoded",
        ),
        RequestSpec(
            "/x?q=1",
            "POST",
            host="two.example",
            headers=[("accept-language", "fr"), ("ACCEPT", "text/html")],
            cookies=[("theme", "light"), ("id", "2")],
            body="a=2",
            content_type="text/plain",
        ),
    )
    assert {name: in_key for name, (_, in_key) in differences(found).items()} == {
        "host": False,
        "query:q": False,
        "header:Accept-Language": True,
        "cookie:theme": True,
        "cookie:id": False,
        "body": True,
        "content_type": True,
    }


def test_a_method_that_has_no_key_is_not_in_one(make_app: MakeApp) -> None:
    """HEAD shares the key of GET, and POST has none."""
    app, cache = make_app()
    add(app, cache, "/x")
    found = compare(cache, RequestSpec("/x"), RequestSpec("/x", "HEAD"))
    assert found.verdict == "same"
    assert differences(found) == {"method": (["GET", "HEAD"], False)}
    found = compare(cache, RequestSpec("/x"), RequestSpec("/x", "POST"))
    assert differences(found) == {"method": (["GET", "POST"], False)}


def test_a_key_maker_of_ones_own_is_tried(make_app: MakeApp) -> None:
    """What it depends on does not show in the parts of its key."""
    app, cache = make_app()
    add(
        app,
        cache,
        "/<int:number>/<name>",
        make_cache_key=lambda number, name: f"{number}{request.headers.get('X-Shop')}",
    )
    found = compare(
        cache,
        RequestSpec("/1/a?q=1", headers=[("X-Shop", "1"), ("X-Other", "1")]),
        RequestSpec("/1/b?q=2", headers=[("X-Shop", "2"), ("X-Other", "2")]),
    )
    assert {name: in_key for name, (_, in_key) in differences(found).items()} == {
        "path": False,
        "query:q": False,
        "header:X-Shop": True,
        "header:X-Other": False,
    }


def test_the_scheme_is_a_part_of_an_absolute_url(make_app: MakeApp) -> None:
    """A path has none."""
    app, cache = make_app()
    add(app, cache, "/x")
    found = compare(cache, "http://shop.example/x", "https://shop.example/x")
    assert differences(found) == {"scheme": (["http", "https"], False)}
    found = compare(cache, "/x", "https://shop.example/x")
    assert differences(found)["scheme"] == ([None, "https"], False)


def test_secrets_are_hidden(make_app: MakeApp) -> None:
    """That they differ is shown, and not how."""
    app, cache = make_app()
    add(app, cache, "/x", vary=["Authorization"])
    found = compare(
        cache,
        RequestSpec("/x?token=hush", headers=[("Authorization", "Bearer hush")]),
        RequestSpec("/x", headers=[("Authorization", "Bearer other")]),
    )
    assert differences(found) == {
        "query:token": (["(hidden)", None], False),
        "header:Authorization": (["(hidden)", "(hidden)"], True),
    }


def test_the_same_request_twice_differs_in_nothing(make_app: MakeApp) -> None:
    """However it is written."""
    app, cache = make_app()
    add(app, cache, "/x", query_string=True)
    found = compare(
        cache,
        RequestSpec("/x?a=1", headers=[("X-Shop", "1"), ("Cookie", "a=b")]),
        RequestSpec("/x?a=1#here", "get", headers=[("x-shop", "1")], cookies=[("a", "b")]),
    )
    assert (found.verdict, found.differences) == ("same", [])


def test_twenty_are_compared_in_a_bounded_time(make_app: MakeApp) -> None:
    """With a slow key maker, and much to differ in."""

    def key() -> str:
        time.sleep(0.01)
        return request.args.get("p1", "")

    app, cache = make_app()
    add(app, cache, "/x", make_cache_key=key)
    query = "&".join(f"p{number}={{0}}" for number in range(30))
    begun = time.perf_counter()
    found = compare(cache, *[f"/x?{query.format(number)}" for number in range(20)])
    assert time.perf_counter() - begun < 5
    assert found.verdict == "distinct"
    assert differences(found)["query:p1"][1]
    plain(found)


# A request taken apart.


@pytest.mark.parametrize(
    "request_spec",
    [
        RequestSpec("/x"),
        RequestSpec("/x?a=1&a=3&b=2", "POST", body="b", content_type="text/plain"),
        RequestSpec("https://shop.example:8080/x?a=%20b", headers=[("A", "1"), ("B", "2")]),
        RequestSpec("/x", host="shop.example", cookies=[("a", "1"), ("b", "2")]),
    ],
)
def test_a_request_comes_back_from_its_parts(request_spec: RequestSpec) -> None:
    """So that changing one leaves all else as it was."""
    fields = fields_of(request_spec)
    assert fields_of(fields.spec()) == fields
    for name in fields.named():
        assert fields.with_part(name, fields) == fields


def test_repeated_parameters_are_one_part() -> None:
    """With all their values, exchanged together and at their place."""
    one = fields_of(RequestSpec("/x?a=1&b=2&a=3"))
    other = fields_of(RequestSpec("/x?a=4&b=5"))
    assert one.named()["query:a"] == "1, 3"
    assert one.with_part("query:a", other).query == (("a", "4"), ("b", "2"))
    assert other.with_part("query:a", one).query == (("a", "1"), ("a", "3"), ("b", "5"))
    assert one.with_query("a", None).query == (("b", "2"),)
    assert one.with_query("b", "x").query == (("a", "1"), ("b", "x"), ("a", "3"))
