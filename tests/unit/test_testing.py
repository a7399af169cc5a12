"""The conformance suite: a right backend passes it, and each kind of wrong one does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest
from broken_shelves import BROKEN
from shelf import Shelf, Store

from flask_caching.testing import BackendConformance

pytest_plugins = ["pytester"]


class ShelfConformance(BackendConformance):
    """A shelf on a store of its own, whose time passes when it is told to."""

    largest_value = Shelf.largest

    @cached_property
    def store(self) -> Store:
        return Store()

    def make(self, *args: Any, **options: Any) -> Any:
        return Shelf(*args, **options)

    def make_backend(self) -> Any:
        return self.make(self.store)

    def make_twin(self) -> Any:
        return self.make(self.store)

    def make_other_prefix(self, prefix: str | Callable[[], str]) -> Any:
        return self.make(self.store, prefix)

    def make_bounded(self, threshold: int) -> Any:
        return self.make(Store(), threshold=threshold)

    def wait(self, seconds: float) -> None:
        self.store.now += seconds

    def now(self) -> float:
        return self.store.now


class TestShelf(ShelfConformance):
    """The suite passes where nothing is wrong; none of it is skipped."""

    def skip(self, reason: str) -> Any:
        pytest.fail(f"skipped: {reason}")


class TestCoarseShelf(TestShelf):
    """It passes as well where the tests of expiry wait together."""

    resolution = 1


WAITING = [
    name for name in dir(BackendConformance) if hasattr(getattr(BackendConformance, name), "halves")
]


@pytest.mark.parametrize(
    ("maker", "name"),
    [
        pytest.param(maker, name, id=f"{maker.__name__}-{name}")
        for maker, names in BROKEN
        for name in names
    ],
)
def test_a_mistake_is_noticed(maker: Callable[..., Any], name: str) -> None:
    """A backend with one thing wrong fails the test for that thing."""

    class Broken(ShelfConformance):
        def make(self, *args: Any, **options: Any) -> Any:
            return maker(*args, **options)

    with pytest.raises(Exception) as failure:  # noqa: PT011  # whatever shows it
        getattr(Broken(), name)()
    assert not isinstance(failure.value, NotImplementedError)


@pytest.mark.parametrize(
    ("maker", "name"),
    [
        pytest.param(maker, name, id=f"{maker.__name__}-{name}")
        for maker, names in BROKEN
        for name in names
        if name in WAITING
    ],
)
def test_a_mistake_is_noticed_when_tests_wait_together(
    maker: Callable[..., Any], name: str
) -> None:
    """A backend with one thing wrong fails the same tests where seconds are whole."""

    class Broken(ShelfConformance):
        resolution = 1

        def make(self, *args: Any, **options: Any) -> Any:
            return maker(*args, **options)

    with pytest.raises(AssertionError):
        getattr(Broken(), name)()


def test_waiting_together_is_one_wait() -> None:
    """The first of the tests that wait runs them all; each class waits for itself."""

    class Coarse(ShelfConformance):
        resolution = 1
        exempt = {"test_a_lock_expires": "for this test"}  # noqa: RUF012

    class Derived(Coarse):
        pass

    for kind in (Coarse, Derived):
        first = kind()
        first.test_zero_never_expires()
        assert first.store.now > Store().now + 1
        for name in WAITING:
            later = kind()
            if name != "test_a_lock_expires":
                getattr(later, name)()
            assert "store" not in vars(later)


def test_every_test_of_the_suite_notices_something() -> None:
    """There is a mistake for each test, so that none passes whatever the backend does."""
    tests = {name for name in dir(BackendConformance) if name.startswith("test_")}
    assert {name for _, names in BROKEN for name in names} == tests


def test_pytest_collects_it(pytester: pytest.Pytester) -> None:
    """Three lines are a test module; what a backend cannot do is skipped with its reason."""
    pytester.makepyfile(
        """
        from flask_caching.backends import SimpleCache
        from flask_caching.testing import BackendConformance

        class TestSimpleCache(BackendConformance):
            def make_backend(self):
                return SimpleCache()
        """
    )
    result = pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    tests = [name for name in dir(BackendConformance) if name.startswith("test_")]
    assert outcomes["passed"] + outcomes["skipped"] == len(tests)
    assert outcomes["passed"] > 50
    result.stdout.fnmatch_lines(["*SimpleCache has no SupportsLocks", "*make_twin() returns None"])


def test_exempt_tests_are_skipped_with_their_reason(pytester: pytest.Pytester) -> None:
    """What a backend is not to pass is said once, and stays visible."""
    pytester.makepyfile(
        """
        from flask_caching.backends import SimpleCache
        from flask_caching.testing import BackendConformance

        class TestSimpleCache(BackendConformance):
            exempt = {"test_counting": "nobody counts here"}

            def make_backend(self):
                return SimpleCache()
        """
    )
    result = pytester.runpytest_inprocess("-rs", "-k", "test_counting", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*exempt: nobody counts here"])


def test_a_misspelt_exemption_is_an_error() -> None:
    """A name that is no test would exempt nothing, or say so for ever."""
    with pytest.raises(TypeError, match="'test_countin', which is no test"):

        class Misspelt(BackendConformance):
            exempt = {"test_countin": "misspelt"}  # noqa: RUF012


def test_a_class_without_a_backend_says_what_is_missing() -> None:
    """The one hook that is required is named."""

    class Empty(BackendConformance):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define make_backend\(\)"):
        Empty().test_counting()


def test_what_was_used_is_closed() -> None:
    """Each backend that a test had, its twin and those of other prefixes included."""
    closed: list[Any] = []

    class Closing(ShelfConformance):
        def close_backend(self, backend: Any) -> None:
            closed.append(backend)

    tests = Closing()
    tests.test_another_instance_sees_the_same()
    tests.teardown_method()
    assert len(closed) == 2
    tests.teardown_method()
    assert len(closed) == 2


def test_it_is_imported_without_pytest() -> None:
    """The package does not need pytest, and importing the suite does not import it."""
    script = "import sys, flask_caching.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
