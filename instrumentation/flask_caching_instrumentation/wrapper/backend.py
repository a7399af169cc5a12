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
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, Final, NoReturn, SupportsIndex, cast

from flask_caching.backends.base import NOTHING
from flask_caching.entry import Entry

from ..tracing.brackets import NoTracing
from .entrycalls import MeasuredEntries
from .measuring import Exemplar, Measuring, Operations, Sizes, Times, Told
from .outcomes import (
    MEASURED,
    WRITES,
    done,
    exists,
    found,
    found_all,
    found_values,
    stored,
    stored_of,
)

__all__ = [
    "MEASURED",
    "PASS_THROUGH",
    "WRITES",
    "InstrumentedBackend",
    "Operations",
    "follow_calls",
]

#: Public methods of backends that are not measured: they do not ask the store, or are asked by
#: a scrape.
PASS_THROUGH: Final = frozenset(
    {"add_distinct", "call_of", "count_distinct", "expiry", "factory", "new_entry", "peek", "size"}
)


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

    Built around a backend without the entry level, it has no entry methods either. Its arguments
    are those of ``measuring.Measuring``.
    """

    __slots__ = ("__weakref__", "_measuring")

    _measuring: Measuring

    def __new__(cls, backend: Any, *args: Any, **options: Any) -> InstrumentedBackend:
        if cls is InstrumentedBackend and hasattr(backend, "get_entry"):
            return object.__new__(_InstrumentedEntryBackend)
        return object.__new__(cls)

    def __init__(
        self,
        backend: Any,
        operations: Operations,
        *,
        tracing: NoTracing | None = None,
        sizes: Sizes | None = None,
        exemplar: Exemplar | None = None,
        times: Times | None = None,
    ) -> None:
        kind = MeasuredEntries if isinstance(self, _InstrumentedEntryBackend) else Measuring
        self._keep(
            kind(
                backend,
                operations,
                tracing=tracing,
                sizes=sizes,
                exemplar=exemplar,
                times=times,
            )
        )

    @property
    def wrapped(self) -> Any:
        """The backend itself."""
        return self._measuring.backend

    def _keep(self, measuring: Measuring) -> None:
        # Past ``__setattr__``, which is for the backend.
        object.__setattr__(self, "_measuring", measuring)

    # The value level. Arguments pass through as they are: backends differ in what they take.

    def get(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get``, timed."""
        return self._measuring.measure("get", found, args, options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get_many``, timed."""
        return self._measuring.measure("get_many", found_all, args, options)

    def get_dict(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``get_dict``, timed as ``get_many``."""
        return self._measuring.measure("get_dict", found_values, args, options)

    def has(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``has``, timed."""
        return self._measuring.measure("has", exists, args, options)

    def set(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``set``, timed."""
        return self._measuring.measure("set", stored, args, options)

    def add(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``add``, timed."""
        return self._measuring.measure("add", stored, args, options)

    def set_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``set_many``, timed."""
        given = args[0] if args else options.get("mapping")
        return self._measuring.measure("set_many", stored_of(given), args, options)

    def delete(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``delete``, timed."""
        return self._measuring.measure("delete", done, args, options)

    def delete_many(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``delete_many``, timed."""
        return self._measuring.measure("delete_many", done, args, options)

    def clear(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``clear``, timed."""
        return self._measuring.measure("clear", done, args, options)

    def inc(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``inc``, timed."""
        return self._measuring.measure("inc", done, args, options)

    def dec(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``dec``, timed."""
        return self._measuring.measure("dec", done, args, options)

    # What only some backends can do.

    @_Optional
    def unlink(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``unlink``, timed."""
        return self._measuring.measure("unlink", done, args, options)

    @_Optional
    def ttl(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``ttl``, timed."""
        return self._measuring.measure("ttl", found, args, options)

    @_Optional
    def touch(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``touch``, timed."""
        return self._measuring.measure("touch", exists, args, options)

    @_Optional
    def keys(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``keys``, timed: one page."""
        return self._measuring.measure("keys", done, args, options)

    @_Optional
    def release_lock(self, *args: Any, **options: Any) -> Any:
        """As the backend's ``release_lock``, timed as ``delete``."""
        return self._measuring.measure("release_lock", done, args, options)

    # Passing through.

    @property  # type: ignore[misc]  # assigning to it goes to the backend, by __setattr__
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kind: type[Any] = self._measuring.backend.__class__
        return kind

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:
            # Not built yet, or only half: there is nothing to pass on to.
            raise AttributeError(name)
        return getattr(self._measuring.backend, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, MethodType) and value.__self__ is self and value.__name__ == name:
            # Someone who replaced a method puts back what was read from the wrapper before. The
            # backend must get its own back, or the two would call each other for ever.
            replaced: dict[str, Any] = getattr(self._measuring.backend, "__dict__", {})
            replaced.pop(name, None)
            return
        setattr(self._measuring.backend, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._measuring.backend, name)

    def __contains__(self, key: object) -> bool:
        return key in self._measuring.backend

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._measuring.backend), "wrapped"})

    def __repr__(self) -> str:
        return f"InstrumentedBackend({self._measuring.backend!r})"

    def __copy__(self) -> InstrumentedBackend:
        return self._around(copy.copy(self._measuring.backend))

    def __deepcopy__(self, memo: dict[int, Any]) -> InstrumentedBackend:
        return self._around(copy.deepcopy(self._measuring.backend, memo))

    def _around(self, backend: Any) -> InstrumentedBackend:
        made = object.__new__(type(self))
        made._keep(self._measuring.around(backend))
        return made

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"cannot pickle {self!r}: what it counts belongs to this process; pickle its "
            "`wrapped` backend instead"
        )


_OWN: Final = frozenset(InstrumentedBackend.__slots__)


class _InstrumentedEntryBackend(InstrumentedBackend):
    """The wrapper of a backend that has the entry level: what the decorators use."""

    __slots__ = ()

    @property
    def entry_level(self) -> MeasuredEntries:
        """The entry level by itself, which is quicker."""
        return cast("MeasuredEntries", self._measuring)

    def get_entry(self, key: str) -> Entry | None:
        """As the backend's ``get_entry``, timed as ``get``."""
        return self.entry_level.get_entry(key)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """As the backend's ``get_entries``, timed as ``get_many``."""
        return self.entry_level.get_entries(keys, create)

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """As the backend's ``set_entry``, timed as ``set``."""
        return self.entry_level.set_entry(key, entry, touch)

    def add_entry(self, key: str, entry: Entry) -> bool:
        """As the backend's ``add_entry``, timed as ``add``."""
        return self.entry_level.add_entry(key, entry)


def follow_calls(backend: object, told: Told | None) -> None:
    """Have somebody told of the calls to a backend that are not the decorators' own.

    Args:
        backend: The backend; nobody is told where it has no wrapper.
        told: Who; ``None`` for nobody.
    """
    if issubclass(type(backend), InstrumentedBackend):
        measuring: Measuring = object.__getattribute__(backend, "_measuring")
        measuring.told = told
