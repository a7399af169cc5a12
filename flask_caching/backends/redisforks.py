"""Clients of redis-py in a forked child.

redis-py notices a fork and drops its connections. Some versions take a pool's lock to do so, which
a thread of the parent may have held at that moment: nobody is there to give it back, and the child
would wait for ever. So a child begins with locks that are free; at its beginning it has one thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

__all__ = ["keep_over_forks"]

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_CONTAINERS = (list, tuple, set, frozenset)

#: Containers of more are not looked into: the slots of a cluster, whose nodes are known otherwise.
_MOST = 1000

_clients: weakref.WeakSet[Any] = weakref.WeakSet()


def keep_over_forks(client: Any) -> None:
    """Let a client's locks be free in every child that is forked from now on."""
    try:
        _clients.add(client)
    except TypeError:
        # Not redis-py's own, and nothing that can be referenced weakly or is hashable.
        return


def _renew_locks(clients: list[Any]) -> None:
    """Give whatever of redis-py belongs to clients new locks; one that was shared stays shared."""
    renewed: dict[int, tuple[Any, Any]] = {}
    seen: set[int] = set()
    pending: list[Any] = clients
    while pending:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, (dict, *_CONTAINERS)):
            pending += _content(found)
        elif _is_of_redis(found):
            members: dict[str, Any] = found.__dict__
            for name, value in list(members.items()):
                if isinstance(value, _LOCKS):
                    # With the old one, so that no other is taken for it.
                    made = renewed.setdefault(id(value), (value, threading.RLock()))
                    members[name] = made[1]
                else:
                    pending.append(value)


def _content(container: Any) -> list[Any]:
    if len(container) > _MOST:
        return []
    return list(container.values() if hasattr(container, "values") else container)


def _is_of_redis(found: Any) -> bool:
    kinds = type(found).__mro__
    return hasattr(found, "__dict__") and any(
        kind.__module__.partition(".")[0] == "redis" for kind in kinds
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _renew_locks(list(_clients)))
