"""Requests a second of two gunicorn workers under ``wrk``: with the cache, telemetry on and off.

In each turn there are new servers. Two processes of one application differ by several per cent for
as long as they live, since each has its objects at other places and its sets in another order: more
than telemetry costs. In a turn all subjects have the same order, and all run at once and wait
while one of them is loaded, so that they are loaded within seconds of one another.

Everything is on this machine, and each run of ``wrk`` ends by itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import fmean, harmonic_mean
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from servers import Server

from benchmarks.machine import undisturbed
from benchmarks.results import Results
from benchmarks.running import BINARIES, WORKERS, Choice, one_core, roots_of, store_running
from benchmarks.suites import SUITES

__all__ = ["ALL", "measure_load"]

#: The pages of ``workers/run_web.py``: a cached one, one with a query string, one that calls a
#: memoized function.
PAGES = {"page": "/page", "search": "/search?page=2&order=name", "total": "/total"}
CONSTANT = {"constant": "/constant"}
#: A third of the requests to each of the pages.
ALL = "all pages"
SECONDS = 1
#: How often a page is loaded in a turn.
ROUNDS = 2
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
        super().__init__(directory)

    def get(self, path: str) -> str:
        """The body of a page."""
        with urlopen(f"http://{self.host}:{self.port}{path}", timeout=20) as answer:
            text: str = answer.read().decode()
            return text

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
        for subject, rates in _rates(
            names[first:] + names[:first], servers, choice, results
        ).items():
            if rates.keys() == PAGES.keys():
                rates[ALL] = harmonic_mean(rates.values())
            results.add("load", store, subject, rates)


def _rates(
    names: Sequence[str], servers: dict[str, Gunicorn], choice: Choice, results: Results
) -> dict[str, dict[str, float]]:
    """Requests a second by subject and page."""
    measured: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for turn in range(1 if choice.quick else ROUNDS):
        for page, path in (PAGES | CONSTANT).items():
            for subject in names:
                if (subject == "floor") != (page in CONSTANT):
                    continue
                choice.say(f"  {page}, {subject}, {turn + 1}")
                # What `wrk` says can be read of one page as well as of all.
                if choice.quick and page not in ("page", "constant"):
                    _texts(servers[subject], path)
                    continue
                measure = partial(_rate, servers[subject], path)
                rate, stolen = (measure(), 0.0) if choice.quick else undisturbed(measure)
                results.stolen.append(stolen)
                measured[subject].setdefault(page, []).append(rate)
    # Each was loaded for the same time, so the mean has as many requests.
    return {
        subject: {page: fmean(rates) for page, rates in pages.items()}
        for subject, pages in measured.items()
    }


def _texts(server: Gunicorn, path: str) -> set[str]:
    """The texts that a page has: each worker may have one of its own, if there are only hits.

    Raises:
        RuntimeError: If there are more.
    """
    texts = {server.get(path) for _ in range(20)}
    if len(texts) > WORKER_PROCESSES:
        raise RuntimeError(f"{path} has {len(texts)} texts: not only hits")
    return texts


def _rate(server: Gunicorn, path: str) -> float:
    """Requests a second of one page, of which none was a miss.

    Raises:
        RuntimeError: If an answer was not a success, or the page was made anew.
    """
    before = _texts(server, path)
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{SECONDS}s", f"http://{server.host}:{server.port}{path}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    if len(before | _texts(server, path)) > WORKER_PROCESSES:
        raise RuntimeError(f"{path} was made anew under load: not only hits")
    return rate_in(done.stdout)


def rate_in(report: str) -> float:
    """What ``wrk`` reports as requests a second.

    Raises:
        RuntimeError: If an answer was not a success, or there was none.
    """
    found = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.MULTILINE)
    if found is None or "Non-2xx" in report or re.search(r"(connect|write|timeout) [1-9]", report):
        raise RuntimeError(f"not all of it was answered:\n{report}")
    return float(found[1])
