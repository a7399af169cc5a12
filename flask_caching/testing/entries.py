"""The entry level: values with what must be known about them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..backends.base import SupportsTouch, SupportsTTL
from ..entry import Entry, Form, StoredResponse, Witness
from ..errors import UnreadableEntry
from ..serializers import Codec
from .hooks import Hooks, raised
from .waiting import waits

__all__ = ["EntryChecks"]

_WITNESS = Witness("endpoint", ("id", 1), "GET", "example.org", "a=1", "/root", "https")
_FACTS = ("form", "payload", "load_seconds", "versions", "vary", "reads")


class EntryChecks(Hooks):
    """What the decorators use. Skipped for a backend that knows only values."""

    def test_an_entry_comes_back_with_its_facts(self) -> None:
        """Form, payload, witness, versions, vary and the rest survive."""
        self.needs_entries()
        for entry in self._entries():
            assert self.backend.set_entry("key", entry) is True, "set_entry() returns True"
            for got in (self.backend.get_entry("key"), self.backend.get_entries(["key"])[0]):
                self._alike(got, entry)

    def test_added_entries_have_their_facts(self) -> None:
        """add_entry and create= store the same as set_entry."""
        self.needs_entries()
        for number, entry in enumerate(self._entries()):
            assert self.backend.add_entry(f"added {number}", entry) is True
            self._alike(self.backend.get_entry(f"added {number}"), entry)
            created = self.backend.get_entries(["x"], {f"created {number}": entry})
            assert list(created) == [None]
            self._alike(self.backend.get_entry(f"created {number}"), entry)

    def test_values_and_entries_are_the_same_keys(self) -> None:
        """What set stores get_entry reads, and the other way round; counters too."""
        self.needs_entries()
        backend = self.backend
        self.put("set", ["value"], 1000)
        entry = backend.get_entry("set")
        assert entry is not None, "get_entry() must find what set() stored"
        assert backend.codec.thaw(entry) == ["value"], "an entry of set() holds the value"
        assert entry.witness is None, "a value that was set has no witness: any asker is right"
        assert entry.versions == (), "a value that was set has no versions"
        assert backend.set_entry("entry", self.entry("text")) is True
        self.expect("entry", "text", "get() must find what set_entry() stored")
        assert backend.inc("n", 3) == 3
        counter = backend.get_entry("n")
        assert counter is not None, "get_entry() must find a counter"
        assert (counter.form, counter.payload) == (Form.PLAIN, 3), f"a counter is {counter!r}"

    def test_entries_are_read_in_their_order(self) -> None:
        """get_entries answers position by position: doubles twice, missing ones as None."""
        self.needs_entries()
        for key in ("a", "b"):
            self.backend.set_entry(key, self.entry(key))
        got = self.backend.get_entries(["b", "x", "a", "b"])
        payloads = [None if entry is None else entry.payload for entry in got]
        assert payloads == ["b", None, "a", "b"], f"get_entries(b, x, a, b) gave {payloads}"
        assert list(self.backend.get_entries([])) == [], "get_entries() of no keys is []"
        many = [f"key {number}" for number in range(self.many)]
        self.backend.set_many(dict.fromkeys(many, 1))
        found = self.backend.get_entries(many)
        missing = [key for key, entry in zip(many, found, strict=True) if entry is None]
        assert not missing, f"get_entries() of {len(many)} keys did not find {missing[:3]}"

    def test_a_missing_entry_is_none(self) -> None:
        """Missing and expired are None; an entry that has expired removes what is there."""
        self.needs_entries()
        backend = self.backend
        assert backend.get_entry("missing") is None, "get_entry() of a missing key is None"
        self.put("key", "old")
        assert backend.set_entry("key", self.entry("new", -5)) is True, (
            "set_entry() of an expired entry returns True: it is done with"
        )
        assert backend.get_entry("key") is None, "an expired entry removes what is there"
        assert backend.has("key") is False, "an expired entry removes what is there"

    @waits
    def test_entries_expire(self) -> Iterator[None]:
        """An entry is gone at its ``expires_at``, whoever wrote it."""
        self.needs_entries()
        backend = self.backend
        backend.set_entry("entry set", self.entry(1, self.soon))
        backend.add_entry("entry added", self.entry(1, self.soon))
        backend.get_entries([], {"entry created": self.entry(1, self.soon)})
        yield
        for key in ("entry set", "entry added", "entry created"):
            self.gone(key, "an entry's expires_at is when it is gone")
            assert backend.get_entry(key) is None, f"get_entry({key!r}) finds an expired entry"
            assert list(backend.get_entries([key])) == [None], f"get_entries([{key!r}]) does"

    def test_add_entry_stores_only_what_is_not_there(self) -> None:
        """It returns whether it did, and leaves the other's entry alone."""
        self.needs_entries()
        backend = self.backend
        assert backend.add_entry("key", self.entry("first")) is True
        assert backend.add_entry("key", self.entry("second")) is False, (
            "add_entry() over a key must return False"
        )
        self.expect("key", "first", "add_entry() must not replace")
        backend.add_entry("expired", self.entry("new", -5))
        assert backend.get_entry("expired") is None, "an expired entry is not added"

    def test_create_adds_only_what_is_missing(self) -> None:
        """get_entries first creates, then reads; what is there stays."""
        self.needs_entries()
        backend = self.backend
        self.put("there", "old")
        new = {key: self.entry("new") for key in ("there", "made", "unasked")}
        got = backend.get_entries(["made", "there", "missing"], new)
        payloads = [None if entry is None else entry.payload for entry in got]
        assert payloads == ["new", "old", None], (
            f"get_entries([made, there, missing], create=...) gave {payloads}: create what is "
            "missing, leave what is there, then read"
        )
        self.expect("there", "old", "create= must not replace")
        self.expect("unasked", "new", "create= may name keys that are not read")
        again = backend.get_entries(["made"], create={"made": self.entry("newer")})
        assert [entry.payload for entry in again if entry] == ["new"], "create= must not replace"

    @waits
    def test_touch_of_a_write_only_lengthens(self) -> Iterator[None]:
        """set_entry(touch=) lets versions live as long as the entry, and never shorter."""
        self.needs_entries()
        self.needs(SupportsTouch)
        backend = self.backend

        def write() -> None:
            self.put("version: short", "v", self.soon)
            self.put("version: to be for ever", "v", self.soon)
            self.put("version: long", "v", 5000)
            self.put("version: for ever", "v", 0)
            keys = [f"version: {name}" for name in ("short", "long", "for ever", "missing")]
            backend.set_entry("under versions", self.entry("x", 1000), keys)
            backend.set_entry("lasting", self.entry("x", 0), ["version: to be for ever"])
            backend.set_entry("brief", self.entry("x", self.soon), ["version: long"])

        self.before_it_expires(write)
        assert backend.get_entry("version: missing") is None, "touch= must not create a key"
        yield
        self.gone("brief", "an entry's expires_at is when it is gone")
        for name in ("short", "to be for ever", "long", "for ever"):
            self.expect(f"version: {name}", "v", "touch= moves an expiry later, never sooner")
        if self.can(SupportsTTL):
            for name, seconds in (("short", 1000), ("long", 5000)):
                left = backend.ttl(f"version: {name}") or 0
                assert seconds - 100 < left <= seconds + self.resolution, (
                    f"touch= left {left} s to a {name} key instead of about {seconds}"
                )
            for name in ("for ever", "to be for ever"):
                assert backend.ttl(f"version: {name}") == 0, "0 is later than any time"

    def test_an_unreadable_entry_is_said_so(self) -> None:
        """What another application wrote: UnreadableEntry from one, a reported miss of several."""
        self.needs_sharing()
        backend = self.backend
        told: list[UnreadableEntry] = []
        backend.on_unreadable = told.append
        self.put("readable", "text")
        self._write_foreign("foreign")
        for read in (backend.get_entry, backend.get):
            error = raised(
                UnreadableEntry,
                partial(read, "foreign"),
                f"{read.__name__}() of an entry made under another secret, as the codec says",
            )
            assert error.reason, "UnreadableEntry needs a reason, for a counter"
        for many in (backend.get_entries(["readable", "foreign"]), backend.get_many("foreign")):
            assert many[-1] is None, "among several keys an unreadable entry is a miss"
        assert len(told) == 2, f"on_unreadable was told {len(told)} times of 2 unreadable entries"

    def test_an_unreadable_entry_can_be_replaced(self) -> None:
        """It is overwritten and deleted like any other; counting refuses it, or begins anew."""
        self.needs_sharing()
        backend = self.backend
        for key in ("set", "deleted", "counted"):
            self._write_foreign(key)
        self.put("set", "mine")
        self.expect("set", "mine", "an unreadable entry is overwritten")
        assert backend.delete("deleted") is True, "an unreadable entry can be deleted"
        assert backend.get("deleted") is None, "delete() must delete an unreadable entry"
        try:
            answer = backend.inc("counted")
        except (TypeError, UnreadableEntry):
            answer = 1
        assert answer == 1, f"inc() of an unreadable entry returned {answer!r}"

    def test_an_entry_counts_only_under_its_own_key(self) -> None:
        """Where one name in the store is two keys of two caches, neither gets the other's value."""
        self.needs_sharing()
        outer, inner = self.other_prefix("outer/"), self.other_prefix("outer/inner/")
        self.put("inner/key", "of inner/key", backend=outer)
        try:
            answer = inner.get("key")
        except UnreadableEntry:
            answer = None
        assert answer is None, (
            f"get('key') returned what was stored under 'inner/key', {answer!r}; give the codec "
            "the application's key"
        )

    def entry(self, value: Any, seconds: float = 1000, **facts: Any) -> Entry:
        """An entry around ``value`` that expires so many seconds from now; 0 for never."""
        form, payload = self.backend.codec.freeze(value)
        now = self.now()
        expires_at = now + seconds if seconds else 0.0
        return Entry(form, payload, created_at=now, expires_at=expires_at, **facts)

    def _entries(self) -> list[Entry]:
        now = self.now()
        response = StoredResponse("200 OK", (("X-Name", "Grüße"), ("X-Name", "2")), b"\x00body")
        return [
            self.entry("text", load_seconds=0.25, witness=_WITNESS, reads=frozenset({"host"})),
            self.entry(5, load_seconds=0.125),
            self.entry(5, versions=("abc", "")),
            self.entry(None, versions=("version", "two")),
            self.entry([1, {"a": 2}], 0, vary=(("Accept", "text/html"), ("X-Name", "Grüße"))),
            Entry(Form.RESPONSE, response, created_at=now, expires_at=now + 60, witness=_WITNESS),
        ]

    def _alike(self, got: Entry | None, entry: Entry) -> None:
        assert got is not None, f"{entry!r} was stored but is not there"
        for fact in _FACTS:
            one, other = getattr(got, fact), getattr(entry, fact)
            assert one == other, f"an entry's {fact} came back as {one!r} instead of {other!r}"
        assert abs(got.created_at - entry.created_at) < 0.001, "created_at must survive"
        assert abs(got.expires_at - entry.expires_at) <= self.resolution, "expires_at must survive"
        witness = entry.witness
        if witness is not None and got.sealed:
            witness = self.backend.codec.seal(witness)
        assert got.asker == witness, f"the witness came back as {got.asker!r}"

    def _write_foreign(self, key: str) -> None:
        """Write an entry as an application with another secret does."""
        own = self.backend.codec
        self.backend.codec = Codec(secret=b"of another application")
        try:
            self.put(key, "foreign")
        finally:
            self.backend.codec = own
