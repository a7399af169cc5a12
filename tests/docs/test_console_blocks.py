"""Every command that the manual shows is typed in, and prints what the page says it prints."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from manual_blocks import ROOT, Block, Page
from manual_pages import BLOCKS, PAGES, ids, is_commands
from manual_programs import PATH_OF_TOOLS, Surroundings, surroundings
from manual_shell import Command, Shell, commands_of, difference, substituted
from servers import missing

_NAME = r"[A-Za-z0-9][\w.+-]*"


def check_pip(words: list[str]) -> None:
    """Names and versions are well formed, and our own extras exist."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words[2:]:
        if word.startswith("-") or word == ".":
            continue
        named = re.fullmatch(rf"({_NAME}|\.)(\[([\w,-]+)\])?([<>=!~]=?[\w.*]+,?)*", word)
        assert named, f"pip would not take {word!r}"
        if named[3] and named[1] in (".", "Flask-Caching"):
            assert set(named[3].split(",")) <= set(ours), f"no such extra: {word}"


def check_apt(words: list[str]) -> None:
    """They look like names of packages."""
    assert words[2:]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+|-y", word) for word in words[2:])


def check_make(words: list[str]) -> None:
    """The Makefile has these recipes."""
    recipes = set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {word for word in words[1:] if "=" not in word}
    assert wanted
    assert wanted <= recipes, f"no such recipe: {wanted - recipes}"


def check_files(words: list[str]) -> None:
    """The files that it names exist."""
    paths = [word for word in words if "/" in word and not word.startswith(("-", "http", "/"))]
    assert paths
    assert [path for path in paths if not (ROOT / path.rstrip("/")).exists()] == []


#: Commands that are not run, how they are checked instead, and why.
NOT_RUN: tuple[tuple[str, Callable[[list[str]], None], str], ...] = (
    (r"pip install ", check_pip, "asks a package index, and would change the environment"),
    (r"(sudo )?apt-get install ", check_apt, "asks a package index, as root"),
    (r"make ", check_make, "runs these tests, or builds an environment"),
    (r"docker compose ", check_files, "there is no container engine here"),
    (r"python (\S+/)?docs/examples/demo/app.py", check_files, "tests/e2e/test_demo.py runs it"),
    (r"python -m (tests|dashboards)\.", lambda words: None, "has tests of its own"),
)


def blocks_of(page: Page) -> list[Block]:
    """The blocks of a page that are something to type."""
    return [block for block in page.blocks if is_commands(block)]


def not_run(command: Command) -> Callable[[list[str]], None] | None:
    """How a command is checked that is not run."""
    for pattern, check, reason in NOT_RUN:
        assert reason
        if re.match(pattern, command.text):
            return check
    return None


def check(command: Command) -> None:
    """Check a command without running it."""
    look_at = not_run(command)
    assert look_at is not None
    words = shlex.split(command.text, comments=True)
    look_at(words[1:] if words[0] == "sudo" else words)


#: Programs of the machine, and those of this environment that the oldest ones do not have.
_SERVERS = ("redis-server", "redis-cli", "memcached", "promtool", "/usr/sbin/saslpasswd2")
_TOOLS = ("gunicorn", "opentelemetry-instrument", "curl")


def needs_programs(commands: list[Command]) -> None:
    """Skip the test where a program is missing that a command begins with."""
    typed = "\n".join(command.text for command in commands if not not_run(command))
    for name in (*_SERVERS, *_TOOLS):
        begins = rf"(^|\| ?|; )(\w+=\S* )*{re.escape(name)}\b"
        if not re.search(begins, typed, re.MULTILINE) or shutil.which(name, path=PATH_OF_TOOLS):
            continue
        if name in _SERVERS:
            missing(f"{name} is not installed")
        # The environment that builds the manual has all of them.
        assert not shutil.which("sphinx-build", path=PATH_OF_TOOLS), f"there is no {name}"
        pytest.skip(f"there is no {name} in this environment")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=ids)
def test_commands_do_what_the_page_says(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends as it should and prints what is shown, in the order of the page."""
    todo = [(block, commands_of(block.language, block.text)) for block in blocks_of(page)]
    for block, commands in todo:
        assert commands, f"{block.place} has no command; begin each with `$ `"
    needs_programs([command for _, commands in todo for command in commands])
    if all(not_run(command) for _, commands in todo for command in commands):
        for _, commands in todo:
            for command in commands:
                check(command)
        return
    folder = tmp_path / "page"
    folder.mkdir()
    for name in ("docs/examples", "dashboards"):
        if re.search(rf"(cd|python|promtool) .*{name}", page.text):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    with surroundings(page, folder, request, monkeypatch) as around:
        around.write_files()
        ports = tuple(int(port) for port in around.made_up.values())
        with Shell(folder, environment_of(around), ports) as shell:
            for block, commands in todo:
                type_in(block, commands, shell, around)


def environment_of(around: Surroundings) -> dict[str, str]:
    """The variables of a page's shell; they name a free port where a command names none."""
    variables = around.environment()
    ports = around.made_up
    if "5000" in ports:
        variables["FLASK_RUN_PORT"] = ports["5000"]
    if "8000" in ports:
        variables["GUNICORN_CMD_ARGS"] = f"--bind=127.0.0.1:{ports['8000']}"
    return variables


def type_in(block: Block, commands: list[Command], shell: Shell, around: Surroundings) -> None:
    """Run the commands of one block, and compare."""
    if "before" in block.notes:
        printed, status = shell.run(Command(block.notes["before"]))
        assert status == 0, f"{block.place}: what comes before it failed:\n{printed}"
    for number, command in enumerate(commands):
        if not_run(command):
            check(command)
            continue
        text = substituted(command.text, around.numbers)
        printed, status = shell.run(Command(text))
        last = number + 1 == len(commands)
        is_asked = not last and commands[number + 1].text == "echo $?"
        if not is_asked:
            expected = int(block.notes.get("status", 0)) if last else 0
            assert status == expected, f"{block.place}: `{text}` ended with {status}:\n{printed}"
        if command.shown:
            shown = substituted(command.shown, around.numbers)
            differs = difference(shown, printed, in_order="any order" not in block.notes)
            assert not differs, f"{block.place}: after `{text}` {differs}"


def test_indented_commands_are_found() -> None:
    """The two commands of the README are among what is checked."""
    found = [block for block in BLOCKS if is_commands(block) and block.page == "README.md"]
    assert "make demo" in "".join(block.text for block in found)


@pytest.mark.parametrize(
    "text",
    [
        "pip install 'Flask-Caching[nothing]'",
        "make nothing",
        "apt-get install",
        "docker compose -f dashboards/nothing.yml up",
    ],
)
def test_what_is_not_run_is_looked_at(text: str) -> None:
    """A command that is only checked fails if it names what there is not."""
    with pytest.raises(AssertionError):
        check(Command(text))


def test_a_wrong_output_is_found() -> None:
    """Words that differ count; times, sizes, columns and what ``...`` stands for do not."""
    assert not difference("a  12 ms\nb ...", "a      3.1 s\nb whatever")
    assert not difference("x  1.2 kB", "x  900 B")
    assert "but this was printed" in difference("2 hits", "3 hits")
    assert difference("b\na", "a\nb")
    assert not difference("b\na", "a\nb", in_order=False)
    assert difference("b\na", "a\nb\nc", in_order=False)
    assert not difference("b\n...", "a\nb\nc", in_order=False)


def test_commands_of_a_block_are_told_apart() -> None:
    """By prompts, with their output; without prompts by lines, as bash joins them."""
    text = "$ a \\\n> b\nout\n$ cat << END\nx\nEND\n$ c\n"
    assert commands_of("console", text) == [
        Command("a \\\nb", "out"),
        Command("cat << END\nx\nEND"),
        Command("c"),
    ]
    assert commands_of("shell", "a\n# no\nb \\\n  c\n") == [Command("a"), Command("b \\\n  c")]
    assert Command("gunicorn app:app").is_server
    assert Command("FLASK_APP=x opentelemetry-instrument flask run").is_server
    assert not Command("flask cache off").is_server
