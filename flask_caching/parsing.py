"""Parsers of configuration values, and how a value is shown in a message.

A parser takes what the application wrote, which may be text from the environment, and returns
what the rest of the package uses, or raises ``ValueError`` or ``TypeError`` with the half
sentence that says what is wrong. :mod:`flask_caching.config` makes the whole message of it.
"""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, cast

from .backends.base import normalize_timeout
from .compression import COMPRESSIONS

__all__ = ["BOOLEAN", "REDACTED", "describe", "hide_credentials", "nearest", "warn_user"]

BOOLEAN = "True or False, 0 or 1, or the text true, false, yes, no, on, off, 1, 0"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_SERIALIZERS = ("pickle", "signed", "json")
#: What ``CACHE_DEBUG_REDACT`` is by default.
REDACTED = (
    "*api?key*",
    "*apikey*",
    "*auth*",
    "*cookie*",
    "*credential*",
    "*csrf*",
    "*passw*",
    "*secret*",
    "*session*",
    "*token*",
)
#: Up to the last at sign, since a password may hold anything.
_CREDENTIALS = re.compile(r"//\S*@")
_METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
#: How alike two names must be to be taken for one (``difflib`` ratio without ``CACHE_``).
_LIKENESS = 0.8


def hide_credentials(text: str) -> str:
    """``text`` without what stands before the at sign of a URL."""
    return _CREDENTIALS.sub("//***@", text)


def describe(value: object) -> str:
    """A value as a message may show it: no credentials, no long text, no object's ``repr``."""
    if isinstance(value, str):
        shown = hide_credentials(value)
        return repr(shown if len(shown) <= 80 else shown[:77] + "...")
    if value is None or isinstance(value, (bool, int, float, timedelta)):
        return repr(value)
    if isinstance(value, type) or inspect.isroutine(value):
        module = getattr(value, "__module__", None) or "builtins"
        return f"<{module}.{value.__qualname__}>"
    return f"<{type(value).__qualname__} object>"


def nearest(key: str, known: Iterable[str]) -> str:
    """The known key that ``key`` is probably a slip of, or an empty string."""
    by_tail = {name.removeprefix("CACHE_"): name for name in known}
    tail = key.removeprefix("CACHE_")
    for name in by_tail:
        if sorted(name.split("_")) == sorted(tail.split("_")):
            return by_tail[name]
    close = difflib.get_close_matches(tail, by_tail, n=1, cutoff=_LIKENESS)
    return by_tail[close[0]] if close else ""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and point at the first caller outside of this package."""
    level = 1
    frame = inspect.currentframe()
    while frame is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("flask_caching", "flask_caching_instrumentation")


def boolean(value: Any) -> bool:
    """A boolean, ``0`` or ``1``, or the text of one."""
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
    raise ValueError("it does not say yes or no")


def whole(least: int) -> Callable[[Any], int]:
    """A parser of whole numbers of at least ``least``."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise TypeError("it is not a whole number")
        try:
            number = int(value)
        except ValueError:
            raise ValueError("it is not a whole number") from None
        if number < least:
            raise ValueError(f"it is below {least}")
        return number

    return parse


def lifetime(value: Any) -> float:
    """Seconds that an entry lives; 0 never expires."""
    seconds = normalize_timeout(value)
    if seconds is None:
        raise TypeError("it is not a number of seconds")
    if seconds < 0:
        raise ValueError("entries would expire before they are written (0 never expires)")
    return seconds


def wait(value: Any) -> float:
    """Seconds to wait, more than none."""
    seconds = lifetime(value)
    if not seconds:
        raise ValueError('nobody can wait for no time (CACHE_SINGLE_FLIGHT = "off" waits for none)')
    return float(seconds)


def positive(value: Any) -> float:
    """Seconds, more than none."""
    seconds = lifetime(value)
    if not seconds:
        raise ValueError("it is 0")
    return float(seconds)


def compression(value: Any) -> str | None:
    """The name of a compression that can be used here, or None (also as empty text)."""
    if value is None or value == "":
        return None
    name = choice(*COMPRESSIONS)(value)
    if not COMPRESSIONS[name].available():
        raise ValueError(COMPRESSIONS[name].advice)
    return name


def text(value: Any) -> str:
    """A string that is not empty."""
    if not isinstance(value, str):
        raise TypeError("it is not a string")
    if not value.strip():
        raise ValueError("it is empty")
    return value.strip()


def choice(*accepted: str) -> Callable[[Any], str]:
    """A parser of one of a few words."""

    def parse(value: Any) -> str:
        word = text(value).lower()
        if word in accepted:
            return word
        close = difflib.get_close_matches(word, accepted, n=1)
        raise ValueError(f"perhaps {close[0]!r} is meant" if close else "there is no such choice")

    return parse


def backend_type(value: Any) -> Any:
    """A class name, a dotted path, a class or a factory."""
    if isinstance(value, str):
        return text(value)
    if callable(value):
        return value
    raise TypeError("it is an object, not the class or factory that makes one")


def arguments(value: Any) -> tuple[Any, ...]:
    """Positional arguments."""
    if not isinstance(value, (list, tuple)):
        raise TypeError("it is not a list")
    return tuple(cast("Iterable[Any]", value))


def options(value: Any) -> Mapping[str, Any]:
    """Keyword arguments, copied."""
    if not isinstance(value, Mapping):
        raise TypeError("it is not a dictionary")
    given = dict(cast("Mapping[object, Any]", value))
    if not all(isinstance(name, str) for name in given):
        raise TypeError("its keys are argument names, and must be strings")
    return MappingProxyType({str(name): option for name, option in given.items()})


def key_prefix(value: Any) -> Any:
    """A string, or a callable that returns one."""
    if isinstance(value, str) or callable(value):
        return value
    raise TypeError("it is neither a string nor a callable")


def hash_method(value: Any) -> Any:
    """A constructor of ``hashlib`` objects, tried once."""
    if not callable(value):
        raise TypeError("it is not callable; give hashlib.sha256 itself, not its name")
    try:
        digest = cast(Any, value)(b"").hexdigest()
    except Exception as error:
        raise ValueError(f"calling it with bytes made no hash ({error})") from error
    if not isinstance(digest, str):
        raise TypeError("its hexdigest() is not text")
    return cast(Any, value)


def serializer(value: Any) -> Any:
    """The name of a serializer, or an object (or the class of one) with dumps and loads."""
    if isinstance(value, str):
        return choice(*_SERIALIZERS)(value)
    made = value
    if isinstance(value, type):
        try:
            made = cast(Any, value)()
        except TypeError as error:
            raise TypeError(
                f"the class cannot be called without arguments ({error}); give an object of it"
            ) from error
    for method in ("dumps", "loads"):
        if not callable(getattr(made, method, None)):
            raise TypeError(f"it has no {method} method")
    return made


def observer(value: Any) -> Any:
    """A dotted path, a callable, or None (also as empty text)."""
    if value is None or value == "":
        return None
    if callable(value):
        return value
    path = text(value)
    if "." not in path:
        raise ValueError("it is not a dotted path such as package.module.Class")
    return path


def url_path(value: Any) -> str | None:
    """A path that begins with a slash, or None (also as empty text)."""
    if value is None or value == "":
        return None
    path = text(value)
    if not path.startswith("/"):
        raise ValueError('it does not begin with "/"')
    return path


def metric_name(value: Any) -> str:
    """What the name of a Prometheus metric may begin with."""
    name = text(value)
    if not _METRIC_NAME.fullmatch(name):
        raise ValueError("Prometheus does not accept it in a name")
    return name


def tracer_provider(value: Any) -> Any:
    """A tracer provider of OpenTelemetry, or what quacks like one; None for another's choice."""
    if value is None or callable(getattr(value, "get_tracer", None)):
        return value
    raise TypeError("it has no get_tracer method")


def meter_provider(value: Any) -> Any:
    """A meter provider of OpenTelemetry, or what quacks like one; None for the global one."""
    if value is None or callable(getattr(value, "get_meter", None)):
        return value
    raise TypeError("it has no get_meter method")


def registry(value: Any) -> Any:
    """A registry of prometheus_client, or what quacks like one; None for the default one."""
    if value is None or callable(getattr(value, "register", None)):
        return value
    raise TypeError("it has no register method")


def debug_path(value: Any) -> str | None:
    """Where the debug pages are: a path without a slash at its end, or None for nowhere."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip().startswith("/"):
        path = value.strip().rstrip("/")
        if not path:
            raise ValueError("the pages need a path of their own, below the application's root")
        return path
    return "/_cache" if boolean(value) else None


def token(value: Any) -> str | None:
    """A token that cannot be guessed in a hurry, or None (also as empty text)."""
    if value is None or value == "":
        return None
    if len(text(value)) < 16:
        raise ValueError(
            "it is shorter than 16 characters; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return text(value)


def patterns(value: Any) -> tuple[str, ...]:
    """Patterns of names, with ``*`` and ``?``."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise TypeError("it is not a list of patterns")
    return tuple(text(pattern).lower() for pattern in cast("Iterable[Any]", value))


def share(value: Any) -> float | None:
    """A part of all, from 0 to 1; None for what suits."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return float(boolean(value))
    if not 0 <= number <= 1:
        raise ValueError("it is not from 0 to 1")
    return number
