"""What a request has that its key does not depend on: found by changing one thing at a time.

Not by what the key seems to be made of: a key maker of the application's own may read anything.
So the same request is asked about again, each time with another value of one thing. If no change
of it changes the key, the key does not depend on it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from flask_caching.explanation import KeyExplanation

from .asking import UnusableRequest, ask, prepare
from .fields import Fields, fields_of
from .model import RequestSpec
from .places import Place

__all__ = ["Asking", "missing_of"]

#: Seconds, and questions in that time, at most: key makers may do anything.
_LONGEST: Final = 0.25
_MOST: Final = 100

#: Values of a header to try, where its name says what would be one.
_OTHER_VALUES: Final = {
    "accept": ("application/json", "text/html", "image/png"),
    "accept-encoding": ("gzip", "identity"),
    "accept-language": ("de", "fr-CH", "ja"),
    "user-agent": ("Mozilla/5.0 (iPhone; Mobile)", "curl/8.0"),
}

_OTHER_HOST: Final = "other.invalid"


class Asking:
    """Asks for the keys of requests, a bounded number in a bounded time.

    Args:
        place: The cache.
        seconds: How long; so many times as many questions may be asked.
    """

    def __init__(self, place: Place, seconds: float = _LONGEST) -> None:
        self._place = place
        self._stop = time.perf_counter() + seconds
        self._left = int(_MOST * seconds / _LONGEST)

    @property
    def over(self) -> bool:
        """Whether nothing more is asked."""
        return self._left <= 0 or time.perf_counter() > self._stop

    def about(self, fields: Fields) -> KeyExplanation | None:
        """The key of a request; ``None`` if it has none, or is not asked about."""
        if self.over:
            return None
        self._left -= 1
        try:
            known = ask(self._place, prepare(self._place, fields.spec()))
        except UnusableRequest:
            return None
        return known if known.key is not None else None


def missing_of(
    place: Place, asking: Asking, request: RequestSpec, known: KeyExplanation
) -> list[str]:
    """What a request has that its key does not depend on, in words.

    Args:
        place: The cache.
        asking: Who asks for other keys, as long as it may.
        request: The request.
        known: Its key.
    """
    fields = fields_of(request)
    named = [
        *_arguments(place, fields, known),
        *_named("query", fields.query, fields.with_query),
        *_named("cookie", fields.cookies, fields.with_cookie),
        *_named("header", fields.headers, fields.with_header),
    ]
    if not place.state.refuses_other_hosts:
        other = replace(fields, host=_OTHER_HOST)
        named.append(("host", lambda: iter([other])))
    return [name for name, changed in named if _is_ignored(asking, known, name, changed)]


def _is_ignored(
    asking: Asking, known: KeyExplanation, name: str, changed: Callable[[], Iterator[Fields]]
) -> bool:
    same = False
    kind, _, argument = name.partition(" ")
    for fields in changed():
        other = asking.about(fields)
        if other is None or other.endpoint != known.endpoint:
            # It leads elsewhere, or has no key: that says nothing.
            continue
        if kind == "argument" and not _differs(known, other, argument):
            continue
        if other.key != known.key:
            return False
        same = True
    return same


def _differs(known: KeyExplanation, other: KeyExplanation, argument: str) -> bool:
    return other.arguments.get(argument) != known.arguments.get(argument)


def _named(
    kind: str,
    pairs: tuple[tuple[str, str], ...],
    change: Callable[[str, str | None], Fields],
) -> Iterator[tuple[str, Callable[[], Iterator[Fields]]]]:
    for name in dict.fromkeys(name for name, _ in pairs):
        first = next(value for each, value in pairs if each == name)
        values = [*_OTHER_VALUES.get(name.lower() if kind == "header" else "", ()), *_near(first)]
        others = [value for value in values if value != first]
        shown = name.title() if kind == "header" else name

        def changed(name: str = name, others: list[str] = others) -> Iterator[Fields]:
            for value in (*others, None):
                yield change(name, value)

        yield f"{kind} {shown}", changed


def _near(value: str) -> list[str]:
    """Other values that a reader of the first one would take as well."""
    if value.isascii() and value.isdigit() and len(value) < 18:
        return [str(int(value) + 1), str(int(value) + 1000)]
    return [f"{value}x", "other"]


def _arguments(
    place: Place, fields: Fields, known: KeyExplanation
) -> Iterator[tuple[str, Callable[[], Iterator[Fields]]]]:
    """The view's arguments, changed in the path."""
    for name, value in known.arguments.items():

        def changed(name: str = name, value: Any = value) -> Iterator[Fields]:
            for other in _other_arguments(value):
                path = _path_with(place, fields, known, {name: other})
                if path is not None:
                    yield replace(fields, path=path)

        yield f"argument {name}", changed


def _other_arguments(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [value + 1, value + 1000]
    if isinstance(value, str):
        return [*_near(value)]
    if isinstance(value, float):
        return [value + 1.0, value + 1000.5]
    if isinstance(value, uuid.UUID):
        return [uuid.UUID(int=value.int ^ 1), uuid.UUID(int=value.int ^ (1 << 127))]
    return []


def _path_with(
    place: Place, fields: Fields, known: KeyExplanation, changes: dict[str, Any]
) -> str | None:
    """The path of the same view with other arguments; ``None`` if it cannot be built."""
    host = fields.host or place.setting("SERVER_NAME") or "localhost"
    root = place.setting("APPLICATION_ROOT") if fields.scheme else ""
    try:
        adapter = place.app.url_map.bind(host, root or "/")
        return adapter.build(
            str(known.endpoint), {**known.arguments, **changes}, method=None
        ).partition("?")[0]
    except Exception:
        # A url_value_preprocessor took an argument away, or a converter refuses the value.
        return None
