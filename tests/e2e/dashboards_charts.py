"""Panels that are charts: lines over time, a heatmap, and states over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dashboards_looks import (
    COLOURS,
    GREY,
    INK,
    PALETTE,
    Box,
    Event,
    Line,
    Span,
    clipped,
    colour_at,
    text_of,
)
from dashboards_units import shown
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
    NullLocator,
)

__all__ = ["draw_heatmap", "draw_lines", "draw_states"]

#: Pixels of a row of a legend, and how many of them there are at most.
_ROW = 13
_ROWS = 5


def draw_lines(
    figure: Figure,
    box: Box,
    panel: Mapping[str, Any],
    lines: Sequence[Line],
    span: Span,
    events: Sequence[Event],
) -> None:
    """A ``timeseries`` panel, with its legend as a table below."""
    lines = sorted(lines, key=lambda line: (-line.last, -line.highest))
    rows = min(len(lines), _ROWS) + 1
    axes = _axes(figure, box.inside(68, 30, 14, 30 + rows * _ROW), span)
    defaults = panel["fieldConfig"]["defaults"]
    custom, unit = defaults["custom"], defaults["unit"]
    colours = _colours(panel, lines)
    if "stacking" in custom:
        _stack(axes, lines, colours, custom["fillOpacity"], span)
    else:
        for line, colour in zip(lines, colours, strict=True):
            seconds, values = _with_gaps(line, span)
            axes.plot(seconds, values, color=colour, linewidth=1.2, dashes=_dashes(panel, line))
            if custom.get("scaleDistribution") is None:
                # Of many lines, the fillings would be all that is seen.
                alpha = custom["fillOpacity"] / 100 / max(1, len(lines) - 2)
                axes.fill_between(seconds, values, alpha=alpha, color=colour, linewidth=0)
    _scale(axes, defaults)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    if custom.get("thresholdsStyle"):
        _thresholds(axes, defaults)
    for event in events:
        _mark(axes, event, span)
    _legend(figure, box.inside(10, box.height - 8 - rows * _ROW, 10, 8), lines, colours, unit)


def draw_heatmap(
    figure: Figure, box: Box, panel: Mapping[str, Any], lines: Sequence[Line], span: Span
) -> None:
    """A ``heatmap`` panel of a histogram: one row for each bucket in which there is something."""
    axes = _axes(figure, box.inside(68, 30, 14, 30), span)
    lines = sorted(lines, key=lambda line: float(line.labels["le"]))
    upto = np.nan_to_num(np.array([_with_gaps(line, span)[1] for line in lines]))
    counts = np.diff(upto, axis=0, prepend=0).clip(min=0)
    used = [row for row in range(len(lines)) if counts[row].any()]
    first, last = used[0], used[-1] + 1
    shown_counts = np.ma.masked_less_equal(counts[first:last], 1e-9)
    edges = np.arange(shown_counts.shape[1] + 1) * span.step - span.step / 2
    colour = panel["options"]["color"]
    mesh = axes.pcolormesh(
        edges,
        np.arange(last - first + 1),
        shown_counts,
        cmap=colour["scheme"],
        norm=PowerNorm(colour["exponent"], vmin=0, vmax=float(shown_counts.max())),
        edgecolors="white",
        linewidth=0.4,
    )
    bounds = [shown(float(line.labels["le"]), panel["options"]["yAxis"]["unit"]) for line in lines]
    axes.set_yticks(range(1, last - first + 1), bounds[first:last])
    axes.grid(False)
    bar = figure.add_axes(box.inside(box.width - 150, 12, 14, box.height - 19).of(figure))
    figure.colorbar(mesh, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=6, length=0, pad=1, labelcolor=GREY)
    bar.xaxis.set_major_locator(MaxNLocator(3))


def draw_states(
    figure: Figure, box: Box, panel: Mapping[str, Any], lines: Sequence[Line], span: Span
) -> None:
    """A ``state-timeline`` panel: a bar for each series, coloured by its state."""
    defaults = panel["fieldConfig"]["defaults"]
    axes = _axes(figure, box.inside(96, 30, 14, 46), span)
    steps = defaults["thresholds"]["steps"]
    for row, line in enumerate(lines):
        begun, (_, state) = 0, line.points[0]
        for number, (_, value) in enumerate([*line.points, (0.0, math.nan)]):
            if value == state:
                continue
            start, end = line.points[begun][0], line.points[number - 1][0] + span.step
            axes.barh(row, end - start, 0.8, start, color=colour_at(state, steps), alpha=0.75)
            if end - start > span.seconds / 9:
                looks = {"va": "center", "fontsize": 7, "color": "white"}
                axes.text(start + span.seconds / 90, row, text_of(state, defaults), **looks)
            begun, state = number, value
    axes.set_yticks(range(len(lines)), [clipped(line.legend, 86) for line in lines])
    axes.invert_yaxis()
    axes.grid(False)
    texts = [text_of(value, defaults) for value in range(len(steps))]
    for number, (step, text) in enumerate(zip(steps, texts, strict=True)):
        left, top = 12 + 84 * number, box.height - 12
        box.write(figure, left, top, "■", color=COLOURS[step["color"]])
        box.write(figure, left + 12, top, text)


def _axes(figure: Figure, box: Box, span: Span) -> Axes:
    axes: Axes = figure.add_axes(box.of(figure))
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c7ccd1")
    axes.tick_params(length=0, labelsize=7, labelcolor=GREY, pad=3)
    axes.grid(color="#e7e9eb", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlim(0, span.seconds)
    wide = max(10, math.ceil(span.seconds / 6 / 10) * 10)
    axes.set_xticks(range(0, int(span.seconds) + 1, wide))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{int(value) // 60}:{int(value) % 60:02}")
    )
    return axes


def _with_gaps(line: Line, span: Span) -> tuple[Any, Any]:
    """Every moment of the picture, and the value or NaN."""
    values = np.full(round(span.seconds / span.step) + 1, math.nan)
    for second, value in line.points:
        values[round(second / span.step)] = value
    return np.arange(len(values)) * span.step, values


def _stack(
    axes: Axes, lines: Sequence[Line], colours: Sequence[str], opacity: int, span: Span
) -> None:
    below: Any = 0.0
    for line, colour in zip(reversed(lines), reversed(colours), strict=True):
        seconds, values = _with_gaps(line, span)
        above = below + np.nan_to_num(values)
        axes.fill_between(seconds, below, above, alpha=opacity / 60, color=colour, linewidth=0)
        axes.plot(seconds, above, color=colour, linewidth=1)
        below = above


def _scale(axes: Axes, defaults: Mapping[str, Any]) -> None:
    in_bytes = defaults["unit"] in ("bytes", "binBps")
    if defaults["custom"].get("scaleDistribution"):
        base = 2 if in_bytes else 10
        axes.set_yscale("log", base=base)
        axes.yaxis.set_major_locator(LogLocator(base, numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    low, high = axes.get_ylim()
    axes.set_ylim(defaults.get("min", low), defaults.get("max", high if high > low else low + 1))
    axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    if in_bytes:
        # Round numbers of KiB or MiB, not of bytes.
        whole = 1024 ** int(math.log(max(high, 1), 1024))
        axes.yaxis.set_major_locator(MultipleLocator(max(1, round(high / whole / 4)) * whole))


def _thresholds(axes: Axes, defaults: Mapping[str, Any]) -> None:
    """Dashed, where they are within what is shown: they do not stretch it."""
    low, high = axes.get_ylim()
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None and low <= step["value"] <= high:
            axes.axhline(step["value"], color=COLOURS[step["color"]], linewidth=0.9, dashes=(5, 4))


def _mark(axes: Axes, event: Event, span: Span) -> None:
    """A line where it begins, and a tint for as long as it holds."""
    before: float | None = None
    for second in event.seconds:
        if before is None or second - before > 1.5 * span.step:
            axes.axvline(second, color=event.colour, linewidth=0.8, dashes=(3, 2))
        else:
            axes.axvspan(before, second, color=event.colour, alpha=0.045, linewidth=0)
        before = second


def _colours(panel: Mapping[str, Any], lines: Sequence[Line]) -> list[str]:
    """Those of the overrides, else the next of the palette; a query's variants have one colour."""
    fixed = {
        override["matcher"]["options"]: each["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "color"
    }
    others = iter(PALETTE * (1 + len(lines) // len(PALETTE)))
    return [COLOURS[fixed[each.legend]] if each.legend in fixed else next(others) for each in lines]


def _dashes(panel: Mapping[str, Any], line: Line) -> tuple[float, ...]:
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byFrameRefID", "options": line.ref}:
            for each in override["properties"]:
                if each["id"] == "custom.lineStyle":
                    return tuple(pixels / 2 for pixels in each["value"]["dash"])
    return (1, 0)


def _legend(
    figure: Figure, box: Box, lines: Sequence[Line], colours: Sequence[str], unit: str
) -> None:
    """Name, last and highest value of the first few; how many more there are."""
    small = {"fontsize": 6.8}
    for right, title in ((70, "Last"), (0, "Max")):
        box.write(figure, box.width - right, 9, title, ha="right", color=COLOURS["blue"], **small)
    more = len(lines) - _ROWS
    if more > 0:
        box.write(figure, 0, 9, f"the highest {_ROWS} of {len(lines)}", color=GREY, **small)
    for row, (line, colour) in enumerate(zip(lines[:_ROWS], colours, strict=False), start=1):
        y = 9 + row * _ROW
        box.write(figure, 0, y, "━", color=colour, **small)
        box.write(figure, 16, y, clipped(line.legend, box.width - 156), **small)
        for right, value in ((70, line.last), (0, line.highest)):
            text = shown(value, unit)
            box.write(figure, box.width - right, y, text, ha="right", color=INK, **small)
