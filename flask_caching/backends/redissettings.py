"""The ``CACHE_*`` keys that the Redis backends read, merged by precedence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..parsing import describe, warn_user
from .redisaddresses import cluster_nodes, options_of_url

__all__ = ["Settings"]

_URL = "CACHE_REDIS_URL"

#: Our own options, and the keys that they are from; these always have a value.
_OWN = {
    "key_prefix": "CACHE_KEY_PREFIX",
    "allow_flush": "CACHE_ALLOW_FLUSH",
    "breaker_threshold": "CACHE_BREAKER_THRESHOLD",
    "breaker_cooldown": "CACHE_BREAKER_COOLDOWN",
}


class Settings:
    """Options of a backend: what is added first wins, and a value that loses is named.

    ``CACHE_ARGS`` and ``CACHE_OPTIONS`` come before every other key.

    Args:
        config: The application's configuration.
        args: ``CACHE_ARGS``.
        kwargs: ``CACHE_OPTIONS``, and what every backend is offered.
        positional: The names of the first parameters of the backend's class.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        positional: Sequence[str],
    ) -> None:
        self._config = config
        self._positional = dict(zip(positional, args, strict=False))
        self._options: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        for name, value in self._positional.items():
            self._add(name, value, "CACHE_ARGS")
        for name, value in kwargs.items():
            if value is None or name == "default_timeout":
                # None is a value of its own here: no time-out, for one.
                self._options.setdefault(name, value)
            else:
                self._add(name, value, "CACHE_OPTIONS")
        for name, key in _OWN.items():
            if config.get(key) is not None:
                self._options.setdefault(name, config[key])

    def add(self, name: str, key: str) -> None:
        """Take the value of a key for an option."""
        self._add(name, self._config.get(key), key)

    def take_url(self, option: str = "url") -> tuple[str, str]:
        """The URL and the name of what gives it; both empty if nothing does.

        Args:
            option: The option that may hold it, and wins over ``CACHE_REDIS_URL``.

        Raises:
            ConfigurationError: If it is no string.
        """
        self.add(option, _URL)
        url, source = self._options.pop(option, ""), self._sources.pop(option, "")
        if not isinstance(url, str):
            raise ConfigurationError(f"{source} is {describe(url)}, which is not a string.")
        return url, source

    def add_url(self, url_and_source: tuple[str, str]) -> None:
        """Take what the URL of a server says."""
        url, source = url_and_source
        for name, value in options_of_url(url, source).items() if url else ():
            self._add(name, value, source)

    def add_cluster_url(self, url_and_source: tuple[str, str]) -> None:
        """Take what the URL of one node of a cluster says."""
        url, source = url_and_source
        if url:
            nodes, said = cluster_nodes("", url, {}, source)
            self._add("cluster", ",".join(f"{host}:{port}" for host, port in nodes), source)
            for name, value in said.items():
                self._add(name, value, source)

    def warn_unread(self, *keys: str) -> None:
        """Warn about keys that are set and mean nothing here."""
        for key in keys:
            if self._config.get(key) not in (None, "", 0, "0"):
                warn_user(f"{key} is set, but this kind of CACHE_TYPE does not read it. Remove it.")

    def checked(self) -> dict[str, Any]:
        """The options without those that ``CACHE_ARGS`` gives.

        Raises:
            ConfigurationError: If a number is none.
        """
        if "unix_socket_path" in self._options:
            for name in ("host", "port"):
                if name in self._sources:
                    warn_user(
                        f"{self._sources[name]} has no effect on {name!r}: the connection is to "
                        f"the socket that {self._sources.get('unix_socket_path')} names."
                    )
                    del self._options[name], self._sources[name]
        for name in ("port", "db"):
            value = self._options.get(name)
            if isinstance(value, str):
                try:
                    self._options[name] = int(value)
                except ValueError:
                    raise ConfigurationError(
                        f"{self._sources[name]} is {describe(value)}, which is not a whole number."
                    ) from None
        return {
            name: value for name, value in self._options.items() if name not in self._positional
        }

    def _add(self, name: str, value: Any, source: str) -> None:
        if value is None or (isinstance(value, str) and not value):
            return
        if name not in self._options:
            self._options[name] = value
            self._sources[name] = source
        elif name in self._sources and str(self._options[name]) != str(value):
            winner = self._sources[name]
            warn_user(
                f"{winner} and {source} differ in what {name!r} is; {winner} wins. Remove one."
            )
