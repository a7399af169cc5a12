"""Text for people: hostile text made harmless, numbers with units."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_caching_instrumentation.inspection import text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("view//p/1", "view//p/1"),
        ("Grüße aus 東京", "Grüße aus 東京"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J\x9b31m", "\\x1b[2J\\x9b31m"),
        ("one\ntwo\r\tthree\0", "one\\ntwo\\r\\tthree\\x00"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("pay\u200bpal\ufeff", "pay\\u200bpal\\ufeff"),
        ("no\xa0break\u3000wide", "no\\xa0break\\u3000wide"),
        ("half \ud83d", "half \\ud83d"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("admin\u3164", "admin\\u3164"),
        ("\u2028line", "\\u2028line"),
        ("\u0301on nothing", "\\u0301on nothing"),
        ("e\u0301 is e\u0301", "e\u0301 is e\u0301"),
        ("x" + "\u0335" * 6, "x" + "\u0335" * 4 + "\\u0335" * 2),
        ("back\\slash", "back\\slash"),
        ("", ""),
    ],
)
def test_what_is_not_seen_as_itself_is_shown_by_its_number(hostile: str, shown: str) -> None:
    """Control, bidi, invisible, unassigned and halves of characters; all else stays."""
    assert text.visible(hostile) == shown


def test_lines_may_stay_lines() -> None:
    """In a value line feeds and tabs are what they are; nothing else is."""
    assert text.visible("a\n\tb\x1b[m\r\n", lines=True) == "a\n\tb\\x1b[m\\r\n"
    assert text.visible("a\n\u0301", lines=True) == "a\n\\u0301"


@given(st.text(st.characters()))
def test_nothing_invisible_gets_through(hostile: str) -> None:
    """Whatever the text, what is shown prints, and can be encoded."""
    shown = text.visible(hostile)
    assert shown.isprintable()
    shown.encode()
    assert text.visible(shown) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.0000031, "3.1 us"),
        (0.00031, "310 us"),
        (0.0009999, "1 ms"),
        (0.01234, "12.3 ms"),
        (0.9999, "1 s"),
        (4.256, "4.26 s"),
        (59.94, "59.9 s"),
        (59.96, "1m"),
        (90, "1m 30s"),
        (3600, "1h"),
        (3900, "1h 5m"),
        (90_061, "1d 1h"),
        (86_400 * 400, "400d"),
        (-5, "-5 s"),
        (float("inf"), "-"),
        (float("nan"), "-"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    """In two units at most, about three digits; never 60 seconds or 1000 us."""
    assert text.duration(seconds) == shown


def test_lifetimes() -> None:
    """0 is for ever, None is what nobody knows."""
    assert [text.lifetime(each) for each in (0, None, 90)] == ["never", "-", "1m 30s"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_600, "1 MB"),
        (123_456_789, "123 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(number: int | None, shown: str) -> None:
    """In units of a thousand, about three digits."""
    assert text.size(number) == shown


def test_counts_and_ratios() -> None:
    """Thousands are apart; 100 % is all and 0 % is nothing."""
    assert [text.count(each) for each in (None, 7, 1234567)] == ["-", "7", "1,234,567"]
    shares = [None, 0, 0.00001, 0.934, 0.99999, 1]
    assert [text.percent(each) for each in shares] == [
        "-",
        "0.0 %",
        "< 0.1 %",
        "93.4 %",
        "> 99.9 %",
        "100.0 %",
    ]


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the machine's time zone; one beyond the calendar is only a number."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert text.moment(1_800_000_000) == "2027-01-15 09:00:00+0100"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text.moment(None) == "-"
    assert text.moment(1e300) == "1e+300"
