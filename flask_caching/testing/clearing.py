"""clear(), and prefixes: what is this cache's own, exactly."""

from __future__ import annotations

from ..backends.base import RESERVED, SupportsKeys, iter_keys
from ..errors import ConfigurationError
from .hooks import Hooks, show
from .keys import ODD_KEYS

__all__ = ["ClearingChecks"]

#: A prefix, and others that a pattern, a regular expression or an encoding would mix up with it.
_PREFIX = "[ab]*?{x}.%s \\"
_NEIGHBOURS = (
    "a",
    "b",
    "[ab]",
    "a-anything-",
    "axx{x}.%s \\",
    "[ab]*?{x}_%s \\",
    "[AB]*?{x}.%s \\",
)


class ClearingChecks(Hooks):
    """Removing everything, and nothing else."""

    def test_clear_removes_everything(self) -> None:
        """Nothing is left, many keys and odd ones included, and the cache goes on working."""
        keys = [*ODD_KEYS, *(f"key {number}" for number in range(self.many))]
        self.backend.set_many(dict.fromkeys(keys, "value"))
        self.backend.inc("counter")
        assert self.backend.clear() is True, "clear() returns whether it did"
        left = [key for key in [*keys, "counter"] if self.backend.get(key) is not None]
        assert not left, f"clear() left {show(left)}"
        assert self.backend.inc("counter") == 1, "clear() must remove counters too"
        self.put("key", "after")
        self.expect("key", "after", "after clear() the cache goes on working")
        assert self.backend.clear() is True
        assert self.backend.clear() is True, "clear() of an empty cache is done, too"
        assert self.backend.get("key") is None, "clear() works more than once"

    def test_another_instance_sees_the_clear(self) -> None:
        """What one object clears is gone for another of the same store."""
        twin = self.twin()
        self.put("key", 1)
        self.expect("key", 1, "what another instance has stored", twin)
        assert self.backend.clear() is True
        assert twin.get("key") is None, "clear() must be seen by other instances"
        twin.set("key", 2)
        self.expect("key", 2, "what another instance writes after a clear()")

    def test_clear_leaves_what_is_reserved(self) -> None:
        """Locks, and the switch that turns caching off, survive a clear."""
        self.needs_sharing()
        key = f"{RESERVED}conformance"
        self.put(key, "off", 3600)
        self.put("key", 1)
        assert self.backend.clear() is True
        assert self.backend.get("key") is None, "clear() must remove what is not reserved"
        self.expect(key, "off", f"clear() must leave keys that begin with {RESERVED}")
        self.backend.delete(key)
        assert self.backend.get(key) is None, "a reserved key is deleted by its name"

    def test_prefixes_are_apart(self) -> None:
        """A key under one prefix is not there under another, for any operation."""
        one, two = self.other_prefix("one/"), self.other_prefix("two/")
        self.put("key", 1, backend=one)
        assert two.get("key") is None, "a prefix must keep caches apart"
        assert two.delete("key") is False, "delete() reached another prefix's key"
        assert two.inc("key") == 1, "inc() reached another prefix's key"
        assert two.add("other", 1) is True
        one.delete_many("other")
        self.expect("other", 1, "delete_many() reached another prefix's key", two)
        self.expect("key", 1, "a key of this prefix", one)

    def test_clear_leaves_other_prefixes(self) -> None:
        """The prefix is taken literally: no pattern in it, however much it looks like one."""
        neighbours = [self.other_prefix(prefix) for prefix in _NEIGHBOURS]
        own = self.other_prefix(_PREFIX)
        for backend in (own, *neighbours):
            backend.set_many({"key": 1, "*": 2, "x" * 300: 3})
        assert own.clear() is True
        assert list(own.get_many("key", "*", "x" * 300)) == [None] * 3, (
            f"clear() under the prefix {_PREFIX!r} left its own keys; escape the pattern"
        )
        for prefix, backend in zip(_NEIGHBOURS, neighbours, strict=True):
            assert list(backend.get_many("key", "*", "x" * 300)) == [1, 2, 3], (
                f"clear() under the prefix {_PREFIX!r} removed keys of {prefix!r}; compare the "
                "prefix literally"
            )

    def test_listing_leaves_out_other_prefixes(self) -> None:
        """keys() lists this prefix's keys only, without the prefix."""
        self.needs(SupportsKeys)
        neighbours = [self.other_prefix(prefix) for prefix in _NEIGHBOURS]
        own = self.other_prefix(_PREFIX)
        for number, backend in enumerate(neighbours):
            backend.set(f"neighbour {number}", 1)
        own.set_many({"mine": 1, f"{_PREFIX}mine": 2})
        listed = sorted(info.key for info in iter_keys(own))
        assert listed == sorted(["mine", f"{_PREFIX}mine"]), (
            f"keys() under the prefix {_PREFIX!r} lists {listed}"
        )

    def test_an_empty_prefix_is_not_cleared_by_accident(self) -> None:
        """Where that is everything in the store, clear must be allowed to remove it."""
        bystander = self.other_prefix("bystander/")
        nameless = self.other_prefix("")
        self.put("key", 1, backend=bystander)
        self.put("key", 2, backend=nameless)
        self.expect("key", 2, "an empty prefix is a prefix", nameless)
        try:
            nameless.clear()
        except ConfigurationError as error:
            said = str(error)
            assert "CACHE_ALLOW_FLUSH" in said, "say that CACHE_ALLOW_FLUSH allows it"
        self.expect("key", 1, "clear() with an empty prefix touched another's key", bystander)

    def test_the_prefix_may_be_a_function(self) -> None:
        """A callable prefix is asked at each operation: a tenant's name, say."""
        for prefix in ("first/", "second/"):
            self.other_prefix(prefix)
        tenant = ["first/"]
        backend = self.other_prefix(lambda: tenant[0])
        backend.set("key", 1)
        tenant[0] = "second/"
        assert backend.get("key") is None, "a callable prefix is asked at each operation"
        backend.set("key", 2)
        assert backend.clear() is True, "clear() returns whether it did"
        assert backend.get("key") is None, "clear() asks for the prefix, like any operation"
        tenant[0] = "first/"
        self.expect("key", 1, "clear() under one prefix touched another's", backend)
        assert backend.clear() is True

    def test_the_prefix_can_be_changed(self) -> None:
        """``key_prefix`` is readable and writable, as it always was."""
        self.other_prefix("after/")
        backend = self.other_prefix("before/")
        assert backend.key_prefix == "before/", f"key_prefix is {backend.key_prefix!r}"
        backend.set("key", 1)
        backend.key_prefix = "after/"
        assert backend.get("key") is None, "key_prefix counts as it is at the moment"
        backend.set("key", 2)
        backend.key_prefix = "before/"
        self.expect("key", 1, "key_prefix counts as it is at the moment", backend)
