"""The backend in its place: under ``Cache``, with decorated functions and views."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from flask import Flask

from ..cache import Cache
from .hooks import Hooks, same, show
from .waiting import waits

__all__ = ["DecoratorChecks"]


class DecoratorChecks(Hooks):
    """What applications do with a cache, whatever kind of backend it has."""

    def make_app(self) -> Flask:
        """The application whose cache uses the backend; override it to set something."""
        return Flask("conformance")

    @cached_property
    def app(self) -> Flask:
        """The application of this test."""
        return self.make_app()

    @cached_property
    def cache(self) -> Cache:
        """Its cache, around the backend."""

        def backend(*_: Any) -> Any:
            return self.backend

        config = {"CACHE_TYPE": backend, "CACHE_INSTRUMENTATION": None}
        return Cache(self.app, config=config)

    def test_values_through_cache(self) -> None:
        """``cache.set`` and its kin work for every value and any timeout."""
        with self.app.app_context():
            for value in self.values:
                stored = self.cache.set("key", value, timeout=1000.5)
                assert stored is True, f"cache.set() of {show(value)} returned {stored!r}"
                got = self.cache.get("key")
                assert same(got, value), f"cache.get() is {show(got)} instead of {show(value)}"
            self.cache.set("k", "new", timeout=-1)
            assert self.cache.get("k") is None, "a negative timeout removes what is there"

    def test_several_values_and_counters_through_cache(self) -> None:
        """``cache.get_many``, ``add``, ``inc`` and the rest answer as they are documented."""
        cache = self.cache
        with self.app.app_context():
            cache.set_many({"a": 1, "b": "2"})
            answers = [
                cache.get_many("b", "x", "a"),
                cache.get_dict("a", "x"),
                sorted(cache.delete_many("a", "b")),
                cache.get("a"),
                [cache.add("n", 5), cache.add("n", 6)],
                [cache.inc("n"), cache.dec("n", 2), cache.get("n")],
                [cache.delete("n"), cache.has("n")],
            ]
        wanted = [
            ["2", None, 1],
            {"a": 1, "x": None},
            ["a", "b"],
            None,
            [True, False],
            [6, 4, 4],
            [True, False],
        ]
        assert answers == wanted, f"{answers} instead of {wanted}"

    def test_a_cached_view_is_served_from_it(self) -> None:
        """The view runs once; other paths, and a cleared cache, run it again."""
        calls: list[str] = []

        @self.app.route("/page/<name>")
        @self.cache.cached(timeout=1000)
        def page(name: str) -> tuple[str, int, dict[str, str]]:
            calls.append(name)
            return f"page {name}", 200, {"X-Name": name}

        client = self.app.test_client()
        for _ in range(3):
            for name in ("one", "two"):
                answer = client.get(f"/page/{name}")
                got = (answer.get_data(as_text=True), answer.headers["X-Name"])
                assert got == (f"page {name}", name), f"/page/{name} answered {got}"
        assert calls == ["one", "two"], f"the views ran {len(calls)} times instead of once each"
        with self.app.app_context():
            assert self.cache.clear() is True
        client.get("/page/one")
        assert calls == ["one", "two", "one"], "after cache.clear() the view must run again"

    @waits
    def test_a_cached_view_expires(self) -> Iterator[None]:
        """After its timeout the view runs again."""
        calls: list[int] = []

        @self.app.route("/expires")
        @self.cache.cached(timeout=self.soon)
        def page() -> str:
            calls.append(1)
            return "page"

        client = self.app.test_client()
        client.get("/expires")
        yield
        waited = 0.0
        while len(calls) == 1 and waited <= 2 * self.soon + 1:
            self.wait(self.soon / 5)
            waited += self.soon / 5
            client.get("/expires")
        assert len(calls) == 2, f"a view cached for {self.soon:g} s did not run again: {calls}"

    def test_a_memoized_function_and_its_deletion(self) -> None:
        """It runs once for each argument, and again after delete_memoized, one call or all."""
        calls: list[Any] = []

        @self.cache.memoize(timeout=1000)
        def double(value: Any) -> Any:
            calls.append(value)
            return [value, value]

        def run() -> list[Any]:
            calls.clear()
            for value in (1, "1", None):
                got = double(value)
                assert same(got, [value, value]), f"double({value!r}) is {got!r}"
            return list(calls)

        with self.app.app_context():
            assert run() == [1, "1", None], "at first every call runs"
            assert run() == [], f"memoized calls ran again: {calls}"
            self.cache.delete_memoized(double, "1")
            assert run() == ["1"], f"after delete_memoized(double, '1') these ran: {calls}"
            self.cache.delete_memoized(double)
            assert run() == [1, "1", None], f"after delete_memoized(double) these ran: {calls}"
            assert run() == [], f"memoized calls ran again: {calls}"
