"""From a request to a key: pure functions, which also tell what the key was made of.

Nothing here touches a global. A key is made from a :class:`KeySpec` (what the decorator says)
and a request object; the decorator passes Flask's, while deletion, ``explain`` and the key
tester pass one built from a URL. So all of them compute the same key.

A plain key is ``key_prefix`` with ``%s`` replaced by the path. Whatever else is part of the
key (query, ``vary``, method, source) follows as ``#`` and a hash of the length-framed parts.
"""

from __future__ import annotations

import hashlib
import inspect
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from werkzeug.datastructures import Headers
from werkzeug.sansio.request import Request as BareRequest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

from . import arguments
from .explanation import KeyExplanation, KeyPart
from .typing import HashMethod, KeyStrategy, QueryArgs
from .utils import query_args_as_pairs

__all__ = [
    "KeyExplanation",
    "KeyPart",
    "KeySpec",
    "RequestLike",
    "called",
    "digest",
    "request_for",
    "source_of",
    "view_key",
    "view_parts",
]

#: Hexadecimal digits of a hash that go into a key: 160 bits.
DIGEST_LENGTH = 40

#: Methods that one entry serves (RFC 9110 section 9.3.2: HEAD is GET without the body).
SAFE_METHODS = frozenset({"GET", "HEAD"})

#: What parses a query string, and nothing but that; an application's class may have its own.
_PARSED_ARGS: Any = BareRequest.args

#: Query strings whose digests are remembered, for each decorated function; and their bytes at most.
_QUERIES_REMEMBERED = 512
_QUERY_LONGEST = 512

#: Bodies that are parsed into fields.
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class RequestLike(Protocol):
    """What key making reads of a request; Flask's and Werkzeug's requests have it."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def root_path(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def query_string(self) -> bytes: ...
    @property
    def args(self) -> Any: ...
    @property
    def headers(self) -> Any: ...
    @property
    def cookies(self) -> Any: ...
    @property
    def mimetype(self) -> str: ...
    @property
    def form(self) -> Any: ...
    @property
    def files(self) -> Any: ...
    def get_data(self) -> bytes: ...


@dataclass(frozen=True)
class KeySpec:
    """What a ``@cached`` decorator says about its key.

    Attributes:
        prefix: ``key_prefix``: a text, in which ``%s`` stands for the path, or a callable
            without arguments; one that returns ``None`` says that there is no key.
        query: Whether the query string counts; a tuple of names: only those parameters.
        ignore_query: Names of parameters that do not count.
        vary: Header names, ``cookie:NAME``, or callables without arguments.
        strategy: ``compatible`` or ``strict``.
        source: Source text of the function, where ``source_check`` asks for it.
        hash_method: Hash constructor.
        whole_request: Whether the key stands for a request, its method and body included; not
            so for a helper, which answers alike under any method.
    """

    prefix: str | Callable[[], str | None] = "view/%s"
    query: bool | tuple[str, ...] = False
    ignore_query: frozenset[str] = frozenset()
    vary: tuple[str | Callable[[], Any], ...] = ()
    strategy: KeyStrategy = "compatible"
    source: str = ""
    hash_method: HashMethod = hashlib.sha256
    whole_request: bool = True

    #: Whether the key is the prefix and the path, nothing hashed.
    is_plain: bool = field(init=False)
    #: Whether it is that and the query string, nothing else hashed.
    is_query: bool = field(init=False)
    #: Parameters and their digests, by class of request and query string; see ``_query_digest``.
    digests: dict[tuple[type[Any], bytes], tuple[Any, str]] = field(
        init=False,
        compare=False,
        repr=False,
        default_factory=dict[tuple[type[Any], bytes], tuple[Any, str]],
    )
    #: What is around the path in a plain key, where that is so simple.
    around: tuple[str, str] | None = field(init=False)
    #: Whether the key cannot be made without a request path.
    needs_path: bool = field(init=False)
    #: Whether any of the query string is part of the key.
    counts_query: bool = field(init=False)
    #: Where the prefix comes from, as an explanation says it.
    prefix_origin: str = field(init=False)

    def __post_init__(self) -> None:
        strict = self.strategy == "strict"
        counts_query = strict or bool(self.query or self.ignore_query)
        has_path = isinstance(self.prefix, str) and "%s" in self.prefix
        hashes = counts_query or bool(self.vary or self.source)
        object.__setattr__(self, "needs_path", strict or has_path)
        object.__setattr__(self, "counts_query", counts_query)
        origin = "key_prefix" if isinstance(self.prefix, str) else f"{called(self.prefix)}()"
        object.__setattr__(self, "prefix_origin", origin)
        object.__setattr__(self, "is_plain", isinstance(self.prefix, str) and not hashes)
        other = strict or self.vary or self.source or not isinstance(self.prefix, str)
        object.__setattr__(self, "is_query", counts_query and not other)
        simple = isinstance(self.prefix, str) and has_path and self.prefix.count("%") == 1
        around = self.prefix.split("%s") if isinstance(self.prefix, str) and simple else None
        object.__setattr__(self, "around", tuple(around) if around else None)

    @property
    def needs_request(self) -> bool:
        """Whether the key cannot be made outside a request."""
        return (
            self.needs_path or self.counts_query or any(isinstance(vary, str) for vary in self.vary)
        )


def view_key(spec: KeySpec, request: RequestLike) -> str | None:
    """The key of a request under ``spec``; ``None`` where ``key_prefix`` returns that."""
    quick = spec.is_plain or spec.is_query
    if not quick or (spec.whole_request and request.method not in SAFE_METHODS):
        return view_parts(spec, request)[0]
    around = spec.around
    if around is not None:
        base = f"{around[0]}{request.path}{around[1]}"
    else:
        base = cast("str", fill_prefix(spec, request.path))
    return base if spec.is_plain else f"{base}#{_query_digest(spec, request)}"


def _query_digest(spec: KeySpec, request: RequestLike) -> str:
    """The hash of the query parameters that count: what :func:`view_parts` makes of them.

    Many ask for the same, so digests are remembered by the query string as it came. The parameters
    count, not the string: an application's class may parse them its own way, and what has been
    parsed may have been replaced.
    """
    kind = type(request)
    if getattr(kind, "args", None) is not _PARSED_ARGS:
        return _hash_query(spec, request.args)
    known = spec.digests.get((kind, request.query_string))
    parsed, hashed = _parse(spec, request) if known is None else known
    args = request.__dict__.get("args")
    if args is None or (type(args) is type(parsed) and args == parsed):
        return hashed
    return _hash_query(spec, args)


def _parse(spec: KeySpec, request: RequestLike) -> tuple[Any, str]:
    """The parameters that a request's query string says, and their digest; remembers both."""
    # On most misses the view wants them as well, so that they are parsed once.
    parsed = _PARSED_ARGS.fget(request) if "args" in request.__dict__ else request.args
    known = parsed, _hash_query(spec, parsed)
    if len(request.query_string) <= _QUERY_LONGEST:
        if len(spec.digests) >= _QUERIES_REMEMBERED:
            spec.digests.clear()
        spec.digests[type(request), request.query_string] = known
    return known


def _hash_query(spec: KeySpec, args: Any) -> str:
    # Without the parts, which would be made for nobody.
    framed = [_FRAMED_QUERY]
    for name, value in query_pairs(spec, args):
        framed += (frame(f"query:{name}"), frame(value))
    return digest(b"".join(framed), spec.hash_method)


def view_parts(spec: KeySpec, request: RequestLike) -> tuple[str | None, list[KeyPart]]:
    """The key of a request, and what it was made of; ``None`` if ``key_prefix`` returns that."""
    path = request.path if spec.needs_path else ""
    base = fill_prefix(spec, path)
    if base is None:
        return None, []
    shown = [KeyPart("key_prefix", _prefix_text(spec, base), spec.prefix_origin)]
    # Under strict it is among the hashed parts.
    if spec.needs_path and spec.strategy != "strict":
        shown.append(KeyPart("path", path, "request.path"))
    hashed = list(_hashed_parts(spec, request))
    if hashed:
        framed = b"".join(frame(part.name) + frame(value) for part, value in hashed)
        base = f"{base}#{digest(framed, spec.hash_method)}"
    return base, shown + [part for part, _ in hashed]


def _prefix_text(spec: KeySpec, filled: str) -> str:
    """The prefix as an explanation shows it: without the path, which is a part of its own."""
    return spec.prefix if isinstance(spec.prefix, str) and spec.needs_path else filled


def called(function: object) -> str:
    """What a function, or another callable object, is called in an explanation."""
    named = getattr(function, "func", function)  # of a partial
    return str(getattr(named, "__qualname__", type(named).__qualname__))


def fill_prefix(spec: KeySpec, path: str) -> str | None:
    """``key_prefix`` with the path in place of ``%s``."""
    prefix = spec.prefix
    if not isinstance(prefix, str):
        made: str | None = prefix()
        # Whatever it is: the decorator, deletion and explanation are to agree on its text.
        return None if made is None else str(made)
    if "%" not in prefix:
        return prefix
    try:
        # What the released library computes, ``%%`` included.
        return prefix % path if "%s" in prefix else prefix
    except (TypeError, ValueError):
        return prefix.replace("%s", path)


def _hashed_parts(spec: KeySpec, request: RequestLike) -> Iterable[tuple[KeyPart, str | bytes]]:
    """Whatever the key depends on beside prefix and path, with what goes into the hash."""
    method = request.method if spec.whole_request else "GET"
    if spec.strategy == "strict":
        yield _text("method", "GET" if method == "HEAD" else method, "request.method")
        yield _text("host", request.host, "request.host")
        yield _text("script_root", request.root_path, "request.root_path")
        yield _text("path", request.path, "request.path")
    elif method not in SAFE_METHODS:
        yield _text("method", method, "request.method")
    if method not in SAFE_METHODS:
        yield from _body_parts(request)
    if spec.counts_query:
        yield KeyPart("query", "", "request.args"), ""
        for name, value in query_pairs(spec, request.args):
            yield _text(f"query:{name}", value, "request.args")
    for vary in spec.vary:
        yield _vary_part(vary, request)
    if spec.source:
        yield KeyPart("source", f"{len(spec.source)} characters", "source_check"), spec.source


def _body_parts(request: RequestLike) -> Iterable[tuple[KeyPart, str | bytes]]:
    """The body: a form by its fields and files, anything else by its bytes and their type.

    Whoever parsed a form first (protection against CSRF, say) has used up its bytes; and a
    browser puts a new random boundary between the fields each time.
    """
    # First, since it keeps the bytes: the view can read them, and the form.
    body = request.get_data()
    if request.mimetype in _FORM_TYPES:
        fields = list(request.form.items(multi=True))
        files = list(request.files.items(multi=True))
        if fields or files:
            yield _text("content_type", request.mimetype, "request.mimetype")
            for name, value in fields:
                yield _text(f"form:{name}", value, "request.form")
            for name, file in files:
                yield _text(f"filename:{name}", file.filename or "", "request.files")
                yield _text(f"filetype:{name}", file.content_type or "", "request.files")
                content = file.read()
                file.seek(0)
                yield KeyPart(f"file:{name}", f"{len(content)} bytes", "request.files"), content
            return
    kind = request.headers.get("Content-Type", "")
    yield _text("content_type", kind, "request.content_type")
    yield KeyPart("body", f"{len(body)} bytes", "request.get_data()"), body


def query_pairs(spec: KeySpec, args: Any) -> list[tuple[str, str]]:
    """The query parameters that count: sorted by name; values of one name keep their order."""
    pairs = args.items(multi=True)
    if isinstance(spec.query, tuple):
        pairs = (pair for pair in pairs if pair[0] in spec.query)
    if spec.ignore_query:
        pairs = (pair for pair in pairs if pair[0] not in spec.ignore_query)
    return sorted(pairs, key=itemgetter(0))


def _vary_part(vary: str | Callable[[], Any], request: RequestLike) -> tuple[KeyPart, str | bytes]:
    if callable(vary):
        name = getattr(vary, "__qualname__", None) or called(vary)
        value = vary()
        return KeyPart(f"vary:{name}", repr(value)[:80], f"{name}()"), arguments.encode(value).data
    if vary.startswith("cookie:"):
        name = vary.removeprefix("cookie:")
        return _optional(vary, request.cookies.get(name), f"request.cookies[{name!r}]")
    return _optional(f"header:{vary}", request.headers.get(vary), f"request.headers[{vary!r}]")


def _text(name: str, value: str, origin: str) -> tuple[KeyPart, str]:
    return KeyPart(name, value, origin), value


def _optional(name: str, value: str | None, origin: str) -> tuple[KeyPart, str | bytes]:
    """A part that may be absent, which is not the same as empty."""
    if value is None:
        return KeyPart(name, "", f"{origin} is absent"), b"\x00"
    return KeyPart(name, value, origin), b"\x01" + value.encode("utf-8", "surrogatepass")


def source_of(function: Callable[..., Any]) -> str:
    """A function's source text, or its code where there is no text to read (for a partial, say)."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return arguments.identify(function).data.hex()


def frame(data: str | bytes) -> bytes:
    """``data`` behind its length, so that no two lists of parts make the same bytes."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return struct.pack(">Q", len(raw)) + raw


#: What begins the hashed parts wherever the query counts.
_FRAMED_QUERY = frame("query") + frame("")


def digest(data: bytes, hash_method: HashMethod) -> str:
    """The hexadecimal hash that goes into a key."""
    return hash_method(data).hexdigest()[:DIGEST_LENGTH]


def request_for(
    path: str,
    query_args: QueryArgs | None = None,
    *,
    method: str = "GET",
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> WerkzeugRequest:
    """A request object for key making, built from a path instead of received.

    Args:
        path: The path, as ``request.path`` shows it.
        query_args: A query string, a mapping or pairs.
        method: Request method.
        base_url: Scheme, host and script root.
        headers: Request headers.
    """
    builder = EnvironBuilder(method=method, base_url=base_url, headers=Headers(dict(headers or {})))
    environ = builder.get_environ()
    # Set directly: the builder would take "?" and "#" in a path for delimiters.
    environ["PATH_INFO"] = path.encode().decode("latin-1")
    environ["QUERY_STRING"] = urlencode(query_args_as_pairs(query_args or ()))
    return WerkzeugRequest(environ)
