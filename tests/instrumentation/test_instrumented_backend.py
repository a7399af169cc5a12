"""The wrapper: what it measures, what it passes through, and what it pretends to be."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections import Counter
from types import SimpleNamespace
from typing import Any

import cachelib
import pytest

import flask_caching.backends
from flask_caching.backends.base import (
    BaseCache,
    EntryBackend,
    SupportsKeys,
    SupportsSize,
    SupportsTouch,
    SupportsTTL,
)
from flask_caching.backends.filesystemcache import FileSystemCache
from flask_caching.backends.nullcache import NullCache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.config import CacheConfig
from flask_caching.errors import UnreadableEntry
from flask_caching.keyhash import KeyHash
from flask_caching.observer import faults
from flask_caching_instrumentation import InstrumentedBackend
from flask_caching_instrumentation.metrics.batches import BATCH, Batch
from flask_caching_instrumentation.metrics.catalogue import Children
from flask_caching_instrumentation.tracing.brackets import tracing_for
from flask_caching_instrumentation.wrapper.backend import MEASURED, PASS_THROUGH
from flask_caching_instrumentation.wrapper.measuring import AtOnce


class Seen(Counter[tuple[str, str]]):
    """Counts operations and outcomes, as the recorders do, and sums their seconds."""

    seconds = 0.0

    def operations(self) -> Children[tuple[str, str], Any]:
        def make(labels: tuple[str, str]) -> Any:
            def observe(seconds: float) -> None:
                assert seconds >= 0
                self.seconds += seconds
                self[labels] += 1

            return observe

        return Children(make)


@pytest.fixture
def seen() -> Seen:
    return Seen()


class OldCache(BaseCache):
    """A third-party backend of old: the value level only, and None for success."""

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.key_prefix = "old/"

    def get(self, key: str) -> Any:
        return self.data.get(key)

    def set(self, key: str, value: Any, timeout: float | None = None) -> None:
        self.data[key] = value

    def has(self, key: str) -> bool:
        return key in self.data

    def delete(self, key: str) -> bool:
        return self.data.pop(key, None) is not None


def backend_classes() -> list[type]:
    """Every class of the package that is a backend, in modules that can be imported here."""
    found: set[type] = {BaseCache, EntryBackend, SupportsTTL, SupportsTouch, SupportsKeys}
    found.add(SupportsSize)
    package = flask_caching.backends
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        try:
            names = vars(importlib.import_module(module.name)).values()
        except ImportError:
            continue  # Its client library is not installed.
        found.update(
            each for each in names if inspect.isclass(each) and issubclass(each, BaseCache)
        )
    return sorted(found, key=lambda each: each.__qualname__)


@pytest.mark.parametrize("kind", backend_classes(), ids=lambda kind: kind.__name__)
def test_every_public_method_is_measured_or_on_the_pass_through_list(kind):
    """No method of a backend is forgotten."""
    methods = {
        name for name, member in inspect.getmembers(kind, callable) if not name.startswith("_")
    }
    assert methods <= MEASURED.keys() | PASS_THROUGH


def test_the_lists_name_what_the_wrapper_has():
    """Each measured method is written out in the wrapper; none that passes through is."""
    wrapper = type(InstrumentedBackend(SimpleCache(), Seen().operations()))
    own = {name for name in dir(wrapper) if not name.startswith("_")}
    own -= {"entry_level", "wrapped"}
    assert own == set(MEASURED)
    assert not own & PASS_THROUGH


def test_entry_operations_are_counted_once_with_their_outcome(seen):
    """Each call is one observation: hit, miss, partial, stored, refused."""
    backend = InstrumentedBackend(SimpleCache(), seen.operations())
    entry = backend.new_entry("value", 60)
    assert backend.set_entry("a", entry) is True
    assert backend.get_entry("a") is entry
    assert backend.get_entry("b") is None
    assert backend.add_entry("a", entry) is False
    assert backend.add_entry("b", entry) is True
    assert backend.get_entries(["a", "b"]) == [entry, entry]
    assert backend.get_entries(("a", "c")) == [entry, None]
    assert backend.get_entries(["c"]) == [None]
    assert seen == {
        ("set", "stored"): 1,
        ("get", "hit"): 1,
        ("get", "miss"): 1,
        ("add", "refused"): 1,
        ("add", "stored"): 1,
        ("get_many", "hit"): 1,
        ("get_many", "partial"): 1,
        ("get_many", "miss"): 1,
    }
    assert seen.seconds > 0


def test_value_operations_are_counted_once_though_they_are_made_of_entry_operations(seen):
    """A backend's calls to itself are not seen."""
    backend = InstrumentedBackend(SimpleCache(), seen.operations())
    assert backend.set("a", 1) is True
    assert backend.get("a") == 1
    assert backend.get("b") is None
    assert backend.add("a", 2, timeout=5) is False
    assert backend.has("a") is True
    assert backend.has("b") is False
    assert backend.get_many("a", "b") == [1, None]
    assert backend.get_dict("a", "b") == {"a": 1, "b": None}
    assert backend.set_many({"b": 2, "c": 3}) == ["b", "c"]
    assert backend.inc("a") == 2
    assert backend.dec("a", delta=2) == 0
    assert backend.ttl("a") > 0
    assert backend.ttl("z") is None
    assert backend.touch("a", 60) is True
    assert backend.touch("z") is False
    assert len(backend.keys(limit=10).keys) == 3
    assert backend.delete("a") is True
    assert backend.delete_many("b", "z") == ["b", "z"]
    assert backend.clear() is True
    assert backend.size() == 0
    assert seen == {
        ("set", "stored"): 1,
        ("get", "hit"): 1,
        ("get", "miss"): 1,
        ("add", "refused"): 1,
        ("has", "hit"): 1,
        ("has", "miss"): 1,
        ("get_many", "partial"): 2,
        ("set_many", "stored"): 1,
        ("inc", "ok"): 1,
        ("dec", "ok"): 1,
        ("ttl", "hit"): 1,
        ("ttl", "miss"): 1,
        ("touch", "hit"): 1,
        ("touch", "miss"): 1,
        ("keys", "ok"): 1,
        ("delete", "ok"): 1,
        ("delete_many", "ok"): 1,
        ("clear", "ok"): 1,
    }


ENTRY_CALLS = {
    "get_entry": ("k",),
    "get_entries": (["k"],),
    "set_entry": ("k", None),
    "add_entry": ("k", None),
    "get_many": ("k",),
    "clear": (),
}


@pytest.mark.parametrize("method", ENTRY_CALLS)
def test_what_the_backend_raises_is_counted_and_raised(seen, method, monkeypatch):
    """An error is an outcome, and reaches the caller as it was."""
    error = UnreadableEntry("bytes of somebody else", "foreign")

    def fail(*args: Any) -> None:
        raise error

    inner = SimpleCache()
    monkeypatch.setattr(inner, method, fail)
    backend = InstrumentedBackend(inner, seen.operations())
    with pytest.raises(UnreadableEntry) as caught:
        getattr(backend, method)(*ENTRY_CALLS[method])
    assert caught.value is error
    assert seen == {(MEASURED[method], "error"): 1}


def test_a_failing_observer_changes_no_answer():
    """What counting raises is a fault of ours: counted, and never seen by the caller."""

    def make(labels: tuple[str, str]) -> Any:
        def observe(seconds: float) -> None:
            raise OSError("disk full")

        return observe

    backend = InstrumentedBackend(SimpleCache(), Children(make))
    assert backend.set("a", 1) is True
    assert backend.set_entry("a", backend.new_entry(1, None)) is True
    assert backend.get_entry("a") is not None
    assert backend.get_entry("b") is None
    assert backend.get_entries(["a"])[0] is not None
    with pytest.raises(ValueError, match="cursor"):
        backend.keys("?")
    assert faults == {
        "backend.set: OSError": 2,
        "backend.get: OSError": 2,
        "backend.get_many: OSError": 1,
        "backend.keys: OSError": 1,
    }
    faults.clear()


def test_it_passes_for_its_backend():
    """``isinstance`` answers as for the backend, capabilities included."""
    simple = InstrumentedBackend(SimpleCache(), Seen().operations())
    null = InstrumentedBackend(NullCache(), Seen().operations())
    assert isinstance(simple, SimpleCache)
    assert isinstance(simple, BaseCache)
    assert isinstance(simple, SupportsTTL)
    assert isinstance(simple, SupportsSize)
    assert isinstance(simple, InstrumentedBackend)
    assert isinstance(null, NullCache)
    assert not isinstance(null, SupportsTTL)
    assert not issubclass(type(simple), BaseCache)


def test_attributes_are_the_backend_s():
    """Reading, writing and deleting attributes reaches the backend."""
    inner = OldCache()
    backend = InstrumentedBackend(inner, Seen().operations())
    assert backend.key_prefix == "old/"
    backend.serializer = serializer = object()
    assert inner.serializer is serializer
    del backend.serializer
    assert not hasattr(inner, "serializer")
    backend.set("a", 1)
    assert backend.data == {"a": 1}
    assert backend.wrapped is inner
    assert "key_prefix" in dir(backend)
    assert "wrapped" in dir(backend)
    assert repr(backend) == f"InstrumentedBackend({inner!r})"
    with pytest.raises(AttributeError, match="'OldCache' object has no attribute 'nothing'"):
        _ = backend.nothing


def test_membership_is_the_backend_s(monkeypatch):
    """``in`` works where the backend has it, and fails as it does where not."""
    inner = OldCache()
    backend = InstrumentedBackend(inner, Seen().operations())
    with pytest.raises(TypeError, match="OldCache"):
        _ = "a" in backend
    monkeypatch.setattr(OldCache, "__contains__", OldCache.has, raising=False)
    backend.set("a", 1)
    assert "a" in backend
    assert "b" not in backend


def test_a_value_level_backend_has_no_entry_level(seen):
    """Methods that the backend lacks are lacking; those it has are measured."""
    backend = InstrumentedBackend(OldCache(), seen.operations())
    for name in ("get_entry", "get_entries", "set_entry", "add_entry", "unlink", "ttl", "keys"):
        assert not hasattr(backend, name)
    assert backend.set("a", 1) is None
    assert backend.get("a") == 1
    assert backend.get_dict("a", "b") == {"a": 1, "b": None}
    assert seen == {("set", "stored"): 1, ("get", "hit"): 1, ("get_many", "partial"): 1}


def test_unlink_is_there_and_measured_if_the_backend_has_it(seen):
    """An optional method exists as on the backend, and an attribute of its name is not called."""

    class Unlinking(OldCache):
        keys = ("not", "a", "method")

        def unlink(self, *keys: str) -> int:
            return len(keys)

    backend = InstrumentedBackend(Unlinking(), seen.operations())
    assert backend.unlink("a", "b") == 2
    assert seen == {("unlink", "ok"): 1}
    assert backend.keys == ("not", "a", "method")


def test_a_cachelib_cache_is_wrapped_as_well(seen):
    """Classes that know nothing of this package are measured too."""
    backend = InstrumentedBackend(cachelib.SimpleCache(), seen.operations())
    assert backend.set("a", 1, timeout=5) is True
    assert backend.get_many("a") == [1]
    assert backend.set_many({"b": 1}) == ["b"]
    assert backend.get("z") is None
    assert seen == {
        ("set", "stored"): 1,
        ("get_many", "hit"): 1,
        ("set_many", "stored"): 1,
        ("get", "miss"): 1,
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (["a", "b"], "stored"),
        (["a"], "partial"),
        ([], "refused"),
        (True, "stored"),
        (None, "stored"),
    ],
)
def test_set_many_tells_how_much_was_stored(seen, answer, outcome, monkeypatch):
    """The list of stored keys is compared with what was given; old backends answer a flag."""
    inner = OldCache()
    monkeypatch.setattr(inner, "set_many", lambda mapping: answer)
    backend = InstrumentedBackend(inner, seen.operations())
    backend.set_many({"a": 1, "b": 2})
    assert seen == {("set_many", outcome): 1}


def test_a_method_replaced_for_a_while_comes_back(monkeypatch, seen):
    """Test suites patch ``cache.cache.get``; undoing that must not make the two call each other."""
    inner = SimpleCache()
    backend = InstrumentedBackend(inner, seen.operations())
    with monkeypatch.context() as patch:
        patch.setattr(backend, "get", lambda key: "patched")
        patch.setattr(backend, "ttl", lambda key: 7)
        assert backend.get("a") == "patched"
        assert inner.get("a") == "patched"
        assert backend.ttl("a") == 7
    assert backend.get("a") is None
    assert backend.ttl("a") is None
    assert "get" not in vars(inner)
    assert seen["get", "hit"] == 1


def test_a_copy_is_wrapped_too_and_pickling_says_what_to_do(seen):
    """Copies share nothing with the original; a pickle is refused by name."""
    backend = InstrumentedBackend(OldCache(), seen.operations())
    backend.set("a", [1])
    shallow, deep = copy.copy(backend), copy.deepcopy(backend)
    assert type(shallow) is type(deep) is InstrumentedBackend
    assert shallow.wrapped is not backend.wrapped
    assert shallow.data is backend.data
    assert deep.data == backend.data
    assert deep.data["a"] is not backend.data["a"]
    deep.get("a")
    assert seen["get", "hit"] == 1
    with pytest.raises(TypeError, match="pickle its `wrapped` backend instead"):
        pickle.dumps(backend)


def test_one_that_was_never_built_has_no_attributes():
    """An object without its backend says so instead of recursing."""
    with pytest.raises(AttributeError, match="_measuring"):
        object.__new__(InstrumentedBackend).get("a")


class Sizes:
    """Notes the bytes of entries that were read and written."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.read = AtOnce(lambda size: self.seen.append(("read", size)))

    def written(self, size: float) -> None:
        self.seen.append(("written", size))


def test_sizes_are_those_of_the_entries_found_and_stored(seen, tmp_path):
    """One observation for each entry that has a stored form; none for what is not there."""
    sizes = Sizes()
    files = FileSystemCache(str(tmp_path))
    backend = InstrumentedBackend(files, seen.operations(), sizes=sizes)
    entry = backend.new_entry("value", 60)
    assert backend.set_entry("a", entry)
    assert backend.add_entry("b", backend.new_entry("longer value", 60))
    assert not backend.add_entry("b", backend.new_entry("other", 60))
    size = len(files.codec.dumps(entry, "a"))
    assert backend.get_entry("a").size == entry.size == size
    assert backend.get_entry("z") is None
    assert [each and each.size for each in backend.get_entries(["a", "z", "b"])] == [
        size,
        None,
        size + 7,
    ]
    assert sizes.seen == [
        ("written", size),
        ("written", size + 7),
        ("read", size),
        ("read", size),
        ("read", size + 7),
    ]


def test_neither_seconds_nor_sizes_pile_up(seen, tmp_path):
    """Those of hits wait to be counted; not more than a few hundred."""
    counted: dict[str, int] = {"seconds": 0, "sizes": 0}

    def count(name: str) -> Batch:
        def add(numbers: list[float]) -> None:
            counted[name] += len(numbers)

        return Batch(add)

    waiting = {"seconds": count("seconds"), "sizes": count("sizes")}
    backend = InstrumentedBackend(
        FileSystemCache(str(tmp_path)),
        seen.operations(),
        sizes=SimpleNamespace(read=waiting["sizes"], written=lambda size: None),
        times=lambda operation, outcome: waiting["seconds"],
    )
    backend.set_entry("a", backend.new_entry(1, 60))
    longest = dict.fromkeys(waiting, 0)
    for number in range(1000):
        backend.get_entry("a") if number % 2 else backend.get_entries(["a", "a", "a"])
        for name, batch in waiting.items():
            longest[name] = max(longest[name], len(batch))
    assert {name: counted[name] + len(batch) for name, batch in waiting.items()} == {
        "seconds": 1000,
        "sizes": 2000,
    }
    # And those of one more read.
    assert max(longest.values()) <= BATCH + 3


def test_entries_of_a_store_in_this_process_have_no_size(seen):
    """Nothing is observed of them."""
    sizes = Sizes()
    backend = InstrumentedBackend(SimpleCache(), seen.operations(), sizes=sizes)
    backend.set_entry("a", backend.new_entry("value", 60))
    assert backend.get_entry("a").size == 0
    assert sizes.seen == []


def test_sizes_that_raise_change_no_answer(seen, tmp_path):
    """As with any observer."""

    def fail(size: float) -> None:
        raise OSError("disk full")

    broken = SimpleNamespace(read=AtOnce(fail), written=fail)
    backend = InstrumentedBackend(FileSystemCache(str(tmp_path)), seen.operations(), sizes=broken)
    assert backend.set_entry("a", backend.new_entry(1, 60)) is True
    assert backend.add_entry("b", backend.new_entry(1, 60)) is True
    assert backend.get_entry("a").payload == 1
    assert len(backend.get_entries(["a", "b"])) == 2
    assert set(faults) == {f"backend.{name}: OSError" for name in ("set", "add", "get", "get_many")}
    faults.clear()


@pytest.mark.parametrize("store", ["simple", "files"])
@pytest.mark.parametrize("keys", ["hash", "full", "off"])
def test_a_traced_call_gives_the_labels_of_an_exemplar(seen, spans, tmp_path, store, keys):
    """After it was observed: the ids in hexadecimal digits, and one key's hash."""
    exemplars: list[tuple[Any, ...]] = []
    inner = SimpleCache() if store == "simple" else FileSystemCache(str(tmp_path))
    config = CacheConfig.load({"CACHE_TRACER_PROVIDER": spans.provider, "CACHE_TRACE_KEYS": keys})
    tracing = tracing_for(config, inner, "secret")
    backend = InstrumentedBackend(
        inner,
        seen.operations(),
        tracing=tracing,
        exemplar=lambda *facts: exemplars.append(facts),
    )
    backend.get("untraced")
    with spans.root() as root:
        backend.set_entry("a", backend.new_entry("value", 60))
        backend.get_entry("a")
        backend.get_many("a", "b")
    assert [facts[:2] for facts in exemplars] == [
        ("set", "stored"),
        ("get", "hit"),
        ("get_many", "partial"),
    ]
    assert all(facts[2] > 0 for facts in exemplars)
    ended = [root] * 3 if store == "simple" else spans.named("cache.")
    for (*_, labels), span in zip(exemplars, ended, strict=True):
        context = span.get_span_context()
        assert labels["trace_id"] == f"{context.trace_id:032x}"
        assert labels["span_id"] == f"{context.span_id:016x}"
    shown = [labels.get("key") for *_, labels in exemplars]
    hashed = None if keys == "off" else KeyHash(b"secret")("a")
    assert shown == [hashed, hashed, None]


def test_an_exemplar_that_raises_changes_no_answer(seen, spans):
    """As with any observer."""

    def fail(*facts: Any) -> None:
        raise OSError("disk full")

    config = CacheConfig.load({"CACHE_TRACER_PROVIDER": spans.provider})
    inner = SimpleCache()
    backend = InstrumentedBackend(
        inner, seen.operations(), tracing=tracing_for(config, inner, None), exemplar=fail
    )
    with spans.root():
        assert backend.set("a", 1) is True
        assert backend.get("a") == 1
    assert set(faults) == {"backend.set: OSError", "backend.get: OSError"}
    faults.clear()
