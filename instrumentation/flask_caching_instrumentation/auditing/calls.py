"""Calls that nobody makes: arguments for a decorated function, and its key under them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy, Registry
from flask_caching.views import callables_behind

from .written import name_of

__all__ = ["Call", "blank", "call_of", "parameters_of", "with_argument"]

#: ``Py_TPFLAGS_HEAPTYPE`` of CPython's object.h: set for classes made at run time.
_HEAP_TYPE: Final = 1 << 9


@dataclass(frozen=True)
class Call:
    """The arguments of a call.

    Attributes:
        args: By position; the instance or class of a method first.
        kwargs: By keyword.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def shown(self, policy: Policy) -> str:
        """The call, as one would write it."""
        name, args = name_of(policy), self.args
        first = parameters_of(policy)[:1]
        if args and first and first[0].name in ("self", "cls"):
            owner, _, method = name.rpartition(".")
            made = "()" if first[0].name == "self" else ""
            name, args = f"{owner.rpartition('.')[2]}{made}.{method}", args[1:]
        given = [_written(value) for value in args]
        given += [f"{key}={_written(value)}" for key, value in self.kwargs.items()]
        return f"{name}({', '.join(given)})"


def _written(value: object) -> str:
    """A value in a call: plain ones as they are, an object by its class."""
    plain = isinstance(value, str | int | float | bool | None)
    return repr(value) if plain else f"{type(value).__qualname__}()"


def parameters_of(policy: Policy) -> list[inspect.Parameter]:
    """The parameters of a decorated function; none if they cannot be told."""
    try:
        return list(inspect.signature(policy.function).parameters.values())
    except (TypeError, ValueError, NameError):
        # NameError: annotations that exist for type checkers only.
        return []


def call_of(policy: Policy, registry: Registry) -> Call:
    """A call with a plain value for each parameter that must be given."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for number, parameter in enumerate(parameters_of(policy)):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if number == 0 and parameter.name in ("self", "cls"):
            args.append(_receiver(parameter.name, policy, registry))
        elif parameter.default is not parameter.empty:
            continue
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = 1
        else:
            args.append(1)
    return Call(tuple(args), kwargs)


def with_argument(call: Call, policy: Policy, name: str, value: Any) -> Call:
    """The call with another value of one parameter, which takes one by position or keyword."""
    names = [parameter.name for parameter in parameters_of(policy)]
    at = names.index(name)
    if at < len(call.args):
        return Call((*call.args[:at], value, *call.args[at + 1 :]), call.kwargs)
    return Call(call.args, {**call.kwargs, name: value})


def _receiver(name: str, policy: Policy, registry: Registry) -> Any:
    """What a method is called on: any class or object does, where all calls are on the same."""
    return next(owners_of(policy, registry), object) if name == "cls" else "self"


def blank(cls: type[Any]) -> Any:
    """An instance that was never initialised; ``None`` if none can be made.

    Nothing of the class runs: not its ``__init__``, nor its ``__new__``.
    """
    if hasattr(cls, "__del__"):
        # It would run, on an object that was never made.
        return None
    base: Any = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    try:
        return base.__new__(cls)
    except TypeError:
        # It has abstract methods, or needs arguments.
        return None


def owners_of(policy: Policy, registry: Registry) -> Iterator[type[Any]]:
    """The classes that a decorated method is a member of: their own, not inherited."""
    if not isinstance(policy, MemoizePolicy):
        return
    module = getattr(policy.function, "__module__", None)
    owner = str(getattr(policy.function, "__qualname__", "")).rpartition(".")[0]
    decorated = policy.decorated()
    for cls in _subclasses(object):
        if cls.__qualname__ == owner and cls.__module__ == module:
            members: list[Any] = list(vars(cls).values())
            if any(part is decorated for member in members for part in callables_behind(member)):
                yield cls


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    """All classes below one, each once."""
    pending, seen = [cls], {cls}
    while pending:
        for below in type.__subclasses__(pending.pop()):
            if below not in seen:
                seen.add(below)
                pending.append(below)
                yield below


def subclasses_of(cls: type[Any]) -> list[type[Any]]:
    """The classes derived from one."""
    return list(_subclasses(cls))
