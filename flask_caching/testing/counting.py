"""inc and dec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..backends.base import SupportsTTL
from .hooks import Hooks, raised
from .waiting import waits

__all__ = ["CountingChecks"]


class CountingChecks(Hooks):
    """Counting up and down."""

    def test_counting(self) -> None:
        """Both return the new number, and get() reads it."""
        backend = self.backend
        self.put("n", 10)
        steps = [backend.inc("n"), backend.inc("n", 5), backend.dec("n"), backend.dec("n", 3)]
        assert steps == [11, 16, 15, 12], f"inc(), inc(5), dec(), dec(3) from 10 gave {steps}"
        self.expect("n", 12, "a counter is an int to get()")
        assert backend.add("n", 1) is False, "add() must see a counter"
        assert list(backend.get_many("n")) == [12], "get_many() must see a counter"
        assert backend.delete("n") is True, "delete() must see a counter"

    def test_a_missing_counter_begins_at_zero(self) -> None:
        """Counting up from a missing key gives the step, down its negative."""
        got = [self.backend.inc("up"), self.backend.inc("ten", 10), self.backend.dec("down", 3)]
        assert got == [1, 10, -3], f"inc(), inc(10), dec(3) of missing keys gave {got}"
        for key, value in (("up", 1), ("ten", 10), ("down", -3)):
            self.expect(key, value, "a counter that inc() or dec() began")

    def test_counting_below_zero_and_with_negative_steps(self) -> None:
        """Negative numbers and negative steps are right (memcached's own stop at 0)."""
        backend = self.backend
        self.put("n", 2)
        steps = [
            backend.dec("n", 5),
            backend.inc("n", 1),
            backend.inc("n", 4),
            backend.dec("n", -6),
        ]
        assert steps == [-3, -2, 2, 8], f"dec(5), inc(1), inc(4), dec(-6) from 2 gave {steps}"
        steps = [backend.inc("n", -20), backend.inc("n", 0), backend.dec("n", 0)]
        assert steps == [-12, -12, -12], f"inc(-20), inc(0), dec(0) from 8 gave {steps}"
        self.expect("n", -12, "a negative counter")

    def test_counting_far(self) -> None:
        """Large numbers are exact; beyond 64 bits it is right or an error, never wrapped."""
        backend = self.backend
        self.put("n", 2**53)
        assert backend.inc("n", 2**60 + 1) == 2**53 + 2**60 + 1, "counting must be exact"
        for start, step in ((2**63 - 1, 1), (-(2**63), -1)):
            self.put("edge", start)
            try:
                got = backend.inc("edge", step)
            except Exception:
                self.expect("edge", start, "a count that failed must change nothing")
            else:
                assert got == start + step, f"inc({step}) from {start} gave {got}; raise rather"
                self.expect("edge", start + step, "counting beyond 64 bits")

    def test_what_is_no_number_cannot_be_counted(self) -> None:
        """TypeError with a message that says what to do; the value stays."""
        self.needs_entries()
        for value in ("text", "12", b"12", 1.5, True, None, [1]):
            self.put("key", value)
            for count in (self.backend.inc, self.backend.dec):
                self._refuses(count, "key", 1, f"{value!r} is no integer")
                assert self.backend.get("key") == value, f"a refused count changed {value!r}"

    def test_a_step_is_a_whole_number(self) -> None:
        """A step that is no integer is a TypeError."""
        self.needs_entries()
        self.put("n", 1)
        for delta in (1.5, "1", None):
            self._refuses(self.backend.inc, "n", delta, f"a step of {delta!r} is no integer")
        self.expect("n", 1, "a refused step must change nothing")

    @waits
    def test_counting_keeps_the_expiry(self) -> Iterator[None]:
        """A counter expires when it was going to, counted or not."""
        backend = self.backend
        self.put("lasting counter", 5, 0)
        backend.default_timeout = self.soon
        backend.inc("lasting counter")
        backend.dec("lasting counter", 2)
        backend.default_timeout = 3600

        def count() -> None:
            self.put("timed counter", 5, self.soon)
            got = (backend.inc("timed counter"), backend.dec("timed counter"))
            assert got == (6, 5), f"inc() and dec() from 5 gave {got}"

        self.before_it_expires(count)
        yield
        self.gone("timed counter", "counting must keep the expiry")
        self.expect("lasting counter", 4, "counting must keep a counter without expiry")
        assert backend.inc("timed counter") == 1, "an expired counter begins at 0 again"

    def test_the_expiry_of_counters(self) -> None:
        """A new one gets the default timeout; counting on changes no time left."""
        self.needs(SupportsTTL)
        backend = self.backend
        backend.default_timeout = 1000
        backend.inc("new")
        backend.dec("new below zero")
        for key in ("new", "new below zero"):
            left = backend.ttl(key)
            assert left, f"ttl({key!r}) is {left}: a new counter gets the default timeout"
            assert 900 < left <= 1000 + self.resolution, f"ttl({key!r}) is {left}, default is 1000"
        self.put("old", 1, 5000)
        backend.inc("old")
        backend.dec("old", 9)
        left = backend.ttl("old")
        assert left, f"ttl() of a counted counter is {left} instead of about 5000"
        assert 4900 < left <= 5000 + self.resolution, "counting must keep the expiry"

    def _refuses(self, count: Any, key: str, delta: Any, why: str) -> None:
        error = raised(TypeError, lambda: count(key, delta), f"{count.__name__}({key!r}): {why}")
        assert len(str(error)) > 20, f"{why}: say in the TypeError's message what to do"
