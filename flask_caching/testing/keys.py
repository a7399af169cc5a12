"""Any text is a key, and no two keys are one."""

from __future__ import annotations

from ..backends.base import SupportsTouch, SupportsTTL
from .hooks import Hooks, show

__all__ = ["LOOKALIKES", "ODD_KEYS", "KeyChecks"]

#: Keys that stores trip over.
ODD_KEYS: tuple[str, ...] = (
    "view//users/42?page=1&sort=a,b",
    "",
    " ",
    "with spaces",
    "\t\r\n",
    "line\r\nbreak",
    "get x\r\nset y 0 0 1\r\n1\r\n",
    "\x00",
    "\x01\x1b\x7f\x85\u2028",
    "*",
    "[a-z]?",
    "back\\slash",
    "'\"`$(x){}<b>",
    "%2e%2e/../../etc",
    ".",
    "..",
    "CON",
    "{slot}",
    "Grüße",
    "\N{SNOWMAN}" * 80,
    "\N{GRINNING FACE}",
    "\ud800",
    "a" * 250,
    "a" * 251,
    "b" * 5000,
)

#: Keys that differ by what a careless encoding drops, folds or cuts off.
LOOKALIKES: tuple[str, ...] = (
    "key",
    "KEY",
    "Key",
    "key ",
    " key",
    "key\n",
    "key\x00",
    "key\x00more",
    "k ey",
    "k_ey",
    "k%20ey",
    "k+ey",
    "k\tey",
    "k/ey",
    "k//ey",
    "k/./ey",
    "k\\ey",
    "k:ey",
    "k*",
    "k?y",
    "k[e]y",
    "k{e}y",
    "k{e}z",
    "caf\xe9",
    "cafe\u0301",
    "cafe",
    "\ud800",
    "\udfff",
    "\ufffd",
    "?",
    "\\ud800",
    "1",
    "01",
    "1.0",
    "\uff11",
    "l" * 240 + "1",
    "l" * 240 + "2",
    "l" * 300 + "1",
    "l" * 300 + "2",
    "l" * 300 + "1 ",
    "l" * 10000 + "1",
    "l" * 10000 + "2",
)


class KeyChecks(Hooks):
    """What keys may be."""

    def test_any_text_is_a_key(self) -> None:
        """Long, spaces, control characters, not ASCII, lone surrogates: all are stored."""
        for key in ODD_KEYS:
            self.put(key, "value")
            self.expect(key, "value", "any text is a key; encode or hash what the store refuses")
            assert self.backend.has(key) is True, f"has({key!a}) must be True"
            assert self.backend.delete(key) is True, f"delete({key!a}) must be True"
            assert self.backend.get(key) is None, f"delete({key!a}) must delete"

    def test_every_operation_takes_any_key(self) -> None:
        """Those on several keys, and counting, take the same keys as get and set."""
        backend = self.backend
        mapping = {key: number for number, key in enumerate(ODD_KEYS)}
        backend.set_many(mapping)
        got = backend.get_dict(*ODD_KEYS)
        wrong = [key for key in ODD_KEYS if got.get(key) != mapping[key]]
        assert not wrong, f"set_many() and get_dict() disagree with set() on {show(wrong)}"
        backend.delete_many(*ODD_KEYS)
        for key in ODD_KEYS:
            assert backend.get(key) is None, f"delete_many() must delete {key!a}"
            assert backend.add(key, 1) is True, f"add({key!a}) must store"
            assert backend.inc(key) == 2, f"inc({key!a}) must count what add() stored"

    def test_ttl_and_touch_take_any_key(self) -> None:
        """Asking for an expiry, and moving it, take the same keys as get and set."""
        self.needs(SupportsTTL)
        self.needs(SupportsTouch)
        for key in ODD_KEYS:
            self.put(key, 1, 1000)
            assert self.backend.touch(key, 5000) is True, f"touch({key!a}) must find it"
            left = self.backend.ttl(key)
            assert left is not None, f"ttl({key!a}) must find it"
            assert left > 1000, f"ttl({key!a}) is {left} after touch(..., 5000)"

    def test_keys_that_look_alike_do_not_meet(self) -> None:
        """Each key has its own value, and deleting one leaves the others."""
        for number, key in enumerate(LOOKALIKES):
            assert self.backend.get(key) is None, f"{key!a} is new, but another key's value is got"
            self.put(key, number)
        for number, key in enumerate(LOOKALIKES):
            self.expect(key, number, "two keys share a value")
        got = list(self.backend.get_many(*LOOKALIKES))
        assert got == list(range(len(LOOKALIKES))), f"get_many() mixes keys up: {show(got)}"
        for number, key in enumerate(LOOKALIKES):
            self.expect(key, number, "deleting another key removed this one")
            self.backend.delete(key)
