"""Timing one call to a backend, and telling how it ended: what the wrapper is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Protocol, Self, TypeAlias

from flask_caching.observer import report_fault

from ..metrics.catalogue import Children, Observe
from ..tracing.brackets import NoTracing
from ..tracing.calls import Operation
from .outcomes import MEASURED

__all__ = ["Exemplar", "Measuring", "Operations", "Sizes"]

#: What observes a call's seconds, by operation and outcome.
Operations: TypeAlias = Children[tuple[str, str], Observe]


class Sizes(Protocol):
    """What observes the bytes of entries, where a store holds bytes."""

    @property
    def read(self) -> Observe:
        """Of an entry that was found."""
        ...

    @property
    def written(self) -> Observe:
        """Of one that was stored."""
        ...


class Exemplar(Protocol):
    """What takes the labels of an exemplar for a call that was observed and traced."""

    def __call__(
        self, operation: str, outcome: str, seconds: float, labels: Mapping[str, str], /
    ) -> None: ...


class Measuring:
    """What measures the calls to one backend.

    Args:
        backend: Any object that answers the value protocol.
        operations: What observes a call's seconds, by operation and outcome. Outcomes: reads
            ``hit``, ``miss`` or ``partial`` (some of several keys); writes ``stored``,
            ``refused`` or ``partial``; others ``ok``; any that raised ``error``.
        tracing: What makes spans of the calls.
        sizes: What observes the bytes of entries; ``None`` for a store that holds none.
        exemplar: What takes exemplars, called after a traced call was observed.
    """

    __slots__ = (
        "backend",
        "exemplar",
        "observe_hit",
        "observe_hits",
        "observe_miss",
        "observe_operation",
        "observe_stored",
        "sizes",
        "tracing",
    )

    def __init__(
        self,
        backend: Any,
        operations: Operations,
        *,
        tracing: NoTracing | None = None,
        sizes: Sizes | None = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        self.backend = backend
        self.tracing = tracing or NoTracing()
        self.sizes = sizes
        self.exemplar = exemplar
        self.observe_operation = operations
        self.observe_hit = operations["get", "hit"]
        self.observe_miss = operations["get", "miss"]
        self.observe_stored = operations["set", "stored"]
        self.observe_hits = operations["get_many", "hit"]

    def around(self, backend: Any) -> Self:
        """What measures another backend likewise."""
        return type(self)(
            backend,
            self.observe_operation,
            tracing=self.tracing,
            sizes=self.sizes,
            exemplar=self.exemplar,
        )

    def measure(
        self,
        name: str,
        outcome: Callable[[Any], str],
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """Call a method of the backend.

        Args:
            name: The method.
            outcome: Of its answer, for the metrics.
            args: The call's positional arguments.
            options: The call's keyword arguments.
        """
        method = getattr(self.backend, name)
        traced = self.tracing.begin(name, args, options)
        operation = MEASURED[name]
        begun = perf_counter()
        try:
            answer = method(*args, **options)
        except BaseException as error:
            self.tell(operation, "error", perf_counter() - begun, traced)
            if traced is not None:
                traced.fail(error)
            raise
        seconds = perf_counter() - begun
        try:
            how = outcome(answer)
        except Exception as fault:
            # An answer that is none.
            report_fault(f"backend.{operation}", fault)
            how = "error"
        else:
            self.tell(operation, how, seconds, traced)
        if traced is not None:
            traced.finish(answer, how)
        return answer

    def tell(
        self, operation: str, outcome: str, seconds: float, traced: Operation | None = None
    ) -> None:
        """Say how a call ended. Never raises."""
        try:
            self.observe_operation[operation, outcome](seconds)
            if traced is not None and self.exemplar is not None:
                labels = traced.exemplar()
                if labels is not None:
                    self.exemplar(operation, outcome, seconds, labels)
        except Exception as fault:
            report_fault(f"backend.{operation}", fault)
