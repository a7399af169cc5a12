"""Timeouts: how long a value lives, and what may change that.

Seconds; ``None`` is the backend's default, ``0`` never expires, a negative number has expired.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from ..backends.base import SupportsKeys, SupportsTouch, SupportsTTL, iter_keys
from .hooks import Hooks, raised
from .waiting import waits

__all__ = ["ExpiryChecks"]

_DAY = 86_400


class ExpiryChecks(Hooks):
    """When a value is gone, and when not."""

    @waits
    def test_a_value_expires(self) -> Iterator[None]:
        """Whoever wrote it, and whoever asks: a key whose timeout is over is not there."""
        backend = self.backend
        keys = ("dies set", "dies added", "dies as one of many")
        self.put(keys[0], 1, self.soon)
        assert backend.add(keys[1], 1, self.soon) is True, "add() of a missing key stores"
        backend.set_many({keys[2]: 1}, self.soon)
        yield
        for key in keys:
            self.gone(key, "every write takes a timeout")
            assert backend.has(key) is False, f"has({key!r}) must be False once it has expired"
            assert list(backend.get_many(key)) == [None], f"get_many({key!r}) finds an expired key"
            assert not backend.delete(key), f"delete({key!r}) says that an expired key existed"
        assert backend.add(keys[0], 2) is True, "add() must store over an expired key"
        self.expect(keys[0], 2, "add() over an expired key")

    @waits
    def test_expired_is_missing_for_the_rest_as_well(self) -> Iterator[None]:
        """An expired key has no time left, cannot be touched, and is not listed."""
        self.needs_entries()
        backend = self.backend
        self.put("expired", 1, self.soon)
        yield
        self.gone("expired", "a value with a short timeout")
        if self.can(SupportsKeys):
            listed = [info.key for info in iter_keys(backend)]
            assert "expired" not in listed, f"keys() lists what has expired: {listed}"
        if self.can(SupportsTTL):
            assert backend.ttl("expired") is None, "ttl() of an expired key is None"
        if self.can(SupportsTouch):
            assert backend.touch("expired", 60) is False, "touch() must not bring a key back"
            assert backend.get("expired") is None, "touch() must not bring a key back"

    @waits
    def test_zero_never_expires(self) -> Iterator[None]:
        """0 is for ever, not at once and not the default; whoever writes."""
        self.backend.default_timeout = self.soon
        keys = ("stays set", "stays added", "stays as one of many")
        self.put(keys[0], 1, 0)
        assert self.backend.add(keys[1], 1, 0) is True, "add() of a missing key stores"
        self.backend.set_many({keys[2]: 1}, 0)
        yield
        for key in keys:
            self.expect(key, 1, "a timeout of 0 never expires")

    @waits
    def test_none_is_the_default_timeout(self) -> Iterator[None]:
        """A write without timeout lives for ``default_timeout`` seconds, as it is at that time."""
        self.backend.default_timeout = self.soon
        keys = ("default set", "default added", "default as one of many", "default counted")
        self.put(keys[0], 1)
        assert self.backend.add(keys[1], 1) is True, "add() of a missing key stores"
        self.backend.set_many({keys[2]: 1})
        self.backend.inc(keys[3])
        self.backend.default_timeout = 0
        self.put("default of 0", 1)
        yield
        for key in keys:
            self.gone(key, "without a timeout, default_timeout counts")
        self.expect("default of 0", 1, "a default_timeout of 0 never expires")

    @waits
    def test_the_last_write_decides(self) -> Iterator[None]:
        """A value that is set again lives as long as the last timeout says."""
        self.put("longer", 1, self.soon)
        self.put("longer", 2, 0)
        self.put("shorter", 1, 0)
        self.put("shorter", 2, self.soon)
        yield
        self.gone("shorter", "the last timeout counts")
        self.expect("longer", 2, "the last timeout counts")

    @waits
    def test_a_refused_add_changes_no_timeout(self) -> Iterator[None]:
        """An add that finds the key leaves its expiry alone too."""
        self.put("added over", 1, 0)
        assert self.backend.add("added over", 2, self.soon) is False, "add() over a key is False"
        yield
        self.expect("added over", 1, "add() over a key must leave its timeout alone")

    @waits
    def test_parts_of_a_second(self) -> Iterator[None]:
        """They are kept, or rounded up, never down to 0, which would be for ever."""
        self.needs_entries()
        part = min(self.soon, 0.25)
        self.put("part", 1, part)
        self.put("part as timedelta", 1, timedelta(seconds=part))
        self.put("part as text", 1, str(part))
        self.put("long", 1, timedelta(hours=1, milliseconds=1))
        self.put("mixed", 1, 3600.5)
        yield
        for key in ("part", "part as timedelta", "part as text"):
            self.gone(key, "part of a second is no 0")
        for key in ("long", "mixed"):
            self.expect(key, 1, "a timeout need not be whole")

    def test_a_timeout_over_thirty_days(self) -> None:
        """A month and ten years are as good as an hour (memcached takes them for dates)."""
        for days in (30, 31, 400, 3650):
            timeout = days * _DAY
            self.put("set", days, timeout)
            self.expect("set", days, f"a timeout of {days} days")
            self._about("set", timeout)
            self.backend.delete("added")
            assert self.backend.add("added", days, timeout) is True
            self.expect("added", days, f"a timeout of {days} days")
            self._about("added", timeout)
            if self.can(SupportsTouch):
                self.backend.touch("set", timeout + _DAY)
                self.expect("set", days, f"touched with a timeout of {days + 1} days")
                self._about("set", timeout + _DAY)

    def test_a_negative_timeout_has_expired(self) -> None:
        """Setting with one removes what was there; adding with one leaves nothing."""
        for timeout in (-1, -0.5, -40 * _DAY):
            if isinstance(timeout, float) and not self.has_entries:
                continue
            self.put("key", "old")
            self.backend.set("key", "new", timeout)
            assert self.backend.get("key") is None, (
                f"set() with the timeout {timeout} must remove the old value and keep none: "
                f"get() is {self.backend.get('key')!r}"
            )
            self.backend.add("added", 1, timeout)
            assert self.backend.get("added") is None, f"add() with the timeout {timeout} stored"

    def test_what_is_no_timeout_is_refused(self) -> None:
        """A boolean is a TypeError; text that is no number, or infinity, a ValueError."""
        self.needs_entries()
        wrong: dict[type[Exception], tuple[Any, ...]] = {
            TypeError: (True, [], object()),
            ValueError: ("soon", float("inf"), float("nan")),
        }
        for kind, timeouts in wrong.items():
            for timeout in timeouts:
                write = partial(self.backend.set, "key", 1, timeout)
                raised(kind, write, f"set() with the timeout {timeout!r}")
        assert self.backend.get("key") is None, "a refused timeout must store nothing"

    @waits
    def test_reading_does_not_renew(self) -> Iterator[None]:
        """However often it is looked at, by whatever method, a value expires at its time."""
        backend, key = self.backend, "looked at"
        self.put(key, 1, self.soon)

        def look() -> None:
            backend.get(key)
            backend.get_many(key)
            backend.get_dict(key)
            backend.has(key)
            if self.can(SupportsTTL):
                backend.ttl(key)
            if self.can(SupportsKeys):
                list(iter_keys(backend))
            if self.has_entries:
                backend.get_entry(key)
                backend.get_entries([key])

        self.meanwhile.append(look)
        yield
        self.gone(key, "looking at a key must not renew its timeout")
        self.meanwhile.remove(look)

    def test_ttl(self) -> None:
        """Seconds left; 0 never expires; None where there is no such key."""
        self.needs(SupportsTTL)
        backend = self.backend
        self.put("timed", 1, 1000)
        self.put("for ever", 1, 0)
        self._about("timed", 1000)
        assert backend.ttl("for ever") == 0, f"ttl() is {backend.ttl('for ever')}: 0 is for ever"
        assert backend.ttl("missing") is None, "ttl() of a missing key is None"
        backend.default_timeout = 500
        self.put("default", 1)
        self._about("default", 500)
        backend.set_many({"one of many": 1}, 200)
        self._about("one of many", 200)

    @waits
    def test_touch_moves_the_expiry(self) -> Iterator[None]:
        """Later, earlier, never and at once; the value stays."""
        self.needs(SupportsTouch)
        backend = self.backend

        def lengthen() -> None:
            for key in ("touched later", "touched never", "touched counter"):
                self.put(key, 7, self.soon)
                assert backend.touch(key, 0 if key == "touched never" else 3600) is True, (
                    f"touch({key!r}) must return True for a key that exists"
                )

        self.before_it_expires(lengthen)
        for key in ("touched earlier", "touched by default"):
            self.put(key, [key], 0)
        backend.default_timeout = self.soon
        assert backend.touch("touched by default") is True, "touch() takes no timeout as well"
        assert backend.touch("touched earlier", self.soon) is True, "touch() may shorten"
        yield
        self.gone("touched earlier", "touch() may shorten")
        self.gone("touched by default", "touch() without a timeout uses default_timeout")
        for key in ("touched later", "touched never"):
            self.expect(key, 7, "touch() must keep the value, and move its expiry")
        assert backend.inc("touched counter") == 8, "touch() must leave a counter a counter"

    def test_touch_of_what_is_not_there(self) -> None:
        """A missing key is not made; a negative timeout ends one."""
        self.needs(SupportsTouch)
        assert self.backend.touch("missing", 60) is False, "touch() of a missing key is False"
        assert self.backend.has("missing") is False, "touch() must not create a key"
        self.put("key", 1)
        self.backend.touch("key", -1)
        assert self.backend.get("key") is None, "touch() with a negative timeout ends the key"

    def _about(self, key: str, seconds: float) -> None:
        """See that ``key`` has about that long, if the store can tell."""
        if not self.can(SupportsTTL):
            return
        left = self.backend.ttl(key)
        assert left is not None, f"ttl({key!r}) is None, although the key was just written"
        assert seconds - 30 <= left <= seconds + self.resolution, (
            f"ttl({key!r}) is {left} instead of about {seconds}"
        )
