"""One key: what is known of its entry, who made it and who asks for it, on every store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, make_response, request
from servers import RedisServer

from flask_caching import Cache
from flask_caching.backends.base import BaseCache
from flask_caching.byteform import MAGIC
from flask_caching.compression import COMPRESSIONS
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.keyids import key_id
from flask_caching_instrumentation.inspection.model import KeyDetail
from flask_caching_instrumentation.timeline import start_timeline

MakeApp = Callable[..., tuple[Flask, Cache]]


def look(cache: Cache, key: str, *, reveal: bool = False) -> KeyDetail:
    """What is known of a key."""
    detail = Inspector(cache).key(key_id(key), reveal=reveal)
    assert detail is not None
    return detail


def keeps_bytes(store: dict[str, Any]) -> bool:
    return store["CACHE_TYPE"] != "SimpleCache"


class Harmful:
    """A value whose unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


# What is known.


def test_metadata_of_a_view(make_app: MakeApp, store: dict[str, Any]) -> None:
    """When it was written, until when, how long it took, what it depends on."""
    app, cache = make_app(**store)

    @app.route("/slow")
    @cache.cached(timeout=100)
    def slow() -> Any:
        time.sleep(0.01)
        response = make_response(f"{request.host} {request.args}")
        response.headers["Vary"] = "Accept-Language"
        return response

    app.test_client().get("/slow", headers={"Accept-Language": "de"})
    now = time.time()
    detail = look(cache, "view//slow")
    assert detail.exists
    assert detail.created_at == pytest.approx(now, abs=5)
    assert detail.expires_at == pytest.approx(now + 100, abs=5)
    assert (detail.load_seconds or 0) >= 0.01
    assert detail.vary == [("accept-language", "de")]
    assert set(detail.reads) >= {"host", "query"}
    assert detail.row.age_seconds == pytest.approx(0, abs=5)
    assert detail.row.serializer == "response"
    assert detail.row.size_bytes
    assert detail.preview is None, "values are shown when somebody asks for them"


def test_metadata_of_what_never_expires(make_app: MakeApp, store: dict[str, Any]) -> None:
    """0 is for ever, not long ago."""
    _, cache = make_app(**store)
    cache.set("key", "value", 0)
    detail = look(cache, "key")
    assert (detail.expires_at, detail.row.expires_in_seconds) == (0.0, 0.0)


def test_versions_of_a_memoized_method(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Its own and its instance's; nobody wrote it in particular."""
    app, cache = make_app(**store)

    class Shop:
        def __repr__(self) -> str:
            return "Shop()"

        @cache.memoize()
        def price(self, number: int) -> int:
            return number

    with app.app_context():
        Shop().price(1)
    [row] = Inspector(cache).keys(kind="memoize").rows
    detail = look(cache, row.key)
    assert (detail.versions, detail.written_by) == (2, None)


def test_a_number_of_the_applications_own(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Bare in the store, so that nothing is known of it but the value and its expiry."""
    _, cache = make_app(**store)
    cache.set("count", 41, 100)
    cache.inc("count")
    detail = look(cache, "count", reveal=True)
    assert detail.preview is not None
    assert (detail.preview.form, detail.preview.text) == ("text", "42")
    assert detail.row.expires_in_seconds == pytest.approx(100, abs=5)
    if keeps_bytes(store):
        assert (detail.created_at, detail.row.age_seconds) == (None, None)


def test_a_key_without_an_entry(make_app: MakeApp, store: dict[str, Any]) -> None:
    """It may have expired between two pages; what it is for is known all the same."""
    app, cache = make_app(**store)
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "x", view)
    detail = look(cache, "view//x", reveal=True)
    assert not detail.exists
    assert (detail.row.kind, detail.row.target) == ("view", "x")
    assert "no entry under this key" in detail.note
    assert detail.preview is not None
    assert detail.preview.form == "none"
    assert (detail.created_at, detail.expires_at, detail.written_by) == (None, None, None)


@pytest.mark.parametrize("text", ["", "nonsense", "kZZ", "k" * 10_000, "../x", "k\x00"])
def test_what_is_no_id_names_nothing(text: str, make_app: MakeApp) -> None:
    """There is no such page, rather than an error."""
    _, cache = make_app()
    assert Inspector(cache).key(text) is None


def test_whether_looking_counted_as_a_use_is_said(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Where a store has no other way of looking at an entry."""
    _, cache = make_app(**store)
    cache.set("key", "value")
    peeks = store["CACHE_TYPE"] in ("SimpleCache", "FileSystemCache")
    assert ("counted as a use" in look(cache, "key").note) == (not peeks)


# Who made it.


@pytest.mark.parametrize("url", ["/page/7", "/page/7?q=1"])
def test_who_wrote_a_views_entry(make_app: MakeApp, store: dict[str, Any], url: str) -> None:
    """Read from a witness in memory; recognised where the store has only hashes of it."""
    app, cache = make_app(**store)

    @app.route("/page/<int:number>")
    @cache.cached()
    def page(number: int) -> str:
        return str(number)

    app.test_client().get(url)
    writer = look(cache, "view//page/7").written_by
    assert writer is not None
    assert (writer.function, writer.arguments) == ("page", "number=7")
    assert (writer.method, writer.host) == ("GET", "localhost")
    query = url.partition("?")[2]
    assert writer.query == ("" if keeps_bytes(store) else query)


def test_who_wrote_the_entry_of_a_colliding_key(make_app: MakeApp, store: dict[str, Any]) -> None:
    """The one that collided is told with it, in a sentence."""
    app, cache = make_app(**store)

    @app.route("/product/<int:number>")
    @cache.cached(key_prefix="product")
    def product(number: int) -> str:
        return str(number)

    client = app.test_client()
    for number in (1, 2, 3):
        client.get(f"/product/{number}")
    detail = look(cache, "product")
    assert detail.written_by is not None
    assert detail.written_by.function == "product"
    assert detail.written_by.arguments == (None if keeps_bytes(store) else "number=1")
    assert "product found the entry of another request" in detail.collision
    assert "2 times" in detail.collision
    assert "differ in their arguments" in detail.collision
    assert "found by product(number=3)" in detail.collision
    assert ("made for product(number=1)" in detail.collision) == (not keeps_bytes(store))


def test_who_wrote_a_helpers_entry(make_app: MakeApp, store: dict[str, Any]) -> None:
    """A function that is no view, by its name."""
    app, cache = make_app(**store)

    @cache.cached(key_prefix="helper")
    def helper(one: int = 1) -> str:
        return "helped"

    with app.app_context():
        helper()
    writer = look(cache, "helper").written_by
    assert writer is not None
    assert writer.function.endswith("helper")
    assert (writer.method, writer.host) == ("", "")


def test_a_view_that_is_gone_is_not_recognised(make_app: MakeApp, tmp_path: Path) -> None:
    """Hashes of what nobody can guess say nothing."""
    config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "cache")}
    app, cache = make_app(**config)
    view = cache.cached()(lambda: "x")
    app.add_url_rule("/x", "a view of the last release", view)
    app.test_client().get("/x")
    _, later = make_app(**config, CACHE_NAME="later")
    detail = look(later, "view//x")
    assert detail.exists
    assert detail.written_by is None


def test_who_asked_lately(make_app: MakeApp) -> None:
    """Each request once, the latest first, with the number that it has among the requests."""
    app, cache = make_app()

    @app.route("/shared/<int:number>")
    @cache.cached(key_prefix="shared")
    def shared(number: int) -> str:
        return str(number)

    client = app.test_client()
    client.get("/shared/0")
    assert look(cache, "shared").shared_by == [], "nobody has watched"
    start_timeline(cache.state())
    for path in ("/shared/1?token=secret", "/shared/2", "/shared/2"):
        client.get(path)
    asked = look(cache, "shared").shared_by
    assert [(each.method, each.url) for each in asked] == [
        ("GET", "/shared/2"),
        ("GET", "/shared/1?token=(hidden)"),
    ]
    assert {(each.target, each.outcome) for each in asked} == {("shared", "hit")}
    numbers = {record.number: record.url for record in Inspector(cache).requests().requests}
    assert [numbers[each.request or 0] for each in asked] == [each.url for each in asked]


# What cannot be read.


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not ours",
        b"\x80\x04\x95",
        MAGIC,
        MAGIC + b"\x02" * 200,
        b"\xff" * 100_000,
    ],
    ids=["empty", "text", "pickle", "magic", "header", "noise"],
)
def test_bytes_of_others_are_shown_as_unreadable(
    data: bytes, make_app: MakeApp, redis_server: RedisServer
) -> None:
    """It is not raised, and nothing of it is shown as if it were ours."""
    redis = pytest.importorskip("redis")
    _, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=redis_server.host,
        CACHE_REDIS_PORT=redis_server.port,
        CACHE_KEY_PREFIX="foreign:",
    )
    client = redis.Redis(redis_server.host, redis_server.port)
    client.set("foreign:key", data, ex=100)
    detail = look(cache, "key", reveal=True)
    assert detail.exists
    assert "cannot be read" in detail.note
    assert detail.row.expires_in_seconds == pytest.approx(100, abs=5)
    assert detail.preview is not None
    assert (detail.preview.form, detail.preview.text) == ("none", "")
    assert cache.stats()["errors"].get("get", {}) == {
        kind: {"handled": 0, "raised": 0} for kind in ("connection", "serialization", "timeout")
    }
    client.close()


def test_a_list_under_the_key_is_a_note(make_app: MakeApp, redis_server: RedisServer) -> None:
    """Redis cannot read it as a text."""
    redis = pytest.importorskip("redis")
    _, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=redis_server.host,
        CACHE_REDIS_PORT=redis_server.port,
        CACHE_KEY_PREFIX="list:",
    )
    client = redis.Redis(redis_server.host, redis_server.port)
    client.delete("list:key")
    client.lpush("list:key", "item")
    client.close()
    assert "cannot be read" in look(cache, "key", reveal=True).note


def test_a_server_that_is_down_is_a_note(make_app: MakeApp, own_redis: RedisServer) -> None:
    """A page about a key of a cache that has a problem."""
    _, cache = make_app(
        CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=own_redis.host, CACHE_REDIS_PORT=own_redis.port
    )
    own_redis.kill()
    detail = look(cache, "key", reveal=True)
    assert not detail.exists
    assert "The store failed" in detail.note


def test_a_cut_off_file_is_a_note(make_app: MakeApp, tmp_path: Path) -> None:
    """And its expiry is unknown."""
    _, cache = make_app(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path / "cache"))
    cache.set("key", "value" * 100)
    (file,) = (path for path in tmp_path.rglob("*.entry"))
    file.write_bytes(file.read_bytes()[:-3])
    detail = look(cache, "key", reveal=True)
    assert detail.preview is not None
    assert detail.preview.form == "none"


def test_an_entry_of_another_secret_is_unreadable(make_app: MakeApp, tmp_path: Path) -> None:
    """As it is for the cache itself, whose miss it explains."""
    config = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "cache")}
    _, cache = make_app(**config)
    cache.set("key", "value")
    app = Flask("other")
    app.secret_key = "another one"
    _, other = make_app(app, **config)
    detail = look(other, "key")
    assert detail.exists
    assert "SECRET_KEY" in detail.note


# Nothing is run to be shown.


@pytest.mark.parametrize("serializer", ["pickle", "signed"])
def test_no_pickle_is_ever_loaded(
    serializer: str, make_app: MakeApp, store: dict[str, Any], tmp_path: Path
) -> None:
    """Not by the list, not by the page of the key, not when its value is asked for."""
    trace = tmp_path / "trace"
    _, cache = make_app(CACHE_SERIALIZER=serializer, **store)
    cache.set("key", Harmful(trace))
    inspector = Inspector(cache)
    [row] = inspector.keys(match="key").rows
    detail = look(cache, row.key, reveal=True)
    assert detail.preview is not None
    assert (detail.preview.form, detail.preview.text) == ("pickle", "")
    assert detail.preview.size_bytes > 10
    assert "not run" in detail.preview.note
    assert detail.row.serializer == "pickle"
    assert not trace.exists()
    cache.get("key").close()
    assert trace.exists(), "it would have been seen"


def test_a_backend_of_others_is_not_asked_for_a_value(make_app: MakeApp, tmp_path: Path) -> None:
    """Reading may mean unpickling there, so only whether there is a value is asked."""
    cachelib = pytest.importorskip("cachelib")
    trace = tmp_path / "trace"
    backend = cachelib.FileSystemCache(str(tmp_path / "cache"))
    _, cache = make_app(CACHE_TYPE=lambda *_: backend)
    backend.set("key", Harmful(trace))
    detail = look(cache, "key", reveal=True)
    assert detail.exists
    assert "unpickle" in detail.note
    assert not trace.exists()


def test_a_backend_of_old_can_be_looked_at(make_app: MakeApp) -> None:
    """One that cannot even say whether it has a key is a note as well."""

    class Old(BaseCache):
        pass

    _, cache = make_app(CACHE_TYPE=lambda *_: Old())
    detail = look(cache, "key", reveal=True)
    assert not detail.exists
    assert "does not implement has()" in detail.note


def test_a_decompression_bomb_is_not_unpacked(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes that stand for many megabytes; a hit unpacks them, who looks does not."""
    _, cache = make_app(
        CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_COMPRESSION="zlib"
    )
    size = 17 << 20
    cache.set("bomb", "x" * (size - 1))
    unpacked: list[int] = []
    compression = COMPRESSIONS["zlib"]
    decompress = compression.decompress

    def counted(data: bytes, size: int) -> bytes:
        unpacked.append(size)
        return decompress(data, size)

    monkeypatch.setattr(compression, "decompress", counted)
    detail = look(cache, "bomb", reveal=True)
    assert detail.exists
    assert f"{size} bytes when unpacked" in detail.note
    assert detail.preview is not None
    assert detail.preview.form == "none"
    assert unpacked == []
    assert len(cache.get("bomb")) == size - 1
    assert unpacked == [size]


def test_compressed_entries_are_unpacked(make_app: MakeApp, tmp_path: Path) -> None:
    """Those that stay within the bound are shown like any other."""
    _, cache = make_app(
        CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), CACHE_COMPRESSION="zlib"
    )
    cache.set("key", "long " * 1000)
    detail = look(cache, "key", reveal=True)
    assert detail.preview is not None
    assert detail.preview.text == "long " * 1000
    assert (detail.row.size_bytes or 0) < 1000


# What is hidden.


def test_the_values_of_secret_keys_are_hidden(make_app: MakeApp, store: dict[str, Any]) -> None:
    """By patterns of keys, case aside; what else is known of them is shown."""
    _, cache = make_app(**store)
    for key in ("user/PassWord", "view//api/session", "my_api-key/1"):
        cache.set(key, "hush")
        detail = look(cache, key, reveal=True)
        assert detail.preview is not None
        assert (detail.preview.form, detail.preview.text) == ("hidden", "")
        assert "CACHE_DEBUG_REDACT" in detail.preview.note
        assert detail.exists
        assert "hush" not in repr(detail)
    cache.set("plain", "hush")
    assert "hush" in repr(look(cache, "plain", reveal=True))


def test_other_patterns_hide_other_values(make_app: MakeApp) -> None:
    """The application's own; without any nothing is hidden."""
    _, cache = make_app(CACHE_DEBUG_REDACT=["*PRICE*"])
    cache.set("the price", "hush")
    cache.set("password", "shown")
    assert "hush" not in repr(look(cache, "the price", reveal=True))
    assert "shown" in repr(look(cache, "password", reveal=True))
    _, cache = make_app(CACHE_DEBUG_REDACT=[], CACHE_NAME="open")
    cache.set("password", "shown")
    assert "shown" in repr(look(cache, "password", reveal=True))


def test_secrets_are_hidden_wherever_they_are_named(make_app: MakeApp) -> None:
    """In the writer's arguments and query, in the headers that select a response."""
    app, cache = make_app()
    start_timeline(cache.state())

    @app.route("/reset/<token>")
    @cache.cached(key_prefix="reset")
    def reset(token: str) -> Any:
        response = make_response("done")
        response.headers["Vary"] = "Authorization, Accept"
        response.headers["X-Auth-Token"] = "hush"
        return response

    client = app.test_client()
    headers = {"Authorization": "Bearer hush", "Accept": "text/html"}
    client.get("/reset/hush?password=hush&page=2", headers=headers)
    client.get("/reset/other", headers=headers)
    detail = look(cache, "reset", reveal=True)
    shown = repr(detail).replace("/reset/hush", "")
    assert "hush" not in shown
    assert detail.written_by is not None
    assert detail.written_by.query == "password=(hidden)&page=2"
    assert detail.written_by.arguments == "token=(hidden)"
    assert detail.vary == [("accept", "text/html"), ("authorization", "(hidden)")]
    assert detail.preview is not None
    assert ("X-Auth-Token", "(hidden)") in detail.preview.headers


# Deleting.


def test_keys_are_deleted_as_the_application_would(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Those that are not there are gone as well; no keys are no error."""
    _, cache = make_app(**store)
    cache.set_many({"a": 1, "b": 2, "c": 3})
    inspector = Inspector(cache)
    assert inspector.delete([]) == []
    assert sorted(inspector.delete(["a", "b", "missing"])) == ["a", "b", "missing"]
    assert [row.key for row in inspector.keys().rows] == ["c"]
    assert inspector.clear()
    assert inspector.keys().rows == []


def test_a_load_under_way_does_not_undo_a_deletion(make_app: MakeApp) -> None:
    """The value was made before the key was deleted."""
    app, cache = make_app()
    inspector = Inspector(cache)

    @app.route("/x")
    @cache.cached()
    def x() -> str:
        inspector.delete(["view//x"])
        return "made before"

    app.test_client().get("/x")
    assert inspector.keys().rows == []
