"""Where the measurements were made."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.servers import find_binary

__all__ = ["describe", "load_average"]

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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
