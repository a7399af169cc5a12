"""Running the steps of a load, for callers that block and for callers that await.

A load is a generator that yields what it wants done: run the function, or wait for another
caller's flight. So the text of a load is written once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal, TypeAlias

from .singleflight import Flight, Result

__all__ = ["Pending", "Step", "call_only", "drive", "drive_async"]

#: What a load asks for: run the function, wait some seconds for a flight, or just some seconds.
Step: TypeAlias = tuple[Flight, float] | float | Literal["call"]


class Pending:
    """A call that is not answered yet: the steps that are left."""

    __slots__ = ("steps",)

    def __init__(self, steps: Generator[Step, Any, Any]) -> None:
        self.steps = steps


class _Done:
    """The end of a load, and its value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def drive(steps: Generator[Step, Any, Any], call: Callable[[], Any]) -> Any:
    """Run a load to its end, blocking; ``call`` runs the function."""
    step = _advance(steps.send, None)
    while not isinstance(step, _Done):
        try:
            answer: Any = call() if step == "call" else _wait(step)
        except BaseException as error:
            step = _fail(steps, error)
        else:
            step = _advance(steps.send, answer)
    return step.value


async def drive_async(steps: Generator[Step, Any, Any], call: Callable[[], Awaitable[Any]]) -> Any:
    """Run a load to its end in a running event loop; see :func:`drive`."""
    step = _advance(steps.send, None)
    while not isinstance(step, _Done):
        try:
            answer: Any = await (call() if step == "call" else _wait_async(step))
        except BaseException as error:
            step = _fail(steps, error)
        else:
            step = _advance(steps.send, answer)
    return step.value


def _advance(resume: Callable[[Any], Step], argument: Any) -> Step | _Done:
    try:
        return resume(argument)
    except StopIteration as stop:
        return _Done(stop.value)


def _fail(steps: Generator[Step, Any, Any], error: BaseException) -> Step | _Done:
    """Let the load see what its function raised."""
    try:
        return _advance(steps.throw, error)
    except RuntimeError as wrapped:
        if isinstance(error, StopIteration) and wrapped.__cause__ is error:
            # A generator cannot pass that one on by itself (PEP 479).
            raise error from None
        raise


def call_only() -> Generator[Step, Any, Any]:
    """The steps of a call that the cache has no part in."""
    return (yield "call")


def _wait(step: tuple[Flight, float] | float) -> Result | None:
    if not isinstance(step, tuple):
        time.sleep(step)
        return None
    flight, seconds = step
    if flight.thread == threading.get_ident():
        # A task of this thread's event loop, which cannot go on while this call blocks.
        return None
    try:
        return flight.landed.result(seconds)
    except TimeoutError:
        return None


async def _wait_async(step: tuple[Flight, float] | float) -> Result | None:
    if not isinstance(step, tuple):
        await asyncio.sleep(step)
        return None
    flight, seconds = step
    try:
        return await asyncio.wait_for(asyncio.wrap_future(flight.landed), seconds)
    except TimeoutError:
        return None
