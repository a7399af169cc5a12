"""How the audit goes about it: what it needs, touches and leaves out, and how much it asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, current_app, g, has_app_context, request

import flask_caching_instrumentation
from flask_caching import Cache
from flask_caching.errors import CacheError
from flask_caching_instrumentation.auditing import RULES, AuditReport, audit

MakeApp = Callable[..., tuple[Flask, Cache]]


@pytest.fixture
def shop(make_app: MakeApp) -> tuple[Flask, Cache]:
    """Two views with one mistake each, and one without."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)

    def view(number: int) -> str:
        return f"{number}"

    for endpoint, decorator in (
        ("constant", cache.cached(key_prefix="constant")),
        ("cut", cache.cached(make_cache_key=lambda number: f"cut:{str(number)[:1]}")),
        ("right", cache.cached()),
    ):
        app.add_url_rule(f"/{endpoint}/<int:number>", endpoint, decorator(view))
    return app, cache


def rules(report: AuditReport) -> list[tuple[str, str]]:
    return [(each.rule, each.target) for each in report.errors]


BOTH = [("constant-key", "constant"), ("truncated", "cut")]


def test_it_is_a_name_of_the_package() -> None:
    """``from flask_caching_instrumentation import audit``."""
    assert flask_caching_instrumentation.audit is audit


# Contexts.


def test_it_needs_no_context(shop: tuple[Flask, Cache]) -> None:
    """Where the cache has one application; and it leaves none behind."""
    _, cache = shop
    assert rules(audit(cache)) == BOTH
    assert not has_app_context()


def test_inside_a_request_it_is_apart_from_that(shop: tuple[Flask, Cache]) -> None:
    """Neither does the request count for the keys, nor do made-up ones change it."""
    app, cache = shop
    seen: list[object] = []

    def make(number: int) -> str:
        seen.append((request.headers.get("X-Own"), g.get("own")))
        return f"{number}"

    app.add_url_rule(
        "/own/<int:number>", "own", cache.cached(make_cache_key=make)(lambda number: "")
    )
    with app.test_request_context("/right/7", headers={"X-Own": "yes"}):
        g.own = "yes"
        assert rules(audit(cache)) == BOTH
        assert (request.path, g.own) == ("/right/7", "yes")
    assert seen
    assert set(seen) == {(None, None)}


def test_of_several_applications_one_must_be_meant(make_app: MakeApp) -> None:
    """The current one, or the one that is named."""
    first, cache = make_app(CACHE_INSTRUMENTATION=None)
    second = Flask("second")
    cache.init_app(second, {"CACHE_TYPE": "SimpleCache"})
    view = cache.cached(key_prefix="page")(lambda number: "x")
    second.add_url_rule("/<int:number>", "page", view)
    with pytest.raises(CacheError, match="2 applications"):
        audit(cache)
    assert audit(cache, app=first).routes == 0
    assert rules(audit(cache, app=second)) == [("constant-key", "page")]
    with second.app_context():
        assert rules(audit(cache)) == [("constant-key", "page")]
    with pytest.raises(CacheError, match="not set up for the application 'third'"):
        audit(cache, app=Flask("third"))


def test_another_thread_may_audit_at_the_same_time(shop: tuple[Flask, Cache]) -> None:
    """Both find the same, while a third one answers requests."""
    app, cache = shop
    found: list[list[tuple[str, str]]] = []
    threads = [threading.Thread(target=lambda: found.append(rules(audit(cache)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    client = app.test_client()
    while any(thread.is_alive() for thread in threads):
        assert client.get("/right/3").text == "3"
    assert found == [BOTH, BOTH]


# What it touches.


class Untouched:
    """A store that nobody is to ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the store was asked: {name}")


@pytest.mark.parametrize("execute", [False, True])
def test_the_store_is_left_alone(shop: tuple[Flask, Cache], execute: bool) -> None:
    """Nothing is read, nothing written, also when views are run."""
    app, cache = shop
    state = app.extensions["flask_caching"][cache]
    state.entries = state.store = state.backend = Untouched()
    assert rules(audit(cache, execute=execute)) == BOTH


def test_no_view_runs_unless_that_is_asked_for(shop: tuple[Flask, Cache]) -> None:
    """Nor any function around requests; then all do, by GET and HEAD."""
    app, cache = shop
    ran: list[str] = []
    app.before_request(lambda: ran.append("before"))
    app.teardown_request(lambda error: ran.append("teardown"))
    app.add_url_rule("/view", "view", cache.cached()(lambda: ran.append("view") or "x"))
    app.add_url_rule("/uncached", "uncached", lambda: ran.append(request.method) or "x")
    assert not audit(cache).executed
    assert ran == []
    assert audit(cache, execute=True).executed
    assert {"before", "view", "GET", "HEAD", "teardown"} <= set(ran)


def test_views_that_fail_are_told_of(shop: tuple[Flask, Cache]) -> None:
    """What they would have read is not known."""
    app, cache = shop

    @app.route("/fails")
    @cache.cached()
    def fails() -> str:
        raise KeyError("no")

    app.testing = True
    (note,) = [note for note in audit(cache, execute=True).notes if "failed" in note]
    assert "2 of " in note
    assert "GET /fails (KeyError)" in note


def test_pages_that_made_up_requests_do_not_get_are_told_of(shop: tuple[Flask, Cache]) -> None:
    """A product that does not exist, a visitor who may not: what else is read is not known."""
    app, cache = shop

    @app.route("/product/<int:number>")
    @cache.cached()
    def product(number: int) -> str:
        abort(404)

    (note,) = audit(cache, execute=True).notes
    assert "product (404)" in note


def test_what_is_not_known_is_said(shop: tuple[Flask, Cache]) -> None:
    """Without recording and without running there is no telling what views read."""
    _, cache = shop
    (note,) = audit(cache).notes
    assert "--execute" in note
    assert audit(cache, execute=True).notes == ()


# What it leaves out.


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["truncated"], [("constant-key", "constant")]),
        (["truncated:cut"], [("constant-key", "constant")]),
        (["truncated:constant"], BOTH),
        (["*:cut", "*:right"], [("constant-key", "constant")]),
        (["*-key:con*"], [("truncated", "cut")]),
        (["*"], []),
    ],
)
def test_what_is_ignored_is_counted(
    shop: tuple[Flask, Cache], patterns: list[str], left: list[tuple[str, str]]
) -> None:
    """By a rule, a rule at an endpoint, or a pattern of either."""
    _, cache = shop
    everything = len(audit(cache).findings)
    report = audit(cache, ignore=patterns)
    assert rules(report) == left
    assert len(report.findings) + sum(report.ignored.values()) == everything
    assert set(report.ignored) <= set(patterns)


def test_what_can_match_nothing_is_refused(shop: tuple[Flask, Cache]) -> None:
    """A mistake in writing would ignore nothing, and nobody would know why."""
    _, cache = shop
    with pytest.raises(ValueError, match=r"'truncatd:cut', which names no rule.*truncated"):
        audit(cache, ignore=["truncatd:cut"])
    with pytest.raises(TypeError, match="pass a list of patterns"):
        audit(cache, ignore="truncated")
    assert len(RULES) > 20


# How much it does.


@pytest.mark.parametrize("execute", [False, True])
def test_it_says_how_far_it_is(shop: tuple[Flask, Cache], execute: bool) -> None:
    """From nothing to everything, in order, with one total."""
    _, cache = shop
    steps: list[tuple[int, int]] = []
    audit(cache, execute=execute, progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    (total,) = {total for _, total in steps}
    assert steps[-1] == (total, total)
    assert len(steps) >= 4


def test_it_asks_no_more_than_it_has_to(make_app: MakeApp) -> None:
    """Some fifty requests for a key that the decorator makes, a few hundred for any other."""
    app, cache = make_app(CACHE_INSTRUMENTATION=None)
    for number in range(20):
        view = cache.cached(query_string=True)(lambda **arguments: "x")
        app.add_url_rule(f"/{number}/<int:a>/<b>", f"view{number}", view)
    plain = audit(cache)
    assert plain.routes == 20
    assert plain.requests <= 20 * 55
    made = cache.cached(make_cache_key=lambda a, b: repr((a, b)))(lambda a, b: "x")
    app.add_url_rule("/made/<a>/<b>", "made", made)
    report = audit(cache)
    assert 200 < report.requests - plain.requests < 600
    assert report.errors == ()
    assert report.seconds > 0


def test_teardown_functions_run_once(shop: tuple[Flask, Cache]) -> None:
    """As after a command, and not after each of the requests that nobody sent."""
    app, cache = shop
    ended: list[object] = []

    @app.teardown_appcontext
    def end(error: BaseException | None) -> None:
        ended.append(current_app.name)

    audit(cache)
    assert ended == ["shop"]
