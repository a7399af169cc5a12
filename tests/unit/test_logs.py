"""Log lines: at most one a minute for each kind, never with a key, and never an error."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask

from flask_caching import Cache
from flask_caching.backends.simplecache import SimpleCache
from flask_caching.keyhash import KeyHash
from flask_caching.logs import EventLog
from flask_caching.observer import faults

KEY = "view//user/alice@example.com"
HASH = KeyHash(b"secret")


class Monotonic:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Monotonic:
    return Monotonic()


@pytest.fixture
def log(clock: Monotonic) -> EventLog:
    return EventLog("main", HASH, clock)


@pytest.fixture(autouse=True)
def no_faults() -> Any:
    faults.clear()
    yield
    faults.clear()


def facts(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("cache_")}


def test_a_line_is_a_sentence_with_its_facts_beside_it(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    """For people and for programs; the key is its hash in both."""
    log.write("cache.failed", "%s failed", "get", keys=(KEY,), operation="get")
    (record,) = caplog.records
    assert record.getMessage() == f"cache 'main': get failed (key hash {HASH(KEY)})"
    assert facts(record) == {
        "cache_event": "cache.failed",
        "cache_name": "main",
        "cache_operation": "get",
        "cache_key_hash": HASH(KEY),
    }


def test_events_of_one_kind_share_a_line_a_minute(
    log: EventLog, clock: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of another kind have their own; and those without a kind, each."""
    for second in range(150):
        clock.now = 100.0 + second
        log.write("a", "a", kind="one")
        log.write("a", "b", kind="other")
    assert [each.getMessage()[-1] for each in caplog.records] == ["a", "b"] * 3
    caplog.clear()
    for _ in range(3):
        log.write("a", "a")
    assert len(caplog.records) == 3


def test_what_is_remembered_is_bounded(log: EventLog) -> None:
    """Kinds are made of names of targets, which an application may make by the request."""
    for number in range(5000):
        log.write("a", "a", kind=str(number), level=logging.DEBUG)
    assert len(log._last) <= 1000


@pytest.mark.parametrize(
    "message",
    [
        f"no such key: {KEY}",
        f"{KEY!r} is too long",
        "cannot open view//user/alice%40example.com",
    ],
)
def test_a_message_that_names_the_key_is_left_out(
    log: EventLog, caplog: pytest.LogCaptureFixture, message: str
) -> None:
    """Whole, quoted or escaped; the class is shown, and the traceback is not."""
    log.write("cache.failed", "get failed", keys=(KEY,), error=KeyError(message))
    assert "alice" not in caplog.text
    assert "KeyError: (its message names the key)" in caplog.text
    assert caplog.records[0].exc_info is None


def test_a_message_further_down_that_names_the_key_is_left_out(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback shows what led to an exception as well."""
    try:
        try:
            raise KeyError(KEY)
        except KeyError as error:
            raise OSError("the store failed") from error
    except OSError as error:
        log.write("cache.failed", "get failed", keys=(KEY,), error=error)
    assert "alice" not in caplog.text


def test_other_messages_are_shown_with_their_traceback(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A short key is in any text, and hides nothing."""
    error = ConnectionError("Error 111 connecting to 127.0.0.1:6379")
    log.write("cache.failed", "get failed", keys=("e",), error=error)
    assert "ConnectionError: Error 111 connecting to 127.0.0.1:6379" in caplog.text
    assert caplog.records[0].exc_info


class Naming(SimpleCache):
    """A store whose errors name the key, as a custom backend's may."""

    def _fail(self, *args: Any, **options: Any) -> Any:
        raise KeyError(args)

    get_entry = set_entry = add_entry = delete = has = inc = _fail

    def get_entries(self, keys: Any, create: Any = None) -> Any:
        raise KeyError(keys[0])


def test_38_no_operation_logs_a_key(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """Decorated or direct, on one key or several."""
    caplog.set_level(logging.DEBUG)
    cache = Cache(app, config={"CACHE_TYPE": Naming, "CACHE_IGNORE_ERRORS": True})

    @app.get("/user/<name>")
    @cache.cached()
    def user(name: str) -> str:
        return name

    assert app.test_client().get("/user/alice@example.com").text == "alice@example.com"
    with app.app_context():
        cache.get(KEY)
        cache.set(KEY, 1)
        cache.add(KEY, 1)
        cache.get_many(KEY, "other")
        cache.has(KEY)
        cache.inc(KEY)
        cache.delete(KEY)
        cache.get_or_set(KEY, 1)
    assert "failed, going on without it" in caplog.text
    assert "alice" not in caplog.text


@pytest.mark.parametrize("key", [5, ("a", 1), b"bytes"], ids=repr)
def test_a_key_that_is_no_text_fails_no_call(app: Flask, key: Any) -> None:
    """The function runs, whatever the store thinks of its key."""
    cache = Cache(app, config={"CACHE_TYPE": Naming})

    @cache.memoize()
    def double(number: int) -> int:
        return 2 * number

    double.make_cache_key = lambda function, number: key
    with app.app_context():
        assert double(4) == 8
        assert cache.get_or_set(key, 3) == 3


def test_a_record_factory_or_filter_that_raises_fails_no_call(app: Flask) -> None:
    """Somebody else's logging is not a reason to answer 500."""
    cache = Cache(app, config={"CACHE_TYPE": Naming})

    @app.get("/")
    @cache.cached()
    def index() -> str:
        return "index"

    def fail(record: logging.LogRecord) -> bool:
        raise ValueError("not today")

    logger = logging.getLogger("flask_caching")
    logger.addFilter(fail)
    try:
        assert app.test_client().get("/").text == "index"
    finally:
        logger.removeFilter(fail)
    assert faults["log: ValueError"] >= 1
