"""The headers that every response of the debug pages has."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["protect"]

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


def protect(response: Any, nonce: str = "", *, foreign: bool = False) -> None:
    """Add the headers that a response lacks; those it has are left.

    Args:
        response: The response.
        nonce: What its script and its style sheet carry; empty if it has neither.
        foreign: Whether it is the application's own, which a content policy of ours would break.
    """
    for name, value in _HEADERS:
        response.headers.setdefault(name, value)
    if not foreign:
        response.headers.setdefault("Content-Security-Policy", _policy(nonce))


def _policy(nonce: str) -> str:
    sources = f"'nonce-{nonce}'" if nonce else "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources}",
            f"style-src {sources}",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
