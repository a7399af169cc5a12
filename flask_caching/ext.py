"""The extension's module of long ago. Import from :mod:`flask_caching` instead."""

from __future__ import annotations

from typing import Any

import flask_caching

from .parsing import warn_user

warn_user(
    "flask_caching.ext is a name of long ago: import from flask_caching instead "
    "(from flask_caching import Cache).",
    DeprecationWarning,
)


def __getattr__(name: str) -> Any:
    """Whatever :mod:`flask_caching` has under that name."""
    return getattr(flask_caching, name)
