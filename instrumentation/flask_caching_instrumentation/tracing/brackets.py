"""OpenTelemetry spans of one application's cache: lookups, loads, waits and bypassed calls.

A span is made where the current one is recorded (``CACHE_TRACING = "auto"``), so that there are
no traces of nothing but cache calls; or always. Operations on the backend are :mod:`.calls`.

Whatever a tracer, a processor or an exporter raises is reported as a fault of theirs; the call
goes on. A bracket keeps its :class:`~.scope.Scope` in ``state``, after its end as well: whoever
waited links to it, and exemplars name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanKind, get_current_span
from opentelemetry.util.types import AttributeValue
from werkzeug.exceptions import HTTPException

from flask_caching.backends.nullcache import NullCache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.observer import Bypass, Load, Lookup, Wait, report_fault

from . import spans
from .calls import Calls, Operation, ShownKeys
from .providers import source
from .scope import (
    NO_CONTEXT,
    SPAN_KEY,
    Scope,
    current_context,
    ids_of,
    is_suppressed,
    mark_failed,
)

if TYPE_CHECKING:
    from flask_caching.config import CacheConfig

__all__ = ["NoTracing", "Tracing", "tracing_for"]


def tracing_for(config: CacheConfig, backend: object, secret: bytes | str | None) -> NoTracing:
    """What traces an application's cache; nothing, if its configuration turns that off.

    Args:
        config: The configuration.
        backend: The backend itself, not a wrapper around it.
        secret: The application's secret key, if it has one.
    """
    if config.tracing == "off":
        return NoTracing()
    return Tracing(config, backend, secret)


class NoTracing:
    """Makes no spans, at no cost.

    Attributes:
        awake: Whether the wrapper has to ask if a call is traced.
        always: Whether spans are made where no other one is the current one.
    """

    awake = False
    always = False

    def recording(self) -> bool:
        """Whether a call made now is to be traced. Never raises."""
        return False

    def begin(
        self, method: str, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Operation | None:
        """Begin to trace a call of a backend's method, if it is to be traced. Never raises."""
        return None

    def lookup_started(self, lookup: Lookup) -> None:
        """Open the span of a lookup, unless it is one of the application's own reads."""

    def lookup_finished(self, lookup: Lookup) -> None:
        """Close it, with how the lookup ended."""

    def load_started(self, load: Load) -> None:
        """Open the span of a load."""

    def load_finished(self, load: Load) -> None:
        """Close it."""

    def wait_started(self, wait: Wait) -> None:
        """Open the span of a wait, with a link to the load that is waited for."""

    def wait_finished(self, wait: Wait) -> None:
        """Close it."""

    def bypass_started(self, bypass: Bypass) -> None:
        """Open the span of a decorated call that does not look."""

    def bypass_finished(self, bypass: Bypass) -> None:
        """Close it."""

    def exemplar_of(self, load: Load) -> dict[str, str] | None:
        """The labels of an exemplar for a load: ``trace_id`` and ``span_id``; also after its end.

        Returns:
            ``None`` if it has no span that is sampled.
        """
        return None

    def exemplar_here(self, key: str) -> dict[str, str] | None:
        """The labels of an exemplar for what happens now: the current span, and the hashed key.

        Returns:
            ``None`` if that span is not sampled.
        """
        return None


class Tracing(NoTracing):
    """Makes the spans of one application's cache.

    Args:
        config: Its configuration.
        backend: The backend itself, not a wrapper around it.
        secret: The application's secret key, if it has one.

    Attributes:
        provider: The tracer provider that the configuration names.
        tracer: What makes the spans; ``None`` while none are to be made. See :mod:`.providers`.
        awake: Whether the wrapper has to ask if a call is traced. A store in this process is
            asked too often for that, so there it is false until a recorded span was seen once.
        always: Whether spans are made where no other one is the current one.
    """

    def __init__(self, config: CacheConfig, backend: object, secret: bytes | str | None) -> None:
        self.provider = config.tracer_provider
        self.tracer: Any = None
        self.name = config.name
        self.always = config.tracing == "always"
        in_process = isinstance(backend, (SimpleCache, NullCache))
        self.awake = not in_process
        self._keys = ShownKeys(config.trace_keys, secret)
        self._calls = Calls(self.name, backend, in_process, self._keys)
        source.add(self)

    # What the wrapper asks.

    def recording(self) -> bool:
        try:
            span = current_context(NO_CONTEXT).get(SPAN_KEY)
            return (self.always or (span is not None and span.is_recording())) and self._may()
        except Exception as fault:
            report_fault("tracing.recording", fault)
            return False

    def begin(
        self, method: str, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Operation | None:
        if not self.recording():
            return None
        try:
            return self._calls.begin(self.tracer, method, args, options)
        except Exception as fault:
            report_fault("tracing.operation", fault)
            return None

    def _may(self) -> bool:
        """Whether a span can be made where one is wanted."""
        self.awake = True
        return self.tracer is not None and not is_suppressed()

    # What the core tells.

    def lookup_started(self, lookup: Lookup) -> None:
        try:
            # As ``recording``, written out: every hit comes by here, most with no context at all,
            # or with the API's own span of what is not sampled, which need not be asked.
            context = current_context(NO_CONTEXT)
            if (context and type(context.get(SPAN_KEY)) is not NonRecordingSpan) or self.always:
                span = context.get(SPAN_KEY)
                if (self.always or (span is not None and span.is_recording())) and self._may():
                    self._open_asker(lookup)
        except Exception as fault:
            report_fault("tracing.lookup_started", fault)

    def lookup_finished(self, lookup: Lookup) -> None:
        self._close("lookup_finished", lookup, self._describe_lookup)

    def load_started(self, load: Load) -> None:
        if self.recording():
            name = f"{spans.LOAD} {load.function}"
            self._open("load_started", load, name, {spans.FUNCTION: load.function})

    def load_finished(self, load: Load) -> None:
        self._close("load_finished", load, self._describe_load)

    def wait_started(self, wait: Wait) -> None:
        if self.recording():
            links = self._links(wait)
            self._open("wait_started", wait, f"{spans.LOCK} {self.name}", {}, links)
            if isinstance(wait.state, Scope):
                wait.state.linked = bool(links)

    def wait_finished(self, wait: Wait) -> None:
        self._close("wait_finished", wait, self._describe_wait)

    def bypass_started(self, bypass: Bypass) -> None:
        if self.recording():
            try:
                self._open_asker(bypass)
            except Exception as fault:
                report_fault("tracing.bypass_started", fault)

    def bypass_finished(self, bypass: Bypass) -> None:
        self._close("bypass_finished", bypass, self._describe_bypass)

    def exemplar_of(self, load: Load) -> dict[str, str] | None:
        scope = load.state
        if not isinstance(scope, Scope):
            return None
        try:
            return ids_of(scope.span)
        except Exception as fault:
            report_fault("tracing.exemplar", fault)
            return None

    def exemplar_here(self, key: str) -> dict[str, str] | None:
        try:
            labels = ids_of(get_current_span())
            hashed = None if labels is None else self._keys.hashed(key)
            return labels if labels is None or hashed is None else {**labels, "key": hashed}
        except Exception as fault:
            report_fault("tracing.exemplar", fault)
            return None

    # Opening and closing.

    def _open_asker(self, bracket: Lookup | Bypass) -> None:
        target = bracket.target
        name = spans.LOOKUPS.get(target.source)
        if name is not None:
            self._open("open", bracket, f"{name} {target.name}", {})

    def _open(
        self,
        moment: str,
        bracket: Lookup | Load | Wait | Bypass,
        name: str,
        attributes: dict[str, AttributeValue],
        links: Sequence[Link] = (),
    ) -> None:
        attributes[spans.CACHE_NAME] = self.name
        try:
            span = self.tracer.start_span(
                name, kind=SpanKind.INTERNAL, attributes=attributes, links=links
            )
            # One that is not recorded must not hide the application's own, which is. Where there
            # is none, what happens inside is to be left out with it.
            if span.is_recording() or not get_current_span().is_recording():
                bracket.state = Scope(span)
        except Exception as fault:
            report_fault(f"tracing.{moment}", fault)

    def _close(self, moment: str, bracket: Any, describe: Any) -> None:
        scope = bracket.state
        if not isinstance(scope, Scope):
            return
        try:
            describe(scope.span, bracket)
        except Exception as fault:
            report_fault(f"tracing.{moment}", fault)
        scope.close()

    # What is said of each.

    def _describe_lookup(self, span: Span, lookup: Lookup) -> None:
        span.set_attribute(spans.OUTCOME, lookup.outcome)
        span.set_attribute(spans.HIT, lookup.outcome == "hit")
        self._describe_storing(span, lookup)
        if lookup.reason:
            span.set_attribute(spans.REASON, lookup.reason)
        if lookup.collision is not None:
            span.set_attribute(spans.COLLISION, lookup.collision.kind)
        if lookup.error is not None and _is_failure(lookup.error):
            mark_failed(span, lookup.error)

    def _describe_storing(self, span: Span, lookup: Lookup) -> None:
        key = self._keys.shown(lookup.key) if lookup.key else None
        if key is not None:
            span.set_attribute(spans.KEY, key)
        if lookup.stored is not None:
            span.set_attribute(spans.WRITE, lookup.stored == "stored")
        if lookup.degraded:
            span.set_attribute(spans.DEGRADED, True)

    def _describe_load(self, span: Span, load: Load) -> None:
        error = load.error or load.raised
        if error is not None and _is_failure(error):
            mark_failed(span, error)

    def _describe_wait(self, span: Span, wait: Wait) -> None:
        span.set_attribute(spans.OUTCOME, "served" if wait.served else "unserved")
        if not wait.state.linked:
            # The load began after the wait did. Since version 1.23 of the API it can be said.
            add_link: Any = getattr(span, "add_link", None)
            if add_link is not None:
                for link in self._links(wait):
                    add_link(link.context)

    def _describe_bypass(self, span: Span, bypass: Bypass) -> None:
        span.set_attribute(spans.OUTCOME, "bypass")
        span.set_attribute(spans.HIT, False)
        span.set_attribute(spans.REASON, bypass.reason)
        if bypass.lookup is not None:
            # What its function raised is said by the load inside.
            self._describe_storing(span, bypass.lookup)
            if bypass.lookup.reason:
                span.set_attribute(spans.REFUSAL, bypass.lookup.reason)
        elif bypass.error is not None and _is_failure(bypass.error):
            mark_failed(span, bypass.error)

    def _links(self, wait: Wait) -> list[Link]:
        scope = None if wait.load is None else wait.load.state
        if not isinstance(scope, Scope):
            return []
        return [Link(scope.span.get_span_context())]


#: What ends a call that goes well: a cancelled task or greenlet, a generator that is closed.
_ENDINGS: Final = frozenset({"CancelledError", "GeneratorExit", "GreenletExit"})


def _is_failure(error: BaseException) -> bool:
    """Whether what a function raised is a failure of it, and not an answer or its end."""
    if not isinstance(error, HTTPException):
        return type(error).__name__ not in _ENDINGS
    response = error.response
    code = error.code if response is None else getattr(response, "status_code", None)
    return code is None or code >= 500
