"""InstrumentedBackend: the wrapper around every backend, which times each call to it.

It is composition with explicit methods. It is no subclass of ``BaseCache``, whose inherited
methods would answer instead of the backend's, nor of the backend's own class, where a call
that the backend makes to itself would be counted a second time.

What is not measured passes through, so that code which reaches into ``cache.cache`` works as
it does without the wrapper: attributes are read from, written to and deleted from the backend,
and ``isinstance`` answers as for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence, Sized
from time import perf_counter
from types import MappingProxyType, MethodType
from typing import Any, Final, NoReturn, SupportsIndex, TypeAlias

from flask_caching.backends.base import NOTHING
from flask_caching.entry import Entry
from flask_caching.observer import report_fault

from .metrics import Children, Observe

__all__ = ["MEASURED", "PASS_THROUGH", "InstrumentedBackend", "Operations"]

#: Method to ``operation`` label. The value level and the entry level are one operation.
MEASURED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "add": "add",
        "add_entry": "add",
        "clear": "clear",
        "dec": "dec",
        "delete": "delete",
        "delete_many": "delete_many",
        "get": "get",
        "get_dict": "get_many",
        "get_entries": "get_many",
        "get_entry": "get",
        "get_many": "get_many",
        "has": "has",
        "inc": "inc",
        "keys": "keys",
        "release_lock": "delete",
        "set": "set",
        "set_entry": "set",
        "set_many": "set_many",
        "touch": "touch",
        "ttl": "ttl",
        "unlink": "unlink",
    }
)

#: Public methods of backends that are not measured: they do not ask the store, or are asked by
#: a scrape.
PASS_THROUGH: Final = frozenset({"expiry", "factory", "new_entry", "size"})

#: What observes a call's seconds, by operation and outcome.
Operations: TypeAlias = Children[tuple[str, str], Observe]

#: Operations that may change how much a store holds.
WRITES: Final = frozenset(
    {"add", "clear", "dec", "delete", "delete_many", "inc", "set", "set_many", "unlink"}
)


def _found(value: object) -> str:
    return "miss" if value is None else "hit"


def _found_all(values: Sequence[object]) -> str:
    found = len(values) - sum(value is None for value in values)
    if found == len(values):
        return "hit"
    return "partial" if found else "miss"


def _found_values(values: Mapping[str, object]) -> str:
    return _found_all(list(values.values()))


def _exists(answer: object) -> str:
    return "hit" if answer else "miss"


def _stored(answer: object) -> str:
    # Backends of old return None for success.
    return "stored" if answer is None or answer else "refused"


def _done(answer: object) -> str:
    return "ok"


class _Optional:
    """A measured method that the wrapper has only if the backend has it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: InstrumentedBackend | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        # An AttributeError from here is what a caller without the wrapper would get.
        inner = getattr(instance.wrapped, self._name)
        return MethodType(self._function, instance) if callable(inner) else inner


class InstrumentedBackend:
    """Times the calls to a backend and tells how each ended; passes everything else through.

    Built around a backend without the entry level, it has no entry methods either.

    Args:
        backend: Any object that answers the value protocol.
        operations: What observes a call's seconds, by operation and outcome. Outcomes: reads
            ``hit``, ``miss`` or ``partial`` (some of several keys); writes ``stored``,
            ``refused`` or ``partial``; others ``ok``; any that raised ``error``.
    """

    __slots__ = (
        "__weakref__",
        "_observe_hit",
        "_observe_hits",
        "_observe_miss",
        "_observe_operation",
        "_observe_stored",
        "_wrapped_backend",
    )

    _observe_hit: Observe
    _observe_hits: Observe
    _observe_miss: Observe
    _observe_operation: Operations
    _observe_stored: Observe
    _wrapped_backend: Any

    def __new__(cls, backend: Any, operations: Operations) -> InstrumentedBackend:
        if cls is InstrumentedBackend and hasattr(backend, "get_entry"):
            return object.__new__(_InstrumentedEntryBackend)
        return object.__new__(cls)

    def __init__(self, backend: Any, operations: Operations) -> None:
        keep = object.__setattr__
        keep(self, "_wrapped_backend", backend)
        keep(self, "_observe_operation", operations)
        keep(self, "_observe_hit", operations["get", "hit"])
        keep(self, "_observe_miss", operations["get", "miss"])
        keep(self, "_observe_stored", operations["set", "stored"])
        keep(self, "_observe_hits", operations["get_many", "hit"])

    @property
    def wrapped(self) -> Any:
        """The backend itself."""
        return self._wrapped_backend

    # The value level. Arguments pass through as they are: backends differ in what they take.

    def get(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get``, timed."""
        return self._measure("get", _found, self._wrapped_backend.get, args, options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get_many``, timed."""
        return self._measure("get_many", _found_all, self._wrapped_backend.get_many, args, options)

    def get_dict(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get_dict``, timed as ``get_many``."""
        return self._measure(
            "get_many", _found_values, self._wrapped_backend.get_dict, args, options
        )

    def has(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``has``, timed."""
        return self._measure("has", _exists, self._wrapped_backend.has, args, options)

    def set(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``set``, timed."""
        return self._measure("set", _stored, self._wrapped_backend.set, args, options)

    def add(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``add``, timed."""
        return self._measure("add", _stored, self._wrapped_backend.add, args, options)

    def set_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``set_many``, timed."""
        given = args[0] if args else options.get("mapping")

        def outcome(answer: Any) -> str:
            if not isinstance(answer, Sized) or not isinstance(given, Sized):
                return _stored(answer)
            kept = len(answer)
            return "stored" if kept >= len(given) else "partial" if kept else "refused"

        return self._measure("set_many", outcome, self._wrapped_backend.set_many, args, options)

    def delete(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``delete``, timed."""
        return self._measure("delete", _done, self._wrapped_backend.delete, args, options)

    def delete_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``delete_many``, timed."""
        return self._measure("delete_many", _done, self._wrapped_backend.delete_many, args, options)

    def clear(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``clear``, timed."""
        return self._measure("clear", _done, self._wrapped_backend.clear, args, options)

    def inc(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``inc``, timed."""
        return self._measure("inc", _done, self._wrapped_backend.inc, args, options)

    def dec(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``dec``, timed."""
        return self._measure("dec", _done, self._wrapped_backend.dec, args, options)

    # What only some backends can do.

    @_Optional
    def unlink(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``unlink``, timed."""
        return self._measure("unlink", _done, self._wrapped_backend.unlink, args, options)

    @_Optional
    def ttl(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``ttl``, timed."""
        return self._measure("ttl", _found, self._wrapped_backend.ttl, args, options)

    @_Optional
    def touch(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``touch``, timed."""
        return self._measure("touch", _exists, self._wrapped_backend.touch, args, options)

    @_Optional
    def keys(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``keys``, timed: one page."""
        return self._measure("keys", _done, self._wrapped_backend.keys, args, options)

    @_Optional
    def release_lock(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``release_lock``, timed as ``delete``."""
        return self._measure("delete", _done, self._wrapped_backend.release_lock, args, options)

    # Measuring.

    def _measure(
        self,
        operation: str,
        outcome: Callable[[Any], str],
        method: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        begun = perf_counter()
        try:
            answer = method(*args, **options)
        except BaseException:
            self._tell_error(operation, perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            self._observe_operation[operation, outcome(answer)](seconds)
        except Exception as fault:
            report_fault(f"backend.{operation}", fault)
        return answer

    def _tell_error(self, operation: str, seconds: float) -> None:
        try:
            self._observe_operation[operation, "error"](seconds)
        except Exception as fault:
            report_fault(f"backend.{operation}", fault)

    # Passing through.

    @property  # type: ignore[misc]  # assigning to it goes to the backend, by __setattr__
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kind: type[Any] = self._wrapped_backend.__class__
        return kind

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            # Not built yet, or only half: there is nothing to pass on to.
            raise AttributeError(name)
        return getattr(self._wrapped_backend, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, MethodType) and value.__self__ is self and value.__name__ == name:
            # Someone who replaced a method puts back what was read from the wrapper before. The
            # backend must get its own back, or the two would call each other for ever.
            replaced: dict[str, Any] = getattr(self._wrapped_backend, "__dict__", {})
            replaced.pop(name, None)
            return
        setattr(self._wrapped_backend, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._wrapped_backend, name)

    def __contains__(self, key: object) -> bool:
        return key in self._wrapped_backend

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._wrapped_backend), "wrapped"})

    def __repr__(self) -> str:
        return f"InstrumentedBackend({self._wrapped_backend!r})"

    def __copy__(self) -> InstrumentedBackend:
        return InstrumentedBackend(copy.copy(self._wrapped_backend), self._observe_operation)

    def __deepcopy__(self, memo: dict[int, Any]) -> InstrumentedBackend:
        inner = copy.deepcopy(self._wrapped_backend, memo)
        return InstrumentedBackend(inner, self._observe_operation)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"cannot pickle {self!r}: what it counts belongs to this process; pickle its "
            "`wrapped` backend instead"
        )


_OWN: Final = frozenset(InstrumentedBackend.__slots__)


class _InstrumentedEntryBackend(InstrumentedBackend):
    """The wrapper of a backend that has the entry level: what the decorators use.

    Written out instead of through ``_measure``, which would double what a hit costs.
    """

    __slots__ = ()

    def get_entry(self, key: str) -> Entry | None:
        """As the backend's ``get_entry``, timed as ``get``."""
        begun = perf_counter()
        try:
            entry: Entry | None = self._wrapped_backend.get_entry(key)
        except BaseException:
            self._tell_error("get", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            if entry is None:
                self._observe_miss(seconds)
            else:
                self._observe_hit(seconds)
        except Exception as fault:
            report_fault("backend.get", fault)
        return entry

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """As the backend's ``get_entries``, timed as ``get_many``."""
        begun = perf_counter()
        try:
            entries: list[Entry | None] = self._wrapped_backend.get_entries(keys, create)
        except BaseException:
            self._tell_error("get_many", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            if None in entries:
                self._observe_operation["get_many", _found_all(entries)](seconds)
            else:
                self._observe_hits(seconds)
        except Exception as fault:
            report_fault("backend.get_many", fault)
        return entries

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """As the backend's ``set_entry``, timed as ``set``."""
        begun = perf_counter()
        try:
            stored: bool = self._wrapped_backend.set_entry(key, entry, touch)
        except BaseException:
            self._tell_error("set", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            if stored:
                self._observe_stored(seconds)
            else:
                self._observe_operation["set", "refused"](seconds)
        except Exception as fault:
            report_fault("backend.set", fault)
        return stored

    def add_entry(self, key: str, entry: Entry) -> bool:
        """As the backend's ``add_entry``, timed as ``add``."""
        added: bool = self._measure(
            "add", _stored, self._wrapped_backend.add_entry, (key, entry), {}
        )
        return added
