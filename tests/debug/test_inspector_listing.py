"""Pages of keys: what each key belongs to, its age, filters, and what the store is spared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from servers import MemcachedServer, RedisServer

from flask_caching import Cache
from flask_caching.backends.base import RESERVED, BaseCache
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.keyids import key_of
from flask_caching_instrumentation.inspection.model import KeyListing, KeyRow
from flask_caching_instrumentation.timeline import start_timeline

Made = tuple[Flask, Cache]
MakeApp = Callable[..., Made]


def everything(inspector: Inspector, **options: Any) -> list[KeyRow]:
    """All rows, page by page."""
    rows: list[KeyRow] = []
    cursor = ""
    while True:
        page = inspector.keys(cursor, **options)
        assert page.supported
        rows += page.rows
        cursor = page.cursor
        if not cursor:
            return rows


def by_key(inspector: Inspector, **options: Any) -> dict[str, KeyRow]:
    return {row.key: row for row in everything(inspector, **options)}


def one(inspector: Inspector, match: str) -> KeyRow:
    """The only row whose key contains this."""
    (row,) = everything(inspector, match=match)
    return row


@pytest.fixture
def filled(make_app: MakeApp, store: dict[str, Any]) -> Made:
    """A cache on each store, with a key of each kind in it."""
    app, cache = make_app(**store)

    @app.route("/page/<int:number>")
    @cache.cached()
    def page(number: int) -> str:
        return f"page {number}"

    @app.route("/about")
    @cache.cached(key_prefix="about", vary=["Accept-Language"])
    def about() -> str:
        return "about"

    @cache.memoize(100)
    def twice(number: int) -> int:
        return 2 * number

    # What nobody keeps is not among the decorated functions any more.
    app.extensions["twice"] = twice
    client = app.test_client()
    client.get("/page/1")
    client.get("/page/2")
    client.get("/about", headers={"Accept-Language": "de"})
    with app.app_context():
        twice(4)
        app.jinja_env.from_string("{% cache 50, 'side:bar', 'x:y' %}text{% endcache %}").render()
        cache.set("mine", b"bytes", 0)
    return app, cache


# What a row says.


def test_every_kind_of_key_is_told_from_the_others(filled: Made) -> None:
    """By its text and by the routes, on every store, without anybody having watched."""
    rows = everything(Inspector(filled[1]))
    name = "test_inspector_listing.filled.<locals>.twice"
    assert sorted((row.kind, row.target) for row in rows) == [
        ("fragment", "side:bar"),
        ("memoize", name),
        ("other", ""),
        ("version", name),
        ("view", "about"),
        ("view", "page"),
        ("view", "page"),
    ]


def test_the_time_left_and_the_size_are_shown(filled: Made) -> None:
    """0 is for ever; a size is known on every store."""
    rows = by_key(Inspector(filled[1]))
    assert rows["mine"].expires_in_seconds == 0
    assert rows["view//page/1"].expires_in_seconds == pytest.approx(300, abs=5)
    assert rows["_template_fragment_cache_side%3Abar:x%3Ay"].expires_in_seconds == (
        pytest.approx(50, abs=5)
    )
    assert all(row.size_bytes for row in rows.values())


def test_ids_lead_to_the_keys(filled: Made) -> None:
    """Every row's, on every store."""
    inspector = Inspector(filled[1])
    for row in everything(inspector):
        assert key_of(row.id) == row.key
        detail = inspector.key(row.id)
        assert detail is not None
        assert (detail.exists, detail.row.key, detail.row.kind) == (True, row.key, row.kind)


def test_age_and_form_are_shown_where_looking_is_free(filled: Made, store: dict[str, Any]) -> None:
    """A store that would take it for a use is not asked for an entry."""
    row = by_key(Inspector(filled[1]))["mine"]
    if store["CACHE_TYPE"] in ("SimpleCache", "FileSystemCache"):
        assert row.age_seconds == pytest.approx(0, abs=5)
        assert row.serializer == "bytes"
    else:
        assert (row.age_seconds, row.serializer) == (None, "")


def test_what_was_seen_lately_tells_the_age_on_any_store(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Once the timeline runs: also whose a key is that says nothing about itself."""
    app, cache = make_app(**store)

    @app.route("/odd/<name>")
    @cache.cached(timeout=100, make_cache_key=lambda name: f"an odd key for {name}")
    def odd(name: str) -> str:
        return name

    start_timeline(cache.state())
    app.test_client().get("/odd/x")
    inspector = Inspector(cache)
    row = one(inspector, "odd key")
    assert (row.kind, row.target, row.serializer) == ("view", "odd", "text")
    assert row.age_seconds == pytest.approx(0, abs=5)
    assert [each.key for each in everything(inspector, kind="view")] == [row.key]


def test_an_entry_tells_who_wrote_it_where_looking_is_free(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Whatever the key is made of, and whether its writer is readable or a hash."""
    app, cache = make_app(**store)
    view = cache.cached(make_cache_key=lambda name: f"odd {name}")(lambda name: name)
    app.add_url_rule("/odd/<name>", "odd", view)
    helper = cache.cached(make_cache_key=lambda: "helped")(lambda: "helped")
    app.test_client().get("/odd/x")
    with app.app_context():
        helper()
    found = {key: (row.kind, row.target) for key, row in by_key(Inspector(cache)).items()}
    if store["CACHE_TYPE"] in ("SimpleCache", "FileSystemCache"):
        name = (
            "test_inspector_listing.test_an_entry_tells_who_wrote_it_where_looking_is_free."
            "<locals>.<lambda>"
        )
        assert found == {"odd x": ("view", "odd"), "helped": ("view", name)}
        assert len(everything(Inspector(cache), kind="view")) == 2
    else:
        assert found == {"odd x": ("other", ""), "helped": ("other", "")}


def test_a_key_that_another_process_wrote_anew_has_no_age(
    make_app: MakeApp, redis_server: RedisServer
) -> None:
    """What this process remembers of it is of an entry that is not there any more."""
    config = {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_HOST": redis_server.host,
        "CACHE_REDIS_PORT": redis_server.port,
        "CACHE_KEY_PREFIX": "anew:",
    }
    _, cache = make_app(**config)
    start_timeline(cache.state())
    cache.set("key", "value", 100)
    inspector = Inspector(cache)
    assert one(inspector, "key").age_seconds is not None
    _, other = make_app(**config, CACHE_NAME="other")
    other.set("key", b"value", 1000)
    assert (one(inspector, "key").age_seconds, one(inspector, "key").serializer) == (None, "")


# Whose a key is.


def test_a_hash_behind_the_path_does_not_hide_the_endpoint(make_app: MakeApp) -> None:
    """Nor does a path with a number sign in it."""
    app, cache = make_app()

    @app.route("/docs/<path:page>")
    @cache.cached(query_string=True)
    def docs(page: str) -> str:
        return page

    app.test_client().get("/docs/a/b?x=1")
    app.test_client().get("/docs/a%23b?x=1")
    rows = everything(Inspector(cache))
    assert [row.target for row in rows] == ["docs", "docs"]


def test_a_prefix_around_the_path_leads_to_the_endpoint(make_app: MakeApp) -> None:
    """Whichever of the decorators it was given to."""
    app, cache = make_app()

    @app.route("/shop/<int:number>")
    @cache.cached(key_prefix="v2/%s/en")
    def shop(number: int) -> str:
        return str(number)

    app.test_client().get("/shop/3")
    assert (one(Inspector(cache), "/shop/3").kind, one(Inspector(cache), "shop").target) == (
        "view",
        "shop",
    )


def test_a_path_that_leads_to_no_cached_view_names_none(make_app: MakeApp) -> None:
    """Unless its entry does: that of a helper which is cached under the request's path."""
    app, cache = make_app()
    app.add_url_rule("/plain", "plain", lambda: helper())

    @cache.cached()
    def helper() -> str:
        return "helped"

    app.test_client().get("/plain")
    cache.set("view//nowhere", 1)
    rows = by_key(Inspector(cache))
    assert rows["view//plain"].target.endswith("helper")
    assert {row.kind for row in rows.values()} == {"view"}
    assert rows["view//nowhere"].target == ""


def test_routes_of_several_hosts(make_app: MakeApp) -> None:
    """A path that only one host has is its; one that several have names no endpoint."""
    app, cache = make_app(flask={"host_matching": True, "static_host": "static.example"})
    for endpoint, host, rule in (
        ("main", "example", "/main"),
        ("tenant", "<name>.example", "/tenant"),
        ("one", "example", "/both"),
        ("two", "<name>.example", "/both"),
    ):
        view = cache.cached()(lambda **_: "text")
        app.add_url_rule(rule, endpoint, view, host=host)
    client = app.test_client()
    client.get("/main", base_url="http://example")
    client.get("/tenant", base_url="http://a.example")
    client.get("/both", base_url="http://a.example")
    rows = by_key(Inspector(cache))
    assert {key: row.target for key, row in rows.items()} == {
        "view//main": "main",
        "view//tenant": "tenant",
        "view//both": "two",
    }, "of the last the entry tells"


def test_a_converter_that_fails_for_a_path_fails_nothing(make_app: MakeApp) -> None:
    """It is the application's own, and is asked about paths that it never saw."""
    from werkzeug.routing import BaseConverter

    class Fussy(BaseConverter):
        def to_python(self, value: str) -> Any:
            raise RuntimeError("no database here")

    app, cache = make_app()
    app.url_map.converters["fussy"] = Fussy

    @app.route("/x/<fussy:thing>")
    @cache.cached()
    def thing(thing: Any) -> str:
        return "x"

    cache.set("view//x/1", 1)
    assert one(Inspector(cache), "/x/1").target == ""


def test_a_target_that_was_seen_wins_over_what_the_text_says(make_app: MakeApp) -> None:
    """A key of the application's own that looks like another's stays that."""
    app, cache = make_app()

    @app.route("/a")
    @cache.cached(make_cache_key=lambda: "memo/some.thing/0123456789abcdef")
    def a() -> str:
        return "a"

    inspector = Inspector(cache)
    app.test_client().get("/a")
    assert one(inspector, "memo/").kind == "memoize"
    start_timeline(cache.state())
    app.test_client().get("/a")
    assert (one(inspector, "memo/").kind, one(inspector, "memo/").target) == ("view", "a")
    with app.app_context():
        cache.get("memo/some.thing/0123456789abcdef")
    assert one(inspector, "memo/").kind == "memoize", "a direct call says nothing of whose it is"


# Filters.


def test_filters_by_kind_and_text(filled: Made) -> None:
    """Each alone and both together, on every store."""
    inspector = Inspector(filled[1])
    assert {row.kind for row in everything(inspector, kind="view")} == {"view"}
    assert len(everything(inspector, kind="view")) == 3
    assert [row.kind for row in everything(inspector, kind="memoize")] == ["memoize"]
    assert [row.kind for row in everything(inspector, kind="version")] == ["version"]
    assert [row.kind for row in everything(inspector, kind="fragment")] == ["fragment"]
    assert [row.key for row in everything(inspector, kind="other")] == ["mine"]
    assert {row.key for row in everything(inspector, match="page/")} == {
        "view//page/1",
        "view//page/2",
    }
    assert everything(inspector, match="page/", kind="memoize") == []


@pytest.mark.parametrize("match", ["*", "[a]", "?", "\\", "%s"])
def test_a_filter_is_taken_literally(match: str, make_app: MakeApp, store: dict[str, Any]) -> None:
    """It is no pattern, on no store."""
    _, cache = make_app(**store)
    cache.set(f"before {match} after", 1)
    cache.set("before a after", 1)
    assert [row.key for row in everything(Inspector(cache), match=match)] == [
        f"before {match} after"
    ]


def test_pages_follow_one_another(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Every key is on one of them, by cursors that are text."""
    _, cache = make_app(**store)
    keys = {f"key {number}" for number in range(57)}
    cache.set_many(dict.fromkeys(keys, 1))
    inspector = Inspector(cache)
    first = inspector.keys(limit=10)
    assert first.rows
    assert first.cursor
    rows = everything(inspector, limit=10)
    assert {row.key for row in rows} == keys


def test_a_limit_is_kept_in_bounds(make_app: MakeApp) -> None:
    """Neither none nor all."""
    _, cache = make_app(CACHE_THRESHOLD=0)
    cache.set_many(dict.fromkeys((f"key {number}" for number in range(600)), 1))
    inspector = Inspector(cache)
    assert len(inspector.keys(limit=10**9).rows) == 500
    assert len(inspector.keys(limit=0).rows) == 1
    assert len(inspector.keys(limit=-5).rows) == 1


def test_a_cursor_or_a_kind_that_is_none_is_an_error(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Of whoever wrote the address; it is told as one."""
    _, cache = make_app(**store)
    inspector = Inspector(cache)
    for cursor in ("no cursor", "\ud800", "-1"):
        with pytest.raises(ValueError, match="cursor"):
            inspector.keys(cursor)
    with pytest.raises(ValueError, match="no kind of key"):
        inspector.keys(kind="views")


# What is not listed, and what cannot be.


def test_keys_of_the_package_itself_are_not_listed(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Nor shown."""
    app, cache = make_app(**store)
    with app.app_context():
        cache.disable()
    inspector = Inspector(cache)
    assert everything(inspector) == []
    assert inspector.key_named(f"{RESERVED}switch") is None


def test_a_store_that_cannot_list_says_which_can(make_app: MakeApp) -> None:
    """It is no error, and no empty cache."""

    class Mine(BaseCache):
        pass

    _, cache = make_app(CACHE_TYPE=lambda *_: Mine())
    listing = Inspector(cache).keys()
    assert (listing.supported, listing.rows, listing.cursor) == (False, (), "")
    assert "Mine cannot list its keys" in listing.note
    assert "SupportsKeys" in listing.note


def test_a_server_that_is_down_is_a_note(make_app: MakeApp, own_redis: RedisServer) -> None:
    """The page is about a cache that has a problem."""
    _, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=f"redis://:secret@{own_redis.host}:{own_redis.port}/0",
    )
    own_redis.kill()
    listing = Inspector(cache).keys()
    assert listing.rows == []
    assert "The store failed" in listing.note
    assert listing.failed
    assert "secret" not in listing.note


def test_hostile_keys_are_listed_as_they_are(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Markup, controls and half characters are for whoever shows them to escape."""
    _, cache = make_app(**store)
    keys = {
        "<script>alert(1)</script>",
        "line\r\nbreak\x00\x1b[31m",
        "\u202egnirts",
        "half \ud800",
        "memo//",
        "memo/x/y",
        "_memver",
        "_template_fragment_cache_",
        "view/",
        "view/#0123456789abcdef",
        "",
    }
    for key in keys:
        cache.set(key, 1)
    assert {row.key for row in everything(Inspector(cache))} == keys


def test_a_huge_key_has_a_row_and_no_address(make_app: MakeApp) -> None:
    """A megabyte is no link."""
    _, cache = make_app()
    cache.set("view//" + "x" * 1_000_000, 1)
    (row,) = everything(Inspector(cache))
    assert (row.id, row.kind) == ("", "view")
    detail = Inspector(cache).key_named(row.key)
    assert detail is not None
    assert detail.exists


def test_a_key_that_memcached_has_the_beginning_of_has_no_address(
    make_app: MakeApp, memcached_server: MemcachedServer
) -> None:
    """Nothing could be found under what is listed."""
    _, cache = make_app(
        CACHE_TYPE="MemcachedCache",
        CACHE_MEMCACHED_SERVERS=[f"{memcached_server.host}:{memcached_server.port}"],
        CACHE_KEY_PREFIX="cut:",
    )
    cache.set("view//" + "x" * 400, 1)
    (row,) = everything(Inspector(cache))
    assert row.key.startswith("view//xxx")
    assert row.id == ""


# What looking costs.


def test_looking_is_not_counted(filled: Made, registry: Any, store: dict[str, Any]) -> None:
    """Neither as lookups nor as operations of the store."""
    _, cache = filled
    before = cache.stats()
    inspector = Inspector(cache)
    for row in everything(inspector):
        inspector.key(row.id, reveal=True)
    inspector.functions()
    inspector.overview()
    assert cache.stats() == before


def test_looking_changes_no_order_of_leaving(make_app: MakeApp) -> None:
    """What was not used for longest leaves first, whoever looked at it."""
    _, cache = make_app(CACHE_THRESHOLD=10)
    for number in range(10):
        cache.set(f"key {number}", number)
    inspector = Inspector(cache)
    for _ in range(3):
        for row in everything(inspector, match="key 0"):
            inspector.key(row.id, reveal=True)
    cache.set("key 10", 10)
    assert "key 0" not in by_key(inspector)


def test_nothing_expires_later_for_having_been_listed(filled: Made) -> None:
    """A listing moves no expiry, on any store."""
    inspector = Inspector(filled[1])
    first = {row.key: row.expires_in_seconds for row in everything(inspector)}
    time.sleep(0.02)
    second = {row.key: row.expires_in_seconds for row in everything(inspector)}
    for key, left in first.items():
        later = second[key]
        assert left is not None
        assert later is not None
        assert later <= left + 1


def test_without_instrumentation_everything_can_be_looked_at(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """The keys are the store's."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None, **store)

    @app.route("/x")
    @cache.cached()
    def x() -> str:
        return "x"

    app.test_client().get("/x")
    row = one(Inspector(cache), "view")
    assert (row.kind, row.target) == ("view", "x")


def test_a_prefix_that_a_function_makes_is_asked_for_its_context(
    make_app: MakeApp, tmp_path: Path
) -> None:
    """Keys of the tenant whose context it is, as everywhere; without one it is told why."""

    def prefix() -> str:
        return f"{g.tenant}:"

    app, cache = make_app(
        CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"), CACHE_KEY_PREFIX=prefix
    )
    listing: KeyListing = Inspector(cache).keys()
    assert "The store failed" in listing.note
    assert "tenant" in listing.note
    with app.app_context():
        g.tenant = "a"
        cache.set("key", 1)
        assert [row.key for row in Inspector(cache).keys().rows] == ["key"]
        g.tenant = "b"
        assert Inspector(cache).keys().rows == []
