"""Text for people: what is hostile made harmless, and numbers with their units.

Keys and values come from whoever sends requests. In a terminal a control character moves the
cursor or retitles the window, anywhere a bidi character lets text read backwards, and an invisible
one makes two keys look alike. None of them reaches a page or a terminal as itself.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import datetime
from typing import Final

__all__ = ["count", "duration", "lifetime", "moment", "percent", "size", "visible"]

#: Printable to :meth:`str.isprintable`, and yet blank or without a shape of its own: fillers,
#: the blank Braille pattern, joiners of graphemes and selectors of variants.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)

#: Marks on top of one another that writing systems need; more of them climb over other lines.
_MARKS: Final = 4

_SIZES: Final = ("kB", "MB", "GB", "TB")


def visible(text: str, *, lines: bool = False) -> str:
    r"""``text`` with everything that is not seen as itself written as Python would write it.

    That is control characters (``\x1b``), bidi and other format characters (``\u202e``), spaces
    other than the common one (``\xa0``), surrogates, unassigned and private characters, blank
    letters, and combining marks without anything to combine with. A backslash stays one.

    Args:
        text: Hostile text.
        lines: Whether line feeds and tabs stay what they are.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    # At the beginning, a mark would be put on whatever stands before the text.
    marks = _MARKS
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me"):
            marks += 1
            hidden = marks > _MARKS or _BLANK.match(character) is not None
        else:
            kept = lines and character in "\n\t"
            hidden = not kept and (
                not character.isprintable() or _BLANK.match(character) is not None
            )
            marks = _MARKS if hidden or kept else 0
        shown.append(_escaped(character) if hidden else character)
    return "".join(shown)


def _escaped(character: str) -> str:
    code = ord(character)
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if short is not None:
        return short
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration(seconds: float) -> str:
    """A length of time in units that suit it: ``310 us``, ``12.3 ms``, ``4.2 s``, ``1h 5m``."""
    if not math.isfinite(seconds):
        # A stored entry may say anything.
        return "-"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    # Rounded first, or 59.96 s would be "60.0 s" and 999.7 us "1000 us".
    if not seconds:
        return "0 s"
    if seconds < 999.5e-6:
        return f"{_digits(seconds * 1e6)} us"
    if seconds < 999.5e-3:
        return f"{_digits(seconds * 1e3)} ms"
    if seconds < 59.95:
        return f"{_digits(seconds)} s"
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [
        f"{number}{unit}"
        for number, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
        if number
    ]
    return " ".join(parts[:2])


def _digits(number: float) -> str:
    """About three digits."""
    return f"{number:.0f}" if number >= 99.95 else f"{number:.3g}"


def lifetime(seconds: float | None) -> str:
    """What is left of a key's time: ``never`` for 0, ``-`` where nobody knows."""
    if seconds is None:
        return "-"
    return duration(seconds) if seconds else "never"


def size(number: float | None) -> str:
    """Bytes in units that suit them (of a thousand): ``512 B``, ``1.5 kB``; ``-`` for ``None``."""
    if number is None:
        return "-"
    if number < 999.5:
        return f"{number:.0f} B"
    value, unit = number / 1000, 0
    while value >= 999.5 and unit + 1 < len(_SIZES):
        value, unit = value / 1000, unit + 1
    return f"{_digits(value)} {_SIZES[unit]}"


def count(number: int | None) -> str:
    """A number with its thousands apart; ``-`` for ``None``."""
    return "-" if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """A part of one as per cent; ``-`` for ``None``.

    Only all is 100 %, and only nothing is 0 %.
    """
    if share is None:
        return "-"
    rounded = round(share * 100, 1)
    if rounded == 100 and share < 1:
        return "> 99.9 %"
    if rounded == 0 and share > 0:
        return "< 0.1 %"
    return f"{rounded:.1f} %"


def moment(at: float | None) -> str:
    """A Unix time in the machine's time zone, ``2026-07-01 12:00:05+0200``; ``-`` for ``None``."""
    if at is None:
        return "-"
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S%z")
    except (OverflowError, OSError, ValueError):
        # Beyond the calendar.
        return f"{at:g}"
