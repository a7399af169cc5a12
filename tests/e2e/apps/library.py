"""A lending library with class-based views."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Flask, request
from flask.views import MethodView, View

from flask_caching import Cache


def create_app(cache: Cache, loans: Counter[str]) -> Flask:
    app = Flask("library")
    app.testing = True
    app.config["CACHE_TYPE"] = "flask_caching.backends.SimpleCache"
    cache.init_app(app)
    runs: Counter[str] = Counter()
    app.extensions["runs"] = runs

    class Shelf(View):
        decorators = (cache.cached(timeout=60),)

        def dispatch_request(self) -> str:
            runs["shelf"] += 1
            return f"shelf {runs['shelf']}"

    class Book(MethodView):
        @cache.cached(timeout=60)
        def get(self, title: str) -> dict[str, Any]:
            runs["book"] += 1
            return {"title": title, "loans": loans[title]}

        def post(self, title: str) -> tuple[str, int]:
            loans[title] += 1
            cache.delete_cached(Book.get, path=request.path)
            return "", 204

    class Report(MethodView):
        init_every_request = False

        @cache.memoize(timeout=60)
        def most_wanted(self, count: int) -> list[str]:
            runs["report"] += 1
            return [title for title, _ in loans.most_common(count)]

        def get(self) -> dict[str, Any]:
            return {"titles": self.most_wanted(int(request.args.get("count", 3)))}

        def delete(self) -> tuple[str, int]:
            cache.delete_memoized(Report.most_wanted)
            return "", 204

        def __repr__(self) -> str:
            return "<Report>"

    app.add_url_rule("/", view_func=Shelf.as_view("shelf"))
    app.add_url_rule("/books/<title>", view_func=Book.as_view("book"))
    app.add_url_rule("/report", view_func=Report.as_view("report"))
    return app
