"""The demo application: its pages, what it refuses to import, its driver, and a real browser."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from flask_caching_instrumentation import audit
from flask_caching_instrumentation.exposition import instrumentation_of

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "docs" / "examples" / "demo"
sys.path.insert(0, str(DEMO))

from app import LOCAL  # noqa: E402
from docbrowser import create_app, rendering  # noqa: E402
from docbrowser.catalogue import modules, packages  # noqa: E402
from docbrowser.extensions import cache  # noqa: E402
from docbrowser.receipt import outcome  # noqa: E402
from docbrowser.stats import summarise  # noqa: E402
from drive import Call, Report, Tally, is_consistent, plan, show  # noqa: E402


def instrumentation_of_demo(client: FlaskClient) -> Any:
    """What watches the demo's cache."""
    with client.application.app_context():
        return instrumentation_of(cache)


HOSTILE = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">"


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Any]:
    """What is installed, found once for all tests: the walk takes a second."""
    with create_app().app_context():
        return {"modules": modules.uncached(), "packages": packages.uncached()}


@pytest.fixture
def found(catalogue: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications use what was found, instead of looking again."""
    for name, value in catalogue.items():
        for module in ("catalogue", "search"):
            monkeypatch.setattr(f"docbrowser.{module}.{name}", lambda value=value: value)


@pytest.fixture
def client(found: None) -> FlaskClient:
    """A client of a new application with an empty cache."""
    app = create_app()
    app.testing = True
    return app.test_client()


def result_of(client: FlaskClient, path: str, **options: Any) -> str | None:
    """How the answer came about: hit, miss, bypass or None."""
    return outcome(client.open(path, **options).headers.get("Cache-Status"))


class TestPages:
    @pytest.mark.parametrize(
        "path", ["/modules/", "/modules/json", "/packages/", "/search?q=json&kind=module"]
    )
    def test_the_second_load_of_a_page_is_a_hit_and_says_so(
        self, client: FlaskClient, path: str
    ) -> None:
        """The receipt is of the answer at hand, not of the one that was stored."""
        first, second = client.get(path), client.get(path)
        assert first.status_code == second.status_code == 200
        assert 'data-outcome="miss"' in first.text
        assert 'data-outcome="hit"' in second.text
        assert 'data-outcome="miss"' not in second.text
        assert second.headers["Server-Timing"].startswith('cache;desc="hit", app;dur=')

    def test_the_overview_is_computed_for_each_request(self, client: FlaskClient) -> None:
        """Its numbers are of this moment."""
        client.get("/")
        page = client.get("/")
        assert 'data-outcome="none"' in page.text
        assert "Cache-Status" not in page.headers

    def test_the_overview_works_without_instrumentation(self, found: None) -> None:
        """Where nothing is measured the page says why it is empty, instead of failing."""
        client = create_app({"CACHE_INSTRUMENTATION": None}).test_client()
        assert client.get("/modules/json").status_code == 200
        assert "Nothing was looked up yet" in client.get("/").text

    def test_fresh_computes_a_page_again_and_stores_it(self, client: FlaskClient) -> None:
        """``?fresh=1`` is not answered from the cache, and leaves a hit behind."""
        assert result_of(client, "/modules/json") == "miss"
        assert result_of(client, "/modules/json?fresh=1") == "fresh"
        assert result_of(client, "/modules/json") == "hit"

    def test_a_fresh_search_takes_the_place_of_the_old_one(self, client: FlaskClient) -> None:
        """``fresh`` is no part of the search's key."""
        assert result_of(client, "/search?q=json&kind=package&fresh=1") == "fresh"
        assert result_of(client, "/search?kind=package&q=json") == "hit"

    def test_the_order_of_parameters_makes_no_difference(self, client: FlaskClient) -> None:
        """Two spellings of one search are one entry; another search is another."""
        assert result_of(client, "/search?q=json&kind=module") == "miss"
        assert result_of(client, "/search?kind=module&q=json") == "hit"
        assert result_of(client, "/search?q=json&kind=package") == "miss"

    def test_a_post_is_never_answered_from_the_cache(self, client: FlaskClient) -> None:
        """Nor does it leave anything for a later GET."""
        search = {"q": "json", "kind": "module"}
        assert result_of(client, "/search?q=json&kind=module") == "miss"
        posted = client.post("/search?q=json&kind=module", data=search)
        assert outcome(posted.headers.get("Cache-Status")) == "bypass"
        assert "json.decoder" in posted.text
        assert result_of(client, "/search?q=http&kind=module", method="POST") == "bypass"
        assert result_of(client, "/search?q=http&kind=module") == "miss"

    def test_modules_of_one_package_share_the_list_beside_them(self, client: FlaskClient) -> None:
        """The fragment is computed with the first page of the package, and found by the next."""
        client.get("/modules/json")
        page = client.get("/modules/json.decoder")
        with client.application.app_context():
            rows = summarise(cache.stats()).rows
        assert [(r.hits, r.misses) for r in rows if r.source == "template"] == [(1, 1)]
        assert '<a href="/modules/json.encoder">encoder</a>' in page.text

    def test_a_package_page_shows_its_metadata(
        self, client: FlaskClient, catalogue: dict[str, Any]
    ) -> None:
        """The version in the address is the one installed, and requirements are links."""
        flask = next(package for package in catalogue["packages"] if package.name == "Flask")
        page = client.get(f"/packages/Flask/{flask.version}")
        assert page.status_code == 200
        assert flask.summary in page.text
        assert re.search(r'<a href="/packages/[Ww]erkzeug/[^"]+">[Ww]erkzeug', page.text)
        assert '<a href="/modules/flask">flask</a>' in page.text

    def test_search_finds_the_exact_name_first(self, client: FlaskClient) -> None:
        """Then what begins with it; a function's link leads to where pydoc describes it."""
        titles = re.findall(
            r'<li>\s*<a href="[^"]+">([^<]+)</a>', client.get("/search?q=JSON&kind=module").text
        )
        assert titles[0] == "json"
        names = client.get("/search?q=namedtuple&kind=name").text
        assert 'href="/modules/collections#-namedtuple"' in names
        assert ' id="-namedtuple"' in client.get("/modules/collections").text


class TestNothingFound:
    @pytest.mark.parametrize(
        ("path", "help_offered"),
        [
            ("/modules/jsn", '<a href="/modules/json">json</a>'),
            ("/modules/json/decoder", '<a href="/modules/json.decoder">json.decoder</a>'),
            ("/packages/Flaks/1.0", '<a href="/packages/Flask/'),
            ("/packages/Flask/0.0.1", '<a href="/packages/Flask/'),
            ("/nothing/here", '<a href="/search">'),
        ],
    )
    def test_a_missing_page_offers_what_was_meant(
        self, client: FlaskClient, path: str, help_offered: str
    ) -> None:
        """And does so again when it is loaded again, from the cache or not."""
        for _load in range(2):
            page = client.get(path)
            assert page.status_code == 404
            assert help_offered in page.text

    def test_an_empty_result_says_what_to_do(self, client: FlaskClient) -> None:
        """It widens the search, or points at the whole list."""
        assert 'href="/search?q=zzqqy"' in client.get("/search?q=zzqqy&kind=module").text
        assert "Fewer letters find" in client.get("/search?q=zzqqy").text

    def test_an_empty_search_shows_examples(self, client: FlaskClient) -> None:
        """The bare form is not a search for everything."""
        assert 'href="/search?q=json"' in client.get("/search").text

    @pytest.mark.parametrize("query", ["q=json&kind=nonsense", f"q={'x' * 101}"])
    def test_a_search_that_cannot_be_made_is_a_400_that_says_why(
        self, client: FlaskClient, query: str
    ) -> None:
        """An unknown kind names the known ones; too long a query, the limit."""
        page = client.get(f"/search?{query}")
        assert page.status_code == 400
        assert "module, name, package" in page.text or "at most 100 characters" in page.text

    def test_a_module_that_cannot_be_imported_has_a_page_that_says_so(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Importing runs a stranger's code; even ``sys.exit`` in it ends nothing here."""

        def leave(name: str) -> None:
            sys.exit(3)

        monkeypatch.setattr(rendering.importlib, "import_module", leave)
        page = client.get("/modules/json")
        assert page.status_code == 404
        assert "SystemExit: 3" in page.text


class TestWhatIsImported:
    @pytest.mark.parametrize(
        "name",
        [
            *("antigravity", "this", "idlelib.idle", "turtledemo", "test.support", "__main__"),
            *("json.__init__", "os.environ", "_socket", "docbrowser.views", "app", "conftest"),
            *("../etc/passwd", "json;os", " json", "json.", ".json", "json\x00", "a" * 5000),
        ],
    )
    def test_only_names_of_the_catalogue_are_imported(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Whatever the address says, nothing else reaches the import system."""
        imported: list[str] = []
        monkeypatch.setattr(rendering.importlib, "import_module", imported.append)
        assert client.get(f"/modules/{name}").status_code == 404
        assert imported == []

    def test_the_catalogue_imports_nothing_that_was_installed(
        self, catalogue: dict[str, Any]
    ) -> None:
        """It is made by looking at files, in a process that imports the demo and no more."""
        script = """
import json, sys
from docbrowser import create_app
from docbrowser.catalogue import modules
app = create_app()
before = set(sys.modules)
with app.app_context():
    found = modules.uncached()
new = [found[name] for name in set(sys.modules) - before if name in found]
print(json.dumps([module.name for module in new if module.origin != "standard library"]))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=DEMO,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(done.stdout) == []
        assert len(catalogue["modules"]) > 300

    def test_the_environment_is_not_shown(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """pydoc prints the values of module data; the demo prints plain constants only."""
        monkeypatch.setenv("AAA_DEMO_SECRET", "hunter2")
        page = client.get("/modules/os").text
        assert "environ" in page
        assert "AAA_DEMO_SECRET" not in page
        assert "hunter2" not in page
        assert str(Path.home()) not in page
        assert "<strong>O_RDONLY</strong> = 0" in page


class TestHostileInput:
    @pytest.mark.parametrize(
        "path",
        [f"/search?kind=module&q={HOSTILE}", f"/modules/{HOSTILE}", f"/packages/{HOSTILE[:25]}/1"],
    )
    def test_it_is_escaped_wherever_it_is_shown(self, client: FlaskClient, path: str) -> None:
        """On the first load and on the next, which comes from the cache."""
        for _load in range(2):
            text = client.get(path).text
            assert "<script>" not in text
            assert "<img" not in text
            assert "&lt;script&gt;" in text

    def test_it_cannot_forge_the_receipt(self, client: FlaskClient) -> None:
        """The mark that the receipt replaces cannot be written by a reader."""
        text = client.get("/search?kind=module&q=<!-- receipt -->").text
        assert text.count('class="receipt"') == 1
        assert "&lt;!-- receipt --&gt;" in text

    def test_a_query_cannot_redirect_the_link_for_a_fresh_page(self, client: FlaskClient) -> None:
        """Parameters are carried along, and never taken for options of ``url_for``."""
        query = "_scheme=javascript&_external=1&_anchor=a&name=os&q=%22%3E"
        text = client.get(f"/modules/json?{query}").text
        assert f'href="/modules/json?{query}&fresh=1"'.replace("&", "&amp;") in text

    def test_pages_forbid_inline_scripts_and_framing(self, client: FlaskClient) -> None:
        """A second line of defence, sent with hits as with misses."""
        for _load in range(2):
            policy = client.get("/modules/json").headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-inline" not in policy

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("<script>alert(1)</script>text", "text"),
            ('<p onclick="x()">a</p>', "<p>a</p>"),
            ('<a href="javascript:x()">a</a>', "<a>a</a>"),
            ('<a href="file:/etc/passwd">a</a>', "<a>a</a>"),
            ('<a href="//host/x">a</a>', "<a>a</a>"),
            ('<a href="json.html#-dumps">a</a>', '<a href="/modules/json#-dumps">a</a>'),
            ('<a href="unknown.html">a</a>', "<a>a</a>"),
            ('<a name="x&quot; onclick=&quot;y">a</a>', '<a id="x&quot; onclick=&quot;y">a</a>'),
            (
                '<a href="https://a/?b&quot;c">a</a>',
                '<a href="https://a/?b&quot;c" rel="noopener noreferrer">a</a>',
            ),
            ("</div></main>text", "text"),
            ("<dl><dt>a</dl>b", "<dl><dt>a</dt></dl>b"),
            ("<em>open", "<em>open</em>"),
            ("a &lt;b&gt; &amp;c", "a &lt;b&gt; &amp;c"),
            ("a < b", "a &lt; b"),
            ("<svg><style>*{}</style></svg>a<!-- b -->", "a"),
        ],
    )
    def test_the_sanitiser_keeps_text_and_a_few_elements(self, given: str, kept: str) -> None:
        """Docstrings are other people's text, and pydoc's HTML is not always balanced."""
        with create_app().test_request_context():
            assert rendering.sanitise(given, {"json"}) == kept


class TestDriver:
    def test_the_same_seed_plans_the_same_requests(self) -> None:
        """One POST is always among them, and searches in both orders of their parameters."""
        calls = list(plan(["/packages/a/1"], 300, random.Random(2)))
        assert calls == list(plan(["/packages/a/1"], 300, random.Random(2)))
        assert len(calls) == 300
        assert [call for call in calls if call.method == "POST"] == [
            Call("POST", "POST", "/search", "q=json&kind=module")
        ]
        queries = [call.target for call in calls if call.kind == "search"]
        assert any(query.startswith("/search?q=") for query in queries)
        assert any(query.startswith("/search?kind=") for query in queries)
        assert {"HEAD", "missing", "package", "module"} <= {call.kind for call in calls}

    def test_an_empty_report_can_be_shown(self) -> None:
        """A drive that is interrupted at once has no medians."""
        assert re.search(r"all +0 +0 +0 +0 +- +- +-", show(Report()))

    def test_a_report_is_consistent_only_if_both_counts_agree_and_nothing_failed(self) -> None:
        """This is what ``--once`` exits with."""
        tallies = {"module": Tally(hits=[1.0, 2.0], misses=[3.0])}
        assert is_consistent(Report(tallies, counted_hits=2))
        assert not is_consistent(Report(tallies, counted_hits=3))
        assert not is_consistent(Report(tallies, counted_hits=2, failures=1))

    @pytest.mark.parametrize(
        ("header", "meaning"),
        [
            ("Flask-Caching; hit", "hit"),
            ("Flask-Caching; hit; ttl=30", "hit"),
            ("Flask-Caching; fwd=uri-miss; stored", "miss"),
            ("Flask-Caching; fwd=vary-miss", "miss"),
            ("Flask-Caching;fwd=stale;stored", "stale"),
            ("Flask-Caching; fwd=request; stored", "fresh"),
            ("Flask-Caching; fwd=method", "bypass"),
            ("Flask-Caching; fwd=bypass", "bypass"),
            ("Flask-Caching; fwd=uri-miss, proxy; hit", "hit"),
            ("Flask-Caching", None),
            ("", None),
            (None, None),
        ],
    )
    def test_cache_status_is_read_as_rfc_9211_writes_it(
        self, header: str | None, meaning: str | None
    ) -> None:
        """The nearest cache comes last; parameters may stand with or without a space."""
        assert outcome(header) == meaning


class TestTheMistake:
    def test_two_packages_are_told_that_they_require_the_same(self, client: FlaskClient) -> None:
        """The page says so itself: it was made for another package."""
        first, second = packages.uncached()[:2]
        pages = [
            client.get(f"/packages/{each.name}/{each.version}/requires") for each in (first, second)
        ]
        assert f"What {first.name} requires" in pages[0].text
        assert pages[1].text.startswith(pages[0].text.partition("receipt")[0])
        (offender,) = instrumentation_of_demo(client).offenders.latest()
        assert (offender.key, offender.kind) == ("requires", "arguments")

    def test_the_audit_finds_it_and_nothing_else(self, client: FlaskClient) -> None:
        """Also when it calls every page, to see what they read."""
        for execute in (False, True):
            (found,) = audit(cache, app=client.application, execute=execute).errors
            assert (found.rule, found.target) == ("constant-key", "browser.requires")

    def test_the_debug_pages_answer_this_machine_under_debug_alone(self, found: None) -> None:
        """As ``app.py`` serves it they are open; an application without ``debug`` shuts them."""
        client = create_app(LOCAL).test_client()
        assert client.get("/_cache/audit").status_code == 200
        client.application.debug = False
        assert client.get("/_cache/audit").status_code == 403


class TestProgram:
    def test_drive_once_prints_the_table_and_exits(self) -> None:
        """Hits were seen, every row adds up, and ``/metrics`` counted the same hits."""
        done = subprocess.run(
            [sys.executable, DEMO / "app.py", "--drive", "--once", "--port=0", "--requests=150"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert complaints(done.stderr) == []
        assert done.returncode == 0, done.stdout
        table = parse_table(done.stdout)
        total = table.pop("all")
        assert total[0] == 150 == sum(row[0] for row in table.values())
        assert all(requests == sum(parts) for requests, *parts in [*table.values(), total])
        assert total[1] > 50
        assert table["module"][1] > table["module"][2]
        assert table["POST"] == (1, 0, 0, 1)
        assert f"/metrics counted the same {total[1]} hits." in done.stdout
        saved = re.search(r"seconds saved: ([\d.]+) by pages", done.stdout)
        assert saved is not None
        assert float(saved[1]) > 0

    def test_it_serves_on_after_the_drive_and_metrics_agree(self) -> None:
        """``/metrics`` has the hits that the driver saw by ``Cache-Status``."""
        with demo("--drive", "--requests", "60") as (base, output):
            with urlopen(f"{base}/metrics") as answer:
                text = answer.read().decode()
            counted = sum(
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "flask_caching_lookups_total"
                and sample.labels["source"] == "view"
                and sample.labels["result"] == "hit"
            )
            assert counted == parse_table(output)["all"][1] > 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_quietly(self, number: signal.Signals) -> None:
        """Exit status 0, nothing on the error output, and nobody listens any more."""
        with demo(stop_with=number) as (base, _output):
            port = int(base.rpartition(":")[2])
            socket.create_connection(("127.0.0.1", port), 5).close()
            if sys.platform == "linux":  # which has all of 127.0.0.0/8
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.2", port), 5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)

    def test_another_host_name_is_refused(self) -> None:
        """A page elsewhere cannot read this one through a name that leads to this address."""
        if tuple(map(int, version("flask").split(".")[:2])) < (3, 1):
            pytest.skip("Flask has TRUSTED_HOSTS from 3.1 on")
        with demo() as (base, _output), pytest.raises(HTTPError, match="400"):
            urlopen(Request(f"{base}/", headers={"Host": "rebound.example"}))

    def test_a_port_in_use_is_an_error_that_says_so(self) -> None:
        """No traceback, and what to do."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, DEMO / "app.py", "--port", str(port)],
                env=environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "--port 0" in done.stderr

    @pytest.mark.parametrize("arguments", ["--once", "--drive --requests 0", "--port 70000"])
    def test_options_that_make_no_sense_are_refused(self, arguments: str) -> None:
        """With status 2 and a line that names the option."""
        done = subprocess.run(
            [sys.executable, DEMO / "app.py", *arguments.split()],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert arguments.split()[-1 if " " not in arguments else -2] in done.stderr


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of a demo that the tests below share."""
    with demo() as (base, _output):
        yield base


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; where there is none the test is skipped, and fails under ``CI=true``."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("no Chromium: on Debian, apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-sync"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A narrow window. The test fails if anything is said on its console."""
    page = browser.new_page(viewport={"width": 400, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert complaints == []


@pytest.mark.browser
class TestInABrowser:
    def test_the_second_load_of_each_kind_of_page_is_a_hit(self, page: Any, served: str) -> None:
        """And no page is wider than a narrow window."""
        page.goto(f"{served}/packages/?fresh=1")
        package = page.locator(".entries a").first.get_attribute("href")
        for path in ("/modules/", "/modules/json", "/search?q=json&kind=module", package):
            outcomes = []
            for _load in range(2):
                page.goto(f"{served}{path}")
                outcomes.append(page.locator(".receipt").get_attribute("data-outcome"))
            assert outcomes == ["miss", "hit"], path
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, path

    def test_search_works_from_the_keyboard_and_escapes_what_is_typed(
        self, page: Any, served: str
    ) -> None:
        """Typed text comes back as text: no script of it runs."""
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"{served}/search")
        page.locator("input[name=q]:focus").wait_for()
        page.keyboard.type(HOSTILE)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=*")
        assert HOSTILE.casefold() in page.locator(".empty").inner_text().casefold()
        assert page.locator("main img, main script").count() == 0
        assert dialogs == []

    def test_the_debug_pages_show_the_mistake(self, page: Any, served: str) -> None:
        """From the audit to the two addresses that share a key, in one click.

        With ``FLASK_CACHING_SCREENSHOTS=1`` it makes the pictures of the README and the manual.
        """
        pictures = os.environ.get("FLASK_CACHING_SCREENSHOTS") == "1"
        if pictures:
            page.set_viewport_size({"width": 1100, "height": 800})
        page.goto(f"{served}/")
        page.get_by_role("link", name="Cache", exact=True).click()
        page.get_by_role("link", name="Audit", exact=True).click()
        error = page.locator("main", has_text="key_prefix='requires' has no %s")
        assert "/packages/<name>/<version>/requires" in error.inner_text()
        if pictures:
            height = page.get_by_role("heading", name="To be known").bounding_box()["y"]
            page.screenshot(
                path=ROOT / "docs/images/demo-audit.png",
                clip={"x": 0, "y": 0, "width": 1100, "height": height - 16},
                full_page=True,
            )
        page.get_by_role("link", name="Compare these two").click()
        page.get_by_text("Same key", exact=False).first.wait_for()
        if pictures:
            page.screenshot(path=ROOT / "docs/images/demo-compare.png", full_page=True)

    def test_the_overview_follows_by_itself(self, page: Any, served: str) -> None:
        """What others read shows up without a reload."""
        urlopen(f"{served}/modules/struct").close()
        page.goto(f"{served}/")
        assert page.locator(".receipt").get_attribute("data-outcome") == "none"
        # By its endpoint, or by its function.
        name = page.locator("th", has_text=re.compile(r"^(browser\.)?module$"))
        hits = page.locator("#numbers tr", has=name, has_text="view").locator("td").nth(1)
        before = int(hits.inner_text())
        urlopen(f"{served}/modules/struct").close()
        hits.get_by_text(str(before + 1), exact=True).wait_for(timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def environment() -> dict[str, str]:
    """The variables of this process, with both source roots on the path."""
    roots = os.pathsep.join((str(ROOT), str(ROOT / "instrumentation")))
    return {**os.environ, "PYTHONPATH": roots, "PYTHONUNBUFFERED": "1"}


@contextmanager
def demo(*arguments: str, stop_with: signal.Signals = signal.SIGTERM) -> Iterator[tuple[str, str]]:
    """Run the demo on a free port; yields its address and what it printed.

    At the end it is stopped by a signal, and must exit with 0 and without complaints.
    """
    process = subprocess.Popen(
        [sys.executable, DEMO / "app.py", "--port", "0", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    with process:
        try:
            assert process.stdout is not None
            output = ""
            for line in process.stdout:
                output += line
                if line.startswith("Ctrl-C"):
                    break
            address = re.search(r"http://[\d.]+:\d+", output)
            assert address is not None, process.communicate()
            yield address[0], output
        finally:
            process.send_signal(stop_with)
            _rest, errors = process.communicate()
            watchdog.cancel()
    assert complaints(errors) == []
    assert process.returncode == 0


def complaints(errors: str) -> list[str]:
    """What a demo said on its error output, but for the mistake that it is to find."""
    return [line for line in errors.splitlines() if "view 'browser.requires' found" not in line]


def parse_table(output: str) -> dict[str, tuple[int, int, int, int]]:
    """The driver's table: requests, hits, misses and not cached by kind."""
    rows = re.findall(r"^  (\w+) +(\d+) +(\d+) +(\d+) +(\d+) ", output, re.MULTILINE)
    return {kind: tuple(map(int, numbers)) for kind, *numbers in rows}  # type: ignore[misc]
