"""Backends that applications may ask for and that are not here, and what to use instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn, Self

from flask import Flask

from ..errors import BackendImportError
from .base import BaseCache

__all__ = ["ABSENT", "AbsentBackend", "explain"]

_OWN = (
    "A dotted path to your own class or factory works as CACHE_TYPE as well: "
    "a function (app, config, args, kwargs) that returns any object with get, set and delete."
)

#: Names that are not here, and why, and what to do.
ABSENT: Mapping[str, str] = MappingProxyType(
    {
        "UWSGICache": (
            "UWSGICache is no longer part of Flask-Caching. Set CACHE_TYPE = "
            '"cachelib.UWSGICache" (pip install cachelib) and CACHE_OPTIONS = '
            '{"cache": "<what CACHE_UWSGI_NAME was>"}.'
        ),
        "GoogleCloudStorageCache": (
            "GoogleCloudStorageCache is not part of this version of Flask-Caching. Copy the "
            "class from the contrib package of Flask-Caching 2.5 into your application and name "
            "it by its dotted path: a subclass of BaseCache with a factory works unchanged. For "
            "files on one machine there is FileSystemCache."
        ),
        "GAEMemcachedCache": (
            "The memcache service of the first App Engine runtime, and its backend with it, are "
            f'gone. Set CACHE_TYPE = "MemcachedCache" for a memcached server. {_OWN}'
        ),
    }
)


def explain(name: str) -> NoReturn:
    """Say what to use instead of the backend ``name``, a key of :data:`ABSENT`.

    Raises:
        BackendImportError: Always.
    """
    raise BackendImportError(ABSENT[name], name=name)


class AbsentBackend(BaseCache):
    """A name to import, so that what is imported can say what to use instead.

    Attributes:
        absent: The name, a key of :data:`ABSENT`.
    """

    absent: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        explain(self.absent)

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        explain(cls.absent)
