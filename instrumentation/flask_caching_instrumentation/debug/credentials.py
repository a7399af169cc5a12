"""The token, the login cookie made from it, and the tokens of forms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from ..forksafe import ForkSafeLock

__all__ = ["LOGIN_SECONDS", "Keyring", "Tries", "new_form_id"]

#: How long a login lasts.
LOGIN_SECONDS: Final = 12 * 3600

_SALT: Final = "flask_caching_instrumentation.debug login"


class Keyring:
    """What is derived from the token and the application's secret key.

    Nothing is kept, so all workers accept what one of them has given out; and whatever was given
    out ends with the token.

    Args:
        token: ``CACHE_DEBUG_TOKEN``; ``None`` if there is none.
        secret: The application's secret key; empty if it has none.
    """

    def __init__(self, token: str | None, secret: bytes) -> None:
        self._token = None if token is None else token.encode("utf-8", "surrogatepass")
        # With neither, a form's token can be computed by anyone who knows its cookie: a page
        # elsewhere does not, nor can it set one.
        self._key = hmac.new(self._token or b"", secret, hashlib.sha256).digest()

    def is_token(self, shown: bytes) -> bool:
        """Whether somebody shows the token; takes as long whatever it is that he shows."""
        if self._token is None:
            return False
        return hmac.compare_digest(shown, self._token)

    def login(self) -> str:
        """A cookie for somebody who has shown the token."""
        return self._serializer().dumps(secrets.token_urlsafe(12))

    def is_login(self, cookie: str) -> bool:
        """Whether a cookie is one of :meth:`login`, not too old, and of this token."""
        if self._token is None:
            return False
        try:
            self._serializer().loads(cookie, max_age=LOGIN_SECONDS)
        except (BadData, UnicodeError):
            return False
        return True

    def form_token(self, form_id: str) -> str:
        """What forms carry that were made for one browser."""
        said = f"form {form_id}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()

    def is_form_token(self, form_id: str, shown: str) -> bool:
        """Whether a form was made for the browser that has ``form_id`` in its cookie."""
        expected = self.form_token(form_id).encode()
        return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), expected)

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._key,
            salt=_SALT,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )


def new_form_id() -> str:
    """What tells one browser's forms from another's."""
    return secrets.token_urlsafe(18)


class Tries:
    """Tries at the token: so many a minute for each peer, and for all together.

    A try counts from before it is compared, so that many at once are no more than one by one.

    Args:
        clock: Monotonic seconds.
        per_peer: Failed tries of one peer in a minute.
        overall: Failed tries of all peers in a minute; no more are remembered.
    """

    _SECONDS: Final = 60.0

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        per_peer: int = 10,
        overall: int = 100,
    ) -> None:
        self._clock = clock
        self._per_peer = per_peer
        self._overall = overall
        self._lock = ForkSafeLock()
        self._made: deque[tuple[float, str]] = deque()

    def begin(self, peer: str) -> float:
        """Count a try as failed; or say how many seconds there is to wait, and count nothing."""
        now = self._clock()
        with self._lock:
            while self._made and self._made[0][0] <= now - self._SECONDS:
                self._made.popleft()
            if len(self._made) >= self._overall:
                return self._made[0][0] + self._SECONDS - now
            own = [at for at, who in self._made if who == peer]
            if len(own) >= self._per_peer:
                return own[0] + self._SECONDS - now
            self._made.append((now, peer))
            return 0.0

    def succeeded(self, peer: str) -> None:
        """The latest try of a peer has not failed."""
        with self._lock:
            for position in range(len(self._made) - 1, -1, -1):
                if self._made[position][1] == peer:
                    del self._made[position]
                    return
