"""What the drawn panels have in common: colours, where a panel is, and how its values look."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards_units import shown
from matplotlib.figure import Figure
from web_servers import Series

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "PALETTE",
    "PIXELS",
    "Box",
    "Event",
    "Line",
    "Span",
    "clipped",
    "colour_at",
    "legend_of",
    "text_of",
]

#: Pixels to the inch, in which matplotlib thinks.
PIXELS = 100

#: Grafana's names for colours, in its light theme.
COLOURS = {
    "green": "#3d9b35",
    "yellow": "#d6a400",
    "orange": "#e8720c",
    "red": "#d92c40",
    "blue": "#2f6fd0",
    "purple": "#8f3bb8",
}

#: For series that have no colour of their own, in this order.
PALETTE = (
    *("#6aa84f", "#e0ab2b", "#3fb3c8", "#e67a2e", "#d1453b", "#2a72b5", "#a83c98", "#6d5a9e"),
    *("#47793b", "#b08c00", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#584477"),
)

INK = "#24292e"
GREY = "#6b7280"


@dataclass(frozen=True)
class Line:
    """One series of a panel.

    Attributes:
        legend: What it is called.
        ref: Which query it answers.
        labels: Its labels.
        points: Seconds since the start, and values.
    """

    legend: str
    ref: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The last value."""
        return self.points[-1][1]

    @property
    def highest(self) -> float:
        """The highest value."""
        return max(value for _, value in self.points)


@dataclass(frozen=True)
class Event:
    """An annotation: seconds since the start at which it held, and its colour."""

    seconds: Sequence[float]
    colour: str


@dataclass(frozen=True)
class Span:
    """The time that a picture shows: how long, and how far apart its points are, in seconds."""

    seconds: float
    step: float


@dataclass(frozen=True)
class Box:
    """Where something is in a figure: pixels from the left and from the top."""

    left: float
    top: float
    width: float
    height: float

    def inside(self, left: float, top: float, right: float, bottom: float) -> Box:
        """What is left of it when each side is moved in."""
        width, height = self.width - left - right, self.height - top - bottom
        return Box(self.left + left, self.top + top, width, height)

    def of(self, figure: Figure) -> tuple[float, float, float, float]:
        """As matplotlib wants it: left, bottom, width, height, as parts of the figure."""
        width, height = (each * PIXELS for each in figure.get_size_inches())
        bottom = height - self.top - self.height
        return self.left / width, bottom / height, self.width / width, self.height / height

    def write(self, figure: Figure, x: float, y: float, text: str, **looks: Any) -> None:
        """Write at a distance from its upper left corner."""
        width, height = (each * PIXELS for each in figure.get_size_inches())
        looks = {"fontsize": 7.5, "color": INK, "va": "baseline", **looks}
        # A dollar sign would begin a formula.
        text = text.replace("$", r"\$")
        figure.text((self.left + x) / width, 1 - (self.top + y) / height, text, **looks)


def legend_of(form: str, series: Series) -> str:
    """``{{label}}`` of a legend replaced by the label's value."""
    labels = dict(series)
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), form).strip()


def colour_at(value: float, steps: Sequence[Mapping[str, Any]]) -> str:
    """The colour that thresholds give to a value."""
    reached = [step for step in steps if step["value"] is None or value >= step["value"]]
    return COLOURS[(reached or steps)[-1]["color"]]


def text_of(value: float, defaults: Mapping[str, Any]) -> str:
    """A value as a field shows it: by a mapping, or with its unit."""
    for mapping in defaults.get("mappings") or []:
        found = mapping["options"].get(f"{value:g}")
        if found:
            return str(found["text"])
    return shown(value, defaults.get("unit", "short"))


def clipped(text: str, pixels: float, size: float = 7.5) -> str:
    """``text`` cut so that it takes about so many pixels."""
    most = max(3, math.floor(pixels / (size * 0.86)))
    return text if len(text) <= most else text[: most - 1] + "…"
