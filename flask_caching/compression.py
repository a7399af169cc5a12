"""Compression of what is written to a store outside of the process."""

from __future__ import annotations

import importlib
import importlib.util
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["COMPRESSIONS", "Compression"]


class Compression(Protocol):
    """One way of making bytes smaller.

    Attributes:
        number: Stands for it in the header of an entry; never changes.
        advice: What to install where it is not available.
    """

    number: int
    advice: str

    def available(self) -> bool:
        """Whether it can be used here."""
        ...

    def compress(self, data: bytes) -> bytes:
        """``data`` made smaller, or larger."""
        ...

    def decompress(self, data: bytes, size: int) -> bytes:
        """What was compressed, and hardly more than ``size`` bytes of it.

        Raises:
            Exception: If ``data`` is not what :meth:`compress` made; which, the library says.
        """
        ...


class _Zlib:
    """:mod:`zlib` at its fastest level, which is the one that pays beside a network."""

    number = 1
    advice = "Python was built without zlib"

    def available(self) -> bool:
        return True

    def compress(self, data: bytes) -> bytes:
        return zlib.compress(data, 1)

    def decompress(self, data: bytes, size: int) -> bytes:
        # Never more than was promised: a few bytes can stand for gigabytes.
        return zlib.decompressobj().decompress(data, size + 1)


class _Zstd:
    """Zstandard, from the package ``zstandard``: smaller than zlib, in less time."""

    number = 2
    advice = 'the package zstandard is not installed: pip install "Flask-Caching[zstd]"'

    def available(self) -> bool:
        return importlib.util.find_spec("zstandard") is not None

    def compress(self, data: bytes) -> bytes:
        compressed: bytes = _zstandard().ZstdCompressor().compress(data)
        return compressed

    def decompress(self, data: bytes, size: int) -> bytes:
        # The size that the frame itself states would be believed first.
        module = _zstandard()
        stated = module.get_frame_parameters(data).content_size
        if stated not in (size, module.CONTENTSIZE_UNKNOWN):
            raise ValueError(f"it states to hold {stated} bytes instead of {size}")
        whole: bytes = module.ZstdDecompressor().decompress(data, max_output_size=max(size, 1))
        return whole


def _zstandard() -> Any:
    return importlib.import_module("zstandard")


#: By their name in ``CACHE_COMPRESSION``.
COMPRESSIONS: Mapping[str, Compression] = MappingProxyType({"zlib": _Zlib(), "zstd": _Zstd()})
