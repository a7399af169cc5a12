"""Key prefixes that are made for each request: one tenant never gets what is another's."""

from __future__ import annotations

import threading

from flask import Flask, g, request
from servers import RedisServer

from flask_caching import Cache


def test_05_two_tenants_that_miss_at_once_share_no_load(redis_server: RedisServer) -> None:
    """Hazard 5: their keys are the same but for the prefix; each has its own page."""
    app = Flask("tenants")
    both = threading.Barrier(2, timeout=10)

    @app.before_request
    def find_tenant() -> None:
        g.tenant = request.headers["X-Tenant"]

    cache = Cache(
        app,
        config={
            "CACHE_TYPE": "RedisCache",
            "CACHE_REDIS_URL": redis_server.url,
            "CACHE_KEY_PREFIX": lambda: f"tenants:{g.tenant}:",
        },
    )

    @app.route("/")
    @cache.cached()
    def page() -> str:
        # Passed only if both of them load.
        both.wait()
        return f"page of {g.tenant}"

    pages: dict[str, str] = {}

    def visit(tenant: str) -> None:
        answer = app.test_client().get("/", headers={"X-Tenant": tenant})
        pages[tenant] = answer.get_data(as_text=True)

    for _ in range(2):
        threads = [threading.Thread(target=visit, args=(tenant,)) for tenant in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert pages == {"a": "page of a", "b": "page of b"}
