"""The demo for a WSGI server: ``gunicorn --chdir docs/examples/demo wsgi:app``.

Settings are variables of the environment that begin with ``CACHE_``. All are text, which
Flask-Caching takes for numbers, too: ``CACHE_TYPE=RedisCache CACHE_DEFAULT_TIMEOUT=60``.
"""

from __future__ import annotations

import os

from docbrowser import create_app

__all__ = ["app"]

app = create_app({key: value for key, value in os.environ.items() if key.startswith("CACHE_")})
