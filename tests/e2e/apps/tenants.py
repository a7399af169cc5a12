"""One cache for many tenants: a subclass of ``Cache`` that puts the tenant before each key."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Flask, g, request

from flask_caching import Cache


class TenantCache(Cache):
    """Overrides the value methods, as the documentation of the released library allows."""

    def key(self, key: str) -> str:
        return f"{g.get('tenant', 'public')}:{key}"

    def get(self, key: str) -> Any:
        return super().get(self.key(key))

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().set(self.key(key), value, *args, **kwargs)

    def has(self, key: str) -> bool:
        return super().has(self.key(key))

    def delete(self, key: str) -> bool:
        return super().delete(self.key(key))

    def get_many(self, *keys: str) -> list[Any]:
        return super().get_many(*map(self.key, keys))

    def set_many(self, mapping: dict[str, Any], *args: Any, **kwargs: Any) -> list[Any]:
        keyed = {self.key(key): value for key, value in mapping.items()}
        return super().set_many(keyed, *args, **kwargs)

    def delete_many(self, *keys: str) -> list[str]:
        return super().delete_many(*map(self.key, keys))


class RecordingCache(Cache):
    """Counts what goes through it, as tracing tools do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.calls: Counter[str] = Counter()
        super().__init__(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.calls["get"] += 1
        return super().get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        self.calls["set"] += 1
        return super().set(*args, **kwargs)


class SealingCache(Cache):
    """Stores values in another form than it hands out."""

    def get(self, key: str) -> Any:
        sealed = super().get(key)
        return None if sealed is None else sealed["sealed"]

    def set(self, key: str, value: Any, timeout: Any = None) -> Any:
        return super().set(key, {"sealed": value}, timeout=timeout)


def create_app(cache: Cache) -> Flask:
    app = Flask("tenants")
    app.testing = True
    app.config["CACHE_TYPE"] = "SimpleCache"
    cache.init_app(app)
    runs: Counter[str] = Counter()
    app.extensions["runs"] = runs

    @app.before_request
    def find_tenant() -> None:
        g.tenant = request.headers.get("X-Tenant", "public")

    @cache.memoize()
    def greeting(language: str) -> str:
        runs["greeting"] += 1
        return f"{g.tenant} says {language}"

    @app.route("/")
    @cache.cached()
    def home() -> str:
        runs["home"] += 1
        return f"{g.tenant}: {greeting('en')}"

    @app.route("/", methods=["DELETE"])
    def reset() -> str:
        cache.delete_cached(home, path="/")
        cache.delete_memoized(greeting)
        return "gone"

    return app
