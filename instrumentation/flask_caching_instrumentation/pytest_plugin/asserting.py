"""``assert_distinct_keys`` and ``assert_same_key``: their failures say what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import pytest
from flask import Flask, current_app, has_app_context

from flask_caching import Cache

from ..inspection.inspector import Inspector, caches_of
from ..inspection.model import Explanation, RequestSpec
from .failures import apart, shared, without_key

__all__ = ["KeyAssertions", "Url"]

#: A URL; or that with what else there is to a request; or the whole request.
Url: TypeAlias = "str | tuple[str, Mapping[str, Any]] | RequestSpec"

_OPTIONS: Final = ("method", "headers", "cookies", "host", "body", "content_type")


@dataclass(frozen=True)
class _Asked:
    """A request that has a key.

    Attributes:
        inspector: Of the cache that has the key.
        explanation: What would become of the request.
    """

    inspector: Inspector
    explanation: Explanation

    @property
    def identity(self) -> tuple[int, str | None]:
        """The key, in its cache."""
        return id(self.inspector.cache), self.explanation.key


class KeyAssertions:
    """The assertions of one test.

    Args:
        request: The test's.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def distinct(
        self,
        *urls: Url,
        cache: Cache | None = None,
        app: Flask | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Fail if two of the requests share a key, or one has none.

        Args:
            urls: Two requests or more.
            cache: Only this cache; otherwise each request is that of the cache which has a key
                for it.
            app: The application; ``None`` for that of the ``app`` fixture, or the current one.
            method: The method of those that do not say theirs.
            headers: Headers of all of them.
        """
        __tracebackhide__ = True
        asked = self._ask(urls, cache, app, method, headers)
        for group in _groups(asked):
            if len(group) > 1:
                explanations = [each.explanation for each in group]
                raise AssertionError(shared(group[0].inspector, explanations))

    def same(
        self,
        *urls: Url,
        cache: Cache | None = None,
        app: Flask | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Fail if the requests do not all have one key; arguments as for :meth:`distinct`."""
        __tracebackhide__ = True
        groups = _groups(self._ask(urls, cache, app, method, headers))
        if len(groups) > 1:
            explanations = [[each.explanation for each in group] for group in groups]
            raise AssertionError(apart(groups[0][0].inspector, explanations))

    def _ask(
        self,
        urls: Sequence[Url],
        cache: Cache | None,
        app: Flask | None,
        method: str,
        headers: Mapping[str, str] | None,
    ) -> list[_Asked]:
        """Ask about each request.

        Raises:
            AssertionError: If one has no key.
        """
        __tracebackhide__ = True
        if len(urls) < 2:
            raise TypeError(f"give two URLs or more to compare, not {len(urls)}")
        inspectors = self._inspectors(cache, app)
        asked = [_asked(inspectors, _spec(url, method, headers)) for url in urls]
        lacking = [each.explanation for each in asked if each.explanation.key is None]
        if lacking:
            raise AssertionError(without_key(lacking))
        return asked

    # Which application.

    def _inspectors(self, cache: Cache | None, app: Flask | None) -> list[Inspector]:
        if app is None:
            app = self._application(cache)
        if cache is not None:
            return [Inspector(cache, app)]
        if app is None:
            raise LookupError(
                "it is not known which application is meant: there is neither a fixture called "
                "`app` that returns a Flask application nor a current application. Write such a "
                "fixture, or pass app= or cache="
            )
        caches = caches_of(app)
        if not caches:
            raise LookupError(
                f"the application {app.name!r} has no cache; call cache.init_app(app) before"
            )
        return [Inspector(each, app) for each in caches]

    def _application(self, cache: Cache | None) -> Flask | None:
        """The application of the test, if it is not said; of a cache only one that has it."""
        for found in (self._fixture, _current):
            app = found()
            if app is not None and (cache is None or cache in caches_of(app)):
                return app
        return None

    def _fixture(self) -> Flask | None:
        """What the ``app`` fixture returns, as for pytest-flask."""
        try:
            app = self._request.getfixturevalue("app")
        except pytest.FixtureLookupError as error:
            if error.argname != "app":
                # It is there, and needs another one that is not.
                raise
            return None
        # Other tools have fixtures of that name.
        return app if isinstance(app, Flask) else None


def _current() -> Flask | None:
    return cast(Any, current_app)._get_current_object() if has_app_context() else None


# What is asked.


def _spec(url: Url, method: str, headers: Mapping[str, str] | None) -> RequestSpec:
    if isinstance(url, RequestSpec):
        return url
    options: Mapping[str, Any] = {}
    text = url if isinstance(url, str) else url[0]
    if not isinstance(url, str):
        options = url[1]
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise TypeError(
            f"{', '.join(unknown)} is nothing that a request has here; there are "
            f"{', '.join(_OPTIONS)}"
        )
    own = _pairs(options.get("headers", {}))
    named = {name.lower() for name, _ in own}
    shared = [pair for pair in _pairs(headers or {}) if pair[0].lower() not in named]
    return RequestSpec(
        url=text,
        method=options.get("method", method).upper(),
        host=options.get("host", ""),
        headers=(*shared, *own),
        cookies=tuple(_pairs(options.get("cookies", {}))),
        body=options.get("body", ""),
        content_type=options.get("content_type", ""),
    )


def _pairs(given: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [*(given.items() if isinstance(given, Mapping) else given)]


def _asked(inspectors: Sequence[Inspector], spec: RequestSpec) -> _Asked:
    """What becomes of a request: in the first cache that has a key for it, else in the first."""
    every = [_Asked(inspector, inspector.explain(spec)) for inspector in inspectors]
    return next((each for each in every if each.explanation.key is not None), every[0])


def _groups(asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """Requests by their keys, in order."""
    groups: dict[object, list[_Asked]] = {}
    for each in asked:
        groups.setdefault(each.identity, []).append(each)
    return list(groups.values())
