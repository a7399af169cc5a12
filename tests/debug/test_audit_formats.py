"""The audit's report as text, JSON, SARIF and JUnit's XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audited_apps import bad_app, good_app
from flask import Flask

from flask_caching import Cache
from flask_caching_instrumentation.auditing import (
    FORMATS,
    RULES,
    AuditReport,
    Demonstration,
    Finding,
    Shown,
    audit,
)
from flask_caching_instrumentation.inspection.model import RequestSpec

HOSTILE = "<script>\x1b[31m\u202e]]>&\"'\n\x00\ud800"


@pytest.fixture(scope="module")
def bad() -> AuditReport:
    """What was found in the bad application, which has a finding of each kind."""
    with pytest.warns(UserWarning, match="leads past its cache"):
        _, cache = bad_app(CACHE_INSTRUMENTATION=None)
    return audit(cache, execute=True, ignore=["rounded"])


@pytest.fixture(scope="module")
def hostile() -> AuditReport:
    """A finding whose every text is hostile."""
    shown = Shown(RequestSpec(f"/{HOSTILE}", headers=((HOSTILE, HOSTILE),)), HOSTILE, HOSTILE)
    finding = Finding(
        rule="truncated",
        level="error",
        target=HOSTILE,
        function=HOSTILE,
        file="shop/views with spaces.py",
        line=3,
        message=HOSTILE,
        advice=HOSTILE,
        input=HOSTILE,
        demonstration=Demonstration(shown, shown, HOSTILE, HOSTILE, HOSTILE),
    )
    outside = replace(finding, file="", line=None, demonstration=None, level="information")
    return AuditReport(HOSTILE, (finding, outside), notes=(HOSTILE,))


@pytest.fixture(scope="module")
def nothing() -> AuditReport:
    """No findings at all."""
    cache = Cache(
        Flask("empty"), config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None}
    )
    return audit(cache)


# Text.


def test_text_has_errors_first_with_two_requests_and_their_key(bad: AuditReport) -> None:
    """What a person needs, by target, and how many there are."""
    text = FORMATS["text"](bad)
    errors, information = text.index("Errors ("), text.index("Information (")
    assert errors < information
    finding = text[text.index("  constant\n") : text.index("  cut\n")]
    assert finding.splitlines()[1].startswith("    constant-key  ")
    for line in ("GET /product/1", "GET /product/2", "key  product"):
        assert f"        {line}\n" in finding
    assert "        $ flask cache compare /product/1 /product/2\n" in finding
    assert '      > key_prefix="product/%s"' in finding
    assert f"{len(bad.errors)} errors, {len(bad.information)} for information" in text
    assert "ignored: rounded (1)" in text


def test_text_is_no_wider_than_a_terminal_and_gathers_what_all_views_have(
    bad: AuditReport,
) -> None:
    """But for requests and keys; each list of inputs once, with the views that it is true of."""
    lines = FORMATS["text"](bad).splitlines()
    assert max(len(line) for line in lines if not line.startswith(" " * 8)) <= 100
    assert sum(line == "  not-in-key" for line in lines) == 1


def test_text_shows_what_is_hostile_and_does_not_pass_it_on(hostile: AuditReport) -> None:
    """Escape sequences, bidirectional marks and the like."""
    text = FORMATS["text"](hostile)
    assert text.isprintable() or set(filter(lambda char: not char.isprintable(), text)) == {"\n"}
    assert "\\x1b[31m" in text


# JSON.


def test_json_is_the_report(bad: AuditReport) -> None:
    """Every finding with its demonstration, as the fields are called."""
    document = json.loads(FORMATS["json"](bad))
    assert document["errors"] == len(bad.errors)
    assert len(document["findings"]) == len(bad.findings)
    first = document["findings"][0]
    assert set(first) == set(Finding.__dataclass_fields__)
    (constant,) = [each for each in document["findings"] if each["rule"] == "constant-key"]
    shown = constant["demonstration"]
    assert [shown[each]["request"]["url"] for each in ("first", "second")] == [
        "/product/1",
        "/product/2",
    ]
    assert document["ignored"] == {"rounded": 1}


# SARIF.

_TEXT: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
_ARTIFACT: dict[str, Any] = {
    "type": "object",
    "required": ["uri"],
    "properties": {
        "uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~!$&'()*+,;=:@%/-]+$"},
        "uriBaseId": {"const": "%SRCROOT%"},
    },
    "additionalProperties": False,
}
_LOCATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "properties": {
                "artifactLocation": _ARTIFACT,
                "region": {
                    "type": "object",
                    "properties": {"startLine": {"type": "integer", "minimum": 1}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "logicalLocations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"fullyQualifiedName": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_RULE: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "shortDescription": _TEXT,
        "fullDescription": _TEXT,
        "help": _TEXT,
        "defaultConfiguration": {
            "type": "object",
            "properties": {"level": _LEVEL},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["message", "ruleId", "level", "locations", "partialFingerprints"],
    "properties": {
        "ruleId": {"enum": list(RULES)},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": _LEVEL,
        "message": _TEXT,
        "locations": {"type": "array", "minItems": 1, "items": _LOCATION},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
    },
    "additionalProperties": False,
}
#: What SARIF 2.1.0 (OASIS, section 3) allows of the properties that are used.
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs", "$schema"],
    "properties": {
        "$schema": {"type": "string", "pattern": "^https://"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "semanticVersion": {
                                        "type": "string",
                                        "pattern": r"^\d+\.\d+\.\d+$",
                                    },
                                    "informationUri": {"type": "string"},
                                    "rules": {"type": "array", "items": _RULE},
                                },
                                "additionalProperties": False,
                            }
                        },
                        "additionalProperties": False,
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"description": _TEXT},
                            "additionalProperties": False,
                        },
                    },
                    "results": {"type": "array", "items": _RESULT},
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["message"],
                                        "properties": {"level": _LEVEL, "message": _TEXT},
                                        "additionalProperties": False,
                                    },
                                },
                            },
                            "additionalProperties": False,
                        },
                    },
                    "properties": {"type": "object"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("report", ["bad", "hostile", "nothing"])
def test_sarif_is_what_its_schema_says(request: pytest.FixtureRequest, report: str) -> None:
    """Version 2.1.0: rules with their texts, results with locations and fingerprints."""
    jsonschema = pytest.importorskip("jsonschema")
    found: AuditReport = request.getfixturevalue(report)
    log = json.loads(FORMATS["sarif"](found))
    jsonschema.Draft7Validator.check_schema(SARIF)
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(found.findings)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_shows_findings_next_to_the_code(bad: AuditReport) -> None:
    """Paths relative to the working directory, errors as errors and information as notes."""
    run = json.loads(FORMATS["sarif"](bad))["runs"][0]
    (constant,) = [each for each in run["results"] if each["ruleId"] == "constant-key"]
    physical = constant["locations"][0]["physicalLocation"]
    path = Path(physical["artifactLocation"]["uri"])
    assert path.name == "audited_apps.py"
    assert not path.is_absolute()
    assert physical["region"]["startLine"] > 100
    assert "GET /product/1 / GET /product/2" in constant["message"]["text"]
    assert {each["level"] for each in run["results"]} == {"error", "note"}


def test_fingerprints_are_those_of_the_finding_not_of_its_line(bad: AuditReport) -> None:
    """So that a code host knows it again; and no two findings have one."""

    def fingerprints(report: AuditReport) -> list[str]:
        results = json.loads(FORMATS["sarif"](report))["runs"][0]["results"]
        return [each["partialFingerprints"]["flaskCachingAudit/v1"] for each in results]

    moved = replace(bad, findings=[replace(each, line=1) for each in bad.findings])
    assert fingerprints(moved) == fingerprints(bad)
    assert len(set(fingerprints(bad))) == len(bad.findings)


# JUnit.


@pytest.mark.parametrize("report", ["bad", "hostile", "nothing"])
def test_junit_is_a_suite_with_a_failure_for_each_error(
    request: pytest.FixtureRequest, report: str
) -> None:
    """As CI servers count them; XML whatever the texts are."""
    found: AuditReport = request.getfixturevalue(report)
    document = ElementTree.fromstring(FORMATS["junit"](found))
    suites = document.findall("testsuite")
    cases = document.findall("testsuite/testcase")
    assert document.tag == "testsuites"
    assert len(suites) == 1
    assert suites[0].get("tests") == str(len(cases))
    assert suites[0].get("failures") == str(len(found.errors))
    assert len(document.findall(".//failure")) == len(found.errors)
    assert len(cases) == max(1, len(found.findings))


def test_junit_says_what_failed(bad: AuditReport) -> None:
    """The target, the rule, the file, and the text of the finding."""
    document = ElementTree.fromstring(FORMATS["junit"](bad))
    (case,) = [
        each for each in document.iter("testcase") if each.get("name") == "constant-key number"
    ]
    assert case.get("classname") == "constant"
    assert str(case.get("file")).endswith("audited_apps.py")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "constant-key"
    assert "GET /product/2" in str(failure.text)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_ends_a_line_and_can_be_encoded(name: str, hostile: AuditReport) -> None:
    """For a file as for a terminal."""
    text = FORMATS[name](hostile)
    assert text.endswith("\n")
    assert text.encode("utf-8")


def test_an_application_written_well_says_that_there_are_no_errors() -> None:
    """The one line that most runs end with."""
    _, cache = good_app(CACHE_INSTRUMENTATION=None)
    assert "\n0 errors, " in FORMATS["text"](audit(cache))
