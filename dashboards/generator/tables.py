"""Tables: the answers of several queries, one row for each set of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from .panels import Panel, Steps, describe

__all__ = ["Column", "Table"]

#: What Prometheus's answers have, and no reader wants.
_UNWANTED: Final = ("Time",)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        field: A label, or ``Value #A`` for the answers of the first query (``Value`` if there
            is only one).
        title: What stands above it.
        unit: Grafana's id of the unit; ``None`` for text.
        steps: Where good ends and bad begins; the text has the colour.
    """

    field: str
    title: str
    unit: str | None = None
    steps: Steps = ()


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """Rows with the labels and the values of now.

    Attributes:
        columns: From left to right.
        sorted_by: The title of the column that it is sorted by.
        descending: Whether the highest come first.
    """

    columns: tuple[Column, ...]
    sorted_by: str
    descending: bool = False

    def builder(self) -> Builder[model.Panel]:
        order = common.TableSortByFieldState().display_name(self.sorted_by).desc(self.descending)
        panel = (
            describe(table.Panel(), self)
            .unit(self.unit)
            .cell_height(options.TableCellHeight.SM)
            .cell_options(options.TableAutoCellOptions())
            .filterable(True)
            .sort_by([order])
        )
        if len(self.queries) > 1:
            panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        panel.with_transformation(self._organized())
        for column in self.columns:
            if properties := _look(column):
                panel.override_by_name(column.title, properties)
        return panel

    def _organized(self) -> model.DataTransformerConfig:
        return model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(_UNWANTED, True),
                "indexByName": {each.field: place for place, each in enumerate(self.columns)},
                "renameByName": {each.field: each.title for each in self.columns},
            },
        )


def _look(column: Column) -> list[model.DynamicConfigValue]:
    if column.unit is None:
        return []
    # A gap in one column is no reason to say why the whole table would be empty.
    properties = [
        model.DynamicConfigValue("unit", column.unit),
        model.DynamicConfigValue("noValue", "-"),
    ]
    if column.steps:
        steps = [{"value": bound, "color": colour} for bound, colour in column.steps]
        properties += [
            model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}),
            model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties
