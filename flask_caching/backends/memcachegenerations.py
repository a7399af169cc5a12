"""Clearing without a list of the keys: generations.

The binary protocol cannot list what a server holds. So each server keeps a random token for each
key prefix, the *generation*, which is part of all names. To clear is to write another token:
nothing is found under the old names any more, and nothing that is written under them, by whoever
has not noticed yet, ever comes to light. The server removes it when it expires, or when it needs
the room.

The token is read together with whatever is asked, in the same round trip. Who finds that it is no
longer the one that was used asks again under the new one. A token that is lost (a server that was
started anew, or needed the room) is replaced by a new one, so that what was under it is lost too,
instead of coming back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from ..errors import BackendError
from .memcachekeys import Space
from .memcachelink import Part, Pool, ask_all
from .memcacheops import Fetch, Op, Store
from .memcacheservers import Servers

__all__ = ["GenerationServers"]

_TOKEN_BYTES = 8
#: How often to ask again while others clear.
_TRIES = 100
#: Tokens that are remembered: one for each prefix and server.
_REMEMBERED = 10_000


class GenerationServers(Servers):
    """Servers whose names have a generation in them, but for this package's own names."""

    reserved = 2 * _TOKEN_BYTES + 1
    tell_time = False

    #: The tokens as they were when they were last read.
    _tokens: dict[tuple[Pool, bytes], bytes]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tokens = {}

    def ask_parts(self, space: Space, parts: Sequence[Part]) -> None:
        waiting = list(parts)
        for _ in range(_TRIES):
            asked = [(part, self._under_token(space, part)) for part in waiting]
            ask_all([wrapped for _, (_, wrapped) in asked if wrapped.error is None])
            waiting = [
                part
                for part, (token, wrapped) in asked
                if not self._settled(space, part, token, wrapped)
            ]
            if not waiting:
                return
        for part in waiting:
            part.error = BackendError(
                f"the cache at {part.pool.breaker.name} is being cleared all the time"
            )

    def clear(self, space: Space) -> None:
        """Begin a new generation on every server.

        Raises:
            Exception: If that failed on one; on the others it is begun all the same.
        """
        parts: list[Part] = []
        for pool in self.pools:
            self._tokens.pop((pool, space.start), None)
            parts.append(Part(pool, [Store(_where(space), _new_token(), 0)]))
        ask_all(parts)
        for part in parts:
            [reply] = part.replies or [part.error]
            if isinstance(reply, Exception):
                raise reply

    def _under_token(self, space: Space, part: Part) -> tuple[bytes, Part]:
        """What to ask instead, and the token that is in it."""
        wrapped = Part(part.pool, (), part.again)
        try:
            token = self._tokens.get((part.pool, space.start)) or self._token(space, part.pool)
        except Exception as error:
            wrapped.error = error
            return b"", wrapped
        ops = [_moved(space, op, token) for op in part.ops]
        wrapped.ops = [Fetch((_where(space),)), *ops]
        return token, wrapped

    def _settled(self, space: Space, part: Part, token: bytes, wrapped: Part) -> bool:
        """Take over what was replied, unless it was asked under a token of the past."""
        part.error = wrapped.error
        if part.error is not None:
            return True
        [current], *part.replies = wrapped.replies
        if current == token:
            return True
        self._tokens.pop((part.pool, space.start), None)
        if current is not None and _is_token(current):
            self._remember(space, part.pool, current)
        return False

    def _token(self, space: Space, pool: Pool) -> bytes:
        """The generation, which is begun if there is none."""
        where, new = _where(space), _new_token()
        added, [token] = pool.ask([Store(where, new, 0, "add"), Fetch((where,))])
        if isinstance(added, Exception):
            raise added
        if token is None or not _is_token(token):
            # Not ours; or it did not last a moment, in which case there is no use in going on.
            [stored] = pool.ask([Store(where, new, 0)])
            if isinstance(stored, Exception):
                raise stored
            token = new
        self._remember(space, pool, token)
        made: bytes = token
        return made

    def _remember(self, space: Space, pool: Pool, token: bytes) -> None:
        if len(self._tokens) >= _REMEMBERED:
            self._tokens.clear()
        self._tokens[pool, space.start] = token


def _where(space: Space) -> bytes:
    """The name of the token."""
    return space.own + b"generation"


def _new_token() -> bytes:
    return secrets.token_hex(_TOKEN_BYTES).encode()


def _is_token(data: bytes) -> bool:
    return len(data) == 2 * _TOKEN_BYTES and data.isalnum()


def _moved(space: Space, op: Op, token: bytes) -> Op:
    """The same request under a generation's names."""

    def moved(name: bytes) -> bytes:
        if name.startswith(space.own):
            return name
        start = len(space.start)
        return b"%b%b/%b" % (name[:start], token, name[start:])

    if isinstance(op, Fetch):
        return Fetch([moved(name) for name in op.names])
    return op._replace(name=moved(op.name))
