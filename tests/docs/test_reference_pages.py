"""The pages on configuration, defaults and commands say what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from manual_blocks import ROOT
from manual_pages import page_at

from flask_caching import Cache
from flask_caching.backends.filesystemcache import FileSystemCache
from flask_caching.backends.memcachelink import Link
from flask_caching.config import PASS_THROUGH, describe_keys
from flask_caching.responses import REFUSED_STATUSES

CONFIGURATION = page_at("docs/configuration.md").text
DEFAULTS = page_at("docs/defaults.md").text

#: Keys of backends that are gone; the page says so below its table.
GONE = {"CACHE_GCS_BUCKET", "CACHE_UWSGI_NAME"}


_SETTING = re.compile(
    r"^:type: (?P<type>.+)\n:default: (?P<default>.+)\n\n"
    r"(?P<about>.+)\nRead by (?P<readers>.+)\.\n$",
    re.DOTALL,
)


def backend_keys() -> dict[str, re.Match[str]]:
    """What the page says of each key that only backends read."""
    found: dict[str, re.Match[str]] = {}
    for block in page_at("docs/configuration.md").of("{confval}"):
        name = CONFIGURATION.splitlines()[block.line - 2].split()[-1]
        said = _SETTING.match(block.text)
        assert said, block.place
        found[name] = said
    return found


BACKEND_KEYS = backend_keys()


def test_every_key_of_the_configuration_is_on_the_page() -> None:
    """By the sections that are made of the code; conf.py refuses one that is in none."""
    sections = re.findall(r"\{\{ (\w+)_settings \}\}", CONFIGURATION)
    conf = (ROOT / "docs/conf.py").read_text(encoding="utf-8")
    [settings] = re.findall(r"^SETTINGS = (\{.*?^\})", conf, re.MULTILINE | re.DOTALL)
    listed = ast.literal_eval(settings)
    assert sections == list(listed)
    keys = [f"CACHE_{name}" for names in listed.values() for name in names.split()]
    assert sorted(keys) == sorted(each.key for each in describe_keys())
    assert all(each.accepts and each.about and each.default for each in describe_keys())


def test_keys_that_only_backends_read_are_on_the_page() -> None:
    """All of them, with the backends that the code has for each."""
    on_page = {key: said["readers"] for key, said in BACKEND_KEYS.items()}
    assert on_page == {key: text for key, text in PASS_THROUGH.items() if key not in GONE}
    assert all(f"`{key}`" in CONFIGURATION for key in GONE)


def parameter(function: Callable[..., Any], name: str) -> Any:
    """The default of a parameter."""
    return inspect.signature(function).parameters[name].default


def test_defaults_of_backends_are_those_of_their_classes() -> None:
    """Addresses, the database, and the name that Sentinels have for a set of servers."""
    redis = pytest.importorskip("flask_caching.backends.rediscache")
    written = {key: said["default"].strip("`") for key, said in BACKEND_KEYS.items()}
    host, port = parameter(redis.RedisCache, "host"), parameter(redis.RedisCache, "port")
    assert (written["CACHE_REDIS_HOST"], written["CACHE_REDIS_PORT"]) == (host, str(port))
    assert written["CACHE_REDIS_DB"] == str(parameter(redis.RedisCache, "db"))
    master = parameter(redis.RedisSentinelCache, "master")
    assert written["CACHE_REDIS_SENTINEL_MASTER"] == master
    assert written["CACHE_FILE_HASH_METHOD"] == "hashlib.sha256"
    module = inspect.getmodule(FileSystemCache)
    assert module is not None
    assert "hashlib.sha256" in inspect.getsource(module)


def written_defaults() -> list[tuple[str, str]]:
    """Names and values that the page on defaults puts in bold."""
    return re.findall(r"\*\*`(\w+) ?= ?(.+?)`\*\*", DEFAULTS)


@pytest.mark.parametrize(("name", "value"), written_defaults())
def test_defaults_that_are_explained_are_the_code_s(name: str, value: str) -> None:
    """Of keys as the reference has them, of arguments as the decorator does."""
    keys = {each.key: each.default for each in describe_keys()}
    if name.startswith("CACHE_"):
        assert keys[name] == value
    elif name == "methods":
        assert "{" + ", ".join(map(repr, sorted(parameter(Cache.cached, name)))) + "}" == value
    else:
        assert repr(parameter(Cache.cached, name)) == value


def test_more_than_a_few_defaults_are_explained() -> None:
    """Those of the issue's list, and of the settings that people ask about."""
    assert len(written_defaults()) > 30


def test_statuses_and_times_that_are_explained_are_the_code_s() -> None:
    """They are no settings, but constants."""
    [listed] = re.findall(r"\*\*No status of ([^*]+), 5xx\*\*", DEFAULTS)
    assert {int(each) for each in re.findall(r"\d{3}", listed)} == REFUSED_STATUSES
    [(connect, reply)] = re.findall(
        r"\*\*([\d.]+) s to connect, ([\d.]+) s for a reply\*\*", DEFAULTS
    )
    clients = (ROOT / "flask_caching/backends/redisclients.py").read_text(encoding="utf-8")
    assert f"_CONNECT_TIMEOUT = {connect}\n" in clients
    assert f"_TIMEOUT = {reply}\n" in clients
    assert (Link.connect_timeout, Link.timeout) == (float(connect), float(reply))


def test_commands_are_listed() -> None:
    """From what click knows of them."""
    assert "{{ commands }}" in page_at("docs/command-line.md").text
