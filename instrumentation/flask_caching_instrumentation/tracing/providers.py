"""Where the tracers of all caches come from: an instrumentor may choose, before or after.

A cache whose configuration names a tracer provider uses that one, whatever is chosen here.
"""

from __future__ import annotations

import weakref
from typing import Any, Final, Protocol

from opentelemetry import trace

from flask_caching.observer import report_fault

from ..forksafe import ForkSafeLock
from ..metrics.catalogue import installed_version
from .spans import SCOPE

__all__ = ["TracerSource", "source"]


class Holder(Protocol):
    """What makes spans of one cache."""

    #: The provider that its configuration names.
    provider: Any
    #: Its tracer; ``None`` while it is to make no spans.
    tracer: Any


class TracerSource:
    """Gives each cache its tracer, and another one when another provider is chosen."""

    def __init__(self) -> None:
        self._provider: Any = None
        self._stopped = False
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._lock = ForkSafeLock()

    def add(self, holder: Holder) -> None:
        """Give ``holder`` its tracer, now and whenever it changes; it is held weakly."""
        with self._lock:
            self._holders.add(holder)
        holder.tracer = self._tracer(holder.provider)

    def use(self, provider: Any = None) -> None:
        """Have spans made by ``provider`` from now on; ``None`` is the global one."""
        self._provider, self._stopped = provider, False
        self._renew()

    def stop(self) -> None:
        """Have no more spans made, until :meth:`use`."""
        self._provider, self._stopped = None, True
        self._renew()

    def _renew(self) -> None:
        with self._lock:
            holders = list(self._holders)
        for holder in holders:
            holder.tracer = self._tracer(holder.provider)

    def _tracer(self, own: Any) -> Any:
        if own is None and self._stopped:
            return None
        provider = self._provider if own is None else own
        try:
            if provider is None:
                # The global one may be set later: this tracer finds it then.
                return trace.get_tracer(SCOPE, _VERSION)
            return provider.get_tracer(SCOPE, _VERSION)
        except Exception as fault:
            report_fault("tracing.get_tracer", fault)
            return None


_VERSION: Final = installed_version("Flask-Caching")

#: That of this process.
source: Final = TracerSource()
