"""What is shipped: built, installed where nothing else is, and used there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "flask_caching": ROOT / "flask_caching",
    "flask_caching_instrumentation": ROOT / "instrumentation" / "flask_caching_instrumentation",
}

#: Prints, as JSON, what an installed copy says of itself.
ABOUT = """
    import importlib.metadata, json, flask_caching, flask_caching_instrumentation
    about = importlib.metadata.metadata("Flask-Caching")
    print(json.dumps({
        "name": about["Name"],
        "version": about["Version"],
        "license": about["License-Expression"],
        "license files": about.get_all("License-File"),
        "python": about["Requires-Python"],
        "extras": sorted(about.get_all("Provides-Extra")),
        "places": [flask_caching.__file__, flask_caching_instrumentation.__file__],
    }))
"""

#: Prints, as JSON, what a cached view answers twice, how often it ran, its metrics, and whether
#: the debug pages are there.
TINY_APPLICATION = """
    import json
    from flask import Flask
    from flask_caching import Cache

    app = Flask("tiny")
    app.debug = True
    app.config.update(CACHE_TYPE="SimpleCache", CACHE_METRICS_PATH="/metrics", CACHE_DEBUG_UI=True)
    cache = Cache(app)
    runs = []

    @app.get("/")
    @cache.cached(timeout=60)
    def index():
        runs.append(1)
        return "hello"

    client = app.test_client()
    print(json.dumps({
        "answers": [client.get("/").text, client.get("/").text],
        "runs": len(runs),
        "metrics": client.get("/metrics").text,
        "pages": {
            path: client.get(f"/_cache/{path}").status_code
            for path in ("", "keys", "tester?url=/", "audit", "live", "static/debug.css",
                         "static/debug.js", "static/icon.svg", "api/v1/openapi.json")
        },
    }))
"""

#: What a type checker must know of an installed copy.
TYPED_APPLICATION = """
    from typing import assert_type
    from flask_caching import Cache

    cache = Cache()

    @cache.memoize(timeout=60)
    def double(number: int) -> int:
        return 2 * number

    assert_type(double(2), int)
    double("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it requires, no more."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    _run(*pip, "install", "--no-index", "--no-deps", "--quiet", wheel)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in _required_by(wheel):
        _copy_distribution(name, site_packages)
    _run(*pip, "check")
    return python


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    """Every file of both packages, what the debug pages are made of too, and no other name."""
    shipped = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "flask_caching/py.typed",
        "flask_caching_instrumentation/py.typed",
        "flask_caching_instrumentation/debug/openapi.json",
        "flask_caching_instrumentation/debug/static/debug.css",
        "flask_caching_instrumentation/debug/static/debug.js",
        "flask_caching_instrumentation/debug/static/icon.svg",
        "flask_caching_instrumentation/debug/templates/base.html",
    } <= expected
    about = {name for name in shipped if name.startswith("flask_caching-3.0.0.dist-info/")}
    assert shipped - about == expected


def test_the_source_distribution_can_be_worked_on(built: Path) -> None:
    """It holds the tests, the manual and the files that the recipes need."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "CHANGES.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "docs/conf.py",
        "flask_caching/py.typed",
        "instrumentation/flask_caching_instrumentation/py.typed",
        "pyproject.toml",
        "requirements/dev.txt",
        "tests/packaging/test_wheel.py",
        "tests/tools/make-venv",
    } <= names
    assert [name for name in names if "__pycache__" in name or name.startswith(".venv")] == []


def test_an_installed_copy_says_what_it_is(python: Path, tmp_path: Path) -> None:
    """Version, licence, Python and extras are in its metadata; it is the copy that is imported."""
    about = _run_script(python, ABOUT, tmp_path)
    places = [Path(place) for place in about.pop("places")]
    assert about == {
        "name": "Flask-Caching",
        "version": "3.0.0",
        "license": "BSD-3-Clause",
        "license files": ["LICENSE"],
        "python": ">=3.11",
        "extras": ["all", "memcached", "otlp", "redis", "sasl", "zstd"],
    }
    assert [place for place in places if python.parents[1] not in place.parents] == []


def test_an_installed_copy_caches_and_counts(python: Path, tmp_path: Path) -> None:
    """A tiny application gets a hit, and ``/metrics`` says so; the debug pages are there."""
    ran = _run_script(python, TINY_APPLICATION, tmp_path)
    assert ran["answers"] == ["hello", "hello"]
    assert ran["runs"] == 1
    assert set(ran["pages"].values()) == {200}
    (hits,) = [
        line
        for line in ran["metrics"].splitlines()
        if line.startswith("flask_caching_lookups_total{")
        and 'result="hit"' in line
        and 'target="index"' in line
    ]
    assert hits.endswith(" 1.0")


@pytest.mark.parametrize(
    "checker",
    [
        pytest.param(["mypy", "--strict", "--python-executable"], id="mypy"),
        pytest.param(["pyright", "--pythonpath"], id="pyright"),
    ],
)
def test_an_installed_copy_is_typed(checker: list[str], python: Path, tmp_path: Path) -> None:
    """A consumer's type checker sees the signatures, so a wrong argument is an error."""
    (tmp_path / "application.py").write_text(dedent(TYPED_APPLICATION))
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pyright]\n"
        'typeCheckingMode = "strict"\n'
        "enableTypeIgnoreComments = false\n"
        "reportUnnecessaryTypeIgnoreComment = true\n"
    )
    _run(sys.executable, "-m", *checker, python, "application.py", cwd=tmp_path)


def _required_by(wheel: Path) -> set[str]:
    """The distributions that a wheel requires without extras, those they require included."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        about = metadata.PathDistribution(zipfile.Path(archive, name.removesuffix("METADATA")))
        waiting = list(about.requires or [])
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in found:
            found.add(requirement.name)
            waiting += metadata.requires(requirement.name) or []
    return found


def _copy_distribution(name: str, site_packages: Path) -> None:
    """Install a distribution from the running environment, without an index to fetch it from."""
    for file in metadata.files(name) or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)


def _run_script(python: Path, script: str, cwd: Path) -> Any:
    return json.loads(_run(python, "-c", dedent(script), cwd=cwd))


def _run(*command: object, cwd: Path | None = None) -> str:
    """Run a command without what points Python at this repository; give what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout
