"""Where very old applications import ``UWSGICache`` from."""

from __future__ import annotations

from ..contrib.uwsgicache import UWSGICache

__all__ = ["UWSGICache"]
