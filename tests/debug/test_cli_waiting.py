"""Progress bars: when they appear, and what they count."""

from __future__ import annotations

import io
import sys

import pytest

from flask_caching_instrumentation.cli.waiting import Bar, progress


class Terminal(io.StringIO):
    """Somebody who reads stderr."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [4, None])
def test_a_bar_appears_when_work_takes_long(
    monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    """It shows how much is done by then, whether or not it is known of how much."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    seconds = iter([0, 0.4, 0.6, 5])
    with Bar("Counting", clock=lambda: next(seconds)) as bar:
        bar.move(1, total)
        assert terminal.getvalue() == ""
        bar.move(2, total)
        assert "Counting" in terminal.getvalue()
        bar.move(4, total)


def test_nobody_reads_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is not filled with bars."""
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    seconds = iter([0, 100, 200])
    with Bar("Counting", clock=lambda: next(seconds)) as bar:
        bar.move(1, 10)
    assert pipe.getvalue() == ""


def test_items_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in their order, whatever is shown; and none is taken before it is wanted."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    taken: list[int] = []

    def items() -> object:
        for number in range(3):
            taken.append(number)
            yield number

    with progress(items(), "Counting") as shown:
        assert next(shown) == 0
        assert taken == [0]
        assert list(shown) == [1, 2]
