"""Keys of views by their query string: the quick way makes the same as the explained one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, Request, request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import ImmutableMultiDict

from flask_caching import Cache
from flask_caching.keys import KeySpec, request_for, view_key, view_parts

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
PAIRS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]) | TEXTS, TEXTS), max_size=5)
SPECS = [
    KeySpec(query=True),
    KeySpec(query=("a", "b")),
    KeySpec(query=True, ignore_query=frozenset({"a"})),
    KeySpec(ignore_query=frozenset({"b"})),
    KeySpec(prefix="search", query=True),
    KeySpec(prefix="100%% of %s", query=True),
    KeySpec(query=True, whole_request=False),
]


@given(st.sampled_from(SPECS), st.lists(PAIRS, min_size=1, max_size=4))
def test_the_quick_key_is_the_explained_one(
    spec: KeySpec, queries: list[list[tuple[str, str]]]
) -> None:
    """For any query, whether it was met before or not."""
    for number, pairs in enumerate((*queries, *queries)):
        asked = request_for("/path", urlencode(pairs))
        if number % 2:
            _ = asked.args  # as somebody may have who came before
        assert view_key(spec, asked) == view_parts(spec, request_for("/path", urlencode(pairs)))[0]


def cached_by_query(app: Flask) -> Any:
    """A client of an application with a view that counts its runs by what it was asked."""
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})

    @app.get("/")
    @cache.cached(query_string=True)
    def page() -> str:
        return ",".join(f"{name}={value}" for name, value in request.args.items(multi=True))

    return app.test_client()


def test_parameters_that_the_application_replaced_are_those_that_count() -> None:
    """What ``request.args`` says counts, not what the query string said."""
    app = Flask("replaced")

    @app.before_request
    def replace() -> None:
        if request.headers.get("X-Page"):
            request.args = ImmutableMultiDict({"page": request.headers["X-Page"]})  # type: ignore[misc]

    client = cached_by_query(app)
    answers = [
        client.get("/?page=1", headers=headers).text for headers in ({}, {"X-Page": "2"}, {})
    ]
    assert answers == ["page=1", "page=2", "page=1"]


def test_a_request_class_that_parses_its_own_way_is_asked() -> None:
    """Its parameters may depend on more than the query string."""

    class ByHeader(Request):
        @property
        def args(self) -> Any:
            return ImmutableMultiDict({"page": self.headers.get("X-Page", "1")})

    app = Flask("by header")
    app.request_class = ByHeader
    client = cached_by_query(app)
    answers = [
        client.get("/?page=0", headers={"X-Page": page}).get_data(as_text=True) for page in "1221"
    ]
    assert answers == ["page=1", "page=2", "page=2", "page=1"]


def test_two_request_classes_do_not_share_what_was_parsed() -> None:
    """One may take other parameters from the same query string."""

    class OnlyFirst(ImmutableMultiDict):  # type: ignore[type-arg]
        def items(self, multi: bool = False) -> Any:
            return super().items(multi=False)

    class First(Request):
        parameter_storage_class = OnlyFirst

    spec = KeySpec(query=True)
    plain = request_for("/", "a=1&a=2")
    first = First(plain.environ)
    assert view_key(spec, plain) != view_key(spec, first)
    assert view_key(spec, First(request_for("/", "a=1").environ)) == view_key(spec, first)


@pytest.mark.parametrize("length", [10, 10_000])
def test_what_is_remembered_of_queries_is_bounded(length: int) -> None:
    """However many there are, and however long."""
    spec = KeySpec(query=True)
    for number in range(3000):
        view_key(spec, request_for("/", f"q={number:0{length}}"))
    assert len(spec.digests) <= 512
    assert all(len(query) <= 512 for _, query in spec.digests)
