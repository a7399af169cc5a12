"""Where applications import ``GoogleCloudStorageCache`` from."""

from __future__ import annotations

from ..backends.absent import AbsentBackend

__all__ = ["GoogleCloudStorageCache"]


class GoogleCloudStorageCache(AbsentBackend):
    """Not part of this package; using it says what to use instead."""

    absent = "GoogleCloudStorageCache"
