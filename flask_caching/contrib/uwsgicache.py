"""Where applications import ``UWSGICache`` from."""

from __future__ import annotations

from ..backends.absent import AbsentBackend

__all__ = ["UWSGICache"]


class UWSGICache(AbsentBackend):
    """No longer part of this package; using it says what to use instead."""

    absent = "UWSGICache"
