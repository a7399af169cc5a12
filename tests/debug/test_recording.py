"""Recording what functions read: what counts for whom, and that nobody else notices."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    abort,
    copy_current_request_context,
    g,
    render_template_string,
    request,
    session,
    stream_with_context,
)
from flask.views import MethodView
from werkzeug.datastructures import ImmutableMultiDict, MultiDict

from flask_caching import Cache
from flask_caching.observer import NullObserver
from flask_caching.reads import watching
from flask_caching_instrumentation.recording import (
    Reading,
    Recorder,
    recorder_of,
    start_recording,
    stop_recording,
)
from flask_caching_instrumentation.recording.loads import current_loads, notebooks
from flask_caching_instrumentation.recording.recorder import FIRST_LOADS, INPUTS, TARGETS
from flask_caching_instrumentation.relay import follow

Build = Callable[..., tuple[Flask, Cache]]


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """No test leaves anything that is watched, or a load that is still recorded."""
    yield
    assert not notebooks
    assert not current_loads()


@pytest.fixture
def app(made: tuple[Flask, Cache]) -> Flask:
    """The application under test."""
    return made[0]


@pytest.fixture
def made(make_app: Build) -> tuple[Flask, Cache]:
    """An application and its cache."""
    return make_app()


@pytest.fixture
def cache(made: tuple[Flask, Cache]) -> Cache:
    """Its cache."""
    return made[1]


def state_of(app: Flask, cache: Cache) -> Any:
    """One application's cache."""
    return app.extensions["flask_caching"][cache]


@pytest.fixture
def recorder(app: Flask, cache: Cache) -> Recorder:
    """Records all loads of the cache."""
    return start_recording(state_of(app, cache), 1.0)


def inputs(recorder: Recorder, name: str, source: str = "view") -> set[str]:
    """What a target was seen to read."""
    return set(recorder.readings()[source, name].inputs)


def current(proxy: Any) -> Any:
    """The object behind a proxy."""
    return proxy._get_current_object()


# Nobody notices.

#: Values that a view may make of its request; each must come out the same while it is watched.
VALUES: dict[str, Callable[[], Any]] = {
    "dict": lambda: dict(request.args),
    "dict of dict": lambda: {**request.args},
    "keywords": lambda: (lambda **given: given)(**request.args),
    "update": lambda: _updated({}, request.args),
    "to_dict": lambda: request.args.to_dict(flat=False),
    "list": lambda: list(request.args),
    "items": lambda: list(request.args.items(multi=True)),
    "lists": lambda: list(request.args.lists()),
    "keys": lambda: sorted(request.args.keys() | {"z"}),
    "len": lambda: (len(request.args), bool(request.args)),
    "repr": lambda: (repr(request.args), str(request.args)),
    "equality": lambda: (
        request.args == MultiDict([("page", "2"), ("tag", "b"), ("tag", "a")]),
        MultiDict([("page", "2")]) == request.args,
        request.args != {},
        {} == request.args,  # noqa: SIM300 - the dictionary is asked first
        request.args == request.args,
    ),
    "hash": lambda: hash(request.args) == hash(ImmutableMultiDict(request.args)),
    "copy": lambda: (type(request.args.copy()), request.args.copy()),
    "copy.copy": lambda: copy.copy(request.args) is request.args,
    "deepcopy": lambda: (request.args.deepcopy(), copy.deepcopy(request.args)),
    "type of a deepcopy": lambda: type(request.args.deepcopy()),
    "pickle": lambda: pickle.loads(pickle.dumps(request.args)),
    "type of a pickle": lambda: type(pickle.loads(pickle.dumps(request.args))),
    "old pickle": lambda: pickle.loads(pickle.dumps(request.args, 0)),
    "union": lambda: request.args | {"z": "1"},
    "union from the left": lambda: {"z": "1"} | request.args,
    "json": lambda: json.dumps(request.args),
    "isinstance": lambda: isinstance(request.args, ImmutableMultiDict),
    "names": lambda: (type(request.args).__name__, type(request.args).__module__),
    "identity": lambda: (request.args is request.args, request.form is request.form),
    "missing": lambda: _error(lambda: request.args["nothing"]),
    "immutable": lambda: _error(lambda: request.args.pop("page")),  # type: ignore[attr-defined]
    "unhashable": lambda: _error(lambda: request.args.get([])),  # type: ignore[call-overload]
    "headers": lambda: (list(request.headers), str(request.headers), len(request.headers)),
    "headers equal": lambda: (
        request.headers == request.headers,
        _error(lambda: request.headers == {}),
    ),
    "headers made": lambda: type(request.headers)({"HTTP_HOST": "a.example"})["Host"],
    "headers repr": lambda: repr(request.headers),
    "header missing": lambda: _error(lambda: request.headers["X-Nothing"]),
    "cookies": lambda: (dict(request.cookies), request.cookies.to_dict()),
    "values": lambda: (request.values["page"], sorted(request.values), len(request.values)),
    "environ": lambda: _plainly(request.environ),
    "environ copied": lambda: (type(request.environ.copy()), _plainly(copy.copy(request.environ))),
    "environ united": lambda: _plainly(request.environ | {"z": 1}),
    "environ written": lambda: (
        request.environ.update(own="1"),
        request.environ.pop("own"),
        request.environ.setdefault("own", "2"),
        request.environ.get("own"),
        "own" in request.environ,
        _plainly(request.environ),
    ),
    "session": lambda: (dict(session), session.get("user_id"), session == {"user_id": 7}),
    "session copied": lambda: (copy.copy(session).__class__, copy.deepcopy(dict(session))),
    "session changed": lambda: (session.pop("user_id"), session.modified, dict(session)),
    "session united": lambda: session | {"z": 1},  # type: ignore[operator]
    "session permanent": lambda: session.permanent,
    "g": lambda: (g.user, g.get("no", 1), "user" in g, list(g), g.pop("user"), "user" in g),
    "g missing": lambda: _error(lambda: g.no),
    "request": lambda: (repr(request), request.__class__.__name__, request.url, request.method),
    "own attribute": lambda: getattr(request, "tenant"),  # noqa: B009
    "no attribute": lambda: _error(lambda: getattr(request, "nothing")),  # noqa: B009
    "read only": lambda: _error(lambda: setattr(request, "content_type", "text/plain")),
    "set": lambda: (setattr(request, "method", "PUT"), request.method),
    "deleted": lambda: (
        (delattr(request, "user_agent"), request.user_agent.string) if request.user_agent else None
    ),
    "json body": lambda: (request.get_json(silent=True), request.get_data(), request.data),
}


def _updated(mapping: dict[Any, Any], other: Any) -> dict[Any, Any]:
    mapping.update(other)
    return mapping


def _error(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        # What differs between two requests are addresses and nothing else.
        return type(error).__mro__[0].__name__, str(error).partition(" at 0x")[0]


def _plainly(environ: Any) -> Any:
    """What can be compared of an environment: the rest are objects of this one request."""
    return sorted((name, value) for name, value in environ.items() if isinstance(value, str))


@pytest.mark.parametrize("what", VALUES)
def test_values_are_what_they_are_without_recording(app: Flask, cache: Cache, what: str) -> None:
    """A view gets from its request what it would get anyway."""
    made: list[Any] = []

    @app.before_request
    def fill() -> None:
        session["user_id"], g.user = 7, "ann"
        session.modified = False
        setattr(request, "tenant", "acme")  # noqa: B010

    @app.route("/")
    @cache.cached()
    def index() -> str:
        made.append(VALUES[what]())
        return ""

    client = app.test_client(use_cookies=False)
    for recording in (False, True):
        if recording:
            start_recording(state_of(app, cache), 1.0)
        cache.clear()
        client.get("/?page=2&tag=b&tag=a", headers={"Cookie": "theme=dark", "X-A": "b"})
    assert made[0] == made[1]
    assert type(made[0]) is type(made[1])


@pytest.mark.parametrize("how", ["returns", "raises", "aborts"])
def test_everything_is_itself_again(app: Flask, cache: Cache, recorder: Recorder, how: str) -> None:
    """Request, headers, parameters, session and g, however the view ends."""
    kinds: list[Any] = []

    def look() -> list[Any]:
        return [
            (type(found), found)
            for found in (
                current(request),
                request.headers,
                request.args,
                request.cookies,
                request.environ,
                current(session),
                current(g),
            )
        ]

    @app.before_request
    def before() -> None:
        kinds.append(look())

    @app.teardown_request
    def after(error: BaseException | None) -> None:
        kinds.append(look())

    app.register_error_handler(ZeroDivisionError, lambda error: "failed")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        assert type(request.args) is not ImmutableMultiDict
        request.args.get("page"), g.get("user"), request.environ["REMOTE_ADDR"]
        if how == "aborts":
            abort(404)
        return str(1 // (how == "returns"))

    app.test_client().get("/")
    for (kind, found), (kind_after, found_after) in zip(*kinds, strict=True):
        assert kind is kind_after
        assert found is found_after
    assert recorder.readings()["view", "index"].loads == 1


def test_what_a_view_keeps_goes_on_working(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Long after the request, and as what it was."""
    kept: dict[str, Any] = {}

    @app.route("/")
    @cache.cached()
    def index() -> str:
        kept.update(args=request.args, environ=request.environ, headers=request.headers)
        kept.update(g=current(g), keys=request.args.keys())
        return ""

    app.test_client().get("/?page=2")
    assert type(kept["args"]) is ImmutableMultiDict
    assert kept["args"]["page"] == "2"
    assert list(kept["keys"]) == ["page"]
    assert kept["environ"]["QUERY_STRING"] == "page=2"
    assert type(pickle.loads(pickle.dumps(kept["args"]))) is ImmutableMultiDict
    kept["environ"]["x"] = "1"
    assert kept["environ"].pop("x") == "1"
    assert kept["headers"]["Host"] == "localhost"
    assert not hasattr(kept["g"], "user")
    assert inputs(recorder, "index") == {"query"}


def test_nothing_is_watched_by_name_unless_it_is_recorded(app: Flask, cache: Cache) -> None:
    """Without a recorder, or after the last one has gone, a view's request is as ever."""
    kinds: list[list[type]] = []

    @app.route("/")
    @cache.cached()
    def index() -> str:
        mappings = (request.args, request.headers, request.cookies, request.environ)
        objects = (*mappings, *map(current, (request, session, g)))
        kinds.append([type(each) for each in objects])
        return ""

    def visit() -> list[type]:
        cache.clear()
        app.test_client().get("/")
        return kinds[-1]

    before = visit()
    start_recording(state_of(app, cache), 1.0)
    assert not set(visit()) & set(before)
    stop_recording(state_of(app, cache))
    assert visit() == before
    assert recorder_of(state_of(app, cache)) is None


# What counts, and for whom.


def test_what_runs_around_a_view_does_not_count(make_app: Build, tmp_path: Path) -> None:
    """Key makers, conditions, filters, hooks, decorators above the cache, key prefixes."""
    tenants: list[str] = []

    def tenant() -> str:
        tenants.append(request.headers.get("X-Tenant", ""))
        return f"{tenants[-1]}:"

    store = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path)}
    app, cache = make_app(CACHE_KEY_PREFIX=tenant, **store)
    recorder = start_recording(state_of(app, cache), 1.0)

    def above(view: Callable[[], str]) -> Callable[[], str]:
        def call() -> str:
            return view() + request.headers.get("X-Above", "")

        return call

    def read(*args: Any) -> bool:
        return "X-Condition" in request.headers

    @app.before_request
    def before() -> None:
        request.args.get("before")

    @app.after_request
    def after(response: Response) -> Response:
        request.args.get("after")
        return response

    @cache.cached(
        make_cache_key=lambda: request.args["key"],
        unless=lambda: read(),
        response_filter=lambda response: not read(),
        is_stale=lambda value: read(),
    )
    def index() -> str:
        return request.args["page"]

    app.add_url_rule("/", "index", above(index))
    app.test_client().get("/?page=2&key=a")
    app.test_client().get("/?page=2&key=a")
    assert inputs(recorder, f"{index.__module__}.{index.__qualname__}") == {"query:page"}
    assert tenants


@pytest.mark.parametrize("outcome", ["miss", "hit"])
def test_what_an_inner_one_reads_counts_for_the_outer_one(
    app: Flask, cache: Cache, recorder: Recorder, outcome: str
) -> None:
    """A memoized function, a fragment and a cached helper inside of a view; also when they hit."""

    @cache.memoize()
    def memoized() -> str:
        return request.args.get("memo", "")

    @cache.cached(key_prefix="helper")
    def helper() -> str:
        return request.headers.get("X-Helper", "") + memoized()

    text = "{% cache 60, 'part' %}{{ request.cookies.get('theme') }}{% endcache %}"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("own", "") + helper() + render_template_string(text)

    @app.route("/other")
    @cache.cached()
    def other() -> str:
        return helper() + render_template_string(text)

    client = app.test_client()
    client.get("/")
    name = "index"
    if outcome == "hit":
        client.get("/other")
        name = "other"
    inner = {"query:memo", "header:X-Helper", "cookie:theme"}
    assert inputs(recorder, name) - {"query:own"} == inner
    qualified = f"{__name__}.{test_what_an_inner_one_reads_counts_for_the_outer_one.__name__}"
    assert inputs(recorder, f"{qualified}.<locals>.memoized", "memoize") == {"query:memo"}
    helpers = inputs(recorder, f"{qualified}.<locals>.helper")
    assert helpers == {"query:memo", "header:X-Helper"}
    assert inputs(recorder, "part", "template") == {"cookie:theme"}


def test_an_outer_ones_reads_are_not_the_inner_ones(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """Neither before nor after it."""

    @cache.memoize()
    def inner() -> str:
        return request.args.get("inner", "")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("a", "") + inner() + request.args.get("b", "")

    app.test_client().get("/")
    assert inputs(recorder, f"{inner.__module__}.{inner.__qualname__}", "memoize") == {
        "query:inner"
    }
    assert inputs(recorder, "index") == {"query:a", "query:b", "query:inner"}


def test_the_key_of_an_inner_one_is_no_input(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """What its key is made of is read by the cache."""

    @cache.cached(key_prefix="part", query_string=True, vary=["Accept", lambda: request.cookies])
    def part() -> str:
        return "text"

    @cache.memoize(make_name=lambda name: name + request.args.get("lang", ""))
    def memoized() -> str:
        return "text"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return part() + memoized()

    app.test_client().get("/?lang=sv")
    assert inputs(recorder, "index") == set()


def test_what_the_outer_one_has_set_is_an_input_of_the_inner_one_only(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """It was there before the inner load, and was not before the outer one; also on a hit."""

    @cache.memoize()
    def inner() -> str:
        return f"{g.user} {session['cart']}"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        g.user, session["cart"] = "ann", 1
        return inner() + inner()

    app.test_client().get("/")
    name = f"{inner.__module__}.{inner.__qualname__}"
    assert inputs(recorder, name, "memoize") == {"g:user", "session:cart"}
    assert inputs(recorder, "index") == set()


def test_a_fragment_that_is_not_cached_is_part_of_its_view(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """One that is deleted and rendered."""
    text = "{% cache 'del', 'part' %}{{ request.args.page }}{% endcache %}"

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return render_template_string(text)

    app.test_client().get("/")
    assert inputs(recorder, "index") == {"query:page"}


@pytest.mark.parametrize("kind", ["generator", "response", "with context", "memoized"])
def test_a_generator_reads_when_it_is_gathered(
    app: Flask, cache: Cache, recorder: Recorder, kind: str
) -> None:
    """After the view has returned, and before the response is stored."""

    def body() -> Iterator[str]:
        yield request.args.get("page", "")
        yield request.headers.get("X-Last", "")

    @cache.memoize()
    def memoized() -> Iterator[str]:
        yield from body()

    @app.route("/")
    @cache.cached(response_filter=lambda value: "X-Filter" in request.headers or True)
    def index() -> Any:
        if kind == "memoized":
            return "".join(memoized())
        made = stream_with_context(body()) if kind == "with context" else body()
        return made if kind == "generator" else Response(made)

    response = app.test_client().get("/?page=2", headers={"X-Last": "z"})
    assert response.text == "2z"
    assert inputs(recorder, "index") == {"query:page", "header:X-Last"}
    if kind == "memoized":
        name = f"{memoized.__module__}.{memoized.__qualname__}"
        assert inputs(recorder, name, "memoize") == {"query:page", "header:X-Last"}


def test_what_is_streamed_past_the_limit_is_not_waited_for(make_app: Build) -> None:
    """What is read while the response is being sent does not count: nothing of it is stored."""
    app, cache = make_app(CACHE_STREAM_LIMIT=4)
    recorder = start_recording(state_of(app, cache), 1.0)

    @app.route("/")
    @cache.cached()
    def index() -> Any:
        def body() -> Iterator[str]:
            yield request.args.get("page", "")
            yield "long enough"
            yield request.args.get("late", "")

        return Response(stream_with_context(body()))

    assert app.test_client().get("/?page=2&late=x").text == "2long enoughx"
    assert inputs(recorder, "index") == {"query:page"}


def test_method_views(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Flask's look for the method to call is none of the view's; the class may look as well."""

    class Plain(MethodView):
        decorators = [cache.cached()]  # noqa: RUF012

        def get(self) -> str:
            return ""

    class Looking(MethodView):
        @cache.cached()
        def get(self) -> str:
            return request.method

    app.add_url_rule("/plain", view_func=Plain.as_view("plain"))
    app.add_url_rule("/looking", view_func=Looking.as_view("looking"))
    app.test_client().get("/plain")
    app.test_client().get("/looking")
    assert inputs(recorder, "plain") == set()
    assert inputs(recorder, "looking") == {"method"}


def test_a_load_that_fails_has_read_too(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """It counts; and ``abort()`` is an answer like any other."""

    @app.route("/<what>")
    @cache.cached()
    def index(what: str) -> str:
        if request.args.get("page") is None and what == "abort":
            abort(404)
        raise ZeroDivisionError(request.headers.get("X-A"))

    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/fail")
    app.test_client().get("/abort")
    assert dict(recorder.readings()["view", "index"].inputs) == {"header:X-A": 1, "query:page": 2}


def test_a_forced_load_counts(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Though it is no lookup."""

    @app.route("/")
    @cache.cached(forced_update=lambda: "X-Force" in request.headers)
    def index() -> str:
        return request.args.get("page", "")

    app.test_client().get("/", headers={"X-Force": "1"})
    app.test_client().get("/")
    app.test_client().get("/", headers={"X-Force": "1"})
    assert recorder.readings()["view", "index"].inputs == {"query:page": 2}


def test_outside_of_a_request_nothing_is_recorded(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """Nothing to read; nor does it count as a load."""

    @cache.memoize()
    def job() -> int:
        return 1

    with app.app_context():
        job()
    assert recorder.readings() == {}


def test_a_request_inside_of_a_view_is_another_one(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """What the inner request's view reads is no input of the outer one."""

    @app.route("/inner")
    @cache.cached()
    def inner() -> str:
        return request.args.get("inner", "")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        for _ in range(2):
            app.test_client().get("/inner?inner=1")
        return request.args.get("outer", "")

    app.test_client().get("/")
    assert inputs(recorder, "inner") == {"query:inner"}
    assert inputs(recorder, "index") == {"query:outer"}


def test_two_caches_of_one_application(make_app: Build) -> None:
    """Each has its own recorder; a value of one that is made of the other's depends on it."""
    app, outer = make_app()
    _, inner = make_app(app, CACHE_NAME="inner")
    recorder = start_recording(state_of(app, outer), 1.0)

    @app.route("/")
    @outer.cached()
    @inner.cached()
    def index() -> str:
        return request.args.get("page", "")

    app.test_client().get("/")
    assert inputs(recorder, "index") == {"query:page"}
    other = start_recording(state_of(app, inner), 1.0)
    assert other is not recorder
    for cache in (outer, inner):
        cache.clear()
    app.test_client().get("/")
    assert inputs(other, "index") == {"query:page"}
    assert recorder.readings()["view", "index"].inputs == {"query:page": 2}


# Threads, tasks, greenlets.


def test_requests_at_the_same_time_do_not_mix(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Each view waits inside until the other has read as well."""
    both = threading.Barrier(2, timeout=20)

    def read(name: str) -> str:
        both.wait()
        value = request.args.get(name, "")
        both.wait()
        return value + request.headers.get(f"X-{name}", "")

    app.add_url_rule("/a", "a", cache.cached()(lambda: read("a")))
    app.add_url_rule("/b", "b", cache.cached()(lambda: read("b")))
    threads = [threading.Thread(target=app.test_client().get, args=(f"/{name}",)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inputs(recorder, "a") == {"query:a", "header:X-A"}
    assert inputs(recorder, "b") == {"query:b", "header:X-B"}


@pytest.mark.parametrize("what", ["itself", "a load", "a hit"])
def test_a_thread_that_a_view_starts(
    app: Flask, cache: Cache, recorder: Recorder, what: str
) -> None:
    """It reads on the view's behalf, in the view's request; so does what it loads or finds."""

    @cache.memoize()
    def memoized() -> str:
        return request.args.get("page", "")

    @app.route("/")
    @cache.cached()
    def index() -> str:
        read: list[str] = []

        @copy_current_request_context
        def work() -> None:
            read.append(request.args.get("page", "") if what == "itself" else memoized())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return read[0]

    if what == "a hit":
        with app.test_request_context("/?page=2"):
            memoized()
    assert app.test_client().get("/?page=2").text == "2"
    assert inputs(recorder, "index") == {"query:page"}


def test_async_views(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """A coroutine, and what it awaits, and functions that it runs side by side."""
    pytest.importorskip("asgiref")

    @cache.memoize()
    async def one() -> str:
        await asyncio.sleep(0)
        value = request.args.get("one", "")
        await asyncio.sleep(0)
        return value + request.headers.get("X-One", "")

    @cache.memoize()
    async def two() -> str:
        await asyncio.sleep(0)
        value = request.args.get("two", "")
        await asyncio.sleep(0)
        return value + request.headers.get("X-Two", "")

    @app.route("/")
    @cache.cached()
    async def index() -> str:
        before = request.args.get("before", "")
        await asyncio.sleep(0)
        both = await asyncio.gather(one(), two())
        return before + "".join(both) + request.args.get("after", "")

    assert app.test_client().get("/").status_code == 200
    of_one, of_two = {"query:one", "header:X-One"}, {"query:two", "header:X-Two"}
    assert inputs(recorder, f"{one.__module__}.{one.__qualname__}", "memoize") == of_one
    assert inputs(recorder, f"{two.__module__}.{two.__qualname__}", "memoize") == of_two
    assert inputs(recorder, "index") == {"query:before", "query:after", *of_one, *of_two}


def test_a_task_beside_a_load_is_not_part_of_it(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """In one event loop, in one request: what is not inside of the function does not count."""
    pytest.importorskip("asgiref")

    @cache.memoize()
    async def loaded() -> str:
        for _ in range(4):
            await asyncio.sleep(0)
        return request.args.get("loaded", "")

    async def beside() -> None:
        for _ in range(2):
            await asyncio.sleep(0)
            request.args.get("beside")

    @app.route("/")
    async def index() -> str:
        await asyncio.gather(loaded(), beside())
        return ""

    assert app.test_client().get("/").status_code == 200
    name = f"{loaded.__module__}.{loaded.__qualname__}"
    assert inputs(recorder, name, "memoize") == {"query:loaded"}


def test_a_thread_beside_a_load_is_not_part_of_it(
    app: Flask, cache: Cache, recorder: Recorder
) -> None:
    """One that loads a value, while the view that has started it reads something else."""
    pytest.importorskip("asgiref")
    inside, go_on = threading.Event(), threading.Event()

    @cache.memoize()
    def loaded() -> str:
        inside.set()
        assert go_on.wait(20)
        return request.args.get("loaded", "")

    @app.route("/")
    async def index() -> str:
        thread = asyncio.ensure_future(asyncio.to_thread(loaded))
        while not inside.is_set():
            await asyncio.sleep(0)
        request.args.get("beside")
        go_on.set()
        return await thread

    assert app.test_client().get("/").status_code == 200
    name = f"{loaded.__module__}.{loaded.__qualname__}"
    assert inputs(recorder, name, "memoize") == {"query:loaded"}


def test_greenlets_do_not_mix(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Requests that take turns in one thread."""
    gevent = pytest.importorskip("gevent")

    def read(name: str) -> str:
        gevent.sleep(0)
        value = request.args.get(name, "")
        gevent.sleep(0)
        return value + request.headers.get(f"X-{name}", "")

    app.add_url_rule("/a", "a", cache.cached()(lambda: read("a")))
    app.add_url_rule("/b", "b", cache.cached()(lambda: read("b")))
    gevent.joinall([gevent.spawn(app.test_client().get, f"/{name}") for name in "ab"])
    assert inputs(recorder, "a") == {"query:a", "header:X-A"}
    assert inputs(recorder, "b") == {"query:b", "header:X-B"}


def test_one_of_several_who_wait(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """A view that is served what another request's load made depends on what that load read."""
    inside, go_on = threading.Event(), threading.Event()

    @cache.memoize()
    def slow() -> str:
        inside.set()
        assert go_on.wait(20)
        return request.args.get("slow", "")

    app.add_url_rule("/a", "a", cache.cached()(lambda: slow()))
    app.add_url_rule("/b", "b", cache.cached()(lambda: slow()))
    first = threading.Thread(target=app.test_client().get, args=("/a",))
    first.start()
    assert inside.wait(20)
    waiting = threading.Event()

    class Waiting(NullObserver):
        def wait_started(self, wait: Any) -> None:
            waiting.set()

    follow(state_of(app, cache), Waiting())
    second = threading.Thread(target=app.test_client().get, args=("/b",))
    second.start()
    assert waiting.wait(20)
    go_on.set()
    first.join()
    second.join()
    assert inputs(recorder, "a") == {"query:slow"}
    assert inputs(recorder, "b") == {"query:slow"}


# How much is recorded.


@pytest.fixture
def visit(app: Flask, cache: Cache) -> Callable[[int], None]:
    """Loads a view so many times."""

    @app.route("/")
    @cache.cached(forced_update=lambda: True)
    def index() -> str:
        return request.args.get("page", "")

    def call(times: int) -> None:
        client = app.test_client()
        for _ in range(times):
            client.get("/")

    return call


@pytest.mark.parametrize(
    ("share", "later", "recorded"),
    [(0.0, 100, 0), (1.0, 100, 100), (0.1, 100, 10), (0.5, 3, 1), (0.01, 99, 0), (0.29, 100, 29)],
)
def test_sampling(
    app: Flask,
    cache: Cache,
    visit: Callable[[int], None],
    share: float,
    later: int,
    recorded: int,
) -> None:
    """The first loads of a target are all recorded, and exactly the share of those after."""
    recorder = start_recording(state_of(app, cache), share)
    visit(FIRST_LOADS)
    assert recorder.readings()["view", "index"].loads == FIRST_LOADS
    visit(later)
    reading = recorder.readings()["view", "index"]
    assert reading.loads == FIRST_LOADS + recorded
    assert reading.inputs == {"query:page": FIRST_LOADS + recorded}
    assert reading.unrecorded == later - recorded


def test_an_inner_one_that_is_not_recorded_counts_for_the_outer_one(
    app: Flask, cache: Cache, visit: Callable[[int], None]
) -> None:
    """Each target is sampled by itself."""
    recorder = start_recording(state_of(app, cache), 0.0)

    @cache.memoize(forced_update=lambda: True)
    def inner() -> str:
        return request.args.get("inner", "")

    @app.route("/outer")
    @cache.cached()
    def outer() -> str:
        return inner()

    with app.test_request_context("/"):
        for _ in range(FIRST_LOADS + 1):
            inner()
    app.test_client().get("/outer")
    name = f"{inner.__module__}.{inner.__qualname__}"
    assert recorder.readings()["memoize", name].unrecorded == 2
    assert recorder.readings()["view", "outer"].inputs == {"query:inner": 1}


def test_a_share_that_is_none(app: Flask, cache: Cache) -> None:
    """Neither more than all nor less than nothing."""
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            start_recording(state_of(app, cache), share)


def test_starting_again_is_the_same_recorder(
    app: Flask, cache: Cache, recorder: Recorder, visit: Callable[[int], None]
) -> None:
    """Only the share is another one; stopping twice is stopping."""
    state = state_of(app, cache)
    assert start_recording(state, 0.0) is recorder is recorder_of(state)
    visit(FIRST_LOADS + 1)
    assert recorder.readings()["view", "index"].loads == FIRST_LOADS
    recorder.forget()
    assert recorder.readings() == {}
    visit(1)
    assert recorder.readings()["view", "index"].loads == 1
    stop_recording(state)
    stop_recording(state)
    visit(1)
    assert recorder.readings()["view", "index"].loads == 1
    assert recorder_of(state) is None
    assert start_recording(state, 1.0) is not recorder


def test_stopping_in_the_middle_of_a_load(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """The request is itself again at once, and the load is not counted."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        assert type(request.args) is not ImmutableMultiDict
        stop_recording(state_of(app, cache))
        assert type(request.args) is ImmutableMultiDict
        assert not notebooks
        return request.args.get("page", "")

    assert app.test_client().get("/").status_code == 200
    assert recorder.readings()["view", "index"].loads == 0


def test_starting_in_the_middle_of_a_lookup(app: Flask, cache: Cache) -> None:
    """That load's end is never told; the next one in the thread clears up after it."""

    def start() -> str:
        start_recording(state_of(app, cache), 1.0)
        return "key"

    @app.route("/")
    @cache.cached(make_cache_key=start, is_stale=lambda value: start())
    def index() -> str:
        return request.args.get("page", "")

    @app.route("/stale")
    @cache.cached(is_stale=lambda value: start())
    def stale() -> str:
        return request.args.get("page", "")

    client = app.test_client()
    client.get("/stale")
    client.get("/stale")
    client.get("/?page=2")
    assert inputs(start_recording(state_of(app, cache), 1.0), "index") == {"query:page"}


def test_a_target_too_many(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Those that are there already go on being recorded; the rest is counted."""

    def fragment(number: int) -> str:
        text = f"{{% cache 60, 'part-{number}' %}}{{{{ request.args.page }}}}{{% endcache %}}"
        return render_template_string(text)

    with app.test_request_context("/"):
        for number in range(TARGETS + 3):
            fragment(number)
    readings = recorder.readings()
    assert len(readings) == TARGETS
    assert recorder.dropped == 3
    assert readings["template", "part-0"].inputs == {"query:page": 1}


def test_an_input_too_many(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Its group counts in its place, and visitors cannot fill the memory with names."""

    @app.route("/")
    @cache.cached(query_string=True)
    def index() -> str:
        return "".join(request.args[name] for name in sorted(request.args.keys() - {"all"}))

    query = "&".join(f"n{number}=1" for number in range(INPUTS + 10))
    app.test_client().get(f"/?{query}")
    app.test_client().get("/?n0=2&m=1")
    reading = recorder.readings()["view", "index"]
    assert sum(name.startswith("query:") for name in reading.inputs) == INPUTS
    assert reading.inputs["query:n0"] == 2
    assert reading.inputs["query"] == 2
    assert reading.dropped == 11


def test_a_reading_is_a_snapshot(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """It does not change, neither by itself nor by whoever has it."""

    @app.route("/")
    @cache.cached(forced_update=lambda: True)
    def index() -> str:
        return request.args.get("page", "")

    app.test_client().get("/")
    reading = recorder.readings()["view", "index"]
    app.test_client().get("/")
    assert reading == Reading({"query:page": 1}, loads=1)
    with pytest.raises(TypeError):
        reading.inputs["query:other"] = 1  # type: ignore[index]
    with pytest.raises(AttributeError):
        reading.loads = 2  # type: ignore[misc]


def test_what_responses_vary_on(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """As the view says, not what others add to every response."""

    @app.after_request
    def after(response: Response) -> Response:
        response.vary.add("Origin")
        return response

    @app.route("/<how>")
    @cache.cached()
    def index(how: str) -> Any:
        if how == "tuple":
            return "", {"Vary": "Accept, ACCEPT-Language"}
        response = Response("")
        response.vary.add("Cookie")
        return response

    app.test_client().get("/tuple")
    app.test_client().get("/response")
    varied = recorder.readings()["view", "index"].varied
    assert varied == {"accept", "accept-language", "cookie"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_goes_on_recording(
    app: Flask, cache: Cache, recorder: Recorder, visit: Callable[[int], None]
) -> None:
    """Though a thread of the parent was in the middle of a load, and held every lock."""
    visit(1)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with recorder._lock:
            held.set()
            go_on.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        visit(1)
        os._exit(recorder.readings()["view", "index"].loads)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_a_mistake_in_recording_is_not_the_views(
    app: Flask, cache: Cache, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, the view answers, and its request is as it was."""
    from flask_caching.observer import faults
    from flask_caching_instrumentation.recording import watching

    def broken(request: Any) -> Any:
        raise LookupError("broken")

    monkeypatch.setattr(watching, "custom_attributes", broken)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        assert type(request.args) is ImmutableMultiDict
        return request.args.get("page", "")

    assert app.test_client().get("/?page=2").text == "2"
    assert faults == {"Recorder.load_started: LookupError": 1}
    faults.clear()


def test_a_request_that_cannot_be_watched(app: Flask, cache: Cache, recorder: Recorder) -> None:
    """Its class has a layout of its own; nothing is recorded, and nothing breaks."""

    class Own(app.request_class):  # type: ignore[misc,name-defined]
        def __init_subclass__(cls, **options: Any) -> None:
            raise TypeError("no subclasses of this one")

    app.request_class = Own

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return request.args.get("page", "")

    assert app.test_client().get("/?page=2").text == "2"
    assert recorder.readings()["view", "index"].loads == 0


# What the core itself notes, by which it tells requests apart.


def test_reading_a_cookie_is_not_reading_the_host(app: Flask, cache: Cache) -> None:
    """Werkzeug looks at all headers to find the one; the page is right for every host."""

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return f"{request.cookies.get('theme')} {request.headers.getlist('X-A')}"

    app.test_client().get("/")
    assert cache.cache.entry_level.get_entry("view//").reads == frozenset()


@pytest.mark.parametrize(
    ("read", "reads"),
    [
        (lambda: request.args.get("page"), {"query"}),
        (lambda: request.headers["Host"], {"host"}),
        (lambda: request.headers.getlist("host"), {"host"}),
        (lambda: list(request.headers), {"host"}),
        (lambda: request.url_root, {"host", "scheme", "root"}),
        (lambda: request.values.get("page"), {"query"}),
        (lambda: g.get("user"), set()),
    ],
)
@pytest.mark.parametrize("recording", [False, True])
def test_the_core_notes_the_same_whoever_records(
    app: Flask, cache: Cache, read: Callable[[], Any], reads: set[str], recording: bool
) -> None:
    """What tells requests apart is noted as ever, also through the classes of the recorder."""
    if recording:
        start_recording(state_of(app, cache), 1.0)

    @app.route("/")
    @cache.cached()
    def index() -> str:
        return str(read())

    app.test_client().get("/")
    assert cache.cache.entry_level.get_entry("view//").reads == reads


def test_two_watches_of_one_request_that_end_in_any_order(app: Flask) -> None:
    """Tasks of one request may: it is itself again when the last one has ended."""
    with app.test_request_context("/?page=2"):
        found = current(request)
        kind, headers = type(found), type(found.headers)
        first, second = watching(found), watching(found)
        seen_first, seen_second = first.__enter__(), second.__enter__()
        request.args.get("page")
        first.__exit__(None, None, None)
        assert type(found) is not kind
        request.headers.get("Host")
        second.__exit__(None, None, None)
        assert (type(found), type(found.headers)) == (kind, headers)
        assert seen_first == {"query"}
        assert seen_second == {"query", "host"}
