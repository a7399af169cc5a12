"""The key of a request that is not being handled: for deletion, and for explanation.

The request is made up from a URL (or from an endpoint and its arguments), matched against the
application's routes, and given to the same key functions that the decorator uses. No view
runs, and no ``before_request`` function; ``url_value_preprocessor`` functions do, since they
change a view's arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from .errors import CacheError
from .keys import KeyExplanation, KeyPart, KeySpec, request_for, view_key, view_parts
from .madeup import Url, as_current, base_url, build_urls, current_headers, made_up_request
from .requests import current_request
from .typing import QueryArgs
from .utils import get_arg_names
from .views import endpoints_of

if TYPE_CHECKING:
    from .cached import CachedPolicy
    from .state import AppState

__all__ = ["explain_request", "explain_view", "key_elsewhere", "keys_elsewhere"]


def key_elsewhere(
    policy: CachedPolicy,
    state: AppState,
    path: str | None,
    query_args: QueryArgs | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str | None:
    """The first of :func:`keys_elsewhere`."""
    return next(keys_elsewhere(policy, state, path, query_args, args, kwargs))


def keys_elsewhere(
    policy: CachedPolicy,
    state: AppState,
    path: str | None,
    query_args: QueryArgs | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    besides: Any = None,
) -> Iterator[str | None]:
    """The keys of requests described by their path, or by the view's arguments.

    Args:
        policy: The cached function's policy.
        state: The application's cache.
        path: The path; ``None`` for all those that lead to the view with its arguments.
        query_args: The query string; ``None`` for what the arguments leave for it.
        args: The view's arguments.
        kwargs: The view's arguments.
        headers: Request headers; ``None`` for those of the current request.
        besides: A request to the view with these arguments whose own key is known already: no
            error if its URL cannot be built again.

    Yields:
        A key; ``None`` if the application's key maker returns that.

    Raises:
        CacheError: If the key needs a path and none can be built, or needs a request.
    """
    app = application(state)
    custom = policy.custom_key()
    endpoints = endpoints_of(app.view_functions, policy.decorated())
    spec = policy.spec(state, for_view=bool(endpoints))
    asks = headers is not None and any(map(callable, (spec.prefix, *spec.vary)))
    if path is not None:
        urls = [Url(path, query_args or (), base_url(app))]
    elif endpoints and (spec.needs_path or asks or custom is not None):
        urls = build_urls(app, endpoints, policy.function, args, kwargs, query_args)
        if besides is not None and custom is not None:
            # It has answered for the running request, which has more to it than a made-up one.
            urls = [url for url in urls if url.path != besides.path]
        elif not urls and besides is None:
            raise CacheError(
                f"no route of {', '.join(endpoints)} can be built from "
                f"{sorted([*map(repr, args), *kwargs])}; pass the view's arguments, or path='/...'"
            )
    elif custom is not None:
        key = custom(*args, **kwargs)
        yield None if key is None else str(key)
        return
    elif spec.needs_path:
        raise CacheError(
            f"the key of {policy.name} is made of a path, and no route leads to it; "
            "pass path='/...'"
        )
    else:
        urls = [Url("", query_args or (), base_url(app))]
    sent = current_headers(app) if headers is None else headers
    for url in urls:
        if custom is not None:
            with made_up_request(app, url, sent) as request:
                matched = prepare_view_arguments(app, request)
                key = custom(*view_instance(app, request, policy), **(kwargs or matched))
            yield None if key is None else str(key)
        elif asks:
            with made_up_request(app, url, sent) as request:
                key = view_key(spec, request)
            yield key
        else:
            yield _plain_key(policy, spec, url, sent)


def _plain_key(
    policy: CachedPolicy, spec: KeySpec, url: Url, headers: Mapping[str, str]
) -> str | None:
    """The key of a request, without making it the current one."""
    request = request_for(url.path, url.query, base_url=url.base_url, headers=headers)
    try:
        return view_key(spec, request)
    except RuntimeError as error:
        if current_request() is not None or "outside of request context" not in str(error):
            raise
        raise CacheError(
            f"the key of {policy.name} depends on the request (a function in vary=, or "
            "key_prefix=, reads it) and there is none; call this inside a request, or pass "
            "delete_cached the headers of the request that was stored, headers={...}"
        ) from error


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
    sent = dict(headers or {})
    try:
        context = app.test_request_context(url, method=method, headers=sent, **environ)
    except ValueError as error:
        return KeyExplanation(
            None, reason=f"not a URL that can be requested: {error}", method=method, url=url
        )
    with as_current(app, context) as request:
        refused = request.routing_exception
        if refused is not None:
            return KeyExplanation(None, reason=_routing_reason(refused), method=method, url=url)
        arguments = prepare_view_arguments(app, request)
        view = app.view_functions[str(request.endpoint)]
        policies = policies_for(find_policies, view, request.method)
        known = KeyExplanation(
            None,
            endpoint=request.endpoint,
            arguments=arguments,
            method=method,
            url=url,
            reason="the view is not cached",
        )
        return policies[0].explain(request, known) if policies else known


def policies_for(
    find_policies: Callable[[Any], Sequence[Explainable]], view: Any, method: str
) -> list[Explainable]:
    """The policies that a request to a view goes through, outermost first.

    Those of a class's view are the ones of its decorators, of ``dispatch_request``, and of the
    member for the request's method; what decorates the other members has no part in it.
    """
    found = list(find_policies(view))
    view_class = getattr(view, "view_class", None)
    if view_class is None:
        return found
    members = {
        id(policy)
        for cls in view_class.__mro__[:-1]
        for member in cast("dict[str, Any]", vars(cls)).values()
        if callable(member)
        for policy in find_policies(member)
    }
    handler = getattr(view_class, method.lower(), None)
    if handler is None and method == "HEAD":
        handler = getattr(view_class, "get", None)
    through = [getattr(view_class, "dispatch_request", None), handler]
    return [policy for policy in found if id(policy) not in members] + [
        policy for member in through if member is not None for policy in find_policies(member)
    ]


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
        maker = "key_prefix" if custom is None else "make_cache_key"
        return replace(known, reason=f"{maker} returned None")
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
