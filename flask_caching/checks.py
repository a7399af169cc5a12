"""What a decorator is given, checked where it is written: clear errors instead of odd caches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from flask import Flask, request_started

from .backends.base import EntryBackend, SupportsSize
from .errors import ConfigurationError
from .lookup import warn_once
from .parsing import describe, warn_user
from .state import AppState
from .typing import CollisionPolicy, Timeout
from .utils import normalize_timeout
from .views import is_behind

__all__ = [
    "check_application",
    "check_callables",
    "check_collisions",
    "check_config_type",
    "check_function",
    "check_timeout",
    "method_names",
    "names_of",
    "routed_past",
    "vary_inputs",
    "warn_if_above_route",
    "warn_if_not_distributed",
    "warn_if_prefix_is_open",
    "watch_routes",
]


def check_config_type(config: object) -> None:
    """Refuse a configuration that is not a dictionary."""
    if config is not None and not isinstance(config, dict):
        raise ConfigurationError(
            f"config is {config!r}; pass a dictionary of CACHE_* values, or None to use app.config"
        )


def check_application(app: object) -> None:
    """Refuse what is not a Flask application."""
    if not isinstance(app, Flask):
        raise TypeError(
            f"expected a Flask application, got {app!r}; write Cache(app), or Cache() and later "
            "cache.init_app(app)"
        )


def check_timeout(timeout: Timeout, name: str) -> None:
    """Refuse what is not a timeout, above all a function: ``@cache.cached`` without brackets."""
    if callable(timeout):
        raise TypeError(f"write @cache.{name}() with parentheses above {timeout!r}")
    normalize_timeout(timeout)


def check_function(function: object, name: str) -> None:
    """Refuse to decorate what is not a function to call."""
    kind = type(function).__name__
    if kind in ("classmethod", "staticmethod"):
        raise TypeError(
            f"@cache.{name}() is above @{kind}; put it below, next to the function, "
            f"so that @{kind} comes first"
        )
    if isinstance(function, property):
        raise TypeError(f"@cache.{name}() is above @property; put it below, next to the function")
    if inspect.isclass(function):
        raise TypeError(
            f"@cache.{name}() decorates the class {function!r}; decorate its methods "
            "(dispatch_request, get, ...), or list the decorator in the view's `decorators`"
        )
    if not callable(function):
        raise TypeError(f"@cache.{name}() decorates {function!r}, which cannot be called")
    if inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function!r} is an asynchronous generator, whose items cannot be cached; "
            "gather them in a coroutine function and cache that"
        )


def check_callables(**arguments: object) -> None:
    """Refuse a decorator's argument that has to be called and cannot be."""
    for name, value in arguments.items():
        if value is not None and not callable(value):
            accepted = "text or a function" if name == "key_prefix" else "a function, or None"
            raise TypeError(f"{name} is {value!r}; pass {accepted}")


def check_collisions(collisions: CollisionPolicy | None) -> CollisionPolicy | None:
    """A decorator's ``collisions=``, if it is one."""
    if collisions not in (None, "report", "refuse", "allow"):
        raise ValueError(f'collisions is {collisions!r}; use "report", "refuse" or "allow"')
    return collisions


def names_of(names: bool | Iterable[str] | None, argument: str) -> Any:
    """A sequence of names as a tuple; a bool as it is; ``None`` as no names."""
    if isinstance(names, str):
        raise TypeError(f"{argument} is the text {names!r}; pass a list of names")
    return bool(names) if names is None or isinstance(names, int) else tuple(names)


def method_names(methods: Iterable[str]) -> frozenset[str]:
    """Request methods in upper case; HEAD wherever GET is."""
    if isinstance(methods, str):
        raise TypeError(f"methods is the text {methods!r}; pass a list such as ['GET', 'POST']")
    names = {str(method).upper() for method in methods}
    if not names:
        raise ValueError("methods is empty, so nothing would be cached; leave it out for GET")
    return frozenset(names | {"HEAD"} if "GET" in names else names)


def vary_inputs(
    vary: Iterable[str | Callable[[], Any]],
) -> tuple[str | Callable[[], Any], ...]:
    """What ``vary=`` lists, checked."""
    if isinstance(vary, str):
        raise TypeError(f"vary is the text {vary!r}; pass a list such as ['Accept-Language']")
    inputs = tuple(vary)
    for item in inputs:
        if item in ("", "cookie:") or not (isinstance(item, str) or callable(item)):
            raise TypeError(
                f"vary lists {item!r}; use header names, 'cookie:NAME', or functions without "
                "arguments"
            )
    return inputs


class Decorated(Protocol):
    """What a route check needs of a policy."""

    name: str
    function: Callable[..., Any]

    def decorated(self) -> Any: ...


DecoratedT = TypeVar("DecoratedT", bound=Decorated)


def warn_if_above_route(app: Flask, policies: Sequence[Decorated]) -> None:
    """Warn about functions that are routed without their cache.

    ``@cache.cached()`` above ``@app.route()`` decorates a function that Flask has registered
    already, undecorated: the view works and is never cached.
    """
    for policy, endpoint in routed_past(app, policies):
        warn_once(
            f"{policy.name} is cached, but the route of endpoint {endpoint!r} leads past its "
            "cache: put @cache.cached() below @app.route(), next to the function"
        )


def routed_past(app: Flask, policies: Sequence[DecoratedT]) -> Iterator[tuple[DecoratedT, str]]:
    """The functions that are routed without their cache, each with an endpoint that does."""
    views = app.view_functions
    for policy in policies:
        decorated = policy.decorated()
        bare = [endpoint for endpoint, view in views.items() if view is policy.function]
        if not bare or decorated is None:
            continue
        # Where it is routed both ways, that must be on purpose.
        if not any(is_behind(view, decorated) for view in views.values()):
            yield policy, bare[0]


def watch_routes(
    app: Flask, policies: Callable[[], Sequence[Decorated]], first: Callable[[Flask], None]
) -> Callable[..., None]:
    """Check an application's routes now, and once more when its first request starts.

    Args:
        app: The application.
        policies: What its cache has decorated so far.
        first: Called with the application when that request starts.

    Returns:
        What waits for the first request, for as long as the caller keeps it.
    """
    warn_if_above_route(app, policies())

    def check(sender: Flask, **extra: Any) -> None:
        # Of any sender: only that makes the signal forget the receiver.
        request_started.disconnect(check)
        warn_if_above_route(sender, policies())
        first(sender)

    # Weakly: the signal would keep it for ever if the application never got a request.
    request_started.connect(check, app)
    return check


def warn_if_not_distributed(state: AppState) -> None:
    """Say that a shared store has no locks, so that one loader per process is all there is."""
    in_process = isinstance(state.backend, EntryBackend) and not state.shared
    if state.config.single_flight == "distributed" and not state.distributed and not in_process:
        warn_user(
            f'CACHE_SINGLE_FLIGHT is "distributed", but {describe(state.config.type)} cannot keep '
            'locks for several processes, so that it works as "process".'
        )


def warn_if_prefix_is_open(state: AppState) -> None:
    """Say that another cache's prefix may begin with this one's, which clears both then."""
    prefix = getattr(state.backend, "key_prefix", "")
    apart = isinstance(state.backend, SupportsSize)  # each prefix has a directory of its own
    if state.shared and not apart and isinstance(prefix, str) and prefix[-1:].isalnum():
        warn_user(
            f"the key prefix {prefix!r} ends in a letter or digit, so that clearing this cache "
            f"also clears one whose prefix begins with it. "
            f"End it with a separator: {prefix + ':'!r}."
        )
