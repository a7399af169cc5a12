"""The tree of errors, and the error of a failing store."""

from __future__ import annotations

import pickle

import pytest
from flask import Flask

from flask_caching import (
    BackendError,
    BackendImportError,
    Cache,
    CacheError,
    ConfigurationError,
    SerializationError,
    UncacheableArgument,
    UnreadableEntry,
)
from flask_caching.backends import BaseCache
from flask_caching.errors import backend_error


class StoreDown(OSError):
    """What a client library raises; its constructor wants more than a message."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} does not answer")


class Final(Exception):
    """An exception that nothing can be derived from."""

    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses")


class DeadStore(BaseCache):
    """A store whose server is gone."""

    def get(self, key: str) -> object:
        raise StoreDown("localhost", 1)


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (ConfigurationError, (ValueError,)),
        (BackendImportError, (ConfigurationError, ImportError)),
        (SerializationError, (TypeError, pickle.PicklingError)),
        (UnreadableEntry, (ValueError,)),
        (UncacheableArgument, (TypeError,)),
        (BackendError, (RuntimeError,)),
    ],
)
def test_each_error_is_also_what_callers_caught_before(
    error: type[Exception], kinds: tuple[type[Exception], ...]
) -> None:
    """An ``except`` written for the released library goes on working."""
    assert issubclass(error, (CacheError,))
    assert all(issubclass(error, kind) for kind in kinds)


def test_a_failing_stores_error_is_of_both_kinds() -> None:
    """A direct call raises a BackendError that ``except`` clauses for the client catch too."""
    app = Flask(__name__)
    cache = Cache(app, config={"CACHE_TYPE": DeadStore})
    for kind in (BackendError, StoreDown, OSError):
        with pytest.raises(kind, match="get failed: StoreDown: localhost:1") as caught:
            cache.get("key")
        assert isinstance(caught.value.__cause__, StoreDown)


def test_where_no_class_can_be_both_it_is_a_backend_error() -> None:
    """Some exceptions cannot be derived from."""
    error = backend_error("get", Final("boom"))
    assert type(error) is BackendError
    assert "boom" in str(error)
