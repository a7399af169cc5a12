"""What a call goes through on its way to a cached function, and what it brings there.

Between Flask's view function and the cache may be partials and bound methods (which add
arguments), a view class (whose object is one) and other people's decorators (of which one cannot
know what they do). A :class:`Way` is one such path; nothing on it is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import CodeType, FunctionType, MethodType
from typing import Any, Generic, Protocol, TypeVar, cast

from flask.views import View

from .identity import type_of
from .views import innermost, inside

__all__ = ["Way", "class_of_view", "decorator_name", "made_by_as_view", "ways"]

#: The functions that ``View.as_view`` makes, of which there may be several kinds.
_VIEW_CODES = frozenset(
    constant
    for constant in cast(Any, View.as_view).__func__.__code__.co_consts
    if isinstance(constant, CodeType)
)

#: What a decorator's own functions are usually called.
_INNER_NAMES = frozenset({"decorate", "decorated", "decorator", "inner", "wrap", "wrapper"})


class HasDecorated(Protocol):
    """A policy, as far as this module looks at it."""

    def decorated(self) -> Any: ...


PolicyT = TypeVar("PolicyT", bound=HasDecorated)
PolicyT_co = TypeVar("PolicyT_co", bound=HasDecorated, covariant=True)


class _ViewObject:
    """Stands for the object of a view class among the arguments, until it is needed."""

    def __init__(self, view: Any, view_class: type[Any]) -> None:
        self._view = view
        self._class = view_class
        #: Whether another request would get another object.
        self.fresh = True
        #: Whether it can be made as Flask makes it.
        self.known = view is not None
        if self.known:
            self.fresh = "self" not in self._cells()

    def make(self) -> Any:
        """The object that Flask would call: the one it keeps, or a new one."""
        if not self.known:
            # An ``as_view`` of the application's own, whose arguments cannot be known.
            return object.__new__(self._class)
        cells = self._cells()
        if not self.fresh:
            return cells["self"]
        # A request gets the class that the view has now: tests put another one in its place.
        view_class = getattr(cells.get("view"), "view_class", self._class)
        return view_class(*cells.get("class_args", ()), **cells.get("class_kwargs", {}))

    def _cells(self) -> dict[str, Any]:
        """The variables of ``as_view`` that its function uses."""
        pairs = zip(self._view.__code__.co_freevars, self._view.__closure__ or (), strict=True)
        return {name: cell.cell_contents for name, cell in pairs}


@dataclass(frozen=True)
class Way(Generic[PolicyT_co]):
    """How a call gets to one cached function.

    Attributes:
        policy: That function's policy.
        leading: Positional arguments that the call gets on its way.
        keywords: Keyword arguments that it gets.
        above: The wrappers on the way that are not ours, outermost first; and the methods that
            call the cached one by ``super()``.
    """

    policy: PolicyT_co
    leading: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])
    above: tuple[Any, ...] = ()

    def call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that a call with these would have when it arrives.

        Makes the object of a view class as Flask does for each request.
        """
        leading = tuple(
            item.make() if isinstance(item, _ViewObject) else item for item in self.leading
        )
        return (*leading, *args), {**self.keywords, **kwargs}

    @property
    def makes_object(self) -> bool:
        """Whether each request gets a new object of a view class."""
        return any(isinstance(item, _ViewObject) and item.fresh for item in self.leading)

    def notes(self) -> Iterator[str]:
        """What was not run, in sentences."""
        if self.above:
            names = ", ".join(map(decorator_name, self.above))
            yield (
                f"above the cache and not run: {names}; it may answer by itself, or pass other "
                "arguments on"
            )
        if any(isinstance(item, _ViewObject) and not item.known for item in self.leading):
            yield "the view object could not be made as as_view() makes it: it has no attributes"


@dataclass(frozen=True)
class _Carried:
    """What a call has got so far on its way."""

    args: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])
    above: tuple[Any, ...] = ()


_NOTHING = _Carried()


def ways(
    function: Any, policy_at: Callable[[Any], PolicyT | None], method: str = "GET"
) -> list[Way[PolicyT]]:
    """The ways of a call to the cached functions that it goes through, outermost first.

    Those of a class's view are the ones of its decorators, of ``dispatch_request``, and of the
    member for the request's method; what decorates the other members has no part in it.

    Args:
        function: A view function, or any other callable.
        policy_at: The policy of a decorated function; ``None`` for any other object.
        method: The request method.
    """
    return list(_Walk(policy_at, method).along(function, _NOTHING))


class _Walk(Generic[PolicyT]):
    """One search for ways."""

    def __init__(self, policy_at: Callable[[Any], PolicyT | None], method: str) -> None:
        self._policy_at = policy_at
        self._method = method
        self._seen: set[int] = set()

    def along(self, found: Any, carried: _Carried) -> Iterator[Way[PolicyT]]:
        """The ways from here on, for a call that carries so much."""
        if id(found) in self._seen:
            return
        self._seen.add(id(found))
        kind = type_of(found)
        if kind is MethodType:
            bound = replace(carried, args=(found.__self__, *carried.args))
            yield from self.along(found.__func__, bound)
            return
        if issubclass(kind, functools.partial):
            filled = replace(
                carried,
                args=(*found.args, *carried.args),
                keywords={**found.keywords, **carried.keywords},
            )
            yield from self.along(found.func, filled)
            return
        policy = self._policy_at(found)
        if policy is not None:
            yield Way(policy, carried.args, carried.keywords, carried.above)
        elif made_by_as_view(found):
            yield from self._into_class(found, class_of_view(found), carried)
            return
        yield from self._inside(found, carried, is_ours=policy is not None)

    def _inside(self, found: Any, carried: _Carried, *, is_ours: bool) -> Iterator[Way[PolicyT]]:
        """The ways through a decorator's wrapper."""
        passed = carried
        if not is_ours:
            passed = replace(carried, above=(*carried.above, found))
        before = len(self._seen)
        for part in inside(found):
            yield from self.along(part, passed)
        view_class = getattr(found, "__dict__", {}).get("view_class")
        if view_class is not None and len(self._seen) == before:
            # An ``as_view`` that is not Flask's.
            yield from self._into_class(None, view_class, carried)

    def _into_class(
        self, view: Any, view_class: type[Any] | None, carried: _Carried
    ) -> Iterator[Way[PolicyT]]:
        """The ways through the methods of a view class that Flask calls for the request."""
        if view_class is None:
            return
        made = _ViewObject(view, view_class)
        # Flask 2.2 and later pass on keywords only; and nobody else can pass anything.
        start = replace(carried, args=())
        handler = self._method.lower()
        if self._method == "HEAD" and not hasattr(view_class, handler):
            handler = "get"
        for name in ("dispatch_request", handler):
            yield from self._into_member(view_class, name, made, start)

    def _into_member(
        self, view_class: type[Any], name: str, made: _ViewObject, carried: _Carried
    ) -> Iterator[Way[PolicyT]]:
        """The ways through a method, and those that it calls by ``super()``."""
        for cls in view_class.__mro__[:-1]:
            if name not in vars(cls):
                continue
            member: Any = vars(cls)[name]
            kind = type_of(member)
            receiver: tuple[Any, ...] = ()
            if kind is classmethod:
                receiver = (view_class,)
            elif kind is not staticmethod and hasattr(kind, "__get__"):
                receiver = (made,)
            function: Any = member.__func__ if kind in (classmethod, staticmethod) else member
            yield from self.along(function, replace(carried, args=receiver))
            if not _calls_super(function, name):
                return
            if not self._is_ours(function):
                carried = replace(carried, above=(*carried.above, function))

    def _is_ours(self, function: Any) -> bool:
        return self._policy_at(function) is not None


def made_by_as_view(function: Any) -> bool:
    """Whether Flask's ``View.as_view`` made a function, which only calls methods of a class.

    Its closure has the decorated view in it, which is around it and not inside.
    """
    return type_of(function) is FunctionType and function.__code__ in _VIEW_CODES


def class_of_view(view: FunctionType) -> type[Any] | None:
    """The class of a function that ``as_view`` made, which knows it by its closure."""
    for name, cell in zip(view.__code__.co_freevars, view.__closure__ or (), strict=True):
        if name == "view":
            return cast("type[Any] | None", getattr(cell.cell_contents, "view_class", None))
        if name == "self":
            return type(cast("object", cell.cell_contents))
    return None


def _calls_super(function: Any, name: str) -> bool:
    """Whether a method calls the one that it overrides, as far as its code shows."""
    code = getattr(innermost(function), "__code__", None)
    return code is not None and "__class__" in code.co_freevars and name in code.co_names


def decorator_name(wrapper: Any) -> str:
    """What the decorator that made a wrapper is called, with its module, as far as it shows.

    ``functools.wraps`` gives a wrapper the name of what it wraps; its code keeps its own.
    """
    code = getattr(wrapper, "__code__", None)
    if code is None:
        kind = type_of(wrapper)
        return f"{kind.__module__}.{kind.__qualname__}"
    scopes = code.co_qualname.split(".<locals>.")
    if len(scopes) > 1:
        scopes.pop()
    while len(scopes) > 1 and scopes[-1] in _INNER_NAMES:
        scopes.pop()
    module = wrapper.__globals__.get("__name__", "")
    return f"{module}.{'.<locals>.'.join(scopes)}"
