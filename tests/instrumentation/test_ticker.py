"""The thread that does what no request should wait for: it comes, works, and goes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flask_caching.observer import faults
from flask_caching_instrumentation.ticker import Ticker


class Work:
    """Something to do a number of times."""

    def __init__(self, times: int = 0) -> None:
        self.left = times
        self.done = 0
        self.threads: set[int] = set()

    def do(self) -> bool:
        self.threads.add(threading.get_ident())
        if not self.left:
            return False
        self.left -= 1
        self.done += 1
        return True


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def threads_named(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


def test_it_works_while_there_is_work_and_then_ends():
    """One thread, however often it is woken; none when there was nothing to do for a while."""
    ticking, work = Ticker(interval=0.001), Work(30)
    ticking.add("work", work.do)
    before = threading.active_count()
    for _ in range(5):
        ticking.wake()
    assert threading.active_count() <= before + 1
    wait_for(lambda: work.done == 30 and not ticking.awake)
    wait_for(lambda: threading.active_count() <= before)
    assert len(work.threads - {threading.get_ident()}) == 1
    work.left = 1
    ticking.wake()
    wait_for(lambda: work.done == 31)


def test_work_that_comes_as_it_goes_to_sleep_is_done():
    """Whoever counts sees it awake and wakes nobody: it looks once more before it ends."""
    ticking, work = Ticker(interval=0.0001), Work()
    ticking.add("work", work.do)
    for number in range(300):
        work.left += 1
        if not ticking.awake:
            ticking.wake()
        if number % 3 == 0:
            threading.Event().wait(0.0015)
    wait_for(lambda: work.done == 300)


def test_a_task_that_raises_is_counted_and_the_others_are_done():
    """Telemetry's own faults stay its own."""

    class Broken:
        def do(self) -> bool:
            raise OSError("the disk is full")

    ticking, broken, work = Ticker(), Broken(), Work(1)
    ticking.add("metrics.broken", broken.do)
    ticking.add("metrics.work", work.do)
    assert ticking.tick() is True
    assert work.done == 1
    assert faults == {"metrics.broken: OSError": 1}
    faults.clear()


def test_tasks_are_held_weakly():
    """A collector whose registry is gone is not kept."""
    ticking, work = Ticker(), Work(5)
    ticking.add("work", work.do)
    del work
    gc.collect()
    assert ticking.tick() is False


def test_no_thread_to_be_had_is_not_the_caller_s_problem(monkeypatch):
    """Counting goes on; it is not tried again at each count."""
    ticking = Ticker()
    monkeypatch.setattr(
        threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more"))
    )
    ticking.wake()
    assert ticking.awake
    assert faults == {"metrics.ticker: RuntimeError": 1}
    faults.clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_its_own():
    """The parent's thread does not exist there."""
    from flask_caching_instrumentation.ticker import ticker

    work = Work(10**9)
    ticker.add("work", work.do)
    ticker.wake()
    child = os.fork()
    if not child:
        fresh = not ticker.awake
        work.done = 0
        ticker.wake()
        deadline = time.monotonic() + 20
        while not work.done and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        os._exit(0 if fresh and work.done else 1)
    work.left = 0
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ENDING = """
import os, sys, threading, multiprocessing
from flask_caching_instrumentation.ticker import ticker

class Work:
    def do(self):
        with open(sys.argv[1], "a") as file:
            file.write(f"{os.getpid()}\\n")
        return False

work = Work()
ticker._interval = 60
ticker.add("work", work.do)
if sys.argv[2] == "child":
    child = multiprocessing.get_context("fork").Process(target=ticker.wake)
    child.start()
    child.join()
    print(child.pid)
else:
    ticker.wake()
    print(os.getpid())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["interpreter", "child"])
def test_what_was_not_done_is_done_when_the_process_ends(kind: str, tmp_path: Path):
    """At the end of the interpreter, and of a child of multiprocessing, which has another one."""
    path = tmp_path / "done"
    done = subprocess.run(
        [sys.executable, "-c", ENDING, str(path), kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )
    assert done.stdout.strip() in path.read_text().split()
    assert multiprocessing.active_children() == []
