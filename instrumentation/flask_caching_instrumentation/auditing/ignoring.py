"""Findings that a person has looked at and does not want to see again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from .catalogue import RULES
from .model import Finding

__all__ = ["check_patterns", "sift"]


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Patterns of what to ignore, if each can match something.

    Args:
        patterns: Rules (``truncated``), rules at a target (``truncated:shop.product``), and either
            with ``*``, ``?`` and ``[...]`` as in file names (``*:admin.*``).

    Raises:
        TypeError: If they are one text.
        ValueError: If one names no rule: by a mistake in writing nothing would be ignored.
    """
    if isinstance(patterns, str):
        raise TypeError(f"ignore is the text {patterns!r}; pass a list of patterns")
    checked = tuple(patterns)
    for pattern in checked:
        named = pattern.partition(":")[0]
        if not any(fnmatchcase(rule, named) for rule in RULES):
            raise ValueError(
                f"ignore has {pattern!r}, which names no rule; the rules are {', '.join(RULES)}"
            )
    return checked


def sift(
    findings: Iterable[Finding], patterns: Sequence[str]
) -> tuple[list[Finding], dict[str, int]]:
    """The findings that no pattern matches, and how many each pattern did."""
    kept: list[Finding] = []
    ignored: Counter[str] = Counter()
    for finding in findings:
        names = (finding.rule, f"{finding.rule}:{finding.target}")
        matching = (
            pattern for pattern in patterns if any(fnmatchcase(name, pattern) for name in names)
        )
        pattern = next(matching, None)
        if pattern is None:
            kept.append(finding)
        else:
            ignored[pattern] += 1
    return kept, dict(ignored)
