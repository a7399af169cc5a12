"""What a view is seen to read of its request while it computes a response.

For the time of one call the request object is given a class whose ``args``, ``url``, ``host``
and the like note that they were read, and then answer as ever. A response that was made
without a look at the host is right for every host; one that was not, is not.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from flask import globals as flask_globals
from werkzeug.datastructures import EnvironHeaders
from werkzeug.routing import MapAdapter

__all__ = ["note", "watching"]

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

_SEEN = "_flask_caching_seen"


class _WatchedHeaders(EnvironHeaders):
    """The request's headers, noting when the host is asked for."""

    def __init__(self, request: Any) -> None:
        super().__init__(request.environ)
        self._request = request

    def __getitem__(self, key: Any, *rest: Any, **options: Any) -> Any:
        self._note(key)
        return super().__getitem__(key, *rest, **options)

    def _get_key(self, key: Any) -> Any:
        # What ``get`` and ``in`` go through since Werkzeug 3.1.
        self._note(key)
        return super()._get_key(key)

    def __iter__(self) -> Any:
        note(self._request, ("host",))
        return super().__iter__()

    def _note(self, key: Any) -> None:
        if isinstance(key, str) and key.lower() in ("host", "x-forwarded-host"):
            note(self._request, ("host",))


class _WatchedAdapter(MapAdapter):
    """What ``url_for`` builds with, noting what the URL says of host and script root."""

    request: Any

    def build(self, *args: Any, **options: Any) -> str:
        url = super().build(*args, **options)
        is_path = url.startswith("/") and not url.startswith("//")
        note(self.request, ("root",) if is_path else ("scheme", "host", "root"))
        return url


#: Request class to its watched subclass. An application has one, or a few.
_classes: weakref.WeakKeyDictionary[type[Any], type[Any]] = weakref.WeakKeyDictionary()


@contextmanager
def watching(request: Any) -> Generator[set[str]]:
    """Watch what is read of ``request`` inside the block.

    Yields:
        A set that fills with ``"query"``, ``"host"``, ``"root"`` and ``"scheme"``.
    """
    plain = type(cast("object", request))
    seen: set[str] = set()
    outer = request.__dict__.get(_SEEN)
    if outer is not None:
        # A view behind two caches: what the inner one reads, the outer one reads too.
        request.__dict__[_SEEN] = seen
        try:
            yield seen
        finally:
            outer |= seen
            request.__dict__[_SEEN] = outer
        return
    headers = request.headers
    request.__dict__[_SEEN] = seen
    try:
        request.__class__ = watched_class(plain)
    except TypeError:
        # A request class whose layout cannot be swapped (``__slots__``): nothing is seen.
        del request.__dict__[_SEEN]
        yield seen
        return
    request.headers = _WatchedHeaders(request)
    try:
        with _watching_links(request):
            yield seen
    finally:
        request.headers = headers
        request.__class__ = plain
        request.__dict__.pop(_SEEN, None)


@contextmanager
def _watching_links(request: Any) -> Generator[None]:
    """Watch what ``url_for`` builds inside the block."""
    adapter = _url_adapter()
    if adapter is None or adapter.__class__ is not MapAdapter:
        yield
        return
    watched: Any = adapter
    watched.__class__ = _WatchedAdapter
    watched.request = request
    try:
        yield
    finally:
        watched.__class__ = MapAdapter
        del watched.request


def _url_adapter() -> Any:
    """What ``url_for`` builds with in the current request."""
    names = vars(flask_globals)
    # Below Flask 2.2 there is only the stack.
    stack = names.get("_request_ctx_stack")
    context = names.get("request_ctx", names.get("app_ctx")) if stack is None else stack.top
    return getattr(context, "url_adapter", None)


def note(watched: Any, inputs: Iterable[str]) -> None:
    """Note that inputs of a request were read of ``watched``, if anyone watches."""
    seen = watched.__dict__.get(_SEEN)
    if seen is not None:
        seen.update(inputs)


def watched_class(plain: type[Any]) -> type[Any]:
    """The subclass of a request class that notes what is read of it; made once."""
    known = _classes.get(plain)
    if known is not None:
        return known
    members: dict[str, Any] = {
        name: _watched(plain, name, inputs) for name, inputs in _ATTRIBUTES.items()
    }
    # Not a class of its own to anyone who looks at names (logs, error pages).
    members["__module__"] = plain.__module__
    members["__qualname__"] = plain.__qualname__
    made = _classes[plain] = type(plain.__name__, (plain,), members)
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
