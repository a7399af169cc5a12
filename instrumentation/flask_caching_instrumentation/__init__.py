"""Metrics for :mod:`flask_caching`: what its ``CACHE_INSTRUMENTATION`` names by default."""

from __future__ import annotations

from .backend import InstrumentedBackend
from .exposition import metrics_blueprint
from .observer import Instrumentation

__all__ = ["Instrumentation", "InstrumentedBackend", "metrics_blueprint"]
