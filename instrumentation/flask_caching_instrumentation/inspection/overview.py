"""One cache at a glance: what was counted, and what its store says of itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from glob import escape, glob
from typing import Any, Final

from flask_caching.backends.base import SupportsSize, normalize_timeout
from flask_caching.errors import ConfigurationError
from flask_caching.switch import SWITCH_KEY

from ..metrics.counting import Counting
from ..relay import observer_of
from ..timeline import STEP, Counted, Timeline
from ..workers.slots import PREFIX, dead_slots, directory, in_files
from .model import CacheOverview, Counts, Interval
from .percentiles import latencies_of
from .places import Place

__all__ = ["counts_of", "is_on", "overview_of"]

#: Seconds for which hit ratios are shown.
_INTERVALS: Final = (60, 300, 3600)


def overview_of(place: Place, timeline: Timeline | None) -> CacheOverview:
    """What is known of a cache; see :meth:`.inspector.Inspector.overview`."""
    config = place.state.config
    observer = observer_of(place.state)
    counting = observer if isinstance(observer, Counting) else None
    history = None if timeline is None or counting is None else timeline.history
    stats: Mapping[str, Any] = observer.stats()
    prefix = getattr(place.backend, "key_prefix", "")
    collisions: Mapping[str, Mapping[str, int]] = stats.get("collisions", {})
    entries, limit = _held(place.backend)
    return CacheOverview(
        name=config.name,
        backend=type(place.backend).__name__,
        server=_server(place.backend),
        prefix=prefix if isinstance(prefix, str) else None,
        default_timeout_seconds=_default_timeout(place),
        key_strategy=config.key_strategy,
        collisions_policy=config.collisions,
        enabled=is_on(place),
        counted=counting is not None,
        pid=os.getpid(),
        workers=None if counting is None else _workers(),
        since=None if counting is None else counting.since,
        totals=counts_of(stats.get("lookups", {})),
        intervals=()
        if history is None
        else [Interval(each, _shown(history.within(each))) for each in _INTERVALS],
        history=() if history is None else history.ratios(),
        history_step_seconds=0.0 if history is None else STEP,
        latencies=() if counting is None else latencies_of(counting.durations()),
        failures=_failures(stats.get("errors", {})),
        breakers=dict(Counter(each.state for each in getattr(place.backend, "breakers", ()))),
        entries=entries,
        entries_limit=limit,
        evictions=dict(stats.get("evictions", {})),
        saved_seconds=stats.get("saved_seconds", 0.0),
        loads_in_flight=stats.get("loads_in_flight", 0),
        collisions={kind: sum(times.values()) for kind, times in collisions.items()},
        bypasses=dict(stats.get("bypasses", {})),
    )


def counts_of(lookups: Mapping[str, float]) -> Counts:
    """Numbers of lookups by outcome, as they are shown."""
    return _shown(Counted.of(lookups))


def _shown(counted: Counted) -> Counts:
    return Counts(*counted, hit_ratio=counted.hit_ratio)


def is_on(place: Place) -> bool:
    """Whether decorated functions use the cache, asked of a shared store without counting it."""
    state = place.state
    if not state.config.enabled:
        return False
    if not state.shared:
        return not state.switch.off
    try:
        return place.entries().get_entry(SWITCH_KEY) is None
    except Exception:
        # A store that fails cannot say; what this process knew last is all there is.
        return not state.switch.off


def _default_timeout(place: Place) -> float:
    timeout = normalize_timeout(getattr(place.backend, "default_timeout", None))
    return place.state.config.default_timeout if timeout is None else timeout


def _server(backend: Any) -> str:
    """Where a store is: a server's address, or a directory; empty for one in this process."""
    peer = getattr(backend, "peer", None)
    if peer is None:
        return str(getattr(backend, "cache_dir", ""))
    if peer.address is None:
        # Of several the backend has no address; their breakers have their names.
        return ", ".join(each.name for each in getattr(backend, "breakers", ()))
    return peer.address if peer.port is None else f"{peer.address}:{peer.port}"


def _held(backend: Any) -> tuple[int | None, int | None]:
    """How many entries a store has, and may have."""
    if not isinstance(backend, SupportsSize):
        return None, None
    try:
        return backend.size(), backend.threshold
    except OSError:
        return None, backend.threshold


def _failures(errors: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, int]:
    counts = {
        f"{operation} {kind}": sum(numbers.values())
        for operation, kinds in errors.items()
        for kind, numbers in kinds.items()
    }
    return {name: count for name, count in counts.items() if count}


def _workers() -> int | None:
    """How many processes count for this application; ``None`` if each counts for itself."""
    if not in_files():
        return None
    try:
        path = directory()
        pattern = os.path.join(escape(path), f"{PREFIX}*.lock")
        return len(glob(pattern)) - len(dead_slots(path, None))
    except (ConfigurationError, OSError):
        return None
