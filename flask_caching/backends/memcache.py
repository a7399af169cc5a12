"""MemcachedCache, SASLMemcachedCache and SpreadSASLMemcachedCache: entries in memcached."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from flask import Flask

from ..breaker import Breaker
from ..errors import BackendError, BackendImportError, ConfigurationError
from ..parsing import warn_user
from .base import KeyPage, SupportsKeys, SupportsTTL
from .memcachebackend import MemcachedBackend
from .memcachelink import Link, label
from .memcacheops import LARGEST_VALUE, UNKNOWN, Left
from .memcachesettings import addresses, connection_limit, link_options, options_of
from .memcachespread import MOST_PIECES, SpreadBackend

__all__ = ["MemcachedCache", "SASLMemcachedCache", "SpreadSASLMemcachedCache"]

_SERVERS = "CACHE_MEMCACHED_SERVERS"


class MemcachedCache(MemcachedBackend, SupportsTTL, SupportsKeys):
    """Entries in one or several memcached servers, over pymemcache.

    Keys are spread over the servers by consistent hashing. A server that is down keeps its keys,
    which are missing, or fail, until it is back: each has a breaker of its own.

    Every operation is one round trip to each server concerned, and all of them at once; but
    ``clear`` and ``keys`` walk through everything that the servers hold, and a large value, or a
    function's version that has to live longer, takes another one. Connections are safe between
    threads and over a fork. A server that does not answer costs 0.3 s to connect and 0.5 s to
    read at most, and after a few failures nothing, see :mod:`flask_caching.breaker`.

    memcached knows whole seconds: parts of one are rounded up. A value over its limit (1 MB,
    its option ``-I``) is refused, and what it was to replace is gone.

    Args:
        servers: ``"host:port"``, ``"unix:/path"``, a pair of host and port, or several of them in
            a list or with commas in between; this machine by default. Or a ready client
            (``pymemcache.Client``, ``PooledClient`` or ``HashClient``), of which the servers and
            the settings are taken, the time-outs for example.
        default_timeout: Seconds used where a call gives none; ``0`` never expires.
        key_prefix: What comes before each key, or a callable that returns it.
        pool_size: Connections to each server at most; ``None`` for as many as there are threads
            that ask at once. ``max_pool_size`` is the same.
        pool_blocking: Whether to wait for one of them, as long as for a reply.
        ignore_delete_many_errors: Whether ``delete_many`` returns what it could delete where
            a server is down, instead of raising.
        allow_flush: Whether ``clear`` may remove everything where ``key_prefix`` is empty.
        breaker_threshold: Failures in a row after which a server is left alone for a while;
            0 to ask it however often it fails.
        breaker_cooldown: For how long at first, seconds.
        options: Further options of the connections, as pymemcache has them: ``connect_timeout``,
            ``timeout``, ``tls_context``, ``no_delay``, ``socket_keepalive``, ``socket_module``.

    Raises:
        BackendImportError: If pymemcache is missing.
        ConfigurationError: If the addresses, the options or the client cannot be used.
    """

    def __init__(
        self,
        servers: Any = None,
        default_timeout: float = 300,
        key_prefix: str | Callable[[], str] | None = None,
        pool_size: int | None = None,
        pool_blocking: bool = True,
        ignore_delete_many_errors: bool = False,
        *,
        max_pool_size: int | None = None,
        allow_flush: bool = False,
        breaker_threshold: int = 3,
        breaker_cooldown: float = 1.0,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        _require("pymemcache", f"{name} needs pymemcache 4.0 or newer", "memcached")
        from .memcacheclients import TextServers, look_into
        from .memcachelisting import Listing

        super().__init__(default_timeout, key_prefix, ignore_delete_many_errors)
        self.allow_flush = allow_flush
        self._ready: Any = None
        limit, place = connection_limit(pool_size, max_pool_size), None
        if _is_client(servers):
            self._ready = servers
            if options or limit:
                warn_user(
                    f"{name} was given a ready client, so these options have no effect: "
                    f"{', '.join(sorted(options)) or 'pool_size'}. Give them to the client."
                )
            self._links, limit, place = look_into(servers, name)
        else:
            settings = link_options(name, options)
            self._links = [Link(each, **settings) for each in addresses(servers, _SERVERS)]

        def new_breaker(server: str) -> Breaker:
            return Breaker((OSError,), server, breaker_threshold, breaker_cooldown)

        made = TextServers(self._links, new_breaker, limit, pool_blocking, place)
        self._crawlers = made.crawlers
        self._listing = Listing(made.crawlers)
        self._use(made)

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application. ``CACHE_OPTIONS`` wins over every other key."""
        for key in ("CACHE_MEMCACHED_USERNAME", "CACHE_MEMCACHED_PASSWORD"):
            if config.get(key):
                warn_user(
                    f"{key} is set, but MemcachedCache does not log in. Remove it, or set "
                    'CACHE_TYPE = "SASLMemcachedCache".'
                )
        positional = ("servers", "default_timeout", "key_prefix", "pool_size", "pool_blocking")
        return cls(*args, **options_of(config, args, kwargs, positional, {"servers": _SERVERS}))

    @cached_property
    def _client(self) -> Any:
        """The ready client that was given; or one of pymemcache's for the same servers."""
        from .memcacheclients import make_client

        return make_client(self._links) if self._ready is None else self._ready

    def ttl(self, key: str) -> float | None:
        """Seconds left; ``0`` never expires; ``None`` if there is no such key.

        A memcached before 1.6 cannot tell. What is answered then is what the entry says of
        itself, which does not know of a later ``touch``.

        Raises:
            BackendError: If the key holds a bare number, on a memcached before 1.6.
        """
        space = self._current()
        name = space.name(key)
        pool = self._servers.pool(name)
        if "meta" not in pool.lacks:
            left = self._servers.ask(space, Left(name))
            if left is not UNKNOWN:
                return None if left is None else float(left)
            pool.lacks.add("meta")
        entry = self.get_entry(key)
        if entry is None:
            return None
        if not entry.created_at:
            raise BackendError(
                f"{pool.breaker.name} cannot tell how long a number has left: it is older than "
                "memcached 1.6"
            )
        return self._seconds_left(entry)

    def keys(self, cursor: str = "", limit: int = 100, match: str = "") -> KeyPage:
        """A page of the keys that contain ``match``, without touching their age.

        The order is arbitrary. A key that was there throughout is listed exactly once; one that
        was not may be listed or missed. A key that is too long for memcached is listed by its
        beginning, ``%~`` and a hash. A page can be a little longer than ``limit``, or shorter
        before the end.

        memcached cannot begin in the middle: to fill a page it writes down everything that it
        holds (a few tenths of a second for 200,000 entries), of which the next pages are made as
        well if they are asked for within five seconds.

        Args:
            cursor: Where the page before ended; empty for the first.
            limit: About how many keys.
            match: Text that a key must contain, taken literally.

        Returns:
            The page. Sizes are what the server accounts for an entry, its overhead included.

        Raises:
            ValueError: If the cursor is not one that this method returned.
            BackendError: If a server cannot list its keys.
        """
        return self._listing.page(self._current(), cursor, limit, match)

    def clear(self) -> bool:
        """Remove every key under this cache's own prefix, one by one.

        Raises:
            ConfigurationError: If the prefix is empty, so that everything that the servers hold
                would go, and that is not allowed.
            BackendError: If a server cannot list its keys.
        """
        from .memcachedump import clear

        space = self._current()
        if not space.start and not self.allow_flush:
            raise ConfigurationError(
                "clear() would remove everything that memcached holds, since this cache has no key "
                "prefix. Set CACHE_KEY_PREFIX, or CACHE_ALLOW_FLUSH = True if the servers are this "
                "cache's alone."
            )
        failed: Exception | None = None
        for crawler in self._crawlers:
            try:
                clear(crawler, space)
            except Exception as error:
                # The others' keys go all the same.
                failed = failed or error
        self._listing.forget()
        if failed is not None:
            raise failed
        return True

    def __repr__(self) -> str:
        return _shown(self, self._links)


class SASLMemcachedCache(MemcachedBackend):
    """Entries in memcached servers that want a user name and a password.

    They speak the binary protocol then. It cannot list keys, nor tell how long one has left; for
    the rest this is as :class:`MemcachedCache`. ``clear`` begins a new generation of names: what
    was stored before is not found any more, by any process, and the server removes it when it
    expires or the room is needed.

    Args:
        servers: As in :class:`MemcachedCache`, but no ready client.
        default_timeout: As in :class:`MemcachedCache`.
        key_prefix: As in :class:`MemcachedCache`. An empty one can be cleared, too: other
            prefixes have generations of their own.
        username: Who logs in; nobody if it is empty.
        password: With what.
        pool_size: As in :class:`MemcachedCache`.
        pool_blocking: As in :class:`MemcachedCache`.
        ignore_delete_many_errors: As in :class:`MemcachedCache`.
        max_pool_size: The same as ``pool_size``.
        allow_flush: Taken for uniformity; nothing is ever flushed.
        breaker_threshold: As in :class:`MemcachedCache`.
        breaker_cooldown: As in :class:`MemcachedCache`.
        options: Further options of the connections, as in :class:`MemcachedCache`.

    Raises:
        BackendImportError: If python-binary-memcached is missing.
        ConfigurationError: If the addresses or the options cannot be used.
    """

    def __init__(
        self,
        servers: Any = None,
        default_timeout: float = 300,
        key_prefix: str | Callable[[], str] | None = None,
        username: str | None = None,
        password: str | None = None,
        pool_size: int | None = None,
        pool_blocking: bool = True,
        ignore_delete_many_errors: bool = False,
        *,
        max_pool_size: int | None = None,
        allow_flush: bool = False,
        breaker_threshold: int = 3,
        breaker_cooldown: float = 1.0,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        needs = f"{name} needs python-binary-memcached 0.31.2 or newer"
        _require("bmemcached", needs, "sasl")
        from .memcachebinary import Login
        from .memcachesasl import SASLServers

        super().__init__(default_timeout, key_prefix, ignore_delete_many_errors)
        self.allow_flush = allow_flush
        settings = link_options(name, options)
        self._links = [Link(each, **settings) for each in addresses(servers, _SERVERS)]
        self._login = Login(username or "", password or "")

        def new_breaker(server: str, failures: tuple[type[Exception], ...]) -> Breaker:
            return Breaker(failures, server, breaker_threshold, breaker_cooldown)

        limit = connection_limit(pool_size, max_pool_size)
        self._generations = SASLServers(self._links, self._login, new_breaker, limit, pool_blocking)
        self._use(self._generations)

    @classmethod
    def factory(
        cls, app: Flask, config: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Self:
        """Build the cache for an application. ``CACHE_OPTIONS`` wins over every other key."""
        positional = ("servers", "default_timeout", "key_prefix", "username", "password")
        keys = {
            "servers": _SERVERS,
            "username": "CACHE_MEMCACHED_USERNAME",
            "password": "CACHE_MEMCACHED_PASSWORD",
        }
        return cls(*args, **options_of(config, args, kwargs, positional, keys))

    # The binary protocol has no meta commands; a new generation is a value like any other.
    _COMMANDS = MappingProxyType({**MemcachedBackend._COMMANDS, "has": "get", "clear": "set"})

    @cached_property
    def _client(self) -> Any:
        """A client of python-binary-memcached's for the same servers."""
        from .memcachesasl import make_client

        return make_client(self._links, self._login)

    def clear(self) -> bool:
        """Let every key under this cache's own prefix be forgotten, by all processes at once."""
        self._generations.clear(self._current())
        return True

    def __repr__(self) -> str:
        return _shown(self, self._links)


class SpreadSASLMemcachedCache(SpreadBackend, SASLMemcachedCache):
    """As :class:`SASLMemcachedCache`, for values that are larger than a server takes.

    They are cut into pieces, each under a name of its own, with a checksum of the whole. If one
    is lost, the value is. Reading, adding or deleting one takes another round trip, replacing or
    touching it two.

    Args:
        servers: This and all that are not named here as in :class:`SASLMemcachedCache`.
        chunksize: Bytes of a piece; a little under the megabyte that memcached takes by default.
        maxchunk: Pieces of a value at most; one that has more is refused.
        options: As in :class:`SASLMemcachedCache`.

    Raises:
        BackendImportError: If python-binary-memcached is missing.
        ConfigurationError: If the addresses or the options cannot be used.
    """

    def __init__(
        self,
        servers: Any = None,
        *args: Any,
        chunksize: int = 1_048_000,
        maxchunk: int = 32,
        **options: Any,
    ) -> None:
        for option, value, most in (
            ("chunksize", chunksize, LARGEST_VALUE),
            ("maxchunk", maxchunk, MOST_PIECES),
        ):
            if type(value) is not int or not 0 < value <= most:
                raise ConfigurationError(
                    f"the option {option} is {value!r}; it is a whole number from 1 to {most}."
                )
        self.chunksize = chunksize
        self.maxchunk = maxchunk
        super().__init__(servers, *args, **options)


def _shown(backend: MemcachedBackend, links: Sequence[Link]) -> str:
    places = [label(link.address) for link in links]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    prefix = "callable" if callable(backend.key_prefix) else repr(backend.key_prefix)
    return f"<{type(backend).__name__} {', '.join(places[:3])}{more} prefix={prefix}>"


def _is_client(servers: Any) -> bool:
    return hasattr(servers, "get") and hasattr(servers, "set")


def _require(module: str, needs: str, extra: str) -> Any:
    """Import a client library.

    Raises:
        BackendImportError: If it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendImportError(
            f"{needs}: pip install 'Flask-Caching[{extra}]'", name=module
        ) from error
