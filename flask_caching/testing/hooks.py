"""What a test class tells the suite about its backend, and what the checks have in common."""

from __future__ import annotations

import datetime
import decimal
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, TypeVar

from ..backends.base import EntryBackend

__all__ = ["VALUES", "Hooks", "raised", "same", "show"]

E = TypeVar("E", bound=Exception)

#: Values of every kind that applications store.
VALUES: tuple[Any, ...] = (
    "text",
    "",
    "Grüße, 世界 \N{SNOWMAN} \x00 \ud800",
    b"bytes \x00\xff\r\n",
    b"",
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    2**64 + 1,
    -(10**30),
    True,
    False,
    0.0,
    -1.5,
    1e300,
    float("inf"),
    1 + 2j,
    (),
    (1, True, 1.0, "1", b"1", None),
    [],
    [1, [2, [3, {"deep": [None]}]]],
    {"a": 1, "b": {"c": (1, 2)}, 3: True},
    {1},
    frozenset({"x"}),
    datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.UTC),
    datetime.date(1999, 12, 31),
    datetime.timedelta(days=-1, microseconds=3),
    decimal.Decimal("1.10"),
    uuid.UUID(int=7),
)


class Hooks:
    """What there is to tell about a backend.

    Only :meth:`make_backend` is required. pytest makes a new object of the class for each test,
    and the suite calls the hooks when the test runs, so a hook may use attributes that an
    autouse fixture of the class has set.

    Attributes:
        resolution: Seconds to which the store keeps an expiry: ``1`` where it knows only whole
            seconds. Tests of expiry wait twice that long, together if it is long.
        large_value: Bytes of a value that must be stored.
        largest_value: Bytes above which a value is refused; ``None`` for no such limit.
        many: How many keys the tests of many keys write.
        values: What must come back as it was. Leave out what a serializer is known not to hold.
        repeats: Whether a listing may tell a key on two of its pages, as Redis's SCAN does when
            its table grows or shrinks meanwhile.
        secrets: Texts that must not be in ``repr(backend)``: passwords, user names.
        exempt: Names of tests that the backend is not to pass, with the reason why. They are
            skipped with it.
    """

    resolution: float = 0.001
    large_value: int = 100_000
    largest_value: int | None = None
    many: int = 300
    values: Sequence[Any] = VALUES
    repeats: bool = False
    secrets: Sequence[str] = ()
    exempt: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def make_backend(self) -> Any:
        """A backend with nothing in it: a new directory, a prefix of its own, or cleared.

        Called once for a test.
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_backend()")

    def make_twin(self) -> Any:
        """Another object for what :meth:`make_backend` made last, as another process has it.

        ``None`` (the default) where there can be no other.
        """
        return None

    def make_other_prefix(self, prefix: str | Callable[[], str]) -> Any:
        """A backend in the same store whose key prefix is exactly ``prefix``.

        ``None`` (the default) where keys have no prefix.
        """
        return None

    def make_bounded(self, threshold: int) -> Any:
        """A backend with room for that many entries; ``None`` (the default) if there is no such."""
        return None

    def close_backend(self, backend: Any) -> None:
        """Close what a test has used: connections, files. Called after each test."""

    def wait(self, seconds: float) -> None:
        """Let time pass for the store. With a clock of your own, advance it instead."""
        time.sleep(seconds)

    def now(self) -> float:
        """Unix time as the store has it."""
        return time.time()

    # What follows is for the checks.

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, reason in cls.exempt.items():
            test = getattr(cls, name, None)
            if test is None or not name.startswith("test_"):
                raise TypeError(f"{cls.__name__}.exempt names {name!r}, which is no test")
            setattr(cls, name, _exempted(test, reason))

    @cached_property
    def backend(self) -> Any:
        """The backend under test, made when the test first needs it."""
        return self.opened(self.make_backend())

    @cached_property
    def _opened(self) -> list[Any]:
        return []

    def opened(self, backend: Any) -> Any:
        """``backend``, which is closed after the test."""
        self._opened.append(backend)
        return backend

    def teardown_method(self) -> None:
        """Close what the test has used; pytest calls it. Call it if you define your own."""
        while self._opened:
            self.close_backend(self._opened.pop())

    @property
    def has_entries(self) -> bool:
        """Whether the backend has the entry level, and not only values."""
        return isinstance(self.backend, EntryBackend)

    def skip(self, reason: str) -> NoReturn:
        """Skip the test, visibly."""
        import pytest

        pytest.skip(reason)

    def can(self, capability: type) -> bool:
        """Whether the backend says that it can do this."""
        return isinstance(self.backend, capability)

    def needs(self, capability: type) -> None:
        """Skip the test unless the backend says that it can do this."""
        if not self.can(capability):
            self.skip(f"{self.name} has no {capability.__name__}")

    def needs_entries(self) -> None:
        """Skip the test unless the backend is an ``EntryBackend``."""
        if not self.has_entries:
            self.skip(f"{self.name} knows only values: it is no EntryBackend")

    def needs_sharing(self) -> None:
        """Skip the test unless other processes see what the backend holds."""
        self.needs_entries()
        if not self.backend.shared:
            self.skip(f"{self.name}.shared is False: nobody else writes into what it holds")

    def twin(self) -> Any:
        """What :meth:`make_twin` makes; the test is skipped where there is none."""
        self.backend  # noqa: B018  # must be there first
        twin = self.make_twin()
        if twin is None:
            self.skip(f"{type(self).__name__}.make_twin() returns None")
        return self.opened(twin)

    def other_prefix(self, prefix: str | Callable[[], str]) -> Any:
        """What :meth:`make_other_prefix` makes; the test is skipped where there is none."""
        other = self.make_other_prefix(prefix)
        if other is None:
            self.skip(f"{type(self).__name__}.make_other_prefix() returns None")
        if prefix and not callable(prefix):
            other.clear()  # what another test left there
        return self.opened(other)

    @property
    def name(self) -> str:
        """What the backend is called in messages."""
        return str(self.backend.__class__.__name__)

    @cached_property
    def soon(self) -> float:
        """A short timeout, seconds, after which the store drops a key, and not sooner than half."""
        return max(0.05, 2 * self.resolution)

    @cached_property
    def meanwhile(self) -> list[Callable[[], object]]:
        """What is done again and again while the test waits for something to expire."""
        return []

    def before_it_expires(self, act: Callable[[], None]) -> None:
        """Do what must be done before something expires that it writes with ``soon``.

        On a machine too busy for that it is done again, with a longer ``soon``.
        """
        for _ in range(6):
            begun = time.monotonic()
            try:
                act()
            except AssertionError:
                if time.monotonic() - begun < self.soon / 2:
                    raise
            if time.monotonic() - begun < self.soon / 2:
                return
            self.soon *= 3
        raise RuntimeError("a few operations of the backend take many seconds")

    def put(self, key: str, value: Any, timeout: Any = None, backend: Any = None) -> None:
        """Set a value, and see that the backend says it was stored."""
        backend = self.backend if backend is None else backend
        answer = backend.set(key, value, timeout)
        if self.has_entries or answer is not None:  # None is what old backends say for yes
            assert answer is True, (
                f"set({key!a}, {show(value)}, {timeout!r}) returned {answer!r}; return True for "
                "stored"
            )

    def expect(self, key: str, value: Any, why: str, backend: Any = None) -> None:
        """See that ``get`` gives ``value``, of the same type."""
        got = (self.backend if backend is None else backend).get(key)
        assert same(got, value), f"{why}: get({key!a}) is {show(got)} instead of {show(value)}"

    def gone(self, key: str, why: str, backend: Any = None) -> None:
        """Wait until ``key`` has expired, as one that was written with ``soon`` must."""
        backend = self.backend if backend is None else backend
        step, waited = self.soon / 5, 0.0
        while backend.get(key) is not None:
            assert waited <= 2 * self.soon + 1, (
                f"{why}: {key!a} should have expired after {self.soon:g} s and was still there "
                f"after {waited:.2f} s. Is its timeout kept, and was it not renewed by reading?"
            )
            for look in self.meanwhile:
                look()
            self.wait(step)
            waited += step

    def let_expire(self) -> None:
        """Wait until whatever was written before with ``soon`` has expired."""
        self.put("the last", 1, self.soon)
        self.gone("the last", "a value with a short timeout")


def _exempted(test: Callable[..., Any], reason: str) -> Callable[..., None]:
    @wraps(test)
    def skipped(self: Hooks) -> None:
        self.skip(f"exempt: {reason}")

    return skipped


def raised(kind: type[E], call: Callable[[], object], advice: str) -> E:
    """The error of that kind that ``call()`` raises.

    Raises:
        AssertionError: With the advice, if it returns; another kind of error passes.
    """
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"{advice}: returned {show(answer)} instead of raising {kind.__name__}")


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types throughout."""
    return type(one) is type(other) and one == other and repr(one) == repr(other)


def show(value: Any) -> str:
    """A value for a message, shortened."""
    text = ascii(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
