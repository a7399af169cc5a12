"""Metrics and traces for :mod:`flask_caching`: what ``CACHE_INSTRUMENTATION`` is by default."""

from __future__ import annotations

from .exposition import metrics_blueprint
from .observer import Instrumentation
from .wrapper.backend import InstrumentedBackend

__all__ = ["Instrumentation", "InstrumentedBackend", "metrics_blueprint"]
