"""Codecs: every value comes back as it was, or not at all."""

from __future__ import annotations

import base64
import decimal
import functools
import json
import pickle
import random
import struct
import zlib
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cachelib.serializers import JSONSerializer, SimpleSerializer
from flask import Response
from hypothesis import given
from hypothesis import strategies as st

from flask_caching.byteform import MAGIC
from flask_caching.entry import Entry, Form, StoredResponse, Witness
from flask_caching.errors import SerializationError, UnreadableEntry
from flask_caching.payloads import dump_response, load_response
from flask_caching.serializers import Codec


class Base64:
    """A serializer of an application's own, which must see all that is stored."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def dumps(self, value: Any) -> bytes:
        return base64.b85encode(pickle.dumps(value))

    def loads(self, data: bytes) -> Any:
        self.loaded.append(data)
        return pickle.loads(base64.b85decode(data))


SERIALIZERS: list[Any] = ["pickle", "signed", "json", Base64()]


def name(serializer: Any) -> str:
    return serializer if isinstance(serializer, str) else type(serializer).__name__


@functools.cache
def codec_of(serializer: Any) -> Codec:
    return Codec(serializer, b"secret", Response)


@pytest.fixture(params=SERIALIZERS, ids=name)
def codec(request: pytest.FixtureRequest) -> Codec:
    return codec_of(request.param)


each_codec = st.sampled_from([codec_of(serializer) for serializer in SERIALIZERS])

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None))
)
plain = st.recursive(
    scalars | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner),
    max_leaves=20,
)
jsonable = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=20,
)
picklable = st.recursive(
    scalars | st.binary() | st.dates() | st.decimals(allow_nan=False) | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(st.integers() | st.text())
        | st.dictionaries(st.integers() | st.text(), inner)
    ),
    max_leaves=20,
)


def entry_of(codec: Codec, value: Any, **more: Any) -> Entry:
    form, payload = codec.freeze(value)
    return Entry(form, payload, created_at=1.0, **more)


def through_bytes(codec: Codec, value: Any) -> Any:
    return codec.thaw(codec.loads(codec.dumps(entry_of(codec, value))))


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types all through (1, True and 1.0 are equal), and with equal signs."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (set, frozenset)):
        # Their order is arbitrary, and so is that of a set within them.
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    return one == other and repr(one) == repr(other)


@given(each_codec, plain)
def test_plain_values_come_back(codec: Codec, value: Any) -> None:
    """Immutable values survive memory and bytes under every serializer, types included."""
    assert same(codec.thaw(entry_of(codec, value)), value)
    assert same(through_bytes(codec, value), value)


@given(each_codec, jsonable)
def test_json_values_come_back(codec: Codec, value: Any) -> None:
    """What JSON can hold survives every serializer, lone surrogates included."""
    assert same(codec.thaw(entry_of(codec, value)), value)
    assert same(through_bytes(codec, value), value)


@given(each_codec.filter(lambda codec: codec.serializer != "json"), picklable)
def test_other_values_come_back(codec: Codec, value: Any) -> None:
    """What pickle can hold survives all serializers but json."""
    assert same(codec.thaw(entry_of(codec, value)), value)
    assert same(through_bytes(codec, value), value)


@given(
    each_codec,
    st.binary(),
    st.integers(100, 599),
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True),
            st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])),
        ),
        max_size=6,
    ),
)
def test_responses_come_back(
    codec: Codec, body: bytes, status: int, headers: list[tuple[str, str]]
) -> None:
    """Status, headers in their order with repetitions, and body; a fresh object each time."""
    response = Response(body, status)
    response.headers.clear()
    for header, value in headers:
        response.headers.add(header, value)
    stored = codec.loads(codec.dumps(entry_of(codec, response)))
    first, second = codec.thaw(stored), codec.thaw(stored)
    assert first is not second
    assert type(first) is Response
    for found in (first, second):
        assert found.get_data() == body
        assert found.status == response.status
        assert list(found.headers) == list(response.headers)


def test_a_view_s_tuple_comes_back(codec: Codec) -> None:
    """A response within a (response, status) tuple is rebuilt as well, except under json."""
    value = (Response("body", 201), 202)
    if codec.serializer == "json":
        with pytest.raises(SerializationError):
            codec.freeze(value)
        return
    response, status = through_bytes(codec, value)
    assert (response.get_data(), response.status_code, status) == (b"body", 201, 202)


def test_metadata_comes_back(codec: Codec) -> None:
    """All of an entry survives, its witness as keyed hashes."""
    witness = Witness("endpoint", (("id", 1),), "GET", "host", "q=1")
    entry = entry_of(
        codec,
        "v",
        expires_at=9.5,
        load_seconds=0.25,
        witness=witness,
        versions=("a", "b"),
        vary=(("Accept", "text/html"),),
        reads=frozenset({"host", "query"}),
    )
    found = codec.loads(codec.dumps(entry))
    for field in Entry.__slots__:
        if field not in ("witness", "sealed"):
            assert getattr(found, field) == getattr(entry, field), field
    assert found.sealed
    assert found.asker == codec.seal(witness)
    assert found.sealed.startswith(codec.digest(witness))
    assert found.witness is None
    assert b"endpoint" not in codec.dumps(entry)
    assert codec.dumps(found) == codec.dumps(entry)


def test_the_size_is_that_of_the_bytes(codec: Codec) -> None:
    """Known once an entry was made into bytes, or was made of them; a copy has none."""
    entry = entry_of(codec, "value")
    assert entry.size == 0
    data = codec.dumps(entry, "k")
    assert entry.size == len(data)
    assert codec.loads(data, "k").size == len(data)
    assert entry.replaced(entry.form, entry.payload, 0.0).size == 0


EXAMPLES = [
    "text",
    b"bytes",
    12,
    ("a", 1.5, None),
    {"a": [1, 2, {"b": None}]},
    Response(b"body", 201, {"X-A": "b"}),
]


def content(value: Any) -> Any:
    """What of a value must be equal."""
    if isinstance(value, Response):
        return value.status, list(value.headers), value.get_data()
    return value


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_truncated_entry_is_unreadable(codec: Codec, value: Any) -> None:
    """Cut at any byte, or with bytes behind it, it is no entry; hazard 22."""
    data = codec.dumps(entry_of(codec, value, witness=Witness(1, 2, 3, 4, 5)))
    for end in range(len(data)):
        with pytest.raises(UnreadableEntry):
            codec.loads(data[:end])
    with pytest.raises(UnreadableEntry):
        codec.loads(data + b"\0")
    assert content(codec.thaw(codec.loads(data))) == content(value)


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_flipped_bit_never_gives_another_value(codec: Codec, value: Any) -> None:
    """Damage anywhere is found; at most it leaves the value as it was."""
    data = codec.dumps(entry_of(codec, value))
    for place in range(len(data)):
        for bit in (1, 2, 4, 128):
            damaged = bytearray(data)
            damaged[place] ^= bit
            with pytest.raises(UnreadableEntry):
                codec.thaw(codec.loads(bytes(damaged)))


@given(each_codec, st.binary())
def test_foreign_bytes_are_unreadable(codec: Codec, data: bytes) -> None:
    """Whatever somebody else wrote there."""
    for candidate in (data, MAGIC + data):
        with pytest.raises(UnreadableEntry) as caught:
            codec.loads(candidate)
        assert caught.value.reason


START, HEADER, CRC = 9, struct.Struct(">BBBdddHHI"), struct.Struct("<I")


def resealed(data: bytes, form: Form, payload: bytes, flags: int | None = None) -> bytes:
    """An entry's bytes with another form and payload, as a forger makes them: with a right CRC.

    A MAC stays what it was, or with ``flags=0`` is left out.
    """
    _, signed, *rest = HEADER.unpack_from(data, START)
    versions, vary = rest[-3:-1]
    begin = START + HEADER.size
    metadata = data[begin : begin + (64 if signed & 0x40 else 0) + versions + vary]
    flags = signed if flags is None else flags
    forged = data[:START] + HEADER.pack(form, flags, *rest) + metadata + payload
    return forged + (data[-32:] if flags & 0x80 else CRC.pack(zlib.crc32(forged)))


def test_a_forger_s_entry_is_read() -> None:
    """The tests of forged entries forge well: with the same form and payload, it is an entry."""
    for serializer in ("signed", "pickle"):
        codec = Codec(serializer, b"secret")
        entry = entry_of(codec, [1])
        data = codec.dumps(entry)
        assert resealed(data, entry.form, entry.payload) == data


class Forged:
    """Unpickling it is recorded."""

    ran = False

    def __reduce__(self) -> Any:
        return (_run, ())


def _run() -> None:
    Forged.ran = True


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("flags", [None, 0], ids=["with a MAC", "without"])
def test_a_forged_pickle_is_never_loaded_under_signed(form: Form, flags: int | None) -> None:
    """Hazard 34: without the right MAC pickle is not called, whatever the entry says it is."""
    codec = Codec("signed", b"secret")
    data = codec.dumps(entry_of(codec, [1]))
    Forged.ran = False
    with pytest.raises(UnreadableEntry) as caught:
        codec.loads(resealed(data, form, pickle.dumps(Forged()), flags))
    assert caught.value.reason == "signature"
    assert not Forged.ran


@pytest.mark.parametrize("value", ["text", b"bytes", 7, None, [1], Response("body")], ids=repr)
def test_under_signed_every_entry_is_signed(value: Any) -> None:
    """What needs no pickle could be forged as well: it is as unreadable without its MAC."""
    codec = Codec("signed", b"secret")
    entry = entry_of(codec, value)
    unsigned = Codec("pickle", b"secret").dumps(entry)
    for forged in (unsigned, resealed(codec.dumps(entry), Form.PLAIN, b"sforged")):
        with pytest.raises(UnreadableEntry) as caught:
            codec.loads(forged)
        assert caught.value.reason == "signature"


def test_nothing_of_a_signed_entry_can_be_changed() -> None:
    """Neither its expiry nor its witness, nor the key that it is stored under."""
    codec = Codec("signed", b"secret")
    data = codec.dumps(entry_of(codec, [1]), "key")
    assert codec.thaw(codec.loads(data, "key")) == [1]
    later = struct.pack(">d", 9.0)
    moved = data[: START + 11] + later + data[START + 19 :]
    assert moved != data
    for forged, key in ((moved, "key"), (data, "other")):
        with pytest.raises(UnreadableEntry) as caught:
            codec.loads(forged, key)
        assert caught.value.reason == "signature"


@given(each_codec, st.text(), st.text())
def test_an_entry_is_of_its_key(codec: Codec, key: str, other: str) -> None:
    """A reply that belongs to another key is not an entry, whoever mixed them up."""
    data = codec.dumps(entry_of(codec, "value"), key)
    assert codec.thaw(codec.loads(data, key)) == "value"
    if other != key:
        with pytest.raises(UnreadableEntry):
            codec.loads(data, other)


@pytest.mark.parametrize("serializer", ["json", Base64()], ids=name)
def test_pickle_is_never_loaded_under_another_serializer(serializer: Any) -> None:
    """An entry does not choose how it is read; the configuration does."""
    codec = Codec(serializer, b"secret")
    data = codec.dumps(entry_of(codec, "v"))
    Forged.ran = False
    with pytest.raises(UnreadableEntry):
        codec.thaw(codec.loads(resealed(data, Form.PICKLE, pickle.dumps(Forged()))))
    assert not Forged.ran


@pytest.mark.parametrize("value", ["text", [1, 2]])
def test_an_entry_of_another_secret_is_unreadable(value: Any) -> None:
    """Another application's entry, or one from before the secret was changed, is a miss."""
    for serializer in SERIALIZERS:
        data = Codec(serializer, b"one").dumps(entry_of(Codec(serializer, b"one"), value))
        with pytest.raises(UnreadableEntry) as caught:
            Codec(serializer, b"two").loads(data)
        assert caught.value.reason == "secret"


def test_an_entry_of_another_format_is_unreadable(codec: Codec) -> None:
    """A later version may write another form."""
    data = bytearray(codec.dumps(entry_of(codec, "v")))
    data[len(MAGIC)] += 1
    with pytest.raises(UnreadableEntry) as caught:
        codec.loads(bytes(data))
    assert caught.value.reason == "version"


def test_an_entry_of_another_serializer_is_unreadable() -> None:
    """After CACHE_SERIALIZER was changed, old entries are misses where they are not plain."""
    for writer in SERIALIZERS:
        for reader in SERIALIZERS:
            written, wanted = codec_of(writer), codec_of(reader)
            data = written.dumps(entry_of(written, {"a": [1]}))
            # What is not signed cannot be trusted; a signed one can, whoever reads it.
            readable = {(writer, writer), ("signed", "pickle")}
            if writer == "json":
                readable |= {("json", other) for other in SERIALIZERS if other != "signed"}
            if (writer, reader) in readable:
                assert wanted.thaw(wanted.loads(data)) == {"a": [1]}
            else:
                with pytest.raises(UnreadableEntry):
                    wanted.thaw(wanted.loads(data))


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
@pytest.mark.parametrize("serializer", SERIALIZERS, ids=name)
def test_large_payloads_are_compressed(compression: str, serializer: Any) -> None:
    """From the threshold on, and only if that makes them smaller; any codec reads them."""
    pytest.importorskip("zlib" if compression == "zlib" else "zstandard")
    plain = Codec(serializer, b"secret", Response)
    codec = Codec(serializer, b"secret", Response, compression, 1000)
    for value in ("a" * 100_000, ["a" * 100_000], "a" * 500):
        data, whole = (
            codec.dumps(entry_of(codec, value), "k"),
            plain.dumps(entry_of(plain, value), "k"),
        )
        assert (len(data) < len(whole) / 10) == (len(value) != 500)
        for reader in (codec, plain):
            assert reader.thaw(reader.loads(data, "k")) == value
    noise = random.Random(1).randbytes(5000).hex().encode()
    dense = zlib.compress(noise)
    assert len(codec.dumps(entry_of(codec, dense))) <= len(plain.dumps(entry_of(plain, dense)))


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_an_entry_cannot_grow_beyond_what_it_promises(compression: str) -> None:
    """A few bytes in a store may stand for gigabytes; no more is unpacked than was written."""
    pytest.importorskip("zlib" if compression == "zlib" else "zstandard")
    codec = Codec("pickle", b"secret", compression=compression, compression_threshold=10)
    data = codec.dumps(entry_of(codec, "a" * 1000))
    *fields, _ = HEADER.unpack_from(data, START)
    payload = data[START + HEADER.size : -CRC.size]
    for promised in (0, 1, 999, 1000, 1002, 2**32 - 1):
        forged = data[:START] + HEADER.pack(*fields, promised) + payload
        forged += CRC.pack(zlib.crc32(forged))
        with pytest.raises(UnreadableEntry, match="instead of"):
            codec.loads(forged)


class TextOnly:
    """A serializer of an application's own that holds what JSON holds."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


@pytest.mark.parametrize("serializer", [TextOnly(), Base64(), JSONSerializer()], ids=name)
def test_responses_with_a_serializer_of_one_s_own(serializer: Any) -> None:
    """It is given bytes, or text if it takes none: a response is never an object to it."""
    codec = Codec(serializer, b"secret", Response)
    response = Response(b"\x00\xffbody", 201, {"X-Colour": "r\xf6t"})
    again = codec.thaw(codec.loads(codec.dumps(entry_of(codec, response), "k"), "k"))
    assert (again.status, again.get_data()) == ("201 CREATED", b"\x00\xffbody")
    assert list(again.headers) == list(response.headers)


def test_cachelibs_serializers_are_given_no_text_bytes_or_responses() -> None:
    """They would pickle them, which needs no pickle."""
    codec = Codec(SimpleSerializer(), b"secret", Response)
    forms = {codec.freeze(value)[0] for value in ("text", b"bytes", 1.5, None, (1, "a"))}
    assert forms == {Form.PLAIN}
    assert codec.freeze(Response("body"))[0] is Form.RESPONSE
    assert codec.freeze([1])[0] is Form.CUSTOM
    assert codec.thaw(entry_of(codec, [1])) == [1]


@given(each_codec, jsonable.filter(lambda value: isinstance(value, (list, dict))))
def test_mutable_values_are_never_aliased(codec: Codec, value: Any) -> None:
    """Hazard 16: a snapshot shares nothing mutable with the value, nor two readers' values."""
    entry = entry_of(codec, value)
    before = codec.thaw(entry)
    first = codec.thaw(entry)
    for changed in (value, first):
        if isinstance(changed, list):
            changed.append("changed")
        else:
            changed["changed"] = True
    assert same(codec.thaw(entry), before)


class Mutable:
    def __init__(self) -> None:
        self.items: list[int] = []


class Text(str):
    """Text that can carry more than text."""

    extra: list[int]


def test_tuples_of_mutables_and_subclasses_are_copied() -> None:
    """Only what cannot change all through is shared."""
    codec = Codec()
    inner: list[int] = []
    text = Text("t")
    text.extra = []
    thing = Mutable()
    entry = entry_of(codec, (inner, text, thing))
    inner.append(1)
    text.extra.append(1)
    thing.items.append(1)
    found = codec.thaw(entry)
    assert (found[0], found[1].extra, found[2].items) == ([], [], [])
    assert type(found[1]) is Text


UNPICKLABLE: list[Any] = [
    lambda: 1,
    {"a": [lambda: 1]},
    (iter_ for iter_ in ()),
    [open],  # a builtin function is picklable; json refuses it
]


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=name)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_value_that_cannot_be_stored_says_so(serializer: Any, index: int) -> None:
    """One error for all serializers, which is also what pickle and json raise."""
    with pytest.raises(SerializationError, match="response_filter") as caught:
        codec_of(serializer).freeze(UNPICKLABLE[index])
    assert isinstance(caught.value, (TypeError, pickle.PicklingError))


@pytest.mark.parametrize(
    "value", [{1: 2}, [(1, 2)], {"a": {1}}, [b"bytes"], date(2020, 1, 1), [decimal.Decimal(1)]]
)
def test_json_refuses_what_it_would_change(value: Any) -> None:
    """A tuple would come back as a list, a number as a text key: better not at all."""
    with pytest.raises(SerializationError, match="give it back unchanged"):
        Codec("json").freeze(value)


class Demanding(Exception):
    """An exception class of the common kind that pickles and cannot be unpickled."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@pytest.mark.parametrize("serializer", ["pickle", "signed", Base64()], ids=name)
def test_a_class_that_cannot_be_unpickled_is_a_miss(serializer: Any) -> None:
    """Hazard 22: found when it is read, and told as unreadable, not as an error of the view."""
    codec = codec_of(serializer)
    stored = codec.loads(codec.dumps(entry_of(codec, Demanding("no", 5))))
    with pytest.raises(UnreadableEntry) as caught:
        codec.thaw(stored)
    assert caught.value.reason == "value"


class Vanishing:
    """A class that a later version of an application no longer has."""


def test_a_class_that_is_gone_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that removed a class finds entries of it."""
    codec = Codec()
    entry = entry_of(codec, Vanishing())
    monkeypatch.delitem(globals(), "Vanishing")
    with pytest.raises(UnreadableEntry):
        codec.thaw(entry)


def test_a_serializer_of_the_application_sees_all_but_numbers_and_none() -> None:
    """It may be there to encrypt; a number stays one that the store can count."""
    codec = codec_of(Base64())
    for value in ("text", b"bytes", ("a",), 1.5, True, [1]):
        assert codec.freeze(value)[0] is Form.CUSTOM
    assert codec.freeze(5) == (Form.PLAIN, 5)
    assert codec.freeze(None) == (Form.PLAIN, None)


def test_a_serializer_that_gives_up_in_silence_is_noticed() -> None:
    """cachelib's serializers log and return None, on writing and on reading."""
    codec = Codec(JSONSerializer())
    assert through_bytes(codec, {"a": [1]}) == {"a": [1]}
    with pytest.raises(SerializationError):
        codec.freeze({"a": {1, 2}})
    with pytest.raises(UnreadableEntry):
        codec.thaw(Entry(Form.CUSTOM, b"{not json", created_at=0.0))


def test_a_serializer_must_make_bytes() -> None:
    """Text is not bytes; the error says whose mistake it is."""
    import json

    with pytest.raises(SerializationError, match=r"dumps.*bytes, not str"):
        Codec(json).freeze("text")


def test_messages_do_not_show_a_serializer_s_secrets() -> None:
    """An object's repr may hold its key."""

    class Encrypting(Base64):
        def __repr__(self) -> str:
            return "Encrypting(key='hunter2')"

    with pytest.raises(SerializationError) as caught:
        Codec(Encrypting()).freeze(lambda: 1)
    assert "hunter2" not in str(caught.value)


def test_equal_identities_have_equal_seals_under_one_secret_only() -> None:
    """A witness says whether two requests are the same to those who know the secret."""
    witness = Witness("e", (("when", datetime(2020, 1, 1, tzinfo=UTC)),), "GET", "h", "")
    assert Codec(secret=b"s").seal(witness) == Codec("json", b"s").seal(witness)
    assert Codec(secret=b"s").seal(witness) != Codec(secret=b"t").seal(witness)
    assert len(set(Codec(secret=b"s").seal(witness))) == 5


@pytest.mark.parametrize("value", [10**5000, -(10**4999)], ids=["large", "small"])
def test_numbers_of_any_size_come_back(codec: Codec, value: int) -> None:
    """Python limits how long a number may be as text."""
    assert through_bytes(codec, value) == value
    assert through_bytes(codec, (value,)) == (value,)


def test_a_value_nested_too_deep_is_no_crash() -> None:
    """A snapshot that cannot be taken is a serialization error, whatever Python calls it."""
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    for serializer in SERIALIZERS:
        with pytest.raises(SerializationError):
            codec_of(serializer).freeze(deep)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")],
        [("X-Empty", ""), ("X-\u00fc", "\ud800")],
        [("X-Broken", "a\nb: c")],
    ],
    ids=["none", "several", "any text", "a line's end"],
)
@pytest.mark.parametrize("status", ["200 OK", "[200]", "299 two\nlines"])
def test_a_response_s_head_comes_back_as_it_was(headers: Any, status: str) -> None:
    """Also one that is no proper head, as a response class of the application's own may have."""
    stored = StoredResponse(status, tuple(headers), b"body\n\x00")
    data = b"behind" + b"".join(dump_response(stored)) + b"before"
    assert load_response(data, len(b"behind"), len(data) - len(b"before")) == stored
