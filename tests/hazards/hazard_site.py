"""An application whose answers say what they answer, and threads that ask it."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from flask import Flask, render_template_string
from hazard_threads import PATIENCE

from flask_caching import Cache

__all__ = ["WAYS", "Site", "Traffic", "close_sites", "handled", "raised"]

#: What a :class:`Site` has that uses the cache without being asked for it directly.
WAYS = ("view", "memoize", "helper", "fragment", "get_or_set")

_FRAGMENT = "{% cache 60, 'part', number %}{{ load('fragment', number) }}{% endcache %}"


class Site:
    """An application with everything that reads through a cache, on a store of one's own.

    Two of them on one store are what two workers are: of one code, with nothing in common but
    the store.

    Args:
        config: The cache's configuration.

    Attributes:
        app: The application. What a view raises reaches who asks.
        cache: Its cache.
        ran: How often each way's function ran.
        during: Called with the way's name and number while its function runs.
        answer: What a function returns then.
    """

    def __init__(self, **config: Any) -> None:
        self.app = Flask("site")
        self.app.testing = True
        self.app.secret_key = config.pop("SECRET_KEY", "not a secret")
        self.cache = Cache(self.app, config=config)
        _sites.append(self)
        self.ran: Counter[str] = Counter()
        self.during: Callable[[str, int], object] = lambda way, number: None
        self.answer: Callable[[str, int], str] = _answer
        self._add_view()
        self._add_functions()

    def _add_view(self) -> None:
        @self.app.route("/page/<int:number>")
        @self.cache.cached()
        def page(number: int) -> str:
            return self._load("view", number)

        self.page = page

    def _add_functions(self) -> None:
        @self.cache.memoize()
        def price(number: int) -> str:
            return self._load("memoize", number)

        def helper(number: int) -> str:
            cached = self.cache.cached(key_prefix=f"helper/{number}")
            return cached(lambda: self._load("helper", number))()

        self.price, self._helper = price, helper

    def _load(self, way: str, number: int) -> str:
        self.ran[way] += 1
        self.during(way, number)
        return self.answer(way, number)

    def ask(self, way: str, number: int = 0) -> str:
        """What one of :data:`WAYS` answers; see :func:`_answer` for what is right."""
        if way == "view":
            return self.get(number)
        if way == "memoize":
            return self.price(number)
        if way == "helper":
            return self._helper(number)
        if way == "get_or_set":
            return str(self.cache.get_or_set(f"own/{number}", lambda: self._load(way, number)))
        with self.app.test_request_context():
            return render_template_string(_FRAGMENT, number=number, load=self._load)

    def ask_right(self, way: str, number: int = 0) -> None:
        """Ask, and fail the test unless the answer is right."""
        assert self.ask(way, number) == _answer(way, number)

    def get(self, number: int = 0) -> str:
        """The body of a page."""
        response = self.app.test_client().get(f"/page/{number}")
        assert response.status_code == 200
        return str(response.get_data(as_text=True))

    def stats(self) -> Any:
        return self.cache.stats()

    def hits(self) -> int:
        """Lookups that were answered from the cache so far."""
        return int(self.stats()["lookups"]["hit"])

    def open_breakers(self) -> int:
        return int(self.stats()["breakers"]["open"])

    def is_hit(self, way: str = "view", number: int = 0) -> bool:
        """Whether the cache answers; asks once."""
        before = self.hits()
        self.ask_right(way, number)
        return self.hits() > before


_sites: list[Site] = []


def close_sites() -> None:
    """Close the connections of all sites, which would be found open by the garbage collector."""
    while _sites:
        backend: Any = _sites.pop().cache.cache
        for name in ("_write_client", "_read_client"):
            # That of a cluster connects now if it never did.
            with contextlib.suppress(Exception):
                getattr(backend, name).close()


def _answer(way: str, number: int) -> str:
    return f"{way} {number}"


def handled(site: Site, kind: str = "") -> int:
    """Errors that the application did not see, of one kind or of all."""
    return _errors(site, "handled", kind)


def raised(site: Site) -> int:
    """Errors that the application did see."""
    return _errors(site, "raised", "")


def _errors(site: Site, fate: str, kind: str) -> int:
    return sum(
        counts[fate]
        for errors in site.stats()["errors"].values()
        for name, counts in errors.items()
        if kind in ("", name)
    )


class Traffic:
    """Threads that ask for one number after another until they are told to stop.

    What any of them got that is not the answer, or was raised at it, fails the test at the end.

    Args:
        ask: Given a number, returns the answer.
        right: Given a number and an answer, whether that is right.
        threads: How many.
        numbers: How many different ones.

    Attributes:
        asked: How often they asked.
        longest_seconds: How long the slowest answer took.
    """

    def __init__(
        self,
        ask: Callable[[int], Any],
        right: Callable[[int, Any], bool],
        threads: int = 4,
        numbers: int = 40,
    ) -> None:
        self.asked = 0
        self.longest_seconds = 0.0
        self._ask, self._right, self._numbers = ask, right, numbers
        self._wrong: list[str] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(first,), daemon=True)
            for first in range(threads)
        ]

    @classmethod
    def of_pages(cls, site: Site, **options: Any) -> Self:
        """Asks for pages."""
        return cls(site.get, lambda number, body: body == _answer("view", number), **options)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if error is None:
            assert not any(thread.is_alive() for thread in self._threads)
            assert not self._wrong, self._wrong[:5]

    def _run(self, first: int) -> None:
        for turn in itertools.count(first):
            if self._over.wait(0.001):
                return
            number = turn % self._numbers
            begun = time.monotonic()
            try:
                answer = self._ask(number)
            except Exception as error:
                self._wrong.append(f"{number}: {error!r}")
                continue
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - begun)
            self.asked += 1
            if not self._right(number, answer):
                self._wrong.append(f"{number}: {answer!r}")
