"""What pages serve that are about something else than the application."""

from flask import Flask

from flask_caching import Cache

app = Flask(__name__)
app.config.update(CACHE_TYPE="SimpleCache", CACHE_METRICS_PATH="/metrics")
cache = Cache(app)


@app.get("/")
@cache.cached()
def index() -> str:
    return "a page"
