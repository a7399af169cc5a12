"""Large values in files: the body is read apart from the rest, into what the application gets."""

from __future__ import annotations

import base64
import pickle
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response

from flask_caching import Cache
from flask_caching.backends import FileSystemCache, files
from flask_caching.entry import Entry, Witness
from flask_caching.errors import UnreadableEntry
from flask_caching.serializers import Codec

SIZE = 80_000
NOISE = random.Random(7).randbytes(SIZE)


class Base64:
    """A serializer of an application's own."""

    def dumps(self, value: Any) -> bytes:
        return base64.b64encode(pickle.dumps(value))

    def loads(self, data: bytes) -> Any:
        return pickle.loads(base64.b64decode(data))


#: The serializer, the compression, and a value that is large also when it is compressed.
LARGE: dict[str, tuple[Any, str | None, Any]] = {
    "bytes": ("pickle", None, NOISE),
    "text": ("pickle", None, "é" * SIZE),
    "surrogates": ("pickle", None, "\ud800" * SIZE),
    "tuple": ("pickle", None, (NOISE, "x")),
    "response": ("pickle", None, Response(NOISE, 201, {"X-A": "b"})),
    "long head": ("pickle", None, Response(b"x", 201, {"X-A": "b" * SIZE})),
    "pickle": ("pickle", None, [NOISE]),
    "json": ("json", None, ["x" * SIZE]),
    "custom": (Base64(), None, [NOISE]),
    "custom response": (Base64(), None, Response(NOISE)),
    "signed bytes": ("signed", None, NOISE),
    "signed response": ("signed", None, Response(NOISE)),
    "signed pickle": ("signed", None, [NOISE]),
    "compressed bytes": ("pickle", "zlib", NOISE.hex().encode()),
    "compressed, signed": ("signed", "zlib", NOISE.hex()),
}
#: What is read whole: its head is longer than what is read first.
WHOLE = "long head"

each_large = pytest.mark.parametrize("name", LARGE)


def content(value: Any) -> Any:
    """What of a value must be equal."""
    if isinstance(value, Response):
        return value.status, list(value.headers), value.get_data()
    return value


@pytest.fixture
def cache(tmp_path: Path) -> FileSystemCache:
    return FileSystemCache(tmp_path)


def store(cache: FileSystemCache, name: str) -> tuple[str, Any]:
    """Store one of the large values with all metadata. Returns the file's path, and the value."""
    serializer, compression, value = LARGE[name]
    cache.codec = Codec(serializer, b"secret", Response, compression)
    form, payload = cache.codec.freeze(value)
    metadata: dict[str, Any] = {
        "load_seconds": 0.5,
        "witness": Witness("page", (), "GET", "host", ""),
        "versions": ("a", "b"),
        "vary": (("Accept", "text/html"),),
        "reads": frozenset({"host"}),
    }
    cache.set_entry("k", Entry(form, payload, created_at=1.0, **metadata))
    return cache._room().folder.place("k").path, content(value)


def found(cache: FileSystemCache, key: str = "k") -> Any:
    """What is read of a key; ``None`` if there is nothing, or nothing that can be read."""
    try:
        entry = cache.get_entry(key)
        return None if entry is None else content(cache.codec.thaw(entry))
    except UnreadableEntry:
        return None


@each_large
def test_a_large_value_of_each_form_comes_back(cache: FileSystemCache, name: str) -> None:
    """Equal, with its metadata, from parts as from the whole; the body was read apart."""
    path, value = store(cache, name)
    parts, whole = files.read(path, b"k", cache.codec), files.read(path, b"k")
    assert parts is not None
    assert whole is not None
    assert bool(parts.body) is (name != WHOLE)
    assert parts.body in whole.payload
    assert len(parts.payload) < 1000 or name == WHOLE
    read = [
        cache.codec.loads(parts.payload, "k", parts.body),
        cache.codec.loads(whole.payload, "k"),
    ]
    for entry in read:
        assert content(cache.codec.thaw(entry)) == value
        assert entry.size == len(whole.payload)
        assert (entry.created_at, entry.load_seconds) == (1.0, 0.5)
        assert (entry.versions, entry.vary) == (("a", "b"), (("Accept", "text/html"),))
        assert entry.reads == {"host"}
        assert entry.sealed == read[0].sealed
    assert found(cache) == value
    assert found(cache) == value  # the second time it may be remembered


def far_places(size: int) -> list[int]:
    """Places behind the head of a file: some in the body, and more at the end."""
    return [*range(250, size, size // 20), *range(size - 40, size, 3)]


@each_large
def test_damage_anywhere_in_a_large_value_is_a_miss(cache: FileSystemCache, name: str) -> None:
    """Before the body, in it or behind it; never a wrong value."""
    path, value = store(cache, name)
    whole = Path(path).read_bytes()
    size = len(whole)
    for place in [*range(48, 250, 2), *far_places(size)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        Path(path).write_bytes(changed)
        assert found(cache) is None, place
    Path(path).write_bytes(whole)
    assert found(cache) == value


@each_large
def test_a_large_value_that_is_cut_off_is_a_miss(cache: FileSystemCache, name: str) -> None:
    """Wherever, also when the file says that it is so long; and with something behind it."""
    path, value = store(cache, name)
    whole = Path(path).read_bytes()
    size = len(whole)
    for length in [*range(49, 250, 7), *far_places(size)]:
        for said in (whole[36:44], (length - 49).to_bytes(8, "little")):
            Path(path).write_bytes(whole[:36] + said + whole[44:length])
            assert found(cache) is None, length
    for said in (whole[36:44], (size - 48).to_bytes(8, "little")):
        Path(path).write_bytes(whole[:36] + said + whole[44:] + b"\0")
        assert found(cache) is None
    Path(path).write_bytes(whole)
    assert found(cache) == value


@each_large
def test_a_large_value_of_another_key_is_a_miss(cache: FileSystemCache, name: str) -> None:
    """Also if the file says that it is of the key that was asked for; or of another secret."""
    path, _ = store(cache, name)
    held = files.read(path, b"k")
    assert held is not None
    other = cache._room().folder.place("other")
    Path(other.directory).mkdir(exist_ok=True)
    for key in (b"k", b"other"):
        data = b"".join(files.pack(key, [held.payload], held.expires_at, held.used))
        Path(other.path).write_bytes(data)
        assert found(cache, "other") is None
    serializer, compression, _ = LARGE[name]
    cache.codec = Codec(serializer, b"another", Response, compression)
    assert found(cache) is None


def test_what_is_remembered_of_a_large_value_is_not_out_of_date(cache: FileSystemCache) -> None:
    """A body that differs alone makes it another value."""
    for value in (b"a" * SIZE, b"b" * SIZE, b"b" * (SIZE - 1) + b"a"):
        cache.set("k", value, timeout=0)
        for _ in range(3):
            assert cache.get("k") == value


MEGABYTES = 5_000_000


def peak(work: Callable[[], object]) -> float:
    """The memory that a work takes at once, in sizes of a large value."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MEGABYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "reading", "writing"),
    [
        (bytes(MEGABYTES), 1, 0),
        # By nature: its bytes, and what is decoded of them.
        ("x" * MEGABYTES, 2, 1),
        # Its pickle, for which pickle reserves half as much again, and what is in it.
        ([bytes(MEGABYTES)], 2, 1.5),
    ],
    ids=["bytes", "text", "pickle"],
)
def test_how_often_a_large_value_is_in_memory(
    cache: FileSystemCache, value: Any, reading: float, writing: float
) -> None:
    """Bytes are there once when they are read, and only the application's when written."""
    assert peak(lambda: cache.set("k", value)) < writing + 0.1
    assert peak(lambda: cache.get("k")) < reading + 0.1


@pytest.mark.parametrize("serializer", ["pickle", "signed"])
def test_a_large_page_is_in_memory_once(tmp_path: Path, serializer: str) -> None:
    """What is sent are the bytes that were read from the file."""
    app = Flask("tests")
    app.config.update(CACHE_TYPE="FileSystemCache", CACHE_DIR=str(tmp_path), SECRET_KEY="s")
    cache = Cache(app, config={"CACHE_SERIALIZER": serializer})

    @app.route("/")
    @cache.cached()
    def page() -> Response:
        return Response(bytes(MEGABYTES))

    def send() -> int:
        return sum(map(len, app.test_client().get("/").response))

    assert send() == MEGABYTES
    assert peak(send) < 1.2
