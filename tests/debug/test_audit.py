"""The audit on one application with one of each mistake, and on the same application written well.

Whatever it reports is shown to be so by other means: the two requests of a demonstration are asked
for their keys again, and sent by a real client, which gets the first one's page for the second.
"""

from __future__ import annotations

import json
import re
import shlex
import warnings
from typing import Any, NamedTuple

import pytest
from audited_apps import bad_app, good_app
from flask import Flask
from werkzeug.test import Client

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
from flask_caching_instrumentation.cli import cache as cache_commands
from flask_caching_instrumentation.recording import start_recording

QUIET: dict[str, Any] = {"CACHE_INSTRUMENTATION": None}

#: Every error of the bad application: its rule, its target, and what it is about.
ERRORS = [
    ("constant-key", "constant", "number"),
    ("forgotten-argument", "forgotten", "currency"),
    ("forgotten-argument", "memoized", "isbn"),
    ("forgotten-argument", "listing", "sort"),
    ("case-folded", "folded", "name"),
    ("truncated", "cut", "name"),
    ("rounded", "rounded", "latitude"),
    ("bucketed", "bucketed", "number"),
    ("collapsed-argument", "collapsed", "name"),
    ("concatenated", "joined", "space, title"),
    ("shared-key", "user", ""),
    ("shared-key", "audited_apps._bad_functions.<locals>.headlines", ""),
    ("read-input", "query", "query:q"),
    ("read-input", "query_in_function", "query:order"),
    ("read-input", "header", "header:Accept-Language"),
    ("read-input", "cookie", "cookie:theme"),
    ("read-input", "from_session", "session:user_id"),
    ("read-input", "host", "host"),
    ("read-input", "address", "remote_addr"),
    ("read-input", "who_asks", "g:user"),
    ("read-input", "method", "method"),
    ("read-input", "audited_apps._bad_inputs.<locals>.rates", "query:currency"),
    ("read-input", "audited_apps._bad_inputs.<locals>.discount", "session:customer"),
    ("read-input", "greeting", "session:name"),
    ("read-input", "account", "header:Authorization"),
    ("read-input", "account", "session:_user_id"),
    ("read-input", "invoices", "header:Authorization"),
    ("read-input", "invoices", "session:_user_id"),
    ("read-input", "payments", "header:Authorization"),
    ("read-input", "payments", "session:_user_id"),
    ("read-input", "wrapper", "session:role"),
    ("above-auth", "account", "audited_apps.login_required"),
    ("above-auth", "invoices", "audited_apps.login_required"),
    ("above-auth", "payments", "audited_apps.login_required"),
    ("above-auth", "wrapper", "audited_apps.require_role"),
    ("above-route", "above_route", ""),
    ("address-identity", "audited_apps._bad_functions.<locals>.Prices.of", "self"),
    ("address-identity", "audited_apps._bad_functions.<locals>.total", "basket"),
    ("shared-closure", "audited_apps._bad_functions.<locals>.converter.<locals>.convert", "rates"),
]

INFORMATION = [
    ("helper-argument", "audited_apps._bad_functions.<locals>.weather", "city"),
    ("merged-name", "audited_apps._bad_functions.<locals>.second", ""),
    ("repr-identity", "audited_apps._bad_functions.<locals>.Named.greeting", "self"),
    ("same-name", "audited_apps._bad_functions.<locals>.counter.<locals>.count", ""),
    ("stores-cookies", "stores_cookies", ""),
    ("unstable-key", "unstable", ""),
]

#: Where the core refuses to serve what was stored for another one: seen, and not served.
REFUSED = ("host",)


def quietly(build: Any, **config: Any) -> tuple[Flask, Cache]:
    """An application; that one of its caches is above its route is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app, cache = build(**{**QUIET, **config})
    return app, cache


class Audited(NamedTuple):
    """An application, and what was found in it."""

    app: Flask
    cache: Cache
    report: AuditReport

    def finding(self, rule: str, target: str, about: str) -> Finding:
        (found,) = [
            each
            for each in self.report.findings
            if (each.rule, each.target, each.input) == (rule, target, about)
        ]
        return found


@pytest.fixture(scope="module")
def bad() -> Audited:
    """The bad application, audited once; its views were run, uncached."""
    app, cache = quietly(bad_app)
    return Audited(app, cache, audit(cache, execute=True))


@pytest.fixture(scope="module")
def good() -> Audited:
    """The same application written well."""
    app, cache = quietly(good_app)
    return Audited(app, cache, audit(cache, execute=True))


def triples(findings: Any) -> set[tuple[str, str, str]]:
    return {(each.rule, each.target, each.input) for each in findings}


# What is found.


def test_each_mistake_is_found_and_nothing_else(bad: Audited) -> None:
    """One of each, by rule, by where it is, and by what it is about."""
    assert triples(bad.report.errors) == set(ERRORS)
    assert len(bad.report.errors) == len(ERRORS)


def test_what_is_only_to_be_known_is_information(bad: Audited) -> None:
    """It is found, and fails nothing."""
    found = [each for each in bad.report.information if each.rule != "not-in-key"]
    assert triples(found) == set(INFORMATION)


def test_an_application_written_well_has_no_findings(good: Audited) -> None:
    """But for the list of what each key does not depend on."""
    assert good.report.errors == ()
    assert {each.rule for each in good.report.information} == {"not-in-key"}
    assert good.report.routes > 30
    assert good.report.functions > 8


@pytest.mark.parametrize(
    "config", [{"host_matching": True}, {"CACHE_KEY_STRATEGY": "strict"}, {"CACHE_ENABLED": False}]
)
def test_it_is_as_silent_on_other_set_ups(config: dict[str, Any]) -> None:
    """Routes by host, strict keys, a cache that is turned off."""
    _, cache = quietly(good_app, **config)
    report = audit(cache, execute="CACHE_ENABLED" not in config)
    assert report.errors == ()
    assert report.routes > 2


def test_a_recorder_that_follows_real_requests_says_what_is_read() -> None:
    """The same errors without running a view for it, as far as requests came by."""
    app, cache = quietly(bad_app)
    start_recording(app.extensions["flask_caching"][cache], 1.0)
    client = app.test_client()
    for path in ("/search", "/greeting", "/themed", "/basket", "/rates", "/discount", "/hello"):
        client.get(path)
    errors = triples(audit(cache).errors)
    read = {("query", "query:q"), ("header", "header:Accept-Language"), ("cookie", "cookie:theme")}
    assert {("read-input", *each) for each in read} < errors
    assert ("read-input", "greeting", "session:name") in errors
    assert ("read-input", "audited_apps._bad_inputs.<locals>.rates", "query:currency") in errors
    assert not [error for error in errors if error[:2] == ("read-input", "host")]
    assert "read-input" not in {rule for rule, *_ in triples(audit(cache, recorded=False).errors)}


def test_a_recorder_finds_nothing_in_the_application_written_well() -> None:
    """Real requests of several kinds of visitors, and what they read is in the keys."""
    app, cache = quietly(good_app)
    start_recording(app.extensions["flask_caching"][cache], 1.0)
    paths = [str(rule) for rule in app.url_map.iter_rules() if not rule.arguments]
    for headers in ({}, {"X-User": "ann", "Authorization": "Basic YTpi", "Accept": "text/html"}):
        client = app.test_client()
        with client.session_transaction() as session:
            session.update(user_id="1", name="ann", role="admin", customer="ann")
        for path in paths:
            client.get(path, headers=headers)
    assert audit(cache).errors == ()


# What it demonstrates.


def headers_of(shown: Shown, app: Flask) -> dict[str, str]:
    """The headers of a request of a demonstration: its session, which it only names, is signed."""
    assert shown.request is not None
    cookies = [f"{name}={value}" for name, value in shown.request.cookies]
    named = re.findall(r"session\['(\w+)'\] = '(\w+)'", shown.setting)
    if named:
        signer: Any = app.session_interface
        cookies.append(f"session={signer.get_signing_serializer(app).dumps(dict(named))}")
    headers = dict(shown.request.headers)
    return headers | ({"Cookie": "; ".join(cookies)} if cookies else {})


def body_of(client: Client, shown: Shown) -> tuple[int, str]:
    """The answer that a real client gets to a request of a demonstration."""
    request = shown.request
    assert request is not None
    environ: dict[str, Any] = {}
    if shown.setting.startswith("REMOTE_ADDR"):
        environ["environ_base"] = {"REMOTE_ADDR": shown.setting.rpartition(" ")[2]}
    response = client.open(
        request.url,
        method=request.method,
        headers=headers_of(shown, client.application),
        data=request.body or None,
        **environ,
    )
    return response.status_code, response.get_data(as_text=True)


def key_of(cache: Cache, shown: Shown) -> str | None:
    """The key that the cache itself gives a request of a demonstration."""
    request = shown.request
    assert request is not None
    return cache.explain(request.url, request.method, headers_of(shown, cache.app)).key


def by_requests(error: tuple[str, str, str]) -> bool:
    """Whether an error is about requests, which a client can send without knowing more."""
    rule, target, about = error
    own = rule not in ("above-route", "address-identity", "shared-closure", "above-auth")
    auth = rule == "read-input" and about.partition(":")[2] in ("Authorization", "_user_id", "role")
    return own and not auth and not target.startswith("audited_apps.") and target != "greeting"


def test_no_report_has_a_signed_session_in_it(bad: Audited) -> None:
    """It would let whoever reads the report, or the log of a build, in as that user."""
    about = [finding for finding in bad.report.errors if finding.input.startswith("session:")]
    assert about
    for write in FORMATS.values():
        assert "session=" not in write(bad.report)
    for finding in about:
        assert finding.demonstration is not None
        assert "session[" in finding.demonstration.second.setting
        assert finding.demonstration.command == ""


@pytest.mark.parametrize("error", [error for error in ERRORS if by_requests(error)], ids=str)
def test_both_requests_have_the_key_that_is_reported(
    bad: Audited, error: tuple[str, str, str]
) -> None:
    """As the cache itself says, asked by whoever reads the report; and they are not one request."""
    demonstration = bad.finding(*error).demonstration
    assert demonstration is not None
    assert demonstration.key
    assert demonstration.first != demonstration.second
    keys = {key_of(bad.cache, demonstration.first), key_of(bad.cache, demonstration.second)}
    assert keys == {demonstration.key}


@pytest.mark.parametrize(
    "error",
    [error for error in ERRORS if by_requests(error) and error[2] not in (*REFUSED, "g:user")],
    ids=str,
)
def test_the_second_visitor_gets_the_firsts_page(bad: Audited, error: tuple[str, str, str]) -> None:
    """And would get another one without the cache."""
    demonstration = bad.finding(*error).demonstration
    assert demonstration is not None
    client = quietly(bad_app)[0].test_client(use_cookies=False)
    first = body_of(client, demonstration.first)
    assert body_of(client, demonstration.second) == first
    uncached = quietly(bad_app, CACHE_ENABLED=False)[0].test_client(use_cookies=False)
    assert body_of(uncached, demonstration.first) == first
    assert body_of(uncached, demonstration.second) != first


def test_another_hosts_page_is_refused_and_the_report_says_so(bad: Audited) -> None:
    """One key, as demonstrated; nobody gets the wrong page, and nobody finds his own again."""
    finding = bad.finding("read-input", "host", "host")
    assert "refused" in finding.message
    assert finding.demonstration is not None
    client = bad.app.test_client()
    pages = [
        body_of(client, shown)[1]
        for shown in (finding.demonstration.first, finding.demonstration.second)
    ]
    assert pages == ["at one.example", "at two.example"]


def test_what_before_request_puts_into_g_is_read_past_the_key(bad: Audited) -> None:
    """The demonstration says what ``g`` has; a client makes ``before_request`` put it there."""
    demonstration = bad.finding("read-input", "who_asks", "g:user").demonstration
    assert demonstration is not None
    assert "g.user" in demonstration.first.setting
    assert demonstration.command == ""
    client = bad.app.test_client()
    pages = [client.get("/mine", headers={"X-User": user}).text for user in ("ann", "bob")]
    assert pages == ["of ann", "of ann"]


@pytest.mark.parametrize(
    ("target", "path", "known"),
    [
        ("account", "/account", {"Authorization": "Basic YTpi"}),
        ("invoices", "/invoices", {"Authorization": "Basic YTpi"}),
        ("payments", "/payments", {"Authorization": "Basic YTpi"}),
    ],
)
def test_who_is_not_logged_in_gets_what_the_check_is_for(
    bad: Audited, target: str, path: str, known: dict[str, str]
) -> None:
    """Once somebody who may has been there: the check runs on a miss only."""
    demonstration = bad.finding("above-auth", target, "audited_apps.login_required").demonstration
    assert demonstration is not None
    assert {key_of(bad.cache, demonstration.first), key_of(bad.cache, demonstration.second)} == {
        demonstration.key
    }
    client = bad.app.test_client()
    with bad.app.app_context():
        bad.cache.clear()
    assert client.get(path).status_code == 401
    page = client.get(path, headers=known)
    assert page.status_code == 200
    stranger = bad.app.test_client().get(path)
    assert (stranger.status_code, stranger.data) == (200, page.data)


def test_a_check_that_a_decorator_hides_is_found(bad: Audited) -> None:
    """Below a wrapper that does not say what it wraps; whoever has no role gets the reports."""
    finding = bad.finding("above-auth", "wrapper", "audited_apps.require_role")
    assert finding.function == "audited_apps._bad_places.<locals>.reports"
    admin, stranger = bad.app.test_client(), bad.app.test_client()
    assert stranger.get("/reports").status_code == 403
    with admin.session_transaction() as session:
        session["role"] = "admin"
    assert admin.get("/reports").text == stranger.get("/reports").text == "the reports"


def test_helpers_functions_and_fragments_serve_one_visitors_value_to_the_next(bad: Audited) -> None:
    """What is read past the keys of cached helpers, memoized functions and template fragments."""
    client = bad.app.test_client()
    for target, about in (
        ("audited_apps._bad_inputs.<locals>.rates", "query:currency"),
        ("audited_apps._bad_inputs.<locals>.discount", "session:customer"),
        ("greeting", "session:name"),
    ):
        demonstration = bad.finding("read-input", target, about).demonstration
        assert demonstration is not None
        assert demonstration.key
        assert demonstration.first.call == demonstration.second.call
        assert demonstration.first != demonstration.second
    with bad.app.app_context():
        bad.cache.clear()
    rates = [client.get(f"/rates?currency={name}").text for name in ("EUR", "USD")]
    assert rates == ["rates in EUR", "rates in EUR"]
    pages: list[tuple[str, str]] = []
    for name in ("ann", "bob"):
        with client.session_transaction() as session:
            session.update(name=name, customer=name)
        pages.append((client.get("/discount").text, client.get("/hello").text))
    assert pages == [("7 for ann", "Hello ann")] * 2


def test_functions_with_one_key_return_one_anothers_values(bad: Audited) -> None:
    """Closures of one factory, and helpers under one key; outside of any request."""
    *_, news, headlines, by_two, by_three = bad.app.extensions["kept"][:-2]
    with bad.app.app_context():
        bad.cache.clear()
        assert (by_two("EUR", 10), by_three("EUR", 10)) == (20, 20)
        assert (news(), headlines()) == ("the news", "the news")


def test_an_address_for_identity_is_two_keys_for_equal_objects(bad: Audited) -> None:
    """Shown by two calls that should have one key, and have not."""
    finding = bad.finding(
        "address-identity", "audited_apps._bad_functions.<locals>.Prices.of", "self"
    )
    demonstration = finding.demonstration
    assert demonstration is not None
    assert demonstration.first.call == demonstration.second.call == "Prices().of(1)"
    assert demonstration.key != demonstration.other_key != ""
    prices = bad.app.extensions["kept"][0]
    with bad.app.app_context():
        keys = [bad.cache.explain_call(prices(2).of, 1).key for _ in range(2)]
    assert keys[0] != keys[1]


def test_a_view_above_its_route_is_never_cached(bad: Audited) -> None:
    """Its endpoint is named; there is no key to demonstrate."""
    finding = bad.finding("above-route", "above_route", "")
    assert finding.demonstration is None
    assert bad.cache.explain("/routed").reason == "the view is not cached"


# What a finding says.


def test_a_finding_says_where_and_what_to_do(bad: Audited) -> None:
    """The function's file and line, and code to write instead."""
    finding = bad.finding("constant-key", "constant", "number")
    assert finding.file.endswith("audited_apps.py")
    with open(finding.file, encoding="utf-8") as source:
        lines = source.readlines()
    assert finding.line is not None
    assert "product" in "".join(lines[finding.line - 2 : finding.line + 1])
    assert finding.advice == 'key_prefix="product/%s"  # %s stands for the request path'
    assert finding.function == "audited_apps._bad_arguments.<locals>.constant"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (("read-input", "query", "query:q"), "query_string=['q']"),
        (("read-input", "header", "header:Accept-Language"), "vary=['Accept-Language']"),
        (("read-input", "cookie", "cookie:theme"), 'vary=["cookie:theme"]'),
        (
            ("read-input", "from_session", "session:user_id"),
            "vary=[lambda: session.get('user_id')]",
        ),
        (("read-input", "host", "host"), 'vary=["Host"]'),
        (
            ("read-input", "greeting", "session:name"),
            "{% cache timeout, 'greeting', session.get('name') %}",
        ),
        (("forgotten-argument", "memoized", "isbn"), "leave 'isbn' out of args_to_ignore"),
    ],
    ids=str,
)
def test_the_advice_is_code(bad: Audited, error: tuple[str, str, str], advice: str) -> None:
    """What the good application has in that place."""
    assert bad.finding(*error).advice == advice


def test_a_command_shows_the_two_requests_keys(bad: Audited) -> None:
    """One comparison where only the URLs differ, else an explanation of each."""
    command = commands(bad, "case-folded", "folded", "name")
    assert command == "flask cache compare /tag/alpha /tag/Alpha"
    command = commands(bad, "read-input", "header", "header:Accept-Language")
    assert command == (
        "flask cache explain /greeting -H 'Accept-Language: en' && "
        "flask cache explain /greeting -H 'Accept-Language: de'"
    )


def commands(audited: Audited, *error: str) -> str:
    demonstration: Demonstration | None = audited.finding(*error).demonstration
    assert demonstration is not None
    return demonstration.command


def test_every_rule_is_in_the_catalogue_and_has_its_level(bad: Audited) -> None:
    """What a report says of a rule is what the catalogue says."""
    for finding in bad.report.findings:
        assert finding.level == RULES[finding.rule].level
        assert finding.message
        assert finding.advice
    assert all(rule.id == rule_id for rule_id, rule in RULES.items())


def test_errors_come_first_and_then_by_target(bad: Audited) -> None:
    """The same order each time, whatever the order of the routes."""
    order = [(each.level, each.target) for each in bad.report.findings]
    assert order == sorted(order)


def test_commands_can_be_typed_as_they_are(bad: Audited) -> None:
    """Each prints the key that the report has; a comparison of two arguments says collision."""
    runner = bad.app.test_cli_runner()
    ran = 0
    for finding in bad.report.errors:
        demonstration = finding.demonstration
        if demonstration is None or not demonstration.command:
            continue
        for command in demonstration.command.split(" && "):
            assert command.startswith("flask cache ")
            words = shlex.split(command)[2:]
            result = runner.invoke(cache_commands, [*words, "--json"])
            assert result.exit_code in (0, 1), result.output
            document = json.loads(result.output)
            asked = document.get("explanations", [document])
            assert {each["key"] for each in asked} == {demonstration.key}
            ran += 1
    assert ran > 20
