"""Having a request, its session and :data:`flask.g` note what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from flask import g

from flask_caching import contexts, reads
from flask_caching.observer import Load

from ..forksafe import ForkSafeLock
from .attributes import MAPPINGS, custom_attributes, noting_request
from .inputs import SESSION, Group
from .loads import Notebook, OpenLoad, current_loads, enter, leave, notebooks
from .noting import noting_globals, noting_headers, noting_mapping
from .standin import StandIn, live_dict

__all__ = ["abandon_over", "begin_load", "end_load"]

_lock = ForkSafeLock()

#: To type checkers the proxy is the object, which has not what proxies have.
_g: Any = g


def begin_load(load: Load, request: Any, *, counts: bool = True) -> OpenLoad | None:
    """Record what is read from now on, until :func:`end_load`.

    Args:
        load: What is loaded.
        request: The current request.
        counts: See :class:`OpenLoad`.

    Returns:
        ``None`` if the request's class is one that cannot be watched.
    """
    with _lock:
        watch = reads.begin(request)
        if watch is None:
            return None
        try:
            opened = _opened(load, watch, request, counts)
        except BaseException:
            _release(watch, request)
            raise
    enter(opened)
    return opened


def _opened(load: Load, watch: reads.Watch, request: Any, counts: bool) -> OpenLoad:
    watched = watch.detail
    if not isinstance(watched, WatchedRequest):
        watched = WatchedRequest(request, watch)
        watched.install()
    given = {"g": frozenset(watched.members()), "request": custom_attributes(request)}
    opened = OpenLoad(load, watched, given, counts)
    watched.loads = (*watched.loads, opened)
    return opened


def end_load(opened: OpenLoad) -> None:
    """Record nothing more for a load; the last one of a request leaves it as it was."""
    leave(opened)
    watched = cast(WatchedRequest, opened.notebook)
    with _lock:
        if opened not in watched.loads:
            return
        watched.loads = tuple(load for load in watched.loads if load is not opened)
        opened.finish(watched.members())
        _release(watched.watched_by, watched.request)


def _release(watch: reads.Watch, request: Any) -> None:
    watched = watch.detail
    if isinstance(watched, WatchedRequest) and not watched.loads:
        watched.remove()
    reads.end(request, watch)


def abandon_over() -> None:
    """Forget loads whose request is over: recording began, or ended, in the middle of them."""
    for opened in current_loads():
        # Where Flask cuts the circle when it has popped the request for good.
        if opened.settling and opened.notebook.request.environ.get("werkzeug.request", 0) is None:
            end_load(opened)


class WatchedRequest(Notebook):
    """A request that notes what is asked of it.

    Args:
        request: The request.
        watched_by: The core's watch of it.
    """

    def __init__(self, request: Any, watched_by: reads.Watch) -> None:
        super().__init__(request)
        self.watched_by = watched_by
        #: What has another class for now, and its own.
        self._changed: dict[int, tuple[Any, type[Any]]] = {}
        self._stand_ins: dict[int, StandIn] = {}
        self._globals: Any = None

    # As the core's watch asks.

    def request_class(self, watched: type[Any]) -> type[Any]:
        return noting_request(watched)

    def headers_class(self, watched: type[Any]) -> type[Any]:
        return noting_headers(watched)

    def linked(self, inputs: Iterable[str]) -> None:
        self.note(*inputs)

    # Beginning and end.

    def install(self) -> None:
        """Begin to note."""
        self.watched_by.attach(self.request, self)
        notebooks[id(self.request)] = self
        if self.watched_by.headers is not None:
            notebooks[id(self.watched_by.headers)] = self
        for name, group in MAPPINGS.items():
            # Someone may hold what was made before.
            if name in self.request.__dict__:
                self.watch(self.request.__dict__[name], group)
        self._watch_session()
        self._globals = _g._get_current_object()
        if hasattr(self._globals, "__dict__"):
            self._change(self._globals, noting_globals)

    def remove(self) -> None:
        """Note nothing any more, and leave everything as it was."""
        for changed, kind in self._changed.values():
            notebooks.pop(id(changed), None)
            object.__setattr__(changed, "__class__", kind)
        for stand_in in self._stand_ins.values():
            notebooks.pop(id(stand_in), None)
        notebooks.pop(id(self.watched_by.headers), None)
        notebooks.pop(id(self.request), None)
        self.watched_by.attach(self.request, None)

    def members(self) -> list[str]:
        """The names that :data:`flask.g` has."""
        members: dict[str, Any] = getattr(self._globals, "__dict__", {})
        return list(members)

    # What a request gives out.

    def watch(self, mapping: Any, group: Group) -> bool:
        if id(mapping) in self._changed:
            return True
        return self._change(mapping, lambda kind: noting_mapping(kind, group))

    def stand_in(self, real: Any, group: Group) -> Any:
        known = self._stand_ins.get(id(real))
        if known is None:
            known = self._stand_ins[id(real)] = noting_mapping(live_dict, group)(real)
            notebooks[id(known)] = self
        known.refresh()
        return known

    def _change(self, changed: Any, noting: Callable[[type[Any]], type[Any]]) -> bool:
        """Give an object a class that notes, if it can be given one."""
        if id(changed) in notebooks:
            # Another request's as well: a session that is shared.
            return False
        kind: type[Any] = type(cast("object", changed))
        try:
            # Past what ``flask.g`` does with what is set on it.
            object.__setattr__(changed, "__class__", noting(kind))
        except Exception:
            # No subclass can be made, or has another layout: this one is not watched.
            return False
        self._changed[id(changed)] = changed, kind
        notebooks[id(changed)] = self
        return True

    def _watch_session(self) -> None:
        context: Any = contexts.request_context()
        # Past the property that takes it for accessed.
        name = "_session" if hasattr(context, "_session") else "session"
        self.watch(getattr(context, name), SESSION)
