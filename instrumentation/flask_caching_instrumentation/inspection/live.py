"""The timeline, as it is shown."""

from __future__ import annotations

import os

from ..timeline import Operation, Record, Timeline
from .model import Asked, OperationRecord, RequestLog, RequestRecord
from .redacting import Redactor

__all__ = ["asked_of", "log_of"]


def log_of(timeline: Timeline | None, redactor: Redactor, after: int, limit: int) -> RequestLog:
    """The latest requests, the latest first."""
    if timeline is None:
        return RequestLog(os.getpid(), 0, (), recording=False)
    latest = timeline.latest
    if after > latest:
        # The number is of another process, or of this one before it was started anew.
        after = 0
    records = timeline.records(after)[: max(limit, 0)]
    shown = [_request(record, redactor) for record in records]
    return RequestLog(os.getpid(), latest, shown, recording=True)


def asked_of(timeline: Timeline | None, key: str, redactor: Redactor, limit: int) -> list[Asked]:
    """Who asked for a key lately, the latest first; each once."""
    asked: dict[tuple[str, str, str], Asked] = {}
    for record, operation in () if timeline is None else timeline.uses_of(key):
        if operation.target.source == "direct" and operation.name != "lookup":
            continue
        method, url = record.method, _url_of(record, redactor)
        asked.setdefault(
            (operation.target.name, method, url),
            Asked(record.at, operation.target.name, method, url, operation.outcome, record.number),
        )
        if len(asked) == limit:
            break
    return list(asked.values())


def _request(record: Record, redactor: Redactor) -> RequestRecord:
    return RequestRecord(
        number=record.number,
        at=record.at,
        method=record.method,
        url=_url_of(record, redactor),
        endpoint=record.endpoint,
        status=record.status,
        milliseconds=record.seconds * 1000,
        trace_id=record.trace_id,
        operations=[_operation(operation) for operation in list(record.operations)],
        dropped=record.dropped,
    )


def _operation(operation: Operation) -> OperationRecord:
    load = operation.load_seconds
    return OperationRecord(
        source=operation.target.source,
        target=operation.target.name,
        operation=operation.name,
        outcome=operation.outcome,
        key=operation.key,
        keys=operation.keys,
        microseconds=operation.seconds * 1e6,
        load_microseconds=None if load is None else load * 1e6,
        bytes=operation.size or None,
        stored=operation.stored,
        reason=operation.reason,
        collision=operation.collision,
        waited=operation.waited,
    )


def _url_of(record: Record, redactor: Redactor) -> str:
    """Path and query; empty outside requests."""
    # WSGI has bytes as text in these.
    path = record.path.encode("latin-1", "replace").decode("utf-8", "replace")
    query = redactor.query(record.query)
    return f"{path}?{query}" if query else path
