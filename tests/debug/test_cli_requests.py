"""``flask cache explain`` and ``compare``: the keys of requests that nobody sends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import run
from flask import Flask, request

from flask_caching import Cache

Made = tuple[Flask, Cache]


@pytest.fixture
def shop(make_app: Callable[..., Made], tmp_path: Path) -> Made:
    """Views with one key each way: plain, constant, by header, cookie and body, and none."""
    app, cache = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"))
    app.extensions["ran"] = []

    @app.route("/p/<int:id>")
    @cache.cached(timeout=60)
    def product(id: int) -> str:
        app.extensions["ran"].append(id)
        return f"product {id}"

    @app.route("/bad/<int:id>")
    @cache.cached(timeout=60, key_prefix="bad")
    def bad(id: int) -> str:
        return f"bad {id}"

    @app.route("/many", methods=["GET", "POST"])
    @cache.cached(vary=["Accept-Language", "cookie:theme"], methods=["GET", "POST"])
    def many() -> str:
        return "many"

    @app.route("/talks")
    @cache.cached(make_cache_key=lambda: print("noise", flush=True) or request.host)
    def talks() -> str:
        return "talks"

    @app.route("/plain")
    def plain() -> str:
        return "plain"

    return app, cache


def test_explain_tells_a_person_what_they_need(shop: Made) -> None:
    """The key, whose it is, what it is made of, and what would become of the request."""
    app, _ = shop
    ran = run(app, "explain", "/p/7?page=2")
    assert (ran.code, ran.err) == (0, "")
    shown = ran.out
    assert shown.startswith("GET /p/7?page=2\n  key             view//p/7\n")
    assert "endpoint        product  (/p/<int:id>)" in shown
    assert "arguments       id=7" in shown
    assert "it would be     a miss" in shown
    assert "stored          no" in shown
    assert "not in the key  " in shown
    assert "query page" in shown
    assert "  PART        VALUE    FROM\n  key_prefix  view/%s  key_prefix\n" in shown
    assert app.extensions["ran"] == []


def test_explain_tells_what_is_stored(shop: Made) -> None:
    """A request that would be answered from the cache says for how much longer."""
    app, _ = shop
    app.test_client().get("/p/7")
    shown = run(app, "explain", "/p/7").out
    assert "it would be     a hit" in shown
    assert "stored          yes, for another" in shown


def test_the_explained_key_is_the_one_in_the_store(shop: Made) -> None:
    """With the headers and cookies that the request would have."""
    app, cache = shop
    client = app.test_client()
    client.set_cookie(*_cookie(client, "theme", "dark"))
    client.get("/many", headers={"Accept-Language": "de"})
    document = run(
        app, "explain", "/many", "-H", "Accept-Language: de", "-b", "theme=dark", "--json"
    ).document
    with app.app_context():
        assert cache.has(document["key"])
    other = run(app, "explain", "/many", "-H", "Accept-Language: en", "--json").document
    assert other["key"] != document["key"]


def _cookie(client: Any, name: str, value: str) -> tuple[str, ...]:
    """The arguments of ``set_cookie``, which began with the server's name before Werkzeug 2.3."""
    import inspect

    first = next(iter(inspect.signature(client.set_cookie).parameters))
    return ("localhost", name, value) if first == "server_name" else (name, value)


def test_explain_as_json(shop: Made) -> None:
    """At least key, parts and endpoint, of a 404 as well."""
    app, _ = shop
    document = run(app, "explain", "/p/7", "--json").document
    assert (document["key"], document["endpoint"]) == ("view//p/7", "product")
    assert [part["name"] for part in document["parts"]] == ["key_prefix", "path"]
    document = run(app, "explain", "/nothing", "--json").document
    assert (document["key"], document["endpoint"], document["parts"]) == (None, None, [])
    assert document["status"] == 404


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/nothing"], "404"),
        (["/p/7", "-X", "DELETE"], "405"),
        (["/plain"], "not cached"),
        (["http://[bad/"], ""),
    ],
)
def test_why_there_is_no_key(shop: Made, arguments: list[str], reason: str) -> None:
    """A page that is not there, or not cached, is explained; that is no failure."""
    app, _ = shop
    ran = run(app, "explain", *arguments)
    assert ran.code == 0
    assert reason in ran.out
    assert "  key " not in ran.out


def test_data_makes_a_post(shop: Made) -> None:
    """As with curl; the body and its type are part of the key."""
    app, _ = shop
    ran = run(app, "explain", "/many", "-d", "a=1", "--content-type", "text/plain", "--json")
    assert ran.document["request"]["method"] == "POST"
    other = run(app, "explain", "/many", "-d", "a=2", "--content-type", "text/plain", "--json")
    assert ran.document["key"] != other.document["key"] is not None


@pytest.mark.parametrize("option", [["-H", "no colon"], ["-H", ": value"], ["-b", "theme"]])
def test_options_that_cannot_be_read(shop: Made, option: list[str]) -> None:
    """The message shows the form."""
    app, _ = shop
    ran = run(app, "explain", "/p/1", *option)
    assert ran.code == 2
    assert "is not of the form" in ran.err


def test_what_the_application_prints_is_no_data(shop: Made) -> None:
    """A key maker that prints does not break the JSON document."""
    app, _ = shop
    ran = run(app, "explain", "/talks", "--host", "shop.example", "--json")
    assert ran.document["key"] == "shop.example"
    assert "noise" in ran.err


def test_hostile_text_is_shown_not_sent(shop: Made) -> None:
    """A URL from a log may hold anything."""
    app, _ = shop
    ran = run(app, "explain", "/p/1\x1b[2J?\u202e=\x07")
    assert set("\x1b\u202e\x07").isdisjoint(ran.out + ran.err)


def test_compare_finds_a_collision(shop: Made) -> None:
    """Two products on one key: exit code 1, and what differs is in a table."""
    app, _ = shop
    ran = run(app, "compare", "/bad/1", "/bad/2")
    assert ran.code == 1
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["1", "GET", "/bad/1", "bad", "A", "bad"] in rows
    assert ["2", "GET", "/bad/2", "bad", "A", "bad"] in rows
    assert ["path", "no", "/bad/1", "/bad/2"] in rows
    assert "share the key 'bad'" in ran.out.splitlines()[-1]


def test_compare_finds_none(shop: Made) -> None:
    """Distinct keys, and one key for what the view need not tell apart, are fine."""
    app, _ = shop
    ran = run(app, "compare", "/p/1", "/p/2")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Each has a key of its own.")
    ran = run(app, "compare", "/p/1?utm=a", "/p/1?utm=b", "--json")
    assert (ran.code, ran.document["verdict"], ran.document["collision"]) == (0, "same", False)


def test_the_options_hold_for_all_that_are_compared(shop: Made) -> None:
    """Header, cookie and host are those of each."""
    app, _ = shop
    ran = run(
        app,
        "compare",
        "/many?a=1",
        "/many?a=2",
        "-H",
        "Accept-Language: fr",
        "--json",
        "-X",
        "head",
    )
    for explanation in ran.document["explanations"]:
        assert explanation["request"]["headers"] == [["Accept-Language", "fr"]]
        assert explanation["request"]["method"] == "HEAD"


@pytest.mark.parametrize("number", [0, 1, 21])
def test_how_many_can_be_compared(shop: Made, number: int) -> None:
    """Two to twenty."""
    app, _ = shop
    ran = run(app, "compare", *[f"/p/{each}" for each in range(number)])
    assert ran.code == 2
    assert f"not {number}" in ran.err


def test_a_store_inside_each_worker_is_mentioned(make_app: Callable[..., Made]) -> None:
    """The key is right all the same; whether it is stored, this process cannot know."""
    app, cache = make_app()

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return "index"

    ran = run(app, "explain", "/")
    assert ran.code == 0
    assert "key" in ran.out
    assert "inside each worker" in ran.err
