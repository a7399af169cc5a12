"""Tracing: which spans a call makes, how they nest, and that they change nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, abort, render_template_string, request

from flask_caching.backends.filesystemcache import FileSystemCache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.config import CacheConfig
from flask_caching.keyhash import KeyHash
from flask_caching.observer import Bypass, NullObserver, Target, faults
from flask_caching_instrumentation.tracing.brackets import tracing_for

trace = pytest.importorskip("opentelemetry.trace")
context_api = pytest.importorskip("opentelemetry.context")
sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")

HASH = KeyHash(b"secret")


@pytest.fixture(autouse=True)
def no_context_is_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test the current span is none, and OpenTelemetry has logged no error."""
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        yield
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert not [each for each in caplog.records if each.name.startswith("opentelemetry")]


def events_of(span: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes)) for event in span.events]


# When spans are made.


def test_nothing_is_traced_where_nothing_is_recorded(app, traced, spans, tmp_path):
    """Without a current span there are no orphans, whatever is called."""
    cache = traced(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))

    @app.get("/")
    @cache.cached()
    def index() -> str:
        return "page"

    client = app.test_client()
    assert [client.get("/").text, client.get("/").text] == ["page", "page"]
    with app.app_context():
        cache.clear()
    assert spans.all() == []


def test_a_root_that_is_not_sampled_has_no_spans_below_it(app, traced, spans):
    """The application's sampler decides for the cache as well; also after a sampled one."""
    cache = traced()
    unsampled = sdk.TracerProvider(sampler=sdk.sampling.ALWAYS_OFF).get_tracer("tests")

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context():
        for _ in range(2):
            with unsampled.start_as_current_span("request"):
                assert [double(1), double(1)] == [2, 2]
            assert spans.all() == []
        with spans.root():
            double(1)
        assert len(spans.all()) == 2
        spans.clear()
        with unsampled.start_as_current_span("request"):
            double(1)
    assert spans.all() == []


def test_always_makes_traces_of_its_own(app, traced, spans):
    """CACHE_TRACING="always" needs no span around it."""
    cache = traced(CACHE_TRACING="always", CACHE_NAME="pages")

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context():
        double(1)
        cache.get("k")
    assert spans.tree() == ["cache.memoize double", "  cache.load double"]
    assert spans.one("cache.memoize").parent is None


def test_off_makes_none(app, traced, spans):
    """CACHE_TRACING="off" is off, also inside of a span."""
    cache = traced(CACHE_TRACING="off")

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        double(1)
        cache.set("k", 1)
    assert spans.tree() == ["request"]
    assert not spans.one("request").events


def test_suppressed_instrumentation_is_suppressed_here_as_well(app, traced, spans):
    """What ``suppress_instrumentation`` is around is not traced."""
    utils = pytest.importorskip("opentelemetry.instrumentation.utils")
    cache = traced()

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root(), utils.suppress_instrumentation():
        double(1)
        cache.set("k", 1)
    assert spans.tree() == ["request"]
    assert not spans.one("request").events


def test_a_provider_that_records_nothing_hides_no_span(app, traced, spans):
    """Under a no-op provider the application's own span stays the current one."""
    cache = traced(CACHE_TRACER_PROVIDER=trace.NoOpTracerProvider())
    seen: list[Any] = []

    @cache.memoize()
    def read() -> str:
        seen.append(trace.get_current_span())
        return "value"

    with app.app_context(), spans.root() as root:
        read()
    assert seen == [root]
    assert spans.tree() == ["request"]


# Lookups and loads.


def test_a_view_is_a_lookup_with_its_load(app, traced, spans):
    """A miss has the load inside, a hit has not; the store's operations are events."""
    cache = traced(CACHE_NAME="pages")

    @app.get("/reports/<int:year>")
    @cache.cached(timeout=60)
    def report(year: int) -> str:
        return f"of {year}"

    with spans.root():
        assert app.test_client().get("/reports/2026").text == "of 2026"
        app.test_client().get("/reports/2026")
    assert spans.tree() == [
        "request",
        "  cache.view report",
        "    cache.load report",
        "  cache.view report",
    ]
    miss, hit = spans.named("cache.view")
    key = HASH("view//reports/2026")
    assert dict(miss.attributes) == {
        "cache.name": "pages",
        "cache.key": key,
        "cache.hit": False,
        "cache.write": True,
        "flask_caching.outcome": "miss",
    }
    assert dict(hit.attributes) == {
        "cache.name": "pages",
        "cache.key": key,
        "cache.hit": True,
        "flask_caching.outcome": "hit",
    }
    assert {span.status.status_code.name for span in spans.all()} == {"UNSET"}
    assert spans.one("cache.load").attributes["code.function.name"] == report.__qualname__
    assert events_of(hit) == [
        ("cache.get", {"cache.name": "pages", "cache.key": key, "cache.hit": True})
    ]
    (_, read), (name, put) = events_of(miss)
    assert read["cache.hit"] is False
    assert (name, put["cache.write"], put["cache.ttl"]) == ("cache.put", True, 60.0)


def test_nested_cached_functions_nest(app, traced, spans):
    """A helper and a fragment inside of a view are inside of its load."""
    cache = traced()

    @cache.memoize()
    def total(n: int) -> int:
        return n

    @cache.cached(key_prefix="all")
    def comments() -> str:
        return str(total(1))

    @app.get("/")
    @cache.cached()
    def index() -> str:
        return render_template_string("{% cache 60, 'side' %}{{ f() }}{% endcache %}", f=comments)

    with spans.root():
        app.test_client().get("/")
    assert spans.tree() == [
        "request",
        "  cache.view index",
        "    cache.load index",
        "      cache.template side",
        "        cache.load side",
        "          cache.view comments",
        "            cache.load comments",
        "              cache.memoize total",
        "                cache.load total",
    ]


def test_the_application_s_own_reads_are_operations_only(app, traced, spans):
    """``cache.get`` and the like are no lookups of a function; get_or_set has its load."""
    cache = traced()
    with app.app_context(), spans.root():
        cache.set("a", [1, None, 2], timeout=5)
        assert cache.get("a") == [1, None, 2]
        cache.get_many("a", "b")
        cache.has("a")
        cache.inc("n")
        cache.delete("a")
        cache.delete_many("a", "b")
        cache.ttl("n")
        cache.cache.keys()
        cache.get_or_set("c", lambda: 1)
        cache.clear()
    assert spans.tree() == ["request", "  cache.load <lambda>"]
    events = events_of(spans.one("request"))
    assert [name for name, _ in events] == [
        "cache.put",
        "cache.get",
        "cache.get",
        "cache.get",
        "cache.put",
        "cache.remove",
        "cache.remove",
        "cache.get",
        "cache.get",
        "cache.get",
        "cache.put",
        "cache.flush",
    ]
    assert events[0][1]["cache.ttl"] == pytest.approx(5, abs=0.5)
    assert events[1][1]["cache.hit"] is True
    assert "cache.hit.count" not in events[1][1]
    assert events[2][1] == {
        "cache.name": "cache",
        "cache.key.count": 2,
        "cache.hit": False,
        "cache.hit.count": 1,
    }


def test_why_a_value_is_refused_stale_or_another_s_is_said(app, traced, spans):
    """Reason, outcome and collision are attributes of the lookup."""
    cache = traced()

    @app.get("/cookie")
    @cache.cached()
    def cookie() -> Response:
        response = Response("mine")
        response.set_cookie("who", "me")
        return response

    @cache.memoize(is_stale=lambda value: True)
    def old() -> str:
        return "old"

    @app.get("/p/<int:number>")
    @cache.cached(key_prefix="product", collisions="refuse")
    def product(number: int) -> str:
        return str(number)

    client = app.test_client()
    with app.app_context(), spans.root():
        client.get("/cookie")
        old()
        old()
        client.get("/p/1")
        client.get("/p/2")
    refused, _, collided = spans.named("cache.view")
    assert refused.attributes["cache.write"] is False
    assert refused.attributes["flask_caching.reason"]
    assert spans.named("cache.memoize")[1].attributes["flask_caching.outcome"] == "stale"
    assert spans.named("cache.memoize")[1].attributes["cache.hit"] is False
    assert collided.attributes["flask_caching.collision"] == "arguments"


@pytest.mark.parametrize(
    ("raised", "error_type"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: abort(503), "werkzeug.exceptions.ServiceUnavailable"),
        (lambda: abort(404), None),
        (lambda: abort(Response("elsewhere", 302)), None),
        (lambda: abort(Response("broken", 500)), "werkzeug.exceptions.HTTPException"),
    ],
)
@pytest.mark.parametrize("kind", ["cached", "memoize"])
def test_a_load_that_raises_is_an_error_unless_it_is_an_answer(
    app, traced, spans, kind, raised, error_type
):
    """ERROR with the type alone; abort() below 500 is an answer. So is the lookup it leaves.

    What a view raises with abort() is judged as its answer, and leaves no lookup.
    """
    cache = traced()
    app.testing = False
    app.add_url_rule("/", "index", getattr(cache, kind)()(lambda: raised()))
    with spans.root():
        app.test_client().get("/")
    lookup = spans.one("cache.view" if kind == "cached" else "cache.memoize")
    load = spans.one("cache.load")
    left = error_type if kind == "memoize" or error_type == "ZeroDivisionError" else None
    assert lookup.status.status_code.name == ("ERROR" if left else "UNSET")
    assert lookup.attributes.get("error.type") == left
    assert load.attributes.get("error.type") == error_type
    assert load.status.status_code.name == ("ERROR" if error_type else "UNSET")
    assert load.status.description is None
    expected = [("exception", {"exception.type": error_type})] if error_type else []
    assert events_of(load) == expected


def test_a_store_that_fails_degrades_the_lookup(app, traced, spans, monkeypatch):
    """The call goes on: its span stays unset and says so; the operation says what failed."""
    cache = traced()

    def fail(*args: Any) -> None:
        raise OSError("no route to user:password@host")

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        monkeypatch.setattr(cache.cache.wrapped, "get_entries", fail)
        assert double(2) == 4
    lookup = spans.one("cache.memoize")
    assert lookup.status.status_code.name == "UNSET"
    assert lookup.attributes["cache.degraded"] is True
    assert lookup.attributes["flask_caching.outcome"] == "error"
    assert events_of(lookup)[0][1]["error.type"] == "OSError"
    assert "password" not in str([span.to_json() for span in spans.all()])


def test_what_a_store_refuses_or_cannot_read_is_no_failure_of_it(app, traced, spans, tmp_path):
    """A value that is unreadable is a miss with a reason, and the status stays unset."""
    cache = traced(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))
    with app.app_context():
        cache.set("k", "value")
        for path in tmp_path.rglob("*"):
            if path.is_file() and b"value" in path.read_bytes():
                path.write_bytes(path.read_bytes()[:-3])
        with spans.root():
            assert cache.get("k") is None
    span = spans.one("cache.get")
    assert span.kind.name == "INTERNAL"
    assert span.status.status_code.name == "UNSET"
    assert span.attributes["cache.hit"] is False
    assert span.attributes["flask_caching.reason"]


@pytest.mark.parametrize("how", ["hash", "full", "off"])
def test_keys_are_hashed_whole_or_absent(app, traced, spans, how, tmp_path):
    """A raw key shows only where CACHE_TRACE_KEYS="full" asks for it, in spans and events."""
    cache = traced(CACHE_TRACE_KEYS=how)
    other = traced(
        app=app,
        CACHE_TRACE_KEYS=how,
        CACHE_NAME="files",
        CACHE_TYPE="FileSystemCache",
        CACHE_DIR=str(tmp_path),
    )

    @app.get("/user/<name>")
    @cache.cached()
    def user(name: str) -> str:
        return name

    with app.app_context(), spans.root():
        app.test_client().get("/user/alice")
        other.get("view//user/alice")
    expected = {"hash": HASH("view//user/alice"), "full": "view//user/alice", "off": None}[how]
    shown = [span.attributes.get("cache.key") for span in spans.named("cache.")]
    shown += [said.get("cache.key") for _, said in events_of(spans.one("cache.view"))]
    assert set(shown) - ({None} if how != "off" else set()) == {expected}
    text = str([span.to_json() for span in spans.all()])
    assert ("alice" in text) == (how == "full")


# Bypassed calls.


def test_a_bypassed_call_has_a_span_with_the_reason(app, traced, spans):
    """Around what the function does; what is cached inside nests in it."""
    cache = traced()

    @cache.memoize()
    def inner() -> str:
        return "inner"

    @app.route("/", methods=["GET", "POST"])
    @cache.cached(unless=lambda: "skip" in request.args)
    def index() -> str:
        return inner()

    with spans.root():
        app.test_client().post("/")
        app.test_client().get("/?skip")
    assert spans.tree() == [
        "request",
        "  cache.view index",
        "    cache.memoize inner",
        "      cache.load inner",
        "  cache.view index",
        "    cache.memoize inner",
    ]
    posted, skipped = spans.named("cache.view")
    assert dict(posted.attributes) == {
        "cache.name": "cache",
        "cache.hit": False,
        "flask_caching.outcome": "bypass",
        "flask_caching.reason": "method",
    }
    assert skipped.attributes["flask_caching.reason"] == "unless"
    assert [span.parent.span_id for span in spans.named("cache.memoize")] == [
        posted.context.span_id,
        skipped.context.span_id,
    ]


def test_a_forced_update_has_its_load_and_its_write_inside(app, traced, spans, tmp_path):
    """It does not look, but loads and stores."""
    cache = traced(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))

    @app.get("/")
    @cache.cached(forced_update=lambda: True)
    def index() -> str:
        return "page"

    with spans.root():
        app.test_client().get("/")
    assert spans.tree() == [
        "request",
        "  cache.view index",
        "    cache.load index",
        "    cache.put cache",
    ]
    view = spans.one("cache.view")
    assert view.attributes["flask_caching.outcome"] == "bypass"
    assert view.attributes["flask_caching.reason"] == "forced_update"
    assert view.attributes["cache.write"] is True
    assert view.attributes["cache.key"] == HASH("view//")


def test_a_bypassed_function_that_raises_is_an_error(app, traced, spans):
    """There is no load inside to say it."""
    cache = traced()

    @cache.memoize(unless=lambda: True)
    def fail() -> None:
        raise LookupError("of secret things")

    with app.app_context(), spans.root(), pytest.raises(LookupError):
        fail()
    span = spans.one("cache.memoize")
    assert span.status.status_code.name == "ERROR"
    assert span.attributes["error.type"] == "LookupError"
    assert "secret things" not in span.to_json()


def test_observers_that_know_no_bypass_are_left_in_peace(caplog):
    """A third-party observer from before the bracket: no fault is counted, nothing logged."""

    class Old:
        def bypassed(self, target: Target, reason: str) -> None:
            """All that it knows."""

    with Bypass(Old(), Target("view", "index"), "unless") as bypass:
        pass
    with Bypass(NullObserver(), Target("view", "index"), "unless"):
        pass
    assert bypass.error is None
    assert not faults
    assert not caplog.records


# Threads, tasks, waiters.


def test_waiters_link_to_the_load_they_wait_for(app, traced, spans):
    """One loads; the others' spans nest in their own requests, and name the loader's span."""
    cache = traced()
    begun, go = threading.Event(), threading.Event()

    @cache.memoize()
    def slow() -> str:
        begun.set()
        assert go.wait(10)
        return "value"

    def call(name: str) -> None:
        with app.app_context(), spans.root(name):
            assert slow() == "value"

    threads = [threading.Thread(target=call, args=("leader",))]
    threads[0].start()
    assert begun.wait(10)
    threads += [threading.Thread(target=call, args=(f"waiter {n}",)) for n in range(2)]
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.2)
    go.set()
    for thread in threads:
        thread.join(10)
    load = spans.one("cache.load")
    locks = spans.named("cache.lock")
    assert len(locks) == 2
    for lock in locks:
        assert lock.name == "cache.lock cache"
        assert [link.context.span_id for link in lock.links] == [load.context.span_id]
        assert dict(lock.attributes) == {
            "cache.name": "cache",
            "flask_caching.outcome": "served",
        }
        assert lock.end_time - lock.start_time > 100_000_000
    for root in spans.named("waiter"):
        inside = [span for span in spans.all() if span.context.trace_id == root.context.trace_id]
        assert [span.name.split()[0] for span in inside] == [
            "waiter",
            "cache.memoize",
            "cache.lock",
        ]


def test_a_wait_that_began_before_the_load_is_linked_at_its_end(app, traced, spans):
    """The leader may not have come to its function yet when others begin to wait."""
    from flask_caching.observer import Load, Wait

    cache = traced()
    with app.app_context():
        observer = cache.state().observer
        target = Target("memoize", "f")
        with spans.root(), Load(observer, target, "f") as load:
            wait = Wait(observer, target)
            with wait:
                wait.load = load
    (link,) = spans.one("cache.lock").links
    assert link.context.span_id == spans.one("cache.load").context.span_id
    assert spans.one("cache.lock").attributes["flask_caching.outcome"] == "unserved"


def test_coroutines_in_one_loop_nest_each_in_its_own(app, traced, spans):
    """Tasks that run at once do not get into each other's spans."""
    cache = traced()

    @cache.memoize()
    async def inner(n: int) -> int:
        await asyncio.sleep(0.01)
        return n

    @cache.memoize()
    async def outer(n: int) -> int:
        return await inner(n)

    async def request_of(n: int) -> None:
        with spans.root(f"request {n}"):
            assert await outer(n) == n
            assert await outer(n) == n

    async def main() -> None:
        await asyncio.gather(*map(request_of, range(3)))

    with app.app_context():
        asyncio.run(main())
    for root in spans.named("request"):
        inside = [span for span in spans.all() if span.context.trace_id == root.context.trace_id]
        assert [span.name.split()[0] for span in inside] == [
            "request",
            "cache.memoize",
            "cache.load",
            "cache.memoize",
            "cache.load",
            "cache.memoize",
        ]
        for parent, child in itertools.pairwise(inside[:5]):
            assert child.parent.span_id == parent.context.span_id


def test_a_cancelled_task_ends_its_spans(app, traced, spans):
    """A cancelled load is no error, and its caller's span is the current one again."""
    cache = traced()

    @cache.memoize()
    async def slow() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        with spans.root() as root:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slow(), 0.05)
            assert trace.get_current_span() is root

    with app.app_context():
        asyncio.run(main())
    assert spans.tree() == ["request", "  cache.memoize slow", "    cache.load slow"]
    assert {span.status.status_code.name for span in spans.named("cache.")} == {"UNSET"}


def test_a_coroutine_that_is_closed_elsewhere_logs_nothing(app, traced, spans):
    """The garbage collector closes it in another context, which keeps its own span."""
    cache = traced()

    @cache.memoize()
    async def stuck() -> None:
        await Forever()

    class Forever:
        def __await__(self) -> Iterator[None]:
            yield

    def begin() -> Any:
        coroutine = stuck()
        with spans.root():
            coroutine.send(None)
        return coroutine

    with app.app_context():
        coroutine = contextvars.copy_context().run(begin)
        with spans.root("other") as other:
            coroutine.close()
            del coroutine
            gc.collect()
            assert trace.get_current_span() is other
    assert {span.name.split()[0] for span in spans.all()} == {
        "request",
        "other",
        "cache.memoize",
        "cache.load",
    }


def test_a_streamed_response_leaves_no_span_open(app, traced, spans):
    """A small stream is read inside of the lookup, a large one after everything ended."""
    cache = traced(CACHE_STREAM_LIMIT=10)

    @app.get("/<int:size>")
    @cache.cached()
    def stream(size: int) -> Response:
        def body() -> Iterator[str]:
            with spans.root(f"body of {size}"):
                yield "x" * size

        return Response(body())

    with spans.root():
        assert len(app.test_client().get("/5").get_data()) == 5
        assert len(app.test_client().get("/900").get_data()) == 900
    small, _ = spans.named("cache.view")
    assert spans.one("body of 5").parent.span_id == small.context.span_id
    assert all(span.end_time for span in spans.all())


def test_an_application_s_exception_passes_through_every_span(app, traced, spans):
    """Each is ended, from the inside out, and the caller's span is current again."""
    cache = traced()

    @cache.memoize()
    def inner() -> None:
        raise KeyError("k")

    @cache.memoize()
    def outer() -> None:
        inner()

    with app.app_context(), spans.root() as root:
        with pytest.raises(KeyError):
            outer()
        assert trace.get_current_span() is root
    assert spans.tree() == [
        "request",
        "  cache.memoize outer",
        "    cache.load outer",
        "      cache.memoize inner",
        "        cache.load inner",
    ]


# Faults of those who watch (23).


class BrokenSpan(trace.NonRecordingSpan):
    """A span that raises from one of its methods, and does nothing in the others."""

    def __init__(self, broken: str) -> None:
        super().__init__(trace.SpanContext(1, 1, False, trace.TraceFlags(1)))
        self._broken = broken

    def is_recording(self) -> bool:
        return True

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "_broken"):
            raise RuntimeError(f"{name} is broken")
        return super().__getattribute__(name)


class BrokenProvider:
    """Its tracer, or the tracer's spans, raise from the method of that name."""

    def __init__(self, broken: str) -> None:
        self._broken = broken

    def get_tracer(self, *args: Any, **options: Any) -> Any:
        if self._broken == "get_tracer":
            raise RuntimeError("get_tracer is broken")
        return self

    def start_span(self, *args: Any, **options: Any) -> Any:
        if self._broken == "start_span":
            raise RuntimeError("start_span is broken")
        return BrokenSpan(self._broken)


SPAN_METHODS = [
    "add_event",
    "end",
    "get_span_context",
    "is_recording",
    "set_attribute",
    "set_attributes",
    "set_status",
]


def everything(app: Flask, cache: Any) -> list[Any]:
    """Calls of every kind, and what they answered."""

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    @cache.memoize(unless=lambda: True)
    def plain() -> str:
        return "plain"

    @cache.memoize()
    def fail() -> None:
        raise ZeroDivisionError

    with app.app_context():
        answers: list[Any] = [double(1), double(1), plain(), cache.set("k", 1), cache.get("k")]
        answers += [cache.inc("k"), cache.delete("k"), cache.get_many("k", "l")]
        with pytest.raises(ZeroDivisionError):
            fail()
    return answers


ANSWERS = [2, 2, "plain", True, 1, 2, True, [None, None]]


@pytest.mark.parametrize("broken", ["get_tracer", "start_span", *SPAN_METHODS])
@pytest.mark.parametrize("store", ["SimpleCache", "FileSystemCache"])
def test_23_a_tracer_that_raises_changes_nothing(app, traced, spans, broken, store, tmp_path):
    """Whatever method it is: every call answers as without, and the fault is counted."""
    cache = traced(
        CACHE_TYPE=store, CACHE_DIR=str(tmp_path), CACHE_TRACER_PROVIDER=BrokenProvider(broken)
    )
    with spans.root() as root:
        assert everything(app, cache) == ANSWERS
        assert trace.get_current_span() is root
    if broken not in ("get_span_context", "set_attributes", "add_event") or faults:
        assert faults
        assert all(name.startswith("tracing.") for name in faults)
    faults.clear()


@pytest.mark.parametrize("moment", ["on_start", "on_end"])
def test_23_a_span_processor_that_raises_changes_nothing(app, traced, spans, moment):
    """Those of the application may fail at a span's start or end."""

    class Broken(sdk.SpanProcessor):  # type: ignore[name-defined,misc]
        """Raises at one moment."""

    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("the processor is broken")

    setattr(Broken, moment, fail)
    provider = sdk.TracerProvider()
    provider.add_span_processor(Broken())
    cache = traced(CACHE_TRACER_PROVIDER=provider)
    with spans.root() as root:
        assert everything(app, cache) == ANSWERS
        assert trace.get_current_span() is root
    assert faults
    faults.clear()


def test_23_an_exporter_that_blocks_and_is_full_changes_nothing(app, traced, spans, caplog):
    """The SDK's queue drops what it cannot take; calls go on at their speed."""
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    released = threading.Event()

    class Blocked(export.SpanExporter):  # type: ignore[name-defined,misc]
        """Takes for ever."""

        def export(self, given: Any) -> Any:
            released.wait(30)
            return export.SpanExportResult.SUCCESS

    provider = sdk.TracerProvider()
    provider.add_span_processor(
        export.BatchSpanProcessor(Blocked(), max_queue_size=2, max_export_batch_size=1)
    )
    cache = traced(CACHE_TRACER_PROVIDER=provider)
    begun = time.perf_counter()
    with spans.root():
        assert everything(app, cache) == ANSWERS
    assert time.perf_counter() - begun < 5
    released.set()
    provider.shutdown()
    caplog.clear()


def test_waiting_for_nothing_makes_no_span(app, traced, spans):
    """A lookup without a wait has no cache.lock."""
    cache = traced()

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        double(1)
    assert spans.named("cache.lock") == []


def test_a_context_that_a_function_leaves_behind_goes_no_further(app, traced, spans):
    """What it attached and forgot to detach is not current after its load."""
    cache = traced()

    @cache.memoize()
    def careless() -> None:
        other = spans.provider.get_tracer("tests").start_span("other")
        context_api.attach(trace.set_span_in_context(other))

    with app.app_context(), spans.root() as root:
        careless()
        assert trace.get_current_span() is root


def test_a_bypassed_coroutine_has_a_span_until_it_ends(app, traced, spans):
    """Around what is awaited."""
    cache = traced()

    @cache.memoize()
    async def inner() -> str:
        await asyncio.sleep(0)
        return "inner"

    @cache.memoize(unless=lambda: True)
    async def plain() -> str:
        await asyncio.sleep(0)
        return await inner()

    async def main() -> None:
        with spans.root():
            assert await plain() == "inner"

    with app.app_context():
        asyncio.run(main())
    assert spans.tree() == [
        "request",
        "  cache.memoize plain",
        "    cache.memoize inner",
        "      cache.load inner",
    ]


@pytest.mark.parametrize("kind", [SimpleCache, FileSystemCache])
def test_a_backend_is_not_kept_alive_by_its_tracing(kind, tmp_path):
    """It goes with its wrapper, at once."""
    backend = kind(str(tmp_path)) if kind is FileSystemCache else kind()
    tracing = tracing_for(CacheConfig(), backend, "secret")
    gone = weakref.ref(backend)
    gc.disable()
    try:
        del backend
        assert gone() is None
    finally:
        gc.enable()
    assert tracing is not None
