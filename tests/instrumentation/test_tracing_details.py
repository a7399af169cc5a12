"""Tracing in unusual places: samplers, full spans, failures of every kind, what is not asked."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from flask import Flask, abort, render_template_string
from prometheus_client import CollectorRegistry
from servers import RedisServer

from flask_caching import Cache
from flask_caching.keyhash import KeyHash
from flask_caching_instrumentation.ticker import courier

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")

HASH = KeyHash(b"secret")


class AlternatelyOn(sdk.sampling.Sampler):  # type: ignore[misc,name-defined]
    """Samples every second root, and nothing of what it did not."""

    def __init__(self) -> None:
        self.roots = 0

    def should_sample(self, *args: Any, **options: Any) -> Any:
        self.roots += 1
        on = self.roots % 2
        decision = sdk.sampling.Decision
        attributes = options.get("attributes") or (args[4] if len(args) > 4 else None)
        return sdk.sampling.SamplingResult(
            decision.RECORD_AND_SAMPLE if on else decision.DROP, attributes
        )

    def get_description(self) -> str:
        return "every second root"


def test_a_lookup_that_is_not_sampled_takes_all_of_it_along(app, traced, spans):
    """Under ``always``: its load and its calls are no roots of their own."""
    sampler = AlternatelyOn()
    provider = sdk.TracerProvider(sampler=sdk.sampling.ParentBased(sampler))
    provider.add_span_processor(spans.provider._active_span_processor)
    cache = traced(CACHE_TRACING="always", CACHE_TRACER_PROVIDER=provider)

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context():
        for number in range(10):
            double(number)
    assert sampler.roots == 10
    assert {span.name for span in spans.all() if span.parent is None} == {
        "cache.memoize test_tracing_details.test_a_lookup_that_is_not_sampled_takes_all_of_it_along"
        ".<locals>.double"
    }


def test_the_note_that_turns_caching_off_is_no_key_of_the_application(
    app, traced, spans, redis_server: RedisServer
):
    """It is read along with a value now and then: a hit is a hit all the same, of one key."""
    cache = traced(
        CACHE_TYPE="RedisCache", CACHE_REDIS_URL=redis_server.url, CACHE_KEY_PREFIX="note/"
    )

    @app.get("/")
    @cache.cached()
    def index() -> str:
        return "page"

    client = app.test_client()
    client.get("/")
    with app.app_context():
        state = cache.state()
        state.switch._due = 0.0
    with spans.root():
        assert client.get("/").text == "page"
        read = spans.one("cache.get")
    assert read.attributes["db.operation.name"] == "MGET"
    assert read.attributes["cache.hit"] is True
    assert read.attributes["cache.key"] == HASH("view//")
    assert "cache.key.count" not in read.attributes
    assert read.attributes["cache.item_size"] > 0
    with app.app_context():
        outcomes = cache.stats()["operations"]["get_many"]
        assert outcomes["hit"]["count"] == 1
        assert "partial" not in outcomes
        cache.clear()


def test_the_thread_that_counts_keys_makes_no_traces(spans, redis_server: RedisServer):
    """Also where the client's own instrumentation would."""
    redis = pytest.importorskip("opentelemetry.instrumentation.redis")
    app = Flask("counting")
    app.config.update(
        CACHE_TYPE="RedisCache",
        CACHE_REDIS_URL=redis_server.url,
        CACHE_KEY_PREFIX="quiet/",
        CACHE_METRICS_SHARED_KEYS=True,
        CACHE_METRICS_REGISTRY=(registry := CollectorRegistry()),
    )
    redis.RedisInstrumentor().instrument(tracer_provider=spans.provider)
    try:
        cache = Cache(app)
        with app.app_context():
            cache.get("a")
            list(registry.collect())  # Which hashes the key.
            spans.clear()
            courier.tick()
            assert spans.all() == []
            cache.cache._write_client.close()
    finally:
        redis.RedisInstrumentor().uninstrument()
    del cache, app
    gc.collect()


def test_events_leave_room_for_the_application_s_own(app, traced, spans):
    """A span gets thirty-two of ours; what is beyond is counted."""
    cache = traced()
    with app.app_context(), spans.root() as root:
        root.add_event("order placed")
        for number in range(200):
            cache.get(f"key-{number}")
    span = spans.one("request")
    names = [event.name for event in span.events]
    assert names.count("cache.get") == 32
    assert "order placed" in names
    assert span.attributes["flask_caching.dropped_events"] == 168


def test_what_asks_for_nothing_has_no_span(app, traced, spans, redis_server: RedisServer):
    """No server is asked for no keys."""
    cache = traced(CACHE_TYPE="RedisCache", CACHE_REDIS_URL=redis_server.url)
    with app.app_context(), spans.root():
        assert cache.get_many() == []
        assert cache.delete_many() == []
        assert cache.unlink() == []
        assert cache.cache.set_many({}) == []
    assert spans.named("cache.") == []


def test_loads_are_named_after_what_runs(app, traced, spans):
    """A fragment by its name, a default that is a value by what it was given to."""
    cache = traced()
    with app.test_request_context(), spans.root():
        render_template_string("{% cache 60, 'side' %}x{% endcache %}")
        cache.get_or_set("a", 5)
        cache.get_or_set("b", sum_up)
    names = [span.name for span in spans.named("cache.load")]
    assert names == ["cache.load side", "cache.load get_or_set", "cache.load sum_up"]


def sum_up() -> int:
    return 5


def test_a_fragment_whose_name_is_computed_is_counted_under_its_place(app, traced, spans):
    """It may hold a user, and be any number of names."""
    cache = traced()
    text = "{% cache 60, user %}hello {{ user }}{% endcache %}"
    with app.test_request_context(), spans.root():
        for user in ("alice", "bob", "alice"):
            assert render_template_string(text, user=user) == f"hello {user}"
        stats = cache.stats()["targets"]["template"]
    ((name, counted),) = stats.items()
    assert "alice" not in name
    assert counted["lookups"] == {"hit": 1, "miss": 2, "stale": 0, "error": 0}
    assert not [span for span in spans.all() if "alice" in span.name]


def test_a_forced_update_says_why_it_was_not_stored(app, traced, spans):
    """Beside why it did not look."""
    cache = traced()

    @app.get("/")
    @cache.cached(forced_update=lambda: True)
    def index() -> tuple[str, int]:
        return "later", 503

    with spans.root():
        app.test_client().get("/")
    span = spans.one("cache.view")
    assert span.attributes["flask_caching.reason"] == "forced_update"
    assert span.attributes["flask_caching.refusal"] == "status"


@pytest.mark.parametrize(
    ("raised", "failed"),
    [(SystemExit, True), (KeyboardInterrupt, True), (asyncio.CancelledError, False)],
)
def test_what_ends_a_load_is_a_failure_unless_it_was_cancelled(app, traced, spans, raised, failed):
    """A worker that is told to end in the middle of a request leaves an error."""
    cache = traced()

    @cache.memoize()
    def end() -> None:
        raise raised

    with app.app_context(), spans.root(), pytest.raises(raised):
        end()
    status = "ERROR" if failed else "UNSET"
    assert spans.one("cache.load").status.status_code.name == status


def test_what_fails_beside_the_load_is_an_error_of_the_lookup(app, traced, spans):
    """The application's own judgement of a value that was found."""
    cache = traced()

    def judge(value: Any) -> bool:
        raise ZeroDivisionError

    @cache.memoize(is_stale=judge)
    def one() -> int:
        return 1

    with app.app_context(), spans.root():
        one()
        with pytest.raises(ZeroDivisionError):
            one()
    first, second = spans.named("cache.memoize")
    assert first.status.status_code.name == "UNSET"
    assert second.status.status_code.name == "ERROR"
    assert second.attributes["error.type"] == "ZeroDivisionError"


def test_a_task_that_outlives_its_load_keeps_nothing_of_it(app, traced, spans):
    """A context is copied into each task; what it holds lives as long as that."""
    cache = traced()

    class Big:
        """Something a function has."""

    kept: list[weakref.ref[Big]] = []
    tasks: list[asyncio.Task[None]] = []

    @cache.memoize()
    async def fail(number: int) -> None:
        big = Big()
        kept.append(weakref.ref(big))
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
        raise ZeroDivisionError

    async def work() -> None:
        for number in range(3):
            with pytest.raises(ZeroDivisionError):
                await fail(number)
        gc.collect()
        assert [each() for each in kept] == [None] * 3
        for task in tasks:
            task.cancel()

    with app.app_context(), spans.root():
        asyncio.run(work())


def test_abort_in_a_view_is_an_answer_to_its_lookup(app, traced, spans):
    """Its load says that it was a failure, if it was."""
    cache = traced()

    @app.get("/")
    @cache.cached()
    def index() -> str:
        abort(503)

    with spans.root():
        assert app.test_client().get("/").status_code == 503
    assert spans.one("cache.view").status.status_code.name == "UNSET"
    assert spans.one("cache.load").status.status_code.name == "ERROR"
