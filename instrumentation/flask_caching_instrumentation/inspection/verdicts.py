"""What would happen to a request whose key is known: hit, miss, or refused; and why."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from flask_caching.cached import CachedPolicy
from flask_caching.collisions import difference
from flask_caching.entry import Entry, Form, Witness
from flask_caching.query import same_variant
from flask_caching.registry import Policy
from flask_caching.requests import request_witness
from flask_caching.state import AppState

from .entries import Found, find_entry
from .model import Verdict
from .places import Place

__all__ = ["Asker", "Judgement", "judge"]


class Asker(NamedTuple):
    """A request to a cached view.

    Attributes:
        policy: The outermost cache on the view.
        request: The request, which is the current one.
        endpoint: Its endpoint.
        arguments: The view's arguments.
        version_keys: Keys of the versions that a memoized value depends on.
    """

    policy: Policy
    request: Any
    endpoint: str
    arguments: dict[str, Any]
    version_keys: tuple[str, ...] = ()


class Judgement(NamedTuple):
    """What would happen.

    Attributes:
        verdict: In a word.
        why: In a sentence.
        exists: Whether there is something under the key; ``None`` if it is not known.
        left: Seconds that it has left; ``0.0`` never expires.
        note: What else one should know.
    """

    verdict: Verdict
    why: str
    exists: bool | None = None
    left: float | None = None
    note: str = ""


def judge(place: Place, key: str, asker: Asker) -> Judgement:
    """Whether what is stored under a key would answer a request; as the decorators find it."""
    state = place.state
    if state.entries is not state.store:
        name = type(place.cache).__qualname__
        why = (
            f"{name} overrides get() or set(): whether it finds something under this key is for "
            "it to say, and it is not asked."
        )
        return Judgement("miss", why)
    found = find_entry(place, key)
    if found.exists is None:
        return Judgement("miss", f"{found.note} The view would run without the cache.")
    entry = found.entry
    if entry is None:
        if found.unreadable:
            return Judgement("miss", found.note, True, found.left)
        if found.exists:
            why = "There is an entry under this key; what it is cannot be told without reading it."
            return Judgement("hit", why, True, found.left, found.note)
        return Judgement("miss", _not_there(asker), False)
    verdict, why = _judge(place, asker, entry, found)
    return Judgement(verdict, why, True, found.left, found.note)


def _not_there(asker: Asker) -> str:
    if asker.request.method == "HEAD" and isinstance(asker.policy, CachedPolicy):
        return (
            "Nothing is stored under this key: the view would run, and what it returns would not "
            "be stored, since the response to HEAD has no body."
        )
    return "Nothing is stored under this key: the view would run, and what it returns be stored."


def _judge(place: Place, asker: Asker, entry: Entry, found: Found) -> tuple[Verdict, str]:
    state, policy = place.state, asker.policy
    if not entry.created_at:
        return "miss", "What is stored under this key was not written by a decorator."
    if asker.version_keys and not _is_current(place, asker.version_keys, entry):
        return "miss", "The entry was made before the function's values were deleted."
    collided = ""
    if isinstance(policy, CachedPolicy):
        asker.request.view_args = asker.arguments
        asked = request_witness(asker.request, asker.endpoint)
        collided = _difference(state, policy, entry, asked)
        action = policy.collisions or state.config.collisions
        if collided and (action == "refuse" or collided == "host"):
            return "refused", _refused(collided)
        if entry.vary and not same_variant(entry.vary, asker.request):
            return "miss", _other_variant(entry, asker.request)
    reason = _no_value(state, policy, entry)
    if reason:
        return "miss", reason
    age = f"{max(time.time() - entry.created_at, 0):,.0f} s ago"
    left = "never expires" if not found.left else f"has {found.left:,.0f} s left"
    why = f"An entry that was written {age} and {left} would answer it"
    if policy.is_stale is not None:
        why += ", if is_stale() has nothing against its value"
    if collided:
        why += (
            f". But it was made for another request, which differs in its {collided}, and is "
            'served all the same (CACHE_COLLISIONS, or collisions=, is "report")'
        )
    return "hit", f"{why}."


def _difference(state: AppState, policy: CachedPolicy, entry: Entry, asked: Witness) -> str:
    """In what the request that an entry was made for is another one; empty if it is not."""
    stored = entry.asker
    if stored is None or (policy.collisions or state.config.collisions) == "allow":
        return ""
    kind = difference(
        stored,
        state.codec.seal(asked) if entry.sealed else asked,
        entry.reads,
        other_hosts=state.refuses_other_hosts,
        other_queries=policy.query_matters(),
    )
    return kind or ""


def _refused(kind: str) -> str:
    reason = (
        "an entry made under another host is never served"
        if kind == "host"
        else 'collisions are refused (CACHE_COLLISIONS, or collisions=, is "refuse")'
    )
    return (
        f"The entry under this key is another request's, which differs in its {kind}, and "
        f"{reason}. The view would run, and its entry take the place of the other."
    )


def _other_variant(entry: Entry, request: Any) -> str:
    differing = [name for name, value in entry.vary if request.headers.get(name, "") != value]
    return (
        f"The entry's response varies on {', '.join(differing)}, which this request has another "
        "value of: the view would run, and its entry take the place of the other."
    )


def _no_value(state: AppState, policy: Policy, entry: Entry) -> str:
    """Why an entry's value is none; empty if it is one. Nothing is unpickled."""
    serializer = state.codec.serializer
    if entry.form is Form.PLAIN and entry.payload is None and not policy.cache_none:
        return "None is stored under this key, which is no value unless cache_none= is set."
    if entry.form is Form.PICKLE and serializer not in ("pickle", "signed"):
        return "The entry is a pickle, which this cache does not read (CACHE_SERIALIZER)."
    if entry.form in (Form.CUSTOM, Form.CUSTOM_RESPONSE) and isinstance(serializer, str):
        return "The entry was written by a serializer that this cache does not have."
    return ""


def _is_current(place: Place, keys: tuple[str, ...], entry: Entry) -> bool:
    versions = [find_entry(place, key).entry for key in keys]
    current = tuple(None if each is None else str(each.payload) for each in versions)
    return current == entry.versions
