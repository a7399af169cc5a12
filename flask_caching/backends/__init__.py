"""The backends: where entries are kept.

``CACHE_TYPE`` names one of these by its class name. Those that need more than the standard
library are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .base import BaseCache
from .nullcache import NullCache
from .simplecache import SimpleCache

if TYPE_CHECKING:
    from .filesystemcache import FileSystemCache
    from .memcache import MemcachedCache, SASLMemcachedCache, SpreadSASLMemcachedCache
    from .rediscache import RedisCache, RedisClusterCache, RedisSentinelCache

__all__ = [
    "BaseCache",
    "FileSystemCache",
    "MemcachedCache",
    "NullCache",
    "RedisCache",
    "RedisClusterCache",
    "RedisSentinelCache",
    "SASLMemcachedCache",
    "SimpleCache",
    "SpreadSASLMemcachedCache",
]

#: The backends of this package, and the modules that they are in.
MODULES: Mapping[str, str] = MappingProxyType(
    {
        "NullCache": "nullcache",
        "SimpleCache": "simplecache",
        "FileSystemCache": "filesystemcache",
        "RedisCache": "rediscache",
        "RedisSentinelCache": "rediscache",
        "RedisClusterCache": "rediscache",
        "MemcachedCache": "memcache",
        "SASLMemcachedCache": "memcache",
        "SpreadSASLMemcachedCache": "memcache",
    }
)


def __getattr__(name: str) -> object:
    """A backend that is not imported yet.

    Raises:
        AttributeError: If there is none of this name.
    """
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{MODULES[name]}", __name__), name)
