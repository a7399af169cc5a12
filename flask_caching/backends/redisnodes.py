"""The nodes of a Redis Cluster: which of them has a key, and how several are asked at once.

redis-py's own pipeline for clusters is not used: it sends a command again after a time-out,
whichever it is, and one node that is down costs the replies of the others.
"""

from __future__ import annotations

import importlib
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..breaker import Breaker
from .redisfaults import FAILURES, REDIRECTIONS, attempt, was_lost
from .redisforks import keep_over_forks
from .redisscan import Command, Server

__all__ = ["Nodes"]


def _wants_purpose() -> bool:
    parameters = inspect.signature(_connection.ConnectionPool.get_connection).parameters
    purpose = parameters.get("command_name")
    return purpose is not None and purpose.default is inspect.Parameter.empty


_cluster: Any = importlib.import_module("redis.cluster")
_connection: Any = importlib.import_module("redis.connection")
_exceptions: Any = importlib.import_module("redis.exceptions")
_key_slot: Callable[[bytes], int] = importlib.import_module("redis.crc").key_slot

#: Before redis-py 5.3 a pool asks what the connection is for.
_FOR: tuple[str, ...] = ("_",) if _wants_purpose() else ()
#: Whether it can be told which node is to be asked last where the others are.
_TAKES_FAILED = (
    "last_failed_node_name" in inspect.signature(_cluster.NodesManager.initialize).parameters
)

#: Seconds between two looks at which nodes there are, and how many times as long as one took.
_REFRESH_INTERVAL = 1.0
_REFRESH_SHARE = 30
#: Nodes that are asked at once; each takes a few frames of the stack.
_AT_ONCE = 16
#: Seconds to wait for another thread that connects; in a forked child it may be gone for ever.
_CONNECTING = 5.0

#: No node answers, or none has slots.
_NOTHING_LEARNT: tuple[type[Exception], ...] = (*FAILURES, LookupError)

#: Where a command has its key, if not behind its name.
_KEY_AT = {"EVAL": 3, "MEMORY": 2}
_READS = frozenset({"GET", "EXISTS", "PTTL"})


class _Part(NamedTuple):
    """What one node is asked: the places of its commands."""

    node: Any
    places: list[int]


class Nodes:
    """A cluster's nodes, each behind a breaker of its own.

    Args:
        connect: Makes the client; called when it is needed first, and again if it failed.
        breaker: Around the cluster as a whole: around connecting, and around commands that one
            node refers to another.
        new_breaker: Makes the breaker of a node, of its name.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        breaker: Breaker,
        new_breaker: Callable[[str], Breaker],
    ) -> None:
        self._connect = connect
        self._breaker = breaker
        self._new_breaker = new_breaker
        self._breakers: dict[str, Breaker] = {}
        #: The cluster's, and those of the nodes that were asked so far.
        self.breakers: list[Breaker] = [breaker]
        self._client: Any = None
        self._connecting = threading.Lock()
        self._refresh_at = 0.0

    @property
    def client(self) -> Any:
        """The client, connected if it was not."""
        if self._client is None:
            locked = self._connecting.acquire(timeout=_CONNECTING)
            try:
                if self._client is None:
                    self.client = self._breaker.call(self._connect)
            finally:
                if locked:
                    self._connecting.release()
        return self._client

    @client.setter
    def client(self, client: Any) -> None:
        self._client = client
        keep_over_forks(client)

    def servers(self) -> list[Server]:
        """The primaries, to walk through."""
        return [
            Server(node.name, partial(self._ask_node, node)) for node in self.client.get_primaries()
        ]

    def ask(self, commands: Sequence[Command], again: bool = True) -> list[Any]:
        """Send commands to the nodes that have their keys: one trip to each node, all at once.

        Args:
            commands: Each with one key.
            again: Whether they may be sent once more if a connection is lost.

        Returns:
            The replies in the order of the commands; errors among them, those of nodes that
            cannot be reached included.
        """
        replies: list[Any] = [None] * len(commands)
        parts: dict[str, _Part] = {}
        # What is read after a write is read where it was written.
        reading = all(command[0] in _READS for command in commands)
        for place, command in enumerate(commands):
            try:
                node = self._owner(command, reading)
            except _exceptions.SlotNotCoveredError as error:
                replies[place] = error
                self._refresh("")
                continue
            parts.setdefault(node.name, _Part(node, [])).places.append(place)
        self._ask_parts(list(parts.values()), commands, replies, again)
        return [
            self._ask_elsewhere(command) if isinstance(reply, REDIRECTIONS) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    def _owner(self, command: Command, reading: bool) -> Any:
        """The node to send a command to; a replica perhaps, if all that is done is reading."""
        client = self.client
        slot = _key_slot(command[_KEY_AT.get(command[0], 1)])
        nodes = client.nodes_manager
        if reading:
            strategy = getattr(client, "load_balancing_strategy", None)
            if strategy is not None:
                return nodes.get_node_from_slot(slot, client.read_from_replicas, strategy)
            return nodes.get_node_from_slot(slot, client.read_from_replicas)
        return nodes.get_node_from_slot(slot)

    def _breaker_of(self, node: Any) -> Breaker:
        breaker = self._breakers.get(node.name)
        if breaker is None:
            made = self._new_breaker(f"the cluster node {node.name}")
            # Whoever listens to the cluster's wants to know of this one's as well.
            made.listener = self._breaker.listener
            breaker = self._breakers.setdefault(node.name, made)
            if breaker is made:
                self.breakers.append(made)
        return breaker

    def _ask_node(self, node: Any, commands: Sequence[Command]) -> list[Any]:
        """The replies of one node, whatever keys the commands have.

        Raises:
            Exception: If the node cannot be reached.
        """
        replies: list[Any] = [None] * len(commands)
        part = _Part(node, list(range(len(commands))))
        self._ask_parts([part], commands, replies, True)
        for reply in replies:
            if isinstance(reply, FAILURES):
                raise reply
        return replies

    def _ask_parts(
        self, parts: list[_Part], commands: Sequence[Command], replies: list[Any], again: bool
    ) -> None:
        for first in range(0, len(parts), _AT_ONCE):
            failed: list[_Part] = []
            self._converse(parts[first : first + _AT_ONCE], commands, replies, failed)
            for part in failed:
                error = replies[part.places[0]]
                if again and was_lost(error):
                    self._converse([part], commands, replies, [])
                    error = replies[part.places[0]]
                if isinstance(error, FAILURES):
                    self._refresh(part.node.name)

    def _converse(
        self,
        parts: list[_Part],
        commands: Sequence[Command],
        replies: list[Any],
        failed: list[_Part],
    ) -> None:
        """Write to each node, then read from each: the first's replies wait in its connection.

        Args:
            parts: What is left to be asked.
            commands: All commands.
            replies: Where the replies go; the error, for each command of a node that failed.
            failed: Where the parts go whose node failed.
        """
        if not parts:
            return
        (part, *others), done = parts, False

        def exchange(connection: Any) -> None:
            nonlocal done
            connection.send_packed_command(
                connection.pack_commands([commands[place] for place in part.places])
            )
            done = True
            self._converse(others, commands, replies, failed)
            for place in part.places:
                try:
                    replies[place] = connection.read_response()
                except _exceptions.ResponseError as error:
                    replies[place] = error

        try:
            self._breaker_of(part.node).call(self._with_connection, part.node, exchange)
        except Exception as error:
            failed.append(part)
            for place in part.places:
                replies[place] = error
        if not done:
            self._converse(others, commands, replies, failed)

    def _with_connection(self, node: Any, exchange: Callable[[Any], None]) -> None:
        """Lend ``exchange`` a connection, which is dropped unless it was read to its end."""
        pool = self.client.get_redis_connection(node).connection_pool
        connection = pool.get_connection(*_FOR)
        finished = False
        try:
            exchange(connection)
            finished = True
        finally:
            if not finished:
                connection.disconnect()
            pool.release(connection)

    def _ask_elsewhere(self, command: Command) -> Any:
        """The reply of the node that another one named; redis-py learns from it where keys are."""
        client = self.client
        try:
            return self._breaker.call(attempt, client, False, client.execute_command, *command)
        except Exception as error:
            return error

    def _refresh(self, failed: str) -> None:
        """Ask which nodes there are by now, unless that was done a moment ago."""
        began = time.monotonic()
        if began < self._refresh_at:
            return
        self._refresh_at = began + _REFRESH_INTERVAL
        nodes = self.client.nodes_manager
        try:
            if _TAKES_FAILED:
                nodes.initialize(last_failed_node_name=failed)
            else:
                known = dict(nodes.startup_nodes)
                if failed in known:
                    known[failed] = known.pop(failed)
                nodes.startup_nodes = known
                nodes.initialize()
        except _NOTHING_LEARNT:
            # The failure that led here is the one that is reported.
            return
        finally:
            now = time.monotonic()
            self._refresh_at = now + max(_REFRESH_INTERVAL, _REFRESH_SHARE * (now - began))
        present = {node.name for node in self.client.get_nodes()}
        for name in set(self._breakers) - present:
            gone = self._breakers.pop(name, None)
            if gone in self.breakers:
                self.breakers.remove(gone)
