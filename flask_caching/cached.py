"""``@cached``: what a cached view, or a cached helper, is.

The same decorator serves both. The view that the current request matched has a method rule, a
request for identity and a response to judge; any other function is a helper: its identity is
the function and its arguments, under any method, and it needs no request if its key needs
none.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, cast

from werkzeug.exceptions import HTTPException

from .arguments import Binder, witness_arguments
from .contexts import current_request
from .driving import Pending, Step
from .elsewhere import Found, call_key, keys_elsewhere
from .entry import Entry, Witness
from .errors import CacheError, UncacheableArgument
from .explain import explain_cached_call, explain_view
from .keys import KeyExplanation, KeySpec, source_of, view_key
from .lookup import warn_once
from .observer import Load, Lookup, Target
from .options import CachedOptions, StateProvider
from .policy import DecoratorPolicy
from .query import Query
from .reads import note, watching
from .requests import (
    NO_REQUEST,
    RUNNING,
    cache_status,
    indicate,
    is_call_of,
    request_witness,
)
from .responses import Admission, admit, admit_value
from .signals import cache_view_hit, cache_view_miss, send
from .state import AppState
from .typing import QueryArgs
from .utils import dotted_name, get_arg_names
from .views import endpoints_of, is_behind
from .ways import Way

__all__ = ["CachedPolicy"]


class CachedPolicy(DecoratorPolicy):
    """The policy behind one function that ``@cached`` decorates.

    Args:
        cache: Finds the application's cache at each call.
        function: The view or helper.
        options: The decorator's arguments.
    """

    def __init__(
        self,
        cache: StateProvider,
        function: Callable[..., Any],
        options: CachedOptions,
    ) -> None:
        self.name = dotted_name(function)
        target = Target("view", self.name)
        super().__init__(cache, function, target, options, options.collisions)
        self.options = options
        self.binder = Binder(function)
        self._argument_names = [
            name for name in get_arg_names(function) if name not in ("self", "cls")
        ]
        # Both weakly: a function of a module outlives the applications of a factory.
        self._specs: tuple[Callable[[], Any], KeySpec, KeySpec] = (_nothing, KeySpec(), KeySpec())
        #: The view that was asked about last, and the answer: most callables serve one.
        self._last_view: tuple[Callable[[], Any], str | None, Target] = (_nothing, "", self.target)
        #: A target for each endpoint that leads here.
        self._endpoints: dict[str, Target] = {}

    # A call.

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Pending:
        state = self.cache.state_for_call()
        if state is None:
            return self.bypass(None, "no_application")
        request = current_request()
        target = self.target if request is None else self.target_of(state, request)
        if state.switch.off and state.off():
            return self._bypass(state, target, "disabled")
        if self.unless is not None and self.unless(args, kwargs):
            return self._bypass(state, target, "unless")
        if request is None or (target is self.target and not self.follows_path()):
            query = self._helper_query(state, request, args, kwargs)
        else:
            query = self._view_query(state, request, target, args, kwargs)
        if isinstance(query, str):
            return self._bypass(state, target, query)
        lookup = Lookup(state.observer, target)
        if self.forced is not None and self.forced(args, kwargs):
            return Pending(self.force(state, query, lookup))
        return self.look(state, query, lookup)

    def run_function(self, query: Query, load: Load) -> Generator[Step, Any, Any]:
        try:
            if query.request is None:
                value = yield "call"
                query.returned = isinstance(value, HTTPException)
                return value
            running = query.request.__dict__.setdefault(RUNNING, [])
            running.append(self)
            with watching(query.request) as seen:
                try:
                    value = yield "call"
                finally:
                    query.reads = frozenset(seen)
                    running.remove(self)
            # One that is returned is a response to Flask; only what is raised is handled.
            if isinstance(value, HTTPException):
                return value.get_response(query.request.environ)
            return value
        except HTTPException as error:
            # ``abort()`` is an answer like any other: judged, stored, and raised again.
            load.raised = error
            return error

    def finished(self, state: AppState, query: Query, lookup: Lookup, value: Any) -> Any:
        if self.options.response_hit_indication:
            indicate(cache_status(query, lookup), lookup.outcome == "hit")
        entry = query.entry
        if entry is not None and entry.reads and query.request is not None:
            # For a cache around this one: its page depends on what this one's read.
            note(query.request, entry.reads)
        if isinstance(value, HTTPException) and not query.returned:
            raise value
        return value

    def _bypass(self, state: AppState, target: Target, reason: str) -> Pending:
        if self.options.response_hit_indication:
            indicate(f"flask-caching; fwd={'method' if reason == 'method' else 'bypass'}", False)
        return self.bypass(state, reason, target)

    def signal(self, query: Query, lookup: Lookup) -> None:
        send(
            cache_view_hit if lookup.outcome == "hit" else cache_view_miss,
            cache=self.cache,
            cache_key=query.key,
            args=query.args,
            kwargs=query.kwargs,
        )

    # What is asked for.

    def _view_query(
        self,
        state: AppState,
        request: Any,
        target: Target,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Query | str:
        """What a request to this view asks the store for, or why it does not ask.

        A function whose key is the request's path is treated alike, even if it is not known to
        be the view: it may be one behind a wrapper that hides it.
        """
        method = request.method
        custom = self.custom_key()
        if custom is None and method not in self.options.methods:
            return "method"
        is_view = target is not self.target
        # Flask calls a view with exactly these; anything else wants a closer look.
        odd = args or kwargs != request.view_args
        if odd and is_view and self._is_another_call(request, args, kwargs):
            return "nested"
        try:
            if custom is None:
                specs = self._specs
                spec = specs[1] if specs[0]() is state else self.spec(state, for_view=True)
                key = view_key(spec, request)
            else:
                key = custom(*args, **kwargs)
        except UncacheableArgument as error:
            warn_once(f"{self.name} runs uncached: {error}")
            return "uncacheable_argument"
        if type(key) is not str:
            if key is None:
                return "no_key"
            key = str(key)
        witness = request_witness(request, target.name)
        if not is_view:
            witness = witness._replace(arguments=self._call_witness(args, kwargs))
        query = Query(key, witness, args, kwargs)
        query.request = request
        if method == "HEAD":
            query.refusal = "head"
        return query

    def _helper_query(
        self, state: AppState, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Query | str:
        """What a call that is not the matched view's asks for, or why it does not ask."""
        custom = self.custom_key()
        try:
            if custom is not None:
                key = custom(*args, **kwargs)
            else:
                spec = self.spec(state, for_view=False)
                if request is None and spec.needs_request:
                    return "no_request"
                key = view_key(spec, NO_REQUEST if request is None else request)
            if key is None:
                return "no_key"
            witness = Witness(self.name, self._call_witness(args, kwargs), "", "", "")
        except UncacheableArgument as error:
            warn_once(f"{self.name} runs uncached: {error}")
            return "uncacheable_argument"
        return Query(str(key), witness, args, kwargs)

    def follows_path(self) -> bool:
        """Whether the key is made of the request's path."""
        prefix = self.options.key_prefix
        return isinstance(prefix, str) and "%s" in prefix and self.custom_key() is None

    def _is_another_call(self, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the view is called for something else than what the request asked for.

        By itself, by a ``before_request`` function, by an error handler: the request's path is
        not the key of that. Arguments that a decorator above replaced (a number by its object)
        do not count.
        """
        asked = request.view_args
        if kwargs == asked and len(args) <= self.binder.takes_self:
            return False
        positional = args[1:] if self.binder.takes_self else args
        given = {**dict(zip(self._argument_names, positional, strict=False)), **kwargs}
        if given.keys() != (asked or {}).keys():
            return self in request.__dict__.get(RUNNING, ())
        return any(
            type(value) is type(asked[name]) and value != asked[name]
            for name, value in given.items()
        )

    def _call_witness(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """The identity of a helper's call, however its arguments were passed."""
        if not (args or kwargs):
            return ()
        try:
            return witness_arguments(self.binder.bind(args, kwargs), {})
        except TypeError:
            # The call does not fit: the function will say so.
            return witness_arguments(args, kwargs)

    def target_of(self, state: AppState, request: Any) -> Target:
        """The endpoint that a request matched, if this is its view, decorators aside.

        Returns:
            The endpoint's target; the function's own for a request to another view.
        """
        # As ``request.endpoint``, which would be one more call on every hit.
        rule = request.url_rule
        endpoint: Any = None if rule is None else rule.endpoint
        view = state.view_functions.get(endpoint)
        last_view, last_endpoint, target = self._last_view
        if last_view() is view and endpoint == last_endpoint:
            return target
        target = self.target
        if view is not None and is_behind(view, self._decorated()):
            target = self.target_at(endpoint)
        try:
            self._last_view = (weakref.ref(view), endpoint, target)
        except TypeError:
            # No view, or an object that cannot be referenced weakly: found out each time.
            self._last_view = (_nothing, "", self.target)
        return target

    def target_at(self, endpoint: str) -> Target:
        """What it is counted under as the view of an endpoint; always the same object."""
        return self._endpoints.setdefault(endpoint, Target("view", endpoint))

    def serves(self, state: AppState, request: Any) -> bool:
        """Whether this is the view that a request matched, decorators aside."""
        return self.target_of(state, request) is not self.target

    def explain(
        self, request: Any, known: KeyExplanation, way: Way[Any], sent: Iterable[str]
    ) -> KeyExplanation:
        """The key of a matched request to this view."""
        return explain_view(self, self.cache.state(), request, known, way, sent)

    def explain_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> KeyExplanation:
        """The key of a call of this helper."""
        return explain_cached_call(self, self.cache.state(), args, kwargs)

    def custom_key(self) -> Callable[..., Any] | None:
        """The application's own key maker: assigned to the function, or given to the decorator."""
        # As assigned_key(), which would be one more call on every hit.
        decorated = self._decorated()
        assigned = self._default_make if decorated is None else decorated.make_cache_key
        return assigned if assigned is not self._default_make else self.options.make_cache_key

    def spec(self, state: AppState, *, for_view: bool) -> KeySpec:
        """What the key is made of under one application's configuration."""
        specs = self._specs
        if specs[0]() is not state:
            reference = weakref.ref(state)
            specs = (reference, self._new_spec(state, True), self._new_spec(state, False))
            self._specs = specs
        return specs[1] if for_view else specs[2]

    def _new_spec(self, state: AppState, for_view: bool) -> KeySpec:
        options, config = self.options, state.config
        checks = config.source_check if options.source_check is None else options.source_check
        return KeySpec(
            prefix=options.key_prefix,
            query=options.query_string,
            ignore_query=frozenset(options.ignore_query),
            vary=options.vary,
            strategy=config.key_strategy if for_view else "compatible",
            source=source_of(self.function) if checks else "",
            hash_method=options.hash_method or config.hash_method,
            whole_request=for_view,
        )

    # What is stored.

    def admit(self, state: AppState, query: Query, value: Any) -> Admission:
        if query.returned:
            # What is found is raised, as what is stored was.
            return Admission(value, "exception")
        if query.request is None:
            admission = self._admit_with(admit_value, state, value)
        else:
            # A generator's body runs in here.
            with watching(query.request) as seen:
                admission = self._admit_with(admit, state, value)
            query.reads |= seen
        if isinstance(value, HTTPException) and not (admission.reason or revivable(state, value)):
            return admission._replace(reason="serialization")
        return admission

    def _admit_with(
        self, decide: Callable[..., Admission], state: AppState, value: Any
    ) -> Admission:
        options = self.options
        return decide(
            value,
            response_filter=options.response_filter,
            store_cookies=options.store_cookies,
            stream_limit=state.config.stream_limit,
        )

    def query_matters(self) -> bool:
        # A key that has anything to do with the query leaves out of it what it leaves out.
        options = self.options
        return not (
            options.query_string
            or options.ignore_query
            or callable(options.key_prefix)
            or self.custom_key()
        )

    # The key, asked for by name.

    def make_cache_key(
        self,
        *args: Any,
        path: str | None = None,
        query_args: QueryArgs | None = None,
        **kwargs: Any,
    ) -> str:
        """The key of a request, or of a call of a helper.

        Args:
            args: The view's arguments, to build the path of; none inside a request to the view
                itself means that request.
            path: The ``request.path`` to make the key for. Where the function has an argument
                of this name, text that does not begin with a slash is that argument.
            query_args: The query string to make the key for: text, a mapping or pairs.
            kwargs: The view's arguments by name.

        Returns:
            The key; the first URL's where the view has several for these arguments. ``None`` if
            the application's own key maker returns that.
        """
        # The released library passes this one to whatever takes its place.
        kwargs.pop("use_request", None)
        names = get_arg_names(self.function)
        # A request's path begins with a slash, what ``<path:path>`` matched never does.
        if path is not None and "path" in names and not str(path).startswith("/"):
            kwargs["path"], path = path, None
        if query_args is not None and "query_args" in names:
            kwargs["query_args"], query_args = query_args, None
        return cast(str, self.key_of(path, query_args, args, kwargs))

    def key_of(
        self,
        path: str | None,
        query_args: QueryArgs | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> str | None:
        """:meth:`make_cache_key` without its rule about arguments called ``path``."""
        return call_key(self, self.cache.state(), path, query_args, args, kwargs).key

    def keys_of(
        self,
        path: str | None,
        query_args: QueryArgs | None,
        headers: Mapping[str, str] | None,
        kwargs: dict[str, Any],
    ) -> list[str]:
        """The keys of all URLs that a view has for these arguments; one for a helper.

        Args:
            path: See :meth:`make_cache_key`.
            query_args: See :meth:`make_cache_key`.
            headers: Request headers; ``None`` for those of the current request. If the function
                has an argument of this name, it is that.
            kwargs: The function's arguments by name.
        """
        if headers is not None and "headers" in get_arg_names(self.function):
            kwargs, headers = {**kwargs, "headers": headers}, None
        state = self.cache.state()
        request = current_request()
        found: list[Found]
        if request is None or not (path is None and query_args is None and headers is None):
            found = [*keys_elsewhere(self, state, path, query_args, (), kwargs, headers)]
        elif self.serves(state, request) and is_call_of(request, (), kwargs):
            # The request's own key first. It may be one for POST, and other URLs lead here too.
            found = [call_key(self, state, None, None, (), kwargs)]
            kwargs = kwargs or dict(request.view_args or {})
            found += keys_elsewhere(self, state, None, request.args, (), kwargs, besides=request)
        elif endpoints_of(state.view_functions, self._decorated()):
            found = [*keys_elsewhere(self, state, None, None, (), kwargs)]
        else:
            found = [call_key(self, state, None, None, (), kwargs)]
        return list(dict.fromkeys(each.key for each in found if each.key is not None))


def _nothing() -> None:
    """A reference to no object."""


def revivable(state: AppState, error: HTTPException) -> bool:
    """Whether an exception of the application's own survives being stored."""
    try:
        form, payload = state.codec.freeze(error)
        state.codec.thaw(Entry(form, payload, created_at=0.0))
    except CacheError:
        return False
    return True
