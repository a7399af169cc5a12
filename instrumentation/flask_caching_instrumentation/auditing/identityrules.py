"""Memoized functions that are called with objects which have no identity of their own."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, Literal

from flask_caching.arguments import encode
from flask_caching.errors import UncacheableArgument
from flask_caching.identity import class_name, has_own_repr, may_be_text
from flask_caching.memoized import MemoizePolicy

from .calls import Call, blank, call_of, owners_of, parameters_of, subclasses_of, with_argument
from .checking import Audit
from .subjects import Helper
from .written import name_of

__all__ = ["check_identities", "identity_of"]

#: Classes of one method that are told of, at most.
_TOLD: Final = 3


def identity_of(cls: type[Any]) -> Literal["address", "repr", ""]:
    """What tells the objects of a class apart in a key; empty if it is something better.

    The encoder itself is asked: two objects that were never initialised have nothing to differ in,
    so that where their encodings differ it is by their addresses.
    """
    if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False) or may_be_text(cls):
        return ""
    one, other = blank(cls), blank(cls)
    if one is None or other is None:
        return ""
    try:
        encodings = encode(one), encode(other)
    except UncacheableArgument:
        # It cannot be cached at all, which is said at each call.
        return ""
    except Exception:
        # A __caching_id__ that needs attributes: an identity of its own.
        return ""
    if encodings[0].data == encodings[1].data:
        by_repr = any(finding.kind == "repr" for finding in encodings[0].findings)
        return "repr" if by_repr else ""
    return "repr" if has_own_repr(cls) and not _prints(one) else "address"


def _prints(value: object) -> bool:
    """Whether an object that was never initialised can print itself."""
    try:
        repr(value)
    except Exception:
        # Its repr needs attributes: the objects of the application have them.
        return False
    return True


def check_identities(audit: Audit) -> None:
    """Find the objects that memoized functions take and that have no identity of their own."""
    for policy in audit.place.registry.policies():
        decorated = policy.decorated()
        if isinstance(policy, MemoizePolicy) and decorated is not None:
            _check(audit, policy, decorated)


def _check(audit: Audit, policy: MemoizePolicy, decorated: Any) -> None:
    call = call_of(policy, audit.place.registry)
    for name, cls in _objects(audit, policy):
        if name in policy.options.args_to_ignore:
            continue
        for kind in _kinds(policy, name, cls)[:_TOLD]:
            identity = identity_of(kind)
            if identity:
                _tell(audit, Helper(policy, decorated), call, name, kind, identity)


def _objects(audit: Audit, policy: MemoizePolicy) -> Iterator[tuple[str, type[Any]]]:
    """The classes of a method's instances, and those that parameters are annotated with."""
    if policy.binder.takes_self:
        for owner in owners_of(policy, audit.place.registry):
            yield "self", owner
    for parameter in parameters_of(policy):
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            for cls in _classes(_hint(policy.function, parameter.annotation)):
                yield parameter.name, cls


def _hint(function: Any, annotation: Any) -> Any:
    """What an annotation stands for; ``None`` if that cannot be told."""
    if annotation is inspect.Parameter.empty:
        return None
    noted = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(noted, getattr(function, "__globals__", {})).get("it")
    except Exception:
        # It may name what exists for type checkers only, or be no type at all.
        return None


def _classes(hint: Any) -> Iterator[type[Any]]:
    """The classes in an annotation, builtins aside."""
    if isinstance(hint, type) and hint.__module__ != "builtins":
        yield hint
    elif typing.get_origin(hint) is not None and not isinstance(hint, type):
        for inner in typing.get_args(hint):
            yield from _classes(inner)


def _kinds(policy: MemoizePolicy, name: str, cls: type[Any]) -> list[type[Any]]:
    """The classes whose objects are really passed: the derived ones, where there are any."""
    derived = subclasses_of(cls)
    if name == "self":
        member = policy.function.__name__
        derived = [each for each in derived if member not in vars(each)]
    return derived or [cls]


def _tell(
    audit: Audit, helper: Helper, call: Call, name: str, cls: type[Any], identity: str
) -> None:
    policy = helper.policy
    calls = [with_argument(call, policy, name, blank(cls)) for _ in range(2)]
    one, other = (
        audit.asker.call(None, helper.decorated, each, each.shown(policy)) for each in calls
    )
    found = class_name(cls)
    message = (
        f"{found} has no identity but the address of its objects, so that {name_of(policy)} never "
        "finds what it stored for an equal one, nor in another process"
        if identity == "address"
        else f"objects of {found} are told apart by their repr() alone, for {name_of(policy)}"
    )
    audit.find(
        f"{identity}-identity",
        policy.target.name,
        policy,
        message,
        answers=(one, other) if identity == "address" and one.key and other.key else None,
        about=name,
        owner=cls.__qualname__,
        argument=name,
    )
