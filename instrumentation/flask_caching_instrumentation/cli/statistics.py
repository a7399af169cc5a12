"""``flask cache stats``: what each cache holds, and how its lookups ended.

This process has just begun and has counted nothing. What there is to tell are the store's own
numbers and, where the workers keep theirs in files (``PROMETHEUS_MULTIPROC_DIR``), the sums of
those; else the workers' metrics endpoint has them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click
from prometheus_client.samples import Sample

from flask_caching import CacheConfig
from flask_caching.backends.base import KeyInfo, SupportsKeys

from ..inspection.inspector import Inspector
from ..inspection.listing import Rows
from ..inspection.model import CacheOverview
from ..inspection.places import Place
from ..inspection.text import count, duration, lifetime, percent, size
from ..metrics.catalogue import CATALOGUE, Family, LabelSet, Numbers, Timing, full_name
from ..metrics.summary import summarize
from ..workers.files import files_of
from ..workers.scraping import scrape_registry
from ..workers.slots import directory, in_files
from .printing import Column, Shown, Table, headline, note, write, write_facts
from .running import Chosen, Refused, Task, as_json, command, each, named, note_if_apart
from .waiting import progress
from .walking import pages_of, place_for, reach

__all__ = ["COMMANDS"]

#: What happens to a collision, by the policy.
_POLICIES: Final = {"report": "reported", "refuse": "refused", "allow": "allowed"}

#: Targets that are listed, those with the most lookups.
_TARGETS: Final = 20


@dataclass
class _Held:
    """Keys of one kind, and the bytes that they take; ``None`` where the store cannot say."""

    keys: int = 0
    bytes: int | None = 0

    def add(self, info: KeyInfo) -> None:
        """Count one more."""
        self.keys += 1
        known = self.bytes is not None and info.size is not None
        self.bytes = (self.bytes or 0) + (info.size or 0) if known else None


@dataclass(frozen=True)
class _Seen:
    """What was seen of a cache.

    Attributes:
        overview: The cache at a glance. What it says was counted was counted by this process, which
            has served nothing, so that is left out.
        workers: What all workers counted together, in the shape of ``Cache.stats()``; ``None``
            where they keep it to themselves.
        running: How many workers there are, if that is known.
        held: Keys and their bytes by kind, where they were counted.
    """

    overview: CacheOverview
    workers: Mapping[str, Any] | None
    running: int | None
    held: Mapping[str, _Held] | None = None


@command("stats")
@click.option(
    "--count", "counted", is_flag=True, help="Also count the keys, which walks through all of them."
)
@named
@as_json
def stats(counted: bool, name: str | None, as_json: bool) -> None:
    """What each cache holds and how it is set up; and how the lookups of all workers ended.

    The latter is known where PROMETHEUS_MULTIPROC_DIR is set as it is for the workers.
    """

    def look(chosen: Chosen) -> dict[str, Any]:
        place = place_for(chosen)
        reach(place)
        overview = Inspector(chosen.cache, place.app).overview()
        workers = _workers(chosen)
        # This process is one of those that have files.
        running = None if overview.workers is None else max(overview.workers - 1, 0)
        held = _held(place) if counted else None
        _note(chosen, workers is not None)
        return _document(_Seen(overview, workers, running, held))

    each(Task("stats", look, _show), name, as_json)


def _note(chosen: Chosen, known: bool) -> None:
    """Say where there is more to be seen."""
    note_if_apart(chosen)
    config = chosen.state.config
    if config.instrumentation is None:
        note(f"{chosen.title} counts nothing, since CACHE_INSTRUMENTATION is None.")
    elif not known:
        where = f" at {config.metrics_path}" if config.metrics_path else ""
        pages = f", and on the debug pages at {config.debug_ui}" if config.debug_ui else ""
        note(
            f"How the workers' lookups ended is in their metrics{where}{pages}; and here, if "
            "PROMETHEUS_MULTIPROC_DIR is set as it is for them."
        )


def _document(seen: _Seen) -> dict[str, Any]:
    overview = seen.overview
    document: dict[str, Any] = {
        name: getattr(overview, name)
        for name in (
            "backend",
            "server",
            "prefix",
            "default_timeout_seconds",
            "key_strategy",
            "collisions_policy",
            "enabled",
            "entries",
            "entries_limit",
            "bytes",
        )
    }
    if seen.held is not None:
        document["entries"] = sum(each.keys for each in seen.held.values())
        sizes = [each.bytes for each in seen.held.values()]
        document["bytes"] = None if None in sizes else sum(each or 0 for each in sizes)
        document["kinds"] = {kind: vars(held) for kind, held in seen.held.items()}
    return {**document, "running_workers": seen.running, "workers": seen.workers}


def _held(place: Place) -> dict[str, _Held]:
    """Every key of a store by its kind, counted."""
    if not isinstance(place.backend, SupportsKeys):
        raise Refused(f"{type(place.backend).__name__} cannot list its keys, so not count them.")
    held: dict[str, _Held] = {}
    with progress(pages_of(place), "Counting") as pages:
        for page in pages:
            # Anew for each page: they remember every path that they saw.
            names = Rows(place, None).names
            for info in page.keys:
                held.setdefault(names.of(info.key).kind, _Held()).add(info)
    return held


# What the workers counted.


def _workers(chosen: Chosen) -> dict[str, Any] | None:
    """What is in the workers' files of a cache, in the shape of ``Cache.stats()``."""
    config = chosen.state.config
    if not in_files() or config.instrumentation is None:
        return None
    try:
        samples = [sample for each in scrape_registry().collect() for sample in each.samples]
    except OSError as error:
        note(f"the workers' files cannot be read: {error}")
        return None
    numbers: Numbers = {}
    named = [sample for sample in samples if sample.labels.get("cache") == config.name]
    by_name: dict[str, list[Sample]] = {}
    for sample in named:
        by_name.setdefault(sample.name, []).append(sample)
    for family in CATALOGUE:
        found = _series(by_name, family, full_name(config.metrics_namespace, family.name))
        if found:
            numbers[family.name] = found
    numbers["distinct_keys"] = _distinct(config)
    return summarize(numbers)


def _distinct(config: CacheConfig) -> dict[LabelSet, float | Timing]:
    """Distinct keys by target and window. A scrape shows those of targets that its worker has."""
    return {
        labels: number
        for collector in files_of(directory()).collectors
        if collector.namespace == config.metrics_namespace
        for labels, number in collector.sketches.estimates(time.time()).items()
        if labels[0] == config.name
    }


def _series(
    samples: Mapping[str, list[Sample]], family: Family, name: str
) -> dict[LabelSet, float | Timing]:
    """The series of a family, as a recorder has them."""

    def values(suffix: str = "") -> dict[LabelSet, float]:
        return {
            tuple(each.labels.get(label, "") for label in family.labels): each.value
            for each in samples.get(f"{name}{suffix}", ())
        }

    if family.kind != "histogram":
        return dict(values())
    sums = values("_sum")
    return {
        labels: Timing(int(number), sums.get(labels, 0.0))
        for labels, number in values("_count").items()
    }


# Showing it.


def _show(chosen: Chosen, seen: dict[str, Any]) -> None:
    headline(chosen.title)
    state = Shown("on", {"fg": "green"}) if seen["enabled"] else Shown("off", {"fg": "red"})
    facts: list[tuple[str, str | Shown]] = [
        ("caching", state),
        ("server", seen["server"]),
        ("key prefix", repr(seen["prefix"]) if seen["prefix"] else ""),
        ("timeout", lifetime(seen["default_timeout_seconds"])),
        ("key strategy", seen["key_strategy"]),
        ("collisions", _POLICIES[seen["collisions_policy"]]),
        ("entries", _entries(seen)),
        ("size", "" if seen["bytes"] is None else size(seen["bytes"])),
        ("workers", "" if seen["running_workers"] is None else count(seen["running_workers"])),
    ]
    workers = seen["workers"]
    write_facts([*facts, *(_counted(workers) if workers else ())])
    kinds = seen.get("kinds")
    if kinds:
        write()
        columns = [Column("KIND"), Column("KEYS", right=True), Column("SIZE", right=True)]
        Table(columns, indent="  ").write(
            [[kind, count(held["keys"]), size(held["bytes"])] for kind, held in _sorted(kinds)]
        )
    if workers:
        _show_targets(workers["targets"])


def _sorted(kinds: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(kinds.items(), key=lambda each: -each[1]["keys"])


def _entries(seen: Mapping[str, Any]) -> str:
    if seen["entries"] is None:
        return ""
    limit = seen["entries_limit"]
    return count(seen["entries"]) + (f" of at most {count(limit)}" if limit else "")


def _counted(workers: Mapping[str, Any]) -> list[tuple[str, str | Shown]]:
    """The numbers of all workers, for people."""
    lookups = workers["lookups"]
    loads = workers["loads"]["ok"]
    mean = duration(loads["seconds"] / loads["count"]) if loads["count"] else ""
    collisions = {kind: sum(times.values()) for kind, times in workers["collisions"].items()}
    errors = {
        f"{operation} {kind}": sum(numbers.values())
        for operation, kinds in workers["errors"].items()
        for kind, numbers in kinds.items()
    }
    breakers = {state: number for state, number in workers.get("breakers", {}).items() if number}
    return [
        ("hit ratio", percent(_ratio(lookups)) if any(lookups.values()) else "no lookups yet"),
        ("lookups", _list(lookups)),
        ("not looked", _list(workers["bypasses"])),
        ("stores", _list(workers["stores"])),
        ("not stored", _list(workers["refusals"])),
        ("loads", f"{count(loads['count'])}, {mean} each" if mean else ""),
        ("saved", duration(workers["saved_seconds"])),
        ("met another's", Shown(_list(collisions), {"fg": "red"})),
        ("errors", Shown(_list(errors), {"fg": "red"})),
        ("breakers", Shown(_list(breakers), {"fg": "red"})),
    ]


def _list(counts: Mapping[str, int]) -> str:
    """Numbers that are not 0, each with its name."""
    return ", ".join(f"{count(number)} {name}" for name, number in counts.items() if number)


def _ratio(lookups: Mapping[str, int]) -> float | None:
    total = sum(lookups.values())
    return lookups["hit"] / total if total else None


def _show_targets(targets: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        (source, target, counted)
        for source, by_target in targets.items()
        for target, counted in by_target.items()
        if any(counted["lookups"].values())
    ]
    rows.sort(key=lambda row: -sum(row[2]["lookups"].values()))
    if not rows:
        return
    write()
    columns = [
        Column("TARGET", shrinks=True),
        Column("SOURCE"),
        Column("LOOKUPS", right=True),
        Column("HITS", right=True),
        Column("KEYS IN 1H", right=True),
        Column("SAVED", right=True),
    ]
    Table(columns, indent="  ").write([_target(*row) for row in rows[:_TARGETS]])
    if len(rows) > _TARGETS:
        note(f"{len(rows) - _TARGETS} more targets are in --json.")


def _target(source: str, target: str, counted: Mapping[str, Any]) -> list[str | Shown]:
    lookups = counted["lookups"]
    return [
        target,
        source,
        count(sum(lookups.values())),
        percent(_ratio(lookups)),
        count(counted.get("distinct_keys", {}).get("1h")),
        duration(counted["saved_seconds"]),
    ]


COMMANDS: Final = {"stats": stats}
