"""What is shown of an error: its class and its words, without credentials, and not too long."""

from __future__ import annotations

from flask_caching.parsing import hide_credentials

__all__ = ["reason_of"]

#: Characters of a message that are shown.
_SHOWN = 500


def reason_of(error: BaseException) -> str:
    """An error in one line of text."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        # The application's own error, whose words are code of its own.
        text = "(its message cannot be made)"
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}..."
    name = type(error).__name__
    return hide_credentials(f"{name}: {text}" if text else name)
