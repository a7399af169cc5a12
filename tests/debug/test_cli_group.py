"""``flask cache``: a group that costs nothing until one of its commands runs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from cli_runs import ROOT, Program, run
from flask import Flask
from flask.cli import AppGroup, ScriptInfo

from flask_caching import Cache
from flask_caching_instrumentation import cli
from flask_caching_instrumentation.cli import _COMMANDS
from flask_caching_instrumentation.cli import cache as group

#: What must not be imported for ``flask run``.
HEAVY = (
    "flask_caching.",
    "jinja2.ext",
    "opentelemetry",
    "prometheus_client",
    "redis",
    "pymemcache",
)


def python(code: str) -> str:
    """What a process of its own prints."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'instrumentation'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


def test_importing_the_group_imports_nothing_else() -> None:
    """Whoever types ``flask run`` waits for none of what the commands need."""
    printed = python(
        "import __future__, sys, flask.cli\n"
        "before = set(sys.modules)\n"
        "import flask_caching_instrumentation.cli\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    assert printed.split() == ["flask_caching_instrumentation", "flask_caching_instrumentation.cli"]


def test_help_imports_no_command() -> None:
    """The list of commands is made without any of them, and without their libraries."""
    printed = python(
        "import sys, flask.cli\n"
        "from flask_caching_instrumentation.cli import cache\n"
        "cli = flask.cli.FlaskGroup(name='flask')\n"
        "cli.add_command(cache, 'cache')\n"
        "try:\n"
        "    cli.main(['cache', '--help'])\n"
        "finally:\n"
        f"    print([m for m in sys.modules if m.startswith({HEAVY!r})])\n"
        "    print([m for m in sys.modules if m.startswith('flask_caching_instrumentation.cli.')])"
    )
    assert "audit      Find requests that wrongly share a key." in printed
    assert printed.endswith("[]\n[]\n")


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_table_of_commands_is_true(name: str) -> None:
    """Each module has the commands that the table says, under those names, with a line of help."""
    module_name, help_text = _COMMANDS[name]
    module = importlib.import_module(f"{cli.__name__}.{module_name}")
    assert set(module.COMMANDS) == {
        each for each, (home, _) in _COMMANDS.items() if home == module_name
    }
    assert module.COMMANDS[name].name == name
    assert module.COMMANDS[name].help
    assert help_text.endswith(".")
    assert len(help_text) < 60


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_has_help_and_takes_json(name: str) -> None:
    """``--help`` shows every option with a word on it, ``--json`` and ``--name`` among them."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert {"--json", "--name"} <= {text for each in options for text in each.opts}
    assert all(each.help for each in options)


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_manual_names_every_command_and_option(name: str) -> None:
    """Who reads the page on the command line knows what there is."""
    page = (ROOT / "docs" / "command-line.md").read_text()
    page += (ROOT / "docs" / "outages.md").read_text()
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert re.search(rf"`{name}`|flask cache {name}\b", page)
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "everything":
            assert any(f"`{text}" in page or f" {text} " in page for text in option.opts), option


def flask(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run ``flask`` with our commands in a folder."""
    code = (
        "import sys, flask.cli\n"
        "from flask_caching_instrumentation.cli import cache\n"
        "cli = flask.cli.FlaskGroup(name='flask')\n"
        "cli.add_command(cache, 'cache')\n"
        "cli.main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_of_a_command_needs_no_application(tmp_path: Path) -> None:
    """Somebody who looks for the options need not have an application that works."""
    broken = Program.of(tmp_path, "raise RuntimeError('the database is down')")
    ran = flask(tmp_path, broken.environment({}), "cache", "keys", "--help")
    assert ran.returncode == 0
    assert "--cursor CURSOR" in ran.stdout


def test_an_application_that_cannot_be_found(tmp_path: Path) -> None:
    """Flask's own message is shown."""
    program = Program.of(tmp_path, "app = Flask('shop')")
    ran = flask(tmp_path, program.environment({"FLASK_APP": "nowhere:app"}), "cache", "keys")
    assert ran.returncode == 2
    assert "Could not import 'nowhere'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_wrong_setting_is_wrong_usage(app: Flask) -> None:
    """What ``Cache`` says of it is shown, without a traceback."""

    def make(*_: object) -> Flask:
        Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": "many"})
        return app

    result = app.test_cli_runner().invoke(group, ["keys"], obj=ScriptInfo(create_app=make))
    assert result.exit_code == 2
    assert "CACHE_THRESHOLD is 'many'" in result.output


def test_an_application_without_a_cache(app: Flask) -> None:
    """Every command says what is missing."""
    for name in sorted(set(_COMMANDS) - {"compare", "delete", "explain", "get"}):
        ran = run(app, name)
        assert (ran.code, ran.out) == (2, "")
        assert "call cache.init_app(app)" in ran.err


def test_one_of_several_caches(make_app: Callable[..., Any], tmp_path: Path) -> None:
    """Commands about one cache want to know which; they name those that there are."""
    files = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path)}
    app, _ = make_app(CACHE_NAME="pages", **files)
    make_app(app=app, CACHE_NAME="data")
    ran = run(app, "keys")
    assert ran.code == 2
    assert "several caches: data, pages. Choose one with --name." in ran.err
    assert run(app, "keys", "--name", "pages").code == 0
    ran = run(app, "keys", "--name", "date")
    assert ran.code == 2
    assert "no cache called 'date'; it has data, pages" in ran.err


def test_json_is_by_name_unless_one_is_named(make_app: Callable[..., Any]) -> None:
    """The shape depends on what was typed, not on how many caches there are."""
    app, _ = make_app(CACHE_NAME="pages")
    assert list(run(app, "config", "--json").document) == ["pages"]
    assert "CACHE_TYPE" in run(app, "config", "--json", "--name", "pages").document
    make_app(app=app, CACHE_NAME="data")
    assert list(run(app, "config", "--json").document) == ["pages", "data"]
    assert "CACHE_TYPE" in run(app, "config", "--json", "--name", "data").document


def test_two_caches_of_one_name(make_app: Callable[..., Any]) -> None:
    """They are numbered, so that neither hides the other."""
    app, _ = make_app()
    make_app(app=app)
    assert list(run(app, "config", "--json").document) == ["cache", "cache-2"]
    assert "CACHE_TYPE" in run(app, "config", "--json", "--name", "cache-2").document
    ran = run(app, "explain", "/", "--name", "cache")
    assert ran.code == 0


def test_the_applications_own_commands_win(make_app: Callable[..., Any]) -> None:
    """Its ``cache keys`` goes on working and is listed with its own help, beside ours."""
    app, _ = make_app()
    own = AppGroup("cache")

    @own.command("keys")
    def keys() -> None:
        """Ours, as it was before."""
        click.echo("our keys")

    @own.command("secret", hidden=True)
    def secret() -> None:
        """Not for everybody."""

    app.cli.add_command(own)
    assert run(app, "keys").out == "our keys\n"
    assert run(app, "config").code == 0
    shown = run(app, "--help").out
    assert "Ours, as it was before." in shown
    assert "List the keys that a cache holds." not in shown
    assert "Ask each cache server" in shown
    assert "secret" not in shown


def test_what_is_no_command(app: Flask) -> None:
    """A slip is named by click, as for any command."""
    ran = run(app, "keyz")
    assert ran.code == 2
    assert "No such command" in ran.err
