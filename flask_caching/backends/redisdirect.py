"""Reading from Redis over the connections of a redis-py client, past the client itself.

A client's ``execute_command`` has events, metrics and retries around each command, and its pool
asks the operating system about a connection each time it lends one: together a third of the time
of a GET on the same machine. What a cache asks for most often goes without them, over connections
that are kept between two reads; and a GET past the connection as well, from its socket
(:mod:`.redisreply`). All else, and whatever a client of the application's own is asked, goes
through the client; a connection that was kept is given back for it, so that there are no more than
there would be.

A kept connection that the server has closed is found out by using it. The read fails then as one
on a lost connection does, all that are kept are closed, and whoever asked asks once more
(:func:`~flask_caching.backends.redisfaults.attempt`).

Imports redis-py, so it is imported when a Redis backend is made and not before.
"""

from __future__ import annotations

import importlib
import inspect
import os
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .redisreply import Refused, fetch
from .replyreader import Garbled

__all__ = ["Direct", "direct", "drop_kept"]

_exceptions: Any = importlib.import_module("redis.exceptions")
_answers: Any = _exceptions.ResponseError
_ordinary_pool: Any = importlib.import_module("redis.connection").ConnectionPool


def _nothing() -> None:
    """There is nothing to give back."""


class Direct(NamedTuple):
    """How a client is read from.

    Attributes:
        ask: Sends a command about some keys, and returns the reply.
        get: Returns what a key holds; that of ``GET`` and a key.
        give_back: To be called before the client is asked for anything else.
    """

    ask: Callable[..., Any]
    get: Callable[[bytes], Any]
    give_back: Callable[[], None] = _nothing

    @classmethod
    def through(cls, ask: Callable[..., Any]) -> Direct:
        """By what sends any command."""
        return cls(ask, partial(ask, "GET"))


def direct(client: Any) -> Direct:
    """How to read over the connections of a client's pool, past the client."""
    pool = client.connection_pool
    if not _may_keep(pool):
        return Direct.through(partial(_exchange, _taker(pool), pool.release))
    kept = Kept(pool)
    # redis-py checks a connection that was idle for that long as it sends a command.
    checks = pool.connection_kwargs.get("health_check_interval")
    get = partial(kept.ask, "GET") if checks else kept.get
    return Direct(kept.ask, get, kept.give_back)


def _may_keep(pool: Any) -> bool:
    """Whether a pool need not see a connection between two reads."""
    # That of the Sentinels tells when it lends one whether the server is still the master; a
    # cache of redis-py's own, and passwords that change, are seen to when one comes back.
    watches = getattr(pool, "cache", None) or pool.connection_kwargs.get("credential_provider")
    return type(pool) is _ordinary_pool and not watches


class Kept:
    """Connections that a pool has lent, and that are kept between two reads.

    There are as many as threads that read at once. What is done to them is done at once, whichever
    thread does it.
    """

    def __init__(self, pool: Any) -> None:
        self._take = _taker(pool)
        self._pool = pool
        self._idle: deque[Any] = deque()
        _of_pools.setdefault(pool, weakref.WeakSet()).add(self)

    def ask(self, command: str, *names: bytes) -> Any:
        """Send a command about some keys, return its reply."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._take()
        try:
            connection.send_packed_command((_packed(command.encode(), *names),))
            reply = connection.read_response()
        except _answers:
            # The reply was read to its end.
            self._idle.append(connection)
            raise
        except BaseException:
            # What is still to be read would be taken for the reply to another command, and what
            # happened to one connection may have happened to all.
            self._close(connection)
            self.drop()
            raise
        self._idle.append(connection)
        return reply

    def get(self, name: bytes) -> Any:
        """What a key holds: the most frequent command, without detours."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self.ask("GET", name)
        opened = connection._sock
        if opened is None:
            # Closed by whoever has the pool; redis-py connects anew.
            self._idle.append(connection)
            return self.ask("GET", name)
        try:
            value = fetch(opened, name)
        except Refused:
            self._idle.append(connection)
        except Garbled:
            self._close(connection)
        except BaseException as error:
            # As in ``ask``; said in the words of redis-py.
            self._close(connection)
            self.drop()
            if isinstance(error, TimeoutError):
                raise _exceptions.TimeoutError("Timeout reading from socket") from error
            if isinstance(error, OSError):
                raise _exceptions.ConnectionError(f"Connection lost: {error}") from error
            raise
        else:
            self._idle.append(connection)
            return value
        # redis-py knows what that was.
        return self.ask("GET", name)

    def give_back(self) -> None:
        """Let the pool lend one to somebody else."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return
        self._pool.release(connection)

    def drop(self) -> None:
        """Close what is kept."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self._close(connection)

    def _close(self, connection: Any) -> None:
        connection.disconnect()
        self._pool.release(connection)

    def after_fork(self) -> None:
        """Begin with none in a child: the connections are the parent's."""
        self._idle = deque()


_of_pools: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Kept]] = weakref.WeakKeyDictionary()


def drop_kept(pool: Any) -> None:
    """Close what is kept of a pool's connections."""
    for kept in list(_of_pools.get(pool, ())):
        kept.drop()


def _after_fork() -> None:
    for everything in list(_of_pools.values()):
        for kept in list(everything):
            kept.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _packed(*parts: bytes) -> bytes:
    """A command as the protocol of Redis has it."""
    packed = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b" % (len(parts), b"".join(packed))


def _taker(pool: Any) -> Callable[[], Any]:
    """What borrows a connection of a pool."""
    take: Callable[..., Any] = pool.get_connection
    named = inspect.signature(take).parameters.get("command_name")
    if named is not None and named.default is named.empty:
        # Before redis-py 5.3, which does nothing with it either.
        return partial(take, "GET")
    return take


def _exchange(
    take: Callable[[], Any], release: Callable[[Any], None], command: str, *names: bytes
) -> Any:
    connection = take()
    try:
        connection.send_command(command, *names)
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
