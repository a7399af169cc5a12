"""What a view is seen to read of its request while it computes a response.

For the time of one call the request object is given a class whose ``args``, ``url``, ``host``
and the like note that they were read, and then answer as ever. A response that was made
without a look at the host is right for every host; one that was not, is not.

Whoever wants to know it by name (which parameter, which header) attaches a :class:`Detail` to
the same watch; nobody does unless asked to.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Protocol, cast

from werkzeug.datastructures import EnvironHeaders
from werkzeug.routing import MapAdapter

from .contexts import request_context

__all__ = ["Detail", "Watch", "begin", "end", "note", "watching"]

#: Attributes of a request, and which inputs reading them reads. ``root`` is the script root.
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "args": ("query",),
    "query_string": ("query",),
    "values": ("query",),
    "full_path": ("query",),
    "url": ("query", "scheme", "host", "root"),
    "host": ("host",),
    "host_url": ("scheme", "host"),
    "base_url": ("scheme", "host", "root"),
    "url_root": ("scheme", "host", "root"),
    "root_url": ("scheme", "host", "root"),
    "root_path": ("root",),
    "script_root": ("root",),
    "scheme": ("scheme",),
    "is_secure": ("scheme",),
}

#: Where a request keeps its watch, and so do its headers.
_WATCH = "_flask_caching_watch"


class Detail(Protocol):
    """Who records in detail what is read of one request."""

    def request_class(self, watched: type[Any]) -> type[Any]:
        """The class to give the request: a subclass of the one that watches already."""
        ...

    def headers_class(self, watched: type[Any]) -> type[Any]:
        """The class to give the request's headers, likewise."""
        ...

    def linked(self, inputs: Iterable[str]) -> None:
        """A URL was built that says ``inputs`` of the request's own."""
        ...


class Watch:
    """Who watches one request, and what it was before.

    Attributes:
        plain: The request's own class.
        headers: Its headers, if they are watched.
        headers_plain: Their own class.
        adapter: What ``url_for`` builds with, if that is watched.
        seen: A set for each of those who watch, to fill with what is read.
        detail: Who records in detail, if anyone does.
        users: How many there are in all.
    """

    __slots__ = ("adapter", "detail", "headers", "headers_plain", "plain", "seen", "users")

    def __init__(self, plain: type[Any]) -> None:
        self.plain = plain
        self.headers: Any = None
        self.headers_plain: type[Any] = object
        self.adapter: Any = None
        self.seen: tuple[set[str], ...] = ()
        self.detail: Detail | None = None
        self.users = 0

    def note(self, inputs: Iterable[str]) -> None:
        """Note that inputs were read."""
        for seen in self.seen:
            seen.update(inputs)

    def attach(self, request: Any, detail: Detail | None) -> None:
        """Let ``detail`` record what is read of the request; ``None`` for nobody any more."""
        self.detail = detail
        watched = watched_class(self.plain)
        request.__class__ = watched if detail is None else detail.request_class(watched)
        if self.headers is not None:
            watched = _headers_class(self.headers_plain)
            kind = watched if detail is None else detail.headers_class(watched)
            self.headers.__class__ = kind


def _headers_class(plain: type[Any]) -> type[Any]:
    """The subclass of a class of headers that notes when the host is asked for; made once."""
    known = _classes.get(plain)
    if known is not None:
        return known

    base = cast(Any, plain)

    def one(self: Any, key: Any, *rest: Any, **options: Any) -> Any:
        _note_header(self, key)
        return base.__getitem__(self, key, *rest, **options)

    def one_since_3_1(self: Any, key: Any) -> Any:
        # What ``get`` and ``in`` go through since Werkzeug 3.1.
        _note_header(self, key)
        return base._get_key(self, key)

    def several(self: Any, key: Any, *rest: Any, **options: Any) -> Any:
        # It looks at all headers to find one, and is how cookies are read.
        _note_header(self, key)
        return EnvironHeaders(self.environ).getlist(key, *rest, **options)

    def each(self: Any) -> Any:
        note(self, ("host",))
        return base.__iter__(self)

    members = {
        "__getitem__": one,
        "_get_key": one_since_3_1,
        "getlist": several,
        "__iter__": each,
        "__hash__": base.__hash__,
    }
    return _remember(type(plain.__name__, (plain,), members), plain)


def _note_header(headers: Any, key: Any) -> None:
    if isinstance(key, str) and key.lower() in ("host", "x-forwarded-host"):
        note(headers, ("host",))


class _WatchedAdapter(MapAdapter):
    """What ``url_for`` builds with, noting what the URL says of host and script root."""

    watch: Watch

    def build(self, *args: Any, **options: Any) -> str:
        url = super().build(*args, **options)
        is_path = url.startswith("/") and not url.startswith("//")
        inputs = ("root",) if is_path else ("scheme", "host", "root")
        self.watch.note(inputs)
        if self.watch.detail is not None:
            self.watch.detail.linked(inputs)
        return url


#: Class of requests or headers to its watched subclass. An application has one, or a few.
_classes: weakref.WeakKeyDictionary[type[Any], type[Any]] = weakref.WeakKeyDictionary()


@contextmanager
def watching(request: Any) -> Generator[set[str]]:
    """Watch what is read of ``request`` inside the block.

    A view behind two caches: what the inner one reads, the outer one reads too.

    Yields:
        A set that fills with ``"query"``, ``"host"``, ``"root"`` and ``"scheme"``.
    """
    seen: set[str] = set()
    watch = begin(request)
    if watch is None:
        yield seen
        return
    watch.seen = (*watch.seen, seen)
    try:
        yield seen
    finally:
        watch.seen = tuple(other for other in watch.seen if other is not seen)
        end(request, watch)


def begin(request: Any) -> Watch | None:
    """Watch a request until :func:`end`, also where it is watched already.

    Returns:
        The request's watch. ``None`` for a request whose class has a layout that cannot be
        swapped (``__slots__``): nothing is seen of it.
    """
    watch: Watch | None = request.__dict__.get(_WATCH)
    if watch is None:
        watch = Watch(type(cast("object", request)))
        headers, adapter = request.headers, getattr(request_context(), "url_adapter", None)
        try:
            request.__class__ = watched_class(watch.plain)
        except TypeError:
            return None
        request.__dict__[_WATCH] = watch
        _watch_headers(headers, watch)
        _watch_links(adapter, watch)
    watch.users += 1
    return watch


def end(request: Any, watch: Watch) -> None:
    """Undo one :func:`begin`; the last one leaves the request as it was."""
    watch.users -= 1
    if watch.users:
        return
    if watch.adapter is not None:
        watch.adapter.__class__ = MapAdapter
        del watch.adapter.watch
    if watch.headers is not None:
        watch.headers.__class__ = watch.headers_plain
        del watch.headers.__dict__[_WATCH]
    request.__class__ = watch.plain
    request.__dict__.pop(_WATCH, None)


def _watch_headers(headers: Any, watch: Watch) -> None:
    if not isinstance(headers, EnvironHeaders):
        return
    kind = type(cast("object", headers))
    try:
        headers.__class__ = _headers_class(kind)
    except TypeError:
        return
    headers.__dict__[_WATCH] = watch
    watch.headers, watch.headers_plain = headers, kind


def _watch_links(adapter: Any, watch: Watch) -> None:
    """Watch what ``url_for`` builds with."""
    if adapter.__class__ is MapAdapter:
        watched: Any = adapter
        watched.__class__ = _WatchedAdapter
        watched.watch, watch.adapter = watch, watched


def note(watched: Any, inputs: Iterable[str]) -> None:
    """Note that inputs were read of ``watched``, a request or its headers, if anyone watches."""
    watch: Watch | None = watched.__dict__.get(_WATCH)
    if watch is not None:
        watch.note(inputs)


def watched_class(plain: type[Any]) -> type[Any]:
    """The subclass of a request class that notes what is read of it; made once."""
    known = _classes.get(plain)
    if known is not None:
        return known
    members = {name: _watched(plain, name, inputs) for name, inputs in _ATTRIBUTES.items()}
    return _remember(type(plain.__name__, (plain,), members), plain)


def _remember(made: type[Any], plain: type[Any]) -> type[Any]:
    # Not a class of its own to anyone who looks at names (logs, error pages).
    made.__name__, made.__qualname__ = plain.__name__, plain.__qualname__
    made.__module__ = plain.__module__
    _classes[plain] = made
    return made


def _watched(plain: type[Any], name: str, inputs: tuple[str, ...]) -> property:
    def read(self: Any) -> Any:
        note(self, inputs)
        if name in self.__dict__:
            # Set in __init__, or computed before.
            return self.__dict__[name]
        inherited = getattr(plain, name)
        return inherited.__get__(self, plain)

    def write(self: Any, value: Any) -> None:
        self.__dict__[name] = value

    return property(read, write)
