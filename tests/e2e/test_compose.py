"""The compose file, as far as it can be tried without an engine that runs containers.

What it names is there and fits together, the programs that read its files accept them, and the
demo is started by its very command, in its very environment, from the files that its image gets.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from dashboards_queries import DASHBOARDS as BELOW
from dashboards_queries import dashboards
from servers import HOST, RedisServer, find_binary, free_port, wait_until

ROOT = BELOW.parent
COMPOSE: dict[str, Any] = yaml.safe_load((BELOW / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

#: What Prometheus 3 asks for.
ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

#: Keys of a service that are used here, all of the Compose Specification. A slip in one is no
#: error to every engine.
KEYS = {
    *("build", "command", "depends_on", "environment", "healthcheck", "image", "ports"),
    *("pull_policy", "restart", "tmpfs", "volumes"),
}

#: Programs that a healthcheck uses, and images that have them: busybox's wget is in the images of
#: Prometheus and Alertmanager, and in Alpine, which Grafana's and Redis's are made of.
PROGRAMS = {
    "wget": {"prom/prometheus", "prom/alertmanager", "grafana/grafana"},
    "redis-cli": {"redis"},
    "python": {"flask-caching-demo"},
}


def mounts(service: str) -> dict[str, Path]:
    """Files of this tree, by where a service sees them."""
    found = {}
    for mount in SERVICES[service].get("volumes", ()):
        source, target, mode = mount.split(":")
        assert mode == "ro"
        found[target] = (BELOW / source).resolve()
    return found


def read_mounted(service: str, path: str) -> Any:
    """A YAML file as a service sees it."""
    return yaml.safe_load(mounts(service)[path].read_text())


@pytest.mark.parametrize("name", SERVICES)
class TestServices:
    def test_every_key_is_known(self, name: str) -> None:
        """And what may be of several forms is of the one that the tests below read."""
        assert SERVICES[name].keys() <= KEYS
        assert all(isinstance(part, str) for part in SERVICES[name].get("command", ()))
        # Numbers and booleans of YAML are no variables of an environment.
        assert all(isinstance(each, str) for each in SERVICES[name].get("environment", {}).values())

    def test_images_are_pinned(self, name: str) -> None:
        """To a whole version, or they are made here."""
        image = SERVICES[name]["image"]
        assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", image) or image == "flask-caching-demo"

    def test_everything_mounted_is_there(self, name: str) -> None:
        """An engine makes a folder of what is missing, and goes on."""
        assert [path for path in mounts(name).values() if not path.exists()] == []

    def test_what_it_waits_for_has_a_healthcheck(self, name: str) -> None:
        """Which is what ``service_healthy`` is about."""
        for other, condition in SERVICES[name].get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]

    def test_its_healthcheck_asks_a_port_that_it_serves_with_a_program_that_it_has(
        self, name: str
    ) -> None:
        """Those that serve nothing have none."""
        check = SERVICES[name].get("healthcheck")
        if check is None:
            assert "ports" not in SERVICES[name]
            return
        kind, program, *arguments = check["test"]
        assert kind == "CMD"
        assert SERVICES[name]["image"].partition(":")[0] in PROGRAMS[program]
        asked = re.findall(r"http://127\.0\.0\.1:(\d+)/", " ".join(arguments))
        assert asked == [mapping.split(":")[2] for mapping in SERVICES[name].get("ports", ())]

    def test_only_this_machine_can_reach_it(self, name: str) -> None:
        """Nothing here has a password."""
        for mapping in SERVICES[name].get("ports", ()):
            host, outside, inside = mapping.split(":")
            assert (host, outside) == (HOST, inside)


def test_programs_listen_where_others_expect_them() -> None:
    """By the commands, or by the defaults of the images."""
    (demo,) = re.findall(r"--bind 0\.0\.0\.0:(\d+)", " ".join(SERVICES["demo"]["command"]))
    assert SERVICES["readers"]["command"][-2:] == ["demo", demo]
    assert SERVICES["demo"]["environment"]["CACHE_REDIS_URL"] == "redis://redis:6379/0"
    prometheus = read_mounted("prometheus", "/etc/prometheus/prometheus.yml")
    scraped = {
        job["job_name"]: [target for each in job["static_configs"] for target in each["targets"]]
        for job in prometheus["scrape_configs"]
    }
    assert scraped == {"demo": [f"demo:{demo}"]}
    (told,) = prometheus["alerting"]["alertmanagers"]
    assert told["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert SERVICES["alertmanager"]["ports"] == ["127.0.0.1:9093:9093"]


def test_prometheus_accepts_its_configuration_and_every_rule(tmp_path: Path) -> None:
    """``promtool check config``, with the rule files where they are mounted."""
    there = mounts("prometheus")
    config = read_mounted("prometheus", "/etc/prometheus/prometheus.yml")
    assert set(config["rule_files"]) == there.keys() - {"/etc/prometheus/prometheus.yml"}
    assert {path.name for path in there.values()} >= {"recording.yml", "alerts.yml"}
    config["rule_files"] = [str(there[path]) for path in config["rule_files"]]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    said = run(find_binary("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    assert said.count("SUCCESS") == 4
    flags = dict(flag.partition("=")[::2] for flag in SERVICES["prometheus"]["command"])
    assert flags["--config.file"] in there


def test_alertmanager_accepts_its_configuration() -> None:
    """``amtool check-config``; pages and tickets are told apart."""
    flags = dict(flag.partition("=")[::2] for flag in SERVICES["alertmanager"]["command"])
    path = mounts("alertmanager")[flags["--config.file"]]
    assert "SUCCESS" in run(find_binary("amtool"), "check-config", str(path))
    routed = {
        severity: run(
            *(find_binary("amtool"), "config", "routes", "test", f"--config.file={path}"),
            f"severity={severity}",
        ).strip()
        for severity in ("page", "ticket")
    }
    assert routed == {"page": "pager", "ticket": "tickets"}


def test_grafana_finds_its_data_source_and_every_dashboard() -> None:
    """The data source is of the kind that the dashboards' variable offers."""
    folder = "/etc/grafana/provisioning"
    (source,) = read_mounted("grafana", f"{folder}/datasources/prometheus.yml")["datasources"]
    (provider,) = read_mounted("grafana", f"{folder}/dashboards/flask-caching.yml")["providers"]
    address = re.fullmatch(r"http://(\w+):(\d+)", source["url"])
    assert address is not None
    assert SERVICES[address[1]]["ports"] == [f"127.0.0.1:{address[2]}:{address[2]}"]
    assert source["isDefault"]
    prometheus = read_mounted("prometheus", "/etc/prometheus/prometheus.yml")
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    assert mounts("grafana")[provider["options"]["path"]] == BELOW / "grafana"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert home.stem in dashboards()
    for board in dashboards().values():
        variable = board["templating"]["list"][0]
        assert (variable["name"], variable["query"]) == ("datasource", source["type"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the image, with what it would copy; its package is built."""
    top = tmp_path_factory.mktemp("image")
    for workdir, sources, target in copies():
        for source in sources:
            copy_allowed(ROOT / source, top / workdir.lstrip("/") / target.lstrip("/"))
    build = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet")
    run(sys.executable, *build, "--wheel-dir", str(top / "wheel"), str(top / "src"))
    return top


class TestImage:
    """What the Dockerfile copies, and what comes of it."""

    def test_its_package_is_complete(self, built: Path) -> None:
        """It is built from nothing but what was copied, and brings both packages."""
        (wheel,) = (built / "wheel").glob("*.whl")
        listed = run(sys.executable, "-m", "zipfile", "--list", str(wheel))
        assert "flask_caching/py.typed" in listed
        assert "flask_caching_instrumentation/__init__.py" in listed

    def test_it_installs_what_the_tests_ran_with(self) -> None:
        """The same gunicorn; Redis's client by the extra that the manual names."""
        (line,) = (each for each in dockerfile() if each.startswith("RUN pip install"))
        wanted = shlex.split(line.removeprefix("RUN "))
        (gunicorn,) = (each for each in wanted if each.startswith("gunicorn"))
        assert gunicorn in (ROOT / "requirements/dev.txt").read_text().splitlines()
        assert ".[redis]" in wanted

    def test_the_demo_starts_as_the_file_says(
        self, built: Path, own_redis: RedisServer, tmp_path: Path
    ) -> None:
        """By its command and environment, but for addresses; readers read it; it can be scraped."""
        port = free_port()
        (tmp_path / "metrics").mkdir()
        places = {
            "redis://redis:6379/0": own_redis.url,
            "/run/metrics": str(tmp_path / "metrics"),
            "0.0.0.0:8000": f"{HOST}:{port}",
            "demo": HOST,
            "8000": str(port),
        }
        environment = {
            name: places.get(value, value)
            for name, value in SERVICES["demo"]["environment"].items()
        }
        assert SERVICES["demo"]["tmpfs"] == [
            SERVICES["demo"]["environment"]["PROMETHEUS_MULTIPROC_DIR"]
        ]
        with (
            running("demo", built, places, environment) as demo,
            running("readers", built, places, {}) as readers,
        ):
            wait_until(lambda: scraped(port, "hit") > 20, "twenty hits of the readers", 90)
            assert demo.poll() is None
            assert readers.poll() is None
            text, kind = scrape(port)
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        assert 'cache="pages"' in text
        assert 'flask_caching_backend_up{backend="redis",cache="pages"} 1.0' in text
        checked = SERVICES["demo"]["healthcheck"]["test"]
        assert "/metrics" in checked[-1]


def dockerfile() -> list[str]:
    """Its instructions."""
    lines = (BELOW / "compose" / "Dockerfile").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def copies() -> Iterator[tuple[str, list[str], str]]:
    """Of each ``COPY``: where it happens, from what, and to what."""
    workdir = ""
    for line in dockerfile():
        name, _, rest = line.partition(" ")
        if name == "WORKDIR":
            workdir = rest
        elif name == "COPY":
            *sources, target = rest.split()
            yield ("" if target.startswith("/") else workdir), sources, target


def allowed(path: Path) -> bool:
    """Whether the file that says what to leave out lets a path in."""
    lines = (BELOW / "compose" / "Dockerfile.dockerignore").read_text().split()
    relative, let_in = path.relative_to(ROOT), True
    for line in lines:
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = [relative, *relative.parents][:-1]
        names = [part.name for part in parts] if line.startswith("**/") else map(str, parts)
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            let_in = line.startswith("!")
    return let_in


def copy_allowed(source: Path, target: Path) -> None:
    """Copy as ``COPY`` does: the contents of a folder, or a file into one."""
    assert allowed(source), source
    if source.is_dir():
        for path in source.rglob("*"):
            if path.is_file() and allowed(path):
                there = target / path.relative_to(source)
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, there)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / source.name)


class running:
    """A service's command, from its image's folder, ended with the block."""

    def __init__(
        self, name: str, built: Path, places: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        command = [places.get(part, part) for part in SERVICES[name]["command"]]
        if command[0] in ("gunicorn", "python"):
            module = ["-m", "gunicorn"] if command[0] == "gunicorn" else []
            command = [sys.executable, *module, *command[1:]]
        path = os.pathsep.join([str(built / "src"), str(built / "src" / "instrumentation")])
        self.process = subprocess.Popen(
            command,
            cwd=built / "demo",
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


def scrape(port: int) -> tuple[str, str]:
    """What Prometheus 3 would get, and its media type."""
    request = Request(f"http://{HOST}:{port}/metrics", headers={"Accept": ACCEPTS})
    with urlopen(request, timeout=20) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def scraped(port: int, result: str) -> float:
    """Lookups by their result; 0 while nobody answers."""
    try:
        text, _ = scrape(port)
    except OSError:
        return 0
    found = re.findall(rf'lookups_total\{{.*result="{result}".*\}} ([\d.]+)', text)
    return sum(map(float, found))


def run(*command: str) -> str:
    """What a program says, which must not fail."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
