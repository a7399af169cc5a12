"""Recording what functions read of the request while their values are loaded.

A :class:`Recorder` follows one application's cache. Of each target it records the first loads,
and a share of those that come after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from flask import after_this_request, before_render_template
from jinja2 import Template

from flask_caching.contexts import current_request
from flask_caching.observer import Bypass, Load, Lookup, NullObserver, Target
from flask_caching.state import AppState

from ..forksafe import ForkSafeLock
from ..relay import Relay, follow, unfollow
from .inputs import WHOLES
from .loads import OpenLoad, current_loads, loads_around, notebooks
from .watching import abandon_over, begin_load, end_load

__all__ = [
    "Reading",
    "Readings",
    "Recorder",
    "merged",
    "recorder_of",
    "start_recording",
    "stop_recording",
]

#: Loads of a target that are recorded whatever the share is.
FIRST_LOADS = 20

#: Targets that are recorded, and inputs of each that are told apart.
TARGETS = 512
INPUTS = 256

#: A share is kept as a whole number of these, so that counting with it is exact.
_PARTS = 1_000_000


@dataclass(frozen=True)
class Reading:
    """What the recorded loads of one target have read.

    Attributes:
        inputs: Input names (see :mod:`.inputs`), and how many of the loads read each.
        loads: How many loads were recorded.
        varied: Request headers that its responses named in ``Vary``, in lower case: those of the
            response that Flask made of what the view returned, before any ``after_request``
            function saw it.
        unrecorded: Loads inside a request that were not recorded.
        dropped: Times that an input was one too many to be told apart; where it is one of a
            group, the group's name counts in its place (``query`` for ``query:NAME``).
    """

    inputs: Mapping[str, int]
    loads: int = 0
    varied: frozenset[str] = frozenset()
    unrecorded: int = 0
    dropped: int = 0

    def __add__(self, other: Reading) -> Reading:
        """Both of them together."""
        inputs = Counter(self.inputs)
        inputs.update(other.inputs)
        return Reading(
            MappingProxyType(dict(sorted(inputs.items()))),
            self.loads + other.loads,
            self.varied | other.varied,
            self.unrecorded + other.unrecorded,
            self.dropped + other.dropped,
        )


#: What was recorded, by source and name of the target.
Readings: TypeAlias = Mapping[tuple[str, str], Reading]


def merged(several: Iterable[Readings]) -> Readings:
    """Several readings of the same targets as one of each."""
    found: dict[tuple[str, str], Reading] = {}
    for readings in several:
        for target, reading in readings.items():
            found[target] = found[target] + reading if target in found else reading
    return found


class _Tally:
    """What was recorded of one target so far."""

    def __init__(self) -> None:
        self.seen = 0
        self.loads = 0
        self.inputs: dict[str, int] = {}
        self.varied: set[str] = set()
        self.dropped = 0

    def wants(self, parts: int) -> bool:
        """Whether the next load is to be recorded."""
        self.seen += 1
        later = self.seen - FIRST_LOADS
        return later <= 0 or later * parts // _PARTS > (later - 1) * parts // _PARTS

    def add(self, names: Iterable[str]) -> None:
        """Count a load that read these inputs."""
        self.loads += 1
        for name in {self._told_apart(name) for name in sorted(names)} - {""}:
            self.inputs[name] = self.inputs.get(name, 0) + 1

    def _told_apart(self, name: str) -> str:
        if name in self.inputs or ":" not in name:
            return name
        if sum(":" in known for known in self.inputs) < INPUTS:
            # Kept at once, so that the next one of this load finds it.
            self.inputs.setdefault(name, 0)
            return name
        self.dropped += 1
        return WHOLES.get(name.partition(":")[0], "")

    def reading(self) -> Reading:
        inputs = dict(sorted(self.inputs.items()))
        return Reading(
            MappingProxyType(inputs),
            self.loads,
            frozenset(self.varied),
            self.seen - self.loads,
            self.dropped,
        )


class Recorder(NullObserver):
    """Records what the functions behind one cache read of the request.

    Args:
        share: How many of the loads to record, from 0 to 1, after the first ones of each target.

    Attributes:
        dropped: Loads of targets that were too many to be recorded.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.dropped = 0
        self._lock = ForkSafeLock()
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._stopped = False
        self._open: list[OpenLoad] = []
        before_render_template.connect(self._rendering)

    @property
    def share(self) -> float:
        """How many of the loads are recorded after the first ones, from 0 to 1."""
        return self._parts / _PARTS

    @share.setter
    def share(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share!r}; give a number from 0 to 1")
        self._parts = round(share * _PARTS)

    def readings(self) -> Readings:
        """What was recorded so far, by source and name of the target."""
        with self._lock:
            return {
                target: tally.reading()
                for target, tally in self._tallies.items()
                if tally.loads or tally.seen
            }

    def forget(self) -> None:
        """Begin anew: with the first loads of each target."""
        with self._lock:
            self._tallies.clear()
            self.dropped = 0

    def stop(self) -> None:
        """Record nothing more, loads under way included."""
        with self._lock:
            self._stopped = True
            under_way, self._open = self._open, []
        before_render_template.disconnect(self._rendering)
        for opened in under_way:
            end_load(opened)

    # As an observer.

    def load_started(self, load: Load) -> None:
        request = current_request()
        if request is None or self._stopped:
            return
        abandon_over()
        wanted = self._wants(load.target)
        # One that is not wanted stands between two others that are, to be told from them.
        if not (wanted or current_loads()):
            return
        opened = begin_load(load, request, counts=wanted)
        if opened is not None:
            with self._lock:
                self._open.append(opened)

    def load_finished(self, load: Load) -> None:
        for opened in reversed(current_loads()):
            if opened.load is load:
                opened.settling = True
                if load.error is not None:
                    self._end(opened)
                return

    def lookup_finished(self, lookup: Lookup) -> None:
        if not notebooks:
            return
        if lookup.stored is None and lookup.error is None:
            # Found, or another caller's: what is around it depends on what that one's load read.
            self._pass_on(lookup.target)
        else:
            self._end_settling(lookup.target)

    def bypass_finished(self, bypass: Bypass) -> None:
        if bypass.lookup is not None:
            self._end_settling(bypass.target)

    def _rendering(
        self, sender: Any, template: Template, context: dict[str, Any], **extra: Any
    ) -> None:
        for opened in current_loads():
            opened.rendering(template, context)

    # What happens then.

    def _wants(self, target: Target) -> bool:
        key = (target.source, target.name)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                if len(self._tallies) >= TARGETS:
                    self.dropped += 1
                    return False
                tally = self._tallies[key] = _Tally()
            return tally.wants(self._parts)

    def _pass_on(self, target: Target) -> None:
        request = current_request()
        loads = [load for load in loads_around(request) if load.notebook.request is request]
        if not loads:
            return
        with self._lock:
            tally = self._tallies.get((target.source, target.name))
            names = [] if tally is None else list(tally.inputs)
        for load in loads:
            load.took_over(names)

    def _end_settling(self, target: Target) -> None:
        for opened in reversed(current_loads()):
            if opened.settling and opened.load.target is target:
                self._end(opened)
                return

    def _end(self, opened: OpenLoad) -> None:
        end_load(opened)
        target = opened.load.target
        with self._lock:
            if opened not in self._open:
                return
            self._open.remove(opened)
            tally = self._tallies.get((target.source, target.name))
            if tally is None or not opened.counts:
                return
            tally.add(opened.names)
        if target.source == "view" and opened.load.error is None:
            self._watch_response(target, tally)

    def _watch_response(self, target: Target, tally: _Tally) -> None:
        """Look at the ``Vary`` of the response to the request that the view is for."""
        request = current_request()
        if request is None or request.endpoint != target.name:
            return

        @after_this_request
        def see(response: Any) -> Any:
            with self._lock:
                for name in response.vary:
                    if len(tally.varied) < INPUTS:
                        tally.varied.add(name.lower())
            return response


def recorder_of(state: AppState) -> Recorder | None:
    """Who records what is read under one application's cache; ``None`` if nobody does."""
    relay = state.observer
    followers = relay.followers if isinstance(relay, Relay) else ()
    return next((each for each in followers if isinstance(each, Recorder)), None)


def start_recording(state: AppState, share: float) -> Recorder:
    """Record what is read under one application's cache, or change how much of it.

    Args:
        state: The application's cache.
        share: See :class:`Recorder`.

    Returns:
        The recorder: the one that was there before, if there was one.
    """
    with _starting:
        recorder = recorder_of(state)
        if recorder is None:
            recorder = Recorder(share)
            follow(state, recorder)
        recorder.share = share
        return recorder


def stop_recording(state: AppState) -> None:
    """Undo :func:`start_recording`; what was recorded is forgotten with the recorder."""
    with _starting:
        recorder = recorder_of(state)
        if recorder is not None:
            unfollow(state, recorder)
            recorder.stop()


_starting = ForkSafeLock()
