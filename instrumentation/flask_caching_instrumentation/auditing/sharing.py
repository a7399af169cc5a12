"""Keys that meet across routes: two endpoints, two functions, or two rules of one endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask_caching.registry import Policy

from .asking import Answer
from .checking import Audit
from .routes import RouteCheck, differing
from .written import name_of

__all__ = ["check_shared_keys"]


class _Owner(NamedTuple):
    """Whose key it is.

    Attributes:
        check: The route.
        layer: Which of its caches.
        answer: What was asked.
    """

    check: RouteCheck
    layer: int
    answer: Answer

    @property
    def endpoint(self) -> str:
        """The route's endpoint."""
        return self.check.route.endpoint

    @property
    def policy(self) -> Policy:
        """The cache that the key is of."""
        return self.check.route.policies[self.layer]


def check_shared_keys(audit: Audit, checks: Sequence[RouteCheck]) -> None:
    """Find requests to different routes that lead to one key."""
    owners: dict[str, list[_Owner]] = {}
    for check in checks:
        for layer in range(len(check.route.policies)):
            for answer in check.answers:
                answered = answer.at(layer)
                if answered.key is not None:
                    owners.setdefault(answered.key, []).append(_Owner(check, layer, answered))
    told: set[object] = set()
    for met in owners.values():
        first = met[0]
        for other in met[1:]:
            if other.check is not first.check or other.layer != first.layer:
                _compare(audit, first, other, told)


def _compare(audit: Audit, first: _Owner, other: _Owner, told: set[object]) -> None:
    """Tell of two owners of one key, once for each two endpoints and functions."""
    if first.policy is other.policy:
        names = differing(first.answer, other.answer)
        if first.endpoint == other.endpoint:
            _compare_rules(audit, first, other, names, told)
            return
        rule_id = "shared-key" if names else "aliased-view"
    else:
        names = []
        rule_id = "shared-key"
    pair = frozenset([(first.endpoint, id(first.policy)), (other.endpoint, id(other.policy))])
    if pair in told:
        return
    told.add(pair)
    audit.find(
        rule_id,
        other.endpoint,
        other.policy,
        f"{_called(other, first)} and {_called(first, other)} meet in one key"
        + audit.refused(first.answer, other.answer),
        answers=(first.answer, other.answer),
        about=", ".join(names),
        own=other.endpoint,
    )


def _called(owner: _Owner, other: _Owner) -> str:
    """An owner's endpoint; with its method or function, where the endpoint is the other's too."""
    if owner.endpoint != other.endpoint:
        return f"endpoint {owner.endpoint!r}"
    if owner.answer.asked.method != other.answer.asked.method:
        return f"{owner.answer.asked.method} of {owner.endpoint!r}"
    return name_of(owner.policy)


def _compare_rules(
    audit: Audit, first: _Owner, other: _Owner, names: Sequence[str], told: set[object]
) -> None:
    """Tell of arguments that two rules of one endpoint differ in, and the key does not."""
    known = first.check.lost.get(first.layer, set()) | other.check.lost.get(other.layer, set())
    lost = [name for name in names if name not in known]
    if not lost or (first.endpoint, tuple(lost)) in told or len(lost) < len(names):
        return
    told.add((first.endpoint, tuple(lost)))
    audit.find(
        "forgotten-argument",
        other.endpoint,
        other.policy,
        f"the key of {name_of(other.policy)} does not depend on {', '.join(map(repr, lost))}, "
        f"which {first.check.route.rule.rule} and {other.check.route.rule.rule} give different "
        "values",
        answers=(first.answer, other.answer),
        about=", ".join(lost),
        argument=lost[0],
        arguments=", ".join([repr(other.endpoint), *lost]),
    )
