"""Pages of the keys that memcached servers hold, of what their crawlers write down."""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import unquote_to_bytes
from zlib import crc32

from ..errors import BackendError
from .base import KeyInfo, KeyPage
from .memcachedump import Crawler, as_written, escaped
from .memcachekeys import Space, encoded

__all__ = ["Listing"]

#: Seconds that a listing may take; there would be no use in a page that comes later. And how long
#: others who look are waited for: longer than one who died can keep the turn.
_LONGEST_LOOK = 10.0
_PATIENCE = 5.0

#: Keys that are remembered for the next pages, and seconds for which they are.
_REMEMBERED = 20_000
_REMEMBERED_SECONDS = 5.0

_CURSOR = re.compile(r"([0-9]{1,5})-([0-9a-f]{8})?")


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
        self._start = as_written(space.start)
        self._own = as_written(space.own)
        # Most names can be told not to match before they are read; but not where what is shown
        # of a name may be no part of it.
        self._hint = b"" if "%" in match or "\\" in match else escaped(encoded(match))

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
