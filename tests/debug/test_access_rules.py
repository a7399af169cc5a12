"""Deciding who may see the debug pages, without any: what is local, same, old, or too often."""

from __future__ import annotations

from typing import Any

import pytest
from debug_site import (
    TOKEN,
)

from flask_caching_instrumentation.debug.access import (
    Visit,
    from_elsewhere,
    is_local_host,
    is_loopback,
    not_here,
    peer_group,
    signs_of_a_proxy,
    token_in_address,
)
from flask_caching_instrumentation.debug.credentials import LOGIN_SECONDS, Keyring, Tries

LOCAL = Visit(host="localhost:5000", sent_host="localhost:5000", peer="127.0.0.1")


class TestWhatIsLocal:
    @pytest.mark.parametrize(
        "host",
        [
            *("localhost", "localhost:5000", "LocalHost:80", "shop.localhost", "a.b.localhost:1"),
            *("127.0.0.1", "127.8.9.10:65535", "[::1]", "[::1]:5000", "[0:0:0:0:0:0:0:1]"),
        ],
    )
    def test_names_that_cannot_mean_another_machine(self, host: str) -> None:
        """Whatever a name server says."""
        assert is_local_host(host)

    @pytest.mark.parametrize(
        "host",
        [
            *("", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "notlocalhost"),
            *("localhost.", ".localhost", "a..localhost", "localhost:", "localhost:x"),
            *("localhost:99999", "localhost:123456", "localhost:1:2", "a@localhost"),
            *("localhost, evil", "localhost evil", " localhost", "localhost\n", "localhost/x"),
            *("127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.", "0.0.0.0"),
            *("::1", "[::1", "::1]", "[::2]", "[::ffff:8.8.8.8]", "[fe80::1%lo]", "[]"),
            *("10.0.0.1", "192.168.0.1", "128.0.0.1", "loca\u017fhost", "\uff11\uff12\uff17.0.0.1"),
        ],
    )
    def test_names_that_might(self, host: str) -> None:
        """What a page elsewhere can have its own name point to, and what cannot be understood."""
        assert not is_local_host(host)

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.99.0.3", "::1", "::ffff:127.0.0.1"])
    def test_addresses_of_this_machine(self, address: str) -> None:
        """All of 127.0.0.0/8, and IPv6 in both ways to write it."""
        assert is_loopback(address)

    @pytest.mark.parametrize(
        "address", ["", "unix:", "10.0.0.1", "::", "::2", "::ffff:10.0.0.1", "localhost", "0.0.0.0"]
    )
    def test_addresses_of_others(self, address: str) -> None:
        """A socket without an address has a proxy at its other end."""
        assert not is_loopback(address)

    @pytest.mark.parametrize(
        "name",
        [
            *("Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded", "X-Real-IP"),
            *("Via", "CF-Connecting-IP", "CDN-Loop", "True-Client-IP", "X-Original-URL"),
            *("X-Amzn-Trace-Id", "X-Client-IP", "Fly-Client-IP", "X-Envoy-External-Address"),
        ],
    )
    def test_headers_that_only_a_proxy_adds(self, name: str) -> None:
        """By any spelling of theirs."""
        assert signs_of_a_proxy(["Accept", name]) == [name]
        refusal = not_here(Visit(**{**vars(LOCAL), "header_names": (name,)}), debug=True)
        assert refusal is not None
        assert name in refusal.detail

    def test_a_developer_at_the_machine_gets_in(self) -> None:
        """Under debug, directly, by a local name."""
        assert not_here(LOCAL, debug=True) is None

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"peer": "10.0.0.7"}, "does not come from this machine"),
            ({"peer": ""}, "does not come from this machine"),
            ({"sent_host": "evil.example"}, "Host is not a local name"),
            ({"host": "evil.example"}, "Host is not a local name"),
            ({"sent_host": ""}, "Host is not a local name"),
        ],
    )
    def test_each_condition_is_needed(self, changed: dict[str, Any], said: str) -> None:
        """And the answer names the one that failed, and what to set."""
        refusal = not_here(Visit(**{**vars(LOCAL), **changed}), debug=True)
        assert refusal is not None
        assert refusal.status == 403
        assert said in refusal.detail
        assert "CACHE_DEBUG_TOKEN" in refusal.detail

    def test_debug_is_needed(self) -> None:
        """A server in production may stand behind a proxy that leaves no trace."""
        refusal = not_here(LOCAL, debug=False)
        assert refusal is not None
        assert "app.debug is off" in refusal.detail


class TestSameOrigin:
    @pytest.mark.parametrize(
        "sent",
        [
            {"origin": "http://localhost:5000"},
            {"origin": "HTTP://LOCALHOST:5000"},
            {"origin": "http://localhost:5000", "fetch_site": "same-origin"},
            {"origin": "null", "fetch_site": "same-origin"},
            {"fetch_site": "same-origin"},
            {"referer": "http://localhost:5000/_cache/keys"},
            {"scheme": "https", "host": "shop.example", "origin": "https://shop.example:443"},
            {"host": "shop.example:80", "origin": "http://shop.example"},
            # TLS ends before the application, which was not told.
            {"host": "a.b", "origin": "https://a.b", "fetch_site": "same-origin"},
        ],
    )
    def test_forms_of_these_pages(self, sent: dict[str, str]) -> None:
        """As browsers send them."""
        assert from_elsewhere(Visit(**{"method": "POST", "host": "localhost:5000", **sent})) is None

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"origin": "null"},
            {"origin": ""},
            {"origin": "http://evil.example"},
            {"origin": "http://localhost:5001"},
            {"origin": "http://localhost"},
            {"origin": "https://localhost:5000"},
            {"origin": "http://localhost:5000.evil.example"},
            {"origin": "http://localhost:5000@evil.example"},
            {"origin": "http://localhost:5000:1"},
            {"origin": "localhost:5000"},
            {"origin": "file://localhost:5000"},
            {"origin": "http://evil.example", "fetch_site": "same-origin"},
            {"origin": "http://evil.example", "referer": "http://localhost:5000/"},
            {"origin": "http://localhost:5000", "fetch_site": "cross-site"},
            {"origin": "http://localhost:5000", "fetch_site": "same-site"},
            {"origin": "http://localhost:5000", "fetch_site": "none"},
            {"origin": "http://localhost:5000", "fetch_site": ""},
            {"referer": "http://evil.example/?http://localhost:5000"},
            {"referer": "http://[broken"},
            {"host": "", "origin": "http://"},
        ],
    )
    def test_forms_of_others(self, sent: dict[str, str]) -> None:
        """Whatever says that it came from elsewhere wins, and so does saying nothing."""
        refusal = from_elsewhere(Visit(**{"method": "POST", "host": "localhost:5000", **sent}))
        assert refusal is not None
        assert refusal.status == 403


class TestTokensInAddresses:
    @pytest.mark.parametrize(
        "name", ["token", "Token", "access_token", "debug-token", "CACHE_DEBUG_TOKEN", "api_key"]
    )
    def test_what_looks_like_one_is_refused(self, name: str) -> None:
        """Before anything else is looked at."""
        refusal = token_in_address(Visit(query_names=("a", name)))
        assert refusal is not None
        assert refusal.status == 403

    def test_the_pages_own_parameters_are_not_tokens(self) -> None:
        """A filter may say anything."""
        names = ("cursor", "match", "kind", "limit", "url", "method", "request", "after", "cache")
        assert token_in_address(Visit(query_names=names)) is None


class TestKeyring:
    def test_a_login_works_in_every_worker_and_ends_with_the_token(self) -> None:
        """It is made of the token and the secret key, and nothing is kept."""
        cookie = Keyring(TOKEN, b"key").login()
        assert Keyring(TOKEN, b"key").is_login(cookie)
        assert not Keyring("another long token", b"key").is_login(cookie)
        assert not Keyring(TOKEN, b"another key").is_login(cookie)
        assert not Keyring(None, b"key").is_login(cookie)

    @pytest.mark.parametrize("cookie", ["", ".", "a.b.c", "\u20ac", "x" * 5000, "null", "\ud800"])
    def test_what_is_no_login_is_none(self, cookie: str) -> None:
        """Whatever a client sends."""
        assert not Keyring(TOKEN, b"key").is_login(cookie)

    def test_a_login_cannot_be_changed(self) -> None:
        """Every character is signed."""
        keyring = Keyring(TOKEN, b"key")
        cookie = keyring.login()
        for place in range(0, len(cookie) - 1, 7):
            other = "A" if cookie[place] != "A" else "B"
            assert not keyring.is_login(f"{cookie[:place]}{other}{cookie[place + 1 :]}")

    def test_a_login_does_not_last(self, clock: Any) -> None:
        """Twelve hours, by the wall clock."""
        keyring = Keyring(TOKEN, b"key")
        cookie = keyring.login()
        clock.advance(LOGIN_SECONDS - 1)
        assert keyring.is_login(cookie)
        clock.advance(2)
        assert not keyring.is_login(cookie)

    @pytest.mark.parametrize(
        "shown",
        [b"", TOKEN.encode()[:-1], f"{TOKEN} ".encode(), b"\xff\xfe", "t\u00f6ken".encode()],
    )
    def test_only_the_token_is_the_token(self, shown: bytes) -> None:
        """Compared as bytes, so that nothing raises."""
        assert not Keyring(TOKEN, b"").is_token(shown)

    def test_a_token_may_be_any_text(self) -> None:
        """Not only ASCII."""
        token = "ein langes Kennw\u00f6rt \u20ac"
        assert Keyring(token, b"").is_token(token.encode())
        assert not Keyring(None, b"").is_token(b"")

    def test_a_form_belongs_to_one_browser(self) -> None:
        """And to one token and secret key."""
        keyring = Keyring(TOKEN, b"key")
        carried = keyring.form_token("one")
        assert keyring.is_form_token("one", carried)
        assert not keyring.is_form_token("two", carried)
        assert not keyring.is_form_token("one", "")
        assert not keyring.is_form_token("one", "\u20ac\ud800")
        assert not Keyring(TOKEN, b"other").is_form_token("one", carried)


class TestTries:
    def test_ten_a_minute_for_each_peer(self, clock: Any) -> None:
        """Then that peer waits, and others do not."""
        tries = Tries(clock)
        assert [tries.begin("a") for _ in range(10)] == [0.0] * 10
        clock.advance(20)
        assert tries.begin("a") == 40
        assert tries.begin("b") == 0
        clock.advance(40)
        assert tries.begin("a") == 0

    def test_a_hundred_a_minute_for_all(self, clock: Any) -> None:
        """An attacker with many addresses gains nothing, nor do they fill the memory."""
        tries = Tries(clock)
        assert all(tries.begin(f"peer {number}") == 0 for number in range(100))
        assert all(tries.begin(f"peer {number}") == 60 for number in range(100, 10_000))
        assert len(tries._made) == 100

    def test_success_is_no_failed_try(self, clock: Any) -> None:
        """Who has the token may show it as often as he likes."""
        tries = Tries(clock)
        for _ in range(500):
            assert tries.begin("a") == 0
            tries.succeeded("a")

    def test_a_refused_try_does_not_prolong_the_wait(self, clock: Any) -> None:
        """It is not compared, so it does not count."""
        tries = Tries(clock)
        for _ in range(30):
            tries.begin("a")
        clock.advance(60)
        assert tries.begin("a") == 0

    def test_an_ipv6_network_is_one_peer(self) -> None:
        """One person has 2**64 addresses; an IPv4 address is one, however it is written."""
        assert peer_group("2001:db8::1") == peer_group("2001:db8::ffff:1")
        assert peer_group("2001:db8::1") != peer_group("2001:db8:0:1::1")
        assert peer_group("::ffff:10.0.0.1") == peer_group("10.0.0.1")
        assert len(peer_group("x" * 10_000)) == 64
