"""What the checks have in common: the audit's context, and making a finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from flask_caching.registry import Policy

from ..inspection.places import Place
from .asking import Answer, Asker, demonstrate
from .catalogue import rule
from .model import Finding
from .written import Where, name_of, where

__all__ = ["Audit"]


@dataclass
class Audit:
    """One audit under way.

    Attributes:
        place: The cache and the application.
        asker: Asks for keys.
        findings: What was found so far.
        notes: What a reader should know of the audit, each once.
    """

    place: Place
    asker: Asker
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: dict[str, None] = field(default_factory=dict[str, None])
    _told: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])

    def find(
        self,
        rule_id: str,
        target: str,
        policy: Policy | None,
        message: str,
        *,
        answers: tuple[Answer, Answer] | None = None,
        about: str = "",
        place: Where | None = None,
        advice: str = "",
        **details: Any,
    ) -> None:
        """Note a finding, unless another rule of the same endpoint had it before.

        Args:
            rule_id: Its rule.
            target: The endpoint or function.
            policy: Of the function; ``None`` where there is none (a template fragment).
            message: A sentence.
            answers: Two that demonstrate it.
            about: The argument or input.
            place: Where it is written; ``None`` for where the function is.
            advice: What to write; empty for the rule's own.
            details: What the rule's advice needs.
        """
        kind = rule(rule_id)
        if (rule_id, target, about, message) in self._told:
            return
        self._told.add((rule_id, target, about, message))
        place = place or (where(policy.function) if policy else Where())
        self.findings.append(
            Finding(
                rule=kind.id,
                level=kind.level,
                target=target,
                function=name_of(policy) if policy else "",
                file=place.file,
                line=place.line,
                message=message,
                advice=advice or kind.advice.format(**details),
                input=about,
                demonstration=demonstrate(self.asker, *answers) if answers else None,
            )
        )

    def refused(self, one: Answer, other: Answer) -> str:
        """What comes of two requests with one key that have different hosts; else empty.

        Where the application matches hosts, an entry made under another one is never served.
        """
        hosts = {urlsplit(answer.asked.url).netloc for answer in (one, other)}
        if len(hosts) < 2 or not self.place.state.refuses_other_hosts:
            return ""
        return "; what was stored under another host is refused, so each replaces the other"

    def note(self, sentence: str) -> None:
        """Note something about the audit itself, once."""
        self.notes.setdefault(sentence)
