"""Many threads at once: what must be one step is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .hooks import Hooks, show

__all__ = ["ThreadChecks"]

T = TypeVar("T")

_THREADS = 8
_ROUNDS = 25


class ThreadChecks(Hooks):
    """Between threads, and between instances where there is a twin."""

    def test_one_add_wins(self) -> None:
        """Of threads that add one key at the same time, exactly one is told that it did."""
        askers = self._askers()

        def add_all(number: int) -> list[bool]:
            backend = askers[number % len(askers)]
            return [bool(backend.add(f"key {turn}", number)) for turn in range(_ROUNDS)]

        answers = together(_THREADS, add_all)
        for turn in range(_ROUNDS):
            winners = [number for number in range(_THREADS) if answers[number][turn]]
            assert len(winners) == 1, (
                f"{len(winners)} of {_THREADS} threads were told that their add() stored; use one "
                "atomic operation of the store, or a lock"
            )
            self.expect(f"key {turn}", winners[0], "the value is the winner's")

    def test_no_count_is_lost(self) -> None:
        """Threads that count one key together get each number once."""
        askers = self._askers()

        def count(number: int) -> list[int]:
            backend = askers[number % len(askers)]
            return [backend.inc("counter") for _ in range(_ROUNDS)]

        seen = sorted(n for numbers in together(_THREADS, count) for n in numbers)
        assert seen == list(range(1, _THREADS * _ROUNDS + 1)), (
            f"{_THREADS * _ROUNDS} inc() gave {len(set(seen))} different numbers, the highest "
            f"{seen[-1]}; count in one atomic operation of the store, or under a lock"
        )

    def test_no_count_below_zero_is_lost(self) -> None:
        """The same downwards, over zero."""
        askers = self._askers()
        self.put("counter", _ROUNDS)

        def count(number: int) -> list[int]:
            backend = askers[number % len(askers)]
            return [backend.dec("counter") for _ in range(_ROUNDS)]

        seen = sorted(n for numbers in together(_THREADS, count) for n in numbers)
        low = _ROUNDS - _THREADS * _ROUNDS
        assert seen == list(range(low, _ROUNDS)), (
            f"{_THREADS * _ROUNDS} dec() gave {len(set(seen))} different numbers, the lowest "
            f"{seen[0]} instead of {low}"
        )

    def test_no_reader_sees_half_a_value(self) -> None:
        """While values are replaced, a reader gets one of them, whole, and never another key's."""
        askers = self._askers()
        letters = [chr(ord("a") + number) for number in range(_THREADS)]

        def write_or_read(number: int) -> list[str]:
            backend = askers[number % len(askers)]
            wrong: list[str] = []
            for turn in range(_ROUNDS):
                if number % 2:
                    text = letters[number] * (1000 + 97 * turn)
                    backend.set_many({"one": f"one {text}", "two": f"two {text}"})
                for key, value in backend.get_dict("one", "two").items():
                    if value is not None and not _is_whole(key, value):
                        wrong.append(f"{key}: {show(value)}")
            return wrong

        torn = [value for values in together(_THREADS, write_or_read) for value in values]
        assert not torn, f"a reader got half a value, or another key's: {torn[:3]}"

    def _askers(self) -> list[Any]:
        """The backend, and its twin if there is one."""
        backend = self.backend
        twin = self.make_twin()
        return [backend] if twin is None else [backend, self.opened(twin)]


def _is_whole(key: str, value: str) -> bool:
    name, _, text = value.partition(" ")
    return name == key and len(set(text)) == 1 and (len(text) - 1000) % 97 == 0


def together(count: int, run: Callable[[int], T]) -> list[T]:
    """What ``run(number)`` returned in each of that many threads, begun at the same moment.

    Raises:
        Exception: The first that one of them raised.
    """
    barrier = threading.Barrier(count)
    answers: dict[int, T] = {}
    errors: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            barrier.wait(30)
            answers[number] = run(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [answers[number] for number in range(count)]
