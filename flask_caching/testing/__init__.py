"""A conformance suite for cache backends: what Flask-Caching relies on, as tests for pytest.

Derive a class whose name begins with ``Test`` and say how a backend is made::

    from flask_caching.testing import BackendConformance

    class TestMyCache(BackendConformance):
        def make_backend(self):
            return MyCache(url="...")

Everything else is optional: see :class:`~flask_caching.testing.hooks.Hooks` for the hooks that
show the suite more of a backend, and for ``exempt``, where it differs on purpose. What a backend
cannot do, or what the suite was not shown, is skipped with its reason.
"""

from __future__ import annotations

from .clearing import ClearingChecks
from .counting import CountingChecks
from .decorators import DecoratorChecks
from .entries import EntryChecks
from .expiry import ExpiryChecks
from .keys import KeyChecks
from .listing import ListingChecks
from .locks import LockChecks
from .threads import ThreadChecks
from .values import ValueChecks

__all__ = ["BackendConformance"]


class BackendConformance(
    ValueChecks,
    KeyChecks,
    ExpiryChecks,
    CountingChecks,
    ThreadChecks,
    ClearingChecks,
    ListingChecks,
    EntryChecks,
    LockChecks,
    DecoratorChecks,
):
    """Every check there is. A test class derives from it and defines ``make_backend``."""
