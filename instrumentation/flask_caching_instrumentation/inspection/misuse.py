"""What looks wrong about a decorated function, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from werkzeug.routing import Rule

from flask_caching.cached import CachedPolicy
from flask_caching.checks import routed_past
from flask_caching.registry import Policy

from .places import Place

__all__ = ["warnings_of"]


def warnings_of(
    place: Place, policy: Policy, endpoints: Sequence[str], rules: Sequence[Rule]
) -> list[str]:
    """What looks wrong about a function.

    Args:
        place: The cache.
        policy: The function's policy.
        endpoints: That lead to it.
        rules: Theirs.
    """
    found = [*_above_route(place, policy)]
    if isinstance(policy, CachedPolicy) and policy.custom_key() is None:
        found += _constant(place, policy, rules)
        found += _never_served(policy, rules)
        if not endpoints and not found and policy.options.key_prefix == "view/%s":
            found.append(
                "No route leads to it, and its key is the path of whatever request it is called "
                "in: two functions called in one request would share a key. Give it a key of its "
                "own: key_prefix='...'."
            )
    return found


def _above_route(place: Place, policy: Policy) -> Iterator[str]:
    for _, endpoint in routed_past(place.app, [policy]):
        yield (
            f"The route of endpoint {endpoint!r} leads past its cache, so that it is never cached: "
            "put the cache's decorator below @app.route(), next to the function."
        )


def _constant(place: Place, policy: CachedPolicy, rules: Sequence[Rule]) -> Iterator[str]:
    """A key that is the same for different requests."""
    prefix = policy.options.key_prefix
    if not isinstance(prefix, str) or policy.spec(place.state, for_view=True).needs_path:
        return
    for rule in rules:
        arguments: set[str] = cast(Any, rule).arguments
        if arguments:
            names = " and ".join(sorted(arguments))
            yield (
                f"key_prefix={prefix!r} is one key for every {names} of {rule.rule}: each gets "
                f"the page of the first. Write key_prefix={prefix + '/%s'!r}, where %s is the "
                "path."
            )
            return
    paths = sorted({rule.rule for rule in rules})
    if len(paths) > 1:
        yield (
            f"key_prefix={prefix!r} is one key for {' and '.join(paths)}. If they are not the same "
            f"page, write key_prefix={prefix + '/%s'!r}, where %s is the path."
        )


def _never_served(policy: CachedPolicy, rules: Sequence[Rule]) -> Iterator[str]:
    methods = {method for rule in rules for method in rule.methods or ()} - {"OPTIONS"}
    if methods and not methods & policy.options.methods:
        yield (
            f"Its routes accept {', '.join(sorted(methods))}, its cache serves "
            f"{', '.join(sorted(policy.options.methods))}: it is never cached. Name the methods "
            "in methods=, which makes the body a part of the key."
        )
