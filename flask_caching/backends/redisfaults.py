"""What can go wrong with a Redis server, and what is to be done about it.

Imports redis-py, so it is imported when a Redis backend is made and not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .redisdirect import drop_kept

__all__ = [
    "FAILURES",
    "REDIRECTIONS",
    "attempt",
    "drop_doubtful",
    "holds_no_string",
    "lacks_option",
    "strange",
    "was_lost",
    "why_not_counted",
]

_exceptions: Any = importlib.import_module("redis.exceptions")

#: The server could not be talked to: what counts for a breaker. All else is an answer.
FAILURES: tuple[type[Exception], ...] = (
    OSError,
    # Wrong password, still loading, no master known to the Sentinels, too many clients: also these.
    _exceptions.ConnectionError,
    _exceptions.TimeoutError,
    _exceptions.InvalidResponse,
    _exceptions.ClusterError,
    _exceptions.RedisClusterException,
)

#: Answers of a cluster's node that say to ask another one.
REDIRECTIONS: tuple[type[Exception], ...] = (
    _exceptions.AskError,  # MovedError is one
    _exceptions.TryAgainError,
)

#: What breaks a connection that was open, as opposed to one that could not be opened.
_BROKEN = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def attempt(client: Any, again: bool, function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function``, and leave the client's connections usable whatever happens.

    Args:
        client: The client that ``function`` asks.
        again: Whether to call it once more if a connection that was open turns out to be lost.
        function: Asks the server.
        args: Its arguments.
    """
    try:
        return function(*args)
    except BaseException as error:
        if not (again and was_lost(error)):
            drop_doubtful(client, error)
            raise
    return attempt(client, False, function, *args)


def was_lost(error: BaseException) -> bool:
    """Whether a connection was lost: closed by the other side, or a master that is none now.

    Not one that was refused, nor a time-out: asking again would take as long again.
    """
    if type(error) is not _exceptions.ConnectionError:
        return isinstance(error, _BROKEN)
    return not isinstance(error.__context__, OSError) or isinstance(error.__context__, _BROKEN)


def _leaves_doubt(error: BaseException) -> bool:
    """Whether the connection should not be used again, though redis-py may have kept it.

    It drops one that failed or timed out. An exception from outside between sending and reading
    (a signal handler's, a killed greenlet) would leave a reply unread for the next to ask; and
    a server that has become a replica refuses writes for as long as one is connected to it.
    """
    if isinstance(error, _exceptions.ResponseError):
        # A script's error is no ReadOnlyError before Redis 7, but says it.
        return isinstance(error, _exceptions.ReadOnlyError) or _said(error, "READONLY")
    settled_by_client = (
        _exceptions.ConnectionError,
        _exceptions.TimeoutError,
        _exceptions.DataError,
    )
    return not isinstance(error, settled_by_client)


def drop_doubtful(client: Any, error: BaseException) -> None:
    """After a call: close the client's connections if the error leaves them in doubt."""
    if _leaves_doubt(error):
        _drop_idle(client)


def _drop_idle(client: Any) -> None:
    """Close the connections that nobody uses at this moment; they are made anew when needed."""
    if hasattr(client, "get_nodes"):
        for node in client.get_nodes():
            _drop_idle(node.redis_connection)
        return
    if getattr(client, "connection", None) is not None:
        client.connection.disconnect()
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return
    drop_kept(pool)
    try:
        pool.disconnect(inuse_connections=False)
    except TypeError:
        # The blocking pool of redis-py 4.
        pool.disconnect()


def strange(message: str) -> Exception:
    """The error for a reply that cannot be one to what was asked."""
    error: Exception = _exceptions.InvalidResponse(message)
    return error


def _said(error: object, *words: str) -> bool:
    """Whether the server answered with an error that contains one of these texts."""
    if not isinstance(error, _exceptions.ResponseError):
        return False
    text = str(error)
    return any(word in text for word in words)


def holds_no_string(error: object) -> bool:
    """Whether a key holds a list, a hash or the like, so that GET refuses it."""
    return _said(error, "WRONGTYPE")


def lacks_option(error: object) -> bool:
    """Whether the server has no ``PEXPIRE ... GT``: before Redis 7, or another make."""
    return _said(error, "wrong number of arguments", "option GT")


def why_not_counted(key: str, error: object) -> str | None:
    """Why a key cannot be counted with, if that is what the server says."""
    if _said(error, "overflow"):
        return (
            f"the key {key!r} would no longer fit into a 64-bit integer, which is what Redis "
            "counts with; keep larger numbers as values of your own"
        )
    if _said(error, "not an integer", "WRONGTYPE"):
        return (
            f"the key {key!r} holds something else than an integer, or the step is no 64-bit one, "
            "so it cannot be counted up or down; set it to an integer first, or count under "
            "another key"
        )
    return None
