"""What an audit found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..inspection.model import RequestSpec

__all__ = ["AuditReport", "Demonstration", "Finding", "Level", "Shown"]

#: ``error``: a wrong answer waits to be served, so that a build should fail. ``information``: what
#: a person should know.
Level: TypeAlias = Literal["error", "information"]


@dataclass(frozen=True)
class Shown:
    """A request, or a call, of a demonstration.

    Attributes:
        request: The request; ``None`` for a call outside any.
        call: The call as one would write it; empty for a request to a view.
        setting: What a request cannot say (``g.user = 'first'``, the peer's address); empty if
            nothing.
    """

    request: RequestSpec | None = None
    call: str = ""
    setting: str = ""


@dataclass(frozen=True)
class Demonstration:
    """Two requests that differ, and the key they share.

    Attributes:
        first: A request.
        second: Another one.
        key: The key of the first.
        other_key: The key of the second, where the mistake is that it is another one; else empty.
        command: What to type to see the same, where ``flask cache compare``, or ``explain`` of
            each, can show it.
    """

    first: Shown
    second: Shown
    key: str
    other_key: str = ""
    command: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or to be known.

    Attributes:
        rule: What kind of thing, see ``flask cache audit``'s page in the manual.
        level: Whether it should fail a build.
        target: The endpoint; of what has none, the function or template fragment.
        function: The cached function's module and qualified name.
        file: Where that is, relative to the working directory if it is below that; else absolute.
            Empty where there is no source.
        line: Its first line; ``None`` where there is no source.
        message: What is wrong, in a sentence.
        advice: What to write instead.
        input: The argument or input that it is about (``id``, ``query:page``,
            ``header:Accept``, ``session:user_id``); empty if it is about none.
        demonstration: Shows that it is so; ``None`` where the finding is not about keys.
    """

    rule: str
    level: Level
    target: str
    function: str
    file: str
    line: int | None
    message: str
    advice: str
    input: str = ""
    demonstration: Demonstration | None = None


@dataclass(frozen=True)
class AuditReport:
    """All that an audit found.

    Attributes:
        cache: ``CACHE_NAME``.
        findings: Errors first, then by target.
        ignored: How many findings were left out, by what they were ignored for.
        routes: Rules of cached views that were checked.
        functions: Other decorated functions that were checked.
        requests: Requests and calls that were made up for it.
        executed: Whether the views were run as well.
        seconds: How long it took.
        notes: What a reader should know of the audit itself.
    """

    cache: str
    findings: Sequence[Finding]
    ignored: Mapping[str, int] = field(default_factory=dict[str, int])
    routes: int = 0
    functions: int = 0
    requests: int = 0
    executed: bool = False
    seconds: float = 0.0
    notes: Sequence[str] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that should fail a build."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def information(self) -> tuple[Finding, ...]:
        """The findings that are only to be known."""
        return tuple(finding for finding in self.findings if finding.level == "information")
