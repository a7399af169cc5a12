"""Numbers as Grafana writes them, by the unit of a panel."""

from __future__ import annotations

import math

__all__ = ["shown"]

_THOUSANDS = ("", " K", " Mil", " Bil")
_BYTES = (" B", " KiB", " MiB", " GiB")
_SECONDS = ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns"))

#: What follows the number, for units that are nothing but that.
_SUFFIXES = {"ops": " ops/s", "eps": " evt/s", "si:s/s": " s/s", "short": "", "none": ""}


def shown(value: float, unit: str) -> str:
    """A value with its unit, to three digits.

    Raises:
        KeyError: If the unit is not one that the dashboards use.
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit == "percentunit":
        return f"{_digits(value * 100)}%"
    if unit == "s":
        return _seconds(value)
    if unit in ("bytes", "binBps"):
        return _scaled(value, 1024, _BYTES) + ("/s" if unit == "binBps" else "")
    suffix = _SUFFIXES[unit]
    return _scaled(value, 1000, _THOUSANDS) + suffix


def _seconds(value: float) -> str:
    if value >= 60:
        return f"{_digits(value / 60)} min"
    for size, name in _SECONDS:
        if abs(value) >= size:
            return _digits(value / size) + name
    return "0 s"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    for name in names[:-1]:
        if abs(value) < base:
            return _digits(value) + name
        value /= base
    return _digits(value) + names[-1]


def _digits(value: float) -> str:
    """Three digits at most, without zeros at the end."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
