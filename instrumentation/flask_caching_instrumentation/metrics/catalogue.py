"""The metric catalogue as data.

Every family the package exports is described once, in :data:`CATALOGUE`: name, type, labels,
help text, buckets, and how the gauges of several workers become one. What counts
(:mod:`.recorder`), what exports (:mod:`.collector`, :mod:`.workers`) and the manual read it.

No label ever holds a key, a path or a user. ``source`` and ``target`` say who asked: a view's
endpoint, a function's dotted name or a fragment's name; the application's own calls have
``source="direct", target="direct"``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import prometheus_client.utils

__all__ = [
    "CATALOGUE",
    "COMMON",
    "OTHER",
    "Add",
    "Child",
    "Children",
    "Family",
    "LabelSet",
    "Merge",
    "Numbers",
    "Observe",
    "Timing",
    "build_labels",
    "family",
    "full_name",
    "go_string",
    "installed_version",
    "telemetry_errors",
]

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

#: How the gauges of several live workers become one number.
Merge: TypeAlias = Literal["sum", "max", "latest"]

#: Label values in the order of :attr:`Family.labels`.
LabelSet: TypeAlias = tuple[str, ...]

#: One series: a family's name and its label values.
Child: TypeAlias = tuple[str, LabelSet]

#: The labels that nearly every family begins with: the cache's name and the kind of its backend.
COMMON: Final = ("cache", "backend")

#: The label value that stands for all beyond a limit.
OTHER: Final = "_other"

#: One backend call, seconds: from a dictionary look-up to a network time-out.
OPERATION_BUCKETS: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip

#: The user's function, seconds: what is worth caching takes from a millisecond to a minute.
LOAD_BUCKETS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

#: The byte form of an entry: from a number to the limits of memcached and beyond.
SIZE_BUCKETS: Final = (
    64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0,
)  # fmt: skip


class Family(NamedTuple):
    """One metric family.

    Attributes:
        name: Its name without the namespace; a counter's ends in ``_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        labels: Label names, the common ones first.
        help: The help text; says the unit where the name does not.
        buckets: A histogram's upper bounds, in the unit of its name, without infinity.
        merge: How the gauges of several live workers become one.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"


_ASKER: Final = (*COMMON, "source", "target")

CATALOGUE: Final[tuple[Family, ...]] = (
    Family(
        "lookups_total",
        "counter",
        (*_ASKER, "result"),
        "Keys looked up, by result: hit, miss, stale or error; a read of n keys counts n.",
    ),
    Family(
        "bypasses_total",
        "counter",
        (*_ASKER, "reason"),
        "Decorated calls that did not look into the cache, by reason.",
    ),
    Family(
        "stores_total",
        "counter",
        (*_ASKER, "result", "reason"),
        "Values offered to the cache, by result: stored, refused or error; reason says why not.",
    ),
    Family(
        "operation_duration_seconds",
        "histogram",
        (*COMMON, "operation", "outcome"),
        "Seconds that one call to the backend took.",
        OPERATION_BUCKETS,
    ),
    Family(
        "errors_total",
        "counter",
        (*COMMON, "operation", "error_type", "handled"),
        "Failures of the store or of a codec; handled: the application did not see it.",
    ),
    Family(
        "load_duration_seconds",
        "histogram",
        (*_ASKER, "outcome"),
        "Seconds that the application's own function took when its value was not cached.",
        LOAD_BUCKETS,
    ),
    Family(
        "saved_seconds_total",
        "counter",
        _ASKER,
        "Seconds of loading that hits made unnecessary, as measured when the value was loaded.",
    ),
    Family(
        "loads_in_flight",
        "gauge",
        (*COMMON, "source"),
        "Loads of the application's own functions that are running now.",
    ),
    Family(
        "coalesced_loads_total",
        "counter",
        (*COMMON, "source"),
        "Calls that waited for, and were served by, another caller's load of the same key.",
    ),
    Family(
        "duplicate_loads_total",
        "counter",
        (*COMMON, "source"),
        "Loads that began while another one of the same key was under way in the process.",
    ),
    Family(
        "key_collisions_total",
        "counter",
        (*_ASKER, "kind", "action"),
        "Lookups that found another request's entry under their key, by what differs.",
    ),
    Family(
        "distinct_keys",
        "gauge",
        (*_ASKER, "window"),
        "Different keys looked up within the window, estimated to 1 percent; those of all workers.",
        merge="max",
    ),
    Family(
        "item_size_bytes",
        "histogram",
        (*COMMON, "direction"),
        "Bytes of entries read from and written to stores that keep bytes, metadata included.",
        SIZE_BUCKETS,
    ),
    Family(
        "entries",
        "gauge",
        COMMON,
        "Entries held by stores of this process or machine, expired ones not yet removed included.",
    ),
    Family(
        "entries_limit",
        "gauge",
        COMMON,
        "Entries that those stores hold at most; absent where there is no limit.",
    ),
    Family(
        "evictions_total",
        "counter",
        (*COMMON, "reason"),
        "Entries removed by those stores to make room, by reason.",
    ),
    Family(
        "backend_up",
        "gauge",
        COMMON,
        "1 if every server of the cache answered when it was last asked, 0 if one did not.",
        merge="latest",
    ),
    Family(
        "breaker_state",
        "gauge",
        (*COMMON, "state"),
        "Circuit breakers of live workers that are open or half_open, one a server; else closed.",
    ),
    Family(
        "backend_info",
        "gauge",
        (*COMMON, "type", "client", "serializer"),
        "Always 1; the labels name the backend's class, its client library and the serializer.",
        merge="max",
    ),
    Family(
        "dropped_labels_total",
        "counter",
        (*COMMON, "label"),
        "Label values counted as _other because the limit for their label was reached.",
    ),
    Family(
        "telemetry_errors_total",
        "counter",
        ("where", "error_type"),
        "Errors of observers and signal receivers; they never reach the application.",
    ),
    Family(
        "build_info",
        "gauge",
        ("version", "python_version", "flask_version"),
        "Always 1; the labels name the versions in use.",
        merge="max",
    ),
)

_BY_NAME: Final[Mapping[str, Family]] = {each.name: each for each in CATALOGUE}


def family(name: str) -> Family:
    """The family called ``name`` (without the namespace)."""
    return _BY_NAME[name]


def full_name(namespace: str, name: str) -> str:
    """A family's name as it is exported; an empty ``namespace`` adds nothing."""
    return f"{namespace}_{name}" if namespace else name


class Timing(NamedTuple):
    """What a histogram holds besides its buckets: how many observations, and their sum."""

    calls: int
    seconds: float


#: What a recorder has counted: family name to label values to number.
Numbers: TypeAlias = dict[str, dict[LabelSet, float | Timing]]


class Add(Protocol):
    """Adds to one counter, or moves one gauge."""

    def __call__(self, amount: float = 1, /) -> None: ...


class Observe(Protocol):
    """Adds one observation, in the histogram's unit, to one histogram."""

    def __call__(self, number: float, /) -> None: ...


K = TypeVar("K")
V = TypeVar("V")


class Children(dict[K, V]):
    """The children of a family that were used so far; makes one on first use.

    Args:
        make: Builds the child for a key. It must not refer to the dictionary's owner, which
            would then live until a garbage collection.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        child = self[key] = self._make(key)
        return child


#: A bucket's bound as Prometheus writes it; the client has no types for it.
go_string = cast("Callable[[float], str]", cast("Any", prometheus_client.utils).floatToGoString)


def telemetry_errors(faults: Mapping[str, int]) -> dict[LabelSet, int]:
    """Label values and counts of :data:`flask_caching.observer.faults`."""
    counts: dict[LabelSet, int] = {}
    for name, count in dict(faults).items():
        where, _, error_type = name.rpartition(": ")
        counts[where or name, error_type] = count
    return counts


def installed_version(name: str) -> str:
    """The version of an installed distribution; ``unknown`` if it is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def build_labels() -> LabelSet:
    """Label values of ``build_info``."""
    return (
        installed_version("Flask-Caching"),
        platform.python_version(),
        installed_version("flask"),
    )
