"""The JSON of the debug pages: what it tells, what it takes, and what it says of mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from debug_site import PROBLEM, TOKEN, Visitor, bearer, shop_with_pages

from flask_caching.errors import BackendError
from flask_caching_instrumentation.inspection.inspector import Inspector
from flask_caching_instrumentation.inspection.keyids import key_id
from flask_caching_instrumentation.inspection.model import plain


@pytest.fixture
def shop(make_app):
    """The shop behind a token, where keys may be deleted, and some requests."""
    app, cache = shop_with_pages(make_app, CACHE_DEBUG_TOKEN=TOKEN, CACHE_DEBUG_WRITE=True)
    client = app.test_client()
    for path in ("/", "/", "/product/1", "/product/2", "/search?q=a&token=abc"):
        client.get(path)
    return app, cache


@pytest.fixture
def ask(shop) -> Callable[..., Any]:
    """Sends a request with the token: ``ask("keys")``, or ``ask("explain", {...})`` by POST."""
    visitor = Visitor(shop[0])

    def send(path: str, sent: Any = None, **options: Any) -> Any:
        method = "GET" if sent is None else "POST"
        body = {} if sent is None else {"json": sent}
        return visitor.open(f"/api/v1/{path}", method=method, headers=bearer(), **body, **options)

    return send


class TestReading:
    def test_the_overview_has_every_cache(self, ask: Any) -> None:
        """With the numbers of this worker."""
        (cache,) = ask("overview").json["caches"]
        assert cache["backend"] == "SimpleCache"
        assert cache["totals"]["hits"] == 2
        assert cache["collisions"] == {"arguments": 1}
        assert [interval["seconds"] for interval in cache["intervals"]] == [60, 300, 3600]

    def test_keys_are_listed_in_pages(self, ask: Any) -> None:
        """A cursor leads through all of them, each once."""
        whole = ask("keys").json
        assert (whole["supported"], whole["cursor"]) == (True, "")
        found: list[str] = []
        cursor = ""
        for _ in range(10):
            page = ask("keys", query_string={"limit": "1", "cursor": cursor}).json
            assert len(page["rows"]) <= 1
            found += [row["key"] for row in page["rows"]]
            cursor = page["cursor"]
            if not cursor:
                break
        assert sorted(found) == sorted(row["key"] for row in whole["rows"])
        assert {"product", "view//"} <= set(found)

    def test_keys_are_filtered_by_text_and_kind(self, ask: Any) -> None:
        """The text is taken literally."""
        assert [row["key"] for row in ask("keys?match=rod").json["rows"]] == ["product"]
        assert ask("keys?match=*").json["rows"] == []
        assert ask("keys?kind=memoize").json["rows"] == []
        assert len(ask("keys?kind=view").json["rows"]) == 3

    def test_a_key_is_told_with_its_value_only_on_request(self, ask: Any) -> None:
        """Who wrote it and who asked for it are told anyway."""
        name = key_id("product")
        told = ask(f"keys/{name}").json
        assert told["exists"]
        assert told["preview"] is None
        assert told["written_by"]["arguments"] == "id=1"
        assert {each["url"] for each in told["shared_by"]} == {"/product/1", "/product/2"}
        assert "arguments" in told["collision"]
        revealed = ask(f"keys/{name}?reveal=1").json["preview"]
        assert (revealed["form"], revealed["text"]) == ("text", "product 1")

    @pytest.mark.parametrize("name", ["product", "k", "kcHJ", "k!!!", "k" + "A" * 3000])
    def test_what_names_no_key_is_not_found(self, ask: Any, name: str) -> None:
        """Or is a key that has no entry."""
        answer = ask(f"keys/{name}")
        assert (answer.status_code, answer.mimetype) == (404, PROBLEM) or (
            answer.status_code == 200 and not answer.json["exists"]
        )

    def test_functions_are_told(self, ask: Any) -> None:
        """With the warning that the audit demonstrates."""
        told = ask("functions").json
        assert told["cache"] == "cache"
        rules = {rule for each in told["functions"] for rule in each["rules"]}
        assert rules == {"/", "/product/<int:id>", "/search"}
        assert any(each["warnings"] for each in told["functions"])

    def test_requests_are_told_since_the_last_time(self, ask: Any, shop: Any) -> None:
        """The latest first, secrets in their addresses hidden."""
        log = ask("requests").json
        assert log["recording"]
        assert [each["url"] for each in log["requests"]][:2] == [
            "/search?q=a&token=(hidden)",
            "/product/2",
        ]
        assert ask(f"requests?after={log['latest']}").json["requests"] == []
        shop[0].test_client().get("/product/3")
        (new,) = ask(f"requests?after={log['latest']}").json["requests"]
        assert new["url"] == "/product/3"
        assert len(ask("requests?limit=2").json["requests"]) == 2
        assert len(ask(f"requests?after={log['latest']}&pid={log['pid']}").json["requests"]) == 1
        # Numbers of another process mean nothing here.
        assert len(ask(f"requests?after={log['latest']}&pid=1").json["requests"]) == 6

    def test_the_audit_finds_the_mistake(self, ask: Any) -> None:
        """And demonstrates it."""
        report = ask("audit").json
        (error,) = [each for each in report["findings"] if each["level"] == "error"]
        proof = error["demonstration"]
        assert error["target"] == "product"
        assert proof["key"] == "product"
        urls = {proof[each]["request"]["url"] for each in ("first", "second")}
        assert len(urls) == 2

    @pytest.mark.parametrize(
        "query",
        [
            *("limit=0", "limit=501", "limit=-1", "limit=1e3", "limit=x", "limit=\u0661"),
            *("kind=views", "cursor=nonsense", f"match={'x' * 4001}", f"limit={'9' * 40}"),
        ],
    )
    def test_a_parameter_that_cannot_be_used_is_a_400(self, ask: Any, query: str) -> None:
        """That says which one."""
        answer = ask(f"keys?{query}")
        assert (answer.status_code, answer.mimetype) == (400, PROBLEM)
        assert query.partition("=")[0] in answer.json["detail"].lower()

    def test_an_unknown_cache_is_a_404(self, ask: Any) -> None:
        """That says which there are."""
        answer = ask("keys?cache=nonsense")
        assert (answer.status_code, answer.mimetype) == (404, PROBLEM)
        assert "show cache" in answer.json["detail"]


class TestAsking:
    def test_a_request_is_explained(self, ask: Any, shop: Any) -> None:
        """As by ``cache.explain``, and nothing is run or stored."""
        told = ask("explain", {"url": "/product/7"}).json
        assert told["key"] == "product"
        assert told["endpoint"] == "product"
        assert told["arguments"] == {"id": "7"}
        assert told["verdict"] == "hit"
        assert told["key"] == shop[1].explain("/product/7").key

    def test_everything_about_a_request_can_be_said(self, ask: Any) -> None:
        """Headers and cookies as an object, or in pairs."""
        spec = {
            "url": "/search?q=a",
            "method": "POST",
            "host": "shop.example:8080",
            "headers": [["Accept", "a/b"], ["Accept", "c/d"]],
            "cookies": {"theme": "dark"},
            "body": "q=b",
            "content_type": "application/x-www-form-urlencoded",
        }
        told = ask("explain", spec).json
        assert told["verdict"] == "bypass"
        assert told["request"]["headers"] == [["Accept", "a/b"], ["Accept", "c/d"]]
        assert told["request"]["host"] == "shop.example:8080"

    def test_requests_are_compared(self, ask: Any) -> None:
        """And a collision is called one."""
        told = ask("compare", {"requests": [{"url": "/product/1"}, {"url": "/product/2"}]}).json
        assert (told["verdict"], told["collision"]) == ("same", True)
        assert told["groups"] == [[0, 1]]
        urls = [{"url": f"/search?q={number}"} for number in range(20)]
        assert ask("compare", {"requests": urls}).json["verdict"] == "distinct"

    @pytest.mark.parametrize(
        ("path", "sent", "said"),
        [
            ("explain", [], "a url"),
            ("explain", {}, "no url"),
            ("explain", {"url": ""}, "no url"),
            ("explain", {"url": 1}, "url is not text"),
            ("explain", {"url": "/", "verb": "GET"}, "'verb' is no field"),
            ("explain", {"url": "/", "method": "GET /"}, "no request method"),
            ("explain", {"url": "/", "method": "\ud800"}, "no request method"),
            ("explain", {"url": "/", "headers": "a"}, "an array of name and value"),
            ("explain", {"url": "/", "headers": [["a"]]}, "a name and a value"),
            ("explain", {"url": "/", "headers": {"a": 1}}, "a name and a value"),
            ("explain", {"url": "/", "headers": {"a b": "c"}}, "no name"),
            ("explain", {"url": "/", "headers": {"a": "b\r\nc: d"}}, "cannot be sent"),
            ("explain", {"url": "/", "host": "a\nb"}, "cannot be sent"),
            ("explain", {"url": "/", "headers": [["a", "b"]] * 101}, "more than 100"),
            ("explain", {"url": f"/{'x' * 8000}"}, "longer than"),
            ("compare", {}, "requests is an array"),
            ("compare", {"requests": []}, "2 to 20"),
            ("compare", {"requests": [{"url": "/"}]}, "2 to 20"),
            ("compare", {"requests": [{"url": "/"}] * 21}, "2 to 20"),
            ("compare", {"requests": ["/", "/"]}, "an object with a url"),
            ("keys/delete", [], "an object"),
            ("keys/delete", {}, "1 to 500"),
            ("keys/delete", {"keys": "product"}, "arrays of text"),
            ("keys/delete", {"keys": [1]}, "arrays of text"),
            ("keys/delete", {"ids": ["product"]}, "not the id of a key"),
            ("keys/delete", {"keys": ["a"] * 501}, "1 to 500"),
            ("keys/delete", {"names": ["a"]}, "keys, or ids"),
        ],
    )
    def test_what_cannot_be_asked_is_a_400_that_says_why(
        self, ask: Any, path: str, sent: Any, said: str
    ) -> None:
        """Whatever was sent."""
        answer = ask(path, sent)
        assert (answer.status_code, answer.mimetype) == (400, PROBLEM)
        assert said.lower() in answer.json["detail"].lower()

    @pytest.mark.parametrize(
        ("body", "status"),
        [("", 400), ("{", 400), ("[" * 50_000, 400), ('{"url": "/"}', 200), ("\xff", 400)],
    )
    def test_a_body_that_is_no_json_is_a_400(self, shop: Any, body: str, status: int) -> None:
        """However deep it is."""
        answer = Visitor(shop[0]).open(
            "/api/v1/explain",
            method="POST",
            headers={**bearer(), "Content-Type": "application/json"},
            data=body.encode("latin-1"),
        )
        assert answer.status_code == status

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_only_json_is_taken(self, shop: Any, kind: str) -> None:
        """A form of another site could send anything else."""
        answer = Visitor(shop[0]).open(
            "/api/v1/explain",
            method="POST",
            headers={**bearer(), "Content-Type": kind},
            data='{"url": "/"}',
        )
        assert (answer.status_code, answer.mimetype) == (415, PROBLEM)


class TestDeleting:
    def test_keys_are_deleted_by_name_or_id(self, ask: Any) -> None:
        """What was there is told, and is gone."""
        sent = {"keys": ["product"], "ids": [key_id("view//")]}
        assert sorted(ask("keys/delete", sent).json["deleted"]) == ["product", "view//"]
        assert [row["target"] for row in ask("keys").json["rows"]] == ["search"]

    def test_everything_is_deleted(self, ask: Any) -> None:
        """All of this cache."""
        assert ask("clear", {}).json == {"cleared": True}
        assert ask("keys").json["rows"] == []


class TestHostileKeys:
    @pytest.mark.parametrize(
        "key", ["\x00\x1b[31m", "\u202e\u2066", "\ud800", "<script>", "\u2028"]
    )
    def test_they_are_told_as_they_are(self, ask: Any, shop: Any, key: str) -> None:
        """In ASCII, so that nothing between here and there changes them."""
        app, cache = shop
        with app.app_context():
            cache.set(key, key)
        answer = ask("keys")
        assert answer.data.isascii()
        assert key in [row["key"] for row in answer.json["rows"]]
        assert ask(f"keys/{key_id(key)}").json["row"]["key"] == key
        assert ask("keys/delete", {"keys": [key]}).json["deleted"] == [key]


class TestFailures:
    def test_a_store_that_fails_is_a_503(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """With what it said, but for credentials."""

        def fail(inspector: Inspector, *args: Any, **kwargs: Any) -> None:
            raise BackendError("no answer from redis://ann:secret@server/0")

        monkeypatch.setattr(Inspector, "delete", fail)
        answer = ask("keys/delete", {"keys": ["product"]})
        assert (answer.status_code, answer.mimetype) == (503, PROBLEM)
        assert "no answer from" in answer.json["detail"]
        assert "secret" not in answer.json["detail"]

    def test_a_number_that_json_has_not_is_null(
        self, ask: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Instead of text that no parser reads."""
        app, cache = shop
        with app.app_context():
            overview = plain(Inspector(cache).overview())
        overview["saved_seconds"] = float("nan")
        monkeypatch.setattr("flask_caching_instrumentation.debug.api.plain", lambda shown: overview)
        assert json.loads(ask("overview").data)["saved_seconds"] is None
