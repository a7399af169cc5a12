"""NullCache: keeps nothing, and never fails."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_caching.backends import NullCache
from flask_caching.backends.base import SupportsKeys, SupportsSize, SupportsTouch, SupportsTTL
from flask_caching.config import CacheConfig
from flask_caching.entry import Entry, Form

ENTRY = Entry(Form.PLAIN, "v", created_at=0.0)


def test_writes_succeed_and_reads_miss() -> None:
    """Every write says yes, as in the released library, and nothing is ever there."""
    cache = NullCache()
    assert cache.set("k", "v") is True
    assert cache.add("k", "v") is True
    assert cache.set_entry("k", ENTRY) is True
    assert cache.add_entry("k", ENTRY) is True
    assert cache.get("k") is None
    assert cache.get_entry("k") is None
    assert cache.has("k") is False
    assert cache.get_many("a", "b") == [None, None]
    assert cache.get_entries(["a", "b"]) == [None, None]
    assert cache.get_dict("a") == {"a": None}
    assert cache.set_many({"a": 1, "b": 2}) == ["a", "b"]


def test_deleting_succeeds() -> None:
    """What is not there is deleted."""
    cache = NullCache()
    assert cache.delete("k") is True
    assert cache.delete_many("a", "b") == ["a", "b"]
    assert cache.clear() is True


def test_counting_starts_anew_each_time() -> None:
    """A counter that is not kept counts from 0."""
    cache = NullCache()
    assert cache.inc("n") == 1
    assert cache.inc("n", 5) == 5
    assert cache.dec("n") == -1


def test_a_value_that_cannot_be_stored_is_no_error() -> None:
    """No snapshot is made of what is thrown away."""
    cache = NullCache()
    assert cache.set("k", lambda: None) is True
    assert cache.add("k", lambda: None) is True


def test_it_takes_the_arguments_of_any_backend(app: Flask) -> None:
    """Only CACHE_TYPE has to change to switch caching off."""
    config = CacheConfig().as_mapping()
    options = {"default_timeout": 60, "threshold": 7, "host": "example.org"}
    cache = NullCache.factory(app, config, [], options)
    assert cache.default_timeout == 60
    assert NullCache(30, "positional", mode=0o600).default_timeout == 30


@pytest.mark.parametrize("capability", [SupportsKeys, SupportsSize, SupportsTTL, SupportsTouch])
def test_it_claims_no_capability(capability: type) -> None:
    """There is nothing to list, count or prolong."""
    assert not isinstance(NullCache(), capability)
