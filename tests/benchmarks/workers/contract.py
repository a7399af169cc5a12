"""What a subject's worker brings, and what makes sure that it does the work that is timed.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from timing import Coroutines, Plain

__all__ = [
    "SECRET_KEY",
    "TIMEOUT",
    "VALUE",
    "Adapter",
    "Loads",
    "Place",
    "View",
    "Work",
    "checked",
]

#: Seconds that whatever is stored lives: nothing expires while it is measured.
TIMEOUT = 3600
#: Of every application: with it, Flask opens a session for each request, which takes its time.
SECRET_KEY = "only for this measurement"
#: What is stored where nothing else is said: 105 characters of text.
VALUE = "a value" * 15


@dataclass(frozen=True)
class Place:
    """Where a subject keeps what it stores.

    Attributes:
        store: ``memory``, ``files``, ``redis`` or ``memcached``.
        at: The directory, or host and port, on Redis with a database: ``host:port/0``.
        capacity: How many entries fit, where the store can be told.
        options: The subject's own (``Subject.options``).
    """

    store: str
    at: str = ""
    capacity: int = 100_000
    options: dict[str, str] = field(default_factory=dict)


@dataclass
class Loads:
    """How often a cached function ran."""

    number: int = 0


@dataclass(frozen=True)
class View:
    """A cached page.

    Attributes:
        application: The WSGI application that serves it.
        call: What is decorated, called within ``around()``.
        around: Makes what a call needs around it: a request.
    """

    application: Callable[..., Iterable[bytes]]
    call: Callable[[], Any]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Work:
    """Something to time, and how to see that it does what its name says.

    Attributes:
        call: What is timed.
        expected: What it gives, after ``read``.
        read: Makes of what it gave something to compare.
        loads: Counts how often the cached function runs.
        each: How often it must run for one call: 0 for a hit, 1 for a miss.
        around: What is around the calls, once.
        prepare: Stores what is needed; called within ``around()``.
        mean: The mean of all calls counts, not the fastest ones.
    """

    call: Callable[[], Any]
    expected: Any
    read: Callable[[Any], Any] = lambda result: result
    loads: Loads = field(default_factory=Loads)
    each: int = 0
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    prepare: Callable[[], Any] = lambda: None
    mean: bool = False


class Adapter:
    """One library on one place: what it can do, in its own words.

    A worker implements the methods that the subject's row in ``subjects.py`` asks for. Of a
    library of coroutines they are coroutine functions, and ``coroutines`` is true.
    """

    coroutines = False

    def __init__(self, place: Place) -> None:
        self.place = place
        self.driver: Plain | Coroutines = Coroutines() if self.coroutines else Plain()

    def around(self) -> AbstractContextManager[Any]:
        """What a call outside of a page needs around it."""
        return nullcontext()

    def get(self, key: str) -> Any:
        """The value of a key; ``None`` if there is none."""
        raise NotImplementedError

    def set(self, key: str, value: Any) -> Any:
        """Store a value for an hour."""
        raise NotImplementedError

    def get_many(self, keys: list[str]) -> Any:
        """The values of many keys in whatever form the library gives them."""
        raise NotImplementedError

    def listed(self, keys: list[str], found: Any) -> list[Any]:
        """A list made of what ``get_many`` gave."""
        return list(found)

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A cached function."""
        raise NotImplementedError

    def view(self, rule: str, function: Callable[..., str | bytes], query: str = "") -> View:
        """A cached page at a path; where the query is not empty it is part of the key."""
        raise NotImplementedError

    def text(self, result: Any) -> bytes:
        """The body in what a page's decorated function gave, within its ``around()``."""
        raise NotImplementedError

    def fill(self, number: int) -> None:
        """Store so many values, which leaves the store full if that is its capacity."""
        for each in range(number):
            self.driver.value(self.set(f"filler-{each}", VALUE))


def checked(work: Work, driver: Plain | Coroutines, where: str) -> None:
    """Call a work once, and see that it gave what it must and loaded as often as it must.

    Raises:
        AssertionError: If not.
    """
    before = work.loads.number
    found = driver.value(work.read(driver.value(work.call())))
    if found != work.expected:
        raise AssertionError(f"{where}: gave {found!r:.200}, not {work.expected!r:.200}")
    if work.loads.number - before != work.each:
        raise AssertionError(f"{where}: {work.loads.number - before} loads, not {work.each}")
