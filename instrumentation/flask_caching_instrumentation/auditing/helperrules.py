"""Decorated functions that are no views: what they read, what they take, and whose key they use."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flask import Flask

from flask_caching.cached import CachedPolicy
from flask_caching.memoized import MemoizePolicy

from ..recording import Readings
from .asking import Answer, MadeUp
from .calls import call_of, parameters_of, with_argument
from .checking import Audit
from .clues import clues_of
from .inputrules import can_vary_session, remedy, verdict_of
from .inputs import described, variations
from .persons import Person
from .readings import inputs_read
from .routes import RouteCheck
from .samples import same_value
from .subjects import Helper, helpers_of, key_makers
from .written import name_of

__all__ = ["check_helpers"]

#: The request that a helper is called in.
_SOMEWHERE: Final = MadeUp("/")

#: How often a key maker is lent what it asks for.
_TRIES: Final = 5

#: Characters of an exception's message that are shown.
_REASON: Final = 200


class _Known:
    """A helper, and its key under a plain call."""

    def __init__(self, audit: Audit, helper: Helper) -> None:
        self.helper = helper
        self.policy = helper.policy
        self.call = call_of(helper.policy, audit.place.registry)
        #: The request that it is called in, with what its key maker asks ``flask.g`` for.
        self.request = _SOMEWHERE
        self.answer = self.ask(audit, _SOMEWHERE)
        for _ in range(_TRIES):
            missing = self.answer.missed - dict(self.request.globals).keys()
            if self.answer.ending != "raised" or not missing:
                break
            self.request = self.request.with_globals(
                *((name, Person(1)) for name in sorted(missing))
            )
            self.answer = self.ask(audit, self.request)
        if self.answer.ending == "raised":
            audit.find(
                "key-maker-raised",
                helper.policy.target.name,
                helper.policy,
                f"no key could be made of {self.call.shown(helper.policy)}: "
                f"{self.answer.reason[:_REASON]}",
            )

    def ask(self, audit: Audit, request: MadeUp) -> Answer:
        """Its key inside a request."""
        shown = self.call.shown(self.policy)
        return audit.asker.call(request, self.helper.decorated, self.call, shown)


def check_helpers(
    audit: Audit, helpers: Sequence[Helper], checks: Sequence[RouteCheck], readings: Readings
) -> None:
    """Check the decorated functions that are no views.

    Args:
        audit: The audit.
        helpers: The functions.
        checks: The routes, for keys that a helper has in common with a view.
        readings: What was recorded.
    """
    known = [_Known(audit, helper) for helper in helpers]
    for each in known:
        _check_read(audit, each, readings)
        _check_arguments(audit, each)
    _check_names(audit, known)
    _check_shared(audit, known, checks)
    _check_made_names(audit, known)


# What is read.


def _check_read(audit: Audit, known: _Known, readings: Readings) -> None:
    policy = known.policy
    reading = readings.get((policy.target.source, policy.target.name))
    if reading is None:
        return
    clues = clues_of(key_makers(policy))
    for name in inputs_read(audit.place.app, reading, "GET", policy.function):
        if name.startswith("session") and not can_vary_session(audit.asker, clues):
            continue
        if name.startswith("request:") and key_makers(policy):
            continue
        requests = variations(name, known.request, clues)
        verdict = verdict_of([known.ask(audit, request) for request in requests])
        if verdict.ends == "same":
            audit.find(
                "read-input",
                policy.target.name,
                policy,
                f"{name_of(policy)} was seen to read {described(name)}, which does not change its "
                "key",
                answers=verdict.pair,
                about=name,
                remedy=remedy(name, policy),
            )


# What it takes.


def _check_arguments(audit: Audit, known: _Known) -> None:
    """Whether a cached helper has one key for all its arguments."""
    policy = known.policy
    if not isinstance(policy, CachedPolicy) or known.answer.key is None:
        return
    for parameter in parameters_of(policy):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in ("self", "cls") or parameter.default is not parameter.empty:
            continue
        call = with_argument(known.call, policy, parameter.name, 2)
        shown = call.shown(policy)
        other = audit.asker.call(known.request, known.helper.decorated, call, shown)
        if other.key == known.answer.key:
            audit.find(
                "helper-argument",
                policy.target.name,
                policy,
                f"{name_of(policy)} keeps one value, whatever its argument {parameter.name!r} is",
                answers=(known.answer, other),
                about=parameter.name,
            )


# Names.


def _check_names(audit: Audit, known: Sequence[_Known]) -> None:
    """Find functions of one name: closures of one factory, functions made in a loop."""
    named: dict[tuple[type[Any], str], list[_Known]] = {}
    for each in known:
        named.setdefault((type(each.policy), name_of(each.policy)), []).append(each)
    several = [group for group in named.values() if len(group) > 1]
    if not several:
        return
    # What nobody can call any more is not to be told of.
    gc.collect()
    alive = {id(helper.policy) for helper in helpers_of(audit.place)}
    for group in several:
        _check_namesakes(audit, [each for each in group if id(each.policy) in alive])


def _check_namesakes(audit: Audit, group: Sequence[_Known]) -> None:
    for number, other in enumerate(group):
        for first in group[:number]:
            if first.answer.key is None or other.answer.key is None:
                continue
            if first.answer.key == other.answer.key:
                variables = _different(audit, first.policy.function, other.policy.function)
                if variables:
                    _tell_closures(audit, first, other, variables)
                    return
            elif isinstance(first.policy, MemoizePolicy):
                audit.find(
                    "same-name",
                    first.policy.target.name,
                    first.policy,
                    f"{len(group)} memoized functions are called {name_of(first.policy)}; their "
                    "keys differ",
                    answers=(first.answer, other.answer),
                )
                return


def _tell_closures(
    audit: Audit, first: _Known, other: _Known, variables: Mapping[str, tuple[Any, Any]]
) -> None:
    names = list(variables)
    audit.find(
        "shared-closure",
        first.policy.target.name,
        first.policy,
        f"two functions called {name_of(first.policy)} have one key, though they differ in "
        f"{', '.join(map(repr, names))}",
        answers=(first.answer, other.answer),
        about=", ".join(names),
        variables=", ".join(names),
        variable=names[0] if names[0].isidentifier() else "number",
    )


def _different(audit: Audit, one: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """The free variables in which two functions differ; ``code`` if they are not one code.

    None if they belong to different applications.
    """
    if one is other:
        return {}
    codes = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if codes[0] is None or codes[0] != codes[1]:
        return {"code": codes}
    found: dict[str, tuple[Any, Any]] = {}
    for (name, left), (_, right) in zip(_free(one), _free(other), strict=True):
        if isinstance(left, Flask) and left is not right:
            return {}
        if left is not right and not same_value(left, right):
            found[name] = (left, right)
    return found


def _free(function: Any) -> Iterator[tuple[str, Any]]:
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            # Not assigned yet, in either.
            yield name, None


# Keys of others.


def _check_shared(audit: Audit, known: Sequence[_Known], checks: Sequence[RouteCheck]) -> None:
    """Find helpers that have a key in common with another function, or with a view."""
    owners: dict[str, tuple[str, Any, Answer]] = {}
    for check in checks:
        for layer, policy in enumerate(check.route.policies):
            for answer in check.answers:
                answered = answer.at(layer)
                if answered.key is not None:
                    owner = (f"endpoint {check.route.endpoint!r}", policy.function, answered)
                    owners.setdefault(answered.key, owner)
    told: set[frozenset[str]] = set()
    for each in known:
        key, policy = each.answer.key, each.policy
        if key is None:
            continue
        called, function, answer = owners.setdefault(
            key, (name_of(policy), policy.function, each.answer)
        )
        pair = frozenset([called, name_of(policy)])
        if len(pair) < 2 or pair in told or function is policy.function:
            continue
        told.add(pair)
        audit.find(
            "shared-key",
            policy.target.name,
            policy,
            f"{name_of(policy)} and {called} meet in one key",
            answers=(answer, each.answer),
            own=policy.target.name,
        )


def _check_made_names(audit: Audit, known: Sequence[_Known]) -> None:
    """Find functions that ``make_name`` gives one name."""
    names: dict[str, _Known] = {}
    for each in known:
        policy = each.policy
        if not isinstance(policy, MemoizePolicy) or each.answer.key is None:
            continue
        # The name as it is in the key, which is where it counts.
        name = each.answer.key.removeprefix("memo/").rpartition("/")[0]
        first = names.setdefault(name, each)
        options = policy.options, first.policy.options
        if name_of(first.policy) == name_of(policy) or not any(
            getattr(each, "make_name", None) for each in options
        ):
            continue
        audit.find(
            "merged-name",
            policy.target.name,
            policy,
            f"make_name calls {name_of(policy)} {name!r}, as {name_of(first.policy)} is called; "
            "their keys differ",
            answers=(first.answer, each.answer),
            name=name_of(policy),
        )
