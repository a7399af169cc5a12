"""Django's cache framework: ``cache_page`` in a WSGI application, and the cache object."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import django
from contract import SECRET_KEY, TIMEOUT, Adapter, Place, View
from django.conf import settings
from django.core.cache import caches
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.views.decorators.cache import cache_page
from worker import main

PACKAGES = ("Django", "asgiref", "hiredis", "pymemcache", "redis")

#: The backend of a store, and where it is.
BACKENDS: dict[str, tuple[str, str]] = {
    "memory": ("locmem.LocMemCache", "{at}"),
    "files": ("filebased.FileBasedCache", "{at}"),
    "redis": ("redis.RedisCache", "redis://{at}"),
    "memcached": ("memcached.PyMemcacheCache", "{at}"),
}

#: Django takes its routes from a module: this one. They are those of the last adapter.
urlpatterns: list[Any] = []


class Django(Adapter):
    """The default cache of a process, whose settings are those of the first place.

    Another place (the next size of a full cache) is another alias.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        urlpatterns.clear()
        backend, location = BACKENDS[place.store]
        name = f"cache {len(caches.settings)}" if settings.configured else "default"
        entry = {
            "BACKEND": f"django.core.cache.backends.{backend}",
            "LOCATION": location.format(at=place.at or name),
            "TIMEOUT": TIMEOUT,
        }
        if place.store in ("memory", "files"):
            entry["OPTIONS"] = {"MAX_ENTRIES": place.capacity}
        self.name = name
        if name == "default":
            settings.configure(
                ALLOWED_HOSTS=["*"],
                CACHES={"default": entry},
                ROOT_URLCONF=sys.modules[__name__],
                SECRET_KEY=SECRET_KEY,
                MIDDLEWARE=[],
            )
            django.setup()
        else:
            caches.settings[name] = entry
        self.cache = caches[name]
        self.get = self.cache.get
        self.set = self.cache.set
        self.get_many = self.cache.get_many

    def listed(self, keys: list[str], found: Any) -> list[Any]:
        return [found.get(key) for key in keys]

    def view(self, rule: str, function: Callable[..., str | bytes], query: str = "") -> View:
        def page(request: HttpRequest, **arguments: Any) -> HttpResponse:
            return HttpResponse(function(**arguments))

        # The query string is part of its key whether it is wanted or not.
        cached = cache_page(TIMEOUT, cache=self.name)(page)
        urlpatterns.append(path(rule.removeprefix("/"), cached))
        request = RequestFactory().get(f"{rule}?{query}" if query else rule)
        return View(WSGIHandler(), partial(cached, request))

    def text(self, result: Any) -> bytes:
        body: bytes = result.content
        return body

    def fill(self, number: int) -> None:
        # A write into its files lists all of them, before it knows whether there are too many.
        self.cache._cull = lambda: None
        super().fill(number)
        del self.cache._cull


if __name__ == "__main__":
    main(Django, PACKAGES)
