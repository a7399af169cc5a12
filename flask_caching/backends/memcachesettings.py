"""What applications write about memcached servers: addresses, ready clients, ``CACHE_*`` keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from ipaddress import IPv6Address
from typing import Any, cast

from ..errors import ConfigurationError
from ..parsing import describe, positive, warn_user, whole
from .memcachelink import Address, Link

__all__ = ["addresses", "connection_limit", "link_options", "options_of"]

_PORT = 11211

#: Our own options, and the keys that they are from; these always have a value.
_OWN = {
    "key_prefix": "CACHE_KEY_PREFIX",
    "allow_flush": "CACHE_ALLOW_FLUSH",
    "breaker_threshold": "CACHE_BREAKER_THRESHOLD",
    "breaker_cooldown": "CACHE_BREAKER_COOLDOWN",
}

#: Options of client libraries that decide what is here decided otherwise, and why not.
_USELESS = {
    "serde": "entries are serialized as CACHE_SERIALIZER says",
    "serializer": "entries are serialized as CACHE_SERIALIZER says",
    "deserializer": "entries are serialized as CACHE_SERIALIZER says",
    "pickler": "entries are serialized as CACHE_SERIALIZER says",
    "unpickler": "entries are serialized as CACHE_SERIALIZER says",
    "pickle_protocol": "entries are serialized as CACHE_SERIALIZER says",
    "compression": "entries are compressed as CACHE_COMPRESSION says",
    "ignore_exc": "see CACHE_IGNORE_ERRORS",
    "default_noreply": "every reply is read",
    "allow_unicode_keys": "any key can be used",
    "encoding": "any key can be used",
    "hasher": "names are spread by consistent hashing; give a ready HashClient for its own",
    "use_pooling": "connections are always pooled",
    "pool_idle_timeout": "a connection that the server closed is replaced",
    "binary": "SASLMemcachedCache always uses the binary protocol, MemcachedCache never",
}


def addresses(servers: Any, key: str) -> list[Address]:
    """Where servers are, each once.

    Args:
        servers: ``"host:port"``, ``"[::1]:11211"``, ``"unix:/path"`` or a pair of host and port;
            several in a list, or in one text with commas. ``None`` or nothing is this machine.
        key: What it is the value of, for messages.

    Raises:
        ConfigurationError: If it is something else.
    """
    given = servers.split(",") if isinstance(servers, str) else servers
    if given is None:
        return [("127.0.0.1", _PORT)]
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        raise _wrong(servers, key)
    items = list(cast("Iterable[Any]", given))
    if len(items) == 2 and isinstance(items[0], str) and type(items[1]) is int:
        items = [items]  # one pair, without a list around it
    found = [_address(item, key) for item in items if item != ""]
    return list(dict.fromkeys(found)) or [("127.0.0.1", _PORT)]


def _address(item: Any, key: str) -> Address:
    if isinstance(item, str):
        text = item.strip()
        for scheme in ("unix://", "unix:"):
            if text.startswith(scheme):
                text = text.removeprefix(scheme)
                break
        if text.startswith("/"):
            return text
        host, colon, port = text.rpartition(":")
        if text.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
            host, colon, port = text, "", ""
        if not colon:
            host, port = text, str(_PORT)
    elif isinstance(item, (list, tuple)) and len(cast("Sequence[Any]", item)) == 2:
        host, port = map(str, cast("Sequence[Any]", item))
        if ":" in host and host.rpartition(":")[2].isdecimal() and host.count(":") == 1:
            raise ConfigurationError(
                f"{key} gives a server a weight; servers share the keys equally. Name a host "
                "and a port."
            )
    else:
        raise _wrong(item, key)
    host = host.removeprefix("[").removesuffix("]")
    if ":" in host and not _is_ipv6(host):
        raise _wrong(item, key)
    if not host or any(sign in host for sign in "@/ ") or not port.isascii():
        raise _wrong(item, key)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise _wrong(item, key)
    return host, int(port)


def _is_ipv6(host: str) -> bool:
    try:
        return bool(IPv6Address(host))
    except ValueError:
        return False


def _wrong(item: Any, key: str) -> ConfigurationError:
    # Never something with a password in it.
    shown = "a URL" if isinstance(item, str) and "@" in item else describe(item)
    return ConfigurationError(
        f"{key} has {shown}, which is not the address of a memcached server. Write "
        '"host:port", a pair of host and port, or "unix:/path/to/socket"; several in a list.'
    )


def link_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a connection among those of a backend.

    Args:
        name: The backend's class, for messages.
        options: Those that are not the backend's own.

    Raises:
        ConfigurationError: If there is one that no connection has.
    """
    known = [item.name for item in fields(Link) if item.name != "address"]
    given = dict(options)
    if "socket_timeout" in given:
        # What python-binary-memcached calls it.
        given.setdefault("timeout", given.pop("socket_timeout"))
    for option in given:
        if option in _USELESS:
            raise ConfigurationError(f"{name} has no option {option!r}: {_USELESS[option]}.")
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}."
            raise ConfigurationError(f"{name} has no option {option!r}; {hint}")
    for option in ("connect_timeout", "timeout"):
        if given.get(option) is not None:
            given[option] = _seconds(option, given[option])
    return given


def _seconds(option: str, value: Any) -> float:
    try:
        return float(positive(value))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the option {option} is {describe(value)}, which is no time-out: {error}. Give "
            "seconds above 0, or None to wait for ever."
        ) from error


def connection_limit(*values: Any) -> int:
    """How many connections there may be to a server: the first that is given; 0 for no limit.

    Raises:
        ConfigurationError: If it is no whole number.
    """
    for value in values:
        if value is not None:
            try:
                return whole(0)(value)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(
                    f"the option pool_size is {describe(value)}; it is the number of connections "
                    "to a server at most, 0 or None for no limit."
                ) from error
    return 0


def options_of(
    config: Mapping[str, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    positional: Sequence[str],
    keys: Mapping[str, str],
) -> dict[str, Any]:
    """The keyword arguments of a backend: ``CACHE_OPTIONS`` win over every other key.

    Args:
        config: The application's configuration.
        args: ``CACHE_ARGS``, which win as well.
        kwargs: ``CACHE_OPTIONS``, and what every backend is offered.
        positional: The names of the first parameters of the backend's class.
        keys: Further options, and the keys that they are from.
    """
    given = dict(zip(positional, args, strict=False))
    options = {name: value for name, value in kwargs.items() if name not in given}
    for name, key in keys.items():
        value = config.get(key)
        if value is None:
            continue
        source = "CACHE_ARGS" if name in given else "CACHE_OPTIONS"
        winner = given.get(name, options.get(name))
        if winner is None:
            options[name] = value
        elif winner != value:
            warn_user(f"{source} and {key} differ in what {name!r} is; {source} wins. Remove one.")
    for name, key in _OWN.items():
        if name not in given and config.get(key) is not None:
            options.setdefault(name, config[key])
    return options
