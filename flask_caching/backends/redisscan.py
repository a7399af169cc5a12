"""Walking through the keys of a Redis server with ``SCAN``: to list them, or to clear them.

Nothing here blocks a server or refreshes the age of a key: ``SCAN`` in small steps, ``PTTL`` and
``MEMORY USAGE`` for what a listing shows, ``UNLINK`` for what goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from .base import RESERVED, KeyInfo, KeyPage

__all__ = ["Command", "Server", "clear", "page"]

#: A command and its arguments.
Command: TypeAlias = tuple[Any, ...]

#: Slots of the server's table that one SCAN looks at, about.
_STEP = 1000
#: SCANs for one page at most, so that a page is bounded among a million keys of others.
_SCANS = 8

#: A cursor is a number of 64 bits.
_CURSORS = 2**64

_GLOB = re.compile(rb"[*?\[\]\\]")


class Server(NamedTuple):
    """A server to walk through.

    Attributes:
        name: Distinguishes the nodes of a cluster; empty where there is one server.
        ask: Sends commands in one round trip, and returns the replies, errors among them.
    """

    name: str
    ask: Callable[[Sequence[Command]], list[Any]]


class _Step(NamedTuple):
    """What one SCAN found, and where the next one goes on; 0 is the end."""

    cursor: int
    names: list[bytes]


def page(
    servers: Sequence[Server], prefix: bytes, cursor: str, limit: int, match: str, now: float
) -> KeyPage:
    """A page of the keys that begin with ``prefix``; it stays on one server.

    Args:
        servers: All of them.
        prefix: This cache's own.
        cursor: What the page before ended with; empty for the first.
        limit: About how many keys.
        match: Text that a key contains, without the prefix, literally.
        now: Unix time.

    Raises:
        ValueError: If the cursor is not one that this function returned.
    """
    position, server, following = _resume(sorted(servers, key=lambda server: server.name), cursor)
    if server is None:
        return KeyPage([], "")
    wanted = match.encode("utf-8", "surrogatepass")
    pattern = _literally(prefix) + (b"*" + _literally(wanted) if wanted else b"") + b"*"
    found: dict[bytes, None] = {}
    count = max(1, min(limit, _STEP))
    for _ in range(_SCANS):
        position, names = _scan(server, position, pattern, count)
        own = [name for name in names if wanted in name[len(prefix) :] and _is_own(name, prefix)]
        # SCAN may repeat a key.
        found.update(dict.fromkeys(own))
        if not position or len(found) >= limit:
            break
        # As many steps as the rest of the page seems to need, but not many more than before.
        density = len(own) / count
        rest = int((limit - len(found)) / density) + 1 if density else _STEP
        count = min(rest, 4 * count, _STEP)
    infos = _describe(server, prefix, list(found), now)
    if position:
        return KeyPage(infos, f"{position}@{server.name}" if server.name else str(position))
    return KeyPage(infos, f"0@{following}" if following else "")


def _resume(servers: Sequence[Server], cursor: str) -> tuple[int, Server | None, str]:
    """Where to scan on, on which server, and the name of the one after it.

    A node that has left the cluster since is passed over.
    """
    number, _, name = cursor.partition("@")
    if cursor and not (number.isascii() and number.isdigit() and int(number) < _CURSORS):
        raise ValueError(f"{cursor!r} is not a cursor that keys() returned")
    left = [server for server in servers if server.name >= name]
    if not left:
        return 0, None, ""
    server = left[0]
    position = int(number or 0) if server.name == name else 0
    return position, server, left[1].name if len(left) > 1 else ""


def clear(server: Server, prefix: bytes, one_by_one: bool = False) -> None:
    """Remove every key of a server that begins with ``prefix``, and is not reserved.

    Args:
        server: Which.
        prefix: This cache's own.
        one_by_one: Whether a command takes one key only, as it does in a cluster.
    """
    pattern = _literally(prefix) + b"*"
    position, removals = 0, list[Command]()
    while True:
        # What was found is removed in the round trip that looks for more.
        *done, reply = server.ask([*removals, _command(position, pattern, _STEP)])
        for answer in done:
            if isinstance(answer, Exception):
                raise answer
        position, names = _found(reply)
        own = [name for name in names if _is_own(name, prefix)]
        if one_by_one:
            removals = [("UNLINK", name) for name in own]
        else:
            removals = [("UNLINK", *own)] if own else []
        if not position:
            break
    for answer in server.ask(removals) if removals else ():
        if isinstance(answer, Exception):
            raise answer


def _scan(server: Server, position: int, pattern: bytes, count: int) -> _Step:
    return _found(server.ask([_command(position, pattern, count)])[0])


def _command(position: int, pattern: bytes, count: int) -> Command:
    return ("SCAN", position, "MATCH", pattern, "COUNT", count)


def _found(reply: Any) -> _Step:
    if isinstance(reply, Exception):
        raise reply
    position, names = reply
    return _Step(int(position), list(names))


def _is_own(name: bytes, prefix: bytes) -> bool:
    return name.startswith(prefix) and not name.startswith(RESERVED.encode(), len(prefix))


def _literally(text: bytes) -> bytes:
    """``text`` as a pattern that matches nothing else."""
    return _GLOB.sub(rb"\\\g<0>", text)


def _describe(server: Server, prefix: bytes, names: list[bytes], now: float) -> list[KeyInfo]:
    """When keys expire and how large they are, in one round trip; without those gone by now."""
    if not names:
        return []
    questions: list[Command] = []
    for name in names:
        questions += [("PTTL", name), ("MEMORY", "USAGE", name)]
    replies = server.ask(questions)
    infos: list[KeyInfo] = []
    for name, left, size in zip(names, replies[::2], replies[1::2], strict=True):
        if left == -2:
            continue
        expires_at = None
        # One may not be allowed to ask, or the key is just moving to another node.
        if isinstance(left, int):
            expires_at = now + left / 1000 if left >= 0 else 0.0
        key = _readable(name[len(prefix) :])
        infos.append(KeyInfo(key, expires_at, size if isinstance(size, int) else None))
    return infos


def _readable(name: bytes) -> str:
    try:
        return name.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # Not written by this package, under its prefix.
        return name.decode("utf-8", "backslashreplace")
