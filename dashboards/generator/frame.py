"""What all dashboards share: variables, links, and how panels fill the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from .annotations import marks
from .panels import DATASOURCE, Panel
from .queries import choices

__all__ = ["COLUMNS", "TAG", "Page", "Section"]

#: How wide Grafana's grid is.
COLUMNS: Final = 24

#: By which the dashboards find each other, and with which their uids begin.
TAG: Final = "flask-caching"

#: The series that each variable takes its values from: they exist from the first request on.
_CHOSEN_FROM: Final = (
    ("job", "Job", "build_info"),
    ("instance", "Instance", "build_info"),
    ("cache", "Cache", "lookups_total"),
)


@dataclass(frozen=True)
class Section:
    """Panels that belong together.

    Attributes:
        title: What stands above them; ``None`` for those at the top.
        lines: The panels of each line, from left to right; they fill it, and are equally high.
    """

    title: str | None
    lines: Sequence[Sequence[Panel]]


@dataclass(frozen=True)
class Page:
    """One dashboard.

    Attributes:
        name: Of its file, without the ending; the end of its uid.
        title: Its title.
        about: What it answers.
        sections: What is on it.
    """

    name: str
    title: str
    about: str
    sections: Sequence[Section]

    def build(self) -> model.Dashboard:
        """The dashboard as Grafana reads it.

        Raises:
            ValueError: A line of panels does not fill the grid.
        """
        board = (
            dashboard.Dashboard(self.title)
            .uid(f"{TAG}-{self.name}")
            .description(self.about)
            .tags([TAG])
            .timezone("browser")
            .editable()
            .refresh("30s")
            .time("now-6h", "now")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(_others())
            .with_variable(_datasource())
        )
        for name, label, family in _CHOSEN_FROM:
            board.with_variable(_choice(name, label, choices(name, family)))
        for section in self.sections:
            _add(board, section)
        built = board.build()
        built.annotations.list_val = marks()
        for variable in built.templating.list_val or []:
            # Only variables of intervals have these; the library writes them for all.
            variable.auto = variable.auto_min = variable.auto_count = None
        for number, panel in enumerate(built.panels or [], start=1):
            panel.id_val = number
        return built


def _add(board: dashboard.Dashboard, section: Section) -> None:
    if section.title is not None:
        board.with_row(dashboard.Row(section.title))
    for line in section.lines:
        titles = [panel.title for panel in line]
        # The library would let a panel stick out, or leave a hole.
        if sum(panel.width for panel in line) != COLUMNS:
            raise ValueError(f"the line does not have the width of the grid: {titles}")
        if len({panel.height for panel in line}) != 1:
            raise ValueError(f"the panels of the line are not equally high: {titles}")
        for panel in line:
            board.with_panel(panel.builder())


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Flask-Caching")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)
        .keep_time(True)
    )


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        # As Grafana's own editor writes it; 1 is a query for values of a label.
        .query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
