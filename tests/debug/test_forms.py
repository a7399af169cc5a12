"""What changes something in the debug pages: only forms of theirs, and only where it may."""

from __future__ import annotations

from typing import Any

import pytest
from debug_site import (
    TOKEN,
    Visitor,
    bearer,
    cookies_of,
    form_token,
    shop_with_pages,
)

from flask_caching_instrumentation.debug.gate import FORM_COOKIE, LONGEST_BODY


class TestForms:
    @pytest.fixture
    def visitor(self, local: Any) -> Visitor:
        """A developer at the machine."""
        return Visitor(local[0])

    @pytest.fixture
    def precious(self, local: Any) -> Any:
        """Whether a key of that name is still in the store."""
        app, cache = local
        with app.app_context():
            cache.set("precious", "value")

        def there() -> bool:
            with app.app_context():
                return bool(cache.get("precious") == "value")

        return there

    def test_a_form_of_these_pages_works(self, visitor: Visitor, precious: Any) -> None:
        """So the refusals below have no other reason."""
        assert visitor.post("/clear").status_code == 303
        assert not precious()

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": None},
            {"Origin": None, "Referer": "http://evil.example/"},
            {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        ],
    )
    @pytest.mark.parametrize("path", ["/clear", "/delete", "/tester", "/compare", "/logout"])
    def test_a_form_of_another_site_does_not(
        self, visitor: Visitor, precious: Any, headers: dict[str, Any], path: str
    ) -> None:
        """Even with the right token in it: a browser would not send one, but a thief might."""
        assert visitor.post(path, {"url": "/"}, headers=headers).status_code == 403
        assert precious()

    @pytest.mark.parametrize("carried", ["", "x", "0" * 64, "\u20ac"])
    def test_a_form_without_its_token_does_not(
        self, visitor: Visitor, precious: Any, carried: str
    ) -> None:
        """Nor with a made-up one."""
        visitor.get("/keys")
        answer = visitor.post("/clear", {"csrf_token": carried})
        assert answer.status_code == 403
        assert "csrf_token" in answer.text
        assert precious()

    def test_a_form_of_another_session_does_not(
        self, local: Any, visitor: Visitor, precious: Any
    ) -> None:
        """Its token was made for another cookie."""
        stolen = form_token(Visitor(local[0]).get("/keys").text)
        visitor.get("/keys")
        assert visitor.post("/clear", {"csrf_token": stolen}).status_code == 403
        assert precious()

    def test_a_form_without_a_cookie_does_not(self, local: Any, precious: Any) -> None:
        """A token is nothing by itself."""
        carried = form_token(Visitor(local[0]).get("/keys").text)
        answer = Visitor(local[0]).open(
            "/clear",
            method="POST",
            data={"csrf_token": carried},
            headers={"Origin": "http://localhost"},
        )
        assert answer.status_code == 403
        assert precious()

    def test_programs_send_the_token_in_a_header(self, visitor: Visitor, precious: Any) -> None:
        """The script of a page, that is."""
        carried = form_token(visitor.get("/keys").text)
        headers = {"Origin": "http://localhost", "X-CSRF-Token": carried}
        answer = visitor.open("/api/v1/clear", method="POST", headers=headers)
        assert answer.json == {"cleared": True}
        assert not precious()

    def test_a_bearer_needs_neither(self, guarded: Any) -> None:
        """No browser sends it by itself."""
        answer = Visitor(guarded[0]).open("/api/v1/clear", method="POST", headers=bearer())
        assert answer.json == {"cleared": True}

    def test_a_wrong_bearer_is_no_excuse(self, guarded: Any) -> None:
        """Beside a login, the form's token is wanted."""
        visitor = Visitor(guarded[0])
        visitor.log_in()
        answer = visitor.open("/api/v1/clear", method="POST", headers=bearer("a wrong token"))
        assert answer.status_code == 403

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    @pytest.mark.parametrize("path", ["/clear", "/delete", "/api/v1/clear", "/api/v1/keys/delete"])
    def test_reading_changes_nothing(
        self, visitor: Visitor, precious: Any, method: str, path: str
    ) -> None:
        """What deletes takes POST alone."""
        overrides = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"}
        answer = visitor.open(
            f"{path}?_method=POST&id=kcHJlY2lvdXM", method=method, headers=overrides
        )
        assert answer.status_code == (200 if method == "OPTIONS" else 405) or (
            # The address of a key that is called so.
            path == "/api/v1/keys/delete" and answer.status_code == 404
        )
        assert precious()

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
    def test_other_methods_are_not_taken(
        self, visitor: Visitor, precious: Any, method: str
    ) -> None:
        """And say so only to who could have sent a form."""
        assert visitor.open("/clear", method=method).status_code == 403
        carried = form_token(visitor.get("/keys").text)
        headers = {"Origin": "http://localhost", "X-CSRF-Token": carried}
        answer = visitor.open("/clear", method=method, headers=headers)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "OPTIONS, POST"
        assert precious()

    def test_a_method_that_middleware_makes_of_a_header_is_checked_as_that(
        self, local: Any, precious: Any
    ) -> None:
        """A GET that becomes a POST needs what a POST needs."""
        app, _ = local
        inner = app.wsgi_app

        def override(environ: Any, start: Any) -> Any:
            environ["REQUEST_METHOD"] = environ.get("HTTP_X_OVERRIDE", environ["REQUEST_METHOD"])
            return inner(environ, start)

        app.wsgi_app = override
        assert Visitor(app).get("/clear", headers={"X-Override": "POST"}).status_code == 403
        assert precious()

    def test_large_bodies_are_not_read(self, visitor: Visitor) -> None:
        """64 kB, in a form and as JSON; and none of unknown length."""
        large = {"requests": "x" * LONGEST_BODY}
        assert visitor.post("/compare", large).status_code == 413
        headers = {"Origin": "http://localhost"}
        unknown = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": None}
        answer = visitor.open("/compare", method="POST", headers=headers, environ_overrides=unknown)
        assert answer.status_code == 411

    def test_a_link_from_elsewhere_does_not_spoil_open_forms(self, visitor: Visitor) -> None:
        """The cookie of forms comes with it, and is not replaced; the login's does not."""
        cookie = cookies_of(visitor.get("/keys"))[FORM_COOKIE]
        assert "SameSite=Lax" in cookie
        assert "HttpOnly" in cookie
        assert cookies_of(visitor.get("/keys", headers={"Sec-Fetch-Site": "cross-site"})) == {}


class TestReadOnly:
    @pytest.mark.parametrize("path", ["/clear", "/delete"])
    def test_pages_delete_nothing_unless_they_may(self, make_app: Any, path: str) -> None:
        """The answer says which key allows it, and there is no button."""
        app, cache = shop_with_pages(make_app)
        with app.app_context():
            cache.set("precious", "value")
        visitor = Visitor(app)
        page = visitor.get("/keys")
        assert "precious" in page.text
        assert "Delete" not in page.text
        assert "Clear" not in page.text
        answer = visitor.post(path, {"id": "kcHJlY2lvdXM"}, form="/tester")
        assert answer.status_code == 403
        assert "CACHE_DEBUG_WRITE" in answer.text
        with app.app_context():
            assert cache.get("precious") == "value"

    @pytest.mark.parametrize(
        ("path", "sent"), [("clear", None), ("keys/delete", {"keys": ["precious"]})]
    )
    def test_nor_do_programs(self, make_app: Any, path: str, sent: Any) -> None:
        """With the token, too."""
        app, cache = shop_with_pages(make_app, CACHE_DEBUG_TOKEN=TOKEN)
        with app.app_context():
            cache.set("precious", "value")
        answer = Visitor(app).open(f"/api/v1/{path}", method="POST", json=sent, headers=bearer())
        assert answer.status_code == 403
        assert "CACHE_DEBUG_WRITE" in answer.json["detail"]
        with app.app_context():
            assert cache.get("precious") == "value"

    def test_it_is_each_cache_s_own_setting(self, make_app: Any) -> None:
        """On pages that two caches share."""
        app, _ = make_app(
            CACHE_NAME="first", CACHE_DEBUG_UI=True, CACHE_DEBUG_WRITE=True, CACHE_DEBUG_TOKEN=TOKEN
        )
        make_app(app, CACHE_NAME="second", CACHE_DEBUG_UI=True, CACHE_DEBUG_TOKEN=TOKEN)
        for name, status in (("first", 200), ("second", 403)):
            answer = Visitor(app).open(
                f"/api/v1/clear?cache={name}", method="POST", headers=bearer()
            )
            assert answer.status_code == status
