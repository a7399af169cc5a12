"""What the audit makes up: values that converters take, and the names of what keys do to them."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter, Map, Rule

from flask_caching_instrumentation.auditing.authnames import auth_check_of, is_auth_name
from flask_caching_instrumentation.auditing.clues import clues_of
from flask_caching_instrumentation.auditing.patterns import matching_texts
from flask_caching_instrumentation.auditing.samples import (
    Sample,
    converters_of,
    sample_of,
    samples_for,
)
from flask_caching_instrumentation.auditing.ways import loss_of


class Date(BaseConverter):
    """A day; there is no 2024-02-31."""

    regex = r"\d{4}-\d{2}-\d{2}"

    def to_python(self, value: str) -> datetime.date:
        return datetime.date.fromisoformat(value)

    def to_url(self, value: datetime.date) -> str:
        return value.isoformat()


class Row(BaseConverter):
    """Something out of a database that has nothing."""

    def to_python(self, value: str) -> Any:
        raise NotFound


class Several(BaseConverter):
    """A list of words."""

    def to_python(self, value: str) -> list[str]:
        return value.split("+")

    def to_url(self, value: list[str]) -> str:
        return "+".join(value)


def converter(written: str) -> Any:
    """The converter of ``<written:value>``."""
    rule = Rule(f"/<{written}:value>")
    Map([rule], converters={"date": Date, "row": Row, "several": Several})
    return converters_of(rule)["value"]


def samples(written: str) -> list[Sample]:
    return samples_for(converter(written))


# Texts for expressions.


@pytest.mark.parametrize(
    "expression",
    [
        r"\d{4}-\d{2}-\d{2}",
        r"[a-z0-9]+(?:-[a-z0-9]+)*",
        r"[A-Z]{3}",
        r"(?:en|de|fr)(?:-[A-Z]{2})?",
        r"[^/]{2,5}",
        r"[^/\s]+",
        r"[0-9a-f]{40}",
        r"(?i:abc|def)",
        r"(?!x)[a-z]+",
        r"v(?P<major>\d+)\.(?P<minor>\d+)",
        r"[0-9]{4}(?:0[1-9]|1[0-2])",
        r"(?>a+)b",
        r"\w+?@\w+",
        r".*?",
    ],
)
def test_texts_match_their_expression_and_differ(expression: str) -> None:
    """Whatever the expression is made of, all of it is matched."""
    texts = matching_texts(expression)
    assert len(set(texts)) == len(texts) >= 2
    assert all(re.fullmatch(expression, text) for text in texts)


@pytest.mark.parametrize("expression", ["(", r"(a)\1", "a{3000}", "(?!a)a"])
def test_what_cannot_be_made_is_no_text(expression: str) -> None:
    """An expression that is wrong, refers back, is very long, or matches nothing."""
    assert matching_texts(expression) == []


# Values for converters.


@pytest.mark.parametrize(
    "written",
    [
        *("int", "int(fixed_digits=3)", "int(min=500, max=600)", "int(signed=True)", "int(max=3)"),
        *("float", "float(min=0.5, max=1.5)", "float(signed=True)"),
        *("string", "string(length=2)", "string(maxlength=5)", "string(minlength=400)", "path"),
        *("uuid", 'any(about, help, "x,y")', "date", "several"),
    ],
)
def test_values_are_different_and_come_back(written: str) -> None:
    """Each is what its converter makes of its text, and no two are equal."""
    found = samples(written)
    made = converter(written)
    assert len(found) >= 3
    for sample in found:
        assert re.fullmatch(made.regex, sample.text)
        assert made.to_python(sample.text) == sample.value
    assert len({repr(sample.value) for sample in found}) == len(found)


def test_there_are_about_thirty_values_for_the_usual_converters() -> None:
    """Enough to meet in what cuts, folds, rounds and buckets."""
    assert all(20 <= len(samples(written)) <= 40 for written in ("int", "string", "path"))
    assert len(samples("float")) >= 15


def test_a_converter_that_refuses_everything_has_no_values() -> None:
    """Whatever it raises, it is its own business."""
    assert samples("row") == []


def test_constants_of_the_code_are_tried_too() -> None:
    """What else would meet a key maker that only knows ``eu``?"""
    assert "eu" in [sample.text for sample in samples_for(converter("string"), ["eu", "a/b"])]
    assert "a/b" not in [sample.text for sample in samples_for(converter("string"), ["a/b"])]


def test_a_text_is_taken_as_it_is_or_not_at_all() -> None:
    """``007`` is ``7`` to a converter of numbers, so it is no value of its own."""
    assert sample_of(converter("int"), "7") == Sample("7", 7)
    assert sample_of(converter("int"), "007") is None
    assert sample_of(converter("int"), "seven") is None


# What is lost.


def loss(written: str, make: Callable[[Any], object]) -> str:
    """The rule that a key maker breaks; empty if it keeps all values apart."""
    found = loss_of([(sample, str(make(sample.value))) for sample in samples(written)])
    return found.rule if found else ""


@pytest.mark.parametrize(
    ("written", "make", "rule"),
    [
        ("int", lambda value: 1, "constant"),
        ("int", lambda value: value // 10, "bucketed"),
        ("int", lambda value: value // 1000, "bucketed"),
        ("int", lambda value: min(value, 100), "bucketed"),
        ("int", lambda value: value or 1, "bucketed"),
        ("int", lambda value: value % 256, "collapsed-argument"),
        ("int", lambda value: str(value)[:2], "truncated"),
        ("int", lambda value: str(value)[-3:], "truncated"),
        ("int(signed=True)", abs, "collapsed-argument"),
        ("float", round, "rounded"),
        ("float", int, "rounded"),
        ("float", lambda value: f"{value:.2f}", "rounded"),
        ("float", lambda value: value // 10, "bucketed"),
        ("string", str.lower, "case-folded"),
        ("string", str.title, "case-folded"),
        ("string", lambda value: value.strip().casefold(), "case-folded"),
        ("string", lambda value: re.sub("[^a-z0-9]+", "-", value.lower()), "case-folded"),
        ("string", str.strip, "collapsed-argument"),
        ("string", lambda value: value.replace(" ", "_"), "collapsed-argument"),
        ("string", lambda value: re.sub(r"\W", "", value), "collapsed-argument"),
        ("string", lambda value: unicodedata.normalize("NFC", value), "collapsed-argument"),
        ("string", lambda value: value.encode("ascii", "ignore"), "collapsed-argument"),
        ("string", len, "collapsed-argument"),
        ("string", lambda value: value[:1], "truncated"),
        ("string", lambda value: value[:8], "truncated"),
        ("string", lambda value: value[:250], "truncated"),
        ("string", lambda value: value[-6:], "truncated"),
        ("string(maxlength=40)", lambda value: value[:20], "truncated"),
        ("string(maxlength=40)", lambda value: value[-20:], "truncated"),
        ("path", lambda value: value.rpartition("/")[2], "collapsed-argument"),
        ("path", lambda value: value.replace("/", "-"), "collapsed-argument"),
        ("uuid", lambda value: str(value)[:8], "truncated"),
        ("uuid", lambda value: str(value)[-12:], "truncated"),
        ("date", lambda value: value.year, "truncated"),
    ],
)
def test_the_way_of_a_loss_is_named(written: str, make: Callable[[Any], object], rule: str) -> None:
    """The values meet, and in which way is what a person would call it."""
    assert loss(written, make) == rule


@pytest.mark.parametrize("written", ["int(signed=True)", "float", "string", "path", "uuid", "date"])
def test_a_key_of_the_value_itself_loses_nothing(written: str) -> None:
    """Nor does one of its hash, or of its text."""
    assert loss(written, lambda value: value) == ""
    assert loss(written, lambda value: hash(repr(value))) == ""


def test_the_shortest_two_values_show_a_loss() -> None:
    """What a person has to read."""
    found = loss_of([(sample, sample.value[:3]) for sample in samples("string")])
    assert found is not None
    assert len(found.first.text) + len(found.second.text) <= 12
    assert found.first.value[:3] == found.second.value[:3]


# Clues.


def test_code_gives_away_names_and_constants() -> None:
    """Those of the functions that it calls too, and of lambdas inside."""

    def region() -> str:
        return {"eu-west": "x"}["eu-west"]

    def make() -> object:
        return lambda: (region(), (7, 8), "cookies".upper())

    clues = clues_of([make])
    assert clues.mentions("eu-west")
    assert clues.mentions("upper")
    assert not clues.mentions("absent")
    assert {7, 8} <= set(clues.numbers)


def test_what_has_no_code_gives_nothing_away() -> None:
    """A builtin, a class's object without a call, nothing."""
    assert clues_of([len, object(), None, 3]).texts == ()


# Auth checks.


@pytest.mark.parametrize(
    "name",
    [
        *("login_required", "auth_required", "requires_auth", "jwt_required", "admin_required"),
        *("permission_required", "roles_required", "roles_accepted", "fresh_login_required"),
        *("token_required", "require_login", "check_permission", "RequireRole", "admin_only"),
        *("require_api_key", "authenticate", "authenticated", "protected", "needs_scope"),
        *("ensure_logged_in", "signed_in_required", "only_staff", "verify_token", "owner_required"),
    ],
)
def test_names_of_auth_checks_are_known(name: str) -> None:
    """As applications and packages write them."""
    assert is_auth_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("timed", "cached", "memoize", "require_json", "validate_input", "csrf_token_required"),
        *("rate_limit_user", "templated", "author", "authors", "logged", "log_access", "retry"),
        *("check_form", "allowed_methods", "allow_origin", "conditional", "compress", "user_page"),
    ],
)
def test_names_of_other_decorators_are_not_taken_for_auth_checks(name: str) -> None:
    """A false alarm fails a build."""
    assert not is_auth_name(name)


def test_a_wrapper_is_known_by_the_decorator_that_made_it() -> None:
    """Not by the function that it was made in, nor by the view it wraps."""

    def requires_auth(view: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any) -> Any:
            return view(*args)

        return wrapper

    def auth_required_test(view: Callable[..., Any]) -> Callable[..., Any]:
        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any) -> Any:
                return function(*args)

            return wrapper

        return timed(view)

    def login_required() -> None:
        """A view."""

    assert auth_check_of(requires_auth(login_required)).endswith(".requires_auth")
    assert auth_check_of(auth_required_test(login_required)) == ""


def test_a_package_for_logins_makes_auth_checks_only() -> None:
    """Whatever a decorator of it is called."""
    source = (
        "def guard(view):\n    def inner(*args):\n        return view(*args)\n    return inner\n"
    )
    namespace: dict[str, Any] = {"__name__": "flask_principal"}
    exec(source, namespace)
    assert auth_check_of(namespace["guard"](print)) == "flask_principal.guard"
