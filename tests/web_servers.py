"""Servers of the web for tests: an application under gunicorn, and a Prometheus that scrapes it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from servers import HOST, Server, find_binary, wait_until

__all__ = ["GunicornServer", "PrometheusServer"]

ROOT = Path(__file__).parents[1]


class GunicornServer(Server):
    """An application under gunicorn, whose workers share a directory of metrics.

    Args:
        directory: For its log and the workers' metrics.
        application: ``module:name``, importable from ``tests/e2e``.
        options: Further arguments of gunicorn: ``"--workers", "2"``.
        environment: Further variables of the environment.
    """

    def __init__(
        self,
        directory: Path,
        application: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.application = application
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
        request = Request(self.url + path, headers={"Connection": "close", **headers})
        with urlopen(request, timeout=20) as answer:
            return answer.read().decode(), int(answer.headers["X-Worker"])

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
            *("--chdir", str(ROOT / "tests" / "e2e"), "--no-control-socket"),
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

    def _answers(self) -> bool:
        try:
            return self.get("/master")[0] == str(self.pid)
        except OSError:
            return False


class PrometheusServer(Server):
    """A Prometheus that scrapes one address every second.

    Args:
        directory: For its data and its log.
        target: ``host:port`` to scrape, at ``/metrics``.
    """

    def __init__(self, directory: Path, target: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "tests", "static_configs": [{"targets": [target]}]},
            ],
        }
        # What is JSON is YAML.
        (directory / "prometheus.yml").write_text(json.dumps(config))
        super().__init__(directory)

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The values of an expression now, by their labels."""
        found = self._ask_api("query", query=expression)["result"]
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found}

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
        with urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

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
