"""The keys of requests and calls that are not being handled, for deletion and explanation.

A request is made up from a path, or from a view's arguments and its rules, and given to the same
key functions that the decorator uses. No view runs, and no ``before_request`` function;
``url_value_preprocessor`` functions do, since they change a view's arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flask import Flask

from .contexts import current_request
from .errors import CacheError
from .keys import KeyPart, KeySpec, called, request_for, view_parts
from .madeup import (
    Url,
    base_url,
    build_urls,
    current_headers,
    made_up_request,
    prepare_view_arguments,
)
from .requests import is_call_of
from .state import AppState
from .typing import QueryArgs
from .views import endpoints_of
from .ways import ways

if TYPE_CHECKING:
    from .cached import CachedPolicy

__all__ = ["Found", "application", "call_key", "custom_key", "keys_elsewhere"]


class Found(NamedTuple):
    """A key, and how it was come by.

    Attributes:
        key: The key; ``None`` if the application's own code returns that.
        parts: What it was made of.
        url: The made-up request's; ``None`` where none was needed.
        endpoint: That of the view that the key is of; ``None`` for a helper.
    """

    key: str | None
    parts: tuple[KeyPart, ...]
    url: Url | None = None
    endpoint: str | None = None


def call_key(
    policy: CachedPolicy,
    state: AppState,
    path: str | None,
    query_args: QueryArgs | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Found:
    """The key of a request to a view, or of a call of a helper.

    Args:
        policy: The cached function's policy.
        state: The application's cache.
        path: See :meth:`CachedPolicy.make_cache_key`.
        query_args: See :meth:`CachedPolicy.make_cache_key`.
        args: The function's arguments.
        kwargs: The function's arguments.
    """
    custom = policy.custom_key()
    request = current_request()
    if request is not None and path is None and query_args is None:
        mine = policy.serves(state, request)
        if mine and is_call_of(request, args, kwargs):
            if custom is not None:
                return custom_key(custom, args, kwargs or request.view_args or {})
            return spec_key(policy.spec(state, for_view=True), request)
        if (
            custom is None
            and not mine
            and not endpoints_of(state.view_functions, policy.decorated())
        ):
            return spec_key(_helper_spec(policy, state, request.method), request)
    return next(keys_elsewhere(policy, state, path, query_args, args, kwargs))


def _helper_spec(policy: CachedPolicy, state: AppState, method: str) -> KeySpec:
    """What the key of a helper is made of; one whose key is a path follows a view's strategy."""
    spec = policy.spec(state, for_view=policy.follows_path())
    # Under other methods it runs uncached, and what is stored is what GET stored.
    return spec if method in policy.options.methods else replace(spec, whole_request=False)


def custom_key(
    custom: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Found:
    """What the application's own key maker returns for a call.

    Raises:
        CacheError: If it is a coroutine function.
    """
    name = called(custom)
    key = custom(*args, **kwargs)
    if inspect.iscoroutine(key):
        key.close()
        raise CacheError(
            f"{name}() returns a coroutine, whose text is another one each time, so that nothing "
            "is ever found; write it with def instead of async def"
        )
    if key is None:
        return Found(None, ())
    return Found(str(key), (KeyPart("make_cache_key", str(key), f"{name}()"),))


def spec_key(spec: KeySpec, request: Any, url: Url | None = None) -> Found:
    """The key of a request that nothing but a decorator's arguments decide."""
    key, parts = view_parts(spec, request)
    return Found(key, tuple(parts), url)


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
) -> Iterator[Found]:
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

    Raises:
        CacheError: If the key needs a path and none can be built, or needs a request.
    """
    app = application(state)
    custom = policy.custom_key()
    endpoints = endpoints_of(app.view_functions, policy.decorated())
    spec = policy.spec(state, for_view=bool(endpoints) or policy.follows_path())
    asks = headers is not None and any(map(callable, (spec.prefix, *spec.vary)))
    if path is not None:
        urls = [Url(path, query_args or (), base_url(app))]
    elif custom is not None and not endpoints:
        yield custom_key(custom, args, kwargs)
        return
    elif endpoints and (spec.needs_path or asks or custom is not None):
        urls = build_urls(app, endpoints, policy.function, args, kwargs, query_args)
        if besides is not None and custom is not None:
            # It has answered for the running request, which has more to it than a made-up one.
            urls = [url for url in urls if url.path != besides.path]
        elif not urls and besides is None:
            raise _no_route(endpoints, args, kwargs)
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
                found = _custom_elsewhere(app, request, policy, kwargs)
            yield found._replace(url=url)
        elif asks:
            with made_up_request(app, url, sent) as request:
                found = spec_key(spec, request, url)
            yield found
        else:
            yield _plain_key(policy, spec, url, sent)


def _no_route(
    endpoints: Iterable[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> CacheError:
    return CacheError(
        f"no route of {', '.join(endpoints)} can be built from "
        f"{sorted([*map(repr, args), *kwargs])}; pass the view's arguments, or path='/...'"
    )


def _custom_elsewhere(
    app: Flask, request: Any, policy: CachedPolicy, kwargs: dict[str, Any]
) -> Found:
    """The key that the view's own key maker has for a made-up request, which is current."""
    custom = cast("Callable[..., Any]", policy.custom_key())
    matched = prepare_view_arguments(app, request)
    decorated = policy.decorated()
    found = ways(
        app.view_functions.get(request.endpoint),
        lambda part: policy if part is decorated else None,
        request.method,
    )
    args: tuple[Any, ...] = ()
    given = kwargs or matched
    if found:
        args, given = found[0].call((), given)
    return custom_key(custom, args, given)._replace(endpoint=request.endpoint)


def _plain_key(policy: CachedPolicy, spec: KeySpec, url: Url, headers: Mapping[str, str]) -> Found:
    """The key of a request, without making it the current one."""
    method = url.method if url.method in policy.options.methods else "GET"
    request = request_for(
        url.path, url.query, method=method, base_url=url.base_url, headers=headers
    )
    try:
        return spec_key(spec, request, url)
    except RuntimeError as error:
        if current_request() is not None or "outside of request context" not in str(error):
            raise
        raise CacheError(
            f"the key of {policy.name} depends on the request (a function in vary=, or "
            "key_prefix=, reads it) and there is none; call this inside a request, or pass "
            "delete_cached the headers of the request that was stored, headers={...}"
        ) from error


def application(state: AppState) -> Flask:
    """The application of a cache.

    Raises:
        CacheError: If it does not exist any more.
    """
    app = state.app()
    if app is None:
        raise CacheError("the application of this cache does not exist any more")
    return app
