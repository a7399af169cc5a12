"""What cannot be less: the same work without a cache library.

A page that returns a constant, a dictionary, ``functools.lru_cache``, a file, the servers' client
libraries as they come, and a socket.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import flask
import redis
from contract import SECRET_KEY, TIMEOUT, VALUE, Adapter, Loads, Place, Work
from plan import Plan, measured
from pymemcache.client.base import Client as MemcachedClient
from requesting import request_to
from subjects import SIZES
from worker import main
from works import BODY

PACKAGES = ("Flask", "Werkzeug", "hiredis", "pymemcache", "redis")
KEYS = [f"key-{number}" for number in range(100)]
Works = dict[str, Work]


def bare_view(body: str) -> Work:
    """A page that returns a constant, in an application without a cache."""
    app = flask.Flask("floor")
    app.secret_key = SECRET_KEY
    app.add_url_rule("/page", endpoint="page", view_func=lambda: body)
    return Work(partial(request_to(app.wsgi_app), "/page", ""), body.encode())


def memory(place: Place, value: str) -> Works:
    """A page, a function and a dictionary."""
    loads = Loads()

    @functools.lru_cache
    def total(count: int) -> str:
        loads.number += 1
        return value

    held = {"key": value}
    return {
        "bare view": bare_view(BODY if value == VALUE else value),
        "lru_cache": Work(partial(total, 7), value, loads=loads, prepare=partial(total, 7)),
        "dict get": Work(partial(held.get, "key"), value),
        "dict set": Work(
            partial(held.__setitem__, "new-key", value), value, read=lambda none: held["new-key"]
        ),
    }


def files(place: Place, value: str) -> Works:
    """Reading a file, and writing one in the way that leaves no half of it behind."""
    folder = Path(place.at)
    data = value.encode()
    names = itertools.count()

    def read(name: str = "kept") -> bytes:
        with open(folder / name, "rb") as file:
            return file.read()

    def write(name: str = "written") -> None:
        temporary = folder / f"{next(names)}.tmp"
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, folder / name)

    return {
        "open and read": Work(read, data, prepare=partial(write, "kept")),
        "write and replace": Work(write, data, read=lambda none: read("written")),
    }


def redis_server(place: Place, value: str) -> Works:
    """The client library as it comes, and a socket."""
    host, _, rest = place.at.partition(":")
    port = int(rest.partition("/")[0])
    client = redis.Redis(host=host, port=port)
    data = value.encode()

    def fill() -> None:
        client.set("key", value, ex=TIMEOUT)
        client.mset(dict.fromkeys(KEYS, value))

    answer = b"$%d\r\n%b\r\n" % (len(data), data)
    return {
        "redis-py GET": Work(partial(client.get, "key"), data, prepare=fill),
        "redis-py SET": Work(
            partial(client.set, "new-key", value, ex=TIMEOUT),
            data,
            read=lambda done: client.get("new-key"),
        ),
        "redis-py MGET": Work(partial(client.mget, KEYS), [data] * len(KEYS), prepare=fill),
        "raw socket GET": Work(
            raw_call((host, port), b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", len(answer)),
            answer,
            prepare=fill,
        ),
    }


def memcached_server(place: Place, value: str) -> Works:
    """The client library as it comes, and a socket."""
    host, _, port = place.at.partition(":")
    client = MemcachedClient((host, int(port)), no_delay=True)
    data = value.encode()

    def fill() -> None:
        client.set("key", value, expire=TIMEOUT)
        client.set_many(dict.fromkeys(KEYS, value), expire=TIMEOUT)

    answer = b"VALUE key 0 %d\r\n%b\r\nEND\r\n" % (len(data), data)
    return {
        "pymemcache GET": Work(partial(client.get, "key"), data, prepare=fill),
        "pymemcache SET": Work(
            partial(client.set, "new-key", value, expire=TIMEOUT, noreply=False),
            data,
            read=lambda done: client.get("new-key"),
        ),
        "pymemcache get_many": Work(
            partial(client.get_many, KEYS), dict.fromkeys(KEYS, data), prepare=fill
        ),
        "raw socket GET": Work(
            raw_call((host, int(port)), b"get key\r\n", len(answer)), answer, prepare=fill
        ),
    }


def raw_call(address: tuple[str, int], question: bytes, length: int) -> Callable[[], bytes]:
    """What sends a question and reads an answer of so many bytes."""
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> bytes:
        connection.sendall(question)
        answer = connection.recv(length)
        while len(answer) < length:
            answer += connection.recv(length - len(answer))
        return answer

    return ask


WORKS: dict[str, Callable[[Place, str], Works]] = {
    "memory": memory,
    "files": files,
    "redis": redis_server,
    "memcached": memcached_server,
}

#: Those that are measured for each size of a value.
BY_SIZE = ("bare view", "open and read", "redis-py GET", "pymemcache GET")


class Floor(Adapter):
    """Nothing of its own: the works are those above."""


def hits(plan: Plan) -> Mapping[str, float]:
    """Seconds of each floor."""
    adapter = plan.open()
    works = WORKS[plan.place.store](adapter.place, VALUE)
    return {name: measured(adapter, works[name], plan.effort, name) for name in plan.works}


def growth(plan: Plan) -> Mapping[str, float]:
    """Seconds of the floors of reading, by size."""
    adapter = plan.open()
    found = {}
    for label, size in SIZES.items():
        works: dict[str, Any] = WORKS[plan.place.store](adapter.place, "x" * size)
        for name in plan.can(*BY_SIZE):
            found[f"{name}, {label}"] = measured(adapter, works[name], plan.effort, name)
    return found


if __name__ == "__main__":
    main(Floor, PACKAGES, {"hits": hits, "growth": growth})
