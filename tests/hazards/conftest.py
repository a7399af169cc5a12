"""A cache on an application, for each hazard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from hazard_threads import Meeting

from flask_caching import Cache


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    """A point where a thread waits; released at the end in any case."""
    meeting = Meeting()
    yield meeting
    meeting.release()


@pytest.fixture
def make_cache(app: Flask) -> Callable[..., Cache]:
    """``make_cache(CACHE_COLLISIONS="refuse", app=other, cls=MyCache)``; SimpleCache by default."""

    def make(app: Flask = app, cls: type[Cache] = Cache, **config: Any) -> Cache:
        return cls(app, config={"CACHE_TYPE": "SimpleCache", **config})

    return make


@pytest.fixture
def cache(make_cache: Callable[..., Cache]) -> Cache:
    """A SimpleCache on the application, instrumentation on."""
    return make_cache()


@pytest.fixture
def in_app(app: Flask) -> Iterator[Flask]:
    """The application, with its context pushed."""
    with app.app_context():
        yield app


@pytest.fixture(autouse=True)
def _nothing_hidden(nothing_hidden: None) -> None:
    """For every test here."""
