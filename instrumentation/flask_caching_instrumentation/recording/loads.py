"""The loads under way that are recorded, and which of them a read counts for."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import Template

from flask_caching.contexts import current_request
from flask_caching.observer import Load

from .callers import Reader, caller, in_copied_context
from .inputs import Group
from .templates import Processor, depends

__all__ = [
    "Notebook",
    "OpenLoad",
    "current_loads",
    "enter",
    "leave",
    "loads_around",
    "notebook_of",
    "notebooks",
    "unnoted",
]

#: The recorded loads that the current thread, task or greenlet is inside of, the outermost first.
#: ``None`` where it never was in one: it may be a thread that a recorded function has started.
_current: ContextVar[tuple[OpenLoad, ...] | None] = ContextVar(
    "flask_caching_recorded", default=None
)


class OpenLoad:
    """What is read for one value while it is loaded.

    Args:
        load: The load.
        notebook: Where reads of its request are noted.
        given: What there was before it, by the prefix of the inputs' names (``g``, ``request``).
        counts: Whether anybody wants to know; not for one that only stands between two others.

    Attributes:
        names: The inputs that were read so far.
        absent: Names that were asked for and not there, as ``(prefix, name)``.
        written: What the load has set itself, likewise: reading that is no input.
        settling: Whether the function has returned. Its value is stored then, and if that is a
            generator it still reads.
        is_first: Whether the thread, task or greenlet was not inside of another one.
    """

    def __init__(
        self, load: Load, notebook: Notebook, given: Mapping[str, Container[str]], counts: bool
    ) -> None:
        self.load = load
        self.notebook = notebook
        self.given = given
        self.counts = counts
        self.names: set[str] = set()
        self.absent: set[tuple[str, str]] = set()
        self.written: set[tuple[str, str]] = set()
        self.settling = False
        self.is_first = True
        self._put_aside: list[tuple[Processor, set[str]]] = []

    def page(self, processor: Processor | None) -> set[str]:
        """Where to note what is read; what a context processor reads may not count after all."""
        if processor is None:
            return self.names
        for known, names in self._put_aside:
            if known.function is processor.function and known.context is processor.context:
                return names
        self._put_aside.append((processor, set()))
        return self._put_aside[-1][1]

    def rendering(self, template: Template, context: dict[str, Any]) -> None:
        """A template is about to be rendered; what it depends on counts."""
        left: list[tuple[Processor, set[str]]] = []
        for processor, names in self._put_aside:
            if processor.context is not context:
                left.append((processor, names))
            elif depends(template, processor):
                self.names |= names
        self._put_aside = left

    def finish(self, members: Container[str]) -> None:
        """The load has ended.

        Args:
            members: The names that :data:`flask.g` has now: what was asked of it in vain, and is
                still missing, counts.
        """
        for _, names in self._put_aside:
            # For a template that somebody has rendered without Flask's help.
            self.names |= names
        for prefix, name in self.absent:
            if (prefix, name) not in self.written and name not in members:
                self.names.add(f"{prefix}:{name}")

    def took_over(self, names: Iterable[str]) -> None:
        """A value was used that depends on these inputs."""
        for name in names:
            prefix, _, key = name.partition(":")
            if (prefix, key) in self.written:
                continue
            if prefix not in self.given or key in self.given[prefix]:
                self.names.add(name)


class Notebook:
    """Where the reads of one request are noted, as long as it has recorded loads.

    Attributes:
        request: The request.
        loads: Those of all threads.
    """

    def __init__(self, request: Any) -> None:
        self.request = request
        self.loads: tuple[OpenLoad, ...] = ()

    def watch(self, mapping: Any, group: Group) -> bool:
        """Have a mapping note what is asked of it; false if it cannot."""
        raise NotImplementedError

    def stand_in(self, real: Any, group: Group) -> Any:
        """What notes what is asked of a plain dictionary, in its place."""
        raise NotImplementedError

    def note(self, *names: str) -> None:
        """Inputs were read."""
        for _, page, own in self._readers():
            page.update(name for name in names if name not in own)

    def note_key(self, group: Group, key: Any, *, order: bool = False) -> None:
        """One key of a mapping was read."""
        names = group.names(key, order=order)
        for load, page, own in self._readers():
            if (group.prefix, key) not in load.written:
                page.update(name for name in names if name not in own)

    def note_given(self, prefix: str, name: str, there: bool) -> None:
        """Something was read that is an input only if it was there before the load."""
        for load, page, _ in self._readers():
            if (prefix, name) in load.written:
                continue
            if name in load.given[prefix]:
                page.add(f"{prefix}:{name}")
            elif not there:
                load.absent.add((prefix, name))

    def note_set(self, prefix: str, key: Any) -> None:
        """A function that is loaded has set something itself."""
        for load in self._loads_here():
            load.written.add((prefix, key))

    def _readers(self) -> Sequence[tuple[OpenLoad, set[str], Container[str]]]:
        """The loads that a read counts for, where to note it, and what not to note."""
        loads = self._loads_here()
        if not loads:
            return ()
        who = caller()
        if who.reader is Reader.LIBRARY:
            return ()
        if who.reader is Reader.OTHER:
            loads = tuple(load for load in loads if not load.settling)
        return [(load, load.page(who.processor), who.own) for load in loads]

    def _loads_here(self) -> tuple[OpenLoad, ...]:
        return tuple(load for load in loads_around(self.request) if load.notebook is self)


def current_loads() -> tuple[OpenLoad, ...]:
    """The recorded loads that the caller is inside of, the outermost first."""
    return _current.get() or ()


def loads_around(request: Any) -> tuple[OpenLoad, ...]:
    """:func:`current_loads`, also for a thread that one of those has started.

    Args:
        request: The current request.
    """
    loads = _current.get()
    if loads is not None or not notebooks:
        return loads or ()
    notebook = notebooks.get(id(request))
    # What Flask runs in a copy of the request's context is a part of what has asked for that. In
    # any other thread there may be something else that is done for the same request.
    if notebook is None or current_request() is not request or not in_copied_context():
        return ()
    return tuple(load for load in notebook.loads if not load.settling)


def enter(load: OpenLoad) -> None:
    """From now on reads count for ``load`` as well."""
    load.is_first = _current.get() is None
    _current.set((*loads_around(load.notebook.request), load))


def leave(load: OpenLoad) -> None:
    """Undo :func:`enter`."""
    loads = current_loads()
    if load in loads:
        left = tuple(each for each in loads if each is not load)
        _current.set(None if load.is_first else left)


@contextmanager
def unnoted() -> Generator[None]:
    """Note nothing inside the block: the library reads what is noted by another name."""
    token = _current.set(())
    try:
        yield
    finally:
        _current.reset(token)


#: Whatever notes what is asked of it, by its ``id``, and where. The notebook's request keeps it
#: alive, so that no other object has the same ``id`` meanwhile.
notebooks: dict[int, Notebook] = {}


def notebook_of(watched: object) -> Notebook | None:
    """Where to note what is asked of an object; ``None`` if nobody wants to know any more."""
    return notebooks.get(id(watched))
