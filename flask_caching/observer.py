"""The seam: what the caching layer tells whoever watches it.

Two facts are kept apart. An *operation* is one call to a backend; an observer sees it by
wrapping the backend (:meth:`Observer.wrap`). A *lookup* is one decorated call, template
fragment or value read; the core brackets it with a :class:`Lookup`, and the work done on a
miss with a :class:`Load`. There is no other channel.

An observer cannot change what the application gets: whatever it raises is logged once for
each kind of fault, counted in :data:`~flask_caching.observer.faults`, and forgotten.

Tests that want to know what happens to every cache of the process listen in, see
:mod:`flask_caching.overhearing`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

from .typing import Source

__all__ = [
    "Bypass",
    "Collision",
    "Load",
    "Lookup",
    "NullObserver",
    "Observer",
    "Target",
    "Wait",
    "faults",
    "report_fault",
]

logger = logging.getLogger("flask_caching")

BackendT = TypeVar("BackendT")

#: How a lookup ended. ``stale``: found, and refused by ``is_stale``. ``error``: the store failed,
#: and the function ran without it.
Outcome: TypeAlias = Literal["hit", "miss", "stale", "error"]

#: Faults of observers and signal receivers since the process began, by ``"where: ErrorType"``.
faults: Counter[str] = Counter()


def report_fault(where: str, error: BaseException) -> None:
    """Count a fault of someone who only watches; log the first of its kind."""
    name = f"{where}: {type(error).__name__}"
    faults[name] += 1
    if faults[name] > 1:
        return
    try:
        logger.error(
            "%s raised %s while watching the cache; the call went on, and further faults of "
            "this kind are only counted",
            where,
            type(error).__name__,
            exc_info=error,
        )
    except Exception as fault:
        # A filter, or a record factory, of the application's.
        faults[f"log: {type(fault).__name__}"] += 1


class Target:
    """What is looked up for: an endpoint, a function's qualified name, a fragment's name.

    One object for each decorated callable, so that an observer can keep what belongs to it in
    a dictionary and find it without building a label.

    Attributes:
        source: Who asks.
        name: An endpoint or qualified name; never a key, a path or a user.
    """

    __slots__ = ("__weakref__", "name", "source")

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name

    def __repr__(self) -> str:
        return f"Target({self.source!r}, {self.name!r})"


class Collision:
    """One key, two different requests.

    Attributes:
        key: The key they share.
        kind: What differs: ``endpoint`` (or another function), ``arguments``, ``method``,
            ``host`` or ``query``.
        action: ``reported`` (the entry was served) or ``refused`` (it was treated as a miss).
        stored: The witness kept in the entry; its fields are keyed hashes where the entry was
            read from bytes.
        asked: The witness of the request that found it, always plain.
    """

    __slots__ = ("action", "asked", "key", "kind", "stored")

    def __init__(self, key: str, kind: str, action: str, stored: object, asked: object) -> None:
        self.key = key
        self.kind = kind
        self.action = action
        self.stored = stored
        self.asked = asked


class _Bracket:
    """A fact about something that takes time, and the context manager around that time."""

    #: What ended it, if it was an exception.
    error: BaseException | None = None

    def __init__(self, observer: Observer, target: Target) -> None:
        self.observer = observer
        self.target = target
        #: Where an observer may keep what it needs between start and finish (a span, say). Not a
        #: default of the class: this one is read at every hit, and that takes longer there.
        self.state: Any = None


class Lookup(_Bracket):
    """One decorated call, fragment or value read that asked the store.

    Attributes:
        key: The key that was asked for.
        keys: The keys of a read of many.
        outcome: How it ended: ``hit``, ``miss``, ``stale`` or ``error``.
        counts: For a read of many keys, outcome to number of keys; ``None`` for one key.
        saved_seconds: On a hit, how long the stored value took to compute (0 if unknown).
        collision: Set when the entry found under the key was another request's.
        stored: ``"stored"``, ``"refused"`` or ``"error"`` after a load; ``None`` on a hit.
        reason: Why a load was refused or failed to be stored, one word.
        degraded: Whether the store failed and the call went on without it.
    """

    key: str = ""
    keys: Sequence[str] = ()
    outcome: Outcome = "miss"
    counts: Mapping[str, int] | None = None
    saved_seconds: float = 0.0
    collision: Collision | None = None
    stored: str | None = None
    reason: str = ""
    degraded: bool = False

    def __enter__(self) -> Lookup:
        try:
            self.observer.lookup_started(self)
        except Exception as error:
            report_fault("observer.lookup_started", error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the bracket, for a caller that cannot use ``with``."""
        if error is not None:
            self.error = error
        try:
            self.observer.lookup_finished(self)
        except Exception as fault:
            report_fault("observer.lookup_finished", fault)


class _Timed(_Bracket):
    """A bracket whose length matters: tells ``<name>_started`` and ``<name>_finished``."""

    name: ClassVar[str]
    #: Seconds, set when the bracket closes.
    duration: float = 0.0

    def __enter__(self) -> Self:
        self._tell("started")
        self._begun = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.duration = perf_counter() - self._begun
        self.error = error
        self._tell("finished")

    def _tell(self, moment: str) -> None:
        try:
            getattr(self.observer, f"{self.name}_{moment}")(self)
        except Exception as fault:
            report_fault(f"observer.{self.name}_{moment}", fault)


class Load(_Timed):
    """The user's function running because its value was not found.

    Attributes:
        function: Qualified name of what runs.
        duration: Seconds it took.
        duplicate: Whether another load of the same was under way in this process when it began:
            nobody waits (``CACHE_SINGLE_FLIGHT = "off"``), or somebody has waited for too long.
        raised: What a view raised as its answer (``abort()``), which is no ``error`` here, since
            it may be stored like any other.
    """

    name = "load"
    raised: BaseException | None = None
    duplicate: bool = False

    def __init__(self, observer: Observer, target: Target, function: str) -> None:
        super().__init__(observer, target)
        self.function = function


class Wait(_Timed):
    """A call waiting for another caller's load of the same key.

    Attributes:
        served: Whether the other load's value was used; else this caller loads as well.
        load: The load that is waited for, if it is one of this process and has begun; seldom it
            begins only after the wait has.
        duration: Seconds it waited.
    """

    name = "wait"
    served: bool = False
    load: Load | None = None


class Bypass(_Timed):
    """A decorated call that runs its function without having looked into the store.

    Attributes:
        reason: Why, one word, as :meth:`Observer.bypassed` is told it.
        lookup: What ``forced_update`` loads and stores, which is never opened as a lookup;
            ``None`` where nothing is stored.
        duration: Seconds the function ran.
    """

    name = "bypass"
    lookup: Lookup | None = None

    def __init__(self, observer: Observer, target: Target, reason: str) -> None:
        super().__init__(observer, target)
        self.reason = reason

    def _tell(self, moment: str) -> None:
        # Observers of others may be older than this bracket is.
        if hasattr(self.observer, f"{self.name}_{moment}"):
            super()._tell(moment)


class Observer(Protocol):
    """Who watches one application's cache. Every method returns at once and keeps no key.

    :class:`NullObserver` is the base to derive from: it answers everything and does nothing.
    """

    def wrap(self, backend: BackendT) -> BackendT:
        """Return what is used instead of ``backend``: a wrapper around it, or itself."""
        ...

    def views_known(self, targets: Sequence[Target]) -> None:
        """The views behind the cache, told when the application's first request begins."""
        ...

    def lookup_started(self, lookup: Lookup) -> None:
        """A decorated call, fragment or value read begins."""
        ...

    def lookup_finished(self, lookup: Lookup) -> None:
        """It ended; ``lookup`` now says how."""
        ...

    def load_started(self, load: Load) -> None:
        """The user's function is about to run."""
        ...

    def load_finished(self, load: Load) -> None:
        """The user's function returned, or raised ``load.error``."""
        ...

    def wait_started(self, wait: Wait) -> None:
        """A caller begins to wait for another one's load."""
        ...

    def wait_finished(self, wait: Wait) -> None:
        """The wait ended, ``wait.served`` or not."""
        ...

    def bypassed(self, target: Target, reason: str) -> None:
        """A decorated call did not look: ``unless``, ``method``, ``no_request``, ..."""
        ...

    def bypass_started(self, bypass: Bypass) -> None:
        """The function of a call that :meth:`bypassed` was told of is about to run."""
        ...

    def bypass_finished(self, bypass: Bypass) -> None:
        """It returned, or raised ``bypass.error``."""
        ...

    def collided(self, target: Target, collision: Collision) -> None:
        """A lookup found the entry of another request; told while it goes on."""
        ...

    def stored(self, target: Target, result: str, reason: str) -> None:
        """The application wrote a value itself; ``result`` and ``reason`` as in a lookup."""
        ...

    def failed(self, operation: str, error: BaseException, handled: bool) -> None:
        """The store, or a codec, failed. ``handled``: the application did not see it."""
        ...

    def breaker_changed(self, before: str, after: str) -> None:
        """A circuit breaker of the backend changed: ``closed``, ``half_open`` or ``open``."""
        ...

    def stats(self) -> Mapping[str, Any]:
        """What was counted so far, as plain data; empty where nothing is counted."""
        ...


class NullObserver:
    """Watches nothing, at no cost. The observer under ``CACHE_INSTRUMENTATION = None``."""

    def wrap(self, backend: BackendT) -> BackendT:
        return backend

    def views_known(self, targets: Sequence[Target]) -> None:
        return None

    def lookup_started(self, lookup: Lookup) -> None:
        return None

    def lookup_finished(self, lookup: Lookup) -> None:
        return None

    def load_started(self, load: Load) -> None:
        return None

    def load_finished(self, load: Load) -> None:
        return None

    def wait_started(self, wait: Wait) -> None:
        return None

    def wait_finished(self, wait: Wait) -> None:
        return None

    def bypassed(self, target: Target, reason: str) -> None:
        return None

    def bypass_started(self, bypass: Bypass) -> None:
        return None

    def bypass_finished(self, bypass: Bypass) -> None:
        return None

    def collided(self, target: Target, collision: Collision) -> None:
        return None

    def stored(self, target: Target, result: str, reason: str) -> None:
        return None

    def failed(self, operation: str, error: BaseException, handled: bool) -> None:
        return None

    def breaker_changed(self, before: str, after: str) -> None:
        return None

    def stats(self) -> Mapping[str, Any]:
        return {}
