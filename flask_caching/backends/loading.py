"""From ``CACHE_TYPE`` to a backend."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flask import Flask

from ..config import CacheConfig
from ..errors import BackendImportError, ConfigurationError
from ..parsing import describe, warn_user
from ..serializers import Codec
from . import MODULES
from .absent import ABSENT, explain
from .base import EntryBackend, accepted_options
from .foreign import install_serializer

__all__ = ["import_dotted", "load_backend"]

#: Names of old, and what each is called now.
_OLD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "null": "NullCache",
        "simple": "SimpleCache",
        "filesystem": "FileSystemCache",
        "redis": "RedisCache",
        "redissentinel": "RedisSentinelCache",
        "rediscluster": "RedisClusterCache",
        "uwsgi": "UWSGICache",
        "memcached": "MemcachedCache",
        "gaememcached": "GAEMemcachedCache",
        "saslmemcached": "SASLMemcachedCache",
        "spreadsaslmemcached": "SpreadSASLMemcachedCache",
    }
)

#: Where this package's backends are, and were.
_OUR_PACKAGES = ("flask_caching.backends", "flask_caching.contrib")


def load_backend(config: CacheConfig, app: Flask, codec: Codec | None = None) -> Any:
    """Build the backend that ``CACHE_TYPE`` names.

    Args:
        config: The application's cache configuration.
        app: The application.
        codec: The application's codec. With it, a backend of this package gets it as its own,
            and a ``cachelib`` cache stops unpickling what it finds, where ``CACHE_SERIALIZER``
            is not ``"pickle"``.

    Returns:
        The backend: a :class:`~flask_caching.backends.base.EntryBackend`, or any object with
        ``get``, ``set`` and ``delete``.

    Raises:
        BackendImportError: If the name cannot be imported, or is a backend that is not here.
        ConfigurationError: If what was made is not a cache.
    """
    maker = config.type if callable(config.type) else _resolve(config.type)
    if not callable(maker):
        raise ConfigurationError(
            f"CACHE_TYPE is {describe(config.type)}, which is {describe(maker)} and not a class or "
            "a function. Name the class itself, or a function (app, config, args, kwargs)."
        )
    try:
        backend = _build(maker, config, app)
    except TypeError as error:
        error.add_note(
            f"while Flask-Caching built the backend {describe(maker)} named by CACHE_TYPE with "
            f"{len(config.args)} CACHE_ARGS and the CACHE_OPTIONS {sorted(config.options)}"
        )
        raise
    _check(backend, config)
    if codec is not None:
        if isinstance(backend, EntryBackend):
            backend.codec = codec
        install_serializer(backend, codec)
    return backend


def import_dotted(path: str, key: str) -> Any:
    """Import the object at a dotted path (``package.module.name`` or ``package.module:name``).

    Args:
        path: The path.
        key: The configuration key it is the value of, for messages.

    Raises:
        BackendImportError: If there is no such module or name; an error inside of the module
            is its cause.
    """
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not module_name or not name:
        raise BackendImportError(
            f"{key} is {describe(path)}, which is not a dotted path such as package.module.Class."
        )
    module = _import_module(module_name, path, key)
    try:
        return getattr(module, name)
    except AttributeError as error:
        try:
            return importlib.import_module(f"{module_name}.{name}")
        except ImportError:
            close = difflib.get_close_matches(name, dir(module), n=1)
            raise BackendImportError(
                f"{key} is {describe(path)}, but the module {module_name} has no {name}."
                + (f" Did you mean {module_name}.{close[0]}?" if close else " Correct the path.")
            ) from error


def _import_module(name: str, path: str, key: str) -> object:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or ""
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{missing}."):
            reason = f"there is no module {missing}. {_module_advice(missing)}"
        else:
            reason = f"importing {name} failed: {error}. Install or correct what it needs."
        raise BackendImportError(f"{key} is {describe(path)}, but {reason}") from error


def _module_advice(missing: str) -> str:
    if missing == "cachelib":
        return "Install it: pip install cachelib."
    known = {name for name in sys.modules if not name.startswith("_")} | {"cachelib"}
    close = difflib.get_close_matches(missing, known, n=1, cutoff=0.75)
    if close:
        return f"Did you mean {close[0]}?"
    return "Correct the path, or install the package it is in."


def _resolve(name: str) -> Any:
    """The class or factory that a name in the configuration stands for."""
    package, dot, last = name.replace(":", ".").rpartition(".")
    if dot and not _is_our_module(package):
        return import_dotted(name, "CACHE_TYPE")
    if last in _OLD_NAMES:
        new = _OLD_NAMES[last]
        if new in MODULES:
            warn_user(f'CACHE_TYPE = "{name}" is an old name; write CACHE_TYPE = "{new}".')
        last = new
    if last in MODULES:
        return getattr(importlib.import_module(f"{__package__}.{MODULES[last]}"), last)
    if last in ABSENT:
        explain(last)
    if package and last not in _our_modules():
        return import_dotted(name, "CACHE_TYPE")
    raise BackendImportError(
        f"CACHE_TYPE is {describe(name)}, which is no backend of Flask-Caching." + _suggestion(last)
    )


def _is_our_module(package: str) -> bool:
    return any(package == ours or package.startswith(f"{ours}.") for ours in _OUR_PACKAGES)


def _our_modules() -> set[str]:
    return {name.rpartition(".")[2] for name in sys.modules if _is_our_module(name)}


def _suggestion(name: str) -> str:
    known = {known.lower(): known for known in [*MODULES, *ABSENT]}
    known |= {f"{short.lower().removesuffix('cache')}": full for short, full in known.items()}
    # Never the backend that keeps nothing, unless it is nearly spelt out.
    close = difflib.get_close_matches(name.lower(), known, n=1)
    if close and (
        known[close[0]] != "NullCache" or difflib.get_close_matches(name.lower(), close, 1, 0.85)
    ):
        return f" Did you mean {known[close[0]]!r}?"
    return (
        f" Its backends are {', '.join(MODULES)}; anything else is a dotted path to a class or "
        "factory, for example cachelib.RedisCache."
    )


def _build(maker: Callable[..., Any], config: CacheConfig, app: Flask) -> Any:
    options = {
        "default_timeout": config.default_timeout,
        "ignore_delete_many_errors": config.ignore_errors,
        **config.options,
    }
    options["default_timeout"] = config.default_timeout
    args = list(config.args)
    if isinstance(maker, type):
        _check_options(maker, config)
        factory = getattr(maker, "factory", None)
        if callable(factory):
            return factory(app, config.as_mapping(), args, options)
        if _is_cachelib(maker):
            return _build_cachelib(maker, config, options)
        if not _takes_application(maker):
            return maker(*args, **accepted_options(maker, options))
    return maker(app, config.as_mapping(), args, options)


def _check_options(maker: type, config: CacheConfig) -> None:
    """Refuse an option that a backend of this package does not have, by its name."""
    if not issubclass(maker, EntryBackend):
        return
    parameters = inspect.signature(maker).parameters
    if any(item.kind is item.VAR_KEYWORD for item in parameters.values()):
        return
    for option in config.options:
        if option not in parameters:
            close = difflib.get_close_matches(option, parameters, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(parameters)}."
            raise ConfigurationError(
                f"CACHE_OPTIONS has {option!r}, which {maker.__name__} does not take; {hint}"
            )


def _is_cachelib(maker: type) -> bool:
    cachelib = sys.modules.get("cachelib")
    return cachelib is not None and issubclass(maker, cachelib.BaseCache)


def _build_cachelib(maker: type, config: CacheConfig, options: dict[str, Any]) -> Any:
    """Call a cachelib class, which takes whole seconds and knows nothing of this package's keys."""
    unread = config.pass_through()
    if unread:
        warn_user(
            f"{', '.join(unread)} {'is' if len(unread) == 1 else 'are'} set, but {describe(maker)} "
            "is a cachelib class and reads only CACHE_ARGS and CACHE_OPTIONS. Give it its "
            "settings there."
        )
    offered = {**options, "default_timeout": math.ceil(options["default_timeout"])}
    chosen = {name: value for name, value in offered.items() if name in config.options}
    return maker(*config.args, **{**accepted_options(maker, offered, strict=True), **chosen})


def _takes_application(maker: type) -> bool:
    """Whether a plain class is called like a factory, ``(app, config, args, kwargs)``, as ever."""
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):
        return False
    if "default_timeout" in signature.parameters:
        return False
    try:
        signature.bind("app", "config", "args", "kwargs")
    except TypeError:
        return False
    return True


def _check(backend: object, config: CacheConfig) -> None:
    missing = [
        name for name in ("get", "set", "delete") if not callable(getattr(backend, name, None))
    ]
    if not missing:
        return
    what = "nothing (is a return missing?)" if backend is None else describe(backend)
    raise ConfigurationError(
        f"CACHE_TYPE is {describe(config.type)}, which made {what}: that is not a cache, since it "
        f"has no {', '.join(missing)}. Return a subclass of flask_caching.backends.BaseCache, or "
        "any object with get, set and delete."
    )
