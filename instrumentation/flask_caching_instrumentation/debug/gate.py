"""The gate: what a request shows, who is let in, and which forms are believed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from flask import current_app, request
from werkzeug.wrappers import Response

from flask_caching.state import secret_of

from .access import (
    Refusal,
    Visit,
    from_elsewhere,
    is_unsafe,
    not_here,
    peer_group,
    token_in_address,
)
from .answers import Sent, Stop
from .credentials import LOGIN_SECONDS, Keyring, Tries, new_form_id

__all__ = [
    "FORM_COOKIE",
    "LOGIN_COOKIE",
    "LONGEST_BODY",
    "Gate",
    "Visitor",
    "drop_login",
    "set_cookies",
]

LOGIN_COOKIE: Final = "flask_caching_login"
FORM_COOKIE: Final = "flask_caching_form"

#: Bytes of the largest body that is read.
LONGEST_BODY: Final = 64 * 1024

#: How somebody was let in: by the application's ``auth``, by the login cookie, by the token in a
#: header, or because he sits at the machine. ``door``: not yet, he is only about to log in.
Way: TypeAlias = Literal["auth", "login", "bearer", "local", "door"]

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Visitor:
    """Somebody at the gate.

    Attributes:
        way: How he was let in.
        keyring: What his cookies are checked with, and made from.
        form_id: What his forms are made for.
        has_cookie: Whether his browser has ``form_id`` already.
    """

    way: Way
    keyring: Keyring
    form_id: str
    has_cookie: bool

    @property
    def form_token(self) -> str:
        """What his forms carry."""
        return self.keyring.form_token(self.form_id)


class Gate:
    """The way into one set of pages.

    Args:
        auth: The application's own check, called in each request; ``None`` for the token, or
            else for who sits at the machine.
    """

    def __init__(self, auth: Callable[[], Any] | None = None) -> None:
        if auth is not None and not callable(auth):
            raise TypeError(f"auth is {auth!r}; pass a function without arguments, or None")
        self.auth = auth
        self.tries = Tries()

    def stranger(self, token: str | None) -> Visitor:
        """Who sends the current request, before anything about him is checked.

        Args:
            token: ``CACHE_DEBUG_TOKEN``.
        """
        form_id = request.cookies.get(FORM_COOKIE, "")[:64]
        keyring = Keyring(token, secret_of(_app()))
        return Visitor("door", keyring, form_id or new_form_id(), bool(form_id))

    def admit(self, stranger: Visitor, token: str | None, *, at_door: bool = False) -> Visitor:
        """Let somebody in.

        Args:
            stranger: Who.
            token: ``CACHE_DEBUG_TOKEN``.
            at_door: Whether he is about to log in, and so needs to show nothing yet.

        Raises:
            Stop: If he is not let in, or the request is not believed to be his.
            Sent: If the application's ``auth`` answers instead.
        """
        visit = _visit()
        _stop(token_in_address(visit))
        way: Way = "door"
        if not (at_door and self.takes_token(token)):
            way = self._way_in(visit, stranger.keyring, token)
        if is_unsafe(visit.method):
            _check_length()
            if way != "bearer":
                _stop(from_elsewhere(visit))
                _check_form(stranger)
        return replace(stranger, way=way)

    def takes_token(self, token: str | None) -> bool:
        """Whether it is the token that opens these pages."""
        return token is not None and self.auth is None

    def log_in(self, visitor: Visitor, shown: str) -> None:
        """Check a token that was typed in.

        Raises:
            Stop: If it is wrong, or there were too many tries.
        """
        self._compare(visitor.keyring, shown.strip().encode("utf-8", "surrogatepass"))

    def _way_in(self, visit: Visit, keyring: Keyring, token: str | None) -> Way:
        if self.auth is not None:
            _ask(self.auth)
            return "auth"
        if token is None:
            _stop(not_here(visit, _app().debug))
            return "local"
        if keyring.is_login(request.cookies.get(LOGIN_COOKIE, "")):
            return "login"
        shown = _bearer()
        if shown is None:
            raise _unknown('Log in with the token, or send it as "Authorization: Bearer".')
        self._compare(keyring, shown)
        return "bearer"

    def _compare(self, keyring: Keyring, shown: bytes) -> None:
        peer = peer_group(request.remote_addr or "")
        wait = self.tries.begin(peer)
        if wait:
            seconds = int(wait) + 1
            raise Stop(
                Refusal(
                    429,
                    "Too many tries",
                    f"Wrong tokens were shown too often. Try again in {seconds} seconds.",
                ),
                Retry_After=str(seconds),
            )
        if not keyring.is_token(shown):
            raise _unknown("That is not the token.")
        self.tries.succeeded(peer)


def _app() -> Any:
    return cast(Any, current_app)._get_current_object()


def _stop(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Stop(refusal)


def _unknown(detail: str) -> Stop:
    return Stop(Refusal(401, "Log in", detail), WWW_Authenticate='Bearer realm="flask-caching"')


def _visit() -> Visit:
    environ = request.environ
    # What ProxyFix found there before it replaced it.
    sent = environ.get("werkzeug.proxy_fix.orig") or environ
    return Visit(
        method=request.method,
        scheme=environ.get("wsgi.url_scheme", ""),
        host=environ.get("HTTP_HOST", ""),
        sent_host=sent.get("HTTP_HOST") or "",
        peer=sent.get("REMOTE_ADDR") or "",
        header_names=tuple(request.headers.keys()),
        query_names=tuple(request.args.keys()),
        origin=environ.get("HTTP_ORIGIN"),
        referer=environ.get("HTTP_REFERER"),
        fetch_site=environ.get("HTTP_SEC_FETCH_SITE"),
    )


def _ask(auth: Callable[[], Any]) -> None:
    """Ask the application; what it raises is its own answer."""
    said: Any = current_app.ensure_sync(auth)()
    if isinstance(said, Response):
        raise Sent(said)
    kind = type(cast("object", said))
    if inspect.isawaitable(said) or issubclass(kind, tuple):
        # Both are true, and neither means yes.
        raise TypeError(f"auth returned a {kind.__name__}; it returns True, False, or a Response")
    if not said:
        raise Stop(Refusal(403, "Not for you", "The application's own check says no."))


def _bearer() -> bytes | None:
    """The token in the request's header, as bytes; ``None`` without one."""
    scheme, _, shown = request.environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    # Servers decode headers so; a test client may not.
    return cast(bytes, shown.strip().encode("latin-1", "replace"))


def _check_length() -> None:
    """Refuse a body that is large, or may be."""
    length = request.content_length
    if length is None and request.environ.get("HTTP_TRANSFER_ENCODING"):
        raise Stop(Refusal(411, "Length required", "Send the body with a Content-Length."))
    if length is not None and length > LONGEST_BODY:
        raise Stop(
            Refusal(413, "Body too large", f"No more than {LONGEST_BODY:,} bytes are read here.")
        )


def _check_form(visitor: Visitor) -> None:
    shown = request.headers.get("X-CSRF-Token", "")
    if not shown and request.mimetype in _FORMS:
        shown = request.form.get("csrf_token", "")
    if not (visitor.has_cookie and visitor.keyring.is_form_token(visitor.form_id, shown)):
        raise Stop(
            Refusal(
                403,
                "This form is not of your session",
                "Its csrf_token (or X-CSRF-Token header) is missing, or was made for another "
                "session. Load the page again and repeat what you did. Programs send the token "
                'of CACHE_DEBUG_TOKEN as "Authorization: Bearer" instead.',
            )
        )


def set_cookies(response: Any, visitor: Visitor, path: str, *, logged_in: bool = False) -> None:
    """Give a visitor's browser the cookies that it lacks.

    Args:
        response: The response to his request.
        visitor: The visitor.
        path: Where the pages are.
        logged_in: Whether he has just logged in.
    """
    options: dict[str, Any] = {"path": path, "httponly": True, "secure": request.is_secure}
    if logged_in:
        login = visitor.keyring.login()
        response.set_cookie(
            LOGIN_COOKIE, login, max_age=LOGIN_SECONDS, samesite="Strict", **options
        )
    if logged_in or not visitor.has_cookie:
        # Lax, so that a link from elsewhere brings it, and does not replace that of open forms.
        form_id = new_form_id() if logged_in else visitor.form_id
        response.set_cookie(FORM_COOKIE, form_id, samesite="Lax", **options)


def drop_login(response: Any, path: str) -> None:
    """Log a browser out."""
    response.delete_cookie(
        LOGIN_COOKIE, path=path, secure=request.is_secure, httponly=True, samesite="Strict"
    )
