"""The pages about metrics and traces name what there is; their tables are the catalogues."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flask_caching_instrumentation.metrics.catalogue import CATALOGUE
from flask_caching_instrumentation.tracing import spans

ROOT = Path(__file__).resolve().parents[2]
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
TRACING = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")


def quoted(text: str) -> set[str]:
    """What stands between single back quotes, code blocks aside."""
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return set(re.findall(r"`([^`]+)`", without_blocks))


def test_the_tables_come_from_the_catalogues() -> None:
    """A family or span that is added is on its page without anybody writing it there."""
    assert "{{ metrics_table }}" in METRICS
    assert {"{{ spans_table }}", "{{ span_attributes_table }}"} <= set(
        re.findall(r"\{\{ \w+ \}\}", TRACING)
    )


def test_families_that_are_written_about_exist() -> None:
    """Words of the page that look like one of ours are one."""
    families = {each.name for each in CATALOGUE}
    looks_like_one = re.compile(r"[a-z]+(_[a-z]+)*_(total|seconds|bytes|keys|up|info|state|flight)")
    found = {word for word in quoted(METRICS) if looks_like_one.fullmatch(word)}
    assert {"distinct_keys", "item_size_bytes", "saved_seconds_total"} <= found
    assert found <= families


def test_log_events_of_the_page_are_those_of_the_code() -> None:
    """All of them, and no others."""
    written = set()
    for path in (ROOT / "flask_caching").rglob("*.py"):
        if path.name != "logs.py":
            written |= set(re.findall(r'"(cache\.[a-z_]+)"', path.read_text(encoding="utf-8")))
    in_table = {word for word in quoted(METRICS) if re.fullmatch(r"cache\.[a-z_]+", word)}
    assert written == in_table - {"cache.get"}


@pytest.mark.parametrize("word", sorted(quoted(TRACING)))
def test_spans_and_attributes_that_are_written_about_exist(word: str) -> None:
    """With the names of the catalogue."""
    name, _, _ = word.partition("=")
    if not re.fullmatch(r"(cache|flask_caching)\.[a-z._]+", name):
        return
    calls = {"cache.get", "cache.set"}
    known = {span.name.split()[0] for span in spans.CATALOGUE} | spans.ATTRIBUTES.keys()
    assert name in known | calls
