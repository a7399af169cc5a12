"""The backends: where entries are kept.

``CACHE_TYPE`` names one of these by its class name.
"""

from __future__ import annotations

from .absent import LATER, explain
from .base import BaseCache
from .nullcache import NullCache
from .simplecache import SimpleCache

__all__ = ["BaseCache", "NullCache", "SimpleCache"]


def __getattr__(name: str) -> object:
    """Say plainly which backends come later, instead of that there is no such attribute.

    Raises:
        BackendImportError: For the name of a backend that a later version brings.
        AttributeError: For any other name.
    """
    if name in LATER:
        explain(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
