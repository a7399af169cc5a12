"""An application for gunicorn: cached pages of this library, of the released one, or of none.

What it is comes in the environment: ``BENCH_SUBJECT``, ``BENCH_STORE`` and ``BENCH_AT``.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import flask
from contract import SECRET_KEY, Place
from subjects import SUBJECTS

__all__ = ["app"]

FILLER = "a page" * 20


def make_app(subject: str, store: str, at: str) -> flask.Flask:
    """The application of a subject; ``floor`` has no cache, and pages that need none."""
    if subject == "floor":
        app = flask.Flask("floor")
        app.secret_key = SECRET_KEY
        if store == "redis":
            add_get(app, at)
        return add_pages(app, None)
    from run_flask import FlaskCaching

    adapter = FlaskCaching(Place(store, at, options=dict(SUBJECTS[subject].options)))
    return add_pages(adapter.app, adapter.cache)


def add_pages(app: flask.Flask, cache: Any) -> flask.Flask:
    """Pages whose text is another one whenever they are made, so a hit is seen to be one."""
    constant = f"constant {uuid.uuid4()} {FILLER}"

    def page() -> str:
        return f"page {uuid.uuid4()} {FILLER}"

    def search() -> str:
        return f"{flask.request.args['page']} {uuid.uuid4()} {FILLER}"

    def total(count: int) -> str:
        return f"{count} {uuid.uuid4()} {FILLER}"

    app.add_url_rule("/constant", endpoint="constant", view_func=lambda: constant)
    app.add_url_rule("/process", endpoint="process", view_func=lambda: str(os.getppid()))
    app.add_url_rule("/worker", endpoint="worker", view_func=lambda: str(os.getpid()))
    if cache is not None:
        cached_total = cache.memoize()(total)
        app.add_url_rule("/page", endpoint="page", view_func=cache.cached()(page))
        app.add_url_rule(
            "/search", endpoint="search", view_func=cache.cached(query_string=True)(search)
        )
        app.add_url_rule("/total", endpoint="total", view_func=lambda: cached_total(7))
    return app


def add_get(app: flask.Flask, at: str) -> None:
    """A page that reads its text with redis-py: what a cached page on Redis stands on."""
    import redis

    client = redis.Redis.from_url(f"redis://{at}")
    client.set("page", f"get {uuid.uuid4()} {FILLER}")
    app.add_url_rule("/get", endpoint="get", view_func=lambda: client.get("page"))


app = make_app(
    os.environ["BENCH_SUBJECT"], os.environ["BENCH_STORE"], os.environ.get("BENCH_AT", "")
)
