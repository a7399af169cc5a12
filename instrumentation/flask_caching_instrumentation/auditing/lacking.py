"""What ``flask.g`` is asked for and has not, and what is put there while a key is made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from flask_caching.identity import type_of

__all__ = ["Seen", "seeing", "watch"]


class Seen:
    """What was seen of a watched ``flask.g``.

    Attributes:
        lacking: Names that it was asked for and had not: what ``before_request`` functions, which
            are not run, would put there.
        assigned: Names that were given a value.
    """

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self.assigned: set[str] = set()


_seen: ContextVar[Seen | None] = ContextVar("flask_caching_audit_seen", default=None)


@contextmanager
def seeing() -> Generator[Seen]:
    """Note what happens to watched objects inside the block."""
    seen = Seen()
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def watch(own: Any) -> None:
    """Have a context's ``flask.g`` note what is asked of it.

    Not of a class of the application's own that has slots: what such an object lacks is not seen.
    """
    kind: Any = type_of(own)
    with suppress(TypeError):
        # Its own way of setting attributes would take this for a name of the application's.
        object.__setattr__(own, "__class__", _watched(kind))


def _missing(own: object, name: str) -> Any:
    """What a class without a ``__getattr__`` does (that of Flask 2.0)."""
    raise AttributeError(f"{type(own).__name__!r} object has no attribute {name!r}")


@functools.cache
def _watched(kind: type) -> Any:
    """A class of ``flask.g`` whose objects note what they are asked for."""

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, name: object, *args: Any) -> Any:
            seen = _seen.get()
            own: dict[object, Any] = self.__dict__
            # Python's own protocols look for names that begin so.
            if seen is not None and isinstance(name, str) and not name.startswith("__"):
                if method.__name__ == "__setattr__":
                    seen.assigned.add(name)
                elif name not in own:
                    seen.lacking.add(name)
            return method(self, name, *args)

        return call

    methods = ("__setattr__", "__contains__", "get", "pop", "setdefault")
    members = {name: noting(getattr(kind, name)) for name in methods if hasattr(kind, name)}
    members["__getattr__"] = noting(getattr(kind, "__getattr__", _missing))
    return type(kind.__name__, (kind,), members)
