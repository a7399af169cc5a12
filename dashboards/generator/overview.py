"""The first dashboard: does the cache work, and what is it worth."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from .frame import Page, Section
from .panels import SECONDS_PER_SECOND, Graph, Heat, Number, States, falling, rising
from .queries import (
    AnyOf,
    Not,
    Query,
    alerts,
    buckets,
    or_zero,
    per_second,
    quantile,
    recorded,
    series,
    share,
)
from .rules import alerting
from .tables import Column, Table

__all__ = ["OVERVIEW"]

IDLE: Final = "No lookups in this time."
UNSCRAPED: Final = "No data: is the application scraped, and did it serve a request?"

_CACHE: Final = ("job", "cache")
_TARGET: Final = (*_CACHE, "source", "target")
_READS: Final = AnyOf(("get", "get_many"))

_SLOW: Final = alerting("FlaskCachingSlowBackend", 0.05)
_FAILING: Final = alerting("FlaskCachingFailingOpen", 0.05)
_FAILING_RATE: Final = alerting("FlaskCachingFailingOpen", 0.1)
_ERRORS: Final = alerting("FlaskCachingErrors", 0.02)
_DROP: Final = alerting("FlaskCachingHitRatioDropped", 0.1)
#: A hit ratio below this is hardly any hits.
_HARDLY: Final = alerting("FlaskCachingKeyExplosion", 0.2)

_LOOKUPS: Final = per_second("lookups_total")
_FAILED: Final = or_zero(per_second("lookups_total", result="error"), _LOOKUPS)

NOW: Final = (
    Number(
        title="Hit ratio",
        meaning="Hits among all lookups; yellow where there are more misses than hits. What is"
        " good depends on the application: a change says more. Empty, not 0, while nobody asks.",
        unit=units.PercentUnit,
        empty=IDLE,
        queries=(
            Query(share(per_second("lookups_total", result="hit"), _LOOKUPS), "hits", "instant"),
        ),
        most=1,
        steps=falling(_HARDLY, 0.5),
        width=4,
    ),
    Number(
        title="Lookups",
        meaning="Keys looked up each second; reading ten keys at once counts ten. None at all"
        " although there are requests: nothing is decorated, or the cache is switched off.",
        unit=units.OpsPerSecond,
        empty=UNSCRAPED,
        queries=(Query(_LOOKUPS, "lookups", "instant"),),
        width=3,
    ),
    Number(
        title="Seconds saved",
        meaning="Seconds of loading that hits made unnecessary, each second: 2 s/s are two"
        " threads that would do nothing else. Near 0, the cache is not worth its trouble.",
        unit=SECONDS_PER_SECOND,
        empty=UNSCRAPED,
        queries=(Query(per_second("saved_seconds_total"), "saved", "instant"),),
        width=4,
    ),
    Number(
        title="Server",
        meaning="Whether every server answered each instance's last call; FlaskCachingBackendDown"
        " fires after two minutes. While nothing is looked up it stays as it was.",
        unit=units.NoUnit,
        empty="Not asked, or no server: SimpleCache and FileSystemCache have none.",
        queries=(Query(f"min({series('backend_up')})", "up", "instant"),),
        steps=((None, "red"), (1, "green")),
        words={"0": "down", "1": "up"},
        width=3,
    ),
    Number(
        title="Failed lookups",
        meaning="Lookups each second that the store could not answer; decorated functions ran as"
        " if they were not decorated. Anything but 0 has its reason under Errors.",
        unit=units.OpsPerSecond,
        empty=UNSCRAPED,
        queries=(Query(_FAILED, "failed", "instant"),),
        steps=rising(_FAILING_RATE / 100, _FAILING_RATE),
        width=3,
    ),
    Number(
        title="Reads, p99",
        meaning="One read of the store in a hundred takes longer. A hit costs its request that"
        f" much. FlaskCachingSlowBackend fires from {_SLOW * 1000:g} ms.",
        unit=units.Seconds,
        empty=IDLE,
        queries=(
            Query(
                quantile(
                    0.99, "operation_duration_seconds", operation=_READS, outcome=Not("error")
                ),
                "p99",
                "instant",
            ),
        ),
        steps=rising(_SLOW / 5, _SLOW),
        width=4,
    ),
    Number(
        title="Alerts",
        meaning="Alerts of dashboards/prometheus/alerts.yml that fire now for these jobs. The red"
        " marks in the graphs say which; docs/runbooks.md says what to do.",
        unit=units.NoUnit,
        empty="The rule files are not loaded.",
        queries=(
            Query(
                f"count({alerts()})\n"
                f"or 0 * count({recorded('job_cache_result:flask_caching_lookups:rate5m')})",
                "firing",
                "instant",
            ),
        ),
        steps=rising(1),
        width=3,
    ),
)

WORTH: Final = (
    (
        Graph(
            title="Hit ratio by cache",
            meaning="Hits among all lookups; dashed, a week before, over half an hour and without"
            f" lookups that failed. FlaskCachingHitRatioDropped fires when it is {_DROP:g} and a"
            " fifth below that.",
            unit=units.PercentUnit,
            empty=IDLE,
            queries=(
                Query(
                    share(
                        per_second("lookups_total", _CACHE, result="hit"),
                        per_second("lookups_total", _CACHE),
                    ),
                    "{{job}} {{cache}}",
                ),
                Query(
                    recorded("job_cache:flask_caching_answered_lookups:hit_ratio_rate30m")
                    + " offset 1w",
                    "{{job}} {{cache}}, a week before",
                ),
            ),
            most=1,
            dashes={"B": "dash"},
        ),
        Graph(
            title="Hit ratio by target",
            meaning="The same by view, function or fragment. Low with many lookups: too many"
            " different keys, too short a time-out, or too small a cache; the Keys dashboard tells"
            " which.",
            unit=units.PercentUnit,
            empty=IDLE,
            queries=(
                Query(
                    share(
                        per_second("lookups_total", _TARGET, result="hit"),
                        per_second("lookups_total", _TARGET),
                    ),
                    "{{job}} {{cache}} {{source}} {{target}}",
                ),
            ),
            most=1,
        ),
    ),
    (
        Graph(
            title="Lookups by result",
            meaning="Keys looked up each second. Errors are lookups that the store could not"
            " answer; stale ones found a value that the application's is_stale refused.",
            unit=units.OpsPerSecond,
            empty=UNSCRAPED,
            queries=(Query(per_second("lookups_total", ("result",)), "{{result}}"),),
            stacked=True,
            colours={"hit": "green", "miss": "yellow", "stale": "blue", "error": "red"},
        ),
        Graph(
            title="Seconds saved by target",
            meaning="Seconds of loading that hits made unnecessary, each second, as measured when"
            " the values were loaded. Targets that save next to nothing need no cache.",
            unit=SECONDS_PER_SECOND,
            empty=UNSCRAPED,
            queries=(
                Query(
                    per_second("saved_seconds_total", _TARGET),
                    "{{job}} {{cache}} {{source}} {{target}}",
                ),
            ),
            stacked=True,
        ),
    ),
)

STORE: Final = (
    (
        Graph(
            title="Duration by operation",
            meaning="How long one call to the store takes: solid p99, dashed p95, dotted p50, each"
            " over the caches that are chosen. FlaskCachingSlowBackend fires when the p99 of reads"
            f" is above {_SLOW * 1000:g} ms, except of SimpleCache.",
            unit=units.Seconds,
            empty="No calls to the store in this time.",
            queries=tuple(
                Query(
                    quantile(fraction, "operation_duration_seconds", ("operation",)),
                    f"{{{{operation}}}} {words}",
                    exemplar=fraction == 0.99,
                )
                for fraction, words in ((0.99, "p99"), (0.95, "p95"), (0.5, "p50"))
            ),
            least=None,
            logarithmic=True,
            dashes={"B": "dash", "C": "dot"},
            steps=rising(_SLOW),
        ),
        Heat(
            title="Duration of reads",
            meaning="Each column is a histogram of reads: the darker a cell, the more of them took"
            " so long. Two bands are two kinds of answers, such as a near server and a far one; a"
            " band at a time-out (0.5 s) is a server that does not answer.",
            unit=units.Seconds,
            empty="No reads in this time.",
            queries=(
                Query(
                    buckets("operation_duration_seconds", operation=_READS),
                    "{{le}}",
                    "heatmap",
                    exemplar=True,
                ),
            ),
        ),
    ),
    (
        Graph(
            title="Errors",
            meaning="Failures of the store or of a codec each second; handled ones did not reach"
            f" the application. FlaskCachingErrors fires from {_ERRORS:g} of those that are neither"
            " connection nor timeout.",
            unit=units.EventsPerSecond,
            empty=UNSCRAPED,
            queries=(
                Query(
                    per_second("errors_total", ("error_type", "handled")),
                    "{{error_type}}, handled: {{handled}}",
                ),
            ),
            steps=rising(_ERRORS),
            width=8,
        ),
        Graph(
            title="Share of lookups that failed",
            meaning="Lookups that the store could not answer, among all: what is behind the cache"
            f" does their work. FlaskCachingFailingOpen fires from {_FAILING:.0%}.",
            unit=units.PercentUnit,
            empty=IDLE,
            queries=(
                Query(
                    share(
                        "("
                        + or_zero(
                            per_second("lookups_total", _CACHE, result="error"),
                            per_second("lookups_total", _CACHE),
                        )
                        + ")",
                        per_second("lookups_total", _CACHE),
                    ),
                    "{{job}} {{cache}}",
                ),
            ),
            most=1,
            steps=rising(_FAILING),
            width=8,
        ),
        States(
            title="Circuit breakers",
            meaning="Open: three calls in a row failed, and the server is left alone for a while."
            " Half open: one call is let through to see. The worst breaker of all workers counts.",
            unit=units.NoUnit,
            empty="No server: SimpleCache and FileSystemCache have no breaker.",
            queries=(
                Query(
                    "max by (job, cache) (\n"
                    f"2 * ({series('breaker_state', state='open')} > bool 0)\n"
                    "or\n"
                    f"({series('breaker_state', state='half_open')} > bool 0))",
                    "{{job}} {{cache}}",
                ),
            ),
            words={"0": "closed", "1": "half open", "2": "open"},
            steps=((None, "green"), (1, "yellow"), (2, "red")),
            width=8,
        ),
    ),
)

VERSIONS: Final = (
    Table(
        title="Versions",
        meaning="What the instances run. More than one row for a job is a deployment that is under"
        " way, or one that forgot somebody.",
        unit=units.NoUnit,
        empty=UNSCRAPED,
        queries=(
            Query(
                f"count by (job, version, python_version, flask_version) ({series('build_info')})",
                "{{job}} {{version}}",
                "table",
            ),
        ),
        columns=(
            Column(field="job", title="Job"),
            Column(field="version", title="Flask-Caching"),
            Column(field="python_version", title="Python"),
            Column(field="flask_version", title="Flask"),
            Column(field="Value", title="Instances", unit=units.NoUnit),
        ),
        sorted_by="Job",
        height=6,
    ),
    Table(
        title="Backends",
        meaning="Where each cache keeps its entries. Two rows for one cache are instances that do"
        " not share it, or do not understand each other's entries.",
        unit=units.NoUnit,
        empty=UNSCRAPED,
        queries=(
            Query(
                "count by (job, cache, backend, type, client, serializer)"
                f" ({series('backend_info')})",
                "{{job}} {{cache}}",
                "table",
            ),
        ),
        columns=(
            Column(field="job", title="Job"),
            Column(field="cache", title="Cache"),
            Column(field="backend", title="Backend"),
            Column(field="type", title="Class"),
            Column(field="client", title="Client"),
            Column(field="serializer", title="Serializer"),
            Column(field="Value", title="Instances", unit=units.NoUnit),
        ),
        sorted_by="Job",
        height=6,
    ),
)

OVERVIEW: Final = Page(
    name="overview",
    title="Flask-Caching: overview",
    about="Does the cache work, what is it worth, and how does its store do.",
    sections=(
        Section(None, (NOW,)),
        Section("What it is worth", WORTH),
        Section("The store", STORE),
        Section("Versions", (VERSIONS,)),
    ),
)
