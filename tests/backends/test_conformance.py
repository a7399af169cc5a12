"""Every backend, bare and inside the instrumented wrapper, against the suite that is shipped.

One table, :data:`TABLE`, says what there is; each row becomes two classes of tests. A backend is
made as an application's would be, from its configuration.

``NullCache`` is not in it: it keeps nothing, which is what most of the suite calls an error. It
has tests of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry

from flask_caching.backends.base import BaseCache
from flask_caching.backends.loading import load_backend
from flask_caching.config import CacheConfig
from flask_caching.testing import BackendConformance
from flask_caching_instrumentation import Instrumentation


class OldCache(BaseCache):
    """A third-party backend of old: values as they are, and no more methods than it must have."""

    def __init__(self, default_timeout: float = 300) -> None:
        super().__init__(default_timeout)
        self.values: dict[str, tuple[float, Any]] = {}

    def get(self, key: str) -> Any:
        return self.values[key][1] if self.has(key) else None

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        seconds = self.default_timeout if timeout is None else timeout
        self.values[key] = (time.time() + seconds if seconds else 0.0, value)
        return True

    def delete(self, key: str) -> bool:
        return self.has(key) and self.values.pop(key, None) is not None

    def has(self, key: str) -> bool:
        expires_at, _ = self.values.get(key, (-1.0, None))
        return not expires_at or expires_at > time.time()

    def clear(self) -> bool:
        self.values.clear()
        return True


@dataclass(frozen=True)
class Row:
    """A backend of the table.

    Attributes:
        config: Its configuration, given its server and a directory of the test's own.
        server: The fixture that starts its server; empty for none.
        shared: Whether another object made of the same configuration has the same content.
        attributes: What the suite is told, see :class:`flask_caching.testing.hooks.Hooks`.
    """

    config: Callable[[Any, Path], dict[str, Any]]
    server: str = ""
    shared: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


def address(server: Any) -> str:
    return f"{server.host}:{server.port}"


#: A value of a megabyte is too large with its header.
MEMCACHED = {"resolution": 1, "largest_value": 2**20}
TEXT = {
    **MEMCACHED,
    "exempt": {
        "test_odd_keys_are_listed_as_they_are": "long keys are hashed: their text is not kept",
    },
}
REDIS = {"repeats": True}
SASL = {**MEMCACHED, "secrets": ("not-a-secret",)}

TABLE: dict[str, Row] = {
    "SimpleCache": Row(lambda server, folder: {"CACHE_TYPE": "SimpleCache"}, shared=False),
    "FileSystemCache": Row(
        lambda server, folder: {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(folder)}
    ),
    "RedisCache": Row(
        lambda server, folder: {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": server.url},
        "redis_server",
        attributes=REDIS,
    ),
    "RedisCache62": Row(
        lambda server, folder: {
            "CACHE_TYPE": "RedisCache",
            "CACHE_REDIS_HOST": server.host,
            "CACHE_REDIS_PORT": server.port,
        },
        "redis62_server",
        attributes=REDIS,
    ),
    "RedisSentinelCache": Row(
        lambda server, folder: {
            "CACHE_TYPE": "RedisSentinelCache",
            "CACHE_REDIS_SENTINELS": server.sentinels,
            "CACHE_REDIS_SENTINEL_MASTER": server.master_name,
        },
        "sentinel_set",
        attributes=REDIS,
    ),
    "RedisClusterCache": Row(
        lambda server, folder: {
            "CACHE_TYPE": "RedisClusterCache",
            "CACHE_REDIS_CLUSTER": ",".join(map(address, server)),
        },
        "redis_cluster_nodes",
        attributes=REDIS,
    ),
    "MemcachedCache": Row(
        lambda server, folder: {
            "CACHE_TYPE": "MemcachedCache",
            "CACHE_MEMCACHED_SERVERS": [address(server)],
        },
        "memcached_server",
        attributes=TEXT,
    ),
    "MemcachedCacheOfThree": Row(
        lambda server, folder: {
            "CACHE_TYPE": "MemcachedCache",
            "CACHE_MEMCACHED_SERVERS": list(map(address, server)),
        },
        "memcached_servers",
        attributes=TEXT,
    ),
    "SASLMemcachedCache": Row(
        lambda server, folder: {
            "CACHE_TYPE": "SASLMemcachedCache",
            "CACHE_MEMCACHED_SERVERS": [address(server)],
            "CACHE_MEMCACHED_USERNAME": server.username,
            "CACHE_MEMCACHED_PASSWORD": server.password,
        },
        "sasl_memcached",
        attributes=SASL,
    ),
    "SpreadSASLMemcachedCache": Row(
        lambda server, folder: {
            "CACHE_TYPE": "SpreadSASLMemcachedCache",
            "CACHE_MEMCACHED_SERVERS": [address(server)],
            "CACHE_MEMCACHED_USERNAME": server.username,
            "CACHE_MEMCACHED_PASSWORD": server.password,
        },
        "sasl_memcached",
        attributes={**SASL, "largest_value": None, "large_value": 3_000_000},
    ),
    "CachelibSimpleCache": Row(
        lambda server, folder: {"CACHE_TYPE": "cachelib.SimpleCache"},
        shared=False,
        attributes={
            "resolution": 1,
            "exempt": {
                "test_a_value_expires": "delete() counts what has expired as there",
                "test_counting_keeps_the_expiry": "counting gives a key the default timeout",
            },
        },
    ),
    "OldCache": Row(
        lambda server, folder: {"CACHE_TYPE": OldCache},
        shared=False,
        attributes={
            "exempt": {
                "test_a_value_is_a_snapshot": "it hands out the object that it was given",
                "test_counting_keeps_the_expiry": "counting gives a key the default timeout",
                "test_one_add_wins": "add(), inc() and dec() are those of BaseCache: two steps",
                "test_no_count_is_lost": "see test_one_add_wins",
                "test_no_count_below_zero_is_lost": "see test_one_add_wins",
            }
        },
    ),
}

_numbers = itertools.count()


class Conformance(BackendConformance):
    """Makes what a row of the table describes."""

    row: Row
    instrumented: bool

    @pytest.fixture(autouse=True)
    def _prepare(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.server = request.getfixturevalue(self.row.server) if self.row.server else None
        # Of its own for each test: the servers are those of the session.
        self.prefix = f"conformance-{next(_numbers)}/"

    def make_backend(self) -> Any:
        return self._load()

    def make_twin(self) -> Any:
        return self._load() if self.row.shared else None

    def make_other_prefix(self, prefix: str | Callable[[], str]) -> Any:
        return self._load(CACHE_KEY_PREFIX=prefix) if self.row.shared else None

    def make_bounded(self, threshold: int) -> Any:
        made = self._load(CACHE_THRESHOLD=threshold)
        return made if hasattr(made, "threshold") else None

    def _load(self, **changes: Any) -> Any:
        app = Flask("conformance")
        config = CacheConfig.load(
            {
                "CACHE_KEY_PREFIX": self.prefix,
                "CACHE_METRICS_REGISTRY": CollectorRegistry(),
                **self.row.config(self.server, self.folder),
                **changes,
            }
        )
        backend = load_backend(config, app)
        return Instrumentation(app, config).wrap(backend) if self.instrumented else backend


def _add_classes() -> None:
    for name, row in TABLE.items():
        for suffix, instrumented in (("", False), ("Instrumented", True)):
            body = {"row": row, "instrumented": instrumented, "__module__": __name__}
            made = type(f"Test{name}{suffix}", (Conformance,), {**body, **row.attributes})
            globals()[made.__name__] = made


_add_classes()
