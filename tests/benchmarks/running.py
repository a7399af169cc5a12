"""Starts the workers, turn by turn, each in the interpreter that has its library."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from servers import MemcachedServer, RedisServer

from benchmarks.machine import undisturbed
from benchmarks.results import Results
from benchmarks.suites import SUITES, UNDER_LOAD
from benchmarks.workers.subjects import SUBJECTS

__all__ = ["ROOT", "Choice", "interpreter_of", "measure", "one_core", "roots_of", "store_running"]

ROOT = Path(__file__).resolve().parents[2]
WORKERS = Path(__file__).resolve().parent / "workers"

BINARIES = {"redis": "redis-server", "memcached": "memcached"}
MILLION = 1_000_000
#: How large a full cache is where only is seen whether it works.
QUICKLY_FULL = 100
#: The database of Redis that has a million keys (``workers/sizes.py``).
CROWDED = 1


@dataclass(frozen=True)
class Choice:
    """What of everything is measured.

    Attributes:
        suites: Which, by name.
        stores: Which, by name.
        interpreters: Of each subject that is measured, its Python.
        turns: How often, at most.
        quick: Whether to see only that everything works.
        say: Is told what is done at the moment.
    """

    suites: Sequence[str]
    stores: Sequence[str]
    interpreters: dict[str, Path]
    turns: int
    quick: bool
    say: Callable[[str], None]

    def rounds(self) -> list[list[str]]:
        """The suites that are measured together, in one process of each subject.

        Each has its own, but where only is seen whether they work: starting takes longer then. The
        load is another program's, and is measured once for all that is seen of it.
        """
        others = [suite for suite in self.suites if suite not in UNDER_LOAD]
        load = [suite for suite in self.suites if suite in UNDER_LOAD]
        alone = [others] if self.quick else [[suite] for suite in others]
        return [suites for suites in (*alone, load) if suites]

    def turns_of(self, suite: str) -> int:
        """How many turns a suite has."""
        if self.quick:
            return 1
        most = SUITES[suite].most_turns
        turns = self.turns * SUITES[suite].times
        return turns if most is None else min(turns, most)

    def suites_of(self, subject: str, store: str, suites: Sequence[str]) -> list[str]:
        """Which of these suites a subject does on a store."""
        return [each for each in suites if subject in SUITES[each].subjects.get(store, ())]


def interpreter_of(subject: str, peer: Path | None) -> Path | None:
    """The Python of a subject; ``None`` if its environment is not there."""
    environment = SUBJECTS[subject].environment
    if not environment:
        return Path(sys.executable)
    if environment == "peer" and peer is not None:
        return peer.absolute()
    python = ROOT / f".venv-{environment}" / "bin" / "python"
    return python if python.exists() else None


def roots_of(subject: str) -> str:
    """Where a subject finds its library: this one in the sources, others as installed."""
    if SUBJECTS[subject].environment:
        return ""
    return os.pathsep.join((str(ROOT), str(ROOT / "instrumentation")))


def measure(suites: Sequence[str], choice: Choice, results: Results) -> None:
    """All turns of suites on all stores, the subjects one after the other within each turn."""
    for store in choice.stores:
        subjects = {each: choice.suites_of(each, store, suites) for each in choice.interpreters}
        names = [name for name, its_suites in subjects.items() if its_suites]
        if not names:
            continue
        with ExitStack() as stack:
            if all(SUITES[suite].one_core for suite in suites):
                stack.enter_context(one_core())
            place = stack.enter_context(
                store_running(store, crowded="million" in suites, quick=choice.quick)
            )
            if place is None:
                results.skip(f"{store}: {BINARIES[store]} is not installed")
                continue
            for turn in range(min(map(choice.turns_of, suites))):
                # Whoever comes first has the machine as others left it: each does so now and then.
                first = turn % len(names)
                for name in names[first:] + names[:first]:
                    choice.say(f"{', '.join(suites)}: {store}, turn {turn + 1}, {name}")
                    _one(subjects[name], store, name, turn, place, choice, results)


@contextmanager
def one_core() -> Iterator[None]:
    """What is started within runs on one core, where the system can be told.

    A client waits while its server works, so they do not need two. On two, what is measured is
    above all how long a sleeping core takes to wake up: on a virtual machine that is several times
    what the client takes, and it is another time in each run.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _one(
    suites: Sequence[str],
    store: str,
    subject: str,
    turn: int,
    place: Callable[[], str],
    choice: Choice,
    results: Results,
) -> None:
    sizes = (QUICKLY_FULL,) if choice.quick else SUITES["full"].full.get(store, ())
    command = [str(choice.interpreters[subject]), str(WORKERS / SUBJECTS[subject].worker)]
    command += ["--subject", subject, "--suites", *suites, "--store", store]
    command += ["--full", *map(str, sizes)]
    if choice.quick:
        command.append("--quick")
    # All of a turn have their sets and dictionaries in one order: another one takes another time.
    environment = {
        **os.environ,
        "PYTHONPATH": roots_of(subject),
        "PYTHONHASHSEED": str(turn),
    }
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)

    def run() -> dict[str, Any]:
        where = [*command, "--at", place()]
        done = subprocess.run(where, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"{', '.join(suites)}: {store}, {subject} failed:\n{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    found, stolen = (run(), 0.0) if choice.quick else undisturbed(run)
    results.stolen.append(stolen)
    results.versions[subject] = found["versions"]
    results.facts |= found["facts"]
    for suite, values in found["values"].items():
        results.add(suite, store, subject, values)


@contextmanager
def store_running(
    store: str, *, crowded: bool = False, quick: bool = False
) -> Iterator[Callable[[], str] | None]:
    """What a store needs.

    Args:
        store: For example ``redis``.
        crowded: Whether a database of Redis has a million keys.
        quick: Whether a few thousand do.

    Yields:
        What gives a place for one worker, with nothing in it: a new directory, or host and port of
        a server that was emptied. ``None`` if the server is not installed.
    """
    if shutil.which(BINARIES.get(store, "true")) is None:
        yield None
        return
    with TemporaryDirectory() as directory:
        if store == "memory":
            yield lambda: ""
        elif store == "files":
            yield lambda: _new_folder(directory)
        else:
            kind = RedisServer if store == "redis" else MemcachedServer
            server = kind(Path(directory))
            try:
                if crowded and store == "redis":
                    _crowd(server.address, MILLION // 100 if quick else MILLION)
                yield lambda: _emptied(store, server.address)
            finally:
                server.stop()


def _new_folder(directory: str) -> str:
    """An empty folder; those before it are removed, in a time that nobody is measured in."""
    for old in Path(directory).iterdir():
        shutil.rmtree(old)
    return mkdtemp(dir=directory)


def _emptied(store: str, address: tuple[str, int]) -> str:
    question = b"FLUSHDB\r\n" if store == "redis" else b"flush_all\r\n"
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(question)
        answer = connection.recv(100)
    if b"OK" not in answer:
        raise RuntimeError(f"{store} was not emptied: {answer!r}")
    return "{}:{}".format(*address)


def _crowd(address: tuple[str, int], number: int) -> None:
    """Store so many keys in a database of their own, in batches that a socket can hold."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"SELECT %d\r\n" % CROWDED)
        _read_lines(connection, 1)
        for begin in range(0, number, 1000):
            numbers = range(begin, min(begin + 1000, number))
            lines = [b"SET somebody:else:%d %b\r\n" % (each, b"a-value" * 15) for each in numbers]
            connection.sendall(b"".join(lines))
            _read_lines(connection, len(lines))


def _read_lines(connection: socket.socket, number: int) -> None:
    answer = b""
    while answer.count(b"\r\n") < number:
        answer += connection.recv(65536)
    if answer != b"+OK\r\n" * number:
        raise RuntimeError(f"Redis refused: {answer[:200]!r}")
