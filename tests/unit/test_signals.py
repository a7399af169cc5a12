"""Signals: every receiver is told, and none can do harm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_caching import observer, signals

SIGNALS = [
    signals.cache_view_hit,
    signals.cache_view_miss,
    signals.cache_memoize_hit,
    signals.cache_memoize_miss,
]


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    observer.faults.clear()
    yield
    observer.faults.clear()


def test_names_are_those_of_the_released_library() -> None:
    """Receivers that connect by name find them."""
    assert [signal.name for signal in SIGNALS] == [
        "cache-view-hit",
        "cache-view-miss",
        "cache-memoize-hit",
        "cache-memoize-miss",
    ]


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_each_receiver_gets_the_payload(signal: Any) -> None:
    """A receiver is called with no sender and the payload by name."""
    seen: list[Any] = []

    def receiver(sender: object, **payload: Any) -> None:
        seen.append((sender, payload))

    with signal.connected_to(receiver):
        signals.send(signal, cache="c", cache_key="k", args=(1,), kwargs={})
    signals.send(signal, cache="c")
    assert seen == [(None, {"cache": "c", "cache_key": "k", "args": (1,), "kwargs": {}})]


def test_a_receiver_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Hazard 23: the error is counted, logged once, and the other receivers are told."""
    told: list[str] = []

    def broken(sender: object, **payload: Any) -> None:
        raise KeyError("telemetry")

    def sound(sender: object, **payload: Any) -> None:
        told.append("sound")

    signal = signals.cache_view_hit
    with (
        caplog.at_level(logging.ERROR, "flask_caching"),
        signal.connected_to(broken),
        signal.connected_to(sound),
    ):
        signals.send(signal)
        signals.send(signal)
    assert told == ["sound", "sound"]
    assert sum(observer.faults.values()) == 2
    assert "broken" in next(iter(observer.faults))
    assert len(caplog.records) == 1


def test_a_receiver_that_is_a_coroutine_function_is_reported() -> None:
    """It could not be awaited here, so it is not called at all."""

    async def receiver(sender: object, **payload: Any) -> None:
        raise AssertionError

    with signals.cache_view_hit.connected_to(receiver):
        signals.send(signals.cache_view_hit)
    assert list(observer.faults.values()) == [1]


def test_what_is_no_error_is_not_swallowed() -> None:
    """An interrupt in a receiver is an interrupt."""

    def receiver(sender: object, **payload: Any) -> None:
        raise KeyboardInterrupt

    with signals.cache_view_hit.connected_to(receiver), pytest.raises(KeyboardInterrupt):
        signals.send(signals.cache_view_hit)


@pytest.mark.skipif(
    not hasattr(signals.cache_view_miss, "muted"), reason="this blinker has no muted()"
)
def test_a_muted_signal_is_not_sent(told: Callable[..., None], seen: list[Any]) -> None:
    """blinker's own switch is respected."""
    signal = signals.cache_view_miss
    with signal.connected_to(told), signal.muted():
        signals.send(signal)
    assert seen == []


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def told(seen: list[Any]) -> Callable[..., None]:
    def receiver(sender: object, **payload: Any) -> None:
        seen.append(payload)

    return receiver
