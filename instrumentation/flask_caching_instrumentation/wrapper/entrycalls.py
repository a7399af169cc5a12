"""The entry level of a wrapped backend: what the decorators call, so what a hit costs.

Written out for calls that are not traced: going through ``measure`` would double their cost. It is
an object of its own, since attributes of the wrapper are slow: what that has not is looked up in
the backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from flask_caching.backends.base import NOTHING
from flask_caching.entry import Entry
from flask_caching.observer import report_fault

from ..metrics.batches import BATCH, Pending
from ..tracing.scope import NO_CONTEXT, current_context
from .measuring import Measuring
from .outcomes import MEASURED, found, found_own, stored

__all__ = ["MeasuredEntries"]


class MeasuredEntries(Measuring):
    """Times the entry level of a backend that has it."""

    __slots__ = ()

    def get_entry(self, key: str) -> Entry | None:
        """As the backend's ``get_entry``, timed as ``get``."""
        tracing = self.tracing
        if (
            tracing.awake
            and (current_context(NO_CONTEXT) or tracing.always)
            and tracing.recording()
        ):
            traced: Entry | None = self._read("get_entry", found, (key,))
            return traced
        begun = perf_counter()
        try:
            entry: Entry | None = self.backend.get_entry(key)
        except BaseException:
            self.tell("get", "error", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            if entry is None:
                self.observe_miss(seconds)
            else:
                times, sizes = self.hit_times, self.sizes_read
                times.append(seconds)
                if sizes is not None and entry.size:
                    sizes.append(entry.size)
                if len(times) > BATCH:
                    times.settle()
                    if sizes is not None:
                        sizes.settle()
        except Exception as fault:
            report_fault("backend.get", fault)
        return entry

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        """As the backend's ``get_entries``, timed as ``get_many``."""
        if self.tracing.awake and self.tracing.recording():
            traced: list[Entry | None] = self._read("get_entries", found_own(keys), (keys, create))
            return traced
        begun = perf_counter()
        try:
            entries: list[Entry | None] = self.backend.get_entries(keys, create)
        except BaseException:
            self.tell("get_many", "error", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            # An entry is true, and asking that takes half as long as looking for None.
            if all(entries):
                times = self.many_hit_times
                times.append(seconds)
                if len(times) > BATCH:
                    times.settle()
            else:
                self.observe_operation["get_many", found_own(keys)(entries)](seconds)
            if self.sizes_read is not None:
                self._tell_read(self.sizes_read, entries)
        except Exception as fault:
            report_fault("backend.get_many", fault)
        return entries

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        """As the backend's ``set_entry``, timed as ``set``."""
        # Not only if awake: before a write of the application's own there may be no lookup.
        if self.tracing.recording():
            return self._write("set_entry", (key, entry, touch))
        begun = perf_counter()
        try:
            kept: bool = self.backend.set_entry(key, entry, touch)
        except BaseException:
            self.tell("set", "error", perf_counter() - begun)
            raise
        seconds = perf_counter() - begun
        try:
            if kept:
                self.observe_stored(seconds)
                if self.sizes is not None and entry.size:
                    self.sizes.written(entry.size)
            else:
                self.observe_operation["set", "refused"](seconds)
        except Exception as fault:
            report_fault("backend.set", fault)
        return kept

    def add_entry(self, key: str, entry: Entry) -> bool:
        """As the backend's ``add_entry``, timed as ``add``."""
        return self._write("add_entry", (key, entry))

    # Traced, or seldom.

    def _read(self, name: str, outcome: Callable[[Any], str], args: tuple[Any, ...]) -> Any:
        answer = self.measure(name, outcome, args, {})
        if self.sizes_read is not None:
            try:
                found = answer if name == "get_entries" else (answer,)
                self._tell_read(self.sizes_read, found)
            except Exception as fault:
                report_fault(f"backend.{MEASURED[name]}", fault)
        return answer

    def _write(self, name: str, args: tuple[Any, ...]) -> bool:
        kept: bool = self.measure(name, stored, args, {})
        entry: Entry = args[1]
        if kept and self.sizes is not None and entry.size:
            try:
                self.sizes.written(entry.size)
            except Exception as fault:
                report_fault(f"backend.{MEASURED[name]}", fault)
        return kept

    def _tell_read(self, sizes: Pending, entries: Sequence[Entry | None]) -> None:
        for entry in entries:
            if entry is not None and entry.size:
                sizes.append(entry.size)
        if len(sizes) > BATCH:
            sizes.settle()
