"""The audit where Flask-Login says who asks."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, render_template
from jinja2 import DictLoader

from flask_caching import Cache
from flask_caching_instrumentation.auditing import AuditReport, audit
from flask_caching_instrumentation.recording import start_recording

flask_login = pytest.importorskip("flask_login")

TEMPLATES = {
    "base.html": "{% block body %}{% endblock %}",
    "plain.html": '{% extends "base.html" %}{% block body %}hello{% endblock %}',
    "menu.html": "{{ current_user.get_id() }}",
    "user.html": '{% extends "base.html" %}{% block body %}{% include "menu.html" %}{% endblock %}',
}


class User(flask_login.UserMixin):  # type: ignore[name-defined, misc]
    def __init__(self, name: str) -> None:
        self.id = name


def who() -> Any:
    return flask_login.current_user.get_id()


def build() -> tuple[Flask, Cache]:
    """Views that say who asks, those that only might, and checks above and below the cache."""
    app = Flask("members")
    app.secret_key = "not a secret"
    app.jinja_loader = DictLoader(TEMPLATES)
    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache", "CACHE_INSTRUMENTATION": None})
    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda name: User(name) if name in ("ann", "bob") else None)
    required = flask_login.login_required

    @app.route("/login/<name>")
    def login(name: str) -> str:
        flask_login.login_user(User(name))
        return name

    views: dict[str, Any] = {
        "bad": cache.cached()(lambda: f"of {who()}"),
        "by_user": cache.cached(vary=[who])(lambda: f"of {who()}"),
        "for_strangers": cache.cached(unless=lambda: flask_login.current_user.is_authenticated)(
            lambda: f"of {who()}"
        ),
        "plain_template": cache.cached()(lambda: render_template("plain.html")),
        "users_template": cache.cached()(lambda: render_template("user.html")),
        "check_below": cache.cached()(required(lambda: "secret")),
        "check_below_by_user": cache.cached(vary=[who])(required(lambda: f"secret of {who()}")),
        "check_above": required(cache.cached()(lambda: "secret")),
    }
    for name, view in views.items():
        app.add_url_rule(f"/{name}", name, view)
    return app, cache


def errors(report: AuditReport) -> set[tuple[str, str, str]]:
    return {(each.rule, each.target, each.input) for each in report.errors}


EXPECTED = {
    ("read-input", "bad", "g:_login_user"),
    ("read-input", "users_template", "g:_login_user"),
    ("read-input", "check_below", "g:_login_user"),
    ("above-auth", "check_below", "flask_login.utils.login_required"),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_the_user_is_one_input_wherever_it_is_from() -> None:
    """Not the address, the browser and the session that Flask-Login looks at on its way.

    And not of a page whose templates get a user, as all do, without using it.
    """
    app, cache = build()
    start_recording(app.extensions["flask_caching"][cache], 1.0)
    for name in (None, "ann", "bob"):
        client = app.test_client()
        if name is not None:
            client.get(f"/login/{name}")
        for rule in app.url_map.iter_rules():
            if not rule.arguments:
                client.get(str(rule))
    report = audit(cache)
    assert errors(report) == EXPECTED
    (bad,) = [each for each in report.errors if each.target == "bad"]
    assert "current_user" in bad.message
    assert bad.advice == "vary=[lambda: current_user.get_id()]"


def test_the_same_is_seen_by_running_the_views() -> None:
    """Nobody is logged in, and it is seen who would be asked for."""
    _, cache = build()
    assert errors(audit(cache, execute=True)) == EXPECTED


def test_checks_are_found_without_running_anything() -> None:
    """By where they are; a key that depends on the user may have one below."""
    _, cache = build()
    assert {(rule, target) for rule, target, _ in errors(audit(cache))} == {
        ("above-auth", "check_below")
    }
