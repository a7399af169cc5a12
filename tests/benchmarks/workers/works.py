"""The work that is timed, made of what an adapter can do; each name is in ``subjects.WORKS``.

Standard library only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from contract import VALUE, Adapter, Loads, Work
from requesting import request_to

__all__ = ["BODY", "BUILDERS", "request_of", "total_of"]

#: What a page is: 120 characters.
BODY = "a page" * 20
QUERY = "page=2&order=name"


def total_of(adapter: Adapter, loads: Loads) -> Callable[..., Any]:
    """A cached function of a few arguments."""

    def total(count: int, name: str = "x", *, exact: bool = False) -> str:
        loads.number += 1
        return f"{count} {name} {exact}" * 10

    async def total_later(count: int, name: str = "x", *, exact: bool = False) -> str:
        return total(count, name, exact=exact)

    return adapter.memoize(total_later if adapter.coroutines else total)


def _hit(adapter: Adapter, *arguments: Any, **keywords: Any) -> Work:
    loads = Loads()
    call = partial(total_of(adapter, loads), *arguments, **keywords)
    name, exact = (*arguments[1:], "x")[0], keywords.get("exact", False)
    return Work(
        call,
        f"{arguments[0]} {name} {exact}" * 10,
        loads=loads,
        around=adapter.around,
        prepare=call,
    )


def _miss(adapter: Adapter) -> Work:
    loads = Loads()

    def nothing(number: int) -> str:
        loads.number += 1
        return VALUE

    async def nothing_later(number: int) -> str:
        return nothing(number)

    cached = adapter.memoize(nothing_later if adapter.coroutines else nothing)
    fresh = itertools.count()
    return Work(lambda: cached(next(fresh)), VALUE, loads=loads, each=1, around=adapter.around)


def request_of(adapter: Adapter, body: str | bytes = BODY, query: str = "") -> Work:
    """A hit of a cached page through the whole application."""
    loads = Loads()
    path = f"/{'search' if query else 'page'}/{len(body)}"

    def page() -> str | bytes:
        loads.number += 1
        return body

    view = adapter.view(path, page, query)
    call = partial(request_to(view.application), path, query)
    expected = body.encode() if isinstance(body, str) else body
    return Work(call, expected, loads=loads, prepare=call)


def _request_miss(adapter: Adapter) -> Work:
    loads = Loads()

    def item(number: int) -> str:
        loads.number += 1
        return BODY

    view = adapter.view("/item/<int:number>", item)
    send = request_to(view.application)
    fresh = itertools.count()
    return Work(lambda: send(f"/item/{next(fresh)}", ""), BODY.encode(), loads=loads, each=1)


def _view(adapter: Adapter, query: str = "") -> Work:
    loads = Loads()

    def page() -> str:
        loads.number += 1
        return BODY

    view = adapter.view("/view/search" if query else "/view", page, query)
    return Work(
        view.call,
        BODY.encode(),
        read=adapter.text,
        loads=loads,
        around=view.around,
        prepare=view.call,
    )


def _get(adapter: Adapter) -> Work:
    return Work(
        partial(adapter.get, "key"),
        VALUE,
        around=adapter.around,
        prepare=partial(adapter.set, "key", VALUE),
    )


def _set(adapter: Adapter) -> Work:
    # The key is another one than `get` reads: it is there because this has written it.
    return Work(
        partial(adapter.set, "key-of-set", VALUE),
        VALUE,
        read=lambda result: adapter.get("key-of-set"),
        around=adapter.around,
    )


def _get_many(adapter: Adapter) -> Work:
    keys = [f"key-{number}" for number in range(100)]

    def prepare() -> None:
        for key in keys:
            adapter.driver.value(adapter.set(key, f"{key} has {VALUE}"))

    return Work(
        partial(adapter.get_many, keys),
        [f"{key} has {VALUE}" for key in keys],
        read=partial(adapter.listed, keys),
        around=adapter.around,
        prepare=prepare,
    )


BUILDERS: dict[str, Callable[[Adapter], Work]] = {
    "request": request_of,
    "request, query string": partial(request_of, query=QUERY),
    "request, miss": _request_miss,
    "view": _view,
    "view, query string": partial(_view, query=QUERY),
    "memoize": lambda adapter: _hit(adapter, 7),
    "memoize, keywords": lambda adapter: _hit(adapter, 7, "seven", exact=True),
    "miss": _miss,
    "get": _get,
    "set": _set,
    "get_many of 100": _get_many,
}
