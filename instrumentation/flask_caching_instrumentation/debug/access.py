"""Who may see the debug pages: decisions about a described request, without Flask.

Each function takes a :class:`Visit` and returns why it is refused, or ``None``. What cannot be
understood is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = [
    "SAFE_METHODS",
    "Refusal",
    "Visit",
    "from_elsewhere",
    "is_local_host",
    "is_loopback",
    "is_unsafe",
    "not_here",
    "peer_group",
    "signs_of_a_proxy",
    "token_in_address",
]

#: Methods that change nothing (RFC 9110, 9.2.1).
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_HOW_TO_OPEN: Final = (
    "Set CACHE_DEBUG_TOKEN to a long random string, or give debug_blueprint() an auth callable."
)

#: What proxies and tunnels add, in lower case; see also the prefixes.
_PROXY_HEADERS: Final = frozenset(
    {
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "proxy-connection",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-proxyuser-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
    }
)
_PROXY_PREFIXES: Final = (
    "cdn-",
    "cf-",
    "tailscale-",
    "x-amzn-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-vercel-",
)

#: Parameters that somebody may put a token into, without ``-`` and ``_``.
_TOKEN_NAMES: Final = frozenset(
    {
        "accesstoken",
        "apikey",
        "auth",
        "authorization",
        "authtoken",
        "bearer",
        "cachedebugtoken",
        "debugtoken",
        "password",
        "secret",
        "token",
    }
)

#: ``Host``: a name, an IPv4 address, or an IPv6 address in brackets; then a port.
_HOST: Final = re.compile(r"(?P<name>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?")

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Visit:
    """What deciding about a request takes.

    Attributes:
        method: Request method.
        scheme: ``http`` or ``https``, as the application sees it.
        host: ``Host``, as the application sees it.
        sent_host: ``Host`` as the server got it, before any ``ProxyFix``.
        peer: Address of the other end of the connection, before any ``ProxyFix``.
        header_names: Names of all request headers.
        query_names: Names of all query parameters.
        origin: ``Origin``; ``None`` if it is not there, as the others.
        referer: ``Referer``.
        fetch_site: ``Sec-Fetch-Site``.
    """

    method: str = "GET"
    scheme: str = "http"
    host: str = ""
    sent_host: str = ""
    peer: str = ""
    header_names: tuple[str, ...] = ()
    query_names: tuple[str, ...] = ()
    origin: str | None = None
    referer: str | None = None
    fetch_site: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no page.

    Attributes:
        status: Of the response.
        title: Why, in a few words.
        detail: What happened, and what to do.
    """

    status: int
    title: str
    detail: str


def is_unsafe(method: str) -> bool:
    """Whether a request with this method might change something."""
    return method.upper() not in SAFE_METHODS


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own; a socket without one is not."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def is_local_host(host: str) -> bool:
    """Whether ``Host`` can only mean this machine, whatever a name server says.

    ``localhost`` and all below it (RFC 6761), ``127.0.0.0/8`` and ``[::1]``, with any port.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found["port"] or 0) > 65535:
        return False
    name: str = found["name"]
    if name == "localhost":
        return True
    labels = name.split(".")
    if labels[-1] == "localhost":
        return all(labels)
    return is_loopback(name.strip("[]"))


def signs_of_a_proxy(header_names: Iterable[str]) -> list[str]:
    """The request headers that only somebody in between adds."""
    return [
        name
        for name in header_names
        if name.lower() in _PROXY_HEADERS or name.lower().startswith(_PROXY_PREFIXES)
    ]


def peer_group(address: str) -> str:
    """What counts as one peer: an address, or an IPv6 network that one person has (/64)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    network = ipaddress.ip_network((int(found), 64), strict=False)
    return str(network)


def not_here(visit: Visit, debug: bool) -> Refusal | None:
    """Why pages that nobody guards are not for this request.

    Args:
        visit: The request.
        debug: Whether ``app.debug`` is on.
    """
    if not debug:
        return _closed("app.debug is off.")
    if not is_loopback(visit.peer):
        return _closed("The request does not come from this machine.")
    if not is_local_host(visit.sent_host) or not is_local_host(visit.host):
        return _closed(
            "Its Host is not a local name: open the pages at localhost, or a page elsewhere could "
            "have its own name point here."
        )
    proxies = signs_of_a_proxy(visit.header_names)
    if proxies:
        return _closed(f"It came through a proxy, which added {', '.join(sorted(proxies)[:3])}.")
    return None


def _closed(why: str) -> Refusal:
    return Refusal(
        403,
        "These pages are closed",
        f"Without a token the debug pages answer only this machine, directly, under app.debug. "
        f"{why} {_HOW_TO_OPEN}",
    )


def token_in_address(visit: Visit) -> Refusal | None:
    """Why a request whose query string has what looks like a token is refused."""
    for name in visit.query_names:
        if re.sub("[-_ ]", "", name.lower()) in _TOKEN_NAMES:
            return Refusal(
                403,
                "A token does not belong in an address",
                "Addresses end up in logs, histories and bookmarks. If that was the token, change "
                'it now. Send it as "Authorization: Bearer", or log in on the page.',
            )
    return None


def from_elsewhere(visit: Visit) -> Refusal | None:
    """Why a request that might change something is not believed to come from these pages.

    ``Sec-Fetch-Site`` is the browser's own word where it sends it (over https, and to this
    machine). ``Origin`` or else ``Referer`` must name this host, and where the browser says
    nothing the scheme too. ``Origin: null`` is what a page without referrers sends.
    """
    site = visit.fetch_site
    if site is not None and site.lower() != "same-origin":
        return _foreign("The browser says that it was sent from another site.")
    own = _origin(f"{visit.scheme}://{visit.host}")
    if own is None:
        return _foreign("Its Host cannot be understood.")
    sent = visit.origin if visit.origin is not None else visit.referer
    if sent is None or (visit.origin == "null" and site is not None):
        if site is not None:
            return None
        return _foreign("It does not say where it was sent from (Origin, Referer).")
    found = _origin(sent)
    # A proxy may take https off; the browser that says so itself is right about the scheme.
    if found is None or found[1] != own[1] or (site is None and found != own):
        return _foreign("It was sent from another origin.")
    return None


def _foreign(why: str) -> Refusal:
    return Refusal(
        403,
        "Not sent from these pages",
        f"{why} Requests that can change something are taken from these pages alone, or with "
        '"Authorization: Bearer" and the token. Behind a proxy, let it pass Host on, or use '
        "werkzeug's ProxyFix.",
    )


def _origin(url: str) -> tuple[str, str] | None:
    """Scheme and host of a URL, the scheme's own port left out; ``None`` if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), parts.netloc.lower()
    if scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        return None
    default = port is not None and str(port) == _DEFAULT_PORTS[scheme]
    return scheme, host.rpartition(":")[0] if default else host
