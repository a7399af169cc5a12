"""PromQL for the panels: series that are known to exist, narrowed by the dashboard's variables.

A name or a label that is neither in the metric catalogue nor in the recording rules is a
:class:`LookupError` when the dashboards are written, not an empty panel in somebody's browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from flask_caching_instrumentation.metrics.catalogue import CATALOGUE, full_name

from .rules import labels_of_recorded

__all__ = [
    "VARIABLES",
    "AnyOf",
    "Not",
    "Query",
    "alerts",
    "buckets",
    "choices",
    "increase",
    "mean_per_second",
    "or_zero",
    "per_second",
    "quantile",
    "recorded",
    "series",
    "share",
    "total",
]

NAMESPACE: Final = "flask_caching"

#: Labels that have a variable of the same name, in the order of the variables.
VARIABLES: Final = ("job", "instance", "cache")

#: What Prometheus adds to the labels of everything it scrapes.
_SCRAPED: Final = ("job", "instance")

#: Series of a histogram, and the labels they have besides the family's.
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {"_bucket": ("le",), "_count": (), "_sum": ()}


@dataclass(frozen=True)
class AnyOf:
    """Matches a label that has one of several values."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """Matches a label that has another value."""

    value: str


Wanted: TypeAlias = str | AnyOf | Not


@dataclass(frozen=True)
class Query:
    """What a panel asks Prometheus.

    Attributes:
        expr: The expression.
        legend: What a series is called, with ``{{label}}`` for the value of a label.
        form: ``range`` for a course over time, ``instant`` for now, ``table`` for now with a
            column for each label, ``heatmap`` for the course of a histogram.
        exemplar: Whether to ask for the traces that the buckets are examples of.
    """

    expr: str
    legend: str
    form: Literal["range", "instant", "table", "heatmap"] = "range"
    exemplar: bool = False


def series(name: str, **labels: Wanted) -> str:
    """A selector: the series called ``name``, as far as the variables and ``labels`` let them in.

    Args:
        name: The family without the namespace; of a histogram, with the part that is meant.
        **labels: What labels must be.

    Raises:
        LookupError: The catalogue has no such series, or it has no such label.
    """
    return _selector(full_name(NAMESPACE, name), _labels_of(name), VARIABLES, labels)


def recorded(name: str) -> str:
    """A selector for a recorded series, as far as the variables let it in.

    Raises:
        LookupError: ``recording.yml`` has no such rule.
    """
    return _selector(name, labels_of_recorded(name), VARIABLES, {})


def alerts() -> str:
    """A selector for those of our alerts that fire.

    One that is about all jobs has no ``job``, and is for everybody.
    """
    return 'ALERTS{job=~"$job|", alertname=~"FlaskCaching.*", alertstate="firing"}'


def choices(variable: str, name: str) -> str:
    """What Grafana fills a variable with: values of the label, as far as earlier variables let."""
    earlier = VARIABLES[: VARIABLES.index(variable)]
    selector = _selector(full_name(NAMESPACE, name), _labels_of(name), earlier, {})
    return f"label_values({selector}, {variable})"


def total(name: str, by: tuple[str, ...] = (), **labels: Wanted) -> str:
    """A gauge, added up."""
    return _sum(name, by, series(name, **labels))


def per_second(name: str, by: tuple[str, ...] = (), **labels: Wanted) -> str:
    """By how much a counter grows each second."""
    return _sum(name, by, f"rate({series(name, **labels)}[$__rate_interval])")


def mean_per_second(name: str, by: tuple[str, ...] = (), **labels: Wanted) -> str:
    """The same, over the whole time that the dashboard shows."""
    return _sum(name, by, f"rate({series(name, **labels)}[$__range])")


def increase(name: str, by: tuple[str, ...] = (), **labels: Wanted) -> str:
    """By how much a counter grew since about the last point of the graph."""
    return _sum(name, by, f"increase({series(name, **labels)}[$__rate_interval])")


def buckets(name: str, **labels: Wanted) -> str:
    """How many observations of a histogram fell into each bucket since about the last column."""
    return increase(f"{name}_bucket", ("le",), **labels)


def quantile(fraction: float, name: str, by: tuple[str, ...] = (), **labels: Wanted) -> str:
    """What ``fraction`` of a histogram's observations stayed below; absent if there were none.

    Prometheus answers NaN for a histogram without observations, which no comparison lets pass.
    """
    rates = per_second(f"{name}_bucket", ("le", *by), **labels)
    return f"histogram_quantile({fraction}, {rates}) >= 0"


def share(part: str, whole: str) -> str:
    """A ratio that is absent, not 0, while there is nothing to have a share of."""
    return f"{part}\n/ ({whole} > 0)"


def or_zero(expr: str, witness: str) -> str:
    """``expr``, and 0 where it is absent though ``witness`` exists.

    For series that begin with their first event. Where nothing is scraped there is nothing: that
    is what tells "none" from "not known".
    """
    return f"{expr}\nor 0 * {witness}"


def _labels_of(name: str) -> tuple[str, ...]:
    for family in CATALOGUE:
        if family.kind != "histogram" and family.name == name:
            return (*_SCRAPED, *family.labels)
        for part, more in _PARTS.items():
            if family.kind == "histogram" and family.name + part == name:
                return (*_SCRAPED, *family.labels, *more)
    raise LookupError(f"the metric catalogue has no series {name!r}")


def _sum(name: str, by: tuple[str, ...], expr: str) -> str:
    _check(name, by, _labels_of(name))
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def _selector(
    name: str, known: tuple[str, ...], variables: tuple[str, ...], labels: Mapping[str, Wanted]
) -> str:
    _check(name, tuple(labels), known)
    matchers = [f'{each}=~"${each}"' for each in variables if each in known]
    matchers += [_matcher(label, wanted) for label, wanted in labels.items()]
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def _matcher(label: str, wanted: Wanted) -> str:
    if isinstance(wanted, AnyOf):
        return f'{label}=~"{"|".join(wanted.values)}"'
    if isinstance(wanted, Not):
        return f'{label}!="{wanted.value}"'
    return f'{label}="{wanted}"'


def _check(name: str, labels: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise LookupError(f"{name} has no label {', '.join(unknown)}; it has {', '.join(known)}")
