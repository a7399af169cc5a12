"""What every backend answers: values in and out, one and several."""

from __future__ import annotations

import random
import threading
from functools import partial
from typing import Any

from ..backends.base import (
    SupportsKeys,
    SupportsLocks,
    SupportsPeek,
    SupportsSize,
    SupportsTouch,
    SupportsTTL,
)
from ..errors import RefusedEntry, SerializationError
from .hooks import Hooks, raised, same, show

__all__ = ["ValueChecks"]

_CAPABILITIES: dict[str, type] = {
    "ttl": SupportsTTL,
    "touch": SupportsTouch,
    "keys": SupportsKeys,
    "peek": SupportsPeek,
    "size": SupportsSize,
    "release_lock": SupportsLocks,
}

#: False, but values.
_FALSE: tuple[Any, ...] = (0, "", b"", False, 0.0, [], {}, ())


class ValueChecks(Hooks):
    """Reading, writing and deleting."""

    def test_a_value_comes_back_as_it_was(self) -> None:
        """What is set is got: an equal value of the same type, nested ones included."""
        for value in self.values:
            self.put("key", value)
            self.expect("key", value, "a value must come back with its type")

    def test_a_false_value_is_no_miss(self) -> None:
        """0, "", False and empty containers are found like any other value."""
        for value in _FALSE:
            self.put("key", value)
            self.expect("key", value, "a false value is a value")
            assert self.backend.has("key") is True, f"has() must be True for {value!r}"
            assert self.backend.add("key", "other") is False, f"add() must leave {value!r} alone"
            got = self.backend.get_many("key")
            assert same(got, [value]), f"get_many('key') is {got!r} instead of {[value]!r}"

    def test_none_is_stored(self) -> None:
        """None is a value: it exists, is not added over, and can be deleted."""
        self.needs_entries()
        self.put("key", None)
        assert self.backend.get("key") is None, "a stored None is read as None"
        assert self.backend.has("key") is True, "a stored None exists: has() must be True"
        assert self.backend.add("key", 1) is False, "a stored None exists: add() must refuse"
        assert self.backend.delete("key") is True, "a stored None exists: delete() must be True"
        assert self.backend.has("key") is False, "a deleted None does not exist"

    def test_a_missing_key_is_a_miss_everywhere(self) -> None:
        """A key that was never set is None, False or missing, whoever asks."""
        backend = self.backend
        got = backend.get("missing")
        assert got is None, f"get() of a missing key is None, not {got!r}"
        assert backend.has("missing") is False, "has() must be False for a missing key"
        several = list(backend.get_many("missing", "none"))
        assert several == [None, None], f"get_many() of two missing keys is {several}"
        by_key = backend.get_dict("missing")
        assert by_key == {"missing": None}, f"get_dict('missing') of a missing key is {by_key}"
        assert not backend.delete("missing"), "delete() returns whether the key existed"

    def test_set_replaces(self) -> None:
        """The last value counts, of whatever type and length the one before was."""
        for value in ("long" * 50, 123456789, 5, -5, "s", b"", None, [1], 7):
            self.put("key", value)
            self.expect("key", value, "set() replaces what was there, all of it")

    def test_a_value_is_a_snapshot(self) -> None:
        """Neither the writer nor a reader can change what the next reader gets."""
        value: dict[str, Any] = {"list": [1]}
        self.put("key", value)
        value["list"].append("written after set()")
        for _ in range(2):
            self.expect("key", {"list": [1]}, "keep a copy, and hand out a new one each time")
            self.backend.get("key")["list"].append("changed by a reader")
            self.backend.get_many("key")[0]["list"].append("changed by a reader")

    def test_a_large_value_is_stored(self) -> None:
        """A value of ``large_value`` bytes comes back whole, whatever its bytes are."""
        for value in (_noise(self.large_value), "x" * self.large_value, _noise(5)):
            self.put("key", value)
            self.expect("key", value, "a large value must come back whole")

    def test_a_value_over_the_limit_is_refused(self) -> None:
        """It is refused with a reason, not silently dropped, and does no harm."""
        if self.largest_value is None:
            self.skip(f"{type(self).__name__}.largest_value is None: there is no limit")
        self.put("key", "small")
        too_large = _noise(self.largest_value + 1)
        if self.has_entries:
            advice = f"set() of {len(too_large)} bytes must raise errors.RefusedEntry"
            error = raised(RefusedEntry, lambda: self.backend.set("key", too_large), advice)
            assert error.reason, "RefusedEntry needs a reason, for a counter"
        else:
            stored = self.backend.set("key", too_large)
            assert stored is False, "set() must return False for a value that was not stored"
        assert self.backend.get("key") in (None, "small"), "a refused value must leave no trace"
        self.put("key", "small again")
        self.expect("key", "small again", "a refusal must leave the backend usable")

    def test_a_value_that_cannot_be_stored_raises(self) -> None:
        """What cannot be serialized is a SerializationError, and the old value stays."""
        self.needs_entries()
        self.put("key", "old")
        for hostile in (lambda: None, threading.Lock(), {"inside": [threading.Lock()]}):
            for write in (self.backend.set, self.backend.add):
                advice = f"{write.__name__}() of what the codec cannot hold: let its error pass"
                raised(SerializationError, partial(write, "key", hostile), advice)
                self.expect("key", "old", "a value that cannot be stored must not harm the old")

    def test_add_stores_only_what_is_not_there(self) -> None:
        """The first add wins; after a delete there is room again."""
        backend = self.backend
        assert backend.add("key", "first") is True, "add() of a missing key must return True"
        assert backend.add("key", "second") is False, "add() over a key must return False"
        self.expect("key", "first", "add() must not replace what is there")
        backend.delete("key")
        assert backend.add("key", 3) is True, "add() after delete() must return True"
        self.expect("key", 3, "add() must store")

    def test_delete_says_whether_the_key_existed(self) -> None:
        """True the first time, False the second; other keys stay."""
        self.put("key", 1)
        self.put("other", 2)
        assert self.backend.delete("key") is True, "delete() of a key that exists returns True"
        assert self.backend.get("key") is None, "delete() must delete"
        assert self.backend.has("key") is False, "a deleted key does not exist"
        assert self.backend.delete("key") is False, "delete() of a missing key returns False"
        self.expect("other", 2, "delete() must leave other keys alone")

    def test_many_are_got_in_their_order(self) -> None:
        """get_many answers position by position: doubles twice, missing ones as None."""
        self.put("a", 1)
        self.put("b", "2")
        self.put("c", [3])
        got = self.backend.get_many("c", "x", "a", "b", "a")
        assert same(list(got), [[3], None, 1, "2", 1]), (
            f"get_many('c', 'x', 'a', 'b', 'a') is {got!r} instead of [[3], None, 1, '2', 1]; "
            "answer each position, in order"
        )
        got = self.backend.get_dict("b", "x", "b")
        assert same(got, {"b": "2", "x": None}), (
            f"get_dict('b', 'x', 'b') is {got!r} instead of {{'b': '2', 'x': None}}"
        )

    def test_many_of_nothing(self) -> None:
        """Operations on several keys take none."""
        assert list(self.backend.get_many()) == [], "get_many() of no keys is []"
        assert dict(self.backend.get_dict()) == {}, "get_dict() of no keys is {}"
        answer = self.backend.set_many({})
        assert answer is True or list(answer) == [], "set_many({}) is []"
        assert list(self.backend.delete_many()) == [], "delete_many() of no keys is []"

    def test_many_are_set_at_once(self) -> None:
        """set_many stores all and says which; with another timeout than the default if given."""
        mapping: dict[str, Any] = {f"key {number}": number for number in range(self.many)}
        mapping["text"] = "text"
        answer = self.backend.set_many(mapping, 3600)
        if self.has_entries:
            assert sorted(answer) == sorted(mapping), (
                "set_many() returns the keys that were stored: "
                f"{len(answer)} instead of {len(mapping)}"
            )
        got = self.backend.get_dict(*mapping)
        wrong = {key: got.get(key) for key, value in mapping.items() if got.get(key) != value}
        assert not wrong, f"after set_many() of {len(mapping)} keys these are wrong: {show(wrong)}"

    def test_many_are_deleted_at_once(self) -> None:
        """delete_many returns what is gone, keys that were not there included."""
        keys = [f"key {number}" for number in range(self.many)]
        self.backend.set_many(dict.fromkeys(keys, 1))
        self.put("kept", 1)
        asked = [*keys, "missing"]
        answer = list(self.backend.delete_many(*asked))
        assert sorted(answer) == sorted(asked), (
            "delete_many() returns the keys that were removed or were not there: "
            f"{len(answer)} instead of {len(asked)}"
        )
        left = [key for key in keys if self.backend.get(key) is not None]
        assert not left, f"delete_many() of {len(asked)} keys left {show(left)}"
        self.expect("kept", 1, "delete_many() must leave other keys alone")

    def test_another_instance_sees_the_same(self) -> None:
        """What one object writes, deletes or counts, another one of the same store sees."""
        twin = self.twin()
        for value in self.values:
            self.put("key", value)
            self.expect("key", value, "another instance of the same store", twin)
        assert twin.add("key", 1) is False, "add() must see what another instance has stored"
        assert twin.delete("key") is True, "delete() must see what another instance has stored"
        assert self.backend.get("key") is None, "a key deleted by another instance is gone"
        assert [self.backend.inc("n"), twin.inc("n"), self.backend.inc("n")] == [1, 2, 3], (
            "instances of one store count together"
        )

    def test_repr_is_short_and_tells_no_secret(self) -> None:
        """It can be logged."""
        text = repr(self.backend)
        assert len(text) < 300, f"repr(backend) has {len(text)} characters; name what matters"
        told = [number for number, secret in enumerate(self.secrets) if secret in text]
        assert not told, f"repr(backend) contains number {told} of `secrets`"

    def test_capabilities_are_said(self) -> None:
        """What a backend can do beyond the protocol is asked with ``isinstance``."""
        for name, capability in _CAPABILITIES.items():
            has = callable(getattr(self.backend, name, None))
            says = isinstance(self.backend, capability)
            assert says or not (has and self.has_entries), (
                f"{self.name} has {name}() but is no {capability.__name__}: derive from it, or "
                "nobody will call the method"
            )
            assert has or not says, f"{self.name} is a {capability.__name__} without {name}()"


def _noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(size).randbytes(size)
