"""Putting a new file in the place of an old one: whoever reads finds the one or the other.

``os.replace`` does that. But ext4 then chooses the new file's blocks and begins to write them,
before it returns (its option ``auto_da_alloc``), and has to give those of the old one back: most
of the time of a small write, and for nothing if the file is soon replaced again. Two files that
change places are spared that. What was written shortly before a power cut may be lost in either
way, and shows as damaged: nothing here is ever synchronised.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from . import filespare

__all__ = ["overwrite"]

#: ``AT_FDCWD``, which paths are relative to, and ``RENAME_EXCHANGE``.
_HERE = -100
_EXCHANGE = 2


def overwrite(path: str, target: str) -> bool:
    """Put a file in the place of one that is there.

    Args:
        path: The new one.
        target: The old one, in the same directory.

    Returns:
        Whether there was one; else nothing has happened.

    Raises:
        OSError: If it cannot be replaced; both are as they were.
    """
    if not os.access(target, os.F_OK):
        return False
    problem = _exchange(path, target)
    if problem == 0:
        _retire(path, target)
    else:
        # It may be that of this way alone.
        os.replace(path, target)
    return True


def _retire(old: str, new: str) -> None:
    try:
        filespare.retire(old)
    except FileNotFoundError:
        # It has the temporary name now, and was taken for what a crash left.
        pass
    except OSError:
        # It is no file: a directory, say.
        _exchange(old, new)
        raise


def _find_exchange() -> Callable[[str, str], int]:
    """What lets two files change places, and gives the number of the error, 0 for none."""
    if sys.platform == "linux":
        # Not every Python has ctypes, nor every C library the function.
        with contextlib.suppress(ImportError, AttributeError):
            import ctypes

            rename = ctypes.CDLL(None, use_errno=True).renameat2
            rename.argtypes = (
                *(ctypes.c_int, ctypes.c_char_p),
                *(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint),
            )

            def exchange(one: str, other: str) -> int:
                failed = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
                return ctypes.get_errno() if failed else 0

            return exchange
    return lambda one, other: errno.ENOSYS


_exchange = _find_exchange()
