"""keys(), size() and peek(): what is in the store, without touching it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..backends.base import (
    RESERVED,
    KeyInfo,
    KeyPage,
    SupportsKeys,
    SupportsPeek,
    SupportsSize,
    SupportsTTL,
    iter_keys,
)
from .hooks import Hooks, show
from .keys import LOOKALIKES, ODD_KEYS

__all__ = ["ListingChecks"]

_LIMIT = 7


class ListingChecks(Hooks):
    """Listing the keys a page at a time, counting them, and looking at one."""

    def test_every_key_is_listed_once(self) -> None:
        """Page by page, each key that is there throughout, and none twice."""
        self.needs(SupportsKeys)
        keys = [f"view//page/{number}" for number in range(self.many)]
        self.backend.set_many(dict.fromkeys(keys, 1))
        for limit in (1, _LIMIT, 10 * self.many):
            pages = self._pages(limit)
            listed = Counter(info.key for page in pages for info in page.keys)
            missing = sorted(set(keys) - set(listed))
            assert not missing, f"with limit={limit} keys() left out {show(missing)}"
            strange = sorted(set(listed) - set(keys))
            assert not strange, f"with limit={limit} keys() lists {show(strange)}"
            double = [key for key, number in listed.items() if number > 1]
            assert self.repeats or not double, (
                f"with limit={limit} keys() lists more than once: {show(double)}"
            )

    def test_a_page_is_about_as_long_as_asked(self) -> None:
        """At most about ``limit`` keys, and more than one page where there are more."""
        self.needs(SupportsKeys)
        self.backend.set_many({f"key {number}": 1 for number in range(self.many)})
        pages = self._pages(_LIMIT)
        longest = max(len(page.keys) for page in pages)
        assert longest <= 10 * _LIMIT, f"keys(limit={_LIMIT}) gave a page of {longest} keys"
        assert isinstance(pages[0], KeyPage), "keys() returns a KeyPage"
        assert all(isinstance(info, KeyInfo) for info in pages[0].keys), "a page holds KeyInfo"
        assert all(isinstance(page.cursor, str) for page in pages), "a cursor is text"
        assert pages[0].cursor, "there is more after the first page: its cursor must not be empty"

    def test_an_empty_cache_lists_nothing(self) -> None:
        """The listing of nothing ends."""
        self.needs(SupportsKeys)
        for match in ("", "x"):
            listed = list(iter_keys(self.backend, match))
            assert listed == [], f"nothing is there, but keys(match={match!r}) lists {listed}"

    def test_match_is_literal(self) -> None:
        """``match`` is text that a key contains, not a pattern, upper and lower case apart."""
        self.needs(SupportsKeys)
        keys = ["a*b", "a?b", "a[bc]d", "axb", "abd", "a.b", "A*B", "a\\b", "a b", "a%b"]
        self.backend.set_many(dict.fromkeys(keys, 1))
        for match in ("", "a", "*", "?", "[bc]", "[", "]d", "b", "A", ".", "\\", " ", "%", "zz"):
            listed = self._listed(iter_keys(self.backend, match))
            wanted = sorted(key for key in keys if match in key)
            assert listed == wanted, f"keys(match={match!r}) lists {listed} instead of {wanted}"
            pages = self._pages(2, match)
            paged = self._listed(info for page in pages for info in page.keys)
            assert paged == wanted, f"keys(match={match!r}) by pages of 2 lists {paged}"

    def test_odd_keys_are_listed_as_they_are(self) -> None:
        """A listed key is the application's own, whatever the store calls it."""
        self.needs(SupportsKeys)
        keys = {*ODD_KEYS, *LOOKALIKES}
        self.backend.set_many(dict.fromkeys(keys, 1))
        listed = {info.key for info in iter_keys(self.backend)}
        wrong = sorted(keys ^ listed)
        assert not wrong, f"keys() lists under another name, or not at all: {show(wrong)}"

    def test_what_was_removed_is_not_listed(self) -> None:
        """Deleted keys and replaced values are not listed, or not twice."""
        self.needs(SupportsKeys)
        self.backend.set_many({"a": 1, "b": 1, "c": 1})
        self.put("a", "again")
        self.backend.delete("b")
        self.backend.set("c", 1, -1)
        listed = self._listed(iter_keys(self.backend))
        assert listed == ["a"], f"only 'a' is there, but keys() lists {listed}"

    def test_keys_may_come_and_go_between_pages(self) -> None:
        """A key that stays is listed, however much is written and deleted meanwhile."""
        self.needs(SupportsKeys)
        stays = [f"stays {number}" for number in range(60)]
        goes = [f"goes {number}" for number in range(60)]
        self.backend.set_many(dict.fromkeys([*stays, *goes], 1))
        listed: set[str] = set()
        cursor, turn = "", 0
        while True:
            page = self.backend.keys(cursor, _LIMIT)
            listed.update(info.key for info in page.keys)
            cursor = page.cursor
            if not cursor:
                break
            assert turn < 1000, "keys() does not come to an end while keys are written"
            self.backend.set(f"comes {turn}", 1)
            self.backend.delete_many(*goes[2 * turn : 2 * turn + 2])
            self.put(stays[turn % len(stays)], "written again")
            turn += 1
        missing = sorted(set(stays) - listed)
        assert not missing, f"keys() left out keys that were there throughout: {show(missing)}"

    def test_expiry_and_size_are_plausible(self) -> None:
        """What a listing says of a key is right, or None where the store cannot say."""
        self.needs(SupportsKeys)
        self.put("timed", b"x", 1000)
        self.put("for ever", "x", 0)
        self.put("large", random_text(self.large_value), 1000)
        self.put("counter", 5, 1000)
        infos = {info.key: info for info in iter_keys(self.backend)}
        there = {"timed", "for ever", "large", "counter"}
        assert set(infos) == there, f"keys() lists {sorted(infos)} instead of {sorted(there)}"
        for key in ("timed", "large", "counter"):
            expires_at = infos[key].expires_at
            if expires_at is not None:
                left = expires_at - self.now()
                assert 900 < left <= 1000 + 2 * self.resolution, (
                    f"{key!r} expires in about 1000 s, but its listing says {left:.0f}"
                )
        assert infos["for ever"].expires_at in (None, 0.0), "0.0 is for what never expires"
        sizes = {key: info.size for key, info in infos.items()}
        if None not in sizes.values():
            assert all(size > 0 for size in sizes.values() if size is not None), f"{sizes}"
            large = sizes["large"] or 0
            assert large >= 0.5 * self.large_value, f"a value of {self.large_value} bytes: {sizes}"
            assert (sizes["timed"] or 0) < 0.5 * self.large_value, f"a value of a byte: {sizes}"

    def test_reserved_keys_are_not_listed(self) -> None:
        """Locks and the switch are this package's own business."""
        self.needs(SupportsKeys)
        self.needs_sharing()
        for key in (f"{RESERVED}lock/key", f"{RESERVED}conformance"):
            self.put(key, "token", 3600)
        self.put("key", 1)
        listed = [info.key for info in iter_keys(self.backend)]
        self.backend.delete_many(f"{RESERVED}lock/key", f"{RESERVED}conformance")
        assert listed == ["key"], f"keys() must leave out what begins with {RESERVED}: {listed}"

    def test_listing_moves_no_expiry(self) -> None:
        """Looking at keys leaves their timeouts as they are."""
        self.needs(SupportsKeys)
        self.needs(SupportsTTL)
        self.put("timed", 1, 1000)
        self.put("for ever", 1, 0)
        for _ in range(3):
            list(iter_keys(self.backend))
        left = self.backend.ttl("timed")
        assert left is not None, "listing removed a key"
        assert 900 < left <= 1000 + self.resolution, f"listing moved an expiry to {left} s"
        assert self.backend.ttl("for ever") == 0, "listing moved an expiry"

    def test_a_wrong_cursor_is_a_value_error(self) -> None:
        """A cursor comes from a URL: nonsense is a ValueError, or an empty page, nothing worse."""
        self.needs(SupportsKeys)
        self.put("key", 1)
        for cursor in ("nonsense", "-1", "\x00", "9" * 40, "0:", "\N{SNOWMAN}"):
            try:
                page = self.backend.keys(cursor, _LIMIT)
            except ValueError:
                continue
            assert isinstance(page, KeyPage), f"keys({cursor!r}) returned {page!r}"

    def test_size(self) -> None:
        """size() counts what is held; it grows and shrinks with it."""
        self.needs(SupportsSize)
        backend = self.backend
        backend.set_many({"a": 1, "b": 2, "c": 3})
        before = backend.size()
        assert before >= 3, f"size() is {before} with three keys"
        self.put("a", "again")
        assert backend.size() == before, "replacing a value must not change size()"
        backend.delete("a")
        assert backend.size() == before - 1, "size() shrinks with a delete()"
        backend.clear()
        assert backend.size() <= before - 3, f"size() is {backend.size()} after clear()"
        assert backend.threshold >= 0, "threshold is a number of entries, 0 for no limit"
        numbers = backend.evictions.values()
        assert all(number >= 0 for number in numbers), "evictions counts by reason"

    def test_a_full_cache_makes_room(self) -> None:
        """Never much more than the threshold; the newest is kept, and evictions are counted."""
        bounded = self.make_bounded(100)
        if bounded is None:
            self.skip(f"{type(self).__name__}.make_bounded() returns None")
        self.opened(bounded)
        keys = [f"key {number}" for number in range(350)]
        for key in keys:
            bounded.set(key, key, 0)
            assert bounded.get(key) == key, "what was just written must be there"
        assert bounded.size() <= 150, f"size() is {bounded.size()} with a threshold of 100"
        held = sum(bounded.has(key) for key in keys)
        assert 50 <= held <= 150, f"{held} keys are there with a threshold of 100"
        evicted = sum(bounded.evictions.values())
        assert evicted >= 200, f"evictions counts {evicted} of at least 200"

    def test_peeking_shows_the_entry(self) -> None:
        """What get_entry() finds, and nothing where that finds nothing."""
        self.needs(SupportsPeek)
        self.backend.set("key", "value", 1000)
        found, shown = self.backend.get_entry("key"), self.backend.peek("key")
        assert shown is not None, "peek() shows nothing of a key that is there"
        for name in ("form", "payload", "created_at", "expires_at"):
            seen, there = getattr(shown, name), getattr(found, name)
            assert seen == there, f"peek() shows {seen!r} as {name} instead of {there!r}"
        self.backend.set("key", "value", -1)
        for key in ("key", "never set"):
            assert self.backend.peek(key) is None, f"peek({key!r}) shows an entry that is not there"

    def test_peeking_is_no_use(self) -> None:
        """Entries that are only looked at leave a full cache before those that are newer."""
        self.needs(SupportsPeek)
        bounded = self.make_bounded(100)
        if bounded is None:
            self.skip(f"{type(self).__name__}.make_bounded() returns None")
        self.opened(bounded)
        for number in range(100):
            bounded.set(f"key {number}", number, 0)
        oldest = [f"key {number}" for number in range(50)]
        for key in oldest:
            bounded.peek(key)
        bounded.set_many({f"newer {number}": number for number in range(60)}, 0)
        held = sum(bounded.has(key) for key in oldest)
        assert held <= 25, f"{held} of the 50 oldest entries are left after they were peeked at"

    def _listed(self, infos: Iterable[KeyInfo]) -> list[str]:
        """The keys of a listing, sorted; without doubles where there may be some."""
        keys = [info.key for info in infos]
        return sorted(set(keys) if self.repeats else keys)

    def _pages(self, limit: int, match: str = "") -> list[KeyPage]:
        """The listing, page by page."""
        pages: list[KeyPage] = []
        cursor = ""
        while True:
            pages.append(self.backend.keys(cursor, limit, match))
            cursor = pages[-1].cursor
            if not cursor:
                return pages
            assert len(pages) < 100_000, f"keys(limit={limit}) does not come to an end"


def random_text(size: int) -> str:
    """Text that compresses badly."""
    import random

    return random.Random(size).randbytes(size // 2).hex()
