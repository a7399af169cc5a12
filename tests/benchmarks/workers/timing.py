"""The timed loop: the same for every subject.

Standard library only, as everything that the workers share: a worker runs in an environment that
has nothing but the library that it measures.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

__all__ = ["Coroutines", "Effort", "Plain", "quiet", "seconds_of", "throughput_of"]

Call = Callable[[], Any]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        loop_seconds: What one loop of calls takes at least.
        loops: How many of them are timed.
        patience_seconds: Fewer loops where they would take longer than this, but three.
        thread_seconds: How long threads run at once.
    """

    loop_seconds: float = 0.003
    loops: int = 25
    patience_seconds: float = 1.0
    thread_seconds: float = 0.2

    @classmethod
    def quick(cls) -> Effort:
        """To see that everything works: nothing that it measures means anything."""
        return cls(loop_seconds=0.0, loops=2, patience_seconds=0.0, thread_seconds=0.02)


class Plain:
    """Runs calls of functions."""

    def value(self, result: Any) -> Any:
        """What a call gave."""
        return result

    def timed(self, call: Call, number: int) -> float:
        """Seconds that so many calls take."""
        begun = time.perf_counter_ns()
        for _ in repeat(None, number):
            call()
        return (time.perf_counter_ns() - begun) / 1e9

    def close(self) -> None:
        """Nothing is left open."""


class Coroutines:
    """Runs calls of coroutine functions, in one running loop: starting it is not measured."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def value(self, result: Any) -> Any:
        """What a call gave, awaited if it must be."""

        async def wait() -> Any:
            return await result

        return self._runner.run(wait()) if inspect.isawaitable(result) else result

    def timed(self, call: Call, number: int) -> float:
        """Seconds that so many calls take, one after the other, each awaited."""

        async def loop() -> float:
            begun = time.perf_counter_ns()
            for _ in repeat(None, number):
                await call()
            return (time.perf_counter_ns() - begun) / 1e9

        return self._runner.run(loop())

    def close(self) -> None:
        """End the loop."""
        self._runner.close()


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection within: it would fall on whoever is measured when it is due."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def seconds_of(call: Call, driver: Plain | Coroutines, effort: Effort, *, mean: bool) -> float:
    """Seconds of one call.

    Of the loops the fastest counts: what makes a loop slower is other processes, since each does
    the same. Where each does not, as where now and then a write has to make room for others,
    it is the mean over all of them.

    Args:
        call: What to time.
        driver: Who runs it.
        effort: How long.
        mean: The mean over all loops, not the fastest one.
    """
    with quiet():
        number, taken = 1, driver.timed(call, 1)
        while taken < effort.loop_seconds:
            number *= 2
            taken = driver.timed(call, number)
        loops = max(min(effort.loops, int(effort.patience_seconds / max(taken, 1e-9))), 2)
        times = [driver.timed(call, number) / number for _ in range(loops)]
    return statistics.fmean(times) if mean else min(times)


def throughput_of(
    call: Call, threads: int, around: Callable[[], AbstractContextManager[Any]], effort: Effort
) -> float:
    """Calls a second of so many threads at once, each within its own ``around()``."""
    done = [0] * threads
    start = threading.Barrier(threads + 1)
    stop = threading.Event()

    def work(number: int) -> None:
        count = 0
        with around():
            start.wait()
            while not (count and stop.is_set()):
                for _ in repeat(None, 50):
                    call()
                count += 50
            done[number] = count

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    with quiet():
        start.wait()
        begun = time.perf_counter()
        time.sleep(effort.thread_seconds)
        stop.set()
        for thread in running:
            thread.join()
        taken = time.perf_counter() - begun
    return sum(done) / taken
