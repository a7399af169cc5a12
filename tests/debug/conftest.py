"""Applications with a cache, for tests of the debug pages and of what is behind them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from debug_site import TOKEN, shop_with_pages
from flask import Flask
from prometheus_client import CollectorRegistry

from flask_caching import Cache

#: The fixture with the server of each store that has one.
_SERVERS = {"RedisCache": "redis_server", "MemcachedCache": "memcached_server"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """A metrics registry that only this test uses."""
    return CollectorRegistry()


@pytest.fixture
def make_app(registry: CollectorRegistry) -> Callable[..., tuple[Flask, Cache]]:
    """Builds an application with a cache: ``app, cache = make_app(CACHE_NAME="second")``.

    SimpleCache by default. ``flask=`` are arguments of ``Flask``, ``app=`` is one that is there
    already.
    """

    def make(
        app: Flask | None = None, flask: dict[str, Any] | None = None, **config: Any
    ) -> tuple[Flask, Cache]:
        if app is None:
            app = Flask("shop", **(flask or {}))
            app.testing = True
            app.secret_key = "not a secret"
        settings = {"CACHE_TYPE": "SimpleCache", "CACHE_METRICS_REGISTRY": registry, **config}
        return app, Cache(app, config=settings)

    return make


@pytest.fixture(params=["SimpleCache", "FileSystemCache", "RedisCache", "MemcachedCache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The configuration of a cache on each kind of store, under a prefix of this test's own."""
    kind: str = request.param
    config: dict[str, Any] = {"CACHE_TYPE": kind, "CACHE_KEY_PREFIX": f"{uuid.uuid4().hex}:"}
    if kind == "FileSystemCache":
        config["CACHE_DIR"] = str(tmp_path / "cache")
    if kind in _SERVERS:
        server = request.getfixturevalue(_SERVERS[kind])
        if kind == "RedisCache":
            config.update(CACHE_REDIS_HOST=server.host, CACHE_REDIS_PORT=server.port)
        else:
            config["CACHE_MEMCACHED_SERVERS"] = [f"{server.host}:{server.port}"]
    return config


@pytest.fixture
def local(make_app: Callable[..., tuple[Flask, Cache]]) -> tuple[Flask, Cache]:
    """Pages of a developer's own machine, where keys may be deleted."""
    return shop_with_pages(make_app, CACHE_DEBUG_WRITE=True)


@pytest.fixture
def guarded(make_app: Callable[..., tuple[Flask, Cache]]) -> tuple[Flask, Cache]:
    """Pages in production, behind a token."""
    return shop_with_pages(make_app, debug=False, CACHE_DEBUG_TOKEN=TOKEN, CACHE_DEBUG_WRITE=True)


@pytest.fixture(autouse=True)
def _nothing_hidden(nothing_hidden: None) -> None:
    """For every test here."""
