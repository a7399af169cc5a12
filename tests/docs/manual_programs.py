"""A page of the manual as the programs that its reader has typed in.

A block that names a file is that file. All other Python blocks of a page are one program, on the
lines where they stand in the page, so that a traceback leads there.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import pytest
from manual_blocks import ROOT, Block, Page
from manual_shell import substituted
from servers import free_port

__all__ = ["PATH_OF_TOOLS", "Surroundings", "program_of", "run_alone", "run_page", "surroundings"]

#: Programs of this environment, before those of the machine.
PATH_OF_TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

#: What ``needs:`` can name beside modules: fixtures of tests/conftest.py, and the port that a page
#: shows for each.
_FIXTURES = {"redis": ("redis_server", "6379"), "memcached": ("memcached_server", "11211")}

_IS_INSTALLED = True
try:
    distribution("Flask-Caching")
except PackageNotFoundError:
    _IS_INSTALLED = False

#: ``flask`` where the package is not installed but on the path, as in the oldest environments.
_FLASK = """#!{python}
import sys
import flask.cli
from flask_caching_instrumentation.cli import cache
cli = flask.cli.FlaskGroup(name="flask", create_app=None)
cli.add_command(cache, "cache")
sys.exit(cli.main())
"""


class Surroundings:
    """What a page needs to run: servers, ports, a folder, variables.

    Attributes:
        page: The page.
        folder: Where it runs; empty.
        variables: Addresses of servers, as applications take them.
        numbers: Ports that the page shows, and those that stand for them.
        made_up: Of these, the ports that nobody listens on yet.
    """

    def __init__(self, page: Page, folder: Path, request: pytest.FixtureRequest) -> None:
        self.page = page
        self.folder = folder
        self.variables: dict[str, str] = {}
        self.numbers: dict[str, str] = {}
        for need in page.words("needs"):
            if need not in _FIXTURES:
                _import_or_skip(need)
                continue
            fixture, shown = _FIXTURES[need]
            server = request.getfixturevalue(fixture)
            self.numbers[shown] = str(server.port)
            self.variables |= _addresses(need, server)
        self.made_up = {shown: str(free_port()) for shown in page.words("ports")}
        self.numbers |= self.made_up

    def text_of(self, block: Block) -> str:
        """A block's text, with ports of this machine."""
        return substituted(block.text, self.numbers)

    def write_files(self) -> list[Path]:
        """Write the page's files into the folder, and its program as ``app.py``."""
        application = self.page.notes.get("application")
        written: list[Path] = []
        if application:
            shutil.copytree(ROOT / "tests/docs/applications", self.folder, dirs_exist_ok=True)
        for block in self.page.blocks:
            if block.file:
                written.append(self.folder / block.file)
                written[-1].parent.mkdir(parents=True, exist_ok=True)
                written[-1].write_text(self.text_of(block), encoding="utf-8")
        program = self.folder / "app.py"
        if program not in written and self.page.of("python") and not application:
            program.write_text(substituted(program_of(self.page), self.numbers), encoding="utf-8")
        return written

    def environment(self) -> dict[str, str]:
        """Variables for a process that runs the page's files."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        sources = [str(ROOT), str(ROOT / "instrumentation"), str(self.folder)]
        path = PATH_OF_TOOLS
        if not _IS_INSTALLED:
            tools = self.folder.parent / f"{self.folder.name}-tools"
            tools.mkdir(exist_ok=True)
            (tools / "flask").write_text(_FLASK.format(python=sys.executable))
            (tools / "flask").chmod(0o755)
            path = f"{tools}{os.pathsep}{path}"
        return {
            **kept,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(sources),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
            "FLASK_APP": self.page.notes.get("application", "app"),
            **self.variables,
        }


def _addresses(need: str, server: Any) -> dict[str, str]:
    address = f"{server.host}:{server.port}"
    if need == "redis":
        return {"CACHE_REDIS_URL": f"redis://{address}/0", "REDIS_URL": f"redis://{address}/0"}
    return {"CACHE_MEMCACHED_SERVERS": address}


def _import_or_skip(module: str) -> None:
    """Have a module, or skip; the environment that builds the manual has all of them."""
    try:
        __import__("sphinx")
    except ImportError:
        pytest.importorskip(module)
    else:
        __import__(module)


@contextmanager
def surroundings(
    page: Page, folder: Path, request: pytest.FixtureRequest, patch: pytest.MonkeyPatch
) -> Iterator[Surroundings]:
    """Be in a page's folder, with its variables set, and leave no module of it behind.

    Nor does it find one that somebody else has imported under the name of a file of its own.
    """
    around = Surroundings(page, folder, request)
    for name, value in around.variables.items():
        patch.setenv(name, value)
    patch.chdir(folder)
    patch.syspath_prepend(str(folder))
    for block in page.of("python"):
        patch.delitem(sys.modules, Path(block.file).stem, raising=False)
    before = set(sys.modules)
    yield around
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]


def program_of(page: Page) -> str:
    """The Python blocks of a page that name no file, each on the lines where it stands."""
    lines = [""] * (page.text.count("\n") + 1)
    for block in page.of("python"):
        if not block.file:
            code = block.text.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


def run_page(page: Page, around: Surroundings | None = None) -> dict[str, Any]:
    """Run a page's program, then its Python files.

    Returns:
        The names of the program, or, if there is none, those of the files.
    """
    numbers: Mapping[str, str] = around.numbers if around else {}
    code = substituted(program_of(page), numbers)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    files = around.write_files() if around else []
    exec(compile(code, str(ROOT / page.path), "exec"), namespace)
    for file in files:
        if file.suffix == ".py":
            made = runpy.run_path(str(file), run_name=file.stem)
            namespace = namespace if code.strip() else {**namespace, **made}
    return namespace


#: Runs files as modules of certain names.
_RUNNER = """
import runpy, sys
for path, name in zip(sys.argv[1::2], sys.argv[2::2]):
    runpy.run_path(path, run_name=name)
"""


def run_alone(page: Page, around: Surroundings) -> subprocess.CompletedProcess[str]:
    """Run a page's program, then its Python files, in a process of its own.

    So a page may set what a process has one of: a tracer provider, a registry. Warnings are errors,
    but for those of old libraries, which were written for other Pythons.
    """
    files = [(str(file), file.stem) for file in around.write_files() if file.suffix == ".py"]
    program = around.folder / f"program_of_{Path(page.path).stem.replace('-', '_')}.py"
    program.write_text(substituted(program_of(page), around.numbers), encoding="utf-8")
    arguments = [word for each in [(str(program), "__main__"), *files] for word in each]
    old = [] if version("Flask") >= "3" else ["-W", "ignore::DeprecationWarning"]
    return subprocess.run(
        [sys.executable, "-W", "error", *old, "-c", _RUNNER, *arguments],
        cwd=around.folder,
        env=around.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
