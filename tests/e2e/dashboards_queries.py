"""What dashboards and rules ask of Prometheus, read from their files as Grafana would read them."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from web_servers import PrometheusServer, Series

__all__ = [
    "DASHBOARDS",
    "GRAFANA",
    "RULES",
    "Expression",
    "Variables",
    "ask",
    "dashboards",
    "expressions_of_dashboard",
    "expressions_of_rules",
    "label_values",
    "panels",
    "selectors",
    "shorten",
]

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
GRAFANA = DASHBOARDS / "grafana"
RULES = DASHBOARDS / "prometheus"

_DURATION = re.compile(r"\b(\d+)([smhdw])\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Expression:
    """One question to Prometheus.

    Attributes:
        where: The dashboard and the panel, or the file and the rule, to be named in a message.
        kind: ``panel``, ``annotation``, ``record`` or ``alert``.
        text: PromQL, with Grafana's variables still in it.
        instant: Whether it is asked for one moment alone, in a panel: the last one shown.
        panel: The panel's id; 0 if it is of none.
        ref: Which of the panel's queries it is.
        legend: What each series of the answer is called, with ``{{label}}``.
        colour: That of an annotation.
    """

    where: str
    kind: str
    text: str
    instant: bool = False
    panel: int = 0
    ref: str = ""
    legend: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Variables:
    """What Grafana puts in place of variables.

    Attributes:
        chosen: Values by variable; none chosen means All, whose value is ``.*``.
        scrape_seconds: The data source's scrape interval.
        step_seconds: The panel's step, ``$__interval``.
        range_seconds: From the left of the picture to its right, ``$__range``.
    """

    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scrape_seconds: int = 1
    step_seconds: int = 1
    range_seconds: int = 60

    def fill_in(self, text: str) -> str:
        """``text`` with every variable replaced.

        Raises:
            KeyError: If Grafana does not know one of them.
        """
        return re.sub(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)", self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        name = found[1] or found[2]
        rate = max(self.step_seconds + self.scrape_seconds, 4 * self.scrape_seconds)
        built_in = {
            "__rate_interval": f"{rate}s",
            "__interval": f"{self.step_seconds}s",
            "__interval_ms": f"{self.step_seconds * 1000}",
            "__range": f"{self.range_seconds}s",
            "__range_s": f"{self.range_seconds}",
            "datasource": "prometheus",
        }
        if name in built_in:
            return built_in[name]
        if name not in ("job", "instance", "cache"):
            raise KeyError(f"no variable ${name} of Grafana's or the dashboard's")
        values = self.chosen.get(name)
        if not values:
            return ".*"
        # Escaped once for the regular expression, and its backslashes for the string it is in.
        escaped = [re.sub(r"([.^$*+?()|\[\]{}\\])", r"\\\\\1", value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def ask(
    prometheus: PrometheusServer,
    expression: Expression,
    variables: Variables,
    start: float,
    end: float,
) -> dict[Series, list[tuple[float, float]]]:
    """The answer as Grafana shows it: moments (Unix time) and values, without NaN."""
    text = variables.fill_in(expression.text)
    if expression.instant:
        now = prometheus.query(text, end)
        found = {series: [(end, value)] for series, value in now.items()}
    else:
        found = prometheus.query_range(text, start, end, variables.step_seconds)
    return {
        series: real
        for series, points in found.items()
        if (real := [point for point in points if not math.isnan(point[1])])
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name without ``.json``."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels; those of a row that is folded up are inside of the row."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels") or []


def expressions_of_dashboard(name: str, dashboard: Mapping[str, Any]) -> Iterator[Expression]:
    """What its panels and its annotations ask."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Expression(
                f"{name}: {panel['title']} ({target['refId']})",
                "panel",
                target["expr"],
                bool(target["instant"]),
                panel["id"],
                target["refId"],
                target["legendFormat"],
            )
    for each in dashboard["annotations"]["list"]:
        where = f"{name}: {each['name']}"
        yield Expression(where, "annotation", each["expr"], colour=each["iconColor"])


def expressions_of_rules(path: Path) -> Iterator[Expression]:
    """What the rules of a file ask."""
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group["rules"]:
            kind = "record" if "record" in rule else "alert"
            yield Expression(f"{path.name}: {rule[kind]}", kind, rule["expr"])


def label_values(query: str) -> tuple[str, str]:
    """The selector and the label of ``label_values(selector, label)``."""
    found = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", query.strip())
    if found is None:
        raise ValueError(f"not label_values(selector, label): {query}")
    return found[1], found[2]


def selectors(text: str) -> set[str]:
    """Every ``name{...}`` of ours in an expression, and every name that stands alone."""
    names = r"(?:flask_caching_|job_cache\w*:flask_caching_)[\w:]+"
    found = {match[0] for match in re.finditer(names + r"(?:\{[^}]*\})?", text)}
    return {each for each in found if not each.endswith("_")}


def shorten(rules: Mapping[str, Any], factor: int = 60) -> dict[str, Any]:
    """Rules whose every duration is ``factor`` times shorter, but for those of ``offset``.

    Args:
        rules: A file of rules.
        factor: How many times.
    """
    shortened: dict[str, Any] = copy.deepcopy(dict(rules))
    for group in shortened["groups"]:
        if "interval" in group:
            group["interval"] = _shorter(group["interval"], factor)
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"\[[^\]]+\]", lambda found: _shorter(found[0], factor), rule["expr"]
            )
            for name in ("for", "keep_firing_for"):
                if name in rule:
                    rule[name] = _shorter(rule[name], factor)
    return shortened


def _shorter(text: str, factor: int) -> str:
    """Each duration in ``text`` divided by ``factor``, in milliseconds."""

    def divide(found: re.Match[str]) -> str:
        return f"{int(found[1]) * _SECONDS[found[2]] * 1000 // factor}ms"

    return _DURATION.sub(divide, text)
