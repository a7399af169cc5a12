"""What is read of ``flask.g`` for a while.

Whatever the application's ``before_request`` functions would put there is missing while a key is
explained, and what the running request put there is not what another one would. So an
explanation says which of the two a key maker asked for.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, cast

import flask.globals

from .identity import type_of

__all__ = ["GlobalReads", "global_reads"]

#: Where an object that notes what it is asked for keeps its notes; in a slot, beside ``__dict__``.
_SLOT = "_flask_caching_reads"

#: What applications ask ``flask.g`` by; the name is the first argument of each.
_METHODS = ("__getattribute__", "__contains__", "get", "pop", "setdefault")


class GlobalReads:
    """The names that ``flask.g`` was asked for.

    Args:
        names: The names it has at the beginning.

    Attributes:
        found: Asked for, and there at the beginning.
        absent: Asked for, and neither there nor set since.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(names)
        self._asked: dict[str, None] = {}
        self.found: list[str] = []
        self.absent: list[str] = []

    def add(self, name: str) -> None:
        """Note that a name was asked for."""
        self._asked[name] = None

    def close(self, names: Container[str]) -> None:
        """Sort out what was asked for, now that ``flask.g`` has these names."""
        for name in self._asked:
            if name in self._names:
                self.found.append(name)
            elif name not in names:
                self.absent.append(name)


@contextmanager
def global_reads() -> Generator[GlobalReads]:
    """Note what is asked of the current application context's ``flask.g``."""
    context = _application_context()
    own = context.g
    members: dict[str, Any] | None = getattr(own, "__dict__", None)
    if members is None:
        # A class of the application's own, with slots.
        yield GlobalReads()
        return
    reads = GlobalReads(members)
    # To mypy a class is not hashable.
    noting = _noting_class(type_of(own))  # type: ignore[arg-type]
    shown: Any = object.__new__(noting)
    # One dictionary: what is set on either object is set on the other.
    object.__setattr__(shown, "__dict__", members)
    object.__setattr__(shown, _SLOT, reads)
    context.g = shown
    try:
        yield reads
    finally:
        context.g = own
        reads.close(members)


def _application_context() -> Any:
    """The application context that is current."""
    proxy = getattr(flask.globals, "app_ctx", None)
    if proxy is not None:
        return proxy._get_current_object()
    # Before Flask 2.2.
    return cast(Any, flask.globals)._app_ctx_stack.top


@lru_cache(maxsize=32)
def _noting_class(kind: type[object]) -> type[object]:
    """A class of ``flask.g`` whose objects note which names they are asked for."""

    def noting(method: Any) -> Any:
        @wraps(method)
        def call(self: Any, name: str, *args: Any) -> Any:
            # Not the names of methods.
            if not hasattr(kind, name):
                object.__getattribute__(self, _SLOT).add(name)
            return method(self, name, *args)

        return call

    members = {name: noting(getattr(kind, name)) for name in _METHODS if hasattr(kind, name)}
    return type(kind.__name__, (kind,), {"__slots__": (_SLOT,), **members})
