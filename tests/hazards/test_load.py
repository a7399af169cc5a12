"""Hazards 18, 20, 22 and 23: the cache takes the site down."""

from __future__ import annotations

import asyncio
import gc
import itertools
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask, Response, abort, make_response, render_template_string, request
from hazard_threads import PATIENCE, Meeting, Worker, wait_until, waiters
from werkzeug.exceptions import HTTPException

from flask_caching import Cache, cache_memoize_hit, cache_memoize_miss, cache_view_hit
from flask_caching.backends.base import BaseCache
from flask_caching.observer import NullObserver, faults
from flask_caching.signals import cache_view_miss

MakeCache = Callable[..., Cache]

THREADS = 10


def at_once(function: Callable[[], Any], number: int = THREADS) -> list[Worker]:
    """``number`` threads that call ``function`` at the same moment."""
    start = threading.Barrier(number)

    def run() -> Any:
        start.wait(PATIENCE)
        return function()

    return [Worker(run) for _ in range(number)]


# 18


def ways_to_load(app: Flask, cache: Cache, load: Callable[[], str]) -> dict[str, Any]:
    """Every way to have a value loaded: what to call, and the key it has."""

    def get(path: str) -> Callable[[], str]:
        return lambda: app.test_client().get(path).text

    def fragment() -> str:
        with app.test_request_context():
            template = "{% cache 60, 'part' %}{{ load() }}{% endcache %}"
            return render_template_string(template, load=load)

    view = cache.cached()(lambda: load())
    app.add_url_rule("/view", "view", view)
    memoized = cache.memoize()(lambda: load())
    helper = cache.cached(key_prefix="helper")(lambda: load())
    return {
        "view": (get("/view"), "view//view"),
        "memoize": (memoized, memoized.make_cache_key(memoized.uncached)),
        "helper": (helper, "helper"),
        "fragment": (fragment, "_template_fragment_cache_part"),
        "get_or_set": (lambda: cache.get_or_set("key", load), "key"),
    }


WAYS = ["view", "memoize", "helper", "fragment", "get_or_set"]


@pytest.mark.parametrize("way", WAYS)
def test_18_ten_threads_that_miss_one_key_load_it_once(
    app: Flask, cache: Cache, meeting: Meeting, way: str
) -> None:
    """One of them loads, the others wait for it and get what it made."""
    calls: list[int] = []

    def load() -> str:
        calls.append(1)
        meeting.stop()
        return "value"

    call, key = ways_to_load(app, cache, load)[way]
    workers = at_once(call)
    meeting.await_arrival()
    wait_until(lambda: waiters(cache, key) == THREADS - 1)
    meeting.release()
    assert [worker.result() for worker in workers] == ["value"] * THREADS
    assert calls == [1]
    assert cache.stats()["coalesced_loads"] == THREADS - 1
    assert cache.stats()["duplicate_loads"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_18_a_loader_that_raises_releases_the_rest(
    app: Flask, cache: Cache, meeting: Meeting, way: str
) -> None:
    """Its caller gets the error; one of the others loads, and the rest get what that one made."""
    calls: list[int] = []
    app.register_error_handler(ZeroDivisionError, lambda error: "failed")

    def load() -> str:
        calls.append(1)
        if len(calls) == 1:
            meeting.stop()
            raise ZeroDivisionError
        return "value"

    call, key = ways_to_load(app, cache, load)[way]

    def guarded() -> str:
        try:
            return str(call())
        except ZeroDivisionError:
            return "failed"

    workers = at_once(guarded)
    meeting.await_arrival()
    wait_until(lambda: waiters(cache, key) == THREADS - 1)
    meeting.release()
    results = sorted(worker.result() for worker in workers)
    assert results == ["failed", *["value"] * (THREADS - 1)]
    assert len(calls) == 2


def test_18_loads_that_are_not_stored_do_not_queue(app: Flask, cache: Cache) -> None:
    """Where each has to load, they load side by side and not one after another."""
    together = threading.Barrier(4)

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        # Passes only if four run at once, after the first has shown that it is not stored.
        if request.args.get("first") is None:
            together.wait(PATIENCE)
        return "personal", {"Cache-Control": "private"}

    assert app.test_client().get("/?first=1").text == "personal"
    workers = at_once(lambda: app.test_client().get("/").text, 4)
    assert [worker.result() for worker in workers] == ["personal"] * 4


def test_18_those_who_waited_for_a_refused_load_load_at_once(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """They learn at the end of the first load that it is not for them, and then do not queue."""
    first = threading.Lock()
    together = threading.Barrier(3)

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        if first.acquire(blocking=False):
            meeting.stop()
        else:
            together.wait(PATIENCE)
        return "personal", {"Cache-Control": "private"}

    def get() -> str:
        return app.test_client().get("/").text

    leader = Worker(get)
    meeting.await_arrival()
    others = [Worker(get) for _ in range(3)]
    wait_until(lambda: waiters(cache, "view//") == 3)
    meeting.release()
    assert [worker.result() for worker in (leader, *others)] == ["personal"] * 4


def test_18_a_key_is_shared_again_once_it_is_stored(app: Flask, cache: Cache) -> None:
    """A refusal of a moment (a 503) does not end coalescing for good."""
    status = {"now": 503}
    meeting = Meeting()
    calls: list[int] = []

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        calls.append(1)
        if len(calls) > 2:
            meeting.stop()
        return "page", status["now"]

    client = app.test_client()
    assert client.get("/").status_code == 503
    status["now"] = 200
    assert client.get("/").status_code == 200
    cache.delete("view//")
    workers = at_once(lambda: app.test_client().get("/").text)
    meeting.await_arrival()
    wait_until(lambda: waiters(cache, "view//") == THREADS - 1)
    meeting.release()
    assert [worker.result() for worker in workers] == ["page"] * THREADS
    assert len(calls) == 3


def test_18_a_head_request_does_not_end_coalescing(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """A monitor's HEAD stores nothing; that says nothing about the GETs that follow."""
    calls: list[str] = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(request.method)
        if request.method == "GET":
            meeting.stop()
        return "page"

    app.test_client().head("/")
    workers = at_once(lambda: app.test_client().get("/").text)
    meeting.await_arrival()
    wait_until(lambda: waiters(cache, "view//") == THREADS - 1)
    meeting.release()
    assert [worker.result() for worker in workers] == ["page"] * THREADS
    assert calls == ["HEAD", "GET"]


def test_18_a_get_does_not_wait_for_a_head(app: Flask, cache: Cache, meeting: Meeting) -> None:
    """What a HEAD makes is of no use to a GET."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        if request.method == "HEAD":
            meeting.stop()
        return "page"

    head = Worker(lambda: app.test_client().head("/").status_code)
    meeting.await_arrival()
    assert Worker(lambda: app.test_client().get("/").text).result() == "page"
    meeting.release()
    assert head.result() == 200


def test_18_calls_after_an_invalidation_share_one_load(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """Those who come while the old load is still under way do not each load for themselves."""
    second = Meeting()
    meetings = {"old": meeting, "new": second}
    source = {"value": "old"}
    calls: list[str] = []

    @cache.memoize()
    def read() -> str:
        value = source["value"]
        calls.append(value)
        meetings[value].stop()
        return value

    old = Worker(read)
    meeting.await_arrival()
    source["value"] = "new"
    cache.delete_memoized(read)
    workers = at_once(read)
    key = read.make_cache_key(read.uncached)
    second_arrived = second.arrived.wait(2.0)
    meeting.release()
    if not second_arrived:
        second.await_arrival()
    wait_until(lambda: waiters(cache, key) == THREADS - 1)
    second.release()
    assert old.result() == "old"
    assert [worker.result() for worker in workers] == ["new"] * THREADS
    assert calls == ["old", "new"]


def test_18_a_waiter_gives_up_in_the_end_and_loads_itself(
    app: Flask, make_cache: MakeCache, meeting: Meeting
) -> None:
    """A loader that hangs holds nobody up for longer than configured."""
    cache = make_cache(CACHE_SINGLE_FLIGHT_TIMEOUT=0.02)
    first = threading.Lock()

    def load() -> str:
        if first.acquire(blocking=False):
            meeting.stop()
            return "late"
        return "mine"

    leader = Worker(lambda: cache.get_or_set("key", load))
    meeting.await_arrival()
    assert Worker(lambda: cache.get_or_set("key", load)).result() == "mine"
    meeting.release()
    assert leader.result() == "late"
    assert cache.stats()["duplicate_loads"] == 1


def test_18_switched_off_nobody_waits(app: Flask, make_cache: MakeCache) -> None:
    """``CACHE_SINGLE_FLIGHT="off"`` lets everyone load."""
    cache = make_cache(CACHE_SINGLE_FLIGHT="off")
    together = threading.Barrier(3)

    @cache.memoize()
    def read() -> int:
        return together.wait(PATIENCE) * 0 + 7

    assert [worker.result() for worker in at_once(read, 3)] == [7, 7, 7]
    assert cache.stats()["duplicate_loads"] == 2


def test_18_a_function_may_call_itself(cache: Cache) -> None:
    """With other arguments it caches each step; it never waits for itself."""
    calls: list[int] = []

    @cache.memoize()
    def factorial(n: int) -> int:
        calls.append(n)
        return n * factorial(n - 1) if n else 1

    assert Worker(factorial, 5).result() == 120
    assert factorial(6) == 720
    assert calls == [5, 4, 3, 2, 1, 0, 6]


def test_18_a_function_may_call_itself_with_the_same_arguments(cache: Cache) -> None:
    """As a function may that ends by something else than its arguments."""
    depth = itertools.count()

    @cache.memoize()
    def dive(x: int) -> int:
        return x if next(depth) else dive(x) + 1

    assert Worker(dive, 1).result() == 2
    assert dive(1) == 2


def test_18_a_cached_view_may_call_itself(app: Flask, cache: Cache) -> None:
    """The view's own key asked for while it is being made."""
    depth = itertools.count()

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return "inner" if next(depth) else f"outer {index()}"

    assert Worker(lambda: app.test_client().get("/").text).result() == "outer inner"


def test_18_ten_tasks_that_miss_one_key_load_it_once(cache: Cache) -> None:
    """Coroutines on one event loop wait for each other without blocking it."""
    calls: list[int] = []

    @cache.memoize()
    async def read(x: int) -> str:
        calls.append(x)
        await asyncio.sleep(0)
        return f"value {x}"

    async def main() -> list[str]:
        return await asyncio.gather(*(read(number % 2) for number in range(10)))

    assert asyncio.run(main()) == ["value 0", "value 1"] * 5
    assert sorted(calls) == [0, 1]
    assert cache.stats()["coalesced_loads"] == 8


def test_18_a_cancelled_waiter_cancels_nobody_else(cache: Cache) -> None:
    """The load and the other waiters go on."""

    async def main() -> tuple[str, str, bool]:
        go_on = asyncio.Event()

        @cache.memoize()
        async def read() -> str:
            await go_on.wait()
            return "value"

        leader, waiter, other = (asyncio.create_task(read()) for _ in range(3))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        go_on.set()
        return await leader, await other, waiter.cancelled()

    assert asyncio.run(main()) == ("value", "value", True)


def test_18_a_cancelled_leader_hands_over(cache: Cache) -> None:
    """One of those who waited loads; the cancelled call ends as cancelled."""
    calls: list[int] = []

    async def main() -> tuple[list[str], bool]:
        go_on = asyncio.Event()

        @cache.memoize()
        async def read() -> str:
            calls.append(1)
            await go_on.wait()
            return "value"

        leader = asyncio.create_task(read())
        await asyncio.sleep(0)
        others = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        go_on.set()
        return await asyncio.gather(*others), leader.cancelled()

    assert asyncio.run(main()) == (["value"] * 3, True)
    assert len(calls) == 2


def test_18_a_task_that_a_load_starts_does_not_wait_for_it(cache: Cache) -> None:
    """A load that awaits a task which asks for the same key would wait for ever."""
    depth = itertools.count()

    @cache.memoize()
    async def read() -> str:
        if next(depth):
            return "inner"
        return "outer " + await asyncio.create_task(read())

    assert asyncio.run(asyncio.wait_for(read(), 5)) == "outer inner"


def test_18_an_async_recursion_does_not_wait_for_itself(cache: Cache) -> None:
    """Coroutines that gather calls of themselves."""

    @cache.memoize()
    async def fibonacci(n: int) -> int:
        if n < 2:
            return n
        return sum(await asyncio.gather(fibonacci(n - 1), fibonacci(n - 2)))

    assert asyncio.run(asyncio.wait_for(fibonacci(12), 5)) == 144


# 20


def time_of_writes(threshold: int, number: int = 400) -> float:
    """Seconds for writes into a full cache, the best of several."""
    app = Flask("writes")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": threshold})
    for key in range(threshold):
        cache.set(f"{key}", key)
    fresh = itertools.count(threshold)

    def run() -> float:
        begun = time.perf_counter()
        for _ in range(number):
            cache.set(f"{next(fresh)}", 1)
        return time.perf_counter() - begun

    return min(run() for _ in range(5))


def test_20_a_write_into_a_full_cache_does_not_depend_on_its_size() -> None:
    """Into 20,000 entries it costs what it costs into 200; a scan would cost a hundredfold."""
    assert time_of_writes(20_000) < 5 * time_of_writes(200)


def test_20_the_hottest_entries_are_not_the_first_to_go(make_cache: MakeCache) -> None:
    """What is read stays, whether it expires or not; what nobody asks for leaves."""
    cache = make_cache(CACHE_THRESHOLD=10)
    cache.set("hot", "kept", timeout=0)
    cache.set("warm", "kept", timeout=60)
    for number in range(100):
        assert cache.get("hot") == "kept"
        assert cache.get("warm") == "kept"
        cache.set(f"cold {number}", number, timeout=0)
    assert cache.stats()["entries"] == 10
    assert not cache.has("cold 1")


def test_20_a_full_cache_never_holds_more_than_its_threshold(make_cache: MakeCache) -> None:
    """However it is written to, by several threads at once too."""
    cache = make_cache(CACHE_THRESHOLD=50)
    fresh = itertools.count()

    def write() -> None:
        for _ in range(200):
            number = next(fresh)
            cache.set(f"set {number}", number)
            cache.add(f"add {number}", number)
            cache.inc(f"inc {number}")
            assert cache.stats()["entries"] <= 50

    for worker in at_once(write, 4):
        worker.result()


def test_20_expired_entries_do_not_fill_the_cache(make_cache: MakeCache, clock: Any) -> None:
    """They are as good as gone: they neither answer nor keep others out."""
    cache = make_cache(CACHE_THRESHOLD=5)
    for number in range(5):
        cache.set(f"old {number}", number, timeout=10)
    clock.advance(11)
    for number in range(5):
        cache.set(f"new {number}", number)
    assert cache.get_many(*(f"new {number}" for number in range(5))) == [0, 1, 2, 3, 4]
    assert cache.get_many(*(f"old {number}" for number in range(5))) == [None] * 5


# 22


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


class Forgetful(Exception):
    """Pickles, and cannot be unpickled: its arguments are not those of its constructor."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code} {detail}")


class CustomError(HTTPException):
    """An error of the application's own that cannot be unpickled."""

    code = 404

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{what} {where}")


class PlainError(HTTPException):
    """One that can."""

    code = 410
    description = "gone for good"


@pytest.mark.parametrize(
    "value", [Unpicklable(), lambda: 1, threading.Lock()], ids=["object", "lambda", "lock"]
)
def test_22_an_unpicklable_value_is_returned_and_counted(
    cache: Cache, in_app: Flask, value: Any
) -> None:
    """The call succeeds each time, runs once each time, and the failure is counted."""
    calls: list[int] = []

    def make() -> Any:
        calls.append(1)
        return value

    for function in (
        cache.memoize()(make),
        cache.cached(key_prefix="k")(make),
        lambda: cache.get_or_set("direct", make),
    ):
        assert function() is value
        assert function() is value
    assert len(calls) == 6
    assert cache.stats()["errors"]["set"]["serialization"] == {"handled": 6, "raised": 0}
    assert cache.stats()["stores"]["error"] == 6


@pytest.mark.parametrize("value", [Forgetful(1, "x"), [Forgetful(1, "x")]], ids=["bare", "nested"])
def test_22_a_value_that_cannot_be_unpickled_is_a_miss(
    cache: Cache, in_app: Flask, value: Any
) -> None:
    """The function runs again; nobody sees an error, and it is counted."""
    assert pickle.dumps(value)
    calls: list[int] = []

    def make() -> Any:
        calls.append(1)
        return value

    memoized, helper = cache.memoize()(make), cache.cached(key_prefix="k")(make)
    for function in (memoized, helper):
        assert function() is value
        assert function() is value
    assert len(calls) == 4
    cache.set("key", value)
    assert cache.get("key") is None
    assert cache.get_many("key") == [None]
    assert cache.get_or_set("key", lambda: "made") == "made"
    assert cache.stats()["errors"]["get"]["serialization"]["handled"] >= 4


@pytest.mark.parametrize("raised", [CustomError("no", where="here"), PlainError()])
def test_22_an_error_of_the_applications_own_reaches_its_handler_each_time(
    app: Flask, cache: Cache, raised: HTTPException
) -> None:
    """Stored if it survives that, else not; in both cases the same error is raised."""
    calls: list[int] = []
    app.register_error_handler(
        type(raised), lambda error: (f"handled {error.description}", error.code)
    )

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append(1)
        raise raised

    client = app.test_client()
    answers = [(r.status_code, r.text) for r in (client.get("/"), client.get("/"))]
    assert answers == [(raised.code, f"handled {raised.description}")] * 2
    assert len(calls) == (1 if isinstance(raised, PlainError) else 2)


def test_22_an_aborted_response_is_replayed_as_it_was(app: Flask, cache: Cache) -> None:
    """``abort(response)`` and ``abort(404, "text")`` with their bodies and headers."""
    calls: list[str] = []

    @app.route("/<how>")
    @cache.cached()
    def index(how: str) -> str:
        calls.append(how)
        if how == "response":
            abort(make_response("own", 410, {"X-Own": "1"}))
        abort(404, "own text")

    client = app.test_client()
    for _ in range(2):
        response = client.get("/response")
        assert (response.status_code, response.text) == (410, "own")
        assert response.headers["X-Own"] == "1"
        response = client.get("/text")
        assert response.status_code == 404
        assert "own text" in response.text
    assert calls == ["response", "text"]


class Store(BaseCache):
    """A third-party backend: a dictionary, with operations that fail on demand."""

    def __init__(self, default_timeout: float = 300) -> None:
        super().__init__(default_timeout)
        self.data: dict[str, Any] = {}
        self.failing: set[str] = set()

    def _fail(self, operation: str) -> None:
        if operation in self.failing:
            raise ConnectionError(f"{operation} failed")

    def get(self, key: str) -> Any:
        self._fail("get")
        return self.data.get(key)

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self._fail("set")
        self.data[key] = value
        return True

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self._fail("add")
        return self.data.setdefault(key, value) is value

    def delete(self, key: str) -> bool:
        self._fail("delete")
        return self.data.pop(key, None) is not None

    def has(self, key: str) -> bool:
        self._fail("has")
        return key in self.data

    def clear(self) -> bool:
        self._fail("clear")
        self.data.clear()
        return True


@pytest.fixture
def store_cache(make_cache: MakeCache) -> Cache:
    """A cache over :class:`Store`, which is ``cache.cache``."""
    return make_cache(CACHE_TYPE=lambda app, config, args, kwargs: Store())


@pytest.mark.parametrize(
    "junk",
    [b"", b"\xfcFC", b"\xfcFC\x01", b"junk", "text", 17, ["list"], pickle.dumps([1])],
    ids=repr,
)
def test_22_a_truncated_or_foreign_entry_is_a_miss(
    app: Flask, store_cache: Cache, junk: Any
) -> None:
    """A view whose key holds something else runs, and its page replaces that."""
    calls: list[int] = []

    @app.route("/")
    @store_cache.cached()
    def index() -> str:
        calls.append(1)
        return "page"

    store_cache.cache.data["view//"] = junk
    client = app.test_client()
    assert [client.get("/").text for _ in range(2)] == ["page", "page"]
    assert calls == [1]


def test_22_a_cut_off_entry_is_a_miss(app: Flask, store_cache: Cache) -> None:
    """At any length, and with any byte changed."""

    @app.route("/")
    @store_cache.cached()
    def index() -> str:
        return "page"

    client = app.test_client()
    client.get("/")
    whole = store_cache.cache.data["view//"]
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:-1] + b"?", whole[:4]):
        store_cache.cache.data["view//"] = damaged
        assert client.get("/").text == "page"
        assert store_cache.cache.data["view//"] != damaged


@pytest.mark.parametrize("failing", ["get", "set", "add", "get set add delete has"])
def test_22_a_failing_store_never_fails_a_decorated_call(
    app: Flask, store_cache: Cache, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    """Views, functions, helpers and fragments go on, and run their function once a call."""
    calls: list[str] = []
    store_cache.cache.failing.update(failing.split())

    @app.route("/")
    @store_cache.cached()
    def index() -> str:
        calls.append("view")
        return "page"

    @store_cache.memoize()
    def read() -> str:
        calls.append("memoize")
        return "value"

    @store_cache.cached(key_prefix="helper")
    def helper() -> str:
        calls.append("helper")
        return "help"

    def part() -> str:
        calls.append("fragment")
        return "part"

    def render(timeout: Any = 60) -> str:
        with app.test_request_context():
            template = "{% cache timeout, 'part' %}{{ part() }}{% endcache %}"
            return render_template_string(template, part=part, timeout=timeout)

    uses = {
        "view": lambda: app.test_client().get("/").text,
        "memoize": read,
        "helper": helper,
        "fragment": render,
    }
    expected = {"view": "page", "memoize": "value", "helper": "help", "fragment": "part"}
    for name, use in uses.items():
        calls.clear()
        assert use() == expected[name]
        assert calls == [name]
        assert use() == expected[name]
        assert calls in ([name], [name, name])
    assert render("del") == "part"
    errors = store_cache.stats()["errors"]
    counts = [count for kinds in errors.values() for count in kinds.values()]
    assert sum(count["handled"] for count in counts) > 0
    assert sum(count["raised"] for count in counts) == 0


def test_22_a_direct_call_to_a_failing_store_raises_or_is_ignored(
    app: Flask, make_cache: MakeCache
) -> None:
    """As configured; it is counted in both cases, and never as a miss."""
    from flask_caching import BackendError

    loud = make_cache(CACHE_TYPE=lambda *_: Store())
    quiet = make_cache(CACHE_TYPE=lambda *_: Store(), CACHE_IGNORE_ERRORS=True)
    for cache in (loud, quiet):
        with app.app_context():
            cache.cache.failing.update({"get", "set", "delete", "clear", "has"})
    with app.app_context():
        for call in (
            lambda: loud.get("k"),
            lambda: loud.set("k", 1),
            lambda: loud.delete("k"),
            lambda: loud.clear(),
            lambda: loud.has("k"),
            lambda: loud.get_many("k", "l"),
        ):
            with pytest.raises(BackendError):
                call()
        assert quiet.get("k") is None
        assert not quiet.set("k", 1)
        assert not quiet.delete("k")
        assert not quiet.clear()
        assert not quiet.has("k")
        assert quiet.get_many("k", "l") == [None, None]
        lookups = quiet.stats()["lookups"]
        assert (lookups["error"], lookups["miss"]) == (3, 0)


def test_22_the_failure_of_a_store_is_logged_once_a_minute(
    app: Flask, store_cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    """Not silently, and not a line for each request."""
    store_cache.cache.failing.add("get")
    read = store_cache.memoize()(lambda: 1)
    for _ in range(20):
        assert read() == 1
    assert len([r for r in caplog.records if "get failed" in r.getMessage()]) == 1


@pytest.mark.parametrize("broken", ["response_filter", "is_stale", "view"])
def test_22_the_function_runs_at_most_once_whatever_is_raised(
    app: Flask, cache: Cache, broken: str
) -> None:
    """An error of the application's own code reaches it; the function is not tried again."""
    calls: list[int] = []

    def fail(*args: Any) -> bool:
        raise ZeroDivisionError

    options = {} if broken == "view" else {broken: fail}

    def make() -> str:
        calls.append(1)
        if broken == "view":
            raise ZeroDivisionError
        return "value"

    memoized = cache.memoize(**options)(make)
    app.add_url_rule("/", "index", cache.cached(**options)(make))
    app.testing = False
    if broken == "is_stale":
        assert memoized() == "value"
        calls.clear()
    with pytest.raises(ZeroDivisionError):
        memoized()
    assert len(calls) == (0 if broken == "is_stale" else 1)
    calls.clear()
    if broken == "is_stale":
        assert app.test_client().get("/").text == "value"
        calls.clear()
    assert app.test_client().get("/").status_code == 500
    assert len(calls) == (0 if broken == "is_stale" else 1)


@pytest.mark.parametrize("raised", [StopIteration("mine"), GeneratorExit(), KeyboardInterrupt()])
def test_22_what_a_function_raises_is_what_its_caller_gets(
    cache: Cache, in_app: Flask, raised: BaseException
) -> None:
    """Also the exceptions that mean something to a generator."""

    def fail() -> None:
        raise raised

    for function in (
        cache.memoize()(fail),
        cache.cached(key_prefix="k")(fail),
        cache.memoize(unless=lambda: True)(fail),
        cache.memoize(forced_update=lambda: True)(fail),
        lambda: cache.get_or_set("key", fail),
    ):
        with pytest.raises(type(raised)) as info:
            function()
        assert info.value is raised


def test_22_what_a_coroutine_raises_is_what_its_caller_gets(cache: Cache) -> None:
    """Cancellation included."""

    @cache.memoize()
    async def fail(error: type[BaseException]) -> None:
        raise error

    for error in (ZeroDivisionError, asyncio.CancelledError):
        with pytest.raises(error):
            asyncio.run(fail(error))


# 23


class BrokenObserver(NullObserver):
    """Raises whatever it is told."""

    def __init__(self, app: Flask, config: Any) -> None:
        """Made like any observer."""


def _raising(name: str) -> Callable[..., Any]:
    def method(self: Any, *facts: Any) -> Any:
        raise RuntimeError(f"{name} is broken")

    method.__name__ = name
    return method


TOLD = [name for name in vars(NullObserver) if not name.startswith("_") and name != "stats"]
for _name in TOLD:
    setattr(BrokenObserver, _name, _raising(_name))


def test_23_an_observer_that_raises_everywhere_changes_nothing(
    app: Flask, make_cache: MakeCache, caplog: pytest.LogCaptureFixture
) -> None:
    """Every kind of call gives what it gives without; each fault is counted, and logged once."""
    cache = make_cache(CACHE_INSTRUMENTATION=BrokenObserver)
    calls: list[str] = []

    @app.route("/", methods=["GET", "POST"])
    @cache.cached()
    def index() -> str:
        calls.append(request.method)
        return "page"

    @cache.memoize()
    def read(x: Any) -> Any:
        calls.append("read")
        return x

    client = app.test_client()
    assert [client.get("/").text, client.get("/").text, client.post("/").text] == ["page"] * 3
    assert [read(1), read(1), read({"a": Unpicklable})] == [1, 1, {"a": Unpicklable}]
    assert calls == ["GET", "POST", "read", "read"]
    assert cache.set("k", 1)
    assert cache.get("k") == 1
    assert cache.get_many("k", "l") == [1, None]
    assert cache.get_or_set("m", lambda: 2) == 2
    assert cache.delete("k")
    assert faults["observer.lookup_finished: RuntimeError"] > 5
    logged = [record for record in caplog.records if "lookup_finished" in record.getMessage()]
    assert len(logged) == 1
    assert all(f"observer.{name}: RuntimeError" in faults for name in ("load_started", "bypassed"))
    faults.clear()


def test_23_an_observer_that_raises_while_others_wait_changes_nothing(
    app: Flask, make_cache: MakeCache, meeting: Meeting
) -> None:
    """The same for calls that wait for another's load."""
    cache = make_cache(CACHE_INSTRUMENTATION=BrokenObserver)

    @cache.memoize()
    def read() -> int:
        meeting.stop()
        return 1

    workers = at_once(read, 3)
    meeting.await_arrival()
    wait_until(lambda: waiters(cache, read.make_cache_key(read.uncached)) == 2)
    meeting.release()
    assert [worker.result() for worker in workers] == [1, 1, 1]
    assert faults["observer.wait_finished: RuntimeError"] == 2
    faults.clear()


def test_23_a_signal_receiver_that_raises_changes_nothing(
    app: Flask, make_cache: MakeCache
) -> None:
    """Hits and misses of views and functions are answered, and run once."""
    cache = make_cache(CACHE_ENABLE_SIGNALS=True)
    told: list[str] = []
    calls: list[str] = []

    def broken(sender: Any, **payload: Any) -> None:
        told.append(payload["cache_key"])
        raise RuntimeError("receiver")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        calls.append("view")
        return "page"

    @cache.memoize()
    def read() -> int:
        calls.append("read")
        return 1

    signals = [cache_view_hit, cache_view_miss, cache_memoize_hit, cache_memoize_miss]
    for signal in signals:
        signal.connect(broken)
    try:
        assert [app.test_client().get("/").text for _ in range(2)] == ["page", "page"]
        assert [read(), read()] == [1, 1]
    finally:
        for signal in signals:
            signal.disconnect(broken)
    assert calls == ["view", "read"]
    assert len(told) == 4
    assert sum(faults.values()) == 4
    faults.clear()


def test_23_a_response_that_another_receiver_changes_is_a_response_of_its_own(
    app: Flask, cache: Cache
) -> None:
    """Flask's own signals get the response of the request, not what is stored."""
    from flask import request_finished

    def spoil(sender: Any, response: Response, **extra: Any) -> None:
        response.set_data("spoilt")

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        return make_response("page")

    with request_finished.connected_to(spoil, app):
        app.test_client().get("/")
    assert app.test_client().get("/").text == "page"


# 14, siblings: loads that overtake each other.


def test_14_an_older_load_does_not_overwrite_a_newer_one(
    app: Flask, cache: Cache, meeting: Meeting
) -> None:
    """A forced update that began later, and ended sooner, is what stays."""
    source = {"value": "old", "forced": False}

    @cache.memoize(forced_update=lambda: source["forced"])
    def read() -> str:
        value = str(source["value"])
        if value == "old":
            meeting.stop()
        return value

    slow = Worker(read)
    meeting.await_arrival()
    source.update(value="new", forced=True)
    assert read() == "new"
    source["forced"] = False
    meeting.release()
    assert slow.result() == "old"
    assert read() == "new"


def test_18_a_finalizer_may_delete_while_a_load_begins(app: Flask, cache: Cache) -> None:
    """The garbage collector runs in the middle of anything; nothing waits for itself."""

    class Row:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            cache.delete("row")

    @cache.memoize()
    def load(number: int) -> int:
        return number

    def churn() -> int:
        total = 0
        for number in range(300):
            Row()
            total += load(number)
        return total

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        assert Worker(churn).result() == sum(range(300))
    finally:
        gc.set_threshold(*threshold)


def test_18_a_function_that_fails_is_not_queued_for(app: Flask, make_cache: MakeCache) -> None:
    """One waiter tries again; after that all of them run."""
    cache = make_cache()
    running = itertools.count(1)
    rest = threading.Barrier(6, timeout=PATIENCE)

    @cache.memoize()
    def fail() -> None:
        turn = next(running)
        if turn <= 2:
            wait_until(lambda: waiters(cache, key) == 8 - turn)
        else:
            # Passed only if all of the others run at once.
            rest.wait()
        raise ZeroDivisionError

    key = fail.make_cache_key(fail.uncached)
    workers = [Worker(fail) for _ in range(8)]
    for worker in workers:
        with pytest.raises(ZeroDivisionError):
            worker.result()
    assert next(running) == 9


def test_31_a_blocking_call_in_the_loops_thread_does_not_wait_for_its_task(
    app: Flask, make_cache: MakeCache
) -> None:
    """The task could not go on; the call makes the value itself."""
    cache = make_cache(CACHE_SINGLE_FLIGHT_TIMEOUT=60)
    begun = asyncio.Event()

    @cache.cached(key_prefix="shared")
    async def from_task() -> str:
        begun.set()
        await asyncio.sleep(0)
        return "task"

    @cache.cached(key_prefix="shared", collisions="allow")
    def blocking() -> str:
        return "blocking"

    async def main() -> tuple[str, str]:
        task = asyncio.create_task(from_task())
        await begun.wait()
        return blocking(), await task

    assert Worker(asyncio.run, main()).result() == ("blocking", "task")


def test_an_application_that_is_dropped_leaves_no_receiver(make_cache: MakeCache) -> None:
    """Whether it ever had a request or not."""
    gc.collect()
    before = len(flask.request_started.receivers)
    for number in range(20):
        dropped = Flask(f"dropped{number}")
        Cache(dropped, config={"CACHE_TYPE": "SimpleCache"})
        if number % 2:
            dropped.test_client().get("/")
        del dropped
    gc.collect()
    assert len(flask.request_started.receivers) <= before
