"""Turning a recorder's numbers into the plain data that ``stats()`` answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from .catalogue import COMMON, LabelSet, Numbers, Timing

__all__ = ["summarize"]

Tree: TypeAlias = dict[str, Any]

_OUTCOMES: Final = ("hit", "miss", "stale", "error")


def summarize(numbers: Numbers) -> Tree:
    """Arrange what was counted.

    The shape, where ``n`` is a whole number and ``s`` is seconds::

        {
            "lookups": {"hit": n, "miss": n, "stale": n, "error": n},
            "bypasses": {reason: n},
            "stores": {"stored": n, "refused": n, "error": n},
            "refusals": {reason: n},                    # why stores were refused, or failed
            "saved_seconds": s,
            "loads": {"ok": {"count": n, "seconds": s}, "error": {...}},
            "collisions": {kind: {"reported": n, "refused": n}},
            "targets": {source: {target: {...}}},       # all of the above, for each target,
                                                        # and "distinct_keys": {window: n}
            "loads_in_flight": n,
            "coalesced_loads": n,
            "duplicate_loads": n,
            "operations": {operation: {outcome: {"count": n, "seconds": s}}},
            "errors": {operation: {error_type: {"handled": n, "raised": n}}},
            "dropped_labels": {label: n},
            "breakers": {"open": n, "half_open": n},    # where the store is a server
            "entries": n, "entries_limit": n,           # where the store knows
            "evictions": {reason: n},                   # where the store knows
            "item_bytes": {"read": {"count": n, "bytes": b}, "written": {...}},  # where it does
            "up": True,                                 # where the store is a server, and was asked
        }

    Args:
        numbers: What the recorder read.
    """
    whole = _asked()
    targets: dict[str, dict[str, Tree]] = {}
    for name, put in _PUT.items():
        for (source, target, *labels), value in _children(numbers, name):
            own = targets.setdefault(source, {}).setdefault(target, _asked())
            put(whole, labels, value)
            put(own, labels, value)
    for (source, target, window), value in _children(numbers, "distinct_keys"):
        own = targets.setdefault(source, {}).setdefault(target, _asked())
        own.setdefault("distinct_keys", {})[window] = round(_timing(value).seconds)
    summary: Tree = {**whole, "targets": targets}
    for short in ("loads_in_flight", "coalesced_loads", "duplicate_loads"):
        name = short if short == "loads_in_flight" else f"{short}_total"
        summary[short] = sum(_whole(value) for _, value in _children(numbers, name))
    operations: dict[str, Tree] = {}
    for (operation, outcome), value in _children(numbers, "operation_duration_seconds"):
        _put_timing(operations.setdefault(operation, {}), [outcome], value)
    errors: dict[str, dict[str, dict[str, int]]] = {}
    for (operation, kind, handled), value in _children(numbers, "errors_total"):
        counts = errors.setdefault(operation, {}).setdefault(kind, {"handled": 0, "raised": 0})
        counts["handled" if handled == "true" else "raised"] += _whole(value)
    summary |= {"operations": operations, "errors": errors}
    dropped = _by_label(numbers, "dropped_labels_total")
    summary["dropped_labels"] = {label: count for label, count in dropped.items() if count}
    return summary | _store(numbers) | _server(numbers)


def _asked() -> Tree:
    """What is counted for each target, at zero."""
    return {
        "lookups": dict.fromkeys(_OUTCOMES, 0),
        "bypasses": {},
        "stores": {"stored": 0, "refused": 0, "error": 0},
        "refusals": {},
        "saved_seconds": 0.0,
        "loads": {each: {"count": 0, "seconds": 0.0} for each in ("ok", "error")},
        "collisions": {},
    }


def _put_lookup(tree: Tree, labels: list[str], value: float | Timing) -> None:
    _increase(tree["lookups"], labels[0], value)


def _put_bypass(tree: Tree, labels: list[str], value: float | Timing) -> None:
    _increase(tree["bypasses"], labels[0], value)


def _put_store(tree: Tree, labels: list[str], value: float | Timing) -> None:
    result, reason = labels
    _increase(tree["stores"], result, value)
    if reason:
        _increase(tree["refusals"], reason, value)


def _put_saved(tree: Tree, labels: list[str], value: float | Timing) -> None:
    tree["saved_seconds"] += _timing(value).seconds


def _put_load(tree: Tree, labels: list[str], value: float | Timing) -> None:
    _put_timing(tree["loads"], labels, value)


def _put_collision(tree: Tree, labels: list[str], value: float | Timing) -> None:
    kind, action = labels
    if not _whole(value):
        # It exists at zero for alerts; a person asks what there was.
        return
    _increase(tree["collisions"].setdefault(kind, {"reported": 0, "refused": 0}), action, value)


_PUT: Final[Mapping[str, Callable[[Tree, list[str], float | Timing], None]]] = {
    "lookups_total": _put_lookup,
    "bypasses_total": _put_bypass,
    "stores_total": _put_store,
    "saved_seconds_total": _put_saved,
    "load_duration_seconds": _put_load,
    "key_collisions_total": _put_collision,
}


def _store(numbers: Numbers) -> Tree:
    """What the store holds; nothing where it does not know."""
    store: Tree = {}
    for name in ("entries", "entries_limit"):
        values = [_whole(value) for _, value in _children(numbers, name)]
        if values:
            store[name] = sum(values)
    if "entries" in store:
        store["evictions"] = _by_label(numbers, "evictions_total")
    sizes = _sizes(numbers)
    if sizes:
        store["item_bytes"] = sizes
    return store


def _server(numbers: Numbers) -> Tree:
    """Whether the store's servers answer; nothing where there are none."""
    server: Tree = {}
    breakers = _by_label(numbers, "breaker_state")
    if breakers:
        server["breakers"] = breakers
    for _, value in _children(numbers, "backend_up"):
        server["up"] = bool(_whole(value))
    return server


def _sizes(numbers: Numbers) -> Tree:
    return {
        direction: {"count": _timing(value).calls, "bytes": int(_timing(value).seconds)}
        for (direction,), value in _children(numbers, "item_size_bytes")
    }


def _children(numbers: Numbers, name: str) -> list[tuple[LabelSet, float | Timing]]:
    """A family's children, by the labels that come after the common ones."""
    own = len(COMMON)
    return [(labels[own:], value) for labels, value in sorted(numbers.get(name, {}).items())]


def _by_label(numbers: Numbers, name: str) -> Tree:
    counts: Tree = {}
    for (label,), value in _children(numbers, name):
        _increase(counts, label, value)
    return counts


def _increase(counts: Tree, name: str, value: float | Timing) -> None:
    counts[name] = counts.get(name, 0) + _whole(value)


def _put_timing(tree: Tree, labels: list[str], value: float | Timing) -> None:
    timing = _timing(value)
    sums: Tree = tree.setdefault(labels[0], {"count": 0, "seconds": 0.0})
    sums["count"] += timing.calls
    sums["seconds"] += timing.seconds


def _timing(value: float | Timing) -> Timing:
    return value if isinstance(value, Timing) else Timing(0, value)


def _whole(value: float | Timing) -> int:
    return value.calls if isinstance(value, Timing) else int(value)
