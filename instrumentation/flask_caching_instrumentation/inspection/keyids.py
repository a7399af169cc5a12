"""Keys in addresses: any text as letters, digits, ``-`` and ``_``, and back.

A key may be any text: with slashes, control characters, half of a character. In an address it is
the letter ``k`` and its bytes in the URL-safe form of base 64, so that nothing about it has to be
remembered between two requests.
"""

from __future__ import annotations

import base64
import binascii

__all__ = ["LONGEST_KEY", "key_id", "key_of"]

#: Bytes of the longest key that has an id: what every server and proxy takes in an address.
LONGEST_KEY = 1500

#: Makes the id of the empty key not empty.
_MARK = "k"


def key_id(key: str) -> str:
    """What names a key in an address; empty for one of more than :data:`LONGEST_KEY` bytes."""
    data = key.encode("utf-8", "surrogatepass")
    if len(data) > LONGEST_KEY:
        return ""
    return _MARK + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_of(key_id: str) -> str:
    """The key that an id names.

    Raises:
        ValueError: If it is not an id that :func:`key_id` returned.
    """
    text = key_id.removeprefix(_MARK)
    if text == key_id or not text.isascii() or len(text) > 2 * LONGEST_KEY:
        raise _not_an_id(key_id)
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        key = data.decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeDecodeError):
        raise _not_an_id(key_id) from None
    # Base 64 has several spellings of some bytes; a key has one address.
    if _id_of(key) != key_id:
        raise _not_an_id(key_id)
    return key


#: Under another name, since an argument is called so.
_id_of = key_id


def _not_an_id(text: str) -> ValueError:
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return ValueError(f"{shown!r} is not the id of a key")
