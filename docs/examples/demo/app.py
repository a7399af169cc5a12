"""Run the demo: ``python docs/examples/demo/app.py [--drive]``.

It listens on 127.0.0.1 only. The application itself is the package :mod:`docbrowser`.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from docbrowser import create_app
from docbrowser.catalogue import modules, packages
from drive import Report, drive, is_consistent, show
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

__all__ = ["main", "serve"]

HOST = "127.0.0.1"

#: Tried in turn where no port is given. (Port 5000 is taken on many a Mac.)
PORTS = range(5000, 5020)

#: For this machine alone. A page elsewhere whose name leads to this address is refused (from Flask
#: 3.1 on). Without a token the debug pages answer only here, and only under ``debug``.
LOCAL: Mapping[str, Any] = {
    "TRUSTED_HOSTS": [HOST, "localhost"],
    "DEBUG": True,
    "CACHE_DEBUG_UI": "/_cache",
    "CACHE_DEBUG_WRITE": True,
}


class QuietHandler(WSGIRequestHandler):
    """Logs errors, not each request: the overview page shows those better."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


class StopRequest:
    """Ctrl-C, or a request to terminate, from now on: something to wait for, not an exception.

    Not a ``threading.Event`` that a handler sets: Python runs handlers between two steps of the
    main thread, and a signal that comes just as that begins to wait would not be seen. Python
    also writes a byte to a socket for each signal, at once, and that is what is waited for.

    Attributes:
        made: Whether a signal has come.
    """

    def __init__(self) -> None:
        self.made = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def wait(self) -> None:
        self._reader.recv(1)

    def _note(self, number: int, frame: object) -> None:
        self.made = True


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the demo until it is interrupted.

    Args:
        arguments: The command line without the program's name; by default the process's own.

    Returns:
        The exit status: 0, or 1 where no port is free or the driver's count of hits is not
        what ``/metrics`` says.
    """
    options = _parse(arguments)
    stop = StopRequest()
    try:
        listener = _listen(options.port)
    except OSError as error:
        print(f"Cannot listen on {HOST}: {error}. Try --port 0 for any free port.", file=sys.stderr)
        return 1
    app = create_app(LOCAL)
    print(_look_around(app), flush=True)
    with serve(app, listener) as port:
        print(_greeting(port), flush=True)
        report = _drive(port, options.requests, stop) if options.drive else None
        if not options.once:
            print("Ctrl-C stops the demo.", flush=True)
            stop.wait()
    return 0 if report is None or is_consistent(report) else 1


@contextmanager
def serve(app: Flask, listener: socket.socket) -> Generator[int, None, None]:
    """Serve ``app`` in a thread for as long as the block runs.

    Args:
        app: The application.
        listener: A bound socket; closed at the end.

    Yields:
        The port.
    """
    port: int = listener.getsockname()[1]
    with closing(listener):
        server = make_server(
            HOST, port, app, threaded=True, request_handler=QuietHandler, fd=listener.fileno()
        )
        thread = threading.Thread(target=server.serve_forever, name="demo-server", daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A browser for the documentation of installed modules, cached by Flask-Caching."
    )
    parser.add_argument(
        "--port", type=int, help=f"port to use; 0 for any free one (default: from {PORTS[0]} on)"
    )
    parser.add_argument(
        "--drive", action="store_true", help="send it some requests, so that the numbers move"
    )
    parser.add_argument(
        "--requests", type=int, default=300, metavar="N", help="how many (default: 300)"
    )
    parser.add_argument(
        "--once", action="store_true", help="with --drive: exit afterwards instead of serving on"
    )
    options = parser.parse_args(arguments)
    if options.once and not options.drive:
        parser.error("--once needs --drive")
    if options.requests < 1:
        parser.error("--requests needs a number above 0")
    if options.port is not None and not 0 <= options.port <= 65535:
        parser.error("--port needs a number from 0 to 65535")
    return options


def _listen(port: int | None) -> socket.socket:
    """A bound socket on ``port``, or on the first of :data:`PORTS` that is free."""
    candidates = PORTS if port is None else (port,)
    for candidate in candidates:
        try:
            return socket.create_server((HOST, candidate))
        except OSError:
            if candidate == candidates[-1]:
                raise
    raise AssertionError("there is at least one candidate")


def _look_around(app: Flask) -> str:
    """Make the lists that every page needs, so that no single page seems to cost that much."""
    started = time.perf_counter()
    with app.app_context():
        counts = f"{len(modules()):,} modules and {len(packages()):,} packages"
    return f"Found {counts} on this machine in {time.perf_counter() - started:.1f} s."


def _greeting(port: int) -> str:
    base = f"http://{HOST}:{port}"
    try:
        library = f"Flask-Caching {version('Flask-Caching')}"
    except PackageNotFoundError:
        library = "Flask-Caching from this source tree"
    pages = {
        "Overview": "/",
        "Modules": "/modules/",
        "A module": "/modules/json",
        "Search": "/search?q=json&kind=module",
        "Packages": "/packages/",
        "Metrics": "/metrics",
        "The cache": "/_cache/",
    }
    lines = [f"Their documentation, cached by {library}:", ""]
    lines += [f"  {name:<10}{base}{path}" for name, path in pages.items()]
    lines += [
        "",
        "Load a page twice: its foot says miss, then hit. --drive sends some traffic.",
        "Two packages are told that they require the same: /_cache/audit says why.",
        "",
    ]
    return "\n".join(lines)


def _drive(port: int, requests: int, stop: StopRequest) -> Report:
    print(f"Sending {requests} requests ...", flush=True)
    report = drive(HOST, port, requests, lambda: stop.made)
    print(show(report), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
