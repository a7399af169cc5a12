"""The page about backends of one's own: its classes are what it says they are."""

from __future__ import annotations

import itertools
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from manual_blocks import ROOT, page_of
from prometheus_client import CollectorRegistry

from flask_caching import Cache
from flask_caching.config import CacheConfig
from flask_caching.testing import BackendConformance
from flask_caching_instrumentation import Instrumentation

PAGE = page_of(ROOT / "docs" / "howto" / "custom-backends.md")

numbers = itertools.count()


def class_on_page(folder: Path, file: str, name: str) -> Any:
    """A class of one of the page's files."""
    [block] = [block for block in PAGE.blocks if block.file == file]
    (folder / file).write_text(block.text)
    return runpy.run_path(str(folder / file))[name]


class TestSQLiteCacheInstrumented(BackendConformance):
    """Inside the wrapper that an application has it in; bare it is tested on the page."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "cache.db"
        self.kind = class_on_page(tmp_path, "sqlitecache.py", "SQLiteCache")
        self.prefix = f"tests-{next(numbers)}/"

    def make_backend(self) -> Any:
        return self._wrapped(self.prefix)

    make_twin = make_backend

    def make_other_prefix(self, prefix: Any) -> Any:
        return self._wrapped(prefix)

    def _wrapped(self, prefix: Any) -> Any:
        config = CacheConfig.load({"CACHE_METRICS_REGISTRY": CollectorRegistry()})
        backend = self.kind(self.path, key_prefix=prefix, patience=10)
        return Instrumentation(Flask("tests"), config).wrap(backend)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """That of an application whose cache is in a file."""
    return {
        "SECRET_KEY": "of all processes",
        "CACHE_TYPE": class_on_page(tmp_path, "sqlitecache.py", "SQLiteCache"),
        "CACHE_OPTIONS": {"path": str(tmp_path / "cache.db"), "patience": 20},
        "CACHE_KEY_PREFIX": "shop/",
        "CACHE_SINGLE_FLIGHT": "distributed",
    }


def test_processes_count_together_and_none_is_lost(tmp_path: Path, config: dict[str, Any]) -> None:
    """Four processes that add to one number at once come to the sum."""
    program = tmp_path / "counting.py"
    program.write_text(
        "import sys\nfrom sqlitecache import SQLiteCache\n"
        "backend = SQLiteCache(sys.argv[1], key_prefix='shop/', patience=20)\n"
        "for _ in range(50):\n    backend.inc('visits')\n"
    )
    path = [str(tmp_path), str(ROOT), str(ROOT / "instrumentation")]
    running = [
        subprocess.Popen(
            [sys.executable, str(program), config["CACHE_OPTIONS"]["path"]],
            env={"PYTHONPATH": ":".join(path)},
        )
        for _ in range(4)
    ]
    assert [process.wait(60) for process in running] == [0] * 4

    app = Flask("shop")
    cache = Cache(app, config=config)
    with app.app_context():
        assert cache.get("visits") == 200


def test_an_application_has_all_that_the_page_promises(config: dict[str, Any]) -> None:
    """It is shared, lists its keys, lends locks, and the switch reaches other workers."""
    first, second = Flask("shop"), Flask("shop")
    cache, other = Cache(first, config=config), Cache(second, config=config)
    calls: list[int] = []

    @cache.memoize(timeout=60)
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    with first.app_context():
        assert [square(7), square(7), calls] == [49, 49, [7]]
        cache.disable()
        assert square(7) == 49
    assert calls == [7, 7]
    with second.app_context():
        assert other.enabled is False
        other.enable()
        listed = [info.key for info in other.cache.keys().keys]
        assert any(key.startswith("memo/") for key in listed)
        assert other.clear() is True
        assert other.cache.keys().keys == []


def test_the_smallest_never_serves_what_has_expired(tmp_path: Path, clock: Any) -> None:
    """A class that keeps everything for ever does not make the decorators serve it."""
    app = Flask("shop")
    cache = Cache(app, config={"CACHE_TYPE": class_on_page(tmp_path, "shelf.py", "Shelf")})
    calls: list[int] = []

    @cache.memoize(timeout=60)
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    with app.app_context():
        square(7)
        cache.set("list", [1], timeout=60)
        cache.get("list").append(2)
        assert (square(7), cache.get("list"), calls) == (49, [1], [7])
        clock.advance(61)
        assert (square(7), cache.get("list"), calls) == (49, None, [7, 7])
