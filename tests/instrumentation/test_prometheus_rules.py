"""The rules and alerts: known to Prometheus, tested, explained, and made of what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from promql import RULES, mistakes, promtool, selectors

yaml = pytest.importorskip("yaml")

ROOT = RULES.parents[1]
README = (ROOT / "dashboards" / "README.md").read_text(encoding="utf-8")
TESTS = sorted(RULES.glob("*.test.yml"))
FILES = ["recording.yml", "alerts.yml"]


def rules_of(name: str) -> list[dict[str, Any]]:
    """The rules of a file."""
    groups = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


RECORDING, ALERTS = map(rules_of, FILES)
NAMES = sorted({rule["alert"] for rule in ALERTS})


def cases_of(kind: str) -> Iterator[dict[str, Any]]:
    """The cases of one kind in all files of tests."""
    for path in TESTS:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            yield from group.get(kind, ())


def name_of(rule: dict[str, Any]) -> str:
    name: str = rule.get("record") or f"{rule['alert']}, {rule['labels']['severity']}"
    return name


# Prometheus's own opinion.


def test_the_linter_has_nothing_to_say() -> None:
    """Of both files together: no rule is there twice."""
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES)
    assert said.count("SUCCESS") == 2


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_tests_of_the_rules_hold(path: Path) -> None:
    """Each rule records, fires and keeps quiet as they say."""
    assert "SUCCESS" in promtool("test", "rules", path.name)


def test_a_prometheus_loads_them_as_the_readme_says(tmp_path: Path) -> None:
    """With the configuration that is shown there."""
    shown = re.search(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert shown
    (tmp_path / "prometheus.yml").write_text(shown[1], encoding="utf-8")
    (tmp_path / "rules").mkdir()
    for name in FILES:
        shutil.copy(RULES / name, tmp_path / "rules")
    said = promtool("check", "config", "prometheus.yml", folder=tmp_path)
    assert "2 rule files found" in said
    assert f"{len(RECORDING)} rules found" in said
    assert f"{len(ALERTS)} rules found" in said


# What they are made of.


@pytest.mark.parametrize("rule", [*RECORDING, *ALERTS], ids=name_of)
def test_a_rule_asks_for_what_is_exported(rule: dict[str, Any]) -> None:
    """Families and labels of the catalogue, values that an application exports, other rules."""
    assert list(selectors(rule["expr"]))
    assert mistakes(rule["expr"]) == []


@pytest.mark.parametrize(
    ("expr", "says"),
    [
        ("rate(flask_caching_lookup_total[5m])", "no series flask_caching_lookup_total"),
        ("flask_caching_lookups_total_bucket", "no series flask_caching_lookups_total_bucket"),
        ("job_cache:nothing:rate5m", "no series job_cache:nothing:rate5m"),
        ('flask_caching_backend_up{kind="x"}', "flask_caching_backend_up has no label kind"),
        (
            'sum(flask_caching_lookups_total{result=~"hit|mis"})',
            'nothing exports flask_caching_lookups_total{result="mis"}',
        ),
        ("sum by (target) (flask_caching_backend_up)", "no series of it has target"),
    ],
)
def test_what_does_not_exist_is_found(expr: str, says: str) -> None:
    """A misspelt name is no rule that never fires."""
    assert mistakes(expr) == [says]


@pytest.mark.parametrize("rule", [*RECORDING, *ALERTS], ids=name_of)
def test_durations_stand_where_they_can_be_found(rule: dict[str, Any]) -> None:
    """In brackets, or behind ``offset``: the end-to-end test makes the former shorter."""
    left = re.sub(r"\[\d+[mh]\]|\boffset 1[hw]\b|\w+:\w+:\w+", "", rule["expr"])
    assert not re.search(r"\b\d+(ms|[smhdwy])\b", re.sub(r'"[^"]*"', "", left))


# What they promise.


@pytest.mark.parametrize("rule", RECORDING, ids=name_of)
def test_a_recording_rule_is_tested(rule: dict[str, Any]) -> None:
    """By a value that it must have, and its name says level, metric and operation."""
    values = [
        sample["value"]
        for case in cases_of("promql_expr_test")
        if case["expr"] == rule["record"]
        for sample in case["exp_samples"]
    ]
    assert values
    assert re.fullmatch(r"job(_\w+)?:flask_caching_\w+:\w+\d+[mh]", rule["record"])


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_is_tested(rule: dict[str, Any]) -> None:
    """It fires with labels and annotations, and it is quiet before that and after it."""
    cases = [each for each in cases_of("alert_rule_test") if each["alertname"] == rule["alert"]]
    fires = [
        [
            alert
            for alert in case["exp_alerts"]
            if alert["exp_labels"]["severity"] == rule["labels"]["severity"]
        ]
        for case in cases
    ]
    firing = [place for place, alerts in enumerate(fires) if alerts]
    assert firing
    assert firing[0] > 0
    assert firing[-1] < len(cases) - 1
    for alert in (alert for alerts in fires for alert in alerts):
        assert alert["exp_annotations"].keys() == rule["annotations"].keys()
        assert alert["exp_labels"]["job"]


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_says_whom_it_is_for_and_what_to_do(rule: dict[str, Any]) -> None:
    """Its severity is one of two, and its runbook is a section of the manual."""
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    assert "\n" not in rule["annotations"]["summary"]


def test_every_section_of_the_runbooks_is_an_alerts() -> None:
    """And each alert has one, in the order of the file."""
    sections = re.findall(r"^## (.*)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert sections == list(dict.fromkeys(rule["alert"] for rule in ALERTS))


# What the README says of them.


def rows(first: str) -> dict[str, list[str]]:
    """The table of the README whose head begins so: its lines' other cells by the first one."""
    table = re.search(rf"^\| {first} .*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert table
    lines = [line.strip("|").split("|") for line in table[1].splitlines()]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_readme_lists_what_is_recorded() -> None:
    """All of it, with the labels that it keeps, and nothing else."""
    listed = rows("recorded series")
    assert list(listed) == [rule["record"] for rule in RECORDING]
    for rule in RECORDING:
        kept = re.findall(r"\bby \(([^)]*)\)", rule["expr"])[0]
        labels = re.findall(r"`(\w+)`", listed[rule["record"]][0])
        assert set(labels) >= {"job", "cache"}
        if ":" not in re.sub(r"flask_caching_\w+", "", rule["expr"]):
            assert labels == kept.split(", ")


def test_the_readme_lists_the_alerts() -> None:
    """All of them, with their severity and for how long they wait, and no others."""
    listed = rows("alert")
    assert list(listed) == list(dict.fromkeys(rule["alert"] for rule in ALERTS))
    for name in NAMES:
        mine = [rule for rule in ALERTS if rule["alert"] == name]
        severity, when = listed[name]
        assert re.findall(r"\w+", severity) == [rule["labels"]["severity"] for rule in mine]
        waits = {rule.get("for", "") for rule in mine}
        assert waits == {f"{found[1]}m" if (found := re.match(r"for (\d+) min", when)) else ""}


def test_links_and_namespace_are_changed_as_the_readme_says(tmp_path: Path) -> None:
    """Two lines of ``sed``; all that is tested still holds, and nothing is left of the old."""
    commands = re.findall(r"^\$ (sed -i .*)$", README, re.MULTILINE)
    assert len(commands) == 2
    shutil.copytree(RULES.parent, tmp_path / "dashboards", ignore=shutil.ignore_patterns("*.py"))
    for command in commands:
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
    folder = tmp_path / "dashboards" / "prometheus"
    promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES, folder=folder)
    for name in ("recording.test.yml", "alerts.test.yml"):
        assert "SUCCESS" in promtool("test", "rules", name, folder=folder)
    alerts = (folder / "alerts.yml").read_text(encoding="utf-8")
    links = re.findall(r"runbook: (\S+)", alerts)
    assert links == [
        f"https://manual.example/runbooks.html#{rule['alert'].lower()}" for rule in ALERTS
    ]
    assert "flask_caching_" not in alerts
    assert "shop_lookups" in alerts
