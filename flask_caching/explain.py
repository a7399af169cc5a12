"""What the key of a request or a call is, what it is made of, and why there is none.

The request is matched against the application's routes and given to the same key functions that
the decorator uses. No view runs, and no ``before_request`` function; ``url_value_preprocessor``
functions do, since they change a view's arguments, and so does the constructor of a view class
whose object a key maker takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from .contexts import current_request
from .elsewhere import Found, application, call_key, custom_key, spec_key
from .errors import UncacheableArgument
from .explanation import KeyExplanation, changed
from .globalreads import GlobalReads, global_reads
from .keys import KeySpec, query_pairs
from .madeup import as_current, prepare_view_arguments, scopes_of
from .state import AppState
from .unrouted import unrouted
from .utils import get_arg_names
from .views import endpoints_of
from .ways import Way, ways

if TYPE_CHECKING:
    from .cached import CachedPolicy

__all__ = [
    "SentHeaders",
    "application",
    "explain_cached_call",
    "explain_call",
    "explain_request",
    "explain_view",
    "missing",
    "named_arguments",
    "raised",
    "with_bypass",
    "with_key",
]

#: Request headers, as :class:`werkzeug.datastructures.Headers` takes them.
SentHeaders: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

_BYPASSES = {
    "disabled": "the cache is turned off, so that {} runs without it",
    "unless": "unless= is true here, so that {} runs without the cache",
    "forced_update": "forced_update= is true here: {} runs, and what it returns is stored",
}


class Explainable(Protocol):
    """A policy that can explain its keys."""

    def decorated(self) -> Any:
        """The function that took the decorated one's place."""
        ...

    def explain(
        self, request: Any, known: KeyExplanation, way: Way[Any], sent: Iterable[str]
    ) -> KeyExplanation:
        """``known``, completed with the key of a matched request that is current.

        Args:
            request: The request.
            known: What routing says of it.
            way: How its call gets to the function.
            sent: Names of the headers that were asked about, in lower case.
        """
        ...

    def explain_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> KeyExplanation:
        """The key of a call with the arguments that arrive at the function."""
        ...


# A request.


def explain_request(
    app: Flask,
    policy_at: Callable[[Any], Explainable | None],
    url: str,
    method: str,
    headers: SentHeaders | None,
    environ: Mapping[str, Any],
) -> KeyExplanation:
    """What ``Cache.explain`` returns.

    Args:
        app: The application.
        policy_at: The policy of a decorated function; ``None`` for any other object.
        url: A path with an optional query string, or an absolute URL.
        method: Request method.
        headers: Request headers.
        environ: Further arguments of :class:`werkzeug.test.EnvironBuilder`.
    """
    known = KeyExplanation(None, method=method.upper(), url=url)
    try:
        sent = Headers(cast(Any, headers))
    except ValueError as error:
        return changed(known, reason=f"not headers that can be sent: {error}")
    try:
        context = _context(app, url, method, sent, environ)
    except (ValueError, Warning) as error:
        # Of a host that is not below SERVER_NAME Werkzeug warns, which may be an error.
        return changed(known, reason=f"not a URL that can be requested: {error}")
    named = {name.lower() for name in sent.keys()}  # noqa: SIM118 - iterating gives pairs
    if "base_url" in environ or urlsplit(url).netloc:
        named.add("host")
    explained: KeyExplanation | None = None
    try:
        with as_current(app, context) as request:
            explained = _explain_current(app, policy_at, request, known, named)
    except Exception as error:
        # By an explanation one sees what the application's own code raises.
        if explained is None:
            note = "raised before the key was asked for: by a converter, or with the session, say"
            return changed(known, reason=raised(error), notes=(note,))
        note = f"a teardown function raised {raised(error)}; no before_request function ran"
        explained = changed(explained, notes=(*explained.notes, note))
    return explained


def _context(
    app: Flask, url: str, method: str, headers: Headers, environ: Mapping[str, Any]
) -> Any:
    """The context of a request that nobody sent."""
    # Every request has a peer; key makers may count on one.
    base = {"REMOTE_ADDR": "127.0.0.1", **environ.get("environ_base", {})}
    asked = url if "base_url" in environ else _below_root(app, url)
    more = {**environ, "environ_base": base}
    return app.test_request_context(asked, method=method, headers=headers, **more)


def _below_root(app: Flask, url: str) -> str:
    """An absolute URL without the script root, under which it is below; any other as it is."""
    config = cast("dict[str, Any]", app.config)
    root = str(config.get("APPLICATION_ROOT") or "/").rstrip("/")
    parts = urlsplit(url)
    if not (root and parts.netloc) or not f"{parts.path}/".startswith(f"{root}/"):
        return url
    return parts._replace(path=parts.path[len(root) :] or "/").geturl()


def _explain_current(
    app: Flask,
    policy_at: Callable[[Any], Explainable | None],
    request: Any,
    known: KeyExplanation,
    sent: set[str],
) -> KeyExplanation:
    """The explanation of the current request."""
    if request.routing_exception is not None:
        status, reason, notes = unrouted(app, request)
        return changed(known, status=status, reason=reason, notes=notes)
    endpoint, rule = str(request.endpoint), request.url_rule
    known = changed(known, endpoint=endpoint, rule=rule.rule)
    if request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
        return changed(known, reason="Flask answers OPTIONS by itself: the view does not run")
    if endpoint not in app.view_functions:
        return changed(known, reason="the endpoint has no view function, which is an error")
    with global_reads() as reads:
        try:
            arguments = prepare_view_arguments(app, request)
        except Exception as error:
            status = error.code if isinstance(error, HTTPException) else None
            known = changed(known, status=status, reason=raised(error))
            return changed(known, notes=("raised by a url_value_preprocessor function",))
        known = changed(known, arguments=arguments)
        found = ways(app.view_functions[endpoint], policy_at, request.method)
        if not found:
            return changed(known, reason="the view is not cached")
        outer, *inner = (
            _with_notes(way.policy.explain(request, known, way, sent), way) for way in found
        )
    notes = (*outer.notes, *_not_run(app, request, outer, reads))
    return changed(outer, notes=notes, inner=tuple(inner))


def _not_run(
    app: Flask, request: Any, explained: KeyExplanation, reads: GlobalReads
) -> Iterator[str]:
    """What was not run, where that may be why the key is wrong, or could not be made."""
    before = [
        getattr(function, "__name__", type(function).__name__)
        for scope in scopes_of(app, request)
        for function in app.before_request_funcs.get(scope, ())
    ]
    failed = explained.key is None and not explained.bypass
    if before and (failed or reads.absent):
        missed = f"; missing in flask.g: {', '.join(reads.absent)}" if reads.absent else ""
        yield f"before_request functions were not run ({', '.join(before)}){missed}"
    if reads.found:
        yield (
            f"flask.g.{', flask.g.'.join(reads.found)} was read, and is that of the context in "
            "which this was asked"
        )
    middleware = vars(app).get("wsgi_app")
    if middleware is not None:
        name = getattr(middleware, "__qualname__", type(middleware).__qualname__)
        module = getattr(middleware, "__module__", "")
        # Tracing, which is around many an application, changes nothing of a request.
        if not str(module).startswith("opentelemetry."):
            yield f"WSGI middleware is around the application and was not run: {name}"


def raised(error: BaseException) -> str:
    """An error as a reason for there being no key."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        # It is the application's, and cannot even say what it is.
        return type(error).__name__


# The key of a view, and of a call.


def explain_view(
    policy: CachedPolicy,
    state: AppState,
    request: Any,
    known: KeyExplanation,
    way: Way[Any],
    sent: Iterable[str],
) -> KeyExplanation:
    """The key of a matched request to a cached view; see :class:`Explainable`."""
    known = changed(known, function=policy.name)
    custom = policy.custom_key()
    args: tuple[Any, ...] = ()
    kwargs = dict(known.arguments)
    if custom is not None or policy.unless or policy.forced:
        try:
            args, kwargs = way.call((), kwargs)
        except Exception as error:
            note = "raised by the constructor of the view class"
            return changed(known, reason=raised(error), notes=(note,))
    known = with_bypass(known, policy, state, args, kwargs, "the view")
    if known.reason:
        return known
    if custom is not None:
        return with_key(known, lambda: custom_key(custom, args, kwargs), "make_cache_key")
    options, spec = policy.options, policy.spec(state, for_view=True)
    if request.method not in options.methods:
        accepted = ", ".join(sorted(options.methods))
        reason = f"{request.method} runs the view: @cached serves {accepted} (see methods=)"
        return changed(known, reason=reason, bypass=known.bypass or "method")
    known = with_key(known, lambda: spec_key(spec, request), "key_prefix")
    if known.key is None:
        return known
    return changed(known, missing=tuple(missing(spec, request, known.arguments, sent)))


def with_bypass(
    known: KeyExplanation,
    policy: Any,
    state: AppState,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    what: str = "the function",
) -> KeyExplanation:
    """``known``, and whether the call would not look into the cache, whatever its key."""
    bypass = ""
    try:
        if state.off():
            bypass = "disabled"
        elif policy.unless is not None and policy.unless(args, kwargs):
            bypass = "unless"
        elif policy.forced is not None and policy.forced(args, kwargs):
            bypass = "forced_update"
    except Exception as error:
        note = "raised by unless= or forced_update="
        return changed(known, reason=raised(error), notes=(*known.notes, note))
    if not bypass:
        return known
    return changed(known, bypass=bypass, notes=(*known.notes, _BYPASSES[bypass].format(what)))


def with_key(known: KeyExplanation, make: Callable[[], Found], maker: str) -> KeyExplanation:
    """``known`` with the key that is made, or with the reason why none is."""
    try:
        found = make()
    except UncacheableArgument as error:
        bypass = known.bypass or "uncacheable_argument"
        return changed(known, reason=raised(error), bypass=bypass)
    except Exception as error:
        # By an explanation one sees what the application's own key maker raises.
        return changed(known, reason=raised(error))
    if found.key is None:
        bypass = known.bypass or "no_key"
        return changed(known, reason=f"{maker} returned None", bypass=bypass)
    return changed(known, key=found.key, parts=found.parts, reason="")


def missing(
    spec: KeySpec, request: Any, arguments: Mapping[str, Any], sent: Iterable[str]
) -> Iterator[str]:
    """What a request has that its key does not depend on; see ``KeyExplanation.missing``."""
    if any(map(callable, (spec.prefix, *spec.vary))):
        return
    if not spec.needs_path:
        yield from (f"argument {name}" for name in arguments)
    environ = request.environ
    if environ.get("QUERY_STRING"):
        pairs = query_pairs(spec, request.args) if spec.counts_query else []
        counted = {name for name, _ in pairs}
        yield from (f"query {name}" for name in request.args if name not in counted)
    vary = {name.lower() for name in spec.vary if isinstance(name, str)}
    if "HTTP_COOKIE" in environ and "cookie" not in vary:
        yield from (
            f"cookie {name}" for name in request.cookies if f"cookie:{name.lower()}" not in vary
        )
    if spec.strategy == "strict":
        vary.add("host")
    yield from _missing_headers(set(sent) - vary)


def _missing_headers(names: set[str]) -> Iterator[str]:
    if "host" in names:
        yield "host"
    names = names - {"host", "cookie", "content-type", "content-length"}
    yield from (f"header {name.title()}" for name in sorted(names))


def explain_call(
    found: Sequence[Way[Explainable]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> KeyExplanation:
    """What ``Cache.explain_call`` returns.

    Args:
        found: The ways to the cached functions that are called, outermost first.
        args: The call's arguments.
        kwargs: The call's arguments.
    """
    outer, *inner = (
        _with_notes(way.policy.explain_call(*way.call(args, kwargs)), way) for way in found
    )
    return changed(outer, inner=tuple(inner))


def _with_notes(explained: KeyExplanation, way: Way[Any]) -> KeyExplanation:
    notes = tuple(way.notes())
    return changed(explained, notes=(*explained.notes, *notes)) if notes else explained


def explain_cached_call(
    policy: CachedPolicy, state: AppState, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> KeyExplanation:
    """The key of a call of a cached helper; that of the first URL of a view's arguments."""
    known = KeyExplanation(
        None,
        function=policy.name,
        arguments=named_arguments(policy.function, args, kwargs),
    )
    is_view = bool(endpoints_of(application(state).view_functions, policy.decorated()))
    if not is_view:
        known = with_bypass(known, policy, state, args, kwargs)
        if _lacks_request(policy, state):
            reason = (
                "its key needs a request, so that it runs uncached outside of one; ask inside of "
                "app.test_request_context(...)"
            )
            return changed(known, reason=reason, bypass=known.bypass or "no_request")
        if known.reason:
            return known
    made: list[Found] = []

    def make() -> Found:
        made.append(call_key(policy, state, None, None, args, kwargs))
        return made[0]

    known = with_key(known, make, "make_cache_key" if policy.custom_key() else "key_prefix")
    url = made[0].url if made else None
    if url is None or not url.path:
        return known
    return changed(known, url=url.path, method=url.method, endpoint=made[0].endpoint)


def _lacks_request(policy: CachedPolicy, state: AppState) -> bool:
    """Whether a helper's key cannot be made for want of a request."""
    return (
        current_request() is None
        and policy.custom_key() is None
        and policy.spec(state, for_view=False).needs_request
    )


def named_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """A call's arguments by the names of the parameters, as far as they have one."""
    names = get_arg_names(function)
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    return {**named, "args": args[len(names) :]} if len(args) > len(names) else named
