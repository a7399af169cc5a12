"""Two gunicorn workers under ``wrk``: requests a second, and what each takes of the processor.

In each turn there are new servers. Two processes of one application differ by several per cent for
as long as they live, since each has its objects at other places and its sets in another order: more
than telemetry costs. In a turn all subjects have the same order, and all run at once and wait
while one of them is loaded, so that they are loaded within seconds of one another.

The workers fill a core, so the rate is what a request takes of it, upside down. The second is the
steadier of the two: what others take of that core is not in it.

Everything is on this machine, and each run of ``wrk`` ends by itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean, harmonic_mean
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.request import urlopen

from servers import Server, wait_until

from benchmarks.machine import undisturbed
from benchmarks.results import Results
from benchmarks.running import BINARIES, WORKERS, Choice, one_core, roots_of, store_running
from benchmarks.suites import SUITES, UNDER_LOAD

__all__ = ["ALL", "measure_load"]

#: The pages of ``workers/run_web.py``: a cached one, one with a query string, one that calls a
#: memoized function.
PAGES = {"page": "/page", "search": "/search?page=2&order=name", "total": "/total"}
#: Those of an application without a cache: one that returns a constant, one that asks redis-py.
FLOORS = {
    "memory": {"constant": "/constant"},
    "redis": {"constant": "/constant", "redis-py GET": "/get"},
}
#: A third of the requests to each of the pages.
ALL = "all pages"
SECONDS = 1
CONNECTIONS = 8
#: Of gunicorn: its threads keep connections open, and there is one for each of ``wrk``.
WORKER_PROCESSES = 2
THREADS = 4


class Gunicorn(Server):
    """Two workers of one subject's application; with telemetry, they share what they count."""

    def __init__(
        self, directory: Path, python: Path, subject: str, store: str, at: str, seed: int
    ) -> None:
        self.python = python
        self._roots = roots_of(subject)
        metrics = directory / "metrics"
        metrics.mkdir(parents=True)
        self._variables = {
            "BENCH_SUBJECT": subject,
            "BENCH_STORE": store,
            "BENCH_AT": at,
            "PYTHONHASHSEED": str(seed),
        }
        if subject == "ours":
            self._variables["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        self._workers: set[str] = set()
        super().__init__(directory)

    def get(self, path: str) -> str:
        """The body of a page."""
        with urlopen(f"http://{self.host}:{self.port}{path}", timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    def processor_seconds(self) -> float | None:
        """What both workers have taken of the processor; ``None`` where the system does not say."""
        if len(self._workers) < WORKER_PROCESSES:
            wait_until(self._know_workers, "an answer of each worker")
        told = [Path("/proc", worker, "task").glob("*/schedstat") for worker in self._workers]
        spent = [_nanoseconds(thread) for thread in chain.from_iterable(told)]
        return sum(spent) / 1e9 if spent else None

    def _know_workers(self) -> bool:
        self._workers.add(self.get("/worker"))
        return len(self._workers) == WORKER_PROCESSES

    def _command(self) -> Sequence[str]:
        return [
            *(str(self.python), "-m", "gunicorn", "--workers", str(WORKER_PROCESSES)),
            *("--bind", f"{self.host}:{self.port}", "--chdir", str(WORKERS)),
            *("--worker-class", "gthread", "--threads", str(THREADS)),
            *("--no-control-socket", "run_web:app"),
        ]

    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": self._roots, **self._variables}

    def _answers(self) -> bool:
        try:
            return self.get("/process") == str(self.pid)
        except OSError:
            return False


def _nanoseconds(thread: Path) -> int:
    """What a thread has taken, by its ``schedstat``."""
    try:
        return int(thread.read_text().split()[0])
    except OSError:
        return 0  # It has ended in the meantime.


class Loaded(NamedTuple):
    """What a page did in a turn: requests a second, and processor seconds for each of them."""

    rate: float
    seconds: float | None


def measure_load(choice: Choice, results: Results) -> None:
    """All turns on all stores."""
    if shutil.which("wrk") is None:
        results.skip("load: wrk is not installed (on Debian: apt-get install wrk)")
        return
    for store in SUITES["load"].subjects:
        if store not in choice.stores:
            continue
        for turn in range(choice.turns_of("load")):
            with store_running(store) as place:
                if place is None:
                    results.skip(f"load, {store}: {BINARIES[store]} is not installed")
                    break
                choice.say(f"load, {store}, turn {turn + 1}")
                _measure_turn(turn, store, place(), choice, results)


def _measure_turn(turn: int, store: str, place: str, choice: Choice, results: Results) -> None:
    names = [each for each in choice.interpreters if choice.suites_of(each, store, ["load"])]
    # Whoever comes first has the machine as others left it: each does so now and then.
    first = turn % len(names)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        servers: dict[str, Gunicorn] = {}
        for database, subject in enumerate(names):
            # A database for each: they do not read one another's entries.
            at = f"{place}/{database}" if store == "redis" else place
            python = choice.interpreters[subject]
            # Both workers on one core, which they fill; `wrk` and Redis have the others. On all of
            # them one run differs from the next by a factor of two, as they push one another away.
            with one_core():
                servers[subject] = Gunicorn(folder / subject, python, subject, store, at, turn)
            stack.callback(servers[subject].stop)
        measured = _measure_pages(names[first:] + names[:first], servers, store, choice, results)
        for subject, pages in measured.items():
            _add(results, choice.suites, store, subject, pages)


def _measure_pages(
    names: Sequence[str],
    servers: dict[str, Gunicorn],
    store: str,
    choice: Choice,
    results: Results,
) -> dict[str, dict[str, Loaded]]:
    """Load each page of each subject."""
    measured: dict[str, dict[str, Loaded]] = {name: {} for name in names}
    for page, path in (PAGES | FLOORS[store]).items():
        for subject in names:
            if (subject == "floor") != (page in FLOORS[store]):
                continue
            choice.say(f"  {page}, {subject}")
            # What `wrk` says can be read of one page as well as of all.
            if choice.quick and page not in ("page", "constant"):
                _texts(servers[subject], path)
                continue
            measure = partial(_load, servers[subject], path)
            loaded, stolen = (measure(), 0.0) if choice.quick else undisturbed(measure)
            results.stolen.append(stolen)
            measured[subject][page] = loaded
    return measured


def _add(
    results: Results, suites: Sequence[str], store: str, subject: str, pages: dict[str, Loaded]
) -> None:
    """Take in what one turn of one subject gave."""
    rates = {page: loaded.rate for page, loaded in pages.items()}
    spent = {page: loaded.seconds for page, loaded in pages.items() if loaded.seconds is not None}
    if rates.keys() == PAGES.keys():
        # Each was loaded for the same time, so the mean has as many requests of each.
        rates[ALL] = harmonic_mean(rates.values())
    if spent.keys() == PAGES.keys():
        spent[ALL] = fmean(spent.values())
    if not spent:
        results.skip("processor: the system does not say what a process takes (Linux does)")
    for suite, numbers in zip(UNDER_LOAD, (rates, spent), strict=True):
        if suite in suites:
            results.add(suite, store, subject, numbers)


def _texts(server: Gunicorn, path: str) -> set[str]:
    """The texts that a page has: each worker may have one of its own, if there are only hits.

    Raises:
        RuntimeError: If there are more.
    """
    texts = {server.get(path) for _ in range(20)}
    if len(texts) > WORKER_PROCESSES:
        raise RuntimeError(f"{path} has {len(texts)} texts: not only hits")
    return texts


def _load(server: Gunicorn, path: str) -> Loaded:
    """Load one page.

    Raises:
        RuntimeError: If an answer was not a success, or the page was made anew.
    """
    texts = _texts(server, path)
    before = server.processor_seconds()
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{SECONDS}s", f"http://{server.host}:{server.port}{path}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    after = server.processor_seconds()
    if len(texts | _texts(server, path)) > WORKER_PROCESSES:
        raise RuntimeError(f"{path} was made anew under load: not only hits")
    requests, rate = read_report(done.stdout)
    if before is None or after is None:
        return Loaded(rate, None)
    return Loaded(rate, (after - before) / requests)


def read_report(report: str) -> tuple[int, float]:
    """What ``wrk`` reports: the number of requests, and how many there were a second.

    Raises:
        RuntimeError: If an answer was not a success, or there was none.
    """
    requests = re.search(r"^\s*(\d+) requests in ", report, re.MULTILINE)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.MULTILINE)
    failed = "Non-2xx" in report or re.search(r"(connect|write|timeout) [1-9]", report)
    if requests is None or rate is None or failed:
        raise RuntimeError(f"not all of it was answered:\n{report}")
    return int(requests[1]), float(rate[1])
