"""``flask cache delete`` and ``clear``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import click

from flask_caching.backends.base import RESERVED, SupportsKeys
from flask_caching.memoized import MemoizePolicy
from flask_caching.registry import Policy
from flask_caching.utils import dotted_name
from flask_caching.views import endpoints_of

from ..inspection.inspector import Inspector
from ..inspection.listing import Rows
from ..inspection.places import Place
from ..inspection.text import count, visible
from .printing import note, write, write_document
from .running import (
    BACKEND,
    FINDINGS,
    USAGE,
    Chosen,
    Refused,
    as_json,
    ask,
    command,
    fail,
    named,
    only,
)
from .waiting import progress
from .walking import infos_of, pages_of, place_for, reach

__all__ = ["COMMANDS"]

#: Keys that are deleted at once.
_AT_ONCE: Final = 500

_yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")


@dataclass
class _Done:
    """What was deleted, or would be.

    Attributes:
        dry_run: Whether nothing was done.
        deleted: Keys.
        missing: Keys that were not there.
        forgotten: Memoized functions whose values are out of date from now on.
    """

    dry_run: bool
    deleted: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    forgotten: list[str] = field(default_factory=list[str])


@command("delete")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--match", metavar="TEXT", help="All keys that contain this text.")
@click.option("--target", metavar="NAME", help="All keys of an endpoint, a function or a fragment.")
@_yes
@_dry_run
@named
@as_json
def delete(
    keys: tuple[str, ...],
    match: str | None,
    target: str | None,
    yes: bool,
    dry_run: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """Delete keys; or all keys with a text in them, or of one target.

    A memoized function is made to forget all its values, as delete_memoized() does. Keys that are
    not there are named, and the command exits with 1.
    """
    if sum([bool(keys), match is not None, target is not None]) != 1:
        fail("give keys, or --match TEXT, or --target NAME", USAGE)
    if match == "":
        fail("--match needs a text; `flask cache clear` deletes everything", USAGE)
    chosen = only(name)
    _refuse_if_apart(chosen)
    place = place_for(chosen)
    reach(place)
    doing = _Deletion(chosen, place, yes, _Done(dry_run))
    if keys:
        doing.these(keys)
    elif match is not None:
        with progress(infos_of(place, match), "Looking") as infos:
            found = [info.key for info in infos]
        doing.all_of(found, f"that contain {match!r}")
    else:
        doing.target(str(target))
    _tell(doing.done, as_json)


def _tell(done: _Done, as_json: bool) -> None:
    if as_json:
        write_document(done)
    else:
        word = "would be deleted" if done.dry_run else "deleted"
        for key in done.deleted:
            write(f"{word}: {visible(key)}")
        for function in done.forgotten:
            write(f"{'would be forgotten' if done.dry_run else 'forgotten'}: {visible(function)}")
    for key in done.missing:
        note(f"there is no key {key!r}")
    if done.missing:
        raise SystemExit(FINDINGS)


@dataclass(frozen=True)
class _Deletion:
    """A deletion in one cache.

    Attributes:
        chosen: The cache.
        place: Where that is looked at.
        yes: Whether not to ask before deleting what nobody named key by key.
        done: What came of it.
    """

    chosen: Chosen
    place: Place
    yes: bool
    done: _Done

    def these(self, keys: Sequence[str]) -> None:
        """Delete keys that somebody named."""
        present: list[str] = []
        for key in dict.fromkeys(keys):
            with ask("has"):
                there = not key.startswith(RESERVED) and self.place.backend.has(key)
            (present if there else self.done.missing).append(key)
        self._delete(present)

    def all_of(self, keys: Sequence[str], words: str) -> None:
        """Delete keys that were found."""
        if not keys:
            note(f"{self.chosen.title} has no keys {words}")
            return
        if not self.done.dry_run:
            number = f"{count(len(keys))} key{'s' if len(keys) > 1 else ''}"
            confirm(f"Delete {number} {words} from {self.chosen.title}?", self.yes)
        self._delete(keys)

    def target(self, name: str) -> None:
        """Delete what belongs to an endpoint, a function or a fragment."""
        policies = self._policies(name)
        memoized = [policy for policy in policies if isinstance(policy, MemoizePolicy)]
        if memoized:
            self._forget(memoized)
            if len(memoized) == len(policies):
                return
        names = {name, *(each for policy in policies for each in self._names(policy))}
        # Nobody can tell by the look of it what a key maker of the application's own made.
        looks = any(_makes_its_own(policy) for policy in policies)
        keys = list(self._keys_of(names, looks))
        if not keys and not policies:
            raise Refused(self._unknown(name))
        self.all_of(keys, f"of {name}")

    def _forget(self, policies: Sequence[MemoizePolicy]) -> None:
        functions = [dotted_name(policy.function) for policy in policies]
        self.done.forgotten.extend(functions)
        if self.done.dry_run:
            return
        confirm(f"Forget all values of {', '.join(functions)}?", self.yes)
        for policy in policies:
            # Also under CACHE_IGNORE_ERRORS: nobody waits for a page here.
            with ask("delete_memoized"):
                for key in policy.version_keys(())[-1:]:
                    policy.renew(self.chosen.state, key)

    def _keys_of(self, names: Collection[str], looks: bool) -> Iterator[str]:
        """The keys that belong to a target.

        Args:
            names: The target's.
            looks: Whether to look into the entries of keys that do not say whose they are.
        """
        inspector = Inspector(self.chosen.cache, self.place.app)
        with progress(pages_of(self.place), "Looking") as pages:
            for page in pages:
                # Anew for each page: they remember every path that they saw.
                rows = Rows(self.place, None)
                for info in page.keys:
                    target = rows.names.of(info.key).target
                    if not target and looks:
                        detail = inspector.key_named(info.key)
                        writer = None if detail is None else detail.written_by
                        target = "" if writer is None else writer.function
                    if target in names:
                        yield info.key

    def _delete(self, keys: Sequence[str]) -> None:
        if self.done.dry_run:
            self.done.deleted.extend(keys)
            return
        inspector = Inspector(self.chosen.cache, self.place.app)
        starts = range(0, len(keys), _AT_ONCE)
        with progress(starts, "Deleting", len(starts)) as parts:
            for start in parts:
                part = keys[start : start + _AT_ONCE]
                gone = inspector.delete(part)
                self.done.deleted.extend(gone)
                if len(gone) < len(part):
                    left = f"{len(part) - len(gone)} of {len(part)} keys could not be deleted"
                    fail(f"{self.chosen.title}: {left}", BACKEND)

    # Who is meant.

    def _names(self, policy: Policy) -> set[str]:
        endpoints = endpoints_of(self.place.app.view_functions, policy.decorated())
        return {dotted_name(policy.function), policy.name, policy.target.name, *endpoints}

    def _policies(self, name: str) -> list[Policy]:
        """The policies of that name; or whose function's name ends so, if that is only one."""
        policies = self.place.registry.policies()
        exact = [policy for policy in policies if name in self._names(policy)]
        if exact:
            return exact
        tail = [p for p in policies if dotted_name(p.function).endswith(f".{name}")]
        return tail if len({dotted_name(policy.function) for policy in tail}) == 1 else []

    def _unknown(self, name: str) -> str:
        known = sorted({n for p in self.place.registry.policies() for n in self._names(p)})
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return (
            f"{self.chosen.title} caches no endpoint, function or fragment called {name!r}.{hint}"
        )


@command("clear")
@_yes
@_dry_run
@named
@as_json
def clear(yes: bool, dry_run: bool, name: str | None, as_json: bool) -> None:
    """Delete everything that a cache holds: all keys under its own prefix, nobody else's."""
    chosen = only(name)
    _refuse_if_apart(chosen)
    place = place_for(chosen)
    reach(place)
    what = _whole(chosen, place)
    number = None
    if dry_run:
        if isinstance(place.backend, SupportsKeys):
            with progress(infos_of(place), "Counting") as infos:
                number = sum(1 for _ in infos)
        shown = "keys that cannot be counted" if number is None else f"{count(number)} keys"
        text = f"would be deleted: {shown} of {what}"
    else:
        confirm(f"Delete everything that {what} holds?", yes)
        if not Inspector(chosen.cache, place.app).clear():
            fail(f"{what} could not be cleared", BACKEND)
        text = f"cleared: {what}"
    if as_json:
        write_document({"dry_run": dry_run, "cleared": not dry_run, "keys": number})
    else:
        write(visible(text))


def _makes_its_own(policy: Policy) -> bool:
    """Whether a key is made by a function of the application's."""
    if isinstance(policy, MemoizePolicy):
        return False
    return policy.custom_key() is not None or callable(policy.options.key_prefix)


def _whole(chosen: Chosen, place: Place) -> str:
    """A cache, so that nobody clears another one than is meant."""
    overview = Inspector(chosen.cache, place.app).overview()
    server = f" at {overview.server}" if overview.server else ""
    prefix = f", prefix {overview.prefix!r}" if overview.prefix else ""
    return f"{chosen.title}{server}{prefix}"


def _refuse_if_apart(chosen: Chosen) -> None:
    if not chosen.state.keeps:
        raise Refused(f"{chosen.title} keeps nothing, so there is nothing to delete.")
    if chosen.apart:
        raise Refused(
            f"{chosen.title} keeps its entries inside each worker, where this command cannot reach "
            "them. Restart the workers, or use a shared store (FileSystemCache, RedisCache, "
            "MemcachedCache)."
        )


def confirm(question: str, yes: bool) -> None:
    """Ask whether to go on, unless that was said already; ends the command if not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Say so with --yes: there is no terminal to ask on.")
    if not click.confirm(visible(question), err=True):
        fail("Nothing was deleted.", FINDINGS)


COMMANDS: Final = {"clear": clear, "delete": delete}
