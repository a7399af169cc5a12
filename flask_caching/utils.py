"""Helpers that applications import: names of functions, keys of fragments, timeouts, queries."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from .backends.base import normalize_timeout
from .typing import QueryArgs

__all__ = [
    "dotted_name",
    "function_name",
    "function_namespace",
    "get_arg_default",
    "get_arg_names",
    "get_id",
    "make_template_fragment_key",
    "normalize_timeout",
    "query_args_as_pairs",
    "wants_args",
    "wants_extra_args",
]

_FRAGMENT_PREFIX = "_template_fragment_cache_"

#: Drops what the released library drops from a name: the first 256 characters of Unicode but
#: for ASCII letters, digits, underscore and full stop.
_DROP = {
    code: None
    for code in range(256)
    if not (code < 128 and (chr(code).isalnum() or chr(code) in "_."))
}

#: Escapes what separates the parts of a fragment's key, and in a part also what marks a hash.
_ESCAPE_NAME = str.maketrans({"%": "%25", ":": "%3A"})
_ESCAPE_PART = str.maketrans({"%": "%25", ":": "%3A", "!": "%21"})


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if sys.version_info >= (3, 14):
        import annotationlib

        # Names in annotations may exist for type checkers only.
        lenient = annotationlib.Format.FORWARDREF
        return list(inspect.signature(function, annotation_format=lenient).parameters.values())
    return list(inspect.signature(function).parameters.values())


def wants_args(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with a positional argument or ``**kwargs``."""
    return any(item.kind is not item.KEYWORD_ONLY for item in _parameters(function))


def wants_extra_args(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with more than one argument by position."""
    return sum(item.kind is not item.KEYWORD_ONLY for item in _parameters(function)) > 1


def get_arg_names(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters that take an argument by position or by keyword."""
    return [item.name for item in _parameters(function) if item.kind is item.POSITIONAL_OR_KEYWORD]


def get_arg_default(function: Callable[..., Any], position: int) -> Any:
    """The default of the parameter at ``position``; ``None`` if it has none."""
    default = _parameters(function)[position].default
    return None if default is inspect.Parameter.empty else default


def get_id(obj: Any) -> str:
    """What an object says it is: its ``__caching_id__()``, or else its ``repr``."""
    caching_id = getattr(obj, "__caching_id__", None)
    return repr(obj) if caching_id is None else str(caching_id())


def function_namespace(
    f: Callable[..., Any], args: Sequence[Any] | None = None
) -> tuple[str, str | None]:
    """The dotted name of a function, and that of a method together with its instance.

    Args:
        f: A function or method.
        args: The call's positional arguments, the instance first; needed for methods that are
            not bound.

    Returns:
        ``module.qualname`` without characters that a key should not have, and the same with
        the instance's ``get_id()`` behind it (``None`` without an instance).

    Raises:
        ValueError: For a class method without its class in ``args``.

    Example:
        >>> function_namespace(get_id)
        ('flask_caching.utils.get_id', None)
    """
    names = get_arg_names(f)
    first = names[0] if names else ""
    bound = getattr(f, "__self__", None)
    token = None
    if bound is not None and not inspect.isclass(bound):
        token = get_id(bound)
    elif first == "self" and args:
        token = get_id(args[0])
    if first == "cls" and not (args and inspect.isclass(args[0])):
        raise ValueError(
            f"{_qualname(f, first, args)} is a class method: give the class as the first argument, "
            "for example cache.delete_memoized(Class.method, Class)"
        )
    name = f"{f.__module__}.{_qualname(f, first, args)}"
    instance = f"{name}.{token}".translate(_DROP) if token else None
    return name.translate(_DROP), instance


def dotted_name(function: object) -> str:
    """A function's module and qualified name; those of its type for a callable object."""
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def function_name(function: object) -> str:
    """A callable's :func:`dotted_name` as keys have it: the first of ``function_namespace()``."""
    return dotted_name(function).translate(_DROP)


def _qualname(f: Callable[..., Any], first: str, args: Sequence[Any] | None) -> str:
    """A callable's qualified name; put together where there is none (a partial, a C method)."""
    qualname = getattr(f, "__qualname__", None)
    if qualname is not None:
        return cast(str, qualname)
    owner = getattr(f, "__self__", None)
    if owner is None and args and first in ("self", "cls"):
        owner = args[0]
    name = cast(Any, f).__name__
    if owner is None:
        return cast(str, name)
    owner_class = cast("type[object]", owner if inspect.isclass(owner) else type(owner))
    return f"{owner_class.__name__}.{name}"


def make_template_fragment_key(fragment_name: str, vary_on: Sequence[Any] | None = None) -> str:
    """The key of a template fragment; different names or parts never share one.

    Args:
        fragment_name: The fragment's name.
        vary_on: What else tells fragments of that name apart; a string is one part.

    Returns:
        ``_template_fragment_cache_<name>``, and ``:<part>`` for each part. Percent signs and
        colons are percent-escaped, in parts exclamation marks too; a part that is not a string
        is an exclamation mark and a hash of it.

    Raises:
        UncacheableArgument: If a part has no identity that a key could be made of.

    Example:
        >>> make_template_fragment_key("sidebar", ["news", "a:b"])
        '_template_fragment_cache_sidebar:news:a%3Ab'
    """
    parts: Iterable[Any] = [vary_on] if isinstance(vary_on, str) else vary_on or ()
    written = [str.translate(str(fragment_name), _ESCAPE_NAME), *map(_fragment_part, parts)]
    return _FRAGMENT_PREFIX + ":".join(written)


def _fragment_part(part: Any) -> str:
    if isinstance(part, str):
        # A subclass may bring a translate of its own (markup does).
        return str.translate(part, _ESCAPE_PART)
    from .arguments import encode

    return "!" + hashlib.blake2b(encode(part).data, digest_size=16).hexdigest()


def query_args_as_pairs(query_args: QueryArgs) -> list[tuple[str, str]]:
    """Query arguments as pairs of strings, in their order.

    Args:
        query_args: A query string, with or without its question mark; a mapping, whose lists and
            tuples are repeated parameters; a ``MultiDict``; or pairs.

    Example:
        >>> query_args_as_pairs({"page": 2, "tag": ["a", "b"]})
        [('page', '2'), ('tag', 'a'), ('tag', 'b')]
    """
    if isinstance(query_args, str):
        return parse_qsl(query_args.lstrip("?"), keep_blank_values=True)
    if isinstance(query_args, MultiDict):
        multi = cast("MultiDict[str, Any]", query_args)
        return [(str(name), str(value)) for name, value in multi.items(multi=True)]
    if not isinstance(query_args, Mapping):
        return [(str(name), str(value)) for name, value in query_args]
    mapping = cast("Mapping[str, object]", query_args)
    return [(str(name), str(item)) for name, value in mapping.items() for item in _repeated(value)]


def _repeated(value: object) -> Sequence[object]:
    """The values of one query parameter."""
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]
