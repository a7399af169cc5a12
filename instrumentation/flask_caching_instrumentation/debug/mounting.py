"""``CACHE_DEBUG_UI``: pages that mount themselves."""

from __future__ import annotations

from flask import Flask

from flask_caching.config import CacheConfig

from .blueprint import make_blueprint, warn_caller
from .shown import these
from .site import NAME
from .view import View

__all__ = ["mount"]


def mount(app: Flask, config: CacheConfig) -> None:
    """Serve debug pages where ``CACHE_DEBUG_UI`` says, unless the path is taken; then warn.

    Two caches of one application may ask for the same path: they share one set of pages.
    """
    path = config.debug_ui
    if path is None:
        return
    for rule in app.url_map.iter_rules():
        if rule.rule.rstrip("/") == path:
            if not isinstance(app.view_functions.get(rule.endpoint), View):
                _warn_not_mounted(path, f"{path!r} belongs to the endpoint {rule.endpoint!r}")
            return
    own = f"{NAME}_ui"
    taken = sum(name.startswith(own) for name in app.blueprints)
    blueprint = make_blueprint(
        f"{own}_{taken + 1}" if taken else own,
        lambda app: these(app, path=path),
        lambda app: config.debug_token is not None,
    )
    try:
        app.register_blueprint(blueprint, url_prefix=path)
    except AssertionError:
        # What Flask raises where a blueprint comes too late.
        _warn_not_mounted(path, "the application has handled its first request already")


def _warn_not_mounted(path: str, why: str) -> None:
    warn_caller(
        f"CACHE_DEBUG_UI is {path!r}, but {why}: the debug pages are not mounted there. Choose "
        "another path, or register flask_caching_instrumentation.debug_blueprint() yourself."
    )
