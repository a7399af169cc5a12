"""What is audited: the routes of cached views, and the decorated functions that have no route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from werkzeug.routing import Rule

from flask_caching.cached import CachedPolicy
from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy
from flask_caching.views import endpoints_of
from flask_caching.ways import Way, ways

from ..inspection.places import Place
from .asking import MadeUp
from .clues import Clues, clues_of
from .samples import Sample, converters_of, samples_for

__all__ = ["Helper", "Route", "helpers_of", "key_makers", "request_to", "routes_of", "url_of"]

#: Values of an argument that are enough where only the decorator makes the key.
_FEW: Final = 4

#: Methods that Flask answers by itself, or by GET's view.
_BY_FLASK: Final = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Route:
    """One rule that leads to a cached view, for the methods that one policy serves.

    Attributes:
        endpoint: The endpoint.
        rule: The rule.
        methods: The methods that the cache serves, that of the base request first.
        policies: What the request goes through, outermost first.
        samples: Values for each argument.
        clues: Of the code that makes the key.
        by_code: Whether code of the application takes part in the key, so that a few values of an
            input do not say what it does with all others.
    """

    endpoint: str
    rule: Rule
    methods: tuple[str, ...]
    policies: tuple[Policy, ...]
    samples: Mapping[str, Sequence[Sample]]
    clues: Clues
    by_code: bool

    @property
    def method(self) -> str:
        """That of the base request."""
        return self.methods[0]

    def unknown(self) -> list[str]:
        """The arguments that no value can be made up for."""
        return [name for name, samples in self.samples.items() if not samples]


@dataclass(frozen=True)
class Helper:
    """A decorated function that is no view.

    Attributes:
        policy: Its policy.
        decorated: The function as the application calls it.
    """

    policy: Policy
    decorated: Any


def routes_of(place: Place) -> Iterator[Route]:
    """The routes of an application's cached views."""
    for rule in place.app.url_map.iter_rules():
        if rule.build_only or rule.websocket or rule.redirect_to is not None or rule.alias:
            continue
        view = place.app.view_functions.get(rule.endpoint)
        if view is not None:
            yield from _routes(place, rule, view)


def _routes(place: Place, rule: Rule, view: Any) -> Iterator[Route]:
    served: dict[int, tuple[tuple[Policy, ...], list[str]]] = {}
    accepted = sorted((rule.methods or {"GET"}) - _BY_FLASK, key=lambda name: (name != "GET", name))
    for method in accepted:
        through: list[Way[Policy]] = ways(view, place.registry.at, method)
        found = tuple(way.policy for way in through)
        if found and _serves(found[0], method):
            served.setdefault(id(found[0]), (found, []))[1].append(method)
    for policies, methods in served.values():
        makers = [maker for policy in policies for maker in key_makers(policy)]
        # A memoized view's key is made of what its arguments say of themselves.
        by_code = bool(makers) or any(isinstance(policy, MemoizePolicy) for policy in policies)
        clues = clues_of(makers)
        extra = [*clues.texts, *map(str, clues.numbers)]
        samples = {
            name: samples_for(converter, extra)[: None if by_code else _FEW]
            for name, converter in converters_of(rule).items()
        }
        endpoint = str(rule.endpoint)
        yield Route(endpoint, rule, tuple(methods), policies, samples, clues, by_code)


def _serves(policy: Policy, method: str) -> bool:
    """Whether the cache answers a method."""
    if isinstance(policy, MemoizePolicy) or policy.custom_key() is not None:
        return True
    return method in policy.options.methods


def helpers_of(place: Place) -> list[Helper]:
    """The decorated functions that are no views of the application."""
    views = place.app.view_functions
    found: list[Helper] = []
    for policy in place.registry.policies():
        decorated = policy.decorated()
        if decorated is not None and not endpoints_of(views, decorated):
            found.append(Helper(policy, decorated))
    return found


def key_makers(policy: Policy) -> list[Any]:
    """The functions of the application that take part in a key, and those that say when."""
    options = policy.options
    makers: list[Any] = [options.unless, options.forced_update]
    if isinstance(policy, CachedPolicy):
        asked: list[Any] = [policy.options.key_prefix, *policy.options.vary]
        makers += [policy.custom_key(), *filter(callable, asked)]
    else:
        makers += [policy.assigned_key(), policy.options.make_name]
    return [maker for maker in makers if maker is not None]


# Requests.


def request_to(route: Route, app: Flask, values: Mapping[str, Sample]) -> MadeUp | None:
    """A request that leads to a route with these arguments; ``None`` if none can be built."""
    url = url_of(route.rule, app, values)
    return None if url is None else MadeUp(url, route.method)


def url_of(rule: Rule, app: Flask, values: Mapping[str, Sample]) -> str | None:
    """The URL of a rule with these arguments: a path, or absolute for a host of its own."""
    try:
        built = rule.build(
            {name: sample.value for name, sample in values.items()}, append_unknown=False
        )
    except Exception:
        # A converter of the application's own may raise anything.
        return None
    if built is None:
        return None
    domain, path = built
    host = _host(app, domain)
    return f"http://{host}{path}" if host else path


def _host(app: Flask, domain: str) -> str:
    """The host of a rule; empty for the application's own."""
    config: dict[str, Any] = dict(app.config)
    name: str = config.get("SERVER_NAME") or "localhost"
    if getattr(app.url_map, "host_matching", False):
        return domain
    if domain and getattr(app, "subdomain_matching", False):
        return f"{domain}.{name}"
    return ""
