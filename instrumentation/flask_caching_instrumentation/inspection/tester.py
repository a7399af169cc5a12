"""The key tester: what would become of a request, and why. It runs no view."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from flask_caching.explanation import KeyExplanation
from flask_caching.madeup import as_current
from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy
from flask_caching.ways import Way, ways

from .asking import Prepared, UnusableRequest, ask, context_of, prepare
from .chain import decorators_of
from .failing import reason_of
from .keyids import key_id
from .missing import Asking, missing_of
from .model import Explanation, Part, RequestSpec, Verdict
from .overview import is_on
from .places import Place
from .redacting import Redactor
from .verdicts import Asker, Judgement, judge

__all__ = ["Tested", "explain", "tested"]

#: A word of a sentence, and no name that has to stay as it is.
_WORD: Final = re.compile(r"[a-z]+(?=[ ,:])")

#: How the core's notes begin that tell of a bypass, by its word.
_TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "disabled": ("the cache is turned off",),
    "unless": ("unless= is true",),
    "forced_update": ("forced_update= is true",),
}

#: Characters of an argument, and of a URL, that are shown.
_SHOWN: Final = 200
_LONGEST_URL: Final = 16 * 1024

#: Why the cache is not asked, by the word that it is counted under.
_BYPASSES: Mapping[str, str] = {
    "disabled": "Caching is turned off (CACHE_ENABLED, or cache.disable()): the view would run.",
    "unless": "unless= is true for this request: the view would run without the cache.",
    "forced_update": (
        "forced_update= is true for this request: the view would run, and what it returns be "
        "stored under the key."
    ),
}


class Tested(NamedTuple):
    """A request that was asked about.

    Attributes:
        shown: What is shown of it.
        known: What the core said of it.
    """

    shown: Explanation
    known: KeyExplanation


def explain(place: Place, request: RequestSpec) -> Explanation:
    """What would become of a request; see :meth:`.inspector.Inspector.explain`."""
    return tested(place, request, Asking(place)).shown


def tested(place: Place, request: RequestSpec, asking: Asking) -> Tested:
    """:func:`explain`, and what that is made of.

    Args:
        place: The cache.
        request: The request.
        asking: Who asks for other keys, to find out what this one depends on.
    """
    try:
        prepared = prepare(place, request)
    except UnusableRequest as error:
        known = KeyExplanation(None)
        return Tested(_shown(place, request, known, Judgement("uncached", str(error))), known)
    known = ask(place, prepared)
    found = _ways(place, prepared, known)
    shown = _shown(place, request, known, _judgement(place, prepared, known, found))
    if known.endpoint is not None:
        view = place.app.view_functions.get(known.endpoint)
        shown = replace(
            shown,
            decorators=decorators_of(place, view, found),
            missing=() if known.key is None else missing_of(place, asking, request, known),
        )
    return Tested(shown, known)


def _ways(place: Place, prepared: Prepared, known: KeyExplanation) -> Sequence[Way[Policy]]:
    """The ways of the request to the caches on its view."""
    view = place.app.view_functions.get(known.endpoint or "")
    return ways(view, place.registry.at, prepared.method) if view is not None else ()


def _judgement(
    place: Place, prepared: Prepared, known: KeyExplanation, found: Sequence[Way[Policy]]
) -> Judgement:
    if known.status is None and known.endpoint is None:
        # It could not even be matched: a converter raised, say.
        return Judgement("no_key", _sentence(known.reason))
    if known.status is not None or known.endpoint is None:
        return Judgement("uncached", _sentence(known.reason))
    if known.function is None or not found:
        return Judgement("uncached", _sentence(known.reason or "the view is not cached"))
    verdict, why = _bypassed(place, known)
    if known.key is None:
        return Judgement(verdict or "no_key", why or _without_key(known))
    try:
        # Inside of the request: a key prefix that a function makes may depend on it.
        with as_current(place.app, context_of(place, prepared)) as current:
            judged = judge(place, known.key, _asker(current, known, found[0]))
    except Exception as error:
        # The constructor of a view class, say.
        judged = Judgement("miss", f"It cannot be told: {reason_of(error)}.")
    return judged._replace(verdict=verdict, why=why) if verdict else judged


def _without_key(known: KeyExplanation) -> str:
    """Why a request has no key, and what that means."""
    if known.bypass:
        return f"{_sentence(known.reason)} The view would run without the cache."
    return (
        f"{_sentence(known.reason)} The request would fail like this, unless something that was "
        "not run here (a before_request function, say) keeps it from that."
    )


def _bypassed(place: Place, known: KeyExplanation) -> tuple[Verdict | None, str]:
    """Whether the request would not look into the cache, and why."""
    if known.bypass == "disabled" or not is_on(place):
        return "bypass", _BYPASSES["disabled"]
    if known.bypass in _BYPASSES:
        return "bypass", _BYPASSES[known.bypass]
    if known.bypass == "method":
        return "bypass", _sentence(known.reason)
    return None, ""


def _asker(request: Any, known: KeyExplanation, way: Way[Policy]) -> Asker:
    keys: tuple[str, ...] = ()
    arguments = dict(known.arguments)
    if isinstance(way.policy, MemoizePolicy):
        args, _ = way.call((), arguments)
        keys = way.policy.version_keys(args)
    return Asker(way.policy, request, known.endpoint or "", arguments, keys)


def _sentence(text: str) -> str:
    """A reason of the core's as a sentence, with a full stop."""
    text = text.strip()
    if _WORD.match(text):
        text = f"{text[0].upper()}{text[1:]}"
    return f"{text}." if text and text[-1] not in ".!?" else text


def _shown(
    place: Place, request: RequestSpec, known: KeyExplanation, judged: Judgement
) -> Explanation:
    redactor = Redactor(place.state.config.debug_redact)
    notes = [
        _sentence(note)
        for note in (*known.notes, judged.note)
        if note and not _tells_bypass(note, known.bypass)
    ]
    for inner in known.inner:
        key = inner.key if inner.key is not None else f"no key: {inner.reason}"
        notes.append(f"A second cache is inside of this one, {inner.function}: {key}")
    if len(request.url) > _LONGEST_URL:
        request = replace(request, url=f"{request.url[:_LONGEST_URL]}...")
    return Explanation(
        request=request,
        key=known.key,
        parts=[
            Part(part.name, redactor.value(part.name.rpartition(":")[2], part.value), part.origin)
            for part in known.parts
        ],
        endpoint=known.endpoint,
        rule=known.rule,
        function=known.function,
        arguments={
            name: redactor.value(name, _text(value)) for name, value in known.arguments.items()
        },
        decorators=(),
        missing=(),
        exists=judged.exists,
        expires_in_seconds=judged.left,
        verdict=judged.verdict,
        why=judged.why,
        key_id="" if known.key is None else key_id(known.key),
        status=known.status,
        notes=notes,
    )


def _tells_bypass(note: str, bypass: str) -> bool:
    """Whether a note of the core's says what the verdict says anyway."""
    return note.startswith(_TOLD.get(bypass, ()))


def _text(value: Any) -> str:
    """An argument as text."""
    try:
        text = repr(value)
    except Exception as error:
        # A converter's own object, which cannot print itself.
        return f"<{type(value).__qualname__}: {reason_of(error)}>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
