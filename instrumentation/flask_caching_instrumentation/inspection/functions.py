"""The functions that a cache decorated, and how they fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Literal, NamedTuple

from werkzeug.routing import Rule

from flask_caching.cached import CachedPolicy
from flask_caching.options import CachedOptions, MemoizeOptions
from flask_caching.registry import Policy
from flask_caching.utils import dotted_name
from flask_caching.views import endpoints_of

from ..relay import observer_of
from .misuse import warnings_of
from .model import FunctionRow
from .overview import counts_of
from .places import Place
from .sources import place_in_source, spelled

__all__ = ["functions_of"]

#: The arguments of the decorators that say what a key is made of.
_OF_KEY: Final = (
    "key_prefix",
    "query_string",
    "ignore_query",
    "vary",
    "make_name",
    "args_to_ignore",
    "source_check",
    "hash_method",
)

Tree = Mapping[str, Any]


class _Known(NamedTuple):
    """What a row is made of.

    Attributes:
        policy: The function's policy.
        endpoints: That lead to it.
        rules: Theirs.
        targets: What was counted for it, one tree for each name that it is counted under.
    """

    policy: Policy
    endpoints: Sequence[str]
    rules: Sequence[Rule]
    targets: Sequence[Tree]


def functions_of(place: Place) -> list[FunctionRow]:
    """A row for each decorated function, by name; see :meth:`.inspector.Inspector.functions`."""
    counted: Tree = observer_of(place.state).stats().get("targets", {})
    rows = [_row(place, _know(place, policy, counted)) for policy in place.registry.policies()]
    return sorted(rows, key=lambda row: (row.name, row.line or 0))


def _know(place: Place, policy: Policy, counted: Tree) -> _Known:
    views = place.app.view_functions
    endpoints = endpoints_of(views, policy.decorated())
    rules = [rule for rule in place.app.url_map.iter_rules() if rule.endpoint in endpoints]
    if isinstance(policy, CachedPolicy):
        under, names = counted.get("view", {}), [*endpoints, policy.name]
    else:
        under, names = counted.get("memoize", {}), [policy.target.name]
    return _Known(policy, endpoints, rules, [under[name] for name in names if name in under])


def _row(place: Place, known: _Known) -> FunctionRow:
    policy = known.policy
    source = place_in_source(place.app, policy.function)
    lookups: dict[str, float] = {}
    distinct: dict[str, int] = {}
    loads, seconds, saved = 0, 0.0, 0.0
    for tree in known.targets:
        for outcome, number in tree["lookups"].items():
            lookups[outcome] = lookups.get(outcome, 0) + number
        for window, number in tree.get("distinct_keys", {}).items():
            distinct[window] = distinct.get(window, 0) + number
        for timing in tree["loads"].values():
            loads, seconds = loads + timing["count"], seconds + timing["seconds"]
        saved += tree["saved_seconds"]
    timeout = policy.timeout()
    return FunctionRow(
        name=dotted_name(policy.function),
        kind=_kind(known),
        file=source.file,
        line=source.line,
        endpoints=known.endpoints,
        rules=[rule.rule for rule in known.rules],
        methods=_methods(known),
        timeout_seconds=place.state.config.default_timeout if timeout is None else timeout,
        key=_key(place, policy),
        options=_written(policy, _names(policy, of_key=False)),
        counts=counts_of(lookups),
        mean_load_seconds=seconds / loads if loads else None,
        saved_seconds=saved,
        distinct_keys=distinct,
        warnings=warnings_of(place, policy, known.endpoints, known.rules),
    )


def _kind(known: _Known) -> Literal["view", "helper", "memoize"]:
    if not isinstance(known.policy, CachedPolicy):
        return "memoize"
    return "view" if known.endpoints else "helper"


def _methods(known: _Known) -> list[str]:
    """The request methods that the cache serves: those of a custom key are the routes' own."""
    policy = known.policy
    if not isinstance(policy, CachedPolicy) or not known.endpoints:
        return []
    if policy.custom_key() is None:
        return sorted(policy.options.methods)
    return sorted({method for rule in known.rules for method in rule.methods or ()} - {"OPTIONS"})


def _key(place: Place, policy: Policy) -> str:
    """How a key is made, as one would write it in code."""
    assigned = policy.assigned_key()
    if assigned is not None:
        return f"{policy.function.__name__}.make_cache_key = {spelled(assigned)}"
    written = _written(policy, _names(policy, of_key=True))
    if not isinstance(policy, CachedPolicy):
        ignored = policy.options.args_to_ignore
        names = [name for name in policy.binder.parameters if name not in ignored]
        return ", ".join([f"its arguments ({', '.join(names)})", *written])
    if policy.options.make_cache_key is not None:
        return f"make_cache_key={spelled(policy.options.make_cache_key)}"
    if not any(each.startswith("key_prefix=") for each in written):
        # The default is shown too: it says that the path makes the key.
        written.insert(0, f"key_prefix={spelled(policy.options.key_prefix)}")
    if place.state.config.key_strategy == "strict":
        written.append('CACHE_KEY_STRATEGY="strict"')
    return ", ".join(written)


def _names(policy: Policy, *, of_key: bool) -> list[str]:
    """The names of a decorator's arguments: of those that make the key, or of the others."""
    names = [each.name for each in fields(policy.options)]
    return [name for name in names if (name in _OF_KEY) == of_key and name != "make_cache_key"]


def _written(policy: Policy, names: Sequence[str]) -> list[str]:
    """Those of a decorator's arguments that are not the default, as one would write them."""
    options = policy.options
    defaults: Any = CachedOptions() if isinstance(options, CachedOptions) else MemoizeOptions()
    return [
        f"{name}={spelled(getattr(options, name))}"
        for name in names
        if getattr(options, name) != getattr(defaults, name)
    ]
