"""What is in a store, read and changed past the cache: by a plain client, or in its files."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from redis_groups import SentinelSet
from servers import MemcachedServer, RedisServer, SaslMemcachedServer

from flask_caching.backends import files

__all__ = ["Raw", "raw_store"]

Change = Callable[[bytes], bytes]


class Raw(Protocol):
    """The items of a store, by the names they have there."""

    def names(self) -> list[bytes]:
        """All of them."""
        ...

    def change(self, prefix: str, part: str, change: Change) -> int:
        """Change the bytes of each item with both in its name; returns how many there were."""
        ...


def raw_store(store: str, server: Any, folder: Path) -> Raw:
    """The items of the store that ``config_of`` was given the same for."""
    if store == "FileSystemCache":
        return _Files(folder)
    if isinstance(server, SentinelSet):
        return _Redis([server.master])
    if isinstance(server, SaslMemcachedServer):
        return _SaslMemcached(server)
    servers = server if isinstance(server, list) else [server]
    return _Redis(servers) if isinstance(servers[0], RedisServer) else _Memcached(servers)


class _Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[bytes]:
        return [header.key for _, header in self._all()]

    def change(self, prefix: str, part: str, change: Change) -> int:
        # A prefix has a directory of its own; those of a test are in one anyway.
        found = [(path, header) for path, header in self._all() if part.encode() in header.key]
        for path, header in found:
            held = files.read(str(path), header.key)
            assert held is not None
            data = files.pack(header.key, [change(held.payload)], held.expires_at, held.used)
            path.write_bytes(b"".join(data))
        return len(found)

    def _all(self) -> Iterator[tuple[Path, files.Header]]:
        for path in self._folder.rglob(f"*{files.ENTRY}"):
            header = files.peek(str(path))
            assert header is not None
            yield path, header


class _Redis:
    def __init__(self, servers: list[RedisServer]) -> None:
        self._servers = servers

    def names(self) -> list[bytes]:
        return [name for _, name in self._visit()]

    def change(self, prefix: str, part: str, change: Change) -> int:
        changed = 0
        for client, name in self._visit():
            if prefix.encode() in name and part.encode() in name:
                client.set(name, change(client.get(name)), keepttl=True)
                changed += 1
        return changed

    def _visit(self) -> Iterator[tuple[Any, bytes]]:
        import redis

        for server in self._servers:
            with redis.Redis(host=server.host, port=server.port) as client:
                for name in list(client.scan_iter(count=1000)):
                    yield client, name


class _Memcached:
    def __init__(self, servers: list[MemcachedServer]) -> None:
        self._servers = servers

    def names(self) -> list[bytes]:
        return [name for server in self._servers for name in _names(server)]

    def change(self, prefix: str, part: str, change: Change) -> int:
        from pymemcache.client.base import Client

        changed = 0
        for server in self._servers:
            with ExitStack() as ending:
                client = Client(server.address)
                ending.callback(client.close)
                for name in _names(server):
                    # The name itself may be encoded.
                    whole = unquote_to_bytes(name)
                    if prefix.encode() not in whole or part.encode() not in whole:
                        continue
                    held = client.get(name)
                    if held is not None:
                        client.set(name, change(held), noreply=False)
                        changed += 1
        return changed


def _names(server: MemcachedServer) -> list[bytes]:
    """What ``lru_crawler metadump`` lists; ``all`` would miss what moves between its lists."""
    answer = b"BUSY"
    # So it says while it goes through its lists for somebody else.
    while answer.startswith(b"BUSY"):
        answer = b""
        with socket.create_connection(server.address, timeout=20) as connection:
            connection.sendall(b"lru_crawler metadump hash\r\n")
            while not answer.endswith((b"END\r\n", b"request\r\n")):
                part = connection.recv(65536)
                assert part, "memcached closed the connection"
                answer += part
    lines = answer.splitlines()[:-1]
    return [unquote_to_bytes(line.split()[0].removeprefix(b"key=")) for line in lines]


class _SaslMemcached:
    """A server that cannot be listed; its log says what was written if it was started with -vv."""

    def __init__(self, server: SaslMemcachedServer) -> None:
        self._server = server

    def names(self) -> list[bytes]:
        return self._present(lambda name: True)

    def change(self, prefix: str, part: str, change: Change) -> int:
        names = self._present(lambda name: prefix.encode() in name and part.encode() in name)
        with socket.create_connection(self._server.address, timeout=5) as connection:
            self._log_in(connection)
            for name in names:
                held = _ask(connection, _GET, name)
                assert held is not None
                _ask(connection, _SET, name, bytes(8), change(held))
        return len(names)

    def _present(self, wanted: Callable[[bytes], bool]) -> list[bytes]:
        written = re.findall(r"^<\d+ (?:SET|ADD) (\S+)", self._server.log(), re.MULTILINE)
        names = [name.encode() for name in dict.fromkeys(written)]
        with socket.create_connection(self._server.address, timeout=5) as connection:
            self._log_in(connection)
            return [
                name
                for name in names
                if wanted(unquote_to_bytes(name)) and _ask(connection, _GET, name) is not None
            ]

    def _log_in(self, connection: socket.socket) -> None:
        login = f"\0{self._server.username}\0{self._server.password}".encode()
        assert _ask(connection, _LOG_IN, b"PLAIN", b"", login) is not None


#: Requests of the binary protocol, and the header of each and of its reply.
_GET, _SET, _LOG_IN = 0x00, 0x01, 0x21
_HEADER = struct.Struct(">BBHBxHIIQ")


def _ask(
    connection: socket.socket, what: int, key: bytes, extras: bytes = b"", value: bytes = b""
) -> bytes | None:
    """The value in the reply; ``None`` if it says that there is none."""
    body = extras + key + value
    connection.sendall(_HEADER.pack(0x80, what, len(key), len(extras), 0, len(body), 0, 0) + body)
    with connection.makefile("rb") as stream:
        _, _, key_size, extras_size, status, size, _, _ = _HEADER.unpack(stream.read(_HEADER.size))
        reply = stream.read(size)
    return None if status else reply[extras_size + key_size :]
