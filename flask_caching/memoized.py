"""``@memoize``: what a memoized function is, its versions, and how they are deleted.

The key of a call is ``memo/<module.qualname>/<hash>``: the hash is of the function's identity
and of its arguments in canonical form. Versions are not part of it. Each function has a
version in the store, and so has each instance whose methods are memoized; an entry holds the
versions it was made under, and is a hit only while they are the current ones. So one read of
``[versions..., value]`` finds out, forgetting everything is writing one new version, and a
value computed before that is never served after it.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .arguments import Binder, encode, identify, instance_token
from .driving import Pending
from .elsewhere import Found, custom_key
from .errors import UncacheableArgument
from .explain import missing, named_arguments, raised, with_bypass, with_key
from .explanation import KeyExplanation, changed
from .keys import KeyPart, KeySpec, called, digest, frame, source_of
from .lookup import warn_once
from .observer import Lookup, Target
from .options import MemoizeOptions, StateProvider
from .policy import DecoratorPolicy
from .query import Query, new_version
from .responses import Admission, admit_value
from .signals import cache_memoize_hit, cache_memoize_miss, send
from .state import AppState
from .typing import HashMethod
from .utils import dotted_name, function_name
from .ways import Way

__all__ = ["MemoizePolicy"]


class MemoizePolicy(DecoratorPolicy):
    """The policy behind one function that ``@memoize`` decorates.

    Args:
        cache: Finds the application's cache at each call.
        function: The function or method.
        options: The decorator's arguments.
    """

    def __init__(
        self, cache: StateProvider, function: Callable[..., Any], options: MemoizeOptions
    ) -> None:
        super().__init__(cache, function, Target("memoize", dotted_name(function)), options)
        self.options = options
        self.name = function_name(function)
        self.identity = identify(function)
        self.binder = Binder(function, options.args_to_ignore)
        #: Whether each instance has a version of its own.
        self.per_instance = self.binder.takes_self and "self" not in options.args_to_ignore
        self._function_version = f"{self.name}_memver"
        #: For one application, what is the same in every key, and what hashes it. Weakly: a
        #: function of a module outlives the applications of a factory.
        self._framed: tuple[weakref.ref[AppState], bytes, HashMethod] | None = None

    # A call.

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | Pending:
        state = self.cache.state_for_call()
        if state is None:
            return self.bypass(None, "no_application")
        if state.switch.off and state.off():
            return self.bypass(state, "disabled")
        if self.unless is not None and self.unless(args, kwargs):
            return self.bypass(state, "unless")
        try:
            query = self._query(state, args, kwargs)
        except UncacheableArgument as error:
            warn_once(f"{self.name} runs uncached: {error}")
            return self.bypass(state, "uncacheable_argument")
        if query is None:
            return self.bypass(state, "no_key")
        lookup = Lookup(state.observer, self.target)
        if self.forced is not None and self.forced(args, kwargs):
            return Pending(self.force(state, query, lookup))
        return self.look(state, query, lookup)

    def signal(self, query: Query, lookup: Lookup) -> None:
        send(
            cache_memoize_hit if lookup.outcome == "hit" else cache_memoize_miss,
            cache=self.cache,
            cache_key=query.key,
            f=self.function,
            args=query.args,
            kwargs=query.kwargs,
        )

    def _query(
        self, state: AppState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Query | None:
        custom = self.assigned_key()
        if custom is None:
            key = self.key(state, args, kwargs)
        else:
            key = custom(self.function, *args, **kwargs)
            if key is None:
                return None
            key = str(key)
        query = Query(key, None, args, kwargs)
        query.version_keys = self.version_keys(args)
        return query

    # The key.

    def key(self, state: AppState, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The key of a call.

        Raises:
            UncacheableArgument: If an argument has no identity.
        """
        framed = self._framed
        if framed is None or framed[0]() is not state:
            hash_method = self.options.hash_method or state.config.hash_method
            framed = (weakref.ref(state), self._frame(state, hash_method), hash_method)
            self._framed = framed
        _, identity, hash_method = framed
        name = self.name
        if self.options.make_name is not None:
            # Asked at each call: applications put the user or the language into it.
            name = self.options.make_name(name)
            identity = frame(name) + identity
        encoded = self.binder.encode_plain(args, kwargs)
        if encoded is None:
            encoded = self._encoded(args, kwargs, state.config.key_strategy == "strict")
        return f"memo/{name}/{digest(identity + encoded, hash_method)}"

    def _encoded(self, args: tuple[Any, ...], kwargs: dict[str, Any], strict: bool) -> bytes:
        try:
            return self.binder.encode(args, kwargs, strict=strict).data
        except UncacheableArgument:
            raise
        except TypeError:
            # The call does not fit the signature: the function will say so itself, unless a
            # decorator below shows a signature that is not the one it takes.
            return encode((args, kwargs), strict=strict).data

    def _frame(self, state: AppState, hash_method: HashMethod) -> bytes:
        """What is the same in every key of the function under one application, hashed once."""
        source = self._source(state)
        return digest(frame(self.identity.data) + frame(source), hash_method).encode()

    def _source(self, state: AppState) -> str:
        """The function's source, where it is part of the key."""
        checks = self.options.source_check
        checks = state.config.source_check if checks is None else checks
        return source_of(self.function) if checks else ""

    def make_cache_key(self, function: Any, *args: Any, **kwargs: Any) -> str:
        """The key of a call.

        Args:
            function: The undecorated function, as the released library has it; not used.
            args: The call's positional arguments, the instance of a method included.
            kwargs: The call's keyword arguments.
        """
        self._check_receiver(args)
        return self.key(self.cache.state(), args, kwargs)

    def _check_receiver(self, args: Sequence[Any]) -> None:
        """A method's call needs its receiver, without which the key would be another one."""
        binder = self.binder
        if binder.takes_cls and not (args and inspect.isclass(args[0])):
            raise ValueError(f"{self.name} is a class method: pass the class as the first argument")
        if binder.takes_self and not args and "self" not in self.options.args_to_ignore:
            raise ValueError(f"{self.name} is a method: pass the instance as the first argument")

    def explain(
        self, request: Any, known: KeyExplanation, way: Way[Any], sent: Iterable[str]
    ) -> KeyExplanation:
        """The key of a matched request to a memoized view."""
        try:
            args, kwargs = way.call((), known.arguments)
            call = self.explain_call(args, kwargs)
            again = call
            if way.makes_object and self.per_instance:
                again = self.explain_call(*way.call((), known.arguments))
        except Exception as error:
            return changed(known, function=self.name, reason=raised(error))
        notes = (*known.notes, *call.notes)
        if again.key != call.key:
            notes += ("each request has a view object of its own, so that no other has this key",)
        lacks = missing(KeySpec(), request, {}, sent) if call.parts and call.key else ()
        return changed(
            call,
            endpoint=known.endpoint,
            rule=known.rule,
            method=known.method,
            url=known.url,
            arguments=known.arguments,
            notes=notes,
            missing=() if self.assigned_key() else tuple(lacks),
        )

    def explain_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> KeyExplanation:
        """The key of a call, and what it is made of."""
        state = self.cache.state()
        named = named_arguments(self.function, args, kwargs)
        known = KeyExplanation(None, function=self.name, arguments=named)
        if self.assigned_key() is None:
            known = changed(known, parts=self._parts(state, args, kwargs))
        known = with_bypass(known, self, state, args, kwargs)
        if known.reason:
            return known
        known = with_key(known, lambda: self._found(state, args, kwargs), "make_cache_key")
        if known.key is None or self.assigned_key() is not None:
            return known
        return changed(known, notes=(*known.notes, *self._identity_notes(args, kwargs)))

    def _parts(
        self, state: AppState, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[KeyPart, ...]:
        described = self.binder.describe(args, kwargs)
        parts = [KeyPart("function", self.name, "module and qualified name")]
        parts += [KeyPart(name, text, "argument") for name, text in described]
        source = self._source(state)
        if source:
            parts.append(KeyPart("source", f"{len(source)} characters", "source_check"))
        return tuple(parts)

    def _found(self, state: AppState, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Found:
        custom = self.assigned_key()
        if custom is not None:
            return custom_key(custom, (self.function, *args), kwargs)
        self._check_receiver(args)
        key = self.key(state, args, kwargs)
        function, *parts = self._parts(state, args, kwargs)
        if self.options.make_name is not None:
            name = key.removeprefix("memo/").rpartition("/")[0]
            function = KeyPart("function", name, f"{called(self.options.make_name)}()")
        return Found(key, (function, *parts))

    def _identity_notes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
        """What there is to know about how the arguments are told from others."""
        try:
            findings = self.binder.encode(args, kwargs).findings
        except TypeError as error:
            yield f"the call does not fit the function: {error}"
            return
        for path, kind, type_name in dict.fromkeys(findings):
            if kind == "address":
                yield (
                    f"{path} ({type_name}) is nothing but this object: no other process, and no "
                    "other object, has this key"
                )
            else:
                yield f"{path} ({type_name}) is told from others by its {kind}"

    # What is stored.

    def admit(self, state: AppState, query: Query, value: Any) -> Admission:
        return admit_value(
            value,
            response_filter=self.options.response_filter,
            store_cookies=self.options.store_cookies,
            stream_limit=state.config.stream_limit,
        )

    # Versions.

    def version_keys(self, args: Sequence[Any]) -> tuple[str, ...]:
        """The keys of the versions that a call's value depends on."""
        if not self.per_instance or not args:
            return (self._function_version,)
        return (self._function_version, f"{self.name}.{instance_token(args[0])}_memver")

    def renew(self, state: AppState, key: str) -> None:
        """Give a version key a new version: what was made under the old one is never found."""
        state.entries.set_entry(key, new_version(state.version_expiry(self.timeout())))
