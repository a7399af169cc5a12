"""Which command of Redis an operation is, and what of redis-py sends it: for whoever watches.

The backend's own code decides what is sent; this says the same in a table, so that nothing is
noted down while nobody watches. A test holds it to what the server sees.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any

from .base import normalize_timeout

__all__ = ["Path", "command_of", "pipeline_functions"]


class Path(Enum):
    """What sends a command."""

    #: What reads values: the pool's connection, or the client that was given.
    FETCH = "fetch"
    #: ``execute_command`` of the client that reads, and of the one that writes.
    READ = "read"
    WRITE = "write"
    #: A pipeline of the client that writes.
    PIPELINE = "pipeline"


_COMMANDS: Mapping[str, tuple[str, Path]] = MappingProxyType(
    {
        "add": ("SET", Path.WRITE),
        "add_entry": ("SET", Path.WRITE),
        "clear": ("PIPELINE", Path.PIPELINE),
        "delete": ("DEL", Path.WRITE),
        "delete_many": ("DEL", Path.WRITE),
        "get": ("GET", Path.FETCH),
        "get_dict": ("MGET", Path.FETCH),
        "get_entries": ("MGET", Path.FETCH),
        "get_entry": ("GET", Path.FETCH),
        "get_many": ("MGET", Path.FETCH),
        "has": ("EXISTS", Path.READ),
        "keys": ("SCAN", Path.PIPELINE),
        "release_lock": ("EVAL", Path.WRITE),
        "set": ("SET", Path.WRITE),
        "set_entry": ("SET", Path.WRITE),
        "set_many": ("PIPELINE SET", Path.PIPELINE),
        "touch": ("PEXPIRE", Path.WRITE),
        "ttl": ("PTTL", Path.READ),
        "unlink": ("UNLINK", Path.WRITE),
    }
)

_MIXED = ("PIPELINE", Path.PIPELINE)


def command_of(
    method: str, args: Sequence[Any], options: Mapping[str, Any], default_timeout: Any
) -> tuple[str, Path]:
    """The command that a method of the backend sends, and what sends it.

    Args:
        method: The method; what is not known is a command of the client.
        args: Its arguments; those of the entry level by position.
        options: Its keyword arguments.
        default_timeout: The backend's, seconds.
    """
    if method in ("inc", "dec"):
        # A counter that can expire is created by a script.
        return ("EVAL" if normalize_timeout(default_timeout) else "INCRBY"), Path.WRITE
    if (method == "get_entries" and args[1:] and args[1]) or (
        method == "set_entry" and args[2:] and args[2]
    ):
        return _MIXED
    if method == "touch":
        timeout = args[1] if args[1:] else options.get("timeout")
        try:
            seconds = normalize_timeout(default_timeout if timeout is None else timeout)
        except (TypeError, ValueError):
            # The call itself will say so.
            return "", Path.WRITE
        if not seconds:
            return _MIXED
        if seconds < 0:
            return "DEL", Path.WRITE
    return _COMMANDS.get(method, ("", Path.WRITE))


def pipeline_functions(client: Any) -> tuple[Any, ...]:
    """What a pipeline of a client goes through: what makes it, and what sends it."""
    module: Any = sys.modules.get("redis.client")
    pipeline = getattr(module, "Pipeline", None)
    return client.pipeline, getattr(pipeline, "execute", None)
