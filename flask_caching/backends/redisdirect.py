"""Reading from Redis over the connections of a redis-py client, past the client itself.

A client's ``execute_command`` has events, metrics and retries around each command, which take a
seventh of the time of a GET on the same machine. What a cache asks for most often goes without
them; all else, and whatever a client of the application's own is asked, goes through the client.

Imports redis-py, so it is imported when a Redis backend is made and not before.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["direct"]

_answers: Any = importlib.import_module("redis.exceptions").ResponseError


def direct(client: Any) -> Callable[..., Any]:
    """What sends one command over a connection of the client's pool, and returns its reply."""
    pool = client.connection_pool
    take = pool.get_connection
    named = inspect.signature(take).parameters.get("command_name")
    if named is not None and named.default is named.empty:
        # Before redis-py 5.3, which does nothing with it either.
        take = partial(take, "GET")
    return partial(_exchange, take, pool.release)


def _exchange(take: Callable[[], Any], release: Callable[[Any], None], *command: Any) -> Any:
    connection = take()
    try:
        connection.send_command(*command)
        return connection.read_response()
    except _answers:
        # The reply was read to its end.
        raise
    except BaseException:
        # What is still to be read would be taken for the reply to another command.
        connection.disconnect()
        raise
    finally:
        release(connection)
