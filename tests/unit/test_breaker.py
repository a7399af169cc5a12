"""The circuit breaker: a dead server costs microseconds, and is found alive again."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import Any

import pytest

from flask_caching.breaker import Breaker
from flask_caching.errors import BackendError, BackendUnavailable, CacheError


class Ticker:
    """Monotonic seconds that move when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lost(OSError):
    """A lost connection with more to it than a message."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} is gone")


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


@pytest.fixture
def breaker(ticker: Ticker) -> Breaker:
    return Breaker((Lost,), "10.0.0.1:6379", threshold=3, cooldown=1.0, clock=ticker)


def fail() -> None:
    raise Lost("10.0.0.1", 6379)


def fail_times(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Lost):
            breaker.call(fail)


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    """The fourth call does not reach the server any more."""
    fail_times(breaker, 3)
    assert breaker.state == "open"
    asked: list[int] = []
    with pytest.raises(BackendUnavailable, match=r"10\.0\.0\.1:6379.*3 times in a row.*Lost.*gone"):
        breaker.call(asked.append, 1)
    assert asked == []


def test_what_it_raises_is_of_the_old_kind_too(breaker: Breaker) -> None:
    """``except redis.ConnectionError`` around a direct call goes on working while it is open."""
    fail_times(breaker, 3)
    with pytest.raises(Lost) as caught:
        breaker.call(fail)
    assert isinstance(caught.value, BackendUnavailable)
    assert isinstance(caught.value, BackendError)
    assert isinstance(caught.value, CacheError)


def test_an_answer_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    """A server that fails now and then is not a dead one; an error it answers with is an answer."""
    for answer in (lambda: 1, lambda: {}["out of memory"]):
        fail_times(breaker, 2)
        with contextlib.suppress(KeyError):
            breaker.call(answer)
        assert breaker.state == "closed"
    fail_times(breaker, 3)
    assert breaker.state == "open"


def test_one_probe_after_the_cooldown(breaker: Breaker, ticker: Ticker) -> None:
    """A single caller tries; the others fail at once as long as it has no answer."""
    fail_times(breaker, 3)
    ticker.now += 1.0
    refused: list[type[Exception]] = []

    def probe() -> str:
        assert breaker.state == "half_open"
        try:
            breaker.call(lambda: "another")
        except BackendUnavailable as error:
            refused.append(type(error))
        return "answer"

    assert breaker.call(probe) == "answer"
    assert len(refused) == 1
    assert breaker.state == "closed"
    assert breaker.last_error == ""
    assert breaker.call(lambda: "again") == "again"


def test_a_failed_probe_doubles_the_cooldown_up_to_a_limit(
    breaker: Breaker, ticker: Ticker
) -> None:
    """1, 2, 4 ... 30 seconds; and after an answer 1 again."""
    fail_times(breaker, 3)
    for cooldown in (1, 2, 4, 8, 16, 30, 30):
        ticker.now += cooldown - 0.01
        with pytest.raises(BackendUnavailable):
            breaker.call(fail)
        ticker.now += 0.01
        with pytest.raises(Lost) as caught:
            breaker.call(fail)
        assert not isinstance(caught.value, BackendUnavailable)
    ticker.now += 30
    breaker.call(lambda: None)
    fail_times(breaker, 3)
    ticker.now += 1
    breaker.call(lambda: None)
    assert breaker.state == "closed"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_probe_says_nothing(
    breaker: Breaker, ticker: Ticker, interruption: type[BaseException]
) -> None:
    """A greenlet that is killed leaves no breaker that nobody ever probes again."""
    fail_times(breaker, 3)
    ticker.now += 1.0

    def interrupted() -> None:
        raise interruption

    with pytest.raises(interruption):
        breaker.call(interrupted)
    with pytest.raises(BackendUnavailable):
        breaker.call(fail)
    ticker.now += 1.0
    assert breaker.call(lambda: "answer") == "answer"
    assert breaker.state == "closed"


def test_an_answer_to_a_call_from_before_is_no_probe(breaker: Breaker) -> None:
    """A slow answer that arrives after it opened does not close it."""
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        entered.set()
        go_on.wait(10)
        return "late"

    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(breaker.call(slow)))
    thread.start()
    assert entered.wait(10)
    fail_times(breaker, 3)
    go_on.set()
    thread.join(10)
    assert answers == ["late"]
    assert breaker.state == "open"


def test_a_threshold_of_0_never_opens(ticker: Ticker) -> None:
    """For who would rather wait for the time-out each time."""
    breaker = Breaker((Lost,), threshold=0, clock=ticker)
    fail_times(breaker, 20)
    assert breaker.state == "closed"


def test_the_listener_hears_each_change_once(breaker: Breaker, ticker: Ticker) -> None:
    """Also that a probe is under way."""
    heard: list[tuple[str, str]] = []
    breaker.listener = lambda before, after: heard.append((before, after))
    fail_times(breaker, 3)
    ticker.now += 1
    fail_times(breaker, 1)
    ticker.now += 2
    breaker.call(lambda: None)
    breaker.call(lambda: None)
    assert heard == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


def test_what_opened_it_keeps_nothing_alive(breaker: Breaker) -> None:
    """It remembers the error in words: its traceback would hold the application's values."""

    class Held:
        pass

    def fail_holding(held: Held) -> None:
        raise Lost("10.0.0.1", 6379)

    held = Held()
    reference = weakref.ref(held)
    for _ in range(3):
        with pytest.raises(Lost):
            breaker.call(fail_holding, held)
    del held
    gc.collect()
    assert reference() is None
    assert breaker.last_error == "Lost: 10.0.0.1:6379 is gone"
