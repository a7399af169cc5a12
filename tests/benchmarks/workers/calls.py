"""Suites of calls: hits and misses, writes into full caches, threads.

Each gives a number for each of its works. Standard library only.
"""

from __future__ import annotations

import itertools
from typing import Any

from contract import VALUE, Adapter, Work, checked
from plan import Plan, measured
from timing import throughput_of
from works import BUILDERS

__all__ = ["full", "hits", "threads"]

THREADS = (1, 2, 4, 8)


def hits(plan: Plan) -> dict[str, float]:
    """Seconds of each work: hits, misses, values."""
    adapter = plan.open()
    # All are made before one is called: an application has its routes before its first request.
    works = {name: BUILDERS[name](adapter) for name in plan.works}
    return {name: measured(adapter, work, plan.effort, name) for name, work in works.items()}


def full(plan: Plan) -> dict[str, float]:
    """Seconds of a write of a new key into a full cache: the mean, which has the cost of room."""
    found = {}
    for size in plan.full:
        adapter = plan.open(capacity=size, folder=str(size))
        adapter.fill(size)
        name = f"set, full of {size:,}"
        found[name] = measured(adapter, _new_keys(adapter), plan.effort, name)
        if plan.quick and not _made_room(adapter, size):
            raise AssertionError(f"{name}: all that filled it is still there")
    return found


def _new_keys(adapter: Adapter) -> Work:
    numbers = itertools.count()
    last = ""

    def write() -> Any:
        nonlocal last
        last = f"new-{next(numbers)}"
        return adapter.set(last, VALUE)

    def read(result: object) -> Any:
        return adapter.get(last)

    return Work(write, VALUE, read=read, around=adapter.around, mean=True)


def _made_room(adapter: Adapter, size: int) -> bool:
    """Whether what filled the cache had to go for as many further writes."""
    with adapter.around():
        for number in range(size):
            adapter.driver.value(adapter.set(f"further-{number}", VALUE))
        fillers = (adapter.get(f"filler-{number}") for number in range(size))
        return any(adapter.driver.value(found) is None for found in fillers)


def threads(plan: Plan) -> dict[str, float]:
    """Calls a second of several threads at once, of hits."""
    adapter = plan.open()
    works = {name: BUILDERS[name](adapter) for name in plan.can("view", "memoize", "get")}
    found = {}
    for name, work in works.items():
        with work.around():
            adapter.driver.value(work.prepare())
            checked(work, adapter.driver, name)
        loads = work.loads.number
        for number in THREADS:
            found[f"{name}, threads: {number}"] = throughput_of(
                work.call, number, work.around, plan.effort
            )
        if work.loads.number != loads:
            raise AssertionError(f"{name}: a hit was a miss")
    return found
