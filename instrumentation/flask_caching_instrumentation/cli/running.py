"""What the commands have in common: their options, which caches they are about, how they end."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar, cast

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_caching import BackendError, Cache, CacheError
from flask_caching.backends.base import EntryBackend
from flask_caching.errors import backend_error
from flask_caching.parsing import hide_credentials
from flask_caching.state import AppState

from .printing import note, write_document

__all__ = [
    "BACKEND",
    "FINDINGS",
    "USAGE",
    "Chosen",
    "Refused",
    "Task",
    "as_json",
    "ask",
    "command",
    "each",
    "every",
    "fail",
    "named",
    "note_if_apart",
    "only",
    "unreachable",
]

T = TypeVar("T")

#: Where a command's context has the title of the only cache that it is about.
_TITLE: Final = f"{__name__}.title"

#: Packages whose errors are not those of a store's client.
_NO_CLIENTS: Final = frozenset({"builtins", "click", "flask", "jinja2", "werkzeug"})

FINDINGS: Final = 1
USAGE: Final = 2
BACKEND: Final = 3

named = click.option(
    "--name", metavar="NAME", help="The cache with this CACHE_NAME, where there are several."
)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document instead of text."
)


class Refused(Exception):
    """What cannot be done with a cache, and what to do instead."""


class Chosen(NamedTuple):
    """One of the application's caches.

    Attributes:
        name: ``CACHE_NAME``; with a number behind it if an earlier cache has the same.
        cache: The cache.
        state: What the application's cache is made of.
    """

    name: str
    cache: Cache
    state: AppState

    @property
    def title(self) -> str:
        """Its name and its kind, for people."""
        # ``__class__`` is the backend's own, also inside a wrapper.
        return f"{self.name} ({self.state.backend.__class__.__name__})"

    @property
    def apart(self) -> bool:
        """Whether each worker has entries of its own, which this process cannot reach."""
        backend: object = self.state.backend
        return not self.state.keeps or (isinstance(backend, EntryBackend) and not self.state.shared)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function: in an application's context, its failures as exit codes.

    Its help is the function's docstring.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        inside = with_appcontext(function)

        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> None:
            if os.environ.get("NO_COLOR"):
                click.get_current_context().color = False
            try:
                inside(*args, **options)
            except BackendError as error:
                title: str = click.get_current_context().meta.get(_TITLE, "the cache")
                fail(unreachable(title, error), BACKEND)
            except (CacheError, Refused) as error:
                fail(str(error), USAGE)

        return click.command(name)(run)

    return decorate


def unreachable(title: str, error: BackendError) -> str:
    """What to say of a store that failed."""
    return f"{title} cannot be reached: {hide_credentials(str(error)).rstrip('.')}."


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    note(message)
    raise SystemExit(code)


# Which caches.


def _choices() -> list[Chosen]:
    states = cast("dict[Cache, AppState]", current_app.extensions.get("flask_caching", {}))
    if not states:
        fail("this application has no cache; call cache.init_app(app)", USAGE)
    found: dict[str, Chosen] = {}
    for cache, state in states.items():
        name, number = state.config.name, 1
        while name in found:
            # As on the debug pages.
            number += 1
            name = f"{state.config.name}-{number}"
        found[name] = Chosen(name, cache, state)
    return list(found.values())


def every(name: str | None) -> list[Chosen]:
    """The application's caches, or those called ``name``."""
    choices = _choices()
    chosen = [each for each in choices if name in (None, each.state.config.name)]
    chosen = chosen or [each for each in choices if each.name == name]
    if not chosen:
        names = ", ".join(sorted(each.name for each in choices))
        fail(f"this application has no cache called {name!r}; it has {names}", USAGE)
    return chosen


def only(name: str | None) -> Chosen:
    """The cache called ``name``, or the only one that there is."""
    chosen = every(name)
    if len(chosen) > 1 and name is not None:
        # Several of one name: the first has no number behind it.
        chosen = [each for each in chosen if each.name == name]
    if len(chosen) > 1:
        names = ", ".join(sorted(each.name for each in chosen))
        fail(f"this application has several caches: {names}. Choose one with --name.", USAGE)
    click.get_current_context().meta[_TITLE] = chosen[0].title
    return chosen[0]


def note_if_apart(chosen: Chosen) -> None:
    """Say so where what this process sees of a cache is not what the workers have."""
    if not chosen.state.keeps:
        note(f"{chosen.title} keeps nothing.")
    elif chosen.apart:
        note(
            f"{chosen.title} keeps its entries inside each worker; what is shown are those of this "
            "command, which has none."
        )


# Asking.


@contextmanager
def ask(operation: str) -> Generator[None, None, None]:
    """Turn what the store's client raises, while inside, into a :class:`BackendError`.

    An error that is none of a client's, nor of the system, is a mistake of somebody's, and stays
    what it is.
    What the application's own code prints meanwhile goes to stderr: it is no part of the data.

    Args:
        operation: What is being done, for the message.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (CacheError, Refused, click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if isinstance(error, OSError) or package not in _NO_CLIENTS:
            raise backend_error(operation, error) from error
        raise


@dataclass(frozen=True)
class Task(Generic[T]):
    """What a command does with each cache.

    Attributes:
        operation: What it is called, for the message if the store fails.
        look: Does it; returns plain data, or a dataclass of it.
        show: Prints that, for people.
        code_of: The exit code that it amounts to.
        advice: What else to say if the store fails.
    """

    operation: str
    look: Callable[[Chosen], T]
    show: Callable[[Chosen, T], None]
    code_of: Callable[[T], int] = lambda _: 0
    advice: str = ""


def each(task: Task[Any], name: str | None, as_json: bool) -> None:
    """Do something with every cache, also if it fails with one.

    Ends with the worst exit code. As JSON it is one object by the caches' names, or what was asked
    for of the one that was named; a cache that failed has an ``error`` in its place.

    Args:
        task: What to do.
        name: The only cache to do it with, if any.
        as_json: Whether to write JSON.
    """
    worst = 0
    documents: dict[str, Any] = {}
    for chosen in every(name):
        seen, message, code = _tried(task, chosen)
        worst = max(worst, code)
        if message:
            note(message)
        elif not as_json:
            task.show(chosen, seen)
        documents[chosen.name] = {"error": message} if message else seen
    if as_json:
        alone = name is not None and len(documents) == 1
        write_document(documents.popitem()[1] if alone else documents)
    if worst:
        raise SystemExit(worst)


def _tried(task: Task[Any], chosen: Chosen) -> tuple[Any, str, int]:
    """What a task saw, or why it could not; and the exit code."""
    try:
        with ask(task.operation):
            seen = task.look(chosen)
    except BackendError as error:
        message = unreachable(chosen.title, error)
        return None, f"{message} {task.advice}".rstrip(), BACKEND
    except Refused as error:
        return None, str(error), USAGE
    except CacheError as error:
        return None, f"{chosen.title}: {error}", USAGE
    return seen, "", task.code_of(seen)
