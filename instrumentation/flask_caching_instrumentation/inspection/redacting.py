"""Hiding what ``CACHE_DEBUG_REDACT`` names: values by the name that they have."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import translate
from re import compile as compile_pattern
from typing import Any, Final, cast
from urllib.parse import unquote_plus

__all__ = ["HIDDEN", "Redactor"]

HIDDEN: Final = "(hidden)"

#: Characters of a name that are looked at: a longer one is hidden.
_LONGEST: Final = 2000


class Redactor:
    """Hides values by their names.

    Args:
        patterns: Patterns of names in lower case, with ``*`` and ``?``.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        joined = "|".join(f"(?:{translate(pattern)})" for pattern in patterns)
        self._match = compile_pattern(joined).match if patterns else None

    @property
    def hides_nothing(self) -> bool:
        """Whether there are no patterns at all."""
        return self._match is None

    def hides(self, name: str) -> bool:
        """Whether the value of that name is to be hidden."""
        if self._match is None:
            return False
        return len(name) > _LONGEST or self._match(name.lower()) is not None

    def value(self, name: str, value: str) -> str:
        """A value, or what is shown in its place."""
        return HIDDEN if self.hides(name) else value

    def query(self, text: str) -> str:
        """A query string as it came, with the values that are to be hidden replaced."""
        return "&".join(map(self._parameter, text.split("&"))) if text else ""

    def _parameter(self, pair: str) -> str:
        name, equals, _ = pair.partition("=")
        return f"{name}={HIDDEN}" if equals and self.hides(unquote_plus(name)) else pair

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Name and value pairs with values hidden."""
        return [(name, self.value(name, value)) for name, value in pairs]

    def tree(self, value: Any) -> Any:
        """What was read from JSON, with the values of fields hidden, however deep.

        Raises:
            RecursionError: If it is too deep to look through.
        """
        if type(value) is dict:
            fields = cast("dict[str, Any]", value)
            return {
                name: HIDDEN if self.hides(name) else self.tree(item)
                for name, item in fields.items()
            }
        if type(value) is list:
            return [self.tree(item) for item in cast(Any, value)]
        return value
