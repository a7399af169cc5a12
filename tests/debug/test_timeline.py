"""The timeline: what requests did with the cache, written down while debug pages are mounted."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort, g, request
from servers import RedisServer

from flask_caching import Cache
from flask_caching.entry import Entry, Form
from flask_caching.observer import NullObserver, Target, faults
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.model import RequestRecord
from flask_caching_instrumentation.relay import Relay, follow
from flask_caching_instrumentation.timeline import (
    DEBUG,
    STEP,
    Counted,
    History,
    KeyMemory,
    Timeline,
    start_timeline,
    stop_timeline,
    timeline_of,
)
from flask_caching_instrumentation.timeline.history import sampler

MakeApp = Callable[..., tuple[Flask, Cache]]


@pytest.fixture
def watched(make_app: MakeApp) -> tuple[Flask, Cache]:
    """A SimpleCache with a timeline."""
    app, cache = make_app()
    start_timeline(cache.state())
    return app, cache


def records(cache: Cache, app: Flask | None = None) -> list[RequestRecord]:
    """All requests so far, the oldest first."""
    log = Inspector(cache, app).requests(limit=1000)
    assert log.recording
    return list(reversed(log.requests))


def one(cache: Cache) -> RequestRecord:
    """The only request so far."""
    (record,) = records(cache)
    return record


def told(operations: Any) -> list[tuple[str, str, str]]:
    """Target, operation and outcome of each."""
    return [(each.target.rpartition(".")[2], each.operation, each.outcome) for each in operations]


def add(app: Flask, cache: Cache, rule: str, view: Any = None, **options: Any) -> None:
    """A cached view; its endpoint is ``view``."""
    app.add_url_rule(rule, "view", cache.cached(**options)(view or (lambda **_: "x")))


# Starting and stopping.


def test_nobody_watches_unless_asked(make_app: MakeApp) -> None:
    """And then nothing is in the way of the store or the observer."""
    app, cache = make_app()
    state = cache.state()
    before = (state.observer, state.store, state.entries)
    add(app, cache, "/x")
    app.test_client().get("/x")
    assert timeline_of(state) is None
    log = Inspector(cache).requests()
    assert (log.recording, log.requests, log.latest, log.pid) == (False, (), 0, os.getpid())
    timeline = start_timeline(state)
    assert start_timeline(state) is timeline is timeline_of(state)
    assert isinstance(state.observer, Relay)
    stop_timeline(state)
    stop_timeline(state)
    assert (state.observer, state.store, state.entries) == before
    assert timeline_of(state) is None


def test_a_timeline_lives_as_long_as_it_follows(make_app: MakeApp) -> None:
    """Signals, wrapper and store forget it afterwards."""
    app, cache = make_app()
    add(app, cache, "/x")
    reference = weakref.ref(start_timeline(cache.state()))
    app.test_client().get("/x")
    stop_timeline(cache.state())
    gc.collect()
    assert reference() is None
    app.test_client().get("/x")
    cache.delete("view//x")


def test_an_application_is_not_kept_alive(make_app: MakeApp) -> None:
    """By its timeline, nor by what that remembers."""
    app, cache = make_app()
    add(app, cache, "/x")
    start_timeline(cache.state())
    app.test_client().get("/x")
    reference = weakref.ref(app)
    cache.__dict__["_kept_app"] = None
    del app
    gc.collect()
    assert reference() is None


# Requests.


def test_a_miss_and_a_hit(watched: tuple[Flask, Cache]) -> None:
    """With their times, and the time of the load, which is a part of the miss."""
    app, cache = watched
    add(app, cache, "/slow/<int:number>", lambda number: time.sleep(0.01) or "x")
    client = app.test_client()
    client.get("/slow/1?page=2")
    client.get("/slow/1")
    miss, hit = records(cache)
    assert (miss.method, miss.url, miss.endpoint, miss.status) == (
        "GET",
        "/slow/1?page=2",
        "view",
        200,
    )
    assert (miss.number, hit.number) == (1, 2)
    assert miss.at == pytest.approx(time.time(), abs=5)
    (operation,) = miss.operations
    assert told(miss.operations) == [("view", "lookup", "miss")]
    assert (operation.source, operation.key, operation.keys) == ("view", "view//slow/1", 1)
    assert (operation.stored, operation.reason, operation.collision) == ("stored", "", "")
    assert (operation.load_microseconds or 0) >= 10_000
    assert operation.microseconds >= (operation.load_microseconds or 0)
    assert (miss.milliseconds or 0) >= operation.microseconds / 1000
    (operation,) = hit.operations
    assert (operation.outcome, operation.stored, operation.load_microseconds) == ("hit", "", None)
    assert operation.microseconds < 10_000


def test_the_size_of_an_entry_where_the_store_keeps_bytes(
    make_app: MakeApp, store: dict[str, Any]
) -> None:
    """Of one that was written, and of one that was read."""
    app, cache = make_app(**store)
    start_timeline(cache.state())
    add(app, cache, "/x", lambda: "x" * 1000)
    client = app.test_client()
    client.get("/x")
    client.get("/x")
    sizes = [record.operations[0].bytes for record in records(cache)]
    if store["CACHE_TYPE"] == "SimpleCache":
        assert sizes == [None, None]
    else:
        assert sizes[0] == sizes[1]
        assert (sizes[0] or 0) > 1000


def test_operations_in_the_order_in_which_they_began(watched: tuple[Flask, Cache]) -> None:
    """Those inside of a load after it; fragments and direct calls among them."""
    app, cache = watched

    @cache.memoize()
    def twice(number: int) -> int:
        return 2 * number

    def view() -> str:
        cache.set("mine", twice(2))
        cache.get("mine")
        return app.jinja_env.from_string(
            "{% cache 50, 'side' %}{{ twice(3) }}{% endcache %}"
        ).render(twice=twice)

    add(app, cache, "/x", view)
    app.test_client().get("/x")
    assert told(one(cache).operations) == [
        ("view", "lookup", "miss"),
        ("twice", "lookup", "miss"),
        ("direct", "set", "stored"),
        ("direct", "lookup", "hit"),
        ("side", "lookup", "miss"),
        ("twice", "lookup", "miss"),
    ]
    assert [each.source for each in one(cache).operations] == [
        "view",
        "memoize",
        "direct",
        "direct",
        "template",
        "memoize",
    ]
    loads = [each.load_microseconds for each in one(cache).operations]
    assert [load is not None for load in loads] == [True, True, False, False, True, True]


def test_a_request_that_does_not_use_the_cache_is_none(watched: tuple[Flask, Cache]) -> None:
    """It is a list of what the cache did."""
    app, cache = watched
    app.add_url_rule("/plain", "plain", lambda: "x")
    client = app.test_client()
    client.get("/plain")
    client.get("/nowhere")
    assert records(cache) == []


def test_bypasses(watched: tuple[Flask, Cache]) -> None:
    """Why the cache was not asked, and how long the function ran."""
    app, cache = watched
    view = cache.cached(unless=lambda: "fresh" in request.args)(lambda: time.sleep(0.002) or "x")
    app.add_url_rule("/x", "view", view, methods=["GET", "POST"])
    client = app.test_client()
    client.get("/x?fresh=1")
    client.post("/x")
    assert [told(record.operations) for record in records(cache)] == [
        [("view", "bypass", "unless")],
        [("view", "bypass", "method")],
    ]
    (operation,) = records(cache)[0].operations
    assert (operation.load_microseconds or 0) >= 2000
    assert operation.microseconds >= 2000


def test_a_forced_update_is_a_bypass_that_stores(watched: tuple[Flask, Cache]) -> None:
    """With its key, and what became of the value."""
    app, cache = watched
    add(app, cache, "/x", forced_update=lambda: True)
    app.test_client().get("/x")
    (operation,) = one(cache).operations
    assert (operation.operation, operation.outcome) == ("bypass", "forced_update")
    assert (operation.key, operation.stored) == ("view//x", "stored")
    assert operation.load_microseconds is not None


def test_what_was_not_stored_and_why(watched: tuple[Flask, Cache]) -> None:
    """As the metrics have it."""
    app, cache = watched

    def view() -> Any:
        response = Response("x")
        response.set_cookie("id", "7")
        return response

    add(app, cache, "/x", view)
    app.test_client().get("/x")
    (operation,) = one(cache).operations
    assert (operation.outcome, operation.stored, operation.reason) == (
        "miss",
        "refused",
        "set_cookie",
    )


def test_a_collision_is_told_with_its_request(watched: tuple[Flask, Cache]) -> None:
    """What differed."""
    app, cache = watched
    add(app, cache, "/p/<int:number>", key_prefix="p")
    client = app.test_client()
    client.get("/p/1")
    client.get("/p/2")
    assert [record.operations[0].collision for record in records(cache)] == ["", "arguments"]


def test_several_keys_are_one_operation(watched: tuple[Flask, Cache]) -> None:
    """Their number, the first of them, and whether all were there."""
    app, cache = watched
    cache.set_many({"a": 1, "b": 2})
    with app.test_request_context("/"):
        cache.get_many("a", "b")
        cache.get_many("a", "missing", "c")
        cache.get_many("missing")
        cache.get_many()
        cache.delete_many("a", "b")
    operations = records(cache)[-1].operations
    assert [(each.operation, each.outcome, each.key, each.keys) for each in operations] == [
        ("lookup", "hit", "a", 2),
        ("lookup", "partial", "a", 3),
        ("lookup", "miss", "missing", 1),
        ("lookup", "miss", "", 0),
        ("delete_many", "ok", "a", 2),
    ]


def test_calls_of_the_applications_own(make_app: MakeApp, store: dict[str, Any]) -> None:
    """Each by the operation of the store, on every store."""
    app, cache = make_app(**store)
    start_timeline(cache.state())

    @cache.memoize()
    def twice(number: int) -> int:
        return 2 * number

    with app.test_request_context("/"):
        cache.set("key", 1)
        cache.add("key", 2)
        cache.inc("key", 3)
        cache.has("key")
        cache.touch("key", 10)
        cache.ttl("key")
        cache.delete("key")
        cache.cache.get("key")
        cache.delete_memoized(twice)
        cache.clear()
    seen = [
        (each.operation, each.outcome, each.key, each.stored)
        for each in records(cache)[-1].operations
    ]
    memoized = seen.pop(8)
    assert (memoized[0], memoized[2].endswith("twice_memver")) == ("delete_memoized", True)
    assert seen == [
        ("set", "stored", "key", "stored"),
        ("add", "refused", "key", "refused"),
        ("inc", "ok", "key", ""),
        ("has", "hit", "key", ""),
        ("touch", "hit", "key", ""),
        ("ttl", "hit", "key", ""),
        ("delete", "ok", "key", ""),
        ("get", "miss", "key", ""),
        ("clear", "ok", "", ""),
    ]


def test_the_decorators_calls_to_a_backend_of_others_are_not_the_applications(
    make_app: MakeApp,
) -> None:
    """Although both go through the same methods."""
    cachelib = pytest.importorskip("cachelib")
    app, cache = make_app(CACHE_TYPE=lambda *_: cachelib.SimpleCache())
    start_timeline(cache.state())
    add(app, cache, "/x")
    client = app.test_client()
    client.get("/x")
    client.get("/x")
    cache.delete("view//x")
    assert [told(record.operations) for record in records(cache)] == [
        [("view", "lookup", "miss")],
        [("view", "lookup", "hit")],
        [("direct", "delete", "ok")],
    ]


def test_values_that_cannot_be_stored(watched: tuple[Flask, Cache]) -> None:
    """A write that failed before the store was asked has no key, and takes nobody else's."""
    from flask_caching.errors import SerializationError

    app, cache = watched

    @cache.memoize()
    def twice(number: int) -> int:
        return 2 * number

    with app.test_request_context("/"):
        cache.set("fine", 1)
        twice(1)
        with pytest.raises(SerializationError):
            cache.set("never", threading.Lock())
    assert [
        (each.operation, each.outcome, each.key, each.reason)
        for each in records(cache)[-1].operations
        if each.source == "direct"
    ] == [("set", "stored", "fine", ""), ("set", "error", "", "serialization")]


def test_a_failing_store(make_app: MakeApp, own_redis: RedisServer) -> None:
    """Its errors are outcomes."""
    app, cache = make_app(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_HOST=own_redis.host,
        CACHE_REDIS_PORT=own_redis.port,
        CACHE_IGNORE_ERRORS=True,
    )
    start_timeline(cache.state())
    add(app, cache, "/x", lambda: cache.delete("key") or cache.set("mine", 1) or "x")
    own_redis.kill()
    app.test_client().get("/x")
    assert told(one(cache).operations) == [
        ("view", "lookup", "error"),
        ("direct", "delete", "error"),
        ("direct", "set", "error"),
    ]
    assert [each.key for each in one(cache).operations] == ["view//x", "key", "mine"]


def test_the_status_of_what_went_wrong(watched: tuple[Flask, Cache]) -> None:
    """Aborted, failed, and failed with nobody to handle it."""
    app, cache = watched
    app.testing = False

    def view(what: str) -> str:
        if what == "abort":
            abort(404)
        raise ValueError(what)

    add(app, cache, "/x/<what>", view)
    client = app.test_client()
    client.get("/x/abort")
    client.get("/x/fail")
    app.testing = True
    with pytest.raises(ValueError, match="through"):
        client.get("/x/through")
    assert [record.status for record in records(cache)] == [404, 500, None]
    assert [told(record.operations) for record in records(cache)][2] == [("view", "lookup", "miss")]
    assert all((record.milliseconds or 0) > 0 for record in records(cache))


def test_what_is_done_after_the_response_belongs_to_its_request(
    watched: tuple[Flask, Cache],
) -> None:
    """In teardown functions, while a body is streamed, and where nothing was done before."""
    app, cache = watched

    @app.teardown_request
    def teardown(error: Any) -> None:
        cache.get("torn down")

    add(app, cache, "/x")
    app.add_url_rule("/plain", "plain", lambda: "x")
    client = app.test_client()
    client.get("/x")
    client.get("/plain")
    first, second = records(cache)
    assert [each.key for each in first.operations] == ["view//x", "torn down"]
    assert [each.key for each in second.operations] == ["torn down"]


def test_a_request_inside_of_a_request(watched: tuple[Flask, Cache]) -> None:
    """Each has its own operations."""
    app, cache = watched
    add(app, cache, "/inner")

    @app.route("/outer")
    def outer() -> str:
        cache.get("before")
        app.test_client().get("/inner")
        cache.get("after")
        return "x"

    app.test_client().get("/outer")
    inner, outside = records(cache)
    assert (inner.url, outside.url) == ("/inner", "/outer")
    assert [each.key for each in inner.operations] == ["view//inner"]
    assert [each.key for each in outside.operations] == ["before", "after"]


def test_many_operations_are_cut_off(watched: tuple[Flask, Cache]) -> None:
    """A hundred are kept, and the rest is counted."""
    app, cache = watched

    @app.route("/x")
    def x() -> str:
        for number in range(130):
            cache.get(f"key {number}")
        return "x"

    app.test_client().get("/x")
    record = one(cache)
    assert (len(record.operations), record.dropped) == (100, 30)
    assert record.operations[0].key == "key 0"


def test_many_requests_push_out_the_oldest(watched: tuple[Flask, Cache]) -> None:
    """Two hundred are kept, and their numbers go on."""
    app, cache = watched
    add(app, cache, "/x/<int:number>")
    client = app.test_client()
    for number in range(230):
        client.get(f"/x/{number}")
    found = records(cache)
    assert [record.number for record in found] == list(range(31, 231))
    assert found[-1].url == "/x/229"


def test_following_requests(watched: tuple[Flask, Cache]) -> None:
    """By the highest number that one has seen."""
    app, cache = watched
    add(app, cache, "/x/<int:number>")
    client = app.test_client()
    inspector = Inspector(cache)
    assert inspector.requests().latest == 0
    for number in range(5):
        client.get(f"/x/{number}")
    log = inspector.requests(after=3)
    assert (log.latest, [record.number for record in log.requests]) == (5, [5, 4])
    assert [record.number for record in inspector.requests(limit=2).requests] == [5, 4]
    assert inspector.requests(after=5).requests == []
    assert inspector.requests(limit=0).requests == []
    assert len(inspector.requests(after=99).requests) == 5, "a number of another process"


# Outside of requests.


def test_outside_of_requests_each_call_is_by_itself(watched: tuple[Flask, Cache]) -> None:
    """With what its function did; without method, URL or status."""
    app, cache = watched

    @cache.memoize()
    def inner(number: int) -> int:
        return number

    @cache.memoize()
    def outer(number: int) -> int:
        cache.set("mine", number)
        return inner(number) + 1

    with app.app_context():
        outer(1)
        outer(1)
        cache.get("mine")
    found = records(cache)
    assert [told(record.operations) for record in found] == [
        [("outer", "lookup", "miss"), ("direct", "set", "stored"), ("inner", "lookup", "miss")],
        [("outer", "lookup", "hit")],
        [("direct", "lookup", "hit")],
    ]
    assert {(record.method, record.url, record.status) for record in found} == {("", "", None)}
    assert found[0].milliseconds == pytest.approx(found[0].operations[0].microseconds / 1000)


def test_threads_outside_of_requests_are_apart(watched: tuple[Flask, Cache]) -> None:
    """What one does is no part of what another does."""
    app, cache = watched
    inside, done = threading.Event(), threading.Event()

    @cache.memoize()
    def slow() -> int:
        inside.set()
        assert done.wait(10)
        return 1

    def other() -> None:
        assert inside.wait(10)
        with app.app_context():
            cache.get("other")
        done.set()

    def first() -> None:
        with app.app_context():
            slow()

    threads = [threading.Thread(target=target) for target in (first, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [told(record.operations) for record in records(cache)] == [
        [("direct", "lookup", "miss")],
        [("slow", "lookup", "miss")],
    ]


def test_threads_that_work_for_a_request_write_on_it(watched: tuple[Flask, Cache]) -> None:
    """Where its context is theirs; many at once lose nothing."""
    from flask import copy_current_request_context

    app, cache = watched

    @app.route("/x")
    def x() -> str:
        cache.get("first")

        def work() -> None:
            for number in range(10):
                cache.get(f"key {number}")

        threads = [threading.Thread(target=copy_current_request_context(work)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return "x"

    app.test_client().get("/x")
    found = [record for record in records(cache) if record.url == "/x"]
    assert sum(len(record.operations) for record in found) == 41


def test_a_caller_that_waited(watched: tuple[Flask, Cache]) -> None:
    """For another one's load of the same key."""
    app, cache = watched
    inside, go = threading.Event(), threading.Event()

    def view() -> str:
        inside.set()
        assert go.wait(10)
        return "x"

    add(app, cache, "/x", view)

    def get() -> None:
        app.test_client().get("/x")

    first = threading.Thread(target=get)
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=get)
    second.start()
    flights = cache.state().flights
    deadline = time.monotonic() + 10
    while not _waiters(flights) and time.monotonic() < deadline:
        time.sleep(0.005)
    go.set()
    first.join(20)
    second.join(20)
    waited = sorted(record.operations[0].waited for record in records(cache))
    assert waited == [False, True]


def _waiters(flights: Any) -> int:
    """How many wait, as far as can be seen: those that hold on to the load's future."""
    under_way = [flight for each in flights._flights.values() for flight in each]
    return sum(len(flight.landed._condition._waiters) for flight in under_way)


def test_coroutines_are_apart(watched: tuple[Flask, Cache]) -> None:
    """Several in one thread, each in a context of its own."""
    app, cache = watched

    @cache.memoize()
    async def slow(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    async def all_of_them() -> None:
        await asyncio.gather(*(slow(number) for number in range(5)))

    with app.app_context():
        asyncio.run(all_of_them())
    found = records(cache)
    assert [told(record.operations) for record in found] == [[("slow", "lookup", "miss")]] * 5
    assert all((each.operations[0].load_microseconds or 0) >= 10_000 for each in found)


_GREENLETS = """
from gevent import monkey

monkey.patch_all()
import gevent
from flask import Flask
from flask_caching import Cache
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.timeline import start_timeline

app = Flask("greenlets")
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
start_timeline(cache.state())


@app.route("/x/<int:number>")
@cache.cached()
def x(number):
    gevent.sleep(0.01)
    cache.get(f"key {number}")
    gevent.sleep(0.01)
    return "x"


@cache.memoize()
def slow(number):
    gevent.sleep(0.01)
    return number


def call(number):
    with app.app_context():
        slow(number)


jobs = [gevent.spawn(app.test_client().get, f"/x/{number}") for number in range(20)]
jobs += [gevent.spawn(call, number) for number in range(10)]
gevent.joinall(jobs, raise_error=True)
records = Inspector(cache).requests(limit=100).requests
inside = [record for record in records if record.url]
for record in inside:
    number = record.url.removeprefix("/x/")
    keys = [operation.key for operation in record.operations]
    assert keys == [f"view/{record.url}", f"key {number}"], keys
outside = [len(record.operations) for record in records if not record.url]
print(len(inside), outside == [1] * 10)
"""


def test_greenlets_are_apart() -> None:
    """Many of them in one thread, each with a request of its own or with none."""
    pytest.importorskip("gevent")
    ran = subprocess.run(
        [sys.executable, "-c", _GREENLETS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == "20 True", ran.stderr


def test_a_lookup_that_began_before_anyone_watched(make_app: MakeApp) -> None:
    """It is left out; what follows is not disturbed."""
    app, cache = make_app()

    def view() -> str:
        start_timeline(cache.state())
        return "x"

    add(app, cache, "/x", view)
    app.test_client().get("/x")
    assert [record.operations for record in records(cache)] == []
    app.test_client().get("/x")
    assert told(records(cache)[-1].operations) == [("view", "lookup", "hit")]


# What is left out, or hidden.


def test_the_debug_pages_own_requests_are_left_out(watched: tuple[Flask, Cache]) -> None:
    """They say so in their environ, at any time before their response."""
    app, cache = watched

    @app.route("/pages")
    def pages() -> str:
        cache.get("before")
        request.environ[DEBUG] = True
        cache.delete("after")
        return "x"

    app.test_client().get("/pages")
    assert records(cache) == []


def test_values_of_secret_parameters_are_hidden(watched: tuple[Flask, Cache]) -> None:
    """In the URL; the path and all else are shown as they came."""
    app, cache = watched
    add(app, cache, "/x/<path:rest>")
    app.test_client().get("/x/ü/%3Cb%3E?token=hush&PassWord=hush&page=%C3%BC&api_key=hush")
    assert one(cache).url == (
        "/x/ü/<b>?token=(hidden)&PassWord=(hidden)&page=%C3%BC&api_key=(hidden)"
    )


def test_nothing_is_read_of_the_request(watched: tuple[Flask, Cache]) -> None:
    """Or a view that looks at nothing would seem to depend on its host and query."""
    app, cache = watched

    @cache.memoize()
    def helper() -> int:
        return 1

    def view() -> str:
        helper()
        cache.set("mine", 1)
        return "x"

    add(app, cache, "/x", view)
    app.test_client().get("/x?page=1")
    detail = Inspector(cache).key_named("view//x")
    assert detail is not None
    assert list(detail.reads) == []


def test_a_request_is_not_kept_alive(watched: tuple[Flask, Cache]) -> None:
    """Nor what belongs to it."""
    app, cache = watched
    requests: list[weakref.ref[Any]] = []

    def view() -> str:
        requests.append(weakref.ref(request._get_current_object()))
        g.large = b"x" * 1000
        return "x"

    add(app, cache, "/x", view)
    app.test_client().get("/x").close()
    gc.collect()
    assert requests[0]() is None
    assert one(cache).url == "/x"


# Several of everything.


def test_two_caches_of_one_application(make_app: MakeApp) -> None:
    """Each has its own part of the request."""
    app, first = make_app(CACHE_NAME="first")
    _, second = make_app(app, CACHE_NAME="second")
    start_timeline(first.state())
    with app.app_context():
        start_timeline(second.state())

    @app.route("/x")
    def x() -> str:
        first.get("one")
        second.get("two")
        return "x"

    app.test_client().get("/x")
    assert [each.key for each in one(first).operations] == ["one"]
    assert [each.key for each in one(second).operations] == ["two"]


def test_two_applications_of_one_cache(make_app: MakeApp) -> None:
    """Only the one that is watched is."""
    app, cache = make_app()
    other = Flask("other")
    cache.init_app(other, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
    with app.app_context():
        start_timeline(cache.state())
    for each in (app, other):
        add(each, cache, "/x")
        each.test_client().get("/x")
    assert len(records(cache, app)) == 1
    assert not Inspector(cache, other).requests().recording


def test_without_instrumentation_lookups_are_written_down(make_app: MakeApp) -> None:
    """Calls that only the wrapper would see are not, since there is none."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    start_timeline(cache.state())
    add(app, cache, "/x")
    client = app.test_client()
    client.get("/x")
    client.get("/x")
    with app.app_context():
        cache.set("key", 1)
        cache.delete("key")
    assert [told(record.operations) for record in records(cache)] == [
        [("view", "lookup", "miss")],
        [("view", "lookup", "hit")],
        [("direct", "set", "stored")],
    ]


def test_a_cache_that_overrides_get_and_set(make_app: MakeApp) -> None:
    """Its own lookups are told, and the store is watched below it."""

    class Mine(Cache):
        def get(self, key: str) -> Any:
            return super().get(f"mine {key}")

        def set(self, key: str, value: Any, timeout: Any = None) -> Any:
            return super().set(f"mine {key}", value, timeout)

    app = Flask("mine")
    cache = Mine(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
    timeline = start_timeline(cache.state())
    add(app, cache, "/x")
    client = app.test_client()
    client.get("/x")
    client.get("/x")
    assert [told(record.operations) for record in records(cache)] == [
        [("view", "lookup", "miss")],
        [("view", "lookup", "hit")],
    ]
    assert timeline.memory.get("mine view//x") is not None


def test_another_follower_is_not_disturbed(make_app: MakeApp) -> None:
    """Both are told."""

    class Other(NullObserver):
        finished = 0

        def lookup_finished(self, lookup: Any) -> None:
            self.finished += 1

    app, cache = make_app()
    other = Other()
    follow(cache.state(), other)
    start_timeline(cache.state())
    add(app, cache, "/x")
    app.test_client().get("/x")
    stop_timeline(cache.state())
    app.test_client().get("/x")
    assert other.finished == 2


def test_traced_requests_have_the_id_of_their_trace(make_app: MakeApp) -> None:
    """Others have none."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    app, cache = make_app()
    start_timeline(cache.state())
    add(app, cache, "/x")
    with sdk.TracerProvider().get_tracer("tests").start_as_current_span("request") as span:
        app.test_client().get("/x")
    app.test_client().get("/x")
    traced, plain = records(cache)
    assert traced.trace_id == f"{span.get_span_context().trace_id:032x}"
    assert plain.trace_id == ""


def test_traced_calls_are_not_taken_for_the_applications_own(make_app: MakeApp) -> None:
    """Inside of a span the decorators' calls go through the wrapper another way."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    provider = sdk.TracerProvider()
    app, cache = make_app(CACHE_TRACER_PROVIDER=provider, CACHE_TRACING="always")
    start_timeline(cache.state())
    add(app, cache, "/x")
    app.test_client().get("/x")
    app.test_client().get("/x")
    assert [told(record.operations) for record in records(cache)] == [
        [("view", "lookup", "miss")],
        [("view", "lookup", "hit")],
    ]


# Faults.


def test_a_fault_of_the_timeline_is_the_timelines(
    watched: tuple[Flask, Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application goes on; it is counted where other faults of observers are."""
    app, cache = watched
    timeline = timeline_of(cache.state())
    assert timeline is not None

    def fail(*_: Any) -> Any:
        raise RuntimeError("at fault")

    monkeypatch.setattr(timeline.memory, "of", fail)
    monkeypatch.setattr(timeline, "_record", fail)
    add(app, cache, "/x")
    client = app.test_client()
    assert [client.get("/x").text for _ in range(2)] == ["x", "x"]
    cache.set("key", 1)
    assert cache.get("key") == 1
    cache.delete("key")
    assert set(faults) == {
        "Timeline.lookup_started: RuntimeError",
        "Timeline.stored: RuntimeError",
        "follower.delete: RuntimeError",
        "timeline.entry: RuntimeError",
    }
    faults.clear()


# Forks.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_begins_anew(watched: tuple[Flask, Cache], tmp_path: Path) -> None:
    """The parent's requests are not its own, and its numbers begin at one."""
    app, cache = watched
    add(app, cache, "/x")
    app.test_client().get("/x")
    answer = tmp_path / "answer"
    child = os.fork()
    if not child:
        try:
            before = Inspector(cache).requests()
            app.test_client().get("/x")
            log = Inspector(cache).requests()
            facts = [before.latest, len(before.requests), log.latest, log.pid == os.getpid()]
            facts.append(Inspector(cache).overview().totals.hits)
            answer.write_text(repr(facts))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert answer.read_text().startswith("[0, 0, 1, True")
    assert [record.number for record in records(cache)] == [1]


# The keys that were used last.


def test_the_memory_of_keys_is_bounded() -> None:
    """Those not used for longest are forgotten."""
    memory = KeyMemory(most=3)
    for key in ("a", "b", "c"):
        memory.of(key)
    memory.of("a")
    memory.of("d")
    assert len(memory) == 3
    assert memory.get("b") is None
    assert memory.get("a") is not None


def test_what_is_remembered_of_a_key() -> None:
    """Its entry as it was last seen; that it was deleted, but not what it is for."""
    memory = KeyMemory()
    seen = memory.of("key")
    seen.target = Target("view", "page")
    seen.note(Entry(Form.JSON, b"[]", created_at=100.0, expires_at=200.0))
    assert (seen.created_at, seen.expires_at, seen.stored_as) == (100.0, 200.0, "json")
    seen.note(Entry(Form.PLAIN, "text", created_at=150.0))
    assert (seen.created_at, seen.expires_at, seen.stored_as) == (150.0, 0.0, "text")
    memory.forget(["key", "other"])
    assert (seen.created_at, seen.stored_as, seen.target.name) == (0.0, "", "page")
    memory.clear()
    assert memory.get("key") is None


def test_many_threads_share_a_memory() -> None:
    """Without a lock; none of them fails, and it stays bounded."""
    memory = KeyMemory(most=50)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(3000):
                memory.of(f"key {(step * number) % 120}").note(
                    Entry(Form.PLAIN, "x", created_at=step)
                )
                if step % 500 == 0:
                    memory.clear()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(memory) <= 50 + len(threads)


def test_deleted_keys_are_not_remembered_as_there(watched: tuple[Flask, Cache]) -> None:
    """By the application, one or all."""
    _, cache = watched
    timeline = timeline_of(cache.state())
    assert timeline is not None
    cache.set_many({"a": "1", "b": "2", "c": "3"})
    cache.delete("a")
    cache.delete_many("b")
    remembered = [timeline.memory.get(key) for key in ("a", "b", "c")]
    assert [each is not None and bool(each.created_at) for each in remembered] == [
        False,
        False,
        True,
    ]
    cache.clear()
    assert timeline.memory.get("c") is None


# The history of hit ratios.


class Steps:
    """A history whose time and counts are set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counted: Counted | None = Counted()
        self.history = History(lambda: self.counted, lambda: self.now)

    def go_on(self, seconds: float, hits: int = 0, misses: int = 0) -> None:
        self.now += seconds
        before = self.counted or Counted()
        self.counted = before._replace(hits=before.hits + hits, misses=before.misses + misses)
        self.history.tick()


def test_ratios_by_step() -> None:
    """Of each ten seconds; nothing where nothing was looked up."""
    steps = Steps()
    steps.go_on(STEP, hits=1, misses=3)
    steps.go_on(STEP)
    steps.go_on(STEP, hits=3, misses=1)
    assert steps.history.ratios()[-3:] == [0.25, None, 0.75]
    assert len(steps.history.ratios()) <= 4
    assert steps.history.ratios(steps=1) == [0.75]


def test_the_last_minutes() -> None:
    """What was counted in them, to the step."""
    steps = Steps()
    for _ in range(60):
        steps.go_on(STEP, hits=1)
    for _ in range(6):
        steps.go_on(STEP, misses=1)
    assert steps.history.within(60) == Counted(misses=6)
    assert steps.history.within(300) == Counted(hits=24, misses=6)
    assert steps.history.within(3600) == Counted(hits=60, misses=6)


def test_a_long_silence_is_no_gap_in_time() -> None:
    """The thread sleeps then; what came after it is counted where it came."""
    steps = Steps()
    steps.go_on(STEP, hits=1)
    steps.now += 600
    steps.go_on(STEP, misses=1)
    ratios = steps.history.ratios()
    assert ratios[-1] == 0.0
    assert set(ratios[-50:-1]) == {None}
    assert steps.history.within(60) == Counted(misses=1)


def test_history_is_bounded() -> None:
    """An hour, however often it is read."""
    steps = Steps()
    for _ in range(800):
        steps.go_on(STEP, hits=1)
        steps.history.now()
    assert len(steps.history.ratios()) == 360
    assert steps.history.within(10**6).hits <= 362
    for _ in range(1000):
        steps.now += 0.1
        steps.history.now()
    assert len(steps.history.ratios()) == 360, "reading often does not shorten it"


def test_counts_that_began_anew_begin_a_new_history() -> None:
    """As in a forked child, or after a cache was set up again."""
    steps = Steps()
    steps.go_on(STEP, hits=100)
    steps.counted = Counted(misses=2)
    assert steps.history.within(60) == Counted(misses=2)
    steps.counted = None
    assert steps.history.now() == Counted()


def test_intervals_and_history_of_a_cache(watched: tuple[Flask, Cache]) -> None:
    """Also without its thread: reading samples."""
    app, cache = watched
    add(app, cache, "/x")
    client = app.test_client()
    for _ in range(4):
        client.get("/x")
    overview = Inspector(cache).overview()
    assert [each.seconds for each in overview.intervals] == [60, 300, 3600]
    for each in overview.intervals:
        assert (each.counts.hits, each.counts.misses, each.counts.hit_ratio) == (3, 1, 0.75)
    assert overview.history[-1] == 0.75
    assert overview.history_step_seconds == STEP


def test_the_sampler_runs_only_for_those_who_watch(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is woken by what is written down, and by nothing else."""
    woken: list[int] = []
    monkeypatch.setattr(sampler, "awake", False)
    monkeypatch.setattr(sampler, "wake", lambda: woken.append(1))
    app, cache = make_app()
    add(app, cache, "/x")
    app.test_client().get("/x")
    assert woken == []
    start_timeline(cache.state())
    app.test_client().get("/x")
    assert woken == [1]


def test_a_timeline_of_its_own_can_be_made(make_app: MakeApp) -> None:
    """Its bounds are arguments."""
    app, cache = make_app()
    timeline = Timeline(app, History(lambda: None), most=2)
    follow(cache.state(), timeline)
    for number in range(3):
        cache.get(f"key {number}")
    assert [record.number for record in timeline.records()] == [3, 2]
    assert [operation.key for _, operation in timeline.uses_of("key 2")] == ["key 2"]
    assert timeline.uses_of("key 0") == []
