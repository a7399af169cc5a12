"""Every question of every dashboard and rule is put to a real Prometheus, and is answered.

It scrapes the demo under gunicorn with two workers on a real Redis, and an application that does
what the demo never does, while a driver sends requests whose every count is known. See
:mod:`dashboards_traffic`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards_drawing import FOOT, draw, figure_of
from dashboards_pictures import NOTE, answers_to, busy_day
from dashboards_queries import (
    RULES,
    Expression,
    Variables,
    ask,
    dashboards,
    expressions_of_dashboard,
    expressions_of_rules,
    label_values,
    panels,
    selectors,
)
from dashboards_traffic import Traffic
from dashboards_units import shown
from dashboards_world import WEEK, Past, scraping, start_demo, start_ward, starting
from matplotlib.text import Text
from PIL import Image
from servers import RedisServer, wait_until
from web_servers import GunicornServer, PrometheusServer, Series

ROOT = Path(__file__).parents[2]

RULE_FILES = [RULES / "recording.yml", RULES / "alerts.yml"]

DASHBOARDS = dashboards()
OF_DASHBOARDS = [
    each for name, board in DASHBOARDS.items() for each in expressions_of_dashboard(name, board)
]
OF_RULES = [each for path in RULE_FILES for each in expressions_of_rules(path)]

#: What rightly finds nothing in this traffic, and why. ``test_alerts.py`` fires each of them.
QUIET = {
    "alerts.yml: FlaskCachingFailingOpen": "9 failed lookups are not 30 in five minutes",
    "alerts.yml: FlaskCachingHitRatioDropped": "14 lookups are not 1800 in half an hour",
    "alerts.yml: FlaskCachingSlowBackend": "no cache on a server has 300 reads",
    "alerts.yml: FlaskCachingKeyExplosion": "560 keys are not a thousand",
    "alerts.yml: FlaskCachingStampede": "some seconds of loading are not five minutes of it",
    "alerts.yml: FlaskCachingMetricsAbsent": "no job was there an hour ago",
}

#: Where choosing a cache changes nothing, since it is about whole processes, or applications.
OF_NO_CACHE = {"load: Telemetry errors (A)", "overview: Versions (A)", "overview: Alerts (A)"}


@dataclass(frozen=True)
class World:
    """What was sent, and who has seen it.

    Attributes:
        prometheus: Who answers.
        sent: What must have been counted, by the expression that asks for it.
        start: Unix time before the first scrape.
        end: Unix time at the end of the traffic.
        jobs: What was scraped.
    """

    prometheus: PrometheusServer
    sent: Counter[str]
    start: float
    end: float
    jobs: Mapping[str, GunicornServer]

    def ask(
        self, expression: Expression, chosen: Mapping[str, Sequence[str]] | None = None
    ) -> dict[Series, list[tuple[float, float]]]:
        """The answer, as Grafana would get it for the time of the traffic; without NaN."""
        variables = Variables(chosen or {}, range_seconds=int(self.end - self.start))
        return ask(self.prometheus, expression, variables, self.start, self.end)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Prometheus that has seen the whole traffic."""
    folder = tmp_path_factory.mktemp("world")
    history = [
        Past(
            "job_cache:flask_caching_answered_lookups:hit_ratio_rate30m",
            {"job": "ward", "cache": "ratio"},
            0.9,
            WEEK,
        )
    ]
    with starting(folder) as start:
        main, mortal = (start(RedisServer, name) for name in ("redis-main", "redis-mortal"))
        jobs = {"demo": start_demo(start, main), "ward": start_ward(start, main, down=mortal.url)}
        begun = time.time()
        with scraping(folder, jobs, RULE_FILES, history) as prometheus:
            traffic = Traffic(jobs["demo"], jobs["ward"], mortal, main)
            traffic.send()
            world = World(prometheus, traffic.sent, begun, time.time(), jobs)
            # What was counted last is scraped a second later.
            wait_until(
                lambda: prometheus.query("timestamp(up) > " + str(world.end + 1)), "a scrape"
            )
            yield world


def scraped_since(world: World, moment: float) -> bool:
    return len(world.prometheus.query(f"timestamp(up) > {moment}")) == len(world.jobs)


def by_name(each: Expression) -> str:
    return each.where


def test_prometheus_reports_the_numbers_that_were_sent(world: World) -> None:
    """To the unit, over two workers and whatever they did at the same time."""
    expected = dict(world.sent)

    reported = {text: world.prometheus.value(text) for text in expected}
    assert reported == expected
    assert len(expected) > 20


@pytest.mark.parametrize("expression", OF_DASHBOARDS, ids=by_name)
def test_every_panel_and_annotation_has_data(world: World, expression: Expression) -> None:
    """With All chosen; and choosing everything by name is the same."""
    found = world.ask(expression)
    assert found
    jobs, caches = list(world.jobs), sorted({"cache", *caches_of(world, "ward")})
    addresses = [f"{each.host}:{each.port}" for each in world.jobs.values()]
    assert world.ask(expression, {"job": jobs, "instance": addresses, "cache": caches}) == found


@pytest.mark.parametrize("expression", OF_DASHBOARDS, ids=by_name)
def test_the_variables_narrow_every_panel(world: World, expression: Expression) -> None:
    """There is nothing of a job, an instance or a cache that is not there."""
    absent = ["nosuch(thing"]
    assert of_somebody(world.ask(expression, {"job": absent})) == set()
    if not any(name in expression.text for name in ("job_cache", "ALERTS")):
        assert of_somebody(world.ask(expression, {"instance": absent})) == set()
    if expression.where not in OF_NO_CACHE and expression.kind == "panel":
        assert of_somebody(world.ask(expression, {"cache": absent})) == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_variable_offers_what_is_there(world: World, name: str) -> None:
    """Jobs, their instances, their caches: narrowed from one to the next."""
    variables = DASHBOARDS[name]["templating"]["list"]
    assert [each["name"] for each in variables] == ["datasource", "job", "instance", "cache"]
    assert variables[0]["query"] == "prometheus"
    offered = {each["name"]: each["query"]["query"] for each in variables[1:]}
    demo = world.jobs["demo"]
    assert values(world, offered["job"]) == {"demo", "ward"}
    chosen = {"job": ["demo"]}
    assert values(world, offered["instance"], chosen) == {f"{demo.host}:{demo.port}"}
    assert values(world, offered["cache"], chosen) == {"cache"}
    assert {"main", "down", "small"} <= values(world, offered["cache"])


@pytest.mark.parametrize("expression", OF_RULES, ids=by_name)
def test_every_rule_has_data(world: World, expression: Expression) -> None:
    """Alerts as well, but for those whose fault is not part of the traffic."""
    found = world.ask(expression)
    assert bool(found) == (expression.where not in QUIET)
    if expression.kind == "record":
        name = expression.where.partition(": ")[2]
        assert world.prometheus.query_range(name, world.start, world.end, 1)


@pytest.mark.parametrize("expression", [*OF_DASHBOARDS, *OF_RULES], ids=by_name)
def test_every_selector_finds_series(world: World, expression: Expression) -> None:
    """Also those on the side of an ``or``, or behind a guard, that does not decide."""
    names = selectors(Variables().fill_in(expression.text))
    assert names or "ALERTS" in expression.text
    # What has never failed in a way has no series of it yet; the counter itself is there.
    assert [each for each in names if not world.prometheus.series(each)] == []


def test_the_list_of_what_finds_nothing_is_not_out_of_date() -> None:
    """Each of it is still a rule."""
    assert QUIET.keys() <= {each.where for each in OF_RULES}
    assert {each.where for each in OF_DASHBOARDS} >= OF_NO_CACHE


def test_the_rules_have_no_errors(world: World) -> None:
    """Prometheus has evaluated all of them, in the real files."""
    rules = world.prometheus.rules()
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
    written = [
        rule.get("record") or rule["alert"]
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    assert sorted(rule["name"] for rule in rules) == sorted(written)


def test_there_are_twenty_panels_and_more() -> None:
    """Each has a title, a description, and asks something."""
    every = [panel for board in DASHBOARDS.values() for panel in panels(board)]
    assert len(every) >= 20
    for panel in every:
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]


class TestAsGrafanaDoes:
    def test_rates_are_over_four_scrapes_or_one_step_and_a_scrape(self) -> None:
        """Whichever is longer."""
        text = "rate(a[$__rate_interval]) offset ${__interval} / $__range_s"
        fine = Variables(scrape_seconds=15, step_seconds=15, range_seconds=3600)
        coarse = Variables(scrape_seconds=15, step_seconds=120, range_seconds=86400)
        assert fine.fill_in(text) == "rate(a[60s]) offset 15s / 3600"
        assert coarse.fill_in(text) == "rate(a[135s]) offset 120s / 86400"

    def test_chosen_values_are_a_pattern_that_matches_them_alone(self) -> None:
        """In a string of PromQL, where a backslash is written as two."""
        text = 'a{job=~"$job", instance=~"${instance}", cache=~"$cache"}'
        chosen = {"job": ["a.b"], "instance": ["h:1", "h:2"]}
        assert Variables(chosen).fill_in(text) == (
            r'a{job=~"a\\.b", instance=~"(h:1|h:2)", cache=~".*"}'
        )

    def test_an_unknown_variable_is_an_error(self) -> None:
        """Grafana would leave it as it is, and Prometheus refuse it."""
        with pytest.raises(KeyError, match="jobs"):
            Variables().fill_in("$jobs")

    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (0.8236, "percentunit", "82.4%"),
            (0, "percentunit", "0%"),
            (12, "ops", "12 ops/s"),
            (1234.5, "ops", "1.23 K ops/s"),
            (0.0041, "s", "4.1 ms"),
            (75, "s", "1.25 min"),
            (0.00001, "s", "10 µs"),
            (float("inf"), "s", "∞"),
            (1536, "bytes", "1.5 KiB"),
            (3 * 1024**2, "binBps", "3 MiB/s"),
            (999, "short", "999"),
            (1, "none", "1"),
            (float("nan"), "short", ""),
        ],
    )
    def test_numbers_have_three_digits_and_a_unit(self, value: float, unit: str, text: str) -> None:
        """Scaled to where they are easy to read."""
        assert shown(value, unit) == text


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_picture_can_be_drawn_of_each_dashboard(world: World, name: str, tmp_path: Path) -> None:
    """Every panel is on it, with its series; and it says that Grafana did not draw it."""
    board = DASHBOARDS[name]
    seconds = int(world.end - world.start)
    variables = Variables(range_seconds=seconds)
    answers = answers_to(board, world.prometheus, world.start, world.start + seconds, variables)
    figure = figure_of(board, answers)
    written = [text.get_text() for text in figure.findobj(Text)]
    for panel in panels(board):
        assert panel["title"] in written
        if panel["type"] == "timeseries":
            assert any(line.legend in written for line in answers.lines[panel["id"]])
    assert FOOT in written
    draw(board, answers, tmp_path / "board.png")
    check_picture(tmp_path / "board.png")


@pytest.mark.skipif(
    os.environ.get("FLASK_CACHING_SCREENSHOTS") != "1",
    reason="takes five minutes; FLASK_CACHING_SCREENSHOTS=1 makes the pictures of the manual",
)
def test_the_pictures_of_the_manual(tmp_path: Path) -> None:
    """They show some minutes of readers, and half a minute without a Redis."""
    with busy_day(tmp_path) as (prometheus, start, end):
        for name, board in DASHBOARDS.items():
            path = ROOT / "docs" / "images" / f"dashboard-{name}.png"
            draw(board, answers_to(board, prometheus, start, end, note=NOTE), path)
            check_picture(path)


def check_picture(path: Path) -> None:
    """It is of a size that a manual can have, in pixels and in bytes."""
    with Image.open(path) as image:
        assert image.width == 1400
        assert image.height > 1000
        colours = image.convert("RGB").getcolors(image.width * image.height)
    assert len(colours) > 10
    assert path.stat().st_size < 250_000


def caches_of(world: World, job: str) -> set[str]:
    return {
        dict(labels)["cache"]
        for labels in world.prometheus.query(
            f'count by (cache) (flask_caching_lookups_total{{job="{job}"}})'
        )
    }


def values(world: World, query: str, chosen: Mapping[str, Sequence[str]] | None = None) -> set[str]:
    """What Grafana would offer for a variable."""
    selector, label = label_values(Variables(chosen or {}).fill_in(query))
    return {each[label] for each in world.prometheus.series(selector)}


def of_somebody(found: Mapping[Series, Any]) -> set[Series]:
    """The series that are not zero throughout: a sum over nothing is no leak."""
    return {series for series, points in found.items() if any(value for _, value in points)}
