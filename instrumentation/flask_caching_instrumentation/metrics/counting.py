"""Counting: what one application's cache does, as numbers.

Series are bound once and kept: building a label set is the dear part of counting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_caching.observer import Collision, Load, Lookup, NullObserver, Target, Wait

from ..distinct.cardinality import DistinctKeys, SeenKeys
from .batches import BATCH, Batch
from .catalogue import OTHER, Add, Children, LabelSet, Observe
from .collisions import Offenders
from .failures import error_type
from .recorder import Recorder
from .rows import Row

if TYPE_CHECKING:
    from flask_caching.config import CacheConfig

__all__ = ["Counting", "Sizes"]

#: Backend labels of the stores that are servers.
_NETWORK: Final = frozenset({"memcached", "redis", "redis_cluster", "redis_sentinel"})

#: Backend labels of the stores that keep bytes, so that the size of an entry is known.
_BYTES: Final = frozenset({*_NETWORK, "filesystem"})

#: Targets whose series are kept at hand. More than labels: an application that decorates on
#: every request makes a new one each time.
_TARGETS_KEPT: Final = 2048

#: Words for one reason, operation or the like, at most; they come from code, not from requests.
_WORDS_LIMIT: Final = 100


#: What can differ between two askers of one key, by who asks. Memoized functions and direct
#: calls have no witness.
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "view": ("endpoint", "arguments", "method", "host", "query"),
    "template": ("endpoint", "arguments"),
}


class _Series:
    """The series of one target, each made when it is first needed."""

    __slots__ = (
        "bypasses",
        "collisions",
        "hits",
        "labels",
        "loads",
        "lookups",
        "saved",
        "seen",
        "stores",
    )

    def __init__(self, recorder: Recorder, asker: LabelSet, seen: SeenKeys) -> None:
        def labelled(name: str, *labels: str) -> Add:
            return recorder.counter(name, *asker, *labels)

        def load(outcome: str) -> Observe:
            return recorder.histogram("load_duration_seconds", *asker, outcome)

        self.lookups: Children[str, Add] = Children(partial(labelled, "lookups_total"))
        self.bypasses: Children[str, Add] = Children(partial(labelled, "bypasses_total"))
        self.stores: Children[tuple[str, str], Add] = Children(
            lambda labels: labelled("stores_total", *labels)
        )
        self.collisions: Children[tuple[str, str], Add] = Children(
            lambda labels: labelled("key_collisions_total", *labels)
        )
        self.loads: Children[str, Observe] = Children(load)
        self.labels = asker
        self.hits = recorder.hits(*asker)
        self.seen = seen
        self.saved = labelled("saved_seconds_total")
        # At zero from the start, so that the first of each is seen as an increase.
        _ = self.lookups["miss"], self.stores["stored", ""]


def clean(value: object) -> str:
    """A label value that every exposition format can hold: text without half characters."""
    return str(value).encode("utf-8", "replace").decode()


class _Limit:
    """Lets the first so many label values pass; the rest become one, and are counted."""

    __slots__ = ("_dropped", "_known", "_limit")

    def __init__(self, limit: int, dropped: Add) -> None:
        self._limit = limit
        self._dropped = dropped
        self._known: set[tuple[str, ...]] = set()

    def admit(self, *value: str) -> str:
        """The last part of ``value``, or ``_other`` if it is one too many."""
        if value not in self._known:
            if len(self._known) >= self._limit:
                self._dropped()
                return OTHER
            self._known.add(value)
        return value[-1]


def _outcome(load: Load) -> str:
    return "ok" if load.error is None else "error"


class Sizes(NamedTuple):
    """What observes how many bytes an entry that was read or written had."""

    read: Batch
    written: Observe


class Counting(NullObserver):
    """Counts what one application's cache does.

    Args:
        recorder: Where the numbers go.
        distinct: Where the keys go.
        config: The cache's configuration.

    Attributes:
        offenders: The last keys that stood for different requests, of this process.
    """

    def __init__(self, recorder: Recorder, distinct: DistinctKeys, config: CacheConfig) -> None:
        self._recorder = recorder
        self._distinct = distinct
        self._name = config.name
        self._targets_limit = config.metrics_targets
        self._collisions = config.collisions
        self.offenders = Offenders()
        self._label("custom")

    # What the core tells.

    def views_known(self, targets: Sequence[Target]) -> None:
        # Half of the labels at most: functions and fragments are met only as they are used.
        if len(targets) <= self._targets_limit // 2:
            for target in targets:
                self._of(target)

    def lookup_finished(self, lookup: Lookup) -> None:
        if lookup.state is not None:
            # Asked here, since a method around this one would take a tenth of a hit.
            self.end_span(lookup)
        try:
            series = self._series[lookup.target]
        except KeyError:
            series = self._open(lookup.target)
        if lookup.outcome == "hit":
            # Asking for the key is what notes it, see SeenKeys.
            series.seen[lookup.key]
            saved, hits = lookup.saved_seconds, series.hits
            # Read from the store, so it may be anything; ``max`` would cost a fifth of the whole.
            hits.append(saved if saved > 0.0 else 0.0)
            if len(hits) > BATCH:
                hits.settle()
        elif lookup.counts is not None:
            self._count_many(series, lookup, lookup.counts)
        else:
            series.seen[lookup.key]
            # What a caller saved who waited for another's load is no hit's.
            series.lookups[lookup.outcome]()
            if lookup.stored is not None:
                series.stores[lookup.stored, self._reasons.admit(lookup.reason)]()

    def end_span(self, lookup: Lookup) -> None:
        """End what was begun when the lookup did, if anything was."""

    def collided(self, target: Target, collision: Collision) -> None:
        self._of(target).collisions[collision.kind, collision.action]()
        self.offenders.note(target, collision)

    def _count_many(self, series: _Series, lookup: Lookup, counts: Mapping[str, int]) -> None:
        for key in lookup.keys:
            series.seen[key]
        for outcome, number in counts.items():
            series.lookups[outcome](number)
        if lookup.saved_seconds > 0:
            series.saved(lookup.saved_seconds)

    def load_started(self, load: Load) -> None:
        self._in_flight[load.target.source](1)

    def load_finished(self, load: Load) -> None:
        self._in_flight[load.target.source](-1)
        if load.duplicate:
            self._duplicated[load.target.source]()
        self._of(load.target).loads[_outcome(load)](load.duration)

    def wait_finished(self, wait: Wait) -> None:
        if wait.served:
            self._coalesced[wait.target.source]()

    def bypassed(self, target: Target, reason: str) -> None:
        self._of(target).bypasses[self._reasons.admit(reason)]()

    def stored(self, target: Target, result: str, reason: str) -> None:
        self._of(target).stores[result, self._reasons.admit(reason)]()

    def failed(self, operation: str, error: BaseException, handled: bool) -> None:
        operation = self._operation_names.admit(operation)
        self._errors[operation, error_type(error), "true" if handled else "false"]()

    # Exemplars: where to look for one that was counted.

    def exemplify_load(self, load: Load, exemplar: Mapping[str, str]) -> None:
        """Keep ``exemplar`` as the example of a load that was counted."""
        labels = (*self._of(load.target).labels, _outcome(load))
        self._exemplify("load_duration_seconds", labels, load.duration, exemplar)

    def exemplify_collision(
        self, target: Target, collision: Collision, exemplar: Mapping[str, str]
    ) -> None:
        """Keep ``exemplar`` as the example of a collision that was counted."""
        labels = (*self._of(target).labels, collision.kind, collision.action)
        self._exemplify("key_collisions_total", labels, 1, exemplar)

    def exemplify_operation(
        self, operation: str, outcome: str, seconds: float, exemplar: Mapping[str, str]
    ) -> None:
        """Keep ``exemplar`` as the example of a call to the backend that was counted."""
        labels = (*self._common, operation, outcome)
        self._exemplify("operation_duration_seconds", labels, seconds, exemplar)

    def _exemplify(
        self, name: str, labels: LabelSet, number: float, exemplar: Mapping[str, str]
    ) -> None:
        self._recorder.exemplify(name, labels, number, exemplar, time.time())

    # What the wrapper tells.

    def operations(self) -> Children[tuple[str, str], Observe]:
        """What observes the seconds of the calls to the backend, by operation and outcome."""
        common, histogram = self._common, self._recorder.histogram
        return Children(lambda labels: histogram("operation_duration_seconds", *common, *labels))

    def times(self, operation: str, outcome: str) -> Batch:
        """Where the seconds of the most frequent calls to the backend wait."""
        labels = (*self._common, operation, outcome)
        return self._recorder.times("operation_duration_seconds", *labels)

    def sizes(self) -> Sizes | None:
        """What observes the sizes of entries; ``None`` for a backend that does not keep bytes."""
        if self._common[-1] not in _BYTES:
            return None
        name, common = "item_size_bytes", self._common
        read = self._recorder.times(name, *common, "read")
        return Sizes(read, self._recorder.histogram(name, *common, "written"))

    # What is asked of it.

    def lookups(self) -> dict[str, float]:
        """How many lookups ended in which way."""
        sums: dict[str, float] = {}
        for labels, row in self._recorder.rows("lookups_total").items():
            sums[labels[-1]] = sums.get(labels[-1], 0.0) + row[0]
        return sums

    def durations(self) -> dict[tuple[str, str], Row]:
        """By operation and outcome, how many calls to the backend took how long, in buckets.

        The numbers of a row are those of the buckets of ``operation_duration_seconds``, of what
        is above them all, and the sum of the seconds.
        """
        rows = self._recorder.rows("operation_duration_seconds")
        return {(labels[-2], labels[-1]): row for labels, row in rows.items()}

    @property
    def since(self) -> float:
        """When counting began, Unix time: when this was made, or the process was forked."""
        return self._recorder.since

    # Series.

    def _label(self, backend: str) -> None:
        """Bind everything that carries the common labels."""
        common = self._common = (clean(self._name), backend)
        counter = self._recorder.counter
        self._series: dict[Target, _Series] = {}
        self._in_flight = Children(partial(self._recorder.gauge, "loads_in_flight", *common))
        self._coalesced = Children(partial(counter, "coalesced_loads_total", *common))
        self._duplicated = Children(partial(counter, "duplicate_loads_total", *common))
        self._errors: Children[tuple[str, str, str], Add] = Children(
            lambda labels: counter("errors_total", *common, *labels)
        )

        def limit(label: str, number: int) -> _Limit:
            dropped = counter("dropped_labels_total", *common, label)
            return _Limit(number, dropped)

        self._targets = limit("target", self._targets_limit)
        self._reasons = limit("reason", _WORDS_LIMIT)
        self._operation_names = limit("operation", _WORDS_LIMIT)

    def _begin_at_zero(self) -> None:
        """Make exist what an alert or a first increase is measured from."""
        self._of(Target("direct", "direct"))
        self._errors["get", "serialization", "true"]
        if self._common[-1] in _NETWORK:
            for operation in ("get", "set"):
                for kind in ("connection", "timeout"):
                    self._errors[operation, kind, "true"]

    def _likely_collisions(self, source: str) -> list[tuple[str, str]]:
        """Kinds of collisions, and what would be done with them, to be at zero before the first.

        One that appears with its first collision would be no increase to an alert.
        """
        if self._collisions == "allow" or source not in _KINDS:
            return []
        action = "refused" if self._collisions == "refuse" else "reported"
        return [(kind, "refused" if kind == "host" else action) for kind in _KINDS[source]]

    def _of(self, target: Target) -> _Series:
        return self._series.get(target) or self._open(target)

    def _open(self, target: Target) -> _Series:
        """The children of a target that is met for the first time, or again after long."""
        name = clean(target.name)
        if target.source != "direct":
            name = self._targets.admit(target.source, name)
        asker = (*self._common, target.source, name)
        series = _Series(self._recorder, asker, self._distinct.seen(asker))
        self._recorder.ask(asker)
        for kind, action in self._likely_collisions(target.source):
            series.collisions[kind, action]
        for children in (self._in_flight, self._coalesced, self._duplicated):
            children[target.source]
        if len(self._series) >= _TARGETS_KEPT:
            self._series = {}
        self._series[target] = series
        return series
