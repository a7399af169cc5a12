"""Pictures of dashboards, drawn with matplotlib from what Prometheus answers to their queries.

There is no Grafana where they are made. The grid, the titles, the units, the legends, the
thresholds and the colours are those of the dashboard's JSON, and the foot of each picture says
that Grafana did not draw it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from dashboards_charts import draw_heatmap, draw_lines, draw_states
from dashboards_looks import (
    COLOURS,
    GREY,
    INK,
    PIXELS,
    Box,
    Event,
    Line,
    Span,
    clipped,
    colour_at,
    text_of,
)
from dashboards_queries import panels
from dashboards_units import shown
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

__all__ = ["FOOT", "Answers", "draw", "figure_of"]

FOOT = (
    "Drawn with matplotlib from Prometheus's answers to the dashboard's own queries, not by "
    "Grafana."
)

#: Pixels: the whole width, a unit of Grafana's grid, the gap between panels, head and foot.
_WIDTH, _UNIT, _GAP, _HEAD, _FOOT = 1400, 33, 8, 44, 30

#: Colours that a picture is reduced to, so that it is small.
_COLOURS_KEPT = 160


@dataclass(frozen=True)
class Answers:
    """What Prometheus says to a dashboard.

    Attributes:
        span: Which time is shown.
        lines: The series of each panel, by its id.
        events: The annotations.
        note: What the foot says besides.
    """

    span: Span
    lines: Mapping[int, Sequence[Line]]
    events: Sequence[Event] = ()
    note: str = ""


def draw(dashboard: Mapping[str, Any], answers: Answers, path: Path) -> None:
    """Write the picture of a dashboard to a PNG file."""
    buffer = BytesIO()
    figure_of(dashboard, answers).savefig(buffer, format="png", dpi=PIXELS)
    with Image.open(buffer) as image:
        reduced = image.convert("RGB").quantize(_COLOURS_KEPT, dither=Image.Dither.NONE)
        reduced.save(path, optimize=True)


def figure_of(dashboard: Mapping[str, Any], answers: Answers) -> Figure:
    """The picture of a dashboard."""
    every = dashboard["panels"]
    units = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in every)
    height = _HEAD + units * _UNIT + _FOOT
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(_WIDTH / PIXELS, height / PIXELS), facecolor="#f4f5f6")
        whole = Box(0, 0, _WIDTH, height)
        whole.write(figure, 14, 29, dashboard["title"], fontsize=12, weight="bold")
        foot = f"{FOOT} {answers.note}".strip()
        whole.write(figure, 14, height - 11, foot, color=GREY, style="italic")
        for row in (each for each in every if each["type"] == "row"):
            _box(row).write(figure, 12, 23, row["title"], fontsize=9.5, weight="bold")
        for panel in panels(dashboard):
            _draw_panel(figure, panel, answers)
    return figure


def _box(panel: Mapping[str, Any]) -> Box:
    place, unit = panel["gridPos"], _WIDTH / 24
    box = Box(place["x"] * unit, _HEAD + place["y"] * _UNIT, place["w"] * unit, place["h"] * _UNIT)
    return box.inside(_GAP / 2, _GAP / 2, _GAP / 2, _GAP / 2)


def _draw_panel(figure: Figure, panel: Mapping[str, Any], answers: Answers) -> None:
    box, lines = _box(panel), answers.lines[panel["id"]]
    left, bottom, width, height = box.of(figure)
    looks = {"facecolor": "white", "edgecolor": "#dfe2e5", "transform": figure.transFigure}
    figure.add_artist(Rectangle((left, bottom), width, height, linewidth=0.8, zorder=-1, **looks))
    title = clipped(panel["title"], box.width - 20, 8.5)
    box.write(figure, 10, 19, title, fontsize=8.5, weight="bold")
    if not lines:
        text = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        middle = {"ha": "center", "color": GREY}
        box.write(figure, box.width / 2, box.height / 2 + 6, clipped(text, box.width), **middle)
    elif panel["type"] == "timeseries":
        draw_lines(figure, box, panel, lines, answers.span, answers.events)
    elif panel["type"] == "heatmap":
        draw_heatmap(figure, box, panel, lines, answers.span)
    elif panel["type"] == "state-timeline":
        draw_states(figure, box, panel, lines, answers.span)
    elif panel["type"] == "stat":
        _draw_stat(figure, box, panel, lines)
    elif panel["type"] == "table":
        _draw_table(figure, box, panel, lines)
    else:
        raise LookupError(f"a panel of the type {panel['type']} cannot be drawn yet")


def _draw_stat(figure: Figure, box: Box, panel: Mapping[str, Any], lines: Sequence[Line]) -> None:
    """One number, as large as there is room."""
    (line,) = lines
    defaults = panel["fieldConfig"]["defaults"]
    colour = colour_at(line.last, defaults["thresholds"]["steps"])
    text = text_of(line.last, defaults)
    size = min(21.0, box.width / len(text))
    looks = {"ha": "center", "va": "center", "color": colour, "fontsize": size, "weight": "bold"}
    box.write(figure, box.width / 2, box.height * 0.58, text, **looks)


def _draw_table(figure: Figure, box: Box, panel: Mapping[str, Any], lines: Sequence[Line]) -> None:
    """A ``table`` panel: its transformations, then as many rows as there is room."""
    names, rows = _organised(panel, lines)
    inner = box.inside(12, 30, 12, 8)
    widths = [max(len(name), *(len(row[name][0]) for row in rows)) + 2 for name in names]
    lefts = [inner.width * sum(widths[:each]) / sum(widths) for each in range(len(names))]
    for left, name in zip(lefts, names, strict=True):
        inner.write(figure, left, 12, name, color=COLOURS["blue"], weight="bold")
    room = math.floor(inner.height / 17) - 1
    for number, row in enumerate(rows[:room], start=1):
        for left, name, width in zip(lefts, names, widths, strict=True):
            text, colour = row[name]
            pixels = inner.width * width / sum(widths)
            inner.write(figure, left, 12 + 17 * number, clipped(text, pixels), color=colour)
    if len(rows) > room:
        looks = {"ha": "right", "color": GREY}
        box.write(figure, box.width - 12, 19, f"{room} of {len(rows)} rows", **looks)


def _organised(
    panel: Mapping[str, Any], lines: Sequence[Line]
) -> tuple[list[str], list[dict[str, tuple[str, str]]]]:
    """The columns in their order, and the rows: text and colour by column."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    several = len({line.ref for line in lines}) > 1
    for line in lines:
        row = rows.setdefault(tuple(sorted(line.labels.items())), dict(line.labels))
        row[f"Value #{line.ref}" if several else "Value"] = line.last
    (options,) = (each["options"] for each in panel["transformations"] if each["id"] == "organize")
    renamed, order = options["renameByName"], options["indexByName"]
    keys = sorted(renamed, key=lambda key: order[key])
    (sort,) = panel["options"]["sortBy"]
    (by,) = (key for key in keys if renamed[key] == sort["displayName"])
    ordered = sorted(
        rows.values(), key=lambda row: (by not in row, row.get(by, 0)), reverse=sort["desc"]
    )
    shown_rows = [
        {renamed[key]: _cell(panel, renamed[key], row.get(key)) for key in keys} for row in ordered
    ]
    return [renamed[key] for key in keys], shown_rows


def _cell(panel: Mapping[str, Any], name: str, value: Any) -> tuple[str, str]:
    properties: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            properties = {each["id"]: each["value"] for each in override["properties"]}
    if value is None:
        return properties.get("noValue", ""), GREY
    if isinstance(value, str):
        return value, INK
    text = shown(value, properties.get("unit", "short"))
    steps = properties.get("thresholds", {}).get("steps")
    return text, colour_at(value, steps) if steps else INK
