"""What type checkers must know of cached and memoized functions.

mypy and pyright read this file in strict mode; it never runs. A line that is wrong on purpose
carries a comment for each of them, and both are told that a comment which hides nothing is an
error: so the file passes only while they find every such line, and no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import assert_type

from flask import Flask, Response

from flask_caching import Cache, CachedResponse

app = Flask("typing")
cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})


# A decorated function takes and returns what it did.


@cache.cached(timeout=60, key_prefix="comments")
def comments(post: int, *, limit: int = 10) -> list[str]:
    return ["first"] * limit


@cache.memoize(timedelta(minutes=1))
def double(number: int, *, label: str = "") -> int:
    return 2 * number


assert_type(comments(1, limit=2), list[str])
assert_type(double(1, label="one"), int)
double("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
double()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
double(1, name="one")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
comments(1, "2")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


# It still fits where a callable of its kind is wanted.


def twice(function: Callable[[int], int]) -> int:
    return function(1) + function(2)


def length(function: Callable[[str], int]) -> int:
    return function("one")


twice(double)
length(double)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Flask takes a cached view, with any of the values that a view may return.


@app.get("/")
@cache.cached()
def index() -> str:
    return "index"


@app.get("/post/<int:post>")
@cache.cached(timeout=60, query_string=["page"], vary=["Accept-Language", "cookie:theme"])
def page(post: int) -> tuple[Response, int]:
    return Response(str(post)), 200


@app.get("/limited")
@cache.cached(timeout=60)
def limited() -> CachedResponse:
    return CachedResponse(Response("limited"), timeout=5)


# What a decorated function carries.

assert_type(double.uncached(1, label="one"), int)
assert_type(comments.uncached(1), list[str])
double.uncached("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(index.make_cache_key(), str)
assert_type(double.make_cache_key(double.uncached, 1), str)
index.cache_timeout = 5
index.cache_timeout = timedelta(seconds=5)
index.cache_timeout = None
double.cache_timeout = 5
double.cache_timeout = "5"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
double.delete_memoized()
double.forgotten = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# A method's ``self`` is bound.


class Shop:
    @cache.memoize(timeout=60)
    def price(self, item: str) -> float:
        return 1.0

    @cache.cached(timeout=60, key_prefix="shop")
    def items(self) -> list[str]:
        return ["tea"]

    @staticmethod
    @cache.memoize(timeout=60)
    def tax(price: float) -> float:
        return price / 5


shop = Shop()
assert_type(shop.price("tea"), float)
assert_type(shop.items(), list[str])
assert_type(Shop.price(shop, "tea"), float)
assert_type(Shop.tax(1.0), float)
shop.price(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
shop.price()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
cache.delete_memoized(shop.price)
cache.delete_memoized(shop.price, "tea")
cache.delete_memoized(Shop.price)


# A coroutine function stays one.


@cache.memoize(timeout=60)
async def fetch(url: str) -> bytes:
    return url.encode()


@app.get("/async")
@cache.cached(timeout=60)
async def slow_index() -> str:
    return "index"


async def use() -> None:
    assert_type(await fetch("a"), bytes)
    assert_type(await fetch.uncached("a"), bytes)
    assert_type(await slow_index(), str)
    await fetch(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def awaited(function: Callable[[str], Awaitable[bytes]]) -> None: ...


awaited(fetch)


# Options have types.

cache.cached(timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cache.memoize(timeout=[60])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cache.cached(collisions="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cache.cached(colisions="refuse")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
cache.cached(unless=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cache.cached(unless=lambda: True, response_filter=lambda value: value is not None)
cache.cached(make_cache_key=lambda *args, **kwargs: "key")
