"""Inputs of the request that are not in the key: those that were read, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from flask import Flask

from flask_caching.cached import CachedPolicy
from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy

from ..recording import Reading, Readings
from .asking import Answer, Asker
from .checking import Audit
from .clues import Clues, clues_of
from .inputs import described, is_input, variations
from .logins import without_login
from .model import Finding
from .readings import inputs_read, is_varied
from .routes import RouteCheck
from .written import name_of

__all__ = [
    "Verdict",
    "can_vary_session",
    "check_inputs",
    "remedy",
    "verdict_of",
]


#: What a key is asked about even if nobody was seen to read it.
_ALWAYS: Final = (
    *("query", "method", "host", "root", "header:Accept", "header:Accept-Language"),
    *("header:User-Agent", "header:Authorization", "cookies", "session", "remote_addr"),
    *("form", "body"),
)

#: Requests that say enough of an input where only the decorator makes the key.
_FEW: Final = 3

#: In what a ``before_request`` function would look for an input that has no name of its own.
_ATTRIBUTES: Final = {
    "host": ("host", "url_root", "host_url", "base_url", "url"),
    "remote_addr": ("remote_addr", "access_route"),
    "query": ("args", "values", "query_string", "full_path", "url"),
    "cookies": ("cookies",),
    "session": ("session",),
    "header:authorization": ("authorization", "Authorization"),
    "header:accept-language": ("accept_languages", "Accept-Language"),
    "header:accept": ("accept_mimetypes", "Accept"),
    "header:user-agent": ("user_agent", "User-Agent"),
}


class Verdict(NamedTuple):
    """What a key does about an input.

    Attributes:
        ends: ``changes`` with it, is the ``same``, or is ``unknown``.
        pair: Two requests with one key that differ in it.
    """

    ends: Literal["changes", "same", "unknown"]
    pair: tuple[Answer, Answer] | None = None


def verdict_of(answers: Sequence[Answer]) -> Verdict:
    """Whether the answers to requests that differ in one input have different keys."""
    found = [answer for answer in answers if answer.key is not None]
    if len({answer.key for answer in found}) > 1:
        return Verdict("changes")
    if len(found) < 2 or any(answer.ending == "raised" for answer in answers):
        return Verdict("unknown")
    # Two values say more than one value and none.
    first, second, *_ = found[1:] if len(found) > 2 else found
    return Verdict("same", (first, second))


class _InputCheck:
    """The checks of one cache of one route."""

    def __init__(self, audit: Audit, check: RouteCheck, layer: int, reading: Reading | None):
        self.audit = audit
        self.check = check
        self.layer = layer
        self.reading = reading
        self.policy: Policy = check.route.policies[layer]
        app, function = audit.place.app, self.policy.function
        #: What was read, and what of that can make a difference.
        self.seen = without_login(app, reading.inputs, function) if reading else {}
        self.read = inputs_read(app, reading, check.route.method, function) if reading else {}
        self._verdicts: dict[str, Verdict] = {}

    def verdict(self, name: str) -> Verdict:
        """What the key does about an input."""
        if name not in self._verdicts:
            self._verdicts[name] = self._ask(name)
        return self._verdicts[name]

    def _ask(self, name: str) -> Verdict:
        base = self.check.base
        if base is None:
            return Verdict("unknown")
        route = self.check.route
        requests = variations(name, base.asked, route.clues, route.methods)
        # The decorator's own keys depend on an input for every value of it, or for none.
        requests = requests[: None if route.by_code else _FEW]
        if name.startswith("session") and not can_vary_session(self.audit.asker, route.clues):
            return Verdict("unknown")
        if name.startswith("request:") and route.by_code:
            # It cannot be set on the request that a key maker would see.
            return Verdict("unknown")
        answers = [self.check.ask_again(request) for request in requests]
        if any(name == f"g:{each}" for answer in answers for each in answer.assigned):
            # It was overwritten: the application makes it of something else (of the URL, say).
            return Verdict("unknown")
        return verdict_of([answer.at(self.layer) for answer in answers])

    def check_read(self) -> None:
        """Find what was read and does not change the key."""
        for name in self.read:
            verdict = self.verdict(name)
            if verdict.ends == "same" and not self._comes_by_g(name):
                self._tell(name, verdict)

    def _tell(self, name: str, verdict: Verdict) -> None:
        self.audit.find(
            "read-input",
            self.check.route.endpoint,
            self.policy,
            f"{name_of(self.policy)} was seen to read {described(name)}, which does not change its "
            "key" + _served(name, self.policy),
            answers=verdict.pair,
            about=name,
            remedy=remedy(name, self.policy),
        )

    def _comes_by_g(self, name: str) -> bool:
        """Whether the key depends on what a ``before_request`` function makes of the input.

        Such functions are not run, so that the key was made without what they put into ``flask.g``.
        """
        functions = before_functions(self.audit.place.app, self.check.route.endpoint)
        wanted = self._wanted_of_g()
        kind, _, detail = name.partition(":")
        words = [detail] if detail else []
        words += _ATTRIBUTES.get(name.lower(), _ATTRIBUTES.get(kind, ()))
        for each in wanted:
            if self.verdict(f"g:{each}").ends != "changes":
                continue
            for function in functions:
                clues = clues_of([function])
                if clues.mentions(each) and any(map(clues.mentions, words)):
                    return True
        return False

    def _wanted_of_g(self) -> set[str]:
        """What the key maker asked ``flask.g`` for, and was lent or went without."""
        base = self.check.base
        return set() if base is None else {*base.missed, *(name for name, _ in base.asked.globals)}

    def check_unread(self) -> None:
        """Say what the key does not depend on, in one finding."""
        names = dict.fromkeys([*_ALWAYS, *self.seen])
        if self.verdict("query").ends == "changes":
            names.setdefault("query_order:audit")
        told = {found.input for found in self.audit.findings if self._is_mine(found)}
        lacking = [name for name in names if name not in told and self._lacks(name)]
        if not lacking:
            return
        base = self.check.base
        read = [name for name in lacking if name in self.seen]
        seen = "none of which was seen to be read" if self.reading else "what it reads is not known"
        if read:
            seen = f"of which {', '.join(map(described, read))} was seen to be read"
        self.audit.find(
            "not-in-key",
            self.check.route.endpoint,
            self.policy,
            f"the key does not depend on {', '.join(map(described, lacking))}; {seen}",
            about="",
            answers=self.verdict(lacking[0]).pair if base else None,
        )

    def _is_mine(self, found: Finding) -> bool:
        return found.rule == "read-input" and found.target == self.check.route.endpoint

    def _lacks(self, name: str) -> bool:
        kind = name.partition(":")[0]
        if name == "host" and self.audit.place.state.refuses_other_hosts:
            return False
        if self.reading is not None and is_varied(name, self.reading.varied):
            return False
        if kind in ("scheme",) or not (
            is_input(name, self.check.route.method) or kind in ("root", "g")
        ):
            return False
        return self.verdict(name).ends == "same"


def can_vary_session(asker: Asker, clues: Clues) -> bool:
    """Whether two made-up sessions say what a key does about sessions.

    Those that the server keeps do where the key maker does not look into them.
    """
    if asker.signs_sessions():
        return True
    return asker.has_sessions() and "session" not in clues.names


def before_functions(app: Flask, endpoint: str) -> list[Any]:
    """The functions that Flask runs before a view, in the application and its blueprints."""
    parts = endpoint.split(".")[:-1]
    scopes: list[str | None] = [None, *(".".join(parts[:end]) for end in range(1, len(parts) + 1))]
    before = [function for scope in scopes for function in app.before_request_funcs.get(scope, ())]
    values = [
        function for scope in scopes for function in app.url_value_preprocessors.get(scope, ())
    ]
    return [*before, *values]


def _served(name: str, policy: Policy) -> str:
    """What comes of it, where that is not what one expects: a view's host is remembered."""
    if name == "host" and isinstance(policy, CachedPolicy):
        return "; pages made under another host are refused, so each replaces the other"
    return ""


def remedy(name: str, policy: Policy) -> str:
    """What to write so that an input is part of a key."""
    kind, _, detail = name.partition(":")
    if isinstance(policy, MemoizePolicy):
        return f"hand {described(name)} over as an argument"
    if policy.custom_key() is not None or callable(policy.options.key_prefix):
        return f"put {described(name)} into what makes the key, or do not read it"
    if kind == "query":
        return f"query_string=[{detail!r}]" if detail else "query_string=True"
    if kind == "query_order":
        return "query_string=True"
    if kind == "header":
        return f"vary=[{detail!r}]"
    if kind == "cookie":
        return f'vary=["cookie:{detail}"]'
    if kind == "session":
        return f"vary=[lambda: session.get({detail!r})]" if detail else "vary=[lambda: session]"
    if kind == "request":
        return f"vary=[lambda: request.{detail}]"
    if kind == "remote_user":
        return "vary=[lambda: request.remote_user]"
    if kind == "g":
        get = "current_user.get_id()" if detail == "_login_user" else f"g.get({detail!r})"
        return f"vary=[lambda: {get}]"
    if kind == "host":
        return 'vary=["Host"]'
    if kind == "remote_addr":
        return "vary=[lambda: request.remote_addr]"
    if kind in ("cookies", "headers"):
        return f"read only what is needed, and name it in vary=[...], not all {kind}"
    return f"put {described(name)} into the key by make_cache_key, or do not read it"


def check_inputs(audit: Audit, check: RouteCheck, readings: Readings) -> None:
    """Check one route's keys for inputs that are no arguments."""
    base = check.base
    if base is None:
        return
    for layer, policy in enumerate(check.route.policies):
        memoized = isinstance(policy, MemoizePolicy)
        target = policy.target.name if memoized else check.route.endpoint
        reading = readings.get(("memoize" if memoized else "view", target))
        # Of one without a recorded load it is not known what it reads.
        reading = reading if reading and reading.loads else None
        inputs = _InputCheck(audit, check, layer, reading)
        inputs.check_read()
        if layer == 0:
            inputs.check_unread()
