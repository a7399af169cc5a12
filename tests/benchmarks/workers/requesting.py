"""Requests without a server of the web. Standard library only."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

__all__ = ["request_to"]


def request_to(application: Callable[..., Iterable[bytes]]) -> Callable[[str, str], bytes]:
    """What sends a request through a whole WSGI application and reads the answer's body.

    It is what a server does, without one: a copy of an environ that is made once, the call, the
    body, ``close()``. The same for every subject.
    """
    template: dict[str, Any] = {"wsgi.input": io.BytesIO(), "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(template)
    template |= {"HTTP_HOST": "localhost", "SERVER_NAME": "localhost", "SCRIPT_NAME": ""}

    def start_response(status: str, headers: object, exc_info: object = None) -> Callable[..., Any]:
        if not status.startswith("200"):
            raise AssertionError(status)
        return lambda data: None

    def send(path: str, query: str) -> bytes:
        environ = template.copy()
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        answer = application(environ, start_response)
        try:
            return b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()

    return send
