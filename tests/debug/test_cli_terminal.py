"""``flask cache`` on a real terminal and on real pipes."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from cli_runs import Program
from flask import Flask

from flask_caching import Cache

SHOP = """
app = Flask("shop")
cache = Cache(app, config={"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "entries"})

@app.route("/bad/<int:id>")
@cache.cached(key_prefix="bad")
def bad(id):
    return f"bad {id}"
"""

EVIL = "evil\x1b]0;pwned\x07\x1b[31mred\u202egnp.exe"

#: What a terminal takes for a command, but for styles and what a progress bar needs.
COMMANDS = re.compile(
    r"\x1b(?!\[(\?25[lh]|\d+(;\d+)*m))|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202e]"
)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """An application whose store has a hostile key, a wide one and a long one."""
    app = Flask("shop")
    config = {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": str(tmp_path / "entries"),
        "CACHE_INSTRUMENTATION": None,
    }
    cache = Cache(app, config=config)
    with app.app_context():
        cache.set(EVIL, "\x1b[2Jgone", 60)
        cache.set("日本語のキー" * 30, 2, 0)
        cache.set("k" * 300, 3)
    return Program.of(tmp_path, SHOP)


def test_a_terminal_gets_colours_and_lines_that_fit(program: Program) -> None:
    """Long keys are cut to its width, wide characters taking two places."""
    ran = program.run_on_terminal("cache", "keys", columns=60)
    assert ran.code == 0
    assert "\x1b[1m" in ran.out
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in ran.out.splitlines()]
    (wide,) = [line for line in lines if "日本語" in line]
    (long,) = [line for line in lines if "kkk" in line]
    assert len(long) == 60
    assert long.endswith("k…")
    assert len(wide) + sum(character in "日本語のキー" for character in wide) in (59, 60)
    assert all(len(line) <= 60 for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys"],
        ["keys", "-0"],
        ["keys", "--json"],
        ["get", EVIL],
        ["get", EVIL, "--meta"],
        ["delete", "--match", "evil", "--dry-run"],
        ["delete", EVIL + "?"],
        ["explain", f"/{EVIL}"],
    ],
)
def test_a_terminal_is_not_commanded(program: Program, arguments: list[str]) -> None:
    """Whatever is in a key, a value or a URL: nothing but styles of our own reaches it."""
    ran = program.run_on_terminal("cache", *arguments, columns=200)
    assert ran.code in (0, 1)
    assert COMMANDS.search(ran.out) is None
    assert "\x1b[31mred" not in ran.out
    assert "x1b[" in ran.out or "u001b[" in ran.out


def test_no_colour_where_nobody_wants_any(program: Program) -> None:
    """NO_COLOR is respected on a terminal; a pipe gets none anyway, and keys in full."""
    ran = program.run("cache", "keys")
    assert "\x1b" not in ran.out
    assert "k" * 300 in ran.out
    assert "日本語のキー" * 30 in ran.out
    assert "\x1b[1m" in program.run_on_terminal("cache", "stats").out
    plain = program.run_on_terminal("cache", "stats", env={"NO_COLOR": "1"})
    assert "\x1b" not in plain.out


def test_a_terminal_of_another_encoding(program: Program) -> None:
    """What it has no characters for is shown by number, not raised."""
    ran = program.run("cache", "keys", env={"PYTHONIOENCODING": "ascii"})
    assert (ran.code, ran.err) == (0, "")
    assert "\\u65e5\\u672c" in ran.out


def test_a_reader_that_goes_away(program: Program) -> None:
    """``flask cache keys | head -1`` ends without a word, and not as if something was found."""
    app = Flask("shop")
    config = {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": str(program.folder / "entries"),
        "CACHE_THRESHOLD": 0,
        "CACHE_INSTRUMENTATION": None,
    }
    cache = Cache(app, config=config)
    with app.app_context():
        for number in range(600):
            cache.set(f"{number} {'k' * 200}", 1)
    process = program.start(
        "cache", "keys", "--all", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline().startswith(b"EXPIRES")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE


SLOW = """
import time
app = Flask("shop")
cache = Cache(app, config={"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "entries"})

@app.route("/slow/<int:id>")
@cache.cached(make_cache_key=lambda id: time.sleep(0.004) or f"slow {id}")
def slow(id):
    return f"slow {id}"

@app.route("/slow/<name>")
@cache.cached(make_cache_key=lambda name: time.sleep(0.004) or f"slow {name}")
def slow_name(name):
    return f"slow {name}"
"""


def test_progress_is_for_people_who_wait(tmp_path: Path) -> None:
    """Long work shows a bar on a terminal; none on a pipe."""
    program = Program.of(tmp_path, SLOW)
    assert "Auditing cache" in program.run_on_terminal("cache", "audit").out
    ran = program.run("cache", "audit")
    assert ran.err == ""
    assert "Auditing" not in ran.out


def test_short_work_shows_no_progress(program: Program) -> None:
    """Nobody needs to be told to wait for half a second."""
    ran = program.run_on_terminal("cache", "clear", "--dry-run")
    assert "Counting" not in ran.out
