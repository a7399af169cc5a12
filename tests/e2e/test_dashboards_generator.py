"""The dashboards: what the generator makes, complete, and asking for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("grafana_foundation_sdk")

from grafana_foundation_sdk.models import units

from dashboards.generator import FOLDER, PAGES, queries, render, rules
from dashboards.generator.__main__ import main
from dashboards.generator.frame import Page, Section
from dashboards.generator.panels import SECONDS_PER_SECOND, Number
from flask_caching_instrumentation.metrics.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]

DASHBOARDS: Mapping[str, dict[str, Any]] = {
    page.name: json.loads((FOLDER / f"{page.name}.json").read_text("utf-8")) for page in PAGES
}

#: Series by name, with the labels that may be narrowed by a variable, and the family of each.
SERIES: Mapping[str, tuple[str, set[str]]] = {
    f"flask_caching_{family.name}{part}": (family.name, {"job", "instance", *family.labels})
    for family in CATALOGUE
    for part in (("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",))
}

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool (Debian: prometheus) is missing"
)


class Shown(NamedTuple):
    """A panel, and where it is."""

    page: str
    json: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.page}: {self.json['title']}"

    @property
    def exprs(self) -> list[str]:
        return [target["expr"] for target in self.json["targets"]]

    @property
    def unit(self) -> str:
        if self.json["type"] == "heatmap":
            return str(self.json["options"]["yAxis"]["unit"])
        return str(self.json["fieldConfig"]["defaults"]["unit"])


PANELS = [
    Shown(name, panel)
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]

TABLES = [panel for panel in PANELS if panel.json["type"] == "table"]
DRAWN = [panel for panel in PANELS if panel.json["type"] != "table"]
RATIOS = [panel for panel in DRAWN if panel.unit == "percentunit"]

panels = pytest.mark.parametrize("panel", PANELS, ids=str)
boards = pytest.mark.parametrize("name", DASHBOARDS)


def everything_asked() -> Iterator[tuple[str, str]]:
    """Every expression, with where it stands."""
    for panel in PANELS:
        for target in panel.json["targets"]:
            yield f"{panel} {target['refId']}", target["expr"]
    for name, board in DASHBOARDS.items():
        for annotation in board["annotations"]["list"]:
            yield f"{name}: annotation {annotation['name']}", annotation["expr"]
        for variable in board["templating"]["list"][1:]:
            asked = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
            assert asked
            yield f"{name}: variable {variable['name']}", asked[1]


def filled_in(expr: str) -> str:
    """An expression as Grafana would send it, with *All* chosen everywhere."""
    values = {
        "$__rate_interval": "5m",
        "$__range": "6h",
        "$job": ".*",
        "$instance": ".*",
        "$cache": ".*",
    }
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def selectors(expr: str) -> list[tuple[str, dict[str, str]]]:
    """The series that an expression names, each with its matchers."""
    found = re.findall(r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})", expr)
    matcher = re.compile(r'(\w+)(=~|!=|!~|=)"([^"]*)"')
    return [
        (name, {label: how + value for label, how, value in matcher.findall(matchers)})
        for name, matchers in found
    ]


def expr_of(page: str, title: str, letter: str = "A") -> str:
    """What a panel asks."""
    (panel,) = (each for each in PANELS if each.page == page and each.json["title"] == title)
    (found,) = (each["expr"] for each in panel.json["targets"] if each["refId"] == letter)
    return found


# The generator


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_committed_is_what_the_generator_makes(page: Page) -> None:
    """Byte for byte; run ``python -m dashboards.generator`` if this fails."""
    assert (FOLDER / f"{page.name}.json").read_bytes() == render(page).encode()


def test_a_dashboard_is_the_same_each_time_it_is_made() -> None:
    """Another process, with other hashes of strings, makes the same bytes."""
    code = "from dashboards.generator import *; print(*map(render, PAGES), sep='', end='')"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'instrumentation'}", "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert made == {"".join(map(render, PAGES)).encode()}


def test_check_names_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--check`` fails for a file that is changed, missing or left over, and writes nothing."""
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    capsys.readouterr()

    edited, missing, left_over = (tmp_path / f"{name}.json" for name in ("keys", "load", "old"))
    edited.write_bytes(edited.read_bytes().replace(b"\n", b"\r\n"))
    missing.unlink()
    left_over.write_text("{}")
    assert main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == [str(edited), str(missing), str(left_over)]
    assert not missing.exists()

    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: queries.series("lookup_total"), "no series 'lookup_total'"),
        (lambda: queries.series("lookups_total", outcome="hit"), "no label outcome"),
        (lambda: queries.series("load_duration_seconds"), "no series"),
        (lambda: queries.series("lookups_total_bucket"), "no series"),
        (lambda: queries.per_second("lookups_total", ("operation",)), "no label operation"),
        (lambda: queries.recorded("job_cache:hit_ratio"), "no rule"),
        (lambda: rules.alerting("FlaskCachingSlowBackend", 0.06), "not with 0.06"),
        (lambda: rules.alerting("FlaskCachingSlow", 0.05), "not with 0.05"),
    ],
)
def test_what_does_not_exist_cannot_be_asked_for(wrong: Any, message: str) -> None:
    """A renamed family, label, rule or threshold fails the generator."""
    with pytest.raises(LookupError, match=re.escape(message)):
        wrong()


def test_a_line_that_does_not_fill_the_grid_is_refused() -> None:
    """The generator leaves no holes."""
    panel = Number(title="a", meaning="", unit="none", empty="", queries=(), width=20)
    with pytest.raises(ValueError, match="width of the grid"):
        Page("a", "a", "", [Section(None, [[panel]])]).build()


# Dashboards


def test_there_are_three_dashboards_with_at_least_twenty_panels() -> None:
    """Overview, keys and load."""
    assert [board["uid"] for board in DASHBOARDS.values()] == [
        "flask-caching-overview",
        "flask-caching-keys",
        "flask-caching-load",
    ]
    assert len(PANELS) >= 20


@boards
def test_a_dashboard_can_be_imported_as_it_is(name: str) -> None:
    """It has no number of another Grafana's database, and asks for no data source to be named."""
    board = DASHBOARDS[name]
    assert not {"id", "version", "__inputs", "__requires"} & board.keys()
    assert board["editable"] is True
    assert (board["refresh"], board["timezone"]) == ("30s", "browser")
    assert board["time"] == {"from": "now-6h", "to": "now"}
    assert board["description"]


@boards
def test_variables(name: str) -> None:
    """Data source, then job, instance and cache, each with All, narrowed by those before it."""
    datasource, *choices = DASHBOARDS[name]["templating"]["list"]
    assert (datasource["name"], datasource["type"]) == ("datasource", "datasource")
    assert datasource["query"] == "prometheus"
    assert [each["name"] for each in choices] == ["job", "instance", "cache"]
    for place, each in enumerate(choices):
        assert each["multi"] is each["includeAll"] is True
        assert each["allValue"] == ".*"
        assert each["refresh"] == 2, "when the time range changes"
        assert each["datasource"]["uid"] == "${datasource}"
        query = each["query"]["query"]
        assert query.endswith(f", {each['name']})")
        earlier = [before["name"] for before in choices[:place]]
        assert re.findall(r"\$(\w+)", query) == earlier


@boards
def test_the_dashboards_link_to_each_other(name: str) -> None:
    """By their tag, and the choices and the time come along."""
    board = DASHBOARDS[name]
    (link,) = board["links"]
    assert (link["type"], link["tags"]) == ("dashboards", board["tags"])
    assert link["includeVars"] is link["keepTime"] is True


@boards
def test_identifiers_are_unique(name: str) -> None:
    """Of the panels of a dashboard, rows included, and of the queries of a panel."""
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


@boards
def test_panels_fill_the_grid(name: str) -> None:
    """Every cell of 24 columns is covered once, from the top to the last line."""
    covered: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        covered.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    lines = max(y for _, y in covered) + 1
    assert covered == Counter((x, y) for x in range(24) for y in range(lines))


# Panels


@panels
def test_a_panel_says_what_it_shows(panel: Shown) -> None:
    """A title, a unit that Grafana knows, a sentence of meaning, and why it may be empty."""
    known = {value for name, value in vars(units).items() if name[0].isupper()}
    assert panel.unit in {*known, SECONDS_PER_SECOND}
    assert panel.json["title"]
    assert len(panel.json["description"]) > 40
    assert panel.json["description"].endswith(".")
    assert panel.json["fieldConfig"]["defaults"]["noValue"].endswith((".", "?"))


def test_the_alerts_that_descriptions_name_exist() -> None:
    """And all but those about no number of ours are named by the panel that shows it coming."""
    alerts = (ROOT / "dashboards" / "prometheus" / "alerts.yml").read_text("utf-8")
    known = set(re.findall(r"- alert: (\w+)", alerts))
    told = " ".join(panel.json["description"] for panel in PANELS)
    named = set(re.findall(r"FlaskCaching\w+", told))
    assert named == known - {"FlaskCachingMetricsAbsent"}


@panels
def test_a_panel_asks_the_chosen_data_source(panel: Shown) -> None:
    """Itself, and with each of its queries."""
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel.json["datasource"] == chosen
    assert panel.json["targets"]
    for target in panel.json["targets"]:
        assert target["datasource"] == chosen


@panels
def test_a_legend_names_only_labels_that_are_left(panel: Shown) -> None:
    """Aggregation takes labels away; a legend with one of those would have a hole."""
    for target in panel.json["targets"]:
        assert target["legendFormat"]
        kept = {
            label
            for labels in re.findall(r"by \(([^)]*)\)", target["expr"])
            for label in labels.split(", ")
        }
        # A recorded series that is shown as it is has the labels of its rule.
        for name, _ in selectors(target["expr"]):
            if ":" in name:
                kept.update(rules.labels_of_recorded(name))
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept


@pytest.mark.parametrize("panel", DRAWN, ids=str)
def test_series_are_told_apart(panel: Shown) -> None:
    """No two lines of a graph have the same name: each label that is left is in the legend."""
    for target in panel.json["targets"]:
        outermost = re.match(r"(?:\w+\([\d.]+, )?\w+ by \(([^)]*)\)", target["expr"])
        if outermost:
            # Prometheus takes ``le`` away from a quantile; a heatmap's rows are it.
            left = set(outermost[1].split(", "))
            left -= {"le"} if "histogram_quantile" in target["expr"] else set()
            assert left == set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    formats = [target["legendFormat"] for target in panel.json["targets"]]
    assert len(set(formats)) == len(formats)


@pytest.mark.parametrize("panel", RATIOS, ids=str)
def test_a_ratio_goes_from_0_to_1(panel: Shown) -> None:
    """Its axis does not follow the values, which would make a mountain of a hill."""
    defaults = panel.json["fieldConfig"]["defaults"]
    assert (defaults["min"], defaults["max"]) == (0, 1)


@pytest.mark.parametrize("panel", TABLES, ids=str)
def test_a_table_s_columns_are_what_its_queries_answer(panel: Shown) -> None:
    """Every label and every value has a title, and it is sorted by one of the columns."""
    organize = panel.json["transformations"][-1]["options"]
    answered = {
        label
        for expr in panel.exprs
        for labels in re.findall(r"by \(([^)]*)\)", expr)
        for label in labels.split(", ")
    }
    letters = [target["refId"] for target in panel.json["targets"]]
    values = {f"Value #{letter}" for letter in letters} if len(letters) > 1 else {"Value"}
    assert organize["renameByName"].keys() == answered | values
    titles = organize["renameByName"].values()
    assert {each["displayName"] for each in panel.json["options"]["sortBy"]} <= set(titles)
    for override in panel.json["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in titles


# Expressions


NARROWED = {where: expr for where, expr in everything_asked() if "variable" not in where}


@pytest.mark.parametrize("expr", NARROWED.values(), ids=NARROWED.keys())
def test_selectors_are_narrowed_by_the_variables(expr: str) -> None:
    """Each series by every variable whose label it has."""
    found = selectors(expr)
    assert len(re.findall(r"flask_caching_\w+|ALERTS", expr)) == len(found) > 0
    for name, matchers in found:
        if name == "ALERTS":
            assert matchers["job"] == "=~$job|", "an alert of no job is everybody's"
            continue
        known = SERIES[name][1] if name in SERIES else set(rules.labels_of_recorded(name))
        narrowed = {label: f"=~${label}" for label in ("job", "instance", "cache")}
        assert narrowed.items() & matchers.items() == {
            (label, how) for label, how in narrowed.items() if label in known
        }
        assert matchers.keys() <= known | {"le"}


def test_every_family_is_on_a_panel() -> None:
    """Nothing is counted that nobody can see."""
    shown = {
        SERIES[name][0]
        for panel in PANELS
        for expr in panel.exprs
        for name, _ in selectors(expr)
        if name in SERIES
    }
    assert shown == {family.name for family in CATALOGUE}


def promtool(command: str, document: dict[str, Any], folder: Path) -> str:
    # What is JSON is YAML.
    file = folder / "file.yml"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        ["promtool", command, "rules", str(file)], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told


@needs_promtool
def test_prometheus_can_parse_every_expression(tmp_path: Path) -> None:
    """Of panels, annotations and variables, as rules, since promtool parses nothing else."""
    asked = list(everything_asked())
    recorded = [
        {"record": f"expression:{number}", "expr": filled_in(expr)}
        for number, (_, expr) in enumerate(asked)
    ]
    told = promtool("check", {"groups": [{"name": "all", "rules": recorded}]}, tmp_path)
    assert f"SUCCESS: {len(asked)} rules found" in told


class Case(NamedTuple):
    """Series, and what an expression makes of them."""

    why: str
    expr: str
    series: Mapping[str, str]
    samples: Mapping[str, float]


def lookups(result: str, instance: str = "a") -> str:
    return (
        f'flask_caching_lookups_total{{job="j",instance="{instance}",cache="c",source="view",'
        f'target="t",result="{result}"}}'
    )


def build(instance: str) -> str:
    return f'flask_caching_build_info{{job="j",instance="{instance}",version="3"}}'


def clear(outcome: str = "ok") -> str:
    return (
        'flask_caching_operation_duration_seconds_count{job="j",instance="a",cache="c",'
        f'operation="clear",outcome="{outcome}"}}'
    )


def breaker(state: str, instance: str = "a") -> str:
    return f'flask_caching_breaker_state{{job="j",instance="{instance}",cache="c",state="{state}"}}'


def marked(name: str) -> str:
    (annotation,) = (
        each for each in DASHBOARDS["overview"]["annotations"]["list"] if each["name"] == name
    )
    return annotation["expr"]


CASES = [
    Case(
        "a hit ratio is absent without traffic, not 0",
        expr_of("overview", "Hit ratio by target"),
        {lookups("hit"): "5x20", lookups("miss"): "5x20"},
        {},
    ),
    Case(
        "and is 0 where there are only misses",
        expr_of("overview", "Hit ratio by target"),
        {lookups("hit"): "0x20", lookups("miss"): "0+60x20"},
        {'{job="j",cache="c",source="view",target="t"}': 0},
    ),
    Case(
        "no lookup failed: 0, though nothing counts failed ones yet",
        expr_of("overview", "Share of lookups that failed"),
        {lookups("hit"): "0+60x20"},
        {'{job="j",cache="c"}': 0},
    ),
    Case(
        "one lookup in four failed",
        expr_of("overview", "Share of lookups that failed"),
        {lookups("hit"): "0+180x20", lookups("error"): "0+60x20"},
        {'{job="j",cache="c"}': 0.25},
    ),
    Case(
        "nothing was read: no p99, rather than NaN",
        expr_of("overview", "Reads, p99"),
        {
            "flask_caching_operation_duration_seconds_bucket"
            f'{{job="j",instance="a",cache="c",operation="get",outcome="hit",le="{le}"}}': "7x20"
            for le in ("0.001", "+Inf")
        },
        {},
    ),
    Case(
        "the worst breaker of all instances",
        expr_of("overview", "Circuit breakers"),
        {
            breaker("open"): "0x20",
            breaker("half_open"): "1x20",
            breaker("open", "b"): "3x20",
            breaker("half_open", "b"): "0x20",
        },
        {'{job="j",cache="c"}': 2},
    ),
    Case(
        "a breaker that is half open",
        expr_of("overview", "Circuit breakers"),
        {breaker("open"): "0x20", breaker("half_open"): "1x20"},
        {'{job="j",cache="c"}': 1},
    ),
    Case(
        "no breaker is open",
        expr_of("overview", "Circuit breakers"),
        {breaker("open"): "0x20", breaker("half_open"): "0x20"},
        {'{job="j",cache="c"}': 0},
    ),
    Case(
        "counters that began anew are a start, once for each instance",
        marked("Starts"),
        {
            lookups("hit"): "0+60x12 0+60x8",
            lookups("miss"): "0+60x12 0+60x8",
            lookups("hit", "b"): "0+60x20",
            build("a"): "1x20",
            build("b"): "1x20",
        },
        {'{job="j"}': 1},
    ),
    Case(
        "so is an instance that was not there before",
        marked("Starts"),
        {build("a"): "1x20", build("b"): "_x12 1x8", lookups("hit", "b"): "_x12 0+60x8"},
        {'{job="j"}': 1},
    ),
    Case(
        "counters that go on, as those of workers that were reloaded, are none",
        marked("Starts"),
        {build("a"): "1x20", lookups("hit"): "0+60x20"},
        {},
    ),
    Case(
        "a clear",
        marked("Clears"),
        {clear(): "1x12 2x8"},
        {'{job="j",cache="c"}': 1},
    ),
    Case(
        "the first clear of a process, with which its count begins",
        marked("Clears"),
        {clear(): "_x12 1x8"},
        {'{job="j",cache="c"}': 1},
    ),
    Case(
        "no clear for five minutes, and one that failed",
        marked("Clears"),
        {clear(): "1x2 2x18", clear("error"): "_x12 1x8"},
        {},
    ),
]


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_expressions_answer_what_they_should(case: Case, tmp_path: Path) -> None:
    """Evaluated by Prometheus's own engine, over series that say it all, after 15 minutes."""
    document = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": filled_in(case.expr),
                        "eval_time": "15m",
                        "exp_samples": [
                            {"labels": labels, "value": value}
                            for labels, value in case.samples.items()
                        ],
                    }
                ],
            }
        ],
    }
    promtool("test", document, tmp_path)


# The manual


def test_the_manual_names_panels_that_exist() -> None:
    """Each row of its table of questions names a dashboard, and panels of that dashboard."""
    text = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    titles = {
        name: {each.json["title"] for each in PANELS if each.page == name.lower()}
        for name in ("Overview", "Keys", "Load")
    }
    rows = re.findall(r"(?m)^\| .* \| (Overview|Keys|Load): (.*) \|$", text)
    assert len(rows) >= 12
    for name, named in rows:
        assert set(re.findall(r"\*([^*]+)\*", named)) <= titles[name]
        assert "*" in named
