"""The memcached servers of a cache: which of them has a name, and how several are asked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from .memcachekeys import Space
from .memcachelink import Part, Pool, ask_all
from .memcacheops import Append, Count, Exists, Fetch, FetchOne, Left, Op, Remove, Store, Touch
from .memcachering import Ring

__all__ = ["AT_ONCE", "NamedOp", "Servers"]

#: A request about one name.
NamedOp: TypeAlias = Append | Count | Exists | FetchOne | Left | Remove | Store | Touch

#: Names, or requests, that go to a server at once; and bytes of values. The replies to more might
#: fill the buffers while requests are still being sent.
AT_ONCE = 1000
_BYTES_AT_ONCE = 4 << 20


class Servers:
    """One or several servers.

    Names go in and out without what :meth:`ask_parts` may put into them.

    Args:
        pools: The connections to each.
        labels: Their addresses as text.
        place: Which server has a name, if not the one that consistent hashing says.

    Attributes:
        pools: As given.
    """

    #: Bytes of a name that :meth:`ask_parts` needs for itself, after the space's start.
    reserved = 0
    #: Whether the servers may be able to tell how long a name has left.
    tell_time = True

    def __init__(
        self,
        pools: Sequence[Pool],
        labels: Sequence[str],
        place: Callable[[bytes], int] | None = None,
    ) -> None:
        self.pools = pools
        if place is None and len(pools) > 1:
            place = Ring(labels).index
        self._place = place

    def pool(self, name: bytes) -> Pool:
        """The connections to the server that has ``name``."""
        return self.pools[0] if self._place is None else self.pools[self._place(name)]

    def ask_parts(self, space: Space, parts: Sequence[Part]) -> None:
        """Ask several servers at once.

        Args:
            space: Of which the names are.
            parts: What each is asked; and what it replied, afterwards.
        """
        ask_all(parts)

    def item_limit(self, name: bytes) -> int | None:
        """Bytes that a server takes for one name with all that belongs to it, if it can tell."""
        return None

    def fetch(self, space: Space, name: bytes) -> bytes | None:
        """What a name holds."""
        part = Part(self.pool(name), (Fetch((name,)),))
        self.ask_parts(space, [part])
        if part.error is not None:
            raise part.error
        data: bytes | None = part.replies[0][0]
        return data

    def ask(self, space: Space, op: NamedOp, again: bool = True) -> Any:
        """The reply to a request.

        Args:
            space: Of which its name is.
            op: The request.
            again: Whether to ask once more if the connection turns out to be lost.
        """
        part = Part(self.pool(op.name), (op,), again)
        self.ask_parts(space, [part])
        if part.error is not None:
            raise part.error
        return part.replies[0]

    def ask_each(self, space: Space, ops: Sequence[NamedOp]) -> list[Any]:
        """The reply to each request, or the exception that says why there is none.

        One round trip, if they are not very many, and all servers at once.
        """
        replies: list[Any] = [None] * len(ops)
        for places in _portions(ops):
            by_pool: dict[Pool, list[int]] = {}
            for place in places:
                by_pool.setdefault(self.pool(ops[place].name), []).append(place)
            parts = [Part(pool, [ops[place] for place in at]) for pool, at in by_pool.items()]
            self.ask_parts(space, parts)
            for part, at in zip(parts, by_pool.values(), strict=True):
                for number, place in enumerate(at):
                    replies[place] = part.error or part.replies[number]
        return replies

    def add_and_fetch(
        self, space: Space, additions: Sequence[Store], names: Sequence[bytes]
    ) -> list[bytes | None]:
        """What names hold after the additions, in one round trip and all servers at once.

        Args:
            space: Of which the names are.
            additions: What to add first.
            names: At most :data:`AT_ONCE`.

        Raises:
            Exception: If a server failed, or refused an addition to a name that holds nothing.
        """
        asked: dict[Pool, tuple[list[Op], list[bytes]]] = {}
        if self._place is None:
            asked[self.pools[0]] = [*additions], [*names]
        else:
            for store in additions:
                asked.setdefault(self.pool(store.name), ([], []))[0].append(store)
            for name in names:
                asked.setdefault(self.pool(name), ([], []))[1].append(name)
        parts: list[Part] = []
        for pool, (ops, wanted) in asked.items():
            again = not ops
            if wanted:
                ops.append(Fetch(wanted))
            if ops:
                parts.append(Part(pool, ops, again))
        self.ask_parts(space, parts)
        found: dict[bytes, bytes | None] = {}
        for part in parts:
            if part.error is not None:
                raise part.error
            if isinstance(part.ops[-1], Fetch):
                found.update(zip(part.ops[-1].names, part.replies[-1], strict=True))
        for part in parts:
            for op, reply in zip(part.ops, part.replies, strict=True):
                # What became of an addition does not matter if something is there.
                if isinstance(reply, Exception) and found.get(op.name) is None:
                    raise reply
        return [found[name] for name in names]


def _portions(ops: Sequence[NamedOp]) -> Iterable[list[int]]:
    """The places of as many requests as can be sent at once."""
    places: list[int] = []
    size = 0
    for place, op in enumerate(ops):
        places.append(place)
        size += len(op.data) if isinstance(op, Store) else 0
        if len(places) == AT_ONCE or size > _BYTES_AT_ONCE:
            yield places
            places, size = [], 0
    if places:
        yield places
