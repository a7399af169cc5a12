"""What each subject can do, on which store: who is measured, and who is left out because it cannot.

Standard library only: the workers read it as well as the program that starts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "FLOORS",
    "FUNCTIONS",
    "PAGES",
    "SIZES",
    "STORES",
    "SUBJECTS",
    "VALUES",
    "WORKS",
    "Subject",
    "floors_of",
]

STORES = ("memory", "files", "redis", "memcached")

#: A cached page: through the whole WSGI application, and in the decorator alone. In the first, a
#: query string is read anew by each request; in the second the request at hand has read it already.
PAGES = ("request", "request, query string", "request, miss", "view", "view, query string")
#: A cached function: hits for ``f(7)`` and ``f(7, "seven", exact=True)``, and a miss that stores.
FUNCTIONS = ("memoize", "memoize, keywords", "miss")
#: Values by key.
VALUES = ("get", "set", "get_many of 100")
WORKS = (*PAGES, *FUNCTIONS, *VALUES)

#: Of the values and the pages that are measured by their size: bytes.
SIZES = {"1 kB": 1_000, "100 kB": 100_000, "5 MB": 5_000_000}


@dataclass(frozen=True)
class Subject:
    """Who is measured.

    Attributes:
        worker: The script in this folder that measures it.
        stores: What it does, by store.
        environment: The virtual environment ``.venv-NAME`` that has it; empty: ours.
        options: What the worker is told beside.
        note: What must be known to read its numbers.
    """

    worker: str
    stores: Mapping[str, tuple[str, ...]]
    environment: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def _everywhere(works: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(STORES, works)


SUBJECTS: dict[str, Subject] = {
    "ours": Subject("run_flask.py", _everywhere(WORKS), note="with its telemetry, tracing idle"),
    "bare": Subject(
        "run_flask.py",
        _everywhere(WORKS),
        options={"CACHE_INSTRUMENTATION": "off"},
        note="ours, CACHE_INSTRUMENTATION = None",
    ),
    "released": Subject(
        "run_flask.py",
        _everywhere(WORKS),
        environment="peer",
        note="Flask-Caching as released; on memcached with pylibmc, which is written in C",
    ),
    "dogpile.cache": Subject(
        "run_dogpile.py",
        dict.fromkeys(("memory", "redis", "memcached"), FUNCTIONS + VALUES),
        environment="bench-dogpile",
        note="its memory hands out the stored object itself, and has neither a limit nor a lock; "
        "left out on files: its backend there is what dbm this Python was built with",
    ),
    "cachetools": Subject(
        "run_cachetools.py",
        {"memory": (*FUNCTIONS, "get", "set")},
        environment="bench-cachetools",
        note="TTLCache under a lock, as threads need it; hands out the stored object itself",
    ),
    "diskcache": Subject(
        "run_diskcache.py",
        {"files": (*FUNCTIONS, "get", "set")},
        environment="bench-diskcache",
        note="an SQLite database, with files for large values",
    ),
    "cashews": Subject(
        "run_cashews.py",
        dict.fromkeys(("memory", "files", "redis"), FUNCTIONS + VALUES),
        environment="bench-cashews",
        note="coroutines only, measured inside a running loop; on files it is diskcache in threads",
    ),
    "Django": Subject(
        "run_django.py",
        _everywhere(PAGES + VALUES),
        environment="bench-django",
        note="cache_page and its cache object; on memcached it connects anew for each request",
    ),
    "floor": Subject(
        "run_floors.py",
        {
            "memory": ("bare view", "lru_cache", "dict get", "dict set"),
            "files": ("open and read", "write and replace"),
            "redis": ("redis-py GET", "redis-py SET", "redis-py MGET", "raw socket GET"),
            "memcached": (
                "pymemcache GET",
                "pymemcache SET",
                "pymemcache get_many",
                "raw socket GET",
            ),
        },
        note="what cannot be less: no cache library at all",
    ),
}

_SERVER_READS = {
    "redis": ("redis-py GET", "raw socket GET"),
    "memcached": ("pymemcache GET", "raw socket GET"),
}
_READS = {"files": ("open and read",), **_SERVER_READS}

#: What a work stands on, by store: the works of the subject ``floor``.
FLOORS: dict[str, dict[str, tuple[str, ...]]] = {
    "request": {"memory": ("bare view",), **_READS},
    "request, query string": {"memory": ("bare view",), **_READS},
    "view": _READS,
    "view, query string": _READS,
    "memoize": {"memory": ("lru_cache",), **_READS},
    "memoize, keywords": {"memory": ("lru_cache",), **_READS},
    "get": {"memory": ("dict get",), **_READS},
    "set": {
        "memory": ("dict set",),
        "files": ("write and replace",),
        "redis": ("redis-py SET",),
        "memcached": ("pymemcache SET",),
    },
    "get_many of 100": {"redis": ("redis-py MGET",), "memcached": ("pymemcache get_many",)},
}


def floors_of(store: str, work: str) -> tuple[str, ...]:
    """What a work stands on; nothing where there is no such floor.

    Of a work with a size (``get, 100 kB``) they are those with that size.
    """
    without, _, size = work.rpartition(", ")
    if size in SIZES:
        return tuple(f"{floor}, {size}" for floor in floors_of(store, without))
    return FLOORS.get(work, {}).get(store, ())
