"""Metrics, traces and debug pages for :mod:`flask_caching`.

:class:`Instrumentation` is what ``CACHE_INSTRUMENTATION`` is by default. Names are imported when
they are first used: ``flask`` loads the commands of this package in every application, and pytest
its plugin in every test run, and neither is to wait for clients that it does not need.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from .auditing import audit
    from .debug import debug_blueprint
    from .exposition import metrics_blueprint
    from .observer import Instrumentation
    from .wrapper.backend import InstrumentedBackend

__all__ = [
    "Instrumentation",
    "InstrumentedBackend",
    "audit",
    "debug_blueprint",
    "metrics_blueprint",
]

#: Where each public name is.
_HOMES = {
    "Instrumentation": ".observer",
    "InstrumentedBackend": ".wrapper.backend",
    "audit": ".auditing",
    "debug_blueprint": ".debug",
    "metrics_blueprint": ".exposition",
}


def __getattr__(name: str) -> typing.Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
