"""Requests that nobody sent: their URLs, their headers, and making one the current request."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from flask import Flask, current_app, g, has_app_context
from werkzeug.routing import Rule

from .contexts import current_request
from .typing import QueryArgs
from .utils import get_arg_names, query_args_as_pairs

__all__ = [
    "Url",
    "as_current",
    "base_url",
    "build_urls",
    "current_headers",
    "made_up_request",
    "prepare_view_arguments",
    "scopes_of",
]


class Url(NamedTuple):
    """Where a made-up request goes.

    Attributes:
        path: The path below the script root, as ``request.path`` shows it.
        query: The query string's pairs.
        base_url: Scheme, host and script root, with a slash at the end.
        method: GET where the rule accepts it.
    """

    path: str
    query: QueryArgs
    base_url: str
    method: str = "GET"


def build_urls(
    app: Flask,
    endpoints: list[str],
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    query_args: QueryArgs | None,
) -> list[Url]:
    """All URLs that lead to a view with these arguments, the one ``url_for`` builds first."""
    names = [name for name in get_arg_names(function) if name not in ("self", "cls")]
    values = {**dict(zip(names, args, strict=False)), **kwargs}
    rules = {endpoint: _rules_of(app, endpoint) for endpoint in endpoints}
    every = [rule for group in rules.values() for rule in group]
    taken = {name for name in values if any(name in _arguments(rule) for rule in every)}
    urls: list[Url] = []
    for endpoint, candidates in rules.items():
        filled = dict(values)
        app.inject_url_defaults(endpoint, filled)
        filled = {name: value for name, value in filled.items() if value is not None}
        for rule in _suitable(candidates, filled, taken):
            built = rule.build(filled)
            if built is None:
                continue
            domain, url = built
            parts = urlsplit(url)
            path = unquote(parts.path)
            query = parse_qsl(parts.query, keep_blank_values=True)
            asked = query if query_args is None else query_args
            found = Url(path, asked, base_url(app, domain), _method_of(rule))
            urls.append(found)
            if not (rule.is_leaf or rule.strict_slashes) and path != "/":
                # It answers without the slash too, under a path of its own.
                urls.append(found._replace(path=path[:-1]))
    return urls


def _method_of(rule: Rule) -> str:
    """A method that a rule accepts: GET, or else the first one that is not answered by Flask."""
    methods = rule.methods
    if methods is None or "GET" in methods:
        return "GET"
    return min(methods - {"HEAD", "OPTIONS"}, default="GET")


def _rules_of(app: Flask, endpoint: str) -> list[Rule]:
    """The rules of an endpoint that requests can match, the one to build first in front."""
    try:
        rules = list(app.url_map.iter_rules(endpoint))
    except KeyError:
        # A view function without any rule.
        return []
    return [rule for rule in rules if not (rule.build_only or rule.websocket)]


def _suitable(rules: list[Rule], values: dict[str, Any], taken: set[str]) -> list[Rule]:
    """The rules to build: for GET if any is, and those that have a place for what others take.

    Without the latter, ``/<int:page>`` for page 2 would mean ``/?page=2`` too.
    """
    suitable = [rule for rule in rules if rule.suitable_for(values, "GET")]
    suitable = suitable or [rule for rule in rules if rule.suitable_for(values)]
    return [rule for rule in suitable if taken.issubset(_arguments(rule))] or suitable[:1]


def _arguments(rule: Rule) -> set[str]:
    # Werkzeug does not say of what the set is, where it is empty.
    return cast(Any, rule).arguments  # type: ignore[no-any-return]


def running_request(app: Flask) -> Any:
    """The current request, if it is one to this application; else ``None``."""
    request = current_request()
    if request is None or request.url_rule is None:
        return request
    return request if request.url_rule.map is app.url_map else None


def base_url(app: Flask, domain: str | None = None) -> str:
    """Scheme, host and script root of requests to an application.

    Args:
        app: The application.
        domain: The host or subdomain that a rule is for.
    """
    request = running_request(app)
    config = cast("dict[str, Any]", app.config)
    name = config.get("SERVER_NAME")
    if request is not None:
        scheme, host, root = request.scheme, request.host, request.root_path
    else:
        scheme = config.get("PREFERRED_URL_SCHEME") or "http"
        host, root = name or "localhost", config.get("APPLICATION_ROOT") or "/"
    if getattr(app.url_map, "host_matching", False):
        host = domain or host
    elif domain is not None and name and getattr(app, "subdomain_matching", False):
        host = f"{domain}.{name}" if domain else name
    return f"{scheme}://{host}{quote(root.rstrip('/'))}/"


#: Headers that say where a request goes and what its body is, not who asks.
_NOT_SENT_ON = frozenset({"host", "content-length", "content-type", "transfer-encoding"})


def current_headers(app: Flask) -> dict[str, str]:
    """The headers of the current request, cookies included; none outside a request."""
    request = running_request(app)
    headers = () if request is None else request.headers.items()
    return {name: value for name, value in headers if name.lower() not in _NOT_SENT_ON}


def made_up_request(
    app: Flask, url: Url, headers: Mapping[str, str]
) -> AbstractContextManager[Any]:
    """A request that nobody sent, as the current one."""
    return as_current(
        app,
        app.test_request_context(
            # Quoted, or "?" and "#" in a path would be delimiters.
            quote(url.path) or "/",
            base_url=url.base_url,
            query_string=urlencode(query_args_as_pairs(url.query)),
            headers=dict(headers),
            method=url.method,
        ),
    )


def prepare_view_arguments(app: Flask, request: Any) -> dict[str, Any]:
    """The arguments a matched view would be called with."""
    request.view_args = dict(request.view_args or {})
    for scope in scopes_of(app, request):
        for preprocess in app.url_value_preprocessors.get(scope, ()):
            preprocess(request.endpoint, request.view_args)
    return cast("dict[str, Any]", request.view_args)


def scopes_of(app: Flask, request: Any) -> list[str | None]:
    """Where Flask looks for functions to run before a view: ``None`` is the application."""
    if hasattr(request, "blueprints"):
        return [None, *reversed(request.blueprints)]
    # Flask 2.0.0 names nested blueprints in a way of its own.
    return [None, *cast(Any, app)._request_blueprints()]


class _WithoutTeardown:
    """An application, for a request context that ends in the middle of another request."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    def do_teardown_request(self, *args: Any) -> None:
        """Run nothing, and send no signal."""

    def do_teardown_appcontext(self, *args: Any) -> None:
        """Run nothing, and send no signal."""


@contextmanager
def as_current(app: Flask, context: Any) -> Generator[Any]:
    """Make the request of a context the current one for a while.

    Where a context of the application is current, ``flask.g`` is as before afterwards, and no
    teardown function runs: it would close what the running request still uses. Whatever a key
    maker opens belongs to that context, whose own teardown will see to it. Where there is none,
    teardown functions run as they do after any request.
    """
    inside = has_app_context() and cast(Any, current_app)._get_current_object() is app
    own_g: Any = cast(Any, g)._get_current_object() if inside else SimpleNamespace()
    remembered = cast("dict[str, Any]", getattr(own_g, "__dict__", {}))
    before = dict(remembered)
    try:
        context.push()
        yield context.request
    finally:
        # Where the application context could not be pushed, the request's was not either.
        if current_request() is context.request:
            if inside:
                context.app = _WithoutTeardown(app)
            context.pop()
        remembered.clear()
        remembered.update(before)
