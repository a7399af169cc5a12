"""The debug pages as HTML: what they show, that they lead on, and that text stays text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from debug_site import PAGES, PREFIX, TOKEN, Visitor, bearer, form_token, shop_with_pages
from flask import Flask

from flask_caching.errors import BackendError
from flask_caching_instrumentation.debug import content, markup, specs
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.keyids import key_id
from flask_caching_instrumentation.inspection.model import RequestSpec, plain

VOID = {"input", "link", "meta", "br", "line", "rect", "path", "circle", "polyline"}

#: Elements that may begin and end within a word.
INLINE = {"bdi", "code", "strong", "time"}

HOSTILE = {
    "markup": "<img src=x onerror=alert(1)>'\"&amp;<!--",
    "controls": "a\x00b\x1b[31mc\x07\r\n\t\x7f\x9b",
    "bidi": "a\u202eb\u2066c\u200fd\u061c",
    "invisible": "a\u200bb\u00adc\ufeffd\xa0e\u2028f\u3164",
    "invalid": b"\xff\xfe\xc3".decode("utf-8", "surrogateescape"),
    "marks": "a" + "\u0301" * 400,
    "large": "x" * (1 << 20),
    "template": "{{ 7 * 7 }}{% raw %}${7}",
}


@pytest.fixture
def shop(make_app: Any) -> Any:
    """The shop, where keys may be deleted, and some requests."""
    app, cache = shop_with_pages(make_app, CACHE_DEBUG_WRITE=True)
    client = app.test_client()
    for path in ("/", "/", "/product/1", "/product/2", "/search?q=a"):
        client.get(path)
    return app, cache


@pytest.fixture
def visitor(shop: Any) -> Visitor:
    """A developer at the machine."""
    return Visitor(shop[0])


class Outline(HTMLParser):
    """What a page is made of; complains if elements are not closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.current: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        assert len(found) == len(attributes), f"{tag} has an attribute twice"
        if "id" in found:
            self.ids.append(found["id"] or "")
        if "aria-current" in found:
            self.current.append(found["href"] or "")
        if tag == "a":
            self.links.append(found.get("href") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag not in INLINE:
            self.text.append(" ")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag not in INLINE:
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(page: Any) -> str:
    """The text of a page, in one line."""
    return " ".join("".join(Outline(page.text).text).split())


class TestEveryPage:
    @pytest.mark.parametrize("path", [*PAGES, "/tester?url=/product/1", "/nothing"])
    def test_it_is_well_made(self, visitor: Visitor, path: str) -> None:
        """Balanced, one first heading, each id once, a title, a skip link, and where one is."""
        page = visitor.get(path)
        outline = Outline(page.text)
        assert outline.headings.count("h1") == 1
        assert len(set(outline.ids)) == len(outline.ids)
        levels = [int(heading[1]) for heading in outline.headings]
        assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))
        assert re.search(r"<title>\S.* · shop cache</title>", page.text)
        assert outline.links[0] == "#content"
        here = f"{PREFIX}{path.partition('?')[0]}"
        assert outline.current == ([here] if path != "/nothing" else [])

    def test_titles_differ(self, visitor: Visitor) -> None:
        """So that tabs and bookmarks can be told apart."""
        titles = {re.findall("<title>(.*)</title>", visitor.get(path).text)[0] for path in PAGES}
        assert len(titles) == len(PAGES)

    @pytest.mark.parametrize("path", PAGES)
    def test_a_page_shows_what_its_json_is(
        self, visitor: Visitor, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both call one function of ``content``."""
        names = {"/": "overview", "/tester": "explained", "/compare": "compared"}
        name = names.get(path, {"/audit": "audited", "/live": "requests"}.get(path, path[1:]))
        calls: list[str] = []
        whole = getattr(content, name)

        def counted(*args: Any) -> Any:
            calls.append(name)
            return whole(*args)

        monkeypatch.setattr(content, name, counted)
        query = {"/tester": "?url=/", "/compare": "?request=/&request=/search"}.get(path, "")
        assert visitor.get(f"{path}{query}").status_code == 200
        token = {"X-CSRF-Token": form_token(visitor.get("/keys").text)}
        calls_before = calls.count(name)
        headers = {**token, "Origin": "http://localhost"}
        if path == "/tester":
            sent: dict[str, Any] = {"method": "POST", "json": {"url": "/"}}
            data = visitor.open("/api/v1/explain", headers=headers, **sent)
        elif path == "/compare":
            sent = {"method": "POST", "json": {"requests": [{"url": "/"}, {"url": "/search"}]}}
            data = visitor.open("/api/v1/compare", headers=headers, **sent)
        else:
            data = visitor.get(
                f"/api/v1/{ {'/live': 'requests', '/': 'overview'}.get(path, path[1:]) }"
            )
        assert data.status_code == 200
        assert calls_before >= 1
        assert calls.count(name) > calls_before

    def test_without_a_cache_each_says_what_to_do(self) -> None:
        """The pages can be there before it."""
        app = Flask("empty")
        app.debug = True
        from flask_caching_instrumentation.debug import debug_blueprint

        app.register_blueprint(debug_blueprint(), url_prefix=PREFIX)
        for path in PAGES:
            assert "cache.init_app(app)" in words(Visitor(app).get(path)), path

    def test_an_empty_cache_says_what_to_do(self, make_app: Any) -> None:
        """Every listing."""
        app, cache = make_app()
        app.debug = True
        from flask_caching_instrumentation.debug import debug_blueprint

        app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
        visitor = Visitor(app)
        for path, said in (
            ("/", "No lookups yet"),
            ("/keys", "Load a cached page of the application"),
            ("/keys?match=x", "Show all keys"),
            ("/functions", "Put @cache.cached() below @app.route()"),
            ("/compare", "Write two addresses"),
            ("/audit", "Nothing is cached yet"),
            ("/live", "Load a cached page of the application in another window"),
        ):
            assert said in words(visitor.get(path)), path


class TestOverview:
    def test_it_says_whose_numbers_they_are(self, visitor: Visitor) -> None:
        """Ratio, saved time, collisions, latency, settings, of this worker."""
        text = words(visitor.get("/"))
        assert re.search(r"Counted by worker \d+", text)
        assert "Hit ratio 40.0 %" in text
        assert "Collisions 1 find them" in text
        assert re.search(r"get \d+ 0 \S+ µs", text)
        assert "On a collision report" in text

    def test_a_plot_says_what_it_shows(self, visitor: Visitor) -> None:
        """For those who cannot see it."""
        page = visitor.get("/").text
        assert re.search(r'role="img"><title>Hit ratio of the last .*, now 40.0 %</title>', page)


class TestKeys:
    def test_keys_are_grouped_by_target(self, visitor: Visitor) -> None:
        """Each with its kind, time left, age, size and form."""
        text = words(visitor.get("/keys"))
        assert re.search(r"product 1 product view [\w. ]+ 9 B text", text)

    def test_a_filter_stays_in_the_form_and_in_the_links(self, make_app: Any) -> None:
        """The next page is filtered as well."""
        app, cache = shop_with_pages(make_app)
        with app.app_context():
            for number in range(120):
                cache.set(f"<{number}>&", number)
        page = Visitor(app).get("/keys?match=>%26&kind=other&limit=50")
        assert 'value="&gt;&amp;"' in page.text
        assert "<option selected>other</option>" in page.text
        (following,) = [link for link in Outline(page.text).links if "cursor=" in link]
        assert "match=>%26&kind=other&limit=50" in following.replace("%3E", ">")
        assert "and there are more" in words(page)
        second = Visitor(app).get(following.removeprefix(PREFIX))
        assert "First page" in words(second)

    def test_the_marked_are_deleted(self, visitor: Visitor) -> None:
        """And the list says how many."""
        answer = visitor.post("/delete", {"id": [key_id("product"), key_id("view//")]})
        assert answer.headers["Location"].endswith("/_cache/keys?deleted=2")
        page = visitor.get("/keys?deleted=2")
        assert "2 keys were deleted" in words(page)
        assert key_id("product") not in page.text

    def test_nothing_marked_is_no_deletion(self, visitor: Visitor) -> None:
        """It says so."""
        answer = visitor.post("/delete")
        assert answer.status_code == 400
        assert "Name 1 to 500 keys" in words(answer)

    @pytest.mark.parametrize("word", ["99999", "-1", "<b>", "x", ""])
    def test_the_notice_is_a_number_or_nothing(self, visitor: Visitor, word: str) -> None:
        """Nobody can write a sentence into these pages by a link."""
        page = visitor.get(f"/keys?deleted={word}&cleared={word}")
        assert 'role="status"' not in page.text

    def test_clearing_is_asked_for_twice(self, visitor: Visitor) -> None:
        """The button is behind a heading that opens."""
        page = visitor.get("/keys").text
        assert page.index("<summary>Clear the whole cache") < page.index(">Clear it<")
        assert visitor.post("/clear").headers["Location"].endswith("?cleared=1")
        assert "The cache was cleared" in words(visitor.get("/keys?cleared=1"))

    def test_a_store_that_cannot_list_says_so(
        self, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what there is instead."""
        from flask_caching_instrumentation.inspection.model import KeyListing

        listing = KeyListing("cache", False, (), "", "It has no such command.")
        monkeypatch.setattr(Inspector, "keys", lambda *args: listing)
        text = words(visitor.get("/keys"))
        assert "cannot list its keys" in text
        assert "It has no such command." in text

    def test_a_page_without_rows_is_not_the_end(
        self, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A filter finds nothing in one part of a large store."""
        from flask_caching_instrumentation.inspection.model import KeyListing

        monkeypatch.setattr(Inspector, "keys", lambda *args: KeyListing("cache", True, (), "7"))
        page = visitor.get("/keys?match=a")
        assert "Look further" in words(page)
        assert f"{PREFIX}/keys?match=a&cursor=7" in Outline(page.text).links


class TestKey:
    def test_it_tells_what_is_known(self, visitor: Visitor) -> None:
        """Who it was made for, who asked, and that they collide."""
        page = visitor.get(f"/keys/{key_id('product')}")
        text = words(page)
        assert "Another request met this entry" in text
        assert "Arguments id=1" in text
        assert {"GET /product/1", "GET /product/2"} <= set(re.findall(r"GET /\S+", text))
        assert f"{PREFIX}/keys" in Outline(page.text).links
        links = [unquote(link) for link in Outline(page.text).links]
        assert f"{PREFIX}/compare?request=/product/2&request=/product/1" in links

    def test_its_value_is_shown_when_asked_for(self, visitor: Visitor) -> None:
        """Not before."""
        address = f"/keys/{key_id('product')}"
        page = visitor.get(address)
        assert "product 1" not in words(page)
        (reveal,) = [link for link in Outline(page.text).links if "reveal=1" in link]
        assert "product 1" in words(visitor.get(reveal.removeprefix(PREFIX)))

    def test_what_is_named_as_a_secret_is_hidden(self, visitor: Visitor, shop: Any) -> None:
        """By the name of the key."""
        app, cache = shop
        with app.app_context():
            cache.set("session:ann", "hunter2")
        text = words(visitor.get(f"/keys/{key_id('session:ann')}?reveal=1"))
        assert "hunter2" not in text
        assert "hidden" in text

    def test_json_is_shown_in_lines(self, make_app: Any) -> None:
        """As people read it, and what cannot be seen in it written out."""
        app, cache = shop_with_pages(make_app, CACHE_SERIALIZER="json")
        with app.app_context():
            cache.set("data", {"a": [1, {"b": "\u202e"}]})
        page = Visitor(app).get(f"/keys/{key_id('data')}?reveal=1").text
        assert "{\n  &#34;a&#34;: [\n    1," in page
        assert '<span class="esc">\\u202e</span>' in page

    def test_a_key_without_an_entry_says_so(self, visitor: Visitor) -> None:
        """It has a page all the same: the tester leads to it."""
        text = words(visitor.get(f"/keys/{key_id('nothing')}"))
        assert "There is no entry now" in text

    def test_it_can_be_deleted(self, visitor: Visitor) -> None:
        """By its own button."""
        page = visitor.get(f"/keys/{key_id('product')}").text
        assert f'name="id" value="{key_id("product")}"' in page
        assert "Delete this key" in page


class TestTester:
    def test_a_request_without_secrets_gets_an_address(self, visitor: Visitor) -> None:
        """To be kept and sent to others; opening it shows the same."""
        sent = {"url": "/product/7", "method": "HEAD", "headers": "Accept: text/html\nA: b"}
        answer = visitor.post("/tester", sent, form="/tester")
        assert answer.status_code == 303
        location = answer.headers["Location"].removeprefix("http://localhost")
        text = words(visitor.get(location.removeprefix(PREFIX)))
        assert "url=/product/7&method=HEAD" in unquote(location)
        assert "Hit: the answer would come from the cache" in text
        assert "Accept: text/html A: b" in text

    @pytest.mark.parametrize(
        "secret",
        [
            {"headers": "Authorization: Basic c2VjcmV0"},
            {"headers": "X-Api-Key: c2VjcmV0"},
            {"cookies": "theme=c2VjcmV0"},
            {"body": "c2VjcmV0"},
            {"url": "/product/7?token=c2VjcmV0"},
        ],
    )
    def test_a_request_with_secrets_gets_none(self, visitor: Visitor, secret: Any) -> None:
        """It is answered in place, and the form keeps it."""
        answer = visitor.post("/tester", {"url": "/product/7", **secret}, form="/tester")
        assert answer.status_code == 200
        assert "c2VjcmV0" in answer.text
        assert not [link for link in Outline(answer.text).links if "c2VjcmV0" in link]

    def test_secrets_in_an_address_are_left_out(self, visitor: Visitor) -> None:
        """A page's own links never have any, so that these were put there by hand."""
        page = visitor.get("/tester?url=/&cookies=a%3Db&body=c2VjcmV0")
        assert "c2VjcmV0" not in page.text

    @pytest.mark.parametrize(
        ("url", "title", "said"),
        [
            ("/search?q=a", "Hit", "from the cache"),
            ("/search?q=never", "Miss", "What the key is made of"),
            ("/nothing", "Not cached", "404"),
            ("/product/x", "Not cached", "404"),
        ],
    )
    def test_the_verdict_is_in_words(
        self, visitor: Visitor, url: str, title: str, said: str
    ) -> None:
        """With the reason, and what the key is made of if there is one."""
        text = words(visitor.get(f"/tester?url={url.replace('?', '%3F')}"))
        assert f"{title}" in text
        assert said in text

    def test_a_mistake_is_shown_in_the_form(self, visitor: Visitor) -> None:
        """What was typed is still there."""
        sent = {"url": "/<b>", "headers": "no colon"}
        answer = visitor.post("/tester", sent, form="/tester")
        assert answer.status_code == 400
        assert "'no colon' is not a header: write name: value" in words(answer)
        assert 'value="/&lt;b&gt;"' in answer.text
        assert 'role="alert"' in answer.text

    def test_no_view_is_run(self, visitor: Visitor, shop: Any) -> None:
        """Nor is anything stored."""
        app, _ = shop
        app.view_functions["product"] = None
        before = visitor.get("/api/v1/keys").json["rows"]
        visitor.get("/tester?url=/search%3Fq%3Dnever")
        after = visitor.get("/api/v1/keys").json["rows"]
        assert [row["key"] for row in after] == [row["key"] for row in before]


class TestCompare:
    def test_a_collision_is_called_one(self, visitor: Visitor) -> None:
        """In red, with what the key lacks."""
        page = visitor.get("/compare?request=/product/1&request=/product/2")
        text = words(page)
        assert "Same key: these two requests share one entry" in text
        assert '<section class="verdict bad"' in page.text
        assert "path no /product/1 /product/2" in text

    def test_distinct_requests_are_called_so(self, visitor: Visitor) -> None:
        """In green."""
        page = visitor.get("/compare?request=/search?q=a&request=/search?q=b")
        assert "Distinct keys: each request has an entry of its own" in words(page)
        assert '<section class="verdict good"' in page.text

    def test_lines_are_requests_and_indented_lines_their_headers(self, visitor: Visitor) -> None:
        """They get an address."""
        lines = "/search?q=a\r\nHEAD /search?q=a\r\n  Accept: text/html\r\n  Host: a.example\r\n"
        answer = visitor.post("/compare", {"requests": lines}, form="/compare")
        assert answer.status_code == 303
        page = visitor.get(answer.headers["Location"].partition(PREFIX)[2])
        assert "HEAD /search?q=a" in words(page)
        shown = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
        assert unescape(shown[0]) == lines.replace("\r", "").replace(
            "  Accept: text/html\n  Host: a.example", "  Host: a.example\n  Accept: text/html"
        ).rstrip("\n")

    def test_secrets_get_no_address(self, visitor: Visitor) -> None:
        """As in the tester."""
        lines = "/search?q=a\n/search?q=a\n  Cookie: session=c2VjcmV0"
        answer = visitor.post("/compare", {"requests": lines}, form="/compare")
        assert answer.status_code == 200
        assert not [link for link in Outline(answer.text).links if "c2VjcmV0" in link]

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            ("/", "2 to 20"),
            ("/\n" * 21, "2 to 20"),
            ("  Accept: a\n/", "The first line is indented"),
            ("/\n/\n  Accept", "is not a header"),
            ("/\n" + "/" + "x" * 9000, "longer than"),
        ],
    )
    def test_a_mistake_is_shown_in_the_form(self, visitor: Visitor, lines: str, said: str) -> None:
        """And nothing is compared."""
        answer = visitor.post("/compare", {"requests": lines}, form="/compare")
        assert answer.status_code == 400
        assert said in words(answer)


class TestAuditAndLive:
    def test_an_error_leads_to_its_comparison(self, visitor: Visitor) -> None:
        """Which shows the same key."""
        page = visitor.get("/audit")
        assert "One error: a wrong answer waits to be served" in words(page)
        link = next(link for link in Outline(page.text).links if "/compare?request=" in link)
        compared = visitor.get(link.removeprefix(PREFIX))
        assert "Same key: these two requests share one entry" in words(compared)

    def test_requests_are_shown_with_what_they_did(self, visitor: Visitor) -> None:
        """The latest first; a collision is marked."""
        text = words(visitor.get("/live"))
        assert re.search(
            r"GET /product/2 status 200 \S+ \S+ hit view product product collision", text
        )
        assert text.index("/search?q=a") < text.index("/product/2") < text.index("/product/1")

    def test_the_script_gets_rows_alone(self, visitor: Visitor, shop: Any) -> None:
        """Those after a number, and the number to ask with next."""
        page = visitor.get("/live").text
        latest = re.findall(r'data-latest="(\d+)"', page)
        assert len(set(latest)) == 1
        shop[0].test_client().get("/product/9")
        rows = visitor.get(f"/live?part=rows&after={latest[0]}").text
        assert re.findall(r">(/product/\d)<", rows) == ["/product/9"]
        assert "<html" not in rows


class TestErrors:
    def test_a_store_that_does_not_answer_is_told(
        self, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the frame of the pages, so that one can go on."""

        def fail(*args: Any) -> None:
            raise BackendError("<no> answer")

        monkeypatch.setattr(Inspector, "clear", fail)
        answer = visitor.post("/clear")
        assert answer.status_code == 503
        assert "BackendError: <no> answer" in words(answer)
        assert f"{PREFIX}/keys" in Outline(answer.text).links

    def test_a_file_that_is_not_there_is_not_found(self, visitor: Visitor) -> None:
        """Nor does a path lead out of the folder."""
        for name in ("nothing.css", "..%2Fopenapi.json", "%2E%2E%2Fview.py", "debug.css%00"):
            assert visitor.get(f"/static/{name}").status_code == 404, name


class TestHostileText:
    @pytest.fixture
    def infested(self, make_app: Any) -> Visitor:
        """A shop in which everything that can be named is hostile."""
        app, cache = shop_with_pages(make_app, CACHE_DEBUG_WRITE=True, CACHE_THRESHOLD=0)
        with app.app_context():
            for text in HOSTILE.values():
                cache.set(text, text)
        client = app.test_client()
        for text in HOSTILE.values():
            query = text[:300].encode("utf-8", "surrogateescape")
            client.get("/search", query_string={"q": query})
        return Visitor(app)

    @pytest.mark.parametrize("path", [*PAGES, "/keys?limit=500", "/live?part=rows"])
    def test_it_is_shown_as_text_on_every_page(self, infested: Visitor, path: str) -> None:
        """No character of it reaches the page as itself that is not seen as itself."""
        page = infested.get(path)
        assert page.status_code == 200
        assert len(page.data) < 300_000
        assert "<img" not in page.text
        assert "49" not in page.text.partition("template")[2][:0]
        for character in set(page.text) - {"\n"}:
            assert character.isprintable() or character == "\u202f", repr(character)
        # Strict, and so without halves of characters.
        page.data.decode()

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_it_is_shown_as_text_in_its_own_page(self, infested: Visitor, kind: str) -> None:
        """As a key, as a value, and in the title of a test."""
        address = key_id(HOSTILE[kind])
        if address:
            page = infested.get(f"/keys/{address}?reveal=1")
            assert page.status_code == 200
            assert "<img" not in page.text
            assert len(page.data) < 100_000
        tested = infested.get(
            "/tester",
            query_string={"url": HOSTILE[kind][:2000].encode("utf-8", "surrogateescape")},
        )
        assert "<img" not in tested.text
        assert "\u202e" not in re.findall("<title>(.*?)</title>", tested.text, re.DOTALL)[0]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("view//a", "view//a"),
            ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
            ("a\x00b", 'a<span class="esc">\\x00</span>b'),
            ("\u202eabc", '<span class="esc">\\u202e</span>abc'),
            ("\n\t", '<span class="esc">\\n\\t</span>'),
            ("\ud800", '<span class="esc">\\ud800</span>'),
            ("caf\u00e9 e\u0301", "caf\u00e9 e\u0301"),
            ("", '<span class="cut">(empty)</span>'),
            ("x" * 20, 'xxxxxxxxxx<span class="cut">… (20 characters)</span>'),
            ("<" * 20, "&lt;" * 10 + '<span class="cut">… (20 characters)</span>'),
            (
                "ab\u202e\u202e\u202e",
                'ab<span class="esc">\\u202e</span><span class="cut">… (5 characters)</span>',
            ),
            (
                "\u202e" * 9,
                '<span class="esc">\\u202e</span><span class="cut">… (9 characters)</span>',
            ),
        ],
    )
    def test_what_cannot_be_seen_is_written_out(self, text: str, shown: str) -> None:
        """And marked, so that it is no backslash of the text's own."""
        assert markup.raw(text, 10) == f'<bdi dir="ltr" class="raw">{shown}</bdi>'

    def test_a_megabyte_takes_no_time(self) -> None:
        """It is cut before it is looked at."""
        assert "… (1,048,576 characters)" in markup.raw("\u202e" * (1 << 20), 100)

    def test_a_stored_number_may_be_anything(self) -> None:
        """Entries of others say what they like of times and sizes."""
        for shown in (1e300, -1e300, float("inf"), float("nan"), 0, -1):
            for show in (markup.moment, markup.ago, markup.clock):
                assert "<script" not in show(shown)


class TestPlots:
    def test_a_gap_is_a_gap(self) -> None:
        """Where nothing was looked up the line is broken; one point is a dot."""
        plot = markup.sparkline([0.5, 1.0, None, 0.0, None, float("nan"), 2.0], "<label>")
        assert re.findall(r'polyline class="(\w+)"', plot) == ["line", "point", "point"]
        assert "&lt;label&gt;" in plot
        numbers = [
            float(each) for each in re.findall(r'points="([^"]+)"', plot)[0].split()[0].split(",")
        ]
        assert numbers == [0.0, 22.0]

    @pytest.mark.parametrize(
        ("share", "width"),
        [(0.0, "0.0"), (0.5, "50.0"), (1.0, "100.0"), (7.0, "100.0"), (None, "0.0")],
    )
    def test_a_bar_is_as_long_as_its_share(self, share: Any, width: str) -> None:
        """And never longer."""
        assert f'class="part" width="{width}"' in markup.bar(share, "")

    def test_durations_are_on_one_scale(self) -> None:
        """A tenth of the logarithm is a seventh of the width; what is not known is left out."""
        plot = markup.spread(1e-6, 1e-3, 10.0, "")
        assert 'x1="0.0" x2="100.0"' in plot
        assert 'x1="42.9" x2="43.0"' in markup.spread(None, 1e-3, None, "")
        assert markup.spread(None, None, None, "") == ""


class TestLines:
    @pytest.mark.parametrize(
        "spec",
        [
            RequestSpec("/a?b=c d"),
            RequestSpec("/", "HEAD", "shop.example:1", [("A", "b: c"), ("A", "d")]),
            RequestSpec("http://shop.example/a", "POST"),
        ],
    )
    def test_a_request_survives_being_written(self, spec: RequestSpec) -> None:
        """Into lines and back."""
        written = specs.from_lines(specs.as_lines(spec))
        assert plain(written) == {**plain(spec), "headers": list(spec.headers)}

    def test_cookies_become_their_header(self) -> None:
        """There is no other way to write them in lines."""
        spec = RequestSpec("/", cookies=[("a", "b"), ("c", "d")])
        assert specs.as_lines(spec) == "/\n  Cookie: a=b; c=d"


class TestLanguageOfSentences:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("the key is missing", "The key is missing."),
            ("key_prefix='a' is constant", "key_prefix='a' is constant."),
            ("Done.", "Done."),
            ("is it so?", "Is it so?"),
            ("", "."),
        ],
    )
    def test_a_sentence_begins_and_ends_as_one(self, given: str, shown: str) -> None:
        """Unless it begins with code."""
        assert markup.sentence(given) == shown


def test_the_token_opens_the_pages_too(make_app: Any) -> None:
    """With a form for leaving only for those who have logged in."""
    app, _ = shop_with_pages(make_app, CACHE_DEBUG_TOKEN=TOKEN)
    visitor = Visitor(app)
    assert "Log out" not in visitor.get("/", headers=bearer()).text
    visitor.log_in()
    assert "Log out" in visitor.get("/").text
