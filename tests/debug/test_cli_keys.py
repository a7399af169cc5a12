"""``flask cache keys`` and ``get``: what a cache holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from cli_runs import run
from flask import Flask

from flask_caching import Cache

EVIL = "evil\x1b]0;pwned\x07\u202e\nnext"

Made = tuple[Flask, Cache]


@pytest.fixture
def files(tmp_path: Any) -> dict[str, Any]:
    return {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def shop(make_app: Callable[..., Made], files: dict[str, Any]) -> Made:
    """An application with a view, a memoized function and values of its own."""
    app, cache = make_app(**files)

    @app.route("/p/<int:id>")
    @cache.cached(timeout=60)
    def product(id: int) -> str:
        return f"product {id}"

    @cache.memoize(timeout=0)
    def double(number: int) -> int:
        return 2 * number

    with app.test_client() as client:
        assert client.get("/p/1").text == "product 1"
    with app.app_context():
        double(4)
        cache.set(EVIL, "rm -rf\x1b[2J", 90)
    return app, cache


def lines(app: Flask, *arguments: str) -> list[list[str]]:
    """The rows of a table, without its headings."""
    ran = run(app, *arguments)
    assert ran.code == 0
    # Between columns there are two blanks; within one, as in "4 min 59 s", one.
    return [re.split(r"\s{2,}", line.strip()) for line in ran.out.splitlines()[1:]]


def test_keys_are_listed_with_what_they_belong_to(shop: Made) -> None:
    """When each expires, its size, kind, target, and the key in full."""
    app, _ = shop
    ran = run(app, "keys")
    heading, *rows = ran.out.splitlines()
    assert heading.split() == ["EXPIRES", "SIZE", "KIND", "TARGET", "KEY"]
    (view,) = [row for row in rows if row.endswith("view//p/1")]
    assert " B  view " in view
    assert " product " in view
    (memoized,) = [row for row in rows if "/tests" not in row and " memo/" in row]
    assert memoized.split()[0] == "never"
    assert " memoize " in memoized


def test_columns_are_aligned(shop: Made) -> None:
    """Each column begins, or ends, where its heading does."""
    app, _ = shop
    heading, *rows = run(app, "keys").out.splitlines()
    place = heading.index("KIND")
    assert {row[place - 2 : place] for row in rows} == {"  "}
    assert all(row[place] != " " for row in rows)


def test_what_a_terminal_would_obey_is_never_written(shop: Made) -> None:
    """Escape sequences, bidi characters and line feeds in a key are shown, not sent."""
    app, _ = shop
    ran = run(app, "keys")
    assert "evil\\x1b]0;pwned\\x07\\u202e\\nnext" in ran.out
    assert set("\x1b\x07\u202e").isdisjoint(ran.out + ran.err)


def test_json_has_the_key_itself_in_ascii(shop: Made) -> None:
    """A program gets the key as it is; the document is ASCII, a row on each line."""
    app, _ = shop
    ran = run(app, "keys", "--json")
    assert ran.out.isascii()
    assert "\x1b" not in ran.out
    assert ran.document["cache"] == "cache"
    assert ran.document["cursor"] == ""
    rows = {row["key"]: row for row in ran.document["rows"]}
    assert rows[EVIL]["kind"] == "other"
    assert 80 < rows[EVIL]["expires_in_seconds"] <= 90
    assert rows["view//p/1"]["target"] == "product"
    assert len(ran.out.splitlines()) == len(rows) + 2


def test_null_ends_each_key_for_xargs(shop: Made) -> None:
    """``-0`` writes the keys alone, as they are, when nobody reads them on a terminal."""
    app, _ = shop
    ran = run(app, "keys", "-0")
    keys = ran.out.split("\0")
    assert keys.pop() == ""
    assert EVIL in keys
    assert "view//p/1" in keys


def test_only_some_keys(shop: Made) -> None:
    """By a text in them, taken literally, or by kind."""
    app, _ = shop
    assert [row[-1] for row in lines(app, "keys", "--match", "p/1")] == ["view//p/1"]
    kinds = {row[2] for row in lines(app, "keys", "--kind", "memoize")}
    assert kinds == {"memoize"}
    ran = run(app, "keys", "--match", "*")
    assert (ran.code, ran.out) == (0, "")
    assert "has no keys that contain '*'" in ran.err
    ran = run(app, "keys", "--kind", "pages")
    assert ran.code == 2


def test_pages_of_keys(make_app: Callable[..., Made], store: dict[str, Any]) -> None:
    """On every store a limit ends the list, and its cursor goes on to all the others."""
    app, cache = make_app(**store)
    names = {f"key-{number:03}" for number in range(120)}
    with app.app_context():
        for name in names:
            cache.set(name, name)
    seen: list[str] = []
    cursor: str = ""
    while True:
        ran = run(app, "keys", "--json", "--limit", "40", "--cursor", cursor)
        seen += [row["key"] for row in ran.document["rows"]]
        cursor = ran.document["cursor"]
        if not cursor:
            break
    assert set(seen) == names
    assert len(seen) == 120
    ran = run(app, "keys", "--limit", "40")
    assert "--cursor" in ran.err
    assert "--all lists all" in ran.err
    everything = run(app, "keys", "--all", "--json")
    assert {row["key"] for row in everything.document["rows"]} == names
    assert len(lines(app, "keys", "--all")) == 120


def test_a_cursor_that_is_none(make_app: Callable[..., Made], redis_server: Any) -> None:
    """It is wrong usage."""
    app, _ = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=redis_server.host,
        CACHE_REDIS_PORT=redis_server.port,
        CACHE_KEY_PREFIX="cursor:",
    )
    ran = run(app, "keys", "--cursor", "nonsense")
    assert ran.code == 2
    assert "'nonsense' is no cursor of this cache" in ran.err


def test_a_store_inside_each_worker_says_so(make_app: Callable[..., Made]) -> None:
    """Nobody takes the empty list of this process for that of the workers."""
    app, _ = make_app()
    ran = run(app, "keys")
    assert (ran.code, ran.out) == (0, "")
    assert "keeps its entries inside each worker" in ran.err


def test_a_store_that_cannot_list(make_app: Callable[..., Made]) -> None:
    """It is said which can."""
    app, _ = make_app(CACHE_TYPE="cachelib.SimpleCache")
    ran = run(app, "keys")
    assert ran.code == 2
    assert "cannot list its keys. SimpleCache, FileSystemCache" in ran.err


def test_a_value_is_shown(shop: Made) -> None:
    """Its text goes to stdout, where a terminal's commands are harmless."""
    app, cache = shop
    assert run(app, "get", "view//p/1") == (0, "product 1\n", "")
    assert run(app, "get", EVIL).out == "rm -rf\\x1b[2J\n"
    with app.app_context():
        cache.set("lines", "one\ntwo\n")
    assert run(app, "get", "lines").out == "one\ntwo\n"


def test_a_stored_response_is_shown_with_its_headers(make_app: Any, files: Any) -> None:
    """Status and headers, an empty line, the body."""
    app, cache = make_app(**files)

    @app.route("/data")
    @cache.cached()
    def data() -> Any:
        return app.response_class("made", status=201, headers={"X-Made": "here"})

    app.test_client().get("/data")
    shown = run(app, "get", "view//data").out.splitlines()
    assert shown[0] == "Status: 201 CREATED"
    assert "X-Made: here" in shown
    assert shown[-2:] == ["", "made"]


def test_a_pickle_is_never_loaded(make_app: Any, files: Any) -> None:
    """Whoever could write to the store does not run anything by being looked at."""
    app, cache = make_app(**files)
    with app.app_context():
        cache.set("bomb", Bomb())
    ran = run(app, "get", "bomb")
    assert (ran.code, ran.out) == (0, "")
    assert "A pickle is a program" in ran.err
    assert run(app, "get", "bomb", "--json").document["preview"]["form"] == "pickle"


class Bomb:
    """What must not be loaded."""

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise AssertionError("it was unpickled")


def test_what_is_redacted_stays_hidden(make_app: Any, files: Any) -> None:
    """A key that CACHE_DEBUG_REDACT names has its value hidden here as well."""
    app, cache = make_app(**files)
    with app.app_context():
        cache.set("api_token:7", "hunter2")
    ran = run(app, "get", "api_token:7")
    assert "hunter2" not in ran.out + ran.err
    assert "CACHE_DEBUG_REDACT" in ran.err
    assert "hunter2" not in run(app, "get", "api_token:7", "--json").out


def test_what_is_known_of_an_entry(shop: Made) -> None:
    """``--meta`` shows everything but the value."""
    app, _ = shop
    ran = run(app, "get", "view//p/1", "--meta")
    shown = dict(line.strip().split(None, 1) for line in ran.out.splitlines()[1:])
    assert ran.out.startswith("view//p/1\n  kind ")
    assert shown["target"] == "product"
    assert shown["stored"] == "as  text"
    assert "ago)" in shown["written"]
    assert "(in 5" in shown["expires"] or "(in 1m)" in shown["expires"]
    assert "product 1" not in ran.out
    document = run(app, "get", "view//p/1", "--meta", "--json").document
    assert document["preview"] is None
    assert document["row"]["key"] == "view//p/1"
    assert document["exists"] is True


def test_a_key_that_is_not_there(shop: Made) -> None:
    """Exit code 1, in JSON with the same shape."""
    app, _ = shop
    ran = run(app, "get", "view//p/2")
    assert (ran.code, ran.out) == (1, "")
    assert "has no key 'view//p/2'" in ran.err
    ran = run(app, "get", "view//p/2", "--json")
    assert (ran.code, ran.document["exists"]) == (1, False)


def test_a_key_of_our_own_is_not_shown(shop: Made) -> None:
    """The switch's note, and locks, are no entries."""
    app, _ = shop
    ran = run(app, "get", "_flask_caching/switch")
    assert (ran.code, ran.out) == (1, "")
    assert "a key of Flask-Caching's own" in ran.err


def test_a_long_key_can_be_looked_at(shop: Made) -> None:
    """Also one that is too long for an address."""
    app, cache = shop
    key = "k" * 1800
    with app.app_context():
        cache.set(key, "long")
    assert run(app, "get", key).out == "long\n"


def test_json_is_one_document_whatever_is_in_it(shop: Made) -> None:
    """Half a character, and what is no number, do not break it."""
    app, cache = shop
    with app.app_context():
        cache.set("odd \ud83d", "half \ud83d")
    ran = run(app, "keys", "--json", "--match", "odd")
    assert ran.document["rows"][0]["key"] == "odd \ud83d"
    ran = run(app, "get", "odd \ud83d", "--json")
    assert json.loads(ran.out)["preview"]["text"] == "half \ud83d"
