"""What is marked on every graph: starts, clears and alerts."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import dashboard as model

from .panels import DATASOURCE
from .queries import alerts, series

__all__ = ["marks"]

#: Long enough for two scrapes, and for the distance between the points that Grafana asks for.
_WINDOW: Final = "$__rate_interval"


class _Marks(model.AnnotationQuery):
    """An annotation of Prometheus, which has fields that the library does not know."""

    def __init__(self, name: str, colour: str, expr: str, title: str, tags: str) -> None:
        super().__init__(name, datasource=DATASOURCE, icon_color=colour, expr=expr)
        self.title = title
        self.tags = tags

    def to_json(self) -> dict[str, object]:
        more = {"step": "60s", "tagKeys": self.tags, "titleFormat": self.title, "textFormat": ""}
        return super().to_json() | more


def marks() -> list[model.AnnotationQuery]:
    """The annotations, in the order of their switches."""
    return [
        _Marks("Starts", "blue", _starts(), "{{job}} was started", "job"),
        _Marks("Clears", "purple", _clears(), "Cache {{cache}} was cleared", "job,cache"),
        _Marks("Alerts", "red", alerts(), "{{alertname}}", "job,cache,target,severity"),
    ]


def _starts() -> str:
    """Instances whose counters began anew, and those that were not there before."""
    counters, builds = series("lookups_total"), series("build_info")
    return (
        f"count by (job) (\n"
        f"max by (job, instance) (resets({counters}[{_WINDOW}])) > 0\n"
        f"or\n"
        f"group by (job, instance) ({builds})\n"
        f"unless group by (job, instance) ({builds} offset {_WINDOW}))"
    )


def _clears() -> str:
    """Clears that were counted, and the first of a process, with which its count begins."""
    clears = series("operation_duration_seconds_count", operation="clear", outcome="ok")
    return (
        f"sum by (job, cache) (\n"
        f"increase({clears}[{_WINDOW}]) > 0\n"
        f"or\n"
        f"({clears} unless {clears} offset {_WINDOW}))"
    )
