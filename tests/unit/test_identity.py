"""What tells functions, classes and objects from each other."""

from __future__ import annotations

import functools
import gc
import os
import sys
import threading
import types
from collections import namedtuple
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from werkzeug.local import LocalProxy

from flask_caching.arguments import FunctionIdentity, encode, identify
from flask_caching.identity import PerObject, class_name, is_findable, token


def factory(value: Any) -> Any:
    def made(argument: Any) -> Any:
        return (argument, value, {"a", "b", "c"}, argument in {"x", "y", ("z", 1)})

    return made


def passing(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Colour(Enum):
    RED = 1
    BLUE = 2


class Client:
    """An object with state: no part of any function's identity."""

    def fetch(self) -> None: ...

    @classmethod
    def create(cls) -> None: ...


@dataclass(frozen=True)
class Settings:
    size: object


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __caching_id__(self) -> int:
        return self.amount

    def __call__(self, value: int) -> int:
        return value + self.amount


def helper(value: int) -> int:
    return value


def same(left: Any, right: Any) -> bool:
    return identify(left).data == identify(right).data


# Functions.


def test_a_function_is_known_by_its_name() -> None:
    """The name is what a person would call it."""
    identity = identify(factory)
    assert isinstance(identity, FunctionIdentity)
    assert identity.name == f"{__name__}.factory"
    assert identity.left_out == ()
    assert identify(Client.fetch).name == f"{__name__}.Client.fetch"


def test_hazard_10_closures_of_one_factory_differ() -> None:
    """HAZARD 10: two closures over different values are two functions; over one, one."""
    assert same(factory(1), factory(1))
    assert not same(factory(1), factory(2))
    assert not same(factory(1), factory(True))
    assert not same(factory(1), factory("1"))


def test_hazard_10_lambdas_of_a_module_differ() -> None:
    """HAZARD 10: two lambdas in one place differ by their code, constants included."""
    lambdas: list[Any] = [
        lambda a: a + 1, lambda a: a + 2, lambda a: a - 1, lambda a: a.x, lambda a: a.y,
        lambda a: [b for b in a if b], lambda a: [b for b in a if not b], lambda a: "1",
        lambda a: 1, lambda a: 1.0, lambda a: True, lambda *a: 1, lambda a, b: 1, lambda *, a: 1,
        lambda a: (lambda b: 1), lambda a: (lambda b: 2), lambda a, /: 1,
        lambda a: a in {"x", "y"}, lambda a: a in {"x", "z"},
    ]  # fmt: skip
    assert len({identify(function).data for function in lambdas}) == len(lambdas)


def test_hazard_10_a_method_of_a_subclass_differs() -> None:
    """HAZARD 10: functions of one code under two names are two."""

    def make(qualname: str) -> Any:
        def method(self: Any) -> int:
            return 1

        method.__qualname__ = qualname
        return method

    assert not same(make("Base.get"), make("Derived.get"))
    moved = make("Base.get")
    moved.__module__ = "elsewhere"
    assert not same(make("Base.get"), moved)


def test_where_a_function_was_written_does_not_count() -> None:
    """Lines moved by an edit above, and another directory, leave the identity as it is."""

    def compiled(prefix: str, filename: str) -> Any:
        namespace: dict[str, Any] = {"__name__": "somewhere"}
        source = f"{prefix}def f(a):\n    try:\n        return [a for b in a]\n    finally: pass\n"
        exec(compile(source, filename, "exec"), namespace)
        return namespace["f"]

    assert same(compiled("", "one.py"), compiled("\n\n\n", "/two.py"))
    assert not same(compiled("", "one.py"), helper)


def test_defaults_of_the_function_itself_do_not_count() -> None:
    """They are applied as arguments, and encoded with each call."""
    first, second = [(lambda a, b=value: a) for value in (1, 2)]
    assert same(first, second)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a", "b"),
        (b"a", b"b"),
        ((1, ("a",)), (1, ("b",))),
        (frozenset("abc"), frozenset("abd")),
        (Decimal(1), Decimal(2)),
        (date(2024, 1, 1), date(2024, 1, 2)),
        (Colour.RED, Colour.BLUE),
        (range(1), range(2)),
        (int, str),
        (len, print),
        (os, sys),
        (helper, factory),
        (Client.create, Client.fetch),
        (Settings(1), Settings(2)),
        (namedtuple("N", "a")._make([1]), (1,)),
        (lambda a: 1, lambda a: 2),
        (lambda a, b=1: a, lambda a, b=2: a),
        (lambda a, *, b=1: a, lambda a, *, b=2: a),
        (factory(1), factory(2)),
        (functools.partial(helper, 1), functools.partial(helper, 2)),
        (functools.partial(helper, value=1), functools.partial(helper, value=2)),
        (functools.lru_cache(helper), functools.lru_cache(factory)),
        (Adder(1), Adder(2)),
        (Adder(1).__call__, Adder(2).__call__),
        (list[int], list[str]),
    ],
)
def test_free_variables_that_cannot_change_count(one: Any, two: Any) -> None:
    """Plain immutable values, classes, and functions with their own closures and defaults."""
    assert identify(factory(one)).left_out == ()
    assert same(factory(one), factory(one))
    assert not same(factory(one), factory(two))


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"a": 1},
        ([1],),
        Client(),
        Client().fetch,
        Settings([1]),
        (Client(),),
        [].append,
        LocalProxy(lambda: 1),
        LocalProxy(lambda: helper),
    ],
)
def test_free_variables_that_can_change_are_left_out_by_name(value: Any) -> None:
    """What may change later, or is only an address, is named instead."""
    assert identify(factory(value)).left_out == ("value",)


def test_what_inner_functions_leave_out_has_a_dotted_name() -> None:
    """The audit can say which variable of which function it was."""
    inner: Any = lambda a, b=[]: a  # noqa: E731
    assert identify(factory(factory([1]))).left_out == ("value.value",)
    assert identify(factory(inner)).left_out == ("value.b",)
    assert identify(factory(functools.partial(helper, [1]))).left_out == ("value",)


def test_the_closure_is_read_at_decoration() -> None:
    """A variable rebound later does not change what was read."""
    count = 1

    def counted() -> int:
        return count

    before = identify(counted)
    count = 2
    assert before == identify(counted)._replace(data=before.data)
    assert before.data != identify(counted).data


def test_wrappers_are_themselves_under_the_name_they_show() -> None:
    """A wrapper differs from what it wraps, and wrappers of different functions differ."""
    assert identify(passing(helper)).name == f"{__name__}.helper"
    assert not same(passing(helper), helper)
    assert same(passing(helper), passing(helper))
    assert not same(passing(factory(1)), passing(factory(2)))
    assert not same(passing(passing(helper)), passing(helper))


def test_a_wrapper_that_keeps_its_function_elsewhere_still_differs() -> None:
    """``__wrapped__`` counts where the closure does not hold the wrapped function."""

    def registered(function: Any) -> Any:
        box = [function]

        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return box[0](*args)

        return wrapper

    assert not same(registered(factory(1)), registered(factory(2)))
    assert identify(registered(factory(1))).left_out == ("box",)


def test_recursive_closures_end() -> None:
    """A function that refers to itself, or two to each other, are taken apart once."""

    def countdown(n: int) -> int:
        return 0 if n == 0 else countdown(n - 1)

    def make(value: int) -> Any:
        def even(n: int) -> bool:
            return n == value or odd(n - 1)

        def odd(n: int) -> bool:
            return n != value and even(n - 1)

        return even

    assert identify(countdown).left_out == ()
    assert same(make(0), make(0))
    assert not same(make(0), make(1))


def test_many_paths_to_one_function_are_followed_once() -> None:
    """Functions that share helpers cost time by their number, not by their paths."""

    def joined(left: Any, right: Any) -> Any:
        return lambda: (left, right)

    function = helper
    for _ in range(60):
        function = joined(function, function)
    assert identify(function).left_out == ()


def test_empty_cells_are_left_out() -> None:
    """A variable without a value yet is named; a function's own name and ``super`` are not."""

    def early() -> Any:
        def uses() -> Any:
            return later

        identity = identify(uses)
        later = 1
        return identity, later

    assert early()[0].left_out == ("later",)
    found: list[FunctionIdentity] = []

    def record(function: Any) -> Any:
        found.append(identify(function))
        return function

    @record
    def recursive(n: int) -> int:
        return recursive(n - 1)

    class Derived(Client):
        @record
        def fetch(self) -> None:
            super().fetch()

    assert [identity.left_out for identity in found] == [(), ()]


def test_partials_callable_objects_and_builtins_have_identities() -> None:
    """Whatever can be called can be identified."""
    callables: list[Any] = [
        helper, functools.partial(helper), functools.partial(helper, 1), functools.partial(helper,
        [1]),
        functools.partial(factory, 1), Adder(1), Adder(2), Client, len, str.upper, "a".upper,
        [].append,
        Client.create, Client().fetch, functools.lru_cache(helper), passing(helper), factory(1),
    ]  # fmt: skip
    identities = [identify(function) for function in callables]
    assert len({identity.data for identity in identities}) == len(callables)
    names = [identity.name for identity in identities]
    assert names[1] == names[2] == names[14] == f"{__name__}.helper"
    assert names[5] == f"{__name__}.Adder"
    assert names[7:9] == [f"{__name__}.Client", "builtins.len"]
    assert identify(functools.partial(factory([1]), 2)).left_out == ("value",)
    assert same(functools.partial(helper, {1, 2}), functools.partial(helper, {2, 1}))
    assert same(Adder(1), Adder(1))


# Classes.


def test_classes_of_one_name_are_told_apart() -> None:
    """A class made inside a function is not the one that the next call makes."""

    def make() -> Any:
        @dataclass
        class Local:
            x: int = 1

        return Local

    first, second = make(), make()
    assert class_name(first) == class_name(second)
    assert encode(first).data == encode(first).data != encode(second).data
    assert encode(first()).data == encode(first()).data != encode(second()).data
    assert {finding.kind for finding in encode(first()).findings} == {"address"}
    assert not same(factory(first), factory(second))


def test_a_name_that_leads_to_its_class_is_enough() -> None:
    """Classes at module level, nested ones and builtins are known by name alone."""
    made_here = type("Client", (), {"__module__": __name__})
    lost = type("Lost", (), {"__module__": "no.such.module"})
    assert all(map(is_findable, [Client, int, type(None), types.FunctionType, Colour, date]))
    assert not any(map(is_findable, [made_here, lost]))
    assert encode(made_here).data != encode(Client).data
    assert encode(Client).findings == ()


# Tokens.


class Thing:
    pass


def test_hazard_8_tokens_die_with_their_object() -> None:
    """HAZARD 8: an address that is used again gets a new token, and the old one is forgotten."""
    names: PerObject[Thing, object] = PerObject(lambda _: object())
    addresses: set[int] = set()
    tokens: list[str] = []
    for _ in range(100):
        thing = Thing()
        addresses.add(id(thing))
        tokens.append(token(thing))
        names.get(thing)
        del thing
    assert len(addresses) < 100, "no address was used again: the test shows nothing"
    assert len(set(tokens)) == 100
    gc.collect()
    assert len(names) == 0


def test_an_object_keeps_its_token_in_all_threads() -> None:
    """Threads that ask for one object's token at once are told the same."""
    things = [Thing() for _ in range(50)]
    start = threading.Barrier(8)
    told: list[list[str]] = []

    def ask() -> None:
        start.wait()
        told.append([token(thing) for thing in things])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8
    assert all(tokens == told[0] for tokens in told)
    assert len(set(told[0])) == 50


def test_equality_and_hash_of_an_object_do_not_matter() -> None:
    """Objects that call themselves equal have a token each; unhashable ones too."""

    class Equal:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    first, second = Equal(), Equal()
    assert token(first) == token(first) != token(second)


def test_what_cannot_be_weakly_referenced_has_no_token() -> None:
    """Without a weak reference a token could outlive its object."""
    with pytest.raises(TypeError, match="weak reference"):
        token(object())


def test_hazard_8_an_entry_of_a_dead_object_is_nobody_elses() -> None:
    """HAZARD 8: at an address used again, the old entry neither answers nor takes the new away."""
    names: PerObject[Thing, object] = PerObject(lambda _: object())
    thing, other = Thing(), Thing()
    stale = names.get(thing)
    (reference, _) = names._known.pop(id(thing))
    names._known[id(other)] = (reference, stale)
    made = names.get(other)
    assert made is not stale
    names._forget(id(other), reference)
    assert names.get(other) is made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_tokens_of_its_own() -> None:
    """After a fork the two copies of an object change apart, so they share no token."""
    thing = Thing()
    before = token(thing)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, token(thing).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        told = answer.read()
    assert len(told) == len(before)
    assert told != before == token(thing)
