"""Fixtures for tests of applications that cache.

pytest loads this module in every test run where the package is installed, so it imports nothing
but pytest; what a fixture needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .spy import CacheSpy

__all__ = ["assert_distinct_keys", "assert_same_key", "cache_spy"]


@pytest.fixture
def cache_spy() -> Iterator[CacheSpy]:
    """What the caches of this process do while the test runs: ``cache_spy.hits``, ``.keys``, ...

    It hears of every cache of every application, those included that do not exist yet or are not
    instrumented, and counts from zero in each test.
    """
    from flask_caching.overhearing import overhear

    from .spy import CacheSpy

    spy = CacheSpy()
    with overhear(spy.observer):
        yield spy


@pytest.fixture
def assert_distinct_keys(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Fails if requests share a key: ``assert_distinct_keys("/p/1", "/p/2")``.

    A URL may be a pair with what else there is to the request: ``("/p/1", {"headers": {...},
    "method": "HEAD", "cookies": {...}, "host": "..."})``. The application is that of the ``app``
    fixture, unless ``app=`` or ``cache=`` says otherwise. No view runs.
    """
    from .asserting import KeyAssertions

    return KeyAssertions(request).distinct


@pytest.fixture
def assert_same_key(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Fails if requests have different keys: ``assert_same_key("/p/1", "/p/1?utm_source=x")``.

    The arguments are those of ``assert_distinct_keys``.
    """
    from .asserting import KeyAssertions

    return KeyAssertions(request).same
