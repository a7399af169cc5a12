"""What the rule files say, so that the panels draw what is recorded and where alerts begin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["alerting", "labels_of_recorded"]

_PROMETHEUS: Final = Path(__file__).resolve().parents[1] / "prometheus"

#: Labels that recorded series keep, by the level that their name begins with.
_LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "job_cache": ("job", "cache"),
    "job_cache_result": ("job", "cache", "result"),
    "job_cache_target": ("job", "cache", "source", "target"),
}

# Not read as YAML: that would be one more dependency, without types, for two forms of lines.
_RECORD: Final = re.compile(r"^\s*- record: (\S+)$", re.MULTILINE)
_ALERT: Final = re.compile(r"^\s*- alert: (\w+)\n\s*expr: (.*?)\n\s*(?:for|labels):", re.M | re.S)
_BOUND: Final = re.compile(r"[<>]=?\s*(\d+(?:\.\d+)?)")


def labels_of_recorded(name: str) -> tuple[str, ...]:
    """The labels of a recorded series.

    Raises:
        LookupError: ``recording.yml`` has no such rule.
    """
    if name not in _recorded():
        raise LookupError(f"recording.yml has no rule {name!r}")
    return _LEVELS[name.partition(":")[0]]


def alerting(name: str, bound: float) -> float:
    """The ``bound``, provided that the alert called ``name`` compares something with it.

    Raises:
        LookupError: ``alerts.yml`` has no such alert, or it waits for something else.
    """
    bounds = _bounds().get(name, frozenset())
    if bound not in bounds:
        raise LookupError(f"alerts.yml: {name} compares with {sorted(bounds)}, not with {bound}")
    return bound


@cache
def _recorded() -> frozenset[str]:
    return frozenset(_RECORD.findall((_PROMETHEUS / "recording.yml").read_text("utf-8")))


@cache
def _bounds() -> dict[str, frozenset[float]]:
    bounds: dict[str, frozenset[float]] = {}
    for name, expr in _ALERT.findall((_PROMETHEUS / "alerts.yml").read_text("utf-8")):
        found = frozenset(float(number) for number in _BOUND.findall(expr))
        bounds[name] = bounds.get(name, frozenset()) | found
    return bounds
