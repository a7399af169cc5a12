"""Spans of the calls to a backend; of a store in this process, events on the enclosing span.

The call to a server is a CLIENT span. Where an instrumentation of the client library makes one of
the same call, ours is INTERNAL around it, see :mod:`.clients`.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from opentelemetry.trace import Span, SpanKind, get_current_span
from opentelemetry.util.types import AttributeValue

from flask_caching.backends.base import RESERVED, EntryBackend, KeyPage, normalize_timeout
from flask_caching.backends.peers import Peer
from flask_caching.entry import Entry
from flask_caching.errors import RefusedEntry, UnreadableEntry
from flask_caching.keyhash import KeyHash
from flask_caching.observer import report_fault

from ..wrapper.outcomes import MEASURED, own
from . import spans
from .clients import are_traced
from .scope import Scope, ids_of, mark_failed, type_name

__all__ = ["Calls", "Operation", "ShownKeys"]

Attributes = dict[str, AttributeValue]

#: Methods whose keys are their positional arguments, and those that have them in the first one.
_SPREAD: Final = frozenset({"delete_many", "get_dict", "get_many", "unlink"})
_BUNDLED: Final = frozenset({"get_entries", "set_many"})
_KEYLESS: Final = frozenset({"clear", "keys"})


#: Events of ours that a span gets.
_EVENTS_LIMIT: Final = 32


class ShownKeys:
    """Keys as telemetry shows them.

    Args:
        how: ``CACHE_TRACE_KEYS``.
        secret: The application's secret key, if it has one.
    """

    def __init__(self, how: str, secret: bytes | str | None) -> None:
        key = secret.encode() if isinstance(secret, str) else secret
        self._hash = KeyHash(key or b"")
        self._how = how

    def shown(self, key: object) -> str | None:
        """A key as spans show it."""
        return str(key) if self._how == "full" else self.hashed(key)

    def hashed(self, key: object) -> str | None:
        """A key as exemplars show it."""
        return None if self._how == "off" else self._hash(str(key))


class _Events:
    """Lets so many events pass to each span: the SDK keeps 128, and the application has its own.

    What is beyond is only counted, in an attribute of the span.
    """

    def __init__(self) -> None:
        self._taken: weakref.WeakKeyDictionary[Span, int] = weakref.WeakKeyDictionary()

    def take(self, span: Span) -> bool:
        """Whether a span gets one more."""
        try:
            taken = self._taken[span] = self._taken.get(span, 0) + 1
        except TypeError:
            # Not of the SDK, and not to be referenced weakly.
            return True
        if taken > _EVENTS_LIMIT:
            span.set_attribute(spans.DROPPED_EVENTS, taken - _EVENTS_LIMIT)
        return taken <= _EVENTS_LIMIT


_events = _Events()


class Operation:
    """One call that is traced: a span of its own, or an event on the one that is current.

    Args:
        name: Of the span, without the cache's.
        span: The span.
        scope: What closes it; ``None`` for an event.
        attributes: What is known before the call.
        entry: What is written, if it is an entry.
        key: The hashed key, if there is one key and it may be shown.
        several: Whether it is about several keys.
        bundle: The keys of ``get_entries``, those that are not the application's included.
    """

    __slots__ = (
        "_attributes",
        "_bundle",
        "_entry",
        "_key",
        "_name",
        "_scope",
        "_several",
        "_span",
    )

    def __init__(
        self,
        name: str,
        span: Span,
        scope: Scope | None,
        attributes: Attributes,
        entry: Entry | None,
        key: str | None,
        several: bool,
        bundle: Sequence[str] | None,
    ) -> None:
        self._bundle = bundle
        self._name = name
        self._span = span
        self._scope = scope
        self._attributes = attributes
        self._entry = entry
        self._key = key
        self._several = several

    def finish(self, answer: object, outcome: str) -> None:
        """The call returned. Never raises.

        Args:
            answer: What.
            outcome: As the metrics have it.
        """
        try:
            if self._name == spans.GET:
                if self._bundle is not None:
                    mine = own(self._bundle, cast("Sequence[Any]", answer))
                    answer = mine if self._several else mine[0]
                self._attributes.update(_read(answer, outcome, self._several))
            elif self._name == spans.PUT:
                self._attributes[spans.WRITE] = outcome in ("stored", "ok", "hit")
                if self._entry is not None and self._entry.size:
                    self._attributes[spans.ITEM_SIZE] = self._entry.size
            self._tell()
        except Exception as fault:
            report_fault("tracing.operation", fault)
        self._close()

    def fail(self, error: BaseException) -> None:
        """The call raised. Never raises itself.

        A value that the store does not take, and one that cannot be read, are no failures of it.
        """
        try:
            if isinstance(error, (RefusedEntry, UnreadableEntry)):
                name = spans.WRITE if self._name == spans.PUT else spans.HIT
                self._attributes[name] = False
                self._attributes[spans.REASON] = error.reason
                self._tell()
            elif self._scope is None:
                self._attributes[spans.ERROR_TYPE] = type_name(error)
                self._tell()
            else:
                mark_failed(self._span, error)
        except Exception as fault:
            report_fault("tracing.operation", fault)
        self._close()

    def exemplar(self) -> dict[str, str] | None:
        """The ids of its trace and span, and the hashed key; ``None`` if that is not sampled."""
        try:
            labels = ids_of(self._span)
        except Exception as fault:
            report_fault("tracing.exemplar", fault)
            return None
        if labels is not None and self._key is not None:
            labels["key"] = self._key
        return labels

    def _tell(self) -> None:
        if self._scope is None:
            self._span.add_event(self._name, self._attributes)
        else:
            self._span.set_attributes(self._attributes)

    def _close(self) -> None:
        if self._scope is not None:
            self._scope.close()


class Calls:
    """Traces the calls to one backend.

    Args:
        cache: The cache's name.
        backend: The backend itself; not kept alive.
        in_process: Whether it lives in this process.
        keys: How keys are shown.
    """

    def __init__(self, cache: str, backend: object, in_process: bool, keys: ShownKeys) -> None:
        self._cache = cache
        # Others than ours know nothing of a server.
        self._backend = weakref.ref(backend) if isinstance(backend, EntryBackend) else None
        self._in_process = in_process
        self._keys = keys

    def begin(
        self, tracer: Any, method: str, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Operation | None:
        """Open the span of a call; ``None`` if there is to be none.

        Args:
            tracer: Makes it.
            method: The wrapper's method.
            args: The call's arguments; those of the entry level by position.
            options: Its keyword arguments.
        """
        name = spans.GROUPS[MEASURED[method]]
        attributes: Attributes = {spans.CACHE_NAME: self._cache}
        key = self._name_keys(attributes, method, args, options)
        if attributes.get(spans.KEY_COUNT) == 0:
            # Nothing is asked, so nobody is.
            return None
        entry = args[1] if method in ("set_entry", "add_entry") else None
        if name == spans.PUT:
            seconds = _seconds(method, entry, args, options)
            if seconds is not None:
                attributes[spans.TTL] = seconds
        hashed = None if key is None else self._keys.hashed(key)
        several = spans.KEY_COUNT in attributes
        bundle = args[0] if method == "get_entries" else None
        if self._in_process:
            span = get_current_span()
            if not (span.is_recording() and _events.take(span)):
                return None
            return Operation(name, span, None, attributes, entry, hashed, several, bundle)
        kind, quiet = self._describe_server(attributes, method, args, options)
        span = tracer.start_span(f"{name} {self._cache}", kind=kind, attributes=attributes)
        if not span.is_recording():
            return None
        return Operation(name, span, Scope(span, quiet), {}, entry, hashed, several, bundle)

    def _name_keys(
        self,
        attributes: Attributes,
        method: str,
        args: Sequence[Any],
        options: Mapping[str, Any],
    ) -> object:
        """Say which keys a call is about. Returns the key, if it is about one."""
        if method in _KEYLESS:
            return None
        if method in _SPREAD:
            keys: Sequence[object] = args
        elif method in _BUNDLED:
            bundle: Any = args[0] if args else options.get("mapping", ())
            keys = [key for key in bundle if not str(key).startswith(RESERVED)]
        else:
            keys = [args[0] if args else options.get("key")]
        if len(keys) != 1:
            attributes[spans.KEY_COUNT] = len(keys)
            return None
        shown = self._keys.shown(keys[0])
        if shown is not None:
            attributes[spans.KEY] = shown
        return keys[0]

    def _describe_server(
        self,
        attributes: Attributes,
        method: str,
        args: Sequence[Any],
        options: Mapping[str, Any],
    ) -> tuple[SpanKind, bool]:
        """Say which server is asked, if its client's own instrumentation does not.

        Returns:
            The kind of the span, and whether instrumentations of others are to be quiet inside.
        """
        backend = None if self._backend is None else self._backend()
        peer = None if backend is None else backend.peer
        if backend is None or peer is None:
            return SpanKind.INTERNAL, False
        call = backend.call_of(method, args, options)
        if are_traced(call.through):
            return SpanKind.INTERNAL, False
        attributes.update(_server(peer))
        if call.command:
            attributes[spans.DB_OPERATION] = call.command
        return SpanKind.CLIENT, call.may_turn


def _server(peer: Peer) -> Attributes:
    known = {
        spans.DB_SYSTEM: peer.system,
        spans.DB_NAMESPACE: peer.namespace,
        spans.SERVER_ADDRESS: peer.address,
        spans.SERVER_PORT: peer.port,
    }
    return {name: value for name, value in known.items() if value is not None}


def _read(answer: Any, outcome: str, several: bool) -> Attributes:
    """What is said of a read that was answered."""
    if isinstance(answer, KeyPage):
        return {spans.KEY_COUNT: len(answer.keys)}
    said: Attributes = {spans.HIT: outcome == "hit"}
    if several:
        values: Any = answer.values() if hasattr(answer, "values") else answer
        said[spans.HIT_COUNT] = sum(value is not None for value in values)
    elif isinstance(answer, Entry) and answer.size:
        said[spans.ITEM_SIZE] = answer.size
    return said


def _seconds(
    method: str, entry: Any, args: Sequence[Any], options: Mapping[str, Any]
) -> float | None:
    """The seconds that something is to live, if that was said and is not for ever."""
    if isinstance(entry, Entry):
        return round(entry.expires_at - time.time(), 3) if entry.expires_at else None
    if method in ("inc", "dec"):
        return None
    place = 1 if method in ("touch", "set_many") else 2
    timeout = args[place] if len(args) > place else options.get("timeout")
    try:
        seconds = normalize_timeout(timeout)
    except (TypeError, ValueError):
        # The call itself will say so.
        return None
    return float(seconds) if seconds else None
