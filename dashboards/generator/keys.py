"""The second dashboard: which keys there are, and what becomes of entries."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from .frame import Page, Section
from .panels import SECONDS_PER_SECOND, Graph, falling, rising
from .queries import (
    AnyOf,
    Query,
    increase,
    mean_per_second,
    per_second,
    quantile,
    recorded,
    series,
    share,
    total,
)
from .rules import alerting
from .tables import Column, Table

__all__ = ["KEYS"]

_CACHE: Final = ("job", "cache")
_TARGET: Final = (*_CACHE, "source", "target")
_TARGET_LEGEND: Final = "{{job}} {{cache}} {{source}} {{target}}"

_SERVER: Final = (
    "Not known of a server (Redis, memcached): see its own exporter. SimpleCache and"
    " FileSystemCache tell."
)
_EXPLOSION: Final = alerting("FlaskCachingKeyExplosion", 0.8)
#: A hit ratio below this is hardly any hits.
_HARDLY: Final = alerting("FlaskCachingKeyExplosion", 0.2)
_THRASH: Final = alerting("FlaskCachingEvictionThrash", 0.5)
# Machines that share their keys count them each, which makes more keys than lookups.
_RATIO: Final = (
    f"clamp_max({recorded('job_cache_target:flask_caching_keys_per_lookup:ratio1h')}, 1)"
)

#: Targets that nobody asked for have no row.
_ASKED: Final = f"{mean_per_second('lookups_total', _TARGET)} > 0"


def _distinct(window: str) -> str:
    # Machines that share their keys all tell the same number, so that a sum would be too high.
    return f"max by ({', '.join(_TARGET)}) ({series('distinct_keys', window=window)})"


DIFFERENT: Final = (
    Graph(
        title="Distinct keys by target",
        meaning="Different keys looked up in the last hour; dashed, in the last five minutes; of"
        " the machine that has most. A line that only climbs has something in its key that never"
        " comes again.",
        unit=units.Short,
        empty="No lookups within an hour, or another exporter is scraped: see docs/metrics.md.",
        queries=(
            Query(_distinct("1h"), f"{_TARGET_LEGEND}, 1 h"),
            Query(_distinct("5m"), f"{_TARGET_LEGEND}, 5 min"),
        ),
        dashes={"B": "dash"},
    ),
    Graph(
        title="Keys per lookup by target",
        meaning="Different keys among the lookups of the last hour. At 100% no key is asked for"
        " twice, and the cache of that target is of no use; FlaskCachingKeyExplosion fires from"
        f" {_EXPLOSION:.0%}. Of all instances, whichever is chosen.",
        unit=units.PercentUnit,
        empty="No lookups within an hour, or the recording rules are not loaded.",
        queries=(Query(_RATIO, _TARGET_LEGEND),),
        most=1,
        steps=rising(_EXPLOSION),
    ),
)

WORST: Final = Table(
    title="Worst targets",
    meaning="Targets by hit ratio, the lowest first, over the time that is shown. Worth a look:"
    " many lookups and few hits. Keys per lookup near 100%: the key is too narrow; far below:"
    " entries go too early.",
    unit=units.Short,
    empty="No lookups in this time.",
    queries=(
        Query(
            share(
                mean_per_second("lookups_total", _TARGET, result="hit"),
                mean_per_second("lookups_total", _TARGET),
            ),
            _TARGET_LEGEND,
            "table",
        ),
        Query(_ASKED, _TARGET_LEGEND, "table"),
        Query(f"{_RATIO}\nand {_ASKED}", _TARGET_LEGEND, "table"),
        Query(
            f"{mean_per_second('saved_seconds_total', _TARGET)}\nand {_ASKED}",
            _TARGET_LEGEND,
            "table",
        ),
    ),
    columns=(
        Column(field="job", title="Job"),
        Column(field="cache", title="Cache"),
        Column(field="source", title="Source"),
        Column(field="target", title="Target"),
        Column(
            field="Value #A",
            title="Hit ratio",
            unit=units.PercentUnit,
            steps=falling(_HARDLY, 0.5),
        ),
        Column(field="Value #B", title="Lookups", unit=units.OpsPerSecond),
        Column(
            field="Value #C",
            title="Keys per lookup",
            unit=units.PercentUnit,
            steps=rising(_EXPLOSION),
        ),
        Column(field="Value #D", title="Seconds saved", unit=SECONDS_PER_SECOND),
    ),
    sorted_by="Hit ratio",
    width=24,
    height=9,
)

ROOM: Final = (
    Graph(
        title="Entries against the limit",
        meaning="Entries that are held; dashed, how many may be. At the limit each new entry"
        " drives out another: see whether those had expired.",
        unit=units.Short,
        empty=_SERVER,
        queries=(
            Query(total("entries", _CACHE), "{{job}} {{cache}}"),
            Query(total("entries_limit", _CACHE), "{{job}} {{cache}}, limit"),
        ),
        dashes={"B": "dash"},
        width=8,
    ),
    Graph(
        title="Evictions",
        meaning="Entries removed each second to make room. Nobody misses expired ones; lru ones"
        f" were still good. FlaskCachingEvictionThrash fires when {_THRASH:.0%} of what is stored"
        " drives out such an entry.",
        unit=units.EventsPerSecond,
        empty=_SERVER,
        queries=(
            Query(
                per_second("evictions_total", (*_CACHE, "reason")), "{{job}} {{cache}} {{reason}}"
            ),
        ),
        width=8,
    ),
    Graph(
        title="Size of entries",
        meaning="Bytes of the entries that are read and written, metadata included; dashed, the"
        " median. Large ones cost a server's network and memory more than a computation may cost;"
        " memcached refuses those above its limit, a megabyte by default.",
        unit=units.BytesIEC,
        empty="Not known of SimpleCache, which keeps no bytes; else nothing was read or written.",
        queries=(
            Query(quantile(0.95, "item_size_bytes", ("direction",)), "{{direction}} p95"),
            Query(quantile(0.5, "item_size_bytes", ("direction",)), "{{direction}} p50"),
        ),
        least=None,
        logarithmic=True,
        dashes={"B": "dash"},
        width=8,
    ),
)

REFUSED: Final = (
    Graph(
        title="Calls that did not look",
        meaning="Decorated calls each second that went past the cache, by reason: see"
        " docs/metrics.md. All of a target's calls: its decorator does nothing.",
        unit=units.EventsPerSecond,
        empty="Every decorated call looked into the cache.",
        queries=(Query(per_second("bypasses_total", ("reason",)), "{{reason}}"),),
        width=8,
    ),
    Graph(
        title="Values that were not stored",
        meaning="Values each second that were offered and not kept, and why: see"
        " docs/responses.md. Each of them is computed again the next time.",
        unit=units.EventsPerSecond,
        empty="Every value that was offered was stored.",
        queries=(
            Query(
                per_second(
                    "stores_total", ("result", "reason"), result=AnyOf(("refused", "error"))
                ),
                "{{result}} {{reason}}",
            ),
        ),
        width=8,
    ),
    Graph(
        title="Collisions",
        meaning="Lookups that found the entry of a different request under their key, by what"
        " differs. One is enough to worry: reported ones were served to the wrong reader."
        " FlaskCachingCollision fires at the first.",
        unit=units.Short,
        empty="No views or fragments with a key that could collide.",
        queries=(
            Query(
                increase("key_collisions_total", ("source", "target", "kind", "action")),
                "{{source}} {{target}} {{kind}} {{action}}",
            ),
        ),
        width=8,
    ),
)

VOLUME: Final = (
    Graph(
        title="Bytes read and written",
        meaning="Bytes of entries that went to and from the store each second. Compare it with the"
        " network between them: twice as many bytes for the same lookups is a larger value, or a"
        " serializer that changed.",
        unit=units.BytesPerSecondIEC,
        empty="Not known of SimpleCache, which keeps no bytes.",
        queries=(
            Query(
                per_second("item_size_bytes_sum", (*_CACHE, "direction")),
                "{{job}} {{cache}} {{direction}}",
            ),
        ),
    ),
    Graph(
        title="Labels beyond the limit",
        meaning="New values of a label each second that are counted as _other, since there are too"
        " many. More than 0 for target: raise CACHE_METRICS_TARGETS, or stop making decorated"
        " functions as requests come.",
        unit=units.EventsPerSecond,
        empty="No data: is the application scraped, and did it serve a request?",
        queries=(
            Query(
                per_second("dropped_labels_total", (*_CACHE, "label")),
                "{{job}} {{cache}} {{label}}",
            ),
        ),
        # Anything but nothing.
        steps=rising(0.001),
    ),
)

KEYS: Final = Page(
    name="keys",
    title="Flask-Caching: keys",
    about="Which keys there are, which targets have too many, and what becomes of entries.",
    sections=(
        Section("Different keys", (DIFFERENT, (WORST,))),
        Section("Room", (ROOM,)),
        Section("What is not served or kept, and what should not be", (REFUSED,)),
        Section("Volume", (VOLUME,)),
    ),
)
