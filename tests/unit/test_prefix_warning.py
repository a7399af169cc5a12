"""A key prefix that another one may begin with is named at the start."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from flask import Flask

from flask_caching import Cache


def start(prefix: object, **config: object) -> None:
    """Set up an application; a Redis backend connects when it is first asked."""
    Cache(Flask("app"), config={"CACHE_TYPE": "RedisCache", "CACHE_KEY_PREFIX": prefix, **config})


@pytest.mark.parametrize("prefix", ["shop", "shop2", "a-\N{LATIN SMALL LETTER E WITH ACUTE}"])
@pytest.mark.parametrize("kind", ["RedisCache", "MemcachedCache"])
def test_a_prefix_that_ends_in_a_letter_or_digit_warns(kind: str, prefix: str) -> None:
    """``clear()`` under ``shop`` takes ``shop2`` with it; the message says what to write."""
    with pytest.warns(UserWarning, match="End it with a separator: .*:'") as caught:
        start(prefix, CACHE_TYPE=kind)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("prefix", ["", "shop:", "shop/", "flask_cache_", lambda: "shop"])
def test_others_do_not(prefix: object) -> None:
    """Nor one that is made for each operation, which is not known at the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(prefix)


def test_nor_does_a_store_with_a_place_for_each_prefix(tmp_path: Path) -> None:
    """FileSystemCache keeps prefixes in directories of their own, where none begins another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start("shop", CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path))
        start("shop", CACHE_TYPE="SimpleCache")
