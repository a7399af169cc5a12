"""Caches that are in the wrong place: above an auth check, or above the route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask_caching.checks import routed_past
from flask_caching.registry import Policy
from flask_caching.views import inside
from flask_caching.ways import made_by_as_view

from .asking import Answer, MadeUp
from .authnames import auth_check_of
from .checking import Audit
from .clues import Clues, clues_of
from .persons import Shape, identified
from .routes import RouteCheck
from .written import name_of, view_class_of

__all__ = ["check_auth", "check_route_order", "wrappers_below"]

#: How a session may keep a person.
_SHAPES: tuple[Shape, ...] = ("text", "dictionary")

#: The person that is logged in. Whoever a key maker was lent is the first one.
_SECOND = 2


def wrappers_below(function: Any, method: str) -> Iterator[Any]:
    """The decorators' wrappers that a call of a function goes through, itself included.

    Args:
        function: What a cache decorates.
        method: The request's method: of a view class only its own member counts.
    """
    pending, seen = [function], set[int]()
    while pending:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        parts = _members(found, method)
        if not made_by_as_view(found):
            parts += inside(found)
        if parts:
            yield found
        pending.extend(parts)


def _members(found: Any, method: str) -> list[Any]:
    """What a view class's function calls of the class for a method."""
    view_class = view_class_of(found)
    if view_class is None:
        return []
    handler = method.lower()
    if not hasattr(view_class, handler):
        handler = "get"
    members = (getattr(view_class, name, None) for name in ("dispatch_request", handler))
    return [member for member in members if member is not None]


def check_auth(audit: Audit, check: RouteCheck) -> None:
    """Find a cache of a route that is above an auth check."""
    for layer, policy in enumerate(check.route.policies):
        for wrapper in wrappers_below(policy.function, check.route.method):
            name = auth_check_of(wrapper)
            if name:
                _tell_if_shared(audit, check, layer, policy, name, wrapper)
                return


def _tell_if_shared(
    audit: Audit, check: RouteCheck, layer: int, policy: Policy, name: str, wrapper: Any
) -> None:
    base = check.base
    if base is None:
        return
    own = clues_of([wrapper])
    clues = _joined(check.route.clues, own)
    in_key = check.route.by_code and "session" in check.route.clues.names
    if in_key and not audit.asker.signs_sessions():
        audit.note(
            f"whether the key of {check.route.endpoint} depends on who asks is not known: its "
            "sessions cannot be made up"
        )
        return
    pair: tuple[Answer, Answer] | None = None
    for shape in _SHAPES:
        person = identified(base.asked, _SECOND, clues, shape)
        unknown, known = base.at(layer), check.ask_again(person).at(layer)
        if known.ending == "raised":
            continue
        if unknown.key is None or unknown.key != known.key:
            # Who asks makes a difference, or one of the two goes past the cache.
            return
        pair = unknown, known
    if pair is not None:
        shorter = _shorter(check, layer, base.asked, own, pair)
        audit.find(
            "above-auth",
            check.route.endpoint,
            policy,
            f"the cache of {name_of(policy)} is above {name}, which checks only the first visitor",
            answers=shorter,
            about=name,
        )


def _shorter(
    check: RouteCheck, layer: int, base: MadeUp, clues: Clues, pair: tuple[Answer, Answer]
) -> tuple[Answer, Answer]:
    """A pair that is easier to read: someone who says who they are in one way only."""
    by_header = clues.mentions("authorization") or clues.mentions("Authorization")
    if by_header or not check.audit.asker.has_sessions():
        person = base.with_headers(("Authorization", f"Bearer {_SECOND}"))
    else:
        person = base.with_session(("_user_id", str(_SECOND)))
    answer = check.ask_again(person).at(layer)
    return (pair[0], answer) if answer.key == pair[0].key else pair


def _joined(one: Clues, other: Clues) -> Clues:
    return Clues(one.names | other.names, (*one.texts, *other.texts), one.numbers)


def check_route_order(audit: Audit) -> None:
    """Find cached functions that Flask has registered as they were before they were cached."""
    for policy, endpoint in routed_past(audit.place.app, audit.place.registry.policies()):
        audit.find(
            "above-route",
            endpoint,
            policy,
            f"the route of endpoint {endpoint!r} leads past the cache of {name_of(policy)}",
            name=getattr(policy.function, "__name__", "view"),
        )
