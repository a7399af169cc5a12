"""Hazards 24 to 33: silence."""

from __future__ import annotations

import asyncio
import copy
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import (
    Flask,
    Response,
    abort,
    make_response,
    render_template_string,
    request,
    send_file,
    stream_with_context,
)
from flask.views import MethodView

from flask_caching import Cache, CachedResponse, ConfigurationError, make_template_fragment_key

MakeCache = Callable[..., Cache]


# 24


@pytest.mark.parametrize(
    "where", ["make_cache_key", "unless", "forced_update", "key_prefix", "vary"]
)
def test_24_an_error_of_the_applications_own_functions_propagates(
    app: Flask, cache: Cache, where: str
) -> None:
    """It is theirs, not the store's; the view does not run behind its back."""
    calls: list[int] = []

    def fail() -> Any:
        raise ZeroDivisionError(where)

    options: dict[str, Any] = {where: [fail] if where == "vary" else fail}

    @app.route("/")
    @cache.cached(**options)
    def index() -> str:
        calls.append(1)
        return "page"

    with pytest.raises(ZeroDivisionError, match=where):
        app.test_client().get("/")
    assert calls == []


@pytest.mark.parametrize("where", ["make_cache_key", "unless", "forced_update", "vary"])
def test_24_an_abort_in_them_is_the_answer(app: Flask, cache: Cache, where: str) -> None:
    """``abort(403)`` in ``unless`` forbids the page, cached or not."""
    allowed = {"now": True}

    def check() -> Any:
        if not allowed["now"]:
            abort(403)
        return "key" if where == "make_cache_key" else False

    options: dict[str, Any] = {where: [check] if where == "vary" else check}

    @app.route("/")
    @cache.cached(**options)
    def index() -> str:
        return "secret"

    client = app.test_client()
    assert client.get("/").text == "secret"
    allowed["now"] = False
    assert client.get("/").status_code == 403
    allowed["now"] = True
    assert client.get("/").text == "secret"


@pytest.mark.parametrize("where", ["unless", "forced_update", "make_name"])
def test_24_the_same_for_memoized_functions(cache: Cache, where: str) -> None:
    """Neither their conditions nor the name they are given hide an error."""

    def fail(*args: Any) -> Any:
        raise ZeroDivisionError

    @cache.memoize(**{where: fail})
    def read() -> int:
        return 1

    with pytest.raises(ZeroDivisionError):
        read()


def test_24_an_error_in_an_arguments_own_identity_propagates(cache: Cache) -> None:
    """``__caching_id__`` is the application's code too."""

    class Thing:
        def __caching_id__(self) -> str:
            raise ZeroDivisionError

    read = cache.memoize()(lambda thing: 1)
    with pytest.raises(ZeroDivisionError):
        read(Thing())


def test_24_a_key_maker_that_returns_none_runs_the_view_uncached(app: Flask, cache: Cache) -> None:
    """Said in a counter, so that it is not silent either."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(make_cache_key=lambda: None)
    def index() -> str:
        return str(next(calls))

    client = app.test_client()
    assert [client.get("/").text, client.get("/").text] == ["0", "1"]
    assert cache.stats()["bypasses"] == {"no_key": 2}


# 25


@pytest.mark.parametrize("answer", [1, "yes", [0], object()], ids=["1", "yes", "list", "object"])
def test_25_unless_is_true_when_it_is_truthy(
    app: Flask, cache: Cache, in_app: Flask, answer: Any
) -> None:
    """Not only when it is ``True``; and nothing is stored then."""
    calls = itertools.count()
    options: dict[str, Any] = {"unless": lambda: answer}
    memoized = cache.memoize(**options)(lambda: next(calls))
    helper = cache.cached(key_prefix="k", **options)(lambda: next(calls))
    assert [memoized(), memoized(), helper(), helper()] == [0, 1, 2, 3]
    assert cache.stats()["bypasses"] == {"unless": 4}
    assert cache.stats()["entries"] == 0


@pytest.mark.parametrize("answer", [0, "", None, []], ids=repr)
def test_25_unless_is_false_when_it_is_falsy(cache: Cache, answer: Any) -> None:
    """Whatever the falsy value."""
    calls = itertools.count()
    memoized = cache.memoize(unless=lambda: answer)(lambda: next(calls))
    assert [memoized(), memoized()] == [0, 0]


@pytest.mark.parametrize("option", ["forced_update", "is_stale"])
def test_25_other_conditions_are_true_when_they_are_truthy(cache: Cache, option: str) -> None:
    """``forced_update`` and ``is_stale`` likewise."""
    calls = itertools.count()
    memoized = cache.memoize(**{option: lambda *args: "yes"})(lambda: next(calls))
    assert [memoized(), memoized()] == [0, 1]


def test_25_a_condition_may_take_the_functions_arguments(cache: Cache) -> None:
    """``unless`` gets the function and the arguments, if it takes any."""
    calls = itertools.count()

    def small(function: Any, x: int) -> bool:
        return x < 10

    memoized = cache.memoize(unless=small)(lambda x: next(calls))
    assert [memoized(1), memoized(1), memoized(10), memoized(10)] == [0, 1, 2, 2]


@pytest.mark.parametrize("form", ["alone", "in tuple"])
def test_25_a_cached_response_without_expiry_never_expires(
    app: Flask, cache: Cache, clock: Any, form: str
) -> None:
    """``CachedResponse(timeout=0)`` wins over the decorator's timeout."""
    calls = itertools.count()

    @app.route("/")
    @cache.cached(timeout=10)
    def index() -> Any:
        response = CachedResponse(make_response(str(next(calls))), timeout=0)
        return response if form == "alone" else (response, 200, {"X-Form": form})

    client = app.test_client()
    assert client.get("/").text == "0"
    clock.advance(10_000_000)
    assert client.get("/").text == "0"
    assert cache.ttl("view//") == 0


@pytest.mark.parametrize("form", ["alone", "in tuple"])
def test_25_a_cached_responses_timeout_wins(
    app: Flask, cache: Cache, clock: Any, form: str
) -> None:
    """Shorter or longer than the decorator's; ``None`` leaves it to the decorator."""
    timeouts = {"short": 5, "long": 50, "none": None}
    calls = itertools.count()

    @app.route("/<name>")
    @cache.cached(timeout=10)
    def index(name: str) -> Any:
        response = CachedResponse(make_response(str(next(calls))), timeout=timeouts[name])
        return response if form == "alone" else (response, 200)

    client = app.test_client()
    for name in timeouts:
        client.get(f"/{name}")
    ttls = {name: cache.ttl(f"view//{name}") for name in timeouts}
    assert ttls == {"short": 5, "long": 50, "none": 10}
    clock.advance(5)
    assert client.get("/short").text == "3"
    assert client.get("/long").text == "1"


def test_25_a_timeout_of_zero_never_expires_anywhere(
    app: Flask, cache: Cache, in_app: Flask, clock: Any
) -> None:
    """0 is a timeout like any other, not a missing one."""
    calls = itertools.count()
    memoized = cache.memoize(timeout=0)(lambda: next(calls))
    helper = cache.cached(timeout=0, key_prefix="k")(lambda: next(calls))
    cache.set("key", "value", timeout=0)
    assert (memoized(), helper(), cache.get_or_set("other", "made", timeout=0)) == (0, 1, "made")
    with app.test_request_context():
        template = "{% cache 0, 'part' %}{{ n }}{% endcache %}"
        assert render_template_string(template, n=1) == "1"
        clock.advance(10_000_000)
        assert render_template_string(template, n=2) == "1"
    assert (memoized(), helper()) == (0, 1)
    assert (cache.get("key"), cache.get("other")) == ("value", "made")


# 26


def _generator() -> Iterator[str]:
    yield "alpha "
    yield "beta"


def streamed(form: str) -> Any:
    """A small response in one of the forms in which it is not there as a whole."""
    return {
        "generator": lambda: _generator(),
        "bytes generator": lambda: (part.encode() for part in _generator()),
        "generator in tuple": lambda: (_generator(), 200, {"X-Form": "tuple"}),
        "response": lambda: Response(_generator()),
        "response in tuple": lambda: (Response(_generator()), 200),
        "with context": lambda: stream_with_context(_generator()),
        "with context response": lambda: Response(stream_with_context(_generator())),
        "iterator": lambda: iter(["alpha ", "beta"]),
        "template": lambda: flask.stream_template_string("alpha {{ b }}", b="beta"),
    }[form]()


#: Whether Flask takes an iterator that a view returns; from 2.2 on.
TAKES_ITERATORS = hasattr(flask, "stream_template_string")
STREAMS = ["response", "response in tuple", "with context response"]
if TAKES_ITERATORS:
    STREAMS += ["generator", "bytes generator", "generator in tuple"]
    STREAMS += ["with context", "iterator", "template"]


@pytest.mark.parametrize("form", STREAMS)
def test_26_a_small_stream_is_buffered_and_cached(app: Flask, cache: Cache, form: str) -> None:
    """However the view streams; the first request gets the whole body too."""
    calls: list[int] = []

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        calls.append(1)
        return streamed(form)

    client = app.test_client()
    assert [client.get("/").text for _ in range(3)] == ["alpha beta"] * 3
    assert calls == [1]
    assert client.head("/").data == b""


@pytest.mark.parametrize("form", STREAMS)
def test_26_a_stream_over_the_limit_is_sent_whole_and_counted(
    app: Flask, make_cache: MakeCache, form: str
) -> None:
    """Nothing of it is lost; why it was not stored is counted."""
    cache = make_cache(CACHE_STREAM_LIMIT=3)
    calls: list[int] = []

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        calls.append(1)
        return streamed(form)

    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["alpha beta"] * 2
    assert calls == [1, 1]
    assert cache.stats()["refusals"] == {"too_large": 2}


def test_26_a_file_is_cached(app: Flask, cache: Cache, tmp_path: Any) -> None:
    """``send_file`` with its headers; the file is not opened again."""
    path = tmp_path / "data.txt"
    path.write_text("content")

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return send_file(path)

    client = app.test_client()
    first = client.get("/")
    assert first.data == b"content"
    path.unlink()
    second = client.get("/")
    assert (second.data, second.mimetype) == (b"content", "text/plain")
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.content_length == 7


def test_26_a_range_of_a_file_is_not_stored(app: Flask, cache: Cache, tmp_path: Any) -> None:
    """A 206 is a part; the next request gets the whole."""
    path = tmp_path / "data.txt"
    path.write_text("content")

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return send_file(path, conditional=True)

    client = app.test_client()
    with client.get("/", headers={"Range": "bytes=0-2"}) as part:
        assert (part.status_code, part.data) == (206, b"con")
    assert client.get("/").data == b"content"
    whole = client.get("/", headers={"Range": "bytes=0-2"})
    assert (whole.status_code, whole.data) in ((200, b"content"), (206, b"con"))


def test_26_an_unmodified_answer_is_not_stored(app: Flask, cache: Cache, tmp_path: Any) -> None:
    """A 304 has no body for the visitor who has none."""
    path = tmp_path / "data.txt"
    path.write_text("content")

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return send_file(path, conditional=True)

    client = app.test_client()
    etag = client.get("/").headers["ETag"]
    cache.clear()
    with client.get("/", headers={"If-None-Match": etag}) as unmodified:
        assert unmodified.status_code == 304
    assert client.get("/").data == b"content"


def endless() -> Iterator[str]:
    yield "data: 1\n\n"
    raise AssertionError("the cache reads an event stream that has not ended")


UNSTORED: list[Callable[[], Any]] = [
    lambda: Response(endless(), mimetype="text/event-stream"),
    lambda: Response(endless(), content_type="text/event-stream; charset=utf-8"),
    lambda: (Response(endless()), 200, {"Content-Type": "text/event-stream"}),
    lambda: Response(endless(), 503),
]
if TAKES_ITERATORS:
    UNSTORED += [
        lambda: (endless(), {"Content-Type": "text/event-stream"}),
        lambda: (endless(), 200, [("content-type", "text/event-stream; charset=utf-8")]),
        lambda: (endless(), 200, {"Content-Type": "multipart/x-mixed-replace; boundary=x"}),
        lambda: (endless(), 503),
        lambda: (endless(), {"Cache-Control": "no-store"}),
        lambda: (endless(), {"Set-Cookie": "a=b"}),
    ]


@pytest.mark.parametrize("respond", UNSTORED)
def test_26_a_stream_that_will_not_be_stored_is_not_read(
    app: Flask, cache: Cache, respond: Callable[[], Any]
) -> None:
    """An event stream must not hang; nor is another buffered that is refused in any case."""

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return respond()

    response = app.test_client().get("/", buffered=False)
    assert next(iter(response.response)) in (b"data: 1\n\n", "data: 1\n\n")
    assert sum(cache.stats()["refusals"].values()) == 1


def test_26_a_stream_that_fails_fails_the_request_and_is_not_stored(
    app: Flask, cache: Cache
) -> None:
    """Half a page is never kept."""
    broken = {"now": True}

    def body() -> Iterator[str]:
        yield "half"
        if broken["now"]:
            raise ZeroDivisionError
        yield " whole"

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return Response(body())

    with pytest.raises(ZeroDivisionError):
        _ = app.test_client().get("/").text
    broken["now"] = False
    assert app.test_client().get("/").text == "half whole"


def test_26_a_buffered_stream_is_closed(app: Flask, cache: Cache) -> None:
    """What the stream holds (a file, a connection) is released, and once."""
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"page"])

        def close(self) -> None:
            closed.append("body")

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        response = Response(Body())
        response.call_on_close(lambda: closed.append("response"))
        return response

    client = app.test_client()
    for _ in range(2):
        with client.get("/") as response:
            assert response.text == "page"
        assert sorted(closed) == ["body", "response"]


def test_26_a_memoized_stream_of_a_response_is_cached(cache: Cache, app: Flask) -> None:
    """A response that a memoized function returns is buffered like a view's."""
    calls: list[int] = []

    @cache.memoize()
    def page() -> Any:
        calls.append(1)
        return Response(_generator())

    with app.test_request_context():
        assert [page().get_data(as_text=True) for _ in range(2)] == ["alpha beta"] * 2
    assert calls == [1]


# 27


def test_27_delete_memoized_finds_what_the_call_stored(cache: Cache) -> None:
    """However the arguments are given, to the call and to the deletion."""
    calls = itertools.count()

    @cache.memoize()
    def read(a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> int:
        return next(calls)

    spellings: list[tuple[tuple[int, ...], dict[str, int]]] = [
        ((1,), {}),
        ((1, 2), {}),
        ((1,), {"b": 2}),
        ((1,), {"c": 3}),
        ((1, 2), {"c": 3}),
    ]
    for asked, deleted in itertools.product(spellings, spellings):
        first = read(*asked[0], **asked[1])
        assert read(1) == first
        cache.delete_memoized(read, *deleted[0], **deleted[1])
        assert read(1) != first


def test_27_delete_memoized_finds_methods(cache: Cache) -> None:
    """Of one instance, of all, of a class, by a bound method, with and without arguments."""
    calls = itertools.count()

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        def __repr__(self) -> str:
            return f"Shop({self.name})"

        @cache.memoize()
        def price(self, item: str) -> int:
            return next(calls)

        @classmethod
        @cache.memoize()
        def total(cls, item: str) -> int:
            return next(calls)

        @staticmethod
        @cache.memoize()
        def tax(item: str) -> int:
            return next(calls)

    one, two = Shop("one"), Shop("two")

    def state() -> list[int]:
        return [one.price("a"), one.price("b"), two.price("a"), Shop.total("a"), Shop.tax("a")]

    def changed(delete: Callable[[], Any]) -> list[bool]:
        before = state()
        delete()
        return [old != new for old, new in zip(before, state(), strict=True)]

    assert changed(lambda: cache.delete_memoized(one.price, "a")) == [1, 0, 0, 0, 0]
    assert changed(lambda: cache.delete_memoized(Shop.price, one, "a")) == [1, 0, 0, 0, 0]
    assert changed(lambda: cache.delete_memoized(one.price, item="b")) == [0, 1, 0, 0, 0]
    assert changed(lambda: cache.delete_memoized(one.price)) == [1, 1, 0, 0, 0]
    assert changed(lambda: cache.delete_memoized(Shop.price)) == [1, 1, 1, 0, 0]
    assert changed(lambda: cache.delete_memoized(Shop.total, Shop, "a")) == [0, 0, 0, 1, 0]
    assert changed(lambda: cache.delete_memoized(Shop.total)) == [0, 0, 0, 1, 0]
    assert changed(lambda: cache.delete_memoized(Shop.tax, "a")) == [0, 0, 0, 0, 1]
    assert changed(lambda: cache.delete_memoized(Shop)) == [1, 1, 1, 1, 1]


def test_27_delete_memoized_takes_a_shorthand_for_a_class_method(cache: Cache) -> None:
    """Without the class it cannot know which subclass is meant, and says so."""

    class Shop:
        @classmethod
        @cache.memoize()
        def total(cls, item: str) -> int:
            return 1

    with pytest.raises(ValueError, match="class"):
        cache.delete_memoized(Shop.total, "a")


DELETIONS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "plain": ({}, "/p/1", {"id": 1}),
    "path": ({}, "/p/1", {"path": "/p/1"}),
    "query": ({"query_string": True}, "/p/1?b=2&a=1", {"id": 1, "query_args": {"a": 1, "b": 2}}),
    "query text": ({"query_string": True}, "/p/1?b=2&a=1", {"id": 1, "query_args": "a=1&b=2"}),
    "query list": ({"query_string": ["a"]}, "/p/1?b=2&a=1", {"id": 1, "query_args": [("a", 1)]}),
    "ignored": ({"ignore_query": ["b"]}, "/p/1?b=2&a=1", {"id": 1, "query_args": {"a": "1"}}),
    "constant": ({"key_prefix": "fixed"}, "/p/1", {"id": 1}),
    "callable": ({"key_prefix": lambda: "made"}, "/p/1", {"id": 1}),
    "key maker": ({"make_cache_key": lambda id: f"own {id}"}, "/p/1", {"id": 1}),
    "source": ({"source_check": True}, "/p/1", {"id": 1}),
    "hash": ({"query_string": True, "hash_method": __import__("hashlib").md5}, "/p/1?a=1",
             {"id": 1, "query_args": {"a": 1}}),
}  # fmt: skip


@pytest.mark.parametrize("name", DELETIONS)
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside a request"])
def test_27_delete_cached_finds_what_the_request_stored(
    app: Flask, cache: Cache, name: str, inside: bool
) -> None:
    """From outside a request, and from inside another one."""
    options, url, arguments = DELETIONS[name]
    calls = itertools.count()

    @app.route("/p/<int:id>")
    @cache.cached(**options)
    def page(id: int) -> str:
        return str(next(calls))

    client = app.test_client()
    assert [client.get(url).text, client.get(url).text] == ["0", "0"]
    context = app.test_request_context("/other") if inside else app.app_context()
    with context:
        assert cache.delete_cached(page, **arguments)
    assert client.get(url).text == "1"


def test_27_make_cache_key_names_the_key_of_the_request(app: Flask, cache: Cache) -> None:
    """Inside the view's own request it is the key that was just used."""
    keys: list[str] = []

    @app.route("/p/<int:id>")
    @cache.cached(query_string=True)
    def page(id: int) -> str:
        keys.append(page.make_cache_key())
        keys.append(page.make_cache_key(id=id))
        return "page"

    app.test_client().get("/p/1?a=1")
    assert len(set(keys)) == 1
    assert cache.has(keys[0])


def test_27_delete_cached_of_a_blueprints_view(app: Flask, cache: Cache) -> None:
    """Nested blueprints with prefixes lead to the same path as the request did."""
    from flask import Blueprint

    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    calls = itertools.count()

    @inner.route("/p/<id>")
    @cache.cached()
    def page(id: str) -> str:
        return str(next(calls))

    outer.register_blueprint(inner, url_prefix="/in")
    app.register_blueprint(outer, url_prefix="/out")
    client = app.test_client()
    assert client.get("/out/in/p/ä b").text == "0"
    with app.app_context():
        assert cache.delete_cached(page, id="ä b")
    assert client.get("/out/in/p/ä b").text == "1"


def test_27_delete_cached_of_a_method_view(app: Flask, cache: Cache) -> None:
    """A decorated ``get``, and a whole view with the decorator in its ``decorators``."""
    calls = itertools.count()

    class Item(MethodView):
        @cache.cached()
        def get(self, id: int) -> str:
            return str(next(calls))

    class Whole(MethodView):
        decorators = [cache.cached()]  # noqa: RUF012

        def get(self, id: int) -> str:
            return str(next(calls))

    app.add_url_rule("/item/<int:id>", view_func=Item.as_view("item"))
    app.add_url_rule("/whole/<int:id>", view_func=Whole.as_view("whole"))
    client = app.test_client()
    assert [client.get(url).text for url in ("/item/1", "/item/1", "/whole/1")] == ["0", "0", "1"]
    with app.app_context():
        assert cache.delete_cached(Item.get, id=1)
        assert cache.delete_cached(app.view_functions["whole"], id=1)
    assert [client.get(url).text for url in ("/item/1", "/whole/1")] == ["2", "3"]


def test_27_deleting_what_is_not_cached_is_an_error(cache: Cache) -> None:
    """Not a silent success."""

    def plain() -> None: ...

    other = Cache()
    foreign = other.memoize()(lambda: 1)
    helper, memoized = cache.cached(key_prefix="k")(lambda: 1), cache.memoize()(lambda: 1)
    for deletion in (
        lambda: cache.delete_memoized(plain),
        lambda: cache.delete_memoized("plain"),
        lambda: cache.delete_memoized(foreign),
        lambda: cache.delete_memoized(helper),
        lambda: cache.delete_cached(memoized),
        lambda: cache.delete_cached(plain),
    ):
        with pytest.raises(TypeError):
            deletion()


# 28


def test_28_every_way_to_read_counts_per_key(cache: Cache) -> None:
    """A read of n keys counts n; falsy values are hits."""
    cache.set_many({"none": None, "zero": 0, "empty": "", "false": False, "list": []})
    cache.get_many("none", "zero", "missing")
    cache.get_dict("empty", "false", "list", "gone")
    for key in ("none", "zero", "nowhere"):
        cache.get(key)
    cache.get_or_set("zero", 1)
    cache.get_or_set("fresh", 1)
    lookups = cache.stats()["lookups"]
    assert (lookups["hit"], lookups["miss"]) == (2 + 3 + 2 + 1, 1 + 1 + 1 + 1)


def test_28_a_cached_none_is_a_hit_of_the_decorator(app: Flask, cache: Cache) -> None:
    """With ``cache_none``."""
    read = cache.memoize(cache_none=True)(lambda: None)
    assert [read(), read(), read()] == [None, None, None]
    assert cache.stats()["lookups"] == {"hit": 2, "miss": 1, "stale": 0, "error": 0}


def test_28_a_stale_value_is_neither_hit_nor_miss(cache: Cache) -> None:
    """What ``is_stale`` refuses has a result of its own."""
    read = cache.memoize(is_stale=lambda value: True)(lambda: 1)
    assert [read(), read()] == [1, 1]
    assert cache.stats()["lookups"] == {"hit": 0, "miss": 1, "stale": 1, "error": 0}


def test_28_hits_and_misses_of_all_kinds_are_counted_by_target(app: Flask, cache: Cache) -> None:
    """Views by endpoint, functions by name, fragments by their name."""

    @app.route("/", endpoint="home")
    @cache.cached()
    def index() -> str:
        return render_template_string("{% cache 60, 'menu' %}menu{% endcache %}")

    read = cache.memoize()(len)
    client = app.test_client()
    for _ in range(3):
        client.get("/")
        read((1,))
    targets = cache.stats()["targets"]
    assert targets["view"]["home"]["lookups"]["hit"] == 2
    assert targets["view"]["home"]["lookups"]["miss"] == 1
    assert targets["template"]["menu"]["lookups"]["miss"] == 1
    [function] = targets["memoize"].values()
    assert (function["lookups"]["hit"], function["lookups"]["miss"]) == (2, 1)


# 29


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CACHE_TYP", "CACHE_TYPE"),
        ("CACHE_DEFAULT_TIMOUT", "CACHE_DEFAULT_TIMEOUT"),
        ("CACHE_TRESHOLD", "CACHE_THRESHOLD"),
        ("CACHE_KEYPREFIX", "CACHE_KEY_PREFIX"),
        ("CACHE_COLLISION", "CACHE_COLLISIONS"),
    ],
)
@pytest.mark.parametrize("where", ["app.config", "Cache()"])
def test_29_a_typing_mistake_in_a_name_warns(wrong: str, right: str, where: str) -> None:
    """With the name that was probably meant."""
    app = Flask("typo")
    config: dict[str, Any] = {"CACHE_TYPE": "SimpleCache", wrong: "x"}
    if where == "app.config":
        app.config.update(config)
    with pytest.warns(UserWarning, match=f"{wrong}.*{right}"):
        Cache(app, config=config if where == "Cache()" else None)


def test_29_keys_of_other_extensions_are_left_alone() -> None:
    """Nothing is said of what merely begins alike."""
    app = Flask("others")
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_BUSTER_ENABLED=True, CACHEIFY=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cache(app)


@pytest.mark.parametrize(
    "config",
    [
        {"CACHE_DEFAULT_TIMEOUT": "soon"},
        {"CACHE_THRESHOLD": -1},
        {"CACHE_KEY_STRATEGY": "stricter"},
        {"CACHE_COLLISIONS": "ignore"},
        {"CACHE_TYPE": "SimplCache"},
        {"CACHE_TYPE": "no.such.module.Cache"},
        {"CACHE_SERIALIZER": "yaml"},
        {"CACHE_SERIALIZER": "signed"},
        {"CACHE_OPTIONS": ["threshold"]},
    ],
    ids=lambda config: next(iter(config.items()))[1],
)
def test_29_a_value_that_cannot_be_used_is_an_error_that_names_it(config: dict[str, Any]) -> None:
    """At start, not at the first request."""
    [key] = config
    with pytest.raises(ConfigurationError, match=key):
        Cache(Flask("wrong"), config={"CACHE_TYPE": "SimpleCache", **config})


def test_29_a_misspelt_option_is_an_error() -> None:
    """What the backend does not take is not dropped."""
    config = {"CACHE_TYPE": "SimpleCache", "CACHE_OPTIONS": {"treshold": 5}}
    with pytest.raises(ConfigurationError, match="treshold"):
        Cache(Flask("wrong"), config=config)


def test_29_options_win(app: Flask, make_cache: MakeCache) -> None:
    """``CACHE_OPTIONS`` is what the backend is made with."""
    cache = make_cache(CACHE_THRESHOLD=500, CACHE_OPTIONS={"threshold": 2, "default_timeout": 7})
    assert (cache.cache.threshold, cache.cache.default_timeout) == (2, 7)
    cache.set("key", 1)
    assert cache.ttl("key") == pytest.approx(7, abs=1)


def test_29_the_configuration_is_never_rewritten() -> None:
    """Neither the application's nor the dictionary that was passed."""
    app = Flask("untouched")
    app.config["CACHE_TYPE"] = "SimpleCache"
    before = copy.deepcopy(dict(app.config))
    config = {"CACHE_DEFAULT_TIMEOUT": 5, "CACHE_OPTIONS": {"threshold": 9}}
    passed = copy.deepcopy(config)
    cache = Cache(app, config=config)
    cache.init_app(app, config={"CACHE_DEFAULT_TIMEOUT": 6})
    cache.set("key", 1)
    assert dict(app.config) == before
    assert config == passed


# 30


def test_30_two_applications_keep_their_own_settings_and_entries() -> None:
    """One Cache, two timeouts, two stores; nothing belongs to whoever came last."""
    cache = Cache()
    one, two = Flask("one"), Flask("two")
    cache.init_app(one, config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 10})
    cache.init_app(two, config={"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 20})
    for app, timeout in ((one, 10), (two, 20)):
        with app.app_context():
            cache.set("key", app.name)
            assert cache.ttl("key") == pytest.approx(timeout, abs=1)
            assert cache.app is app
    for app in (one, two):
        with app.app_context():
            assert cache.get("key") == app.name
    with one.app_context():
        cache.clear()
    with two.app_context():
        assert cache.get("key") == "two"


def test_30_one_decorated_function_serves_two_applications() -> None:
    """Each application has its own values of it, its own key strategy and its own counts."""
    cache = Cache()
    one, two = Flask("one"), Flask("two")
    cache.init_app(one, config={"CACHE_TYPE": "SimpleCache"})
    cache.init_app(two, config={"CACHE_TYPE": "SimpleCache", "CACHE_KEY_STRATEGY": "strict"})

    @cache.memoize()
    def whose(x: int) -> str:
        from flask import current_app

        return current_app.name

    @cache.cached(query_string=False)
    def index() -> str:
        return f"{whose(1)} {request.args.get('q')}"

    for app in (one, two):
        app.add_url_rule("/", "index", index)
    for _ in range(2):
        assert one.test_client().get("/?q=1").text == "one 1"
        assert two.test_client().get("/?q=1").text == "two 1"
    assert one.test_client().get("/?q=2").text == "one 1"
    assert two.test_client().get("/?q=2").text == "two 2"
    with two.app_context():
        cache.delete_memoized(whose)
        assert whose(1) == "two"
        assert cache.stats()["targets"]["view"]["index"]["lookups"]["hit"] == 1


def test_30_several_applications_need_a_context() -> None:
    """Which is meant is not guessed: an error for the direct call, uncached for a function."""
    cache = Cache()
    for name in ("one", "two"):
        cache.init_app(Flask(name), config={"CACHE_TYPE": "SimpleCache"}) if name else None
    apps = [Flask("three"), Flask("four")]
    for app in apps:
        cache.init_app(app, config={"CACHE_TYPE": "SimpleCache"})
    with pytest.raises(RuntimeError, match="context"):
        cache.get("key")
    read = cache.memoize()(lambda: 1)
    with pytest.warns(UserWarning, match="uncached"):
        assert read() == 1


def test_30_several_caches_on_one_application_are_apart(app: Flask, make_cache: MakeCache) -> None:
    """Neither entries, nor settings, nor counts are shared."""
    one = make_cache(CACHE_NAME="one", CACHE_DEFAULT_TIMEOUT=10)
    two = make_cache(CACHE_NAME="two", CACHE_DEFAULT_TIMEOUT=20)
    one.set("key", "one")
    two.set("key", "two")
    assert (one.get("key"), two.get("key")) == ("one", "two")
    assert one.ttl("key") == pytest.approx(10, abs=1)
    one.clear()
    assert two.get("key") == "two"
    assert one.stats()["lookups"]["hit"] == 1
    assert two.stats()["lookups"]["hit"] == 2


# 31


def test_31_a_memoized_coroutine_stays_awaitable(cache: Cache) -> None:
    """Every call gives a fresh awaitable, inside a running loop and in several loops."""
    calls: list[int] = []

    @cache.memoize()
    async def double(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return 2 * x

    async def main() -> list[int]:
        return [await double(2), await double(2), await double(x=2)]

    assert asyncio.run(main()) == [4, 4, 4]
    assert asyncio.run(double(2)) == 4
    assert calls == [2]
    assert asyncio.iscoroutinefunction(double)


def test_31_a_cached_coroutine_helper_stays_awaitable(cache: Cache, in_app: Flask) -> None:
    """The same under ``@cached``, bypassed or not."""
    calls: list[int] = []

    async def make() -> str:
        calls.append(1)
        return "value"

    helper = cache.cached(key_prefix="k")(make)
    bypassed = cache.cached(key_prefix="l", unless=lambda: True)(make)
    assert [asyncio.run(helper()) for _ in range(2)] == ["value"] * 2
    assert calls == [1]
    assert [asyncio.run(bypassed()) for _ in range(2)] == ["value"] * 2
    assert calls == [1, 1, 1]


def test_31_an_async_view_is_cached(app: Flask, cache: Cache) -> None:
    """Flask runs it, and gets the stored response the next time."""
    pytest.importorskip("asgiref")
    calls = itertools.count()

    @app.route("/<int:id>")
    @cache.cached()
    async def index(id: int) -> str:
        await asyncio.sleep(0)
        if id == 404:
            abort(404)
        return f"{id} {next(calls)}"

    client = app.test_client()
    assert [client.get("/1").text for _ in range(2)] == ["1 0"] * 2
    assert [client.get("/404").status_code for _ in range(2)] == [404] * 2
    assert client.get("/2").text == "2 1"


def test_31_a_coroutine_that_raises_is_not_cached(cache: Cache) -> None:
    """Its error comes from the await, and the next call runs."""
    calls = itertools.count()

    @cache.memoize()
    async def read() -> int:
        if next(calls) == 0:
            raise ZeroDivisionError
        return 1

    with pytest.raises(ZeroDivisionError):
        asyncio.run(read())
    assert asyncio.run(read()) == 1


def test_31_an_asynchronous_generator_is_refused_at_once(cache: Cache) -> None:
    """At decoration, with what to do instead."""

    async def items() -> Any:
        yield 1

    for decorator in (cache.memoize(), cache.cached(key_prefix="k")):
        with pytest.raises(TypeError, match="asynchronous generator"):
            decorator(items)


# 32


def test_32_an_error_in_a_fragment_runs_it_once(app: Flask, cache: Cache) -> None:
    """The block is rendered once, the error is the page's, nothing is stored."""
    calls: list[int] = []

    def fail() -> str:
        calls.append(1)
        raise ZeroDivisionError

    template = "{% cache 60, 'part' %}{{ fail() }}{% endcache %}"
    with app.test_request_context():
        with pytest.raises(ZeroDivisionError):
            render_template_string(template, fail=fail)
        assert calls == [1]
        assert render_template_string(template, fail=lambda: "fine") == "fine"
        assert render_template_string(template, fail=fail) == "fine"
    assert calls == [1]


def test_32_an_undefined_name_in_a_vary_part_is_an_error_of_the_template(
    app: Flask, cache: Cache
) -> None:
    """Not of the cache: the block does not run under a key that means nothing."""
    from jinja2 import StrictUndefined, UndefinedError

    app.jinja_env.undefined = StrictUndefined
    calls: list[int] = []
    template = "{% cache 60, 'part', missing %}{{ calls.append(1) }}{% endcache %}"
    with app.test_request_context(), pytest.raises(UndefinedError):
        render_template_string(template, calls=calls)
    assert calls == []


def test_32_a_wrong_timeout_of_a_fragment_is_an_error(app: Flask, cache: Cache) -> None:
    """Neither ignored nor taken for the default."""
    with app.test_request_context(), pytest.raises(ValueError, match="delete"):
        render_template_string("{% cache 'delete', 'part' %}x{% endcache %}")


# 33


@pytest.mark.parametrize("how", ["argument", "attribute"])
def test_33_one_key_maker_is_used_to_store_to_tell_and_to_delete(
    app: Flask, cache: Cache, how: str
) -> None:
    """Given to the decorator or assigned afterwards."""

    def own_key(id: int) -> str:
        return f"own:{id}"

    calls = itertools.count()

    @app.route("/<int:id>")
    @cache.cached(make_cache_key=own_key if how == "argument" else None)
    def page(id: int) -> str:
        return str(next(calls))

    if how == "attribute":
        page.make_cache_key = own_key
    client = app.test_client()
    assert client.get("/7").text == "0"
    assert cache.has("own:7")
    with app.app_context():
        assert page.make_cache_key(id=7) == "own:7"
        assert cache.explain("/7").key == "own:7"
        assert cache.delete_cached(page, id=7)
    assert client.get("/7").text == "1"


def test_33_a_key_maker_assigned_to_a_memoized_function_is_used_everywhere(cache: Cache) -> None:
    """To store and to delete; the versions still apply."""
    calls = itertools.count()

    @cache.memoize()
    def read(a: int) -> int:
        return next(calls)

    read.make_cache_key = lambda function, a: f"own:{a}"
    assert [read(1), read(1)] == [0, 0]
    assert cache.has("own:1")
    assert cache.explain_call(read, 1).key == "own:1"
    cache.delete_memoized(read, 1)
    assert read(1) == 1
    cache.delete_memoized(read)
    assert read(1) == 2


def test_33_a_callable_key_prefix_is_used_to_store_to_tell_and_to_delete(
    app: Flask, cache: Cache
) -> None:
    """It reads the current request, and deletion from another request finds its own key."""

    @app.route("/a")
    @cache.cached(key_prefix=lambda: f"prefix {request.path}")
    def page() -> str:
        return "page"

    app.test_client().get("/a")
    assert cache.has("prefix /a")
    with app.test_request_context("/a"):
        assert page.make_cache_key() == "prefix /a"
        assert cache.explain("/a").key == "prefix /a"
        assert cache.delete_cached(page)


def test_33_the_fragment_key_function_names_what_the_tag_stored(app: Flask, cache: Cache) -> None:
    """``make_template_fragment_key`` and ``'del'`` find the entry."""
    calls = itertools.count()
    template = "{% cache timeout, 'part', a, 5 %}{{ count() }}{% endcache %}"

    def render(timeout: Any = 60) -> str:
        with app.test_request_context():
            return render_template_string(
                template, timeout=timeout, a="x:y", count=lambda: next(calls)
            )

    assert [render(), render()] == ["0", "0"]
    assert cache.delete(make_template_fragment_key("part", ["x:y", 5]))
    assert render() == "1"
    assert render("del") == "2"
    assert render() == "3"
    assert render() == "3"
