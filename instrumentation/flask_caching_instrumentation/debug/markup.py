"""What templates show with: hostile text, numbers with their units, and small plots."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

from ..inspection import text
from ..inspection.model import CacheOverview

__all__ = ["FILTERS", "bar", "ratio_label", "raw", "sparkline", "spread"]

#: Between a number and its unit; no line ends there.
_NARROW: Final = "\N{NARROW NO-BREAK SPACE}"

_UNKNOWN: Final = Markup('<span class="unknown" title="not known">\N{EN DASH}</span>')


def raw(shown: Any, limit: int = 300, lines: bool = False) -> Markup:
    """Hostile text: escaped, apart from its surroundings, what is not seen as itself marked.

    Args:
        shown: The text.
        limit: Characters to show, about.
        lines: Whether line feeds and tabs stay what they are.
    """
    whole = str(shown)
    parts: list[Markup] = []
    read = 0
    for piece, hidden, length in _pieces(whole[:limit], limit, lines):
        read += length
        parts.append(_ESCAPED.format(piece) if hidden else escape(piece))
    if read < len(whole):
        parts.append(Markup('<span class="cut">… ({:,} characters)</span>').format(len(whole)))
    if not whole:
        parts.append(Markup('<span class="cut">(empty)</span>'))
    return Markup('<bdi dir="ltr" class="raw">{}</bdi>').format(Markup("").join(parts))


_ESCAPED: Final = Markup('<span class="esc">{}</span>')


def _pieces(shown: str, limit: int, lines: bool) -> Iterator[tuple[str, bool, int]]:
    """Runs of ``shown`` as they are seen, until they are ``limit`` long.

    Yields:
        A run, whether it had to be rewritten to be seen, and how many characters it stands for.
    """
    if shown.isascii() and shown.isprintable():
        yield shown, False, len(shown)
        return
    run, hidden, length, used = "", False, 0, 0
    for cluster in _clusters(shown):
        seen = text.visible(cluster, lines=lines)
        used += len(seen)
        if used > limit and run:
            break
        if (seen != cluster) is not hidden:
            if run:
                yield run, hidden, length
            run, hidden, length = "", not hidden, 0
        run += seen
        length += len(cluster)
    if run:
        yield run, hidden, length


def _clusters(shown: str) -> Iterator[str]:
    """Characters, each with the marks that go on top of it: as many as are to be told apart."""
    cluster = ""
    for character in shown:
        goes_on = unicodedata.category(character) in ("Mn", "Me") and len(cluster) < _MOST_MARKS
        if cluster and not goes_on:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


#: Characters of one cluster; those after them are a cluster, and so rewritten, again.
_MOST_MARKS: Final = 8


def _quantity(shown: str) -> Markup:
    """A number of :mod:`..inspection.text` in the characters that a page has."""
    if shown == "-":
        return _UNKNOWN
    return escape(shown.replace(" us", " µs").replace(" ", _NARROW))


def number(shown: int | None) -> Markup:
    """``1,048,576``."""
    return _quantity(text.count(shown))


def percent(shown: float | None) -> Markup:
    """``93.4 %``."""
    return _quantity(text.percent(shown))


def seconds(shown: float | None) -> Markup:
    """``12.3 ms``."""
    return _UNKNOWN if shown is None else _quantity(text.duration(shown))


def lifetime(shown: float | None) -> Markup:
    """``4m 10s``, or ``never`` for 0."""
    return _quantity(text.lifetime(shown))


def size(shown: float | None) -> Markup:
    """``1.5 kB``."""
    return _quantity(text.size(shown))


def moment(shown: float | None) -> Markup:
    """A Unix time as date and time of day."""
    if shown is None:
        return _UNKNOWN
    try:
        machine = datetime.fromtimestamp(shown, UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return escape(text.moment(shown))
    said = text.moment(shown)[:19]
    return Markup('<time datetime="{}">{}</time>').format(machine, said)


def ago(shown: float | None) -> Markup:
    """A Unix time as the time since then."""
    if shown is None:
        return _UNKNOWN
    since = max(0.0, time.time() - shown)
    said = "now" if since < 1 else f"{_quantity(text.duration(float(int(since))))} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        _iso(shown), text.moment(shown), said
    )


def clock(shown: float) -> Markup:
    """A Unix time as the time of day."""
    said = text.moment(shown)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        _iso(shown), said, said[11:19] or said
    )


def _iso(shown: float) -> str:
    try:
        return datetime.fromtimestamp(shown, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return ""


def sentence(shown: str) -> str:
    """A sentence that begins with a capital letter and ends, unless it begins with code."""
    first = shown.partition(" ")[0]
    begun = f"{shown[:1].upper()}{shown[1:]}" if first.isalpha() and first.islower() else shown
    return begun if begun.endswith((".", "?", "!")) else f"{begun}."


# Plots. Colours and strokes are the style sheet's.

#: Points of the longest line.
_MOST_POINTS: Final = 90


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """A line of shares from 0 to 1, with gaps where nothing is known.

    Args:
        values: Oldest first.
        label: What it shows, for who cannot see it.
    """
    width, height = 240, 44
    values = _thinned(values)
    step = width / max(1, len(values) - 1)
    lines: list[Markup] = []
    run: list[str] = []
    # One more, to end the last run.
    for place, value in enumerate([*values, None]):
        if value is not None and math.isfinite(value):
            y = 2 + (height - 4) * (1 - min(1.0, max(0.0, value)))
            run.append(f"{place * step:.1f},{y:.1f}")
        elif run:
            # A point by itself is a line of no length, seen for its round ends.
            kind, points = ("line", run) if len(run) > 1 else ("point", [*run, *run])
            line = Markup('<polyline class="{}" points="{}"/>')
            lines.append(line.format(kind, " ".join(points)))
            run = []
    return Markup(
        '<svg class="sparkline" viewBox="-3 0 {} {}" preserveAspectRatio="none" role="img">'
        "<title>{}</title>"
        '<line class="grid" x1="0" x2="{}" y1="2" y2="2"/>'
        '<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>{}</svg>'
    ).format(width + 6, height, label, width, width, height - 2, height - 2, Markup("").join(lines))


def _thinned(values: Sequence[float | None]) -> Sequence[float | None]:
    """Values in at most so many points that a line through them is one: means of neighbours."""
    size = math.ceil(len(values) / _MOST_POINTS) or 1
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    known = [
        [value for value in group if value is not None and math.isfinite(value)] for group in groups
    ]
    return [sum(group) / len(group) if group else None for group in known]


def ratio_label(cache: CacheOverview) -> str:
    """The history of a hit ratio in words."""
    known = [value for value in cache.history if value is not None]
    if not known:
        return "No lookups"
    span = text.duration(cache.history_step_seconds * len(cache.history))
    return (
        f"Hit ratio of the last {span}: lowest {text.percent(min(known))}, highest "
        f"{text.percent(max(known))}, now {text.percent(known[-1])}"
    )


def bar(share: float | None, label: str) -> Markup:
    """A bar filled to a share from 0 to 1; empty if that is not known."""
    filled = 0.0 if share is None or not math.isfinite(share) else min(1.0, max(0.0, share))
    return Markup(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img">'
        '<title>{}</title><rect class="of" width="100" height="6"/>'
        '<rect class="part" width="{}" height="6"/></svg>'
    ).format(label, f"{filled * 100:.1f}")


#: Seconds at the ends of the scale of :func:`spread`.
_FASTEST: Final = 1e-6
_SLOWEST: Final = 10.0


def spread(low: float | None, middle: float | None, high: float | None, label: str) -> Markup:
    """Three durations on a logarithmic scale from 1 us to 10 s."""
    known = [value for value in (low, middle, high) if value is not None and value >= 0]
    if not known:
        return Markup("")
    places = [100 * _place(value) for value in known]
    return Markup(
        '<svg class="spread" viewBox="-2 0 104 8" preserveAspectRatio="none" role="img">'
        '<title>{}</title><line class="of" x1="0" x2="100" y1="4" y2="4"/>'
        '<line class="part" x1="{}" x2="{}" y1="4" y2="4"/></svg>'
    ).format(label, f"{min(places):.1f}", f"{max(max(places), min(places) + 0.1):.1f}")


def _place(value: float) -> float:
    scale = math.log10(_SLOWEST / _FASTEST)
    return min(1.0, max(0.0, math.log10(max(value, _FASTEST) / _FASTEST) / scale))


FILTERS: Final = {
    "ago": ago,
    "bar": bar,
    "clock": clock,
    "lifetime": lifetime,
    "moment": moment,
    "number": number,
    "percent": percent,
    "raw": raw,
    "seconds": seconds,
    "sentence": sentence,
    "size": size,
    "sparkline": sparkline,
}
