"""ForeignEntries: entries in stores that know only values."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cachelib
import pytest

from flask_caching.backends import BaseCache
from flask_caching.backends.base import SupportsTouch, SupportsTTL
from flask_caching.backends.foreign import ForeignEntries, install_serializer
from flask_caching.byteform import MAGIC
from flask_caching.entry import Entry, Form, Witness
from flask_caching.errors import UnreadableEntry
from flask_caching.serializers import Codec

WITNESS = Witness("endpoint", (), "GET", "host", "")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.25

    def __call__(self) -> float:
        return self.now


class Plain:
    """The least that a store may be; notes the timeouts it is given."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.timeouts: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.store.get(key)

    def set(self, key: str, value: Any, expire: Any = 0) -> None:
        self.store[key] = value
        self.timeouts[key] = expire

    def delete(self, key: str) -> None:
        self.store.pop(key, None)


class Old(BaseCache):
    """A third party's backend, written for the released library."""

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.asked: list[tuple[str, ...]] = []

    def get(self, key: str) -> Any:
        return self.store.get(key)

    def get_many(self, *keys: str) -> list[Any]:
        self.asked.append(keys)
        return [self.store.get(key) for key in keys]

    def set(self, key: str, value: Any, timeout: float | None = None) -> bool:
        self.store[key] = value
        return True

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        return self.store.setdefault(key, value) is value

    def delete(self, key: str) -> bool:
        return self.store.pop(key, None) is not None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def codec() -> Codec:
    return Codec(secret=b"s")


@pytest.fixture
def plain() -> Plain:
    return Plain()


@pytest.fixture
def entries(plain: Plain, codec: Codec, clock: Clock) -> ForeignEntries:
    return ForeignEntries(plain, codec, clock)


def make(clock: Clock, payload: object = "v", seconds: float = 60, **more: Any) -> Entry:
    expires = clock.now + seconds if seconds else 0.0
    return Entry(Form.PLAIN, payload, created_at=clock.now, expires_at=expires, **more)


BACKENDS = [Plain, Old, cachelib.SimpleCache, "filesystem"]


@pytest.fixture(params=BACKENDS, ids=str)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "filesystem":
        return cachelib.FileSystemCache(str(tmp_path))
    return request.param()


@pytest.mark.parametrize("serializer", ["pickle", "json", "signed"])
def test_an_entry_comes_back_whole(store: Any, serializer: str) -> None:
    """Value and metadata survive in every kind of store, under every serializer."""
    codec = Codec(serializer, b"secret")
    install_serializer(store, codec)
    entries = ForeignEntries(store, codec)
    form, payload = codec.freeze({"a": [1, "x"]})
    stored = Entry(
        form,
        payload,
        created_at=4.5,
        load_seconds=0.25,
        witness=WITNESS,
        versions=("v1",),
        vary=(("Accept", "text/html"),),
        reads=frozenset({"host"}),
    )
    assert entries.set_entry("k", stored) is True
    found = entries.get_entry("k")
    assert found is not None
    assert codec.thaw(found) == {"a": [1, "x"]}
    assert found.asker == codec.seal(WITNESS)
    assert (found.created_at, found.expires_at, found.load_seconds) == (4.5, 0.0, 0.25)
    assert (found.versions, found.vary, found.reads) == (
        ("v1",),
        (("Accept", "text/html"),),
        frozenset({"host"}),
    )
    assert entries.get_entry("none") is None


def test_an_entry_is_bytes_in_the_store(
    entries: ForeignEntries, plain: Plain, clock: Clock
) -> None:
    """No object of ours has to be understood by anyone else."""
    entries.set_entry("k", make(clock))
    assert type(plain.store["k"]) is bytes
    assert plain.store["k"].startswith(MAGIC)


@pytest.mark.parametrize(
    ("seconds", "given"), [(60, 60), (0, 0), (0.2, 1), (1.5, 2), (59.9999, 60), (60.002, 61)]
)
def test_the_store_gets_whole_seconds(
    entries: ForeignEntries, plain: Plain, clock: Clock, seconds: float, given: int
) -> None:
    """Rounded up, never to 0, which would be for ever; 0 stays 0."""
    entries.set_entry("k", make(clock, seconds=seconds))
    assert plain.timeouts["k"] == given
    assert type(plain.timeouts["k"]) is int


def test_the_entry_itself_knows_when_it_expires(entries: ForeignEntries, clock: Clock) -> None:
    """A store that rounds up, or never expires anything, does not prolong it."""
    entries.set_entry("k", make(clock, seconds=0.5))
    clock.now += 0.5
    assert entries.get_entry("k") is None
    assert entries.get_entries(["k"]) == [None]


def test_an_entry_that_has_expired_removes_the_old_one(
    entries: ForeignEntries, plain: Plain, clock: Clock
) -> None:
    """It is not stored for ever because no seconds are left."""
    entries.set_entry("k", make(clock, "old"))
    assert entries.set_entry("k", make(clock, "new", seconds=-1)) is True
    assert plain.store == {}
    entries.set_entry("k", make(clock, "old"))
    assert entries.add_entry("k", make(clock, "new", seconds=-1)) is False
    assert entries.get_entry("k") is not None


def test_a_number_the_application_counts_with_is_bare(
    entries: ForeignEntries, plain: Plain, clock: Clock
) -> None:
    """The store can count it; a number that a function returned keeps its metadata."""
    entries.set_entry("n", make(clock, 5))
    assert plain.store["n"] == 5
    found = entries.get_entry("n")
    assert found is not None
    assert (found.form, found.payload, found.witness) == (Form.PLAIN, 5, None)
    for more in ({"witness": WITNESS}, {"versions": ("v",)}, {"load_seconds": 0.1}):
        entries.set_entry("n", make(clock, 5, **more))
        assert type(plain.store["n"]) is bytes
    entries.set_entry("b", make(clock, True))
    assert type(plain.store["b"]) is bytes


VALUES = ["text", b"bytes", 0, False, 1.5, ("a", 1), [1, [2]], {"a": 1}, {1, 2}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_the_application_wrote_itself_is_a_bare_entry(
    entries: ForeignEntries, plain: Plain, codec: Codec, value: object
) -> None:
    """Through cache.cache.set, or by another program; it is nobody's entry but is readable."""
    plain.store["k"] = value
    found = entries.get_entry("k")
    assert found is not None
    assert codec.thaw(found) == value
    assert type(codec.thaw(found)) is type(value)
    assert (found.witness, found.versions, found.created_at) == (None, (), 0.0)


def test_a_bare_value_is_not_aliased(entries: ForeignEntries, plain: Plain, codec: Codec) -> None:
    """A store of objects hands out its own; the entry does not."""
    plain.store["k"] = {"a": [1]}
    found = entries.get_entry("k")
    assert found is not None
    codec.thaw(found)["a"].append(2)
    assert plain.store["k"] == {"a": [1]}


def test_a_bare_value_that_cannot_be_copied_is_handed_out(
    entries: ForeignEntries, plain: Plain, codec: Codec
) -> None:
    """A store of objects may hold what no serializer can."""
    plain.store["k"] = value = lambda: 1
    found = entries.get_entry("k")
    assert found is not None
    assert codec.thaw(found) is value


@pytest.mark.parametrize("data", [MAGIC, MAGIC + b"garbage", MAGIC + b"\x01" * 60])
def test_a_damaged_entry_is_unreadable(
    entries: ForeignEntries, plain: Plain, clock: Clock, data: bytes
) -> None:
    """Alone it says so; among others it is nothing, and the others are read."""
    plain.store["k"] = data
    entries.set_entry("good", make(clock))
    with pytest.raises(UnreadableEntry):
        entries.get_entry("k")
    found = entries.get_entries(["k", "good", "none"])
    assert [entry is not None for entry in found] == [False, True, False]
    assert entries.add_entry("k", make(clock, "new")) is True


def test_an_entry_of_another_secret_is_unreadable(plain: Plain, clock: Clock) -> None:
    """Another application's entry is not this one's."""
    ForeignEntries(plain, Codec(secret=b"a"), clock).set_entry("k", make(clock))
    with pytest.raises(UnreadableEntry) as caught:
        ForeignEntries(plain, Codec(secret=b"b"), clock).get_entry("k")
    assert caught.value.reason == "secret"


def test_many_entries_take_one_call(codec: Codec, clock: Clock) -> None:
    """Where the backend can; the order is that of the keys."""
    backend = Old()
    entries = ForeignEntries(backend, codec, clock)
    entries.set_entry("a", make(clock, "1"))
    entries.set_entry("b", make(clock, "2"))
    found = entries.get_entries(["b", "x", "a"])
    assert [entry and entry.payload for entry in found] == ["2", None, "1"]
    assert backend.asked == [("b", "x", "a")]


def test_a_get_many_of_another_kind_is_left_alone(codec: Codec, clock: Clock) -> None:
    """Some clients take a list and return a dictionary."""

    class Client(Plain):
        def get_many(self, keys: list[str]) -> dict[str, Any]:
            raise AssertionError

    entries = ForeignEntries(Client(), codec, clock)
    entries.set_entry("a", make(clock))
    assert [entry is not None for entry in entries.get_entries(["a", "b"])] == [True, False]


@pytest.mark.parametrize("backend", [Plain, Old, cachelib.SimpleCache])
def test_add_keeps_what_is_there(backend: Any, codec: Codec) -> None:
    """With the backend's add, or without one."""
    entries = ForeignEntries(backend(), codec)
    assert entries.add_entry("k", Entry(Form.PLAIN, "first", created_at=0.0)) is True
    assert entries.add_entry("k", Entry(Form.PLAIN, "second", created_at=0.0)) is False
    found = entries.get_entry("k")
    assert found is not None
    assert found.payload == "first"


@pytest.mark.parametrize(
    ("answer", "stored"), [(True, True), (None, True), (False, False), (0, False)]
)
def test_a_store_that_refuses_is_believed(
    codec: Codec, clock: Clock, answer: Any, stored: bool
) -> None:
    """False is no; None is what many backends return for yes."""

    class Answers(Plain):
        def set(self, key: str, value: Any, expire: Any = 0) -> Any:
            return answer

    assert ForeignEntries(Answers(), codec, clock).set_entry("k", make(clock)) is stored


class Touchable(Plain, SupportsTTL, SupportsTouch):
    def ttl(self, key: str) -> float | None:
        return self.timeouts.get(key)

    def touch(self, key: str, timeout: float | None = None) -> bool:
        self.timeouts[key] = timeout
        return True


@pytest.mark.parametrize(
    ("before", "seconds", "after"), [(10, 60, 60), (90, 60, 90), (0, 60, 0), (10, 0, 0)]
)
def test_versions_are_only_moved_on(
    codec: Codec, clock: Clock, before: float, seconds: float, after: float
) -> None:
    """A backend that can tell and move expiries does so, to later only."""
    backend = Touchable()
    backend.timeouts["v"] = before
    entries = ForeignEntries(backend, codec, clock)
    entries.set_entry("k", make(clock, seconds=seconds), touch=["v", "missing"])
    assert backend.timeouts["v"] == after
    assert "missing" not in backend.timeouts


class Bomb:
    """Its pickle is the proof that somebody unpickled it."""

    defused = True

    def __reduce__(self) -> Any:
        return (_explode, ())


def _explode() -> None:
    Bomb.defused = False


@pytest.mark.parametrize("serializer", ["signed", "json"])
@pytest.mark.parametrize("kind", ["memory", "files"])
def test_a_forged_pickle_in_a_cachelib_store_is_not_loaded(
    serializer: str, kind: str, tmp_path: Path
) -> None:
    """Hazard 34: cachelib would unpickle before anyone could check."""
    backend: Any
    if kind == "memory":
        backend = cachelib.SimpleCache()
        backend._cache["k"] = (0, pickle.dumps(Bomb()))
    else:
        backend = cachelib.FileSystemCache(str(tmp_path))
        backend.set("k", Bomb())
    Bomb.defused = True
    codec = Codec(serializer, b"secret")
    install_serializer(backend, codec)
    assert ForeignEntries(backend, codec).get_entry("k") is None
    assert backend.get("k") is None
    assert Bomb.defused


@pytest.mark.parametrize("serializer", ["signed", "json"])
def test_values_written_into_a_guarded_cachelib_store_come_back(serializer: str) -> None:
    """cache.cache.set and get, and counting, work as before."""
    backend = cachelib.SimpleCache()
    install_serializer(backend, Codec(serializer, b"secret"))
    for value in ("text", b"bytes", 5, {"a": [1]}, None):
        backend.set("k", value)
        assert backend.get("k") == value
    backend.set("n", 1)
    assert backend.inc("n") == 2


def test_pickle_leaves_cachelib_as_it_is() -> None:
    """The default is what it always was; others than cachelib are never touched."""
    backend = cachelib.SimpleCache()
    before = backend.serializer
    install_serializer(backend, Codec())
    assert backend.serializer is before
    install_serializer(Plain(), Codec("json"))
