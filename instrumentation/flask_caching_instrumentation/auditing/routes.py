"""A route under audit: its base request, and requests that differ in one argument or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final, NamedTuple, TypeAlias

from flask_caching.cached import CachedPolicy
from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy

from .asking import Answer, MadeUp
from .checking import Audit
from .persons import Person, equipped
from .samples import Sample, converters_of, same_value, sample_of
from .subjects import Route, request_to
from .ways import Loss, loss_of
from .written import name_of

__all__ = ["RouteCheck", "differing"]

#: Base requests that are tried, each with other arguments.
_TRIES: Final = 8

#: Characters of an exception's message that are shown.
_REASON: Final = 200

#: What a key maker may put between two arguments, beside what its code has in it.
_SEPARATORS: Final = (
    "",
    "-",
    "_",
    ":",
    "/",
    ".",
    ",",
    "|",
    " ",
    "+",
    "~",
    ";",
    "=",
    "&",
    "#",
    "--",
    "::",
)


def differing(one: Answer, other: Answer) -> list[str]:
    """The arguments in which two requests differ for the view that gets them.

    An argument that a ``url_value_preprocessor`` took away counts as the URL has it.
    """
    names = dict.fromkeys([*one.arguments, *other.arguments])
    return [name for name in names if not _same(one, other, name)]


def _same(one: Answer, other: Answer, name: str) -> bool:
    if (name in one.arguments) != (name in other.arguments):
        return False
    if same_value(one.arguments.get(name), other.arguments.get(name)):
        return True
    if name in one.processed and name in other.processed:
        return same_value(one.processed[name], other.processed[name])
    return False


class RouteCheck:
    """The checks of one route that are about its arguments.

    Args:
        audit: The audit.
        route: The route.

    Attributes:
        route: The route.
        base: The answer to a request with the first values; ``None`` if there is no such request.
        values: Its arguments.
        answers: All that was asked of the route.
        lost: Arguments that are known to be lost, by the number of the cache that loses them.
    """

    def __init__(self, audit: Audit, route: Route) -> None:
        self.audit = audit
        self.route = route
        self.values: dict[str, Sample] = {}
        self.answers: list[Answer] = []
        self.lost: dict[int, set[str]] = {}
        self.base: Answer | None = self._find_base()

    def ask(self, request: MadeUp, values: Mapping[str, Sample]) -> Answer:
        """The answer to a request that was built of these values."""
        arguments = {name: sample.value for name, sample in values.items()}
        arguments = {**(self.route.rule.defaults or {}), **arguments}
        answer = self.audit.asker.ask(request, self.route.endpoint, arguments)
        self.answers.append(answer)
        return answer

    def ask_again(self, request: MadeUp) -> Answer:
        """The answer to a request with the base's arguments; asked only if it is not the base."""
        if self.base is not None and request == self.base.asked:
            return self.base
        return self.ask(request, self.values)

    def ask_with(self, values: Mapping[str, Sample]) -> Answer | None:
        """The answer to the base request with other arguments."""
        changed = {**self.values, **values}
        request = request_to(self.route, self.audit.place.app, changed)
        if request is None or self.base is None:
            return None
        query = self.base.asked.url.partition("?")[2]
        url = f"{request.url}?{query}" if query else request.url
        return self.ask(replace(self.base.asked, url=url), changed)

    # The base request.

    def _find_base(self) -> Answer | None:
        unknown = self.route.unknown()
        if unknown:
            self.audit.note(
                f"{self.route.rule.rule} was not checked: no value could be made up that the "
                f"converter of {', '.join(unknown)} takes"
            )
            return None
        best: Answer | None = None
        for number in range(_TRIES if self.route.samples else 1):
            values = {
                name: samples[number % len(samples)] for name, samples in self.route.samples.items()
            }
            request = request_to(self.route, self.audit.place.app, values)
            if request is None:
                continue
            answer = self._prepared(self.ask(request, values), values)
            if answer.ending == "elsewhere" or (best is not None and answer.ending != "key"):
                continue
            best, self.values = answer, values
            if answer.ending == "key":
                break
        if best is None:
            self.audit.note(
                f"{self.route.rule.rule} was not checked: no request could be made up that reaches "
                f"its endpoint {self.route.endpoint}"
            )
        elif best.ending == "raised":
            self._tell_raised(best)
        return best

    def _prepared(self, answer: Answer, values: Mapping[str, Sample]) -> Answer:
        """The answer to a request that has what the key maker asks for, if it raised."""
        if answer.ending != "raised":
            return answer
        prepared = self._lent(answer, values)
        if prepared.ending == "raised":
            prepared = self.ask(equipped(answer.asked, self.route.clues), values)
            prepared = self._lent(prepared, values)
        if prepared.ending == "raised":
            return answer
        lent = [f"g.{name}" for name, _ in prepared.asked.globals]
        if prepared.asked.session:
            lent += ["query parameters", "cookies", "a session"]
        self.audit.note(
            f"{self.route.endpoint} was audited with made-up {', '.join(lent)}, without which its "
            f"key maker raised ({answer.reason[:_REASON]}); before_request functions are not run"
        )
        return prepared

    def _lent(self, answer: Answer, values: Mapping[str, Sample]) -> Answer:
        """The answer with ``flask.g`` as ``before_request`` functions may leave it."""
        for _ in range(_TRIES):
            missing = answer.missed - {name for name, _ in answer.asked.globals}
            if answer.ending != "raised" or not missing:
                break
            lent = ((name, Person(1)) for name in sorted(missing))
            answer = self.ask(answer.asked.with_globals(*lent), values)
        return answer

    def _tell_raised(self, answer: Answer) -> None:
        self.audit.find(
            "key-maker-raised",
            self.route.endpoint,
            self.route.policies[0],
            f"no key could be made of {answer.asked.method} {answer.asked.url}: "
            f"{answer.reason[:_REASON]}",
        )

    def is_unstable(self) -> bool:
        """Whether the base request has another key when it is asked once more."""
        base = self.base
        if base is None or base.key is None:
            return False
        again = self.ask(base.asked, self.values)
        if again.key is None or again.key == base.key:
            return False
        self.audit.find(
            "unstable-key",
            self.route.endpoint,
            self.route.policies[0],
            "the same request has another key each time it is asked, so that it never finds what "
            "it stored",
            answers=(base, again),
        )
        return True

    # One argument at a time.

    def check_arguments(self) -> None:
        """Ask for every value of every argument, and for pairs of arguments."""
        varied = {name: self._vary(name) for name in self.route.samples}
        crossed = list(self._cross()) if self.route.by_code else []
        for layer, policy in enumerate(self.route.policies):
            lost = self.lost.setdefault(layer, set())
            losses = {name: self._loss(name, varied[name], layer) for name in varied}
            if self._is_constant(policy, losses):
                self._tell_constant(policy, losses, varied, layer)
                lost.update(name for name, loss in losses.items() if loss)
                continue
            for name, loss in losses.items():
                if loss is not None:
                    lost.add(name)
                    self._tell_loss(policy, name, loss, varied[name], layer)
            self._check_pairs(policy, crossed, layer)

    def _vary(self, name: str) -> list[tuple[Sample, Answer]]:
        """Every value of an argument, with its answer; values that the view sees as one, once."""
        found: list[tuple[Sample, Answer]] = []
        for sample in self.route.samples[name]:
            answer = self.ask_with({name: sample})
            if answer is not None and answer.ending != "elsewhere":
                found.append((sample, answer))
        return found

    def _loss(self, name: str, varied: list[tuple[Sample, Answer]], layer: int) -> Loss | None:
        asked: list[tuple[Sample, str]] = []
        distinct: list[Answer] = []
        for sample, answer in varied:
            answered = answer.at(layer)
            if answered.key is None or any(not differing(answered, each) for each in distinct):
                continue
            distinct.append(answered)
            asked.append((sample, answered.key))
        return loss_of(asked)

    def _is_constant(self, policy: Policy, losses: Mapping[str, Loss | None]) -> bool:
        """Whether the decorator's own ``key_prefix`` is the same for all URLs of the route."""
        found = [loss for loss in losses.values() if loss is not None]
        return (
            isinstance(policy, CachedPolicy)
            and policy.custom_key() is None
            and isinstance(policy.options.key_prefix, str)
            and "%s" not in policy.options.key_prefix
            and bool(found)
            and all(loss.rule == "constant" for loss in found)
        )

    def _tell_constant(
        self,
        policy: Policy,
        losses: Mapping[str, Loss | None],
        varied: Mapping[str, list[tuple[Sample, Answer]]],
        layer: int,
    ) -> None:
        lost = {name: loss for name, loss in losses.items() if loss is not None}
        name, loss = next(iter(lost.items()))
        rule = self.route.rule.rule
        what = (
            f"every URL of {rule} has one key"
            if len(lost) == len(losses)
            else f"URLs of {rule} that differ in {', '.join(map(repr, lost))} have one key"
        )
        prefix = str(policy.options.key_prefix) if isinstance(policy, CachedPolicy) else ""
        self.audit.find(
            "constant-key",
            self.route.endpoint,
            policy,
            f"key_prefix={prefix!r} has no %s, so that {what}",
            answers=_pair(loss, varied[name], layer),
            about=", ".join(lost),
            prefix=prefix.rstrip("/"),
        )

    def _tell_loss(
        self,
        policy: Policy,
        name: str,
        loss: Loss,
        varied: list[tuple[Sample, Answer]],
        layer: int,
    ) -> None:
        constant = loss.rule == "constant"
        message = (
            f"the key of {name_of(policy)} does not depend on its argument {name!r}"
            if constant
            else f"the key of {name_of(policy)} {loss.how}: argument {name!r}"
        )
        pair = _pair(loss, varied, layer)
        self.audit.find(
            "forgotten-argument" if constant else loss.rule,
            self.route.endpoint,
            policy,
            message + self.audit.refused(*pair),
            answers=pair,
            about=name,
            advice=_advice(policy, name),
            argument=name,
            arguments=", ".join([repr(self.route.endpoint), *self.route.samples]),
        )

    # Two arguments at a time.

    def _cross(self) -> Iterator[_Crossed]:
        """Pairs of requests that differ in two arguments, which a careless join makes equal."""
        converters = converters_of(self.route.rule)
        for one, other in combinations(self.route.samples, 2):
            for first, second in self._pairs(converters[one], converters[other]):
                left = self.ask_with({one: first[0], other: first[1]})
                right = self.ask_with({one: second[0], other: second[1]})
                if left is not None and right is not None:
                    yield _Crossed((one, other), left, right)

    def _pairs(self, one: Any, other: Any) -> Iterator[tuple[_Two, _Two]]:
        """Two values for two arguments, and two others that make the same text when joined."""
        texts = [text for text in self.route.clues.texts if not text.isalnum()]
        separators = dict.fromkeys([*_SEPARATORS, *texts])
        for first, middle, last in _PARTS:
            swapped = _two(one, other, first, last), _two(one, other, last, first)
            if swapped[0] and swapped[1]:
                yield swapped[0], swapped[1]
            for separator in separators:
                left = _two(one, other, first, f"{middle}{separator}{last}")
                right = _two(one, other, f"{first}{separator}{middle}", last)
                if left and right:
                    yield left, right

    def _check_pairs(self, policy: Policy, crossed: Sequence[_Crossed], layer: int) -> None:
        told: set[tuple[str, str]] = set()
        for names, left, right in crossed:
            one, other = left.at(layer), right.at(layer)
            if one.key is None or one.key != other.key or self.lost[layer] & {*names}:
                continue
            if names in told or not differing(one, other):
                continue
            told.add(names)
            first, second = (repr(name) for name in names)
            self.audit.find(
                "concatenated",
                self.route.endpoint,
                policy,
                f"the key of {name_of(policy)} joins its arguments {first} and {second} so that "
                "others make the same text",
                answers=(one, other),
                about=", ".join(names),
                arguments=", ".join([repr(self.route.endpoint), *self.route.samples]),
            )
        self.lost[layer].update(name for names in told for name in names)


def _advice(policy: Policy, name: str) -> str:
    """What to write where the key is not made by the application's code; else empty."""
    if isinstance(policy, MemoizePolicy):
        return f"leave {name!r} out of args_to_ignore" if policy.assigned_key() is None else ""
    if policy.custom_key() is None and isinstance(policy.options.key_prefix, str):
        # The path is in the key, so that the argument is in the host.
        return f'vary=["Host"]  # {name} is in the host'
    return ""


_Two: TypeAlias = tuple[Sample, Sample]

#: Three texts, of which the middle one belongs to the first or to the last.
_PARTS: Final = (
    ("a", "b", "c"),
    ("1", "2", "3"),
    ("1", "2", "c"),
    ("a", "1", "2"),
    ("A", "B", "C"),
)


class _Crossed(NamedTuple):
    names: tuple[str, str]
    left: Answer
    right: Answer


def _two(one: Any, other: Any, first: str, second: str) -> _Two | None:
    """Values for two arguments, if their converters take these texts."""
    left, right = sample_of(one, first), sample_of(other, second)
    return (left, right) if left and right else None


def _pair(loss: Loss, varied: Sequence[tuple[Sample, Answer]], layer: int) -> tuple[Answer, Answer]:
    """The answers for the two values that a loss was seen by."""
    found = {sample.text: answer.at(layer) for sample, answer in varied}
    return found[loss.first.text], found[loss.second.text]
