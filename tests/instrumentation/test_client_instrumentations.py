"""With instrumentations of Redis, memcached and Flask at work: one CLIENT span for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis_groups import ClusterNode
from servers import MemcachedServer, RedisServer
from test_spans_of_backends import CALLS, memcached_of, redis_of

from flask_caching_instrumentation.tracing.clients import are_traced, is_traced

pytest.importorskip("opentelemetry.sdk.trace", reason="the oldest sets have no SDK")
redis_instrumentation = pytest.importorskip("opentelemetry.instrumentation.redis")
pymemcache_instrumentation = pytest.importorskip("opentelemetry.instrumentation.pymemcache")
flask_instrumentation = pytest.importorskip("opentelemetry.instrumentation.flask")
redis = pytest.importorskip("redis")

Instrumentor = redis_instrumentation.RedisInstrumentor

#: What walks through a server's keys, a step at a time.
WALKS = {"clear", "keys"}

#: What goes to one server past the client's functions.
PAST_THE_CLIENT = {"get", "get_entry", "get_many", "get_dict", "get_entries"}


@pytest.fixture
def instrument_redis(spans) -> Iterator[Callable[[], None]]:
    """Instruments every Redis client, until the test ends."""

    def instrument() -> None:
        Instrumentor().instrument(tracer_provider=spans.provider)

    yield instrument
    if Instrumentor().is_instrumented_by_opentelemetry:
        Instrumentor().uninstrument()


def clients_of(cache: Any, spans: Any) -> dict[str, tuple[str, int]]:
    """For each method of a backend: the kind of our span, and how many CLIENT spans there are.

    Those that are not ours are inside of it.
    """
    seen: dict[str, tuple[str, int]] = {}
    for method, call in CALLS.items():
        if not hasattr(cache.cache, method):
            continue
        spans.clear()
        with spans.root():
            call(cache.cache)
        ours = spans.one("cache.")
        clients = [span for span in spans.all() if span.kind.name == "CLIENT"]
        for span in clients:
            if span is not ours:
                assert span.parent.span_id == ours.context.span_id, method
        # How many steps a walk takes depends on what else is on the server.
        seen[method] = ours.kind.name, 1 if clients and method in WALKS else len(clients)
    return seen


def expected(past: set[str], methods: Any) -> dict[str, tuple[str, int]]:
    # Giving a lock back is two calls, a look and the removal.
    several = {"release_lock": 2}
    return {
        method: ("CLIENT", 1) if method in past else ("INTERNAL", several.get(method, 1))
        for method in methods
    }


@pytest.mark.parametrize("order", ["before", "after"])
def test_all_redis_clients_instrumented(app, traced, spans, redis_server, instrument_redis, order):
    """Whether that came before the cache or after it: theirs is inside of ours, or ours alone."""
    if order == "before":
        instrument_redis()
    cache = traced(**redis_of(redis_server, CACHE_KEY_PREFIX=f"{order}/"))
    if order == "after":
        instrument_redis()
    with app.app_context():
        seen = clients_of(cache, spans)
    assert seen == expected(PAST_THE_CLIENT, CALLS)


def test_uninstrumented_again(app, traced, spans, redis_server, instrument_redis):
    """Ours are CLIENT spans again, at once."""
    instrument_redis()
    cache = traced(**redis_of(redis_server, CACHE_KEY_PREFIX="un/"))
    Instrumentor().uninstrument()
    with app.app_context():
        seen = clients_of(cache, spans)
    assert seen == dict.fromkeys(CALLS, ("CLIENT", 1))


@pytest.mark.parametrize("order", ["before", "after"])
def test_one_client_instrumented(app, traced, spans, redis_server, order):
    """A ready client of the application's own reads through its functions, so all are theirs.

    But for those that the cache took before they were wrapped.
    """
    client = redis.Redis(redis_server.host, redis_server.port)
    other = traced(**redis_of(redis_server, CACHE_KEY_PREFIX="other/"))
    if order == "before":
        Instrumentor.instrument_client(client, tracer_provider=spans.provider)
    cache = traced(
        CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=client, CACHE_KEY_PREFIX=f"one-{order}/"
    )
    if order == "after":
        Instrumentor.instrument_client(client, tracer_provider=spans.provider)
    with app.app_context():
        seen = clients_of(cache, spans)
        untouched = clients_of(other, spans)
    assert seen == expected(PAST_THE_CLIENT if order == "after" else set(), CALLS)
    assert untouched == dict.fromkeys(CALLS, ("CLIENT", 1))


def test_all_clients_instrumented_and_one_is_ready(
    app, traced, spans, redis_server, instrument_redis
):
    """A ready client's reads go through the instrumented function as well."""
    instrument_redis()
    client = redis.Redis(redis_server.host, redis_server.port)
    cache = traced(CACHE_TYPE="RedisCache", CACHE_REDIS_HOST=client, CACHE_KEY_PREFIX="ready/")
    with app.app_context():
        assert clients_of(cache, spans) == expected(set(), CALLS)


def test_memoize_makes_one_client_span_for_a_round_trip(
    app, traced, spans, redis_server, instrument_redis
):
    """Versions created with the read, versions moved with the write: pipelines, seen by theirs."""
    instrument_redis()
    cache = traced(**redis_of(redis_server, CACHE_KEY_PREFIX="memo-spans/"))

    @cache.memoize()
    def double(n: int) -> int:
        return 2 * n

    with app.app_context(), spans.root():
        double(1)
        double(1)
    assert [name for name in spans.tree() if "cache." not in name] == [
        "request",
        "      SET MGET",
        "      SET PEXPIRE",
    ]
    reads = [(span.kind.name, span.name) for span in spans.named("cache.get")]
    assert reads == [("INTERNAL", "cache.get cache"), ("CLIENT", "cache.get cache")]


def test_a_dead_redis_that_is_instrumented(app, traced, spans, own_redis, instrument_redis):
    """Both spans are errors; ours has no message."""
    instrument_redis()
    cache = traced(**redis_of(own_redis), CACHE_IGNORE_ERRORS=True)
    own_redis.kill()
    with app.app_context(), spans.root():
        cache.set("k", 1)
    ours = spans.one("cache.put")
    assert ours.kind.name == "INTERNAL"
    assert ours.status.status_code.name == "ERROR"
    assert len([span for span in spans.all() if span.kind.name == "CLIENT"]) == 1


def test_a_cluster_that_is_instrumented(
    app, traced, spans, redis_cluster_nodes: list[ClusterNode], instrument_redis
):
    """Its nodes are asked past the client, so ours are CLIENT spans and the only ones."""
    instrument_redis()
    cache = traced(
        CACHE_TYPE="RedisClusterCache",
        CACHE_REDIS_CLUSTER=",".join(f"{node.host}:{node.port}" for node in redis_cluster_nodes),
        CACHE_KEY_PREFIX="spans-seen/",
    )
    with app.app_context():
        cache.get("k")  # Connects, which asks for the slots.
        seen = clients_of(cache, spans)
    assert seen == dict.fromkeys(CALLS, ("CLIENT", 1))


def test_a_cluster_s_detour_through_the_client_makes_no_second_span(
    app, traced, spans, redis_cluster_nodes: list[ClusterNode], instrument_redis, monkeypatch
):
    """A key that has moved is asked for through the instrumented client: ours stays alone."""
    from flask_caching.backends import redisnodes

    instrument_redis()
    cache = traced(
        CACHE_TYPE="RedisClusterCache",
        CACHE_REDIS_CLUSTER=",".join(f"{node.host}:{node.port}" for node in redis_cluster_nodes),
        CACHE_KEY_PREFIX="detours/",
    )
    with app.app_context():
        cache.set("k", 1)
        nodes = cache.cache.wrapped._nodes
        real = redisnodes.Nodes._owner

        def elsewhere(self: Any, command: Any, reading: bool) -> Any:
            owner = real(self, command, reading)
            return next(node for node in nodes.client.get_primaries() if node is not owner)

        monkeypatch.setattr(redisnodes.Nodes, "_owner", elsewhere)
        spans.clear()
        with spans.root():
            assert cache.get("k") == 1
    assert spans.tree() == ["request", "  cache.get cache"]
    assert spans.one("cache.get").kind.name == "CLIENT"


@pytest.mark.parametrize("ready", [False, True])
def test_memcached_is_asked_past_pymemcache(
    app, traced, spans, memcached_server: MemcachedServer, ready
):
    """Whatever instruments pymemcache sees nothing of it, so ours are CLIENT spans."""
    pymemcache = pytest.importorskip("pymemcache")
    instrumentor = pymemcache_instrumentation.PymemcacheInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    try:
        options = memcached_of(memcached_server)
        if ready:
            client = pymemcache.PooledClient((memcached_server.host, memcached_server.port))
            options["CACHE_MEMCACHED_SERVERS"] = client
        cache = traced(**options, CACHE_KEY_PREFIX=f"pymemcache-{ready}/")
        with app.app_context():
            seen = clients_of(cache, spans)
    finally:
        instrumentor.uninstrument()
    assert seen == dict.fromkeys(seen, ("CLIENT", 1))
    assert set(CALLS) - set(seen) == {"unlink"}


def test_a_request_of_an_instrumented_flask(app, traced, spans, redis_server: RedisServer):
    """Its server span is the root; a view's lookup is inside, and nothing is orphaned."""
    cache = traced(**redis_of(redis_server, CACHE_KEY_PREFIX="flask/"))

    @app.get("/page")
    @cache.cached(timeout=60)
    def page() -> str:
        return "page"

    instrumentor = flask_instrumentation.FlaskInstrumentor()
    instrumentor.instrument_app(app, tracer_provider=spans.provider)
    try:
        client = app.test_client()
        assert [client.get("/page").text for _ in range(2)] == ["page"] * 2
    finally:
        instrumentor.uninstrument_app(app)
    assert spans.tree() == [
        "GET /page",
        "  cache.view page",
        "    cache.get cache",
        "    cache.load page",
        "    cache.put cache",
        "GET /page",
        "  cache.view page",
        "    cache.get cache",
    ]


def test_only_wrappers_of_opentelemetry_count():
    """Another tool's wrapper makes no span that ours would double."""
    wrapt = pytest.importorskip("wrapt")

    def function() -> None:
        """Something to wrap."""

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    def otel(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    otel.__module__ = "opentelemetry.instrumentation.redis"
    foreign = wrapt.FunctionWrapper(function, theirs)
    ours = wrapt.FunctionWrapper(function, otel)
    assert not is_traced(function)
    assert not is_traced(foreign)
    assert is_traced(ours)
    assert is_traced(wrapt.FunctionWrapper(ours, theirs))
    assert not is_traced(None)
    assert are_traced([function, ours])
    assert not are_traced([])
