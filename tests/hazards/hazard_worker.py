"""What runs in other processes: the application of ``flask cache off``, and tasks.

As a program it is told a task in a line of JSON, says ``ready``, waits for another line, does the
task, prints what that returned, and waits for the next one; see ``hazard_processes``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from hazard_site import Site, close_sites

from flask_caching_instrumentation.cli import cache as command

CONFIG = "HAZARD_CONFIG"


def create_app() -> Flask:
    """For ``flask``, which calls it by this name; the configuration is in the environment."""
    app = Site(**json.loads(os.environ[CONFIG])).app
    app.cli.add_command(command)  # it is an entry point where the package is installed
    return app


def say(what: str) -> None:
    print(what, flush=True)


# Tasks.


def count(site: Site, key: str, times: int) -> int:
    """Count up and down; returns by how much."""
    for _ in range(times):
        site.cache.inc(key, 3)
        site.cache.dec(key)
    return 2 * times


def add(site: Site, keys: int) -> list[int]:
    """Returns the numbers of the keys that this process was the first to add."""
    return [number for number in range(keys) if site.cache.add(f"first/{number}", os.getpid())]


def load(site: Site, ways: list[str], seconds: float) -> list[Any]:
    """Ask for slow things; returns the answers, how often each was made here, and the time."""

    def slow(way: str, number: int) -> None:
        say(f"loading {way}")
        time.sleep(seconds)

    site.during = slow
    begun = time.monotonic()
    answers = [site.ask(way, 1) for way in ways]
    return [answers, dict(site.ran), time.monotonic() - begun]


def write_and_read(site: Site, keys: int, seconds: float) -> list[int]:
    """Write values that are all of one letter, and read what others write.

    Returns how many were read, and how many of those were torn.
    """
    until, read, torn = time.monotonic() + seconds, 0, 0
    letter = chr(ord("a") + os.getpid() % 26)
    turn = 0
    while time.monotonic() < until:
        turn += 1
        site.cache.set(f"letters/{turn % keys}", [letter] * (turn % 20_000 + 1))
        for number in range(keys):
            value = site.cache.get(f"letters/{number}")
            if value is not None:
                read += 1
                torn += len(set(value)) != 1
    return [read, torn]


def invalidate(site: Site, times: int, folder: str) -> int:
    """Change what is true, forget what was memoized of it, and then say so; again and again."""
    truth, said = Path(folder, "truth"), Path(folder, "said")
    for number in range(1, times + 1):
        for path in (truth, said):
            new = path.with_suffix(".new")
            new.write_text(str(number))
            new.replace(path)
            if path == truth:
                site.cache.delete_memoized(site.price)
        time.sleep(0.002)
    return times


def fork(site: Site, threads: int, times: int) -> list[str]:
    """Fork after use, also while threads use the client. Returns what went wrong."""
    wrong: list[str] = []
    over = threading.Event()
    _hammer(site, "before", 5)
    others = [
        threading.Thread(target=_hammer_until, args=(site, f"thread-{number}", over, wrong))
        for number in range(threads)
    ]
    for other in others:
        other.start()
    children: list[int] = []
    for number in range(3):
        child = os.fork()
        if not child:
            _end_child(site, f"child-{number}", times)
        children.append(child)
        wrong += _hammer(site, f"parent-{number}", times)
    over.set()
    for other in others:
        other.join()
    return wrong + [said for child in children if (said := _how_it_ended(child))]


def _end_child(site: Site, name: str, times: int) -> None:
    code = 2
    try:
        wrong = _hammer(site, name, times)
        code = 1 if wrong else 0
        for each in wrong[:3]:
            print(each, file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _how_it_ended(child: int, seconds: float = 15.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return f"a child ended with {code}" if code else ""
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "a child hung"


def _hammer_until(site: Site, name: str, over: threading.Event, wrong: list[str]) -> None:
    turn = 0
    while not over.wait(0.001):
        turn += 1
        wrong += _hammer(site, f"{name}/{turn % 10}", 1)


def _hammer(site: Site, name: str, times: int) -> list[str]:
    """Write and read keys of one's own; what is read there is one's own or it is wrong."""
    wrong: list[str] = []
    for turn in range(times):
        key, text, number = f"{name}/{turn}", f"{name} {turn} " * 20, os.getpid() * 1000 + turn
        try:
            site.cache.set(key, text)
            site.cache.set(f"{key}/number", number)
            got = [site.cache.get(key), site.cache.get(f"{key}/number")]
            got += site.cache.get_many(key, f"{key}/number")
            counted = site.cache.inc(f"{key}/number")
        except Exception as error:
            wrong.append(f"{key}: {error!r}")
            continue
        if got != [text, number] * 2 or counted != number + 1:
            wrong.append(f"{key}: {got!r}, {counted!r}")
    return wrong


TASKS: dict[str, Callable[..., Any]] = {
    task.__name__: task for task in (add, count, fork, invalidate, load, write_and_read)
}


def main() -> None:
    """Do one task after another, until there is none."""
    for line in sys.stdin:
        order = json.loads(line)
        site = Site(**order["config"])
        with site.app.app_context():
            say("ready")
            sys.stdin.readline()
            say(json.dumps({"result": TASKS[order["task"]](site, **order["arguments"])}))
        close_sites()


if __name__ == "__main__":
    main()
