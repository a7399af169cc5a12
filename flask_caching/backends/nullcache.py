"""NullCache: the backend that keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..entry import Entry
from .base import NOTHING, EntryBackend

__all__ = ["NullCache"]


class NullCache(EntryBackend):
    """Keeps nothing: every read is a miss, every write succeeds.

    The default, and what to use in tests that must not see one another. It takes the arguments
    of any other backend, so that only ``CACHE_TYPE`` has to change, and ignores them.

    Args:
        default_timeout: Readable as ``default_timeout``, without effect.
        args: Ignored.
        options: Ignored.
    """

    def __init__(self, default_timeout: Any = 300, *args: Any, **options: Any) -> None:
        super().__init__(default_timeout)

    def get_entry(self, key: str) -> Entry | None:
        return None

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        return [None] * len(keys)

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        return True

    def add_entry(self, key: str, entry: Entry) -> bool:
        return True

    # No snapshot is made: a value that cannot be stored is not an error here.

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return True

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return True
