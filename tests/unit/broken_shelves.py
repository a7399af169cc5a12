"""Shelves with one mistake each, and the tests of the conformance suite that must notice it."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from shelf import Shelf

from flask_caching.backends import SimpleCache
from flask_caching.backends.base import NOTHING, RESERVED, KeyInfo, KeyPage
from flask_caching.entry import Entry, Form
from flask_caching.errors import RefusedEntry, SerializationError, UnreadableEntry

__all__ = ["BROKEN"]

Made = TypeVar("Made", bound=Callable[..., Any])

#: Makers of broken backends, and the names of the tests that must fail on what they make.
BROKEN: list[tuple[Callable[..., Any], tuple[str, ...]]] = []


def caught_by(*names: str) -> Callable[[Made], Made]:
    def enter(maker: Made) -> Made:
        BROKEN.append((maker, names))
        return maker

    return enter


# Values.


@caught_by("test_a_value_comes_back_as_it_was", "test_values_through_cache")
class ListsForTuples(Shelf):
    def get_entry(self, key: str) -> Entry | None:
        entry = super().get_entry(key)
        if entry is None or type(entry.payload) is not tuple:
            return entry
        return entry.replaced(*self.codec.freeze(list(entry.payload)), entry.expires_at)


@caught_by("test_a_false_value_is_no_miss", "test_none_is_stored")
class FalseIsMissing(Shelf):
    def has(self, key: str) -> bool:
        return bool(self.get(key))


@caught_by("test_none_is_stored")
class NoneIsMissing(Shelf):
    def has(self, key: str) -> bool:
        return self.get(key) is not None


@caught_by(
    "test_a_missing_key_is_a_miss_everywhere",
    "test_delete_says_whether_the_key_existed",
    "test_a_value_expires",
    "test_prefixes_are_apart",
)
class DeletesAnything(Shelf):
    def delete(self, key: str) -> bool:
        super().delete(key)
        return True


@caught_by("test_set_replaces")
class Pads(Shelf):
    """Writes over what is there, and leaves its end."""

    def _write(self, name: str, data: bytes, expires_at: float) -> None:
        before = self._read(name) or b""
        super()._write(name, data + before[len(data) :], expires_at)


@caught_by("test_a_value_is_a_snapshot")
class KeepsObjects(Shelf):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._objects: dict[str, Any] = {}

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self._objects[key] = value
        return super().set(key, value, timeout)

    def get(self, key: str) -> Any:
        value = super().get(key)
        return value if value is None else self._objects.get(key, value)


@caught_by("test_a_large_value_is_stored")
class CutsOff(Shelf):
    def _write(self, name: str, data: bytes, expires_at: float) -> None:
        super()._write(name, data[:65_536], expires_at)


@caught_by("test_a_value_over_the_limit_is_refused")
class RefusesSilently(Shelf):
    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        try:
            return super().set_entry(key, entry, touch)
        except RefusedEntry:
            return False


@caught_by("test_a_value_that_cannot_be_stored_raises")
class LosesWhatItCannotStore(Shelf):
    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        try:
            return super().set(key, value, timeout)
        except SerializationError:
            self.delete(key)
            raise


@caught_by(
    "test_add_stores_only_what_is_not_there",
    "test_add_entry_stores_only_what_is_not_there",
    "test_create_adds_only_what_is_missing",
    "test_a_lock_is_taken_once",
    "test_one_add_wins",
)
class AddReplaces(Shelf):
    def add_entry(self, key: str, entry: Entry) -> bool:
        return self.set_entry(key, entry)


@caught_by("test_many_are_got_in_their_order", "test_entries_are_read_in_their_order")
class AnswersOnce(Shelf):
    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        return super().get_entries(list(dict.fromkeys(keys)), create)


@caught_by("test_many_of_nothing", "test_entries_are_read_in_their_order")
class WantsKeys(Shelf):
    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        if not keys:
            raise ValueError("wrong number of arguments")
        return super().get_entries(keys, create)


@caught_by("test_many_are_set_at_once")
class SaysNothingOfMany(Shelf):
    def set_many(self, mapping: Mapping[str, Any], timeout: float | None = None) -> list[Any]:
        super().set_many(mapping, timeout)
        return []


@caught_by("test_many_are_deleted_at_once", "test_clear_removes_everything")
class LeavesTheLast(Shelf):
    def delete_many(self, *keys: str) -> list[Any]:
        super().delete_many(*keys[:50])
        return list(keys)

    def clear(self) -> bool:
        for name in self._own()[:50]:
            del self.store.items[name]
        return True


@caught_by("test_another_instance_sees_the_same", "test_another_instance_sees_the_clear")
class RemembersLocally(Shelf):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        if key not in self._seen:
            self._seen[key] = super().get(key)
        return self._seen[key]

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self._seen.pop(key, None)
        return super().set(key, value, timeout)


@caught_by("test_repr_is_short_and_tells_no_secret")
class Talks(Shelf):
    def __repr__(self) -> str:
        return f"Talks(items={self.store.items}, {'x' * 300})"


@caught_by("test_capabilities_are_said")
class SaysTooLittle(SimpleCache):
    def __init__(self, *_: Any) -> None:
        super().__init__()

    def release_lock(self, key: str, token: str) -> bool:
        return False


# Keys.


@caught_by(
    "test_any_text_is_a_key",
    "test_every_operation_takes_any_key",
    "test_ttl_and_touch_take_any_key",
    "test_odd_keys_are_listed_as_they_are",
)
class TakesUtf8Only(Shelf):
    def _name(self, key: str) -> str:
        return super()._name(key.encode().decode())


@caught_by("test_keys_that_look_alike_do_not_meet", "test_odd_keys_are_listed_as_they_are")
class CutsKeys(Shelf):
    def _name(self, key: str) -> str:
        return super()._name(key[:250])


@caught_by("test_keys_that_look_alike_do_not_meet", "test_match_is_literal")
class FoldsCase(Shelf):
    def _name(self, key: str) -> str:
        return super()._name(key.lower())


@caught_by("test_ttl_and_touch_take_any_key")
class TtlOfOneWord(Shelf):
    def ttl(self, key: str) -> float | None:
        return super().ttl(key.strip())


@caught_by("test_every_operation_takes_any_key", "test_clear_removes_everything")
class CountsOneWord(Shelf):
    """Counts under another name, which it does not clear either."""

    def inc(self, key: str, delta: int = 1) -> int:
        mine, self.key_prefix = self.key_prefix, "counters/"
        try:
            return super().inc(key, delta)
        finally:
            self.key_prefix = mine


# Expiry.


@caught_by(
    "test_a_value_expires",
    "test_none_is_the_default_timeout",
    "test_the_last_write_decides",
    "test_counting_keeps_the_expiry",
    "test_entries_expire",
    "test_a_lock_expires",
    "test_a_cached_view_expires",
)
class NeverExpires(Shelf):
    def _write(self, name: str, data: bytes, expires_at: float) -> None:
        super()._write(name, data, 0.0 if expires_at > self._clock() else expires_at)


@caught_by("test_expired_is_missing_for_the_rest_as_well", "test_touch_of_what_is_not_there")
class TouchRevives(Shelf):
    def touch(self, key: str, timeout: float | None = None) -> bool:
        data, _ = self.store.items.get(self._name(key), (b"0", 0.0))
        self._write(self._name(key), data, self.expiry(timeout))
        return True


@caught_by("test_zero_never_expires", "test_ttl")
class ZeroIsTheDefault(Shelf):
    def expiry(self, timeout: float | None) -> float:
        return super().expiry(timeout or None)


@caught_by("test_none_is_the_default_timeout", "test_the_expiry_of_counters")
class KeepsFirstDefault(Shelf):
    def expiry(self, timeout: float | None) -> float:
        return super().expiry(300 if timeout is None else timeout)


@caught_by("test_the_last_write_decides")
class OnlyLengthens(Shelf):
    def _write(self, name: str, data: bytes, expires_at: float) -> None:
        _, before = self.store.items.get(name, (b"", expires_at))
        later = 0.0 if not before or not expires_at else max(before, expires_at)
        super()._write(name, data, later)


@caught_by("test_a_refused_add_changes_no_timeout")
class AddTouches(Shelf):
    def add_entry(self, key: str, entry: Entry) -> bool:
        with self.store.lock:
            data = self._read(self._name(key))
            if data is not None:
                self._write(self._name(key), data, entry.expires_at)
                return False
            return super().add_entry(key, entry)


@caught_by("test_parts_of_a_second", "test_what_is_no_timeout_is_refused")
class WholeSeconds(Shelf):
    def expiry(self, timeout: Any) -> float:
        seconds = int(float(300 if timeout is None else getattr(timeout, "seconds", timeout)))
        return self._clock() + seconds if seconds else 0.0


@caught_by("test_a_timeout_over_thirty_days")
class TakesMonthsForDates(Shelf):
    def expiry(self, timeout: float | None) -> float:
        expires_at = super().expiry(timeout)
        seconds = expires_at - self._clock()
        return seconds if seconds > 30 * 86_400 else expires_at


@caught_by("test_a_negative_timeout_has_expired", "test_a_missing_entry_is_none")
class IgnoresThePast(Shelf):
    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        if entry.expires_at and entry.expires_at <= self._clock():
            return False
        return super().set_entry(key, entry, touch)


@caught_by("test_reading_does_not_renew", "test_a_value_expires")
class ReadingRenews(Shelf):
    def get_entry(self, key: str) -> Entry | None:
        entry = super().get_entry(key)
        if entry is not None:
            self.touch(key, 60)
        return entry


@caught_by("test_ttl", "test_listing_moves_no_expiry")
class TtlLikeRedis(Shelf):
    def ttl(self, key: str) -> float | None:
        return super().ttl(key) or -1


@caught_by("test_touch_moves_the_expiry")
class TouchForgetsZero(Shelf):
    def touch(self, key: str, timeout: float | None = None) -> bool:
        return super().touch(key, timeout or 1)


# Counting.


@caught_by(
    "test_counting",
    "test_several_values_and_counters_through_cache",
    "test_a_missing_counter_begins_at_zero",
    "test_no_count_is_lost",
)
class ReturnsTheOld(Shelf):
    def inc(self, key: str, delta: int = 1) -> int:
        return super().inc(key, delta) - delta


@caught_by(
    "test_counting_below_zero_and_with_negative_steps",
    "test_no_count_below_zero_is_lost",
    "test_a_missing_counter_begins_at_zero",
)
class StopsAtZero(Shelf):
    def inc(self, key: str, delta: int = 1) -> int:
        value = super().inc(key, delta)
        return value if value >= 0 else super().inc(key, -value)


@caught_by("test_counting_far")
class Wraps(Shelf):
    def inc(self, key: str, delta: int = 1) -> int:
        try:
            return super().inc(key, delta)
        except OverflowError:
            self.set(key, 0)
            return 0


@caught_by("test_what_is_no_number_cannot_be_counted", "test_a_step_is_a_whole_number")
class CountsAnything(Shelf):
    def inc(self, key: str, delta: Any = 1) -> int:
        value = self.get(key)
        number = value if type(value) is int else 0
        self.set(key, number + int(delta or 0))
        return number + int(delta or 0)


@caught_by("test_counting_keeps_the_expiry", "test_the_expiry_of_counters")
class CountingRenews(Shelf):
    def inc(self, key: str, delta: int = 1) -> int:
        value = super().inc(key, delta)
        self.touch(key)
        return value


# Threads.


class TwoSteps(Shelf):
    """Looks, and then leaps."""

    def add_entry(self, key: str, entry: Entry) -> bool:
        missing = self._read(self._name(key)) is None
        time.sleep(0.001)
        return missing and self.set_entry(key, entry)

    def inc(self, key: str, delta: int = 1) -> int:
        value = (self.get(key) or 0) + delta
        time.sleep(0.001)
        self.set(key, value)
        return value

    def release_lock(self, key: str, token: str) -> bool:
        held = self.get(key) is not None
        time.sleep(0.001)
        return held and super().release_lock(key, token)


caught_by(
    "test_one_add_wins",
    "test_no_count_is_lost",
    "test_no_count_below_zero_is_lost",
    "test_one_of_many_gets_the_lock",
)(TwoSteps)


@caught_by("test_no_reader_sees_half_a_value")
class WritesInPieces(Shelf):
    def set_many(self, mapping: Mapping[str, Any], timeout: float | None = None) -> list[Any]:
        for key, value in mapping.items():
            self.set(key, value[: len(value) // 2])
            time.sleep(0.001)
        return super().set_many(mapping, timeout)


# Clearing and prefixes.


@caught_by("test_clear_leaves_what_is_reserved", "test_locks_survive_a_clear_and_are_not_listed")
class ClearsLocks(Shelf):
    def clear(self) -> bool:
        for name in self._own():
            del self.store.items[name]
        return True


@caught_by("test_prefixes_are_apart", "test_the_prefix_may_be_a_function")
class IgnoresItsPrefix(Shelf):
    def _name(self, key: str) -> str:
        return f"shelf/{key}"


@caught_by("test_clear_leaves_other_prefixes", "test_listing_leaves_out_other_prefixes")
class PrefixIsAPattern(Shelf):
    def _own(self) -> list[str]:
        return [name for name in self.store.items if fnmatch.fnmatch(name, self._name("") + "*")]


@caught_by("test_an_empty_prefix_is_not_cleared_by_accident")
class FlushesAll(Shelf):
    def clear(self) -> bool:
        if self.key_prefix == "":
            self.store.items.clear()
            return True
        return super().clear()


@caught_by("test_the_prefix_may_be_a_function", "test_the_prefix_can_be_changed")
class AsksForItsPrefixOnce(Shelf):
    _first = ""

    def _name(self, key: str) -> str:
        self._first = self._first or super()._name("")
        return self._first + key


# Listing.


class Lists(Shelf):
    """A listing in terms of all that would be listed."""

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        infos = sorted(self._infos(match))
        start = int(cursor or 0)
        page = infos[start : start + limit]
        return KeyPage(page, str(start + limit) if infos[start + limit :] else "")


@caught_by("test_keys_may_come_and_go_between_pages")
class CursorIsAPosition(Lists):
    """What moves up while keys are removed is passed over."""


@caught_by("test_every_key_is_listed_once", "test_match_is_literal")
class LosesTheLastOfAPage(Shelf):
    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        page = super().keys(cursor, limit, match)
        return KeyPage(page.keys[:-1] if page.cursor else page.keys, page.cursor)


@caught_by("test_every_key_is_listed_once")
class ListsTwice(Shelf):
    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        page = super().keys(cursor, limit, match)
        return KeyPage([*page.keys, *page.keys[:1]], page.cursor)


@caught_by("test_a_page_is_about_as_long_as_asked")
class OneLongPage(Shelf):
    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        return super().keys("", 10**6, match)


@caught_by("test_an_empty_cache_lists_nothing")
class ListsItsName(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        yield from super()._infos(match)
        if not self._own():
            yield KeyInfo("nothing here", 0.0, 0)


@caught_by("test_match_is_literal")
class MatchIsAPattern(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for info in super()._infos(""):
            if fnmatch.fnmatchcase(info.key, f"*{match}*"):
                yield info


@caught_by("test_odd_keys_are_listed_as_they_are")
class ListsItsOwnNames(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for info in super()._infos(match):
            yield info._replace(key=ascii(info.key)[1:-1])


@caught_by("test_what_was_removed_is_not_listed", "test_expired_is_missing_for_the_rest_as_well")
class ListsTheDead(Shelf):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ever: set[str] = set()

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        self._ever.add(key)
        return super().set_entry(key, entry, touch)

    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for key in self._ever:
            if match in key:
                yield KeyInfo(key, None, None)


@caught_by("test_expiry_and_size_are_plausible")
class ListsSecondsLeft(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for info in super()._infos(match):
            yield info._replace(expires_at=(info.expires_at or 0.0) - self._clock())


@caught_by("test_expiry_and_size_are_plausible")
class ListsLengthsOfKeys(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for info in super()._infos(match):
            yield info._replace(size=len(info.key))


@caught_by("test_reserved_keys_are_not_listed", "test_locks_survive_a_clear_and_are_not_listed")
class ListsLocks(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        yield from super()._infos(match)
        for name in self._own():
            key = name.removeprefix(self._name(""))
            if key.startswith(RESERVED) and match in key:
                yield KeyInfo(key, None, None)


@caught_by("test_listing_moves_no_expiry", "test_reading_does_not_renew")
class ListingRenews(Shelf):
    def _infos(self, match: str) -> Iterator[KeyInfo]:
        for info in list(super()._infos(match)):
            self.touch(info.key, 5000)
            yield info


@caught_by("test_a_wrong_cursor_is_a_value_error")
class TrustsCursors(Shelf):
    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        if cursor and not cursor.startswith("after "):
            raise LookupError(cursor)
        return super().keys(cursor, limit, match)


@caught_by("test_size")
class SizeOnlyGrows(Shelf):
    _written = 0

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        self._written += 1
        return super().set_entry(key, entry, touch)

    def size(self) -> int:
        return self._written


@caught_by("test_a_full_cache_makes_room")
def unlimited(store: Any, *args: Any, threshold: int = 0) -> Shelf:
    return Shelf(store, *args, threshold=0 * threshold)


# Entries.


@caught_by("test_an_entry_comes_back_with_its_facts")
class DropsFacts(Shelf):
    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        bare = Entry(
            entry.form, entry.payload, created_at=entry.created_at, expires_at=entry.expires_at
        )
        return super().set_entry(key, bare, touch)


@caught_by("test_added_entries_have_their_facts")
class AddsBareValues(Shelf):
    def add_entry(self, key: str, entry: Entry) -> bool:
        bare = Entry(
            entry.form, entry.payload, created_at=entry.created_at, expires_at=entry.expires_at
        )
        return super().add_entry(key, bare)


@caught_by("test_values_and_entries_are_the_same_keys")
class TwoKindsOfKeys(Shelf):
    def get_entry(self, key: str) -> Entry | None:
        return super().get_entry(f"entry/{key}")

    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        return super().set_entry(f"entry/{key}", entry, touch)

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return super().set_entry(key, self.new_entry(value, timeout))

    def get(self, key: str) -> Any:
        entry = super().get_entry(key)
        return None if entry is None else self.codec.thaw(entry)


@caught_by("test_add_entry_stores_only_what_is_not_there", "test_one_add_wins")
class AlwaysAdds(Shelf):
    def add_entry(self, key: str, entry: Entry) -> bool:
        super().add_entry(key, entry)
        return True


@caught_by("test_create_adds_only_what_is_missing", "test_a_lock_is_taken_once")
class CreatesAfterReading(Shelf):
    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        entries = super().get_entries(keys)
        super().get_entries((), create)
        return entries


@caught_by("test_touch_of_a_write_only_lengthens")
class TouchShortens(Shelf):
    def _keep_until(self, key: str, expires_at: float) -> None:
        data = self._read(self._name(key))
        if data is not None:
            self._write(self._name(key), data, expires_at)


@caught_by("test_touch_of_a_write_only_lengthens")
class ForgetsToTouch(Shelf):
    def set_entry(self, key: str, entry: Entry, touch: Sequence[str] = ()) -> bool:
        return super().set_entry(key, entry)


@caught_by("test_an_unreadable_entry_is_said_so")
class HidesWhatItCannotRead(Shelf):
    def get_entry(self, key: str) -> Entry | None:
        try:
            return super().get_entry(key)
        except UnreadableEntry:
            return None


@caught_by("test_an_unreadable_entry_is_said_so")
class ReportsNothing(Shelf):
    def _unpack_or_miss(self, key: str, data: bytes | None) -> Entry | None:
        told, self.on_unreadable = self.on_unreadable, None
        try:
            return super()._unpack_or_miss(key, data)
        finally:
            self.on_unreadable = told


@caught_by("test_peeking_shows_the_entry")
class PeeksAtAnything(Shelf):
    def peek(self, key: str) -> Entry | None:
        return self.get_entry(key) or self.new_entry(None, None)


@caught_by("test_peeking_is_no_use")
class PeekingRenews(Shelf):
    def peek(self, key: str) -> Entry | None:
        self.touch(key, 0)
        return self.get_entry(key)


@caught_by("test_an_unreadable_entry_can_be_replaced")
class LeavesWhatItCannotRead(Shelf):
    def delete(self, key: str) -> bool:
        try:
            return self.get_entry(key) is not None and super().delete(key)
        except UnreadableEntry:
            return False


@caught_by("test_an_entry_counts_only_under_its_own_key")
class ForgetsTheKey(Shelf):
    def _pack(self, key: str, entry: Entry) -> bytes:
        return super()._pack("", entry)

    def _unpack(self, key: str, data: bytes) -> Entry:
        return super()._unpack("", data)


# Locks.


@caught_by("test_only_the_holder_releases_a_lock", "test_one_of_many_gets_the_lock")
class ReleasesForAnyone(Shelf):
    def release_lock(self, key: str, token: str) -> bool:
        return self.delete(key)


@caught_by("test_a_lock_expires")
class LocksForEver(Shelf):
    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        lasting = {
            key: Entry(Form.PLAIN, entry.payload, created_at=entry.created_at)
            for key, entry in create.items()
        }
        return super().get_entries(keys, lasting)


@caught_by("test_a_lock_is_held_against_other_instances")
class LocksAreItsOwn(Shelf):
    def _name(self, key: str) -> str:
        return super()._name(f"{id(self)} {key}" if key.startswith(RESERVED) else key)


# Under Cache.


@caught_by("test_a_cached_view_is_served_from_it", "test_a_memoized_function_and_its_deletion")
class NeverFinds(Shelf):
    def get_entry(self, key: str) -> Entry | None:
        return None

    def get_entries(
        self, keys: Sequence[str], create: Mapping[str, Entry] = NOTHING
    ) -> list[Entry | None]:
        return [None for _ in keys]
