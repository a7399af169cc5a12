"""A browser for the documentation of the Python modules installed on this machine.

A small, complete Flask application that shows what Flask-Caching does: cached pages, a search
cached by its query string, memoized functions, a cached template fragment, the metrics of all of
them on ``/metrics``, and one mistake, for the debug pages to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from . import receipt
from .extensions import cache
from .views import browser, not_found

__all__ = ["create_app"]

#: What the demo runs with; :func:`create_app` takes anything else.
DEFAULTS: Mapping[str, Any] = {
    "CACHE_TYPE": "SimpleCache",
    "CACHE_DEFAULT_TIMEOUT": 600,
    "CACHE_THRESHOLD": 1000,
    "CACHE_METRICS_PATH": "/metrics",
}


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the application.

    Args:
        config: Flask and ``CACHE_*`` settings that replace :data:`DEFAULTS`.

    Returns:
        An application ready to be served, or to be tested with ``app.test_client()``.
    """
    app = Flask(__name__)
    app.config.from_mapping(DEFAULTS)
    app.config.from_mapping(config or {})
    # Before the cache: Flask calls ``after_request`` functions last to first, and the receipt
    # reads a header that the cache has set.
    receipt.init_app(app)
    cache.init_app(app)
    app.register_blueprint(browser)
    app.register_error_handler(404, not_found)
    return app
