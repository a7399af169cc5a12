"""Reading what a GET is answered with past redis-py, and when that is left to redis-py."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from servers import RedisServer

from flask_caching.backends.redisdirect import Direct, direct
from flask_caching.backends.redisfaults import was_lost
from flask_caching.backends.redisreply import Refused, fetch
from flask_caching.backends.replyreader import Garbled

Ends = tuple[socket.socket, socket.socket]
LARGE = b"0123456789" * 300_000


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Ours, which waits for a moment only, and that of who answers."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.2)
        yield ours, theirs


VALUES = {
    b"$5\r\nvalue\r\n": b"value",
    b"$0\r\n\r\n": b"",
    b"$6\r\n\r\n$1\r\n\r\n": b"\r\n$1\r\n",
    b"$1\r\n\xff\r\n": b"\xff",
    b"$-1\r\n": None,
    b"_\r\n": None,
}


@pytest.mark.parametrize(("reply", "value"), VALUES.items())
def test_a_value_is_read_and_nothing_is_none(ends: Ends, reply: bytes, value: bytes | None) -> None:
    """Of both versions of the protocol; the command is one that Redis knows."""
    ours, theirs = ends
    theirs.sendall(reply)
    assert fetch(ours, b"a key") == value
    assert theirs.recv(100) == b"*2\r\n$3\r\nGET\r\n$5\r\na key\r\n"


@pytest.mark.parametrize("reply", [*VALUES, b"-ERR what it says\r\n"])
def test_a_reply_may_come_byte_by_byte(ends: Ends, reply: bytes) -> None:
    """The same comes out."""
    ours, theirs = ends
    theirs.sendall(reply[:1])

    def go_on() -> None:
        for place in range(1, len(reply)):
            time.sleep(0.005)
            theirs.sendall(reply[place : place + 1])

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        if reply in VALUES:
            assert fetch(ours, b"k") == VALUES[reply]
        else:
            with pytest.raises(Refused):
                fetch(ours, b"k")
    finally:
        thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"$5\r\nvalue\r\n$5\r\nother\r\n",
        b"$-1\r\n$-1\r\n",
        b"-ERR one\r\n-ERR two\r\n",
        b"$3\r\nvalue\r\n",
        b"$x\r\nvalue\r\n",
        b"$-2\r\n",
        b"*1\r\n$1\r\nk\r\n",
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$5\r\nvalue\r\n",
        b":7\r\n",
        b"\x00\xffgarbage\r\n",
        b"\r\n",
        b"x" * 10_000,
    ],
)
def test_what_is_no_reply_to_a_get_is_garbled(ends: Ends, reply: bytes) -> None:
    """Two replies, one of another length, of another kind, or none at all."""
    ours, theirs = ends
    theirs.sendall(reply)
    with pytest.raises(Garbled):
        fetch(ours, b"k")


def test_a_reply_that_ends_early_is_a_lost_connection(ends: Ends) -> None:
    """As if nothing had come; and one that does not go on takes no longer than the time-out."""
    ours, theirs = ends
    theirs.sendall(b"$5\r\nval")
    with pytest.raises(TimeoutError):
        fetch(ours, b"k")
    theirs.close()
    with pytest.raises(ConnectionError):
        fetch(ours, b"k")


def test_a_reply_that_trickles_in_is_given_up(ends: Ends) -> None:
    """Each byte comes in time; all of them together do not: ten time-outs are enough."""
    ours, theirs = ends
    ours.settimeout(0.05)
    over = threading.Event()

    def trickle() -> None:
        theirs.sendall(b"$100000\r\n")
        while not over.wait(0.01):
            theirs.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            fetch(ours, b"k")
        assert time.monotonic() - begun < 10.0
    finally:
        over.set()
        thread.join()


# With a server.


@pytest.fixture
def client(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_redis.port, socket_timeout=2.0) as client:
        client.set("k", "value")
        yield client


@pytest.fixture
def reading(client: redis.Redis) -> Direct:
    """Read once, so that a connection is kept."""
    reading = direct(client)
    assert reading.get(b"k") == b"value"
    return reading


def connections(client: redis.Redis) -> int:
    """How many there have been, of everybody."""
    return int(client.info("stats")["total_connections_received"])


def test_a_large_value_is_whole(client: redis.Redis, reading: Direct) -> None:
    """It comes in many pieces."""
    client.set("large", LARGE)
    assert reading.get(b"large") == LARGE
    assert reading.get(b"k") == b"value"


def test_an_error_is_redis_py_s_own_and_costs_no_connection(
    client: redis.Redis, reading: Direct
) -> None:
    """A list under the key is asked for with every request."""
    client.rpush("list", "item")
    before = connections(client)
    for _ in range(5):
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            reading.get(b"list")
    assert reading.get(b"k") == b"value"
    assert connections(client) == before


def test_what_the_server_says_unasked_is_no_value(own_redis: RedisServer) -> None:
    """The connection is closed, and redis-py asks on another one."""
    if redis.VERSION < (5,):
        pytest.skip("this redis-py does not know the third version of the protocol")
    with (
        redis.Redis(port=own_redis.port, protocol=3) as client,
        redis.Redis(port=own_redis.port) as other,
    ):
        other.set("k", "value")
        reading = direct(client)
        assert reading.ask("CLIENT", b"TRACKING", b"ON") == b"OK"
        assert reading.get(b"k") == b"value"
        other.set("k", "new")
        assert reading.get(b"k") == b"new"
        assert reading.get(b"k") == b"new"


def test_a_connection_that_the_server_closed_is_lost(client: redis.Redis, reading: Direct) -> None:
    """In the words of redis-py, and one that may be asked again; the next one works."""
    with redis.Redis(port=client.connection_pool.connection_kwargs["port"]) as other:
        other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(redis.ConnectionError) as caught:
        reading.get(b"k")
    assert was_lost(caught.value)
    assert reading.get(b"k") == b"value"


def test_a_server_that_does_not_answer_is_a_time_out(own_redis: RedisServer) -> None:
    """Of redis-py's kind, and not asked twice."""
    with redis.Redis(port=own_redis.port, socket_timeout=0.1) as client:
        reading = direct(client)
        client.set("k", "value")
        assert reading.get(b"k") == b"value"
        own_redis.pause()
        try:
            with pytest.raises(redis.TimeoutError) as caught:
                reading.get(b"k")
        finally:
            own_redis.resume()
        assert not was_lost(caught.value)
        assert reading.get(b"k") == b"value"


def test_whoever_has_the_pool_may_close_it(client: redis.Redis, reading: Direct) -> None:
    """It is opened again."""
    client.connection_pool.disconnect()
    assert reading.get(b"k") == b"value"
    assert reading.get(b"k") == b"value"


def test_a_connection_that_is_to_be_checked_is_checked(own_redis: RedisServer) -> None:
    """redis-py sends a PING before a command that comes long after another."""

    def pings() -> int:
        told: str = own_redis.info("commandstats").get("cmdstat_ping", "calls=0,")
        return int(told.partition("calls=")[2].partition(",")[0])

    with redis.Redis(port=own_redis.port, health_check_interval=1) as client:
        client.set("k", "value")
        reading = direct(client)
        assert reading.get(b"k") == b"value"
        before = pings()
        time.sleep(1.1)
        assert reading.get(b"k") == b"value"
        assert pings() > before
