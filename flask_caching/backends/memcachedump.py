"""Walking through the keys of memcached servers: to list them, or to clear them.

memcached's crawler (``lru_crawler metadump``) writes down all that a server holds, 200,000 names
in a tenth of a second, without touching their age. It knows no prefix and cannot be told where to
begin, so every look is at everything, on a connection of its own and in constant memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..errors import BackendError
from .base import RESERVED
from .memcachekeys import Space
from .memcachelink import Link, Pool
from .memcacheops import Remove, Store
from .memcachetext import TextConnection
from .replyreader import Garbled

__all__ = ["Crawler", "as_written", "clear", "escaped"]

#: Bytes that are read at once.
_CHUNK = 1 << 18
#: Where it is noted that one process looks, and for how many seconds at most.
_TURN = f"{RESERVED}listing".encode()
_TURN_SECONDS = 3
#: Seconds between two attempts, at first and in the end.
_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
#: Time-outs that the crawler may fall silent for.
_TIMEOUTS = 4

#: Seconds to wait for others who look, where there is something to be cleared.
_PATIENCE = 30.0
#: Names that are removed after one look, and in one round trip.
_AT_ONCE = 200_000
_BATCH = 1000
#: Looks at a server that is written to all the while it is being cleared.
_LOOKS = 10

#: A name that can be said in the text protocol.
_SAYABLE = re.compile(rb"[^\x00-\x20\x7f]+")


class Crawler:
    """What writes down the names of one server.

    Args:
        pool: The server's.
        link: How to connect to it.
    """

    def __init__(self, pool: Pool, link: Link) -> None:
        self.pool = pool
        self._link = link

    def look(self, see: Callable[[list[bytes]], None], patience: float) -> int:
        """Show ``see`` every line that the crawler writes, in portions.

        Args:
            see: Takes lines.
            patience: Seconds to wait for others who look.

        Returns:
            The server's Unix time.

        Raises:
            BackendError: If the server has no crawler, or it is busy for too long.
        """
        seconds: int = self.pool.breaker.call(self._look, see, patience)
        return seconds

    def _look(self, see: Callable[[list[bytes]], None], patience: float) -> int:
        connection = TextConnection(self._link)
        until = 0.0
        try:
            until = self._take_turn(connection, patience)
            now = connection.stats().get(b"time", b"")
            if not now.isdigit():
                raise Garbled("memcached does not tell its time")
            said = self._ask(connection, see, patience)
            if said:
                raise BackendError(
                    f"{self.pool.breaker.name} cannot list its keys, which keys() and clear() "
                    f"need: it says {said.decode('ascii', 'replace')[:80]!r}. Start memcached "
                    "(1.4.31 or newer) with its LRU crawler, which is on by default: without "
                    "-o no_lru_crawler."
                )
        except BaseException:
            # A part of a listing may be left on it.
            connection.close()
            raise
        finally:
            # What cannot be given back expires soon.
            with suppress(OSError):
                if time.monotonic() < until:
                    connection.send([Remove(_TURN)])
                    connection.receive([Remove(_TURN)])
            connection.close()
        return int(now)

    def _take_turn(self, connection: TextConnection, patience: float) -> float:
        """Let no other process look meanwhile. Returns until when, as monotonic time.

        While the crawler waits for one reader, the next one's request makes one of the server's
        threads wait, with all whom it serves (seen with memcached 1.6.18).
        """
        op = Store(_TURN, b"", _TURN_SECONDS, "add")
        for _ in self._attempts(patience):
            connection.send([op])
            [taken] = connection.receive([op])
            if taken:
                break
        # Where it is kept has no more than whole seconds.
        return time.monotonic() + _TURN_SECONDS - 1

    def _attempts(self, patience: float) -> Iterator[None]:
        """Pause between attempts.

        Raises:
            BackendError: If there were enough.
        """
        deadline, pause = time.monotonic() + patience, _PAUSE
        while True:
            yield
            if time.monotonic() > deadline:
                raise BackendError(
                    f"the crawler of {self.pool.breaker.name}, which lists its keys, has been busy "
                    f"for {patience:g} s; try again later"
                )
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _ask(
        self, connection: TextConnection, see: Callable[[list[bytes]], None], patience: float
    ) -> bytes:
        """Ask until the crawler is free. Returns what was said instead of names, if so."""
        opened = connection.open()
        if self._link.timeout is not None:
            opened.settimeout(_TIMEOUTS * self._link.timeout)
        said = b""
        for _ in self._attempts(patience):
            opened.sendall(b"lru_crawler metadump hash\r\n")
            said = self._show(connection, see)
            if said.startswith(b"BADCLASS"):
                # Before memcached 1.6.9.
                opened.sendall(b"lru_crawler metadump all\r\n")
                said = self._show(connection, see)
            if not said.startswith(b"BUSY"):
                break
        return said

    @staticmethod
    def _show(connection: TextConnection, see: Callable[[list[bytes]], None]) -> bytes:
        """Show what is written. Returns what was said instead, if nothing was."""
        opened, rest, begun = connection.open(), b"", False
        while True:
            data = opened.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("memcached closed the connection while it listed keys")
            *lines, rest = (rest + data).split(b"\n")
            if not lines:
                continue
            if not begun and not lines[0].startswith((b"key=", b"END")):
                return lines[0].rstrip(b"\r") or b"an empty line"
            begun = True
            if lines[-1].rstrip(b"\r") == b"END":
                see(lines[:-1])
                return b""
            see(lines)


def clear(crawler: Crawler, space: Space) -> None:
    """Remove every name of a space that a server holds, but those of this package's own.

    Several looks: what was there when the first began is gone in the end, and what is written
    meanwhile goes too, unless it comes faster than that.
    """
    looks = 0
    while looks < _LOOKS:
        # Not while the crawler writes: it holds locks that a removal waits for.
        names, more = _some_names(crawler, space)
        if not names:
            return
        for first in range(0, len(names), _BATCH):
            crawler.pool.ask([Remove(name) for name in names[first : first + _BATCH]])
        looks += not more


def _some_names(crawler: Crawler, space: Space) -> tuple[list[bytes], bool]:
    """Names of a space, and whether there were more."""
    start, own = as_written(space.start), as_written(space.own)
    names: list[bytes] = []
    more = False

    def see(lines: list[bytes]) -> None:
        nonlocal more
        for line in lines:
            if line.startswith(start) and not line.startswith(own):
                name = unquote_to_bytes(line[4 : line.index(b" ")])
                if len(names) == _AT_ONCE:
                    more = True
                    return
                # What cannot be said was not written by this package.
                if _SAYABLE.fullmatch(name):
                    names.append(name)

    crawler.look(see, _PATIENCE)
    return names, more


def as_written(start: bytes) -> bytes:
    """What the crawler's lines begin with for names that begin so."""
    return b"key=" + escaped(start)


def escaped(part: bytes) -> bytes:
    """A part of a name in the crawler's words."""
    return quote_from_bytes(part, safe="").encode()
