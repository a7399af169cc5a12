"""What a key belongs to, as far as its text tells.

Keys of memoized functions, of their versions and of template fragments say it themselves. A view's
key has its path, which the application's routes tell the endpoint of; a constant ``key_prefix`` is
that of the function that was given it. What was seen lately in this process knows better than all
of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException, MethodNotAllowed

from flask_caching.cached import CachedPolicy
from flask_caching.memoized import MemoizePolicy
from flask_caching.views import endpoints_of

from .model import KeyKind
from .places import Place

__all__ = ["Belongs", "Names", "Routes"]

_MEMOIZED = re.compile(r"memo/(?P<name>.+)/[0-9a-f]{8,40}", re.DOTALL)
_VERSION = re.compile(r"(?P<name>.+?)(?:\.[0-9a-f]{32})?_memver", re.DOTALL)
_FRAGMENT = "_template_fragment_cache_"
#: The hash of what else a view's key is made of.
_HASH = re.compile(r"#[0-9a-f]{8,40}\Z")

#: What stands for the variable part of a host in a rule.
_VARIABLE = re.compile(r"<[^<>]*>")


class Belongs(NamedTuple):
    """What a key belongs to: the kind, and the endpoint, function or fragment if it is known."""

    kind: KeyKind
    target: str = ""


class Routes:
    """Finds the endpoint of a path, whichever host it is for; remembers what it found.

    Args:
        place: The cache.
    """

    def __init__(self, place: Place) -> None:
        self._adapters = [
            place.app.url_map.bind(host, **options) for host, options in _hosts(place)
        ]
        self._found: dict[str, tuple[str, dict[str, Any]] | None] = {}

    def match(self, path: str) -> tuple[str, dict[str, Any]] | None:
        """The endpoint and the arguments of a path; ``None`` if none or several can be meant.

        What the host is an argument of is left out where it may be one or another.
        """
        if path not in self._found:
            self._found[path] = self._match(path)
        return self._found[path]

    def _match(self, path: str) -> tuple[str, dict[str, Any]] | None:
        matches: list[tuple[str, dict[str, Any]]] = []
        for adapter in self._adapters:
            try:
                found = _matched(adapter, path)
            except Exception:
                # A converter of the application's own may raise anything for a path that is none.
                continue
            if found is not None:
                matches.append(found)
        if len({endpoint for endpoint, _ in matches}) != 1:
            return None
        endpoint, first = matches[0]
        common = {
            name: value
            for name, value in first.items()
            if all(name in other and other[name] == value for _, other in matches)
        }
        return endpoint, common


def _matched(adapter: Any, path: str) -> tuple[str, dict[str, Any]] | None:
    try:
        endpoint, arguments = adapter.match(path, method="GET")
    except MethodNotAllowed as error:
        if not error.valid_methods:
            return None
        endpoint, arguments = adapter.match(path, method=sorted(error.valid_methods)[0])
    except HTTPException:
        return None
    return str(endpoint), dict(arguments)


def _hosts(place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an application's routes can be bound to: each host, or each subdomain."""
    app = place.app
    name = place.setting("SERVER_NAME") or "localhost"
    rules = list(app.url_map.iter_rules())
    if getattr(app.url_map, "host_matching", False):
        for host in dict.fromkeys(_VARIABLE.sub("x", rule.host or "") for rule in rules):
            yield host or name, {}
    else:
        domains = dict.fromkeys(_VARIABLE.sub("x", rule.subdomain or "") for rule in rules)
        for domain in domains or [""]:
            yield name, {"subdomain": domain}


class Names:
    """Tells what keys of one cache belong to.

    Args:
        place: The cache.
        seen: What a key was last used for in this process, where that is known.
    """

    def __init__(self, place: Place, seen: Callable[[str], Belongs | None]) -> None:
        self.routes = Routes(place)
        self._seen = seen
        self._views = place.app.view_functions
        self._behind = place.registry.behind
        policies = place.registry.policies()
        cached = [policy for policy in policies if isinstance(policy, CachedPolicy)]
        self._memoized = {
            policy.name: policy.target.name
            for policy in policies
            if isinstance(policy, MemoizePolicy)
        }
        self._constant: dict[str, str] = {}
        around = {("view/", "")}
        for policy in cached:
            prefix = policy.options.key_prefix
            if not isinstance(prefix, str):
                continue
            begin, variable, end = prefix.partition("%s")
            if variable:
                around.add((begin.replace("%%", "%"), end.replace("%%", "%")))
            else:
                self._constant.setdefault(prefix, self._name_of(policy))
        #: The longest first: it says the most.
        self._around = sorted(around, key=lambda pair: (-len(pair[0]), pair))

    def _name_of(self, policy: CachedPolicy) -> str:
        endpoints = endpoints_of(self._views, policy.decorated())
        return endpoints[0] if len(endpoints) == 1 else policy.name

    def of(self, key: str) -> Belongs:
        """What a key belongs to."""
        seen = self._seen(key)
        if seen is not None:
            return seen
        memoized = _MEMOIZED.fullmatch(key)
        if memoized is not None:
            name = memoized["name"]
            return Belongs("memoize", self._memoized.get(name, name))
        version = _VERSION.fullmatch(key)
        if version is not None:
            name = version["name"]
            return Belongs("version", self._memoized.get(name, name))
        if key.startswith(_FRAGMENT):
            name = key.removeprefix(_FRAGMENT).partition(":")[0]
            return Belongs("fragment", unquote(name))
        return self._of_view(key)

    def _of_view(self, key: str) -> Belongs:
        plain = _HASH.sub("", key)
        for each in (key, plain):
            if each in self._constant:
                return Belongs("view", self._constant[each])
        for path in self.paths_of(key):
            found = self.routes.match(path)
            if found is not None and self._is_cached(found[0]):
                return Belongs("view", found[0])
        return Belongs("view" if key.startswith("view/") else "other")

    def paths_of(self, key: str) -> Iterator[str]:
        """The request paths that a view's key may have been made of, the likeliest first."""
        plain = _HASH.sub("", key)
        for begin, end in self._around:
            for each in dict.fromkeys((plain, key)):
                if each.startswith(begin) and each.endswith(end):
                    path = each[len(begin) : len(each) - len(end)]
                    if path.startswith("/"):
                        yield path

    def _is_cached(self, endpoint: str) -> bool:
        """Whether a path's endpoint can be what wrote its key: a cached view of this cache."""
        view = self._views.get(endpoint)
        return any(isinstance(policy, CachedPolicy) for policy in self._behind(view))
