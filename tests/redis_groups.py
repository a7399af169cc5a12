"""Redis servers that belong together: a Sentinel set and a Cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from servers import HOST, PATIENCE, RedisServer, wait_until

__all__ = ["ClusterNode", "SentinelServer", "SentinelSet", "start_cluster"]

_SLOTS = 16384


class SentinelServer(RedisServer):
    """A Sentinel that watches nothing yet. It keeps what it learns in ``sentinel.conf``."""

    def _command(self) -> Sequence[str]:
        (self.directory / "sentinel.conf").touch()
        own = ["--port", str(self.port), "--bind", HOST, "--dir", ".", "--logfile", ""]
        return [self.binary, "sentinel.conf", "--sentinel", *own]


class SentinelSet:
    """A master with two replicas, and three Sentinels that watch them.

    Args:
        directory: For their files and logs.
        down_after_milliseconds: After how long a silent server counts as down.

    Attributes:
        master_name: What the Sentinels call the master.
        password: None is needed.
        nodes: The servers; the first is the master in the beginning.
        sentinel_servers: The Sentinels.

    Raises:
        ServerDidNotStart: If one of them did.
        TimeoutError: If they did not find one another.
    """

    master_name = "tests-master"
    password: str | None = None

    def __init__(self, directory: Path, down_after_milliseconds: int = 500) -> None:
        self.nodes: list[RedisServer] = []
        self.sentinel_servers: list[SentinelServer] = []
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._start_nodes(directory)
            self._start_sentinels(directory, down_after_milliseconds)
            undo.pop_all()

    @property
    def sentinels(self) -> list[tuple[str, int]]:
        """Host and port of each Sentinel."""
        return [sentinel.address for sentinel in self.sentinel_servers]

    @property
    def master(self) -> RedisServer:
        """The server that the Sentinels call the master now."""
        said = self.sentinel_servers[0].cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master_name)
        return next(node for node in self.nodes if str(node.port) == said.split()[-1])

    @property
    def replicas(self) -> list[RedisServer]:
        """The others."""
        master = self.master
        return [node for node in self.nodes if node is not master]

    def wait_for_failover(self, old: RedisServer, seconds: float = PATIENCE) -> RedisServer:
        """The new master, once every Sentinel names it and it takes writes.

        Args:
            old: The master before.
            seconds: How long at most.

        Raises:
            TimeoutError: If there is none by then.
        """

        def agreed() -> bool:
            ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master_name)
            named = {sentinel.cli(*ask) for sentinel in self.sentinel_servers if sentinel.running}
            return len(named) == 1 and str(old.port) not in named.pop().split()

        wait_until(agreed, f"another master than {old!r}", seconds)
        new = self.master
        wait_until(lambda: new.info("replication")["role"] == "master", f"{new!r} as master")
        return new

    def stop(self) -> None:
        """End all of them."""
        for server in [*self.sentinel_servers, *self.nodes]:
            server.stop()

    def _start_nodes(self, directory: Path) -> None:
        options = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]
        for number in range(3):
            replicates = ["--replicaof", f"{HOST} {self.nodes[0].port}"] if number else []
            node = RedisServer(directory / f"node-{number}", *options, *replicates)
            self.nodes.append(node)
        for node in self.nodes[1:]:
            wait_until(partial(_is_in_step, node), f"{node!r} as a replica")

    def _start_sentinels(self, directory: Path, down_after_milliseconds: int) -> None:
        settings = {
            "down-after-milliseconds": down_after_milliseconds,
            "failover-timeout": 3000,
            "parallel-syncs": 2,
        }
        for number in range(3):
            sentinel = SentinelServer(directory / f"sentinel-{number}")
            self.sentinel_servers.append(sentinel)
            sentinel.cli(
                "SENTINEL", "MONITOR", self.master_name, HOST, str(self.nodes[0].port), "2"
            )
            for name, value in settings.items():
                sentinel.cli("SENTINEL", "SET", self.master_name, name, str(value))
        for sentinel in self.sentinel_servers:
            wait_until(partial(self._knows_all, sentinel), f"{sentinel!r}'s view")

    def _knows_all(self, sentinel: SentinelServer) -> bool:
        said = sentinel.cli("SENTINEL", "MASTER", self.master_name).splitlines()
        fields = dict(zip(said[::2], said[1::2], strict=True))
        return (fields["num-slaves"], fields["num-other-sentinels"]) == ("2", "2")


def _is_in_step(replica: RedisServer) -> bool:
    return replica.info("replication")["master_link_status"] == "up"


class ClusterNode(RedisServer):
    """A node of a Redis Cluster, alone at first."""

    def is_joined(self) -> bool:
        """Whether it sees three masters, and every slot served."""
        lines = self.cli("CLUSTER", "INFO").splitlines()
        return {"cluster_state:ok", "cluster_known_nodes:3", "cluster_size:3"} <= set(lines)

    def _command(self) -> Sequence[str]:
        settings = {
            "enabled": "yes",
            "node-timeout": "5000",
            "require-full-coverage": "no",
        }
        options = [
            part for name, value in settings.items() for part in (f"--cluster-{name}", value)
        ]
        return [*super()._command(), *options]


def start_cluster(directory: Path) -> list[ClusterNode]:
    """A Redis Cluster of three masters without replicas, which goes on without a lost one.

    Args:
        directory: For their files and logs.

    Raises:
        ServerDidNotStart: If one of them did.
        TimeoutError: If they did not find one another.
    """
    nodes: list[ClusterNode] = []
    with ExitStack() as undo:
        for number in range(3):
            node = ClusterNode(directory / f"node-{number}")
            undo.callback(node.stop)
            nodes.append(node)
            first, end = _SLOTS * number // 3, _SLOTS * (number + 1) // 3
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            node.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for node in nodes[1:]:
            nodes[0].cli("CLUSTER", "MEET", HOST, str(node.port))
        for node in nodes:
            wait_until(node.is_joined, f"{node!r}'s view of the cluster")
        undo.pop_all()
    return nodes
