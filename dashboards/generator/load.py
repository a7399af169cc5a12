"""The third dashboard: what misses cost, and how often that is paid twice."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from .frame import Page, Section
from .panels import SECONDS_PER_SECOND, Graph, Heat, rising
from .queries import Query, buckets, or_zero, per_second, quantile, share, total
from .rules import alerting

__all__ = ["LOAD"]

_CACHE: Final = ("job", "cache")
_SOURCE: Final = (*_CACHE, "source")
_TARGET: Final = (*_SOURCE, "target")
_SOURCE_LEGEND: Final = "{{job}} {{cache}} {{source}}"
_TARGET_LEGEND: Final = "{{job}} {{cache}} {{source}} {{target}}"

_IDLE: Final = "Nothing was loaded in this time: no misses."
_UNSCRAPED: Final = "No data: is the application scraped, and did it serve a request?"

_DUPLICATES: Final = alerting("FlaskCachingStampede", 0.2)
_BUSY: Final = alerting("FlaskCachingStampede", 1)
_TELEMETRY: Final = alerting("FlaskCachingTelemetryErrors", 0.02)

_LOADS: Final = per_second("load_duration_seconds_count", _TARGET)

RUNNING: Final = (
    Graph(
        title="Loads in flight",
        meaning="Functions of the application that run now because their value was not cached. A"
        " peak after a clear or a deployment is a cold cache; one that stays is a load that"
        " hangs.",
        unit=units.Short,
        empty=_UNSCRAPED,
        queries=(Query(total("loads_in_flight", _SOURCE), _SOURCE_LEGEND),),
    ),
    Graph(
        title="Loads by target",
        meaning="Functions that were run each second because the cache had no value. As many as"
        " there are lookups: the cache of that target never hits.",
        unit=units.OpsPerSecond,
        empty=_IDLE,
        queries=(Query(_LOADS, _TARGET_LEGEND),),
        stacked=True,
    ),
)

DURATION: Final = (
    Graph(
        title="Load duration by target",
        meaning="How long the application's own functions take: solid p99, dashed p95, dotted p50."
        " What takes less than a read of the store (Overview) is not worth caching there.",
        unit=units.Seconds,
        empty=_IDLE,
        queries=tuple(
            Query(
                quantile(fraction, "load_duration_seconds", _TARGET),
                f"{_TARGET_LEGEND} {words}",
                exemplar=fraction == 0.99,
            )
            for fraction, words in ((0.99, "p99"), (0.95, "p95"), (0.5, "p50"))
        ),
        least=None,
        logarithmic=True,
        dashes={"B": "dash", "C": "dot"},
    ),
    Heat(
        title="Load duration",
        meaning="Each column is a histogram of loads: the darker a cell, the more of them took so"
        " long. A band that moves up is a database, or a service, that gets slower.",
        unit=units.Seconds,
        empty=_IDLE,
        queries=(Query(buckets("load_duration_seconds"), "{{le}}", "heatmap", exemplar=True),),
    ),
)

COST: Final = (
    Graph(
        title="Cost of misses by target",
        meaning=f"Seconds of loading each second: at {_BUSY:g} s/s, one thread does nothing else."
        " FlaskCachingStampede looks at sources above that. Begin with the highest when there is"
        " something to be gained.",
        unit=SECONDS_PER_SECOND,
        empty=_IDLE,
        queries=(Query(per_second("load_duration_seconds_sum", _TARGET), _TARGET_LEGEND),),
        stacked=True,
        steps=rising(_BUSY),
    ),
    Graph(
        title="Seconds saved for each second of loading",
        meaning="What the cache is worth: at 4, four fifths of the loading are saved. Below 1,"
        " more time goes into misses than hits save. Empty while nothing is loaded.",
        unit=units.Short,
        empty=_IDLE,
        queries=(
            Query(
                share(
                    per_second("saved_seconds_total", _CACHE),
                    per_second("load_duration_seconds_sum", _CACHE),
                ),
                "{{job}} {{cache}}",
            ),
        ),
        steps=((None, "red"), (1, "green")),
    ),
)

TOGETHER: Final = (
    Graph(
        title="Callers of one key at the same time",
        meaning="Coalesced calls waited for another caller's load and were served by it: good."
        " Duplicate ones loaded although a load was under way: they waited too long, or nothing"
        " was stored.",
        unit=units.OpsPerSecond,
        empty=_UNSCRAPED,
        queries=(
            Query(per_second("coalesced_loads_total", _SOURCE), f"{_SOURCE_LEGEND} coalesced"),
            Query(per_second("duplicate_loads_total", _SOURCE), f"{_SOURCE_LEGEND} duplicate"),
        ),
        dashes={"B": "dash"},
    ),
    Graph(
        title="Share of loads that were duplicates",
        meaning="Loads of a key that another caller was loading, among all. FlaskCachingStampede"
        f" fires from {_DUPLICATES:.0%}. Other processes' loads are not seen unless"
        " CACHE_SINGLE_FLIGHT is distributed, and none at all if it is off.",
        unit=units.PercentUnit,
        empty=_IDLE,
        queries=(
            Query(
                share(
                    per_second("duplicate_loads_total", _SOURCE),
                    per_second("load_duration_seconds_count", _SOURCE),
                ),
                _SOURCE_LEGEND,
            ),
        ),
        most=1,
        steps=rising(_DUPLICATES),
    ),
)

FAULTS: Final = (
    Graph(
        title="Loads that raised",
        meaning="Functions each second that ended with an exception, which the caller sees and"
        " nothing of which is stored. As long as it lasts, every call runs the function.",
        unit=units.EventsPerSecond,
        empty=_IDLE,
        queries=(
            Query(
                or_zero(
                    per_second("load_duration_seconds_count", _TARGET, outcome="error"), _LOADS
                ),
                _TARGET_LEGEND,
            ),
        ),
    ),
    Graph(
        title="Telemetry errors",
        meaning="Failures each second of what counts and traces, or of receivers of signals; no"
        " request notices, but numbers may be missing. FlaskCachingTelemetryErrors fires from"
        f" {_TELEMETRY:g}.",
        unit=units.EventsPerSecond,
        empty="None since the application was started.",
        queries=(
            Query(
                per_second("telemetry_errors_total", ("job", "where", "error_type")),
                "{{job}} {{where}} {{error_type}}",
            ),
        ),
        steps=rising(_TELEMETRY),
    ),
)

LOAD: Final = Page(
    name="load",
    title="Flask-Caching: load",
    about="What misses cost, and how often the same value is computed more than once.",
    sections=(
        Section("Loads", (RUNNING, DURATION)),
        Section("What misses cost", (COST,)),
        Section("Callers at the same time", (TOGETHER,)),
        Section("What goes wrong", (FAULTS,)),
    ),
)
