"""The scrape endpoint: mounted where ``CACHE_METRICS_PATH`` says, or by the application.

It shows the whole registry, so an application that has metrics of its own needs no second one.
"""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

import prometheus_client
from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from flask_caching.errors import ConfigurationError
from flask_caching.observer import report_fault

from .metrics.rendering import render
from .workers.scraping import scrape_registry
from .workers.slots import in_files

if TYPE_CHECKING:
    from .observer import Instrumentation

__all__ = ["instrumentation_of", "metrics_blueprint", "mount", "remember"]

#: Where an application keeps its instrumentations, weakly: a cache set up anew has another one.
_EXTENSION: Final = "flask_caching_instrumentation"

_ENDPOINT: Final = "flask_caching_metrics"


class HasBackend(Protocol):
    """The part of :class:`flask_caching.Cache` that is asked here."""

    @property
    def cache(self) -> Any: ...


class _Scrape:
    """The view: the registry's metrics in the format that the scraper prefers.

    Args:
        registry: What to show; ``None`` for that of the cache.
        cache: Whose registry; ``None`` for the first one of the application that answers.
    """

    def __init__(self, registry: CollectorRegistry | None, cache: HasBackend | None) -> None:
        self.registry = registry
        self.cache = cache
        # Flask takes the view's name from here on some paths.
        self.__name__ = _ENDPOINT

    def __call__(self) -> Response:
        names = request.args.getlist("name[]")
        # A restricted registry answers ``collect`` as a whole one does.
        shown: Any
        shown = _all_workers(names) if in_files() else None
        if shown is None:
            registry = self.registry or _registry_of(self.cache)
            shown = registry.restricted_registry(names) if names else registry
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = Response(render(shown, encode, content_type))
        response.headers["Content-Type"] = content_type
        response.headers["Cache-Control"] = "no-store"
        return response


def _all_workers(names: list[str]) -> CollectorRegistry | None:
    """What all workers' files say; ``None`` if they cannot be found, and there is only this one."""
    try:
        return scrape_registry(names)
    except (ConfigurationError, OSError) as fault:
        report_fault("metrics.scrape", fault)
        return None


def metrics_blueprint(
    cache: HasBackend | None = None,
    registry: CollectorRegistry | None = None,
    path: str = "/metrics",
) -> Blueprint:
    """A blueprint with the scrape endpoint, for applications that mount it themselves.

    Args:
        cache: The cache whose registry is shown; ``None`` for the application's first.
        registry: The registry itself; wins over ``cache``. Under several worker processes
            (``PROMETHEUS_MULTIPROC_DIR``) what is shown is always the sum of their files.
        path: Where, below the blueprint's own prefix.
    """
    blueprint = Blueprint(_ENDPOINT, __name__)
    blueprint.add_url_rule(path, endpoint="metrics", view_func=_Scrape(registry, cache))
    return blueprint


def remember(app: Flask, instrumentation: Instrumentation) -> None:
    """Let the endpoint find an application's instrumentations."""
    app.extensions[_EXTENSION] = [*map(weakref.ref, _known(app)), weakref.ref(instrumentation)]


def _known(app: Flask) -> list[Instrumentation]:
    references: list[weakref.ref[Instrumentation]] = app.extensions.get(_EXTENSION, [])
    return [each for reference in references if (each := reference()) is not None]


def instrumentation_of(cache: HasBackend | None) -> Instrumentation | None:
    """What watches a cache in the current application; ``None`` if nothing of ours does.

    Args:
        cache: The cache; ``None`` for the application's first.
    """
    known = _known(current_app)
    if cache is not None:
        backend = cache.cache
        known = [each for each in known if each.wraps(backend)]
    return known[0] if known else None


def _registry_of(cache: HasBackend | None) -> CollectorRegistry:
    """The registry that a cache of the current application counts in."""
    known = instrumentation_of(cache)
    return known.registry if known else prometheus_client.REGISTRY


def mount(app: Flask, path: str, registry: CollectorRegistry) -> None:
    """Serve ``registry`` at ``path`` of ``app``, unless the path is taken; then warn and leave it.

    Two caches of one application may ask for the same path: one endpoint serves both.
    """
    for rule in app.url_map.iter_rules():
        if rule.rule == path and "GET" in (rule.methods or {"GET"}):
            view = app.view_functions.get(rule.endpoint)
            if not (isinstance(view, _Scrape) and view.registry is registry):
                _warn_not_mounted(path, f"{path!r} belongs to the endpoint {rule.endpoint!r}")
            return
    taken = [name for name in app.view_functions if name.startswith(_ENDPOINT)]
    endpoint = f"{_ENDPOINT}_{len(taken) + 1}" if taken else _ENDPOINT
    try:
        app.add_url_rule(path, endpoint=endpoint, view_func=_Scrape(registry, None))
    except AssertionError:
        # What Flask raises where a route comes too late.
        _warn_not_mounted(path, "the application has handled its first request already")


def _warn_not_mounted(path: str, why: str) -> None:
    warnings.warn(
        f"CACHE_METRICS_PATH is {path!r}, but {why}: the metrics are not mounted there. Choose "
        "another path, or register flask_caching_instrumentation.metrics_blueprint() yourself.",
        UserWarning,
        stacklevel=4,
    )
