"""Configuration: every ``CACHE_*`` key, parsed once into a frozen :class:`CacheConfig`.

A field of :class:`CacheConfig` is the whole truth about its key: the ``metadata`` of the
dataclass field holds the key, what it accepts, its default and what it is for, and the manual's
table is made from that (:func:`describe_keys`). Values may come from the environment, so
numbers and booleans are accepted as text too.

``None`` stands for the default, except where a key gives it a meaning of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from . import parsing
from .errors import ConfigurationError
from .parsing import describe, hide_credentials, nearest, warn_user
from .serializers import Serializer
from .typing import CollisionPolicy, HashMethod, KeyStrategy

__all__ = ["PASS_THROUGH", "CacheConfig", "KeyDoc", "describe_keys"]

#: Keys that backends read for themselves, and which backends those are. Known, never checked here.
PASS_THROUGH: Mapping[str, str] = MappingProxyType(
    {
        "CACHE_DIR": "FileSystemCache",
        "CACHE_FILE_HASH_METHOD": "FileSystemCache",
        "CACHE_GCS_BUCKET": "GoogleCloudStorageCache",
        "CACHE_MEMCACHED_PASSWORD": "SASLMemcachedCache, SpreadSASLMemcachedCache",
        "CACHE_MEMCACHED_SERVERS": "MemcachedCache, SASLMemcachedCache, SpreadSASLMemcachedCache",
        "CACHE_MEMCACHED_USERNAME": "SASLMemcachedCache, SpreadSASLMemcachedCache",
        "CACHE_REDIS_CLUSTER": "RedisClusterCache",
        "CACHE_REDIS_DB": "RedisCache, RedisSentinelCache",
        "CACHE_REDIS_HOST": "RedisCache",
        "CACHE_REDIS_PASSWORD": "RedisCache, RedisSentinelCache, RedisClusterCache",
        "CACHE_REDIS_PORT": "RedisCache",
        "CACHE_REDIS_SENTINELS": "RedisSentinelCache",
        "CACHE_REDIS_SENTINEL_MASTER": "RedisSentinelCache",
        "CACHE_REDIS_SENTINEL_PASSWORD": "RedisSentinelCache",
        "CACHE_REDIS_SENTINEL_USERNAME": "RedisSentinelCache",
        "CACHE_REDIS_URL": "RedisCache, RedisClusterCache",
        "CACHE_REDIS_USERNAME": "RedisCache, RedisSentinelCache, RedisClusterCache",
        "CACHE_UWSGI_NAME": "UWSGICache",
    }
)

#: What factories of old find in their ``config`` although nobody set it.
_FACTORY_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "CACHE_DIR": None,
        "CACHE_FILE_HASH_METHOD": hashlib.sha256,
        "CACHE_MEMCACHED_SERVERS": None,
    }
)

_INSTRUMENTATION = "flask_caching_instrumentation.Instrumentation"


class KeyDoc(NamedTuple):
    """What is known of one configuration key.

    Attributes:
        key: For example ``CACHE_TYPE``.
        accepts: What its value may be.
        default: Its default, as a reader would write it.
        about: What it is for, in a sentence.
    """

    key: str
    accepts: str
    default: str
    about: str


def _key(
    key: str,
    default: Any,
    parse: Callable[[Any], Any],
    accepts: str,
    about: str,
    *,
    factory: Callable[[], Any] | None = None,
    shown: str = "",
    none: bool = False,
    secret: bool = False,
) -> Any:
    """The dataclass field of one key.

    Args:
        key: The ``CACHE_*`` name.
        default: The field's default.
        parse: Makes the field's value, or raises ValueError or TypeError saying what is wrong.
        accepts: For messages and the manual.
        about: For the manual.
        factory: Makes the default, where it cannot be shared.
        shown: The default as the manual shows it, where its ``repr`` would not do.
        none: Whether ``None`` is a value of its own instead of the default.
        secret: Whether the value may hold credentials, and is never shown.
    """
    metadata = {
        "key": key,
        "parse": parse,
        "accepts": accepts,
        "about": about,
        "shown": shown,
        "none": none,
        "secret": secret,
    }
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def _no_options() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, repr=False)
class CacheConfig:
    """One application's cache configuration, checked.

    Made by :meth:`load`. A field is named as its key, in lower case without ``CACHE_``; what
    each is for is in its metadata.
    """

    type: str | Callable[..., Any] = _key(
        "CACHE_TYPE",
        "NullCache",
        parsing.backend_type,
        "a class name, a dotted path to a class or factory, a class, or a callable",
        "The backend that keeps the entries.",
    )
    enabled: bool = _key(
        "CACHE_ENABLED",
        True,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether decorated functions use the cache; if not, they run as if undecorated. "
        "``flask cache off`` does the same for every worker while they run.",
    )
    no_null_warning: bool = _key(
        "CACHE_NO_NULL_WARNING",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Silences the warning that NullCache keeps nothing.",
    )
    args: tuple[Any, ...] = _key(
        "CACHE_ARGS",
        (),
        parsing.arguments,
        "a list or tuple",
        "Positional arguments for the backend.",
        secret=True,
        shown="[]",
    )
    options: Mapping[str, Any] = _key(
        "CACHE_OPTIONS",
        None,
        parsing.options,
        "a dictionary",
        "Keyword arguments for the backend; they win over the other keys.",
        secret=True,
        shown="{}",
        factory=_no_options,
    )
    default_timeout: float = _key(
        "CACHE_DEFAULT_TIMEOUT",
        300,
        parsing.lifetime,
        "seconds (0 never expires), a numeric string, or a timedelta",
        "How long an entry lives where nothing else says so.",
    )
    ignore_errors: bool = _key(
        "CACHE_IGNORE_ERRORS",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether a failing store is a miss for direct calls such as cache.get, "
        "instead of an exception.",
    )
    threshold: int = _key(
        "CACHE_THRESHOLD",
        500,
        parsing.whole(0),
        "a whole number, 0 for no limit",
        "Entries that SimpleCache and FileSystemCache hold at most.",
    )
    allow_flush: bool = _key(
        "CACHE_ALLOW_FLUSH",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether clearing a cache without a key prefix may remove everything in its database.",
    )
    key_prefix: str | Callable[[], str] = _key(
        "CACHE_KEY_PREFIX",
        "flask_cache_",
        parsing.key_prefix,
        "a string, or a callable that returns one",
        "What comes before each key in a store that several applications share.",
    )
    hash_method: HashMethod = _key(
        "CACHE_HASH_METHOD",
        hashlib.sha256,
        parsing.hash_method,
        "a hash constructor such as hashlib.sha256",
        "Hashes the parts of a key that would be too long.",
        shown="hashlib.sha256",
    )
    source_check: bool = _key(
        "CACHE_SOURCE_CHECK",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether a function's source is part of its keys, so that a changed function "
        "is loaded anew.",
    )
    enable_signals: bool = _key(
        "CACHE_ENABLE_SIGNALS",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether the signals of flask_caching.signals are sent.",
    )
    serializer: str | Serializer = _key(
        "CACHE_SERIALIZER",
        "pickle",
        parsing.serializer,
        '"pickle", "signed", "json", or an object or class with dumps and loads',
        "Turns objects into bytes; text, bytes, numbers and responses need none.",
    )
    compression: str | None = _key(
        "CACHE_COMPRESSION",
        None,
        parsing.compression,
        '"zlib", "zstd" (needs zstandard), or None for no compression',
        "Makes large entries smaller before they are written to a store outside of the process.",
        none=True,
    )
    compression_threshold: int = _key(
        "CACHE_COMPRESSION_THRESHOLD",
        1024,
        parsing.whole(0),
        "bytes",
        "How large a payload must be to be compressed.",
    )
    breaker_threshold: int = _key(
        "CACHE_BREAKER_THRESHOLD",
        3,
        parsing.whole(0),
        "a whole number, 0 to ask the server however often it fails",
        "Failures in a row after which a cache server is left alone for a while.",
    )
    breaker_cooldown: float = _key(
        "CACHE_BREAKER_COOLDOWN",
        1.0,
        parsing.positive,
        "seconds above 0, a numeric string, or a timedelta",
        "How long it is left alone before it is tried again; twice as long after each trial "
        "that fails, up to 30 seconds.",
    )
    name: str = _key(
        "CACHE_NAME",
        "cache",
        parsing.text,
        "a string",
        "This cache's name in metrics, traces and logs.",
    )
    instrumentation: str | Callable[..., Any] | None = _key(
        "CACHE_INSTRUMENTATION",
        _INSTRUMENTATION,
        parsing.observer,
        "a dotted path, a callable, or None for no instrumentation",
        "What watches the cache.",
        none=True,
    )
    metrics_path: str | None = _key(
        "CACHE_METRICS_PATH",
        None,
        parsing.url_path,
        'a path that begins with "/", or None for no endpoint',
        "Where the metrics can be scraped.",
        none=True,
    )
    metrics_namespace: str = _key(
        "CACHE_METRICS_NAMESPACE",
        "flask_caching",
        parsing.metric_name,
        "letters, digits and underscores, not beginning with a digit",
        "What the names of all metrics begin with.",
    )
    metrics_registry: Any = _key(
        "CACHE_METRICS_REGISTRY",
        None,
        parsing.registry,
        "a prometheus_client registry, or None for the default one",
        "Where the metrics are registered.",
        none=True,
    )
    metrics_targets: int = _key(
        "CACHE_METRICS_TARGETS",
        200,
        parsing.whole(1),
        "a whole number, at least 1",
        "Distinct targets that metrics name; all others share one label.",
    )
    metrics_shared_keys: bool = _key(
        "CACHE_METRICS_SHARED_KEYS",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether distinct keys are counted over all machines, in the Redis of the cache; if not, "
        "over the workers of one machine.",
    )
    otel_metrics: bool = _key(
        "CACHE_OTEL_METRICS",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether the same numbers are OpenTelemetry metrics as well.",
    )
    meter_provider: Any = _key(
        "CACHE_METER_PROVIDER",
        None,
        parsing.meter_provider,
        "an object with get_meter, or None for the global one",
        "Where those metrics are registered.",
        none=True,
    )
    tracing: str = _key(
        "CACHE_TRACING",
        "auto",
        parsing.choice("auto", "always", "off"),
        '"auto", "always" or "off"',
        "When OpenTelemetry spans are made: inside of a span that is recorded, always, or never.",
    )
    trace_keys: str = _key(
        "CACHE_TRACE_KEYS",
        "hash",
        parsing.choice("hash", "full", "off"),
        '"hash", "full" or "off"',
        "How spans show a key: as a hash keyed with SECRET_KEY, as it is, or not at all.",
    )
    tracer_provider: Any = _key(
        "CACHE_TRACER_PROVIDER",
        None,
        parsing.tracer_provider,
        "an object with get_tracer, or None for that of FlaskCachingInstrumentor, else the global "
        "one",
        "Where the tracer comes from.",
        none=True,
    )
    debug_ui: str | None = _key(
        "CACHE_DEBUG_UI",
        None,
        parsing.debug_path,
        'True for "/_cache", a path that begins with "/", or False for no pages',
        "Where the debug pages are.",
        none=True,
        shown="False",
    )
    debug_token: str | None = _key(
        "CACHE_DEBUG_TOKEN",
        None,
        parsing.token,
        "a long random string, or None",
        "Who shows it may see the debug pages. Without it they answer only the machine they run "
        "on, and only under ``app.debug``.",
        none=True,
        secret=True,
    )
    debug_write: bool = _key(
        "CACHE_DEBUG_WRITE",
        False,
        parsing.boolean,
        parsing.BOOLEAN,
        "Whether keys can be deleted, and the cache be cleared, in the debug pages.",
    )
    debug_redact: tuple[str, ...] = _key(
        "CACHE_DEBUG_REDACT",
        parsing.REDACTED,
        parsing.patterns,
        'a list of patterns such as "*password*", case aside',
        "Names of keys, parameters, headers, cookies and fields whose values no debug page shows.",
    )
    debug_record: float | None = _key(
        "CACHE_DEBUG_RECORD",
        None,
        parsing.share,
        "a number from 0 (never) to 1 (always), True, False, or None: 0.1 where debug pages are "
        "mounted, 1 under ``app.debug`` there, else 0",
        "How often it is recorded what a function reads of the request while its value is made.",
        none=True,
    )
    key_strategy: KeyStrategy = _key(
        "CACHE_KEY_STRATEGY",
        "compatible",
        parsing.choice("compatible", "strict"),
        '"compatible" or "strict"',
        "How a view's key is made: as ever, or of everything that tells requests apart.",
    )
    collisions: CollisionPolicy = _key(
        "CACHE_COLLISIONS",
        "report",
        parsing.choice("report", "refuse", "allow"),
        '"report", "refuse" or "allow"',
        "What happens when a key holds the entry of another request.",
    )
    single_flight: str = _key(
        "CACHE_SINGLE_FLIGHT",
        "process",
        parsing.choice("process", "distributed", "off"),
        '"process", "distributed" or "off"',
        "Whether callers that miss the same key at once wait for one of them to load it: those "
        "of one process, of all processes on a shared store, or nobody.",
    )
    single_flight_timeout: float = _key(
        "CACHE_SINGLE_FLIGHT_TIMEOUT",
        10.0,
        parsing.wait,
        "seconds above 0, a numeric string, or a timedelta",
        "How long a caller waits for another one's load before it loads as well.",
    )
    stream_limit: int = _key(
        "CACHE_STREAM_LIMIT",
        1024 * 1024,
        parsing.whole(0),
        "bytes, 0 to store no streamed response",
        "How large a streamed response may be to be buffered and stored.",
        shown="1048576",
    )
    _mapping: Mapping[str, Any] = field(default_factory=_no_options, compare=False)

    @classmethod
    def load(
        cls, mapping: Mapping[str, Any], explicit: Mapping[str, Any] = MappingProxyType({})
    ) -> Self:
        """Parse an application's configuration.

        Args:
            mapping: ``app.config`` with the config passed to ``Cache()`` merged over it. Read,
                never written.
            explicit: The config passed to ``Cache()`` alone. An unknown ``CACHE_*`` key in it
                always warns; one in ``app.config`` warns only if it looks like a slip, since
                other extensions keep their keys there.

        Returns:
            The checked configuration.

        Raises:
            ConfigurationError: If a value cannot be used. The message names the key and, unless
                it may hold a secret, the value.
        """
        _warn_unknown(mapping, explicit)
        values = {
            item.name: _parse(item.metadata, mapping)
            for item in _key_fields()
            if mapping.get(item.metadata["key"]) is not None
            or (item.metadata["none"] and item.metadata["key"] in mapping)
        }
        if values.get("serializer") == "signed" and not mapping.get("SECRET_KEY"):
            raise ConfigurationError(
                'CACHE_SERIALIZER is "signed", but the application has no SECRET_KEY to sign '
                "with. Set SECRET_KEY to a long random string."
            )
        # A timeout among the options is the one that the backend will be given.
        timeout = values.get("options", {}).get("default_timeout")
        if timeout is not None:
            key = "CACHE_OPTIONS['default_timeout']"
            values["default_timeout"] = _checked(key, parsing.lifetime, timeout, "seconds")
        return cls(**values, _mapping=MappingProxyType(dict(mapping)))

    def as_mapping(self) -> dict[str, Any]:
        """The configuration as factories ``(app, config, args, kwargs)`` take it.

        Returns:
            A new dictionary of the application's whole configuration, the ``CACHE_*`` defaults
            filled in and their values parsed. Whoever gets it may change it.
        """
        merged = {**_FACTORY_DEFAULTS, **self._mapping}
        for item in _key_fields():
            merged[item.metadata["key"]] = getattr(self, item.name)
        merged["CACHE_ARGS"] = list(self.args)
        merged["CACHE_OPTIONS"] = dict(self.options)
        # Factories of old look for a serializer object or None; ours is not theirs to apply.
        if isinstance(self.serializer, str):
            merged["CACHE_SERIALIZER"] = None
        return merged

    def pass_through(self) -> list[str]:
        """The keys that are set and that only a backend's factory would read, sorted."""
        return sorted(key for key in PASS_THROUGH if self._mapping.get(key) is not None)

    def __repr__(self) -> str:
        shown: list[str] = []
        for item in _key_fields():
            value = "..." if item.metadata["secret"] else describe(getattr(self, item.name))
            shown.append(f"{item.name}={value}")
        return f"CacheConfig({', '.join(shown)})"


def describe_keys() -> list[KeyDoc]:
    """Every key of :class:`CacheConfig`, in its order, for the manual."""
    defaults = CacheConfig()
    return [
        KeyDoc(
            item.metadata["key"],
            item.metadata["accepts"],
            item.metadata["shown"] or repr(getattr(defaults, item.name)),
            item.metadata["about"],
        )
        for item in _key_fields()
    ]


def _key_fields() -> list[Any]:
    return [item for item in fields(CacheConfig) if "key" in item.metadata]


def _parse(metadata: Mapping[str, Any], mapping: Mapping[str, Any]) -> Any:
    key: str = metadata["key"]
    return _checked(key, metadata["parse"], mapping[key], metadata["accepts"], metadata["secret"])


def _checked(
    key: str, parse: Callable[[Any], Any], value: Any, accepts: str, secret: bool = False
) -> Any:
    try:
        return parse(value)
    except (TypeError, ValueError) as error:
        shown = f"a value of type {type(value).__name__}" if secret else describe(value)
        reason = hide_credentials(str(error))
        raise ConfigurationError(
            f"{key} is {shown}, which cannot be used: {reason}. It accepts {accepts}. "
            "Correct it, or remove it to get the default."
        ) from error


def _warn_unknown(mapping: Mapping[str, Any], explicit: Mapping[str, Any]) -> None:
    known = [item.metadata["key"] for item in _key_fields()] + list(PASS_THROUGH)
    for key in sorted(str(key) for key in {**mapping, **explicit}):
        if not key.startswith("CACHE_") or key in known:
            continue
        near = nearest(key, known)
        if near:
            warn_user(f"{key} is not a configuration key of Flask-Caching. Did you mean {near}?")
        elif key in explicit:
            warn_user(
                f"{key} was passed to Cache(), but is not a configuration key of Flask-Caching; "
                "it has no effect."
            )
