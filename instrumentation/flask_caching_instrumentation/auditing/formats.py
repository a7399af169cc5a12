"""An audit's report as text for a terminal, as JSON, as SARIF and as JUnit's XML."""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from ..inspection.text import visible
from .catalogue import RULES
from .model import AuditReport, Demonstration, Finding, Shown

__all__ = ["FORMATS", "as_json", "as_junit", "as_sarif", "as_text"]

_SARIF_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_WIDTH: Final = 96

#: The rule that nearly every view has a finding of.
_FOR_EACH: Final = "not-in-key"

#: The longest URL or value that the text shows, in characters.
_SHOWN: Final = 120


# Text.


def as_text(report: AuditReport) -> str:
    """For a terminal: errors first, by target; what was checked at the end."""
    lines: list[str] = []
    for level, title in (("error", "Errors"), ("information", "Information")):
        found = [finding for finding in report.findings if finding.level == level]
        if found:
            lines += [f"{title} ({len(found)})", ""]
        alike = [finding for finding in found if finding.rule == _FOR_EACH]
        others = [finding for finding in found if finding.rule != _FOR_EACH]
        for target, of_target in groupby(others, key=lambda finding: finding.target):
            lines.append(f"  {visible(target)}")
            for finding in of_target:
                lines += [*_finding_lines(finding), ""]
        if alike:
            lines += [*_gathered_lines(alike), ""]
    return "\n".join([*lines, *_summary(report)]) + "\n"


def _finding_lines(finding: Finding) -> Iterable[str]:
    where = f"  {finding.file}:{finding.line}" if finding.file else ""
    yield f"    {finding.rule}{where}"
    yield from _wrapped(visible(finding.message), "      ")
    if finding.demonstration is not None:
        yield from _demonstration_lines(finding.demonstration)
    if finding.level == "error":
        for line in finding.advice.splitlines():
            yield from _wrapped(visible(line), "      > ", "        ")


def _gathered_lines(findings: Sequence[Finding]) -> Iterable[str]:
    """Findings that nearly every view has, once for each message."""
    by_message: dict[str, dict[str, None]] = {}
    for finding in findings:
        by_message.setdefault(finding.message, {}).setdefault(finding.target)
    yield f"  {_FOR_EACH}"
    for message, targets in by_message.items():
        yield from _wrapped(visible(", ".join(targets)), "    ")
        yield from _wrapped(visible(message), "      ")


def _demonstration_lines(demonstration: Demonstration) -> Iterable[str]:
    for shown in (demonstration.first, demonstration.second):
        yield f"        {visible(_short(describe(shown)))}"
    if demonstration.other_key:
        yield f"        keys {visible(_short(demonstration.key))}"
        yield f"         and {visible(_short(demonstration.other_key))}"
    else:
        yield f"        key  {visible(_short(demonstration.key))}"
    if demonstration.command:
        yield f"        $ {visible(demonstration.command)}"


def describe(shown: Shown) -> str:
    """A request, or a call, in one line."""
    parts: list[str] = [shown.call] if shown.call else []
    request = shown.request
    if request is not None and not (shown.call and request.url == "/"):
        parts.append(f"{request.method} {request.url}")
    if request is not None:
        parts += [f"{name}: {value}" for name, value in request.headers]
        settings = {name for name, _ in request.cookies if "session[" in shown.setting}
        parts += [
            f"cookie {name}={value}" for name, value in request.cookies if name not in settings
        ]
        if request.body:
            parts.append(f"body {request.body}")
    return "  ".join([*parts, shown.setting] if shown.setting else parts)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def _wrapped(text: str, indent: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(report: AuditReport) -> Iterable[str]:
    yield f"{_plural(len(report.errors), 'error')}, {len(report.information)} for information"
    yield (
        f"cache {report.cache!r}: {_plural(report.routes, 'route')} and "
        f"{_plural(report.functions, 'function')} checked by {_plural(report.requests, 'request')} "
        f"made up in {report.seconds:.1f} s"
    )
    if report.ignored:
        ignored = [f"{pattern} ({times})" for pattern, times in report.ignored.items()]
        yield f"ignored: {', '.join(ignored)}"
    for note in report.notes:
        yield from _wrapped(visible(f"note: {note}"), "", "  ")


def _plural(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


# JSON.


def as_json(report: AuditReport) -> str:
    """One JSON document: the report's fields."""
    return json.dumps({**asdict(report), "errors": len(report.errors)}, indent=2) + "\n"


# SARIF 2.1.0.


def as_sarif(report: AuditReport) -> str:
    """A SARIF log, which code hosts show next to the code."""
    used = dict.fromkeys(finding.rule for finding in report.findings)
    order = {rule_id: number for number, rule_id in enumerate(used)}
    run: dict[str, Any] = {
        "tool": {"driver": _driver(used)},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The working directory."}}},
        "results": [_result(finding, order[finding.rule]) for finding in report.findings],
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": note}} for note in report.notes
                ],
            }
        ],
        "properties": {
            "cache": report.cache,
            "routes": report.routes,
            "functions": report.functions,
            "requests": report.requests,
            "seconds": report.seconds,
            "ignored": dict(report.ignored),
        },
    }
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def _driver(rules: Iterable[str]) -> dict[str, Any]:
    return {
        "name": "flask-caching audit",
        "semanticVersion": _version(),
        "informationUri": "https://flask-caching.readthedocs.io/",
        "rules": [_sarif_rule(rule_id) for rule_id in rules],
    }


def _version() -> str:
    """Our version as three numbers, as semantic versions have."""
    try:
        numbers = re.findall(r"\d+", version("Flask-Caching"))
    except PackageNotFoundError:
        # Run from a source tree that was not installed.
        numbers = []
    return ".".join([*numbers, "0", "0", "0"][:3])


def _sarif_rule(rule_id: str) -> dict[str, Any]:
    rule = RULES[rule_id]
    name = "".join(word.capitalize() for word in rule_id.split("-"))
    return {
        "id": rule_id,
        "name": name,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": rule.explanation},
        "defaultConfiguration": {"level": _sarif_level(rule.level)},
    }


def _sarif_level(level: str) -> str:
    return "error" if level == "error" else "note"


def _result(finding: Finding, index: int) -> dict[str, Any]:
    text = f"{finding.target}: {finding.message}. Instead: {finding.advice}"
    demonstration = finding.demonstration
    if demonstration is not None:
        first, second = describe(demonstration.first), describe(demonstration.second)
        text += f" Shown by: {first} / {second}"
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": finding.function or finding.target}]
    }
    if finding.file:
        location["physicalLocation"] = _physical(finding)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _sarif_level(finding.level),
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"flaskCachingAudit/v1": fingerprint(finding)},
    }
    properties = {"target": finding.target, "input": finding.input}
    if demonstration is not None:
        properties |= {"key": demonstration.key, "command": demonstration.command}
    result["properties"] = properties
    return result


def _physical(finding: Finding) -> dict[str, Any]:
    path = Path(finding.file)
    if path.is_absolute():
        artifact = {"uri": path.as_uri()}
    else:
        artifact = {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}
    return {"artifactLocation": artifact, "region": {"startLine": finding.line or 1}}


def fingerprint(finding: Finding) -> str:
    """Tells a finding from others, in whichever line it is by now."""
    parts = [finding.rule, finding.target, finding.function, finding.input]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# JUnit.


def as_junit(report: AuditReport) -> str:
    """JUnit's XML: an error is a failure, information is a test that passed with output."""
    cases = [_case(finding) for finding in report.findings]
    if not cases:
        cases = ['    <testcase classname="flask-caching audit" name="nothing found"/>']
    total, failures = len(cases), len(report.errors)
    numbers = f'tests="{total}" failures="{failures}" errors="0" skipped="0"'
    notes = "\n".join([*_summary(report)])
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            f'<testsuites name="flask-caching audit" {numbers} time="{report.seconds:.3f}">',
            f'  <testsuite name={_attribute(report.cache)} {numbers} time="{report.seconds:.3f}">',
            *cases,
            f"    <system-out>{_xml(notes)}</system-out>",
            "  </testsuite>",
            "</testsuites>",
            "",
        ]
    )


def _case(finding: Finding) -> str:
    name = f"{finding.rule} {finding.input}".strip()
    place = ""
    if finding.file:
        place = f' file={_attribute(finding.file)} line="{finding.line or 1}"'
    head = f"    <testcase classname={_attribute(finding.target)} name={_attribute(name)}{place}>"
    body = _xml("\n".join(_finding_lines(finding)))
    if finding.level == "error":
        kind = _attribute(finding.rule)
        inner = f"<failure message={_attribute(finding.message)} type={kind}>{body}</failure>"
    else:
        inner = f"<system-out>{body}</system-out>"
    return f"{head}{inner}</testcase>"


def _xml(text: str) -> str:
    """A text in XML, which has no way to write most control characters."""
    return escape("\n".join(map(visible, text.split("\n"))))


def _attribute(text: str) -> str:
    return quoteattr(visible(text))


#: How to write a report, by the name of the format.
FORMATS: Final[Mapping[str, Callable[[AuditReport], str]]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
}
