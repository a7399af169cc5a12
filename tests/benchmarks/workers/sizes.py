"""Suites of sizes: of values, of the number of keys, of one entry in memory.

Each gives a number for each of its works. Standard library only.
"""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from contract import VALUE, Adapter, Loads, Work
from plan import Plan, measured
from requesting import request_to
from subjects import SIZES
from works import request_of, total_of

__all__ = ["entry", "growth", "million"]

#: Keys that are read and written beside all the others.
CHOSEN = 1_000
#: The database of Redis that has a million keys.
CROWDED = 1
#: Entries that are there already when memory is measured, and those that are measured.
ENTRIES_BEFORE, ENTRIES = 2_000, 5_000


def growth(plan: Plan) -> dict[str, float]:
    """Seconds of reads and writes of bytes, and of a hit of a page, by size."""
    found = {}
    for name, size in SIZES.items():
        # Opened anew for each: an application has its routes before its first request.
        adapter = plan.open()
        works = _bytes_works(adapter, size)
        if plan.can("request"):
            works["request"] = request_of(adapter, "x" * size)
        for work_name, work in works.items():
            label = f"{work_name}, {name}"
            found[label] = measured(adapter, work, plan.effort, label)
    return found


def _bytes_works(adapter: Adapter, size: int) -> dict[str, Work]:
    value, key = bytes(size), f"bytes-{size}"

    def read(result: object) -> Any:
        return adapter.get(key)

    write = partial(adapter.set, key, value)
    return {
        "set": Work(write, value, read=read, around=adapter.around),
        "get": Work(partial(adapter.get, key), value, around=adapter.around, prepare=write),
    }


def million(plan: Plan) -> dict[str, float]:
    """Seconds of reads and writes of a thousand keys: of few, and of a million.

    A store in this process is filled here. On Redis the others are there already, in a database of
    their own (``running.py``).
    """
    found = {}
    for label, adapter, number in _crowds(plan):
        adapter.fill(number)
        for name, work in _chosen_works(adapter, number).items():
            found[f"{name}, {label}"] = measured(adapter, work, plan.effort, name)
    return found


def _crowds(plan: Plan) -> Iterator[tuple[str, Adapter, int]]:
    """What the number of keys is called, a store for it, and how many to store."""
    million = 2 * CHOSEN if plan.quick else 1000 * CHOSEN
    if plan.place.store == "memory":
        yield "1,000 keys", plan.open(capacity=2 * million), CHOSEN
        yield "1,000,000 keys", plan.open(capacity=2 * million), million
    else:
        yield "1,000 keys", plan.open(), CHOSEN
        yield "1,000,000 keys", plan.open(database=CROWDED), CHOSEN


def _chosen_works(adapter: Adapter, number: int) -> dict[str, Work]:
    chosen = random.Random(7).sample(range(number), CHOSEN)
    keys = itertools.cycle([f"filler-{each}" for each in chosen])

    def get() -> Any:
        return adapter.get(next(keys))

    def set_() -> Any:
        return adapter.set(next(keys), VALUE)

    def read(result: object) -> Any:
        return get()

    return {
        "get": Work(get, VALUE, around=adapter.around),
        "set": Work(set_, VALUE, read=read, around=adapter.around),
    }


def entry(plan: Plan) -> dict[str, float]:
    """Bytes that an entry takes in this process, with its key and its value."""
    before, number = (50, 100) if plan.quick else (ENTRIES_BEFORE, ENTRIES)
    found = {}
    for name in plan.can(*_STORING):
        adapter = plan.open(capacity=4 * (before + number))
        loads = Loads()
        store = _STORING[name](adapter, loads)
        with adapter.around():
            _store_all(adapter, store, range(before))  # what is made only once is there
            tracemalloc.start()
            _store_all(adapter, store, range(before, before + number))
            found[f"entry, {name}"] = tracemalloc.get_traced_memory()[0] / number
            tracemalloc.stop()
            _store_all(adapter, store, range(before + number))
        if loads.number != before + number:
            raise AssertionError(f"{name}: {loads.number} loads of {before + number} entries")
    return found


def _store_all(adapter: Adapter, store: Callable[[int], Any], numbers: Iterable[int]) -> None:
    for number in numbers:
        adapter.driver.value(store(number))


def _storing_values(adapter: Adapter, loads: Loads) -> Callable[[int], Any]:
    def store(number: int) -> Any:
        key = f"a-key-of-24-letters-{number:05}"
        if adapter.driver.value(adapter.get(key)) is None:
            loads.number += 1
            return adapter.set(key, f"{number:100}")
        return None

    return store


def _storing_results(adapter: Adapter, loads: Loads) -> Callable[[int], Any]:
    return total_of(adapter, loads)


def _storing_pages(adapter: Adapter, loads: Loads) -> Callable[[int], Any]:
    def item(number: int) -> str:
        loads.number += 1
        return f"{number:100}"

    send = request_to(adapter.view("/item/<int:number>", item).application)
    return lambda number: send(f"/item/{number}", "")


_STORING: dict[str, Callable[[Adapter, Loads], Callable[[int], Any]]] = {
    "set": _storing_values,
    "memoize": _storing_results,
    "request": _storing_pages,
}
