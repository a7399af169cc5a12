"""Canonical bytes of values, and calls bound to their parameters."""

from __future__ import annotations

import enum
import functools
import inspect
import ipaddress
import itertools
import math
import operator
import os
import pathlib
import re
import struct
import subprocess
import sys
import types
from array import array
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    UserString,
    defaultdict,
    deque,
    namedtuple,
)
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, g
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import (
    CombinedMultiDict,
    FileStorage,
    Headers,
    ImmutableMultiDict,
    MultiDict,
)
from werkzeug.local import LocalProxy
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_caching.arguments import Binder, Finding, encode, instance_token, witness_arguments
from flask_caching.errors import UncacheableArgument

# Values of plain types, nested.

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(codec=None), max_size=4)
    | st.sampled_from(["1", "a", "ab"])
    | st.binary(max_size=4)
)
hashable = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    scalars | hashable,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells types apart, and does not care for the order of sets and dicts."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)  # a NaN has many bit patterns
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, list | tuple | deque):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return _matched(list(left.items()), list(right.items()))
    if isinstance(left, set | frozenset):
        return _matched(list(left), list(right))
    return bool(left == right)


def _matched(left: list[Any], right: list[Any]) -> bool:
    if len(left) != len(right):
        return False
    for item in left:
        found = next((index for index, other in enumerate(right) if same(item, other)), None)
        if found is None:
            return False
        del right[found]
    return True


def reordered(value: Any) -> Any:
    """The same value built anew, its sets and dictionaries in the opposite order."""
    if isinstance(value, list | tuple | deque):
        return type(value)(map(reordered, value))
    if isinstance(value, set | frozenset):
        return type(value)(reversed([reordered(item) for item in value]))
    if isinstance(value, dict):
        return {reordered(key): reordered(value[key]) for key in reversed(value)}
    return value


@given(values, values)
def test_different_values_have_different_bytes(left: Any, right: Any) -> None:
    """Two values have the same bytes if and only if they are the same, types included."""
    assert (encode(left).data == encode(right).data) == same(left, right)


@given(st.tuples(hashable, hashable), st.data())
def test_neighbours_have_different_bytes(pair: tuple[Any, Any], data: st.DataObject) -> None:
    """Values that hold the same items in another shape differ."""
    left, right = pair
    shapes: list[Any] = [
        pair, list(pair), deque(pair), [pair], (pair,), ((left,), right), (left, (right,)),
        {left: right}, [(left, right), ()], {"": pair}, {pair}, frozenset([pair]),
    ]  # fmt: skip
    first, second = data.draw(
        st.lists(st.sampled_from(range(len(shapes))), min_size=2, max_size=2, unique=True)
    )
    assert encode(shapes[first]).data != encode(shapes[second]).data


@given(values)
def test_the_same_value_built_in_another_order_has_the_same_bytes(value: Any) -> None:
    """The order in which sets and dictionaries were filled does not show."""
    assert encode(reordered(value)).data == encode(value).data
    assert encode(value).findings == ()


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_encodings_can_be_joined_without_separators(left: list[Any], right: list[Any]) -> None:
    """No encoding begins another one, so joined encodings are equal only for equal lists."""
    joined = b"".join(encode(value).data for value in left)
    other = b"".join(encode(value).data for value in right)
    assert (joined == other) == same(left, right)
    assert same(left, right) or not (joined.startswith(other) and len(left) == len(right))


# Types, one by one. Module level, so that another process can make them too.


class Colour(enum.Enum):
    RED = 1
    CRIMSON = "1"


class Size(enum.IntEnum):
    SMALL = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Options(enum.IntFlag):
    A = 1


@dataclass
class Point:
    x: object
    y: object = 0


@dataclass(eq=False)
class Place:
    x: object
    hidden: object = field(default=0, repr=False, compare=False)


@dataclass(frozen=True)
class Other:
    x: object
    y: object = 0


@dataclass(slots=True)
class Slotted:
    x: object


Pair = namedtuple("Pair", "a b")
Twin = namedtuple("Twin", "a b")


class Text(str):
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return ()


class Trouble(Exception):
    pass


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Named({self.name})"


class Renamed(Named):
    pass


class Plain:
    pass


class Bare:
    __slots__ = ()


class Identified:
    def __init__(self, identity: object) -> None:
        self.identity = identity

    def __caching_id__(self) -> object:
        return self.identity


class IdentifiedToo(Identified):
    pass


class IdentifiedList(list):  # type: ignore[type-arg]
    def __caching_id__(self) -> object:
        return "always"


def double(value: int) -> int:
    return value * 2


def with_default(value: int, factor: int = 2) -> int:
    return value * factor


class Attrs:
    """What attrs makes, without attrs."""

    __attrs_attrs__ = (types.SimpleNamespace(name="x"),)

    def __init__(self, x: object) -> None:
        self.x = x

    def __repr__(self) -> str:
        return "Attrs()"


class Pydantic:
    """What pydantic makes, without pydantic."""

    __pydantic_fields__ = types.MappingProxyType({"x": None})

    def __init__(self, x: object) -> None:
        self.x = x


KOLKATA, VIENNA = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Vienna")


def distinct_values() -> list[Any]:
    """Values no two of which may share bytes; each call makes them anew."""
    moved = OrderedDict(a=1, b=2)
    moved.move_to_end("a")
    tagged = Text("1")
    tagged.tag = 1  # type: ignore[attr-defined]
    return [
        None, True, 1, 1.0, "1", b"1", Decimal("1"), Decimal("1.0"), Fraction(1), 1 + 0j,
        Size.SMALL,
        Text("1"), tagged, Markup("1"), bytearray(b"1"), memoryview(b"1"), array("b", b"1"),
        False, 0, 0.0, "", b"", (), [], {}, set(), frozenset(), deque(), deque(maxlen=3), range(0),
        math.inf, -math.inf, math.nan, 2**31, 2**63, 2**5000, -(2**5000), "\ud800", "\ud801", ...,
        NotImplemented, (1,), [1], {1}, frozenset({1}), deque([1]), deque([1], 3), {1: 1}, (True,),
        [1.0], Items([1]), Items(), Pair(1, 2), Twin(1, 2), (1, 2), Pair(1, True), Pair([1], 2),
        {"a": 1, "b": 2}, OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), moved | {"c": 1},
        defaultdict(int, a=1), defaultdict(list, a=1), Counter(a=1), Table(a=1), Table(a=2),
        UserDict(a=1), ChainMap({"a": 1}, {}), ChainMap({"a": 1}), {"a": 1}, {"a": True},
        types.MappingProxyType({"a": 1}), types.SimpleNamespace(a=1),
        MultiDict([("a", "1"), ("a", "2")]), MultiDict([("a", "1")]), MultiDict([("a", "2")]),
        ImmutableMultiDict([("a", "1")]), CombinedMultiDict([MultiDict({"a": "1"})]),
        CombinedMultiDict([MultiDict({"a": "2"})]), Headers([("a", "1")]), Headers([("a", "2")]),
        Point(1), Point(1.0), Point([1]), Point(1, 1), Place(1), Place(1, 1), Other(1), Slotted(1),
        Attrs(1), Attrs(2), Pydantic(1), Pydantic(2),
        Colour.RED, Colour.CRIMSON, Permission.READ, Permission.READ | Permission.WRITE,
        Permission(0), Options.A, Options(8), Options(16),
        date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "X")),
        datetime(2024, 1, 1, tzinfo=VIENNA), datetime(2024, 1, 1, tzinfo=KOLKATA),
        datetime(2024, 10, 27, 2, 30, tzinfo=VIENNA),
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=VIENNA), time(), time(tzinfo=UTC), VIENNA, UTC,
        timedelta(1), timedelta(seconds=1), timedelta(microseconds=1),
        UUID(int=1), UUID(int=2), pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a/b"),
        pathlib.Path("a/b"), pathlib.Path("/a/b"), pathlib.Path("a"),
        range(1), range(1, 2), slice(1), slice(None, [1]), slice(None, None, 1),
        re.compile("a"), re.compile(b"a"), re.compile("a", re.I),
        ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("10.0.0.1"),
        ipaddress.ip_interface("10.0.0.1"), ipaddress.ip_address("::1"), "10.0.0.1",
        int, str, Point, Pair, list[int], list[str], ClassVar[int], ClassVar, int | None,
        int | str, dict[str, int],
        double, with_default, Named.__init__, len, "a".upper, "b".upper, [1].append, str.upper,
        operator.itemgetter("a"), operator.itemgetter("b"), operator.attrgetter("a"),
        operator.methodcaller("a", b=1), functools.partial(double), functools.partial(double, 1),
        functools.partial(double, value=1), Identified(1).__caching_id__,
        math, sys, ValueError("a"), ValueError("b"), KeyError("a"), Trouble("a"), OSError(2, "x"),
        OSError(2, "x", "a"), OSError(2, "x", "b"),
        Named("a"), Named("b"), Renamed("a"), "Named(a)",
        Identified(1), Identified("1"), Identified([1]), IdentifiedToo(1), IdentifiedList([1]),
    ]  # fmt: skip


def test_no_two_known_values_share_bytes() -> None:
    """Every known type tells its objects from each other and from those of other types."""
    seen: dict[bytes, Any] = {}
    for value in distinct_values():
        data = encode(value).data
        assert data not in seen, f"{value!r} and {seen.get(data)!r}"
        seen[data] = value


def test_equal_values_made_anew_share_bytes() -> None:
    """A known type is encoded by value: an equal object made later has the same bytes."""
    for first, second in zip(distinct_values(), distinct_values(), strict=True):
        assert encode(first).data == encode(second).data, repr(first)


def test_known_values_can_be_joined() -> None:
    """No known value's encoding begins that of another."""
    encodings = sorted(encode(value).data for value in distinct_values())
    for shorter, longer in itertools.pairwise(encodings):
        assert not longer.startswith(shorter)


def test_known_values_give_no_findings_but_for_reprs() -> None:
    """Values encoded by content are nothing to audit."""
    found = [value for value in distinct_values() if encode(value).findings]
    assert {type(value) for value in found} == {Named, Renamed}


_PRINT_ENCODINGS = """
import hashlib
from test_arguments import distinct_values
from flask_caching.arguments import encode, identify
from test_identity import factory
print([hashlib.sha256(encode(value).data).hexdigest() for value in distinct_values()])
print(encode({"b", "a", ("c", frozenset("xyz"))}).data, identify(factory(1)).data)
"""


def test_encodings_are_the_same_in_every_process() -> None:
    """Other processes, with another seed for ``hash``, make the same bytes."""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_ENCODINGS],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": path,
            },
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert printed.pop()


def test_order_counts_in_ordered_dicts_only() -> None:
    """Two dictionaries are equal in any order, two ordered ones are not."""
    assert encode({"a": 1, "b": 2}).data == encode({"b": 2, "a": 1}).data
    assert encode(Counter("ab")).data == encode(Counter("ba")).data
    assert encode(OrderedDict(a=1, b=2)).data != encode(OrderedDict(b=2, a=1)).data


def test_a_hash_that_an_immutable_dict_remembers_does_not_count() -> None:
    """Werkzeug's immutable types keep their hash in themselves once it was asked for."""

    class Derived(ImmutableMultiDict):  # type: ignore[type-arg]
        pass

    for kind in (ImmutableMultiDict, Derived):
        hashed = kind([("a", "1")])
        hash(hashed)
        assert encode(hashed).data == encode(kind([("a", "1")])).data


def test_slots_of_a_derived_class_count() -> None:
    """What a derived class adds to a builtin is part of its objects, in slots as well."""

    class Tagged(list):  # type: ignore[type-arg]
        __slots__ = ("tag",)

    first, second = Tagged([1]), Tagged([1])
    first.tag, second.tag = "a", "b"
    assert encode(first).data != encode(second).data


def test_fields_that_are_not_set_are_left_out() -> None:
    """A dataclass object whose slot was never filled can be encoded."""
    empty = Slotted.__new__(Slotted)
    assert encode(empty).data != encode(Slotted(1)).data


def test_a_module_of_a_class_of_its_own_is_a_module() -> None:
    """A lazily loaded module is known by its name, not by what it holds."""

    class Lazy(types.ModuleType):
        pass

    lazy = Lazy("lazy")
    before = encode(lazy).data
    lazy.lock = object()  # type: ignore[attr-defined]
    assert encode(lazy).data == before == encode(types.ModuleType("lazy")).data


def test_a_caching_id_wins_over_everything() -> None:
    """``__caching_id__`` decides alone, even for a list, and can hold any value."""
    assert encode(IdentifiedList([1])).data == encode(IdentifiedList([2])).data
    assert encode(Identified({"b": 1, "a": 2})).data == encode(Identified({"a": 2, "b": 1})).data
    assert encode(Identified(1), strict=True).findings == ()


def test_errors_of_a_caching_id_are_the_applications() -> None:
    """An exception in ``__caching_id__`` is not swallowed."""

    class Broken:
        def __caching_id__(self) -> object:
            raise LookupError("no id yet")

    with pytest.raises(LookupError, match="no id yet"):
        encode(Broken())


def test_a_proxy_counts_as_what_it_stands_for() -> None:
    """A ``LocalProxy`` is unwrapped, nested ones too."""
    current: list[object] = [1]
    proxy = LocalProxy(lambda: current[0])
    nested = LocalProxy(lambda: proxy)
    assert encode(proxy).data == encode(nested).data == encode(1).data
    current[0] = {"a": [2]}
    assert encode([proxy]).data == encode([{"a": [2]}]).data


def test_a_proxy_that_stands_for_nothing_is_refused() -> None:
    """Outside a context there is nothing to make a key of; the path says which argument."""
    with pytest.raises(UncacheableArgument, match=r"LocalProxy\) stands for nothing") as raised:
        Binder(lambda user: None).encode((g,), {})
    assert raised.value.path == "user"


def test_class_and_function_arguments_by_identity() -> None:
    """Lambdas differ by code, defaults and closure; equal ones are one."""

    def adder(amount: int) -> Any:
        return lambda value: value + amount

    def bound(amount: int) -> Any:
        return lambda value, amount=amount: value + amount

    assert encode(lambda: 1).data != encode(lambda: 2).data
    assert encode(adder(1)).data == encode(adder(1)).data != encode(adder(2)).data
    assert encode(bound(1)).data == encode(bound(1)).data != encode(bound(2)).data


def test_a_function_over_something_that_can_change_gets_a_token() -> None:
    """Two functions over two lists are two arguments, although their code is one."""

    def reader(items: list[int]) -> Any:
        return lambda: items

    first, second = reader([1]), reader([2])
    assert encode(first).data == encode(first).data != encode(second).data
    assert [finding.kind for finding in encode(first).findings] == ["address"]


def test_methods_belong_to_their_object() -> None:
    """A bound method is its object and its function."""
    first, second = Plain(), Plain()
    first.act = second.act = None  # type: ignore[attr-defined]
    assert encode(Named("a").__repr__).data == encode(Named("a").__repr__).data
    assert encode(Named("a").__repr__).data != encode(Named("b").__repr__).data
    assert encode(first.__str__).data != encode(second.__str__).data


# Objects.


def test_hazard_8_an_object_without_repr_has_a_token() -> None:
    """HAZARD 8: an object that is only its address is itself, and no other one ever."""
    first, second = Plain(), Plain()
    assert encode(first).data == encode(first).data != encode(second).data
    assert encode(first).findings == (Finding("", "address", f"{__name__}.Plain"),)
    assert instance_token(first) == instance_token(first) != instance_token(second)


def test_hazard_8_the_next_object_at_an_address_is_another() -> None:
    """HAZARD 8: the token of a collected object does not go to the next one at its address."""
    tokens = [instance_token(Plain()) for _ in range(200)]
    assert len(set(tokens)) == 200


def test_hazard_9_arrays_and_frames_count_by_content() -> None:
    """HAZARD 9: two large arrays, or frames, with one ``repr`` do not share a key."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")

    def changed(make: Any) -> tuple[Any, Any, Any]:
        content = numpy.arange(2_000)
        other = content.copy()
        other[1_000] = -1
        return make(content), make(content.copy()), make(other)

    for make in (
        numpy.asarray,
        lambda content: content.astype(object),
        lambda content: content.reshape(20, 100),
        pandas.Series,
        pandas.Index,
        lambda content: pandas.DataFrame({"a": content, "b": content}),
        lambda content: pandas.Series(content).astype("Int64"),
        lambda content: pandas.Series(content[990:1_010]).astype(str).astype("category"),
        lambda content: pandas.to_datetime(pandas.Series(content), unit="s", utc=True),
        lambda content: pandas.MultiIndex.from_arrays([content[990:1_010]] * 2),
        lambda content: pandas.array(content, dtype="Int64"),
        lambda content: types.SimpleNamespace(content=content),
        lambda content: Point(content),
    ):
        one, same_one, two = changed(make)
        assert encode(one).data == encode(same_one).data != encode(two).data
        assert encode(one, strict=True).findings == ()


def test_hazard_9_an_object_that_abbreviates_itself_is_not_its_repr() -> None:
    """HAZARD 9: a ``repr`` cut short, as of an array within, identifies nothing."""

    class Model:
        def __repr__(self) -> str:
            return "Model(weights=[0, 1, ..., 9])"

    assert encode(Model()).data != encode(Model()).data


def test_arrays_differ_by_type_and_shape() -> None:
    """An array's dtype, its shape and what a subclass adds to it count."""
    numpy = pytest.importorskip("numpy")
    content = numpy.arange(6, dtype="int64")
    arrays = [
        content, content.astype("uint64"), content.astype("float64"), content.astype(">i8"),
        content.reshape(2, 3), content.reshape(3, 2), content.view("M8[s]"), content.view("M8[ms]"),
        content.astype(object), content.astype(str), numpy.ma.masked_array(content, content > 2),
        numpy.ma.masked_array(content, content > 3), content.view([("a", "i8")]),
        content.view([("b", "i8")]), numpy.array(["a", "b"], object), numpy.array(["a", "c"],
        object),
        numpy.array(5), numpy.int64(5), numpy.int32(5), numpy.float64(5), 5, 5.0, numpy.bool_(True),
        numpy.datetime64(5, "s"), numpy.datetime64(5, "D"), numpy.dtype("i8"), numpy.dtype("i4"),
        numpy.str_("a"), content.tolist(), content.tobytes(),
    ]  # fmt: skip

    class Quantity(numpy.ndarray):  # type: ignore[misc, name-defined]
        pass

    metres, feet = content.view(Quantity), content.view(Quantity)
    metres.unit, feet.unit = "m", "ft"
    arrays += [metres, feet]
    assert len({encode(array).data for array in arrays}) == len(arrays)
    assert encode(content[::2]).data == encode(content[::2].copy()).data
    assert encode(content.reshape(2, 3).T).data == encode(content.reshape(2, 3).T.copy()).data


def test_zones_of_pytz_are_known_in_every_process() -> None:
    """It makes a class for each zone at run time: the name, not the class, identifies it."""

    def zone(name: str) -> Any:
        base = type("BaseTzInfo", (), {"__module__": "pytz.tzinfo", "__repr__": lambda _: name})
        return type(f"pytz.{name}", (base,), {"__module__": "pytz.tzfile"})()

    assert encode(zone("a")).data == encode(zone("a")).data != encode(zone("b")).data
    assert encode(zone("a")).findings == ()


def test_a_class_without_a_module_is_no_error() -> None:
    """``__module__`` is ``None`` in some extension modules' classes."""
    lost = type("Lost", (), {"__module__": None})()
    assert encode(lost).data == encode(lost).data != encode(type(lost)()).data


def test_frames_differ_by_labels_and_types() -> None:
    """A frame's index, columns, dtypes and attributes count."""
    pandas = pytest.importorskip("pandas")
    frames = [
        pandas.DataFrame({"a": [1, 2]}, index=index) for index in ([0, 1], [1, 2], ["x", "y"])
    ]
    frames += [
        pandas.DataFrame({"b": [1, 2]}), pandas.DataFrame({"a": [1.0, 2.0]}),
        pandas.DataFrame({"a": [1, None]}, dtype=object), pandas.DataFrame({"a": ["1", "2"]}),
        pandas.DataFrame({"a": [pandas.NA, pandas.NaT]}, dtype=object),
        pandas.DataFrame({"a": [1, 2], "b": [1, 2]}), pandas.Series([1, 2]),
        pandas.Series([1, 2], name="a"), pandas.Index([1, 2]), pandas.Index([1, 2], name="a"),
        pandas.Series(["x", "x"], dtype=pandas.CategoricalDtype(["x", "y"])),
        pandas.Series(["x", "x"], dtype=pandas.CategoricalDtype(["x", "z"])),
        pandas.Series(["x", "x"], dtype=pandas.CategoricalDtype(["x", "y"], ordered=True)),
        pandas.Timestamp(0), pandas.Timestamp(1), pandas.Timestamp(0, tz="UTC"), pandas.NaT,
        pandas.NA,
        pandas.Timedelta(0), pandas.Timedelta(1), pandas.Period("2024-01", "M"),
        pandas.Period("2024-01-01", "D"), pandas.Interval(0, 1), pandas.Interval(0, 1, "left"),
    ]  # fmt: skip
    marked = frames[0].copy()
    marked.attrs["unit"] = "m"
    frames.append(marked)
    assert len({encode(frame).data for frame in frames}) == len(frames)


def test_a_repr_is_an_identity_with_its_type_and_a_finding() -> None:
    """An overridden ``__repr__`` tells objects apart; the audit hears of it; strict refuses."""
    assert encode(Named("a")).data == encode(Named("a")).data
    binder = Binder(lambda options: None)
    found = binder.encode(({"db": [Named("a")]},), {}).findings
    assert found == (Finding("options['db'][0]", "repr", f"{__name__}.Named"),)
    with pytest.raises(UncacheableArgument, match="__caching_id__") as raised:
        binder.encode(({"db": [Named("a")]},), {}, strict=True)
    assert raised.value.path == "options['db'][0]"


def test_a_repr_that_cannot_identify_is_not_used() -> None:
    """Addresses in it, failures of it, and containers' ones lead to a token."""

    class Addressed:
        def __repr__(self) -> str:
            return f"<Addressed {id(self):#x}>"

    class Inside:
        def __repr__(self) -> str:
            return f"<Inside of {object()!r}>"

    class Failing:
        def __repr__(self) -> str:
            raise LookupError

    class Container(Named):
        def __len__(self) -> int:
            return 1

    made: list[Any] = [(Addressed(), Addressed()), (Inside(), Inside()), (Failing(), Failing())]
    made += [(Container("a"), Container("a")), (FileStorage(BytesIO()), FileStorage(BytesIO()))]
    requests = [Request(EnvironBuilder().get_environ()) for _ in range(2)]
    for one, two in [*made, tuple(requests)]:
        assert encode(one).data == encode(one).data != encode(two).data
        assert "address" in [finding.kind for finding in encode(one).findings]


class Cart:
    """A container of the application's own, which compares by its text as some do."""

    def __init__(self, *items: object) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Cart({self.items})"

    def __str__(self) -> str:
        return f"{len(self)} items"


@pytest.mark.parametrize("base", [Cart, Named])
def test_hazard_9_a_container_is_itself_and_what_it_shows(base: Any) -> None:
    """HAZARD 9: never shared between two containers, but another one once its repr is."""

    class Container(base):  # type: ignore[misc]
        def __contains__(self, item: object) -> bool:
            return False

    one, two = Container("a"), Container("a")
    assert repr(one) == repr(two)
    before = encode(one)
    assert before.data == encode(one).data != encode(two).data
    assert {finding.kind for finding in before.findings} == {"address"}
    one.__init__("changed ...")
    changed = encode(one).data
    assert changed != before.data
    one.__init__("a")
    assert encode(one).data == before.data


def test_the_repr_of_a_container_that_tells_addresses_is_left_out() -> None:
    """One that holds objects without a repr keeps its token; so does one whose repr fails."""
    cart = Cart(Plain())
    before = encode(cart).data
    cart.items = [Plain(), Plain()]
    assert encode(cart).data == before
    cart.__dict__.clear()
    with pytest.raises(AttributeError):
        repr(cart)
    assert encode(cart).data == before


def test_a_sentinel_that_is_a_container_counts_as_it_is() -> None:
    """A default without a weak reference is known by its name, and by its repr if it has one."""

    class Slotted:
        __slots__ = ("size",)
        size: int

        def __len__(self) -> int:
            return self.size

        def __repr__(self) -> str:
            return f"Slotted({self.size})"

    default = Slotted()
    default.size = 1
    binder = Binder(lambda value=default: None)
    before = binder.encode((), {}).data
    assert binder.encode((), {}).data == before
    default.size = 2
    assert binder.encode((), {}).data != before


class LazyText:
    """What flask_babel, speaklater and their like make: text that is computed when read."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def __str__(self) -> str:
        return str(self._read())

    def __repr__(self) -> str:
        return f"l'{self}'"

    def __len__(self) -> int:
        return len(str(self))

    def __iter__(self) -> Any:
        return iter(str(self))

    def __getitem__(self, index: Any) -> str:
        return str(self)[index]

    def __contains__(self, item: str) -> bool:
        return item in str(self)

    def __eq__(self, other: object) -> bool:
        return str(self) == other

    def __hash__(self) -> int:
        return hash(str(self))


class SilentLazyText(LazyText):
    """One without a ``repr``, as older versions of flask_babel have."""

    __repr__ = object.__repr__


class LazyUserString(UserString):
    def __init__(self, read: Any) -> None:
        self.read = read

    @property
    def data(self) -> str:  # type: ignore[override]
        return str(self.read())


class Locale:
    """Where a lazy text reads what it says."""

    def __init__(self, text: object) -> None:
        self.text = text

    def __caching_id__(self) -> str:
        return "locale"

    def __call__(self) -> object:
        return self.text


@pytest.mark.parametrize("lazy", [LazyText, SilentLazyText, LazyUserString])
def test_lazy_text_is_what_it_says_at_the_moment(lazy: Any) -> None:
    """It changes with the locale; two of a type that say the same are one; it is not a string."""
    locale = Locale("Loading...")
    text = lazy(locale)
    english = encode(text, strict=True)
    assert english.findings == ()
    assert english.data == encode(lazy(Locale("Loading..."))).data != encode("Loading...").data
    locale.text = "Chargement..."
    assert encode(text).data != english.data
    locale.text = "Loading..."
    assert encode(text).data == english.data


def test_lazy_text_that_cannot_be_read_is_only_itself() -> None:
    """Without a request, say, it fails: it has a token then, and no error is raised."""

    def unreadable() -> str:
        raise RuntimeError("outside a request")

    one, two = LazyText(unreadable), LazyText(unreadable)
    assert encode(one).data == encode(one).data != encode(two).data


def test_texts_that_show_more_in_their_repr_differ() -> None:
    """A style that is no part of the text is told by the repr."""

    class Styled(LazyText):
        def __init__(self, style: str) -> None:
            super().__init__(lambda: "text")
            self.style = style

        def __repr__(self) -> str:
            return f"Styled({self.style})"

    assert Styled("bold") == str(Styled("plain"))
    assert encode(Styled("bold")).data == encode(Styled("bold")).data
    assert encode(Styled("bold")).data != encode(Styled("plain")).data


def test_the_globals_of_a_request_are_told_apart() -> None:
    """``flask.g`` prints the same in every request, but is another object in each."""
    app = Flask("application")
    with app.app_context():
        first = encode(g).data
        assert encode(g).data == first
        kept = g._get_current_object()  # type: ignore[attr-defined]
    with app.app_context():
        assert encode(g).data != first
    assert encode(kept).data == first


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Bare(), "first"),
        ({"db": Bare()}, "first['db']"),
        ([0, (Bare(),)], "first[1][0]"),
        (Point(1, Bare()), "first.y"),
        ({Bare(): 1}, "first(key)"),
        ({Bare()}, "first(item)"),
        (iter([]), "first"),
        (Identified(Bare()), "first.__caching_id__()"),
        (functools.partial(double, Bare()), "first[0]"),
    ],
)
def test_what_has_no_identity_is_refused_by_place(value: object, place: str) -> None:
    """The message names the place, the type and the ways out."""
    with pytest.raises(UncacheableArgument) as raised:
        Binder(lambda first: None).encode((value,), {})
    assert raised.value.path == place
    message = str(raised.value)
    assert message.startswith(f"argument {place} (a ")
    assert "__caching_id__" in message
    assert "args_to_ignore" in message
    assert isinstance(raised.value, TypeError)


def test_containers_that_contain_themselves_are_refused() -> None:
    """A cycle is an error that says where, not a RecursionError."""
    items: list[Any] = [1]
    items.append({"again": items})
    with pytest.raises(UncacheableArgument, match="contains itself") as raised:
        Binder(lambda items: None).encode((items,), {})
    assert raised.value.path == "items[1]['again']"
    point = Point(1)
    point.y = [point]
    with pytest.raises(UncacheableArgument, match="contains itself"):
        encode(point)


def test_the_same_object_twice_is_no_cycle() -> None:
    """An object that is met again beside itself is encoded again."""
    shared = [[1]]
    assert encode([shared, shared]).data == encode([[[1]], [[1]]]).data


def test_deep_nesting_is_refused() -> None:
    """Too deep a value is an error of ours, not a RecursionError."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UncacheableArgument, match="nested too deeply"):
        encode(deep)
    with pytest.raises(UncacheableArgument, match="nested too deeply") as raised:
        Binder(lambda tree: None).encode((deep,), {})
    assert raised.value.path == "tree"


def test_instance_tokens_follow_the_identity() -> None:
    """Objects of one identity share a token; strict refuses a repr."""
    assert instance_token(Point(1)) == instance_token(Point(1)) != instance_token(Point(2))
    assert instance_token(Point) != instance_token(Point(1))
    assert re.fullmatch("[0-9a-f]{32}", instance_token(Named("a")))
    with pytest.raises(UncacheableArgument, match="argument self"):
        instance_token(Named("a"), strict=True)


# Binding.


def bind(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return Binder(function).bind(args, kwargs)


def test_one_call_in_many_forms() -> None:
    """However arguments are handed over, the same call has the same bytes."""

    def function(a: object, b: object = 2, *, c: object = 3) -> None: ...

    binder = Binder(function)
    forms: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"a": 1}), ((), {"b": 2, "a": 1}),
        ((), {"a": 1, "b": 2, "c": 3}), ((), {"c": 3, "b": 2, "a": 1}), ((1, 2), {"c": 3}),
    ]  # fmt: skip
    assert {binder.bind(*form) for form in forms} == {(1, 2, 3)}
    assert {binder.encode(*form).data for form in forms} == {encode((1, 2, 3)).data}
    assert binder.encode((1, 2), {"c": [3]}).data == encode((1, 2, [3])).data


def test_hazard_7_positional_only_arguments_count() -> None:
    """HAZARD 7: positional-only, variable and keyword-only arguments are part of the key."""

    def function(a: Any, b: Any = 2, /, *rest: Any, c: Any = 3, **more: Any) -> None: ...

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}), ((2,), {}), ((1, 3), {}), ((1, 2, 3), {}), ((1, 2, 4), {}), ((1, 2, (3,)), {}),
        ((1,), {"c": 4}), ((1,), {"d": 4}), ((1,), {"d": 5}), ((1,), {"a": 4}), ((1,), {"b": 4}),
        ((1, 2, "d"), {}), ((1, 2, 3, 4), {}), ((1,), {"c": 3, "d": 4, "e": 5}),
    ]  # fmt: skip
    binder = Binder(function)
    assert len({binder.encode(*call).data for call in calls}) == len(calls)
    swapped = binder.encode((1,), {"e": 5, "d": 4, "c": 3})
    assert swapped.data == binder.encode((1,), {"c": 3, "d": 4, "e": 5}).data


def test_defaults_are_read_at_each_call() -> None:
    """A default that changes is encoded as it is when the function is called."""
    default: list[int] = []

    def function(a: Any = default) -> None: ...

    binder = Binder(function)
    before = binder.encode((), {}).data
    default.append(1)
    assert before != binder.encode((), {}).data == binder.encode(([1],), {}).data


def test_a_sentinel_as_default_is_known_by_its_parameter() -> None:
    """``object()`` cannot be weakly referenced, but as a default it lives with the function."""
    missing, nothing = object(), object()

    def function(a: Any = missing, b: Any = nothing) -> None: ...

    binder = Binder(function)
    assert binder.encode((), {}) == binder.encode((missing,), {"b": nothing})
    assert binder.encode((), {}).data != binder.encode((nothing, missing), {}).data
    assert binder.encode((), {}).data != binder.encode((None, None), {}).data
    with pytest.raises(UncacheableArgument, match="argument b "):
        binder.encode((missing, object()), {})


def test_ignored_names_do_not_count() -> None:
    """Parameters, ``*args``, ``**kwargs`` and single keys within it can be left out."""

    def function(self: Any, a: Any, b: Any = 2, *rest: Any, **more: Any) -> None: ...

    def key(*ignored: str) -> Any:
        return Binder(function, ignored).bind((0, 1, 2, 3), {"x": 4, "y": 5})

    assert key() == (0, 1, 2, (3,), {"x": 4, "y": 5})
    assert key("self") == (1, 2, (3,), {"x": 4, "y": 5})
    assert key("b", "x") == (0, 1, (3,), {"y": 5})
    assert key("rest") == (0, 1, 2, {"x": 4, "y": 5})
    assert key("more") == (0, 1, 2, (3,))
    assert key("self", "a", "b", "rest", "more") == ()
    binder = Binder(with_default, ["factor"])
    assert binder.encode((1, 2), {}).data == binder.encode((1,), {"factor": 3}).data
    assert binder.encode((1,), {}).data == encode((1,)).data
    with pytest.raises(TypeError, match="value"):
        Binder(with_default, ["value"]).bind((), {})


def test_an_ignored_argument_needs_no_identity() -> None:
    """What is left out is not looked at."""
    binder = Binder(lambda self, a: None, ["self"])
    assert binder.encode((Bare(), [1]), {}).findings == ()


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"function\(\) missing a required argument: 'a'"),
        ((1,), {}, "missing a required argument: 'c'"),
        ((1, 2, 3), {"c": 1}, "takes 2 positional arguments but 3 were given"),
        ((1,), {"a": 1, "c": 1}, "multiple values for argument 'a'"),
        ((1,), {"c": 1, "d": 1}, "unexpected keyword argument 'd'"),
    ],
)
def test_calls_that_do_not_fit_are_type_errors(args: Any, kwargs: Any, message: str) -> None:
    """A wrong call gets the kind of error that calling the function gives."""

    def function(a: Any, b: Any = 2, *, c: Any) -> None: ...

    with pytest.raises(TypeError, match=message):
        Binder(function).bind(args, kwargs)
    with pytest.raises(TypeError, match=message):
        Binder(function).encode(args, kwargs)


def test_the_first_parameter_is_known() -> None:
    """Methods and class methods are recognised by their first parameter's name."""
    facts = [
        (binder.first, binder.takes_self, binder.takes_cls, binder.parameters)
        for binder in map(
            Binder,
            [lambda self, a: 0, lambda cls, /: 0, lambda a, self: 0, lambda *self: 0, lambda: 0],
        )
    ]
    assert facts == [
        ("self", True, False, ("self", "a")),
        ("cls", False, True, ("cls",)),
        ("", False, False, ("a", "self")),
        ("", False, False, ("self",)),
        ("", False, False, ()),
    ]


def test_a_function_without_a_signature_takes_what_it_gets() -> None:
    """Some builtins cannot be inspected: positional and keyword arguments are taken as given."""
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(dict.fromkeys.__self__)
    binder = Binder(dict, ["b"])
    assert binder.parameters == ()
    assert binder.bind((1, 2), {"a": 3, "b": 4}) == ((1, 2), {"a": 3})
    assert binder.encode((1,), {"a": 2}).data != binder.encode((1, 2), {}).data


def test_partials_classes_and_callable_objects_can_be_bound() -> None:
    """Whatever can be called and inspected can be bound."""
    partial: Any = functools.partial(with_default, factor=3)
    assert Binder(partial).bind((1,), {}) == Binder(partial).bind((1,), {"factor": 3}) == (1, 3)
    assert Binder(Point).bind((1,), {}) == (1, 0)
    assert Binder(Named("a").__init__).bind(("a",), {}) == ("a",)  # type: ignore[misc]


def test_a_wrapper_is_bound_by_the_signature_it_shows() -> None:
    """A function under ``functools.wraps`` keeps the forms of its calls together."""

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    binder = Binder(passing(with_default))
    assert binder.bind((1,), {}) == binder.bind((), {"value": 1, "factor": 2}) == (1, 2)


def test_a_call_that_only_the_wrapper_understands_is_bound_by_the_wrapper() -> None:
    """A wrapper that supplies an argument makes no error, and no two of its calls one."""

    def supplying(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function("session", *args, **kwargs)

        return wrapper

    @supplying
    def function(session: Any, a: Any) -> None: ...

    binder = Binder(function)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}), ((), {"a": 1}), ((2,), {}), (((1,), {}), {}), ((([1],)), {}),
    ]  # fmt: skip
    assert len({binder.encode(*call).data for call in calls}) == len(calls)
    assert binder.describe((1,), {"b": 2}) == [("args", "(1,)"), ("b", "2")]


@st.composite
def functions(draw: st.DrawFn) -> Any:
    """A function of random parameters that returns what it was called with."""
    only, usual, keyword = (draw(st.integers(0, 2)) for _ in range(3))
    names = iter("abcdef")
    positional = [next(names) for _ in range(only + usual)]
    required = draw(st.integers(0, len(positional)))
    parts = [name if i < required else f"{name}={i + 10}" for i, name in enumerate(positional)]
    if only:
        parts.insert(only, "/")
    rest = draw(st.booleans())
    if rest or keyword:
        parts.append("*rest" if rest else "*")
    keywords = [next(names) for _ in range(keyword)]
    if not rest and not keyword:
        parts = [part for part in parts if part != "*"]
    parts += [f"{name}=20" if draw(st.booleans()) else name for name in keywords]
    more = draw(st.booleans())
    if more:
        parts.append("**more")
    returned = [*positional, *(["rest"] if rest else []), *keywords, *(["more"] if more else [])]
    namespace: dict[str, Any] = {}
    exec(
        f"def f({', '.join(parts)}): return ({''.join(f'{name},' for name in returned)})", namespace
    )
    return namespace["f"]


@given(
    functions(),
    st.lists(st.integers(0, 3), max_size=5).map(tuple),
    st.dictionaries(st.sampled_from("abcdefxy"), st.integers(4, 7), max_size=4),
    st.sets(st.sampled_from([*"abcdefx", "rest", "more"]), max_size=3),
)
def test_binding_agrees_with_the_call(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], ignored: set[str]
) -> None:
    """A call is bound as Python binds it, or is a TypeError as it is to Python."""
    signature = inspect.signature(function)
    try:
        returned = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            Binder(function).bind(args, kwargs)
        with pytest.raises(TypeError):
            Binder(function, ignored).encode(args, kwargs)
        with pytest.raises(TypeError):
            signature.bind(*args, **kwargs)
        return
    assert Binder(function).bind(args, kwargs) == returned
    assert Binder(function).encode(args, kwargs).data == encode(returned).data
    counted = tuple(
        {key: item for key, item in value.items() if key not in ignored}
        if name == "more"
        else value
        for name, value in zip(signature.parameters, returned, strict=True)
        if name not in ignored
    )
    assert Binder(function, ignored).bind(args, kwargs) == counted
    assert Binder(function, ignored).encode(args, kwargs).data == encode(counted).data
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        # Python 3.11 refuses f(a=1) for ``def f(a=0, /, **more)`` here, but not in the call.
        named = [signature.parameters[name] for name in kwargs if name in signature.parameters]
        assert inspect.Parameter.POSITIONAL_ONLY in [parameter.kind for parameter in named]
    else:
        bound.apply_defaults()
        assert tuple(bound.arguments.values()) == returned


def test_annotations_are_not_evaluated() -> None:
    """A name that exists for type checkers only may stand in an annotation."""
    namespace: dict[str, Any] = {}
    source = "def f(a: 'Missing', b: 'Missing[int]' = 1): ..."
    if sys.version_info >= (3, 14):
        source = source.replace("'", "")
    exec(source, namespace)
    assert Binder(namespace["f"]).bind((1,), {}) == (1, 1)


# Explanations.


def test_descriptions_name_each_argument() -> None:
    """Each argument that counts has its name and a short form; ``**kwargs`` by its keys."""

    def function(self: Any, a: Any, *rest: Any, b: Any = 1, **more: Any) -> None: ...

    described = Binder(function, ["self"]).describe((0, "x", 2), {"z": None, "y": [1]})
    assert described == [
        ("a", "'x'"), ("rest", "(2,)"), ("b", "1"), ("y", "[1]"), ("z", "None"),
    ]  # fmt: skip


def test_descriptions_are_short_and_never_fail() -> None:
    """Long, endless and broken values are shown in at most 80 characters, wrong calls too."""

    class Failing:
        def __repr__(self) -> str:
            raise LookupError

    class deque:  # reprlib takes it for the other one, by its name
        pass

    endless: list[Any] = []
    endless.append(endless)
    binder = Binder(lambda value: None)
    for value in ("x" * 10**6, 10**4000, [["x" * 100] * 100] * 100, endless, Failing(), deque()):
        ((name, text),) = binder.describe((value,), {})
        assert name == "value"
        assert 0 < len(text) <= 80
    assert binder.describe((1, 2), {"b": 3}) == [("args", "(1, 2)"), ("b", "3")]


# Witnesses.


def test_witnesses_tell_arguments_apart() -> None:
    """Different arguments have different witnesses, and types count."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}), ((1,), {}), ((True,), {}), ((1.0,), {}), (("1",), {}), ((b"1",), {}), ((None,),
        {}),
        ((), {"id": 1}), ((), {"id": "1"}), ((), {"id": True}), ((), {"name": 1}), ((("id", 1),),
        {}),
        (([1],), {}), (([2],), {}), (([True],), {}), ((math.nan,), {}), ((), {"a": 1, "b": 2}),
        ((), {"a": 2, "b": 1}), ((), {"day": date(2024, 1, 1)}), ((), {"day": date(2024, 1, 2)}),
    ]  # fmt: skip
    for first, one in enumerate(calls):
        for second, two in enumerate(calls):
            assert (witness_arguments(*one) == witness_arguments(*two)) == (first == second)


def test_witnesses_of_plain_arguments_are_tuples() -> None:
    """The common case needs no bytes; the order of keywords does not show."""
    assert isinstance(witness_arguments((1, "a"), {"b": None}), tuple)
    assert witness_arguments((), {"a": 1, "b": 2}) == witness_arguments((), {"b": 2, "a": 1})
    assert isinstance(witness_arguments(([],), {}), bytes)
    assert witness_arguments((float("nan"),), {}) == witness_arguments((float("nan"),), {})


def test_witnesses_never_ring_a_false_alarm() -> None:
    """What has only an address counts as any of its type, and nothing is refused."""
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    unbound: Any = LocalProxy(lambda: g)
    makers: list[Any] = [
        Plain, Bare, lambda: endless, lambda: deep, lambda: iter([]), lambda: unbound,
        lambda: type("Local", (), {})(), lambda: (lambda items: lambda: items)([]), lambda: g,
    ]  # fmt: skip
    for make in makers:
        assert witness_arguments((1, [make()]), {}) == witness_arguments((1, [make()]), {})
    assert witness_arguments((Plain(),), {}) != witness_arguments((Bare(),), {})
    assert witness_arguments((Plain(), 1), {}) != witness_arguments((Plain(), 2), {})


_VALUES = st.none() | st.integers() | st.text() | st.floats() | st.lists(st.integers())


@given(st.lists(_VALUES, max_size=3), st.dictionaries(st.sampled_from("abcd"), _VALUES))
def test_plain_calls_are_encoded_alike_the_short_way(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    """Or the short way says that it does not know."""

    def function(a: Any, b: Any = 2, *, c: Any = 3) -> None: ...

    bound = dict(zip("ab", args, strict=False)) | kwargs
    fits = len(args) < 3 and len(bound) == len(args) + len(kwargs) and "d" not in kwargs
    for ignored in ((), ("a",)):
        binder = Binder(function, ignored)
        short = binder.encode_plain(tuple(args), kwargs)
        plain = all(type(value) is not list for name, value in bound.items() if name not in ignored)
        assert (short is not None) == (fits and "a" in bound and plain)
        if short is not None:
            assert short == binder.encode(tuple(args), kwargs).data
