"""Readers of the demo, until they are stopped: ``python readers.py HOST PORT``, in its folder.

They are the demo's own driver, ten requests a second at most, and other ones each time.
"""

from __future__ import annotations

import itertools
import sys
import time
from http.client import HTTPException

from drive import drive, show

#: Seconds between two requests, and after a failure.
PAUSE = 0.1
LONG_PAUSE = 2.0

#: Requests of one table.
REQUESTS = 300


def pause() -> bool:
    """Asked before each request whether it is to be the end; it never is."""
    time.sleep(PAUSE)
    return False


def read_on(host: str, port: int) -> None:
    """Read for ever. An application that is away for a while, to be restarted, is waited for."""
    for seed in itertools.count():
        try:
            print(show(drive(host, port, REQUESTS, pause, seed)), flush=True)
        except (OSError, HTTPException) as error:
            print(f"{host}:{port} did not answer ({error}); once more in a while.", flush=True)
            time.sleep(LONG_PAUSE)


if __name__ == "__main__":
    read_on(sys.argv[1], int(sys.argv[2]))
