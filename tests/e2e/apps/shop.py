"""A JSON API from a factory: nested blueprints, memoized services, a backend of its own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from flask import Blueprint, Flask, abort, current_app, jsonify, request

from flask_caching import Cache
from flask_caching.backends.base import BaseCache

cache = Cache()
calls: Counter[str] = Counter()


class DictCache(BaseCache):
    """The smallest backend that the documentation of custom backends leads to."""

    def __init__(self, name: str = "", default_timeout: int = 300) -> None:
        super().__init__(default_timeout)
        self.name = name
        self.values: dict[str, Any] = {}

    @classmethod
    def factory(
        cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> DictCache:
        return cls(config["SHOP_NAME"], kwargs["default_timeout"])

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, timeout: int | None = None) -> bool:
        self.values[key] = value
        return True

    def delete(self, key: str) -> bool:
        return self.values.pop(key, None) is not None

    def has(self, key: str) -> bool:
        return key in self.values

    def clear(self) -> bool:
        self.values.clear()
        return True


def dict_cache(
    app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> DictCache:
    """The same backend from a factory function, with ``CACHE_ARGS`` and ``CACHE_OPTIONS``."""
    return DictCache(*args, default_timeout=kwargs["default_timeout"])


class Product:
    """A row of the shop's database."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"<Product {self.number}>"

    @cache.memoize(timeout=60)
    def price(self, currency: str = "EUR", *, net: bool = False) -> float:
        calls["price"] += 1
        return self.number * (1.0 if currency == "EUR" else 1.5) * (0.8 if net else 1)

    @classmethod
    @cache.memoize(timeout=60)
    def count(cls) -> int:
        calls["count"] += 1
        return calls["count"]

    @staticmethod
    @cache.memoize(timeout=60)
    def tax(country: str) -> float:
        calls["tax"] += 1
        return {"DE": 0.19}.get(country, 0.2)

    @property
    @cache.memoize(timeout=60)
    def stock(self) -> int:
        calls["stock"] += 1
        return 7

    @cache.memoize(cache_none=True)
    def discount(self) -> None:
        calls["discount"] += 1


@cache.memoize(timeout=60, args_to_ignore=["trace"])
def similar(number: int, trace: str) -> list[int]:
    calls["similar"] += 1
    return [number + 1, number + 2]


def body_key(*args: Any, **kwargs: Any) -> str:
    """A POST's key, made of its body."""
    return "quote:" + json.dumps(request.get_json(), sort_keys=True)


@cache.cached(timeout=30)
def show(number: int) -> Any:
    calls["show"] += 1
    if number == 404:
        abort(404)
    if number == 13:
        return jsonify(error="unlucky"), 422
    product = Product(number)
    return jsonify(number=number, price=product.price(), similar=similar(number, request.path))


@cache.cached(timeout=30, key_prefix="net/%s")
def net(number: int) -> dict[str, float]:
    calls["net"] += 1
    return {"net": Product(number).price(net=True)}


@cache.cached(timeout=30, make_cache_key=body_key)
def quote() -> tuple[dict[str, Any], int, dict[str, str]]:
    calls["quote"] += 1
    return {"sum": sum(request.get_json()["items"])}, 201, {"X-Shop": current_app.name}


def version_one() -> Blueprint:
    products = Blueprint("products", __name__)
    products.add_url_rule("/<int:number>", view_func=show)
    products.add_url_rule("/<int:number>/net", view_func=net)
    v1 = Blueprint("v1", __name__)
    v1.add_url_rule("/quote", view_func=quote, methods=["POST"])
    v1.register_blueprint(products, url_prefix="/products")
    return v1


def create_app(name: str = "shop", **config: Any) -> Flask:
    app = Flask(name)
    app.testing = True
    app.config.from_mapping({"CACHE_TYPE": "SimpleCache", "SHOP_NAME": name, **config})
    cache.init_app(app)
    app.register_blueprint(version_one(), url_prefix="/v1")
    return app
