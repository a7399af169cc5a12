"""When one key stands for two different requests."""

from __future__ import annotations

from collections.abc import Set

from .entry import Witness

__all__ = ["difference"]


def difference(
    stored: Witness,
    asked: Witness,
    reads: Set[str],
    *,
    other_hosts: bool,
    other_queries: bool,
) -> str | None:
    """What makes two askers different requests, if they are.

    Args:
        stored: Who the entry was made for.
        asked: Who asks.
        reads: What the view was seen to read while it made the entry.
        other_hosts: Whether another host is another request even if nobody looked at it.
        other_queries: Whether another query can be another request at all; not so where the key
            says which parts of the query count.

    Returns:
        ``host``, ``endpoint``, ``arguments``, ``method``, ``query``, or ``None``.
    """
    # The host first, since it is refused where the others are only reported.
    if stored.host != asked.host and (other_hosts or "host" in reads):
        return "host"
    if stored.root != asked.root and "root" in reads:
        return "host"
    if stored.scheme != asked.scheme and "scheme" in reads:
        return "host"
    if stored.function != asked.function:
        return "endpoint"
    if stored.arguments != asked.arguments:
        return "arguments"
    if stored.method != asked.method:
        return "method"
    if stored.query != asked.query and "query" in reads and other_queries:
        return "query"
    return None
