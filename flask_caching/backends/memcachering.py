"""Which of several memcached servers has a key: consistent hashing.

Each server stands at many places of a circle, and a name belongs to the server that comes next.
Where servers are added or removed only the names between them and their neighbours move. What the
places are made of is the servers' addresses, not their order, so that all processes agree.

A server that is down keeps its names: if others took them over, what they were given meanwhile
would be forgotten when it comes back, and what it still holds would be old.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Sequence

__all__ = ["Ring"]

#: Places of each server; so many that their shares differ by a few per cent.
_PLACES = 200


class Ring:
    """Where names belong.

    Args:
        servers: The servers' addresses as text, each once.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        places = sorted(
            (_place(f"{server}/{number}".encode()), index)
            for index, server in enumerate(servers)
            for number in range(_PLACES)
        )
        self._places = [place for place, _ in places]
        self._servers = [index for _, index in places]
        # From the last place on, the circle begins anew.
        self._servers.append(self._servers[0])

    def index(self, name: bytes) -> int:
        """The number of the server that has ``name``."""
        return self._servers[bisect(self._places, _place(name))]


def _place(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
