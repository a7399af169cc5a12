"""Other processes on the same store: tasks of ``hazard_worker``, and ``flask cache``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hazard_worker import CONFIG

__all__ = ["Process", "Processes", "flask_cache"]

_WORKER = Path(__file__).with_name("hazard_worker.py")
#: Seconds that a process may take to say something, or to end.
_PATIENCE = 60.0


def _environment(config: dict[str, Any]) -> dict[str, str]:
    return {
        **os.environ,
        CONFIG: json.dumps(config),
        "FLASK_APP": f"{_WORKER}:create_app",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONWARNINGS": "ignore",
    }


def flask_cache(config: dict[str, Any], *arguments: str, code: int = 0) -> str:
    """Run ``flask cache ...`` as an operator would.

    Args:
        config: The configuration of the application's cache.
        arguments: What follows ``flask cache``.
        code: The exit code that it has to end with.

    Returns:
        What it printed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "flask", "cache", *arguments],
        env=_environment(config),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr if code else done.stdout


class Process:
    """A process that does one task after another."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill()
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER)],
            env=_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def prepare(self, config: dict[str, Any], task: str, arguments: dict[str, Any]) -> None:
        """Have it make a cache; it says ``ready`` then."""
        self._write(json.dumps({"config": config, "task": task, "arguments": arguments}))

    def go(self) -> None:
        """Let it begin."""
        self._write("")

    def await_line(self, expected: str) -> None:
        """Wait until it says something."""
        said = self._read()
        assert said == expected

    def result(self) -> Any:
        """What the task returned, once it is done."""
        while True:
            said = self._read()
            if said.startswith("{"):
                return json.loads(said)["result"]

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()
        self._process.wait(_PATIENCE)
        for each in (self._in, self._out, self._errors):
            each.close()

    def _write(self, line: str) -> None:
        self._in.write(f"{line}\n")
        self._in.flush()

    def _read(self) -> str:
        # One that hangs says nothing more either.
        alarm = threading.Timer(_PATIENCE, self._process.kill)
        alarm.start()
        said = self._out.readline()
        alarm.cancel()
        if not said:
            self._errors.seek(0)
            pytest.fail(f"the process ended: {self._errors.read()[-4000:].decode()}")
        return said.rstrip("\n")


class Processes:
    """Processes that do tasks at the same time. They are started once: that takes a while."""

    def __init__(self) -> None:
        self._all: list[Process] = []
        self._idle: list[Process] = []

    def run(self, config: dict[str, Any], number: int, task: str, **arguments: Any) -> list[Any]:
        """What ``number`` processes return that do the same task at the same time."""
        started = self.start(config, number, task, **arguments)
        results = [process.result() for process in started]
        self._idle += started
        return results

    def start(
        self, config: dict[str, Any], number: int, task: str, **arguments: Any
    ) -> list[Process]:
        """Processes that begin a task at the same moment. They are not used for another one."""
        while len(self._idle) < number:
            self._all.append(Process())
            self._idle.append(self._all[-1])
        started = [self._idle.pop() for _ in range(number)]
        for process in started:
            process.prepare(config, task, arguments)
        for process in started:
            process.await_line("ready")
        for process in started:
            process.go()
        return started

    def kill(self) -> None:
        """End all of them."""
        for process in self._all:
            process.kill()
