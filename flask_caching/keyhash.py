"""What stands for a key where the key itself must not be shown: in logs, spans and exemplars.

Keys hold paths, user names and arguments. A keyed hash of one lets a person follow it from a log
line to a span and to a metric's exemplar without saying what it is.
"""

from __future__ import annotations

import hashlib

__all__ = ["KeyHash"]


class KeyHash:
    """Hashes the keys of one application's cache; the same in all of its workers.

    Args:
        secret: The application's secret key. Without one anybody who guesses a key can find out
            that a hash is of it.
    """

    __slots__ = ("_begun",)

    def __init__(self, secret: bytes = b"") -> None:
        key = hashlib.blake2b(secret, person=b"key hash").digest() if secret else b""
        self._begun = hashlib.blake2b(key=key, digest_size=8)

    def __call__(self, key: str) -> str:
        """Sixteen hexadecimal digits for ``key``, as the application knows it (no store prefix)."""
        hashed = self._begun.copy()
        hashed.update(key.encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()
