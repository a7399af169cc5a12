"""Each alert is fired by its real fault, goes quiet after it, and is about nobody else.

A Prometheus loads ``dashboards/prometheus`` with every duration sixty times shorter: minutes are
seconds. All faults are made at the same time, see :mod:`dashboards_patients`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards_patients import Labels, Patient, Ward, Watch, patients, repeating, treat
from dashboards_queries import DASHBOARDS, RULES, shorten
from dashboards_world import HOUR, WEEK, Past, scraping, start_demo, start_ward, starting
from proxies import LyingProxy
from servers import HOST, RedisServer, wait_until
from web_servers import AlertmanagerServer, PrometheusServer

ROOT = Path(__file__).parents[2]

#: How much shorter every duration is.
FACTOR = 60

#: Seconds for which everybody is well before anybody falls ill.
WELL_SECONDS = 8.0

WRITTEN = [
    rule
    for group in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


@dataclass
class Pager:
    """A receiver of Alertmanager's webhooks.

    Attributes:
        port: Where it listens.
        messages: What it was sent.
    """

    port: int
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def told(self) -> set[Labels]:
        """What any receiver was told is firing."""
        receivers = {message["receiver"] for message in list(self.messages)}
        return {labels for each in receivers for labels in self.alerts(each, "firing")}

    def alerts(self, receiver: str, status: str) -> dict[Labels, dict[str, str]]:
        """Annotations by labels of what a receiver was told."""
        return {
            tuple(sorted(alert["labels"].items())): alert["annotations"]
            for message in list(self.messages)
            if message["receiver"] == receiver
            for alert in message["alerts"]
            if alert["status"] == status
        }


@dataclass
class Campaign:
    """What came of all patients.

    Attributes:
        watch: What was seen of the alerts.
        before: Alerts that fired while everybody was well.
        patients: All.
        stories: How each patient's went, by name; ends when that does.
        prometheus: What watched them.
        pager: What was told of it.
    """

    watch: Watch
    before: frozenset[Labels]
    patients: list[Patient]
    stories: dict[str, Future[None]]
    prometheus: PrometheusServer
    pager: Pager

    def wait(self) -> None:
        """Until every story has come to its end, a good one or not."""
        for story in self.stories.values():
            story.exception()


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    """Whoever is paged."""
    messages: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer((HOST, 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Pager(server.server_port, messages)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Three Redis, and three applications under gunicorn."""
    with starting(tmp_path_factory.mktemp("ward")) as start:
        main, mortal, replica = (
            start(RedisServer, name) for name in ("redis-main", "redis-mortal", "redis-replica")
        )
        proxy = LyingProxy(main.address)
        try:
            demo = start_demo(start, main)
            web = start_ward(
                start,
                main,
                workers=4,
                down=mortal.url,
                readonly=replica.url,
                slow=f"redis://{proxy.host}:{proxy.port}/0",
            )
            gone = start_demo(start, main, "gone", workers=1)
            packages = re.findall(r'href="(/packages/[^"]+)"', demo.read("/packages/"))
            yield Ward(web, demo, gone, mortal, replica, proxy, packages[:2])
        finally:
            proxy.close()


@pytest.fixture(scope="module")
def prometheus(
    ward: Ward, pager: Pager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """Scrapes the ward, has last week's history, and tells an Alertmanager."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = []
    for name in ("recording.yml", "alerts.yml"):
        shortened = shorten(yaml.safe_load((RULES / name).read_text()), FACTOR)
        rules.append(folder / name)
        rules[-1].write_text(yaml.safe_dump(shortened))
    config = folder / "alertmanager.yml"
    config.write_text(yaml.safe_dump(with_webhook(pager.port)))
    jobs = {"ward": ward.ward, "demo": ward.demo, "gone": ward.gone}
    instance = f"{ward.gone.host}:{ward.gone.port}"
    answered, ratio = "job_cache:flask_caching_answered_lookups", {"job": "ward", "cache": "ratio"}
    history = [
        Past("flask_caching_build_info", {"job": "gone", "instance": instance}, 1, HOUR),
        Past(f"{answered}:hit_ratio_rate30m", ratio, 0.95, WEEK),
        Past(f"{answered}:rate30m", ratio, 20, WEEK),
    ]
    with starting(folder) as start:
        alertmanager = start(AlertmanagerServer, "alertmanager", config)
        address = f"{alertmanager.host}:{alertmanager.port}"
        with scraping(folder, jobs, rules, history, address) as server:
            yield server


@pytest.fixture(scope="module")
def campaign(ward: Ward, prometheus: PrometheusServer, pager: Pager) -> Iterator[Campaign]:
    """Everybody was well for a while, and fell ill then; their stories go on."""
    watch, outbreak = Watch(prometheus, pager.told), threading.Event()
    all_patients = patients(ward)
    with (
        repeating(watch.look, 0.5) as goes_on,
        ThreadPoolExecutor(len(all_patients)) as pool,
    ):
        stories = {each.name: pool.submit(treat, each, watch, outbreak) for each in all_patients}
        try:
            time.sleep(WELL_SECONDS)
            assert goes_on()
            before = frozenset(watch.annotations)
        finally:
            outbreak.set()
        yield Campaign(watch, before, all_patients, stories, prometheus, pager)


def with_webhook(port: int) -> dict[str, Any]:
    """The Alertmanager's configuration, in a hurry, and with receivers that somebody reads."""
    config: dict[str, Any] = yaml.safe_load((DASHBOARDS / "compose/alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"http://{HOST}:{port}/{receiver['name']}"}]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    return config


def story(name: str, campaign: Campaign) -> None:
    """Wait for the end of the stories in which an alert is to fire; raises if one ended badly."""
    concerned = [each for each in campaign.patients if is_named(name, each.alerts)]
    assert concerned, f"nobody has a fault that {name} is for"
    for each in concerned:
        campaign.stories[each.name].result()


def is_named(name: str, alerts: Any) -> bool:
    return any(("alertname", name) in labels for labels in alerts)


def test_the_rules_are_loaded_with_shorter_durations(prometheus: PrometheusServer) -> None:
    """And none of them has an error; those of ``offset`` are as long as ever."""
    wait_until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), "every rule")
    loaded = [rule for rule in prometheus.rules() if rule["type"] == "alerting"]
    assert [rule["name"] for rule in loaded] == [rule["alert"] for rule in WRITTEN]
    for rule, written in zip(loaded, WRITTEN, strict=True):
        assert rule["duration"] * FACTOR == minutes(written.get("for", "0m")) * 60
        for offset in ("offset 1w", "offset 1h"):
            assert rule["query"].count(offset) == written["expr"].count(offset)
        assert "[5m]" not in rule["query"]


def minutes(text: str) -> int:
    """A duration of the rules, which are all in whole minutes or hours."""
    number, unit = int(text[:-1]), text[-1]
    return number * {"m": 1, "h": 60}[unit]


def test_nothing_fires_while_everybody_is_well(campaign: Campaign) -> None:
    """Traffic alone is no fault, nor is what everybody begins with."""
    assert campaign.before == frozenset()


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in WRITTEN}))
def test_it_fires_for_its_fault_and_goes_quiet_after_it(campaign: Campaign, name: str) -> None:
    """With the labels that say whom it is about; every request was answered all the while."""
    story(name, campaign)
    assert is_named(name, campaign.watch.annotations)


def test_it_fires_for_nobody_else(campaign: Campaign) -> None:
    """Prometheus remembers each alert that has fired: those of the faults, and no other one."""
    campaign.wait()
    fired = campaign.prometheus.query('max_over_time(ALERTS{alertstate="firing"}[30m])')
    found = {tuple(label for label in labels if label[0] != "alertstate") for labels in fired}
    assert found == {labels for each in campaign.patients for labels in each.alerts}


@pytest.mark.parametrize(("receiver", "severity"), [("pager", "page"), ("tickets", "ticket")])
def test_a_page_arrives_and_says_what_to_do(
    campaign: Campaign, receiver: str, severity: str
) -> None:
    """By way of an Alertmanager with the configuration of the compose file, and so does its end."""
    campaign.wait()
    wanted = {labels for each in campaign.patients for labels in each.alerts}
    expected = {labels for labels in wanted if ("severity", severity) in labels}
    assert expected
    for status in ("firing", "resolved"):
        deadline = time.monotonic() + 60
        while not expected <= campaign.pager.alerts(receiver, status).keys():
            told = campaign.pager.alerts(receiver, status).keys()
            assert time.monotonic() < deadline, f"not told as {status}: {expected - told}"
            time.sleep(0.2)
        assert campaign.pager.alerts(receiver, status).keys() == expected
    for labels, texts in campaign.pager.alerts(receiver, "firing").items():
        check_texts(dict(labels), texts)


def check_texts(labels: Mapping[str, str], texts: Mapping[str, str]) -> None:
    """A summary that says whose alert it is, and a runbook that has the alert's section."""
    page, _, anchor = texts["runbook"].partition("#")
    headings = (ROOT / page).read_text().casefold().splitlines()
    assert anchor == labels["alertname"].casefold()
    assert any(line.startswith("#") and anchor in line for line in headings), anchor
    assert labels["job"] in texts["summary"]
    for text in texts.values():
        assert "<no value>" not in text
        assert "error calling" not in text
