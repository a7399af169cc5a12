"""A bookshop with debug pages and two mistakes: books share a key, and pages of results do too."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from debug_site import PREFIX
from flask import Blueprint, Flask, render_template_string, request
from prometheus_client import CollectorRegistry

from flask_caching import Cache
from flask_caching_instrumentation import debug_blueprint
from flask_caching_instrumentation.timeline import timeline_of

__all__ = ["cache", "make_bookshop", "open_for_an_hour"]

#: Serves every application that is made here, each with settings and a store of its own.
cache = Cache()

books = Blueprint("books", __name__)


@books.route("/")
@cache.cached(timeout=300)
def index() -> str:
    """Slow the first time."""
    time.sleep(0.02)
    return "<h1>Books</h1>" * 40


@books.route("/about")
@cache.cached(timeout=3600)
def about() -> str:
    """Reads nothing of the request."""
    return "<h1>About us</h1>\n<p>We have sold books since 1998.</p>\n"


@books.route("/book/<int:id>")
@cache.cached(timeout=600, key_prefix="book")
def book(id: int) -> str:
    """The first mistake: every book has one key."""
    time.sleep(0.04)
    return render_template_string(
        "{% cache 120, 'related' %}related{% endcache %} Book {{ id }}", id=id
    )


@books.route("/search")
@cache.cached(timeout=60, query_string=["q"], vary=["Accept-Language"])
def search() -> dict[str, Any]:
    """The second one: the page of the results is read, and not in the key."""
    return {"q": request.args.get("q"), "page": request.args.get("page", "1")}


@books.route("/author/<name>")
@cache.cached(timeout=600)
def author(name: str) -> str:
    """Done well."""
    return str(price(len(name), "EUR"))


@cache.memoize(timeout=900)
def price(book: int, currency: str) -> dict[str, Any]:
    """Memoized."""
    time.sleep(0.01)
    return {"amount": 12 + book, "currency": currency}


@books.route("/basket")
def basket() -> str:
    """Not cached, but uses the cache."""
    cache.set("rates:EUR-USD", 1.09, timeout=3600)
    cache.get("rates:EUR-GBP")
    return str([price(book, "USD") for book in (1, 2)])


VISITS = (
    *("/", "/about", "/book/1", "/book/2", "/search?q=flask", "/search?q=jinja", "/author/ursula"),
    *("/", "/basket", "/search?q=flask&page=2", "/", "/author/ursula", "/basket", "/about", "/"),
)


def make_bookshop(add_more: Callable[[Flask], None] | None = None, **config: Any) -> Flask:
    """The bookshop with its pages, and some visits to it.

    Args:
        add_more: Adds views, before anybody visits.
        config: ``CACHE_*`` settings.
    """
    app = Flask(__name__)
    app.secret_key = "not a secret"
    app.debug = not config.get("CACHE_DEBUG_TOKEN")
    registry = CollectorRegistry()
    cache.init_app(app, {"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry, **config})
    app.register_blueprint(debug_blueprint(cache), url_prefix=PREFIX)
    app.register_blueprint(books)
    if add_more is not None:
        add_more(app)
    visit(app, *VISITS)
    return app


def visit(app: Flask, *paths: str) -> None:
    """Ask for pages of the shop."""
    client = app.test_client()
    for path in paths:
        client.get(path)


def open_for_an_hour(app: Flask) -> None:
    """Have customers, as many in an hour as a small shop has; only the clock is made up."""
    with app.app_context():
        timeline = timeline_of(cache.state())
    assert timeline is not None
    now = time.monotonic()
    timeline.history._clock = lambda: now
    chance = random.Random(7)
    for step in range(350):
        now += 10
        # It opens, becomes known, and has new books for a while.
        often = 0.8 - step / 50 if step < 35 else 0.5 if 190 < step < 230 else 0.1
        for _ in range(chance.randrange(3, 9)):
            new = chance.random() < often
            visit(app, f"/search?q={step}{chance.random()}" if new else chance.choice(VISITS))
        timeline.history.tick()
    visit(app, *VISITS)
