"""What one call asks of the store, and what an entry must have to answer it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from .entry import Entry, Form, Witness

__all__ = [
    "Query",
    "new_version",
    "same_variant",
    "variant_of",
    "version_values",
]


class Query:
    """What one call asks of the store.

    Attributes:
        key: The value's key.
        witness: Who asks; ``None`` where any asker is right.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        version_keys: Keys of the versions that the value must have been made under.
        versions: Those versions as the store has them now; ``None`` for one that is missing.
        request: The request, where its headers may select between responses.
        refusal: Why a loaded value may not be stored whatever it is (a HEAD request); empty
            if it may.
        reads: What the function was seen to read of the request while it ran.
        entry: The entry that answered the call, once there is one.
        returned: Whether the function returned an ``HTTPException`` instead of raising it.
        looked: How many loads had been stored when the call last looked into the store.
    """

    # Defaults on the class: a hit sets few of them.
    version_keys: tuple[str, ...] = ()
    versions: tuple[str | None, ...] = ()
    request: Any = None
    refusal: str = ""
    reads: frozenset[str] = frozenset()
    entry: Entry | None = None
    returned: bool = False
    looked: int | None = None

    def __init__(
        self, key: str, witness: Witness | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.key = key
        self.witness = witness
        self.args = args
        self.kwargs = kwargs


def version_values(entries: Sequence[Entry | None]) -> tuple[str | None, ...]:
    """The versions that entries hold; ``None`` where there is none."""
    return tuple([None if entry is None else str(entry.payload) for entry in entries])


def new_version(expires_at: float) -> Entry:
    """An entry with a random version: 64 bits, never equal to an earlier one in practice."""
    return Entry(Form.PLAIN, uuid.uuid4().hex[:16], created_at=time.time(), expires_at=expires_at)


def same_variant(vary: tuple[tuple[str, str], ...], request: Any) -> bool:
    """Whether a request selects the response that an entry holds (RFC 9111 section 4.1)."""
    if request is None:
        return True
    headers = request.headers
    return all(headers.get(name, "") == value for name, value in vary)


def variant_of(names: tuple[str, ...], request: Any) -> tuple[tuple[str, str], ...]:
    """The values that a request has of the headers its response varies on."""
    if request is None or not names:
        return ()
    return tuple((name, request.headers.get(name, "")) for name in names)
