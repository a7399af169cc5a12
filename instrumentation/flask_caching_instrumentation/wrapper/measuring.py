"""Timing one call to a backend, and telling how it ended: what the wrapper is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Protocol, Self, TypeAlias

from flask_caching.observer import report_fault

from ..metrics.batches import Pending
from ..metrics.catalogue import Children, Observe
from ..tracing.brackets import NoTracing
from ..tracing.calls import Operation
from .outcomes import MEASURED

__all__ = ["AtOnce", "Exemplar", "Measuring", "Operations", "Sizes", "Times", "Told"]

#: What observes a call's seconds, by operation and outcome.
Operations: TypeAlias = Children[tuple[str, str], Observe]


#: What makes the place where the seconds of calls wait, by operation and outcome.
Times: TypeAlias = Callable[[str, str], Pending]

#: Who is told of calls to the backend, see :attr:`Measuring.told`.
Told: TypeAlias = Callable[[str, tuple[Any, ...], str, float], None]


class AtOnce:
    """Observes each number at once, so that none waits.

    Args:
        observe: Does so.
    """

    def __init__(self, observe: Observe) -> None:
        self.append = observe

    def __len__(self) -> int:
        return 0

    def settle(self) -> None:
        """Nothing waits."""


def _at_once(operations: Operations, operation: str, outcome: str) -> Pending:
    return AtOnce(operations[operation, outcome])


class Sizes(Protocol):
    """What observes the bytes of entries, where a store holds bytes."""

    @property
    def read(self) -> Pending:
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
        times: Makes where the seconds of the most frequent calls wait to be observed; ``None``
            to observe each at once.
    """

    __slots__ = (
        "backend",
        "exemplar",
        "hit_times",
        "many_hit_times",
        "observe_miss",
        "observe_operation",
        "observe_stored",
        "sizes",
        "sizes_read",
        "times",
        "told",
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
        times: Times | None = None,
    ) -> None:
        self.backend = backend
        self.tracing = tracing or NoTracing()
        self.sizes = sizes
        self.sizes_read = None if sizes is None else sizes.read
        self.exemplar = exemplar
        self.observe_operation = operations
        self.times: Times = times or partial(_at_once, operations)
        self.hit_times = self.times("get", "hit")
        self.many_hit_times = self.times("get_many", "hit")
        self.observe_miss = operations["get", "miss"]
        self.observe_stored = operations["set", "stored"]
        #: Told of each call that :meth:`measure` made: the method, its arguments, how it ended and
        #: the seconds that it took.
        self.told: Told | None = None

    def around(self, backend: Any) -> Self:
        """What measures another backend likewise."""
        return type(self)(
            backend,
            self.observe_operation,
            tracing=self.tracing,
            sizes=self.sizes,
            exemplar=self.exemplar,
            times=self.times,
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
            seconds = perf_counter() - begun
            self.tell(operation, "error", seconds, traced)
            if self.told is not None:
                self.tell_follower(self.told, name, args, "error", seconds)
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
        if self.told is not None:
            self.tell_follower(self.told, name, args, how, seconds)
        if traced is not None:
            traced.finish(answer, how)
        return answer

    def tell_follower(
        self, told: Told, name: str, args: tuple[Any, ...], outcome: str, seconds: float
    ) -> None:
        """Say how a call ended to whoever follows. Never raises."""
        try:
            told(name, args, outcome, seconds)
        except Exception as fault:
            report_fault(f"follower.{name}", fault)

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
