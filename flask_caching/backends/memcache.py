"""Where applications import MemcachedCache, SASLMemcachedCache and SpreadSASLMemcachedCache from.

This version does not contain them yet; importing one says what to use until then.
"""

from __future__ import annotations

from . import __getattr__

__all__ = ["__getattr__"]
