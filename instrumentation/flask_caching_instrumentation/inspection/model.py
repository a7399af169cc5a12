"""What can be seen of a cache, as plain data.

The debug pages render these, their JSON is :func:`plain` of these, and the command line prints
them: one shape each. Durations and sizes have their unit in the name; moments are Unix time in
seconds. ``None`` means that it is not known, and so is not shown as a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = [
    "Asked",
    "CacheOverview",
    "Comparison",
    "Counts",
    "Decorator",
    "Difference",
    "Explanation",
    "FunctionRow",
    "Interval",
    "KeyDetail",
    "KeyKind",
    "KeyListing",
    "KeyRow",
    "Latency",
    "OperationRecord",
    "Part",
    "Preview",
    "RequestLog",
    "RequestRecord",
    "RequestSpec",
    "Writer",
    "plain",
]

KeyKind: TypeAlias = Literal["view", "memoize", "fragment", "version", "other"]

#: What a request would come to: answered from the cache, computed, computed without asking the
#: cache, found but not served to this request, without a key, or not for a cached view at all.
Verdict: TypeAlias = Literal["hit", "miss", "bypass", "refused", "no_key", "uncached"]


def plain(shown: Any) -> Any:
    """A dataclass of this module as dictionaries and lists, for JSON."""
    return asdict(shown)


# Overview.


@dataclass(frozen=True)
class Counts:
    """How lookups ended.

    Attributes:
        hit_ratio: Hits by all lookups; ``None`` if there were none.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    errors: int = 0
    hit_ratio: float | None = None


@dataclass(frozen=True)
class Interval:
    """Lookups of the last so many seconds."""

    seconds: int
    counts: Counts


@dataclass(frozen=True)
class Latency:
    """How long calls of one operation took, with one outcome; percentiles by bucket."""

    operation: str
    calls: int
    errors: int
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True)
class CacheOverview:
    """One cache at a glance.

    Attributes:
        name: ``CACHE_NAME``.
        backend: The backend's class.
        server: Where its server is, without credentials; empty for a store in this process.
        prefix: The prefix of its keys in the store; ``None`` if a function makes it.
        default_timeout_seconds: ``0`` never expires.
        key_strategy: ``compatible`` or ``strict``.
        collisions_policy: ``report``, ``refuse`` or ``allow``.
        enabled: Whether decorated functions use it now.
        counted: Whether anything is counted at all (``CACHE_INSTRUMENTATION``).
        pid: The process whose numbers these are.
        workers: How many processes count for this application, if that is known.
        since: When counting began.
        totals: Lookups since then.
        intervals: Lookups of the last 1 minute, 5 minutes and 1 hour.
        history: Hit ratios of equal steps up to now, oldest first; ``None`` where nothing was
            looked up.
        history_step_seconds: How long such a step is.
        latencies: By operation, the most frequent first.
        failures: Errors by ``operation error_type``.
        breakers: Breakers by state; empty where there is no server.
        entries: How many it holds; ``None`` where the store cannot say.
        entries_limit: ``0`` for no limit; ``None`` where there is none to know of.
        bytes: What they take; ``None`` where the store cannot say.
        evictions: By reason.
        saved_seconds: What hits saved.
        loads_in_flight: Functions that run now because their value was not there.
        collisions: Times that a key was another request's, by kind.
        bypasses: Decorated calls that did not look, by reason.
    """

    name: str
    backend: str
    server: str
    prefix: str | None
    default_timeout_seconds: float
    key_strategy: str
    collisions_policy: str
    enabled: bool
    counted: bool
    pid: int
    workers: int | None
    since: float | None
    totals: Counts
    intervals: Sequence[Interval] = ()
    history: Sequence[float | None] = ()
    history_step_seconds: float = 0.0
    latencies: Sequence[Latency] = ()
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    breakers: Mapping[str, int] = field(default_factory=dict[str, int])
    entries: int | None = None
    entries_limit: int | None = None
    bytes: int | None = None
    evictions: Mapping[str, int] = field(default_factory=dict[str, int])
    saved_seconds: float = 0.0
    loads_in_flight: int = 0
    collisions: Mapping[str, int] = field(default_factory=dict[str, int])
    bypasses: Mapping[str, int] = field(default_factory=dict[str, int])


# Keys.


@dataclass(frozen=True)
class KeyRow:
    """One key of a listing.

    Attributes:
        id: Names the key in an address: letters, digits, ``-`` and ``_``. Empty for a key that is
            too long for an address (over 1500 bytes), and for one of which the store has kept the
            beginning only (over 250 bytes on memcached).
        key: The key as the application knows it (no store prefix).
        kind: What it belongs to.
        target: Endpoint, function or fragment; empty if it is not known.
        expires_in_seconds: Time left; ``0`` never expires.
        age_seconds: Time since it was written.
        size_bytes: Of its stored form.
        serializer: How its value is stored (``text``, ``response``, ``pickle``, ``json``, ...);
            empty if it is not known.
    """

    id: str
    key: str
    kind: KeyKind
    target: str
    expires_in_seconds: float | None
    age_seconds: float | None
    size_bytes: int | None
    serializer: str = ""


@dataclass(frozen=True)
class KeyListing:
    """A page of keys.

    Attributes:
        cache: ``CACHE_NAME``.
        supported: Whether the store can list its keys.
        rows: The keys.
        cursor: Where to go on; empty at the end. A page can be short, or empty, before that.
        note: What a reader should know; empty if nothing.
        failed: Whether the store failed, so that nobody knows what is in it.
    """

    cache: str
    supported: bool
    rows: Sequence[KeyRow]
    cursor: str
    note: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Preview:
    """A value, made visible without running anything of it.

    Attributes:
        form: ``text``, ``json``, ``bytes`` (hexadecimal), ``pickle`` (never unpickled), ``none``
            (not stored as a value), or ``hidden`` (by ``CACHE_DEBUG_REDACT``).
        text: What there is to see; hostile until it is escaped.
        size_bytes: Of the whole value.
        shown_bytes: How much of it ``text`` stands for.
        headers: Status and headers of a stored response.
        note: Why there is nothing to see, or not all.
    """

    form: Literal["text", "json", "bytes", "pickle", "none", "hidden"]
    text: str
    size_bytes: int
    shown_bytes: int
    headers: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class Writer:
    """Who an entry was made for.

    Attributes:
        function: Endpoint or function; empty if it cannot be told (the store keeps a hash).
        arguments: Its arguments as text; ``None`` if they cannot be told.
        method: Request method, host, and the rest: empty where they are not known.
    """

    function: str = ""
    arguments: str | None = None
    method: str = ""
    host: str = ""
    query: str = ""


@dataclass(frozen=True)
class Asked:
    """A request, or a call, that asked for a key: lately, in this process.

    Attributes:
        at: When.
        target: Endpoint or function.
        method: Empty outside requests.
        url: Path and query; empty outside requests.
        outcome: How it ended.
        request: The number of the :class:`RequestRecord`, if it is one.
    """

    at: float
    target: str
    method: str
    url: str
    outcome: str
    request: int | None = None


@dataclass(frozen=True)
class KeyDetail:
    """One key, with what is known of its entry.

    Attributes:
        row: As in the listing.
        exists: Whether there is an entry now.
        created_at: When it was written.
        expires_at: ``0`` never; ``None`` if it is not known.
        load_seconds: How long its value took to compute.
        written_by: Who it was made for.
        reads: What the view was seen to read while it made it.
        vary: Names and values of the request headers that select it.
        versions: How many versions it depends on.
        shared_by: Who asked for it lately, in this process, the latest first.
        collision: What differed when another request met its entry; empty if none did.
        preview: Its value, if that was asked for.
        note: What a reader should know; empty if nothing.
    """

    row: KeyRow
    exists: bool
    created_at: float | None = None
    expires_at: float | None = None
    load_seconds: float | None = None
    written_by: Writer | None = None
    reads: Sequence[str] = ()
    vary: Sequence[tuple[str, str]] = ()
    versions: int = 0
    shared_by: Sequence[Asked] = ()
    collision: str = ""
    preview: Preview | None = None
    note: str = ""


# Functions.


@dataclass(frozen=True)
class FunctionRow:
    """A decorated function.

    Attributes:
        name: Module and qualified name.
        kind: ``view`` (it has a route), ``helper`` or ``memoize``.
        file: Source file, relative to the application's where it is below that.
        line: Its first line; ``None`` if there is no source.
        endpoints: Endpoints that lead to it.
        rules: Their URL rules.
        methods: Request methods that the cache serves.
        timeout_seconds: ``0`` never expires.
        key: How its key is made, as one would write it in code.
        options: Other arguments of the decorator that are not the default, likewise.
        counts: Its lookups.
        mean_load_seconds: How long it takes to run.
        saved_seconds: What its hits saved.
        distinct_keys: About how many keys were asked for, by window.
        warnings: What looks wrong, in sentences.
    """

    name: str
    kind: Literal["view", "helper", "memoize"]
    file: str
    line: int | None
    endpoints: Sequence[str]
    rules: Sequence[str]
    methods: Sequence[str]
    timeout_seconds: float
    key: str
    options: Sequence[str]
    counts: Counts
    mean_load_seconds: float | None
    saved_seconds: float
    distinct_keys: Mapping[str, int] = field(default_factory=dict[str, int])
    warnings: Sequence[str] = ()


# The key tester.


@dataclass(frozen=True)
class RequestSpec:
    """A request to ask about; nobody sends it.

    Attributes:
        url: A path with an optional query string, or an absolute URL.
        method: Request method.
        host: ``Host``, with a port if it has one; empty for that of the URL.
        headers: Name and value pairs.
        cookies: Name and value pairs.
        body: The body, as text.
        content_type: Its type.
    """

    url: str
    method: str = "GET"
    host: str = ""
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[tuple[str, str]] = ()
    body: str = ""
    content_type: str = ""


@dataclass(frozen=True)
class Part:
    """One ingredient of a key; see :class:`flask_caching.keys.KeyPart`."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class Decorator:
    """A decorator found on a view, the outermost first.

    Attributes:
        name: Its name, as far as it can be told.
        role: ``cache`` (ours), ``above`` it (runs on each request) or ``below`` (runs on a miss).
        where: File and line of the wrapper.
    """

    name: str
    role: Literal["cache", "above", "below"]
    where: str


@dataclass(frozen=True)
class Explanation:
    """What would become of a request, and why.

    Attributes:
        request: The request.
        key: Its key; ``None`` where there is none.
        parts: What the key is made of.
        endpoint: The endpoint matched.
        rule: The URL rule matched.
        function: The cached function.
        arguments: The view's arguments, as text.
        decorators: What is on the view.
        missing: What such a request has that its key does not depend on, in words
            (``query string``, ``host``, ``cookie theme``).
        exists: Whether the key has an entry now.
        expires_in_seconds: Its time left; ``0`` never expires.
        verdict: What would happen.
        why: Why, in a sentence.
        key_id: Names the key in an address.
        status: Of what routing says instead of a view (404, 405, a redirect); ``None`` where
            there is a view.
        notes: What else one should know, in sentences: what was not run, rules near a 404, the
            key of a second cache inside.
    """

    request: RequestSpec
    key: str | None
    parts: Sequence[Part]
    endpoint: str | None
    rule: str | None
    function: str | None
    arguments: Mapping[str, str]
    decorators: Sequence[Decorator]
    missing: Sequence[str]
    exists: bool | None
    expires_in_seconds: float | None
    verdict: Verdict
    why: str
    key_id: str = ""
    status: int | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Difference:
    """Something in which compared requests differ.

    Attributes:
        name: A part of the request or of the key (``path``, ``query:page``, ``header:Accept``).
        values: Of each request, in their order; ``None`` where it has none.
        in_key: Whether the keys depend on it.
    """

    name: str
    values: Sequence[str | None]
    in_key: bool


@dataclass(frozen=True)
class Comparison:
    """Several requests side by side.

    Attributes:
        explanations: One for each request, in their order.
        groups: Numbers of the requests (from 0) that share a key, one list for each key.
        differences: In what they differ.
        verdict: ``distinct``, ``same`` (all share one key), ``mixed``, or ``incomparable`` (some
            have no key).
        collision: Whether requests with different route arguments or endpoints share a key.
        why: The verdict in a sentence.
    """

    explanations: Sequence[Explanation]
    groups: Sequence[Sequence[int]]
    differences: Sequence[Difference]
    verdict: Literal["distinct", "same", "mixed", "incomparable"]
    collision: bool
    why: str


# Live.


@dataclass(frozen=True)
class OperationRecord:
    """One lookup, or one call of the application's own to the cache.

    Attributes:
        source: ``view``, ``memoize``, ``template`` or ``direct``.
        target: Endpoint, function or fragment.
        operation: ``lookup``, ``bypass``, or the backend's operation for a call of the
            application's own.
        outcome: ``hit``, ``miss``, ``stale``, ``error``; a bypass's reason; ``stored``, ...
        key: The key; of several the first.
        keys: How many.
        microseconds: How long it took, the load included.
        load_microseconds: How long the function ran; ``None`` if it did not.
        bytes: Of the entry that was read or written; ``None`` if it is not known.
        stored: ``stored``, ``refused`` or ``error`` after a load; empty on a hit.
        reason: Why it was not stored.
        collision: What differed, if the entry was another request's.
        waited: Whether it waited for another caller's load.
    """

    source: str
    target: str
    operation: str
    outcome: str
    key: str
    keys: int
    microseconds: float
    load_microseconds: float | None = None
    bytes: int | None = None
    stored: str = ""
    reason: str = ""
    collision: str = ""
    waited: bool = False


@dataclass(frozen=True)
class RequestRecord:
    """A request that used the cache, or what was done outside of any.

    Attributes:
        number: Grows by one with each, in the order in which they ended.
        at: When it began.
        method: Empty outside requests.
        url: Path and query, values of redacted parameters hidden.
        endpoint: The endpoint matched; empty if none.
        status: Of the response; ``None`` outside requests, or if there was none.
        milliseconds: How long it took.
        trace_id: Of OpenTelemetry; empty if it is not traced.
        operations: What it did, in order; at most a hundred are kept.
        dropped: Operations beyond those.
    """

    number: int
    at: float
    method: str
    url: str
    endpoint: str
    status: int | None
    milliseconds: float | None
    trace_id: str
    operations: Sequence[OperationRecord]
    dropped: int = 0


@dataclass(frozen=True)
class RequestLog:
    """The latest requests of this process, the latest first.

    Attributes:
        pid: The process.
        latest: The highest number so far; ask for those ``after`` it next time.
        requests: The requests.
        recording: Whether requests are being recorded.
    """

    pid: int
    latest: int
    requests: Sequence[RequestRecord]
    recording: bool
