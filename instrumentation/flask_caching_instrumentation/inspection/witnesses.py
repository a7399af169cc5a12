"""Who an entry was made for: read from its witness, or recognised where that is sealed.

A store that keeps bytes has hashes in the place of a witness's fields, keyed with the
application's secret. They cannot be read, but what is guessed can be confirmed: the application has
so many endpoints, and a view's path is in its key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from flask_caching.arguments import witness_arguments
from flask_caching.contexts import current_request
from flask_caching.entry import Entry, Witness
from flask_caching.typing import is_tuple

from ..metrics.collisions import Offender
from .model import Writer
from .naming import Names
from .places import Place
from .redacting import HIDDEN, Redactor
from .writers import Writers, function_text

__all__ = ["arguments_text", "collision_of", "writer_of"]

#: Characters of an argument that are shown.
_SHOWN: Final = 200

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "")


def writer_of(
    place: Place, names: Names, key: str, entry: Entry, redactor: Redactor
) -> Writer | None:
    """Who an entry was made for; ``None`` if it says nothing, or nothing that can be told."""
    if entry.witness is not None:
        return _plain_writer(entry.witness, redactor)
    asker = entry.asker
    return None if asker is None else _recognised(place, names, key, asker, redactor)


def _plain_writer(witness: Witness, redactor: Redactor) -> Writer:
    return Writer(
        function=function_text(witness.function),
        arguments=arguments_text(witness.arguments, redactor),
        method=_text(witness.method),
        host=_text(witness.host),
        query=redactor.query(_text(witness.query)),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def arguments_text(identity: object, redactor: Redactor) -> str | None:
    """Arguments as one would write them in a call; ``None`` if only a hash of them is kept."""
    if not is_tuple(identity):
        return None
    if identity == ():
        return ""
    if len(identity) != 3:
        return None
    args, items, _ = cast("tuple[tuple[Any, ...], tuple[tuple[str, Any], ...], object]", identity)
    shown = [_shorten(repr(value)) for value in args]
    for name, value in items:
        shown.append(f"{name}={HIDDEN if redactor.hides(name) else _shorten(repr(value))}")
    return ", ".join(shown)


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _recognised(
    place: Place, names: Names, key: str, sealed: Witness, redactor: Redactor
) -> Writer | None:
    """A sealed witness, field by field, as far as what is tried turns out to be it."""
    seal = place.state.codec.seal

    def find(field: str, candidates: Iterable[object]) -> Any:
        blank = Witness("", (), "", "", "")
        for candidate in candidates:
            tried = seal(blank._replace(**{field: candidate}))
            if getattr(tried, field) == getattr(sealed, field):
                return candidate
        return None

    function = Writers(place).function_of(sealed)
    if not function:
        return None
    matches = [names.routes.match(path) for path in names.paths_of(key)]
    possible = [
        witness_arguments((), match[1]) if match[1] else ()
        for match in matches
        if match is not None and match[0] == function
    ]
    arguments = find("arguments", [(), *possible])
    host = find("host", ["", *_hosts(place)])
    query = find("query", [""])
    return Writer(
        function=function,
        arguments=None if arguments is None else arguments_text(arguments, redactor),
        method=find("method", _METHODS) or "",
        host=host or "",
        query=query or "",
    )


def _hosts(place: Place) -> list[str]:
    """Hosts that a request may have been for."""
    request = current_request()
    known = [place.setting("SERVER_NAME"), "localhost"]
    if request is not None:
        known.append(request.environ.get("HTTP_HOST", ""))
    return [host for host in known if host]


def collision_of(offender: Offender, redactor: Redactor) -> str:
    """A collision in a sentence."""
    times = "once" if offender.times == 1 else f"{offender.times} times"
    text = (
        f"{offender.target} found the entry of another request under this key, {times}. They "
        f"differ in their {offender.kind}; the entry was "
        f"{'refused' if offender.action == 'refused' else 'served all the same'}."
    )
    stored, asked = (_call_text(witness, redactor) for witness in (offender.stored, offender.asked))
    if stored:
        text += f" It was made for {stored}."
    if asked:
        text += f" It was found by {asked}."
    return text


def _call_text(witness: object, redactor: Redactor) -> str:
    """A witness as a call; empty if it is sealed."""
    if not isinstance(witness, Witness):
        return ""
    function = function_text(witness.function)
    if not function:
        return ""
    arguments = arguments_text(witness.arguments, redactor)
    text = f"{function}({'...' if arguments is None else arguments})"
    request = f"{_text(witness.method)} {_text(witness.host)}".strip()
    return f"{text} [{request}]" if request else text
