"""What is known of a key: its parts, or why there is none; and that as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["KeyExplanation", "KeyPart", "changed", "visible"]

#: The longest value, and the longest URL, that the text shows; in characters.
_SHOWN = 200


class KeyPart(NamedTuple):
    """One ingredient of a key.

    Attributes:
        name: What it is: ``path``, ``query:page``, ``header:Accept``, an argument's name, ...
        value: Its text.
        origin: Where it came from, as one would write it in code.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class KeyExplanation:
    """The key of a request or a call, and why it is that.

    Attributes:
        key: The key, or ``None`` where there is none; then ``reason`` says why.
        parts: What the key was made of, in order.
        endpoint: The endpoint that the URL matched, if any.
        function: Qualified name of the decorated function, if any.
        reason: Why there is no key (no such page, not cached, ...); empty where there is one.
        arguments: The view's or the call's arguments.
        method: The request method, empty for a call.
        url: The URL that was asked about, empty for a call.
        rule: The URL rule that matched, if any.
        status: The status of the response where no view answers (404, 405, a redirect, what a
            ``url_value_preprocessor`` aborts with); ``None`` where one does.
        bypass: Why the cache would not be asked although the function has one, in the word
            that bypasses are counted under (``method``, ``unless``, ``disabled``, ``no_key``,
            ...); ``forced_update`` where the value would be loaded and stored without a look;
            empty if it would be asked.
        missing: What the request has and the key surely does not depend on, in words: ``query
            page``, ``cookie theme``, ``header Accept``, ``argument id``, ``host``. Nothing of a
            key that the application's own code has a part in, since one cannot know.
        notes: What else one should know, in sentences: what was not run, whatever may make the
            real key another one, near rules where none matches.
        inner: The keys of further caches that the call goes through inside of this one's, the
            outermost first.
    """

    key: str | None
    parts: tuple[KeyPart, ...] = ()
    endpoint: str | None = None
    function: str | None = None
    reason: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    method: str = ""
    url: str = ""
    rule: str | None = None
    status: int | None = None
    bypass: str = ""
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    inner: tuple[KeyExplanation, ...] = ()

    def __str__(self) -> str:
        asked = _shorter(f"{self.method} {self.url}".strip() or self.function or "")
        return "\n".join([visible(asked), *(f"  {visible(line)}" for line in self._lines())])

    def _lines(self) -> Iterator[str]:
        yield f"key       {self.key}" if self.key is not None else f"no key    {self.reason}"
        if self.missing:
            yield f"lacks     {', '.join(self.missing)}"
        if self.endpoint:
            yield f"endpoint  {self.endpoint}" + (f"  {self.rule}" if self.rule else "")
        if self.endpoint and self.arguments:
            given = [f"{name}={_short_repr(value)}" for name, value in self.arguments.items()]
            yield f"arguments {', '.join(given)}"
        if self.function:
            yield f"function  {self.function}"
        width = max((len(part.name) for part in self.parts), default=0)
        for part in self.parts:
            yield f"part      {part.name:<{width}}  {_short_repr(part.value)}  ({part.origin})"
        for note in self.notes:
            yield f"note      {note}"
        for inner in self.inner:
            found = inner.key if inner.key is not None else f"no key: {inner.reason}"
            yield f"inside    {found}  ({inner.function})"


def changed(known: KeyExplanation, **fields: Any) -> KeyExplanation:
    """``known`` with other values in some fields.

    As :func:`dataclasses.replace`, which takes 10 microseconds for so many fields: an audit asks
    for thousands of keys.
    """
    made = object.__new__(KeyExplanation)
    vars(made).update(vars(known))
    vars(made).update(fields)
    return made


def visible(text: str) -> str:
    """A text with all that does not print (control and bidirectional characters) escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _short_repr(value: object) -> str:
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}... ({len(value)} characters)"
    try:
        return _shorter(repr(value))
    except Exception as error:
        # An explanation must not fail because an object cannot print itself.
        return f"<{type(value).__qualname__}: {type(error).__name__} in its repr>"


def _shorter(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
