"""Values made visible: text, JSON, responses and bytes; bounded, and with secrets hidden."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_caching.entry import Entry, Form, StoredResponse
from flask_caching.parsing import REDACTED
from flask_caching_instrumentation.inspection.model import Preview
from flask_caching_instrumentation.inspection.previews import preview
from flask_caching_instrumentation.inspection.redacting import HIDDEN, Redactor

_SHOWN = 64 * 1024
_DEFAULT = Redactor(REDACTED)
_OPEN = Redactor(())


def of(form: Form, payload: object, redactor: Redactor = _DEFAULT) -> Preview:
    """The preview of a payload."""
    return preview(Entry(form, payload, created_at=time.time()), redactor)


def response(
    body: bytes, *headers: tuple[str, str], redactor: Redactor = _DEFAULT, status: str = "200 OK"
) -> Preview:
    """The preview of a stored response."""
    return of(Form.RESPONSE, StoredResponse(status, headers, body), redactor)


# Plain values.


def test_text_is_shown_as_it_is() -> None:
    """Hostile as it may be: whoever shows it escapes it."""
    text = "<script>\x00\u202e\ud800 Grüße"
    shown = of(Form.PLAIN, text)
    assert (shown.form, shown.text, shown.note) == ("text", text, "")
    assert shown.size_bytes == shown.shown_bytes == len(text.encode("utf-8", "surrogatepass"))


def test_long_text_is_cut() -> None:
    """At 64 KiB, and says how much there is."""
    shown = of(Form.PLAIN, "x" * 1_000_000)
    assert len(shown.text) == shown.shown_bytes == _SHOWN
    assert shown.size_bytes == 1_000_000
    assert "Only the first 65,536 bytes" in shown.note


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"),
        (True, "True"),
        (None, "None"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (1 + 2j, "(1+2j)"),
        ((1, "a", (b"b",)), "(1, 'a', (b'b',))"),
        ((), "()"),
        (frozenset({1}), "{1}"),
    ],
)
def test_numbers_and_tuples_are_shown_as_python_writes_them(value: object, text: str) -> None:
    """They are immutable, and so stored as they are."""
    shown = of(Form.PLAIN, value)
    assert (shown.form, shown.text) == ("text", text)


@pytest.mark.parametrize(
    "value",
    [
        tuple(range(1_000_000)),
        ("x" * 10_000_000, "y"),
        (("deep",) * 1000,) * 1000,
        10**100_000,
        -(10**100_000),
    ],
    ids=["wide", "long text", "deep", "huge number", "huge negative number"],
)
def test_a_huge_plain_value_costs_little(value: object) -> None:
    """Only what is shown of it is written."""
    begun = time.perf_counter()
    shown = of(Form.PLAIN, value)
    assert time.perf_counter() - begun < 0.5
    assert len(shown.text) <= _SHOWN


def test_a_value_nested_too_deep_is_told() -> None:
    """Nothing that can be stored may break the page."""
    value: Any = ()
    for _ in range(sys.getrecursionlimit() * 2):
        value = (value,)
    assert of(Form.PLAIN, value).text == "(" * 50 + "..." + ",)" * 50


def test_bytes_are_dumped_in_hexadecimal() -> None:
    """Offset, bytes, and what of them is printable."""
    shown = of(Form.PLAIN, b"\x00\x01PNG<" + bytes(range(16)))
    assert shown.form == "bytes"
    assert shown.text.splitlines() == [
        "00000000  00 01 50 4e 47 3c 00 01 02 03 04 05 06 07 08 09  ..PNG<..........",
        "00000010  0a 0b 0c 0d 0e 0f                                ......",
    ]
    long = of(Form.PLAIN, b"x" * 1_000_000)
    assert long.shown_bytes < long.size_bytes
    assert len(long.text) < 2 * _SHOWN
    assert "Only the first" in long.note


def test_nothing_is_shown_as_nothing() -> None:
    """An empty value is a value."""
    assert (of(Form.PLAIN, "").text, of(Form.PLAIN, b"").text) == ("", "")


@given(
    st.recursive(
        st.one_of(st.text(), st.integers(), st.binary(), st.floats(), st.none()),
        lambda inner: st.lists(inner).map(tuple),
    )
)
def test_any_plain_value_has_a_preview(value: object) -> None:
    """Without an error, and never longer than the bound."""
    shown = of(Form.PLAIN, value)
    assert len(shown.text) <= 2 * _SHOWN


# Pickles and serializers of the application's own.


@pytest.mark.parametrize("form", [Form.PICKLE, Form.CUSTOM, Form.CUSTOM_RESPONSE])
def test_what_would_have_to_be_run_is_not(form: Form) -> None:
    """Its size and a sentence are all there is."""
    shown = of(form, b"cos\nsystem\n(S'true'\ntR.")
    assert (shown.form, shown.text, shown.shown_bytes) == ("pickle", "", 0)
    assert shown.size_bytes == 23
    assert shown.note


# JSON.


def test_json_is_shown_in_lines() -> None:
    """As it was stored, letters of all alphabets included."""
    shown = of(Form.JSON, '{"name":"Grüße","list":[1,2.5,null,true]}'.encode())
    assert shown.form == "json"
    assert json.loads(shown.text) == {"name": "Grüße", "list": [1, 2.5, None, True]}
    assert "Grüße" in shown.text
    assert shown.text.count("\n") > 4


def test_secret_fields_are_hidden_however_deep() -> None:
    """By their names, case aside; whole objects too."""
    data = {
        "user": {"Password": "hush", "name": "ada", "list": [{"api_key": "hush"}]},
        "AUTH": {"anything": "hush"},
        "page": 1,
    }
    shown = of(Form.JSON, json.dumps(data).encode())
    assert json.loads(shown.text) == {
        "user": {"Password": HIDDEN, "name": "ada", "list": [{"api_key": HIDDEN}]},
        "AUTH": HIDDEN,
        "page": 1,
    }


@pytest.mark.parametrize(
    "data",
    [
        b'{"password": "hush", ' + b'"x": 1, ' * 500_000 + b'"y": 1}',
        b'{"password": "hush", "a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"password": "hush"',
        b'{"password": "hush", "number": ' + b"1" * 10_000 + b"}",
        b'\xff{"password": "hush"}',
    ],
    ids=["large", "deep", "cut off", "huge number", "no UTF-8"],
)
def test_json_that_cannot_be_searched_for_secrets_is_not_shown(data: bytes) -> None:
    """Rather nothing than a password; without patterns its beginning is shown."""
    begun = time.perf_counter()
    shown = of(Form.JSON, data)
    assert "hush" not in shown.text
    if shown.form != "json":
        assert (shown.form, shown.text) == ("none", "")
        assert "fields could not be hidden" in shown.note
    open_preview = of(Form.JSON, data, _OPEN)
    assert "hush" in open_preview.text
    assert len(open_preview.text) <= _SHOWN
    assert time.perf_counter() - begun < 2


def test_long_json_is_cut_after_it_was_searched() -> None:
    """What is shown has its secrets hidden."""
    data = {f"field {number}": "x" * 100 for number in range(5000)}
    shown = of(Form.JSON, json.dumps({"password": "hush", **data}).encode())
    assert shown.form == "json"
    assert len(shown.text) == _SHOWN
    assert shown.shown_bytes < shown.size_bytes
    assert "hush" not in shown.text
    assert "Only the first" in shown.note


# Responses.


def test_a_response_is_shown_with_its_status_and_headers() -> None:
    """The body as text, where its type says that it is some."""
    shown = response(
        "<h1>Grüße</h1>".encode(), ("Content-Type", "text/html; charset=utf-8"), status="404 NOT"
    )
    assert (shown.form, shown.text) == ("text", "<h1>Grüße</h1>")
    assert list(shown.headers) == [
        ("Status", "404 NOT"),
        ("Content-Type", "text/html; charset=utf-8"),
    ]


def test_secret_headers_are_hidden() -> None:
    """Their names stay."""
    shown = response(b"", ("Set-Cookie", "id=hush"), ("X-Auth", "hush"), ("X-Page", "1"))
    assert list(shown.headers)[1:] == [
        ("Set-Cookie", HIDDEN),
        ("X-Auth", HIDDEN),
        ("X-Page", "1"),
    ]


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json; charset=utf-8"])
def test_the_body_of_an_api_is_json(kind: str) -> None:
    """With its secret fields hidden."""
    shown = response(b'{"token":"hush","id":1}', ("Content-Type", kind))
    assert shown.form == "json"
    assert json.loads(shown.text) == {"token": HIDDEN, "id": 1}
    assert len(shown.headers) == 2


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "image/png")],
        [("Content-Type", "text/html"), ("Content-Encoding", "gzip")],
        [],
        [("Content-Type", "")],
        [("Content-Type", ";;;=\x00")],
    ],
    ids=["image", "compressed", "no type", "empty type", "nonsense"],
)
def test_a_body_that_is_no_text_is_dumped(headers: list[tuple[str, str]]) -> None:
    """As bytes."""
    shown = response(b"\x89PNG", *headers)
    assert shown.form == "bytes"
    assert shown.text.startswith("00000000  89 50 4e 47")


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("utf-8", "ü".encode(), "ü"),
        ("ISO-8859-1", b"\xfc", "ü"),
        ("ascii", b"\xfc", "\ufffd"),
        ("no-such-charset", b"\xfc", "\ufffd"),
        ("idna", b"x" * 1000, "x" * 1000),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("hex", b"41", "41"),
        ("\x00", b"x", "x"),
    ],
)
def test_a_charset_is_no_way_to_choose_a_codec(charset: str, body: bytes, text: str) -> None:
    """Python has some that are slow, or decode to something else; all but a few are UTF-8."""
    assert response(body, ("Content-Type", f"text/plain; charset={charset}")).text == text


def test_a_long_body_is_cut() -> None:
    """Also within a character."""
    shown = response("ü".encode() * 100_000, ("Content-Type", "text/plain"))
    assert shown.shown_bytes == _SHOWN
    assert shown.size_bytes == 200_000
    assert len(shown.text) <= _SHOWN


# Hiding.


@pytest.mark.parametrize(
    "name", ["password", "PASSWD", "my-api-key", "Set-Cookie", "x_csrf_token", "sessionid"]
)
def test_names_that_are_hidden_by_default(name: str) -> None:
    """Case aside, wherever the word stands."""
    assert _DEFAULT.hides(name)


def test_a_name_too_long_to_be_looked_at_is_hidden() -> None:
    """Patterns are not to be matched for minutes."""
    begun = time.perf_counter()
    assert Redactor(["*a*a*a*a*a*b"]).hides("a" * 100_000)
    assert Redactor(["*a*a*a*a*a*b"]).hides("a" * 2000) is False
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ""),
        ("page=1", "page=1"),
        ("token=hush&page=1", "token=(hidden)&page=1"),
        ("page=1&TOKEN=hush&token=hush", "page=1&TOKEN=(hidden)&token=(hidden)"),
        ("%74oken=hush", "%74oken=(hidden)"),
        ("a+token=hush", "a+token=(hidden)"),
        ("token", "token"),
        ("=x&&", "=x&&"),
        ("token[]=hush=hush", "token[]=(hidden)"),
    ],
)
def test_parameters_are_hidden_in_a_query(query: str, shown: str) -> None:
    """However their names are written; everything else stays as it came."""
    assert _DEFAULT.query(query) == shown


def test_hidden_by_whole_names() -> None:
    """A pattern without stars is a name."""
    redactor = Redactor(["id", "a[1]"])
    assert [name for name in ("id", "ID", "ids", "a1", "a[1]") if redactor.hides(name)] == [
        "id",
        "ID",
        "a1",
    ]
    assert _OPEN.hides_nothing
    assert not _OPEN.hides("password")
