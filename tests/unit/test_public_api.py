"""What the packages promise by name."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

PUBLIC = {
    "flask_caching": [
        "SUPPORTED_HASH_FUNCTIONS",
        "BackendError",
        "BackendImportError",
        "Cache",
        "CacheConfig",
        "CacheError",
        "CachedResponse",
        "ConfigurationError",
        "KeyExplanation",
        "KeyPart",
        "SerializationError",
        "UncacheableArgument",
        "UnreadableEntry",
        "cache_memoize_hit",
        "cache_memoize_miss",
        "cache_view_hit",
        "cache_view_miss",
        "function_namespace",
        "make_template_fragment_key",
    ],
    "flask_caching_instrumentation": [
        "InstrumentedBackend",
        "Instrumentation",
        "audit",
        "debug_blueprint",
        "metrics_blueprint",
    ],
}


def _as_ruff_sorts(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), not name[0].isupper(), name


pytestmark = pytest.mark.parametrize("name", PUBLIC)


def test_all_lists_exactly_the_documented_names(name: str) -> None:
    """``__all__`` is the documented list: a name is added or removed on purpose, or not at all."""
    assert set(importlib.import_module(name).__all__) == set(PUBLIC[name])


def test_all_is_sorted_and_has_no_doubles(name: str) -> None:
    """Constants, classes, functions, each in order, as ruff sorts them."""
    names = importlib.import_module(name).__all__
    assert list(names) == sorted(set(names), key=_as_ruff_sorts)


def test_every_documented_name_can_be_imported(name: str) -> None:
    """``from package import name`` works for each name."""
    module = importlib.import_module(name)
    assert [public for public in PUBLIC[name] if not hasattr(module, public)] == []


def test_nothing_else_is_public(name: str) -> None:
    """What is not in ``__all__`` begins with an underscore, or is a submodule."""
    module = importlib.import_module(name)
    others = {
        attribute
        for attribute, value in vars(module).items()
        if not attribute.startswith("_")
        and not isinstance(value, ModuleType)
        and attribute != "annotations"  # left behind by `from __future__ import annotations`
    }
    assert others - set(PUBLIC[name]) == set()
