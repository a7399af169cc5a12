"""A caching layer for Flask that can be seen.

Views, functions and template fragments are cached behind one :class:`Cache`; an instrumented
wrapper around every backend counts what happens (see :mod:`flask_caching_instrumentation`).
"""

from __future__ import annotations

import hashlib

from .cache import Cache
from .config import CacheConfig
from .errors import (
    BackendError,
    BackendImportError,
    CacheError,
    ConfigurationError,
    SerializationError,
    UncacheableArgument,
    UnreadableEntry,
)
from .keys import KeyExplanation, KeyPart
from .responses import CachedResponse
from .signals import cache_memoize_hit, cache_memoize_miss, cache_view_hit, cache_view_miss
from .utils import function_namespace, make_template_fragment_key

__all__ = [
    "SUPPORTED_HASH_FUNCTIONS",
    "BackendError",
    "BackendImportError",
    "Cache",
    "CacheConfig",
    "CacheError",
    "CachedResponse",
    "ConfigurationError",
    "KeyExplanation",
    "KeyPart",
    "SerializationError",
    "UncacheableArgument",
    "UnreadableEntry",
    "cache_memoize_hit",
    "cache_memoize_miss",
    "cache_view_hit",
    "cache_view_miss",
    "function_namespace",
    "make_template_fragment_key",
]

#: Hash constructors that ``CACHE_HASH_METHOD`` is known to work with.
SUPPORTED_HASH_FUNCTIONS = [
    hashlib.sha1,
    hashlib.sha224,
    hashlib.sha256,
    hashlib.sha384,
    hashlib.sha512,
    hashlib.md5,
]
