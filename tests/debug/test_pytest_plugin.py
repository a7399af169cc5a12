"""The pytest plugin: ``cache_spy``, ``assert_distinct_keys`` and ``assert_same_key``."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cli_runs import ROOT
from flask import Flask, render_template_string

from flask_caching import Cache
from flask_caching.observer import Bypass, Lookup, NullObserver, faults
from flask_caching.overhearing import overhear
from flask_caching_instrumentation.inspection.model import RequestSpec

pytest_plugins = ["pytester"]

#: Where the package is installed its entry point loads the plugin; here it is loaded either way.
PLUGIN = ("-p", "no:flask_caching", "-p", "flask_caching_instrumentation.pytest_plugin")

Made = tuple[Flask, Cache]


@pytest.fixture
def own(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs a test module of somebody's who uses the plugin, in a process of its own."""

    def run_module(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makeini(
            f"[pytest]\npythonpath = {ROOT} {ROOT / 'instrumentation'}\n"
            "filterwarnings = ignore::DeprecationWarning\n"
        )
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *PLUGIN, *arguments)

    return run_module


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Any:
    """The fixtures, in this test, wherever the package is installed or not."""
    from flask_caching_instrumentation.pytest_plugin.asserting import KeyAssertions

    return KeyAssertions(request)


@pytest.fixture
def spy() -> Any:
    """What ``cache_spy`` is, listening while a test of it runs."""
    from flask_caching_instrumentation.pytest_plugin.spy import CacheSpy

    spy = CacheSpy()
    with overhear(spy.observer):
        yield spy


def test_the_plugin_imports_nothing_but_pytest() -> None:
    """A test run that uses no fixture of ours does not wait for us."""
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import flask_caching_instrumentation.pytest_plugin\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'instrumentation'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.split() == ["flask_caching_instrumentation"]


def test_a_run_that_uses_no_fixture_imports_no_flask(own: Any) -> None:
    """Not even when tests are collected and run."""
    result = own(
        """
        import sys

        def test_nothing():
            heavy = {"flask", "flask_caching", "prometheus_client", "opentelemetry"}
            assert not heavy & set(sys.modules)
        """
    )
    result.assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_help(own: Any) -> None:
    """``pytest --fixtures`` says what each is for."""
    result = own("def test_nothing(): pass", "--fixtures")
    result.stdout.fnmatch_lines(
        [
            "cache_spy -- *",
            "    What the caches of this process do while the test runs*",
            "assert_distinct_keys -- *",
            "    Fails if requests share a key*",
            "assert_same_key -- *",
        ]
    )


SHOP = """
import pytest
from flask import Flask
from flask_caching import Cache

cache = Cache(config={"CACHE_TYPE": "SimpleCache"})

@pytest.fixture
def app():
    app = Flask("shop")
    cache.init_app(app)

    @app.route("/p/<int:id>")
    @cache.cached(timeout=60)
    def product(id):
        return f"product {id}"

    @app.route("/bad/<int:id>")
    @cache.cached(timeout=60, key_prefix="bad")
    def bad(id):
        return f"bad {id}"

    return app
"""


def test_somebodys_tests(own: Any) -> None:
    """All three fixtures, used as the manual shows it, with the conventional ``app`` fixture."""
    result = own(
        SHOP
        + """
def test_the_second_visitor_is_served_from_the_cache(app, cache_spy):
    client = app.test_client()
    client.get("/p/1")
    client.get("/p/1")
    assert (cache_spy.hits, cache_spy.misses, cache_spy.stored) == (1, 1, 1)
    assert cache_spy.keys == ["view//p/1"]

def test_each_test_begins_at_zero(cache_spy):
    assert cache_spy.hits == 0
    assert cache_spy.lookups == []

def test_products_are_apart(assert_distinct_keys):
    assert_distinct_keys("/p/1", "/p/2")

def test_campaigns_share_a_page(assert_same_key):
    assert_same_key("/p/1", "/p/1?utm_source=x", ("/p/1", {"method": "HEAD"}))

def test_bad(assert_distinct_keys):
    assert_distinct_keys("/bad/1", "/bad/2")
"""
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: 2 requests share one key, so that one gets the other's page:",
            "E*GET /bad/1  ->  bad(id=1)",
            "E*GET /bad/2  ->  bad(id=2)",
            "E*The key 'bad' is made of",
            "E*key_prefix  'bad'  (key_prefix)",
            "E*and does not depend on",
            "E*path  ('/bad/1' and '/bad/2')",
            "E*key_prefix='bad/%s'  # %s stands for the path",
        ]
    )
    # The traceback ends in the test, not in the plugin.
    result.stdout.no_fnmatch_line("*asserting.py*")


def test_the_tests_in_the_manual_pass(own: Any) -> None:
    """A reader who copies the page on testing into a module has tests that pass."""
    page = (ROOT / "docs" / "testing.md").read_text()
    result = own("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)))
    result.assert_outcomes(passed=5)


def test_the_failure_in_the_manual_is_what_is_said(shop: Made, here: Any) -> None:
    """What the page on testing shows is printed for such a mistake."""
    app, cache = shop

    @app.route("/bad/<int:id>")
    @cache.cached(timeout=60, key_prefix="bad")
    def bad(id: int) -> str:
        return f"bad {id}"

    page = (ROOT / "docs" / "testing.md").read_text()
    assert failure(here.distinct, "/bad/1", "/bad/2", app=app) in page


def test_it_works_under_xdist(own: Any) -> None:
    """Each worker's spy hears its own tests only."""
    result = own(
        SHOP
        + """
@pytest.mark.parametrize("number", range(6))
def test_one(app, cache_spy, number):
    app.test_client().get(f"/p/{number}")
    assert cache_spy.keys == [f"view//p/{number}"]
""",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=6)


# The spy.


def test_the_spy_hears_every_kind_of_lookup(make_app: Callable[..., Made], spy: Any) -> None:
    """Views, functions, fragments and the application's own calls, in their order."""
    app, cache = make_app()

    @app.route("/p/<int:id>")
    @cache.cached(timeout=60)
    def product(id: int) -> str:
        return render_template_string("{% cache 60, 'menu' %}menu{% endcache %}") + str(double(id))

    @cache.memoize(timeout=60)
    def double(number: int) -> int:
        return 2 * number

    client = app.test_client()
    client.get("/p/1")
    client.get("/p/1")
    with app.app_context():
        cache.set("own", 1)
        assert cache.get("own") == 1
        assert cache.get_many("own", "other", "third") == [1, None, None]
    seen = [(each.source, each.outcome) for each in spy.lookups]
    assert seen == [
        ("template", "miss"),
        ("memoize", "miss"),
        ("view", "miss"),
        ("view", "hit"),
        ("direct", "hit"),
        ("direct", "miss"),
    ]
    assert [each.target for each in spy.lookups[2:4]] == ["product", "product"]
    assert (spy.hits, spy.misses, spy.stored) == (3, 5, 3)
    assert spy.keys[2:] == ["view//p/1", "own", "other", "third"]
    assert len(spy.keys) == 6
    many = spy.lookups[-1]
    assert (many.keys, many.found, many.key) == (("own", "other", "third"), 1, "own")


@pytest.mark.parametrize("instrumentation", [None, "flask_caching_instrumentation.Instrumentation"])
def test_whatever_watches_the_cache(make_app: Any, spy: Any, instrumentation: str | None) -> None:
    """Also a cache that nobody watches is heard, and the one that is goes on counting."""
    app, cache = make_app(CACHE_INSTRUMENTATION=instrumentation)
    with app.app_context():
        cache.get("nothing")
        assert cache.stats().get("lookups", {}).get("miss", 1) == 1
    assert spy.misses == 1


def test_caches_that_were_there_before_and_come_later(make_app: Any, spy: Any) -> None:
    """It does not matter when a cache, or an application, was made."""
    from flask_caching_instrumentation.pytest_plugin.spy import CacheSpy

    app, cache = make_app()
    second = CacheSpy()
    with overhear(second.observer):
        with app.app_context():
            cache.get("before")
        other, later = make_app()
        with other.app_context():
            later.get("later")
    with app.app_context():
        cache.get("after")
    assert second.keys == ["before", "later"]
    assert spy.keys == ["before", "later", "after"]


def test_what_ran_without_the_cache(make_app: Any, spy: Any) -> None:
    """Bypasses have their reason; a forced update its key, and what became of its value."""
    app, cache = make_app()

    @app.route("/p", methods=["GET", "POST"])
    @cache.cached(timeout=60, forced_update=lambda: True)
    def page() -> str:
        return "page"

    @cache.memoize(unless=lambda: True)
    def double(number: int) -> int:
        return 2 * number

    client = app.test_client()
    client.post("/p")
    client.get("/p")
    with app.app_context():
        double(1)
    assert [(each.source, each.reason) for each in spy.bypasses] == [
        ("view", "method"),
        ("view", "forced_update"),
        ("memoize", "unless"),
    ]
    forced = spy.bypasses[1]
    assert (forced.target, forced.key, forced.stored) == ("page", "view//p", "stored")
    assert (spy.keys, spy.stored, spy.lookups) == (["view//p"], 1, [])


def test_why_something_was_not_stored(make_app: Any, spy: Any) -> None:
    """A response that sets a cookie is refused, with the word for it."""
    app, cache = make_app()

    @app.route("/login")
    @cache.cached(timeout=60)
    def login() -> Any:
        response = app.make_response("welcome")
        response.set_cookie("user", "7")
        return response

    app.test_client().get("/login")
    (lookup,) = spy.lookups
    assert (lookup.outcome, lookup.stored, lookup.reason) == ("miss", "refused", "set_cookie")
    assert spy.stored == 0


def test_collisions_are_heard(make_app: Any, spy: Any) -> None:
    """An entry that was made for another request: what differs, and what was done."""
    app, cache = make_app()

    @app.route("/bad/<int:id>")
    @cache.cached(timeout=60, key_prefix="bad")
    def bad(id: int) -> str:
        return f"bad {id}"

    client = app.test_client()
    client.get("/bad/1")
    client.get("/bad/2")
    (collision,) = spy.collisions
    assert (collision.key, collision.kind, collision.action) == ("bad", "arguments", "reported")
    assert spy.lookups[1].collision == collision


def test_resetting(make_app: Any, spy: Any) -> None:
    """A test may begin to count where its arrangements end."""
    app, cache = make_app()
    with app.app_context():
        cache.get("first")
        spy.reset()
        cache.get("second")
    assert (spy.keys, spy.misses) == (["second"], 1)


def test_a_failing_assertion_shows_what_happened(make_app: Any, spy: Any) -> None:
    """The spy's representation is its lookups, the last ones if there are many."""
    assert repr(spy) == "<cache_spy: no lookups>"
    app, cache = make_app()
    with app.app_context():
        for number in range(10):
            cache.get(f"key {number}\x1b")
    assert repr(spy).startswith("<cache_spy 2 earlier; direct direct miss 'key 2\\x1b'; ")
    assert repr(spy).endswith("direct direct miss 'key 9\\x1b'>")


def test_threads_and_coroutines(make_app: Any, spy: Any) -> None:
    """No lookup is lost, whoever makes it."""
    app, cache = make_app()

    @cache.memoize(timeout=60)
    async def double(number: int) -> int:
        return 2 * number

    def look(thread: int) -> None:
        with app.app_context():
            for number in range(200):
                cache.get(f"{thread}/{number}")

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (spy.misses, len(spy.keys)) == (800, 800)
    spy.reset()
    with app.app_context():
        assert asyncio.run(double(2)) == 4
    assert [each.source for each in spy.lookups] == ["memoize"]


def test_nothing_is_changed_while_nobody_listens() -> None:
    """The brackets' methods are put back, also if two listen and the first ends first."""
    before = Lookup.close, Bypass.__exit__
    first, second = overhear(NullObserver()), overhear(NullObserver())
    first.__enter__()
    second.__enter__()
    assert Lookup.close is not before[0]
    first.__exit__(None, None, None)
    assert Lookup.close is not before[0]
    second.__exit__(None, None, None)
    assert (Lookup.close, Bypass.__exit__) == before


def test_a_listener_that_fails_is_counted_and_harms_nobody(make_app: Any) -> None:
    """What it raises reaches neither the application nor the other listeners."""

    class Broken(NullObserver):
        def lookup_finished(self, lookup: Lookup) -> None:
            raise RuntimeError("no room")

        def bypass_finished(self, bypass: Bypass) -> None:
            raise RuntimeError("no room")

    app, cache = make_app()

    @cache.memoize(unless=lambda: True)
    def double(number: int) -> int:
        return 2 * number

    with overhear(Broken()), app.app_context():
        assert cache.get("key") is None
        assert double(2) == 4
    counted = dict(faults)
    faults.clear()
    assert counted == {
        "Broken.lookup_finished: RuntimeError": 1,
        "Broken.bypass_finished: RuntimeError": 1,
    }


# The assertions.


@pytest.fixture
def shop(make_app: Callable[..., Made]) -> Made:
    """Views whose keys forget something, each something else."""
    app, cache = make_app()

    def add(rule: str, name: str, **options: Any) -> None:
        methods = options.pop("routed", ["GET"])

        @app.route(rule, endpoint=name, methods=methods)
        @cache.cached(timeout=60, **options)
        def view(**arguments: Any) -> str:
            return name

    add("/p/<int:id>", "product")
    add("/q", "query", query_string=True)
    add("/custom/<a>/<b>", "custom", make_cache_key=lambda a, b: f"custom {a}")
    add("/broken", "broken", make_cache_key=lambda: 1 / 0)
    add("/body", "body", routed=["GET", "POST"])

    @app.route("/plain")
    def plain() -> str:
        return "plain"

    return app, cache


def failure(assertion: Callable[..., None], *urls: Any, **options: Any) -> str:
    """What a failing assertion says."""
    with pytest.raises(AssertionError) as caught:
        assertion(*urls, **options)
    return str(caught.value)


def test_distinct_keys(shop: Made, here: Any) -> None:
    """It passes where each request has its own, whatever they differ in."""
    app, _ = shop
    here.distinct("/p/1", "/p/2", "/q", "/q?a=1", RequestSpec("/q?a=2"), app=app)
    here.same("/p/1", "/p/1?a=1", app=app)
    here.same("/q?a=1&b=2", "/q?b=2&a=1", app=app)


@pytest.mark.parametrize(
    ("urls", "lines"),
    [
        (
            ["/p/1?page=1", "/p/1?page=2"],
            [
                "query:page  ('1' and '2')",
                'query_string=True, or query_string=["page"] for this parameter alone',
            ],
        ),
        (
            [("/q", {"headers": {"Accept-Language": "de"}}), "/q"],
            ["header:Accept-Language  ('de' and nothing)", 'vary=["Accept-Language"]'],
        ),
        (
            [("/q", {"cookies": {"theme": "dark"}}), ("/q", {"cookies": {"theme": "light"}})],
            ["cookie:theme  ('dark' and 'light')", 'vary=["cookie:theme"]'],
        ),
        (
            [("/q", {"host": "a.example"}), ("/q", {"host": "b.example"})],
            ["host  ('a.example' and 'b.example')", 'vary=["Host"]'],
        ),
        (
            ["/p/1", ("/p/1", {"method": "HEAD"})],
            ["method  ('GET' and 'HEAD')", "nothing, if one of them is HEAD"],
        ),
        (
            ["/custom/x/y", "/custom/x/z"],
            [
                "make_cache_key  'custom x'",
                "make_cache_key so that what it returns depends on b",
            ],
        ),
    ],
)
def test_a_shared_key_says_what_to_write(
    shop: Made, here: Any, urls: list[Any], lines: list[str]
) -> None:
    """The requests, the key and its parts, what is not in it, and how it would be."""
    app, _ = shop
    said = failure(here.distinct, *urls, app=app)
    assert "share one key" in said
    assert "The key '" in said
    for line in lines:
        assert line in said


def test_one_request_twice_is_a_mistake_of_the_test(shop: Made, here: Any) -> None:
    """It says so, rather than to blame the key."""
    app, _ = shop
    assert "They are one request" in failure(here.distinct, "/p/1", "/p/1", app=app)


def test_different_keys_say_in_what_they_differ(shop: Made, here: Any) -> None:
    """Each key with its requests; a parameter can be left out."""
    app, _ = shop
    said = failure(here.same, "/q?utm=a", "/q?utm=b", "/q?utm=a", app=app)
    assert said.startswith("The requests have 2 keys:\n\n  'view//q#")
    assert "query:utm  ('a' and 'b')" in said
    assert 'ignore_query=["utm"]' in said
    said = failure(here.same, "/p/1", "/p/2", app=app)
    assert "path  ('/p/1' and '/p/2')" in said
    assert "ignore_query" not in said


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/nothing", "404"),
        ("/plain", "not cached"),
        ("/broken", "ZeroDivisionError"),
        (("/p/1", {"method": "POST"}), "405"),
        (("/body", {"method": "post"}), "POST"),
    ],
)
def test_a_request_without_a_key_fails(shop: Made, here: Any, url: Any, why: str) -> None:
    """A page that is not there, or not cached, is not distinct: it says why there is no key."""
    app, _ = shop
    for assertion in (here.distinct, here.same):
        said = failure(assertion, "/p/1", url, app=app)
        assert said.startswith("A request has no key:")
        assert why in said


def test_method_and_headers_for_all(shop: Made, here: Any) -> None:
    """A request's own go first."""
    app, cache = shop

    @app.route("/lang")
    @cache.cached(vary=["Accept-Language", "X-Shop"])
    def language() -> str:
        return "language"

    here.same("/lang", ("/lang", {"method": "GET"}), method="HEAD", app=app)
    here.distinct(
        "/lang",
        ("/lang", {"headers": {"accept-language": "en"}}),
        headers={"Accept-Language": "de"},
        app=app,
    )
    here.same(
        ("/lang", {"headers": [("Accept-Language", "de")]}),
        "/lang",
        headers={"Accept-Language": "de", "X-Shop": "1"},
        app=app,
    )


def test_several_caches(make_app: Any, here: Any) -> None:
    """Each request is that of the cache that has a key for it; equal keys of two are distinct."""
    app, first = make_app(CACHE_NAME="first")
    _, second = make_app(app=app, CACHE_NAME="second")

    for cache, name in ((first, "one"), (second, "two")):

        @app.route(f"/{name}", endpoint=name)
        @cache.cached(key_prefix="same")
        def view() -> str:
            return "page"

    here.distinct("/one", "/two", app=app)
    assert "not cached" in failure(here.distinct, "/one", "/two", app=app, cache=first)


def test_which_application_is_meant(shop: Made, here: Any) -> None:
    """That of the argument, of the cache, or the current one."""
    app, cache = shop
    here.distinct("/p/1", "/p/2", cache=cache)
    with app.app_context():
        here.distinct("/p/1", "/p/2", cache=cache)


def test_no_application(own: Any) -> None:
    """Without an ``app`` fixture, or with one of another tool's, the error says what to do."""
    result = own(
        """
        import pytest

        @pytest.fixture
        def app():
            return "a documentation tool's"

        def test_other(assert_distinct_keys):
            assert_distinct_keys("/a", "/b")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*LookupError: it is not known which application is meant:*"])


def test_an_app_fixture_that_lacks_something_is_not_hidden(own: Any) -> None:
    """Its own error is shown, not that there is no application."""
    result = own(
        """
        import pytest

        @pytest.fixture
        def app(database):
            return database

        def test_it(assert_distinct_keys):
            assert_distinct_keys("/a", "/b")
        """
    )
    result.stdout.fnmatch_lines(["*fixture 'database' not found*"])


def test_an_application_without_a_cache(app: Flask, here: Any) -> None:
    """It is said what is missing; the ``app`` fixture of this test is found."""
    with pytest.raises(LookupError, match="'tests' has no cache"):
        here.distinct("/a", "/b")


def test_what_cannot_be_asked(shop: Made, here: Any) -> None:
    """One URL is nothing to compare; a slip in an option is not ignored."""
    app, _ = shop
    with pytest.raises(TypeError, match="two URLs or more to compare, not 1"):
        here.distinct("/p/1", app=app)
    with pytest.raises(TypeError, match="header is nothing that a request has here"):
        here.distinct("/p/1", ("/p/2", {"header": {}}), app=app)


def test_hostile_text_in_a_failure(shop: Made, here: Any) -> None:
    """A report on a terminal is as safe as any."""
    app, _ = shop
    said = failure(here.distinct, "/p/1?\x1b[2J=1", "/p/1?\x1b[2J=2", app=app)
    assert "\x1b" not in said
