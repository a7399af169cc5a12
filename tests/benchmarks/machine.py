"""Where the measurements were made."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from servers import find_binary

__all__ = ["describe", "load_average", "undisturbed"]

T = TypeVar("T")

#: Of a core's time, what a hypervisor may take away while something is measured; else it is
#: measured again, this often altogether.
STOLEN, TRIES = 0.02, 3

PROGRAMS = ("redis-server", "memcached", "wrk")


def describe() -> dict[str, str]:
    """Processor, system, Python, and the versions of the servers, in words."""
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load before": load_average(),
    }
    for name in PROGRAMS:
        if shutil.which(name):
            # That which is started; `wrk` prints its version and fails, so it is not asked there.
            binary = name if name == "wrk" else find_binary(name)
            done = subprocess.run(
                [binary, "--version"], capture_output=True, text=True, check=False
            )
            found[name] = (done.stdout or done.stderr).strip().splitlines()[0]
    return found


def load_average() -> str:
    """How many processes wanted a core in the last 1, 5 and 15 minutes: others disturb."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def undisturbed(
    run: Callable[[], T], clocks: Callable[[], tuple[float, float]] | None = None
) -> tuple[T, float]:
    """Run something that takes a time, again if the hypervisor took the cores away meanwhile.

    Args:
        run: Is called once, and at most ``TRIES`` times.
        clocks: Give the seconds that have passed, and those that were taken away.

    Returns:
        What the least disturbed of the runs gave, and how much of a core's time was taken away.
    """
    clocks = clocks or (lambda: (time.monotonic(), _stolen_seconds()))
    tries: list[tuple[float, T]] = []
    while len(tries) < TRIES:
        begun, before = clocks()
        result = run()
        ended, after = clocks()
        tries.append(((after - before) / (ended - begun), result))
        if tries[-1][0] <= STOLEN:
            break
    share, result = min(tries, key=itemgetter(0))
    return result, share


def _stolen_seconds() -> float:
    """The column ``steal`` of ``/proc/stat``, of all cores; 0 where there is none."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return 0.0
    return int(first[8]) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
