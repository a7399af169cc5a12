"""Progress bars around work that may take long: on stderr, and only for a person."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

__all__ = ["Bar", "progress"]

T = TypeVar("T")

#: Seconds that nobody needs to be told to wait for.
_SHORT: Final = 0.5


class Bar:
    """A progress bar that is there once work has taken long enough.

    Args:
        label: What is being done.
        clock: Monotonic seconds, for tests.
    """

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._clock = clock
        self._shown_from = clock() + _SHORT
        self._wanted = sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)

    def move(self, done: int, total: int | None = None) -> None:
        """Show that so much is done, of how much if that is known."""
        if not self._wanted or self._clock() < self._shown_from:
            return
        if self._bar is None:
            options: dict[str, Any] = {"label": self._label, "show_pos": True, "file": sys.stderr}
            if total is None:
                options["iterable"] = iter(())
            else:
                options["length"] = total
            bar: Any = click.progressbar(**options)
            # Click 7 waits for another while by itself.
            bar.short_limit = -1.0
            self._bar = bar.__enter__()
        self._bar.update(done - self._bar.pos)


@contextmanager
def progress(
    items: Iterable[T], label: str, length: int | None = None
) -> Generator[Iterator[T], None, None]:
    """The items, which are worked through behind a :class:`Bar`.

    Args:
        items: What is worked through.
        label: What is being done.
        length: How many items there are, if that is known.
    """

    def counted(bar: Bar) -> Iterator[T]:
        for number, item in enumerate(items, 1):
            yield item
            bar.move(number, length)

    with Bar(label) as bar:
        yield counted(bar)
