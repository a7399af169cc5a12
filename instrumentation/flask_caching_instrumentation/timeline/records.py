"""What the timeline keeps of a request, and of each thing that it did with the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from opentelemetry import trace

from flask_caching.observer import Lookup, Target

__all__ = ["Operation", "Record", "current_trace"]

#: Operations of one request that are kept.
_MOST: Final = 100


class Operation:
    """One lookup, bypass, or call of the application's own.

    Attributes:
        target: Who asked.
        name: ``lookup``, ``bypass``, or the backend's operation.
        begun: When, seconds of ``perf_counter``.
        seconds: How long it took; ``0.0`` while it goes on.
        outcome: How it ended; empty while it goes on.
        key: The key; of several the first.
        keys: How many.
        load_seconds: How long the function ran; ``None`` if it did not.
        size: Bytes of the entry; 0 if it is not known.
        stored: As in a lookup.
        reason: As in a lookup.
        collision: What differed, if the entry was another request's.
        waited: Whether it waited for another caller's load.
    """

    # On the class, since a hit sets few of them.
    seconds = 0.0
    outcome = ""
    key = ""
    keys = 1
    load_seconds: float | None = None
    size = 0
    stored = ""
    reason = ""
    collision = ""
    waited = False

    def __init__(self, target: Target, name: str, begun: float) -> None:
        self.target = target
        self.name = name
        self.begun = begun

    def end(self, outcome: str) -> None:
        """It is over."""
        self.seconds = perf_counter() - self.begun
        self.outcome = outcome

    def end_lookup(self, lookup: Lookup) -> None:
        """It is over, and a lookup says how."""
        self.seconds = perf_counter() - self.begun
        self.outcome, self.key = lookup.outcome, lookup.key
        if lookup.stored is not None:
            self.stored, self.reason = lookup.stored, lookup.reason
        if lookup.counts is not None:
            self.keys = len(lookup.keys)
            self.key = lookup.keys[0] if lookup.keys else ""
            self.outcome = _outcome_of_many(lookup.counts)
        if lookup.collision is not None:
            self.collision = lookup.collision.kind


def _outcome_of_many(counts: Mapping[str, int]) -> str:
    there = [outcome for outcome, number in counts.items() if number]
    return there[0] if len(there) == 1 else "partial" if there else "miss"


@dataclass(eq=False)
class Record:
    """A request that used the cache, or what was done outside of any.

    Attributes:
        at: When it began, Unix time.
        begun: The same, seconds of ``perf_counter``.
        in_request: Whether it is a request.
        method: Of the request.
        path: Script root and path, as WSGI has them: bytes as text.
        query: The query string as it came.
        trace_id: Of OpenTelemetry; empty if it is not traced.
        endpoint: Empty if none was matched.
        number: Grows by one with each that has ended; 0 before.
        status: Of the response; ``None`` before there is one, or if there was none.
        seconds: How long it took.
        operations: In the order in which they began.
        dropped: Operations beyond those that are kept.
    """

    at: float
    begun: float
    in_request: bool = False
    method: str = ""
    path: str = ""
    query: str = ""
    trace_id: str = ""
    endpoint: str = ""
    number: int = 0
    status: int | None = None
    seconds: float = 0.0
    operations: list[Operation] = field(default_factory=list[Operation])
    dropped: int = 0

    def add(self, operation: Operation) -> None:
        """One more thing that it does."""
        if len(self.operations) < _MOST:
            self.operations.append(operation)
        else:
            self.dropped += 1

    def open_lookup(self, target: Target) -> Operation | None:
        """The innermost lookup or bypass of a target that still goes on."""
        for operation in reversed(self.operations):
            if operation.target is target and not operation.outcome:
                return operation
        return None


def current_trace() -> str:
    """The id of the current trace in hexadecimal; empty if there is none."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
