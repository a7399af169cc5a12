"""Keys in addresses: any text there and back, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_caching_instrumentation.inspection.keyids import LONGEST_KEY, key_id, key_of

#: Half of a character, controls, markup, separators of URLs, the empty key.
_HOSTILE = [
    "",
    "view//page/1",
    "a/b?c#d&e=f%20g",
    "..",
    "\x00\r\n\t\x7f\u202e",
    "\ud800 alone \udfff",
    "<script>alert(1)</script>",
    "Grüße, 世界 😀",
    "k",
    "=" * 10,
]


@pytest.mark.parametrize("key", _HOSTILE)
def test_a_key_comes_back_from_its_id(key: str) -> None:
    """Whatever it is made of; and its id needs no quoting in an address."""
    name = key_id(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
    assert key_of(name) == key


@given(st.text(st.characters(), max_size=200))
def test_any_key_comes_back(key: str) -> None:
    """Surrogates and unassigned characters among them."""
    assert key_of(key_id(key)) == key


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_keys_never_share_an_id(one: str, other: str) -> None:
    """So that an address shows, and deletes, one key only."""
    assert (key_id(one) == key_id(other)) == (one == other)


def test_a_key_too_long_for_an_address_has_no_id() -> None:
    """Its bytes count, not its characters."""
    assert key_of(key_id("x" * LONGEST_KEY)) == "x" * LONGEST_KEY
    assert key_id("x" * (LONGEST_KEY + 1)) == ""
    assert key_id("ü" * (LONGEST_KEY // 2 + 1)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "dmlldw",
        "k!",
        "kdmlldw==",
        "kdmlldw ",
        "kdmlldw\n",
        "kZ",
        "kZZ",
        "k____",
        "k" + "\u212a",
        "k" * 100_000,
        "../../etc/passwd",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    """Other spellings of an id, cut off ones and text of any other kind."""
    with pytest.raises(ValueError, match="is not the id of a key") as error:
        key_of(text)
    assert len(str(error.value)) < 100


@given(st.text(max_size=40))
def test_no_text_does_harm(text: str) -> None:
    """It is an id, and the only one of its key, or refused."""
    try:
        key = key_of(text)
    except ValueError:
        return
    assert key_id(key) == text
