"""A Redis with two million keys, half of them ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import RedisServer

__all__ = ["MANY", "PREFIX", "filled_redis"]

#: Keys of ours; there are as many of somebody else.
MANY = 1_000_000

#: What ours begin with in the store.
PREFIX = "mine:"

#: Every thousandth of ours has a needle in it.
_FILL = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    local needle = number % 1000 == 0 and 'needle/' or ''
    redis.call('SET', 'mine:view//page/' .. needle .. number, 'x')
    redis.call('SET', 'other:' .. number, 'x')
end
"""


@contextmanager
def filled_redis(folder: Path) -> Iterator[RedisServer]:
    """The server, with an empty log of commands slower than ten milliseconds."""
    redis = pytest.importorskip("redis")
    # 10 ms, in microseconds.
    server = RedisServer(folder, "--slowlog-log-slower-than", "10000")
    try:
        client = redis.Redis(server.host, server.port)
        for start in range(0, MANY, 50_000):
            client.eval(_FILL, 0, start, start + 49_999)
        client.slowlog_reset()
        client.close()
        yield server
    finally:
        server.stop()
