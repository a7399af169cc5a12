"""The debug pages in Chromium: real tasks, by mouse, by keyboard, without script; and no harm.

``FLASK_CACHING_SCREENSHOTS=1 pytest tests/debug/test_browser.py`` also writes a picture of every
page, in light and dark and 400 pixels wide, to ``docs/images/debug-*.png``. Without the variable
nothing outside of the test is written.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from bookshop import cache, make_bookshop, open_for_an_hour
from debug_site import TOKEN
from flask import Flask, request
from large_redis import PREFIX, filled_redis
from prometheus_client import CollectorRegistry
from werkzeug.serving import WSGIRequestHandler, make_server

from flask_caching import Cache
from flask_caching_instrumentation.inspection.keyids import key_id

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SCREENSHOTS = os.environ.get("FLASK_CACHING_SCREENSHOTS") == "1"

PAGES = {
    "keys": "/keys",
    "key": f"/keys/{key_id('view//about')}?reveal=1",
    "tester": "/tester?url=/search?q=flask%26page=2&header=Accept-Language:%20de",
    "compare": "/compare?request=/book/1&request=/book/2",
    "audit": "/audit",
    "live": "/live",
    "functions": "/functions",
    "overview": "/",
}

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</title></textarea></pre><script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "javascript:alert(4)",
    "<iframe src=//evil.example></iframe><link rel=stylesheet href=//evil.example/x.css>",
    "a\x00\x07\x1b[31m\r\n\tb",
    "abc\u202eevil\u2066\u2069\u200f",
    "zero\u200bwidth\u3164\xa0\u2028",
    b"\xff\xfe\xc3".decode("utf-8", "surrogateescape"),
    "\u0301" * 200 + "a" + "\u0e49" * 300,
    "\u0634\u0628\u0643\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "W" * (1 << 20),
    "\U0001f4a9" * 300,
]


def add_nasty_views(app: Flask) -> None:
    """Views whose keys, and errors, are whatever somebody sends."""

    @app.route("/nasty/<path:anything>")
    @cache.cached(key_prefix=lambda: request.path)
    def nasty(anything: str) -> str:
        return anything

    @app.route("/raises")
    @cache.cached(make_cache_key=lambda: str(int(HOSTILE[0])))
    def raises() -> str:
        return HOSTILE[0]


class Quiet(WSGIRequestHandler):
    """Says nothing of the requests that it serves."""

    def log(self, *args: Any) -> None:
        return


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """An application's address, for as long as it runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; where there is none the test is skipped, and fails under ``CI=true``.

    The oldest versions of everything are tested without playwright, and so without a browser.
    """
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("no Chromium: on Debian, apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                *("--no-sandbox", "--disable-background-networking", "--disable-sync"),
                # A name that is not this machine's own: over plain http browsers say less there
                # about where a form comes from (no Sec-Fetch-Site).
                "--host-resolver-rules=MAP shop.example 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shop(browser: Any) -> Iterator[str]:
    """Where the bookshop is; no test here deletes anything."""
    app = make_bookshop(CACHE_DEBUG_WRITE=True)
    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def guarded(browser: Any) -> Iterator[str]:
    """The bookshop in production, behind a token."""
    app = make_bookshop(CACHE_DEBUG_TOKEN=TOKEN)
    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def infested(browser: Any) -> Iterator[tuple[str, list[str]]]:
    """A bookshop whose keys, values, addresses, headers and names are hostile; its pages."""
    app = make_bookshop(add_nasty_views, CACHE_DEBUG_WRITE=True, CACHE_THRESHOLD=0)
    client = app.test_client()
    with app.app_context():
        for text in HOSTILE:
            cache.set(text, text)
            short = text[:400].encode("utf-8", "surrogateescape")
            client.get("/search", query_string={"q": short})
            client.open(path=f"/nasty/{short.decode('latin-1')}")
    listed = [f"/keys/{key_id(text)}?reveal=1" for text in HOSTILE if key_id(text)]
    asked = ["/tester?url=/raises", "/tester?url=/nasty/%3Cimg%20src=x%20onerror=alert(5)%3E"]
    asked += ["/compare?request=/nasty/%3Cb%3E&request=/nasty/%E2%80%AEb"]
    asked += ["/compare?request=%22%3E%3Cscript%3Ealert(6)%3C/script%3E&request=/%00"]
    asked += ["/keys?match=%22%3E%3Cscript%3Ealert(7)%3C/script%3E", "/%3Cscript%3E"]
    pages = [*PAGES.values(), "/keys?limit=500", *listed, *asked]
    with served(app) as address:
        yield address, pages


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a window; the test fails if one of them complained of anything.

    Of scripts that ran although they should not (a dialog), errors, violations of the content
    policy, and requests to other hosts.
    """
    contexts = []
    complaints: list[str] = []

    def watch(page: Any) -> None:
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda sent: elsewhere(sent.url))

    def elsewhere(url: str) -> None:
        if not re.match(r"http://(127\.0\.0\.1|shop\.example):\d+/", url):
            complaints.append(f"asked for {url}")

    def make(**options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "color_scheme": "light", **options}
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        return page

    yield make
    for context in contexts:
        context.close()
    # What Chromium says by itself of a page of an error, and of a header on plain http.
    expected = ("Failed to load resource", "The Cross-Origin-Opener-Policy header has been ignored")
    assert [each for each in complaints if not each.startswith(expected)] == []


@pytest.fixture
def page(open_page: Any) -> Any:
    """A window of ordinary size."""
    return open_page()


def tab_to(page: Any, target: Any) -> None:
    """Reach an element with the Tab key alone; it then shows that it has the focus."""
    wanted = target.element_handle()
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement === wanted", wanted):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError("it cannot be reached with the Tab key")


def go_on(page: Any, target: Any) -> None:
    """Click what leads to another page, and be there: a click may end before its page begins."""
    with page.expect_navigation():
        target.click()


def fits(page: Any) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


#: What follows is the more to look at the more has happened.
_FROM_HERE_BUSY = "functions"


@pytest.mark.skipif(not SCREENSHOTS, reason="FLASK_CACHING_SCREENSHOTS=1 writes pictures")
@pytest.mark.parametrize("mode", ["light", "dark", "400"])
def test_pictures_for_the_manual(open_page: Any, mode: str) -> None:
    """Every page as it looks in a window of that kind; numbers after an hour of business.

    Before all other tests: what they decorate would be in the audit.
    """
    width = 400 if mode == "400" else 1280
    page = open_page(
        color_scheme="dark" if mode == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    app = make_bookshop(CACHE_DEBUG_WRITE=True)
    with served(app) as address:
        for name, path in PAGES.items():
            if name == _FROM_HERE_BUSY:
                open_for_an_hour(app)
            page.goto(f"{address}/_cache{path}")
            assert fits(page), path
            _picture(page, name, mode)


class TestFindingTheCollision:
    def test_by_mouse(self, page: Any, shop: str) -> None:
        """From the count on the first page, over the audit, to the verdict."""
        page.goto(f"{shop}/_cache")
        page.get_by_role("link", name="find them").click()
        errors = page.locator(".findings.error .finding")
        errors.first.wait_for()
        found = errors.filter(has_text="/book/")
        assert "book" in found.locator(".shared-key").inner_text()
        go_on(page, found.get_by_role("link", name="Compare these two"))
        verdict = page.locator(".verdict.bad")
        assert "Same key: these two requests share one entry" in verdict.inner_text()
        go_on(page, page.get_by_role("link", name="Explain 2"))
        assert "Hit" in page.locator(".verdict h2").inner_text()

    def test_by_keyboard(self, page: Any, shop: str) -> None:
        """With the shortcut for the audit, and Tab and Enter."""
        page.goto(f"{shop}/_cache/")
        page.keyboard.press("g")
        page.keyboard.press("a")
        page.wait_for_url(re.compile(r"/audit"))
        found = page.locator(".findings.error .finding").filter(has_text="/book/")
        tab_to(page, found.get_by_role("link", name="Compare these two"))
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/compare\?"))
        assert "Same key" in page.locator(".verdict.bad h2").inner_text()

    def test_a_parameter_that_the_view_read_is_found(self, page: Any, shop: str) -> None:
        """It was seen to read ``page`` while results were made, and the key has none."""
        page.goto(f"{shop}/_cache/audit")
        found = page.locator(".findings.error .finding").filter(has_text="page")
        assert "search" in found.first.inner_text()


class TestComparing:
    def test_by_mouse(self, page: Any, shop: str) -> None:
        """Two addresses, one a line; the result has an address of its own."""
        page.goto(f"{shop}/_cache/compare")
        page.get_by_label("Requests").fill("/search?q=a\n/search?q=b")
        go_on(page, page.get_by_role("button", name="Compare"))
        page.wait_for_url(re.compile(r"/compare\?request="))
        assert "Distinct keys" in page.locator(".verdict.good h2").inner_text()
        part = page.locator(".differences tbody tr").first.inner_text()
        assert re.search(r"query:q\s+yes\s+a\s+b", part)

    def test_by_keyboard(self, page: Any, shop: str) -> None:
        """``/`` leads to the field, Tab to the button."""
        page.goto(f"{shop}/_cache/compare")
        page.keyboard.press("/")
        page.keyboard.type("/search?q=a\n/search?q=a\n  Accept-Language: de")
        tab_to(page, page.get_by_role("button", name="Compare"))
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/compare\?request="))
        assert "header:Accept-Language" in page.locator(".differences").inner_text()

    def test_twenty_requests_scroll_in_their_place(self, open_page: Any, shop: str) -> None:
        """Also with the keyboard, and in a narrow window."""
        page = open_page(viewport={"width": 400, "height": 800})
        asked = "&".join(f"request=/author/{name}" for name in "abcdefghijklmnopqrst")
        page.goto(f"{shop}/_cache/compare?{asked}")
        assert fits(page)
        region = page.get_by_role("region", name="Part by part")
        region.focus()
        page.keyboard.press("ArrowRight")
        for _ in range(50):
            if region.evaluate("region => region.scrollLeft"):
                break
            page.wait_for_timeout(100)
        assert region.evaluate("region => region.scrollLeft") > 0


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shop on a Redis with a million keys of its own among two million."""
    with filled_redis(tmp_path_factory.mktemp("million")) as server:
        app = make_bookshop(
            CACHE_TYPE="RedisCache",
            CACHE_REDIS_URL=server.url,
            CACHE_KEY_PREFIX=PREFIX,
            CACHE_DEBUG_WRITE=True,
        )
        with served(app) as address:
            yield address


class TestKeys:
    @pytest.fixture
    def many(self) -> Iterator[str]:
        """The shop with three thousand keys more, of which some are deleted."""
        app = make_bookshop(CACHE_DEBUG_WRITE=True, CACHE_THRESHOLD=0)
        with app.app_context():
            cache.set_many({f"stock:{number:04}": number for number in range(3000)})
        with served(app) as address:
            yield address

    def test_filtering_and_deleting_by_mouse(self, page: Any, many: str) -> None:
        """One of three thousand, from its own page."""
        page.goto(f"{many}/_cache/keys")
        assert page.locator("a.key").count() >= 50
        go_on(page, page.get_by_role("link", name="Next page"))
        page.get_by_label("Contains").fill("stock:1234")
        page.get_by_label("Kind").select_option("other")
        go_on(page, page.get_by_role("button", name="Filter"))
        while not page.locator("a.key").count():
            go_on(page, page.get_by_role("link", name="Look further"))
        assert page.locator("a.key").all_inner_texts() == ["stock:1234"]
        go_on(page, page.locator("a.key"))
        go_on(page, page.get_by_role("link", name="Show the value"))
        page.get_by_role("button", name="Delete this key").click()
        page.get_by_role("status").get_by_text("1 key was deleted").wait_for()
        page.goto(f"{many}/_cache/keys/{key_id('stock:1234')}")
        assert "There is no entry now" in page.locator(".verdict").inner_text()

    def test_filtering_and_deleting_by_keyboard(self, page: Any, many: str) -> None:
        """``/``, the text, Enter; then the mark, and the button."""
        page.goto(f"{many}/_cache/keys?limit=500")
        page.keyboard.press("/")
        page.keyboard.type("rates:")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/keys\?match=rates"))
        mark = page.get_by_role("checkbox", name="Mark rates:EUR-USD")
        while not mark.count():
            tab_to(page, page.get_by_role("link", name="Look further"))
            with page.expect_navigation():
                page.keyboard.press("Enter")
        tab_to(page, mark)
        page.keyboard.press("Space")
        tab_to(page, page.get_by_role("button", name="Delete the marked"))
        page.keyboard.press("Enter")
        page.get_by_role("status").get_by_text("1 key was deleted").wait_for()

    def test_one_of_a_million_by_mouse(self, page: Any, million: str) -> None:
        """It is found a part of the store at a time, and deleted."""
        key = "view//page/needle/700000"
        page.goto(f"{million}/_cache/keys")
        page.get_by_label("Contains").fill("needle/700000")
        go_on(page, page.get_by_role("button", name="Filter"))
        while not page.locator("a.key").count():
            go_on(page, page.get_by_role("link", name="Look further"))
        assert page.locator("a.key").all_inner_texts() == [key]
        go_on(page, page.locator("a.key"))
        page.get_by_role("button", name="Delete this key").click()
        page.get_by_role("status").get_by_text("1 key was deleted").wait_for()
        page.goto(f"{million}/_cache/keys/{key_id(key)}")
        assert "There is no entry now" in page.locator(".verdict").inner_text()

    def test_one_of_a_million_by_keyboard(self, page: Any, million: str) -> None:
        """``/``, the text, Enter; on to the next part; then the mark, and the button."""
        page.goto(f"{million}/_cache/keys")
        page.keyboard.press("/")
        page.keyboard.type("needle/300000")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/keys\?match=needle"))
        mark = page.get_by_role("checkbox", name="Mark view//page/needle/300000")
        while not mark.count():
            tab_to(page, page.get_by_role("link", name="Look further"))
            with page.expect_navigation():
                page.keyboard.press("Enter")
        tab_to(page, mark)
        page.keyboard.press("Space")
        tab_to(page, page.get_by_role("button", name="Delete the marked"))
        page.keyboard.press("Enter")
        page.get_by_role("status").get_by_text("1 key was deleted").wait_for()

    def test_all_of_a_page_can_be_marked_at_once(self, page: Any, many: str) -> None:
        """By the box in the heading, which the script adds."""
        page.goto(f"{many}/_cache/keys?kind=view")
        page.get_by_role("checkbox", name="Mark all on this page").check()
        marked = page.locator("tbody input:checked").count()
        assert marked == page.locator("tbody input[type=checkbox]").count() > 3
        page.get_by_role("button", name="Delete the marked").click()
        page.get_by_role("status").get_by_text(f"{marked} keys were deleted").wait_for()


class TestLive:
    def test_new_requests_come_by_themselves(self, page: Any, shop: str) -> None:
        """The latest first; none while it is paused, by keyboard."""
        page.goto(f"{shop}/_cache/live")
        before = page.locator("li.request").count()
        urlopen(f"{shop}/author/octavia").close()
        first = page.locator("li.request").first
        first.get_by_role("link", name="/author/octavia").wait_for()
        assert "miss" in first.inner_text()
        assert "1 new request since" in page.get_by_role("status").inner_text()
        assert page.locator("li.request").count() == before + 1
        tab_to(page, page.get_by_role("button", name="Pause"))
        page.keyboard.press("Enter")
        urlopen(f"{shop}/author/iain").close()
        page.wait_for_timeout(2000)
        assert page.get_by_text("/author/iain").count() == 0
        page.keyboard.press("Enter")
        first.get_by_role("link", name="/author/iain").wait_for()
        assert fits(page)

    def test_an_application_that_is_gone_is_told(self, open_page: Any) -> None:
        """And found again when it is back."""
        app = make_bookshop()
        page = open_page()
        with served(app) as address:
            page.goto(f"{address}/_cache/live")
            page.route("**/live?*", lambda route: route.abort())
            page.locator(".no-answer").wait_for()
            page.unroute("**/live?*")
            page.get_by_role("status").get_by_text("Following").wait_for()


class TestLoggingIn:
    def test_by_keyboard(self, page: Any, guarded: str) -> None:
        """A wrong token first; then the page that was asked for. And out again."""
        page.goto(f"{guarded}/_cache/keys?match=book")
        page.locator("#token:focus").wait_for()
        page.keyboard.type("a wrong token")
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("That is not the token").wait_for()
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/_cache/keys\?match=book"))
        assert page.locator("a.key").first.inner_text() == "book"
        assert page.evaluate("document.cookie") == ""
        tab_to(page, page.get_by_role("button", name="Log out"))
        page.keyboard.press("Enter")
        page.locator("#token").wait_for()

    def test_over_plain_http_under_a_name_of_its_own(self, page: Any, guarded: str) -> None:
        """The browser says then of a form which origin it is from, and no more."""
        page.goto(f"{guarded.replace('127.0.0.1', 'shop.example')}/_cache/keys")
        page.get_by_label("Token").fill(TOKEN)
        go_on(page, page.get_by_role("button", name="Log in"))
        page.wait_for_url(re.compile(r"/_cache/keys$"))
        assert page.locator("a.key").count() > 3

    def test_by_mouse_without_script_in_a_narrow_window(self, open_page: Any, guarded: str) -> None:
        """And nothing can be deleted that may not be."""
        page = open_page(viewport={"width": 400, "height": 700}, java_script_enabled=False)
        page.goto(f"{guarded}/_cache/")
        page.get_by_label("Token").fill(TOKEN)
        go_on(page, page.get_by_role("button", name="Log in"))
        go_on(page, page.get_by_role("link", name="Keys"))
        assert page.locator("a.key").count() > 3
        assert page.get_by_role("button", name="Delete").count() == 0


class TestWithoutScript:
    def test_everything_works(self, open_page: Any) -> None:
        """Filter, tester with a secret, comparison, live, clearing."""
        app = make_bookshop(CACHE_DEBUG_WRITE=True)
        page = open_page(java_script_enabled=False)
        with served(app) as address:
            page.goto(f"{address}/_cache/keys")
            page.get_by_label("Contains").fill("memo/")
            go_on(page, page.get_by_role("button", name="Filter"))
            assert {"memo/"} == {text[:5] for text in page.locator("a.key").all_inner_texts()}
            go_on(page, page.get_by_role("link", name="Key tester"))
            page.get_by_label("URL").fill("/search?q=flask")
            page.get_by_text("Headers, cookies, body").click()
            page.get_by_label("Cookies").fill("session=c2VjcmV0")
            go_on(page, page.get_by_role("button", name="Explain"))
            assert "Hit" in page.locator(".verdict h2").inner_text()
            assert page.url == f"{address}/_cache/tester"
            go_on(page, page.get_by_role("link", name="Compare it with another request"))
            page.get_by_label("Requests").fill("/book/1\n/book/2")
            go_on(page, page.get_by_role("button", name="Compare"))
            assert "Same key" in page.locator(".verdict.bad h2").inner_text()
            go_on(page, page.get_by_role("link", name="Live"))
            assert page.locator("li.request").count() > 5
            assert "Reload the page" in page.locator("main").inner_text()
            go_on(page, page.get_by_role("link", name="Keys"))
            page.get_by_text("Clear the whole cache").click()
            page.get_by_role("button", name="Clear it").click()
            page.get_by_text("The cache was cleared").wait_for()


class TestComfort:
    def test_the_keyboard_finds_its_way(self, page: Any, shop: str) -> None:
        """The first Tab stop skips the frame; shortcuts lead to every page, and can be off."""
        page.goto(f"{shop}/_cache/")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        for letter, path in (("k", "keys"), ("f", "functions"), ("t", "tester"), ("l", "live")):
            page.keyboard.press("g")
            page.keyboard.press(letter)
            page.wait_for_url(re.compile(f"/{path}$"))
        page.get_by_role("button", name="On", exact=True).click()
        page.keyboard.press("g")
        page.keyboard.press("k")
        page.reload()
        page.get_by_role("button", name="Off", exact=True).wait_for()
        assert page.url.endswith("/live")

    def test_a_key_can_be_copied(self, open_page: Any, shop: str) -> None:
        """As it is shown."""
        page = open_page(permissions=["clipboard-read", "clipboard-write"])
        page.goto(f"{shop}/_cache/tester?url=/book/1")
        page.get_by_role("button", name="Copy the key").click()
        page.get_by_text("Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == "book"


class TestHostileText:
    @pytest.mark.parametrize("width", [1280, 400])
    def test_nothing_runs_and_nothing_breaks(
        self, open_page: Any, infested: tuple[str, list[str]], width: int
    ) -> None:
        """On no page, whether text is a key, a value, an address, or in a form."""
        page = open_page(viewport={"width": width, "height": 800})
        address, paths = infested
        for path in paths:
            page.goto(f"{address}/_cache{path}", wait_until="load")
            assert fits(page), path
            assert page.locator("main img, main iframe, main script, main svg[onload]").count() == 0
            assert page.locator("h1").count() == 1
            assert page.locator("footer").count() == 1, path
            schemes = page.evaluate("[...new Set([...document.links].map(link => link.protocol))]")
            assert schemes == ["http:"], path

    def test_following_brings_in_nothing_that_runs(
        self, page: Any, infested: tuple[str, list[str]]
    ) -> None:
        """What the script adds to a page was made safe by the server."""
        address, _ = infested
        page.goto(f"{address}/_cache/live")
        urlopen(f"{address}/nasty/%3Cimg%20src=x%20onerror=alert(8)%3E/late").close()
        page.locator("li.request").first.get_by_text("/late").first.wait_for()
        assert page.locator("main img").count() == 0


class TestAccessibility:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_has_nothing_to_say(self, open_page: Any, shop: str, scheme: str) -> None:
        """On any page, with everything folded out; nor on an empty list, or that of an error."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page(color_scheme=scheme)
        for path in (*PAGES.values(), "/keys?match=nothing", "/nothing"):
            page.goto(f"{shop}/_cache{path}")
            page.evaluate(_UNFOLD)
            assert fits(page), path
            assert _violations(axe, page) == [], path

    def test_a_narrow_window_is_wide_enough(self, open_page: Any, shop: str) -> None:
        """For every page, folded out; tables have become lists there that axe accepts too."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page(viewport={"width": 400, "height": 800})
        for name, path in PAGES.items():
            page.goto(f"{shop}/_cache{path}")
            page.evaluate(_UNFOLD)
            assert fits(page), path
            if name in ("keys", "functions", "tester"):
                assert _violations(axe, page) == [], path

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_nor_at_the_door(self, open_page: Any, scheme: str) -> None:
        """The login, what it says to a wrong token, and the page of closed pages."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page(color_scheme=scheme)
        app = make_bookshop(CACHE_DEBUG_TOKEN=TOKEN)
        with served(app) as address:
            page.goto(f"{address}/_cache/")
            assert _violations(axe, page) == []
            _picture(page, "login", scheme)
            page.get_by_label("Token").fill("a wrong token")
            page.keyboard.press("Enter")
            page.get_by_role("alert").wait_for()
            assert _violations(axe, page) == []
        closed = make_bookshop()
        closed.debug = False
        with served(closed) as address:
            page.goto(f"{address}/_cache/keys")
            assert "CACHE_DEBUG_TOKEN" in page.locator("main").inner_text()
            assert _violations(axe, page) == []

    def test_a_choice_of_caches_is_labelled(self, open_page: Any) -> None:
        """And needs no button where there is script."""
        second = {
            "CACHE_TYPE": "SimpleCache",
            "CACHE_METRICS_REGISTRY": CollectorRegistry(),
            "CACHE_NAME": "sessions",
            "CACHE_DEBUG_UI": "/_both",
        }
        app = make_bookshop(
            lambda app: Cache(app, False, second) and None,
            CACHE_NAME="pages",
            CACHE_DEBUG_UI="/_both",
        )
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        page = open_page()
        with served(app) as address:
            page.goto(f"{address}/_both/keys")
            page.get_by_label("Cache", exact=True).select_option("sessions")
            page.wait_for_url(re.compile(r"/keys\?cache=sessions"))
            assert "The cache is empty" in page.locator("main").inner_text()
            page.get_by_role("navigation").get_by_role("link", name="Functions").click()
            page.wait_for_url(re.compile(r"/functions\?cache=sessions"))
            page.goto(f"{address}/_both/")
            assert page.locator("section.cache").count() == 2
            assert _violations(axe, page) == []
            page.set_viewport_size({"width": 400, "height": 800})
            assert fits(page)


_UNFOLD = "for (const each of document.querySelectorAll('details')) each.open = true"


def _picture(page: Any, name: str, mode: str) -> None:
    if SCREENSHOTS:
        suffix = "" if mode == "light" else f"-{mode}"
        page.screenshot(path=IMAGES / f"debug-{name}{suffix}.png", full_page=True)


def _violations(axe: Any, page: Any) -> list[Any]:
    found = axe.run(page).response["violations"]
    return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]
