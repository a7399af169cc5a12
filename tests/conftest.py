"""Fixtures that tests of every part share."""

from __future__ import annotations

import time

import pytest
from flask import Flask
from hypothesis import settings
from werkzeug.test import TestResponse

# A shared machine may be slow at any moment; under CI=true hypothesis is repeatable by itself.
settings.register_profile("tests", settings(deadline=None))
settings.load_profile("tests")

if not hasattr(TestResponse, "text"):  # before Werkzeug 2.1
    TestResponse.text = property(lambda response: response.get_data(as_text=True))


class Clock:
    """A stand-in for ``time.time``: it begins at a round moment and moves when it is told to.

    Attributes:
        now: Unix time, seconds. Set it to any moment, the past included.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def app() -> Flask:
    """An application without views, under test."""
    app = Flask("tests")
    app.testing = True
    return app


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The wall clock of this test, for expiry: ``clock.advance(61)`` instead of sleeping.

    Only ``time.time`` is replaced. Monotonic clocks go on, so that a wait with a deadline still
    ends; to freeze ``datetime`` as well, as applications do, use ``time_machine`` or ``freezegun``.
    """
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock
