"""A shop with debug pages, and a visitor who behaves as a browser does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Flask, request

from flask_caching import Cache
from flask_caching_instrumentation import debug_blueprint

TOKEN = "correct horse battery staple"
PREFIX = "/_cache"
PROBLEM = "application/problem+json"

#: The JSON of these pages by GET, and the pages themselves.
PAGES = ("/", "/keys", "/functions", "/tester", "/compare", "/audit", "/live")
DATA = tuple(f"/api/v1/{name}" for name in ("overview", "keys", "functions", "requests", "audit"))


def add_shop(app: Flask, cache: Cache) -> None:
    """Views with one mistake: every product has one key."""

    @app.route("/")
    @cache.cached(timeout=60)
    def index() -> str:
        return "welcome"

    @app.route("/product/<int:id>")
    @cache.cached(timeout=60, key_prefix="product")
    def product(id: int) -> str:
        return f"product {id}"

    @app.route("/search", methods=["GET", "POST"])
    @cache.cached(timeout=60, query_string=True)
    def search() -> dict[str, str]:
        return {"found": request.args.get("q", ""), "password": "hunter2"}


def shop_with_pages(
    make_app: Callable[..., tuple[Flask, Cache]],
    auth: Callable[[], Any] | None = None,
    debug: bool = True,
    **config: Any,
) -> tuple[Flask, Cache]:
    """The shop with its pages below ``/_cache``."""
    app, cache = make_app(**config)
    app.debug = debug
    add_shop(app, cache)
    app.register_blueprint(debug_blueprint(cache, auth), url_prefix=PREFIX)
    return app, cache


def form_token(page: str) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, "no form on this page"
    return found[1]


class Visitor:
    """A browser: keeps cookies, says where its forms come from, and sends what they carry.

    Args:
        app: The application.
        base_url: Where it finds it.
        environ: More of the WSGI environment of each request.
    """

    def __init__(self, app: Flask, base_url: str = "http://localhost", **environ: Any) -> None:
        self.client = app.test_client()
        self.base_url = base_url
        self.environ = environ

    def get(self, path: str, **options: Any) -> Any:
        """Follow a link."""
        return self.open(path, method="GET", **options)

    def open(self, path: str, **options: Any) -> Any:
        """Send any request to one of the pages."""
        environ = {**self.environ, **options.pop("environ_overrides", {})}
        return self.client.open(
            f"{PREFIX}{path}", base_url=self.base_url, environ_overrides=environ, **options
        )

    def post(self, path: str, data: Any = None, form: str = "/keys", **options: Any) -> Any:
        """Send a form that was on the page ``form``; the headers given win over a browser's."""
        carried = {"csrf_token": form_token(self.get(form).text), **(data or {})}
        headers = {"Origin": self.base_url, **options.pop("headers", {})}
        sent = {name: value for name, value in headers.items() if value is not None}
        return self.open(path, method="POST", data=carried, headers=sent, **options)

    def log_in(self, token: str = TOKEN, **options: Any) -> Any:
        """Send the form with the token."""
        return self.post("/login", {"token": token}, form="/login", **options)


def bearer(token: str = TOKEN) -> dict[str, str]:
    """The header of a program."""
    return {"Authorization": f"Bearer {token}"}


def cookies_of(response: Any) -> dict[str, str]:
    """The ``Set-Cookie`` headers of a response, by the name of the cookie."""
    return {line.partition("=")[0]: line for line in response.headers.getlist("Set-Cookie")}
