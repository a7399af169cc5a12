"""The shop that the pages on the command line and on outages look into."""

import os
import time

from flask import Flask, request

from flask_caching import Cache

app = Flask(__name__)
app.config.update(
    SECRET_KEY="of the manual",
    CACHE_TYPE="RedisCache",
    CACHE_REDIS_URL=os.environ["CACHE_REDIS_URL"],
    CACHE_KEY_PREFIX="shop:",
    CACHE_NAME="pages",
)
cache = Cache(app)


@app.get("/p/<int:id>")
@cache.cached(timeout=60, query_string=True)
def product(id: int) -> str:
    time.sleep(0.05)
    return f"<h1>Product {id}</h1>"


@app.get("/bad/<int:id>")
@cache.cached(timeout=60, key_prefix="bad")
def bad(id: int) -> str:
    time.sleep(0.03)
    return f"{id}, or so, of {request.path}"
