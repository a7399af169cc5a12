"""The debug pages: what is in a cache, why a page was wrong, and which others are."""

from __future__ import annotations

from .blueprint import debug_blueprint

__all__ = ["debug_blueprint"]
