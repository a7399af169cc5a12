"""Which keys were used lately, and what is known of their entries without asking the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeVar

from flask_caching.backends.base import NOTHING
from flask_caching.entry import Entry, Form
from flask_caching.observer import Target, report_fault
from flask_caching.state import EntryStore

__all__ = [
    "Hushed",
    "KeyMemory",
    "Seen",
    "WatchedEntries",
    "Written",
    "hushed",
    "stored_as",
    "written",
]

T = TypeVar("T")

#: Keys that are remembered.
_MOST: Final = 4096

_STORED_AS: Final = {
    Form.PLAIN: "plain",
    Form.RESPONSE: "response",
    Form.PICKLE: "pickle",
    Form.JSON: "json",
    Form.CUSTOM: "custom",
    Form.CUSTOM_RESPONSE: "custom response",
}


class Seen:
    """A key that was used lately, and what its entry said of itself.

    Attributes:
        target: What it was used for; ``None`` if only the store saw it.
        created_at: When the entry was written; ``0.0`` if it is not known.
        expires_at: ``0.0`` never, or not known.
        size: Bytes of its stored form; ``0`` if it is not known.
        stored_as: How its value is stored; empty if it is not known.
    """

    # On the class: thousands are kept, and a hit finds one that is as it was.
    target: Target | None = None
    created_at: float = 0.0
    expires_at: float = 0.0
    size = 0
    stored_as = ""

    def note(self, entry: Entry) -> None:
        """Take down what an entry says of itself."""
        if entry.created_at == self.created_at and entry.expires_at == self.expires_at:
            return
        self.created_at = entry.created_at
        self.expires_at = entry.expires_at
        self.size = entry.size
        self.stored_as = stored_as(entry)

    def forget(self) -> None:
        """The entry is gone; what the key is for stays known."""
        self.created_at = self.expires_at = 0.0
        self.size = 0
        self.stored_as = ""


def stored_as(entry: Entry) -> str:
    """How an entry's value is stored, in a word or two."""
    if entry.form is Form.PLAIN:
        kind = type(entry.payload)
        if kind is str:
            return "text"
        return "bytes" if kind is bytes else "plain"
    return _STORED_AS[entry.form]


class KeyMemory:
    """The keys used last; those not used for longest go first.

    Safe between threads without a lock: each step is one operation of a C type.

    Args:
        most: How many are remembered.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, key: str) -> Seen | None:
        """What is known of a key; looking counts for nothing."""
        return self._seen.get(key)

    def of(self, key: str) -> Seen:
        """What is known of a key that is being used."""
        try:
            self._seen.move_to_end(key)
            return self._seen[key]
        except KeyError:
            # New, or gone since the line before.
            seen = self._seen[key] = Seen()
            if len(self._seen) > self._most:
                self._forget_one()
            return seen

    def forget(self, keys: Iterable[str]) -> None:
        """Forget the entries of keys that were deleted; what they are for stays known."""
        for key in keys:
            seen = self._seen.get(key)
            if seen is not None:
                seen.forget()

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()

    def _forget_one(self) -> None:
        try:
            self._seen.popitem(last=False)
        except KeyError:
            # Another thread has cleared it.
            return


class Written(NamedTuple):
    """A write of an entry: the operation, the key, the bytes, and the seconds that it took."""

    operation: str
    key: str
    size: int
    seconds: float


#: The last write of this context: for ``Observer.stored``, which is told no key.
written: ContextVar[Written | None] = ContextVar("flask_caching_written", default=None)

#: Whether the decorators are using a store that has no entry level, see :class:`Hushed`.
hushed: ContextVar[bool] = ContextVar("flask_caching_hushed", default=False)


class WatchedEntries:
    """The entry level of a store, telling the memory what comes and goes.

    Args:
        store: The entry level.
        memory: What is told.
        renewed: Told of a new version under a version's key, which is how all values of a
            memoized function are deleted, and of the seconds that it took.
        around: What this takes the place of.

    Attributes:
        around: As given.
    """

    __slots__ = ("_memory", "_renewed", "_store", "around")

    def __init__(
        self,
        store: EntryStore,
        memory: KeyMemory,
        renewed: Callable[[str, float], None],
        around: EntryStore,
    ) -> None:
        self._store = store
        self._memory = memory
        self._renewed = renewed
        self.around = around

    def get_entry(self, key: str) -> Entry | None:
        """As the store's."""
        entry = self._store.get_entry(key)
        if entry is not None:
            self._note(key, entry)
        return entry

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """As the store's."""
        entries = self._store.get_entries(keys, create)
        for key, entry in zip(keys, entries, strict=False):
            if entry is not None:
                self._note(key, entry)
        return entries

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """As the store's."""
        begun = self._writes("set", key)
        stored = self._store.set_entry(key, entry, touch)
        seconds = perf_counter() - begun
        self._wrote("set", key, entry, stored, seconds)
        try:
            if key.endswith("_memver"):
                self._renewed(key, seconds)
        except Exception as fault:
            report_fault("timeline.renewed", fault)
        return stored

    def add_entry(self, key: str, entry: Entry) -> bool:
        """As the store's."""
        begun = self._writes("add", key)
        stored = self._store.add_entry(key, entry)
        self._wrote("add", key, entry, stored, perf_counter() - begun)
        return stored

    def _writes(self, operation: str, key: str) -> float:
        """Say what is about to be written, in case that fails; returns when, for a stopwatch."""
        written.set(Written(operation, key, 0, 0.0))
        return perf_counter()

    def _wrote(self, operation: str, key: str, entry: Entry, stored: bool, seconds: float) -> None:
        if stored:
            self._note(key, entry)
        written.set(Written(operation, key, entry.size, seconds))

    def _note(self, key: str, entry: Entry) -> None:
        try:
            self._memory.of(key).note(entry)
        except Exception as fault:
            # A key, or an entry, of a subclass with a mind of its own.
            report_fault("timeline.entry", fault)


class Hushed:
    """The entry level over a store that knows only values, whose calls are not the application's.

    The wrapper sees a ``get`` of the decorators and one of the application's own alike; this says
    which is which.

    Args:
        store: The entry level.
    """

    def __init__(self, store: EntryStore) -> None:
        self._store = store

    def get_entry(self, key: str) -> Entry | None:
        """As the store's."""
        return self._hush(self._store.get_entry, key)

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """As the store's."""
        return self._hush(self._store.get_entries, keys, create)

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """As the store's."""
        return self._hush(self._store.set_entry, key, entry, touch)

    def add_entry(self, key: str, entry: Entry) -> bool:
        """As the store's."""
        return self._hush(self._store.add_entry, key, entry)

    def _hush(self, call: Callable[..., T], *args: Any) -> T:
        token = hushed.set(True)
        try:
            return call(*args)
        finally:
            hushed.reset(token)
