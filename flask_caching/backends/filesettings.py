"""What an application says about FileSystemCache, checked."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ConfigurationError
from ..parsing import describe, hash_method, warn_user
from ..typing import HashMethod

__all__ = ["find_directory", "find_hash_method", "not_a_directory"]


def find_directory(configured: Any, option: Any) -> str:
    """The path of the directory; what is among the options wins.

    Args:
        configured: ``CACHE_DIR``.
        option: ``cache_dir`` of ``CACHE_OPTIONS``.

    Raises:
        ConfigurationError: If there is none.
    """
    both = configured is not None and option is not None
    if both and str(configured) != str(option):
        warn_user(
            "CACHE_DIR and CACHE_OPTIONS['cache_dir'] name two directories; the latter is used."
        )
    directory: Any = configured if option is None else option
    try:
        path = os.fsdecode(directory)
    except TypeError:
        path = ""
    if not path:
        raise ConfigurationError(
            f"CACHE_DIR is {describe(directory)}, but FileSystemCache needs a directory to keep "
            'its files in. Set CACHE_DIR to its path, for example "/var/cache/shop"; it is made '
            "if it is not there."
        )
    return path


def not_a_directory(path: str, error: OSError) -> ConfigurationError:
    """What to raise if there is something else than a directory at ``path``."""
    return ConfigurationError(
        f"CACHE_DIR is {describe(path)}, which cannot be a directory: {error.strerror}. Name a "
        "directory of the cache's own, or a path where one can be made."
    )


def find_hash_method(value: Any) -> HashMethod | None:
    """``CACHE_FILE_HASH_METHOD``; ``None`` for the default.

    Raises:
        ConfigurationError: If it makes no hashes.
    """
    if value is None:
        return None
    try:
        method: HashMethod = hash_method(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"CACHE_FILE_HASH_METHOD is {describe(value)}, which cannot be used: {error}. It "
            "accepts a hash constructor such as hashlib.sha256. Correct it, or remove it to get "
            "the default."
        ) from error
    return method
