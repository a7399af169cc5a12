"""Classifying what a store or codec raised."""

from __future__ import annotations

import errno
import json
import pickle
import socket

import pytest

from flask_caching.errors import BackendError, SerializationError, UnreadableEntry
from flask_caching_instrumentation.metrics.failures import error_type


class RedisError(Exception):
    """As redis-py's classes are: named, and not derived from Python's."""


RedisConnectionError = type("ConnectionError", (RedisError,), {})
RedisTimeoutError = type("TimeoutError", (RedisError,), {})
AuthenticationError = type("AuthenticationError", (RedisConnectionError,), {})
ReadOnlyError = type("ReadOnlyError", (RedisError,), {})
MemcacheIllegalInputError = type("MemcacheIllegalInputError", (ValueError,), {})
MemcacheServerError = type("MemcacheServerError", (Exception,), {})


def caused(cause: BaseException) -> BackendError:
    error = BackendError("the store failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (RedisTimeoutError(), "timeout"),
        (OSError("timed out"), "timeout"),
        (ConnectionRefusedError(), "connection"),
        (BrokenPipeError(), "connection"),
        (socket.gaierror(), "connection"),
        (RedisConnectionError(), "connection"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "connection"),
        (SerializationError("no"), "serialization"),
        (UnreadableEntry("no", "foreign"), "serialization"),
        (pickle.UnpicklingError(), "serialization"),
        (json.JSONDecodeError("no", "", 0), "serialization"),
        (MemcacheServerError(b"object too large for cache"), "too_large"),
        (MemcacheIllegalInputError("Key contains spaces"), "invalid_key"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "invalid_key"),
        (AuthenticationError("invalid username-password pair"), "auth"),
        (RedisError("NOAUTH Authentication required."), "auth"),
        (RedisError("The user executing the script can't run this command or subcommand"), "auth"),
        (ReadOnlyError(), "readonly"),
        (OSError(errno.EROFS, "Read-only file system"), "readonly"),
        (PermissionError(errno.EACCES, "Permission denied"), "readonly"),
        (ZeroDivisionError(), "other"),
        (caused(ConnectionResetError()), "connection"),
        (caused(ZeroDivisionError()), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_failure_has_its_kind(error, kind):
    """A failure is classified by class, error number, words, or its cause."""
    assert error_type(error) == kind


def test_a_circle_of_causes_ends():
    """Two errors that are each other's cause are classified all the same."""
    first, second = Exception("a"), Exception("b")
    first.__cause__, second.__cause__ = second, first
    assert error_type(first) == "other"
