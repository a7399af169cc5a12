"""The page on coming from 1.x: what it says is here is here, and what it says is gone is gone."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request

from flask_caching import Cache, make_template_fragment_key

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "migrating-from-1.md").read_text(encoding="utf-8")

#: Class by class what 1.x called it.
OLD_TYPES = {
    "null": "NullCache",
    "simple": "SimpleCache",
    "filesystem": "FileSystemCache",
    "redis": "RedisCache",
    "redissentinel": "RedisSentinelCache",
    "rediscluster": "RedisClusterCache",
    "memcached": "MemcachedCache",
    "saslmemcached": "SASLMemcachedCache",
    "spreadsaslmemcached": "SpreadSASLMemcachedCache",
}

#: What each class needs to be made without a server.
SETTINGS: dict[str, dict[str, Any]] = {
    "RedisClusterCache": {"CACHE_REDIS_CLUSTER": "127.0.0.1:1"},
    "SASLMemcachedCache": {"CACHE_MEMCACHED_USERNAME": "u", "CACHE_MEMCACHED_PASSWORD": "p"},
    "SpreadSASLMemcachedCache": {"CACHE_MEMCACHED_USERNAME": "u", "CACHE_MEMCACHED_PASSWORD": "p"},
}

GONE = (
    "flask_caching.backends.simple.SimpleCache",
    "flask_caching.backends.null.NullCache",
    "flask_caching.backends.filesystem.FileSystemCache",
    "flask_caching.backends.backends.SimpleCache",
    "flask_caching.backends.clients.RedisCache",
    "flask_caching.backends.simple",
    "flask_caching.backends.redis",
    "flask_caching.BaseCache",
    "flask_caching.SimpleCache",
    "flask_caching.get_id",
    "flask_caching.get_arg_names",
    "flask_caching.wants_args",
    "flask_caching.__version__",
    "flask_caching._compat.PY2",
    "flask_caching.utils.null_control",
    "flask_caching.Cache.source_check",
    "flask_caching.Cache._memvname",
    "flask_caching.Cache._memoize_version",
    "flask_caching.Cache._set_cache",
)

HERE = (
    "flask_caching.Cache",
    "flask_caching.CachedResponse",
    "flask_caching.make_template_fragment_key",
    "flask_caching.function_namespace",
    "flask_caching.SUPPORTED_HASH_FUNCTIONS",
    "flask_caching.jinja2ext.CacheExtension",
    "flask_caching.backends.BaseCache",
    "flask_caching.backends.SimpleCache",
    "flask_caching.backends.simplecache.SimpleCache",
    "flask_caching.backends.rediscache.RedisCache",
    "flask_caching.backends.filesystemcache.FileSystemCache",
    "flask_caching.backends.memcache.MemcachedCache",
    "flask_caching.backends.nullcache.NullCache",
    "flask_caching.backends.SimpleCache.factory",
    "flask_caching.backends.RedisCache.factory",
    "flask_caching.utils.get_id",
    "flask_caching.utils.get_arg_names",
    "flask_caching.utils.get_arg_default",
    "flask_caching.utils.wants_args",
)


def resolve(path: str) -> object:
    """What is at a dotted path.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If there is no such name.
    """
    words = path.split(".")
    for length in range(len(words) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for name in words[length:]:
            found = getattr(found, name)
        return found
    raise ImportError(path)


@pytest.mark.parametrize("path", HERE)
def test_what_is_said_to_be_here_is_here(path: str) -> None:
    """And the page names it."""
    assert resolve(path) is not None
    assert re.search(rf"\b{path.rpartition('.')[2]}\b", PAGE) or "backends" in path


@pytest.mark.parametrize("path", GONE)
def test_what_is_said_to_be_gone_is_gone(path: str) -> None:
    """And the page says so."""
    with pytest.raises((ImportError, AttributeError)):
        resolve(path)
    module, _, name = path.rpartition(".")
    assert name in PAGE or module.rpartition(".")[2] in PAGE


@pytest.mark.parametrize(("old", "new"), OLD_TYPES.items())
def test_old_names_of_backends_work_and_say_the_new_one(old: str, new: str, tmp_path: Path) -> None:
    """``CACHE_TYPE`` takes those of 1.x, the dotted ones too, and the page has both names."""
    for written in (old, f"flask_caching.backends.{old}"):
        settings = (
            {"CACHE_DIR": str(tmp_path)} if new == "FileSystemCache" else SETTINGS.get(new, {})
        )
        app = Flask("old")
        app.config.update(CACHE_TYPE=written, CACHE_NO_NULL_WARNING=True, **settings)
        with pytest.warns(UserWarning, match=f'write CACHE_TYPE = "{new}"'):
            cache = Cache(app)
        with app.app_context():
            assert isinstance(cache.cache, resolve(f"flask_caching.backends.{new}"))
    assert f'"{old}"' in PAGE
    assert f'"{new}"' in PAGE


@pytest.mark.parametrize("name", ["uwsgi", "gaememcached"])
def test_backends_that_are_gone_say_what_to_use(name: str) -> None:
    """They are errors at start, which name the successor."""
    with pytest.raises(ImportError, match=r"Set CACHE_TYPE|CACHE_TYPE ="):
        Cache(Flask("old"), config={"CACHE_TYPE": name})


@pytest.mark.parametrize("method", ["cached", "memoize"])
def test_the_order_of_arguments_is_that_of_the_page(method: str) -> None:
    """Those that can be given by position, and what has come between them since 1.x."""
    table = re.search(rf"\| `{method}` in 1\.\d+.*? \| `(.*?)` \|\n\| now \| `(.*?)` \|", PAGE)
    assert table
    before, now = (each.split(", ") for each in table.groups())
    parameters = list(inspect.signature(getattr(Cache, method)).parameters.values())[1:]
    by_position = [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert now == by_position
    assert [name for name in now if name not in ("is_stale", "response_hit_indication")] == before


def test_a_filter_by_position_is_asked_whether_hits_are_stale() -> None:
    """What the page warns of: it is no error, and nothing is ever served from the cache."""
    app = Flask("old")
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    calls: list[int] = []

    def is_good(value: int) -> bool:
        return value > 0

    @cache.memoize(60, None, None, None, is_good)
    def price(number: int) -> int:
        calls.append(number)
        return number

    with app.app_context():
        assert [price(7), price(7)] == [7, 7]
    assert calls == [7, 7]


def test_keys_are_those_of_the_page(tmp_path: Path) -> None:
    """Of views as in 1.x; of queries, memoized calls and fragments others."""
    app = Flask("old")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})

    @app.get("/works")
    @cache.cached()
    def works() -> str:
        return "works"

    @app.get("/search")
    @cache.cached(query_string=True)
    def search() -> str:
        return request.args["q"]

    @cache.memoize()
    def total(year: int) -> int:
        return year

    client = app.test_client()
    client.get("/works")
    client.get("/search?q=a")
    assert works.make_cache_key() == "view//works"
    with app.app_context():
        total(1)
        keys = {info.key for info in cache.cache.keys().keys}
        assert cache.delete_many("view//works", "nothing") == ["view//works", "nothing"]
        assert cache.delete_cached(search, query_args={"q": "a"}) is True
    kinds = [r"view//works", r"view//search#[0-9a-f]+", r"memo/[\w.]+\.total/[0-9a-f]+"]
    assert all(any(re.fullmatch(kind, key) for key in keys) for kind in kinds)
    assert make_template_fragment_key("name", ["part1", "part2"]) in PAGE.replace("`", "")


def test_every_setting_of_1x_is_known() -> None:
    """None of them warns as misspelt, or fails."""
    app = Flask("old")
    app.config.update(
        CACHE_ARGS=[],
        CACHE_DEFAULT_TIMEOUT=300,
        CACHE_DIR="unused",
        CACHE_GCS_BUCKET="unused",
        CACHE_IGNORE_ERRORS=False,
        CACHE_KEY_PREFIX="old/",
        CACHE_MEMCACHED_PASSWORD=None,
        CACHE_MEMCACHED_SERVERS=None,
        CACHE_MEMCACHED_USERNAME=None,
        CACHE_NO_NULL_WARNING=True,
        CACHE_OPTIONS={},
        CACHE_REDIS_CLUSTER="",
        CACHE_REDIS_DB=0,
        CACHE_REDIS_HOST="localhost",
        CACHE_REDIS_PASSWORD=None,
        CACHE_REDIS_PORT=6379,
        CACHE_REDIS_SENTINELS=[],
        CACHE_REDIS_SENTINEL_MASTER="mymaster",
        CACHE_REDIS_SENTINEL_PASSWORD=None,
        CACHE_REDIS_URL=None,
        CACHE_SOURCE_CHECK=False,
        CACHE_THRESHOLD=500,
        CACHE_TYPE="SimpleCache",
        CACHE_UWSGI_NAME="",
        CACHE_HASH_METHOD=hashlib.md5,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Cache(app)
