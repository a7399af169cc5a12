"""CACHE_TYPE: every spelling that applications use, and what a wrong one says."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import cachelib
import pytest
from flask import Flask

from flask_caching import Cache, backends
from flask_caching.backends import BaseCache, NullCache, SimpleCache
from flask_caching.backends.absent import ABSENT
from flask_caching.backends.loading import import_dotted, load_backend
from flask_caching.config import CacheConfig
from flask_caching.errors import BackendImportError, ConfigurationError
from flask_caching.serializers import Codec

HERE = __name__


def load(app: Flask, cache_type: Any, codec: Codec | None = None, **more: Any) -> Any:
    return load_backend(CacheConfig.load({"CACHE_TYPE": cache_type, **more}), app, codec)


# Things that CACHE_TYPE may name, in this module.


class Custom(BaseCache):
    """A subclass of the released library's kind: it knows no arguments."""

    def __init__(self) -> None:
        super().__init__(default_timeout=77)


class Made(BaseCache):
    """A subclass with a factory that changes what it is given, as old ones do."""

    @classmethod
    def factory(cls, app: Flask, config: Any, args: Any, kwargs: Any) -> Made:
        args.append(config["CACHE_KEY_PREFIX"])
        config.pop("CACHE_OPTIONS")
        kwargs.update(threshold=config["CACHE_THRESHOLD"])
        made = cls()
        made.seen = (app, config, args, kwargs)  # type: ignore[attr-defined]
        return made


class Duck:
    """A class of its own, taking options."""

    def __init__(self, default_timeout: float = 0, **options: Any) -> None:
        self.default_timeout = default_timeout
        self.options = options

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any, timeout: Any = None) -> Any: ...

    def delete(self, key: str) -> Any: ...


class Bare(Duck):
    def __init__(self) -> None:
        super().__init__(1)


class Called(Duck):
    """A class that is its own factory function, as the released library calls such a class."""

    def __init__(self, app: Flask, config: Any, args: Any, kwargs: Any) -> None:
        super().__init__(kwargs["default_timeout"])
        self.app = app


def function(app: Flask, config: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    assert config["CACHE_DEFAULT_TIMEOUT"] == kwargs["default_timeout"]
    return Duck(app=app, args=args, **kwargs)


def forgot_to_return(app: Flask, config: Any, args: Any, kwargs: Any) -> None:
    Duck()


not_callable = "text"


@pytest.mark.parametrize(
    "name",
    [
        "SimpleCache",
        "flask_caching.backends.SimpleCache",
        "flask_caching.backends.simplecache.SimpleCache",
        SimpleCache,
    ],
)
def test_our_own_backends(app: Flask, name: Any) -> None:
    """By class name, by either dotted path, or the class itself."""
    backend = load(app, name, CACHE_DEFAULT_TIMEOUT=9, CACHE_THRESHOLD=8)
    assert type(backend) is SimpleCache
    assert (backend.default_timeout, backend.threshold) == (9, 8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("simple", SimpleCache),
        ("null", NullCache),
        ("flask_caching.backends.simple", SimpleCache),
        ("flask_caching.backends.null", NullCache),
    ],
)
def test_names_of_old_work_and_warn(app: Flask, old: str, new: type) -> None:
    """The warning says what to write, and points at the application."""
    config = CacheConfig.load({"CACHE_TYPE": old})
    with pytest.warns(UserWarning, match=f'"{old}" is an old name.*"{new.__name__}"') as caught:
        backend = load_backend(config, app)
    assert type(backend) is new
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("uwsgi", "cachelib.UWSGICache"),
        ("UWSGICache", "cachelib.UWSGICache"),
        ("flask_caching.backends.uwsgicache.UWSGICache", "cachelib.UWSGICache"),
        ("flask_caching.contrib.uwsgicache.UWSGICache", "cachelib.UWSGICache"),
        ("gaememcached", "MemcachedCache"),
        ("GoogleCloudStorageCache", "Copy the class"),
        (
            "flask_caching.contrib.googlecloudstoragecache.GoogleCloudStorageCache",
            "Copy the class",
        ),
    ],
)
def test_what_is_gone_says_what_to_use(app: Flask, name: str, advice: str) -> None:
    """A name the released library knew is answered with what does its work."""
    with pytest.raises(BackendImportError, match=advice):
        load(app, name)


def test_the_advice_is_sound() -> None:
    """What the messages name exists."""
    assert isinstance(cachelib.UWSGICache, type)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("flask_caching.contrib.uwsgicache", "UWSGICache"),
        ("flask_caching.backends.uwsgicache", "UWSGICache"),
        ("flask_caching.contrib.googlecloudstoragecache", "GoogleCloudStorageCache"),
    ],
)
def test_removed_classes_can_be_imported_and_explain_themselves(
    app: Flask, module: str, name: str
) -> None:
    """Importing is no error, since a module may import what it never uses; using is."""
    removed = getattr(importlib.import_module(module), name)
    assert issubclass(removed, BaseCache)
    with pytest.raises(BackendImportError, match=name):
        removed()
    with pytest.raises(BackendImportError, match=name):
        load(app, removed)
    with pytest.raises(BackendImportError, match=name):
        load(app, type("Derived", (removed,), {}))


@pytest.mark.parametrize("name", backends.MODULES)
def test_every_backend_can_be_imported_from_the_package(name: str) -> None:
    """Whether its client library is there or not: that is asked for when one is made."""
    made = getattr(backends, name)
    assert made is getattr(importlib.import_module(made.__module__), name)
    assert issubclass(made, BaseCache)
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        exec("from flask_caching.backends import Nonsense")


def test_the_module_of_long_ago_points_here() -> None:
    """flask_caching.ext has what flask_caching has, and says where it is."""
    script = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import flask_caching.ext\n"
        "import flask_caching.errors\n"
        "assert flask_caching.ext.errors is flask_caching.errors\n"
        "print(caught[0].message)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "import from flask_caching instead" in result.stdout, result.stderr


def test_cachelib_classes_are_built_as_ever(app: Flask) -> None:
    """CACHE_ARGS by position, CACHE_OPTIONS by name, and a default timeout in whole seconds."""
    backend = load(app, "cachelib.SimpleCache", CACHE_ARGS=[33], CACHE_DEFAULT_TIMEOUT=1.5)
    assert type(backend) is cachelib.SimpleCache
    assert backend._threshold == 33
    assert backend.default_timeout == 2
    assert backend.ignore_delete_many_errors is False
    options = {"threshold": 44, "default_timeout": 5, "ignore_delete_many_errors": True}
    backend = load(app, "cachelib.simple.SimpleCache", CACHE_OPTIONS=options)
    assert (backend._threshold, backend.default_timeout) == (44, 5)
    assert backend.ignore_delete_many_errors is True


def test_a_subclass_of_a_cachelib_class_is_built_the_same_way(app: Flask, tmp_path: Path) -> None:
    """An application may have derived its own."""

    class Files(cachelib.FileSystemCache):
        pass

    backend = load(app, Files, CACHE_ARGS=[str(tmp_path)])
    assert type(backend) is Files


def test_connection_keys_that_cachelib_does_not_read_warn(app: Flask) -> None:
    """Hazard 29: settings are not dropped in silence, and not shown."""
    config = CacheConfig.load(
        {"CACHE_TYPE": "cachelib.SimpleCache", "CACHE_REDIS_URL": "redis://u:hunter2@h/0"}
    )
    with pytest.warns(UserWarning, match="CACHE_REDIS_URL is set, but") as caught:
        load_backend(config, app)
    assert "hunter2" not in str(caught[0].message)


def test_a_serializer_guards_a_cachelib_cache(app: Flask) -> None:
    """With the codec at hand, a store that must not be unpickled is not."""
    before = cachelib.SimpleCache.serializer
    assert load(app, "cachelib.SimpleCache", Codec("json")).serializer is not before
    assert load(app, "cachelib.SimpleCache", Codec()).serializer is before


def test_our_own_backends_get_the_codec(app: Flask) -> None:
    """The value level of a backend reads and writes as the application does."""
    codec = Codec("json")
    assert load(app, "SimpleCache", codec).codec is codec


def test_a_subclass_without_a_factory(app: Flask) -> None:
    """It is offered the default timeout, but not forced to take it."""
    assert load(app, f"{HERE}.Custom").default_timeout == 77


def test_a_misspelt_option_is_an_error_with_a_note(app: Flask) -> None:
    """What the application wrote itself is never dropped; the note says where it was written."""
    with pytest.raises(TypeError, match="treshold") as caught:
        load(app, f"{HERE}.Custom", CACHE_OPTIONS={"treshold": 3})
    assert any("CACHE_OPTIONS ['treshold']" in note for note in caught.value.__notes__)


def test_a_factory_may_change_what_it_is_given(app: Flask) -> None:
    """Old ones append to args, and pop from config; nobody else sees it."""
    config = CacheConfig.load(
        {"CACHE_TYPE": f"{HERE}.Made", "CACHE_ARGS": ["a"], "CACHE_OPTIONS": {"x": 1}}
    )
    for _ in range(2):
        given_app, given, args, kwargs = load_backend(config, app).seen
        assert given_app is app
        assert "CACHE_OPTIONS" not in given
        assert args == ["a", "flask_cache_"]
        assert kwargs == {
            "default_timeout": 300,
            "ignore_delete_many_errors": False,
            "threshold": 500,
            "x": 1,
        }


def test_a_class_of_its_own(app: Flask) -> None:
    """It gets the options it can take."""
    backend = load(app, f"{HERE}.Duck", CACHE_DEFAULT_TIMEOUT=4, CACHE_OPTIONS={"x": 1})
    assert backend.default_timeout == 4
    assert backend.options["x"] == 1
    assert load(app, Bare).default_timeout == 1


def test_a_class_that_is_its_own_factory(app: Flask) -> None:
    """The released library calls a class it does not know with four arguments."""
    backend = load(app, f"{HERE}.Called", CACHE_DEFAULT_TIMEOUT=4)
    assert (backend.app, backend.default_timeout) == (app, 4)


@pytest.mark.parametrize("kind", [f"{HERE}.function", f"{HERE}:function", function])
def test_a_function(app: Flask, kind: Any) -> None:
    """By dotted path or itself, called with application, config, args and kwargs."""
    backend = load(app, kind, CACHE_DEFAULT_TIMEOUT=4, CACHE_ARGS=["a"])
    assert backend.default_timeout == 4
    assert backend.options["app"] is app
    assert backend.options["args"] == ["a"]


def test_a_lambda(app: Flask) -> None:
    """A callable need not have a name."""
    assert type(load(app, lambda app, config, args, kwargs: Duck())) is Duck


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SimpelCache", "Did you mean 'SimpleCache'"),
        ("simplecache", "Did you mean 'SimpleCache'"),
        ("Null", "Did you mean 'NullCache'"),
        ("reddis", "Did you mean 'RedisCache'"),
        ("whatever", "Its backends are NullCache, SimpleCache"),
        (
            "flask_caching.backends.SimpelCache",
            r"Did you mean flask_caching\.backends\.SimpleCache",
        ),
        ("flask_caching.backends.simplecache", "Did you mean 'SimpleCache'"),
        ("cachelib.SimpelCache", r"Did you mean cachelib\.SimpleCache"),
        ("cachlib.SimpleCache", r"no module cachlib\. Did you mean cachelib"),
        ("cachelib.nothing.SimpleCache", r"no module cachelib\.nothing"),
        ("no_such_package_of_mine.Cache", "install the package it is in"),
        (".Cache", "not a dotted path"),
        ("pkg.", "not a dotted path"),
    ],
)
def test_an_unknown_name_is_named_with_the_near_one(app: Flask, name: str, says: str) -> None:
    """What was written, what is wrong with it, and what was probably meant."""
    with pytest.raises(BackendImportError, match=says) as caught:
        load(app, name)
    assert repr(name) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_missing_cachelib_says_how_to_install_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not among the dependencies."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cachelib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(BackendImportError, match="pip install cachelib"):
        load(app, "cachelib.RedisCache")


def test_an_error_inside_of_a_module_is_the_cause(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is right; what is missing is what the module imports."""
    (tmp_path / "broken_cache_module.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendImportError, match="importing broken_cache_module failed") as caught:
        load(app, "broken_cache_module.Cache")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert caught.value.__cause__.name == "a_library_that_is_not_there"


def test_other_errors_inside_of_a_module_are_its_own(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the application's code is not turned into a configuration error."""
    (tmp_path / "raising_cache_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        load(app, "raising_cache_module.Cache")


def test_what_is_not_a_cache_is_refused(app: Flask) -> None:
    """The error says what is missing."""
    with pytest.raises(ConfigurationError, match="made nothing"):
        load(app, f"{HERE}.forgot_to_return")
    with pytest.raises(ConfigurationError, match=r"<.*dict object>.*no set, delete"):
        load(app, lambda *_: {})
    with pytest.raises(ConfigurationError, match="not a class or a function"):
        load(app, f"{HERE}.not_callable")
    with pytest.raises(ConfigurationError, match="not a class or a function"):
        load(app, "cachelib.simple")


def test_no_credentials_in_messages(app: Flask) -> None:
    """A URL in the wrong place is shown without its password."""
    with pytest.raises(ConfigurationError) as caught:
        load(app, "redis://user:hunter2@host:6379/0")
    assert "hunter2" not in str(caught.value)


def test_dotted_paths_of_other_keys_use_the_same_import() -> None:
    """CACHE_INSTRUMENTATION is named in its own messages."""
    assert import_dotted("flask_caching.backends.SimpleCache", "X") is SimpleCache
    with pytest.raises(BackendImportError, match=r"CACHE_INSTRUMENTATION is 'nothing\.Here'"):
        import_dotted("nothing.Here", "CACHE_INSTRUMENTATION")


def test_every_absent_name_has_advice() -> None:
    """No message ends with what is missing."""
    for text in ABSENT.values():
        assert "CACHE_TYPE" in text or "dotted path" in text


def test_loading_a_new_style_name_does_not_warn(app: Flask) -> None:
    """Who does it right hears nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(app, "SimpleCache")
        load(app, "cachelib.SimpleCache")


def test_an_option_that_a_backend_does_not_have_is_named():
    """With the option that was probably meant."""
    with pytest.raises(ConfigurationError, match=r"'thresold'.*SimpleCache.*threshold"):
        Cache(Flask("app"), config={"CACHE_TYPE": "SimpleCache", "CACHE_OPTIONS": {"thresold": 3}})


def test_the_backend_that_keeps_nothing_is_not_suggested_lightly():
    """``NoSuchCache`` is as near to NullCache as to nothing."""
    with pytest.raises(BackendImportError) as caught:
        Cache(Flask("app"), config={"CACHE_TYPE": "NoSuchCache"})
    assert "Did you mean 'NullCache'" not in str(caught.value)
    with pytest.raises(BackendImportError, match="Did you mean 'NullCache'"):
        Cache(Flask("app"), config={"CACHE_TYPE": "NulCache"})
