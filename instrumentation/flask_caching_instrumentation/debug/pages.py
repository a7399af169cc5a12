"""The pages: each shows what its JSON is, in a template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Response, request

from ..inspection.model import RequestSpec
from . import answers, content, gate, specs
from .access import Refusal
from .answers import Stop
from .rendering import render, static_file
from .site import Site

__all__ = [
    "audit",
    "clear",
    "compare",
    "delete",
    "functions",
    "key",
    "keys",
    "live",
    "log_in_page",
    "login",
    "logout",
    "overview",
    "refused",
    "static",
    "tester",
]

#: Parameters that a page takes, and so what survives a login.
_PARAMETERS: Final = (
    *("after", "cache", "content_type", "cursor", "header", "host", "kind", "limit", "match"),
    *("method", "request", "reveal", "url"),
)
_NEXT: Final = re.compile(r"[a-z]*(/[A-Za-z0-9_-]+)?")


def overview(site: Site) -> Response:
    """Each cache at a glance."""
    return _page("overview.html", site, shown=content.overview(site))


def keys(site: Site) -> Response:
    """The keys, in groups of their targets."""
    listing = content.keys(site)
    groups: dict[str, list[Any]] = {}
    for row in listing.rows:
        groups.setdefault(row.target, []).append(row)
    asked = {name: request.args.get(name, "") for name in ("match", "kind", "limit", "cursor")}
    done = _done("deleted", "cleared")
    return _page("keys.html", site, shown=listing, groups=groups, asked=asked, done=done)


def key(site: Site, key_id: str) -> Response:
    """One key."""
    return _page("key.html", site, shown=content.key_detail(site, key_id))


def functions(site: Site) -> Response:
    """What is decorated."""
    return _page("functions.html", site, shown=content.functions(site))


def tester(site: Site) -> Response:
    """What would become of a request.

    What may stand in an address is sent on to one, which can be kept; secrets are not.
    """
    redacted = _redacted(site)
    if request.method != "POST":
        fields = _tester_fields()
        if not request.args.get("url"):
            return _page("tester.html", site, fields=fields, shown=None, wrong="")
        return _tested(site, fields)
    fields = {name: request.form.get(name, "") for name in _TESTER_FIELDS}
    try:
        spec = specs.from_form(fields)
    except ValueError as error:
        return _wrong(site, "tester.html", error, fields=fields)
    if not specs.secrets_of(spec, redacted):
        return answers.redirect(site.url("tester", **_as_parameters(spec)))
    return _tested(site, fields)


_TESTER_FIELDS: Final = ("url", "method", "host", "headers", "cookies", "content_type", "body")


def _tester_fields() -> dict[str, str]:
    fields = {name: request.args.get(name, "") for name in ("url", "method", "host")}
    headers = "\n".join(request.args.getlist("header"))
    content_type = request.args.get("content_type", "")
    return {**fields, "headers": headers, "content_type": content_type, "cookies": "", "body": ""}


def _tested(site: Site, fields: Mapping[str, str]) -> Response:
    try:
        spec = specs.from_form(fields)
    except ValueError as error:
        return _wrong(site, "tester.html", error, fields=fields)
    shown = content.explained(site, spec)
    return _page("tester.html", site, fields=fields, shown=shown, wrong="")


def _as_parameters(spec: RequestSpec) -> dict[str, Any]:
    return {
        "url": spec.url,
        "method": None if spec.method == "GET" else spec.method,
        "host": spec.host or None,
        "header": [f"{name}: {value}" for name, value in spec.headers],
        "content_type": spec.content_type or None,
    }


def compare(site: Site) -> Response:
    """Two to twenty requests side by side; as for :func:`tester`, only secrets stay in the form."""
    redacted = _redacted(site)
    if request.method != "POST":
        lines = "\n".join(request.args.getlist("request"))
    else:
        lines = request.form.get("requests", "")
    if not lines.strip():
        return _page("compare.html", site, lines=lines, shown=None, wrong="")
    try:
        asked = specs.several_from_lines(lines.replace("\r\n", "\n"))
        if not 2 <= len(asked) <= _MOST_COMPARED:
            raise ValueError(f"compare 2 to {_MOST_COMPARED} requests, one a line")
    except ValueError as error:
        return _wrong(site, "compare.html", error, lines=lines)
    if request.method == "POST" and not any(specs.secrets_of(each, redacted) for each in asked):
        return answers.redirect(site.url("compare", request=[*map(specs.as_lines, asked)]))
    return _page("compare.html", site, lines=lines, shown=content.compared(site, asked), wrong="")


_MOST_COMPARED: Final = 20


def audit(site: Site) -> Response:
    """What the audit finds."""
    return _page("audit.html", site, shown=content.audited(site))


def live(site: Site) -> Response:
    """The latest requests; ``part=rows`` is what the script adds to them."""
    template = "_requests.html" if request.args.get("part") == "rows" else "live.html"
    return _page(template, site, shown=content.requests(site))


# What changes something.


def delete(site: Site) -> Response:
    """Delete the keys whose ids were sent."""
    done = content.deleted(site, (), request.form.getlist("id"))
    return answers.redirect(site.url("keys", deleted=len(done.deleted)))


def clear(site: Site) -> Response:
    """Clear the cache."""
    done = content.cleared(site)
    return answers.redirect(site.url("keys", cleared=int(done.cleared)))


# Coming and going.


def login(site: Site) -> Response:
    """The form for the token, and where it is sent."""
    if not site.takes_token:
        raise Stop(Refusal(404, "There is nothing here", "No token is needed for these pages."))
    if request.method != "POST":
        return log_in_page(site)
    site.gate.log_in(site.visitor, request.form.get("token", ""))
    response = answers.redirect(_place_after_login(site))
    gate.set_cookies(response, site.visitor, site.path, logged_in=True)
    return response


def logout(site: Site) -> Response:
    """Forget the login."""
    response = answers.redirect(site.url("login" if site.takes_token else "overview"))
    gate.drop_login(response, site.path)
    return response


def _place_after_login(site: Site) -> str:
    """The page that was asked for before the login, or the first one."""
    path, _, query = request.form.get("next", "").partition("?")
    if not _NEXT.fullmatch(path):
        return site.url("overview")
    start = site.url("overview", cache=None).partition("?")[0].rstrip("/")
    kept = [(name, value) for name, value in parse_qsl(query) if name in _PARAMETERS]
    return f"{start}/{path}{'?' if kept else ''}{urlencode(kept, errors='replace')}"


def _asked_for(site: Site) -> str:
    """The current page, without the prefix, for :func:`_place_after_login`."""
    if request.method not in ("GET", "HEAD") or site.route in ("login", "logout", "static"):
        return ""
    start = urlsplit(site.url("overview", cache=None)).path.rstrip("/")
    path = f"{request.script_root}{request.path}".removeprefix(start).lstrip("/")
    kept = [(name, value) for name, value in request.args.items(multi=True) if name in _PARAMETERS]
    return f"{path}{'?' if kept else ''}{urlencode(kept, errors='replace')}"


def log_in_page(site: Site, refusal: Refusal | None = None) -> Response:
    """The form for the token."""
    sent = request.form.get("next", "") if request.method == "POST" else _asked_for(site)
    wrong = refusal is not None and request.method == "POST"
    html = render("login.html", site, refusal=refusal, wrong=wrong, place=sent)
    return answers.page(html, refusal.status if refusal else 200)


def refused(site: Site, refusal: Refusal, inside: bool) -> Response:
    """Why there is no page.

    Args:
        site: The request's view of the pages.
        refusal: Why.
        inside: Whether who asked was let in, so that the page may have what other pages have.
    """
    template = "problem.html" if inside else "closed.html"
    return answers.page(render(template, site, refusal=refusal), refusal.status)


def static(site: Site, file: str) -> Response:
    """The style sheet, the script, the icon."""
    found = static_file(file)
    if found is None:
        raise Stop(Refusal(404, "There is nothing here", "There is no such file."))
    return Response(found[0], mimetype=found[1])


def _page(template: str, site: Site, **shown: Any) -> Response:
    return answers.page(render(template, site, **shown))


def _wrong(site: Site, template: str, error: ValueError, **shown: Any) -> Response:
    """A form, with what is wrong about it."""
    message = str(error)
    said = f"{message[:1].upper()}{message[1:]}."
    return answers.page(render(template, site, shown=None, wrong=said, **shown), 400)


def _redacted(site: Site) -> Sequence[str]:
    return site.chosen.state.config.debug_redact


def _done(*names: str) -> dict[str, int]:
    """What a form before this page has done, by its own word: a number each."""
    sent = {name: request.args.get(name, "") for name in names}
    return {name: int(text) for name, text in sent.items() if re.fullmatch("[0-9]{1,4}", text)}
