"""The page about gunicorn: with its files and its commands, what two workers count adds up."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from manual_blocks import ROOT, page_of
from manual_shell import commands_of
from prometheus_client.parser import text_string_to_metric_families
from servers import HOST, RedisServer, Server, wait_until

pytest.importorskip("gunicorn")

PAGE = page_of(ROOT / "docs" / "howto" / "gunicorn.md")


def command_for(application: str) -> list[str]:
    """The arguments of gunicorn in the page's command for an application."""
    [found] = [
        command.text.split()
        for block in PAGE.of("console")
        for command in commands_of("console", block.text)
        if command.text.startswith("gunicorn ") and command.text.endswith(application)
    ]
    if "--bind" in found:
        bound = found.index("--bind")
        del found[bound : bound + 2]
    return found[1:]


class Gunicorn(Server):
    """gunicorn with the page's files and one of its commands, on a port that is free.

    Args:
        directory: Where the files are written.
        application: That which the command names.
        options: Further arguments.
        environment: Variables of the environment.
    """

    def __init__(
        self, directory: Path, application: str, *options: str, environment: dict[str, str]
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for block in PAGE.blocks:
            if block.file:
                (directory / block.file).write_text(block.text)
        self.application = application
        self._variables = environment
        super().__init__(directory, *options)

    def get(self, path: str) -> str:
        request = Request(f"http://{self.host}:{self.port}{path}", headers={"Connection": "close"})
        with urlopen(request, timeout=20) as answer:
            body: str = answer.read().decode()
            return body

    def lookups(self) -> dict[str, float]:
        """Lookups of the page's view by result, as one scrape has them."""
        return {
            sample.labels["result"]: sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
            if sample.name == "flask_caching_lookups_total"
            and sample.labels["target"] == "article"
            and sample.value
        }

    def workers(self) -> set[int]:
        """The processes of its workers."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return {int(number) for number in text.split()}

    def _command(self) -> Sequence[str]:
        command = [sys.executable, "-m", "gunicorn", *command_for(self.application)]
        return [*command, "--bind", f"{HOST}:{self.port}", "--no-control-socket"]

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "instrumentation")])
        return {"PYTHONPATH": path, **self._variables}

    def _answers(self) -> bool:
        if f"Listening at: http://{self.host}:{self.port} ({self.pid})" not in self.log():
            return False
        try:
            return bool(self.get("/metrics"))
        except OSError:
            return False


@pytest.fixture
def serve(
    start_server: Callable[..., Any], own_redis: RedisServer, tmp_path: Path
) -> Callable[..., Gunicorn]:
    """Starts one of the page's applications; all share a directory of metrics."""
    shared = tmp_path / "metrics"
    shared.mkdir()

    def start(application: str, *options: str) -> Gunicorn:
        variables = {"CACHE_REDIS_URL": own_redis.url, "PROMETHEUS_MULTIPROC_DIR": str(shared)}
        started: Gunicorn = start_server(Gunicorn, application, *options, environment=variables)
        return started

    return start


def ask(server: Gunicorn, times: int, threads: int = 6) -> None:
    """Get articles 0 to 9, again and again, from several threads."""
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, times, threads):
                server.get(f"/articles/{number % 10}")
        except BaseException as error:
            failed.append(error)

    running = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not failed


@pytest.mark.parametrize("options", [(), ("--worker-class", "gevent")], ids=["threads", "gevent"])
def test_what_two_workers_count_adds_up(
    serve: Callable[..., Gunicorn], options: tuple[str, ...]
) -> None:
    """Every scrape, of either worker and of the page's other port, has the sum of all requests."""
    server = serve("shop:app", *options)
    wait_until(lambda: len(server.workers()) == 2, "two workers")
    ask(server, 10, threads=1)  # callers that miss one key at once are misses, all of them
    ask(server, 290)

    wait_until(lambda: sum(server.lookups().values()) == 300, "all of 300 lookups", 20)
    scrapes = [server.lookups() for _ in range(20)]
    assert all(scrape == {"miss": 10, "hit": 290} for scrape in scrapes)
    assert serve("scrape:app").lookups() == {"miss": 10, "hit": 290}


def test_counts_outlive_workers_and_reloads(serve: Callable[..., Gunicorn]) -> None:
    """After a reload there are other workers, which go on where the others ended."""
    server = serve("shop:app")
    ask(server, 50)
    wait_until(lambda: len(server.workers()) == 2, "two workers")
    before = server.workers()

    os.kill(server.pid, 1)
    wait_until(lambda: len(server.workers() - before) == 2, "new workers")
    wait_until(lambda: not server.workers() & before, "the old ones have ended")
    ask(server, 50)

    wait_until(lambda: sum(server.lookups().values()) == 100, "all of 100 lookups", 20)


def test_settings_of_the_page_are_those_of_gunicorn() -> None:
    """Each name in the page's configuration is one that gunicorn has."""
    from gunicorn.config import KNOWN_SETTINGS

    [block] = [block for block in PAGE.blocks if block.file == "gunicorn.conf.py"]
    names = set(re.findall(r"^(\w+) =", block.text, re.MULTILINE))
    assert {"workers", "threads", "preload_app"} <= names
    assert names <= {setting.name for setting in KNOWN_SETTINGS}
