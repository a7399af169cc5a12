"""Draws what was measured, in colours that are readable on white and on black."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

from benchmarks.results import Results, Series
from benchmarks.suites import SUITES
from benchmarks.workers.subjects import STORES, SUBJECTS, WORKS, floors_of

__all__ = ["draw"]

#: Text and lines: as far from white as from black.
INK = "#75818c"
COLOURS = {
    "ours": "#1f7cf2",
    "bare": "#1f7cf2",
    "released": "#e0483e",
    "dogpile.cache": "#c98300",
    "cachetools": "#8c6be0",
    "diskcache": "#249c6b",
    "cashews": "#d1609f",
    "Django": "#5f8f2f",
    "floor": INK,
}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "savefig.transparent": True,
    "legend.frameon": False,
    "svg.hashsalt": "benchmarks",  # the same numbers give the same file
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw into a folder, which is made.

    Returns:
        The files, of those figures for which something was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with matplotlib.rc_context(STYLE):
        for name, make in FIGURES.items():
            figure = make(results)
            if figure is not None:
                path = folder / f"benchmark-{name}.svg"
                figure.savefig(path, metadata={"Date": None})
                pyplot.close(figure)
                drawn.append(path)
    return drawn


def _median(results: Results, suite: str, store: str, subject: str, work: str) -> float | None:
    spread = results.spread(Series(suite, store, subject, work))
    return spread.median * SUITES[suite].unit.factor if spread else None


def _hits(results: Results) -> Any:
    """A panel for each store, a row for each work, a dot for each subject, on a scale of powers."""
    stores = [store for store in STORES if results.works("hits", store)]
    if not stores:
        return None
    rows = (len(stores) + 1) // 2
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(10, 0.6 + 3.6 * rows), layout="constrained", squeeze=False
    )
    for axis, store in zip(axes.flat, stores, strict=False):
        _dots(axis, results, store)
    for axis in axes.flat[len(stores) :]:
        axis.set_axis_off()
    _legend(figure, {series.subject for series in results.turns if series.suite == "hits"}, _marker)
    return figure


def _dots(axis: Any, results: Results, store: str) -> None:
    works = [work for work in reversed(WORKS) if work in results.works("hits", store)]
    for row, work in enumerate(works):
        for subject in reversed(list(SUBJECTS)):
            number = _median(results, "hits", store, subject, work)
            if number is not None:
                axis.plot(number, row, zorder=3, **_marker(subject))
        floors = [_median(results, "hits", store, "floor", each) for each in floors_of(store, work)]
        for number in filter(None, floors):
            axis.plot(number, row, zorder=2, **_marker("floor"))
    axis.set_xscale("log")
    axis.set_yticks(range(len(works)), works)
    axis.set_xlabel("microseconds a call")
    axis.set_title(store, loc="left", fontweight="bold")
    axis.grid(axis="both", which="major")
    axis.tick_params(length=0)
    axis.xaxis.set_major_formatter(lambda number, _: f"{number:,.12g}")


def _marker(subject: str) -> dict[str, Any]:
    """How a subject is drawn: ours filled and large, without telemetry hollow, the floor a bar."""
    marker = {"color": COLOURS[subject], "linestyle": "none", "marker": "o", "markersize": 6}
    if subject == "ours":
        return {**marker, "markersize": 9}
    if subject == "bare":
        return {**marker, "markersize": 9, "fillstyle": "none", "markeredgewidth": 1.5}
    if subject == "floor":
        return {**marker, "marker": "|", "markersize": 14, "markeredgewidth": 2}
    return marker


def _legend(figure: Any, names: Iterable[str], handle: Callable[[str], dict[str, Any]]) -> None:
    """Below the figure, in lines of a few: browsers have wider letters than it was laid out for."""
    handles = [
        matplotlib.lines.Line2D([], [], **handle(name), label=_named(name))
        for name in SUBJECTS
        if name in names
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))


def _named(subject: str) -> str:
    words = {
        "bare": "ours without telemetry",
        "released": "Flask-Caching 2.5.1",
        "floor": "floor: no cache library",
    }
    return words.get(subject, subject)


def _shapes(results: Results) -> Any:
    """How it grows: with the size of a full cache and of a value, with threads; and under load."""
    panels = [
        ("full", "memory", "set, full of ", "entries", "write into full memory, by its size"),
        ("full", "files", "set, full of ", "entries", "write into full files, by their number"),
        ("threads", "memory", "memoize, threads: ", "threads", "hits of a function, memory"),
        ("threads", "redis", "view, threads: ", "threads", "hits of a page, Redis"),
        ("growth", "memory", "request, ", "body", "whole request, memory, by size"),
        ("growth", "redis", "get, ", "bytes", "get, Redis, by size"),
    ]
    panels = [panel for panel in panels if results.works(*panel[:2])]
    loads = [store for store in STORES if results.works("load", store)]
    if not panels and not loads:
        return None
    rows = (len(panels) + len(loads) + 1) // 2
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(10, 0.6 + 2.8 * rows), layout="constrained", squeeze=False
    )
    free = list(axes.flat)
    for panel in panels:
        _lines(free.pop(0), results, *panel)
    for store in loads:
        _bars(free.pop(0), results, store)
    for axis in free:
        axis.set_axis_off()
    shown = {panel[0] for panel in panels} | {"load"}
    _legend(figure, {series.subject for series in results.turns if series.suite in shown}, _line)
    return figure


def _lines(
    axis: Any, results: Results, suite: str, store: str, prefix: str, label: str, title: str
) -> None:
    """A line for each subject over the sizes that follow the prefix in a work's name."""
    works = [work for work in results.works(suite, store) if work.startswith(prefix)]
    sizes = [work.removeprefix(prefix) for work in works]
    for subject in SUBJECTS:
        numbers = [_median(results, suite, store, subject, work) for work in works]
        if subject == "floor":
            floors = [floors_of(store, work)[:1] for work in works]
            numbers = [
                _median(results, suite, store, subject, floor[0]) if floor else None
                for floor in floors
            ]
        if any(number is not None for number in numbers):
            axis.plot(range(len(works)), numbers, **_line(subject))
    axis.set_xticks(range(len(works)), sizes)
    axis.set_xlabel(label)
    if SUITES[suite].unit.more_is_better:
        axis.set_ylim(bottom=0)
        axis.set_ylabel("thousand calls a second")
    else:
        axis.set_yscale("log")
        axis.set_ylabel("microseconds")
        axis.yaxis.set_major_formatter(lambda number, _: f"{number:,.12g}")
    axis.set_title(title, loc="left", fontweight="bold")
    axis.grid(axis="y", which="major")


def _line(subject: str) -> dict[str, Any]:
    """How the line of a subject is drawn: without telemetry hollow and dotted."""
    line = {"marker": "o", "markersize": 5, "color": COLOURS[subject]}
    return {**line, "fillstyle": "none", "linestyle": ":"} if subject == "bare" else line


def _bars(axis: Any, results: Results, store: str) -> None:
    """Requests a second of each page, with the quartiles."""
    works = results.works("load", store)
    subjects = [name for name in SUBJECTS if any(name in done for done in works.values())]
    width = 0.8 / max(1, len(subjects))
    for place, subject in enumerate(subjects):
        for row, work in enumerate(works):
            spread = results.spread(Series("load", store, subject, work))
            if spread is None:
                continue
            error = [[spread.median - spread.low], [spread.high - spread.median]]
            axis.bar(
                row + (place - (len(subjects) - 1) / 2) * width,
                spread.median,
                width * 0.9,
                yerr=error,
                ecolor=INK,
                edgecolor=COLOURS[subject],
                color="none" if subject == "bare" else COLOURS[subject],
            )
    axis.set_xticks(range(len(works)), works)
    axis.set_ylabel("requests a second")
    axis.set_title(f"two gunicorn workers, {store}", loc="left", fontweight="bold")
    axis.grid(axis="y")


FIGURES: dict[str, Callable[[Results], Any]] = {"calls": _hits, "growth": _shapes}
