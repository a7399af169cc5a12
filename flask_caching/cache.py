"""``Cache``: the extension object. Per-application state, the value operations, the decorators."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from flask import Flask, current_app

from .backends.base import EntryBackend
from .backends.foreign import ForeignEntries
from .backends.loading import import_dotted, load_backend
from .cached import CachedPolicy
from .checks import (
    check_application,
    check_callables,
    check_collisions,
    check_config_type,
    check_function,
    check_timeout,
    method_names,
    names_of,
    vary_inputs,
    warn_if_above_route,
    warn_if_not_distributed,
    warn_if_prefix_is_open,
    watch_routes,
)
from .config import CacheConfig
from .contexts import app_context
from .deletion import Deletion
from .errors import CacheError
from .explain import SentHeaders, application, explain_call, explain_request
from .handles import CachedFunction, MemoizedFunction
from .jinja2ext import install
from .keys import SAFE_METHODS, KeyExplanation
from .lookup import warn_once
from .memoized import MemoizePolicy
from .observer import NullObserver, Observer, report_fault
from .options import CachedOptions, MemoizeOptions
from .parsing import warn_user
from .registry import Policy, Registry
from .serializers import Codec
from .state import AppState, secret_of
from .switch import Switchable
from .typing import CollisionPolicy, HashMethod, Timeout
from .values import OverriddenEntries, overrides_values
from .ways import Way, ways

__all__ = ["Cache"]

P = ParamSpec("P")
R = TypeVar("R")

#: Where an application keeps the states of its caches.
_EXTENSION = "flask_caching"


def load_observer(config: CacheConfig, app: Flask) -> Observer:
    """The observer that ``CACHE_INSTRUMENTATION`` names, made for an application."""
    named = config.instrumentation
    if named is None:
        return NullObserver()
    make = import_dotted(named, "CACHE_INSTRUMENTATION") if isinstance(named, str) else named
    return cast(Observer, make(app, config))


def watched(observer: Observer, backend: Any) -> Any:
    """The backend inside the observer's wrapper; bare if the observer cannot make one."""
    try:
        return observer.wrap(backend)
    except Exception as fault:
        report_fault("observer.wrap", fault)
        return backend


def assemble(
    cache: Cache, app: Flask, config: CacheConfig, backend: Any, codec: Codec, observer: Observer
) -> AppState:
    """One application's cache, made of its parts and not in use yet."""
    state = AppState(app, config, watched(observer, backend), codec, observer)
    if isinstance(backend, EntryBackend):
        backend.on_unreadable = state.unreadable
        for breaker in backend.breakers:
            breaker.listener = state.breaker_changed
    else:
        foreign = ForeignEntries(state.backend, codec)
        foreign.on_unreadable = state.unreadable
        state.store = state.entries = foreign
    if overrides_values(type(cache)):
        overridden = OverriddenEntries(cache, state)
        state.entries, state.stored_key = overridden, overridden.stored_key
    return state


class Cache(Deletion, Switchable):
    """A cache for one or several Flask applications.

    Args:
        app: The application, if there is one already; else call :meth:`init_app`.
        with_jinja2_ext: Whether templates get the ``{% cache %}`` tag.
        config: ``CACHE_*`` values that take precedence over ``app.config``.

    Attributes:
        config: What was passed as ``config``.

    Raises:
        ConfigurationError: If a configuration value cannot be used.
    """

    def __init__(
        self,
        app: Flask | None = None,
        with_jinja2_ext: bool = True,
        config: dict[str, Any] | None = None,
    ) -> None:
        check_config_type(config)
        self.with_jinja2_ext = with_jinja2_ext
        self.config = config
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        #: The application that was set up last, so that ``Cache(Flask(__name__))`` can be used
        #: although nobody else keeps its application. All others are their owners' to keep.
        self._kept_app: Flask | None = None
        self._registry = Registry()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, config: dict[str, Any] | None = None) -> None:
        """Set this cache up for an application.

        Args:
            app: The application. Its configuration is read, never written.
            config: ``CACHE_*`` values that take precedence over all others.
        """
        check_application(app)
        check_config_type(config)
        explicit = {**(self.config or {}), **(config or {})}
        parsed = CacheConfig.load({**app.config, **explicit}, explicit)
        codec = Codec(
            parsed.serializer,
            secret_of(app),
            app.response_class,
            parsed.compression,
            parsed.compression_threshold,
        )
        if parsed.type == "NullCache" and not parsed.no_null_warning:
            warn_user(
                'CACHE_TYPE is "NullCache", so nothing is cached. Set CACHE_TYPE = "SimpleCache" '
                "to cache in this process, or CACHE_NO_NULL_WARNING = True if this is meant."
            )
        if parsed.debug_ui and parsed.instrumentation is None:
            warn_user(
                "CACHE_DEBUG_UI is set, but CACHE_INSTRUMENTATION is None, and it is the "
                "instrumentation that mounts the debug pages. Remove one of them, or register "
                "flask_caching_instrumentation.debug_blueprint() yourself."
            )
        observer = load_observer(parsed, app)
        state = assemble(self, app, parsed, load_backend(parsed, app, codec), codec, observer)
        if type(self).cache is not Cache.cache:
            warn_user(
                f"{type(self).__qualname__} overrides the property cache, which neither the "
                "decorators nor get() and set() go through; override get and set instead."
            )
        warn_if_not_distributed(state)
        warn_if_prefix_is_open(state)
        app.extensions.setdefault("cache", {})[self] = state.backend
        app.extensions.setdefault(_EXTENSION, {})[self] = state
        self._apps.add(app)
        self._kept_app = app
        if self.with_jinja2_ext:
            install(app, self)
        state.route_check = watch_routes(app, self._registry.policies, self._tell_views)

    def _tell_views(self, app: Flask) -> None:
        """Let the observer know what it will be told of, before the first time."""
        state: AppState = app.extensions[_EXTENSION][self]
        # Observers of others may be older than this is.
        tell = getattr(state.observer, "views_known", None)
        if tell is not None:
            try:
                tell(self._registry.targets(state.view_functions))
            except Exception as fault:
                # A view may be any object, and raise when it is looked at.
                report_fault("observer.views_known", fault)

    # Which application.

    def state(self) -> AppState:
        """The current application's cache.

        Raises:
            RuntimeError: If there is no application context and this cache serves no
                application, or several; or the current application is none of them.
        """
        try:
            state: AppState = app_context().app.extensions[_EXTENSION][self]
            return state
        except (LookupError, RuntimeError, AttributeError):
            pass
        return self._only_state()

    def state_for_call(self) -> AppState | None:
        """:meth:`state` for a decorated call, which goes on without the cache instead."""
        try:
            # As state() does, which would be one more call on every hit.
            state: AppState = app_context().app.extensions[_EXTENSION][self]
            return state
        except (LookupError, RuntimeError, AttributeError):
            pass
        try:
            return self._only_state()
        except CacheError as error:
            warn_once(f"a cached function ran uncached: {error}")
            return None

    def _only_state(self) -> AppState:
        """The only application's, where the current one does not tell.

        Raises:
            CacheError: If there is none, or several; or the current one has no such cache.
        """
        if current_app:
            raise CacheError(
                f"this cache is not set up for the application {current_app.name!r}; call "
                "cache.init_app(app)"
            )
        apps = list(self._apps)
        if len(apps) == 1:
            only: AppState = apps[0].extensions[_EXTENSION][self]
            return only
        if apps:
            raise CacheError(
                f"this cache serves {len(apps)} applications and there is no application "
                "context to say which one is meant; use `with app.app_context():`"
            )
        raise CacheError("this cache is set up for no application yet; call cache.init_app(app)")

    @property
    def app(self) -> Flask:
        """The current application, or the only one this cache serves."""
        return application(self.state())

    @property
    def cache(self) -> Any:
        """The current application's backend, inside the observer's wrapper."""
        return self.state().backend

    # Decorators.

    def cached(
        self,
        timeout: Timeout = None,
        key_prefix: str | Callable[[], str] = "view/%s",
        unless: Callable[..., Any] | None = None,
        forced_update: Callable[..., Any] | None = None,
        is_stale: Callable[..., Any] | None = None,
        response_filter: Callable[[Any], Any] | None = None,
        query_string: bool | Sequence[str] = False,
        hash_method: HashMethod | None = None,
        cache_none: bool = False,
        make_cache_key: Callable[..., str] | None = None,
        source_check: bool | None = None,
        response_hit_indication: bool = False,
        *,
        methods: Iterable[str] = SAFE_METHODS,
        vary: Iterable[str | Callable[[], Any]] = (),
        ignore_query: Iterable[str] = (),
        store_cookies: bool = False,
        collisions: CollisionPolicy | None = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Cache what a view, or any other function, returns.

        On the view that a request matches, it answers GET and HEAD from the cache and runs the
        view under any other method. On any other function it caches under ``key_prefix``,
        whatever the request, and needs none if the prefix has no ``%s``.

        Args:
            timeout: Seconds, or a ``timedelta``; ``0`` never expires, ``None`` is
                ``CACHE_DEFAULT_TIMEOUT``.
            key_prefix: The key; ``%s`` in it stands for the request path. Or a function
                without arguments that returns the whole key.
            unless: Runs the function without the cache if this returns something true. Called
                with the function and its arguments if it takes any.
            forced_update: Runs the function and stores what it returns if this returns
                something true. Called with the call's arguments if it takes any.
            is_stale: Called with a cached value (and the call's arguments if it takes more
                than one); something true has it computed anew.
            response_filter: Called with what the function returned; something false keeps it
                out of the cache. Takes the place of the rules about status and headers,
                cookies excepted.
            query_string: Whether the query string is part of the key, sorted by name; a list
                of names: only those parameters.
            hash_method: Hash constructor; ``None`` is ``CACHE_HASH_METHOD``.
            cache_none: Whether ``None`` is stored.
            make_cache_key: Makes the key, given the call's arguments. The request may then
                have any method. Returning ``None`` runs the function uncached.
            source_check: Whether the function's source is part of the key; ``None`` is
                ``CACHE_SOURCE_CHECK``.
            response_hit_indication: Whether the response gets a ``Cache-Status`` header (RFC
                9211), and on a hit ``hit_cache: True``.
            methods: Request methods to serve; other than GET and HEAD, method and body become
                part of the key.
            vary: What else is part of the key: request header names, ``"cookie:NAME"``, or
                functions without arguments.
            ignore_query: Parameters to leave out; implies ``query_string``.
            store_cookies: Whether a response with Set-Cookie may be stored, to be sent to
                everyone.
            collisions: What to do with an entry that was made for another request:
                ``"report"``, ``"refuse"`` or ``"allow"``; ``None`` is ``CACHE_COLLISIONS``.

        Raises:
            TypeError: If it decorates something that is not a function, or an argument is of
                the wrong kind.
        """
        check_timeout(timeout, "cached")
        check_callables(
            key_prefix=None if isinstance(key_prefix, str) else key_prefix,
            unless=unless,
            forced_update=forced_update,
            is_stale=is_stale,
            response_filter=response_filter,
            hash_method=hash_method,
            make_cache_key=make_cache_key,
        )
        options = CachedOptions(
            key_prefix=key_prefix,
            unless=unless,
            forced_update=forced_update,
            is_stale=is_stale,
            response_filter=response_filter,
            query_string=names_of(query_string, "query_string"),
            ignore_query=names_of(ignore_query, "ignore_query") or (),
            hash_method=hash_method,
            cache_none=cache_none,
            make_cache_key=make_cache_key,
            source_check=source_check,
            response_hit_indication=bool(response_hit_indication),
            methods=method_names(methods),
            vary=vary_inputs(vary),
            store_cookies=store_cookies,
            collisions=check_collisions(collisions),
        )

        def decorator(function: Callable[P, R]) -> CachedFunction[P, R]:
            check_function(function, "cached")
            policy = CachedPolicy(self, function, options)
            decorated = policy.decorate(timeout)
            self._remember(decorated, policy)
            return cast("CachedFunction[P, R]", decorated)

        return decorator

    def memoize(
        self,
        timeout: Timeout = None,
        make_name: Callable[[str], str] | None = None,
        unless: Callable[..., Any] | None = None,
        forced_update: Callable[..., Any] | None = None,
        is_stale: Callable[..., Any] | None = None,
        response_filter: Callable[[Any], Any] | None = None,
        hash_method: HashMethod | None = None,
        cache_none: bool = False,
        source_check: bool | None = None,
        args_to_ignore: Iterable[str] | None = None,
        *,
        store_cookies: bool = False,
    ) -> Callable[[Callable[P, R]], MemoizedFunction[P, R]]:
        """Cache what a function returns, for each set of arguments.

        Args:
            timeout: Seconds, or a ``timedelta``; ``0`` never expires, ``None`` is
                ``CACHE_DEFAULT_TIMEOUT``.
            make_name: Given the function's name, returns the one to use in its keys; called at
                each call. Each name has entries of its own.
            unless: As for :meth:`cached`.
            forced_update: As for :meth:`cached`.
            is_stale: As for :meth:`cached`.
            response_filter: As for :meth:`cached`.
            hash_method: Hash constructor; ``None`` is ``CACHE_HASH_METHOD``.
            cache_none: Whether ``None`` is stored.
            source_check: Whether the function's source is part of the key; ``None`` is
                ``CACHE_SOURCE_CHECK``. Its code is, in any case.
            args_to_ignore: Names of parameters that are not part of the key.
            store_cookies: Whether a response with Set-Cookie may be stored.

        Raises:
            TypeError: If it decorates something that is not a function, or an argument is of
                the wrong kind.
        """
        check_timeout(timeout, "memoize")
        check_callables(
            make_name=make_name,
            unless=unless,
            forced_update=forced_update,
            is_stale=is_stale,
            response_filter=response_filter,
            hash_method=hash_method,
        )
        options = MemoizeOptions(
            make_name=make_name,
            unless=unless,
            forced_update=forced_update,
            is_stale=is_stale,
            response_filter=response_filter,
            hash_method=hash_method,
            cache_none=cache_none,
            source_check=source_check,
            args_to_ignore=names_of(args_to_ignore or (), "args_to_ignore") or (),
            store_cookies=store_cookies,
        )

        def decorator(function: Callable[P, R]) -> MemoizedFunction[P, R]:
            check_function(function, "memoize")
            policy = MemoizePolicy(self, function, options)
            decorated = policy.decorate(timeout)
            # Weakly, or the function would keep itself alive.
            reference = weakref.ref(decorated)
            decorated.delete_memoized = lambda: self.delete_memoized(reference())
            self._remember(decorated, policy)
            return cast("MemoizedFunction[P, R]", decorated)

        return decorator

    def _remember(self, decorated: Any, policy: Policy) -> None:
        self._registry.add(decorated, policy)
        for app in self._apps:
            warn_if_above_route(app, [policy])

    # Explaining.

    def explain(
        self,
        url: str,
        method: str = "GET",
        headers: SentHeaders | None = None,
        **environ: Any,
    ) -> KeyExplanation:
        """The key of a request, what it is made of, or why there is none.

        Matches the URL and calls the key maker that the view really uses, without running the
        view. Needs no context where this cache serves one application. Nothing that the
        application's own code raises in there is raised; it is the explanation's reason.

        Not run are the view, ``before_request`` functions, decorators above the cache, and WSGI
        middleware; the explanation's notes say so where it may matter. Run are
        ``url_value_preprocessor`` functions, ``unless=`` and ``forced_update=``, and, for a key
        maker that is given the object of a view class, the constructor of that. Inside a
        context of the application ``flask.g`` is what that context has, and no teardown function
        runs; elsewhere they do, as after any request.

        Args:
            url: A path below the script root with an optional query string; or an absolute URL,
                script root included, as a browser shows it.
            method: Request method.
            headers: Request headers: a mapping, or pairs.
            environ: Anything else :class:`werkzeug.test.EnvironBuilder` takes (``data``,
                ``json``, ``base_url``, ...). The peer is 127.0.0.1 unless ``environ_base`` has
                another ``REMOTE_ADDR``.
        """
        return explain_request(self.app, self._registry.at, url, method, headers, environ)

    def explain_call(self, function: Any, *args: Any, **kwargs: Any) -> KeyExplanation:
        """The key of a call of a memoized function or a cached helper; see :meth:`explain`.

        For a cached view, that of its first URL for these arguments.

        Args:
            function: The decorated function; a bound method brings its instance, and a partial
                its arguments.
            args: The call's positional arguments.
            kwargs: The call's keyword arguments.

        Raises:
            TypeError: If this cache did not decorate it.
        """
        found: list[Way[Policy]] = ways(function, self._registry.at)
        found = found or [Way(self._registry.of(function))]
        return explain_call(found, args, kwargs)

    def stats(self) -> Mapping[str, Any]:
        """What the current application's observer has counted, as plain data."""
        return self.state().observer.stats()
