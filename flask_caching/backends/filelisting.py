"""Listing the keys of a folder, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import files
from .base import KeyInfo, KeyPage
from .filecounts import SHARDS
from .filefolder import Folder

__all__ = ["list_keys"]

#: Files that one page opens, at most.
_SCAN = 1000

_CURSOR = re.compile(r"([0-9a-f]{2})/([0-9a-f]*)")


def list_keys(
    folder: Folder, expired: Callable[[float], bool], cursor: str, limit: int, match: str
) -> KeyPage:
    """A page of the live keys, shard by shard and in each by the names of the files.

    A cursor is a shard and the last name that was looked at in it.

    Args:
        folder: Where.
        expired: Whether an expiry has come.
        cursor: Where the page before ended; empty for the first.
        limit: Keys at most.
        match: Text that a key must contain, taken literally.

    Raises:
        ValueError: If the cursor is not one of a page.
    """
    begin = _CURSOR.fullmatch(cursor or "00/")
    if begin is None:
        raise ValueError(f"{cursor!r} is not a cursor of FileSystemCache.keys")
    found: list[KeyInfo] = []
    last, looked = begin[2], 0
    for shard in range(int(begin[1], 16), SHARDS):
        names = (name.removesuffix(files.ENTRY) for name in folder.names(shard))
        for name in sorted(name for name in names if name > last):
            if looked >= _SCAN or len(found) >= limit:
                return KeyPage(found, f"{shard:02x}/{last}")
            info = _describe(folder, f"{folder.shard(shard)}/{name}{files.ENTRY}", expired)
            if info is not None and match in info.key:
                found.append(info)
            last = name
            looked += 1
        last = ""
    return KeyPage(found, "")


def _describe(folder: Folder, path: str, expired: Callable[[float], bool]) -> KeyInfo | None:
    """A file as a listing shows it; ``None`` if nobody can find a live key in it."""
    # Twice, since it may have become another key's while it was being opened (filespare).
    for _ in range(2):
        header = files.peek(path)
        if header is None or expired(header.expires_at):
            return None
        key = header.key.decode("utf-8", "surrogatepass")
        if folder.place(key).path == path:
            return KeyInfo(key, header.expires_at, header.size)
    # Of another hash method, it would not be found.
    return None
