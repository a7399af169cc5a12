"""Who may see the debug pages: each rule, and attempts to get around it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from debug_site import (
    DATA,
    PAGES,
    PREFIX,
    PROBLEM,
    TOKEN,
    Visitor,
    bearer,
    cookies_of,
    form_token,
    shop_with_pages,
)
from flask import Response, abort, redirect
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_caching.errors import CacheError
from flask_caching.parsing import REDACTED
from flask_caching_instrumentation.debug.gate import FORM_COOKIE, LOGIN_COOKIE
from flask_caching_instrumentation.debug.routes import ROUTES

#: An address for every route, with an argument that stands for nothing.
ADDRESSES = [re.sub("<[^>]+>", "debug.css", route.rule) for route in ROUTES]


@pytest.fixture
def closed(make_app):
    """Pages in production that nobody guards."""
    with pytest.warns(UserWarning, match="debug pages below '/_cache' answer only this machine"):
        app, _ = shop_with_pages(make_app, debug=False, CACHE_DEBUG_WRITE=True)
    return app


class TestClosed:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_production_without_a_token_has_no_page(self, closed: Any, address: str) -> None:
        """Not one, static files and the login included; all say what to set."""
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
            answer = Visitor(closed).open(address, method=method)
            assert answer.status_code == 403, method
            if method != "HEAD":
                assert "CACHE_DEBUG_TOKEN" in answer.text
        assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize(
        "address",
        ["", "/", "/keys/", "/keys//", "/%6beys", "/keys%2f..", "/nothing", "/api", "/api/v2/x"],
    )
    def test_other_ways_to_write_an_address_lead_nowhere(self, closed: Any, address: str) -> None:
        """Trailing slashes, encoded letters, pages that do not exist."""
        assert Visitor(closed).get(address).status_code == 403

    def test_errors_of_programs_are_data(self, closed: Any) -> None:
        """A problem object, with a missing address as well."""
        for address in (*DATA, "/api/v1/nothing"):
            answer = Visitor(closed).get(address)
            assert answer.mimetype == PROBLEM
            assert answer.json["status"] == 403
            assert "CACHE_DEBUG_TOKEN" in answer.json["detail"]

    def test_under_debug_this_machine_is_let_in(self, local: Any) -> None:
        """Every page, and all JSON."""
        visitor = Visitor(local[0])
        for address in (*PAGES, *DATA, "/static/debug.css", "/api/v1/openapi.json"):
            assert visitor.get(address).status_code == 200, address

    @pytest.mark.parametrize("address", [*PAGES, *DATA, "/static/debug.js"])
    def test_a_page_elsewhere_cannot_have_its_name_point_here(
        self, local: Any, address: str
    ) -> None:
        """DNS rebinding: the browser sends the attacker's name in Host."""
        answer = Visitor(local[0], "http://evil.example:5000").get(address)
        assert answer.status_code == 403
        assert "Host" in answer.text

    def test_another_machine_is_kept_out(self, local: Any) -> None:
        """Even if it says localhost."""
        answer = Visitor(local[0], REMOTE_ADDR="192.168.1.4").get("/")
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        "header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via", "CF-Connecting-IP"]
    )
    def test_a_tunnel_on_this_machine_is_noticed(self, local: Any, header: str) -> None:
        """ngrok and its like connect from here, and say for whom."""
        answer = Visitor(local[0]).get("/", headers={header: "127.0.0.1"})
        assert answer.status_code == 403
        assert header.lower() in answer.text.lower()

    def test_a_forwarded_address_is_not_believed(self, local: Any) -> None:
        """Not even where ProxyFix replaces the real one by it, and the Host too."""
        app, _ = local
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_host=1)
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
        remote = Visitor(app, "http://shop.example", REMOTE_ADDR="203.0.113.9")
        assert remote.get("/", headers=forged).status_code == 403
        # Nor if something takes the headers away afterwards.
        inner = app.wsgi_app.app

        def without_headers(environ: Any, start: Any) -> Any:
            for name in ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST"):
                environ.pop(name, None)
            return inner(environ, start)

        app.wsgi_app.app = without_headers
        assert remote.get("/", headers=forged).status_code == 403
        assert Visitor(app).get("/").status_code == 200

    def test_the_application_s_error_pages_have_no_say(self, closed: Any) -> None:
        """A handler for 403 or for everything does not turn a refusal into something else."""
        closed.register_error_handler(403, lambda error: ("fine", 200))
        closed.register_error_handler(Exception, lambda error: ("fine", 200))
        assert Visitor(closed).get("/").status_code == 403


class TestToken:
    @pytest.mark.parametrize("address", [*PAGES, *DATA, "/static/debug.css", "/nothing"])
    def test_without_it_there_is_only_the_way_in(self, guarded: Any, address: str) -> None:
        """On any machine, under debug too: pages ask for it, programs are told."""
        app, _ = guarded
        app.debug = True
        answer = Visitor(app).get(address)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        if address.startswith("/api/"):
            assert answer.mimetype == PROBLEM
        else:
            assert '<input type="password"' in answer.text

    def test_as_a_bearer_it_opens_everything(self, guarded: Any) -> None:
        """From anywhere, under any Host, through any proxy."""
        visitor = Visitor(guarded[0], "https://shop.example", REMOTE_ADDR="203.0.113.9")
        headers = {**bearer(), "X-Forwarded-For": "198.51.100.1"}
        for address in (*PAGES, *DATA, "/static/debug.css"):
            assert visitor.get(address, headers=headers).status_code == 200, address

    @pytest.mark.parametrize(
        "value",
        [
            *("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer x{TOKEN}", f"Basic {TOKEN}"),
            *(f"{TOKEN}", f"Token {TOKEN}", f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe"),
            f"Bearer {TOKEN}, Bearer {TOKEN}",
        ],
    )
    def test_anything_else_is_not_it(self, guarded: Any, value: str) -> None:
        """Whatever its form."""
        answer = Visitor(guarded[0]).get("/api/v1/keys", headers={"Authorization": value})
        assert answer.status_code == 401

    def test_it_may_have_other_letters_than_ascii(self, make_app: Any) -> None:
        """In the header as UTF-8, in the form as it is typed."""
        token = "ein langes Kennw\u00f6rt"
        app, _ = shop_with_pages(make_app, debug=False, CACHE_DEBUG_TOKEN=token)
        header = {"HTTP_AUTHORIZATION": f"Bearer {token}".encode().decode("latin-1")}
        assert Visitor(app).get("/api/v1/keys", environ_overrides=header).status_code == 200
        assert Visitor(app).log_in(token).status_code == 303
        assert Visitor(app).log_in("ein langes Kennwort").status_code == 401

    @pytest.mark.parametrize("name", ["token", "access_token", "CACHE_DEBUG_TOKEN", "anything"])
    def test_in_an_address_it_is_worth_nothing(self, guarded: Any, name: str) -> None:
        """It is refused where it can be seen to be one, and never repeated."""
        visitor = Visitor(guarded[0])
        for address in ("/", "/keys", "/api/v1/keys", "/login"):
            answer = visitor.get(address, query_string={name: TOKEN})
            assert answer.status_code in ((401, 200) if name == "anything" else (403,))
            assert TOKEN not in answer.text
            assert "<nav" not in answer.text
            if name != "anything":
                assert "logs" in answer.text

    def test_in_an_address_it_is_refused_beside_a_login_too(self, guarded: Any) -> None:
        """So that nobody gets used to it."""
        visitor = Visitor(guarded[0])
        visitor.log_in()
        assert visitor.get("/keys").status_code == 200
        assert visitor.get("/keys?token=x").status_code == 403

    def test_logging_in_gives_a_cookie(self, guarded: Any) -> None:
        """That scripts cannot read and other sites cannot send, for these pages alone."""
        visitor = Visitor(guarded[0])
        answer = visitor.log_in()
        assert answer.status_code == 303
        cookie = cookies_of(answer)[LOGIN_COOKIE]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/_cache" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert visitor.get("/keys").status_code == 200

    def test_over_https_the_cookie_stays_there(self, guarded: Any) -> None:
        """``Secure``, for that of forms as well."""
        answer = Visitor(guarded[0], "https://shop.example").log_in()
        assert all("Secure" in cookie for cookie in cookies_of(answer).values())

    def test_the_cookie_s_path_is_where_the_pages_are(self, guarded: Any) -> None:
        """Below a script root, too."""
        visitor = Visitor(guarded[0], "http://localhost/shop/")
        visitor.client = guarded[0].test_client()
        page = visitor.client.get(f"{PREFIX}/login", base_url="http://localhost/shop/")
        assert "Path=/shop/_cache" in cookies_of(page)[FORM_COOKIE]
        assert 'action="/shop/_cache/login"' in page.text

    def test_a_login_leads_to_the_page_that_was_asked_for(self, guarded: Any) -> None:
        """With its parameters."""
        visitor = Visitor(guarded[0])
        page = visitor.get("/keys?match=a%26b&kind=view")
        place = re.search(r'name="next" value="([^"]*)"', page.text)
        assert place is not None
        answer = visitor.open(
            "/login",
            method="POST",
            data={
                "token": TOKEN,
                "csrf_token": form_token(page.text),
                "next": place[1].replace("&amp;", "&"),
            },
            headers={"Origin": "http://localhost"},
        )
        assert answer.headers["Location"].endswith("/_cache/keys?match=a%26b&kind=view")

    @pytest.mark.parametrize(
        "place",
        [
            *("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"),
            *("keys@evil.example", "../../admin", "keys\r\nX: y", "?url=x&a=b\r\nX: y"),
        ],
    )
    def test_a_login_leads_nowhere_else(self, guarded: Any, place: str) -> None:
        """Only to one of these pages."""
        answer = Visitor(guarded[0]).post("/login", {"token": TOKEN, "next": place}, form="/login")
        location = answer.headers["Location"]
        assert re.fullmatch(r"(http://localhost)?/_cache/[?=&%\w]*", location)
        assert "evil" not in location

    def test_a_wrong_token_is_told_in_the_form(self, guarded: Any) -> None:
        """And is not repeated."""
        answer = Visitor(guarded[0]).log_in("guess of somebody")
        assert answer.status_code == 401
        assert "That is not the token" in answer.text
        assert "guess of somebody" not in answer.text
        assert LOGIN_COOKIE not in cookies_of(answer)

    def test_a_login_ends_with_the_token(self, guarded: Any) -> None:
        """The cookie of another token, and of the one before, opens nothing."""
        app, cache = guarded
        visitor = Visitor(app)
        visitor.log_in()
        cache.init_app(app, {"CACHE_DEBUG_TOKEN": "another long token"})
        assert visitor.get("/").status_code == 401
        cache.init_app(app, {"CACHE_DEBUG_TOKEN": TOKEN})
        assert visitor.get("/").status_code == 200

    def test_a_login_ends_with_the_secret_key(self, guarded: Any) -> None:
        """As all that is signed with it."""
        app, _ = guarded
        visitor = Visitor(app)
        visitor.log_in()
        app.secret_key = "changed"
        assert visitor.get("/").status_code == 401

    def test_a_secret_key_is_not_needed(self, guarded: Any) -> None:
        """The token alone signs, then."""
        app, _ = guarded
        app.secret_key = None
        visitor = Visitor(app)
        visitor.log_in()
        assert visitor.get("/keys").status_code == 200

    def test_logging_out_takes_the_cookie_away(self, guarded: Any) -> None:
        """By a form like all others."""
        visitor = Visitor(guarded[0])
        visitor.log_in()
        assert visitor.post("/logout").status_code == 303
        assert visitor.get("/keys").status_code == 401

    def test_guessing_is_slow(self, guarded: Any) -> None:
        """After ten wrong tokens a minute not even the right one is compared."""
        visitor = Visitor(guarded[0])
        for _ in range(10):
            assert visitor.get("/api/v1/keys", headers=bearer("a wrong token")).status_code == 401
        for answer in (
            visitor.get("/api/v1/keys", headers=bearer()),
            visitor.log_in(),
            visitor.get("/keys", headers=bearer()),
        ):
            assert answer.status_code == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 61
        # From elsewhere it is.
        other = Visitor(guarded[0], REMOTE_ADDR="10.1.1.1")
        assert other.get("/api/v1/keys", headers=bearer()).status_code == 200

    def test_guessing_locks_nobody_out_who_is_in(self, guarded: Any) -> None:
        """A login goes on working, and asking without a token is no guess."""
        visitor = Visitor(guarded[0])
        visitor.log_in()
        stranger = Visitor(guarded[0])
        for _ in range(12):
            stranger.log_in("a wrong token")
            stranger.get("/keys")
        assert stranger.log_in().status_code == 429
        assert visitor.get("/keys").status_code == 200

    def test_forms_of_others_are_no_guesses(self, guarded: Any) -> None:
        """A page elsewhere cannot use up somebody's tries."""
        visitor = Visitor(guarded[0])
        for _ in range(20):
            answer = visitor.log_in("a wrong token", headers={"Origin": "http://evil.example"})
            assert answer.status_code == 403
        assert visitor.log_in().status_code == 303

    def test_caches_with_different_tokens_do_not_share_pages(self, make_app: Any) -> None:
        """Who knows one of them must not see the other cache."""
        app, _ = make_app(CACHE_NAME="one", CACHE_DEBUG_TOKEN=TOKEN, CACHE_DEBUG_UI="/_cache")
        make_app(app, CACHE_NAME="two", CACHE_DEBUG_TOKEN="another long token", CACHE_DEBUG_UI=True)
        answer = Visitor(app).get("/", headers=bearer())
        assert answer.status_code == 403
        assert "different values of CACHE_DEBUG_TOKEN" in answer.text


class TestAuth:
    @pytest.mark.parametrize("said", [True, 1, "ann", object()])
    def test_something_true_lets_in(self, make_app: Any, said: Any) -> None:
        """From anywhere, with no token and no debug; and registering it warns of nothing."""
        app, _ = shop_with_pages(make_app, auth=lambda: said, debug=False)
        visitor = Visitor(app, "https://shop.example", REMOTE_ADDR="203.0.113.9")
        for address in (*PAGES, *DATA):
            assert visitor.get(address).status_code == 200, address

    @pytest.mark.parametrize("said", [False, None, 0, ""])
    def test_something_false_does_not(self, make_app: Any, said: Any) -> None:
        """Not even at the machine, nor with the token."""
        app, _ = shop_with_pages(make_app, auth=lambda: said, CACHE_DEBUG_TOKEN=TOKEN)
        visitor = Visitor(app)
        for address in (*PAGES, *DATA, "/login", "/static/debug.css", "/nothing"):
            assert visitor.get(address, headers=bearer()).status_code == 403, address

    def test_a_response_is_sent_as_it_is(self, make_app: Any) -> None:
        """A redirect to the application's login, say."""
        app, _ = shop_with_pages(make_app, auth=lambda: redirect("/login?next=cache"))
        answer = Visitor(app).get("/keys")
        assert answer.status_code == 302
        assert answer.headers["Location"].endswith("/login?next=cache")
        assert "Content-Security-Policy" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"

    def test_what_it_raises_is_the_application_s(self, make_app: Any) -> None:
        """Its error handlers see it."""

        def auth() -> bool:
            abort(401)

        app, _ = shop_with_pages(make_app, auth=auth)
        app.register_error_handler(401, lambda error: Response("who are you?", 401))
        answer = Visitor(app).get("/keys")
        assert (answer.status_code, answer.text) == (401, "who are you?")
        assert answer.headers["X-Frame-Options"] == "DENY"

    @pytest.mark.parametrize("error", [OSError, CacheError, KeyError])
    def test_its_errors_are_the_application_s(self, make_app: Any, error: Any) -> None:
        """They are not taken for those of a store."""

        def auth() -> bool:
            raise error("who knows")

        app, _ = shop_with_pages(make_app, auth=auth)
        with pytest.raises(error, match="who knows"):
            Visitor(app).get("/keys")

    @pytest.mark.parametrize("said", [("no", 403), ()])
    def test_a_tuple_is_neither_yes_nor_no(self, make_app: Any, said: Any) -> None:
        """It is what a view returns, and would be true."""
        app, _ = shop_with_pages(make_app, auth=lambda: said)
        with pytest.raises(TypeError, match="auth returned a tuple"):
            Visitor(app).get("/keys")

    def test_a_coroutine_is_awaited(self, make_app: Any) -> None:
        """It would be true by itself."""

        async def auth() -> bool:
            return False

        app, _ = shop_with_pages(make_app, auth=auth)
        assert Visitor(app).get("/keys").status_code == 403

    def test_it_must_be_callable(self) -> None:
        """A mistake is told where it is made."""
        from flask_caching_instrumentation.debug import debug_blueprint

        with pytest.raises(TypeError, match="auth is True"):
            debug_blueprint(auth=True)  # type: ignore[arg-type]

    def test_forms_are_checked_as_well(self, make_app: Any) -> None:
        """The application's check says who asks, not that he wants it."""
        app, _ = shop_with_pages(make_app, auth=lambda: True, CACHE_DEBUG_WRITE=True)
        visitor = Visitor(app)
        foreign = {"Origin": "http://evil.example"}
        assert visitor.post("/clear", headers=foreign).status_code == 403
        assert visitor.open("/clear", method="POST", headers=bearer()).status_code == 403
        assert visitor.post("/clear").status_code == 303


class TestHeaders:
    @pytest.mark.parametrize("kind", ["local", "guarded", "closed"])
    @pytest.mark.parametrize(
        "address",
        [
            *("", "/", "/keys", "/keys?limit=x", "/nothing", "/api/v1/keys", "/api/v1/nothing"),
            *("/static/debug.css", "/static/nothing", "/login", "/keys/none"),
        ],
    )
    def test_every_response_has_them(
        self, request: pytest.FixtureRequest, kind: str, address: str
    ) -> None:
        """Pages, data, files, errors and redirects, whoever asks by whatever method."""
        app = request.getfixturevalue(kind)
        app = app[0] if isinstance(app, tuple) else app
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PROPFIND"):
            headers = Visitor(app).open(address, method=method).headers
            policy = headers["Content-Security-Policy"]
            for part in (
                "default-src 'none'",
                "connect-src 'self'",
                "form-action 'self'",
                "img-src 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ):
                assert part in policy.split("; "), (method, part)
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "Access-Control-Allow-Origin" not in headers

    def test_a_redirect_of_the_router_has_them(self, local: Any) -> None:
        """It leads to the same address with fewer slashes."""
        answer = Visitor(local[0]).get("//keys")
        assert answer.status_code == 308
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    def test_the_application_s_own_pages_have_none(self, local: Any) -> None:
        """Not even one that is called nearly the same."""
        app, _ = local
        for path in ("/", "/nothing", "/_caches", "/_cachet/x"):
            assert "Content-Security-Policy" not in app.test_client().get(path).headers

    def test_a_nonce_is_used_once(self, local: Any) -> None:
        """Script and style sheet carry it, and no page has either inline, or a handler."""
        nonces = set()
        for address in PAGES:
            answer = Visitor(local[0]).get(address)
            found = re.search(
                r"script-src 'nonce-([^']+)'", answer.headers["Content-Security-Policy"]
            )
            assert found is not None
            assert answer.text.count(f'nonce="{found[1]}"') == 2
            nonces.add(found[1])
            assert not re.search(
                r"<style|<script(?! src)|\son\w+=|\sstyle=|javascript:", answer.text
            )
        assert len(nonces) == len(PAGES)

    def test_what_is_redacted_by_default_is_what_the_gate_uses(self) -> None:
        """Its cookies are hidden in what the pages show of requests."""
        assert any(pattern == "*cookie*" for pattern in REDACTED)
