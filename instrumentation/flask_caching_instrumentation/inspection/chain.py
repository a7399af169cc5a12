"""The decorators on a view, found without calling any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MethodType
from typing import Any, Literal

import flask.views

from flask_caching.cached import CachedPolicy
from flask_caching.registry import Policy
from flask_caching.views import callables_behind, innermost, inside
from flask_caching.ways import Way, decorator_name

from .model import Decorator
from .places import Place
from .sources import place_in_source

__all__ = ["decorators_of"]


def decorators_of(place: Place, view: Any, found: Sequence[Way[Policy]]) -> list[Decorator]:
    """The decorators that a request goes through on its way into a view, the outermost first.

    Args:
        place: The cache.
        view: The view function.
        found: The ways to the caches on it.
    """
    function = _bottom(found[-1].policy.function if found else view)
    shown: list[Decorator] = []
    role: Literal["above", "below"] = "above"
    for part in _leading_to(view, function):
        policy = place.registry.at(part)
        if policy is not None:
            name = "cached" if isinstance(policy, CachedPolicy) else "memoize"
            where = str(place_in_source(place.app, policy.function))
            shown.append(Decorator(name, "cache", where))
            role = "below"
        else:
            where = str(place_in_source(place.app, part))
            shown.append(Decorator(decorator_name(part), role, where))
    return shown


def _bottom(function: Any) -> Any:
    """What is left of a function without its decorators, those included that do not say so."""
    function = innermost(function)
    seen = {id(function)}
    while True:
        held = [innermost(part) for part in inside(function)]
        # One that holds itself calls itself.
        if len(held) != 1 or id(held[0]) in seen:
            return function
        function = held[0]
        seen.add(id(function))


def _leading_to(view: Any, function: Any) -> Iterator[Any]:
    """Wrappers around a function, the outermost first."""
    for part in callables_behind(view):
        if part is function or type(part) in (MethodType, classmethod, staticmethod):
            continue
        if getattr(part, "__globals__", None) is vars(flask.views):
            # What ``as_view`` made is no decorator, though one around it has its attributes.
            continue
        if any(inner is function for inner in callables_behind(part)):
            yield part
