"""Extension objects, made once and bound to an application in :func:`docbrowser.create_app`."""

from __future__ import annotations

from flask_caching import Cache

__all__ = ["cache"]

cache = Cache()
