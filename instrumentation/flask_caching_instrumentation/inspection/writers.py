"""Which function an entry was made by: as its witness says, or the hash of it.

A store that keeps bytes has keyed hashes in the place of a witness's fields. They cannot be read,
but an application has so many endpoints and cached helpers, whose hashes can be made.
"""

from __future__ import annotations

from functools import cached_property

from flask_caching.cached import CachedPolicy
from flask_caching.entry import Entry, Witness
from flask_caching.typing import is_tuple

from .naming import Belongs
from .places import Place

__all__ = ["Writers", "function_text"]


class Writers:
    """Tells which function made an entry.

    Args:
        place: The cache.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def of(self, entry: Entry) -> Belongs | None:
        """What the key of an entry belongs to; ``None`` if the entry does not say."""
        witness = entry.asker
        if witness is None:
            return None
        name = self.function_of(witness) if entry.sealed else function_text(witness.function)
        if not name:
            return None
        return Belongs("fragment" if is_tuple(witness.function) else "view", name)

    def function_of(self, sealed: Witness) -> str:
        """The endpoint, or helper, of a witness of hashes; empty if it is none that is known."""
        return self._by_hash.get(sealed.function, "")

    @cached_property
    def _by_hash(self) -> dict[object, str]:
        seal = self._place.state.codec.seal
        blank = Witness("", (), "", "", "")
        helpers = [
            policy.name
            for policy in self._place.registry.policies()
            if isinstance(policy, CachedPolicy)
        ]
        names = [*self._place.app.view_functions, *helpers]
        return {seal(blank._replace(function=name)).function: name for name in names}


def function_text(function: object) -> str:
    """An endpoint or a name; of a fragment, its name without the hash of its content."""
    if is_tuple(function) and function:
        function = function[0]
    return function if isinstance(function, str) else ""
