"""CacheConfig: what each key accepts, and what a mistake says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import warnings
from datetime import timedelta
from typing import Any

import pytest

from flask_caching import Cache
from flask_caching.backends import SimpleCache
from flask_caching.config import PASS_THROUGH, CacheConfig, describe_keys
from flask_caching.errors import ConfigurationError


class Upper:
    """A serializer of an application's own."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class NeedsAKey(Upper):
    def __init__(self, key: str) -> None:
        self.key = key


def load(**values: Any) -> CacheConfig:
    return CacheConfig.load(values)


def test_nothing_set_gives_the_released_defaults() -> None:
    """An application that sets nothing gets what Flask-Caching 2.5 gave it."""
    config = load()
    assert config.type == "NullCache"
    assert config.default_timeout == 300
    assert config.threshold == 500
    assert config.key_prefix == "flask_cache_"
    assert config.hash_method is hashlib.sha256
    assert config.args == ()
    assert config.options == {}
    assert config.serializer == "pickle"
    assert config.ignore_errors is config.source_check is config.enable_signals is False


def test_every_field_is_documented() -> None:
    """Each key has a sentence, what it accepts and a default, once."""
    docs = describe_keys()
    fields = [field for field in dataclasses.fields(CacheConfig) if not field.name.startswith("_")]
    assert [doc.key for doc in docs] == [f"CACHE_{field.name.upper()}" for field in fields]
    for doc in docs:
        assert doc.about.endswith(".")
        assert doc.accepts
        assert doc.default
    assert not {doc.key for doc in docs} & set(PASS_THROUGH)


def test_defaults_pass_their_own_checks() -> None:
    """A default written down as a value is accepted and changes nothing."""
    default = CacheConfig()
    written = {f"CACHE_{f.name.upper()}": getattr(default, f.name) for f in _fields()}
    assert CacheConfig.load(written) == default


def _fields() -> list[Any]:
    return [f for f in dataclasses.fields(CacheConfig) if not f.name.startswith("_")]


def test_a_config_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().threshold = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (60, 60),
        ("60", 60),
        (0, 0),
        (1.5, 1.5),
        ("0.25", 0.25),
        (timedelta(minutes=2), 120),
        (timedelta(milliseconds=200), 0.2),
        (None, 300),
    ],
)
def test_default_timeout_is_seconds(given: Any, seconds: float) -> None:
    """Seconds, text and timedelta are seconds; whole ones are integers, parts are kept."""
    timeout = load(CACHE_DEFAULT_TIMEOUT=given).default_timeout
    assert timeout == seconds
    assert type(timeout) is type(seconds)


def test_a_timeout_among_the_options_is_the_default() -> None:
    """CACHE_OPTIONS wins over CACHE_DEFAULT_TIMEOUT, as the backend will see it."""
    config = load(CACHE_DEFAULT_TIMEOUT=10, CACHE_OPTIONS={"default_timeout": "20"})
    assert config.default_timeout == 20
    assert config.as_mapping()["CACHE_DEFAULT_TIMEOUT"] == 20


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on", " ON ", 1, True])
def test_yes_can_be_said_in_text(text: Any) -> None:
    """Environment variables are text."""
    assert load(CACHE_IGNORE_ERRORS=text).ignore_errors is True


@pytest.mark.parametrize("text", ["false", "0", "no", "Off", 0, False])
def test_no_can_be_said_in_text(text: Any) -> None:
    """The text false is not true."""
    assert load(CACHE_SOURCE_CHECK=text).source_check is False


BAD = [
    ("CACHE_TYPE", 5),
    ("CACHE_TYPE", " "),
    ("CACHE_NO_NULL_WARNING", "perhaps"),
    ("CACHE_IGNORE_ERRORS", 2),
    ("CACHE_IGNORE_ERRORS", ""),
    ("CACHE_DEFAULT_TIMEOUT", "soon"),
    ("CACHE_DEFAULT_TIMEOUT", True),
    ("CACHE_DEFAULT_TIMEOUT", -1),
    ("CACHE_DEFAULT_TIMEOUT", float("nan")),
    ("CACHE_DEFAULT_TIMEOUT", "inf"),
    ("CACHE_THRESHOLD", -1),
    ("CACHE_THRESHOLD", 2.5),
    ("CACHE_THRESHOLD", True),
    ("CACHE_THRESHOLD", "many"),
    ("CACHE_KEY_PREFIX", 7),
    ("CACHE_HASH_METHOD", "sha256"),
    ("CACHE_HASH_METHOD", hash),
    ("CACHE_HASH_METHOD", len),
    ("CACHE_SERIALIZER", "yaml"),
    ("CACHE_SERIALIZER", object()),
    ("CACHE_SERIALIZER", NeedsAKey),
    ("CACHE_NAME", ""),
    ("CACHE_NAME", 3),
    ("CACHE_INSTRUMENTATION", "Instrumentation"),
    ("CACHE_INSTRUMENTATION", 3),
    ("CACHE_METRICS_PATH", "metrics"),
    ("CACHE_METRICS_NAMESPACE", "my-app"),
    ("CACHE_METRICS_NAMESPACE", "1app"),
    ("CACHE_METRICS_REGISTRY", "default"),
    ("CACHE_METRICS_TARGETS", 0),
    ("CACHE_TRACING", "sometimes"),
    ("CACHE_TRACING", False),
    ("CACHE_TRACE_KEYS", "raw"),
    ("CACHE_TRACER_PROVIDER", "global"),
    ("CACHE_KEY_STRATEGY", "strikt"),
    ("CACHE_COLLISIONS", "ignore"),
    ("CACHE_SINGLE_FLIGHT", "everywhere"),
    ("CACHE_ENABLED", "perhaps"),
    ("CACHE_ALLOW_FLUSH", 2),
    ("CACHE_COMPRESSION", "gzip9"),
    ("CACHE_COMPRESSION_THRESHOLD", -1),
    ("CACHE_BREAKER_THRESHOLD", -1),
    ("CACHE_BREAKER_COOLDOWN", 0),
    ("CACHE_SINGLE_FLIGHT_TIMEOUT", 0),
    ("CACHE_STREAM_LIMIT", -1),
    ("CACHE_OPTIONS", "threshold=3"),
    ("CACHE_OPTIONS", {3: 4}),
    ("CACHE_OPTIONS", {"default_timeout": "soon"}),
    ("CACHE_ARGS", "localhost"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_names_its_key(key: str, value: Any) -> None:
    """The error is a ValueError that names the key and what it accepts."""
    with pytest.raises(ConfigurationError, match=key) as caught:
        CacheConfig.load({key: value})
    assert isinstance(caught.value, ValueError)
    assert " It accepts " in str(caught.value)


def test_a_bad_choice_names_the_near_one() -> None:
    """A slip in a word is recognised."""
    with pytest.raises(ConfigurationError, match="perhaps 'strict' is meant"):
        load(CACHE_KEY_STRATEGY="strikt")


def test_choices_do_not_care_for_case() -> None:
    """Environment variables are often in capitals."""
    assert load(CACHE_COLLISIONS="REFUSE").collisions == "refuse"


def test_no_secret_is_shown() -> None:
    """Neither repr nor a message shows options, arguments or the credentials in a URL."""
    config = load(
        CACHE_OPTIONS={"password": "hunter2"},
        CACHE_ARGS=["hunter2"],
        CACHE_REDIS_PASSWORD="hunter2",
        CACHE_REDIS_URL="redis://user:hunter2@host/0",
        CACHE_SERIALIZER=NeedsAKey("hunter2"),
        SECRET_KEY="hunter2",
    )
    assert "hunter2" not in repr(config)
    for key, value in [
        ("CACHE_OPTIONS", "password=hunter2"),
        ("CACHE_ARGS", "hunter2"),
        ("CACHE_METRICS_PATH", "redis://user:hunter2@host/0"),
        ("CACHE_METRICS_PATH", "redis://user:hun/hunter2@host/0"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            CacheConfig.load({key: value})
        assert "hunter2" not in str(caught.value)


def test_signed_needs_a_secret() -> None:
    """Signing without a secret would sign nothing."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        load(CACHE_SERIALIZER="signed")
    assert load(CACHE_SERIALIZER="signed", SECRET_KEY="x").serializer == "signed"


def test_a_serializer_may_be_a_class_or_an_object() -> None:
    """A class is called once; an object is used as it is."""
    made = Upper()
    assert load(CACHE_SERIALIZER=made).serializer is made
    assert isinstance(load(CACHE_SERIALIZER=Upper).serializer, Upper)


def test_type_may_be_a_class_or_a_callable() -> None:
    """An application that has the class at hand needs no dotted path."""
    assert load(CACHE_TYPE=SimpleCache).type is SimpleCache
    assert callable(load(CACHE_TYPE=lambda *_: SimpleCache()).type)


def test_none_switches_off_what_can_be_switched_off() -> None:
    """None, and empty text from the environment, mean no instrumentation and no endpoint."""
    for nothing in (None, ""):
        config = load(CACHE_INSTRUMENTATION=nothing, CACHE_METRICS_PATH=nothing)
        assert config.instrumentation is None
        assert config.metrics_path is None


SLIPS = [
    ("CACHE_DEFUALT_TIMEOUT", "CACHE_DEFAULT_TIMEOUT"),
    ("CACHE_TIMEOUT_DEFAULT", "CACHE_DEFAULT_TIMEOUT"),
    ("CACHE_TYP", "CACHE_TYPE"),
    ("CACHE_TRESHOLD", "CACHE_THRESHOLD"),
    ("CACHE_REDIS_HOSTS", "CACHE_REDIS_HOST"),
    ("CACHE_KEYPREFIX", "CACHE_KEY_PREFIX"),
    ("CACHE_SINGLEFLIGHT", "CACHE_SINGLE_FLIGHT"),
]


@pytest.mark.parametrize(("slip", "meant"), SLIPS)
def test_a_slip_in_a_name_warns_with_the_near_one(slip: str, meant: str) -> None:
    """Hazard 29: a misspelt key is not silently without effect."""
    with pytest.warns(UserWarning, match=rf"{slip} is not .* Did you mean {meant}\?") as caught:
        CacheConfig.load({slip: 1})
    assert caught[0].filename == __file__


OTHERS = [
    "CACHE_BUSTER_X",
    "CACHE_CONTROL_MAX_AGE",
    "CACHE_TIMEOUT",
    "CACHE_URL",
    "CACHE_MIDDLEWARE_SECONDS",
    "CACHEBUSTER",
    "MY_CACHE_TYP",
    "CACHE_VERSION",
]


@pytest.mark.parametrize("key", OTHERS)
def test_keys_of_others_are_left_alone(key: str) -> None:
    """app.config is shared with other extensions and with the application's own settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CacheConfig.load({key: 1})


@pytest.mark.parametrize("key", sorted(PASS_THROUGH))
def test_connection_keys_are_known(key: str) -> None:
    """What a backend reads itself is neither warned of nor checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CacheConfig.load({key: "anything"}).pass_through() == [key]


def test_an_unknown_key_passed_to_cache_always_warns() -> None:
    """Who passes a key to Cache() means this extension."""
    given = {"CACHE_BUSTER_X": 1}
    with pytest.warns(UserWarning, match="CACHE_BUSTER_X was passed to Cache"):
        CacheConfig.load(given, given)


def test_factories_see_the_whole_configuration() -> None:
    """The mapping has the application's keys, the defaults and the checked values, and is new."""
    given = {"SECRET_KEY": "s", "CACHE_DEFAULT_TIMEOUT": "60", "CACHE_REDIS_HOST": "h"}
    config = CacheConfig.load(given)
    mapping = config.as_mapping()
    assert mapping["SECRET_KEY"] == "s"
    assert mapping["CACHE_REDIS_HOST"] == "h"
    assert mapping["CACHE_DEFAULT_TIMEOUT"] == 60
    assert mapping["CACHE_THRESHOLD"] == 500
    assert mapping["CACHE_DIR"] is None
    assert mapping["CACHE_FILE_HASH_METHOD"] is hashlib.sha256
    mapping.clear()
    assert config.as_mapping()["CACHE_REDIS_HOST"] == "h"
    assert given["CACHE_DEFAULT_TIMEOUT"] == "60"


def test_loading_changes_nothing_it_was_given() -> None:
    """app.config is never rewritten; options are copied."""
    options = {"threshold": 3}
    given = {"CACHE_OPTIONS": options, "CACHE_ARGS": [1], "CACHE_TYPE": "SimpleCache"}
    before = {**given, "CACHE_OPTIONS": dict(options)}
    config = CacheConfig.load(given)
    config.as_mapping()["CACHE_OPTIONS"]["threshold"] = 9
    assert given == before
    options["threshold"] = 4
    assert config.options == {"threshold": 3}


def test_what_is_not_an_application_is_named():
    """An application's name, say."""
    with pytest.raises(TypeError, match=r"'shop'.*Cache\(app\)"):
        Cache("shop")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore_query": "utm"}, "ignore_query is the text 'utm'"),
        ({"methods": []}, "methods is empty"),
        ({"vary": [""]}, "vary lists ''"),
        ({"vary": ["cookie:"]}, "vary lists 'cookie:'"),
        ({"key_prefix": 3}, "key_prefix is 3; pass text or a function"),
    ],
)
def test_a_decorators_argument_that_means_nothing_is_named(options, message):
    """Where it is written, not at the first request."""
    cache = Cache()
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        cache.cached(**options)
