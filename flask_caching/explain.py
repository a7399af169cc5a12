"""The key of a request that is not being handled: for deletion, and for explanation.

The request is made up from a URL (or from an endpoint and its arguments), matched against the
application's routes, and given to the same key functions that the decorator uses. No view
runs, and no ``before_request`` function; ``url_value_preprocessor`` functions do, since they
change a view's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import BuildError, RequestRedirect

from .errors import CacheError
from .keys import KeyExplanation, KeyPart, request_for, view_key, view_parts
from .typing import QueryArgs
from .utils import get_arg_names, query_args_as_pairs
from .views import endpoints_of

if TYPE_CHECKING:
    from .cached import CachedPolicy
    from .state import AppState

__all__ = ["explain_request", "explain_view", "key_elsewhere"]


def key_elsewhere(
    policy: CachedPolicy,
    state: AppState,
    path: str | None,
    query_args: QueryArgs | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:
    """The key of a request described by its path, or by the view's arguments.

    Raises:
        CacheError: If the key needs a path and none can be built.
    """
    app = application(state)
    custom = policy.custom_key()
    endpoints = endpoints_of(app.view_functions, policy.decorated())
    spec = policy.spec(state, for_view=bool(endpoints))
    if path is None and (endpoints and (spec.needs_path or custom is not None)):
        path, built = build_path(app, endpoints, policy.function, args, kwargs)
        query_args = built if query_args is None else query_args
    if custom is None:
        if path is None and spec.needs_path:
            raise CacheError(
                f"the key of {policy.name} is made of a path, and no route leads to it; "
                "pass path='/...'"
            )
        return view_key(spec, request_for(path or "", query_args))
    if path is None:
        return str(custom(*args, **kwargs))
    pairs = query_args_as_pairs(query_args or ())
    with app.test_request_context(path, query_string=urlencode(pairs)) as context:
        matched = prepare_view_arguments(app, context.request)
        return str(custom(*view_instance(app, context.request, policy), **(kwargs or matched)))


def build_path(
    app: Flask,
    endpoints: list[str],
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[str, list[tuple[str, str]]]:
    """The path (and query) that lead to a view with these arguments, below the script root.

    Raises:
        CacheError: If no rule of the endpoints takes these arguments.
    """
    names = [name for name in get_arg_names(function) if name not in ("self", "cls")]
    values = {**dict(zip(names, args, strict=False)), **kwargs}
    adapter = app.url_map.bind("localhost")
    failure: BuildError | None = None
    for endpoint in endpoints:
        filled = dict(values)
        app.inject_url_defaults(endpoint, filled)
        try:
            url = adapter.build(endpoint, filled)
        except BuildError as error:
            failure = error
            continue
        parts = urlsplit(url)
        return unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)
    raise CacheError(
        f"no route of {', '.join(endpoints)} can be built from {sorted(values)}; pass the view's "
        "arguments, or path='/...'"
    ) from failure


def prepare_view_arguments(app: Flask, request: Any) -> dict[str, Any]:
    """The arguments a matched view would be called with."""
    request.view_args = dict(request.view_args or {})
    scopes: list[str | None] = [None, *reversed(request_blueprints(request))]
    for scope in scopes:
        for preprocess in app.url_value_preprocessors.get(scope, ()):
            preprocess(request.endpoint, request.view_args)
    return cast("dict[str, Any]", request.view_args)


def request_blueprints(request: Any) -> list[str]:
    """The blueprints of the matched endpoint, innermost first."""
    name = request.blueprint
    if name is None:
        return []
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def view_instance(app: Flask, request: Any, policy: CachedPolicy) -> tuple[Any, ...]:
    """The view object that a cached method would be called on; never initialised."""
    view_class = getattr(app.view_functions.get(request.endpoint), "view_class", None)
    names = get_arg_names(policy.function)
    if view_class is None or names[:1] != ["self"]:
        return ()
    return (view_class.__new__(view_class),)


def application(state: AppState) -> Flask:
    app = state.app()
    if app is None:
        raise CacheError("the application of this cache does not exist any more")
    return app


class Explainable(Protocol):
    """A policy that can explain the key of a matched request."""

    def explain(self, request: Any, known: KeyExplanation) -> KeyExplanation:
        """``known``, completed."""
        ...


def explain_request(
    app: Flask,
    find_policies: Callable[[Any], Sequence[Explainable]],
    url: str,
    method: str,
    headers: Mapping[str, str] | None,
    environ: Mapping[str, Any],
) -> KeyExplanation:
    """What ``Cache.explain`` returns.

    Args:
        app: The application.
        find_policies: The policies behind a view function, outermost first.
        url: A path with an optional query string, or an absolute URL.
        method: Request method.
        headers: Request headers.
        environ: Further arguments of :class:`werkzeug.test.EnvironBuilder`.
    """
    context = app.test_request_context(url, method=method, headers=dict(headers or {}), **environ)
    with context:
        request = context.request
        error = request.routing_exception
        if error is not None:
            return KeyExplanation(None, reason=_routing_reason(error), method=method, url=url)
        arguments = prepare_view_arguments(app, request)
        policies = find_policies(app.view_functions[str(request.endpoint)])
        known = KeyExplanation(
            None,
            endpoint=request.endpoint,
            arguments=arguments,
            method=method,
            url=url,
            reason="the view is not cached",
        )
        return policies[0].explain(request, known) if policies else known


def explain_view(
    policy: CachedPolicy, state: AppState, request: Any, known: KeyExplanation
) -> KeyExplanation:
    """The key of a matched request to a cached view."""
    known = replace(known, function=policy.name)
    custom = policy.custom_key()
    if custom is None and request.method not in policy.options.methods:
        accepted = ", ".join(sorted(policy.options.methods))
        reason = f"{request.method} runs the view: @cached serves {accepted} (see methods=)"
        return replace(known, reason=reason)
    try:
        if custom is None:
            key, parts = view_parts(policy.spec(state, for_view=True), request)
        else:
            instance = view_instance(application(state), request, policy)
            key = custom(*instance, **request.view_args)
            name = getattr(custom, "__qualname__", type(custom).__qualname__)
            parts = [KeyPart("make_cache_key", str(key), f"{name}()")]
    except Exception as error:
        # An explanation shows what the application's own key maker raises.
        return replace(known, reason=f"{type(error).__name__}: {error}")
    if key is None:
        return replace(known, reason="make_cache_key returned None")
    return replace(known, key=key, parts=tuple(parts), reason="")


def _routing_reason(error: HTTPException) -> str:
    if isinstance(error, RequestRedirect):
        return f"{error.code}: the URL redirects to {error.new_url}"
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"405: the URL does not accept this method; it accepts {allowed}"
    if error.code == 404:
        return "404: no route matches this URL"
    return f"{error.code}: {error.description}"
