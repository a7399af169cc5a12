"""Servers of the web for tests: gunicorn, a Prometheus that scrapes, an Alertmanager that pages."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from servers import HOST, Server, find_binary, wait_until

__all__ = ["AlertmanagerServer", "GunicornServer", "PrometheusServer", "Series"]

ROOT = Path(__file__).parents[1]

#: A series' labels, sorted.
Series: TypeAlias = tuple[tuple[str, str], ...]


class GunicornServer(Server):
    """An application under gunicorn, whose workers share a directory of metrics.

    Args:
        directory: For its log and the workers' metrics.
        application: ``module:name``, importable from ``folder``.
        options: Further arguments of gunicorn: ``"--workers", "2"``.
        environment: Further variables of the environment.
        folder: Where the application is.
        ready: A page that answers once the application does.
    """

    def __init__(
        self,
        directory: Path,
        application: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT / "tests" / "e2e",
        ready: str = "/master",
    ) -> None:
        self.application = application
        self.folder = folder
        self._ready = ready
        self.metrics = directory / "metrics"
        self.metrics.mkdir(parents=True, exist_ok=True)
        self._variables = dict(environment or {})
        super().__init__(directory, *options)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[str, int]:
        """The body of a page, and the number of the worker's process that made it."""
        with self._open(path, **headers) as answer:
            return answer.read().decode(), int(answer.headers["X-Worker"])

    def read(self, path: str, **headers: str) -> str:
        """The body of a page, of an application that does not say which worker made it."""
        with self._open(path, **headers) as answer:
            body: str = answer.read().decode()
            return body

    def workers(self) -> list[int]:
        """The processes of its workers."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(number) for number in text.split()]

    def kill_worker(self, number: int) -> None:
        """End a worker at once (SIGKILL), and wait until another one has taken its place."""
        before = self.workers()
        os.kill(number, signal.SIGKILL)
        wait_until(
            lambda: number not in self.workers() and len(self.workers()) == len(before),
            "a new worker",
        )

    def _command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:{self.port}"),
            *("--chdir", str(self.folder), "--no-control-socket"),
            self.application,
        ]

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "instrumentation")])
        return {
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(self.metrics),
            **self._variables,
        }

    def _open(self, path: str, **headers: str) -> Any:
        request = Request(self.url + path, headers={"Connection": "close", **headers})
        return urlopen(request, timeout=20)

    def _answers(self) -> bool:
        # Another session's server may be on the port instead: this one says when it got it.
        if f"Listening at: {self.url} ({self.pid})" not in self.log():
            return False
        try:
            self.read(self._ready)
        except OSError:
            return False
        return True


class PrometheusServer(Server):
    """A Prometheus that scrapes and evaluates rules all the time.

    Args:
        directory: For its data and its log; history that is in ``data`` is its own.
        targets: ``host:port`` to scrape at ``/metrics``, as the job ``tests``; or several by job.
        rules: Files of rules.
        alertmanager: ``host:port`` of whom to tell of alerts.
        interval_seconds: From one scrape, and one evaluation, to the next.
    """

    def __init__(
        self,
        directory: Path,
        targets: str | Mapping[str, Sequence[str]],
        *,
        rules: Sequence[Path] = (),
        alertmanager: str | None = None,
        interval_seconds: int = 1,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        interval = f"{interval_seconds}s"
        jobs = {"tests": [targets]} if isinstance(targets, str) else targets
        config: dict[str, Any] = {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
                for job, addresses in jobs.items()
            ],
        }
        if alertmanager:
            told = {"static_configs": [{"targets": [alertmanager]}]}
            config["alerting"] = {"alertmanagers": [told]}
        # What is JSON is YAML.
        (directory / "prometheus.yml").write_text(json.dumps(config))
        super().__init__(directory)

    def query(self, expression: str, at: float | None = None) -> dict[Series, float]:
        """The values of an expression now, or at a Unix time, by their labels."""
        moment = {} if at is None else {"time": at}
        found = self._ask_api("query", query=expression, **moment)["result"]
        return {_series(each): float(each["value"][1]) for each in found}

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> dict[Series, list[tuple[float, float]]]:
        """Moments (Unix time) and values of an expression from ``start`` to ``end``."""
        found = self._ask_api("query_range", query=expression, start=start, end=end, step=step)
        return {
            _series(each): [(float(when), float(value)) for when, value in each["values"]]
            for each in found["result"]
        }

    def series(self, selector: str) -> list[dict[str, str]]:
        """The labels of every series that a selector finds in the last hour."""
        now = time.time()
        found: list[dict[str, str]] = self._ask_api(
            "series", **{"match[]": selector}, start=now - 3600, end=now + 60
        )
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing now."""
        found: list[dict[str, Any]] = self._ask_api("alerts")["alerts"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The rules of every group, each with its ``health`` and its ``lastError``."""
        groups = self._ask_api("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def value(self, expression: str) -> float | None:
        """The only value of an expression; ``None`` if it has none."""
        found = list(self.query(expression).values())
        assert len(found) <= 1, found
        return found[0] if found else None

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """The labels of the exemplars of an expression."""
        now = time.time()
        found = self._ask_api("query_exemplars", query=expression, start=now - 600, end=now + 60)
        return [each["labels"] for series in found for each in series["exemplars"]]

    def _ask_api(self, name: str, **arguments: object) -> Any:
        url = f"http://{self.host}:{self.port}/api/v1/{name}?{urlencode(arguments)}"
        try:
            with urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            # Its body says what is wrong with an expression.
            raise RuntimeError(f"{name} {arguments}: {error.read().decode()}") from error

    def _command(self) -> Sequence[str]:
        return [
            find_binary("prometheus"),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={HOST}:{self.port}",
            "--enable-feature=exemplar-storage",
        ]

    def _answers(self) -> bool:
        ready = self._ask(b"GET /-/ready HTTP/1.0\r\n\r\n", until=b"\r\n")
        return b" 200 " in ready


class AlertmanagerServer(Server):
    """An Alertmanager that is on its own.

    Args:
        directory: For its data and its log.
        config: Its configuration file.
    """

    def __init__(self, directory: Path, config: Path) -> None:
        self.config = config
        super().__init__(directory)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it knows of, each with its ``status`` and its ``receivers``."""
        with urlopen(f"http://{self.host}:{self.port}/api/v2/alerts", timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def _command(self) -> Sequence[str]:
        return [
            find_binary("prometheus-alertmanager"),
            f"--config.file={self.config}",
            "--storage.path=data",
            f"--web.listen-address={HOST}:{self.port}",
            "--cluster.listen-address=",
        ]

    def _answers(self) -> bool:
        ready = self._ask(b"GET /-/ready HTTP/1.0\r\n\r\n", until=b"\r\n")
        return b" 200 " in ready


def _series(found: Mapping[str, Any]) -> Series:
    return tuple(sorted(found["metric"].items()))
