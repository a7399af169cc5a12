"""What stands in for a plain dictionary, whose class cannot be changed."""

from __future__ import annotations

from functools import wraps
from typing import Any, cast

__all__ = ["StandIn", "live_dict"]

#: To type checkers it has overloads, and values of a type.
_dict: Any = dict


class StandIn(dict[Any, Any]):
    """The beginnings of :func:`live_dict`.

    Args:
        real: The dictionary it stands for.
    """

    __slots__ = ("real",)

    def __init__(self, real: dict[Any, Any]) -> None:
        super().__init__()
        self.real = real
        self.refresh()

    def refresh(self) -> None:
        """Have the same contents, for code in C that looks at a dictionary's insides."""
        _dict.clear(self)
        _dict.update(self, self.real)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self.real),)


def _shows(name: str) -> Any:
    method = getattr(_dict, name)

    @wraps(method)
    def call(self: StandIn, *args: Any, **options: Any) -> Any:
        return method(self.real, *args, **options)

    return call


def _writes(name: str) -> Any:
    method = getattr(_dict, name)

    @wraps(method)
    def call(self: StandIn, *args: Any, **options: Any) -> Any:
        made = method(self.real, *args, **options)
        self.refresh()
        # ``|=`` is about this object.
        return self if made is self.real else made

    return call


_SHOWING = (
    *("__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "__ne__", "__or__"),
    *("__repr__", "__reversed__", "__ror__", "copy", "get", "items", "keys", "values"),
)
_WRITING = (
    *("__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"),
)

#: The class of dictionaries that show another one as it is, and write to it.
live_dict = cast(
    "type[StandIn]",
    type(
        "dict",
        (StandIn,),
        {
            "__slots__": (),
            "__hash__": None,
            **{name: _shows(name) for name in _SHOWING},
            **{name: _writes(name) for name in _WRITING},
        },
    ),
)
