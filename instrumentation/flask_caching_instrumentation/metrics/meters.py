"""The same numbers as OpenTelemetry metrics (``CACHE_OTEL_METRICS``).

Observable instruments, which an SDK's reader asks when it exports: nothing more is counted for
them. They tell of this process, since each worker exports for itself under a resource of its own.
OpenTelemetry has no observable histogram; of ours there are the count and the sum.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from flask_caching.observer import report_fault

from ..tracing.spans import SCOPE
from .catalogue import CATALOGUE, Family, LabelSet, installed_version
from .collector import Collector
from .rows import Row

__all__ = ["instrument_name", "register"]

_UNITS: Final = {"_seconds": "s", "_bytes": "By"}

#: Who was given instruments already: several applications share a collector.
_known: weakref.WeakKeyDictionary[Collector, list[Callable[[], Any]]] = weakref.WeakKeyDictionary()


def register(collector: Collector, provider: Any = None) -> None:
    """Give a meter provider the instruments of a collector; nothing if it has them.

    Args:
        collector: Whose numbers; held weakly.
        provider: The meter provider; ``None`` for the global one.
    """
    given = _known.setdefault(collector, [])
    chosen = _GLOBAL if provider is None else provider
    if any(each() is chosen for each in given):
        return
    given.append(_reference(chosen))
    try:
        meter = get_meter(SCOPE, installed_version("Flask-Caching"), provider)
        for each in CATALOGUE:
            _create(meter, each, weakref.ref(collector))
    except Exception as fault:
        report_fault("metrics.meter", fault)


def instrument_name(namespace: str, family: Family, part: str = "") -> tuple[str, str]:
    """What a family is called in OpenTelemetry, and its unit.

    Args:
        namespace: That of the metrics.
        family: From the catalogue.
        part: ``count`` or ``sum``, of a histogram.
    """
    name, unit = family.name.removesuffix("_total"), "1"
    for ending, symbol in _UNITS.items():
        if name.endswith(ending):
            name, unit = name.removesuffix(ending), symbol
    words = [namespace, name, *([part] if part else ())]
    return ".".join(word for word in words if word), "1" if part == "count" else unit


#: Stands for the global provider, whichever that is.
_GLOBAL: Final = object()


def _reference(provider: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(provider)
    except TypeError:
        # It cannot be referenced weakly.
        return lambda: provider


def _create(meter: Meter, family: Family, owner: weakref.ref[Collector]) -> None:
    collector = owner()
    namespace = "" if collector is None else collector.namespace

    def create(make: Callable[..., Any], read: Callable[[Row], float], part: str = "") -> None:
        name, unit = instrument_name(namespace, family, part)
        make(name, callbacks=[_observer(owner, family, read)], unit=unit, description=family.help)

    if family.kind == "counter":
        create(meter.create_observable_counter, _first)
    elif family.kind == "histogram":
        create(meter.create_observable_counter, _count, "count")
        create(meter.create_observable_counter, _last, "sum")
    elif family.merge == "sum":
        create(meter.create_observable_up_down_counter, _first)
    else:
        create(meter.create_observable_gauge, _first)


def _first(row: Row) -> float:
    return row[0]


def _last(row: Row) -> float:
    return row[-1]


def _count(row: Row) -> float:
    return sum(row[:-1])


def _observer(
    owner: weakref.ref[Collector], family: Family, read: Callable[[Row], float]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """What a reader calls for one instrument. What it raises would be the reader's to deal with."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        collector = owner()
        if collector is None:
            return []
        try:
            numbers = collector.numbers(distinct=family.name == "distinct_keys")
            return [
                Observation(read(row), _attributes(family, labels))
                for labels, row in numbers.get(family.name, {}).items()
            ]
        except Exception as fault:
            report_fault("metrics.meter", fault)
            return []

    return observe


def _attributes(family: Family, labels: LabelSet) -> dict[str, str]:
    return dict(zip(family.labels, labels, strict=True))
