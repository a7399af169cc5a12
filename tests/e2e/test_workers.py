"""Several workers under gunicorn, on a real Redis: any of them shows what all have counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import RedisServer, wait_until
from web_servers import GunicornServer, PrometheusServer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gunicorn runs on POSIX only")

Samples = dict[tuple[str, ...], float]

THREADS = ("--workers", "2", "--threads", "4")


@pytest.fixture
def serve(tmp_path: Path, own_redis: RedisServer) -> Iterator[Callable[..., GunicornServer]]:
    """Starts the application: ``serve("--workers", "2")``."""
    started: list[GunicornServer] = []

    def start(*options: str, **environment: str) -> GunicornServer:
        variables = {"COUNTED_REDIS": own_redis.url, **environment}
        number = len(started)
        server = GunicornServer(
            tmp_path / f"web-{number}", "counted:app", *options, environment=variables
        )
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def read(text: str, name: str, *labels: str, **wanted: str) -> Samples:
    """Samples of one name by some of their labels."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"flask_caching_{name}" and wanted.items() <= sample.labels.items()
    }


def lookups(text: str) -> Samples:
    return read(text, "lookups_total", "source", "target", "result")


def scrapes(server: GunicornServer) -> dict[int, str]:
    """A scrape of each worker, by its process."""
    found: dict[int, str] = {}
    workers = set(server.workers())

    def all_answered() -> bool:
        text, worker = server.get("/metrics")
        found[worker] = text
        return workers <= found.keys()

    wait_until(all_answered, f"a scrape of each of {workers}")
    return found


def ask_all(server: GunicornServer, paths: list[str], threads: int = 8) -> None:
    """Get every path once, from several threads."""
    failures: list[BaseException] = []

    def work(mine: list[str]) -> None:
        try:
            for path in mine:
                server.get(path)
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=work, args=(paths[n::threads],)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not failures


def send_known_traffic(server: GunicornServer) -> Samples:
    """Requests whose lookups are known to the unit: the sum that any worker must show."""
    for number in range(200):
        server.get(f"/page/{number}")
    for number in range(10):
        server.get(f"/square/{number}")
    server.get("/zero")
    server.get("/zero/set")
    ask_all(server, [f"/page/{number % 200}" for number in range(600)])
    ask_all(server, [f"/square/{number % 10}" for number in range(100)])
    ask_all(server, ["/zero"] * 150)
    return {
        ("view", "page", "hit"): 600,
        ("view", "page", "miss"): 200,
        ("memoize", "counted.square", "hit"): 100,
        ("memoize", "counted.square", "miss"): 10,
        ("direct", "direct", "hit"): 150,
        ("direct", "direct", "miss"): 1,
    }


def is_shown_by_all(server: GunicornServer, expected: Samples) -> bool:
    return all(
        {key: number for key, number in lookups(text).items() if key in expected} == expected
        for text in scrapes(server).values()
    )


@pytest.mark.parametrize(
    "options",
    [THREADS, (*THREADS, "--preload"), ("--workers", "2", "--worker-class", "gevent")],
    ids=["threads", "preloaded", "gevent"],
)
def test_known_traffic_is_counted_to_the_unit(
    serve: Callable[..., GunicornServer], options: tuple[str, ...]
) -> None:
    """Views, functions and direct calls; 200 keys are about 200, from either worker."""
    server = serve(*options)
    expected = send_known_traffic(server)
    wait_until(lambda: is_shown_by_all(server, expected), f"{expected} from each worker", 5)
    found = scrapes(server)
    assert len(found) == 2
    for text in found.values():
        keys = read(text, "distinct_keys", "target", "window")
        assert 190 <= keys["page", "5m"] <= 210
        assert 190 <= keys["page", "1h"] <= 210
        assert keys["counted.square", "5m"] == 10
        assert read(text, "load_duration_seconds_count", "target", "outcome")["page", "ok"] == 200
        assert read(text, "loads_in_flight", "source") == {
            ("view",): 0,
            ("memoize",): 0,
            ("direct",): 0,
        }
        assert read(text, "backend_up", "backend") == {("redis",): 1}
        operations = read(text, "operation_duration_seconds_count", "operation")
        assert operations["set",] == 211
        sizes = read(text, "item_size_bytes_count", "direction")
        assert sizes["written",] >= 210


def test_counts_of_killed_workers_stay_and_files_do_not_grow(
    serve: Callable[..., GunicornServer],
) -> None:
    """A worker that takes the place of another one goes on in its files."""
    server = serve(*THREADS)
    server.get("/page/1")
    expected: Samples = {("view", "page", "miss"): 1}
    counted = 0
    files: set[str] = set()
    for _ in range(6):
        for _ in range(20):
            server.get("/page/1")
            counted += 1
        expected["view", "page", "hit"] = counted
        wait_until(lambda: is_shown_by_all(server, expected), f"{expected} from each worker", 5)
        server.kill_worker(server.workers()[0])
        files = files or {path.name for path in server.metrics.iterdir()}
    wait_until(lambda: is_shown_by_all(server, expected), f"{expected} from each worker", 5)
    ours = {path.name for path in server.metrics.iterdir() if "flaskcaching" in path.name}
    slots = {name for name in ours if name.startswith("counter")}
    assert len(slots) <= 3, sorted(ours)  # Two workers, and one that overlapped.
    assert read(next(iter(scrapes(server).values())), "breaker_state", "state") == {
        ("open",): 0,
        ("half_open",): 0,
    }


def test_a_worker_that_ends_in_order_leaves_its_last_counts(
    serve: Callable[..., GunicornServer],
) -> None:
    """What was counted in the last fifth of a second is written when the process ends."""
    server = serve("--workers", "1", "--threads", "4", "--max-requests", "11")
    (first,) = server.workers()
    for _ in range(10):
        server.get("/zero")  # With that of the readiness probe these are eleven.

    def shown_by_the_next() -> float:
        try:
            text, worker = server.get("/metrics")
        except OSError:
            return 0  # It came to the worker that is about to end.
        return worker != first and lookups(text)["direct", "direct", "miss"]

    wait_until(shown_by_the_next, "a scrape of the next worker", 10)
    assert shown_by_the_next() == 10


def test_the_gauges_mean_what_they_say(
    serve: Callable[..., GunicornServer], own_redis: RedisServer
) -> None:
    """Loads in flight while they are; a server that is gone is down, and up when it is back."""
    server = serve(*THREADS)
    loading = threading.Thread(target=ask_all, args=(server, ["/slow/1", "/slow/2"], 2))
    loading.start()

    def in_flight() -> float:
        text, _ = server.get("/metrics")
        return read(text, "loads_in_flight", "source").get(("memoize",), 0)

    wait_until(lambda: in_flight() == 2, "two loads in flight", 5)
    loading.join()
    wait_until(lambda: in_flight() == 0, "no load in flight", 5)
    own_redis.kill()

    def up() -> set[float]:
        server.get("/page/1")
        return {read(text, "backend_up")[()] for text in scrapes(server).values()}

    wait_until(lambda: up() == {0}, "the server to be down", 10)
    text, _ = server.get("/metrics")
    errors = read(text, "errors_total", "operation", "error_type", "handled")
    assert errors["get", "connection", "true"] > 0
    own_redis.restart()
    wait_until(lambda: up() == {1}, "the server to be up again", 30)


def test_a_real_prometheus_scrapes_it(
    serve: Callable[..., GunicornServer], start_server: Callable[..., Any]
) -> None:
    """Its sums are ours, whichever worker answers, and rates make sense."""
    server = serve(*THREADS)
    prometheus: PrometheusServer = start_server(PrometheusServer, f"{server.host}:{server.port}")
    expected = send_known_traffic(server)

    def counted() -> dict[tuple[tuple[str, str], ...], float]:
        return prometheus.query("sum by (source, target, result) (flask_caching_lookups_total)")

    wanted = {
        tuple(sorted({"source": source, "target": target, "result": result}.items())): number
        for (source, target, result), number in expected.items()
    }
    wait_until(lambda: wanted.items() <= counted().items(), f"{wanted} in Prometheus", 15)
    keys = prometheus.value('flask_caching_distinct_keys{target="page",window="5m"}')
    assert keys is not None
    assert 190 <= keys <= 210
    assert prometheus.value("up") == 1
    assert prometheus.value('flask_caching_backend_up{backend="redis"}') == 1


def test_prometheus_keeps_the_exemplars(
    serve: Callable[..., GunicornServer], start_server: Callable[..., Any]
) -> None:
    """From a number on a dashboard to the trace: of any worker, since each shows its own."""
    server = serve(*THREADS)
    prometheus: PrometheusServer = start_server(PrometheusServer, f"{server.host}:{server.port}")
    sent: set[str] = set()

    def found() -> set[str]:
        sent.update(server.get(f"/traced/{number}")[0] for number in range(5))
        name = "flask_caching_operation_duration_seconds_bucket"
        return {each["trace_id"] for each in prometheus.exemplars(name)} & sent

    wait_until(found, "an exemplar of ours in Prometheus", 20)


def test_requests_go_on_when_the_directory_is_emptied_or_gone(
    serve: Callable[..., GunicornServer],
) -> None:
    """Telemetry that fails changes nothing for the application; it begins again when it can."""
    server = serve(*THREADS)
    server.get("/page/1")
    for path in server.metrics.iterdir():
        path.unlink()
    for _ in range(20):
        assert server.get("/page/1")[0] == "page 1"

    def hits() -> float:
        text, _ = server.get("/metrics")
        return lookups(text).get(("view", "page", "hit"), 0)

    wait_until(lambda: hits() == 20, "twenty hits in new files", 5)
