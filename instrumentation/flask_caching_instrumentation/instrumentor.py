"""``FlaskCachingInstrumentor``: how OpenTelemetry's own tools find this package.

``opentelemetry-instrument`` does by the entry point ``opentelemetry_instrumentor``. The cache makes
spans without it as well; it chooses the tracer provider of all caches, or stops them. It needs
``opentelemetry-instrumentation``, so nothing else here imports it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

# mypy is kept from reading that module by a comment in it.
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from .tracing.providers import source

__all__ = ["FlaskCachingInstrumentor"]


class FlaskCachingInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Chooses the tracer provider of every cache, made before or after.

    A cache whose ``CACHE_TRACER_PROVIDER`` names one uses that; one with ``CACHE_TRACING = "off"``
    makes no spans.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing: what it instruments is the distribution that it is part of."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        """Have spans made.

        Args:
            kwargs: ``tracer_provider``: by whom; the global one if it is left out.
        """
        source.use(kwargs.get("tracer_provider"))

    def _uninstrument(self, **kwargs: Any) -> None:
        """Have no more spans made, until it instruments again."""
        source.stop()
