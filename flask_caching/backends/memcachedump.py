"""Walking through the keys of memcached servers: to list them, or to clear them.

memcached's crawler (``lru_crawler metadump``) writes down all that a server holds, 200,000 names
in a tenth of a second, without touching their age. It knows no prefix and cannot be told where to
begin, so every look is at everything, on a connection of its own and in constant memory.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes
from zlib import crc32

from ..errors import BackendError
from .base import RESERVED, KeyInfo, KeyPage
from .memcachekeys import Space, encoded
from .memcachelink import Garbled, Link, Pool
from .memcacheops import Remove, Store
from .memcachetext import TextConnection

__all__ = ["Crawler", "Listing", "clear"]

#: Bytes that are read at once.
_CHUNK = 1 << 18
#: Where it is noted that one process looks, and for how many seconds at most.
_TURN = f"{RESERVED}listing".encode()
_TURN_SECONDS = 3
#: Seconds to wait for others who look, for a page and to clear; longer than one who died can keep
#: the turn. And between two attempts.
_PATIENCE = 5.0
_PATIENCE_TO_CLEAR = 30.0
_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
#: Time-outs that the crawler may fall silent for.
_TIMEOUTS = 4
#: Seconds that a listing may take; there would be no use in a page that comes later.
_LONGEST_LOOK = 10.0

#: Keys that are remembered for the next pages, and seconds for which they are.
_REMEMBERED = 20_000
_REMEMBERED_SECONDS = 5.0

#: Names that are removed after one look, and in one round trip.
_AT_ONCE = 200_000
_BATCH = 1000
#: Looks at a server that is written to all the while it is being cleared.
_LOOKS = 10

_CURSOR = re.compile(r"([0-9]{1,5})-([0-9a-f]{8})?")
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
        until = self._take_turn(connection, patience)
        try:
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
    start, own = _as_written(space.start), _as_written(space.own)
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

    crawler.look(see, _PATIENCE_TO_CLEAR)
    return names, more


class _Memory(NamedTuple):
    """What one look found: some names in the order of the listing.

    Attributes:
        question: Server, space and match.
        after: The place after which they begin.
        found: Place and line of each.
        whole: Whether there are no more.
        seconds: The server's Unix time when it was made.
        made_at: The monotonic time of it.
    """

    question: tuple[int, bytes, str]
    after: int
    found: list[tuple[int, bytes]]
    whole: bool
    seconds: int
    made_at: float


class Listing:
    """Pages of the names that servers hold.

    Names are listed in the order of a hash of them, so that a cursor, which is a place in this
    order, means the same in every process and however names come and go. To fill a page a server
    writes down all of its names; the next 20,000 are remembered for five seconds, since whoever
    asked for a page may ask for the next.

    Args:
        crawlers: Those of the servers.
    """

    def __init__(self, crawlers: Sequence[Crawler]) -> None:
        self._crawlers = crawlers
        self._memory: _Memory | None = None

    def forget(self) -> None:
        """Remember nothing of the last look."""
        self._memory = None

    def page(self, space: Space, cursor: str, limit: int, match: str) -> KeyPage:
        """A page of the names of a space.

        Args:
            space: Which.
            cursor: What the page before ended with; empty for the first.
            limit: About how many keys.
            match: Text that a key contains, without the prefix, literally.

        Raises:
            ValueError: If the cursor is not one that this method returned.
        """
        server, after = _resume(cursor)
        infos: list[KeyInfo] = []
        while server < len(self._crawlers) and len(infos) < max(limit, 1):
            memory = self._remembered(server, space, match, after, fresh=not cursor)
            missing = max(limit, 1) - len(infos)
            first = bisect_right(memory.found, after, key=itemgetter(0))
            end = min(first + missing, len(memory.found))
            # Names with the same place are never on two pages.
            while 0 < end < len(memory.found) and memory.found[end][0] == memory.found[end - 1][0]:
                end += 1
            now = memory.seconds + time.monotonic() - memory.made_at
            infos += _described(space, memory.found[first:end], now)
            if end < len(memory.found) or not memory.whole:
                after = memory.found[end - 1][0]
            else:
                server, after = server + 1, -1
        if server >= len(self._crawlers):
            return KeyPage(infos, "")
        return KeyPage(infos, f"{server}-{after:08x}" if after >= 0 else f"{server}-")

    def _remembered(
        self, server: int, space: Space, match: str, after: int, fresh: bool
    ) -> _Memory:
        """What is known of the names after a place, from a new look if need be."""
        question = (server, space.start, match)
        memory = self._memory
        if (
            memory is not None
            and not fresh
            and memory.question == question
            and time.monotonic() - memory.made_at < _REMEMBERED_SECONDS
            and memory.after <= after
            and (memory.whole or (memory.found and memory.found[-1][0] > after))
        ):
            return memory
        made_at = time.monotonic()
        collected = _Collected(space, match, after, made_at + _LONGEST_LOOK)
        seconds = self._crawlers[server].look(collected.see, _PATIENCE)
        whole = collected.settle()
        self._memory = memory = _Memory(question, after, collected.found, whole, seconds, made_at)
        return memory


class _Collected:
    """The first names after a place, of all that a crawler writes."""

    def __init__(self, space: Space, match: str, after: int, deadline: float) -> None:
        self.found: list[tuple[int, bytes]] = []
        self._space = space
        self._match = match
        self._after = after
        self._deadline = deadline
        self._last = 2**32
        self._start = _as_written(space.start)
        self._own = _as_written(space.own)
        # Most names can be told not to match before they are read; but not where what is shown
        # of a name may be no part of it.
        self._hint = b"" if "%" in match or "\\" in match else _escaped(encoded(match))

    def see(self, lines: list[bytes]) -> None:
        start, own, hint, after, last = (
            self._start,
            self._own,
            self._hint,
            self._after,
            self._last,
        )
        for line in lines:
            if not line.startswith(start) or line.startswith(own):
                continue
            name = line[4 : line.index(b" ")]
            place = crc32(name)
            if not after < place <= last or hint not in name:
                continue
            if self._match and self._match not in self._space.key(unquote_to_bytes(name)):
                continue
            self.found.append((place, line))
        if len(self.found) > 2 * _REMEMBERED:
            self.settle()
        if time.monotonic() > self._deadline:
            raise BackendError(
                f"memcached holds so much that listing it takes more than {_LONGEST_LOOK:g} s"
            )

    def settle(self) -> bool:
        """Put in order what was found. Returns whether it is all that there was so far."""
        found = self.found
        found.sort()
        if len(found) > _REMEMBERED:
            end = _REMEMBERED
            while end < len(found) and found[end][0] == found[end - 1][0]:
                end += 1
            if end < len(found):
                del found[end:]
                self._last = found[-1][0]
        return self._last == 2**32


def _resume(cursor: str) -> tuple[int, int]:
    """The server to go on with, and the place after which."""
    if not cursor:
        return 0, -1
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError(f"{cursor!r} is not a cursor that keys() returned")
    return int(match[1]), int(match[2], 16) if match[2] else -1


def _as_written(start: bytes) -> bytes:
    """What the crawler's lines begin with for names that begin so."""
    return b"key=" + _escaped(start)


def _escaped(part: bytes) -> bytes:
    """A part of a name in the crawler's words."""
    return quote_from_bytes(part, safe="").encode()


def _described(space: Space, found: Sequence[tuple[int, bytes]], now: float) -> Iterator[KeyInfo]:
    """The keys in the crawler's lines, without those that have expired."""
    for _, line in found:
        facts = dict(word.split(b"=", 1) for word in line.split(b" ") if b"=" in word)
        name, expires, size = (facts.get(fact, b"") for fact in (b"key", b"exp", b"size"))
        expires_at = 0.0 if expires == b"-1" else float(expires) if expires.isdigit() else None
        if not expires_at or expires_at > now:
            yield KeyInfo(
                space.key(unquote_to_bytes(name)),
                expires_at,
                int(size) if size.isdigit() else None,
            )
