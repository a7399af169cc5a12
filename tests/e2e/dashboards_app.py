"""The application of ``test_dashboards.py`` and ``test_alerts.py``: caches that can be made ill.

Each cache has a name of its own, so that it is seen which one an alert is about. What goes wrong
is real: the tests stop, slow down or forbid a Redis, or send requests that no cache is good for.

Where an illness has nothing to do with the store, the cache is a SimpleCache, and one request asks
for many values: the machine that runs the tests is to be busy with as little as possible.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import ServiceUnavailable

from flask_caching import Cache
from flask_caching.signals import cache_memoize_hit

app = Flask("ward")
app.config.update(
    SECRET_KEY="not-a-secret",
    CACHE_TYPE="RedisCache",
    CACHE_REDIS_URL=os.environ["WARD_REDIS"],
    CACHE_DEFAULT_TIMEOUT=600,
    CACHE_THRESHOLD=100_000,
    # So that a server that is back is noticed soon.
    CACHE_BREAKER_COOLDOWN=0.5,
)


def make_cache(name: str, **config: Any) -> Cache:
    """A cache that metrics call ``name``; on a Redis of its own where the environment has one."""
    redis = os.environ.get(f"WARD_REDIS_{name.upper()}")
    if redis:
        config["CACHE_REDIS_URL"] = redis
    return Cache(app, config={**config, "CACHE_NAME": name, "CACHE_KEY_PREFIX": f"{name}:"})


main = make_cache("main", CACHE_METRICS_PATH="/metrics")
down = make_cache("down")
slow = make_cache("slow")
readonly = make_cache("readonly")
refusing = make_cache("refusing", CACHE_COLLISIONS="refuse")
ratio = make_cache("ratio", CACHE_TYPE="SimpleCache")
users = make_cache("users", CACHE_TYPE="SimpleCache")
small = make_cache("small", CACHE_TYPE="SimpleCache", CACHE_THRESHOLD=50)
watched = make_cache("watched", CACHE_TYPE="SimpleCache", CACHE_ENABLE_SIGNALS=True)
narrow = make_cache("narrow", CACHE_TYPE="SimpleCache", CACHE_METRICS_TARGETS=2)
# A caller waits so short a time for another one's load that it soon loads as well.
stampede = make_cache("stampede", CACHE_TYPE="SimpleCache", CACHE_SINGLE_FLIGHT_TIMEOUT=0.05)
# Whoever asks waits for the one who loads, in each process: there are loads in all of them.
herd = make_cache("herd", CACHE_TYPE="SimpleCache")
patient = make_cache("patient", CACHE_TYPE="SimpleCache")


@cache_memoize_hit.connect
def watch(sender: None, **payload: Any) -> None:
    """A receiver of the application's own, with a mistake in it that some requests run into."""
    if "mistake" in request.args:
        raise ZeroDivisionError


@app.get("/ready")
def ready() -> str:
    return "ready"


def asked_numbers() -> range:
    """Which values a request asks for: ``?first=10&count=5``."""
    first, count = (int(request.args.get(name, 1)) for name in ("first", "count"))
    return range(first, first + count)


# One route for each illness.


@app.get("/down/<int:number>")
@down.cached()
def on_mortal_redis(number: int) -> str:
    return str(number)


@app.get("/slow/<int:number>")
@slow.cached()
def on_slow_redis(number: int) -> str:
    return str(number)


@app.get("/readonly/<int:number>")
@readonly.cached()
def on_replica(number: int) -> str:
    return str(number)


@app.get("/refusing/<int:number>")
@refusing.cached(key_prefix="one key for all")
def mistaken(number: int) -> str:
    return str(number)


@ratio.memoize()
def rated(number: int) -> int:
    return number


@app.get("/ratio")
def show_rated() -> str:
    return str([rated(number) for number in asked_numbers()])


@users.memoize()
def greeting(user: int) -> str:
    """What is the same for everybody has an entry for each user."""
    return "hello"


@app.get("/users")
def greet() -> str:
    return str([greeting(user) for user in asked_numbers()])


@small.memoize()
def crowded(number: int) -> int:
    return number


@app.get("/small")
def show_crowded() -> str:
    return str([crowded(number) for number in asked_numbers()])


@watched.memoize()
def square(number: int) -> int:
    return number * number


@app.get("/watched")
def show_square() -> str:
    return str([square(number) for number in asked_numbers()])


def dear() -> str:
    """Takes as long as the request says, and is out of date at once."""
    time.sleep(float(request.args.get("seconds", 0)))
    return "dear"


#: The same function behind caches that differ in who waits for whom.
DEAR: dict[str, Callable[[], str]] = {
    "stampede": stampede.memoize(timeout=0.02)(dear),
    "herd": herd.memoize(timeout=0.02)(dear),
    "patient": patient.memoize(timeout=0.02)(dear),
}


@app.get("/dear/<name>")
def show_dear(name: str) -> str:
    return DEAR[name]()


# Further ways in which a call ends.


@app.get("/main/<int:number>")
@main.cached(unless=lambda: "bypass" in request.args)
def on_main(number: int) -> str:
    return str(number)


@app.get("/refused")
@main.cached()
def refused() -> Response:
    """Not stored: it would log the next visitor in."""
    response = Response("welcome")
    response.set_cookie("session", "not-a-secret")
    return response


@main.memoize()
def failing() -> int:
    raise ServiceUnavailable


@app.get("/raised")
def raised() -> str:
    try:
        return str(failing())
    except ServiceUnavailable:
        return "it failed, as it should"


@app.get("/unpicklable")
def unpicklable() -> str:
    """A codec's failure, which the application sees."""
    try:
        main.set("generator", (number for number in range(3)))
    except TypeError:
        return "not stored"
    return "stored"


@app.get("/clear")
def clear() -> str:
    return str(main.clear())


@app.get("/direct")
def direct() -> str:
    return str(main.get_many(*(f"direct-{number}" for number in asked_numbers())))


@narrow.memoize()
def first_target() -> int:
    return 1


@narrow.memoize()
def second_target() -> int:
    return 2


@narrow.memoize()
def third_target() -> int:
    return 3


@app.get("/narrow")
def more_targets_than_labels() -> str:
    return str([first_target(), second_target(), third_target()])
