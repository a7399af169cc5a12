"""Finding a value: one read of the store, and whether what is there answers the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .backends.base import NOTHING
from .collisions import difference
from .entry import Entry, Form, Witness
from .errors import UnreadableEntry
from .observer import Collision, Lookup, Target
from .query import Query, new_version, same_variant, version_values
from .state import AppState
from .switch import SWITCH_KEY
from .typing import MISS, CollisionPolicy, Miss

__all__ = ["Finding"]

#: A payload that is the value; asking the codec for it would be one more call on most hits.
_PLAIN = Form.PLAIN


class Finding:
    """A decorated thing: how its value is looked up, and how it is loaded and stored.

    Args:
        function: What makes the value.
        target: What it is counted under.
        is_stale: The application's own judgement of a value that was found.
        cache_none: Whether ``None`` is a value worth storing.
        collisions: What happens when the key holds another request's entry; ``None`` leaves
            it to the application's configuration.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        target: Target,
        *,
        is_stale: Callable[..., Any] | None = None,
        cache_none: bool = False,
        collisions: CollisionPolicy | None = None,
    ) -> None:
        self.function = function
        self.target = target
        self.is_stale = is_stale
        self.cache_none = cache_none
        self.collisions = collisions

    #: Whether it may be answered by what has no metadata: a number that the application counts
    #: with, a value in a backend of others. Nothing that is decorated stores such.
    takes_bare = False

    # What the kinds of decorated things answer differently.

    def timeout(self) -> float | None:
        """Seconds to keep a value; ``None`` for the cache's default."""
        return None

    def query_matters(self) -> bool:
        """Whether a difference in the query string alone can be a collision."""
        return False

    def find(self, state: AppState, query: Query, lookup: Lookup) -> Any | Miss:
        """Read the store once. Returns the value on a hit."""
        lookup.key = query.key
        query.looked = state.flights.stored
        try:
            asks = state.switch.shared and state.switch.due()
            if query.version_keys or asks:
                entry = self._read_several(state, query, asks)
            else:
                entry = state.entries.get_entry(query.key)
        except UnreadableEntry as error:
            state.failed("get", error, handled=True, keys=(query.key,))
            return MISS
        except Exception as error:
            state.failed("get", error, handled=True, keys=(query.key,))
            lookup.outcome = "error"
            lookup.degraded = True
            return MISS
        if entry is None:
            return MISS
        if not (entry.created_at or self.takes_bare):
            # In a store of others: by the released library, or by who knows whom.
            foreign = UnreadableEntry("a value that this library did not write", "foreign")
            state.failed("get", foreign, handled=True, keys=(query.key,))
            return MISS
        return self.judge(state, query, lookup, entry)

    def judge(self, state: AppState, query: Query, lookup: Lookup, entry: Entry) -> Any | Miss:
        """Whether an entry answers the query. Returns its value if it does."""
        asked = query.witness
        if asked is not None:
            if entry.sealed:
                same = entry.sealed.startswith(state.codec.digest(asked))
            else:
                same = entry.witness is None or entry.witness == asked
            if not same and self._is_another(state, query, lookup, entry, asked):
                return MISS
        if entry.vary and not same_variant(entry.vary, query.request):
            return MISS
        if entry.form is _PLAIN:
            value = entry.payload
        else:
            try:
                value = state.codec.thaw(entry)
            except UnreadableEntry as error:
                state.failed("get", error, handled=True, keys=(query.key,))
                return MISS
        if value is None and not self.cache_none:
            return MISS
        if self.is_stale is not None and self.is_stale(value, *query.args, **query.kwargs):
            lookup.outcome = "stale"
            return MISS
        lookup.outcome = "hit"
        lookup.saved_seconds = entry.load_seconds
        query.entry = entry
        return value

    def _read_several(self, state: AppState, query: Query, asks: bool) -> Entry | None:
        """Versions and value in one round trip; the value only if it was made under them.

        A version that was not seen before is created with it. Once in a while the note that
        turns the cache off is asked for as well.
        """
        keys = (*query.version_keys, query.key)
        create: Mapping[str, Entry] = NOTHING
        known = state.versions_seen.issuperset(query.version_keys)
        if not known and state.keeps:
            create = self._versions(
                state, [key for key in query.version_keys if key not in state.versions_seen]
            )
        if not asks:
            *versions, entry = state.entries.get_entries(keys, create)
        elif state.entries is state.store:
            *versions, entry, note = state.entries.get_entries((*keys, SWITCH_KEY), create)
            state.switch.see(note)
        else:
            # Overriding methods in front of the store may take other keys for their own.
            state.switch.see(state.read_note())
            *versions, entry = state.entries.get_entries(keys, create)
        query.versions = version_values(versions)
        if not known or None in query.versions:
            state.saw_versions(query.version_keys, query.versions)
        if state.switch.off:
            query.refusal = "disabled"
            return None
        return entry if entry is not None and entry.versions == query.versions else None

    def _is_another(
        self, state: AppState, query: Query, lookup: Lookup, entry: Entry, asked: Witness
    ) -> bool:
        """Deal with an entry that may have been made for another asker; whether to refuse it."""
        policy = self.collisions or state.config.collisions
        stored = entry.asker
        if stored is None or policy == "allow":
            return False
        kind = difference(
            stored,
            state.codec.seal(asked) if entry.sealed else asked,
            entry.reads,
            other_hosts=state.refuses_other_hosts,
            other_queries=self.query_matters(),
        )
        if kind is None:
            return False
        refused = policy == "refuse" or kind == "host"
        action = "refused" if refused else "reported"
        told, found = lookup.collision, Collision(query.key, kind, action, stored, asked)
        lookup.collision = found
        if told is None or (told.kind, told.action) != (kind, action):
            # Once, though a call that waits for another one looks several times.
            state.collided(lookup.target, found)
        return refused

    # Versions.

    def _versions(self, state: AppState, keys: Sequence[str]) -> dict[str, Entry]:
        """New versions, for the keys that turn out to have none."""
        expires_at = state.version_expiry(self.timeout())
        return {key: new_version(expires_at) for key in keys}

    def current_versions(self, state: AppState, query: Query, lookup: Lookup) -> tuple[str, ...]:
        """The versions to load under, read or created before the load begins.

        They are read anew only where one was missing. A version is added and then read back, so
        that several callers agree on one.
        """
        if not query.version_keys or lookup.degraded:
            return ()
        try:
            if None in query.versions or not query.versions:
                versions = query.versions or (None,) * len(query.version_keys)
                pairs = zip(query.version_keys, versions, strict=True)
                self._read_versions(state, query, [key for key, known in pairs if known is None])
                if None in query.versions and state.keeps:
                    self._overwrite_versions(state, query)
        except Exception as error:
            state.failed("add", error, handled=True, keys=query.version_keys)
            lookup.degraded = True
            return ()
        known = tuple(version for version in query.versions if version is not None)
        if len(known) < len(query.version_keys):
            # A store that keeps nothing, or lost it already: the value would never be found.
            query.refusal = query.refusal or "no_version"
            return ()
        return known

    def _read_versions(self, state: AppState, query: Query, missing: Sequence[str]) -> None:
        create = self._versions(state, missing)
        query.versions = version_values(state.entries.get_entries(query.version_keys, create))
        state.saw_versions(query.version_keys, query.versions)

    def _overwrite_versions(self, state: AppState, query: Query) -> None:
        """Put versions where something is that cannot be read, and that hinders adding one.

        The released library keeps its versions under these keys, some of them for ever.
        """
        for key, version in zip(query.version_keys, query.versions, strict=True):
            if version is None:
                (entry,) = self._versions(state, [key]).values()
                state.entries.set_entry(key, entry)
        self._read_versions(state, query, ())
