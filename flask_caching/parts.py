"""What well-known types are made of: from a value to the parts that tell it from others.

A table names, for each type, the function that takes its objects apart. Objects of a derived
class are found by their first base that is in a table; the class itself and what else such an
object holds are added by :mod:`flask_caching.arguments`. NumPy, pandas and pytz are known
by name, so that none of them is imported here.
"""

from __future__ import annotations

import array
import functools
import ipaddress
import operator
import pathlib
import re
import types
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from werkzeug import datastructures

__all__ = ["FROZEN", "LRU_WRAPPER", "PARTS", "Parts", "foreign_parts", "is_foreign"]

#: Takes an object apart. What it returns is encoded in turn.
Parts: TypeAlias = Callable[[Any], tuple[object, ...]]

#: In the order of the ordered dictionary; ``dict.items`` would miss ``move_to_end``.
_ordered_items: Final[Callable[[Any], Any]] = getattr(OrderedDict, "items")  # noqa: B009

#: The type of what ``functools.lru_cache`` makes, which has no public name.
LRU_WRAPPER: Final[type] = type(functools.lru_cache(len))


def _text(value: Any) -> tuple[object, ...]:
    return (str(value),)


def _attributes(value: Any) -> tuple[object, ...]:
    attributes: dict[str, object] = dict(value.__dict__)
    return (attributes,)


def _exactly(base: Any, method: str) -> Parts:
    """Read an object of a derived class as ``base`` does, past any method overridden."""
    read: Callable[[Any], Any] = getattr(base, method)
    return lambda value: (base(read(value)),)


def _ordered_dict(value: Any) -> tuple[object, ...]:
    # Two of them in different order are not equal, unlike two plain dictionaries.
    items: list[tuple[object, object]] = list(_ordered_items(value))
    return (items,)


def _deque(value: Any) -> tuple[object, ...]:
    items: list[object] = list(value)
    return (items, value.maxlen)


def _path(value: pathlib.PurePath) -> tuple[object, ...]:
    return (value.drive, value.root, value.parts)


def _clock_time(value: Any) -> tuple[object, ...]:
    return (
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.fold,
        value.tzinfo,
    )


def _reduced(value: Any) -> tuple[object, ...]:
    made_by, arguments = value.__reduce__()[:2]
    return (made_by, arguments)


#: Types whose objects can never change unless their parts can.
FROZEN: Final[dict[type, Parts]] = {
    Decimal: lambda value: (Decimal.__str__(value),),
    Fraction: lambda value: (value.numerator, value.denominator),
    UUID: lambda value: (value.int,),
    date: lambda value: (value.year, value.month, value.day),
    datetime: lambda value: (value.year, value.month, value.day, *_clock_time(value)),
    time: _clock_time,
    timedelta: lambda value: (value.days, value.seconds, value.microseconds),
    timezone: lambda value: (value.utcoffset(None), value.tzname(None)),
    # Without a key (made from a file object) it has no name; its repr says as much.
    ZoneInfo: lambda value: (value.key or repr(value),),
    range: lambda value: (value.start, value.stop, value.step),
    slice: lambda value: (value.start, value.stop, value.step),
    re.Pattern: lambda value: (value.pattern, value.flags),
    types.GenericAlias: lambda value: (value.__origin__, value.__args__),
    types.UnionType: lambda value: (value.__args__,),
    operator.itemgetter: _reduced,
    operator.attrgetter: _reduced,
    operator.methodcaller: _reduced,
    **dict.fromkeys(
        (
            pathlib.PurePath,
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
            pathlib.Path,
            pathlib.PosixPath,
            pathlib.WindowsPath,
        ),
        _path,
    ),
    **dict.fromkeys(
        (
            ipaddress.IPv4Address,
            ipaddress.IPv4Interface,
            ipaddress.IPv4Network,
            ipaddress.IPv6Address,
            ipaddress.IPv6Interface,
            ipaddress.IPv6Network,
        ),
        _text,
    ),
    types.NotImplementedType: lambda value: (),
    types.WrapperDescriptorType: lambda value: (value.__objclass__, value.__name__),
    types.MethodDescriptorType: lambda value: (value.__objclass__, value.__name__),
    types.ClassMethodDescriptorType: lambda value: (value.__objclass__, value.__name__),
    types.GetSetDescriptorType: lambda value: (value.__objclass__, value.__name__),
    types.MemberDescriptorType: lambda value: (value.__objclass__, value.__name__),
}


def _multi_dict(value: Any) -> tuple[object, ...]:
    # ``items()`` shows the first value of a key only, and a combined one stores none itself.
    return (dict(value.lists()),)


def _builtin(value: Any) -> tuple[object, ...]:
    owner = None if isinstance(value.__self__, types.ModuleType) else value.__self__
    return (value.__module__, value.__qualname__, owner)


def _function_wrapper(value: Any) -> tuple[object, ...]:
    return (value.__wrapped__,)


#: All known types. The five containers, and ``str`` and its like, are here for derived classes.
PARTS: Final[dict[type, Parts]] = {
    **FROZEN,
    str: _exactly(str, "__str__"),
    bytes: lambda value: (bytes.__getitem__(value, slice(None)),),
    int: _exactly(int, "__int__"),
    float: _exactly(float, "__float__"),
    complex: _exactly(complex, "__complex__"),
    tuple: _exactly(tuple, "__iter__"),
    list: _exactly(list, "__iter__"),
    dict: _exactly(dict, "items"),
    set: _exactly(set, "__iter__"),
    frozenset: _exactly(frozenset, "__iter__"),
    OrderedDict: _ordered_dict,
    defaultdict: lambda value: (value.default_factory, *_exactly(dict, "items")(value)),
    deque: _deque,
    bytearray: lambda value: (bytes(value),),
    memoryview: lambda value: (value.format, value.shape, value.tobytes()),
    array.array: lambda value: (value.typecode, value.tobytes()),
    types.MappingProxyType: lambda value: (dict(value),),
    types.SimpleNamespace: _attributes,
    UserDict: _attributes,
    UserList: _attributes,
    # A lazy one computes its text; its attributes do not tell what it is just now.
    UserString: lambda value: (str(value), *_attributes(value)),
    ChainMap: _attributes,
    BaseException: lambda value: (value.args,),
    OSError: lambda value: (value.args, value.filename, value.filename2),
    functools.partial: lambda value: (value.func, value.args, value.keywords),
    functools.partialmethod: lambda value: (value.func, value.args, value.keywords),
    staticmethod: _function_wrapper,
    classmethod: _function_wrapper,
    LRU_WRAPPER: _function_wrapper,
    types.MethodType: lambda value: (value.__self__, value.__func__),
    types.MethodWrapperType: lambda value: (value.__self__, value.__name__),
    types.BuiltinFunctionType: _builtin,
    datastructures.MultiDict: _multi_dict,
    datastructures.ImmutableMultiDict: _multi_dict,
    datastructures.CombinedMultiDict: _multi_dict,
    datastructures.Headers: lambda value: (list(value),),
    datastructures.EnvironHeaders: lambda value: (list(value),),
}


# NumPy, pandas, pytz: the content, never the repr, which leaves out the middle.


def _array(value: Any) -> tuple[object, ...]:
    dtype = value.dtype
    # Objects and variable-width strings: their buffer holds addresses.
    by_element = dtype.hasobject or dtype.kind == "T"
    content = value.ravel().tolist() if by_element else value.tobytes()
    # A subclass keeps what it adds (a mask, a unit) in its ``__dict__``; a plain array has none.
    return (dtype.str, str(dtype), value.shape, content, dict(getattr(value, "__dict__", {})))


def _mapped_array(value: Any) -> tuple[object, ...]:
    return (value.dtype.str, str(value.dtype), value.shape, value.tobytes())


def _array_scalar(value: Any) -> tuple[object, ...]:
    dtype = value.dtype
    return (dtype.str, str(dtype), value.item() if dtype.hasobject else value.tobytes())


def _column(value: Any) -> tuple[object, ...]:
    dtype = value.dtype
    if type(dtype).__module__.partition(".")[0] == "numpy":
        return _array(value.to_numpy())
    categories = getattr(dtype, "categories", None)
    return (str(dtype), categories, getattr(dtype, "ordered", None), list(value))


def _metadata(value: Any) -> dict[str, object]:
    """What a frame or series carries beside its data: ``attrs`` and a subclass's own names."""
    names = getattr(value, "_metadata", ())
    return {"attrs": value.attrs, **{name: getattr(value, name, None) for name in names}}


def _series(value: Any) -> tuple[object, ...]:
    return (value.name, value.index, _column(value), _metadata(value))


def _frame(value: Any) -> tuple[object, ...]:
    columns = [_column(value.iloc[:, position]) for position in range(value.shape[1])]
    return (value.columns, value.index, columns, _metadata(value))


def _index(value: Any) -> tuple[object, ...]:
    return (list(value.names), _column(value), str(getattr(value, "freq", None)))


def _multi_index(value: Any) -> tuple[object, ...]:
    return (list(value.names), list(value), [str(dtype) for dtype in value.dtypes])


_FOREIGN: Final[dict[tuple[str, str], Parts]] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "memmap"): _mapped_array,
    ("numpy", "generic"): _array_scalar,
    ("numpy", "dtype"): lambda value: (value.str, str(value)),
    ("pandas", "Series"): _series,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Index"): _index,
    ("pandas", "MultiIndex"): _multi_index,
    ("pandas", "ExtensionArray"): _column,
    ("pandas", "Timestamp"): lambda value: (
        value.isoformat(),
        value.fold,
        value.tzinfo,
        getattr(value, "unit", ""),
    ),
    ("pandas", "Timedelta"): lambda value: (value.isoformat(), getattr(value, "unit", "")),
    ("pandas", "Period"): lambda value: (str(value), value.freqstr),
    ("pandas", "Interval"): lambda value: (value.left, value.right, value.closed),
    ("pandas", "NaTType"): lambda value: (),
    ("pandas", "NAType"): lambda value: (),
    # A class for each zone, made at run time; the repr has the name and the offset.
    ("pytz", "BaseTzInfo"): lambda value: (repr(value),),
}
_PACKAGES: Final = frozenset(package for package, _ in _FOREIGN)


def is_foreign(cls: type) -> bool:
    """Whether the class belongs to one of the packages that are known by name."""
    return str(cls.__module__).partition(".")[0] in _PACKAGES


def foreign_parts(cls: type) -> Parts | None:
    """The function for such a class, wherever inside its package this version keeps it."""
    if not is_foreign(cls):
        return None
    return _FOREIGN.get((cls.__module__.partition(".")[0], cls.__qualname__))
