"""Which servers a Redis backend asks, and how: one of them, or the nodes of a cluster.

A call goes through the breaker of the server, which knows whether it is worth asking, and
:func:`~flask_caching.backends.redisfaults.attempt`, which asks once more if a connection is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from .peers import Call, Peer
from .rediscalls import Path, command_of, pipeline_functions
from .redisforks import keep_over_forks
from .redisops import RedisBackend
from .redisscan import Command, Server

if TYPE_CHECKING:
    from .redisnodes import Nodes

__all__ = ["ManyServers", "OneServer"]


class OneServer(RedisBackend):
    """One server at a time, with one client to write and perhaps another to read."""

    def _use(self, write_client: Any, read_client: Any, place: str, again: bool) -> None:
        """Ask these clients from now on.

        Args:
            write_client: Of the server.
            read_client: The same one, or one of its replicas.
            place: Where that is, for people.
            again: Whether to send a command once more if a connection is lost; not where the
                client does so itself.
        """
        from .redisdirect import Direct, direct
        from .redisfaults import attempt

        self._attempt = attempt
        itself = Direct.through(read_client.execute_command)
        self._ask, self._get, self._give_back = direct(read_client) if again else itself
        self._writer = write_client
        self._reader = read_client
        for client in (write_client, read_client):
            keep_over_forks(client)
        self._place = place
        self._again = again
        self._write_breaker = self._read_breaker = self._new_breaker(f"the Redis server {place}")
        self.breakers = (self._write_breaker,)
        if read_client is not write_client:
            self._read_breaker = self._new_breaker(f"the replicas of {place}")
            self.breakers = (self._write_breaker, self._read_breaker)

    @property
    def _write_client(self) -> Any:
        """The client of redis-py that commands go to."""
        return self._writer

    @_write_client.setter
    def _write_client(self, client: Any) -> None:
        self._writer = client
        keep_over_forks(client)

    @property
    def _read_client(self) -> Any:
        """The client of redis-py that is read from."""
        return self._reader

    @_read_client.setter
    def _read_client(self, client: Any) -> None:
        from .redisdirect import Direct

        self._reader = client
        self._ask, self._get, self._give_back = Direct.through(client.execute_command)
        keep_over_forks(client)

    @property
    def peer(self) -> Peer:
        options = getattr(getattr(self._writer, "connection_pool", None), "connection_kwargs", {})
        database = str(options.get("db") or 0)
        if "path" in options:
            return Peer("redis", str(options["path"]), None, database)
        if "host" in options:
            return Peer("redis", str(options["host"]), int(options.get("port", 6379)), database)
        # A master that Sentinels name.
        return Peer("redis", None, None, database)

    def call_of(self, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Call:
        command, path = command_of(method, args, options, self.default_timeout)
        if path is Path.FETCH:
            # Over a connection, unless it is the client's own function. Opening one may ask the
            # Sentinels first, through a client of theirs.
            return Call(command, (self._ask,), may_turn=True)
        if path is Path.PIPELINE:
            return Call(command, pipeline_functions(self._writer))
        client = self._reader if path is Path.READ else self._writer
        return Call(command, (client.execute_command,))

    def _fetch(self, name: bytes) -> bytes | None:
        client = self._reader
        data: bytes | None = self._read_breaker.call(
            self._attempt, client, self._again, _get, self._get, name
        )
        return data

    def _read(self, command: str, name: bytes) -> int:
        client = self._reader
        self._give_back()
        number: int = self._read_breaker.call(
            self._attempt, client, self._again, _told, client, command.upper(), name
        )
        return number

    def _fetch_all(self, names: Sequence[bytes]) -> list[bytes | None]:
        client = self._reader
        found: list[bytes | None] = self._read_breaker.call(
            self._attempt, client, self._again, _get_all, self._ask, names
        )
        return found

    def _do(self, *command: Any, again: bool = True) -> Any:
        client = self._writer
        self._give_back()
        return self._write_breaker.call(
            self._attempt, client, again and self._again, _told, client, *command
        )

    def _do_all(self, commands: Sequence[Command], again: bool = True) -> list[Any]:
        client = self._writer
        self._give_back()
        replies: list[Any] = self._write_breaker.call(
            self._attempt, client, again and self._again, _pipeline, client, commands
        )
        return replies

    def _add_and_fetch_all(
        self, additions: Sequence[Command], names: Sequence[bytes]
    ) -> tuple[list[Any], list[bytes | None]]:
        if not names:
            return self._do_all(additions, again=False), []
        *added, found = self._do_all([*additions, ("MGET", *names)], again=False)
        if isinstance(found, Exception):
            raise found
        return added, _checked_all(found, names)

    def _delete_all(self, command: str, names: Sequence[bytes]) -> list[Any]:
        return [self._do(command, *names)] * len(names)

    def _servers(self) -> Sequence[Server]:
        return [Server("", self._do_all)]


#: What the reply to a command can be; what is not here is looked at by whoever asked.
_REPLIES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "DEL": (int,),
        "EVAL": (int, bytes),
        "EXISTS": (int,),
        "INCRBY": (int,),
        "PEXPIRE": (int,),
        "PFCOUNT": (int,),
        "PTTL": (int,),
        "UNLINK": (int,),
    }
)


def _told(client: Any, *command: Any) -> Any:
    """The reply to a command, if it can be one."""
    reply = client.execute_command(*command)
    fits = isinstance(reply, _REPLIES.get(command[0], object))
    if type(reply) is bytes and command[0] == "EVAL":
        # Our scripts tell numbers, those of 64 bits as text.
        fits = reply.removeprefix(b"-").isdigit()
    if not fits:
        raise _strange(reply)
    return reply


def _get(get: Callable[[bytes], Any], name: bytes) -> bytes | None:
    return _checked(get(name))


def _get_all(ask: Callable[..., Any], names: Sequence[bytes]) -> list[bytes | None]:
    return _checked_all(ask("MGET", *names), names)


def _checked(data: Any) -> bytes | None:
    """The reply to GET, if it can be one."""
    if data is None or type(data) is bytes:
        return data
    raise _strange(data)


def _checked_all(found: Any, names: Sequence[bytes]) -> list[bytes | None]:
    """The reply to MGET, if it can be one."""
    if _length(found) != len(names):
        raise _strange(found)
    return [_checked(data) for data in found]


def _length(reply: object) -> int:
    # Not by whether it has a length, which takes as long as all the rest of this.
    return len(cast("list[object]", reply)) if type(reply) is list else -1


def _strange(reply: object) -> Exception:
    """For a reply that cannot be what was asked for: whatever answers there is no Redis."""
    from .redisfaults import strange

    return strange(f"the reply is of type {type(reply).__name__}")


def _pipeline(client: Any, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            from .redisfaults import drop_doubtful

            drop_doubtful(client, reply)
    return replies


class ManyServers(RedisBackend):
    """The nodes of a cluster, each key on one of them."""

    _nodes: Nodes

    @property
    def peer(self) -> Peer:
        return Peer("redis", None, None, "0")

    def call_of(self, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Call:
        command, _ = command_of(method, args, options, self.default_timeout)
        # Each node is asked for its keys one by one.
        several = {"MGET": "PIPELINE GET"}
        if method in ("delete_many", "unlink"):
            several[command] = f"PIPELINE {command}"
        return Call(several.get(command, command), may_turn=True)

    @property
    def _write_client(self) -> Any:
        """The client of redis-py, connected now if it was not."""
        return self._nodes.client

    @_write_client.setter
    def _write_client(self, client: Any) -> None:
        self._nodes.client = client

    @property
    def _read_client(self) -> Any:
        """The same one."""
        return self._nodes.client

    @_read_client.setter
    def _read_client(self, client: Any) -> None:
        self._nodes.client = client

    def _fetch(self, name: bytes) -> bytes | None:
        return _checked(self._do("GET", name))

    def _read(self, command: str, name: bytes) -> int:
        number: int = self._do(command.upper(), name)
        return number

    def _fetch_all(self, names: Sequence[bytes]) -> list[bytes | None]:
        return _strings(self._nodes.ask([("GET", name) for name in names]))

    def _do(self, *command: Any, again: bool = True) -> Any:
        (reply,) = self._nodes.ask([command], again)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _do_all(self, commands: Sequence[Command], again: bool = True) -> list[Any]:
        return self._nodes.ask(commands, again)

    def _add_and_fetch_all(
        self, additions: Sequence[Command], names: Sequence[bytes]
    ) -> tuple[list[Any], list[bytes | None]]:
        replies = self._nodes.ask([*additions, *[("GET", name) for name in names]], again=False)
        return replies[: len(additions)], _strings(replies[len(additions) :])

    def _delete_all(self, command: str, names: Sequence[bytes]) -> list[Any]:
        return self._nodes.ask([(command, name) for name in names])

    def _servers(self) -> Sequence[Server]:
        return self._nodes.servers()


def _strings(replies: list[Any]) -> list[bytes | None]:
    """Replies to GET as MGET would have given them: ``None`` for what is no string."""
    from .redisfaults import holds_no_string

    found: list[bytes | None] = []
    for reply in replies:
        if not isinstance(reply, Exception):
            found.append(_checked(reply))
        elif holds_no_string(reply):
            found.append(None)
        else:
            raise reply
    return found
