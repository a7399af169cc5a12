"""The blueprint: routes below whatever prefix, each behind the gate."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Flask, request, request_started

from flask_caching import Cache
from flask_caching.observer import report_fault

from ..timeline import DEBUG
from . import answers
from .access import Refusal
from .answers import Stop
from .gate import Gate
from .headers import protect
from .routes import ROUTES, Route
from .shown import Which, start, these
from .site import NAME, Site
from .view import View

__all__ = ["debug_blueprint", "make_blueprint", "warn_caller"]

#: Where an application keeps what waits for its first request.
_EXTENSION: Final = "flask_caching_debug"

#: Every method that a rule must name to be asked; what no route takes is answered by us too.
_ALL_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")


def debug_blueprint(cache: Cache | None = None, auth: Callable[[], Any] | None = None) -> Blueprint:
    """The debug pages, to be registered below any prefix (``/_cache`` if none is given).

    Without ``auth`` and without ``CACHE_DEBUG_TOKEN`` they answer only this machine, and only
    under ``app.debug``.

    Args:
        cache: The cache to show; ``None`` for all of the application. It may be set up later.
        auth: Called in each request, without arguments, in the place of the token: something
            true lets it in, something false is answered with 403, and a
            :class:`~flask.Response` is sent as it is. May be a coroutine function.

    Raises:
        TypeError: If ``auth`` cannot be called, or ``cache`` is no cache.
    """
    given: Any = cache
    if given is not None and not isinstance(given, Cache):
        raise TypeError(f"debug_blueprint() takes a Cache, not {given!r}")

    def guarded(app: Flask) -> bool:
        # A cache that is set up later may have its token in either place already.
        waiting: dict[str, Any] = {**app.config, **((cache.config if cache else None) or {})}
        tokens = [each.state.config.debug_token for each in these(app, cache)]
        return any((*tokens, waiting.get("CACHE_DEBUG_TOKEN")))

    return make_blueprint(NAME, lambda app: these(app, cache), guarded, auth)


def make_blueprint(
    name: str,
    which: Which,
    guarded: Callable[[Flask], bool],
    auth: Callable[[], Any] | None = None,
) -> Blueprint:
    """The blueprint of :func:`debug_blueprint`.

    Args:
        name: What it is called.
        which: Of an application, the caches to show.
        guarded: Whether an application has a token for them.
        auth: As there.
    """
    blueprint = Blueprint(name, __name__, url_prefix="/_cache")
    gate = Gate(auth)

    def add(state: Any) -> None:
        app: Flask = state.app
        prefix: str = state.url_prefix or ""
        _add_routes(state, gate, which)
        if prefix.strip("/"):
            app.after_request(_ProtectRouting(prefix))
        if auth is None and not app.debug and not guarded(app):
            _warn_closed(prefix)
        start(app, which(app))
        _start_later(app, which)

    blueprint.record(add)
    # Before any function that the application wants to have called before its requests.
    blueprint.url_value_preprocessor(_mark)
    blueprint.after_request(_protect_foreign)
    return blueprint


def _add_routes(state: Any, gate: Gate, which: Which) -> None:
    options: dict[str, Any] = {"provide_automatic_options": False}
    if state.app.url_map.host_matching:
        # Any host: in such an application a rule without one is never matched.
        options["host"] = "<flask_caching_host>"
    for route in ROUTES:
        slashes = {"strict_slashes": False} if route.rule == "/" else {}
        view = View(route, gate, which)
        state.add_url_rule(
            route.rule, route.name, view, methods=route.methods, **slashes, **options
        )
    if (state.url_prefix or "").strip("/"):
        # All else below the prefix; without one it would be all else of the application.
        view = View(Route("nothing", "/<path:rest>", _nothing, _ALL_METHODS), gate, which)
        for rule, slashes in (("/", {"strict_slashes": False}), ("/<path:rest>", {})):
            state.add_url_rule(rule, "nothing", view, methods=_ALL_METHODS, **slashes, **options)


def _nothing(site: Site, rest: str = "") -> Any:
    """No route has this address, or none takes this method there."""
    takes = {
        method
        for route in ROUTES
        if re.fullmatch(re.sub("<[^>]+>", "[^/]+", route.rule), f"/{rest}")
        for method in route.methods
    }
    if not takes:
        raise Stop(Refusal(404, "There is nothing here", "These pages have no such address."))
    allow = ", ".join(sorted(takes | {"OPTIONS"} | ({"HEAD"} if "GET" in takes else set())))
    if request.method == "OPTIONS":
        response = answers.page("")
        response.headers["Allow"] = allow
        return response
    raise Stop(Refusal(405, "Not with this method", f"This address takes {allow}."), Allow=allow)


# What happens beside the views.


def _mark(endpoint: str | None, values: dict[str, Any] | None) -> None:
    request.environ[DEBUG] = True


def _protect_foreign(response: Any) -> Any:
    """The response to an exception of ``auth``, which is the application's, or one of ours."""
    protect(response, foreign=True)
    return response


class _ProtectRouting:
    """Sees to responses for which there was no route: a redirect to fewer slashes, an odd method.

    Args:
        prefix: Where the pages are, within the application.
    """

    def __init__(self, prefix: str) -> None:
        # Up to the first argument.
        self._start = "/" + prefix.partition("<")[0].strip("/")
        self.__name__ = "flask_caching_debug_headers"

    def __call__(self, response: Any) -> Any:
        if request.url_rule is None and f"{request.path}/".startswith(f"{self._start}/"):
            protect(response)
        return response


def _start_later(app: Flask, which: Which) -> None:
    """Watch caches that are set up after the pages, from the first request on."""

    def begin(sender: Flask, **extra: Any) -> None:
        # Of any sender: only that makes the signal forget the receiver.
        request_started.disconnect(begin)
        try:
            start(sender, which(sender))
        except Exception as fault:
            # The request is the application's, and not about these pages.
            report_fault("debug.start", fault)

    # Weakly: what the signal kept would live for ever if there never was a request.
    request_started.connect(begin, app)
    app.extensions.setdefault(_EXTENSION, []).append(begin)


def warn_caller(message: str) -> None:
    """Warn, and point at whoever registered the pages or set the cache up, past Flask too."""
    level = 1
    frame = inspect.currentframe()
    while frame is not None and _root(frame.f_globals.get("__name__", "")) in _PASSED:
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _root(module: str) -> str:
    return module.partition(".")[0]


#: Packages whose frames stand between a registration and its caller.
_PASSED: Final = ("flask", "flask_caching", "flask_caching_instrumentation")


def _warn_closed(prefix: str) -> None:
    warn_caller(
        f"the debug pages below {prefix or '/'!r} answer only this machine, and only under "
        "app.debug, which is off: every request to them gets 403. Set CACHE_DEBUG_TOKEN to a long "
        "random string, or give debug_blueprint() an auth callable."
    )
