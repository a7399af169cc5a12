"""Running ``flask cache ...``: in this process, and as a program on pipes or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask

from flask_caching_instrumentation.cli import cache as group

ROOT = Path(__file__).resolve().parents[2]

#: What a program does that has the command although the package is not installed.
_HEAD = """
from flask import Flask, request
from flask_caching import Cache
from flask_caching_instrumentation.cli import cache as group
"""

_TAIL = """
app.cli.add_command(group)
"""


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def run(app: Flask, *arguments: str) -> Ran:
    """Run ``flask cache ...`` in this process."""
    try:
        runner = app.test_cli_runner(mix_stderr=False)
    except TypeError:
        # Since click 8.2 they are never mixed.
        runner = app.test_cli_runner()
    result = runner.invoke(group, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    for line in result.stdout.splitlines():
        assert line == line.rstrip(), "blanks at the end of a line"
    return Ran(result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True)
class Program:
    """An application in a file, whose ``flask`` command is run as a process.

    Attributes:
        folder: Where the file is.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, source: str) -> Program:
        """Write an application; its source defines ``app``."""
        (folder / "shop.py").write_text(_HEAD + textwrap.dedent(source) + _TAIL)
        return cls(folder)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        sources = os.pathsep.join([str(ROOT), str(ROOT / "instrumentation"), str(self.folder)])
        return {
            **kept,
            "FLASK_APP": "shop:app",
            "PYTHONPATH": sources,
            "PYTHONWARNINGS": "ignore",
            "PYTHONIOENCODING": "utf-8",
            **more,
        }

    def start(self, *arguments: str, env: Mapping[str, str] = {}, **options: Any) -> Any:
        """Start ``flask ...``."""
        return subprocess.Popen(
            [sys.executable, "-m", "flask", *arguments],
            cwd=self.folder,
            env=self.environment(env),
            **options,
        )

    def run(self, *arguments: str, env: Mapping[str, str] = {}) -> Ran:
        """Run ``flask ...`` on pipes, without anything on stdin."""
        process = self.start(
            *arguments,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        out, err = process.communicate(timeout=60)
        return Ran(process.returncode, out, err)

    def run_on_terminal(
        self,
        *arguments: str,
        columns: int = 80,
        typed: str = "",
        env: Mapping[str, str] = {},
    ) -> Ran:
        """Run ``flask ...`` on a terminal of so many columns, where somebody types something."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = self.start(
            *arguments, env={"TERM": "xterm", **env}, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        if typed:
            os.write(master, typed.encode())
        watchdog = threading.Timer(60, process.send_signal, [signal.SIGKILL])
        watchdog.start()
        printed = b""
        try:
            while part := _read(master):
                printed += part
            code = process.wait()
        finally:
            watchdog.cancel()
            os.close(master)
        return Ran(code, printed.decode().replace("\r\n", "\n"), "")


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:
        # Linux's way to say that nobody has the terminal open any more.
        return b""
