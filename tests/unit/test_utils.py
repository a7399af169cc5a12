"""Helpers that applications import."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from flask_caching.utils import (
    function_namespace,
    get_arg_default,
    get_arg_names,
    get_id,
    make_template_fragment_key,
    normalize_timeout,
    query_args_as_pairs,
    wants_args,
    wants_extra_args,
)

# Timeouts.


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (None, None),
        (0, 0),
        (60, 60),
        (-1, -1),
        (60.0, 60),
        (0.5, 0.5),
        ("60", 60),
        (" 1.5 ", 1.5),
        (timedelta(hours=1), 3600),
        (timedelta(milliseconds=1), 0.001),
        (Fraction(1, 2), 0.5),
    ],
)
def test_a_timeout_is_seconds(timeout: Any, seconds: float | None) -> None:
    """Whole seconds are integers; a part of a second is neither lost nor made never."""
    found = normalize_timeout(timeout)
    assert found == seconds
    assert type(found) is type(seconds)


@pytest.mark.parametrize("timeout", [True, False, "soon", "", "nan", float("inf"), [], Decimal(1)])
def test_what_is_no_timeout_is_refused(timeout: Any) -> None:
    """True is not a second, and never is 0."""
    with pytest.raises((TypeError, ValueError), match="timeout"):
        normalize_timeout(timeout)


# Names of functions.


class Thing:
    def __repr__(self) -> str:
        return "<Thing no. 1>"

    def method(self, a: int) -> None: ...

    @classmethod
    def create(cls) -> None: ...

    @staticmethod
    def static(a: int) -> None: ...


class Named(Thing):
    def __caching_id__(self) -> int:
        return 17


class Empty(Thing):
    def __len__(self) -> int:
        return 0


def function(a: int, b: int = 2, *, c: int = 3) -> None: ...


def factory() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


PREFIX = __name__


@pytest.mark.parametrize(
    ("target", "args", "name", "instance"),
    [
        (function, None, "function", None),
        (factory(), None, "factory.locals.inner", None),
        (Thing.method, None, "Thing.method", None),
        (Thing.method, (Thing(), 1), "Thing.method", "Thing.method.Thingno.1"),
        (Thing().method, None, "Thing.method", "Thing.method.Thingno.1"),
        (Named().method, None, "Thing.method", "Thing.method.17"),
        (Empty().method, None, "Thing.method", "Thing.method.Thingno.1"),
        (Thing.static, None, "Thing.static", None),
        (Thing.create.__func__, (Thing,), "Thing.create", None),  # type: ignore[attr-defined]
    ],
)
def test_a_function_s_namespace(target: Any, args: Any, name: str, instance: str | None) -> None:
    """The text is what the released library makes, so that keys made of it are found."""
    expected = instance and f"{PREFIX}.{instance}"
    assert function_namespace(target, args) == (f"{PREFIX}.{name}", expected)


def test_a_class_method_needs_its_class() -> None:
    """Without it the namespace would be that of any class."""
    unbound = Thing.create.__func__  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="give the class as the first argument"):
        function_namespace(unbound)


def test_only_the_characters_the_released_library_drops_are_dropped() -> None:
    """It looks at the first 256 characters; a name in another script stays."""

    def mañana_日本() -> None: ...

    mañana_日本.__qualname__ = "mañana_日本"
    assert function_namespace(mañana_日本)[0] == f"{PREFIX}.maana_日本"


def test_parameters() -> None:
    """Names, defaults, and whether there are any."""
    assert get_arg_names(function) == ["a", "b"]
    assert [get_arg_default(function, position) for position in range(3)] == [None, 2, 3]
    assert (wants_args(function), wants_extra_args(function)) == (True, True)
    assert (wants_args(factory), wants_extra_args(factory)) == (False, False)
    assert wants_extra_args(lambda a: a) is False
    assert wants_args(lambda *, a: a) is False


def test_an_identity_of_its_own_wins() -> None:
    """__caching_id__ is what an object says it is."""
    assert (get_id(Thing()), get_id(Named())) == ("<Thing no. 1>", "17")


# Template fragments.


@pytest.mark.parametrize(
    ("args", "key"),
    [
        (("name",), "_template_fragment_cache_name"),
        (("name", None), "_template_fragment_cache_name"),
        (("name", []), "_template_fragment_cache_name"),
        (("some/template.html12",), "_template_fragment_cache_some/template.html12"),
        (("name", ["a", "b"]), "_template_fragment_cache_name:a:b"),
        (("name", "ab"), "_template_fragment_cache_name:ab"),
        (("a:b", ["c!d", "5%"]), "_template_fragment_cache_a%3Ab:c%21d:5%25"),
        (("Hello!", [Markup("<b>")]), "_template_fragment_cache_Hello!:<b>"),
    ],
)
def test_the_key_of_a_fragment(args: Any, key: str) -> None:
    """Without parts it is the released text, which applications write by hand."""
    assert make_template_fragment_key(*args) == key


def test_vary_parts_do_not_run_together() -> None:
    """Hazard 12."""
    assert make_template_fragment_key("f", ["a_b", "c"]) != make_template_fragment_key(
        "f", ["a", "b_c"]
    )


names = st.text(alphabet="ab_:!%3A", max_size=4)
parts = names | st.integers(-2, 2) | st.booleans() | st.none() | st.floats(-2, 2).map(round)
fragments = st.tuples(names, st.lists(parts, max_size=3))


def typed(fragment: tuple[str, list[Any]]) -> Any:
    """A fragment with the types of its parts, since 1 and True are equal."""
    return fragment[0], [(type(part), part) for part in fragment[1]]


@given(st.lists(fragments, min_size=2, max_size=12))
def test_different_fragments_have_different_keys(found: list[tuple[str, list[Any]]]) -> None:
    """The map from name and parts to key is injective."""
    keys: dict[str, Any] = {}
    for name, vary in found:
        key = make_template_fragment_key(name, vary)
        assert keys.setdefault(key, typed((name, vary))) == typed((name, vary))


def test_a_part_that_is_no_string_keeps_its_type() -> None:
    """The text "1", the number 1 and True are different users."""
    keys = {
        make_template_fragment_key("f", [part]) for part in ("1", 1, 1.0, True, None, (1,), b"1")
    }
    assert len(keys) == 7
    assert make_template_fragment_key("f", [{"b": 1, "a": 2}]) == make_template_fragment_key(
        "f", [{"a": 2, "b": 1}]
    )


# Query arguments.


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ("?a=1&b=&a=2", [("a", "1"), ("b", ""), ("a", "2")]),
        ("a=1", [("a", "1")]),
        ("", []),
        ({"a": 1, "b": "x"}, [("a", "1"), ("b", "x")]),
        ({"a": [1, 2], "b": (3,)}, [("a", "1"), ("a", "2"), ("b", "3")]),
        (MultiDict([("a", "1"), ("b", "2"), ("a", "3")]), [("a", "1"), ("a", "3"), ("b", "2")]),
        ([("a", 1), ("a", 2)], [("a", "1"), ("a", "2")]),
    ],
)
def test_query_arguments_as_pairs(given: Any, pairs: list[tuple[str, str]]) -> None:
    """Repeated parameters stay repeated, whatever they are given as."""
    assert query_args_as_pairs(given) == pairs
