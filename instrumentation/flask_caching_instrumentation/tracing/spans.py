"""The span catalogue: every span, and every attribute, that the caching layer makes.

There is no OpenTelemetry convention for caches yet, so the names are ours (those of Sentry's
caches where it has one), and stand here and nowhere else. Those of servers and errors are
OpenTelemetry's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

__all__ = [
    "ATTRIBUTES",
    "CATALOGUE",
    "GROUPS",
    "SCOPE",
    "Attribute",
    "SpanDoc",
]

#: The instrumentation scope of every span.
SCOPE: Final = "flask_caching"

# Names of spans; a space and the name in angle brackets follow.
GET: Final = "cache.get"
PUT: Final = "cache.put"
REMOVE: Final = "cache.remove"
FLUSH: Final = "cache.flush"
LOAD: Final = "cache.load"
LOCK: Final = "cache.lock"

#: Spans of lookups, by who asks. The application's own reads have none around their operation.
LOOKUPS: Final[Mapping[str, str]] = MappingProxyType(
    {"view": "cache.view", "memoize": "cache.memoize", "template": "cache.template"}
)

#: Spans of operations, by the operation that metrics name.
GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "get": GET,
        "get_many": GET,
        "has": GET,
        "keys": GET,
        "ttl": GET,
        "add": PUT,
        "dec": PUT,
        "inc": PUT,
        "set": PUT,
        "set_many": PUT,
        "touch": PUT,
        "delete": REMOVE,
        "delete_many": REMOVE,
        "unlink": REMOVE,
        "clear": FLUSH,
    }
)

# Names of attributes.
CACHE_NAME: Final = "cache.name"
HIT: Final = "cache.hit"
KEY: Final = "cache.key"
KEY_COUNT: Final = "cache.key.count"
HIT_COUNT: Final = "cache.hit.count"
ITEM_SIZE: Final = "cache.item_size"
TTL: Final = "cache.ttl"
WRITE: Final = "cache.write"
DEGRADED: Final = "cache.degraded"
OUTCOME: Final = "flask_caching.outcome"
REASON: Final = "flask_caching.reason"
REFUSAL: Final = "flask_caching.refusal"
COLLISION: Final = "flask_caching.collision"
DROPPED_EVENTS: Final = "flask_caching.dropped_events"
FUNCTION: Final = "code.function.name"
ERROR_TYPE: Final = "error.type"
DB_SYSTEM: Final = "db.system.name"
DB_OPERATION: Final = "db.operation.name"
DB_NAMESPACE: Final = "db.namespace"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

#: The event of an error, and its only attribute: a message may hold a key, or a password.
EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"


class Attribute(NamedTuple):
    """One attribute.

    Attributes:
        name: Its name.
        type: ``string``, ``int``, ``double`` or ``boolean``.
        meaning: What it says; where it is absent.
    """

    name: str
    type: Literal["string", "int", "double", "boolean"]
    meaning: str


class SpanDoc(NamedTuple):
    """One kind of span.

    Attributes:
        name: Its name, with what varies in angle brackets.
        kind: ``INTERNAL``; or ``CLIENT`` where a server is asked.
        meaning: What it is around.
        attributes: Names of the attributes it may have.
    """

    name: str
    kind: Literal["INTERNAL", "CLIENT, INTERNAL"]
    meaning: str
    attributes: tuple[str, ...]


_ALL: Final = (
    Attribute(CACHE_NAME, "string", "`CACHE_NAME`."),
    Attribute(HIT, "boolean", "Whether it was found; of several keys, whether all were."),
    Attribute(KEY, "string", "The key, see `CACHE_TRACE_KEYS`; absent for several."),
    Attribute(KEY_COUNT, "int", "How many keys, for an operation on several."),
    Attribute(HIT_COUNT, "int", "How many of them were found."),
    Attribute(ITEM_SIZE, "int", "Bytes of the stored form, where a store of bytes has it."),
    Attribute(TTL, "double", "Seconds to live that were asked for; absent for ever, or default."),
    Attribute(WRITE, "boolean", "Whether the value was stored; false: refused, or failed."),
    Attribute(DEGRADED, "boolean", "True if the store failed and the call went on without it."),
    Attribute(
        OUTCOME,
        "string",
        "`hit`, `miss`, `stale`, `error` or `bypass`; of a wait, `served` or `unserved`.",
    ),
    Attribute(REASON, "string", "Why it did not look, or why a value was not stored or not read."),
    Attribute(REFUSAL, "string", "Why what `forced_update` loaded was not stored."),
    Attribute(COLLISION, "string", "What differs, where the key held another request's entry."),
    Attribute(
        DROPPED_EVENTS,
        "int",
        "Operations on a store in this process that are no events of this span: it had 32.",
    ),
    Attribute(FUNCTION, "string", "The application's function that ran."),
    Attribute(ERROR_TYPE, "string", "The class of the exception; never its message."),
    Attribute(DB_SYSTEM, "string", "`redis` or `memcached`; this and the next on CLIENT spans."),
    Attribute(DB_OPERATION, "string", "The command, `GET` or `PIPELINE SET`, say."),
    Attribute(DB_NAMESPACE, "string", "The number of the Redis database."),
    Attribute(SERVER_ADDRESS, "string", "Host, or path of a socket; absent if there are several."),
    Attribute(SERVER_PORT, "int", "Port, likewise."),
)

#: The attributes by name.
ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType({each.name: each for each in _ALL})

_LOOKUP: Final = (
    CACHE_NAME, KEY, HIT, OUTCOME, WRITE, REASON, REFUSAL, COLLISION, DEGRADED, ERROR_TYPE,
    DROPPED_EVENTS,
)  # fmt: skip
_SERVER: Final = (DB_SYSTEM, DB_OPERATION, DB_NAMESPACE, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE)

CATALOGUE: Final[tuple[SpanDoc, ...]] = (
    SpanDoc(
        "cache.view <endpoint>",
        "INTERNAL",
        "A call of a view under `@cached`; of a helper, by its dotted name.",
        _LOOKUP,
    ),
    SpanDoc("cache.memoize <function>", "INTERNAL", "A call of a memoized function.", _LOOKUP),
    SpanDoc("cache.template <fragment>", "INTERNAL", "A `{% cache %}` block.", _LOOKUP),
    SpanDoc(
        "cache.load <function>",
        "INTERNAL",
        "The application's own function, because its value was not found. ERROR if it raises, "
        "but for the answers below 500 of `abort()`, and for being cancelled.",
        (CACHE_NAME, FUNCTION, ERROR_TYPE),
    ),
    SpanDoc(
        "cache.lock <cache>",
        "INTERNAL",
        "A wait for another caller's load, which it links to if that is of this process.",
        (CACHE_NAME, OUTCOME),
    ),
    SpanDoc(
        "cache.get <cache>",
        "CLIENT, INTERNAL",
        "get, get_many, has, ttl, keys",
        (CACHE_NAME, KEY, KEY_COUNT, HIT, HIT_COUNT, ITEM_SIZE, REASON, *_SERVER),
    ),
    SpanDoc(
        "cache.put <cache>",
        "CLIENT, INTERNAL",
        "set, add, set_many, touch, inc, dec",
        (CACHE_NAME, KEY, KEY_COUNT, ITEM_SIZE, TTL, WRITE, REASON, *_SERVER),
    ),
    SpanDoc(
        "cache.remove <cache>",
        "CLIENT, INTERNAL",
        "delete, delete_many, unlink",
        (CACHE_NAME, KEY, KEY_COUNT, *_SERVER),
    ),
    SpanDoc("cache.flush <cache>", "CLIENT, INTERNAL", "clear", (CACHE_NAME, *_SERVER)),
)
