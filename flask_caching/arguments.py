"""From a call to its identity: arguments bound to their parameters, and their canonical bytes.

``f(1, 2)``, ``f(1, b=2)`` and ``f(a=1, b=2)`` are one call, and so is ``f(1)`` where ``b`` is 2
by default. Every parameter counts: positional-only ones, ``*args`` and ``**kwargs`` too.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping
from marshal import dumps
from reprlib import Repr
from types import FunctionType
from typing import Any, NamedTuple

from .encoding import Encoding, Finding, Writer, encode, encode_named
from .identity import SCALARS, function_parts, qualified_name

__all__ = [
    "Binder",
    "Encoding",
    "Finding",
    "FunctionIdentity",
    "encode",
    "identify",
    "instance_token",
    "witness_arguments",
]

_EMPTY = inspect.Parameter.empty
_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD

_NO_KEYWORDS: Mapping[str, Any] = {}
_NOTHING: tuple[tuple[str, ...], frozenset[str]] = ((), frozenset())

#: The longest value that an explanation shows, in characters.
_SHOWN = 80

_printer = Repr()
_printer.maxstring = _printer.maxother = _printer.maxlong = _SHOWN
_printer.maxlevel = 3


class FunctionIdentity(NamedTuple):
    """What tells one decorated function from another.

    Attributes:
        name: ``module.qualname``.
        data: Canonical bytes of the name, the code and the free variables that cannot change.
        left_out: The free variables that are not part of it.
    """

    name: str
    data: bytes
    left_out: tuple[str, ...]


def identify(function: object) -> FunctionIdentity:
    """Tell a function from all others; read at decoration, since a closure changes later.

    A partial object or another callable object counts by its value, like an argument.

    Raises:
        UncacheableArgument: If a callable object has no identity.
    """
    writer = Writer(functions_in_part=True)
    if type(function) is FunctionType:
        parts, left_out = function_parts(function, defaults=False)
        return FunctionIdentity(qualified_name(function), writer.value(parts), left_out)
    data = writer.named(function, "function")
    return FunctionIdentity(qualified_name(function), data, tuple(writer.left_out))


def instance_token(obj: object, *, strict: bool = False) -> str:
    """A hash, in hex, of the object that a bound method belongs to.

    Raises:
        UncacheableArgument: If the object has no identity.
    """
    data = encode_named((("self", obj),), strict=strict).data
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def witness_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    """An identity of call arguments that is cheap to make and to compare with ``==``.

    Unlike a key's, it never rings a false alarm: an object known only by its address counts
    as any object of its type, and nothing is refused.

    Args:
        args: Positional arguments, or what :meth:`Binder.bind` returned.
        kwargs: Keyword arguments, in any order.

    Returns:
        A tuple for plain arguments, else bytes.
    """
    items = tuple(sorted(kwargs.items())) if len(kwargs) > 1 else tuple(kwargs.items())
    values = (*args, *[value for _, value in items]) if items else args
    kinds = tuple(map(type, values))
    # A NaN is not equal to itself, so it is compared as bytes.
    if SCALARS.issuperset(kinds) and not (
        (float in kinds or complex in kinds) and any(value != value for value in values)
    ):
        return (args, items, kinds)
    writer = Writer(placeholders=True)
    try:
        return writer.value((args, dict(items)))
    except RecursionError:
        return b""


class Binder:
    """Binds the calls of one function; made once, at decoration.

    A function made with ``functools.wraps`` is bound by the signature it shows, that of the
    function inside; a call which does not fit that one (because the wrapper supplies an
    argument, say) is bound by the wrapper's own.

    Args:
        function: Any callable. One without a readable signature (some builtins) has its
            arguments taken as they are given.
        ignore: Names that do not count: parameters, those of ``*args`` and ``**kwargs``
            included, or keys within ``**kwargs``.

    Attributes:
        parameters: The names of the parameters, the ignored ones too.
        first: ``"self"`` or ``"cls"`` if the first positional parameter is called so, else
            ``""``.
        takes_self: Whether the first positional parameter is called ``self``.
        takes_cls: Whether the first positional parameter is called ``cls``.
    """

    __slots__ = (
        "_completions",
        "_inner",
        "_outer",
        "first",
        "parameters",
        "takes_cls",
        "takes_self",
    )

    def __init__(self, function: Callable[..., Any], ignore: Iterable[str] = ()) -> None:
        ignored = frozenset(ignore)
        name = qualified_name(function).rpartition(".")[2]
        signature = _signature(function, follow=True)
        self._inner = _Layout(name, signature, ignored)
        self._outer: _Layout | None = None
        if hasattr(function, "__wrapped__"):
            own = _signature(function, follow=False)
            if own != signature:
                self._outer = _Layout(name, own, ignored)
        self._completions = self._inner.completions
        self.parameters = self._inner.parameters
        positional = self._inner.positional
        self.first = positional[0] if positional and positional[0] in ("self", "cls") else ""
        self.takes_self = self.first == "self"
        self.takes_cls = self.first == "cls"

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments that count, in the order of the parameters, defaults applied.

        ``*args`` is one tuple among them, ``**kwargs`` one dictionary.

        Raises:
            TypeError: If the call does not fit the signature.
        """
        return self._bind(args, kwargs)[1]

    def encode(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, strict: bool = False
    ) -> Encoding:
        """Canonical bytes of a call's arguments: those of the tuple that :meth:`bind` returns.

        Raises:
            TypeError: If the call does not fit the signature.
            UncacheableArgument: If an argument has no identity.
        """
        layout, bound = self._bind(args, kwargs)
        if SCALARS.issuperset(map(type, bound)):
            return Encoding(dumps(bound, 2), ())
        named = zip(layout.names(bound), bound, strict=True)
        return encode_named(named, strict=strict, defaults=layout.default_names)

    def encode_plain(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes | None:
        """What :meth:`encode` makes of a usual call whose arguments are plain values.

        Returns:
            ``None`` for any other call. Most calls of memoized functions are of this kind, and
            their hits should not pay for the rest.
        """
        if kwargs:
            bound = self._inner.bind_named(args, kwargs)
            if bound is None:
                return None
        else:
            completion = self._completions.get(len(args))
            if completion is None:
                return None
            bound = args + completion
        mask = self._inner.mask
        if mask is not None:
            bound = tuple(itertools.compress(bound, mask))
        for value in bound:
            if type(value) not in SCALARS:
                return None
        return dumps(bound, 2)

    def describe(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Names and short printable forms of the arguments that count, for an explanation.

        A call that does not fit the signature is shown as it is.
        """
        try:
            layout, bound = self._bind(args, kwargs)
        except TypeError:
            layout = _Layout("", None, frozenset())
            bound = layout.bind(args, kwargs)
        shown: list[tuple[str, str]] = []
        for name, value in zip(layout.names(bound), bound, strict=True):
            if name == layout.var_keyword:
                shown.extend((key, _printable(value[key])) for key in sorted(value))
            elif name:
                shown.append((name, _printable(value)))
        return shown

    def _bind(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[_Layout, tuple[Any, ...]]:
        if self._outer is None:
            return self._inner, self._inner.bind(args, kwargs)
        try:
            return self._inner, self._inner.bind(args, kwargs)
        except TypeError:
            # Longer than any tuple bound by the inner signature, so never equal to one.
            padding = (None,) * (self._inner.width + 1)
            return self._outer, padding + self._outer.bind(args, kwargs)


class _Layout:
    """One signature, prepared for binding.

    Args:
        name: The function's, for messages.
        signature: ``None`` takes arguments as they are given.
        ignored: Names that do not count.
    """

    def __init__(
        self, name: str, signature: inspect.Signature | None, ignored: frozenset[str]
    ) -> None:
        self.name = name
        self.ignored = ignored
        self.positional: list[str] = []
        self.by_keyword: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.var_positional = "" if signature else "args"
        self.var_keyword = "" if signature else "kwargs"
        self.unnamed = 0
        for parameter in signature.parameters.values() if signature else ():
            self._add(parameter)
        self.default_names = {id(value): name for name, value in self.defaults.items()}
        self.parameters = tuple(signature.parameters) if signature else ()
        self.accepted = frozenset((*self.positional[self.unnamed :], *self.by_keyword))
        order = [*self.positional, self.var_positional, *self.by_keyword, self.var_keyword]
        order = [parameter for parameter in order if parameter]
        self.kept = tuple([parameter for parameter in order if parameter not in ignored])
        self.width = len(self.kept)
        #: Which of the arguments count, where not all do.
        self.mask = None if self.kept == tuple(order) else [name not in ignored for name in order]
        #: What completes a call without keywords, by the number of its arguments.
        self.completions = self._complete()
        #: The parameters after so many arguments, and those that a keyword may name.
        self.remaining = self._remain()

    def _add(self, parameter: inspect.Parameter) -> None:
        name, kind = parameter.name, parameter.kind
        if kind is _VAR_POSITIONAL:
            self.var_positional = name
        elif kind is _VAR_KEYWORD:
            self.var_keyword = name
        elif kind is _KEYWORD_ONLY:
            self.by_keyword.append(name)
        else:
            self.positional.append(name)
            self.unnamed += kind is _POSITIONAL_ONLY
        if parameter.default is not _EMPTY:
            self.defaults[name] = parameter.default

    def _complete(self) -> dict[int, tuple[Any, ...]]:
        if self.var_keyword or any(name not in self.defaults for name in self.by_keyword):
            return {}
        tail: list[Any] = [()] if self.var_positional else []
        tail.extend(self.defaults[name] for name in self.by_keyword)
        completions = {len(self.positional): tuple(tail)}
        for given in reversed(range(len(self.positional))):
            if self.positional[given] not in self.defaults:
                break
            tail.insert(0, self.defaults[self.positional[given]])
            completions[given] = tuple(tail)
        return completions

    def _remain(self) -> dict[int, tuple[tuple[str, ...], frozenset[str]]]:
        if self.var_positional or self.var_keyword:
            return {}
        names = (*self.positional, *self.by_keyword)
        return {
            given: (names[given:], self.accepted.intersection(names[given:]))
            for given in range(len(self.positional) + 1)
        }

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments that count; see :meth:`Binder.bind`."""
        bound = self._bind_quickly(args, kwargs)
        if bound is None:
            bound = self._bind_any(args, kwargs)
        return bound if self.mask is None else tuple(itertools.compress(bound, self.mask))

    def _bind_quickly(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """The usual calls of the usual signatures; ``None`` where more work is needed."""
        if kwargs:
            return self.bind_named(args, kwargs)
        completion = self.completions.get(len(args))
        return None if completion is None else args + completion

    def bind_named(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...] | None:
        """All the arguments of a usual call with keywords; ``None`` where more work is needed."""
        names, accepted = self.remaining.get(len(args), _NOTHING)
        if not kwargs.keys() <= accepted:
            return None
        defaults = self.defaults
        try:
            rest = [kwargs[name] if name in kwargs else defaults[name] for name in names]
        except KeyError:
            return None
        return (*args, *rest)

    def _bind_any(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        count = len(self.positional)
        bound = list(args[:count])
        for index, name in enumerate(self.positional):
            named = kwargs if index >= self.unnamed else _NO_KEYWORDS
            if index >= len(args):
                bound.append(self._take(name, named))
            elif name in named:
                raise self._misfit(f"got multiple values for argument {name!r}")
        if self.var_positional:
            bound.append(args[count:])
        elif len(args) > count:
            raise self._misfit(f"takes {count} positional arguments but {len(args)} were given")
        bound.extend([self._take(name, kwargs) for name in self.by_keyword])
        extra = {name: kwargs[name] for name in kwargs if name not in self.accepted}
        if self.var_keyword:
            bound.append({name: extra[name] for name in extra if name not in self.ignored})
        elif extra:
            raise self._misfit(f"got an unexpected keyword argument {next(iter(extra))!r}")
        return tuple(bound)

    def names(self, bound: tuple[Any, ...]) -> tuple[str, ...]:
        """A name for each of the arguments; for the padding of an outer signature none."""
        return ("",) * (len(bound) - self.width) + self.kept

    def _take(self, name: str, kwargs: Mapping[str, Any]) -> Any:
        if name in kwargs:
            return kwargs[name]
        if name in self.defaults:
            return self.defaults[name]
        raise self._misfit(f"missing a required argument: {name!r}")

    def _misfit(self, problem: str) -> TypeError:
        return TypeError(f"{self.name}() {problem}")


def _signature(function: Callable[..., Any], *, follow: bool) -> inspect.Signature | None:
    """The signature, its annotations left unevaluated; ``None`` if it cannot be read."""
    options: dict[str, Any] = {"follow_wrapped": follow}
    if sys.version_info >= (3, 14):
        import annotationlib

        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except (TypeError, ValueError):
        return None


def _printable(value: object) -> str:
    try:
        text = _printer.repr(value)
    except Exception as error:
        # An explanation must not fail because an object cannot print itself.
        text = f"<{type(value).__qualname__}: {type(error).__name__} in its repr>"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
