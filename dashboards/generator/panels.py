"""The kinds of panels: what each says of itself, and how Grafana draws it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, Self, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from .queries import Query

__all__ = [
    "DATASOURCE",
    "SECONDS_PER_SECOND",
    "Graph",
    "Heat",
    "Number",
    "Panel",
    "States",
    "Steps",
    "describe",
    "falling",
    "limits",
    "rising",
]

#: Whatever the variable ``datasource`` says.
DATASOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

#: Grafana writes the prefix: 250 ms/s.
SECONDS_PER_SECOND: Final = "si:s/s"

#: Values from which on a colour holds, the lowest first; the first of them has no bound.
Steps: TypeAlias = tuple[tuple[float | None, str], ...]

Dash: TypeAlias = Literal["dash", "dot"]

PLAIN: Final[Steps] = ((None, "green"),)


def rising(worry: float, bad: float | None = None) -> Steps:
    """Of what should be small: from where it is yellow, and from where red."""
    return (*PLAIN, (worry, "yellow" if bad else "red"), *(((bad, "red"),) if bad else ()))


def falling(bad: float, worry: float) -> Steps:
    """Of what should be large: below what it is red, and below what yellow."""
    return ((None, "red"), (bad, "yellow"), (worry, "green"))


@dataclass(frozen=True, kw_only=True)
class Panel(ABC):
    """What every panel says of itself.

    Attributes:
        title: Its title.
        meaning: What it shows and when to worry, in a sentence or two.
        unit: Grafana's id of the unit.
        empty: What is shown where there are no values: why there are none.
        queries: What it asks; the first is A, the second B.
        width: In columns, of which there are 24.
        height: In rows of the grid.
        least: The lower end of the axis; ``None`` where it follows the values.
        most: The upper end.
        steps: Where good ends and bad begins.
    """

    title: str
    meaning: str
    unit: str
    empty: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    least: float | None = 0
    most: float | None = None
    steps: Steps = PLAIN

    @abstractmethod
    def builder(self) -> Builder[model.Panel]:
        """What builds it."""


@dataclass(frozen=True, kw_only=True)
class Graph(Panel):
    """Lines over time.

    Attributes:
        stacked: Whether the lines are parts of a whole.
        logarithmic: Whether a step of the axis is a factor of ten.
        dashes: How the lines of a query are drawn, by its letter; the others are solid.
        colours: What colour the line of a name has.
        listed: Whether the legend is a table with the last value and the highest.
    """

    stacked: bool = False
    logarithmic: bool = False
    dashes: Mapping[str, Dash] = field(default_factory=dict[str, Dash])
    colours: Mapping[str, str] = field(default_factory=dict[str, str])
    listed: bool = True

    def builder(self) -> Builder[model.Panel]:
        panel = (
            describe(timeseries.Panel(), self)
            .unit(self.unit)
            .thresholds(limits(self.steps))
            .line_width(1)
            .fill_opacity(25 if self.stacked else 8)
            .show_points(options.VisibilityMode.NEVER)
            .tooltip(
                common.VizTooltipOptions()
                .mode(options.TooltipDisplayMode.MULTI)
                .sort(options.SortOrder.DESCENDING)
            )
            .legend(self._legend())
        )
        if self.least is not None:
            panel.min(self.least)
        if self.most is not None:
            panel.max(self.most)
        if len(self.steps) > 1:
            dashed = options.GraphThresholdsStyleMode.DASHED
            panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
        if self.stacked:
            panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
        if self.logarithmic:
            log = common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10)
            panel.scale_distribution(log)
        for letter, fill in self.dashes.items():
            style = {"fill": fill, "dash": [2, 6] if fill == "dot" else [8, 6]}
            panel.override_by_query(letter, [model.DynamicConfigValue("custom.lineStyle", style)])
        for name, colour in self.colours.items():
            fixed = {"mode": "fixed", "fixedColor": colour}
            panel.override_by_name(name, [model.DynamicConfigValue("color", fixed)])
        return panel

    def _legend(self) -> common.VizLegendOptions:
        legend = common.VizLegendOptions().placement(options.LegendPlacement.BOTTOM)
        legend.show_legend(True).display_mode(options.LegendDisplayMode.LIST)
        if self.listed:
            legend.display_mode(options.LegendDisplayMode.TABLE).calcs(["lastNotNull", "max"])
            legend.sort_by("Last *").sort_desc(True)
        return legend


@dataclass(frozen=True, kw_only=True)
class Number(Panel):
    """One value, of now.

    Attributes:
        words: What is written in place of a value.
    """

    width: int = 4
    height: int = 4
    words: Mapping[str, str] = field(default_factory=dict[str, str])

    def builder(self) -> Builder[model.Panel]:
        panel = (
            describe(stat.Panel(), self)
            .unit(self.unit)
            .thresholds(limits(self.steps))
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .graph_mode(options.BigValueGraphMode.NONE)
            .color_mode(options.BigValueColorMode.VALUE)
            .text_mode(options.BigValueTextMode.VALUE)
        )
        if self.most is not None:
            panel.min(self.least or 0).max(self.most)
        if self.words:
            panel.mappings([_words(self.words)])
        return panel


@dataclass(frozen=True, kw_only=True)
class States(Panel):
    """Bars over time, one for each series, coloured by state.

    Attributes:
        words: The name of each state, by its value.
    """

    words: Mapping[str, str]

    def builder(self) -> Builder[model.Panel]:
        legend = common.VizLegendOptions().placement(options.LegendPlacement.BOTTOM)
        return (
            describe(statetimeline.Panel(), self)
            .unit(self.unit)
            .thresholds(limits(self.steps))
            .color_scheme(
                dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS),
            )
            .mappings([_words(self.words)])
            .merge_values(True)
            .show_value(options.VisibilityMode.AUTO)
            .row_height(0.8)
            .fill_opacity(70)
            .legend(legend.show_legend(True).display_mode(options.LegendDisplayMode.LIST))
        )


@dataclass(frozen=True, kw_only=True)
class Heat(Panel):
    """A histogram over time: the darker a cell, the more observations fell into its bucket."""

    def builder(self) -> Builder[model.Panel]:
        return (
            describe(heatmap.Panel(), self)
            .calculate(False)
            .y_axis(
                heatmap.YAxisConfig()
                .unit(self.unit)
                .axis_placement(options.AxisPlacement.LEFT)
                .reverse(False)
            )
            .rows_frame(heatmap.RowsHeatmapOptions().layout(options.HeatmapCellLayout.AUTO))
            .cell_values(heatmap.CellValues().unit(units.Short))
            .cell_gap(1)
            .filter_values(heatmap.FilterValueRange().le(1e-9))
            .color(
                heatmap.HeatmapColorOptions()
                .mode(HeatmapColorMode.SCHEME)
                .scheme("Oranges")
                .fill("dark-orange")
                .scale(HeatmapColorScale.EXPONENTIAL)
                .exponent(0.5)
                .steps(64)
                .reverse(False)
            )
            .mode(options.TooltipDisplayMode.SINGLE)
            .show_y_histogram()
            .show_legend()
        )


class _Described(Protocol):
    """What the builders of all kinds have in common; the library has no name for it."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: model.DataSourceRef) -> Self: ...
    def height(self, h: int) -> Self: ...
    def span(self, w: int) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def with_target(self, target: Builder[Dataquery]) -> Self: ...


B = TypeVar("B", bound=_Described)


def describe(panel: B, said: Panel) -> B:
    """Tell a builder what panels of every kind say."""
    panel.title(said.title).description(said.meaning).datasource(DATASOURCE)
    panel.span(said.width).height(said.height).no_value(said.empty)
    for letter, query in zip("ABCDEFGH", said.queries, strict=False):
        panel.with_target(_target(letter, query))
    return panel


def limits(steps: Steps) -> dashboard.ThresholdsConfig:
    """Steps as Grafana has them."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=bound, color=colour) for bound, colour in steps])
    )


def _target(letter: str, query: Query) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .ref_id(letter)
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
        .exemplar(query.exemplar)
    )
    if query.form == "heatmap":
        return target.range().format(PromQueryFormat.HEATMAP)
    if query.form == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    target.format(PromQueryFormat.TIME_SERIES)
    return target.range() if query.form == "range" else target.instant()


def _words(words: Mapping[str, str]) -> model.ValueMap:
    return model.ValueMap(
        {value: model.ValueMappingResult(text=text) for value, text in words.items()}
    )
